"""One solver on every backend: speed and error side by side, launch-bound problems, processor against accelerator.

Rows that differ only in their ``backend`` form one match.  Tables show the smallest and the largest size of each
series: the cost of a call, and the speed of the arithmetic.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.crossover import crossover
from xpsolve.report.digest import LEVEL, Cell, RunName, Table, measure, readable, seconds, table, times, view
from xpsolve.report.figures import Dot, Race
from xpsolve.report.findings import Series
from xpsolve.report.formats import error, number
from xpsolve.report.peers import ratio, takes_part

__all__ = ["Match", "dots", "errors_table", "matches", "panels", "races", "races_table", "speed_table"]
__all__ += ["throughput_table", "wins"]

REFERENCE = "numpy"
PANELS = 6


@dataclass(frozen=True)
class Match:
    """One problem on several backends."""

    machine: str
    environment: str
    family: str
    title: str
    case: str  # parameters but the backend, in words
    line: str  # parameters but the backend and the abscissa
    x: float
    rows: Mapping[str, Any]  # of the tidy table, by backend

    @property
    def able(self) -> dict[str, float]:
        """Times of correct answers by backend, the fastest first."""
        sound = {name: float(row["value"]) for name, row in self.rows.items() if row["valid"] and row["steady"]}
        return dict(sorted(sound.items(), key=lambda item: item[1]))

    @property
    def winner(self) -> str:
        """The fastest backend; empty where the next is as fast, or there is none."""
        times = list(self.able.items())
        return times[0][0] if len(times) > 1 and times[1][1] >= LEVEL * times[0][1] else ""


def matches(frame: pd.DataFrame) -> list[Match]:
    """Problems that several backends solved in one run, in the order of benchmarks."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for _, row in _timed(frame).iterrows():
        where = (*(str(row[c]) for c in ("machine", "environment", "benchmark")), _without(row["params"]))
        groups.setdefault(where, {})[str(row["backend"])] = row
    found = []
    for (machine, environment, _, rest), rows in groups.items():
        if len(rows) > 1:
            one = next(iter(rows.values()))
            case, line = readable(rest), readable(_without(one["series"]))
            found.append(Match(machine, environment, one["family"], one["title"], case, line, float(one["x"]), rows))
    return found


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        return frame
    chosen = frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & (frame["backend"] != "")
    return frame[chosen & ~takes_part(frame)]


def _without(params: str) -> str:
    return json.dumps({k: v for k, v in json.loads(params).items() if k != "backend"}, sort_keys=True)


def wins(found: Sequence[Match]) -> dict[str, int]:
    """How often each backend is the fastest, the most often first; under "" how often none is."""
    won = Counter(one.winner for one in found)
    there = {name for one in found for name in one.rows}
    return {name: won[name] for name in [*sorted(there, key=lambda name: (-won[name], name)), ""]}


def panels(lines: Sequence[Series]) -> dict[str, dict[str, Series]]:
    """Of each family the sweep that most backends ran, and of those the one with the most work, by backend."""
    sweeps: dict[tuple[str, ...], dict[str, Series]] = {}
    for line in lines:
        if "backend" in line.params and len(line.valid) > 1:
            sweeps.setdefault((*line.key[:3], _without(line.key[3])), {})[str(line.params["backend"])] = line
    best: dict[str, tuple[tuple[float, ...], dict[str, Series]]] = {}
    for one in sweeps.values():
        heads = [line.points.iloc[-1] for line in one.values()]
        rank = (len(one), sum(len(line.valid) for line in one.values()), max(float(head["value"]) for head in heads))
        family = str(heads[0]["family"])
        if len(one) > 1 and (family not in best or rank > best[family][0]):
            best[family] = rank, one
    ranked = sorted(best, key=lambda family: best[family][0], reverse=True)[:PANELS]
    return {family: best[family][1] for family in sorted(ranked)}


def _ends(found: Sequence[Match]) -> list[Match]:
    """The smallest and the largest size of each series; all of those that have no abscissa."""
    series: dict[tuple[str, ...], list[Match]] = {}
    for one in found:
        case = one.case if math.isnan(one.x) else one.line
        series.setdefault((one.machine, one.environment, one.title, case), []).append(one)
    ends = []
    for members in series.values():
        ordered = sorted(members, key=lambda one: one.x)
        ends += ordered[:1] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return ends


def _side_by_side(found: Sequence[Match], run: RunName, cell: Callable[[Match, Any], Cell]) -> Table:
    names = list(dict.fromkeys(name for one in found for name in one.rows))
    rows = []
    for one in _ends(found):
        cells = {name: cell(one, one.rows[name]) if name in one.rows else Cell("–") for name in names}
        rows.append(((one.machine, one.environment), {"benchmark": one.title, "at": one.case, **cells}))
    return table(run, rows)


def speed_table(found: Sequence[Match], run: RunName) -> Table:
    """Times side by side, one column per backend; hollow times belong to doubtful answers."""

    def cell(one: Match, row: Any) -> Cell:
        hollow, name = row["backend"] not in one.able, row["backend"]
        mark = "invalid" if hollow else "fastest" if name == one.winner else ""
        return measure(row["value"], lambda t: f"{'○ ' if hollow else ''}{seconds(t)}", mark)

    return _side_by_side(found, run, cell)


def errors_table(found: Sequence[Match], run: RunName) -> Table:
    """Errors side by side, one column per backend, of problems whose error was measured."""
    checked = [one for one in found if any(not math.isnan(row["error"]) for row in one.rows.values())]
    return _side_by_side(checked, run, lambda one, row: measure(row["error"], error, "" if row["valid"] else "invalid"))


def dots(found: Sequence[Match]) -> list[Dot]:
    """Times as multiples of NumPy's, or of the first backend where NumPy is missing."""
    told = []
    for one in _ends(found):
        reference = REFERENCE if REFERENCE in one.rows else next(iter(one.rows))
        for name, row in one.rows.items():
            if name != reference and min(row["value"], one.rows[reference]["value"]) > 0:
                r = ratio(row, one.rows[reference])
                told.append(Dot(one.title, one.case, name, r.value, r.low, r.high, name not in one.able))
    return told


def throughput_table(frame: pd.DataFrame, run: RunName) -> Table:
    """How launch-bound a problem is: one call at a time against many calls in a row."""
    rows = _timed(frame)
    if not rows.empty:
        rows = rows[(rows["mode"] == "throughput") & rows["valid"] & (rows["value"] > 0) & (rows["latency"] > 0)]
    columns = {
        "benchmark": "title",
        "at": lambda row: readable(row["params"]),
        "one call at a time": ("latency", seconds),
        "one of many calls": ("value", seconds),
        "ratio": lambda row: measure(row["latency"] / row["value"], times),
    }
    return view(rows, columns, run)


def races(frame: pd.DataFrame) -> list[Race]:
    """The best time of any processor against the best of any accelerator, wherever both solved two sizes or more.

    Of one machine or of several; any device but "cpu" is an accelerator; the largest gain comes first.
    """
    best: dict[tuple[str, str], dict[float, dict[bool, tuple[float, str]]]] = {}
    heads: dict[tuple[str, str], Any] = {}
    for _, row in _timed(frame).iterrows():
        if not (row["valid"] and row["steady"] and row["x_name"] and row["value"] > 0):
            continue
        line = (str(row["benchmark"]), _without(row["series"]))
        heads.setdefault(line, row)
        accelerated = row["device"] not in ("cpu", "")
        here = best.setdefault(line, {}).setdefault(float(row["x"]), {})
        entry = (float(row["value"]), f"{row['backend']}, {row['machine']}")
        here[accelerated] = min(here.get(accelerated, (math.inf, "")), entry)
    found = []
    for line, sizes in best.items():
        x = sorted(size for size, both in sizes.items() if len(both) == 2)
        if len(x) > 1:
            cpu, gpu = ([sizes[size][device] for size in x] for device in (False, True))
            times = ([t for t, _ in cpu], [t for t, _ in gpu])
            crossing = crossover(x, *times)
            at = crossing.at if np.isfinite(crossing.at) and crossing.right == 1 else math.inf
            case, head = readable(line[1]), heads[line]
            title = f"{head['title']} ({case})" if case else str(head["title"])
            found.append(Race(title, str(head["x_name"]), x, times, (cpu[-1][1], gpu[-1][1]), at))
    return sorted(found, key=lambda race: race.times[1][-1] / race.times[0][-1])


def races_table(found: Sequence[Race]) -> Table:
    """Where the accelerator overtakes, and by how much it leads at the largest size."""
    rows = []
    for one in found:
        gain, last = one.times[0][-1] / one.times[1][-1], f"{one.x_name} = {number(one.x[-1])}"
        how = "is faster throughout" if gain > 1 else f"does not catch up by {last}"
        cells = {
            "benchmark": one.title,
            "the accelerator": f"overtakes at {one.x_name} ≈ {number(one.at)}" if math.isfinite(one.at) else how,
            "at the largest size": last,
            "it is": Cell(f"{number(gain)} × faster" if gain >= 1 else f"{number(1 / gain)} × slower", gain),
            "accelerator": one.names[1],
            "processor": one.names[0],
        }
        rows.append((("", ""), cells))
    return table(lambda *_: "", rows)
