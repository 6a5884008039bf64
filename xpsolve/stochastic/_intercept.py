"""An intercept as one more variable, in which a descent is as fast as without one.

A model with an intercept has the variable (x, c) and the matrix (A, 1).  Where the columns of A have means that are
large beside their spread, (A, 1) is ill-conditioned, so that the methods solve in other variables, which a penalty of
x does not notice:

    ⟨a_i, x⟩ + c  =  ⟨a_i − ā, x⟩ + s·c′,      c = s·c′ − ⟨ā, x⟩,

with the weighted mean ā and the number s, a power of two, for which the column s·1 is about as large as A − 1āᵀ.  Where
the losses are functions of ⟨a_i, x⟩ − y_i the mean of y is subtracted from y, and added to c.
A dense A is centred once; the means of a sparse A or an operator are subtracted at every product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.arrays import Array, device_of, namespace_of, power_of_two, safe_norm, settled
from xpsolve.operators import Dense, LinearOperator, Rows
from xpsolve.operators.centred import Centred, centred
from xpsolve.trace import map_arrays


class WithIntercept(LinearOperator):
    """(A, s·1) of an operator, never formed; s = 1 where it is None."""

    def __init__(self, operator: LinearOperator, size: Array | None = None) -> None:
        super().__init__((operator.shape[0], operator.shape[1] + 1))
        self.operator, self.size = operator, size

    @property
    def like(self) -> Array | None:
        """That of the operator inside."""
        return self.operator.like

    @property
    def foreign(self) -> bool:
        """That of the operator inside."""
        return self.operator.foreign

    def _matvec(self, x: Array) -> Array:
        c = x[-1, ...] if self.size is None else self.size * x[-1, ...]
        return self.operator.matvec(x[:-1, ...]) + c

    def _rmatvec(self, y: Array) -> Array:
        xp = namespace_of(y)
        total = xp.sum(y, axis=0, keepdims=True)
        return xp.concat([self.operator.rmatvec(y), total if self.size is None else self.size * total], axis=0)

    def explicit(self) -> LinearOperator:
        """The same as a matrix where A is one in memory, else itself."""
        if not isinstance(self.operator, Dense) or isinstance(self.operator.A, np.memmap):
            return self
        A, xp = self.operator.A, namespace_of(self.operator.A)
        ones = xp.ones((A.shape[0], 1), dtype=A.dtype, device=device_of(A))
        return Dense(xp.concat([A, ones if self.size is None else self.size * ones], axis=1))

    def blocks(self) -> tuple[Any, Callable[[Array], Array]] | None:
        """A matrix A, or its `Rows`, and what makes rows of this operator of rows of A; None where there is none."""
        inside: Any = self.operator
        mean: Any = None
        size = self.size
        if isinstance(inside, Centred) and inside.roots is None:
            inside, mean = inside.operator, inside.mean
        if not isinstance(inside, Dense | Rows):
            return None

        def made(A: Array) -> Array:  # one array of the size of A
            xp = namespace_of(A)
            rows = xp.empty((A.shape[0], A.shape[1] + 1), dtype=A.dtype)
            xp.subtract(A, 0 if mean is None else mean, out=rows[:, :-1])
            rows[:, -1] = 1 if size is None else size
            return rows

        return inside if isinstance(inside, Rows) else inside.A, made

    def scaled(self, factor: Array) -> WithIntercept:
        """factor·(A, s·1)."""
        return WithIntercept(self.operator.scaled(factor), factor if self.size is None else self.size * factor)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return WithIntercept(map_arrays(function, self.operator), map_arrays(function, self.size))


@dataclass(frozen=True)
class Frame:
    """The variables (x, c′) of a centred model, and the way to (x, c)."""

    mean: Array  # ā, (p,)
    size: Array  # s, 0-d
    offset: Array | None  # what was subtracted from y, 0-d or (m,)
    columns: bool  # whether x is (p, m) and c is (m,)

    def inside(self, x: Array) -> Array:
        """(x, c′) from (x, c) along the axis of features, for any number of axes before those of the model."""
        xp = namespace_of(x)
        x, c = self._parts(x)
        c = (c if self.offset is None else c - self.offset) + self._of_means(x)
        c = c / self.size
        return xp.concat([x, c[..., None, :] if self.columns else c[..., None]], axis=-2 if self.columns else -1)

    def split(self, x: Array) -> tuple[Array, Array]:
        """x and c from (x, c′)."""
        x, c = self._parts(x)
        c = self.size * c - self._of_means(x)
        return x, namespace_of(x).asarray(c if self.offset is None else c + self.offset)

    def _parts(self, x: Array) -> tuple[Array, Array]:
        return (x[..., :-1, :], x[..., -1, :]) if self.columns else (x[..., :-1], x[..., -1])

    def _of_means(self, x: Array) -> Array:
        """⟨ā, x⟩."""
        return self.mean @ x if self.columns else x @ self.mean

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Frame:
        mean, size, offset = (map_arrays(function, part) for part in (self.mean, self.size, self.offset))
        return Frame(mean, size, offset, self.columns)


def in_frame(
    operator: WithIntercept, shares: Array, slopes: Array, offset: Array | None
) -> tuple[LinearOperator, Frame]:
    """The operator of (x, c′), with the means for `shares` (n,) of the samples, of the sum 1.

    `slopes` are derivatives of the losses, (n,) or (n, m): by a product with Aᵀ and one with A they show the size of A.
    """
    xp, A = namespace_of(shares), operator.operator
    (mean,) = settled(A.rmatvec(shares))
    moved = centred(A, mean)
    (along,) = settled(moved.rmatvec(slopes / power_of_two(slopes)))
    length = safe_norm(along)
    along = along / xp.where(length > 0, length, xp.ones_like(length))
    (size,) = settled(power_of_two(xp.asarray(safe_norm(moved.matvec(along)) / A.shape[0] ** 0.5)))
    return WithIntercept(moved, size).explicit(), Frame(mean, size, offset, slopes.ndim == 2)
