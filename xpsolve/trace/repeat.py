"""The steps of the one loop, recorded once and replayed: registered with `xpsolve.arrays.loops.replayed`.

A step is recorded while it is taken.  What cannot be recorded is taken as it is; so is a state that is more than arrays
in plain containers and numbers that stay the same.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np

from xpsolve.arrays import Array, is_array
from xpsolve.arrays.loops import plainly, replayed
from xpsolve.trace.program import Program, Value
from xpsolve.trace.record import CannotRecord, record
from xpsolve.trace.replay import Run, Writer, reduced
from xpsolve.trace.replay_cupy import OPENED, CupyWriter
from xpsolve.trace.replay_numpy import NumpyWriter
from xpsolve.trace.wrapper import arrays_in, map_arrays

State = TypeVar("State", bound=tuple[Any, ...])

_in_vain: WeakSet[CodeType] = WeakSet()  # steps that could not be recorded before


class Repeated:
    """Takes steps: the first one while it is recorded, all others by replay.

    Parameters
    ----------
    step : callable
        State to state; pure.
    writer : callable
        From a program to what writes it for a library.
    opened : callable, optional
        As that of `record`.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        writer: Callable[[Program], Writer],
        opened: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self._step, self._writer, self._opened = step, writer, opened
        self._run: Run | None = None
        self._plain = plainly(step)
        code = getattr(step, "__code__", None)
        self._tried = code is None or code in _in_vain

    def __call__(self, state: State, steps: int) -> State:
        """The state after so many steps."""
        if self._run is None and self._tried:
            return self._plain(state, steps)  # type: ignore[return-value]
        state = map_arrays(np.asarray, state, leaf=_is_number)
        if not self._tried:
            state, steps = self._recorded(state), steps - 1
        if self._run is None:
            return self._plain(state, steps)  # type: ignore[return-value]
        if not steps:
            return state
        found = iter(self._run(steps, *arrays_in(state)))
        return map_arrays(lambda _: next(found), state)  # type: ignore[no-any-return]

    def _recorded(self, state: State) -> State:
        self._tried = True
        try:
            after, program = record(self._step, state, opened=self._opened)
            _check(state, program.outputs)
        except Exception:  # whatever a step does not take in this form, it is right as it is
            _in_vain.add(self._step.__code__)
            return self._step(state)  # type: ignore[no-any-return]
        self._run = self._writer(reduced(program)).loop()
        return after  # type: ignore[no-any-return]


def _is_number(x: Any) -> bool:
    return isinstance(x, np.generic)


def _check(state: Any, outputs: Any) -> None:
    """Raise unless a step gives a state like the one it got."""
    if is_array(state):
        fits = isinstance(outputs, Value) and (outputs.shape, outputs.dtype) == (tuple(state.shape), state.dtype)
    elif isinstance(state, tuple | list):
        fits = type(outputs) is type(state) and len(outputs) == len(state)
        for old, new in zip(state, outputs, strict=True) if fits else ():
            _check(old, new)
    elif isinstance(state, dict):
        fits = type(outputs) is dict and outputs.keys() == state.keys()
        for key in state if fits else ():
            _check(state[key], outputs[key])
    else:
        same = isinstance(state, bool | int | float | str | type(None)) and type(outputs) is type(state)
        fits = same and (state == outputs or (state != state and outputs != outputs))
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
    return Repeated(step, CupyWriter, OPENED.__contains__)
