"""The convolutional network: against torch, autodiff and the perceptron; what it costs; and digits that it reads."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs, networks, problems
from xpsolve.testing import assert_close


def network(rng, kernels, dense, space, samples, **options):
    """Weights and biases of convolutions with these kernels, and of dense layers on what they leave; pictures."""
    weights = [rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:])) for shape in kernels]
    biases = [rng.standard_normal(shape[0]) for shape in kernels]
    Z = rng.standard_normal((samples, kernels[0][1], *space))
    n = networks.cnn_forward(weights, biases, Z, **options)[-1][0].size
    for m in dense:
        weights.append(rng.standard_normal((m, n)) / np.sqrt(n))
        biases.append(rng.standard_normal(m))
        n = m
    return weights, biases, Z


CASES = {
    "a stride": (((4, 2, 3, 3), (3, 4, 2, 2)), (5, 3), (8, 7), {"stride": (1, 2), "mode": "same"}),
    "no dense layer": (((4, 1, 3, 2),), (), (6, 5), {"stride": 2}),
    "one dimension": (((3, 2, 4), (2, 3, 3)), (4,), (11,), {"activation": "relu"}),
}


@pytest.mark.of("cnn_forward")
@pytest.mark.parametrize("case", CASES)
def test_everywhere_it_is_what_numpy_says(xp, rng, case):
    kernels, dense, space, options = CASES[case]
    weights, biases, Z = network(rng, kernels, dense, space, 3, **options)
    X = networks.cnn_forward(weights, biases, Z, **options)
    g = rng.standard_normal(X[-1].shape)
    wanted = networks.cnn_backward(weights, biases, X, g, **options)
    there = [xp(w) for w in weights], [xp(b) for b in biases]
    found = networks.cnn_forward(*there, xp(Z), **options)
    for x, state in zip(found, X, strict=True):
        assert_close(x, state, like=xp(Z), rtol=256 * xp.eps)
    gradients = networks.cnn_backward(*there, found, xp(g), **options)
    for part, other in zip(gradients, wanted, strict=True):
        for a, b in zip(part, other, strict=True):
            assert_close(a, b, like=xp(Z), rtol=1e4 * xp.eps)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_values_and_gradients_equal_those_of_torch_and_of_the_tape(rng, activation):
    torch = pytest.importorskip("torch")
    options = {"stride": (1, 2), "mode": "valid", "activation": activation, "last_activation": "identity"}
    weights, biases, Z = network(rng, ((4, 2, 3, 3), (5, 4, 2, 2)), (6, 3), (9, 8), 7, **options)
    Y = np.eye(3)[rng.integers(0, 3, 7)].T
    X = networks.cnn_forward(weights, biases, Z, **options)
    value, g = networks.cross_entropy(X[-1], Y)
    found = networks.cnn_backward(weights, biases, X, g, **options)

    def loss(parameters, Z, Y):
        return networks.cross_entropy(networks.cnn_forward(*parameters, Z, **options)[-1], Y)[0]

    taped = autodiff.grad(loss)((weights, biases), Z, Y)
    W, B = ([torch.tensor(a, requires_grad=True) for a in part] for part in (weights, biases))
    rho = getattr(torch, activation)
    x = rho(torch.nn.functional.conv2d(torch.tensor(Z), W[0], B[0]))
    x = rho(torch.nn.functional.conv2d(x, W[1], B[1], stride=2)).flatten(1)
    x = torch.nn.functional.linear(rho(torch.nn.functional.linear(x, W[2], B[2])), W[3], B[3])
    truth = torch.nn.functional.cross_entropy(x, torch.tensor(np.argmax(Y, axis=0)))
    truth.backward()
    assert float(value) == pytest.approx(float(truth.detach()), rel=1e-12)
    for part, on_tape, theirs in zip(found, taped, (W, B), strict=True):
        for a, b, c in zip(part, on_tape, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(a, c.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_kernels_as_large_as_the_picture_are_a_perceptron(rng):
    weights, biases, Z = network(rng, ((4, 2, 3, 5),), (6, 3), (3, 5), 4)
    flat = [weights[0].reshape(4, -1), *weights[1:]]
    X, x = networks.cnn_forward(weights, biases, Z), xs.mlp_forward(flat, biases, Z.reshape(4, -1).T)
    np.testing.assert_allclose(X[-1], x[-1], rtol=1e-13)
    g = rng.standard_normal((3, 4))
    found, wanted = networks.cnn_backward(weights, biases, X, g), xs.mlp_backward(flat, biases, x, g)
    for a, b in zip((*found[0], *found[1]), (*wanted[0], *wanted[1]), strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=1e-12, atol=1e-14)


def deep(rng, depth, **sizes):
    """Layers of one width on squares, as the cost has them."""
    c, n, k = sizes["channels"], sizes["side"], sizes["k"]
    kernels = ((c, c, k, k),) * depth
    return network(rng, kernels, (sizes["classes"],), (n, n), sizes["batch"], mode="same")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_counted_products_and_reads_are_the_costs(rng, depth):
    sizes = {"side": 6, "channels": 3, "k": 3, "classes": 4, "batch": 5}
    weights, biases, Z = deep(rng, depth, **sizes)
    g = rng.standard_normal((4, 5))

    def both(weights, biases, Z, g):
        X = networks.cnn_forward(weights, biases, Z, mode="same")
        return networks.cnn_backward(weights, biases, X, g, mode="same")

    _, tally = xs.count(both, weights, biases, Z, g)
    cost = costs.cnn(depth, **sizes)
    assert (tally.product_flops, tally.syncs) == (cost.flops, cost.syncs)


def test_launches_of_a_layer_do_not_depend_on_the_depth(rng):
    sizes = {"side": 6, "channels": 3, "k": 3, "classes": 4, "batch": 5}

    def launches(depth):
        weights, biases, Z = deep(rng, depth, **sizes)
        run = lambda w, b, Z, g: networks.cnn_backward(w, b, networks.cnn_forward(w, b, Z, mode="same"), g, mode="same")  # noqa: E731
        _, tally = xs.count(run, weights, biases, Z, rng.standard_normal((4, 5)))
        assert tally.syncs == 0
        return tally.launches

    counted = [launches(depth) for depth in (1, 2, 3, 6, 12)]
    assert counted[1] - counted[0] == counted[2] - counted[1]
    assert counted[3] - counted[2] == 3 * (counted[2] - counted[1])
    assert counted[4] - counted[3] == 6 * (counted[2] - counted[1])


def test_inputs_stay_as_they_were(rng):
    weights, biases, Z = network(rng, ((2, 1, 3, 3),), (3,), (5, 5), 2)
    X = networks.cnn_forward(weights, biases, Z, "identity")
    g = np.ones((3, 2))
    before = [x.copy() for x in (*weights, *biases, Z, g, *X)]
    networks.cnn_backward(weights, biases, X, g, "tanh")
    for x, old in zip((*weights, *biases, Z, g, *X), before, strict=True):
        np.testing.assert_array_equal(x, old)


def test_it_traces_under_jit(rng):
    jax = pytest.importorskip("jax")
    weights, biases, Z = network(rng, ((2, 1, 3, 3),), (3,), (5, 5), 2)
    arguments = jax.tree.map(jax.numpy.asarray, (weights, biases, Z))

    def gradient(weights, biases, Z):
        X = networks.cnn_forward(weights, biases, Z)
        return networks.cnn_backward(weights, biases, X, X[-1])

    traced, wanted = jax.jit(gradient)(*arguments), gradient(weights, biases, Z)
    for a, b in zip(jax.tree.leaves(traced), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_it_learns_to_read_digits(seed):
    """97 % of the images that it has not seen; two convolutions, the second with a stride, and one dense layer."""
    data, rng = problems.digits(standardise=False, dtype="float32"), np.random.default_rng(seed)
    Z, Y = (data.A / 16 - 0.3).astype("f4").reshape(-1, 1, 8, 8), data.y
    order = rng.permutation(Z.shape[0])
    train, test = order[:1297], order[1297:]
    shapes = ((16, 1, 3, 3), (32, 16, 3, 3), (10, 512))
    weights = [(rng.standard_normal(s) * np.sqrt(2 / np.prod(s[1:]))).astype("f4") for s in shapes]
    biases = [np.zeros(s[0], dtype="f4") for s in shapes]
    options = {"activation": "relu", "last_activation": "identity", "stride": (1, 2), "mode": "same"}

    def loss(parameters, Z, Y):
        X = networks.cnn_forward(*parameters, Z, **options)
        value, g = networks.cross_entropy(X[-1], Y.T)
        return value, networks.cnn_backward(*parameters, X, g, **options)

    run = networks.train(loss, (weights, biases), Z[train], Y[train], step=0.05, warmup=600, epochs=12)
    named = np.argmax(networks.cnn_forward(*run.x, Z[test], **options)[-1], axis=0)
    assert np.mean(named == np.argmax(Y[test], axis=1)) >= 0.97


W, B, PICTURE = np.ones((2, 1, 3, 3)), np.ones(2), np.ones((1, 1, 4, 4))
BAD = {
    "no convolution": (lambda: networks.cnn_forward([np.ones((2, 2))], [B], B[None].T), r"weights: .*mlp_forward"),
    "a convolution after a dense layer": (
        lambda: networks.cnn_forward([W, np.ones((2, 8)), W], [B, B, B], PICTURE),
        r"weights: expected kernels",
    ),
    "strides for other layers": (
        lambda: networks.cnn_forward([W], [B], PICTURE, stride=(1, 1)),
        r"stride: .*1 of them",
    ),
    "channels that do not chain": (
        lambda: networks.cnn_forward([W, W], [B, B], PICTURE),
        r"layer 1.*w: expected shape \(O, 2",
    ),
    "a bias of another length": (lambda: networks.cnn_forward([W], [np.ones(3)], PICTURE), r"layer 0.*b: expected"),
    "a dense layer that does not fit": (
        lambda: networks.cnn_forward([W, np.ones((3, 5))], [B, np.ones(3)], PICTURE),
        r"weights\[1\]: expected shape \(n_2, 8\), got \(3, 5\)",
    ),
    "states are missing": (lambda: networks.cnn_backward([W], [B], [PICTURE], PICTURE), r"X: .*cnn_forward"),
    "a gradient of another shape": (
        lambda: networks.cnn_backward([W], [B], [PICTURE, np.ones((1, 2, 2, 2))], PICTURE),
        r"loss_gradient: expected shape \(1, 2, 2, 2\)",
    ),
    "a state of another shape": (
        lambda: networks.cnn_backward([W], [B], [PICTURE, np.ones((1, 2, 3, 2))], np.ones((1, 2, 3, 2))),
        r"layer 0.*e: expected shape",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, words = BAD[kind]
    with pytest.raises(ValueError, match=words):
        call()
