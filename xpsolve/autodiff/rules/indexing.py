"""Choosing entries: the transpose of a choice puts gradients back where the numbers came from, and adds them."""

from __future__ import annotations

import math
from typing import Any

import array_api_extra as xpx

from xpsolve.arrays import Array, Namespace, accumulate, device_of, is_array, scatter
from xpsolve.autodiff.rules.shapes import added_along
from xpsolve.autodiff.rules.table import UNUSED, Map, negative, rule, seeds, unbroadcast


def _entries(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _is_mask(xp: Namespace, key: tuple[Any, ...]) -> bool:
    return any(is_array(k) and xp.isdtype(k.dtype, "bool") for k in key)


@rule("getitem")
def _getitem(xp: Namespace, out: Array, x: Array, key: Any) -> list[Map]:
    entries = _entries(key)

    def push(t: Array) -> Array:
        return t[(*(slice(None),) * (t.ndim - x.ndim), *entries)]

    if any(is_array(k) for k in entries) and not _is_mask(xp, entries):
        return [Map(push, lambda g: _added_at(xp, out, x, entries, g))]

    def pull(g: Array) -> Array:
        lead = seeds(g, out)
        zero = xp.zeros((*lead, *x.shape), dtype=g.dtype, device=device_of(x))
        place = (*(slice(None),) * len(lead), *(k for k in entries if k is not None))  # an assignment takes no None
        if None in [k for k in entries if not is_array(k)]:
            g = xp.reshape(g, tuple(zero[place].shape))
        return xpx.at(zero)[place].set(g)

    return [Map(push, pull)]


def _added_at(xp: Namespace, out: Array, x: Array, entries: tuple[Any, ...], g: Array) -> Array:
    """Integer arrays for the first axes: their flat index, as one place may be taken many times."""
    if any(not is_array(k) and not isinstance(k, int) for k in entries):
        message = "getitem: integer arrays beside slices have no derivative rule; use take."
        raise NotImplementedError(message)
    flat: Any = 0
    for k, n in zip(entries, x.shape, strict=False):
        flat = flat * n + (xp.where(k < 0, k + n, k) if is_array(k) else k % n)
    taken, rest = math.prod(x.shape[: len(entries)]), math.prod(x.shape[len(entries) :])
    lead = seeds(g, out)
    columns = xp.matrix_transpose(xp.reshape(g, (*lead, -1, rest)))
    summed = accumulate(columns, xp.reshape(flat, (-1,)), taken)
    return xp.reshape(xp.matrix_transpose(summed), (*lead, *x.shape))


@rule("setitem")
def _setitem(xp: Namespace, out: Array, x: Array, key: Any, value: Any) -> list[Map | None]:
    entries = _entries(key)

    def full(t: Array) -> tuple[Any, ...]:
        return (*(slice(None),) * (t.ndim - x.ndim), *entries)

    def without(t: Array) -> Array:
        return xpx.at(t)[full(t)].set(0, copy=True)

    def push_value(t: Array) -> Array:
        lead = seeds(t, value)
        zero = xp.zeros((*lead, *x.shape), dtype=out.dtype, device=device_of(x))
        place = zero[full(zero)]
        ones = (1,) * (place.ndim - t.ndim)
        return xpx.at(zero)[full(zero)].set(xp.reshape(t, (*lead, *ones, *value.shape)))

    def pull_value(g: Array) -> Array:
        return unbroadcast(xp, g[full(g)], tuple(value.shape), g.ndim - out.ndim)

    return [Map(without, without), None, Map(push_value, pull_value)]


@rule("take")
def _take(xp: Namespace, out: Array, x: Array, indices: Array, axis: Any = None) -> list[Map]:
    (place,) = negative(0 if axis is None else axis, x.ndim)
    length = x.shape[place]

    def pull(g: Array) -> Array:
        return added_along(xp, g, xp.where(indices < 0, indices + length, indices), length, place)

    return [Map(lambda t: xp.take(t, indices, axis=place), pull)]


@rule("take_along_axis")
def _take_along_axis(xp: Namespace, out: Array, x: Array, indices: Array, axis: int = -1) -> list[Map]:
    (place,) = negative(axis, x.ndim)

    def push(t: Array) -> Array:
        return _taken(xp, t, indices, place)

    def pull(g: Array) -> Array:
        """As a sum into the flattened array, each row of it with an offset of its own."""
        g = xp.moveaxis(g, place, -1)
        lead = tuple(g.shape[: g.ndim - out.ndim])
        rest = tuple(x.shape[a] for a in range(-x.ndim, 0) if a != place)
        if tuple(g.shape[len(lead) : -1]) != rest or tuple(indices.shape) != tuple(out.shape):
            message = "take_along_axis: broadcasting has no derivative rule; use broadcast_to first."
            raise NotImplementedError(message)
        index = xp.moveaxis(indices, place, -1)
        length, rows = x.shape[place], math.prod(rest)
        index = xp.reshape(xp.where(index < 0, index + length, index), (rows, -1))
        offsets = xp.arange(rows, dtype=index.dtype, device=device_of(x)) * length
        flat = xp.reshape(index + offsets[:, None], (-1,))
        summed = accumulate(xp.reshape(g, (*lead, -1)), flat, rows * length)
        return xp.moveaxis(xp.reshape(summed, (*lead, *rest, length)), -1, place)

    return [Map(push, pull)]


def _taken(xp: Namespace, t: Array, indices: Array, axis: int) -> Array:
    lead = seeds(t, indices)
    index = xp.broadcast_to(indices, (*lead, *indices.shape)) if lead else indices
    return xp.take_along_axis(t, index, axis=axis)


@rule("sort")
def _sort(xp: Namespace, out: Array, x: Array, axis: int = -1, **options: Any) -> list[Map]:
    """The permutation that sorted, and its inverse."""
    (place,) = negative(axis, x.ndim)
    order = xp.argsort(x, axis=place, **options)
    inverse = xp.argsort(order, axis=place)
    return [Map(lambda t: _taken(xp, t, order, place), lambda g: _taken(xp, g, inverse, place))]


@rule("full_like")
def _full_like(xp: Namespace, out: Array, x: Array, value: Any, **options: Any) -> list[Map | None]:
    def push(t: Array) -> Array:
        lead = seeds(t, value)
        return xp.broadcast_to(xp.reshape(t, (*lead, *(1,) * out.ndim)), (*lead, *out.shape))

    return [UNUSED, Map(push, lambda g: unbroadcast(xp, g, (), g.ndim - out.ndim))]


@rule("scatter")
def _scatter(xp: Namespace, out: Array, values: Array, index: Array, length: int) -> list[Map]:
    def push(t: Array) -> Array:
        return scatter(t, index, length) if t.ndim == 1 else accumulate(t, index, length)

    return [Map(push, lambda g: xp.take(g, index, axis=-1))]


@rule("accumulate")
def _accumulate(xp: Namespace, out: Array, values: Array, index: Array, length: int) -> list[Map]:
    return [Map(lambda t: accumulate(t, index, length), lambda g: xp.take(g, index, axis=-1))]


@rule("take_columns")
def _take_columns(xp: Namespace, out: Array, A: Array, index: Array) -> list[Map]:
    return [
        Map(
            lambda t: xp.matrix_transpose(xp.take(t, index, axis=-1)),
            lambda g: accumulate(xp.matrix_transpose(g), index, A.shape[-1]),
        )
    ]


@rule("put")
def _put(xp: Namespace, out: Array, x: Array, index: Array, values: Array) -> list[Map | None]:
    """Values that share an index are equal: each has its part of the derivative."""
    first, n = -x.ndim, x.shape[0]
    times = accumulate(xp.ones(index.shape, dtype=out.dtype, device=device_of(out)), index, n)
    beside = (1,) * (x.ndim - 1)
    there = xp.reshape(times > 0, (n, *beside))
    part = xp.reshape(1 / xp.take(times, index), (-1, *beside))

    def kept(t: Array) -> Array:
        return xp.where(there, xp.zeros_like(t), t)

    return [
        Map(kept, kept),
        None,
        Map(
            lambda t: added_along(xp, t * part, index, n, first),
            lambda g: xp.take(g, index, axis=g.ndim + first) * part,
        ),
    ]
