"""New arrays beside those of the caller: CuPy makes them on the current device, whatever `device` it is given."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

_NOTHING: AbstractContextManager[Any] = nullcontext()


def beside(*arguments: Any) -> AbstractContextManager[Any]:
    """The device of CuPy's arrays in the arguments as the current one; nothing where there is one device, or no CuPy.

    Searches tuples, lists, dicts, and objects of this package.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays.current_device import beside
    >>> with beside(np.ones(3)):
    ...     pass
    """
    cupy = sys.modules.get("cupy")
    if cupy is None or not cupy.cuda.is_available() or cupy.cuda.runtime.getDeviceCount() < 2:
        return _NOTHING
    device = _device_in(arguments)
    return _NOTHING if device is None else cupy.cuda.Device(device)


def _device_in(x: Any) -> Any:
    library = type(x).__module__.partition(".")[0]
    if library == "cupy":
        return getattr(x, "device", None)
    if library == "cupyx":  # a sparse matrix
        return _device_in(x.data)
    if library == "xpsolve":
        x = x.__xpsolve_value__ if hasattr(x, "__xpsolve_value__") else getattr(x, "__dict__", ())
    if isinstance(x, dict):
        x = tuple(x.values())
    elif type(x).__module__.partition(".")[0] in ("cupy", "xpsolve"):
        return _device_in(x)
    if isinstance(x, tuple | list):
        return next((device for item in x if (device := _device_in(item)) is not None), None)
    return None
