"""Penalties that act on single entries: sums of l1|x_j|, ½ l2 x_j² and bounds lower ≤ x_j ≤ upper.

All of them are one function of four parameters, and so are their sums:

    prox        clip(S_{t·l1}(v)/(1 + t·l2), lower, upper)
    conjugate   attained at x̂ = clip(S_{l1}(c)/l2), or without l2 at 0 for |c| ≤ l1 and at a bound beyond
"""

from __future__ import annotations

import math
from typing import Any

from xpsolve.arrays import Array, check_number, holds, is_array, is_concrete, is_scalar, namespace_of
from xpsolve.penalties.base import Penalty, number, shown, times, total, weight
from xpsolve.penalties.shrink import shrink


class Separable(Penalty):
    """R(x) = Σ_j l1_j|x_j| + ½ l2 x_j², for lower_j ≤ x_j ≤ upper_j; None stands for a part that is absent."""

    numbers = ("l1",)  # an l2 that is a number is known to be above 0

    def __init__(self, l1: Any = None, l2: Any = None, lower: Any = None, upper: Any = None) -> None:
        self.l1, self.l2, self.lower, self.upper = l1, l2, lower, upper

    @property
    def homogeneous(self) -> bool:  # type: ignore[override]
        """Whether there is an l1 alone."""
        return self.l2 is None and self.lower is None and self.upper is None

    @property
    def finite(self) -> bool:  # type: ignore[override]
        """Whether there are no bounds."""
        return self.lower is None and self.upper is None

    def merged(self, other: Separable) -> Separable:
        """The sum of two, which is one."""
        return Separable(
            _both(self.l1, other.l1, _plus),
            _both(self.l2, other.l2, _plus),
            _both(self.lower, other.lower, lambda a, b: _extreme("maximum", a, b)),
            _both(self.upper, other.upper, lambda a, b: _extreme("minimum", a, b)),
        )

    def scaled(self, unit: Any, size: Any) -> Separable:
        """The same form, with l1·unit/size, l2·unit²/size and bounds/unit."""
        return Separable(
            None if self.l1 is None else times(self.l1, unit / size),
            None if self.l2 is None else self.l2 * (unit * (unit / size)),
            None if self.lower is None else self.lower / unit,
            None if self.upper is None else self.upper / unit,
        )

    def value(self, x: Array) -> Array:
        """R(x)."""
        xp, here = namespace_of(x), self._beside(x)
        terms = here._smooth(x)
        inside = here._inside(x)
        value = total(terms)
        return value if inside is None else xp.where(inside, value, xp.full_like(value, xp.inf))

    def prox(self, v: Array, t: Any) -> Array:
        """clip(S_{t·l1}(v)/(1 + t·l2), lower, upper)."""
        here = self._beside(v)
        x = v if here.l1 is None else shrink(v, number(namespace_of(v), v, here.l1 * t))
        return here._clip(x if here.l2 is None else x / (1 + here.l2 * t))

    def residual(self, x: Array, g: Array) -> Array:
        """The smallest element of g + ∂R(x): the subgradients of an entry are an interval."""
        xp, here = namespace_of(x), self._beside(x)
        zero = xp.zeros_like(g)
        g = g if here.l2 is None else g + here.l2 * x
        low = high = g
        if here.l1 is not None:
            up, down = x >= 0, x <= 0
            low, high = xp.where(down, g - here.l1, g + here.l1), xp.where(up, g + here.l1, g - here.l1)
        if here.lower is not None:
            low = xp.where(x <= here.lower, xp.full_like(low, -xp.inf), low)
        if here.upper is not None:
            high = xp.where(x >= here.upper, xp.full_like(high, xp.inf), high)
        smallest = xp.maximum(low, zero) + xp.minimum(high, zero)
        inside = here._inside(x)
        return smallest if inside is None else xp.where(inside, smallest, xp.full_like(smallest, xp.inf))

    def dual_range(self, c: Array) -> Array | None:
        """The s with s·c_j ≤ l1_j where x_j is unbounded above, and −s·c_j ≤ l1_j where it is below."""
        xp, here = namespace_of(c), self._beside(c)
        free = xp.full_like(total(c), xp.inf)
        if here.l2 is not None or (here.lower is not None and here.upper is not None):
            return free
        if here.l1 is None or not _positive(self.l1):
            return None
        size = xp.abs(c) if here.lower is None and here.upper is None else (c if here.upper is None else -c)
        ratio = xp.where(size > 0, here.l1 / xp.where(size > 0, size, xp.ones_like(size)), xp.full_like(size, xp.inf))
        return xp.asarray(xp.min(ratio))

    def young(self, x: Array, c: Array) -> Array:
        """R(x) + R*(c) − ⟨c, x⟩, a sum of terms that are not negative."""
        xp, here = namespace_of(x), self._beside(x)
        best = here._clip(xp.zeros_like(x))  # where c is within l1 of 0
        shrunk = c if here.l1 is None else shrink(c, here.l1 + xp.zeros_like(c))
        if here.l2 is not None:
            best = here._clip(shrunk / here.l2)
        elif here.lower is not None and here.upper is not None:
            best = xp.where(shrunk > 0, here.upper, xp.where(shrunk < 0, here.lower, best))
        terms = here._smooth(x) - here._smooth(best) - c * (x - best)
        return total(xp.maximum(terms, xp.zeros_like(terms)))

    def free(self, x: Array) -> tuple[Array, Array]:
        """Which entries are between two kinks of R, and the slope of l1|x_j|."""
        xp, here = namespace_of(x), self._beside(x)
        free, slope = x == x, xp.zeros_like(x)
        if here.l1 is not None:
            free = free & ((x != 0) | (here.l1 == 0) if is_array(here.l1) and here.l1.ndim else x != 0)
            slope = xp.where(x > 0, here.l1 + slope, slope - here.l1)
        free = free if here.lower is None else free & (x > here.lower)
        return (free if here.upper is None else free & (x < here.upper)), slope

    def without_last(self, x: Array) -> Separable:
        """With weights 0 and no bounds for the last entry."""
        self._beside(x[:-1, ...])  # which checks the shapes
        xp = namespace_of(x)

        def longer(value: Any, last: float) -> Any:
            if value is None:
                return None
            if not is_array(value) or value.ndim == 0:
                value = xp.zeros_like(x[:-1, ...] if x.ndim == 1 else x[:-1, 0]) + value
            return xp.concat([value, xp.full_like(value[:1, ...], last)], axis=0)

        return Separable(
            longer(self.l1, 0.0), longer(self.l2, 0.0), longer(self.lower, -xp.inf), longer(self.upper, xp.inf)
        )

    def _smooth(self, x: Array) -> Array:
        """l1|x_j| + ½ l2 x_j² of every entry."""
        xp = namespace_of(x)
        terms = xp.zeros_like(x) if self.l1 is None else self.l1 * xp.abs(x)
        return terms if self.l2 is None else terms + 0.5 * self.l2 * x * x

    def _clip(self, x: Array) -> Array:
        xp = namespace_of(x)
        x = x if self.lower is None else xp.maximum(x, number(xp, x, self.lower))
        return x if self.upper is None else xp.minimum(x, number(xp, x, self.upper))

    def _inside(self, x: Array) -> Array | None:
        """Whether x is within the bounds, 0-d; None where there are none."""
        if self.lower is None and self.upper is None:
            return None
        return namespace_of(x).all(self._clip(x) == x)

    def _beside(self, x: Array) -> Separable:
        """The same with its arrays in the namespace of x and shapes that broadcast along its columns."""
        if not any(map(is_array, vars(self).values())):
            return self
        here: Separable = self.meeting(x)
        for value in vars(self).values():
            if is_array(value) and value.ndim == 1 and value.shape[0] != x.shape[0]:
                message = f"penalty: expected weights and bounds of shape ({x.shape[0]},), got {tuple(value.shape)}."
                raise ValueError(message)
        if x.ndim == 1:
            return here
        parts = (v[:, None] if is_array(v) and v.ndim == 1 else v for v in (here.l1, here.l2, here.lower, here.upper))
        return Separable(*parts)

    def __repr__(self) -> str:
        known = {"l1": self.l1, "l2": self.l2, "lower": self.lower, "upper": self.upper}
        inside = ", ".join(f"{name}={shown(value)}" for name, value in known.items() if value is not None)
        return f"Separable({inside})"


class L1(Separable):
    """R(x) = λ Σ_j w_j|x_j|.

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.
    weights : array (p,), optional
        w_j ≥ 0; where it is 0 an entry is free.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a number is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.L1(0.5).prox(np.asarray([2.0, -0.5]), 2.0)
    array([1., 0.])
    """

    def __init__(self, lam: Any, weights: Array | None = None) -> None:
        lam = weight(lam, "lam")
        super().__init__(lam if weights is None else lam * _vector(weights, "weights"))

    def __repr__(self) -> str:
        return f"L1(lam={shown(self.l1)})"


class SquaredL2(Separable):
    """R(x) = ½λ‖x‖².

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.

    Raises
    ------
    TypeError, ValueError
        If λ is no number, negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.SquaredL2(1.0).prox(np.asarray([2.0]), 1.0)
    array([1.])
    """

    def __init__(self, lam: Any) -> None:
        super().__init__(l2=_absent(weight(lam, "lam")))

    def __repr__(self) -> str:
        return f"SquaredL2(lam={shown(self.l2 or 0.0) if not is_array(self.l2) else shown(self.l2)})"


class ElasticNet(Separable):
    """R(x) = λ(1 − θ)‖x‖₁ + ½λθ‖x‖².

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.
    theta : float
        0 ≤ θ ≤ 1: 0 is `L1`, 1 is `SquaredL2`.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number, or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.ElasticNet(2.0, 0.5).prox(np.asarray([3.0]), 1.0)
    array([1.])
    """

    def __init__(self, lam: Any, theta: float) -> None:
        lam = weight(lam, "lam")
        if check_number(theta, "theta", minimum=0) > 1:
            message = f"theta: expected a number between 0 (L1) and 1 (SquaredL2), got {theta!r}."
            raise ValueError(message)
        super().__init__(_absent(lam * (1 - theta)), _absent(lam * theta))
        self._shown = f"ElasticNet(lam={shown(lam)}, theta={theta:g})"

    def __repr__(self) -> str:
        return self._shown


class Box(Separable):
    """The indicator of {lower_j ≤ x_j ≤ upper_j}: 0 inside, ∞ outside.

    Parameters
    ----------
    lower, upper : float or array (p,)
        The bounds, lower ≤ upper; numbers may be infinite.  Arrays are finite, which costs one host read.

    Raises
    ------
    TypeError, ValueError
        If a bound is of the wrong kind or not a number, or the lower one is above the upper.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.Box(-1.0, 1.0).prox(np.asarray([3.0, 0.5]), 1.0)
    array([1. , 0.5])
    """

    def __init__(self, lower: Any, upper: Any) -> None:
        super().__init__(lower=_bound(lower, "lower", -math.inf), upper=_bound(upper, "upper", math.inf))
        low, high = self.lower, self.upper
        if low is not None and high is not None:
            wrong = low > high
            if wrong if not is_array(wrong) else not holds(~namespace_of(wrong).any(wrong)):
                message = f"lower: expected bounds with lower <= upper, got lower={shown(low)}, upper={shown(high)}."
                raise ValueError(message)

    def __repr__(self) -> str:
        low = "-inf" if self.lower is None else shown(self.lower)
        return f"Box(lower={low}, upper={'inf' if self.upper is None else shown(self.upper)})"


class NonNegative(Separable):
    """The indicator of {x_j ≥ 0}: 0 inside, ∞ outside.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.NonNegative().prox(np.asarray([3.0, -0.5]), 1.0)
    array([3., 0.])
    """

    def __init__(self) -> None:
        super().__init__(lower=0.0)

    def __repr__(self) -> str:
        return "NonNegative()"


def _absent(value: Any) -> Any:
    """None for the number 0."""
    return None if is_scalar(value) and value == 0 else value


def _positive(l1: Any) -> bool:
    """Whether every weight is known to be above 0; 0-d arrays are assumed to be."""
    if not is_array(l1) or l1.ndim == 0:
        return is_array(l1) or l1 > 0
    return is_concrete(l1) and bool(namespace_of(l1).all(l1 > 0))


def _vector(value: Any, name: str) -> Array:
    if not is_array(value) or value.ndim != 1:
        message = f"{name}: expected an array of shape (p,), got {getattr(value, 'shape', value)!r}."
        raise TypeError(message)
    xp = namespace_of(value)
    if not holds(xp.all((value >= 0) & xp.isfinite(value))):
        message = f"{name}: expected finite numbers >= 0, got an array with a number that is not."
        raise ValueError(message)
    return value


def _bound(value: Any, name: str, infinite: float) -> Any:
    if is_array(value):
        xp = namespace_of(value)
        if not holds(xp.all(xp.isfinite(value))):
            message = f"{name}: expected an array of finite numbers, got one with NaN or infinities."
            raise ValueError(message)
        return value
    if is_scalar(value) and value == infinite:
        return None
    return check_number(value, name)


def _both(a: Any, b: Any, join: Any) -> Any:
    return b if a is None else (a if b is None else join(a, b))


def _plus(a: Any, b: Any) -> Any:
    return a + b


def _extreme(name: str, a: Any, b: Any) -> Any:
    if not (is_array(a) or is_array(b)):
        return max(a, b) if name == "maximum" else min(a, b)
    like = a if is_array(a) else b
    xp = namespace_of(like)
    return getattr(xp, name)(number(xp, like, a), number(xp, like, b))
