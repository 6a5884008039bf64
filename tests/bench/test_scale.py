"""Data that are not in memory, and curves of convergence: what their benchmarks count and measure."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("asv_runner")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def scale(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.scale")


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize(
    ("method", "passes"),
    [
        ("ridge", 2),
        ("lstsq", 2),
        ("lasso", 2),
        ("elastic_net", 2),
        ("lasso_path", 2),
        ("gradient_descent", 12),  # a check, the first gradient and ten more
        ("ridge_cv", 2),
        ("lasso_cv", 2),
        ("sgd", 1),
    ],
)
def test_passes_over_chunks(scale, method, passes):
    pytest.importorskip("dask")
    assert scale.Passes().track_passes("dask", method) == passes


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_a_stream_is_counted_without_dask(scale, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.array", None)
    assert scale.Passes().track_passes("numpy", "sgd") == 1


def test_rows_are_counted_whenever_they_are_read(scale, monkeypatch):
    pytest.importorskip("dask")
    rows = scale.CountedRows(np.ones((12, 2)), 4)
    rows.array.sum().compute()
    rows.array[:5].sum().compute()
    assert rows.read == 12 + 8
    assert [len(part) for part in rows.parts()] == [4, 4, 4]
    assert rows.read == 20 + 12


@pytest.mark.parametrize("method", ["ridge", "lasso"])
def test_rows_stay_in_their_file(scale, method):
    n = 80_000
    assert 0 < scale.Memory().track_peak("numpy", method, n) < 0.5 * 8 * 32 * n


def test_no_devices_are_made_up(scale):
    with pytest.raises(scale.SkipNotImplemented, match="devices: 8 asked for, 1 here"):
        scale.Devices().time_solve("numpy", 8)


def test_nothing_is_counted_on_arrays_that_are_not_in_memory(scale):
    assert scale.RidgeInSamples.track_launches is None


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("family", ["lasso", "sinkhorn", "descent"])
def test_curves_of_convergence_reach_what_is_asked(monkeypatch, family):
    monkeypatch.syspath_prepend(ROOT)
    curve = importlib.import_module(f"benchmarks.{family}").Convergence
    assert curve.time_solve.meta["x"] == "digits"
    for method in curve.params[1]:
        errors = [curve().track_error("numpy", method, digits) for digits in (2, 6)]
        assert all(0 <= error <= curve.tol for error in errors), (method, errors)
