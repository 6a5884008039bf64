"""Networks that repeat a layer, in the number of steps, and one hidden layer in its width.

The error is that of the gradient along a random direction of all weights, by a central difference in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves, host
from xpsolve import networks
from xpsolve.arrays import backends, namespace_of

_H = 1e-5  # of the difference


class _Network(_Solves):
    """A gradient; its error is of ⟨∇L, V⟩ against (L(θ + hV) − L(θ − hV))/2h, relative to ‖∇L‖."""

    family = "networks"
    tol = 1e-6
    profiles = {}

    def _made(
        self,
        backend: backends.Backend,
        value: Callable[[Sequence[np.ndarray]], Any],
        gradient: Callable[[Sequence[Any]], Sequence[Any]],
        weights: list[np.ndarray],
    ) -> Case:
        """A loss on the host and its gradient for arrays of any library, at these weights."""
        there = [backend.asarray(w) for w in weights]
        return Case(lambda: gradient(there), lambda found: _slope_error(value, weights, found))


def _slope_error(value: Callable[[Any], Any], weights: Sequence[np.ndarray], gradients: Sequence[Any]) -> float:
    rng, found = np.random.default_rng(1), [host(x) for x in gradients]
    V = [rng.standard_normal(w.shape) / np.sqrt(w.size) for w in weights]
    moved = [value([w + h * v for w, v in zip(weights, V, strict=True)]) for h in (_H, -_H)]
    slope = sum(np.vdot(x, v) for x, v in zip(found, V, strict=True))
    # a typical slope along a direction of length 1
    return abs(slope - (moved[0] - moved[1]) / (2 * _H)) / np.sqrt(sum(np.vdot(x, x) for x in found))


def _square(z: Any) -> Any:
    return namespace_of(z).sum(z * z)


def _gaussian(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) / np.sqrt(shape[-1])


class RecurrentInSteps(_Network):
    """The same weights at each step: exponent 1."""

    title = "Gradient of a recurrent network in the number of steps"
    x = "depth"
    cost = "recurrent"
    fixed = {"width": 64, "batch": 64, "inputs": 16, "outputs": 10}
    param_names = ("backend", "memory", "depth")
    params = (BACKENDS, ("store", "checkpoint"), (4, 8, 16, 32, 64, 128))

    def prepare(self, backend, memory, depth):
        n, N, d, m = (self.fixed[name] for name in ("width", "batch", "inputs", "outputs"))
        rng = np.random.default_rng(0)
        weights = [_gaussian(rng, n, n), _gaussian(rng, n, d), np.zeros(n), _gaussian(rng, m, n), np.zeros(m)]
        U = rng.standard_normal((depth, d, N))
        at = backend.asarray(U)
        return self._made(
            backend,
            lambda theta: float(networks.recurrent_gradient(tuple(theta), U, _square)[0]),
            lambda theta: networks.recurrent_gradient(tuple(theta), at, _square, memory=memory)[1],
            weights,
        )


class ResidualInSteps(_Network):
    """A residual network with one pair of weights, the gradient flow of an energy: exponent 1."""

    title = "Gradient of a residual network in the number of steps"
    x = "depth"
    cost = "residual"
    fixed = {"width": 64, "hidden": 64, "batch": 64}
    param_names = ("backend", "depth")
    params = (BACKENDS, (4, 8, 16, 32, 64, 128))

    def prepare(self, backend, depth):
        n, q, N = (self.fixed[name] for name in ("width", "hidden", "batch"))
        rng = np.random.default_rng(0)
        first = _gaussian(rng, q, n)
        X = rng.standard_normal((n, N))
        at = backend.asarray(X)
        return self._made(
            backend,
            lambda theta: float(networks.residual_gradient(tuple(theta), X, _square, n_steps=depth)[0]),
            lambda theta: networks.residual_gradient(tuple(theta), at, _square, n_steps=depth)[2],
            [first, -0.1 * first],
        )


class SingleLayerInWidth(_Network):
    """B σ(A y + b) and all its gradients: exponent 1 in the hidden neurons."""

    title = "One hidden layer and its gradients in its width"
    x = "width"
    cost = "single_layer"
    fixed = {"inputs": 64, "outputs": 10, "batch": 1000}
    param_names = ("backend", "width")
    params = (BACKENDS, (64, 128, 256, 512, 1024))

    def prepare(self, backend, width):
        n, q, N = (self.fixed[name] for name in ("inputs", "outputs", "batch"))
        rng = np.random.default_rng(0)
        weights = [_gaussian(rng, width, n), 0.1 * rng.standard_normal(width), _gaussian(rng, q, width)]
        Y, g = rng.standard_normal((n, N)), rng.standard_normal((q, N))
        at, e = backend.asarray(Y), backend.asarray(g)

        def gradient(theta):
            _, hidden = networks.single_layer(*theta, at)
            return networks.single_layer_adjoint(*theta, at, hidden, e)[1:]

        return self._made(backend, lambda theta: np.vdot(g, networks.single_layer(*theta, Y)[0]), gradient, weights)
