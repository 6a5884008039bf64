"""The stream of samples of a stochastic method, cut into blocks, and the run through them.

What depends on sample numbers and step sizes alone is worked out on the host, a chunk of blocks at a time, and moved to
the device in a few arrays.  The device is read once per chunk: for how much the last sweep of any block still changed.
Where that is too much the chunk is repeated with more sweeps, and where these do not help, with shorter blocks.
A compiled loop over samples, where there is one, takes a chunk step by step (`xpsolve.stochastic.compiled_steps`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    MOST,
    Array,
    check_callable,
    check_count,
    check_number,
    check_positive,
    device_of,
    enter,
    is_array,
    is_concrete,
    is_scalar,
    namespace_of,
    on_accelerator,
)
from xpsolve.guides import guide
from xpsolve.operators import Dense, Sparse
from xpsolve.solution import Callback, Certificate, Progress, Solution, Status, finish
from xpsolve.stochastic._run import Start, begin, certificate_name, no_minimiser
from xpsolve.stochastic._units import Units, rescaled
from xpsolve.stochastic.block import Rows, apart, by_newton, rows_of
from xpsolve.stochastic.compiled_steps import Host, Loop, why_not
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.objectives import LeastSquares, Multinomial, check_one_column

_SIZES = (1, 16, 32, 64, 128, 256)  # blocks to choose from
_CAREFUL = 1  # blocks in the first chunk, which may have to be taken again; then twice as many each time
_PICARD = (
    *costs.SWEEPS["picard"],
    0.64,
)  # sweeps at first and at most, and the power of eps that the last may still change
_NEWTON = (*costs.SWEEPS["newton"], 0.4)  # the same: what remains after a step is of the order of its square
_SHRINK = 1e-3  # the penalty may shrink x in one block to this fraction at most, since the code divides by these powers

State = TypeVar("State", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Stream:
    """Sample numbers, step sizes, and the first x, checked, in the units of the model.

    `steps` is (K,), or (R, K) for R runs at once; `indices` has `batch` samples for each step, one after another;
    `X` is (p, m) or (R, p, m), with m = 1 for a model with one number per sample.
    """

    start: Start
    X: Array
    indices: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]
    lam: float
    runs: int | None  # None for one run
    batch: int = 1  # samples per step

    @property
    def model(self) -> LinearModel:
        """The objective."""
        f: LinearModel = self.start.f
        return f

    @property
    def units(self) -> Units:
        """Of the model."""
        assert self.start.units is not None
        return self.start.units

    @property
    def length(self) -> int:
        """Number of steps K."""
        return int(self.steps.shape[-1])

    @cached_property
    def groups(self) -> tuple[tuple[str, float], ...]:
        """A name and the λ of the groups of entries of x that shrink differently: all, or x and the intercept."""
        both = self.model.frame is not None and self.lam > 0
        return (("", self.lam), (" of the intercept", 0.0)) if both else (("", self.lam),)

    def parted(self, X: Array) -> tuple[Array, ...]:
        """X in these groups."""
        return (X,) if len(self.groups) == 1 else (X[..., :-1, :], X[..., -1:, :])

    def rows(self, index: Array) -> list[tuple[str, Rows]]:
        """The groups with the rows of some samples (…, B) in them."""
        rows = rows_of(self.model.operator, index)
        names = [name for name, _ in self.groups]
        return list(zip(names, (rows,) if len(names) == 1 else apart(rows), strict=True))

    def joined(self, parts: Sequence[Array]) -> Array:
        """X from its groups."""
        return parts[0] if len(parts) == 1 else self.model.xp.concat(list(parts), axis=-2)

    def samples(self, index: Array) -> tuple[Array, Array | None]:
        """y of some samples (…, B), as (…, B, m), and their weights as (…, B, 1)."""
        xp, y, weights = self.model.xp, self.model.y, self.model.weights
        flat = xp.reshape(index, (-1,))
        columns = y.shape[1] if y.ndim == 2 else 1
        taken = xp.reshape(xp.take(y, flat, axis=0), (*index.shape, columns))
        return taken, None if weights is None else xp.reshape(xp.take(weights, flat), (*index.shape, 1))

    def lines(self, X: Array) -> Host:
        """X of NumPy, as (R, m, p)."""
        lines: Host = np.swapaxes(X, -1, -2).reshape(-1, X.shape[-1], X.shape[-2])
        return lines

    def columns(self, lines: Host) -> Array:
        """X from that."""
        return np.ascontiguousarray(np.swapaxes(lines, -1, -2)).reshape(self.X.shape)

    def shaped(self, X: Array) -> Array:
        """X with the shape that the caller knows."""
        return X if len(self.model.shape) == 2 else X[..., 0]

    def outside(self, X: Array) -> tuple[Array, Array | None]:
        """X as the caller knows it, and its intercept."""
        return self.start.shown(self.shaped(X))

    def certificate(self, X: Array) -> Array:
        """Of each run."""
        x = self.shaped(X)
        g = self.model.gradient(x)
        measures = self.start.size(g, axis=tuple(range(g.ndim - len(self.model.shape), g.ndim))) / self.start.scale
        if self.units.D is None:
            return measures
        xp = self.model.xp
        return xp.where(self.units.representable(x), measures, xp.full_like(measures, xp.nan))

    def moved(self, values: np.ndarray[Any, Any]) -> Array:
        """Numbers from the host, moved to the device of the data; integers keep their dtype."""
        xp = self.model.xp
        dtype = self.model.y.dtype if values.dtype.kind == "f" else xp.int64
        there = np.array(values, order="C")  # no negative strides, which torch does not take
        return xp.asarray(there, dtype=dtype, device=device_of(self.model.y), copy=True)


class Chunk(NamedTuple):
    """Some blocks of one length: where they start, sample numbers (…, blocks, B·batch) and steps (…, blocks, B)."""

    start: int
    size: int  # B
    indices: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]

    @property
    def blocks(self) -> int:
        """How many."""
        return int(self.indices.shape[-2])


class Method(Protocol[State]):
    """What a stochastic method defines."""

    def prepare(self, chunk: Chunk) -> tuple[dict[str, Array], Sequence[Collection[str]]]:
        """What the blocks need of sample numbers and steps, on the device of the data.

        Arrays (…, blocks, …), and which of them each block does without.
        """

    def loop(self, state: State, chunk: Chunk, loop: Loop) -> State:
        """The state after a chunk in a compiled loop; the given one stays."""

    def spare(self, state: State) -> State:
        """A state that the blocks may write into while the given one stays."""

    def block(self, state: State, index: Array, part: dict[str, Array], sweeps: int) -> tuple[State, Array | None]:
        """The state after a block, and what the last sweep changed."""

    def near(self, state: State, tol: float) -> Array | None:
        """Whether the certificate may be below its tolerance, 0-d, at no more than the cost of a step; None if that
        is not known.
        """

    def stats(self, state: State, done: int) -> dict[str, Any]:
        """The entries of `Solution.stats` of this method alone, after so many steps."""


@dataclass(frozen=True)
class Options:
    """The arguments that stochastic methods share."""

    indices: Any
    epochs: int | None  # None is 10
    step0: Any
    warmup: float | None
    block: int | str
    record_every: int | None
    seed: int
    tol: float
    callback: Callback
    step_name: str = "step0"
    batch: int = 1

    def __post_init__(self) -> None:
        if self.epochs is not None:
            check_count(self.epochs, "epochs", 0, MOST)
        object.__setattr__(self, "tol", check_number(self.tol, "tol", minimum=0))
        check_count(self.batch, "batch", 1, MOST)
        if not (isinstance(self.block, str) and self.block in ("auto", "compiled")):
            check_count(self.block, "block", 1)
        if self.record_every is not None:
            check_count(self.record_every, "record_every", 1)
        if self.warmup is not None:
            object.__setattr__(self, "warmup", check_positive(self.warmup, "warmup"))
        check_count(self.seed, "seed", 0)
        check_callable(self.callback, "callback")

    def stream(self, f: LinearModel, x0: Array | None, rule: Callable[[Any, Any, float], Any]) -> Stream:
        """The stream, with the steps rule(k, τ₀, k₀) for k = 0, 1, …."""
        x, runs = first_of_run(f, x0)
        f = f.centred()
        tau0 = None if self.step0 is None else _check_step(self.step0, self.step_name, runs)
        shape = () if runs is None else (runs,)
        if self.indices is None:
            epochs = 10 if self.epochs is None else self.epochs
            length = -(-epochs * f.n // self.batch) * self.batch
            numbers = np.random.default_rng(self.seed).integers(f.n, size=(*shape, length))
        else:
            numbers = _check_indices(self.indices, f.n, shape)
        if numbers.shape[-1] % self.batch:
            message = f"indices: expected a multiple of batch = {self.batch} sample numbers, got {numbers.shape[-1]}."
            raise ValueError(message)
        start = begin(f, None)
        lam_ = start.f.largest_lam()
        beyond = f.xp.where(f.xp.isfinite(start.scale), lam_, f.xp.full_like(lam_, f.xp.nan))
        lam, worst = self._planned(beyond, start.f, tau0)
        if math.isnan(lam):  # numbers beyond the range of the dtype
            units = rescaled(f, columns=False)
            start = start if units is None else begin(f, None, units)
            lam, worst = self._planned(start.f.largest_lam(), start.f, tau0)
        if tau0 is None:
            tau0 = 1 / worst if worst > 0 else 1.0
        elif start.units is not None and start.units.D is not None:
            tau0 = tau0 / float(start.units.D) / float(start.units.D)
        k = np.arange(numbers.shape[-1] // self.batch, dtype=np.float64)
        steps = np.broadcast_to(np.asarray(rule(k, tau0, self.warmup or f.n / self.batch)), (*shape, k.size))
        assert start.units is not None
        x = start.x if x is None else start.units.inside(f.inside(x))
        return Stream(start, x if len(f.shape) == 2 else x[..., None], numbers, steps, lam, runs, self.batch)

    def planned(self, f: LinearModel) -> tuple[float, float]:
        """λ and τ₀ of one run, 1/L of the worst sample of f where no step is given."""
        tau0 = None if self.step0 is None else _check_step(self.step0, self.step_name, None)
        lam, worst = self._planned(f.largest_lam(), f, tau0)
        return lam, float((1 / worst if worst > 0 else 1.0) if tau0 is None else tau0)

    def _planned(self, lam: Array, f: LinearModel, tau0: Any) -> tuple[float, float]:
        """λ, and the Lipschitz constant of the worst sample where no step is given, in one host read."""
        remedies = {
            "lam": "Use gradient_descent, which follows lam.",
            "A": f"Give {self.step_name}, and it is a constant.",
        }
        if tau0 is not None:
            return _numbers(remedies, lam)[0], 0.0
        lam_, worst = _numbers(remedies, lam, f.sample_lipschitz())
        return lam_, worst

    def pace(self, stream: Stream) -> _Pace | _Single:
        """Blocks as long as given, or with the least predicted time per epoch; or the compiled loop."""
        if isinstance(self.block, int):
            return _Pace(stream, min(self.block, max(stream.length, 1)))
        f = stream.model
        if self.block == "compiled":
            if reason := why_not(f):
                message = f'block: expected "auto" or an integer >= 1, since the compiled loop {reason}.'
                raise ValueError(message)
            return _Single(stream)
        ceilings = costs.TYPICAL["gpu" if on_accelerator(f.y) else "cpu"]
        loss = {LeastSquares: "least_squares", Multinomial: "multinomial"}.get(type(f), "logistic")
        m = f.shape[1] if len(f.shape) == 2 else 1
        given: dict[str, Any] = {"loss": loss, "m": m, "runs": stream.runs or 1}
        options = {str(size): costs.sgd(f.n, f.shape[0], block=size, **given) for size in _SIZES}
        size, epochs = costs.cheapest(options, ceilings), stream.length * self.batch / f.n
        saved = options[size].time(ceilings) - costs.sgd(f.n, f.shape[0], block="compiled", **given).time(ceilings)
        if epochs * saved >= costs.WORTH_COMPILING and not why_not(f):
            return _Single(stream)
        return _Pace(stream, max(int(size) // self.batch, 1))

    def solution(self, name: str, stream: Stream, record: Record) -> Solution:
        """The answer of a run, its certificate, and a status where it failed."""
        start, measures = stream.start, stream.certificate(record.x)
        x, intercept = stream.outside(record.x)
        certificate = Certificate(certificate_name(start), measures, self.tol)
        value = certificate.value  # the one host read at the end
        ended = None
        if record.stopped:
            ended = Status.STOPPED
        elif not (record.finite and math.isfinite(value)):
            grew = not record.finite and math.isfinite(float(start.scale))
            ended = Status.DIVERGED if grew else Status.NOT_FINITE
        elif stream.runs is None and no_minimiser(start, stream.shaped(record.x)):
            ended = Status.UNBOUNDED
        elif value > self.tol:
            ended = Status.MAX_ITER
        return finish(
            name,
            x,
            intercept=intercept,
            method=name,
            certificate=certificate,
            measure=value,
            n_iter=record.done,
            history=record.history,
            stats={
                "host_reads": record.reads,
                "block": record.size,
                "sweeps": record.sweeps,
                "compiled": record.compiled,
                **record.stats,
            },
            ended=ended,
            advice={
                Status.MAX_ITER: f"Raise epochs{'' if self.step_name == 'step' else ' or warmup'}, or use newton.",
                Status.DIVERGED: f"{self.step_name}=None is a safe one.",
            },
        )


def _numbers(remedies: Mapping[str, str], *numbers: Array) -> list[float]:
    """Refuse, by name, derivatives of what is used to plan steps on the host: they would be silently lost."""
    if not hasattr(numbers[0], "tolist"):
        return [float(x) for x in numbers]
    try:
        return [numbers[0].tolist()] if len(numbers) == 1 else namespace_of(numbers[0]).stack(numbers).tolist()
    except TypeError:
        name, remedy = next(pair for pair, x in zip(remedies.items(), numbers, strict=False) if not _is_readable(x))
        message = f"{name}: steps are planned on the host, where its derivative would be silently lost. {remedy}"
        raise TypeError(message) from None


def _is_readable(x: Array) -> bool:
    try:
        x.tolist()
    except TypeError:
        return False
    return True


def first_of_run(f: Any, x0: Array | None) -> tuple[Array | None, int | None]:
    """The objective checked; the first x where one is given, and how many runs it starts."""
    if not isinstance(f, LinearModel):
        message = f"f: expected LeastSquares, Huber, Logistic or Multinomial, got {type(f).__qualname__}."
        raise TypeError(message)
    check_one_column(f)
    if not isinstance(f.matrix, Dense | Sparse):
        message = f"f: expected a dense or sparse A, with accessible rows, got {f.operator!r}."
        raise TypeError(message)
    if not is_concrete(f.y, f.lam):
        message = (
            f"f: expected concrete arrays, not tracers. Steps are planned on the host, not possible under jax.jit. "
            f"{guide('jit')}"
        )
        raise ValueError(message)
    if x0 is None:
        return None, None
    xp, (x, _) = enter(x0=x0, y=f.y)
    extra = x.ndim - len(f.shape)
    if extra not in (0, 1) or tuple(x.shape[extra:]) != f.shape or 0 in x.shape:
        last = ", the intercept last" if f.intercept else ""
        message = f"x0: expected shape {f.shape}{last}, or (runs, …) before it, got {tuple(x.shape)}."
        raise ValueError(message)
    if extra and isinstance(f.matrix, Sparse):
        message = f"x0: expected shape {f.shape} for a sparse A, got {x.shape[0]} runs. Run them one after another."
        raise ValueError(message)
    return (x if x.dtype == f.y.dtype else xp.astype(x, f.y.dtype)), int(x.shape[0]) if extra else None


def _check_indices(indices: Any, n: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        numbers = np.asarray(indices)
    except (TypeError, ValueError, RuntimeError):
        kind = type(indices).__name__
        message = f"indices: expected a sequence of integers on the host, got an object of type {kind}."
        raise TypeError(message) from None
    if numbers.dtype.kind not in "iu" or numbers.ndim not in (1, 1 + len(shape)) or numbers.size == 0:
        wanted = "(steps,)" if not shape else f"(steps,) or ({shape[0]}, steps)"
        message = f"indices: expected integers of shape {wanted}, got {numbers.dtype} of shape {numbers.shape}."
        raise ValueError(message)
    if numbers.ndim == 2 and numbers.shape[:1] != shape:
        message = f"indices: expected one row for each of {shape[0]} runs, got shape {numbers.shape}."
        raise ValueError(message)
    if numbers.min() < 0 or numbers.max() >= n:
        message = f"indices: expected sample numbers from 0 to {n - 1}, got {numbers.min()} to {numbers.max()}."
        raise ValueError(message)
    return np.broadcast_to(numbers, (*shape, numbers.shape[-1])).astype(np.int64)


def _check_step(value: Any, name: str, runs: int | None) -> Any:
    """A positive number, or one for each run as a column."""
    wanted = "a positive number" + ("" if runs is None else f", or {runs} of them")
    if is_scalar(value):
        return check_positive(value, name)
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str | bytes):
        kind = type(value).__name__
        what = f"an object of type {kind}" if not is_array(value) else f"an array of shape {tuple(value.shape)}"  # type: ignore[union-attr]
        message = f"{name}: expected {wanted}, got {what}."
        raise TypeError(message)
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros(())
    if numbers.shape != (runs,) or not bool(np.all((numbers > 0) & np.isfinite(numbers))):
        message = f"{name}: expected {wanted}, got {value!r}."
        raise ValueError(message)
    return numbers[:, None]


def next_chunk(stream: Stream, start: int, pace: _Pace | _Single, stop: int) -> Chunk:
    """The next blocks from `start` on, and where less than one is left before `stop`, that as a shorter one."""
    size = pace.size
    most = max(costs.CHUNK // (size * stream.batch * (stream.runs or 1)), 1)
    length = min(size * min(pace.blocks, most), (stop - start) // size * size)
    if length == 0:
        size = length = stop - start
    b, steps = stream.batch, stream.steps[..., start : start + length]
    numbers = stream.indices[..., start * b : (start + length) * b]
    shape = (*numbers.shape[:-1], length // size)
    return Chunk(start, size, numbers.reshape(*shape, size * b), steps.reshape(*shape, size))


class Record(NamedTuple):
    """How a run through a stream ended."""

    x: Array
    done: int  # steps
    finite: bool
    stopped: bool
    reads: int
    sweeps: int
    size: int
    compiled: bool
    history: dict[str, Any] | None
    stats: dict[str, Any]


def run(
    stream: Stream, method: Method[State], state: State, answer: Callable[[State, int], Array], options: Options
) -> Record:
    """Take the steps of the stream; ``answer(state, steps)`` is the X that the method has to show for them.

    A method that can tell from its state that it is near its end is asked between chunks, and stops at the tolerance.
    """
    every, pace = options.record_every, options.pace(stream)
    kept, at = ([answer(state, 0)], [0]) if every else ([], [])
    done, stopped, solved, finite = 0, False, False, True
    asked = -stream.model.n  # when the gradient was last computed, which is done once per epoch at most
    for stop in [*range(0, stream.length, every or max(stream.length, 1)), stream.length][1:]:
        while done < stop and finite and not (stopped or solved):
            state, finite, taken = pace.take(method, state, next_chunk(stream, done, pace, stop), options.tol)
            done += taken
            if pace.near and taken and finite and done >= asked + stream.model.n // stream.batch:
                asked = done
                solved = float(stream.model.xp.max(stream.certificate(answer(state, done)))) <= options.tol
                pace.reads += 1
            if options.callback is not None and taken:
                x, intercept = stream.outside(answer(state, done))
                stopped = bool(options.callback(done, Progress(x, None, intercept)))
        if every and done > at[-1] and (done == stop or solved):
            kept.append(answer(state, done))
            at.append(done)
    history = None
    if every:
        X = stream.model.xp.stack(kept)
        objective = stream.units.value_outside(stream.model.value(stream.shaped(X)))
        certificate = stream.model.xp.stack([stream.certificate(x) for x in kept])
        x, intercept = stream.outside(X)
        history = {"step": np.asarray(at), "x": x, "objective": objective, "certificate": certificate}
        if intercept is not None:
            history["intercept"] = intercept
    X, how = answer(state, done), (pace.reads, pace.sweeps, pace.size, pace.compiled)
    return Record(X, done, finite, stopped, *how, history, method.stats(state, done))


def pace_of_stream(options: Options, first: Stream, *, compiled: bool) -> _Pace | _Single:
    """As `Options.pace`, for batches of which the first is given: a stream without an end is worth a compilation."""
    if options.block == "auto" and compiled:
        return _Single(first)
    return _Pace(first, options.block) if isinstance(options.block, int) else options.pace(first)


class _Looks:
    """How many blocks a chunk has, and what is read after it."""

    compiled = False

    def __init__(self, stream: Stream) -> None:
        self.reads, self.blocks, self.near = 0, _CAREFUL, False
        self.turn(stream)

    def turn(self, stream: Stream) -> None:
        """To another stream of the same kind."""
        self.stream = stream

    def look(self, method: Method[State], trial: State, changes: Sequence[Array], tol: float) -> float:
        """How much the last sweep of any block changed, NaN where x is not finite; and whether the end is near."""
        xp = self.stream.model.xp
        last = xp.max(xp.abs(trial[0])) * 0  # NaN where x is not finite
        worst = xp.max(xp.abs(xp.stack(changes))) + last if changes else last
        near = method.near(trial, tol)
        signed = float(worst if near is None else xp.where(near, -worst, worst))  # the sign says both in one read
        self.near = math.copysign(1.0, signed) < 0
        self.reads += 1
        return abs(signed)


class _Single(_Looks):
    """Steps one by one in the compiled loop."""

    size, sweeps, compiled = 1, 0, True

    def turn(self, stream: Stream) -> None:
        """To another stream of the same kind, with a loop over its samples."""
        super().turn(stream)
        entries = stream.X.shape[-2]
        self.loop = Loop(stream.model, entries if len(stream.groups) == 1 else entries - 1)

    def take(self, method: Method[State], state: State, chunk: Chunk, tol: float) -> tuple[State, bool, int]:
        """The state after the chunk, whether it is finite, and the steps taken."""
        trial = method.loop(state, chunk, self.loop)
        worst = self.look(method, trial, [], tol)
        self.blocks *= 2
        return trial, math.isfinite(worst), chunk.blocks


class _Pace(_Looks):
    """The length of a block and the number of sweeps, which adapt."""

    def __init__(self, stream: Stream, size: int) -> None:
        super().__init__(stream)
        self._cut(size)

    def _cut(self, size: int) -> None:
        """From here on blocks of another size."""
        self.size = size
        self.sweeps, self.most, power = _NEWTON if by_newton(self.stream.model, size * self.stream.batch) else _PICARD
        self.sweeps, self.most = min(self.sweeps, size), min(self.most, size)
        self.least, self.lowered = 2, False  # what was lowered and failed is not tried again
        self.tol = float(self.stream.model.xp.finfo(self.stream.model.y.dtype).eps) ** power
        # a last sweep that changed so little was one too many
        self.slack = self.tol**2 if power == _NEWTON[2] else 1e-3 * self.tol

    def take(self, method: Method[State], state: State, chunk: Chunk, tol: float) -> tuple[State, bool, int]:
        """The state after the chunk, whether it is finite, and the steps taken: 0 where it has to be tried again."""
        stream = self.stream
        smallest = float(np.min(np.prod(1 - stream.lam * chunk.steps, axis=-1)))
        safe = bool(np.all(stream.lam * chunk.steps < 1)) and smallest > _SHRINK
        if chunk.size > 1 and not safe:
            self._cut(chunk.size // 2)
            return state, True, 0
        before = (slice(None),) * (0 if stream.runs is None else 1)
        index, (parts, absent) = stream.moved(chunk.indices), method.prepare(chunk)
        trial, changes = method.spare(state), []
        for j in range(chunk.blocks):
            part = {name: values[(*before, j, ...)] for name, values in parts.items() if name not in absent[j]}
            trial, change = method.block(trial, index[(*before, j, ...)], part, self.sweeps)
            if change is not None:
                changes.append(change)
        worst = self.look(method, trial, changes, tol)
        if changes and not worst <= self.tol:
            if self.sweeps < self.most:
                if self.lowered:
                    self.least, self.lowered = self.sweeps + 1, False
                self.sweeps = min(self.sweeps + 1 + self.sweeps // 4, self.most)
            else:
                self._cut(chunk.size // 2)
            return state, True, 0
        if changes and worst <= self.slack:
            self.sweeps, self.lowered = max(self.sweeps - 1, self.least), True
        self.blocks *= 2
        return trial, math.isfinite(worst), chunk.size * chunk.blocks
