"""Whole solves of JAX arrays as one compiled program each.

A public function that is called with concrete JAX arrays is traced once by ``jax.jit``, from its first line to its
`Solution`, and compiled; calls with the same options and shapes run the program.  Numbers such as λ are arguments of
the program.  In the end one read says whether what was taken for granted holds and the answer is certified:

    certified           the answer, as the function itself would have returned it
    stopped at max_iter the same with its status and warning
    anything else       the function runs step by step: it raises, warns, or finds the answer in another way

So do functions that cannot be traced with these arguments, and all that get code of the user, which may not be pure.
"""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import fields
from enum import Enum
from threading import RLock
from typing import Any

import numpy as np

from xpsolve.arrays import is_array, is_scalar
from xpsolve.arrays.assumptions import Assumptions, Declined, collected
from xpsolve.solution import Solution, Status, certified, finish, hollow, worst
from xpsolve.trace import arrays_in, map_arrays

PROGRAMS = 512
"""Most programs that are kept, those that were used last; each for one function with one set of options."""

MOST_OPERATIONS = 5000
"""Most operations of a program: the loops of longer ones are unrolled, and would take minutes to compile."""

_HOST = 10_000  # bytes of an array on the host that is part of what tells programs apart
_LARGEST = 1e30  # of numbers that become arguments; the function looks at others itself
_VALUES = (int, float, complex, str, bytes, bool, type(None), np.dtype, np.generic, Enum, types.ModuleType, type)

_calls: ContextVar[Any] = ContextVar("xpsolve_call_being_traced")
_programs: OrderedDict[Any, _Program] = OrderedDict()
_lock = RLock()
_jax_arrays: set[type] = set()  # concrete ones
_others: set[type] = {np.ndarray}


class _Foreign(Exception):
    """An argument that a program cannot have."""


def jittable(function: Callable[..., Any], numbers: Collection[str] = ()) -> Callable[..., Any]:
    """`function`, which runs as a compiled program where its arguments hold concrete JAX arrays.

    Parameters
    ----------
    function : callable
        A function of this package that can be traced.
    numbers : collection of str
        Parameters whose positive numbers become arguments of the program, as 0-d arrays: the function takes both.
        Those of its signature, and of what it passes on by name.

    Returns
    -------
    callable
        With the same arguments, results and errors.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.jitted import jittable
    >>> jittable(np.sum)(np.ones(3)).item()
    3.0
    """
    names = list(inspect.signature(function).parameters) if numbers else []
    places = {names.index(name) for name in numbers if name in names}
    wanted = frozenset(numbers)

    def call(*args: Any, **kwargs: Any) -> Any:
        if "jax" not in sys.modules or not _meets_jax((*args, *kwargs.values())):
            return function(*args, **kwargs)
        found = _Arguments()
        inside, options = [_opened(x) for x in args], {k: _opened(x) for k, x in kwargs.items()}
        try:
            given = [found.number(i, x) if i in places else found.key(x) for i, x in enumerate(inside)]
            named = [(k, found.number(k, x) if k in wanted else found.key(x)) for k, x in options.items()]
        except _Foreign:
            return function(*args, **kwargs)
        key = (function, *given, *named)
        answer = _program(key, function).run(found, inside, options, lambda: function(*args, **kwargs))
        return function(*args, **kwargs) if answer is _UNKNOWN else answer

    return call


def _opened(x: Any) -> Any:
    """An argument with arrays in place of the numbers in it, where it is made for that."""
    if not (hasattr(type(x), "with_arrays") and type(x).__module__.startswith("xpsolve.")):
        return x
    from jax import numpy as jnp

    return x.with_arrays(jnp.asarray)


def _meets_jax(values: Any) -> bool | None:
    """Whether the first array is a concrete one of JAX; None where there is no array."""
    for x in values:
        kind = type(x)
        if kind in _jax_arrays:
            return True
        if kind in _others or hasattr(kind, "__xpsolve_value__"):
            return False
        if kind is dict:
            found = _meets_jax(x.values())
        elif isinstance(x, tuple | list):
            found = _meets_jax(x)
        elif kind.__module__.startswith("xpsolve."):
            found = _meets_jax(getattr(x, "__dict__", {}).values())
        elif hasattr(x, "shape"):
            found = _is_concrete_jax(x)
        else:
            continue
        if found is not None:
            return found
    return None


def _is_concrete_jax(x: Any) -> bool:
    import jax

    tracer = isinstance(x, jax.core.Tracer)
    found = isinstance(x, jax.Array) and not tracer
    if not tracer:
        (_jax_arrays if found else _others).add(type(x))
    return found


class _Arguments:
    """The arguments of a call in two parts: what tells programs apart, and the arrays and numbers that they get."""

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.numbers: list[float] = []
        self.numbered: list[int | str] = []  # their places
        self._places: dict[int, int] = {}

    def number(self, place: int | str, x: Any) -> Any:
        """The key of an argument whose numbers go to the program."""
        if is_scalar(x) and 1 / _LARGEST < x < _LARGEST:
            self.numbers.append(float(x))
            self.numbered.append(place)
            return "number"
        return self.key(x)

    @property
    def tol(self) -> float | None:
        """The tolerance, where that is one of the numbers."""
        return dict(zip(self.numbered, self.numbers, strict=True)).get("tol")

    def shapes(self) -> tuple[Any, ...]:
        """Those of the arrays, with their dtypes."""
        return tuple([(x.shape, x.dtype) for x in self.arrays])

    def key(self, x: Any) -> Any:
        """The key of an argument: equal where the program is the same.  One array in two places stays one array."""
        kind = type(x)
        if kind in _jax_arrays:
            place = self._places.setdefault(id(x), len(self.arrays))
            if place == len(self.arrays):
                self.arrays.append(x)
            return place
        if isinstance(x, _VALUES):
            return kind, x
        if isinstance(x, tuple | list):
            return kind, tuple(map(self.key, x))
        if isinstance(x, dict):
            return kind, tuple((name, self.key(value)) for name, value in x.items())
        if kind is np.ndarray and x.nbytes <= _HOST:
            return kind, x.shape, x.dtype, x.tobytes()
        if isinstance(x, types.FunctionType):
            if x.__module__.startswith("xpsolve.") and x.__closure__ is None:
                return x
        elif kind.__module__.startswith("xpsolve.") and hasattr(x, "__dict__"):
            return kind, tuple((name, self.key(value)) for name, value in vars(x).items())
        elif kind.__name__ == "PjitFunction":  # compiled by the user, who thereby says that it is pure
            return x
        elif hasattr(x, "shape") and _is_concrete_jax(x):
            return self.key(x)
        raise _Foreign


def _program(key: Any, function: Callable[..., Any]) -> _Program:
    with _lock:
        found = _programs.get(key)
        if found is None:
            found = _programs[key] = _Program(function)
            if len(_programs) > PROGRAMS:
                _programs.popitem(last=False)
        else:
            _programs.move_to_end(key)
        return found


class _Unknown:
    """Stands for an answer that has to be found step by step."""


_UNKNOWN = _Unknown()


class _Program:
    """A function with some options, compiled for each set of shapes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        import jax

        self._function = function
        self._jitted = jax.jit(self._traced)
        self._possible: dict[Any, bool] = {}  # whether it can be compiled, by the shapes of its arguments
        self._baked: dict[Any, list[tuple[int, Any]]] = {}  # likewise arrays that are constants of it, and their places

    def run(
        self, found: _Arguments, args: Sequence[Any], kwargs: dict[str, Any], step_by_step: Callable[[], Any]
    ) -> Any:
        """The answer; `_UNKNOWN` where the program does not have it."""
        shapes = found.shapes()
        possible = self._possible.get(shapes)
        if possible is False or any(
            found.arrays[place] is not constant for place, constant in self._baked.get(shapes, ())
        ):
            return _UNKNOWN
        token = _calls.set((found, args, kwargs))
        try:
            if possible is None:
                program = self._jitted.trace(found.arrays, found.numbers)
                if _operations(program.jaxpr) > MOST_OPERATIONS:
                    raise Declined
                self._possible[shapes] = True
            outcome = self._jitted(found.arrays, found.numbers)
        except Exception:  # whatever it is, the function says it better, or can do it: outside of this block
            outcome = None
        finally:
            _calls.reset(token)
        if outcome is not None:
            return outcome.answer(found.tol, found.arrays)
        answer = step_by_step()
        self._possible[shapes] = False
        return answer

    def _traced(self, arrays: list[Any], numbers: list[Any]) -> Any:
        from jax import numpy as jnp

        found, args, kwargs = _calls.get()
        inexact = [x.dtype for x in arrays if jnp.issubdtype(x.dtype, jnp.inexact)]
        dtype = jnp.finfo(jnp.result_type(*inexact)).dtype if inexact else jnp.result_type(float)
        inside = {id(old): new for old, new in zip(found.arrays, arrays, strict=True)}
        met = set()

        def traced(x: Any) -> Any:
            met.add(id(x))
            return inside.get(id(x), x)

        args, kwargs = map_arrays(traced, (list(args), kwargs))
        self._baked[found.shapes()] = [(i, x) for i, x in enumerate(found.arrays) if id(x) not in met]
        taken = Assumptions()
        for place, number in zip(found.numbered, numbers, strict=True):
            taken.numbers.append(jnp.asarray(number, dtype=dtype))
            (args if isinstance(place, int) else kwargs)[place] = taken.numbers[-1]
        with collected(taken):
            answer = self._function(*args, **kwargs)
        return _Outcome.of(answer, taken, arrays)


def _operations(jaxpr: Any) -> int:
    """How many there are, those of loops and functions inside included."""
    equations = getattr(jaxpr, "jaxpr", jaxpr).eqns
    inside = (value for equation in equations for value in equation.params.values())
    parts = (part for value in inside for part in (value if isinstance(value, tuple | list) else (value,)))
    return len(equations) + sum(_operations(part) for part in parts if hasattr(part, "eqns"))


class _Outcome:
    """What a program returns: the arrays of the answer, what is read of them at once, and the form of the answer."""

    def __init__(self, arrays: list[Any], read: Any, form: _Form) -> None:
        self.arrays, self.read, self.form = arrays, read, form

    @classmethod
    def of(cls, answer: Any, taken: Assumptions, given: list[Any]) -> _Outcome:
        """The outcome of a function that has been traced with these arrays."""
        from jax import lax
        from jax import numpy as jnp

        _register()
        if not isinstance(answer, Solution):
            taken.conditions.extend(taken.certified)
        holds, stopped = taken.all, taken.stopped
        if holds is None and (stopped is None or not isinstance(answer, Solution)):
            form = _Form(answer, taken, None, given)
            return cls(form.own(answer), None, form)
        facts = [jnp.asarray(True if holds is None else holds), jnp.asarray(False if stopped is None else stopped)]
        n_iter = getattr(answer, "n_iter", 0)
        facts.append(jnp.asarray(n_iter if np.shape(n_iter) == () else 0))
        read, dtype = [x.astype(jnp.int32)[None] for x in facts], None
        if isinstance(answer, Solution):
            measure = jnp.asarray(worst(answer.certificate.measures))
            read.append(lax.bitcast_convert_type(measure, jnp.int32).reshape(-1))
            dtype = np.dtype(measure.dtype)
        form = _Form(answer, taken, dtype, given)
        return cls(form.own(answer), jnp.concat(read), form)

    def answer(self, tol: float | None, given: list[Any]) -> Any:
        """The answer for this tolerance and these arguments, settled; `_UNKNOWN` where an assumption is false."""
        arrays = self.form.joined(self.arrays, given)
        if self.read is None or not _is_concrete_jax(self.read):  # nothing to read, or a program inside of another
            return self.form.filled(arrays)
        facts = np.asarray(self.read)  # the one host read
        return self.form.settled(arrays, facts, tol) if facts[0] else _UNKNOWN


class _Form:
    """What is known of an answer before it is computed."""

    def __init__(self, answer: Any, taken: Assumptions, dtype: Any, given: list[Any]) -> None:
        places = {id(x): i for i, x in enumerate(given)}
        self._places = [places.get(id(x)) for x in arrays_in(answer)]  # of those that are arguments: none is copied
        self._hollow = hollow(answer) if isinstance(answer, Solution) else map_arrays(_stand_in, answer)
        self._name, self._decided, self._iterative = taken.name, taken.decided, taken.stopped is not None
        self._dtype = dtype
        self._parts = []  # of a solution: a name, the value without arrays, and how many arrays it has
        if isinstance(answer, Solution):
            for f in fields(answer):
                value = getattr(answer, f.name)
                self._parts.append((f.name, getattr(self._hollow, f.name), len(arrays_in(value)), is_array(value)))

    def own(self, answer: Any) -> list[Any]:
        """The arrays of the answer that are no arguments."""
        return [x for x, place in zip(arrays_in(answer), self._places, strict=True) if place is None]

    def joined(self, own: list[Any], given: list[Any]) -> list[Any]:
        """All arrays of the answer."""
        left = iter(own)
        return [next(left) if place is None else given[place] for place in self._places]

    def filled(self, arrays: list[Any]) -> Any:
        """The answer with its arrays."""
        if self._parts:
            return type(self._hollow)(**self._fields(arrays))
        left = iter(arrays)
        return map_arrays(lambda _: next(left), self._hollow)

    def _fields(self, arrays: list[Any]) -> dict[str, Any]:
        found, left = {}, iter(arrays)
        for name, value, count, alone in self._parts:
            if alone:
                value = next(left)
            elif count:
                value = map_arrays(lambda _: next(left), value)
            found[name] = value
        return found

    def settled(self, arrays: list[Any], facts: Any, tol: float | None) -> Any:
        """The same with its status, and with a warning where it is not converged."""
        if self._dtype is None:
            return self.filled(arrays)
        values = self._fields(arrays)
        certificate, measure = values["certificate"], float(facts[3:].view(self._dtype)[0])
        if is_array(certificate.tol):
            vars(certificate)["tol"] = tol
        converged = certified(measure, certificate.tol) is Status.CONVERGED
        if not converged and not (facts[1] and self._decided and math.isfinite(measure)):
            return _UNKNOWN
        vars(certificate)["value"] = measure
        if is_array(values["n_iter"]) and values["n_iter"].ndim == 0:
            values["n_iter"] = int(facts[2])
        if "host_reads" in values["stats"]:
            values["stats"] = {**values["stats"], "host_reads": 1}
        if converged:
            return type(self._hollow)(**values)
        return finish(self._name, measure=measure, reason="max_iter", cls=type(self._hollow), **values)


def _stand_in(x: Any) -> Any:
    """An array like x of one number, for objects that look at the shapes of their arrays when they are filled."""
    return np.broadcast_to(np.zeros((), np.dtype(x.dtype)), x.shape)


def _register() -> None:
    if _Outcome not in _registered:
        import jax

        _registered.add(_Outcome)
        jax.tree_util.register_pytree_node(
            _Outcome, lambda x: ((x.arrays, x.read), x.form), lambda form, parts: _Outcome(parts[0], parts[1], form)
        )


_registered: set[type] = set()
