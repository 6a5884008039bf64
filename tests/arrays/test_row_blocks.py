"""Sums over the rows of a matrix, block by block: the same sums, every block read once."""

import numpy as np
import pytest

from xpsolve.arrays import row_blocks, row_sums, row_triangle, weighted_gram
from xpsolve.testing import assert_close


def moments(A, y, shift=0.0):
    """The Gram matrix of A − shift, and its product with y."""
    return (A - shift).T @ (A - shift), (A - shift).T @ y


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three rows of NumPy arrays with five columns."""
    monkeypatch.setattr(row_blocks, "_BLOCK", 3 * 5 * 8)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 9])
def test_blocks_of_numpy_arrays(rng, small_blocks, n):
    A, y, shift = rng.standard_normal((n, 5)), rng.standard_normal(n), np.ones(5)
    lengths = []
    sums = row_sums(lambda A, y, shift: lengths.append(len(A)) or moments(A, y, shift), A, y, small=(shift,))
    for found, expected in zip(sums, moments(A, y, shift), strict=True):
        assert_close(found, expected, rtol=1e-14)
    assert sum(lengths) == n
    assert max(lengths) <= 3
    R, whole = row_triangle(A, y[:, None]), np.linalg.qr(np.column_stack([A, y]))[1]
    assert_close(R.T @ R, whole.T @ whole, rtol=1e-13)
    assert R.shape == (min(n, 6), 6)
    G = weighted_gram(A, 1 + abs(y))
    assert_close(G, (A.T * (1 + abs(y)) ** 2) @ A, rtol=1e-13)


def test_every_library_gives_the_sums(xp, rng):
    A, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    sums = row_sums(moments, xp(A), xp(y))
    for found, expected in zip(sums, moments(A, y), strict=True):
        assert_close(found, expected, rtol=40 * xp.eps)
    R = row_triangle(xp(A), xp(y))
    assert_close(abs(R), abs(np.linalg.qr(np.column_stack([A, y]))[1]), rtol=100 * xp.eps)


@pytest.mark.parametrize(
    ("chunks", "of_y"),
    [((3, 4), 3), (((5, 0, 7), 2), 4), ((1, 1), 12), ((-1, -1), (5, 7)), (((0, 12), 4), (12, 0))],
)
def test_chunks_of_dask(rng, chunks, of_y):
    da = pytest.importorskip("dask.array")
    A, y = rng.standard_normal((12, 4)), rng.standard_normal(12)
    of_y = (of_y,) if isinstance(of_y, tuple) else of_y
    sums = row_sums(moments, da.from_array(A, chunks=chunks), da.from_array(y, chunks=of_y), small=(np.ones(4),))
    for found, expected in zip(sums, moments(A, y, 1.0), strict=True):
        assert isinstance(found, np.ndarray)
        assert_close(found, expected, rtol=1e-14)


@pytest.mark.parametrize("kind", ["plain", "mean of all rows", "of one another", "in memory before"])
def test_a_chunk_of_dask_is_never_a_result(rng, kind):
    da = pytest.importorskip("dask.array")
    from dask.callbacks import Callback

    made = []

    def rows(index):
        made.append(len(index))
        return values[index]

    values, seen = rng.standard_normal((60, 4)), []
    A = da.arange(60, chunks=10).map_blocks(rows, new_axis=1, chunks=((10,) * 6, (4,)), dtype=float, meta=values[:0])
    y, expected = A[:, 0], values
    if kind == "mean of all rows":
        A, expected = A - A.mean(axis=0), values - values.mean(axis=0)
    elif kind == "of one another":
        y = A @ np.ones(4) + A[:, 0]
    elif kind == "in memory before":
        A = A.persist()
        y = A[:, 0]
    made.clear()
    with Callback(posttask=lambda key, result, *_: seen.append(result)):
        sums = row_sums(lambda A, y: moments(A, y), A, y)
    y = expected @ np.ones(4) + expected[:, 0] if kind == "of one another" else values[:, 0]
    for found, wanted in zip(sums, moments(expected, y), strict=True):
        assert_close(found, wanted, rtol=1e-13)
    assert sum(made) == {"mean of all rows": 120, "in memory before": 0}.get(kind, 60)
    if kind in ("plain", "of one another"):
        assert all(getattr(result, "shape", ()) != (10, 4) for result in seen)


@pytest.mark.parametrize(
    ("of", "copied"),
    [
        (lambda A: A, False),
        (lambda A: A[:, 1:], False),  # less than half of them Dask copies itself
        (lambda A: A[:, ::2], True),  # of which products are not those of BLAS
        (lambda A: A[::-1, :], True),
        (lambda A: A.rechunk({1: 2}), True),
    ],
)
def test_a_chunk_is_copied_only_where_products_would_be_slow(rng, of, copied):
    da = pytest.importorskip("dask.array")
    values, found = rng.standard_normal((60, 4)), []

    def look(A):
        assert min(A.strides) == A.itemsize
        found.append(not np.shares_memory(A, values))
        return moments(A, A[:, 0])

    def rows(index):
        return values[index[0] : index[-1] + 1]

    options = {"new_axis": 1, "chunks": ((20,) * 3, (4,)), "dtype": float, "meta": values[:0]}
    A = of(da.arange(60, chunks=20).map_blocks(rows, **options))
    whole = A.compute()
    for total, expected in zip(row_sums(look, A), moments(whole, whole[:, 0]), strict=True):
        assert_close(total, expected, rtol=1e-13)
    assert found == [copied] * 3
