"""The parts of pages: figures with their text, and the section of each family.

Nothing here knows a family by name: a new benchmark class gets its figure, its exponents and its tables automatically.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from xpsolve.report import digest, figures
from xpsolve.report.digest import Table
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import number, quantity
from xpsolve.report.gallery import Drawn
from xpsolve.report.runs import Runs
from xpsolve.report.words import said

__all__ = ["STOPS", "Figure", "Section", "families", "gallery", "slug"]

PER_FIGURE = 6
STOPS = "digits"
"""The abscissa d of a benchmark of the time to an error of 10^−d: what is drawn is convergence, not scaling."""


@dataclass(frozen=True)
class Figure:
    """One SVG and its description for readers who cannot see it."""

    name: str
    svg: str
    title: str
    alt: str
    table: Table = field(default_factory=lambda: Table([], []))
    caption: str = ""
    narrow: str = ""  # the same for the width of a phone

    @property
    def narrow_name(self) -> str:
        """The file of the narrow one."""
        return self.name.replace(".svg", "-narrow.svg")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in points, so that a page need not move when it is loaded."""
        found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg)
        return (475, 300) if found is None else (round(float(found[1])), round(float(found[2])))


@dataclass
class Section:
    """One family of benchmarks: figures, and tables with a heading and a line on it each, the last of them folded."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, str, Table]] = field(default_factory=list)
    folded: list[tuple[str, str, Table]] = field(default_factory=list)

    @property
    def heading(self) -> str:
        """The family's name as a heading."""
        return self.name[:1].upper() + self.name[1:]


def families(
    shown: pd.DataFrame, lines: Sequence[Series], pairs: Sequence[Pair], joined: pd.DataFrame, runs: Runs
) -> list[Section]:
    """The section of each family, in alphabetical order, with benchmarks without a family last.

    `shown` are the current rows of the tidy table, those of contests left out.
    """
    sections: list[Section] = []
    drawn = {line.key for line in lines}
    for family, rows in shown.groupby("family", sort=True):
        own = [line for line in lines if line.head["family"] == family]
        done = rows[rows["status"] == "ok"]
        stopped = done[(done["role"] == "time") & (done["x_name"] == STOPS)]
        section = Section(str(family), [*_scaling(own, pairs, runs), *_convergence(stopped, runs)])
        inside = [pair for pair in pairs if pair.first in own]
        section.tables = [
            ("Scaling", "", digest.exponents(own, runs.name)),
            ("In all sizes together", JOINT, digest.joint(joined[joined["family"] == family], runs.name)),
            ("Where one overtakes another", "", digest.crossings(inside, runs.name)),
            ("Fastest methods", "", digest.fastest(own, runs.name)),
            ("Distance to the machine's limits", LIMITS, digest.limits(own, runs.name)),
        ]
        keys = done[["machine", "environment", "benchmark", "series"]].itertuples(index=False, name=None)
        in_figure = pd.Series([key in drawn for key in keys], index=done.index) | done.index.isin(stopped.index)
        # Errors are beside their times, ceilings and counts in tables of their own, failures in a list.
        listed = done[~in_figure & ~done["role"].isin(("error", "baseline", "ceiling", "count"))]
        for title, part in listed.groupby("title", sort=False):
            section.tables.append((str(title), "", digest.values(part, runs.name, title=False)))
        section.tables = [one for one in section.tables if one[2]]
        counted = digest.counts(done[done["role"] == "count"], runs.name)
        section.folded = [("Counted operations", COUNTS, counted)] if counted else []
        sections.append(section)
    ordered = sorted(sections, key=lambda section: section.name == "other")
    return [section for section in ordered if section.figures or section.tables or section.folded]


JOINT = (
    "One law for all benchmarks of a method, log t = c + α log n + β log p + γ log L, with a level c of its own for "
    "each of them. Sweeps that a constant dominates and launch-bound points are left out."
)
LIMITS = (
    "Limit: the largest of flops / arithmetic rate, bytes / bandwidth and launches × launch time, with the rates "
    "measured in the same run. Largest size of each series. The bandwidth is the best at any size, that of a cache "
    "where small data were measured."
)
COUNTS = (
    "Counted while solving, not timed: the same on every machine. Stated: what the cost functions say; flops are those "
    "of matrix products and factorisations."
)


def _scaling(lines: Sequence[Series], pairs: Sequence[Pair], runs: Runs) -> list[Figure]:
    found: list[Figure] = []
    plots: dict[tuple[str, str, str], list[Series]] = {}
    for line in lines:
        plots.setdefault(line.key[:3], []).append(line)
    for (machine, environment, benchmark), members in plots.items():
        for part in _split(members):
            clear = [pair for pair in pairs if pair.first in part and pair.second in part and pair.crossing.clear]
            run, title = runs.name(machine, environment), _title(part, clear)
            name = "-".join(word for word in (run, benchmark, "" if part == members else part[0].label) if word)
            points = pd.concat([line.points for line in part])
            found.append(
                Figure(
                    f"{slug(name)}.svg",
                    # More than two crossings hide each other: they are in the table.
                    figures.scaling(part, clear if len(clear) < 3 else [], title),
                    f"{run}: {title}" if run else title,
                    _alt(part),
                    digest.values(points, runs.name, title=False),
                )
            )
    return found


def _split(members: list[Series]) -> list[list[Series]]:
    """At most six lines a figure, and one figure per backend where methods differ too."""
    if len(members) <= PER_FIGURE and len({line.params.get("method") for line in members}) == 1:
        return [members]
    groups: dict[str, list[Series]] = {}
    for line in members:
        groups.setdefault(str(line.params.get("backend", "")), []).append(line)
    return [part[i : i + PER_FIGURE] for part in groups.values() for i in range(0, len(part), PER_FIGURE)]


def _title(lines: Sequence[Series], clear: Sequence[Pair]) -> str:
    """The finding of a figure, in one sentence."""
    first = lines[0]
    common = {k: v for k, v in first.params.items() if all(line.params.get(k) == v for line in lines)}
    kinds: dict[str, list[str]] = {}
    for line in sorted(lines, key=lambda line: digest.VERDICTS.index(line.verdict.kind)):
        kinds.setdefault(line.verdict.kind, []).append(
            line.named({k: line.params[k] for k in line.params if k not in common})
        )
    values = {
        "what": f"{first.head['title']} ({first.named(common)})" if common else first.head["title"],
        "crossing": clear[0].sentence if clear else "",
        "first": first if len(lines) == 1 else None,
        "grows": digest.grows(first.verdict, first.variable).text,
        "kinds": kinds,
        "count": len(lines),
    }
    return " ".join(said("title.txt", **values))


def _alt(lines: Sequence[Series]) -> str:
    ends = [(line.label, line.points.iloc[0], line.points.iloc[-1]) for line in lines]
    told = "; ".join(
        f"{label}: from {quantity(low['value'], 'seconds')} at {low['x_name']} = {number(low['x'])} "
        f"to {quantity(high['value'], 'seconds')} at {number(high['x'])}"
        for label, low, high in ends
    )
    return f"Log-log plot of time against {lines[0].head['x_name']}. {told}."


def _convergence(rows: pd.DataFrame, runs: Runs) -> list[Figure]:
    """What answers reach against seconds, of benchmarks that vary where a solver stops."""
    found = []
    for (machine, environment, benchmark), part in rows.groupby(["machine", "environment", "benchmark"], sort=False):
        right = part[part["valid"]].assign(reached=lambda rows: 10.0 ** -rows["x"])
        lines = {digest.readable(series): points for series, points in right.groupby("series", sort=False)}
        best = right[right["x"] == right["x"].max()].nsmallest(1, "value")
        if best.empty:  # no answer was as exact as it was asked to be
            continue
        first, run = best.iloc[0], runs.name(str(machine), str(environment))
        took, reached = quantity(first["value"], "seconds"), f"{first['reached']:.0e}"
        title = f"{first['title']}: {digest.readable(first['series'])} is the first at {reached}, after {took}"
        svg = figures.convergence(list(lines.values()), list(lines), "error", title)
        alt = f"Log-log plot of the error reached against seconds, a line for each of {', '.join(lines)}."
        shown = digest.values(part, runs.name, title=False)
        name = slug("-".join(word for word in (run, str(benchmark)) if word))
        found.append(Figure(f"{name}.svg", svg, f"{run}: {title}" if run else title, alt, shown))
    return found


def gallery(drawn: Mapping[Drawn, str]) -> list[Section]:
    """Figures of the gallery, a section for each family in the order in which they were drawn."""
    sections: dict[str, Section] = {}
    for one, svg in drawn.items():
        caption = f"{one.caption} Drawn with {one.ran}, on {one.backend}, in {quantity(one.seconds, 'seconds')}."
        figure = Figure(f"gallery-{one.name}.svg", svg, one.title, one.alt, caption=caption)
        sections.setdefault(one.family, Section(one.family)).figures.append(figure)
    return list(sections.values())


def slug(text: str) -> str:
    """A name that may be that of a file: letters, digits, ``_`` and hyphens.

    >>> slug("a box (py): x/y")
    'a-box-py-x-y'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
