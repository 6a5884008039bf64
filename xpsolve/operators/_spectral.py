"""Correlation and its two adjoints by the fast Fourier transform, each array transformed once.

With v[dj − l] = w[j] on a torus too large for anything to wrap onto an output, y = v ⋆ z is Ŷ = Σ_c conj(V̂)·Ẑ at every
frequency, and its adjoints are δ̂ = Σ_o V̂·Ê and ĝ = Σ_n conj(Ê)·Ẑ.
"""

from __future__ import annotations

import math

import numpy as np

from xpsolve.arrays import Array, Namespace, device_of, namespace_of, native
from xpsolve.costs import fast_length
from xpsolve.operators._correlation import Lengths, spans, spread


@native
def rfftn(x: Array, lengths: Lengths) -> Array:
    """The transform of a real x, with zeros up to these lengths, over its last axes."""
    axes = tuple(range(x.ndim - len(lengths), x.ndim))
    return namespace_of(x).fft.rfftn(x, s=lengths, axes=axes)


@native
def irfftn(X: Array, lengths: Lengths) -> Array:
    """Its inverse, to a real array of these lengths."""
    axes = tuple(range(X.ndim - len(lengths), X.ndim))
    return namespace_of(X).fft.irfftn(X, s=lengths, axes=axes)


@rfftn.register("numpy")
def _rfftn_numpy(x: Array, lengths: Lengths) -> Array:
    """With a factor of float32: without one, NumPy up to 2.4 takes transforms of float32 in a generic loop, 8 times as
    long."""
    if x.dtype != np.float32:
        return rfftn.standard(x, lengths)
    X = np.fft.rfftn(x, s=lengths, axes=tuple(range(x.ndim - len(lengths), x.ndim)), norm="forward")
    X *= np.float32(math.prod(lengths))
    return X


@rfftn.register("dask")
def _rfftn_dask(x: Array, lengths: Lengths) -> Array:
    return rfftn.standard(x.rechunk((*x.chunks[: -len(lengths)], *(-1,) * len(lengths))), lengths)


@irfftn.register("dask")
def _irfftn_dask(X: Array, lengths: Lengths) -> Array:
    return irfftn.standard(X.rechunk((*X.chunks[: -len(lengths)], *(-1,) * len(lengths))), lengths)


def torus(n: Lengths, out: Lengths, reach: Lengths, left: Lengths) -> Lengths:
    """Sides so large that neither y nor the adjoints see the other end."""
    return tuple(fast_length(max(m + a, i + s - 1 - a)) for m, i, s, a in zip(n, out, reach, left, strict=True))


def correlate(xp: Namespace, z: Array, w: Array, left: Lengths, out: Lengths, dilation: Lengths) -> Array:
    """y (N, O, *out) of z (N, C, *n) with zeros around."""
    sides = torus(tuple(z.shape[2:]), out, spans(w, dilation), left)
    Z, V = rfftn(z, sides), rfftn(on_torus(xp, w, left, dilation, sides), sides)
    Y = _contracted(xp, Z, xp.conj(_swapped(xp, V)))
    return irfftn(Y, sides)[(..., *(slice(m) for m in out))]


def correlate_adjoint(
    xp: Namespace, e: Array, z: Array | None, w: Array, n: Lengths, left: Lengths, dilation: Lengths
) -> tuple[Array, Array | None]:
    """δ (N, C, *n) and g (O, C, *k) of the same correlation; without z, δ alone."""
    reach = spans(w, dilation)
    sides = torus(n, tuple(e.shape[2:]), reach, left)
    E, V = rfftn(e, sides), rfftn(on_torus(xp, w, left, dilation, sides), sides)
    delta = irfftn(_contracted(xp, E, V), sides)[(..., *(slice(m) for m in n))]
    if z is None:
        return delta, None
    g = irfftn(_contracted(xp, xp.conj(_swapped(xp, E)), rfftn(z, sides)), sides)
    for axis, (side, a, s, d) in enumerate(zip(sides, left, reach, dilation, strict=True), 2):
        before = (slice(None),) * axis
        ahead = g[(*before, slice(0, s - a), ...)]
        g = xp.concat([g[(*before, slice(side - a, side), ...)], ahead], axis=axis) if a else ahead
        g = g[(*before, slice(None, None, d), ...)] if d > 1 else g
    return delta, g


def on_torus(xp: Namespace, w: Array, left: Lengths, dilation: Lengths, sides: Lengths) -> Array:
    """v (O, C, *sides) with v[dj − l] = w[j]: the taps before the origin lie at the far end."""
    for axis, (side, a, d) in enumerate(zip(sides, left, dilation, strict=True), 2):
        w = spread(xp, w, axis, d)
        before, length = (slice(None),) * axis, w.shape[axis]
        shape = (*w.shape[:axis], side - length, *w.shape[axis + 1 :])
        gap = xp.zeros(shape, dtype=w.dtype, device=device_of(w))
        w = xp.concat([w[(*before, slice(a, length), ...)], gap, w[(*before, slice(0, a), ...)]], axis=axis)
    return w


def _swapped(xp: Namespace, X: Array) -> Array:
    return xp.permute_dims(X, (1, 0, *range(2, X.ndim)))


def _contracted(xp: Namespace, A: Array, B: Array) -> Array:
    """Σ_k A[i, k, f]·B[k, j, f] at each frequency f."""
    if A.shape[1] == 1:
        return A * B  # (i, 1, f) and (1, j, f)
    first, last = (*range(2, A.ndim), 0, 1), (A.ndim - 2, A.ndim - 1, *range(A.ndim - 2))
    return xp.permute_dims(xp.permute_dims(A, first) @ xp.permute_dims(B, first), last)
