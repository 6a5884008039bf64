"""A convolutional network forward and backward in depth, and training on digits for it and for a perceptron."""

from __future__ import annotations

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves
from benchmarks.recurrent import _Network
from xpsolve import mlp_backward, mlp_forward, networks, problems

EAGER = tuple(name for name in BACKENDS if name != "dask")


class InDepth(_Network):
    """Exponent 1 in the depth; the error is that of the gradient along one direction, by a central difference."""

    title = "Gradient of a convolutional network in depth"
    x = "depth"
    cost = "cnn"
    fixed = {"side": 16, "channels": 16, "batch": 32}
    param_names = ("backend", "depth")
    params = (BACKENDS, (1, 2, 4, 8, 16))

    def prepare(self, backend, depth):
        side, c, batch = self.fixed["side"], self.fixed["channels"], self.fixed["batch"]
        rng = np.random.default_rng(0)
        shapes = [(c, c, 3, 3)] * depth + [(10, c * side * side)]
        weights = [rng.standard_normal(s) / np.sqrt(np.prod(s[1:])) for s in shapes]
        biases = [0.1 * rng.standard_normal(s[0]) for s in shapes]
        Z, g = rng.standard_normal((batch, c, side, side)), rng.standard_normal((10, batch))
        B, (z, e) = ([backend.asarray(x) for x in part] for part in (biases, (Z, g)))

        def gradient(W):
            X = networks.cnn_forward(W, B, z, mode="same")
            return networks.cnn_backward(W, B, X, e, mode="same")[0]

        return self._made(
            backend,
            lambda W: np.vdot(g, networks.cnn_forward(W, biases, Z, mode="same")[-1]),
            gradient,
            weights,
        )


class DigitsEpochs(_Solves):
    """Four epochs, and the loss before and after them; the error is the share of unseen digits misread after 12."""

    family = "networks"
    profiles = {}
    title = "Four epochs of training on 1297 digits"
    tol = 0.05
    param_names = ("backend", "network", "batch")
    params = (EAGER, ("perceptron", "convolutional"), (32, 128))

    def prepare(self, backend, network, batch):
        data, rng = problems.digits(standardise=False), np.random.default_rng(0)
        order = rng.permutation(data.A.shape[0])
        pictures = data.A / 16 - 0.3
        if network == "perceptron":
            shapes, options = ((256, 64), (10, 256)), {}
        else:
            shapes, options = ((16, 1, 3, 3), (32, 16, 3, 3), (10, 512)), {"stride": (1, 2), "mode": "same"}
            pictures = pictures.reshape(-1, 1, 8, 8)
        options = {"activation": "relu", "last_activation": "identity", **options}
        weights = [rng.standard_normal(s) * np.sqrt(2 / np.prod(s[1:])) for s in shapes]
        start = tuple(
            [backend.asarray(x, dtype="float32") for x in part] for part in (weights, [np.zeros(s[0]) for s in shapes])
        )
        Z, Y, unseen = (
            backend.asarray(np.ascontiguousarray(x), dtype="float32")
            for x in (pictures[order[:1297]], data.y[order[:1297]], pictures[order[1297:]])
        )

        def states(parameters, Z):
            if network == "perceptron":
                return mlp_forward(*parameters, Z.T, **options)
            return networks.cnn_forward(*parameters, Z, **options)

        def loss(parameters, Z, Y):
            X = states(parameters, Z)
            value, g = networks.cross_entropy(X[-1], Y.T)
            backward = mlp_backward if network == "perceptron" else networks.cnn_backward
            return value, backward(*parameters, X, g, **options)

        def trained(epochs):
            return networks.train(loss, start, Z, Y, step=0.05, batch=batch, epochs=epochs, tol=1e-4).x

        def error(_):
            named = np.argmax(backend.to_numpy(states(trained(12), unseen)[-1]), axis=0)
            return float(np.mean(named != np.argmax(data.y[order[1297:]], axis=1)))

        return Case(lambda: trained(4)[0], error)
