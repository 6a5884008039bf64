"""Ridge: every method against one oracle, on every backend; certificates, fallbacks, budgets."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import xpsolve as xs
from xpsolve import costs
from xpsolve.arrays import is_concrete
from xpsolve.capabilities import TABLE
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, check_cost, check_solution, slope_test

SHAPES = [(60, 20), (20, 60), (40, 40)]


def oracle(A, y, lam):
    """Least squares on the augmented system [A; √λ I] x = [y; 0], by SciPy's SVD."""
    p = A.shape[1]
    zeros = np.zeros((p, *y.shape[1:]))
    return scipy.linalg.lstsq(np.vstack([A, np.sqrt(lam) * np.eye(p)]), np.concatenate([y, zeros]))[0]


def data(rng, n, p, k=None):
    return rng.standard_normal((n, p)), rng.standard_normal(n if k is None else (n, k))


@pytest.mark.of("ridge")
@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("method", ["auto", *costs.RIDGE_METHODS])
def test_agrees_with_the_augmented_system(xp, rng, n, p, method):
    A, y = data(rng, n, p)
    solution = xs.ridge(xp(A), xp(y), 0.7, method=method)
    check_solution(solution, like=xp(A), shape=(p,))
    assert solution.converged
    assert_close(solution.x, oracle(A, y, 0.7), rtol=1e-10 if xp.dtype == "float64" else 2e-4)


@pytest.mark.of("ridge")
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # of Woodbury for n > p in float32
@pytest.mark.parametrize("method", costs.RIDGE_METHODS)
def test_a_path_and_many_right_hand_sides_are_the_single_solves(xp, rng, method):
    A, Y = data(rng, 30, 12, k=3)
    lams = [0.3, 2.0, 50.0]
    solution = xs.ridge(xp(A), xp(Y), lams, method=method)
    check_solution(solution, like=xp(A), shape=(3, 12, 3))
    one_y = xs.ridge(xp(A), xp(Y[:, 1]), xp(lams), method=method)
    check_solution(one_y, like=xp(A), shape=(3, 12))
    rtol = 1e-10 if xp.dtype == "float64" else 1e-3
    for i, lam in enumerate(lams):
        assert_close(solution.x[i, :, :], oracle(A, Y, lam), rtol=rtol)
        assert_close(one_y.x[i, :], oracle(A, Y[:, 1], lam), rtol=rtol)
        assert_close(xs.ridge(xp(A), xp(Y), lam, method=method).x, oracle(A, Y, lam), rtol=rtol)


@pytest.mark.of("ridge")
@pytest.mark.parametrize("method", costs.RIDGE_METHODS)
def test_float32_stays_float32(xp, rng, method):
    A, y = data(rng, 25, 10)
    like = xp(A, dtype="float32")
    solution = xs.ridge(like, xp(y, dtype="float32"), 0.5, method=method)
    check_solution(solution, like=like)
    assert solution.converged
    assert_close(solution.x, oracle(A, y, 0.5), rtol=1e-4)


@pytest.mark.of("ridge")
def test_integers_become_the_default_real_dtype(xp):
    A = xp([[1, 0], [0, 2], [1, 1]], dtype="int32")
    solution = xs.ridge(A, xp([1, 2, 2], dtype="int32"), 1)
    assert solution.x.dtype == xp.xp.__array_namespace_info__().default_dtypes(device=xp.device)["real floating"]
    assert_close(solution.x, oracle(np.asarray([[1.0, 0], [0, 2], [1, 1]]), np.asarray([1.0, 2, 2]), 1.0), rtol=1e-5)


@pytest.mark.parametrize("method", ["normal", "woodbury"])
def test_a_singular_system_is_answered_by_the_svd_and_says_so(rng, method):
    A = np.outer(rng.standard_normal(20), rng.standard_normal(15))  # rank one, λ = 0
    y = rng.standard_normal(20)
    solution = xs.ridge(A, y, 0.0, method=method)
    assert solution.method == f"{method}->svd"
    assert "pivots" in solution.stats["fallbacks"][0]
    assert solution.converged
    assert_close(solution.x, np.linalg.pinv(A) @ y, rtol=1e-8)


@pytest.mark.of("ridge")
@pytest.mark.parametrize("method", costs.RIDGE_METHODS)
def test_zero_matrix_and_zero_data(xp, method):
    zeros, ones = np.zeros((4, 3)), np.ones(4)
    solution = xs.ridge(xp(zeros), xp(ones), 1.0, method=method)
    assert solution.converged
    assert_close(solution.x, np.zeros(3))
    assert xs.ridge(xp(np.ones((4, 3))), xp(0 * ones), 1.0, method=method).converged


@pytest.mark.of("ridge")
@pytest.mark.parametrize(("n", "p"), [(1, 1), (1, 5), (5, 1)])
def test_one_sample_or_one_feature(xp, rng, n, p):
    A, y = data(rng, n, p)
    assert_close(xs.ridge(xp(A), xp(y), 0.5).x, oracle(A, y, 0.5), rtol=1e-5)


def test_the_limits_of_lambda(rng):
    A, y = data(rng, 30, 10)
    assert_close(xs.ridge(A, y, 1e-12).x, xs.lstsq(A, y).x, rtol=1e-9)
    assert_close(xs.ridge(A, y, 1e12).x * 1e12, A.T @ y, rtol=1e-8)


@given(
    n=st.integers(1, 30),
    p=st.integers(1, 30),
    scale=st.sampled_from([1e-8, 1e-3, 1.0, 1e8]),
    lam=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 10**6),
)
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # of Woodbury, below
def test_methods_agree_whatever_the_shape_and_scale(n, p, scale, lam, seed):
    A, y = data(np.random.default_rng(seed), n, p)
    A, lam = A * scale, lam * scale**2
    answers = {m: xs.ridge(A, y, lam, method=m) for m in costs.RIDGE_METHODS}
    for method, solution in answers.items():
        # Woodbury's α = (y − Ax)/λ grows with 1/λ where y lies outside the range of A: digits go, and it says so
        assert solution.converged or (method == "woodbury" and n > p), (method, solution.certificate.value)
        assert_close(solution.x, oracle(A, y, lam), rtol=1e-8)


def test_the_objective_is_least_at_the_solution(rng):
    A, y = data(rng, 20, 8)
    x = xs.ridge(A, y, 0.4).x

    def objective(x):
        return 0.5 * np.sum((A @ x - y) ** 2) + 0.2 * np.sum(x * x)

    for _ in range(20):
        assert objective(x) < objective(x + 1e-3 * rng.standard_normal(8))


def test_the_solution_is_differentiable_in_y(rng):
    A, y = data(rng, 20, 8)
    slope_test(
        lambda y: np.sin(xs.ridge(A, y, 0.4).x), lambda v: np.cos(xs.ridge(A, y, 0.4).x) * xs.ridge(A, v, 0.4).x, y
    )


# --- operators ------------------------------------------------------------------------------------


def test_sparse_matrices_and_operators_are_never_made_dense(rng):
    S = scipy.sparse.csc_array(rng.random((80, 50)) * (rng.random((80, 50)) < 0.1))
    S.toarray = S.todense = None  # any attempt fails
    y = rng.standard_normal(80)
    wanted = oracle(scipy.sparse.csr_array(S).toarray(), y, 0.3)
    for A in (S, xs.operators.Sparse(S), 2.0 * xs.operators.Sparse(S) * 0.5):
        solution = xs.ridge(A, y, 0.3)
        assert solution.method == "cg"
        assert solution.converged
        assert_close(solution.x, wanted, rtol=1e-10)
    assert xs.ridge(S.astype(np.float32), y.astype(np.float32), 0.3).x.dtype == np.float32
    with pytest.raises(ValueError, match="Only 'cg' works"):
        xs.ridge(S, y, 0.3, method="normal")


@pytest.mark.of("ridge")
def test_an_operator_made_of_functions(xp, rng):
    class Scale(xs.LinearOperator):
        def _matvec(self, x):
            return 3.0 * x

        _rmatvec = _matvec

    y = rng.standard_normal(7)
    assert_close(xs.ridge(Scale((7, 7)), xp(y), 1.0).x, 0.3 * y, like=xp(y), rtol=1e-6)


# --- conjugate gradients --------------------------------------------------------------------------


@pytest.mark.of("ridge")
def test_cg_stops_at_max_iter_with_a_warning_and_a_status(xp, rng):
    A, y = data(rng, 60, 40)
    with pytest.warns(ConvergenceWarning, match="largest number of iterations"):
        solution = xs.ridge(xp(A), xp(y), 1e-3, method="cg", max_iter=3)
    assert solution.status is Status.MAX_ITER
    assert not solution.converged
    assert solution.n_iter == 3
    with pytest.warns(ConvergenceWarning):
        assert xs.ridge(xp(A), xp(y), 1e-3, method="cg", max_iter=0).n_iter == 0


def test_cg_starts_where_it_is_told_and_stops_when_it_is_told(rng):
    A, y = data(rng, 60, 40)
    solved = xs.ridge(A, y, 0.5)
    assert xs.ridge(A, y, 0.5, method="cg", x0=solved.x).n_iter == 0
    seen = []
    stopped = xs.ridge(A, y, 0.5, method="cg", callback=lambda k, state: seen.append(k) or k >= 20)
    assert seen == [0, 10, 20]
    assert stopped.status is Status.STOPPED
    many = xs.ridge(A, np.stack([y, 2 * y], axis=1), [0.5, 1.0], method="cg")
    again = xs.ridge(A, np.stack([y, 2 * y], axis=1), [0.5, 1.0], method="cg", x0=many.x)
    assert again.n_iter == 0


def test_cg_answers_do_not_depend_on_when_it_looks(rng):
    A, y = data(rng, 60, 40)
    for check_every in (1, 7, 50):
        solution = xs.ridge(A, y, 0.5, method="cg", check_every=check_every)
        assert solution.converged
        assert_close(solution.x, oracle(A, y, 0.5), rtol=1e-10)


# --- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("method", costs.RIDGE_METHODS)
@pytest.mark.parametrize("lam", [0.5, [0.1, 1.0, 10.0], np.asarray([0.1, 1.0])])
@pytest.mark.parametrize("k", [None, 4])
def test_counted_products_and_factorisations_are_the_costs(rng, n, p, method, lam, k):
    A, y = data(rng, n, p, k)
    solution, tally = xs.count(xs.ridge, A, y, lam, method=method, check_finite=False)
    cost = costs.ridge(n, p, k=k or 1, n_lams=np.size(lam), method=method, n_iter=solution.n_iter)
    check_cost(tally, cost)


@pytest.mark.of("ridge")
@pytest.mark.parametrize("method", ["auto", "normal", "woodbury", "svd"])
def test_direct_methods_read_the_device_at_most_once(xp, rng, method):
    A, y = data(rng, 12, 8)
    _, tally = xs.count(xs.ridge, xp(A), xp(y), 0.5, method=method, check_finite=False)
    assert tally.syncs <= TABLE["ridge"].syncs == 1
    _, checked = xs.count(xs.ridge, xp(A), xp(y), 0.5, method=method)
    assert checked.syncs == 2  # A and y, and the certificate


def test_counts_do_not_depend_on_the_backend(rng, targets):
    A, y = data(rng, 12, 8)
    for method in costs.RIDGE_METHODS:
        tallies = set()
        for target in targets:
            if target.dtype == "float64" and target.backend.name != "dask":
                _, tally = xs.count(xs.ridge, target(A), target(y), 0.5, method=method, max_iter=20, tol=1e-3)
                tallies.add((tally.launches, tally.flops, tally.bytes, tally.syncs))
        assert len(tallies) == 1, (method, tallies)


def test_a_path_costs_one_factorisation(rng):
    A, y = data(rng, 40, 10)
    _, tally = xs.count(xs.ridge, A, y, list(np.logspace(-2, 2, 30)), method="normal")
    assert tally.by_op["eigh"].calls == tally.by_op["gram"].calls == 1


# --- tracing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", *costs.RIDGE_METHODS])
def test_traces_under_jax_jit(rng, method):
    jax = pytest.importorskip("jax")
    A, y = data(rng, 30, 12)
    solve = jax.jit(lambda A, y, lam: xs.ridge(A, y, lam, method=method).x)
    assert_close(solve(A, y, 0.7), oracle(A, y, 0.7), rtol=1e-10)
    assert not is_concrete(*_traced(jax, A))


def _traced(jax, A):
    seen = []
    jax.jit(lambda A: seen.append(A) or A)(A)
    return seen


def test_auto_follows_the_costs(rng):
    assert xs.ridge(*data(rng, 90, 30), 1.0).method == "normal"
    assert xs.ridge(*data(rng, 30, 90), 1.0).method == "woodbury"
