"""Reading airspeed velocity's results: its JSON format 2, decoded into one plain record per measured point.

The format (asv 0.6): ``benchmarks.json`` describes each benchmark (``param_names``, ``params``, ``unit``, ``version``
and every plain attribute of the function, among them our ``meta``); ``<machine>/<commit>-<environment>.json`` holds
``result_columns`` and, per benchmark, one row of that layout with trailing nulls dropped. Parameters are lists of
``repr`` strings, values follow ``itertools.product`` with the last parameter fastest. ``null`` is a failure and
``NaN`` a point that was skipped or not selected; ``Infinity`` occurs.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Measurements", "NoResultsError", "Point", "read"]

_NOT_RESULTS = ("machine.json", "facts.json")


class NoResultsError(LookupError):
    """There is nothing to report on; the message says how to measure something."""


@dataclass(frozen=True)
class Point:
    """One benchmark at one tuple of parameters, on one machine at one commit."""

    machine: str
    environment: str
    python: str
    commit: str
    date: int  # of the commit, in milliseconds since 1970
    measured: int  # when the benchmark was started, likewise
    benchmark: str
    meta: Mapping[str, Any]
    unit: str
    params: Mapping[str, Any]
    value: float
    lower: float
    upper: float
    samples: int
    status: str  # "ok", "skipped" (n/a, or not selected) or "failed"


@dataclass
class Measurements:
    """What a results folder holds: points, the facts beside them, and what had to be left out."""

    points: list[Point] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read(results: Path, machines: Sequence[str] | None = None) -> Measurements:
    """Read every result file under an asv results folder.

    Parameters
    ----------
    results : Path
        The folder that holds ``benchmarks.json`` and one folder per machine (asv's ``results_dir``).
    machines : sequence of str, optional
        Names of the machines to read; all of them when left out.

    Returns
    -------
    Measurements
        Points in file order, facts by machine, and a line for each file or benchmark that was left out.

    Raises
    ------
    NoResultsError
        If the folder holds no measurement at all.
    ValueError
        If `machines` names one that has no results.

    Examples
    --------
    >>> from pathlib import Path
    >>> from xpsolve.report.asv import read
    >>> read(Path("no-such-folder"))
    Traceback (most recent call last):
    ...
    xpsolve.report.asv.NoResultsError: no asv results in 'no-such-folder': measure something ...
    """
    advice = "measure something first with `xpsolve bench`, or name another folder with --results"
    if not results.is_dir():
        raise NoResultsError(f"no asv results in '{results}': {advice}")
    present = sorted(p.name for p in results.iterdir() if p.is_dir())
    unknown = sorted(set(machines or ()) - set(present))
    if unknown:
        raise ValueError(f"machines: expected names among {present}, got {unknown}")

    found = Measurements()
    described = _describe(results / "benchmarks.json", found.warnings)
    for name in present if machines is None else machines:
        folder = results / name
        facts = _load(folder / "facts.json", found.warnings) if (folder / "facts.json").exists() else None
        machine = _load(folder / "machine.json", found.warnings) if (folder / "machine.json").exists() else None
        found.facts[name] = {**(machine or {}), **(facts or {})}
        for path in sorted(folder.glob("*.json")):
            if path.name not in _NOT_RESULTS:
                _read_file(path, name, described, found)
    found.facts = {name: facts for name, facts in found.facts.items() if any(p.machine == name for p in found.points)}
    if not found.points:
        reasons = "".join(f"\n  - {line}" for line in found.warnings)
        raise NoResultsError(f"no asv results in '{results}': {advice}{reasons}")
    return found


def _load(path: Path, warnings: list[str]) -> dict[str, Any] | None:
    """Return a JSON object, or None with a warning that names the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        warnings.append(f"{path.parent.name}/{path.name}: not readable as JSON ({error}); skipped")
        return None
    if not isinstance(content, dict):
        warnings.append(
            f"{path.parent.name}/{path.name}: expected a JSON object, got {type(content).__name__}; skipped"
        )
        return None
    return content


def _describe(path: Path, warnings: list[str]) -> dict[str, dict[str, Any]]:
    if not path.exists():
        warnings.append(f"{path.name} is missing: parameters have no names and nothing can be fitted; run asv again")
        return {}
    content = _load(path, warnings) or {}
    return {name: entry for name, entry in content.items() if isinstance(entry, dict)}


def _read_file(path: Path, machine: str, described: dict[str, dict[str, Any]], found: Measurements) -> None:
    content = _load(path, found.warnings)
    if content is None:
        return
    where = f"{machine}/{path.name}"
    columns, results = content.get("result_columns"), content.get("results")
    if content.get("version") != 2 or not isinstance(columns, list) or not isinstance(results, dict):
        found.warnings.append(f"{where}: not an asv result file of format 2; skipped")
        return
    unknown, stale = [], []
    for benchmark, row in results.items():
        entry = described.get(benchmark)
        if described and entry is None:
            unknown.append(benchmark)
            continue
        try:
            record = dict(zip(columns, row, strict=False))
            if entry is not None and record.get("version") not in (None, entry.get("version")):
                stale.append(benchmark)
                continue
            found.points.extend(_points(content, machine, benchmark, entry or {}, record))
        except (TypeError, ValueError, SyntaxError, KeyError, AttributeError, OverflowError) as error:
            found.warnings.append(f"{where}: {benchmark} cannot be decoded ({error}); skipped")
    for names, reason in (
        (unknown, "no longer among the benchmarks"),
        (stale, "measured with an earlier version of the benchmark"),
    ):
        if names:
            found.warnings.append(f"{where}: left out, {reason}: {', '.join(sorted(names))}")


def _points(
    content: Mapping[str, Any], machine: str, benchmark: str, entry: Mapping[str, Any], record: Mapping[str, Any]
) -> Iterator[Point]:
    grid = [[ast.literal_eval(value) for value in values] for values in record.get("params") or []]
    names = [str(name) for name in entry.get("param_names") or []]
    names += [f"param{i + 1}" for i in range(len(names), len(grid))]
    tuples = list(itertools.product(*grid))
    values = record.get("result")
    # A benchmark that failed at every point is stored as a bare null.
    values = [None] * len(tuples) if values is None else values
    if len(values) != len(tuples):
        raise ValueError(f"{len(values)} values for {len(tuples)} parameter tuples")
    lower, upper, samples = (
        record.get(column) or [None] * len(tuples) for column in ("stats_ci_99_a", "stats_ci_99_b", "stats_repeat")
    )
    meta = entry.get("meta")
    for i, (parameters, value) in enumerate(zip(tuples, values, strict=True)):
        number = math.nan if value is None else float(value)
        yield Point(
            machine=machine,
            environment=str(content.get("env_name", "")),
            python=str(content.get("python", "")),
            commit=str(content.get("commit_hash", "")),
            date=int(content.get("date") or 0),
            measured=int(record.get("started_at") or 0),
            benchmark=benchmark,
            meta=meta if isinstance(meta, dict) else {},
            unit=str(entry.get("unit", "")),
            params=dict(zip(names, parameters, strict=True)),
            value=number,
            lower=_finite(lower[i]),
            upper=_finite(upper[i]),
            samples=int(samples[i] or 0),
            status="failed" if value is None else "skipped" if math.isnan(number) else "ok",
        )


def _finite(value: Any) -> float:
    """Asv writes ±inf for the interval of very few samples, null for none: both mean that it is not known."""
    return float(value) if value is not None and math.isfinite(value) else math.nan
