"""Floor 2: linear operators.  Dense, sparse, convolution, Kronecker, sums, products; norm and adjoint test."""

from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.operators.convolution import convolve, convolve_adjoint
from xpsolve.operators.convolution_operator import Convolution
from xpsolve.operators.entry import aslinearoperator
from xpsolve.operators.kronecker import Kronecker, cosine_basis, haar_basis
from xpsolve.operators.norms import dot_test, eigenvalue_bound, operator_norm
from xpsolve.operators.sparse import Sparse

__all__ = [
    "Convolution",
    "Dense",
    "Kronecker",
    "LinearOperator",
    "Sparse",
    "aslinearoperator",
    "convolve",
    "convolve_adjoint",
    "cosine_basis",
    "dot_test",
    "eigenvalue_bound",
    "haar_basis",
    "operator_norm",
]
