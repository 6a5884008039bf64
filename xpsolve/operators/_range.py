"""Whether a Fourier transform keeps the digits of all parts of an array.

Rounding of a transform is relative to the largest number anywhere, that of a sum of products to the numbers in it.  So a
dim part of a picture loses digits beside a bright one, and a single NaN is everywhere.  Blocks of a quarter of the
kernel are compared: where each that is not empty has a number of at least √eps times the largest, half of the digits
remain everywhere.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from xpsolve.arrays import Array, native
from xpsolve.operators._correlation import Lengths


@native
def keeps_digits(x: Array, reach: Lengths) -> bool | None:
    """Whether x (N, C, *n) does, for kernels that reach so far; None where a look would wait for a device."""
    return None


@keeps_digits.register("torch")
def _keeps_digits_torch(x: Array, reach: Lengths) -> bool | None:
    return _even(x.detach().numpy(), reach) if x.device.type == "cpu" else None


@keeps_digits.register("jax")
def _keeps_digits_jax(x: Array, reach: Lengths) -> bool | None:
    jax = sys.modules["jax"]
    if isinstance(x, jax.core.Tracer) or any(device.platform != "cpu" for device in x.devices()):
        return None
    return _even(np.asarray(x), reach)


@keeps_digits.register("numpy")
def _even(x: np.ndarray, reach: Lengths) -> bool:  # type: ignore[type-arg]
    if x.size == 0:
        return True
    info = np.finfo(x.dtype)
    high, low = float(np.max(x)), float(np.min(x))
    top, part = max(high, -low), math.sqrt(float(info.eps))
    if not top * x.size < math.sqrt(float(info.max)):  # also for a NaN; sums in the transform could overflow
        return False
    if low >= part * top:
        return True
    blocks = np.abs(x)
    blocks = np.max(blocks, axis=1) if blocks.shape[1] > 1 else blocks[:, 0]
    for axis in range(blocks.ndim - 1, 0, -1):  # along rows first, which lie together
        step = max(1, reach[axis - 1] // 4)
        if step > 1:
            blocks = np.maximum.reduceat(blocks, np.arange(0, blocks.shape[axis], step), axis=axis)
    brightest = np.max(blocks, axis=tuple(range(1, blocks.ndim)), keepdims=True)
    return bool(np.all((blocks == 0) | (blocks >= part * brightest)))
