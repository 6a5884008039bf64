"""A few weighted rows in memory that stand for all rows of a least-squares problem in k-fold cross-validation.

Squared errors see the rows (1, a, y) of a part of the data through Σ w (1, a, y)(1, a, y)ᵀ alone.  One pass finds, for
every part that the folds keep or leave out as a whole, the triangle R of W^½[1 A Y] = QR.  H is the reflection that
makes the first column of its N rows constant, and

    [1 A′ Y′] = √(N/w) H R,      N rows of the weight w/N each,  w = Σ w_i,

has the same sums.  The functions for data in memory take these rows as they would take all.  The error on a fold
remains a sum of squares: no squares are subtracted from one another, so that no digit is lost where it is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import array_api_compat.numpy
import numpy as np

from xpsolve.arrays import Array, cast, check_finite, namespace_of, row_reduce, settled, wide_dtype
from xpsolve.linear._folds import split
from xpsolve.linear._problem import matrix_in, squared_norms
from xpsolve.linear._row_problem import Summed, Sums, delivered_beside
from xpsolve.linear._samples import Samples
from xpsolve.operators import LinearOperator
from xpsolve.operators.rows import Rows

_MOST = 256  # parts of the data, each with a triangle in memory


class Condensed(NamedTuple):
    """Rows in memory, and the problem that they stand for."""

    A: Array  # (r, p)
    Y: Array  # (r, k)
    weights: Array  # (r,)
    folds: list[tuple[Array, Array]]  # numbers of these rows, to keep and to leave out
    n: int  # the rows of weight above 0 that they stand for
    whole: Samples  # the problem of these, of which one pass is known


def condensed(
    operator: LinearOperator, y: Array, weights: Array | None, intercept: bool, folds: Any, check: bool
) -> Condensed:
    """One pass over the rows of an operator, more than it has columns; `folds` as in `lasso_cv`, or None."""
    (n, p), matrix, Y = operator.shape, matrix_in(operator), y if y.ndim == 2 else y[:, None]
    groups = _Groups.of(folds, n)
    rows = (Y, groups.labels_for(matrix), *(() if weights is None else (weights,)))
    *triangles, counts = row_reduce(partial(_triangles, groups.count, wide_dtype(y)), _merged, matrix, *rows)
    if check:
        seen = np.stack([np.sum(R) for R in triangles])
        check_finite(array_api_compat.numpy, lambda: seen, A=matrix, y=y)
    small = [_standing_for(R, total) for R, total in zip(triangles, counts[1], strict=True)]
    M, w = (np.concatenate(parts) for parts in zip(*small, strict=True))
    A, Y = np.ascontiguousarray(M[:, 1 : p + 1]), np.ascontiguousarray(M[:, p + 1 :])
    pairs = groups.pairs([len(part) for _, part in small])
    return Condensed(A, Y, w, pairs, int(np.sum(counts[0])), _whole(operator, y, weights, triangles, intercept))


class _Groups(NamedTuple):
    """Parts of the rows, each of which every fold keeps or leaves out as a whole."""

    count: int
    ends: Array  # where each ends, if the parts follow one another; else empty
    labels: Array  # the part of each row, if they do not
    folds: Sequence[tuple[Array, Array]]  # how often each fold keeps every part, and leaves it out

    @classmethod
    def of(cls, folds: Any, n: int) -> _Groups:
        """The parts of so many rows; one if there are no folds."""
        none = np.zeros(0, np.int64)
        if folds is None:
            return cls(1, np.asarray([n]), none, [])
        kept, left = split(folds, n)
        if isinstance(left[0], slice):
            each = np.eye(len(left), dtype=np.int64)
            return cls(len(left), np.asarray([rows.stop for rows in left]), none, [(1 - one, one) for one in each])
        labels = np.zeros(n, np.int64)
        for rows in (*kept, *left):
            times = np.bincount(rows, minlength=n)
            _, labels = np.unique(labels * (np.max(times) + 1) + times, return_inverse=True)
        _, first = np.unique(labels, return_index=True)
        if len(first) > _MOST:
            message = (
                f"folds: expected folds that divide the rows into at most {_MOST} parts, each kept or left out as a "
                f"whole, for an A that is read block by block, got {len(first)} parts. Use fewer folds."
            )
            raise ValueError(message)
        found = [tuple(np.bincount(rows, minlength=n)[first] for rows in pair) for pair in zip(kept, left, strict=True)]
        return cls(len(first), none, labels, found)

    def labels_for(self, A: Any) -> Array:
        """The part of every row, (n,), in the chunks of A."""
        if isinstance(A, np.memmap | Rows):
            return self.labels if len(self.labels) else self._of_rows(np.arange(A.shape[0]))
        import dask.array

        if len(self.labels):
            return dask.array.from_array(self.labels, chunks=(A.chunks[0],))
        return dask.array.arange(A.shape[0], chunks=(A.chunks[0],)).map_blocks(self._of_rows, dtype=np.int64)

    def _of_rows(self, numbers: Array) -> Array:
        return np.searchsorted(self.ends, numbers, side="right")

    def pairs(self, sizes: Sequence[int]) -> list[tuple[Array, Array]]:
        """The folds as numbers of rows, where the parts have so many rows each."""
        rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])

        def taken(times: Array) -> Array:
            return np.concatenate([np.repeat(part, count) for part, count in zip(rows, times, strict=True)])

        return [(taken(kept), taken(left)) for kept, left in self.folds]


def _triangles(
    count: int, dtype: Any, A: Array, Y: Array, labels: Array, weights: Array | None = None
) -> tuple[Array, ...]:
    """R of W^½[1 A Y] for the rows of each part; and for each part how many have a weight, and the sum of weights."""
    M = np.concatenate([np.ones((A.shape[0], 1), dtype), A, Y], axis=1, dtype=dtype)
    there = np.bincount(labels, minlength=count) if weights is None else np.bincount(labels, weights > 0, count)
    total = there if weights is None else np.bincount(labels, weights, count)
    if weights is not None:
        M *= np.sqrt(weights)[:, None]
    if np.any(labels[1:] < labels[:-1]):
        order = np.argsort(labels, kind="stable")
        labels, M = labels[order], M[order]
    bounds = np.searchsorted(labels, np.arange(count + 1))
    parts = (M[i:j] for i, j in zip(bounds[:-1], bounds[1:], strict=True))
    return (*(_triangle([part]) for part in parts), np.stack([there, total]).astype(np.float64))


def _triangle(parts: Sequence[Array]) -> Array:
    """R of the parts, one below the other; the rows themselves where these are not more than columns."""
    there = [part for part in parts if len(part)] or list(parts[:1])
    M = there[0] if len(there) == 1 else np.concatenate(there)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.linalg.qr(M, mode="r") if M.shape[0] > M.shape[1] else M


def _merged(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    *triangles, counts = zip(*parts, strict=True)
    return (*(_triangle(some) for some in triangles), np.sum(np.stack(counts), axis=0))


def _standing_for(R: Array, total: float) -> tuple[Array, Array]:
    """[1 A′ Y′] and the weights of N rows in place of those with the triangle R and this sum of weights."""
    R = np.linalg.qr(R, mode="r")
    N = R.shape[0]
    v = np.full((N, 1), -(N**-0.5))
    v[0] += np.copysign(1, R[0, 0])
    square = np.sum(v * v)
    if square > 0:
        R = R - v * ((2 / square) * (v.T @ R))
    return R * np.sqrt(N / total if total > 0 else 0), np.full(N, total / N)


def _whole(
    operator: Any, y: Array, weights: Array | None, triangles: Sequence[Array], intercept: bool
) -> Samples:
    """The problem of all rows as they were given, of which AᵀA, Aᵀy and ‖y‖² are known."""
    p, xp = operator.shape[1], namespace_of(y)
    T = np.linalg.qr(np.concatenate(triangles), mode="r")
    center = roots = mean = means = None
    if intercept:
        row = T[0, 1:] / T[0, 0]
        mean, center = cast(row[:p], y.dtype), cast(row[p:] if y.ndim == 2 else np.asarray(row[p]), y.dtype)
        means = tuple(delivered_beside(y, part) for part in (mean, center))
        T, y = T[1:, 1:], y - center
    else:
        T = np.linalg.qr(T[:, 1:], mode="r")
    if weights is not None:
        (roots,) = settled(xp.sqrt(weights))
        y = y * (roots if y.ndim == 1 else roots[:, None])
    R, C = T[:p, :p], T[:, p:]
    known = Sums(R.T @ R, R.T @ C[:p, :], squared_norms(C))
    return Samples(Summed(operator, mean, roots, known, (R, C)), y, means, roots)
