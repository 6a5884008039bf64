"""An ε for each of many problems: as one by one, on every backend, with derivatives also in ε."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays import backends, namespace_of
from xpsolve.testing import assert_close, assert_like

METHODS = costs.SINKHORN_METHODS
EPS = np.asarray([0.02, 0.3, 4.0])


def histogram(rng, *shape):
    a = rng.random(shape) + 0.1
    return a / a.sum(axis=-1, keepdims=True)


def cubes(xp, x, y):
    return xp.sum(xp.abs(x[..., :, None, :] - y[..., None, :, :]) ** 3, axis=-1)


def geometries(rng):
    x, y = rng.random((6, 2)), rng.random((5, 2))
    return {
        "one matrix": lambda xp: xp(cubes(np, x, y)),
        "matrices": lambda xp: xp(np.stack([cubes(np, x, y), cubes(np, x + 1, y), cubes(np, 2 * x, y)])),
        "points": lambda xp: xs.PointCloud(xp(x), xp(y)),
        "distances": lambda xp: xs.PointCloud(xp(x), xp(y), 4, "euclidean"),
        "a function": lambda xp: xs.PointCloud(xp(x), xp(y), cost=cubes),
    }


def one_of(M, k):
    return M[k] if not isinstance(M, xs.PointCloud) and M.ndim == 3 else M


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("kind", ["one matrix", "matrices", "points", "distances", "a function"])
def test_on_every_backend(xp, rng, kind):
    a, b, make = histogram(rng, 6), histogram(rng, 3, 5), geometries(rng)[kind]
    tol, near = (1e-9, 1e-7) if xp.exact else (1e-4, 1e-3)
    for options in ({}, {"marginal": 0.5}):
        many = xs.sinkhorn(xp(a), xp(b), make(xp), xp(EPS), tol=tol, **options)
        assert many.converged
        for z, shape in ((many.x[0], (3, 6)), (many.value, (3,)), (many.cost, (3,)), (many.plan(), (3, 6, 5))):
            assert_like(z, xp(a))
            assert tuple(z.shape) == shape
        for k in range(3):
            one = xs.sinkhorn(a, b[k], one_of(make(np.asarray), k), float(EPS[k]), tol=1e-12, **options)
            close = near if not options else max(near, 1e-4) * 3
            assert_close(backends.to_numpy(many.plan())[k], one.plan(), rtol=0, atol=close)
            assert float(many.value[k]) == pytest.approx(float(one.value), rel=0, abs=10 * close * max(1, EPS[k]))
            assert float(many.cost[k]) == pytest.approx(float(one.cost), rel=0, abs=10 * close)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_starts_and_keeps(rng, method):
    a, b, M = histogram(rng, 6), histogram(rng, 5), rng.random((6, 5))
    many = xs.sinkhorn(a, b, M, EPS, method=method, record=True, keep_kernel=True)
    assert many.converged
    assert many.history["certificate"].shape[1:] == (3,)
    for k in range(3):
        one = xs.sinkhorn(a, b, M, float(EPS[k]), method=method)
        assert_close(many.plan()[k], one.plan(), rtol=0, atol=1e-8)
    again = xs.sinkhorn(a, b, M, EPS, method=method, x0=many.x)
    assert again.n_iter == 0
    seen = []
    xs.sinkhorn(a, b, M, EPS, method=method, callback=lambda k, progress: seen.append(progress.x))
    assert_close(seen[-1][0] - seen[-1][0][:, :1], many.x[0] - many.x[0][:, :1], rtol=1e-6, atol=1e-6)


def test_scales_and_one_problem(rng):
    a, b, M = histogram(rng, 6), histogram(rng, 5), rng.random((6, 5))
    plain = xs.sinkhorn(a, b, M, EPS)
    for scale in (2.0**-300, 2.0**300):
        scaled = xs.sinkhorn(a, b, scale * M, scale * EPS)
        assert scaled.converged
        assert_close(scaled.plan(), plain.plan(), rtol=1e-12)
        assert_close(scaled.value / scale, plain.value, rtol=1e-12)
    one = xs.sinkhorn(a, b, M, EPS[:1])
    assert one.plan().shape == (1, 6, 5)
    assert_close(one.plan(), plain.plan()[:1], rtol=0, atol=1e-8)


def test_derivatives_also_in_eps(rng):
    a, b, M = histogram(rng, 5), histogram(rng, 3, 4), rng.random((5, 4))
    x, y = rng.random((5, 2)), rng.random((4, 2))

    eps = np.asarray([0.2, 0.5, 1.0])

    def total(z):
        return namespace_of(z).sum(z)

    for options in ({}, {"marginal": 0.5}):
        value = lambda M, e, o=options: total(xs.sinkhorn(a, b, M, e, tol=1e-20 if o else 1e-13, **o).value)  # noqa: E731
        plan = lambda M, e, o=options: total(xs.sinkhorn(a, b, M, e, tol=1e-24 if o else 1e-13, **o).plan() ** 2)  # noqa: E731
        for f in (value, plan):
            found = autodiff.grad(f, (0, 1))(M, eps)
            of_M = autodiff.finite_difference(lambda z, f=f: f(z, eps), M, scheme="central", eps=1e-5)
            of_eps = autodiff.finite_difference(lambda z, f=f: f(M, z), eps, scheme="central", eps=1e-5)
            assert_close(found[0], of_M, rtol=1e-5, atol=1e-7)
            assert_close(found[1], of_eps, rtol=1e-5, atol=1e-7)
    for cost in ("sqeuclidean", "euclidean", cubes):
        of_x = lambda x, c=cost: total(xs.sinkhorn(a, b, xs.PointCloud(x, y, cost=c), eps, tol=1e-13).value)  # noqa: E731
        assert_close(autodiff.grad(of_x)(x), autodiff.finite_difference(of_x, x, scheme="central", eps=1e-5), rtol=1e-5)
        g_x = xs.sinkhorn_gradient(a, b, xs.PointCloud(x, y, cost=cost), eps, tol=1e-13)[2][0]
        assert_close(np.sum(g_x, axis=0), autodiff.grad(of_x)(x), rtol=1e-6, atol=1e-9)


def test_divergences_and_jit(rng):
    a, b, x, y = histogram(rng, 6), histogram(rng, 5), rng.random((6, 2)), rng.random((5, 2))
    S = xs.sinkhorn_divergence(a, b, xs.PointCloud(x, y), EPS)
    for k in range(3):
        assert float(S[k]) == pytest.approx(float(xs.sinkhorn_divergence(a, b, xs.PointCloud(x, y), EPS[k])), abs=1e-7)
    jax = pytest.importorskip("jax")
    there = [jax.numpy.asarray(z) for z in (a, b, cubes(np, x, y), EPS)]
    solution = jax.jit(lambda *z: xs.sinkhorn(*z))(*there)
    assert solution.converged
    assert_close(solution.plan(), xs.sinkhorn(*there).plan(), rtol=0, atol=1e-7)


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("kind", ["one matrix", "points", "distances", "a function", "a grid"])
def test_one_as_an_array(xp, rng, kind):
    a, b = histogram(rng, 6), histogram(rng, 6 if kind == "a grid" else 5)
    make = (lambda xp: xs.Grid(xp(np.linspace(0, 1, 6)))) if kind == "a grid" else geometries(rng)[kind]
    tol, near = (1e-9, 1e-7) if xp.dtype == "float64" else (1e-4, 1e-3)
    for options in ({}, {"marginal": 0.5}):
        found = xs.sinkhorn(xp(a), xp(b), make(xp), xp(np.asarray(0.3)), tol=tol, **options)
        assert found.converged
        assert found.eps.ndim == 0
        wanted = xs.sinkhorn(a, b, make(np.asarray), 0.3, tol=1e-12, **options)
        close = near if not options else max(near, 1e-4) * 3
        for name in ("value", "cost"):
            assert getattr(found, name).shape == ()
            assert float(getattr(found, name)) == pytest.approx(float(getattr(wanted, name)), rel=0, abs=10 * close)
        assert_close(backends.to_numpy(found.plan()), wanted.plan(), rtol=0, atol=close)
        assert_like(found.x[0], xp(a))
        assert tuple(found.x[0].shape) == (6,)


def test_one_as_an_array_for_many_problems(rng):
    a, b, M, eps = histogram(rng, 3, 6), histogram(rng, 5), rng.random((6, 5)), np.asarray(0.2)
    plain, found = xs.sinkhorn(a, b, M, 0.2), xs.sinkhorn(a, b, M, eps)
    assert_close(found.plan(), plain.plan(), rtol=0, atol=1e-8)
    again = xs.sinkhorn(a, b, M, eps, x0=found.x)
    assert again.n_iter == 0
    ones = np.ones(3)
    slope = autodiff.grad(lambda e: xs.sinkhorn(a, b, M, e, tol=1e-13).value @ ones)(eps)
    steps = [float(np.sum(xs.sinkhorn(a, b, M, 0.2 + h, tol=1e-13).value)) for h in (1e-5, -1e-5)]
    assert float(slope) == pytest.approx((steps[0] - steps[1]) / 2e-5, rel=1e-6)
    histograms = histogram(rng, 3, 5)
    plain, found = (xs.barycenter(histograms, M[:5, :] + M[:5, :].T, e).x for e in (0.2, eps))
    assert_close(found, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("eps", "error", "match"),
    [
        (np.asarray(0.0), ValueError, "eps: expected positive numbers"),
        (np.asarray(-1.0), ValueError, "eps: expected positive numbers"),
        (np.asarray(np.nan), ValueError, "eps: expected positive numbers"),
        (np.asarray([0.1, 0.0]), ValueError, "eps: expected positive numbers"),
        (np.asarray([0.1, -1.0]), ValueError, "eps: expected positive numbers"),
        (np.asarray([0.1, np.nan]), ValueError, "eps: expected positive numbers"),
        (np.asarray([[0.1]]), ValueError, "eps: expected"),
        (np.asarray([0.1, 0.2, 0.3]), ValueError, "a, b, M and eps: expected one number of problems"),
        ([0.1, 0.2], TypeError, "eps: expected a positive number"),
    ],
)
def test_eps_that_cannot_be(rng, eps, error, match):
    a, b = histogram(rng, 2, 4), histogram(rng, 2, 4)
    with pytest.raises(error, match=match):
        xs.sinkhorn(a, b, rng.random((4, 4)), eps)


def test_where_one_eps_serves_all(rng):
    a = histogram(rng, 2, 4)
    with pytest.raises(ValueError, match="eps: expected a number for a Grid"):
        xs.sinkhorn(a, a, xs.Grid(np.linspace(0, 1, 4)), EPS[:2])
    with pytest.raises(TypeError, match="eps: expected a positive number"):
        xs.barycenter(a, xs.Grid(np.linspace(0, 1, 4)), EPS[:2])
