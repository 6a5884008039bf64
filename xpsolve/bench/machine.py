"""Where a run happened: the machine's name, its facts, the state of its libraries and of the sources.

asv records a machine's name and processor and nothing of the libraries; the ledger beside its
results does.  Backends are examined in a child process: importing torch or JAX here would take memory
and threads from what is to be measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from xpsolve import __version__
from xpsolve.arrays import backends
from xpsolve.bench.suite import BenchError, child_environment
from xpsolve.files import write_text

_QUIET = {"JAX_ENABLE_X64": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
_SOURCES = ("xpsolve", "benchmarks")


# --- backends ----------------------------------------------------------------------------------------


def probe(names: Collection[str]) -> dict[str, Any]:
    """Examine backends from inside this process.

    ``"backends"`` has by name ``available``, ``reason``, ``version``, ``device`` and ``startup``, the seconds that a
    process takes to open it; ``"blas"`` the thread pools that NumPy loaded.

    >>> probe(["numpy"])["backends"]["numpy"]["available"]
    True
    """
    from threadpoolctl import threadpool_info

    pools = [
        {"library": p["internal_api"], "version": p["version"], "threads": p["num_threads"]}
        for p in threadpool_info()
        if p["user_api"] == "blas"
    ]
    found: dict[str, Any] = {}
    spent: dict[str, float] = {}  # by library: the second backend of one finds it imported
    for name in names:
        start = time.perf_counter()
        backend = backends.get(name)
        found[name] = {
            "available": backend.available,
            "reason": backend.reason,
            "version": backend.version,
            "device": backend.kind,
            **backend.device_info(),
        }
        spent[backend.library] = spent.get(backend.library, 0.0) + time.perf_counter() - start
        found[name]["startup"] = round(spent[backend.library], 3)
    return {"backends": found, "blas": pools}


def look(root: Path, names: Collection[str] = backends.NAMES) -> dict[str, Any]:
    """`probe` with the xpsolve of the tree at `root`, in a child process that leaves nothing behind here.

    Raises `BenchError` if the child fails, for example because a library crashes.
    """
    code = "import json, sys; from xpsolve.bench.machine import probe; print(json.dumps(probe(sys.argv[1:])))"
    done = subprocess.run(
        [sys.executable, "-c", code, *names],
        env={**_QUIET, **child_environment(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchError(f"examining the backends {', '.join(names)} failed: {reason}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- sources -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """Which sources are measured."""

    commit: str  # its hash; where there is none, the digest of the sources
    versioned: bool  # whether `commit` is git's
    dirty: bool  # whether the sources differ from the commit
    tree: str  # digest of the sources on disk
    date: int  # of the commit, else now, in milliseconds since 1970


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def sources(root: Path) -> Sources:
    """State of the sources in the folder of ``asv.conf.json``, with git or without."""
    digest = hashlib.sha1(usedforsecurity=False)
    for folder in _SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    tree = digest.hexdigest()
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "HEAD")
    # A tree unpacked inside another project's repository is not at that repository's commit.
    if commit is None or top is None or Path(top).resolve() != root.resolve():
        return Sources(tree, False, False, tree, int(time.time() * 1000))
    changed = _git(root, "status", "--porcelain", "--", *_SOURCES)
    date = int(_git(root, "show", "-s", "--format=%ct", "HEAD") or 0) * 1000
    return Sources(commit, True, bool(changed), tree, date)


# --- machine -----------------------------------------------------------------------------------------


def _slug(text: str) -> str:
    plain = re.sub(r"\((r|tm)\)|processor|\bcpu\b|@.*|\d+-core", " ", text, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def register(name: str | None, found: dict[str, Any], path: Path | None = None) -> dict[str, str]:
    """asv's description of this machine, kept in its ``~/.asv-machine.json``; ``"machine"`` is the name.

    The host's name is a poor name for a machine: it changes in containers.  Without a `name`, the one machine that asv
    knows here is taken, else one is made from processor, cores and the accelerator in `found`, the result of `look`.

    asv by itself uses the host's name.  If nothing is stored under it, the machine is stored under it too, so that
    a bare ``asv run`` works and saves its results with ours.

    Raises `BenchError` if the name cannot be a folder's, or asv's file is broken.
    """
    from asv import util
    from asv.machine import Machine, MachineCollection

    path = path or Path(MachineCollection.get_machine_file_path())
    fields: dict[str, str] = Machine.get_defaults()
    try:
        known = util.load_json(str(path), MachineCollection.api_version) if path.is_file() else {}
    except util.UserError as error:
        raise BenchError(f"{path} is not readable: {error}. Correct it, or remove it and run again.") from error
    host = fields["machine"]
    # An entry that names another machine is only there to be found under the host's name, perhaps that of a container.
    names = [key for key, entry in known.items() if key != "version" and entry.get("machine", key) == key]
    if name is None:
        devices = sorted({b["device"] for b in found["backends"].values() if b["available"]} - {"cpu"})
        parts = [_slug(fields["cpu"]) or fields["arch"], f"{_cores()}-cores", *map(_slug, devices)]
        name = names[0] if len(names) == 1 else "-".join(parts)
    if not re.fullmatch(r"[\w.+-]+", name) or name.startswith("."):
        raise BenchError(f"machine: expected letters, digits, '.', '_', '+' and '-', got {name!r}.")
    described = {**fields, **known.get(name, {}), "machine": name}
    wanted = {name: described, host: known.get(host, described)}
    if any(known.get(key) != entry for key, entry in wanted.items()):
        _write_json(path, {**known, **wanted, "version": MachineCollection.api_version})
    return described


def write(folder: Path, described: dict[str, str]) -> None:
    """Put asv's ``machine.json`` into a machine's folder, and take away the ``facts.json`` of earlier versions.

    asv takes every other JSON file there for results, and warns; the ledger has the facts.
    """
    from asv.machine import Machine

    _write_json(folder / "machine.json", {**described, "version": Machine.api_version})
    (folder / "facts.json").unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=4, sort_keys=True) + "\n")


def _cores() -> int:
    """Cores that this process may use: a container or a batch system often grants fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def caches(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, str]:
    """Sizes of the first core's caches, as Linux reports them: ``{"L1d": "32 KiB", "L2": "512 KiB"}``."""
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = re.sub(r"([KMG])$", r" \1iB", size)
    return found


def versions(libraries: Collection[str]) -> dict[str, str | None]:
    """Versions of distributions by the names that an installer uses, None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in libraries:
        try:
            # Run from a clone, xpsolve itself need not be installed.
            found[name] = __version__ if name == "xpsolve" else metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def facts(
    described: dict[str, str],
    found: dict[str, Any],
    source: Sources,
    profile: str,
    libraries: Collection[str] = (),
) -> dict[str, Any]:
    """What the ledger keeps of a run: results of `register`, `look` and `sources`, and versions of other libraries."""
    import psutil

    return {
        "machine": described["machine"],
        "cpu": described.get("cpu", ""),
        "cores": _cores(),
        "caches": caches(),
        "load": round(os.getloadavg()[0] / _cores(), 2) if hasattr(os, "getloadavg") else 0.0,
        "memory_bytes": int(psutil.virtual_memory().total),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "blas": found["blas"],
        "backends": {
            name: {key: value for key, value in backend.items() if key != "startup"}
            for name, backend in found["backends"].items()
        },
        "libraries": versions(libraries),
        **vars(source),
        "profile": profile,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),  # of the run, not of the commit
    }
