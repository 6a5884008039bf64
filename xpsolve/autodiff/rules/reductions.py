"""Sums, products, moments, extremes and norms along axes.

Those that are not linear are Re Σ d̄t over the axes, with d the direction of steepest ascent of the reduced value, or
Σ d̄t where they are holomorphic; equal extremes share.
"""

from __future__ import annotations

import math
from typing import Any

from xpsolve.arrays import Array, Namespace, conjugate, device_of, is_complex, squares
from xpsolve.autodiff.rules.table import (
    SQUARES,
    Map,
    as_number,
    fitted_dtype,
    negative,
    quotient_or_zero,
    rule,
    same,
    seeds,
    signs,
)


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i - len(shape) in axes else n for i, n in enumerate(shape))


def _spread(xp: Namespace, g: Array, x: Array, axes: tuple[int, ...], out: Array) -> Array:
    """A gradient of the reduced array with the reduced axes put back, of length 1."""
    shape = (*g.shape[: g.ndim - out.ndim], *_kept(tuple(x.shape), axes))
    return g if tuple(g.shape) == shape else xp.reshape(g, shape)


def _weighted(xp: Namespace, out: Array, x: Array, axes: tuple[int, ...], keepdims: bool, d: Array) -> list[Map]:
    """The sum of t·d, or its real part where the result is real."""
    return [
        Map(
            lambda t: fitted_dtype(xp, xp.sum(t * d, axis=axes, keepdims=keepdims), out.dtype),
            lambda g: _spread(xp, g, x, axes, out) * d,
        )
    ]


def _length(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axes)


@rule("sum", by_shape=True)
def _sum(xp: Namespace, out: Array, x: Array, axis: Any = None, keepdims: bool = False, **_: Any) -> list[Map]:
    axes = negative(axis, x.ndim)
    if not axes:
        return [Map(same, same)]

    def pull(g: Array) -> Array:
        return xp.broadcast_to(_spread(xp, g, x, axes, out), (*seeds(g, out), *x.shape))

    return [Map(lambda t: xp.sum(t, axis=axes, keepdims=keepdims), pull)]


@rule("mean", by_shape=True)
def _mean(xp: Namespace, out: Array, x: Array, axis: Any = None, keepdims: bool = False) -> list[Map]:
    axes = negative(axis, x.ndim)
    if not axes:
        return [Map(same, same)]
    share = 1 / max(_length(x, axes), 1)

    def pull(g: Array) -> Array:
        return xp.broadcast_to(_spread(xp, g, x, axes, out) * share, (*seeds(g, out), *x.shape))

    return [Map(lambda t: xp.mean(t, axis=axes, keepdims=keepdims), pull)]


@rule("var")
def _var(xp: Namespace, out: Array, x: Array, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    axes = negative(axis, x.ndim)
    d = _centred(xp, x, axes, correction) * 2
    return _weighted(xp, out, x, axes, keepdims, d)


@rule("std")
def _std(xp: Namespace, out: Array, x: Array, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The subgradient 0 where all numbers are equal."""
    axes = negative(axis, x.ndim)
    d = quotient_or_zero(_centred(xp, x, axes, correction), _spread(xp, out, x, axes, out))
    return _weighted(xp, out, x, axes, keepdims, d)


def _centred(xp: Namespace, x: Array, axes: tuple[int, ...], correction: float) -> Array:
    """The conjugate of (x − mean x)/(n − correction)."""
    n = _length(x, axes) - correction
    return conjugate(x - xp.mean(x, axis=axes, keepdims=True)) * (1 / n if n else math.nan)


@rule("max", "min", masks=True)
def _extreme(xp: Namespace, out: Array, x: Array, axis: Any = None, keepdims: bool = False) -> list[Map]:
    axes = negative(axis, x.ndim)
    hits = as_number(xp, x == _spread(xp, out, x, axes, out), x)
    d = hits / xp.sum(hits, axis=axes, keepdims=True)

    def chosen(t: Array) -> Array:
        return xp.where(d == 0, 0.0, t * d)  # for any tangents of the others

    return [
        Map(
            lambda t: xp.sum(chosen(t), axis=axes, keepdims=keepdims),
            lambda g: chosen(_spread(xp, g, x, axes, out)),
        )
    ]


@rule("prod")
def _prod(xp: Namespace, out: Array, x: Array, axis: Any = None, keepdims: bool = False, **_: Any) -> list[Map]:
    """The product of all others, from those before and those after: right where entries are 0."""
    axes = negative(axis, x.ndim)
    free = [a for a in range(-x.ndim, 0) if a not in axes]
    order = [a + x.ndim for a in (*free, *axes)]
    moved = xp.permute_dims(x, tuple(order))
    flat = xp.reshape(moved, (*moved.shape[: len(free)], _length(x, axes)))
    others = _before(xp, flat) * xp.flip(_before(xp, xp.flip(flat, axis=-1)), axis=-1)
    back = tuple(order.index(i) for i in range(x.ndim))
    d = xp.permute_dims(xp.reshape(others, tuple(moved.shape)), back)
    return _weighted(xp, out, x, axes, keepdims, d)


def _before(xp: Namespace, x: Array) -> Array:
    """Products of the entries before each along the last axis."""
    return xp.concat([xp.ones_like(x[..., :1]), xp.cumulative_prod(x, axis=-1)[..., :-1]], axis=-1)


@rule("cumulative_prod")
def _cumulative_prod(xp: Namespace, out: Array, x: Array, axis: Any = None, **options: Any) -> list[Map]:
    """ż_i = x_i ż_{i−1} + z_{i−1} ẋ_i, and back: no division, so that it is right where entries are 0."""
    axis = -1 if axis is None else negative(axis, x.ndim)[0]
    v = xp.moveaxis(x, axis, -1)
    before = _before(xp, v)
    back = xp.concat([xp.zeros_like(v[..., :1]), xp.flip(v, axis=-1)[..., :-1]], axis=-1)  # x_{j+1}, from the last on
    initial = bool(options.get("include_initial"))

    def push(t: Array) -> Array:
        t = _recurrence(xp, v, before * xp.moveaxis(t, axis, -1))
        return xp.moveaxis(xp.concat([xp.zeros_like(t[..., :1]), t], axis=-1) if initial else t, -1, axis)

    def pull(g: Array) -> Array:
        g = xp.flip(xp.moveaxis(g, axis, -1), axis=-1)
        summed = _recurrence(xp, back, g[..., :-1] if initial else g)
        return xp.moveaxis(before * xp.flip(summed, axis=-1), -1, axis)

    return [Map(push, pull)]


def _recurrence(xp: Namespace, a: Array, b: Array) -> Array:
    """y_i = a_i y_{i−1} + b_i along the last axis, by doubling: log₂ n steps on all of it (Hillis & Steele 1986)."""
    step, n = 1, b.shape[-1]
    while step < n:
        earlier = xp.concat([xp.zeros_like(b[..., :step]), b[..., :-step]], axis=-1)
        b = b + a * earlier
        a = a * xp.concat([xp.zeros_like(a[..., :step]), a[..., :-step]], axis=-1)
        step *= 2
    return b


@rule("cumulative_sum", by_shape=True)
def _cumulative_sum(
    xp: Namespace, out: Array, x: Array, axis: Any = None, include_initial: bool = False, **_: Any
) -> list[Map]:
    axis = -1 if axis is None else negative(axis, x.ndim)[0]

    def pull(g: Array) -> Array:
        summed = xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)
        if include_initial:
            summed = xp.take(summed, xp.arange(1, summed.shape[axis], device=device_of(x)), axis=axis)
        return summed

    return [Map(lambda t: xp.cumulative_sum(t, axis=axis, include_initial=include_initial), pull)]


@rule("diff", by_shape=True)
def _diff(xp: Namespace, out: Array, x: Array, axis: int = -1, n: int = 1, **ends: Any) -> list[Map]:
    if any(end is not None for end in ends.values()):
        message = "diff: prepend and append have no derivative rule; concatenate first."
        raise NotImplementedError(message)
    (axis,) = negative(axis, x.ndim)

    def pull(g: Array) -> Array:
        shape = list(g.shape)
        shape[axis] = 1
        edge = xp.zeros(tuple(shape), dtype=g.dtype, device=device_of(x))
        for _ in range(min(n, x.shape[axis])):
            g = -xp.diff(xp.concat([edge, g, edge], axis=axis), axis=axis)
        return g

    return [Map(lambda t: xp.diff(t, axis=axis, n=n), pull)]


@rule("linalg.vector_norm")
def _vector_norm(
    xp: Namespace, out: Array, x: Array, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> list[Map]:
    """x̄/‖x‖ for the Euclidean norm; the subgradient 0 at x = 0."""
    axes = negative(axis, x.ndim)
    norm = _spread(xp, out, x, axes, out)
    if ord == 2:
        d = quotient_or_zero(conjugate(x), norm)
    elif ord == 1:
        d = _phase(xp, x)
    elif ord in (math.inf, -math.inf):
        hits = as_number(xp, xp.abs(x) == norm, norm)
        d = _phase(xp, x) * (hits / xp.sum(hits, axis=axes, keepdims=True))
    elif ord == 0:
        d = xp.zeros_like(x)
    else:
        d = _phase(xp, x) * quotient_or_zero(xp.abs(x), norm) ** (ord - 1)
    return _weighted(xp, out, x, axes, keepdims, d)


def _vector_norm_squared(
    xp: Namespace, x: Array, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> Array | None:
    return xp.sum(squares(x), axis=axis, keepdims=keepdims) if ord == 2 else None


def _matrix_norm_squared(xp: Namespace, x: Array, keepdims: bool = False, ord: Any = "fro") -> Array | None:
    return xp.sum(squares(x), axis=(-2, -1), keepdims=keepdims) if ord == "fro" else None


SQUARES["linalg.vector_norm"], SQUARES["linalg.matrix_norm"] = _vector_norm_squared, _matrix_norm_squared
SQUARES["std"] = lambda xp, x, **options: xp.var(x, **options)


def _phase(xp: Namespace, x: Array) -> Array:
    """The derivative of |x|: x̄/|x|, 0 at 0."""
    return quotient_or_zero(xp.conj(x), xp.abs(x)) if is_complex(x) else signs(xp, x)


@rule("linalg.matrix_norm")
def _matrix_norm(xp: Namespace, out: Array, x: Array, keepdims: bool = False, ord: Any = "fro") -> list[Map]:
    norm = _spread(xp, out, x, (-2, -1), out)
    if ord == "fro":
        d = quotient_or_zero(conjugate(x), norm)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1, keepdims=True)
        hits = as_number(xp, sums == norm, norm)
        d = _phase(xp, x) * (hits / xp.sum(hits, axis=(-2, -1), keepdims=True))
    else:  # of the singular values
        U, s, Vh = xp.linalg.svd(x, full_matrices=False)
        weights = xp.ones_like(s) if ord == "nuc" else as_number(xp, s == (s[..., :1] if ord == 2 else s[..., -1:]), s)
        if ord != "nuc":
            weights = weights / xp.sum(weights, axis=-1, keepdims=True)
        d = conjugate((U * weights[..., None, :]) @ Vh)
    return _weighted(xp, out, x, (-2, -1), keepdims, d)
