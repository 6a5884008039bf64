"""Check whatever can be passed as A: an array, a sparse matrix or an operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    cast,
    check_ndim,
    check_not_empty,
    check_rows,
    complex_dtype,
    enter,
    enter_numbers,
    is_array,
    is_complex,
)
from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.operators.foreign import is_foreign, wrapped
from xpsolve.operators.rows import Rows, is_long, is_source
from xpsolve.operators.sparse import Sparse, is_sparse
from xpsolve.trace import map_arrays


def is_operator(A: Any) -> bool:
    """Whether `A` is an operator, sparse or of another package, rather than an array."""
    if isinstance(A, LinearOperator):
        return True
    return not is_array(A) and (is_sparse(A) or is_foreign(A) or is_source(A))


def unless_converted(A: Any, *others: Array) -> Any:
    """A itself, or `Rows` of a long file that has another dtype: these are converted block by block."""
    if not isinstance(A, np.memmap) or not is_long(A):
        return A
    return A if all(not is_array(y) or y.dtype == A.dtype for y in others) else Rows(A)


def enter_operator(
    A: Any, y: Array, shape: str = "(n,) or (n, k)", *, complex_too: bool = False
) -> tuple[Namespace, LinearOperator, Array]:
    """A, whatever it is, as an operator and y in one namespace, device and dtype, with shapes checked.

    Both become complex where one of them is, if they are allowed to be `complex_too`.
    """
    entered = enter_numbers if complex_too else enter
    A = unless_converted(A, y)
    if is_operator(A):
        operator = aslinearoperator(A)
        check_not_empty(operator.shape, "A", "(n, p)")
        if not complex_too:
            check_real(operator, "A")
        xp, (y, *_) = entered(y=y, **({} if operator.like is None else {"A": operator.like}))
        if operator.complex:
            y = cast(y, complex_dtype(y))
        if isinstance(operator, Sparse):
            operator = operator.astype(y.dtype)
        elif operator.like is not None and operator.like.dtype != y.dtype:
            operator = map_arrays(lambda x: cast(x, complex_dtype(y) if is_complex(x) else y.dtype), operator)
    else:
        xp, (A, y) = entered(A=A, y=y)
        check_ndim(A, "A", 2, shape="(n, p)")
        operator = Dense(A)
    check_ndim(y, "y", 1, 2, shape=shape)
    check_rows(y, "y", operator.shape[0], "A")
    return xp, operator, y


def check_real(operator: LinearOperator, name: str) -> None:
    """Raise TypeError for a complex operator."""
    if operator.complex:
        message = (
            f"{name}: expected a real operator, got {operator!r}, which is complex. For a real x make it "
            f"xs.operators.RealForm({name}); ridge, lstsq, lasso and elastic_net solve for a complex x."
        )
        raise TypeError(message)


def aslinearoperator(A: Any) -> LinearOperator:
    """`A` as a `LinearOperator`.

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p), LinearOperator, operator of another package or data set in a file
        An operator of xpsolve is returned as it is.  What is no array but has a shape, a dtype and slices, as the data
        sets of h5py and Zarr, is read by blocks of `Rows`.  Operators of others are
        ``scipy.sparse.linalg.LinearOperator``, the same of ``cupyx``, operators of PyLops, and any object with `shape`,
        `matvec` and `rmatvec`; `matmat` and `rmatmat` are used where they are there.  SciPy's work on NumPy arrays,
        CuPy's on those of CuPy, others on what they take.

    Returns
    -------
    LinearOperator
        `Dense`, `Sparse`, `Rows`, A itself, or a wrapper of the object.

    Raises
    ------
    TypeError
        If A is none of these, or has no `rmatvec`.
    ValueError
        If A has not two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import aslinearoperator
    >>> aslinearoperator(np.ones((2, 3)))
    <Dense 2×3>
    >>> import scipy.sparse
    >>> aslinearoperator(scipy.sparse.eye_array(3))
    <Sparse 3×3>
    """
    if isinstance(A, LinearOperator):
        return A
    if is_sparse(A):
        return Sparse(A)
    if not is_array(A) and is_foreign(A):
        return wrapped(A)
    if is_source(A):
        return Rows(A)
    _, (A,) = enter_numbers(A=A)
    return Dense(A)
