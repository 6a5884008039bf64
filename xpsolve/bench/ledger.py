"""What was measured already, so that a run that was stopped goes on where it stopped.

asv's results do not say with how many samples a point was taken, nor which of the tuples without a
value were skipped and which never tried.  The ledger does, one file a machine and commit beside them.
It also keeps how long each point took, from which the next run predicts its own length.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import Point
from xpsolve.files import write_text


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; a missing one is empty, a broken or foreign one is named and skipped."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warnings.warn(f"{path} is not readable and is skipped: {error}", stacklevel=2)
        return {}
    if not isinstance(content, dict):
        warnings.warn(f"{path} does not hold a JSON object and is skipped", stacklevel=2)
        return {}
    return content


@dataclass
class Ledger:
    """Measured points of one machine at one commit.

    Parameters
    ----------
    path : pathlib.Path
        The file; its suffix is not ``.json``, which asv would take for results.
    tree : str
        Digest of the sources; entries made from others are worth nothing.
    entries : dict
        By a point's text: version, rank of the profile, seconds.
    """

    path: Path
    tree: str
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, commit: str, tree: str) -> Ledger:
        """The ledger of a machine's folder, empty where the sources have changed since."""
        path = folder / f"{commit[:8]}.ledger"
        content = read_object(path)
        entries = content.get("entries") if content.get("tree") == tree else None
        return cls(path, tree, entries if isinstance(entries, dict) else {})

    def done(self, point: Point, profile: Profile) -> bool:
        """Whether a point was measured at least as carefully as this profile does."""
        entry = self.entries.get(point.text)
        if not isinstance(entry, dict) or entry.get("version") != point.version:
            return False
        return int(entry.get("rank", -1)) >= profile.rank

    def record(self, point: Point, profile: Profile, seconds: float) -> None:
        """Note that a point was measured."""
        self.entries[point.text] = {
            "version": point.version,
            "rank": profile.rank,
            "seconds": round(seconds, 3),
        }

    def save(self) -> None:
        """Write it down."""
        write_text(self.path, json.dumps({"tree": self.tree, "entries": self.entries}, indent=0))


def durations(folder: Path, profile: Profile) -> dict[str, float]:
    """Seconds that points took on this machine under this profile, at any commit.

    Parameters
    ----------
    folder : pathlib.Path
        The machine's folder among the results.
    profile : Profile
        Other profiles sample differently and say nothing.

    Returns
    -------
    dict of str to float
        By a point's text; where several commits measured it, the latest file's.
    """
    known: dict[str, float] = {}
    for path in sorted(folder.glob("*.ledger"), key=lambda p: p.stat().st_mtime):
        entries = read_object(path).get("entries")
        for text, entry in (entries if isinstance(entries, dict) else {}).items():
            if isinstance(entry, dict) and entry.get("rank") == profile.rank and "seconds" in entry:
                known[text] = float(entry["seconds"])
    return known
