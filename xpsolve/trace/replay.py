"""Replay: a recorded program as one flat function of Python, compiled from its source text.

Between two calls of the library no code of ours runs.  Arguments that are no values are names in the text, so that
programs of the same operations have the same text, which is compiled once.  How one operation is written depends on the
library: see `xpsolve.trace.replay_numpy`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from types import CodeType
from typing import Any

from xpsolve.arrays import Array, is_array, namespace_of
from xpsolve.trace.passes import hoisted, without_dead, without_repeats, without_spreading
from xpsolve.trace.program import Operation, Program, Value, map_values, values_in

Run = Callable[..., tuple[Array, ...]]

OPERATORS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "matmul": "@", "less": "<", "less_equal": "<=",
    "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=", "bitwise_and": "&", "bitwise_or": "|",
    "bitwise_xor": "^", "floor_divide": "//", "remainder": "%", "pow": "**",
}  # fmt: skip


def reduced(program: Program) -> Program:
    """The program without what is superfluous."""
    return without_dead(without_spreading(without_repeats(program)))


class Writer:
    """Writes the text of a program.

    Parameters
    ----------
    program : Program
        From `record`.
    library : str
        Whose version of a delegate is called.
    """

    def __init__(self, program: Program, library: str) -> None:
        self.program = program
        self.library = library
        self.bound: dict[str, Any] = {}  # names in the text, and what they stand for
        self._names: dict[int, str] = {}
        self._rows: dict[Value, str] = {}  # names of values

    def once(self) -> Run:
        """A function of the inputs that returns the outputs with arrays in them."""
        operations = self.begin((), self.program.operations)
        head = f"def run({', '.join(map(self.value, self.program.inputs))}):"
        lines = [head, *self._lines(operations)]
        return self._made([*lines, f"return {self.written(self.program.outputs, self.leaving)}"])

    def loop(self) -> Run:
        """The same of a program that makes its first inputs anew: ``run(n, *inputs)`` takes n such steps."""
        outputs = values_in(self.program.outputs)
        inputs = self.program.inputs
        state = inputs[: len(outputs)]
        changed = {x: y for x, y in zip(state, outputs, strict=True) if x is not y}
        before, within = hoisted(self.program, set(inputs) - changed.keys())
        repeated = self.begin(before, within)
        lines = [f"def run({', '.join(['n', *map(self.value, inputs)])}):", *self.enter(changed), *self._lines(before)]
        body = self._lines(repeated)
        if changed:
            body.append(f"{', '.join(map(self.value, changed))} = {', '.join(map(self.carried, changed.values()))}")
        lines += ["for _ in range(n):", *("    " + line for line in body or ["pass"])]
        rest = iter(state)
        result = self.written(self.program.outputs, lambda _: self.leaving(next(rest)))
        return self._made([*lines, f"return {result}"])

    def begin(self, before: Sequence[Operation], operations: Sequence[Operation]) -> Sequence[Operation]:
        """Called once with the operations: those before the loop, and those that are repeated, which may be changed."""
        return operations

    def enter(self, changed: Iterable[Value]) -> list[str]:
        """Lines before a loop that changes these inputs."""
        return []

    def leaving(self, value: Value) -> str:
        """What is returned for a value: a constant of the program stays in it."""
        if value not in self.program.constants:
            return self.value(value)
        x = self.program.constants[value]
        return f"{self.name(namespace_of(x).asarray)}({self.name(x)}, copy=True)"

    def carried(self, value: Value) -> str:
        """What the next step gets."""
        return self.leaving(value)

    def write(self, operation: Operation) -> list[str]:
        """The lines that do one operation."""
        return [f"{self.target(operation.outputs)} = {self.called(operation)}"]

    def called(self, operation: Operation) -> str:
        """The call as it was recorded."""
        name, args = operation.name, operation.args
        if operation.function is getattr(operator, name, None) or operation.function in _OPERATORS:
            sign = OPERATORS.get(name)
            if sign is not None and len(args) == 2:
                return f"{self.argument(args[0])} {sign} {self.argument(args[1])}"
        if operation.function is operator.getitem:
            return f"{self.argument(args[0])}[{self.argument(args[1])}]"
        options = [f"{key}={self.argument(x)}" for key, x in operation.kwargs.items()]
        return f"{self.name(self._resolved(operation.function))}({', '.join([*map(self.argument, args), *options])})"

    def _resolved(self, function: Any) -> Any:
        """The version of a delegate for this library, without the dispatch."""
        if hasattr(function, "copying") and function.copying is function:
            return function.table.get(self.library, function.standard)
        return function

    def _lines(self, operations: Iterable[Operation]) -> list[str]:
        return [line for operation in operations for line in self.write(operation)]

    def value(self, value: Value) -> str:
        """The name of a value."""
        if value in self.program.constants:
            return self.name(self.program.constants[value])
        return self._rows.setdefault(value, f"v{len(self._rows)}")

    def name(self, x: Any) -> str:
        """A name for anything that is there already."""
        name = self._names.get(id(x))
        if name is None:
            name = self._names[id(x)] = f"k{len(self._names)}"
            self.bound[name] = x
        return name

    def argument(self, tree: Any) -> str:
        """An argument of a call."""
        return self.written(tree, self.value)

    def written(self, tree: Any, value: Callable[[Value], str]) -> str:
        """Any object: containers are written out where values are inside."""
        if isinstance(tree, Value):
            return value(tree)
        if tree is None or type(tree) in (bool, int):
            return repr(tree)
        found = dict.fromkeys(values_in(tree))
        if not found:
            return self.name(tree)
        if type(tree) is tuple:
            return f"({''.join(self.written(x, value) + ', ' for x in tree)})"
        if type(tree) is list:
            return f"[{', '.join(self.written(x, value) for x in tree)}]"
        if hasattr(tree, "_fields"):
            return f"{self.name(type(tree))}({', '.join(self.written(x, value) for x in tree)})"
        if type(tree) is dict:
            return f"{{{', '.join(f'{self.name(key)}: {self.written(x, value)}' for key, x in tree.items())}}}"
        return f"{self.name(_Fill(tree, tuple(found)))}({', '.join(map(value, found))})"

    def target(self, tree: Any) -> str:
        """The left side of an assignment."""
        if isinstance(tree, Value):
            return self.value(tree)
        if isinstance(tree, tuple | list):
            return f"({''.join(self.target(x) + ', ' for x in tree)})"
        return "_"

    def _made(self, lines: list[str]) -> Run:
        head, *body = lines
        scope = dict(self.bound)
        exec(_compiled("\n    ".join([head, *body])), scope)
        return scope["run"]  # type: ignore[no-any-return]


class Pool:
    """Functions of one program, as many as run at one time: each has memory of its own.

    Parameters
    ----------
    program : Program
        What they do.
    made : callable
        From a program to a function that is not called twice at one time.
    """

    def __init__(self, program: Program, made: Callable[[Program], Run]) -> None:
        self.program, self._made = program, made
        self._idle: list[Run] = []

    def __call__(self, *args: Any) -> Any:
        """Run one that is idle."""
        try:
            run = self._idle.pop()
        except IndexError:
            run = self._made(self.program)
        try:
            return run(*args)
        finally:
            self._idle.append(run)

    @property
    def nbytes(self) -> int:
        """Bytes that one of them keeps: constants, and memory for what lies between."""
        if not self._idle:
            self._idle.append(self._made(self.program))
        kept = self._idle[0].__globals__.values()
        return sum(int(x.nbytes) for x in kept if is_array(x))


_OPERATORS = frozenset(
    getattr(operator, f"__{name}__") for name in "add sub mul truediv matmul lt le gt ge eq ne".split()
)


@functools.lru_cache(maxsize=1024)
def _compiled(text: str) -> CodeType:
    return compile(text, "<recorded program>", "exec")


class _Fill:
    """An argument that is no plain container, made anew around other arrays."""

    def __init__(self, tree: Any, values: tuple[Value, ...]) -> None:
        self.tree, self.values = tree, values

    def __call__(self, *arrays: Array) -> Any:
        at = dict(zip(self.values, arrays, strict=True))
        return map_values(at.__getitem__, self.tree)
