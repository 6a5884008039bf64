"""ISTA unrolled: it is ISTA before training, its gradients are right, and training pays on samples it has not seen."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.testing import assert_close

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # training stops where it is told to


KINDS = ("step", "full", "coupled")


def problem(rng, n, m, samples):
    """Unit atoms, and samples whose λ_max is 1."""
    D = rng.standard_normal((n, m))
    D /= np.linalg.norm(D, axis=0)
    X = rng.standard_normal((samples, n))
    return D, X / np.max(np.abs(X @ D), axis=1, keepdims=True)


def ista(D, X, lam, T):
    L = np.linalg.norm(D, 2) ** 2
    Z = np.zeros((X.shape[0], D.shape[1]))
    for _ in range(T):
        U = Z - (Z @ D.T - X) @ D / L
        Z = np.sign(U) * np.maximum(np.abs(U) - lam / L, 0)
    return Z


def mean_loss(D, X, lam, Z):
    return np.mean(0.5 * np.sum((X - Z @ D.T) ** 2, axis=1) + lam * np.sum(np.abs(Z), axis=1))


@pytest.mark.of("lista")
@pytest.mark.parametrize("kind", KINDS)
def test_untrained_it_is_ista_and_training_lowers_the_loss(xp, rng, kind):
    D, X = problem(rng, 5, 8, 12)
    network = xs.lista(xp(D), 0.1, 3, kind=kind)
    Z = ista(D, X, 0.1, 3)
    assert_close(network.predict(xp(X)), Z, like=xp(X), rtol=1e3 * xp.eps)
    assert_close(network.predict(xp(X[0])), Z[0], like=xp(X), rtol=1e3 * xp.eps)
    before = float(network.loss(xp(X)))
    assert before == pytest.approx(mean_loss(D, X, 0.1, Z), rel=1e3 * xp.eps)
    assert network.fit(xp(X), layer_iter=3, max_iter=5) is network
    assert float(network.loss(xp(X))) < before
    assert float(network.loss(xp(X))) == pytest.approx(float(network.solution.stats["loss"]), rel=1e3 * xp.eps)


@pytest.mark.parametrize("T", [5, 10, 20])
def test_learned_steps_beat_ista_on_unseen_samples(T):
    D, X = problem(np.random.default_rng(0), 64, 256, 600)
    train, unseen = X[:300], X[300:]
    network = xs.lista(D, 0.1, T).fit(train, layer_iter=8, max_iter=10)
    found, plain = network.predict(unseen), ista(D, unseen, 0.1, T)
    best = mean_loss(D, unseen, 0.1, xs.lasso(D, unseen.T, 0.1).x.T)
    gained = (mean_loss(D, unseen, 0.1, plain) - mean_loss(D, unseen, 0.1, found)) / (
        mean_loss(D, unseen, 0.1, plain) - best
    )
    assert 0.3 < gained <= 1  # of the way from ISTA to the optimum
    ratios = network.steps / network.inverse_lipschitz
    assert np.all(ratios >= 0)
    assert np.all(ratios[T // 2 :] > 1.2)  # 1/L is the step for codes that are not sparse


def varied(network, rng):
    """Its parameters, each layer another."""
    return tuple(p * (1 + 0.2 * rng.standard_normal(p.shape)) for p in network.parameters)


def unrolled(kind, D, parameters, X, T):
    """The network written out, in operations that the tape knows."""
    xp = D.__array_namespace__()
    Z = X @ (0.0 * D)
    for t in range(T):
        p = [q[min(t, q.shape[0] - 1), ...] for q in parameters]
        if kind == "step":
            U, beta = Z - p[0] * ((Z @ D.T - X) @ D), 0.1 * p[0]
        elif kind == "coupled":
            U, beta = Z - (Z @ D.T - X) @ p[0].T, p[1]
        else:
            U, beta = Z @ p[0].T + X @ p[1].T, p[2]
        Z = U - xp.minimum(xp.maximum(U, -beta), beta)
    return Z


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("loss", ["unsupervised", "supervised", "semi-supervised"])
def test_stacked_gradients_equal_the_tape_and_slopes(rng, kind, tied, loss):
    D, X = problem(rng, 6, 9, 7)
    network = xs.lista(D, 0.1, 4, kind=kind, tied=tied)
    target = network._target(X, rng.standard_normal((7, 9)) if loss == "supervised" else None, loss)
    parameters = varied(network, rng)
    value, gradient = network._value_and_gradient(parameters, X, np.zeros((7, 9)), target, 4)
    out, pullback = autodiff.vjp(lambda *p: unrolled(kind, p[-2], p[:-2], p[-1], 4), *parameters, D, X)
    assert value == pytest.approx(target(out)[0], rel=1e-13)
    for found, wanted in zip(gradient, pullback(target(out)[1])[: len(gradient)], strict=True):
        assert_close(found, wanted, rtol=1e-11)

    def f(last):
        return network._value_and_gradient((*parameters[:-1], last), X, np.zeros((7, 9)), target, 4)[0]

    by_differences = autodiff.finite_difference(lambda p: np.asarray(f(p)), parameters[-1], scheme="central")
    np.testing.assert_allclose(gradient[-1], by_differences.ravel(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["supervised", "semi-supervised"])
def test_codes_are_learned(rng, kind, loss):
    D, X = problem(rng, 6, 9, 40)
    S = xs.lasso(D, X.T, 0.1).x.T
    network = xs.lista(D, 0.1, 3, kind=kind)
    before = np.sum((network.predict(X) - S) ** 2)
    network.fit(X, S if loss == "supervised" else None, loss=loss, layer_iter=5, max_iter=20)
    assert np.sum((network.predict(X) - S) ** 2) < 0.9 * before
    assert np.all(network.parameters[-1] >= 0)


def test_steps_stay_at_zero_where_nothing_can_be_gained():
    network = xs.lista(np.eye(2), 10.0, 2).fit(np.asarray([[1.0, 0.5]]), layer_iter=2, max_iter=10)
    assert np.all(network.steps >= 0)
    np.testing.assert_array_equal(network.predict(np.asarray([[1.0, 0.5]])), 0)


D, X = problem(np.random.default_rng(1), 3, 4, 5)
BAD = {
    "D is a vector": (lambda: xs.lista(X[0], 0.1, 2), ValueError, r"D: expected shape \(n, m\)"),
    "lam is zero": (lambda: xs.lista(D, 0.0, 2), ValueError, r"lam: .*positive"),
    "no layers": (lambda: xs.lista(D, 0.1, 0), ValueError, r"n_layers: .*at least 1"),
    "a kind": (lambda: xs.lista(D, 0.1, 2, kind="tied"), ValueError, r"kind: .*'step', 'full', 'coupled', got 'tied'"),
    "samples are columns": (lambda: xs.lista(D, 0.1, 2).predict(X.T), ValueError, r"X: expected 3 features"),
    "a loss": (lambda: xs.lista(D, 0.1, 2).fit(X, loss="l1"), ValueError, r"loss: .*'unsupervised'"),
    "no codes": (lambda: xs.lista(D, 0.1, 2).fit(X, loss="supervised"), ValueError, r"codes: expected them"),
    "codes for nothing": (lambda: xs.lista(D, 0.1, 2).fit(X, np.ones((5, 4))), ValueError, r"codes: expected them"),
    "codes of another shape": (
        lambda: xs.lista(D, 0.1, 2).fit(X, X, loss="supervised"),
        ValueError,
        r"codes: expected shape \(5, 4\), got \(5, 3\)",
    ),
    "a bound of zero": (lambda: xs.lista(D, 0.1, 2).fit(X, longest=0.0), ValueError, r"longest: .*positive"),
    "no steps": (lambda: xs.lista(D, 0.1, 2, kind="full").steps, AttributeError, r"steps: .*'full' has none"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
