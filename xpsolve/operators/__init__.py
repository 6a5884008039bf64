"""Floor 2: linear operators.  Dense, sparse, tensor, convolution, sums, products, transposes; norm and adjoint test."""

from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.operators.convolution import convolve, convolve_adjoint
from xpsolve.operators.convolution_operator import Convolution
from xpsolve.operators.entry import aslinearoperator
from xpsolve.operators.norms import dot_test, eigenvalue_bound, operator_norm
from xpsolve.operators.sparse import Sparse
from xpsolve.operators.tensor import Tensor

__all__ = [
    "Convolution",
    "Dense",
    "LinearOperator",
    "Sparse",
    "Tensor",
    "aslinearoperator",
    "convolve",
    "convolve_adjoint",
    "dot_test",
    "eigenvalue_bound",
    "operator_norm",
]
