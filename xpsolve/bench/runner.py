"""The run: measure slice by slice with asv, save after each, stop in time, go on where it stopped.

asv's own ``run`` saves once, after everything, and needs a repository; so its parts are used: its child
process measures one point, and its `Results` merges, computes statistics and writes its format.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xpsolve.arrays import backends as known_backends
from xpsolve.bench import ledger as ledgers
from xpsolve.bench import machine as machines
from xpsolve.bench import plan, profiles
from xpsolve.bench.measure import GIVEN_UP, Measured, count, last_line, measure
from xpsolve.bench.plan import Slice
from xpsolve.bench.profiles import Profile
from xpsolve.bench.store import Store, write_benchmarks
from xpsolve.bench.suite import COUNTS, BenchError, Point, load

_GRACE = 0.03  # share of a firm budget that the last point may take beyond it
_MOST = 3.0  # how many times its prediction one point may count towards the pace
_TRUST = 5.0  # seconds of observation that weigh as much as the prediction


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
    machines.write(folder, described)
    write_benchmarks(suite, place)
    store = Store(suite, folder, described, source)
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
    store: Store
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
        disturbed: list[tuple[Point, Measured]] = []
        here = part.predicted
        together = part.name == COUNTS
        counted = count(suite, part.points, clock.patience) if together else [None] * len(part.points)
        for point, expected, answer in zip(part.points, part.seconds, counted, strict=True):
            here -= expected
            # On a busy machine the slice takes longer than was planned.
            fits = not clock.firm or clock.room is None or clock.room > expected
            found = answer or (measure(suite, point, self.profile, clock.patience) if fits else None)
            if found is None or found.code == GIVEN_UP:
                continue
            self.had.add(point.text)
            self.store.add(point, self.profile, found)
            self.outcome.measured += 1
            if found.code != 0:
                self.outcome.failed.append((point.text, last_line(found.output)))
            if found.disturbed:
                disturbed.append((point, found))
            clock.add(point.backend, known[point.text], found.seconds)
            self.observer.measured(point, here + later)
        for point, first in disturbed:
            room = clock.room
            if room is None or room > later + first.seconds:
                self.outcome.repeated += 1
                second = measure(suite, point, self.profile, clock.patience)
                if second.median < first.median:  # others only ever take time away
                    self.store.add(point, self.profile, second)
