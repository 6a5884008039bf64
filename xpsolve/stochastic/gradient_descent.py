"""Gradient descent  x ← x − τ∇f(x), with momentum or a line search (Peyré 2020, ch. 13; Nesterov 2018, ch. 2).

    heavy ball   x⁺ = x − τ∇f(x) + β(x − x⁻)                            (Polyak 1964)
    nesterov     x⁺ = z − τ∇f(z),   z⁺ = x⁺ + β_k(x⁺ − x)               (Nesterov 1983; Chambolle & Pock 2016, alg. 5)

With q = τλ the momentum of nesterov comes from t⁺ = ½(1 − qt² + √((1 − qt²)² + 4t²)), t_0 = 1,
β = (t − 1)/t⁺·(1 − t⁺q)/(1 − q): that of FISTA for λ = 0, and (1 − √q)/(1 + √q) in the limit for λ > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_iteration,
    check_option,
    check_positive,
    holds,
    is_array,
    iterate,
    safe_norm,
)
from xpsolve.capabilities import capabilities
from xpsolve.solution import Callback, Solution, Status
from xpsolve.stochastic._row_model import row_model
from xpsolve.stochastic._run import Descent, Start, accepted, along, check_objective, inner, value_and_gradient
from xpsolve.stochastic.compiled_descent import several_descents
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.objectives import LeastSquares

_SEARCHES = ("armijo", "exact")
_MOMENTA = ("heavy_ball", "nesterov")
_UNKNOWN_MU = 0.9  # momentum of the heavy ball where nothing is known about strong convexity


class _State(NamedTuple):
    x: Array
    g: Array  # ∇f(x); for "nesterov" that of the last check, or of a compiled loop
    z: Array  # "nesterov": the extrapolated point; "heavy_ball": the x before
    t: Array  # 0-d: the step to try, or t_k of "nesterov"
    value: Array  # f(x) for "armijo"
    safe: Array  # x at the last check where the gradient was finite


_Step = Callable[[_State], _State]
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter, try momentum='nesterov' or newton, or scale the columns of A to like size.",
    Status.DIVERGED: "Use a smaller step: step=None is a safe one.",
}


@capabilities(grad="forward, reverse, implicit", syncs=2, numbers=("step", "tol"))
def gradient_descent(
    f: Any,
    x0: Array | None = None,
    *,
    step: Any = None,
    line_search: Any = False,
    momentum: str | None = None,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
) -> Solution:
    """Minimise a smooth f by steps against its gradient.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> solution = xs.gradient_descent(xs.LeastSquares(A, y), momentum="nesterov")
    >>> solution.x.round(2), solution.converged
    (array([1., 1.]), True)

    Parameters
    ----------
    f : LeastSquares, Logistic, Multinomial or object
        The objective.  An object of your own needs ``.value(x)`` and ``.gradient(x)``, and ``.lipschitz()`` where no
        step is given; strong convexity is read from ``.lam``, if it has one.
    x0 : array, shape of the answer, optional
        Where to start, for a model with an intercept with it as one more entry or row, the last.  None is 0, and an
        intercept that fits the samples, for the objectives of xpsolve.
    step : float, optional
        The step τ; None is 1/L, and 4/(√L + √λ)² for the heavy ball with λ > 0.  With a line search, the first to try.
    line_search : bool or str
        False keeps the step.  True or "armijo" backtracks on the device: an iteration tries one step; it is taken, and
        the next made longer by a tenth, if f falls by half of what its slope promises, and is halved otherwise.
        "exact" minimises along the gradient, for `LeastSquares`: steepest descent.
    momentum : {None, "heavy_ball", "nesterov"}
        Not together with a line search.  The heavy ball takes β = (1 − √(τλ))² and 0.9 where λ = 0; it need not
        converge on what is not quadratic.
    tol : float
        The certificate to reach.

    Returns
    -------
    Solution
        ``.x`` has the shape of the answer; the intercept is apart, in ``.intercept``, also of what a callback sees.
        The certificate, from the returned x, is ‖D∇f(x)‖ relative to that at the first x for x0=None, with D_j =
        1/max_i |A_ij| where A has explicit entries, so that scaling a column changes nothing, and D = 1 otherwise; for
        an objective of your own ‖∇f(x)‖ relative to ‖∇f(x0)‖.  A step that is too long ends as
        DIVERGED, with the last x whose gradient was seen to be finite; classes that x separates, with λ = 0, as
        UNBOUNDED.

    Other Parameters
    ----------------
    max_iter : int
        Most iterations, each a product with A and one with Aᵀ.
    check_every : int
        Iterations between two convergence checks, each one host read.
    record : bool
        Whether to keep objective and certificate after every iteration, at the price of two products with A each.
    callback : callable, optional
        Called as ``callback(iteration, state)`` at every check; a true answer stops.

    Raises
    ------
    TypeError
        If f is no objective, or an argument is of the wrong kind.
    ValueError
        If x0 has the wrong shape, or an option is unknown, out of range or does not go with another.

    Warns
    -----
    ConvergenceWarning
        If the answer is not converged, unless the callback stopped it.

    See Also
    --------
    newton : For few features, or high accuracy.

    References
    ----------
    Y. Nesterov, Lectures on Convex Optimization (2018), §2.1, §2.2.
    A. Chambolle & T. Pock, An introduction to continuous optimization for imaging, Acta Numerica 25 (2016),
    algorithm 5.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.LeastSquares(np.asarray([[2.0, 0.0], [0.0, 1.0]]), np.asarray([2.0, 3.0]))
    >>> solution = xs.gradient_descent(f, momentum="nesterov")
    >>> solution.converged, solution.x.round(3)
    (True, array([1., 3.]))
    """
    check_objective(f)
    search = _search(line_search)
    _check(f, step, search, momentum)
    tol = check_iteration(tol=tol, max_iter=max_iter, check_every=check_every, record=record, callback=callback)

    def solve(start: Start, step: Any) -> Descent:
        f, xp = start.f, start.xp
        tau, mu = _parameters(f, start, step, search, momentum)
        beta = _momentum(start, momentum, tau, mu)
        advance, first = _variant(f, start, search, momentum, tau, beta)
        several = None if search else several_descents(f, first, momentum, tau, beta)

        def refresh(s: _State) -> _State:
            g = f.gradient(s.x) if momentum == "nesterov" and several is None else s.g
            finite = xp.isfinite(xp.sum(xp.abs(g)))
            return s._replace(g=g, x=xp.where(finite, s.x, s.safe), safe=xp.where(finite, s.x, s.safe))

        run = iterate(
            advance,
            first,
            measure=start.measure,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            refresh=refresh,
            several=several,
            **start.watched(record, callback),
        )
        return Descent(run, "gradient_descent", {})

    with np.errstate(over="ignore", invalid="ignore"):  # a step that is too long is a status
        options: dict[str, Any] = {} if search == "exact" else {"seen": row_model}
        user_step = step is not None
        return along("gradient_descent", f, solve, x0, step, tol=tol, advice=_ADVICE, user_step=user_step, **options)


def _search(line_search: Any) -> str | None:
    if isinstance(line_search, bool) or line_search is None:
        return "armijo" if line_search else None
    if not isinstance(line_search, str) or line_search not in _SEARCHES:
        known = isinstance(line_search, str)
        got = repr(line_search) if known else f"an object of type {type(line_search).__qualname__}"
        message = f"line_search: expected False, True, 'armijo' or 'exact', got {got}."
        raise (ValueError if known else TypeError)(message)
    return line_search


def _check(f: Any, step: Any, search: str | None, momentum: str | None) -> None:
    if momentum is not None:
        check_option(momentum, "momentum", _MOMENTA)
    if search is not None and momentum is not None:
        message = f"line_search: expected False together with momentum={momentum!r}, got {search!r}."
        raise ValueError(message)
    if search == "exact" and not (isinstance(f, LeastSquares) and f.y.ndim == 1):
        message = f"line_search: 'exact' expects LeastSquares, got {type(f).__qualname__}. Use line_search=True."
        raise ValueError(message)
    if step is not None:
        check_step(step)
    if step is None and search != "exact" and not callable(getattr(f, "lipschitz", None)):
        message = f"step: expected a number, as {type(f).__qualname__} has no .lipschitz(), got None."
        raise ValueError(message)


def check_step(step: Any) -> None:
    """Raise unless the step is a positive number, or a 0-d array of one."""
    if not is_array(step):
        check_positive(step, "step")
        return
    if step.ndim != 0:
        message = f"step: expected a positive number, got an array of shape {tuple(step.shape)}."
        raise ValueError(message)
    if not holds((step > 0) & (step < float("inf"))):
        message = "step: expected a positive number, got an array with a number that is negative, zero or not finite."
        raise ValueError(message)


def _parameters(f: Any, start: Start, step: Any, search: str | None, momentum: str | None) -> tuple[Array, Array]:
    """The step τ and the strong convexity μ."""
    xp, mu = start.xp, start.number(f.convexity() if isinstance(f, LinearModel) else getattr(f, "lam", 0.0))
    if step is not None:
        return start.step(step), mu
    if search == "exact":
        return start.number(0.0), mu  # never used
    L = start.number(f.lipschitz())
    if momentum == "heavy_ball":
        root = xp.sqrt(L) + xp.sqrt(mu)
        return xp.where(mu > 0, 4 / (root * root), 1 / L), mu
    return 1 / L, mu


def _momentum(start: Start, momentum: str | None, tau: Array, mu: Array) -> Array:
    """β of the heavy ball, q of nesterov, and without momentum any number."""
    if momentum is None:
        return mu
    q, xp = tau * mu, start.xp
    if momentum == "nesterov":
        return q
    root = 1 - xp.sqrt(q)
    return xp.where(mu > 0, root * root, start.number(_UNKNOWN_MU))


def _variant(
    f: Any, start: Start, search: str | None, momentum: str | None, tau: Array, beta: Array
) -> tuple[_Step, _State]:
    """One iteration of the method asked for, and its first state."""
    first = _State(start.x, start.g, start.x, tau, tau, start.x)

    if search == "armijo":
        return _armijo(f, start), first._replace(value=start.number(f.value(start.x)))
    if search == "exact":
        return _steepest(f, start), first
    if momentum == "heavy_ball":

        def heavy_ball(s: _State) -> _State:
            x = s.x - tau * s.g + beta * (s.x - s.z)
            return s._replace(x=x, g=f.gradient(x), z=s.x)

        return heavy_ball, first
    if momentum == "nesterov":
        return _nesterov(f, start, tau, beta), first._replace(t=start.number(1.0))

    def plain(s: _State) -> _State:
        x = s.x - tau * s.g
        return s._replace(x=x, g=f.gradient(x))

    return plain, first


def _nesterov(f: Any, start: Start, tau: Array, q: Array) -> _Step:
    xp = start.xp

    def advance(s: _State) -> _State:
        x = s.z - tau * f.gradient(s.z)
        a = 1 - q * s.t * s.t
        t = 0.5 * (a + xp.sqrt(a * a + 4 * s.t * s.t))
        beta = (s.t - 1) * (1 - q * t) / (t * (1 - q))
        return s._replace(x=x, z=x + beta * (x - s.x), t=t)

    return advance


def _armijo(f: Any, start: Start) -> _Step:
    xp = start.xp

    def advance(s: _State) -> _State:
        x = s.x - s.t * s.g
        value, g = value_and_gradient(f, x)
        promised, slope = s.t * inner(s.g, s.g), -s.t * inner(s.g, g)
        good = accepted(s.value, value, promised, slope, part=0.5)
        return s._replace(
            x=xp.where(good, x, s.x),
            g=xp.where(good, g, s.g),
            value=xp.where(good, value, s.value),
            t=xp.where(good, 1.1 * s.t, 0.5 * s.t),
        )

    return advance


def _steepest(f: LeastSquares, start: Start) -> _Step:
    xp = start.xp
    length = safe_norm(start.g)
    unit = 1 / xp.where(length > 0, length, xp.ones_like(length))  # so that no fourth power of A's numbers is taken

    def advance(s: _State) -> _State:
        u = s.g * unit
        Au, gg = f.margins(u), inner(u, u)
        curved = inner(Au, f._weighted(Au)) / f.n + (f.lam * gg if f.lam.ndim == 0 else inner(u, f.lam * u))
        t = gg / xp.where(curved > 0, curved, xp.ones_like(curved))  # g is 0 where its curvature is
        x = s.x - t * s.g
        return s._replace(x=x, g=f.gradient(x))

    return advance
