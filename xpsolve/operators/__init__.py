"""Linear operators: dense, sparse, tensor, convolution, gradient, wavelets, Fourier, Kronecker; norm, adjoint test."""

from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.operators.convolution import convolve, convolve_adjoint
from xpsolve.operators.convolution_operator import Convolution
from xpsolve.operators.entry import aslinearoperator
from xpsolve.operators.fourier import Fourier
from xpsolve.operators.gradient import Gradient
from xpsolve.operators.kronecker import Kronecker, cosine_basis, haar_basis
from xpsolve.operators.norms import dot_test, eigenvalue_bound, operator_norm
from xpsolve.operators.real_form import RealForm
from xpsolve.operators.rows import Rows
from xpsolve.operators.sparse import Sparse
from xpsolve.operators.tensor import Tensor
from xpsolve.operators.wavelet import Wavelet

__all__ = [
    "Convolution",
    "Dense",
    "Fourier",
    "Gradient",
    "Kronecker",
    "LinearOperator",
    "RealForm",
    "Rows",
    "Sparse",
    "Tensor",
    "Wavelet",
    "aslinearoperator",
    "convolve",
    "convolve_adjoint",
    "cosine_basis",
    "dot_test",
    "eigenvalue_bound",
    "haar_basis",
    "operator_norm",
]
