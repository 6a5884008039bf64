"""One shape for the elementwise operations between reshapes, so that one kernel can do them all.

An elementwise operation of arrays of one shape does the same in any other shape of as many numbers.  Values that such
operations and reshapes join need one shape between them: that in which a sum along an axis, or a smaller array that is
met again and again, has them.  Reshapes then stand at the ends, where they are views.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from xpsolve.trace import cuda
from xpsolve.trace.launches import in_order
from xpsolve.trace.program import Operation, Value, map_values

Shape = tuple[int, ...]


def in_common_shapes(operations: Iterable[Operation]) -> list[Operation]:
    """The same operations, those on both sides of a reshape in one shape where they can be.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import namespace_of
    >>> from xpsolve.trace.record import record
    >>> from xpsolve.trace.shapes import in_common_shapes
    >>> def f(x):
    ...     xp = namespace_of(x)
    ...     return xp.sum(xp.reshape(2 * x, (2, 3)), axis=0)
    >>> _, program = record(f, np.ones(6))
    >>> [(op.name, op.outputs.shape) for op in in_common_shapes(program.operations)]
    [('reshape', (2, 3)), ('multiply', (2, 3)), ('reshape', (6,)), ('reshape', (2, 3)), ('sum', (3,))]
    """
    return _Reshaped(list(operations)).operations


class _Reshaped:
    """The pass: groups of values first, then each operation in the shape of its group."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        reshapes = [op for op in operations if _is_reshape(op)]
        self.operations: list[Operation] = [] if reshapes else list(operations)
        if not reshapes:
            return
        self._reshape = reshapes[0].function
        self._number = max(v.number for op in operations for v in (*op.reads(), *op.makes()))
        self._there: dict[tuple[Value, Shape], Value] = {}  # a value in another shape
        self._joined: dict[Value, Value] = {}
        self._moving = {op for op in operations if _does_the_same_in_any_shape(op)}
        for op in operations:
            if op in self._moving or _is_reshape(op):
                self._join([op.outputs, *(v for v in op.reads() if v.shape != ())])
        self._homes = self._chosen(operations)
        for op in operations:
            if op in self._moving:
                self._move(op)
            elif _is_reshape(op):
                self._pass(op)
            else:
                self.operations.append(op)

    def _join(self, values: Sequence[Value]) -> None:
        first = self._group(values[0])
        for group in map(self._group, values[1:]):
            if group is not first:
                self._joined[group] = first

    def _group(self, value: Value) -> Value:
        while value in self._joined:
            value = self._joined[value]
        return value

    def _chosen(self, operations: Sequence[Operation]) -> dict[Value, Shape]:
        """The shape of each group: what most of its operations have that cannot move, or else most that can.

        None of a group with an array whose reshape would be a copy.
        """
        votes: dict[Value, Counter[Shape]] = {}
        copied = set[Value]()
        for op in operations:
            weight = 1
            if op not in self._moving:
                copied.update(self._group(v) for v in (*op.reads(), *op.makes()) if not _contiguous(v))
                weight = len(operations) if cuda.is_elementwise(op) or cuda.is_reduction(op) else 0
            for value in (*op.reads(), *op.makes()):
                votes.setdefault(self._group(value), Counter())[value.shape] += weight
        return {group: found.most_common(1)[0][0] for group, found in votes.items() if group not in copied}

    def _move(self, op: Operation) -> None:
        out = op.outputs
        home = self._homes.get(self._group(out), out.shape)
        if home == out.shape:
            self.operations.append(op)
            return
        args, kwargs = map_values(lambda v: v if v.shape == () else self._at(home, v), (op.args, op.kwargs))
        made = self._there[out, home] = self._new(out, home)
        self.operations.append(Operation(op.name, op.function, args, kwargs, made))
        self._show(made, out)

    def _pass(self, op: Operation) -> None:
        """A reshape: what it shows is there in the shape of the group, or will be."""
        source, out = op.reads()[0], op.outputs
        home = self._homes.get(self._group(out))
        if home is None:
            self.operations.append(op)
        elif home != out.shape:
            self.operations.append(op)
            self._there[out, home] = self._at(home, source)
        elif (source, home) in self._there:
            self._show(self._there[source, home], out)
        else:
            self.operations.append(op)
            self._there[source, home] = out

    def _at(self, shape: Shape, value: Value) -> Value:
        """The value in another shape."""
        if value.shape == shape:
            return value
        if (value, shape) not in self._there:
            self._there[value, shape] = self._new(value, shape)
            self._show(value, self._there[value, shape])
        return self._there[value, shape]

    def _new(self, like: Value, shape: Shape) -> Value:
        self._number += 1
        return Value(self._number, shape, like.dtype, _strides(shape))

    def _show(self, value: Value, out: Value) -> None:
        self.operations.append(Operation("reshape", self._reshape, (value, out.shape), {}, out))


def _is_reshape(op: Operation) -> bool:
    return op.name == "reshape" and len(op.reads()) == 1 and not op.kwargs.get("copy")


def _does_the_same_in_any_shape(op: Operation) -> bool:
    """Whether it is elementwise, of numbers and of arrays as large as its result."""
    if not cuda.is_elementwise(op) or op.outputs.shape == ():
        return False
    return all(v.shape in ((), op.outputs.shape) for v in op.reads())


def _strides(shape: Shape) -> Shape:
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def _contiguous(value: Value) -> bool:
    if value.strides is None or 0 in value.shape:
        return True
    return in_order(value.shape, value.strides)
