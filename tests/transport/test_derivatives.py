"""Derivatives of `sinkhorn` by its equation: its own gradient, differences, its iterations, and second order."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.testing import assert_close

EPS, TOL = 0.1, 1e-13


def histogram(x):
    """Weights that sum to 1 for every x, so that differences stay where the problem has a solution."""
    return xs.softmax(x)


def data(n=4, m=5):
    rng = np.random.default_rng(2)
    return rng.standard_normal(n), rng.standard_normal(m), rng.random((n, m))


def value(s, t, M, **options):
    return xs.sinkhorn(histogram(s), histogram(t), M, EPS, tol=TOL, **options).value


def potentials(s, t, M, **options):
    """A function of f and g that the constant between them does not change."""
    f, g = xs.sinkhorn(histogram(s), histogram(t), M, EPS, tol=TOL, **options).x
    xp = namespace_of(f)
    return xp.sum((f[:, None] + g[None, :]) ** 2 * xp.cos(M))


def spread(s, t, M, **options):
    """By the plan and its cost."""
    solution = xs.sinkhorn(histogram(s), histogram(t), M, EPS, tol=TOL, **options)
    P = solution.plan()
    return namespace_of(P).sum(P * P) + solution.cost


def differences(f, arrays):
    for i, x in enumerate(arrays):
        at = lambda x, i=i: np.asarray(f(*arrays[:i], x, *arrays[i + 1 :]))  # noqa: E731
        yield autodiff.finite_difference(at, x, scheme="central", eps=1e-5)


@pytest.mark.parametrize("f", [value, potentials, spread])
@pytest.mark.parametrize("method", ["scaling", "stabilized", "log"])
def test_by_equation_through_iterations_and_by_differences(f, method):
    arrays = data()
    of = lambda *a: f(*a, method=method)  # noqa: E731
    gradients = autodiff.grad(of, (0, 1, 2))(*arrays)
    for g, d in zip(gradients, differences(of, arrays), strict=True):
        assert_close(g, d, rtol=1e-6, atol=1e-7)
    with autodiff.unrolled():
        through = autodiff.grad(of, (0, 1, 2))(*arrays)
    for g, d in zip(gradients, through, strict=True):
        assert_close(g, d, rtol=1e-6, atol=1e-8)
    tangents = [np.cos(np.arange(x.size)).reshape(x.shape) for x in arrays]
    _, pushed = autodiff.jvp(of, arrays, tangents)
    products = [float(np.sum(g * t)) for g, t in zip(gradients, tangents, strict=True)]
    assert float(pushed) == pytest.approx(sum(products), rel=1e-9)


def test_danskin_is_sinkhorn_gradient():
    s, t, M = data()
    a, b = histogram(s), histogram(t)
    f = lambda a, b, M: xs.sinkhorn(a, b, M, EPS, tol=TOL).value  # noqa: E731
    found = autodiff.grad(f, (0, 1, 2))(a, b, M)
    for g, e in zip(found[:2], xs.sinkhorn_gradient(a, b, M, EPS, tol=TOL)[:2], strict=True):
        assert_close(g - np.mean(g), e, rtol=1e-12, atol=1e-13)
    assert_close(found[2], xs.sinkhorn(a, b, M, EPS, tol=TOL).plan(), rtol=1e-12)


def test_values_are_those_without_a_derivative():
    s, t, M = data()
    a, b = histogram(s), histogram(t)
    plain = xs.sinkhorn(a, b, M, EPS, tol=TOL)
    same, _ = autodiff.jvp(lambda M: xs.sinkhorn(a, b, M, EPS, tol=TOL), (M,), (M,))
    assert_close(same.x[0], plain.x[0])
    assert_close(same.value, plain.value, rtol=1e-14)
    assert (same.method, same.n_iter, same.converged) == (plain.method, plain.n_iter, True)


def test_points_and_grids():
    rng = np.random.default_rng(3)
    s, t = rng.standard_normal(4), rng.standard_normal(5)
    x, y = rng.random((4, 2)), rng.random((5, 2))
    for f in (value, lambda s, t, M: xs.sinkhorn(histogram(s), histogram(t), M, EPS, tol=TOL).cost):
        of = lambda x, y, f=f: f(s, t, xs.PointCloud(x, y))  # noqa: E731
        for g, d in zip(autodiff.grad(of, (0, 1))(x, y), differences(of, (x, y)), strict=True):
            assert_close(g, d, rtol=1e-6, atol=1e-7)
    u = rng.standard_normal((2, 6))
    grid = xs.Grid(np.linspace(0, 1, 2), np.linspace(0, 1, 3))
    on_grid = lambda u: value(u[0, :], u[1, :], grid)  # noqa: E731
    assert_close(autodiff.grad(on_grid)(u), next(differences(on_grid, (u,))), rtol=1e-6, atol=1e-8)


def test_divergence_and_barycentre():
    rng = np.random.default_rng(3)
    s, t, x, y = rng.standard_normal(4), rng.standard_normal(5), rng.random((4, 2)), rng.random((5, 2))
    A, M = rng.standard_normal((2, 5)), rng.random((5, 5))

    def divergence(s, x):
        return xs.sinkhorn_divergence(histogram(s), histogram(t), xs.PointCloud(x, y), EPS, tol=TOL)

    def between(A, M):
        b = xs.barycenter(histogram(A), M + M.T, 0.3, tol=1e-12).x
        return namespace_of(b).sum(b * b)

    for f, arrays in ((divergence, (s, x)), (between, (A, M))):
        for g, d in zip(autodiff.grad(f, (0, 1))(*arrays), differences(f, arrays), strict=True):
            assert_close(g, d, rtol=1e-6, atol=1e-8)


def test_many_at_once():
    rng = np.random.default_rng(3)
    S, t, M = rng.standard_normal((3, 4)), rng.standard_normal(5), rng.random((4, 5))
    together = autodiff.grad(lambda S, M: namespace_of(S).sum(value(S, t, M)), (0, 1))(S, M)
    alone = [autodiff.grad(lambda s, M: value(s, t, M), (0, 1))(s, M) for s in S]
    assert_close(together[0], np.stack([g for g, _ in alone]), rtol=1e-9, atol=1e-12)
    assert_close(together[1], sum(g for _, g in alone), rtol=1e-9, atol=1e-12)


def test_points_without_mass_stay_out():
    _, t, M = data()
    a = np.asarray([0.5, 0.0, 0.2, 0.3])
    f = lambda t, M: potentials_on(a, t, M)  # noqa: E731

    def potentials_on(a, t, M):
        solution = xs.sinkhorn(a, histogram(t), M, EPS, tol=TOL)
        f, g = solution.x
        xp = namespace_of(g)
        return xp.sum((xp.where(xp.isfinite(f), f, xp.zeros_like(f))[:, None] + g[None, :])[0, :] ** 2) + solution.value

    gradients = autodiff.grad(f, (0, 1))(t, M)
    for g, d in zip(gradients, differences(f, (t, M)), strict=True):
        assert_close(g, d, rtol=1e-6, atol=1e-7)
    assert not np.any(gradients[1][1])


def test_second_derivatives():
    s, t, M = data(3, 3)
    for f in (value, potentials):
        gradient = autodiff.grad(lambda M, f=f: f(s, t, M))
        H = autodiff.jacfwd(gradient)(M)
        assert_close(H, autodiff.finite_difference(gradient, M, scheme="central"), rtol=1e-5, atol=1e-5)
        assert_close(autodiff.jacrev(gradient)(M), H, rtol=1e-8, atol=1e-8)


def test_a_gradient_costs_at_most_three_solves():
    rng = np.random.default_rng(0)
    s, t, M = rng.standard_normal(60), rng.standard_normal(80), rng.random((60, 80))
    for f in (value, potentials):
        _, one = xs.count(f, s, t, M)
        _, all_three = xs.count(autodiff.grad(f, (0, 1, 2)), s, t, M)
        assert all_three.product_flops <= 3 * one.product_flops
        assert all_three.flops <= 3 * one.flops


def test_on_every_backend(xp):
    if xp.name == "dask":
        pytest.skip("right, but Dask takes long: ridge is tried there")
    host = data()
    there = [xp(x) for x in host]
    tol = 1e-5 if xp.dtype == "float32" else 1e-12
    f = lambda s, t, M, tol=tol: xs.sinkhorn(histogram(s), histogram(t), M, EPS, tol=tol)  # noqa: E731
    both = lambda *a, tol=tol: f(*a, tol=tol).value + 0.1 * potentials_of(f(*a, tol=tol))  # noqa: E731

    def potentials_of(solution):
        u, v = solution.x
        return namespace_of(u).sum((u[:, None] + v[None, :]) ** 2)

    expected = autodiff.grad(lambda *a: both(*a, tol=1e-12), (0, 1, 2))(*host)
    for g, e, x in zip(autodiff.grad(both, (0, 1, 2))(*there), expected, there, strict=True):
        assert_close(
            g, e, rtol=2e-3 if xp.dtype == "float32" else 1e-7, atol=1e-4 if xp.dtype == "float32" else 1e-9, like=x
        )
