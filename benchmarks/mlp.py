"""The multi-layer perceptron forward and backward: time in depth, in width and in the size of a batch.

Weights are Gaussian over the root of the width, so that states neither grow nor fade.  The truth is the derivative
along a random direction of all weights, by a central difference of the loss in double precision.
"""

from __future__ import annotations

import numpy as np

from benchmarks._base import BACKENDS
from benchmarks.recurrent import _Network
from xpsolve.networks import mlp_backward, mlp_forward


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
