"""Norms, the adjoint test, the soft threshold, gradients, wavelets, Fourier: what iterative solvers are made of."""

from __future__ import annotations

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves
from benchmarks._problems import scaled_matrix
from xpsolve import dot_test, operator_norm, soft_threshold
from xpsolve.operators import Fourier, Gradient, Wavelet

_STEPS = 20


class _Calls(_Solves):
    family = "operators"


def _one_large_singular_value(n: int, p: int) -> np.ndarray:
    """Gaussian noise, with singular values up to 2, on a rank-one matrix of norm 4."""
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(n), rng.standard_normal(p)
    return scaled_matrix(n, p) + np.outer(4 * u / np.linalg.norm(u), v / np.linalg.norm(v))


class NormInFeatures(_Calls):
    """Twenty steps of the power method: 4np flops per step, exponent 1."""

    version = "2"
    title = "Operator norm in the number of features"
    x = "p"
    cost = "operator_norm"
    tol = 1e-2
    fixed = {"n": 1000, "n_iter": _STEPS}
    param_names = ("backend", "p")
    params = (BACKENDS, (3000, 6000, 12_000, 24_000, 48_000))
    profiles = {"quick": {}}

    def prepare(self, backend, p):
        A = _one_large_singular_value(self.fixed["n"], p)
        there, norm = backend.asarray(A), np.sqrt(np.linalg.eigvalsh(A @ A.T)[-1])
        call = lambda: operator_norm(there, max_iter=_STEPS, tol=1e-300)  # noqa: E731
        return Case(call, lambda found: abs(float(found) - norm) / norm)


class AdjointTest(_Calls):
    """One pair of vectors through A and its transpose."""

    version = "2"
    title = "Adjoint test of a matrix"
    x = "p"
    cost = "dot_test"
    tol = 1e-12
    fixed = {"n": 1000, "trials": 1}
    param_names = ("backend", "p")
    params = (BACKENDS, (3000, 6000, 12_000, 24_000, 48_000))

    def prepare(self, backend, p):
        A = backend.asarray(_one_large_singular_value(self.fixed["n"], p))
        return Case(lambda: dot_test(A, trials=1), float)


class SoftThreshold(_Calls):
    """Memory is read and written once: exponent 1 beyond the cache."""

    title = "Soft threshold in the number of entries"
    x = "n"
    cost = "soft_threshold"
    tol = 1e-15
    param_names = ("backend", "n")
    params = (BACKENDS, (2_500_000, 5_000_000, 10_000_000, 20_000_000, 40_000_000))
    profiles = {}

    def prepare(self, backend, n):
        host = np.random.default_rng(0).standard_normal(n)
        x, truth = backend.asarray(host), np.sign(host) * np.maximum(np.abs(host) - 1, 0)
        return Case(
            lambda: soft_threshold(x, 1.0), lambda found: float(np.max(np.abs(backend.to_numpy(found) - truth)))
        )


class _Differences(_Calls):
    x = "n"
    cost = "differences"
    tol = 1e-13
    param_names = ("backend", "n")

    def prepare(self, backend, n):
        X = np.random.default_rng(0).standard_normal((n, n))
        D, Y = Gradient(X.shape), np.stack([np.diff(X, axis=a, append=np.take(X, [-1], axis=a)) for a in (0, 1)])
        if not self.fixed["adjoint"]:
            there = backend.asarray(X.reshape(-1))
            return Case(lambda: D.matvec(there), lambda y: float(np.max(np.abs(backend.to_numpy(y) - Y.reshape(-1)))))
        there, size = backend.asarray(Y.reshape(-1)), float(np.sum(Y * Y))
        return Case(  # ⟨X, ∇ᵀ∇X⟩ = ‖∇X‖²
            lambda: D.rmatvec(there), lambda x: abs(float(X.reshape(-1) @ backend.to_numpy(x)) - size) / size
        )


class GradientInSide(_Differences):
    """Differences of a picture along both axes: exponent 2 beyond the cache."""

    title = "Gradient of a picture in its side"
    fixed = {"dim": 2, "adjoint": False}
    params = (BACKENDS, (256, 512, 1024, 2048, 4096))
    profiles = {"quick": {}}


class GradientAdjointInSide(_Differences):
    """Minus the divergence, twice the launches of the gradient: exponent 2 beyond the cache."""

    title = "Adjoint of the gradient of a picture in its side"
    fixed = {"dim": 2, "adjoint": True}
    params = (BACKENDS, (256, 512, 1024, 2048, 4096))


class WaveletInSide(_Calls):
    """All levels of a picture: exponent 2, and a time that grows with the length of the filters, 2N."""

    title = "Wavelet transform of a picture in its side"
    x = "n"
    cost = "wavelet"
    fixed = {"dim": 2}
    tol = 1e-12
    param_names = ("backend", "order", "n")
    params = (BACKENDS, (1, 4, 8), (256, 512, 1024, 2048, 4096))
    profiles = {"quick": {"order": [4]}}

    def prepare(self, backend, order, n):
        x = np.random.default_rng(0).standard_normal(n * n)
        W, there = Wavelet((n, n), order), backend.asarray(x)
        size = float(x @ x)
        return Case(lambda: W.matvec(there), lambda c: abs(float(np.sum(backend.to_numpy(c) ** 2)) - size) / size)


class FourierInSide(_Calls):
    """The transform of a complex picture: exponent 2, and a logarithm."""

    title = "Unitary Fourier transform of a picture in its side"
    x = "n"
    cost = "fourier"
    fixed = {"dim": 2}
    tol = 1e-12
    param_names = ("backend", "n")
    params = (BACKENDS, (256, 512, 1024, 2048, 4096))
    profiles = {"quick": {}}

    def prepare(self, backend, n):
        x = np.random.default_rng(0).standard_normal((2, n * n))
        x = x[0] + 1j * x[1]
        F, there = Fourier((n, n)), backend.asarray(x)
        size = float(np.vdot(x, x).real)
        return Case(
            lambda: F.matvec(there), lambda y: abs(float(np.sum(np.abs(backend.to_numpy(y)) ** 2)) - size) / size
        )
