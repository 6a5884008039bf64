"""Choosing entries by their values, with shapes that do not depend on them.

The standard has `take` and `argsort`, but neither a partial sort nor an assignment through an index array.
"""

from __future__ import annotations

import array_api_extra as xpx
import numpy as np

from xpsolve.arrays.namespace import Array, device_of, namespace_of
from xpsolve.arrays.native import composed, native, overwriting


@native
def largest(x: Array, count: int) -> Array:
    """Indices (count,) of the largest entries of x (p,), in no promised order."""
    return namespace_of(x).argsort(x, descending=True, stable=False)[:count]


@largest.register("numpy")
def _largest_numpy(x: Array, count: int) -> Array:
    return np.sort(np.argpartition(x, x.shape[0] - count)[x.shape[0] - count :])  # columns in order are read faster


@largest.register("torch")
def _largest_torch(x: Array, count: int) -> Array:
    return x.topk(count, sorted=False).indices


@largest.register("jax")
def _largest_jax(x: Array, count: int) -> Array:
    from jax.lax import top_k

    return top_k(x, count)[1]


@largest.register("dask")
def _largest_dask(x: Array, count: int) -> Array:
    return xpx.lazy_apply(_largest_numpy, x, count, shape=(count,), dtype=np.int64, as_numpy=True)


@native
def scatter(values: Array, index: Array, length: int) -> Array:
    """x (length,) with ``x[index] = values`` and zeros elsewhere; no index occurs twice."""
    xp = namespace_of(values)
    order = xp.argsort(index)
    ordered = xp.take(index, order)
    everywhere = xp.arange(length, dtype=index.dtype, device=device_of(values))
    place = xp.searchsorted(ordered, everywhere)
    place = xp.minimum(place, xp.full_like(place, index.shape[0] - 1))
    found = xp.take(xp.take(values, order), place)
    return xp.where(xp.take(ordered, place) == everywhere, found, xp.zeros_like(found))


@scatter.register("numpy", "cupy", "torch")
def _scatter_by_assignment(values: Array, index: Array, length: int) -> Array:
    x = namespace_of(values).zeros(length, dtype=values.dtype, device=device_of(values))
    x[index] = values
    return x


@scatter.register("jax")
def _scatter_jax(values: Array, index: Array, length: int) -> Array:
    return namespace_of(values).zeros(length, dtype=values.dtype).at[index].set(values)


@scatter.register("dask")
def _scatter_dask(values: Array, index: Array, length: int) -> Array:
    return xpx.lazy_apply(
        _scatter_by_assignment, values, index, length, shape=(length,), dtype=values.dtype, as_numpy=True
    )


@native
def accumulate(values: Array, index: Array, length: int) -> Array:
    """x (..., length) whose entry j is the sum of the values (..., k) with index (k,) j: the adjoint of `take`."""
    xp = namespace_of(values)
    everywhere = xp.arange(length, dtype=index.dtype, device=device_of(index))
    return values @ xp.astype(index[:, None] == everywhere[None, :], values.dtype)


def _zeros(values: Array, length: int) -> Array:
    shape = (*values.shape[:-1], length)
    return namespace_of(values).zeros(shape, dtype=values.dtype, device=device_of(values))


@accumulate.register("numpy")
def _accumulate_numpy(values: Array, index: Array, length: int) -> Array:
    x = _zeros(values, length)
    np.add.at(x, (..., index), values)  # type: ignore[arg-type]
    return x


@accumulate.register("cupy")
def _accumulate_cupy(values: Array, index: Array, length: int) -> Array:
    import cupy

    x = _zeros(values, length)
    cupy.add.at(x, (*(slice(None),) * (values.ndim - 1), index), values)
    return x


@accumulate.register("torch")
def _accumulate_torch(values: Array, index: Array, length: int) -> Array:
    return _zeros(values, length).index_add_(-1, index, values)


@accumulate.register("jax")
def _accumulate_jax(values: Array, index: Array, length: int) -> Array:
    return _zeros(values, length).at[..., index].add(values)


@native
def take_columns(A: Array, index: Array) -> Array:
    """Columns of A (n, p) as the rows of a contiguous (k, n)."""
    return namespace_of(A).take(A, index, axis=1).T


@take_columns.register("numpy")
def _take_columns_numpy(A: Array, index: Array) -> Array:
    n, block = A.shape[0], 1024  # rows whose columns are written before the next are read
    if n <= block:
        return np.ascontiguousarray(A[:, index].T)  # `take` would write column by column into rows of A
    columns = np.empty((index.shape[0], n), A.dtype)
    for start in range(0, n, block):
        columns[:, start : start + block] = A[start : start + block, index].T
    return columns


@take_columns.register("dask")
def _take_columns_dask(A: Array, index: Array) -> Array:
    shape = (index.shape[0], A.shape[0])
    return xpx.lazy_apply(_take_columns_numpy, A, index, shape=shape, dtype=A.dtype, as_numpy=True)


@overwriting
@native
def put(x: Array, index: Array, values: Array) -> Array:
    """x (n, …) with ``x[index] = values``, in the memory of x where the library can: the caller must not use x again.

    Where an index occurs twice its values are equal.
    """
    xp, n = namespace_of(x), x.shape[0]
    order = xp.argsort(index)
    ordered = xp.take(index, order)
    everywhere = xp.arange(n, dtype=index.dtype, device=device_of(x))
    place = xp.searchsorted(ordered, everywhere)
    place = xp.minimum(place, xp.full_like(place, index.shape[0] - 1))
    found = xp.take(ordered, place) == everywhere
    there = xp.take(xp.take(values, order, axis=0), place, axis=0)
    return xp.where(xp.reshape(found, (n, *(1,) * (x.ndim - 1))), there, x)


@put.register("numpy", "cupy", "torch")
def _put_in_place(x: Array, index: Array, values: Array) -> Array:
    x[index] = values
    return x


@put.register("jax")
def _put_jax(x: Array, index: Array, values: Array) -> Array:
    return x.at[index].set(values)


@composed
def either(condition: Array, first: tuple[Array, ...], second: tuple[Array, ...]) -> tuple[Array, ...]:
    """`where` for each pair of two tuples of arrays of the same shapes."""
    xp = namespace_of(condition)
    return tuple(xp.where(condition, x, y) for x, y in zip(first, second, strict=True))


@either.register("numpy")
def _either_numpy(condition: Array, first: tuple[Array, ...], second: tuple[Array, ...]) -> tuple[Array, ...]:
    if condition.size != 1:
        return either.standard(condition, first, second)  # type: ignore[no-any-return]
    return first if condition.item() else second
