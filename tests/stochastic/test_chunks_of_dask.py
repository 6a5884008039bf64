"""Stochastic methods on Dask: a chunk is computed, then steps are taken on it, the same as on those of a file."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import row_blocks
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
import dask  # noqa: E402

from benchmarks._problems import CountedRows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")

N, P, ROWS = 400, 4, 50


def samples(dtype="float64"):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((N, P)) + 0.5
    y = np.where(A @ np.ones(P) + rng.standard_normal(N) > 1, 1.0, -1.0)
    return A.astype(dtype), y.astype(dtype), rng.uniform(0.5, 1.5, N).astype(dtype)


def on_dask(*arrays, rows=ROWS):
    return [da.from_array(x, chunks=(rows, *x.shape[1:])) for x in arrays]


MODELS = {
    "LeastSquares": xs.LeastSquares,
    "Logistic": xs.Logistic,
    "Huber": xs.Huber,
    "Multinomial": lambda A, y, lam, **o: xs.Multinomial(
        A, (da if isinstance(y, da.Array) else np).stack([y > 0, y < 0], axis=1) * 1.0, lam, **o
    ),
}


@pytest.mark.parametrize("options", [{}, {"intercept": True}, {"intercept": True, "weights": True}])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["sag", "sgd", "sga"])
def test_steps_are_those_on_the_chunks_of_a_file(name, model, options):
    A, y, w = samples()
    lazy, lazy_y, lazy_w = on_dask(A, y, w)
    solve, given = getattr(xs, name), {"epochs": 3, "seed": 5, "tol": 1e-9, "record_every": 20}
    made = MODELS[model](lazy, lazy_y, 0.05, **options | ({"weights": lazy_w} if "weights" in options else {}))
    plain = MODELS[model](xs.Rows(A, block=ROWS), y, 0.05, **options | ({"weights": w} if "weights" in options else {}))
    found, expected = solve(made, **given), solve(plain, **given)
    assert (found.n_iter, found.status, found.method) == (expected.n_iter, expected.status, name)
    assert isinstance(found.x, da.Array)
    assert_close(found.x.compute(), expected.x, rtol=1e-9)
    assert found.certificate.value == pytest.approx(expected.certificate.value, rel=1e-6)
    assert isinstance(found.history["objective"], da.Array)
    assert_close(found.history["objective"].compute(), expected.history["objective"], rtol=1e-9)
    if expected.intercept is not None:
        assert_close(found.intercept.compute(), np.asarray(expected.intercept), rtol=1e-9)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", ["sag", "sgd", "sga"])
def test_every_chunk_is_read_once_in_an_epoch(name, intercept):
    A, y, _ = samples()
    source, reads = CountedRows(np.column_stack([A, y]), ROWS), []
    f = xs.Logistic(source.array[:, :P], source.array[:, P], 0.05, intercept=intercept)
    for epochs in (2, 5):
        source.read = 0
        solution = getattr(xs, name)(f, epochs=epochs, tol=0.0)
        reads.append(source.passes)
        assert repr(solution)
        assert float(solution.certificate.value)
        assert source.passes == reads[-1]  # what is asked of the answer reads nothing
    assert reads[1] - reads[0] == 3
    assert reads[0] - 2 <= 3 + intercept  # the first gradient, the step, the certificate


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [(7, 193, 0, 200), N, (1,) * 4 + (396,)])
def test_chunks_of_any_length(rows, dtype):
    A, y, _ = samples(dtype)
    lazy, lazy_y = da.from_array(A, chunks=(rows, (3, 1))), da.from_array(y, chunks=90)
    found = xs.sag(xs.Logistic(lazy, lazy_y, 0.1), epochs=2000, tol=1e-4)
    assert found.converged
    assert str(found.x.dtype) == dtype
    assert_close(found.x.compute(), xs.newton(xs.Logistic(A, y, 0.1)).x, atol=2e-3)


def test_a_step_is_that_of_whole_chunks_however_large(monkeypatch):
    A, y, _ = samples()
    lazy, lazy_y = on_dask(A, y, rows=200)
    first = xs.sag(xs.LeastSquares(lazy, lazy_y, 0.1), epochs=3, tol=0.0)
    monkeypatch.setattr(row_blocks, "_BLOCK", 20 * P * 8)  # a chunk is ten blocks
    again = xs.sag(xs.LeastSquares(lazy, lazy_y, 0.1), epochs=3, tol=0.0)
    assert_close(again.x.compute(), first.x.compute(), rtol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_run_continues_from_its_memory(intercept):
    A, y, _ = samples()
    f = xs.LeastSquares(*on_dask(A, 1e3 * y), 0.1, intercept=intercept)
    first = xs.sag(f, epochs=5, tol=1e-9)
    x = first.x if not intercept else da.concatenate([first.x, first.intercept[None]])
    again = xs.sag(f, x, memory=first.stats["memory"], seed=1, epochs=500, tol=1e-9)
    assert again.converged
    assert_close(again.x.compute(), xs.ridge(A, 1e3 * y, 0.1 * N, intercept=intercept).x, rtol=1e-6)


def test_one_chunk_is_in_memory_and_progress_has_arrays_of_dask():
    made, seen = [], []

    def rows(block_info=None):
        made.append(block_info[None]["chunk-location"][0])
        return np.random.default_rng(made[-1]).standard_normal((ROWS, P))

    A = da.map_blocks(rows, chunks=((ROWS,) * 6, (P,)), dtype=float, meta=np.empty((0, P)))
    f = xs.LeastSquares(A, da.from_array(np.cos(np.arange(6 * ROWS)), chunks=ROWS), 0.1)

    def watch(k, progress):
        seen.append((progress.x, len(made)))

    with dask.config.set(scheduler="synchronous"):
        xs.sag(f, epochs=2, tol=0.0, callback=watch)
    assert all(isinstance(x, da.Array) for x, _ in seen)
    counts = [count for _, count in seen]
    assert np.all(np.diff(counts) == 1)  # each step made one chunk, and no other


def test_indices_are_refused():
    A, y, _ = samples()
    f = xs.Logistic(*on_dask(A, y))
    for name in ("sgd", "sag"):
        with pytest.raises(ValueError, match=r"indices: expected .one for an A in a file or of Dask"):
            getattr(xs, name)(f, indices=[0, 1])


def test_batches_are_computed_by_who_makes_them():
    A, y, _ = samples()
    with pytest.raises(TypeError, match="batches: number 1: f: expected arrays in memory, got those of Dask"):
        xs.sgd(xs.Logistic, batches=[tuple(on_dask(A, y))])
