"""A few weighted rows in memory that stand for all rows of a least-squares problem in k-fold cross-validation.

Squared errors see the rows (1, a, y) of a part of the data through G = Σ w (1, a, y)(1, a, y)ᵀ = RᵀR alone.  One pass
finds G for every part that the folds keep or leave out as a whole.  H is the reflection that makes the first column of
the N rows of R constant, and

    [1 A′ Y′] = √(N/w) H R,      N rows of the weight w/N each,  w = Σ w_i,

has the same sums.  The functions for data in memory take these rows as they would take all, so that the error on a fold
remains a sum of squares.  R is a Cholesky factor of G with its diagonal scaled to 1, where no eigenvalue of that is
below 2⁻²⁰: an error on a fold then has a rounding error of 2⁻³² of itself, as long as A has less than a thousand
columns.  Otherwise, as where the errors are far smaller than y, R is that of W^½[1 A Y] = QR, by one more pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import array_api_compat.numpy
import numpy as np

from xpsolve.arrays import (
    Array,
    adjoint_product,
    cast,
    check_finite,
    gram,
    namespace_of,
    row_reduce,
    settled,
    wide_dtype,
)
from xpsolve.linear._folds import split
from xpsolve.linear._problem import in_range, matrix_in, squared_norms
from xpsolve.linear._row_problem import Summed, Sums, delivered_beside
from xpsolve.linear._samples import Samples
from xpsolve.operators import LinearOperator
from xpsolve.operators.rows import Rows

_MOST = 256  # parts of the data, each with a triangle in memory
_WELL = 2.0**-20  # the least eigenvalue of a scaled G for a Cholesky factor


class Condensed(NamedTuple):
    """Rows in memory, and the problem that they stand for."""

    A: Array  # (r, p)
    Y: Array  # (r, k)
    weights: Array  # (r,)
    folds: list[tuple[Array, Array]]  # numbers of these rows, to keep and to leave out
    n: int  # the rows of weight above 0 that they stand for
    whole: Samples  # the problem of these, of which one pass is known
    method: str  # by which R was found


def condensed(
    operator: LinearOperator, y: Array, weights: Array | None, intercept: bool, folds: Any, check: bool
) -> Condensed:
    """One pass over the rows of an operator, more than it has columns; `folds` as in `lasso_cv`, or None."""
    (n, p), matrix, Y = operator.shape, matrix_in(operator), y if y.ndim == 2 else y[:, None]
    groups = _Groups.of(folds, n)
    rows = (Y, groups.labels_for(matrix), *(() if weights is None else (weights,)))
    method, dtype = "cholesky", wide_dtype(y)
    *grams, counts = row_reduce(
        partial(_of_parts, _gram_of, groups.parts, dtype), partial(_merged, _added), matrix, *rows
    )
    if check:
        seen = np.stack([np.sum(G) for G in grams])
        check_finite(array_api_compat.numpy, lambda: seen, A=matrix, y=y)
    triangles = [_cholesky(G) for G in grams]
    if any(R is None for R in triangles):
        method, of = "cholesky->qr", partial(_of_parts, _triangle_of, groups.parts, dtype)
        *triangles, _ = row_reduce(of, partial(_merged, _triangle), matrix, *rows)
    small = [_standing_for(R, total) for R, total in zip(triangles, counts[1], strict=True)]
    M, w = (np.concatenate(parts) for parts in zip(*small, strict=True))
    A, Y = np.ascontiguousarray(M[:, 1 : p + 1]), np.ascontiguousarray(M[:, p + 1 :])
    pairs = groups.pairs([len(part) for _, part in small])
    whole = _whole(operator, y, weights, triangles, intercept)
    return Condensed(A, Y, w, pairs, int(np.sum(counts[0])), whole, method)


class _Groups(NamedTuple):
    """Parts of the rows, each of which every fold keeps or leaves out as a whole."""

    parts: int
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
        often = [[np.bincount(rows, minlength=n)[first] for rows in some] for some in (kept, left)]
        return cls(len(first), none, labels, list(zip(*often, strict=True)))

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


def _of_parts(
    of: Callable[[Array, Array], Array],
    count: int,
    dtype: Any,
    A: Array,
    Y: Array,
    labels: Array,
    weights: Array | None = None,
) -> tuple[Array, ...]:
    """of(W^½[1 Y], W^½A) for the rows of each part, empty where there are none; and for all parts how many rows have a
    weight, and the sum of weights.
    """
    B, S = cast(A, dtype), np.concatenate([np.ones((A.shape[0], 1), dtype), Y], axis=1, dtype=dtype)
    there = np.bincount(labels, minlength=count)
    total = there
    if weights is not None:
        roots = np.sqrt(cast(weights, dtype))[:, None]
        B, S = B * roots, S * roots
        there, total = np.bincount(labels, weights > 0, count), np.bincount(labels, weights, count)
    if np.any(labels[1:] < labels[:-1]):
        order = np.argsort(labels, kind="stable")
        labels, B, S = labels[order], B[order], S[order]
    bounds = np.searchsorted(labels, np.arange(count + 1))
    none = np.zeros((0, B.shape[1] + S.shape[1]), dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        found = [of(S[i:j], B[i:j]) if i < j else none for i, j in itertools.pairwise(bounds)]
    return (*found, np.stack([there, total]).astype(np.float64))


def _gram_of(S: Array, B: Array) -> Array:
    """G, or W^½[1 A Y] where that has fewer rows."""
    q, C = S.shape[1] + B.shape[1], adjoint_product(S, B)
    if S.shape[0] < q:
        return _rows_of(S, B)
    few, many = np.r_[0, q - S.shape[1] + 1 : q], slice(1, q - S.shape[1] + 1)
    G = np.empty((q, q), B.dtype)
    G[np.ix_(few, few)], G[many, many] = adjoint_product(S, S), gram(B)
    G[few, many], G[many, few] = C, C.T
    return G


def _added(parts: Sequence[Array]) -> Array:
    """The same of some parts."""
    q = parts[0].shape[1]
    rows = np.concatenate([part for part in parts if len(part) < q] or [parts[0][:0]])
    grams = [part for part in parts if len(part) == q]
    if not grams and len(rows) < q:
        return rows
    return sum(grams, gram(rows))


def _rows_of(S: Array, B: Array) -> Array:
    return np.concatenate([S[:, :1], B, S[:, 1:]], axis=1)


def _triangle_of(S: Array, B: Array) -> Array:
    return _triangle([_rows_of(S, B)])


def _triangle(parts: Sequence[Array]) -> Array:
    """R of the parts, one below the other; the rows themselves where these are not more than columns."""
    M = parts[0] if len(parts) == 1 else np.concatenate(parts)
    with np.errstate(over="ignore", invalid="ignore"):
        return _factor(M) if M.shape[0] > M.shape[1] else M


def _factor(M: Array) -> Array:
    """R of M = QR."""
    R: Any = np.linalg.qr(M, mode="r")
    return R


def _merged(merged: Callable[[Sequence[Array]], Array], parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    *found, counts = zip(*parts, strict=True)
    there = [[part for part in some if len(part)] or list(some[:1]) for some in found]
    return (*(some[0] if len(some) == 1 else merged(some) for some in there), np.sum(np.stack(counts), axis=0))


def _cholesky(G: Array) -> Array | None:
    """R with RᵀR = G, None where rounding of G may matter, or squares may have overflowed or underflowed."""
    if G.shape[0] < G.shape[1]:
        return G  # rows
    squares = np.diagonal(G)
    if not (np.all(np.isfinite(G)) and np.all(in_range(squares, -24, 24))):
        return None
    d = np.sqrt(squares)
    C = G / d / d[:, None]
    if not np.linalg.eigvalsh(C)[0] >= _WELL:
        return None
    L: Array = np.linalg.cholesky(C)
    return L.T * d


def _standing_for(R: Array, total: float) -> tuple[Array, Array]:
    """[1 A′ Y′] and the weights of N rows in place of those with the triangle R and this sum of weights."""
    R = _factor(R)
    N = R.shape[0]
    v = np.full((N, 1), -(N**-0.5))
    v[0] += np.copysign(1, R[0, 0])
    square = np.sum(v * v)
    if square > 0:
        R = R - v * ((2 / square) * (v.T @ R))
    return R * np.sqrt(N / total if total > 0 else 0), np.full(N, total / N)


def _whole(operator: Any, y: Array, weights: Array | None, triangles: Sequence[Array], intercept: bool) -> Samples:
    """The problem of all rows as they were given, of which AᵀA, Aᵀy and ‖y‖² are known."""
    p, xp = operator.shape[1], namespace_of(y)
    T = _factor(np.concatenate(triangles))
    center = roots = mean = means = None
    if intercept:
        row = T[0, 1:] / T[0, 0]
        mean, center = cast(row[:p], y.dtype), cast(row[p:] if y.ndim == 2 else np.asarray(row[p]), y.dtype)
        means = tuple(delivered_beside(y, part) for part in (mean, center))
        T, y = T[1:, 1:], y - center
    else:
        T = _factor(T[:, 1:])
    if weights is not None:
        (roots,) = settled(xp.sqrt(weights))
        y = y * (roots if y.ndim == 1 else roots[:, None])
    R, C = T[:p, :p], T[:, p:]
    known = Sums(R.T @ R, R.T @ C[:p, :], squared_norms(C))
    return Samples(Summed(operator, mean, roots, known, (R, C)), y, means, roots)
