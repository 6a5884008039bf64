"""Derivatives of array-API code: finite differences, dual arrays, the tape, chains, recurrences, equations."""

from xpsolve.autodiff import rules
from xpsolve.autodiff.chain import chain_cost, chain_jacobian
from xpsolve.autodiff.finite_difference import finite_difference
from xpsolve.autodiff.forward import jacfwd, jvp
from xpsolve.autodiff.implicit import ImplicitSolver, implicit_gradient, unrolled
from xpsolve.autodiff.reverse import grad, jacrev, value_and_grad, vjp
from xpsolve.autodiff.rules import NoRuleError
from xpsolve.autodiff.scan import Reversible, leapfrog, scan_gradient
from xpsolve.autodiff.second_order import hvp
from xpsolve.autodiff.symmetric import symmetric_function

__all__ = [
    "ImplicitSolver",
    "NoRuleError",
    "Reversible",
    "chain_cost",
    "chain_jacobian",
    "finite_difference",
    "grad",
    "hvp",
    "implicit_gradient",
    "jacfwd",
    "jacrev",
    "jvp",
    "leapfrog",
    "rules",
    "scan_gradient",
    "symmetric_function",
    "unrolled",
    "value_and_grad",
    "vjp",
]
