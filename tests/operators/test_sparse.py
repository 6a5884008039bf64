"""Rows of sparse matrices as dense ones, which no library waits for, against those of SciPy."""

import numpy as np
import pytest
import scipy.sparse

import xpsolve as xs
from xpsolve.operators import Sparse
from xpsolve.operators.sparse import Rows, dense_rows, gram_of_rows, with_numbers


def longest(S):
    return int(np.max(np.diff(S.indptr)))


@pytest.fixture
def S(rng):
    dense = rng.standard_normal((12, 9)) * (rng.random((12, 9)) < 0.3)
    dense[3], dense[5] = 0, rng.standard_normal(9)  # an empty row and a full one
    return scipy.sparse.csr_array(dense)


@pytest.mark.parametrize("index", [[5, 3, 0, 3, 11], [3], []])
@pytest.mark.parametrize("columns", [None, range(2, 7), range(8, 9)])
def test_dense_rows_are_those_of_the_matrix(S, index, columns):
    index = np.asarray(index, dtype=np.int64)
    found = dense_rows(index, Rows(S, longest(S)), columns)
    np.testing.assert_array_equal(found, S.toarray()[index][:, slice(None) if columns is None else columns])


def test_rows_of_an_empty_matrix_and_entries_that_come_twice():
    empty = scipy.sparse.csr_array((3, 4))
    np.testing.assert_array_equal(dense_rows(np.asarray([1, 1]), Rows(empty, 0)), np.zeros((2, 4)))
    twice = scipy.sparse.csr_array((np.ones(3), [1, 1, 0], [0, 3, 3]), shape=(2, 2))
    np.testing.assert_array_equal(dense_rows(np.asarray([0, 1]), Rows(twice, 3)), [[1.0, 2.0], [0.0, 0.0]])


def test_the_gram_matrix_comes_in_panels(S, monkeypatch):
    index = np.asarray([0, 5, 7])
    expected = (S @ S.T).toarray()[np.ix_(index, index)]
    for panel in (1, 12, 10**6):
        monkeypatch.setattr("xpsolve.operators.sparse._PANEL", panel)
        found = gram_of_rows(index, Rows(S, longest(S)), np.float64)
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(gram_of_rows(index, Rows(S, None), np.float64), expected, rtol=1e-14, atol=1e-14)


def test_other_numbers_in_the_same_places_leave_the_matrix_alone(S):
    before = S.copy()
    twice = with_numbers(S, 2 * S.data)
    np.testing.assert_array_equal(twice.toarray(), 2 * before.toarray())
    np.testing.assert_array_equal(S.toarray(), before.toarray())
    narrow = Sparse(S).astype(np.float32)
    assert narrow.S.dtype == narrow.columns.S.dtype == np.float32
    np.testing.assert_array_equal(narrow.columns.S.toarray(), before.toarray().astype("f").T)


def test_counting_takes_sparse_rows_and_books_no_read_for_them(rng, S):
    f = xs.LeastSquares(S, rng.standard_normal(12), 0.1)
    chunks = {"block": 4, "epochs": 4, "step0": 0.01, "tol": 10.0}
    found, tally = xs.count(xs.sgd, f, **chunks)
    np.testing.assert_array_equal(found.x, xs.sgd(f, **chunks).x)
    dense = xs.count(xs.sgd, xs.LeastSquares(S.toarray(), f.y, 0.1), **chunks)[1]
    assert tally.syncs == dense.syncs


@pytest.mark.parametrize("sort", [False, True])
def test_on_cupy_a_matrix_is_looked_at_once(sort):
    cupy = pytest.importorskip("cupy")
    from cupyx.scipy import sparse

    entries = (np.asarray([1.0, 2.0, 3.0, 4.0]), [2, 0, 1, 1], [0, 2, 4])  # neither in order nor unique
    host = scipy.sparse.csr_matrix(entries, shape=(2, 3))
    if sort:
        host.sum_duplicates()
    operator, tally = xs.count(lambda x: Sparse(sparse.csr_matrix(host)), cupy.ones(1))
    assert tally.syncs == 1
    x, y = cupy.asarray(np.arange(3.0)), cupy.asarray([1.0, 2.0])
    np.testing.assert_array_equal((operator @ x).get(), host @ np.arange(3.0))
    np.testing.assert_array_equal((operator.T @ y).get(), host.T @ [1.0, 2.0])
    np.testing.assert_array_equal(dense_rows(cupy.asarray([1, 0]), operator.rows).get(), host.toarray()[[1, 0]])
    gram = operator.gram(cupy.asarray([1, 2]), cupy.float64).get()
    np.testing.assert_array_equal(gram, (host.T @ host).toarray()[1:, 1:])
