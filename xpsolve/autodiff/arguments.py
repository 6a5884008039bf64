"""Arguments and results of functions to be differentiated: arrays in nested tuples, lists, dicts and dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, depth, device_of, is_array, is_complex, kind_of, namespace_of
from xpsolve.trace import arrays_in, map_arrays

Function = Callable[..., Any]


def check_function(f: Any, name: str = "f") -> None:
    """Raise TypeError unless `f` can be called."""
    if not callable(f):
        message = f"{name}: expected a function, got {type(f).__qualname__}."
        raise TypeError(message)


def floating_arrays(tree: Any, name: str, *, real: bool = False) -> list[Array]:
    """All arrays in one argument, which must be floating ones, or real ones."""
    found = arrays_in(tree)
    if not found:
        message = f"{name}: expected an array, a float or a structure with arrays in it, got {type(tree).__qualname__}."
        raise TypeError(message)
    kinds = ("real",) if real else ("real", "complex")
    for x in found:
        if kind_of(namespace_of(x), x.dtype) not in kinds:
            what = "a real floating dtype" if real else "a floating dtype"
            message = (
                f"{name}: expected arrays of {what}, got {x.dtype}. Convert them with astype, or pass them as "
                f"arguments that are not differentiated."
            )
            raise TypeError(message)
    return found


def without_scalars(tree: Any) -> Any:
    """NumPy makes scalars of its 0-d arrays: back to arrays."""
    return map_arrays(np.asarray, tree, leaf=lambda x: isinstance(x, np.floating | np.complexfloating))


def with_numbers(given: Sequence[Any], positions: Sequence[int], beside: Any = ()) -> list[Any]:
    """The arguments, with Python floats at these positions as 0-d arrays: of the library of the others, or NumPy's."""
    args: list[Any] = list(given)
    if all(map(is_array, args)):
        return args
    args = without_scalars(args)
    numbers = [i for i in positions if type(args[i]) in (float, complex)]
    if not numbers:
        return args
    others = arrays_in([args, beside])
    if not others:
        return [np.asarray(x) if i in numbers else x for i, x in enumerate(args)]
    like = max(others, key=lambda x: depth(namespace_of(x)))
    xp = namespace_of(like)
    floating = kind_of(xp, like.dtype) == "real"
    for i in numbers:
        dtype = like.dtype if floating and type(args[i]) is float else None
        args[i] = xp.asarray(args[i], dtype=dtype, device=device_of(like))
    return args


def rebuilt(tree: Any, arrays: Iterable[Array]) -> Any:
    """`tree` with its arrays replaced in order."""
    rest = iter(arrays)
    return map_arrays(lambda x: next(rest), tree)


def check_argnums(argnums: Any) -> tuple[int, ...]:
    """`argnums` as a tuple of different positions."""
    chosen = tuple(argnums) if isinstance(argnums, list | tuple) else (argnums,)
    for i in chosen:
        if isinstance(i, bool) or not isinstance(i, int | np.integer):
            message = f"argnums: expected an integer or a sequence of them, got {type(i).__qualname__}."
            raise TypeError(message)
    if not chosen or len(set(chosen)) != len(chosen):
        message = f"argnums: expected one position or more, all different, got {argnums!r}."
        raise ValueError(message)
    return chosen


def indices(argnums: tuple[int, ...], n_args: int) -> tuple[int, ...]:
    """Positions that exist, from 0 on."""
    for i in argnums:
        if not -n_args <= i < n_args:
            message = f"argnums: expected positions among {n_args} arguments, got {i}."
            raise ValueError(message)
    found = tuple(i % n_args for i in argnums)
    if len(set(found)) != len(found):
        message = f"argnums: expected different positions among {n_args} arguments, got {argnums}."
        raise ValueError(message)
    return found


def result_arrays(out: Any, name: str = "f") -> list[Array]:
    """All arrays that a function returned."""
    found = arrays_in(out)
    if not found:
        what = type(out).__qualname__
        message = (
            f"{name}: expected a function that returns an array, got {what} from it. A value read by float() or item() "
            f"carries no derivative: return the array itself."
        )
        raise TypeError(message)
    return found


def single(x: Any, name: str) -> Array:
    """One array."""
    if isinstance(x, np.generic) or not is_array(x):
        message = f"{name}: expected one array, got {type(x).__qualname__}."
        raise TypeError(message)
    return x


def same_arrays(given: Any, wanted: Sequence[Array], name: str, of: str) -> list[Array]:
    """The arrays in `given`, which must have the shapes of those wanted, and be real where those are."""
    found = arrays_in(given)
    got, expected = ([tuple(x.shape) for x in xs] for xs in (found, wanted))
    if got != expected:
        message = f"{name}: expected arrays of the shapes of {of}, {expected}, got {got}."
        raise ValueError(message)
    for x, y in zip(found, wanted, strict=True):
        if is_complex(x) and not is_complex(y):
            message = f"{name}: expected real numbers, as those of {of}, got {x.dtype}."
            raise TypeError(message)
    return found


def seeds_of(xp: Namespace, x: Array) -> Array:
    """The unit tangents of `x`, (size, *shape)."""
    size = int(np.prod(x.shape, dtype=int))
    return xp.reshape(xp.eye(size, dtype=x.dtype, device=device_of(x)), (size, *x.shape))
