"""Complex A, y and x: against NumPy, against the real problem of twice the size, and by optimality conditions."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.autodiff import NoRuleError
from xpsolve.testing import assert_close, check_solution

METHODS = ("normal", "woodbury", "svd", "cg")
SIZES = [(12, 5), (5, 12), (7, 7), (1, 3), (3, 1), (1, 1)]


def numbers(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def placed(xp, x):
    x = np.asarray(x)
    single = xp.dtype == "float32"
    return xp(x, dtype=("complex64" if single else "complex128") if np.iscomplexobj(x) else xp.dtype)


def real(A):
    """The matrix that does with real over imaginary parts what A does with complex numbers."""
    return np.block([[A.real, -A.imag], [A.imag, A.real]])


def parts(y):
    return np.concatenate([y.real, y.imag])


def regularised(A, y, lam):
    return np.linalg.solve(A.conj().T @ A + lam * np.eye(A.shape[1]), A.conj().T @ y)


def sparse_problem(rng, n, p, nonzeros=3, noise=0.1):
    A, x = numbers(rng, n, p), np.zeros(p, complex)
    x[rng.choice(p, min(nonzeros, p), replace=False)] = numbers(rng, min(nonzeros, p))
    return A, A @ x + noise * numbers(rng, n), x


# --- ridge and least squares ------------------------------------------------------------------------


@pytest.mark.of("ridge")
@pytest.mark.parametrize("method", METHODS)
def test_ridge_is_the_regularised_solution_of_numpy(xp, rng, method):
    A, Y = numbers(rng, 9, 5), numbers(rng, 9, 2)
    for y in (Y, Y[:, 0]):
        for lam in (0.5, [0.1, 1.0, 10.0]):
            solution = xs.ridge(placed(xp, A), placed(xp, y), lam, method=method)
            wanted = np.stack([regularised(A, y, v) for v in np.atleast_1d(lam)])
            wanted = wanted if isinstance(lam, list) else wanted[0]
            check_solution(solution, like=placed(xp, A), shape=wanted.shape)
            assert solution.converged
            assert_close(solution.x, wanted, rtol=2e-4 if xp.dtype == "float32" else 1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_ridge_is_the_real_problem_of_twice_the_size(rng, method, size, dtype):
    A, y = numbers(rng, *size).astype(dtype), numbers(rng, size[0]).astype(dtype)
    solution = xs.ridge(A, y, 0.3, method=method)
    assert solution.converged
    assert solution.x.dtype == dtype
    assert_close(parts(solution.x), xs.ridge(real(A), parts(y), 0.3).x, rtol=1e-3 if dtype == "complex64" else 1e-9)


@pytest.mark.of("lstsq")
@pytest.mark.parametrize("size", SIZES[:4])
def test_least_squares_are_those_of_numpy(xp, rng, size):
    A, y = numbers(rng, *size), numbers(rng, size[0], 2)
    solution = xs.lstsq(placed(xp, A), placed(xp, y))
    check_solution(solution, like=placed(xp, A), shape=(size[1], 2))
    assert solution.converged
    assert_close(solution.x, np.linalg.lstsq(A, y, rcond=None)[0], rtol=1e-3 if xp.dtype == "float32" else 1e-10)
    assert int(solution.stats["rank"]) == min(size)


def test_rank_deficient_and_zero_columns(rng):
    A = numbers(rng, 8, 3) @ numbers(rng, 3, 6)
    A[:, 2] = 0
    y = numbers(rng, 8)
    x = xs.lstsq(A, y).x
    assert_close(x, np.linalg.pinv(A) @ y, rtol=1e-9)
    assert_close(xs.ridge(A, y, 1e-3).x, regularised(A, y, 1e-3), rtol=1e-8)
    assert xs.lasso(A, y, 0.5).x[2] == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponents", [(300, 0), (-300, 100), (0, -900), (480, 480)])
def test_ridge_at_any_scale(rng, method, exponents):
    A, y = numbers(rng, 8, 4), numbers(rng, 8)
    a, b = (2.0**k for k in exponents)
    lam = 0.3 * a * a if 0 < 0.3 * a * a < np.inf else 0.0
    solution = xs.ridge(A * a, y * b, lam, method=method)
    assert solution.converged
    assert_close(solution.x * a / b, regularised(A, y, lam / a / a), rtol=1e-8)


def test_weights_and_intercept(rng):
    A, y, w = numbers(rng, 10, 3), numbers(rng, 10), rng.random(10)
    B = np.concatenate([A, np.ones((10, 1))], axis=1)
    D = np.diag([0.4, 0.4, 0.4, 0.0])
    wanted = np.linalg.solve(B.conj().T @ (w[:, None] * B) + D, B.conj().T @ (w * y))
    for operator in (A, xs.operators.Dense(A) * 1.0):
        solution = xs.ridge(operator, y, 0.4, weights=w, intercept=True)
        assert_close(solution.x, wanted[:3], rtol=1e-9)
        assert_close(solution.intercept, wanted[3], rtol=1e-9)


@pytest.mark.parametrize("solve", [lambda A, y: xs.ridge(A, y, 0.2), xs.lstsq, lambda A, y: xs.lasso(A, y, 0.2)])
def test_real_and_complex_are_promoted(rng, solve):
    A, y = rng.standard_normal((6, 4)), rng.standard_normal(6)
    for a, b in ((A, 1j * y), (1j * A, y), (A.astype("float32"), 1j * y), (A.astype("complex64"), y)):
        x = solve(a, b).x
        assert x.dtype == np.complex128
        assert_close(x, solve(a.astype(complex), b.astype(complex)).x, rtol=1e-6)
    assert solve(A.astype("complex64"), y.astype("float32")).x.dtype == np.complex64
    assert_close(solve(A, 1j * y).x, 1j * solve(A, y).x, rtol=1e-4)  # purely imaginary data
    assert_close(solve(1j * A, y).x, -1j * solve(A, y).x, rtol=1e-4)


def test_bad_numbers_are_found(rng):
    A, y = numbers(rng, 5, 3), numbers(rng, 5)
    y[2] = complex(0.0, np.nan)
    with pytest.raises(ValueError, match="y: expected finite numbers, got 1 NaN or infinite of 5"):
        xs.ridge(A, y, 0.1)
    A[1, 1] = complex(np.inf, 0.0)
    with pytest.raises(ValueError, match="A: expected finite numbers"):
        xs.lasso(A, y, 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_flops_are_four_times_those_of_real_numbers(rng, method):
    A, y = numbers(rng, 20, 8), numbers(rng, 20)
    options = {"method": method, "check_finite": False}
    _, tally = xs.count(xs.ridge, A, y, 0.5, **options)
    solution, once = xs.count(xs.ridge, A.real.copy(), y.real.copy(), 0.5, **options)
    if solution.n_iter == 0:
        assert tally.product_flops == 4 * once.product_flops
    assert tally.syncs == once.syncs or method == "cg"


# --- lasso and elastic net --------------------------------------------------------------------------


def violation(A, y, lam, x, theta=0.0):
    """How far the optimality conditions A_jᴴr = λ x_j/|x_j|, |A_jᴴr| ≤ λ are from holding, relative to λ."""
    c = A.conj().T @ (y - A @ x) - lam * theta * x
    on, level = x != 0, lam * (1 - theta)
    size = np.where(on, np.abs(x), 1)
    return np.max(np.where(on, np.abs(c - level * x / size), np.maximum(np.abs(c) - level, 0))) / lam


@pytest.mark.of("lasso")
@pytest.mark.parametrize("method", ["auto", "fista", "ista"])
def test_lasso_meets_its_optimality_conditions(xp, rng, method):
    tol, allowed = (1e-12, 1e-5) if xp.exact else (4e-6, 5e-2)
    for n, p in ((30, 12), (12, 30))[: 1 if xp.name == "dask" else 2]:
        A, y, _ = sparse_problem(rng, n, p)
        lam = 0.2 * np.max(np.abs(A.conj().T @ y))
        solution = xs.lasso(placed(xp, A), placed(xp, y), lam, method=method, tol=tol)
        check_solution(solution, like=placed(xp, A), shape=(p,))
        assert solution.converged
        assert solution.method == ("ista" if method == "ista" else "fista")
        x = xs.arrays.backends.to_numpy(solution.x).astype(complex)
        assert violation(A, y, lam, x) < allowed
        assert 0 < np.sum(x != 0) < p


def test_lasso_is_the_group_lasso_of_real_and_imaginary_parts(rng):
    A, y, _ = sparse_problem(rng, 15, 10)
    lam = 0.3 * np.max(np.abs(A.conj().T @ y))
    f = xs.LeastSquares(real(A), parts(y))
    groups = xs.penalties.GroupL1(lam / f.n, [j % 10 for j in range(20)])
    wanted = xs.minimize(f, groups, tol=1e-12)
    assert wanted.converged
    assert_close(parts(xs.lasso(A, y, lam, tol=1e-12).x), wanted.x, rtol=1e-5)


@pytest.mark.of("elastic_net")
def test_elastic_net_meets_its_optimality_conditions(xp, rng):
    A, y, _ = sparse_problem(rng, 20, 12)
    lam = 0.3 * np.max(np.abs(A.conj().T @ y))
    solution = xs.elastic_net(placed(xp, A), placed(xp, y), lam, 0.4, tol=1e-12 if xp.exact else 1e-6)
    assert solution.converged
    x = xs.arrays.backends.to_numpy(solution.x).astype(complex)
    assert violation(A, y, lam, x, 0.4) < (1e-5 if xp.exact else 5e-2)


def test_limits_of_lam(rng):
    A, y, _ = sparse_problem(rng, 12, 6)
    most = np.max(np.abs(A.conj().T @ y))
    assert np.all(xs.lasso(A, y, most * (1 + 1e-12)).x == 0)
    assert np.any(xs.lasso(A, y, most * 0.9).x != 0)
    assert_close(xs.lasso(A, y, 0).x, xs.lstsq(A, y).x)
    assert_close(xs.elastic_net(A, y, 0.2, 1.0).x, xs.ridge(A, y, 0.2).x)


def test_many_columns_a_start_and_a_record(rng):
    A, Y = numbers(rng, 12, 8), numbers(rng, 12, 3)
    Y[:, 1] = 0
    together = xs.lasso(A, Y, 3.0, tol=1e-11, record=True)
    for j in range(3):
        assert_close(together.x[:, j], xs.lasso(A, Y[:, j], 3.0, tol=1e-11).x, rtol=1e-4)
    assert together.history["objective"].dtype == np.float64
    again = xs.lasso(A, Y, 3.0, tol=1e-11, x0=together.x)
    assert again.n_iter == 0


@pytest.mark.parametrize("exponents", [(200, 0), (-300, 100), (0, -700)])
def test_lasso_at_any_scale(rng, exponents):
    A, y, _ = sparse_problem(rng, 12, 20)
    a, b = (2.0**k for k in exponents)
    lam = 0.2 * np.max(np.abs(A.conj().T @ y))
    solution = xs.lasso(A * a, y * b, lam * a * b, tol=1e-10)
    assert solution.converged
    assert_close(solution.x * a / b, xs.lasso(A, y, lam, tol=1e-10).x, rtol=1e-5)


@pytest.mark.of("soft_threshold")
def test_soft_threshold(xp, rng):
    x = numbers(rng, 4, 3)
    x[0] = [0, 1j, 3 - 4j]
    found = xs.soft_threshold(placed(xp, x), 1.0)
    size = np.abs(x)
    wanted = x * np.maximum(1 - 1 / np.where(size > 0, size, 1), 0)
    assert_close(found, wanted, like=placed(xp, x), rtol=10 * xp.eps)
    assert np.array_equal(np.asarray(xs.arrays.backends.to_numpy(found)) == 0, size <= 1)
    assert_close(xs.soft_threshold(placed(xp, x), xp([0.5, 1.0, 2.0]))[0, 2], (3 - 4j) * 0.6, rtol=10 * xp.eps)


# --- basis pursuit ----------------------------------------------------------------------------------


@pytest.mark.of("basis_pursuit")
def test_basis_pursuit_finds_a_sparse_answer_exactly(xp, rng):
    A, y, x = sparse_problem(rng, 20, 50, noise=0)
    solution = xs.basis_pursuit(placed(xp, A), placed(xp, y), tol=1e-8 if xp.exact else 1e-4)
    check_solution(solution, like=placed(xp, A), shape=(50,))
    assert solution.converged
    assert_close(solution.x, x, rtol=1e-8 if xp.exact else 1e-3)


@pytest.mark.parametrize(("n", "p", "nonzeros"), [(20, 40, 15), (5, 5, 3), (1, 6, 1), (8, 3, 2)])
def test_basis_pursuit_is_proved_by_a_dual_point(rng, n, p, nonzeros):
    A, y, x = sparse_problem(rng, n, p, nonzeros, noise=0)
    solution = xs.basis_pursuit(A * 2.0**-200, y, tol=1e-7)
    assert solution.converged
    found = solution.x * 2.0**-200
    assert_close(A @ found, y, rtol=1e-6)
    assert np.sum(np.abs(found)) <= np.sum(np.abs(x)) * (1 + 1e-6)


def test_answers_of_pytorch_can_be_read_by_other_libraries(rng):
    torch = pytest.importorskip("torch")
    A, y = torch.asarray(numbers(rng, 6, 4)), torch.asarray(numbers(rng, 6))
    operator = xs.operators.Dense(A)
    found = [xs.ridge(M, v, 0.2, method=method).x for M, v in ((A, y), (A.T, y[:4])) for method in METHODS]
    found += [xs.lstsq(A, y).x, xs.lasso(A, y, 0.5).x, xs.basis_pursuit(A.T, y[:4]).x, operator.T @ y, operator @ y[:4]]
    for x in found:
        np.from_dlpack(x)  # which a conjugated view of PyTorch refuses


# --- under jit, and derivatives ---------------------------------------------------------------------


def test_jit(rng):
    jax = pytest.importorskip("jax")
    A, y, _ = sparse_problem(rng, 12, 8)
    for solve in (
        lambda A, y: xs.ridge(A, y, 0.3).x,
        lambda A, y: xs.ridge(A, y, 0.3, method="cg").x,
        lambda A, y: xs.lasso(A, y, 2.0, tol=1e-9).x,
        lambda A, y: xs.basis_pursuit(A.T, y[:8]).x,
    ):
        assert_close(jax.jit(solve)(A, y), solve(A, y), rtol=1e-4)


@pytest.mark.parametrize("method", ["normal", "woodbury"])
@pytest.mark.parametrize("n", [5, 80])
def test_unrolled_derivatives(rng, method, n):
    A, y = numbers(rng, n, 4), numbers(rng, n)

    def size(lam):
        x = xs.ridge(A, y, lam, method=method, check_finite=False).x
        return xs.arrays.inner(x, x)

    with xs.autodiff.unrolled():
        found = xs.autodiff.grad(size)(np.asarray(0.5))
        forward = xs.autodiff.jvp(size, (np.asarray(0.5),), (np.asarray(1.0),))[1]
    h = 1e-5
    wanted = (size(np.asarray(0.5 + h)) - size(np.asarray(0.5 - h))) / (2 * h)
    assert_close(found, wanted, rtol=1e-6)
    assert_close(forward, wanted, rtol=1e-6)


def test_implicit_derivatives_refuse_complex_numbers(rng):
    A, y = numbers(rng, 6, 4), numbers(rng, 6)
    for solve in (lambda y: xs.ridge(A, y, 0.3).x, lambda y: xs.lasso(A, y, 0.3).x):
        with pytest.raises(NoRuleError, match="not available for complex numbers"):
            xs.autodiff.jvp(solve, (y,), (y,))
