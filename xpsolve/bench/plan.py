"""In which order to measure, and what fits in the time.

A slice is one benchmark class on all its backends, or what is counted on NumPy for one module.  Inside a slice the
sizes go up and the backends take turns at each, so that a machine that slows down slows all of them.  Where there is
no limit, slices run cheapest first.  In a budget the essential part runs first: one sweep of three families on every
backend (of six where there is a quarter of an hour or more), side by side, then the ceilings and one sweep of four
sizes of every other family on NumPy.  Counts follow, then all ceilings and NumPy's sweeps with a theory, at four of
their sizes and then at all, since the exponents are judged by them and each further size narrows an interval; then
NumPy's other sweeps, and whatever fits: those of the other backends, and the sizes between.  So points are left out,
not families.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xpsolve import costs
from xpsolve.bench.clock import Clock
from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import COUNTS, Point, Suite

PROCESS = 0.7  # seconds that a child takes to start, NumPy and the benchmarks included
SIZES = 4  # of a sweep, which a fit needs
FAMILIES, MORE = 3, 6  # in which every backend is compared, and in how many of a long run
LONG = 900.0  # seconds of such a run
CEILINGS = "ceilings"
FIRST_CALL = 1.0  # seconds that the first call of another library takes in a process that has imported it
_COUNT = 0.05  # seconds of a count
_LAUNCH = {"numpy": 1e-5, "torch": 2e-5, "jax": 1.2e-4, "dask": 1.5e-3}  # seconds of an operation on a few numbers
_COMPILED = {"jax": 0.3}  # seconds of the first call at a size
_PER_NUMBER = 3e-8  # seconds to draw one number of the data and move it
_UNKNOWN = 0.1  # seconds of work where no cost is declared
_SAMPLES = (7, 12, 3.0)  # what the benchmarks take where the profile leaves it to them
_REFERENCE = "numpy"
_NEEDED, _COUNTED, _JUDGED, _ALONE, _REST = range(5)  # in this order


@dataclass(frozen=True)
class Slice:
    """Points that are measured one after another and saved together."""

    name: str  # the benchmark class, or "counts" and a family's module
    points: tuple[Point, ...]  # in the order of measuring
    seconds: tuple[float, ...]  # predicted for each of them; the first of each backend pays for its process
    essential: bool = False  # whether the slices before it must leave time for it

    @property
    def predicted(self) -> float:
        """Predicted for the whole slice."""
        return sum(self.seconds)

    def by_backend(self) -> dict[str, float]:
        """Predicted seconds by backend."""
        total: dict[str, float] = defaultdict(float)
        for point, seconds in zip(self.points, self.seconds, strict=True):
            total[point.backend] += seconds
        return total


@dataclass(frozen=True, eq=False)
class Sweep:
    """Points that differ in the abscissa alone: a line of a figure, its times and the errors beside them."""

    slice: str  # where it is measured
    family: str
    backend: str
    others: str  # the other parameters, the backend not among them
    timed: bool  # whether there are times in it
    theory: bool  # whether a cost says how they should grow
    sizes: tuple[tuple[Point, ...], ...]  # the points of each size, in increasing order

    @property
    def spread(self) -> list[tuple[Point, ...]]:
        """Four of its sizes, both ends among them."""
        last = len(self.sizes) - 1
        return [self.sizes[i] for i in sorted({round(k * last / (SIZES - 1)) for k in range(SIZES)})]


def predict(suite: Suite, point: Point, profile: Profile) -> float:
    """Seconds that a point will take in a process that is open, from declared costs and a machine's usual rates.

    An estimate that orders slices; the run corrects its scale by what it observes.
    """
    meta = suite.meta(point.benchmark)
    cost, once, data = meta.theory(point.params), _UNKNOWN, 0.0
    if cost is not None:
        sizes, usual = meta.arguments(point.params), costs.TYPICAL["cpu"]
        data = _PER_NUMBER * float(sizes.get("n", 1)) * float(sizes.get("p", 1))
        once = cost.floor(replace(usual, launch_s=_LAUNCH.get(point.backend, usual.launch_s)))
    if point.role == "count":
        return _COUNT + data + once
    alone = PROCESS if point.role == "memory" or "library" in point.params else 0.0
    if point.role == "memory":
        return alone + data + once
    if point.role != "time":
        return _COUNT + once  # an error is taken of the answer that was timed, but checking takes time too
    own = suite.benchmarks[point.benchmark].get("repeat")
    least, most, limit = profile.repeat or (own if isinstance(own, list | tuple) and len(own) == 3 else _SAMPLES)
    sampling = min(most * once, max(least * once, limit))
    return alone + _COUNT + _COMPILED.get(point.backend, 0.0) + data + 2 * once + sampling


def sweeps(suite: Suite, points: Iterable[Point]) -> list[Sweep]:
    """Group points, measured before or not, into sweeps, in the order of the first point of each."""
    found: dict[tuple[str, str, str, str], dict[Any, list[Point]]] = {}
    for point in points:
        meta = suite.meta(point.benchmark)
        others = {name: value for name, value in point.params.items() if name not in (meta.x, "backend")}
        family = meta.family or point.group.partition(".")[0]
        sizes = found.setdefault((point.slice, family, point.backend, repr(others)), {})
        sizes.setdefault(point.params.get(str(meta.x)), []).append(point)
    made = []
    for key, sizes in found.items():
        times = [p for size in sizes.values() for p in size if p.role == "time"]
        theory = any(suite.meta(p.benchmark).cost for p in times)
        ordered = sorted(sizes, key=lambda x: (x, "") if isinstance(x, int | float) else (0, str(x)))
        made.append(Sweep(*key, bool(times), theory, tuple(tuple(sizes[x]) for x in ordered)))
    return made


def essential(lines: Sequence[Sweep], clock: Clock, room: float) -> list[Sweep]:
    """The sweeps that every report needs, where it is made in `room` seconds.

    The ceilings of NumPy; of every family the cheapest sweep on NumPy, one of four sizes and with a theory where there
    is one; for every other backend, the same of three families or six, the cheapest on all of them, with that on NumPy
    beside each.
    """
    timed = [line for line in lines if line.timed and line.family != CEILINGS]

    def price(line: Sweep) -> float:
        return sum(clock.work(p) for size in line.spread for p in size)

    def best(candidates: Iterable[Sweep]) -> Sweep:
        return min(candidates, key=lambda line: (-min(len(line.sizes), SIZES), not line.theory, price(line)))

    groups: dict[tuple[str, str], list[Sweep]] = {}
    for line in timed:
        groups.setdefault((line.family, line.backend), []).append(line)
    reference = {family: best(here) for (family, backend), here in groups.items() if backend == _REFERENCE}
    compared: dict[str, dict[str, Sweep]] = {}  # by family and backend
    for (family, backend), here in groups.items():
        if backend != _REFERENCE:
            own = reference.get(family)
            same = [line for line in here if own and (line.slice, line.others) == (own.slice, own.others)]
            compared.setdefault(family, {})[backend] = best(same or here)

    def rank(family: str) -> tuple[int, int, float]:
        found = compared[family].values()
        return -len(found), -min(min(len(line.sizes), SIZES) for line in found), sum(map(price, found))

    chosen = [line for line in lines if line.family == CEILINGS and line.backend == _REFERENCE]
    chosen += reference.values()
    beside = {(line.slice, line.others): line for line in timed if line.backend == _REFERENCE}
    ranked, most = sorted(compared, key=rank), MORE if room >= LONG else FAMILIES
    for backend in dict.fromkeys(line.backend for line in timed if line.backend != _REFERENCE):
        for family in [family for family in ranked if backend in compared[family]][:most]:
            line = compared[family][backend]
            chosen += [line, *filter(None, [beside.get((line.slice, line.others))])]
    return list(dict.fromkeys(chosen))


def choose(
    lines: Sequence[Sweep], first: Collection[Sweep], pending: Collection[str], clock: Clock, room: float
) -> list[Slice]:
    """What to measure in the seconds left, and in which order.

    Of all `lines` those that are `essential` come first; points that are not `pending`, by their texts, are measured
    already and cost nothing.  Without a limit, `room` is infinite.
    """
    if math.isinf(room):
        return slices([p for line in lines for size in line.sizes for p in size if p.text in pending], clock)
    chosen = _Chosen(pending, clock, room)
    parts = {line: line.spread for line in first}
    # Where even this is too much, the slowest sweeps are measured at their smallest sizes.
    slowest = sorted(parts, key=lambda line: -chosen.work(line.spread))
    for line in slowest:
        if chosen.price(parts) <= room:
            break
        parts[line] = chosen.smallest(line)
    counted = [line for line in lines if line.slice.startswith(COUNTS)]
    rest = [line for line in lines if line not in parts and line not in counted]
    judged = [line for line in lines if line.backend == _REFERENCE and line.theory and line not in counted]
    judged.sort(key=lambda line: chosen.work(line.spread))
    rest.sort(key=lambda line: (line.backend != _REFERENCE, chosen.work(line.spread)))
    families = sorted((line for line in parts if line.backend == _REFERENCE), key=lambda line: chosen.work(parts[line]))
    for line in families:
        if not chosen.take(_NEEDED, line, parts[line]):
            chosen.fill(_NEEDED, line)
    wanted = [
        *((_NEEDED, line, part) for line, part in parts.items() if line.backend != _REFERENCE),
        *((_COUNTED, line, list(line.sizes)) for line in counted),
        *((_JUDGED, line, list(line.sizes)) for line in rest if line.family == CEILINGS),
        *((_JUDGED, line, line.spread) for line in judged),
        *((_JUDGED, line, list(line.sizes)) for line in judged),
        *((_ALONE if line.backend == _REFERENCE else _REST, line, line.spread) for line in rest),
        *((_REST, line, list(line.sizes)) for line in (*parts, *rest)),
    ]
    refused = [(phase, line) for phase, line, part in wanted if not chosen.take(phase, line, part)]
    for phase, line in refused:
        chosen.fill(phase, line)
    return chosen.slices()


class _Chosen:
    """Points taken so far, and the time that is left."""

    def __init__(self, pending: Collection[str], clock: Clock, room: float) -> None:
        self._pending, self._clock, self._room = pending, clock, room
        self._taken: dict[str, int] = {}  # texts, and the phase of each
        self._points: list[Point] = []
        self._open: set[str] = set()

    def _new(self, part: Iterable[tuple[Point, ...]]) -> list[Point]:
        return [p for size in part for p in size if p.text in self._pending and p.text not in self._taken]

    def work(self, part: Iterable[tuple[Point, ...]]) -> float:
        return sum(self._clock.work(p) for p in self._new(part))

    def price(self, parts: Mapping[Sweep, list[tuple[Point, ...]]]) -> float:
        """Of several sweeps, processes included."""
        backends = {line.backend for line, part in parts.items() if self._new(part)}
        return sum(map(self._clock.opening, backends)) + sum(map(self.work, parts.values()))

    def take(self, phase: int, line: Sweep, part: list[tuple[Point, ...]]) -> bool:
        """Take a part of a sweep if there is time for it."""
        new = self._new(part)
        if not new:
            return True
        price = self.work(part) + (0.0 if line.backend in self._open else self._clock.opening(line.backend))
        if price > self._room:
            return False
        self._room -= price
        self._open.add(line.backend)
        self._points += new
        self._taken.update((p.text, phase) for p in new)
        return True

    def smallest(self, line: Sweep) -> list[tuple[Point, ...]]:
        """Of a sweep the smallest sizes that make it four, with those that were measured."""
        new = [size for size in line.sizes if self._new([size])]
        return new[: max(SIZES - (len(line.sizes) - len(new)), 0)]

    def fill(self, phase: int, line: Sweep) -> None:
        """Take of a sweep that does not fit as a whole the smallest sizes that do."""
        for size in line.sizes:
            if not self.take(phase, line, [size]):
                break

    def slices(self) -> list[Slice]:
        opened: set[str] = set()
        made: list[Slice] = []
        compared = {p.slice for p in self._points if self._taken[p.text] == _NEEDED and p.backend != _REFERENCE}

        def turn(point: Point) -> tuple[int, bool]:
            phase = self._taken[point.text]
            return phase, phase == _NEEDED and point.slice not in compared  # where backends are compared first

        for key, points in itertools.groupby(sorted(self._points, key=turn), key=turn):
            part = slices(list(points), self._clock, opened)
            made += [replace(one, essential=key[0] == _NEEDED) for one in part]
        return made


def slices(points: Sequence[Point], clock: Clock, opened: set[str] | None = None) -> list[Slice]:
    """Group points into slices, cheapest first.

    Each is ordered by its parameters but the backend, then by function, then by backend.  Processes of backends in
    `opened` are open by then; those opened here are added.
    """
    opened = set() if opened is None else opened
    functions = {p.benchmark: i for i, p in reversed(list(enumerate(points)))}

    def turn(point: Point) -> tuple[Any, ...]:
        others = tuple((isinstance(v, str), v) for k, v in point.params.items() if k != "backend")
        return (point.group, *others, functions[point.benchmark], point.index)

    def seconds(members: Iterable[Point]) -> Iterator[float]:
        for point in members:
            opening = 0.0 if point.backend in opened else clock.opening(point.backend)
            opened.add(point.backend)
            yield clock.work(point) + opening

    groups = itertools.groupby(sorted(points, key=lambda p: p.slice), key=lambda p: p.slice)
    ordered = [(name, tuple(sorted(members, key=turn))) for name, members in groups]
    ordered.sort(key=lambda named: sum(map(clock.work, named[1])))
    return [Slice(name, members, tuple(seconds(members))) for name, members in ordered]
