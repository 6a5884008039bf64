"""Whether a Fourier transform keeps the digits of all parts of an array.

Rounding of a transform is relative to the largest number anywhere, that of a sum of products to the numbers in it.  So
a dim part of a picture loses digits beside a bright one, and a single NaN is everywhere.  Blocks of a quarter of the
kernel, and of 8 pixels at most, are compared: where each that is not empty has a number of at least √eps times the
largest of its picture, half of the digits remain everywhere.  Of the kernels, whose small numbers count only where the
picture is empty, no block may lie below rounding.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from xpsolve.arrays import Array, native
from xpsolve.operators._sides import Lengths

_Host = np.ndarray[Any, Any]


@native
def keeps_digits(x: Array, reach: Lengths, *, kernels: bool = False) -> bool | None:
    """Whether x (N, C, *n) does, for kernels that reach so far; None where a check would wait for a device."""
    return None


@keeps_digits.register("torch")
def _keeps_digits_torch(x: Array, reach: Lengths, *, kernels: bool = False) -> bool | None:
    return _even(x.detach().numpy(), reach, kernels=kernels) if x.device.type == "cpu" else None


@keeps_digits.register("jax")
def _keeps_digits_jax(x: Array, reach: Lengths, *, kernels: bool = False) -> bool | None:
    jax = sys.modules["jax"]
    if isinstance(x, jax.core.Tracer) or any(device.platform != "cpu" for device in x.devices()):
        return None
    return _even(np.asarray(x), reach, kernels=kernels)


def _even(x: _Host, reach: Lengths, *, kernels: bool = False) -> bool:
    if x.size == 0:
        return True
    info = np.finfo(x.dtype)
    each = tuple(range(1, x.ndim))
    high, low = x.max(axis=each), x.min(axis=each)
    top = np.maximum(high, -low)
    if not float(top.max()) * x.size < math.sqrt(float(info.max)):  # also for a NaN; sums in transforms could overflow
        return False
    least = top * (8 * float(info.eps) if kernels else math.sqrt(float(info.eps)))
    if bool((low >= least).all()):
        return True
    least = least.reshape(-1, *(1,) * (x.ndim - 2))
    steps = tuple(max(1, min(s // 4, 8)) for s in reach)
    if steps[0] > 1 and x.ndim > 3:  # one row of each block is enough for most pictures
        thin = x[:, :, steps[0] // 2 :: steps[0]]
        if (_blocks(thin, (1, *steps[1:])) >= least).all():
            return True
    blocks = _blocks(x, steps)
    return bool(((blocks == 0) | (blocks >= least)).all())


keeps_digits.register("numpy")(_even)


def _blocks(x: _Host, steps: Lengths) -> _Host:
    """The largest absolute values in blocks of these sides, over all channels: (N, *blocks)."""
    found = np.abs(x)
    found = found.max(axis=1) if x.shape[1] > 1 else found[:, 0]
    for axis in range(found.ndim - 1, 0, -1):  # along rows first, which lie together
        step = steps[axis - 1]
        if step > 1:
            found = np.maximum.reduceat(found, np.arange(0, found.shape[axis], step), axis=axis)
    return found
