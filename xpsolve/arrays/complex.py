"""Complex numbers beside real ones: adjoints, inner products and sizes, at no cost where all numbers are real.

⟨u, v⟩ = Re Σ ū_i v_i is the inner product of the real and imaginary parts; with it a complex least-squares problem is
a real one of twice the size, and every formula for real numbers holds with Aᴴ in place of Aᵀ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays.namespace import Array, Namespace, namespace_of
from xpsolve.arrays.native import composed

_KINDS: dict[tuple[type, Any], str] = {}  # `isdtype` takes as long as a small product


def kind_of(xp: Namespace, dtype: Any) -> str:
    """Whether a dtype is "real", "complex" or "other"."""
    key = (dtype.__class__, dtype)  # dtypes of two libraries cannot always be compared
    kind = _KINDS.get(key)
    if kind is None:
        kinds = {"real": "real floating", "complex": "complex floating"}
        kind = _KINDS[key] = next((name for name, standard in kinds.items() if xp.isdtype(dtype, standard)), "other")
    return kind


def is_complex(x: Array) -> bool:
    """Whether the dtype of x is complex."""
    if type(x) is np.ndarray:
        return bool(x.dtype.kind == "c")
    return kind_of(namespace_of(x), x.dtype) == "complex"


def real_dtype(x: Array) -> Any:
    """The dtype of x, of a complex one that of its parts.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import real_dtype
    >>> real_dtype(np.ones(1, dtype="complex64"))
    dtype('float32')
    """
    return real_part(x).dtype if is_complex(x) else x.dtype


def complex_dtype(x: Array) -> Any:
    """The dtype of complex numbers with parts like x."""
    xp = namespace_of(x)
    return x.dtype if is_complex(x) else xp.complex64 if x.dtype == xp.float32 else xp.complex128


def conjugate(x: Array) -> Array:
    """The conjugate of each entry; real numbers themselves."""
    return _conjugated(x) if is_complex(x) else x


@composed
def _conjugated(x: Array) -> Array:
    return namespace_of(x).conj(x)


@_conjugated.register("torch")
def _conjugated_torch(x: Array) -> Array:
    """Computed now: PyTorch's own is a view, which NumPy cannot read and other libraries cannot import."""
    import torch

    return torch.conj_physical(x)


def adjoint(A: Array) -> Array:
    """Aᴴ of a matrix, or of each of several; of real ones a view.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import adjoint
    >>> adjoint(np.asarray([[1.0, 2j]]))
    array([[1.-0.j],
           [0.-2.j]])
    """
    xp = namespace_of(A)
    A = xp.conj(A) if is_complex(A) else A  # in PyTorch a view, which products read without a copy
    return A.T if A.ndim == 2 else xp.matrix_transpose(A)


def real_part(x: Array) -> Array:
    """Re x, of real numbers themselves."""
    return namespace_of(x).real(x) if is_complex(x) else x


def squares(x: Array) -> Array:
    """|x|² of each entry, real."""
    return products(x, x)


def products(x: Array, y: Array) -> Array:
    """Re x̄y of each entry: the terms of ⟨x, y⟩."""
    if not is_complex(x):
        return x * y
    xp = namespace_of(x)
    return xp.real(xp.conj(x) * y)


def inner(x: Array, y: Array, axis: int | None = None) -> Array:
    """⟨x, y⟩ = Re Σ x̄y, of all entries or along an axis; real.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import inner
    >>> float(inner(np.asarray([1j, 2.0]), np.asarray([1j, 3.0])))
    7.0
    """
    return namespace_of(x).sum(products(x, y), axis=axis)


def abs_or_one(x: Array) -> Array:
    """|x|, and 1 where x is 0."""
    xp = namespace_of(x)
    size = xp.abs(x)
    return xp.where(size > 0, size, xp.ones_like(size))
