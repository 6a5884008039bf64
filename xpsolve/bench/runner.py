"""The run: measure slice by slice with asv, save after each, stop in time, continue where it stopped.

asv's own ``run`` saves once, after everything, and needs a repository; so its parts are used: its child
process measures one point, and its `Results` merges, computes statistics and writes its format.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from xpsolve.arrays import backends as known_backends
from xpsolve.bench import ledger as ledgers
from xpsolve.bench import machine as machines
from xpsolve.bench import plan, profiles
from xpsolve.bench.clock import Clock
from xpsolve.bench.measure import GIVEN_UP, Children, Measured, last_line
from xpsolve.bench.plan import Slice, Sweep
from xpsolve.bench.profiles import Profile
from xpsolve.bench.sessions import WIDE, width
from xpsolve.bench.store import Store, write_benchmarks
from xpsolve.bench.suite import BenchError, Point, load
from xpsolve.files import lock

_CALIBRATED = 10.0  # seconds of measuring after which the plan knows this machine's pace


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
        Points that raised or ran out of time, and the last line of what they printed.
    left_out : list of Slice
        What did not fit into the budget.
    later : float
        Predicted seconds of the sessions after the first.
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
    later: float = 0.0
    busy: float = 0.0
    interrupted: bool = False
    seconds: float = 0.0


class Observer:
    """Observer of a run that does nothing; a progress bar overrides what it shows."""

    def planned(self, slices: Sequence[Slice], outcome: Outcome) -> None:
        """The plan is made, from predictions alone."""

    def again(self, slices: Sequence[Slice]) -> None:
        """These are measured once more, in new processes."""

    def corrected(self, slices: Sequence[Slice]) -> None:
        """The plan is made anew, once, after the first slices have shown this machine's pace."""

    def began(self, part: Slice, left: float) -> None:
        """A slice begins, with about `left` seconds to the end of the run."""

    def measured(self, point: Point, left: float) -> None:
        """A point is measured."""

    def ended(self, part: Slice, seconds: float, left: float) -> None:
        """A slice ended, and its results are saved."""


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
    later: float = 0.0,
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
        Seconds that the run may take, ``inf`` is no limit.  None is the profile's own.  What does not fit is left
        out by points: see `xpsolve.bench.plan`.
    later : float, optional
        Seconds of the budget to keep for each point that is measured, for what is done with it after the run.
    machine : str, optional
        Name of this machine among the results; see `xpsolve.bench.machine.register`.
    results : pathlib.Path, optional
        asv's results folder; None is the configuration's.
    observer : Observer, optional
        Informed about the progress.

    Returns
    -------
    Outcome
        What was measured, resumed, left out, and what failed.

    Raises
    ------
    BenchError
        If there is nothing to measure, or something requested does not exist.

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
    holder = f"process {os.getpid()} on {platform.node()}, since {datetime.now():%H:%M on %d %B %Y}"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(folder / ".lock", holder))
        except BlockingIOError as other:
            raise BenchError(
                f"another `xpsolve bench` ({other or 'unknown process'}) writes to {folder}: wait until it "
                "has ended, or write to another folder with --results. Two at once would disturb each other."
            ) from None
        for stale in folder.glob(".*.part"):  # of a run that was killed as it wrote
            stale.unlink(missing_ok=True)
        machines.write(folder, described)
        write_benchmarks(suite, place)
        store = Store(suite, folder, described, source)
        store.ledger.facts = facts
        history = ledgers.durations(folder, chosen)

        done = [p for p in wanted if store.ledger.done(p, chosen, chosen.sessions[0])]
        openings = {
            name: plan.PROCESS + float(b["startup"]) + (plan.FIRST_CALL if name != "numpy" else 0.0)
            for name, b in found["backends"].items()
        }
        predicted = {p.text: history.get(p.text) or plan.predict(suite, p, chosen) for p in wanted}
        limit = chosen.budget if budget is None else budget
        clock = Clock(None if limit is None or math.isinf(limit) else limit, openings, predicted, start, later)
        outcome = Outcome(described["machine"], place, resumed=len(done), busy=facts["load"])
        lines = plan.sweeps(suite, wanted)
        going = _Run(chosen, store, clock, outcome, observer or Observer(), wanted, lines, plan.essential(lines, clock))
        going.go()
        outcome.seconds = time.monotonic() - start
        return outcome


@dataclass
class _Run:
    """A run under way."""

    profile: Profile
    store: Store
    clock: Clock
    outcome: Outcome
    observer: Observer
    wanted: list[Point]
    lines: list[Sweep]
    essential: list[Sweep]
    pending: dict[str, Point] = field(default_factory=dict)  # by their texts, those that this session still measures
    left: list[Point] = field(default_factory=list)  # those that had no time when their turn came
    measured: set[str] = field(default_factory=set)

    def plan(self) -> list[Slice]:
        """What of the rest fits in the time left, at the pace observed."""
        return plan.choose(self.lines, self.essential, self.pending, self.clock, self.clock.room)

    def go(self) -> None:
        """Measure in one session after another, each in processes of its own; save after each slice."""
        least, most = self.profile.sessions
        for session in range(1, most + 1):
            self.pending = self._due(session)
            if not self.pending and session > 1:
                continue
            self.clock.kept = 0.0
            if session < least and not math.isinf(self.clock.room):
                self.clock.kept = self.clock.room * (least - session) / (least - session + 1)
            with Children(self.store.suite) as children:
                self._go(children, session)
            self.clock.closed()
            if self.outcome.interrupted:
                return
            if session == 1:
                self._note_left_out()
        self.store.ledger.save()

    def _due(self, session: int) -> dict[str, Point]:
        """What a session measures: all that was not, then times again, and at last those that bend from run to run."""
        ledger, profile = self.store.ledger, self.profile
        due = [p for p in self.wanted if not ledger.done(p, profile, session)]
        if session > 1:
            due = [p for p in due if p.role == "time" and ledger.done(p, profile)]
        if session > profile.sessions[0]:
            samples = {p.text: ledger.samples(p, profile) for p in due}
            widths = {line: width(line, samples, self._abscissa(line)) for line in self.lines}
            wide = [line for line in sorted(self.lines, key=lambda line: -widths[line]) if widths[line] > WIDE]
            due = self._affordable(wide, {p.text for p in due})
        return {p.text: p for p in due}

    def _abscissa(self, line: Sweep) -> str | None:
        return self.store.suite.meta(line.sizes[0][0].benchmark).x

    def _affordable(self, wide: Sequence[Sweep], due: Collection[str]) -> list[Point]:
        """Points of whole sweeps, as many as there is time for."""
        chosen: list[Point] = []
        room = self.clock.room - sum(map(self.clock.opening, {line.backend for line in wide}))
        for line in wide:
            new = [p for size in line.sizes for p in size if p.text in due]
            room -= sum(map(self.clock.work, new))
            if room < 0:
                break
            chosen += new
        return chosen

    def _note_left_out(self) -> None:
        left = [*self.left, *self.pending.values()]
        self.outcome.left_out = plan.slices(left, self.clock)
        for point in left:
            self.store.ledger.miss(point, "over budget", f"{self.profile.name} in {self.clock.budget:.3g} s")

    def _go(self, children: Children, session: int) -> None:
        rest, known, measuring = self.plan(), False, time.monotonic()
        if session == 1:
            times = sum(t for s in rest for p, t in zip(s.points, s.seconds, strict=True) if p.role == "time")
            room = self.clock.room + self.clock.kept - sum(s.predicted for s in rest)
            self.outcome.later = min((self.profile.sessions[0] - 1) * times, room)
            self.observer.planned(rest, self.outcome)
        else:
            known = True
            self.observer.again(rest)
        while rest:
            part, later = rest[0], rest[1:]
            began = time.monotonic()
            self.observer.began(part, sum(s.predicted for s in rest))
            try:
                self.measure(children, part, later)
            except KeyboardInterrupt:
                self.outcome.interrupted = True
                return
            finally:
                children.end_slice()
                self.store.save()
            self.observer.ended(part, time.monotonic() - began, sum(s.predicted for s in later))
            rest = self.plan()
            if not known and time.monotonic() - measuring > _CALIBRATED:
                known = True
                self.observer.corrected(rest)

    def measure(self, children: Children, part: Slice, later: list[Slice]) -> None:
        """The points of a slice, then once more those that something else disturbed."""
        clock, here = self.clock, part.predicted
        after, needed = (sum(s.predicted for s in later if s.essential or not only) for only in (False, True))
        before = len(self.pending)
        disturbed: list[tuple[Point, Measured]] = []
        for point, expected in zip(part.points, part.seconds, strict=True):
            here -= expected
            # A slice may take longer than was planned, but not the time of what is needed more.
            spare = clock.room - needed - clock.opening(point.backend)
            if spare <= clock.work(point):
                continue
            del self.pending[point.text]
            found = children.measure(point, self.profile, clock.patience(point, spare))
            seconds = clock.add(point, found)
            if found.code == GIVEN_UP:
                self.left.append(point)
                continue
            self.store.add(point, self.profile, found, seconds)
            self.measured.add(point.text)
            self.outcome.measured = len(self.measured)
            if found.code != 0:
                self.outcome.failed.append((point.text, last_line(found.output)))
            if found.disturbed:
                disturbed.append((point, found))
            self.observer.measured(point, here + after)
        for point, first in disturbed:
            if clock.room > after + first.seconds:
                self.outcome.repeated += 1
                second = children.measure(point, self.profile, clock.patience(point, clock.room - after))
                if second.median < first.median:  # other processes only take time away
                    self.store.add(point, self.profile, second, clock.add(point, second), instead=True)
        if len(self.pending) == before:  # otherwise the same slice would repeat for ever
            self.left += [self.pending.pop(p.text) for p in part.points if p.text in self.pending]
