"""Unrolled solvers: prediction and training of LISTA in depth and in samples, inversion by gradient steps.

Untrained networks are ISTA and one layer of training is a gradient, so that each has a truth: ISTA written out in
double precision, and a central difference of the loss along the step sizes.
"""

from __future__ import annotations

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves, distance
from xpsolve import costs, fit_inverse, invert, lista

_LAM = 0.1
_EAGER = tuple(name for name in BACKENDS if name != "dask")


def _sparse_coding(n: int, m: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    D = rng.standard_normal((n, m))
    D /= np.linalg.norm(D, axis=0)
    X = rng.standard_normal((samples, n))
    return D, X / np.max(np.abs(X @ D), axis=1, keepdims=True)


def _ista(D: np.ndarray, X: np.ndarray, steps: np.ndarray) -> np.ndarray:
    Z = np.zeros((X.shape[0], D.shape[1]))
    for tau in steps:
        U = Z - tau * (Z @ D.T - X) @ D
        Z = np.sign(U) * np.maximum(np.abs(U) - _LAM * tau, 0)
    return Z


class _Prediction(_Solves):
    family = "networks"
    cost = "lista"
    tol = 1e-9

    def prepare(self, backend, **sizes):
        sizes = {**self.fixed, **sizes}
        host_D, host_X = _sparse_coding(sizes["n"], sizes["m"], sizes["samples"])
        D, X = backend.asarray(host_D), backend.asarray(host_X)
        network = lista(D, _LAM, sizes["n_layers"], kind=sizes["kind"])
        steps = np.full(sizes["n_layers"], 1 / np.linalg.norm(host_D, 2) ** 2)
        return Case(
            lambda: network.predict(X),
            lambda Z: distance(Z, _ista(host_D, host_X, steps)),
        )


class PredictionInSamples(_Prediction):
    """4nmN flops per layer with D, 2(m² + nm)N with free matrices: exponent 1."""

    title = "Prediction of LISTA in the number of samples"
    x = "samples"
    fixed = {"n": 64, "m": 256, "n_layers": 10}
    param_names = ("backend", "kind", "samples")
    params = (_EAGER, costs.LISTA_KINDS, (100, 200, 400, 800, 1600))
    profiles = {}


class PredictionInDepth(_Prediction):
    """The same work in each layer: exponent 1."""

    title = "Prediction of LISTA in depth"
    x = "n_layers"
    fixed = {"n": 64, "m": 256, "samples": 400}
    param_names = ("backend", "kind", "n_layers")
    params = (_EAGER, costs.LISTA_KINDS, (2, 4, 8, 16, 32))
    profiles = {}


class TrainingInDepth(_Solves):
    """Ten iterations of all layers together after their supports are bounded: exponent 1."""

    family = "networks"
    title = "Training of step-LISTA in depth"
    x = "n_layers"
    cost = "lista_fit"
    tol = 1e-5
    fixed = {"n": 64, "m": 256, "samples": 200, "layer_iter": 0, "n_iter": 10, "new": True}
    param_names = ("backend", "n_layers")
    params = (_EAGER, (2, 4, 8, 16, 32))
    profiles = {}

    def prepare(self, backend, n_layers):
        f = self.fixed
        host_D, host_X = _sparse_coding(f["n"], f["m"], f["samples"])
        D, X = backend.asarray(host_D), backend.asarray(host_X)

        def call():
            options = {"layer_iter": 0, "max_iter": f["n_iter"], "tol": 1e-300, "longest": 9.0}
            self.network = lista(D, _LAM, n_layers).fit(X, **options)
            return self.network.steps

        def error(steps):
            """Of the loss that training says it reached, against ISTA with the steps that it found."""
            Z = _ista(host_D, host_X, backend.to_numpy(steps))
            R = host_X - Z @ host_D.T
            wanted = (0.5 * np.sum(R * R) + _LAM * np.sum(np.abs(Z))) / f["samples"]
            return abs(float(self.network.solution.stats["loss"]) - wanted) / wanted

        return Case(call, error)


def _map(p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A close to the identity, and y with x = Ay."""
    rng = np.random.default_rng(0)
    A = np.eye(p) + 0.3 * rng.standard_normal((p, p)) / np.sqrt(p)
    y = rng.standard_normal(p)
    return A, y, A @ y


class InversionInSteps(_Solves):
    """Two products per step: exponent 1."""

    family = "networks"
    title = "Inversion by gradient steps in their number"
    x = "n_steps"
    cost = "invert"
    tol = 1e-9
    fixed = {"n": 500, "p": 500}
    param_names = ("backend", "n_steps")
    params = (BACKENDS, (4, 8, 16, 32, 64))
    profiles = {}

    def prepare(self, backend, n_steps):
        host_A, _, host_x = _map(self.fixed["p"])
        A, x = backend.asarray(host_A), backend.asarray(host_x)
        start = 0 * x
        y = np.zeros(self.fixed["p"])
        for _ in range(n_steps):
            y = y - 0.3 * host_A.T @ (host_A @ y - host_x)
        return Case(
            lambda: invert(lambda y: A @ y, x, start, step=0.3, n_steps=n_steps),
            lambda found: distance(found, y),
        )


class LearningInSteps(_Solves):
    """An iteration of learning: its prediction, and the tape through it: exponent 1."""

    family = "networks"
    title = "Learning through an inversion in its steps"
    x = "n_steps"
    cost = "fit_inverse"
    tol = 1e-5
    fixed = {"n": 200, "p": 200, "n_iter": 1}
    param_names = ("backend", "n_steps")
    params = (_EAGER, (4, 8, 16, 32, 64))
    profiles = {}

    def prepare(self, backend, n_steps):
        _, host_y, host_x = _map(self.fixed["p"])
        start = np.eye(self.fixed["p"])
        A, x, y = map(backend.asarray, (start, host_x, host_y))
        options = {"step": 0.1, "theta_step": 1e-3, "n_steps": n_steps, "max_iter": 1, "tol": 1e-300}

        def call():
            return fit_inverse(lambda y, A: A @ y, A, x, y, **options).x

        def loss(A):
            """T(A) = ½‖h_A(x) − y‖²."""
            h = np.zeros(self.fixed["p"])
            for _ in range(n_steps):
                h = h - 0.1 * A.T @ (A @ h - host_x)
            return 0.5 * np.sum((h - host_y) ** 2)

        def error(found):
            """Of the slope along the step that was taken, by a central difference."""
            gradient = (start - backend.to_numpy(found)) / 1e-3
            length = np.linalg.norm(gradient)
            h = 1e-5 / length
            return abs((loss(start + h * gradient) - loss(start - h * gradient)) / (2 * h) / length**2 - 1)

        return Case(call, error)
