"""Newton's method  x ← x − t∇²f(x)⁻¹∇f(x), damped by a line search (Nocedal & Wright 2006, ch. 3 and 7).

For few features the Hessian AᵀDA/n + λI is made and factored; otherwise the system is solved by conjugate gradients,
only as accurately as the gradient needs: to ‖∇²f v + ∇f‖ ≤ min(½, √ρ)‖∇f‖, ρ the certificate (Dembo, Eisenstat &
Steihaug 1982).  For `Multinomial` with a dense A they are preconditioned by the mean of the blocks of single classes on
the diagonal, AᵀDA/n + λI with D the mean of diag(π_k(1 − π_k)) over the classes k: one factor for all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    check_iteration,
    check_option,
    cholesky_solve,
    conjugate_start,
    conjugate_step,
    either,
    in_memory,
    iterate,
    shifted,
    solve_positive,
    weighted_gram,
)
from xpsolve.capabilities import capabilities
from xpsolve.operators import Dense, Rows
from xpsolve.solution import Callback, Solution, Status
from xpsolve.stochastic._row_model import row_model
from xpsolve.stochastic._run import (
    Descent,
    Start,
    accepted,
    along,
    check_objective,
    inner,
    raised,
    raised_factor,
    value_and_gradient,
)
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.multinomial import Multinomial

_METHODS = ("auto", "cholesky", "cg")
_FEW = 1000  # features up to which np² flops for a Hessian are less time than the products of conjugate gradients
_CG_CHECK = 3  # conjugate gradient steps between two checks of their residual


class _State(NamedTuple):
    x: Array
    g: Array  # ∇f(x)
    value: Array  # f(x)
    t: Array  # the step to try, 0-d


_Solve = Callable[[_State], Array]
_ADVICE = {Status.MAX_ITER: "Raise max_iter, or lam where features depend on one another."}


@capabilities(grad="forward, reverse, implicit", syncs=2)
def newton(
    f: Any,
    x0: Array | None = None,
    *,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 100,
    check_every: int = 1,
    record: bool = False,
    callback: Callback = None,
) -> Solution:
    """Minimise a smooth convex f by Newton steps.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.asarray([-1.0, 1.0, -1.0])
    >>> solution = xs.newton(xs.Logistic(A, y, lam=0.1))
    >>> solution.method, solution.converged
    ('newton: cholesky', True)

    Parameters
    ----------
    f : LeastSquares, Logistic, Multinomial or object
        The objective.  An object of your own needs ``.value(x)``, ``.gradient(x)`` and ``.hessian_vector(x, v)``.
    x0 : array, shape of the answer, optional
        Where to start, for a model with an intercept with it as one more entry or row, the last.  None is 0, and an
        intercept that fits the samples, for the objectives of xpsolve.
    method : str
        "cholesky" factors the Hessian, for a dense A and one number per sample; "cg" solves with it by conjugate
        gradients; "auto" takes "cholesky" where it can and p ≤ 1000.
    tol : float
        The certificate to reach.

    Returns
    -------
    Solution
        ``.x`` has the shape of the answer; the intercept is apart, in ``.intercept``, also of what a callback sees.
        The certificate, from the returned x, is ‖D∇f(x)‖ relative to that at the first x for x0=None, with D_j =
        1/max_i |A_ij| where A has explicit entries, so that scaling a column changes nothing, and D = 1 otherwise; for
        an objective of your own ‖∇f(x)‖ relative to ‖∇f(x0)‖.  Classes that x separates, with λ = 0,
        end as UNBOUNDED.

    Other Parameters
    ----------------
    max_iter : int
        Most steps.  A step that does not decrease f enough is tried again, a quarter as long.
    check_every : int
        Steps between two convergence checks, each one host read; "cg" adds one every third iteration of its own.
    record : bool
        Whether to keep objective and certificate after every step, at the price of two products with A each.
    callback : callable, optional
        Called as ``callback(iteration, state)`` at every check; a true answer stops.

    Raises
    ------
    TypeError
        If f is no objective with a Hessian, or an argument is of the wrong kind.
    ValueError
        If x0 has the wrong shape, or an option is unknown or out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not converged, unless the callback stopped it.

    See Also
    --------
    gradient_descent : For many features and low accuracy.

    References
    ----------
    J. Nocedal & S. Wright, Numerical Optimization (2006), §3.3, §7.1.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.asarray([-1.0, 1.0, 1.0])
    >>> solution = xs.newton(xs.Logistic(A, y, 0.1))
    >>> solution.method, solution.converged, solution.n_iter
    ('newton: cholesky', True, 4)
    """
    check_objective(f)
    chosen = _choose(f, method)
    tol = check_iteration(tol=tol, max_iter=max_iter, check_every=check_every, record=record, callback=callback)

    def solve(start: Start) -> Descent:
        f = start.f
        solve_for = _by_cholesky(f, start) if chosen == "cholesky" else _by_cg(f, start)
        one = start.number(1.0)

        def step(s: _State) -> _State:
            v = solve_for(s)
            x = s.x + s.t * v
            value, g = value_and_gradient(f, x)
            promised, slope = -s.t * inner(s.g, v), s.t * inner(g, v)
            good = accepted(s.value, value, promised, slope, part=1e-4)
            return _State(*either(good, (x, g, value, one), (s.x, s.g, s.value, 0.25 * s.t)))

        run = iterate(
            step,
            _State(start.x, start.g, start.number(f.value(start.x)), one),
            measure=start.measure,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            **start.watched(record, callback),
        )
        return Descent(run, f"newton: {chosen}", {})

    seen = functools.partial(row_model, hessians=chosen == "cholesky")
    return along("newton", f, solve, x0, tol=tol, advice=_ADVICE, columns=True, seen=seen)


def _choose(f: Any, method: str) -> str:
    check_option(method, "method", _METHODS)
    if not callable(getattr(f, "hessian_vector", None)):
        message = (
            f"f: expected an objective with .hessian_vector(x, v), got {type(f).__qualname__}. Use gradient_descent."
        )
        raise TypeError(message)
    can = isinstance(f, LinearModel) and len(f.shape) == 1 and isinstance(f.matrix, Dense | Rows)
    if method == "cholesky" and not can:
        message = f"method: 'cholesky' expects a dense A and x of shape (p,), got {f!r}. Use method='cg'."
        raise ValueError(message)
    if method == "auto":
        return "cholesky" if can and f.shape[0] <= _FEW else "cg"
    return method


def _by_cholesky(f: LinearModel, start: Start) -> _Solve:
    """−∇²f⁻¹∇f from a factor."""
    return lambda s: in_memory(lambda H, g: (-solve_positive(raised(H), g),), f.hessian(s.x), s.g)[0]


def _by_cg(f: Any, start: Start) -> _Solve:
    """The same by conjugate gradients, preconditioned where a preconditioner is known."""
    xp = start.xp
    D = start.weights
    square = None if D is None else D * D
    size = int(np.prod(start.x.shape))

    def solve(s: _State) -> Array:
        product = _hessian_operator(f, s.x)
        precondition = _preconditioner(f, s.x, square)
        target = xp.minimum(xp.sqrt(start.relative(s.g)), 0.5 * xp.ones_like(s.t)) * start.size(s.g)

        first = conjugate_start(-s.g, inner, precondition)
        rounding = (16 * xp.finfo(s.g.dtype).eps) ** 2 * first.rho  # a division by a singular H would follow
        run = iterate(
            lambda c: conjugate_step(product, c, inner, rounding, precondition),
            first,
            measure=lambda c: start.size(c.r) / xp.where(target > 0, target, xp.full_like(target, xp.inf)),
            tol=1.0,
            max_iter=min(size + 10, 500),
            check_every=_CG_CHECK,
        )
        return run.state.u

    return solve


def _hessian_operator(f: Any, x: Array) -> Callable[[Array], Array]:
    if hasattr(f, "hessian_operator"):
        operator: Callable[[Array], Array] = f.hessian_operator(x)
        return operator
    return lambda v: f.hessian_vector(x, v)


def _preconditioner(f: Any, x: Array, square: Array | None) -> Callable[[Array], Array]:
    """r to M⁻¹r with the mean of the classes' Hessians as M, or for other objectives M⁻¹ = D², if there is a D."""
    if not isinstance(f, Multinomial) or not isinstance(f.operator, Dense) or f.shape[0] > _FEW:
        return lambda r: r if square is None else square * r
    xp, A = f.xp, f.operator.A
    spread = xp.mean(f._weighted(f.second_derivative(f.margins(x), f.y)), axis=1) / f.n
    lam = xp.reshape(f.lam, (-1,)) if f.lam.ndim else f.lam
    (L,) = in_memory(lambda H: (raised_factor(H),), shifted(weighted_gram(A, xp.sqrt(spread)), lam))
    L = f.small(L)
    return lambda r: cholesky_solve(L, r)
