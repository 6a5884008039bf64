"""The steps of the one loop, recorded once and replayed: registered with `xpsolve.arrays.loops.replayed`.

A recording is a function of the state and of the arrays that the step closes over, so that it serves all later calls
with arrays of the same shapes: `Signature` says which they are.  A step is recorded while it is taken, in a run that is
long already.  What cannot be recorded is taken as it is: code of others, which may be more than a function, and a state
that is more than arrays in tuples, and numbers that stay the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xpsolve.arrays import Array, Namespace
from xpsolve.arrays.loops import checked, plainly, replayed
from xpsolve.trace.closures import CannotRecord, Signature
from xpsolve.trace.leaves import split
from xpsolve.trace.program import Program, Value
from xpsolve.trace.record import Recorder, record_leaves
from xpsolve.trace.replay import Pool, Writer, reduced
from xpsolve.trace.replay_numpy import NumpyWriter

SOON = 20  # steps after which a recording is looked for
_LONG = 40  # steps after which one is made, where as many may come; doubled by each one that found no use
_SOON_CHECKED, _LONG_CHECKED = 4, 8  # the same for checks
_KEPT = 16  # recordings of one function
_SMALL = 2**23  # bytes that a recording may keep

_recordings: WeakKeyDictionary[CodeType, OrderedDict[Any, Pool | None]] = WeakKeyDictionary()  # None: in vain
_unused: WeakKeyDictionary[CodeType, int] = WeakKeyDictionary()  # recordings more than were used again


class _Recording:
    """A function of a state, recorded or not.

    Parameters
    ----------
    f : callable
        Pure.
    code : code
        Under which its recordings are kept.
    writer : callable
        From a program to what writes it for a library.
    recorder : callable
        From the namespace of the arrays to what records the function.
    """

    loops = False

    def __init__(
        self,
        f: Callable[[Any], Any],
        code: CodeType,
        writer: Callable[[Program], Writer],
        recorder: Callable[[Namespace], Recorder] = Recorder,
    ) -> None:
        self._f, self._code, self._writer, self._recorder = f, code, writer, recorder
        self._off = False
        self._closed: list[Array] = []
        self._signature: Signature | None = None
        self._pool: Pool | None = None
        self._key: Any = None

    def _factor(self) -> int:
        return 1 << _unused.get(self._code, 0)

    def _begin(self, state: Any, *, long: bool) -> Any:
        """Find a recording; make one where the run is long, and return what f gives for this state, otherwise None."""
        known = _recordings.get(self._code)
        if not long and not known:
            return None
        leaves, key = _split(state)
        try:
            self._signature = signature = self._signature or Signature(self._f)
            self._closed = [np.asarray(x) if isinstance(x, np.generic) else x for x in signature.arrays]
            self._off = signature.foreign
        except CannotRecord:
            self._off = True
        if self._off or not leaves:
            return None
        self._key, full, result = key, (key, signature.key), None
        if known and full in known:
            self._pool = known[full]
            known.move_to_end(full)
            _unused[self._code] = max(0, _unused.get(self._code, 0) - 1)
        elif long:
            result = self._recorded(state, leaves)
            if self._pool is None or self._pool.nbytes <= _SMALL:
                self._keep(full)
        else:
            return None
        self._off = self._pool is None
        return result

    def _recorded(self, state: Any, leaves: list[Array]) -> Any:
        try:
            result, program = record_leaves(self._f, (state,), leaves, self._closed, recorder=self._recorder)
            if self.loops:
                check_outputs(state, program.outputs)
        except Exception:  # whatever the function does not take in this form, it is right as it is
            return None
        writer, loops = self._writer, self.loops
        self._pool = Pool(reduced(program), lambda program: writer(program).loop() if loops else writer(program).once())
        return result

    def _keep(self, full: Any) -> None:
        known = _recordings.setdefault(self._code, OrderedDict())
        known[full] = self._pool
        _unused[self._code] = min(_unused.get(self._code, -1) + 1, 8)
        if len(known) > _KEPT:
            known.popitem(last=False)


class Repeated(_Recording):
    """Takes steps, by replay where they are recorded."""

    loops = True
    _taken = 0

    def __call__(self, state: Any, steps: int, left: int) -> Any:
        """The state after so many steps, when at most `left` are to come, these included."""
        if not self._off:
            if self._pool is None and self._taken >= SOON:
                after = self._begin(state, long=self._taken >= _LONG * self._factor() <= left)
                if after is not None:
                    state, steps = after, steps - 1
            if self._pool is not None and steps:
                leaves, key = _split(state)
                if key == self._key:
                    return self._pool(steps, *leaves, *self._closed)
        self._taken += steps
        for _ in range(steps):
            state = self._f(state)
        return state


class Checked(_Recording):
    """Computes what is looked at between steps, by replay where that is recorded."""

    _calls = 0

    def __call__(self, state: Any) -> Any:
        """What f returns."""
        if not self._off:
            if self._pool is None and self._calls >= _SOON_CHECKED:
                result = self._begin(state, long=self._calls >= _LONG_CHECKED * self._factor())
                if result is not None:
                    return result
            if self._pool is not None:
                leaves, key = _split(state)
                if key == self._key:
                    return self._pool(*leaves, *self._closed)
        self._calls += 1
        return self._f(state)


def _split(state: Any) -> tuple[list[Array], Any]:
    try:
        return split(state)
    except TypeError:  # an array that wraps another
        return [], None


def check_outputs(state: Any, outputs: Any) -> None:
    """Raise unless a step gives a state like the one it got."""
    if isinstance(outputs, Value):
        fits = (outputs.shape, outputs.dtype) == (getattr(state, "shape", None), getattr(state, "dtype", None))
    elif isinstance(state, tuple | list):
        fits = type(outputs) is type(state) and len(outputs) == len(state)
        for old, new in zip(state, outputs, strict=True) if fits else ():
            check_outputs(old, new)
    else:
        plain = isinstance(state, bool | int | float | str | type(None)) and not isinstance(state, np.generic)
        fits = plain and type(outputs) is type(state) and repr(state) == repr(outputs)
    if not fits:
        message = f"a step changes its state from {state!r} to {outputs!r}, which is not of fixed arrays"
        raise CannotRecord(message)


def _code_of(f: Any) -> CodeType | None:
    return getattr(getattr(f, "__func__", f), "__code__", None)


def steps_of(
    step: Callable[[Any], Any],
    writer: Callable[[Program], Writer],
    recorder: Callable[[Namespace], Recorder] = Recorder,
) -> Callable[[Any, int, int], Any]:
    """``advance(state, steps, left)`` by replay, for a step that is a function of Python."""
    code = _code_of(step)
    return plainly(step) if code is None else Repeated(step, code, writer, recorder)


def checks_of(
    check: Callable[[Any], Any],
    measure: Callable[[Any], Any],
    writer: Callable[[Program], Writer],
    recorder: Callable[[Namespace], Recorder] = Recorder,
) -> Callable[[Any], Any]:
    """The same of a check, whose recordings are kept with its measure."""
    code = _code_of(measure)
    return check if code is None else Checked(check, code, writer, recorder)


def _torch(program: Program) -> Writer:
    return Writer(program, "torch")


@replayed.register("numpy")
def _replayed_numpy(like: Array, step: Callable[[Any], Any]) -> Callable[[Any, int, int], Any]:
    return steps_of(step, NumpyWriter)


@replayed.register("torch")
def _replayed_torch(like: Array, step: Callable[[Any], Any]) -> Callable[[Any, int, int], Any]:
    return steps_of(step, _torch)


@checked.register("numpy")
def _checked_numpy(like: Array, check: Callable[[Any], Any], measure: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return checks_of(check, measure, NumpyWriter)


@checked.register("torch")
def _checked_torch(like: Array, check: Callable[[Any], Any], measure: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return checks_of(check, measure, _torch)
