"""Native delegates against their version in standard functions, and against SciPy."""

import numpy as np
import pytest
import scipy.linalg

from xpsolve.arrays import cholesky, cholesky_solve, eigh, gram, shifted, solve_triangular, thin_svd
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
    if xp.name != "dask":  # whose `solve` wants one chunk layout throughout
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


@pytest.mark.parametrize(("n", "p"), [(6, 6), (30, 6), (6, 30), (9, 6), (1, 4), (4, 1)])
def test_thin_svd(xp, rng, n, p):
    A = rng.standard_normal((n, p))
    U, s, Vh = thin_svd(xp(A))
    q = min(n, p)
    assert (tuple(U.shape), tuple(Vh.shape)) == ((n, q), (q, p))
    assert_close(s, np.linalg.svd(A, compute_uv=False), like=xp(A), rtol=tolerance(xp))
    assert_close((U * s) @ Vh, A, rtol=tolerance(xp))
    assert_close(U.T @ U, np.eye(q), rtol=tolerance(xp))
