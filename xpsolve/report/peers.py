"""Contests: one problem, several libraries, and who is faster at the same measured accuracy.

A time with a parameter ``library`` takes part; all times that differ in it alone are one contest.  An answer that
misses its tolerance, or has no error measured beside it, is shown but not compared.

The interval of a ratio r = t/u comes from those of both times, [a, b] and [c, d], taken as independent: in logarithms
the distances of their ends from the medians are added in squares (Donner and Zou, Statistical Methods in Medical
Research 21, 2012), ln r − √(ln²(t/a) + ln²(d/u)) … ln r + √(ln²(b/t) + ln²(u/c)).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xpsolve.report.digest import RunName, Table, interval_cell, measure, table, text
from xpsolve.report.findings import LEAST_SCATTER
from xpsolve.report.formats import error, number, readable, seconds
from xpsolve.report.sessions import Z99

OURS = "xpsolve"
CASE = ["machine", "environment", "benchmark", "title", "case"]


class Ratio(NamedTuple):
    """Times as multiples of others, with their 99 % interval: numbers, or columns of them."""

    value: Any
    low: Any
    high: Any

    @property
    def sentence(self) -> str:
        """The ratio in words, for the time in the denominator; a dash where there is none."""
        if math.isnan(self.value):
            return "–"
        if self.low <= 1 <= self.high:
            return f"level [{number(self.low)}, {number(self.high)}]"
        if self.value > 1:
            return f"{number(self.value)}× faster [{number(self.low)}, {number(self.high)}]"
        return f"{number(1 / self.value)}× slower [{number(1 / self.high)}, {number(1 / self.low)}]"


def ratio(one: Any, other: Any) -> Ratio:
    """How many times longer one time is than another; each has "value", "lower" and "upper", numbers or columns.

    The interval is that of the module's docstring; no time is assumed to be known better than runs of several processes
    agree.
    """
    value = one["value"] / other["value"]
    down = np.hypot(_distance(one, "lower"), _distance(other, "upper"))
    up = np.hypot(_distance(one, "upper"), _distance(other, "lower"))
    return Ratio(value, value * np.exp(-down), value * np.exp(up))


def _distance(time: Any, end: str) -> Any:
    """From the median to an end of its interval, in logarithms."""
    known = np.asarray(time[end] / time["value"])
    return np.abs(np.log(np.where(known > 0, known, 1.0))).clip(Z99 * LEAST_SCATTER)


def takes_part(frame: pd.DataFrame) -> pd.Series:
    """Which rows are of a contest."""
    return frame["library"].notna() if "library" in frame else pd.Series(False, index=frame.index)


def contests(frame: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Contests among the current times, a row for each library: the fastest first, those that take no part last.

    To the columns of the tidy table it adds ``case``, the ``version`` of the library, whether it is ``compared``, its
    ``outcome`` ("fastest", "among the fastest", "", or why it is not compared), and its time as a multiple of ours in
    ``times``, ``low`` and ``high``.  `facts` are by machine; their "libraries" are versions, None for one that is not
    installed.
    """
    frame = frame if "library" in frame else frame.assign(library=None)
    rows = frame[takes_part(frame) & frame["current"] & (frame["role"] == "time")]
    places = zip(rows["machine"], rows["library"], strict=True)
    versions = [facts[machine]["libraries"].get(library, "") for machine, library in places]
    skipped = rows["status"] == "skipped"
    hindrances = {
        "not installed": skipped & np.array([version is None for version in versions], dtype=bool),
        "not requested": skipped,
        "failed": rows["status"] == "failed",
        "accuracy not measured": ~rows["checked"],
        "not at equal accuracy": ~rows["valid"],
        "too unsteady": ~rows["steady"],
    }
    rows = rows.assign(
        case=rows["params"].map(lambda params: readable(params, without=["library"])),
        version=[str(version or "–") for version in versions],
        outcome=np.select(list(hindrances.values()), list(hindrances), ""),
        **dict.fromkeys(("times", "low", "high"), math.nan),
    )
    rows["compared"] = rows["outcome"] == ""
    for _, case in rows.groupby(CASE):
        able = case[case["compared"]].sort_values("value")
        for place, ours in able[able["library"] == OURS].iterrows():
            others = able.drop(index=place)
            rows.loc[others.index, ["times", "low", "high"]] = np.transpose(ratio(others, ours))
        # With one library there is no winner, and before ours is measured none either.
        waiting = (case["library"] == OURS) & (case["outcome"] == "not requested")
        if len(able) > 1 and not waiting.any():
            front = able.index[ratio(able, able.iloc[0]).low <= 1]
            rows.loc[front, "outcome"] = "fastest" if len(front) == 1 else "among the fastest"
    there = (rows["status"] != "skipped").groupby([rows[name] for name in CASE]).transform("any")
    rows = rows[there & (rows["outcome"] != "not requested")]
    ranks = {"order": True, "compared": False, "value": True, "library": True}
    order = rows.groupby(CASE, sort=False).ngroup()
    return rows.assign(order=order).sort_values(list(ranks), ascending=list(ranks.values()))


def tables(found: pd.DataFrame, run: RunName) -> list[tuple[str, Table]]:
    """One table for each title, a row for each library in each case."""
    doubtful, ahead = ~found["compared"], found["outcome"] != ""
    marked = found.assign(
        mark=np.select([doubtful, ahead], ["invalid", "fastest"], ""),
        hollow=np.where(doubtful & (found["status"] == "ok"), "○ ", ""),
    )
    columns = {
        "case": lambda row: text(row["case"], "whole"),
        "library": lambda row: text(row["library"], "fastest" if row["mark"] == "fastest" else "whole"),
        "outcome": lambda row: text(row["outcome"], row["mark"]),
        "time": lambda row: measure(row["value"], lambda took: row["hollow"] + seconds(took)),
        f"{OURS} is": lambda row: measure(
            row["times"], lambda _: Ratio(row["times"], row["low"], row["high"]).sentence
        ),
        "error": lambda row: measure(row["error"], error, "" if row["valid"] else "invalid"),
        "99 % interval": interval_cell,
        "version": "version",
    }
    return [(str(title), table(rows, columns, run)) for title, rows in marked.groupby("title", sort=False)]


def dots(found: pd.DataFrame, run: RunName) -> pd.DataFrame:
    """The time of each other library as a multiple of ours, wherever both take part, as `figures.ratios` draws it."""
    beside = found[found["times"].notna()].sort_values(["order", "library"])
    runs = (run(*where) for where in zip(beside["machine"], beside["environment"], strict=True))
    group = [": ".join(filter(None, words)) for words in zip(runs, beside["title"], strict=True)]
    return beside.assign(group=group, row=beside["case"], name=beside["library"], value=beside["times"], hollow=False)


def standing(found: pd.DataFrame) -> dict[str, Any]:
    """How many cases there are, how many ``decided``, and how often each library ``wins``, most often first.

    ``undecided`` has each case without a winner, and what hindered its libraries.
    """
    won: Counter[str] = Counter()
    undecided = []
    for (*_, title, case), rows in found.groupby(CASE, sort=False):
        able = rows[rows["compared"]]
        if able["outcome"].any():
            won.update(dict(zip(able["library"], (able["outcome"] != "").astype(int), strict=True)))
            continue
        why = [f"{row.library}: {row.outcome}" for row in rows[~rows["compared"]].itertuples()]
        if OURS not in set(rows["library"]):
            why.append(f"{OURS}: not measured yet")
        undecided.append((f"{title} ({case})" if case else title, "; ".join(why) or "one library alone"))
    cases, wins = found.groupby(CASE).ngroups, sorted(won.items(), key=lambda one: (-one[1], one[0]))
    return {"cases": cases, "decided": cases - len(undecided), "wins": dict(wins), "undecided": undecided}
