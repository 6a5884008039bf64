"""Gradients by differences, forward and in reverse; through recurrences; and what a tape costs an operation."""

from __future__ import annotations

import functools
import importlib.util
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks._base import BACKENDS, Case, _Solves, distance, measures
from xpsolve import autodiff, costs
from xpsolve.arrays import namespace_of
from xpsolve.trace import compiled, peak_bytes


class _Derivatives(_Solves):
    """One derivative, and beside it its distance from that worked out by hand."""

    family = "autodiff"


def _least_squares(x: Any, A: Any, y: Any) -> Any:
    r = A @ x - y
    return 0.5 * namespace_of(r).sum(r * r)


class GradientInFeatures(_Derivatives):
    """The gradient of ½‖Ax − y‖²: p + 1 evaluations, p tangents, or one sweep back.

    Differences and forward mode have exponent 2 in p, reverse mode 1, as the function itself.
    """

    version = "2"
    title = "Gradient of least squares in the number of variables"
    x = "p"
    cost = "gradient"
    tol = 1e-4  # that of differences; the others have all digits
    fixed = {"n": 1000}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, costs.GRADIENT_METHODS, (80, 160, 320, 640, 1280))
    profiles = {"quick": {"backend": ["numpy"], "method": ["finite_difference", "reverse"]}}

    def prepare(self, backend, method, p):
        rng = np.random.default_rng(0)
        host_A = rng.standard_normal((self.fixed["n"], p)) / np.sqrt(p)
        host_x, host_y = rng.standard_normal(p), rng.standard_normal(self.fixed["n"])
        x, A, y = (backend.asarray(host) for host in (host_x, host_A, host_y))
        ways = {
            "finite_difference": lambda: autodiff.finite_difference(lambda x: _least_squares(x, A, y), x),
            "forward": lambda: autodiff.jacfwd(_least_squares)(x, A, y),
            "reverse": lambda: autodiff.grad(_least_squares)(x, A, y),
        }
        truth = host_A.T @ (host_A @ host_x - host_y)
        return Case(ways[method], lambda g: distance(g, truth))


@dataclass
class _Recurrence(Case):
    """A gradient, and how many states and bytes are alive at once."""

    states: Callable[[], int] = int
    live: Callable[[], int] = int


def _network() -> autodiff.Reversible:
    return autodiff.leapfrog(
        lambda s, W: namespace_of(s).tanh(W[0, ...] @ s), lambda r, W: namespace_of(r).tanh(W[1, ...] @ r)
    )


def _sum_of_r(x: Any) -> Any:
    return namespace_of(x[0]).sum(x[0])


class ScanInDepth(_Derivatives):
    """The gradient through t reversible steps: all states kept, log₂ t of them, or one.

    Time has exponent 1 in t, with a factor of log t at most for checkpoints; the states alive are t, log₂ t and one,
    and a few more, and the bytes are those of the states and of the gradient.
    """

    title = "Gradient through a recurrence in its depth"
    x = "depth"
    cost = "scan"
    tol = 1e-5  # that of the differences it is compared with
    fixed = {"width": 32}
    param_names = ("backend", "memory", "depth")
    params = (BACKENDS, costs.SCAN_MEMORIES, (30, 60, 120, 240, 480))
    profiles = {"quick": {"backend": ["numpy"], "memory": ["store", "checkpoint"]}}

    @measures("count", "states")
    def track_states(self, *values: Any) -> int:
        return self._case(values).states()

    def prepare(self, backend, memory, depth):
        rng = np.random.default_rng(0)
        w = self.fixed["width"]
        W = rng.standard_normal((2, w, w)) / w
        W[1] = -W[0].T  # it swings and stays bounded
        host = (rng.standard_normal(w), rng.standard_normal(w)), W
        x0, there = (backend.asarray(host[0][0]), backend.asarray(host[0][1])), backend.asarray(W)
        run = functools.partial(autodiff.scan_gradient, loss=_sum_of_r, n_steps=depth, memory=memory)

        def states() -> int:
            live, peak, step = 0, 0, _network()

            def gone() -> None:
                nonlocal live
                live -= 1

            def noted(x: Any) -> Any:
                nonlocal live, peak
                live += 1
                peak = max(peak, live)
                weakref.finalize(getattr(x[0], "__xpsolve_value__", x[0]), gone)
                return x

            watched = autodiff.Reversible(lambda x, W: noted(step(x, W)), lambda x, W: noted(step.inverse(x, W)))
            run(watched, x0, there)
            return peak

        def error(result: Any) -> float:
            (r, s), direction = host[0], np.ones(w) / np.sqrt(w)
            h = 1e-6
            ends = []
            for sign in (1, -1):
                a, b = r + sign * h * direction, s
                for _ in range(depth):
                    a = a + np.tanh(W[0] @ b)
                    b = b + np.tanh(W[1] @ a)
                ends.append(a)
            truth = float(np.sum(ends[0] - ends[1])) / (2 * h)
            return abs(float(backend.to_numpy(result[1][0]) @ direction) - truth) / (1 + abs(truth))

        def live() -> int:
            return peak_bytes(lambda x0, W: run(_network(), x0, W), x0, there)[1]

        return _Recurrence(lambda: run(_network(), x0, there), error, states=states, live=live)


class ScanMemoryInDepth(ScanInDepth):
    """The same with the bytes alive at once: those of t, log₂ t or one states beside a constant."""

    title = "Memory of a gradient through a recurrence in its depth"
    profiles = {}

    @measures("count", "bytes")
    def track_live_bytes(self, *values: Any) -> int:
        return self._case(values).live()


class TapeOverhead(_Derivatives):
    """A gradient through 1000 elementwise operations on ten numbers: recording and going back, and little else."""

    title = "Gradient through 1000 small operations"
    x = "n"
    tol = 1e-12
    fixed = {"operations": 1000}
    param_names = ("backend", "library", "n")
    params = (("numpy",), ("xpsolve", "autograd"), (10, 100, 1000))
    profiles = {"quick": {"n": [10]}}

    def prepare(self, backend, library, n):
        x = np.linspace(0.1, 1.0, n)
        if library == "xpsolve":
            gradient = autodiff.grad(lambda x: self._chain(x, x.__array_namespace__()))
        else:
            if importlib.util.find_spec("autograd") is None:
                raise SkipNotImplemented("autograd is not installed")
            import autograd

            gradient = autograd.grad(lambda x: self._chain(x, autograd.numpy))
        truth = self._derivative(x)
        return Case(lambda: gradient(x), lambda g: distance(g, truth))

    def _chain(self, x, xp):
        for _ in range(self.fixed["operations"] // 4):
            x = xp.sin(x)
            x = x * 1.5
            x = x + 0.1
            x = x * x
        return xp.sum(x)

    def _derivative(self, x):
        d = np.ones_like(x)
        for _ in range(self.fixed["operations"] // 4):
            d = d * np.cos(x) * 1.5
            x = np.sin(x) * 1.5 + 0.1
            d, x = d * 2 * x, x * x
        return d


def _half_squared_error(layers: Any, X: Any, Y: Any) -> Any:
    xp = namespace_of(X)
    for W, b in layers:
        X = xp.tanh(W @ X + b[:, None])
    R = X - Y
    return 0.5 * xp.sum(R * R)


class NetworkGradientInWidth(_Derivatives):
    """The gradient of a small network: a tape at every call, or one recorded program of both sweeps.

    A tape costs the same for each operation; the program what NumPy takes to call them.  At large widths both cost the
    matrix products.
    """

    title = "Gradient of a perceptron in its width, by a tape and compiled"
    x = "width"
    tol = 1e-10
    fixed = {"layers": 3, "batch": 32}
    param_names = ("backend", "way", "width")
    params = (BACKENDS, ("tape", "compiled"), (8, 32, 128, 512))
    profiles = {"quick": {"backend": ["numpy"], "width": [8, 128]}}

    def prepare(self, backend, way, width):
        rng = np.random.default_rng(0)
        shape, data = (width, width), (width, self.fixed["batch"])
        host = [(rng.standard_normal(shape) / np.sqrt(width), np.zeros(width)) for _ in range(self.fixed["layers"])]
        host_X, host_Y = rng.standard_normal(data), rng.standard_normal(data)
        layers = [(backend.asarray(W), backend.asarray(b)) for W, b in host]
        X, Y = backend.asarray(host_X), backend.asarray(host_Y)
        gradient = autodiff.grad(_half_squared_error)
        if way == "compiled":
            gradient = compiled(gradient)
        truth = self._derivative(host, host_X, host_Y)
        return Case(lambda: gradient(layers, X, Y), lambda found: distance(found[0][0], truth))

    def _derivative(self, layers, X, Y):
        """That of the first weights."""
        states = [X]
        for W, b in layers:
            states.append(np.tanh(W @ states[-1] + b[:, None]))
        g = states[-1] - Y
        for (W, _), x in zip(layers[:0:-1], states[:1:-1], strict=True):
            g = W.T @ (g * (1 - x * x))
        return (g * (1 - states[1] ** 2)) @ X.T
