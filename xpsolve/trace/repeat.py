"""The steps of the one loop, recorded once and replayed: registered with `xpsolve.arrays.loops.replayed`.

A recording is a function of the state and of the arrays that the step closes over, so that it serves all later calls
with arrays of the same shapes: `Signature` says which they are.  A step is recorded while it is taken, in a run that is
long already.  What cannot be recorded is taken as it is; so is a state that is more than arrays in tuples, and numbers
that stay the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xpsolve.arrays import Array, Namespace
from xpsolve.arrays.loops import plainly, replayed
from xpsolve.trace.closures import Signature
from xpsolve.trace.leaves import split
from xpsolve.trace.program import Program, Value
from xpsolve.trace.record import CannotRecord, Recorder, record_leaves
from xpsolve.trace.replay import Pool, Writer, reduced
from xpsolve.trace.replay_cupy import CupyWriter, recorder_for_cupy
from xpsolve.trace.replay_numpy import NumpyWriter

SOON = 10  # steps after which a recording is looked for
_LONG = 40  # steps after which one is made, where as many may come; doubled by each one that found no use
_KEPT = 16  # recordings of one step
_SMALL = 2**23  # bytes that a recording may keep

_recordings: WeakKeyDictionary[CodeType, OrderedDict[Any, Pool]] = WeakKeyDictionary()
_unused: WeakKeyDictionary[CodeType, int] = WeakKeyDictionary()  # recordings more than were used again
_in_vain: WeakKeyDictionary[CodeType, str] = WeakKeyDictionary()  # why a step could not be recorded


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
        step: Callable[[Any], Any],
        writer: Callable[[Program], Writer],
        recorder: Callable[[Namespace], Recorder] = Recorder,
    ) -> None:
        self._step, self._writer, self._recorder = step, writer, recorder
        self._plain = plainly(step)
        self._taken = 0
        self._code = getattr(step, "__code__", None)
        self._off = self._code is None or self._code in _in_vain
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
                leaves, key = split(state)
                if key == self._key:
                    return self._pool(steps, *leaves, *self._closed)
        self._taken += steps
        return self._plain(state, steps, left)

    def _begin(self, state: Any, steps: int, *, long: bool) -> tuple[Any, int]:
        """Find a recording; in a long run make one, which takes the first of the steps."""
        known = _recordings.get(self._code)  # type: ignore[arg-type]
        if not long and not known:
            return state, steps
        leaves, key = split(state)
        if self._signature is None:
            try:
                self._signature = Signature(self._step)
            except TypeError as error:
                return self._failed(error, state, steps)
            self._closed = [np.asarray(x) if isinstance(x, np.generic) else x for x in self._signature.arrays]
        self._key = key
        full = (key, self._signature.key)
        if known and full in known:
            self._pool = known[full]
            known.move_to_end(full)
            _unused[self._code] = max(0, _unused.get(self._code, 0) - 1)
            return state, steps
        if not long:
            return state, steps
        try:
            after, program = record_leaves(self._step, (state,), leaves, self._signature.arrays, recorder=self._recorder)
            check_outputs(state, program.outputs)
        except Exception as error:  # whatever the step does not take in this form, it is right as it is
            return self._failed(error, state, steps)
        self._pool = Pool(reduced(program), lambda program: self._writer(program).loop())
        if self._pool.nbytes <= _SMALL:
            known = _recordings.setdefault(self._code, OrderedDict())  # type: ignore[arg-type]
            known[full] = self._pool
            _unused[self._code] = min(_unused.get(self._code, -1) + 1, 8)
            if len(known) > _KEPT:
                known.popitem(last=False)
        return after, steps - 1

    def _failed(self, error: Exception, state: Any, steps: int) -> tuple[Any, int]:
        _in_vain[self._code] = f"{type(error).__name__}: {error}"  # type: ignore[index]
        self._off = True
        return state, steps


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


@replayed.register("numpy")
def _repeated_numpy(like: Array, step: Callable[[Any], Any]) -> Repeated:
    return Repeated(step, NumpyWriter)


@replayed.register("torch")
def _repeated_torch(like: Array, step: Callable[[Any], Any]) -> Repeated:
    return Repeated(step, lambda program: Writer(program, "torch"))


@replayed.register("cupy")
def _repeated_cupy(like: Array, step: Callable[[Any], Any]) -> Repeated:
    return Repeated(step, CupyWriter, recorder_for_cupy)
