"""A matrix that is read a few rows at a time: from a file, a store of chunks, or whatever makes its rows.

Products and sums over rows go through all blocks once and keep none of them, so that the matrix is never in memory as a
whole.  The solvers of tall problems know such a matrix and go through it as seldom as they can
(`xpsolve.arrays.row_blocks`); all others take it as the operator that it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from xpsolve.arrays import (
    Array,
    adjoint_product,
    check_count,
    check_rows,
    is_array,
    library,
    namespace_of,
    row_sums,
    wide_product,
)
from xpsolve.operators.base import LinearOperator
from xpsolve.operators.sparse import is_sparse

_BLOCK = 2**24  # bytes of a block


def is_source(A: Any) -> bool:
    """Whether `A` is no array but has the shape of a matrix, a dtype and slices, as the data sets of HDF5 and Zarr.

    A sparse matrix has them too, but its zeros are not to be read.
    """
    if isinstance(A, type | np.ndarray | LinearOperator) or is_array(A) or not hasattr(type(A), "__getitem__"):
        return False
    if is_sparse(A):
        return False
    shape = getattr(A, "shape", None)
    matrix = isinstance(shape, tuple) and len(shape) == 2
    return matrix and isinstance(getattr(A, "dtype", None), np.dtype)


def is_long(A: Array) -> bool:
    """Whether an array in a file is a matrix with at least as many rows as columns, and longer than a block."""
    return bool(A.ndim == 2 and A.shape[0] >= A.shape[1] and A.nbytes > _BLOCK)


def read_by_rows(A: Any) -> bool:
    """Whether solvers go through a matrix block by block of rows: one on a disk, of Dask, or of `Rows`."""
    if isinstance(A, np.memmap | Rows):
        return True
    if type(A) is np.ndarray:
        return False
    xp = namespace_of(A)
    return not hasattr(xp, "inside") and library(xp) == "dask"


class Rows(LinearOperator):
    """A matrix whose rows are read in blocks, as NumPy arrays, every time that they are needed.

    Parameters
    ----------
    source : array-like or callable
        What has ``shape`` (n, p), ``dtype`` and slices of rows: data sets of h5py, arrays of Zarr, a memmap of NumPy.
        Or a function without arguments that returns an iterator of blocks (n_i, p), a new one at each call, with the
        same rows in the same order: each pass over the matrix is one call.
    shape : tuple of int, optional
        (n, p); needed for a function.
    dtype : dtype, optional
        Of the blocks as they are computed with; None is that of the source, float64 for a function.
    block : int, optional
        Rows that are read at once; None is as many chunks of the source as make 16 MB.  Not for a function.

    Raises
    ------
    TypeError
        If the source is neither, or is an iterator, which could be gone through only once.
    ValueError
        If there is no shape, or another; when it is read, if a function makes more or fewer rows, or blocks of another
        width.

    See Also
    --------
    LinearOperator : What else can be passed as A.

    Notes
    -----
    Functions that take A take such a data set as it is; `Rows` gives it a dtype or blocks, or makes one of a function.
    A ``numpy.memmap`` is taken as an array where its dtype is that of y; as `Rows` the stochastic methods go through it
    chunk by chunk.  y has to be in memory.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> def blocks():
    ...     rng = np.random.default_rng(0)
    ...     for _ in range(100):
    ...         yield rng.standard_normal((1000, 3))
    >>> A = xs.Rows(blocks, shape=(100_000, 3))
    >>> y = A @ np.asarray([1.0, 0.0, -2.0])
    >>> xs.ridge(A, y, 1000.0).x.round(2)
    array([ 0.99,  0.  , -1.98])
    """

    by_rows: ClassVar[bool] = True

    def __init__(
        self,
        source: Any,
        *,
        shape: tuple[int, int] | None = None,
        dtype: Any = None,
        block: int | None = None,
    ) -> None:
        made = callable(source)
        if not made and not is_source(source) and not (isinstance(source, np.ndarray) and source.ndim == 2):
            kind = type(source).__qualname__
            message = "source: expected an object with shape (n, p), dtype and slices, or a function that makes an "
            message += f"iterator of blocks (n_i, p) at each call, got {kind}."
            if hasattr(source, "__next__"):
                message += " An iterator can be gone through once: pass the function that makes it."
            raise TypeError(message)
        if made and shape is None:
            message = "shape: expected (n, p) beside a function, whose rows are not counted beforehand, got None."
            raise ValueError(message)
        if made and block is not None:
            message = f"block: expected None beside a function, whose blocks are as it makes them, got {block!r}."
            raise ValueError(message)
        if block is not None:
            check_count(block, "block", 1)
        super().__init__(tuple(source.shape) if shape is None else shape)
        if not made and self.shape != tuple(source.shape):
            message = f"shape: expected that of the source, {tuple(source.shape)}, got {self.shape}."
            raise ValueError(message)
        self.source, self.block = source, block
        own = np.dtype("float64") if made else source.dtype
        try:
            self._like = np.zeros(0, dtype=own if dtype is None else dtype)
        except TypeError:
            message = f"dtype: expected a dtype of NumPy or None, got {dtype!r}."
            raise TypeError(message) from None
        self.factor: Array | None = None  # what the rows are multiplied by when they are read, 0-d or (p,)

    @property
    def like(self) -> Array:
        """An empty array of the dtype of the blocks."""
        return self._like

    @property
    def slices(self) -> bool:
        """Whether rows can be read in any order, from a source that is no function."""
        return not callable(self.source)

    @property
    def step(self) -> int:
        """Rows that are read at once from a source with slices: whole chunks of it."""
        if self.block is not None:
            return self.block
        return self._rows_in(_BLOCK)

    def _rows_in(self, size: int) -> int:
        """Rows of about so many bytes."""
        n, p = self.shape
        most = max(size // max(p * int(self.source.dtype.itemsize), 1), 1)
        chunks = getattr(self.source, "chunks", None)
        chunk = int(chunks[0]) if chunks else 1
        return min(max(most // chunk, 1) * chunk, max(n, 1))

    def in_blocks(self, size: int) -> Rows:
        """The same in blocks of about so many bytes, unless it is known what they are."""
        if not self.slices or self.block is not None:
            return self
        other = copy.copy(self)
        other.block = self._rows_in(size)
        return other

    def rows(self, start: int, stop: int) -> Array:
        """Some rows of a source with slices, in memory."""
        block = self._checked(self.source[start:stop], 1)
        if block.shape[0] != stop - start:
            message = f"A: expected {stop - start} rows from row {start} on, as its shape says, got {block.shape[0]}."
            raise ValueError(message)
        return block

    def row_blocks(self) -> Iterator[Array]:
        """One pass: all blocks, from the first row to the last."""
        n, _ = self.shape
        if self.slices:
            step = self.step
            for i in range(0, n, step):
                yield self.rows(i, min(i + step, n))
            return
        found = 0
        for number, block in enumerate(self._opened(), start=1):
            block = self._checked(block, number)
            found += block.shape[0]
            if found > n:
                self._wrong(f"at least {found}")
            yield block
        if found < n:
            self._wrong(str(found))

    def shuffled(self, rng: np.random.Generator) -> Iterator[tuple[slice, Array]]:
        """One pass in random order of the blocks, with which rows they are; those of a function come in its order."""
        if self.slices:
            step, n = self.step, self.shape[0]
            for i in rng.permutation(-(-n // step)).tolist():
                part = slice(i * step, min((i + 1) * step, n))
                yield part, self.rows(part.start, part.stop)
            return
        start = 0
        for block in self.row_blocks():
            yield slice(start, start + block.shape[0]), block
            start += block.shape[0]

    def batches(self, *others: Array, size: int | None = None, epochs: int = 1, seed: int = 0) -> Iterator[Any]:
        """Rows in random order, a batch at a time, for methods that go through a stream.

        Blocks come in random order, and their rows in random order within each, in every epoch another; of a function,
        blocks come in the order in which it makes them.  Rows that are sorted in the file, as by their class, have to
        be mixed before: a block would hold one class alone.

        Parameters
        ----------
        *others : array, shape (n, …)
            What has as many rows, as y; the same rows of it are beside those of the matrix.
        size : int, optional
            Rows of a batch; None takes whole blocks.  The last batch of a block has what is left.
        epochs : int
            How often to go through all rows.
        seed : int
            Of the order.

        Yields
        ------
        tuple of array
            Rows of the matrix, and of the others.

        Raises
        ------
        TypeError, ValueError
            If an option is no integer or out of range, or another array has another number of rows.

        Examples
        --------
        >>> import numpy as np
        >>> import xpsolve as xs
        >>> rng = np.random.default_rng(0)
        >>> A = rng.standard_normal((1000, 2))
        >>> rows = xs.Rows(A, block=100)
        >>> solution = xs.sgd(xs.LeastSquares, batches=rows.batches(A @ np.ones(2), epochs=20))
        >>> solution.x.round(3), solution.n_iter
        (array([1., 1.]), 20000)
        """
        if size is not None:
            check_count(size, "size", 1)
        check_count(epochs, "epochs", 0)
        check_count(seed, "seed", 0)
        for number, y in enumerate(others):
            check_rows(y, f"others[{number}]", self.shape[0], "A")
        return self._batches(others, size, epochs, seed)

    def _batches(self, others: tuple[Array, ...], size: int | None, epochs: int, seed: int) -> Iterator[Any]:
        for epoch in range(epochs):
            rng = np.random.default_rng((seed, epoch))
            for part, A in self.shuffled(rng):
                order, count = rng.permutation(A.shape[0]), size or A.shape[0]
                for i in range(0, A.shape[0], count):
                    some = order[i : i + count]
                    yield (A[some, :], *(y[part, ...][some, ...] for y in others))

    def _opened(self) -> Iterator[Any]:
        made = self.source()
        try:
            return iter(made)
        except TypeError:
            kind = type(made).__qualname__
            message = f"A: expected a function that makes an iterator of blocks of rows, got one that returns {kind}."
            raise TypeError(message) from None

    def _checked(self, block: Any, number: int) -> Array:
        array = np.asarray(block)
        if array.ndim != 2 or array.shape[1] != self.shape[1]:
            message = f"A: expected blocks of shape (n_i, {self.shape[1]}), got {array.shape} as number {number}."
            raise ValueError(message)
        if not np.can_cast(array.dtype, self._like.dtype, "same_kind"):
            message = f"A: expected numbers that {self._like.dtype} can hold, got {array.dtype} in block {number}. "
            message += "Say what they are computed with: xs.Rows(…, dtype=…)."
            raise TypeError(message)
        array = array if array.dtype == self._like.dtype else array.astype(self._like.dtype)
        return array if self.factor is None else array * self.factor

    def _wrong(self, found: str) -> None:
        message = (
            f"A: expected {self.shape[0]} rows in each pass, got {found}. The function has to make a new iterator over "
            "the same rows at each call."
        )
        raise ValueError(message)

    def _matvec(self, x: Array) -> Array:
        return namespace_of(x).concat([wide_product(block, x) for block in self.row_blocks()], axis=0)

    def _rmatvec(self, y: Array) -> Array:
        (total,) = row_sums(lambda block, y: (adjoint_product(block, y),), self, y)
        return total

    def residual(self, x: Array, y: Array) -> tuple[Array, Array]:
        """s = y − A x and Aᵀs, in one pass."""
        self._check(x, "x", self.shape[1])
        first, parts, total = 0, [], None
        for block in self.row_blocks():
            stop = first + block.shape[0]
            s = y[first:stop, ...] - wide_product(block, x)
            c = adjoint_product(block, s)
            parts.append(s)
            total = c if total is None else total + c
            first = stop
        return namespace_of(x).concat(parts, axis=0), total

    def scaled(self, factor: Array) -> Rows:
        """The matrix times a factor, 0-d or one for each column, which every block is multiplied by when it is read."""
        other = copy.copy(self)
        other.factor = factor if self.factor is None else self.factor * factor
        return other

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        like, other = function(self._like), copy.copy(self)
        if isinstance(like, np.ndarray):  # in another dtype; the rows themselves are never followed
            other._like = like
        return other
