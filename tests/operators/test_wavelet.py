"""Wavelets are orthogonal, kill polynomials, and are those of PyWavelets and of Haar."""

import math

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import Wavelet, haar_basis
from xpsolve.operators._daubechies import MOST_MOMENTS, daubechies
from xpsolve.testing import assert_close

# sides shorter than the filter, sides that are no powers of two, one place along an axis
CASES = [
    (8, 1, None),
    (16, 2, 2),
    (12, 4, 1),
    (6, 8, None),
    (2, 20, None),
    ((4, 8), 3, None),
    ((1, 4), 2, 0),
    ((4, 6, 2), 5, None),
]


@pytest.mark.parametrize("N", range(1, MOST_MOMENTS + 1))
def test_filters_are_orthogonal_and_have_their_moments(N):
    h = daubechies(N)
    assert h.shape == (2 * N,)
    assert math.fsum(h) == pytest.approx(math.sqrt(2), rel=1e-15)
    for k in range(N):
        product = math.fsum(h[: 2 * (N - k)] * h[2 * k :])
        assert product == pytest.approx(float(k == 0), abs=1e-14)
    g = h[::-1] * (-1.0) ** np.arange(2 * N)
    place = (np.arange(2 * N) - N + 0.5) / N  # in [−1, 1]
    for moment in range(N):
        terms = g * place**moment
        assert abs(math.fsum(terms)) <= 1e-14


def test_known_filters():
    r3, r10 = math.sqrt(3), math.sqrt(10)
    w = math.sqrt(5 + 2 * r10)
    three = [1 + r10 + w, 5 + r10 + 3 * w, 10 - 2 * r10 + 2 * w, 10 - 2 * r10 - 2 * w, 5 + r10 - 3 * w, 1 + r10 - w]
    np.testing.assert_allclose(daubechies(1), [math.sqrt(0.5)] * 2, rtol=1e-15)
    np.testing.assert_allclose(daubechies(2) * 4 * math.sqrt(2), [1 + r3, 3 + r3, 3 - r3, 1 - r3], rtol=1e-14)
    np.testing.assert_allclose(daubechies(3) * 16 * math.sqrt(2), three, rtol=1e-13)


@pytest.mark.parametrize(("shape", "order", "levels"), CASES)
def test_it_is_orthogonal_and_its_adjoint_is_its_inverse(xp, rng, shape, order, levels):
    W = Wavelet(shape, order, levels)
    p = W.shape[0]
    rtol = 100 * xp.eps
    matrix = W @ np.eye(p)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(p), atol=1e-13)
    for many in ((), (3,)):
        x = rng.standard_normal((p, *many))
        assert_close(W @ xp(x), matrix @ x, like=xp(x), rtol=rtol)
        assert_close(W.T @ xp(x), matrix.T @ x, like=xp(x), rtol=rtol)
        assert_close(W.T @ (W @ xp(x)), x, like=xp(x), rtol=rtol)
    assert xs.dot_test(W, like=xp([0.0])) <= 20 * np.sqrt(p) * xp.eps
    assert_close(xs.operator_norm(W, like=xp([0.0])), np.asarray(1.0), like=xp([0.0]), rtol=0)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
def test_details_of_polynomials_vanish_where_ends_do_not_meet(order):
    n = 64
    place = np.linspace(-1, 1, n)
    for degree in range(order):
        details = (Wavelet(n, order, 1) @ place**degree)[n // 2 :]
        assert np.max(np.abs(details[: n // 2 - order + 1])) < 1e-13
    if order > 1:
        assert np.max(np.abs((Wavelet(n, order, 1) @ place)[n // 2 :])) > 0.01  # where they do
    assert np.max(np.abs((Wavelet(n, order, 1) @ place**order)[n // 2 :][: n // 2 - order + 1])) > 1e-12


@pytest.mark.parametrize("levels", [None, 0, 1, 2])
def test_order_one_is_the_basis_of_haar(xp, rng, levels):
    n, x = 24, rng.standard_normal(24)
    basis = haar_basis(n, levels=levels)
    assert isinstance(basis, np.ndarray)
    assert basis.dtype == np.float64
    assert_close(Wavelet(n, levels=levels) @ xp(x), basis.T @ x, like=xp(x), rtol=10 * xp.eps)
    if levels == 1:
        pairs = x.reshape(-1, 2) / math.sqrt(2)
        assert_close(basis.T @ x, np.concatenate([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]]), rtol=1e-14)


def test_one_level_of_a_picture_is_its_axes_one_after_the_other(rng):
    X = rng.standard_normal((6, 8))
    rows, columns = (Wavelet(n, 2, 1) @ np.eye(n) for n in X.shape)
    assert_close(Wavelet((6, 8), 2, 1) @ X.ravel(), (rows @ X @ columns.T).ravel(), rtol=1e-13)


def test_the_next_level_splits_the_first_corner_alone(rng):
    x = rng.standard_normal(16 * 8)
    one, two = (np.asarray(Wavelet((16, 8), 3, levels) @ x).reshape(16, 8) for levels in (1, 2))
    corner = Wavelet((8, 4), 3, 1) @ one[:8, :4].ravel()
    np.testing.assert_allclose(two[:8, :4].ravel(), corner, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(two[8:], one[8:])
    np.testing.assert_array_equal(two[:8, 4:], one[:8, 4:])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 8, 12, 20])
def test_they_are_those_of_pywavelets(rng, order):
    """Which begins its periodic signals N − 1 places later."""
    pywt = pytest.importorskip("pywt")
    np.testing.assert_allclose(daubechies(order), pywt.Wavelet(f"db{order}").rec_lo, atol=2e-15)
    x = rng.standard_normal(64)
    wanted = np.concatenate(pywt.dwt(x, f"db{order}", mode="periodization"))
    assert_close(Wavelet(64, order, 1) @ np.roll(x, order - 1), wanted, rtol=1e-13)


def test_integers_are_real_numbers(xp):
    found = Wavelet(2) @ xp([3, 1], dtype="uint8")
    assert_close(found, np.asarray([4, 2]) / math.sqrt(2), rtol=1e-6)


def test_derivatives_and_jit(rng):
    W, x = Wavelet((4, 8), 3), rng.standard_normal(32)
    size = lambda x: (W @ x) ** 4 @ np.ones(32)  # noqa: E731
    wanted = W.T @ (4 * (W @ x) ** 3)
    assert_close(xs.autodiff.grad(size)(x), wanted, rtol=1e-12)
    assert_close(xs.autodiff.jvp(lambda x: W.T @ x, (x,), (x,))[1], W.T @ x, rtol=1e-13)
    jax = pytest.importorskip("jax")
    assert_close(jax.jit(lambda x: W.T @ (W @ x))(x), x, rtol=1e-12)
    assert_close(jax.jit(jax.grad(size))(x), wanted, rtol=1e-12)
    torch = pytest.importorskip("torch")
    there = torch.asarray(x, requires_grad=True)
    ((W @ there) ** 4).sum().backward()
    assert_close(there.grad, wanted, rtol=1e-12)


def test_the_lasso_of_its_synthesis_is_a_threshold(xp, rng):
    """For an orthogonal A the lasso is soft thresholding of Aᵀy."""
    W, y = Wavelet((4, 8), 2), rng.standard_normal(32)
    if xp.name == "dask":
        return  # slow to schedule, and the products were tested above
    found = xs.lasso(W.T, xp(y), 0.5, method="fista", tol=1e-10 if xp.dtype == "float64" else 1e-5)
    wanted = xs.soft_threshold(W @ y, 0.5)
    assert_close(found.x, wanted, like=xp(y), rtol=1e-4 if xp.dtype == "float64" else 1e-2)


@pytest.mark.parametrize(("shape", "order", "levels"), CASES)
@pytest.mark.parametrize("k", [1, 3])
def test_its_cost_is_counted(rng, shape, order, levels, k):
    W = Wavelet(shape, order, levels)
    x = rng.standard_normal((W.shape[0], k)[: 1 + (k > 1)])
    for product in (W.matvec, W.rmatvec):
        _, tally = xs.count(product, x)
        cost = xs.costs.wavelet(shape, order, levels=W.levels, k=k)
        assert (tally.product_flops, tally.syncs) == (cost.flops, cost.syncs)
        copies = (W.levels + 1) * len(W.space)  # at most, of results that are to lie in another order
        assert cost.launches - copies <= tally.launches <= cost.launches


BAD = {
    "odd sides": (lambda: Wavelet((5, 4)), ValueError, "shape: expected even sides, got .5, 4.. Cut or extend"),
    "too many levels": (lambda: Wavelet((12, 8), 2, 3), ValueError, "levels: expected at most 2"),
    "levels below 0": (lambda: Wavelet(8, 2, -1), ValueError, "levels: expected an integer of at least 0"),
    "levels of 1.5": (lambda: Wavelet(8, 2, 1.5), TypeError, "levels: expected an integer"),
    "no moments": (lambda: Wavelet(8, 0), ValueError, "order: expected an integer of at least 1"),
    "too many moments": (lambda: Wavelet(8, 21), ValueError, "order: expected an integer of at most 20"),
    "order of text": (lambda: Wavelet(8, "db4"), TypeError, "order: expected an integer"),
    "no side": (lambda: Wavelet([]), ValueError, "shape: expected 1 to"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
