"""The lasso on a set of features that grows until nothing outside of it matters (Massias, Gramfort & Salmon 2018).

A round adds the features with the largest |Aᵀr|, solves the small problem on the Gram matrix of the set, and computes
the duality gap of the whole.  It reads A once.  While many features break the optimality conditions, the small problem
is that of a larger λ, at which few of them would: so that |Aᵀr| in the next round shows the right features.

In float32 the small problems are solved in float64, and their answers rounded.  The residual of a rounded answer and
its gap are float64 too; Aᵀr is float32 until no feature outside the set matters, and then checked in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Run,
    cast,
    either,
    in_memory,
    is_complex,
    is_concrete,
    iterate,
    largest,
    limits_of,
    settled,
    undecided,
    wide_dtype,
)
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._problem import Problem, half_of, squared_norms
from xpsolve.linear.feature_set import FeatureSet, everything, grown, how_many
from xpsolve.linear.semismooth_newton import GramProblem, solve_on_gram
from xpsolve.operators import Sparse

_FIRST = 64  # features in the first set, at least
_ADDED = 50  # features that a round adds, at least
_SMALL = 64  # features for which Newton steps cost no more than those that prepare the ground
_IDLE = 50  # features without a part in x that a set may keep
_CAUTION = 0.5
_SHARE = 0.3  # of the tolerance, for the small problem, and for the features outside of it
_SHARE_ROUNDED = 0.03  # the same where the answer is rounded, which spends some of the tolerance
_SLACK = 1e-4  # of λ, by which |Aᵀr| may exceed it outside the set, at most
_PROGRESS = 0.1  # of the gap of the whole, which the small problem need not undercut by more where a look costs little


def has_columns(problem: Problem) -> bool:
    """Whether A is a dense or a sparse matrix, with accessible columns, which can be multiplied in float64."""
    return problem.dense or isinstance(problem.operator, Sparse)


def no_working_set(problem: Problem, *, columns: bool = False) -> str:
    """Why a set of features cannot be used for this problem, "" where it can; for its `columns` one by one."""
    if not has_columns(problem):
        return f"A is {problem.operator!r}, and a set needs single columns"
    if is_complex(problem.Y):
        return "A or y is complex, and the steps of Newton's method on a set are real"
    if problem.Y.shape[1] > 1 and not columns:
        return f"y has {problem.Y.shape[1]} columns"
    if is_concrete(problem.Y, problem.lams):
        return ""
    undecided(better=math.prod(problem.shape) >= costs.COMPILED_FISTA)
    return "sets grow by decisions on the host, which is not possible under jax.jit"


class Round(NamedTuple):
    """What is known after a round; the counts are on the host, since they are shapes of the next."""

    X: Array  # (p, 1)
    C: Array  # Aᵀ(y − AX), (p, 1)
    gap: Array  # relative, (1,)
    stuck: Array  # 0 where another round can help, (1,)
    added: Array  # to |Aᵀr| by rounding X, at most, 0-d
    set: FeatureSet | None
    nonzeros: int
    outside: int  # features not in the set that break the optimality conditions


def solve_working_set(
    problem: Problem,
    penalty: Penalty,
    X: Array,
    half: Array,
    start: tuple[Array, Array],
    *,
    tol: float,
    max_iter: int,
    record: Callable[[Any], dict[str, Array]] | None,
    callback: Callable[[int, Any], Any] | None,
) -> tuple[Run[Round], dict[str, Any]]:
    """Rounds until the gap over `half`, which is ½‖y‖², is at most `tol`.

    `start` is (Aᵀ(y − AX), relative gap) of the first X.  `max_iter` limits the steps of all small problems, which
    `n_iter` of the run counts; the rounds are among the counts beside it.
    """
    work = _Rounds(problem.settled(), penalty, half, tol, max_iter)
    xp, zero = problem.xp, problem.xp.zeros_like(work.half)
    C, gap = start
    first = Round(X, C, cast(gap, zero.dtype), zero > 0, xp.zeros_like(work.exact.l1), None, how_many(X != 0), 0)
    run = iterate(
        work.step,
        first,
        measure=lambda s: either(s.stuck, (zero,), (s.gap,))[0][0],
        tol=tol,
        max_iter=max_iter,
        check_every=1,
        record=record,
        stalled=lambda *_: work.steps >= max_iter,
        callback=callback and (lambda _, s: callback(work.steps, s)),
    )
    reason, value = run.reason, run.measure
    if work.steps >= max_iter and float(xp.max(run.state.gap)) > tol:
        reason, value = "max_iter", float(xp.max(run.state.gap))
    stats = {"sizes": tuple(work.sizes), "rounds": run.n_iter}
    return Run(run.state, work.steps, value, reason, run.history, run.reads), stats


class _Rounds:
    """One round after the other: what they share, and what they count on the host."""

    def __init__(self, problem: Problem, penalty: Penalty, half: Array, tol: float, max_iter: int) -> None:
        self.problem, self.tol, self.max_iter = problem, tol, max_iter
        wide = wide_dtype(problem.Y)
        self.rounded = wide != problem.Y.dtype
        self.share = _SHARE_ROUNDED if self.rounded else _SHARE
        self.Y = cast(problem.Y, wide)
        self.yy = squared_norms(cast(problem.like_Y, wide))
        self.half = half_of(self.yy) if self.rounded else half
        self.exact = penalty.astype(wide)
        self.sizes: list[int] = []
        self.steps = 0

    def step(self, s: Round) -> Round:
        """The next round."""
        problem, narrow, wide = self.problem, self.problem.Y.dtype, self.Y.dtype
        features, level, wanted = self._chosen(s)
        fine = self._solved(s, features, level, wanted)
        x, added = cast(fine, narrow), s.added
        if self.rounded:
            added = problem.xp.max(problem.xp.abs(features.gram @ (cast(x, wide) - fine)))
        X, C, gap, outside = self._measured(features, x)
        stuck = (gap > 0.5 * s.gap) & (level <= self.exact.l1) if outside == 0 else gap != gap
        if outside == 0 and wanted == 0:  # the better of both
            X, C, gap = either(gap > s.gap, (s.X, cast(s.C, C.dtype), s.gap), (X, C, gap))
        return Round(X, C, gap, stuck, added, features, how_many(x != 0), outside)

    def _chosen(self, s: Round) -> tuple[FeatureSet, Array, int]:
        """The set of the next round, its λ, and how many features it has gained; in the first round 1 at least."""
        problem, xp, features, level = self.problem, self.problem.xp, s.set, self.exact.l1
        p = problem.shape[1]
        if features is None:
            wanted = p if problem.by_rows else min(max(_FIRST, math.isqrt(2 * p), 2 * s.nonzeros), p)
            if wanted == p:
                return everything(problem), level, wanted
            score = xp.where(s.X[:, 0] != 0, xp.full_like(s.C[:, 0], xp.inf), xp.abs(s.C[:, 0]))
        else:
            wanted = min(max(_ADDED, s.nonzeros), s.outside)
            if not wanted:  # a little below λ no dual point is cut short by what rounding adds to |Aᵀr|
                total = level + s.added
                below = level * level / xp.where(total > 0, total, xp.ones_like(total)) if self.rounded else level
                return features, below, 0
            score = features.without(xp.abs(s.C[:, 0]))
            if 4 * (s.nonzeros + _IDLE) < 3 * features.size:
                X, C = xp.take(s.X[:, 0], features.index), xp.take(s.C[:, 0], features.index)
                worth = xp.where(X != 0, xp.full_like(C, xp.inf), xp.abs(C))
                features = features.narrowed(largest(worth, s.nonzeros + _IDLE))
        new = largest(score, wanted)
        least = cast(xp.min(xp.take(score, new)), level.dtype)
        return grown(problem, features, new), xp.maximum(level, _CAUTION * least), wanted

    def _solved(self, s: Round, features: FeatureSet, level: Array, wanted: int) -> Array:
        """The answer of the small problem, (k, 1), in float64."""
        xp = self.problem.xp
        solve = partial(
            _solve,
            tol=max(self.share * self.tol, 0 if self.problem.by_rows else _PROGRESS * float(s.gap[0])),
            max_iter=self.max_iter - self.steps,
            near=features.size <= _SMALL or (s.set is not None and 8 * wanted <= s.nonzeros),
        )
        x, _, taken = in_memory(
            solve,
            *(features.gram, features.correlation(self.problem), self.yy, self.half),
            cast(xp.take(s.X, features.index, axis=0), self.Y.dtype),
            None if self.rounded else xp.take(s.C, features.index, axis=0),
            None if self.rounded or level is not self.exact.l1 else s.gap,
            *(level, self.exact.l2),
        )
        self.steps += taken
        self.sizes.append(features.size)
        return x

    def _measured(self, features: FeatureSet, x: Array) -> tuple[Array, Array, Array, int]:
        """X among all features, its Aᵀ(y − AX) and gap, and how many outside the set matter."""
        problem, xp, wide, narrow = self.problem, self.problem.xp, self.Y.dtype, self.problem.Y.dtype
        X = features.spread(x, problem.shape[1])
        if problem.by_rows:
            R, C = problem.residual(cast(X, wide))
            return X, C, self.exact.gap(cast(X, wide), C, squared_norms(R)) / self.half, 0
        R = self.Y - features.product(problem, x)
        C = problem.operator.rmatvec(cast(R, narrow))
        outside = self._outside(features, x, C) if self.rounded else 0
        if self.rounded and outside == 0:
            C = problem.operator.rmatvec(R)
        C, gap = settled(C, self.exact.gap(cast(X, wide), C, squared_norms(R)) / self.half)
        if outside:
            return X, C, xp.maximum(gap, xp.full_like(gap, 2 * self.tol)), outside  # it was not checked in float64
        return X, C, gap, self._outside(features, x, C)

    def _outside(self, features: FeatureSet, x: Array, C: Array) -> int:
        """How many features break the optimality conditions by more than the tolerance allows or rounding explains."""
        problem, xp, l1 = self.problem, self.problem.xp, self.exact.l1
        if features.size == problem.shape[1]:
            return 0
        size = xp.sum(xp.abs(x))
        allowed = self.half[0] / xp.where(size > 0, size, xp.ones_like(size))
        room = self.share * self.tol * xp.where(size > 0, allowed, xp.inf)
        noise = 16 * limits_of(C).eps * cast(xp.max(xp.abs(problem.Aty)), l1.dtype)
        limit = l1 + xp.maximum(noise, xp.minimum(room, _SLACK * l1))
        outside: int = how_many(features.without(xp.abs(C[:, 0])) > limit)
        return outside


def _solve(
    G: Array,
    b: Array,
    yy: Array,
    half: Array,
    x: Array,
    c: Array | None,
    gap: Array | None,
    *weights: Any,
    **options: Any,
) -> tuple[Array, Array, int]:
    """The small problem, from x, with its c = b − Gx and its gap where they are known."""
    c = b - G @ x if c is None else c
    return solve_on_gram(GramProblem.of(G, b, yy, half), Penalty(*weights), x, c, gap=gap, **options)
