"""Ridge and least squares: time in n, in p and along n·p = const, counts, memory, and the error beside each.

Most problems are planted: for any z, x = Aᵀz solves the ridge problem of y = Ax + λz exactly, since
AᵀA x + λx = Aᵀ(Ax + λz).  The truth costs two products, at any size, and depends on no solver.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Benchmark, _Counts, _Solves, distance, host, measures
from benchmarks._problems import planted, scaled_matrix
from xpsolve import lstsq, problems, ridge, ridge_cv

_LAM = 0.1
_LONG = (2500, 5000, 10_000, 20_000, 40_000)  # the side that is swept far beyond the other
_SHORT = (250, 500, 1000, 2000, 4000)  # the side that is swept below the other


def _reference(A: np.ndarray, y: np.ndarray, lams: np.ndarray) -> np.ndarray:
    """Ridge solutions, one for each λ, by SciPy's least squares on the system that λ augments."""
    from scipy.linalg import lstsq as scipy_lstsq  # imported here, not by every benchmark's process

    p = A.shape[1]
    right = np.concatenate([y, np.zeros((p, *y.shape[1:]))])
    return np.stack([scipy_lstsq(np.vstack([A, np.sqrt(lam) * np.eye(p)]), right)[0] for lam in lams])


class _Ridge(_Solves):
    """One solve, and beside it the relative error of its answer."""

    family = "ridge"
    cost = "ridge"
    tol = 1e-8


class _Planted(_Ridge):
    """A planted problem whose sizes come from the grid, else from ``fixed``."""

    param_names = ("backend", "method", "n")

    def prepare(self, backend, method, dtype="float64", **sizes):
        sizes = {**self.fixed, **sizes}
        A, y, x = planted(sizes["n"], sizes["p"], _LAM, dtype)
        A, y = backend.asarray(A), backend.asarray(y, dtype=dtype)
        return Case(lambda: ridge(A, y, _LAM, method=method, check_finite=False), lambda s: distance(s.x, x))


# The exponents show only where the products dominate.  With both sides at 400 and more the solve runs at the
# rate of its Gram product; below, reading A takes as long and bends the slope.


class InSamples(_Planted):
    """Normal equations in n at p = 400 ≪ n: n p² flops, exponent 1."""

    title = "Tall ridge in the number of samples"
    x = "n"
    fixed = {"p": 400}
    params = (BACKENDS, ("normal", "svd"), _LONG)
    profiles = {"smoke": {"backend": ["numpy"], "method": ["normal"]}, "quick": {"method": ["normal"]}}


class InFeatures(_Planted):
    """Normal equations in p at n = 8000 ≥ 2p: n p² flops and p³/3 more, exponent 2."""

    title = "Tall ridge in the number of features"
    x = "p"
    fixed = {"n": 8000}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("normal",), _SHORT)
    profiles = {"quick": {}}


class ChoiceInFeatures(_Ridge):
    """A hundred λ in p at n = 2000: one Gram matrix and its eigenvalues, n p² flops, exponent 2."""

    title = "Choice among a hundred λ in the number of features"
    cost = "ridge_cv"
    x = "p"
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("gcv", "loo"), (60, 120, 240, 480, 960))
    profiles = {"quick": {"method": ["gcv"], "backend": ["numpy"]}}
    fixed = {"n": 2000}

    def prepare(self, backend, method, p):
        n = self.fixed["n"]
        A, y = scaled_matrix(n, p), np.random.default_rng(0).standard_normal(n)
        lams = np.geomspace(1e-3, 1e2, 100)
        there, right, grid = backend.asarray(A), backend.asarray(y), backend.asarray(lams)
        found = ridge_cv(A, y, lams, method=method)

        return Case(
            lambda: ridge_cv(there, right, grid, method=method, check_finite=False),
            lambda s: distance(s.x, _reference(A, y, np.asarray([float(found.lam)]))[0]),
        )


class WideInFeatures(_Planted):
    """Woodbury in p at n = 400 ≪ p: n² p flops, exponent 1."""

    title = "Wide ridge in the number of features"
    x = "p"
    fixed = {"n": 400}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("woodbury", "svd"), _LONG)
    profiles = {"quick": {"method": ["woodbury"]}}


class WideInSamples(_Planted):
    """Woodbury in n at p = 8000 ≥ 2n: n² p flops and n³/3 more, exponent 2."""

    title = "Wide ridge in the number of samples"
    x = "n"
    fixed = {"p": 8000}
    params = (BACKENDS, ("woodbury",), _SHORT)
    profiles = {"quick": {}}


class Aspect(_Planted):
    """Normal equations against Woodbury along n·p = 10⁶: the two cross where n = p = 1000."""

    title = "Ridge along n·p = 10⁶, from wide to tall"
    x = "n"
    derived = {"p": 1_000_000}
    params = (BACKENDS, ("normal", "woodbury"), (250, 400, 630, 1000, 1600, 2500, 4000))
    profiles = {"quick": {"backend": ["numpy"], "n": [400, 630, 1000, 1600, 2500]}}

    def prepare(self, backend, method, n):
        return super().prepare(backend, method, n=n, p=self.derived["p"] // n)


class CgInSamples(_Planted):
    """Conjugate gradients in n at p = 100: ten iterations at each of these sizes, A beyond the cache."""

    version = "2"
    title = "Ridge by conjugate gradients in the number of samples"
    x = "n"
    fixed = {"p": 100, "method": "cg", "n_iter": 10}
    param_names = ("backend", "n")
    params = (BACKENDS, (32_000, 64_000, 128_000, 256_000, 512_000))

    def prepare(self, backend, n):
        return super().prepare(backend, "cg", n=n)


class Precision(_Planted):
    """The same solve in float64 and float32; the tolerance is float32's."""

    title = "Ridge in double and in single precision"
    x = "n"
    tol = 1e-3
    fixed = {"p": 400}
    param_names = ("backend", "method", "dtype", "n")
    params = (BACKENDS, ("normal",), ("float64", "float32"), _LONG)
    profiles = {"quick": {"backend": ["numpy"], "n": [10_000]}}


class Latency(_Planted):
    """Small problems, one at a time: the time until one answer.  The largest is no longer small."""

    title = "Small ridge, one call at a time"
    x = "n"
    fixed = {"p": 20}
    params = (BACKENDS, ("normal",), (20, 60, 200, 600, 2000, 50_000))
    profiles = {"smoke": {"n": [200]}, "quick": {"n": [20, 200, 600, 2000]}}


class Throughput(Latency):
    """The same small problems, 50 launched one after another: the time for each of many."""

    title = "Small ridge, fifty calls in a row"
    mode = "throughput"
    pair = "ridge.Latency"
    number = 50
    profiles = {"quick": {"backend": ["numpy"], "n": [20, 200, 600, 2000]}}


class LambdaPath(_Ridge):
    """A whole path of λ from one factorisation."""

    title = "Ridge for many λ from one factorisation"
    x = "n_lams"
    fixed = {"n": 4000, "p": 400, "moved": False}
    param_names = ("backend", "method", "n_lams")
    params = (BACKENDS, ("normal", "svd"), (2, 10, 50, 250))
    profiles = {"quick": {"backend": ["numpy"], "method": ["normal"]}}

    def prepare(self, backend, method, n_lams):
        A, y, _ = planted(self.fixed["n"], self.fixed["p"], _LAM)
        lams = np.geomspace(1e-3, 10.0, n_lams)
        there = [backend.asarray(host) for host in (A, y, lams)]
        ends = [0, n_lams - 1]  # the reference is slow
        return Case(
            lambda: ridge(*there, method=method, check_finite=False),
            lambda s: distance(host(s.x)[ends], _reference(A, y, lams[ends])),
        )


class LambdaRefits(_Ridge):
    """The same path by one solve after another, as a caller without paths would do."""

    title = "Ridge for many λ, one solve each"
    x = "n_lams"
    cost = None  # that of a path would be drawn beside
    fixed = {"n": 4000, "p": 400}
    param_names = ("backend", "method", "n_lams")
    params = (BACKENDS, ("normal",), (2, 6, 20, 50))
    profiles = {}

    def prepare(self, backend, method, n_lams):
        A, y, _ = planted(**self.fixed, lam=_LAM)
        lams = np.geomspace(1e-3, 10.0, n_lams)
        there = [backend.asarray(host) for host in (A, y)]

        def solve():
            return [ridge(*there, float(lam), method=method, check_finite=False) for lam in lams][-1]

        return Case(solve, lambda s: distance(s.x, _reference(A, y, lams[-1:])[0]))


class RealData(_Ridge):
    """Measured data, not random ones: small, ill-conditioned, with one target or ten."""

    title = "Ridge on real data"
    cost = None
    param_names = ("backend", "method", "dataset")
    params = (BACKENDS, ("auto", "normal", "svd"), ("diabetes", "breast_cancer", "digits"))
    profiles = {"quick": {"backend": ["numpy"], "method": ["auto"]}}

    def prepare(self, backend, method, dataset):
        problem = getattr(problems, dataset)()
        A, y = backend.asarray(problem.A), backend.asarray(problem.y)
        return Case(
            lambda: ridge(A, y, _LAM, method=method, check_finite=False),
            lambda s: distance(s.x, _reference(problem.A, problem.y, np.array([_LAM]))[0]),
        )


class LstsqInSamples(_Ridge):
    """Minimum-norm least squares in n at p = 100, on a consistent system whose answer is known."""

    family = "least squares"
    title = "Least squares in the number of samples"
    cost = "lstsq"
    x = "n"
    fixed = {"p": 100, "check_finite": True}
    param_names = ("backend", "n")
    params = (BACKENDS, (1000, 2000, 4000, 8000, 16000, 32000))
    profiles = {"quick": {"backend": ["numpy"], "n": [1000, 2000, 4000, 8000, 16000]}}

    def prepare(self, backend, n):
        A, y, x = planted(n, self.fixed["p"], 0.0)
        A, y = backend.asarray(A), backend.asarray(y)
        return Case(lambda: lstsq(A, y), lambda s: distance(s.x, x))


class Counts(_Counts):
    """What one solve needs from the device, counted and not timed: the same on every machine."""

    family = "ridge"
    title = "Operations of one ridge solve"
    x = "n"
    cost = "ridge"
    fixed = {"p": 60}
    param_names = ("backend", "method", "n")
    params = (("numpy",), ("normal", "woodbury", "svd"), (20, 60, 200))
    profiles = {"smoke": {"n": [200]}, "quick": {"n": [20, 200]}}

    def prepare(self, backend, method, n):
        A, y, _ = planted(n, self.fixed["p"], _LAM)
        A, y = backend.asarray(A), backend.asarray(y)
        return Case(lambda: ridge(A, y, _LAM, method=method, check_finite=False))


class Memory(_Benchmark):
    """Largest resident memory of a process that solves, and of one that only holds the data."""

    family = "ridge"
    title = "Peak memory of tall ridge"
    x = "n"
    cost = "ridge"
    fixed = {"p": 200}
    param_names = ("backend", "method", "n")
    params = (("numpy",), ("normal", "svd"), (2000, 8000, 32000))
    profiles = {"quick": {"method": ["normal"]}}

    def prepare(self, backend, method, n):
        A, y, _ = planted(n, self.fixed["p"], _LAM)
        A, y = backend.asarray(A), backend.asarray(y)
        return lambda: ridge(A, y, _LAM, method=method, check_finite=False).x

    @measures("memory", "bytes")
    def peakmem_solve(self, *values: Any) -> None:
        self._case(values)()

    @measures("memory", "bytes")
    def peakmem_baseline(self, *values: Any) -> None:
        self._case(values)
