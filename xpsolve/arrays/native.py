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
    """A dispatcher made by `native` or `composed`."""

    __name__: str
    standard: Function
    table: dict[str, Function]
    whole: bool  # whether wrapped arrays meet it as one operation
    copying: Function  # the same, writing to no argument

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
    return _delegate(standard, whole=True)


def composed(standard: Function) -> Delegate:
    """The same for steps that a library can take in fewer calls, though they are several operations to all who look.

    Wrapped arrays go through the standard functions: what is counted and how it is differentiated does not depend on
    the registered versions.  They are for small arrays of NumPy, where a call costs more than its work.

    Parameters
    ----------
    standard : callable
        The version in standard functions; its first argument is an array.

    Returns
    -------
    Delegate
        As that of `native`.

    Examples
    --------
    >>> from xpsolve.arrays.native import composed
    >>> import numpy as np
    >>> @composed
    ... def size(x):
    ...     return np.max(np.abs(x))
    >>> float(size(np.asarray([1.0, -2.0])))
    2.0
    """
    return _delegate(standard, whole=False)


def _delegate(standard: Function, *, whole: bool) -> Delegate:
    table: dict[str, Function] = {}
    chosen: dict[type, Function] = {}  # for arrays of this type

    @functools.wraps(standard)
    def dispatch(x: Any, *args: Any, **kwargs: Any) -> Any:
        function = chosen.get(type(x))  # all arguments were lifted to one level: the first speaks for them
        if function is None:
            xp = namespace_of(x)
            if hasattr(xp, "inside"):
                return xp.call(standard.__name__, dispatch, (x, *args), kwargs)
            function = chosen[type(x)] = table.get(library(xp), standard)
        return function(x, *args, **kwargs)

    def register(*libraries: str) -> Callable[[Function], Function]:
        def add(function: Function) -> Function:
            table.update(dict.fromkeys(libraries, function))
            chosen.clear()
            return function

        return add

    delegate = cast(Any, dispatch)
    delegate.standard, delegate.table, delegate.register, delegate.whole = standard, table, register, whole
    delegate.copying = dispatch
    return cast(Delegate, delegate)


def overwriting(delegate: Delegate) -> Delegate:
    """Declare that a delegate may write to its first argument, which the caller gives away.

    Who keeps that argument calls ``delegate.copying`` instead.
    """

    @functools.wraps(delegate)
    def copying(x: Any, *args: Any, **kwargs: Any) -> Any:
        return delegate(namespace_of(x).asarray(x, copy=True), *args, **kwargs)

    delegate.copying = copying
    return delegate
