"""How the operations of a program are written for NumPy.

A function that can write to a given array does so.  Numbers of shape () are NumPy's scalars between operations, whose
arithmetic takes a tenth of the time.  The digits are those of the plain functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xpsolve.trace.blocks import in_blocks, lines_of
from xpsolve.trace.buffers import Plan, is_matrix_for_blas
from xpsolve.trace.passes import FRESH
from xpsolve.trace.program import Operation, Program, Value, values_in
from xpsolve.trace.replay import OPERATORS, Writer

_UFUNCS = {
    name: getattr(np, other or name)
    for name, other in {
        **dict.fromkeys(
            "add subtract multiply divide negative abs exp expm1 log log1p log2 log10 sqrt square tanh sin cos tan "
            "sinh cosh maximum minimum less less_equal greater greater_equal equal not_equal logical_and logical_or "
            "logical_xor logical_not isfinite isnan isinf floor ceil hypot logaddexp copysign signbit reciprocal "
            "bitwise_and bitwise_or bitwise_xor floor_divide remainder".split()
        ),
        "bitwise_invert": "invert", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
        "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "conj": "conjugate",
    }.items()
}  # fmt: skip
_REDUCTIONS = {
    "sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "any": np.logical_or,
    "all": np.logical_and,
}  # fmt: skip
_NUMBERS = frozenset((bool, int, float, complex))
_SCALAR = frozenset(
    "add subtract multiply divide less less_equal greater greater_equal equal not_equal negative".split()
)


class NumpyWriter(Writer):
    """Writes a program for NumPy."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, "numpy")
        self._numbers: set[Value] = set()  # values of shape () that are scalars in the text
        self._seen: set[str] = set()  # names that another line has defined
        self._buffers: dict[Value, str] = {}
        self._forms: dict[Operation, tuple[str, Any]] = {}

    def _form(self, operation: Operation) -> tuple[str, Any]:
        """Which way an operation is written, and the function of NumPy that does it."""
        found = self._forms.get(operation)
        if found is None:
            found = self._forms[operation] = _form(operation)
        return found

    def _writes(self, operation: Operation) -> bool:
        """Whether its result can go to a given array."""
        if operation.name == "block":
            return True
        made = operation.outputs
        return self._form(operation)[0] != "call" and made.shape != () and 0 not in made.shape

    # --- the plan
    def begin(self, before: Sequence[Operation], operations: Sequence[Operation]) -> Sequence[Operation]:
        """Find places for what is not returned, and in a loop not used by the next step."""
        operations = in_blocks(self.program, operations, lambda op: self._form(op)[0] in ("ufunc", "where"))
        away = self._leaving([*before, *operations])
        written = {value for op in operations if self._writes(op) for value in op.makes() if value not in away}
        over = {
            op.outputs: tuple(x for x in op.args if isinstance(x, Value))
            for op in operations
            if self._form(op)[0] == "ufunc"
        }
        shows = {value: op.reads() for op in operations if not self._fresh(op) for value in op.makes()}
        arrays = Plan(operations, written, over, shows).arrays()
        self._buffers = {value: self.name(x) for value, x in arrays.items()}
        return operations

    def enter(self, changed: Iterable[Value]) -> list[str]:
        """Numbers of shape () are scalars in the loop."""
        numbers = [x for x in changed if x.shape == ()]
        self._numbers.update(numbers)
        return [f"{self.value(x)} = {self.value(x)}[()]" for x in numbers]

    def leaving(self, value: Value) -> str:
        """Scalars leave as arrays."""
        if value in self._numbers:
            return f"{self.name(np.asarray)}({self.value(value)})"
        return super().leaving(value)

    def carried(self, value: Value) -> str:
        """Scalars stay so."""
        return self.value(value) if value in self._numbers else super().leaving(value)

    def _fresh(self, operation: Operation) -> bool:
        return self._writes(operation) or operation.name in FRESH

    def _leaving(self, operations: list[Operation]) -> set[Value]:
        found = set(values_in(self.program.outputs))
        for operation in reversed(operations):
            if not self._fresh(operation) and not found.isdisjoint(operation.makes()):
                found.update(operation.reads())
        return found

    # --- the lines
    def write(self, operation: Operation) -> list[str]:
        """The lines that do one operation."""
        lines: list[str] = []
        if operation.name == "block":
            self._need_arrays(operation, lines)
            return lines + lines_of(operation, self._shown, self._buffers, self.name, self._on_blocks)
        made = operation.outputs
        if isinstance(made, Value) and made.shape == ():
            return self._scalar_lines(operation, made)
        call = self._into(operation, lines)
        if call is None:
            self._need_arrays(operation, lines)
            lines.append(f"{self.target(made)} = {self.called(operation)}")
            for value in operation.makes():
                if value.shape == ():
                    lines.append(f"{self.value(value)} = {self.value(value)}[()]")
                    self._numbers.add(value)
        else:
            lines.extend(call)
        return lines

    def _into(self, operation: Operation, lines: list[str]) -> list[str] | None:
        """The call that writes to an array of the plan, or to a new one."""
        form, function = self._form(operation)
        made = operation.outputs
        place = self._buffers.get(made) if form != "call" else None
        if form == "call" or (form == "where" and place is None):
            return None
        target = self.value(made)
        if form == "reduction":
            x = self._array(operation.args[0], lines)
            axis, keep = self.argument(operation.kwargs.get("axis")), bool(operation.kwargs.get("keepdims"))
            return [f"{target} = {self.name(function)}({x}, {axis}, None, {place}, {keep})"]
        if form == "where":
            condition, a, b = (self._operand(x, made.dtype, lines) for x in operation.args)
            copy = self.name(function)
            return [f"{copy}({place}, {b})", f"{copy}({place}, {a}, where={condition})", f"{target} = {place}"]
        like = _first_dtype(operation)
        args = [self._operand(x, like, lines) for x in operation.args[: function.nin if form == "ufunc" else 2]]
        if place is not None:
            args.append(f"out={place}" if function in (np.maximum, np.minimum) else place)
        return [f"{target} = {self.name(function)}({', '.join(args)})"]

    def _shown(self, value: Value) -> str:
        return self.value(value) + "a" if value in self._numbers else self.value(value)

    def _on_blocks(self, operation: Operation, names: dict[Value, str], target: str) -> list[str]:
        """One operation on blocks."""
        form, function = self._form(operation)
        like = operation.outputs.dtype if form == "where" else _first_dtype(operation)
        given = operation.args if form == "where" else operation.args[: function.nin]
        args = [names[x] if isinstance(x, Value) else self._operand(x, like, []) for x in given]
        if form == "where":
            copy = self.name(function)
            return [f"{copy}({target}, {args[2]})", f"{copy}({target}, {args[1]}, where={args[0]})"]
        return [f"{self.name(function)}({', '.join(args)}, out={target})"]

    def _scalar_lines(self, operation: Operation, made: Value) -> list[str]:
        lines: list[str] = []
        target = self.value(made)
        args = operation.args
        if self._is_scalar_arithmetic(operation):
            numbers = [self._number(x, lines) for x in args]
            if operation.name == "negative":
                lines.append(f"{target} = -{numbers[0]}")
            else:
                lines.append(f"{target} = {numbers[0]} {OPERATORS[operation.name]} {numbers[1]}")
        elif self._form(operation)[0] == "where":
            condition, *others = (self._number(x, lines) for x in args)
            a, b = (
                x if isinstance(given, Value) else self.name(made.dtype.type(given))
                for x, given in zip(others, args[1:], strict=True)
            )
            lines.append(f"{target} = {a} if {condition} else {b}")
        elif len(args) == 1 and self._form(operation)[0] == "ufunc":
            lines.append(f"{target} = {self.name(self._form(operation)[1])}({self._number(args[0], lines)})")
        else:
            call = self._into(operation, lines)
            if call is None:
                self._need_arrays(operation, lines)
                call = [f"{target} = {self.called(operation)}"]
            lines.extend(call)
            lines.append(f"{target} = {target}[()]")
        self._numbers.add(made)
        return lines

    @staticmethod
    def _is_scalar_arithmetic(operation: Operation) -> bool:
        values = [x for x in operation.args if isinstance(x, Value)]
        return (
            operation.name in _SCALAR
            and not operation.kwargs
            and all(isinstance(x, Value) or type(x) in _NUMBERS for x in operation.args)
            and all(x.shape == () and x.dtype.kind == "f" for x in values)
        )

    def called(self, operation: Operation) -> str:
        """The call, by a method where NumPy has one that takes less time."""
        args = operation.args
        if operation.name == "matrix_transpose" and len(args[0].shape) == 2:
            return f"{self.argument(args[0])}.T"
        if operation.name == "reshape" and len(args) == 2 and not operation.kwargs:
            return f"{self.argument(args[0])}.reshape({self.argument(args[1])})"
        return super().called(operation)

    # --- arguments
    def _number(self, x: Any, lines: list[str]) -> str:
        """An argument of shape () as a scalar."""
        if not isinstance(x, Value):
            return self.argument(x)
        if x in self._numbers:
            return self.value(x)
        if x in self.program.constants:
            return self.name(self.program.constants[x][()])
        return self._derived(x, "n", f"{self.value(x)}[()]", lines)

    def _array(self, x: Value, lines: list[str]) -> str:
        """An argument as an array."""
        if x not in self._numbers:
            return self.value(x)
        return self._derived(x, "a", f"{self.name(np.asarray)}({self.value(x)})", lines)

    def _derived(self, x: Value, suffix: str, text: str, lines: list[str]) -> str:
        name = self.value(x) + suffix
        if name not in self._seen:
            self._seen.add(name)
            lines.append(f"{name} = {text}")
        return name

    def _operand(self, x: Any, like: Any, lines: list[str]) -> str:
        """An argument of a ufunc; a number of Python becomes an array of the dtype that it would be converted to."""
        if isinstance(x, Value):
            return self._array(x, lines)
        if like is not None and like.kind in "fc" and type(x) in (int, float):
            return self.name(np.asarray(x, dtype=like))
        return self.argument(x)

    def _need_arrays(self, operation: Operation, lines: list[str]) -> None:
        """Lines that make arrays of the scalars that an operation reads."""
        for value in dict.fromkeys(operation.reads()):
            if value in self._numbers:
                self._array(value, lines)

    def argument(self, tree: Any) -> str:
        """An argument of a call: an array where the text has a scalar."""
        return self.written(tree, self._shown)


def _form(operation: Operation) -> tuple[str, Any]:
    name, args, made = operation.name, operation.args, operation.outputs
    if not isinstance(made, Value) or hasattr(operation.function, "table"):
        return "call", None
    if not operation.kwargs and all(isinstance(x, Value) or type(x) in _NUMBERS for x in args):
        ufunc = _UFUNCS.get(name)
        if ufunc is not None and ufunc.nin == len(args):
            return "ufunc", ufunc
        if name == "pow" and type(args[1]) in _NUMBERS and args[1] == 2 and args[0].dtype.kind in "fc":
            return "ufunc", np.square
        if name in ("matmul", "linalg.matmul"):
            return "product", np.dot if _suits_dot(operation) else np.matmul
        if name == "where" and isinstance(args[0], Value):
            dtypes = {x.dtype for x in args[1:] if isinstance(x, Value)}
            return ("where", np.copyto) if dtypes == {made.dtype} else ("call", None)
    known = name in _REDUCTIONS and len(args) == 1 and operation.kwargs.keys() <= {"axis", "keepdims"}
    if known and isinstance(args[0], Value) and args[0].dtype.kind in "fcb":
        return "reduction", _REDUCTIONS[name].reduce
    return "call", None


def _first_dtype(operation: Operation) -> Any:
    return next((x.dtype for x in operation.args if isinstance(x, Value)), None)


def _suits_dot(operation: Operation) -> bool:
    """Whether `numpy.dot` makes the same call of BLAS: it takes half the time of `numpy.matmul` to get there."""
    a, b = operation.args
    return (
        {len(a.shape), len(b.shape)} <= {1, 2}
        and a.dtype == b.dtype
        and a.dtype.kind in "fc"
        and operation.outputs.shape != ()
        and is_matrix_for_blas(a)
        and is_matrix_for_blas(b)
    )
