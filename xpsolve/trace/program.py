"""A recorded function: its operations in order, on values that stand for arrays.

A value is made once: by an input, by a constant or by one operation.  Where an operation of the library writes to an
array, the program has another value.
"""

from __future__ import annotations

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

    def reads(self) -> list[Value]:
        """Values among the arguments, in order, repetitions kept."""
        return values_in((self.args, self.kwargs))

    def makes(self) -> list[Value]:
        """Values among the outputs."""
        return values_in(self.outputs)

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
    return map_arrays(function, tree, leaf=_is_value)


def values_in(tree: Any) -> list[Value]:
    """All values in nested containers, in order."""
    if isinstance(tree, Value):
        return [tree]
    found: list[Value] = []

    def note(x: Value) -> Value:
        found.append(x)
        return x

    map_values(note, tree)
    return found
