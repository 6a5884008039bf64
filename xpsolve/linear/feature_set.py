"""A set S of features with all that a problem on it needs: the columns A_S and their Gram matrix A_SᵀA_S.

Both are float64 where the library has it, whatever the dtype of A: a lasso is ill-conditioned as soon as λ is small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    cast,
    composed,
    device_of,
    gram,
    namespace_of,
    scatter,
    settled,
    take_columns,
    wide_dtype,
)
from xpsolve.linear._problem import Problem
from xpsolve.operators import Sparse


class FeatureSet(NamedTuple):
    """Features in the order in which they were added; a growing set copies none of its columns."""

    index: Array  # (k,)
    rows: tuple[Array, ...]  # the columns of a dense A, in the groups in which they were added: (k₁, n), (k₂, n), …
    gram: Array  # (k, k)

    @property
    def size(self) -> int:
        """Number of features."""
        return int(self.index.shape[0])

    def product(self, problem: Problem, X: Array) -> Array:
        """A_S X for X (k, m)."""
        X = cast(X, self.gram.dtype)
        if not self.rows:
            return problem.operator.matvec(self.spread(X, problem.shape[1]))
        first = self.rows[0].shape[0]
        total = self.rows[0].T @ X[:first, ...]
        for rows in self.rows[1:]:
            total = total + rows.T @ X[first : first + rows.shape[0], ...]
            first += rows.shape[0]
        return total

    def correlation(self, problem: Problem) -> Array:
        """A_SᵀY, (k, m), in the dtype of the Gram matrix."""
        xp, dtype = problem.xp, self.gram.dtype
        if problem.Y.dtype == dtype or problem.by_rows:
            return xp.take(problem.wide_Aty, self.index, axis=0)
        Y = cast(problem.Y, dtype)
        if not self.rows:
            return xp.take(problem.operator.rmatvec(Y), self.index, axis=0)
        return xp.concat([rows @ Y for rows in self.rows], axis=0)

    def narrowed(self, places: Array) -> FeatureSet:
        """The features at these places of it alone."""
        xp = namespace_of(places)
        rows = (xp.take(xp.concat(self.rows, axis=0), places, axis=0),) if self.rows else ()
        gram = xp.take(xp.take(self.gram, places, axis=0), places, axis=1)
        return FeatureSet(xp.take(self.index, places), rows, gram)

    def spread(self, X: Array, p: int) -> Array:
        """X (k, m) among the zeros of all p features, (p, m)."""
        xp = namespace_of(X)
        if self.rows and self.rows[0].shape[0] == p:  # the set of all features, in their order
            return X
        if X.shape[1] == 1:
            return scatter(X[:, 0], self.index, p)[:, None]
        order = xp.arange(1, self.size + 1, dtype=self.index.dtype, device=device_of(X))
        place = scatter(order, self.index, p)
        return xp.take(xp.concat([xp.zeros_like(X[:1, ...]), X], axis=0), place, axis=0)

    def without(self, score: Array) -> Array:
        """A score (p,) with −1 at the features of the set."""
        xp = namespace_of(score)
        inside = scatter(xp.ones_like(xp.take(score, self.index)), self.index, score.shape[0])
        return xp.where(inside > 0, xp.full_like(score, -1), score)


def grown(problem: Problem, known: FeatureSet | None, new: Array) -> FeatureSet:
    """The set with the features `new`, none of which it has."""
    if known is None and new.shape[0] == problem.shape[1]:
        return everything(problem)
    xp, operator = problem.xp, problem.operator
    index = new if known is None else xp.concat([known.index, new])
    dtype = wide_dtype(problem.Y)
    if isinstance(operator, Sparse):
        return FeatureSet(index, (), operator.gram(index, dtype))
    rows = cast(take_columns(problem.A, new), dtype)
    G, before = gram(rows.T), tuple[Array, ...]()
    if known is not None:
        before = known.rows
        G = _bordered(known.gram, xp.concat([part @ rows.T for part in before], axis=0), G)
    index, rows, G = settled(index, rows, G)
    return FeatureSet(index, (*before, rows), G)


@composed
def _bordered(G: Array, across: Array, corner: Array) -> Array:
    """The symmetric matrix with G, `across` beside it, and `corner` at the end of the diagonal."""
    xp = namespace_of(G)
    return xp.concat([xp.concat([G, across], axis=1), xp.concat([across.T, corner], axis=1)], axis=0)


@_bordered.register("numpy")
def _bordered_numpy(G: Array, across: Array, corner: Array) -> Array:
    k = G.shape[0]
    whole = np.empty((k + corner.shape[0],) * 2, G.dtype)
    whole[:k, :k], whole[:k, k:], whole[k:, :k], whole[k:, k:] = G, across, across.T, corner
    return whole


def everything(problem: Problem) -> FeatureSet:
    """The set of all features, in their order: nothing is chosen, and no column is copied."""
    xp, operator, dtype = problem.xp, problem.operator, wide_dtype(problem.Y)
    index = xp.arange(problem.shape[1], device=device_of(problem.like_Y))
    if isinstance(operator, Sparse):
        return FeatureSet(index, (), operator.gram(index, dtype))
    if problem.by_rows:
        return FeatureSet(index, (), problem.wide_gram)
    A = cast(problem.A, dtype)
    A, G = settled(A, gram(A))
    return FeatureSet(index, (A.T,), G)


def padded(X: Array, size: int) -> Array:
    """X (k, m) with rows of zeros for the features that were added later, (size, m)."""
    xp = namespace_of(X)
    missing = size - X.shape[0]
    if missing == 0:
        return X
    zeros = xp.zeros((missing, X.shape[1]), dtype=X.dtype, device=device_of(X))
    return xp.concat([X, zeros], axis=0)


@composed
def how_many(mask: Array) -> int:
    """How many entries are true: a host read, since it is to be a shape."""
    xp = namespace_of(mask)
    return int(xp.sum(xp.astype(mask, xp.int32)))


@how_many.register("numpy")
def _how_many_numpy(mask: Array) -> int:
    return int(np.count_nonzero(mask))
