"""Arguments of networks that are not as described: an error that begins with the name of the argument."""

from fractions import Fraction

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import networks

I, V = np.eye(2), np.ones(2)
THETA = (I, I, V, I, V)
U = np.ones((1, 2, 1))
Z, W = np.ones((1, 1, 4)), [np.ones((1, 1, 2))]


def loss(o):
    return o[0, 0]


BAD = {
    "activation is a list": (lambda: xs.mlp_forward([I], [V], I, ["tanh"]), TypeError, "activation"),
    "activation is an array": (lambda: networks.single_layer(I, V, I, I, np.ones(2)), TypeError, "activation"),
    "last activation": (lambda: xs.mlp_forward([I], [V], I, last_activation="x"), ValueError, "last_activation"),
    "activation of an energy": (lambda: networks.flow_energy(V, I, "softplus"), ValueError, "activation"),
    "activation before weights": (lambda: xs.mlp_forward(5, 5, I, 5), TypeError, "activation"),
    "axis is None": (lambda: xs.logsumexp(I, axis=None), TypeError, "axis"),
    "axis is a boolean": (lambda: xs.softmax(I, axis=True), TypeError, "axis"),
    "axis of a projection": (lambda: networks.project_simplex(I, axis=2), ValueError, "axis"),
    "eps beyond float32": (lambda: xs.logsumexp(np.ones(3, "f"), eps=1e39), ValueError, "eps"),
    "eps beyond float64": (lambda: xs.softmax(V, eps=10**400), ValueError, "eps"),
    "total beyond float32": (lambda: networks.project_simplex(np.ones(3, "f"), total=1e39), ValueError, "total"),
    "total is an array": (lambda: networks.project_simplex(V, total=V), TypeError, "total"),
    "theta is short": (lambda: networks.recurrent_gradient((I, I), U, loss), ValueError, "theta"),
    "theta is no tuple": (lambda: networks.residual_step(V, 5), TypeError, "theta"),
    "x is no tuple": (lambda: networks.recurrent_step(5, THETA, I), TypeError, "x"),
    "a vector in theta": (lambda: networks.recurrent_gradient((V, I, V, I, V), U, loss), ValueError, "theta"),
    "loss is a number": (lambda: networks.recurrent_gradient(THETA, U, 5), TypeError, "loss"),
    "no loss": (lambda: networks.residual_gradient((I, I), V, None, n_steps=1), TypeError, "loss"),
    "n_steps": (lambda: networks.residual_gradient((I, I), V, sum, n_steps=1.5), TypeError, "n_steps"),
    "mode": (lambda: networks.cnn_forward(W, [np.ones(1)], Z, mode=["valid"]), TypeError, "mode"),
    "stride": (lambda: networks.cnn_forward(W, [np.ones(1)], Z, stride="2"), TypeError, "stride"),
    "m": (lambda: xs.one_hot(np.asarray([0]), 10**400), ValueError, "m"),
    "check_labels": (lambda: xs.one_hot(np.asarray([0]), 2, check_labels=5), TypeError, "check_labels"),
    "f": (lambda: xs.invert(5, V, V, step=1.0, n_steps=1), TypeError, "f"),
    "half": (lambda: xs.invert(lambda y: y, V, V, step=1.0, n_steps=1, half=5), TypeError, "half"),
    "project": (
        lambda: xs.fit_inverse(lambda y, t: y, V, V, V, step=1.0, theta_step=1.0, project=5),
        TypeError,
        "project",
    ),
    "lam beyond float32": (lambda: xs.lista(np.ones((2, 2), "f"), 1e39, 1), ValueError, "lam"),
    "tied": (lambda: xs.lista(I, 1.0, 1, tied="no"), TypeError, "tied"),
    "longest": (lambda: xs.lista(I, 1.0, 1).fit(I, longest="x"), TypeError, "longest"),
    "callback": (lambda: xs.lista(I, 1.0, 1).fit(I, callback=5), TypeError, "callback"),
    "no labels": (lambda: xs.Multinomial(I, np.zeros(0, int)), ValueError, "Y"),
    "check_finite": (lambda: xs.LeastSquares(I, V, check_finite=5), TypeError, "check_finite"),
    "step of another shape": (lambda: xs.gradient_descent(xs.LeastSquares(I, V), step=V), ValueError, "step"),
    "a negative step": (lambda: xs.gradient_descent(xs.LeastSquares(I, V), step=-np.asarray(1.0)), ValueError, "step"),
    "momentum": (lambda: xs.gradient_descent(xs.LeastSquares(I, V), momentum=V), TypeError, "momentum"),
    "line_search": (lambda: xs.gradient_descent(xs.LeastSquares(I, V), line_search=V), TypeError, "line_search"),
    "record": (lambda: xs.newton(xs.LeastSquares(I, V), record=5), TypeError, "record"),
    "seed": (lambda: xs.sgd(xs.LeastSquares(I, V), seed=-1), ValueError, "seed"),
    "block": (lambda: xs.sgd(xs.LeastSquares(I, V), block=V), TypeError, "block"),
}


@pytest.mark.parametrize("kind", BAD)
def test_the_message_begins_with_the_argument(kind):
    call, error, name = BAD[kind]
    with pytest.raises(error, match=f"^{name}:"):
        call()


@pytest.mark.parametrize("number", [Fraction(1, 2), np.longdouble(0.5), np.float64(0.5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_other_kinds_leave_the_dtype_as_it_is(number, dtype):
    x = np.asarray([1.0, 2.0], dtype=dtype)
    assert networks.project_simplex(x, total=number).dtype == dtype
    assert xs.softmax(x, eps=number).dtype == dtype
    assert xs.logsumexp(x, eps=number).dtype == dtype
    assert xs.invert(lambda y: y, x, x, step=number, n_steps=2).dtype == dtype
    f = xs.LeastSquares(np.eye(2, dtype=dtype), x, number)
    assert xs.gradient_descent(f, step=number).x.dtype == dtype
    assert xs.sgd(f, step0=number, tol=10.0).x.dtype == dtype
