"""Implicit derivatives: equal to the unrolled ones and to differences, of any order, and cheap."""

import warnings

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.autodiff.linear_system import conjugate_gradient
from xpsolve.testing import assert_close


def h(x, W, b):
    """No contraction: ‖∂h‖ > 1, and not symmetric."""
    xp = namespace_of(x)
    return xp.tanh(W @ x) + b


def weights(rng):
    skew = np.asarray([[0.0, 2.0, 0.0], [-2.0, 0.0, 1.0], [0.0, -1.0, 0.1]])
    return skew + 0.1 * rng.standard_normal((3, 3)), rng.standard_normal(3) / 10


def total(x):
    return namespace_of(x).sum(x * x)


def iterated(W, b):
    x = b
    xp = namespace_of(b)
    for _ in range(600):
        x = x - 0.2 * (x - xp.tanh(W @ x) - b)
    return x


def test_a_fixed_point_that_no_iteration_of_h_finds(rng):
    W, b = weights(rng)
    solve = autodiff.implicit_gradient(iterated, fixed_point=h)
    x = solve(W, b)
    assert np.linalg.norm(x - h(x, W, b)) < 1e-13
    assert np.max(np.abs(np.linalg.eigvals((1 - np.tanh(W @ x) ** 2)[:, None] * W))) > 1
    f = lambda W, b: total(solve(W, b))  # noqa: E731
    implicit = autodiff.grad(f, (0, 1))(W, b)
    with autodiff.unrolled():
        steps = autodiff.grad(f, (0, 1))(W, b)
    for one, two in zip(implicit, steps, strict=True):
        assert_close(one, two, rtol=1e-10, atol=1e-11)
    assert_close(autodiff.jacfwd(solve)(W, b), autodiff.jacrev(solve)(W, b), rtol=1e-10, atol=1e-12)
    H = autodiff.jacfwd(autodiff.grad(lambda b: f(W, b)))(b)
    assert_close(H, autodiff.finite_difference(autodiff.grad(lambda b: f(W, b)), b, scheme="central"), atol=1e-7)


def energy(x, theta, c):
    """Convex, with a Hessian that depends on θ and x."""
    xp = namespace_of(x)
    return xp.sum(xp.exp(theta * x) - c * x) + 0.5 * (x @ x)


def descended(theta, c):
    x = 0 * c
    xp = namespace_of(c)
    for _ in range(300):
        x = x - 0.15 * (theta * xp.exp(theta * x) - c + x)
    return x


def by_energy(**options):
    return autodiff.implicit_gradient(descended, energy=energy, **options)


def by_gradient():
    return autodiff.implicit_gradient(descended, stationary=lambda x, t, c: t * namespace_of(x).exp(t * x) - c + x)


def test_a_minimiser_on_every_backend(xp, rng):
    if xp.name == "dask":
        pytest.skip("hundreds of steps are one long graph: ridge is tried there")
    host = rng.uniform(0.5, 1.2, 3), rng.standard_normal(3)
    theta, c = (xp(a) for a in host)
    with autodiff.unrolled():
        expected = autodiff.grad(lambda *a: total(descended(*a)), (0, 1))(*host)
    for solve in (by_energy(), by_gradient()):
        found = autodiff.grad(lambda *a, solve=solve: total(solve(*a)), (0, 1))(theta, c)
        for one, two in zip(found, expected, strict=True):
            assert_close(one, two, like=theta, rtol=1e4 * xp.eps, atol=1e3 * xp.eps)


def test_derivatives_of_any_order(rng):
    theta, c = rng.uniform(0.5, 1.2, 3), rng.standard_normal(3)
    f = lambda theta: total(by_energy()(theta, c))  # noqa: E731
    found = autodiff.jacfwd(autodiff.grad(f))(theta)
    assert_close(found, found.T, rtol=1e-9, atol=1e-10)
    assert_close(autodiff.jacrev(autodiff.grad(f))(theta), found, rtol=1e-9, atol=1e-10)
    assert_close(found, autodiff.finite_difference(autodiff.grad(f), theta, scheme="central"), atol=1e-7)


def test_danskin_needs_no_system(rng):
    theta, c = rng.uniform(0.5, 1.2, 3), rng.standard_normal(3)
    solve = by_energy()
    x = solve(theta, c)
    gradient, tally = xs.count(autodiff.grad(solve.minimum, (0, 1)), theta, c)
    assert_close(gradient[1], -x, rtol=1e-12)
    assert_close(gradient[0], x * np.exp(theta * x), rtol=1e-12)
    assert tally.syncs == 0  # conjugate gradients would read
    H = autodiff.jacfwd(autodiff.grad(lambda c: solve.minimum(theta, c)))(c)
    assert_close(H, -autodiff.jacfwd(lambda c: solve(theta, c))(c), rtol=1e-9, atol=1e-12)


def test_the_loop_is_not_on_the_tape(rng):
    """An iteration that has no derivative at all: rounding to a grid, then Newton's steps."""
    calls = []

    def solve(a):
        calls.append(type(a))
        x = namespace_of(a).round(a) + 1
        for _ in range(9):
            x = (x + a / x) / 2
        return x

    root = autodiff.implicit_gradient(solve, fixed_point=lambda x, a: (x + a / x) / 2)
    a = np.asarray([2.0, 3.0])
    assert_close(autodiff.jacrev(root)(a), np.diag(0.5 / np.sqrt(a)), atol=1e-14)
    assert calls == [np.ndarray]


def test_a_system_that_is_not_solved_warns(rng):
    theta, c = rng.uniform(0.5, 1.2, 3), rng.standard_normal(3)
    gradient = autodiff.grad(lambda c: total(by_energy(max_iter=1)(theta, c)))
    with pytest.warns(xs.ConvergenceWarning, match=r"after 1 steps at a residual of .*unrolled"):
        gradient(c)


# --- the linear system


def spectrum(rng, values):
    """A symmetric matrix with these eigenvalues, and its eigenvectors."""
    Q, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return (Q * values) @ Q.T, Q


@pytest.mark.parametrize("exponent", [0, -300, 300])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_a_system_is_solved_as_far_as_rounding_lets_it(n, dtype, exponent, rng):
    """Without a warning, although no residual of 10·eps can be reached; what the suite does with warnings tells."""
    eps = float(np.finfo(dtype).eps)
    for condition in (1.0, 10.0, 0.01 / eps**0.5, 0.1 / eps**0.5):
        H, _ = spectrum(rng, np.geomspace(1 / condition, 1, n))
        b = rng.standard_normal(n)
        size = 2.0 ** (exponent if dtype is np.float64 else exponent // 6)
        H, b = (H * size).astype(dtype), (b / size).astype(dtype)
        u = conjugate_gradient(lambda u, H=H: H @ u, b)
        assert u.dtype == dtype
        exact = np.linalg.solve(H.astype(np.float64), b.astype(np.float64))
        assert np.linalg.norm(u * size**2 - exact * size**2) <= 4 * condition * eps * np.linalg.norm(exact * size**2)


def test_systems_side_by_side_have_checks_of_their_own(rng):
    H, _ = spectrum(rng, np.geomspace(0.01, 1, 6))
    sizes = np.asarray([[1.0], [0.0], [1e-200], [1e150]])
    B = rng.standard_normal((4, 6)) * sizes
    U = conjugate_gradient(lambda U: U @ H, B, axis=1)
    for u, b, size in zip(U, B, sizes, strict=True):
        assert_close(u / (size or 1), np.linalg.solve(H, b) / (size or 1), rtol=1e-11, atol=1e-13)


def test_a_singular_system_is_solved_where_it_can_be_and_warns_where_not(rng):
    H, Q = spectrum(rng, np.asarray([0.0, 0.5, 1.0, 2.0, 3.0]))
    b = H @ rng.standard_normal(5)
    u = conjugate_gradient(lambda u: H @ u, b)
    assert np.linalg.norm(b - H @ u) <= 1e-14 * np.linalg.norm(b)
    for part in (1e-5, 1.0):
        with pytest.warns(xs.ConvergenceWarning, match="ill-conditioned, or not symmetric"):
            conjugate_gradient(lambda u: H @ u, b + part * Q[:, 0])
    with pytest.warns(xs.ConvergenceWarning, match="at a residual of nan"):
        conjugate_gradient(lambda u: H @ u, b * np.nan)


# --- our solvers


def data(rng, n=12, p=5):
    return rng.standard_normal((n, p)), rng.standard_normal(n), np.asarray(0.8)


def differences(f, arrays):
    for i, x in enumerate(arrays):
        at = lambda x, i=i: f(*arrays[:i], x, *arrays[i + 1 :])  # noqa: E731
        yield autodiff.finite_difference(at, x, scheme="central", eps=1e-5)


SOLVERS = {
    "normal": (12, 5, lambda A, y, lam: xs.ridge(A, y, lam, method="normal").x),
    "woodbury": (5, 12, lambda A, y, lam: xs.ridge(A, y, lam, method="woodbury").x),
    "svd": (5, 12, lambda A, y, lam: xs.ridge(A, y, lam, method="svd").x),
    "cg": (12, 5, lambda A, y, lam: xs.ridge(A, y, lam, method="cg").x),
    "path": (12, 5, lambda A, y, lam: xs.ridge(A, y, xp_stack(lam), method="normal").x),
    "path of columns": (12, 5, lambda A, y, lam: xs.ridge(A, columns(y), xp_stack(lam), method="normal").x),
    "path, wide": (5, 12, lambda A, y, lam: xs.ridge(A, columns(y), xp_stack(lam), method="woodbury").x),
    "path by cg": (12, 5, lambda A, y, lam: xs.ridge(A, columns(y), xp_stack(lam), method="cg").x),
    "lasso ista": (8, 6, lambda A, y, lam: xs.lasso(A, y, 2 * lam, method="ista", tol=1e-15).x),
    "lasso": (5, 8, lambda A, y, lam: xs.lasso(A, y, lam, tol=1e-14).x),
    "lasso of columns": (8, 6, lambda A, y, lam: xs.lasso(A, columns(y), lam, tol=1e-14).x),
    "elastic_net": (5, 8, lambda A, y, lam: xs.elastic_net(A, y, lam, 0.3, tol=1e-15).x),
}


def xp_stack(lam):
    return namespace_of(lam).stack([lam, 2 * lam, 5 * lam])


def columns(y):
    return namespace_of(y).stack([y, y * y], axis=1)


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_follow_their_equation(name, rng):
    n, p, solve = SOLVERS[name]
    arrays = data(rng, n, p)
    weights = rng.standard_normal(solve(*arrays).shape)
    f = lambda *a: namespace_of(a[0]).sum(solve(*a) * weights)  # noqa: E731
    found = autodiff.grad(f, (0, 1, 2))(*arrays)
    for g, d in zip(found, differences(f, arrays), strict=True):
        assert_close(g, d, rtol=1e-6, atol=1e-7)
    if name.startswith("lasso"):
        x = solve(*arrays)
        assert 0 < np.count_nonzero(x) < x.size
    with autodiff.unrolled():
        steps = autodiff.grad(f, (0, 1, 2))(*arrays)
    for g, d in zip(found, steps, strict=True):
        assert_close(g, d, rtol=2e-6, atol=2e-7)
    tangents = [rng.standard_normal(a.shape) for a in arrays]
    _, pushed = autodiff.jvp(f, arrays, tangents)
    assert float(pushed) == pytest.approx(sum(np.sum(g * t) for g, t in zip(found, tangents, strict=True)), rel=1e-8)


def test_ridge_without_lam():
    """λ = 0 and n < p: the shortest solution, whose derivative the dual system has."""
    rng = np.random.default_rng(1)
    A, y, _ = data(rng, 4, 7)
    f = lambda A, y: total(xs.ridge(A, y, 0.0).x)  # noqa: E731
    g = lambda A, y: total(xs.lstsq(A, y).x)  # noqa: E731
    for ours, theirs in zip(autodiff.grad(f, (0, 1))(A, y), autodiff.grad(g, (0, 1))(A, y), strict=True):
        assert_close(ours, theirs, rtol=1e-10)


def test_a_second_derivative_through_ridge_and_lasso(rng):
    A, y, lam = data(rng)
    for solve in (SOLVERS["normal"][2], SOLVERS["cg"][2], SOLVERS["lasso"][2]):
        f = lambda y, solve=solve: total(solve(A, y, lam) ** 2)  # noqa: E731
        H = autodiff.jacfwd(autodiff.grad(f))(y)
        assert_close(H, H.T, rtol=1e-8, atol=1e-10)
        assert_close(H, autodiff.finite_difference(autodiff.grad(f), y, scheme="central"), atol=1e-5)


@pytest.mark.parametrize(("name", "n", "p"), [("normal", 300, 60), ("woodbury", 60, 300), ("lasso ista", 60, 30)])
def test_a_gradient_costs_at_most_three_solves(name, n, p, rng):
    A, y, lam = data(rng, n, p)
    solve = SOLVERS[name][2]
    _, one = xs.count(solve, A, y, lam)
    _, implicit = xs.count(autodiff.grad(lambda *a: total(solve(*a)), (0, 1, 2)), A, y, lam)
    assert implicit.product_flops <= 3 * one.product_flops
    with autodiff.unrolled():
        _, steps = xs.count(autodiff.grad(lambda *a: total(solve(*a)), (0, 1, 2)), A, y, lam)
    assert implicit.product_flops < steps.product_flops


def test_errors_say_what_to_do():
    with pytest.raises(TypeError, match=r"expected one of fixed_point, stationary and energy, got 0"):
        autodiff.implicit_gradient(iterated)
    with pytest.raises(TypeError, match=r"returns one array, got tuple"):
        autodiff.implicit_gradient(lambda a: (a, a), fixed_point=lambda x, a: x)(np.ones(2))
    with pytest.raises(TypeError, match=r"minimum requires energy="):
        by_gradient().minimum(np.ones(2), np.ones(2))


@pytest.mark.parametrize("off", [1e-12, 1e-5, 1e-2])
def test_a_singular_system_is_solved_but_for_the_null_space(off):
    product = lambda v: np.full((2, 2), 3.0) @ v  # noqa: E731
    assert_close(conjugate_gradient(product, np.ones(2)), np.full(2, 1 / 6))  # solvable
    with pytest.warns(xs.ConvergenceWarning, match="ill-conditioned"):
        found = conjugate_gradient(product, np.asarray([1.0 - off, 1.0 + off]))
    assert np.max(np.abs(found - 1 / 6)) <= 2 * off


def test_a_system_without_a_solution_warns_and_gives_no_number():
    with pytest.warns(xs.ConvergenceWarning, match="ill-conditioned"):
        found = conjugate_gradient(lambda v: np.full((2, 2), 3.0) @ v, np.asarray([1.0, -1.0]))
    assert np.all(np.isnan(found))


def test_the_derivative_of_a_lasso_with_equal_columns_is_that_of_its_fitted_values():
    def squared(lam):
        x = xs.lasso(np.ones((3, 2)), np.ones(3), lam).x
        return x @ x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)  # the two entries are equal but for the tolerance
        assert abs(xs.autodiff.grad(squared)(0.1) + 2.9 / 9) <= 1e-3
