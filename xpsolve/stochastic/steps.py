"""The steps of a stochastic method through a stream of samples: how many are taken together, and what is read.

What depends on sample numbers and step sizes alone is worked out on the host, a chunk of blocks at a time, and moved to
the device in a few arrays.  The device is read once per chunk: for how much the last sweep of any block still changed.
Where that is too much the chunk is repeated with more sweeps, and where these do not help, with shorter blocks.
A compiled loop over samples, where there is one, takes a chunk step by step (`xpsolve.stochastic.compiled_steps`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from xpsolve import costs
from xpsolve.arrays import Array, on_accelerator
from xpsolve.solution import Certificate, Progress, Solution, Status, finish
from xpsolve.stochastic._run import certificate_name, no_minimiser
from xpsolve.stochastic.block import by_newton
from xpsolve.stochastic.compiled_steps import Loop, why_not
from xpsolve.stochastic.multinomial import Multinomial
from xpsolve.stochastic.objectives import LeastSquares
from xpsolve.stochastic.stream import Options, Stream

_SIZES = (1, 16, 32, 64, 128, 256)  # samples of a block to choose from
_IN_LOOP = 2**17  # most steps, of all runs together, between two looks at a compiled loop
_CAREFUL = 1  # blocks in the first chunk, which may have to be taken again; then twice as many each time
_PICARD = (
    *costs.SWEEPS["picard"],
    0.64,
)  # sweeps at first and at most, and the power of eps that the last may still change
_NEWTON = (*costs.SWEEPS["newton"], 0.4)  # the same: what remains after a step is of the order of its square
_SHRINK = 1e-3  # the penalty may shrink x in one block to this fraction at most, since the code divides by these powers

State = TypeVar("State", bound=tuple[Any, ...])


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


def pace_of(options: Options, stream: Stream) -> _Pace | _Single:
    """Blocks as long as given, or with the least predicted time per epoch; or the compiled loop."""
    if isinstance(options.block, int):
        return _Pace(stream, min(options.block, max(stream.length, 1)))
    f = stream.model
    if options.block == "compiled":
        if reason := why_not(f):
            message = f'block: expected "auto" or an integer >= 1, since the compiled loop {reason}.'
            raise ValueError(message)
        return _Single(stream)
    ceilings = costs.TYPICAL["gpu" if on_accelerator(f.y) else "cpu"]
    loss = {LeastSquares: "least_squares", Multinomial: "multinomial"}.get(type(f), "logistic")
    m = f.shape[1] if len(f.shape) == 2 else 1
    given: dict[str, Any] = {"loss": loss, "m": m, "runs": stream.runs or 1, "batch": options.batch}
    most = options.record_every or max(stream.length, 1)  # steps after which a block ends anyway
    sizes = {min(max(size // options.batch, 1), most) for size in _SIZES}
    costs_of = {str(size): costs.sgd(f.n, f.shape[0], block=size, **given) for size in sorted(sizes)}
    size, epochs = costs.cheapest(costs_of, ceilings), stream.length * options.batch / f.n
    saved = costs_of[size].time(ceilings) - costs.sgd(f.n, f.shape[0], block="compiled", **given).time(ceilings)
    if epochs * saved >= costs.WORTH_COMPILING and not why_not(f):
        return _Single(stream)
    return _Pace(stream, int(size))


def solution_of(options: Options, name: str, stream: Stream, record: Record) -> Solution:
    """The answer of a run, its certificate, and a status where it failed."""
    start, measures = stream.start, stream.certificate(record.x)
    x, intercept = stream.outside(record.x)
    certificate = Certificate(certificate_name(start), measures, options.tol)
    value = certificate.value  # the one host read at the end
    ended = None
    if record.stopped:
        ended = Status.STOPPED
    elif not (record.finite and math.isfinite(value)):
        grew = not record.finite and math.isfinite(float(start.scale))
        ended = Status.DIVERGED if grew else Status.NOT_FINITE
    elif stream.runs is None and no_minimiser(start, stream.shaped(record.x)):
        ended = Status.UNBOUNDED
    elif value > options.tol:
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
            Status.MAX_ITER: f"Raise epochs{'' if options.step_name == 'step' else ' or warmup'}, or use newton.",
            Status.DIVERGED: f"Use a smaller step: {options.step_name}=None is a safe one.",
        },
    )


def next_chunk(stream: Stream, start: int, pace: _Pace | _Single, stop: int) -> Chunk:
    """The next blocks from `start` on, and where less than one is left before `stop`, that as a shorter one."""
    size = pace.size
    runs = stream.runs or 1
    room = min(costs.CHUNK, _IN_LOOP // runs) if pace.compiled else costs.CHUNK // runs
    most = max(room // (size * stream.batch), 1)
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
    every, pace = options.record_every, pace_of(options, stream)
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
    history = history_of(stream, kept, at) if every else None
    X, how = answer(state, done), (pace.reads, pace.sweeps, pace.size, pace.compiled)
    return Record(X, done, finite, stopped, *how, history, method.stats(state, done))


def history_of(stream: Stream, kept: Sequence[Array], at: Sequence[int]) -> dict[str, Any]:
    """What is kept of some X, after so many steps, as the caller knows it."""
    xp = stream.model.xp
    objective = xp.stack([stream.model.value(stream.shaped(X)) for X in kept])
    x, intercept = stream.outside(xp.stack(kept))
    history = {
        "step": np.asarray(at),
        "x": x,
        "objective": stream.units.value_outside(objective),
        "certificate": xp.stack([stream.certificate(X) for X in kept]),
    }
    return history if intercept is None else {**history, "intercept": intercept}


def by_rows(
    stream: Stream,
    order: np.ndarray[Any, Any],
    state: State,
    steps_of: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    method_of: Callable[[Stream], Method[State]],
    pace: _Pace | _Single,
    options: Options,
) -> tuple[State, bool, int]:
    """The steps through the samples of a model once, in an order: the state, whether it is finite, and how many.

    `steps_of` makes step sizes of the numbers 0, 1, … of steps; the last step has the samples that are left over.
    """
    n, taken, finite = stream.model.n, 0, True
    whole = n // options.batch * options.batch
    for low, high, b in ((0, whole, options.batch), (whole, n, n - whole)):
        if high == low or not finite:
            continue
        k = taken + np.arange((high - low) // b, dtype=np.float64)
        part = replace(stream, indices=order[low:high], steps=steps_of(k), batch=b)
        method, done = method_of(part), 0
        pace.turn(part)
        while done < part.length and finite:
            state, finite, more = pace.take(method, state, next_chunk(part, done, pace, part.length), options.tol)
            done += more
        pace.blocks = min(pace.blocks, costs.CHUNK)  # it doubles without end otherwise
        taken += done
    return state, finite, taken


def pace_of_stream(options: Options, first: Stream, *, compiled: bool) -> _Pace | _Single:
    """As `Options.pace`, for batches of which the first is given: a stream without an end is worth a compilation."""
    if options.block == "auto" and compiled:
        return _Single(first)
    return _Pace(first, options.block) if isinstance(options.block, int) else pace_of(options, first)


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
