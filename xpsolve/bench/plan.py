"""In which order to measure, and what fits in the time there is.

A slice is one benchmark class on all its backends, or everything that is counted on NumPy.  Slices run
cheapest first; inside one, the sizes go up and the backends take turns at each, so that a machine that
slows down slows all of them.  What does not fit in the budget is left out by class and backend, NumPy
last: it is what the others are held against.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xpsolve import costs
from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import COUNTS, Point, Suite

_PROCESS = 0.3  # seconds that a child takes to start, NumPy included
_COUNT = 0.05  # the same for a count, of which one child does many
_PER_NUMBER = 3e-8  # seconds to draw one number of the data and move it
_UNKNOWN = 0.2  # seconds of work where no cost is declared
_SAMPLES = (7, 12, 3.0)  # what the benchmarks take where the profile leaves it to them
_REFERENCE = "numpy"


@dataclass(frozen=True)
class Slice:
    """Points that are measured one after another and saved together.

    Parameters
    ----------
    name : str
        The benchmark class, or "counts".
    points : tuple of Point
        In the order of measuring.
    seconds : tuple of float
        Predicted for each of them.
    """

    name: str
    points: tuple[Point, ...]
    seconds: tuple[float, ...]

    @property
    def predicted(self) -> float:
        """Predicted for the whole slice."""
        return sum(self.seconds)

    def on(self, keep: Callable[[Point], bool]) -> Slice:
        """The part of it whose points satisfy a condition."""
        kept = [(p, s) for p, s in zip(self.points, self.seconds, strict=True) if keep(p)]
        return Slice(self.name, tuple(p for p, _ in kept), tuple(s for _, s in kept))

    def by_backend(self) -> dict[str, float]:
        """Predicted seconds by backend."""
        total: dict[str, float] = {}
        for point, seconds in zip(self.points, self.seconds, strict=True):
            total[point.backend] = total.get(point.backend, 0.0) + seconds
        return total


def arguments(function: Callable[..., Any], meta: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """What a cost function is called with at one point: what is fixed, what varies, what follows from it.

    Parameters
    ----------
    function : callable
        Of `xpsolve.costs`.
    meta : mapping
        The benchmark's declaration.
    params : mapping of str to object
        The point.

    Returns
    -------
    dict
        Those arguments that the function accepts.

    Examples
    --------
    >>> from xpsolve import costs
    >>> from xpsolve.bench.plan import arguments
    >>> arguments(costs.ridge, {"x": "n", "fixed": {}, "derived": {"p": 600}}, {"backend": "numpy", "n": 20})
    {'n': 20, 'p': 30}
    """
    known = dict(meta.get("fixed") or {}) | dict(params)
    known |= {name: c // params[meta["x"]] for name, c in (meta.get("derived") or {}).items()}
    if params.get("dtype") == "float32":
        known["itemsize"] = 4
    return {name: value for name, value in known.items() if name in inspect.signature(function).parameters}


def predict(suite: Suite, point: Point, profile: Profile, startup: Mapping[str, float]) -> float:
    """Seconds that a point will take, from the declared costs and a machine's usual rates.

    Parameters
    ----------
    suite : Suite
        Where the point's meta data are.
    point : Point
        What would be measured.
    profile : Profile
        How often.
    startup : mapping of str to float
        Seconds to open each backend.

    Returns
    -------
    float
        An estimate that orders slices; the run corrects its scale by what it observes.
    """
    meta = suite.meta(point.benchmark)
    # What is counted shares a process, and wrapped arrays take their time.
    fixed = _COUNT if point.slice == COUNTS else _PROCESS + startup.get(point.backend, 0.0)
    function = getattr(costs, str(meta.get("cost")), None)
    once, data = _UNKNOWN, 0.0
    if function is not None:
        sizes = arguments(function, meta, point.params)
        data = _PER_NUMBER * float(sizes.get("n", 1)) * float(sizes.get("p", 1))
        once = function(**sizes).floor(costs.TYPICAL["cpu"])
    if meta.get("role") != "time":
        return fixed + data + once
    own = suite.benchmarks[point.benchmark].get("repeat")
    least, most, limit = profile.repeat or (own if isinstance(own, list | tuple) and len(own) == 3 else _SAMPLES)
    sampling = min(most * once, max(least * once, limit))
    return fixed + data + once + sampling


def slices(points: Sequence[Point], seconds: Mapping[str, float]) -> list[Slice]:
    """Group points into slices, cheapest first.

    Parameters
    ----------
    points : sequence of Point
        What is to be measured.
    seconds : mapping of str to float
        Predicted, by a point's text.

    Returns
    -------
    list of Slice
        Each ordered by its parameters but the backend, then by function, then by backend.
    """
    functions = {p.benchmark: i for i, p in reversed(list(enumerate(points)))}

    def turn(point: Point) -> tuple[Any, ...]:
        others = tuple((isinstance(v, str), v) for k, v in point.params.items() if k != "backend")
        return (point.group, *others, functions[point.benchmark], point.index)

    groups = itertools.groupby(sorted(points, key=lambda p: p.slice), key=lambda p: p.slice)
    made = []
    for name, members in groups:
        ordered = tuple(sorted(members, key=turn))
        made.append(Slice(name, ordered, tuple(seconds[p.text] for p in ordered)))
    return sorted(made, key=lambda s: s.predicted)


def fit(planned: Sequence[Slice], budget: float | None, *, firm: bool = True) -> tuple[list[Slice], list[Slice]]:
    """Split a plan into what fits in a budget and what is left out.

    Parameters
    ----------
    planned : sequence of Slice
        Everything that is wanted.
    budget : float, optional
        Seconds; None is all the time in the world.
    firm : bool
        Whether it binds NumPy too; one that is not firm only limits what stands beside NumPy.

    Returns
    -------
    kept, left_out : list of Slice
        Slices cut by backend: NumPy first, then ceilings before solvers, then the cheapest.
    """
    units = [(s, backend, seconds) for s in planned for backend, seconds in s.by_backend().items()]
    units.sort(key=lambda u: (u[1] != _REFERENCE, not u[0].name.startswith("ceilings."), u[2]))
    room = float("inf") if budget is None else budget
    chosen: set[tuple[str, str]] = set()
    for unit, backend, seconds in units:
        if seconds <= room or (backend == _REFERENCE and not firm):
            room -= seconds
            chosen.add((unit.name, backend))
    kept = [s.on(lambda p: (p.slice, p.backend) in chosen) for s in planned]
    left = [s.on(lambda p: (p.slice, p.backend) not in chosen) for s in planned]
    return [s for s in kept if s.points], [s for s in left if s.points]


def fill(planned: Sequence[Slice], room: float) -> Slice | None:
    """What to measure in time that no class has room in any more: the first sizes of one.

    Parameters
    ----------
    planned : sequence of Slice
        Everything that is left, none of which fits.
    room : float
        Seconds.

    Returns
    -------
    Slice or None
        Of the slice of which most points fit, those; None where none does.

    Examples
    --------
    >>> from xpsolve.bench.plan import Slice, fill
    >>> from xpsolve.bench.suite import Point
    >>> points = tuple(Point("m.A.time_x", i, {"n": i}, f"m.A.time_x({i})", "1") for i in range(3))
    >>> fill([Slice("m.A", points, (1.0, 2.0, 4.0))], 3.5).seconds
    (1.0, 2.0)
    """
    best: Slice | None = None
    for part in planned:
        spent = list(itertools.accumulate(part.seconds))
        fits = sum(total <= room for total in spent)
        if fits and (best is None or fits > len(best.points)):
            best = Slice(part.name, part.points[:fits], part.seconds[:fits])
    return best
