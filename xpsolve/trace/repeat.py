"""The steps of the one loop, recorded once and replayed: registered with `xpsolve.arrays.loops.replayed`.

A recording is a function of the state and of the arrays that the step closes over, so that it serves all later calls
with arrays of the same shapes: `Signature` says which they are.  A step is recorded while it is taken, in a run that is
long already.  What cannot be recorded is taken as it is: code of others, which may be more than a function, and a state
that is more than arrays in tuples, and numbers that stay the same.  The digits are those of the plain steps, but for
rounding where a step has a shorter way for NumPy alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from types import CodeType, FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xpsolve.arrays import Array, Namespace, is_array, namespace_of
from xpsolve.arrays.loops import plainly, replayed
from xpsolve.trace.closures import CannotRecord, Signature
from xpsolve.trace.launches import strides_of
from xpsolve.trace.leaves import split
from xpsolve.trace.program import Program, Value
from xpsolve.trace.record import Recorder, record_leaves
from xpsolve.trace.replay import Pool, Writer, reduced
from xpsolve.trace.replay_cupy import CupyWriter
from xpsolve.trace.replay_numpy import NumpyWriter

SOON = 40  # steps after which a recording is looked for
_LONG = 40  # steps after which one is made, where as many may come; doubled by each one that found no use
_KEPT = 16  # recordings of one step
_SMALL = 2**20  # bytes that a recording may keep

_recordings: WeakKeyDictionary[CodeType, OrderedDict[Any, Pool | None]] = WeakKeyDictionary()  # None: in vain
_unused: WeakKeyDictionary[CodeType, int] = WeakKeyDictionary()  # recordings more than were used again
_lock = Lock()  # around both: solvers run in threads


class Repeated:
    """Takes steps, by replay where they are recorded.

    Parameters
    ----------
    step : callable
        State to state; pure.
    writer : callable
        From a program to what writes it for a library.
    recorder : callable, optional
        From the namespace of the arrays to what records the step.
    """

    def __init__(
        self,
        step: FunctionType | MethodType,
        writer: Callable[[Program], Writer],
        recorder: Callable[[Namespace], Recorder] = Recorder,
    ) -> None:
        self._step, self._writer, self._recorder = step, writer, recorder
        self._plain = plainly(step)
        self._taken = 0
        self._code = getattr(step, "__func__", step).__code__
        self._off = False
        self._closed: list[Array] = []
        self._signature: Signature | None = None
        self._pool: Pool | None = None
        self._key: Any = None

    def __call__(self, state: Any, steps: int, left: int) -> Any:
        """The state after so many steps, when at most `left` are to come, these included."""
        if not self._off:
            if self._pool is None and self._taken >= SOON:
                long = self._taken >= _LONG << _unused.get(self._code, 0) <= left
                state, steps = self._begin(state, steps, long=long)
            if self._pool is not None and steps:
                leaves, key = _split(state)
                if key == self._key:
                    return self._pool(steps, *leaves, *self._closed)
        self._taken += steps
        return self._plain(state, steps, left)

    def _begin(self, state: Any, steps: int, *, long: bool) -> tuple[Any, int]:
        """Find a recording; in a long run make one, which takes the first of the steps."""
        known = _recordings.get(self._code)
        if not long and not (known and any(list(known.values()))):
            return state, steps
        leaves, key = _split(state)
        try:
            self._signature = signature = self._signature or Signature(self._step)
            self._closed = [np.asarray(x) if isinstance(x, np.generic) else x for x in signature.arrays]
            self._off = signature.foreign or len({namespace_of(x) for x in (*leaves, *self._closed)}) > 1
        except CannotRecord:
            self._off = True
        if self._off or not leaves:
            return state, steps
        self._key, full = key, (key, signature.key)
        if not self._found(known, full):
            if not long:
                return state, steps
            state, steps, self._pool = self._recorded(state, steps, leaves, signature.arrays)
            if self._pool is None or self._pool.nbytes <= _SMALL:
                self._keep(full)
        self._off = self._pool is None
        return state, steps

    def _found(self, known: OrderedDict[Any, Pool | None] | None, full: Any) -> bool:
        """Take a recording that is there."""
        with _lock:
            if not known or full not in known:
                return False
            self._pool = known[full]
            known.move_to_end(full)
            _unused[self._code] = max(0, _unused.get(self._code, 0) - 1)
            return True

    def _recorded(
        self, state: Any, steps: int, leaves: list[Array], closed: list[Array]
    ) -> tuple[Any, int, Pool | None]:
        try:
            after, program = record_leaves(self._step, (state,), leaves, closed, recorder=self._recorder)
            check_outputs(state, program.outputs)
        except Exception:  # whatever the step does not take in this form, it is right as it is
            return state, steps, None
        return after, steps - 1, Pool(reduced(program), lambda program: self._writer(program).loop())

    def _keep(self, full: Any) -> None:
        with _lock:
            known = _recordings.setdefault(self._code, OrderedDict())
            known[full] = self._pool
            _unused[self._code] = min(_unused.get(self._code, -1) + 1, 8)
            if len(known) > _KEPT:
                known.popitem(last=False)


def _split(state: Any) -> tuple[list[Array], Any]:
    try:
        return split(state)
    except TypeError:  # an array that wraps another
        return [], None


def _lie_alike(value: Value, x: Array) -> bool:
    """Whether the numbers lie in memory in the same order: the next step would round in another way otherwise."""
    strides = strides_of(x) if is_array(x) else ()
    if value.strides is None or strides is None:
        return True
    return all(a == b for a, b, length in zip(value.strides, strides, value.shape, strict=True) if length > 1)


def check_outputs(state: Any, outputs: Any) -> None:
    """Raise unless a step gives a state like the one it got."""
    if isinstance(outputs, Value):
        fits = (outputs.shape, outputs.dtype) == (getattr(state, "shape", None), getattr(state, "dtype", None))
        fits = fits and _lie_alike(outputs, state)
    elif isinstance(state, tuple | list):
        fits = type(outputs) is type(state) and len(outputs) == len(state)
        for old, new in zip(state, outputs, strict=True) if fits else ():
            check_outputs(old, new)
    else:
        plain = isinstance(state, bool | int | float | str | type(None)) and not isinstance(state, np.generic)
        fits = plain and type(outputs) is type(state) and repr(state) == repr(outputs)
    if not fits:
        message = f"a step changes its state from {state!r} to {outputs!r}, which is not of arrays that stay alike"
        raise CannotRecord(message)


def repeated(
    step: Callable[[Any], Any],
    writer: Callable[[Program], Writer],
    recorder: Callable[[Namespace], Recorder] = Recorder,
) -> Callable[[Any, int, int], Any]:
    """``advance(state, steps, left)`` by replay, for a step that is a function of Python."""
    return Repeated(step, writer, recorder) if isinstance(step, FunctionType | MethodType) else plainly(step)


@replayed.register("numpy")
def _repeated_numpy(like: Array, step: Callable[[Any], Any]) -> Callable[[Any, int, int], Any]:
    return repeated(step, NumpyWriter)


@replayed.register("torch")
def _repeated_torch(like: Array, step: Callable[[Any], Any]) -> Callable[[Any, int, int], Any]:
    return repeated(step, lambda program: Writer(program, "torch"))


@replayed.register("cupy")
def _repeated_cupy(like: Array, step: Callable[[Any], Any]) -> Callable[[Any, int, int], Any]:
    return repeated(step, CupyWriter)
