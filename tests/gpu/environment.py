"""What is here: processor, GPU, driver, toolkit, CuPy, Python and its packages; and what the other stages miss.

Needs nothing but Python, so that it can say what is missing.
"""

from __future__ import annotations

import contextlib
import importlib.metadata as metadata
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import cupy, finish

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("torch", "jax", "cuml-cu12", "cuml-cu13", "POT", "pytest-xdist")
QUERY = "name,driver_version,memory.total,compute_cap,clocks.max.sm,power.limit"


def computer() -> dict[str, Any]:
    """Processor, memory and Python."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "system": platform.platform(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "GiB of memory": round(pages, 1),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "libc": "-".join(platform.libc_ver()),
    }


def driver() -> dict[str, str]:
    """What nvidia-smi says of each GPU."""
    if not shutil.which("nvidia-smi"):
        return {"nvidia-smi": "not found"}
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {f"GPU {i} ({QUERY})": line for i, line in enumerate((done.stdout or done.stderr).splitlines())}


def toolkit() -> tuple[dict[str, Any], list[str]]:
    """CuPy's versions of everything, and what of it is missing."""
    found: dict[str, Any] = {}
    wrong: list[str] = []

    @contextlib.contextmanager
    def looking_at(what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")

    with looking_at("CuPy"):
        cp = cupy()
        found["cupy"] = cp.__version__
        with looking_at("driver"):
            found["CUDA of the driver"] = cp.cuda.runtime.driverGetVersion()
            found["CUDA runtime"] = cp.cuda.runtime.runtimeGetVersion()
            name = cp.cuda.runtime.getDeviceProperties(0)["name"]
            found["device"] = name.decode() if isinstance(name, bytes) else name
            found["devices"] = cp.cuda.runtime.getDeviceCount()
            found["compute capability"] = cp.cuda.Device().compute_capability
            found["GiB free, total"] = [round(x / 2**30, 1) for x in cp.cuda.Device().mem_info]
        if not hasattr(cp, "emulator"):
            with looking_at("NVRTC"):
                from cupy_backends.cuda.libs import nvrtc

                found["NVRTC"] = ".".join(map(str, nvrtc.getVersion()))
            text = io.StringIO()
            with looking_at("show_config"), contextlib.redirect_stdout(text):
                cp.show_config()
            print(text.getvalue())
    return found, wrong


def needed() -> list[str]:
    """Requirements of the package, its tests and its benchmarks, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    found = [*project["dependencies"], *extras["test"], *extras["bench"], *extras["dask"]]
    return sorted({line for line in found if not line.startswith("xpsolve")})


def name_of(requirement: str) -> str:
    """The distribution that a requirement names."""
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]


def missing(requirements: list[str]) -> list[str]:
    """Those that are not met here."""
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        Requirement = None
    found = []
    for line in requirements:
        try:
            version = metadata.version(name_of(line))
        except metadata.PackageNotFoundError:
            found.append(line)
            continue
        if Requirement is not None and not Requirement(line).specifier.contains(version, prereleases=True):
            found.append(line)
    return found


def main() -> None:
    """Look, print and write."""
    found, wrong = toolkit()
    lacking = missing(needed())
    installed = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    figures = {
        **computer(),
        **driver(),
        **found,
        "peers": {name: installed.get(name, "not installed") for name in PEERS},
        "missing": lacking,
    }
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    if lacking:
        wrong.append(f"not installed: {', '.join(lacking)}")
        quoted = " ".join(f'"{line}"' for line in lacking)
        print(f"\nWhere a package index can be reached:\n    {sys.executable} -m pip install {quoted}")
        print(f"Where none can, take {sys.argv[1]} to a machine that reaches one, and there:")
        print(f"    python tests/gpu/wheels.py {Path(sys.argv[1]).name} --to wheels")
        print("which fetches exactly the wheels that are missing here; bring the folder back, and:")
        print(f"    {sys.executable} -m pip install --no-index --no-deps wheels/*.whl\n")
    device = found.get("device", "no GPU")
    finish(
        {**figures, "installed": installed}, f"{device}, CuPy {found.get('cupy')}, Python {figures['python']}", wrong
    )


if __name__ == "__main__":
    main()
