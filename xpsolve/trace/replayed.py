"""What the steps of a loop would start on CuPy where they are replayed, counted on any library.

A step is recorded as it would be there, on the arrays of the counter, which says what every operation starts; the
kernels of `xpsolve.trace.fuse` are one each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array
from xpsolve.arrays.loops import plainly
from xpsolve.trace import repeat
from xpsolve.trace.closures import CannotRecord
from xpsolve.trace.count import Counter, Tally
from xpsolve.trace.fuse import Kernel
from xpsolve.trace.passes import hoisted
from xpsolve.trace.program import Operation, Value
from xpsolve.trace.record import Recorded, Recorder, record_leaves
from xpsolve.trace.replay import reduced
from xpsolve.trace.replay_cupy import CupyWriter, expanded, unchanged
from xpsolve.trace.wrapper import arrays_in


class CountedSteps:
    """Takes the steps of a loop, and notes what they start and what their replay would.

    Parameters
    ----------
    counter : Counter
        Of the arrays of the state.
    step : callable
        State to state; pure.
    """

    def __init__(self, counter: Counter, step: Callable[[Any], Any]) -> None:
        self._counter, self._step, self._plain = counter, step, plainly(step)
        self._taken = self._saved = 0
        self._tried = False
        self._long = False  # whether a recording has been made, which later calls find
        self._launches: tuple[int, int] | None = None  # before the steps, and of each

    def __call__(self, state: Any, steps: int, left: int) -> Any:
        """The state after so many steps."""
        tally = self._counter.tally
        if not self._tried and self._taken >= repeat.SOON:
            self._launches, self._tried = self._recorded(state), True
        before = tally.launches
        self._long = self._long or self._taken >= repeat._LONG <= left
        after = self._plain(state, steps, left)
        if self._launches is not None and self._taken >= repeat.SOON:
            first, each = self._launches
            self._saved += tally.launches - before - first - steps * each
            name = getattr(self._step, "__qualname__", repr(self._step))
            tally.steps[name] = (tally.launches - before) // steps, each
        if self._long:
            tally.replayed, self._saved = tally.replayed - self._saved, 0
        self._taken += steps
        return after

    def _recorded(self, state: Any) -> tuple[int, int] | None:
        """Launches before the steps and of each; None where the step cannot be recorded."""
        counter = self._counter
        kept, counter.tally = counter.tally, Tally()
        recorders: list[_Launches] = []

        def recorder(_: Any) -> _Launches:
            recorders.append(_Launches(counter))
            return recorders[0]

        try:
            _, program = record_leaves(self._step, (state,), arrays_in(state), recorder=recorder)
            repeat.check_outputs(state, program.outputs)
        except Exception:  # whatever a step does not take in this form, it is not replayed
            return None
        finally:
            counter.tally = kept
        closed = tuple(recorders[0].closed)  # inputs too: what is made of them is made whenever a replay begins
        program = reduced(dataclasses.replace(program, inputs=(*program.inputs, *closed)))
        writer = CupyWriter(expanded(program, unchanged(program)))
        parts = hoisted(writer.program, unchanged(writer.program))
        writer.begin(*parts)
        first, each = (sum(map(recorders[0].of, writer.units(part))) for part in parts)
        return first, each


class _Launches(Recorder):
    """Records for CuPy, and notes what the counter inside counts for each operation."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.namespace)
        self._library = "cupy"
        self._counter = counter
        self._counted: dict[tuple[str, Value], int] = {}
        self.closed: list[Value] = []

    def wrap(self, value: Array) -> Recorded:
        """An array that the step closes over."""
        x = self.made(value)
        self.closed.append(x._mark)  # type: ignore[arg-type]
        return x

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation, note it, and what it started."""
        if any(hasattr(x, "nnz") for x in args):
            message = "a sparse matrix cannot be looked into"
            raise CannotRecord(message)
        before, count = self._counter.tally.launches, len(self.operations)
        result = super().apply(name, function, args, kwargs)
        if len(self.operations) > count:
            started = self._counter.tally.launches - before
            made = self.operations[-1]
            self._counted.update({(made.name, value): started for value in made.makes()})
        return result

    def of(self, unit: Operation | Kernel) -> int:
        """Launches of an operation, or of a kernel."""
        if isinstance(unit, Kernel):
            return 1
        added = int(unit.name != "reshape")  # those that a pass adds are views
        return self._counted.get((unit.name, unit.makes()[0]), added) if unit.makes() else 0
