"""Check whatever can be passed as A: an array, a sparse matrix or an operator."""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import enter
from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.operators.sparse import Sparse, is_sparse


def aslinearoperator(A: Any) -> LinearOperator:
    """`A` as a `LinearOperator`.

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        An operator is returned as it is.

    Returns
    -------
    LinearOperator
        `Dense`, `Sparse` or A itself.

    Raises
    ------
    TypeError
        If A is none of these.
    ValueError
        If A is an array but not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import aslinearoperator
    >>> aslinearoperator(np.ones((2, 3)))
    <Dense 2×3>
    """
    if isinstance(A, LinearOperator):
        return A
    if is_sparse(A):
        return Sparse(A)
    _, (A,) = enter(A=A)
    return Dense(A)
