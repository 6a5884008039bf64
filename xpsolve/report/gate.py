"""The gate: what became worse between two sets of results, and whether that stops a merge.

Counted launches, host reads and flops are compared exactly, on any two machines; so are errors, by their order, and
what no longer runs.  Times are compared between runs of one machine with one set of versions only: see `noise`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xpsolve.report import noise
from xpsolve.report.formats import error, exponent, interval, number, quantity, readable
from xpsolve.report.sides import SHOWN, SIDED, Side, load

__all__ = ["Change", "Side", "Verdict", "compare", "load", "markdown"]

GROWTH = 10.0
"""An error that grows by less is only rounding."""

MARGIN = 1e-3
"""Errors below this share of their tolerance count as equal."""

LEAST_COVERAGE = 0.1
"""Where a smaller share of what was measured is in both sets, "no alarm" would mean nothing."""

_OURS = "xpsolve"
_COMPARED = {"count": "counts", "error": "errors", "time": "series of times"}  # by role
_EXACT = ("count", "error")  # roles that are the same on every machine
_EXCUSED = ("missing backend", "missing library", "over budget")  # reasons not to be measured that are no fault
Run = tuple[str, str]  # machine and environment


@dataclass(frozen=True)
class Change:
    """A change, its values in words."""

    kind: str  # "launches", "syncs", "flops" …, "slower", "faster", "exponent", "error", "failed" or "vanished"
    benchmark: str  # asv's name
    where: str  # parameters of the series
    base: str
    new: str
    why: str
    alarm: bool  # whether it stops a merge


@dataclass(frozen=True)
class Verdict:
    """Everything that changed, alarms first, what was compared, and what could not be."""

    changes: list[Change]
    compared: Mapping[str, tuple[int, int]]  # counts, errors and series of times, of how many that either set has
    notes: list[str]  # what limits the comparison: versions, machines, noise

    @property
    def alarms(self) -> list[Change]:
        """Changes that stop a merge."""
        return [change for change in self.changes if change.alarm]

    @property
    def thin(self) -> bool:
        """Whether too little was compared to say that nothing became worse."""
        done, there = map(sum, zip(*self.compared.values(), strict=True))
        return bool(done < LEAST_COVERAGE * there)

    @property
    def summary(self) -> str:
        """One line: what was found, and in how much."""
        what = ", ".join(f"{done} of {there} {name}" for name, (done, there) in self.compared.items())
        found = f"{len(self.alarms)} alarm{'s' * (len(self.alarms) != 1)}" if self.alarms else "no alarm"
        return f"{'next to nothing in common; ' * self.thin}{found}; compared: {what}"


def compare(
    base: Side,
    new: Side,
    *,
    counts_only: bool = False,  # counts and errors alone, which need no quiet machine
    least: float = noise.LEAST,  # the least factor by which a slowdown is an alarm
    only: str = "",  # regular expression that ``name(parameters)`` must contain
) -> Verdict:
    """Compare two sets of results: what changed, and why it matters.

    Raises LookupError if the two have nothing in common that could be compared, ValueError if `least` is not above 1,
    or `only` no regular expression.

    >>> point = {"machine": "box", "environment": "py", "benchmark": "m.C.track_syncs", "params": '{"n": 2}',
    ...     "role": "count", "quantity": "syncs", "x_name": "n", "x": 2, "series": "{}", "status": "ok",
    ...     "reason": "", "suite": "quick"}
    >>> before, after = (Side(str(v), pd.DataFrame([point | {"value": v}])) for v in (1.0, 2.0))
    >>> [(change.kind, change.base, change.new) for change in compare(before, after).alarms]
    [('syncs', '1', '2')]
    """
    if not least > 1:
        raise ValueError(f"least: expected a factor above 1, such as 1.2, got {least}")
    try:
        pattern = re.compile(only)
    except re.error as why:
        raise ValueError(f"only: expected a regular expression, got {only!r} ({why})") from why
    changes: list[Change] = []
    notes = [f"{side.name}: {warning}" for side in (base, new) for warning in side.warnings]
    roles = _EXACT if counts_only else tuple(_COMPARED)
    compared, there = dict.fromkeys(roles, 0), dict.fromkeys(roles, 0)
    shared = 0
    for run, other in _runs(base, new, notes, counts_only):
        pairs = _join(_of(base, run), _of(new, other))
        text = pairs["benchmark"] + " " + pairs["params"]
        pairs = pairs[text.map(lambda line: bool(pattern.search(line)))]
        if counts_only:
            pairs = pairs[pairs["role"].isin(_EXACT)]
        for role in roles:
            there[role] += _measured(pairs, role)
        if run is None or other is None:
            continue
        pairs = _same_version(pairs, base, new, notes)
        both = pairs[(pairs["status_base"] == "ok") & (pairs["status_new"] == "ok")]
        shared += len(both)
        for role, check in (("count", _counts), ("error", _errors)):
            points = both[both["role"] == role]
            compared[role] += len(points)
            changes += check(points)
        changes += _lost(pairs, new.suite, notes)
        if run == other and not counts_only and _same_machine(base, new, run[0], notes):
            series, found = _times(both, run[0], least, notes)
            compared["time"] += series
            changes += found
    if not shared and all(change.kind == "vanished" for change in changes):
        raise LookupError(f"{base.name} and {new.name} have no measurement in common: nothing can be compared")
    coverage = {_COMPARED[role]: (done, there[role]) for role, done in compared.items()}
    return Verdict(sorted(changes, key=lambda c: (not c.alarm, c.kind, c.benchmark, c.where)), coverage, notes)


def _runs(base: Side, new: Side, notes: list[str], counts_only: bool) -> Iterator[tuple[Run | None, Run | None]]:
    """Which runs to compare, times only of one with itself; None where one set has no such run."""
    ours, theirs = (
        [*dict.fromkeys(side.frame[["machine", "environment"]].itertuples(index=False, name=None))]
        for side in (base, new)
    )
    common = [run for run in ours if run in theirs]
    if not common:
        for run in theirs:
            other = max(ours, key=lambda r: len(_join(_of(base, r), _of(new, run), how="inner")))
            if not counts_only:
                notes.append(
                    f"times are not compared: {base.name} is of {' '.join(other)}, {new.name} of {' '.join(run)}; "
                    "they must come from one machine and environment"
                )
            yield other, run
        return
    for side, runs in ((base, ours), (new, theirs)):
        for run in runs:
            if run not in common:
                notes.append(f"{run[0]} ({run[1]}) is in {side.name} only, and is not compared")
                yield (run, None) if side is base else (None, run)
    yield from ((run, run) for run in common)


def _of(side: Side, run: Run | None) -> pd.DataFrame:
    frame = side.frame
    if run is None:
        return frame.iloc[:0]
    chosen = (frame["machine"] == run[0]) & (frame["environment"] == run[1])
    return frame[chosen & (frame["reason"] != "not selected")]


def _join(base: pd.DataFrame, new: pd.DataFrame, how: Any = "outer") -> pd.DataFrame:
    """A row per benchmark and parameters, with the values of both sides."""
    key = ["benchmark", "params"]
    sides = [side.reindex(columns=[*key, *SHOWN, *SIDED]).drop_duplicates(key) for side in (base, new)]
    pairs = sides[0].merge(sides[1], on=key, how=how, suffixes=("_base", "_new"))
    for name in SHOWN:
        both = pairs.pop(name + "_new"), pairs.pop(name + "_base")
        pairs[name] = both[0].where(both[0].notna(), both[1])
    return pairs


def _measured(pairs: pd.DataFrame, role: str) -> int:
    """How many counts, errors or series of times there are on either side, compared or not."""
    known = pairs[pairs["role"].eq(role) & (pairs["status_base"].eq("ok") | pairs["status_new"].eq("ok"))]
    return _series(known[_given(known, "library", _OURS) == _OURS]) if role == "time" else len(known)


def _series(points: pd.DataFrame) -> int:
    return len(points[["benchmark", "series"]].drop_duplicates())


def _same_version(pairs: pd.DataFrame, base: Side, new: Side, notes: list[str]) -> pd.DataFrame:
    """Without benchmarks that now measure something else."""
    other = {name for name, version in base.suite.items() if new.suite.get(name, version) != version}
    seen = sorted(other & set(pairs["benchmark"]))
    if seen:
        notes.append(f"not compared, since they measure something new (their version was raised): {', '.join(seen)}")
    return pairs[~pairs["benchmark"].isin(seen)]


def _given(points: pd.DataFrame, name: str, default: str = "numpy") -> pd.Series:
    """One parameter of each point: its backend, or its library."""
    return points["params"].map(lambda params: str(json.loads(params or "{}").get(name, default)))


# --- exact checks ------------------------------------------------------------------------------------


def _lines(points: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (benchmark, _), line in points.groupby(["benchmark", "series"], sort=False, dropna=False):
        yield str(benchmark), line.sort_values("x")


def _place(row: pd.Series) -> str:
    """The parameters of a point in words."""
    series = "" if pd.isna(row["series"]) else readable(str(row["series"]))
    at = f"{row['x_name']} = {number(row['x'])}" if row["x_name"] and not pd.isna(row["x"]) else ""
    return ", ".join(filter(None, (series, at)))


def _counts(points: pd.DataFrame) -> Iterator[Change]:
    for benchmark, line in _lines(points[points["value_base"] != points["value_new"]]):
        worse = line[line["value_new"] > line["value_base"]]
        shown = (worse if len(worse) else line).iloc[-1]
        whole = points[(points["benchmark"] == benchmark) & (points["series"] == shown["series"])]
        base, new = f"{shown['value_base']:.15g}", f"{shown['value_new']:.15g}"
        why = f"{'more' if len(worse) else 'fewer'}, at {len(worse) or len(line)} of {len(whole)} points"
        yield Change(str(shown["quantity"]), benchmark, _place(shown), base, new, why, bool(len(worse)))


def _errors(points: pd.DataFrame) -> Iterator[Change]:
    level = pd.concat([points["value_base"], MARGIN * points["tol"].fillna(0.0)], axis=1).max(axis=1)
    missed = (points["value_new"] > points["tol"]) & ~(points["value_base"] > points["tol"])
    grown = points["value_new"] > GROWTH * level
    for benchmark, line in _lines(points[missed | grown]):
        shown = line.loc[(line["value_new"] / line["value_base"].clip(lower=1e-300)).idxmax()]
        why = f"more than {GROWTH:g} times as large, at {len(line)} points"
        if missed[shown.name]:
            why = f"above its tolerance {error(shown['tol'])}"
        base, new = error(shown["value_base"]), error(shown["value_new"])
        yield Change("error", benchmark, _place(shown), base, new, why, True)


def _lost(pairs: pd.DataFrame, suite: Mapping[str, str], notes: list[str]) -> Iterator[Change]:
    """Benchmarks that newly fail, or that are not there any more."""
    # A table of results has one line for all points that failed alike, without their parameters.
    before = pairs[(pairs["status_base"] == "ok") & pairs["params"].ne("")]
    missed = pairs[(pairs["status_new"] == "failed") & pairs["status_base"].ne("failed")]
    for benchmark, line in _lines(missed[missed["status_base"].eq("ok") | missed["params"].eq("")]):
        reason = str(line["reason_new"].iloc[0]) or "failed"
        yield Change("failed", benchmark, _place(line.iloc[0]), "ran", reason, "it ran, and fails now", True)
    there = set(pairs.loc[pairs["status_new"].isin(["ok", "failed"]), "benchmark"])
    gone = before[~before["benchmark"].isin(there)]
    suites = [set(pairs[name].dropna()) - {""} for name in ("suite_base", "suite_new")]
    other = bool(suites[0] and suites[1] and suites[0] != suites[1])
    excused = set(pairs.loc[pairs["reason_new"].isin(_EXCUSED), "benchmark"])
    # A backend that NEW did not measure at all is no benchmark that vanished.
    backends = set(_given(pairs[pairs["status_new"].eq("ok")], "backend"))
    for name, points in gone.groupby("benchmark", sort=False):
        if suite and name not in suite:
            yield Change("vanished", str(name), "", "measured", "gone", "it is no longer in the suite", True)
        elif not other and name not in excused and backends & set(_given(points, "backend")):
            why = "it was not measured; --only compares a part of the suite"
            yield Change("vanished", str(name), "", "measured", "not measured", why, True)
    partly = before["status_new"].ne("ok") & before["status_new"].ne("failed")
    if partly.any():
        notes.append(f"{partly.sum()} of {len(before)} points of BASE were not measured in NEW")
    if other:
        notes.append(f"BASE is of the profile {', '.join(suites[0])}, NEW of {', '.join(suites[1])}")


# --- times -------------------------------------------------------------------------------------------


def _same_machine(base: Side, new: Side, machine: str, notes: list[str]) -> bool:
    """Whether a machine is unchanged."""
    facts = [side.facts.get(machine) or {} for side in (base, new)]
    changed = [name for name in ("cpu", "cores", "blas") if all(facts) and facts[0].get(name) != facts[1].get(name)]
    if changed:
        notes.append(f"{machine}: times are not compared, since it changed in {', '.join(changed)}")
    return not changed


def _times(both: pd.DataFrame, machine: str, least: float, notes: list[str]) -> tuple[int, list[Change]]:
    """How many series were compared, and which changed beyond noise."""
    times = both[both["role"] == "time"]
    said = times[["valid_base", "valid_new", "steady_base", "steady_new"]]
    usable = (said.isna() | said.eq(True)).all(axis=1) & (times["value_base"] > 0) & (times["value_new"] > 0)
    ours = _given(times, "library", _OURS) == _OURS
    times = times[usable & _alike(times, machine, notes) & ours].astype({"series": object})
    lines = times[["benchmark", "series"]]
    # Lines of one or two sizes, such as data sets, agree or not as a group.
    enough = times.groupby(["benchmark", "series"])["x"].transform("size") >= noise.SIZES
    grouped = _given(times, "backend").map(lambda backend: json.dumps({"backend": backend}))
    times = times.assign(series=times["series"].where(enough, grouped), x=times["x"].where(enough))
    found = noise.compare(times, ["benchmark", "series"], least=least)
    left = len(times) - sum(len(shift.points) for shift in found.shifts)
    if left:
        notes.append(f"{machine}: {left} times are in groups of fewer than {noise.SIZES}, too few to be compared")
    if found.few and found.shifts:
        notes.append(f"{machine}: {len(found.shifts)} series are too few to estimate drift and noise of the machine")
    elif found.shifts:
        notes.append(
            f"{machine}: the median series takes ×{found.drift:.2f} of its time, which is the machine's drift; by the "
            f"noise of all, slowdowns are seen from ×{math.exp(found.limit):.2f} on and exponents that rise by "
            f"{found.slope_limit:.2f}; several runs a side, with commas between, see more"
        )
    changes = [_change(shift, found, "slower") for shift in found.slowdowns]
    changes += [_change(shift, found, "faster") for shift in found.speedups]
    judged = [index for shift in found.shifts for index in shift.points.index]
    return _series(lines.loc[judged]), changes + [_steeper(shift, found) for shift in found.steeper]


def _alike(times: pd.DataFrame, machine: str, notes: list[str]) -> pd.Series:
    """Which times were taken with one version of everything, as far as it is known."""
    alike = pd.Series(True, index=times.index)
    for name in ("python", "versions", "device"):
        before, after = times[name + "_base"].fillna(""), times[name + "_new"].fillna("")
        other = before.ne(after) & before.ne("") & after.ne("")
        for was, now in sorted(set(zip(before[other], after[other], strict=True))):
            notes.append(f"{machine}: times are not compared where {was} became {now}")
        alike &= ~other
    unknown = times["versions_base"].fillna("").eq("") | times["versions_new"].fillna("").eq("")
    if unknown.any():
        notes.append(f"{machine}: the versions of {unknown.sum()} times are not known, and are assumed to be the same")
    return alike


def _change(shift: noise.Shift, found: noise.Comparison, kind: str) -> Change:
    """A row for a series, with the times at the size that stands for it: so many others changed at least as much."""
    sign, log = (1, shift.slower) if kind == "slower" else (-1, shift.faster)
    ratio = shift.points["value_new"] / shift.points["value_base"] / found.drift
    beyond = sign * ratio.map(math.log) - log
    shown = shift.points.loc[beyond.abs().idxmin()]
    base, new = quantity(shown["value_base"], "seconds"), quantity(shown["value_new"], "seconds")
    why = (
        f"×{math.exp(log):.2f} or more {kind} at {(beyond > -1e-9).sum()} of {len(shift.points)} sizes; beyond noise "
        f"from ×{math.exp(found.limit):.2f} on"
    )
    return Change(kind, shift.key[0], _place(shown), base, new, why, kind == "slower")


def _steeper(shift: noise.Shift, found: noise.Comparison) -> Change:
    base, new = (f"{exponent(law.alpha)} {interval(law.low, law.high)}" for law in shift.laws)
    why = f"the ratio of times grows as x^{shift.slope:.2f}; beyond noise from {found.slope_limit:.2f} on"
    return Change("exponent", shift.key[0], readable(shift.key[1]), base, new, why, True)


# --- text ------------------------------------------------------------------------------------------


def markdown(verdict: Verdict) -> str:
    """A verdict as a comment on a change, in GitHub's Markdown.

    >>> print(markdown(Verdict([], {"counts": (12, 14)}, [])))
    **no alarm; compared: 12 of 14 counts**
    <BLANKLINE>
    """
    lines = [f"**{verdict.summary}**", ""]
    if verdict.changes:
        lines += ["| | what | benchmark | where | base | new | why |", "|---|---|---|---|--:|--:|---|"]
        for c in verdict.changes:
            cells = ("alarm" if c.alarm else "", c.kind, f"`{c.benchmark}`", c.where, c.base, c.new, c.why)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines += [f"- {note}" for note in verdict.notes]
    return "\n".join(lines).rstrip("\n") + "\n"
