"""From findings to files: which pages a report has, what is on each, and the templates that lay them out.

``index.html`` is the summary.  A page for each family follows, then exponents, peers, backends, the machine, the
gallery and the methods, each only where there is something to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from xpsolve.report import backends, digest, elsewhere, figures, machine, news, peers, predicted, sections, summary
from xpsolve.report.asv import Measurements
from xpsolve.report.digest import Table
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import number
from xpsolve.report.gallery import Drawn
from xpsolve.report.model import GPUS
from xpsolve.report.runs import Runs
from xpsolve.report.sections import Figure, Section, slug
from xpsolve.report.table import UNSTEADY
from xpsolve.report.verdict import AGREEMENT, Tally
from xpsolve.report.words import environment, said

__all__ = ["MARK", "Page", "Report", "pages", "render"]

MARK = '<meta name="generator" content="xpsolve report">'
"""In the head of every page: by which pages of an earlier report are distinguished from the reader's own files."""

RACES = 6
DOTS = 60  # more ratios in one figure cannot be read
_OWN = ("index", "exponents", "peers", "backends", "machine", "predicted-gpu", "gallery", "methods")


@dataclass(frozen=True)
class Page:
    """One file: its name, the text of links to it, its template, and the names that the template uses."""

    file: str
    label: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    family: bool = False

    @property
    def figures(self) -> Iterator[Figure]:
        """All figures on the page."""
        for value in self.values.values():
            for one in value if isinstance(value, list) else [value]:
                yield from one.figures if isinstance(one, Section) else [one] if isinstance(one, Figure) else []


@dataclass(frozen=True)
class Report:
    """All that pages are made of: the tidy table, fitted series, crossings, fits in all sizes, facts, the gallery."""

    frame: pd.DataFrame
    lines: Sequence[Series]
    pairs: Sequence[Pair]
    joined: pd.DataFrame
    found: Measurements
    drawn: Mapping[Drawn, str] = field(default_factory=dict)
    undrawn: Sequence[str] = ()  # figures for which there was no time


def pages(report: Report) -> list[Page]:
    """The pages of a report in the order of the navigation, the summary first."""
    now = report.frame[report.frame["current"]]
    runs = Runs(now, report.found.facts)
    shown = now[now["status"] != "skipped"]
    own = shown[~peers.takes_part(shown)]
    families = sections.families(own, report.lines, report.pairs, report.joined, runs)
    link = _links(families)
    gallery = {"sections": sections.gallery(report.drawn)} if report.drawn else None
    made = [
        ("index", "Summary", _index(report, now, own, runs, link)),
        *((link(section.name), section.heading, {"section": section}) for section in families),
        ("exponents", "Exponents", _exponents(report, runs, link)),
        ("peers", "Peers", _peers(report, now, runs)),
        ("backends", "Backends", _backends(now, runs)),
        ("machine", "Machine", _machine(report.lines, shown, runs)),
        ("predicted-gpu", "Predicted GPU", _elsewhere(own, runs)),
        ("gallery", "Gallery", gallery),
        ("methods", "Methods", _methods(report, now, own, runs)),
    ]
    return [
        Page(f"{name}.html", label, f"{name}.html", values)
        if name in _OWN
        else Page(name, label, "family.html", values, family=True)
        for name, label, values in made
        if values is not None
    ]


def _links(found: Sequence[Section]) -> Callable[[str], str]:
    """The page of each family; nothing for one that has none."""
    files: dict[str, str] = {}
    for section in found:
        name = slug(section.name).lower() or "family"
        name = f"family-{name}" if name in _OWN else name
        while f"{name}.html" in files.values():
            name += "-2"
        files[section.name] = f"{name}.html"
    return lambda family: files.get(family, "")


def _index(
    report: Report, now: pd.DataFrame, own: pd.DataFrame, runs: Runs, link: Callable[[str], str]
) -> dict[str, Any]:
    times = own[(own["role"] == "time") & (own["status"] == "ok")]
    changes = news.news(report.frame)
    clear = [pair for pair in report.pairs if pair.crossing.clear and pair.rival == "method"]
    compared = backends.matches(own)
    facts = {
        "tally": Tally.of(line.verdict for line in report.lines),
        "clear": [(pair, link(str(pair.first.head["family"]))) for pair in clear],
        "compared": len(compared),
        "wins": backends.wins(compared),
        "standing": peers.standing(peers.contests(now, report.found.facts)),
        "error": predicted.error(predicted.points(own)),
        "chosen": predicted.choices_sentence(predicted.choices(own)),
        "wrong": int((~times["valid"]).sum()),
        "unsteady": int((times["valid"] & ~times["steady"]).sum()),
        "failed": int((own["status"] == "failed").sum()),
        "unmeasured": summary.unmeasured(now, report.found.facts),
        "late": summary.late(now),
        "undrawn": report.undrawn,
    }
    return {
        "lead": [line.split(" | ", 1) for line in said("lead.txt", **facts)],
        "notes": [line.split(" | ", 1) for line in said("notes.txt", **facts)],
        "overview": summary.overview(report.lines) or summary.where_time_goes(report.lines),
        "scaling": summary.scaling(report.lines, runs.name, link),
        "winners": digest.fastest(report.lines, runs.name, link, ("method",)),
        "history": summary.histories(report.frame, runs.name),
        "news": news.sentences(changes, runs.name),
        "changes": news.changes_table(changes, runs.name, link),
    }


def _exponents(report: Report, runs: Runs, link: Callable[[str], str]) -> dict[str, Any] | None:
    return (
        report.lines
        and {
            "tally": Tally.of(line.verdict for line in report.lines),
            "exponents": digest.exponents(report.lines, runs.name, link),
            "joint": digest.joint(report.joined, runs.name),
            "joint_words": sections.JOINT,
        }
    ) or None


def _peers(report: Report, now: pd.DataFrame, runs: Runs) -> dict[str, Any] | None:
    held = peers.contests(now, report.found.facts)
    dots = peers.dots(held, runs.name)
    drawn = []
    if dots:
        ahead, behind = sum(dot.low > 1 for dot in dots), sum(dot.high < 1 for dot in dots)
        title = (
            f"At equal measured accuracy {peers.OURS} is faster in {ahead} of {len(dots)} comparisons with another "
            f"library, slower in {behind}, level in {len(dots) - ahead - behind}"
        )
        svg = figures.ratios(dots, title, f"time / time of {peers.OURS}: right of 1, {peers.OURS} is faster")
        drawn.append(Figure("peers.svg", svg, title, _told(dots)))
    standing = peers.standing(held)
    values = {
        "lead": "".join(said("held.txt", standing=standing)),
        "undecided": standing.undecided,
        "figures": drawn,
        "tables": peers.tables(held, runs.name),
    }
    return values if held else None


def _told(dots: Sequence[figures.Dot]) -> str:
    return "; ".join(f"{dot.group}, {dot.row}, {dot.name}: {number(dot.value)}" for dot in dots) + "."


def _backends(now: pd.DataFrame, runs: Runs) -> dict[str, Any] | None:
    rows = now[now["status"] == "ok"]
    matches, races = backends.matches(rows), backends.races(rows)
    launching = backends.throughput_table(rows, runs.name)
    drawn, groups = [], dict[tuple[str, str], list[backends.Match]]()
    for one in matches:
        groups.setdefault((runs.name(one.machine, one.environment), one.family), []).append(one)
    for (run, family), members in groups.items():
        if dots := backends.dots(members):
            title = f"{family[:1].upper()}{family[1:]}: time as a multiple of NumPy's, smallest and largest sizes"
            title = f"{run}: {title}" if run else title
            svg = figures.ratios(dots[:DOTS], title, "time / time on NumPy: left of 1, faster than NumPy")
            drawn.append(Figure(f"{slug(f'{run}-backends-{family}')}.svg", svg, title, _told(dots)))
    contests = []
    if races:
        ahead = sum(race.times[1][-1] < race.times[0][-1] for race in races)
        title = f"Processor and accelerator: the accelerator is faster at the largest size in {ahead} of {len(races)}"
        alt = "; ".join(" ".join(cell.text for cell in row[:4]) for row in backends.races_table(races).rows)
        contests = [Figure("devices.svg", figures.races(races[:RACES], title), title, f"{alt}.")]
    values = {
        "compared": len(matches),
        "lead": "".join(said("fastest.txt", compared=len(matches), wins=backends.wins(matches))),
        "figures": drawn,
        "speed": backends.speed_table(matches, runs.name),
        "errors": backends.errors_table(matches, runs.name),
        "launching": launching,
        "race_figures": contests,
        "races": backends.races_table(races),
    }
    return values if matches or races or launching else None


def _machine(lines: Sequence[Series], shown: pd.DataFrame, runs: Runs) -> dict[str, Any]:
    ceilings = shown[(shown["role"] == "ceiling") & (shown["status"] == "ok")]
    points, choices = predicted.points(shown), predicted.choices(shown)
    return {
        "runs": runs.facts,
        "spent": summary.where_time_goes(lines) if summary.overview(lines) else [],
        "rooflines": machine.rooflines(lines, ceilings, runs),
        "ceilings": digest.values(ceilings, runs.name) if len(ceilings) else Table([], []),
        "limits": digest.limits(lines, runs.name),
        "limits_words": sections.LIMITS,
        "predictions": machine.predictions(points, runs),
        "errors": predicted.errors_table(points, runs.name),
        "chosen": predicted.choices_sentence(choices),
        "choices": predicted.choices_table(choices, runs.name),
    }


def _elsewhere(own: pd.DataFrame, runs: Runs) -> dict[str, Any] | None:
    """What published figures of a GPU promise; none where one was measured, or nothing states its cost."""
    measured = (own["status"] == "ok") & ~own["device"].isin(("cpu", ""))
    name, gpu = next(iter(GPUS.items()))
    points = elsewhere.predict_machine(own, gpu)
    points = points[points["here"] > 0]
    if measured.any() or points.empty:
        return None
    faster, bound = int((points["speedup"] > 1).sum()), int(points["launch_bound"].sum())
    title = (
        f"Predicted, not measured: {name} would be faster in {faster} of {len(points)} cases, and bound by launches "
        f"in {bound}"
    )
    alt = "Log-log plot of predicted speed-up against the time measured here, a marker for each family."
    return {
        "gpu": name,
        "limits": gpu,
        "figures": [Figure("predicted-gpu.svg", figures.elsewhere(points, title), title, alt)],
        "series": digest.elsewhere(elsewhere.predict_series(points), runs.name),
    }


def _methods(report: Report, now: pd.DataFrame, own: pd.DataFrame, runs: Runs) -> dict[str, Any]:
    times = own[(own["role"] == "time") & (own["status"] == "ok")]
    return {
        "missing": digest.missing(now, runs.name),
        "warnings": report.found.warnings,
        "unchecked": int((~times["checked"]).sum()),
        "older": sorted(set(report.frame["commit"]) - set(now["commit"])),
        "agreement": AGREEMENT,
        "unsteady": UNSTEADY,
    }


def render(found: Sequence[Page]) -> dict[str, str]:
    """Lay out pages: relative file names and their contents, ``index.html`` last."""
    by_name = {page.file: page.values for page in found}
    shared = {
        "mark": Markup(MARK),
        "pages": [page for page in found if not page.family],
        "families": [page for page in found if page.family],
        "runs": by_name["machine.html"]["runs"],
    }
    files = {f"figures/{figure.name}": figure.svg for page in found for figure in page.figures}
    files |= {
        f"figures/{figure.narrow_name}": figure.narrow for page in found for figure in page.figures if figure.narrow
    }
    contests = by_name.get("peers.html", {}).get("tables", [])
    markdown = environment().get_template("summary.md")
    files["summary.md"] = markdown.render(**shared, **by_name["index.html"], peers=contests)
    for page in sorted(found, key=lambda page: page.file == "index.html"):
        files[page.file] = environment().get_template(page.template).render({**shared, **page.values, "page": page})
    return files
