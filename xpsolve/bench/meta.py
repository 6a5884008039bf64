"""What a benchmark declares about itself, as asv keeps it in ``benchmarks.json``; one reader for plan and report."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from xpsolve import costs

_ITEMSIZE = {"float32": 4, "float64": 8}
_KINDS: Any = {"fixed": Mapping, "derived": Mapping, "profiles": Mapping, "tol": int | float}  # others are words


@dataclass(frozen=True)
class BenchmarkMeta:
    """The declaration of one benchmark function.

    >>> meta = BenchmarkMeta.read({"role": "time", "x": "n", "cost": "ridge", "derived": {"p": 600}})
    >>> meta.arguments({"backend": "numpy", "n": 20, "dtype": "float32"})
    {'n': 20, 'p': 30, 'itemsize': 4}
    """

    family: str = ""  # the page that it belongs to
    title: str = ""  # and the figure there
    role: str = ""  # what it measures: "time", "error", "count", "memory", "ceiling" or "history"
    quantity: str = ""  # unit of its values
    x: str | None = None  # the parameter on the abscissa
    cost: str | None = None  # a function of `xpsolve.costs`
    fixed: Mapping[str, Any] = field(default_factory=dict)  # what the grid does not vary
    derived: Mapping[str, int] = field(default_factory=dict)  # {"p": c}: the length p is c // x
    mode: str | None = None  # "latency" or "throughput", of a time
    pair: str | None = None  # the class that makes the calls of a throughput one at a time
    tol: float | None = None  # largest error of a valid answer
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of each short one, values by parameter

    @classmethod
    def read(cls, declared: Any) -> BenchmarkMeta:
        """From an entry of ``benchmarks.json``, of other fields nothing; ValueError where a type is unusable."""
        known = declared if isinstance(declared, Mapping) else {}
        found = {f.name: known[f.name] for f in fields(cls) if known.get(f.name) is not None}
        for name, value in found.items():
            numbers = value.values() if name == "derived" and isinstance(value, Mapping) else ()
            if not isinstance(value, _KINDS.get(name, str)) or not all(isinstance(c, int | float) for c in numbers):
                raise ValueError(f"meta: {name} = {value!r}"[:80])
        return cls(**found)

    def sizes(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """All that is known of one point: fixed, varying and derived."""
        known = {**self.fixed, **params}
        x = params.get(str(self.x))
        if isinstance(x, int | float) and x:
            known |= {name: int(c) // int(x) for name, c in self.derived.items()}
        if "dtype" in known:
            known["itemsize"] = _ITEMSIZE.get(str(known["dtype"]), 8)
        return known

    @property
    def function(self) -> Any:
        """The cost function, None where none is named; ValueError if `xpsolve.costs` has none of that name."""
        if not self.cost:
            return None
        function = getattr(costs, self.cost, None)
        if not inspect.isfunction(function):
            raise ValueError(f"xpsolve.costs has no function {self.cost!r}; import it in xpsolve/costs/__init__.py.")
        return function

    def arguments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the cost function at one point; none where no cost is declared."""
        if self.function is None:
            return {}
        accepted = inspect.signature(self.function).parameters
        return {name: value for name, value in self.sizes(params).items() if name in accepted}

    def theory(self, params: Mapping[str, Any]) -> costs.Cost | None:
        """The textbook cost at one point, None where none is declared.

        TypeError or ValueError where the function does not exist, or does not take the point.
        """
        cost = None if self.function is None else self.function(**self.arguments(params))
        return cost if isinstance(cost, costs.Cost) else None
