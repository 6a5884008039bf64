"""What the machine can do: the three limits of every solver.

Rates of matrix products, of streaming through memory and of launching, per backend and dtype; the floor
of an algorithm is the largest of flops / rate, bytes / bandwidth and launches × time per launch.
Each value is the best of several runs, since a ceiling is what was reached at least once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, _Benchmark, measures, seconds
from xpsolve.arrays import backends

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


class Stream(_ByteRate):
    """Bandwidth of reading a matrix once: A x with A (n, 1000), far larger than any cache."""

    title = "Streaming a matrix (matrix × vector)"
    params = (BACKENDS, _DTYPES, (5000, 20000))
    profiles = {"smoke": {"dtype": ["float64"], "n": [5000]}, "quick": {"dtype": ["float64"], "n": [20000]}}

    def prepare(self, backend, dtype, n):
        A, x = _normal(backend, dtype, n, 1000), _normal(backend, dtype, 1000)
        return lambda: A @ x, float(n * 1000 * np.dtype(dtype).itemsize)


class Copy(_ByteRate):
    """Bandwidth of y = -x over n elements: one read and one write, the pages of y new each time."""

    title = "Elementwise copy"
    params = (BACKENDS, _DTYPES, (1_000_000, 20_000_000))
    profiles = {"quick": {"backend": ["numpy"], "dtype": ["float64"], "n": [20_000_000]}}

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
