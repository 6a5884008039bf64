"""Sparse matrices of SciPy (CPU) and CuPy (GPU) as operators.

CuPy waits for the device before each first product with a matrix, for the shape of some rows of it and for a product of
two sparse matrices.  So an operator examines its matrix once, in one host read, and uses dense rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve.arrays import Array, accumulate, cast, conjugate, device_of, innermost, namespace_of, native
from xpsolve.operators.base import LinearOperator
from xpsolve.trace import host_read

_PANEL = 2**27  # numbers of rows that are dense at once for a Gram matrix


@native
def sparse_product(x: Array, S: Any) -> Array:
    """S x for a sparse matrix S of the library of x."""
    return S @ x


class Rows(NamedTuple):
    """A matrix in CSR form, whose rows are needed."""

    S: Any
    longest: int | None  # stored numbers of a row, at most; None where sparse rows cost no wait


@native
def sparse_rows(index: Array, S: Any) -> Any:
    """Some rows of S, sparse too."""
    return S[index]


@native
def sparse_gram(index: Array, S: Any, dtype: Any) -> Array:
    """The dense (k, k) Gram matrix of some rows of S, which never become dense themselves."""
    rows = S[index].astype(dtype)
    return (rows @ rows.T).toarray()


@native
def dense_rows(index: Array, rows: Rows, columns: range | None = None) -> Array:
    """The rows with these indices (k,), dense, or a range of their columns: no host read, k·longest numbers moved."""
    xp, S = namespace_of(index), rows.S
    columns = range(S.shape[1]) if columns is None else columns
    k, p = index.shape[0], len(columns)
    numbers, places, ends = S.data, S.indices, S.indptr
    if not rows.longest:
        return xp.zeros((k, p), dtype=numbers.dtype, device=device_of(numbers))
    steps = xp.arange(rows.longest, dtype=ends.dtype, device=device_of(index))
    entry = xp.take(ends, index)[:, None] + steps
    there = entry < xp.take(ends, index + 1)[:, None]
    entry = xp.reshape(xp.where(there, entry, xp.zeros_like(entry)), (-1,))
    column = xp.reshape(xp.take(places, entry), there.shape) - columns.start
    there = there & (column >= 0) & (column < p)
    number = xp.where(there, xp.reshape(xp.take(numbers, entry), there.shape), xp.zeros((), dtype=numbers.dtype))
    column = cast(xp.where(there, column, steps % p), index.dtype)  # zeros are added to different places
    first = xp.arange(k, dtype=index.dtype, device=device_of(index)) * p
    place = xp.reshape(first[:, None] + column, (-1,))
    return xp.reshape(accumulate(xp.reshape(number, (-1,)), place, k * p), (k, p))


@dense_rows.register("cupy")
def _dense_rows_cupy(index: Array, rows: Rows, columns: range | None = None) -> Array:
    """One thread for each number that a row may store; no place comes twice, since the format is canonical."""
    import cupy

    S = rows.S
    columns = range(S.shape[1]) if columns is None else columns
    found = cupy.zeros((index.shape[0], len(columns)), dtype=S.dtype)
    if not found.size or not rows.longest:
        return found
    spread = cupy.ElementwiseKernel(
        "raw K index, raw I ends, raw I places, raw T numbers, int64 longest, int64 first, int64 width",
        "raw T z",
        """
        ptrdiff_t row = i / longest, at = ends[index[row]] + i % longest;
        if (at < ends[index[row] + 1]) {
            ptrdiff_t column = places[at] - first;
            if (column >= 0 && column < width) z[row * width + column] = numbers[at];
        }
        """,
        "xpsolve_dense_rows",
        no_return=True,
    )
    first, stored = columns.start, (S.indptr, S.indices, S.data)
    index = cupy.ascontiguousarray(index)
    spread(index, *stored, rows.longest, first, len(columns), found, size=index.shape[0] * rows.longest)
    return found


def gram_of_rows(index: Array, rows: Rows, dtype: Any) -> Array:
    """The dense (k, k) Gram matrix of some rows, computed in this dtype."""
    if rows.longest is None:
        return sparse_gram(index, rows.S, dtype)
    total, n = None, rows.S.shape[1]
    width = max(_PANEL // index.shape[0], 1)
    for first in range(0, n, width):
        R = cast(dense_rows(index, rows, range(first, min(first + width, n))), dtype)
        total = R @ R.T if total is None else total + R @ R.T
    return total


@native
def sparse_column_sizes(numbers: Array, A: Sparse) -> Array:
    """max_i |A_ij| of each column, (p,), of A, which stores these numbers."""
    largest, smallest = A.columns.S.max(axis=1), A.columns.S.min(axis=1)
    if hasattr(largest, "toarray"):
        largest, smallest = largest.toarray(), smallest.toarray()
    return namespace_of(numbers).maximum(largest.ravel(), -smallest.ravel())


@sparse_column_sizes.register("cupy")
def _sparse_column_sizes_cupy(numbers: Array, A: Sparse) -> Array:
    import cupy

    sizes = cupy.zeros(A.shape[1], dtype=numbers.dtype)
    cupy.maximum.at(sizes, A.rows.S.indices, cupy.abs(numbers))
    return sizes


@native
def _longest(numbers: Array, S: Any) -> tuple[int | None, int | None]:
    """The most stored numbers of a row and of a column of S, where it is needed."""
    return None, None


@_longest.register("cupy")
def _longest_cupy(numbers: Array, S: Any) -> tuple[int, int]:
    """In the same host read: whether S is in canonical format.  Where it is not it becomes so, as in any product."""
    import cupy

    if not S.nnz:
        return 0, 0
    host_read("sparse format")
    starts = cupy.zeros(S.nnz + 1, dtype=bool)
    starts[S.indptr] = True
    unsorted = cupy.any((S.indices[1:] <= S.indices[:-1]) & ~starts[1:-1])
    of_columns = accumulate(cupy.ones(S.nnz, dtype="float64"), S.indices, S.shape[1])
    most = (cupy.max(cupy.diff(S.indptr)), cupy.max(of_columns))
    found, row, column = cupy.stack([x.astype("float64") for x in (unsorted, *most)]).tolist()
    if found:
        S.sum_duplicates()
    else:
        S.has_canonical_format = True
    return int(row), int(column)


@native
def _scaled_columns(factors: Array, S: Any) -> Any:
    """S with its columns times the factors."""
    return with_numbers(S, S.data * namespace_of(factors).take(factors, S.indices))


def with_numbers(S: Any, numbers: Array) -> Any:
    """A copy of S that stores other numbers in the same places."""
    other = S.copy()
    other.data = numbers
    if S.has_canonical_format:
        other.has_canonical_format = True
    return other


def is_sparse(A: Any) -> bool:
    """Whether `A` is a sparse matrix of SciPy or CuPy, without importing either."""
    if not hasattr(A, "tocsr"):
        return False
    modules = {base.__module__.partition("._")[0] for base in type(A).__mro__}
    return any(m.startswith(("scipy.sparse", "cupyx.scipy.sparse")) for m in modules)


class Sparse(LinearOperator):
    """A sparse matrix as an operator; it and its conjugate transpose are kept in CSR form.

    Parameters
    ----------
    S : scipy.sparse or cupyx.scipy.sparse matrix or array, shape (n, p)
        Any format.

    Raises
    ------
    TypeError
        If S is not sparse.
    ValueError
        If S has not two axes.

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
        if len(S.shape) != 2:
            message = f"S: expected a sparse matrix (n, p), got shape {tuple(S.shape)}."
            raise ValueError(message)
        super().__init__(S.shape)
        if S.dtype.kind not in "fc":
            S = S.astype("float64")
        S = S.tocsr()
        row, column = _longest(S.data, S)
        transposed = S.T.tocsr()
        if row is not None:  # the same entries in the order of columns
            transposed.has_canonical_format = True
        if S.dtype.kind == "c":
            transposed = with_numbers(transposed, conjugate(transposed.data))
        self.rows, self.columns = Rows(S, row), Rows(transposed, column)

    @property
    def S(self) -> Any:
        """The matrix in CSR form."""
        return self.rows.S

    @property
    def like(self) -> Array:
        """The stored numbers."""
        return self.S.data

    def _entrywise(self, function: Callable[[Array], Array]) -> Sparse:
        other = copy.copy(self)
        other.rows, other.columns = (
            rows._replace(S=with_numbers(rows.S, function(rows.S.data))) for rows in (self.rows, self.columns)
        )
        return other

    def astype(self, dtype: Any) -> Sparse:
        """The same matrix in another dtype (itself if it has it)."""
        return self if self.S.dtype == dtype else self._entrywise(lambda numbers: cast(numbers, dtype))

    def scaled(self, factor: Array) -> Sparse:
        """The matrix times a 0-d factor."""
        return self._entrywise(lambda numbers: numbers * innermost(factor))

    def _matvec(self, x: Array) -> Array:
        return sparse_product(x, self.rows.S)

    def _rmatvec(self, y: Array) -> Array:
        return sparse_product(y, self.columns.S)

    def gram(self, index: Array, dtype: Any, weights: Array | None = None) -> Array:
        """The Gram matrix of the columns with these indices, dense and computed in this dtype.

        With weights (n,) of the rows it is that of W^½A.
        """
        columns = self.columns
        if weights is not None:
            columns = columns._replace(S=_scaled_columns(namespace_of(weights).sqrt(weights), columns.S))
        return gram_of_rows(index, columns, dtype)
