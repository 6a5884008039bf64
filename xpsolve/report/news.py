"""What is new or worse than last time: the current commit of each run against the one before it on the same machine.

Times are compared by their ratio and its 99 % interval.  A drift that most times share, such as a busier machine, is
removed where there are enough of them to distinguish it from a change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from xpsolve.report.digest import Cell, RunName, Table, key, readable, text, with_run
from xpsolve.report.formats import number, quantity
from xpsolve.report.peers import Ratio, ratio

__all__ = ["News", "changes_table", "news", "sentences"]

NOTABLE = 1.1  # a change whose interval stays within this factor is not shown
ENOUGH = 20  # times needed to estimate a common drift
_ORDER = ("failed", "wrong", "counts", "slower", "faster")


@dataclass(frozen=True)
class Change:
    """One measurement that changed."""

    kind: str  # one of _ORDER
    row: Any
    before: float
    against: Ratio | None = None


@dataclass
class News:
    """The changes of one run."""

    machine: str
    environment: str
    commit: str
    date: str
    compared: int = 0
    drift: float = 1.0
    changes: list[Change] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Change]:
        """The changes of one kind."""
        return [change for change in self.changes if change.kind == kind]


def news(frame: pd.DataFrame) -> list[News]:
    """Compare each run with the latest earlier commit on the same machine and environment.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.

    Returns
    -------
    list of News
        One for each run that has an earlier commit.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.news import news
    >>> from xpsolve.report.table import tidy
    >>> news(tidy(Measurements()))
    []
    """
    if frame.empty:
        return []
    found = []
    shown = frame[frame["status"] != "skipped"]
    for (machine, environment), rows in shown.groupby(["machine", "environment"], sort=False):
        now, earlier = rows[rows["current"]], rows[~rows["current"]]
        if now.empty or earlier.empty:
            continue
        last = earlier.sort_values("date", kind="stable").iloc[-1]
        then = earlier[earlier["commit"] == last["commit"]]
        found.append(_compare(News(str(machine), str(environment), last["commit"], last["date"]), now, then))
    return found


def _compare(one: News, now: pd.DataFrame, then: pd.DataFrame) -> News:
    old = {(row["benchmark"], row["params"]): row for _, row in then.iterrows()}
    known = set(then["benchmark"])
    one.new = list(dict.fromkeys(now.loc[~now["benchmark"].isin(known), "title"]))
    times: list[tuple[Any, Any, Ratio]] = []
    for _, row in now.iterrows():
        before = old.get((row["benchmark"], row["params"]))
        if before is None or before["status"] != "ok":
            continue
        if row["status"] == "failed":
            one.changes.append(Change("failed", row, before["value"]))
        elif row["role"] == "count" and row["value"] != before["value"]:
            one.changes.append(Change("counts", row, before["value"]))
        elif row["role"] == "time":
            if before["valid"] and not row["valid"]:
                one.changes.append(Change("wrong", row, before["value"]))
            elif row["steady"] and before["steady"] and min(row["value"], before["value"]) > 0:
                times.append((row, before, ratio(row, before)))
    one.compared = len(times)
    if len(times) >= ENOUGH:
        one.drift = float(pd.Series([against.value for *_, against in times]).median())
    for row, before, against in times:
        rid = Ratio(*(end / one.drift for end in (against.value, against.low, against.high)))
        if rid.low > NOTABLE or rid.high < 1 / NOTABLE:
            one.changes.append(Change("slower" if rid.value > 1 else "faster", row, before["value"], rid))
    one.changes.sort(key=lambda c: (_ORDER.index(c.kind), -c.against.value if c.against else 0.0))
    return one


def sentences(found: Sequence[News], run: RunName) -> list[str]:
    """What changed, one or two sentences per run.

    Parameters
    ----------
    found : sequence of News
        Result of `news`.
    run : callable
        Names the run of a machine and environment.

    Returns
    -------
    list of str
        Sentences.

    Examples
    --------
    >>> from xpsolve.report.news import News, sentences
    >>> sentences([News("box", "env", "0123456789abc", "2025-01-02T00:00:00", 30)], lambda *_: "")
    ['Against commit 0123456789 of 2025-01-02: none of 30 times changed beyond noise.']
    """
    said = []
    for one in found:
        name = run(one.machine, one.environment)
        who = f"{name}, against" if name else "Against"
        words = [f"{len(one.of(kind))} {kind}" for kind in ("slower", "faster") if one.of(kind)]
        told = f"of {one.compared} times, {', '.join(words)}" if words else f"none of {one.compared} times changed"
        drift = f", after a common drift of {number(one.drift)} × is removed" if abs(math.log(one.drift)) > 0.05 else ""
        said.append(f"{who} commit {one.commit[:10]} of {one.date[:10]}: {told} beyond noise{drift}.")
        for kind, phrase in (
            ("failed", "no longer run"),
            ("wrong", "now miss their tolerance"),
            ("counts", "counts of operations differ"),
        ):
            if one.of(kind):
                said.append(f"{len(one.of(kind))} {phrase}: {_names(one.of(kind))}.")
        if one.new:
            said.append(f"New: {_listed(one.new)}.")
    return said


def _names(changes: Sequence[Change]) -> str:
    return _listed(list(dict.fromkeys(str(change.row["title"]) for change in changes)))


def _listed(names: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + rest


def changes_table(found: Sequence[News], run: RunName, link: Callable[[str], str]) -> Table:
    """Every change, the worst first.

    Parameters
    ----------
    found : sequence of News
        Result of `news`.
    run : callable
        Names the run of a machine and environment.
    link : callable
        The page of a family.

    Returns
    -------
    Table
        One row per change.

    Examples
    --------
    >>> from xpsolve.report.news import changes_table
    >>> bool(changes_table([], lambda *_: "", str))
    False
    """
    bad = ("failed", "wrong", "counts", "slower")
    rows = []
    for one in found:
        for change in one.changes:
            row, against = change.row, change.against
            name = str(row["quantity"])
            times = (
                Cell("–")
                if against is None
                else Cell(f"{number(against.value)} × [{number(against.low)}, {number(against.high)}]", against.value)
            )
            cells = [
                text(row["title"], link=link(str(row["family"]))),
                text(readable(json.loads(row["params"])) or "–"),
                text(f"{change.kind} ({name})" if change.kind == "counts" else change.kind, _mark(change.kind, bad)),
                Cell(quantity(change.before, name), key(change.before)),
                Cell(quantity(row["value"], name), key(row["value"])),
                times,
            ]
            rows.append((run(one.machine, one.environment), cells))
    return with_run(["benchmark", "at", "what", "before", "now", "now / before, drift removed"], rows)


def _mark(kind: str, bad: Sequence[str]) -> str:
    return "invalid" if kind in bad else "fastest"
