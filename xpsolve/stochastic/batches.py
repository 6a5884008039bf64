"""Stochastic descent through a stream of row batches (A_i, y_i), which may never end and is never stored.

Each row is a sample, taken once and in the order of the stream, with steps that go on falling from batch to batch; so
where the stream is cut into batches does not matter to the iterates.  The rows of a batch are one `Stream`, whose steps
are taken in blocks or in the compiled loop, as for data that are there as a whole.

Before its steps a batch consists of samples that the answer has not seen.  The value of f on them and the size of its
gradient, means over recent batches, say how good the answer is for the distribution behind the stream:

    ‖∇F(x)‖ = ‖E ∇f_i(x)‖ ≤ E‖∇f_i(x)‖

with F = E f_i, so noise of the batches makes the measure larger and never smaller.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array, device_of, holds, namespace_of, safe_norm
from xpsolve.solution import Certificate, Progress, Status, StreamSolution, finish
from xpsolve.stochastic._intercept import Frame
from xpsolve.stochastic._run import begin
from xpsolve.stochastic._units import Units
from xpsolve.stochastic._weights import part_of_a_stream
from xpsolve.stochastic.compiled_steps import why_not
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.steps import Method, by_rows, pace_of_stream
from xpsolve.stochastic.stream import Options, Stream, first_of_run

_WARMUP = 10_000.0  # steps after which τ has halved
_RECENT = 20  # batches that the means are about

_ADVICE = {
    Status.MAX_ITER: "The gradient of a batch of n samples has noise of the order 1/√n: continue with larger batches "
    "and x0=solution, raise warmup, or loosen tol; where x separates the classes, set lam > 0.",
    Status.DIVERGED: "Use a smaller step: step0=None is a safe one.",
}
_NAME = "gradient norm of recent batches before their steps, columns of A at equal size, relative to that at 0"


class StreamState(NamedTuple):
    """All that a stream of batches leaves behind: what `sgd` and `sga` continue from."""

    iterate: Any  # the state of the method, whose first array is X (p, m)
    steps: int
    batches: int
    step0: float
    given: bool  # whether the caller chose step0, which is 1/L of the worst sample so far otherwise
    warmup: float
    D: Array  # 1/max|A_ij| of the columns of the first batch
    objective: Array  # means over recent batches, before their steps, 0-d: of f,
    gradient: Array  # of ‖D∇f‖,
    at_zero: Array  # and of that at x = 0
    frame: Frame | None = None  # the variables of a model with an intercept: centred as the first batch is
    zero: Array | None = None  # x = 0 there, with an intercept that fits the first batch


class Way(NamedTuple):
    """What a stochastic method defines for streams: steps, the method on one batch, its first state and its answer."""

    name: str
    rule: Callable[[Any, Any, float], Any]  # τ of k, τ₀ and k₀
    method: Callable[[Stream], Method[Any]]
    first: Callable[[Array], Any]
    answer: Callable[[Any, int], Array]  # of a state after so many steps


def descend(f: Any, x0: Any, batches: Any, o: Options, way: Way) -> StreamSolution:
    """The steps through the stream, and the answer."""
    models = (_model(f, pair, number) for number, pair in enumerate(_opened(f, batches, o), start=1))
    head = next(models, None)
    if head is None:
        message = "batches: expected at least one batch (A, y), got none."
        raise ValueError(message)
    state, first = _begun(head, x0, o, way)
    pace = pace_of_stream(o, first, compiled=not why_not(first.model))
    reason, next_record, kept = "", state.steps, []
    for number, given in enumerate(itertools.chain([head], models), start=1):
        _check_alike(given, head, number)
        model = given if state.frame is None else given.in_frame_of(state.frame)
        lam, tau0 = o.planned(model)
        stream = replace(first, start=replace(first.start, f=model, units=Units(model)), lam=lam)
        if not state.given:
            state = state._replace(step0=min(state.step0, tau0))
        x = stream.shaped(way.answer(state.iterate, state.steps))
        state = _seen(state, model, x)
        if o.record_every is not None and state.steps >= next_record:
            kept.append(_kept(state, model, x))
            next_record = state.steps + o.record_every
        state, finite = _through(stream, state, o, way, pace)
        x = stream.shaped(way.answer(state.iterate, state.steps))
        if not finite:
            reason = "not finite"
            break
        if o.callback is not None:
            shown, intercept = model.split(x)
            if o.callback(state.steps, Progress(shown, _measure(state), intercept, state.objective)):
                reason = "callback"
                break
    if o.record_every is not None:
        kept.append(_kept(state, model, x))
    stats = {
        "host_reads": pace.reads + number,  # λ of each batch
        "batches": state.batches,
        "block": pace.size,
        "compiled": pace.compiled,
    }
    return _solution(model, x, state, o.tol, reason, kept, stats, way.name)


def _solution(
    last: LinearModel,
    x: Array,
    state: StreamState,
    tol: float,
    reason: str,
    kept: list[dict[str, Any]],
    stats: dict[str, Any],
    name: str,
) -> StreamSolution:
    """The answer x, with a certificate from recent batches and from the last one after its steps."""
    xp = last.xp
    after = safe_norm(last.gradient(x) * state.D) / _positive(state.at_zero)
    measures = xp.where(after <= _measure(state), _measure(state), after)  # a NaN of the last remains
    certificate = Certificate(_NAME, measures, tol)
    value = certificate.value  # the one host read at the end
    ended = None
    if reason == "not finite":
        ended = Status.DIVERGED if math.isfinite(float(state.gradient)) else Status.NOT_FINITE
    elif reason == "" and (value > tol or _separated(last, x)):
        ended = Status.MAX_ITER
    history = None
    if kept:
        history = {key: xp.stack([one[key] for one in kept]) for key in kept[0] if key != "step"}
        history["step"] = np.asarray([one["step"] for one in kept])
    shown, intercept = last.split(x)
    return finish(
        name,
        shown,
        intercept=intercept,
        method=name,
        certificate=certificate,
        reason=reason,
        measure=value,
        n_iter=state.steps,
        history=history,
        stats=stats,
        ended=ended,
        advice=_ADVICE,
        cls=StreamSolution,
        objective=state.objective,
        state=state,
    )


def _separated(last: LinearModel, x: Array) -> bool:
    """Whether small gradients may be those of classes that x separates, for which λ = 0 leaves no minimiser."""
    apart = last.separated(x) if last.unpenalised else None
    return apart is not None and not holds(~apart)


def _opened(f: Any, batches: Any, o: Options) -> Iterator[Any]:
    """The iterator, after a check of what goes with it."""
    if not callable(f):
        message = (
            "f: with batches, expected a class of objectives or a function of (A, y) that returns one, such as "
            f"functools.partial(Logistic, lam=1e-4), got {type(f).__qualname__}."
        )
        raise TypeError(message)
    for option, given, why in (
        ("indices", o.indices is not None, "rows are taken in the order of the stream"),
        (
            "epochs",
            o.epochs is not None,
            "a stream is taken once; itertools.islice(batches, k) ends it after k batches",
        ),
        ("seed", o.seed != 0, "nothing is drawn; the stream has to be in random order"),
    ):
        if given:
            message = f"{option}: expected none with batches: {why}."
            raise ValueError(message)
    try:
        return iter(batches)
    except TypeError:
        message = f"batches: expected an iterable of pairs (A, y), got {type(batches).__qualname__}."
        raise TypeError(message) from None


def _model(f: Any, pair: Any, number: int) -> LinearModel:
    """The objective of one batch."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        what = f"{len(pair)} things" if isinstance(pair, tuple | list) else type(pair).__qualname__
        message = f"batches: expected pairs (A, y), got {what} as number {number}."
        raise TypeError(message)
    try:
        with part_of_a_stream():
            model = f(*pair)
        if isinstance(model, LinearModel):
            first_of_run(model, None)
    except (TypeError, ValueError) as error:
        message = f"batches: number {number}: {error}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error
    if not isinstance(model, LinearModel):
        kind = type(model).__qualname__
        message = (
            "f: with batches, expected a function that returns LeastSquares, Huber, Logistic or Multinomial, "
            f"got one that returns {kind}."
        )
        raise TypeError(message)
    return model


def _kind(model: LinearModel) -> tuple[Any, ...]:
    where = (namespace_of(model.y).__name__, str(model.y.dtype), str(device_of(model.y)))
    return (type(model).__qualname__, type(model.operator).__qualname__, f"x of shape {model.shape}", *where)


def _check_alike(model: LinearModel, first: LinearModel, number: int) -> None:
    """All batches have one loss, library, dtype and device, and as many features."""
    if model is not first and _kind(model) != _kind(first):
        here, there = (", ".join(_kind(m)) for m in (model, first))
        message = f"batches: expected batches of one kind ({there}), got another as number {number} ({here})."
        raise ValueError(message)


def _begun(model: LinearModel, x0: Any, o: Options, way: Way) -> tuple[StreamState, Stream]:
    """The state before the first batch, and the stream that the others are like."""
    state: StreamState | None = x0.state if isinstance(x0, StreamSolution) else None
    if state is not None and x0.method != way.name:
        message = (
            f"x0: expected a solution of {way.name} to continue from, got one of {x0.method}. "
            "Its x starts a new one, with x0=solution.x."
        )
        raise ValueError(message)
    xp, frame, (first_x, runs) = model.xp, None, first_of_run(model, None if state is not None else x0)
    if model.intercept:
        frame = model.centred().frame if state is None else state.frame
        model = model if frame is None else model.in_frame_of(frame)
    start = begin(model, None, Units(model))
    if state is None:
        if runs is not None:
            message = f"x0: expected shape {model.shape} with batches, got {tuple(x0.shape)}."
            raise ValueError(message)
        x = start.x if first_x is None else model.inside(first_x)
        X = x if len(model.shape) == 2 else x[..., None]
        zero = xp.zeros((), dtype=model.y.dtype, device=device_of(model.y))
        assert start.weights is not None
        state = StreamState(way.first(X), 0, 0, math.inf, False, _WARMUP / o.batch, start.weights, zero, zero, zero)
        state = state._replace(frame=frame, zero=None if frame is None else start.x)
    else:
        X = state.iterate[0]
        shape = tuple(X.shape)
        alike = shape == (*model.shape, 1)[:2] and namespace_of(X) is xp and (state.frame is None) != model.intercept
        if not alike or X.dtype != model.y.dtype or device_of(X) != device_of(model.y):
            message = (
                f"batches: expected arrays like those of x0, {namespace_of(X).__name__} {X.dtype} with {shape[0]} "
                f"features{'' if state.frame is None else ', that of an intercept included'}, got {xp.__name__} "
                f"{model.y.dtype} with {model.shape[0]} as number 1."
            )
            raise ValueError(message)
    if o.step0 is not None:
        state = state._replace(step0=o.planned(model)[1], given=True)
    if o.warmup is not None:
        state = state._replace(warmup=o.warmup)
    return state, Stream(start, X, np.zeros(0, np.int64), np.zeros(0), 0.0, None)


def _seen(state: StreamState, model: LinearModel, x: Array) -> StreamState:
    """With a batch in the means: the mean of all at first, later one that forgets."""
    value, g = model.value_and_gradient(x)
    g0 = model.first_gradient()[1] if state.zero is None else model.gradient(state.zero)
    new = (value, safe_norm(g * state.D), safe_norm(g0 * state.D))
    part = 1 / min(state.batches + 1, _RECENT)
    objective, gradient, at_zero = (
        old + part * (now - old) if state.batches else now
        for old, now in zip((state.objective, state.gradient, state.at_zero), new, strict=True)
    )
    return state._replace(batches=state.batches + 1, objective=objective, gradient=gradient, at_zero=at_zero)


def _positive(x: Array) -> Array:
    """x, or where that is 0 a number so small that nothing counts as converged beside it."""
    xp = namespace_of(x)
    return xp.where(x == 0, xp.full_like(x, xp.finfo(x.dtype).smallest_normal), x)


def _measure(state: StreamState) -> Array:
    """Infinite where all samples so far have no gradient at 0: they say nothing."""
    xp, zero = namespace_of(state.at_zero), state.at_zero
    return xp.where(zero == 0, xp.full_like(zero, xp.inf), state.gradient / _positive(zero))


def _kept(state: StreamState, model: LinearModel, x: Array) -> dict[str, Any]:
    x, intercept = model.split(x)
    kept = {"step": state.steps, "x": x, "objective": state.objective, "certificate": _measure(state)}
    return kept if intercept is None else {**kept, "intercept": intercept}


def _through(stream: Stream, state: StreamState, o: Options, way: Way, pace: Any) -> tuple[StreamState, bool]:
    """The steps of one batch."""

    def steps_of(k: Any) -> Any:
        return way.rule(state.steps + k, state.step0, state.warmup)

    order = np.arange(stream.model.n)
    iterate, finite, done = by_rows(stream, order, state.iterate, steps_of, way.method, pace, o)
    return state._replace(iterate=iterate, steps=state.steps + done), finite
