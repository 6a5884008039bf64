"""The clock of the benchmarks: it waits for the device, and stops while data are made or others run."""

import importlib.util
import sys
import time
from pathlib import Path
from types import SimpleNamespace

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


def test_time_that_another_process_takes_does_not_count(benchmarks, monkeypatch):
    base, _ = benchmarks
    # read twice at a time, until both agree: a wait between two readings, and two seconds while the data are made
    waits = iter([0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0])
    monkeypatch.setattr(base, "perf_counter", lambda: 100.0)
    monkeypatch.setattr(base, "_waited", lambda: next(waits))
    monkeypatch.setattr(base._Device, "uncounted", 0.0)
    before = base._clock()
    assert base._clock() == before == 99.0
    with base._Device.uncounting():
        pass
    assert base._clock() == before


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the kernel does not say")
def test_waits_for_the_processor_are_known_and_only_grow(benchmarks):
    base, _ = benchmarks
    first, again = base._waited(), base._waited()
    assert 0.0 <= first <= again < time.monotonic()


def test_without_the_kernel_s_word_nothing_is_taken_away(benchmarks, monkeypatch):
    base, _ = benchmarks
    monkeypatch.setattr(base, "_schedule", (0, None))
    monkeypatch.setattr(base.os, "open", lambda *_: (_ for _ in ()).throw(FileNotFoundError))
    assert base._waited() == 0.0


@pytest.mark.parametrize(("name", "counts"), [("numpy", False), ("jax", True), ("dask", True)])
def test_waiting_for_threads_of_the_library_counts(benchmarks, monkeypatch, name, counts):
    base, _ = benchmarks
    for attribute in ("backend", "apart"):
        monkeypatch.setattr(base._Device, attribute, getattr(base._Device, attribute))
    monkeypatch.setattr(base, "_schedule", (base.os.getpid(), 7))
    monkeypatch.setattr(base.os, "pread", lambda *_: b"5 3000000000 1")
    monkeypatch.setattr(base.backends, "get", lambda name: SimpleNamespace(available=True))
    base._Device.open(name)
    assert base._waited() == (0.0 if counts else 3.0)


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
    A, y, x = ridge.planted(30, 12, lam)
    assert abs(A.T @ (y - A @ x) - lam * x).max() < 1e-12


def test_inherited_functions_do_not_share_meta(benchmarks):
    base, ridge = benchmarks
    tall, wide = ridge.InSamples.time_solve, ridge.WideInSamples.time_solve
    assert tall.meta["fixed"] == {"p": 400}
    assert wide.meta["fixed"] == {"p": 8000}
    assert not hasattr(base._Benchmark, "time_solve")
