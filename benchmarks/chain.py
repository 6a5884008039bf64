# ruff: noqa: RUF012  (asv reads grids and meta data from plain class attributes)
"""Chains of Jacobians: time in depth, in width and in the number of inputs, the hourglass, and other libraries.

All entries are Gaussian and each factor is divided by the root of its number of columns, so that the product neither
grows nor fades with depth.  The truth is NumPy's ``multi_dot``, which brackets in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks._base import BACKENDS, _Benchmark, _Device, measures, warm
from xpsolve.arrays import backends
from xpsolve.autodiff import chain_jacobian
from xpsolve.costs import CHAIN_ORDERS


def _factors(dims: list[int]) -> list[np.ndarray]:
    """A_1, …, A_t of shapes (n_k, n_{k−1})."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, m)) / np.sqrt(m) for m, n in pairwise(dims)]


@dataclass
class _Case:
    """A product to be timed, and the factors it is made of."""

    backend: backends.Backend
    multiply: Callable[[], Any]
    host: list[np.ndarray]


class _Chains(_Benchmark):
    """Time of one product, and beside it the relative error in the Frobenius norm."""

    family = "chain"
    tol = 1e-10

    @measures("time", "seconds")
    def time_solve(self, *values: Any) -> None:
        _Device.last = self._case(values).multiply()

    @measures("error", "relative error")
    def track_error(self, *values: Any) -> float:
        case = self._case(values)
        truth = np.linalg.multi_dot(case.host[::-1])
        found = case.backend.to_numpy(case.multiply())
        error = float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
        return error if np.isfinite(error) else 1e300  # asv takes a NaN for skipped

    def case(self, backend: backends.Backend, order: str, dims: list[int]) -> _Case:
        host = _factors(dims)
        there = [backend.asarray(A) for A in host]
        multiply = lambda: chain_jacobian(there, order)  # noqa: E731
        warm(multiply)
        return _Case(backend, multiply, host)


class _Network(_Chains):
    """Inputs, t − 1 layers of one width, outputs; what the grid does not vary is in ``fixed``."""

    cost = "chain"

    def prepare(self, backend, order, **sizes):
        sizes = {**self.fixed, **sizes}
        inner = [sizes["width"]] * (sizes["depth"] - 1)
        return self.case(backend, order, [sizes["n_in"], *inner, sizes["n_out"]])


class InDepth(_Network):
    """Five times as many inputs as outputs: each layer costs n_in·w² forward and n_out·w² in reverse, exponent 1."""

    title = "Chain of Jacobians in depth"
    x = "depth"
    fixed = {"width": 256, "n_in": 320, "n_out": 64}
    param_names = ("backend", "order", "depth")
    params = (BACKENDS, CHAIN_ORDERS, (4, 8, 16, 32, 64))
    profiles = {"quick": {"backend": ["numpy"], "order": ["optimal"]}}


class InWidth(_Network):
    """Six factors from 64 inputs to 64 outputs: 5·64·w² multiply-adds, exponent 2."""

    title = "Chain of Jacobians in width"
    x = "width"
    fixed = {"depth": 6, "n_in": 64, "n_out": 64}
    param_names = ("backend", "order", "width")
    params = (BACKENDS, CHAIN_ORDERS, (128, 256, 512, 1024, 2048))


class Ends(_Network):
    """Forward costs n_in·w² a layer and reverse n_out·w²: the two cross where n_in = n_out = 96."""

    title = "Chain of Jacobians in the number of inputs"
    x = "n_in"
    fixed = {"depth": 6, "width": 384, "n_out": 96}
    param_names = ("backend", "order", "n_in")
    params = (BACKENDS, CHAIN_ORDERS, (12, 24, 48, 96, 192, 384, 768))
    profiles = {"quick": {"backend": ["numpy"], "order": ["forward", "reverse"], "n_in": [24, 48, 96, 192, 384]}}


class Hourglass(_Chains):
    """n-n-8-n-n-8-n: 3n²·n and more in either mode, 24n² multiply-adds between the necks and outwards."""

    title = "Chain of Jacobians with two necks of 8"
    x = "n"
    param_names = ("backend", "order", "n")
    params = (BACKENDS, CHAIN_ORDERS, (128, 256, 512, 1024))
    profiles = {"quick": {"backend": ["numpy"], "n": [512]}}

    def prepare(self, backend, order, n):
        return self.case(backend, order, [n, n, 8, n, n, 8, n])


# --- peers -----------------------------------------------------------------------------------------


def _xpsolve(host: list[np.ndarray]) -> Callable[[], Any]:
    return lambda: chain_jacobian(host)


def _numpy(host: list[np.ndarray]) -> Callable[[], Any]:
    factors = host[::-1]
    return lambda: np.linalg.multi_dot(factors)


def _opt_einsum(host: list[np.ndarray]) -> Callable[[], Any]:
    try:
        import opt_einsum
    except ImportError:
        raise SkipNotImplemented("opt_einsum is not installed: pip install opt_einsum") from None
    factors, letters = host[::-1], [opt_einsum.get_symbol(k) for k in range(len(host) + 1)]
    terms = ",".join(a + b for a, b in pairwise(letters))
    # its own way to plan once and multiply often
    expression = opt_einsum.contract_expression(f"{terms}->{letters[0]}{letters[-1]}", *(A.shape for A in factors))
    return lambda: expression(*factors)


_LIBRARIES = {"xpsolve": _xpsolve, "numpy": _numpy, "opt_einsum": _opt_einsum}
_SHAPES = {
    "hourglass": [512, 512, 8, 512, 512, 8, 512],
    "one output": [784, 512, 512, 256, 256, 10, 1],
    "autoencoder": [784, 256, 64, 16, 64, 256, 784],
    "equal": [256] * 9,
    "small": [16, 32, 32, 16, 32, 32, 8],
}


class Peers(_Chains):
    """NumPy plans anew in every call, the others once."""

    title = "Chain of Jacobians by library"
    param_names = ("library", "shape")
    params = (tuple(_LIBRARIES), tuple(_SHAPES))
    profiles = {"quick": {"shape": ["hourglass"]}}

    def prepare(self, backend, library, shape):
        host = _factors(_SHAPES[shape])
        multiply = _LIBRARIES[library](host)
        warm(multiply)
        return _Case(backend, multiply, host)
