"""The stream of samples of a stochastic method, cut into blocks, and the run through them.

What depends on sample numbers and step sizes alone is worked out on the host, a chunk of blocks at a time, and moved to
the device in a few arrays.  The device is read once a chunk: for how much the last sweep of any block still changed.
Where that is too much the chunk is taken again with more sweeps, and where many do not help, with shorter blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from xpsolve.arrays import Array, Namespace, check_count, device_of, enter, is_concrete, is_scalar, namespace_of
from xpsolve.operators import Dense, Sparse
from xpsolve.stochastic.block import by_newton
from xpsolve.stochastic.objectives import LinearModel

_CHUNK = 4096  # samples, about, between two host reads
_SWEEPS, _MOST_SWEEPS = 8, 24  # of Picard
_NEWTON, _MOST_NEWTON = 3, 8
_SHRINK = 1e-3  # a block may shrink x by its penalty to this part of it and no further: powers are divided by

State = TypeVar("State", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Stream:
    """Sample numbers, step sizes, and the first x, checked.

    `indices` is (K,), or (R, K) for R runs at once; `steps` is (K,) or (R, K); `X` is (p, m) or (R, p, m), with m = 1
    for a model with one number a sample.
    """

    model: LinearModel
    X: Array
    indices: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]
    lam: float
    runs: int | None  # None for one run

    @property
    def length(self) -> int:
        """Number of steps K."""
        return int(self.indices.shape[-1])

    def targets(self, index: Array) -> Array:
        """y of some samples (…, B), as (…, B, m)."""
        xp, y = self.model.xp, self.model.y
        taken = xp.take(y, xp.reshape(index, (-1,)), axis=0)
        return xp.reshape(taken, (*index.shape, *y.shape[1:])) if y.ndim == 2 else xp.reshape(taken, (*index.shape, 1))

    def inside(self, x: Array) -> Array:
        """x as the caller shapes it to X."""
        return x if len(self.model.shape) == 2 else x[..., None]

    def outside(self, X: Array) -> Array:
        """The opposite."""
        return X if len(self.model.shape) == 2 else X[..., 0]

    def moved(self, values: np.ndarray[Any, Any]) -> Array:
        """Numbers from the host beside the data, integers as they are."""
        xp = self.model.xp
        dtype = self.model.y.dtype if values.dtype.kind == "f" else xp.int64
        return xp.asarray(values, dtype=dtype, device=device_of(self.model.y), copy=True)


class Chunk(NamedTuple):
    """Some blocks of one length: where they start, their sample numbers (…, blocks, B) and steps alike."""

    start: int
    size: int  # B
    indices: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]

    @property
    def blocks(self) -> int:
        """How many."""
        return int(self.indices.shape[-2])


class Method(Protocol[State]):
    """What a stochastic method brings."""

    def prepare(self, chunk: Chunk) -> dict[str, Array]:
        """What the blocks need of sample numbers and steps, beside the data: arrays (…, blocks, …)."""

    def block(self, state: State, index: Array, part: dict[str, Array], sweeps: int) -> tuple[State, Array | None]:
        """The state after a block, and what the last sweep changed."""


def check_stream(
    f: Any,
    x0: Array | None,
    indices: Any,
    epochs: int,
    seed: int,
    rule: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
) -> Stream:
    """Sample numbers from the caller or from `seed`, and the steps that `rule` gives for k = 0, 1, …."""
    if not isinstance(f, LinearModel):
        message = f"f: expected LeastSquares, Logistic or Multinomial, got {type(f).__qualname__}."
        raise TypeError(message)
    if not isinstance(f.operator, Dense | Sparse):
        message = f"f: expected a dense or sparse A, whose rows can be had, got {f.operator!r}."
        raise TypeError(message)
    xp, x = f.xp, f.zeros()
    runs = None
    if x0 is not None:
        _, (x, _) = enter(x0=x0, y=f.y)
        if tuple(x.shape[x.ndim - len(f.shape) :]) != f.shape or x.ndim > len(f.shape) + 1:
            message = f"x0: expected shape {f.shape}, or (runs, …) before it, got {tuple(x.shape)}."
            raise ValueError(message)
        runs = int(x.shape[0]) if x.ndim > len(f.shape) else None
        x = x if x.dtype == f.y.dtype else xp.astype(x, f.y.dtype)
    if runs is not None and isinstance(f.operator, Sparse):
        message = f"x0: expected shape {f.shape} for a sparse A, got {runs} runs. Run them one after another."
        raise ValueError(message)
    shape = () if runs is None else (runs,)
    if indices is None:
        check_count(epochs, "epochs", 0)
        numbers = np.random.default_rng(seed).integers(f.n, size=(*shape, epochs * f.n))
    else:
        numbers = _check_indices(indices, f.n, shape)
    steps = np.asarray(rule(np.arange(numbers.shape[-1], dtype=np.float64)), dtype=np.float64)
    model_lam = f.lam
    if not is_concrete(model_lam, x):
        message = "f: expected arrays that hold numbers; blocks are planned on the host, which jax.jit has not."
        raise ValueError(message)
    X = x if len(f.shape) == 2 else x[..., None]
    return Stream(f, X, numbers, steps, float(model_lam), runs)


def _check_indices(indices: Any, n: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    numbers = np.asarray(indices)
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


def check_step(value: Any, name: str, runs: int | None) -> Any:
    """A positive number, or one for each run as a column."""
    many = isinstance(value, Sequence | np.ndarray) and runs is not None
    numbers = np.asarray(value, dtype=np.float64) if many else None
    good = is_scalar(value) and value > 0 and math.isfinite(value) if numbers is None else (
        numbers.shape == (runs,) and bool(np.all(numbers > 0)) and bool(np.all(np.isfinite(numbers)))
    )
    if not good:
        wanted = "a positive number" + ("" if runs is None else f", or {runs} of them")
        message = f"{name}: expected {wanted}, got {value!r}."
        raise ValueError(message)
    return float(value) if numbers is None else numbers[:, None]


def chunks(stream: Stream, start: int, size: int, stop: int) -> Iterator[Chunk]:
    """Blocks of `size` steps from `start` to `stop`, some at a time, and what is left as one shorter block."""
    per = max(_CHUNK // (size * (stream.runs or 1)), 1) * size
    while start < stop:
        length = min(per, (stop - start) // size * size)
        if length == 0:
            size = length = stop - start
        part = slice(start, start + length)
        shape = (length // size, size)
        numbers, steps = stream.indices[..., part], stream.steps[..., part]
        yield Chunk(
            start, size, numbers.reshape(*numbers.shape[:-1], *shape), steps.reshape(*steps.shape[:-1], *shape)
        )
        start += length


class Record(NamedTuple):
    """How a run through a stream ended."""

    state: Any
    done: int  # steps
    finite: bool
    stopped: bool
    reads: int
    sweeps: int
    size: int
    history: dict[str, Any] | None


def run(
    stream: Stream,
    method: Method[State],
    state: State,
    *,
    size: int,
    answer: Callable[[State], Array],
    record_every: int | None,
    callback: Callable[[int, Array], Any] | None,
) -> Record:
    """Take all steps of the stream, in blocks of `size`.

    `answer` is the X of a state, which is recorded every `record_every` steps and handed to `callback` after every chunk.
    """
    pace = _Pace(stream, size)
    seen: list[Array] = []
    at: list[int] = []
    start, stopped, finite = 0, False, True
    edges = [stream.length] if record_every is None else [*range(0, stream.length, record_every)[1:], stream.length]
    if record_every is not None:
        seen, at = [answer(state)], [0]
    for stop in edges:
        while start < stop and finite and not stopped:
            chunk = next(chunks(stream, start, pace.size, stop))
            state, finite, taken = pace.take(method, state, chunk)
            start += taken
            stopped = callback is not None and bool(callback(start, stream.outside(answer(state))))
        if record_every is not None and start == stop:
            seen.append(answer(state))
            at.append(stop)
        if stopped or not finite:
            break
    history = None
    if record_every is not None:
        x = stream.outside(namespace_of(seen[0]).stack(seen))
        history = {"step": np.asarray(at), "x": x, "objective": stream.model.value(x)}
    return Record(state, start, finite, stopped, pace.reads, pace.sweeps, pace.size, history)


class _Pace:
    """The length of a block and the number of sweeps, which adapt."""

    def __init__(self, stream: Stream, size: int) -> None:
        self.stream, self.size, self.reads = stream, size, 0
        self.sweeps = self._first_sweeps()
        self.tol = math.sqrt(float(stream.model.xp.finfo(stream.model.y.dtype).eps))

    def _first_sweeps(self) -> int:
        return _NEWTON if by_newton(self.stream.model, self.size) else min(_SWEEPS, self.size)

    def take(self, method: Method[State], state: State, chunk: Chunk) -> tuple[State, bool, int]:
        """The state after the chunk, whether it is finite, and the steps taken: 0 where it has to be tried again."""
        stream, xp = self.stream, self.stream.model.xp
        smallest = float(np.min(np.prod(1 - stream.lam * chunk.steps, axis=-1)))
        safe = bool(np.all(stream.lam * chunk.steps < 1)) and smallest > _SHRINK
        if chunk.size > 1 and not safe:
            self._halve()
            return state, True, 0
        before = (slice(None),) * (0 if stream.runs is None else 1)
        index, parts = stream.moved(chunk.indices), method.prepare(chunk)
        trial, changes = state, []
        for j in range(chunk.blocks):
            part = {name: values[(*before, j, ...)] for name, values in parts.items()}
            trial, change = method.block(trial, index[(*before, j, ...)], part, self.sweeps)
            if change is not None:
                changes.append(change)
        last = xp.max(xp.abs(trial[0])) * 0  # NaN where x is not finite
        worst = float(xp.max(xp.abs(xp.stack(changes))) + last if changes else last)
        self.reads += 1
        if changes and not worst <= self.tol:
            most = min(_MOST_NEWTON if by_newton(stream.model, self.size) else _MOST_SWEEPS, chunk.size)
            if self.sweeps < most:
                self.sweeps = min(2 * self.sweeps, most)
            else:
                self._halve()
            return state, True, 0
        if changes and worst <= 1e-3 * self.tol:
            self.sweeps = max(self.sweeps - 1, 2)
        return trial, math.isfinite(worst), chunk.size * chunk.blocks

    def _halve(self) -> None:
        self.size = max(self.size // 2, 1)
        self.sweeps = self._first_sweeps()

