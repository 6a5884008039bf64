"""The array libraries that xpsolve runs on: which are installed, on which device, and how to wait for it.

Nothing is imported before it is needed: listing the names costs nothing, and examining one
backend imports that one library.  Whether a device really works is tried, not guessed: CuPy without
a driver imports like any other package and fails at the first array.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np

NAMES = ("numpy", "cupy", "torch", "torch-cuda", "jax", "jax-gpu", "dask", "array-api-strict")
"""Every backend there is, installed or not, in the order of tables."""


@dataclass(frozen=True)
class Backend:
    """One array library on one kind of device.

    Parameters
    ----------
    name : str
        Its name, one of `NAMES`.
    library : str
        The module that is imported.
    namespace_name : str
        The array-API namespace for its arrays.
    kind : str
        The kind of device: "cpu" or "gpu".

    Examples
    --------
    >>> from xpsolve.arrays import backends
    >>> numpy = backends.get("numpy")
    >>> numpy.available, numpy.devices()
    (True, ['cpu'])
    """

    name: str
    library: str
    namespace_name: str
    kind: str = "cpu"
    _probe: Callable[[], list[Any]] = field(default=lambda: ["cpu"], repr=False)
    _synchronize: Callable[[Any], None] = field(default=lambda x: None, repr=False)
    _memory: Callable[[], dict[str, int] | None] = field(default=lambda: None, repr=False)
    _info: Callable[[], dict[str, str]] = field(default=dict, repr=False)

    @cached_property
    def reason(self) -> str:
        """Why the backend cannot be used, or "" where it can."""
        if importlib.util.find_spec(self.library) is None:
            return f"{self.library} is not installed"
        try:
            return "" if self._probe() else f"{self.library} finds no {self.kind} device"
        except Exception as error:  # a broken driver may raise anything; its message is the reason
            return f"{type(error).__name__}: {_first_line(error)}"

    @property
    def available(self) -> bool:
        """Whether arrays can be made and computed with."""
        return not self.reason

    @property
    def version(self) -> str | None:
        """The version of the library, None where it is not installed."""
        if importlib.util.find_spec(self.library) is None:
            return None
        return str(getattr(importlib.import_module(self.library), "__version__", "unknown"))

    @property
    def namespace(self) -> ModuleType:
        """The array-API namespace of its arrays."""
        return importlib.import_module(self.namespace_name)

    @cached_property
    def _devices(self) -> list[Any]:
        if not self.available:
            message = f"backend {self.name!r} is not available: {self.reason}."
            raise RuntimeError(message)
        return self._probe()

    def devices(self) -> list[str]:
        """Names of the devices it can put arrays on; the first is the default."""
        return [str(device) for device in self._devices]

    def asarray(self, host: Any, dtype: str | None = None, device: Any = None) -> Any:
        """Move a NumPy array (or nested lists) to a device of this backend.

        Parameters
        ----------
        host : numpy.ndarray or nested lists
            The values.
        dtype : str, optional
            Name of the dtype, as "float32"; None keeps that of `host`.
        device : device, optional
            Where to; None is the first device.

        Returns
        -------
        array
            An array of this backend.

        Examples
        --------
        >>> from xpsolve.arrays import backends
        >>> backends.get("numpy").asarray([1, 2], dtype="float32")
        array([1., 2.], dtype=float32)
        """
        values = np.asarray(host) if dtype is None else np.asarray(host, dtype=dtype)
        if not values.flags.writeable:  # some libraries share the memory, and then could write to it
            values = values.copy()
        target = self._devices[0] if device is None else device
        if self.library in ("cupy", "dask"):  # their `asarray` does not accept our device
            return self.namespace.asarray(values)
        return self.namespace.asarray(values, device=target)

    def to_numpy(self, x: Any) -> Any:
        """Bring an array of this backend to the host (for tests, benchmarks and reports)."""
        return to_numpy(x)

    def synchronize(self, x: Any = None) -> None:
        """Wait until the device has finished; where work is lazy, until `x` is computed."""
        self._synchronize(x)

    def memory(self) -> dict[str, int] | None:
        """Bytes ``{"used", "total"}`` of the device's own memory, None where it shares the host's."""
        return self._memory() if self.available else None

    def device_info(self) -> dict[str, str]:
        """Name, driver and toolkit of the device, empty on a CPU."""
        return self._info() if self.available else {}


def to_numpy(x: Any) -> Any:
    """Copy an array of any known library to a NumPy array on the host."""
    if isinstance(x, np.ndarray):
        return x
    library = type(x).__module__.split(".")[0]
    if library == "cupy":
        return x.get()
    if library == "torch":
        return x.detach().cpu().numpy()
    if library == "array_api_strict":
        return np.array(np.from_dlpack(x.to_device(_strict_cpu())))
    return np.asarray(x)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "no message"


# --- what each library does natively ---------------------------------------------------------------


def _cupy_probe() -> list[Any]:
    import cupy

    if not cupy.cuda.is_available():
        raise RuntimeError("no CUDA driver or device was found")
    try:
        found = int(cupy.sum(cupy.arange(4) * 2))  # compiles and starts kernels, which a driver alone cannot
    except Exception as error:
        message = (
            f"a CUDA device was found, but no kernel runs on it ({type(error).__name__}: {_first_line(error)}). "
            f'Install the CUDA toolkit beside CuPy, with NVRTC: pip install "cupy-cuda12x[ctk]" or "cupy-cuda13x[ctk]"'
        )
        raise RuntimeError(message) from error
    if found != 12:
        message = f"the CUDA device computes wrong numbers (0 + 2 + 4 + 6 = {found})"
        raise RuntimeError(message)
    return [cupy.cuda.Device(i) for i in range(cupy.cuda.runtime.getDeviceCount())]


def _cupy_memory() -> dict[str, int] | None:
    import cupy

    _, total = cupy.cuda.Device().mem_info
    return {"used": cupy.get_default_memory_pool().used_bytes(), "total": total}


def _cupy_info() -> dict[str, str]:
    import cupy

    runtime = cupy.cuda.runtime
    name = runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
    return {
        "device": name.decode() if isinstance(name, bytes) else str(name),
        "driver": str(runtime.driverGetVersion()),
        "cuda": str(runtime.runtimeGetVersion()),
    }


def _cupy_synchronize(x: Any) -> None:
    import cupy

    cupy.cuda.get_current_stream().synchronize()


def _torch_cuda_probe() -> list[Any]:
    import torch

    return [torch.device("cuda", i) for i in range(torch.cuda.device_count())]


def _torch_cuda_synchronize(x: Any) -> None:
    import torch

    torch.cuda.synchronize()


def _torch_cuda_memory() -> dict[str, int] | None:
    import torch

    _, total = torch.cuda.mem_get_info()
    return {"used": torch.cuda.memory_allocated(), "total": total}


def _torch_cuda_info() -> dict[str, str]:
    import torch

    return {"device": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}


def _jax_devices(platform: str) -> Callable[[], list[Any]]:
    def probe() -> list[Any]:
        import jax

        try:
            return list(jax.devices(platform))
        except RuntimeError:  # JAX raises where other libraries return an empty list
            return []

    return probe


def _jax_synchronize(x: Any) -> None:
    import jax

    if x is None:  # JAX has no device-wide wait on every platform: ask for all live arrays
        x = jax.live_arrays()
    jax.block_until_ready(x)


def _jax_gpu_info() -> dict[str, str]:
    import jax

    return {"device": str(jax.devices("gpu")[0].device_kind)}


def _dask_synchronize(x: Any) -> None:
    if hasattr(x, "compute"):
        x.compute()


def _strict_cpu() -> Any:
    return importlib.import_module("array_api_strict").Device("CPU_DEVICE")


def _strict_probe() -> list[Any]:
    return list(importlib.import_module("array_api_strict").__array_namespace_info__().devices())


_COMPAT = "array_api_compat."
_BACKENDS = {
    b.name: b
    for b in (
        Backend("numpy", "numpy", _COMPAT + "numpy"),
        Backend("cupy", "cupy", _COMPAT + "cupy", "gpu", _cupy_probe, _cupy_synchronize, _cupy_memory, _cupy_info),
        Backend("torch", "torch", _COMPAT + "torch"),
        Backend(
            "torch-cuda",
            "torch",
            _COMPAT + "torch",
            "gpu",
            _torch_cuda_probe,
            _torch_cuda_synchronize,
            _torch_cuda_memory,
            _torch_cuda_info,
        ),
        Backend("jax", "jax", "jax.numpy", "cpu", _jax_devices("cpu"), _jax_synchronize),
        Backend("jax-gpu", "jax", "jax.numpy", "gpu", _jax_devices("gpu"), _jax_synchronize, _info=_jax_gpu_info),
        Backend("dask", "dask", _COMPAT + "dask.array", _synchronize=_dask_synchronize),
        Backend("array-api-strict", "array_api_strict", "array_api_strict", "cpu", _strict_probe),
    )
}


def get(name: str) -> Backend:
    """The backend of that name.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    Backend
        Available or not: see its ``available`` and ``reason``.

    Raises
    ------
    ValueError
        If there is no backend of that name.

    Examples
    --------
    >>> from xpsolve.arrays import backends
    >>> backends.get("numpy").name
    'numpy'
    """
    if name not in _BACKENDS:
        message = f"backend: expected one of {', '.join(NAMES)}, got {name!r}."
        raise ValueError(message)
    return _BACKENDS[name]


@cache
def available() -> tuple[str, ...]:
    """Names of the backends that can be used here.

    Returns
    -------
    tuple of str
        In the order of `NAMES`.

    Examples
    --------
    >>> from xpsolve.arrays import backends
    >>> "numpy" in backends.available()
    True
    """
    return tuple(name for name in NAMES if get(name).available)
