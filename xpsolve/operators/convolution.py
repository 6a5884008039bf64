"""Convolution of pictures with many channels, and its adjoints, without its matrix.

    y[n, o, i] = b[o] + Σ_{c,j} w[o, c, j]·z[n, c, si + dj − l],    [δ, g_w, g_b] = adjoint at ε   (Peyré 2020, §15.3)

with stride s, dilation d and the place l of the kernel's origin, which `mode` sets.  Padding and stride are handled
first:  zero or periodic padding, and a stride of s makes the s phases of an axis channels of a smaller picture with
stride 1.  What remains is one correlation, done by matrix products or by Fourier transforms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from xpsolve import costs
from xpsolve.arrays import Array, Namespace, check_flag, check_option, device_of, enter, innermost, on_accelerator
from xpsolve.capabilities import capabilities
from xpsolve.operators import _correlation, _spectral
from xpsolve.operators._correlation import padded, spans, spread
from xpsolve.operators._range import keeps_digits
from xpsolve.operators._sides import Lengths, each

MODES = ("valid", "same", "full")
BOUNDARIES = ("zero", "periodic")
METHODS = ("auto", *costs.CONVOLUTION_METHODS)


@capabilities(batch="first axis of z")
def convolve(
    z: Array,
    w: Array,
    b: Array | None = None,
    *,
    mode: str = "valid",
    boundary: str = "zero",
    stride: int | tuple[int, ...] = 1,
    dilation: int | tuple[int, ...] = 1,
    flip: bool = False,
    method: str = "auto",
) -> Array:
    """Correlate pictures with kernels, as the layers of networks do: y[i] = b + Σ_j w[j]·z[si + dj − l].

    Parameters
    ----------
    z : array, shape (N, C, *space)
        N pictures of C channels in 1, 2 or 3 dimensions, float32 or float64 (integers become real).
    w : array, shape (O, C, *kernel)
        The kernels.
    b : array, shape (O,), optional
        Added to each channel of the result.
    mode : str
        "valid": where the kernel lies inside the picture, n − span + 1 pixels, with span = d(k − 1) + 1.  "same":
        n pixels, the origin of the kernel at index (k − 1)//2.  "full": wherever the two meet, n + span − 1 pixels.
    boundary : str
        What lies around the picture: "zero", or "periodic" for the picture repeated.
    stride, dilation : int or tuple of int
        s and d, for all axes or for each: every s-th pixel is kept, the taps lie d pixels apart.
    flip : bool
        True reverses the kernels, which makes it the convolution Σ_j w[j]·z[i − j].
    method : str
        "im2col": patches of a block that fits the cache, times the kernels (Chellapilla et al. 2006).  "shift": a
        product for each tap.  "fft": by the convolution theorem; "im2col" where the library has no transforms.
        "auto": by cost, and "fft" only where it keeps half of the digits in every part of the picture that is not 0:
        its rounding is relative to the largest number of all, and a NaN spreads everywhere.  Arrays in the memory of
        the host (NumPy, PyTorch and JAX on the processor) are checked for that.  On an accelerator, where a check
        would wait, "auto" goes by cost alone; elsewhere, as on Dask and under ``jax.jit``, it takes no "fft".

    Returns
    -------
    array, shape (N, O, *space)
        Of the library, device and common dtype of the arguments.

    Raises
    ------
    TypeError
        If an argument is no real array, libraries are mixed, or stride or dilation are no integers.
    ValueError
        If shapes do not fit, an option is unknown or below 1, or a kernel is larger than the picture in mode "valid".

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> z, w = np.asarray([[[1.0, 2.0, 4.0, 8.0]]]), np.asarray([[[1.0, -1.0]]])
    >>> xs.convolve(z, w, method="im2col")
    array([[[-1., -2., -4.]]])
    >>> xs.convolve(z, w, mode="full", flip=True, stride=2, method="im2col")
    array([[[ 1.,  2., -8.]]])
    """
    arrays = {"z": z, "w": w} if b is None else {"z": z, "w": w, "b": b}
    xp, entered = enter(**arrays)
    z, w = entered[:2]
    plan = _plan(tuple(z.shape), tuple(w.shape), mode, boundary, stride, dilation, flip)
    check_option(method, "method", METHODS)
    if b is not None and tuple(entered[2].shape) != (w.shape[0],):
        message = f"b: expected shape ({w.shape[0]},), one number for each kernel, got shape {tuple(entered[2].shape)}."
        raise ValueError(message)
    y = _forward(xp, z, w, plan, method)
    return y if b is None else y + xp.reshape(entered[2], (-1, *(1,) * len(plan.n)))


@capabilities(batch="first axis of z")
def convolve_adjoint(
    e: Array,
    z: Array,
    w: Array,
    *,
    mode: str = "valid",
    boundary: str = "zero",
    stride: int | tuple[int, ...] = 1,
    dilation: int | tuple[int, ...] = 1,
    flip: bool = False,
    method: str = "auto",
) -> tuple[Array, Array, Array]:
    """The adjoints of `convolve` at (z, w) applied to ε: gradients of ⟨ε, y⟩ in z, w and b.

    Parameters
    ----------
    e : array, shape (N, O, *space)
        ε, shaped as the result of ``convolve(z, w, ...)`` with the same options.
    z : array, shape (N, C, *space)
        The pictures.
    w : array, shape (O, C, *kernel)
        The kernels.
    mode, boundary, stride, dilation, flip, method
        As in `convolve`; "fft" transforms each of ε, z and w once for both products.

    Returns
    -------
    delta : array, shape (N, C, *space)
        The gradient in z.
    g_w : array, shape (O, C, *kernel)
        The gradient in w, summed over the pictures.
    g_b : array, shape (O,)
        The gradient in b.

    Raises
    ------
    TypeError, ValueError
        As in `convolve`, and if ε has another shape than its result.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> z, w = np.asarray([[[1.0, 2.0, 4.0]]]), np.asarray([[[1.0, -1.0]]])
    >>> delta, g_w, g_b = xs.convolve_adjoint(np.asarray([[[1.0, 10.0]]]), z, w, method="im2col")
    >>> delta, g_w, g_b
    (array([[[  1.,   9., -10.]]]), array([[[21., 42.]]]), array([11.]))
    """
    xp, e, z, w, plan = _entered_adjoint(e, z, w, mode, boundary, stride, dilation, flip, method)
    delta, g_w = _backward(xp, e, z, w, plan, method)
    return delta, g_w, _offset_adjoint(xp, e)


def convolve_kernel_adjoint(
    e: Array, z: Array, w: Array, *, mode: str = "valid", stride: int | tuple[int, ...] = 1
) -> tuple[Array, Array]:
    """g_w and g_b alone, for the first layer: patches of z, which has the fewer channels there."""
    xp, e, z, w, plan = _entered_adjoint(e, z, w, mode, "zero", stride, 1, False, "auto")
    if e.shape[0] == 0:
        return xp.zeros_like(w), _offset_adjoint(xp, e)
    w = plan.cut(w)
    taps = tuple(slice(k) for k in w.shape[2:])
    z, _, left, w, dilation = _prepared(xp, z, w, plan)
    g = _correlation.kernel_adjoint(xp, e, z, w, left, dilation)
    if plan.strided:
        g = _unphased(xp, g, plan.stride)[(..., *taps)]
    return plan.uncut(xp, g), _offset_adjoint(xp, e)


def _offset_adjoint(xp: Namespace, e: Array) -> Array:
    return xp.sum(e, axis=(0, *range(2, e.ndim)))


def _entered_adjoint(
    e: Array, z: Array, w: Array, mode: str, boundary: str, stride: Any, dilation: Any, flip: bool, method: str
) -> tuple[Namespace, Array, Array, Array, _Plan]:
    """The arguments of an adjoint, checked."""
    xp, (e, z, w) = enter(e=e, z=z, w=w)
    plan = _plan(tuple(z.shape), tuple(w.shape), mode, boundary, stride, dilation, flip)
    check_option(method, "method", METHODS)
    expected = (z.shape[0], w.shape[0], *plan.out)
    if tuple(e.shape) != expected:
        message = f"e: expected shape {expected}, that of convolve(z, w) with these options, got {tuple(e.shape)}."
        raise ValueError(message)
    return xp, e, z, w, plan


@dataclass(frozen=True)
class _Plan:
    """The geometry: sides, output, kernel origin, and what the padded picture needs on either side."""

    n: Lengths
    out: Lengths
    left: Lengths
    right: Lengths
    stride: Lengths
    dilation: Lengths
    periodic: bool
    flip: bool
    taps: Lengths
    kept: tuple[Lengths, ...]  # first and last of the taps that meet the picture, along each axis

    def cut(self, w: Array) -> Array:
        """The kernels without the taps that never meet the picture."""
        if self.taps == tuple(last - first for first, last in self.kept):
            return w
        return w[(..., *(slice(first, last) for first, last in self.kept))]

    def uncut(self, xp: Namespace, g: Array) -> Array:
        """The adjoint: zeros for those taps."""
        after = tuple(k - last for k, (_, last) in zip(self.taps, self.kept, strict=True))
        return padded(g, tuple(first for first, _ in self.kept), after)

    @property
    def pads(self) -> bool:
        """Whether the picture is padded before the correlation, which by itself sees zeros around."""
        return (self.periodic and any((*self.left, *self.right))) or self.strided

    @property
    def strided(self) -> bool:
        return any(s > 1 for s in self.stride)


def _plan(z: Lengths, w: Lengths, mode: str, boundary: str, stride: Any, dilation: Any, flip: bool) -> _Plan:
    """The geometry for pictures and kernels of these shapes, once they are checked."""
    check_option(mode, "mode", MODES)
    check_option(boundary, "boundary", BOUNDARIES)
    for found, name, shape in ((z, "z", "(N, C, *space)"), (w, "w", "(O, C, *kernel)")):
        if len(found) not in (3, 4, 5) or 0 in (found[1:] if name == "z" else found):
            message = f"{name}: expected shape {shape} with 1 to 3 axes of space, none empty, got {found}."
            raise ValueError(message)
    if len(w) != len(z) or w[1] != z[1]:
        message = (
            f"w: expected shape (O, {z[1]}, *kernel) with {len(z)} axes, as z {z} has, got {w}. "
            f"Channels go along the second axis."
        )
        raise ValueError(message)
    n, taps = z[2:], w[2:]
    stride, dilation = each(stride, "stride", len(n)), each(dilation, "dilation", len(n))
    check_flag(flip, "flip")
    if boundary == "periodic" and mode == "same":  # round the picture any number of times
        dilation = tuple(d if d <= m else d % m or m for d, m in zip(dilation, n, strict=True))
    reach = tuple(d * (k - 1) + 1 for k, d in zip(taps, dilation, strict=True))
    if mode == "valid" and any(s > m for s, m in zip(reach, n, strict=True)):
        message = (
            f"w: expected kernels that reach over at most {n}, the picture, in mode 'valid', got {reach}. "
            f"Modes 'same' and 'full' take larger ones."
        )
        raise ValueError(message)
    sums = [{"valid": 0, "same": s - 1, "full": 2 * (s - 1)}[mode] for s in reach]
    # The origin is tap (k − 1)//2, counted from the other end once the kernel is flipped.
    before = [(k - 1) // 2 if not flip else k // 2 for k in taps]
    same = [d * j for d, j in zip(dilation, before, strict=True)]
    left = tuple({"valid": 0, "same": a, "full": s - 1}[mode] for a, s in zip(same, reach, strict=True))
    right = tuple(t - a for t, a in zip(sums, left, strict=True))
    out = tuple((m + t - s) // q + 1 for m, t, s, q in zip(n, sums, reach, stride, strict=True))
    stride = tuple(q if m > 1 else 1 for q, m in zip(stride, out, strict=True))
    kept = tuple((0, k) for k in taps)
    if boundary == "zero":
        kept = tuple(map(_meeting, n, out, left, stride, dilation, taps))
    left = tuple(a - d * first for a, d, (first, _) in zip(left, dilation, kept, strict=True))
    dilation = tuple(d if last - first > 1 else 1 for d, (first, last) in zip(dilation, kept, strict=True))
    reach = tuple(d * (last - first - 1) + 1 for d, (first, last) in zip(dilation, kept, strict=True))
    right = tuple(
        c if last - first == k else (m - 1) * q + s - a - i
        for c, (first, last), k, m, q, s, a, i in zip(right, kept, taps, out, stride, reach, left, n, strict=True)
    )
    return _Plan(n, out, left, right, stride, dilation, boundary == "periodic", bool(flip), taps, kept)


def _meeting(n: int, out: int, left: int, stride: int, dilation: int, taps: int) -> tuple[int, int]:
    """First and last tap, the last not included, that some output has a pixel for; the others see zeros alone."""
    first = max(0, -(-(left - (out - 1) * stride) // dilation))
    return first, min(taps, (left + n - 1) // dilation + 1)


def _forward(xp: Namespace, z: Array, w: Array, plan: _Plan, method: str) -> Array:
    if z.shape[0] == 0:
        return xp.zeros((0, w.shape[0], *plan.out), dtype=z.dtype, device=device_of(z))
    w = plan.cut(_flipped(xp, w) if plan.flip else w)
    looked_at = (z,)
    z, n, left, w, dilation = _prepared(xp, z, w, plan)
    sizes = (z.shape[0], w.shape[1], *n), left, plan.out, dilation
    method = _chosen(xp, *sizes, method, w, looked_at, adjoint=False)
    if method == "fft":
        return _spectral.correlate(xp, z, w, left, plan.out, dilation)
    return _correlation.correlate(xp, z, w, left, plan.out, dilation, patches=method == "im2col")


def convolve_input_adjoint(e: Array, w: Array, plan: _Plan, method: str) -> Array:
    """δ alone, which does not depend on z."""
    xp, (e, w) = enter(e=e, w=w)
    return _backward(xp, e, None, w, plan, method)[0]


def _backward(
    xp: Namespace, e: Array, z: Array | None, w: Array, plan: _Plan, method: str
) -> tuple[Array, Array | None]:
    if e.shape[0] == 0:
        return xp.zeros((0, w.shape[1], *plan.n), dtype=e.dtype, device=device_of(e)), xp.zeros_like(w)
    w = plan.cut(_flipped(xp, w) if plan.flip else w)
    taps = tuple(slice(0, d * (k - 1) + 1, d) for k, d in zip(w.shape[2:], plan.dilation, strict=True))
    looked_at = (e,) if z is None else (e, z)
    z, n, left, w, dilation = _prepared(xp, z, w, plan)
    sizes = (e.shape[0], w.shape[1], *n), left, plan.out, dilation
    method = _chosen(xp, *sizes, method, w, looked_at, adjoint=True)
    if method == "fft":
        delta, g = _spectral.correlate_adjoint(xp, e, z, w, n, left, dilation)
    else:
        patches = method == "im2col"
        delta, g = _correlation.correlate_adjoint(xp, e, z, w, n, left, dilation, patches=patches)
    if plan.strided:
        delta = _unphased(xp, delta, plan.stride)
        g = None if g is None else _unphased(xp, g, plan.stride)[(..., *taps)]
    if plan.pads:
        for axis, (a, m, c) in enumerate(zip(plan.left, plan.n, plan.right, strict=True), 2):
            delta = _unpadded(xp, delta, axis, a, m, c, plan.periodic)
    if g is None:
        return delta, None
    g = plan.uncut(xp, g)
    return delta, _flipped(xp, g) if plan.flip else g


def _prepared(
    xp: Namespace, z: Array | None, w: Array, plan: _Plan
) -> tuple[Array | None, Lengths, Lengths, Array, Lengths]:
    """Picture, its sides, origin, kernel and dilation of the correlation with stride 1 that is left to do."""
    if not plan.pads:
        return z, plan.n, plan.left, w, plan.dilation
    zero, one = (0,) * len(plan.n), (1,) * len(plan.n)
    sides = tuple(a + m + c for a, m, c in zip(plan.left, plan.n, plan.right, strict=True))
    if z is not None and plan.periodic:
        for axis, (a, c) in enumerate(zip(plan.left, plan.right, strict=True), 2):
            z = _wrapped(xp, z, axis, a, c)
    elif z is not None:
        z = padded(z, plan.left, plan.right)
    if not plan.strided:
        return z, sides, zero, w, plan.dilation
    for axis, d in enumerate(plan.dilation, 2):
        w = spread(xp, w, axis, d)
    reach = [-(-s // q) for s, q in zip(w.shape[2:], plan.stride, strict=True)]
    phase = tuple(i + r - 1 for i, r in zip(plan.out, reach, strict=True))
    if z is not None:
        z = padded(z, zero, tuple(q * m - s for q, m, s in zip(plan.stride, phase, sides, strict=True)))
        z = _phased(xp, z, plan.stride)
    w = padded(w, zero, tuple(q * r - s for q, r, s in zip(plan.stride, reach, w.shape[2:], strict=True)))
    return z, phase, zero, _phased(xp, w, plan.stride), one


def _flipped(xp: Namespace, w: Array) -> Array:
    return xp.flip(w, axis=tuple(range(2, w.ndim)))


def _phased(xp: Namespace, x: Array, stride: Lengths) -> Array:
    """(N, C, *sq) as (N, C·∏s, *q): pixels i·s + r become channel r of pixel i."""
    dim = len(stride)
    pairs = [length for m, s in zip(x.shape[2:], stride, strict=True) for length in (m // s, s)]
    x = xp.reshape(x, (*x.shape[:2], *pairs))
    x = xp.permute_dims(x, (0, 1, *range(3, 3 + 2 * dim, 2), *range(2, 2 + 2 * dim, 2)))
    return xp.reshape(x, (x.shape[0], x.shape[1] * math.prod(stride), *pairs[::2]))


def _unphased(xp: Namespace, x: Array, stride: Lengths) -> Array:
    dim, sides = len(stride), x.shape[2:]
    x = xp.reshape(x, (x.shape[0], x.shape[1] // math.prod(stride), *stride, *sides))
    x = xp.permute_dims(x, (0, 1, *(axis for a in range(dim) for axis in (2 + dim + a, 2 + a))))
    return xp.reshape(x, (*x.shape[:2], *(m * s for m, s in zip(sides, stride, strict=True))))


def _wrapped(xp: Namespace, z: Array, axis: int, left: int, right: int) -> Array:
    """The picture continued periodically along an axis."""
    if not (left or right):
        return z
    n, before = z.shape[axis], (slice(None),) * axis
    parts = [z] * (left // n + 1 + right // n)
    if left % n:
        parts.insert(0, z[(*before, slice(n - left % n, n), ...)])
    if right % n:
        parts.append(z[(*before, slice(0, right % n), ...)])
    return xp.concat(parts, axis=axis)


def _unpadded(xp: Namespace, delta: Array, axis: int, left: int, n: int, right: int, periodic: bool) -> Array:
    """The adjoint of the padding: cut off, or added where it was taken from; beyond the last stride it is zero."""
    before = (slice(None),) * axis
    missing = left + n + max(right, 0) - delta.shape[axis]
    widths = [0] * (delta.ndim - 2)
    widths[axis - 2] = missing
    delta = padded(delta, (0,) * len(widths), tuple(widths))
    if not periodic or not (left or right):
        return delta[(*before, slice(left, left + n), ...)]
    ahead, behind = -left % n, -right % n
    widths_left, widths_right = [0] * len(widths), [0] * len(widths)
    widths_left[axis - 2], widths_right[axis - 2] = ahead, behind
    delta = padded(delta, tuple(widths_left), tuple(widths_right))
    whole = (*delta.shape[:axis], delta.shape[axis] // n, n, *delta.shape[axis + 1 :])
    return xp.sum(xp.reshape(delta, whole), axis=axis)


def _chosen(
    xp: Namespace,
    z: Lengths,
    left: Lengths,
    out: Lengths,
    dilation: Lengths,
    method: str,
    w: Array,
    looked_at: tuple[Array, ...],
    *,
    adjoint: bool,
) -> str:
    """The cheapest method that keeps the digits; im2col in place of a transform that the library lacks."""
    transforms = hasattr(xp, "fft")
    if method != "auto":
        return method if transforms or method != "fft" else "im2col"
    shapes = z, tuple(w.shape), out, left, dilation
    item = 4 if w.dtype == xp.float32 else 8
    options = {
        name: costs.correlation(*shapes, method=name, adjoint=adjoint, itemsize=item)
        for name in costs.CONVOLUTION_METHODS
        if transforms or name != "fft"
    }
    on_device = on_accelerator(w)
    machine = costs.TYPICAL["gpu" if on_device else "cpu"]
    cheapest = costs.cheapest(options, machine)
    if cheapest != "fft" or on_device:
        return cheapest
    reach = spans(w, dilation)
    if keeps_digits(innermost(w), w.shape[2:], kernels=True) and all(
        keeps_digits(innermost(x), reach) for x in looked_at
    ):
        return cheapest
    del options["fft"]
    return costs.cheapest(options, machine)
