"""The gradient by the envelope theorem, the divergence and barycentres: finite differences, identities and POT."""

import warnings

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import costs
from xpsolve.arrays import backends
from xpsolve.capabilities import TABLE
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, assert_like, check_cost, check_solution, slope_test


def histogram(rng, *shape):
    a = rng.random(shape) + 0.1
    return a / a.sum(axis=-1, keepdims=True)


def value(a, b, M, eps=0.1):
    return np.asarray(xs.sinkhorn(a, b, M, eps, tol=1e-13).value)


@pytest.mark.of("sinkhorn_gradient")
def test_gradients_live_where_the_inputs_do(xp, rng):
    a, b, M = xp(histogram(rng, 8)), xp(histogram(rng, 7)), xp(rng.random((8, 7)))
    tol = 1e-9 if xp.exact else 1e-5
    g_a, g_b, g_M = xs.sinkhorn_gradient(a, b, M, 0.2, tol=tol)
    for g, x in ((g_a, a), (g_b, b), (g_M, M)):
        assert_like(g, x)
        assert tuple(g.shape) == tuple(x.shape)
    assert abs(float(xp.xp.sum(g_a))) < 100 * xp.eps
    assert_close(g_M, xs.sinkhorn(a, b, M, 0.2, tol=tol).plan())


def test_gradient_in_weights_and_costs_by_taylor(rng):
    a, b, M = histogram(rng, 6), histogram(rng, 5), rng.random((6, 5))
    g_a, g_b, g_M = xs.sinkhorn_gradient(a, b, M, 0.1, tol=1e-13)

    def moved(x, v):  # along histograms of the same mass
        return x + 0.05 * (v - np.mean(v)) * x.min()

    def along(g, x):
        return lambda v: np.sum(g * (moved(x, v) - x))

    zero = np.zeros(6)
    slope_test(lambda v: value(moved(a, v), b, M), along(g_a, a), zero)
    slope_test(lambda v: value(a, moved(b, v), M), along(g_b, b), np.zeros(5))
    slope_test(lambda C: value(a, b, C), lambda v: np.sum(g_M * v), M)


@pytest.mark.parametrize("block", [None, 4])
def test_gradient_in_points_by_taylor(rng, block):
    a, b, x, y = histogram(rng, 9), histogram(rng, 5), rng.random((9, 2)), rng.random((5, 2))
    _, _, (g_x, g_y) = xs.sinkhorn_gradient(a, b, xs.PointCloud(x, y, block), 0.1, tol=1e-13)
    slope_test(lambda p: value(a, b, xs.PointCloud(p, y)), lambda v: np.sum(g_x * v), x)
    slope_test(lambda p: value(a, b, xs.PointCloud(x, p)), lambda v: np.sum(g_y * v), y)


def test_gradients_of_many_problems(rng):
    a, b, x, y = histogram(rng, 3, 6), histogram(rng, 3, 5), rng.random((6, 2)), rng.random((5, 2))
    together = xs.sinkhorn_gradient(a, b, xs.PointCloud(x, y), 0.1)
    for k in range(3):
        g_a, g_b, (g_x, g_y) = xs.sinkhorn_gradient(a[k], b[k], xs.PointCloud(x, y), 0.1)
        assert_close(together[0][k], g_a, atol=1e-7)
        assert_close(together[1][k], g_b, atol=1e-7)
        assert_close(together[2][0][k], g_x, atol=1e-7)
        assert_close(together[2][1][k], g_y, atol=1e-7)


def test_points_without_mass_have_no_gradient(rng):
    a = np.asarray([0.0, 0.4, 0.6])
    g_a, _, (g_x, _) = xs.sinkhorn_gradient(a, a, xs.PointCloud(rng.random((3, 1)), rng.random((3, 1))), 0.1)
    assert g_a[0] == -np.inf
    assert np.sum(g_a[1:]) == pytest.approx(0, abs=1e-12)
    assert np.all(g_x[0] == 0)


def test_a_gradient_costs_one_pass_more(rng):
    a, b, M = histogram(rng, 9), histogram(rng, 7), rng.random((9, 7))
    for method in costs.SINKHORN_METHODS:
        solution, solve = xs.count(xs.sinkhorn, a, b, M, 0.1, check_finite=False, method=method)
        _, gradient = xs.count(xs.sinkhorn_gradient, a, b, M, 0.1, check_finite=False, method=method)
        stated = [f(9, 7, n_iter=solution.n_iter, method=method) for f in (costs.sinkhorn, costs.sinkhorn_gradient)]
        for name in ("product_flops", "launches", "syncs"):
            of_cost = name.removeprefix("product_")
            assert getattr(gradient, name) - getattr(solve, name) == getattr(stated[1], of_cost) - getattr(
                stated[0], of_cost
            )


def test_a_grid_has_no_gradient():
    one = np.ones(1)
    with pytest.raises(TypeError, match="M: expected an array or a PointCloud, got a Grid"):
        xs.sinkhorn_gradient(one, one, xs.Grid(one), 1.0)


# --- divergence


@pytest.mark.of("sinkhorn_divergence")
def test_divergence_is_zero_only_for_equal_histograms(xp, rng):
    a, b, x = xp(histogram(rng, 8)), xp(histogram(rng, 8)), xp(rng.random((8, 2)))
    cloud = xs.PointCloud(x, x)
    tol = 1e-9 if xp.exact else 1e-5
    same, other = (xs.sinkhorn_divergence(a, c, cloud, 0.5, tol=tol) for c in (a, b))
    assert_like(same, a)
    assert abs(float(same)) < 10 * tol
    assert float(other) > 100 * abs(float(same))


def test_divergence_of_a_shift_is_its_square(rng):
    a, x = histogram(rng, 8), rng.random((8, 2))
    shift = np.asarray([0.3, -0.4])
    assert float(xs.sinkhorn_divergence(a, a, xs.PointCloud(x, x + shift), 0.1)) == pytest.approx(0.25, abs=1e-7)


def test_divergence_is_that_of_pot(rng):
    ot = pytest.importorskip("ot")
    a, b, x, y = histogram(rng, 8), histogram(rng, 7), rng.random((8, 2)), rng.random((7, 2))
    ours = xs.sinkhorn_divergence(a, b, xs.PointCloud(x, y), 0.2)
    # POT leaves the entropy out of the value of each plan
    plans = [
        xs.sinkhorn(p, q, xs.PointCloud(u, v), 0.2, tol=1e-12)
        for p, q, u, v in ((a, b, x, y), (a, a, x, x), (b, b, y, y))
    ]
    costs_alone = float(plans[0].cost - 0.5 * (plans[1].cost + plans[2].cost))
    theirs = ot.bregman.empirical_sinkhorn_divergence(x, y, 0.2, a, b, stopThr=1e-12)
    assert float(theirs) == pytest.approx(costs_alone, rel=1e-6)
    assert float(ours) == pytest.approx(float(plans[0].value - 0.5 * (plans[1].value + plans[2].value)), rel=1e-6)


def test_counted_products_of_a_divergence_are_the_costs(rng):
    a, b, cloud = histogram(rng, 9), histogram(rng, 7), xs.PointCloud(rng.random((9, 2)), rng.random((7, 2)))
    options = {"method": "scaling", "relaxation": 1.0, "tol": 0.0, "max_iter": 10, "check_finite": False}
    with pytest.warns(ConvergenceWarning):
        _, tally = xs.count(xs.sinkhorn_divergence, a, b, cloud, 0.5, **options)
    cost = costs.sinkhorn_divergence(9, 7, n_iter=10)
    check_cost(tally, cost)


def test_divergence_needs_points(rng):
    with pytest.raises(TypeError, match=r"M: expected a PointCloud, a Grid or three costs .*, got ndarray"):
        xs.sinkhorn_divergence(np.ones(2), np.ones(2), np.ones((2, 2)), 1.0)


# --- barycentres


@pytest.mark.of("barycenter")
def test_barycentre_on_every_backend(xp, rng):
    A, x = histogram(rng, 3, 10), np.linspace(0, 1, 10)
    there, axis, tol = xp(A), xp(x), 1e-8 if xp.exact else 1e-5
    solution = xs.barycenter(there, xs.Grid(axis), 0.05, xp([0.5, 0.25, 0.25]), tol=tol)
    check_solution(solution, like=there, shape=(10,))
    assert solution.converged
    assert float(xp.xp.sum(solution.x)) == pytest.approx(1, abs=100 * xp.eps)
    # no histogram nearby is closer
    b = backends.to_numpy(solution.x).astype(float)

    def total(c):
        return sum(
            w * float(value(a, c / c.sum(), xs.Grid(x), 0.05)) for w, a in zip((0.5, 0.25, 0.25), A, strict=True)
        )

    least = total(b)
    assert all(total(b * (1 + 0.1 * rng.standard_normal(10))) > least - 1e-9 for _ in range(5))


def test_barycentre_is_that_of_pot(rng):
    ot = pytest.importorskip("ot")
    A, M = histogram(rng, 3, 12), rng.random((12, 12))
    M = M + M.T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ot.barycenter(A.T, M, 0.1, stopThr=1e-12, numItermax=5000)
    assert_close(xs.barycenter(A, M, 0.1, tol=1e-10).x, expected, rtol=0, atol=1e-8)


def test_barycentre_of_one_weight_is_that_histogram_blurred(rng):
    A, x = histogram(rng, 2, 10), np.arange(10.0)
    K = np.exp(-((x[:, None] - x) ** 2) / 0.2)
    b = xs.barycenter(A, xs.Grid(x), 0.2, np.asarray([0.0, 1.0])).x
    assert_close(b, K @ (A[1] / K.sum(axis=1)), atol=1e-8)


def test_barycentre_of_shifted_bumps_lies_between():
    x = np.linspace(0, 1, 60)
    A = np.stack([np.exp(-((x - c) ** 2) / 0.005) for c in (0.3, 0.7)])
    A /= A.sum(axis=1, keepdims=True)
    b = xs.barycenter(A, xs.Grid(x), 0.002).x
    assert float(x @ b) == pytest.approx(0.5, abs=1e-6)
    assert abs(x[np.argmax(b)] - 0.5) < 0.02


def test_bad_input_of_barycentres(rng):
    A, M = histogram(rng, 2, 4), rng.random((4, 4))
    with pytest.raises(ValueError, match=r"weights: expected shape \(2,\)"):
        xs.barycenter(A, M, 1.0, np.ones(3))
    with pytest.raises(ValueError, match="weights: expected finite numbers >= 0"):
        xs.barycenter(A, M, 1.0, np.asarray([1.0, -1.0]))
    with pytest.raises(ValueError, match="same sum, got 2 and 1 in problem 1"):
        xs.barycenter(A * np.asarray([[1.0], [2.0]]), M, 1.0)
    with pytest.raises(ValueError, match=r"A: expected shape \(k, n\)"):
        xs.barycenter(A[0], M, 1.0)


@pytest.mark.parametrize("eps", [1e-3, 1e-4])
def test_barycentre_for_small_eps(eps):
    """Two Gaussian bumps have a third between them; K itself would underflow."""
    x = np.linspace(0, 1, 80)
    A = np.stack([np.exp(-((x - c) ** 2) / (2 * 0.06**2)) for c in (0.3, 0.7)])
    A[:, 0] = 0
    A /= A.sum(axis=1, keepdims=True)
    assert eps * 650 < 1
    solution = xs.barycenter(A, xs.Grid(x), eps, tol=1e-5)
    assert solution.converged
    assert solution.method == "log"
    b = solution.x
    mean = float(x @ b)
    assert mean == pytest.approx(0.5, abs=2e-3)
    # the entropy blurs each plan by about ε/2
    assert float((x - mean) ** 2 @ b) == pytest.approx(0.06**2 + eps / 2, rel=0.05)


def test_barycentre_in_logarithms_is_the_same(rng):
    A, M = histogram(rng, 3, 12), rng.random((12, 12))
    A[0, :2] = 0
    A /= A.sum(axis=1, keepdims=True)
    w = np.asarray([0.5, 0.3, 0.2])
    one, other = (xs.barycenter(A, M, 0.02, w, tol=1e-10, method=m) for m in ("scaling", "log"))
    assert (one.method, other.method) == ("scaling", "log")
    assert one.converged
    assert other.converged
    assert_close(other.x, one.x, rtol=0, atol=1e-8)


def test_barycentre_for_small_eps_is_that_of_pot(rng):
    ot = pytest.importorskip("ot")
    A, M = histogram(rng, 2, 8), rng.random((8, 8))
    M = M + M.T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ot.barycenter(A.T, M, 2e-3, method="sinkhorn_log", stopThr=1e-13, numItermax=20_000)
    solution = xs.barycenter(A, M, 2e-3, tol=1e-9, max_iter=20_000)
    assert solution.method == "log"
    assert_close(solution.x, expected, rtol=0, atol=1e-6)


def test_barycentre_stops_when_it_is_told(rng):
    A, M = histogram(rng, 2, 8), rng.random((8, 8))
    with pytest.warns(ConvergenceWarning, match="barycenter.*Stopped .* after 3 iterations"):
        assert xs.barycenter(A, M, 0.01, max_iter=3).status is Status.MAX_ITER
    assert xs.barycenter(A, M, 0.01, callback=lambda k, state: k >= 10).status is Status.STOPPED


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("method", ["scaling", "log"])
def test_counted_products_of_barycentres_are_the_costs(rng, method):
    A, M = histogram(rng, 3, 9), rng.random((9, 9))
    stop = {"max_iter": 30, "tol": 0.0, "check_finite": False, "method": method}
    solution, tally = xs.count(xs.barycenter, A, 0.01 * M, 0.5, **stop)
    cost = costs.barycenter(3, 9, method=method, n_iter=solution.n_iter)
    check_cost(tally, cost)
    assert cost.syncs <= solution.n_iter // 10 + TABLE["barycenter"].syncs
