"""Sinkhorn: marginals, limits and identities, POT and linear programming as oracles, and what it costs."""

import sys
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

import xpsolve as xs
from xpsolve import costs
from xpsolve.arrays import backends, iterate
from xpsolve.capabilities import TABLE
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, assert_like, check_cost

METHODS = costs.SINKHORN_METHODS


def squared(x, y):
    return np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)


def histogram(rng, *shape, zeros=0):
    a = rng.random(shape) + 0.1
    a[..., :zeros] = 0
    return a / a.sum(axis=-1, keepdims=True)


def transport(rng, n=12, m=9, zeros=0):
    return histogram(rng, n, zeros=zeros), histogram(rng, m), squared(rng.random((n, 2)), rng.random((m, 2)))


def marginal_error(P, a, b):
    return float(np.max(np.sum(np.abs(P.sum(axis=-1) - a), axis=-1) + np.sum(np.abs(P.sum(axis=-2) - b), axis=-1)))


def by_pot(a, b, M, eps):
    ot = pytest.importorskip("ot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the logarithm of a weight 0
        return ot.sinkhorn(a, b, M, eps, method="sinkhorn_log", stopThr=1e-13, numItermax=20_000)


def check(solution, a, b):
    """What every answer must satisfy, and its plan on the host."""
    f, g = solution.x
    P = solution.plan()
    for x in (f, g, P, solution.value, solution.cost):
        assert_like(x, a)
    host = [backends.to_numpy(x) for x in (P, a, b)]
    assert tuple(f.shape) == a.shape
    assert tuple(g.shape) == b.shape
    error, value = marginal_error(*host), solution.certificate.value
    assert abs(error - value) <= 1e-4 * value + 40 * np.finfo(host[0].dtype).eps
    if solution.converged:
        assert value <= solution.certificate.tol
        assert np.isfinite(host[0]).all()
        assert np.isfinite(backends.to_numpy(solution.value)).all()
    return host[0]


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", METHODS)
def test_marginals_on_every_backend(xp, rng, method):
    a, b, M = transport(rng, 8, 7, zeros=2)
    tol = 1e-9 if xp.exact else 1e-5
    there = xp(a), xp(b)
    solution = xs.sinkhorn(*there, xp(M), 0.2, method=method, tol=tol)
    assert solution.converged
    assert solution.method == method
    P = check(solution, *there)
    assert np.all(P[:2] == 0)
    oracle = by_pot(a, b, M, 0.2)
    assert_close(P, oracle, rtol=0, atol=1e-8 if xp.exact else 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_plans_are_those_of_pot(method):
    for seed in range(50):
        rng = np.random.default_rng(seed)
        n, m, zeros = rng.integers(2, 20), rng.integers(2, 20), seed % 2
        a, b, M = transport(rng, n, m, zeros)
        eps = 10.0 ** rng.uniform(-1.5, 0.5)
        solution = xs.sinkhorn(a, b, M, eps, method=method, tol=1e-11)
        assert solution.converged
        assert_close(solution.plan(), by_pot(a, b, M, eps), rtol=0, atol=1e-8)


@pytest.mark.parametrize("size", [10, 60])
def test_small_eps_is_linear_programming(rng, size):
    a, b, M = transport(rng, size, size - 3)
    rows, columns = np.kron(np.eye(size), np.ones(size - 3)), np.kron(np.ones(size), np.eye(size - 3))
    exact = linprog(M.reshape(-1), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a, b]), bounds=(0, None))
    least = exact.fun
    distances = []
    for eps in (1e-2, 1e-3, 3e-4):
        solution = xs.sinkhorn(a, b, M, eps, tol=1e-7)
        assert solution.converged
        distances.append(float(solution.cost) - least)
        # ⟨P, M⟩ + ε Σ P log P is least at the plan of ε: it loses at most ε times the entropy that it gains
        gain = -sum(
            float(np.sum(p * np.log(p, where=p > 0, out=np.zeros_like(p)))) * s
            for p, s in ((solution.plan(), 1), (exact.x, -1))
        )
        rounding = 1e-6 * float(M.max())
        assert -rounding <= distances[-1] <= eps * gain + rounding
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 2e-3 * least


def test_large_eps_is_the_product_of_the_histograms(rng):
    a, b, M = transport(rng)
    assert_close(xs.sinkhorn(a, b, M, 1e6).plan(), a[:, None] * b, rtol=1e-5)


@pytest.mark.parametrize("eps", [0.02, 0.2])
def test_gaussians_meet_their_closed_form(eps):
    """W of N(μ, s²) and N(ν, t²) for ‖x − y‖²: Janati et al. (2020), here with σ² = ε/2."""
    x = np.linspace(-9, 9, 400)
    mu, s, nu, t = -0.5, 0.7, 0.8, 1.1
    a, b = (np.exp(-((x - c) ** 2) / (2 * w * w)) for c, w in ((mu, s), (nu, t)))
    a, b = a / a.sum(), b / b.sum()
    solution = xs.sinkhorn(a, b, xs.PointCloud(x[:, None], x[:, None]), eps, tol=1e-10)
    covariance = 0.5 * (np.sqrt(4 * s * s * t * t + (eps / 2) ** 2) - eps / 2)
    expected = (mu - nu) ** 2 + s * s + t * t - 2 * covariance
    assert float(solution.cost) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", ["stabilized", "log", "auto"])
@pytest.mark.parametrize(("dtype", "part", "tol"), [("float64", 1e-5, 1e-5), ("float32", 1e-3, 3e-3)])
def test_small_eps_in_each_dtype(rng, method, dtype, part, tol):
    a, b, M = (x.astype(dtype) for x in transport(rng, 20, 15))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        solution = xs.sinkhorn(a, b, M, part * float(M.max()), method=method, tol=tol)
    assert solution.converged
    assert marginal_error(solution.plan(), a, b) <= 1.1 * tol


def test_float32_never_claims_what_it_cannot_hold(rng):
    a, b, M = (x.astype(np.float32) for x in transport(rng, 20, 15))
    for part in (1e-1, 1e-3):
        with pytest.warns(ConvergenceWarning, match=r"sinkhorn\(.*exceeds its tolerance.*larger eps"):
            solution = xs.sinkhorn(a, b, M, part * float(M.max()))
        assert solution.status is Status.INACCURATE
        assert solution.n_iter < 10_000


@pytest.mark.parametrize("method", METHODS)
def test_relaxation_reaches_the_same_plan_sooner(rng, method):
    a, b, M = transport(rng, 30, 25)
    plain, relaxed = (xs.sinkhorn(a, b, M, 0.01, method=method, relaxation=r) for r in (1.0, "auto"))
    assert plain.converged
    assert relaxed.converged
    assert relaxed.n_iter < plain.n_iter / 2
    assert_close(relaxed.plan(), plain.plan(), rtol=0, atol=1e-8)


def test_dual_potentials_bound_the_value(rng):
    a, b, M = transport(rng)
    solution = xs.sinkhorn(a, b, M, 0.05, tol=1e-12)
    P = solution.plan()
    primal = np.sum(P * M) + 0.05 * np.sum(P * (np.log(P) - 1))
    assert float(solution.value) == pytest.approx(primal, rel=1e-10)
    assert float(solution.cost) == pytest.approx(np.sum(P * M), rel=1e-12)


def test_invariances(rng):
    a, b, M = transport(rng)
    P = xs.sinkhorn(a, b, M, 0.05).plan()
    order = rng.permutation(a.size)
    shift = rng.random(a.size)
    assert_close(xs.sinkhorn(b, a, M.T, 0.05).plan().T, P, rtol=0, atol=1e-8)
    assert_close(xs.sinkhorn(a[order], b, M[order], 0.05).plan(), P[order], rtol=0, atol=1e-8)
    assert_close(xs.sinkhorn(a, b, M + shift[:, None] - 7, 0.05).plan(), P, rtol=0, atol=1e-8)
    assert_close(xs.sinkhorn(a, b, 3 * M, 0.15).plan(), P, rtol=0, atol=1e-8)
    assert_close(xs.sinkhorn(5 * a, 5 * b, M, 0.05).plan(), 5 * P, rtol=0, atol=1e-7)


def test_no_step_where_it_starts_solved(rng):
    a, b, M = transport(rng)
    for method in METHODS:
        first = xs.sinkhorn(a, b, M, 0.05, method=method, tol=1e-12)
        again = xs.sinkhorn(a, b, M, 0.05, method=method, x0=first.x)
        assert again.converged
        assert again.n_iter == 0


# --- failures that other implementations are known for


@pytest.mark.parametrize("method", METHODS)
def test_the_same_points_and_one_point(method):
    one = np.ones(1)
    assert_close(xs.sinkhorn(one, one, np.asarray([[3.0]]), 0.1, method=method).plan(), [[1.0]])
    x = np.linspace(0, 1, 5)[:, None]
    a = np.ones(5) / 5
    assert_close(xs.sinkhorn(a, a, squared(x, x), 1e-4, method="auto").plan(), np.eye(5) / 5, atol=1e-8)


def test_costs_that_are_huge(rng):
    a, b, M = transport(rng)
    for method in METHODS:
        P = xs.sinkhorn(a, b, M + 1e6, 0.05, method=method, tol=1e-8).plan()
        assert_close(P, xs.sinkhorn(a, b, M, 0.05).plan(), rtol=0, atol=1e-7)
    solution = xs.sinkhorn(a, b, 1e8 * M, 1e6)
    assert solution.converged


def test_underflow_is_a_status(rng):
    a, b, M = transport(rng)
    with pytest.warns(ConvergenceWarning, match="underflowed.*method='log', or 'stabilized'"):
        solution = xs.sinkhorn(a, b, M, 1e-6, method="scaling")
    assert solution.status is Status.UNDERFLOW
    assert "stabilized" in solution.message


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_zero_take_no_part(rng, method):
    a, b, M = transport(rng, 12, 9)
    wide = np.zeros(15), np.zeros(10), np.full((15, 10), 100.0)
    wide[0][3:], wide[1][1:], wide[2][3:, 1:] = a, b, M
    solution = xs.sinkhorn(*wide, 0.3, method=method)
    assert solution.converged
    assert_close(solution.plan()[3:, 1:], xs.sinkhorn(a, b, M, 0.3).plan(), atol=1e-8)
    assert np.all(solution.x[0][:3] == -np.inf)
    assert np.isfinite(solution.value)


# --- many at once


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", ["scaling", "stabilized"])
def test_many_histograms_share_one_cost(xp, rng, method):
    _, _, M = transport(rng, 8, 7)
    a, b = histogram(rng, 3, 8), histogram(rng, 3, 7)
    tol = 1e-9 if xp.exact else 1e-5
    there = xp(a), xp(b)
    solution = xs.sinkhorn(*there, xp(M), 0.2, method=method, tol=tol)
    P = check(solution, *there)
    for k in range(3):
        assert_close(P[k], xs.sinkhorn(a[k], b[k], M, 0.2).plan(), rtol=0, atol=1e-8 if xp.exact else 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_many_costs(rng, method):
    M = rng.random((4, 8, 7))
    a, b = histogram(rng, 8), histogram(rng, 4, 7)
    solution = xs.sinkhorn(a, b, M, 0.05, method=method)
    assert solution.converged
    for k in range(4):
        alone = xs.sinkhorn(a, b[k], M[k], 0.05, method=method)
        assert_close(solution.plan()[k], alone.plan(), rtol=0, atol=1e-8)
        assert float(solution.value[k]) == pytest.approx(float(alone.value), rel=1e-8)


def test_a_solved_problem_rests(rng):
    _, _, M = transport(rng, 8, 7)
    a, b = histogram(rng, 2, 8), histogram(rng, 2, 7)
    a[0], b[0] = np.eye(8)[0], np.eye(7)[0]  # solved at once
    seen = []
    xs.sinkhorn(a, b, M, 0.01, method="scaling", callback=lambda k, progress: seen.append(progress.x[0][0].copy()))
    assert len(seen) > 4
    assert np.array_equal(seen[2], seen[-1])


# --- points and grids


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_points_are_the_matrix(xp, rng, method):
    a, b = histogram(rng, 8, zeros=1), histogram(rng, 7)
    x, y = rng.random((8, 2)) + 5, rng.random((7, 2)) + 5
    tol = 1e-9 if xp.exact else 2e-5
    there = xp(a), xp(b)
    solution = xs.sinkhorn(*there, xs.PointCloud(xp(x), xp(y), block=5), 0.4, method=method, tol=tol)
    assert solution.converged
    P = check(solution, *there)
    expected = xs.sinkhorn(a, b, squared(x, y), 0.4)
    assert_close(P, expected.plan(), rtol=0, atol=1e-8 if xp.exact else 2e-5)
    assert float(solution.cost) == pytest.approx(float(expected.cost), rel=1e-6 if xp.exact else 1e-3)


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", ["scaling", "log"])
def test_a_grid_is_its_points(xp, rng, method):
    axes = np.linspace(0, 1, 4), np.linspace(0, 1, 2)
    a, b = histogram(rng, 8, zeros=1), histogram(rng, 8)
    tol = 1e-9 if xp.exact else 1e-5
    there = xp(a), xp(b)
    solution = xs.sinkhorn(*there, xs.Grid(*(xp(x) for x in axes)), 0.2, method=method, tol=tol)
    assert solution.converged
    points = np.stack([x.reshape(-1) for x in np.meshgrid(*axes, indexing="ij")], axis=-1)
    expected = xs.sinkhorn(a, b, squared(points, points), 0.2)
    assert_close(check(solution, *there), expected.plan(), rtol=0, atol=1e-8 if xp.exact else 1e-5)


def test_a_grid_takes_logarithms_for_small_eps(rng):
    grid = xs.Grid(np.linspace(0, 1, 6), np.linspace(0, 1, 5))
    solution = xs.sinkhorn(histogram(rng, 30), histogram(rng, 30), grid, 1e-3, tol=1e-6)
    assert solution.converged
    assert solution.method == "log"


def test_large_clouds_need_no_matrix(rng):
    import tracemalloc

    n = 3000
    cloud = xs.PointCloud(rng.random((n, 2)), rng.random((n, 2)), block=100)
    a = np.full(n, 1 / n)
    tracemalloc.start()
    with pytest.warns(ConvergenceWarning):
        xs.sinkhorn(a, a, cloud, 0.2, max_iter=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n * 8 / 4


# --- messages and costs


def test_it_stops_when_it_is_told(rng):
    a, b, M = transport(rng)
    with pytest.warns(ConvergenceWarning, match=r"sinkhorn\(method='scaling'\): Stopped .* after 7 iterations"):
        solution = xs.sinkhorn(a, b, M, 0.01, max_iter=7, record=True)
    assert solution.status is Status.MAX_ITER
    assert solution.history["certificate"].shape == (8,)
    assert float(solution.history["certificate"][-1]) == pytest.approx(solution.certificate.value, rel=1e-6)
    assert xs.sinkhorn(a, b, M, 0.01, callback=lambda k, state: k >= 10).status is Status.STOPPED


A, B, M = np.ones(2) / 2, np.ones(3) / 3, np.ones((2, 3))
BAD = {
    "eps is zero": (lambda: xs.sinkhorn(A, B, M, 0.0), ValueError, "eps: expected a positive number, got 0.0"),
    "eps is text": (lambda: xs.sinkhorn(A, B, M, "1"), TypeError, "eps: expected a positive"),
    "a has a negative weight": (
        lambda: xs.sinkhorn(np.asarray([1.5, -0.5]), B, M, 1.0),
        ValueError,
        r"a: expected weights >= 0, got -0\.5",
    ),
    "sums differ": (lambda: xs.sinkhorn(2 * A, B, M, 1.0), ValueError, "same sum, got 2 and 1, a difference of 1"),
    "no mass": (lambda: xs.sinkhorn(0 * A, 0 * B, M, 1.0), ValueError, "a: expected some mass"),
    "a has other length": (lambda: xs.sinkhorn(B, B, M, 1.0), ValueError, r"a: expected 2 weights, .*rows.*\(3,\)"),
    "b has other length": (lambda: xs.sinkhorn(A, A, M, 1.0), ValueError, r"b: expected 3 weights, .*columns"),
    "M is a vector": (lambda: xs.sinkhorn(A, B, B, 1.0), ValueError, r"M: expected shape \(n, m\)"),
    "M has a NaN": (lambda: xs.sinkhorn(A, B, M * np.nan, 1.0), ValueError, "M: expected finite numbers, got 6"),
    "a has a NaN": (lambda: xs.sinkhorn(A * np.nan, B, M, 1.0), ValueError, "a: expected finite"),
    "M is a list": (lambda: xs.sinkhorn(A, B, M.tolist(), 1.0), TypeError, "M: expected an array"),
    "batches differ": (
        lambda: xs.sinkhorn(np.stack([A, A]), np.stack([B, B, B]), M, 1.0),
        ValueError,
        "one number of problems, got 2, 3",
    ),
    "unknown method": (lambda: xs.sinkhorn(A, B, M, 1.0, method="exact"), ValueError, "'scaling', 'stabilized', 'log'"),
    "omega is too large": (
        lambda: xs.sinkhorn(A, B, M, 1.0, relaxation=2.0),
        ValueError,
        "relaxation: expected 'auto'",
    ),
    "x0 has another shape": (
        lambda: xs.sinkhorn(A, B, M, 1.0, x0=(B, A)),
        ValueError,
        r"x0: .*\(2,\) and \(3,\)",
    ),
    "points of two dimensions": (
        lambda: xs.sinkhorn(A, B, xs.PointCloud(np.ones((2, 2)), np.ones((3, 1))), 1.0),
        ValueError,
        "points x and y of one dimension, got 2 and 1",
    ),
    "a grid cannot absorb": (
        lambda: xs.sinkhorn(B, B, xs.Grid(B), 1.0, method="stabilized"),
        ValueError,
        "for a Grid, got 'stabilized'",
    ),
    "a grid without axes": (lambda: xs.Grid(), ValueError, "axes: expected at least one"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()


def test_inputs_are_never_written(rng):
    a, b, M = transport(rng, zeros=1)
    before = [x.copy() for x in (a, b, M)]
    for method in METHODS:
        xs.sinkhorn(a, b, M, 0.05, method=method)
    assert all(np.array_equal(x, y) for x, y in zip((a, b, M), before, strict=True))


def test_traces_under_jax_jit(rng):
    jax = pytest.importorskip("jax")
    a, b, M = transport(rng, 6, 5)
    expected = xs.sinkhorn(a, b, M, 0.002, tol=1e-10).plan()
    for method in ("scaling", "auto"):
        f, g = jax.jit(lambda a, b, M, method=method: xs.sinkhorn(a, b, M, 0.002, tol=1e-10, method=method).x)(a, b, M)
        assert_close(np.exp((f[:, None] + g - M) / 0.002), expected, rtol=0, atol=1e-8)


def counted(method, a, b, M, **options):
    stop = {"max_iter": 40, "tol": 0.0, "check_finite": False, "method": method}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return xs.count(xs.sinkhorn, a, b, M, 0.05, **(stop | options))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "m"), [(20, 30), (12, 12)])
def test_counted_products_launches_and_reads_are_the_costs(rng, method, n, m):
    a, b, M = transport(rng, n, m)
    solution, tally = counted(method, a, b, 0.1 * M)
    cost = costs.sinkhorn(n, m, method=method, n_iter=solution.n_iter)
    check_cost(tally, cost)
    assert cost.syncs <= solution.n_iter // 10 + TABLE["sinkhorn"].syncs


def test_launches_of_an_iteration(rng):
    _, b, M = transport(rng, 9, 7)
    for shared in (M, np.stack([M, M])):
        launches = []
        for stop in (40, 20):
            _, tally = counted("scaling", histogram(rng, 2, 9), b, shared, max_iter=stop)
            launches.append(tally.launches)
        assert launches[0] - launches[1] <= 20 * 8
    few, many = (counted("scaling", histogram(rng, k, 9), b, M)[1].launches for k in (2, 20))
    assert few == many


# --- products in float32 on a base in float64


@pytest.mark.parametrize("method", ["scaling", "stabilized"])
@pytest.mark.parametrize("eps", [0.2, 0.02, 0.003])
def test_increments_find_the_same_plan(rng, method, eps):
    """Wide and narrow kernels, from the start and from a point on the way, and with a mass other than 1."""
    a, b, M = transport(rng, 30, 25, zeros=3)
    for mass in (1.0, 30.0):
        options = {"method": method, "tol": 1e-10 * mass, "check_finite": False}
        full, mixed = (xs.sinkhorn(mass * a, mass * b, M, eps, mixed=m, **options) for m in (False, True))
        assert full.converged
        assert mixed.converged
        assert mixed.n_iter <= 1.2 * full.n_iter + 20
        assert_close(mixed.plan() / mass, full.plan() / mass, rtol=0, atol=1e-9)
        assert np.all(mixed.plan()[:3] == 0)


def test_increments_of_many_costs(rng):
    M = rng.random((4, 8, 7))
    a, b = histogram(rng, 8), histogram(rng, 4, 7)
    for method in ("scaling", "stabilized"):
        full, mixed = (xs.sinkhorn(a, b, M, 0.02, mixed=m, method=method) for m in (False, True))
        assert mixed.converged
        assert_close(mixed.plan(), full.plan(), rtol=0, atol=1e-8)
    shared = [xs.sinkhorn(histogram(rng, 8), b, M[0], eps, mixed=True) for eps in (0.1, 0.003)]  # wide: without
    assert all(s.converged for s in shared)


@pytest.mark.of("sinkhorn")
def test_increments_on_every_backend(xp, rng):
    a, b, M = transport(rng, 8, 7, zeros=2)
    tol = 1e-9 if xp.exact else 1e-5
    solution = xs.sinkhorn(xp(a), xp(b), xp(M), 0.2, tol=tol, mixed=True)
    assert solution.converged
    P = check(solution, xp(a), xp(b))
    assert_close(P, xs.sinkhorn(a, b, M, 0.2).plan(), rtol=0, atol=1e-8 if xp.exact else 1e-5)


def states_at_checks(monkeypatch):
    """A list that gets the state of the loop at every check from now on."""
    seen = []

    def watched(step, state, **options):
        return iterate(step, state, **options | {"callback": lambda k, state: seen.append(state)})

    monkeypatch.setattr(sys.modules["xpsolve.transport._solve"], "iterate", watched)
    return seen


def test_a_large_kernel_is_lowered_by_itself(rng, monkeypatch):
    n = 370
    a, b, M = transport(rng, n, n)
    assert n * n >= costs.INCREMENTS
    states = states_at_checks(monkeypatch)
    xs.sinkhorn(a, b, M, 0.1, tol=1e-8)
    assert states[0].low.W.dtype == np.float32
    states.clear()
    xs.sinkhorn(a[:99] / a[:99].sum(), b, M[:99], 0.1, tol=1e-8)
    assert states[0].low is None


@pytest.mark.parametrize("method", ["scaling", "stabilized"])
def test_counted_increments_are_the_costs(rng, method):
    a, b, M = transport(rng, 20, 30)
    counts = [counted(method, a, b, 0.1 * M, check_finite=True, mixed=m) for m in (False, True)]
    n_iter = [solution.n_iter for solution, _ in counts]
    stated = [costs.sinkhorn(20, 30, method=method, n_iter=n_iter[m], mixed=bool(m)) for m in (0, 1)]
    found = [tally for _, tally in counts]
    assert found[1].product_flops == stated[1].flops
    launches, at_most = (new.launches - old.launches for old, new in (found, stated))
    assert 0.8 * at_most <= launches <= at_most
    assert found[1].syncs - found[0].syncs == stated[1].syncs - stated[0].syncs


@pytest.mark.parametrize("method", ["scaling", "stabilized", "log"])
@pytest.mark.parametrize("steps", [40, 50])
def test_counts_of_a_kernel_that_changes_on_the_way_are_the_costs(rng, method, steps, monkeypatch):
    a, b, M = transport(rng, 20, 30)
    M *= 2.8 / np.max(M)  # 56 times ε: one smaller ε is to come
    stop = {"mixed": True, "relaxation": 1.0, "max_iter": steps}
    with monkeypatch.context() as patch:
        states = states_at_checks(patch)
        counted(method, a, b, M, **stop)
    lowered = [state.low is not None for state in states]
    lowered_at = 10 * max(lowered.index(True) - 1, 0) if method != "log" else 0  # after that check
    renewals = len({float(state.eps) for state in states}) - 1
    assert (lowered_at > 0, renewals) == (method == "scaling", int(method != "scaling"))
    _, tally = counted(method, a, b, M, **stop)
    options = {"n_iter": steps, "mixed": True, "renewals": renewals, "lowered_at": lowered_at}
    cost = costs.sinkhorn(20, 30, method=method, **options)
    check_cost(tally, cost)
