"""Weights of samples and an intercept, for every least-squares problem: the problem without them is solved instead.

    min_{x,c} ½ Σ w_i(⟨a_i, x⟩ + c − y_i)² + λR(x)   has   c = ȳ − ⟨ā, x⟩,   with the weighted means ā and ȳ,

and x minimises the same without c for A′ = W^½(A − 1āᵀ) and y′ = W^½(y − 1ȳ).  The means of a sparse A or an operator
are subtracted at every product, so that it stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from xpsolve.arrays import (
    Array,
    cast,
    check_flag,
    check_ndim,
    check_not_empty,
    check_rows,
    complex_dtype,
    conjugate,
    device_of,
    enter,
    enter_numbers,
    is_array,
    is_concrete,
    namespace_of,
    real_part,
)
from xpsolve.operators import Dense, LinearOperator, aslinearoperator
from xpsolve.trace import map_arrays


@dataclass(frozen=True)
class Samples:
    """A′ and y′ of a problem with weights or an intercept, and the way back."""

    A: Any
    y: Array
    means: tuple[Array, Array] | None  # ā (p,) and ȳ, 0-d or (k,)
    roots: Array | None  # √w_i, (n,)

    @classmethod
    def of(cls, A: Any, y: Array, weights: Array | None, intercept: bool, *, check_finite: bool = True) -> Samples:
        """The problem as it is solved."""
        check_flag(intercept, "intercept")
        operator = aslinearoperator(A)
        check_not_empty(operator.shape, "A", "(n, p)")
        given = {"y": y} if weights is None else {"y": y, "weights": weights}
        like = operator.like
        if weights is not None:
            enter(weights=weights)  # which are real, whatever the others are
        xp, (y, *others) = enter_numbers(**given, **({} if like is None else {"A": like}))
        if operator.complex:
            y = cast(y, complex_dtype(y))
        check_ndim(y, "y", 1, 2, shape="(n,) or (n, k)")
        check_rows(y, "y", operator.shape[0], "A")
        roots = total = None
        if weights is not None:
            weights = _checked(real_part(others[0]), operator.shape[0], check_finite)
            roots, total = xp.sqrt(weights), xp.sum(weights)
        means = None
        if intercept:
            ones = xp.ones(y.shape[0], dtype=y.dtype, device=device_of(y)) if weights is None else weights
            share = cast(ones / (ones.shape[0] if total is None else total), y.dtype)
            means = conjugate(operator.rmatvec(share)), share @ y
            y = y - means[1]
        if roots is not None:
            y = y * (roots if y.ndim == 1 else roots[:, None])
        return cls(_changed(operator, None if means is None else means[0], roots), y, means, roots)

    def finished(self, solution: Any) -> Any:
        """The solution with its intercept, one for every column of y and every λ."""
        if self.means is None:
            return solution
        x, (mean, center) = solution.x, self.means
        by_rows = x.ndim == 2 and self.y.ndim == 1  # a path in λ
        return replace(solution, intercept=namespace_of(x).asarray(center - (x @ mean if by_rows else mean @ x)))


def _checked(weights: Array, n: int, check_finite: bool) -> Array:
    check_ndim(weights, "weights", 1, shape="(n,)")
    check_rows(weights, "weights", n, "A")
    xp = namespace_of(weights)
    if check_finite and is_concrete(weights):
        good = xp.all((weights >= 0) & xp.isfinite(weights)) & (xp.max(weights) > 0)
        if not bool(good):
            message = "weights: expected finite numbers >= 0 with some above 0, got others."
            raise ValueError(message)
    return weights


def _changed(operator: LinearOperator, mean: Array | None, roots: Array | None) -> Any:
    """W^½(A − 1āᵀ): an array of a dense A, an operator of any other."""
    if not isinstance(operator, Dense):
        return _Changed(operator, mean, roots)
    A = operator.A if mean is None else operator.A - mean
    return A if roots is None else A * roots[:, None]


class _Changed(LinearOperator):
    """W^½(A − 1āᵀ) of an operator, never formed."""

    def __init__(self, operator: LinearOperator, mean: Array | None, roots: Array | None) -> None:
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

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        parts = (map_arrays(function, part) for part in (self.operator, self.mean, self.roots))
        return _Changed(*parts)
