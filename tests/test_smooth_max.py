"""Log-sum-exp and softmax: against SciPy, where exponentials would overflow, and in the limit of no temperature."""

import numpy as np
import pytest
import scipy.special

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.testing import assert_close, slope_test

LARGE = np.asarray([[1e4, 1e4 - 1, -1e4], [-1e4, -1e4, -1e4 + 2], [0.0, 1.0, -np.inf]])


@pytest.mark.of("logsumexp")
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_agree_with_scipy(xp, rng, axis):
    x = 3 * rng.standard_normal((4, 5))
    assert_close(xs.logsumexp(xp(x), axis=axis), scipy.special.logsumexp(x, axis=axis), like=xp(x), rtol=8 * xp.eps)
    assert_close(xs.softmax(xp(x), axis=axis), scipy.special.softmax(x, axis=axis), like=xp(x), rtol=8 * xp.eps)


@pytest.mark.of("softmax")
def test_no_exponential_overflows(xp):
    x = xp(LARGE)
    assert_close(xs.logsumexp(x), scipy.special.logsumexp(LARGE, axis=1), rtol=8 * xp.eps)
    assert_close(xs.softmax(x), scipy.special.softmax(LARGE, axis=1), rtol=1e-6 if xp.dtype == "float32" else 1e-14)


@pytest.mark.of("logsumexp")
@pytest.mark.parametrize("eps", [1e-2, 1e-12, 1e-300])
def test_without_temperature_they_are_the_maximum(xp, eps):
    x = xp([[1.0, 4.0, 3.0], [-2.0, -7.0, -9.0]])
    assert_close(xs.logsumexp(x, eps=eps), [4.0, -2.0], like=x)
    assert_close(xs.softmax(x, eps=eps), [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], like=x)


def test_a_row_of_nothing_has_no_maximum():
    assert xs.logsumexp(np.full((1, 3), -np.inf))[0] == -np.inf  # warnings are errors here


@pytest.mark.parametrize("eps", [0.3, 1.0, 5.0])
def test_one_is_the_gradient_of_the_other(rng, eps):
    x = rng.standard_normal((3, 4))
    slope_test(lambda x: xs.logsumexp(x, eps=eps), lambda v: np.sum(xs.softmax(x, eps=eps) * v, axis=-1), x)


@pytest.mark.parametrize("eps", [1e-3, 0.3, 1.0])
def test_derivatives(eps):
    x = np.asarray([[1.0, -np.inf, 1.0, -3e3, 0.5], [2.0, 2.1, 1.9, -1.0, 0.0]])  # equal, absent and far away
    weights = xs.softmax(x, eps=eps)
    gradient = autodiff.grad(lambda x: namespace_of(x).sum(xs.logsumexp(x, eps=eps)))(x)
    assert_close(gradient, weights, rtol=1e-13)
    for jacobian in (autodiff.jacfwd, autodiff.jacrev):
        for row, w in zip(x, weights, strict=True):
            found = jacobian(lambda x: xs.softmax(x, eps=eps))(row)
            assert_close(found, (np.diag(w) - np.outer(w, w)) / eps, rtol=1e-12, atol=1e-13 / eps)


def test_the_smoothed_maximum_lies_above_by_at_most_eps_log_n(rng):
    x = rng.standard_normal((50, 7))
    excess = xs.logsumexp(x, eps=0.5) - np.max(x, axis=-1)
    assert np.all((excess >= 0) & (excess <= 0.5 * np.log(7)))


def test_bad_input():
    with pytest.raises(ValueError, match="eps: expected a positive"):
        xs.logsumexp(np.ones(2), eps=0.0)
    with pytest.raises(ValueError, match=r"axis: .*\(2,\)"):
        xs.softmax(np.ones(2), axis=1)
    with pytest.raises(TypeError, match="x: expected an array"):
        xs.softmax([1.0, 2.0])
