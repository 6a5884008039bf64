"""The error of a point is that of the answer that was timed, not of another solve."""

import importlib
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from xpsolve import costs
from xpsolve.bench.meta import BenchmarkMeta

pytest.importorskip("asv_runner")
ROOT = Path(__file__).parents[2]
FAMILIES = (
    "autodiff",
    "chain",
    "cnn",
    "composite",
    "convolution",
    "descent",
    "lasso",
    "mlp",
    "operators",
    "recurrent",
    "ridge",
    "scale",
    "sinkhorn",
    "softmax",
    "stochastic",
    "unrolled",
)


@pytest.fixture(scope="module")
def base():
    """`benchmarks._base`, which is not installed."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import _base
    finally:
        sys.path.remove(str(ROOT))
    yield _base
    _base._Benchmark._prepared.clear()
    _base._Device.backend = _base._Device.last = _base._Device.whole = _base._Device.answer = None


@pytest.fixture
def solved(base):
    """A benchmark that notes its solves, and what it has solved."""
    calls = []

    class Noted(base._Benchmark):
        params = (("numpy",), (1, 2))
        param_names = ("backend", "n")

        def prepare(self, backend, n):
            def solve():
                calls.append(n)
                return np.asarray(float(len(calls)))

            base.warm(solve, 0.0)
            return solve

        @base.measures("time", "seconds")
        def time_solve(self, *values):
            base._Device.last = self._case(values)()

        @base.measures("error", "relative error")
        def track_error(self, *values):
            return float(self._answer(self._case(values)))

    return Noted(), calls


def timed(base, benchmark, *values):
    base._clock()
    benchmark.time_solve(*values)
    base._clock()


def test_the_error_is_that_of_the_last_timed_answer(base, solved):
    benchmark, calls = solved
    timed(base, benchmark, "numpy", 1)
    timed(base, benchmark, "numpy", 1)
    assert benchmark.track_error("numpy", 1) == len(calls)
    before = len(calls)
    assert benchmark.track_error("numpy", 1) == before
    assert len(calls) == before


def test_where_nothing_was_timed_it_is_that_of_one_solve(base, solved):
    benchmark, calls = solved
    before = len(calls)
    assert benchmark.track_error("numpy", 1) == len(calls)  # not of a warm-up, which may be of something else
    assert len(calls) == before + 1
    timed(base, benchmark, "numpy", 1)
    assert benchmark.track_error("numpy", 2) == len(calls)  # another tuple: the answer to the first is none
    assert calls[-1] == 2


def test_a_process_keeps_the_data_of_one_tuple(base, solved):
    benchmark, _ = solved
    for n in (1, 2):
        timed(base, benchmark, "numpy", n)
    assert [key[-1] for key in base._Benchmark._prepared] == [2]


def cheapest(cls):
    """The first tuple of a class, or that of the least cost where it declares one."""
    meta, tuples = BenchmarkMeta.read(cls.time_solve.meta), list(itertools.product(*cls.params))
    if meta.cost is None:
        return tuples[0]
    named = (dict(zip(cls.param_names, values, strict=True)) for values in tuples)
    prices = [meta.theory(point).floor(costs.TYPICAL["cpu"]) for point in named]
    return tuples[prices.index(min(prices))]


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_benchmark_solves_again_for_its_error(base, family, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    module = importlib.import_module(f"benchmarks.{family}")

    def again(self, call):
        assert base._Device.answer is not None, f"{type(self).__name__} would solve again"
        return base._Device.answer

    monkeypatch.setattr(base._Benchmark, "_answer", again)
    seen = 0
    for cls in list(vars(module).values()):
        if not (isinstance(cls, type) and issubclass(cls, base._Benchmark) and cls.x and hasattr(cls, "track_error")):
            continue
        if cls.__name__.startswith("_") or cls.__module__ != module.__name__:
            continue
        point = cheapest(cls)
        timed(base, cls(), *point)
        error = cls().track_error(*point)
        seen += 1
        assert 0 <= error < 1, cls
    assert seen
