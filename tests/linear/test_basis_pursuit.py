"""Basis pursuit: against linear programming, and what its certificate proves."""

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linprog

import xpsolve as xs
from xpsolve import costs
from xpsolve.capabilities import TABLE
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, check_cost, check_solution


def least_length(A, y):
    """min ‖x‖₁ over Ax = y as a linear program in the positive and negative parts."""
    return linprog(np.ones(2 * A.shape[1]), A_eq=np.hstack([A, -A]), b_eq=y, bounds=(0, None)).fun


def planted(rng, n, p, nonzeros):
    x = np.zeros(p)
    x[rng.choice(p, nonzeros, replace=False)] = rng.standard_normal(nonzeros)
    A = rng.standard_normal((n, p))
    return A, A @ x, x


@pytest.mark.of("basis_pursuit")
def test_a_sparse_answer_is_found_exactly(xp, rng):
    A, y, x = planted(rng, 30, 80, 5)
    solution = xs.basis_pursuit(xp(A), xp(y), tol=1e-8 if xp.exact else 1e-4)
    check_solution(solution, like=xp(A), shape=(80,))
    assert solution.converged
    assert_close(solution.x, x, rtol=1e-9 if xp.exact else 1e-3)


@pytest.mark.parametrize("form", ["csr_array", "coo_array", "csc_matrix"])
def test_a_sparse_matrix_is_taken(rng, form):
    A, y, _ = planted(rng, 8, 20, 2)
    A = np.where(np.abs(A) > 1, A, 0.0)
    found = xs.basis_pursuit(getattr(scipy.sparse, form)(A), y)
    assert np.array_equal(found.x, xs.basis_pursuit(A, y).x)


@pytest.mark.parametrize(("n", "p", "nonzeros"), [(20, 50, 15), (30, 60, 30), (5, 5, 3), (1, 6, 1), (8, 3, 2)])
def test_as_short_as_linear_programming_finds(rng, n, p, nonzeros):
    A, y, _ = planted(rng, n, p, nonzeros)  # mostly too few rows to recover x
    solution = xs.basis_pursuit(A, y, tol=1e-9)
    assert solution.converged
    assert_close(A @ solution.x, y, rtol=1e-8)
    assert np.sum(np.abs(solution.x)) == pytest.approx(least_length(A, y), rel=1e-8)


def test_rows_that_depend_on_one_another(rng):
    A, y, _ = planted(rng, 6, 15, 3)
    A, y = np.vstack([A, A[:2] - A[2:4]]), np.concatenate([y, y[:2] - y[2:4]])
    solution = xs.basis_pursuit(A, y)
    assert solution.converged
    assert np.sum(np.abs(solution.x)) == pytest.approx(least_length(A, y), rel=1e-6)


def test_contradictions_are_told_at_once(rng):
    A, y, _ = planted(rng, 6, 15, 3)
    with pytest.warns(ConvergenceWarning, match="raise tol above it"):
        solution = xs.basis_pursuit(np.vstack([A, A[:1]]), np.append(y, y[0] + 1))
    assert solution.status is Status.INFEASIBLE
    assert solution.n_iter == 0


def test_the_lasso_tends_to_it(rng):
    A, y, _ = planted(rng, 20, 50, 4)
    limit = xs.basis_pursuit(A, y, tol=1e-10).x
    distances = [np.max(np.abs(xs.lasso(A, y, lam, tol=1e-10).x - limit)) for lam in (1.0, 1e-1, 1e-2)]
    assert distances[0] > 5 * distances[1] > 25 * distances[2]


def test_zero_data_have_the_zero_answer():
    assert_close(xs.basis_pursuit(np.eye(2, 3), np.zeros(2)).x, np.zeros(3))


def test_it_stops_when_it_is_told(rng):
    A, y, _ = planted(rng, 30, 80, 20)
    with pytest.warns(ConvergenceWarning, match="basis_pursuit.*after 3 iterations"):
        assert xs.basis_pursuit(A, y, max_iter=3).status is Status.MAX_ITER
    assert xs.basis_pursuit(A, y, callback=lambda k, state: k >= 20).status is Status.STOPPED


def test_bad_input(rng):
    with pytest.raises(ValueError, match=r"y: expected shape \(n,\)"):
        xs.basis_pursuit(np.eye(2), np.eye(2))
    with pytest.raises(TypeError, match="A: expected an array or a sparse matrix"):
        xs.basis_pursuit(xs.operators.Dense(np.eye(2)).T, np.ones(2))
    with pytest.raises(ValueError, match="tol: expected a finite number >= 0"):
        xs.basis_pursuit(np.eye(2), np.ones(2), tol=-1.0)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize(("n", "p"), [(20, 60), (12, 12)])
def test_counted_products_and_reads_are_the_costs(rng, n, p):
    A, y, _ = planted(rng, n, p, 5)
    stop = {"max_iter": 40, "tol": 1e-300, "check_finite": False}
    solution, tally = xs.count(xs.basis_pursuit, A, y, **stop)
    cost = costs.basis_pursuit(n, p, n_iter=solution.n_iter)
    check_cost(tally, cost)
    assert cost.syncs <= solution.n_iter // 20 + TABLE["basis_pursuit"].syncs


def test_traces_under_jax_jit(rng):
    jax = pytest.importorskip("jax")
    A, y, x = planted(rng, 20, 50, 3)
    assert_close(jax.jit(lambda A, y: xs.basis_pursuit(A, y, tol=1e-8).x)(A, y), x, rtol=1e-8)
