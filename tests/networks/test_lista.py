"""ISTA unrolled: it is ISTA before training, its gradients are right, and training pays on samples it has not seen."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.testing import assert_close

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")  # training stops early on purpose


KINDS = costs.LISTA_KINDS


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


def objectives(D, X, lam, Z):
    return 0.5 * np.sum((X - Z @ D.T) ** 2, axis=1) + lam * np.sum(np.abs(Z), axis=1)


def mean_loss(D, X, lam, Z):
    return np.mean(objectives(D, X, lam, Z))


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
    assert 0.25 < gained <= 1  # of the way from ISTA to the optimum
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


@pytest.mark.parametrize("data", ["gaussian", "digits", "patches"])
def test_few_samples_are_enough_to_beat_ista_on_each_of_many_others(data):
    """Some of them are less sparse than all that were seen; without a bound the first of these diverge."""
    made = xs.problems.sparse_coding(data, samples=850)
    D, train, unseen = made.D, made.X[:50], made.X[50:]
    network = xs.lista(D, 0.1, 20).fit(train, layer_iter=8, max_iter=10)
    found, plain = (objectives(D, unseen, 0.1, Z) for Z in (network.predict(unseen), ista(D, unseen, 0.1, 20)))
    assert np.all(found < plain)
    assert np.all(network.steps > network.inverse_lipschitz)


def test_without_a_bound_unseen_samples_diverge():
    D, X = problem(np.random.default_rng(0), 64, 256, 500)
    free = xs.lista(D, 0.1, 20).fit(X[:50], layer_iter=8, max_iter=10, longest=float("inf"))
    seen, unseen = (objectives(D, part, 0.1, free.predict(part)) for part in (X[:50], X[50:]))
    assert np.max(seen) < 2
    assert np.max(unseen) > 10


def test_steps_are_bounded_by_what_supports_can_take():
    """With steps up to 1/L_S no layer raises the loss of a sample that it was trained on."""
    D, X = problem(np.random.default_rng(3), 20, 40, 60)
    network = xs.lista(D, 0.1, 6).fit(X, layer_iter=8, max_iter=0, longest=1.0)
    Z, before = np.zeros((60, 40)), np.full(60, np.inf)
    for t in range(6):
        inside = (Z != 0) | (np.abs((X - Z @ D.T) @ D) > 0.1)
        largest = max(np.linalg.norm(D[:, S], 2) ** 2 for S in inside)
        assert network.steps[t] <= 1.02 / largest  # the power method is a little short of it
        Z = network._forward((network.steps[t : t + 1],), X, Z, 1)[0][-1]
        assert not np.any((Z != 0) & ~inside)
        after = objectives(D, X, 0.1, Z)
        assert np.all(after <= before)
        before = after


@pytest.mark.parametrize("kind", KINDS)
def test_tied_layers_share_their_parameters(rng, kind):
    D, X = problem(rng, 6, 9, 40)
    network = xs.lista(D, 0.1, 4, kind=kind, tied=True)
    np.testing.assert_allclose(network.predict(X), ista(D, X, 0.1, 4), atol=1e-13)
    before = network.loss(X)
    network.fit(X, max_iter=20)
    assert network.loss(X) < before
    assert all(p.shape[0] == 1 for p in network.parameters)
    np.testing.assert_allclose(network.predict(X), unrolled(kind, D, network.parameters, X, 4), atol=1e-13)


@pytest.mark.of("lista")
@pytest.mark.parametrize("kind", KINDS)
def test_the_form_of_ista_is_recognised(xp, rng, kind):
    D = rng.standard_normal((4, 6))
    network = xs.lista(xp(D), 0.3, 2, kind=kind)
    alpha, distance = network.ista_form()
    assert_close(alpha, np.full(2, 1 / np.linalg.norm(D, 2) ** 2), like=xp(D), rtol=1e2 * xp.eps)
    assert_close(distance, np.zeros(2), like=xp(D), atol=1e2 * xp.eps)


def test_the_distance_from_ista_is_that_to_the_nearest(rng):
    D = rng.standard_normal((4, 6))
    network = xs.lista(D, 0.3, 1, kind="full")
    network.parameters = W1, W2, beta = tuple(rng.standard_normal(p.shape) for p in network.parameters)
    ours = np.concatenate([(np.eye(6) - W1[0]).ravel(), W2.ravel(), beta])
    theirs = np.concatenate([(D.T @ D).ravel(), D.T.ravel(), [0.3]])
    (alpha,), residual, *_ = np.linalg.lstsq(theirs[:, None], ours)
    assert network.ista_form()[0][0] == pytest.approx(alpha)
    assert network.ista_form()[1][0] == pytest.approx(np.sqrt(residual[0]) / np.linalg.norm(ours))


@pytest.mark.parametrize("kind", ["full", "coupled"])
def test_deep_layers_learn_no_more_than_a_step(kind):
    """W₁ → I − αDᵀD, W₂ → αDᵀ and β → αλ along the layers; the first learn something else."""
    D, X = problem(np.random.default_rng(0), 8, 16, 1000)
    network = xs.lista(D, 0.2, 20, kind=kind).fit(X, layer_iter=50, max_iter=200)
    alpha, distance = network.ista_form()
    assert distance[0] > 0.15
    assert np.all(distance[-3:] < 0.06)
    apart = np.abs(network.parameters[-1] / (0.2 * alpha) - 1)
    assert np.max(apart[:4]) > 0.5
    assert np.all(apart[-3:] < 0.15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("T", [1, 2, 3, 6])
def test_costs_are_counted(rng, kind, T):
    n, m, samples = 5, 7, 11
    D, X = problem(rng, n, m, samples)
    _, made = xs.count(lambda D, X: xs.lista(D, 0.1, T, kind=kind), D, X)

    def counted(f):
        _, tally = xs.count(lambda D, X: f(xs.lista(D, 0.1, T, kind=kind), X), D, X)
        spent = tally.product_flops - made.product_flops, tally.launches - made.launches
        return *spent, tally.syncs - made.syncs

    cost = costs.lista(n, m, samples, T, kind=kind)
    assert counted(lambda net, X: net.predict(X)) == (cost.flops, cost.launches, cost.syncs)
    for layer_iter, n_iter in ((0, 0), (0, 3), (2, 12)):
        cost = costs.lista_fit(n, m, samples, T, kind=kind, layer_iter=layer_iter, n_iter=n_iter)
        options = {"layer_iter": layer_iter, "max_iter": n_iter, "tol": 1e-300, "longest": 99.0}
        found = counted(lambda net, X, options=options: net.fit(X, **options))
        assert found == (cost.flops, cost.launches, cost.syncs)
    new = costs.lista_fit(n, m, samples, T, kind=kind, new=True) + -1 * costs.lista_fit(n, m, samples, T, kind=kind)
    assert (made.product_flops, made.launches, made.syncs) == (new.flops, new.launches, new.syncs)


def test_a_cost_of_an_unknown_kind():
    with pytest.raises(ValueError, match="step, full, coupled"):
        costs.lista(2, 2, 2, 2, kind="tied")


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
