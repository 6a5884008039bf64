"""What other libraries' bug reports taught: self-transport, forbidden pairs, scales, masses, and honest endings."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays import backends
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close
from xpsolve.transport import _kernels

METHODS = costs.SINKHORN_METHODS


def histogram(rng, *shape):
    a = rng.random(shape) + 0.1
    return a / a.sum(axis=-1, keepdims=True)


def squared(x, y):
    return np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)


def tolerance(xp):
    return 1e-9 if xp.exact else 2e-5


# --- a histogram onto itself


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("eps", [0.1, 1e3])
def test_a_histogram_onto_itself_takes_few_iterations(xp, rng, eps):
    X, a = rng.standard_normal((8, 3)), histogram(rng, 8)
    for cloud in (xs.PointCloud(xp(X), xp(X)), xp(squared(X, X))):
        solution = xs.sinkhorn(xp(a), xp(a), cloud, eps, tol=tolerance(xp))  # equal, not the same
        assert solution.converged
        assert solution.n_iter <= 30
    P = backends.to_numpy(solution.plan())
    assert_close(P, P.T, rtol=0, atol=1e-3 * tolerance(xp) + 1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps", [1.0, 0.05])
def test_averages_in_every_method_and_in_batches(rng, method, eps):
    X = rng.standard_normal((9, 2))
    a, b, M = histogram(rng, 3, 9), histogram(rng, 3, 9), squared(X, X)
    b[1] = a[1]  # one of three
    solution = xs.sinkhorn(a, b, M, eps, method=method)
    assert solution.converged
    plain = xs.sinkhorn(a[::2], b[::2], M, eps, method=method)
    assert_close(solution.plan()[::2], plain.plan(), rtol=0, atol=1e-8)
    alone = xs.sinkhorn(a[1], a[1], M, eps, method=method, tol=1e-12)
    assert_close(solution.plan()[1], alone.plan(), rtol=0, atol=1e-8)


def test_averages_under_jit(rng):
    """Which problems take them is found while the compiled program runs."""
    jax = pytest.importorskip("jax")
    X, a, b = rng.standard_normal((9, 2)), histogram(rng, 9), histogram(rng, 9)
    solve = jax.jit(lambda a, b, M: xs.sinkhorn(a, b, M, 0.05))
    M = jax.numpy.asarray(squared(X, X))
    own, other = (
        solve(jax.numpy.asarray(a), jax.numpy.asarray(a), M),
        solve(jax.numpy.asarray(a), jax.numpy.asarray(b), M),
    )
    assert own.converged
    assert int(own.n_iter) <= 40
    assert other.converged
    assert_close(other.plan(), xs.sinkhorn(a, b, squared(X, X), 0.05).plan(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("change", [(), (0, 3), (4, 1), (2, 2)])
def test_what_is_mirrored_on_numpy_is_so_by_the_standard_functions(rng, change):
    X, a = rng.standard_normal((6, 2)), histogram(rng, 2, 6)
    M = squared(X, X)
    M[1, 5] = M[5, 1] = np.inf
    if change:
        M[change] += 3.0
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        for b in (a, a[::-1], np.stack([a[0], a[0]])):
            args = a, b, M, np.asarray(1e-12), 0.1
            np.testing.assert_array_equal(_kernels.mirrored(*args), _kernels.mirrored.standard(*args))
        assert _kernels.mirrored(a, a, M, np.asarray(1e-12), 0.1).all() == (not change)


def test_a_symmetric_cost_that_is_least_elsewhere_takes_plain_steps(rng):
    a = histogram(rng, 6)
    assert xs.sinkhorn(a, a, np.eye(6), 0.2).converged


@pytest.mark.of("sinkhorn_divergence")
def test_a_divergence_of_small_eps_converges(xp, rng):
    x, y = rng.random((7, 2)), rng.random((6, 2)) + 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        S = xs.sinkhorn_divergence(
            xp(np.ones(7) / 7), xp(np.ones(6) / 6), xs.PointCloud(xp(x), xp(y)), 0.05, tol=10 * tolerance(xp)
        )
    assert float(S) > 0


# --- pairs that are forbidden


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", METHODS)
def test_forbidden_pairs(xp, rng, method):
    n = 8
    i = np.arange(n)
    far = (i[:, None] - i) % n
    M, a = rng.random((n, n)), histogram(rng, n)
    b = 0.5 * a + 0.25 * np.roll(a, 1) + 0.25 * np.roll(a, -1)
    allowed = (far <= 2) | (far >= n - 2)
    for cost in (np.inf, 1e20):
        there = np.where(allowed, M, cost)
        solution = xs.sinkhorn(xp(a), xp(b), xp(there), 0.2, method=method, tol=tolerance(xp))
        assert solution.converged
        P = backends.to_numpy(solution.plan())
        assert np.all(P[~allowed] == 0)
        assert_close(P.sum(axis=1), a, rtol=0, atol=4 * tolerance(xp))
        assert np.isfinite(float(solution.cost))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cost", [np.inf, 1e20])
def test_a_plan_that_is_hard_to_reach_is_not_called_converged(method, cost):
    half = np.asarray([0.5, 0.5])
    with pytest.warns(ConvergenceWarning):
        solution = xs.sinkhorn(half, half, np.asarray([[0, cost], [1.0, 0]]), 0.1, method=method, max_iter=500)
    assert solution.status is Status.MAX_ITER
    assert_close(solution.plan(), np.eye(2) / 2, atol=2e-3)


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", METHODS)
def test_no_plan_at_all_is_a_status(xp, rng, method):
    M, b = rng.random((5, 4)), xp(histogram(rng, 4))
    M[2] = np.inf
    few = 30 if xp.name == "dask" else 100
    with pytest.warns(ConvergenceWarning, match="no plan"):
        solution = xs.sinkhorn(xp(histogram(rng, 5)), b, xp(M), 0.2, method=method, max_iter=few)
    assert solution.status is Status.INFEASIBLE
    assert not np.isnan(backends.to_numpy(solution.plan())).any()
    a = histogram(rng, 5)
    a[2] = 0
    assert xs.sinkhorn(xp(a / a.sum()), b, xp(M), 0.2, method=method, tol=tolerance(xp)).converged


def flow(a, b, open_pairs):
    """The most mass that can be moved, by linear programming."""
    n, m = open_pairs.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    bounds = [(0, None if is_open else 0) for is_open in open_pairs.reshape(-1)]
    return -linprog(-np.ones(n * m), A_ub=np.vstack([rows, columns]), b_ub=np.concatenate([a, b]), bounds=bounds).fun


def test_infeasible_is_what_linear_programming_says(rng):
    seen = set()
    for _ in range(40):
        n, m = rng.integers(2, 10, 2)
        open_pairs = rng.random((n, m)) < rng.choice([0.25, 0.4, 0.6])
        if not open_pairs.any():
            continue
        a, b = histogram(rng, n), histogram(rng, m)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solution = xs.sinkhorn(a, b, np.where(open_pairs, rng.random((n, m)), np.inf), 0.2, max_iter=500)
        feasible = flow(a, b, open_pairs) > 1 - 1e-9
        seen.add(feasible)
        assert (solution.status is Status.INFEASIBLE) == (not feasible)
        assert not np.isnan(solution.x[0]).any()
        assert not np.isnan(solution.plan()).any()
    assert seen == {True, False}


@pytest.mark.parametrize("short", [0.1, 1e-3, 1e-6])
def test_a_little_too_much_mass_is_infeasible(rng, short):
    """A set of three points whose neighbours have less room by `short`; with as much room it is not."""
    M = rng.random((6, 5))
    M[:3, 2:] = np.inf
    a, b = histogram(rng, 6), histogram(rng, 5)
    a = np.concatenate([0.5 * a[:3] / a[:3].sum(), 0.5 * a[3:] / a[3:].sum()])
    for room, infeasible in ((0.5 - short, True), (0.5, False), (0.5 + max(short, 1e-3), False)):
        c = np.concatenate([room * b[:2] / b[:2].sum(), (1 - room) * b[2:] / b[2:].sum()])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solution = xs.sinkhorn(a, c, M, 0.2, max_iter=1000)
            many = xs.sinkhorn(np.stack([a, a]), np.stack([c, c]), M, 0.2, max_iter=1000)
        assert (solution.status is Status.INFEASIBLE) == infeasible
        assert (many.status is Status.INFEASIBLE) == infeasible


def test_points_in_blocks_may_be_infeasible(rng):
    x, y = rng.random((8, 1)), 3 + rng.random((7, 1))
    x[0] = 9

    def near(xp, x, y):
        far = (x - y.T) ** 2
        return xp.where(far < 16, far, xp.inf + 0 * far)

    with pytest.warns(ConvergenceWarning, match="no plan"):
        solution = xs.sinkhorn(np.ones(8) / 8, np.ones(7) / 7, xs.PointCloud(x, y, 3, near), 1.0, max_iter=50)
    assert solution.status is Status.INFEASIBLE
    enough = xs.sinkhorn(np.ones(8) / 8, np.ones(7) / 7, xs.PointCloud(x, y, 3, near), 1.0, marginal=1.0)
    assert enough.converged  # the mass that cannot be moved is given up


# --- scales, masses, dtypes, shapes


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "exponents"), [("float64", (-1000, -120, 120, 1000)), ("float32", (-110, -50, 50, 110))]
)
def test_any_unit_of_cost(rng, method, dtype, exponents):
    a, b, x, y = histogram(rng, 7), histogram(rng, 6), rng.random((7, 2)), rng.random((6, 2))
    a[0] = 0
    a /= a.sum()
    tol = 1e-9 if dtype == "float64" else 3e-5
    expected = xs.sinkhorn(a, b, squared(x, y), 0.1, tol=1e-11)
    a, b = a.astype(dtype), b.astype(dtype)
    for k in exponents:
        unit, root = 2.0**k, 2.0 ** (k // 2)
        cloud = xs.PointCloud((x * root).astype(dtype), (y * root).astype(dtype))
        for M in ((squared(x, y) * unit).astype(dtype), cloud):
            solution = xs.sinkhorn(a, b, M, 0.1 * unit, method=method, tol=tol)
            assert solution.converged
            assert_close(solution.plan(), expected.plan().astype(dtype), rtol=0, atol=10 * tol)
            assert float(solution.value) / unit == pytest.approx(float(expected.value), rel=1e-3)
            assert float(solution.cost) / unit == pytest.approx(float(expected.cost), rel=1e-3)
        again = xs.sinkhorn(a, b, M, 0.1 * unit, method=method, tol=2 * tol, x0=solution.x)
        assert again.n_iter == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent", [-900, -40, 40, 900])
def test_any_mass(rng, method, exponent):
    a, b, M = histogram(rng, 7), histogram(rng, 6), rng.random((7, 6))
    mass = 2.0**exponent
    solution = xs.sinkhorn(mass * a, mass * b, M, 0.1, method=method)
    assert solution.converged
    assert_close(solution.plan() / mass, xs.sinkhorn(a, b, M, 0.1).plan(), rtol=0, atol=1e-8)


def test_sums_that_differ_by_rounding_of_the_lower_dtype(rng):
    for a, b in ((np.full(3, 1 / 3, np.float32), np.full(3, 1 / 3)), (np.full(7, 1 / 7), np.full(3, 1 / 3, "f4"))):
        for x, y in ((a, b), (b, a)):
            solution = xs.sinkhorn(x, y, rng.random((x.size, y.size)), 0.5)
            assert solution.converged
            assert solution.x[0].dtype == np.float64
    with pytest.raises(ValueError, match="a and b: expected the same sum"):
        xs.sinkhorn(np.full(3, 0.334, np.float32), np.full(3, 1 / 3), np.eye(3), 0.5)


@pytest.mark.of("sinkhorn")
@pytest.mark.parametrize("method", METHODS)
def test_one_cost_of_a_batch_serves_all(xp, rng, method):
    a, b, M = histogram(rng, 6), histogram(rng, 3, 2), rng.random((1, 6, 2))
    solution = xs.sinkhorn(xp(a), xp(b), xp(M), 0.5, method=method, tol=tolerance(xp))
    assert solution.converged
    assert tuple(solution.plan().shape) == (3, 6, 2)
    one = xs.sinkhorn(xp(a), xp(b[0]), xp(M), 0.5, method=method, tol=tolerance(xp))
    assert tuple(one.plan().shape) == (1, 6, 2)
    assert tuple(one.x[0].shape) == (1, 6)


@pytest.mark.parametrize("method", METHODS)
def test_tol_zero_asks_for_so_many_iterations(rng, method):
    a, b, M = histogram(rng, 9), histogram(rng, 7), rng.random((9, 7))
    with pytest.warns(ConvergenceWarning):
        solution = xs.sinkhorn(a, b, M, 0.05, tol=0, max_iter=137, method=method)
    assert (solution.n_iter, solution.status) == (137, Status.MAX_ITER)


# --- barycentres


@pytest.mark.of("barycenter")
def test_barycentre_by_products_on_a_wide_grid(xp, rng):
    """The costs of each axis span 500 ε, those of the grid 1000."""
    if xp.name == "dask":
        pytest.skip("takes minutes there, by the same operations as smaller ones")
    axis, A = np.linspace(0, 1, 4), histogram(rng, 2, 16)
    part = 1 / 500 if xp.dtype == "float64" else 1 / 40
    grid = xs.Grid(xp(axis), xp(axis))
    tol = 1e-6 if xp.dtype == "float64" else 1e-4
    solution = xs.barycenter(xp(A), grid, part, method="scaling", tol=tol)
    assert solution.converged
    assert_close(solution.x, xs.barycenter(A, xs.Grid(axis, axis), part, method="log").x, rtol=0, atol=10 * tol)


def test_barycentre_that_underflows_says_so():
    A = np.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    grid = xs.Grid(np.asarray([0.0, 1.0, 2.0]))
    with pytest.warns(ConvergenceWarning, match=r"barycenter.*method='log'") as caught:
        assert xs.barycenter(A, grid, 1e-4, method="scaling").status is Status.UNDERFLOW
    assert "stabilized" not in str(caught[0].message)
    with pytest.warns(ConvergenceWarning):
        assert xs.barycenter(A, grid, 0.5, tol=0, max_iter=33).n_iter == 33


# --- derivatives


def test_gradient_of_the_divergence_in_points_or_weights_alone(rng):
    X, Y = rng.random((5, 2)), rng.random((6, 2)) + 0.3
    a, b = np.ones(5) / 5, np.ones(6) / 6

    def of_points(Z):
        return xs.sinkhorn_divergence(a, b, xs.PointCloud(Z, Y), 0.5, tol=1e-12)

    expected = autodiff.finite_difference(lambda Z: np.asarray(of_points(Z)), X, scheme="central", eps=1e-5)
    assert_close(autodiff.grad(of_points)(X), expected, rtol=1e-6, atol=1e-8)
    _, pushed = autodiff.jvp(of_points, (X,), (np.ones_like(X),))
    assert float(pushed) == pytest.approx(float(np.sum(expected)), rel=1e-6)
    g = autodiff.grad(lambda b: xs.sinkhorn_divergence(a, b, xs.PointCloud(X, Y), 0.5))(b)
    assert np.all(np.isfinite(g))


def test_one_answer_for_the_gradient_at_a_weight_of_zero(rng):
    a, b, M = np.asarray([0.5, 0.5, 0.0]), np.ones(2) / 2, rng.random((3, 2))

    def value(a):
        return xs.sinkhorn(a, b, M, 0.5).value

    found, expected = autodiff.grad(value)(a), xs.sinkhorn_gradient(a, b, M, 0.5)[0]
    assert found[2] == expected[2] == -np.inf
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1], rel=1e-8)
    _, pushed = autodiff.jvp(value, (a,), (np.asarray([1.0, -1.0, 0.0]),))  # the weight stays 0
    assert float(pushed) == pytest.approx(found[0] - found[1], rel=1e-8)


# --- endings and arguments


@pytest.mark.parametrize("cloud", [True, False])
def test_solutions_pickle_and_copy(rng, cloud):
    a, x = histogram(rng, 4), rng.random((4, 2))
    solution = xs.sinkhorn(a, a[::-1], xs.PointCloud(x, x) if cloud else xs.Grid(x[:, 0]), 0.3)
    P = solution.plan()
    for other in (pickle.loads(pickle.dumps(solution)), copy.deepcopy(solution)):
        assert_close(other.plan(), P)
        assert other.status is solution.status
        assert other != solution


def test_whatever_is_not_converged_warns_once_at_the_callers_line(rng):
    a, b, cloud = histogram(rng, 5), histogram(rng, 4), xs.PointCloud(rng.random((5, 2)), rng.random((4, 2)))
    short = {"max_iter": 1, "check_every": 1}
    calls = (
        lambda: xs.sinkhorn(a, b, cloud, 0.01, **short),
        lambda: xs.sinkhorn(a.astype("f4"), b.astype("f4"), rng.random((5, 4)).astype("f4"), 0.1),
        lambda: xs.sinkhorn_divergence(a, b, cloud, 0.01, **short),
        lambda: autodiff.grad(lambda a: xs.sinkhorn(a, b, cloud, 0.01, **short).value)(a),
        lambda: xs.count(xs.sinkhorn, a, b, cloud, 0.01, **short),
    )
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert [w.category for w in caught] == [ConvergenceWarning]
        assert caught[0].filename == __file__


H, M2 = np.ones(2) / 2, np.eye(2)
BAD = {
    "x0 is a number": (lambda: xs.sinkhorn(H, H, M2, 0.1, x0=5), TypeError, "x0: expected a tuple"),
    "x0 has a NaN": (lambda: xs.sinkhorn(H, H, M2, 0.1, x0=(H * np.nan, H)), ValueError, r"x0\[0\]: .*finite"),
    "relaxation is an array": (lambda: xs.sinkhorn(H, H, M2, 0.1, relaxation=H), TypeError, "relaxation: expected"),
    "tol is text": (lambda: xs.sinkhorn(H, H, M2, 0.1, tol="x"), TypeError, "tol: expected"),
    "eps beyond float32": (
        lambda: xs.sinkhorn(*(x.astype("f4") for x in (H, H, M2)), 1e39),
        ValueError,
        "eps: expected a positive number that float32 can hold",
    ),
    "eps is huge": (lambda: xs.sinkhorn(H, H, M2, 10**400), ValueError, "eps: expected a positive"),
    "callback is a number": (lambda: xs.barycenter(M2, M2, 0.1, callback=5), TypeError, "callback: expected"),
    "keep_kernel is text": (lambda: xs.sinkhorn(H, H, M2, 0.1, keep_kernel="x"), TypeError, "keep_kernel: expected"),
    "block is text": (
        lambda: xs.sinkhorn(H, H, xs.PointCloud(M2, M2, "x"), 0.1),
        TypeError,
        r"M\.block: expected an integer",
    ),
    "A has a NaN": (lambda: xs.barycenter(M2 * np.nan, M2, 0.1), ValueError, "^A: expected finite"),
    "M has a NaN": (lambda: xs.sinkhorn(H, H, M2 * np.nan, 0.1), ValueError, "M: expected finite numbers, got 4 NaN"),
    "M forbids everything": (lambda: xs.sinkhorn(H, H, M2 + np.inf, 0.1), ValueError, "M: expected some finite costs"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
