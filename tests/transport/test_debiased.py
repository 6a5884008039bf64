"""Debiased barycentres: POT, closed forms, what they minimise, and every backend."""

import warnings

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays import backends, namespace_of
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, check_cost, check_solution


def bumps(n=40, width=0.05, centres=(0.2, 0.7, 0.5)):
    x = np.linspace(0, 1, n)
    A = np.stack([np.exp(-((x - c) ** 2) / (2 * width**2)) for c in centres])
    return x, A / A.sum(axis=1, keepdims=True)


def spread(x, b):
    mean = np.sum(x * b)
    return np.sqrt(np.sum((x - mean) ** 2 * b))


@pytest.mark.of("barycenter")
@pytest.mark.parametrize("method", ["scaling", "log"])
def test_on_every_backend(xp, method):
    x, A = bumps(12, 0.15)
    w, tol = np.asarray([0.2, 0.3, 0.5]), 1e-4
    plain = xs.barycenter(A, (x[:, None] - x) ** 2, 0.01, w, debiased=True).x
    costs_there = (xs.Grid(xp(x)), xs.PointCloud(xp(x[:, None]), xp(x[:, None]), 5), xp((x[:, None] - x) ** 2))
    for M in costs_there[: 1 if xp.name == "dask" else 3]:
        solution = xs.barycenter(xp(A), M, 0.01, xp(w), debiased=True, method=method, tol=tol)
        check_solution(solution, like=xp(A), shape=(12,))
        assert solution.converged
        assert_close(backends.to_numpy(solution.x), plain, rtol=0, atol=2e-3 if xp.exact else 1e-2)


@pytest.mark.parametrize("eps", [0.05, 0.005])
def test_it_is_that_of_pot(eps):
    ot = pytest.importorskip("ot")
    x, A = bumps()
    M, w = (x[:, None] - x) ** 2, np.asarray([0.2, 0.3, 0.5])
    expected = ot.bregman.barycenter_debiased(
        A.T.copy(), M, eps, weights=w, method="sinkhorn_log", numItermax=20_000, stopThr=1e-14
    )
    found = xs.barycenter(A, M, eps, w, debiased=True, tol=1e-7)
    assert found.converged
    assert_close(found.x, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("eps", [0.1, 0.02, 1e-3])
def test_equal_bumps_keep_their_width(eps):
    """Of N(c_k, s²) it is N(Σ w c, s²) for every ε, where the other one is blurred (Janati et al. 2020, theorem 3)."""
    x, A = bumps(60)
    w = np.asarray([0.2, 0.3, 0.5])
    sharp, blurred = (xs.barycenter(A, xs.Grid(x), eps, w, debiased=yes).x for yes in (True, False))
    assert np.sum(x * sharp) == pytest.approx(0.2 * 0.2 + 0.3 * 0.7 + 0.5 * 0.5, abs=1e-3)
    assert spread(x, sharp) == pytest.approx(0.05, abs=1e-3)
    assert spread(x, blurred) > 0.053


def test_one_histogram_is_its_own_barycentre(rng):
    a = rng.random(9) + 0.1
    b = xs.barycenter(np.stack([a, a]), xs.Grid(np.linspace(0, 1, 9)), 0.01, debiased=True)
    assert b.converged
    assert_close(b.x, a, rtol=1e-4)


def test_no_histogram_nearby_has_a_smaller_sum_of_divergences(rng):
    x, A = bumps(9, 0.2)
    M = (x[:, None] - x) ** 2
    b = xs.barycenter(A, M, 0.1, debiased=True, tol=1e-6).x

    def total(c):
        c = c / c.sum()
        return sum(float(xs.sinkhorn_divergence(a, c, (M, M, M), 0.1, tol=1e-12)) for a in A)

    for _ in range(5):
        assert total(b * (1 + 0.05 * rng.standard_normal(9))) > total(b)


def test_small_eps_and_its_scales(rng):
    x, A = bumps()
    solution = xs.barycenter(A, xs.Grid(x), 1e-4, debiased=True)
    assert (solution.method, solution.converged) == ("log", True)
    for scale in (2.0**-40, 2.0**40):
        scaled = xs.barycenter(A, xs.Grid(scale * x), 0.02 * scale**2, debiased=True)
        assert_close(scaled.x, xs.barycenter(A, xs.Grid(x), 0.02, debiased=True).x, rtol=1e-6, atol=1e-12)


def test_derivatives_and_jit(rng):
    A, M = 0.3 * rng.random((2, 4)), rng.random((4, 4))

    def value(A, M):
        A = xs.softmax(A)
        b = xs.barycenter(A, M + M.T, 1.0, debiased=True, tol=1e-5, max_iter=300).x
        return namespace_of(b).sum(b * b)

    for g, i in zip(autodiff.grad(value, (0, 1))(A, M), (0, 1), strict=True):
        at = lambda z, i=i: np.asarray(value(*(z if k == i else y for k, y in enumerate((A, M)))))  # noqa: E731
        differences = autodiff.finite_difference(at, (A, M)[i], scheme="central", eps=1e-4)
        assert_close(g, differences, rtol=1e-2, atol=1e-4)
    jax = pytest.importorskip("jax")
    a, grid = jax.numpy.asarray(A / A.sum(1, keepdims=True)), jax.numpy.linspace(0, 1, 4)
    solve = jax.jit(lambda a: xs.barycenter(a, xs.Grid(grid), 0.1, debiased=True))
    assert_close(solve(a).x, xs.barycenter(a, xs.Grid(grid), 0.1, debiased=True).x, rtol=0, atol=1e-4)


def test_costs_that_are_not_symmetric_are_refused(rng):
    A, x = np.ones((2, 5)) / 5, rng.random((5, 2))
    for M in (rng.random((5, 5)), xs.PointCloud(x, x + 1)):
        with pytest.raises(ValueError, match="M: expected a symmetric cost"):
            xs.barycenter(A, M, 0.1, debiased=True)
    assert xs.barycenter(A, xs.PointCloud(x, x.copy()), 0.1, debiased=True).status is Status.CONVERGED
    with pytest.raises(TypeError, match="debiased"):
        xs.barycenter(A, xs.PointCloud(x, x), 0.1, debiased="yes")


@pytest.mark.parametrize("method", ["scaling", "log"])
def test_counted_products_are_the_costs(method):
    x, A = bumps(12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, tally = xs.count(
            xs.barycenter,
            A,
            0.01 * (x[:, None] - x) ** 2,
            0.5,
            debiased=True,
            method=method,
            max_iter=20,
            tol=0.0,
            check_finite=False,
        )
    check_cost(tally, costs.barycenter(3, 12, method=method, n_iter=20, debiased=True))
