"""What came of each stage so far, in one JSON file that is written after each of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages import STAGES, Stage


def digest(root: Path) -> str:
    """A hash of all Python sources of the package, its tests and its benchmarks."""
    found = hashlib.sha256()
    for folder in ("xpsolve", "tests", "benchmarks"):
        for path in sorted((root / folder).rglob("*.py")):
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


@dataclass
class State:
    """Results of stages, by name."""

    path: Path
    emulated: bool
    sources: str = ""
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            kept = json.loads(self.path.read_text("utf-8"))
            if kept["emulated"] != self.emulated:
                raise SystemExit(f"{self.path.parent}: these results are {'' if kept['emulated'] else 'not '}emulated")
            self.stages = kept["stages"]

    def done(self, stage: Stage) -> bool:
        """Whether there is no reason to run it (again)."""
        kept = self.stages.get(stage.name)
        if kept is None or kept["status"] == "unfinished":
            return False
        if kept["status"] == "failed" and kept["sources"] != self.sources:
            return False
        return all(self.stages.get(name, kept)["ended"] <= kept["ended"] for name in stage.follows)

    def note(self, stage: Stage, status: str, seconds: float, said: str) -> None:
        """Write down what came of a stage."""
        self.stages[stage.name] = {
            "status": status,
            "seconds": round(seconds, 1),
            "said": said,
            "sources": self.sources,
            "ended": time.time(),
        }
        self.save()

    def forget(self, names: Collection[str]) -> None:
        """Take stages for not done."""
        for name in names:
            self.stages.pop(name, None)

    def save(self) -> None:
        """Write the file, whole or not at all."""
        part = self.path.with_suffix(".part")
        ordered = {stage.name: self.stages[stage.name] for stage in STAGES if stage.name in self.stages}
        part.write_text(json.dumps({"emulated": self.emulated, "stages": ordered}, indent=2) + "\n", "utf-8")
        part.replace(self.path)

    def status(self, stage: Stage) -> str:
        """Passed, failed, unfinished or not run."""
        return str(self.stages.get(stage.name, {"status": "not run"})["status"])

    def said(self, stage: Stage) -> str:
        """Its last words."""
        return str(self.stages.get(stage.name, {"said": ""})["said"])

    def other(self, stage: Stage) -> bool:
        """Whether its result is that of other sources than those that are here now."""
        return stage.name in self.stages and self.stages[stage.name]["sources"] != self.sources
