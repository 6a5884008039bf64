"""Contests: one problem, several libraries, and who is faster at the same measured accuracy.

A time with a parameter ``library`` takes part; all times that differ in it alone are one contest.  An answer that
misses its tolerance, or has no error measured beside it, is shown but not compared.

The interval of a ratio r = t/u comes from those of both times, [a, b] and [c, d], taken as independent: in logarithms
the distances of their ends from the medians are added in squares (Donner and Zou, Statistical Methods in Medical
Research 21, 2012), ln r − √(ln²(t/a) + ln²(d/u)) … ln r + √(ln²(b/t) + ln²(u/c)).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xpsolve.report.digest import Cell, RunName, Table, interval_cell, key, measure, readable, table, text
from xpsolve.report.figures import Dot
from xpsolve.report.findings import LEAST_SCATTER
from xpsolve.report.formats import error, number, quantity
from xpsolve.report.sessions import Z99

__all__ = ["Contest", "Entrant", "Ratio", "Standing", "contests", "dots", "ratio", "standing", "tables", "takes_part"]

OURS = "xpsolve"


@dataclass(frozen=True)
class Ratio:
    """A time as a multiple of another, with its 99 % interval."""

    value: float
    low: float
    high: float

    @property
    def level(self) -> bool:
        """Whether the interval holds 1."""
        return self.low <= 1 <= self.high

    @property
    def sentence(self) -> str:
        """The ratio in words, for the time in the denominator."""
        if self.level:
            return f"level [{number(self.low)}, {number(self.high)}]"
        if self.value > 1:
            return f"{number(self.value)}× faster [{number(self.low)}, {number(self.high)}]"
        return f"{number(1 / self.value)}× slower [{number(1 / self.high)}, {number(1 / self.low)}]"


@dataclass(frozen=True)
class Entrant:
    """One library in a contest."""

    library: str
    version: str
    row: Any  # of the tidy table; its numbers are NaN where there is no time
    outcome: str  # "fastest", "among the fastest", "", or why it takes no part
    ours: Ratio | None  # its time as a multiple of ours

    @property
    def compared(self) -> bool:
        """Whether it takes part."""
        return self.outcome in _PLACES


_PLACES = ("fastest", "among the fastest", "")


@dataclass(frozen=True)
class Contest:
    """All libraries on one problem, the fastest first and those that take no part last."""

    machine: str
    environment: str
    title: str
    case: str
    entrants: Sequence[Entrant]


def takes_part(frame: pd.DataFrame) -> pd.Series:
    """Which rows are of a contest."""
    return frame["library"].notna() if "library" in frame else pd.Series(False, index=frame.index)


def ratio(one: Any, other: Any) -> Ratio:
    """How many times longer one time is than another; each has "value", "lower" and "upper".

    The interval is that of the module's docstring; no time is assumed to be known better than runs of several processes
    agree.
    """
    value = one["value"] / other["value"]
    down = math.hypot(_distance(one, "lower"), _distance(other, "upper"))
    up = math.hypot(_distance(one, "upper"), _distance(other, "lower"))
    return Ratio(value, value * math.exp(-down), value * math.exp(up))


def _distance(time: Any, end: str) -> float:
    """From the median to an end of its interval, in logarithms."""
    known = time[end] / time["value"]
    return max(abs(math.log(known)) if known > 0 else 0.0, Z99 * LEAST_SCATTER)


def contests(frame: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> list[Contest]:
    """Contests among the current times, in the order of benchmarks.

    `facts` are by machine; their "libraries" are versions, None for one that is not installed.
    """
    if frame.empty:
        return []
    rows = frame[takes_part(frame) & frame["current"] & (frame["role"] == "time")]
    groups: dict[tuple[str, str, str, str, str], list[Any]] = {}
    for _, row in rows.iterrows():
        params = json.loads(row["params"])
        del params["library"]
        where = (row["machine"], row["environment"], row["benchmark"], row["title"], readable(params))
        groups.setdefault(where, []).append(row)
    found = []
    for (machine, environment, _, title, case), members in groups.items():
        versions = facts.get(machine, {}).get("libraries")
        versions = versions if isinstance(versions, dict) else {}
        entrants = _ranked(members, versions)
        if any(entrant.row["status"] != "skipped" for entrant in entrants):
            found.append(Contest(machine, environment, title, case, entrants))
    return found


def _ranked(rows: Sequence[Any], versions: Mapping[str, Any]) -> list[Entrant]:
    """One entrant a row; a library that is installed but was not requested is left out."""
    outcomes = [_hindrance(row, versions) for row in rows]
    able = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome == ""]
    best = min(able, key=lambda row: float(row["value"]), default=None)
    front = {row["library"] for row in able if ratio(row, best).level}  # including the best
    ours = next((row for row in able if row["library"] == OURS), None)
    # If xpsolve was not measured, for lack of time, there is no result yet.
    over = not any(row["library"] == OURS and outcome is None for row, outcome in zip(rows, outcomes, strict=True))
    entrants = []
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome is None:
            continue
        library, place, against = str(row["library"]), outcome, None
        if outcome == "":
            # With one library there is no winner.
            if over and len(able) > 1 and library in front:
                place = "fastest" if len(front) == 1 else "among the fastest"
            if ours is not None and row is not ours:
                against = ratio(row, ours)
        entrants.append(Entrant(library, str(versions.get(library) or "–"), row, place, against))
    return sorted(entrants, key=lambda e: (not e.compared, math.isnan(e.row["value"]), e.row["value"], e.library))


def _hindrance(row: Any, versions: Mapping[str, Any]) -> str | None:
    """Why a row takes no part: "" where it does, None where it was not requested."""
    if row["status"] == "skipped":
        absent = row["library"] in versions and versions[row["library"]] is None
        return "not installed" if absent else None
    if row["status"] == "failed":
        return "failed"
    if not row["checked"]:
        return "accuracy not measured"
    if not row["valid"]:
        return "not at equal accuracy"
    return "" if row["steady"] else "too unsteady"


def tables(found: Sequence[Contest], run: RunName) -> list[tuple[str, Table]]:
    """One table for each title, a row for each library in each case."""
    titles = dict.fromkeys(contest.title for contest in found)
    return [(title, _table([contest for contest in found if contest.title == title], run)) for title in titles]


def _table(found: Sequence[Contest], run: RunName) -> Table:
    cases = any(contest.case for contest in found)
    rows = []
    for contest in found:
        for entrant in contest.entrants:
            row, against = entrant.row, entrant.ours
            timed = row["status"] == "ok"
            mark = "fastest" if entrant.compared and entrant.outcome else "" if entrant.compared else "invalid"
            took = f"{'○ ' if timed and not entrant.compared else ''}{quantity(row['value'], 'seconds')}"
            cells = {
                **({"case": text(contest.case, "whole")} if cases else {}),
                "library": text(entrant.library, mark if mark == "fastest" else "whole"),
                "outcome": text(entrant.outcome, mark),
                "time": Cell(took, key(row["value"])),
                f"{OURS} is": Cell("–") if against is None else Cell(against.sentence, against.value),
                "error": measure(row["error"], error, "" if row["valid"] else "invalid"),
                "99 % interval": interval_cell(row, "seconds") if timed else Cell("–"),
                "version": entrant.version,
            }
            rows.append(((contest.machine, contest.environment), cells))
    return table(run, rows)


def dots(found: Sequence[Contest], run: RunName) -> list[Dot]:
    """The time of each other library as a multiple of ours, wherever both take part."""
    told: list[Dot] = []
    for contest in found:
        group = ": ".join(word for word in (run(contest.machine, contest.environment), contest.title) if word)
        told += [
            Dot(group, contest.case, one.library, one.ours.value, one.ours.low, one.ours.high)
            for one in sorted(contest.entrants, key=lambda entrant: entrant.library)
            if one.compared and one.ours is not None
        ]
    return told


@dataclass(frozen=True)
class Standing:
    """How often each library is the fastest, or among them, of how many cases; and why the others have no winner."""

    cases: int
    wins: Mapping[str, int]
    undecided: Sequence[tuple[str, str]]  # a case, and what hindered its libraries

    @property
    def decided(self) -> int:
        """Cases with a winner."""
        return self.cases - len(self.undecided)


def standing(found: Sequence[Contest]) -> Standing:
    """Sum up contests, the library that wins most often first."""
    decided = [c for c in found if any(e.compared and e.outcome for e in c.entrants)]
    won = Counter(e.library for c in decided for e in c.entrants if e.compared and e.outcome)
    there = {e.library for c in decided for e in c.entrants if e.compared}
    wins = {library: won[library] for library in sorted(there, key=lambda library: (-won[library], library))}
    undecided = []
    for contest in (contest for contest in found if contest not in decided):
        why = [f"{e.library}: {e.outcome}" for e in contest.entrants if not e.compared]
        if not any(e.library == OURS for e in contest.entrants):
            why.append(f"{OURS}: not measured yet")
        where = f"{contest.title} ({contest.case})" if contest.case else contest.title
        undecided.append((where, "; ".join(why) or "one library alone"))
    return Standing(len(found), wins, undecided)
