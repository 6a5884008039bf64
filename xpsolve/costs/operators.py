"""Costs of operators: norms, the adjoint test, convolution by each method."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from xpsolve.costs.model import CHECK_EVERY, Cost, cheapest, gemm
from xpsolve.trace.launches import joined

LANCZOS_STEPS = 12  # steps for the norm of A


CONVOLUTION_METHODS = ("im2col", "shift", "fft")


def operator_norm(n: int, p: int, *, n_iter: int = 20, itemsize: int = 8) -> Cost:
    """Power iteration: a product with A and one with Aᵀ a step, and one with A before the first."""
    product = gemm(n, 1, p, itemsize=itemsize)
    syncs = -(-n_iter // CHECK_EVERY) + 1
    return product * (2 * n_iter + 1) + Cost(launches=20 + 23 * n_iter, syncs=syncs)


def dot_test(n: int, p: int, *, trials: int = 3, itemsize: int = 8) -> Cost:
    """A product with A and one with Aᵀ for every pair of vectors."""
    stacked = 2 * joined(2 * trials) + joined(trials)
    return trials * (2 * gemm(n, 1, p, itemsize=itemsize) + Cost(launches=22)) + Cost(launches=23 + stacked, syncs=1)


def correlation(
    z: tuple[int, ...],
    w: tuple[int, ...],
    out: tuple[int, ...],
    left: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    method: str = "im2col",
    adjoint: bool = False,
    itemsize: int = 8,
) -> Cost:
    """Correlation of pictures z (N, C, *n) with kernels w (O, C, *k), stride 1, or both of its adjoints.

    Products cost 2·N·O·C·∏k flops per pixel, on rows as wide as the padded picture, and twice that for the adjoints;
    patches of the side with fewer channels are written and read.  Transforms cost n log n on the torus for
    each array, and a product of N, O and C a frequency, for some kernels at a time.
    A product over one number, or a small one per frequency, runs elementwise and counts no flops.

    Parameters
    ----------
    z, w : tuple of int
        Shapes of pictures and kernels.
    out : tuple of int
        Sides of the result.
    left : tuple of int
        Zeros before the picture along each axis.
    dilation : tuple of int
        Distance of the taps along each axis.
    method : str
        "im2col", "shift" or "fft".
    adjoint : bool
        Both adjoints, in place of the correlation.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the one call.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.correlation((1, 2, 10), (3, 2, 3), (8,), (0,), (1,)).flops
    288
    """
    (N, C, *n), (O, _, *k) = z, w
    reach = [d * (m - 1) + 1 for m, d in zip(k, dilation, strict=True)]
    if method == "fft":
        sides = [fast_length(max(m + a, i + s - 1 - a)) for m, i, s, a in zip(n, out, reach, left, strict=True)]
        return _spectral(N, C, O, sides, adjoint=adjoint, itemsize=itemsize)
    if method not in CONVOLUTION_METHODS:
        message = f"method: expected one of {', '.join(CONVOLUTION_METHODS)}, got {method!r}."
        raise ValueError(message)
    rows, taps = (n if adjoint else out), math.prod(k)
    widths = [m + s - 1 for m, s in zip(rows, reach, strict=True)]
    pixels = rows[0] * math.prod(widths[1:])
    into, onto = (O, C) if adjoint else (C, O)
    product = 2 * N * O * C * taps * pixels
    result = itemsize * N * onto * pixels
    # pictures padded, those of the other side widened, a result and the one it is cut to
    kept = itemsize * N * (into * math.prod(widths) + C * pixels * adjoint) + 2 * result
    if method == "shift":
        flops = product * (int(into > 1) + int(adjoint))  # a product over one row runs elementwise
        moved = (3 * onto + into * (1 + adjoint)) * taps
        return Cost(flops, itemsize * N * pixels * moved, (4 + 2 * adjoint) * taps, memory=kept + result)
    patches = itemsize * N * min(C, O) * taps * pixels
    blocks = max(1, patches >> 21)
    if onto < into and taps > 1:  # multiplies first, on the slices of all taps together, and adds
        beyond = sum(d * (m - 1) * math.prod(widths[a + 1 :]) for a, (m, d) in enumerate(zip(k, dilation, strict=True)))
        flops = 2 * N * O * C * taps * (pixels + beyond)
        launches = 8 + blocks * (2 + taps)
        if adjoint:
            seen = out[0] * math.prod(m + s - 1 for m, s in zip(out[1:], reach[1:], strict=True))
            flops += 2 * N * O * C * taps * seen
            launches += 6 + 4 * blocks
    else:
        flops = product * (int(into * taps > 1) + int(adjoint))
        launches = 8 + blocks * (4 + taps // 8)
    if patches > N << 21:  # blocks of rows are joined before those of samples
        kept += result
    return Cost(flops, int(_PATCH_PASSES[adjoint] * patches), launches, memory=kept + min(patches, 1 << 21))


# How often memory is passed over, fitted to times in both precisions on one core of an AMD EPYC: products at 91 shapes,
# transforms at 80.
_PATCH_PASSES = (0.75, 1.5)  # over the patches, for the correlation and for its adjoints


_FFT_LEVEL = 3.5  # bytes a pixel and level of a transform, in both precisions alike
_COPIES, _TERMS = 3, 1  # over the spectra, for products of them by BLAS; over all terms of sums along them


def _spectral(N: int, C: int, O: int, sides: list[int], *, adjoint: bool, itemsize: int) -> Cost:
    """By transforms, kernels some at a time."""
    pixels, frequencies = math.prod(sides), math.prod(sides[:-1]) * (sides[-1] // 2 + 1)
    arrays = 2 * (N * C + O * C) + N * O if adjoint else N * C + N * O + O * C
    blocks = spectral_blocks(O, C, sides, itemsize=itemsize)
    flops, passed, launches = 0, 0, 12 + (8 if adjoint else 5) * len(blocks)
    for o in blocks:
        for i, k, j in ((N, o, C), (o, N, C)) if adjoint else ((N, C, o),):
            if spectral_products(i, k, j, frequencies):
                flops += 8 * i * k * j * frequencies  # complex
                passed += _COPIES * (i * k + k * j + i * j)
                launches += 3
            else:
                passed += _TERMS * i * k * j
                launches += 2 * k
    traffic = _FFT_LEVEL * arrays * pixels * math.log2(pixels) + 2 * itemsize * passed * frequencies
    several = len(blocks) > 1  # then one block is there until the next is
    if adjoint:
        held = 5 * (N * C + N * O) // 2 + (3 + several) * blocks[0] * C
    else:
        held = 2 * N * C + (1 if several else 3) * N * O + (1 + several) * blocks[0] * C
    return Cost(flops, int(traffic), launches, memory=2 * itemsize * held * frequencies)


def spectral_products(i: int, k: int, j: int, frequencies: int) -> bool:
    """Whether products (i, k) by (k, j) at each frequency are for BLAS, not for k sums along the frequencies.

    BLAS is called for each frequency, on copies, and not for a matrix times a vector.
    """
    products, copies = i * k * j, i * k + k * j + i * j
    if min(i, j) == 1:
        copies += 5 * products
    return k > 1 and products + 8000 * k // frequencies > 128 + copies


def spectral_blocks(
    kernels: int, channels: int, sides: Sequence[int], *, itemsize: int = 8, accelerator: bool = False
) -> list[int]:
    """How many kernels to transform at a time, their spectra no larger than the caches."""
    spectrum = 2 * itemsize * channels * math.prod(sides[:-1]) * (sides[-1] // 2 + 1)
    together = max(1, (1 << 28 if accelerator else 1 << 21) // spectrum)
    together = -(-kernels // -(-kernels // together))  # the last block as large as the others
    return [min(together, kernels - first) for first in range(0, kernels, together)]


def fast_length(n: int) -> int:
    """The least length from n on with no prime factor above 5, for which a Fourier transform is fast."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def convolve(
    n: int,
    k: int,
    *,
    dim: int = 2,
    batch: int = 1,
    c: int = 1,
    o: int = 1,
    mode: str = "valid",
    method: str = "im2col",
    itemsize: int = 8,
) -> Cost:
    """Convolution of pictures of n pixels a side with kernels of k, with zeros around: `correlation`.

    Parameters
    ----------
    n, k : int
        Sides of pictures and kernels.
    dim : int
        Their dimension.
    batch, c, o : int
        Pictures, channels and kernels.
    mode : str
        "valid", "same" or "full".
    method : str
        "im2col", "shift" or "fft"; "auto" is the cheapest.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the one call.

    Examples
    --------
    >>> from xpsolve import costs
    >>> fft, im2col = (costs.convolve(512, 25, method=m).time(costs.TYPICAL["cpu"]) for m in ("fft", "im2col"))
    >>> fft < im2col
    True
    """
    shapes = _squares(n, k, dim, batch, c, o, mode)
    return _by(method, lambda m: correlation(*shapes, method=m, itemsize=itemsize))


def convolve_adjoint(
    n: int,
    k: int,
    *,
    dim: int = 2,
    batch: int = 1,
    c: int = 1,
    o: int = 1,
    mode: str = "valid",
    method: str = "im2col",
    itemsize: int = 8,
) -> Cost:
    """All three adjoints of the same convolution: twice its products, and the sum of ε over pixels."""
    shapes = _squares(n, k, dim, batch, c, o, mode)
    both = _by(method, lambda m: correlation(*shapes, method=m, adjoint=True, itemsize=itemsize))
    return both + _offset_adjoint(shapes, itemsize)


def convolve_kernel_adjoint(
    n: int, k: int, *, dim: int = 2, batch: int = 1, c: int = 1, o: int = 1, mode: str = "valid", itemsize: int = 8
) -> Cost:
    """g_w and g_b alone, as the first layer of a network has them: patches of the pictures times ε."""
    shapes = _squares(n, k, dim, batch, c, o, mode)
    out = shapes[2][0]
    pixels = out * (out + k - 1) ** (dim - 1)
    patches = itemsize * batch * c * k**dim * pixels
    blocks = max(1, patches >> 21)
    product = Cost(2 * batch * o * c * k**dim * pixels, 2 * patches, 10 + blocks * 4, memory=min(patches, 1 << 21))
    return product + _offset_adjoint(shapes, itemsize)


_Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _squares(n: int, k: int, dim: int, batch: int, c: int, o: int, mode: str) -> _Shapes:
    """Pictures, kernels, output, origin and dilation for sides that are all alike."""
    sums, left = {"valid": (0, 0), "same": (k - 1, (k - 1) // 2), "full": (2 * (k - 1), k - 1)}[mode]
    return (batch, c, *(n,) * dim), (o, c, *(k,) * dim), (n + sums - k + 1,) * dim, (left,) * dim, (1,) * dim


def _offset_adjoint(shapes: _Shapes, itemsize: int) -> Cost:
    (N, *_), (O, *_), out, *_ = shapes
    return Cost(0, itemsize * N * O * math.prod(out), 1)


def _by(method: str, cost: Callable[[str], Cost]) -> Cost:
    """The cost of a method, or for "auto" of the one that would be chosen."""
    options = {name: cost(name) for name in (CONVOLUTION_METHODS if method == "auto" else (method,))}
    return options[cheapest(options)]


def kronecker(shapes: tuple[tuple[int, int], ...], k: int = 1, *, itemsize: int = 8) -> Cost:
    """A Kronecker product of matrices (n_i, p_i) on k columns: axis after axis, those before have their n_i."""
    total, length = Cost(), k * math.prod(p for _, p in shapes)
    for n, p in shapes:
        total += gemm(n, length // p, p, itemsize=itemsize)
        length = length // p * n
    return total


def differences(
    n: int | tuple[int, ...], *, dim: int = 1, k: int = 1, adjoint: bool = False, itemsize: int = 8
) -> Cost:
    """Differences of k pictures along each axis, or their adjoint: one launch, and no products.

    Parameters
    ----------
    n : int or tuple of int
        Side of the pictures, the same for each axis, or all sides.
    dim : int
        Number of axes, where n is one side.
    k : int
        Pictures.
    adjoint : bool
        The adjoint in place of the gradient.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one product.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.differences((512, 512)).launches
    1
    """
    sides = n if isinstance(n, tuple) else (n,) * dim
    size = itemsize * k * math.prod(sides)
    wide = sum(side > 1 for side in sides)
    if adjoint:
        return Cost(0, size * (1 + 6 * wide), 1, memory=size)
    return Cost(0, size * (len(sides) + 3 * wide), 1, memory=len(sides) * size)


def wavelet(
    n: int | tuple[int, ...],
    order: int = 1,
    *,
    levels: int | None = None,
    dim: int = 1,
    k: int = 1,
    itemsize: int = 8,
) -> Cost:
    """A wavelet transform of k pictures, or its inverse: 4N flops a place of an axis and level, N the order.

    Each level has half of the sides, and on d axes costs 2⁻ᵈ of the one before: together at most 2 of the first level.
    ``launches`` are at most so many: a result that is to lie in another order is copied, on each axis in one direction.

    Parameters
    ----------
    n : int or tuple of int
        Side of the pictures, the same for each axis, or all sides.
    order : int
        Vanishing moments.
    levels : int, optional
        As often as the sides can be halved if None.
    dim : int
        Number of axes, where n is one side.
    k : int
        Pictures.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one product.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.wavelet(1024, 4, levels=1).flops == 16 * 1024
    True
    """
    sides = n if isinstance(n, tuple) else (n,) * dim
    depth = min((side & -side).bit_length() - 1 for side in sides) if levels is None else levels
    total = Cost()
    for level in range(depth):
        here = [side >> level for side in sides]
        places = k * math.prod(here)
        for side in here:
            copies = 1 + -(-(order - 1) // (side // 2))  # of the pairs, the last of them cut
            longer = joined(copies) if order > 1 else 0
            # the longer pairs are written, then their 2N shifts, which the product reads
            traffic = itemsize * places * (2 * (order > 1) + 2 * order)
            product = gemm(2, places // 2, 2 * order, itemsize=itemsize)
            moves = Cost(0, traffic, longer + joined(2 * order) + 1, memory=itemsize * places * order)
            total += product + moves
            total = replace(total, products=0, results=0)  # `traffic` is all that moves
        if level:
            total += Cost(0, 2 * itemsize * places, 2 * len(sides) + int(len(sides) > 2))
    return total


def fourier(
    n: int | tuple[int, ...],
    *,
    dim: int = 1,
    k: int = 1,
    adjoint: bool = False,
    masked: bool = False,
    itemsize: int = 8,
) -> Cost:
    """The unitary transform of k complex pictures, or its adjoint: passes over memory, a logarithm of them.

    Parameters
    ----------
    n : int or tuple of int
        Side of the pictures, the same for each axis, or all sides.
    dim : int
        Number of axes, where n is one side.
    k : int
        Pictures.
    adjoint : bool
        The adjoint in place of the transform.
    masked : bool
        Whether some frequencies alone are kept; their number is taken as all, from above.
    itemsize : int
        Bytes per real number; a complex one has two.

    Returns
    -------
    Cost
        Of one product.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.fourier((512, 512)).launches
    2
    """
    places = math.prod(n if isinstance(n, tuple) else (n,) * dim)
    size = 2 * itemsize * k * places
    transform = int(_FFT_LEVEL * k * places * math.log2(max(places, 2)) * itemsize / 4)  # of all frequencies
    taken = 2 * size if masked else 0  # read and written; before an adjoint they are put among zeros
    if adjoint:
        return Cost(0, transform + 2 * taken, 2 + 4 * masked, memory=2 * size)
    return Cost(0, transform + taken, 2 + masked, memory=2 * size)
