"""Chains of elementwise operations on large arrays of NumPy, in blocks that stay in the cache.

The chain is done for one block after another, so that what lies between its operations is never written to memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from xpsolve.trace.buffers import lies_by_rows
from xpsolve.trace.passes import grouped
from xpsolve.trace.program import Group, Operation, Program, Value, values_in

_BYTES = 2**17  # of one block of one array
_LARGE = 2**17  # numbers in arrays that are worth it


def in_blocks(
    program: Program, operations: Sequence[Operation], elementwise: Callable[[Operation], bool]
) -> list[Operation]:
    """The operations, chains of large ones put together: each is one operation named "block"."""
    if not any(elementwise(op) and _is_large(op) for op in operations):
        return list(operations)
    part = Program(program.inputs, program.constants, tuple(operations), program.outputs)
    units = grouped(part, lambda op: elementwise(op) and _is_large(op), lambda op: False)
    needed = set(values_in(program.outputs))
    for unit in units:
        inside = unit.operations if isinstance(unit, Group) else (unit,)
        made = {value for op in inside for value in op.makes()}
        needed.update(value for op in inside for value in op.reads() if value not in made)
    return [op for unit in units for op in _together(unit, needed)]


def _is_large(operation: Operation) -> bool:
    made = operation.outputs
    if not isinstance(made, Value) or made.shape == () or math.prod(made.shape) < max(_LARGE, 1):
        return False
    return all(x.shape == () or (x.shape == made.shape and lies_by_rows(x)) for x in (made, *operation.reads()))


def _together(unit: Operation | Group, needed: Collection[Value]) -> Sequence[Operation]:
    if not isinstance(unit, Group):
        return (unit,)
    if len(unit.operations) == 1:
        return unit.operations
    made = [op.outputs for op in unit.operations]
    outside = dict.fromkeys(value for op in unit.operations for value in op.reads() if value not in made)
    results = tuple(value for value in made if value in needed)
    return (Operation("block", unit.operations, tuple(outside), {}, results),)  # type: ignore[arg-type]


def lines_of(
    block: Operation,
    names: Callable[[Value], str],
    places: dict[Value, str],
    bound: Callable[[Any], str],
    write: Callable[[Operation, dict[Value, str], str], list[str]],
) -> list[str]:
    """The loop over blocks.

    ``names(value)`` is the name of an array, `places` has those of memory that is there, ``bound(x)`` is a name for an
    object, and ``write(operation, names, target)`` writes an operation on blocks of these names.
    """
    operations: Sequence[Operation] = block.function  # type: ignore[assignment]
    first = operations[0].outputs
    length = math.prod(first.shape)
    size = _BYTES // max(op.outputs.dtype.itemsize for op in operations)
    lines, within, local = [], [], {}
    for value in block.outputs:
        new = f"{bound(np.empty)}({bound(value.shape)}, {bound(value.dtype)})"
        lines.append(f"{names(value)} = {places.get(value, new)}")
    for value in (*block.args, *block.outputs):
        name = names(value)
        if value.shape == ():
            local[value] = name
        else:
            lines.append(f"{name}f = {name}.reshape(-1)")
            within.append(f"{name}b = {name}f[i:j]")
            local[value] = f"{name}b"
    within += _temporaries(operations, block.outputs, size, bound, local)
    for op in operations:
        within += write(op, local, local[op.outputs])
    head = [f"for i in range(0, {length}, {size}):", f"    j = min(i + {size}, {length})"]
    return [*lines, *head, *("    " + line for line in within)]


def _temporaries(
    operations: Sequence[Operation],
    outputs: Collection[Value],
    size: int,
    bound: Callable[[Any], str],
    local: dict[Value, str],
) -> list[str]:
    """Memory of one block for what lies between, which is free after its last read.

    An operation may write over what it reads last, but for `where`, which writes twice.
    """
    last = {value: i for i, op in enumerate(operations) for value in op.reads()}
    free: dict[Any, list[str]] = {}
    lines: list[str] = []
    made: set[Value] = set()

    def place(value: Value) -> None:
        if value not in outputs:
            there = free.setdefault(value.dtype, [])
            if not there:
                name = bound(np.empty(size, value.dtype))
                lines.append(f"{name}b = {name}[: j - i]")
                there.append(f"{name}b")
            local[value] = there.pop()
            made.add(value)

    for i, op in enumerate(operations):
        ended = [x for x in dict.fromkeys(op.reads()) if last[x] == i and x in made]
        if op.name == "where":
            place(op.outputs)
        for x in ended:
            free[x.dtype].append(local[x])
        if op.name != "where":
            place(op.outputs)
    return lines
