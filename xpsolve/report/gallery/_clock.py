"""Times for figures: calls of all contestants in turn, so that other work of the machine affects all alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import Any, TypeVar

from xpsolve.arrays.backends import Backend

Name = TypeVar("Name", bound=Hashable)


def times(backend: Backend, calls: Mapping[Name, Callable[[], Any]], *, rounds: int = 5) -> dict[Name, float]:
    """Shortest seconds of each call over so many rounds, each time after a call that is not timed.

    Otherwise a call would pay for the memory that the one before it, of another contestant, gave back.
    """
    shortest = dict.fromkeys(calls, math.inf)
    for _ in range(rounds):
        for name, call in calls.items():
            for timed in (False, True):
                begin = perf_counter()
                found = call()
                backend.synchronize(getattr(found, "x", found))
                if timed:
                    shortest[name] = min(shortest[name], perf_counter() - begin)
    return shortest
