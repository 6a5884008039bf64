"""xpsolve: inverse problems and small models on whatever array you hand in."""

from xpsolve import costs, operators, problems
from xpsolve.linear import (
    basis_pursuit,
    dictionary_learning,
    elastic_net,
    lasso,
    lasso_path,
    lstsq,
    ridge,
    soft_threshold,
)
from xpsolve.operators import LinearOperator, dot_test, operator_norm
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status
from xpsolve.trace import Tally, count
from xpsolve.transport import (
    Grid,
    PointCloud,
    TransportSolution,
    barycenter,
    sinkhorn,
    sinkhorn_divergence,
    sinkhorn_gradient,
)

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "ConvergenceWarning",
    "Grid",
    "LinearOperator",
    "PointCloud",
    "Solution",
    "Status",
    "Tally",
    "TransportSolution",
    "barycenter",
    "basis_pursuit",
    "costs",
    "count",
    "dictionary_learning",
    "dot_test",
    "elastic_net",
    "lasso",
    "lasso_path",
    "lstsq",
    "operator_norm",
    "operators",
    "problems",
    "ridge",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_gradient",
    "soft_threshold",
]
