"""xpsolve: inverse problems and small models on any array you pass.

At the top level stand the solvers, the objectives that they minimise, the classes of what they return and what they
take by name (`Solution`, `Status`, `Progress`, `PointCloud`, …), `count`, and `compiled`.  Operators, penalties,
networks, derivatives, problems and costs stand in the namespaces of these names; those of their names that most
programs need stand here, too: `LinearOperator`, `Convolution`, `soft_threshold`, `softmax`, `lista`, ….
"""

from xpsolve import autodiff, costs, networks, operators, penalties, problems
from xpsolve.composite import minimize, nnls
from xpsolve.linear import (
    DictionarySolution,
    LassoPath,
    basis_pursuit,
    dictionary_learning,
    discrepancy,
    elastic_net,
    elastic_net_cv,
    lasso,
    lasso_cv,
    lasso_path,
    lasso_sure,
    lstsq,
    ridge,
    ridge_cv,
)
from xpsolve.networks import fit_inverse, invert, lista, mlp_backward, mlp_forward, one_hot, softmax_jacobian
from xpsolve.operators import (
    Convolution,
    Kronecker,
    LinearOperator,
    Rows,
    convolve,
    convolve_adjoint,
    dot_test,
    operator_norm,
)
from xpsolve.penalties import soft_threshold
from xpsolve.smooth_max import logsumexp, softmax
from xpsolve.solution import Certificate, ConvergenceWarning, Progress, Solution, Status, StreamSolution
from xpsolve.stochastic import (
    Huber,
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
from xpsolve.trace import Tally, compiled, count
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
    "Convolution",
    "DictionarySolution",
    "Grid",
    "Huber",
    "Kronecker",
    "LassoPath",
    "LeastSquares",
    "LinearOperator",
    "Logistic",
    "Multinomial",
    "PointCloud",
    "Progress",
    "Rows",
    "Solution",
    "Status",
    "StreamSolution",
    "Tally",
    "TransportSolution",
    "autodiff",
    "barycenter",
    "basis_pursuit",
    "compiled",
    "convolve",
    "convolve_adjoint",
    "coordinate_descent",
    "costs",
    "count",
    "dictionary_learning",
    "discrepancy",
    "dot_test",
    "elastic_net",
    "elastic_net_cv",
    "fit_inverse",
    "gradient_descent",
    "invert",
    "lasso",
    "lasso_cv",
    "lasso_path",
    "lasso_sure",
    "lista",
    "logsumexp",
    "lstsq",
    "minimize",
    "mlp_backward",
    "mlp_forward",
    "networks",
    "newton",
    "nnls",
    "one_hot",
    "operator_norm",
    "operators",
    "penalties",
    "problems",
    "ridge",
    "ridge_cv",
    "sag",
    "sga",
    "sgd",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_gradient",
    "soft_threshold",
    "softmax",
    "softmax_jacobian",
]
