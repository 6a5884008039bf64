"""Chunks of Dask in calls that read them: at most so many of them, in bytes, are in memory at once."""

import tracemalloc

import numpy as np
import pytest

import xpsolve as xs

da = pytest.importorskip("dask.array")
import dask  # noqa: E402

ROWS, P, CHUNKS = 16_384, 32, 3
CHUNK = 8 * ROWS * P  # bytes


def rows(block_info=None):
    """A chunk of A, which is made anew, and without anything of its size beside it."""
    return np.random.default_rng(block_info[None]["chunk-location"][0]).standard_normal((ROWS, P))


@pytest.fixture
def samples():
    A = da.map_blocks(rows, chunks=((ROWS,) * CHUNKS, (P,)), dtype=float, meta=np.empty((0, P)))
    return A, da.from_array(np.cos(np.arange(CHUNKS * ROWS)), chunks=ROWS)


# chunks, and the vectors of the length of one of them, 1/32 of it each
CALLS = {
    "ridge": (lambda A, y: xs.ridge(A, y, 1.0), 1.2),
    "lasso": (lambda A, y: xs.lasso(A, y, 10.0), 1.2),
    "lstsq": (xs.lstsq, 1.2),
    "gradient_descent": (lambda A, y: xs.gradient_descent(xs.LeastSquares(A, y, 0.1)), 1.4),
    "logistic": (lambda A, y: xs.gradient_descent(xs.Logistic(A, da.sign(y), 0.1)), 1.5),
    "minimize": (lambda A, y: xs.minimize(xs.LeastSquares(A, y), xs.penalties.L1(0.1)), 1.4),
    "newton": (lambda A, y: xs.newton(xs.Huber(A, y, 0.1)), 2.5),  # √W·A of a chunk
    "operator_norm": (lambda A, y: xs.operators.operator_norm(A), 1.2),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_copy_of_a_chunk_is_made(samples, name):
    call, most = CALLS[name]
    with dask.config.set(scheduler="synchronous"):
        call(*samples)  # what is imported and made once
        tracemalloc.start()
        call(*samples)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 1 <= peak / CHUNK <= most
