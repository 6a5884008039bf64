"""From findings to files: the sections of a report, its figures, and the templates that lay them out."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from xpsolve.report import digest, figures, peers
from xpsolve.report.asv import Measurements
from xpsolve.report.digest import Table
from xpsolve.report.findings import Pair, Series
from xpsolve.report.fit import AGREEMENT
from xpsolve.report.formats import exponent, interval, number, quantity, share
from xpsolve.report.gallery import Drawn
from xpsolve.report.table import UNSTEADY

__all__ = ["Section", "context", "render"]

PER_FIGURE = 6


@dataclass(frozen=True)
class Figure:
    """One SVG and what to say where it cannot be seen."""

    name: str
    svg: str
    title: str
    alt: str
    table: Table
    caption: str = ""


@dataclass
class Section:
    """One family of benchmarks: figures, and tables with a heading each."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)

    @property
    def heading(self) -> str:
        """The family's name as a heading."""
        return self.name[:1].upper() + self.name[1:]


def context(
    frame: pd.DataFrame,
    lines: list[Series],
    pairs: list[Pair],
    found: Measurements,
    drawn: Mapping[Drawn, str],
) -> dict[str, Any]:
    """Everything the templates show.

    Parameters
    ----------
    frame : pandas.DataFrame
        The tidy table.
    lines : list of Series
        Fitted series.
    pairs : list of Pair
        Crossings.
    found : Measurements
        Facts and warnings.
    drawn : mapping
        Figures of the gallery and their SVG.

    Returns
    -------
    dict
        Names used by ``templates/index.html`` and ``templates/summary.md``.

    Examples
    --------
    >>> from xpsolve.report.page import context
    >>> context.__name__
    'context'
    """
    now = frame[frame["current"]]
    runs = _Runs(now, found.facts)
    shown = now[now["status"] != "skipped"]
    ceilings = shown[(shown["role"] == "ceiling") & (shown["status"] == "ok")]
    failed = shown[shown["status"] == "failed"]
    times = shown[(shown["role"] == "time") & (shown["status"] == "ok")]
    held = peers.contests(now, found.facts)
    return {
        "runs": runs.facts,
        "lead": [*_lead(lines, pairs, times[~peers.takes_part(times)], failed), *filter(None, [peers.lead(held)])],
        "exponents": digest.exponents(lines, runs.name),
        "fastest": digest.fastest(lines, runs.name),
        "crossings": digest.crossing_table(pairs, runs.name),
        "limits": digest.limits(lines, runs.name),
        "sections": _sections(shown[~peers.takes_part(shown)], lines, pairs, runs),
        "peers": peers.tables(held, runs.name),
        "rooflines": _rooflines(lines, ceilings, runs),
        "gallery": _gallery(drawn),
        "counts": digest.counts(shown[(shown["role"] == "count") & (shown["status"] == "ok")], runs.name),
        "ceilings": digest.values(ceilings, runs.name),
        "failed": sorted(
            {f"{b} ({digest.readable(p)})" for b, p in zip(failed["benchmark"], failed["params"], strict=True)}
        ),
        "unchecked": int((~times["checked"]).sum()),
        "older": sorted(set(frame["commit"]) - set(now["commit"])),
        "warnings": found.warnings,
        "agreement": AGREEMENT,
        "unsteady": UNSTEADY,
    }


def render(values: Mapping[str, Any]) -> dict[str, str]:
    """Lay out a context.

    Parameters
    ----------
    values : mapping
        Result of `context`.

    Returns
    -------
    dict
        Relative file names and their contents, ``index.html`` last.

    Examples
    --------
    >>> from xpsolve.report.page import render
    >>> render.__name__
    'render'
    """
    # Autoescape by name: a machine may be called anything, and Markdown shows raw HTML.
    environment = Environment(
        loader=PackageLoader("xpsolve.report"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = _markdown
    drawn = [figure for section in values["sections"] for figure in section.figures]
    drawn += [figure for section in values["gallery"] for figure in section.figures] + values["rooflines"]
    files = {f"figures/{figure.name}": figure.svg for figure in drawn}
    for name in ("summary.md", "index.html"):
        files[name] = environment.get_template(name).render(values)
    return files


class _Runs:
    """What each machine and environment is called, and its facts in words."""

    def __init__(self, now: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> None:
        found = now.drop_duplicates(["machine", "environment"])
        per_machine = found["machine"].value_counts()
        self._names = {
            (row.machine, row.environment): row.machine
            if per_machine[row.machine] == 1
            else f"{row.machine} ({Path(row.python).name or row.environment})"
            for row in found.itertuples()
        }
        self.facts = [
            {"name": self._names[row.machine, row.environment], **_facts(row, facts.get(row.machine, {}))}
            for row in found.itertuples()
        ]

    def name(self, machine: str, environment: str) -> str:
        return self._names[machine, environment] if len(self._names) > 1 else ""


def _facts(row: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that are there, in the order of interest; ``facts.json`` may be of another commit, or missing."""
    libraries = [b for b in facts.get("blas") or [] if isinstance(b, dict)]
    backends = facts.get("backends")
    backends = backends if isinstance(backends, dict) else {}
    memory = facts.get("memory_bytes") or facts.get("ram")
    dirty = " with uncommitted changes" if facts.get("dirty") and facts.get("commit") == row.commit else ""
    lines = {
        "processor": facts.get("cpu"),
        "cores": facts.get("cores") or facts.get("num_cpu"),
        "memory": f"{float(memory) / 2**30:.1f} GiB" if memory and _is_number(memory) else None,
        "system": facts.get("os"),
        "Python": facts.get("python"),
        "BLAS": "; ".join(
            f"{b.get('library', '')} {b.get('version') or ''}, {b.get('threads', '?')} threads" for b in libraries
        ),
        "profile": facts.get("profile"),
        "measured": facts.get("date"),
        "commit": f"{row.commit[:10]} of {row.date[:10]}{dirty}",
    }
    table = [
        [
            digest.Cell(str(name)),
            digest.Cell(str(b.get("version") or "–")),
            digest.Cell(str(b.get("device") or "–") if b.get("available") else f"not available: {b.get('reason', '')}"),
        ]
        for name, b in backends.items()
        if isinstance(b, dict)
    ]
    return {
        "facts": {name: str(value) for name, value in lines.items() if value},
        "backends": Table(["backend", "version", "device"], table),
    }


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _lead(lines: list[Series], pairs: list[Pair], times: pd.DataFrame, failed: pd.DataFrame) -> list[str]:
    """Scaling in a few sentences."""
    said = []
    for word, phrase in (
        ("agrees", "grow as the theory says"),
        ("differs", "do not grow as the theory says"),
        ("floor-bound", "are bound by a constant floor"),
        ("unresolved", "were measured at too few sizes, or too noisily, to tell"),
    ):
        members = [line for line in lines if line.verdict == word]
        if members:
            names = "" if len(members) > 3 or word == "agrees" else f": {'; '.join(map(_full_name, members))}"
            said.append(f"{len(members)} of {len(lines)} series {phrase}{names}.")
    said += [
        f"{pair.first.head['title']}{f' ({pair.shared})' if pair.shared else ''}: {pair.sentence}."
        for pair in pairs
        if pair.crossing.clear and pair.rival == "method"
    ]
    wrong, unsteady = int((~times["valid"]).sum()), int((~times["steady"]).sum())
    if wrong:
        said.append(f"Answers that miss their tolerance, drawn hollow and not fitted: {wrong}.")
    if unsteady:
        said.append(f"Times too unsteady to be fitted, drawn as crosses: {unsteady}.")
    if len(failed):
        said.append(f"Measurements that failed, listed below: {len(failed)}.")
    return said


def _full_name(line: Series) -> str:
    return f"{line.head['title']} ({line.label})" if line.params else str(line.head["title"])


def _sections(shown: pd.DataFrame, lines: list[Series], pairs: list[Pair], runs: _Runs) -> list[Section]:
    """Families in the order in which asv lists them, those without `meta` last."""
    sections: dict[str, Section] = {}
    drawn = {line.key for line in lines}
    for family, rows in shown.groupby("family", sort=True):
        section = sections[str(family)] = Section(str(family))
        section.figures = _scaling_figures([line for line in lines if line.head["family"] == family], pairs, runs)
        keys = rows[["machine", "environment", "benchmark", "series"]].itertuples(index=False, name=None)
        in_figure = pd.Series([key in drawn for key in keys], index=rows.index)
        # Errors stand beside their times, ceilings and counts in tables of their own, failures in a list.
        listed = rows[
            ~in_figure & ~rows["role"].isin(("error", "baseline", "ceiling", "count")) & (rows["status"] == "ok")
        ]
        for title, part in listed.groupby("title", sort=False):
            section.tables.append((str(title), digest.values(part, runs.name, title=False)))
    ordered = sorted(sections.values(), key=lambda section: section.name == "other")
    return [section for section in ordered if section.figures or section.tables]


def _scaling_figures(lines: list[Series], pairs: list[Pair], runs: _Runs) -> list[Figure]:
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
                    name=f"{_slug(name)}.svg",
                    # More than two crossings hide each other: they stand in the table.
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
    if len(lines) == 1 and lines[0].law is not None and lines[0].verdict != "unresolved":
        line, law = lines[0], lines[0].law
        theory = "" if math.isnan(line.theory) else f", theory {exponent(line.theory)}"
        grows = f"{line.variable}^{exponent(law.alpha)} {interval(law.low, law.high)}{theory}"
        return f"{title}: time grows as {grows}: {line.verdict}"
    judged = [line for line in lines if line.verdict != "unresolved"]
    if not judged:
        return f"{title}: exponent unresolved ({lines[0].reason})"
    agreeing = sum(line.verdict == "agrees" for line in judged)
    if len({line.verdict for line in lines}) == 1 and agreeing == 0:
        phrase = {"floor-bound": "are floor-bound", "differs": "differ from theory"}[lines[0].verdict]
        return f"{title}: {len(lines)} of {len(lines)} lines {phrase}"
    others = "; ".join(f"{line.label}: {line.verdict}" for line in judged if line.verdict != "agrees")
    if agreeing == len(judged):
        rest = "" if agreeing == len(lines) else ", the others are unresolved"
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


def _rooflines(lines: list[Series], ceilings: pd.DataFrame, runs: _Runs) -> list[Figure]:
    """One roofline per run, backend and dtype with measured ceilings."""
    found = []
    placed: dict[tuple[str, str, str, str], list[pd.DataFrame]] = {}
    for line in lines:
        usable = line.valid[(line.valid["flops"] > 0) & (line.valid["bytes"] > 0) & line.valid["floor"].notna()]
        if len(usable):
            dtype = str(line.params.get("dtype", "float64"))
            rest = {k: v for k, v in line.params.items() if k not in ("backend", "dtype")}
            label = f"{line.head['title']} ({line.named(rest)})" if rest else str(line.head["title"])
            key = (*line.key[:2], str(line.params.get("backend", "")), dtype)
            placed.setdefault(key, []).append(usable.assign(label=label))
    for (machine, environment, backend, dtype), parts in placed.items():
        points = pd.concat(parts, ignore_index=True)
        here = ceilings[
            (ceilings["machine"] == machine)
            & (ceilings["environment"] == environment)
            & (ceilings["backend"] == backend)
            & ((ceilings["dtype"] == dtype) if "dtype" in ceilings else True)
        ]
        rate = here.loc[here["quantity"] == "flop/s", "value"].max()
        stream = here.loc[here["quantity"] == "byte/s", "value"].max()
        best = points.loc[points["share"].idxmax()]
        title = (
            f"{backend}, {dtype}: nearest to the machine's limits is {best['label']} "
            f"at {best['x_name']} = {number(best['x'])}, {share(best['share'])}"
        )
        run = runs.name(machine, environment)
        found.append(
            Figure(
                name=f"{_slug('-'.join(w for w in (run, 'roofline', backend, dtype) if w))}.svg",
                svg=figures.roofline(
                    points,
                    math.inf if pd.isna(rate) else float(rate),
                    math.inf if pd.isna(stream) else float(stream),
                    title,
                ),
                title=f"{run}: {title}" if run else title,
                alt=f"Attained flop/s against arithmetic intensity under the measured ceilings. {title}.",
                table=Table([], []),
            )
        )
    return found


def _gallery(drawn: Mapping[Drawn, str]) -> list[Section]:
    """A section for each family, in the order in which they were drawn."""
    sections: dict[str, Section] = {}
    for one, text in drawn.items():
        figure = Figure(
            name=f"gallery-{one.name}.svg",
            svg=text,
            title=one.title,
            alt=one.alt,
            table=Table([], []),
            caption=f"{one.caption} Drawn with {one.ran}, on {one.backend}, in {quantity(one.seconds, 'seconds')}.",
        )
        sections.setdefault(one.family, Section(one.family)).figures.append(figure)
    return list(sections.values())


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")


def _markdown(text: Any) -> str:
    return html.escape(str(text), quote=False).replace("|", "\\|").replace("\n", " ")
