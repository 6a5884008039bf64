"""Soft maxima and the simplex in the number of classes, and the derivative of softmax times a vector in three ways.

Beside the product with the dense matrix diag(p) − ppᵀ stand the same product without it, and what it takes where the
gradient matrix is diagonal, as that of a pointwise activation is.
"""

from __future__ import annotations

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves, host
from xpsolve import logsumexp, networks, one_hot, softmax, softmax_jacobian

EAGER = tuple(name for name in BACKENDS if name != "dask")  # Dask does not sort


class _Soft(_Solves):
    """The error is the largest one against NumPy, relative to the largest entry."""

    family = "softmax"
    tol = 1e-12
    profiles = {}

    def _made(self, call, wanted):
        return Case(call, lambda found: np.max(np.abs(host(found) - wanted)) / np.max(np.abs(wanted)))


def _data(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaussian rows, their softmax, and vectors to multiply with."""
    x, g = np.random.default_rng(0).standard_normal((2, rows, classes))
    p = np.exp(x)
    return x, p / np.sum(p, axis=1, keepdims=True), g


class LogSumExpInClasses(_Soft):
    """Read, exponentials and a sum: exponent 1."""

    title = "log-sum-exp in the number of classes"
    x = "p"
    cost = "logsumexp"
    fixed = {"n": 1000}
    param_names = ("backend", "p")
    params = (BACKENDS, (2500, 5000, 10_000, 20_000, 40_000))
    profiles = {"quick": {}}

    def prepare(self, backend, p):
        x, _, _ = _data(self.fixed["n"], p)
        there = backend.asarray(x)
        return self._made(lambda: logsumexp(there), np.log(np.sum(np.exp(x), axis=1)))


class SoftmaxInClasses(_Soft):
    """The same and a quotient: exponent 1."""

    title = "Softmax in the number of classes"
    x = "p"
    cost = "softmax"
    fixed = {"n": 1000}
    param_names = ("backend", "p")
    params = (BACKENDS, (2500, 5000, 10_000, 20_000, 40_000))
    profiles = {"quick": {}}

    def prepare(self, backend, p):
        x, probabilities, _ = _data(self.fixed["n"], p)
        there = backend.asarray(x)
        return self._made(lambda: softmax(there), probabilities)


class JacobianInClasses(_Soft):
    """diag(p) − ppᵀ built and multiplied has exponent 2; the product without it, and that of a diagonal, 1."""

    title = "A product with the gradient matrix of an activation, in the number of classes"
    x = "p"
    fixed = {"n": 10}
    param_names = ("backend", "way", "p")
    params = (BACKENDS, ("dense softmax", "matrix-free softmax", "diagonal sigmoid"), (10, 30, 100, 300, 1000))

    def prepare(self, backend, way, p):
        x, probabilities, g = _data(self.fixed["n"], p)
        there, at = backend.asarray(x), backend.asarray(g)
        if way == "diagonal sigmoid":
            s = 1 / (1 + np.exp(-x))
            slope = backend.asarray(s)
            return self._made(lambda: slope * (1 - slope) * at, s * (1 - s) * g)
        inner = np.sum(probabilities * g, axis=1, keepdims=True)
        dense = lambda: (softmax_jacobian(there) @ at[..., None])[..., 0]  # noqa: E731
        call = dense if way == "dense softmax" else lambda: networks.softmax_vjp(there, at)
        return self._made(call, probabilities * (g - inner))


class MatrixInClasses(_Soft):
    """The dense matrix alone: exponent 2."""

    version = "2"
    title = "The gradient matrix of softmax in the number of classes"
    x = "p"
    cost = "softmax_jacobian"
    fixed = {"n": 4}
    param_names = ("backend", "p")
    params = (BACKENDS, (100, 200, 400, 800, 1600))

    def prepare(self, backend, p):
        x, probabilities, _ = _data(self.fixed["n"], p)
        there = backend.asarray(x)
        wanted = np.stack([np.diag(row) - np.outer(row, row) for row in probabilities])
        return self._made(lambda: softmax_jacobian(there), wanted)


class OneHotInLabels(_Soft):
    """A comparison with each of ten classes: exponent 1."""

    title = "One-hot encoding in the number of labels"
    x = "n"
    cost = "one_hot"
    fixed = {"m": 10}
    param_names = ("backend", "n")
    params = (BACKENDS, (1000, 3000, 10_000, 30_000, 100_000))

    def prepare(self, backend, n):
        labels = np.random.default_rng(0).integers(0, 10, n)
        there = backend.asarray(labels, dtype="int64")
        return self._made(lambda: one_hot(there, 10), np.eye(10)[labels])


class ProjectionInClasses(_Soft):
    """The projection on the simplex, by sorting: exponent 1 and a logarithm."""

    title = "Projection on the simplex in the number of classes"
    x = "p"
    cost = "project_simplex"
    fixed = {"n": 1000}
    param_names = ("backend", "p")
    params = (EAGER, (60, 120, 240, 480, 960))

    def prepare(self, backend, p):
        x, _, _ = _data(self.fixed["n"], p)
        there = backend.asarray(x)
        low, high = np.min(x, axis=1, keepdims=True) - 1.0, np.max(x, axis=1, keepdims=True)
        for _ in range(60):  # the θ at which Σ max(x − θ, 0) = 1, by halving
            middle = (low + high) / 2
            above = np.sum(np.maximum(x - middle, 0), axis=1, keepdims=True) > 1
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return self._made(lambda: networks.project_simplex(there), np.maximum(x - low, 0))
