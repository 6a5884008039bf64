"""What is new or worse than last time: the gate's comparison of each run with the commit before on the same machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xpsolve.report import gate
from xpsolve.report.digest import RunName, Table, table, text
from xpsolve.report.gate import Side
from xpsolve.report.words import said


@dataclass(frozen=True)
class News:
    """What changed in one run since the commit before it."""

    machine: str
    environment: str
    commit: str  # that before
    date: str
    verdict: gate.Verdict
    new: Sequence[str]  # titles of benchmarks that were not there before
    shown: Mapping[str, tuple[str, str]]  # title and family of each benchmark

    @property
    def kinds(self) -> Counter[str]:
        """How many changes there are of each kind."""
        return Counter(change.kind for change in self.verdict.changes)

    def titles(self, *kinds: str) -> list[str]:
        """Benchmarks with changes of these kinds."""
        changed = (change.benchmark for change in self.verdict.changes if change.kind in kinds)
        return list(dict.fromkeys(self.shown[name][0] for name in changed))


def news(frame: pd.DataFrame) -> list[News]:
    """Compare each run of the tidy table with the latest earlier commit on the same machine and environment."""
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
    """What changed, a few sentences per run.

    >>> from xpsolve.report.gate import Verdict
    >>> before = "0123456789abc", "2025-01-02T00:00:00"
    >>> sentences([News("box", "env", *before, Verdict([], {"series of times": (30, 31)}, []), [], {})], lambda *_: "")
    ['Against commit 0123456789 of 2025-01-02: of 30 series of times, none changed beyond noise.']
    """
    return [line for one in found for line in said("news.txt", one=one, name=run(one.machine, one.environment))]


def changes_table(found: Sequence[News], run: RunName, link: Callable[[str], str]) -> Table:
    """Every change, alarms of the gate first; `link` gives the page of a family."""
    rows = [
        {**vars(change), "machine": one.machine, "environment": one.environment, "about": one.shown[change.benchmark]}
        for one in found
        for change in one.verdict.changes
    ]
    columns = {
        "benchmark": lambda row: text(row["about"][0], link=link(row["about"][1])),
        "at": "where",
        "what": lambda row: text(row["kind"], "invalid" if row["alarm"] else "fastest"),
        "before": "base",
        "now": "new",
        "why": "why",
    }
    return table(rows, columns, run)
