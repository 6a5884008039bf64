"""xpsolve: inverse problems and small models on whatever array you hand in."""

from xpsolve import autodiff, costs, operators, problems
from xpsolve.linear import basis_pursuit, dictionary_learning, elastic_net, lasso, lstsq, ridge, soft_threshold
from xpsolve.operators import LinearOperator, dot_test, operator_norm
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status
from xpsolve.trace import Tally, count

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "ConvergenceWarning",
    "LinearOperator",
    "Solution",
    "Status",
    "Tally",
    "autodiff",
    "basis_pursuit",
    "costs",
    "count",
    "dictionary_learning",
    "dot_test",
    "elastic_net",
    "lasso",
    "lstsq",
    "operator_norm",
    "operators",
    "problems",
    "ridge",
    "soft_threshold",
]
