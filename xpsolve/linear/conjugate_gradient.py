"""Conjugate gradients on the normal equations, in the form that keeps y − Ax (CGLS; Björck 1996, §7.4).

All columns (right-hand sides × values of λ) move together, each with its own step.  Before every check y − Ax is
computed anew from x, so that convergence is judged by the true residual.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve.arrays import Array, check_count, check_positive, device_of, iterate
from xpsolve.linear._problem import (
    Problem,
    column_lams,
    from_columns,
    normal_equations_error,
    relative_to_normal_equations,
    start_columns,
    tiled,
)
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status


class _State(NamedTuple):
    X: Array  # (p, columns)
    S: Array  # y − Ax, (n, columns)
    R: Array  # Aᵀ(y − Ax) − λx, (p, columns)
    P: Array  # search directions
    rho: Array  # ‖r‖², (columns,)
    scale: Array  # largest ‖Ap‖²/‖p‖² met: a lower bound of ‖AᵀA‖
    error: Array  # certificate of every column at the last check; solved ones rest


_ENDED = {"callback": Status.STOPPED, "max_iter": Status.MAX_ITER, "not finite": Status.NOT_FINITE}


def solve_cg(
    problem: Problem,
    tol: float | None,
    max_iter: int | None,
    x0: Array | None,
    check_every: int,
    callback: Callable[[int, Any], Any] | None,
) -> Solution:
    """`ridge` by conjugate gradients."""
    xp, operator = problem.xp, problem.operator
    lam = column_lams(problem)
    Y, B = tiled(problem, problem.Y), tiled(problem, problem.Aty)
    tol = 32 * float(xp.finfo(Y.dtype).eps) if tol is None else tol
    max_iter = 10 * min(problem.shape) + 100 if max_iter is None else max_iter
    check_positive(tol, "tol")
    check_count(max_iter, "max_iter", 0)
    check_count(check_every, "check_every", 1)

    floor = xp.asarray(xp.finfo(Y.dtype).smallest_normal, dtype=Y.dtype, device=device_of(Y))

    def ratio(a: Array, b: Array) -> Array:
        return a / xp.maximum(b, floor)  # 0/0 is 0: there is nothing left to do

    def inner(U: Array, V: Array) -> Array:
        return xp.sum(U * V, axis=0)

    def residuals(X: Array) -> tuple[Array, Array]:
        S = Y - operator.matvec(X)
        return S, operator.rmatvec(S) - lam * X

    def error(R: Array, X: Array, scale: Array) -> Array:
        return relative_to_normal_equations(problem, R, X, scale, lam)

    def step(s: _State) -> _State:
        Q = operator.matvec(s.P)
        q, p = inner(Q, Q), inner(s.P, s.P)
        # ⟨r, p⟩ is ‖r‖² in exact arithmetic; as it stands the objective falls whatever rounding did to p
        alpha = xp.where(s.error > tol, ratio(inner(s.R, s.P), q + lam * p), xp.zeros_like(q))
        X, S = s.X + alpha * s.P, s.S - alpha * Q
        R = operator.rmatvec(S) - lam * X
        rho = inner(R, R)
        P = R + ratio(rho, s.rho) * s.P
        return _State(X, S, R, P, rho, xp.maximum(s.scale, xp.max(ratio(q, p))), s.error)

    def refresh(s: _State) -> _State:
        S, R = residuals(s.X)
        return _State(s.X, S, R, s.P, inner(R, R), s.scale, error(R, s.X, s.scale))

    X = xp.zeros_like(B) if x0 is None else start_columns(problem, x0)
    S, R = (Y, B) if x0 is None else residuals(X)
    scale = xp.zeros((), dtype=Y.dtype, device=device_of(Y))
    start = _State(X, S, R, R, inner(R, R), scale, error(R, X, scale))
    run = iterate(
        step,
        start,
        measure=lambda s: xp.max(s.error),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=refresh,
        callback=callback,
    )
    if run.reason == "max_iter":
        reached = f"ridge(method='cg') stopped after {run.n_iter} iterations at {run.measure:.1e} > tol = {tol:.1e}."
        message = f"{reached} {Status.MAX_ITER.message}"
        warnings.warn(message, ConvergenceWarning, stacklevel=7)
    error = normal_equations_error(problem, run.state.X, run.state.scale)
    certificate = Certificate("relative backward error of the normal equations", error, tol)
    return Solution(
        from_columns(problem, run.state.X),
        "cg",
        certificate,
        n_iter=run.n_iter,
        stats={"host_reads": run.reads},
        ended=_ENDED.get(run.reason),
    )
