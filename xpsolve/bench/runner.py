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
    """Observer of a run that does nothing; a progress bar overrides what it shows."""

    def planned(self, slices: Sequence[Slice], outcome: Outcome) -> None:
        """The plan is made, from predictions alone."""

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

        todo = {p.text: p for p in wanted if not store.ledger.done(p, chosen)}
        openings = {
            name: plan.PROCESS + float(b["startup"]) + (plan.FIRST_CALL if name != "numpy" else 0.0)
            for name, b in found["backends"].items()
        }
        predicted = {p.text: history.get(p.text) or plan.predict(suite, p, chosen) for p in wanted}
        limit = chosen.budget if budget is None else budget
        clock = Clock(None if limit is None or math.isinf(limit) else limit, openings, predicted, start, later)
        outcome = Outcome(described["machine"], place, resumed=len(wanted) - len(todo), busy=facts["load"])
        lines = plan.sweeps(suite, wanted)
        going = _Run(chosen, store, clock, outcome, observer or Observer(), todo, lines, plan.essential(lines, clock))
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
    pending: dict[str, Point]  # by their texts, those that are not measured yet
    lines: list[Sweep]
    essential: list[Sweep]
    left: list[Point] = field(default_factory=list)  # those that had no time when their turn came

    def plan(self) -> list[Slice]:
        """What of the rest fits in the time left, at the pace observed."""
        return plan.choose(self.lines, self.essential, self.pending, self.clock, self.clock.room)

    def go(self) -> None:
        """Measure slice by slice, planning anew before each; save after each; stop when interrupted."""
        with Children(self.store.suite) as children:
            self._go(children)
        if self.outcome.interrupted:
            return
        left = [*self.left, *self.pending.values()]
        self.outcome.left_out = plan.slices(left, self.clock)
        for point in left:
            self.store.ledger.miss(point, "over budget", f"{self.profile.name} in {self.clock.budget:.3g} s")
        self.store.ledger.save()

    def _go(self, children: Children) -> None:
        rest, known, measuring = self.plan(), False, time.monotonic()
        self.observer.planned(rest, self.outcome)
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
        before = self.outcome.measured
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
            self.outcome.measured += 1
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
                    self.store.add(point, self.profile, second, clock.add(point, second))
        if self.outcome.measured == before:  # otherwise the same slice would repeat for ever
            self.left += [self.pending.pop(p.text) for p in part.points if p.text in self.pending]
