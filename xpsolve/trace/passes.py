"""Passes: from one recorded program to another that does the same with less.

Each takes a program, or its operations, and changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from xpsolve.trace.program import Group, Operation, Program, Value, map_values, values_in

ELEMENTWISE = frozenset(
    "abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or "
    "bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide "
    "greater greater_equal hypot isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp logical_and "
    "logical_not logical_or logical_xor maximum minimum multiply negative not_equal positive pow reciprocal "
    "remainder round sign signbit sin sinh sqrt square subtract tan tanh trunc where".split()
)
"""Functions of the array API whose every number comes from the numbers at its place."""
REDUCTIONS = frozenset("all any max mean min prod sum".split())
FRESH = (ELEMENTWISE | REDUCTIONS | frozenset("concat stack take matmul linalg.matmul tensordot vecdot".split())) - {
    "conj",
    "positive",
}
"""Functions whose result never lies in the memory of an argument."""


def leaving(program: Program) -> set[Value]:
    """The values in whose memory what the program returns may lie."""
    found = set(values_in(program.outputs))
    for operation in reversed(program.operations):
        if operation.name not in FRESH and not found.isdisjoint(operation.makes()):
            found.update(operation.reads())
    return found


def without_dead(program: Program) -> Program:
    """The program without operations that nothing needs, and without their constants."""
    needed = set(values_in(program.outputs))
    kept = []
    for operation in reversed(program.operations):
        if not needed.isdisjoint(operation.makes()):
            kept.append(operation)
            needed.update(operation.reads())
    constants = {value: x for value, x in program.constants.items() if value in needed}
    return Program(program.inputs, constants, tuple(reversed(kept)), program.outputs)


def without_repeats(program: Program) -> Program:
    """The program with every operation that was done before on the same values left out.

    Results that are two arrays stay two.
    """
    own = leaving(program)
    same: dict[Value, Value] = {}
    found: dict[Any, Operation] = {}
    kept = []

    def first(value: Value) -> Value:
        return same.get(value, value)

    for operation in program.operations:
        args, kwargs = operation.args, operation.kwargs
        changed = not same.keys().isdisjoint(operation.reads())
        if changed:
            args, kwargs = map_values(first, args), map_values(first, kwargs)
        key = (operation.name, operation.function, _key(args), _key(kwargs))
        earlier = found.get(key)
        if earlier is None or not own.isdisjoint(operation.makes()):
            new = (
                Operation(operation.name, operation.function, args, kwargs, operation.outputs) if changed else operation
            )
            found[key] = new
            kept.append(new)
        else:
            same.update(zip(operation.makes(), earlier.makes(), strict=True))
    return Program(program.inputs, program.constants, tuple(kept), map_values(first, program.outputs))


def _key(tree: Any) -> Any:
    """Equal for arguments that are the same: numbers by type and digits, other objects by identity."""
    kind = type(tree)
    if kind is Value:
        return tree
    if kind in (bool, int, float, complex, str, type(None)):
        return (kind, repr(tree))  # 0.0 is not -0.0, and 1 not 1.0
    if isinstance(tree, tuple | list):
        return (type(tree), tuple(map(_key, tree)))
    if isinstance(tree, dict):
        return (dict, tuple((name, _key(item)) for name, item in tree.items()))
    if isinstance(tree, slice):
        return (slice, _key((tree.start, tree.stop, tree.step)))
    return (None, id(tree))


_FILLS = {"zeros_like": 0, "ones_like": 1}


def without_spreading(program: Program) -> Program:
    """The program whose elementwise operations read a number itself, where they read an array that repeats it.

    That is what `broadcast_to`, `zeros_like`, `ones_like` and a reshape of one number make.  Another argument must have
    the shape and the dtype of the result already.
    """
    source: dict[Value, Any] = {}
    operations = []
    for operation in program.operations:
        name, made = operation.name, operation.outputs
        if name in _FILLS and len(operation.args) == 1 and not operation.kwargs:
            source[made] = float(_FILLS[name]) if _is_floating(made) else _FILLS[name]
        elif name == "broadcast_to" or (name == "reshape" and set(made.shape) <= {1}):
            spread = source.get(operation.args[0], operation.args[0])
            if not isinstance(spread, Value) or len(spread.shape) <= len(made.shape):  # else results had more axes
                source[made] = spread
        elif name in ELEMENTWISE and not source.keys().isdisjoint(operation.reads()):
            args = list(operation.args)
            for i, x in enumerate(args):
                if isinstance(x, Value) and x in source and _stays(operation, args, i):
                    args[i] = source[x]
            operation = Operation(name, operation.function, tuple(args), operation.kwargs, made)
        operations.append(operation)
    return Program(program.inputs, program.constants, tuple(operations), program.outputs)


def _is_floating(value: Value) -> bool:
    return any(word in str(value.dtype) for word in ("float", "complex"))


def _stays(operation: Operation, args: list[Any], i: int) -> bool:
    """Whether the result is as before where argument i is a number: another has its shape and dtype."""
    others = [x for j, x in enumerate(args) if j != i and isinstance(x, Value)]
    values = others if operation.name != "where" else [x for x in others if x is not args[0]]
    shaped = any(x.shape == operation.outputs.shape for x in others)
    return (i > 0 or operation.name != "where") and shaped and any(x.dtype == args[i].dtype for x in values)


def hoisted(program: Program, invariant: Collection[Value]) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """The operations that depend on constants and `invariant` inputs alone, for before the loop, and all others."""
    known = {*program.constants, *invariant}
    before, within = [], []
    for operation in program.operations:
        if known.issuperset(operation.reads()):
            known.update(operation.makes())
            before.append(operation)
        else:
            within.append(operation)
    return tuple(before), tuple(within)


def last_reads(operations: Iterable[Operation | Group]) -> dict[Value, int]:
    """For each value the number of the last operation (or group) that reads it."""
    found: dict[Value, int] = {}
    for i, unit in enumerate(operations):
        for operation in unit if isinstance(unit, Group) else (unit,):
            found.update(dict.fromkeys(operation.reads(), i))
    return found


def grouped(
    program: Program,
    elementwise: Callable[[Operation], bool] = lambda operation: operation.name in ELEMENTWISE,
    reduction: Callable[[Operation], bool] = lambda operation: operation.name in REDUCTIONS,
) -> tuple[Operation | Group, ...]:
    """The operations in an order that may differ, elementwise ones that one kernel can do together in groups.

    A group has one shape.  An operation joins the groups that made its arguments, where no other operation stands
    between; a reduction joins the group that made its argument and ends it: what reads its result is outside.  An
    elementwise operation of a smaller shape is in the group of its readers, if it has no others.
    """
    units = _Units()
    for operation in program.operations:
        units.add(operation, is_elementwise=elementwise(operation), is_reduction=reduction(operation))
    units.absorb_small(set(values_in(program.outputs)))
    return units.ordered()


class _Unit:
    """Operations that are done together; `shape` is None where nothing may join."""

    def __init__(self, operation: Operation, shape: tuple[int, ...] | None) -> None:
        self.operations = [operation]
        self.reduction: Operation | None = None
        self.shape = shape
        self.needs: set[_Unit] = set()

    def after(self) -> set[_Unit]:
        """All units that must come before this one."""
        found: set[_Unit] = set()
        pending = list(self.needs)
        while pending:
            unit = pending.pop()
            if unit not in found:
                found.add(unit)
                pending.extend(unit.needs)
        return found


class _Units:
    def __init__(self) -> None:
        self.units: list[_Unit] = []
        self.maker: dict[Value, _Unit] = {}
        self.reduced: set[Value] = set()

    def add(self, operation: Operation, *, is_elementwise: bool, is_reduction: bool) -> None:
        makers = [unit for value in operation.reads() if (unit := self.maker.get(value)) is not None]
        made = operation.makes()
        home = None
        if is_elementwise and len(made) == 1:
            open_ = [u for u in makers if u.shape == made[0].shape and not self._reads_end(operation, u)]
            for unit in dict.fromkeys(open_):
                if home is None:
                    home = unit if self._may_hold(unit, makers) else None
                elif unit is not home and self._may_merge(home, unit) and not (home.reduction and unit.reduction):
                    self._merge(home, unit)
                    makers = [home if u is unit else u for u in makers]
        elif is_reduction and len(made) == 1 and len(makers) == 1 and len(operation.reads()) == 1:
            unit = makers[0]
            value = operation.reads()[0]
            if unit.shape == value.shape and unit.reduction is None and value not in self.reduced:
                unit.reduction = operation
                self.reduced.update(made)
                self.maker[made[0]] = unit
                return
        if home is None:
            home = _Unit(operation, made[0].shape if is_elementwise and len(made) == 1 else None)
            self.units.append(home)
        else:
            home.operations.append(operation)
        home.needs.update(unit for unit in makers if unit is not home)
        self.maker.update(dict.fromkeys(made, home))

    def _reads_end(self, operation: Operation, unit: _Unit) -> bool:
        """Whether it needs the result of the reduction of this very unit."""
        return any(value in self.reduced and self.maker[value] is unit for value in operation.reads())

    @staticmethod
    def _may_hold(unit: _Unit, makers: list[_Unit]) -> bool:
        """Whether nothing that must come after the unit is needed by an operation that would join it."""
        return not any(unit in other.after() for other in makers if other is not unit)

    @staticmethod
    def _may_merge(a: _Unit, b: _Unit) -> bool:
        """Whether no third unit stands between the two, and neither needs the reduction of the other."""
        if (a.reduction and a in b.after()) or (b.reduction and b in a.after()):
            return False
        return not any(b in c.after() for c in a.needs if c is not b) and not any(
            a in c.after() for c in b.needs if c is not a
        )

    def _merge(self, home: _Unit, other: _Unit) -> None:
        both = [*other.operations, *home.operations] if other in home.needs else [*home.operations, *other.operations]
        home.operations = both
        home.reduction = home.reduction or other.reduction
        home.needs = (home.needs | other.needs) - {home, other}
        self.units.remove(other)
        for unit in self.units:
            if other in unit.needs:
                unit.needs = (unit.needs - {other}) | ({home} if unit is not home else set())
        self.maker.update((value, home) for value, unit in list(self.maker.items()) if unit is other)

    def absorb_small(self, outputs: set[Value]) -> None:
        """Let a group of a smaller shape, all of whose readers are in one group, be computed there."""
        for unit in reversed(self.units.copy()):
            if unit.shape is None or unit.reduction is not None:
                continue
            made = {value for operation in unit.operations for value in operation.makes()}
            readers = {u for u in self.units if u is not unit and unit in u.needs}
            if len(readers) != 1 or not made.isdisjoint(outputs):
                continue
            (home,) = readers
            if home.shape is not None and _broadcasts(unit.shape, home.shape) and self._may_merge(home, unit):
                self._merge(home, unit)

    def ordered(self) -> tuple[Operation | Group, ...]:
        done: dict[_Unit, None] = {}

        def visit(unit: _Unit) -> None:
            if unit not in done:
                for needed in sorted(unit.needs, key=self.units.index):
                    visit(needed)
                done[unit] = None

        for unit in self.units:
            visit(unit)
        return tuple(
            unit.operations[0] if unit.shape is None else Group(tuple(unit.operations), unit.reduction) for unit in done
        )


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    tail = to[len(to) - len(shape) :] if len(shape) <= len(to) else ()
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape, tail, strict=True))
