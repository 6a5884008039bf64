"""Indicators of sets with a projection by sorting: the ℓ¹ ball and the simplex (Duchi et al. 2008).

projection on {Σ x_j = s, x ≥ 0}    max(v_j − ν, 0)  with the ν for which the sum is s
conjugate                           s·max_j c_j,  and radius·max_j |c_j| for the ball
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, Namespace, device_of, namespace_of
from xpsolve.penalties.base import Penalty, indicator, number, positive, slack, total
from xpsolve.penalties.shrink import shrink


class L1Ball(Penalty):
    """The indicator of {‖x‖₁ ≤ radius}: 0 inside, ∞ outside.

    Parameters
    ----------
    radius : float
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If the radius is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.L1Ball(1.0).prox(np.asarray([3.0, -1.0]), 1.0)
    array([1., 0.])
    """

    def __init__(self, radius: Any) -> None:
        self.radius = positive(radius, "radius")

    def value(self, x: Array) -> Array:
        """0 or ∞; a point that is outside by rounding alone counts as inside."""
        xp = namespace_of(x)
        return indicator(total(xp.abs(x)) <= self.radius * (1 + slack(x)), x)

    def prox(self, v: Array, t: Any) -> Array:
        """The projection: soft-thresholding at the level ν where Σ max(|v_j| − ν, 0) is the radius, or at 0."""
        xp = namespace_of(v)
        level = _level(xp, xp.reshape(xp.abs(v), (-1,)), self.radius)
        return shrink(v, xp.maximum(level, xp.zeros_like(level)))

    def residual(self, x: Array, g: Array) -> Array:
        """Of g and the normal cone: {0} inside, all ν·∂‖x‖₁ with ν ≥ 0 on the sphere."""
        xp = namespace_of(x)
        on, signs = x != 0, xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)
        # the nearest ν solves Σ_{x=0} max(|g_j| − ν, 0) = Σ_{x≠0} (ν + g_j sign x_j)
        off = xp.reshape(xp.where(on, xp.zeros_like(g), xp.abs(g)), (-1,))
        level = _level(xp, off, total(signs * g), total(xp.astype(on, x.dtype)))
        level = xp.maximum(level, xp.zeros_like(level))
        on_sphere = xp.where(on, g + level * signs, shrink(g, level))
        inside = total(xp.abs(x)) < self.radius * (1 - slack(x))
        return xp.where(inside, g, on_sphere) + self.value(x)

    def dual_range(self, c: Array) -> Array:
        """∞: the conjugate is radius·max|c_j|."""
        return namespace_of(c).full_like(total(c), namespace_of(c).inf)

    def young(self, x: Array, c: Array) -> Array:
        """Σ |x_j|(max|c| − c_j sign x_j) + (radius − ‖x‖₁)·max|c|."""
        xp = namespace_of(x)
        highest = xp.max(xp.abs(c))
        left = self.radius - total(xp.abs(x))
        return total(xp.abs(x) * highest - x * c) + xp.maximum(left, xp.zeros_like(left)) * highest

    def scaled(self, unit: Any, size: Any) -> L1Ball:
        """With radius/unit."""
        return self.replaced(radius=self.radius / unit)


class Simplex(Penalty):
    """The indicator of {x_j ≥ 0, Σ x_j = total}: 0 inside, ∞ outside.

    Parameters
    ----------
    total : float
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If the total is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.Simplex().prox(np.asarray([0.9, 0.5, -1.0]), 1.0).round(6)
    array([0.7, 0.3, 0. ])
    """

    def __init__(self, total: Any = 1.0) -> None:
        self.total = positive(total, "total")

    def value(self, x: Array) -> Array:
        """0 or ∞; a point that is outside by rounding alone counts as inside."""
        xp = namespace_of(x)
        off = xp.abs(total(x) - self.total) <= self.total * slack(x)
        return indicator(xp.all(x >= 0) & off, x)

    def prox(self, v: Array, t: Any) -> Array:
        """The projection max(v_j − ν, 0), with the ν for which the sum is the total."""
        xp = namespace_of(v)
        return xp.maximum(v - _level(xp, xp.reshape(v, (-1,)), self.total), xp.zeros_like(v))

    def residual(self, x: Array, g: Array) -> Array:
        """Of g and the normal cone {ν·1 − w: w ≥ 0, w_j x_j = 0}, at the nearest ν."""
        xp = namespace_of(x)
        on = x > 0
        off = xp.reshape(xp.where(on, xp.full_like(g, -xp.inf), -g), (-1,))
        zero = xp.zeros_like(g)
        level = _level(xp, off, total(xp.where(on, g, zero)), total(xp.astype(on, x.dtype)))
        return xp.where(on, g + level, xp.minimum(g + level, zero)) + self.value(x)

    def dual_range(self, c: Array) -> Array:
        """∞: the conjugate is total·max c_j."""
        return namespace_of(c).full_like(total(c), namespace_of(c).inf)

    def young(self, x: Array, c: Array) -> Array:
        """Σ x_j(max c − c_j)."""
        return total(x * (namespace_of(x).max(c) - c))

    def scaled(self, unit: Any, size: Any) -> Simplex:
        """With total/unit."""
        return self.replaced(total=self.total / unit)


def _level(xp: Namespace, a: Array, offset: Any, count: Array | None = None) -> Array:
    """The ν with Σ max(a_j − ν, 0) = count·ν + offset, 0-d; a count of None is 0.

    For any m the m largest a_j give ν_m = (Σ a_j − offset)/(m + count), which is never above the root, and is the root
    where m is the number of a_j above it: the root is the largest ν_m.
    """
    descending = xp.sort(a, descending=True)
    m = xp.arange(1, a.shape[0] + 1, dtype=a.dtype, device=device_of(a))
    levels = (xp.cumulative_sum(descending) - offset) / (m if count is None else m + count)
    top = xp.max(levels)
    if count is not None:  # none of the a_j may be above it
        top = xp.where(count > 0, xp.maximum(top, -offset / xp.where(count > 0, count, xp.ones_like(count))), top)
    return number(xp, a, top)
