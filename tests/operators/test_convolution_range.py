"""Convolution where numbers range widely, where there are none, and where kernels reach far."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import costs
from xpsolve.arrays import backends
from xpsolve.testing import assert_close

METHODS = ("auto", *costs.CONVOLUTION_METHODS)
SIDE, TAPS = 32, 15  # small, and large enough that "auto" transforms an ordinary picture


def by_cost_alone(xp):
    if "cupy" in xp.name:
        pytest.skip("arrays on a GPU are not checked: auto chooses by cost there, as its docstring says")
    if xp.name == "dask":
        pytest.skip("a large kernel by products is a graph of thousands of tasks, which takes minutes and gigabytes")


@pytest.mark.of("convolve")
def test_small_numbers_beside_large_ones(xp):
    by_cost_alone(xp)
    step = 9 if xp.dtype == "float64" else 2
    v = np.asarray([0.0] * 200 + [10.0 ** (step * i) for i in range(10)])
    y = xs.convolve(xp(v[None, None]), xp(v[None, None]), mode="full", flip=True)
    assert float(y[0, 0, 400]) == 1.0


@pytest.mark.of("convolve")
@pytest.mark.parametrize("bright", [1e9, 1e18, np.nan])
def test_one_pixel_does_not_spoil_a_picture(xp, bright):
    by_cost_alone(xp)
    picture, kernel = np.ones((1, 1, SIDE, SIDE)), np.ones((1, 1, TAPS, TAPS)) / TAPS**2
    picture[0, 0, SIDE // 2, SIDE // 2] = bright
    y, tally = xs.count(lambda z, w: xs.convolve(z, w, mode="same"), xp(picture), xp(kernel))
    assert not any("fft" in name for name in tally.by_op)
    assert tally.syncs == 0
    y = backends.to_numpy(y)
    assert y[0, 0, 0, 0] == pytest.approx((TAPS // 2 + 1) ** 2 / TAPS**2, rel=1e-4 if xp.dtype == "float32" else 1e-12)
    if np.isnan(bright):
        assert np.isnan(y).sum() == TAPS**2
        delta, _, _ = xs.convolve_adjoint(xp(picture), xp(np.ones_like(picture)), xp(kernel), mode="same")
        assert np.isnan(backends.to_numpy(delta)).sum() == TAPS**2


@pytest.mark.of("convolve")
def test_a_small_part_of_a_kernel_is_seen_where_the_picture_is_empty(xp):
    by_cost_alone(xp)
    picture, kernel = np.zeros((1, 1, SIDE, SIDE)), np.full((1, 1, TAPS, TAPS), 2.0**-70)
    picture[0, 0, SIDE // 2, SIDE // 2] = kernel[0, 0, 0, 0] = 1.0
    y = backends.to_numpy(xs.convolve(xp(picture), xp(kernel), mode="same"))
    assert sorted(set(y.ravel())) == [0.0, 2.0**-70, 1.0]


def test_ordinary_pictures_are_still_transformed(rng):
    kernel = np.exp(-((np.arange(25) - 12.0) ** 2) / 32)
    for dtype in ("float32", "float64"):
        for z in (np.ones((1, 1, SIDE, SIDE)), rng.random((1, 1, SIDE, SIDE))):
            small = np.ones((1, 1, TAPS, TAPS), dtype) / TAPS**2
            _, tally = xs.count(xs.convolve, z.astype(dtype), small, mode="same")
            assert any("fft" in name for name in tally.by_op)
        picture = np.round(255 * rng.random((1, 1, 256, 256))).astype(dtype)
        picture[:, :, :40] = 0  # a dark sky
        for z in (picture, rng.standard_normal((1, 1, 256, 256)).astype(dtype)):
            _, tally = xs.count(xs.convolve, z, (kernel[:, None] * kernel)[None, None].astype(dtype), mode="same")
            assert any("fft" in name for name in tally.by_op)


@pytest.mark.of("convolve")
@pytest.mark.parametrize("method", METHODS)
def test_kernels_longer_than_the_signal_have_gradients_of_their_shape(xp, rng, method):
    for n, k, options in (
        ((5, 5), (31, 31), {}),
        ((2,), (5,), {}),
        ((5,), (12,), {"stride": 2}),
        ((4,), (3,), {"dilation": 9}),
    ):
        z, w = rng.standard_normal((2, 2, *n)), rng.standard_normal((3, 2, *k))
        options = {"mode": "same", "method": method, **options}
        y = backends.to_numpy(xs.convolve(xp(z), xp(w), **options)).astype(float)
        e = rng.standard_normal(y.shape)
        delta, g_w, _ = (backends.to_numpy(x) for x in xs.convolve_adjoint(xp(e), xp(z), xp(w), **options))
        assert (delta.shape, g_w.shape) == (z.shape, w.shape)
        rel = 1e-9 if xp.dtype == "float64" else 1e-3
        assert float(np.sum(delta * z)) == pytest.approx(float(np.sum(y * e)), rel=rel, abs=rel * 10)
        assert float(np.sum(g_w * w)) == pytest.approx(float(np.sum(y * e)), rel=rel, abs=rel * 10)


@pytest.mark.of("convolve")
@pytest.mark.parametrize("method", METHODS)
def test_an_empty_batch_stays_one(xp, method):
    z, w = xp(np.ones((0, 3, 5))), xp(np.ones((4, 3, 2)))
    y = xs.convolve(z, w, method=method)
    assert tuple(y.shape) == (0, 4, 4)
    delta, g_w, g_b = xs.convolve_adjoint(y, z, w, method=method)
    assert tuple(delta.shape) == (0, 3, 5)
    assert_close(g_w, np.zeros((4, 3, 2)), like=w)
    assert_close(g_b, np.zeros(4), like=w)


@pytest.mark.of("convolve")
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("far", [10**6, 10**9])
def test_taps_and_strides_that_reach_far(xp, rng, boundary, far):
    z, w = rng.standard_normal((2, 2, 7, 6)), rng.standard_normal((3, 2, 3, 4))
    near = tuple(far % n or n for n in (7, 6)) if boundary == "periodic" else (7, 6)
    options = {"mode": "same", "boundary": boundary}
    rtol = 1e-10 if xp.dtype == "float64" else 1e-4
    y = xs.convolve(xp(z), xp(w), dilation=far, **options)
    assert_close(y, xs.convolve(z, w, dilation=near, method="shift", **options), rtol=rtol)
    e = backends.to_numpy(y)
    expected = xs.convolve_adjoint(e, z, w, dilation=near, method="shift", **options)
    for a, b in zip(xs.convolve_adjoint(y, xp(z), xp(w), dilation=far, **options), expected, strict=True):
        assert_close(a, b, rtol=rtol)
    one = xs.convolve(xp(z), xp(w), stride=far, **options)
    assert_close(one, backends.to_numpy(xs.convolve(xp(z), xp(w), **options))[:, :, :1, :1], rtol=rtol)


A = xs.operators.aslinearoperator(np.eye(3))
BAD = {
    "no trials": (lambda: xs.dot_test(np.eye(3), trials=0), ValueError, "trials: expected an integer of at least 1"),
    "rtol is text": (lambda: xs.dot_test(np.eye(3), rtol="x"), TypeError, "rtol: expected"),
    "seed is text": (lambda: xs.operator_norm(np.eye(3), seed="x"), TypeError, "seed: expected an integer"),
    "like is a number": (lambda: xs.operator_norm(np.eye(3), like=5), TypeError, "like: expected an array"),
    "an operator and a number": (lambda: A + 1, TypeError, r"\+: expected an operator on both sides, got 1"),
    "a number and an operator": (lambda: 1 + A, TypeError, r"\+: expected an operator on both sides"),
    "less a number": (lambda: A - 1, TypeError, "-: expected an operator on both sides"),
    "an operator of a number": (lambda: A @ 5, TypeError, "x: expected an array of shape"),
    "over zero": (lambda: A / 0, ValueError, "/: expected an operator divided by a number other than 0"),
    "over text": (lambda: A / "x", TypeError, "/: expected"),
    "flip is text": (
        lambda: xs.convolve(np.ones((1, 1, 3)), np.ones((1, 1, 2)), flip="x"),
        TypeError,
        "flip: expected",
    ),
    "four sides": (lambda: xs.Convolution(np.ones(3), (2, 2, 2, 2)), ValueError, "shape: expected 1 to 3 sides"),
    "a shape that is a word": (lambda: xs.LinearOperator("ab"), TypeError, "shape: expected a pair"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
