"""Delegates: one name, a version in standard functions, and what a library does better itself.

`native` turns a function written in standard array-API calls into a dispatcher.  The decorated function
stays reachable as ``f.standard``: it is the fallback for a library that registers nothing, and the
oracle that registered versions are tested against.  This is the only place that reads a library's name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, cast

from xpsolve.arrays.namespace import library, namespace_of

Function = Callable[..., Any]


class Delegate(Protocol):
    """A dispatcher made by `native`."""

    __name__: str
    standard: Function
    table: dict[str, Function]

    def register(self, *libraries: str) -> Callable[[Function], Function]:
        """Decorate a version for these libraries."""

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the version that fits `x`."""


def native(standard: Function) -> Delegate:
    """Dispatch on the library of the first argument.

    Parameters
    ----------
    standard : callable
        The version in standard functions; its first argument is an array.

    Returns
    -------
    Delegate
        ``.register("torch")`` adds a version, ``.standard`` is the given one.  Wrapped arrays (see
        `xpsolve.arrays.namespace`) meet the delegate as one operation named after it.

    Examples
    --------
    >>> from xpsolve.arrays.native import native
    >>> import numpy as np
    >>> @native
    ... def double(x):
    ...     return x + x
    >>> double(np.ones(2))
    array([2., 2.])
    """
    table: dict[str, Function] = {}

    @functools.wraps(standard)
    def dispatch(x: Any, *args: Any, **kwargs: Any) -> Any:
        xp = namespace_of(x)  # the public function lifted all arguments to one level: the first stands for all
        if hasattr(xp, "inside"):
            return xp.call(standard.__name__, dispatch, (x, *args), kwargs)
        return table.get(library(xp), standard)(x, *args, **kwargs)

    def register(*libraries: str) -> Callable[[Function], Function]:
        def add(function: Function) -> Function:
            table.update(dict.fromkeys(libraries, function))
            return function

        return add

    delegate = cast(Any, dispatch)
    delegate.standard, delegate.table, delegate.register = standard, table, register
    return cast(Delegate, delegate)
