"""Linear operators: anything that can multiply a vector and whose adjoint can.

An operator is all that a solver needs of A: its shape, A x and Aᴴ y, which is Aᵀ y where A is real.  Sums, products,
multiples and adjoints of operators are operators; none of them is ever made dense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    adjoint_product,
    check_count,
    check_known,
    conjugate,
    enter_numbers,
    innermost,
    is_array,
    is_complex,
    is_scalar,
    namespace_of,
    residual,
    wide_product,
)
from xpsolve.trace import map_arrays


class LinearOperator:
    """A linear map from p to n numbers; subclass it with ``_matvec`` and ``_rmatvec``.

    A complex one says so by a complex `like`, or by ``complex = True``; its ``_rmatvec`` is the conjugate transpose.

    Parameters
    ----------
    shape : tuple of int
        (n, p).

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import LinearOperator
    >>> class Shift(LinearOperator):
    ...     def _matvec(self, x):
    ...         return np.roll(x, 1, axis=0)
    ...     def _rmatvec(self, y):
    ...         return np.roll(y, -1, axis=0)
    >>> S = Shift((3, 3))
    >>> S @ np.asarray([1.0, 2.0, 3.0])
    array([3., 1., 2.])
    >>> (S.T @ S + 2 * S).shape
    (3, 3)
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        given: Any = shape
        if not isinstance(given, tuple | list) or len(given) != 2:
            message = f"shape: expected a pair of integers (n, p), got {given!r}."
            raise TypeError(message)
        self.shape = (check_count(shape[0], "shape[0]", 0), check_count(shape[1], "shape[1]", 0))

    @property
    def like(self) -> Array | None:
        """An array that shows library, device and dtype, None where the operator has none of its own."""
        return None

    @property
    def complex(self) -> bool:
        """Whether products with real vectors are complex: that of `like`, unless a subclass says otherwise."""
        return self.like is not None and is_complex(self.like)

    def exact_norm(self) -> Array | float | None:
        """‖A‖, 0-d or a Python number, where there is a formula for it; None where there is none."""
        return None

    @staticmethod
    def from_functions(
        shape: tuple[int, int],
        matvec: Callable[[Array], Array],
        rmatvec: Callable[[Array], Array],
        like: Array | None = None,
        *,
        columns: bool = True,
    ) -> LinearOperator:
        """An operator from two functions.

        Derivatives go through the products with respect to x, not to arrays that the functions hold.

        Parameters
        ----------
        shape : tuple of int
            (n, p).
        matvec : callable
            x to A x: arrays (p,) to (n,), and (p, k) to (n, k).  It gets the arrays of the solver, of the library, on
            the device and mostly in the dtype of y.
        rmatvec : callable
            y to Aᴴ y: arrays (n,) to (p,), and (n, k) to (p, k).
        like : array, optional
            An array of the library, device and dtype that the functions work in; None where they take any.  A complex
            one makes the operator complex; with a real one the functions get the parts of complex vectors one by one.
        columns : bool
            False where the functions take single vectors alone: columns of (p, k) then come one after another.

        Returns
        -------
        LinearOperator
            For every function that takes an operator.

        Raises
        ------
        TypeError
            If an argument is of the wrong kind; in a product, if the function returns something other than an array
            of the library that it got, or a complex one for a real one.
        ValueError
            In a product, if the function returns another shape.

        Examples
        --------
        >>> import numpy as np
        >>> import xpsolve as xs
        >>> from xpsolve.operators import LinearOperator
        >>> total = lambda x: np.cumsum(x, axis=0)
        >>> A = LinearOperator.from_functions((3, 3), total, lambda y: total(y[::-1])[::-1])
        >>> A @ np.ones(3)
        array([1., 2., 3.])
        >>> xs.dot_test(A, like=np.ones(1)) < 1e-14
        True
        """
        from xpsolve.operators import foreign

        return foreign.from_functions(shape, matvec, rmatvec, like, columns)

    def to_scipy(self) -> Any:
        """The same as a ``scipy.sparse.linalg.LinearOperator``, for operators that work on NumPy arrays.

        Its dtype is that of `like`; where there is none float64, or complex128 for a complex operator.

        Raises
        ------
        ImportError
            Without SciPy.
        TypeError
            If the operator holds arrays of another library.

        Examples
        --------
        >>> import numpy as np
        >>> import xpsolve as xs
        >>> A = xs.operators.Gradient(4).to_scipy()
        >>> A.shape, A.matvec(np.asarray([0.0, 1.0, 3.0, 3.0]))
        ((4, 4), array([1., 2., 0., 0.]))
        """
        from xpsolve.operators import foreign

        return foreign.to_scipy(self)

    @property
    def foreign(self) -> bool:
        """Whether products are computed by code of the user, who may have erred in the adjoint."""
        return not type(self).__module__.startswith("xpsolve.")

    def adjoint_advice(self, x: Array) -> str:
        """What to say where a solver that works on arrays like x has not ended well: nothing for operators of ours."""
        if not self.foreign:
            return ""
        from xpsolve.operators.norms import adjoint_advice

        return adjoint_advice(map_arrays(innermost, self), innermost(x))

    def _matvec(self, x: Array) -> Array:
        raise NotImplementedError

    def _rmatvec(self, y: Array) -> Array:
        raise NotImplementedError

    def matvec(self, x: Array) -> Array:
        """A x for x (p,), or A X for X (p, k)."""
        self._check(x, "x", self.shape[1])
        return self._matvec(x)

    def rmatvec(self, y: Array) -> Array:
        """Aᴴ y for y (n,), or AᴴY for Y (n, k)."""
        self._check(y, "y", self.shape[0])
        return self._rmatvec(y)

    def residual(self, x: Array, y: Array) -> tuple[Array, Array]:
        """s = y − A x and Aᴴ s."""
        s = y - self.matvec(x)
        return s, self.rmatvec(s)

    def _check(self, x: Array, name: str, length: int) -> None:
        if not is_array(x):
            message = f"{name}: expected an array of shape ({length},) or ({length}, k), got {type(x).__qualname__}."
            raise TypeError(message)
        if x.ndim not in (1, 2) or x.shape[0] != length:
            message = f"{name}: expected shape ({length},) or ({length}, k) for {self!r}, got shape {tuple(x.shape)}."
            raise ValueError(message)

    @property
    def T(self) -> LinearOperator:
        """The adjoint operator: of a complex one the conjugate transpose."""
        return _Transposed(self)

    @property
    def H(self) -> LinearOperator:
        """The adjoint operator, as `T`."""
        return self.T

    def scaled(self, factor: Array) -> LinearOperator:
        """factor·A as an operator of the same kind, where it has entries that can be multiplied."""
        return _Scaled(factor, self)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, LinearOperator):
            return _Product(self, other)
        return self.matvec(other)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        return _Sum(self, other)

    __radd__ = __add__

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        _check_operator(other, "-")
        return _Sum(self, _Scaled(-1.0, other))

    def __mul__(self, scale: Any) -> LinearOperator:
        return _Scaled(scale, self)

    __rmul__ = __mul__

    def __truediv__(self, scale: Any) -> LinearOperator:
        if not _is_number(scale) or (not is_array(scale) and scale == 0):
            message = f"/: expected an operator divided by a number other than 0, got {_described(scale)}."
            raise (TypeError if not _is_number(scale) else ValueError)(message)
        return _Scaled(1.0 / scale, self)

    def __neg__(self) -> LinearOperator:
        return _Scaled(-1.0, self)

    def __repr__(self) -> str:
        n, p = self.shape
        return f"<{type(self).__name__.lstrip('_')} {n}×{p}>"

    __array_ufunc__ = None  # `2.0 * A` with a NumPy scalar then comes here

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return self  # an operator without arrays inside


def as_floating(x: Array, name: str) -> Array:
    """x, or where its entries are integers the same as real numbers: for operators without an array of their own."""
    xp = namespace_of(x)
    if any(x.dtype == dtype for dtype in (xp.float64, xp.float32, xp.complex128, xp.complex64)):
        return x
    _, (x,) = enter_numbers(**{name: x})
    return x


def likeness(*operators: LinearOperator) -> Array | None:
    """The first array among those that operators have as `like`, complex if one is."""
    found = [operator.like for operator in operators if operator.like is not None]
    return next((like for like in found if is_complex(like)), found[0] if found else None)


class Dense(LinearOperator):
    """A matrix as an operator.

    Parameters
    ----------
    A : array, shape (n, p)
        The matrix; it is not copied.

    Raises
    ------
    ValueError
        If A is not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import Dense
    >>> Dense(np.asarray([[1.0, 2.0]])).rmatvec(np.ones(1))
    array([1., 2.])
    """

    def __init__(self, A: Array) -> None:
        if not is_array(A):
            message = f"A: expected an array of shape (n, p), got {type(A).__qualname__}."
            raise TypeError(message)
        if A.ndim != 2:
            message = f"A: expected a matrix (n, p), got shape {tuple(A.shape)}."
            raise ValueError(message)
        check_known(A, "A")
        super().__init__(tuple(A.shape))
        self.A = A

    @property
    def like(self) -> Array:
        """The matrix."""
        return self.A

    def _matvec(self, x: Array) -> Array:
        return wide_product(self.A, x)

    def _rmatvec(self, y: Array) -> Array:
        return adjoint_product(self.A, y)

    def residual(self, x: Array, y: Array) -> tuple[Array, Array]:
        """s = y − A x and Aᴴ s; NumPy reads a large A once for both."""
        self._check(x, "x", self.shape[1])
        return residual(self.A, x, y)  # type: ignore[no-any-return]

    def scaled(self, factor: Array) -> Dense:
        """The matrix times a 0-d factor."""
        return Dense(self.A * factor)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Dense:
        return Dense(function(self.A))


class _Transposed(LinearOperator):
    def __init__(self, operator: LinearOperator) -> None:
        n, p = operator.shape
        super().__init__((p, n))
        self.operator = operator

    @property
    def like(self) -> Array | None:
        """That of the operator inside."""
        return self.operator.like

    @property
    def complex(self) -> bool:
        """That of the operator inside."""
        return self.operator.complex

    @property
    def foreign(self) -> bool:
        """That of the operator inside."""
        return self.operator.foreign

    def _matvec(self, x: Array) -> Array:
        return self.operator._rmatvec(x)

    def _rmatvec(self, y: Array) -> Array:
        return self.operator._matvec(y)

    def exact_norm(self) -> Array | float | None:
        """That of the operator inside."""
        return self.operator.exact_norm()

    @property
    def T(self) -> LinearOperator:
        return self.operator

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return _Transposed(map_arrays(function, self.operator))


class _Product(LinearOperator):
    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if left.shape[1] != right.shape[0]:
            message = f"@: expected inner lengths that agree, got {left!r} @ {right!r}."
            raise ValueError(message)
        super().__init__((left.shape[0], right.shape[1]))
        self.left, self.right = left, right

    @property
    def like(self) -> Array | None:
        """That of the first part that has one, a complex one if there is one."""
        return likeness(self.left, self.right)

    @property
    def complex(self) -> bool:
        """That of either part."""
        return self.left.complex or self.right.complex

    @property
    def foreign(self) -> bool:
        """That of either part."""
        return self.left.foreign or self.right.foreign

    def _matvec(self, x: Array) -> Array:
        return self.left._matvec(self.right._matvec(x))

    def _rmatvec(self, y: Array) -> Array:
        return self.right._rmatvec(self.left._rmatvec(y))

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return _Product(map_arrays(function, self.left), map_arrays(function, self.right))


def _check_operator(other: Any, symbol: str) -> None:
    if not isinstance(other, LinearOperator):
        message = f"{symbol}: expected an operator on both sides, got {_described(other)}. See aslinearoperator."
        raise TypeError(message)


def _is_number(scale: Any) -> bool:
    return is_scalar(scale) or isinstance(scale, complex | np.complexfloating) or (is_array(scale) and scale.ndim == 0)


def _described(value: Any) -> str:
    return f"{value!r}" if _is_number(value) and not is_array(value) else type(value).__qualname__


class _Sum(LinearOperator):
    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        _check_operator(right, "+")
        if left.shape != right.shape:
            message = f"+: expected operators of the same shape, got {left!r} and {right!r}."
            raise ValueError(message)
        super().__init__(left.shape)
        self.left, self.right = left, right

    @property
    def like(self) -> Array | None:
        """That of the first part that has one, a complex one if there is one."""
        return likeness(self.left, self.right)

    @property
    def complex(self) -> bool:
        """That of either part."""
        return self.left.complex or self.right.complex

    @property
    def foreign(self) -> bool:
        """That of either part."""
        return self.left.foreign or self.right.foreign

    def _matvec(self, x: Array) -> Array:
        return self.left._matvec(x) + self.right._matvec(x)

    def _rmatvec(self, y: Array) -> Array:
        return self.left._rmatvec(y) + self.right._rmatvec(y)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return _Sum(map_arrays(function, self.left), map_arrays(function, self.right))


class _Scaled(LinearOperator):
    def __init__(self, scale: Any, operator: LinearOperator) -> None:
        if not _is_number(scale):
            message = f"*: expected a number times an operator, got {type(scale).__qualname__}."
            raise TypeError(message)
        super().__init__(operator.shape)
        self.scale, self.operator = scale, operator

    @property
    def like(self) -> Array | None:
        """That of the operator inside."""
        return self.operator.like

    @property
    def complex(self) -> bool:
        """Whether the operator inside or the scale is."""
        return self.operator.complex or (is_complex(self.scale) if is_array(self.scale) else not is_scalar(self.scale))

    @property
    def foreign(self) -> bool:
        """That of the operator inside."""
        return self.operator.foreign

    def _matvec(self, x: Array) -> Array:
        return self.operator._matvec(x) * self.scale

    def _rmatvec(self, y: Array) -> Array:
        conjugated = conjugate(self.scale) if is_array(self.scale) else self.scale.conjugate()
        return self.operator._rmatvec(y) * conjugated

    def exact_norm(self) -> Array | float | None:
        """|scale| times that of the operator inside."""
        norm = self.operator.exact_norm()
        return None if norm is None else abs(self.scale) * norm

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return _Scaled(map_arrays(function, self.scale), map_arrays(function, self.operator))
