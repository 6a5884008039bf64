"""Gradient descent in n and in p, and Newton's method on real data, with the excess of the objective beside each.

The excess f(x) − f* is computed here, in float64 on the host, with f* from a solve to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Converges, _Counts, _Solves, distance, host
from benchmarks._problems import LAM, two_classes
from xpsolve import LeastSquares, Logistic, Multinomial, coordinate_descent, gradient_descent, newton, problems

_STEPS = 50


class _Descent(_Solves):
    family = "descent"
    repeat = (3, 5, 0.4)


class _Iterations(_Descent):
    """Fifty steps of a given length; the error is the distance from the same steps on the host."""

    cost = "gradient_descent"
    tol = 1e-10
    fixed = {"loss": "least_squares", "step": True, "n_iter": _STEPS}

    def prepare(self, backend, **sizes):
        n, p = ({**self.fixed, **sizes}[name] for name in ("n", "p"))
        rng = np.random.default_rng(n + 7919 * p)
        A, y = rng.standard_normal((n, p)) / np.sqrt(p), rng.standard_normal(n)
        tau = 0.5 * n / (1 + np.sqrt(n / p)) ** 2
        f = LeastSquares(backend.asarray(A), backend.asarray(y), check_finite=False)

        def error(found: Any) -> float:
            x = np.zeros(p)
            for _ in range(_STEPS):
                x -= tau / n * (A.T @ (A @ x - y))
            return distance(found, x)

        solve = lambda: gradient_descent(f, step=tau, tol=0, max_iter=_STEPS).x  # noqa: E731
        return Case(solve, error)


class IterationsInSamples(_Iterations):
    """4np flops per iteration at p = 200: exponent 1."""

    title = "Fifty iterations of gradient descent in the number of samples"
    x = "n"
    fixed = {**_Iterations.fixed, "p": 200}
    param_names = ("backend", "n")
    params = (BACKENDS, (15_000, 30_000, 60_000, 120_000, 240_000))
    profiles = {"smoke": {"n": [15_000]}, "quick": {}}


class IterationsInFeatures(_Iterations):
    """4np flops per iteration at n = 1000: exponent 1."""

    title = "Fifty iterations of gradient descent in the number of features"
    x = "p"
    fixed = {**_Iterations.fixed, "n": 1000}
    param_names = ("backend", "p")
    params = (BACKENDS, (3000, 6000, 12_000, 24_000, 48_000))
    profiles = {"quick": {"backend": ["numpy"]}}


class _ToTheMinimum(_Descent):
    """Until f is within 1e-8 of its minimum, on real data."""

    tol = 1e-8
    lam = 1e-3
    param_names = ("backend", "method")

    def objective(self, asarray: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    def prepare(self, backend, method):
        f, host = self.objective(backend.asarray), self.objective(np.asarray)
        least = float(host.value(newton(host, tol=1e-11).x))
        solve = lambda: _METHODS[method](f)  # noqa: E731
        return Case(solve, lambda x: float(host.value(backend.to_numpy(x))) - least)


_METHODS: dict[str, Callable[[Any], Any]] = {
    "newton": lambda f: newton(f, tol=1e-6).x,
    "nesterov": lambda f: gradient_descent(f, momentum="nesterov", tol=1e-6).x,
    "coordinates": lambda f: coordinate_descent(f, tol=1e-6).x,
}


class Convergence(_Converges):
    """f − f* over f(0) − f* for logistic regression: linear for gradients, quadratic for Newton's method.

    Solvers stop by the gradient: each gets the loosest tolerance with which the objective is as low as asked.
    """

    family = "descent"
    title = "Convergence on logistic regression: time to a relative excess of the objective"
    params = (BACKENDS, ("newton", "nesterov", "plain", "coordinates"), _Converges.digits)

    def prepare(self, backend, method, digits):
        A, y, _, _ = two_classes(4000, 50)
        f, reference = (Logistic(to(A), to(y), LAM, check_finite=False) for to in (backend.asarray, np.asarray))
        least, first = (float(reference.value(x)) for x in (newton(reference, tol=1e-12).x, np.zeros(50)))
        solve = _CONVERGE[method]

        def error(s: Any) -> float:
            return (float(reference.value(host(s.x))) - least) / (first - least) * 10.0**digits

        ladder = (10.0 ** (-k / 2) for k in range(2, 25))
        tol = next(tol for tol in ladder if tol < 1e-11 or error(solve(reference, tol=tol)) <= 1)
        return Case(lambda: solve(f, tol=tol), error)


_CONVERGE: dict[str, Callable[..., Any]] = {
    "newton": newton,
    "nesterov": partial(gradient_descent, momentum="nesterov", max_iter=100_000),
    "plain": partial(gradient_descent, max_iter=100_000),
    "coordinates": partial(coordinate_descent, max_iter=100_000),
}


class BreastCancer(_ToTheMinimum):
    """Thirty measurements of 569 tumours, benign or malignant."""

    title = "Logistic regression on the breast cancer data to 1e-8 of the minimum"
    params = (BACKENDS, tuple(_METHODS))
    profiles = {
        "smoke": {"backend": ["numpy"], "method": ["newton"]},
        "quick": {"backend": ["numpy"], "method": ["newton", "nesterov"]},
    }

    def objective(self, asarray):
        data = problems.breast_cancer()
        return Logistic(asarray(data.A), asarray(data.y), self.lam, check_finite=False)


class Digits(_ToTheMinimum):
    """1797 images of handwritten digits in ten classes."""

    title = "Multinomial regression on the digits to 1e-8 of the minimum"
    params = (BACKENDS, ("newton", "nesterov"))
    profiles = {}

    def objective(self, asarray):
        data = problems.digits()
        return Multinomial(asarray(data.A), asarray(data.y), self.lam, check_finite=False)


class Counts(_Counts):
    """What fifty iterations need from the device, counted and not timed: the same on every machine."""

    family = "descent"
    title = "Operations of fifty iterations of gradient descent"
    x = "p"
    cost = "gradient_descent"
    fixed = {"n": 60, "loss": "logistic", "n_iter": _STEPS}
    param_names = ("backend", "variant", "p")
    params = (("numpy",), ("plain", "nesterov"), (20, 60, 200))
    profiles = {"smoke": {"p": [200]}, "quick": {"p": [20, 200]}}

    def prepare(self, backend, variant, p):
        rng = np.random.default_rng(p)
        y = np.where(rng.standard_normal(60) > 0, 1.0, -1.0)
        f = Logistic(backend.asarray(rng.standard_normal((60, p))), backend.asarray(y), 0.1)
        momentum = None if variant == "plain" else variant
        return Case(lambda: gradient_descent(f, momentum=momentum, tol=0, max_iter=_STEPS))
