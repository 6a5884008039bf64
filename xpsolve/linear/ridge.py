"""Ridge regression  min_x ½‖Ax − y‖² + ½λ‖x‖², in four ways that agree (Peyré 2020, §14.1.2, Prop. 45).

For a number λ the direct methods factor AᵀA + λI or AAᵀ + λI by Cholesky.  For a path of λ they diagonalise once and
shift: G = V diag(w) Vᵀ gives (G + λI)⁻¹ = V diag(1/(w + λ)) Vᵀ for every λ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Namespace,
    adjoint,
    adjoint_product,
    check_iteration,
    check_option,
    cholesky,
    cholesky_solve,
    composed,
    eigh,
    gram,
    holds,
    is_concrete,
    largest_pivot,
    limits_of,
    namespace_of,
    power_of_two,
    real_part,
    shifted,
)
from xpsolve.autodiff.implicit import implicitly
from xpsolve.capabilities import capabilities
from xpsolve.linear._entry import enter_problem, start_columns
from xpsolve.linear._normal_equations import NORMAL_EQUATIONS, normal_equations_error
from xpsolve.linear._problem import Problem, along, from_columns, in_range, in_units_of, is_ordinary, rank_cut, scaled
from xpsolve.linear._row_problem import by_products, by_rows, by_triangle
from xpsolve.linear._samples import Samples
from xpsolve.linear.conjugate_gradient import RISEN, solve_cg
from xpsolve.operators.entry import is_operator
from xpsolve.solution import Callback, Certificate, Solution, Status, finish

_REFINEMENTS = 2
_CONTRACTION = 0.1  # of the steps of refinement, from the first to the last
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter, loosen tol, start from a better x0, raise lam, or use a direct method.",
    Status.INACCURATE: "Raise lam, or use method='svd'.",
    Status.NOT_FINITE: "Scale A or y, or raise lam.",
    Status.DIVERGED: RISEN,
}


class _Factor(NamedTuple):
    """What is known of a Cholesky factor, in 0-d arrays."""

    pivot: Array  # the least pivot over the largest entry of the diagonal, about 1/condition
    safe: Array  # whether squares of the entries can neither have overflowed nor have underflowed
    trusted: Array  # whether it is safe, and no pivot is of the size of rounding


class _Answer(NamedTuple):
    problem: Problem  # as it was scaled
    X: Array  # (p, k·m), the columns of one λ after those of another
    norm: Array  # a lower bound of ‖A‖, for the certificate
    factor: _Factor | None = None
    refined: Callable[[], _Answer] | None = None  # the same after a step of iterative refinement


def _normal(problem: Problem) -> _Answer:
    """(AᵀA + λI)x = Aᵀy   (eq. 14.4)."""
    lams, B = problem.squared_lams, problem.Aty
    if problem.by_rows:
        X, known = _solve_on_gram(problem.gram(), lams, B, paired=problem.paired)
    else:
        X, known = _solve_shifted(problem.A, lams, B, paired=problem.paired)
    return _normal_at(problem, X, known)


def _normal_at(problem: Problem, X: Array, known: Any) -> _Answer:
    lam, (norm, factor, L) = problem.squared_lams, known
    return _Answer(
        problem,
        X,
        norm,
        factor,
        lambda: _normal_at(problem, X + cholesky_solve(L, problem.residual(X)[1] - lam * X), known),
    )


def _woodbury(problem: Problem) -> _Answer:
    """x = Aᵀ(AAᵀ + λI)⁻¹y   (eq. 14.5)."""
    dual, known = _solve_shifted(adjoint(problem.A), problem.squared_lams, problem.Y, paired=problem.paired)
    return _woodbury_at(problem, dual, known)


def _woodbury_at(problem: Problem, dual: Array, known: Any) -> _Answer:
    A, Y, lam, (norm, factor, L) = problem.A, problem.Y, problem.squared_lams, known
    X = adjoint_product(A, dual)
    return _Answer(
        problem,
        X,
        norm,
        factor,
        lambda: _woodbury_at(problem, dual + cholesky_solve(L, Y - A @ X - lam * dual), known),
    )


def _svd(problem: Problem) -> _Answer:
    """x = V diag(s/(s² + λ)) Uᵀy; directions with s² + λ at rounding level get 0, as in A⁺."""
    if problem.y_unit is None:
        problem = problem.with_scaled_columns()
    (U, s, Vh), Y = problem.svd()
    unit = power_of_two(s)
    problem, s = in_units_of(problem, unit), (s / unit)[:, None]
    xp = problem.xp
    levels = s * s + problem.squared_lams[None, :]  # (q, m)
    filters = s / _without_rounding(xp, levels, (rank_cut(problem) * xp.max(s)) ** 2)
    coefficients = adjoint_product(U, Y)
    coefficients = filters * coefficients if problem.paired else _all_pairs(filters, coefficients)
    return _Answer(problem, adjoint_product(Vh, coefficients), xp.max(s))


def _solve_shifted(M: Array, lams: Array, B: Array, *, paired: bool = False) -> tuple[Array, Any]:
    """(MᵀM + λI)⁻¹B for every λ and column of B, or `paired` for λ_j and b_j: Cholesky for one, else eigh.

    Beside it a lower bound of ‖M‖, what is known of the factor, and the factor.  The derivative is that of the system.
    """

    def solve(M: Array, lams: Array, B: Array) -> tuple[Array, Any]:
        return _solve_on_gram(gram(M), lams, B, paired=paired)

    def condition(X: Array, M: Array, lams: Array, B: Array) -> Array:
        ones = namespace_of(M).ones_like
        k = X.shape[1] // lams.shape[0]
        shifts = lams if paired else _all_pairs(lams[None, :], ones(X[:1, :k]))
        return adjoint_product(M, M @ X) + shifts * X - (B if paired else _all_pairs(ones(lams)[None, :], B))

    def inverse(V: Array, X: Array, M: Array, lams: Array, B: Array, *, transposed: bool) -> Array:
        k = X.shape[1] // lams.shape[0]
        each = lams if k == 1 or lams.shape[0] == 1 else _all_pairs(lams[None, :], namespace_of(M).ones_like(X[:1, :k]))
        W, _ = _solve_shifted(M, namespace_of(M).reshape(each, (-1,)), V, paired=True)
        return W

    return implicitly(solve, condition, (M, lams, B), inverse=inverse)


def _solve_on_gram(G: Array, lams: Array, B: Array, *, paired: bool) -> tuple[Array, Any]:
    """The same from G = MᵀM, which is overwritten."""
    xp = namespace_of(G)
    norm = xp.sqrt(largest_pivot(G))
    if lams.shape[0] == 1:
        L, ok = cholesky(shifted(G, lams[0]))
        return cholesky_solve(L, B), (norm, _known_of(L, norm * norm + lams[0], ok), L)
    w, V = eigh(G)
    levels = w[:, None] + lams[None, :]  # (q, m)
    filters = 1 / _without_rounding(xp, levels, G.shape[0] * limits_of(w).eps * xp.max(w))
    coefficients = adjoint_product(V, B)
    return V @ (filters * coefficients if paired else _all_pairs(filters, coefficients)), (norm, None, None)


def _without_rounding(xp: Namespace, x: Array, level: Array) -> Array:
    """`x` with ∞ where it is at most `level`, so that its inverse is 0 there, as in A⁺."""
    return xp.where(x > level, x, xp.full_like(x, xp.inf))


def _all_pairs(filters: Array, B: Array) -> Array:
    """Every column of `filters` (q, m) times every column of B (q, k): (q, m·k), λ slowest."""
    xp = namespace_of(B)
    return xp.reshape(filters[:, :, None] * B[:, None, :], (B.shape[0], filters.shape[1] * B.shape[1]))


@composed
def _known_of(L: Array, largest: Array, ok: Array) -> _Factor:
    xp = namespace_of(L)
    least, safe = xp.min(real_part(xp.linalg.diagonal(L))), in_range(largest, -20, 25)
    return _Factor(least / largest * least, safe, ok & safe)


@_known_of.register("numpy")
def _known_of_numpy(L: Array, largest: Array, ok: Array) -> _Factor:
    least, safe = L.diagonal().real.min(), in_range(largest, -20, 25)
    return _Factor(np.asarray(least / largest * least), np.asarray(safe), np.asarray(ok & safe))


_DIRECT: dict[str, Callable[[Problem], _Answer]] = {"normal": _normal, "woodbury": _woodbury, "svd": _svd}
_SEEN = {"auto": by_rows, "normal": by_rows, "svd": by_triangle, "cg": by_products}


@capabilities(
    batch="columns of y, values of lam",
    grad="forward, reverse, implicit",
    syncs=1,
    complex=True,
    numbers=("lam", "tol"),
)
def ridge(
    A: Any,
    y: Array,
    lam: Any,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int | None = None,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """Minimise ½‖Ax − y‖² + ½λ‖x‖².

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> solution = xs.ridge(A, y, 0.5)
    >>> solution.x.round(2), solution.method, solution.converged
    (array([0.82, 0.94]), 'normal', True)

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        The operator, real or complex.  Sparse matrices and operators are solved by "cg" and never made dense.
    y : array, shape (n,) or (n, k)
        Observations, one or many right-hand sides.  Where A or y is complex, all is: x too, and Aᵀ stands for Aᴴ.
    lam : float, 1-D array or list of m floats, or array (1, k)
        λ ≥ 0, real.  A path of m values is solved together, the direct methods from one factorisation.  The shape
        (1, k) gives each of the k columns of y its own λ.
    weights : array, shape (n,), optional
        w_i ≥ 0 of the squared residuals; 1 where none are given.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    method : str
        "normal" solves (AᵀA + λI)x = Aᵀy, for n ≥ p; "woodbury" x = Aᵀ(AAᵀ + λI)⁻¹y, for n < p; "svd" filters the
        singular values, for small λ and ill-conditioned A; "cg" needs products with A and Aᵀ only; "auto" takes
        the one of the first two with the smaller Gram matrix, which is cheaper and of full rank where A is.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k), with a first axis of length m for a path.  The certificate is the relative backward
        error ‖Aᵀr − λx‖ / ((‖A‖² + λ)‖x‖ + max(‖A‖‖r‖, ‖Aᵀy‖)) of the normal equations, with r = y − Ax, from the
        returned x and with a lower bound for ‖A‖ so that it never underestimates the error.  ``.method`` says what ran:
        a Cholesky factor that cannot be trusted, or that iterative refinement does not improve, is replaced by the SVD,
        as "normal->svd".

    Other Parameters
    ----------------
    tol : float, optional
        For "cg": the certificate to reach.  None is eps·max(32, √max(n, p)), what rounding in long sums allows.
    max_iter : int, optional
        For "cg": most iterations.  None is 10·min(n, p) + 100.
    x0 : array, shape of the answer, optional
        For "cg": where to start.
    check_every : int
        For "cg": iterations between two convergence checks, each one host read.
    record : bool
        For "cg": whether to keep objective and certificate after every iteration, from the residuals at hand.
    callback : callable, optional
        For "cg": called as ``callback(iteration, progress)`` at every check, with a `Progress`; a true answer stops.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read; for "svd" and for a path also whether
        to check the certificate in the end, which costs another.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative, devices are mixed, a number is not finite or the method is unknown.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified; that of "svd" or of a path only where ``check_finite=True`` checks it.

    See Also
    --------
    lstsq : The limit λ → 0.

    Notes
    -----
    Complex A, y and x of complex64 or complex128 are not differentiated implicitly: that raises an error.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), Proposition 45, equations 14.4 and 14.5.

    Examples
    --------
    A path of three λ from one factorisation:

    >>> xs.ridge(A, y, [0.1, 1.0, 10.0]).x.shape
    (3, 2)
    """
    if weights is not None or intercept is not False:
        options: dict[str, Any] = {"method": method, "tol": tol, "max_iter": max_iter, "x0": x0}
        samples = Samples.of(A, y, weights, intercept, check_finite=check_finite, grams=method != "cg")
        checks: dict[str, Any] = {"check_every": check_every, "callback": callback, "check_finite": check_finite}
        solution = ridge(samples.A, samples.y, lam, **options, **checks)
        return samples.finished(solution)  # type: ignore[no-any-return]
    check_option(method, "method", ("auto", *costs.RIDGE_METHODS))
    tol = check_iteration(
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        callback=callback,
        check_finite=check_finite,
        record=record,
        defaults=True,
    )
    direct = method != "cg" and not is_operator(A)
    seen = _SEEN.get(method, lambda problem: problem)
    checks = {"check_finite": check_finite, "direct": direct}
    problem = enter_problem(A, y, lam, targets=True, complex_too=True, seen=seen, **checks)
    chosen = _choose(problem, method)
    start = None if x0 is None else start_columns(problem, x0, check_finite=check_finite)
    if chosen != "cg":
        return _solve_direct(problem, chosen, look=check_finite)
    return along(
        problem,
        lambda problem, start: solve_cg(problem, tol, max_iter, start, check_every, record, callback, _ADVICE),
        lambda X, lams: lams * X,
        start,
    )


def _choose(problem: Problem, method: str) -> str:
    """The method asked for, or the one whose Gram matrix is the smaller: it is the cheaper, and has full rank."""
    if problem.dense:
        n, p = problem.shape
        return method if method != "auto" else "normal" if n >= p else "woodbury"
    if method not in ("auto", "cg"):
        message = f"method: expected 'auto' or 'cg', got {method!r}. Only 'cg' works on {problem.operator!r}; "
        raise ValueError(message + "the others need a dense array.")
    return "cg"


def _solve_direct(problem: Problem, method: str, *, look: bool) -> Solution:
    solve, stats = _DIRECT[method], dict[str, Any](factorisations=1)
    if problem.ordinary is False:
        answer = solve(scaled(problem))
    else:  # a path reads nothing, so that nothing is known of y
        unknown = problem.ordinary is None and problem.lams.shape[0] > 1
        answer = solve(problem.with_scaled_columns() if unknown else problem)
    tol = limits_of(problem.Y).eps ** 0.75  # three quarters of the digits
    error, measure = normal_equations_error(answer.problem, answer.X, answer.norm), None
    why, again = "", False
    if answer.factor is not None and is_concrete(answer.X):
        measure = _read(problem, answer.factor, error)
        if math.isnan(measure) and answer.problem is problem and not bool(_is_safe(problem, answer.factor)):
            problem = problem.knowing(ordinary=False)
            answer = solve(scaled(problem))
            assert answer.factor is not None
            error = normal_equations_error(answer.problem, answer.X, answer.norm)
            measure = _read(problem, answer.factor, error)
            stats["factorisations"] += 1
        why = "the Cholesky factor has pivots at rounding level" if math.isnan(measure) else ""
        if measure < 0:
            answer, contraction = _refined(answer)
            stats["refinements"], again = _REFINEMENTS, True
            why = "" if contraction < _CONTRACTION else "iterative refinement makes no progress"
    elif answer.factor is not None:
        holds(_verdict(error, answer.factor.pivot, answer.factor.trusted) >= 0)
    elif look and is_concrete(error):
        measure = float(problem.xp.max(error))
        why = "" if method == "svd" or measure <= tol else "the Gram matrix has lost too many digits"
    if why:
        stats["factorisations"] += 1
        stats["fallbacks"] = (f"{method}: {why}",)
        answer, method = _svd(answer.problem), f"{method}->svd"
    if why or again:
        error = normal_equations_error(answer.problem, answer.X, answer.norm)
        measure = float(problem.xp.max(error))
    X, unit = answer.X, answer.problem.x_unit
    solution: Solution = finish(
        "ridge",
        from_columns(problem, X if unit is None else X * unit),
        method=method,
        certificate=Certificate(NORMAL_EQUATIONS, error, tol),
        measure=measure,
        stats=stats,
        advice=_ADVICE,
        operator=problem.operator,
    )
    return problem.delivered(solution)


def _read(problem: Problem, factor: _Factor, error: Array) -> float:
    """The worst error; −1 where half of the digits or less are right; NaN for a bad factor: the one host read."""
    trusted = factor.trusted
    if problem.ordinary is None:
        trusted = trusted & is_ordinary(problem, direct=True)
    return float(_verdict(error, factor.pivot, trusted))


@composed
def _verdict(error: Array, pivot: Array, trusted: Array) -> Array:
    xp = namespace_of(error)
    worst = xp.max(error)
    worst = xp.where(pivot < limits_of(error).eps ** 0.5, -xp.ones_like(worst), worst)
    return xp.where(trusted, worst, xp.full_like(worst, xp.nan))


@_verdict.register("numpy")
def _verdict_numpy(error: Array, pivot: Array, trusted: Array) -> Array:
    if not trusted:
        return np.asarray(np.nan)
    if pivot < limits_of(error).eps ** 0.5:
        return np.asarray(-1.0)
    return error[0] if error.shape[0] == 1 else error.max()


def _is_safe(problem: Problem, factor: _Factor) -> Array:
    return factor.safe if problem.ordinary else factor.safe & is_ordinary(problem, direct=True)


def _refined(answer: _Answer) -> tuple[_Answer, float]:
    """The answer after some steps of refinement, and the size of the last of them over that of the first."""
    xp, sizes = answer.problem.xp, list[Array]()
    for _ in range(_REFINEMENTS):
        X, answer = answer.X, answer.refined()  # type: ignore[misc]
        sizes.append(xp.max(xp.abs(answer.X - X)))
    small = limits_of(answer.X).eps ** 0.5 * xp.max(xp.abs(answer.X))
    last = xp.where(sizes[-1] <= small, xp.zeros_like(small), sizes[-1])
    return answer, float(last / xp.where(last > 0, sizes[0], xp.ones_like(last)))
