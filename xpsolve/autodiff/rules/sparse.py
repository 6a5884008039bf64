"""Products with what is not an array itself: sparse matrices, and operators of the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace
from xpsolve.autodiff.rules.table import Map, rule
from xpsolve.operators.foreign import foreign_product
from xpsolve.operators.sparse import sparse_product


@rule("sparse_product")
def _sparse_product_rule(xp: Namespace, out: Array, x: Array, S: Any) -> list[Map]:
    """Sẋ and Sᵀz̄."""
    return [_linear(xp, x.ndim, lambda t: sparse_product(t, S), lambda g: sparse_product(g, S.T.tocsr()))]


@rule("foreign_product")
def _foreign_product_rule(xp: Namespace, out: Array, x: Array, operator: Any, side: int) -> list[Map]:
    """Aẋ and Aᵀz̄, or the opposite."""
    push, pull = (lambda t, s=s: foreign_product(t, operator, s) for s in (side, 1 - side))
    return [_linear(xp, x.ndim, push, pull)]


def _linear(xp: Namespace, ndim: int, push: Callable[[Array], Array], pull: Callable[[Array], Array]) -> Map:
    """The products of columns as a map of seeds, which go beside the columns."""

    def through(product: Callable[[Array], Array], t: Array) -> Array:
        if t.ndim == ndim:
            return product(t)
        columns = xp.moveaxis(t, 1, 0)  # (p, seeds, …)
        flat = product(xp.reshape(columns, (columns.shape[0], -1)))
        return xp.moveaxis(xp.reshape(flat, (-1, *columns.shape[1:])), 0, 1)

    return Map(lambda t: through(push, t), lambda g: through(pull, g))
