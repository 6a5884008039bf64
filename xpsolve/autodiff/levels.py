"""Levels: arrays that carry derivatives around those of the level inside.  What forward and reverse mode share.

Each derivative that is taken has a level of its own.  It lies outside of the arguments' levels and of every level that
is being followed at the time, because the function may close over an array of one: this keeps perturbations
apart, and makes derivatives of derivatives right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, common_namespace, is_array, kind_of, lift
from xpsolve.autodiff.rules import CONSTANT, RULES, NoRuleError
from xpsolve.autodiff.rules.table import SQUARES
from xpsolve.guides import guide
from xpsolve.trace import Interpreter, WrappedArray, arrays_in, map_arrays

_open_levels: ContextVar[tuple[Level, ...]] = ContextVar("open_levels", default=())


class Tracked(WrappedArray):
    """An array with a mark: its tangent, or its node on the tape; None for a constant.

    A norm also stores its square, which is smooth where the norm is not.
    """

    __slots__ = ("_mark", "_square")

    def __init__(self, value: Array, interpreter: Interpreter, mark: Any = None) -> None:
        self.__xpsolve_value__ = value
        self._interpreter = interpreter
        self._mark = mark

    def _become(self, other: WrappedArray) -> None:
        super()._become(other)
        self._mark = other._mark  # type: ignore[attr-defined]
        self._square = None

    def __pow__(self, other: Any) -> Any:
        square = getattr(self, "_square", None)
        found = square() if square is not None and isinstance(other, int | float) and other == 2 else None
        return super().__pow__(other) if found is None else found  # type: ignore[misc]


class Level(Interpreter):
    """One derivative being taken."""

    def __init__(self, inside: Namespace) -> None:
        super().__init__(inside)
        self.nested = hasattr(inside, "inside")

    def wrap(self, value: Array) -> Tracked:
        """A constant of this level."""
        return Tracked(value, self)

    def read(self, x: WrappedArray, how: str, function: Callable[[Array], Any]) -> Any:
        """Numbers may be read, for decisions; arrays that leave would lose their derivative."""
        if how in ("__array__", "__dlpack__", "tolist") and x._mark is not None:  # type: ignore[attr-defined]
            message = (
                f"an array of shape {x.shape} that carries a derivative was passed to a function that cannot track it "
                f"(by {how}). Call the functions of its own namespace, xp = x.__array_namespace__(). "
                f"{guide('own functions')}"
            )
            raise TypeError(message)
        return super().read(x, how, function)

    def follows(self, dtype: Any) -> bool:
        """Whether arrays of this dtype carry derivatives."""
        return kind_of(self.inside, dtype) != "other"

    def opened(self, x: Any) -> Any:
        """An argument in the form that the level inside needs."""
        if x.__class__ is Tracked and x._interpreter is self:
            return x.__xpsolve_value__
        if isinstance(x, (tuple, list)):
            items = [self.opened(item) for item in x]
            return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
        return lift(self.inside, x) if self.nested and is_array(x) else x

    def general(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run any function, and follow its derivative by the rule in the table."""
        listed = bool(args) and isinstance(args[0], (list, tuple))
        followed = [(i, x) for i, x in enumerate(args[0] if listed else args) if self._is_followed(x)]
        by_name = [k for k, x in kwargs.items() if self._is_followed(x)] if kwargs else []
        nested = listed and any(self._is_followed(x) for x in arrays_in([args[1:]]))
        follows = bool(followed or by_name or nested) and name not in CONSTANT
        rule = RULES.get(name)
        if follows and rule is None and hasattr(function, "standard"):  # a delegate: through its standard functions
            lifted = map_arrays(lambda x: lift(self.namespace, x), (list(args), kwargs))
            return function.standard(*lifted[0], **lifted[1])
        values = tuple([self.opened(x) for x in args])
        options = {k: self.opened(x) for k, x in kwargs.items()} if kwargs else kwargs
        result = getattr(function, "copying", function)(*values, **options)  # a rule may need what it writes to
        if isinstance(result, np.generic):
            result = np.asarray(result)
        if not follows or not self._any_follows(result):
            return Tracked(result, self) if hasattr(result, "dtype") else self.wrap_all(_as_arrays(result))
        if rule is None:
            message = (
                f"{name}: has no derivative rule. Write it with functions that have one, keep its argument constant, "
                f"or add one with xpsolve.autodiff.rules.rule({name!r}). {guide('no rule')}"
            )
            raise NoRuleError(message)
        followed.extend((_position(rule, name, k), kwargs[k]) for k in by_name)
        found = self.derive(name, rule, _as_arrays(result), values, options, followed)
        if name in SQUARES:
            found._square = functools.partial(SQUARES[name], self.namespace, *args, **kwargs)
        return found

    def _is_followed(self, x: Any) -> bool:
        return x.__class__ is Tracked and x._interpreter is self and x._mark is not None

    def _any_follows(self, result: Any) -> bool:
        if hasattr(result, "dtype"):
            return self.follows(result.dtype)
        return any(self.follows(x.dtype) for x in arrays_in(_as_arrays(result)))

    def derive(self, *args: Any) -> Any:
        """The result with its derivative."""
        raise NotImplementedError


def _as_arrays(result: Any) -> Any:
    if hasattr(result, "dtype"):
        return result
    return map_arrays(np.asarray, result, leaf=lambda x: isinstance(x, np.generic))


def _position(rule: Any, name: str, keyword: str) -> int:
    """Which argument a keyword names, from the names in the rule: (xp, result, *arguments)."""
    code = rule.__code__
    names: tuple[str, ...] = code.co_varnames[2 : code.co_argcount]
    if keyword not in names:
        message = f"{name}: has no derivative rule for its argument {keyword}. Keep it constant."
        raise NoRuleError(message)
    return names.index(keyword)


def checked_map(maps: Any, name: str, position: int) -> Any:
    """The map of one argument; an error where there is none, never a silent zero."""
    if position >= len(maps) or maps[position] is None:
        message = f"{name}: has no derivative rule for its argument {position}. Keep it constant."
        raise NoRuleError(message)
    return maps[position]


def innermost_common(**arrays: Array) -> Namespace:
    """What a new level wraps: the arguments' namespace, or the level being followed that contains it."""
    inside = common_namespace(**arrays)
    for level in _open_levels.get():
        xp = level.namespace
        around: Any = xp
        while around is not inside and hasattr(around, "inside"):
            around = around.inside
        if around is inside:
            inside = xp
    return inside


class following:
    """While the function runs, new levels go around this one."""

    def __init__(self, level: Level) -> None:
        self.level = level

    def __enter__(self) -> None:
        self.token = _open_levels.set((*_open_levels.get(), self.level))

    def __exit__(self, *_: Any) -> None:
        _open_levels.reset(self.token)
        self.level.release()


@contextmanager
def below(xp: Namespace) -> Iterator[None]:
    """While arrays of `xp` are worked on, new levels do not go around those that lie around them."""

    def around(level: Level) -> bool:
        inside: Any = level.namespace
        while inside is not xp and hasattr(inside, "inside"):
            inside = inside.inside
        return inside is xp and level.namespace is not xp

    token = _open_levels.set(tuple(level for level in _open_levels.get() if not around(level)))
    try:
        yield
    finally:
        _open_levels.reset(token)


def inside_of(level: Level) -> AbstractContextManager[None]:
    """The same for arrays of the level inside."""
    return below(level.inside)
