"""Powers of two by which a problem is scaled, so that no square in it overflows or underflows.

A product with a power of two is exact: a scaled problem is the same problem, and its answer is scaled back without
rounding.
"""

from __future__ import annotations

import functools

import numpy as np

from xpsolve.arrays.complex import is_complex, squares
from xpsolve.arrays.namespace import Array, device_of, namespace_of
from xpsolve.arrays.native import composed, native
from xpsolve.arrays.precision import limits_of


@composed
def power_of_two(x: Array, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Array:
    """The power of two at or just below max|x|, along an axis or of all entries; nothing is read from the device.

    It is 1 where the maximum is 0 or not finite.  The exponent is kept within the range in which both the power and
    its inverse are normal numbers of the dtype, so that x divided by it is at most 4 in size.

    Parameters
    ----------
    x : array
        Of a floating dtype, with no empty axis; of complex numbers the parts are looked at, so that no |x| overflows.
    axis : int or tuple of int, optional
        Where the maximum is taken; None is over all entries.
    keepdims : bool
        Whether these axes stay, with length 1.

    Returns
    -------
    array
        Of the real dtype and device of x.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import power_of_two
    >>> float(power_of_two(np.asarray([3.0, -5.0, 0.1])))
    4.0
    >>> power_of_two(np.asarray([[1e-300, 0.0], [2e-300, 0.0]]), axis=0) < 1e-299
    array([ True, False])
    """
    xp = namespace_of(x)
    # two passes that read, where abs(x) would write as much as it reads
    extremes = [
        extreme
        for part in ((xp.real(x), xp.imag(x)) if is_complex(x) else (x,))
        for extreme in (xp.max(part, axis=axis, keepdims=keepdims), -xp.min(part, axis=axis, keepdims=keepdims))
    ]
    size = functools.reduce(xp.maximum, extremes)
    ordinary = (size > 0) & xp.isfinite(size)
    exponent = xp.floor(xp.log2(xp.where(ordinary, size, xp.ones_like(size))))
    most = _most(x)
    return two_to_the(xp.minimum(xp.maximum(exponent, xp.full_like(exponent, -most)), xp.full_like(exponent, most)))


@power_of_two.register("numpy")
def _power_of_two_numpy(x: Array, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Array:
    if x.dtype.kind == "c":
        return power_of_two.standard(x, axis, keepdims=keepdims)
    size = np.maximum(x.max(axis=axis, keepdims=keepdims), -x.min(axis=axis, keepdims=keepdims))
    _, exponent = np.frexp(size)  # size = m·2ᵉ with ½ ≤ m < 1; e is 0 for 0, and left open for what is not finite
    most, ordinary = _most(x), (size > 0) & np.isfinite(size)
    exponent = np.where(ordinary, np.minimum(np.maximum(exponent - 1, -most), most), 0)
    return np.asarray(np.ldexp(x.dtype.type(1), exponent))


def _most(x: Array) -> int:
    """1022 for float64, 126 for float32: two to it and to its opposite are normal numbers."""
    return limits_of(x).exponents - 2


@native
def two_to_the(k: Array) -> Array:
    """2ᵏ for whole numbers k of a floating dtype, exact."""
    xp = namespace_of(k)
    return xp.pow(xp.asarray(2.0, dtype=k.dtype, device=device_of(k)), k)


@two_to_the.register("cupy", "jax")
def _by_ldexp(k: Array) -> Array:
    # pow of a GPU is not promised to be exact
    xp = namespace_of(k)
    return xp.ldexp(xp.ones_like(k), xp.astype(k, xp.int32))


def safe_norm(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """‖x‖₂ of all entries or along axes, where no square overflows or underflows; NaN if an entry is not finite."""
    xp = namespace_of(x)
    size = xp.max(xp.abs(x), axis=axis, keepdims=True)
    unit = xp.where(size > 0, size, xp.ones_like(size))
    return xp.sqrt(xp.sum(squares(x / unit), axis=axis)) * (
        xp.max(size) if axis is None else xp.squeeze(size, axis=axis)
    )
