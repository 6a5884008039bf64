"""What every benchmark shares: choice of backend, lazy data, a synchronised clock, and its meta data.

No benchmark here has a ``setup``: with one, asv times every call between two setups and adds its own
overhead to each.  The data of a parameter tuple are made on the first call and kept
until those of another tuple are made; the clock stops meanwhile, and while another process has the processor.  Two
things can then be measured, and each class says in ``mode`` which one it is:

latency
    ``number = 1``: one call between two waits until the device is idle, what a user waits for one answer.
throughput
    ``number > 1``: that many calls between two such waits, so that launching one overlaps with running the
    one before.  The ratio of the two shows how much of a small problem is launching.

Every function carries a dictionary ``meta`` of its own, which asv exports to ``benchmarks.json``: the
report reads there what it measures, what is on the abscissa, and which cost function draws the theory.

A class that is timed and declares a ``cost`` is counted too, without a line of its own: ``track_launches``,
``track_syncs`` and ``track_flops`` (role "count", quantity "launches", "syncs" or "flops") run its call once on
counting arrays over NumPy, for each of its parameters but at the smallest abscissa only.  What they give is the same on
every machine, so that two commits can be compared by it; the flops are those of products and factorisations, as in
`xpsolve.costs`.

Most classes derive from `_Solves`, whose `prepare` returns a `Case`: a call, and the error of its answer.  The error of
a point is that of the answer that was timed, where one process does both (``xpsolve bench``), and of a solve of its own
where it does not (``asv run``).
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks._grid import listed_backends, part
from xpsolve.arrays import Array, backends
from xpsolve.solution import ConvergenceWarning
from xpsolve.trace import Counter, Tally, WrappedArray

# many benchmarks take a fixed number of steps on purpose
warnings.filterwarnings("ignore", category=ConvergenceWarning)

BACKENDS = listed_backends()
"""Backends that the grids list: see `benchmarks._grid`."""


class _Device:
    """The backend that this process measures, the last answer computed on it, and time that does not count."""

    backend: ClassVar[backends.Backend | None] = None
    last: ClassVar[Any] = None
    answer: ClassVar[Any] = None  # of the last call that was timed
    uncounted: ClassVar[float] = 0.0
    apart: ClassVar[bool] = False  # whether the library works in threads of its own
    counting: ClassVar[bool] = False

    @classmethod
    def open(cls, name: str) -> backends.Backend:
        backend = backends.get(name)
        if not backend.available:
            raise SkipNotImplemented(backend.reason)
        cls.backend, cls.apart = backend, name.startswith(("jax", "dask"))
        return backend

    @classmethod
    def drain(cls) -> None:
        """Wait for the last answer, once: a lazy library would compute it again."""
        if cls.backend is not None:
            cls.backend.synchronize(_first(cls.last))
            cls.answer, cls.last = cls.last, None

    @classmethod
    @contextmanager
    def uncounting(cls) -> Iterator[None]:
        """Stop the clock: for what the first call does besides its work."""
        start = _own()
        yield
        cls.drain()
        cls.answer = None
        cls.uncounted += _own() - start


def _first(answer: Any) -> Any:
    """The array to wait for: an answer, its x, or the first of its parts."""
    answer = getattr(answer, "x", answer)
    return _first(answer[0]) if isinstance(answer, tuple | list) else answer


def host(x: Any) -> np.ndarray:
    """An array of any library in double precision on the host, where errors are computed."""
    return np.asarray(backends.to_numpy(x), dtype=np.float64)


def distance(found: Any, wanted: np.ndarray) -> float:
    """‖found − wanted‖ / ‖wanted‖."""
    return float(np.linalg.norm(host(found) - wanted) / np.linalg.norm(wanted))


def _clock() -> float:
    _Device.drain()
    return _own() - _Device.uncounted


def _own() -> float:
    """Seconds so far, without those in which another process had our processor.

    On a shared machine such a wait of a few milliseconds falls into one sample and not into the next, and long samples
    all take a multiple of their time.  The kernel knows how long this thread was ready to run but had to wait.
    """
    while True:  # a wait between the two readings would be taken off a time that does not hold it
        waited, now = _waited(), perf_counter()
        if _waited() == waited:
            return now - waited


def _waited() -> float:
    """Seconds for which this thread waited for a processor; zero where the kernel does not say.

    JAX and Dask work in threads of their own, and it is those that this one waits for.
    """
    global _schedule
    if _Device.apart:
        return 0.0
    if _schedule[0] != os.getpid():  # a fork inherits the file of its parent's thread
        try:
            _schedule = os.getpid(), os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            _schedule = os.getpid(), None
    if _schedule[1] is None:
        return 0.0
    return int(os.pread(_schedule[1], 64, 0).split()[1]) * 1e-9


_schedule: tuple[int, int | None] = (0, None)


def seconds(call: Callable[[], Any], *, at_least: float = 0.2, samples: int = 5) -> float:
    """Shortest of several synchronised runs of `call`: what the machine can do, not what it did.

    Waits for a processor are not taken off, of which the shortest run has none: where a library works in threads of its
    own, it is them that this one waits for.
    """
    best, done, start = math.inf, 0, perf_counter()
    while done <= samples or perf_counter() - start < at_least:  # the first does not count
        before = perf_counter()
        _Device.last = call()
        _Device.drain()
        best = min(best, perf_counter() - before) if done else best
        done += 1
    return best


def measures(role: str, quantity: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare what a benchmark function measures; each class then gets one with its own `meta`."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        function._measures = (role, quantity)  # type: ignore[attr-defined]
        return function

    return declare


def _legible(error: Any) -> float:
    """An error in three digits, as asv shows it; one that is not finite is a large number, since asv skips a NaN."""
    return float(f"{max(float(error), 0.0):.3g}") if math.isfinite(error) else 1e300


@dataclass(frozen=True)
class _CountingBackend:
    """NumPy, whose arrays count what is done with them."""

    inside: backends.Backend
    counter: Counter

    def asarray(self, x: Any, **options: Any) -> WrappedArray:
        return self.counter.wrap(self.inside.asarray(x, **options))

    def to_numpy(self, x: Array) -> Any:
        return self.inside.to_numpy(self.counter.unwrap_all(x))


class _Counted:
    """Functions that each class gets which is timed and has a cost; what derives from this has them on its own grid."""

    @measures("count", "launches")
    def track_launches(self: Any, *values: Any) -> int:
        return int(self._tally(values).launches)

    @measures("count", "syncs")
    def track_syncs(self: Any, *values: Any) -> int:
        return int(self._tally(values).syncs)

    @measures("count", "flops")
    def track_flops(self: Any, *values: Any) -> int:
        return int(self._tally(values).product_flops)


_COUNTS = {name: function for name, function in vars(_Counted).items() if name.startswith("track_")}


class _Benchmark:
    """A class of benchmark functions over one grid of parameters.

    A subclass declares the grid (``params``, ``param_names``), what it is about (``family`` … ``tol``)
    and which part of the grid the short profiles take (``profiles``: allowed values by parameter, a
    parameter not named is taken whole; a class not named by a profile is left out of it).
    """

    version = "1"  # to be raised by hand when the measured thing changes: asv would only see this source
    rounds = 1
    timeout = 120.0
    warmup_time = 0.05
    repeat = (7, 12, 3.0)
    number = 1
    timer = staticmethod(_clock)

    family = ""
    title = ""
    x: ClassVar[str | None] = None
    cost: ClassVar[str | None] = None
    fixed: ClassVar[dict[str, Any]] = {}
    derived: ClassVar[dict[str, int]] = {}  # {"p": c}: argument p of the cost is c // x
    mode: ClassVar[str | None] = "latency"
    pair: ClassVar[str | None] = None  # of a class in throughput mode, that which makes the same calls one at a time
    tol: ClassVar[float | None] = None
    params: ClassVar[tuple[Any, ...]] = ()
    param_names: ClassVar[tuple[str, ...]] = ()
    profiles: ClassVar[dict[str, dict[str, Any]]] = {}
    counted: ClassVar[bool] = True  # where a cost is declared; counting arrays stand for those in memory only

    _prepared: ClassVar[dict[tuple[Any, ...], Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        timed = cls.mode == "latency" and hasattr(cls, "time_solve")
        counted = timed and cls.counted and cls.cost is not None and bool(cls.params)
        for name, function in _COUNTS.items():
            own = inspect.unwrap(getattr(cls, name, None) or function) is not function
            if not own and not issubclass(cls, _Counted):
                setattr(cls, name, function if counted else None)
        for name in dir(cls):
            role = getattr(getattr(cls, name), "_measures", None)
            if role is not None:
                setattr(cls, name, cls._own(getattr(cls, name), *role))

    @classmethod
    def _own(cls, function: Callable[..., Any], role: str, quantity: str) -> Callable[..., Any]:
        """A function that does what an inherited one does, with a `meta` that is this class' alone."""
        function = inspect.unwrap(function)

        @functools.wraps(function)
        def own(self: Any, *values: Any) -> Any:
            found = function(self, *values)
            return _legible(found) if role == "error" else found

        own.__qualname__ = f"{cls.__qualname__}.{function.__name__}"
        own.unit = quantity  # type: ignore[attr-defined]
        subject = "time" if role == "time" else function.__name__.partition("_")[2]
        own.pretty_name = f"{cls.title}: {subject}"  # type: ignore[attr-defined]  (on asv's pages)
        own.meta = {  # type: ignore[attr-defined]
            "family": cls.family,
            "title": cls.title,
            "role": role,
            "quantity": quantity,
            "x": cls.x,
            "cost": cls.cost,
            "fixed": cls.fixed,
            "derived": cls.derived,
            "mode": cls.mode if role == "time" else None,
            "pair": cls.pair if role == "time" else None,
            "tol": cls.tol if role == "error" else None,
            "profiles": cls.profiles,
        }
        if function in _COUNTS.values() and not issubclass(cls, _Counted):
            cls._small(own)
        elif cls.params:
            own.params = part(cls.param_names, cls.params, cls.profiles.get("quick"))  # type: ignore[attr-defined]
        return own

    @classmethod
    def _small(cls, function: Any) -> None:
        """Give a counting function its part of the grid."""
        part = {"backend": lambda values: ("numpy",), cls.x: lambda values: (min(values),)}
        grid = zip(cls.param_names, cls.params, strict=True)
        function.params = tuple(part.get(name, tuple)(values) for name, values in grid)
        function.meta["profiles"] = {"quick": {}}

    def prepare(self, backend: backends.Backend, **point: Any) -> Any:
        """Data at one point of the grid; each family says what it returns."""
        raise NotImplementedError

    def _case(self, values: tuple[Any, ...]) -> Any:
        """The data of this parameter tuple, made on the first call."""
        key = (type(self), *values)
        if key not in self._prepared:
            point = dict(zip(self.param_names, values, strict=True))
            with _Device.uncounting():
                self._prepared.clear()  # a process that measures several points has memory for one
                # A class whose grid names no backend runs on NumPy.
                self._prepared[key] = self.prepare(_Device.open(point.pop("backend", "numpy")), **point)
        return self._prepared[key]

    def _answer(self, call: Callable[[], Any]) -> Any:
        """The answer that was timed last in this process for this tuple; where none was, that of `call`."""
        return call() if _Device.answer is None else _Device.answer

    def _tally(self, values: tuple[Any, ...]) -> Tally:
        """What one call costs, without what its data cost."""
        noted = ("tally", type(self), *values)
        if noted not in self._prepared:
            inside = backends.get("numpy")
            counter = Counter(inside.namespace)
            point = {**dict(zip(self.param_names, values, strict=True)), "backend": _CountingBackend(inside, counter)}
            _Device.counting = True
            try:
                case = self.prepare(**point)
                counter.tally = Tally()
                case.call()
            finally:
                _Device.counting = False
                self._prepared.clear()
            self._prepared[noted] = counter.tally
        return self._prepared[noted]


@dataclass
class Case:
    """A call to be timed, and the error of what it returned: an array, a `Solution`, or a sequence that begins so."""

    call: Callable[[], Any]
    error: Callable[[Any], float] = lambda answer: 0.0
    warm: bool = False


class _Solves(_Benchmark):
    """Time of one call, and beside it the error of its answer; `prepare` returns a `Case`."""

    @measures("time", "seconds")
    def time_solve(self, *values: Any) -> None:
        case = self._case(values)
        if not case.warm:
            warm(case.call)
            case.warm = True
        _Device.last = case.call()

    @measures("error", "relative error")
    def track_error(self, *values: Any) -> float:
        """As the class says."""
        case = self._case(values)
        return case.error(self._answer(case.call))


class _Converges(_Solves):
    """A curve of convergence: the seconds until the error is 10^−digits at most, for more and more digits.

    The error beside each time is in units of what was asked, so that 1 is the largest allowed.
    """

    x = "digits"
    tol = 1.01
    repeat = (3, 7, 1.0)
    param_names = ("backend", "method", "digits")
    digits = tuple(range(1, 9))
    profiles: ClassVar[dict[str, Any]] = {"quick": {"backend": ["numpy"], "digits": [2, 4, 6, 8]}}


class _Counts(_Counted, _Benchmark):
    """What one call needs from the device, counted and not timed over a grid of its own; `prepare` returns a `Case`."""


def warm(call: Callable[[], Any], at_least: float = 0.02) -> None:
    """Run, uncounted, until threads, caches and kernels are awake.

    asv's own warm-up is over with the call that makes the data, and ``asv run --quick`` has none.
    """
    if _Device.counting:
        return
    with _Device.uncounting():
        start = _clock()
        while _clock() - start < at_least:
            _Device.last = call()
