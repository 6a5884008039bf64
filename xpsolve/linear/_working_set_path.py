"""A lasso path by one growing set of features.

From one λ to the next few features enter or leave, so that from the last answer two Newton steps on the Gram matrix of
the set mostly give the next.  Some λ ahead are solved before one product with Aᵀ checks all features for all of them;
those that miss features are solved again with them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from xpsolve.arrays import Array, cast, device_of, in_memory, largest, namespace_of, settled
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._problem import Problem, half_of, squared_norms
from xpsolve.linear.feature_set import FeatureSet, grown, how_many, padded
from xpsolve.linear.semismooth_newton import GramProblem, solve_on_gram

_AHEAD = 5  # values of λ between two checks of all features
_AHEAD_TALL = 34  # the same where n > p: few features are missed, and wide products are fast
_FIRST = 100  # features in the first set
_CROWDED = 0.5  # nonzero entries over rows from which on a Newton step costs more than it gains for a loose gap
_LOOSE = 1e-5  # a gap that Newton steps reach in less time than others wherever they are
_MANY = 200  # features in a set that can be worth making smaller
_MOST = 50  # features that may be added at once, at least
_SHARE = 0.8  # of the tolerance, for the small problems
_NEAR = 0.75  # |Aᵀr|/λ from which a feature is likely to be needed for the λ to come


def by_working_set(
    problem: Problem, penalties: Penalty, tol: float, max_iter: int
) -> tuple[Array, Array, int, str, dict[str, Any]]:
    """X (p, m), gaps (m,), the most steps of a λ, why it ended as in `Run`, and counts, for falling λ."""
    xp, p, m = problem.xp, problem.shape[1], penalties.l1.shape[0]
    some = m if problem.by_rows else _AHEAD_TALL if problem.shape[0] > p else _AHEAD
    way = _Way(problem, tol, max_iter)
    columns, gaps = [], []
    for i in range(0, m, some):
        X, gap = way.solve(penalties.part(slice(i, min(i + some, m))))
        columns.append(X)
        gaps.append(gap)
    stats = {"size": way.size, "looks": way.looks, "steps": way.steps}
    return xp.concat(columns, axis=1), xp.concat(gaps), way.most, way.reason, stats


class _Way:
    """Down the path: the set of features so far, and the last two answers, from which the next λ are solved."""

    def __init__(self, problem: Problem, tol: float, max_iter: int) -> None:
        xp = problem.xp
        self.problem, self.tol, self.max_iter = problem, tol, max_iter
        self.yy = squared_norms(problem.like_Y)
        self.half = half_of(self.yy)
        first = problem.shape[1] if problem.by_rows else min(_FIRST, problem.shape[1])
        self.features: FeatureSet = grown(problem, None, largest(xp.abs(problem.Aty[:, 0]), first))
        self.last = xp.zeros((self.features.size, 1), dtype=problem.Y.dtype, device=device_of(problem.Y))
        self.at = xp.max(xp.abs(problem.Aty), axis=0)  # the λ of `last`
        self.steps = self.most = self.looks = self.size = 0
        self.reason = "tolerance"

    def solve(self, penalties: Penalty) -> tuple[Array, Array]:
        """Answers (p, k), and their gaps (k,)."""
        xp, problem, lams = self.problem.xp, self.problem, penalties.l1
        k = lams.shape[0]
        x = self._small(self.last, self.at, penalties)
        while True:
            X = self.features.spread(x, problem.shape[1])
            if problem.by_rows:
                R, C = problem.residual(X)
            else:
                R = problem.Y - cast(self.features.product(problem, x), problem.Y.dtype)
                C = problem.operator.rmatvec(R)
            gaps = penalties.gap(X, C, xp.sum(R * R, axis=0)) / self.half
            C, gaps = settled(C, gaps)
            self.looks += 1
            missed = ~(gaps <= self.tol)  # also if it is NaN
            share = xp.abs(C) / xp.where(lams > 0, lams, xp.ones_like(lams))
            score = self.features.without(xp.max(xp.where(missed, share, xp.zeros_like(C)), axis=1))
            outside = how_many(score > 1 + 1e-9)
            if outside == 0:
                if how_many(missed):
                    # otherwise the certificate shows the error
                    self.reason = "max_iter" if self.most >= self.max_iter else ""
                break
            self._grow(score, max(outside, min(_MOST, problem.shape[1] - self.features.size)))
            x = padded(x, self.features.size)
            first = k - how_many(xp.cumulative_sum(xp.astype(missed, xp.int32)) > 0)
            known, at = self._known(x[:, :first], lams[:first])
            x = xp.concat([x[:, :first], self._small(known, at, penalties.part(slice(first, k)))], axis=1)
        self.last, self.at = self._known(x, lams)
        near = self.features.without(share[:, -1])
        self.size = max(self.size, self.features.size)
        self._shrink(share[:, -1])
        self._grow(near, how_many(near > _NEAR))
        return X, gaps

    def _known(self, x: Array, lams: Array) -> tuple[Array, Array]:
        """The last two answers where x at λ are the next, and their λ."""
        xp = self.problem.xp
        return xp.concat([self.last, x], axis=1)[:, -2:], xp.concat([self.at, lams])[-2:]

    def _shrink(self, share: Array) -> None:
        """Leave out features that the last answer does not need and that are not near to it, where there are many."""
        xp, features, (n, p) = self.problem.xp, self.features, self.problem.shape
        if features.size <= _MANY or n >= p:
            return
        share = xp.take(share, features.index)
        worth = xp.where(self.last[:, -1] != 0, xp.full_like(share, xp.inf), share)
        kept = how_many(worth > _NEAR)
        if 5 * kept < 4 * features.size:
            places = largest(worth, max(kept, _FIRST))
            self.features, self.last = features.narrowed(places), xp.take(self.last, places, axis=0)

    def _grow(self, score: Array, wanted: int) -> None:
        """Add the `wanted` features of the highest score, or as many as the last answer has."""
        most = max(_MOST, how_many(self.last[:, -1] != 0))
        if wanted:
            self.features = grown(self.problem, self.features, largest(score, min(wanted, most)))
            self.last = padded(self.last, self.features.size)

    def _small(self, x: Array, at: Array, penalties: Penalty) -> Array:
        """From the answers x to the last λ, which are `at`, to those for the next, among the features of the set."""
        problem, features, dtype = self.problem, self.features, self.features.gram.dtype  # float64 where there is such
        near = self.tol <= _LOOSE or how_many(x[:, -1] != 0) <= _CROWDED * problem.shape[0]
        X, taken, most = in_memory(
            partial(_down, near=near, tol=_SHARE * self.tol, max_iter=self.max_iter),
            *(features.gram, features.correlation(problem)),
            *(cast(known, dtype) for known in (self.yy, self.half, x, at, penalties.l1)),
            None if penalties.l2 is None else cast(penalties.l2, dtype),
        )
        self.steps += taken
        self.most = max(self.most, most)
        return cast(X, problem.Y.dtype)


def _down(
    G: Array, b: Array, yy: Array, half: Array, X: Array, at: Array, l1: Array, l2: Array | None, **options: Any
) -> tuple[Array, int, int]:
    """The answer for each λ from those for the last λ; the steps of all, and the most of one."""
    xp, small, penalties, steps = namespace_of(X), GramProblem.of(G, b, yy, half), Penalty(l1, l2), list[int]()
    columns, lams = [X[:, i : i + 1] for i in range(X.shape[1])], xp.concat([at, l1])
    known = len(columns)
    for i in range(known, lams.shape[0]):
        x = columns[-1] if i < 2 else _ahead(columns[i - 2], columns[i - 1], lams[i - 2 : i + 1])
        x, _, taken = solve_on_gram(small, penalties.part(i - known), x, b - G @ x, **options)
        columns.append(x)
        steps.append(taken)
    return xp.concat(columns[known:], axis=1), sum(steps), max(steps)


def _ahead(before: Array, x: Array, lams: Array) -> Array:
    """On the line through the answers to two λ, at most as far as these are apart; what would change its sign is 0."""
    xp = namespace_of(x)
    step = lams[0] - lams[1]
    t = xp.where(step > 0, (lams[1] - lams[2]) / xp.where(step > 0, step, xp.ones_like(step)), xp.zeros_like(step))
    there = x + xp.minimum(t, xp.ones_like(t)) * (x - before)
    return xp.where(there * x > 0, there, xp.zeros_like(x))
