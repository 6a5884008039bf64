"""Choosing entries: the transpose of a choice puts gradients back where the numbers came from, and adds them.

Keys with integer arrays, or lists, may name an entry many times.  Which entries they name, and which of many values an
assignment leaves, is found by the library itself, with the same key on an array of numbers 0, 1, 2, ….
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import array_api_extra as xpx
import numpy as np

from xpsolve.arrays import Array, Namespace, accumulate, device_of, is_array, scatter
from xpsolve.autodiff.rules.shapes import added_along
from xpsolve.autodiff.rules.table import UNUSED, Map, aligned, negative, rule, seeds, unbroadcast


def _entries(xp: Namespace, key: Any, x: Array) -> tuple[Any, ...]:
    """What a key holds for each axis; lists, and arrays of NumPy, as arrays of the library."""

    def entry(k: Any) -> Any:
        if isinstance(k, list | tuple):
            k = np.asarray(k) if k else np.zeros(0, dtype=np.int64)
        return xp.asarray(k, device=device_of(x)) if isinstance(k, np.ndarray) else k

    return tuple([entry(k) for k in (key if isinstance(key, tuple) else (key,))])


def _behind(t: Array, x: Array, entries: Iterable[Any]) -> tuple[Any, ...]:
    """The key for a tangent of x, behind its seeds."""
    return (*(slice(None),) * (t.ndim - x.ndim), *entries)


def _numbered(xp: Namespace, x: Array) -> Array:
    """0, 1, 2, … in the shape of x."""
    return xp.reshape(xp.arange(math.prod(x.shape), device=device_of(x)), tuple(x.shape))


def _places(xp: Namespace, x: Array, entries: tuple[Any, ...]) -> Array | None:
    """Which entries of x a key with integer arrays names; None for other keys, which name none twice."""
    if any(is_array(k) and not xp.isdtype(k.dtype, "bool") for k in entries):
        return _numbered(xp, x)[entries]
    return None


def _flat(xp: Namespace, t: Array, ndim: int) -> Array:
    """A tangent or gradient of an array with so many axes, as one row per seed."""
    lead = t.ndim - ndim
    return xp.reshape(t, (*t.shape[:lead], math.prod(t.shape[lead:])))


@rule("getitem", masks=True)
def _getitem(xp: Namespace, out: Array, x: Array, key: Any) -> list[Map]:
    entries = _entries(xp, key, x)
    places = _places(xp, x, entries)
    if places is not None:
        index, size = xp.reshape(places, (-1,)), math.prod(x.shape)

        def push(t: Array) -> Array:
            return xp.reshape(xp.take(_flat(xp, t, x.ndim), index, axis=-1), (*seeds(t, x), *out.shape))

        def pull(g: Array) -> Array:
            return xp.reshape(accumulate(_flat(xp, g, out.ndim), index, size), (*seeds(g, out), *x.shape))

        return [Map(push, pull)]

    def put_back(g: Array) -> Array:
        if all(k is None or (isinstance(k, slice) and k == slice(None)) for k in entries):
            return xp.reshape(g, (*seeds(g, out), *x.shape))  # every number is there, once
        zero = xp.zeros((*seeds(g, out), *x.shape), dtype=g.dtype, device=device_of(x))
        place = _behind(zero, x, [k for k in entries if k is not None])  # an assignment takes no None
        if None in [k for k in entries if not is_array(k)]:
            g = xp.reshape(g, tuple(zero[place].shape))
        return xpx.at(zero)[place].set(g)

    return [Map(lambda t: t[_behind(t, x, entries)], put_back)]


@rule("setitem", masks=True)
def _setitem(xp: Namespace, out: Array, x: Array, key: Any, value: Any) -> list[Map | None]:
    entries = _entries(xp, key, x)
    places = _places(xp, x, entries)
    if places is not None:
        return _set_at(xp, x, value, entries, places)

    def without(t: Array) -> Array:
        return xpx.at(t)[_behind(t, x, entries)].set(0, copy=True)

    def push_value(t: Array) -> Array:
        lead = seeds(t, value)
        zero = xp.zeros((*lead, *x.shape), dtype=out.dtype, device=device_of(x))
        place = _behind(zero, x, entries)
        ones = (1,) * (zero[place].ndim - t.ndim)
        return xpx.at(zero)[place].set(xp.reshape(t, (*lead, *ones, *value.shape)))

    def pull_value(g: Array) -> Array:
        return unbroadcast(xp, g[_behind(g, x, entries)], tuple(value.shape), g.ndim - out.ndim)

    return [Map(without, without), None, Map(push_value, pull_value)]


def _set_at(xp: Namespace, x: Array, value: Any, entries: tuple[Any, ...], places: Array) -> list[Map | None]:
    """Of values for one entry one stays: the number of the one that did is left in `source`."""
    numbers = _numbered(xp, places)
    source = xpx.at(xp.full_like(_numbered(xp, x), -1))[entries].set(numbers)
    taken = source >= 0
    index = xp.reshape(xp.where(taken, source, 0), (-1,))
    stays = xp.reshape(xp.take(xp.reshape(source, (-1,)), xp.reshape(places, (-1,))), tuple(places.shape)) == numbers

    def without(t: Array) -> Array:
        return xp.where(taken, 0.0, t)

    def push_value(t: Array) -> Array:
        lead = seeds(t, value)
        t = aligned(xp, t, value.ndim, places.ndim)
        spread = _flat(xp, xp.broadcast_to(t, (*lead, *places.shape)), places.ndim)
        return xp.where(taken, xp.reshape(xp.take(spread, index, axis=-1), (*lead, *x.shape)), 0.0)

    def pull_value(g: Array) -> Array:
        lead = seeds(g, x)
        chosen = xp.take(_flat(xp, g, x.ndim), xp.reshape(places, (-1,)), axis=-1)
        chosen = xp.where(stays, xp.reshape(chosen, (*lead, *places.shape)), 0.0)
        return unbroadcast(xp, chosen, tuple(value.shape), len(lead))

    return [Map(without, without), None, Map(push_value, pull_value)]


@rule("take", masks=True)
def _take(xp: Namespace, out: Array, x: Array, indices: Array, axis: Any = None) -> list[Map]:
    (place,) = negative(0 if axis is None else axis, x.ndim)
    length = x.shape[place]

    def pull(g: Array) -> Array:
        return added_along(xp, g, xp.where(indices < 0, indices + length, indices), length, place)

    return [Map(lambda t: xp.take(t, indices, axis=place), pull)]


@rule("take_along_axis", masks=True)
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
