"""Unbalanced transport: POT, scipy on the dual, the gap in extended precision, limits, scales and derivatives."""

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays import backends, namespace_of
from xpsolve.solution import ConvergenceWarning
from xpsolve.testing import assert_close, assert_like, check_cost, slope_test

METHODS = costs.SINKHORN_METHODS
INF = math.inf


def weights(rng, *shape, zeros=0):
    a = rng.random(shape) + 0.1
    a[..., :zeros] = 0
    return a


def squared(x, y):
    return np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)


def problem(rng, n=9, m=7, zeros=0):
    return weights(rng, n, zeros=zeros), 2 * weights(rng, m), squared(rng.random((n, 2)), rng.random((m, 2)))


def by_dual(a, b, M, eps, rho):
    """The plan from the dual, by a method of scipy's that knows nothing of scalings."""
    n = a.shape[0]

    def dual(z):
        f, g = z[:n], z[n:]
        P = np.exp((f[:, None] + g - M) / eps)
        value, slope = eps * P.sum(), []
        for x, y, r, s in ((a, f, P.sum(1), rho[0]), (b, g, P.sum(0), rho[1])):
            value -= np.sum(x * y) if s == INF else -s * np.sum(x * np.expm1(-y / s))
            slope.append(r - (x if s == INF else x * np.exp(-y / s)))
        return value, np.concatenate(slope)

    found = minimize(
        dual, np.zeros(n + b.shape[0]), jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "ftol": 0}
    )
    f, g = found.x[:n], found.x[n:]
    return np.exp((f[:, None] + g - M) / eps), -found.fun


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("marginal", [0.3, (INF, 0.5), (2.0, 0.1)])
def test_every_method_on_every_backend(xp, rng, method, marginal):
    a, b, M = problem(rng, zeros=2)
    tol = 1e-9 if xp.exact else 1e-6
    solution = xs.sinkhorn(xp(a), xp(b), xp(M), 0.2, marginal=marginal, method=method, tol=tol)
    assert solution.converged
    assert solution.method == method
    for x in (*solution.x, solution.plan(), solution.value, solution.cost):
        assert_like(x, xp(a))
    rho = marginal if isinstance(marginal, tuple) else (marginal, marginal)
    P, value = by_dual(a[2:], b, M[2:], 0.2, rho)
    plan = backends.to_numpy(solution.plan())
    assert np.all(plan[:2] == 0)
    assert_close(plan[2:], P, rtol=0, atol=1e-4 if xp.exact else 3e-3)
    assert float(solution.value) == pytest.approx(value, rel=1e-8 if xp.exact else 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_plans_are_those_of_pot(method):
    ot = pytest.importorskip("ot")
    for seed in range(12):
        rng = np.random.default_rng(seed)
        a, b, M = problem(rng, *rng.integers(2, 15, 2))
        eps, rho = 10.0 ** rng.uniform(-1.5, 0.5), 10.0 ** rng.uniform(-2, 1, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            P = ot.unbalanced.sinkhorn_unbalanced(
                a, b, M, eps, tuple(rho), reg_type="entropy", numItermax=100_000, stopThr=1e-15
            )
        solution = xs.sinkhorn(a, b, M, eps, marginal=tuple(rho), method=method, tol=1e-20)
        assert solution.converged
        assert_close(solution.plan(), P, rtol=1e-7, atol=1e-9)


def test_an_infinite_price_is_the_balanced_problem(rng):
    a, b, M = problem(rng)
    a, b = a / a.sum(), b / b.sum()
    balanced = xs.sinkhorn(a, b, M, 0.1)
    for marginal in (INF, (INF, INF)):
        same = xs.sinkhorn(a, b, M, 0.1, marginal=marginal)
        assert_close(same.x[0], balanced.x[0], rtol=0)
        assert same.certificate.name == balanced.certificate.name
    near = xs.sinkhorn(a, b, M, 0.1, marginal=1e7, tol=1e-14)
    assert_close(near.plan(), balanced.plan(), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="a and b: expected the same sum"):
        xs.sinkhorn(a, 2 * b, M, 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_what_each_price_does_to_the_mass(rng, method):
    """All of the mass is destroyed where moving is dear, and an exact side keeps its own."""
    a, b, M = problem(rng)
    little = xs.sinkhorn(a, b, M + 3, 0.1, marginal=0.05, method=method)
    assert float(np.sum(little.plan())) < 1e-5
    assert float(little.value) == pytest.approx(0.05 * (a.sum() + b.sum()), rel=1e-6)
    half = xs.sinkhorn(a, b, M, 0.1, marginal=(INF, 0.5), method=method, tol=1e-20)
    assert_close(half.plan().sum(1), a, rtol=1e-9)
    other = xs.sinkhorn(a, b, M, 0.1, marginal=(0.5, INF), method=method, tol=1e-20)
    assert_close(other.plan().sum(0), b, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps", [1.0, 0.05])
def test_the_price_hardly_matters_to_the_number_of_iterations(rng, method, eps):
    """Plain steps find the constant between f and g in ρ/ε iterations; here it is the best one at every check."""
    a, b, M = problem(rng)
    counts = [xs.sinkhorn(a, b, M, eps, marginal=rho, method=method).n_iter for rho in (1.0, 1e2, 1e4, 1e6)]
    assert max(counts) <= 3 * counts[0] + 40


def test_scales_of_costs_and_weights(rng):
    a, b, M = problem(rng)
    plain = xs.sinkhorn(a, b, M, 0.1, marginal=0.7)
    for scale in (2.0**-300, 2.0**-8, 2.0**8, 2.0**300):
        scaled = xs.sinkhorn(a, b, scale * M, 0.1 * scale, marginal=0.7 * scale)
        assert scaled.converged
        assert_close(scaled.plan(), plain.plan(), rtol=1e-12)
        assert_close(scaled.x[0] / scale, plain.x[0], rtol=1e-9, atol=1e-12)
    for scale in (1e-30, 1e30):  # P ~ scale^(2ρ/(2ρ + ε)): the entropy of P has no unit of mass
        scaled = xs.sinkhorn(scale * a, scale * b, M, 0.1, marginal=0.7)
        assert scaled.converged
        assert_close(scaled.plan() / scale ** (1.4 / 1.5), plain.plan(), rtol=1e-3)


@pytest.mark.parametrize("rho", [1e-9, 1e-4, 1e6])
@pytest.mark.parametrize("method", ["auto", "log"])
def test_prices_far_from_eps(rng, rho, method):
    a, b, M = problem(rng)
    solution = xs.sinkhorn(a, b, M, 1.0, marginal=rho, method=method)
    assert solution.converged
    if rho < 1:
        assert_close(solution.plan().sum(1), np.sum(np.exp(-M), axis=1), rtol=2e-3, atol=0)  # f and g are nearly 0


def test_a_price_is_not_called_converged_too_soon(rng):
    a, b, M = problem(rng)
    with pytest.warns(ConvergenceWarning):
        solution = xs.sinkhorn(a, b, M, 1e-3, marginal=1.0, max_iter=20, tol=1e-12)
    assert not solution.converged
    assert solution.certificate.value > 1e-12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_potentials_that_a_high_price_rounds_are_not_called_converged(rng, method, dtype):
    """f ~ ρ log(Σa/Σb)/2 is then so large that f + g has lost its digits: the oracle judges what is returned."""
    a, b, M = (x.astype(dtype) for x in problem(rng))
    rounded = []
    for rho in 10.0 ** np.arange(2, 16, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            rounded.append(xs.sinkhorn(a, b, M, 1.0, marginal=rho, method=method, tol=1e-6).converged)
    assert rounded[0]
    assert not rounded[-1]


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("far", [INF, 1e5])
def test_points_that_nothing_reaches(rng, method, far):
    """Mass that cannot be moved is destroyed: no NaN, and what is left is the problem without it."""
    a, b, M = problem(rng)
    M[3], M[:, 2] = far, far
    solution = xs.sinkhorn(a, b, M, 0.1, marginal=0.5, method=method)
    P = solution.plan()
    assert solution.converged
    assert np.isfinite(P).all()
    assert np.isfinite(solution.x[0]).all()
    rest = xs.sinkhorn(np.delete(a, 3), np.delete(b, 2), np.delete(np.delete(M, 3, 0), 2, 1), 0.1, marginal=0.5)
    assert_close(np.delete(np.delete(P, 3, 0), 2, 1), rest.plan(), rtol=0, atol=1e-5)
    assert np.all(P[3] == 0)
    assert float(solution.value) == pytest.approx(float(rest.value) + 0.5 * (a[3] + b[2]), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_histogram_onto_itself(rng, method):
    x, a = rng.standard_normal((8, 3)), weights(rng, 8)
    for M, rho in itertools.product((xs.PointCloud(x, x), squared(x, x)), (0.1, 1e3)):
        solution = xs.sinkhorn(a, a, M, 0.1, marginal=rho, method=method)
        assert solution.converged
        assert solution.n_iter <= 40
        assert_close(solution.plan(), solution.plan().T, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_many_at_once_are_those_one_by_one(rng, method):
    a, b, M = weights(rng, 3, 6), weights(rng, 3, 5), rng.random((6, 5))
    for cost in (M, rng.random((3, 6, 5))):
        many = xs.sinkhorn(a, b, cost, 0.05, marginal=(0.3, 2.0), method=method, tol=1e-18)
        assert many.converged
        for k in range(3):
            one = xs.sinkhorn(a[k], b[k], cost if cost.ndim == 2 else cost[k], 0.05, marginal=(0.3, 2.0), tol=1e-18)
            assert_close(many.plan()[k], one.plan(), rtol=1e-7, atol=1e-11)
            assert float(many.value[k]) == pytest.approx(float(one.value), rel=1e-12)


def test_points_grids_starts_histories_and_kept_kernels(rng):
    x, y = rng.random((9, 2)), rng.random((7, 2))
    a, b = weights(rng, 9), weights(rng, 7)
    cloud = xs.sinkhorn(a, b, xs.PointCloud(x, y), 0.1, marginal=0.4, tol=1e-14)
    blocks = xs.sinkhorn(a, b, xs.PointCloud(x, y, 4), 0.1, marginal=0.4, tol=1e-14, keep_kernel=True)
    kept = xs.sinkhorn(a, b, squared(x, y), 0.1, marginal=0.4, tol=1e-14, keep_kernel=True, record=True)
    assert_close(cloud.plan(), kept.plan(), rtol=0, atol=1e-7)
    assert_close(blocks.plan(), kept.plan(), rtol=0, atol=1e-7)
    certificates = kept.history["certificate"]
    assert certificates.shape[0] == kept.n_iter + 1
    assert float(certificates[-1]) == pytest.approx(kept.certificate.value, rel=0.1, abs=1e-25)
    for method in METHODS:
        again = xs.sinkhorn(a, b, squared(x, y), 0.1, marginal=0.4, x0=kept.x, method=method)
        assert again.n_iter == 0
        assert again.converged
    p = weights(rng, 12)
    grid = xs.Grid(np.linspace(0, 1, 3), np.linspace(0, 1, 4))
    points = grid.points()
    for method in ("scaling", "log"):
        on_grid = xs.sinkhorn(p, p[::-1], grid, 0.1, marginal=0.4, method=method, tol=1e-16)
        assert_close(
            on_grid.plan(), xs.sinkhorn(p, p[::-1], squared(points, points), 0.1, marginal=0.4, tol=1e-16).plan()
        )


def test_increments_in_float32_find_the_same_plan(rng):
    a, b, M = problem(rng, 30, 25, zeros=3)
    for method, eps in itertools.product(("scaling", "stabilized"), (0.2, 0.005)):
        full, mixed = (
            xs.sinkhorn(a, b, M, eps, marginal=1.0, method=method, mixed=m, tol=1e-18) for m in (False, True)
        )
        assert mixed.converged
        assert mixed.n_iter <= 1.3 * full.n_iter + 20
        assert_close(mixed.plan(), full.plan(), rtol=0, atol=1e-8)


# --- derivatives


@pytest.mark.parametrize("marginal", [0.4, (0.2, INF), (INF, 3.0)])
def test_derivatives_by_differences_and_through_iterations(rng, marginal):
    a, b, M = problem(rng, 5, 4)

    def value(a, b, M):
        return xs.sinkhorn(a, b, M, 0.3, marginal=marginal, tol=1e-26).value

    def mass(a, b, M):
        solution = xs.sinkhorn(a, b, M, 0.3, marginal=marginal, tol=1e-26)
        P, (f, g) = solution.plan(), solution.x
        xp = namespace_of(P)
        return xp.sum(P * P) + xp.sum(f) + xp.sum(g * g)

    for f in (value, mass):
        found = autodiff.grad(f, (0, 1, 2))(a, b, M)
        with autodiff.unrolled():
            through = autodiff.grad(f, (0, 1, 2))(a, b, M)
        for i, (g, t) in enumerate(zip(found, through, strict=True)):
            at = lambda x, i=i, f=f: np.asarray(f(*(x if k == i else y for k, y in enumerate((a, b, M)))))  # noqa: E731
            differences = autodiff.finite_difference(at, (a, b, M)[i], scheme="central", eps=1e-5)
            assert_close(g, differences, rtol=1e-5, atol=1e-6)
            assert_close(g, t, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("marginal", [0.4, (0.2, INF)])
def test_the_gradient_by_the_envelope_theorem(rng, marginal):
    a, b, M = problem(rng, 6, 5)
    options = {"marginal": marginal, "tol": 1e-26}

    def value(a, b, M):
        return np.asarray(xs.sinkhorn(a, b, M, 0.2, **options).value)

    g_a, g_b, g_M = xs.sinkhorn_gradient(a, b, M, 0.2, **options)
    slope_test(lambda v: value(a + 0.05 * a * (v - a), b, M), lambda v: np.sum(g_a * 0.05 * a * v), a)
    slope_test(lambda v: value(a, b + 0.05 * b * (v - b), M), lambda v: np.sum(g_b * 0.05 * b * v), b)
    slope_test(lambda v: value(a, b, v), lambda v: np.sum(g_M * v), M)


def test_under_jit(rng):
    jax = pytest.importorskip("jax")
    a, b, M = (jax.numpy.asarray(x) for x in problem(rng))
    solve = jax.jit(lambda a, b, M: xs.sinkhorn(a, b, M, 0.1, marginal=0.5))
    solution, plain = solve(a, b, M), xs.sinkhorn(a, b, M, 0.1, marginal=0.5)
    assert solution.converged
    assert_close(solution.plan(), plain.plan(), rtol=0, atol=1e-4)


# --- arguments


@pytest.mark.parametrize(
    ("marginal", "error", "match"),
    [
        (0.0, ValueError, "marginal: expected a positive number"),
        (-1.0, ValueError, "marginal: expected a positive number"),
        (math.nan, ValueError, "marginal: expected a positive number"),
        ("kl", TypeError, "marginal: expected a positive number"),
        ((1.0, 0.0), ValueError, r"marginal\[1\]: expected a positive number"),
        ((1.0, 1.0, 1.0), ValueError, "marginal: expected a number or a pair"),
        (1e40, ValueError, "marginal: expected inf, or a number between"),
        (1e-40, ValueError, "marginal: expected inf, or a number between"),
    ],
)
def test_prices_that_cannot_be(rng, marginal, error, match):
    a, b, M = problem(rng)
    with pytest.raises(error, match=match):
        xs.sinkhorn(a, b, M, 0.1, marginal=marginal)


def test_weights_that_cannot_be(rng):
    a, b, M = problem(rng)
    for x, y, match in ((0 * a, b, "a: expected some mass"), (a, 0 * b, "b: expected some mass"), (-a, b, "a: exp")):
        with pytest.raises(ValueError, match=match):
            xs.sinkhorn(x, y, M, 0.1, marginal=1.0)
    with pytest.raises(ValueError, match="marginal: expected inf"):
        xs.sinkhorn_divergence(a, a, xs.PointCloud(a[:, None], a[:, None]), 0.1, marginal=1.0)


@pytest.mark.parametrize("method", METHODS)
def test_counted_products_are_the_costs(rng, method):
    a, b, M = problem(rng, 20, 30)
    options = {"marginal": 0.1, "method": method, "max_iter": 30, "tol": 0.0, "check_finite": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, tally = xs.count(xs.sinkhorn, a, b, 0.1 * M, 0.1, **options)
    check_cost(tally, costs.sinkhorn(20, 30, method=method, n_iter=30, unbalanced=True))
