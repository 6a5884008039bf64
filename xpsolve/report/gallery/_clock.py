"""Times for figures: calls of all contestants in turn, so that what else the machine does hits them alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import Any, TypeVar

from xpsolve.arrays.backends import Backend

Name = TypeVar("Name", bound=Hashable)


def times(backend: Backend, calls: Mapping[Name, Callable[[], Any]], *, rounds: int = 5) -> dict[Name, float]:
    """Shortest seconds of each call over so many rounds, after one that does not count."""
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    for k in range(rounds + 1):
        for name, call in calls.items():
            begin = perf_counter()
            backend.synchronize(call())
            if k:
                seconds[name].append(perf_counter() - begin)
    return {name: min(found) for name, found in seconds.items()}
