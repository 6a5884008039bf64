"""Arrays that wrap arrays: the common base of counting and of differentiation.

A wrapped array is an array-API array of its own namespace, over any other, another wrapped one included.
Every function of the namespace and every operator goes through `Interpreter.apply` of one interpreter,
which gets the operation's name, the function that does it inside, and the arguments as they came:

    a counter runs it on the values inside and adds up what it cost;
    a dual number runs it and the rule for its derivative;
    a tape variable runs it and notes its pullback.

What reads a value to the host (``bool``, ``float``, ``__array__``, …) goes through `Interpreter.read`.
NumPy and CuPy defer to wrapped operands because ``__array_ufunc__`` is None.  array-api-strict raises instead, so
solvers lift all their arguments once (`xpsolve.arrays.enter`) and never mix levels.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat
import array_api_extra as xpx
import numpy as np

from xpsolve.arrays import Array, Namespace, device_of, is_array, lift, namespace_of

_serial = itertools.count()

# Functions about dtypes, shapes or libraries, which start no work on arrays.
_ABOUT = frozenset("__array_namespace_info__ broadcast_shapes can_cast finfo iinfo isdtype result_type".split())


class Interpreter:
    """What happens to an operation on wrapped arrays.  Subclass it and override `apply` (and `read`)."""

    def __init__(self, inside: Namespace) -> None:
        self.inside = inside
        self._namespace: WrappedNamespace | None = None

    @property
    def namespace(self) -> WrappedNamespace:
        """The namespace of the arrays of this level, made when it is first asked for."""
        if self._namespace is None:
            self._namespace = WrappedNamespace(self)
        return self._namespace

    def release(self) -> None:
        """Let the namespace go when this level is done: the two refer to one another."""
        self._namespace = None

    def wrap(self, value: Array) -> WrappedArray:
        """An array of this level with `value` inside."""
        return WrappedArray(value, self)

    def owns(self, x: Any) -> bool:
        """Whether `x` is an array of this very level."""
        return isinstance(x, WrappedArray) and x._interpreter is self

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation: unwrap, compute inside, wrap what comes out."""
        return self.wrap_all(self.run(function, self.unwrap_all(args), self.unwrap_all(kwargs)))

    def call(self, name: str, delegate: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one of our delegates: a native one as one operation, a composed one by its standard functions."""
        return self.apply(name, delegate, args, kwargs) if delegate.whole else delegate.standard(*args, **kwargs)

    @staticmethod
    def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the namespace inside; a NumPy scalar becomes the 0-d array it stands for."""
        return map_arrays(np.asarray, function(*args, **kwargs), leaf=lambda x: isinstance(x, np.generic))

    def read(self, x: WrappedArray, how: str, function: Callable[[Array], Any]) -> Any:
        """Read a value to the host."""
        return function(x.__xpsolve_value__)

    def unwrap_all(self, tree: Any) -> Any:
        """Values inside, for all wrapped arrays of this level in nested tuples, lists and dicts."""
        return map_arrays(lambda x: x.__xpsolve_value__ if self.owns(x) else x, tree)

    def wrap_all(self, tree: Any) -> Any:
        """The opposite: every array inside becomes one of this level."""
        return map_arrays(lambda x: x if self.owns(x) else self.wrap(x), tree)


_PLAIN: set[type] = {bool, int, float, complex, str, type(None)}  # numbers, words and the libraries' own arrays


def is_plain(tree: Any) -> bool:
    """Whether a quick look finds no wrapped array in `tree`, so that there is nothing to unwrap, to count or to follow.

    It goes through tuples, lists, dicts, and what objects of this package hold; of all other objects it says no.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import Dense
    >>> from xpsolve.trace import is_plain
    >>> is_plain((Dense(np.eye(2)), np.ones(2), 1.0))
    True
    """
    kind = type(tree)
    if kind in _PLAIN:
        return True
    if hasattr(kind, "__xpsolve_value__"):
        return False
    if kind is tuple or kind is list:
        return all(map(is_plain, tree))
    if kind is dict or (kind.__module__.startswith("xpsolve.") and hasattr(tree, "__dict__")):
        return all(map(is_plain, (tree if kind is dict else vars(tree)).values()))
    if is_array(tree):
        _PLAIN.add(kind)
        return True
    return False


_CONTAINERS: dict[type, str] = {}  # how to go through objects of a type


def _container(kind: type) -> str:
    """What kind of container a type is; "" for none."""
    found = _CONTAINERS.get(kind)
    if found is None:
        if hasattr(kind, "__xpsolve_map__"):
            found = "own"
        elif issubclass(kind, tuple):
            found = "named tuple" if hasattr(kind, "_fields") else "sequence"
        elif issubclass(kind, list):
            found = "sequence"
        elif issubclass(kind, dict):
            found = "dict"
        else:
            found = "dataclass" if dataclasses.is_dataclass(kind) else ""
        _CONTAINERS[kind] = found
    return found


def map_arrays(function: Callable[[Array], Any], tree: Any, *, leaf: Callable[[Any], bool] = is_array) -> Any:
    """`tree` with `function` of each array in it (or whatever `leaf` says is one); containers keep their type.

    Goes through tuples, named tuples, lists, dicts, dataclasses, and objects that have a method
    ``__xpsolve_map__(function)`` (solutions, operators, …).
    """
    kind = type(tree)
    found = _container(kind)
    if not found:
        return function(tree) if leaf(tree) else tree
    if found == "own":
        return tree.__xpsolve_map__(function)
    if found == "sequence":
        items = [map_arrays(function, item, leaf=leaf) for item in tree]
        return items if kind is list else kind(items)
    if found == "named tuple":
        return kind(*(map_arrays(function, item, leaf=leaf) for item in tree))
    if found == "dict":
        return {key: map_arrays(function, item, leaf=leaf) for key, item in tree.items()}
    if leaf(tree):
        return function(tree)
    fields = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree) if f.init}
    return dataclasses.replace(tree, **map_arrays(function, fields, leaf=leaf))


def arrays_in(tree: Any) -> list[Array]:
    """All arrays in nested containers, in order."""
    if is_array(tree):
        return [tree]
    found: list[Array] = []

    def note(x: Array) -> Array:
        found.append(x)
        return x

    map_arrays(note, tree)
    return found


def shapes_in(tree: Any) -> str:
    """The shapes of the arrays in nested containers as text, for a `repr`: nothing is read from a device."""
    shapes = ["×".join(map(str, x.shape)) or "0-d" for x in arrays_in(tree)]
    return " and ".join(shapes) if len(shapes) <= 3 else f"{len(shapes)} arrays"


class WrappedNamespace:
    """The array-API namespace of one interpreter's arrays: the one inside, seen through it."""

    def __init__(self, interpreter: Interpreter, part: str = "") -> None:
        self._interpreter = interpreter
        self._part = part
        inside = interpreter.inside
        self._source = getattr(inside, part) if part else inside
        self._number = next(_serial)
        if not part:
            self.inside = inside

    @property
    def __name__(self) -> str:
        """What array_api_compat tells namespaces apart by."""
        interpreter = self._interpreter
        return f"xpsolve.trace.{type(interpreter).__name__}{self._number}[{interpreter.inside.__name__}]"

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ABOUT and name != "__array_api_version__":
            raise AttributeError(name)
        found = getattr(self._source, name)
        if isinstance(found, types.ModuleType | WrappedNamespace) and not self._part:
            made: Any = WrappedNamespace(self._interpreter, name)
        elif name in _ABOUT:
            made = self._about(found)
        elif not callable(found) or isinstance(found, type):  # pi, newaxis, dtypes
            made = found
        else:
            made = self._traced(f"{self._part}.{name}" if self._part else name, found)
        setattr(self, name, made)  # found once
        return made

    def _about(self, function: Callable[..., Any]) -> Callable[..., Any]:
        interpreter = self._interpreter

        def about(*args: Any, **kwargs: Any) -> Any:
            return function(*interpreter.unwrap_all(args), **interpreter.unwrap_all(kwargs))

        return about

    def _traced(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        interpreter = self._interpreter  # and not this namespace, which keeps what is made here

        def traced(*args: Any, **kwargs: Any) -> Any:
            return interpreter.apply(name, function, args, kwargs)

        traced.__name__ = name
        return traced

    def lift(self, x: Array) -> WrappedArray:
        """An array of the namespace inside, as a constant of this one."""
        return self._interpreter.wrap(x)

    def call(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One of our delegates."""
        return self._interpreter.call(name, function, args, kwargs)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._source), "lift", "call"})


class WrappedArray:
    """An array-API array with another inside."""

    __slots__ = ("__xpsolve_value__", "_interpreter")
    __array_ufunc__ = None  # NumPy and CuPy then leave mixed operations to us
    __array_priority__ = 1000

    def __init__(self, value: Array, interpreter: Interpreter) -> None:
        self.__xpsolve_value__ = value
        self._interpreter = interpreter

    def __array_namespace__(self, *, api_version: str | None = None) -> WrappedNamespace:
        return self._interpreter.namespace

    def __repr__(self) -> str:
        return f"{type(self._interpreter).__name__}({self.__xpsolve_value__!r})"

    # --- what it is: known without looking at a value
    @property
    def dtype(self) -> Any:
        """Data type, as the library inside names it."""
        return self.__xpsolve_value__.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.__xpsolve_value__.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def device(self) -> Any:
        """Where the array inside lies."""
        return device_of(self.__xpsolve_value__)

    @property
    def T(self) -> Any:
        """Transpose of a matrix."""
        return self._apply("matrix_transpose", _transposed)

    @property
    def mT(self) -> Any:
        """Transpose of the last two axes."""
        return self._apply("matrix_transpose", _matrices_transposed)

    # --- operations
    def _apply(self, name: str, function: Callable[..., Any], *others: Any) -> Any:
        return self._interpreter.apply(name, function, (self, *others), {})

    def __getitem__(self, key: Any) -> Any:
        return self._apply("getitem", operator.getitem, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._become(self._apply("setitem", updated, key, value))

    def _become(self, other: WrappedArray) -> None:
        """Stand for another array from now on."""
        self.__xpsolve_value__ = other.__xpsolve_value__

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """Copy to another device."""
        return self._apply("to_device", array_api_compat.to_device, device)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[WrappedArray]:
        return (self[i, ...] for i in range(self.shape[0]))

    # --- reads: a value goes to the host
    def _read(self, how: str, function: Callable[[Array], Any]) -> Any:
        return self._interpreter.read(self, how, function)

    def __bool__(self) -> bool:
        return bool(self._read("bool", bool))

    def __float__(self) -> float:
        return float(self._read("float", float))

    def __int__(self) -> int:
        return int(self._read("int", int))

    def __complex__(self) -> complex:
        return complex(self._read("complex", complex))

    def __index__(self) -> int:
        return int(self._read("index", operator.index))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self._read("__array__", lambda x: np.asarray(x, dtype=dtype))

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._read("__dlpack__", lambda x: x.__dlpack__(**kwargs))

    def __dlpack_device__(self) -> Any:
        return self.__xpsolve_value__.__dlpack_device__()

    def item(self) -> Any:
        """The single element as a Python scalar."""
        return self._read("item", lambda x: x.item() if hasattr(x, "item") else x[()])

    def tolist(self) -> Any:
        """Nested lists of Python scalars."""
        return self._read("tolist", lambda x: x.tolist())


def updated(x: Array, key: Any, value: Any) -> Array:
    """A copy of x with ``x[key] = value``: the array inside may belong to the caller."""
    return xpx.at(x)[key].set(value, copy=True)


def _transposed(x: Array) -> Array:
    return x.T


def _matrices_transposed(x: Array) -> Array:
    return namespace_of(x).matrix_transpose(x)


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARE = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


def _binary(name: str, function: Callable[[Any, Any], Any]) -> Callable[[WrappedArray, Any], Any]:
    def method(self: WrappedArray, other: Any) -> Any:
        theirs = getattr(other, "_interpreter", None)
        if theirs is not None and theirs is not self._interpreter and _is_inside(self, theirs):
            return theirs.apply(name, function, (self, other), {})  # the outer level knows about both
        return self._interpreter.apply(name, function, (self, other), {})

    return method


def _reflected(name: str, function: Callable[[Any, Any], Any]) -> Callable[[WrappedArray, Any], Any]:
    def method(self: WrappedArray, other: Any) -> Any:
        return self._interpreter.apply(name, function, (other, self), {})

    return method


def _unary(name: str, function: Callable[[Any], Any]) -> Callable[[WrappedArray], Any]:
    def method(self: WrappedArray) -> Any:
        return self._interpreter.apply(name, function, (self,), {})

    return method


def _is_inside(x: WrappedArray, outer: Interpreter) -> bool:
    xp = outer.inside
    while xp is not x._interpreter.namespace:
        if not hasattr(xp, "inside"):
            return False
        xp = xp.inside
    return True


for _short, _name in (_BINARY | _COMPARE).items():
    _function = getattr(operator, f"__{_short}__")
    setattr(WrappedArray, f"__{_short}__", _binary(_name, _function))
    if _short in _BINARY:  # `x += y` without an in-place method becomes `x = x + y`, which writes to no existing array
        setattr(WrappedArray, f"__r{_short}__", _reflected(_name, _function))
for _short, _name in _UNARY.items():
    setattr(WrappedArray, f"__{_short}__", _unary(_name, getattr(operator, f"__{_short}__")))
WrappedArray.__hash__ = None  # type: ignore[assignment]  # equality is elementwise, as for every array


def lift_all(interpreter: Interpreter, tree: Any) -> Any:
    """`tree` with each array in it lifted to the interpreter's level."""
    return map_arrays(lambda x: lift(interpreter.namespace, x), tree)
