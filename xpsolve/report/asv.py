"""Reading airspeed velocity's results: its JSON format 2, decoded into one plain record per measured point.

The format (asv 0.6): ``benchmarks.json`` describes each benchmark (``param_names``, ``params``, ``unit``, ``version``
and every plain attribute of the function, among them our ``meta``); ``<machine>/<commit>-<environment>.json`` holds
``result_columns`` and, per benchmark, one row of that layout with trailing nulls dropped. Parameters are lists of
``repr`` strings, values follow ``itertools.product`` with the last parameter fastest. ``null`` is a failure and
``NaN`` a point that was skipped or not selected; ``Infinity`` occurs.

Which of these it was, and why, is in the ledger that `xpsolve bench` keeps beside (``<commit>.ledger``), with the
facts of that run; without one, the reasons come from the machine's last run, as far as it has them.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from xpsolve.bench.meta import BenchmarkMeta

_FAILURES = ("out of memory", "timed out", "failed")
_LARGEST_GRID = 1_000_000  # points of one benchmark; asv would need weeks for them
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
    meta: BenchmarkMeta
    unit: str
    params: Mapping[str, Any]
    value: float
    lower: float
    upper: float
    samples: int
    status: str  # "ok", "skipped" (there was no attempt) or "failed"
    reason: str = ""  # why there is no value: "failed", "timed out", "out of memory", "over budget", "missing backend",
    # "missing library", "does not apply" or "not selected", which was not requested
    detail: str = ""  # a line that says more
    suite: str = ""  # the profile that measured it
    backend: str = ""  # "" for another library
    device: str = ""
    versions: str = ""  # of what was measured: the backend's library, or another
    sessions: tuple[float, ...] = ()  # median of each of several sessions; `value` is then their geometric mean


@dataclass
class Measurements:
    """What a results folder holds: points, the facts beside them, and what had to be left out."""

    points: list[Point] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each machine's last run
    runs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # facts by machine and commit
    warnings: list[str] = field(default_factory=list)
    described: dict[str, dict[str, Any]] = field(default_factory=dict)  # benchmarks.json


def read(results: Path | Sequence[Path], machines: Sequence[str] | None = None) -> Measurements:
    """Read every result file under asv's ``results_dir``, or several of them.

    Points are in file order; where two folders hold the same point of the same machine and commit, what was measured
    last counts.  A file or benchmark that was left out is a line of the warnings.  Raises `NoResultsError` if there is
    no measurement at all, and ValueError if `machines` names one that has no results.
    """
    advice = "measure something first with `xpsolve bench`, or name another folder with --results"
    folders = [results] if isinstance(results, Path) else list(results)
    for folder in folders:
        if not folder.is_dir():
            raise NoResultsError(f"no asv results in '{folder}': {advice}")
    present = sorted({p.name for folder in folders for p in folder.iterdir() if p.is_dir()})
    unknown = sorted(set(machines or ()) - set(present))
    if unknown:
        raise ValueError(f"machines: expected names among {present}, got {unknown}")

    found = Measurements()
    for folder in folders:
        described = _describe(folder / "benchmarks.json", found.warnings)
        found.described.update(described)
        for name in present if machines is None else machines:
            if (folder / name).is_dir():
                _read_machine(folder / name, described, found)
    if len(folders) > 1:
        found.points = _latest(found.points)
    measured = {point.machine for point in found.points}
    found.facts = {name: facts for name, facts in found.facts.items() if name in measured}
    if not found.points:
        where = ", ".join(f"'{folder}'" for folder in folders)
        reasons = "".join(f"\n  - {line}" for line in found.warnings)
        raise NoResultsError(f"no asv results in {where}: {advice}{reasons}")
    return found


def _latest(points: Sequence[Point]) -> list[Point]:
    """One of each point: one with a value if there is one, then the one measured last."""
    best: dict[tuple[Any, ...], Point] = {}
    for point in points:
        key = (point.machine, point.environment, point.commit, point.benchmark, json.dumps(point.params))
        best[key] = max(best.get(key, point), point, key=lambda one: (one.status == "ok", one.measured))
    return list(best.values())


def _load(path: Path, warnings: list[str]) -> dict[str, Any] | None:
    """Return a JSON object, or None with a warning that names the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"expected an object, got {type(content).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        warnings.append(f"{path.parent.name}/{path.name}: not readable as JSON ({error}); skipped")
        return None
    return content


def _describe(path: Path, warnings: list[str]) -> dict[str, dict[str, Any]]:
    if not path.exists():
        warnings.append(f"{path.name} is missing: parameters have no names and nothing can be fitted; run asv again")
        return {}
    content = _load(path, warnings) or {}
    entries = {name: entry for name, entry in content.items() if isinstance(entry, dict)}
    for name, entry in entries.items():
        try:
            entry["meta"] = BenchmarkMeta.read(entry.get("meta"))
        except ValueError as error:
            warnings.append(f"{path.name}: what {name} declares is not valid ({error}); skipped")
            entry["meta"] = BenchmarkMeta()
    return entries


def _read_machine(folder: Path, described: dict[str, dict[str, Any]], found: Measurements) -> None:
    machine = _load(folder / "machine.json", found.warnings) if (folder / "machine.json").exists() else None
    ledgers = {path.stem: _load(path, found.warnings) or {} for path in sorted(folder.glob("*.ledger"))}
    # Of the machine's last run: ledgers have them, and ``facts.json`` where an earlier version wrote it.
    known = [_dict(ledger, "facts") for ledger in ledgers.values()]
    if (folder / "facts.json").exists():
        known.append(_load(folder / "facts.json", found.warnings) or {})
    found.runs |= {(folder.name, str(facts.get("commit"))): facts for facts in reversed(known)}
    facts = max(filter(None, known), key=lambda facts: str(facts.get("date", "")), default={})
    found.facts[folder.name] = _facts({**found.facts.get(folder.name, {}), **(machine or {}), **facts})
    for path in sorted(folder.glob("*.json")):
        if path.name not in _NOT_RESULTS:
            _read_file(path, described, _Run(ledgers.get(path.name.partition("-")[0], {}), facts), found)


def _read_file(path: Path, described: dict[str, dict[str, Any]], run: _Run, found: Measurements) -> None:
    content = _load(path, found.warnings)
    if content is None:
        return
    where = f"{path.parent.name}/{path.name}"
    columns, results = content.get("result_columns"), content.get("results")
    if content.get("version") != 2 or not isinstance(columns, list) or not isinstance(results, dict):
        found.warnings.append(f"{where}: not an asv result file of format 2; skipped")
        return
    try:
        date = int(content.get("date") or 0)
        datetime.fromtimestamp(date / 1000, tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        found.warnings.append(f"{where}: its date is not valid ({error}); skipped")
        return
    names = {"environment": "env_name", "python": "python", "commit": "commit_hash"}
    common: dict[str, Any] = {name: str(content.get(key, "")) for name, key in names.items()}
    common |= {"machine": path.parent.name, "date": date}
    unknown: list[str] = []
    stale: list[str] = []

    def add(source: str, benchmark: str, columns: list[str], row: list[Any]) -> None:
        entry = described.get(benchmark, {})
        try:
            record = dict(zip(columns, row, strict=False))
            if described and record.get("version") not in (None, entry.get("version")):
                stale.append(benchmark)
                return
            points = list(_points(common, benchmark, entry, record, run))
        except Exception as error:  # of any kind: one bad entry does not take the others with it
            found.warnings.append(f"{source}: {benchmark} cannot be decoded ({error}); skipped")
            return
        wrong = list(itertools.filterfalse(_possible, points))
        if wrong:
            at = ", ".join(f"{point.value:g} at {dict(point.params)}" for point in wrong[:3])
            found.warnings.append(f"{source}: {benchmark} has {len(wrong)} impossible values ({at}); skipped")
        found.points.extend(filter(_possible, points))

    for benchmark, row in results.items():
        if described and benchmark not in described:
            unknown.append(benchmark)
        else:
            add(where, benchmark, columns, row)
    # A benchmark without any value has no row.
    for benchmark in sorted({text.partition("(")[0] for text in run.missed} & described.keys() - results.keys()):
        add("benchmarks.json", benchmark, ["params"], [described[benchmark].get("params")])
    for left, reason in (
        (unknown, "no longer among the benchmarks"),
        (stale, "measured with an earlier version of the benchmark"),
    ):
        if left:
            found.warnings.append(f"{where}: left out, {reason}: {', '.join(sorted(left))}")


def _possible(point: Point) -> bool:
    """Whether a value is possible: no time and no rate is 0 or infinite."""
    measured = point.status == "ok" and point.meta.role in ("time", "ceiling")
    return not measured or (point.value > 0 and math.isfinite(point.value))


def _points(
    common: Mapping[str, Any],
    benchmark: str,
    entry: Mapping[str, Any],
    record: Mapping[str, Any],
    run: _Run,
) -> Iterator[Point]:
    """The points of one benchmark, from its row; one without ``result`` has no values."""
    reprs = record.get("params") or []
    size = math.prod(len(values) for values in reprs)
    if size > _LARGEST_GRID:
        raise ValueError(f"a grid of {size} points")
    grid = [[_parameter(text) for text in values] for values in reprs]
    names = [str(name) for name in entry.get("param_names") or []]
    names += [f"param{i + 1}" for i in range(len(names), len(grid))]
    columns = []
    for column in ("result", "stats_ci_99_a", "stats_ci_99_b", "stats_repeat"):
        values = record.get(column, [math.nan] * size if column == "result" else None)
        # A column is a bare null where it has nothing, such as the result of a benchmark that failed at every point.
        columns.append([None] * size if values is None else values)
        if len(columns[-1]) != size:
            raise ValueError(f"{len(columns[-1])} values of {column} for {size} parameter tuples")
    rows = zip(itertools.product(*reprs), itertools.product(*grid), *columns, strict=True)
    for words, parameters, value, lower, upper, samples in rows:
        number = math.nan if value is None else float(value)
        params = dict(zip(names, parameters, strict=True))
        text = f"{benchmark}({', '.join(words)})" if words else benchmark
        known = run.about(text, params, None if value is None else number)
        yield Point(
            **common,
            measured=int(record.get("started_at") or 0),
            benchmark=benchmark,
            meta=entry.get("meta", BenchmarkMeta()),
            unit=str(entry.get("unit", "")),
            params=params,
            value=geometric_mean(known["sessions"]) if known["sessions"] and math.isfinite(number) else number,
            lower=_finite(lower),
            upper=_finite(upper),
            samples=int(samples or 0),
            **known,
        )


def _parameter(text: str) -> Any:
    """A parameter: a word, a number or neither."""
    value = ast.literal_eval(text)
    if isinstance(value, int | float) and not abs(value) < 2**63:
        raise ValueError(f"parameter {text[:40]} is too large for a size")
    if not isinstance(value, str | int | float | None):
        raise TypeError(f"parameter {text[:40]} is neither a word nor a number")
    return value


def _finite(value: Any) -> float:
    """Asv writes ±inf for the interval of very few samples, null for none: both mean that it is not known."""
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _dict(entries: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part that should be an object; anything else is empty."""
    part = entries.get(name)
    return part if isinstance(part, dict) else {}


def _facts(known: Mapping[str, Any]) -> dict[str, Any]:
    """Facts whose parts are objects, and lists of them, as readers expect; malformed ones are left out."""
    parts = {name: _dict(known, name) for name in ("backends", "caches", "libraries")}
    parts["backends"] = {name: one for name, one in parts["backends"].items() if isinstance(one, dict)}
    blas = known.get("blas")
    return {**known, **parts, "blas": [one for one in blas if isinstance(one, dict)] if isinstance(blas, list) else []}


class _Run:
    """What is beside a result file: libraries, profiles, and why points have no value."""

    def __init__(self, ledger: Mapping[str, Any], latest: Mapping[str, Any]) -> None:
        facts = _dict(ledger, "facts") or latest  # of the commit's own run, else of the machine's latest
        self.backends, self.libraries = _dict(facts, "backends"), _dict(facts, "libraries")
        self.entries, self.missed = _dict(ledger, "entries"), _dict(ledger, "missed")

    def about(self, text: str, params: Mapping[str, Any], value: float | None) -> dict[str, Any]:
        """Fields of a point that has this text and value."""
        library = params.get("library")
        backend = str(params.get("backend", "numpy" if library is None else ""))
        known, entry = _dict(self.backends, backend), _dict(self.entries, text)
        version = known.get("version") if library is None else self.libraries.get(str(library))
        status, reason, detail = self._status(text, value, library, known)
        return {
            "status": status,
            "reason": reason,
            "detail": detail,
            "suite": str(entry.get("profile", "")),
            "backend": backend,
            "device": str(known.get("device") or ""),
            "versions": f"{library or backend} {version}" if version else "",
            "sessions": _sessions(entry.get("sessions")),
        }

    def _status(self, text: str, value: float | None, library: Any, known: Mapping[str, Any]) -> tuple[str, str, str]:
        if value is not None and not math.isnan(value):
            return "ok", "", ""
        missed = _dict(self.missed, text)
        if value is None or missed:
            reason = str(missed.get("reason", "failed"))
            failed = value is None or reason in _FAILURES
            return "failed" if failed else "skipped", reason, str(missed.get("detail", ""))
        if known.get("available") is False:
            return "skipped", "missing backend", str(known.get("reason", ""))
        if library in self.libraries and self.libraries[library] is None:
            return "skipped", "missing library", f"{library} is not installed"
        return "skipped", "does not apply" if text in self.entries else "not selected", ""


def _sessions(known: Any) -> tuple[float, ...]:
    """The median of each of several sessions; nothing where there was one, or what is there is malformed."""
    try:
        found = tuple(float(median(one["samples"])) for one in known or ())
    except (TypeError, ValueError, LookupError, OverflowError):
        return ()
    return found if len(found) > 1 and all(math.isfinite(t) and t > 0 for t in found) else ()
