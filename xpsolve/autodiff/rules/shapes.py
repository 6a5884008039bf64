"""Functions that move numbers and change none: linear, and known by shapes alone."""

from __future__ import annotations

import math
from typing import Any

from xpsolve.arrays import Array, Namespace, accumulate, device_of
from xpsolve.autodiff.rules.table import Joint, Map, negative, rule, same, seeds, stretched, unbroadcast


@rule("reshape", "expand_dims", "squeeze", by_shape=True)
def _reshape(xp: Namespace, out: Array, x: Array, *args: Any, **options: Any) -> list[Map]:
    return [
        Map(
            lambda t: xp.reshape(t, (*seeds(t, x), *out.shape)),
            lambda g: xp.reshape(g, (*seeds(g, out), *x.shape)),
        )
    ]


@rule("asarray", "astype", "copy", by_shape=True)
def _converted(xp: Namespace, out: Array, x: Any, *args: Any, **options: Any) -> list[Map]:
    """The sweeps themselves convert tangents and gradients to the dtype that they need."""
    if isinstance(x, list | tuple):
        message = "asarray: a list of arrays that carry derivatives has no rule; use stack."
        raise NotImplementedError(message)
    return [Map(same, same)]


@rule("to_device", by_shape=True)
def _to_device(xp: Namespace, out: Array, x: Array, *args: Any, **options: Any) -> list[Map]:
    import array_api_compat

    return [
        Map(
            lambda t: array_api_compat.to_device(t, out.device),
            lambda g: array_api_compat.to_device(g, x.device),
        )
    ]


@rule("settled", by_shape=True)
def _settled(xp: Namespace, out: Any, *arrays: Array) -> list[Map]:
    def part(i: int) -> Map:
        return Map(lambda t: tuple(t if j == i else None for j in range(len(arrays))), lambda gs: gs[i])

    return [part(i) for i in range(len(arrays))]


@rule("permute_dims", by_shape=True)
def _permute_dims(xp: Namespace, out: Array, x: Array, axes: tuple[int, ...]) -> list[Map]:
    forth = negative(tuple(axes), x.ndim)
    back = tuple(forth.index(a) - x.ndim for a in range(-x.ndim, 0))

    def permuted(t: Array, order: tuple[int, ...]) -> Array:
        return xp.permute_dims(t, (*range(t.ndim - x.ndim), *(a + t.ndim for a in order)))

    return [Map(lambda t: permuted(t, forth), lambda g: permuted(g, back))]


@rule("matrix_transpose", "linalg.matrix_transpose", by_shape=True)
def _matrix_transpose(xp: Namespace, out: Array, x: Array) -> list[Map]:
    return [Map(xp.matrix_transpose, xp.matrix_transpose)]


@rule("moveaxis", by_shape=True)
def _moveaxis(xp: Namespace, out: Array, x: Array, source: Any, destination: Any) -> list[Map]:
    a, b = negative(source, x.ndim), negative(destination, x.ndim)
    return [Map(lambda t: xp.moveaxis(t, a, b), lambda g: xp.moveaxis(g, b, a))]


@rule("broadcast_to", by_shape=True)
def _broadcast_to(xp: Namespace, out: Array, x: Array, shape: Any = None) -> list[Map]:
    return [Map(lambda t: stretched(xp, t, x, out), lambda g: unbroadcast(xp, g, tuple(x.shape), len(seeds(g, out))))]


@rule("broadcast_arrays", by_shape=True)
def _broadcast_arrays(xp: Namespace, outs: Any, *arrays: Array) -> list[Map]:
    def part(i: int) -> Map:
        x, out = arrays[i], outs[i]
        return Map(
            lambda t: tuple(stretched(xp, t, x, out) if j == i else None for j in range(len(arrays))),
            lambda gs: None if gs[i] is None else unbroadcast(xp, gs[i], tuple(x.shape), gs[i].ndim - out.ndim),
        )

    return [part(i) for i in range(len(arrays))]


@rule("meshgrid", by_shape=True)
def _meshgrid(xp: Namespace, outs: Any, *arrays: Array, indexing: str = "xy") -> list[Map]:
    def part(i: int) -> Map:
        place = 1 - i if indexing == "xy" and i < 2 and len(arrays) > 1 else i
        shape = tuple(arrays[i].shape[0] if j == place else 1 for j in range(len(arrays)))
        x, out = arrays[i], outs[i]

        def push(t: Array) -> tuple[Array | None, ...]:
            lead = seeds(t, x)
            full = xp.broadcast_to(xp.reshape(t, (*lead, *shape)), (*lead, *out.shape))
            return tuple(full if j == i else None for j in range(len(arrays)))

        def pull(gs: Any) -> Array | None:
            if gs[i] is None:
                return None
            lead = seeds(gs[i], out)
            return xp.reshape(unbroadcast(xp, gs[i], shape, len(lead)), (*lead, *x.shape))

        return Map(push, pull)

    return [part(i) for i in range(len(arrays))]


@rule("flip", by_shape=True)
def _flip(xp: Namespace, out: Array, x: Array, axis: Any = None) -> list[Map]:
    axes = negative(axis, x.ndim)
    flipped = (lambda t: xp.flip(t, axis=axes)) if axes else same
    return [Map(flipped, flipped)]


@rule("roll", by_shape=True)
def _roll(xp: Namespace, out: Array, x: Array, shift: Any, axis: Any = None) -> list[Map]:
    shifts = tuple(shift) if isinstance(shift, tuple | list) else (shift,)

    def rolled(t: Array, sign: int) -> Array:
        by = tuple(sign * s for s in shifts)
        if axis is None:
            flat = xp.reshape(t, (*seeds(t, x), -1))
            return xp.reshape(xp.roll(flat, by[0], axis=-1), tuple(t.shape))
        axes = negative(axis, x.ndim)
        return xp.roll(t, by * len(axes) if len(by) < len(axes) else by, axis=axes)

    return [Map(lambda t: rolled(t, 1), lambda g: rolled(g, -1))]


@rule("tile", by_shape=True)
def _tile(xp: Namespace, out: Array, x: Array, repetitions: Any) -> list[Map]:
    times = tuple(repetitions)
    times = (1,) * (x.ndim - len(times)) + times
    shape = (1,) * (out.ndim - x.ndim) + tuple(x.shape)
    pairs = tuple(n for pair in zip(times, shape, strict=True) for n in pair)

    def push(t: Array) -> Array:
        lead = seeds(t, x)
        return xp.tile(xp.reshape(t, (*lead, *shape)), (1,) * len(lead) + times)

    def pull(g: Array) -> Array:
        lead = seeds(g, out)
        summed = xp.sum(xp.reshape(g, (*lead, *pairs)), axis=tuple(range(-len(pairs), 0, 2)))
        return xp.reshape(summed, (*lead, *x.shape))

    return [Map(push, pull)]


@rule("repeat")
def _repeat(xp: Namespace, out: Array, x: Array, repeats: Any, axis: Any = None) -> list[Map]:
    whole = axis is None
    place = -1 if whole else negative(axis, x.ndim)[0]
    length = math.prod(x.shape) if whole else x.shape[place]
    index = xp.repeat(xp.arange(length, dtype=xp.int64, device=device_of(x)), repeats)

    def push(t: Array) -> Array:
        t = xp.reshape(t, (*seeds(t, x), length)) if whole else t
        return xp.take(t, index, axis=place)

    def pull(g: Array) -> Array:
        return xp.reshape(added_along(xp, g, index, length, place), (*seeds(g, out), *x.shape))

    return [Map(push, pull)]


def added_along(xp: Namespace, g: Array, index: Array, length: int, axis: int) -> Array:
    """The transpose of `take` along an axis counted from the end."""
    if axis == -1:
        return accumulate(g, index, length)
    return xp.moveaxis(accumulate(xp.moveaxis(g, axis, -1), index, length), -1, axis)


def _masked(name: str) -> None:
    @rule(name, by_shape=True)
    def triangle(xp: Namespace, out: Array, x: Array, k: int = 0) -> list[Map]:
        part = getattr(xp, name)
        return [Map(lambda t: part(t, k=k), lambda g: part(g, k=k))]


_masked("tril")
_masked("triu")


@rule("concat", by_shape=True)
def _concat(xp: Namespace, out: Array, arrays: Any, axis: int | None = 0) -> Joint:
    place = -1 if axis is None else negative(axis, out.ndim)[0]

    def push(tangents: dict[int, Array]) -> Array:
        i, t = next(iter(tangents.items()))
        lead = seeds(t, arrays[i])

        def part(i: int) -> Array:
            v = arrays[i]
            t = tangents.get(i)
            if t is None:
                t = xp.zeros((*lead, *v.shape), dtype=out.dtype, device=device_of(out))
            return xp.reshape(t, (*lead, -1)) if axis is None else t

        return xp.concat([part(i) for i in range(len(arrays))], axis=place)

    def pull(i: int, g: Array) -> Array:
        sizes = [math.prod(v.shape) if axis is None else v.shape[place] for v in arrays]
        start = sum(sizes[:i])
        key = (..., slice(start, start + sizes[i]), *(slice(None),) * (-1 - place))
        return xp.reshape(g[key], (*seeds(g, out), *arrays[i].shape))

    return Joint(push, pull)


@rule("stack", by_shape=True)
def _stack(xp: Namespace, out: Array, arrays: Any, axis: int = 0) -> Joint:
    (place,) = negative(axis, out.ndim)

    def push(tangents: dict[int, Array]) -> Array:
        zero = xp.zeros_like(next(iter(tangents.values())))
        return xp.stack([tangents.get(i, zero) for i in range(len(arrays))], axis=place)

    def pull(i: int, g: Array) -> Array:
        return g[(..., i, *(slice(None),) * (-1 - place))]

    return Joint(push, pull)


@rule("unstack", by_shape=True)
def _unstack(xp: Namespace, outs: Any, x: Array, axis: int = 0) -> list[Map]:
    (place,) = negative(axis, x.ndim)

    def pull(gs: Any) -> Array:
        zero = xp.zeros_like(next(g for g in gs if g is not None))
        return xp.stack([zero if g is None else g for g in gs], axis=place)

    return [Map(lambda t: tuple(xp.unstack(t, axis=place)), pull)]
