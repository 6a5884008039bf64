"""xpsolve: inverse problems and small models on whatever array you hand in."""

from xpsolve import autodiff, costs, operators, problems
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
from xpsolve.operators import Convolution, LinearOperator, convolve, convolve_adjoint, dot_test, operator_norm
from xpsolve.smooth_max import logsumexp, softmax
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status
from xpsolve.stochastic import (
    LeastSquares,
    Logistic,
    Multinomial,
    coordinate_descent,
    gradient_descent,
    newton,
    sag,
    sga,
    sgd,
)
from xpsolve.trace import Tally, count

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "ConvergenceWarning",
    "Convolution",
    "LeastSquares",
    "LinearOperator",
    "Logistic",
    "Multinomial",
    "Solution",
    "Status",
    "Tally",
    "autodiff",
    "basis_pursuit",
    "convolve",
    "convolve_adjoint",
    "coordinate_descent",
    "costs",
    "count",
    "dictionary_learning",
    "dot_test",
    "elastic_net",
    "gradient_descent",
    "lasso",
    "lasso_path",
    "logsumexp",
    "lstsq",
    "newton",
    "operator_norm",
    "operators",
    "problems",
    "ridge",
    "sag",
    "sga",
    "sgd",
    "soft_threshold",
    "softmax",
]
