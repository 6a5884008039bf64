"""Chains of Jacobians: time in depth, in width and in the number of inputs, and the hourglass.

All entries are Gaussian and each factor is divided by the root of its number of columns, so that the product neither
grows nor fades with depth.  A product is tested on random vectors that go through the factors one by one (Freivalds
1977): the reference does not depend on a bracketing and costs almost nothing.
"""

from __future__ import annotations

from benchmarks._base import BACKENDS, Case, _Solves, host
from benchmarks._problems import chain_error, chain_factors
from xpsolve.arrays import backends
from xpsolve.autodiff import chain_jacobian
from xpsolve.costs import CHAIN_ORDERS


class _Chains(_Solves):
    """One product, and beside it its relative error on random vectors."""

    family = "chain"
    tol = 1e-10

    def case(self, backend: backends.Backend, order: str, dims: list[int]) -> Case:
        factors = chain_factors(dims)
        there = [backend.asarray(A) for A in factors]
        return Case(lambda: chain_jacobian(there, order), lambda found: chain_error(factors, host(found)))


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
    params = (BACKENDS, CHAIN_ORDERS, (4, 10, 25, 64))
    profiles = {"quick": {"order": ["optimal"]}}


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


class Hourglass(_Chains):
    """n-n-8-n-n-8-n: over n³ multiply-adds in either mode, and 24n² + 64n in the best order."""

    title = "Chain of Jacobians with two necks of 8"
    x = "n"
    param_names = ("backend", "order", "n")
    params = (BACKENDS, CHAIN_ORDERS, (128, 256, 512, 1024, 2048))

    def prepare(self, backend, order, n):
        return self.case(backend, order, [n, n, 8, n, n, 8, n])
