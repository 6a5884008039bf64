"""Training by stochastic gradient descent with momentum, on small batches (Polyak 1964; Peyré 2020, §14.2).

    v_{k+1} = m v_k − τ_k ∇L_{B(k)}(θ_k),   θ_{k+1} = θ_k + v_{k+1},   τ_k = τ_0/(1 + k/k_0)

B(k) are the samples of step k.  Each epoch goes through all of them once in a new random order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    Run,
    check_callable,
    check_count,
    check_flag,
    check_function,
    check_number,
    check_positive,
    common_device,
    common_namespace,
    device_of,
    enter,
    iterate,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by
from xpsolve.trace import arrays_in, map_arrays

_ADVICE = {
    Status.MAX_ITER: "Raise epochs, or try another step.",
    Status.NOT_FINITE: "The loss is not finite at the first params.",
}


class _State(NamedTuple):
    loss: Array  # mean over the batches of the last epoch, 0-d
    params: Any
    speed: Any
    epoch: int


@capabilities(backends=EAGER, jit=False, syncs=3)
def train(
    value_and_gradient: Callable[..., tuple[Array, Any]],
    params: Any,
    *samples: Array,
    step: float,
    momentum: float = 0.9,
    warmup: float | None = None,
    batch: int = 32,
    epochs: int = 10,
    seed: int = 0,
    tol: float = 1e-2,
    record: bool = False,
    callback: Callback = None,
) -> Solution:
    """Minimise a mean of losses over samples, of any network, in small batches.

    Parameters
    ----------
    value_and_gradient : callable
        ``value_and_gradient(params, *some)`` of some of the samples to L, 0-d, which is a mean over them, and ∇L in the
        structure of params.
    params : array, or structure of arrays
        θ to start from: an array, or arrays in tuples, lists, dicts and dataclasses.
    *samples : array, shape (N, …)
        The samples along the first axis: inputs, targets, ….
    step : float
        τ_0.
    momentum : float
        m in [0, 1).
    warmup : float, optional
        k_0, in steps; None keeps all steps as long as the first.
    batch : int
        Samples per step; the last step of an epoch takes what is left.
    epochs : int
        Passes through the samples.
    seed : int
        Of the order of samples.
    tol : float
        The loss at which to stop, checked after each epoch.
    record : bool
        Whether to keep the mean over the batches of every epoch, before the step of each, as "objective"; the first is
        that of `params`.
    callback : callable, optional
        Called as ``callback(epoch, progress)`` before the first epoch and after each, with a `Progress`, whose x is θ
        and whose measure is the mean that `record` keeps; a true answer stops.

    Returns
    -------
    Solution
        ``.x`` is θ, in the structure of `params`; ``.n_iter`` counts epochs.  The certificate is the mean
        loss over all samples, from the returned θ.

    Raises
    ------
    TypeError
        If params or samples are not real arrays, libraries are mixed, or an option is not a number.
    ValueError
        If samples disagree in number, devices are mixed, the gradient has another structure, or an option is out of
        range.

    Warns
    -----
    ConvergenceWarning
        If the loss is above `tol` at the end, unless the callback stopped it.

    See Also
    --------
    sgd : The same for linear models, in blocks of matrix products.
    autodiff.value_and_grad : Makes a `value_and_gradient` from a loss.

    Notes
    -----
    The host reads the device twice per epoch at most.  Inputs are gathered batch by batch on their device.

    References
    ----------
    B. T. Polyak, Some methods of speeding up the convergence of iteration methods, USSR Computational Mathematics and
    Mathematical Physics 4 (1964); G. Peyré, Mathematical Foundations of Data Sciences (2020), section 14.2.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.random.default_rng(0).standard_normal((100, 3))
    >>> y = A @ np.asarray([1.0, -2.0, 3.0])
    >>> def loss(x, A, y):
    ...     r = A @ x - y
    ...     return r @ r / (2 * len(y)), A.T @ r / len(y)
    >>> run = xs.networks.train(loss, np.zeros(3), A, y, step=0.1, epochs=100, tol=1e-10)
    >>> run.converged, run.x.round(3)
    (True, array([ 1., -2.,  3.]))
    """
    xp, params = _entered(params, samples)
    total = samples[0].shape[0]
    step, warmup, momentum = _checked(
        value_and_gradient, params, step, tol, batch, epochs, warmup, momentum, seed, record, callback
    )
    like = samples[0]
    steps_an_epoch = -(-total // batch)

    def mean(terms: list[Array], sizes: list[int]) -> Array:
        weights = xp.asarray([n / total for n in sizes], dtype=terms[0].dtype, device=device_of(like))
        return xp.sum(xp.stack(terms) * weights)

    def epoch(state: _State) -> _State:
        order = np.random.default_rng((seed, state.epoch)).permutation(total)
        there = xp.asarray(order, dtype=xp.int64, device=device_of(like))
        params, speed = state.params, state.speed
        terms, sizes = [], []
        for j in range(steps_an_epoch):
            index = there[j * batch : min((j + 1) * batch, total)]
            tau = step if warmup is None else step / (1 + (state.epoch * steps_an_epoch + j) / warmup)
            value, gradient = value_and_gradient(params, *(xp.take(x, index, axis=0) for x in samples))
            _check_gradient(gradient, params)
            speed = _each(lambda v, g: momentum * v - tau * g, speed, gradient)  # noqa: B023
            params = _each(lambda p, v: p + v, params, speed)
            terms.append(value)
            sizes.append(index.shape[0])
        return _State(mean(terms, sizes), params, speed, state.epoch + 1)

    def loss(params: Any) -> Array:
        parts = [slice(a, min(a + batch, total)) for a in range(0, total, batch)]
        values = [value_and_gradient(params, *(x[part, ...] for x in samples))[0] for part in parts]
        return mean(values, [part.stop - part.start for part in parts])

    def reached(state: _State) -> float:
        """The mean loss of the epoch, and where that is small enough the loss at θ itself."""
        value = float(state.loss)
        return float(loss(state.params)) if value <= tol else value

    run = iterate(
        epoch,
        _State(loss(params), params, map_arrays(xp.zeros_like, params), 0),
        measure=reached,  # a number: read once
        tol=tol,
        max_iter=epochs,
        check_every=1,
        record=(lambda state: {"objective": state.loss}) if record else None,
        callback=seen_by(callback, lambda state: state.params, lambda state: state.loss),
    )
    certificate = Certificate("mean loss over all samples", loss(run.state.params), tol)
    return _finished(run, certificate, "heavy_ball" if momentum else "sgd", run.n_iter * steps_an_epoch)


def _finished(run: Run[_State], certificate: Certificate, method: str, steps: int) -> Solution:
    """The answer: a loss above the tolerance is not an error, unless it is not finite."""
    value = certificate.value
    ended = None
    if run.reason == "not finite" and run.n_iter:
        ended = Status.DIVERGED
    elif run.reason != "callback" and value > certificate.tol:
        ended = Status.MAX_ITER
    return finish(
        "train",
        run.state.params,
        method=method,
        certificate=certificate,
        reason=run.reason if ended is not Status.MAX_ITER else "",
        measure=value,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads, "steps": steps},
        ended=ended,
        advice=_ADVICE,
    )


def _checked(
    value_and_gradient: Any,
    params: Any,
    step: Any,
    tol: Any,
    batch: Any,
    epochs: Any,
    warmup: Any,
    momentum: Any,
    seed: Any,
    record: Any,
    callback: Any,
) -> tuple[float, float | None, float]:
    """The options, checked; step, warmup and momentum as numbers."""
    check_function(value_and_gradient, "value_and_gradient")
    step = check_positive(step, "step", dtype=arrays_in(params)[0].dtype)
    check_number(tol, "tol", minimum=0)
    check_count(batch, "batch", 1)
    check_count(epochs, "epochs", 0)
    if warmup is not None:
        warmup = check_positive(warmup, "warmup")
    momentum = check_number(momentum, "momentum", minimum=0)
    if momentum >= 1:
        message = f"momentum: expected a number in [0, 1), got {momentum}."
        raise ValueError(message)
    check_count(seed, "seed", 0)
    check_flag(record, "record")
    check_callable(callback, "callback")
    return step, warmup, momentum


def _entered(params: Any, samples: tuple[Array, ...]) -> tuple[Namespace, Any]:
    """The parameters in one real dtype, where the samples are; these keep theirs, which may be integers."""
    given = {f"params[{i}]": p for i, p in enumerate(arrays_in(params))}
    if not given or not samples:
        message = (
            f"params, samples: expected an array or a structure of arrays, and at least one array of samples, got "
            f"{type(params).__qualname__} and {len(samples)}."
        )
        raise TypeError(message)
    named = {f"samples[{i}]": x for i, x in enumerate(samples)}
    common_namespace(**given, **named)
    common_device(**given, **named)
    for name, x in named.items():
        if x.ndim == 0 or x.shape[0] != samples[0].shape[0] or x.shape[0] == 0:
            expected = "at least one sample" if name == "samples[0]" else f"{samples[0].shape[0]}, as samples[0] has"
            message = f"{name}: expected samples along the first axis, {expected}, got shape {tuple(x.shape)}."
            raise ValueError(message)
    xp, arrays = enter(**given)
    entered = iter(arrays)
    return xp, map_arrays(lambda _: next(entered), params)


def _each(function: Callable[[Array, Array], Array], tree: Any, other: Any) -> Any:
    """`tree` with function(x, y) of each array x in it and its partner y in `other`."""
    partners = iter(arrays_in(map_arrays(np.asarray, other, leaf=_scalar)))
    return map_arrays(np.asarray, map_arrays(lambda x: function(x, next(partners)), tree), leaf=_scalar)


def _scalar(x: Any) -> bool:
    """Whether NumPy has converted a 0-d array to a scalar."""
    return isinstance(x, np.generic)


def _check_gradient(gradient: Any, params: Any) -> None:
    shapes = [
        [tuple(x.shape) for x in arrays_in(map_arrays(np.asarray, tree, leaf=_scalar))] for tree in (gradient, params)
    ]
    if shapes[0] != shapes[1]:
        expected = f"expected a gradient with arrays of the shapes of params, {shapes[1]}"
        message = f"value_and_gradient: {expected}, got {shapes[0]}."
        raise ValueError(message)
