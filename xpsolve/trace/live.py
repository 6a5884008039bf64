"""How much memory a function needs beside its arguments: bytes of its arrays alive at once, exactly and on any library.

Conventions
    An array counts from the operation that makes it until the last reference to it is gone.  Views and shape functions
    have no bytes of their own but keep the array they show alive, and so does an array assigned to; a reshape that must
    copy has its own.  What an operation needs while it runs is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace
from xpsolve.trace.count import is_view, namespace_of_all, nbytes
from xpsolve.trace.wrapper import Interpreter, WrappedArray, lift_all, map_arrays


class _Held(WrappedArray):
    """An array that reports when it is freed."""

    __slots__ = ("_base", "_size")

    def __init__(self, value: Array, interpreter: Any, size: int = 0, base: Any = None) -> None:
        super().__init__(value, interpreter)
        self._size, self._base = size, base
        interpreter.hold(size)

    def _become(self, other: WrappedArray) -> None:
        super()._become(other)
        self._size, other._size = other._size, self._size  # type: ignore[attr-defined]

    def __del__(self) -> None:
        self._interpreter.hold(-self._size)  # type: ignore[attr-defined]


class _Memory(Interpreter):
    """Runs every operation inside and keeps account of the bytes alive."""

    def __init__(self, inside: Namespace) -> None:
        super().__init__(inside)
        self.live = self.peak = 0

    def hold(self, size: int) -> None:
        """So many bytes more, or less."""
        self.live += size
        self.peak = max(self.peak, self.live)

    def wrap(self, value: Array) -> _Held:
        """An argument or a constant, which was there before."""
        return _Held(value, self)

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation; its results are alive until the last reference to them is gone."""
        plain, options = self.unwrap_all(args), self.unwrap_all(kwargs)
        out = self.run(function, plain, options)
        if is_view(name, plain, options, out):
            return map_arrays(lambda x: _Held(x, self, base=args), out)
        return map_arrays(lambda x: _Held(x, self, nbytes(x)), out)


def peak_bytes(f: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, int]:
    """Run ``f(*args, **kwargs)`` and find the most bytes that its arrays took at once.

    Parameters
    ----------
    f : callable
        Any function of array-API code.
    *args, **kwargs : object
        Its arguments; every array in them, also inside containers and operators, is wrapped.  They are not counted
        themselves.

    Returns
    -------
    result : object
        What ``f`` returned, with plain arrays inside.
    peak : int
        Bytes of all arrays that ``f`` made and that were alive at one time, at most.

    Raises
    ------
    TypeError
        If f cannot be called, there is no array among its arguments, or they come from different libraries.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace import peak_bytes
    >>> def chain(x):
    ...     for _ in range(100):
    ...         x = x + 1
    ...     return x
    >>> peak_bytes(chain, np.zeros(10))[1]  # an old one and a new one
    160
    """
    memory = _Memory(namespace_of_all(f, args, kwargs))
    result = f(*lift_all(memory, list(args)), **lift_all(memory, kwargs))
    return memory.unwrap_all(result), memory.peak
