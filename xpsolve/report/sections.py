"""The parts of pages: figures with their text, and the section of each family.

Nothing here knows a family by name: a new benchmark class gets its figure, its exponents and its tables automatically.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from xpsolve.report import digest, figures
from xpsolve.report.digest import Table
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import exponent, interval, number, quantity
from xpsolve.report.gallery import Drawn
from xpsolve.report.runs import Runs

__all__ = ["Figure", "Section", "families", "gallery", "slug"]

PER_FIGURE = 6


_NONE = Table([], [])


@dataclass(frozen=True)
class Figure:
    """One SVG and its description for readers who cannot see it."""

    name: str
    svg: str
    title: str
    alt: str
    table: Table = _NONE
    caption: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in points, so that a page need not move when it is loaded."""
        found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg)
        return (475, 300) if found is None else (round(float(found[1])), round(float(found[2])))


@dataclass
class Section:
    """One family of benchmarks: figures, and tables with a heading each."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    digests: list[tuple[str, str, Table]] = field(default_factory=list)  # heading, a line on it, what was found

    @property
    def heading(self) -> str:
        """The family's name as a heading."""
        return self.name[:1].upper() + self.name[1:]


def families(
    shown: pd.DataFrame, lines: Sequence[Series], pairs: Sequence[Pair], joined: pd.DataFrame, runs: Runs
) -> list[Section]:
    """The section of each family, in alphabetical order, with benchmarks without a family last.

    Parameters
    ----------
    shown : pandas.DataFrame
        Current rows of the tidy table, those of contests left out.
    lines : sequence of Series
        Fitted series.
    pairs : sequence of Pair
        Crossings.
    joined : pandas.DataFrame
        Result of `xpsolve.report.joint.joint_fits`.
    runs : Runs
        Names of runs.

    Returns
    -------
    list of Section
        Families that have something to show.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.runs import Runs
    >>> from xpsolve.report.sections import families
    >>> from xpsolve.report.table import tidy
    >>> nothing = pd.DataFrame({"machine": [], "environment": []})
    >>> families(tidy(Measurements()), [], [], nothing, Runs(nothing, {}))
    []
    """
    sections: list[Section] = []
    drawn = {line.key for line in lines}
    for family, rows in shown.groupby("family", sort=True):
        section = Section(str(family))
        own = [line for line in lines if line.head["family"] == family]
        section.figures = _scaling_figures(own, pairs, runs)
        counted = rows[(rows["role"] == "count") & (rows["status"] == "ok")]
        section.digests = [
            (heading, words, table)
            for heading, words, table in (
                ("Scaling", "", digest.exponents(own, runs.name)),
                ("In all sizes together", JOINT, digest.joint(joined[joined["family"] == family], runs.name)),
                ("Where measurement and theory differ", "", digest.disagreements(own, runs.name)),
                (
                    "Where one overtakes another",
                    "",
                    digest.crossing_table([pair for pair in pairs if pair.first in own], runs.name),
                ),
                ("Fastest methods", "", digest.fastest(own, runs.name)),
                ("Distance to the machine's limits", LIMITS, digest.limits(own, runs.name)),
                ("Counted operations", COUNTS, digest.counts(counted, runs.name)),
            )
            if table
        ]
        keys = rows[["machine", "environment", "benchmark", "series"]].itertuples(index=False, name=None)
        in_figure = pd.Series([key in drawn for key in keys], index=rows.index)
        # Errors are beside their times, ceilings and counts in tables of their own, failures in a list.
        listed = rows[
            ~in_figure & ~rows["role"].isin(("error", "baseline", "ceiling", "count")) & (rows["status"] == "ok")
        ]
        for title, part in listed.groupby("title", sort=False):
            section.tables.append((str(title), digest.values(part, runs.name, title=False)))
        sections.append(section)
    ordered = sorted(sections, key=lambda section: section.name == "other")
    return [section for section in ordered if section.figures or section.tables or section.digests]


JOINT = (
    "One law for all benchmarks of a method, log t = c + α log n + β log p + γ log L, with a level c of its own for "
    "each of them. Sweeps that a constant dominates and launch-bound points are left out."
)
LIMITS = (
    "Limit: the largest of flops / arithmetic rate, bytes / bandwidth and launches × launch time, with the rates "
    "measured in the same run. Largest size of each series. Above 100 %, data stay in cache."
)
COUNTS = (
    "Counted while solving, not timed: the same on every machine. Stated: what the cost functions say; flops are those "
    "of matrix products and factorisations."
)


def _scaling_figures(lines: Sequence[Series], pairs: Sequence[Pair], runs: Runs) -> list[Figure]:
    figures_: list[Figure] = []
    plots: dict[tuple[str, str, str], list[Series]] = {}
    for line in lines:
        plots.setdefault(line.key[:3], []).append(line)
    for (machine, environment, benchmark), members in plots.items():
        for part in _split(members):
            inside = [pair for pair in pairs if pair.first in part and pair.second in part]
            clear = [pair for pair in inside if pair.crossing.clear]
            run = runs.name(machine, environment)
            title = _headline(part, clear)
            name = "-".join(
                word for word in (run, benchmark, "" if len(part) == len(members) else part[0].label) if word
            )
            figures_.append(
                Figure(
                    name=f"{slug(name)}.svg",
                    # More than two crossings hide each other: they are in the table.
                    svg=figures.scaling(part, clear if len(clear) < 3 else [], title),
                    title=f"{run}: {title}" if run else title,
                    alt=_alt(part),
                    table=digest.values(pd.concat([line.points for line in part]), runs.name, title=False),
                )
            )
    return figures_


def _split(members: list[Series]) -> list[list[Series]]:
    """At most six lines a figure, and one figure per backend where methods differ too."""
    methods = {line.params.get("method") for line in members}
    if len(members) <= PER_FIGURE and len(methods) == 1:
        return [members]
    by_backend: dict[str, list[Series]] = {}
    for line in members:
        by_backend.setdefault(str(line.params.get("backend", "")), []).append(line)
    return [
        group[start : start + PER_FIGURE] for group in by_backend.values() for start in range(0, len(group), PER_FIGURE)
    ]


def _headline(lines: list[Series], clear: Sequence[Pair]) -> str:
    """The finding of a figure, in one sentence."""
    common = {k: v for k, v in lines[0].params.items() if all(line.params.get(k) == v for line in lines)}
    title = str(lines[0].head["title"]) + (f" ({lines[0].named(common)})" if common else "")
    if clear:
        return f"{title}: {clear[0].sentence}"
    if len(lines) == 1 and lines[0].law is not None and lines[0].verdict.judged:
        line, law = lines[0], lines[0].law
        if law.vague:
            return f"{title}: {line.verdict.kind}"
        theory = "" if math.isnan(line.theory) else f", theory {exponent(line.theory)}"
        grows = f"{line.variable}^{exponent(law.alpha)} {interval(law.low, law.high)}{theory}"
        return f"{title}: time grows as {grows}: {line.verdict.kind}"
    if len(lines) == 1 and lines[0].law is not None and math.isnan(lines[0].theory):
        line, law = lines[0], lines[0].law
        if law.resolved and not law.vague:
            grows = f"{line.variable}^{exponent(law.alpha)} {interval(law.low, law.high)}"
            return f"{title}: time grows as {grows}; no cost is stated"
    judged = [line for line in lines if line.verdict.judged]
    if not judged:
        return f"{title}: exponent not measured ({lines[0].reason.split('; ')[0]})"
    agreeing = sum(line.verdict.kind == "agrees" for line in judged)
    if len({line.verdict.kind for line in lines}) == 1 and agreeing == 0:
        phrase = {"floor-bound": "are floor-bound", "differs": "differ from theory"}[lines[0].verdict.kind]
        return f"{title}: {len(lines)} of {len(lines)} lines {phrase}"
    others = "; ".join(f"{line.label}: {line.verdict.kind}" for line in judged if line.verdict.kind != "agrees")
    if agreeing == len(judged):
        rest = "" if agreeing == len(lines) else ", the others could not be judged"
        return f"{title}: {agreeing} of {len(lines)} lines agree with theory{rest}"
    return f"{title}: {agreeing} of {len(lines)} lines agree with theory; {others}"


def _alt(lines: list[Series]) -> str:
    parts = []
    for line in lines:
        first, last = line.points.iloc[0], line.points.iloc[-1]
        parts.append(
            f"{line.label}: from {quantity(first['value'], 'seconds')} at {first['x_name']} = {number(first['x'])} "
            f"to {quantity(last['value'], 'seconds')} at {number(last['x'])}"
        )
    return f"Log-log plot of time against {lines[0].head['x_name']}. {'; '.join(parts)}."


def gallery(drawn: Mapping[Drawn, str]) -> list[Section]:
    """Figures of the gallery, a section for each family in the order in which they were drawn.

    Parameters
    ----------
    drawn : mapping
        Figures and their SVG.

    Returns
    -------
    list of Section
        Figures with their captions.

    Examples
    --------
    >>> from xpsolve.report.sections import gallery
    >>> gallery({})
    []
    """
    sections: dict[str, Section] = {}
    for one, text in drawn.items():
        figure = Figure(
            name=f"gallery-{one.name}.svg",
            svg=text,
            title=one.title,
            alt=one.alt,
            caption=f"{one.caption} Drawn with {one.ran}, on {one.backend}, in {quantity(one.seconds, 'seconds')}.",
        )
        sections.setdefault(one.family, Section(one.family)).figures.append(figure)
    return list(sections.values())


def slug(text: str) -> str:
    """A name that may be that of a file.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Letters, digits, ``_`` and hyphens.

    Examples
    --------
    >>> from xpsolve.report.sections import slug
    >>> slug("a box (py): x/y")
    'a-box-py-x-y'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
