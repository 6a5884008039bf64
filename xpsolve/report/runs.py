"""The name of each machine and environment, and its facts in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xpsolve.report.digest import Cell, Table

__all__ = ["Runs"]


class Runs:
    """The runs of a report, one for each machine and environment, and the facts of each machine."""

    def __init__(self, now: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> None:
        found = now.drop_duplicates(["machine", "environment"])
        per_machine = found["machine"].value_counts()
        self._names = {
            (row.machine, row.environment): row.machine
            if per_machine[row.machine] == 1
            else f"{row.machine} ({Path(row.python).name or row.environment})"
            for row in found.itertuples()
        }
        self.facts = [
            {"name": self._names[row.machine, row.environment], **_facts(row, facts.get(row.machine, {}))}
            for row in found.itertuples()
        ]

    def name(self, machine: str, environment: str) -> str:
        """What to call a run among others; empty where it is the only one."""
        return self._names[machine, environment] if len(self._names) > 1 else ""


def _facts(row: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The known facts, in the order of interest; ``facts.json`` may be of another commit, or missing."""
    blas = facts.get("blas")
    libraries = [b for b in blas if isinstance(b, dict)] if isinstance(blas, list) else []
    memory = facts.get("memory_bytes") or facts.get("ram")
    dirty = " with uncommitted changes" if facts.get("dirty") and facts.get("commit") == row.commit else ""
    caches = facts.get("caches")
    lines = {
        "processor": facts.get("cpu"),
        "cores": facts.get("cores") or facts.get("num_cpu"),
        "caches": ", ".join(f"{name} {size}" for name, size in caches.items()) if isinstance(caches, dict) else None,
        "memory": f"{float(memory) / 2**30:.1f} GiB" if memory and _is_number(memory) else None,
        "system": facts.get("os"),
        "Python": facts.get("python"),
        "BLAS": "; ".join(
            f"{b.get('library', '')} {b.get('version') or ''}, {b.get('threads', '?')} threads" for b in libraries
        ),
        "profile": facts.get("profile"),
        "measured": _minutes(facts.get("date")),
        "commit": f"{row.commit[:10]} of {row.date[:10]}{dirty}",
    }
    return {
        "facts": {name: str(value) for name, value in lines.items() if value},
        "backends": _backends(facts.get("backends")),
        "libraries": _libraries(facts.get("libraries")),
        "commit": row.commit[:10],
    }


def _backends(backends: Any) -> Table:
    rows = [
        [
            Cell(str(name)),
            Cell(str(b.get("version") or "–")),
            Cell(str(b.get("device") or "–") if b.get("available") else f"not available: {b.get('reason', '')}"),
        ]
        for name, b in (backends.items() if isinstance(backends, dict) else ())
        if isinstance(b, dict)
    ]
    return Table(["backend", "version", "device"], rows)


def _libraries(libraries: Any) -> Table:
    found = libraries.items() if isinstance(libraries, dict) else ()
    return Table(["library", "version"], [[Cell(str(n)), Cell(str(v or "not installed"))] for n, v in found])


def _minutes(date: Any) -> str:
    """2025-01-02T03:04:05+00:00 in a readable form."""
    text = str(date or "")
    return f"{text[:10]} {text[11:16]} UTC" if text.endswith("+00:00") else text


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
