"""Recording: a pure function runs once on real arrays, and its operations are noted as a `Program`.

Whatever does not depend on the inputs is computed while recording and is a constant of the program.  What a program
cannot hold raises `CannotRecord`: a number that goes to the host, a shape that depends on values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, is_array, library, namespace_of
from xpsolve.trace.closures import CannotRecord, lift_closure
from xpsolve.trace.count import DATA_DEPENDENT, is_mask, namespace_of_all
from xpsolve.trace.launches import strides_of
from xpsolve.trace.leaves import fill
from xpsolve.trace.program import Operation, Program, Value
from xpsolve.trace.wrapper import Interpreter, WrappedArray, arrays_in, map_arrays

_SIMPLE = frozenset((int, float, bool, complex, str, type(None)))


OPENED = {
    "cupy": frozenset(
        "shrink extrapolate relaxed sought scaled gibbs lowered raised sech_squared quotient_or_zero".split()
    )
}
"""By library, delegates of which the standard functions are recorded: its kernels do them with what stands around."""


class Recorded(WrappedArray):
    """An array with the value that stands for it; None for what does not depend on the inputs."""

    __slots__ = ("_mark",)

    def __init__(self, value: Array, interpreter: Interpreter, mark: Value | None = None) -> None:
        super().__init__(value, interpreter)
        self._mark = mark

    def _become(self, other: WrappedArray) -> None:
        super()._become(other)
        self._mark = other._mark  # type: ignore[attr-defined]


class Recorder(Interpreter):
    """Runs every operation inside and notes those that depend on the inputs.

    Parameters
    ----------
    inside : namespace
        Of the arrays that the function gets.
    opened : callable, optional
        Called with the name of a delegate of which the library has a version; a true answer records its standard
        functions instead.  Of all other delegates they are recorded always.
    """

    def __init__(self, inside: Namespace, opened: Callable[[str], bool] = lambda name: False) -> None:
        super().__init__(inside)
        self._library = library(inside)
        self.opened = opened
        self.operations: list[Operation] = []
        self.constants: dict[Value, Array] = {}
        self._known: dict[int, Value] = {}  # constants by the identity of their array, which `constants` keeps alive
        self._numbers = itertools.count()
        self._closed: dict[int, Array] | None = None  # where nothing else may come in: constants that were made here

    def wrap(self, value: Array) -> Recorded:
        """An array that does not depend on the inputs."""
        return Recorded(value, self)

    def made(self, value: Array) -> Recorded:
        """An input, or the result of an operation that depends on one."""
        return Recorded(value, self, self._new(value))

    def _new(self, x: Array) -> Value:
        return Value(next(self._numbers), tuple(x.shape), x.dtype, strides_of(x))

    def call(self, name: str, delegate: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a delegate as one operation where the library has a version of it, so that the same is done at replay."""
        if self._library not in delegate.table or name in OPENED.get(self._library, ()) or self.opened(name):
            return delegate.standard(*args, **kwargs)
        return self.apply(name, delegate, args, kwargs)

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation and note it."""
        function = getattr(function, "copying", function)
        plain, follows = self._opened(args)
        options = kwargs
        if kwargs:
            options, some = self._opened(kwargs)
            follows = follows or some
        if self._closed is not None:
            self._check_closed((args, kwargs))
        out = self.run(function, plain, options)
        if not follows:
            if self._closed is not None:
                self._closed.update((id(x), x) for x in arrays_in(out))
            return self.wrap_all(out)
        if name in DATA_DEPENDENT or (name == "getitem" and is_mask(args[1])):
            message = f"the shape of what {name} returns depends on values"
            raise CannotRecord(message)
        result = map_arrays(self.made, out)
        self._check_outputs(name, result)
        outputs = result._mark if self.owns(result) else map_arrays(lambda x: x._mark, result)
        self.operations.append(Operation(name, function, self.values(args), self.values(kwargs), outputs))
        return result

    def close(self) -> None:
        """From now on all that comes in must be an input."""
        self._closed = {}

    def _check_closed(self, tree: Any) -> None:
        known: Any = self._closed

        def check(x: Any) -> Any:
            mine = self.owns(x) and (x._mark is not None or id(x.__xpsolve_value__) in known)
            if not mine and id(x) not in known:
                message = f"an array of shape {tuple(x.shape)} is neither an input nor made here"
                raise CannotRecord(message)
            return x

        map_arrays(check, tree, leaf=lambda x: is_array(x) or isinstance(x, np.inexact))

    def _opened(self, tree: Any) -> tuple[Any, bool]:
        """An argument as the library inside needs it, and whether it depends on the inputs."""
        kind = type(tree)
        if kind is Recorded:
            return (tree.__xpsolve_value__, tree._mark is not None) if tree._interpreter is self else (tree, False)
        if kind in _SIMPLE:
            return tree, False
        if kind is tuple or kind is list:
            pairs = [self._opened(item) for item in tree]
            return kind([x for x, _ in pairs]), any(follows for _, follows in pairs)
        return self.unwrap_all(tree), self._depends(tree)

    def _depends(self, tree: Any) -> bool:
        return any(self.owns(x) and x._mark is not None for x in arrays_in(tree))

    def _check_outputs(self, name: str, result: Any) -> None:
        for x in result if isinstance(result, tuple | list) else (result,):
            if x is not None and not self.owns(x) and not isinstance(x, tuple | list):
                message = f"{name} returns a {type(x).__name__}, which is no array"
                raise CannotRecord(message)

    def values(self, tree: Any) -> Any:
        """Values for the arrays in nested containers; objects without an array that depends on the inputs stay."""
        kind = type(tree)
        if kind is Recorded and tree._mark is not None:
            return tree._mark
        if kind in _SIMPLE:
            return tree
        if kind is tuple or kind is list:
            return kind(map(self.values, tree))
        if kind is dict:
            return {key: self.values(item) for key, item in tree.items()}
        if is_array(tree):
            return self._value(tree)
        if isinstance(tree, np.inexact):  # a scalar of NumPy is an array of shape ()
            return self._constant(np.asarray(tree))
        return map_arrays(self._value, tree) if self._depends(tree) else self.unwrap_all(tree)

    def _value(self, x: Array) -> Value:
        if not self.owns(x):
            return self._constant(x)
        return self._constant(x.__xpsolve_value__) if x._mark is None else x._mark

    def _constant(self, x: Array) -> Value:
        value = self._known.get(id(x))
        if value is None:
            value = self._known[id(x)] = self._new(x)
            self.constants[value] = x
        return value

    def read(self, x: WrappedArray, how: str, function: Callable[[Array], Any]) -> Any:
        """A value that does not depend on the inputs may go to the host."""
        if x._mark is not None:  # type: ignore[attr-defined]
            message = f"a value goes to the host (by {how})"
            raise CannotRecord(message)
        return super().read(x, how, function)


def record(
    f: Callable[..., Any], *args: Any, opened: Callable[[str], bool] = lambda name: False, **kwargs: Any
) -> tuple[Any, Program]:
    """Run ``f(*args, **kwargs)`` and record it as a function of the arrays among its arguments.

    Parameters
    ----------
    f : callable
        Pure, of array-API code.  Arrays and namespaces that it closes over are followed; they are constants.
    *args : object
        Its arguments; arrays inside containers, solutions and operators are inputs too.
    opened : callable, optional
        Called with the name of a delegate; a true answer records its standard functions in any case.
    **kwargs : object
        Arguments by name.

    Returns
    -------
    result : object
        What f returned, with plain arrays inside.
    program : Program
        Its inputs are the arrays in the arguments, in order.

    Raises
    ------
    CannotRecord
        Says what a program cannot hold.
    """
    recorder = Recorder(namespace_of_all(f, args, kwargs), opened)
    inputs: list[Value] = []

    def enter(x: Array) -> Recorded:
        entered = recorder.made(x)
        inputs.append(entered._mark)  # type: ignore[arg-type]
        return entered

    lifted_args, lifted_kwargs = map_arrays(enter, list(args)), map_arrays(enter, kwargs)
    return _recorded(recorder, inputs, lift_closure(recorder, f), lifted_args, lifted_kwargs)


def record_leaves(
    f: Callable[..., Any],
    args: Any,
    leaves: Sequence[Array],
    closed: Sequence[Array] | None = None,
    *,
    recorder: Callable[[Namespace], Recorder] = Recorder,
) -> tuple[Any, Program]:
    """The same of ``f(*args)`` with ``leaves = split(args)[0]`` as inputs, and after them the arrays `closed`.

    These are all that f closes over, from `Signature`: an array that is not among them, nor made from nothing, cannot
    be recorded.  Without them the arrays that f closes over are constants.
    """
    made = recorder(namespace_of(leaves[0]))
    entered = [made.made(x) for x in leaves]
    also = {id(x): made.made(np.asarray(x) if isinstance(x, np.generic) else x) for x in closed or ()}
    inputs: list[Any] = [x._mark for x in (*entered, *also.values())]
    if closed is not None:
        made.close()
    given = lift_closure(made, fill(args, iter(entered)), also)
    return _recorded(made, inputs, lift_closure(made, f, also), given, {})


def _recorded(
    recorder: Recorder, inputs: list[Value], f: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
) -> tuple[Any, Program]:
    try:
        result = f(*args, **kwargs)
        outputs = recorder.values(result)
        return recorder.unwrap_all(result), Program(
            tuple(inputs), recorder.constants, tuple(recorder.operations), outputs
        )
    finally:
        recorder.release()
