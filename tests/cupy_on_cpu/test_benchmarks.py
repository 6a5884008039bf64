"""Every class of benchmarks runs on CuPy: at its smallest size, with each of its methods, and one error."""

import importlib
import os
import pkgutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("cupy")
pytest.importorskip("cupy.emulator", reason="a real CuPy is here, and `xpsolve bench --backend cupy` with it")
pytest.importorskip("asv_runner")
ROOT = Path(__file__).parents[2]
ENOUGH = 512


def benchmarks():
    """Modules of the suite with all its backends and libraries, installed or not."""
    before = os.environ.get("XPSOLVE_GRID")
    os.environ["XPSOLVE_GRID"] = "everywhere"
    sys.path.insert(0, str(ROOT))
    try:
        package = importlib.import_module("benchmarks")
        for info in pkgutil.iter_modules(package.__path__):
            yield importlib.import_module(f"benchmarks.{info.name}")
    finally:
        sys.path.remove(str(ROOT))
        if before is None:
            del os.environ["XPSOLVE_GRID"]
        else:
            os.environ["XPSOLVE_GRID"] = before


def classes():
    for module in benchmarks():
        for name, found in vars(module).items():
            grid = dict(zip(getattr(found, "param_names", ()), getattr(found, "params", ()), strict=False))
            if isinstance(found, type) and found.__module__ == module.__name__ and "cupy" in grid.get("backend", ()):
                yield pytest.param(found, grid, id=f"{module.__name__.rpartition('.')[2]}.{name}")


def points(cls, grid):
    """The smallest of all numbers, with each word in turn; of a product that is fixed, factors near each other."""
    least = {"backend": "cupy"}
    for name, values in grid.items():
        if name != "backend":
            factors = [c for c in cls.derived.values() if name == cls.x]
            size = (lambda n: max(n, factors[0] // n)) if factors else (lambda n: n)  # noqa: B023
            least[name] = min(values, key=size) if isinstance(values[0], int) else values[0]
    yield least
    for name, values in grid.items():
        if name != "backend" and isinstance(values[0], str):
            yield from (least | {name: value} for value in values[1:])


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize(("cls", "grid"), list(classes()))
def test_it_runs(cls, grid, monkeypatch):
    base = importlib.import_module("benchmarks._base")
    for where in {base, sys.modules[cls.__module__]}:  # nothing is timed here
        monkeypatch.setattr(where, "warm", lambda call, at_least=0.0: None, raising=False)
    if cls.fixed.get("n", 0) > ENOUGH:  # samples beside what varies
        monkeypatch.setattr(cls, "fixed", {**cls.fixed, "n": ENOUGH})
    benchmark = cls()
    for i, point in enumerate(points(cls, grid)):
        values = tuple(point[name] for name in cls.param_names)
        for name in dir(cls):
            function = getattr(benchmark, name)
            role = getattr(function, "meta", {}).get("role")
            if not callable(function) or role not in ("time", "error"):
                continue
            if name.startswith("time_"):
                function(*values)
                base._Device.drain()
            elif i == 0:
                assert function(*values) < 1e300, (name, values)  # which stands for an error that is not finite
