"""Derivatives through the descent methods: by their equation, through their steps, and differences."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.testing import assert_close

N, P = 12, 5


def data():
    rng = np.random.default_rng(4)
    return rng.standard_normal((N, P)), rng.standard_normal(N), np.asarray(0.3)


def total(x):
    return namespace_of(x).sum(x * x)


def least_squares(A, y, lam):
    return xs.LeastSquares(A, y, lam)


def logistic(A, y, lam):
    return xs.Logistic(A, namespace_of(y).where(y > 0, 1.0 + 0 * y, -1.0 + 0 * y), lam)


def multinomial(A, y, lam):
    xp = namespace_of(y)
    classes = xp.stack([y > 0.5, (y <= 0.5) & (y > -0.5), y <= -0.5], axis=1)
    return xs.Multinomial(A, xp.astype(classes, A.dtype), lam)


SOLVERS = {
    "fixed step": (least_squares, xs.gradient_descent, {}),
    "heavy ball": (least_squares, xs.gradient_descent, {"momentum": "heavy_ball"}),
    "nesterov": (least_squares, xs.gradient_descent, {"momentum": "nesterov"}),
    "armijo": (least_squares, xs.gradient_descent, {"line_search": True}),
    "exact": (least_squares, xs.gradient_descent, {"line_search": "exact"}),
    "own step": (least_squares, xs.gradient_descent, {"step": 0.2}),
    "logistic": (logistic, xs.gradient_descent, {}),
    "multinomial": (multinomial, xs.gradient_descent, {}),
    "newton": (logistic, xs.newton, {"method": "cholesky"}),
    "newton by cg": (multinomial, xs.newton, {"method": "cg"}),
    "coordinates": (least_squares, xs.coordinate_descent, {}),
    "blocks": (logistic, xs.coordinate_descent, {"block": 2}),
}


def solved(name, tol=1e-11):
    objective, solver, options = SOLVERS[name]
    return lambda A, y, lam: solver(objective(A, y, lam), tol=tol, **options).x


@pytest.mark.parametrize("name", SOLVERS)
def test_by_equation_through_steps_and_by_differences(name):
    arrays = data()
    f = lambda *a: total(solved(name)(*a))  # noqa: E731
    gradients = autodiff.grad(f, (0, 1, 2))(*arrays)
    with autodiff.unrolled():
        steps = autodiff.grad(f, (0, 1, 2))(*arrays)
    for i, (by_equation, by_steps) in enumerate(zip(gradients, steps, strict=True)):
        at = lambda x, i=i: f(*arrays[:i], x, *arrays[i + 1 :])  # noqa: E731
        differences = autodiff.finite_difference(at, arrays[i], scheme="central", eps=1e-5)
        assert_close(by_equation, differences, rtol=1e-6, atol=1e-7)
        assert_close(by_steps, differences, rtol=1e-6, atol=1e-7)
    assert np.any(gradients[0] != 0)
    tangents = tuple(np.cos(np.arange(a.size)).reshape(a.shape) for a in arrays)
    _, pushed = autodiff.jvp(f, arrays, tangents)
    products = [float(np.sum(g * t)) for g, t in zip(gradients, tangents, strict=True)]
    assert float(pushed) == pytest.approx(sum(products), rel=1e-7)


def test_a_gradient_costs_at_most_three_solves():
    rng = np.random.default_rng(0)
    A, y, lam = rng.standard_normal((300, 40)), rng.standard_normal(300), np.asarray(0.05)
    for name in ("fixed step", "nesterov", "logistic"):
        solve = solved(name, 1e-8)
        _, one = xs.count(solve, A, y, lam)
        _, implicit = xs.count(autodiff.grad(lambda *a, solve=solve: total(solve(*a)), (0, 1, 2)), A, y, lam)
        assert implicit.product_flops <= 3 * one.product_flops, name


def test_a_second_derivative():
    A, y, lam = data()
    f = lambda lam: total(solved("logistic")(A, y, lam))  # noqa: E731
    second = autodiff.grad(autodiff.grad(f))(lam)
    assert_close(second, autodiff.finite_difference(autodiff.grad(f), lam, scheme="central"), rtol=1e-6)


def test_on_every_backend(xp):
    if xp.name == "dask":
        pytest.skip("right, but Dask takes long: ridge is tried there")
    there = [xp(a) for a in data()]
    tol = 1e-5 if xp.dtype == "float32" else 1e-11
    expected = autodiff.grad(lambda *a: total(solved("fixed step")(*a)), (0, 1, 2))(*data())
    found = autodiff.grad(lambda *a: total(solved("fixed step", tol)(*a)), (0, 1, 2))(*there)
    for g, e, x in zip(found, expected, there, strict=True):
        assert_close(g, e, rtol=1e-3 if xp.dtype == "float32" else 1e-7, atol=1e-4 * xp.eps**0.5, like=x)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # a few steps finish nothing
@pytest.mark.parametrize("method", [xs.sgd, xs.sga, xs.sag])
@pytest.mark.parametrize("block", [1, 4])
def test_stochastic_methods_are_followed_step_by_step(method, block):
    A, y, _ = data()
    step = {"step" if method is xs.sag else "step0": 0.05}
    f = lambda A, y: total(method(xs.LeastSquares(A, y, 0.1), epochs=3, block=block, **step).x)  # noqa: E731
    gradients = autodiff.grad(f, (0, 1))(A, y)
    _, pushed = autodiff.jvp(f, (A, y), (np.cos(A), np.cos(y)))
    assert float(pushed) == pytest.approx(np.sum(gradients[0] * np.cos(A)) + np.sum(gradients[1] * np.cos(y)))
    assert_close(gradients[0], autodiff.finite_difference(lambda A: f(A, y), A, scheme="central"), atol=1e-8)
    assert_close(gradients[1], autodiff.finite_difference(lambda y: f(A, y), y, scheme="central"), atol=1e-8)


def test_what_a_plan_on_the_host_would_lose_is_an_error():
    A, y, lam = data()
    with pytest.raises(TypeError, match=r"lam: steps are planned on the host.*gradient_descent"):
        autodiff.grad(lambda lam: total(xs.sgd(xs.LeastSquares(A, y, lam), epochs=1).x))(lam)
    with pytest.raises(TypeError, match=r"A: steps are planned on the host.*Give step0"):
        autodiff.grad(lambda A: total(xs.sgd(xs.LeastSquares(A, y, 0.1), epochs=1).x))(A)
    with pytest.raises(TypeError, match=r"A: steps are planned on the host.*Give step,"):
        autodiff.jvp(lambda A: xs.sag(xs.LeastSquares(A, y, 0.1), epochs=1).x, (A,), (A,))
