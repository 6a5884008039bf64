"""Arrays that wrap arrays: the generic wrapper, the operation counter, the memory account, and the recorder."""

import xpsolve.trace.repeat  # noqa: F401  (registers the replay of steps)
from xpsolve.trace.compiled import Compiled, compiled
from xpsolve.trace.count import Counter, OpTally, Tally, count, host_read
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
    "Compiled",
    "Counter",
    "Interpreter",
    "OpTally",
    "Tally",
    "WrappedArray",
    "WrappedNamespace",
    "arrays_in",
    "compiled",
    "count",
    "host_read",
    "is_plain",
    "lift_all",
    "map_arrays",
    "peak_bytes",
    "shapes_in",
]
