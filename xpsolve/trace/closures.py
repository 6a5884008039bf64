"""Functions that close over arrays, seen through an interpreter.

A solver's step closes over its data and their namespace.  To follow it, all of these must be of one level: the function
is made again, from the same code, with lifted arrays in its cells.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xpsolve.arrays import Array, device_of, is_array, lift, namespace_of
from xpsolve.trace.launches import strides_of
from xpsolve.trace.wrapper import Interpreter, WrappedNamespace, map_arrays

_LIBRARIES = frozenset(("builtins", "numpy", "torch", "cupy", "jax", "array_api_compat", "_thread", "threading"))
_MOST = 1000  # objects that a signature looks at
_WORDS = frozenset((bool, int, str, bytes, type(None), type(...)))
_NUMBERS = frozenset((float, complex, slice))
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type)


_PURE = ("xpsolve.",)  # where code is a function of its arguments and of what it closes over
_ATOMS = frozenset((types.ModuleType, type, types.BuiltinFunctionType, np.ufunc))
_ATOMIC = (*_ATOMS, np.dtype, np.integer, np.bool_)


def lift_closure(interpreter: Interpreter, f: Any, entered: Mapping[int, Array] | None = None) -> Any:
    """`f` with all that it closes over lifted to the interpreter's level.

    `entered` has what stands for an array already, by the identity of the array.

    Goes through functions, bound methods, partial functions, containers, and objects that hold others; what holds
    neither an array nor a namespace stays the same object.
    """
    return _Lifting(interpreter, entered or {}).lifted(f)


class CannotRecord(Exception):
    """Says what about a function a program cannot hold."""


class Signature:
    """What a function closes over: its arrays, and a key that is equal for functions that do the same with theirs.

    Parameters
    ----------
    *roots : object
        Functions, states, …

    Attributes
    ----------
    arrays : list of array
        Those that were found, each once, in order.
    key : tuple
        Code, numbers, words, and the shapes, dtypes and layouts of the arrays.
    foreign : bool
        Whether there is code from outside of this package, which may depend on more: names of its module, or chance.

    Raises
    ------
    CannotRecord
        If an object is found that cannot be looked into, or an array that wraps another.
    """

    def __init__(self, *roots: Any) -> None:
        self.arrays: list[Array] = []
        self.foreign = False
        self._parts: list[Any] = []
        self._seen: dict[int, tuple[int, Any]] = {}
        for x in roots:
            self._visit(x)
        self.key = tuple(self._parts)

    def _visit(self, x: Any) -> None:
        kind, note = type(x), self._parts.append
        if kind in _WORDS:
            note((kind, x))  # 1 is not True
            return
        if kind in _NUMBERS:
            note((kind, repr(x)))  # 0.0 is not -0.0
            return
        if id(x) in self._seen:
            note(self._seen[id(x)][0])
            return
        self._seen[id(x)] = (len(self._seen), x)
        if len(self._seen) > _MOST:
            message = "it closes over too much to be looked through"
            raise CannotRecord(message)
        if kind is np.ndarray:
            note((x.shape, x.dtype, x.strides))
            self.arrays.append(x)
        elif kind is types.FunctionType and not hasattr(x, "standard"):
            note(x.__code__)
            self._came_from(x.__module__)
            for part in (x.__defaults__, x.__kwdefaults__):
                if part:
                    self._visit(part)
            for cell in x.__closure__ or ():
                self._visit(_contents(cell))
        elif kind is types.MethodType:
            self._visit(x.__func__)
            self._visit(x.__self__)
        elif kind in _ATOMS or isinstance(x, _ATOMIC) or hasattr(x, "standard"):  # the latter are our delegates
            note((kind, x))
        elif is_array(x) or isinstance(x, np.inexact):
            _check_unwrapped(x)
            note((kind, tuple(x.shape), x.dtype, strides_of(x), str(device_of(x)) if is_array(x) else None))
            self.arrays.append(x)
        else:
            self._opened(x, kind)

    def _opened(self, x: Any, kind: type) -> None:
        note = self._parts.append
        if getattr(kind, "by_rows", False):
            message = "its data is read in blocks of rows, each time anew"
            raise CannotRecord(message)
        if isinstance(x, functools.partial):
            note(kind)
            parts: Iterable[Any] = (x.func, x.args, x.keywords)
        elif isinstance(x, tuple | list):
            note((kind, len(x)))
            parts = x
        elif isinstance(x, dict):
            note((kind, *x))
            parts = x.values()
        elif hasattr(x, "__dict__") and not hasattr(kind, "__slots__") and not _is_of_library(kind):
            note((kind, *vars(x)))
            self._came_from(kind.__module__)
            parts = vars(x).values()
        else:
            message = f"an object of type {kind.__qualname__} cannot be looked into"
            raise CannotRecord(message)
        for part in parts:
            if type(part) in _WORDS:
                note((type(part), part))
            else:
                self._visit(part)

    def _came_from(self, module: Any) -> None:
        self.foreign = self.foreign or not str(module).startswith(_PURE)


def _is_of_library(kind: type) -> bool:
    return kind.__module__.split(".")[0] in _LIBRARIES


def _check_unwrapped(x: Array) -> None:
    if hasattr(type(x), "__xpsolve_value__"):
        message = "it closes over an array that wraps another"
        raise CannotRecord(message)


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing in it yet
        return None


class _Lifting:
    def __init__(self, interpreter: Interpreter, entered: Mapping[int, Array]) -> None:
        self.interpreter = interpreter
        self.entered = entered
        self.done: dict[int, tuple[Any, Any]] = {}  # what was lifted, by identity: functions may refer to themselves

    def lifted(self, x: Any) -> Any:
        if id(x) in self.entered:
            return self.entered[id(x)]
        if isinstance(x, _PLAIN):
            return x
        if id(x) in self.done:
            return self.done[id(x)][1]
        if is_array(x):
            if not self.interpreter.owns(x) and namespace_of(x) is not self.interpreter.inside:
                _check_unwrapped(x)
            new = x if self.interpreter.owns(x) else lift(self.interpreter.namespace, x)
        elif isinstance(x, types.ModuleType | WrappedNamespace):
            new = self.interpreter.namespace if x is self.interpreter.inside else x
        elif isinstance(x, types.FunctionType):
            return self._function(x)
        elif isinstance(x, types.MethodType):
            owner = self.lifted(x.__self__)
            new = x if owner is x.__self__ else types.MethodType(x.__func__, owner)
        elif isinstance(x, functools.partial):
            new = self._if_changed(
                x, (x.func, x.args, x.keywords), lambda parts: functools.partial(parts[0], *parts[1], **parts[2])
            )
        elif isinstance(x, tuple | list):
            new = self._if_changed(x, tuple(x), type(x)._make if hasattr(x, "_make") else type(x))
        elif isinstance(x, dict):
            new = self._if_changed(x, tuple(x.values()), lambda values: dict(zip(x, values, strict=True)))
        else:
            return self._object(x)
        self.done[id(x)] = (x, new)
        return new

    def _if_changed(self, x: Any, parts: tuple[Any, ...], made: Any) -> Any:
        new = [self.lifted(part) for part in parts]
        return x if all(a is b for a, b in zip(parts, new, strict=True)) else made(new)

    def _function(self, f: types.FunctionType) -> Any:
        cells = f.__closure__ or ()
        if not cells and not f.__defaults__ and not f.__kwdefaults__:
            return f
        fresh = tuple(types.CellType() for _ in cells)
        new = types.FunctionType(f.__code__, f.__globals__, f.__name__, None, fresh)
        new.__kwdefaults__, new.__dict__ = f.__kwdefaults__, dict(f.__dict__)
        self.done[id(f)] = (f, new)
        new.__defaults__ = self.lifted(f.__defaults__)
        new.__kwdefaults__ = self.lifted(f.__kwdefaults__)
        for cell, old in zip(fresh, cells, strict=True):
            try:
                cell.cell_contents = self.lifted(old.cell_contents)
            except ValueError:  # nothing in it yet
                continue
        return new

    def _object(self, x: Any) -> Any:
        """Objects of this package say how their arrays are mapped; of others the attributes are looked at."""
        if _is_of_library(type(x)):
            new = x
        elif hasattr(type(x), "__xpsolve_map__") and not self.entered:  # a signature has looked at all attributes
            new = map_arrays(self.lifted, x)
        elif isinstance(getattr(x, "__dict__", None), dict) and not callable(getattr(x, "standard", None)):
            fields = vars(x)
            self.done[id(x)] = (x, x)  # while it is looked at
            changed = {key: value for key, old in fields.items() if (value := self.lifted(old)) is not old}
            new = copy.copy(x) if changed else x
            if changed:
                vars(new).update(changed)
        else:
            new = x
        self.done[id(x)] = (x, new)
        return new
