"""The lasso for a whole path of λ: one growing set of features, or all λ at once by proximal gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    cast,
    check_count,
    check_iteration,
    check_option,
    device_of,
    holds,
    is_scalar,
    on_accelerator,
    wide_dtype,
)
from xpsolve.capabilities import capabilities
from xpsolve.linear._entry import enter_problem
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._lasso import CERTIFICATE
from xpsolve.linear._problem import Problem, descent, half_of, lost_in_units, scaled, squared_norms
from xpsolve.linear._row_problem import by_rows
from xpsolve.linear._samples import Samples
from xpsolve.linear._working_set_path import by_working_set
from xpsolve.linear.feature_set import how_many
from xpsolve.linear.least_squares import lstsq
from xpsolve.linear.working_set import has_columns, no_working_set
from xpsolve.proximal.proximal_gradient import proximal_gradient, safe_step
from xpsolve.solution import Certificate, Solution, Status, finish, inner_solve

_PATIENCE = 3000  # iterations for all λ at once on an accelerator, before one after another is tried
_MOST_LAMS = 100_000  # values of λ in a grid
_METHODS = ("auto", "working_set", "fista")
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter, or stop the path at a larger λ.",
    Status.INACCURATE: "Loosen tol, or stop the path at a larger λ.",
}


@dataclass(frozen=True, repr=False, eq=False)
class LassoPath(Solution):
    """Lasso solutions for many λ.

    Parameters
    ----------
    x, method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`; `x` is (k, p), and the certificate is the largest gap.
    lams : array, shape (k,)
        λ, from large to small unless given in another order.
    gaps : array, shape (k,)
        The duality gap of each over ½‖y‖².

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> path = xs.lasso_path(np.eye(2), np.asarray([2.0, 1.0]), [1.5, 0.5])
    >>> path.x
    array([[0.5, 0. ],
           [1.5, 0.5]])
    """

    lams: Any = None
    gaps: Any = None


@capabilities(batch="values of lams", syncs=4, numbers=("tol",))
def lasso_path(
    A: Any,
    y: Array,
    lams: Any = None,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    n_lams: int = 100,
    ratio: float = 1e-3,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_finite: bool = True,
) -> LassoPath:
    """Minimise ½‖Ax − y‖² + λ‖x‖₁ for many λ.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> path = xs.lasso_path(A, y, n_lams=50)
    >>> path.lams.shape, path.x.shape, path.converged
    ((50,), (50, 2), True)

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        The operator.
    y : array, shape (n,)
        Observations.
    lams : list of float or 1-D array, optional
        λ ≥ 0, in any order.  None takes `n_lams` values from λ_max = max |Aᵀy|, where x becomes 0, down to
        ratio · λ_max, equally spaced in log λ.  λ = 0, least squares, needs a dense A.
    weights : array, shape (n,), optional
        w_i ≥ 0 of the squared residuals; 1 where none are given.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    n_lams : int
        How many, if `lams` is not given.
    ratio : float
        The least λ over the largest, if `lams` is not given.
    method : str
        "working_set" goes from the largest λ to the smallest on a growing set of features, by Newton steps from each
        answer to the next, for a dense or sparse A.  "fista" solves all λ together, a column each, and freezes those
        that have converged.  "auto" is the first where it can be, but on an accelerator, where the host reads of the
        first cost more than its steps, it begins with "fista" and continues with "working_set" if that takes long.
        With JAX arrays of less than a million entries it is "fista", as one compiled program.
    tol : float
        The gap to reach for every λ.

    Returns
    -------
    LassoPath
        ``.lams`` (k,), ``.x`` (k, p), ``.gaps`` (k,): each gap is computed with A from the returned x, for λ = 0 by a
        second least-squares problem.  ``.n_iter`` is the most that a λ took of what `max_iter` limits; ``.stats`` has
        the size of the set, the number of checks of all features and the steps of all λ together.

    Other Parameters
    ----------------
    max_iter : int
        Most iterations for a λ; where the set grows, "working_set" solves for it again, and counts from 0.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, a λ is negative or a number is not finite, y has columns, or the method cannot take A.

    Warns
    -----
    ConvergenceWarning
        If a gap is above `tol` at `max_iter`.

    See Also
    --------
    lasso : For one λ.

    References
    ----------
    B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Ann. Statist. 32 (2004): the path is piecewise linear.
    J. Friedman, T. Hastie and R. Tibshirani, J. Stat. Softw. 33 (2010): λ from large to small, each from the last.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> data = xs.problems.diabetes()
    >>> path = xs.lasso_path(data.A, data.y, n_lams=20)
    >>> path.x.shape, path.converged
    ((20, 10), True)
    >>> (path.x != 0).sum(axis=1)[[0, 1, 10, 19]]  # features that matter
    array([ 0,  2,  7, 10])
    """
    options: dict[str, Any] = {"n_lams": n_lams, "ratio": ratio, "tol": tol, "method": method, "max_iter": max_iter}
    if weights is None and intercept is False:
        return path_of(A, y, lams, **options, check_finite=check_finite)
    samples = Samples.of(A, y, weights, intercept, check_finite=check_finite)
    return samples.finished(  # type: ignore[no-any-return]
        path_of(samples.A, samples.y, lams, **options, check_finite=check_finite)
    )


def path_of(
    A: Any,
    y: Array,
    lams: Any = None,
    theta: float = 0.0,
    *,
    n_lams: int = 100,
    ratio: float = 1e-3,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_finite: bool = True,
) -> LassoPath:
    """The path of the elastic net with θ < 1, of which the lasso is θ = 0."""
    check_option(method, "method", _METHODS)
    tol = check_iteration(tol=tol, max_iter=max_iter, check_every=1, callback=None, check_finite=check_finite)
    check_grid(n_lams, ratio)
    given = lams is not None
    problem = _entered(A, y, lams if given else 0.0, check_finite=check_finite)
    xp, unit = problem.xp, problem.l1_unit
    if given:
        lams = problem.lams
        weights = problem.l1_weights(lams * (1 - theta) if theta else lams)
    else:
        weights = _grid(problem, n_lams, ratio)
        lams = _lams_of(problem, weights, theta)
    order = xp.argsort(weights, descending=True)
    l2 = xp.take(problem.l2_weight(lams * theta), order) if theta else None
    falling = Penalty(xp.take(weights, order), l2)
    zeros = 0
    if given and not holds(xp.all(falling.l1 > 0)):
        zeros = how_many(falling.l1 == 0)
    why = "" if method == "fista" else no_working_set(problem)
    if method == "working_set" and why:
        message = f"method: expected 'fista' or 'auto', got 'working_set', but {why}."
        raise ValueError(message)
    together = method == "auto" and not why and on_accelerator(problem.Y)
    method = "fista" if why or together else "working_set" if method == "auto" else method
    X, gaps, method, n_iter, reason, stats = _solved(problem, falling, zeros, method, together, tol, max_iter)
    back = xp.argsort(order)
    X, gaps = cast(xp.take(X, back, axis=1), problem.Y.dtype), xp.take(gaps, back)
    if unit is not None:
        X, gaps = X * unit, gaps + lost_in_units(X, unit)
    certificate = Certificate(CERTIFICATE, gaps, tol)
    solution: LassoPath = finish(
        "lasso_path",
        X.T,
        method=method,
        certificate=certificate,
        reason=reason,
        measure=None if reason == "traced" or (reason == "tolerance" and problem.A_unit is None) else certificate.value,
        n_iter=n_iter,
        stats=stats,
        advice=_ADVICE,
        operator=problem.operator,
        cls=LassoPath,
        lams=lams,
        gaps=gaps,
    )
    return problem.delivered(solution)


def grid_of(A: Any, y: Array, theta: float = 0.0, *, n_lams: int, ratio: float, check_finite: bool = True) -> Array:
    """The λ of the path where none are given."""
    check_grid(n_lams, ratio)
    problem = _entered(A, y, 0.0, check_finite=check_finite)
    return problem.delivered(_lams_of(problem, _grid(problem, n_lams, ratio), theta))


def check_grid(n_lams: int, ratio: float) -> None:
    """Raise unless these are options of a grid."""
    check_count(n_lams, "n_lams", 1, _MOST_LAMS)
    if not is_scalar(ratio) or not 0 < ratio < 1:
        message = f"ratio: expected a number between 0 and 1, the least λ over the largest, got {ratio!r}."
        raise ValueError(message)


def _lams_of(problem: Problem, l1: Array, theta: float) -> Array:
    lams = problem.l1_lams(l1)
    return lams / (1 - theta) if theta else lams


def _entered(A: Any, y: Array, lams: Any, *, check_finite: bool) -> Problem:
    problem = enter_problem(A, y, lams, name="lams", check_finite=check_finite, seen=by_rows)
    if not problem.single_y:
        message = f"y: expected shape (n,), got {tuple(problem.Y.shape)}. Solve for one column after another."
        raise ValueError(message)
    if problem.ordinary is not True:  # a path need not read before its first check of all features
        problem = problem.with_scaled_columns() if problem.ordinary is None else scaled(problem)
    return problem.settled()


def _solved(
    problem: Problem, falling: Penalty, zeros: int, method: str, together: bool, tol: float, max_iter: int
) -> tuple[Array, Array, str, int, str, dict[str, Any]]:
    """X, gaps, the methods, iterations, why they ended and notes, for falling λ of which the last `zeros` are 0."""
    xp, positive = problem.xp, falling.l1.shape[0] - zeros
    columns, n_iter, reason, stats = list[tuple[Array, Array]](), 0, "tolerance", dict[str, Any]()
    if positive:
        solve = by_working_set if method == "working_set" else _together
        limit = min(max_iter, _PATIENCE) if together else max_iter
        falling = falling.part(slice(positive))
        X, gaps, n_iter, reason, stats = solve(problem, falling, tol, limit)
        if together and reason != "tolerance" and n_iter < max_iter:
            method, before = "fista->working_set", n_iter
            X, gaps, n_iter, reason, stats = by_working_set(problem, falling, tol, max_iter - n_iter)
            n_iter += before
        columns.append((X, gaps))
    if zeros:
        columns += [_least_squares(problem)] * zeros
    X, gaps = (xp.concat(parts, axis=-1) for parts in zip(*columns, strict=True))
    return X, gaps, method, n_iter, reason, stats


def _grid(problem: Problem, count: int, ratio: float) -> Array:
    """l1 of λ_max·ratio^(i/(count − 1)); the first is exactly the least with the answer 0."""
    xp, dtype = problem.xp, problem.Y.dtype
    wide = wide_dtype(problem.Y) if has_columns(problem) else dtype
    exact = xp.max(xp.abs(problem.wide_Aty if has_columns(problem) else problem.Aty))
    highest = cast(exact, dtype)
    highest = xp.where(cast(highest, wide) < exact, highest * (1 + 2 * xp.finfo(dtype).eps), highest)  # rounded up
    powers = [ratio ** (i / max(count - 1, 1)) for i in range(count)]
    return highest * xp.asarray(powers, dtype=highest.dtype, device=device_of(highest))


def _together(
    problem: Problem, penalty: Penalty, tol: float, max_iter: int
) -> tuple[Array, Array, int, str, dict[str, Any]]:
    """The same by FISTA on all columns at once."""
    xp, operator = problem.xp, problem.operator
    gradient, product = descent(problem)
    half = half_of(squared_norms(problem.like_Y))

    def check(X: Array) -> tuple[Array, Array]:
        if problem.by_rows:
            R, C = problem.residual(X)
        else:
            R = problem.Y - operator.matvec(X)
            C = operator.rmatvec(R)
        return C, penalty.gap(X, C, xp.sum(R * R, axis=0)) / half

    X = xp.zeros((problem.shape[1], penalty.l1.shape[0]), dtype=problem.Y.dtype, device=device_of(problem.Y))
    run = proximal_gradient(
        gradient,
        penalty,
        X,
        tau=safe_step(product, problem.Aty),
        check=check,
        gap=check(X)[1],
        momentum=True,
        tol=tol,
        max_iter=max_iter,
        check_every=costs.CHECK_EVERY,
        late=costs.LATE,
    )
    return run.state.X, run.state.gap, run.n_iter, run.reason, {"host_reads": run.reads}


def _least_squares(problem: Problem) -> tuple[Array, Array]:
    """The shortest x for λ = 0 as a column, and ½‖Aw‖² over ½‖y‖² where w solves the same problem for y − Ax."""
    if not problem.dense:
        message = f"lams: expected positive numbers for A = {problem.operator!r}, got 0. Use `ridge` for that one."
        raise ValueError(message)
    if problem.by_rows:
        return _least_squares_by_rows(problem)
    with inner_solve():
        X = lstsq(problem.A, problem.Y, check_finite=False).x
        R = problem.Y - problem.A @ X
        fall = problem.A @ lstsq(problem.A, R, check_finite=False).x
    return X, 0.5 * problem.xp.sum(fall * fall, axis=0) / half_of(squared_norms(problem.Y))


def _least_squares_by_rows(problem: Problem) -> tuple[Array, Array]:
    """The same from A = QR, with ‖Aw‖ = ‖(Rᵀ)⁺Aᵀ(y − Ax)‖."""
    R, c = problem.triangle
    with inner_solve():
        X = cast(lstsq(R, c[: R.shape[1], :], check_finite=False).x, problem.Y.dtype)
        fall = lstsq(R.T, problem.residual(cast(X, R.dtype))[1], check_finite=False).x
    return X, 0.5 * problem.xp.sum(fall * fall, axis=0) / half_of(squared_norms(problem.like_Y))
