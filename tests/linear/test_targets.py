"""One λ for each column of y, (1, k), beside a path of λ."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.testing import assert_close, check_solution

LAMS = np.asarray([0.1, 1.0, 5.0])


def data(rng, n, p):
    return rng.standard_normal((n, p)), rng.standard_normal((n, 3))


@pytest.mark.of("ridge")
@pytest.mark.parametrize(("n", "p"), [(12, 5), (5, 12)])
@pytest.mark.parametrize("method", ["auto", "svd", "cg"])
def test_ridge_with_a_lam_for_each_target(xp, rng, n, p, method):
    A, Y = data(rng, n, p)
    found = xs.ridge(xp(A), xp(Y), xp(LAMS[None, :]), method=method)
    check_solution(found, like=xp(Y))
    wanted = np.stack([xs.ridge(A, Y[:, j], LAMS[j]).x for j in range(3)], axis=1)
    assert_close(found.x, wanted, like=xp(Y), rtol=1e-3 if xp.dtype == "float32" else 1e-9)


@pytest.mark.of("lasso")
@pytest.mark.parametrize(("n", "p"), [(12, 5), (5, 12)])
@pytest.mark.parametrize("theta", [0.0, 0.3])
def test_lasso_with_a_lam_for_each_target(xp, rng, n, p, theta):
    A, Y = data(rng, n, p)
    tol = 1e-10 if xp.exact else 1e-6
    found = xs.elastic_net(xp(A), xp(Y), xp(LAMS[None, :]), theta, tol=tol)
    check_solution(found, like=xp(Y))
    wanted = np.stack([xs.elastic_net(A, Y[:, j], LAMS[j], theta, tol=1e-12).x for j in range(3)], axis=1)
    assert_close(found.x, wanted, like=xp(Y), atol=20 * tol**0.5)


@pytest.mark.parametrize("unit", [1e-150, 1.0, 1e150])
def test_any_scale_and_lists(rng, unit):
    A, Y = data(rng, 12, 5)
    Y = Y * np.asarray([1e-30, 1.0, 1e30])
    for weights, intercept in ((None, False), (rng.random(12), True)):
        options = {"weights": weights, "intercept": intercept}
        found = xs.ridge(A, Y * unit, [list(LAMS)], **options)
        each = [xs.ridge(A, Y[:, j] * unit, LAMS[j], **options) for j in range(3)]
        for j, one in enumerate(each):
            assert_close(found.x[:, j], one.x)
        found = xs.lasso(A, Y * unit, [tuple(LAMS * unit * np.asarray([1e-30, 1.0, 1e30]))], **options, tol=1e-10)
        for j, scale in enumerate((1e-30, 1.0, 1e30)):
            one = xs.lasso(A, Y[:, j] * unit, LAMS[j] * unit * scale, **options, tol=1e-12)
            assert_close(found.x[:, j], one.x, rtol=1e-4)


def test_one_column_is_one_lam(rng):
    A, Y = data(rng, 12, 5)
    for solve in (xs.ridge, xs.lasso):
        assert_close(solve(A, Y[:, :1], [[0.3]]).x, solve(A, Y[:, :1], 0.3).x)


@pytest.mark.parametrize("solve", [xs.ridge, xs.lasso])
def test_its_derivative(rng, solve):
    A, Y = data(rng, 12, 5)

    def f(lam):
        return solve(A, Y, lam, tol=1e-14).x

    lam, eps = LAMS[None, :], 1e-6
    _, slope = xs.autodiff.jvp(f, (lam,), (np.ones((1, 3)),))
    assert_close(slope, (f(lam + eps) - f(lam - eps)) / (2 * eps), rtol=1e-5)


@pytest.mark.parametrize("solve", [xs.ridge, xs.lasso])
@pytest.mark.parametrize("lam", [np.ones((1, 2)), np.ones((3, 1)), np.ones((3, 3)), [[1.0, 2.0]], [[1.0] * 3] * 2])
def test_other_shapes_say_what_fits(rng, solve, lam):
    A, Y = data(rng, 12, 5)
    with pytest.raises(ValueError, match=r"lam: expected a number, m numbers for a path, or shape \(1, k\)"):
        solve(A, Y, lam)
    with pytest.raises(ValueError, match="for y of shape"):
        solve(A, Y[:, 0], np.ones((1, 3)))


@pytest.mark.parametrize("lam", [[[1.0, -1.0, 1.0]], np.asarray([[1.0, np.nan, 1.0]])])
def test_every_lam_is_checked(rng, lam):
    A, Y = data(rng, 12, 5)
    with pytest.raises(ValueError, match="lam: expected"):
        xs.ridge(A, Y, lam)


def test_a_path_of_rows_is_no_lasso_path(rng):
    A, Y = data(rng, 12, 5)
    with pytest.raises(ValueError, match="lams: expected a number or a 1-D array"):
        xs.lasso_path(A, Y[:, 0], np.ones((1, 3)))
