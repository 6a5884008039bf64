"""The perceptron: against torch, autodiff and by hand; what it costs; and digits that it learns to read."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs, networks, problems
from xpsolve.networks.activations import ACTIVATIONS
from xpsolve.testing import assert_close, slope_test


def network(rng, widths, samples):
    pairs = list(zip(widths[1:], widths[:-1], strict=True))
    weights = [rng.standard_normal(pair) / np.sqrt(pair[1]) for pair in pairs]
    biases = [rng.standard_normal(n) for n, _ in pairs]
    return weights, biases, rng.standard_normal((widths[0], samples)), rng.standard_normal((widths[-1], samples))


@pytest.mark.of("mlp_forward")
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_layers_and_gradients_as_the_formulas_say(xp, rng, activation):
    weights, biases, Z, g = network(rng, [3, 5, 4, 2], 6)
    there = [xp(A) for A in weights], [xp(b) for b in biases], xp(Z)
    X = xs.mlp_forward(*there, activation)
    g_weights, g_biases = xs.mlp_backward(*there[:2], X, xp(g), activation)
    rho, slope = {
        "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
        "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    }[activation]
    states, inner = [Z], []
    for A, b in zip(weights, biases, strict=True):
        inner.append(A @ states[-1] + b[:, None])
        states.append(rho(inner[-1]))
    tight = {"rtol": 64 * xp.eps}
    assert len(X) == 4
    for x, state in zip(X, states, strict=True):
        assert_close(x, state, like=xp(Z), **tight)
    for r in (2, 1, 0):
        M = slope(inner[r]) * g
        assert_close(g_weights[r], M @ states[r].T, like=xp(Z), **tight)
        assert_close(g_biases[r], M.sum(axis=1), like=xp(Z), **tight)
        g = weights[r].T @ M


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_equal_those_of_autodiff_and_torch(rng, activation):
    torch = pytest.importorskip("torch")
    weights, biases, Z, Y = network(rng, [4, 7, 6, 3], 5)
    X = xs.mlp_forward(weights, biases, Z, activation, last_activation="identity")
    value, at_end = networks.squared_loss(X[-1], Y)
    found = xs.mlp_backward(weights, biases, X, at_end, activation, last_activation="identity")

    def loss(parameters, Z, Y):
        X = xs.mlp_forward(*parameters, Z, activation, last_activation="identity")
        return networks.squared_loss(X[-1], Y)[0]

    by_tape = autodiff.grad(loss)((weights, biases), Z, Y)
    there = [[torch.tensor(a, requires_grad=True) for a in part] for part in (weights, biases)]
    rho = {
        "identity": lambda a: a,
        "leaky_relu": torch.nn.functional.leaky_relu,
        "softplus": torch.nn.functional.softplus,
    }.get(activation) or getattr(torch, activation)
    x = torch.tensor(Z)
    for r in range(3):
        x = there[0][r] @ x + there[1][r][:, None]
        x = rho(x) if r < 2 else x
    truth = 0.5 * ((x - torch.tensor(Y)) ** 2).sum() / 5
    truth.backward()
    assert float(value) == pytest.approx(float(truth.detach()), rel=1e-12)
    for k in (0, 1):
        for ours, taped, theirs in zip(found[k], by_tape[k], there[k], strict=True):
            np.testing.assert_allclose(ours, taped, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.of("cross_entropy")
def test_cross_entropy(xp, rng):
    torch = pytest.importorskip("torch")
    X = 10 * rng.standard_normal((4, 7))
    labels = rng.integers(0, 4, 7)
    value, gradient = networks.cross_entropy(xp(X), xp(np.eye(4)[labels].T))
    x = torch.tensor(X.T, requires_grad=True)
    truth = torch.nn.functional.cross_entropy(x, torch.tensor(labels))
    truth.backward()
    assert float(value) == pytest.approx(float(truth.detach()), rel=64 * xp.eps)
    assert_close(gradient, x.grad.numpy().T, like=xp(X), rtol=64 * xp.eps)


@pytest.mark.parametrize("loss", [networks.squared_loss, networks.cross_entropy])
def test_losses_have_the_gradients_they_say(rng, loss):
    X, Y = rng.standard_normal((3, 4)), rng.dirichlet(np.ones(3), 4).T
    slope_test(lambda X: loss(X, Y)[0], lambda V: np.sum(loss(X, Y)[1] * V), X)


def test_nothing_overflows_in_cross_entropy():
    value, gradient = networks.cross_entropy(np.asarray([[1e4], [-1e4]]), np.asarray([[0.0], [1.0]]))
    assert value == 2e4
    np.testing.assert_array_equal(gradient, [[1.0], [-1.0]])


def test_launches_of_a_layer_do_not_depend_on_the_depth(rng):
    def launches(depth):
        weights, biases, Z, g = network(rng, [6] * (depth + 1), 9)
        run = lambda w, b, Z, g: xs.mlp_backward(w, b, xs.mlp_forward(w, b, Z), g)  # noqa: E731
        _, tally = xs.count(run, weights, biases, Z, g)
        assert tally.syncs == 0
        return tally.launches

    counted = [launches(depth) for depth in (1, 2, 3, 6, 12)]
    a_layer = counted[1] - counted[0]
    assert [one - counted[0] for one in counted] == [0, a_layer, 2 * a_layer, 5 * a_layer, 11 * a_layer]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_counts_equal_costs(rng, depth):
    weights, biases, Z, g = network(rng, [6] * (depth + 1), 9)

    def both(weights, biases, Z, g):
        return xs.mlp_backward(weights, biases, xs.mlp_forward(weights, biases, Z), g)

    cost = costs.mlp(depth, 6, 9)
    _, tally = xs.count(both, weights, biases, Z, g)
    assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_inputs_stay_as_they_were(rng, activation):
    weights, biases, Z, g = network(rng, [3, 3, 3], 4)
    before = [x.copy() for x in (*weights, *biases, Z, g)]
    X = xs.mlp_forward(weights, biases, Z, activation)
    kept = [x.copy() for x in X]
    first = xs.mlp_backward(weights, biases, X, g, activation)
    again = xs.mlp_backward(weights, biases, X, g, activation)
    for x, old in zip((*weights, *biases, Z, g, *X), (*before, *kept), strict=True):
        np.testing.assert_array_equal(x, old)
    np.testing.assert_array_equal(first[0][0], again[0][0])


def test_it_traces_under_jit(rng):
    jax = pytest.importorskip("jax")
    weights, biases, Z, g = jax.tree.map(jax.numpy.asarray, network(rng, [3, 4, 2], 5))

    def gradient(weights, biases, Z, g):
        return xs.mlp_backward(weights, biases, xs.mlp_forward(weights, biases, Z), g)

    traced, eager = jax.jit(gradient)(weights, biases, Z, g), gradient(weights, biases, Z, g)
    for one, other in zip(jax.tree.leaves(traced), jax.tree.leaves(eager), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    assert jax.jit(lambda k: xs.one_hot(k, 3))(jax.numpy.asarray([2])).shape == (1, 3)
    jax.jit(xs.softmax_jacobian)(Z)
    jax.jit(networks.project_simplex)(Z)
    jax.jit(networks.cross_entropy)(Z, Z)
    jax.jit(lambda x: xs.invert(lambda y: 2 * y, x, x, step=0.1, n_steps=2))(Z)


def test_single_precision_stays(rng):
    weights, biases, Z, g = network(rng, [3, 4, 2], 5)
    weights, biases, Z, g = (
        [A.astype("f4") for A in weights],
        [b.astype("f4") for b in biases],
        Z.astype("f4"),
        g.astype("f4"),
    )
    X = xs.mlp_forward(weights, biases, Z)
    g_weights, g_biases = xs.mlp_backward(weights, biases, X, g)
    assert {x.dtype for x in (*X, *g_weights, *g_biases)} == {np.dtype("f4")}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_it_learns_to_read_digits(seed):
    """97 % of images that it has not seen, from one hidden layer."""
    data, rng = problems.digits(standardise=False, dtype="float32"), np.random.default_rng(seed)
    Z, Y = (data.A / 16 - 0.3).astype("f4"), data.y
    order = rng.permutation(Z.shape[0])
    train, test = order[:1297], order[1297:]
    weights = [(rng.standard_normal(s) * np.sqrt(2 / s[1])).astype("f4") for s in ((256, 64), (10, 256))]
    biases = [np.zeros(m, dtype="f4") for m in (256, 10)]
    options = {"activation": "relu", "last_activation": "identity"}

    def loss(parameters, Z, Y):
        X = xs.mlp_forward(*parameters, Z.T, **options)
        value, g = networks.cross_entropy(X[-1], Y.T)
        return value, xs.mlp_backward(*parameters, X, g, **options)

    run = networks.train(loss, (weights, biases), Z[train], Y[train], step=0.05, epochs=40, tol=1e-4)
    named = np.argmax(xs.mlp_forward(*run.x, Z[test].T, **options)[-1], axis=0)
    assert np.mean(named == np.argmax(Y[test], axis=1)) >= 0.97


ONE = np.ones((2, 2)), np.ones(2)
BAD = {
    "weights are an array": (lambda: xs.mlp_forward(ONE[0], [ONE[1]], ONE[0]), TypeError, r"weights: expected a list"),
    "no layers": (lambda: xs.mlp_forward([], [], ONE[0]), ValueError, r"biases: .*got 0 and 0"),
    "a bias too few": (lambda: xs.mlp_forward([ONE[0]] * 2, [ONE[1]], ONE[0]), ValueError, r"biases: .*got 1 and 2"),
    "layers do not chain": (
        lambda: xs.mlp_forward([ONE[0], np.ones((2, 3))], [ONE[1]] * 2, ONE[0]),
        ValueError,
        r"weights\[1\]: expected shape \(n_2, 2\), got \(2, 3\)",
    ),
    "a bias is a column": (lambda: xs.mlp_forward([ONE[0]], [ONE[0]], ONE[0]), ValueError, r"biases\[0\]: .*\(2,\)"),
    "one sample": (lambda: xs.mlp_forward([ONE[0]], [ONE[1]], ONE[1]), ValueError, r"Z: expected shape \(n_0, N\)"),
    "an activation": (
        lambda: xs.mlp_forward([ONE[0]], [ONE[1]], ONE[0], "step"),
        ValueError,
        r"activation: .*'tanh'.*got 'step'",
    ),
    "a weight is a list": (
        lambda: xs.mlp_forward([[[1.0]]], [ONE[1]], ONE[0]),
        TypeError,
        r"weights\[0\]: expected an",
    ),
    "states are missing": (
        lambda: xs.mlp_backward([ONE[0]], [ONE[1]], [ONE[0]], ONE[0]),
        ValueError,
        r"X: expected the list of 2 arrays",
    ),
    "a state of another shape": (
        lambda: xs.mlp_backward([ONE[0]], [ONE[1]], [ONE[0], np.ones((2, 3))], ONE[0]),
        ValueError,
        r"X\[1\]: expected shape \(2, 2\), got \(2, 3\)",
    ),
    "a gradient of another shape": (
        lambda: xs.mlp_backward([ONE[0]], [ONE[1]], [ONE[0]] * 2, ONE[1]),
        ValueError,
        r"loss_gradient: expected shape \(2, 2\), got \(2,\)",
    ),
    "targets of another shape": (lambda: networks.squared_loss(ONE[0], ONE[1]), ValueError, r"Y: expected the shape"),
    "a vector of outputs": (lambda: networks.cross_entropy(ONE[1], ONE[1]), ValueError, r"X: expected shape \(m, N\)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
