"""The lasso with a given Gram matrix, G = AᵀA and b = Aᵀy, by a semismooth Newton method.

x solves it if and only if x = prox_{τh}(x + τ(b − Gx)).  A Newton step on this equation reads off the support S and
the signs s of x + τ(b − Gx) and solves

    (G_SS + l2 I) x_S = b_S − l1 s_S,        x = 0 elsewhere                        (Li, Sun & Toh 2018)

which is the answer once S and s are right, mostly after two or three steps from a near λ.  The method has no guarantee
of its own (Hintermüller, Ito & Kunisch 2003 call it the primal-dual active set method).  Where a few steps have not
halved the gap, a step is a direction only, along which the objective, piecewise quadratic, is minimised exactly.  Where
that gains nothing, the next step keeps the signs of x and admits what violates the optimality conditions (the
feature-sign search of Lee, Battle, Raina & Ng 2006), which descends until rounding ends it.  FISTA, or compiled sweeps
over the coordinates, run before it, in turns that grow.

The columns of A are scaled by powers of two to lengths within a factor of two of each other.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    composed,
    either,
    iterate,
    largest,
    limits_of,
    namespace_of,
    power_of_two,
    scatter,
    shifted,
    solve_positive,
)
from xpsolve.linear._l1 import Penalty
from xpsolve.linear.coordinate_sweep import is_compiled, sweep
from xpsolve.linear.feature_set import how_many
from xpsolve.proximal.proximal_gradient import proximal_gradient, safe_step

_NEWTON = 15  # steps from a near X, and after the first turn of FISTA
_FISTA = 30  # iterations of its first turn, and between its checks
_PATIENCE = 500  # from which length on a turn of FISTA must help
_FEW = 256  # features among which Newton steps cost little
_PASSES = 5  # over the entries that are not 0, after each sweep over all
_PANEL = 32  # system sizes are multiples of this: libraries that compile for each shape compile few
_FREE = 4  # steps that need not halve the gap before directions are searched
_BONUS = 1e-3  # of the tolerance, to which Newton continues where each step halves the gap
_LEAST_STEP = 1e-3  # along a Newton direction; below this, its support and signs are not used


class GramProblem(NamedTuple):
    """½xᵀGx − bᵀx + ½yy, all that ½‖Ax − y‖² is, and what to divide a gap by."""

    G: Array  # (k, k)
    b: Array  # (k, 1)
    yy: Array  # ‖y‖², (1,)
    half: Array  # ½‖y‖², (1,)
    d: Array  # powers of two for which the lengths d_j‖a_j‖ differ by a factor of two at most, (k, 1)
    tau: Array  # d² over the mean of (d_j‖a_j‖)², (k, 1)
    nearby: Array  # what keeps the system of dependent features solvable, 0-d

    @classmethod
    def of(cls, G: Array, b: Array, yy: Array, half: Array) -> GramProblem:
        """With what follows from G."""
        d, tau, scale = _like_lengths(G)
        return cls(G, b, yy, half, d[:, None], tau[:, None], limits_of(G).eps ** 0.75 * scale)

    def gap(self, penalty: Penalty, X: Array, C: Array) -> Array:
        """The relative gap of X, from C = b − GX."""
        return penalty.gap(X, C, _squared_residual(X, C, self.b, self.yy)) / self.half


@composed
def _like_lengths(G: Array) -> tuple[Array, Array, Array]:
    """d and τ of `GramProblem`, (k,), and the mean of (d_j‖a_j‖)², 0-d."""
    xp = namespace_of(G)
    squares = xp.linalg.diagonal(G)
    longest = xp.max(squares)
    present = squares > 0
    ratio = xp.sqrt(longest / xp.where(present, squares, longest))  # a NaN where all are 0, of which d is 1
    d = power_of_two(ratio[None, :], axis=0)
    dd = d * d
    scale = xp.mean(squares * dd)
    return d, dd / xp.where(scale > 0, scale, xp.ones_like(scale)), scale


@_like_lengths.register("numpy")
def _like_lengths_numpy(G: Array) -> tuple[Array, Array, Array]:
    squares = G.diagonal()
    longest = np.maximum.reduce(squares)
    if not np.minimum.reduce(squares) > 0 or longest == np.inf:
        return _like_lengths.standard(G)  # type: ignore[no-any-return]
    _, exponents = np.frexp(np.sqrt(longest / squares))  # of numbers from 1 on
    d = np.ldexp(G.dtype.type(1), exponents - 1)
    dd = d * d
    scale = np.asarray(squares @ dd / d.shape[0])
    return d, dd / scale, scale


@composed
def _squared_residual(X: Array, C: Array, b: Array, yy: Array) -> Array:
    """‖y − AX‖² from C = b − GX."""
    xp = namespace_of(X)
    return xp.maximum(yy - xp.sum(X * (b + C), axis=0), xp.zeros_like(yy))


@_squared_residual.register("numpy")
def _squared_residual_numpy(X: Array, C: Array, b: Array, yy: Array) -> Array:
    return np.maximum(yy - X[:, 0] @ (b + C), 0)


class _Newton(NamedTuple):
    X: Array  # the best, (k, 1)
    C: Array  # b − GX
    gap: Array  # (1,)
    trial: Array  # the end of the last step, (k, 1)
    trial_C: Array
    halved: Array  # whether it halved the gap, and X is trial, (1,)
    missed: Array  # steps since one has, (1,)
    cautious: Array  # whether the next step keeps the signs of X, (1,)
    stuck: Array  # whether no step helps, (1,)


def solve_on_gram(
    problem: GramProblem,
    penalty: Penalty,
    X: Array,
    C: Array,
    *,
    tol: float,
    max_iter: int,
    near: bool = False,
    gap: Array | None = None,
) -> tuple[Array, Array, int]:
    """From X with C = b − GX to a relative gap of at most `tol`: the answer, its C, and the steps taken.

    From a near X, whose `gap` may be known, Newton starts; otherwise, and where some of its steps are not enough, FISTA
    or compiled sweeps over the coordinates prepare the ground.  Among few features Newton continues until rounding
    ends it.
    The answer misses `tol` at `max_iter`, and where a long turn of both has not halved the gap: rounding allows no
    better.
    """
    few, steps, turn = problem.G.shape[0] <= _FEW, 0, _FISTA
    prepare = _Sweeps(problem, penalty) if is_compiled(X) else _Fista(problem, penalty)
    if few:
        left = math.inf
    else:
        gap = problem.gap(penalty, X, C) if gap is None else gap
        left = float(gap[0])
    if near:
        X, C, left, steps = _newton(problem, penalty, X, C, tol, min(_NEWTON, max(1, max_iter)), gap)
    while left > tol and steps < max_iter:
        before = left
        X, left, taken = prepare(X, C, tol, min(turn, max_iter - steps - 1))
        steps, C = steps + taken, problem.b - problem.G @ X
        if few or left > tol:
            limit = max(1, min(turn * _NEWTON // _FISTA, max_iter - steps))
            X, C, left, taken = _newton(problem, penalty, X, C, tol, limit)
            steps += taken
        turn = 2 * turn
        if turn > _PATIENCE and not left < 0.5 * before:
            break
    return X, C, steps


def _newton(
    problem: GramProblem, penalty: Penalty, X: Array, C: Array, tol: float, max_iter: int, gap: Array | None = None
) -> tuple[Array, Array, float, int]:
    """The X of Newton steps, its C and gap, and their number; below `tol` they end where one does not halve the gap."""
    xp = namespace_of(X)

    def step(s: _Newton) -> _Newton:
        X, C = either(s.missed < _FREE, (s.trial, s.trial_C), (s.X, s.C))
        trial, trial_C = _newton_step(X, C, s.cautious, problem, penalty)
        gap = problem.gap(penalty, trial, trial_C)
        halved = gap < 0.5 * s.gap  # a NaN has not
        X, C, gap, missed, cautious = either(
            halved, (trial, trial_C, gap, zero, no), (s.X, s.C, s.gap, s.missed + 1, s.cautious)
        )
        return _Newton(X, C, gap, trial, trial_C, halved, missed, cautious, s.stuck)

    def search(s: _Newton) -> _Newton:
        t, X = _line_search(penalty, s)
        moved = t > xp.where(s.cautious, xp.zeros_like(t), xp.full_like(t, _LEAST_STEP))
        X = xp.where(moved, X, s.X)
        C = xp.where(moved, s.C + t * (s.trial_C - s.C), s.C)
        gap = problem.gap(penalty, X, C)
        return s._replace(X=X, C=C, gap=gap, cautious=~moved, stuck=s.cautious & ~moved)

    gap = problem.gap(penalty, X, C) if gap is None else gap
    no, zero = gap < 0, xp.zeros_like(gap)
    run = iterate(
        step,
        step(_Newton(X, C, gap, X, C, no, zero, no, no)),
        measure=lambda s: _left(s.gap, s.halved, s.missed, s.stuck, tol),
        tol=max(64 * limits_of(X).eps, _BONUS * tol),
        max_iter=max_iter - 1,
        check_every=1,
        renew=search,
    )
    s = run.state
    return s.X, s.C, float(s.gap[0]), run.n_iter + 1


@composed
def _left(gap: Array, halved: Array, missed: Array, stuck: Array, tol: float) -> Array:
    """The gap, 0 where Newton steps are to end, below 0 where a direction is to be searched; 0-d."""
    xp = namespace_of(gap)
    ended = stuck | ((gap <= tol) & ~halved)
    return xp.where(ended, xp.zeros_like(gap), xp.where(missed > _FREE, -gap, gap))[0]


@_left.register("numpy")
def _left_numpy(gap: Array, halved: Array, missed: Array, stuck: Array, tol: float) -> Array:
    if stuck[0] or (gap[0] <= tol and not halved[0]):
        return np.zeros_like(gap[0])
    return -gap[0] if missed[0] > _FREE else gap[0]


@composed
def _newton_step(X: Array, C: Array, cautious: Array, problem: GramProblem, penalty: Penalty) -> tuple[Array, Array]:
    """The x with a support and its signs that solves the optimality conditions there, and b − Gx.

    Support and signs are those of prox(X + τC); where the step is cautious those of X, with the features that break
    the optimality conditions.  The system is solved for the change of x, and a little of ½‖x − X‖² is added to what it
    minimises: features that depend on one another stay where they are along their dependence.  Rows of the identity
    fill the last panel.
    """
    xp, G = namespace_of(X), problem.G
    X, C = X[:, 0], C[:, 0]
    kept, signed = _support(X, C, cautious, problem.tau[:, 0], penalty.l1)
    member = kept | (X != 0)
    panels = -(-(how_many(member) + 1) // _PANEL)
    index = largest(xp.astype(member, X.dtype), min(panels * _PANEL, G.shape[0]))
    rows, on, before = xp.take(G, index, axis=0), xp.take(kept, index), xp.take(X, index)
    zero = xp.zeros_like(before)
    unit = xp.where(on, xp.take(problem.d[:, 0], index), zero)  # the columns of the system have like lengths
    system = xp.take(rows, index, axis=1) * (unit[:, None] * unit[None, :])
    shift = problem.nearby if penalty.l2 is None else problem.nearby + penalty.l2 * unit * unit
    system = shifted(system, xp.where(on, shift, xp.ones_like(unit)))
    up = xp.take(signed, index) > 0
    base = xp.where(on, before, zero)
    C = C + (before - base) @ rows
    right = xp.take(C, index) - xp.where(up, penalty.l1, -penalty.l1)
    right = right if penalty.l2 is None else right - penalty.l2 * base
    change = unit * solve_positive(system, unit * right)
    against = cautious & (before == 0) & xp.where(up, change < 0, change > 0)
    change = xp.where(against, zero, change)
    return scatter(base + change, index, G.shape[0])[:, None], (C - change @ rows)[:, None]


@_newton_step.register("numpy")
def _newton_step_numpy(
    X: Array, C: Array, cautious: Array, problem: GramProblem, penalty: Penalty
) -> tuple[Array, Array]:
    """The same without rows that fill a panel."""
    X, C, G = X[:, 0], C[:, 0], problem.G
    kept, signed = _support(X, C, cautious, problem.tau[:, 0], penalty.l1)
    on, leaves = kept.nonzero()[0], np.where(kept, 0, X)
    if leaves.any():
        C = C + leaves @ G
    rows, unit, base, signs = G[on], problem.d[on, 0], X[on], np.copysign(1, signed[on])
    shift = problem.nearby if penalty.l2 is None else problem.nearby + penalty.l2 * unit * unit
    system = rows[:, on]
    system *= unit
    system *= unit[:, None]
    system = shifted(system, shift)
    right = C[on] - penalty.l1 * signs
    right = right if penalty.l2 is None else right - penalty.l2 * base
    change = unit * solve_positive(system, unit * right)
    if cautious[0]:
        change[(base == 0) & (change * signs < 0)] = 0
    x = np.zeros_like(X)
    x[on] = base + change
    return x[:, None], (C - change @ rows)[:, None]


@composed
def _support(X: Array, C: Array, cautious: Array, tau: Array, l1: Array) -> tuple[Array, Array]:
    """Which features are to be in the support, and numbers with their signs."""
    xp, V, present = namespace_of(X), X + tau * C, X != 0
    free = xp.abs(V) > tau * l1, V
    careful = present | (xp.abs(C) > l1), xp.where(present, X, V)
    kept, signed = either(cautious, careful, free)
    return kept, signed


@_support.register("numpy")
def _support_numpy(X: Array, C: Array, cautious: Array, tau: Array, l1: Array) -> tuple[Array, Array]:
    if cautious[0]:
        return _support.standard(X, C, cautious, tau, l1)  # type: ignore[no-any-return]
    V = X + tau * C
    return np.abs(V) > tau * l1, V


def _line_search(penalty: Penalty, s: _Newton) -> tuple[Array, Array]:
    """The t ≥ 0 at which the objective is least on X + t(trial − X), and that point; NaN where there is none.

    With D = trial − X the derivative is s₀ + tq and 2·l1|D_j| more from t_j = −X_j/D_j on, where x_j changes its sign.
    Between t_i and the next of them it vanishes at a_i; t is the least of all max(t_i, a_i).
    """
    xp = namespace_of(s.X)
    X, D = s.X[:, 0], s.trial[:, 0] - s.X[:, 0]
    q = xp.sum(D * (s.C - s.trial_C)[:, 0])
    slope = -xp.sum(D * s.C[:, 0])
    if penalty.l2 is not None:
        q, slope = q + penalty.l2 * xp.sum(D * D), slope + penalty.l2 * xp.sum(D * X)
    jump = penalty.l1 * xp.abs(D)
    falls = X * D < 0
    slope = slope + xp.sum(xp.where(falls, -jump, jump))
    t = xp.where(falls, -X / xp.where(falls, D, xp.ones_like(D)), xp.full_like(D, xp.inf))
    order = xp.argsort(t)
    zero = xp.zeros_like(t[:1])
    passed = xp.concat([zero, xp.take(t, order)])
    slopes = slope + 2 * xp.concat([zero, xp.cumulative_sum(xp.take(jump, order))])
    least = 4 * xp.finfo(q.dtype).smallest_normal * xp.maximum(xp.max(xp.abs(slopes)), xp.ones_like(q))
    best = xp.min(xp.maximum(passed, -slopes / xp.where(q > least, q, least)))  # which does not overflow
    whole = xp.abs(best - 1) < xp.finfo(q.dtype).eps ** 0.5  # then x_j that are to be 0 are 0
    at = xp.where(whole, s.trial[:, 0], xp.where(t == best, xp.zeros_like(X), X + best * D))
    return best, at[:, None]


class _Fista:
    """FISTA on the Gram matrix, with a step (k, 1) for each entry."""

    def __init__(self, problem: GramProblem, penalty: Penalty) -> None:
        self.problem, self.penalty = problem, penalty

    @cached_property
    def tau(self) -> Array:
        """The steps."""
        d, G = self.problem.d, self.problem.G
        return d * d * safe_step(lambda v: d * (G @ (d * v)), self.problem.b)

    def gradient(self, Z: Array) -> Array:
        """Downhill."""
        return self.problem.b - self.problem.G @ Z

    def check(self, X: Array) -> tuple[Array, Array]:
        """The same, and the gap."""
        C = self.gradient(X)
        return C, self.problem.gap(self.penalty, X, C)

    def __call__(self, X: Array, C: Array, tol: float, max_iter: int) -> tuple[Array, float, int]:
        """From X with its C: the new X, its gap, and the iterations."""
        run = proximal_gradient(
            self.gradient,
            self.penalty,
            X,
            tau=self.tau,
            check=self.check,
            gap=self.problem.gap(self.penalty, X, C),
            momentum=True,
            tol=tol,
            max_iter=max_iter,
            check_every=_FISTA,
        )
        return run.state.X, float(run.measure), run.n_iter


class _Sweeps(NamedTuple):
    """Sweeps over the coordinates, and after each some over those that are not 0.

    Where they are compiled, they come nearer than FISTA in the same time.
    """

    problem: GramProblem
    penalty: Penalty

    def __call__(self, X: Array, C: Array, tol: float, max_iter: int) -> tuple[Array, float, int]:
        """From X with its C: the new X, its gap, and the sweeps over all."""
        problem, penalty = self.problem, self.penalty
        x, q, l2 = X[:, 0], -C[:, 0], 0.0 if penalty.l2 is None else penalty.l2
        left, taken = math.inf, 0
        while left > tol and taken < max_iter:
            x, q, _ = sweep(problem.G, problem.b[:, 0], x, q, penalty.l1, l2, 1, 0.0, _PASSES)
            left, taken = float(problem.gap(penalty, x[:, None], -q[:, None])[0]), taken + 1
        return x[:, None], left, taken
