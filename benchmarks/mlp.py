"""The multi-layer perceptron forward and backward, in depth, width and batch, and its training on a stream.

Weights are Gaussian over the root of the width, so that states neither grow nor fade.  The truth is the derivative
along a random direction of all weights, by a central difference of the loss in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves, distance
from benchmarks.recurrent import _Network
from xpsolve.arrays import namespace_of
from xpsolve.networks import mlp_backward, mlp_forward, train


class _Perceptron(_Network):
    """The loss is L(X_R) = ⟨g, X_R⟩."""

    cost = "mlp"

    def prepare(self, backend, **sizes):
        sizes = {**self.fixed, **sizes}
        depth, width, batch = sizes["depth"], sizes["width"], sizes["batch"]
        rng = np.random.default_rng(0)
        weights = [rng.standard_normal((width, width)) / np.sqrt(width) for _ in range(depth)]
        biases = [0.1 * rng.standard_normal(width) for _ in range(depth)]
        Z, g = rng.standard_normal((2, width, batch))
        b, (z, e) = ([backend.asarray(x) for x in part] for part in (biases, [Z, g]))

        def gradient(W):
            return mlp_backward(W, b, mlp_forward(W, b, z), e)[0]

        return self._made(backend, lambda W: np.vdot(g, mlp_forward(W, biases, Z)[-1]), gradient, weights)


class InDepth(_Perceptron):
    """6w²N flops per layer: exponent 1, above the floor of launches."""

    title = "Gradient of a perceptron in depth"
    x = "depth"
    fixed = {"width": 128, "batch": 128}
    param_names = ("backend", "depth")
    params = (BACKENDS, (2, 4, 8, 16, 32, 64))
    profiles = {"quick": {"depth": [2, 4, 8, 16, 32]}}


class InWidth(_Perceptron):
    """Exponent 2 in the width, once products outweigh the pointwise work, which has exponent 1."""

    title = "Gradient of a perceptron in width"
    x = "width"
    fixed = {"depth": 4, "batch": 256}
    param_names = ("backend", "width")
    params = (BACKENDS, (32, 64, 128, 256, 512, 1024))


class InBatch(_Perceptron):
    """Exponent 1 in the number of samples."""

    title = "Gradient of a perceptron in the batch"
    x = "batch"
    fixed = {"depth": 4, "width": 256}
    param_names = ("backend", "batch")
    params = (BACKENDS, (32, 64, 128, 256, 512, 1024))


class Stream(_Solves):
    """A step for each batch, of 3 products a layer: exponent 1 in the number of batches.

    The error is that of the parameters, against the same steps written out in double precision.
    """

    family = "networks"
    title = "Training of a perceptron on a stream in the number of batches"
    cost = "train"
    x = "batches"
    tol = 1e-8
    fixed = {"depth": 3, "width": 64, "batch": 64}
    param_names = ("backend", "batches")
    params = (tuple(name for name in BACKENDS if name != "dask"), (10, 20, 40, 80, 160))
    profiles = {}
    step, momentum = 0.01, 0.9

    def prepare(self, backend, batches):
        depth, width, batch = (self.fixed[name] for name in ("depth", "width", "batch"))
        rng = np.random.default_rng(0)
        weights = [rng.standard_normal((width, width)) / np.sqrt(width) for _ in range(depth)]
        biases = [np.zeros(width) for _ in range(depth)]
        samples = [rng.standard_normal((2, batch, width)) for _ in range(batches)]
        start = tuple([backend.asarray(x) for x in part] for part in (weights, biases))
        parts = [tuple(backend.asarray(x) for x in pair) for pair in samples]
        options = {"step": self.step, "momentum": self.momentum, "tol": 1e9}

        def error(found: Any) -> float:
            wanted = _steps(weights, biases, samples, self.step, self.momentum)
            return max(distance(x, y) for x, y in zip([*found.x[0], *found.x[1]], wanted, strict=True))

        return Case(lambda: train(_loss, start, batches=parts, **options), error)


def _loss(parameters: Any, Z: Any, Y: Any) -> tuple[Any, Any]:
    """½‖X_R − Y‖²/N with R layers of tanh, and its gradient."""
    X = mlp_forward(*parameters, Z.T)
    E = (X[-1] - Y.T) / Z.shape[0]
    return 0.5 * namespace_of(E).sum(E * E) * Z.shape[0], mlp_backward(*parameters, X, E)


def _steps(weights, biases, samples, step, momentum):
    """The parameters after a step of gradient descent with momentum for each batch, weights before biases."""
    theta, depth = [*map(np.copy, weights), *map(np.copy, biases)], len(weights)
    speed = [np.zeros_like(x) for x in theta]
    for Z, Y in samples:
        states = [Z.T]
        for W, b in zip(theta[:depth], theta[depth:], strict=True):
            states.append(np.tanh(W @ states[-1] + b[:, None]))
        E = (states[-1] - Y.T) / len(Z)
        gradient = [None] * (2 * depth)
        for layer in reversed(range(depth)):
            M = E * (1 - states[layer + 1] ** 2)
            gradient[layer], gradient[depth + layer] = M @ states[layer].T, M.sum(axis=1)
            E = theta[layer].T @ M
        speed = [momentum * v - step * g for v, g in zip(speed, gradient, strict=True)]
        theta = [x + v for x, v in zip(theta, speed, strict=True)]
    return theta
