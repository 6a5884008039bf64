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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

__all__ = ["Measurements", "NoResultsError", "Point", "read"]

REASONS = (
    "missing backend",
    "missing library",
    "out of memory",
    "timed out",
    "over budget",
    "failed",
    "does not apply",
    "not selected",
)
"""Why a point has no value; a point that is "not selected" was not requested."""

_FAILURES = ("out of memory", "timed out", "failed")
_DECLARED: Mapping[str, Any] = {
    **dict.fromkeys(("family", "title", "role", "quantity", "x", "cost", "mode", "pair"), str),
    **dict.fromkeys(("fixed", "derived"), dict),
    "tol": int | float,
}
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
    meta: Mapping[str, Any]
    unit: str
    params: Mapping[str, Any]
    value: float
    lower: float
    upper: float
    samples: int
    status: str  # "ok", "skipped" (there was no attempt) or "failed"
    reason: str = ""  # one of REASONS
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
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    described: dict[str, dict[str, Any]] = field(default_factory=dict)  # benchmarks.json


def read(results: Path | Sequence[Path], machines: Sequence[str] | None = None) -> Measurements:
    """Read every result file under asv results folders, of any number of machines and commits.

    Parameters
    ----------
    results : Path or sequence of Path
        Folders that hold ``benchmarks.json`` and one folder per machine (asv's ``results_dir``); where two hold the
        same point of the same machine and commit, what was measured last counts.
    machines : sequence of str, optional
        Names of the machines to read; all of them when left out.

    Returns
    -------
    Measurements
        Points in file order, facts by machine, and a line for each file or benchmark that was left out.

    Raises
    ------
    NoResultsError
        If the folders hold no measurement at all.
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
    folders = [results] if isinstance(results, Path) else list(results)
    where = ", ".join(f"'{folder}'" for folder in folders)
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
    found.facts = {name: facts for name, facts in found.facts.items() if any(p.machine == name for p in found.points)}
    if not found.points:
        reasons = "".join(f"\n  - {line}" for line in found.warnings)
        raise NoResultsError(f"no asv results in {where}: {advice}{reasons}")
    return found


def _read_machine(folder: Path, described: dict[str, dict[str, Any]], found: Measurements) -> None:
    machine = _load(folder / "machine.json", found.warnings) if (folder / "machine.json").exists() else None
    ledgers = {path.stem: _load(path, found.warnings) or {} for path in sorted(folder.glob("*.ledger"))}
    facts = _latest_facts(folder, ledgers.values(), found.warnings)
    found.facts[folder.name] = {**found.facts.get(folder.name, {}), **(machine or {}), **facts}
    for path in sorted(folder.glob("*.json")):
        if path.name not in _NOT_RESULTS:
            run = _Run.of(ledgers.get(path.name.partition("-")[0], {}), facts)
            _read_file(path, folder.name, described, run, found)


def _latest_facts(folder: Path, ledgers: Iterable[Mapping[str, Any]], warnings: list[str]) -> dict[str, Any]:
    """Facts of a machine's last run: ledgers have them, and ``facts.json`` where an earlier version wrote it."""
    known = [facts for ledger in ledgers if isinstance(facts := ledger.get("facts"), dict) and facts]
    if (folder / "facts.json").exists():
        known.append(_load(folder / "facts.json", warnings) or {})
    return max(known, key=lambda facts: str(facts.get("date", "")), default={})


def _latest(points: Sequence[Point]) -> list[Point]:
    """One of each point: one with a value if there is one, then the one measured last."""
    best: dict[tuple[Any, ...], Point] = {}
    for point in points:
        key = (point.machine, point.environment, point.commit, point.benchmark, json.dumps(point.params))
        rank = (point.status == "ok", point.measured)
        if key not in best or rank > (best[key].status == "ok", best[key].measured):
            best[key] = point
    return list(best.values())


@dataclass(frozen=True)
class _Run:
    """What is beside a result file: libraries, profiles, and why points have no value."""

    backends: Mapping[str, Any]
    libraries: Mapping[str, Any]
    entries: Mapping[str, Any]
    missed: Mapping[str, Any]

    @classmethod
    def of(cls, ledger: Mapping[str, Any], facts: Mapping[str, Any]) -> _Run:
        """Facts of the commit's own run, else the machine's latest; malformed facts are empty."""
        own = ledger.get("facts")
        facts = own if isinstance(own, dict) and own else facts
        parts = (facts.get("backends"), facts.get("libraries"), ledger.get("entries"), ledger.get("missed"))
        return cls(*(part if isinstance(part, dict) else {} for part in parts))

    def about(self, text: str, params: Mapping[str, Any], value: float | None) -> dict[str, Any]:
        """Fields of a point that has this text and value."""
        library = params.get("library")
        backend = str(params.get("backend", "numpy" if library is None else ""))
        known = _entry(self.backends, backend)
        version = known.get("version") if library is None else self.libraries.get(str(library))
        status, reason, detail = self._status(text, value, library, known)
        return {
            "status": status,
            "reason": reason,
            "detail": detail,
            "suite": str(_entry(self.entries, text).get("profile", "")),
            "backend": backend,
            "device": str(known.get("device") or ""),
            "versions": f"{library or backend} {version}" if version else "",
            "sessions": _sessions(_entry(self.entries, text).get("sessions")),
        }

    def _status(self, text: str, value: float | None, library: Any, known: Mapping[str, Any]) -> tuple[str, str, str]:
        if value is not None and not math.isnan(value):
            return "ok", "", ""
        missed = _entry(self.missed, text)
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


def _entry(entries: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    entry = entries.get(name)
    return entry if isinstance(entry, dict) else {}


def _load(path: Path, warnings: list[str]) -> dict[str, Any] | None:
    """Return a JSON object, or None with a warning that names the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
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
    entries = {name: entry for name, entry in content.items() if isinstance(entry, dict)}
    for name, entry in entries.items():
        wrong = _malformed(entry.get("meta"))
        if wrong:
            warnings.append(f"{path.name}: {name} declares {wrong}, which is not valid; skipped")
            entry["meta"] = {}
    return entries


def _malformed(meta: Any) -> str:
    """The part of a declaration with an unusable type, or nothing."""
    if not isinstance(meta, dict):
        return ""
    for name, kind in _DECLARED.items():
        value = meta.get(name)
        if value is not None and not isinstance(value, kind):
            return f"{name} = {value!r}"[:80]
    whole = (meta.get("derived") or {}).items()
    wrong = [f"derived {name} = {value!r}" for name, value in whole if not isinstance(value, int | float)]
    return wrong[0][:80] if wrong else ""


def _read_file(path: Path, machine: str, described: dict[str, dict[str, Any]], run: _Run, found: Measurements) -> None:
    content = _load(path, found.warnings)
    if content is None:
        return
    where = f"{machine}/{path.name}"
    columns, results = content.get("result_columns"), content.get("results")
    if content.get("version") != 2 or not isinstance(columns, list) or not isinstance(results, dict):
        found.warnings.append(f"{where}: not an asv result file of format 2; skipped")
        return
    try:
        datetime.fromtimestamp(int(content.get("date") or 0) / 1000, tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        found.warnings.append(f"{where}: its date is not valid ({error}); skipped")
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
            points = list(_points(content, machine, benchmark, entry or {}, record, run))
        except _UNDECODABLE as error:
            found.warnings.append(f"{where}: {benchmark} cannot be decoded ({error}); skipped")
            continue
        wrong = [point for point in points if not _possible(point)]
        if wrong:
            at = ", ".join(f"{point.value:g} at {dict(point.params)}" for point in wrong[:3])
            found.warnings.append(f"{where}: {benchmark} has {len(wrong)} impossible values ({at}); skipped")
        found.points.extend(point for point in points if _possible(point))
    # A benchmark without any value has no row.
    for benchmark in sorted({text.partition("(")[0] for text in run.missed} & described.keys() - results.keys()):
        params = described[benchmark].get("params") or []
        try:
            nothing = {"params": params, "result": [math.nan] * _size(params)}
            found.points.extend(list(_points(content, machine, benchmark, described[benchmark], nothing, run)))
        except _UNDECODABLE as error:
            found.warnings.append(f"benchmarks.json: {benchmark} cannot be decoded ({error}); skipped")
    for names, reason in (
        (unknown, "no longer among the benchmarks"),
        (stale, "measured with an earlier version of the benchmark"),
    ):
        if names:
            found.warnings.append(f"{where}: left out, {reason}: {', '.join(sorted(names))}")


_UNDECODABLE = (
    TypeError,
    ValueError,
    SyntaxError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)


def _possible(point: Point) -> bool:
    """Whether a value is possible: no time and no rate is 0 or infinite."""
    measured = point.status == "ok" and point.meta.get("role") in ("time", "ceiling")
    return not measured or (point.value > 0 and math.isfinite(point.value))


def _size(params: Sequence[Sequence[str]]) -> int:
    """Points of a grid; a grid that is too large to have been measured is refused."""
    size = math.prod(len(values) for values in params)
    if size > _LARGEST_GRID:
        raise ValueError(f"a grid of {size} points")
    return size


def _value(text: str) -> Any:
    """A parameter: a word, a number or neither."""
    value = ast.literal_eval(text)
    if isinstance(value, int | float) and not abs(value) < 2**63:
        raise ValueError(f"parameter {text[:40]} is too large for a size")
    if not isinstance(value, str | int | float | None):
        raise TypeError(f"parameter {text[:40]} is neither a word nor a number")
    return value


def _points(
    content: Mapping[str, Any],
    machine: str,
    benchmark: str,
    entry: Mapping[str, Any],
    record: Mapping[str, Any],
    run: _Run,
) -> Iterator[Point]:
    reprs = record.get("params") or []
    _size(reprs)
    grid = [[_value(text) for text in values] for values in reprs]
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
    for name, column in (("stats_ci_99_a", lower), ("stats_ci_99_b", upper), ("stats_repeat", samples)):
        if len(column) != len(tuples):
            raise ValueError(f"{len(column)} values of {name} for {len(tuples)} parameter tuples")
    meta = entry.get("meta")
    for i, (words, parameters, value) in enumerate(zip(itertools.product(*reprs), tuples, values, strict=True)):
        number = math.nan if value is None else float(value)
        params = dict(zip(names, parameters, strict=True))
        text = f"{benchmark}({', '.join(words)})" if words else benchmark
        known = run.about(text, params, None if value is None else number)
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
            params=params,
            value=geometric_mean(known["sessions"]) if known["sessions"] and math.isfinite(number) else number,
            lower=_finite(lower[i]),
            upper=_finite(upper[i]),
            samples=int(samples[i] or 0),
            **known,
        )


def _finite(value: Any) -> float:
    """Asv writes ±inf for the interval of very few samples, null for none: both mean that it is not known."""
    return float(value) if value is not None and math.isfinite(value) else math.nan
