"""Stein's unbiased estimate of the risk of the lasso: unbiased, and least where the error is."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.linear.sure import risk
from xpsolve.testing import assert_close, check_solution

SIGMA = 0.7


def data(rng, n, p):
    A = rng.standard_normal((n, p))
    truth = np.zeros(p)
    truth[:3] = 2.0, -1.5, 1.0
    return A, A @ truth


@pytest.mark.parametrize(("n", "p"), [(20, 8), (12, 30)])
@pytest.mark.parametrize("part", [0.1, 0.2, 0.5])
def test_its_mean_is_the_mean_error(n, p, part):
    rng = np.random.default_rng(0)
    A, mean = data(rng, n, p)
    Y = mean[:, None] + SIGMA * rng.standard_normal((n, 2000))
    lam = part * np.max(np.abs(A.T @ mean))
    X = xs.lasso(A, Y, lam, tol=1e-8, max_iter=100_000).x
    scores = risk(np.sum((Y - A @ X) ** 2, axis=0), np.sum(X != 0, axis=0), SIGMA, n)
    difference = scores - np.mean((A @ X - mean[:, None]) ** 2, axis=0)
    assert abs(np.mean(difference)) < 3 * np.std(difference) / 2000**0.5
    assert np.std(difference) > 0.01  # otherwise there is nothing to be unbiased of
    for j in range(3):
        found = xs.lasso_sure(A, Y[:, j], SIGMA, [2 * lam, lam], tol=1e-9)
        assert_close(found.scores[1], scores[j], rtol=1e-4)


def test_an_intercept_and_weights_count(rng):
    A, mean = data(rng, 30, 8)
    w = rng.uniform(0.5, 2.0, 30)
    w[4] = 0.0
    y = mean + 3 + SIGMA / np.sqrt(np.maximum(w, 0.1)) * rng.standard_normal(30)
    found = xs.lasso_sure(A, y, SIGMA, weights=w, intercept=True, n_lams=12)
    for i, lam in enumerate(found.lams):
        one = xs.lasso(A, y, float(lam), weights=w, intercept=True)
        r = y - A @ one.x - one.intercept
        df = np.sum(one.x != 0) + 1
        assert_close(found.scores[i], (w @ r**2 + SIGMA**2 * (2 * df - 29)) / 29, rtol=1e-3)
    assert float(found.lam) == found.lams[np.argmin(found.scores)]
    assert found.converged
    assert float(found.intercept) == pytest.approx(3, abs=1)


def test_without_noise_the_least_lam_is_chosen(rng):
    A, mean = data(rng, 20, 8)
    assert float(xs.lasso_sure(A, mean, 1e-9, [1.0, 0.1, 0.01]).lam) == 0.01
    assert float(xs.lasso_sure(A, mean, 1e3, [1e3, 0.1, 0.01]).lam) == 1e3


@pytest.mark.of("lasso_sure")
def test_it_everywhere(xp, rng):
    A, mean = data(rng, 20, 8)
    y = mean + SIGMA * rng.standard_normal(20)
    found, wanted = (xs.lasso_sure(a, b, SIGMA, n_lams=5) for a, b in ((xp(A), xp(y)), (A, y)))
    check_solution(found, like=xp(y))
    assert_close(found.scores, wanted.scores, like=xp(y), rtol=1e-2)
    assert_close(found.lam, wanted.lam, like=xp(y), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda A, y: xs.lasso_sure(A, y, 0.0), ValueError, "sigma: expected a positive number"),
        (lambda A, y: xs.lasso_sure(A, y, [1.0]), TypeError, "sigma: expected a"),
        (lambda A, y: xs.lasso_sure(A, y[:, None], 1.0), ValueError, r"y: expected shape \(n,\)"),
        (lambda A, y: xs.lasso_sure(A, y, 1.0, -1.0), ValueError, "lams: expected"),
        (lambda A, y: xs.lasso_sure(A, y, 1.0, n_lams=0), ValueError, "n_lams: expected"),
    ],
)
def test_bad_input(rng, call, error, words):
    with pytest.raises(error, match=words):
        call(*data(rng, 10, 3))
