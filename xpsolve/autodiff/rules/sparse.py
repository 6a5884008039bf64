"""The product with a sparse matrix, which is not an array itself."""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, Namespace
from xpsolve.autodiff.rules.table import Map, rule
from xpsolve.operators.sparse import sparse_product


@rule("sparse_product")
def _sparse_product_rule(xp: Namespace, out: Array, x: Array, S: Any) -> list[Map]:
    """Sẋ and Sᵀz̄; seeds go beside the columns."""

    def product(t: Array, matrix: Any) -> Array:
        seeds = t.ndim - x.ndim
        if not seeds:
            return sparse_product(t, matrix)
        columns = xp.moveaxis(t, 1, 0)  # (p, seeds, …)
        flat = sparse_product(xp.reshape(columns, (columns.shape[0], -1)), matrix)
        return xp.moveaxis(xp.reshape(flat, (-1, *columns.shape[1:])), 0, 1)

    return [Map(lambda t: product(t, S), lambda g: product(g, S.T.tocsr()))]
