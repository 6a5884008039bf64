"""Correlation and its two adjoints by the fast Fourier transform, each array transformed once.

With v[dj] = w[j] and z from l on, on a torus so large that nothing wraps onto an output, y = v ⋆ z is
Ŷ = Σ_c conj(V̂)·Ẑ at every frequency, and its adjoints are δ̂ = Σ_o V̂·Ê and ĝ = Σ_n conj(Ê)·Ẑ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from xpsolve.arrays import Array, Namespace, namespace_of, native, on_accelerator
from xpsolve.costs import fast_length, spectral_blocks, spectral_products
from xpsolve.operators._correlation import padded, spans, spread
from xpsolve.operators._sides import Lengths


@native
def rfftn(x: Array, lengths: Lengths) -> Array:
    """The transform of a real x, with zeros up to these lengths, over its last axes."""
    axes = tuple(range(x.ndim - len(lengths), x.ndim))
    return namespace_of(x).fft.rfftn(x, s=lengths, axes=axes)


@native
def irfftn(X: Array, lengths: Lengths, kept: tuple[slice, ...]) -> Array:
    """Its inverse, from a real array of these lengths what is kept: rows that are not are left out in time."""
    xp = namespace_of(X)
    for axis, part in enumerate(kept[:-1], X.ndim - len(lengths)):
        X = xp.fft.ifft(X, axis=axis)[(*(slice(None),) * axis, part, ...)]
    return xp.fft.irfft(X, n=lengths[-1], axis=-1)[..., kept[-1]]


@irfftn.register("cupy")
def _irfftn_cupy(X: Array, lengths: Lengths, kept: tuple[slice, ...]) -> Array:
    """All axes at once: for each there would be a copy, a transform, and a division."""
    axes = tuple(range(X.ndim - len(lengths), X.ndim))
    return namespace_of(X).fft.irfftn(X, s=lengths, axes=axes)[(..., *kept)]


@rfftn.register("numpy")
def _rfftn_numpy(x: Array, lengths: Lengths) -> Array:
    """With a factor in float32: without it, NumPy up to 2.4 takes transforms of float32 in a generic loop, 8 times as
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
def _irfftn_dask(X: Array, lengths: Lengths, kept: tuple[slice, ...]) -> Array:
    return irfftn.standard(X.rechunk((*X.chunks[: -len(lengths)], *(-1,) * len(lengths))), lengths, kept)


def torus(n: Lengths, out: Lengths, reach: Lengths, left: Lengths) -> Lengths:
    """Sides so large that neither y nor the adjoints see the other end."""
    return tuple(fast_length(max(m + a, i + s - 1 - a)) for m, i, s, a in zip(n, out, reach, left, strict=True))


def correlate(xp: Namespace, z: Array, w: Array, left: Lengths, out: Lengths, dilation: Lengths) -> Array:
    """y (N, O, *out) of z (N, C, *n) with zeros around."""
    sides = torus(tuple(z.shape[2:]), out, spans(w, dilation), left)
    Z = xp.conj(transformed(z, sides, left))
    kept = tuple(slice(m) for m in out)
    parts = []
    for _, V in _spectra(xp, w, dilation, sides):
        Y = _contracted(xp, Z, _swapped(xp, V))
        parts.append(irfftn(xp.conj(Y), sides, kept))
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)


def correlate_adjoint(
    xp: Namespace, e: Array, z: Array | None, w: Array, n: Lengths, left: Lengths, dilation: Lengths
) -> tuple[Array, Array | None]:
    """δ (N, C, *n) and g (O, C, *k) of the same correlation; without z, δ alone."""
    reach = spans(w, dilation)
    sides = torus(n, tuple(e.shape[2:]), reach, left)
    E = transformed(e, sides)
    Z = None if z is None else transformed(z, sides, left)
    E_swapped = xp.conj(_swapped(xp, E))
    taps = tuple(slice(0, s, d) for s, d in zip(reach, dilation, strict=True))
    delta, parts = None, []
    for kernels, V in _spectra(xp, w, dilation, sides):
        term = _contracted(xp, E[:, kernels, ...], V)
        if delta is None:
            delta = term
        else:
            delta += term  # the sum may be overwritten: it is a new array
        if Z is not None:
            parts.append(irfftn(_contracted(xp, E_swapped[kernels, ...], Z), sides, taps))
    delta = irfftn(delta, sides, tuple(slice(a, a + m) for a, m in zip(left, n, strict=True)))
    return delta, (parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)) if parts else None


def transformed(x: Array, sides: Lengths, left: Lengths | None = None) -> Array:
    """The transform on a torus, with so many zeros before x: w starts at 0, and its picture as far from the origin as w
    reaches before its own."""
    left = left or (0,) * len(sides)
    missing = tuple(s - a - m for s, a, m in zip(sides, left, x.shape[2:], strict=True))
    # a transform adds zeros behind in passing, but on an accelerator by calls for each axis
    return rfftn(padded(x, left, missing if on_accelerator(x) else (0,) * len(sides)), sides)


def _spectra(xp: Namespace, w: Array, dilation: Lengths, sides: Lengths) -> Iterator[tuple[slice, Array]]:
    """Kernels some at a time, with spectra V (o, C, *f) that fit the cache: all O·C take more room than z."""
    for axis, d in enumerate(dilation, 2):
        w = spread(xp, w, axis, d)
    first = 0
    item = 4 if "32" in str(w.dtype) else 8
    for count in spectral_blocks(w.shape[0], w.shape[1], sides, itemsize=item, accelerator=on_accelerator(w)):
        kernels = slice(first, first + count)
        yield kernels, transformed(w[kernels, ...], sides)
        first += count


def _swapped(xp: Namespace, X: Array) -> Array:
    return xp.permute_dims(X, (1, 0, *range(2, X.ndim)))


def _contracted(xp: Namespace, A: Array, B: Array) -> Array:
    """Σ_k A[i, k, f]·B[k, j, f] at each frequency f: along the frequencies where the products are small."""
    sizes = A.shape[0], A.shape[1], B.shape[1], math.prod(A.shape[2:])
    if A.shape[1] == 1 or not (spectral_products(*sizes) or on_accelerator(A)):
        Y = A[:, :1, ...] * B[:1, ...]  # (i, 1, f) and (1, j, f)
        for k in range(1, A.shape[1]):
            Y += A[:, k : k + 1, ...] * B[k : k + 1, ...]
        return Y
    first, last = (*range(2, A.ndim), 0, 1), (A.ndim - 2, A.ndim - 1, *range(A.ndim - 2))
    return xp.permute_dims(xp.permute_dims(A, first) @ xp.permute_dims(B, first), last)
