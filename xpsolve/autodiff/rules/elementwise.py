"""Elementwise functions: ∂z/∂x_i, each once, for both modes.

Where a function has a kink, one subgradient is taken: |x| at 0 has 0; `maximum` and `minimum` of equal numbers give
each ½; `clip` passes the gradient on at its bounds; x^y at x = 0 has no derivative in y but 0.
"""

from __future__ import annotations

import math
from typing import Any

from xpsolve.arrays import Array, Namespace
from xpsolve.autodiff.rules.table import (
    Map,
    aligned,
    as_number,
    elementwise,
    inverse_or_zero,
    is_complex,
    rule,
    same,
    signs,
    unbroadcast,
)

elementwise("add", 1, 1)
elementwise("subtract", 1, -1)
elementwise("negative", -1)
elementwise("positive", 1)
elementwise("multiply", lambda xp, z, x, y: y, lambda xp, z, x, y: x)
elementwise("divide", lambda xp, z, x, y: 1 / y, lambda xp, z, x, y: -z / y)
elementwise("square", lambda xp, z, x: 2 * x)
elementwise("reciprocal", lambda xp, z, x: -z * z)
elementwise("sqrt", lambda xp, z, x: 0.5 / z)
elementwise("exp", lambda xp, z, x: z)
elementwise("expm1", lambda xp, z, x: z + 1)
elementwise("log", lambda xp, z, x: 1 / x)
elementwise("log1p", lambda xp, z, x: 1 / (1 + x))
elementwise("log2", lambda xp, z, x: 1 / (math.log(2) * x))
elementwise("log10", lambda xp, z, x: 1 / (math.log(10) * x))
elementwise("logaddexp", lambda xp, z, x, y: xp.exp(x - z), lambda xp, z, x, y: xp.exp(y - z))
elementwise("sin", lambda xp, z, x: xp.cos(x))
elementwise("cos", lambda xp, z, x: -xp.sin(x))
elementwise("tan", lambda xp, z, x: 1 + z * z)
elementwise("asin", lambda xp, z, x: 1 / xp.sqrt((1 - x) * (1 + x)))
elementwise("acos", lambda xp, z, x: -1 / xp.sqrt((1 - x) * (1 + x)))
elementwise("atan", lambda xp, z, x: 1 / (1 + x * x))
elementwise(
    "atan2",
    lambda xp, z, y, x: x / (x * x + y * y),
    lambda xp, z, y, x: -y / (x * x + y * y),
)
elementwise("sinh", lambda xp, z, x: xp.cosh(x))
elementwise("cosh", lambda xp, z, x: xp.sinh(x))
elementwise("tanh", lambda xp, z, x: (1 - z) * (1 + z))
elementwise("asinh", lambda xp, z, x: 1 / xp.sqrt(1 + x * x))
elementwise("acosh", lambda xp, z, x: 1 / xp.sqrt((x - 1) * (x + 1)))
elementwise("atanh", lambda xp, z, x: 1 / ((1 - x) * (1 + x)))
elementwise(
    "hypot",
    lambda xp, z, x, y: x * inverse_or_zero(xp, z),
    lambda xp, z, x, y: y * inverse_or_zero(xp, z),
)
elementwise("remainder", 1, lambda xp, z, x, y: -xp.floor_divide(x, y))
elementwise("copysign", lambda xp, z, x, y: signs(xp, x) * signs(xp, z), 0)


def _pow_base(xp: Namespace, z: Array, x: Array, y: Any) -> Array:
    if isinstance(y, int | float):
        if y == 2:
            return 2 * x
        return y * x ** (y - 1) if y else xp.zeros_like(z)
    return xp.where(y == 0, xp.zeros_like(z), y * x ** xp.where(y == 0, xp.ones_like(y), y - 1))


def _pow_exponent(xp: Namespace, z: Array, x: Any, y: Array) -> Array:
    if isinstance(x, int | float):
        return z * math.log(x) if x > 0 else z * (math.nan if x < 0 else 0)
    return z * xp.log(xp.where(x == 0, xp.ones_like(x), x))


elementwise("pow", _pow_base, _pow_exponent)


def _share(xp: Namespace, z: Array, x: Any, other: Any) -> Array:
    """1 where z is x alone, ½ where both are equal."""
    return as_number(xp, z == x, z) - 0.5 * as_number(xp, x == other, z)


for _name in ("maximum", "minimum"):
    elementwise(_name, _share, lambda xp, z, x, y: _share(xp, z, y, x))


@rule("where")
def _where(xp: Namespace, out: Array, condition: Array, x: Any, y: Any) -> list[Map | None]:
    """Only what was chosen passes, so that no infinity of the other comes through."""

    def branch(v: Any, chosen: bool) -> Map | None:
        if not hasattr(v, "ndim"):
            return None

        def either(t: Array) -> Array:
            zero = xp.zeros_like(t)
            return xp.where(condition, t, zero) if chosen else xp.where(condition, zero, t)

        return Map(
            lambda t: either(aligned(xp, t, v.ndim, out.ndim)),
            lambda g: unbroadcast(xp, either(g), tuple(v.shape), g.ndim - out.ndim),
        )

    return [None, branch(x, True), branch(y, False)]


@rule("clip")
def _clip(xp: Namespace, out: Array, x: Array, /, min: Any = None, max: Any = None) -> list[Map | None]:
    below = xp.zeros_like(x, dtype=xp.bool) if min is None else x < min
    above = xp.zeros_like(x, dtype=xp.bool) if max is None else x > max

    def part(v: Any, holds: Array) -> Map | None:
        if not hasattr(v, "ndim"):
            return None
        d = as_number(xp, holds, out)
        return Map(
            lambda t: aligned(xp, t, v.ndim, out.ndim) * d,
            lambda g: unbroadcast(xp, g * d, tuple(v.shape), g.ndim - out.ndim),
        )

    return [part(x, ~(below | above)), part(min, below), part(max, above)]


@rule("abs")
def _abs(xp: Namespace, out: Array, x: Array) -> list[Map]:
    if not is_complex(xp, x):
        d = signs(xp, x)
        return [Map(lambda t: t * d, lambda g: g * d)]
    phase = xp.conj(x) * inverse_or_zero(xp, out)  # d|z| = Re(z̄ dz)/|z|
    return [Map(lambda t: xp.real(phase * t), lambda g: g * phase)]


@rule("sign", by_shape=True)
def _sign(xp: Namespace, out: Array, x: Array) -> list[Map]:
    """0: of a complex number it is z/|z|, which is not constant."""
    if is_complex(xp, x):
        message = "sign: of complex numbers it has no derivative rule; divide by the absolute value."
        raise NotImplementedError(message)
    return [Map(xp.zeros_like, xp.zeros_like)]


@rule("real")
def _real(xp: Namespace, out: Array, z: Array) -> list[Map]:
    return [Map(xp.real if is_complex(xp, z) else same, same)]


@rule("imag")
def _imag(xp: Namespace, out: Array, z: Array) -> list[Map]:
    return [Map(lambda t: xp.imag(t), lambda g: -1j * xp.astype(g, z.dtype))]


@rule("conj")
def _conj(xp: Namespace, out: Array, z: Array) -> list[Map]:
    conjugate = xp.conj if is_complex(xp, z) else same
    return [Map(conjugate, conjugate)]
