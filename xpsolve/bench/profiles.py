"""Profiles: how much of the grid is measured, and how often each point.

A profile never changes a parameter list, it only takes some of its tuples: a point measured by "smoke"
is the same point of the same series as one measured by "full", and a longer profile continues where a
shorter one stopped.  Which tuples the short profiles take is declared by each benchmark class
(``profiles`` in its meta data), so that a new benchmark joins them without a line here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from xpsolve.bench.suite import BenchError, Point, Suite


@dataclass(frozen=True)
class Profile:
    """How a run samples."""

    name: str  # what it is called, in benchmarks' declarations too
    rank: int  # a point measured at a higher rank need not be measured at a lower one
    repeat: tuple[int, int, float] | None = None  # asv's: least and most samples, seconds after which least are enough
    warmup_time: float | None = None  # seconds; never 0, since the first call also makes the data
    budget: float | None = None  # seconds that a run may take, where the user names no budget
    sessions: tuple[int, int] = (1, 1)  # in how many a time is measured, at least and at most: see bench.sessions

    @property
    def attributes(self) -> dict[str, Any]:
        """The benchmark attributes that it overrides; others are left to the benchmarks."""
        wanted = {"repeat": self.repeat, "warmup_time": self.warmup_time}
        return {name: value for name, value in wanted.items() if value is not None}


PROFILES: Mapping[str, Profile] = {
    p.name: p
    for p in (
        Profile("smoke", 0, repeat=(2, 3, 0.1), warmup_time=0.01, budget=60.0),
        Profile("quick", 1, repeat=(5, 9, 0.8), warmup_time=0.02, budget=300.0),
        Profile("full", 2, sessions=(2, 4)),
    )
}


def get(name: str) -> Profile:
    """The profile of that name; `BenchError` if there is none."""
    if name not in PROFILES:
        raise BenchError(f"profile: expected one of {', '.join(PROFILES)}, got {name!r}.")
    return PROFILES[name]


def _takes(profile: Profile, declared: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether a profile takes a tuple: "full" takes all, the others what the benchmark declares for them.

    A parameter that the declaration does not name is taken whole.
    """
    if profile.name == "full":
        return True
    wanted = declared.get(profile.name)
    return wanted is not None and all(params.get(name) in values for name, values in wanted.items())


def select(suite: Suite, profile: Profile, backends: Collection[str], only: str | None = None) -> list[Point]:
    """Points that a run asks for, in the suite's order.

    `only` is a regular expression searched in ``name(tuple)``, as asv's ``--bench``.  Raises `BenchError` if it is not
    valid, or nothing is left.
    """
    try:
        pattern = re.compile(only or "")
    except re.error as error:
        raise BenchError(f"only: expected a regular expression, got {only!r} ({error}).") from error
    chosen = [
        p
        for p in suite.points
        if p.backend in backends
        and pattern.search(p.text)
        and _takes(profile, suite.meta(p.benchmark).profiles, p.params)
    ]
    if not chosen:
        hint = f" matches {only!r}; names look like {suite.points[0].text}" if only and suite.points else ""
        raise BenchError(f"nothing to measure: no point of profile {profile.name!r} on {', '.join(backends)}{hint}.")
    return chosen
