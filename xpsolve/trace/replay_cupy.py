"""How the operations of a program are written for CuPy: elementwise ones and short sums as few kernels, see `fuse`.

The numbers are those of the plain functions up to rounding: sums are added up in another order, and the compiler may
join a product and a sum.  A product L(c − Pu) whose c does not change between steps is Lc − L(Pu), Lc computed before
them: the rounding of Pu is of the order of c, so that nothing is lost, and one kernel less stands between two products.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Collection, Iterable, Sequence

from xpsolve.trace.fuse import Kernel, fused
from xpsolve.trace.kernels import starter
from xpsolve.trace.passes import hoisted
from xpsolve.trace.program import Operation, Program, Value, values_in
from xpsolve.trace.replay import Run, Writer


class CupyWriter(Writer):
    """Writes a program for CuPy.

    Parameters
    ----------
    program : Program
        From `record`.
    """

    def __init__(self, program: Program) -> None:
        super().__init__(program, "cupy")

    def loop(self) -> Run:
        """As that of `Writer`, with what can be computed before the loop taken out of products."""
        self.program = expanded(self.program, unchanged(self.program))
        return super().loop()

    def begin(self, before: Sequence[Operation], operations: Sequence[Operation]) -> Sequence[Operation]:
        """Note what each part makes for the other and for the caller."""
        self._wanted = set(values_in(self.program.outputs))
        for part in (before, operations):
            own = {value for operation in part for value in operation.makes()}
            self._wanted.update(v for operation in part for v in operation.reads() if v not in own)
        return operations

    def units(self, operations: Sequence[Operation]) -> list[Operation | Kernel]:
        """One of the two parts as kernels and operations of the library."""
        made = {value for operation in operations for value in operation.makes()}
        return fused(operations, made & self._wanted)

    def _lines(self, operations: Iterable[Operation]) -> list[str]:
        operations = list(operations)
        units = self.units(operations)
        made = {value for unit in units for value in unit.makes()}
        last = {value: unit for unit in units for value in unit.reads() if value in made - self._wanted}
        lines = []
        for unit in units:
            if isinstance(unit, Kernel):
                arrays, results = (", ".join(map(self.value, side)) for side in (unit.reads(), unit.makes()))
                lines.append(f"({results},) = {self.name(starter(unit))}({arrays})")
            else:
                lines.extend(self.write(unit))
            done = [self.value(value) for value in dict.fromkeys(unit.reads()) if last.get(value) is unit]
            if done:
                lines.append(f"{' = '.join(done)} = None")  # the memory is free for the next
        return lines


def unchanged(program: Program) -> set[Value]:
    """The inputs of a step that are the same in the next one."""
    outputs = values_in(program.outputs)
    return set(program.inputs) - {x for x, y in zip(program.inputs, outputs, strict=False) if x is not y}


def expanded(program: Program, invariant: Collection[Value]) -> Program:
    """The program with L(c ± Pu) as Lc ± L(Pu), where L and c are constants or made of `invariant` inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace.record import record
    >>> from xpsolve.trace.replay_cupy import expanded
    >>> A, y = np.eye(2), np.ones(2)
    >>> _, program = record(lambda x: A.T @ (y - A @ x), y)
    >>> [op.name for op in expanded(program, []).operations]
    ['matmul', 'matmul', 'matmul', 'subtract']
    """
    before, _ = hoisted(program, invariant)
    known = {*program.constants, *invariant, *(v for operation in before for v in operation.makes())}
    maker = {value: operation for operation in program.operations for value in operation.makes()}
    times_read: dict[Value, int] = {}
    for value in (*values_in(program.outputs), *(v for operation in program.operations for v in operation.reads())):
        times_read[value] = times_read.get(value, 0) + 1
    numbers = itertools.count(1 + max((v.number for v in (*program.inputs, *program.constants, *maker)), default=0))

    def split(operation: Operation) -> Operation | None:
        """The sum among the factors, where it can be taken apart."""
        if operation.name != "matmul" or operation.kwargs or not isinstance(operation.outputs, Value):
            return None
        for factor, other in (operation.args, operation.args[::-1]):
            inner = maker.get(factor)
            if inner is None or other not in known or inner.name not in ("add", "subtract"):
                continue
            constant = [x for x in inner.args if isinstance(x, Value) and x in known]
            product = [x for x in inner.args if x in maker and maker[x].name == "matmul" and x not in known]
            same = all(x.shape == factor.shape and x.dtype == factor.dtype for x in (*constant, *product))
            if len(constant) == len(product) == times_read[factor] == 1 and same and len(factor.shape) <= 2:
                return inner
        return None

    found = []
    for operation in program.operations:
        inner = split(operation)
        if inner is None:
            found.append(operation)
            continue
        parts = []
        for term in inner.args:
            args = tuple(term if x is inner.outputs else x for x in operation.args)
            out = operation.outputs
            parts.append(Value(next(numbers), out.shape, out.dtype, out.strides))
            found.append(Operation("matmul", operator.matmul, args, {}, parts[-1]))
        sign = operator.add if inner.name == "add" else operator.sub
        found.append(Operation(inner.name, sign, tuple(parts), {}, operation.outputs))
    kept = {value for operation in found for value in operation.reads()} | set(values_in(program.outputs))
    alive = tuple(operation for operation in found if any(value in kept for value in operation.makes()))
    return Program(program.inputs, program.constants, alive, program.outputs)
