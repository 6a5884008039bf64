"""Objectives: values against SciPy and scikit-learn, gradients by Taylor, Hessians by differences, large margins."""

import numpy as np
import pytest
import scipy.sparse
import scipy.special

import xpsolve as xs
from xpsolve.testing import assert_close, slope_test

LOSSES = ("least_squares", "logistic", "multinomial")


def data(rng, loss, n=12, p=4, m=3):
    A, noise = rng.standard_normal((n, p)), rng.standard_normal(n)
    y = {"least_squares": noise, "logistic": np.where(noise > 0, 1.0, -1.0), "multinomial": np.eye(m)[np.arange(n) % m]}
    return A, y[loss]


def objective(loss, A, y, lam=0.0):
    return {"least_squares": xs.LeastSquares, "logistic": xs.Logistic, "multinomial": xs.Multinomial}[loss](A, y, lam)


def oracle(loss, A, y, lam, x):
    """The objective as the textbook writes it, by NumPy and SciPy."""
    s = A @ x
    loss = {
        "least_squares": lambda: 0.5 * (s - y) ** 2,
        "logistic": lambda: np.logaddexp(0, -y * s),
        "multinomial": lambda: scipy.special.logsumexp(s, axis=1) - np.sum(y * s, axis=1),
    }[loss]()
    return np.mean(loss) + 0.5 * lam * np.sum(x * x)


@pytest.mark.parametrize("loss", LOSSES)
def test_values_and_gradients(xp, rng, loss):
    A, y = data(rng, loss)
    f = objective(loss, xp(A), xp(y), 0.3)
    x = rng.standard_normal(f.shape)
    assert_close(f.value(xp(x)), oracle(loss, A, y, 0.3, x), like=xp(A), rtol=20 * xp.eps)
    numpy = objective(loss, A, y, 0.3)
    assert_close(f.gradient(xp(x)), numpy.gradient(x), like=xp(A), rtol=40 * xp.eps)
    assert_close(f.hessian_vector(xp(x), xp(x)), numpy.hessian_vector(x, x), like=xp(A), rtol=40 * xp.eps)
    assert_close(f.lipschitz(), numpy.lipschitz(), like=xp(A), rtol=100 * xp.eps)
    assert_close(f.sample_lipschitz(), numpy.sample_lipschitz(), like=xp(A), rtol=20 * xp.eps)
    value, gradient = f.value_and_gradient(xp(x))
    assert_close(value, f.value(xp(x)), rtol=0)
    assert_close(gradient, f.gradient(xp(x)), rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_by_taylor_and_hessians_by_differences(rng, loss):
    A, y = data(rng, loss)
    f = objective(loss, A, y, 0.3)
    x, v = rng.standard_normal(f.shape), rng.standard_normal(f.shape)
    slope_test(f.value, lambda v: np.sum(f.gradient(x) * v), x)
    slope_test(f.gradient, lambda v: f.hessian_vector(x, v), x)
    h = 1e-6
    assert_close(f.hessian_vector(x, v), (f.gradient(x + h * v) - f.gradient(x - h * v)) / (2 * h), rtol=1e-7)
    if loss != "multinomial":
        assert_close(f.hessian(x) @ v, f.hessian_vector(x, v), rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_derivatives_of_one_sample_make_the_gradient(rng, loss):
    A, y = data(rng, loss)
    f = objective(loss, A, y, 0.3)
    x = rng.standard_normal(f.shape)
    each = [np.multiply.outer(A[i], f.derivative(A[i] @ x, y[i])) for i in range(len(A))]
    assert_close(np.mean(each, axis=0) + 0.3 * x, f.gradient(x), rtol=1e-13)
    bounds = [np.linalg.norm(A[i]) ** 2 * f.curvature + 0.3 for i in range(len(A))]
    assert float(f.sample_lipschitz()) == pytest.approx(max(bounds))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "p"), [(12, 4), (4, 12), (300, 280)])
def test_lipschitz_bounds_the_hessian_and_is_the_norm_of_A(rng, loss, n, p):
    A, y = data(rng, loss, n, p)
    f = objective(loss, A, y, 0.3)
    truth = {"least_squares": 1.0, "logistic": 0.25, "multinomial": 0.5}[loss] * np.linalg.norm(A, 2) ** 2 / n + 0.3
    assert truth * (1 - 1e-12) <= float(f.lipschitz()) <= truth * (1 + 1e-12 if min(n, p) <= 256 else 1.3)
    x, z = rng.standard_normal((2, *f.shape))
    assert np.linalg.norm(f.gradient(x) - f.gradient(z)) <= truth * np.linalg.norm(x - z)


@pytest.mark.parametrize("loss", LOSSES)
def test_many_x_at_once(xp, rng, loss):
    A, y = data(rng, loss)
    f = objective(loss, xp(A), xp(y), 0.3)
    X = rng.standard_normal((2, 3, *f.shape))
    values, gradients = f.value(xp(X)), f.gradient(xp(X))
    for i in range(2):
        for j in range(3):
            assert_close(values[i, j], f.value(xp(X[i, j])), rtol=20 * xp.eps)
            assert_close(gradients[i, j, ...], f.gradient(xp(X[i, j])), rtol=40 * xp.eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_margins(xp, dtype):
    if xp.dtype == "float32" and dtype == "float64":
        pytest.skip("no float64 there")
    s, y = xp([1e4, -1e4, 30.0, -30.0, 0.0], dtype), xp([1.0, 1.0, 1.0, 1.0, -1.0], dtype)
    f = xs.Logistic(xp(np.eye(5), dtype), y)
    tail = np.exp(-30.0)
    rtol = 1e-6 if dtype == "float32" else 1e-14
    assert_close(f.loss(s, y), [0.0, 1e4, np.log1p(tail), 30.0 + np.log1p(tail), np.log(2)], rtol=rtol)
    assert_close(f.derivative(s, y), [0.0, -1.0, -tail, -1 / (1 + tail), 0.5], rtol=rtol)
    assert_close(f.second_derivative(s, y), [0.0, 0.0, tail, tail, 0.25], rtol=rtol)
    host = np.asarray(xp.backend.to_numpy(f.derivative(s, y)), dtype="float64")
    assert host[2] == pytest.approx(-scipy.special.expit(-30.0), rel=1e-5)  # small, and right in its own digits
    g = xs.Multinomial(xp(np.eye(2), dtype), xp(np.eye(2), dtype))
    S = xp([[1e4, -1e4], [1e4, -1e4]], dtype)
    assert_close(g.loss(S, g.y), [0.0, 2e4], rtol=rtol)
    assert_close(g.derivative(S, g.y), [[0.0, 0.0], [1.0, -1.0]], rtol=rtol)


def test_labels_and_one_hot_rows_are_the_same(xp, rng):
    A = xp(rng.standard_normal((6, 2)))
    labels = np.asarray([0, 2, 1, 1, 2, 0])
    x = xp(rng.standard_normal((2, 3)))
    f, g = xs.Multinomial(A, xp(labels, "int32")), xs.Multinomial(A, xp(np.eye(3)[labels]))
    assert_close(f.value(x), g.value(x), like=A, rtol=0)


def test_two_classes_are_logistic(rng):
    A, y = data(rng, "logistic")
    f, g = xs.Logistic(A, y), xs.Multinomial(A, (y > 0).astype(np.int64))
    x = rng.standard_normal(4)
    assert float(g.value(np.stack([-x / 2, x / 2], axis=1))) == pytest.approx(float(f.value(x)))


@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_matrices_and_operators(rng, loss):
    A, y = data(rng, loss)
    A[np.abs(A) < 0.5] = 0
    f, g = objective(loss, A, y, 0.1), objective(loss, scipy.sparse.csr_array(A), y, 0.1)
    x = rng.standard_normal(f.shape)
    for name in ("value", "gradient"):
        assert_close(getattr(g, name)(x), getattr(f, name)(x), rtol=1e-14)
    X = rng.standard_normal((3, *f.shape))
    assert_close(g.gradient(X), f.gradient(X), rtol=1e-13)
    assert_close(g.sample_lipschitz(), f.sample_lipschitz(), rtol=1e-14)
    assert float(f.lipschitz()) * (1 - 1e-9) <= float(g.lipschitz()) <= 1.3 * float(f.lipschitz())
    h = objective(loss, 2.0 * xs.operators.Dense(A / 2), y, 0.1)
    assert_close(h.hessian_vector(x, x), f.hessian_vector(x, x), rtol=1e-13)
    with pytest.raises(TypeError, match="accessible rows"):
        h.sample_lipschitz()


BAD = {
    "0 and 1": (
        lambda A: xs.Logistic(A, np.asarray([0.0, 1.0, 1.0])),
        ValueError,
        r"y: expected the classes.*2\*y - 1",
    ),
    "a wrong length": (lambda A: xs.LeastSquares(A, np.ones(2)), ValueError, "y: expected 3 rows"),
    "two columns": (lambda A: xs.Logistic(A, np.ones((3, 2))), ValueError, r"y: expected shape \(n,\)"),
    "three axes": (lambda A: xs.LeastSquares(A, np.ones((3, 2, 1))), ValueError, r"y: expected shape \(n,\)"),
    "a negative lam": (lambda A: xs.LeastSquares(A, np.ones(3), -1.0), ValueError, "lam: expected a finite number"),
    "many lam": (lambda A: xs.LeastSquares(A, np.ones(3), [1.0, 2.0]), ValueError, "lam: expected one number"),
    "a NaN": (lambda A: xs.LeastSquares(A * np.nan, np.ones(3)), ValueError, "A: expected finite"),
    "a list": (lambda A: xs.LeastSquares(A.tolist(), np.ones(3)), TypeError, "A: expected an array"),
    "no probabilities": (lambda A: xs.Multinomial(A, np.ones((3, 2))), ValueError, "Y: expected rows of prob"),
    "negative labels": (lambda A: xs.Multinomial(A, np.asarray([0, -1, 1])), ValueError, "Y: .*negative"),
    "labels that are no integers": (lambda A: xs.Multinomial(A, np.ones(3)), TypeError, "Y: .*integer labels"),
    "another shape of x": (lambda A: xs.LeastSquares(A, np.ones(3)).value(np.ones(3)), ValueError, r"x: .*\(2,\)"),
    "x is a list": (lambda A: xs.LeastSquares(A, np.ones(3)).value([1.0, 2.0]), TypeError, "x: expected an array"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call(np.arange(6.0).reshape(3, 2))


def test_many_columns_are_many_problems(rng):
    A, Y = rng.standard_normal((12, 4)), rng.standard_normal((12, 3))
    f, x = xs.LeastSquares(A, Y, 0.1), rng.standard_normal((4, 3))
    each = [xs.LeastSquares(A, Y[:, j], 0.1) for j in range(3)]
    assert_close(f.value(x), sum(g.value(x[:, j]) for j, g in enumerate(each)))
    assert_close(f.gradient(x), np.stack([g.gradient(x[:, j]) for j, g in enumerate(each)], axis=1))
    for solve in (xs.gradient_descent, xs.newton):
        found = solve(f, tol=1e-10)
        assert_close(found.x, np.stack([xs.newton(g).x for g in each], axis=1), atol=1e-8)
    for solve in (xs.sgd, xs.sag, xs.coordinate_descent):
        with pytest.raises(ValueError, match="f: expected LeastSquares with one column"):
            solve(f)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # of the few epochs
def test_huber_by_every_method(rng):
    A = rng.standard_normal((30, 3))
    y = A @ np.ones(3) + rng.standard_normal(30)
    f = xs.Huber(A, y, 0.1, delta=0.5)
    wanted = xs.newton(f, tol=1e-12).x
    assert_close(xs.minimize(f, tol=1e-12).x, wanted, atol=1e-5)  # the objective is that close
    for solve in (xs.gradient_descent, xs.coordinate_descent):
        assert_close(solve(f, tol=1e-10).x, wanted, atol=1e-8)
    assert_close(xs.sag(f, epochs=400).x, wanted, atol=1e-2)
    one, many = (xs.sgd(f, epochs=3, block=block).x for block in (1, 16))
    assert_close(one, many, rtol=1e-10)
