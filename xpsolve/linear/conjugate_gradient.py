"""Conjugate gradients on the normal equations, in the form that keeps y − Ax (CGLS; Björck 1996, §7.4).

All columns (right-hand sides × values of λ) move together, each with its own step.  Before every check y − Ax is
computed anew from x, so that convergence is measured by the true residual.  The objective falls with every step; where
it is at a check above the first, by more than rounding, the products with Aᵀ are not those of the adjoint.  This is
looked at where both are code of the user.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from xpsolve.arrays import Array, device_of, inner, iterate, limits_of, real_dtype
from xpsolve.linear._normal_equations import NORMAL_EQUATIONS, normal_equations_error, relative_to_normal_equations
from xpsolve.linear._problem import (
    Problem,
    column_lams,
    from_columns,
    is_ordinary,
    scaled,
    tiled,
)
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by

RISEN = "Conjugate gradients never raise it: the products with Aᵀ are not those of the adjoint of A."
_RISE = 0.01  # of ½‖y‖², by which rounding of y does not raise the objective
_ROUNDED = 32  # such parts of ‖A‖‖x‖ can be lost in y − Ax, where x is large in directions that A hardly sees


class _State(NamedTuple):
    X: Array  # (p, columns)
    S: Array  # y − Ax, (n, columns), or where A is read by rows one row with the norms of its columns
    R: Array  # Aᵀ(y − Ax) − λx, (p, columns)
    P: Array  # search directions
    rho: Array  # ‖r‖², (columns,)
    square: Array  # largest ‖Ap‖²/‖p‖² met: a lower bound of ‖A‖²
    begun: Array  # the objective before the first step, (columns,), where it is looked at
    error: Array  # certificate of every column at the last check; converged ones are frozen


class _Iteration:
    """The steps for one problem, whose y and Aᵀy are repeated for every λ."""

    def __init__(self, problem: Problem, tol: float) -> None:
        self.problem, self.xp, self.operator, self.tol = problem, problem.xp, problem.operator, tol
        self.lam = column_lams(problem)
        self.start, self.B = tiled(problem, problem.like_Y), tiled(problem, problem.Aty)
        tiny = limits_of(self.B).smallest_normal
        self.tiny = problem.xp.asarray(tiny, dtype=real_dtype(self.B), device=device_of(self.B))

    def first(self, X: Array | None) -> _State:
        """The state before the first step; None starts from 0."""
        X, S, R = (self.xp.zeros_like(self.B), self.start, self.B) if X is None else (X, *self._residuals(X))
        square, rho = self.xp.zeros_like(self.tiny), self._inner(R, R)
        begun = self._objective(S, X) if self.operator.foreign else rho
        return _State(X, S, R, R, rho, square, begun, self._error(S, R, X, square))

    def step(self, s: _State) -> _State:
        """One step of every column that is above the tolerance."""
        xp, inner, ratio = self.xp, self._inner, self._ratio
        Q = self.operator.matvec(s.P)
        q, p = inner(Q, Q), inner(s.P, s.P)
        # ⟨r, p⟩ is ‖r‖² in exact arithmetic; in this form the objective falls even where rounding changed p
        alpha = xp.where(s.error > self.tol, ratio(inner(s.R, s.P), q + self.lam * p), xp.zeros_like(q))
        X, S = s.X + alpha * s.P, s.S - alpha * Q
        R = self.operator.rmatvec(S) - self.lam * X
        rho = inner(R, R)
        P = R + ratio(rho, s.rho) * s.P
        return _State(X, S, R, P, rho, xp.maximum(s.square, xp.max(ratio(q, p))), s.begun, s.error)

    def refresh(self, s: _State) -> _State:
        """The same X with its residuals and error computed anew."""
        S, R = self._residuals(s.X)
        found = _State(s.X, S, R, s.P, self._inner(R, R), s.square, s.begun, self._error(S, R, s.X, s.square))
        return self._watched(found) if self.operator.foreign else found

    def _watched(self, s: _State) -> _State:
        """The error is ∞ where the objective has risen."""
        xp, inner, objective = self.xp, self._inner, self._objective(s.S, s.X)
        rounding = (s.square * inner(s.X, s.X)) * (_ROUNDED * limits_of(s.X).eps) ** 2
        risen = objective - s.begun > _RISE * 0.5 * inner(self.start, self.start) + rounding
        error = xp.where(risen, xp.full_like(s.error, xp.inf), s.error)
        return s._replace(error=error)

    def answer(self, X: Array) -> Array:
        """X in the units and the shape of the answer."""
        unit = self.problem.x_unit
        return self.problem.delivered(from_columns(self.problem, X if unit is None else X * unit))

    def recorded(self, s: _State) -> dict[str, Array]:
        """Objective and certificate of each problem, from the residuals at hand."""
        problem, unit = self.problem, self.problem.y_unit
        objective = self._objective(s.S, s.X)
        objective = objective if unit is None else objective * tiled(problem, unit[None, :] ** 2)[0]
        values = {"objective": objective, "certificate": self._error(s.S, s.R, s.X, s.square)}
        shape = (() if problem.single_lam else problem.lams.shape) + (() if problem.single_y else problem.Y.shape[1:])
        return {name: self.xp.reshape(value, shape) for name, value in values.items()}

    def _residuals(self, X: Array) -> tuple[Array, Array]:
        S = self.start - self.operator.matvec(X)
        return S, self.operator.rmatvec(S) - self.lam * X

    def _objective(self, S: Array, X: Array) -> Array:
        return 0.5 * (self._inner(S, S) + self.lam * self._inner(X, X))

    def _error(self, S: Array, R: Array, X: Array, square: Array) -> Array:
        return relative_to_normal_equations(self.problem, S, R, X, self.xp.sqrt(square), self.lam)

    def _inner(self, U: Array, V: Array) -> Array:
        return inner(U, V, axis=0)

    def _ratio(self, a: Array, b: Array) -> Array:
        return a / self.xp.maximum(b, self.tiny)  # 0/0 is 0: the column has converged


class _ByRows(_Iteration):
    """The same where A is read by rows, once for a step: ‖y − Ax‖ and Aᵀ(y − Ax) follow from ‖Ap‖² and AᵀAp."""

    def _residuals(self, X: Array) -> tuple[Array, Array]:
        S, C = self.problem.residual(X)
        return S, C - self.lam * X

    def step(self, s: _State) -> _State:
        """One step of every column that is above the tolerance."""
        xp, inner, ratio = self.xp, self._inner, self._ratio
        q, W = self.problem.normal(s.P)
        p, down = inner(s.P, s.P), inner(s.R, s.P)
        alpha = xp.where(s.error > self.tol, ratio(down, q + self.lam * p), xp.zeros_like(q))
        X, R = s.X + alpha * s.P, s.R - alpha * (W + self.lam * s.P)
        along = down + self.lam * inner(s.X, s.P)  # ⟨y − Ax, Ap⟩
        ss = s.S[0, :] ** 2 - 2 * alpha * along + alpha * alpha * q
        S = xp.sqrt(xp.maximum(ss, xp.zeros_like(ss)))[None, :]
        rho = inner(R, R)
        P = R + ratio(rho, s.rho) * s.P
        return _State(X, S, R, P, rho, xp.maximum(s.square, xp.max(ratio(q, p))), s.begun, s.error)


def solve_cg(
    problem: Problem,
    tol: float | None,
    max_iter: int | None,
    start: Array | None,
    check_every: int,
    record: bool,
    callback: Callback,
    advice: Mapping[Status, str],
    name: str = "ridge",
) -> Solution:
    """`ridge`, or another function of this name, by conjugate gradients, from a first X or from 0."""
    given = problem
    if problem.ordinary is False:
        problem = scaled(problem)
    xp, unit, shape = problem.xp, problem.x_unit, problem.shape
    if tol is None:
        tol = limits_of(problem.Y).eps * max(32, math.sqrt(max(shape)))  # rounding in sums of that many terms
    max_iter = 10 * min(shape) + 100 if max_iter is None else max_iter
    cgls = (_ByRows if problem.by_rows else _Iteration)(problem, tol)
    first = cgls.first(start if start is None or unit is None else start / unit)
    if problem.ordinary is None:  # the first host read checks this, too
        first = first._replace(error=xp.where(is_ordinary(problem), first.error, xp.full_like(first.error, xp.nan)))
    run = iterate(
        cgls.step,
        first,
        measure=lambda s: xp.max(s.error),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=cgls.refresh,
        record=cgls.recorded if record else None,
        callback=seen_by(callback, lambda s: cgls.answer(s.X), lambda s: s.error),
    )
    diverged = run.reason == "not finite" and isinstance(run.measure, float) and math.isinf(run.measure)
    if run.reason == "not finite" and not diverged and problem.ordinary is None:
        again = given.knowing(ordinary=False)
        return solve_cg(again, tol, max_iter, start, check_every, record, callback, advice, name)
    X = run.state.X
    certificate = Certificate(NORMAL_EQUATIONS, normal_equations_error(problem, X, xp.sqrt(run.state.square)), tol)
    measure = run.measure if isinstance(run.measure, float) else None
    if measure is not None and unit is not None:
        measure = certificate.value  # the answer may be out of range
    solution: Solution = finish(
        name,
        cgls.answer(X),
        method="cg",
        certificate=certificate,
        reason=run.reason,
        measure=measure,
        n_iter=run.n_iter,
        history=run.history,
        ended=Status.DIVERGED if diverged else None,
        stats={"host_reads": run.reads},
        advice=advice,
        operator=problem.operator,
    )
    return problem.delivered(solution)
