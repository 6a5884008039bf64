"""Minimum-norm least squares: over-, under-determined and rank-deficient, against SciPy."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

import xpsolve as xs
from xpsolve import costs
from xpsolve.testing import assert_close, check_cost, check_solution


def matrix(rng, n, p, rank):
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))


@pytest.mark.of("lstsq")
@pytest.mark.parametrize(
    ("n", "p", "rank"), [(30, 8, 8), (8, 30, 8), (12, 12, 12), (30, 8, 5), (8, 30, 5), (12, 12, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("k", [None, 3])
def test_agrees_with_scipy(xp, rng, n, p, rank, k):
    A, y = matrix(rng, n, p, rank), rng.standard_normal(n if k is None else (n, k))
    solution = xs.lstsq(xp(A), xp(y), rtol=1e-5)
    check_solution(solution, like=xp(A), shape=(p,) if k is None else (p, k))
    assert solution.converged
    wanted, _, _, s = scipy.linalg.lstsq(A, y, cond=1e-5)
    assert_close(solution.x, wanted, rtol=1e-9 if xp.dtype == "float64" else 2e-3)
    assert_close(solution.stats["singular_values"], s, rtol=1e-10 if xp.dtype == "float64" else 1e-5)
    assert int(solution.stats["rank"]) == rank


def test_the_residual_is_orthogonal_and_the_solution_short(rng):
    A, y = matrix(rng, 10, 20, 6), rng.standard_normal(10)
    x = xs.lstsq(A, y).x
    assert_close(A.T @ (y - A @ x), np.zeros(20), atol=1e-11)
    kernel = scipy.linalg.null_space(A)
    assert_close(kernel.T @ x, np.zeros(14), atol=1e-12)


def test_a_zero_matrix_has_the_zero_solution():
    solution = xs.lstsq(np.zeros((3, 2)), np.ones(3))
    assert solution.converged
    assert_close(solution.x, [0.0, 0.0])
    assert int(solution.stats["rank"]) == 0


@pytest.mark.parametrize(("n", "p"), [(30, 8), (8, 30), (12, 12)])
def test_counted_work_is_the_cost(rng, n, p):
    for looks in (False, True):
        _, tally = xs.count(xs.lstsq, rng.standard_normal((n, p)), rng.standard_normal(n), check_finite=looks)
        cost = costs.lstsq(n, p, check_finite=looks)
        check_cost(tally, cost)
        assert tally.syncs == 2 * looks


def test_traces_under_jax_jit(rng):
    jax = pytest.importorskip("jax")
    A, y = matrix(rng, 9, 5, 5), rng.standard_normal(9)
    assert_close(jax.jit(lambda A, y: xs.lstsq(A, y).x)(A, y), np.linalg.pinv(A) @ y, rtol=1e-10)


@pytest.mark.parametrize(("n", "p"), [(40, 10), (10, 40), (20, 20), (1, 5), (5, 1)])
@pytest.mark.parametrize("kind", ["sparse", "operator"])
def test_the_shortest_for_what_is_not_dense(xp, rng, n, p, kind):
    if kind == "sparse" and xp.backend.library not in ("numpy", "cupy"):
        return
    A = rng.standard_normal((n, p)) * (rng.random((n, p)) < 0.6)
    A[:, -1] = A[:, 0]  # dependent columns, and more of them than rows
    Y = rng.standard_normal((n, 2))
    if kind == "operator":
        operator = 1.0 * xs.operators.Dense(xp(A))
    elif xp.backend.library == "cupy":
        operator = pytest.importorskip("cupyx.scipy.sparse").csr_matrix(xp(A))
    else:
        operator = scipy.sparse.csr_array(A)
    wanted = np.linalg.lstsq(A, Y)[0]
    solution = xs.lstsq(operator, xp(Y))
    assert solution.method == "cg"
    assert solution.converged
    rtol = 1e-8 if xp.dtype == "float64" else 1e-2
    assert_close(solution.x, wanted, like=xp(Y), rtol=rtol, atol=rtol * np.max(np.abs(wanted)))


def test_iterations_and_derivatives_of_what_is_not_dense(rng):
    A, y, w = rng.standard_normal((20, 6)), rng.standard_normal(20), rng.standard_normal(6)
    S = scipy.sparse.csr_array(A)
    with pytest.warns(xs.ConvergenceWarning, match=r"lstsq\(method='cg'\).*Raise max_iter"):
        assert not xs.lstsq(S, y, max_iter=1).converged
    large, many = scipy.sparse.csr_array(rng.standard_normal((100, 60))), rng.standard_normal(100)
    assert xs.lstsq(large, many, tol=0.1).n_iter < xs.lstsq(large, many).n_iter
    gradient = xs.autodiff.grad(lambda y: xs.lstsq(S, y).x @ w)(y)
    assert_close(gradient, np.linalg.pinv(A).T @ w, rtol=1e-8)
