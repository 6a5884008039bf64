"""The arrays in nested arguments, what else is in them, and the way back.

Tuples, lists, dicts and dataclasses are opened.  Any other object is one thing: it is told from others by its ``==``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpsolve.arrays import Array, is_array


def split(tree: Any) -> tuple[list[Array], tuple[Any, ...]]:
    """The arrays, and a key: equal for arguments that differ in the numbers of their arrays alone.

    A scalar of NumPy is an array of shape ().  TypeError for arrays that wrap others.

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
    elif kind is float:
        key.append((kind, tree.hex()))  # 0.0 is not -0.0
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
        leaves.append(tree)
        key.append((kind, tuple(tree.shape), tree.dtype, str(getattr(tree, "device", ""))))
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        key.append((kind,))
        for field in dataclasses.fields(tree):
            _split(getattr(tree, field.name), leaves, key)
    else:
        key.append((kind, tree))


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
    return tree
