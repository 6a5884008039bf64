"""Arithmetic in float64 where the data are float32: for residuals and certificates, which cancel.

A float32 array is also a float64 array, so that a product with it in float64 is that of the same problem.  It is taken
block by block, and no float64 copy of the whole array is made.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays.complex import conjugate, is_complex
from xpsolve.arrays.namespace import Array, device_of, namespace_of, on_accelerator
from xpsolve.arrays.native import composed

_BLOCK = 2**18  # entries of a block: 2 MB in float64, which stay in the cache between conversion and product
_BLOCK_ON_ACCELERATOR = 2**24
_IN_CACHE = 2**21  # bytes of rows that are still in the cache for a second product


def wide_dtype(x: Array) -> Any:
    """float64 where the library has it on the device of x, else the dtype of x; of complex x complex128.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import wide_dtype
    >>> wide_dtype(np.zeros(2, dtype=np.float32)) == np.float64
    True
    """
    xp = namespace_of(x)
    kind, widest = ("complex floating", "complex128") if is_complex(x) else ("real floating", "float64")
    if x.dtype == getattr(xp, widest):
        return x.dtype
    info = xp.__array_namespace_info__()
    return info.dtypes(device=device_of(x), kind=kind).get(widest, x.dtype)


class FloatLimits(NamedTuple):
    """The limits of a floating dtype as Python floats; of a complex one those of its parts."""

    eps: float
    smallest_normal: float
    max: float
    exponents: int  # 1024 for float64, 128 for float32


_LIMITS: dict[tuple[type, Any], FloatLimits] = {}


def limits_of(x: Array) -> FloatLimits:
    """The limits of the dtype of x, made once for each dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import limits_of
    >>> limits_of(np.zeros(2)).eps == 2.0**-52
    True
    """
    dtype = x.dtype
    key = (dtype.__class__, dtype)  # dtypes of two libraries cannot always be compared
    found = _LIMITS.get(key)
    if found is None:
        info = namespace_of(x).finfo(dtype)
        most = float(info.max)
        found = FloatLimits(float(info.eps), float(info.smallest_normal), most, math.frexp(most)[1])
        _LIMITS[key] = found
    return found


def cast(x: Array, dtype: Any) -> Array:
    """x in a dtype: itself where it has it."""
    return x if x.dtype == dtype else namespace_of(x).astype(x, dtype)


def wide_product(A: Array, x: Array) -> Array:
    """A x for A (n, p) and x (p,) or (p, k), computed in float64 where x is float64, whatever A is.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import wide_product
    >>> wide_product(np.ones((1, 3), dtype=np.float32), np.asarray([1e9, 1.0, -1e9]))
    array([1.])
    """
    if A.dtype == x.dtype:
        return A @ x
    xp, (n, p) = namespace_of(x), A.shape
    if is_complex(A) and not is_complex(x):
        x = cast(x, xp.result_type(A.dtype, x.dtype))
        return wide_product(A, x)
    if x.dtype not in (xp.float64, xp.complex128) and is_complex(A) == is_complex(x):
        return A @ x
    size = min(_length_of_blocks(A), max(n, p))
    if n >= p:  # along the longer axis, so that the blocks have long rows and columns whatever the order in memory
        parts = [cast(A[i : min(i + size, n), :], x.dtype) @ x for i in range(0, n, size)]
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)
    total = cast(A[:, :size], x.dtype) @ x[:size, ...]
    for i in range(size, p, size):
        j = min(i + size, p)
        total = total + cast(A[:, i:j], x.dtype) @ x[i:j, ...]
    return total


def adjoint_product(A: Array, y: Array) -> Array:
    """Aᴴ y for y (n,) or (n, k), computed as in `wide_product`: y is conjugated twice, and not A.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import adjoint_product
    >>> adjoint_product(np.asarray([[1.0, 2j]]), np.ones(1))
    array([1.-0.j, 0.-2.j])
    """
    return conjugate(wide_product(A.T, conjugate(y))) if is_complex(A) else wide_product(A.T, y)


@composed
def residual(A: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """s = y − Ax and Aᴴs, for x (p,) or (p, k)."""
    s = y - wide_product(A, x)
    return s, adjoint_product(A, s)


@residual.register("numpy")
def _residual_in_one_pass(A: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Block by block of rows that stay in the cache, so that a large A is read from memory once."""
    n, p = A.shape
    if A.nbytes < 4 * _IN_CACHE or n < p or A.dtype != x.dtype or not A.flags.c_contiguous:
        return residual.standard(A, x, y)  # type: ignore[no-any-return]
    rows = _IN_CACHE * n // A.nbytes
    s, c = np.empty_like(y), np.zeros_like(x)
    for i in range(0, n, rows):
        block, part = A[i : i + rows], s[i : i + rows]
        np.subtract(y[i : i + rows], block @ x, out=part)
        c += adjoint_product(block, part)
    return s, c


def _length_of_blocks(A: Array) -> int:
    entries = _BLOCK_ON_ACCELERATOR if on_accelerator(A) else _BLOCK
    return max(1, entries // int(min(A.shape)))
