"""Correlation and its two adjoints by matrix products, on pictures whose rows stay where they are.

With stride 1, y[o, i] = Σ_{c,j} w[o, c, j]·z[c, i + dj − l].  In a padded picture, flattened, the shift by j is one
offset whatever the dimension: the patches of all pixels are K slices of long contiguous runs.  Output rows then contain
a few pixels that are not part of the output, which are cut off.  `im2col` stacks the slices of a block that fits the
cache and multiplies once (Chellapilla et al. 2006); where channels grow fewer it multiplies first, by all taps at once,
and adds slices of the result.  `shift` multiplies each slice and adds (Anderson et al. 2017), without a copy.

On an accelerator several pictures become one with one more axis, so that each product is one of two matrices.

δ is the same sum with ε for z and the kernels flipped: δ[c, u] = Σ_{o,j} w[o, c, j]·ε[o, u − dj + l].  And
g[o, c, j] = Σ_u z[c, u]·ε[o, u − dj + l] = Σ_i ε[o, i]·z[c, i + dj − l], from slices of the one with fewer channels:
of ε, whose patches are then used for δ and g, or of z.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import product

from xpsolve.arrays import Array, Namespace, device_of, namespace_of, native, on_accelerator
from xpsolve.operators._sides import Lengths

_CACHE = 1 << 21  # bytes of a block of patches: few calls, and no more than stays in the caches
_MEMORY = 1 << 28  # the same on an accelerator, where only memory limits it


def spans(w: Array, dilation: Lengths) -> Lengths:
    """Pixels that a kernel reaches over along each axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True))


def correlate(
    xp: Namespace, z: Array, w: Array, left: Lengths, out: Lengths, dilation: Lengths, *, patches: bool
) -> Array:
    """y (N, O, *out) of z (N, C, *n) with zeros around; `patches` tells im2col from shift."""
    if _batched(z):
        out, left, dilation = (z.shape[0], *out), (0, *left), (1, *dilation)
        return _apart(xp, correlate(xp, _together(xp, z), _thin(xp, w), left, out, dilation, patches=patches))
    reach = spans(w, dilation)
    right = tuple(m + s - 1 - a - n for m, s, a, n in zip(out, reach, left, z.shape[2:], strict=True))
    flat, sides = _flat(xp, z, left, right, reach)
    offsets = _offsets(w.shape[2:], sides, dilation)
    W = _taps(xp, w)
    first = _product_first(flat, patches, len(offsets), *w.shape[:2])
    rows = []
    for samples, lines in _blocks(flat, out[0], len(offsets) * min(w.shape[:2]), sides):
        if first:
            y = _summed(xp, W, flat[samples, ...], offsets, lines, sides, patches)
        else:
            y = _product(W, _parts(xp, flat[samples, ...], offsets, lines, sides, patches))
        rows.append((samples, _cropped(xp, y, lines, sides, out)))
    return _joined(xp, rows)


def correlate_adjoint(
    xp: Namespace, e: Array, z: Array | None, w: Array, n: Lengths, left: Lengths, dilation: Lengths, *, patches: bool
) -> tuple[Array, Array | None]:
    """δ (N, C, *n) and g (O, C, *k) of the same correlation, z without padding; without z, δ alone."""
    if _batched(e):
        n, left, dilation = (e.shape[0], *n), (0, *left), (1, *dilation)
        pixels = None if z is None else _together(xp, z)
        delta, g = correlate_adjoint(xp, _together(xp, e), pixels, _thin(xp, w), n, left, dilation, patches=patches)
        return _apart(xp, delta), None if g is None else xp.squeeze(g, axis=2)
    reach = spans(w, dilation)
    before = tuple(s - 1 - a for s, a in zip(reach, left, strict=True))
    after = tuple(m + a - i for m, a, i in zip(n, left, e.shape[2:], strict=True))
    flat, sides = _flat(xp, e, before, after, reach)
    offsets = _offsets(w.shape[2:], sides, dilation)
    axes = tuple(range(2, w.ndim))
    W = _taps(xp, xp.flip(xp.permute_dims(w, (1, 0, *axes)), axis=axes))
    first = _product_first(flat, patches, len(offsets), w.shape[1], w.shape[0])
    pixels = None
    if z is not None and not first:  # rows as wide as those of ε
        wide = padded(z, (0,) * len(n), (0, *(s - 1 for s in reach[1:])))
        pixels = xp.reshape(wide, (*z.shape[:2], -1))
    rows, g = [], None
    for samples, lines in _blocks(flat, n[0], len(offsets) * min(w.shape[:2]), sides):
        if first:
            delta = _summed(xp, W, flat[samples, ...], offsets, lines, sides, patches)
        else:
            parts = _parts(xp, flat[samples, ...], offsets, lines, sides, patches)
            delta = _product(W, parts)
            if pixels is not None:
                term = _correlated(xp, pixels[samples, :, _run(lines, sides)], parts)
                g = term if g is None else g + term
            del parts  # before the next are made
        rows.append((samples, _cropped(xp, delta, lines, sides, n)))
    if g is not None:
        g = xp.reshape(g, (w.shape[1], *w.shape[2:], w.shape[0]))
        g = xp.flip(xp.permute_dims(g, (w.ndim - 1, 0, *range(1, w.ndim - 1))), axis=axes)
    elif z is not None:
        g = kernel_adjoint(xp, e, z, w, left, dilation)
    return _joined(xp, rows), g


def kernel_adjoint(xp: Namespace, e: Array, z: Array, w: Array, left: Lengths, dilation: Lengths) -> Array:
    """g (O, C, *k) alone: g[o, c, j] = Σ_i ε[o, i]·z[c, i + dj − l], from patches of z as the correlation has them."""
    if _batched(z):
        g = kernel_adjoint(xp, _together(xp, e), _together(xp, z), _thin(xp, w), (0, *left), (1, *dilation))
        return xp.squeeze(g, axis=2)
    reach, out = spans(w, dilation), e.shape[2:]
    right = tuple(m + s - 1 - a - n for m, s, a, n in zip(out, reach, left, z.shape[2:], strict=True))
    flat, sides = _flat(xp, z, left, right, reach)
    offsets = _offsets(w.shape[2:], sides, dilation)
    wide = padded(e, (0,) * len(out), (0, *(s - 1 for s in reach[1:])))  # rows as wide as those of z
    pixels = xp.reshape(wide, (*e.shape[:2], -1))
    g = None
    for samples, lines in _blocks(flat, out[0], len(offsets) * w.shape[1], sides):
        part = pixels[samples, :, _run(lines, sides)]
        term = _correlated(xp, part, _parts(xp, flat[samples, ...], offsets, lines, sides, True))
        g = term if g is None else g + term
    g = xp.reshape(g, (w.shape[0], *w.shape[2:], w.shape[1]))
    return xp.permute_dims(g, (0, w.ndim - 1, *range(1, w.ndim - 1)))


def _batched(z: Array) -> bool:
    """Whether to join the pictures: an accelerator then has single products where it would copy for many."""
    return z.shape[0] > 1 and on_accelerator(z)


def _together(xp: Namespace, z: Array) -> Array:
    """Pictures (N, C, *n) as one (1, C, N, *n), along whose first axis the kernels do not reach."""
    return xp.expand_dims(xp.permute_dims(z, (1, 0, *range(2, z.ndim))), axis=0)


def _thin(xp: Namespace, w: Array) -> Array:
    """Kernels (O, C, *k) as (O, C, 1, *k)."""
    return xp.expand_dims(w, axis=2)


def _apart(xp: Namespace, y: Array) -> Array:
    """The inverse of `_together`."""
    return xp.permute_dims(y[0, ...], (1, 0, *range(2, y.ndim - 1)))


def padded(x: Array, left: Lengths, right: Lengths) -> Array:
    """x (N, C, *n) with zeros on both sides of the last axes; a negative width on the right cuts."""
    if any(b < 0 for b in right):
        x = x[(..., *(slice(m + min(b, 0)) for m, b in zip(x.shape[2:], right, strict=True)))]
        right = tuple(max(b, 0) for b in right)
    return surrounded(x, left, right) if any((*left, *right)) else x


@native
def surrounded(x: Array, left: Lengths, right: Lengths) -> Array:
    """x with so many zeros before and after it along each of the last axes."""
    xp = namespace_of(x)
    for axis, (a, b) in enumerate(zip(left, right, strict=True), 2):
        if a or b:
            parts = [_zeros(xp, x, axis, a), x, _zeros(xp, x, axis, b)]
            x = xp.concat([part for part in parts if part.shape[axis]], axis=axis)
    return x


@surrounded.register("cupy")
def _surrounded_cupy(x: Array, left: Lengths, right: Lengths) -> Array:
    import cupy

    y = cupy.zeros((*x.shape[:2], *(a + m + b for a, m, b in zip(left, x.shape[2:], right, strict=True))), x.dtype)
    y[(..., *(slice(a, a + m) for a, m in zip(left, x.shape[2:], strict=True)))] = x
    return y


@surrounded.register("dask")
def _surrounded_dask(x: Array, left: Lengths, right: Lengths) -> Array:
    # in one chunk: each shift would cut the chunks anew, and a product has a task for each pair of them
    return surrounded.standard(x, left, right).rechunk((*x.chunks[:2], *(-1,) * len(left)))


def spread(xp: Namespace, x: Array, axis: int, step: int) -> Array:
    """x with step − 1 zeros between its entries along an axis."""
    if step == 1:
        return x
    shape = (*x.shape[: axis + 1], step - 1, *x.shape[axis + 1 :])
    gaps = xp.zeros(shape, dtype=x.dtype, device=device_of(x))
    both = xp.concat([xp.expand_dims(x, axis=axis + 1), gaps], axis=axis + 1)
    wide = xp.reshape(both, (*x.shape[:axis], x.shape[axis] * step, *x.shape[axis + 1 :]))
    return wide[(*(slice(None),) * axis, slice(0, (x.shape[axis] - 1) * step + 1), ...)]


def _zeros(xp: Namespace, x: Array, axis: int, length: int) -> Array:
    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    return xp.zeros(shape, dtype=x.dtype, device=device_of(x))


def _flat(xp: Namespace, x: Array, left: Lengths, right: Lengths, reach: Lengths) -> tuple[Array, Lengths]:
    """The padded picture as (N, C, pixels), with a line more where the last shift runs over its end; its sides."""
    line = int(any(s > 1 for s in reach[1:]))
    x = padded(x, left, (right[0] + line, *right[1:]))
    return xp.reshape(x, (*x.shape[:2], -1)), (x.shape[2] - line, *x.shape[3:])


def _offsets(kernel: Lengths, sides: Lengths, dilation: Lengths) -> list[int]:
    """Where the pixel of each tap lies in the flat picture, relative to that of the first."""
    steps = [d * math.prod(sides[a + 1 :]) for a, d in enumerate(dilation)]
    return [sum(j * s for j, s in zip(tap, steps, strict=True)) for tap in product(*map(range, kernel))]


def _taps(xp: Namespace, w: Array) -> Array:
    """(O, C, *k) as (O, K·C), tap by tap."""
    return xp.reshape(xp.permute_dims(w, (0, *range(2, w.ndim), 1)), (w.shape[0], -1))


def _blocks(flat: Array, rows: int, height: int, sides: Lengths) -> Iterator[tuple[slice, tuple[int, int]]]:
    """Samples and rows whose patches, so many numbers per pixel, fit the cache: some samples, or some rows of one."""
    item = 4 if "32" in str(flat.dtype) else 8
    line = item * height * math.prod(sides[1:])
    budget = _MEMORY if on_accelerator(flat) else _CACHE
    together = max(budget // (line * rows), 1)
    height = min(max(budget // line, 1), rows)
    height = -(-rows // -(-rows // height))  # the last block as high as the others
    for first in range(0, flat.shape[0], together):
        samples = slice(first, min(first + together, flat.shape[0]))
        for top in range(0, rows, height):
            yield samples, (top, min(top + height, rows))


def _run(lines: tuple[int, int], sides: Lengths) -> slice:
    step = math.prod(sides[1:])
    return slice(lines[0] * step, lines[1] * step)


def _parts(
    xp: Namespace, flat: Array, offsets: list[int], lines: tuple[int, int], sides: Lengths, patches: bool
) -> list[Array]:
    """The slices of all taps, one below the other where they are patches."""
    run = _run(lines, sides)
    shifted = [flat[:, :, run.start + offset : run.stop + offset] for offset in offsets]
    return [xp.concat(shifted, axis=1)] if patches and len(shifted) > 1 else shifted


def _product_first(flat: Array, patches: bool, taps: int, onto: int, into: int) -> bool:
    """Whether to multiply before the shift: fewer numbers are then shifted, and an accelerator copies no slice."""
    return taps > 1 and (onto < into if patches else on_accelerator(flat))


def _summed(
    xp: Namespace, W: Array, flat: Array, offsets: list[int], lines: tuple[int, int], sides: Lengths, patches: bool
) -> Array:
    """The same product, by all taps at once or one after the other, and then the sum of slices, each one a tap."""
    run, onto, taps = _run(lines, sides), W.shape[0], len(offsets)
    stacked = xp.reshape(xp.permute_dims(xp.reshape(W, (onto, taps, -1)), (1, 0, 2)), (taps * onto, -1))
    part = flat[:, :, run.start : run.stop + offsets[-1]]
    rows = [slice(j * onto, (j + 1) * onto) for j in range(taps)]
    length = run.stop - run.start
    if patches:
        P = stacked @ part
        slices: Iterable[Array] = [P[:, row, a : a + length] for row, a in zip(rows, offsets, strict=True)]
    else:
        part = xp.asarray(part, copy=True)  # once here, instead of in each product
        slices = (_weighted(stacked[row, :], part)[:, :, a : a + length] for row, a in zip(rows, offsets, strict=True))
    return _total(slices)


def _total(terms: Iterable[Array]) -> Array:
    """Their sum, one after the other."""
    total = None
    for j, x in enumerate(terms):
        if total is None:
            total = x
        elif j == 1:
            total = total + x
        else:
            total += x  # the sum may be overwritten: it is a new array
    return total


def _correlated(xp: Namespace, pixels: Array, parts: list[Array]) -> Array:
    """Σ_n pixels·partsᵀ: kernels of as many taps as there are parts."""
    if pixels.shape[0] == 1:
        terms = [pixels[0, ...] @ x[0, ...].T for x in parts]
    else:
        terms = [xp.sum(pixels @ xp.matrix_transpose(x), axis=0) for x in parts]
    return terms[0] if len(terms) == 1 else xp.concat(terms, axis=1)


def _cropped(xp: Namespace, y: Array, lines: tuple[int, int], sides: Lengths, out: Lengths) -> Array:
    """Rows without the pixels at their ends that are no output."""
    y = xp.reshape(y, (*y.shape[:2], lines[1] - lines[0], *sides[1:]))
    return y[(..., *(slice(m) for m in out[1:]))] if len(out) > 1 else y


def _weighted(W: Array, x: Array) -> Array:
    """W x; a product over one channel does not use BLAS."""
    return W * x if W.shape[1] == 1 else W @ x


def _product(W: Array, parts: list[Array]) -> Array:
    """W times the parts, one below the other."""
    height = parts[0].shape[1]
    y = _weighted(W[:, :height], parts[0])
    for j, x in enumerate(parts[1:], 1):
        y = y + _weighted(W[:, j * height : (j + 1) * height], x)
    return y


def _joined(xp: Namespace, blocks: list[tuple[slice, Array]]) -> Array:
    """Blocks of rows, then samples, one after the other."""
    pictures: dict[int, list[Array]] = {}
    for samples, y in blocks:
        pictures.setdefault(samples.start, []).append(y)
    whole = [parts[0] if len(parts) == 1 else xp.concat(parts, axis=2) for parts in pictures.values()]
    return whole[0] if len(whole) == 1 else xp.concat(whole, axis=0)
