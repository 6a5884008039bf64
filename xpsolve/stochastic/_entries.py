"""Sizes of columns and norms of rows: of a matrix that is dense, sparse, by blocks of rows, or with an intercept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, composed, device_of, lift, namespace_of, row_reduce
from xpsolve.operators import Dense, LinearOperator, Rows, Sparse
from xpsolve.operators.centred import Centred
from xpsolve.operators.sparse import sparse_column_sizes, sparse_product, with_numbers
from xpsolve.stochastic._intercept import WithIntercept


def column_sizes(operator: LinearOperator, like: Array) -> Array | None:
    """max_i |A_ij| of each column, (p,); None for an operator whose entries are not accessible."""
    xp = namespace_of(like)
    if isinstance(operator, WithIntercept):
        return _with_intercept(operator, xp, like)
    if isinstance(operator, Dense):  # two passes that read, where abs(A) would write as much as it reads
        return xp.maximum(xp.max(operator.A, axis=0), -xp.min(operator.A, axis=0))
    if isinstance(operator, Rows):
        return xp.maximum(*_extremes(operator))
    return sparse_column_sizes(lift(xp, operator.like), operator) if isinstance(operator, Sparse) else None


def row_norms_squared(operator: LinearOperator, like: Array) -> Array:
    """‖a_i‖² of a dense or sparse A, (n,)."""
    xp = namespace_of(like)
    if isinstance(operator, WithIntercept) and operator.size is not None:
        return row_norms_squared(operator.operator, like) + operator.size * operator.size
    if isinstance(operator, Centred) and operator.mean is not None:
        mean, inside = operator.mean, operator.operator
        squares = row_norms_squared(inside, like) - 2 * inside.matvec(mean) + mean @ mean
        return xp.maximum(squares, xp.zeros_like(squares))
    if isinstance(operator, Dense):
        return squared_rows(operator.A)
    if isinstance(operator, Sparse):
        S = operator.S
        ones = xp.ones(operator.shape[1], dtype=like.dtype, device=device_of(like))
        return sparse_product(ones, with_numbers(S, S.data * S.data))
    message = f"A: expected a dense or sparse matrix, with accessible rows, got {operator!r}."
    raise TypeError(message)


@composed
def squared_rows(A: Array) -> Array:
    """Σ_j A_ij², (n,)."""
    return namespace_of(A).sum(A * A, axis=1)


@squared_rows.register("numpy")
def _squared_rows_numpy(A: Array) -> Array:
    return np.einsum("ij,ij->i", A, A)  # without an array of the size of A


def _extremes(A: Rows) -> tuple[Array, Array]:
    """max_i A_ij and max_i −A_ij of each column, by one pass."""

    def merged(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
        return tuple(np.maximum(*pair) for pair in zip(*parts, strict=True))

    most, above = row_reduce(lambda block: (np.max(block, axis=0), -np.min(block, axis=0)), merged, A)
    return most, above


def _with_intercept(operator: WithIntercept, xp: Namespace, like: Array) -> Array | None:
    """The sizes of the columns of A and of the constant one; the means of a sparse A do not exceed its own."""
    A: Any = operator.operator
    mean: Any = None
    if isinstance(A, Centred):
        A, mean = A.operator, A.mean
    if isinstance(A, Dense):
        most, least = xp.max(A.A, axis=0), xp.min(A.A, axis=0)
        sizes = xp.maximum(most, -least) if mean is None else xp.maximum(most - mean, mean - least)
    elif isinstance(A, Rows):
        most, above = _extremes(A)  # the largest of A and of −A
        sizes = xp.maximum(most, above) if mean is None else xp.maximum(most - mean, mean + above)
    elif isinstance(A, Sparse):
        sizes = sparse_column_sizes(lift(xp, A.like), A)
    else:
        return None
    one = xp.ones(1, dtype=like.dtype, device=device_of(like))
    return xp.concat([sizes, one if operator.size is None else operator.size * one])
