"""Reductions over the chunks of rows of Dask arrays: one task for each chunk, with all that makes it.

A chunk is made, used and forgotten within its task: it is never a result, which a worker would store, send to another
or write to its disk.  A task that is lost with its worker is run again from what it was made of.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dask
import dask.array
import numpy as np
from dask.core import get_dependencies, istask, toposort
from dask.delayed import Delayed

from xpsolve.arrays.namespace import Array, namespace_of
from xpsolve.arrays.row_blocks import row_reduce

_FAN = 8  # parts that are added at once

Parts = tuple[Array, ...]
Graph = Mapping[Any, Any]


def reduced(
    A: Array, rows: Parts, small: Parts, f: Callable[..., Parts], merged: Callable[[Sequence[Parts]], Parts]
) -> Parts:
    """f(A_i, *rows_i, *small) of every chunk i of rows, merged as a tree and computed now, as NumPy arrays."""
    lengths = A.chunks[0]
    operands: list[Any] = [A, "ij"]
    for place, y in enumerate(rows):
        y = y if y.chunks[0] == lengths else y.rechunk({0: lengths})
        operands += [y, "i" if y.ndim == 1 else "i" + chr(ord("k") + place)]
    blocks = dask.array.blockwise(
        _applied,
        "i",
        *operands,
        f=f,
        merged=merged,
        small=dask.delayed(_Held(small), pure=False),  # one for all tasks, which each worker gets once
        name=f"row-sums-{uuid.uuid4().hex}",
        concatenate=False,  # lists of the chunks of a row: Dask would copy also a single one
        adjust_chunks={"i": lambda _: 1},
        align_arrays=False,
        dtype=object,
        meta=np.empty(0, dtype=object),  # only the tasks are used
    )
    (blocks,) = dask.optimize(blocks)
    level = [key for key, length in zip(blocks.__dask_keys__(), lengths, strict=True) if length or math.isnan(length)]
    graph = whole_tasks(dict(blocks.__dask_graph__()), level)
    while len(level) > 1:
        groups = [level[i : i + _FAN] for i in range(0, len(level), _FAN)]
        level = [f"{blocks.name}-merged-{len(graph) + i}" for i in range(len(groups))]
        graph |= {key: (merged, group) for key, group in zip(level, groups, strict=True)}
    (total,) = dask.compute(Delayed(level[0], graph))
    return tuple(np.asarray(x) for x in total)


def whole_tasks(graph: Graph, outputs: Sequence[Any]) -> dict[Any, Any]:
    """The same graph where all tasks that lead to one of the outputs alone are one task.

    A task that leads to two of them, as the mean of all rows, stays apart.  What makes a chunk and leads to both is run
    twice: a chunk that waits for the mean would have to be stored.

    Examples
    --------
    >>> import dask
    >>> from xpsolve.arrays.dask_rows import whole_tasks
    >>> graph = {"a": (abs, -1), "b": (abs, -2), "most": (max, "a", "b")}
    >>> graph |= {"2a": (sum, ["a", "a"]), "c": (max, "2a", "most"), "d": (min, "b", "most")}
    >>> found = whole_tasks(graph, ["c", "d"])
    >>> [len(found[key][1:]) for key in ("c", "d")], dask.get(found, ["c", "d"])
    ([1, 1], (2, 2))
    """
    needs = {key: get_dependencies(graph, key) for key in graph}
    leads: dict[Any, set[Any]] = {key: set() for key in graph} | {key: {key} for key in outputs}
    inside: dict[Any, dict[Any, Any]] = {key: {} for key in outputs}
    for key in reversed(toposort(graph, dependencies=needs)):  # who needs it before what it needs
        if len(leads[key]) == 1 and istask(graph[key]):
            (output,) = leads[key]
            inside[output][key] = graph[key]
            for needed in needs[key]:
                leads[needed].add(output)
    found = dict(graph)
    for output, tasks in inside.items():
        outside = sorted({needed for key in tasks for needed in needs[key]} - set(tasks), key=str)
        found[output] = (_Whole(tasks, output, outside), *outside)
    return found


class _Whole:
    """Some tasks as one function of what they need."""

    def __init__(self, tasks: Graph, output: Any, needed: list[Any]) -> None:
        self.tasks, self.output, self.needed = tasks, output, needed

    def __call__(self, *values: Any) -> Any:
        given = {key: (partial(_same, value),) for key, value in zip(self.needed, values, strict=True)}
        return dask.get({**self.tasks, **given}, self.output, callbacks=())


class _Held:
    """Arrays as one value, which Dask does not look into."""

    def __init__(self, values: Parts) -> None:
        self.values = values


def _same(value: Any) -> Any:
    return value


def _applied(*blocks: Any, f: Callable[..., Parts], merged: Callable[..., Parts], small: _Held) -> Parts:
    rows = [_joined(block) for block in blocks]
    return row_reduce(f, merged, *rows, small=small.values)  # what f makes beside a large chunk is smaller than it


def _joined(block: Any) -> Array:
    """The chunks of some rows as one array, in which each row or each column lies in one piece, as BLAS needs it."""
    if isinstance(block, list):
        block = block[0] if len(block) == 1 else namespace_of(block[0]).concat(block, axis=1)
    if isinstance(block, np.ndarray) and block.ndim == 2 and min(block.strides) != block.itemsize:
        block = np.ascontiguousarray(block)
    return block
