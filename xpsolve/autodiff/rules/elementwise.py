"""Elementwise functions: ∂z/∂x_i, each once, for both modes.

Where a function has a kink, one subgradient is taken: |x| at 0 has 0; `maximum` and `minimum` of equal numbers give
each ½, and so does `logaddexp` of equal infinities; `clip` passes the gradient on at its bounds; x^y at x = 0 has no
derivative in y but 0.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, is_complex, namespace_of, native, squares
from xpsolve.autodiff.rules.table import (
    SQUARES,
    Choice,
    Map,
    Pole,
    aligned,
    as_number,
    elementwise,
    hermitian,
    quotient_or_zero,
    rule,
    same,
    signs,
    unbroadcast,
)


@native
def sech_squared(x: Array) -> Array:
    """1/cosh²x = 1 − tanh²x, which does not cancel; it is 0 where cosh overflows."""
    with np.errstate(over="ignore"):
        r = 1 / namespace_of(x).cosh(x)
    return r * r


elementwise("add", 1, 1)
elementwise("subtract", 1, -1)
elementwise("negative", -1)
elementwise("positive", 1)
elementwise("multiply", lambda xp, z, x, y: y, lambda xp, z, x, y: x)
elementwise("divide", lambda xp, z, x, y: _inverse(y), lambda xp, z, x, y: -z / y)
elementwise("square", lambda xp, z, x: 2 * x)
elementwise("reciprocal", lambda xp, z, x: -z * z)
elementwise("sqrt", Pole(lambda xp, z, x: 0.5 / z))
elementwise("exp", lambda xp, z, x: z)
elementwise("expm1", lambda xp, z, x: z + 1)
elementwise("log", lambda xp, z, x: 1 / x)
elementwise("log1p", lambda xp, z, x: 1 / (1 + x))
elementwise("log2", lambda xp, z, x: 1 / (math.log(2) * x))
elementwise("log10", lambda xp, z, x: 1 / (math.log(10) * x))
elementwise("logaddexp", lambda xp, z, x, y: _weight(xp, x, y), lambda xp, z, x, y: _weight(xp, y, x))
elementwise("sin", lambda xp, z, x: xp.cos(x))
elementwise("cos", lambda xp, z, x: -xp.sin(x))
elementwise("tan", lambda xp, z, x: 1 + z * z)
elementwise("asin", Pole(lambda xp, z, x: 1 / (xp.sqrt(1 - x) * xp.sqrt(1 + x))))
elementwise("acos", Pole(lambda xp, z, x: -1 / (xp.sqrt(1 - x) * xp.sqrt(1 + x))))
elementwise("atan", lambda xp, z, x: 1 / (1 - 1j * x) / (1 + 1j * x) if is_complex(x) else _over_hypot(xp, x) ** 2)
elementwise(
    "atan2",
    lambda xp, z, y, x: _over_square(x, xp.hypot(x, y)),
    lambda xp, z, y, x: -_over_square(y, xp.hypot(x, y)),
)
elementwise("sinh", lambda xp, z, x: xp.cosh(x))
elementwise("cosh", lambda xp, z, x: xp.sinh(x))
elementwise("tanh", lambda xp, z, x: sech_squared(x))
elementwise("sech_squared", lambda xp, z, x: -2 * xp.tanh(x) * z)
elementwise(
    "asinh",
    lambda xp, z, x: 1 / (xp.sqrt(1 - 1j * x) * xp.sqrt(1 + 1j * x)) if is_complex(x) else _over_hypot(xp, x),
)
elementwise("acosh", Pole(lambda xp, z, x: 1 / (xp.sqrt(x - 1) * xp.sqrt(x + 1))))
elementwise("atanh", lambda xp, z, x: 1 / ((1 - x) * (1 + x)))
elementwise(
    "hypot",
    lambda xp, z, x, y: quotient_or_zero(x, z),
    lambda xp, z, x, y: quotient_or_zero(y, z),
)
elementwise("remainder", 1, lambda xp, z, x, y: -xp.floor_divide(x, y))
elementwise("copysign", lambda xp, z, x, y: signs(xp, x) * signs(xp, z), 0)


def _inverse(y: Any) -> Any:
    """1/y; of the Python number 0 an infinity, as it is of an array."""
    return math.copysign(math.inf, y) if isinstance(y, int | float) and y == 0 else 1 / y


def _over_square(x: Array, r: Array) -> Array:
    """x/r² without the square."""
    return x / r / r


def _weight(xp: Namespace, x: Array, y: Array) -> Array:
    """eˣ/(eˣ + eʸ): ½ also of equal infinities."""
    with np.errstate(over="ignore", invalid="ignore"):
        above = y - x
        return 1 / (1 + xp.exp(xp.where((x == y) & xp.isnan(above), 0.0, above)))


def _over_hypot(xp: Namespace, x: Array) -> Array:
    """1/√(1 + x²) without the square."""
    return 1 / xp.hypot(x, xp.ones_like(x))


def _pow_base(xp: Namespace, z: Array, x: Array, y: Any) -> Array:
    if isinstance(y, int | float | complex):
        if y == 2:
            return 2 * x
        return y * x ** (y - 1) if y else xp.zeros_like(z)
    return xp.where(y == 0, xp.zeros_like(z), y * x ** xp.where(y == 0, xp.ones_like(y), y - 1))


def _pow_exponent(xp: Namespace, z: Array, x: Any, y: Array) -> Array:
    if isinstance(x, int | float | complex):
        if isinstance(x, complex) or is_complex(z):
            return z * (cmath.log(x) if x else 0)
        return z * math.log(x) if x > 0 else z * (math.nan if x < 0 else 0)
    return z * xp.log(xp.where(x == 0, xp.ones_like(x), x))


elementwise("pow", Pole(_pow_base, lambda x, y: isinstance(y, int | float) and (y >= 1 or y == 0)), _pow_exponent)


def _share(xp: Namespace, z: Array, x: Any, other: Any) -> Array:
    """1 where z is x alone, ½ where both are equal."""
    return as_number(xp, z == x, z) - 0.5 * as_number(xp, x == other, z)


for _name in ("maximum", "minimum"):
    elementwise(_name, Choice(_share), Choice(lambda xp, z, x, y: _share(xp, z, y, x)))


@rule("where", masks=True)
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


@rule("clip", masks=True)
def _clip(xp: Namespace, out: Array, x: Array, /, min: Any = None, max: Any = None) -> list[Map | None]:
    below = xp.zeros_like(x, dtype=xp.bool) if min is None else x < min
    above = xp.zeros_like(x, dtype=xp.bool) if max is None else x > max

    def part(v: Any, holds: Array) -> Map | None:
        if not hasattr(v, "ndim"):
            return None
        return Map(
            lambda t: xp.where(holds, aligned(xp, t, v.ndim, out.ndim), 0.0),
            lambda g: unbroadcast(xp, xp.where(holds, g, 0.0), tuple(v.shape), g.ndim - out.ndim),
        )

    return [part(x, ~(below | above)), part(min, below), part(max, above)]


@rule("abs")
def _abs(xp: Namespace, out: Array, x: Array) -> list[Map]:
    if not is_complex(x):
        d = signs(xp, x)
        return [Map(lambda t: t * d, lambda g: g * d)]
    phase = quotient_or_zero(xp.conj(x), out)  # d|z| = Re(z̄ dz)/|z|
    return [Map(lambda t: xp.real(phase * t), lambda g: g * phase)]


SQUARES["abs"] = lambda xp, x: squares(x)


@rule("sign")
def _sign(xp: Namespace, out: Array, x: Array) -> list[Map]:
    """0; of a complex number, s = z/|z| turns by the part of dz across it: ds = i s Im(s̄ dz)/|z|."""
    if not is_complex(x):
        return [Map(xp.zeros_like, xp.zeros_like)]
    turn, size = 1j * out, xp.abs(x)

    def across(t: Array) -> Array:
        return turn * quotient_or_zero(xp.real(xp.conj(turn) * t), size)

    return [Map(across, hermitian(xp, across))]


@rule("real")
def _real(xp: Namespace, out: Array, z: Array) -> list[Map]:
    return [Map(xp.real if is_complex(z) else same, same)]


@rule("imag")
def _imag(xp: Namespace, out: Array, z: Array) -> list[Map]:
    return [Map(lambda t: xp.imag(t), lambda g: -1j * xp.astype(g, z.dtype))]


@rule("conj")
def _conj(xp: Namespace, out: Array, z: Array) -> list[Map]:
    conjugate = xp.conj if is_complex(z) else same
    return [Map(conjugate, conjugate)]
