"""The run: measure slice by slice with asv, save after each, stop in time, go on where it stopped.

asv's own ``run`` saves once, after everything, and needs a repository; so its parts are used: its child
process measures one point, and its `Results` merges, computes statistics and writes its format.
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from xpsolve.arrays import backends as known_backends
from xpsolve.bench import batch, plan, profiles
from xpsolve.bench import ledger as ledgers
from xpsolve.bench import machine as machines
from xpsolve.bench.plan import Slice
from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import COUNTS, BenchError, Point, Suite, child_environment, load, script
from xpsolve.files import write_text

_GRACE = 0.03  # share of a firm budget that the last point may take beyond it
_MOST = 3.0  # how many times its prediction one point may count towards the pace
_TRUST = 5.0  # seconds of observation that weigh as much as the prediction
TIMED_OUT = 124  # as the command `timeout` says it
GIVEN_UP = 125  # the run's time was over, not the benchmark's
_NO_MEMORY = ("memoryerror", "out of memory", "outofmemory", "resource_exhausted", "unable to allocate")
_UNQUIET = 1.3  # median over shortest sample: on an idle machine it stays below 1.1


@dataclass
class Outcome:
    """What a run did.

    Parameters
    ----------
    machine : str
        Its name among the results.
    results : pathlib.Path
        asv's results folder.
    measured, resumed : int
        Points measured now, and found measured before.
    repeated : int
        Points measured a second time because something else disturbed the first.
    failed : list of (str, str)
        Points that raised or ran out of time, and the last line of what they said.
    left_out : list of Slice
        What the budget had no room for.
    busy : float
        Work that the machine had besides, at the start, as a share of its cores.
    interrupted : bool
        Whether the run was stopped; everything measured is saved all the same.
    seconds : float
        How long it took.
    """

    machine: str
    results: Path
    measured: int = 0
    resumed: int = 0
    repeated: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[Slice] = field(default_factory=list)
    busy: float = 0.0
    interrupted: bool = False
    seconds: float = 0.0


class Observer:
    """What wants to know how a run goes; this one does not, a progress bar overrides what it shows."""

    def planned(self, slices: Sequence[Slice], outcome: Outcome) -> None:
        """The plan is made."""

    def began(self, part: Slice, left: float) -> None:
        """A slice begins, with about `left` seconds to the end of the run."""

    def measured(self, point: Point, left: float) -> None:
        """A point is measured."""

    def ended(self, part: Slice, seconds: float, left: float) -> None:
        """A slice ended, and its results are saved."""


@dataclass
class _Clock:
    """Time there is, and how far predictions were off so far: each backend has a pace of its own."""

    start: float
    budget: float | None
    firm: bool
    predicted: dict[str, float] = field(default_factory=dict)
    observed: dict[str, float] = field(default_factory=dict)

    def add(self, backend: str, predicted: float, observed: float) -> None:
        # One point that was taken for far too short says something of itself, not of the machine.
        observed = min(observed, _MOST * predicted)
        self.predicted[backend] = self.predicted.get(backend, 0.0) + predicted
        self.observed[backend] = self.observed.get(backend, 0.0) + observed

    def pace(self, backend: str) -> float:
        return (self.observed.get(backend, 0.0) + _TRUST) / (self.predicted.get(backend, 0.0) + _TRUST)

    def expect(self, part: Slice) -> Slice:
        """The slice with its predictions at the pace observed."""
        pairs = zip(part.points, part.seconds, strict=True)
        return Slice(part.name, part.points, tuple(s * self.pace(p.backend) for p, s in pairs))

    @property
    def room(self) -> float | None:
        """Seconds that are left of the budget."""
        return None if self.budget is None else self.budget - (time.monotonic() - self.start)

    @property
    def patience(self) -> float:
        """Seconds after which even a point under way is given up."""
        if self.budget is None or self.room is None or not self.firm:
            return math.inf
        return self.room + _GRACE * self.budget


class _Store:
    """asv's results of one machine and commit, and the ledger beside them."""

    def __init__(self, suite: Suite, folder: Path, described: dict[str, str], source: machines.Sources) -> None:
        from asv.results import Results

        self.suite, self.folder = suite, folder
        python = ".".join(platform.python_version_tuple()[:2])
        # asv would name the environment after the path of its Python: another checkout, another series.
        self.results = Results(
            {**described, "python": python},
            {},
            source.commit,
            source.date,
            python,
            f"existing-py{python}",
            {},
        )
        self._load(folder.parent)
        self.ledger = ledgers.Ledger.open(folder, source.commit, source.tree)
        if not self.path.is_file():
            self.ledger.entries.clear()

    @property
    def path(self) -> Path:
        return self.folder.parent / str(self.results._filename)

    def _load(self, results: Path) -> None:
        from asv import util

        try:
            self.results.load_data(str(results))
        except (util.UserError, ValueError, TypeError, AttributeError, KeyError) as error:
            aside = ledgers.set_aside(self.path)
            warnings.warn(
                f"{self.path} is no result file of asv and was set aside as {aside.name}: {error}",
                stacklevel=2,
            )

    def add(self, point: Point, profile: Profile, found: _Measured) -> None:
        """Merge one measured point; a failure is kept as asv keeps it, and tried again next time."""
        from asv.runner import BenchmarkResult

        benchmark = self.suite.benchmarks[point.benchmark]
        size = math.prod(len(values) for values in benchmark["params"])
        value: list[Any] = [math.nan] * size
        samples: list[Any] = [None] * size
        number: list[Any] = [None] * size
        value[point.index], samples[point.index], number[point.index] = found.asv
        before = self.results.duration.get(point.benchmark) or 0.0
        self.results.add_result(
            benchmark,
            BenchmarkResult(value, samples, number, found.code, found.output, None),
            started_at=found.started,
            duration=before + found.seconds,
            record_samples=True,
            selected_idx=[point.index],
        )
        if found.code == 0:
            self.ledger.record(point, profile, found.seconds)
        else:
            self.ledger.entries.pop(point.text, None)  # asv has just put the failure over the value
            self.ledger.miss(point, found.reason, _last_line(found.output))

    def save(self) -> None:
        """Write asv's file and the ledger, in this order: a point is done only once it is kept."""
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / self.folder.name).mkdir()
            self.results.save(scratch)
            write_text(self.path, (Path(scratch) / str(self.results._filename)).read_text(encoding="utf-8"))
        self.ledger.save()


@dataclass(frozen=True)
class _Measured:
    """What a child process brought back."""

    asv: tuple[Any, Any, Any]  # result, samples, number, as asv stores them
    code: int
    output: str
    started: datetime
    seconds: float

    @property
    def reason(self) -> str:
        """Why there is no value: "failed", "timed out" or "out of memory"."""
        if self.code == TIMED_OUT:
            return "timed out"
        # A process that takes all the memory is killed by the system, without a word.
        last = _last_line(self.output).lower()
        killed = self.code == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False
        return "out of memory" if killed or any(word in last for word in _NO_MEMORY) else "failed"

    @property
    def median(self) -> float:
        """Of the samples, NaN where there are none."""
        return median(self.asv[1]) if self.asv[1] else math.nan

    @property
    def disturbed(self) -> bool:
        """Whether the samples scatter as they only do when the machine has something else to do."""
        return bool(self.asv[1]) and self.median > _UNQUIET * min(self.asv[1])


def _measure(suite: Suite, point: Point, profile: Profile, patience: float) -> _Measured:
    """One point, in a process of its own, which has so many seconds besides the benchmark's own limit."""
    allowed = _timeout(suite, point)
    timeout = max(min(allowed, patience), 0.1)
    started, before = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "result.json"
        command = [script(), "run", str(suite.folder), _asv_name(suite, point), json.dumps(profile.attributes)]
        try:
            code, output = _child(suite, [*command, "None", str(answer)], scratch, timeout)
            value = json.loads(answer.read_text(encoding="utf-8")) if code == 0 else None
        except subprocess.TimeoutExpired:
            code, value = TIMED_OUT if timeout == allowed else GIVEN_UP, None
            output = f"took longer than {timeout:g} s"
        except (OSError, ValueError) as error:
            code, output, value = 1, f"brought back no result: {error}", None
    timed = value if isinstance(value, dict) and {"samples", "number"} <= value.keys() else None
    kept = (value, None, None) if timed is None else (True, timed["samples"], timed["number"])
    return _Measured(kept, code, output, started, time.monotonic() - before)


def _count(suite: Suite, points: Sequence[Point], patience: float) -> list[_Measured | None]:
    """Several points in one process; None for one to which it brought back no answer."""
    started, before = datetime.now(UTC), time.monotonic()
    found: list[tuple[Any, int, str] | None] = []
    with tempfile.TemporaryDirectory() as scratch:
        names = [_asv_name(suite, point) for point in points]
        with contextlib.suppress(subprocess.TimeoutExpired):
            longest = max(_timeout(suite, point) for point in points)
            command = ["-P", batch.__file__, str(suite.folder), scratch, *names]
            _child(suite, command, scratch, max(min(longest, patience), 0.1))
        for i in range(len(points)):
            answer, reason = (Path(scratch) / f"{i}.{suffix}" for suffix in ("json", "txt"))
            try:
                if reason.is_file():
                    found.append((None, 1, reason.read_text(encoding="utf-8").strip()))
                else:
                    found.append((json.loads(answer.read_text(encoding="utf-8")), 0, ""))
            except (OSError, ValueError):
                found.append(None)
    each = (time.monotonic() - before) / len(points)
    return [f and _Measured((f[0], None, None), f[1], f[2], started, each) for f in found]


def _child(suite: Suite, arguments: Sequence[str], where: str, timeout: float) -> tuple[int, str]:
    """Run Python, and bring back its code and what it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env=child_environment(suite.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def _asv_name(suite: Suite, point: Point) -> str:
    return f"{point.benchmark}-{point.index}" if suite.benchmarks[point.benchmark]["params"] else point.benchmark


def _timeout(suite: Suite, point: Point) -> float:
    declared = suite.benchmarks[point.benchmark].get("timeout")
    return float(declared or suite.conf.get("default_benchmark_timeout", 60.0))


def _last_line(output: str) -> str:
    return output.splitlines()[-1].strip() if output else "no message"


def choose_backends(wanted: Collection[str], found: dict[str, Any]) -> list[str]:
    """Names of the backends to measure.

    Parameters
    ----------
    wanted : collection of str
        As the user named them; none is all that are available.
    found : dict
        ``"backends"`` of `xpsolve.bench.machine.look`.

    Returns
    -------
    list of str
        In the order of ``xpsolve.arrays.backends.NAMES``.

    Raises
    ------
    BenchError
        If one does not exist or cannot be used here.

    Examples
    --------
    >>> from xpsolve.bench.runner import choose_backends
    >>> choose_backends([], {"numpy": {"available": True}, "cupy": {"available": False}})
    ['numpy']
    """
    check_names(wanted)
    for name in wanted:
        if not found[name]["available"]:
            raise BenchError(f"backend {name!r} cannot be used here: {found[name]['reason']}.")
    return [name for name, b in found.items() if b["available"] and (not wanted or name in wanted)]


def check_names(wanted: Collection[str]) -> None:
    """Raise `BenchError` for a backend that does not exist, naming those that do."""
    for name in wanted:
        if name not in known_backends.NAMES:
            raise BenchError(f"backend: expected one of {', '.join(known_backends.NAMES)}, got {name!r}.")


def run(
    root: Path,
    profile: str = "quick",
    *,
    backends: Collection[str] = (),
    only: str | None = None,
    budget: float | None = None,
    machine: str | None = None,
    results: Path | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Measure a profile of the suite in the current environment.

    Parameters
    ----------
    root : pathlib.Path
        The folder that holds ``asv.conf.json``.
    profile : str
        "smoke", "quick" or "full".
    backends : collection of str
        Which ones; none is all that are available.
    only : str, optional
        Regular expression that ``name(tuple)`` of a point must contain.
    budget : float, optional
        Seconds that the run may take, ``inf`` is no limit.  None is the profile's own, which limits the
        other backends only: NumPy is measured whole, however slow the machine.
    machine : str, optional
        Name of this machine among the results; see `xpsolve.bench.machine.register`.
    results : pathlib.Path, optional
        asv's results folder; None is the configuration's.
    observer : Observer, optional
        Told how it goes.

    Returns
    -------
    Outcome
        What was measured, resumed, left out, and what failed.

    Raises
    ------
    BenchError
        If there is nothing to measure, or something asked for does not exist.

    Examples
    --------
    >>> from pathlib import Path
    >>> from xpsolve.bench import run
    >>> outcome = run(Path("."), "smoke", only="ceilings")         # doctest: +SKIP
    """
    start = time.monotonic()
    if budget is not None and not budget > 0:
        raise BenchError(f"budget: expected a positive number of seconds, got {budget!r}.")
    chosen = profiles.get(profile)
    check_names(backends)
    suite = load(root)
    found = machines.look(suite.root)
    names = choose_backends(backends, found["backends"])
    wanted = profiles.select(suite, chosen, names, only)

    source = machines.sources(suite.root)
    described = machines.register(machine, found)
    place = (results or suite.results).resolve()
    folder = place / described["machine"]
    facts = machines.facts(described, found, source, chosen.name, suite.libraries)
    for stale in folder.glob(".*.part"):  # of a run that was killed as it wrote
        stale.unlink(missing_ok=True)
    machines.write(folder, described, facts)
    _write_benchmarks(suite, place)
    store = _Store(suite, folder, described, source)
    store.ledger.facts = facts
    history = ledgers.durations(folder, chosen)

    todo = [p for p in wanted if not store.ledger.done(p, chosen)]
    startup = {name: float(b["startup"]) for name, b in found["backends"].items()}
    seconds = {p.text: history.get(p.text) or plan.predict(suite, p, chosen, startup) for p in todo}
    clock = _Clock(start, chosen.budget if budget is None else budget, firm=budget is not None)
    outcome = Outcome(described["machine"], place, resumed=len(wanted) - len(todo), busy=facts["load"])
    going = _Run(chosen, store, clock, outcome, observer or Observer(), plan.slices(todo, seconds))
    going.observer.planned(going.plan()[0], outcome)
    going.go()
    outcome.seconds = time.monotonic() - start
    return outcome


@dataclass
class _Run:
    """A run under way."""

    profile: Profile
    store: _Store
    clock: _Clock
    outcome: Outcome
    observer: Observer
    pending: list[Slice]  # in the order of measuring, with the predictions made at the start
    had: set[str] = field(default_factory=set)  # points that had their turn

    def plan(self) -> tuple[list[Slice], list[Slice]]:
        """What of the rest fits in the time left, at the pace observed, and what does not."""
        clock = self.clock
        return plan.fit([clock.expect(part) for part in self.pending], clock.room, firm=clock.firm)

    def go(self) -> None:
        """Measure slice by slice, planning anew before each; save after each; stop when interrupted."""
        while True:
            kept, _ = self.plan()
            part = kept[0] if kept else self.last()
            if part is None:
                break
            later, began = sum(s.predicted for s in kept[1:]), time.monotonic()
            self.observer.began(part, part.predicted + later)
            try:
                self.measure(part, later)
            except KeyboardInterrupt:
                self.outcome.interrupted = True
                return
            finally:
                self.store.save()
            rest = [s.on(lambda p: p.text not in self.had) for s in self.pending]
            self.pending = [s for s in rest if s.points]
            self.observer.ended(part, time.monotonic() - began, later)
        self.outcome.left_out = [self.clock.expect(part) for part in self.pending]
        for missed in self.outcome.left_out:
            for point in missed.points:
                self.store.ledger.miss(point, "over budget", f"{self.profile.name} in {self.clock.budget:g} s")
        self.store.ledger.save()

    def last(self) -> Slice | None:
        """Where no class fits as a whole: what of one does."""
        rest, room = [self.clock.expect(part) for part in self.pending], self.clock.room
        return None if room is None else plan.fill(rest, room)

    def measure(self, part: Slice, later: float) -> None:
        """The points of a slice, then once more those that something else disturbed."""
        suite, clock = self.store.suite, self.clock
        known = {p.text: s for whole in self.pending for p, s in zip(whole.points, whole.seconds, strict=True)}
        disturbed: list[tuple[Point, _Measured]] = []
        here = part.predicted
        together = part.name == COUNTS
        counted = _count(suite, part.points, clock.patience) if together else [None] * len(part.points)
        for point, expected, answer in zip(part.points, part.seconds, counted, strict=True):
            here -= expected
            # On a busy machine the slice takes longer than was planned.
            fits = not clock.firm or clock.room is None or clock.room > expected
            found = answer or (_measure(suite, point, self.profile, clock.patience) if fits else None)
            if found is None or found.code == GIVEN_UP:
                continue
            self.had.add(point.text)
            self.store.add(point, self.profile, found)
            self.outcome.measured += 1
            if found.code != 0:
                self.outcome.failed.append((point.text, _last_line(found.output)))
            if found.disturbed:
                disturbed.append((point, found))
            clock.add(point.backend, known[point.text], found.seconds)
            self.observer.measured(point, here + later)
        for point, first in disturbed:
            room = clock.room
            if room is None or room > later + first.seconds:
                self.outcome.repeated += 1
                second = _measure(suite, point, self.profile, clock.patience)
                if second.median < first.median:  # others only ever take time away
                    self.store.add(point, self.profile, second)


def _write_benchmarks(suite: Suite, results: Path) -> None:
    """asv's ``benchmarks.json``, which says what the numbers in its result files are."""
    from asv.benchmarks import Benchmarks

    content = {**suite.benchmarks, "version": Benchmarks.api_version}
    write_text(results / "benchmarks.json", json.dumps(content, indent=4, sort_keys=True) + "\n")
