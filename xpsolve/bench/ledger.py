"""What was measured already, so that a run that was stopped continues where it stopped.

asv's results do not say with how many samples a point was taken, which of the tuples without a value were
skipped and which never tried, nor why one failed.  The ledger does, one file per machine and commit beside
them, with the facts of the run.  It also keeps how long each point took, from which the next run predicts
its own length.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import Point
from xpsolve.files import write_text


def _read(path: Path) -> dict[str, Any]:
    """The content of a ledger; a missing one is empty, a broken or foreign file is named and skipped."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        warnings.warn(f"{path} is not readable and is skipped: {error}", stacklevel=2)
        return {}
    if not isinstance(content, dict) or not isinstance(content.get("entries"), dict):
        warnings.warn(f"{path} is not a ledger and is skipped", stacklevel=2)
        return {}
    content["entries"] = {text: entry for text, entry in content["entries"].items() if _well_formed(entry)}
    return content


def _well_formed(entry: Any) -> bool:
    try:
        rank, seconds = entry["rank"], entry["seconds"]
        samples = [value for session in entry.get("sessions", ()) for value in session["samples"] or [None]]
    except (AttributeError, LookupError, TypeError):
        return False
    numbers = isinstance(rank, int) and isinstance(seconds, int | float)
    return numbers and all(isinstance(value, float) for value in samples)


def set_aside(path: Path) -> Path:
    """Rename a file that is not ours to write over, to a name that nothing has."""
    aside, serial = path.with_name(f"{path.name}.broken"), 1
    while aside.exists():
        serial += 1
        aside = path.with_name(f"{path.name}.broken-{serial}")
    os.replace(path, aside)
    return aside


@dataclass
class Ledger:
    """Measured points of one machine at one commit."""

    path: Path  # its suffix is not ``.json``, which asv would take for results
    tree: str  # digest of the sources; entries of other sources are not used
    # By a point's text: version, rank and name of the profile, seconds; of a time also its ``sessions``, each with the
    # date at which it was measured (``at``) and its ``samples`` in seconds.
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    # By the text of a point that has no value: ``reason`` ("failed", "timed out", "out of memory", "over budget") and
    # ``detail``, a line that says more.
    missed: dict[str, dict[str, str]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # of the last run at this commit

    @classmethod
    def open(cls, folder: Path, commit: str, tree: str) -> Ledger:
        """The ledger of a machine's folder, empty where the sources have changed since.

        A file that is no ledger is set aside under another name.
        """
        path = folder / f"{commit[:8]}.ledger"
        content = _read(path)
        if not content and path.exists():
            set_aside(path)
        if content.get("tree") != tree:
            return cls(path, tree)
        missed = content.get("missed")
        return cls(path, tree, content["entries"], missed if isinstance(missed, dict) else {})

    def _known(self, point: Point, profile: Profile) -> dict[str, Any] | None:
        """What was measured of a point at least as carefully as this profile does."""
        entry = self.entries.get(point.text)
        return entry if entry and entry.get("version") == point.version and entry["rank"] >= profile.rank else None

    def done(self, point: Point, profile: Profile, sessions: int = 1) -> bool:
        """Whether a point was measured at least as carefully as this profile does, a time in so many sessions."""
        entry = self._known(point, profile)
        return entry is not None and ("sessions" not in entry or len(entry["sessions"]) >= sessions)

    def samples(self, point: Point, profile: Profile) -> list[list[float]]:
        """Samples of each session of a time."""
        entry = self._known(point, profile) or {}
        return [session["samples"] for session in entry.get("sessions", ())]

    def record(
        self,
        point: Point,
        profile: Profile,
        seconds: float,
        samples: Sequence[float] | None = None,
        *,
        instead: bool = False,
    ) -> None:
        """Note that a point was measured; `instead` of the last session, or after those before."""
        self.missed.pop(point.text, None)
        sessions = (self._known(point, profile) or {}).get("sessions", [])
        self.entries[point.text] = {
            "version": point.version,
            "rank": profile.rank,
            "profile": profile.name,
            "seconds": round(seconds, 3),
        }
        if samples is not None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            session = {"at": now, "samples": [float(f"{value:.5g}") for value in samples]}
            self.entries[point.text]["sessions"] = [*(sessions[:-1] if instead else sessions), session]

    def miss(self, point: Point, reason: str, detail: str) -> None:
        """Note why a point has no value; one that has kept a value from before is left alone."""
        if point.text not in self.entries:
            self.missed[point.text] = {"reason": reason, "detail": detail}

    def save(self) -> None:
        """Write it down."""
        content = {"tree": self.tree, "facts": self.facts, "entries": self.entries, "missed": self.missed}
        write_text(self.path, json.dumps(content, indent=0))


def durations(folder: Path, profile: Profile) -> dict[str, float]:
    """Seconds that points took on this machine under this profile, at the latest of all commits, by a point's text.

    Other profiles sample differently and are not used.
    """
    known: dict[str, float] = {}
    for path in sorted(folder.glob("*.ledger"), key=lambda p: p.stat().st_mtime):
        for text, entry in _read(path).get("entries", {}).items():
            if entry["rank"] == profile.rank:
                known[text] = float(entry["seconds"])
    return known
