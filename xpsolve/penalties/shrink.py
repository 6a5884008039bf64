"""Soft-thresholding  S_t(x) = x·max(1 − t/|x|, 0),  the proximal map of t‖·‖₁ (Peyré 2020, equation 14.7).

For real x it is sign(x)·max(|x| − t, 0); a complex x keeps its phase.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    abs_or_one,
    check_number,
    device_of,
    enter,
    enter_numbers,
    is_array,
    is_complex,
    namespace_of,
    native,
    real_dtype,
    real_part,
)
from xpsolve.autodiff.rules import define_elementwise
from xpsolve.capabilities import capabilities


@native
def shrink(x: Array, t: Array) -> Array:
    """S_t(x) = x − clip(x, −t, t) for arrays x and t ≥ 0."""
    xp = namespace_of(x)
    return x - xp.minimum(xp.maximum(x, -t), t)


define_elementwise(
    "shrink",
    lambda xp, z, x, t: xp.astype(z != 0, z.dtype),  # the subgradient 0 at |x| = t
    lambda xp, z, x, t: xp.astype(z < 0, z.dtype) - xp.astype(z > 0, z.dtype),
)


@shrink.register("numpy")
def _shrink_numpy(x: Array, t: Array) -> Array:
    clipped = np.maximum(x, -t)  # one temporary for all three
    np.minimum(clipped, t, out=clipped)
    return np.subtract(x, clipped, out=clipped)


@shrink.register("cupy")
def _shrink_cupy(x: Array, t: Array) -> Array:
    return _cupy_kernel()(x, t)


def _cupy_kernel() -> Any:
    import cupy

    # CuPy keeps a kernel by its source, so that making it again costs a look-up
    # of CUDA's min and max a NaN loses, so that one in t is asked for
    return cupy.ElementwiseKernel("T x, T t", "T z", "z = t == t ? x - min(max(x, -t), t) : t", "xpsolve_shrink")


def soft(x: Array, t: Array) -> Array:
    """S_t(x) of real or complex x, for arrays."""
    if not is_complex(x):
        return shrink(x, t)
    size = abs_or_one(x)  # a 0 stays 0
    return x * (shrink(size, t) / size)


@capabilities(batch="entries", grad="forward, reverse", complex=True, numbers=("t",))
def soft_threshold(x: Array, t: Any) -> Array:
    """S_t(x) = x·max(1 − t/|x|, 0), the proximal map of t‖·‖₁: sign(x)·max(|x| − t, 0) for real x.

    Parameters
    ----------
    x : array
        Any shape, real or complex.
    t : float or array
        Threshold t ≥ 0, of a shape that broadcasts to that of `x`.

    Returns
    -------
    array
        Like `x`: exactly 0 where |x| ≤ t, and t closer to 0 elsewhere.

    Raises
    ------
    TypeError
        If x is not an array of numbers, t not real, or libraries are mixed.
    ValueError
        If t is a negative number, or devices are mixed.

    See Also
    --------
    lasso : Iterates it.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), equation 14.7.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.soft_threshold(np.asarray([3.0, -0.5, -2.0]), 1.0)
    array([ 2.,  0., -1.])
    >>> xs.soft_threshold(np.asarray([3.0 + 4.0j, 0.5j]), 1.0)
    array([2.4+3.2j, 0. +0.j ])
    """
    if is_array(t):
        enter(t=t)  # which is real, whatever x is
        _, (x, t) = enter_numbers(x=x, t=t)
        if t.ndim > x.ndim or any(m not in (1, n) for m, n in zip(t.shape[::-1], x.shape[::-1], strict=False)):
            message = f"t: expected a shape that broadcasts to that of x, {tuple(x.shape)}, got {tuple(t.shape)}."
            raise ValueError(message)
        return soft(x, real_part(t))
    xp, (x,) = enter_numbers(x=x)
    dtype = real_dtype(x)
    t = check_number(t, "t", minimum=0, dtype=dtype)
    return soft(x, xp.asarray(t, dtype=dtype, device=device_of(x)))
