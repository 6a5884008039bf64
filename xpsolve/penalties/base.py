"""What a penalty is: R of  min_x f(x) + R(x),  with what the methods and their certificates need of it.

A penalty defines its value, its proximal map  prox_{tR}(v) = argmin_x ½‖x − v‖² + t·R(x)  and the smallest element of
g + ∂R(x), which is 0 where x minimises f + R with ∇f(x) = g.  Where its conjugate R*(c) = sup_x ⟨c, x⟩ − R(x) is known,
duality gaps are too (Parikh & Boyd 2014; Peyré 2020, §14.1).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

from xpsolve.arrays import (
    Array,
    Namespace,
    check_number,
    check_positive,
    common_namespace,
    device_of,
    is_array,
    is_scalar,
    lift,
    namespace_of,
)
from xpsolve.guides import guide
from xpsolve.trace import arrays_in, map_arrays


class Penalty:
    """A convex function R of x; subclass it with `value` and `prox`, and optionally the other methods.

    `x` is one point, (p,) or (p, m).  A subclass with value and prox alone is certified by the fixed point of the
    proximal step; `residual` makes that sharper, `dual_range` and `young` give a duality gap.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> class Halfspace(xs.penalties.Penalty):
    ...     "The indicator of {x: sum of x ≥ 1}."
    ...     def value(self, x):
    ...         return np.where(np.sum(x) >= 1 - 1e-12, 0.0, np.inf)
    ...     def prox(self, v, t):
    ...         return v + np.maximum(0.0, 1.0 - np.sum(v)) / v.shape[0]
    >>> xs.minimize(xs.LeastSquares(np.eye(2), np.zeros(2)), Halfspace()).x.round(6)
    array([0.5, 0.5])
    """

    homogeneous = False
    """Whether R(cx) = cR(x) for every c ≥ 0, as for norms."""

    finite = False
    """Whether R(x) < ∞ for every x."""

    numbers: tuple[str, ...] = ()
    """Attributes that are numbers, for which 0-d arrays do as well where they are above 0."""

    def value(self, x: Array) -> Array:
        """R(x), 0-d; ∞ outside of its domain."""
        raise self._missing("value", "which every penalty needs")

    def prox(self, v: Array, t: Any) -> Array:
        """argmin_x ½‖x − v‖² + t·R(x), for a number or 0-d array t > 0."""
        raise self._missing("prox", "which every penalty needs")

    def residual(self, x: Array, g: Array) -> Array:
        """The smallest element of g + ∂R(x), like x; here x − prox(x − g), which vanishes at the same points."""
        return x - self.prox(x - g, 1.0)

    def dual_range(self, c: Array) -> Array | None:
        """The largest s ≥ 0 with R*(sc) < ∞, 0-d; None where that may be 0 near a solution, or is not known."""
        return None

    def young(self, x: Array, c: Array) -> Array:
        """R(x) + R*(c) − ⟨c, x⟩ ≥ 0, 0-d, for c in the domain of R*."""
        raise self._missing("young", "which duality gaps and sums of penalties need")

    def scaled(self, unit: Any, size: Any) -> Penalty | None:
        """The penalty x ↦ R(unit·x)/size, for numbers or 0-d arrays above 0; None where it is not known."""
        return None

    def without_last(self, x: Array) -> Penalty:
        """The penalty x ↦ R(x without its last entry or row), of the x that minimise f + R with an intercept."""
        return WithoutLast(self)

    def meeting(self, x: Array) -> Any:
        """The same with its arrays in the namespace of x."""
        if not arrays_in(self):
            return self
        xp = common_namespace(x=x, **{f"array {i}": a for i, a in enumerate(arrays_in(self))})
        return map_arrays(lambda a: lift(xp, a), self)

    def with_arrays(self, made: Callable[[float], Array]) -> Penalty:
        """The same with arrays in place of its `numbers` above 0, and in no words: another λ changes a value alone."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Penalty):
                value = value.with_arrays(made)
            elif name in self.numbers and is_scalar(value) and value > 0:
                value = made(value)
            elif name == "_shown":
                value = type(self).__name__
            object.__setattr__(other, name, value)
        return other

    def replaced(self, **parts: Any) -> Self:
        """The same with other attributes, which are not checked: in other units a number may be an array, or 0."""
        other = copy.copy(self)
        for name, value in parts.items():
            object.__setattr__(other, name, value)
        return other

    def _missing(self, method: str, why: str) -> NotImplementedError:
        name = f"{type(self).__name__}.{method}"
        return NotImplementedError(f"{name}: expected a method of this name, {why}. {guide('penalty methods')}")

    def __add__(self, other: Any) -> Penalty:
        if not isinstance(other, Penalty):
            return NotImplemented
        return Sum.of(self, other)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={shown(value)}" for name, value in vars(self).items())
        return f"{type(self).__name__}({inside})"

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Penalty:
        return self.replaced(**{name: map_arrays(function, value) for name, value in vars(self).items()})


class WithoutLast(Penalty):
    """R of x without its last entry, or row."""

    def __init__(self, inner: Penalty) -> None:
        self.inner = inner

    @property
    def homogeneous(self) -> bool:  # type: ignore[override]
        """As R."""
        return self.inner.homogeneous

    @property
    def finite(self) -> bool:  # type: ignore[override]
        """As R."""
        return self.inner.finite

    def value(self, x: Array) -> Array:
        """R(x)."""
        return self.inner.value(x[:-1, ...])

    def prox(self, v: Array, t: Any) -> Array:
        """That of R, and the last entry as it is."""
        return namespace_of(v).concat([self.inner.prox(v[:-1, ...], t), v[-1:, ...]], axis=0)

    def residual(self, x: Array, g: Array) -> Array:
        """That of R, and the last entry of g."""
        return namespace_of(x).concat([self.inner.residual(x[:-1, ...], g[:-1, ...]), g[-1:, ...]], axis=0)

    def __repr__(self) -> str:
        return repr(self.inner)


class Sum(Penalty):
    """Penalties of one x added up.

    Parameters
    ----------
    parts : tuple of Penalty
        The terms; those that act on single entries are merged into one.

    Examples
    --------
    >>> import xpsolve as xs
    >>> xs.penalties.Simplex() + xs.penalties.L1(0.5)
    Simplex(total=1) + L1(lam=0.5)
    """

    def __init__(self, parts: tuple[Penalty, ...]) -> None:
        self.parts = parts

    @classmethod
    def of(cls, *terms: Penalty) -> Penalty:
        """The sum, in which all separable terms are one."""
        parts: list[Penalty] = []
        for term in terms:
            for part in term.parts if isinstance(term, Sum) else (term,):
                same = next(
                    (i for i, known in enumerate(parts) if hasattr(known, "merged") and hasattr(part, "merged")), None
                )
                if same is None:
                    parts.append(part)
                else:
                    parts[same] = parts[same].merged(part)  # type: ignore[attr-defined]
        return parts[0] if len(parts) == 1 else cls(tuple(parts))

    def value(self, x: Array) -> Array:
        """Σ R_i(x)."""
        total = self.parts[0].value(x)
        for part in self.parts[1:]:
            total = total + part.value(x)
        return total

    def prox(self, v: Array, t: Any) -> Array:
        """Not known in closed form."""
        message = f"{self!r}: expected a penalty with a proximal map, got a sum. minimize solves it by 'primal_dual'."
        raise TypeError(message)

    def scaled(self, unit: Any, size: Any) -> Penalty | None:
        """Every part scaled."""
        parts = [part.scaled(unit, size) for part in self.parts]
        return None if None in parts else Sum(tuple(parts))  # type: ignore[arg-type]

    def with_arrays(self, made: Callable[[float], Array]) -> Sum:
        """Every part with arrays."""
        return Sum(tuple(part.with_arrays(made) for part in self.parts))

    def without_last(self, x: Array) -> Penalty:
        """Every part without it."""
        return Sum(tuple(part.without_last(x) for part in self.parts))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))


def weight(value: Any, name: str) -> Any:
    """A number ≥ 0 as a float, or a 0-d array as it is."""
    return value if is_array(value) and value.ndim == 0 else check_number(value, name, minimum=0)


def positive(value: Any, name: str) -> Any:
    """A number > 0 as a float, or a 0-d array as it is."""
    return value if is_array(value) and value.ndim == 0 else check_positive(value, name)


def times(value: Any, factor: Any) -> Any:
    """A weight times a number or 0-d array; the number 0 stays one, since penalties look whether they are nothing."""
    return value if is_scalar(value) and value == 0 else value * factor


def number(xp: Namespace, like: Array, value: Any) -> Array:
    """A number or array as an array of the dtype and device of `like`."""
    return value if is_array(value) else xp.asarray(float(value), dtype=like.dtype, device=device_of(like))


def shown(value: Any) -> str:
    """A parameter in a repr: nothing is read from a device."""
    if is_array(value):
        return f"<array {tuple(value.shape)}>"
    if isinstance(value, str | bool | None):
        return repr(value)
    return f"{value:g}" if isinstance(value, int | float) else f"<{type(value).__name__}>"


def total(x: Array) -> Array:
    """The sum of all entries, 0-d."""
    xp = namespace_of(x)
    return xp.asarray(xp.sum(x))


def indicator(inside: Array, like: Array) -> Array:
    """0 where the condition `inside`, 0-d, holds and ∞ where not, in the dtype of `like`."""
    xp = namespace_of(like)
    zero = xp.zeros((), dtype=like.dtype, device=device_of(like))
    return xp.where(inside, zero, xp.full_like(zero, xp.inf))


def slack(x: Array) -> float:
    """By how much, relative to the size of a set, rounding may put a projection of x outside."""
    return 16 * float(namespace_of(x).finfo(x.dtype).eps) * int(x.shape[0])
