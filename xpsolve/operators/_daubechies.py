"""Daubechies' filters: 2N coefficients, N vanishing moments, made by spectral factorisation (Daubechies 1992, §6.1).

The filter h(z) = ((1 + z)/2)ᴺ q(z)·√2 is orthogonal to its shifts by two where |q|² = P(y), y = (2 − z − 1/z)/4,

    P(y) = Σ_{k<N} C(N − 1 + k, k) yᵏ

Each root of P is one pair z, 1/z, of which q has the one inside the unit circle.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

MOST_MOMENTS = 20  # up to which the filters are accurate to 2e-15


@cache
def daubechies(N: int) -> NDArray[np.float64]:
    """The low-pass filter h with N vanishing moments, (2N,): Σ h = √2, and Σ_m h_m h_{m+2k} is 1 for k = 0, else 0."""
    h, halves = np.ones(1), N
    for factor in _factors(N):  # with factors 1 + z between them, else digits cancel
        h = np.convolve(h, factor)
        for _ in range(len(factor) - 1):
            h, halves = np.convolve(h, [1.0, 1.0]), halves - 1
    for _ in range(halves):
        h = np.convolve(h, [1.0, 1.0])
    h *= math.sqrt(2) / math.fsum(h)
    h.setflags(write=False)
    return h


def _factors(N: int) -> list[NDArray[np.float64]]:
    """q as real factors: z − r for a real root r, z² − 2 Re(r) z + |r|² for two that are conjugate."""
    P = np.asarray([math.comb(N - 1 + k, k) for k in reversed(range(N))], dtype=np.float64)
    y = np.roots(P).astype(np.complex128)
    for _ in range(3):
        y = y - np.polyval(P, y) / np.polyval(np.polyder(P), y)  # Newton: eigenvalues are less accurate
    b = 1 - 2 * y  # (z + 1/z)/2
    r = b + np.sqrt(b * b - 1)
    r = np.where(np.abs(r) < 1, r, 1 / r)
    single = [np.asarray([1.0, -x]) for x in r[np.abs(r.imag) < 1e-8].real]
    pairs = [np.asarray([1.0, -2 * x.real, abs(x) ** 2]) for x in r[r.imag >= 1e-8]]
    return sorted(single + pairs, key=lambda factor: float(factor[1]))
