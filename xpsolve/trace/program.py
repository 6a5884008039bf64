"""A recorded function: its operations in order, on values that stand for arrays.

A value is made once: by an input, by a constant or by one operation.  Where an operation of the library writes to an
array, the program has another value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from xpsolve.arrays import Array
from xpsolve.trace.wrapper import map_arrays


@dataclass(frozen=True, eq=False)
class Value:
    """An array that is not there yet.

    Parameters
    ----------
    number : int
        Values are numbered in the order in which they are made.
    shape : tuple of int
        Lengths of the axes.
    dtype : dtype
        As the library names it.
    strides : tuple of int or None
        Numbers from one entry to the next along each axis, as the library has made it; None where it does not say.
    """

    number: int
    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"%{self.number}"


@dataclass(frozen=True, eq=False)
class Operation:
    """One call.

    Parameters
    ----------
    name : str
        That of the array API (``"exp"``, ``"linalg.qr"``, ``"matmul"``), of an operator's function (``"add"``,
        ``"getitem"``, ``"setitem"``), or of one of our delegates.
    function : callable
        What runs it, on arrays of the library.
    args : tuple
        Arguments by position: nested tuples, lists and dicts with values where arrays belong.
    kwargs : dict
        Arguments by name.
    outputs : Value or nested containers of values
        What it makes.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any

    @functools.cached_property
    def _values(self) -> tuple[list[Value], list[Value]]:
        return values_in((self.args, self.kwargs)), values_in(self.outputs)

    def reads(self) -> list[Value]:
        """Values among the arguments, in order, repetitions kept."""
        return self._values[0]

    def makes(self) -> list[Value]:
        """Values among the outputs."""
        return self._values[1]

    def __repr__(self) -> str:
        options = [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.outputs!r} = {self.name}({', '.join([*map(repr, self.args), *options])})"


@dataclass(frozen=True, eq=False)
class Program:
    """A pure function of fixed shapes as a list of operations.

    Parameters
    ----------
    inputs : tuple of Value
        The arrays among the arguments, in order.
    constants : dict of Value to array
        What does not depend on the inputs, by the values that the operations read.
    operations : tuple of Operation
        In an order in which every value is made before it is read.
    outputs : object
        What the function returns, with values where arrays belong; an input or a constant may be among them.
    """

    inputs: tuple[Value, ...]
    constants: dict[Value, Array] = field(repr=False)
    operations: tuple[Operation, ...]
    outputs: Any

    def __str__(self) -> str:
        lines = [repr(operation) for operation in self.operations]
        return "\n".join([f"inputs {', '.join(map(repr, self.inputs))}", *lines, f"return {self.outputs!r}"])


@dataclass(frozen=True, eq=False)
class Group:
    """Elementwise operations that one kernel can do, and the reduction that ends them, if any.

    Parameters
    ----------
    operations : tuple of Operation
        Elementwise, in order; their arguments broadcast to one shape.
    reduction : Operation or None
        Reads the last one's result.
    """

    operations: tuple[Operation, ...]
    reduction: Operation | None = None

    def __iter__(self) -> Iterator[Operation]:
        yield from self.operations
        if self.reduction is not None:
            yield self.reduction


def _is_value(x: Any) -> bool:
    return isinstance(x, Value)


def map_values(function: Callable[[Value], Any], tree: Any) -> Any:
    """`tree` with `function` of each value in it; containers keep their type."""
    kind = type(tree)
    if kind is Value:
        return function(tree)
    if kind in _SIMPLE:
        return tree
    if kind is tuple or kind is list:
        return kind([map_values(function, item) for item in tree])
    return map_arrays(function, tree, leaf=_is_value)


def values_in(tree: Any) -> list[Value]:
    """All values in nested containers, in order."""
    found: list[Value] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[Value]) -> None:
    kind = type(tree)
    if kind is Value:
        found.append(tree)
    elif kind is tuple or kind is list:
        for item in tree:
            _collect(item, found)
    elif kind is dict:
        for item in tree.values():
            _collect(item, found)
    elif kind not in _SIMPLE:

        def note(x: Value) -> Value:
            found.append(x)
            return x

        map_values(note, tree)


_SIMPLE = frozenset((int, float, bool, complex, str, type(None), slice))
