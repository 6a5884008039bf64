"""What the machine can do: the limits of every solver, and what its time is predicted from.

Rates of matrix products, of streaming through memory and of launching, per backend and dtype; the floor
of an algorithm is the largest of flops / rate, bytes / bandwidth and launches × time per launch.
Each value is the best of several runs, since a ceiling is what was reached at least once.

What a time is predicted from besides is no limit: products with a thin matrix, factorisations, the bandwidth of
elementwise work where it fits a cache and where it does not, and a launch with the checks and the Python around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, _Benchmark, measures, seconds
from xpsolve import LeastSquares, autodiff, costs, count, gradient_descent, lasso, ridge, sinkhorn, softmax
from xpsolve.arrays import backends, thin_svd

_DTYPES = ("float64", "float32")


class _Ceiling(_Benchmark):
    """A rate: how much work a call does, over its shortest time."""

    family = "ceilings"
    x = "n"
    param_names = ("backend", "dtype", "n")

    def prepare(self, backend: backends.Backend, **point: Any) -> tuple[Callable[[], Any], float]:
        """The call to time, and the amount of work in it."""
        raise NotImplementedError


class _FlopRate(_Ceiling):
    @measures("ceiling", "flop/s")
    def track_rate(self, *values: Any) -> float:
        call, amount = self._case(values)
        return amount / seconds(call)


class _ByteRate(_Ceiling):
    @measures("ceiling", "byte/s")
    def track_rate(self, *values: Any) -> float:
        call, amount = self._case(values)
        return amount / seconds(call)


def _normal(backend: backends.Backend, dtype: str, *shape: int) -> Any:
    return backend.asarray(np.random.default_rng(0).standard_normal(shape, dtype=dtype))


class Gemm(_FlopRate):
    """Rate of a square matrix product, 2 n³ flops."""

    title = "General matrix product"
    params = (BACKENDS, _DTYPES, (256, 512, 1024, 2048))
    profiles = {"smoke": {"dtype": ["float64"], "n": [512]}, "quick": {"dtype": ["float64"], "n": [1024]}}

    def prepare(self, backend, dtype, n):
        A, B = _normal(backend, dtype, n, n), _normal(backend, dtype, n, n)
        return lambda: A @ B, 2.0 * n**3


class Gram(_FlopRate):
    """Rate of the symmetric product AᵀA of a tall A (4n, n), in the n²·4n flops that symmetry leaves.

    A library that notices the symmetry computes one triangle; one that does not reaches at most half
    the rate of its general product here.
    """

    title = "Symmetric (Gram) product"
    params = (BACKENDS, _DTYPES, (256, 512, 1024))
    profiles = {"smoke": {"dtype": ["float64"], "n": [512]}, "quick": {"dtype": ["float64"], "n": [1024]}}

    def prepare(self, backend, dtype, n):
        A = _normal(backend, dtype, 4 * n, n)
        return lambda: A.T @ A, 4.0 * n**3


class Thin(_FlopRate):
    """Rate of a square matrix times one of 64 columns, 128 n² flops, as layers and blocks of vectors have them."""

    title = "Product with a thin matrix"
    params = (BACKENDS, _DTYPES, (256, 512, 1024))
    profiles = {"quick": {"dtype": ["float64"], "n": [512]}}

    def prepare(self, backend, dtype, n):
        A, B = _normal(backend, dtype, n, n), _normal(backend, dtype, n, 64)
        return lambda: A @ B, 128.0 * n**2


class Factorisation(_Ceiling):
    """Rate of the thin singular value decomposition of a tall matrix (8n, n), in the flops of its cost."""

    title = "Singular value decomposition"
    params = (BACKENDS, _DTYPES, (100, 400))
    profiles = {"quick": {"dtype": ["float64"]}}

    def prepare(self, backend, dtype, n):
        A = _normal(backend, dtype, 8 * n, n)
        return lambda: thin_svd(A), float(costs.thin_svd(8 * n, n).flops)

    @measures("ceiling", "factored flop/s")
    def track_rate(self, *values: Any) -> float:
        call, amount = self._case(values)
        return amount / seconds(call)


class Stream(_ByteRate):
    """Bandwidth of reading a matrix once: A x with A (n, 1000), from a cache to far larger than any."""

    title = "Streaming a matrix (matrix × vector)"
    params = (BACKENDS, _DTYPES, (200, 5000, 20000))
    profiles = {"smoke": {"dtype": ["float64"], "n": [5000]}, "quick": {"dtype": ["float64"], "n": [200, 20000]}}

    def prepare(self, backend, dtype, n):
        A, x = _normal(backend, dtype, n, 1000), _normal(backend, dtype, 1000)
        return lambda: A @ x, float(n * 1000 * np.dtype(dtype).itemsize)


class Copy(_ByteRate):
    """Bandwidth of y = -x over n elements, one read and one write: inside a core's cache, the shared one, and memory.

    The pages of the largest y are new each time.
    """

    title = "Elementwise copy"
    params = (BACKENDS, _DTYPES, (30_000, 1_000_000, 20_000_000))
    profiles = {"quick": {"backend": ["numpy"], "dtype": ["float64"]}}

    def prepare(self, backend, dtype, n):
        x = _normal(backend, dtype, n)
        return lambda: -x, float(2 * n * np.dtype(dtype).itemsize)


class Launch(_Ceiling):
    """Time of one array function on four numbers, in a chain of n that depend on one another."""

    title = "Launch latency"
    params = (BACKENDS, ("float64",), (200,))
    profiles = {"smoke": {}, "quick": {}}

    def prepare(self, backend, dtype, n):
        x = _normal(backend, dtype, 4)

        def chain():
            y = x
            for _ in range(n):
                y = y + x
            return y

        return chain, float(n)

    @measures("ceiling", "seconds per launch")
    def track_latency(self, *values: Any) -> float:
        call, launches = self._case(values)
        return seconds(call) / launches


class Call(_Ceiling):
    """Time of a launch inside a solver, with its share of checks, Python and certificate, where nothing is large.

    "softmax" is a call of few launches, and "grad" has them on a tape.
    """

    title = "A launch inside a solver"
    x = None
    param_names = ("backend", "dtype", "solver")
    params = (BACKENDS, ("float64",), ("ridge", "lasso", "gradient_descent", "softmax", "grad", "sinkhorn"))
    profiles = {"smoke": {"solver": ["ridge"]}, "quick": {}}

    def prepare(self, backend, dtype, solver):
        A, y, a = _normal(backend, dtype, 20, 10), _normal(backend, dtype, 20), backend.asarray(np.full(10, 0.1))
        steps = {"tol": 0, "max_iter": 50}
        solve, *given = {
            "ridge": (lambda A, y: ridge(A, y, 1.0, method="normal", check_finite=False).x, A, y),
            "lasso": (lambda A, y: lasso(A, y, 0.1, method="fista", check_finite=False, **steps).x, A, y),
            "gradient_descent": (lambda A, y: gradient_descent(LeastSquares(A, y), step=0.01, **steps).x, A, y),
            "softmax": (softmax, A),
            "grad": (autodiff.grad(lambda a, A, y: (A @ a - y) @ (A @ a - y)), a, A, y),
            "sinkhorn": (lambda a, A: sinkhorn(a, a, A[:10, :] ** 2, 0.5, method="scaling", **steps).x, a, A),
        }[solver]
        host = [backend.to_numpy(array) for array in given]
        return lambda: solve(*given), float(count(solve, *host)[1].launches)

    @measures("ceiling", "seconds per call")
    def track_latency(self, *values: Any) -> float:
        call, launches = self._case(values)
        return seconds(call) / launches
