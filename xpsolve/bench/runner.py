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
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from xpsolve.arrays import backends as known_backends
from xpsolve.bench import ledger as ledgers
from xpsolve.bench import machine as machines
from xpsolve.bench import plan, profiles
from xpsolve.bench.clock import Clock, human
from xpsolve.bench.measure import GIVEN_UP, Children, Measured
from xpsolve.bench.plan import Slice
from xpsolve.bench.profiles import Profile
from xpsolve.bench.sessions import WIDE, width
from xpsolve.bench.store import Store, write_benchmarks
from xpsolve.bench.suite import BenchError, Point, load
from xpsolve.files import lock

_CALIBRATED = 10.0  # seconds of measuring after which the plan knows this machine's pace


@dataclass
class Outcome:
    """What a run did."""

    machine: str  # its name among the results
    results: Path  # asv's results folder
    measured: int = 0  # points
    resumed: int = 0  # points that were measured before
    repeated: int = 0  # points measured a second time because something else disturbed the first
    failed: list[tuple[str, str]] = field(default_factory=list)  # points, and the last line that they printed
    left_out: list[Slice] = field(default_factory=list)  # what did not fit into the budget
    later: float = 0.0  # predicted seconds of the sessions after the first
    busy: float = 0.0  # work that the machine had besides, at the start, as a share of its cores
    interrupted: bool = False  # everything measured is saved all the same
    seconds: float = 0.0  # how long it took


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


def run(
    root: Path,  # the folder that holds ``asv.conf.json``
    profile: str = "quick",  # "smoke", "quick" or "full"
    *,
    backends: Collection[str] = (),  # none is all that are available
    only: str | None = None,  # regular expression that ``name(tuple)`` of a point must contain
    budget: float | None = None,  # seconds that the run may take; inf is no limit, None the profile's own
    later: float = 0.0,  # seconds of it to keep for each point measured, for what is done with it after the run
    machine: str | None = None,  # name of this one among the results; see `xpsolve.bench.machine.register`
    results: Path | None = None,  # asv's results folder; None is the configuration's
    observer: Observer | None = None,  # informed about the progress
) -> Outcome:
    """Measure a profile of the suite in the current environment; what does not fit in the budget is left out.

    Raises `BenchError` if there is nothing to measure, or something requested does not exist.
    """
    start = time.monotonic()
    if budget is not None and not budget > 0:
        raise BenchError(f"budget: expected a positive number of seconds, got {budget!r}.")
    chosen = profiles.get(profile)
    for name in backends:
        if name not in known_backends.NAMES:
            raise BenchError(f"backend: expected one of {', '.join(known_backends.NAMES)}, got {name!r}.")
    suite = load(root)
    found = machines.look(suite.root)
    for name in backends:
        if not found["backends"][name]["available"]:
            raise BenchError(f"backend {name!r} cannot be used here: {found['backends'][name]['reason']}.")
    names = [n for n, b in found["backends"].items() if b["available"] and (not backends or n in backends)]
    wanted = profiles.select(suite, chosen, names, only)

    source = machines.sources(suite.root)
    described = machines.register(machine, found)
    place = (results or suite.results).resolve()
    folder = place / described["machine"]
    facts = machines.facts(described, found, source, chosen.name, suite.libraries)
    with _held(folder):
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
        _Run(chosen, store, clock, outcome, observer or Observer(), wanted).go()
        outcome.seconds = time.monotonic() - start
        return outcome


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a machine's folder, freed of what a run left there that was killed as it wrote."""
    holder = f"process {os.getpid()} on {platform.node()}, since {datetime.now():%H:%M on %d %B %Y}"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(folder / ".lock", holder))
        except BlockingIOError as other:
            raise BenchError(
                f"another `xpsolve bench` ({other or 'unknown process'}) writes to {folder}: wait until it "
                "has ended, or write to another folder with --results. Two at once would disturb each other."
            ) from None
        for stale in folder.glob(".*.part"):
            stale.unlink(missing_ok=True)
        yield


class _Run:
    """A run under way."""

    def __init__(
        self,
        profile: Profile,
        store: Store,
        clock: Clock,
        outcome: Outcome,
        observer: Observer,
        wanted: list[Point],
    ) -> None:
        self.profile, self.store, self.clock = profile, store, clock
        self.outcome, self.observer, self.wanted = outcome, observer, wanted
        self.lines = plan.sweeps(store.suite, wanted)
        self.essential = plan.essential(self.lines, clock, clock.room)
        self.pending: dict[str, Point] = {}  # by their texts, those that this session still measures
        self.left: list[Point] = []  # those that had no time when their turn came
        self.measured: set[str] = set()

    def plan(self) -> list[Slice]:
        """What of the rest fits in the time left, at the pace observed."""
        return plan.choose(self.lines, self.essential, self.pending, self.clock, self.clock.room)

    def go(self) -> None:
        """Measure in one session after another, each in processes of its own; save after each slice."""
        least, most = self.profile.sessions
        for session in range(1, most + 1):
            self.pending = {p.text: p for p in self._due(session)}
            if not self.pending and session > 1:
                continue
            self.clock.kept = 0.0
            if session < least and not math.isinf(self.clock.room):
                self.clock.kept = self.clock.room * (least - session) / (least - session + 1)
            with Children(self.store.suite) as children:
                self._session(children, session)
            self.clock.closed()
            if self.outcome.interrupted:
                return
            if session == 1:
                self._note_left_out()
        self.store.ledger.save()

    def _due(self, session: int) -> list[Point]:
        """What a session measures: all that was not, then times again, and at last those that bend from run to run."""
        ledger, profile = self.store.ledger, self.profile
        due = [p for p in self.wanted if not ledger.done(p, profile, session)]
        if session > 1:
            due = [p for p in due if p.role == "time" and ledger.done(p, profile)]
        return due if session <= profile.sessions[0] else self._widest(due)

    def _widest(self, due: list[Point]) -> list[Point]:
        """Of these the points of whole sweeps with a wide interval, as many as there is time for."""
        suite = self.store.suite
        samples = {p.text: self.store.ledger.samples(p, self.profile) for p in due}
        widths = {line: width(line, samples, suite.meta(line.sizes[0][0].benchmark).x) for line in self.lines}
        wide = [line for line in self.lines if widths[line] > WIDE]
        room = self.clock.room - sum(map(self.clock.opening, {line.backend for line in wide}))
        chosen: list[Point] = []
        for line in sorted(wide, key=lambda line: (not line.theory, -widths[line])):
            new = [p for size in line.sizes for p in size if p.text in samples]
            room -= sum(map(self.clock.work, new))
            if room < 0:
                break
            chosen += new
        return chosen

    def _note_left_out(self) -> None:
        left = [*self.left, *self.pending.values()]
        self.outcome.left_out = plan.slices(left, self.clock)
        for point in left:
            self.store.ledger.miss(point, "over budget", f"{self.profile.name} in {human(self.clock.budget or 0)}")

    def _session(self, children: Children, session: int) -> None:
        rest, known, measuring = self.plan(), session > 1, time.monotonic()
        if session == 1:
            times = sum(t for s in rest for p, t in zip(s.points, s.seconds, strict=True) if p.role == "time")
            room = self.clock.room + self.clock.kept - sum(s.predicted for s in rest)
            self.outcome.later = min((self.profile.sessions[0] - 1) * times, room)
            self.observer.planned(rest, self.outcome)
        else:
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
        after = sum(s.predicted for s in later)
        needed = sum(s.predicted for s in later if s.essential)
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
                self.outcome.failed.append((point.text, found.last_line))
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
