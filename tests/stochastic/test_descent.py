"""Gradient descent, coordinate descent, Newton: oracles that are not ours, textbook iterates, every way to end."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn.linear_model

import xpsolve as xs
from xpsolve import problems
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, check_solution

METHODS = {
    "plain": lambda f, **k: xs.gradient_descent(f, **k),
    "heavy_ball": lambda f, **k: xs.gradient_descent(f, momentum="heavy_ball", **k),
    "nesterov": lambda f, **k: xs.gradient_descent(f, momentum="nesterov", **k),
    "armijo": lambda f, **k: xs.gradient_descent(f, line_search=True, **k),
    "coordinates": lambda f, **k: xs.coordinate_descent(f, **k),
    "blocks": lambda f, **k: xs.coordinate_descent(f, block=2, **k),
    "newton": lambda f, **k: xs.newton(f, **k),
    "newton cg": lambda f, **k: xs.newton(f, method="cg", **k),
}


def data(rng, n=30, p=5):
    A = rng.standard_normal((n, p))
    return A, A @ rng.standard_normal(p) + rng.standard_normal(n)


def classes(rng, n=40, p=5):
    A, y = data(rng, n, p)
    return A, np.where(y > 0, 1.0, -1.0)


def logistic(A, y, lam):
    """The minimiser by SciPy's trust region with the Hessian, which is not ours."""
    n, p = A.shape
    sigma = scipy.special.expit

    def hessian(x):
        w = sigma(A @ x) * sigma(-A @ x)
        return A.T @ (w[:, None] * A) / n + lam * np.eye(p)

    def value(x):
        return np.mean(np.logaddexp(0, -y * (A @ x))) + 0.5 * lam * x @ x

    def gradient(x):
        return -A.T @ (y * sigma(-y * (A @ x))) / n + lam * x

    found = scipy.optimize.minimize(value, np.zeros(p), jac=gradient, hess=hessian, method="trust-exact", tol=1e-12)
    return found.x


@pytest.mark.parametrize("name", METHODS)
def test_least_squares_is_ridge(xp, rng, name):
    if xp.name == "dask" and name in ("coordinates", "blocks"):
        pytest.skip("coordinate descent does not run there")
    A, y = data(rng)
    f = xs.LeastSquares(xp(A), xp(y), 0.1)
    solution = METHODS[name](f, tol=1e-9 if xp.exact else 1e-5)
    check_solution(solution, like=xp(A), shape=(5,))
    assert solution.converged
    wanted = sklearn.linear_model.Ridge(alpha=0.1 * 30, fit_intercept=False).fit(A, y).coef_
    assert_close(solution.x, wanted, rtol=1e-8 if xp.exact else 1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_logistic_regression(rng, name):
    A, y = classes(rng)
    f = xs.Logistic(A, y, 0.02)
    solution = METHODS[name](f, tol=1e-9)
    check_solution(solution, like=A, shape=(5,))
    assert solution.converged
    assert_close(solution.x, logistic(A, y, 0.02), rtol=1e-7)
    sizes = np.max(np.abs(A), axis=0)
    ratio = np.linalg.norm(f.gradient(solution.x) / sizes) / np.linalg.norm(f.gradient(f.zeros()) / sizes)
    assert solution.certificate.value == pytest.approx(ratio, rel=1e-3)


@pytest.mark.of("newton")
def test_logistic_regression_everywhere(xp, rng):
    A, y = classes(rng)
    solution = xs.newton(xs.Logistic(xp(A), xp(y), 0.02), tol=1e-9 if xp.exact else 1e-5)
    check_solution(solution, like=xp(A), shape=(5,))
    assert solution.converged
    assert_close(solution.x, logistic(A, y, 0.02), rtol=1e-7 if xp.exact else 1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_multinomial_is_scikit_learns(rng, name):
    A = rng.standard_normal((40, 4))
    labels = np.argmax(A[:, :3] + rng.standard_normal((40, 3)), axis=1)
    f = xs.Multinomial(A, labels, 0.05)
    solution = METHODS[name](f, tol=1e-9)
    assert solution.converged
    model = sklearn.linear_model.LogisticRegression(C=1 / (40 * 0.05), fit_intercept=False, tol=1e-10, max_iter=5000)
    assert_close(solution.x, model.fit(A, labels).coef_.T, rtol=1e-6)


@pytest.mark.of("newton")
def test_multinomial_everywhere(xp, rng):
    A = rng.standard_normal((30, 3))
    Y = np.eye(3)[np.argmax(A + rng.standard_normal((30, 3)), axis=1)]
    tol = 1e-8 if xp.exact else 1e-5
    solution = xs.newton(xs.Multinomial(xp(A), xp(Y), 0.05), tol=tol)
    check_solution(solution, like=xp(A), shape=(3, 3))
    assert solution.converged
    assert_close(solution.x, xs.newton(xs.Multinomial(A, Y, 0.05), tol=1e-10).x, rtol=20 * tol)


# --- iterates -------------------------------------------------------------------------------------


def textbook(f, variant, tau, mu, steps):
    """The formulas of the modules, one x after another."""
    x = before = z = np.zeros(f.shape)
    t, q = 1.0, tau * mu
    found = [x]
    for _ in range(steps):
        if variant == "nesterov":
            new = z - tau * f.gradient(z)
            after = 0.5 * (1 - q * t * t + np.sqrt((1 - q * t * t) ** 2 + 4 * t * t))
            z = new + (t - 1) / after * (1 - after * q) / (1 - q) * (new - x)
            t = after
        else:
            beta = (1 - np.sqrt(q)) ** 2 if variant == "heavy_ball" else 0.0
            new = x - tau * f.gradient(x) + beta * (x - before)
        before, x = x, new
        found.append(x)
    return found


@pytest.mark.parametrize("variant", [None, "heavy_ball", "nesterov"])
def test_iterates_are_those_of_the_textbook(rng, variant):
    f = xs.Logistic(*classes(rng), 0.1)
    L = float(f.lipschitz())
    tau = 4 / (np.sqrt(L) + np.sqrt(0.1)) ** 2 if variant == "heavy_ball" else 1 / L
    wanted = textbook(f, variant, tau, 0.1, 23)
    with pytest.warns(ConvergenceWarning):
        solution = xs.gradient_descent(f, momentum=variant, max_iter=23, tol=1e-15, record=True)
    assert_close(solution.x, wanted[-1], rtol=1e-12)
    assert_close(solution.history["objective"], [float(f.value(x)) for x in wanted], rtol=1e-12)


def test_a_sweep_is_one_coordinate_after_another(rng):
    A, y = data(rng, 12, 4)
    f = xs.LeastSquares(A, y, 0.1)
    x = np.zeros(4)
    for _ in range(3):
        for j in range(4):
            x[j] -= f.gradient(x)[j] / (A[:, j] @ A[:, j] / 12 + 0.1)
    for block in (None, 1):
        with pytest.warns(ConvergenceWarning):
            assert_close(xs.coordinate_descent(f, block=block, max_iter=3, tol=1e-15).x, x, rtol=1e-12)


def test_blocks_never_let_f_rise(rng):
    f = xs.Logistic(*classes(rng, 60, 9), 0.001)
    history = xs.coordinate_descent(f, block=4, record=True, tol=1e-8).history["objective"]
    assert np.all(np.diff(history) <= 1e-15)


def test_momentum_pays_off(rng):
    A = problems.least_squares(60, 20, condition=100.0).A
    f = xs.LeastSquares(A, rng.standard_normal(60), 1e-4 * np.linalg.norm(A, 2) ** 2 / 60)
    plain, *others = (
        xs.gradient_descent(f, tol=1e-6, max_iter=100_000, **options).n_iter
        for options in ({}, {"momentum": "heavy_ball"}, {"momentum": "nesterov"})
    )
    assert all(5 * n_iter < plain for n_iter in others)


def test_exact_search_is_the_best_along_the_gradient(rng):
    f = xs.LeastSquares(*data(rng), 0.1)
    x, g = f.zeros(), f.gradient(f.zeros())
    best = scipy.optimize.minimize_scalar(lambda t: float(f.value(x - t * g))).x
    with pytest.warns(ConvergenceWarning):
        solution = xs.gradient_descent(f, line_search="exact", max_iter=1, tol=1e-15)
    assert_close(solution.x, x - best * g, rtol=1e-6)
    assert xs.gradient_descent(f, line_search="exact", tol=1e-10).converged


def test_newton_is_fast_at_the_end(rng):
    A, y = classes(rng)
    x = logistic(A, y, 0.02)
    f = xs.Logistic(A, y, 0.02)
    errors = []
    for k in (2, 3, 4):
        with pytest.warns(ConvergenceWarning):
            errors.append(np.linalg.norm(xs.newton(f, max_iter=k, tol=1e-15).x - x))
    assert errors[1] < errors[0] ** 1.5
    assert errors[2] < errors[1] ** 1.5


def test_newton_is_damped_where_full_steps_overshoot(rng):
    A, y = classes(rng)
    f = xs.Logistic(A, y, 1e-3)
    far = 50.0 * rng.standard_normal(5)  # flat there: the full step goes much too far
    solution = xs.newton(f, far, tol=1e-9, record=True)
    assert solution.converged
    assert np.all(np.diff(solution.history["objective"]) <= 1e-12)
    assert np.any(np.diff(solution.history["objective"]) == 0)  # a step was refused


def test_backtracking_finds_its_step(rng):
    A, y = classes(rng)
    f = xs.Logistic(A, y, 0.02)
    for step in (1e-3, 1e6):
        solution = xs.gradient_descent(f, line_search=True, step=step, tol=1e-8, record=True)
        assert solution.converged
        assert np.all(np.diff(solution.history["objective"]) <= 1e-14)


# --- data of all kinds ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_one_sample_one_feature_and_constants(rng, name):
    for n, p in ((1, 1), (1, 3), (3, 1)):
        A, y = rng.standard_normal((n, p)), np.where(rng.standard_normal(n) > 0, 1.0, -1.0)
        for f in (xs.LeastSquares(A, y, 0.1), xs.Logistic(A, y, 0.1)):
            solution = METHODS[name](f, tol=1e-8)
            assert solution.converged
            assert np.linalg.norm(f.gradient(solution.x)) < 1e-7
    A = np.column_stack([np.ones(8), np.zeros(8), np.full(8, 1e-3), np.ones(8)])  # alike, and nothing
    f = xs.LeastSquares(A, np.arange(8.0))
    solution = METHODS[name](f, tol=1e-6)
    assert solution.converged
    assert_close(A @ solution.x, np.full(8, 3.5), rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_zero_data_have_the_zero_answer(name):
    solution = METHODS[name](xs.LeastSquares(np.eye(3, 2), np.zeros(3)))
    assert solution.converged
    assert solution.n_iter == 0


def test_a_gradient_of_rounding_alone_is_none():
    A = np.asarray([[0.1], [0.2], [0.3], [-0.6]])
    f = xs.LeastSquares(A, np.ones(4))  # the columns sum to rounding
    assert xs.gradient_descent(f).converged


def test_sparse_matrices(rng):
    A, y = classes(rng)
    A[np.abs(A) < 0.7] = 0
    f, g = xs.Logistic(A, y, 0.05), xs.Logistic(scipy.sparse.csr_array(A), y, 0.05)
    wanted = xs.newton(f, tol=1e-10).x
    assert_close(xs.newton(g, tol=1e-9).x, wanted, rtol=1e-7)
    assert_close(xs.gradient_descent(g, momentum="nesterov", tol=1e-9).x, wanted, rtol=1e-7)
    assert_close(xs.coordinate_descent(g, tol=1e-9).x, wanted, rtol=1e-6)
    with pytest.raises(TypeError, match="dense or sparse A"):
        xs.coordinate_descent(xs.Logistic(1.0 * xs.operators.Dense(A), y, 0.05))


@pytest.mark.parametrize("block", [None, 1, 2, 9])
@pytest.mark.parametrize("size", [1.0, 2.0**300, 2.0**-300])
def test_coordinates_of_a_sparse_matrix_are_those_of_a_dense_one(rng, block, size):
    A, y = data(rng)
    A[np.abs(A) < 0.7] = 0
    A *= size
    S = scipy.sparse.csc_array(A)
    for loss, targets, lam in ((xs.LeastSquares, y, 0.1 * size**2), (xs.Huber, y, 0.1 * size**2)):
        f, g = loss(A, targets, lam), loss(S, targets, lam)
        one, other = (xs.coordinate_descent(h, block=block, tol=1e-10) for h in (f, g))
        assert one.status is other.status
        if one.converged:
            assert_close(other.x, one.x, rtol=1e-9)
    if size == 1.0:
        assert one.converged
        of_dense = xs.autodiff.grad(lambda y: xs.coordinate_descent(xs.LeastSquares(A, y, 0.1)).x @ A[0])(y)
        of_sparse = xs.autodiff.grad(lambda y: xs.coordinate_descent(xs.LeastSquares(S, y, 0.1)).x @ A[0])(y)
        assert_close(of_sparse, of_dense, rtol=1e-6, atol=1e-9)


# --- objectives of the user -----------------------------------------------------------------------


class Rosenbrock:
    """Not ours, and not convex."""

    def value(self, x):
        return (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2

    def gradient(self, x):
        u = x[1] - x[0] ** 2
        return np.stack([-2 * (1 - x[0]) - 40 * x[0] * u, 20 * u])


class Quartic:
    """Σ x⁴/4 + x²/2 − x, whose minimiser solves x³ + x = 1."""

    def __init__(self, xp=np):
        self.xp = xp

    def value(self, x):
        return self.xp.sum(x**4 / 4 + x**2 / 2 - x)

    def gradient(self, x):
        return x**3 + x - 1

    def hessian_vector(self, x, v):
        return (3 * x**2 + 1) * v


def test_an_objective_that_is_not_convex():
    start = np.asarray([-0.5, 1.0])
    solution = xs.gradient_descent(Rosenbrock(), start, line_search=True, step=0.1, tol=1e-4, max_iter=20_000)
    check_solution(solution, like=start, shape=(2,))
    assert solution.converged
    assert_close(solution.x, [1.0, 1.0], rtol=1e-2)


@pytest.mark.of("gradient_descent")
def test_objectives_of_your_own(xp):
    start = xp([2.0, -1.0])
    solution = xs.gradient_descent(Quartic(xp.xp), start, step=0.1, tol=1e-4)
    check_solution(solution, like=start, shape=(2,))
    assert solution.converged
    assert_close(solution.x, np.full(2, 0.6823278038280193), rtol=1e-3)


def test_newton_on_an_objective_of_your_own():
    solution = xs.newton(Quartic(), np.asarray([5.0, -3.0]), tol=1e-9)
    assert solution.method == "newton: cg"
    assert_close(solution.x, np.full(2, 0.6823278038280193), rtol=1e-9)


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.of("gradient_descent")
@pytest.mark.parametrize("momentum", [None, "nesterov"])
@pytest.mark.parametrize("factor", [3.0, 1e6, 1e200])
def test_a_step_that_is_too_long_is_a_status(xp, rng, momentum, factor):
    A, y = data(rng)
    f = xs.LeastSquares(xp(A), xp(y), 0.1)
    step = min(factor, 1e30 if xp.dtype == "float32" else factor) / float(f.lipschitz())
    with pytest.warns(ConvergenceWarning, match="smaller step"):
        solution = xs.gradient_descent(f, step=step, momentum=momentum)
    check_solution(solution, like=xp(A))
    assert solution.status is Status.DIVERGED
    assert np.all(np.isfinite(xp.backend.to_numpy(solution.x)))


def test_a_step_that_swings_for_ever_is_told_as_well(rng):
    A, y = rng.standard_normal((40, 3)), np.where(rng.standard_normal(40) > 0, 1.0, -1.0)
    f = xs.Logistic(A, y, 0.0)
    with pytest.warns(ConvergenceWarning, match="smaller step"):
        assert xs.gradient_descent(f, step=1e3, max_iter=50).status is Status.DIVERGED


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_classes_that_can_be_separated_have_no_minimiser(rng, name):
    A = rng.standard_normal((20, 3))
    y = np.where(A @ np.ones(3) > 0, 1.0, -1.0)
    for f in (xs.Logistic(A, y), xs.Multinomial(A, (y > 0).astype(np.int64))):
        solution = METHODS[name](f, max_iter=500)
        check_solution(solution, like=A)
        assert solution.status is Status.UNBOUNDED
        assert "lam > 0" in solution.status.message
        assert np.all(np.isfinite(solution.x))
    assert METHODS[name](xs.Logistic(A, y, 0.1)).converged


def test_it_stops_when_it_is_told(rng):
    f = xs.Logistic(*classes(rng), 0.01)
    with pytest.warns(ConvergenceWarning, match="gradient_descent.* after 3 iterations.*momentum='nesterov'"):
        assert xs.gradient_descent(f, max_iter=3, tol=1e-12).status is Status.MAX_ITER
    assert xs.gradient_descent(f, tol=1e-12, callback=lambda k, s: k >= 20).status is Status.STOPPED
    with pytest.warns(ConvergenceWarning):
        assert xs.newton(f, max_iter=0).n_iter == 0
    solved = xs.newton(f, tol=1e-8).x
    for method in (xs.gradient_descent, xs.coordinate_descent, xs.newton):
        assert method(f, solved).n_iter == 0


def test_nan_is_never_converged(rng):
    A, y = data(rng)
    f = xs.LeastSquares(A * np.nan, y, check_finite=False)
    for method in (xs.gradient_descent, xs.coordinate_descent, xs.newton):
        with pytest.warns(ConvergenceWarning, match="check_finite"):
            assert method(f).status is Status.NOT_FINITE


F = xs.LeastSquares(np.eye(3, 2), np.ones(3))
BAD = {
    "not an objective": (lambda: xs.gradient_descent(lambda x: x, np.ones(2)), TypeError, r"f: expected LeastSquares"),
    "no x0": (lambda: xs.gradient_descent(Quartic(), step=1.0), ValueError, "x0: expected a first x"),
    "no step": (lambda: xs.gradient_descent(Quartic(), np.ones(2)), ValueError, r"step: .*no \.lipschitz"),
    "a negative step": (lambda: xs.gradient_descent(F, step=-1.0), ValueError, "step: expected a positive"),
    "unknown momentum": (lambda: xs.gradient_descent(F, momentum="adam"), ValueError, "'heavy_ball', 'nesterov'"),
    "unknown search": (lambda: xs.gradient_descent(F, line_search="wolfe"), ValueError, "line_search: expected"),
    "both": (lambda: xs.gradient_descent(F, line_search=True, momentum="nesterov"), ValueError, "line_search: .*False"),
    "exact on others": (
        lambda: xs.gradient_descent(xs.Logistic(np.eye(2), np.ones(2)), line_search="exact"),
        ValueError,
        "'exact' expects LeastSquares, got Logistic",
    ),
    "x0 of another shape": (lambda: xs.newton(F, np.ones(3)), ValueError, r"x0: .*\(2,\), got \(3,\)"),
    "no Hessian": (lambda: xs.newton(Rosenbrock(), np.ones(2)), TypeError, "hessian_vector"),
    "no factor": (
        lambda: xs.newton(xs.Multinomial(np.eye(2), np.eye(2)), method="cholesky"),
        ValueError,
        "Use method='cg'",
    ),
    "coordinates of a function": (lambda: xs.coordinate_descent(Quartic()), TypeError, "f: expected LeastSquares"),
    "an empty block": (lambda: xs.coordinate_descent(F, block=0), ValueError, "block: expected an integer"),
    "tol": (lambda: xs.newton(F, tol=-1.0), ValueError, "tol: expected a finite number >= 0"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", ["plain", "nesterov", "armijo", "coordinates", "newton", "newton cg"])
def test_traces_under_jax_jit(rng, name):
    jax = pytest.importorskip("jax")
    A, y = classes(rng)
    solve = jax.jit(lambda A, y, lam: METHODS[name](xs.Logistic(A, y, lam), tol=1e-9).x)
    assert_close(solve(A, y, 0.02), logistic(A, y, 0.02), rtol=1e-7)
