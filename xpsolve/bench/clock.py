"""The time of a run: the budget, and how long things take, from what was observed so far."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from xpsolve.bench.measure import Measured
from xpsolve.bench.suite import Point

_GRACE = 0.02  # share of the budget that the last point may take beyond it
_SHARE = 0.1  # of the budget, which any one point may take
_MOST = 3.0  # how many times its prediction one point may count towards the pace of its backend
_TRUST = 3.0  # seconds of observation that weigh as much as a prediction, of a backend
_TRUST_HERE = 0.3  # and of a class


@dataclass
class Pace:
    """Observed over predicted seconds, 1 as long as nothing was observed."""

    trust: float
    predicted: float = 0.0
    observed: float = 0.0

    def add(self, predicted: float, observed: float) -> None:
        """Observe something."""
        self.predicted += predicted
        self.observed += observed

    @property
    def ratio(self) -> float:
        """How many times its prediction something takes."""
        return (self.observed + self.trust) / (self.predicted + self.trust)


@dataclass
class Clock:
    """The time left, and how far predictions were off so far.

    A process takes as much longer to open than predicted as those before it.  The work of a point takes its prediction
    times the pace of its backend times that of its class on all backends.
    """

    budget: float | None  # seconds of the run, None for no limit
    openings: Mapping[str, float]  # predicted seconds to open a process, by backend
    predicted: Mapping[str, float]  # predicted seconds of work, by a point's text
    start: float = field(default_factory=lambda: time.monotonic())
    later: float = 0.0  # seconds to keep for each point measured, for what is done with it after the run
    kept: float = 0.0  # seconds to keep for later sessions
    _points: int = 0
    _opened: set[str] = field(default_factory=set)
    _openings: Pace = field(default_factory=lambda: Pace(_TRUST))
    _backends: dict[str, Pace] = field(default_factory=lambda: defaultdict(lambda: Pace(_TRUST)))
    _classes: dict[str, dict[str, Pace]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: Pace(0.0)))
    )

    def add(self, point: Point, found: Measured) -> float:
        """Observe a point; return the seconds of its work, without those of opening its process."""
        self._points += 1
        expected = self.work(point) - self.later
        opening = self.openings.get(point.backend, 0.0) * self._openings.ratio if found.opened else 0.0
        # Opening and work were not timed apart: both estimates are corrected by the same factor.
        share = found.seconds / (expected + opening)
        if found.opened:
            self._opened.add(point.backend)
            self._openings.add(self.openings.get(point.backend, 0.0), opening * share)
        work, own = expected * share, self.predicted[point.text]
        self._classes[point.slice][point.backend].add(own, work)
        # One point that takes far longer than predicted is no measure of the machine.
        self._backends[point.backend].add(own, min(work, _MOST * own))
        return work

    def work(self, point: Point) -> float:
        """Seconds of a point in a process that is open, and later."""
        here = self._classes[point.slice]
        expected = sum(seen.predicted * self._backends[backend].ratio for backend, seen in here.items())
        of_class = Pace(_TRUST_HERE, expected, sum(seen.observed for seen in here.values()))
        return self.predicted[point.text] * self._backends[point.backend].ratio * of_class.ratio + self.later

    def opening(self, backend: str) -> float:
        """Seconds to open the process of a backend, 0 for one that is open."""
        return 0.0 if backend in self._opened else self.openings.get(backend, 0.0) * self._openings.ratio

    def closed(self) -> None:
        """All processes were stopped: they will be opened again."""
        self._opened.clear()

    @property
    def room(self) -> float:
        """Seconds that are left of the budget."""
        spent = time.monotonic() - self.start
        return math.inf if self.budget is None else self.budget - spent - self.later * self._points - self.kept

    def patience(self, point: Point, room: float) -> float:
        """Seconds after which a point under way is ended so that others have time; `room` are left for it."""
        if self.budget is None:
            return math.inf
        return min(room + _GRACE * self.budget, max(_SHARE * self.budget, _MOST * self.work(point)))


def human(seconds: float) -> str:
    """A duration to the precision at which it is known.

    >>> human(8.2), human(130.4), human(3900)
    ('8 s', '2 min 10 s', '1 h 5 min')
    """
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
