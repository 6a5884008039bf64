"""A least-squares problem inside the door: checked arrays, right-hand sides as columns, and its certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from xpsolve.arrays import (
    Array,
    Namespace,
    check_ndim,
    check_rows,
    common_namespace,
    enter,
    gram,
    is_array,
    lift,
    namespace_of,
    regularisation,
)
from xpsolve.arrays import (
    check_finite as _check_finite,
)
from xpsolve.autodiff.implicit import implicitly
from xpsolve.operators import Dense, LinearOperator, Sparse, aslinearoperator
from xpsolve.solution import Solution


@dataclass(frozen=True)
class Problem:
    """½‖Ax − y‖² + ½λ‖x‖² for every column y of Y and every λ of lams."""

    xp: Namespace
    operator: LinearOperator
    Y: Array  # (n, k)
    lams: Array  # (m,)
    single_y: bool
    single_lam: bool

    @property
    def dense(self) -> bool:
        """Whether A is a matrix whose entries can be had."""
        return isinstance(self.operator, Dense)

    @property
    def A(self) -> Array:
        """The matrix, where it is dense."""
        return self.operator.A  # type: ignore[attr-defined]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, p)."""
        return self.operator.shape

    @cached_property
    def Aty(self) -> Array:
        """AᵀY, (p, k): the right-hand side, and part of the certificate."""
        return self.operator.rmatvec(self.Y)


def enter_problem(A: Any, y: Array, lam: Any, *, name: str = "lam", check_finite: bool) -> Problem:
    """The public door of the least-squares family."""
    if is_array(y) and is_array(lam):
        y = lift(common_namespace(y=y, lam=lam), y)  # λ alone may carry a derivative
    if is_array(A) or not (isinstance(A, LinearOperator) or hasattr(A, "tocsr")):
        xp, (A, y) = enter(A=A, y=y)
        check_ndim(A, "A", 2, shape="(n, p)")
        operator: LinearOperator = Dense(A)
        checked = {"A": A, "y": y}
    else:
        operator = aslinearoperator(A)
        xp, (y, *_) = enter(y=y, **({} if operator.like is None else {"A": operator.like}))
        if isinstance(operator, Sparse):
            operator = operator.astype(y.dtype)
        checked = {"y": y}
    check_ndim(y, "y", 1, 2, shape="(n,) or (n, k)")
    check_rows(y, "y", operator.shape[0], "A")
    lams = regularisation(xp, lam, name, like=y, check_values=check_finite)
    problem = Problem(
        xp,
        operator,
        y if y.ndim == 2 else y[:, None],
        lams if lams.ndim else lams[None],
        y.ndim == 1,
        lams.ndim == 0,
    )
    if check_finite:
        _check_finite(xp, lambda: problem.Aty, **checked)
    return problem


def along(
    problem: Problem,
    solve: Callable[..., Solution],
    slope: Callable[[Array, Array], Array],
    *starts: Any,
    sparse: bool = False,
) -> Solution:
    """solve(problem, *starts), with the derivative of its equation slope(X, λ) = Aᵀ(Y − AX), p rows.

    Where x is `sparse` the equation holds on its support, and off it x stays 0.  Where the solver starts does not
    matter to where it ends, and the numbers beside x carry no derivative.
    """

    def at(operator: LinearOperator, Y: Array, lams: Array) -> Problem:
        return replace(problem, xp=namespace_of(Y), operator=operator, Y=Y, lams=lams)

    def run(operator: LinearOperator, Y: Array, lams: Array, *starts: Any) -> tuple[Array, Solution]:
        solution = solve(at(operator, Y, lams), *starts)
        return solution.x, solution

    def condition(x: Array, operator: LinearOperator, Y: Array, lams: Array, *_: Any) -> Array:
        here = at(operator, Y, lams)
        xp, X = here.xp, to_columns(here, x)
        on = X != 0
        Z = xp.where(on, X, xp.zeros_like(X)) if sparse else X  # what is off moves nothing: that keeps it symmetric
        F = slope(Z, column_lams(here)) - operator.rmatvec(tiled(here, Y) - operator.matvec(Z))
        return from_columns(here, xp.where(on, F, X) if sparse else F)

    solution: Solution
    x, solution = implicitly(run, condition, (problem.operator, problem.Y, problem.lams, *starts))
    return replace(solution, x=x)


def descent(problem: Problem) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Z ↦ Aᵀ(Y − AZ) and v ↦ AᵀAv, by the Gram matrix where it is smaller than A."""
    operator, (n, p) = problem.operator, problem.shape
    if problem.dense and n > p:
        G = gram(problem.A)
        return lambda Z: problem.Aty - G @ Z, lambda v: G @ v
    return lambda Z: operator.rmatvec(problem.Y - operator.matvec(Z)), lambda v: operator.rmatvec(operator.matvec(v))


def half_squared_norm(problem: Problem) -> Array:
    """½‖y‖² of each column, 1 where y is 0: what duality gaps are relative to."""
    xp, Y = problem.xp, problem.Y
    half = 0.5 * xp.sum(Y * Y, axis=0)
    return xp.where(half > 0, half, xp.ones_like(half))


def from_columns(problem: Problem, X: Array) -> Array:
    """(p, m·k) columns in the shape that the arguments ask for: (p,), (p, k), (m, p) or (m, p, k)."""
    xp = problem.xp
    p, m, k = X.shape[0], problem.lams.shape[0], problem.Y.shape[1]
    if problem.single_lam:
        return X[:, 0] if problem.single_y else X
    stacked = xp.permute_dims(xp.reshape(X, (p, m, k)), (1, 0, 2))
    return stacked[:, :, 0] if problem.single_y else stacked


def to_columns(problem: Problem, x: Array) -> Array:
    """The opposite of `from_columns`."""
    xp = problem.xp
    p, m, k = problem.shape[1], problem.lams.shape[0], problem.Y.shape[1]
    X = xp.reshape(x, (1 if problem.single_lam else m, p, 1 if problem.single_y else k))
    return xp.reshape(xp.permute_dims(X, (1, 0, 2)), (p, m * k))


def start_columns(problem: Problem, x0: Array) -> Array:
    """A first answer, checked, as columns."""
    _, (x0, _) = enter(x0=x0, y=problem.Y)
    expected = tuple(from_columns(problem, tiled(problem, problem.Aty)).shape)
    if tuple(x0.shape) != expected:
        message = f"x0: expected the shape of the answer {expected}, got {tuple(x0.shape)}."
        raise ValueError(message)
    return to_columns(problem, x0)


def tiled(problem: Problem, Y: Array) -> Array:
    """Y (·, k) once for every λ: (·, m·k)."""
    xp, m = problem.xp, problem.lams.shape[0]
    if m == 1:
        return Y
    r, k = Y.shape
    return xp.reshape(xp.broadcast_to(Y[:, None, :], (r, m, k)), (r, m * k))


def column_lams(problem: Problem) -> Array:
    """λ of every column, (m·k,)."""
    xp, k = problem.xp, problem.Y.shape[1]
    if k == 1:
        return problem.lams
    return xp.reshape(xp.broadcast_to(problem.lams[:, None], (problem.lams.shape[0], k)), (-1,))


def normal_equations_error(problem: Problem, X: Array, scale: Array) -> Array:
    """‖Aᵀ(y − Ax) − λx‖ / ((scale + λ)‖x‖ + ‖Aᵀy‖), a number a column; `scale` is at most ‖AᵀA‖."""
    operator = problem.operator
    lam = column_lams(problem)
    residual = operator.rmatvec(tiled(problem, problem.Y) - operator.matvec(X)) - lam * X
    return relative_to_normal_equations(problem, residual, X, scale, lam)


def relative_to_normal_equations(problem: Problem, residual: Array, X: Array, scale: Array, lam: Array) -> Array:
    """Norms of the columns of a residual of the normal equations, relative to what rounding makes unavoidable."""
    xp, norm = problem.xp, problem.xp.linalg.vector_norm
    size = (scale + lam) * norm(X, axis=0) + norm(tiled(problem, problem.Aty), axis=0)
    # where the size is 0 so is the residual: y and x are 0, and 0/∞ says that it is solved exactly
    return norm(residual, axis=0) / xp.where(size > 0, size, xp.full_like(size, xp.inf))
