"""The lasso on a set of features that grows until nothing outside of it matters (Massias, Gramfort & Salmon 2018).

A round scores every feature by |Aᵀr|, adds the best to the set, solves the small problem on its Gram matrix and
looks at the duality gap of the whole.  It reads A once.  The small problem is solved by FISTA, which finds the
support, and at each of its checks by one semismooth Newton step (Li, Sun & Toh 2018), which then solves it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from xpsolve.arrays import (
    Array,
    Namespace,
    Run,
    cholesky,
    cholesky_solve,
    device_of,
    gram,
    iterate,
    largest,
    namespace_of,
    scatter,
    settled,
    shifted,
    take_columns,
)
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._problem import Problem
from xpsolve.linear.proximal_gradient import proximal_gradient, safe_step
from xpsolve.operators import Sparse

_FIRST = 100  # features in the first set, at least
_STEPS = 50  # of FISTA for each Newton step: on a CPU they then cost alike
_PANEL = 32  # Newton systems come in multiples of this size
_SHARE = 0.3  # of the tolerance, for the small problem
_PROGRESS = 0.1  # of the gap of the whole, which the small problem need not undercut by more


class Round(NamedTuple):
    """What is known after a round; the sizes are on the host, since they are shapes of the next."""

    X: Array  # (p, 1)
    C: Array  # Aᵀ(y − AX), (p, 1)
    gap: Array  # relative, (1,)
    stuck: Array  # 0 where another round can help, (1,)
    block: Block | None  # the set
    nonzeros: int
    outside: int  # features that break the optimality conditions


class Block(NamedTuple):
    """A set of features."""

    index: Array  # (k,)
    rows: Array | None  # (k, n): the columns of a dense A
    gram: Array  # (k, k)


def solve_working_set(
    problem: Problem,
    penalty: Penalty,
    X: Array,
    certify: Callable[[Array, Array, Array], Array],
    start: tuple[Array, Array],
    *,
    tol: float,
    max_iter: int,
    record: Callable[[Any], Array] | None,
    callback: Callable[[int, Any], Any] | None,
) -> tuple[Run[Round], dict[str, Any]]:
    """Rounds until ``certify(X, Aᵀr, ‖r‖²)``, the relative gap, is at most `tol`.

    `start` is (Aᵀ(y − AX), gap) of the first X.
    """
    xp, operator, Y = problem.xp, problem.operator, problem.Y
    p = problem.shape[1]
    yy = xp.sum(Y * Y, axis=0)
    sizes: list[int] = []
    steps = 0

    def solve(block: Block, X: Array, gap: Array) -> tuple[Array, int]:
        """The small problem: FISTA on the Gram matrix."""
        G, b = block.gram, xp.take(problem.Aty, block.index, axis=0)

        def gradient(Z: Array) -> Array:
            return b - G @ Z

        def check(X: Array) -> tuple[Array, Array]:
            C = gradient(X)
            rr = xp.maximum(yy - xp.sum(X * (b + C), axis=0), xp.zeros_like(yy))
            return C, certify(X, C, rr)

        tau = safe_step(lambda v: G @ v, b)
        run = proximal_gradient(
            gradient,
            penalty,
            X,
            tau=tau,
            check=check,
            momentum=True,
            gap=check(X)[1],
            tol=max(_SHARE * tol, _PROGRESS * float(gap[0])),
            max_iter=max_iter - steps,
            check_every=_STEPS,
            improve=lambda X, C: newton(G, b, penalty, tau, X, C),
        )
        return run.state.X, run.n_iter

    def step(s: Round) -> Round:
        nonlocal steps
        known = 0 if s.block is None else s.block.index.shape[0]
        if s.block is None:
            wanted = max(_FIRST, math.isqrt(2 * p), 2 * s.nonzeros)
        else:
            wanted = min(max(_FIRST // 2, s.nonzeros), s.outside)
        block = _grown(problem, s.block, s.X, s.C, s.nonzeros, min(wanted, p - known))
        x, taken = solve(block, xp.take(s.X, block.index, axis=0), s.gap)
        steps += taken
        sizes.append(block.index.shape[0])
        X = scatter(x[:, 0], block.index, p)[:, None]
        R = Y - (operator.matvec(X) if block.rows is None else block.rows.T @ x)
        C = operator.rmatvec(R)
        gap = certify(X, C, xp.sum(R * R, axis=0))
        C, gap = settled(C, gap)
        nonzeros, outside = _count(xp, x != 0), _count(xp, xp.abs(C) > penalty.l1 * (1 + 1e-4))
        idle = block.index.shape[0] == p or outside == 0 or steps >= max_iter
        stuck = gap > 0.5 * s.gap if idle else gap != gap
        return Round(X, C, gap, stuck, block, nonzeros, outside)

    C, gap = start
    first = Round(X, C, gap, gap != gap, None, _count(xp, X != 0), 0)
    run = iterate(
        step,
        first,
        measure=lambda s: xp.max(xp.where(s.stuck, xp.zeros_like(s.gap), s.gap)),
        tol=tol,
        max_iter=max_iter,
        check_every=1,
        record=record,
        callback=callback,
    )
    if steps >= max_iter and float(xp.max(run.state.gap)) > tol:
        run = replace(run, reason="max_iter", measure=float(xp.max(run.state.gap)))
    return run, {"sizes": tuple(sizes), "steps": steps}


def _count(xp: Namespace, mask: Array) -> int:
    return int(xp.sum(xp.astype(mask, xp.int32)))


def _grown(problem: Problem, block: Block | None, X: Array, C: Array, nonzeros: int, count: int) -> Block:
    """The set without most of its idle features, and with the `count` of the largest |Aᵀr| outside of it."""
    xp, operator, p = problem.xp, problem.operator, problem.shape[1]
    score = xp.abs(C[:, 0])
    score = xp.where(X[:, 0] != 0, xp.full_like(score, xp.inf), score)
    if block is not None:
        kept = nonzeros + _FIRST // 2
        if count > 0 and kept < block.index.shape[0]:
            best = largest(xp.take(score, block.index), kept)
            rows = None if block.rows is None else xp.take(block.rows, best, axis=0)
            block = Block(xp.take(block.index, best), rows, xp.take(xp.take(block.gram, best, axis=0), best, axis=1))
        if count == 0:
            return block
        ones = xp.ones(block.index.shape, dtype=C.dtype, device=device_of(C))
        score = xp.where(scatter(ones, block.index, p) > 0, xp.full_like(score, -1), score)
    new = largest(score, count)
    index = new if block is None else xp.concat([block.index, new])
    if isinstance(operator, Sparse):
        return Block(index, None, operator.gram(index))
    rows = take_columns(problem.A, new)
    G = gram(rows.T)
    if block is None or block.rows is None:
        return Block(index, rows, G)
    across = block.rows @ rows.T
    G = xp.concat([xp.concat([block.gram, across], axis=1), xp.concat([across.T, G], axis=1)], axis=0)
    return Block(index, xp.concat([block.rows, rows], axis=0), G)


def newton(G: Array, b: Array, penalty: Penalty, tau: Array, X: Array, C: Array) -> Array:
    """The minimiser among the x with the support and signs of prox(x + τ(b − Gx)), where it is better than x.

    It solves (G_SS + l2) x_S = b_S − l1 s_S, with rows of the identity to fill the last panel: libraries that
    compile for each shape meet few.
    """
    xp = namespace_of(X)
    V = (X + tau * C)[:, 0]
    support = _count(xp, xp.abs(V) > tau * penalty.l1)
    index = largest(xp.abs(V), min(-(-(support + 1) // _PANEL) * _PANEL, G.shape[0]))
    v = xp.take(V, index)
    on = xp.abs(v) > tau * penalty.l1
    sub = xp.take(xp.take(G, index, axis=0), index, axis=1)
    system = xp.where(on[:, None] & on[None, :], sub, xp.zeros_like(sub))
    off = xp.astype(~on, b.dtype)
    system = shifted(system, off if penalty.l2 is None else off + penalty.l2)
    right = xp.take(b[:, 0], index) - xp.where(v > 0, penalty.l1, -penalty.l1)
    L, _ = cholesky(system)
    x = cholesky_solve(L, xp.where(on, right, xp.zeros_like(right)))
    candidate = scatter(x, index, G.shape[0])[:, None]

    def objective(X: Array, C: Array) -> Array:
        return penalty.value(X) - 0.5 * xp.sum(X * (b + C), axis=0)

    better = objective(candidate, b - G @ candidate) < objective(X, C)  # a NaN is not
    return xp.where(better, candidate, X)
