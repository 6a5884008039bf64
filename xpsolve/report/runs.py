"""The name of each machine and environment, and its facts in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xpsolve.report.digest import Table, text


class Runs:
    """The runs of a report, one for each machine and environment, and the facts of each machine."""

    def __init__(self, now: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> None:
        found = now.drop_duplicates(["machine", "environment"])
        per_machine = found["machine"].value_counts()
        self._names: dict[tuple[str, str], str] = {}
        self.facts = []
        for row in found.itertuples():
            one = per_machine[row.machine] == 1
            name = row.machine if one else f"{row.machine} ({Path(row.python).name or row.environment})"
            self._names[row.machine, row.environment] = name
            self.facts.append({"name": name, **_facts(row, facts[row.machine])})

    def name(self, machine: str, environment: str) -> str:
        """What to call a run among others; empty where it is the only one."""
        return self._names[machine, environment] if len(self._names) > 1 else ""


def _facts(row: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The known facts, in the order of interest; they may be of another commit."""
    dirty = " with uncommitted changes" if facts.get("dirty") and facts.get("commit") == row.commit else ""
    lines = {
        "processor": facts.get("cpu"),
        "cores": facts.get("cores") or facts.get("num_cpu"),
        "caches": ", ".join(f"{name} {size}" for name, size in facts["caches"].items()),
        "memory": _gibibytes(facts.get("memory_bytes") or facts.get("ram")),
        "system": facts.get("os"),
        "Python": facts.get("python"),
        "BLAS": "; ".join(
            f"{b.get('library', '')} {b.get('version') or ''}, {b.get('threads', '?')} threads" for b in facts["blas"]
        ),
        "profile": facts.get("profile"),
        "measured": _minutes(str(facts.get("date") or "")),
        "commit": f"{row.commit[:10]} of {row.date[:10]}{dirty}",
    }
    return {
        "facts": {name: str(value) for name, value in lines.items() if value},
        "backends": Table(
            ["backend", "version", "device"],
            [
                [text(name), text(one.get("version") or ""), text(_device(one))]
                for name, one in facts["backends"].items()
            ],
        ),
        "libraries": Table(
            ["library", "version"],
            [[text(name), text(version or "not installed")] for name, version in facts["libraries"].items()],
        ),
        "commit": row.commit[:10],
    }


def _device(backend: Mapping[str, Any]) -> str:
    if not backend.get("available"):
        return f"not available: {backend.get('reason', '')}"
    return str(backend.get("device") or "")


def _minutes(date: str) -> str:
    """2025-01-02T03:04:05+00:00 in a readable form."""
    return f"{date[:10]} {date[11:16]} UTC" if date.endswith("+00:00") else date


def _gibibytes(memory: Any) -> str:
    try:
        size = float(memory)
    except (TypeError, ValueError):
        return ""
    return f"{size / 2**30:.1f} GiB" if math.isfinite(size) else ""
