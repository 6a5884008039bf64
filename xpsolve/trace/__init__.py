"""Arrays that wrap arrays: the generic wrapper, the operation counter and the memory account."""

from xpsolve.trace.count import Counter, OpTally, Tally, count, host_read
import xpsolve.trace.repeat  # noqa: F401  (registers the replay of steps)
from xpsolve.trace.live import peak_bytes
from xpsolve.trace.wrapper import (
    Interpreter,
    WrappedArray,
    WrappedNamespace,
    arrays_in,
    is_plain,
    lift_all,
    map_arrays,
    shapes_in,
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
    "host_read",
    "is_plain",
    "lift_all",
    "map_arrays",
    "peak_bytes",
    "shapes_in",
]
