"""Counting kernels that are started and waits for the device, on a real GPU and on the emulated one.

CuPy itself has no hook for either.  NVIDIA's profiling library, CUPTI, counts for a whole process, whoever starts
a kernel, so it sees CuPy, cuBLAS and cuSOLVER alike: it is asked through ctypes, or else through
PyTorch's profiler, which
brings its own.  A counter is taken only if it counts a known sequence right; `choose` returns the first that does.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import EMULATED


@dataclass
class Seen:
    """What happened in a block."""

    launches: int = 0
    waits: int = 0
    copies: int = 0  # from the device to the host


# --- the emulation -----------------------------------------------------------------------------------


@contextmanager
def emulation() -> Iterator[Seen]:
    """Count what the emulated CuPy notes."""
    from cupy import emulator

    seen = Seen()
    with emulator.counting() as counts:
        yield seen
    seen.launches, seen.waits, seen.copies = counts.launches, counts.syncs, counts.syncs


# --- CUPTI -------------------------------------------------------------------------------------------

# of CUpti_ActivityKind, CUpti_ActivitySynchronizationType and CUpti_ActivityMemcpyKind in cupti_activity.h
MEMCPY, KERNEL, SYNCHRONIZATION = 1, 10, 38
HOST_WAITS = (1, 3, 4)  # for an event, a stream, the context; 2 is a stream that waits for an event
TO_HOST = 2
NO_MORE = 12  # CUPTI_ERROR_MAX_LIMIT_REACHED
FORCED = 1
BUFFER = 1 << 22

_REQUEST = ctypes.CFUNCTYPE(
    None, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)
)
_COMPLETE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)


class Cupti:
    """Activity records of CUPTI, of which only the first eight bytes are read: they are the same in all versions."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(_cupti())
        self.tally: Counter[str] = Counter()
        self._buffers: dict[int, Any] = {}
        self._callbacks = _REQUEST(self._request), _COMPLETE(self._complete)  # kept alive
        self._call("cuptiActivityRegisterCallbacks", *self._callbacks)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self.library, name)(*arguments)
        if code:
            raise RuntimeError(f"{name} returned {code}")

    def _request(self, buffer: Any, size: Any, records: Any) -> None:
        memory = ctypes.create_string_buffer(BUFFER + 8)
        place = (ctypes.addressof(memory) + 7) // 8 * 8
        self._buffers[place] = memory
        buffer[0], size[0], records[0] = place, BUFFER, 0

    def _complete(self, context: Any, stream: int, buffer: int, size: int, valid: int) -> None:
        record = ctypes.c_void_p()
        while valid and not self.library.cuptiActivityGetNextRecord(
            ctypes.c_void_p(buffer), ctypes.c_size_t(valid), ctypes.byref(record)
        ):
            kind = ctypes.c_uint32.from_address(record.value).value
            if kind == KERNEL:
                self.tally["launches"] += 1
            elif kind == MEMCPY:
                self.tally["copies"] += ctypes.c_uint8.from_address(record.value + 4).value == TO_HOST
            elif kind == SYNCHRONIZATION:
                self.tally["waits"] += ctypes.c_uint32.from_address(record.value + 4).value in HOST_WAITS
        self._buffers.pop(buffer, None)

    @contextmanager
    def __call__(self) -> Iterator[Seen]:
        """Count."""
        import cupy

        cupy.cuda.Device().synchronize()
        self._call("cuptiActivityFlushAll", ctypes.c_uint32(FORCED))
        self.tally.clear()
        for kind in (KERNEL, MEMCPY, SYNCHRONIZATION):
            self._call("cuptiActivityEnable", kind)
        seen = Seen()
        yield seen
        self._call("cuptiActivityDisable", SYNCHRONIZATION)
        cupy.cuda.Device().synchronize()
        self._call("cuptiActivityFlushAll", ctypes.c_uint32(FORCED))
        for kind in (KERNEL, MEMCPY):
            self._call("cuptiActivityDisable", kind)
        seen.launches, seen.waits, seen.copies = (self.tally[name] for name in ("launches", "waits", "copies"))


def _cupti() -> str:
    """Path of the library: a wheel's, a toolkit's, or what the loader knows."""
    places = []
    for part in ("nvidia.cu13", "nvidia.cuda_cupti"):
        spec = importlib.util.find_spec(part) if importlib.util.find_spec("nvidia") else None
        places += [Path(folder, "lib") for folder in (spec.submodule_search_locations if spec else [])]
    for root in (os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        places += [Path(root, "extras/CUPTI/lib64"), Path(root, "lib64")] if root else []
    found = [path for place in places for path in sorted(glob.glob(str(place / "libcupti.so*")))]
    return found[0] if found else "libcupti.so"


# --- PyTorch's profiler ------------------------------------------------------------------------------


class TorchProfiler:
    """What PyTorch's profiler records, less what it records of nothing: it waits for the device itself."""

    def __init__(self) -> None:
        import torch

        torch.cuda.init()
        self._idle = Seen()
        with self() as idle:
            pass
        self._idle = idle

    @contextmanager
    def __call__(self) -> Iterator[Seen]:
        """Count."""
        import cupy
        from torch.profiler import ProfilerActivity, profile

        cupy.cuda.Device().synchronize()
        seen = Seen()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
            yield seen
            cupy.cuda.Device().synchronize()
        host, device = [], []
        for event in recorded.events():
            (device if str(event.device_type).endswith("CUDA") else host).append(str(event.name))
        seen.launches = sum(not name.startswith(("Memcpy", "Memset")) for name in device) - self._idle.launches
        seen.copies = sum(name.startswith("Memcpy DtoH") for name in device) - self._idle.copies
        seen.waits = sum(name.startswith("cuda") and name.endswith("Synchronize") for name in host) - self._idle.waits


# --- the choice --------------------------------------------------------------------------------------


def calibrate(count: Callable[[], Any], launches: int = 10, reads: int = 3) -> int:
    """How many waits a counter sees for each number that is read, once it has counted a known sequence right."""
    import cupy

    x = cupy.asarray(np.zeros(8))
    x = x + float(x[0])  # compiled, and the context made, before anything is counted
    with count() as idle:
        pass
    with count() as seen:
        for _ in range(launches):
            x = x + 1
        for _ in range(reads):
            float(x[0])
    right = (seen.launches, seen.copies) == (launches, reads) and seen.waits in (reads, 2 * reads) and idle == Seen()
    if not right:
        raise RuntimeError(f"{launches} launches and {reads} reads were counted as {seen}, nothing as {idle}")
    return seen.waits // reads


def choose() -> tuple[str, Callable[[], Any], int, dict[str, str]]:
    """Name, counter and its waits a read, of the first that works; and why those before it do not."""
    makers: dict[str, Callable[[], Callable[[], Any]]] = {"CUPTI": Cupti, "PyTorch's profiler": TorchProfiler}
    if EMULATED:
        makers = {"the emulation": lambda: emulation}
    refused: dict[str, str] = {}
    for name, make in makers.items():
        try:
            counter = make()
            return name, counter, calibrate(counter), refused
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"
    raise RuntimeError(f"no counter counts a known sequence right: {refused}")
