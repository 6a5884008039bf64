"""k folds: parts of the rows that follow one another, each left out in turn, or any rows to keep and to leave out.

The fold of the weight W_f of all W is solved with λ·W_f/W, so that the weight of the penalty against a sample stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array, accumulate, check_count, device_of, namespace_of
from xpsolve.operators import LinearOperator
from xpsolve.trace import map_arrays


class Fold(NamedTuple):
    """The rows that are left out, and the samples that are kept."""

    rows: Any
    A: Array
    y: Array
    weights: Array | None
    share: Any  # of the whole weight, a number or 0-d


class Folds:
    """All folds of one problem; A is (n, p), y is (n, k), weights are (n,) or None, errors are in units of y.

    Rows are a slice, two slices, or an array of indices on the device.
    """

    def __init__(self, A: Array, y: Array, weights: Array | None, folds: Any, unit: Array) -> None:
        self.A, self.y, self.weights, self.unit, self.xp, n = A, y, weights, unit, namespace_of(A), A.shape[0]
        if n < 2:
            message = f"A: expected at least 2 rows, some of which can be left out, got {n}."
            raise ValueError(message)
        kept, rows = split(folds, n)
        self.kept, self.rows = [self._there(part) for part in kept], [self._there(part) for part in rows]

    def _there(self, rows: Any) -> Any:
        """Slices, or numbers of rows on the device."""
        return self.xp.asarray(rows, device=device_of(self.A)) if isinstance(rows, np.ndarray) else rows

    def __iter__(self) -> Iterator[Fold]:
        for kept, rows in zip(self.kept, self.rows, strict=True):
            weights = None if self.weights is None else self._take(self.weights, kept)
            yield Fold(rows, self._take(self.A, kept), self._take(self.y, kept), weights, self._share(kept))

    def _take(self, X: Array, rows: Any) -> Array:
        if isinstance(rows, slice):
            return X[rows, ...]
        if not isinstance(rows, tuple):
            return self.xp.take(X, rows, axis=0)
        parts = [X[part, ...] for part in rows if part.start != part.stop]
        return parts[0] if len(parts) == 1 else self.xp.concat(parts, axis=0)

    def _share(self, kept: Any) -> Any:
        """The weight of the rows that are kept over that of all."""
        n, weights, xp = self.A.shape[0], self.weights, self.xp
        if weights is not None:
            return xp.sum(self._take(weights, kept)) / xp.sum(weights)
        if isinstance(kept, tuple):
            return sum(part.stop - part.start for part in kept) / n
        return kept.shape[0] / n

    def _times(self, kept: Any) -> Array:
        """How often each row is kept, (n,)."""
        xp, n, like = self.xp, self.A.shape[0], self.y
        if not isinstance(kept, tuple):
            ones = xp.ones(kept.shape[0], dtype=like.dtype, device=device_of(like))
            return accumulate(ones, kept, n)
        before, after = kept
        sizes = ((before.stop, 1.0), (after.start - before.stop, 0.0), (n - after.start, 1.0))
        return xp.concat([xp.full(size, value, dtype=like.dtype, device=device_of(like)) for size, value in sizes])

    def errors(self, rows: Any, X: Array, intercept: Array | None) -> Array:
        """The mean squared error on these rows of X (p, m) or (p, m, k), with its intercept (m,) or (m, k): (m, k).

        It is that of y/unit.
        """
        xp, k, m = self.xp, self.y.shape[1], X.shape[1]
        A, y = self._take(self.A, rows), self._take(self.y, rows)
        R = xp.reshape(A @ xp.reshape(X, (X.shape[0], -1)), (A.shape[0], m, k)) - y[:, None, :]
        R = (R if intercept is None else R + xp.reshape(intercept, (m, k))) / self.unit  # no square overflows
        if self.weights is None:
            return xp.mean(R * R, axis=0)
        w = self._take(self.weights, rows)
        return xp.sum(w[:, None, None] * (R * R), axis=0) / xp.sum(w)

    def side_by_side(self, intercept: bool) -> tuple[LinearOperator, Array, Callable[[Array], Array | None]]:
        """One problem with a block for every fold: its operator and y (F·n,), and X (F, p, m) to its intercepts (F, m).

        A row that is left out has the weight 0, the others are weighted by W/W_f, which does what λ·W_f/W does.
        """
        xp = self.xp
        parts = []
        for kept in self.kept:
            weights = self._times(kept) / self._share(kept)
            parts.append(weights if self.weights is None else weights * self.weights)
        W = xp.stack(parts)  # (F, n)
        y, roots = self.y[:, 0], xp.sqrt(W)
        if not intercept:
            return Blocks(self.A, None, roots), xp.reshape(y * roots, (-1,)), lambda X: None
        shares = W / xp.sum(W, axis=1)[:, None]
        means, centers = shares @ self.A, (shares @ y)[:, None]
        blocks = Blocks(self.A, means, roots)
        return blocks, xp.reshape((y - centers) * roots, (-1,)), lambda X: centers - (means[:, None, :] @ X)[:, 0, :]


class Blocks(LinearOperator):
    """diag(W_1^½(A − 1ā_1ᵀ), W_2^½(A − 1ā_2ᵀ), …), of one A that is not copied."""

    def __init__(self, A: Array, means: Array | None, roots: Array) -> None:
        (blocks, n), p = roots.shape, A.shape[1]
        super().__init__((blocks * n, blocks * p))
        self.A, self.means, self.roots = A, means, roots

    @property
    def like(self) -> Array | None:
        """A."""
        return self.A

    def _matvec(self, x: Array) -> Array:
        xp, (blocks, n), p = namespace_of(x), self.roots.shape, self.A.shape[1]
        X = xp.reshape(x, (blocks, p, -1))
        Y = self.A @ X
        Y = Y if self.means is None else Y - self.means[:, None, :] @ X
        return xp.reshape(Y * self.roots[:, :, None], (blocks * n, *x.shape[1:]))

    def _rmatvec(self, y: Array) -> Array:
        xp, (blocks, n), p = namespace_of(y), self.roots.shape, self.A.shape[1]
        Y = xp.reshape(y, (blocks, n, -1)) * self.roots[:, :, None]
        X = self.A.T @ Y
        X = X if self.means is None else X - self.means[:, :, None] * xp.sum(Y, axis=1)[:, None, :]
        return xp.reshape(X, (blocks * p, *y.shape[1:]))

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return Blocks(*(map_arrays(function, part) for part in (self.A, self.means, self.roots)))


def split(folds: Any, n: int) -> tuple[list[Any], list[Any]]:
    """For every fold the rows to keep, two slices, and to leave out, a slice; or both as numbers on the host."""
    if isinstance(folds, list | tuple):
        if not folds:
            message = "folds: expected a number of folds or a list of pairs (kept, left out), got an empty list."
            raise ValueError(message)
        pairs = [_pair(fold, number, n) for number, fold in enumerate(folds)]
        return [kept for kept, _ in pairs], [rows for _, rows in pairs]
    check_count(folds, "folds", 2, n)
    ends = [i * (n // folds) + min(i, n % folds) for i in range(folds + 1)]
    rows = [slice(a, b) for a, b in itertools.pairwise(ends)]
    return [(slice(0, part.start), slice(part.stop, n)) for part in rows], rows


def _pair(fold: Any, number: int, n: int) -> tuple[Array, Array]:
    if not isinstance(fold, list | tuple) or len(fold) != 2:
        message = f"folds[{number}]: expected a pair (rows to keep, rows to leave out), got {type(fold).__qualname__}."
        raise TypeError(message)
    kept, rows = (np.asarray(part) for part in fold)
    for part in (kept, rows):
        if part.ndim != 1 or not part.size or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= n:
            message = f"folds[{number}]: expected two lists of rows between 0 and {n - 1}, got others."
            raise ValueError(message)
    return kept.astype(np.int64), rows.astype(np.int64)


def over_folds(errors: list[Array]) -> tuple[Array, Array]:
    """The mean over folds, and its standard error."""
    xp = namespace_of(errors[0])
    E, count = xp.stack(errors), len(errors)
    mean = xp.mean(E, axis=0)
    deviation = xp.sqrt(xp.sum((E - mean) ** 2, axis=0) / (count - 1))
    return mean, deviation / count**0.5
