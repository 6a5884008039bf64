"""The tables of a report, as plain text cells: exponents, who is fastest where, limits, counts, values."""

from __future__ import annotations

import functools
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from xpsolve.report.findings import RIVALS, Pair, Series
from xpsolve.report.formats import error, exponent, interval, number, quantity, share
from xpsolve.report.verdict import Kind, Verdict, sentence

__all__ = [
    "LEVEL",
    "Cell",
    "RunName",
    "Table",
    "counts",
    "crossings",
    "elsewhere",
    "exponents",
    "fastest",
    "grows",
    "interval_cell",
]
__all__ += [
    "joint",
    "key",
    "limits",
    "measure",
    "missing",
    "readable",
    "table",
    "text",
    "values",
    "verdict",
    "with_run",
]


class Cell(NamedTuple):
    """The text of a cell, its sort key, its mark, the page with more about it, and a small figure as SVG."""

    text: str
    key: float | str = ""
    mark: str = ""
    link: str = ""
    figure: str = ""


@dataclass(frozen=True)
class Table:
    """Columns and rows; empty tables are false and left out of the page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __bool__(self) -> bool:
        return bool(self.rows)

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, to be set flush right."""
        keys = [row[column].key for row in self.rows]
        return any(isinstance(key, float) for key in keys) and all(isinstance(key, float) or key == "" for key in keys)


LEVEL = 1.05  # a lead below this is within run-to-run noise
LEVEL_RACE = "no clear winner"
VERDICTS = [kind.value for kind in (Kind.DIFFERS, Kind.FLOOR_BOUND, Kind.NOT_MEASURABLE, Kind.NO_THEORY, Kind.AGREES)]

RunName = Callable[[str, str], str]
"""Name of the run of a machine and environment; empty where there is only one."""


def table(run: RunName, rows: Iterable[tuple[Any, dict[str, Any]]]) -> Table:
    """A table of rows, each the run's machine and environment and its cells by column; words become cells of words."""
    found = [
        (
            run(str(where[0]), str(where[1])),
            {name: one if isinstance(one, Cell) else text(one) for name, one in cells.items()},
        )
        for where, cells in rows
    ]
    return with_run(list(found[0][1]) if found else [], [(name, list(cells.values())) for name, cells in found])


def with_run(columns: list[str], rows: list[tuple[str, list[Cell]]]) -> Table:
    """Put the run's name in front, if any run has one."""
    if not any(name for name, _ in rows):
        return Table(columns, [cells for _, cells in rows])
    return Table(["machine", *columns], [[text(name), *cells] for name, cells in rows])


def text(words: Any, mark: str = "", link: str = "") -> Cell:
    """A cell of words, which sorts by them."""
    return Cell(str(words) or "–", str(words), mark, link)


def measure(value: Any, show: Callable[[Any], str] = number, mark: str = "") -> Cell:
    """A cell of a number, which sorts by it."""
    return Cell(show(value), key(value), mark)


def key(value: Any) -> float | str:
    """The sort key of a number; one that is not finite sorts last."""
    return float(value) if math.isfinite(float(value)) else ""


def readable(params: str | dict[str, Any]) -> str:
    """Parameters in words, such as ``numpy, normal, n = 2000``."""
    given = json.loads(params) if isinstance(params, str) else params
    return ", ".join(str(v) if isinstance(v, str) else f"{k} = {number(v)}" for k, v in given.items())


def _span(x: Iterable[float], name: str) -> str:
    sizes = sorted(x)
    ends = number(sizes[0]) if sizes[0] == sizes[-1] else f"{number(sizes[0])} … {number(sizes[-1])}"
    return f"{name} = {ends}".replace(" ", "\u00a0")


def verdict(found: Verdict) -> Cell:
    """The kind of a verdict; kinds that need a look sort first."""
    return Cell(found.kind, f"{VERDICTS.index(found.kind)} {found.kind}", found.kind.replace(" ", "-"))


def grows(found: Verdict, variable: str) -> Cell:
    """A measured exponent with its interval, where the digits mean something."""
    low, high = found.interval
    if not found.measured or high - low > 3:
        return Cell("–")
    return Cell(f"{variable}^{exponent(found.value)} {interval(low, high)}", found.value)


def exponents(lines: Sequence[Series], run: RunName, link: Callable[[str], str] = lambda _: "") -> Table:
    """One row per series, the ones that need a look first: the verdict, its exponents, and why."""
    return table(
        run,
        (
            (
                line.key,
                {
                    "benchmark": text(line.head["title"], link=link(str(line.head["family"]))),
                    "series": line.label,
                    "verdict": verdict(line.verdict),
                    "time grows as": grows(line.verdict, line.variable),
                    "theory": measure(line.theory, exponent),
                    "sizes": _span(line.points["x"], line.head["x_name"]),
                    "why": sentence(line.verdict),
                },
            )
            for line in sorted(lines, key=lambda line: VERDICTS.index(line.verdict.kind))
        ),
    )


def joint(found: pd.DataFrame, run: RunName) -> Table:
    """Exponents in all lengths together, of `xpsolve.report.joint.joint_fits`."""
    return table(
        run,
        (
            (
                (row["machine"], row["environment"]),
                {
                    "family": row["family"],
                    "method": ", ".join(str(row[name]) for name in ("method", "backend", "dtype", "mode") if row[name]),
                    "verdict": text(row["kind"], row["kind"].replace(" ", "-")),
                    "in": row["length"],
                    "exponent": measure(row["exponent"], exponent),
                    "95 % interval": Cell(interval(row["low"], row["high"]), key(row["low"])),
                    "theory": measure(row["theory"], exponent),
                    "sizes": _span((row["smallest"], row["largest"]), row["length"]),
                    "cause": row["cause"],
                },
            )
            for _, row in found.iterrows()
        ),
    )


def fastest(
    lines: Sequence[Series], run: RunName, link: Callable[[str], str] = lambda _: "", rivals: Sequence[str] = RIVALS
) -> Table:
    """Which is fastest at which sizes, where methods or backends compete on the same work."""
    arenas: dict[tuple[str, str, str, str], list[Series]] = {}
    for line in lines:
        common = readable({k: v for k, v in line.params.items() if k not in RIVALS})
        arenas.setdefault((*line.key[:2], str(line.head["title"]), common), []).append(line)
    rows = []
    for (machine, environment, title, common), members in arenas.items():
        head = members[0].head
        what = text(f"{title} ({common})" if common else title, link=link(str(head["family"])))
        for who, sizes, lead in _stretches(members, rivals):
            ahead = Cell(f"{lead:.2f} ×", lead)
            cells = {
                "benchmark": what,
                "sizes": _span(sizes, head["x_name"]),
                "fastest": who,
                "ahead of the next by": ahead,
            }
            rows.append(((machine, environment), cells))
    return table(run, rows)


def _stretches(lines: Sequence[Series], rivals: Sequence[str]) -> list[tuple[str, list[float], float]]:
    """Neighbouring sizes with one winner: who, where, and its median lead over the next."""
    names = [", ".join(str(line.params[name]) for name in rivals if name in line.params) for line in lines]
    points = pd.concat([line.valid.assign(who=name) for line, name in zip(lines, names, strict=True)])
    points = points[points["who"] != ""].sort_values("value").drop_duplicates(["x", "who"])  # the best of each name
    races = []
    for x, here in points.groupby("x"):
        if len(here) > 1:
            first, second = here["value"].nsmallest(2)
            races.append(
                (float(x), str(here["who"].iloc[0]) if second >= LEVEL * first else LEVEL_RACE, second / first)
            )
    stretches = ((who, list(group)) for who, group in itertools.groupby(races, key=lambda race: race[1]))
    return [(who, [x for x, *_ in part], statistics.median(lead for *_, lead in part)) for who, part in stretches]


def crossings(pairs: Sequence[Pair], run: RunName) -> Table:
    """Finite crossings first, then the bounds on those of methods; which backend wins is in `fastest`."""
    met = [pair for pair in pairs if math.isfinite(pair.crossing.at)]
    ordered = met + [pair for pair in pairs if pair not in met and pair.rival == "method"]
    return table(
        run,
        (
            (one.first.key, {"benchmark": one.first.head["title"], "at equal": one.shared, "finding": one.sentence})
            for one in ordered
        ),
    )


def limits(lines: Sequence[Series], run: RunName) -> Table:
    """How near each series comes to the machine's limits at its largest size."""
    known = [(line, line.valid[line.valid["share"].notna()]) for line in lines]
    return table(
        run,
        (
            (
                line.key,
                {
                    "benchmark": last["title"],
                    "series": line.label,
                    "at": f"{last['x_name']} = {number(last['x'])}",
                    "time": measure(last["value"], lambda value: quantity(value, "seconds")),
                    "limit": measure(last["floor"], lambda value: quantity(value, "seconds")),
                    "time / limit": measure(1 / last["share"], lambda value: f"{number(value)} ×"),
                    "share of limit": measure(last["share"], share),
                    "bound by": last["bound"],
                },
            )
            for line, points in known
            if len(points)
            for last in [points.iloc[-1]]
        ),
    )


def counts(frame: pd.DataFrame, run: RunName) -> Table:
    """Counted operations beside those of the costs."""
    rows = []
    for _, row in frame.iterrows():
        name = str(row["quantity"])
        stated = float(row[name]) if name in ("flops", "bytes", "launches", "syncs") else math.nan
        mark = "" if math.isnan(stated) else "equal" if row["value"] == stated else "within"
        mark = "exceeds" if row["value"] > stated else mark
        cells = {
            "benchmark": row["title"],
            "parameters": readable(row["params"]),
            "quantity": name,
            "counted": measure(row["value"], _exact),
            "stated": measure(stated, _exact),
            "is": text(mark, mark),
        }
        rows.append(((row["machine"], row["environment"]), cells))
    return table(run, rows)


def _exact(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f") if math.isfinite(value) and value == int(value) else number(value)


def values(frame: pd.DataFrame, run: RunName, *, title: bool = True) -> Table:
    """Plain values with their interval, error and status."""
    shown = {
        "benchmark": title,
        "99 % interval": frame["lower"].notna().any(),
        "error": frame["error"].notna().any(),
        "share of limit": frame["share"].notna().any(),
        "stated": (frame["role"] == "memory").any() and frame["memory"].notna().any(),
    }
    rows = []
    for _, row in frame.iterrows():
        name = str(row["quantity"])
        measured = measure(row["value"], functools.partial(quantity, name=name))
        cells = {
            "benchmark": row["title"],
            "parameters": readable(row["params"]),
            "value": measured if row["status"] == "ok" else text(row["status"], row["status"]),
            "99 % interval": interval_cell(row, name),
            "error": measure(row["error"], error, "" if row["valid"] else "invalid"),
            "share of limit": measure(row["share"], share),
            "stated": measure(row["memory"], lambda value: quantity(value, "bytes")),
        }
        kept = {column: one for column, one in cells.items() if shown.get(column, True)}
        rows.append(((row["machine"], row["environment"]), kept))
    return table(run, rows)


def elsewhere(found: pd.DataFrame, run: RunName) -> Table:
    """From which size on another machine would be faster, of `xpsolve.report.elsewhere.predict_series`."""

    def size(value: float, everywhere: float) -> Cell:
        if math.isnan(value) or value == math.inf:
            return Cell("nowhere", math.inf)
        return Cell("all sizes" if value == everywhere else number(value), max(value, 0.0))

    return table(
        run,
        (
            (
                (row["machine"], row["environment"]),
                {
                    "benchmark": row["title"],
                    "series": readable(row["series"]),
                    "sizes": _span((row["smallest"], row["largest"]), row["x_name"]),
                    "faster from": size(row["overtakes"], -math.inf),
                    "launch-bound up to": size(row["launch_bound_to"], row["largest"]),
                    "speed-up at the largest": measure(row["speedup"], lambda gain: f"{number(gain)} ×"),
                },
            )
            for _, row in found.iterrows()
        ),
    )


def missing(frame: pd.DataFrame, run: RunName) -> Table:
    """What was requested and has no value, and why: a failure by its point, a missing backend in one row."""
    columns = ("what", "parameters or backend", "why", "message")
    gone = frame[(frame["status"] != "ok") & (frame["reason"] != "not selected")]
    rows = []
    for _, row in gone[gone["status"] == "failed"].iterrows():
        words = (row["benchmark"], readable(row["params"]), row["reason"] or "failed", row["detail"])
        rows.append(((row["machine"], row["environment"]), dict(zip(columns, words, strict=True))))
    same = ["machine", "environment", "backend", "reason", "detail"]
    for (*where, backend, reason, detail), part in gone[gone["status"] != "failed"].groupby(same, sort=False):
        benchmarks = part["benchmark"].nunique()
        what = f"{number(benchmarks)} benchmark{'s' if benchmarks > 1 else ''}, {number(len(part))} points"
        rows.append((where, dict(zip(columns, (what, backend, reason or "no attempt", detail), strict=True))))
    return table(run, rows)


def interval_cell(row: Any, name: str) -> Cell:
    """The 99 % interval of a row of the tidy table."""
    if math.isnan(row["lower"]) or math.isnan(row["upper"]):
        return Cell("–")
    if row["lower"] <= 0:  # asv's model for very few samples
        return Cell(f"below {quantity(row['upper'], name)}", 0.0)
    return Cell(f"{quantity(row['lower'], name)} … {quantity(row['upper'], name)}", float(row["lower"]))
