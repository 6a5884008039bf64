"""An operator with the means of its columns subtracted and its rows weighted, W^½(A − 1āᵀ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays import Array, conjugate, is_array, namespace_of
from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.trace import map_arrays


def centred(operator: LinearOperator, mean: Array | None, roots: Array | None = None) -> LinearOperator:
    """W^½(A − 1āᵀ) with ā (p,) and √w (n,): a matrix of a dense A in memory, else an operator that is never formed."""
    if not isinstance(operator, Dense) or isinstance(operator.A, np.memmap):
        return Centred(operator, mean, roots)
    A = operator.A if mean is None else operator.A - mean
    return Dense(A if roots is None else A * roots[:, None])


class Centred(LinearOperator):
    """W^½(A − 1āᵀ) of an operator, never formed."""

    def __init__(self, operator: LinearOperator, mean: Array | None, roots: Array | None = None) -> None:
        super().__init__(operator.shape)
        self.operator, self.mean, self.roots = operator, mean, roots

    @property
    def like(self) -> Array | None:
        """That of the operator inside, or the means."""
        if is_array(self.operator.like):
            return self.operator.like
        return self.roots if self.mean is None else self.mean

    @property
    def complex(self) -> bool:
        """That of the operator inside."""
        return self.operator.complex

    @property
    def foreign(self) -> bool:
        """That of the operator inside."""
        return self.operator.foreign

    def _matvec(self, x: Array) -> Array:
        y = self.operator.matvec(x)
        y = y if self.mean is None else y - self.mean @ x
        return y if self.roots is None else y * (self.roots if y.ndim == 1 else self.roots[:, None])

    def _rmatvec(self, y: Array) -> Array:
        y = y if self.roots is None else y * (self.roots if y.ndim == 1 else self.roots[:, None])
        x = self.operator.rmatvec(y)
        if self.mean is None:
            return x
        total = namespace_of(y).sum(y, axis=0)
        mean = conjugate(self.mean)
        return x - (mean * total if y.ndim == 1 else mean[:, None] * total)

    def scaled(self, factor: Array) -> Centred:
        """The operator inside and the means times a 0-d factor."""
        mean = None if self.mean is None else self.mean * factor
        return Centred(self.operator.scaled(factor), mean, self.roots)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return Centred(*(map_arrays(function, part) for part in (self.operator, self.mean, self.roots)))
