"""The tables of a report, as plain text cells: exponents, who is fastest where, limits, values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from xpsolve.report.findings import RIVALS, Pair, Series
from xpsolve.report.formats import error, exponent, interval, number, quantity, readable, seconds, share, times
from xpsolve.report.verdict import Kind, Verdict, sentence

LEVEL = 1.05  # a lead below this is within run-to-run noise
VERDICTS = [kind.value for kind in (Kind.DIFFERS, Kind.FLOOR_BOUND, Kind.NOT_MEASURABLE, Kind.NO_THEORY, Kind.AGREES)]

RunName = Callable[[str, str], str]
"""Name of the run of a machine and environment; empty where there is only one."""
Link = Callable[[str], str]
"""The page of a family; empty where there is none."""


class Cell(NamedTuple):
    """The text of a cell, its sort key, its mark, the page with more about it, and a verdict to draw beside it."""

    text: str
    key: float | str = ""
    mark: str = ""
    link: str = ""
    drawn: Verdict | None = None


DASH = Cell("–")


@dataclass(frozen=True)
class Table:
    """Columns and rows; empty tables are false and left out of the page."""

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, to be set flush right."""
        keys = [row[column].key for row in self.rows if row[column].key != ""]
        return bool(keys) and all(isinstance(key, float) for key in keys)


def table(rows: Any, columns: Mapping[str, Any], run: RunName) -> Table:
    """A table of rows, each with its machine and environment: dictionaries, or a frame.

    `columns` has for each heading the name of a value in words, name and format of a number, or a function of the row;
    the name of the run stands in front.  Columns in which no row has anything are left out.
    """
    rows = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    named = {"machine": lambda row: run(str(row["machine"]), str(row["environment"])), **columns}
    cells = [[_cell(row, source) for source in named.values()] for row in rows]
    kept = [i for i in range(len(named)) if any(row[i].text != "–" for row in cells)]
    return Table([list(named)[i] for i in kept], [[row[i] for i in kept] for row in cells])


def _cell(row: Mapping[str, Any], source: Any) -> Cell:
    if isinstance(source, tuple):
        return measure(row[source[0]], source[1])
    value = source(row) if callable(source) else row[source]
    return value if isinstance(value, Cell) else text(value)


def text(words: Any, mark: str = "", link: str = "") -> Cell:
    """A cell of words, which sorts by them."""
    return Cell(str(words) or "–", str(words), mark, link)


def measure(value: Any, show: Callable[[Any], str] = number, mark: str = "") -> Cell:
    """A cell of a number, which sorts by it; one that is not finite sorts last."""
    return Cell(show(value), float(value) if math.isfinite(float(value)) else "", mark)


def verdict(found: Verdict) -> Cell:
    """The kind of a verdict; kinds that need a look sort first."""
    return Cell(found.kind, f"{VERDICTS.index(found.kind)} {found.kind}", found.kind.replace(" ", "-"))


def grows(line: Series) -> Cell:
    """A measured exponent with its interval and its picture, where the digits mean something."""
    low, high = line.verdict.interval
    if not line.verdict.measured or high - low > 3:
        return DASH
    words = f"{line.variable}^{exponent(line.verdict.value)} {interval(low, high)}"
    return Cell(words, line.verdict.value, drawn=line.verdict)


def span(low: float, high: float, name: str) -> str:
    """Sizes from the smallest to the largest."""
    ends = number(low) if low == high else f"{number(low)} … {number(high)}"
    return f"{name} = {ends}".replace(" ", "\u00a0")


def exponents(lines: Sequence[Series], run: RunName, link: Link = lambda _: "") -> Table:
    """One row per series, the ones that need a look first: the verdict, its exponents, and why."""
    ordered = sorted(lines, key=lambda line: VERDICTS.index(line.verdict.kind))
    columns = {
        "benchmark": lambda row: text(row["title"], link=link(row["family"])),
        "series": lambda row: row["line"].label,
        "verdict": lambda row: verdict(row["line"].verdict),
        "time grows as": lambda row: grows(row["line"]),
        "theory": lambda row: measure(row["line"].verdict.theory, exponent),
        "sizes": lambda row: span(row["line"].points["x"].min(), row["line"].points["x"].max(), row["x_name"]),
        "why": lambda row: sentence(row["line"].verdict),
    }
    return table([dict(line.head, line=line) for line in ordered], columns, run)


def joint(found: pd.DataFrame, run: RunName) -> Table:
    """Exponents in all lengths together, of `xpsolve.report.joint.joint_fits`."""
    columns = {
        "family": "family",
        "method": lambda row: ", ".join(str(row[name]) for name in ("method", "backend", "dtype", "mode") if row[name]),
        "verdict": lambda row: text(row["kind"], row["kind"].replace(" ", "-")),
        "in": "length",
        "exponent": ("exponent", exponent),
        "95 % interval": lambda row: measure(row["low"], lambda low: interval(low, row["high"])),
        "theory": ("theory", exponent),
        "sizes": lambda row: span(row["smallest"], row["largest"], row["length"]),
        "cause": "cause",
    }
    return table(found, columns, run)


def fastest(lines: Sequence[Series], run: RunName, link: Link = lambda _: "", rivals: Sequence[str] = RIVALS) -> Table:
    """Which is fastest at which sizes, by what median factor, where methods or backends compete on the same work."""
    if not lines:
        return Table()
    arena = ["machine", "environment", "family", "title", "equal", "x_name"]
    named = [
        line.valid.assign(
            who=", ".join(str(line.params[name]) for name in rivals if name in line.params),
            equal=readable(line.params, without=RIVALS),
        )
        for line in lines
    ]
    points = pd.concat(named).query("who != ''")
    size = ["place", "x"]
    points = points.assign(place=points.groupby(arena, sort=False).ngroup()).sort_values([*size, "value"])
    ranked = points.drop_duplicates([*size, "who"])
    first, second = (ranked[ranked.groupby(size).cumcount() == rank] for rank in (0, 1))
    races = first.merge(second[[*size, "value"]], on=size, suffixes=("", "_next"))
    lead = races["value_next"] / races["value"]
    races = races.assign(lead=lead, who=races["who"].where(lead >= LEVEL, "no clear winner"))
    stretch = races[["place", "who"]].ne(races[["place", "who"]].shift()).any(axis=1).cumsum()
    kept = {name: (name, "first") for name in [*arena, "who"]}
    found = races.groupby(stretch).agg(**kept, low=("x", "min"), high=("x", "max"), lead=("lead", "median"))
    columns = {
        "benchmark": lambda row: text(row["title"], link=link(row["family"])),
        "at equal": "equal",
        "sizes": lambda row: span(row["low"], row["high"], row["x_name"]),
        "fastest": "who",
        "ahead of the next by": ("lead", "{:.2f} ×".format),
    }
    return table(found, columns, run)


def crossings(pairs: Sequence[Pair], run: RunName) -> Table:
    """Finite crossings first, then the bounds on those of methods; which backend wins is in `fastest`."""
    shown = [pair for pair in pairs if math.isfinite(pair.crossing.at) or pair.rival == "method"]
    ordered = sorted(shown, key=lambda pair: not math.isfinite(pair.crossing.at))
    columns = {
        "benchmark": "title",
        "at equal": lambda row: row["pair"].shared,
        "finding": lambda row: row["pair"].sentence,
    }
    return table([dict(pair.first.head, pair=pair) for pair in ordered], columns, run)


def limits(lines: Sequence[Series], run: RunName) -> Table:
    """How near each series comes to the machine's limits at its largest size."""
    last = [line.valid.dropna(subset="share").tail(1).assign(label=line.label) for line in lines]
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
    return table([row for one in last for row in one.to_dict("records")], columns, run)


def values(frame: pd.DataFrame, run: RunName) -> Table:
    """Plain values with their interval and error, and what the cost functions state of counts and memory."""
    several = frame["title"].nunique() > 1

    def shown(value: float, row: Mapping[str, Any]) -> Cell:
        whole = row["role"] == "count" and math.isfinite(value) and value == int(value)
        return measure(value, lambda v: f"{v:,.0f}".replace(",", "\u202f") if whole else quantity(v, row["quantity"]))

    def compared(row: Mapping[str, Any]) -> str | Cell:
        value, known = row["value"], _stated(row)
        word = "exceeds" if value > known else "equal" if value == known else "within" if value < known else ""
        return text(word, word) if row["role"] == "count" else ""

    columns = {
        "benchmark": lambda row: row["title"] if several else "",
        "parameters": lambda row: readable(row["params"]),
        "quantity": lambda row: row["quantity"] if row["role"] == "count" else "",
        "value": lambda row: shown(row["value"], row),
        "99 % interval": interval_cell,
        "error": lambda row: measure(row["error"], error, "" if row["valid"] else "invalid"),
        "share of limit": ("share", share),
        "stated": lambda row: shown(_stated(row), row),
        "is": compared,
    }
    # The error of a count is beside the time of the same solve.
    return table(frame.assign(error=frame["error"].mask(frame["role"] == "count")), columns, run)


def _stated(row: Mapping[str, Any]) -> float:
    """What the cost functions say of a count or of memory; NaN where they do not."""
    name = {"memory": "memory", "count": row["quantity"]}.get(row["role"], "")
    return math.nan if name == "error" else float(row.get(name, math.nan))


def interval_cell(row: Mapping[str, Any]) -> Cell:
    """The 99 % interval of a row of the tidy table."""
    low, high = (quantity(row[end], row["quantity"]) for end in ("lower", "upper"))
    if math.isnan(row["lower"]) or math.isnan(row["upper"]):
        return DASH
    # Below zero is asv's model for very few samples.
    return Cell(f"{low} … {high}", row["lower"]) if row["lower"] > 0 else Cell(f"below {high}", 0.0)


def elsewhere(found: pd.DataFrame, run: RunName) -> Table:
    """From which size on another machine would be faster, of `xpsolve.report.elsewhere.predict_series`."""

    def size(value: float, everywhere: float) -> Cell:
        if math.isnan(value) or value == math.inf:
            return Cell("nowhere", math.inf)
        return Cell("all sizes" if value == everywhere else number(value), max(value, 0.0))

    columns = {
        "benchmark": "title",
        "series": lambda row: readable(row["series"]),
        "sizes": lambda row: span(row["smallest"], row["largest"], row["x_name"]),
        "faster from": lambda row: size(row["overtakes"], -math.inf),
        "launch-bound up to": lambda row: size(row["launch_bound_to"], row["largest"]),
        "speed-up at the largest": ("speedup", times),
    }
    return table(found, columns, run)


def missing(frame: pd.DataFrame, run: RunName) -> Table:
    """What was requested and has no value, and why: each failure by its point, then a missing backend in one row."""
    gone = frame[(frame["status"] != "ok") & (frame["reason"] != "not selected")].sort_values("status", kind="stable")
    failed = gone["status"] == "failed"
    gone = gone.assign(
        alone=gone["benchmark"].where(failed, ""), where=gone["params"].map(readable).where(failed, gone["backend"])
    )
    same = ["machine", "environment", "alone", "where", "reason", "detail"]
    columns = {
        "what": lambda row: row["alone"] or f"{row['nunique']} benchmark{'s' if row['nunique'] > 1 else ''}",
        "points": ("size", number),
        "parameters or backend": "where",
        "why": "reason",
        "message": "detail",
    }
    return table(gone.groupby(same, sort=False)["benchmark"].agg(["nunique", "size"]).reset_index(), columns, run)
