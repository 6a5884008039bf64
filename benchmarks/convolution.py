"""Convolution and its adjoints by each method: in the sides of pictures and kernels, and in the channels of networks.

The error is that against the method "shift" in float64 of a picture cut to a corner, where it is cheap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Solves
from xpsolve import convolve, convolve_adjoint, costs


class _Convolutions(_Solves):
    """A convolution, or its adjoints; the error is that of a dot test's identity or of a sum over taps."""

    family = "convolution"
    cost = "convolve"
    tol = 1e-10
    adjoint = False

    def _made(self, backend: Any, n: int, k: int, method: str, batch: int = 1, c: int = 1, o: int = 1) -> Case:
        rng = np.random.default_rng(0)
        side = n - k + 1
        z, w, e = (rng.standard_normal(shape) for shape in ((batch, c, n, n), (o, c, k, k), (batch, o, side, side)))
        there = [backend.asarray(x) for x in (e, z, w)]
        if self.adjoint:
            call = lambda: convolve_adjoint(*there, method=method)  # noqa: E731
        else:
            call = lambda: convolve(*there[1:], method=method)  # noqa: E731

        def error(found: Any) -> float:
            if not self.adjoint:
                corner = convolve(z[:1, :, : k + 3, : k + 3], w, method="shift")
                return _apart(backend.to_numpy(found)[:1, :, :4, :4], corner)
            delta, g_w, g_b = (backend.to_numpy(x) for x in found)
            taps = np.einsum("noij,ncij->oc", e, z[:, :, :side, :side])
            y = np.sum(w * g_w)  # both are ⟨ε, y⟩
            product = abs(y - np.sum(z * delta)) / (np.linalg.norm(w) * np.linalg.norm(g_w))
            return max(float(product), _apart(g_w[:, :, 0, 0], taps), _apart(g_b, e.sum(axis=(0, 2, 3))))

        return Case(call, error)


def _apart(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))


class PictureInSide(_Convolutions):
    """One picture and a kernel of 9×9: 162 flops a pixel by patches, n² log n by transforms."""

    title = "Convolution of a picture in its side"
    x = "n"
    fixed = {"k": 9}
    param_names = ("backend", "method", "n")
    params = (BACKENDS, costs.CONVOLUTION_METHODS, (60, 120, 240, 480, 960))
    profiles = {"quick": {"backend": ["numpy"], "method": ["im2col", "fft"], "n": [60, 120, 240, 480, 960]}}

    def prepare(self, backend, method, n):
        return self._made(backend, n, self.fixed["k"], method)


class KernelInSide(_Convolutions):
    """A picture of 256×256: patches cost k², transforms nothing more."""

    title = "Convolution of a picture in the side of the kernel"
    x = "k"
    fixed = {"n": 256}
    param_names = ("backend", "method", "k")
    params = (BACKENDS, ("im2col", "fft", "auto"), (3, 5, 9, 17, 33))
    profiles = {"quick": {"backend": ["numpy"], "method": ["im2col", "fft"], "k": [3, 9]}}
    cost = None

    def prepare(self, backend, method, k):
        return self._made(backend, self.fixed["n"], k, method)


class LayerInChannels(_Convolutions):
    """The adjoints of a layer of a network, kernels of 3×3 on eight pictures: exponent 2 in the channels."""

    title = "Adjoints of a layer in its channels"
    x = "c"
    adjoint = True
    cost = "convolve_adjoint"
    fixed = {"n": 32, "k": 3, "batch": 8, "o": 32}
    param_names = ("backend", "method", "c")
    params = (BACKENDS, ("im2col", "shift"), (8, 16, 32, 64, 128))
    profiles = {"quick": {"backend": ["numpy"], "method": ["im2col"], "c": [8, 32]}}

    def prepare(self, backend, method, c):
        return self._made(backend, 32, 3, method, batch=8, c=c, o=32)
