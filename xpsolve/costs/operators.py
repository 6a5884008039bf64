"""Costs of operators: norms, the adjoint test, convolution by each method."""

from __future__ import annotations

import math

from xpsolve.costs.model import CHECK_EVERY, Cost, gemm

LANCZOS_STEPS = 12  # steps for the norm of A


CONVOLUTION_METHODS = ("im2col", "shift", "fft")


def operator_norm(n: int, p: int, *, n_iter: int = 20, itemsize: int = 8) -> Cost:
    """Power iteration: a product with A and one with Aᵀ a step, and one with A before the first."""
    product = gemm(n, 1, p, itemsize=itemsize)
    syncs = -(-n_iter // CHECK_EVERY) + 1
    return product * (2 * n_iter + 1) + Cost(launches=13 + 12 * n_iter, syncs=syncs)


def dot_test(n: int, p: int, *, trials: int = 3, itemsize: int = 8) -> Cost:
    """A product with A and one with Aᵀ for every pair of vectors."""
    return trials * (2 * gemm(n, 1, p, itemsize=itemsize) + Cost(launches=17, syncs=1))


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

    Products cost 2·N·O·C·∏k flops a pixel, on rows as wide as the padded picture, and twice that for the adjoints;
    patches are written and read.  Transforms cost what so many passes over the torus do, and a product of N, O and C a
    frequency.
    A product over one number runs elementwise and counts no flops.

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
        Bytes a number.

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
        pixels, frequencies = math.prod(sides), math.prod(sides[:-1]) * (sides[-1] // 2 + 1)
        inner, arrays = ((O, N), 2 * (N * C + O * C) + N * O) if adjoint else ((C,), N * C + N * O + O * C)
        flops = sum(2 * N * C * O * frequencies for length in inner if length > 1)
        traffic = _FFT_PASSES * itemsize * arrays * pixels
        return Cost(flops, traffic + 2 * itemsize * N * C * O * frequencies, 30 if adjoint else 18)
    if method not in CONVOLUTION_METHODS:
        message = f"method: expected one of {', '.join(CONVOLUTION_METHODS)}, got {method!r}."
        raise ValueError(message)
    rows, taps = (n if adjoint else out), math.prod(k)
    pixels = rows[0] * math.prod(m + s - 1 for m, s in zip(rows[1:], reach[1:], strict=True))
    into, onto = (O, C) if adjoint else (C, O)
    product = 2 * N * O * C * taps * pixels
    height = into if method == "shift" else into * taps  # a product over one row runs elementwise
    flops = product * (int(height > 1) + int(adjoint))
    blocks = max(1, N * taps * into * pixels * itemsize >> 21)
    if method == "shift":
        moved = (3 * onto + into * (1 + adjoint)) * taps
        return Cost(flops, itemsize * N * pixels * moved, (4 + 2 * adjoint) * taps)
    patches = itemsize * N * into * taps * pixels
    return Cost(
        flops, int(_PATCH_PASSES[adjoint] * patches), 8 + blocks * (4 + taps // 8), memory=min(patches, 1 << 21)
    )


# How often memory is passed over, fitted to times of 38 shapes in both precisions on one core of an AMD EPYC.
_PATCH_PASSES = (1.5, 3)  # over the patches, for the correlation and for its adjoints


_FFT_PASSES = 14  # over the arrays, to transform and to multiply them


def fast_length(n: int) -> int:
    """The least length from n on with no prime factor above 5, which a Fourier transform is fast for."""
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
    adjoint: bool = False,
    itemsize: int = 8,
) -> Cost:
    """Convolution of pictures of n pixels a side with kernels of k, or its adjoints, with zeros around: `correlation`.

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
        "im2col", "shift" or "fft".
    adjoint : bool
        The adjoints, in place of the convolution.
    itemsize : int
        Bytes a number.

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
    sums, left = {"valid": (0, 0), "same": (k - 1, (k - 1) // 2), "full": (2 * (k - 1), k - 1)}[mode]
    shapes = (batch, c, *(n,) * dim), (o, c, *(k,) * dim), (n + sums - k + 1,) * dim, (left,) * dim, (1,) * dim
    return correlation(*shapes, method=method, adjoint=adjoint, itemsize=itemsize)


def kronecker(shapes: tuple[tuple[int, int], ...], k: int = 1, *, itemsize: int = 8) -> Cost:
    """A Kronecker product of matrices (n_i, p_i) on k columns: axis after axis, those before have their n_i."""
    total, length = Cost(), k * math.prod(p for _, p in shapes)
    for n, p in shapes:
        total += gemm(n, length // p, p, itemsize=itemsize)
        length = length // p * n
    return total
