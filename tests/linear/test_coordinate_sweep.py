"""Sweeps over the coordinates of a lasso on its Gram matrix reach what `lasso` does, and stop where they say."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.linear.coordinate_sweep import is_compiled, sweep
from xpsolve.testing import assert_close

rng = np.random.default_rng(0)
A = rng.standard_normal((60, 25)) * np.geomspace(0.1, 10, 25)
y = A[:, ::4] @ rng.standard_normal(7) + 0.1 * rng.standard_normal(60)
G, b = A.T @ A, A.T @ y


def violation(x, lam, ridge):
    """How far x is from the optimality conditions, in the units of b."""
    g = G @ x - b + ridge * x
    return np.max(np.where(x != 0, np.abs(g + lam * np.sign(x)), np.maximum(np.abs(g) - lam, 0)))


@pytest.mark.parametrize("active", [0, 4])
@pytest.mark.parametrize(("share", "ridge"), [(0.1, 0.0), (0.01, 0.5), (0.0, 2.0)])
def test_it_solves_the_elastic_net(share, ridge, active):
    lam = share * np.max(np.abs(b))
    x, q, n = sweep(G, b, np.zeros(25), None, lam, ridge, 2000, 1e-11 * np.max(np.abs(b)), active)
    assert 0 < n < 2000
    assert violation(x, lam, ridge) <= 1e-9 * np.max(np.abs(b))
    np.testing.assert_allclose(q, G @ x - b, atol=1e-10 * np.max(np.abs(b)))


def test_it_is_the_answer_of_the_lasso():
    lam = 0.05 * np.max(np.abs(b))
    x, _, _ = sweep(G, b, np.zeros(25), None, lam, 0.0, 2000, 1e-12 * lam, 5)
    np.testing.assert_allclose(x, xs.lasso(A, y, lam, tol=1e-14).x, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 2.0**60, 2.0**-60])
def test_one_sweep_after_another_is_two_at_any_scale(dtype, scale):
    """The state goes out and in again, and nothing given is written to."""
    given = [np.asarray(v, dtype=dtype) for v in (G, scale * b, np.zeros(25))]
    copies = [v.copy() for v in given]
    lam = 0.02 * scale * float(np.max(np.abs(b)))
    x, q, n = sweep(*given, None, lam, 0.1, 1, 0.0)
    again = sweep(*given[:2], x, q, lam, 0.1, 1, 0.0)
    both = sweep(*given, None, lam, 0.1, 2, 0.0)
    assert (n, again[2], both[2]) == (1, 1, 2)
    assert_close(again[0], both[0])
    assert again[0].dtype == again[1].dtype == dtype
    unscaled = sweep(given[0], (given[1] / scale).astype(dtype), given[2], None, lam / scale, 0.1, 2, 0.0)
    np.testing.assert_array_equal(both[0] / scale, unscaled[0])
    for v, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(v, copy)


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_any_layout(order):
    H = np.repeat(G, 2, axis=1)[:, ::2] if order == "strided" else np.asarray(G, order=order)
    H.flags.writeable = False
    x, _, _ = sweep(H, b, np.zeros(25), None, 1.0, 0.0, 5, 0.0)
    np.testing.assert_allclose(x, sweep.standard(G, b, np.zeros(25), None, 1.0, 0.0, 5, 0.0)[0], rtol=1e-9, atol=1e-12)


def test_a_feature_of_zeros_stays_where_it_is():
    H, c = G.copy(), b.copy()
    H[3], H[:, 3], c[3] = 0, 0, 0
    x0 = np.zeros(25)
    x0[3] = 7.0
    x, _, _ = sweep(H, c, x0, None, 0.0, 0.0, 3, 0.0)
    assert x[3] == 7
    assert np.all(np.isfinite(x))


def test_other_libraries(xp):
    given = G[:6, :6], b[:6], 0 * b[:6]
    G_, b_, x_ = (xp(v) for v in given)
    x, q, n = sweep(G_, b_, x_, None, 3.0, 0.1, 2, 0.0)
    expected, gradient, _ = sweep.standard(*given, None, 3.0, 0.1, 2, 0.0)
    assert n == 2
    assert_close(x, expected, like=x_)
    assert_close(q, gradient, like=x_)
    assert is_compiled(x) <= xp.name.startswith("numpy")
