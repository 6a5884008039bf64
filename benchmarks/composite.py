"""min f(x) + R(x): non-negative least squares, l1-logistic regression, group lasso and total variation.

Time to a tolerance and time of some iterations, in samples, in features and in pixels, with counts.  The error is
computed here, in float64 on the host, from the returned x: a duality gap with a dual point made from x, or for x ≥ 0
the optimality condition; so every method and backend is measured alike.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Counts, _Solves, host
from benchmarks._problems import logistic_gap, nonnegative_violation, positive_signal, sparse_classes
from xpsolve import LeastSquares, LinearOperator, Logistic, minimize, nnls, penalties

_STEPS = 50
_GROUP = 10  # entries of a group


def _grouped_signal(n: int, p: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Gaussian A, y from five groups of features with a tenth of noise, and a tenth of the λ at which x becomes 0."""
    rng = np.random.default_rng(n * 7919 + p)
    A = rng.standard_normal((n, p))
    x = np.zeros((p // _GROUP, _GROUP))
    x[rng.choice(len(x), 5, replace=False)] = rng.standard_normal((5, _GROUP))
    signal = A @ x.ravel()
    y = signal + 0.1 * np.linalg.norm(signal) / np.sqrt(n) * rng.standard_normal(n)
    return A, y, 0.1 * float(np.max(_lengths(A.T @ y))) / n


def _lengths(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x.reshape(-1, _GROUP), axis=1)


def _squares(side: int) -> np.ndarray:
    """A picture of squares on a ramp with a tenth of noise, row by row."""
    rng = np.random.default_rng(side)
    x = np.tile(np.linspace(0, 0.3, side), (side, 1))
    x[side // 4 : side // 2, side // 4 : side // 2] += 0.5
    x[side // 2 : 7 * side // 8, side // 2 : 3 * side // 4] += 0.3
    return (x + 0.1 * rng.standard_normal((side, side))).ravel()


# --- errors ------------------------------------------------------------------------------------------


def _group_gap(A: np.ndarray, y: np.ndarray, lam: float, x: np.ndarray) -> float:
    """(P(x) − D(θ)) / (½‖y‖²/n) at θ = t·r, with the best t for which no ‖(Aᵀθ)_g‖ is above nλ."""
    n, r = len(y), y - A @ x
    theta = r * min(float(y @ r) / float(r @ r), n * lam / float(np.max(_lengths(A.T @ r))))
    primal = 0.5 * (r @ r) / n + lam * float(np.sum(_lengths(x)))
    dual = (0.5 * (y @ y) - 0.5 * ((y - theta) @ (y - theta))) / n
    return float((primal - dual) / (0.5 * (y @ y) / n))


def _denoising_gap(y: np.ndarray, lam: float, side: int, x: np.ndarray, z: np.ndarray) -> float:
    """(P(x) − D(z)) / (½‖y‖²/n), with z made feasible: D(z) = ⟨Lᵀz, y⟩ − ½n‖Lᵀz‖² for ‖z_i‖ ≤ λ."""
    n, picture = y.size, x.reshape(side, side)
    down, right = (np.zeros((side, side)) for _ in range(2))
    down[:-1], right[:, :-1] = np.diff(picture, axis=0), np.diff(picture, axis=1)
    z = z.reshape(2, side, side)
    z = z / np.maximum(np.hypot(*z) / lam, 1.0)
    pulled = -z[0] - z[1]  # the last difference along an axis is 0, and so is its part of z
    pulled[-1] += z[0, -1]
    pulled[:, -1] += z[1, :, -1]
    pulled[1:] += z[0, :-1]
    pulled[:, 1:] += z[1, :, :-1]
    primal = 0.5 * np.sum((x - y) ** 2) / n + lam * np.sum(np.hypot(down, right))
    dual = pulled.ravel() @ y - 0.5 * n * np.sum(pulled**2)
    return float((primal - dual) / (0.5 * (y @ y) / n))


# --- benchmarks --------------------------------------------------------------------------------------


class _Composite(_Solves):
    """One call; the error is what is left, over the objective or the gradient at 0."""

    family = "composite"
    repeat = (3, 7, 1.0)


def _nnls(backend, n, p, **options):
    A, y = positive_signal(n, p)
    solve = partial(nnls, backend.asarray(A), backend.asarray(y), check_finite=False, **options)
    return Case(solve, lambda s: nonnegative_violation(A, y, host(s.x)))


def _logistic(backend, n, p, part=0.1, **options):
    A, y, lam = sparse_classes(n, p, part)
    f = Logistic(backend.asarray(A), backend.asarray(y), check_finite=False)
    solve = partial(minimize, f, penalties.L1(lam), check_finite=False, **options)
    return Case(solve, lambda s: logistic_gap(A, y, lam, host(s.x)))


def _groups(backend, n, p, **options):
    A, y, lam = _grouped_signal(n, p)
    f = LeastSquares(backend.asarray(A), backend.asarray(y), check_finite=False)
    solve = partial(minimize, f, penalties.GroupL1(lam, _GROUP), check_finite=False, **options)
    return Case(solve, lambda s: _group_gap(A, y, lam, host(s.x)))


class _Identity(LinearOperator):
    """The operator of denoising."""

    def _matvec(self, x: Any) -> Any:
        return x

    def _rmatvec(self, y: Any) -> Any:
        return y


def _denoising(backend, pixels, **options):
    side = math.isqrt(pixels)
    y, lam = _squares(side), 0.07 / pixels
    f = LeastSquares(_Identity((pixels, pixels)), backend.asarray(y), check_finite=False)
    solve = partial(minimize, f, penalties.TotalVariation(lam, (side, side)), check_finite=False, **options)

    def error(solution: Any) -> float:
        x, z = (host(v) for v in (solution.x, solution.stats["dual"][0]))
        return _denoising_gap(y, lam, side, x, z)

    return Case(solve, error)


class NnlsInFeatures(_Composite):
    """Tall: iterations with the Gram matrix, 2p² flops each, after np² for it."""

    title = "Non-negative least squares to a violation of 1e-6 in the number of features"
    x = "p"
    tol = 1e-5  # the solver takes the columns of A at equal size
    fixed = {"n": 4000}
    param_names = ("backend", "p")
    params = (BACKENDS, (64, 128, 256, 512, 1024))
    profiles = {"smoke": {"backend": ["numpy"], "p": [64]}, "quick": {"backend": ["numpy"]}}

    def prepare(self, backend, p):
        return _nnls(backend, self.fixed["n"], p)


class NnlsInSamples(_Composite):
    """np² for the Gram matrix: exponent 1 in n once it dominates."""

    title = "Non-negative least squares to a violation of 1e-6 in the number of samples"
    x = "n"
    tol = 1e-5
    fixed = {"p": 200}
    param_names = ("backend", "n")
    params = (BACKENDS, (1000, 2200, 4600, 10_000, 22_000))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, n):
        return _nnls(backend, n, self.fixed["p"])


class LogisticInFeatures(_Composite):
    """4np flops per iteration; how many there are grows slowly with p."""

    title = "ℓ¹-logistic regression to a gap of 1e-6 in the number of features"
    x = "p"
    tol = 1.01e-6
    fixed = {"n": 500}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("fista", "ista"), (200, 450, 1000, 2200, 4600))
    profiles = {"quick": {"backend": ["numpy"], "method": ["fista"]}}

    def prepare(self, backend, method, p):
        return _logistic(backend, self.fixed["n"], p, method=method)


class WideLogisticInFeatures(_Composite):
    """Steps on a set of features read A once each: exponent 1 where A is large beside the set."""

    title = "ℓ¹-logistic regression with many features to a gap of 1e-6"
    x = "p"
    tol = 1.01e-6
    fixed = {"n": 500}
    param_names = ("backend", "lam", "p")
    params = (BACKENDS, ("0.1 λmax", "0.01 λmax"), (1000, 2200, 4600, 10_000, 22_000))
    profiles = {"quick": {"backend": ["numpy"], "lam": ["0.1 λmax"]}}

    def prepare(self, backend, lam, p):
        return _logistic(backend, self.fixed["n"], p, float(lam.split()[0]), method="working_set")


class LogisticInSamples(_Composite):
    """4np flops per iteration."""

    title = "ℓ¹-logistic regression to a gap of 1e-6 in the number of samples"
    x = "n"
    tol = 1.01e-6
    fixed = {"p": 200}
    param_names = ("backend", "method", "n")
    params = (BACKENDS, ("fista", "ista"), (500, 1100, 2300, 5000, 11_000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["fista"]}}

    def prepare(self, backend, method, n):
        return _logistic(backend, n, self.fixed["p"], method=method)


class GroupLassoInFeatures(_Composite):
    """Groups of ten features, at n = 500."""

    title = "Group lasso to a gap of 1e-6 in the number of features"
    x = "p"
    tol = 1.01e-6
    fixed = {"n": 500}
    param_names = ("backend", "p")
    params = (BACKENDS, (200, 450, 1000, 2200, 4600))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, p):
        return _groups(backend, self.fixed["n"], p)


class DenoisingInPixels(_Composite):
    """Total variation of a square picture: every iteration is a number of passes over the pixels."""

    title = "Total-variation denoising to a gap of 1e-4 in the number of pixels"
    x = "n"
    tol = 1.01e-4
    param_names = ("backend", "n")
    params = (BACKENDS, tuple(side**2 for side in (32, 64, 128, 256, 512)))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, n):
        return _denoising(backend, n, tol=1e-4)


class _Iterations(_Composite):
    """Fifty iterations, and their five checks."""

    options = {"tol": 0.0, "max_iter": _STEPS}


class LogisticIterationsInFeatures(_Iterations):
    """4np flops per iteration at n = 500: exponent 1."""

    title = "Fifty iterations on ℓ¹-logistic regression in the number of features"
    x = "p"
    cost = "minimize"
    tol = 0.5  # of the gap at 0
    fixed = {"n": 500, "loss": "logistic", "n_iter": _STEPS}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("ista", "fista"), (6000, 12_000, 24_000, 48_000, 96_000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["fista"]}}

    def prepare(self, backend, method, p):
        return _logistic(backend, self.fixed["n"], p, method=method, **self.options)


class NnlsIterationsInFeatures(_Iterations):
    """np² for the Gram matrix and p² an iteration at n = 4000: exponent 2."""

    title = "Fifty iterations of non-negative least squares in the number of features"
    x = "p"
    cost = "nnls"
    tol = 0.5
    fixed = {"n": 4000, "n_iter": _STEPS}
    param_names = ("backend", "p")
    params = (BACKENDS, (128, 256, 512, 1024, 2048))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, p):
        return _nnls(backend, self.fixed["n"], p, **self.options)


class DenoisingIterationsInPixels(_Iterations):
    """Passes over the pixels alone: exponent 1."""

    title = "Fifty iterations of total-variation denoising in the number of pixels"
    x = "n"
    cost = "denoising"
    tol = 0.5
    fixed = {"n_iter": _STEPS}
    param_names = ("backend", "n")
    params = (BACKENDS, tuple(side**2 for side in (128, 192, 256, 384, 512)))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, n):
        return _denoising(backend, n, **self.options)


class Counts(_Counts):
    """What fifty iterations need from the device, counted and not timed: the same on every machine."""

    family = "composite"
    title = "Operations of fifty iterations on f + R"
    x = "p"
    cost = "minimize"
    fixed = {"n": 60, "n_iter": _STEPS}
    param_names = ("backend", "penalty", "p")
    params = (("numpy",), ("l1", "nonnegative", "group"), (20, 60, 200))
    profiles = {"smoke": {"p": [200]}, "quick": {"p": [20, 200]}}

    def prepare(self, backend, penalty, p):
        A, y = positive_signal(self.fixed["n"], p)
        f = LeastSquares(backend.asarray(A), backend.asarray(y), check_finite=False)
        made = {
            "l1": lambda: penalties.L1(0.01),
            "nonnegative": penalties.NonNegative,
            "group": lambda: penalties.GroupL1(0.01, _GROUP),
        }
        options = {"method": "fista", "tol": 0.0, "max_iter": _STEPS, "check_finite": False}
        return Case(lambda: minimize(f, made[penalty](), **options))
