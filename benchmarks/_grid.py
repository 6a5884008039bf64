"""How much of the grids asv sees: set by ``XPSOLVE_GRID`` in the environment.

quick
    The default: what each class declares for the profile "quick", and of a class that declares nothing the
    first value of every parameter, on the available backends and libraries.
full
    Every point, on the available backends and libraries.
everywhere
    Every point on every backend and library, available or not: the same on all machines.  `xpsolve bench` asks for it
    and itself starts no process for what is missing.

A point has the same name and the same parameters in all of them, so that asv compares across.  asv starts a process for
each point that it sees, also where the process would only find that a backend is missing.

Availability is found out without importing anything: asv's fork server reads the grids, and neither CUDA nor JAX
survives a fork once it is in use.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from xpsolve.arrays import backends

GRIDS = ("quick", "full", "everywhere")

Params = tuple[tuple[Any, ...], ...]


def grid() -> str:
    """Which of `GRIDS` is asked for."""
    wanted = os.environ.get("XPSOLVE_GRID") or GRIDS[0]
    if wanted not in GRIDS:
        raise ValueError(f"XPSOLVE_GRID: expected one of {', '.join(GRIDS)}, got {wanted!r}.")
    return wanted


def listed_backends() -> tuple[str, ...]:
    """Backends worth timing, NumPy first."""
    return tuple(
        name for name in backends.NAMES if name != "array-api-strict" and (grid() == "everywhere" or _usable(name))
    )


def listed_libraries(names: Iterable[str]) -> tuple[str, ...]:
    """Other libraries, by the names that an installer uses, and xpsolve."""
    return tuple(name for name in names if grid() == "everywhere" or installed(name))


def installed(library: str) -> bool:
    """Whether a distribution is there.  Run from a clone, xpsolve itself need not be installed."""
    try:
        return library == "xpsolve" or bool(metadata.version(library))
    except metadata.PackageNotFoundError:
        return False


def part(names: Sequence[str], params: Params, quick: Mapping[str, Sequence[Any]] | None) -> Params:
    """The part of a class' grid that asv sees; `quick` is what the class declares for that profile."""
    if grid() != "quick":
        return params
    if quick is None:
        return tuple(values[:1] for values in params)
    kept = (tuple(v for v in values if v in quick.get(n, values)) for n, values in zip(names, params, strict=True))
    return tuple(some or values[:1] for some, values in zip(kept, params, strict=True))


def _usable(name: str) -> bool:
    """Whether a library is installed, and for a GPU a driver and a build that uses it; no device is asked."""
    backend = backends.get(name)
    found = importlib.util.find_spec(backend.library)
    if found is None or backend.kind == "cpu":
        return found is not None
    if not Path("/dev/nvidiactl").exists() and shutil.which("nvidia-smi") is None:
        return False
    if name == "torch-cuda":
        return any(any(Path(folder).glob("lib/*torch_cuda*")) for folder in found.submodule_search_locations or ())
    if name == "jax-gpu":
        return any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    return True
