"""Weights of samples and an intercept, for every least-squares problem: the problem without them is solved instead.

    min_{x,c} ½ Σ w_i(⟨a_i, x⟩ + c − y_i)² + λR(x)   has   c = ȳ − ⟨ā, x⟩,   with the weighted means ā and ȳ,

and x minimises the same without c for A′ = W^½(A − 1āᵀ) and y′ = W^½(y − 1ȳ).  The means of a sparse A or an operator
are subtracted at every product, so that it stays what it is.
"""

from __future__ import annotations

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
    holds,
    namespace_of,
    real_part,
    settled,
)
from xpsolve.linear._problem import matrix_in
from xpsolve.linear._row_problem import delivered_beside, without_means
from xpsolve.operators import Dense, LinearOperator, aslinearoperator
from xpsolve.operators.centred import centred
from xpsolve.operators.entry import unless_converted
from xpsolve.operators.rows import read_by_rows


@dataclass(frozen=True)
class Samples:
    """A′ and y′ of a problem with weights or an intercept, and the way back."""

    A: Any
    y: Array
    means: tuple[Array, ...] | None  # ā (p,) and ȳ, 0-d or (k,)
    roots: Array | None  # √w_i, (n,)

    @classmethod
    def of(
        cls, A: Any, y: Array, weights: Array | None, intercept: bool, *, check_finite: bool = True, grams: bool = True
    ) -> Samples:
        """The problem as it is solved; `grams` says whether AᵀA of an A that is read by rows will be needed."""
        check_flag(intercept, "intercept")
        operator = aslinearoperator(unless_converted(A, y, weights))
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
            weights = check_weights(real_part(others[0]), operator.shape[0], check_finite)
        if intercept and _by_rows(operator, y, weights, grams):
            return _without_means(operator, y, weights, grams)
        if weights is not None:
            roots, total = xp.sqrt(weights), xp.sum(weights)
        means = None
        if intercept:
            ones = xp.ones(y.shape[0], dtype=y.dtype, device=device_of(y)) if weights is None else weights
            share = cast(ones / (ones.shape[0] if total is None else total), y.dtype)
            means = settled(conjugate(operator.rmatvec(share)), share @ y)
            y = y - means[1]
        if roots is not None:
            y = y * (roots if y.ndim == 1 else roots[:, None])
        changed = centred(operator, None if means is None else means[0], roots)
        return cls(changed.A if isinstance(changed, Dense) else changed, y, means, roots)

    def finished(self, solution: Any) -> Any:
        """The solution with its intercept, one for every column of y and every λ."""
        if self.means is None:
            return solution
        x, (mean, center) = solution.x, self.means
        by_rows = x.ndim == 2 and self.y.ndim == 1  # a path in λ
        (intercept,) = settled(namespace_of(x).asarray(center - (x @ mean if by_rows else mean @ x)))
        return replace(solution, intercept=intercept)


def _by_rows(operator: LinearOperator, y: Array, weights: Array | None, grams: bool) -> bool:
    """Whether A is read block by block, and the solver will do so, too."""
    A = matrix_in(operator)
    followed = any(x is not None and hasattr(namespace_of(x), "inside") for x in (y, weights))
    return A is not None and read_by_rows(A) and not followed and (not grams or A.shape[0] >= A.shape[1])


def _without_means(operator: LinearOperator, y: Array, weights: Array | None, grams: bool) -> Samples:
    """The problem with an intercept by one pass over the rows, whose sums are known then."""
    changed, mean, center = without_means(operator, y, weights, grams=grams)
    means = tuple(delivered_beside(y, part) for part in (mean, center))
    y, roots = y - center, changed.roots
    return Samples(changed, y if roots is None else y * (roots if y.ndim == 1 else roots[:, None]), means, roots)


def check_weights(weights: Array, n: int, check_finite: bool) -> Array:
    """The weights (n,) of samples, checked; their values cost a host read."""
    check_ndim(weights, "weights", 1, shape="(n,)")
    check_rows(weights, "weights", n, "A")
    xp = namespace_of(weights)
    if check_finite:
        good = xp.all((weights >= 0) & xp.isfinite(weights)) & (xp.max(weights) > 0)
        if not holds(good):
            message = "weights: expected finite numbers >= 0 with some above 0, got others."
            raise ValueError(message)
    return weights
