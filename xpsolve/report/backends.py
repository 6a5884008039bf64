"""One solver on every backend: speed and error side by side, launch-bound problems, processor against accelerator.

Rows that differ only in their ``backend`` are one problem.  Tables show the smallest and the largest size of each
series: the cost of a call, and the speed of the arithmetic.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from xpsolve.report.crossover import crossover
from xpsolve.report.digest import DASH, LEVEL, Cell, RunName, Table, measure, table
from xpsolve.report.findings import Series
from xpsolve.report.formats import error, number, readable, seconds, times
from xpsolve.report.peers import ratio, takes_part

REFERENCE = "numpy"
PANELS = 6


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Times on a backend, with the parameters but the backend in ``rest``, and but the abscissa too in ``line``."""
    chosen = frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & (frame["backend"] != "")
    rows = frame[chosen & ~takes_part(frame)]
    return rows.assign(rest=rows["params"].map(_without), line=rows["series"].map(_without))


def _without(params: str) -> str:
    return json.dumps({k: v for k, v in json.loads(params).items() if k != "backend"}, sort_keys=True)


def matches(frame: pd.DataFrame) -> pd.DataFrame:
    """Problems that several backends solved in one run, a row for each backend.

    Beside the tidy table: the number of the ``problem`` and its ``case`` in words; who is ``able``, with a right answer
    and a steady time; and the ``winner`` of the problem, empty where the next is as fast, or there is none.
    """
    rows = _timed(frame)
    rows["problem"] = rows.groupby(["machine", "environment", "benchmark", "rest"], sort=False).ngroup()
    rows["case"], rows["able"] = rows["rest"].map(readable), rows["valid"] & rows["steady"]
    rows = rows[rows.groupby("problem")["backend"].transform("size") > 1]
    able = rows[rows["able"]].sort_values("value")
    fastest, rest = able.drop_duplicates("problem"), able[able.duplicated("problem")].drop_duplicates("problem")
    ahead = _same(fastest, rest)["value"] >= LEVEL * fastest["value"]
    winners = dict(zip(fastest["problem"][ahead], fastest["backend"][ahead], strict=True))
    return rows.assign(winner=[winners.get(problem, "") for problem in rows["problem"]])


def _same(rows: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """For each row the one of `reference` with the same problem, of which there is at most one."""
    return rows[["problem"]].merge(reference, on="problem", how="left").set_axis(rows.index)


def wins(found: pd.DataFrame) -> dict[str, int]:
    """How often each backend is the fastest, the most often first; under "" how often none is."""
    won = found.drop_duplicates("problem")["winner"].value_counts()
    names = sorted(found["backend"].unique(), key=lambda name: (-won.get(name, 0), name))
    return {name: int(won.get(name, 0)) for name in [*names, ""]}


def panels(lines: Sequence[Series]) -> dict[str, dict[str, Series]]:
    """Of each family the sweep that most backends ran, and of those the one with the most work, by backend."""
    sweeps: dict[tuple[str, ...], dict[str, Series]] = {}
    for line in lines:
        if "backend" in line.params and len(line.valid) > 1:
            sweeps.setdefault((*line.key[:3], _without(line.key[3])), {})[str(line.params["backend"])] = line

    def rank(one: Mapping[str, Series]) -> tuple[float, ...]:
        longest = max(line.points["value"].iloc[-1] for line in one.values())
        return len(one), sum(len(line.valid) for line in one.values()), longest

    compared = sorted((one for one in sweeps.values() if len(one) > 1), key=rank)
    best = {str(next(iter(one.values())).head["family"]): one for one in compared}
    chosen = sorted(best, key=lambda family: rank(best[family]))[-PANELS:]
    return {family: best[family] for family in sorted(chosen)}


def _ends(found: pd.DataFrame) -> pd.DataFrame:
    """The smallest and the largest size of each series; all of those that have no abscissa."""
    series = found.groupby(["machine", "environment", "title", "line"], sort=False)
    low, high = (series["x"].transform(end) for end in ("min", "max"))
    ends = found.assign(place=series.ngroup())[found["x"].isna() | (found["x"] == low) | (found["x"] == high)]
    return ends.sort_values(["place", "x"], kind="stable")


def _side_by_side(found: pd.DataFrame, run: RunName, cell: Callable[[Mapping[str, Any]], Cell]) -> Table:
    """A row for each problem, a column for each backend."""
    names = list(found["backend"].unique())
    rows = []
    for _, problem in _ends(found).groupby("problem", sort=False):
        cells = {row["backend"]: cell(row) for row in problem.to_dict("records")}
        rows.append({**problem.iloc[0], **dict.fromkeys(names, DASH), **cells})
    return table(rows, {"benchmark": "title", "at": "case", **{name: name for name in names}}, run)


def speed_table(found: pd.DataFrame, run: RunName) -> Table:
    """Times side by side, one column per backend; hollow times belong to doubtful answers."""

    def cell(row: Mapping[str, Any]) -> Cell:
        if not row["able"]:
            return measure(row["value"], lambda t: f"○ {seconds(t)}", "invalid")
        return measure(row["value"], seconds, "fastest" if row["backend"] == row["winner"] else "")

    return _side_by_side(found, run, cell)


def errors_table(found: pd.DataFrame, run: RunName) -> Table:
    """Errors side by side, one column per backend, of problems whose error was measured."""
    checked = found[found["error"].notna().groupby(found["problem"]).transform("any")]
    return _side_by_side(checked, run, lambda row: measure(row["error"], error, "" if row["valid"] else "invalid"))


def dots(found: pd.DataFrame) -> pd.DataFrame:
    """Times as multiples of NumPy's, or of the first backend where NumPy is missing, as `figures.ratios` draws them."""
    ends = _ends(found)
    first = ends.sort_values("backend", key=lambda names: names != REFERENCE, kind="stable").drop_duplicates("problem")
    beside = _same(ends, first)
    value, low, high = ratio(ends, beside)
    shown = ends.assign(group=ends["title"], row=ends["case"], name=ends["backend"], value=value, low=low, high=high)
    return shown.assign(hollow=~ends["able"])[~ends.index.isin(first.index) & (value > 0) & (value < math.inf)]


def throughput_table(frame: pd.DataFrame, run: RunName) -> Table:
    """How launch-bound a problem is: one call at a time against many calls in a row."""
    rows = _timed(frame)
    columns = {
        "benchmark": "title",
        "at": lambda row: readable(row["params"]),
        "one call at a time": ("latency", seconds),
        "one of many calls": ("value", seconds),
        "ratio": lambda row: measure(row["latency"] / row["value"], times),
    }
    chosen = (rows["mode"] == "throughput") & rows["valid"] & (rows["value"] > 0) & (rows["latency"] > 0)
    return table(rows[chosen], columns, run)


def races(frame: pd.DataFrame) -> pd.DataFrame:
    """The best time of any processor and that of any accelerator, a row for each size that both were measured at.

    Of one machine or of several; any device but "cpu" is an accelerator, whose columns end in ``_accelerator``.  Each
    ``race`` of two sizes or more has its ``finding``, the size ``at`` which one overtakes the other, and the ``gain``,
    by which factor the accelerator is faster at the largest size; the largest gain comes first.
    """
    rows = _timed(frame)
    rows = rows[rows["valid"] & rows["steady"] & (rows["x_name"] != "") & (rows["value"] > 0)]
    same_size, processor = ["benchmark", "line", "x"], rows["device"].isin(("cpu", ""))
    named = rows.assign(who=rows["backend"] + ", " + rows["machine"])
    ours, theirs = (named[chosen].sort_values("value").drop_duplicates(same_size) for chosen in (processor, ~processor))
    both = ours.merge(theirs, on=same_size, suffixes=("", "_accelerator")).sort_values("x")
    found = []
    for (_, line), sizes in both.groupby(["benchmark", "line"]):
        if len(sizes) > 1:
            last, case = sizes.iloc[-1], readable(line)
            met = crossover(sizes["x"], sizes["value"], sizes["value_accelerator"])
            finding = met.sentence((last["who"], last["who_accelerator"]), last["x_name"])
            race = f"{last['title']} ({case})" if case else last["title"]
            gain = last["value"] / last["value_accelerator"]
            found.append(sizes.assign(race=race, at=met.at, finding=finding, gain=gain))
    return pd.concat(found).sort_values("gain", ascending=False, kind="stable") if found else pd.DataFrame()


def races_table(points: pd.DataFrame) -> Table:
    """Where the accelerator overtakes, and by how much it leads at the largest size."""

    def gain(row: Mapping[str, Any]) -> Cell:
        faster, slower = row["gain"], 1 / row["gain"]
        return Cell(f"{number(faster)} × faster" if faster >= 1 else f"{number(slower)} × slower", faster)

    columns = {
        "benchmark": "race",
        "finding": "finding",
        "at the largest size": lambda row: f"{row['x_name']} = {number(row['x'])}",
        "the accelerator is": gain,
    }
    return table(points.groupby("race", sort=False).tail(1) if len(points) else [], columns, lambda *_: "")
