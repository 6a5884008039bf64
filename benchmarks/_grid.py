"""Which backends the grids list: those that are here, so that asv starts no process for one that is not.

``XPSOLVE_BACKENDS`` says it where asv is to measure others: names with commas between, or ``all``.  Nothing is
imported to find out: asv's fork server reads the grids, and neither CUDA nor JAX survives a fork once it has begun.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from xpsolve.arrays import backends

TIMED = tuple(name for name in backends.NAMES if name != "array-api-strict")
"""Backends worth timing, here or not."""


def listed() -> tuple[str, ...]:
    """Names for the grids, in the order of `TIMED`."""
    wanted = os.environ.get("XPSOLVE_BACKENDS", "")
    if wanted == "all":
        return TIMED
    if not wanted:
        return tuple(filter(_here, TIMED))
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in TIMED:
            raise ValueError(f"XPSOLVE_BACKENDS: expected 'all' or names among {', '.join(TIMED)}, got {name!r}.")
    return tuple(name for name in TIMED if name in names)


def _here(name: str) -> bool:
    """Whether a library is installed, and for a GPU a driver and a build that uses it; a device is not asked."""
    backend = backends.get(name)
    found = importlib.util.find_spec(backend.library)
    if found is None or backend.kind == "cpu":
        return found is not None
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    if name == "torch-cuda":
        return driver and any(any(Path(f).glob("lib/*torch_cuda*")) for f in found.submodule_search_locations or ())
    if name == "jax-gpu":
        return driver and any(importlib.util.find_spec(f"jax_cuda{n}_plugin") for n in (12, 13))
    return driver
