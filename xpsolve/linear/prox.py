"""Proximal maps  prox_{th}(x) = argmin_z ½‖z − x‖² + t·h(z)  (Peyré 2020, §14.1.4; Parikh & Boyd 2014, ch. 6).

Each penalty h has its value, its proximal map, and the distance of −g to its subdifferential at x, which is 0 where
x minimises f + h with ∇f(x) = g.  An x (p, k) is k vectors side by side.  Nothing here reads a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    check_count,
    check_number,
    device_of,
    enter,
    is_array,
    namespace_of,
    native,
)
from xpsolve.autodiff.rules import define_elementwise
from xpsolve.capabilities import capabilities


@native
def shrink(x: Array, t: Array) -> Array:
    """S_t(x) = x − clip(x, −t, t) for arrays x and t ≥ 0."""
    xp = namespace_of(x)
    return x - xp.minimum(xp.maximum(x, -t), t)


define_elementwise(
    "shrink",
    lambda xp, z, x, t: xp.astype(z != 0, z.dtype),  # the subgradient 0 at |x| = t
    lambda xp, z, x, t: xp.astype(z < 0, z.dtype) - xp.astype(z > 0, z.dtype),
)


@shrink.register("numpy")
def _shrink_numpy(x: Array, t: Array) -> Array:
    clipped = np.maximum(x, -t)  # one temporary for all three
    np.minimum(clipped, t, out=clipped)
    return np.subtract(x, clipped, out=clipped)


@shrink.register("cupy")
def _shrink_cupy(x: Array, t: Array) -> Array:
    return _cupy_kernel()(x, t)


def _cupy_kernel() -> Any:
    import cupy

    # CuPy keeps a kernel by its source, so that making it again costs a look-up
    # of CUDA's min and max a NaN loses, so that one in t is asked for
    return cupy.ElementwiseKernel("T x, T t", "T z", "z = t == t ? x - min(max(x, -t), t) : t", "xpsolve_shrink")


@capabilities(batch="entries", grad="forward, reverse")
def soft_threshold(x: Array, t: Any) -> Array:
    """S_t(x) = sign(x)·max(|x| − t, 0), the proximal map of t‖·‖₁.

    Parameters
    ----------
    x : array
        Any shape.
    t : float or array
        Threshold t ≥ 0, of a shape that broadcasts to that of `x`.

    Returns
    -------
    array
        Like `x`: exactly 0 where |x| ≤ t, and t closer to 0 elsewhere.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If t is a negative number, or devices are mixed.

    See Also
    --------
    lasso : Iterates it.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), equation 14.7.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.soft_threshold(np.asarray([3.0, -0.5, -2.0]), 1.0)
    array([ 2.,  0., -1.])
    """
    if is_array(t):
        _, (x, t) = enter(x=x, t=t)
        if t.ndim > x.ndim or any(m not in (1, n) for m, n in zip(t.shape[::-1], x.shape[::-1], strict=False)):
            message = f"t: expected a shape that broadcasts to that of x, {tuple(x.shape)}, got {tuple(t.shape)}."
            raise ValueError(message)
        return shrink(x, t)
    xp, (x,) = enter(x=x)
    return shrink(x, _number(xp, x, check_number(t, "t", minimum=0, dtype=x.dtype)))


def _number(xp: Namespace, like: Array, value: float) -> Array:
    return xp.asarray(float(value), dtype=like.dtype, device=device_of(like))


def _signs(xp: Namespace, x: Array) -> Array:
    """±1, and 0 where x is; `sign` of CuPy's compatible namespace would read from the device."""
    return xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)


def _length(xp: Namespace, x: Array) -> Array:
    return xp.linalg.vector_norm(x, axis=0)


def _excess(xp: Namespace, x: Array, t: Any) -> Array:
    """max(x − t, 0)."""
    return xp.maximum(x - t, xp.zeros_like(x))


def _indicator(xp: Namespace, inside: Array, like: Array) -> Array:
    zero = xp.zeros(inside.shape, dtype=like.dtype, device=device_of(like))
    return xp.where(inside, zero, xp.full_like(zero, xp.inf))


@dataclass(frozen=True)
class L1:
    """h(x) = weight·‖x‖₁.

    Parameters
    ----------
    weight : float
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import L1
    >>> L1(0.5).prox(np.asarray([2.0, -0.5]), 2.0)
    array([1., 0.])
    """

    weight: float = 1.0

    def value(self, x: Array) -> Array:
        """h(x), a number for each column."""
        xp = namespace_of(x)
        return self.weight * xp.sum(xp.abs(x), axis=0)

    def prox(self, x: Array, t: float) -> Array:
        """S_{t·weight}(x)."""
        return shrink(x, _number(namespace_of(x), x, self.weight * t))

    def distance(self, x: Array, g: Array) -> Array:
        """Of −g to {weight·sign(x_j), or the interval between both signs where x_j = 0}."""
        xp = namespace_of(x)
        at_zero = _excess(xp, xp.abs(g), self.weight)
        return _length(xp, xp.where(x == 0, at_zero, g + self.weight * _signs(xp, x)))


@dataclass(frozen=True)
class SquaredL2:
    """h(x) = ½·weight·‖x‖².

    Parameters
    ----------
    weight : float
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import SquaredL2
    >>> SquaredL2(1.0).prox(np.asarray([2.0]), 1.0)
    array([1.])
    """

    weight: float = 1.0

    def value(self, x: Array) -> Array:
        """h(x), a number for each column."""
        return 0.5 * self.weight * namespace_of(x).sum(x * x, axis=0)

    def prox(self, x: Array, t: float) -> Array:
        """x / (1 + t·weight)."""
        return x / (1 + t * self.weight)

    def distance(self, x: Array, g: Array) -> Array:
        """Of −g to the gradient weight·x."""
        return _length(namespace_of(x), g + self.weight * x)


@dataclass(frozen=True)
class ElasticNet:
    """h(x) = l1·‖x‖₁ + ½·l2·‖x‖².

    Parameters
    ----------
    l1, l2 : float
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import ElasticNet
    >>> ElasticNet(1.0, 1.0).prox(np.asarray([3.0]), 1.0)
    array([1.])
    """

    l1: float = 1.0
    l2: float = 1.0

    def value(self, x: Array) -> Array:
        """h(x), a number for each column."""
        return L1(self.l1).value(x) + SquaredL2(self.l2).value(x)

    def prox(self, x: Array, t: float) -> Array:
        """S_{t·l1}(x) / (1 + t·l2)."""
        return SquaredL2(self.l2).prox(L1(self.l1).prox(x, t), t)

    def distance(self, x: Array, g: Array) -> Array:
        """That of ‖·‖₁ after the smooth part has gone into the gradient."""
        return L1(self.l1).distance(x, g + self.l2 * x)


@dataclass(frozen=True)
class L1Ball:
    """The indicator of {‖x‖₁ ≤ radius}: 0 inside, ∞ outside.

    Parameters
    ----------
    radius : float
        Above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import L1Ball
    >>> L1Ball(1.0).prox(np.asarray([3.0, -1.0]), 1.0)
    array([1., 0.])
    """

    radius: float = 1.0

    def value(self, x: Array) -> Array:
        """0 or ∞ for each column; rounding of the size of a projection's is allowed."""
        xp = namespace_of(x)
        return _indicator(xp, xp.sum(xp.abs(x), axis=0) <= self.radius * (1 + self._slack(xp, x)), x)

    def prox(self, x: Array, t: float) -> Array:
        """The projection: soft-thresholding at the level ν where Σ max(|x_j| − ν, 0) is the radius."""
        xp = namespace_of(x)
        return shrink(x, self._level(xp, xp.abs(x), None, -self.radius))

    def distance(self, x: Array, g: Array) -> Array:
        """Of −g to the normal cone: {0} inside, all ν·∂‖x‖₁ with ν ≥ 0 on the sphere, nothing outside."""
        xp = namespace_of(x)
        size, slack = xp.sum(xp.abs(x), axis=0), self._slack(xp, x)
        on, signs = x != 0, _signs(xp, x)
        # the nearest ν solves Σ_{x=0} max(|g_j| − ν, 0) = Σ_{x≠0} (ν + g_j sign x_j)
        off = xp.where(on, xp.zeros_like(g), xp.abs(g))
        count = xp.sum(xp.astype(on, x.dtype), axis=0)
        level = self._level(xp, off, count, -xp.sum(signs * g, axis=0))
        on_sphere = _length(xp, xp.where(on, g + level * signs, _excess(xp, xp.abs(g), level)))
        inside = xp.where(size < self.radius * (1 - slack), _length(xp, g), on_sphere)
        return inside + self.value(x)

    @staticmethod
    def _slack(xp: Namespace, x: Array) -> float:
        return 16 * float(xp.finfo(x.dtype).eps) * int(x.shape[0])

    @staticmethod
    def _level(xp: Namespace, a: Array, count: Any, offset: Any) -> Array:
        """ν ≥ 0 with Σ max(a_j − ν, 0) = count·ν − offset, or 0; a count of None is 0.

        For any m the m largest a_j give ν_m = (Σ a_j + offset)/(m + count), which is never above the root, and is
        the root where m is the number of a_j above it: the root is the largest ν_m.
        """
        descending = xp.sort(a, axis=0, descending=True)
        m = xp.arange(1, a.shape[0] + 1, dtype=a.dtype, device=device_of(a))
        m = m if a.ndim == 1 else m[:, None]
        levels = (xp.cumulative_sum(descending, axis=0) + offset) / (m if count is None else m + count)
        top = xp.max(levels, axis=0)
        if count is not None:  # none of the a_j may be above it
            top = xp.maximum(top, offset / xp.where(count > 0, count, xp.ones_like(count)))
        return xp.maximum(top, xp.zeros_like(top))


@dataclass(frozen=True)
class Box:
    """The indicator of {lower ≤ x_j ≤ upper}.

    Parameters
    ----------
    lower, upper : float
        The bounds, lower ≤ upper; they may be infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import Box
    >>> Box(-1.0, 1.0).prox(np.asarray([3.0, 0.5]), 1.0)
    array([1. , 0.5])
    """

    lower: float = 0.0
    upper: float = 1.0

    def value(self, x: Array) -> Array:
        """0 or ∞ for each column."""
        xp = namespace_of(x)
        return _indicator(xp, xp.all((x >= self.lower) & (x <= self.upper), axis=0), x)

    def prox(self, x: Array, t: float) -> Array:
        """The projection."""
        xp = namespace_of(x)
        return xp.minimum(xp.maximum(x, _number(xp, x, self.lower)), _number(xp, x, self.upper))

    def distance(self, x: Array, g: Array) -> Array:
        """Of −g to the normal cone, which points outwards at a bound and is 0 between."""
        xp = namespace_of(x)
        zero = xp.zeros_like(g)
        g = xp.where(x <= self.lower, xp.minimum(g, zero), g)
        g = xp.where(x >= self.upper, xp.maximum(g, zero) if self.lower < self.upper else zero, g)
        return _length(xp, g) + self.value(x)


@dataclass(frozen=True)
class NonNegative(Box):
    """The indicator of {x_j ≥ 0}.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import NonNegative
    >>> NonNegative().prox(np.asarray([3.0, -0.5]), 1.0)
    array([3., 0.])
    """

    upper: float = float("inf")


@dataclass(frozen=True)
class GroupL12:
    """h(x) = weight·Σ_g ‖x_g‖ over groups of `size` entries that follow each other.

    Parameters
    ----------
    size : int
        Entries of a group; it divides the length of x.
    weight : float
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.prox import GroupL12
    >>> GroupL12(2, 5.0).prox(np.asarray([6.0, 8.0, 0.3, 0.4]), 1.0)
    array([3., 4., 0., 0.])
    """

    size: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.size, "size", 1)

    def value(self, x: Array) -> Array:
        """h(x), a number for each column."""
        xp = namespace_of(x)
        return self.weight * xp.sum(self._lengths(xp, self._grouped(xp, x)), axis=(0, 1))

    def prox(self, x: Array, t: float) -> Array:
        """Each group shortened by t·weight, or 0."""
        xp = namespace_of(x)
        groups = self._grouped(xp, x)
        lengths = self._lengths(xp, groups)
        kept = _excess(xp, lengths, self.weight * t) / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
        return xp.reshape(kept * groups, x.shape)

    def distance(self, x: Array, g: Array) -> Array:
        """Of −g to {weight·x_g/‖x_g‖, or the ball of that radius where x_g = 0}."""
        xp = namespace_of(x)
        groups, gradients = self._grouped(xp, x), self._grouped(xp, g)
        lengths = self._lengths(xp, groups)
        away = gradients + self.weight * groups / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
        at_zero = _excess(xp, self._lengths(xp, gradients), self.weight)
        parts = xp.where(lengths > 0, self._lengths(xp, away), at_zero)
        return xp.sqrt(xp.sum(parts * parts, axis=(0, 1)))

    def _grouped(self, xp: Namespace, x: Array) -> Array:
        if x.shape[0] % self.size:
            message = f"x: expected a length that size = {self.size} divides, got shape {tuple(x.shape)}."
            raise ValueError(message)
        return xp.reshape(x, (x.shape[0] // self.size, self.size, *x.shape[1:]))

    @staticmethod
    def _lengths(xp: Namespace, groups: Array) -> Array:
        return xp.sqrt(xp.sum(groups * groups, axis=1, keepdims=True))
