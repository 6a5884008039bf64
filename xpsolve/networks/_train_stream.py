"""Training through a stream of batches that need not end and is not stored: one step of momentum for each.

Before its step a batch consists of samples that θ has not seen, so that the mean of recent losses estimates the
expectation of the loss at θ, from above where θ gets better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import Array, is_array
from xpsolve.networks._momentum import entered, moved
from xpsolve.solution import Callback, Certificate, Progress, Status, StreamSolution, finish
from xpsolve.trace import arrays_in, map_arrays

_RECENT = 20  # batches that the mean is about
_ADVICE = {
    Status.MAX_ITER: "Continue with further batches, or try another step.",
    Status.DIVERGED: "Use a smaller step.",
}


class TrainState(NamedTuple):
    """All that a stream of batches leaves behind."""

    params: Any
    speed: Any
    steps: int
    objective: Array | None  # the mean loss of recent batches, before their steps, 0-d


def train_on(
    batches: Iterable[Any],
    value_and_gradient: Callable[..., tuple[Array, Any]],
    params: Any,
    checked: Callable[[Any], tuple[float, float | None, float]],
    tol: float,
    record: bool,
    callback: Callback,
) -> StreamSolution:
    """A step for each of the batches; `checked` gives step, warmup and momentum, after a check of all options."""
    state = params.state if isinstance(params, StreamSolution) else None
    if state is not None and not isinstance(state, TrainState):
        message = f"params: expected a solution of train to continue from, got one of {params.method}."
        raise ValueError(message)
    step, warmup, momentum = 0.0, None, 0.0
    reason, kept, reads, loss = "", [], 0, None
    xp: Any = None
    for number, given in enumerate(_opened(batches), start=1):
        samples = tuple(given) if isinstance(given, tuple | list) else (given,)
        state, xp = _entered(state, params, samples, number)
        if number == 1:
            step, warmup, momentum = checked(state.params)
        tau = step if warmup is None else step / (1 + state.steps / warmup)
        loss, theta, speed = moved(value_and_gradient, state.params, state.speed, samples, tau, momentum)
        loss = xp.asarray(loss)
        part = 1 / min(state.steps + 1, _RECENT)
        mean = loss if state.objective is None else state.objective + part * (loss - state.objective)
        state = TrainState(theta, speed, state.steps + 1, mean)
        if record:
            kept.append(loss)
        if state.steps % costs.STREAM_LOOK == 0:
            reads += 1
            if not math.isfinite(float(mean)):
                reason = "not finite"
                break
        if callback is not None and callback(state.steps, Progress(theta, mean, None, mean)):
            reason = "callback"
            break
    if loss is None or state is None:
        message = "batches: expected at least one batch, got none."
        raise ValueError(message)
    certificate = Certificate("mean loss of recent batches before their steps", _worst(xp, state), tol)
    value = certificate.value
    ended = None
    if not math.isfinite(value):
        ended = Status.DIVERGED if state.steps > 1 else Status.NOT_FINITE
    elif reason == "" and value > tol:
        ended = Status.MAX_ITER
    return finish(
        "train",
        state.params,
        method="heavy_ball" if momentum else "sgd",
        certificate=certificate,
        reason=reason,
        measure=value,
        n_iter=state.steps,
        history={"objective": xp.stack(kept)} if record else None,
        stats={"host_reads": reads + 1},
        ended=ended,
        advice=_ADVICE,
        cls=StreamSolution,
        objective=state.objective,
        state=state,
    )


def _opened(batches: Any) -> Any:
    try:
        return iter(batches)
    except TypeError:
        message = f"batches: expected an iterable of arrays or tuples of arrays, got {type(batches).__qualname__}."
        raise TypeError(message) from None


def _entered(state: TrainState | None, params: Any, samples: tuple[Any, ...], number: int) -> tuple[TrainState, Any]:
    """The state before a batch, whose arrays are where θ is."""
    if not all(is_array(x) for x in samples) or not samples:
        kinds = ", ".join(type(x).__qualname__ for x in samples) or "none"
        message = f"batches: expected arrays or tuples of arrays, got {kinds} as number {number}."
        raise TypeError(message)
    try:
        xp, theta = entered(params if state is None else state.params, samples)
    except (TypeError, ValueError) as error:
        message = f"batches: number {number}: {error}"
        raise type(error)(message) from error
    return TrainState(theta, map_arrays(xp.zeros_like, theta), 0, None) if state is None else state, xp


def _worst(xp: Any, state: TrainState) -> Array:
    """The mean loss, NaN where a parameter is not finite: the loss of the next batch would be."""
    zero = sum(xp.sum(theta * 0) for theta in arrays_in(map_arrays(np.asarray, state.params, leaf=_scalar)))
    return xp.asarray(state.objective + zero)


def _scalar(x: Any) -> bool:
    return isinstance(x, np.generic)
