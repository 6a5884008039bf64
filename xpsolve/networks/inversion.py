"""Prediction as inversion: y = f⁻¹(x) by gradient descent, and θ learned through its iterations.

    ℓ_θ(y) = ½‖x − f(y; θ)‖²,   y_{k+1} = y_k − α ∂_y f(y_k; θ)ᵀ (f(y_k; θ) − x),   h_θ(x) = y_N

    T(θ) = ½‖h_θ(x) − y‖²,   θ ← Π(θ − β ∂_θ h_θ(x)ᵀ (h_θ(x) − y))

∂_θ h goes backwards through the unrolled iterations, with a tape for θ around the tape for y; it may unroll fewer of
them than the prediction takes.  ``half=False`` leaves the ½ out of both losses, which doubles their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve import autodiff, costs
from xpsolve.arrays import (
    Array,
    check_callable,
    check_count,
    check_flag,
    check_function,
    check_iteration,
    check_positive,
    enter,
    iterate,
    lift,
    namespace_of,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by
from xpsolve.trace import arrays_in, map_arrays


@capabilities(grad="forward, reverse")
def invert(f: Callable[[Array], Array], x: Array, y0: Array, *, step: float, n_steps: int, half: bool = True) -> Array:
    """Take gradient steps on ½‖x − f(y)‖² from y0: an approximate f⁻¹(x).

    Parameters
    ----------
    f : callable
        Array-API code, differentiable, of one array; its result has the shape of x.
    x : array
        The result that f should have.
    y0 : array
        Where to start.
    step : float
        Length α > 0 of a step; below 2/L, with L the largest eigenvalue of ∂fᵀ∂f, it converges where f is linear.
    n_steps : int
        Steps, N ≥ 0.
    half : bool
        False takes the steps on ‖x − f(y)‖², as some texts write it: twice as far each.

    Returns
    -------
    array
        y_N, in the shape of y0.

    Raises
    ------
    TypeError
        If x or y0 is not a real array, libraries are mixed, or step is not a number.
    ValueError
        If f(y0) has another shape than x, devices are mixed, or an option is out of range.

    See Also
    --------
    fit_inverse : Learns the parameters of f for this.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> y = xs.invert(lambda y: 2 * y - 4, np.asarray([0.0, 6.0]), np.zeros(2), step=0.2, n_steps=20)
    >>> y.round(6)
    array([2., 5.])
    """
    check_function(f, "f")
    _, (x, y) = enter(x=x, y0=y0)
    length = _SCALE[check_flag(half, "half")] * check_positive(step, "step", dtype=y.dtype)
    return _descended(f, (), x, y, length, check_count(n_steps, "n_steps", 0))


def _descended(f: Callable[..., Array], theta: tuple[Any, ...], x: Array, y: Array, step: float, n_steps: int) -> Array:
    """y after steps on ½‖x − f(y, *theta)‖²; all arrays are lifted to one level, since some libraries mix none."""
    _, (x, y, *_) = enter(x=x, y0=y, **{f"theta[{i}]": t for i, t in enumerate(arrays_in(theta))})

    def f_at(y: Array) -> Array:
        xp = namespace_of(y)
        return f(y, *map_arrays(lambda t: lift(xp, t), theta))

    for _ in range(n_steps):
        found, pullback = autodiff.vjp(f_at, y)
        if found.shape != x.shape:
            message = f"x: expected the shape of f(y0), {tuple(found.shape)}, got {tuple(x.shape)}."
            raise ValueError(message)
        (gradient,) = pullback(found - x)
        y = y - step * gradient
    return y


_SCALE = {True: 1.0, False: 2.0}  # of the gradients of ½‖·‖² and of ‖·‖²


_ADVICE = {
    Status.MAX_ITER: "Raise max_iter, or try another theta_step.",
    Status.NOT_FINITE: "Use a smaller step or theta_step.",
}


class _State(NamedTuple):
    error: Array  # ‖h_θ(x) − y‖ / ‖y‖, 0-d
    residual: Array  # h_θ(x) − y
    theta: Any  # any structure of arrays


def _named(theta: Any) -> dict[str, Array]:
    """The arrays of the parameters with names for messages."""
    given = {f"theta0[{i}]": t for i, t in enumerate(arrays_in(theta))}
    if not given:
        message = f"theta0: expected an array or a structure of arrays, got {type(theta).__qualname__}."
        raise TypeError(message)
    return given


def _steps_followed(n_steps: Any, n_unrolled: Any) -> int:
    """How many of the steps are differentiated."""
    check_count(n_steps, "n_steps", 1)
    unrolled: int = n_steps if n_unrolled is None else n_unrolled
    check_count(unrolled, "n_unrolled", 1)
    if unrolled > n_steps:
        message = f"n_unrolled: expected at most n_steps = {n_steps}, got {unrolled}."
        raise ValueError(message)
    return unrolled


def _norm(x: Array) -> Array:
    """The Euclidean norm of all entries."""
    xp = namespace_of(x)
    found: Array = xp.linalg.vector_norm(xp.reshape(x, (-1,)))
    return found


@capabilities(backends=EAGER, jit=False, syncs=1)
def fit_inverse(
    f: Callable[[Array, Any], Array],
    theta0: Any,
    x: Array,
    y: Array,
    *,
    step: float,
    theta_step: float,
    y0: Array | None = None,
    n_steps: int = 20,
    n_unrolled: int | None = None,
    project: Callable[[Any], Any] | None = None,
    half: bool = True,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
) -> Solution:
    """Learn θ such that inverting f(·; θ) by `invert` takes x to y.

    Parameters
    ----------
    f : callable
        ``f(y, theta)``, array-API code, twice differentiable; its result has the shape of x.
    theta0 : array, or structure of arrays
        Where to start: an array, or arrays in tuples, lists and dicts.
    x : array
        Observations.
    y : array
        The result that the inversion should have.
    step : float
        Length α of the steps in y.
    theta_step : float
        Length β of the steps in θ.
    y0 : array, optional
        Where each inversion starts; zeros if None.
    n_steps : int
        Steps of a prediction, N.
    n_unrolled : int, optional
        Steps that the derivative goes through, at most N; all of them if None.
    project : callable, optional
        Applied to θ after each step, Π: keeps it where the inversion converges.
    half : bool
        False leaves the ½ out of both losses, as some texts do: twice the step in y and in θ.
    tol : float
        The certificate to reach.
    max_iter : int
        Most steps in θ.
    check_every : int
        Steps between two convergence checks, each one host read.
    record : bool
        Whether to keep the loss T(θ) as "objective" and the certificate after every step.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`; a true answer stops.

    Returns
    -------
    Solution
        ``.x`` is θ, in the structure of theta0.  The certificate is ‖h_θ(x) − y‖ relative to ‖y‖, from the returned θ.

    Raises
    ------
    TypeError
        If x, y, y0 or what is in theta0 is not a real array, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not converged, unless the callback stopped it.

    See Also
    --------
    invert : The prediction.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> y = np.asarray([-1.0, 0.0, 1.0])
    >>> x = 2 * y - 4
    >>> fitted = xs.fit_inverse(
    ...     lambda y, theta: theta[0] * y + theta[1], np.asarray([1.5, -3.0]), x, y, step=0.2, theta_step=0.1, tol=1e-4
    ... )
    >>> fitted.x.round(3), fitted.converged
    (array([ 2., -4.]), True)
    """
    check_function(f, "f")
    check_callable(project, "project")
    given = _named(theta0)
    names = {"x": x, "y": y, **({} if y0 is None else {"y0": y0})}
    xp, arrays = enter(**names, **given)
    x, y = arrays[:2]
    start = xp.zeros_like(y) if y0 is None else arrays[2]
    if start.shape != y.shape:
        message = f"y0: expected the shape of y, {tuple(y.shape)}, got {tuple(start.shape)}."
        raise ValueError(message)
    scale = _SCALE[check_flag(half, "half")]
    length = scale * check_positive(step, "step", dtype=y.dtype)
    theta_length = scale * check_positive(theta_step, "theta_step", dtype=y.dtype)
    tol = check_iteration(tol=tol, max_iter=max_iter, check_every=check_every, record=record, callback=callback)
    unrolled = _steps_followed(n_steps, n_unrolled)
    entered = iter(arrays[len(names) :])
    theta0 = map_arrays(lambda _: next(entered), theta0)
    project = project or (lambda theta: theta)
    size = _norm(y)
    size = xp.where(size > 0, size, xp.ones_like(size))

    def inverse(theta: Any, n: int) -> Array:
        return _descended(f, (theta,), x, start, length, n)

    def state_at(theta: Any) -> _State:
        residual = inverse(theta, n_steps) - y
        return _State(_norm(residual) / size, residual, theta)

    def descended(state: _State) -> _State:
        _, pullback = autodiff.vjp(lambda theta: inverse(theta, unrolled), state.theta)
        (gradient,) = pullback(state.residual)
        slopes = iter(arrays_in(gradient))
        return state_at(project(map_arrays(lambda t: t - theta_length * next(slopes), state.theta)))

    def recorded(state: _State) -> dict[str, Array]:
        loss = 0.5 * scale * xp.sum(state.residual * state.residual)
        return {"objective": loss, "certificate": state.error}

    run = iterate(
        descended,
        state_at(theta0),
        measure=lambda state: state.error,
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        record=recorded if record else None,
        callback=seen_by(callback, lambda state: state.theta, lambda state: state.error),
    )
    return finish(
        "fit_inverse",
        run.state.theta,
        method="unrolled",
        certificate=Certificate("‖h(x) − y‖ relative to ‖y‖", run.state.error, tol),
        reason=run.reason,
        measure=run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        advice=_ADVICE,
    )
