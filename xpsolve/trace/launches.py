"""How many launches one operation is: those of CuPy, from its source (version 14).

Most are one.  Others copy what a library of NVIDIA overwrites or needs in another order, or are several kernels.  The
library calls of cuBLAS, cuSOLVER and cuFFT are one each, whatever they start.  A delegate is what its version for CuPy
is.  Whether an array must be copied first, for a product or for another shape, is seen from its strides, where the
library has them.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, innermost, is_complex

_FEW = 8  # arrays that are joined one by one; more are by one kernel
_BATCHED_SVD = 32  # rows and columns up to which a batch is one call


def launches_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Launches of the operation of this name; not for views and conversions that change nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace.launches import launches_of
    >>> launches_of("add", (np.ones(3), 1.0), {}), launches_of("linalg.cholesky", (np.eye(3),), {})
    (1, 3)
    """
    found = _LAUNCHES.get(name, 1)
    return found(*args, **kwargs) if callable(found) else found


def _matmul(A: Array, B: Array) -> int:
    A, B = innermost(A), innermost(B)
    ndim = max(A.ndim, B.ndim)
    if ndim <= 2:
        return 1 + sum(not _lies(x, transposed=True) for x in (A, B))
    batches = [(*(1,) * (ndim - x.ndim), *x.shape)[:-2] for x in (A, B)]
    pointers = 3 * (ndim - 2) if batches[0] != batches[1] else 0
    return 1 + pointers + sum(not _lies(x) for x in (A, B))


def _lies(x: Array, *, transposed: bool = False) -> bool:
    """Whether the numbers lie one after another, or do so in the transpose; True where the library does not say."""
    strides = strides_of(x)
    if strides is None or 0 in x.shape:
        return True
    return in_order(x.shape, strides) or (transposed and in_order(x.shape[::-1], strides[::-1]))


def strides_of(x: Array) -> tuple[int, ...] | None:
    """Numbers from one entry to the next along each axis, None where the library does not say."""
    if callable(getattr(x, "stride", None)):  # PyTorch
        return tuple(x.stride())
    if not hasattr(x, "strides"):
        return None
    return tuple(stride // x.dtype.itemsize for stride in x.strides)


def in_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the numbers of an array lie one after another in memory."""
    expected = 1
    for length, stride in zip(shape[::-1], strides[::-1], strict=True):
        if length != 1:
            if stride != expected:
                return False
            expected *= length
    return True


def reshape_is_view(x: Array, shape: tuple[int, ...]) -> bool:
    """Whether a reshape of x gives a view, which takes no launch; True where the library does not say.

    An axis of the new shape cannot run over a place where the numbers of x do not follow one another in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace.launches import reshape_is_view
    >>> x = np.ones((4, 6))
    >>> reshape_is_view(x, (24,)), reshape_is_view(x.T, (24,)), reshape_is_view(x.T, (2, 3, 4))
    (True, False, True)
    """
    x = innermost(x)
    strides = strides_of(x)
    if strides is None or 0 in x.shape:
        return True
    axes = [(length, stride) for length, stride in zip(x.shape, strides, strict=True) if length != 1]
    before = itertools.accumulate((length for length, _ in axes), operator.mul)
    breaks = {
        size
        for size, (_, step), (length, stride) in zip(before, axes, axes[1:], strict=False)
        if step != length * stride
    }
    return breaks <= set(itertools.accumulate(shape, operator.mul))


def joined(count: int) -> int:
    """Launches of a concatenation, or a stack, of so many arrays."""
    return count if count <= _FEW else 1


def _joined(arrays: Any, *_: Any, **__: Any) -> int:
    return joined(len(arrays))


def _norm(x: Array, *_: Any, ord: Any = 2, **__: Any) -> int:
    return 1 if ord in (2, "fro") else 2  # absolute values first


def _svd(A: Array, *_: Any, **__: Any) -> int:
    return 2 * (1 if max(A.shape[-2:]) <= _BATCHED_SVD else math.prod(A.shape[:-2]))


def thin_svd(n: int, p: int) -> int:
    """Launches of the delegate of this name for a matrix (n, p): a tall one is reduced first, and U multiplied."""
    return 2 if 3 * max(n, p) < 5 * min(n, p) else FACTORISATIONS["linalg.qr"] + 2 + 1


def _argsort(*_: Any, descending: bool = False, **__: Any) -> int:
    return 2 + descending  # of the reversed array, and the indices turned round


def _transform(x: Array, n: int | None = None, axis: int = -1, **_: Any) -> int:
    last = axis % x.ndim == x.ndim - 1
    return 1 + 2 * (n is not None and n > x.shape[axis]) + (not (last and _lies(innermost(x))))


def _inverse_transform(x: Array, n: int | None = None, axis: int = -1, **options: Any) -> int:
    return _transform(x, n, axis) + 1  # and the division


def _several(x: Array, *, s: Any = None, axes: Any = None, **_: Any) -> int:
    axes = axes if axes is not None else range(x.ndim - len(s or x.shape), x.ndim)
    padded = sum(int(n > x.shape[axis]) for n, axis in zip(s or (), axes, strict=False))
    return 1 + 2 * padded + (not _lies(innermost(x), transposed=True))


def _rfftn(x: Array, lengths: tuple[int, ...]) -> int:
    return _several(x, s=lengths)


def _mirrored(a: Array, b: Array, M: Array | None, *_: Any) -> int:
    return 2 if M is None else 14


def _dense_rows(index: Array, rows: Any, *_: Any) -> int:
    return 2 if rows.longest else 1


FACTORISATIONS: dict[str, int] = {
    "linalg.cholesky": 3,
    "linalg.qr": 5,
    "linalg.solve": 4,
    "linalg.inv": 5,
    "linalg.eigh": 2,
    "linalg.eigvalsh": 2,
    "linalg.det": 4,
    "linalg.slogdet": 4,
    "linalg.pinv": 7,
    "eigh": 2,
    "eigvalsh": 2,
    "cholesky": 5,
    "solve_positive": 9,
    "solve_triangular": 2,  # the right-hand side is copied; the factor is not, its transpose has the right layout
}
"""Launches of factorisations and solves, each of one matrix."""

_LAUNCHES: dict[str, int | Callable[..., int]] = {
    **FACTORISATIONS,
    "linalg.svd": _svd,
    "linalg.svdvals": _svd,
    "thin_svd": lambda A: thin_svd(*A.shape),
    "matmul": _matmul,
    "linalg.matmul": _matmul,
    "linalg.vector_norm": _norm,
    "linalg.matrix_norm": _norm,
    "eye": 2, "tril": 2, "triu": 2, "take_along_axis": 2, "roll": 2, "std": 4, "var": 3,
    "sort": 2, "argsort": _argsort,
    "concat": _joined,
    "stack": _joined,
    "fft.fft": _transform, "fft.rfft": _transform, "fft.ifft": _inverse_transform,
    "fft.irfft": 3, "fft.irfftn": 3, "fft.fftn": _several, "fft.rfftn": _several,
    "fft.ifftn": lambda x, **options: _several(x, **options) + 1,
    "unitary_transform": lambda Z, dim, *_, **__: _several(Z, axes=tuple(range(dim))) + 1,  # and the factor
    "rfftn": _rfftn, "irfftn": 3, "surrounded": 2,
    "accumulate": 2, "scatter": 2, "two_to_the": 3, "largest": 3,
    "dense_rows": _dense_rows,
    "extrapolate": lambda X, *_: 5 if is_complex(X) else 1,  # the kernel is of real numbers
    "solve_triangular": lambda L, B, transposed=False: 2 + (transposed and is_complex(L)),
    "sech_squared": 3, "trustworthy": 2,
    "differences": lambda X, axes: 2 - _lies(X),
    "differences_adjoint": lambda Y: 2 - _lies(Y),
    "quotient_or_zero": 7, "spectral": 5, "cost_range": 7, "mirrored": _mirrored,
}  # fmt: skip
