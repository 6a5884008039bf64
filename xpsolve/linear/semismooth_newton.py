"""The lasso with a Gram matrix that is at hand, G = AᵀA and b = Aᵀy, by a semismooth Newton method.

x solves it if and only if x = prox_{τh}(x + τ(b − Gx)).  A Newton step on this equation reads off the support S and
the signs s of x + τ(b − Gx) and solves

    (G_SS + l2 I) x_S = b_S − l1 s_S,        x = 0 elsewhere                        (Li, Sun & Toh 2018)

which is the answer once S and s are right, mostly after two or three steps from a near λ.  The method has no guarantee
of its own (Hintermüller, Ito & Kunisch 2003 call it the primal-dual active set method), so where it does not arrive,
FISTA goes on for a while before it is tried again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from xpsolve.arrays import Array, iterate, largest, namespace_of, scatter, shifted, solve_positive
from xpsolve.linear._l1 import Penalty
from xpsolve.linear.feature_set import how_many
from xpsolve.linear.proximal_gradient import proximal_gradient, safe_step

_NEWTON = 10  # steps before FISTA has its turn
_FISTA = 30  # iterations of its first turn, and between its checks
_PATIENCE = 2000  # from which length on a turn of FISTA must help
_PANEL = 32  # systems come in multiples of this size: libraries that compile for each shape meet few


class GramProblem(NamedTuple):
    """½xᵀGx − bᵀx + ½yy, all that ½‖Ax − y‖² is, and what to divide a gap by."""

    G: Array  # (k, k)
    b: Array  # (k, 1)
    yy: Array  # ‖y‖², (1,)
    half: Array  # ½‖y‖², (1,)

    def gap(self, penalty: Penalty, X: Array, C: Array) -> Array:
        """The relative gap of X, from C = b − GX."""
        xp = namespace_of(X)
        rr = xp.maximum(self.yy - xp.sum(X * (self.b + C), axis=0), xp.zeros_like(self.yy))
        return penalty.gap(X, C, rr) / self.half


class _Newton(NamedTuple):
    last: Array  # X (k, 1) of the last step, its C and gap
    C: Array
    gap: Array
    X: Array  # the best so far
    best_C: Array
    least: Array


def solve_on_gram(
    problem: GramProblem, penalty: Penalty, X: Array, C: Array, *, tol: float, max_iter: int, near: bool = False
) -> tuple[Array, Array, int]:
    """From X with C = b − GX to a gap of at most `tol`: the answer, its C, and the steps taken.

    From a near X Newton starts and goes on to where rounding ends it; else FISTA has the first turn.  The answer misses
    `tol` at `max_iter`, and where a long turn of both has not halved the gap: rounding allows no better.
    """
    gap, steps, turn, tau = math.inf, 0, _FISTA, None
    if near:
        X, C, gap, steps = _newton(problem, penalty, X, C, tol)
    while gap > tol and steps < max_iter:
        before, tau = gap, safe_step(lambda v: problem.G @ v, problem.b) if tau is None else tau
        X, taken = _fista(problem, penalty, X, C, tau, tol, min(turn, max_iter - steps))
        steps, turn = steps + taken, 2 * turn
        X, C, gap, taken = _newton(problem, penalty, X, problem.b - problem.G @ X, tol)
        steps += taken
        if turn > _PATIENCE and not gap < 0.5 * before:
            break
    return X, C, steps


def _newton(problem: GramProblem, penalty: Penalty, X: Array, C: Array, tol: float) -> tuple[Array, Array, float, int]:
    """The best X of Newton steps, its C and gap, and their number; below `tol` they end where one does not halve it."""
    xp, (G, b, *_) = namespace_of(X), problem
    scale = xp.mean(xp.linalg.diagonal(G))
    tau = 1 / xp.where(scale > 0, scale, xp.ones_like(scale))
    rounding = 8 * xp.finfo(G.dtype).eps * scale  # keeps the system of dependent features solvable

    def step(s: _Newton) -> _Newton:
        X, C = _newton_step(G, b, penalty, s.last + tau * s.C, tau, rounding)
        gap = problem.gap(penalty, X, C)
        better = gap < s.least  # a NaN is not
        done = (s.least <= tol) & xp.logical_not(gap < 0.5 * s.least)
        left = xp.where(done, xp.zeros_like(gap), gap)
        return _Newton(
            X, C, left, xp.where(better, X, s.X), xp.where(better, C, s.best_C), xp.where(better, gap, s.least)
        )

    gap = problem.gap(penalty, X, C)
    run = iterate(
        step,
        step(_Newton(X, C, gap, X, C, gap)),
        measure=lambda s: s.gap[0],
        tol=64 * float(xp.finfo(X.dtype).eps),
        max_iter=_NEWTON - 1,
        check_every=1,
    )
    s = run.state
    return s.X, s.best_C, float(s.least[0]), run.n_iter + 1


def _newton_step(G: Array, b: Array, penalty: Penalty, V: Array, tau: Array, rounding: Array) -> tuple[Array, Array]:
    """The x with the support and the signs of prox(V) that solves its optimality conditions there, and b − Gx.

    Rows of the identity fill the last panel.
    """
    xp = namespace_of(V)
    V = V[:, 0]
    threshold = tau * penalty.l1
    support = how_many(xp, xp.abs(V) > threshold)
    index = largest(xp.abs(V), min(-(-(support + 1) // _PANEL) * _PANEL, G.shape[0]))
    v, rows = xp.take(V, index), xp.take(G, index, axis=0)
    on = xp.abs(v) > threshold
    mask = xp.astype(on, v.dtype)
    system = xp.take(rows, index, axis=1) * (mask[:, None] * mask[None, :])
    shift = rounding if penalty.l2 is None else rounding + penalty.l2
    system = shifted(system, xp.where(on, shift, xp.ones_like(v)))
    right = xp.take(b[:, 0], index) - xp.where(v > 0, penalty.l1, -penalty.l1)
    x = solve_positive(system, xp.where(on, right, xp.zeros_like(right)))
    return scatter(x, index, G.shape[0])[:, None], b - (x @ rows)[:, None]


def _fista(
    problem: GramProblem, penalty: Penalty, X: Array, C: Array, tau: Array, tol: float, max_iter: int
) -> tuple[Array, int]:
    """FISTA on the Gram matrix from X."""

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
