"""One side of a comparison: results of one commit, from asv's folder, from a report, or from several runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from xpsolve.report import asv
from xpsolve.report.table import tidy

SHOWN = ["role", "quantity", "x_name", "x", "series", "tol"]
"""Columns that identify a point."""

SIDED = ["status", "reason", "value", "lower", "upper", "valid", "steady", "suite", "versions", "python", "device"]
"""Columns that hold what was measured there."""


@dataclass(frozen=True)
class Side:
    """One of the two sets of results."""

    name: str  # as the user named it
    frame: pd.DataFrame  # the tidy table, one commit a machine and environment
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by machine, at the time of the run
    suite: Mapping[str, str] = field(default_factory=dict)  # version of every benchmark there was; empty: not known
    warnings: list[str] = field(default_factory=list)  # what could not be read


def load(where: str, results: Path) -> Side:
    """Find one side of a comparison: the commit named, else the one measured last on each machine.

    `where` is a results folder of asv, a report's folder or its results.csv or .parquet, or the beginning of the hash
    of a commit that is searched in the folder `results`; several runs of one commit with commas between, of which the
    fastest time counts at each point.

    Raises LookupError if there are no results, or none of that commit, ValueError if a file is no table of results, the
    hash has several continuations, or runs are of different commits.
    """
    if "," in where:
        return _fastest(where, [load(part, results) for part in where.split(",")])
    path = Path(where)
    tables = [path] if path.is_file() else [p for p in (path / "results.csv", path / "results.parquet") if p.is_file()]
    if tables:
        return Side(where, _read_table(tables[0]))
    if not path.is_dir() and not re.fullmatch(r"[0-9a-f]{4,40}", where):
        raise LookupError(f"{where!r}: expected a folder, a table or the hash of a commit, and found none")
    found = asv.read(path if path.is_dir() else results)
    frame = tidy(found)
    frame = frame[frame["current"] if path.is_dir() else frame["commit"].eq(_commit(where, frame["commit"], results))]
    runs = frame[["machine", "commit"]].drop_duplicates().itertuples(index=False, name=None)
    facts = {machine: found.runs.get((machine, commit), {}) for machine, commit in runs}
    suite = {name: str(entry.get("version")) for name, entry in found.described.items()}
    return Side(where, frame, facts, suite, found.warnings)


def _commit(where: str, there: pd.Series, results: Path) -> str:
    """The one commit whose hash begins so."""
    commits = sorted(commit for commit in there.unique() if commit.startswith(where))
    if not commits:
        known = ", ".join(commit[:8] for commit in there.unique())
        raise LookupError(f"no results of commit {where} in '{results}', which has {known}; measure it first")
    if len(commits) > 1:
        raise ValueError(
            f"{where} is an ambiguous prefix of {len(commits)} commits: {', '.join(commits)}; give more characters"
        )
    return str(commits[0])


def _fastest(where: str, sides: list[Side]) -> Side:
    """Several runs as one: other work on the machine only adds time, and rarely twice at the same point."""
    commits = {commit for side in sides for commit in side.frame["commit"]}
    if len(commits) > 1:
        raise ValueError(f"{where}: expected runs of one commit, got {', '.join(sorted(commits))}")
    frame = pd.concat([side.frame for side in sides], ignore_index=True)
    failed, timed = frame["status"].ne("ok"), frame["role"].eq("time")
    order = pd.DataFrame({"failed": failed, "invalid": ~frame["valid"].eq(True), "t": frame["value"].where(timed, 0.0)})
    order = order.sort_values(["failed", "invalid", "t"], kind="stable").index
    best = frame.loc[order].drop_duplicates(["machine", "environment", "benchmark", "params"]).sort_index()
    facts = {machine: known for side in reversed(sides) for machine, known in side.facts.items()}
    suite = {name: version for side in reversed(sides) for name, version in side.suite.items()}
    return Side(where, best, facts, suite, [line for side in sides for line in side.warnings])


def _read_table(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError, ImportError) as why:
        raise ValueError(f"{path} is not readable as a table: {why}") from why
    wanted = ["machine", "environment", "commit", "current", "benchmark", "params", *SHOWN, *SIDED]
    missing = [name for name in wanted if name not in frame]
    if missing:
        raise ValueError(f"{path} is not a report's results.csv: it has no {', '.join(missing)}")
    words = ["machine", "environment", "x_name", "reason", "suite", "versions", "device"]
    frame[words] = frame[words].astype(object).fillna("").astype(str)
    for name, empty in (("series", "{}"), ("params", "")):
        frame[name] = frame[name].astype(object).fillna(empty)
    return frame[frame["current"].astype(bool)]
