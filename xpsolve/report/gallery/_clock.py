"""Times for figures: calls of all contestants in turn, so that other work of the machine affects all alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import Any, TypeVar

from xpsolve.arrays.backends import Backend

Name = TypeVar("Name", bound=Hashable)


def shortest(backend: Backend, call: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """The shortest of a few times of a call in seconds, and what it returned last."""
    seconds = []
    for _ in range(repeat):
        begin = perf_counter()
        found = call()
        backend.synchronize(getattr(found, "x", found))
        seconds.append(perf_counter() - begin)
    return min(seconds), found


def times(backend: Backend, calls: Mapping[Name, Callable[[], Any]], *, rounds: int = 5) -> dict[Name, float]:
    """Shortest seconds of each call over so many rounds, each time after a call that is not timed.

    Otherwise a call would pay for the memory that the one before it, of another contestant, gave back.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            backend.synchronize(call())
            seconds[name].append(shortest(backend, call, 1)[0])
    return {name: min(found) for name, found in seconds.items()}
