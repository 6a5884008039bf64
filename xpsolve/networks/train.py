"""Training by stochastic gradient descent with momentum, on small batches (Polyak 1964; Peyré 2020, §14.2).

    v_{k+1} = m v_k − τ_k ∇L_{B(k)}(θ_k),   θ_{k+1} = θ_k + v_{k+1},   τ_k = τ_0/(1 + k/k_0)

B(k) are the samples of step k.  Each epoch goes through all of them once in a new random order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    Run,
    check_callable,
    check_count,
    check_flag,
    check_function,
    check_number,
    check_positive,
    device_of,
    iterate,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.networks._momentum import entered, moved
from xpsolve.networks._train_stream import train_on
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by
from xpsolve.trace import arrays_in, map_arrays

_ADVICE = {
    Status.MAX_ITER: "Raise epochs, or try another step.",
    Status.DIVERGED: "Use a smaller step.",
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
    batches: Iterable[Any] | None = None,
    step: float,
    momentum: float = 0.9,
    warmup: float | None = None,
    batch: int = 32,
    epochs: int | None = None,
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
    params : array, or structure of arrays, or StreamSolution
        θ to start from: an array, or arrays in tuples, lists, dicts and dataclasses.  With `batches`, what this
        function returned for the batches so far continues that stream, as if it had not been cut.
    *samples : array, shape (N, …)
        The samples along the first axis: inputs, targets, …; none with `batches`.
    batches : iterable of arrays or tuples of arrays, optional
        A stream that need not end: some samples at a time, each for one step, taken once and forgotten, in an order
        that has to be random.  It ends with the iterable, or when the callback says so.
    step : float
        τ_0.
    momentum : float
        m in [0, 1).
    warmup : float, optional
        k_0, in steps; None keeps all steps as long as the first.
    batch : int
        Samples per step; the last step of an epoch takes what is left.  Of `batches` each is one step.
    epochs : int, optional
        Passes through the samples; None is 10.  Not with `batches`.
    seed : int
        Of the order of samples.  Not with `batches`.
    tol : float
        The loss at which to stop, checked after each epoch; of a stream what the certificate is compared with.
    record : bool
        Whether to keep the mean over the batches of every epoch, before the step of each, as "objective"; the first is
        that of `params`.  Of a stream, the loss of every batch before its step.
    callback : callable, optional
        Called as ``callback(epoch, progress)`` before the first epoch and after each, with a `Progress`, whose x is θ
        and whose measure is the mean that `record` keeps; of a stream as ``callback(step, progress)`` after every
        step, with the running ``progress.objective``.  A true answer stops.

    Returns
    -------
    Solution
        ``.x`` is θ, in the structure of `params`; ``.n_iter`` counts epochs.  The certificate is the mean
        loss over all samples, from the returned θ.  With `batches` it is a `StreamSolution`, ``.n_iter`` counts steps,
        and the certificate is ``.objective``: the mean loss of the last twenty batches, of each before its step.

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
    given = step, tol, batch, 10 if epochs is None else epochs, warmup, momentum, seed, record, callback
    if batches is not None:
        _check_alone(samples, epochs, seed)
        check = functools.partial(_checked, value_and_gradient)
        return train_on(batches, value_and_gradient, params, lambda theta: check(theta, *given), tol, record, callback)
    xp, params = entered(params, samples)
    total = samples[0].shape[0]
    step, warmup, momentum = _checked(value_and_gradient, params, *given)
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
            some = [xp.take(x, index, axis=0) for x in samples]
            value, params, speed = moved(value_and_gradient, params, speed, some, tau, momentum)
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
        max_iter=10 if epochs is None else epochs,
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


def _check_alone(samples: tuple[Array, ...], epochs: Any, seed: Any) -> None:
    """What does not go with batches."""
    for name, given, why in (
        ("samples", samples, "they come in the batches"),
        ("epochs", epochs is not None, "a stream is taken once; itertools.islice(batches, k) ends it after k batches"),
        ("seed", seed != 0, "nothing is drawn; the stream has to be in random order"),
    ):
        if given:
            message = f"{name}: expected none with batches: {why}."
            raise ValueError(message)


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
