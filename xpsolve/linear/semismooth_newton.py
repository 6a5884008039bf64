"""The lasso with a given Gram matrix, G = AᵀA and b = Aᵀy, by a semismooth Newton method.

x solves it if and only if x = prox_{τh}(x + τ(b − Gx)).  A Newton step on this equation reads off the support S and
the signs s of x + τ(b − Gx) and solves

    (G_SS + l2 I) x_S = b_S − l1 s_S,        x = 0 elsewhere                        (Li, Sun & Toh 2018)

which is the answer once S and s are right, mostly after two or three steps from a near λ.  The method has no guarantee
of its own (Hintermüller, Ito & Kunisch 2003 call it the primal-dual active set method).  Where a few steps have not
halved the gap, a step is a direction only, along which the objective, piecewise quadratic, is minimised exactly.  Where
that gains nothing, the next step keeps the signs of x and admits what violates the optimality conditions (the
feature-sign search of Lee, Battle, Raina & Ng 2006), which descends until rounding ends it.  FISTA runs before it,
in turns that grow.

The columns of A are scaled by powers of two to lengths within a factor of two of each other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from xpsolve.arrays import (
    Array,
    iterate,
    largest,
    namespace_of,
    power_of_two,
    scatter,
    shifted,
    solve_positive,
)
from xpsolve.linear._l1 import Penalty
from xpsolve.linear.feature_set import how_many
from xpsolve.proximal.proximal_gradient import proximal_gradient, safe_step

_NEWTON = 15  # steps from a near X, and after the first turn of FISTA
_FISTA = 30  # iterations of its first turn, and between its checks
_PATIENCE = 500  # from which length on a turn of FISTA must help
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
        xp = namespace_of(G)
        squares = xp.linalg.diagonal(G)
        longest = xp.max(squares)
        present = squares > 0
        ratio = xp.sqrt(longest / xp.where(present, squares, longest))  # a NaN where all are 0, of which d is 1
        d = power_of_two(ratio[None, :], axis=0)
        dd = d * d
        scale = xp.mean(squares * dd)
        tau = dd / xp.where(scale > 0, scale, xp.ones_like(scale))
        return cls(G, b, yy, half, d[:, None], tau[:, None], xp.finfo(G.dtype).eps ** 0.75 * scale)

    def gap(self, penalty: Penalty, X: Array, C: Array) -> Array:
        """The relative gap of X, from C = b − GX."""
        xp = namespace_of(X)
        rr = xp.maximum(self.yy - xp.sum(X * (self.b + C), axis=0), xp.zeros_like(self.yy))
        return penalty.gap(X, C, rr) / self.half


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
    problem: GramProblem, penalty: Penalty, X: Array, C: Array, *, tol: float, max_iter: int, near: bool = False
) -> tuple[Array, Array, int]:
    """From X with C = b − GX to a gap of at most `tol`: the answer, its C, and the steps taken.

    From a near X Newton starts and continues until rounding ends it; otherwise FISTA starts.  The answer misses
    `tol` at `max_iter`, and where a long turn of both has not halved the gap: rounding allows no better.
    """
    gap, steps, turn, tau = math.inf, 0, _FISTA, None
    d = problem.d
    if near:
        X, C, gap, steps = _newton(problem, penalty, X, C, tol, min(_NEWTON, max(1, max_iter)))
    while gap > tol and steps < max_iter:
        before = gap
        tau = d * d * safe_step(lambda v: d * (problem.G @ (d * v)), problem.b) if tau is None else tau
        X, taken = _fista(problem, penalty, X, C, tau, tol, min(turn, max_iter - steps - 1))
        steps += taken
        limit = max(1, min(turn * _NEWTON // _FISTA, max_iter - steps))
        X, C, gap, taken = _newton(problem, penalty, X, problem.b - problem.G @ X, tol, limit)
        steps, turn = steps + taken, 2 * turn
        if turn > _PATIENCE and not gap < 0.5 * before:
            break
    return X, C, steps


def _newton(
    problem: GramProblem, penalty: Penalty, X: Array, C: Array, tol: float, max_iter: int
) -> tuple[Array, Array, float, int]:
    """The X of Newton steps, its C and gap, and their number; below `tol` they end where one does not halve the gap."""
    xp = namespace_of(X)

    def step(s: _Newton) -> _Newton:
        free = s.missed < _FREE
        X, C = xp.where(free, s.trial, s.X), xp.where(free, s.trial_C, s.C)
        trial, trial_C = _newton_step(problem, penalty, X, C, s.cautious)
        gap = problem.gap(penalty, trial, trial_C)
        halved = gap < 0.5 * s.gap  # a NaN has not
        return s._replace(
            X=xp.where(halved, trial, s.X),
            C=xp.where(halved, trial_C, s.C),
            gap=xp.where(halved, gap, s.gap),
            trial=trial,
            trial_C=trial_C,
            halved=halved,
            missed=xp.where(halved, xp.zeros_like(s.missed), s.missed + 1),
            cautious=s.cautious & ~halved,
        )

    def search(s: _Newton) -> _Newton:
        t, X = _line_search(penalty, s)
        moved = t > xp.where(s.cautious, xp.zeros_like(t), xp.full_like(t, _LEAST_STEP))
        X = xp.where(moved, X, s.X)
        C = xp.where(moved, s.C + t * (s.trial_C - s.C), s.C)
        gap = problem.gap(penalty, X, C)
        return s._replace(X=X, C=C, gap=gap, cautious=~moved, stuck=s.cautious & ~moved)

    def measure(s: _Newton) -> Array:
        ended = s.stuck | ((s.gap <= tol) & ~s.halved)
        return xp.where(ended, xp.zeros_like(s.gap), xp.where(s.missed > _FREE, -s.gap, s.gap))[0]

    gap = problem.gap(penalty, X, C)
    no = gap < 0
    run = iterate(
        step,
        step(_Newton(X, C, gap, X, C, no, xp.zeros_like(gap), no, no)),
        measure=measure,
        tol=max(64 * float(xp.finfo(X.dtype).eps), _BONUS * tol),
        max_iter=max_iter - 1,
        check_every=1,
        renew=search,
    )
    s = run.state
    return s.X, s.C, float(s.gap[0]), run.n_iter + 1


def _newton_step(problem: GramProblem, penalty: Penalty, X: Array, C: Array, cautious: Array) -> tuple[Array, Array]:
    """The x with a support and its signs that solves the optimality conditions there, and b − Gx.

    Support and signs are those of prox(X + τC); where the step is cautious those of X, with the features that break
    the optimality conditions.  The system is solved for the change of x, and a little of ½‖x − X‖² is added to what it
    minimises: features that depend on one another stay where they are along their dependence.  Rows of the identity
    fill the last panel.
    """
    xp, G = namespace_of(X), problem.G
    X, C, d, tau, nearby = X[:, 0], C[:, 0], problem.d[:, 0], problem.tau[:, 0], problem.nearby
    V = X + tau * C
    absent = X == 0
    keep = cautious & ~absent
    kept = xp.where(cautious, ~absent | (xp.abs(C) > penalty.l1), xp.abs(V) > tau * penalty.l1)
    positive = xp.where(keep, X, V) > 0
    member = kept | ~absent
    panels = -(-(how_many(xp, member) + 1) // _PANEL)
    index = largest(xp.astype(member, X.dtype), min(panels * _PANEL, G.shape[0]))
    rows, on, before = xp.take(G, index, axis=0), xp.take(kept, index), xp.take(X, index)
    unit = xp.where(on, xp.take(d, index), xp.zeros_like(before))  # the columns of the system have like lengths
    system = xp.take(rows, index, axis=1) * (unit[:, None] * unit[None, :])
    shift = nearby if penalty.l2 is None else nearby + penalty.l2 * unit * unit
    system = shifted(system, xp.where(on, shift, xp.ones_like(unit)))
    up = xp.take(positive, index)
    base = xp.where(on, before, xp.zeros_like(before))
    C = C + (before - base) @ rows
    right = xp.take(C, index) - xp.where(up, penalty.l1, -penalty.l1)
    right = right if penalty.l2 is None else right - penalty.l2 * base
    change = unit * solve_positive(system, unit * right)
    against = cautious & xp.take(absent, index) & xp.where(up, change < 0, change > 0)
    change = xp.where(against, xp.zeros_like(change), change)
    return scatter(base + change, index, G.shape[0])[:, None], (C - change @ rows)[:, None]


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
    best = xp.min(xp.maximum(passed, -slopes / xp.where(q > 0, q, xp.full_like(q, xp.finfo(q.dtype).smallest_normal))))
    whole = xp.abs(best - 1) < xp.finfo(q.dtype).eps ** 0.5  # then x_j that are to be 0 are 0
    at = xp.where(whole, s.trial[:, 0], xp.where(t == best, xp.zeros_like(X), X + best * D))
    return best, at[:, None]


def _fista(
    problem: GramProblem, penalty: Penalty, X: Array, C: Array, tau: Array, tol: float, max_iter: int
) -> tuple[Array, int]:
    """FISTA on the Gram matrix from X, with a step (k, 1) for each entry."""

    def gradient(Z: Array) -> Array:
        return problem.b - problem.G @ Z

    def check(X: Array) -> tuple[Array, Array]:
        C = gradient(X)
        return C, problem.gap(penalty, X, C)

    run = proximal_gradient(
        gradient,
        penalty,
        X,
        tau=tau,
        check=check,
        gap=problem.gap(penalty, X, C),
        momentum=True,
        tol=tol,
        max_iter=max_iter,
        check_every=_FISTA,
    )
    return run.state.X, run.n_iter
