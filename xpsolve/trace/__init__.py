"""Floor 1: arrays that wrap arrays.  The generic wrapper and the operation counter."""

from xpsolve.trace.count import Counter, OpTally, Tally, count
from xpsolve.trace.wrapper import (
    Interpreter,
    WrappedArray,
    WrappedNamespace,
    arrays_in,
    lift_all,
    map_arrays,
)

__all__ = [
    "Counter",
    "Interpreter",
    "OpTally",
    "Tally",
    "WrappedArray",
    "WrappedNamespace",
    "arrays_in",
    "count",
    "lift_all",
    "map_arrays",
]
