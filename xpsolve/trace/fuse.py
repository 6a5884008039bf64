"""Which kernels do the elementwise operations and reductions of a program, so that they are few.

Values between them are not kept: a kernel computes them anew from what is in memory, which costs arithmetic and no
launch.  Kept is what the library's own operations read (matrix products, sorts, slices) and what the program returns.
Everything kept has a first step at which it can be computed and a last one at which it must be there; values whose
spans meet and whose shapes fit share a kernel, and so do reductions of one shape over the same axes.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xpsolve.trace import cuda
from xpsolve.trace.count import is_view
from xpsolve.trace.program import Operation, Value
from xpsolve.trace.shapes import in_common_shapes

_MOST_ARRAYS, _MOST_OPERATIONS = 16, 48
"""Of one value that is computed anew: beyond them something on the way is kept."""
_MOST_ARGUMENTS = 32
"""Arrays of one kernel: they must fit into the 4 KB of its arguments."""
_LONG = 1 << 15
"""Numbers that one block of threads adds up; longer sums are those of the library, which uses the whole device."""
_FEW_SUMS = 64
_SHORT = 4
"""Numbers that are joined by one thread, beside other operations."""


class Term(NamedTuple):
    """A value inside a loop, at a place along each of its axes.

    That is the axis of the loop, None where its length is 1, or −1 − k for the fixed index k.
    """

    value: Value
    places: tuple[int | None, ...]


class Step(NamedTuple):
    """One operation in a kernel: for each operand the term, None for a number; or the terms that a short sum joins."""

    operation: Operation
    operands: tuple[Term | None, ...]
    term: Term


@dataclass(frozen=True, eq=False)
class Kernel:
    """One kernel: a loop over a shape that makes some values, or reductions of some.

    Parameters
    ----------
    shape : tuple of int
        Of the loop.
    arguments : tuple of Term
        Arrays that are read.
    steps : tuple of Step
        Elementwise operations, in order.
    results : tuple of Term
        What is written, or what each of `reductions` reads.
    reductions : tuple of Operation
        Over the same axes of the loop; empty for an elementwise kernel.
    """

    shape: tuple[int, ...]
    arguments: tuple[Term, ...]
    steps: tuple[Step, ...]
    results: tuple[Term, ...]
    reductions: tuple[Operation, ...] = ()

    def reads(self) -> list[Value]:
        """Values whose arrays it needs."""
        return [term.value for term in self.arguments]

    def makes(self) -> list[Value]:
        """Values whose arrays it writes."""
        if self.reductions:
            return [value for operation in self.reductions for value in operation.makes()]
        return [term.value for term in self.results]


def fused(operations: Iterable[Operation], outputs: Iterable[Value]) -> list[Operation | Kernel]:
    """Kernels and operations of the library that do the same, in an order in which they can run.

    Parameters
    ----------
    operations : iterable of Operation
        Of a program, or a part of it, in order.
    outputs : iterable of Value
        What is needed of all that they make.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace.fuse import fused
    >>> from xpsolve.trace.record import record
    >>> _, program = record(lambda x, y: x * y + 1, np.ones(3), np.ones(3))
    >>> len(program.operations), len(fused(program.operations, [program.outputs]))
    (2, 1)
    """
    return _Fusion(in_common_shapes(operations), set(outputs)).units()


class _Fusion:
    """The passes that lead to kernels; each fills one table."""

    def __init__(self, operations: Iterable[Operation], outputs: set[Value]) -> None:
        self.outputs = outputs
        self.operations = _alive(operations, outputs)
        self.maker = {value: op for op in self.operations for value in op.makes()}
        self.views = {op: _relabelled(op) for op in self.operations if _is_view(op)}
        others = [op for op in self.operations if op not in self.views]
        self.short = {op for op in others if cuda.is_reduction(op) and _reduced(op) <= _SHORT}
        self.maps = self.short.union(op for op in others if cuda.is_elementwise(op))
        self.sums = {op for op in others if op not in self.short and cuda.is_reduction(op) and _fits_a_block(op)}
        self.readers: dict[Value, list[Operation]] = {}
        for op in self.operations:
            for value in set(op.reads()):
                self.readers.setdefault(value, []).append(op)
        self.kept = self._kept()
        self.level, self.base = self._levels()
        self.last = max([0, *self.level.values(), *(self.base[v] + 1 for v in self.kept if v in self.base)])
        self.latest, self.latest_base = self._latest()

    # --- what must be in memory

    def inner(self, value: Value) -> bool:
        """Whether kernels can compute the value anew."""
        op = self.maker.get(value)
        if op is None:
            return False
        if op in self.maps:
            return True
        return self.views.get(op) is not None and self.inner(op.reads()[0])

    def root(self, value: Value) -> Value:
        """The value of which this is another view."""
        op = self.maker.get(value)
        if op is None or self.views.get(op) is None:
            return value
        return self.root(op.reads()[0])

    def _kept(self) -> set[Value]:
        """Elementwise results that the library reads or the program returns."""
        kept, needed = set[Value](), set(self.outputs)
        for op in reversed(self.operations):
            if op in self.maps:
                kept.update(v for v in op.makes() if v in needed)
            elif op in self.views:
                if self.views[op] is None or any(v in needed for v in op.makes()):
                    needed.update(op.reads())
            elif op not in self.sums:
                needed.update(op.reads())
        self.needed = needed
        return kept

    # --- when

    def _levels(self) -> tuple[dict[Value, int], dict[Value, int]]:
        """The first step after which a value can be in memory, and that after which all is there that it is made of."""
        level: dict[Value, int] = {}  # of what is there from the beginning 0
        base: dict[Value, int] = {}
        made_of: dict[Value, tuple[frozenset[Any], frozenset[Any]]] = {}  # arrays and operations

        def ready(value: Value) -> int:
            return base[value] if value in base else level.get(value, 0)

        def parts(value: Value) -> tuple[frozenset[Any], frozenset[Any]]:
            return made_of.get(value, (frozenset([value]), frozenset()))

        def repeated(found: frozenset[Any], times: int) -> frozenset[Any]:
            return found if times == 1 else frozenset((x, k) for x in found for k in range(times))

        for op in self.operations:
            reads = _operands(op) if op in self.maps - self.short else op.reads()
            if op in self.maps or (self.views.get(op) is not None and self.inner(reads[0])):
                (out,), times = op.makes(), _reduced(op) if op in self.short else 1
                while True:
                    arrays = repeated(frozenset().union(*(parts(v)[0] for v in reads)), times)
                    steps = repeated(frozenset([op]).union(*(parts(v)[1] for v in reads)), times)
                    large = [v for v in reads if v in made_of and parts(v)[1]]
                    if (len(arrays) <= _MOST_ARRAYS and len(steps) <= _MOST_OPERATIONS) or not large:
                        break
                    forced = self.root(max(large, key=lambda v: (len(parts(v)[0]), len(parts(v)[1]))))
                    self.kept.add(forced)
                    self._force(forced, base, level, made_of)
                made_of[out] = arrays, steps
                base[out] = max([0, *map(ready, reads)])
                level[out] = base[out] + 1
            elif op in self.views:
                for out in op.makes():
                    level[out] = level.get(op.reads()[0], 0)
            else:
                first = max([0, *(ready(v) if op in self.sums else level.get(v, 0) for v in reads)])
                for out in op.makes():
                    level[out] = first + 1
        self.forced = {v for v in self.kept if v not in made_of}
        return level, base

    def _force(self, value: Value, base: dict[Value, int], level: dict[Value, int], made_of: dict[Value, Any]) -> None:
        """From now on the value, and what is another view of it, is read and not computed anew."""
        for v in [v for v in made_of if self.root(v) is value]:
            del made_of[v], base[v]
            level[v] = level[value]

    def _latest(self) -> tuple[dict[Value, int], dict[Value, int]]:
        """The last step at which a value can be made, and the last at which what it is made of must be there."""
        latest: dict[Value, int] = {}
        latest_base: dict[Value, int] = {}
        for op in reversed(self.operations):
            for out in op.makes():
                until, before = self.last, self.last
                for reader in self.readers.get(out, ()):
                    if reader in self.views:
                        seen = [latest[v] for v in reader.makes()]
                        if self.views[reader] is None or any(v in self.needed for v in reader.makes()):
                            until = min(until, *seen)
                        before = min(before, *(latest_base.get(v, self.last) for v in reader.makes()))
                    elif reader in self.maps:
                        before = min(before, *(latest_base[v] for v in reader.makes()))
                    elif reader in self.sums:
                        before = min(before, *(self.level[v] - 1 for v in reader.makes()))
                    else:
                        until = min(until, *(self.level[v] - 1 for v in reader.makes()))
                if out not in self.base:  # read as it is by all
                    until = min(until, before)
                if out in self.forced:
                    until = self.level[out]
                latest[out] = until
                latest_base[out] = min(before, self.level[out] - 1) if out in self.kept or op in self.sums else before
        return latest, latest_base

    # --- kernels

    def units(self) -> list[Operation | Kernel]:
        """All of them in order."""
        placed: list[tuple[int, int, int, Operation | Kernel]] = []
        self.chosen: dict[Value, int] = {}
        batches = self._shared(sorted(self.kept, key=lambda v: self.latest[v]), self._maps_fit)
        sums = [op for op in self.operations if op in self.sums]
        sums.sort(key=lambda op: self.latest[op.makes()[0]])
        reductions = self._shared([op.makes()[0] for op in sums], self._sums_fit)
        for step, values in (*batches, *reductions):
            self.chosen.update(dict.fromkeys(values, step))
        for step, values in batches:
            shape = _joined_shape([v.shape for v in values])
            assert shape is not None
            placed.append((step, 0, values[0].number, self._kernel(step, shape, values, ())))
        for step, values in reductions:
            operations = tuple(self.maker[v] for v in values)
            inputs = [op.args[0] for op in operations]
            placed.append((step, 0, values[0].number, self._kernel(step, inputs[0].shape, inputs, operations)))
        for k, op in enumerate(self.operations):
            if op in self.views:
                if self.views[op] is None or any(v in self.needed for v in op.makes()):
                    step = self._step_of(op.reads()[0])
                    self.chosen.update(dict.fromkeys(op.makes(), step))
                    placed.append((step, 1, k, op))
            elif op not in self.maps and op not in self.sums:
                placed.append((self.level[op.makes()[0]], 0, k, op) if op.makes() else (self.last, 0, k, op))
        return [unit for *_, unit in sorted(placed, key=lambda item: item[:3])]

    def _step_of(self, value: Value) -> int:
        return self.chosen.get(value, self.level.get(value, 0))

    def _shared(self, values: Iterable[Value], fit: Callable[[list[Value]], bool]) -> list[tuple[int, list[Value]]]:
        """Values, those that must be made soonest first, in as few batches as their spans and `fit` allow."""
        batches: list[tuple[int, list[Value]]] = []
        for value in values:
            for step, batch in batches:
                if self.level[value] <= step <= self.latest[value] and fit([*batch, value]):
                    batch.append(value)
                    break
            else:
                batches.append((self.latest[value], [value]))
        return batches

    def _maps_fit(self, values: list[Value]) -> bool:
        return len(values) <= _MOST_ARRAYS and _joined_shape([v.shape for v in values]) is not None

    def _sums_fit(self, values: list[Value]) -> bool:
        operations = [self.maker[v] for v in values]
        first = operations[0]
        return len(values) <= 8 and all(
            op.args[0].shape == first.args[0].shape and cuda.axes_of(op) == cuda.axes_of(first) for op in operations
        )

    def _kernel(
        self, step: int, shape: tuple[int, ...], values: Sequence[Value], reductions: tuple[Operation, ...]
    ) -> Kernel:
        arguments: dict[Term, None] = {}
        steps: dict[Term, Step] = {}

        def there(value: Value) -> bool:
            if value in reached and not reductions:
                return False  # it is what this kernel makes
            root = self.root(value)
            return not self.inner(root) or (root in self.kept and self.chosen[root] < step)

        def term(value: Value, places: tuple[int | None, ...]) -> Term:
            """The value at these places of the loop, computed or read."""
            places = tuple(None if n == 1 else p for n, p in zip(value.shape, places, strict=True))
            while (op := self.maker.get(value)) is not None and self.views.get(op) is not None:
                places = tuple(a if a is None or a < 0 else places[a] for a in self.views[op])  # type: ignore[union-attr]
                value = op.reads()[0]
            found = Term(value, places)
            if found in steps or found in arguments:
                return found
            if there(value):
                arguments[found] = None
                return found
            op = self.maker[value]
            parts: tuple[Term | None, ...]
            if op in self.short:
                parts = tuple(term(op.args[0], at) for at in _joined_places(op, places))
            else:
                parts = tuple(
                    term(x, places[len(places) - len(x.shape) :]) if isinstance(x, Value) else None
                    for x in cuda.operands(op)
                )
            steps[found] = Step(op, parts, found)
            return found

        reached = set(values)
        results = tuple(term(v, tuple(range(len(shape) - len(v.shape), len(shape)))) for v in values)
        return Kernel(shape, tuple(arguments), tuple(steps.values()), results, reductions)


# --- about operations


def _alive(operations: Iterable[Operation], outputs: set[Value]) -> list[Operation]:
    """Operations that something needs."""
    needed, alive = set(outputs), list[Operation]()
    for op in reversed(list(operations)):
        if any(v in needed for v in op.makes()):
            needed.update(op.reads())
            alive.append(op)
    return alive[::-1]


def _operands(op: Operation) -> list[Value]:
    return [x for x in cuda.operands(op) if isinstance(x, Value)]


def _is_view(op: Operation) -> bool:
    if not op.reads():
        return False
    if op.name in ("reshape", "getitem"):
        return _relabelled(op) is not None or (op.name == "getitem" and _slices(op.args[1]))
    if op.name in ("asarray", "astype"):
        return False
    return is_view(op.name, op.args, op.kwargs, op.outputs)


def _slices(key: Any) -> bool:
    """Whether a key takes no entries one by one."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)


def _relabelled(op: Operation) -> tuple[int | None, ...] | None:
    """For each axis of what a view shows the axis of the view, as the places of a `Term`.

    None for views of several entries among more along an axis, and for all that is no view.
    """
    if not isinstance(op.outputs, Value) or not isinstance(op.args[0], Value):
        return None
    before, after = op.args[0].shape, op.outputs.shape
    options = op.kwargs
    if op.name in ("matrix_transpose", "linalg.matrix_transpose"):
        n = len(before)
        return (*range(n - 2), n - 1, n - 2)
    if op.name == "permute_dims":
        axes = [int(a) % len(before) for a in (options["axes"] if "axes" in options else op.args[1])]
        return tuple(axes.index(k) for k in range(len(before)))
    if op.name == "broadcast_to":
        return _aligned(before, after)
    if op.name == "getitem":
        return _kept_axes(before, op.args[1])
    if op.name in ("expand_dims", "squeeze", "reshape") and _long_axes(before) == _long_axes(after):
        if math.prod(before) == 1:
            return (None,) * len(before)
        places = iter([k for k, n in enumerate(after) if n != 1])
        return tuple(None if n == 1 else next(places) for n in before)
    return None


def _long_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _aligned(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int | None, ...]:
    more = len(after) - len(before)
    return tuple(None if n == 1 else more + k for k, n in enumerate(before))


def _kept_axes(shape: tuple[int, ...], key: Any) -> tuple[int | None, ...] | None:
    """The axes of ``x[key]`` where the key only adds and takes away axes of length 1."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if not _slices(key):
        return None
    if Ellipsis not in parts:
        parts.append(Ellipsis)
    at = parts.index(Ellipsis)
    taken = sum(part is not None for part in parts) - 1
    parts[at : at + 1] = [slice(None)] * (len(shape) - taken)
    found: list[int | None] = []
    axis = 0
    for part in parts:
        if part is None:
            axis += 1
        elif isinstance(part, slice):
            n = shape[len(found)]
            if part.indices(n) != (0, n, 1):
                return None
            found.append(None if n == 1 else axis)
            axis += 1
        else:
            n = shape[len(found)]
            found.append(None if n == 1 else -1 - part % n)
    return tuple(found)


def _reduced(op: Operation) -> int:
    """How many numbers the reduction joins to one."""
    return math.prod(op.args[0].shape[axis] for axis in cuda.axes_of(op))


def _joined_places(op: Operation, places: tuple[int | None, ...]) -> Iterator[tuple[int | None, ...]]:
    """Where the numbers are that a reduction joins, from where its result is."""
    shape, axes = op.args[0].shape, cuda.axes_of(op)
    if not op.kwargs.get("keepdims", False):
        kept = iter(places)
        places = tuple(None if axis in axes else next(kept) for axis in range(len(shape)))
    for index in itertools.product(*(range(shape[axis]) for axis in axes)):
        at = dict(zip(axes, index, strict=True))
        yield tuple(-1 - at[axis] if axis in at else place for axis, place in enumerate(places))


def _fits_a_block(op: Operation) -> bool:
    """Whether a kernel of one block for some sums is no slower than the library's two for the whole device."""
    if not op.args or not isinstance(op.args[0], Value) or not isinstance(op.outputs, Value):
        return False
    numbers, sums = math.prod(op.args[0].shape), max(1, math.prod(op.outputs.shape))
    return numbers > 0 and (numbers // sums <= _LONG or sums >= _FEW_SUMS)


def _joined_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape of a loop in which each of these is all, or is met again and again; None where there is none."""
    try:
        whole = np.broadcast_shapes(*shapes)
    except ValueError:
        return None
    if all(math.prod(shape) != math.prod(whole) for shape in shapes):
        return None
    if 0 in whole and any(0 not in shape for shape in shapes):
        return None
    return whole if all(place_in(whole, shape) is not None for shape in shapes) else None


def place_in(whole: tuple[int, ...], shape: tuple[int, ...]) -> tuple[str, int] | None:
    """Where in a loop the entries of a smaller shape are met first: ("all", 1), ("first", size) or ("every", step).

    Examples
    --------
    >>> from xpsolve.trace.fuse import place_in
    >>> place_in((4, 3), (4, 3)), place_in((4, 3), (3,)), place_in((4, 3), (4, 1)), place_in((4, 3), ())
    (('all', 1), ('first', 3), ('every', 3), ('first', 1))
    """
    padded = (1,) * (len(whole) - len(shape)) + tuple(shape)
    if padded == tuple(whole):
        return "all", 1
    for k in range(len(whole) + 1):
        if padded[k:] == tuple(whole[k:]) and all(n == 1 for n in padded[:k]):
            return "first", math.prod(padded)
    for k in range(len(whole), -1, -1):
        if padded[:k] == tuple(whole[:k]) and all(n == 1 for n in padded[k:]):
            return "every", functools.reduce(operator.mul, whole[k:], 1)
    return None
