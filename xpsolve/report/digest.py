"""The tables of a report, as plain text cells: exponents, who is fastest where, limits, counts, values."""

from __future__ import annotations

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

__all__ = [
    "LEVEL",
    "Cell",
    "Table",
    "counts",
    "crossing_table",
    "disagreements",
    "exponents",
    "fastest",
    "interval_cell",
    "joint",
    "key",
    "limits",
    "missing",
    "readable",
    "text",
    "values",
    "winners",
    "with_run",
]


class Cell(NamedTuple):
    """The text of a cell, its sort key, its mark, and the page with more about it."""

    text: str
    key: float | str = ""
    mark: str = ""
    link: str = ""


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

RunName = Callable[[str, str], str]
"""Name of the run of a machine and environment; empty where there is only one."""


def text(words: Any, mark: str = "", link: str = "") -> Cell:
    """A cell of words, which sorts by them."""
    return Cell(str(words), str(words), mark, link)


def _value(value: Any, name: str) -> Cell:
    return Cell(quantity(value, name), key(value))


def key(value: Any) -> float | str:
    """The sort key of a number; one that is not finite sorts last."""
    return float(value) if math.isfinite(float(value)) else ""


def readable(params: str | dict[str, Any]) -> str:
    """Parameters in words, such as ``numpy, normal, n = 2000``."""
    given = json.loads(params) if isinstance(params, str) else params
    return ", ".join(str(v) if isinstance(v, str) else f"{k} = {number(v)}" for k, v in given.items())


def with_run(columns: list[str], rows: list[tuple[str, list[Cell]]]) -> Table:
    """Put the run's name in front, if any run has one."""
    if not any(name for name, _ in rows):
        return Table(columns, [cells for _, cells in rows])
    return Table(["machine", *columns], [[text(name), *cells] for name, cells in rows])


def _span(x: Iterable[float], name: str) -> str:
    sizes = sorted(x)
    ends = number(sizes[0]) if sizes[0] == sizes[-1] else f"{number(sizes[0])} … {number(sizes[-1])}"
    return f"{name} = {ends}".replace(" ", "\u00a0")


def exponents(lines: Sequence[Series], run: RunName) -> Table:
    """One row per series: the measured exponent beside the theoretical one."""
    columns = ["benchmark", "series", "sizes", "of", "exponent", "95 % interval", "theory", "verdict"]
    rows = []
    for line in lines:
        law = line.law
        judged = law is not None and law.resolved
        rows.append(
            (
                run(*line.key[:2]),
                [
                    text(line.head["title"]),
                    text(line.label),
                    text(_span(line.points["x"], line.head["x_name"])),
                    text(line.variable),
                    Cell(exponent(law.alpha), law.alpha) if law is not None and judged and not law.vague else Cell("–"),
                    Cell("too wide" if law.vague else interval(law.low, law.high), law.low)
                    if law is not None and judged
                    else Cell("–"),
                    Cell(exponent(line.theory), key(line.theory)),
                    text(line.verdict.kind, line.verdict.kind.replace(" ", "-")),
                ],
            )
        )
    return with_run(columns, rows)


def joint(found: pd.DataFrame, run: RunName) -> Table:
    """Exponents in all lengths together, of `xpsolve.report.joint.joint_fits`."""
    columns = ["family", "method", "in", "sizes", "exponent", "95 % interval", "theory", "verdict", "cause"]
    rows = []
    for _, row in found.iterrows():
        method = ", ".join(str(row[name]) for name in ("method", "backend", "dtype", "mode") if row[name])
        cells = [
            text(row["family"]),
            text(method),
            text(row["length"]),
            text(_span((row["smallest"], row["largest"]), row["length"])),
            Cell(exponent(row["exponent"]), key(row["exponent"])),
            Cell(interval(row["low"], row["high"]), key(row["low"])),
            Cell(exponent(row["theory"]), key(row["theory"])),
            text(row["kind"], row["kind"].replace(" ", "-")),
            text(row["cause"]),
        ]
        rows.append((run(row["machine"], row["environment"]), cells))
    return with_run(columns, rows)


def disagreements(lines: Sequence[Series], run: RunName, link: Callable[[str], str] = lambda _: "") -> Table:
    """A sentence for each exponent whose verdict is not "agrees"."""
    order = ("differs", "floor-bound", "not measurable", "no theory")
    told = sorted(
        (line for line in lines if line.verdict.kind in order), key=lambda line: order.index(line.verdict.kind)
    )
    rows = [
        (
            run(*line.key[:2]),
            [
                text(line.head["title"], link=link(str(line.head["family"]))),
                text(line.label),
                text(line.verdict.kind, line.verdict.kind.replace(" ", "-")),
                text(line.reason),
            ],
        )
        for line in told
    ]
    return with_run(["benchmark", "series", "verdict", "why"], rows)


def fastest(lines: Sequence[Series], run: RunName) -> Table:
    """Which is fastest at which sizes, where methods or backends compete."""
    columns = ["benchmark", "sizes", "fastest", "ahead of the next by"]
    rows = []
    for (machine, environment, title, common), rivals in _arenas(lines).items():
        what = f"{title} ({common})" if common else title
        x_name = str(rivals[0].head["x_name"])
        for who, sizes, lead in _stretches(rivals, _who):
            cells = [text(what), text(_span(sizes, x_name)), text(who), Cell(f"{lead:.2f} ×", lead)]
            rows.append((run(machine, environment), cells))
    return with_run(columns, rows)


def winners(lines: Sequence[Series], run: RunName, link: Callable[[str], str]) -> Table:
    """The fastest method along each benchmark that has several, each on its best backend."""
    rows = []
    for (machine, environment, title, common), rivals in _arenas(lines).items():
        methods = {line.params.get("method") for line in rivals}
        if None in methods or len(methods) < 2:
            continue
        x_name = str(rivals[0].head["x_name"])
        stretches = _stretches(rivals, lambda line: str(line.params["method"]))
        said = "; ".join(
            f"{who} at {_span(sizes, x_name)}{f' ({number(lead)} ×)' if who != LEVEL_RACE else ''}"
            for who, sizes, lead in stretches
        )
        if said:
            what = f"{title} ({common})" if common else title
            family = str(rivals[0].head["family"])
            rows.append((run(machine, environment), [text(what, link=link(family)), text(said)]))
    return with_run(["benchmark", "fastest method (lead over the next)"], rows)


def _stretches(rivals: Sequence[Series], name: Callable[[Series], str]) -> list[tuple[str, list[float], float]]:
    """Neighbouring sizes with one winner: who, where, and its median lead over the next."""
    points = pd.concat([line.valid.assign(who=name(line)) for line in rivals])
    points = points.sort_values("value").drop_duplicates(["x", "who"])  # the best of each name
    races = []
    for x, here in points.groupby("x"):
        ranked = here.sort_values("value")
        if len(ranked) > 1:
            lead = float(ranked["value"].iloc[1] / ranked["value"].iloc[0])
            races.append((float(x), str(ranked["who"].iloc[0]) if lead >= LEVEL else LEVEL_RACE, lead))
    return [
        (who, [x for x, _, _ in stretch], statistics.median(lead for _, _, lead in stretch))
        for who, stretch in ((who, list(group)) for who, group in itertools.groupby(races, key=lambda race: race[1]))
    ]


def _arenas(lines: Sequence[Series]) -> dict[tuple[str, str, str, str], list[Series]]:
    """Series that do the same work: all but method and backend the same."""
    arenas: dict[tuple[str, str, str, str], list[Series]] = {}
    for line in lines:
        common = readable({k: v for k, v in line.params.items() if k not in RIVALS})
        arenas.setdefault((*line.key[:2], str(line.head["title"]), common), []).append(line)
    return arenas


def _who(line: Series) -> str:
    return ", ".join(str(line.params[name]) for name in RIVALS if name in line.params)


def crossing_table(pairs: Sequence[Pair], run: RunName) -> Table:
    """Finite crossings first, then the bounds on those of methods; which backend wins is in `fastest`."""
    met = [pair for pair in pairs if math.isfinite(pair.crossing.at)]
    ordered = met + [pair for pair in pairs if pair not in met and pair.rival == "method"]
    columns = ["benchmark", "at equal", "finding"]
    rows = [
        (run(*pair.first.key[:2]), [text(pair.first.head["title"]), text(pair.shared or "–"), text(pair.sentence)])
        for pair in ordered
    ]
    return with_run(columns, rows)


def limits(lines: Sequence[Series], run: RunName) -> Table:
    """How near each series comes to the machine's limits at its largest size."""
    columns = ["benchmark", "series", "at", "time", "limit", "time / limit", "share of limit", "bound by"]
    rows = []
    for line in lines:
        known = line.valid[line.valid["share"].notna()]
        if len(known):
            last = known.iloc[-1]
            cells = [
                text(last["title"]),
                text(line.label),
                text(f"{last['x_name']} = {number(last['x'])}"),
                _value(last["value"], "seconds"),
                _value(last["floor"], "seconds"),
                Cell(f"{number(1 / last['share'])} ×", 1 / float(last["share"])),
                Cell(share(last["share"]), float(last["share"])),
                text(last["bound"]),
            ]
            rows.append((run(*line.key[:2]), cells))
    return with_run(columns, rows)


def counts(frame: pd.DataFrame, run: RunName) -> Table:
    """Counted operations beside those of the costs."""
    columns = ["benchmark", "parameters", "quantity", "counted", "stated", ""]
    rows = []
    for _, row in frame.iterrows():
        name = str(row["quantity"])
        stated = float(row[name]) if name in ("flops", "bytes", "launches", "syncs") else math.nan
        mark = "" if math.isnan(stated) else "equal" if row["value"] == stated else "within"
        if row["value"] > stated:
            mark = "exceeds"
        cells = [
            text(row["title"]),
            text(readable(row["params"])),
            text(name),
            Cell(_exact(row["value"]), key(row["value"])),
            Cell(_exact(stated), key(stated)),
            text(mark, mark),
        ]
        rows.append((run(row["machine"], row["environment"]), cells))
    return with_run(columns, rows)


def _exact(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f") if math.isfinite(value) and value == int(value) else number(value)


def values(frame: pd.DataFrame, run: RunName, *, title: bool = True) -> Table:
    """Plain values with their interval, error and status."""
    columns = [*(["benchmark"] if title else []), "parameters", "value"]
    extras = {
        "99 % interval": frame["lower"].notna().any(),
        "error": frame["error"].notna().any(),
        "share of limit": frame["share"].notna().any(),
        "stated": (frame["role"] == "memory").any() and frame["memory"].notna().any(),
    }
    shown = [name for name, there in extras.items() if there]
    rows = []
    for _, row in frame.iterrows():
        name = str(row["quantity"])
        invalid = "" if row["valid"] else "invalid"
        cells = {
            "99 % interval": interval_cell(row, name),
            "error": Cell(error(row["error"]), key(row["error"]), invalid),
            "share of limit": Cell(share(row["share"]), key(row["share"])),
            "stated": _value(row["memory"], "bytes"),
        }
        first = [text(row["title"])] if title else []
        measured = _value(row["value"], name) if row["status"] == "ok" else text(row["status"], row["status"])
        rows.append(
            (
                run(row["machine"], row["environment"]),
                [*first, text(readable(row["params"]) or "–"), measured, *(cells[column] for column in shown)],
            )
        )
    return with_run([*columns, *shown], rows)


def missing(frame: pd.DataFrame, run: RunName) -> Table:
    """What was requested and has no value, and why: a failure by its point, a missing backend in one row."""
    gone = frame[(frame["status"] != "ok") & (frame["reason"] != "not selected")]
    rows = []
    for _, row in gone[gone["status"] == "failed"].iterrows():
        words = (row["benchmark"], readable(row["params"]) or "–", row["reason"] or "failed", row["detail"])
        rows.append((run(row["machine"], row["environment"]), [text(word) for word in words]))
    rest = gone[gone["status"] != "failed"]
    same = ["machine", "environment", "backend", "reason", "detail"]
    for (machine, environment, backend, reason, detail), part in rest.groupby(same, sort=False):
        benchmarks, points = part["benchmark"].nunique(), len(part)
        what = f"{number(benchmarks)} benchmark{'s' if benchmarks > 1 else ''}, {number(points)} points"
        words = (what, backend or "–", reason or "no attempt", detail)
        rows.append((run(str(machine), str(environment)), [text(word) for word in words]))
    return with_run(["what", "parameters or backend", "why", "message"], rows)


def interval_cell(row: Any, name: str) -> Cell:
    """The 99 % interval of a row of the tidy table."""
    if math.isnan(row["lower"]) or math.isnan(row["upper"]):
        return Cell("–")
    if row["lower"] <= 0:  # asv's model for very few samples
        return Cell(f"below {quantity(row['upper'], name)}", 0.0)
    return Cell(f"{quantity(row['lower'], name)} … {quantity(row['upper'], name)}", float(row["lower"]))
