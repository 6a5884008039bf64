"""Arguments and results of functions to be differentiated: arrays in nested tuples, lists, dicts and dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, device_of, is_array, namespace_of
from xpsolve.trace import arrays_in, map_arrays

Function = Callable[..., Any]


def floating_arrays(tree: Any, owner: str, name: str) -> list[Array]:
    """All arrays in one argument, which must be real floating ones."""
    found = arrays_in(tree)
    if not found:
        message = f"{owner}: {name} has no array in it, got {type(tree).__qualname__}. Make numbers arrays first."
        raise TypeError(message)
    for x in found:
        xp = namespace_of(x)
        if not xp.isdtype(x.dtype, "real floating"):
            message = (
                f"{owner}: {name}: expected arrays of a real floating dtype, got {x.dtype}. Convert them with astype, "
                f"or pass them as arguments that are not differentiated."
            )
            raise TypeError(message)
    return found


def without_scalars(tree: Any) -> Any:
    """NumPy makes scalars of its 0-d arrays: back to arrays."""
    return map_arrays(np.asarray, tree, leaf=lambda x: isinstance(x, np.floating))


def rebuilt(tree: Any, arrays: Iterable[Array]) -> Any:
    """`tree` with its arrays replaced in order."""
    rest = iter(arrays)
    return map_arrays(lambda x: next(rest), tree)


def indices(argnums: int | Sequence[int], n_args: int, owner: str) -> tuple[int, ...]:
    """`argnums` as a tuple of positions that exist."""
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in chosen:
        if not -n_args <= i < n_args:
            message = f"{owner}: argnums: expected positions among {n_args} arguments, got {i}."
            raise ValueError(message)
    return tuple(i % n_args for i in chosen)


def result_arrays(out: Any, owner: str) -> list[Array]:
    """All arrays that a function returned."""
    found = arrays_in(out)
    if not found:
        what = type(out).__qualname__
        message = (
            f"{owner}: expected the function to return an array, got {what}. A value read by float() or item() "
            f"carries no derivative: return the array itself."
        )
        raise TypeError(message)
    return found


def single(x: Any, owner: str, name: str) -> Array:
    """One array."""
    if isinstance(x, np.generic) or not is_array(x):
        message = f"{owner}: {name}: expected one array, got {type(x).__qualname__}."
        raise TypeError(message)
    return x


def same_arrays(given: Any, wanted: Sequence[Array], owner: str, name: str, of: str) -> list[Array]:
    """The arrays in `given`, which must have the shapes of those wanted."""
    found = arrays_in(given)
    got, expected = ([tuple(x.shape) for x in xs] for xs in (found, wanted))
    if got != expected:
        message = f"{owner}: {name}: expected arrays of the shapes of {of}, {expected}, got {got}."
        raise ValueError(message)
    return found


def seeds_of(xp: Namespace, x: Array) -> Array:
    """The unit tangents of `x`, (size, *shape)."""
    size = int(np.prod(x.shape, dtype=int))
    return xp.reshape(xp.eye(size, dtype=x.dtype, device=device_of(x)), (size, *x.shape))
