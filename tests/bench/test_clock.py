"""The clock of the benchmarks: it waits for the device, and stands still while data are made."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("asv_runner")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmarks():
    """The `benchmarks` package, which is not installed."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import _base, ridge
    finally:
        sys.path.remove(str(ROOT))
    assert importlib.util.find_spec("benchmarks")
    return _base, ridge


def test_making_the_data_takes_no_time(benchmarks):
    base, _ = benchmarks

    class Slow(base._Benchmark):
        params = (("numpy",),)
        param_names = ("backend",)

        def prepare(self, backend):
            time.sleep(0.3)
            return backend

        @base.measures("time", "seconds")
        def time_nothing(self, *values):
            self._case(values)

    before = base._clock()
    Slow().time_nothing("numpy")
    assert base._clock() - before < 0.3


def test_each_result_is_waited_for_once(benchmarks, monkeypatch):
    base, _ = benchmarks
    waited = []

    class Backend:
        def synchronize(self, x):
            waited.append(x)

    monkeypatch.setattr(base._Device, "backend", Backend())
    base._Device.last = "result"
    base._clock()
    base._clock()
    assert waited == ["result", None]


def test_a_missing_backend_is_skipped_not_failed(benchmarks, monkeypatch):
    base, ridge = benchmarks
    missing = base.backends.Backend("cupy", "no_such_library", "no_such_library")
    monkeypatch.setattr(base.backends, "get", lambda name: missing)
    with pytest.raises(base.SkipNotImplemented, match="no_such_library is not installed"):
        ridge.Latency().time_solve("cupy", "normal", 20)


@pytest.mark.parametrize("lam", [0.0, 0.1])
def test_planted_problems_are_solved_by_their_truth(benchmarks, lam):
    _, ridge = benchmarks
    A, y, x = ridge._planted(30, 12, lam)
    assert abs(A.T @ (y - A @ x) - lam * x).max() < 1e-12


def test_inherited_functions_do_not_share_meta(benchmarks):
    _, ridge = benchmarks
    tall, wide = ridge.InSamples.time_solve, ridge.WideInSamples.time_solve
    assert tall.meta["fixed"] == {"p": 400}
    assert wide.meta["fixed"] == {"p": 8000}
    assert not hasattr(ridge._Solves.__mro__[1], "time_solve")
