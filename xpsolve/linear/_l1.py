"""min_x P(x) = ½‖Ax − y‖² + l1‖x‖₁ + ½ l2‖x‖²: its objective, and how far from the minimum it can be at most.

A, x and y are real or complex: then Aᵀ is Aᴴ, a product c_j x_j is Re c̄_j x_j, and a square |·|².
With r = y − Ax and c = Aᵀr − l2 x, weak duality holds P(x) − min P below the sum of squares and of terms that are
each ≥ 0, so that no digit is lost to cancellation (Fercoq, Gramfort & Salmon 2015; Fenchel–Young):

    at θ = s·r, feasible for |s|‖c‖∞ ≤ l1:   ½(1 − s)²(‖r‖² + l2‖x‖²) + Σ (l1|x_j| − s c_j x_j)
    at θ = r, where l2 > 0:                   Σ (l1|x_j| + ½ l2 x_j² + S_{l1}(a_j)²/(2 l2) − a_j x_j),   a = Aᵀr
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.arrays import Array, cast, composed, inner, namespace_of, products, squares
from xpsolve.penalties.shrink import soft


@dataclass(frozen=True)
class Penalty:
    """l1‖x‖₁ + ½ l2‖x‖², with weights that are 0-d or one for each column; l2 is None where there is no such term."""

    l1: Array
    l2: Array | None = None

    def astype(self, dtype: Any) -> Penalty:
        """The same with weights of this dtype."""
        return Penalty(cast(self.l1, dtype), None if self.l2 is None else cast(self.l2, dtype))

    def part(self, places: slice | int) -> Penalty:
        """Those at these places of many weights (m,)."""
        return Penalty(self.l1[places], None if self.l2 is None else self.l2[places])

    def steps(self, tau: Array) -> tuple[Array, Array, Array]:
        """(τ, τ·l1, 1/(1 + τ·l2)): what the proximal map of τ·penalty shrinks and multiplies by."""
        one = namespace_of(tau).ones_like(tau)
        return tau, tau * self.l1, one if self.l2 is None else one / (1 + tau * self.l2)

    def advance(self, V: Array, steps: tuple[Array, ...]) -> Array:
        """argmin ½‖X − V‖² + τ·penalty."""
        X = soft(V, steps[1])
        return X if self.l2 is None else X * steps[2]

    def value(self, X: Array) -> Array:
        """The penalty of each column."""
        xp = namespace_of(X)
        value = self.l1 * xp.sum(xp.abs(X), axis=0)
        return value if self.l2 is None else value + 0.5 * self.l2 * xp.sum(squares(X), axis=0)

    def gap(self, X: Array, C: Array, rr: Array) -> Array:
        """An upper bound of P(x) − min P for each column, from C = Aᵀ(Y − AX) and rr = ‖Y − AX‖²."""
        if self.l2 is None:
            return _on_the_residual(X, C, rr, self.l1)
        xp, zero = namespace_of(X), namespace_of(X).zeros_like(rr)
        squared = rr + self.l2 * xp.sum(squares(X), axis=0)
        excess = soft(C, self.l1 + zero)
        terms = self.l1 * xp.abs(X) + 0.5 * self.l2 * squares(X) + squares(excess) / (2 * self.l2) - products(C, X)
        at_the_residual = xp.maximum(xp.sum(terms, axis=0), zero)
        return xp.minimum(_on_the_residual(X, C - self.l2 * X, squared, self.l1), at_the_residual)


@composed
def _on_the_residual(X: Array, D: Array, rr: Array, l1: Array) -> Array:
    """The bound at the best θ = s·r, from D = c and rr = ‖r‖² + l2‖x‖²."""
    xp = namespace_of(X)
    one, zero = xp.ones_like(rr), xp.zeros_like(rr)
    along = inner(X, D, axis=0)
    highest = xp.max(xp.abs(D), axis=0)
    limit = l1 / xp.where(highest > 0, highest, one)
    limit = xp.where(highest > 0, limit, xp.full_like(limit, xp.inf))
    best = 1 + along / xp.where(rr > 0, rr, one)  # where the dual objective is largest on the line through r
    s = xp.minimum(xp.maximum(best, -limit), limit)
    size = xp.sum(xp.abs(X), axis=0)
    return 0.5 * (1 - s) ** 2 * rr + xp.maximum(l1 * size - s * along, zero)


@_on_the_residual.register("numpy")
def _on_the_residual_numpy(X: Array, D: Array, rr: Array, l1: Array) -> Array:
    if X.dtype.kind == "c":
        return _on_the_residual.standard(X, D, rr, l1)
    if X.shape[1] > 1 or l1.size > 1:
        inners = np.add.reduce(X * D, axis=0)
        sizes = np.maximum.reduce(np.abs(D), axis=0)
        limits = np.where(sizes > 0, l1 / sizes, np.inf)
        S = np.minimum(np.maximum(1 + inners / np.where(rr > 0, rr, 1), -limits), limits)
        return 0.5 * (1 - S) ** 2 * rr + np.maximum(l1 * np.add.reduce(np.abs(X), axis=0) - S * inners, 0)
    x, d, weight, squared = X[:, 0], D[:, 0], l1.item(), rr.item()
    inner, highest = float(x @ d), float(np.maximum.reduce(np.abs(d)))
    limit = weight / highest if highest > 0 else np.inf
    s = min(max(1 + inner / (squared if squared > 0 else 1), -limit), limit)  # the first is the NaN if there is one
    rest = max(weight * float(np.add.reduce(np.abs(x))) - s * inner, 0)
    return np.asarray([0.5 * (1 - s) * (1 - s) * squared + rest], X.dtype)
