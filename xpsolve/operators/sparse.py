"""Sparse matrices of SciPy (CPU) and CuPy (GPU) as operators."""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, innermost, namespace_of, native
from xpsolve.operators.base import LinearOperator


@native
def sparse_product(x: Array, S: Any) -> Array:
    """S x for a sparse matrix S of the library of x."""
    return S @ x


@native
def sparse_gram(index: Array, transposed: Any, dtype: Any) -> Array:
    """The dense (k, k) Gram matrix of some rows of Aᵀ, which never become dense themselves."""
    rows = transposed[index].astype(dtype)
    return (rows @ rows.T).toarray()


@native
def sparse_column_sizes(numbers: Array, transposed: Any) -> Array:
    """max_i |A_ij| of each column, (p,), from Aᵀ in CSR form, which stores these numbers."""
    largest, smallest = transposed.max(axis=1), transposed.min(axis=1)
    if hasattr(largest, "toarray"):
        largest, smallest = largest.toarray(), smallest.toarray()
    return namespace_of(numbers).maximum(largest.ravel(), -smallest.ravel())


def is_sparse(A: Any) -> bool:
    """Whether `A` is a sparse matrix of SciPy or CuPy, found out without importing either."""
    if not hasattr(A, "tocsr"):
        return False
    modules = {base.__module__.partition("._")[0] for base in type(A).__mro__}
    return any(m.startswith(("scipy.sparse", "cupyx.scipy.sparse")) for m in modules)


class Sparse(LinearOperator):
    """A sparse matrix as an operator; it and its transpose are kept in CSR form.

    Parameters
    ----------
    S : scipy.sparse or cupyx.scipy.sparse matrix or array, shape (n, p)
        Any format.

    Raises
    ------
    TypeError
        If S is not sparse, or complex.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from xpsolve.operators import Sparse
    >>> Sparse(scipy.sparse.eye_array(3)) @ np.ones(3)
    array([1., 1., 1.])
    """

    def __init__(self, S: Any) -> None:
        if not is_sparse(S):
            message = f"S: expected a sparse matrix of scipy.sparse or cupyx.scipy.sparse, got {type(S).__qualname__}."
            raise TypeError(message)
        if S.dtype.kind == "c":
            message = f"S: expected a real sparse matrix, got dtype {S.dtype}."
            raise TypeError(message)
        super().__init__(S.shape)
        if S.dtype.kind != "f":
            S = S.astype("float64")
        self.S = S.tocsr()
        self._transposed = self.S.T.tocsr()

    @property
    def like(self) -> Array:
        """The stored numbers."""
        return self.S.data

    def astype(self, dtype: Any) -> Sparse:
        """The same matrix in another dtype (itself if it has it)."""
        return self if self.S.dtype == dtype else Sparse(self.S.astype(dtype))

    def scaled(self, factor: Array) -> Sparse:
        """The matrix times a 0-d factor."""
        S = self.S.copy()
        S.data = S.data * innermost(factor)
        return Sparse(S)

    def _matvec(self, x: Array) -> Array:
        return sparse_product(x, self.S)

    def _rmatvec(self, y: Array) -> Array:
        return sparse_product(y, self._transposed)

    def gram(self, index: Array, dtype: Any) -> Array:
        """The Gram matrix of the columns with these indices, dense and computed in this dtype."""
        return sparse_gram(index, self._transposed, dtype)
