"""Sinkhorn: time of an iteration in n, to 1e-9 in ε, of many problems at once, and counts.

The error beside each time is ‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁, of the plan that the returned potentials make here, on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Converges, _Counts, _Solves, host
from benchmarks._problems import clouds, marginal_error
from xpsolve import Grid, PointCloud, barycenter, sinkhorn, sinkhorn_divergence, sinkhorn_gradient
from xpsolve.arrays import namespace_of

_STEPS = 50
_SHIFT = np.asarray([0.3, -0.2])


class _Sinkhorn(_Solves):
    """One solve; the error is that of the marginals of the plan which the potentials make."""

    family = "transport"
    repeat = (3, 7, 1.0)

    @staticmethod
    def case(call: Callable[[], Any], a: np.ndarray, b: np.ndarray, M: np.ndarray, eps: float) -> Case:
        return Case(call, lambda potentials: marginal_error(a, b, M, eps, *map(host, potentials)))

    @classmethod
    def solve(cls, backend: Any, problem: tuple[np.ndarray, ...], eps: float, **options: Any) -> Case:
        there = [backend.asarray(x) for x in problem]
        return cls.case(lambda: sinkhorn(*there, eps, check_finite=False, **options).x, *problem, eps)


def _stacked(potentials: Iterable[tuple[Any, Any]]) -> tuple[Any, ...]:
    return tuple(namespace_of(z[0]).stack(z) for z in zip(*potentials, strict=True))


class IterationsInSamples(_Sinkhorn):
    """Fifty iterations, two products with K each: exponent 2."""

    title = "Fifty iterations of Sinkhorn in the number of points"
    x = "n"
    cost = "sinkhorn"
    tol = 1e-3  # from 1 at the start: fifty iterations must have reduced it
    # Increments at every size, so that one law may fit them all.  Where the span of the costs was not read, "scaling"
    # begins with them at the first check; the other methods lower ε once, from a 50th of the span.
    fixed = {"n_iter": _STEPS, "mixed": True, "lowered_at": 10, "renewals": 1}
    param_names = ("backend", "method", "n")
    params = (BACKENDS, ("scaling", "stabilized", "log"), (200, 350, 600, 1100, 2000, 4000))
    profiles = {
        "smoke": {"method": ["scaling"], "n": [200]},
        "quick": {"method": ["scaling"], "n": [200, 350, 600, 1100, 2000]},
    }

    def prepare(self, backend, method, n):
        options = {"method": method, "tol": 1e-15, "max_iter": _STEPS, "relaxation": 1.0, "mixed": True}
        return self.solve(backend, clouds(n), 0.03, **options)


class ToTolerance(_Sinkhorn):
    """To 1e-9 with ever less entropy: over-relaxed and plain."""

    title = "Sinkhorn to a marginal error of 1e-9 in 1/ε"
    x = "inverse_eps"
    tol = 1.01e-9
    fixed = {"n": 500}
    param_names = ("backend", "relaxation", "inverse_eps")
    params = (BACKENDS, ("auto", "plain"), (10, 30, 100, 300, 1000))
    profiles = {"quick": {"backend": ["numpy"], "relaxation": ["auto"], "inverse_eps": [100]}}

    def prepare(self, backend, relaxation, inverse_eps):
        options = {"relaxation": "auto" if relaxation == "auto" else 1.0, "max_iter": 100_000}
        return self.solve(backend, clouds(self.fixed["n"]), 1 / inverse_eps, **options)


class Convergence(_Converges):
    """Each iteration takes the same share of the error, by each method; what it costs differs."""

    family = "transport"
    title = "Convergence of Sinkhorn: time to a marginal error"
    fixed = {"n": 300}
    params = (BACKENDS, ("scaling", "stabilized", "log"), _Converges.digits)

    def prepare(self, backend, method, digits):
        case = _Sinkhorn.solve(backend, clouds(300), 0.01, method=method, tol=10.0**-digits, max_iter=100_000)
        return Case(case.call, lambda potentials: case.error(potentials) * 10.0**digits)


class Batch(_Sinkhorn):
    """Problems of n = 200 that share one cost, all at once: a matrix product per iteration."""

    title = "Many Sinkhorn problems at once in their number"
    x = "batch"
    tol = 1.01e-9
    fixed = {"n": 200}
    param_names = ("backend", "batch")
    params = (BACKENDS, (1, 4, 16, 64))
    profiles = {"quick": {"backend": ["numpy"], "batch": [64]}}

    def prepare(self, backend, batch):
        return self.solve(backend, clouds(self.fixed["n"], batch), 0.05)


class BatchOfCosts(_Sinkhorn):
    """Problems of n = 200 with a cost each: together, and in as many calls."""

    title = "Many Sinkhorn problems with a cost each in their number"
    x = "batch"
    tol = 1.01e-9
    fixed = {"n": 200}
    param_names = ("backend", "how", "batch")
    params = (BACKENDS, ("together", "one by one"), (1, 4, 16, 64))

    def prepare(self, backend, how, batch):
        rng, n = np.random.default_rng(batch), self.fixed["n"]
        x, y = rng.random((2, batch, n, 2))
        M = np.sum((x[:, :, None, :] - y[:, None, :, :]) ** 2, axis=-1)
        a, b = (weights / weights.sum(axis=1, keepdims=True) for weights in rng.random((2, batch, n)) + 0.1)
        if how == "together":
            return self.solve(backend, (a, b, M), 0.05)
        one = [[backend.asarray(z[k]) for z in (a, b, M)] for k in range(batch)]
        return self.case(lambda: _stacked(sinkhorn(*z, 0.05, check_finite=False).x for z in one), a, b, M, 0.05)


class BatchOfPoints(_Sinkhorn):
    """Problems of n = 200 with points of their own, together and in as many calls: no cost is given."""

    title = "Many Sinkhorn problems between points in their number"
    x = "batch"
    tol = 1.01e-9
    fixed = {"n": 200}
    param_names = ("backend", "how", "batch")
    params = (BACKENDS, ("together", "one by one"), (1, 4, 16, 64))

    def prepare(self, backend, how, batch):
        rng, n = np.random.default_rng(batch), self.fixed["n"]
        x, y = rng.random((2, batch, n, 2))
        M = np.sum((x[:, :, None, :] - y[:, None, :, :]) ** 2, axis=-1)
        a, b = (weights / weights.sum(axis=1, keepdims=True) for weights in rng.random((2, batch, n)) + 0.1)
        one = [[backend.asarray(z[k]) for z in (a, b, x, y)] for k in range(batch)]
        there = [backend.asarray(z) for z in (a, b, x, y)]

        def solve(a: Any, b: Any, x: Any, y: Any) -> Any:
            return sinkhorn(a, b, PointCloud(x, y), 0.05, check_finite=False).x

        call = (lambda: solve(*there)) if how == "together" else lambda: _stacked(solve(*part) for part in one)
        return self.case(call, a, b, M, 0.05)


class Unbalanced(_Sinkhorn):
    """To a relative gap of 1e-9 with a price on both marginals, from far below ε to far above it."""

    title = "Unbalanced Sinkhorn in the price of the marginals over ε"
    x = "price"
    tol = 1.01e-9
    fixed = {"n": 500}
    param_names = ("backend", "price")
    params = (BACKENDS, (1, 10, 100, 1000, 10_000))
    profiles = {"quick": {"backend": ["numpy"], "price": [100]}}

    def prepare(self, backend, price):
        a, b, M = clouds(self.fixed["n"])
        b, eps = 1.5 * b, 0.02
        there, rho = [backend.asarray(z) for z in (a, b, M)], price * eps

        def error(potentials: Any) -> float:
            """The gap over ε ΣP."""
            f, g = map(host, potentials)
            P, gap = np.exp((f[:, None] + g - M) / eps), 0.0
            for r, t in ((P.sum(1), a * np.exp(-f / rho)), (P.sum(0), b * np.exp(-g / rho))):
                d = r / t - 1
                gap += rho * float(np.sum(t * ((1 + d) * np.log1p(d) - d)))
            return gap / (eps * float(P.sum()))

        return Case(lambda: sinkhorn(*there, eps, marginal=rho, check_finite=False).x, error)


class Gradient(_Sinkhorn):
    """Solve and gradient: by the envelope theorem one pass over K more than the solve."""

    version = "2"
    title = "The gradient of Sinkhorn's value in the number of points"
    x = "n"
    tol = 1.01e-9
    param_names = ("backend", "what", "n")
    params = (BACKENDS, ("solve", "gradient"), (125, 250, 500, 1000, 2000))

    def prepare(self, backend, what, n):
        if what == "solve":
            return self.solve(backend, clouds(n), 0.05)
        a, b, M = clouds(n)
        there = [backend.asarray(x) for x in (a, b, M)]

        def error(found: Any) -> float:
            """That of the plan of the centred potentials, up to a factor that 1ᵀP1 = 1 fixes."""
            f, g = map(host, found[:2])
            mass = np.sum(np.exp((f[:, None] + g - M) / 0.05))
            return marginal_error(a, b, M, 0.05, f, g - 0.05 * np.log(mass))

        return Case(lambda: sinkhorn_gradient(*there, 0.05, check_finite=False), error)


class Divergence(_Sinkhorn):
    """Three solves between two clouds, each with itself and with the other."""

    title = "The Sinkhorn divergence of two clouds in the number of their points"
    x = "n"
    cost = "sinkhorn_divergence"
    tol = 1e-6
    fixed = {"n_iter": _STEPS}
    param_names = ("backend", "n")
    params = (BACKENDS, (125, 250, 500, 1000, 2000))

    def prepare(self, backend, n):
        rng = np.random.default_rng(n)
        x = rng.random((n, 2))
        there = backend.asarray(np.full(n, 1 / n))
        cloud = PointCloud(backend.asarray(x), backend.asarray(x + _SHIFT))
        options = {"tol": 0, "max_iter": _STEPS, "relaxation": 1.0, "mixed": False, "check_finite": False}
        exact = float(np.sum(np.square(_SHIFT)))  # the divergence of a cloud from itself moved
        return Case(
            lambda: sinkhorn_divergence(there, there, cloud, 0.2, method="scaling", **options),
            lambda found: abs(float(found) - exact) / exact,
        )


class Barycenter(_Solves):
    """Three bumps on a grid of n × n pixels: 8n³ flops per iteration and histogram, not 4n⁴."""

    family = "transport"
    title = "A barycentre of three pictures in the length of their side"
    x = "n"
    tol = 1.01e-6
    repeat = (3, 5, 1.0)
    param_names = ("backend", "n")
    params = (BACKENDS, (16, 32, 64, 128, 256))

    def prepare(self, backend, n):
        x = np.linspace(0, 1, n)
        bumps = [
            np.exp(-((x[:, None] - r) ** 2 + (x - c) ** 2) / 0.01) for r, c in ((0.3, 0.3), (0.3, 0.7), (0.7, 0.5))
        ]
        A = np.stack([bump.reshape(-1) / bump.sum() for bump in bumps])
        there = backend.asarray(A), Grid(backend.asarray(x), backend.asarray(x))
        # how far the second marginals of the three plans are from their mean
        return Case(partial(barycenter, *there, 0.01, check_finite=False), lambda s: float(s.certificate.value))


class Counts(_Counts):
    """What fifty iterations need from the device, counted and not timed: the same on every machine."""

    family = "transport"
    title = "Operations of fifty iterations of Sinkhorn"
    x = "n"
    cost = "sinkhorn"
    fixed = {"n_iter": _STEPS}
    param_names = ("backend", "method", "n")
    params = (("numpy",), ("scaling", "stabilized", "log"), (20, 60, 200))
    profiles = {"smoke": {"n": [200], "method": ["scaling"]}, "quick": {"n": [200], "method": ["scaling"]}}

    def prepare(self, backend, method, n):
        a, b, M = (backend.asarray(x) for x in clouds(n))
        options = {"method": method, "tol": 1e-15, "max_iter": _STEPS, "relaxation": 1.0, "check_finite": False}
        return Case(lambda: sinkhorn(a, b, M, 0.04, **options))
