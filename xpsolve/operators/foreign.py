"""Operators from outside: those of SciPy, CuPy and PyLops, other objects with products, and plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    cast,
    check_flag,
    complex_dtype,
    innermost,
    is_array,
    is_complex,
    library,
    namespace_of,
    native,
)
from xpsolve.operators.base import LinearOperator

Product = Callable[[Array], Array]


def is_foreign(A: Any) -> bool:
    """Whether `A` is no operator of ours but has products with vectors."""
    return hasattr(A, "matvec") and hasattr(A, "shape") and not isinstance(A, LinearOperator | type)


class Foreign(LinearOperator):
    """An operator whose products are functions of the user.

    Parameters
    ----------
    shape : tuple of int
        (n, p).
    matvec, rmatvec : callable
        A x for x (p,) or (p, k), and Aᴴ y for y (n,) or (n, k).
    like : array, optional
        Shows the library, device and dtype that the functions work in; None where they take any.
    name : str
        Of the object behind, for messages.
    kind : str
        "f" where products with real vectors are real, "c" where they are complex; None goes by `like`, and where there
        is none the functions take both.
    """

    foreign = True

    def __init__(
        self,
        shape: Any,
        matvec: Product,
        rmatvec: Product,
        like: Array | None = None,
        name: str = "function",
        kind: str | None = None,
    ) -> None:
        super().__init__(shape)
        self._products, self._like, self.name = (matvec, rmatvec), like, name
        self.kind = kind if kind or like is None else "c" if is_complex(like) else "f"

    @property
    def like(self) -> Array | None:
        """As it was given."""
        return self._like

    @property
    def complex(self) -> bool:
        """Whether products with real vectors are complex."""
        return self.kind == "c"

    def _matvec(self, x: Array) -> Array:
        return foreign_product(x, self, 0)

    def _rmatvec(self, y: Array) -> Array:
        return foreign_product(y, self, 1)

    def product(self, x: Array, side: int) -> Array:
        """A x, or for side 1 Aᴴ x, for plain arrays, in the dtype of x."""
        if self.kind == "f" and is_complex(x):  # which many real operators of others take for its real part
            xp = namespace_of(x)
            real, imaginary = (cast(self._called(part, side), x.dtype) for part in (xp.real(x), xp.imag(x)))
            return real + 1j * imaginary
        return self._called(cast(x, complex_dtype(x)) if self.kind == "c" else x, side)

    def _called(self, x: Array, side: int) -> Array:
        xp, function, called = namespace_of(x), self._products[side], ("matvec", "rmatvec")[side]
        try:
            out = function(x)
        except NotImplementedError as error:
            message = f"A: expected {self.name} to have a {called}, which solvers need; it raised {error!r}."
            raise TypeError(message) from error
        except (TypeError, ValueError, AttributeError) as error:
            if library(xp) == "numpy":
                raise
            message = (
                f"A: expected a {called} of {self.name} that takes arrays of {library(xp)}; it raised {error!r}. "
                f"Pass NumPy arrays where it works on those alone."
            )
            raise TypeError(message) from error
        if not is_array(out) or namespace_of(out) is not xp:
            kind = f"{type(out).__module__}.{type(out).__qualname__}"
            message = (
                f"A: expected a {called} of {self.name} that returns arrays of {library(xp)} as it gets, got {kind}. "
                f"Pass arrays of the library that it works on."
            )
            raise TypeError(message)
        expected = (self.shape[side], *x.shape[1:])
        if tuple(out.shape) != expected:
            message = (
                f"A: expected a {called} of {self.name} that takes shape {tuple(x.shape)} to {expected}, got "
                f"{tuple(out.shape)}. Functions of single vectors alone need columns=False."
            )
            raise ValueError(message)
        if is_complex(out) and not is_complex(x):
            message = (
                f"A: expected real products with real vectors, got dtype {out.dtype} from {called} of {self.name}. "
                f"Say that it is complex by a complex like= or dtype, or pass complex data."
            )
            raise TypeError(message)
        return cast(out, x.dtype)

    def __repr__(self) -> str:
        n, p = self.shape
        return f"<Foreign {self.name} {n}×{p}>"


@native
def foreign_product(x: Array, operator: Foreign, side: int) -> Array:
    """One operation for all who look: A x, or Aᴴ x for side 1."""
    return operator.product(x, side)


def by_columns(vector: Product, block: Product | None = None) -> Product:
    """A product with (p,) or (p, k), from one with (p,) and, where there is one, one with (p, k)."""

    def product(x: Array) -> Array:
        if x.ndim == 1:
            return vector(x)
        if block is not None and x.shape[1] > 1:
            return block(x)
        k, xp = x.shape[1], namespace_of(x)
        columns = [vector(x[:, j]) for j in range(k)] or [vector(xp.sum(x, axis=1))]
        return xp.stack(columns, axis=1)[:, :k] if _all_vectors(columns) else columns[0]

    return product


def _all_vectors(columns: list[Any]) -> bool:
    """Whether they can be stacked; what cannot is found where products are checked."""
    return all(is_array(c) and c.ndim == 1 for c in columns)


def wrapped(A: Any) -> Foreign:
    """An object with `shape`, `matvec` and `rmatvec` as an operator."""
    name = type(A).__qualname__
    if not callable(getattr(A, "rmatvec", None)) or not callable(A.matvec):
        message = f"A: expected an operator with matvec and rmatvec, got {name} without. Give it the adjoint product."
        raise TypeError(message)
    shape = tuple(A.shape)
    if len(shape) != 2:
        message = f"A: expected an operator of shape (n, p), got shape {shape}."
        raise ValueError(message)
    dtype = getattr(A, "dtype", None)
    kind = getattr(dtype, "kind", None)
    kind = kind if kind in ("f", "c") else None
    block = [getattr(A, name, None) for name in ("matmat", "rmatmat")]
    matvec, rmatvec = by_columns(A.matvec, block[0]), by_columns(A.rmatvec, block[1])
    return Foreign(tuple(int(side) for side in shape), matvec, rmatvec, _like(A, dtype), name, kind)


def _like(A: Any, dtype: Any) -> Array | None:
    """An array of the library of A, where its class says it."""
    modules = {base.__module__ for base in type(A).__mro__}
    if any(m.startswith("cupyx.scipy.sparse.") for m in modules):
        import cupy

        return cupy.zeros(1, dtype=dtype or "float64")
    if any(m.startswith("scipy.sparse.") for m in modules):
        return np.zeros(1, dtype=dtype or "float64")
    return None


def from_functions(shape: Any, matvec: Any, rmatvec: Any, like: Array | None, columns: bool) -> Foreign:
    """`LinearOperator.from_functions`, which describes the arguments."""
    check_flag(columns, "columns")
    for name, function in (("matvec", matvec), ("rmatvec", rmatvec)):
        if not callable(function):
            message = f"{name}: expected a function, got {type(function).__qualname__}."
            raise TypeError(message)
    if like is not None and not is_array(like):
        message = f"like: expected an array, got {type(like).__qualname__}."
        raise TypeError(message)
    if not columns:
        matvec, rmatvec = by_columns(matvec), by_columns(rmatvec)
    return Foreign(shape, matvec, rmatvec, like)


def to_scipy(A: LinearOperator) -> Any:
    """`LinearOperator.to_scipy`."""
    try:
        from scipy.sparse import linalg
    except ImportError as error:
        message = "to_scipy needs SciPy: pip install scipy."
        raise ImportError(message) from error
    like = None if A.like is None else innermost(A.like)
    if like is not None and library(namespace_of(like)) != "numpy":
        message = f"to_scipy: expected an operator on NumPy arrays, got one on arrays of {library(namespace_of(like))}."
        raise TypeError(message)
    dtype = np.dtype("float64") if like is None else like.dtype
    dtype = np.result_type(dtype, np.complex64) if A.complex else dtype

    def floating(product: Product) -> Product:
        return lambda x: product(np.asarray(x, dtype=np.result_type(x.dtype, dtype)))

    forward, back = floating(A.matvec), floating(A.rmatvec)
    return linalg.LinearOperator(A.shape, forward, back, matmat=forward, rmatmat=back, dtype=dtype)
