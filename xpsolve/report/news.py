"""What is new or worse than last time: the gate's comparison of each run with the commit before on the same machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xpsolve.report import gate
from xpsolve.report.digest import Cell, RunName, Table, text, with_run
from xpsolve.report.gate import Change, Side
from xpsolve.report.verdict import environment

__all__ = ["News", "changes_table", "news", "sentences"]


@dataclass(frozen=True)
class News:
    """What changed in one run.

    Parameters
    ----------
    machine, environment : str
        The run.
    commit, date : str
        Those before, which it is compared with.
    verdict : gate.Verdict
        Everything that changed.
    new : list of str
        Titles of benchmarks that were not there before.
    shown : mapping of str to (str, str)
        Title and family of each benchmark.
    """

    machine: str
    environment: str
    commit: str
    date: str
    verdict: gate.Verdict
    new: Sequence[str]
    shown: Mapping[str, tuple[str, str]]

    @property
    def kinds(self) -> Counter[str]:
        """How many changes there are of each kind."""
        return Counter(change.kind for change in self.verdict.changes)


def news(frame: pd.DataFrame) -> list[News]:
    """Compare each run with the latest earlier commit on the same machine and environment.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.

    Returns
    -------
    list of News
        One for each run that has an earlier commit with something in common.

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
    for (machine, python), rows in frame.groupby(["machine", "environment"], sort=False):
        now, earlier = rows[rows["current"]], rows[~rows["current"]]
        if now.empty or earlier.empty:
            continue
        last = earlier.sort_values("date", kind="stable").iloc[-1]
        then = earlier[earlier["commit"] == last["commit"]]
        try:
            verdict = gate.compare(Side(str(last["commit"])[:10], then), Side("now", now))
        except LookupError:  # nothing in common
            continue
        before = set(then.loc[then["status"] == "ok", "benchmark"])
        added = now[(now["status"] == "ok") & ~now["benchmark"].isin(before)]
        shown = {row.benchmark: (row.title, row.family) for row in rows.drop_duplicates("benchmark").itertuples()}
        new = list(dict.fromkeys(added["title"]))
        found.append(News(str(machine), str(python), last["commit"], last["date"], verdict, new, shown))
    return found


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
    >>> from xpsolve.report.gate import Verdict
    >>> from xpsolve.report.news import News, sentences
    >>> before = "0123456789abc", "2025-01-02T00:00:00"
    >>> sentences([News("box", "env", *before, Verdict([], {"series of times": (30, 31)}, []), [], {})], lambda *_: "")
    ['Against commit 0123456789 of 2025-01-02: of 30 series of times, none changed beyond noise.']
    """
    template = environment().get_template("news.txt")
    said = (template.render(one=one, kinds=one.kinds, name=run(one.machine, one.environment)) for one in found)
    return [" ".join(line.split()) for lines in said for line in lines.splitlines() if line.strip()]


def changes_table(found: Sequence[News], run: RunName, link: Callable[[str], str]) -> Table:
    """Every change, alarms of the gate first.

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

    def row(change: Change, title: str, family: str) -> list[Cell]:
        mark = "invalid" if change.alarm else "fastest"
        return [
            text(title, link=link(family)),
            text(change.where or "–"),
            text(change.kind, mark),
            *map(text, (change.base, change.new, change.why)),
        ]

    rows = [
        (run(one.machine, one.environment), row(change, *one.shown[change.benchmark]))
        for one in found
        for change in one.verdict.changes
    ]
    return with_run(["benchmark", "at", "what", "before", "now", "why"], rows)
