# ruff: noqa: RUF012  (asv reads grids and meta data from plain class attributes)
"""The multi-layer perceptron forward and backward: time in depth, in width and in the size of a batch.

Weights are Gaussian over the root of the width, so that states neither grow nor fade.  The truth is the derivative
along a random direction of all weights, by a central difference of the loss in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, _Benchmark, _Device, measures, warm
from xpsolve.arrays import backends
from xpsolve.networks import mlp_backward, mlp_forward


@dataclass
class _Case:
    """A gradient to be timed, and the network on the host."""

    backend: backends.Backend
    gradient: Callable[[], Any]
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    Z: np.ndarray
    g: np.ndarray


class _Perceptron(_Benchmark):
    """Time of a gradient, and beside it its error along one direction."""

    family = "networks"
    cost = "mlp"
    tol = 1e-6
    mode = "latency"

    @measures("time", "seconds")
    def time_solve(self, *values: Any) -> None:
        found = self._case(values).gradient()[0]
        _Device.last, _Device.whole = found[0], found

    @measures("error", "relative error")
    def track_error(self, *values: Any) -> float:
        """Of ⟨∇L, V⟩ for L(X_R) = ⟨g, X_R⟩, against (L(A + hV) − L(A − hV))/2h."""
        case, h = self._case(values), 1e-5
        rng = np.random.default_rng(1)
        V = [rng.standard_normal(A.shape) / np.sqrt(A.size) for A in case.weights]

        def loss(sign):
            moved = [A + sign * h * v for A, v in zip(case.weights, V, strict=True)]
            return np.vdot(case.g, mlp_forward(moved, case.biases, case.Z)[-1])

        found = [case.backend.to_numpy(x) for x in self._answer(lambda: case.gradient()[0])]
        slope = sum(np.vdot(x, v) for x, v in zip(found, V, strict=True))
        scale = np.sqrt(sum(np.vdot(x, x) for x in found))  # a typical slope along a direction of length 1
        error = abs(slope - (loss(1) - loss(-1)) / (2 * h)) / scale
        return float(error)

    def prepare(self, backend, **sizes):
        sizes = {**self.fixed, **sizes}
        depth, width, batch = sizes["depth"], sizes["width"], sizes["batch"]
        rng = np.random.default_rng(0)
        weights = [rng.standard_normal((width, width)) / np.sqrt(width) for _ in range(depth)]
        biases = [0.1 * rng.standard_normal(width) for _ in range(depth)]
        Z, g = rng.standard_normal((2, width, batch))
        there = [[backend.asarray(x) for x in part] for part in (weights, biases, [Z, g])]

        def gradient():
            X = mlp_forward(there[0], there[1], there[2][0])
            return mlp_backward(there[0], there[1], X, there[2][1])

        warm(lambda: gradient()[0][0])
        return _Case(backend, gradient, weights, biases, Z, g)


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
    params = (BACKENDS, (16, 32, 64, 128, 256, 512, 1024))
