"""Floor 2: derivatives of array-API code.  Finite differences, forward mode (dual arrays), reverse mode (a tape)."""

from xpsolve.autodiff import rules
from xpsolve.autodiff.finite_difference import finite_difference
from xpsolve.autodiff.forward import jacfwd, jvp
from xpsolve.autodiff.reverse import grad, jacrev, value_and_grad, vjp
from xpsolve.autodiff.rules import NoRuleError
from xpsolve.autodiff.second_order import hvp

__all__ = [
    "NoRuleError",
    "finite_difference",
    "grad",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "rules",
    "value_and_grad",
    "vjp",
]
