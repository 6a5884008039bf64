"""Native delegates against their version in standard functions, and against SciPy."""

import numpy as np
import pytest
import scipy.linalg

import xpsolve as xs
from xpsolve.arrays import (
    cholesky,
    cholesky_solve,
    eigh,
    gram,
    largest_singular_value,
    linalg,
    shifted,
    solve_triangular,
    thin_svd,
)
from xpsolve.testing import assert_close


def tolerance(xp):
    return 1e-11 if xp.dtype == "float64" else 1e-4


def positive_definite(rng, p):
    B = rng.standard_normal((2 * p, p))
    return B.T @ B / p + np.eye(p)


@pytest.mark.parametrize(("n", "p"), [(9, 4), (3, 7), (40, 601)])  # 601: panels of unequal width
def test_gram(xp, rng, n, p):
    A = rng.standard_normal((n, p))
    G = gram(xp(A))
    assert_close(G, A.T @ A, like=xp(A), rtol=tolerance(xp))
    assert_close(G, gram.standard(xp(A)), rtol=tolerance(xp))


@pytest.mark.parametrize("p", [1, 5, 130])
def test_cholesky_and_its_flag(xp, rng, p):
    G = positive_definite(rng, p)
    L, ok = cholesky(xp(G))
    assert_close(L, np.linalg.cholesky(G), like=xp(G), rtol=tolerance(xp))
    assert bool(ok)


@pytest.mark.parametrize("kind", ["indefinite", "singular", "nearly singular", "zero", "nan"])
def test_the_flag_falls_on_the_device_instead_of_an_exception(xp, rng, kind):
    G = positive_definite(rng, 6)
    if kind == "indefinite":
        G = G - 10 * np.eye(6)
    elif kind == "nan":
        G[2, 2] = np.nan
    elif kind == "zero":
        G = 0 * G
    else:
        w, V = np.linalg.eigh(G)
        w[0] = 0.0 if kind == "singular" else 1e-18
        G = (V * w) @ V.T
    _, ok = cholesky(xp(G))
    assert tuple(ok.shape) == ()
    assert not bool(ok)


@pytest.mark.parametrize("p", [1, 7, 128, 129, 300])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("k", [None, 3])
def test_solve_triangular(xp, rng, p, transposed, k):
    L = np.tril(rng.standard_normal((p, p))) / p + np.eye(p)
    B = rng.standard_normal(p if k is None else (p, k))
    X = solve_triangular(xp(L), xp(B), transposed=transposed)
    wanted = scipy.linalg.solve_triangular(L, B, lower=True, trans=int(transposed))
    assert_close(X, wanted, like=xp(B), rtol=tolerance(xp))
    if xp.name != "dask":  # whose `solve` needs the same chunks everywhere
        assert_close(solve_triangular.standard(xp(L), xp(B), transposed=transposed), wanted, rtol=tolerance(xp))


def test_cholesky_solve(xp, rng):
    G, B = positive_definite(rng, 20), rng.standard_normal((20, 2))
    L, _ = cholesky(xp(G))
    assert_close(cholesky_solve(L, xp(B)), np.linalg.solve(G, B), like=xp(B), rtol=tolerance(xp))


@pytest.mark.parametrize("order", ["C", "F"])
def test_shifted_in_any_memory_order(xp, rng, order):
    G = np.asarray(positive_definite(rng, 5), order=order)
    if xp.readonly:
        pytest.skip("the caller gives its matrix away")
    assert_close(shifted(xp(G), xp(2.0)), G + 2 * np.eye(5), like=xp(G), rtol=tolerance(xp))
    assert_close(shifted.standard(xp(G), xp(2.0)), G + 2 * np.eye(5), rtol=tolerance(xp))


def test_eigh(xp, rng):
    G = positive_definite(rng, 8)
    w, V = eigh(xp(G))
    assert_close(w, np.linalg.eigvalsh(G), like=xp(G), rtol=tolerance(xp))
    assert_close((V * w) @ V.T, G, rtol=tolerance(xp))


@pytest.mark.parametrize("shape", [(6, 6), (30, 6), (6, 30), (1, 4), (4, 1), (3, 2, 5), (7, 1, 1)])
def test_the_largest_singular_value(xp, rng, shape):
    A = rng.standard_normal(shape)
    wanted = np.asarray(np.linalg.svd(A, compute_uv=False).max())
    assert_close(largest_singular_value(xp(A)), wanted, rtol=tolerance(xp))
    assert float(largest_singular_value(xp(0 * A))) == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("m", "n"), [(3, 3), (1, 1), (1, 7), (2, 40), (40, 2), (33, 35)])
def test_the_largest_singular_value_over_the_range_of_exponents(rng, m, n, dtype):
    A = rng.standard_normal((6, m, n)) + 1j * rng.standard_normal((6, m, n))
    for factor in (0.0, 1.0, np.finfo(dtype).max / 1e4, np.finfo(dtype).tiny * 1e4):
        scaled = (A * factor).astype(np.result_type(dtype, np.complex64))
        found = largest_singular_value(scaled)
        wanted = np.linalg.svd(scaled.astype(np.complex128), compute_uv=False).max()
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 4), (4, 1), (1, 1)])
def test_the_cost_of_the_largest_singular_value_is_counted(rng, shape):
    _, tally = xs.count(largest_singular_value, rng.standard_normal(shape))
    cost = xs.costs.largest_singular_value(*shape)
    assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)


def test_the_largest_singular_value_of_nan_is_nan():
    assert np.isnan(largest_singular_value(np.full((3, 3), np.nan)))


@pytest.mark.parametrize(("n", "p"), [(6, 6), (30, 6), (6, 30), (9, 6), (1, 4), (4, 1)])
def test_thin_svd(xp, rng, n, p):
    A = rng.standard_normal((n, p))
    U, s, Vh = thin_svd(xp(A))
    q = min(n, p)
    assert (tuple(U.shape), tuple(Vh.shape)) == ((n, q), (q, p))
    assert_close(s, np.linalg.svd(A, compute_uv=False), like=xp(A), rtol=tolerance(xp))
    assert_close((U * s) @ Vh, A, rtol=tolerance(xp))
    assert_close(U.T @ U, np.eye(q), rtol=tolerance(xp))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("p", [3, 65])
def test_a_second_blas_is_left_alone_where_several_threads_would_meet(rng, monkeypatch, p, threads):
    monkeypatch.setattr(linalg, "_threads", lambda: threads)
    G, b = positive_definite(rng, p), rng.standard_normal(p)
    taken = linalg._lapack("potrf", G) is not None
    assert taken == (threads == 1 or p < 64)
    np.testing.assert_allclose(cholesky(G.copy())[0], np.linalg.cholesky(G), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(linalg.solve_positive(G.copy(), b), np.linalg.solve(G, b), rtol=1e-9)
    assert not np.all(np.isfinite(cholesky(-G)[0]))  # without an error


@pytest.mark.parametrize(("given", "threads"), [({"OPENBLAS_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "1"}, 1)])
def test_threads_that_were_asked_for(monkeypatch, given, threads):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert linalg._threads.__wrapped__() >= 1
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert linalg._threads.__wrapped__() == threads
