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
    """How a run samples.

    Parameters
    ----------
    name : str
        What it is called, in benchmarks' declarations too.
    rank : int
        A point measured at a higher rank need not be measured at a lower one.
    repeat : tuple of (int, int, float), optional
        asv's ``repeat``: least and most samples, and seconds after which the least are enough; None
        leaves it to the benchmarks.
    warmup_time : float, optional
        Seconds of warm-up; never 0, since the first call also makes the data.
    budget : float, optional
        Seconds that a run may take, where the user names no budget.
    sessions : tuple of (int, int)
        In how many sessions a time is measured at least, and at most where they differ: see `xpsolve.bench.sessions`.
    """

    name: str
    rank: int
    repeat: tuple[int, int, float] | None = None
    warmup_time: float | None = None
    budget: float | None = None
    sessions: tuple[int, int] = (1, 1)

    @property
    def attributes(self) -> dict[str, Any]:
        """The benchmark attributes that it overrides."""
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
    """The profile of that name.

    Parameters
    ----------
    name : str
        "smoke", "quick" or "full".

    Returns
    -------
    Profile
        How to sample.

    Raises
    ------
    BenchError
        If there is no such profile.

    Examples
    --------
    >>> from xpsolve.bench import profiles
    >>> profiles.get("quick").budget
    300.0
    """
    if name not in PROFILES:
        raise BenchError(f"profile: expected one of {', '.join(PROFILES)}, got {name!r}.")
    return PROFILES[name]


def belongs(profile: Profile, declared: Mapping[str, Any] | None, params: Mapping[str, Any]) -> bool:
    """Whether a profile takes a parameter tuple.

    Parameters
    ----------
    profile : Profile
        Which profile.
    declared : mapping or None
        The benchmark's ``profiles``: for each profile that takes it, values by parameter; a parameter
        not named is taken whole.
    params : mapping of str to object
        The tuple.

    Returns
    -------
    bool
        "full" takes everything, the others what is declared.

    Examples
    --------
    >>> from xpsolve.bench.profiles import PROFILES, belongs
    >>> belongs(PROFILES["quick"], {"quick": {"n": [10]}}, {"backend": "torch", "n": 10})
    True
    >>> belongs(PROFILES["smoke"], {"quick": {}}, {"n": 10})
    False
    """
    if profile.name == "full":
        return True
    wanted = (declared or {}).get(profile.name)
    if wanted is None:
        return False
    return all(params.get(name) in values for name, values in wanted.items())


def select(suite: Suite, profile: Profile, backends: Collection[str], only: str | None = None) -> list[Point]:
    """Points that a run asks for.

    Parameters
    ----------
    suite : Suite
        What there is.
    profile : Profile
        How much of it.
    backends : collection of str
        On which backends.
    only : str, optional
        Regular expression searched in ``name(tuple)``, as asv's ``--bench``.

    Returns
    -------
    list of Point
        In the suite's order.

    Raises
    ------
    BenchError
        If `only` is not a regular expression, or nothing is left.
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
        and belongs(profile, suite.meta(p.benchmark).profiles, p.params)
    ]
    if not chosen:
        raise BenchError(
            f"nothing to measure: no point of profile {profile.name!r} on {', '.join(backends)}"
            + (f" matches {only!r}; names look like {suite.points[0].text}" if only and suite.points else "")
            + "."
        )
    return chosen
