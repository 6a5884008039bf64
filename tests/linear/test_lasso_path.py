"""The lasso path: the single answers along it, an exact oracle at the knots, certificates and bad input."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import lars_path

import xpsolve as xs
from xpsolve import costs
from xpsolve.linear._working_set_path import _ahead
from xpsolve.linear.lasso_path import path_of
from xpsolve.operators import aslinearoperator
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, check_solution

METHODS = ["working_set", "fista"]


def data(rng, n, p, nonzeros=5):
    A = rng.standard_normal((n, p))
    x = np.zeros(p)
    x[rng.permutation(p)[:nonzeros]] = rng.standard_normal(nonzeros)
    return A, A @ x + 0.1 * rng.standard_normal(n)


def lam_max(A, y):
    return float(np.max(np.abs(A.T @ y)))


def host(xp, x):
    return np.asarray(xp.backend.to_numpy(x), dtype=np.float64)


def relative_gap(A, y, x, lam):
    r = y - A @ x
    theta = r * min(1.0, lam / np.max(np.abs(A.T @ r)))
    primal = 0.5 * r @ r + lam * np.sum(np.abs(x))
    return (primal - 0.5 * y @ y + 0.5 * (y - theta) @ (y - theta)) / (0.5 * y @ y)


@pytest.mark.of("lasso_path")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "p"), [(40, 15), (15, 40)])
def test_the_path_is_certified_and_starts_at_zero(xp, rng, method, n, p):
    A, y = data(rng, n, p)
    tol = 1e-5
    k = 2 if xp.backend.name == "dask" else 7  # on Dask each step of a set is a graph of hundreds of tasks
    path = xs.lasso_path(xp(A), xp(y), n_lams=k, ratio=0.05, tol=tol, method=method)
    check_solution(path, like=xp(y), shape=(k, p))
    assert path.converged
    assert path.method == method
    x, lams, gaps = host(xp, path.x), host(xp, path.lams), host(xp, path.gaps)
    assert_close(path.lams, lam_max(A, y) * 0.05 ** (np.arange(k) / (k - 1)), like=xp(y), rtol=1e-5)
    assert np.all(x[0] == 0)
    assert np.any(x[1] != 0)
    assert gaps.max() <= tol
    slack = 1e-6 if path.x.dtype == xp(y).dtype and xp.dtype == "float32" else 1e-9
    for i in range(k):
        assert relative_gap(A, y, x[i], lams[i]) <= tol + slack


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "p"), [(300, 40), (60, 250)])
def test_every_point_is_the_lasso_there(rng, method, n, p):
    A, y = data(rng, n, p, 12)
    path = xs.lasso_path(A, y, n_lams=40, ratio=0.01, tol=1e-12, method=method)
    for lam, x in list(zip(path.lams, path.x, strict=True))[::6]:
        single = xs.lasso(A, y, lam, tol=1e-13).x
        assert_close(x, single, atol=1e-5 * np.max(np.abs(path.x)))


def test_the_diabetes_path_is_exact_at_every_knot():
    data = xs.problems.diabetes()
    alphas, _, coefficients = lars_path(data.A, data.y, method="lasso")  # λ/n, the last of them 0
    path = xs.lasso_path(data.A, data.y, list(alphas * data.A.shape[0]))
    assert path.converged
    assert_close(path.x, coefficients.T, rtol=1e-8)
    many = xs.lasso_path(data.A, data.y, n_lams=50)
    assert float(many.lams[0]) == lam_max(data.A, data.y)


def test_features_that_the_first_set_lacks_are_found(rng):
    A, y = data(rng, 80, 600, 30)
    path = xs.lasso_path(A, y, n_lams=30, ratio=0.01)
    assert path.converged
    assert path.stats["size"] > 100
    assert path.stats["looks"] >= 3
    assert max(relative_gap(A, y, x, lam) for lam, x in zip(path.lams, path.x, strict=True)) <= 1e-6


def test_any_order_is_kept(rng):
    A, y = data(rng, 30, 10)
    lams = np.asarray([0.3, 5.0, 0.0, 1.0])
    path = xs.lasso_path(A, y, lams)
    assert_close(path.lams, lams)
    for lam, x in zip(lams, path.x, strict=True):
        assert_close(x, xs.lasso(A, y, float(lam), tol=1e-13).x, atol=1e-9)
    assert path.gaps.shape == (4,)
    assert path.converged


def test_least_squares_alone_and_no_data(rng):
    A, y = data(rng, 30, 10)
    assert_close(xs.lasso_path(A, y, [0.0]).x[0], np.linalg.lstsq(A, y)[0], rtol=1e-10)
    path = xs.lasso_path(A, np.zeros(30), n_lams=3)
    assert path.converged
    assert np.all(path.x == 0)


def test_duplicate_and_zero_features(rng):
    A, y = data(rng, 30, 10)
    twice = np.concatenate([A, A, np.zeros((30, 2))], axis=1)
    path = xs.lasso_path(twice, y, n_lams=10, ratio=0.01)
    assert path.converged
    once = xs.lasso_path(A, y, n_lams=10, ratio=0.01, tol=1e-12)
    assert_close(path.x[:, :10] + path.x[:, 10:20], once.x, atol=1e-3 * np.max(np.abs(once.x)))


@pytest.mark.parametrize("form", ["sparse", "operator"])
def test_sparse_matrices_and_operators_are_never_dense(rng, form):
    dense = rng.standard_normal((60, 120)) * (rng.random((60, 120)) < 0.1)
    y = dense[:, :4] @ rng.standard_normal(4) + 0.01 * rng.standard_normal(60)
    S = scipy.sparse.csr_array(dense)
    A = S if form == "sparse" else 2.0 * (0.5 * aslinearoperator(S))
    path = xs.lasso_path(A, y, n_lams=8, ratio=0.05)
    assert path.method == ("working_set" if form == "sparse" else "fista")
    assert path.converged
    assert_close(path.x, xs.lasso_path(dense, y, n_lams=8, ratio=0.05).x, atol=1e-2 * np.max(np.abs(path.x)))
    with pytest.raises(ValueError, match=r"got 0\. Use `ridge`"):
        xs.lasso_path(A, y, [1.0, 0.0])


def test_too_few_iterations_are_said(rng):
    A, y = data(rng, 30, 10)
    with pytest.warns(ConvergenceWarning, match="lasso_path"):
        path = xs.lasso_path(A, y, n_lams=5, method="fista", max_iter=1)
    assert path.status is Status.MAX_ITER


def test_traces_under_jax_jit(rng):
    jax = pytest.importorskip("jax")
    A, y = data(rng, 20, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = jax.jit(lambda A, y: xs.lasso_path(A, y, n_lams=4, ratio=0.1, tol=1e-9).x)(A, y)
    assert_close(np.asarray(x), xs.lasso_path(A, y, n_lams=4, ratio=0.1).x, atol=1e-3)
    with pytest.raises(ValueError, match="decisions on the host"):
        jax.jit(lambda A, y: xs.lasso_path(A, y, n_lams=3, method="working_set").x)(A, y)


@pytest.mark.parametrize(("n", "p"), [(30, 12), (12, 30)])
def test_products_are_those_of_the_costs(rng, n, p):
    A, y = data(rng, n, p)
    options = {"n_lams": 5, "ratio": 0.2, "method": "fista", "check_finite": False}
    path, tally = xs.count(xs.lasso_path, A, y, **options)
    cost = costs.lasso_path(n, p, n_lams=5, method="fista", n_iter=path.n_iter)
    assert tally.product_flops == cost.flops
    assert tally.syncs == cost.syncs


def test_the_working_set_reads_A_far_less_than_once_a_lambda(rng):
    A, y = data(rng, 100, 1000, 10)
    path, tally = xs.count(xs.lasso_path, A, y, n_lams=40, ratio=0.1, check_finite=False)
    assert path.stats["looks"] <= 10
    looks = costs.gemm(1000, 10, 100).flops * path.stats["looks"]
    size, steps = path.stats["size"], path.stats["steps"]
    small = costs.gram(100, size).flops * 2 + (2 * size * size + size**3) * (steps + 40)
    assert tally.product_flops <= 2 * 1000 * 100 + 2 * looks + small


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lams": [1.0, -1.0]}, ValueError, "lams"),
        ({"lams": "many"}, TypeError, "lams"),
        ({"n_lams": 0}, ValueError, "n_lams"),
        ({"ratio": 1.5}, ValueError, "ratio: expected a number between 0 and 1"),
        ({"method": "lars"}, ValueError, "'working_set', 'fista', got 'lars'"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"y": np.ones((4, 2))}, ValueError, r"y: expected shape \(n,\)"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"A": np.eye(4), "y": np.ones(4), **change}
    with pytest.raises(error, match=message):
        xs.lasso_path(**arguments)


def test_the_next_answer_is_ahead_on_the_line_through_the_last_two():
    lams = np.asarray([3.0, 2.0, 1.5])
    before, x = np.asarray([[1.0], [0.0], [0.5], [-1.0]]), np.asarray([[1.5], [0.0], [0.1], [-1.5]])
    assert_close(_ahead(before, x, lams), [[1.75], [0.0], [0.0], [-1.75]])
    assert_close(_ahead(before, x, np.asarray([2.0, 2.0, 1.0])), x)  # of two equal λ there is no line
    assert_close(_ahead(before, x, np.asarray([2.0, 1.9, 0.1])), _ahead(before, x, np.asarray([2.0, 1.9, 1.8])))


@pytest.mark.parametrize("compile_sweeps", [True, False])
@pytest.mark.parametrize("theta", [0.0, 0.3])
@pytest.mark.parametrize("tol", [1e-3, 1e-4, 1e-7])
def test_more_features_than_rows_down_to_small_lams(rng, monkeypatch, compile_sweeps, theta, tol):
    if not compile_sweeps:
        monkeypatch.setattr("xpsolve.linear.semismooth_newton.is_compiled", lambda x: False)
    A = rng.standard_normal((120, 900)) * np.logspace(-2, 2, 900)
    y = A[:, :100] @ rng.standard_normal(100) + rng.standard_normal(120)
    lams = np.max(np.abs(A.T @ y)) * np.geomspace(0.9, 1e-3, 60)
    path = path_of(A, y, lams, theta, tol=tol)
    assert path.converged
    assert np.max(path.gaps) <= tol
    for i in (5, 30, 59):
        objective, best = (
            0.5 * np.sum((y - A @ x) ** 2) + lams[i] * ((1 - theta) * np.sum(np.abs(x)) + 0.5 * theta * np.sum(x**2))
            for x in (path.x[i], xs.elastic_net(A, y, lams[i], theta, tol=1e-10).x)
        )
        assert objective - best <= tol * 0.5 * y @ y
