"""The tables of a report, as plain text cells: exponents, who is fastest where, limits, counts, values."""

from __future__ import annotations

import functools
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def view(frame: pd.DataFrame, columns: Mapping[str, Any], run: RunName) -> Table:
    """A table of rows of a frame, from each heading to its cells.

    These are of a column of words, by its name; of one of numbers, by its name and how they are shown; or what a
    function makes of a row.
    """

    def cell(row: Any, source: Any) -> Any:
        if callable(source):
            return source(row)
        return text(row[source]) if isinstance(source, str) else measure(row[source[0]], source[1])

    found = frame.to_dict("records")
    where = ((row["machine"], row["environment"]) for row in found)
    cells = ({header: cell(row, source) for header, source in columns.items()} for row in found)
    return table(run, zip(where, cells, strict=True))


def with_run(columns: list[str], rows: list[tuple[str, list[Cell]]]) -> Table:
    """Put the run's name in front, if any run has one."""
    if not any(name for name, _ in rows):
        return Table(columns, [cells for _, cells in rows])
    return Table(["machine", *columns], [[text(name), *cells] for name, cells in rows])


seconds = functools.partial(quantity, name="seconds")


def times(ratio: Any) -> str:
    """A ratio, with its sign."""
    return f"{number(ratio)} ×"


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
    columns = {
        "family": "family",
        "method": lambda row: ", ".join(str(row[name]) for name in ("method", "backend", "dtype", "mode") if row[name]),
        "verdict": lambda row: text(row["kind"], row["kind"].replace(" ", "-")),
        "in": "length",
        "exponent": ("exponent", exponent),
        "95 % interval": lambda row: Cell(interval(row["low"], row["high"]), key(row["low"])),
        "theory": ("theory", exponent),
        "sizes": lambda row: _span((row["smallest"], row["largest"]), row["length"]),
        "cause": "cause",
    }
    return view(found, columns, run)


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
    known = ((line.label, line.valid[line.valid["share"].notna()]) for line in lines)
    columns = {
        "benchmark": "title",
        "series": "label",
        "at": lambda row: f"{row['x_name']} = {number(row['x'])}",
        "time": ("value", seconds),
        "limit": ("floor", seconds),
        "time / limit": lambda row: measure(1 / row["share"], times),
        "share of limit": ("share", share),
        "bound by": "bound",
    }
    return view(
        pd.DataFrame([{**points.iloc[-1], "label": label} for label, points in known if len(points)]), columns, run
    )


def counts(frame: pd.DataFrame, run: RunName) -> Table:
    """Counted operations beside those of the costs."""

    def stated(row: Any) -> float:
        return float(row.get(row["quantity"], math.nan)) if row["quantity"] != "error" else math.nan

    def compared(row: Any) -> Cell:
        known = stated(row)
        word = "exceeds" if row["value"] > known else "equal" if row["value"] == known else "within"
        return Cell("–") if math.isnan(known) else text(word, word)

    columns = {
        "benchmark": "title",
        "parameters": lambda row: readable(row["params"]),
        "quantity": "quantity",
        "counted": ("value", _exact),
        "stated": lambda row: measure(stated(row), _exact),
        "is": compared,
    }
    return view(frame, columns, run)


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

    def value(row: Any) -> Cell:
        measured = measure(row["value"], functools.partial(quantity, name=str(row["quantity"])))
        return measured if row["status"] == "ok" else text(row["status"], row["status"])

    columns = {
        "benchmark": "title",
        "parameters": lambda row: readable(row["params"]),
        "value": value,
        "99 % interval": lambda row: interval_cell(row, str(row["quantity"])),
        "error": lambda row: measure(row["error"], error, "" if row["valid"] else "invalid"),
        "share of limit": ("share", share),
        "stated": ("memory", functools.partial(quantity, name="bytes")),
    }
    return view(frame, {header: source for header, source in columns.items() if shown.get(header, True)}, run)


def elsewhere(found: pd.DataFrame, run: RunName) -> Table:
    """From which size on another machine would be faster, of `xpsolve.report.elsewhere.predict_series`."""

    def size(value: float, everywhere: float) -> Cell:
        if math.isnan(value) or value == math.inf:
            return Cell("nowhere", math.inf)
        return Cell("all sizes" if value == everywhere else number(value), max(value, 0.0))

    columns = {
        "benchmark": "title",
        "series": lambda row: readable(row["series"]),
        "sizes": lambda row: _span((row["smallest"], row["largest"]), row["x_name"]),
        "faster from": lambda row: size(row["overtakes"], -math.inf),
        "launch-bound up to": lambda row: size(row["launch_bound_to"], row["largest"]),
        "speed-up at the largest": ("speedup", times),
    }
    return view(found, columns, run)


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
