"""Costs between points: distances and functions, sets of points for many problems, and divergences of any cost."""

import math

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays import backends, namespace_of
from xpsolve.testing import assert_close, slope_test

METHODS = costs.SINKHORN_METHODS


def cubes(xp, x, y):
    """Σ_k |x_k − y_k|³, for batches too."""
    return xp.sum(xp.abs(x[..., :, None, :] - y[..., None, :, :]) ** 3, axis=-1)


COSTS = {
    "sqeuclidean": lambda x, y: np.sum((x[..., :, None, :] - y[..., None, :, :]) ** 2, axis=-1),
    "euclidean": lambda x, y: np.linalg.norm(x[..., :, None, :] - y[..., None, :, :], axis=-1),
    cubes: lambda x, y: cubes(np, x, y),
}
KINDS = pytest.mark.parametrize("cost", COSTS, ids=["sqeuclidean", "euclidean", "cubes"])


def histogram(rng, *shape):
    a = rng.random(shape) + 0.1
    return a / a.sum(axis=-1, keepdims=True)


def tolerance(xp):
    return 1e-9 if xp.exact else 1e-5


def near(xp):
    return 1e-7 if xp.exact else 2e-4


@pytest.mark.of("sinkhorn")
@KINDS
@pytest.mark.parametrize("block", [None, 3])
def test_points_are_their_matrix(xp, rng, cost, block):
    a, b, x, y = histogram(rng, 7), histogram(rng, 5), rng.random((7, 2)), rng.random((5, 2))
    M, tol = COSTS[cost](x, y), tolerance(xp)
    cloud = xs.PointCloud(xp(x), xp(y), block, cost)
    for method in ("auto", "log"):
        solution = xs.sinkhorn(xp(a), xp(b), cloud, 0.1, method=method, tol=tol)
        assert solution.converged
        assert_close(solution.plan(), xs.sinkhorn(a, b, M, 0.1, tol=1e-12).plan(), rtol=0, atol=near(xp))


@pytest.mark.of("sinkhorn")
@KINDS
def test_points_of_many_problems(xp, rng, cost):
    x, y, a, b = rng.random((3, 6, 2)), rng.random((3, 5, 2)), histogram(rng, 3, 6), histogram(rng, 5)
    options = {"tol": tolerance(xp)}
    for block, given in ((None, x), (4, x), (None, x[0]), (None, x[:1])):
        cloud = xs.PointCloud(xp(given), xp(y), block, cost)
        many = xs.sinkhorn(xp(a), xp(b), cloud, 0.1, **options)
        assert many.converged
        assert tuple(many.plan().shape) == (3, 6, 5)
        assert tuple(many.value.shape) == (3,)
        for k in range(3):
            M = COSTS[cost](given[k] if given.shape[0] == 3 else x[0], y[k])
            P = xs.sinkhorn(a[k], b, M, 0.1, tol=1e-12).plan()
            assert_close(backends.to_numpy(many.plan())[k], P, rtol=0, atol=near(xp))


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_one_problem_beside_points_of_many(rng, method):
    x, y, a = rng.random((4, 6, 3)), rng.random((5, 3)), histogram(rng, 6)
    many = xs.sinkhorn(a, np.ones(5) / 5, xs.PointCloud(x, y), 0.02, method=method)
    assert many.converged
    assert tuple(many.x[0].shape) == (4, 6)
    one = xs.sinkhorn(a, np.ones(5) / 5, xs.PointCloud(x[2], y), 0.02, method=method)
    assert_close(many.plan()[2], one.plan(), rtol=0, atol=1e-8)


def test_distances_of_close_points_are_exact(rng):
    x = 1e6 + rng.random((6, 2))
    cloud = xs.PointCloud(x, x, cost="euclidean")
    M = cloud.kernel().cost(0, 6)
    assert np.all(np.diag(M) == 0)
    assert_close(M, M.T, rtol=0)
    assert_close(M, COSTS["euclidean"](x, x), rtol=1e-15)


@KINDS
def test_a_histogram_onto_itself_takes_few_iterations(rng, cost):
    x, a = rng.standard_normal((9, 2)), histogram(rng, 9)
    for p, q in ((a, a), (a, a.copy())):
        solution = xs.sinkhorn(p, q, xs.PointCloud(x, x, cost=cost), 0.05)
        assert solution.converged
        assert solution.n_iter <= 40
    many = np.stack([x, x + 1])
    solution = xs.sinkhorn(a, a.copy(), xs.PointCloud(many, many.copy(), cost=cost), 0.05)
    assert solution.converged
    assert solution.n_iter <= 40


def test_a_function_that_is_not_symmetric_takes_plain_steps(rng):
    x, a = rng.random((5, 1)), histogram(rng, 5)
    cloud = xs.PointCloud(x, x, cost=lambda xp, x, y: xp.sin(7 * x) * y.T + (x - y.T) ** 2)
    solution = xs.sinkhorn(a, a, cloud, 0.1)
    assert solution.converged
    assert float(np.max(np.abs(solution.plan() - solution.plan().T))) > 1e-3


def test_pairs_that_a_function_forbids(rng):
    x, y = rng.random((6, 1)), rng.random((6, 1))
    a = np.ones(6) / 6

    def short(xp, x, y):
        far = xp.abs(x - y.T)
        return xp.where(far <= 0.8, far, xp.inf * xp.ones_like(far))

    for block in (None, 2):
        solution = xs.sinkhorn(a, a, xs.PointCloud(x, y, block, short), 0.1)
        assert solution.converged
        assert np.all(solution.plan()[np.abs(x - y.T) > 0.8] == 0)


def test_scales(rng):
    x, y, a, b = rng.random((6, 2)), rng.random((5, 2)), histogram(rng, 6), histogram(rng, 5)
    for cost, power in (("sqeuclidean", 2), ("euclidean", 1), (cubes, 3)):
        plain = xs.sinkhorn(a, b, xs.PointCloud(x, y, cost=cost), 0.1)
        for scale in (2.0**-60, 2.0**60):
            cloud = xs.PointCloud(scale * x, scale * y, cost=cost)
            scaled = xs.sinkhorn(a, b, cloud, 0.1 * scale**power)
            assert scaled.converged
            assert_close(scaled.plan(), plain.plan(), rtol=1e-9)
            assert float(scaled.cost) / scale**power == pytest.approx(float(plain.cost), rel=1e-9)


# --- derivatives


@pytest.mark.of("sinkhorn_gradient")
@KINDS
def test_gradients_in_points_on_every_backend(xp, rng, cost):
    a, b, x, y = histogram(rng, 7), histogram(rng, 5), rng.random((7, 2)), rng.random((5, 2))
    expected = xs.sinkhorn_gradient(a, b, xs.PointCloud(x, y, cost=cost), 0.1, tol=1e-12)[2]
    for block in (None, 3):
        found = xs.sinkhorn_gradient(xp(a), xp(b), xs.PointCloud(xp(x), xp(y), block, cost), 0.1, tol=tolerance(xp))[2]
        for g, e in zip(found, expected, strict=True):
            assert_close(g, e, rtol=0, atol=near(xp))


@KINDS
@pytest.mark.parametrize("block", [None, 4])
def test_gradients_in_points_by_taylor(rng, cost, block):
    a, b, x, y = histogram(rng, 9), histogram(rng, 5), rng.random((9, 2)), rng.random((5, 2))

    def value(x, y):
        return np.asarray(xs.sinkhorn(a, b, xs.PointCloud(x, y, block, cost), 0.1, tol=1e-13).value)

    _, _, (g_x, g_y) = xs.sinkhorn_gradient(a, b, xs.PointCloud(x, y, block, cost), 0.1, tol=1e-13)
    slope_test(lambda v: value(x + 0.05 * (v - x), y), lambda v: np.sum(g_x * 0.05 * v), x)
    slope_test(lambda v: value(x, y + 0.05 * (v - y)), lambda v: np.sum(g_y * 0.05 * v), y)
    by_tape = autodiff.grad(
        lambda x, y: xs.sinkhorn(a, b, xs.PointCloud(x, y, cost=cost), 0.1, tol=1e-13).value, (0, 1)
    )
    for g, e in zip(by_tape(x, y), (g_x, g_y), strict=True):
        assert_close(g, e, rtol=1e-8, atol=1e-10)


@KINDS
def test_gradients_of_many_problems(rng, cost):
    x, y, a, b = rng.random((3, 6, 2)), rng.random((3, 5, 2)), histogram(rng, 3, 6), histogram(rng, 5)
    for given, block in ((x, None), (x, 4), (x[0], None), (x[0], 4)):
        g_x, g_y = xs.sinkhorn_gradient(a, b, xs.PointCloud(given, y, block, cost), 0.1, tol=1e-12)[2]
        assert g_x.shape == (3, 6, 2)
        assert g_y.shape == (3, 5, 2)
        for k in range(3):
            one = xs.PointCloud(given[k] if given.ndim == 3 else given, y[k], block, cost)
            e_x, e_y = xs.sinkhorn_gradient(a[k], b, one, 0.1, tol=1e-12)[2]
            assert_close(g_x[k], e_x, rtol=0, atol=1e-8)
            assert_close(g_y[k], e_y, rtol=0, atol=1e-8)
    found = autodiff.grad(lambda x: np_sum(xs.sinkhorn(a, b, xs.PointCloud(x, y, cost=cost), 0.1, tol=1e-12).value))(x)
    assert_close(found, xs.sinkhorn_gradient(a, b, xs.PointCloud(x, y, cost=cost), 0.1, tol=1e-12)[2][0], atol=1e-8)


def np_sum(x):
    return namespace_of(x).sum(x)


def test_points_that_coincide_have_finite_derivatives(rng):
    x, a = rng.random((5, 2)), histogram(rng, 5)
    g_x, g_y = xs.sinkhorn_gradient(a, a, xs.PointCloud(x, x.copy(), cost="euclidean"), 0.1)[2]
    assert np.isfinite(g_x).all()
    assert_close(g_x, g_y, atol=1e-6)


def test_under_jit(rng):
    jax = pytest.importorskip("jax")
    x, y = (jax.numpy.asarray(z) for z in (rng.random((2, 6, 2)), rng.random((2, 5, 2))))
    a, b = jax.numpy.ones(6) / 6, jax.numpy.ones(5) / 5
    for cost in COSTS:
        solve = jax.jit(lambda x, y, cost=cost: xs.sinkhorn(a, b, xs.PointCloud(x, y, cost=cost), 0.1))
        assert solve(x, y).converged
        plain = xs.sinkhorn(a, b, xs.PointCloud(x, y, cost=cost), 0.1)
        assert_close(solve(x, y).plan(), plain.plan(), rtol=0, atol=1e-8)


# --- divergences of any cost


@pytest.mark.of("sinkhorn_divergence")
def test_a_divergence_from_three_costs(xp, rng):
    a, b, x, y = histogram(rng, 6), histogram(rng, 5), rng.random((6, 2)), rng.random((5, 2))
    for cost, matrix in COSTS.items():
        there = tuple(xp(matrix(p, q)) for p, q in ((x, y), (x, x), (y, y)))
        tol = 10 * tolerance(xp)
        S = xs.sinkhorn_divergence(xp(a), xp(b), there, 0.3, tol=tol)
        cloud = xs.sinkhorn_divergence(xp(a), xp(b), xs.PointCloud(xp(x), xp(y), cost=cost), 0.3, tol=tol)
        assert float(S) == pytest.approx(float(cloud), abs=near(xp))
        assert float(S) > 0
    same = xs.sinkhorn_divergence(xp(a), xp(a), (there[1], there[1], there[1]), 0.3, tol=tol)
    assert abs(float(same)) < near(xp)


def test_divergences_are_those_of_their_parts_and_have_derivatives(rng):
    a, b, x, y = histogram(rng, 6), histogram(rng, 5), rng.random((6, 2)), rng.random((5, 2))
    for cost in COSTS:
        value = lambda p, q, s, t, cost=cost: float(xs.sinkhorn(p, q, COSTS[cost](s, t), 0.2, tol=1e-12).value)  # noqa: E731
        of_x = lambda x, cost=cost: xs.sinkhorn_divergence(a, b, xs.PointCloud(x, y, cost=cost), 0.2, tol=1e-12)  # noqa: E731
        expected = value(a, b, x, y) - (value(a, a, x, x) + value(b, b, y, y)) / 2
        assert float(of_x(x)) == pytest.approx(expected, abs=1e-9)
        g = autodiff.grad(of_x)(x)
        assert_close(g, autodiff.finite_difference(of_x, x, scheme="central", eps=1e-5), rtol=1e-5, atol=1e-6)
    many = xs.sinkhorn_divergence(a, b, xs.PointCloud(np.stack([x, x + 1]), y), 0.2)
    assert many.shape == (2,)
    assert float(many[0]) == pytest.approx(float(xs.sinkhorn_divergence(a, b, xs.PointCloud(x, y), 0.2)), abs=1e-8)
    C = [COSTS["euclidean"](p, q) for p, q in ((x, y), (x, x), (y, y))]
    S = lambda *C: xs.sinkhorn_divergence(a, b, C, 0.2, tol=1e-12)  # noqa: E731
    g = autodiff.grad(S, (0, 1, 2))(*C)
    for i in range(3):
        at = lambda Z, i=i: np.asarray(S(*(Z if k == i else X for k, X in enumerate(C))))  # noqa: E731
        assert_close(g[i], autodiff.finite_difference(at, C[i], scheme="central", eps=1e-6), rtol=1e-4, atol=1e-6)


# --- arguments


@pytest.mark.parametrize(
    ("cloud", "error", "match"),
    [
        ({"cost": "manhattan"}, ValueError, "M.cost: expected"),
        ({"cost": 3}, TypeError, "M.cost: expected"),
        ({"cost": lambda xp, x, y: xp.zeros((2, 2))}, ValueError, r"M.cost: expected a function .* of shape \(4, 3\)"),
        ({"cost": lambda xp, x, y: 0.0}, ValueError, "M.cost: expected a function that returns an array"),
        ({"cost": lambda xp, x, y: x @ y.T * xp.nan}, ValueError, "M.cost: expected a function whose values"),
        ({"x": np.ones((2, 4, 2)), "y": np.ones((5, 3, 2))}, ValueError, "M: expected one number of problems"),
        ({"x": np.ones(4)}, ValueError, "M.x"),
        ({"x": np.ones((4, 7))}, ValueError, "M: expected points x and y of one dimension"),
        ({"x": np.full((4, 2), math.nan)}, ValueError, "M.x: expected finite numbers"),
    ],
)
def test_clouds_that_cannot_be(cloud, error, match):
    given = {"x": np.ones((4, 2)), "y": np.zeros((3, 2))} | cloud
    with pytest.raises(error, match=match):
        xs.sinkhorn(np.ones(4) / 4, np.ones(3) / 3, xs.PointCloud(**given), 0.1)


def test_batches_that_disagree():
    with pytest.raises(ValueError, match="a, b, M and eps: expected one number of problems"):
        xs.sinkhorn(np.ones((2, 4)) / 4, np.ones(3) / 3, xs.PointCloud(np.ones((5, 4, 2)), np.zeros((3, 2))), 0.1)
    with pytest.raises(TypeError, match="three costs"):
        xs.sinkhorn_divergence(np.ones(4) / 4, np.ones(4) / 4, (np.eye(4), np.eye(4)), 0.1)


def test_what_a_cloud_says():
    x = np.ones((4, 2))
    assert "euclidean" not in repr(xs.PointCloud(x, x))
    assert "cost='euclidean'" in repr(xs.PointCloud(x, x, cost="euclidean"))
    assert "cost" in repr(xs.PointCloud(x, x, cost=cubes))
