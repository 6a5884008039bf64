"""Conjugate gradients on the normal equations, in the form that keeps y − Ax (CGLS; Björck 1996, §7.4).

All columns (right-hand sides × values of λ) move together, each with its own step.  Before every check y − Ax is
computed anew from x, so that convergence is measured by the true residual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from xpsolve.arrays import Array, device_of, iterate
from xpsolve.linear._problem import (
    NORMAL_EQUATIONS,
    Problem,
    column_lams,
    from_columns,
    is_ordinary,
    normal_equations_error,
    relative_to_normal_equations,
    scaled,
    tiled,
)
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by


class _State(NamedTuple):
    X: Array  # (p, columns)
    S: Array  # y − Ax, (n, columns)
    R: Array  # Aᵀ(y − Ax) − λx, (p, columns)
    P: Array  # search directions
    rho: Array  # ‖r‖², (columns,)
    square: Array  # largest ‖Ap‖²/‖p‖² met: a lower bound of ‖A‖²
    error: Array  # certificate of every column at the last check; converged ones are frozen


def solve_cg(
    problem: Problem,
    tol: float | None,
    max_iter: int | None,
    start: Array | None,
    check_every: int,
    record: bool,
    callback: Callback,
    advice: Mapping[Status, str],
) -> Solution:
    """`ridge` by conjugate gradients, from a first X or from 0."""
    given = problem
    if problem.ordinary is False:
        problem = scaled(problem)
    xp, operator, unit = problem.xp, problem.operator, problem.x_unit
    lam = column_lams(problem)
    Y, B = tiled(problem, problem.Y), tiled(problem, problem.Aty)
    eps, (n, p) = float(xp.finfo(Y.dtype).eps), problem.shape
    tol = eps * max(32, math.sqrt(max(n, p))) if tol is None else float(tol)  # rounding in sums of that many terms
    max_iter = 10 * min(n, p) + 100 if max_iter is None else max_iter

    least = xp.asarray(xp.finfo(Y.dtype).smallest_normal, dtype=Y.dtype, device=device_of(Y))

    def ratio(a: Array, b: Array) -> Array:
        return a / xp.maximum(b, least)  # 0/0 is 0: the column has converged

    def inner(U: Array, V: Array) -> Array:
        return xp.sum(U * V, axis=0)

    def residuals(X: Array) -> tuple[Array, Array]:
        S = Y - operator.matvec(X)
        return S, operator.rmatvec(S) - lam * X

    def error(S: Array, R: Array, X: Array, square: Array) -> Array:
        return relative_to_normal_equations(problem, S, R, X, xp.sqrt(square), lam)

    def step(s: _State) -> _State:
        Q = operator.matvec(s.P)
        q, p = inner(Q, Q), inner(s.P, s.P)
        # ⟨r, p⟩ is ‖r‖² in exact arithmetic; in this form the objective falls even where rounding changed p
        alpha = xp.where(s.error > tol, ratio(inner(s.R, s.P), q + lam * p), xp.zeros_like(q))
        X, S = s.X + alpha * s.P, s.S - alpha * Q
        R = operator.rmatvec(S) - lam * X
        rho = inner(R, R)
        P = R + ratio(rho, s.rho) * s.P
        return _State(X, S, R, P, rho, xp.maximum(s.square, xp.max(ratio(q, p))), s.error)

    def refresh(s: _State) -> _State:
        S, R = residuals(s.X)
        return _State(s.X, S, R, s.P, inner(R, R), s.square, error(S, R, s.X, s.square))

    def outside(X: Array) -> Array:
        return from_columns(problem, X if unit is None else X * unit)

    def recorded(s: _State) -> dict[str, Array]:
        objective = 0.5 * (inner(s.S, s.S) + lam * inner(s.X, s.X))
        objective = objective if problem.y_unit is None else objective * tiled(problem, problem.y_unit[None, :] ** 2)[0]
        values = {"objective": objective, "certificate": error(s.S, s.R, s.X, s.square)}
        shape = (() if problem.single_lam else problem.lams.shape) + (() if problem.single_y else problem.Y.shape[1:])
        return {name: xp.reshape(value, shape) for name, value in values.items()}

    if start is None:
        X, S, R = xp.zeros_like(B), Y, B
    else:
        X = start if unit is None else start / unit
        S, R = residuals(X)
    square = xp.zeros((), dtype=Y.dtype, device=device_of(Y))
    first = error(S, R, X, square)
    if problem.ordinary is None:  # the first host read checks this, too
        first = xp.where(is_ordinary(problem), first, xp.full_like(first, xp.nan))
    run = iterate(
        step,
        _State(X, S, R, R, inner(R, R), square, first),
        measure=lambda s: xp.max(s.error),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=refresh,
        record=recorded if record else None,
        callback=seen_by(callback, lambda s: outside(s.X), lambda s: s.error),
    )
    if run.reason == "not finite" and problem.ordinary is None:
        again = given.knowing(ordinary=False)
        return solve_cg(again, tol, max_iter, start, check_every, record, callback, advice)
    X = run.state.X
    certificate = Certificate(NORMAL_EQUATIONS, normal_equations_error(problem, X, xp.sqrt(run.state.square)), tol)
    measure = run.measure if isinstance(run.measure, float) else None
    if measure is not None and unit is not None:
        measure = certificate.value  # the answer may be out of range
    return finish(
        "ridge",
        outside(X),
        method="cg",
        certificate=certificate,
        reason=run.reason,
        measure=measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        advice=advice,
    )
