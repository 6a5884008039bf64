"""How exact the lasso is: both precisions, correlated, duplicated and unequal columns, bad starts, the next method."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from oracle import host

import xpsolve as xs
from xpsolve import Status
from xpsolve.testing import assert_close

KINDS = ["plain", "chain", "strong chain", "twice", "blocks"]


def design(kind, n, p, seed, k=10, noise=0.5):
    """A and y of one of five structures, from easy to nearly dependent columns."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, p))
    rho = {"chain": 0.9, "strong chain": 0.99}.get(kind)
    if rho:
        for j in range(1, p):
            A[:, j] = rho * A[:, j - 1] + np.sqrt(1 - rho * rho) * A[:, j]
    elif kind == "twice":
        A = np.concatenate([A[:, : (p + 1) // 2]] * 2, axis=1)[:, :p][:, rng.permutation(p)]
    elif kind == "blocks":
        for j in range(0, p, 20):
            A[:, j : j + 20] = np.sqrt(0.95) * rng.standard_normal((n, 1)) + np.sqrt(0.05) * A[:, j : j + 20]
    x = np.zeros(p)
    x[rng.choice(p, k, replace=False)] = rng.standard_normal(k)
    return A, A @ x + noise * rng.standard_normal(n)


def true_gap(A, y, x, lam):
    """The duality gap over ½‖y‖² in extended precision, written apart from the library: P(x) − D(s·r)."""
    A, y, x = (np.asarray(v, dtype=np.longdouble) for v in (A, y, x))
    r = y - A @ x
    limit = np.longdouble(lam) / np.max(np.abs(A.T @ r))
    s = np.clip((y @ r) / (r @ r), -limit, limit)
    primal, dual = 0.5 * r @ r + lam * np.sum(np.abs(x)), 0.5 * y @ y - 0.5 * (y - s * r) @ (y - s * r)
    return float((primal - dual) / (0.5 * y @ y))


def check(A, y, lam, solution, tol=1e-6, slack=1e-3):
    """Converged, and the certificate is that of the returned x."""
    gap = true_gap(A, y, solution.x, lam)
    assert solution.converged, (solution, solution.certificate.value, gap)
    assert gap <= 1.01 * tol
    assert solution.certificate.value == pytest.approx(gap, rel=1e-3, abs=slack * tol)
    assert solution.x.dtype == A.dtype


def part_of_lam_max(A, y, part):
    return float(A.dtype.type(part * np.max(np.abs(A.T @ y))))


# --- both precisions ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "p"), [(60, 150), (120, 70)])
@pytest.mark.parametrize("part", [0.1, 0.01, 0.001])
def test_reaches_its_tolerance_in_both_precisions(dtype, kind, n, p, part):
    A, y = (v.astype(dtype) for v in design(kind, n, p, seed=n + p))
    lam = part_of_lam_max(A, y, part)
    check(A, y, lam, xs.lasso(A, y, lam))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["auto", "fista"])
@pytest.mark.parametrize("exponent", [-40, 40])
def test_reaches_it_at_other_scales(dtype, method, exponent):
    A, y = (v.astype(dtype) for v in design("chain", 40, 80, seed=3))
    lam = part_of_lam_max(A, y, 0.01)
    scale = np.asarray(2.0, dtype=dtype) ** exponent
    solution = xs.lasso(A, y * scale, lam * float(scale), method=method)
    check(A, y, lam, solution.__class__(solution.x / scale, solution.method, solution.certificate))


@pytest.mark.parametrize("theta", [0.0, 0.2])
@pytest.mark.parametrize("sparse", [False, True])
def test_in_float32_the_answer_is_that_of_float64_rounded(theta, sparse):
    A, y = (v.astype("float32") for v in design("strong chain", 80, 120, seed=1))
    if sparse:
        A = np.where(np.abs(A) > 1, A, np.float32(0))
    lam = part_of_lam_max(A, y, 0.01)
    wanted = xs.elastic_net(A.astype("float64"), y.astype("float64"), lam, theta, tol=1e-13).x
    found = xs.elastic_net(scipy.sparse.csr_array(A) if sparse else A, y, lam, theta)
    assert found.converged
    assert found.x.dtype == np.float32
    assert np.max(np.abs(found.x - wanted)) <= 1e-4 * np.max(np.abs(wanted))


def test_rounding_alone_does_not_spoil_the_gap():
    """λ is 1e-6 of λ_max: the nearest float32 numbers have |Aᵀr| 6 % above λ, and a gap of 4e-6."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((500, 4))
    y = (A @ np.asarray([1, -1, 0.5, 2]) + 0.1 * rng.standard_normal(500)).astype("float32")
    A = A.astype("float32")
    nearest = xs.lasso(A.astype("float64"), y.astype("float64"), 1e-3, tol=1e-13).x.astype("float32")
    assert true_gap(A, y, nearest, 1e-3) > 1e-6
    lam = float(np.float32(1e-3))
    check(A, y, lam, xs.lasso(A, y, lam))


@pytest.mark.of("lasso")
def test_small_lam_on_every_backend(xp):
    """Where there is no float64 the status must not claim more than is true."""
    # on Dask each step of a set is a graph of hundreds of tasks
    n, p, part = (12, 10, 0.2) if xp.backend.name == "dask" else (30, 60, 0.01)
    A, y = (v.astype("float32") for v in design("chain", n, p, seed=2))
    lam = part_of_lam_max(A, y, part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        solution = xs.lasso(xp(A, dtype="float32"), xp(y, dtype="float32"), lam)
    gap = true_gap(A, y, host(solution.x), lam)
    assert gap <= 3e-6
    assert not solution.converged or gap <= 1.1e-6


@pytest.mark.parametrize("k", [2, 5])
def test_many_columns_in_float32(k):
    A, _ = design("chain", 40, 80, seed=4)
    rng = np.random.default_rng(4)
    Y = (A[:, :k] + 0.3 * rng.standard_normal((40, k))).astype("float32")
    A = A.astype("float32")
    lam = part_of_lam_max(A, Y[:, 0], 0.01)
    solution = xs.lasso(A, Y, lam)
    assert solution.converged
    for j in range(k):
        assert true_gap(A, Y[:, j], solution.x[:, j], lam) <= 1.01e-6


# --- the next method ------------------------------------------------------------------------------


def test_where_float32_ends_the_working_set_goes_on():
    A, y = (v.astype("float32") for v in design("chain", 30, 60, seed=2))
    lam = part_of_lam_max(A, y, 0.01)
    solution = xs.lasso(A, y, lam, method="fista", tol=3e-7, max_iter=50_000)
    check(A, y, lam, solution, tol=3e-7)
    assert solution.method == "fista->working_set"
    assert solution.n_iter < 20_000


def test_a_tolerance_beyond_rounding_is_inaccurate_and_ends_soon():
    A, y = design("plain", 40, 60, seed=5)
    for dtype in ("float32", "float64"):
        with pytest.warns(xs.ConvergenceWarning):
            solution = xs.lasso(A.astype(dtype), y.astype(dtype), 1.0, method="fista", tol=1e-19, max_iter=10**6)
        assert solution.status is Status.INACCURATE
        assert solution.n_iter < 50_000
        assert solution.certificate.value < (1e-6 if dtype == "float32" else 1e-13)


def test_a_solution_that_is_near_is_never_worsened():
    A, y = design("strong chain", 60, 100, seed=6)
    lam = part_of_lam_max(A, y, 0.01)
    x = xs.lasso(A, y, lam, tol=1e-12).x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        again = xs.lasso(A, y, lam, tol=1e-18, x0=x)
    assert true_gap(A, y, again.x, lam) <= 1e-12


# --- columns of other lengths, other starts -------------------------------------------------------


@pytest.mark.parametrize("shape", [(50, 4), (30, 50)])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float32", 1e-6), ("float32", 1e1), ("float64", 1e-6), ("float64", 1e3), ("float64", 1e5), ("float64", 1e8)],
)
def test_one_column_of_another_size(dtype, size, shape):
    A, y = design("plain", *shape, seed=7, k=3)
    A[:, 2] *= size
    A, y = A.astype(dtype), y.astype(dtype)
    lam = part_of_lam_max(np.delete(A, 2, axis=1), y, 0.05)  # the nearest float32 x misses it where size is 100
    check(A, y, lam, xs.lasso(A, y, lam), slack=1e-2)


def test_columns_of_all_sizes():
    rng = np.random.default_rng(8)
    A, y = design("chain", 50, 30, seed=8)
    sizes = 10.0 ** rng.uniform(-4, 4, 30)
    for solution in (xs.lasso(A * sizes, y, 0.1), xs.elastic_net(A * sizes, y, 0.1, 0.3, tol=1e-9)):
        assert solution.converged


@pytest.mark.parametrize("method", ["working_set", "fista"])
@pytest.mark.parametrize("size", [1.0, 1e6])
def test_a_bad_start_is_no_worse_than_none(method, size):
    A, y = design("chain", 50, 400, seed=9)
    lam = part_of_lam_max(A, y, 0.05)
    x0 = size * np.random.default_rng(9).standard_normal(400)
    plain, started = xs.lasso(A, y, lam, method=method), xs.lasso(A, y, lam, method=method, x0=x0)
    check(A, y, lam, started)
    assert started.n_iter <= plain.n_iter
    assert max(started.stats.get("sizes", (0,))) <= max(plain.stats.get("sizes", (0,)))


def test_a_wide_problem_with_a_small_lam():
    """Gene expression in small: 40 samples, 1000 unit columns with a common part, and noise."""
    rng = np.random.default_rng(0)
    A = 0.7 * rng.standard_normal((40, 1)) + rng.standard_normal((40, 1000))
    A /= np.linalg.norm(A, axis=0)
    y = A @ rng.standard_normal(1000) + rng.standard_normal(40)
    for part in (0.003, 0.001):
        lam = part_of_lam_max(A, y, part)
        solution = xs.lasso(A, y, lam)
        check(A, y, lam, solution)
        assert solution.n_iter < 5000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["chain", "twice"])
def test_a_path_in_both_precisions(dtype, kind):
    A, y = (v.astype(dtype) for v in design(kind, 50, 100, seed=10))
    path = xs.lasso_path(A, y, n_lams=15, ratio=1e-2)
    assert path.converged
    for lam, x in zip(path.lams, path.x, strict=True):
        assert true_gap(A, y, x, float(lam)) <= 1.01e-6 + 1e-3 * np.finfo(dtype).eps


def test_basis_pursuit_with_every_column_twice():
    rng = np.random.default_rng(4)
    A = rng.standard_normal((50, 120))
    x = np.zeros(120)
    x[rng.choice(120, 12, replace=False)] = rng.standard_normal(12)
    once, twice = xs.basis_pursuit(A, A @ x), xs.basis_pursuit(np.concatenate([A, A], axis=1), A @ x)
    assert once.converged
    assert twice.converged
    assert_close(np.sum(np.abs(twice.x)), np.sum(np.abs(once.x)), rtol=1e-5)
