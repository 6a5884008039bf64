"""Products Kv in float32, without its rounding: as increments on a product that is exact.

Between two checks v moves little from its v̂ at the last one, where p̂ = Kv̂ is known in float64:

    Kv = p̂ + K(v − v̂),   K(v − v̂) ≈ (1/û)·W((v − v̂)/v̂),   W = diag(û) K diag(v̂) in float32

so that rounding of W is multiplied by v − v̂, and both vanish together.  W is half of the memory that an iteration
reads.  Sums of its rows are about 1, hence no entry that matters is out of float32's range.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xpsolve.arrays import Array, namespace_of, native
from xpsolve.transport._kernels import _CACHED
from xpsolve.transport._rows import Update, times, times_transposed

_FLUSH = 1e-30  # added to W, whose rows sum to about 1: no entry is a subnormal number, which are slow


class Increments(NamedTuple):
    """W, and the point that it describes."""

    W: Array  # float32, (n, m) or (B, n, m)
    to_u: Array  # 1/û, 0 where it is 0, (B, n)
    to_v: Array  # 1/v̂, (B, m)
    unit: Array  # of W: the mass of a row, (B, 1)


Base = tuple[Array, Array, Array, Array]
"""u, v, p = Kv and q = Kᵀu in float64, from which increments are counted."""


def increments(K: Array, u: Array, v: Array, unit: Array) -> Increments:
    """W at u and v, in `unit`."""
    to_u, to_v = _inverse(u), _inverse(v)
    return Increments(lowered_kernel(K, u / unit, v), to_u, to_v, unit)


def increments_at_one(K: Array, u: Array, v: Array) -> Increments:
    """W for û = 1 and v̂ = 1, of the shapes of u and v."""
    xp = namespace_of(u)
    return Increments(lowered_kernel(K), xp.ones_like(u), xp.ones_like(v), xp.ones_like(u[:, :1]))


def _inverse(x: Array) -> Array:
    xp = namespace_of(x)
    return xp.where(x > 0, 1 / xp.where(x > 0, x, xp.ones_like(x)), xp.zeros_like(x))


def sweep(low: Increments, base: Base, v: Array, update: Update) -> tuple[Array, Array, Array]:
    """p = Kv, u = update(p) and q = Kᵀu."""
    u0, v0, p0, q0 = base
    p = raised(p0, times(low.W, lowered(v, v0, low.to_v)), low.to_u, low.unit)
    u = update(p, 0, p.shape[1])
    q = raised(q0, times_transposed(low.W, lowered(u, u0, low.to_u)), low.to_v, low.unit)
    return p, u, q


@native
def lowered(v: Array, v0: Array, to_v: Array) -> Array:
    """(v − v̂)/v̂ in float32."""
    xp = namespace_of(v)
    return xp.astype((v - v0) * to_v, xp.float32)


@lowered.register("cupy")
def _lowered_cupy(v: Array, v0: Array, to_v: Array) -> Array:
    import cupy

    return cupy.ElementwiseKernel("T v, T b, T w", "float32 z", "z = (v - b) * w", "xpsolve_lowered")(v, v0, to_v)


@native
def raised(p0: Array, part: Array, to_u: Array, unit: Array) -> Array:
    """p̂ + W(…)·unit/û in float64."""
    return p0 + namespace_of(p0).astype(part, p0.dtype) * to_u * unit


@raised.register("cupy")
def _raised_cupy(p0: Array, part: Array, to_u: Array, unit: Array) -> Array:
    import cupy

    parameters, source = "T p, float32 x, T w, T unit", "z = p + T(x) * w * unit"
    return cupy.ElementwiseKernel(parameters, "T z", source, "xpsolve_raised")(p0, part, to_u, unit)


@native
def lowered_kernel(K: Array, u: Array | None = None, v: Array | None = None) -> Array:
    """diag(u) K diag(v) in float32; K where no u and v are given."""
    xp = namespace_of(K)
    if u is not None and v is not None:
        u, v = _beside(K, u, v)
        K = K * u * v
    return xp.astype(K + _FLUSH, xp.float32)


def _beside(K: Array, u: Array, v: Array) -> tuple[Array, Array]:
    return (u[0, :, None], v[0, None, :]) if K.ndim == 2 else (u[:, :, None], v[:, None, :])


@lowered_kernel.register("cupy")
def _lowered_kernel_cupy(K: Array, u: Array | None = None, v: Array | None = None) -> Array:
    import cupy

    if u is None or v is None:
        return cupy.ElementwiseKernel("T k", "float32 z", f"z = k + T({_FLUSH})", "xpsolve_lowered_kernel")(K)
    u, v = _beside(K, u, v)
    source = f"z = k * u * v + T({_FLUSH})"
    return cupy.ElementwiseKernel("T k, T u, T v", "float32 z", source, "xpsolve_lowered_kernel_at")(K, u, v)


@lowered_kernel.register("numpy")
def _lowered_kernel_numpy(K: Array, u: Array | None = None, v: Array | None = None) -> Array:
    W = np.empty(K.shape, np.float32)
    if u is None or v is None:
        return np.add(K, _FLUSH, out=W, casting="same_kind")
    batch, (n, m) = (1, K.shape) if K.ndim == 2 else (K.shape[0], K.shape[1:])
    rows = max(1, _CACHED // m)
    room = np.empty((rows, m))
    for k in range(batch):
        source, target = (K, W) if K.ndim == 2 else (K[k], W[k])
        for i in range(0, n, rows):
            part = np.multiply(source[i : i + rows], u[k, i : i + rows, None], out=room[: n - i])
            part *= v[k]
            part += _FLUSH
            target[i : i + rows] = part
    return W
