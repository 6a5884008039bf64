"""Prediction as inversion: linear maps have closed forms, and a line is learned through the iterations."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.testing import assert_close, assert_like, slope_test

TRUTH = np.asarray([2.0, -4.0])
Y = np.asarray([-2.0, -1.0, 0.0, 1.0, 2.0])


def line(y, theta):
    return theta[0] * y + theta[1]


@pytest.mark.of("invert")
def test_a_line_is_inverted_at_the_rate_that_it_has(xp, rng):
    y0 = rng.standard_normal(5)
    found = xs.invert(lambda y: line(y, [2.0, -4.0]), xp(line(Y, TRUTH)), xp(y0), step=0.1, n_steps=7)
    assert_close(found, Y + (1 - 0.1 * 4) ** 7 * (y0 - Y), like=xp(Y), rtol=64 * xp.eps)


def test_a_linear_map_is_inverted_by_landweber_iterations(rng):
    A, x, y0 = rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal(3)
    y = y0
    for _ in range(5):
        y = y - 0.05 * A.T @ (A @ y - x)
    np.testing.assert_allclose(xs.invert(lambda y: A @ y, x, y0, step=0.05, n_steps=5), y, rtol=1e-12)


def test_it_has_a_derivative_in_what_f_depends_on(rng):
    x, theta = rng.standard_normal(3), np.asarray([1.3, 0.4])

    def inverse(theta, x, y0):
        return xs.invert(lambda y: line(y + 0.1 * y * y * y, theta), x, y0, step=0.1, n_steps=4)

    def f(theta):
        return np.sum(inverse(theta, x, np.zeros(3)) ** 2)

    def squares(theta, x, y0):
        y = inverse(theta, x, y0)
        return y @ y

    gradient = autodiff.grad(squares)(theta, x, np.zeros(3))
    slope_test(f, lambda v: gradient @ v, theta)


@pytest.mark.of("fit_inverse")
def test_a_line_is_learned(xp):
    solution = xs.fit_inverse(
        line, xp([1.5, -3.0]), xp(line(Y, TRUTH)), xp(Y), step=0.2, theta_step=0.1, n_steps=12, tol=1e-3, max_iter=100
    )
    assert solution.converged
    assert_like(solution.x, xp(TRUTH))
    assert_close(solution.x, TRUTH, rtol=2e-3)
    theta = [float(t) for t in xp.backend.to_numpy(solution.x)]  # array-api-strict mixes no levels by closure
    found = xs.invert(lambda y: line(y, theta), xp(line(Y, TRUTH)), xp(0 * Y), step=0.2, n_steps=12)
    wanted = np.linalg.norm(xp.backend.to_numpy(found) - Y) / np.linalg.norm(Y)
    assert solution.certificate.value == pytest.approx(wanted, rel=1e-3 if xp.dtype == "float32" else 1e-9)


@pytest.mark.parametrize(("start", "published"), [(2.0, True), (None, False)])
def test_the_published_example(start, published):
    """α = 0.05 and β = 0.005 for losses without the ½, 20 steps forward and 10 back, a ≥ 0.5.

    What 20 steps leave of the start c is in the answer: with q = (1 − 2αa²)²⁰ the fit is exact at a = 2(1 − q),
    b = −4 + 2cq.  Published numbers are those of c = 2, where an inversion of x = 0 had ended before.
    """
    solution = xs.fit_inverse(
        line,
        np.asarray([1.5, 0.0]),
        line(Y, TRUTH),
        Y,
        step=0.05,
        theta_step=0.005,
        half=False,
        y0=None if start is None else np.full(5, start),
        n_steps=20,
        n_unrolled=10,
        project=lambda theta: np.stack([np.maximum(theta[0], 0.5), theta[1]]),
        tol=1e-8 if published else 1e-5,
        max_iter=2500,
    )
    a, b = solution.x
    assert solution.converged
    assert a == pytest.approx(1.9999, abs=2e-4)
    assert b == pytest.approx(-3.9998, abs=5e-4)
    q = (1 - 0.1 * a * a) ** 20
    assert (a, b) == pytest.approx((2 * (1 - q), -4 + 2 * (start or 0.0) * q), abs=1e-6 if published else 5e-5)
    if published:
        assert (a, b) == pytest.approx((1.99993, -3.99985), abs=6e-6)


def test_without_the_half_a_step_is_twice_as_long():
    x, y0 = line(Y, TRUTH), np.zeros(5)
    doubled = xs.invert(lambda y: line(y, TRUTH), x, y0, step=0.1, n_steps=3)
    found = xs.invert(lambda y: line(y, TRUTH), x, y0, step=0.05, n_steps=3, half=False)
    np.testing.assert_allclose(found, doubled, rtol=1e-14)


def test_costs_are_counted(rng):
    n, p = 5, 7
    A, x, y = rng.standard_normal((n, p)), rng.standard_normal(n), rng.standard_normal(p)

    def stated(cost):
        return cost.launches, cost.flops, cost.syncs

    for N in (0, 1, 4):
        call = lambda A, x, y, N=N: xs.invert(lambda y: A @ y, x, y, step=0.1, n_steps=N)  # noqa: E731
        _, tally = xs.count(call, A, x, y)
        assert (tally.launches, tally.product_flops, tally.syncs) == stated(costs.invert(n, p, N))
    for N, U, k in ((1, 1, 0), (3, 2, 1), (4, 4, 12)):
        options = {"step": 0.1, "theta_step": 0.01, "n_steps": N, "n_unrolled": U, "max_iter": k, "tol": 1e-300}
        call = lambda A, x, y, options=options: xs.fit_inverse(lambda y, A: A @ y, A, x, y, **options)  # noqa: E731
        with pytest.warns(xs.ConvergenceWarning):
            _, tally = xs.count(call, A, x, y)
        cost = costs.fit_inverse(n, p, n_steps=N, n_unrolled=U, n_iter=k)
        assert (tally.launches, tally.product_flops, tally.syncs) == stated(cost)


def test_parameters_may_be_a_structure_and_are_projected():
    with pytest.warns(xs.ConvergenceWarning, match="after 3 iterations"):
        solution = xs.fit_inverse(
            lambda y, theta: theta["a"] * y + theta["b"],
            {"a": np.asarray(1.0), "b": np.asarray(0.0)},
            line(Y, TRUTH),
            Y,
            step=0.1,
            theta_step=0.01,
            project=lambda theta: {"a": theta["a"] * 0 + 1.25, "b": theta["b"]},
            max_iter=3,
        )
    assert solution.status is xs.Status.MAX_ITER
    assert float(solution.x["a"]) == 1.25
    assert float(solution.x["b"]) < 0


def test_a_step_too_long_is_a_status():
    with np.errstate(all="ignore"), pytest.warns(xs.ConvergenceWarning, match="smaller step"):
        solution = xs.fit_inverse(line, TRUTH, line(Y, TRUTH), Y, step=1e6, theta_step=1.0, y0=Y + 1, n_steps=100)
    assert solution.status is xs.Status.NOT_FINITE


def fit(**changed):
    options = {"x": Y, "y": Y, "step": 0.1, "theta_step": 0.1} | changed
    return lambda: xs.fit_inverse(line, options.pop("theta0", TRUTH), options.pop("x"), options.pop("y"), **options)


BAD = {
    "x of another shape": (lambda: xs.invert(lambda y: y, Y, Y[:2], step=1, n_steps=1), ValueError, r"x: .*\(2,\)"),
    "no step": (lambda: xs.invert(lambda y: y, Y, Y, step=0.0, n_steps=1), ValueError, r"step: .*positive"),
    "half a step": (lambda: xs.invert(lambda y: y, Y, Y, step=1, n_steps=1.5), TypeError, r"n_steps: .*integer"),
    "theta is a number": (fit(theta0=2.0), TypeError, r"theta0: expected an array or a structure"),
    "y0 of another shape": (fit(y0=Y[:2]), ValueError, r"y0: expected the shape of y, \(5,\), got \(2,\)"),
    "unrolls more": (fit(n_steps=2, n_unrolled=3), ValueError, r"n_unrolled: expected at most n_steps = 2, got 3"),
    "tol is negative": (fit(tol=-1.0), ValueError, r"tol: expected a finite number >= 0"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
