"""Stochastic descent: an epoch in n, in p and in the length of a block, counts, and passes over data to an accuracy.

An epoch is n steps of one sample each.  Its error is the distance from the same steps by a plain loop on the host, on
the same sample numbers: a block that is wrong shows as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks._base import BACKENDS, Case, _Counts, distance, measures
from benchmarks._problems import LAM, logistic_slope, loop_sgd, two_classes
from benchmarks.descent import _Descent
from xpsolve import Logistic, gradient_descent, newton, problems, sag, sga, sgd
from xpsolve.arrays.numba_loop import can_compile

_EAGER = tuple(name for name in BACKENDS if name != "dask")


def _loop_sag(A: np.ndarray, y: np.ndarray, indices: np.ndarray, tau: float) -> np.ndarray:
    """x ← x − τ (Σ α_i a_i / m + λx), where α_i is replaced first and m samples have been seen."""
    x, g, alpha, seen = np.zeros(A.shape[1]), np.zeros(A.shape[1]), np.zeros(y.size), set()
    for i in indices:
        d = logistic_slope(A[i] @ x, y[i])
        g, alpha[i] = g + (d - alpha[i]) * A[i], d
        seen.add(int(i))
        x = x - tau * (g / len(seen) + LAM * x)
    return x


class _Epoch(_Descent):
    """One epoch of logistic regression on given sample numbers."""

    family = "stochastic"
    cost = "sgd_solve"
    tol = 1e-8
    fixed = {"loss": "logistic"}
    method = "sgd"

    def prepare(self, backend, block, **sizes):
        n, p = ({**self.fixed, **sizes}[name] for name in ("n", "p"))
        A, y, indices, tau = two_classes(n, p)
        f = Logistic(backend.asarray(A), backend.asarray(y), LAM, check_finite=False)
        call = partial(sgd, step0=tau, warmup=n) if self.method == "sgd" else partial(sag, step=tau)

        def error(found: Any) -> float:
            x = loop_sgd(A, y, indices, tau, n) if self.method == "sgd" else _loop_sag(A, y, indices, tau)
            return distance(found, x)

        return Case(lambda: call(f, indices=indices, block=block).x, error)


class SgdInSamples(_Epoch):
    """4np flops in a loop, (4 + B)np in blocks of B, at p = 100: exponent 1."""

    title = "An epoch of SGD in the number of samples"
    x = "n"
    fixed = {**_Epoch.fixed, "p": 100, "retries": 1}
    param_names = ("backend", "block", "n")
    params = (_EAGER, (1, 64), (1000, 2000, 4000, 8000, 16_000))
    profiles = {
        "smoke": {"backend": ["numpy"], "block": [64], "n": [1000]},
        "quick": {"backend": ["numpy"], "block": [64]},
    }


class SgdInFeatures(_Epoch):
    """The same in p at n = 1000: exponent 1."""

    title = "An epoch of SGD in the number of features"
    x = "p"
    fixed = {**_Epoch.fixed, "n": 1000, "retries": 1}
    param_names = ("backend", "block", "p")
    params = (_EAGER, (1, 64), (200, 400, 800, 1600, 3200))


class StreamInSamples(_Epoch):
    """The same steps through a stream in batches of 500 rows, which adds a measurement of each batch: exponent 1."""

    title = "SGD through a stream, in the number of samples"
    cost = None
    x = "n"
    fixed = {**_Epoch.fixed, "p": 20}
    param_names = ("backend", "n")
    params = (_EAGER, (1000, 2000, 4000, 8000, 16_000))
    profiles = {"smoke": {"backend": ["numpy"], "n": [1000]}}

    def prepare(self, backend, n):
        A, y, _, tau = two_classes(n, self.fixed["p"])
        pairs = [tuple(backend.asarray(part[i : i + 500]) for part in (A, y)) for i in range(0, n, 500)]
        f = partial(Logistic, lam=LAM, check_finite=False)
        expected = loop_sgd(A, y, np.arange(n), tau, n)

        # every tolerance will do: what is compared are the iterates
        return Case(lambda: sgd(f, batches=pairs, step0=tau, warmup=n, tol=1e9).x, lambda x: distance(x, expected))


class SagInSamples(SgdInSamples):
    """As SGD, with a memory of n numbers."""

    title = "An epoch of SAG in the number of samples"
    cost = None
    method = "sag"
    profiles = {}


class SagInFeatures(SgdInFeatures):
    """As SGD, with two columns in each product."""

    title = "An epoch of SAG in the number of features"
    cost = None
    method = "sag"


class SgdBlocks(_Epoch):
    """From the loop to blocks whose system outweighs what they save."""

    title = "An epoch of SGD in the length of a block"
    x = "block"
    fixed = {**_Epoch.fixed, "n": 4096, "p": 200}
    param_names = ("backend", "block")
    params = (_EAGER, (1, 4, 16, 64, 128, 256))
    profiles = {"quick": {"backend": ["numpy"], "block": [1, 16, 64, 256]}}

    def prepare(self, backend, block):
        return super().prepare(backend, block)


class SagBlocks(SgdBlocks):
    """The same; where a sample comes twice in a block its system has moved columns."""

    title = "An epoch of SAG in the length of a block"
    cost = None
    method = "sag"
    profiles = {}


class CompiledInSamples(_Epoch):
    """Blocks of 64 beside single steps in a compiled loop; each needs 4np flops at least, at p = 100: exponent 1."""

    title = "An epoch of SGD in blocks, and in a compiled loop"
    cost = None
    x = "n"
    fixed = {**_Epoch.fixed, "p": 100}
    param_names = ("backend", "steps", "n")
    params = (("numpy",), ("blocks", "compiled"), (1000, 2000, 4000, 8000, 16_000))
    profiles = {"smoke": {"n": [1000]}}

    def prepare(self, backend, steps, n):
        if steps == "compiled" and not can_compile():
            raise SkipNotImplemented('Numba is not installed: pip install "xpsolve[bench,numba]"')
        return super().prepare(backend, "compiled" if steps == "compiled" else 64, n=n)


class CompiledSagInSamples(CompiledInSamples):
    """As SGD, with a memory of n numbers."""

    title = "An epoch of SAG in blocks, and in a compiled loop"
    method = "sag"
    profiles = {}


_PASSES: dict[str, Callable[..., Any]] = {
    "sgd": sgd,
    "sga": sga,
    "sag": sag,
    "gradient_descent": gradient_descent,
    "nesterov": partial(gradient_descent, momentum="nesterov"),
}
_MOST = (8, 32, 128, 512)  # passes, tried one after another


@dataclass
class _Passes(Case):
    passes: int = 0


class _ToExcess(_Descent):
    """As many passes over the breast cancer data as bring f within `tol` of its minimum, each method with its own step.

    How many is found out on the host first; it is the same for all backends.
    """

    family = "stochastic"
    lam = 1e-2
    param_names = ("backend", "method")

    def prepare(self, backend, method):
        data = problems.breast_cancer()
        host = Logistic(data.A, data.y, self.lam)
        least = float(host.value(newton(host, tol=1e-11).x))
        passes = self._needed(host, method, least)
        f = Logistic(backend.asarray(data.A), backend.asarray(data.y), self.lam, check_finite=False)

        return _Passes(
            lambda: self._run(f, method, passes).x,
            lambda x: float(host.value(backend.to_numpy(x))) - least,
            passes=passes,
        )

    @staticmethod
    def _run(f: Logistic, method: str, passes: int, *, record: bool = False) -> Any:
        if method in ("sgd", "sga", "sag"):
            return _PASSES[method](f, epochs=passes, record_every=f.n if record else None)
        return _PASSES[method](f, max_iter=passes, tol=1e-12, record=record)

    def _needed(self, f: Logistic, method: str, least: float) -> int:
        """Passes until f − f* ≤ `tol`; the most where that is never so, which the error then shows."""
        for most in _MOST:
            history = self._run(f, method, most, record=True).history
            good = np.flatnonzero(history["objective"] - least <= self.tol)
            if good.size:
                return int(good[0])
        return most

    @measures("count", "passes")
    def track_passes(self, *values: Any) -> int:
        """Gradients of one sample, over n."""
        return int(self._case(values).passes)


class ToTwoHundredths(_ToExcess):
    """Where a pass over data is expensive: a rough answer."""

    title = "Logistic regression to 0.02 of the minimum"
    tol = 0.02
    params = (_EAGER, tuple(_PASSES))


class ToTheMinimum(_ToExcess):
    """Where SGD, SGA and plain gradient descent do not come."""

    title = "Logistic regression by gradients to 1e-8 of the minimum"
    tol = 1e-8
    params = (_EAGER, ("sag", "nesterov"))


class Counts(_Counts):
    """What an epoch needs from the device, counted and not timed: the same on every machine."""

    family = "stochastic"
    title = "Operations of an epoch of 1024 samples"
    x = "block"
    fixed = {"n": 1024, "p": 20}
    param_names = ("backend", "method", "block")
    params = (("numpy",), ("sgd", "sga", "sag"), (1, 16, 64, 256))
    profiles = {"smoke": {"method": ["sgd"], "block": [64]}, "quick": {}}

    def prepare(self, backend, method, block):
        A, y, indices, tau = two_classes(self.fixed["n"], self.fixed["p"])
        f = Logistic(backend.asarray(A), backend.asarray(y), LAM, check_finite=False)
        step = {"step" if method == "sag" else "step0": tau}
        return Case(lambda: _PASSES[method](f, indices=indices, block=block, **step))
