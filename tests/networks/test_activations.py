"""Activations and the simplex: against SciPy, the derivatives by slopes, and projections by their optimality."""

import numpy as np
import pytest
import scipy.special

import xpsolve as xs
from xpsolve import autodiff, costs, networks
from xpsolve.arrays import device_of, library, namespace_of
from xpsolve.networks.activations import ACTIVATIONS
from xpsolve.testing import assert_close, assert_like, slope_test

TRUE = {
    "relu": lambda a: np.maximum(a, 0),
    "leaky_relu": lambda a: np.where(a > 0, a, 0.01 * a),
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "softplus": lambda a: np.logaddexp(a, 0),
    "identity": lambda a: a,
}


@pytest.mark.of("relu")
@pytest.mark.parametrize("name", TRUE)
def test_values(xp, name):
    a = np.asarray([[-1e4, -30.0, -1.0, -0.0], [0.0, 0.5, 30.0, 1e4]])
    assert_close(getattr(networks, name)(xp(a)), TRUE[name](a), like=xp(a), rtol=4 * xp.eps)


def test_the_sigmoid_keeps_its_digits_on_the_left():
    a = np.asarray([-700.0, -40.0, -5.0])
    np.testing.assert_allclose(networks.sigmoid(a), scipy.special.expit(a), rtol=1e-15)


def test_a_nan_stays_one():
    with np.errstate(invalid="ignore"):
        assert all(np.isnan(getattr(networks, name)(np.asarray([np.nan]))[0]) for name in TRUE)


@pytest.mark.parametrize("name", TRUE)
def test_derivatives_from_the_output(rng, name):
    rho = ACTIVATIONS[name]
    a, xp = rng.standard_normal(20), np
    slope_test(lambda a: rho.value(xp, a), lambda v: rho.pull(xp, rho.value(xp, a), v.copy()), a)
    at = np.asarray([-2.0, 0.0, 0.3])  # 0 is where rectifiers have their kink
    (back,) = autodiff.vjp(getattr(networks, name), at)[1](np.ones(3))
    np.testing.assert_allclose(rho.pull(xp, rho.value(xp, at), np.ones(3)), back, rtol=1e-13)


@pytest.mark.of("softmax_jacobian")
def test_the_jacobian_of_softmax(xp, rng):
    x, g = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    p = scipy.special.softmax(x, axis=-1)
    wanted = np.stack([np.diag(q) - np.outer(q, q) for q in p])
    assert_close(xs.softmax_jacobian(xp(x)), wanted, like=xp(x), rtol=16 * xp.eps)
    assert_close(networks.softmax_vjp(xp(x), xp(g)), np.einsum("bij,bj->bi", wanted, g), like=xp(x), rtol=16 * xp.eps)


def test_the_jacobian_of_softmax_is_that_of_autodiff(rng):
    x = rng.standard_normal(5)
    np.testing.assert_allclose(xs.softmax_jacobian(x), autodiff.jacrev(xs.softmax)(x), rtol=1e-13, atol=1e-16)


@pytest.mark.of("one_hot")
def test_one_hot(xp):
    labels = xp([[2, 0], [1, 1]], dtype="int64")
    Y = xs.one_hot(labels, 3)
    assert_close(Y, np.eye(3)[[[2, 0], [1, 1]]], rtol=0)
    assert_like(xs.one_hot(labels, 3, check_labels=False), Y)
    assert (library(namespace_of(Y)), device_of(Y)) == (library(namespace_of(labels)), device_of(labels))
    _, tally = xs.count(lambda x: xs.one_hot(x, 3), labels)
    assert tally.syncs == 1
    _, tally = xs.count(lambda x: xs.one_hot(x, 3, check_labels=False), labels)
    assert tally.syncs == 0


def test_counts_equal_costs(rng):
    x, labels = rng.standard_normal((4, 6)), np.arange(5) % 3
    pairs = (
        (costs.softmax_jacobian(4, 6), lambda: xs.count(xs.softmax_jacobian, x)),
        (costs.softmax_vjp(4, 6), lambda: xs.count(networks.softmax_vjp, x, x)),
        (costs.one_hot(5, 3), lambda: xs.count(lambda k: xs.one_hot(k, 3), labels)),
        (
            costs.one_hot(5, 3, check_labels=False),
            lambda: xs.count(lambda k: xs.one_hot(k, 3, check_labels=False), labels),
        ),
    )
    for cost, counted in pairs:
        _, tally = counted()
        assert (tally.launches, tally.product_flops, tally.syncs) == (cost.launches, cost.flops, cost.syncs)


@pytest.mark.of("project_simplex")
@pytest.mark.parametrize("axis", [0, -1])
def test_projections_satisfy_their_optimality_conditions(xp, rng, axis):
    x = 2 * rng.standard_normal((6, 7))
    p = networks.project_simplex(xp(x), total=2.0, axis=axis)
    assert_like(p, xp(x))
    p = xp.backend.to_numpy(p)
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=axis), 2.0, rtol=8 * xp.eps)
    theta = np.max(x - p, axis=axis, keepdims=True)  # p = x − θ where p > 0, and x ≤ θ elsewhere
    assert np.all(np.where(p > 0, np.abs(x - p - theta), np.maximum(x - theta, 0)) <= 16 * xp.eps)
    assert (p == 0).any()


def test_projections_far_from_the_simplex_keep_their_digits():
    p = networks.project_simplex(np.asarray([1e6 + 0.25, 1e6, -1e6], dtype=np.float32))
    np.testing.assert_allclose(p, [0.625, 0.375, 0.0], rtol=1e-6)


def test_points_of_the_simplex_stay(rng):
    p = rng.dirichlet(np.ones(5), size=4)
    np.testing.assert_allclose(networks.project_simplex(p), p, atol=1e-15)


BAD = {
    "labels are numbers": (lambda: xs.one_hot(np.ones(2), 2), TypeError, r"labels: expected an array of integers"),
    "a label too many": (lambda: xs.one_hot(np.asarray([0, 2]), 2), ValueError, r"labels: expected classes in 0 … 1"),
    "a label below": (lambda: xs.one_hot(np.asarray([-1]), 2), ValueError, r"labels: "),
    "no classes": (lambda: xs.one_hot(np.asarray([0]), 0), ValueError, r"m: .*at least 1, got 0"),
    "another shape": (lambda: networks.softmax_vjp(np.ones(2), np.ones(3)), ValueError, r"g: .*\(2,\), got \(3,\)"),
    "no such axis": (lambda: networks.project_simplex(np.ones(2), axis=1), ValueError, r"axis: .*\(2,\)"),
    "nothing to sum to": (lambda: networks.project_simplex(np.ones(2), total=0), ValueError, r"total: .*positive"),
    "a list": (lambda: networks.relu([1.0]), TypeError, r"x: expected an array"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
