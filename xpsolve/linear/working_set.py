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
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from xpsolve.arrays import Array, Run, cast, in_memory, iterate, largest, settled, wide_dtype
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._problem import Problem
from xpsolve.linear.feature_set import FeatureSet, grown, how_many
from xpsolve.linear.semismooth_newton import GramProblem, solve_on_gram

_FIRST = 100  # features in the first set, at least
_SMALL = 64  # features for which Newton steps cost no more than those that prepare the ground
_IDLE = 50  # features without a part in x that a set may keep
_CAUTION = 0.7
_SHARE = 0.3  # of the tolerance, for the small problem, and for the features outside of it
_SHARE_ROUNDED = 0.03  # the same where the answer is rounded, which spends some of the tolerance
_SLACK = 1e-4  # of λ, by which |Aᵀr| may exceed it outside the set, at most
_PROGRESS = 0.1  # of the gap of the whole, which the small problem need not undercut by more


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
    problem = problem.settled()
    xp, operator = problem.xp, problem.operator
    p = problem.shape[1]
    narrow, wide = problem.Y.dtype, wide_dtype(problem.Y)
    rounded = narrow != wide
    share = _SHARE_ROUNDED if rounded else _SHARE
    Y = cast(problem.Y, wide)
    yy = xp.sum(Y * Y, axis=0)
    half = xp.where(yy > 0, 0.5 * yy, xp.ones_like(yy)) if rounded else half
    exact = penalty.astype(wide)
    sizes: list[int] = []
    steps = 0

    def outside_of(features: FeatureSet, X: Array, C: Array) -> int:
        """How many features break the optimality conditions by more than the tolerance allows or rounding explains."""
        if features.size == p:
            return 0
        size = xp.sum(xp.abs(X))
        room = share * tol * xp.where(size > 0, half[0] / xp.where(size > 0, size, xp.ones_like(size)), xp.inf)
        noise = 16 * float(xp.finfo(C.dtype).eps) * cast(xp.max(xp.abs(problem.Aty)), wide)
        limit = exact.l1 + xp.maximum(noise, xp.minimum(room, _SLACK * exact.l1))
        return how_many(xp, features.without(xp.abs(C[:, 0])) > limit)

    def step(s: Round) -> Round:
        nonlocal steps
        if s.set is None:
            wanted = min(max(_FIRST, math.isqrt(2 * p), 2 * s.nonzeros), p)
            score = xp.where(s.X[:, 0] != 0, xp.full_like(s.C[:, 0], xp.inf), xp.abs(s.C[:, 0]))
        else:
            wanted = min(max(_FIRST // 2, s.nonzeros), s.outside)
            score = s.set.without(xp.abs(s.C[:, 0]))
        features, level = s.set, exact.l1
        if features is not None and wanted and 4 * (s.nonzeros + _IDLE) < 3 * features.size:
            X, C = xp.take(s.X[:, 0], features.index), xp.take(s.C[:, 0], features.index)
            worth = xp.where(X != 0, xp.full_like(C, xp.inf), xp.abs(C))
            features = features.narrowed(largest(worth, s.nonzeros + _IDLE))
        if features is None or wanted:
            new = largest(score, wanted)
            features = grown(problem, features, new)
            level = xp.maximum(level, _CAUTION * cast(xp.min(xp.take(score, new)), wide))
        else:  # a little below λ no dual point is cut short by what rounding adds to |Aᵀr|
            total = level + s.added
            level = level * level / xp.where(total > 0, total, xp.ones_like(total)) if rounded else level
        x, _, taken = in_memory(
            partial(
                _solve,
                tol=max(share * tol, _PROGRESS * float(s.gap[0])),
                max_iter=max_iter - steps,
                near=features.size <= _SMALL or (s.set is not None and 8 * wanted <= s.nonzeros),
            ),
            *(features.gram, features.correlation(problem), yy, half),
            cast(xp.take(s.X, features.index, axis=0), wide),
            None if rounded else xp.take(s.C, features.index, axis=0),
            *(level, exact.l2),
        )
        steps += taken
        sizes.append(features.size)
        fine, x = x, cast(x, narrow)
        added = xp.max(xp.abs(features.gram @ (cast(x, wide) - fine))) if rounded else s.added
        R, X = Y - features.product(problem, x), features.spread(x, p)
        C = operator.rmatvec(cast(R, narrow))
        outside = outside_of(features, x, C) if rounded else 0
        if rounded and outside == 0:
            C = operator.rmatvec(R)
        gap = exact.gap(cast(X, wide), C, xp.sum(R * R, axis=0)) / half
        C, gap = settled(C, gap)
        if outside:
            gap = xp.maximum(gap, xp.full_like(gap, 2 * tol))  # it was not checked in float64
        else:
            outside = outside_of(features, x, C)
        stays = outside == 0 and wanted == 0
        stuck = (gap > 0.5 * s.gap) & (level <= exact.l1) if outside == 0 else gap != gap
        if stays:  # the better of both
            worse = gap > s.gap
            X, C, gap = xp.where(worse, s.X, X), xp.where(worse, cast(s.C, C.dtype), C), xp.minimum(gap, s.gap)
        return Round(X, C, gap, stuck, added, features, how_many(xp, x != 0), outside)

    C, gap = start
    never = xp.zeros_like(gap) > 0  # also where the gap is NaN
    first = Round(X, C, cast(gap, wide), never, xp.zeros_like(exact.l1), None, how_many(xp, X != 0), 0)
    run = iterate(
        step,
        first,
        measure=lambda s: xp.max(xp.where(s.stuck, xp.zeros_like(s.gap), s.gap)),
        tol=tol,
        max_iter=max_iter,
        check_every=1,
        record=record,
        stalled=lambda *_: steps >= max_iter,
        callback=callback and (lambda _, s: callback(steps, s)),
    )
    if steps >= max_iter and float(xp.max(run.state.gap)) > tol:
        run = replace(run, reason="max_iter", measure=float(xp.max(run.state.gap)))
    return replace(run, n_iter=steps), {"sizes": tuple(sizes), "rounds": run.n_iter}


def _solve(
    G: Array, b: Array, yy: Array, half: Array, x: Array, c: Array | None, *weights: Any, **options: Any
) -> tuple[Array, Array, int]:
    """The small problem, from x and its c = b − Gx where that is known."""
    c = b - G @ x if c is None else c
    return solve_on_gram(GramProblem.of(G, b, yy, half), Penalty(*weights), x, c, **options)
