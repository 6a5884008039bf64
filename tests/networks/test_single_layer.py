"""The network with one hidden layer: values, and its gradients against the tape and by their slopes."""

import numpy as np
import pytest
import scipy.special

import xpsolve as xs
from xpsolve import autodiff, networks
from xpsolve.networks.activations import ACTIVATIONS
from xpsolve.testing import assert_close


def network(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal(5), rng.standard_normal((2, 5)), rng.standard_normal((3, 4))


@pytest.mark.of("single_layer")
def test_values_and_gradients_as_the_formulas_say(xp, rng):
    A, b, B, Y = network(rng)
    e = rng.standard_normal((2, 4))
    there = [xp(a) for a in (A, b, B, Y)]
    X, H = networks.single_layer(*there, "softmax")
    h = scipy.special.softmax(A @ Y + b[:, None], axis=0)
    assert_close(H, h, like=xp(A), rtol=64 * xp.eps)
    assert_close(X, B @ h, like=xp(A), rtol=64 * xp.eps)
    delta, g_A, g_b, g_B = networks.single_layer_adjoint(*there, H, xp(e), "softmax")
    M = np.stack([(np.diag(p) - np.outer(p, p)) @ B.T @ q for p, q in zip(h.T, e.T, strict=True)], axis=1)
    for found, wanted in ((delta, A.T @ M), (g_A, M @ Y.T), (g_b, M.sum(axis=1)), (g_B, e @ h.T)):
        assert_close(found, wanted, like=xp(A), rtol=256 * xp.eps)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softmax"])
def test_gradients_by_hand_are_those_of_the_tape(rng, activation):
    arguments, e = network(rng), rng.standard_normal((2, 4))
    X, H = networks.single_layer(*arguments, activation)
    found = networks.single_layer_adjoint(*arguments, H, e, activation)
    _, pullback = autodiff.vjp(lambda *a: networks.single_layer(*a, activation)[0], *arguments)
    g_A, g_b, g_B, delta = pullback(e)
    for ours, taped in zip(found, (delta, g_A, g_b, g_B), strict=True):
        np.testing.assert_allclose(ours, taped, rtol=1e-10, atol=1e-13)
    assert X.shape == e.shape


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_is_a_perceptron_of_two_layers(rng, activation):
    A, b, B, Y = network(rng)
    states = xs.mlp_forward([A, B], [b, np.zeros(2)], Y, activation, last_activation="identity")
    X, H = networks.single_layer(A, b, B, Y, activation)
    np.testing.assert_allclose(X, states[-1], rtol=1e-13)
    np.testing.assert_allclose(H, states[1], rtol=1e-13)


def test_inputs_stay_as_they_were(rng):
    arguments, e = network(rng), rng.standard_normal((2, 4))
    H = networks.single_layer(*arguments)[1]
    before = [x.copy() for x in (*arguments, H, e)]
    networks.single_layer_adjoint(*arguments, H, e)
    for x, old in zip((*arguments, H, e), before, strict=True):
        np.testing.assert_array_equal(x, old)


ONE, FLAT = np.ones((2, 2)), np.ones(2)
BAD = {
    "a vector of samples": (lambda: networks.single_layer(ONE, FLAT, ONE, FLAT), r"A: expected shape \(m, n\)"),
    "offsets as a column": (lambda: networks.single_layer(ONE, ONE, ONE, ONE), r"b: expected shape \(2,\)"),
    "outputs that do not chain": (lambda: networks.single_layer(ONE, FLAT, np.ones((2, 3)), ONE), r"B: .*\(q, 2\)"),
    "an activation": (lambda: networks.single_layer(ONE, FLAT, ONE, ONE, "step"), r"activation: .*got 'step'"),
    "residuals of another shape": (
        lambda: networks.single_layer_adjoint(ONE, FLAT, ONE, ONE, ONE, FLAT),
        r"e: expected shape \(2, 2\)",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, words = BAD[kind]
    with pytest.raises(ValueError, match=words):
        call()
