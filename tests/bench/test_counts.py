"""What the benchmarks count: every class with a cost, the same numbers each time, and nothing of its data."""

import importlib
import itertools
import sys
from pathlib import Path

import pytest

from xpsolve.arrays import namespace_of
from xpsolve.bench.meta import BenchmarkMeta

pytest.importorskip("asv_runner")
ROOT = Path(__file__).parents[2]
QUANTITIES = ("launches", "syncs", "flops")


@pytest.fixture(scope="module")
def modules():
    """Benchmark modules, which are not installed."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import _base, chain, mlp, operators, ridge, stochastic
    finally:
        sys.path.remove(str(ROOT))
    return _base, (chain, mlp, operators, ridge, stochastic)


def classes(modules):
    base, families = modules
    found = {c for m in families for c in vars(m).values() if isinstance(c, type) and issubclass(c, base._Benchmark)}
    return [c for c in found if c.params and not c.__name__.startswith("_")]


def test_every_timed_class_with_a_cost_is_counted_at_its_smallest_size(modules):
    for cls in classes(modules):
        timed = cls.cost is not None and cls.mode == "latency" and hasattr(cls, "time_solve")
        for quantity in QUANTITIES:
            function = getattr(cls, f"track_{quantity}", None)
            if cls.__name__ != "Counts":
                assert (function is not None) == timed, cls
            if timed:
                grid = dict(zip(cls.param_names, function.params, strict=True))
                assert (function.meta["role"], function.meta["quantity"]) == ("count", quantity)
                assert (grid["backend"], grid[cls.x]) == (
                    ("numpy",),
                    (min(cls.params[cls.param_names.index(cls.x)]),),
                )


FAMILIES = (
    "autodiff",
    "chain",
    "composite",
    "descent",
    "lasso",
    "mlp",
    "operators",
    "recurrent",
    "ridge",
    "sinkhorn",
    "softmax",
    "stochastic",
    "unrolled",
)
OF_ITERATIONS = {"composite"}  # whose costs state the launches of iterations, not those of checks


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # so many steps on purpose
@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_those_of_the_cost(modules, family, monkeypatch):
    base, _ = modules
    monkeypatch.syspath_prepend(ROOT)
    module = importlib.import_module(f"benchmarks.{family}")
    differ, compared = [], 0
    for cls in classes((base, [module])):
        if cls.cost is None or getattr(cls, "track_flops", None) is None:
            continue
        meta = BenchmarkMeta.read(cls.track_flops.meta)
        grid = getattr(cls.track_flops, "params", None) or cls.params
        for values in itertools.product(*grid):
            point = dict(zip(cls.param_names, values, strict=True))
            stated = meta.theory(point)
            for quantity in QUANTITIES[family in OF_ITERATIONS :]:
                counted, expected = getattr(cls(), f"track_{quantity}")(*values), getattr(stated, quantity)
                compared += 1
                least = 0.8 * expected if quantity == "launches" else expected  # costs are upper bounds of launches
                if not least <= counted <= expected:
                    differ.append((cls.__name__, values, quantity, counted, expected))
    assert not differ
    assert compared


def test_one_launch_and_one_read_more_show(modules):
    base, _ = modules

    class Planted(base._Solves):
        cost = "soft_threshold"
        x = "n"
        params = (("numpy",), (4, 8))
        param_names = ("backend", "n")
        more = False

        def prepare(self, backend, n):
            x = backend.asarray([1.0] * n)
            x = x + x  # data cost nothing

            def solve():
                y = namespace_of(x).abs(x)
                if self.more:
                    assert float((y + y)[0]) == 4.0

            return base.Case(solve)

    class More(Planted):
        more = True

    def counted(cls):
        return [getattr(cls(), f"track_{q}")("numpy", 4) for q in QUANTITIES]

    assert counted(Planted) == [1, 0, 0]
    assert counted(More) == [2, 1, 0]


def test_a_class_without_a_cost_drops_what_it_inherits(modules):
    sag = next(c for c in classes(modules) if c.__name__ == "SagInSamples")
    assert sag.__mro__[1].track_launches is not None
    assert sag.track_launches is None
