"""One solver on every backend: speed and error side by side, launch-bound problems, processor against accelerator.

Rows that differ only in their ``backend`` form one match.  Tables show the smallest and the largest size of each
series: the cost of a call, and the speed of the arithmetic.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.comparisons import Dot, Race
from xpsolve.report.crossover import crossover
from xpsolve.report.digest import LEVEL, Cell, RunName, Table, key, readable, text, with_run
from xpsolve.report.formats import error, number, quantity
from xpsolve.report.peers import ratio, takes_part

__all__ = [
    "Match",
    "dots",
    "errors_table",
    "lead",
    "matches",
    "races",
    "races_table",
    "speed_table",
    "throughput_table",
]

REFERENCE = "numpy"


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
    """Find problems that several backends solved in one run.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.

    Returns
    -------
    list of Match
        In the order of benchmarks.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.backends import matches
    >>> from xpsolve.report.table import tidy
    >>> matches(tidy(Measurements()))
    []
    """
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for _, row in _timed(frame).iterrows():
        where = (*(str(row[c]) for c in ("machine", "environment", "benchmark")), _without(row["params"]))
        groups.setdefault(where, {})[str(row["backend"])] = row
    found = []
    for (machine, environment, _, rest), rows in groups.items():
        if len(rows) > 1:
            one = next(iter(rows.values()))
            line = readable(_without(one["series"]))
            found.append(
                Match(machine, environment, one["family"], one["title"], readable(rest), line, float(one["x"]), rows)
            )
    return found


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        return frame
    chosen = frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & (frame["backend"] != "")
    return frame[chosen & ~takes_part(frame)]


def _without(params: str) -> str:
    return json.dumps({k: v for k, v in json.loads(params).items() if k != "backend"}, sort_keys=True)


def lead(found: Sequence[Match]) -> str:
    """How often each backend is the fastest, in one sentence.

    Parameters
    ----------
    found : sequence of Match
        Result of `matches`.

    Returns
    -------
    str
        The sentence; empty where nothing was compared.

    Examples
    --------
    >>> from xpsolve.report.backends import lead
    >>> lead([])
    ''
    """
    if not found:
        return ""
    won = Counter(one.winner for one in found)
    there = {name for one in found for name in one.rows}
    named = [f"{name} in {won[name]}" for name in sorted(there, key=lambda name: (-won[name], name))]
    level = f"; {won['']} without a clear winner" if won[""] else ""
    return f"The same solver on several backends, {len(found)} problems: fastest {', '.join(named)}{level}."


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


def _names(found: Iterable[Match]) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one.rows))


def speed_table(found: Sequence[Match], run: RunName) -> Table:
    """Times side by side, one column per backend.

    Parameters
    ----------
    found : sequence of Match
        Result of `matches`.
    run : callable
        Names the run of a machine and environment.

    Returns
    -------
    Table
        Hollow times belong to doubtful answers.

    Examples
    --------
    >>> from xpsolve.report.backends import speed_table
    >>> bool(speed_table([], lambda *_: ""))
    False
    """

    def cell(one: Match, name: str) -> Cell:
        row = one.rows.get(name)
        if row is None:
            return Cell("–")
        took = quantity(row["value"], "seconds")
        if name not in one.able:
            return Cell(f"○ {took}", key(row["value"]), "invalid")
        return Cell(took, key(row["value"]), "fastest" if name == one.winner else "")

    return _side_by_side(found, run, cell)


def errors_table(found: Sequence[Match], run: RunName) -> Table:
    """Errors side by side, one column per backend.

    Parameters
    ----------
    found : sequence of Match
        Result of `matches`.
    run : callable
        Names the run of a machine and environment.

    Returns
    -------
    Table
        Problems whose error was measured.

    Examples
    --------
    >>> from xpsolve.report.backends import errors_table
    >>> bool(errors_table([], lambda *_: ""))
    False
    """

    def cell(one: Match, name: str) -> Cell:
        row = one.rows.get(name)
        if row is None or math.isnan(row["error"]):
            return Cell("–")
        return Cell(error(row["error"]), key(row["error"]), "" if row["valid"] else "invalid")

    checked = [one for one in found if any(not math.isnan(row["error"]) for row in one.rows.values())]
    return _side_by_side(checked, run, cell)


def _side_by_side(found: Sequence[Match], run: RunName, cell: Any) -> Table:
    names = _names(found)
    rows = [
        (
            run(one.machine, one.environment),
            [text(one.title), text(one.case or "–"), *(cell(one, name) for name in names)],
        )
        for one in _ends(found)
    ]
    return with_run(["benchmark", "at", *names], rows)


def dots(found: Sequence[Match]) -> list[Dot]:
    """Times as multiples of NumPy's, or of the first backend where NumPy is missing.

    Parameters
    ----------
    found : sequence of Match
        Result of `matches`.

    Returns
    -------
    list of Dot
        At the smallest and the largest size of each series.

    Examples
    --------
    >>> from xpsolve.report.backends import dots
    >>> dots([])
    []
    """
    told = []
    for one in _ends(found):
        reference = REFERENCE if REFERENCE in one.rows else next(iter(one.rows))
        for name, row in one.rows.items():
            if name != reference and min(row["value"], one.rows[reference]["value"]) > 0:
                against = ratio(row, one.rows[reference])
                label = f"{one.title}: {one.case}" if one.case else one.title
                told.append(Dot(label, name, against.value, against.low, against.high, name not in one.able))
    return told


def throughput_table(frame: pd.DataFrame, run: RunName) -> Table:
    """How launch-bound a problem is: one call at a time against many calls in a row.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.
    run : callable
        Names the run of a machine and environment.

    Returns
    -------
    Table
        A row for each problem that was timed in both modes.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.backends import throughput_table
    >>> from xpsolve.report.table import tidy
    >>> bool(throughput_table(tidy(Measurements()), lambda *_: ""))
    False
    """
    rows = []
    for _, row in _timed(frame).iterrows():
        if row["mode"] == "throughput" and row["valid"] and row["value"] > 0 and row["latency"] > 0:
            gain = float(row["latency"] / row["value"])
            cells = [
                text(row["title"]),
                text(readable(row["params"])),
                Cell(quantity(row["latency"], "seconds"), key(row["latency"])),
                Cell(quantity(row["value"], "seconds"), key(row["value"])),
                Cell(f"{number(gain)} ×", gain),
            ]
            rows.append((run(row["machine"], row["environment"]), cells))
    return with_run(["benchmark", "at", "one call at a time", "one of many calls", "ratio"], rows)


def races(frame: pd.DataFrame) -> list[Race]:
    """The best time of any processor against the best of any accelerator, wherever both solved the same sizes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`, of one machine or of several; any device but "cpu" is an accelerator.

    Returns
    -------
    list of Race
        With two sizes in common or more, the largest gain of the accelerator first.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.backends import races
    >>> from xpsolve.report.table import tidy
    >>> races(tidy(Measurements()))
    []
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
            crossing = crossover(x, [t for t, _ in cpu], [t for t, _ in gpu])
            at = crossing.at if np.isfinite(crossing.at) and crossing.right == 1 else math.inf
            case = readable(line[1])
            title = f"{heads[line]['title']} ({case})" if case else str(heads[line]["title"])
            times = ([t for t, _ in cpu], [t for t, _ in gpu])
            found.append(Race(title, str(heads[line]["x_name"]), x, times, (cpu[-1][1], gpu[-1][1]), at))
    return sorted(found, key=lambda race: race.times[1][-1] / race.times[0][-1])


def races_table(found: Sequence[Race]) -> Table:
    """Where the accelerator overtakes, and by how much it leads at the largest size.

    Parameters
    ----------
    found : sequence of Race
        Result of `races`.

    Returns
    -------
    Table
        One row per race.

    Examples
    --------
    >>> from xpsolve.report.backends import races_table
    >>> from xpsolve.report.comparisons import Race
    >>> one = Race("ridge", "n", [1, 10], ([1.0, 10.0], [3.0, 4.0]), ("numpy", "cupy"), 3.6)
    >>> [cell.text for cell in races_table([one]).rows[0]][1]
    'overtakes at n ≈ 3.6'
    """
    rows = []
    for one in found:
        gain = one.times[0][-1] / one.times[1][-1]
        if math.isfinite(one.at):
            said = f"overtakes at {one.x_name} ≈ {number(one.at)}"
        else:
            said = "is faster throughout" if gain > 1 else f"does not catch up by {one.x_name} = {number(one.x[-1])}"
        last = f"{one.x_name} = {number(one.x[-1])}"
        faster = f"{number(gain)} × faster" if gain >= 1 else f"{number(1 / gain)} × slower"
        rows.append(
            [text(one.title), text(said), text(last), Cell(faster, gain), text(one.names[1]), text(one.names[0])]
        )
    return Table(["benchmark", "the accelerator", "at the largest size", "it is", "accelerator", "processor"], rows)
