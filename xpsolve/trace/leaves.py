"""The arrays in nested arguments, what else is in them, and the way back.

Tuples, lists, dicts, dataclasses, and the operators and penalties of this package are opened.  Any other object stays
whole, and ``==`` says whether it is the same as in an earlier call.  For an object that is equal to itself alone it
cannot say so, since what the object holds may have changed.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from enum import Enum
from typing import Any

import numpy as np

from xpsolve.arrays import Array, is_array
from xpsolve.trace.wrapper import arrays_in, map_arrays

_BY_IDENTITY: Any = object.__hash__
_FIXED = (
    *(types.NoneType, types.EllipsisType, type, Enum),
    *(types.FunctionType, types.BuiltinFunctionType, types.ModuleType, np.ufunc),
)


class Changeable(TypeError):
    """Says which argument has no key."""


def split(tree: Any) -> tuple[list[Array], tuple[Any, ...]]:
    """The arrays, and a key: equal for arguments that differ in the numbers of their arrays alone.

    A scalar of NumPy is an array of shape ().  TypeError for arrays that wrap others; `Changeable` for those of NumPy
    that have an arithmetic of their own, and for objects that can change unnoticed.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace.leaves import split
    >>> a, b = split((np.ones(2), 1)), split((np.zeros(2), 1))
    >>> len(a[0]), a[1] == b[1], a[1] == split((np.ones(2), 2))[1]
    (1, True, False)
    """
    leaves: list[Array] = []
    key: list[Any] = []
    _split(tree, leaves, key)
    return leaves, tuple(key)


def _split(tree: Any, leaves: list[Array], key: list[Any]) -> None:
    kind = type(tree)
    if kind is np.ndarray:
        leaves.append(tree)
        key.append((tree.shape, tree.dtype, tree.strides))
    elif kind is float or kind is complex:
        key.append((kind, repr(tree)))  # 0.0 is not -0.0, and NaN is NaN
    elif isinstance(tree, tuple | list):
        key.append((kind, len(tree)))
        for item in tree:
            _split(item, leaves, key)
    elif kind is dict:
        key.append((kind, *tree))
        for item in tree.values():
            _split(item, leaves, key)
    elif isinstance(tree, np.inexact):
        _split(np.asarray(tree), leaves, key)
    elif is_array(tree):
        if hasattr(kind, "__xpsolve_value__"):
            message = "an array that wraps another is followed, not recorded"
            raise TypeError(message)
        if isinstance(tree, np.ndarray) and not isinstance(tree, np.memmap):
            message = f"an array of type {kind.__qualname__} has an arithmetic of its own"
            raise Changeable(message)
        leaves.append(tree)
        key.append((kind, tuple(tree.shape), tree.dtype, str(getattr(tree, "device", ""))))
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        key.append((kind,))
        for field in dataclasses.fields(tree):
            _split(getattr(tree, field.name), leaves, key)
    elif _is_opened(tree):
        _split_object(tree, leaves, key)
    elif kind.__hash__ is _BY_IDENTITY and not isinstance(tree, _FIXED) and kind.__name__ != "dtype":
        message = f"an object of type {kind.__qualname__} can change unnoticed"
        raise Changeable(message)
    else:
        key.append((kind, tree))


def _is_opened(tree: Any) -> bool:
    kind = type(tree)
    return hasattr(kind, "__xpsolve_map__") and kind.__module__.startswith("xpsolve.")


def _split_object(tree: Any, leaves: list[Array], key: list[Any]) -> None:
    """All that it holds is in the key, and its arrays are those that a map of it meets."""
    held: list[Array] = []
    key.append((type(tree),))
    _split(vars(tree), held, key)
    met = arrays_in(tree)
    if set(map(id, met)) != set(map(id, held)):
        message = f"an object of type {type(tree).__qualname__} holds arrays that are made of others"
        raise Changeable(message)
    leaves.extend(met)


def fill(tree: Any, leaves: Iterator[Any]) -> Any:
    """`tree` with other arrays in it, in the order of `split`."""
    kind = type(tree)
    if kind is np.ndarray or isinstance(tree, np.inexact) or is_array(tree):
        return next(leaves)
    if isinstance(tree, tuple | list):
        items = [fill(item, leaves) for item in tree]
        return kind(*items) if hasattr(tree, "_fields") else kind(items)
    if kind is dict:
        return {key: fill(item, leaves) for key, item in tree.items()}
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        parts = {field.name: fill(getattr(tree, field.name), leaves) for field in dataclasses.fields(tree)}
        init = {field.name: parts[field.name] for field in dataclasses.fields(tree) if field.init}
        return dataclasses.replace(tree, **init)
    return map_arrays(lambda _: next(leaves), tree) if _is_opened(tree) else tree
