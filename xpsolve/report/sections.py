"""The parts of pages: figures with their text, and the section of each family.

Nothing here knows a family by name: a new benchmark class gets its figure, its exponents and its tables automatically.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from xpsolve.report import digest, figures
from xpsolve.report.digest import Table
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import number, readable, seconds
from xpsolve.report.gallery import Drawn
from xpsolve.report.runs import Runs
from xpsolve.report.style import MARKERS
from xpsolve.report.verdict import sentence
from xpsolve.report.words import said

STOPS = "digits"
"""The abscissa d of a benchmark of the time to an error of 10^−d: what is drawn is convergence, not scaling."""


@dataclass(frozen=True)
class Figure:
    """One SVG and its description for readers who cannot see it."""

    name: str
    svg: str
    title: str
    alt: str
    table: Table = field(default_factory=Table)
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


def figure_of(run: str, name: Iterable[str], svg: str, title: str, alt: str, **more: Any) -> Figure:
    """A figure of one run, whose name is in that of the file and in the title where there are several runs."""
    file = slug("-".join(word for word in (run, *name) if word))
    return Figure(f"{file}.svg", svg, f"{run}: {title}" if run else title, alt, **more)


@dataclass
class Section:
    """One family: figures, tables with their headings, and what was counted."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    counts: Table = field(default_factory=Table)

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
    for family, rows in sorted(shown.groupby("family"), key=lambda one: (one[0] == "other", one[0])):
        own = [line for line in lines if line.head["family"] == family]
        done = rows[rows["status"] == "ok"]
        stopped = done[(done["role"] == "time") & (done["x_name"] == STOPS)]
        keys = done[["machine", "environment", "benchmark", "series"]].itertuples(index=False, name=None)
        in_figure = pd.Series([key in drawn for key in keys], index=done.index) | done.index.isin(stopped.index)
        # Errors are beside their times, ceilings and counts in tables of their own, failures in a list.
        listed = done[~in_figure & ~done["role"].isin(("error", "baseline", "ceiling", "count"))]
        tables = [
            ("Scaling", digest.exponents(own, runs.name)),
            ("In all sizes together", digest.joint(joined[joined["family"] == family], runs.name)),
            ("Where one overtakes another", digest.crossings([pair for pair in pairs if pair.first in own], runs.name)),
            ("Fastest methods", digest.fastest(own, runs.name)),
            ("Distance to the machine's limits", digest.limits(own, runs.name)),
            *((title, digest.values(part, runs.name)) for title, part in listed.groupby("title", sort=False)),
        ]
        made = Section(
            str(family),
            [*_scaling(own, pairs, runs), *_convergence(stopped, runs)],
            [(heading, table) for heading, table in tables if table],
            digest.values(done[done["role"] == "count"], runs.name),
        )
        if made.figures or made.tables or made.counts:
            sections.append(made)
    return sections


def _scaling(lines: Sequence[Series], pairs: Sequence[Pair], runs: Runs) -> list[Figure]:
    found: list[Figure] = []
    plots: dict[tuple[str, str, str], list[Series]] = {}
    for line in lines:
        plots.setdefault(line.key[:3], []).append(line)
    for (machine, environment, benchmark), members in plots.items():
        for part in _split(members):
            clear = [pair for pair in pairs if pair.first in part and pair.second in part and pair.crossing.clear]
            params = part[0].params
            common = {
                name: params[name] for name in params if all(line.params.get(name) == params[name] for line in part)
            }
            names = [readable(line.params, without=common) for line in part]
            title = _title(part, readable(common), names, clear)
            # More than two crossings hide each other: they are in the table.
            svg = figures.scaling(part, names, clear if len(clear) < 3 else [], title)
            numbers = digest.values(pd.concat([line.points for line in part]), runs.name)
            name = (benchmark, "" if part == members else part[0].label)
            found.append(figure_of(runs.name(machine, environment), name, svg, title, _alt(part), table=numbers))
    return found


def _split(members: list[Series]) -> list[list[Series]]:
    """As many lines a figure as there are markers, and one figure per backend where methods differ too."""
    most = len(MARKERS)
    if len(members) <= most and len({line.params.get("method") for line in members}) == 1:
        return [members]
    groups: dict[str, list[Series]] = {}
    for line in members:
        groups.setdefault(str(line.params.get("backend", "")), []).append(line)
    return [part[i : i + most] for part in groups.values() for i in range(0, len(part), most)]


def _title(lines: Sequence[Series], common: str, names: Sequence[str], clear: Sequence[Pair]) -> str:
    """The finding of a figure, in one sentence."""
    kinds: dict[str, list[str]] = {kind: [] for kind in digest.VERDICTS}
    for line, name in zip(lines, names, strict=True):
        kinds[line.verdict.kind].append(name)
    first = lines[0]
    facts = {"what": f"{first.head['title']} ({common})" if common else first.head["title"], "kinds": kinds}
    facts |= {"grows": digest.grows(first).text, "verdict": first.verdict, "why": sentence(first.verdict)}
    return " ".join(said("title.txt", clear=clear, count=len(lines), **facts))


def _alt(lines: Sequence[Series]) -> str:
    ends = [(line.label, line.points.iloc[0], line.points.iloc[-1]) for line in lines]
    described = "; ".join(
        f"{label}: from {seconds(low['value'])} at {low['x_name']} = {number(low['x'])} "
        f"to {seconds(high['value'])} at {number(high['x'])}"
        for label, low, high in ends
    )
    return f"Log-log plot of time against {lines[0].head['x_name']}. {described}."


def _convergence(rows: pd.DataFrame, runs: Runs) -> list[Figure]:
    """What answers reach against seconds, of benchmarks that vary where a solver stops."""
    found = []
    for (machine, environment, benchmark), part in rows.groupby(["machine", "environment", "benchmark"], sort=False):
        right = part[part["valid"]].assign(reached=lambda rows: 10.0 ** -rows["x"])
        lines = {readable(series): points for series, points in right.groupby("series", sort=False)}
        best = right[right["x"] == right["x"].max()].nsmallest(1, "value")
        if best.empty:  # no answer was as exact as it was asked to be
            continue
        first, run = best.iloc[0], runs.name(str(machine), str(environment))
        title = f"{first['title']}: {readable(first['series'])} is the first at {first['reached']:.0e}"
        title = f"{title}, after {seconds(first['value'])}"
        alt = f"Log-log plot of the error reached against seconds, a line for each of {', '.join(lines)}."
        numbers = digest.values(part, runs.name)
        found.append(figure_of(run, [benchmark], figures.convergence(lines, title), title, alt, table=numbers))
    return found


def gallery(drawn: Mapping[Drawn, str]) -> list[Section]:
    """Figures of the gallery, a section for each family in the order in which they were drawn."""
    sections: dict[str, Section] = {}
    for one, svg in drawn.items():
        caption = f"{one.caption} Drawn with {one.ran}, on {one.backend}, in {seconds(one.seconds)}."
        figure = Figure(f"gallery-{one.name}.svg", svg, one.title, one.alt, caption=caption)
        sections.setdefault(one.family, Section(one.family)).figures.append(figure)
    return list(sections.values())


def slug(text: str) -> str:
    """A name that may be that of a file: letters, digits, ``_`` and hyphens.

    >>> slug("a box (py): x/y")
    'a-box-py-x-y'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
