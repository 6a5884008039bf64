"""Ridge regression  min_x ½‖Ax − y‖² + ½λ‖x‖², in four ways that agree (Peyré 2020, §14.1.2, Prop. 45).

For a number λ the direct methods factor AᵀA + λI or AAᵀ + λI by Cholesky.  For a path of λ they diagonalise once and
shift: G = V diag(w) Vᵀ gives (G + λI)⁻¹ = V diag(1/(w + λ)) Vᵀ for every λ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Namespace,
    cholesky,
    cholesky_solve,
    eigh,
    gram,
    is_concrete,
    namespace_of,
    shifted,
    thin_svd,
)
from xpsolve.autodiff.implicit import implicitly
from xpsolve.capabilities import capabilities
from xpsolve.linear._problem import Problem, along, enter_problem, from_columns, normal_equations_error
from xpsolve.linear.conjugate_gradient import solve_cg
from xpsolve.solution import Certificate, Solution


class _Answer(NamedTuple):
    X: Array  # (p, k·m), the columns of one λ after those of another
    scale: Array  # a lower bound of ‖AᵀA‖, for the certificate
    ok: Array | None  # 0-d: whether a Cholesky factor could be trusted


def _normal(problem: Problem) -> _Answer:
    """(AᵀA + λI)x = Aᵀy   (eq. 14.4)."""
    X, (scale, ok) = _solve_shifted(problem.A, problem.lams, problem.Aty)
    return _Answer(X, scale, ok)


def _woodbury(problem: Problem) -> _Answer:
    """x = Aᵀ(AAᵀ + λI)⁻¹y   (eq. 14.5)."""
    alpha, (scale, ok) = _solve_shifted(problem.A.T, problem.lams, problem.Y)
    return _Answer(problem.A.T @ alpha, scale, ok)


def _svd(problem: Problem) -> _Answer:
    """x = V diag(s/(s² + λ)) Uᵀy; directions with s² + λ at rounding level get 0, as in A⁺."""
    xp, lam = problem.xp, problem.lams
    U, s, Vh = thin_svd(problem.A)
    s, eps = s[:, None], xp.finfo(s.dtype).eps
    levels = s * s + lam[None, :]  # (q, m)
    filters = s / _without_rounding(xp, levels, (max(problem.A.shape) * eps) ** 2 * xp.max(s) ** 2)
    coefficients = _all_pairs(filters, U.T @ problem.Y)
    return _Answer(Vh.T @ coefficients, xp.max(s) ** 2, None)


def _solve_shifted(M: Array, lams: Array, B: Array, *, paired: bool = False) -> tuple[Array, Any]:
    """(MᵀM + λI)⁻¹B for every λ and column of B, or `paired` for λ_j and b_j: Cholesky for one, else eigh.

    Beside it a lower bound of ‖MᵀM‖ and whether the factor could be trusted.  The derivative is that of the system.
    """

    def solve(M: Array, lams: Array, B: Array) -> tuple[Array, Any]:
        xp, G = namespace_of(M), gram(M)
        scale = _largest_diagonal(xp, G)
        if lams.shape[0] == 1:
            L, ok = cholesky(shifted(G, lams[0]))
            return cholesky_solve(L, B), (scale, ok)
        w, V = eigh(G)
        levels = w[:, None] + lams[None, :]  # (q, m)
        filters = 1 / _without_rounding(xp, levels, G.shape[0] * xp.finfo(w.dtype).eps * xp.max(w))
        coefficients = V.T @ B
        return V @ (filters * coefficients if paired else _all_pairs(filters, coefficients)), (scale, None)

    def condition(X: Array, M: Array, lams: Array, B: Array) -> Array:
        ones = namespace_of(M).ones_like
        k = X.shape[1] // lams.shape[0]
        shifts = lams if paired else _all_pairs(lams[None, :], ones(X[:1, :k]))
        return M.T @ (M @ X) + shifts * X - (B if paired else _all_pairs(ones(lams)[None, :], B))

    def inverse(V: Array, X: Array, M: Array, lams: Array, B: Array, *, transposed: bool) -> Array:
        k = X.shape[1] // lams.shape[0]
        each = lams if k == 1 or lams.shape[0] == 1 else _all_pairs(lams[None, :], namespace_of(M).ones_like(X[:1, :k]))
        W, _ = _solve_shifted(M, namespace_of(M).reshape(each, (-1,)), V, paired=True)
        return W

    return implicitly(solve, condition, (M, lams, B), inverse=inverse)


def _without_rounding(xp: Namespace, x: Array, level: Array) -> Array:
    """`x` with ∞ where it is at most `level`, so that its inverse is 0 there, as in A⁺."""
    return xp.where(x > level, x, xp.full_like(x, xp.inf))


def _all_pairs(filters: Array, B: Array) -> Array:
    """Every column of `filters` (q, m) times every column of B (q, k): (q, m·k), λ slowest."""
    xp = namespace_of(B)
    return xp.reshape(filters[:, :, None] * B[:, None, :], (B.shape[0], filters.shape[1] * B.shape[1]))


def _largest_diagonal(xp: Namespace, G: Array) -> Array:
    return xp.max(xp.linalg.diagonal(G))


_DIRECT: dict[str, Callable[[Problem], _Answer]] = {"normal": _normal, "woodbury": _woodbury, "svd": _svd}


@capabilities(batch="columns of y, values of lam", grad="forward, reverse, implicit", syncs=1)
def ridge(
    A: Any,
    y: Array,
    lam: Any,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int | None = None,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    check_finite: bool = True,
    callback: Callable[[int, Any], Any] | None = None,
) -> Solution:
    """Minimise ½‖Ax − y‖² + ½λ‖x‖².

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        The operator.  Sparse matrices and operators are solved by "cg" and never made dense.
    y : array, shape (n,) or (n, k)
        Observations, one or many right-hand sides.
    lam : float, or 1-D array or list of m floats
        λ ≥ 0.  Many values are solved together, the direct methods from one factorisation.
    method : str
        "normal" solves (AᵀA + λI)x = Aᵀy, for n ≥ p; "woodbury" x = Aᵀ(AAᵀ + λI)⁻¹y, for n < p; "svd" filters the
        singular values, for small λ and ill-conditioned A; "cg" needs products with A and Aᵀ only; "auto" takes
        the cheapest of the exact ones by `xpsolve.costs`.
    tol : float, optional
        For "cg": the certificate to reach.  None is 32·eps of the dtype.
    max_iter : int, optional
        For "cg": most iterations.  None is 10·min(n, p) + 100.
    x0 : array, shape of the answer, optional
        For "cg": where to start.
    check_every : int
        For "cg": iterations between two looks at convergence, each one host read.
    check_finite : bool
        Whether to look for NaN and infinities first, which costs one host read.
    callback : callable, optional
        For "cg": called as ``callback(iteration, state)`` at every check; a true answer stops.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k), with a first axis of length m for a path.  The certificate is the relative backward
        error ‖Aᵀ(y − Ax) − λx‖ / ((‖AᵀA‖ + λ)‖x‖ + ‖Aᵀy‖) of the normal equations, from the returned x, with a
        lower bound for ‖AᵀA‖ so that it never flatters.  ``.method`` says what ran: a Cholesky factor that cannot
        be trusted is answered by the SVD, as "normal->svd".

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative, devices are mixed, a number is not finite or the method is unknown.

    Warns
    -----
    ConvergenceWarning
        If "cg" stops at `max_iter`.

    See Also
    --------
    lstsq : The limit λ → 0.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), Proposition 45, equations 14.4 and 14.5.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> y = np.asarray([1.0, 2.0, 2.0])
    >>> solution = xs.ridge(A, y, 0.5)
    >>> solution.method, solution.converged
    ('normal', True)
    >>> xs.ridge(A, y, [0.1, 1.0, 10.0]).x.shape
    (3, 2)
    """
    problem = enter_problem(A, y, lam, check_finite=check_finite)
    chosen = _choose(problem, method)
    if chosen == "cg":
        return along(
            problem,
            lambda problem, x0: solve_cg(problem, tol, max_iter, x0, check_every, callback),
            lambda X, lams: lams * X,
            x0,
        )
    return _solve_direct(problem, chosen)


def _choose(problem: Problem, method: str) -> str:
    """The method asked for, or the cheapest that the operator allows."""
    allowed = costs.RIDGE_METHODS if problem.dense else ("cg",)
    if method == "auto":
        return _cheapest(*problem.shape, problem.Y.shape[1], problem.lams.shape[0]) if problem.dense else "cg"
    if method not in (*allowed, "auto"):
        message = f"method: expected one of 'auto', {', '.join(map(repr, allowed))}, got {method!r}."
        if method in costs.RIDGE_METHODS:
            message += f" Only 'cg' works on {problem.operator!r}; the others need a dense array."
        raise ValueError(message)
    return method


@lru_cache(maxsize=1024)
def _cheapest(n: int, p: int, k: int, n_lams: int) -> str:
    options = ("normal", "woodbury")
    return costs.cheapest({name: costs.ridge(n, p, k=k, n_lams=n_lams, method=name) for name in options})


def _solve_direct(problem: Problem, method: str) -> Solution:
    answer = _DIRECT[method](problem)
    stats: dict[str, Any] = {"factorisations": 1}
    if answer.ok is not None and is_concrete(answer.ok) and not bool(answer.ok):  # the one host read
        stats = {
            "factorisations": 2,
            "fallbacks": (f"{method}: the Cholesky factor has pivots at rounding level",),
        }
        answer, method = _svd(problem), f"{method}->svd"
    error = normal_equations_error(problem, answer.X, answer.scale)
    eps = float(problem.xp.finfo(problem.Y.dtype).eps)
    tol = eps**0.75  # three quarters of the digits
    certificate = Certificate("relative backward error of the normal equations", error, tol)
    return Solution(from_columns(problem, answer.X), method, certificate, stats=stats)
