"""From findings to files: which pages a report has, what is on each, and the templates that lay them out.

``index.html`` is the summary.  A page for each family follows, then exponents, peers, backends, the machine, the
gallery and the methods, each only where there is something to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from xpsolve.report import backends, digest, elsewhere, figures, machine, news, peers, predicted, sections, summary
from xpsolve.report.asv import Measurements
from xpsolve.report.digest import Link
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import number
from xpsolve.report.gallery import Drawn
from xpsolve.report.model import GPUS
from xpsolve.report.runs import Runs
from xpsolve.report.sections import Figure, Section, figure_of, slug
from xpsolve.report.table import UNSTEADY
from xpsolve.report.verdict import AGREEMENT, Tally
from xpsolve.report.words import environment, said

MARK = '<meta name="generator" content="xpsolve report">'
"""In the head of every page: by which pages of an earlier report are distinguished from the reader's own files."""

RACES = 6
DOTS = 60  # more ratios in one figure cannot be read
OWN = {
    "index": "Summary",
    "exponents": "Exponents",
    "peers": "Peers",
    "backends": "Backends",
    "machine": "Machine",
    "predicted-gpu": "Predicted GPU",
    "gallery": "Gallery",
    "methods": "Methods",
}


@dataclass(frozen=True)
class Page:
    """One file: its name, the text of links to it, its template, and the names that the template uses."""

    file: str
    label: str
    template: str
    values: Mapping[str, Any]

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
    files = _files(families)
    contests = peers.contests(now, report.found.facts)
    values = {
        "index": _index(report, now, own, contests, runs, lambda family: files.get(family, "")),
        "exponents": _exponents(report, runs, lambda family: files.get(family, "")),
        "peers": _peers(contests, runs),
        "backends": _backends(now[now["status"] == "ok"], runs),
        "machine": _machine(report.lines, shown, runs),
        "predicted-gpu": _elsewhere(own, runs),
        "gallery": {"sections": sections.gallery(report.drawn)} if report.drawn else {},
        "methods": _methods(report, now, own, runs),
    }
    first, *made = [Page(f"{name}.html", label, f"{name}.html", values[name]) for name, label in OWN.items()]
    about = [Page(files[one.name], one.heading, "family.html", {"section": one}) for one in families]
    return [first, *about, *(page for page in made if page.values)]


def _files(found: Sequence[Section]) -> dict[str, str]:
    """The page of each family."""
    files: dict[str, str] = {}
    for section in found:
        name = slug(section.name).lower() or "family"
        name = f"family-{name}" if name in OWN else name
        while f"{name}.html" in files.values():
            name += "-2"
        files[section.name] = f"{name}.html"
    return files


def _index(
    report: Report, now: pd.DataFrame, own: pd.DataFrame, contests: pd.DataFrame, runs: Runs, link: Link
) -> dict[str, Any]:
    times = own[(own["role"] == "time") & (own["status"] == "ok")]
    changes = news.news(report.frame)
    clear = [pair for pair in report.pairs if pair.crossing.clear and pair.rival == "method"]
    compared = backends.matches(own)
    facts = {
        "tally": Tally.of(line.verdict for line in report.lines),
        "clear": [(pair, link(str(pair.first.head["family"]))) for pair in clear],
        "wins": backends.wins(compared),
        "standing": peers.standing(contests),
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


def _exponents(report: Report, runs: Runs, link: Link) -> dict[str, Any]:
    found = {
        "tally": Tally.of(line.verdict for line in report.lines),
        "exponents": digest.exponents(report.lines, runs.name, link),
        "joint": digest.joint(report.joined, runs.name),
    }
    return found if report.lines else {}


def _peers(contests: pd.DataFrame, runs: Runs) -> dict[str, Any]:
    dots, drawn = peers.dots(contests, runs.name), []
    if len(dots):
        ahead, behind = int((dots["low"] > 1).sum()), int((dots["high"] < 1).sum())
        title = (
            f"At equal measured accuracy {peers.OURS} is faster in {ahead} of {len(dots)} comparisons with another "
            f"library, slower in {behind}, level in {len(dots) - ahead - behind}"
        )
        svg = figures.ratios(dots, title, f"time / time of {peers.OURS}: right of 1, {peers.OURS} is faster")
        drawn = [Figure("peers.svg", svg, title, _told(dots))]
    standing = peers.standing(contests)
    found = {
        "lead": "".join(said("held.txt", standing=standing)),
        "undecided": standing["undecided"],
        "figures": drawn,
        "tables": peers.tables(contests, runs.name),
    }
    return found if len(contests) else {}


def _told(dots: pd.DataFrame) -> str:
    ratios = zip(dots["group"], dots["row"], dots["name"], dots["value"].map(number), strict=True)
    return "; ".join(f"{group}, {row}, {name}: {value}" for group, row, name, value in ratios) + "."


def _backends(rows: pd.DataFrame, runs: Runs) -> dict[str, Any]:
    matches, races = backends.matches(rows), backends.races(rows)
    drawn, contests = [], []
    found = backends.dots(matches).groupby(["machine", "environment", "family"], sort=False)
    for (host, python, family), dots in found:
        title = f"{family[:1].upper()}{family[1:]}: time as a multiple of NumPy's, smallest and largest sizes"
        svg = figures.ratios(dots.head(DOTS), title, "time / time on NumPy: left of 1, faster than NumPy")
        drawn.append(figure_of(runs.name(host, python), ("backends", family), svg, title, _told(dots)))
    if len(races):
        gains = races.groupby("race", sort=False)["gain"].first()
        title = f"The accelerator is faster than the processor at the largest size in {sum(gains > 1)} of {len(gains)}"
        alt = "; ".join(f"{race}: {number(gain)} times as fast" for race, gain in gains.items())
        svg = figures.races(races[races["race"].isin(gains.index[:RACES])], title)
        contests = [Figure("devices.svg", svg, title, f"{alt}.")]
    values = {
        "lead": "".join(said("fastest.txt", wins=backends.wins(matches))),
        "figures": drawn,
        "speed": backends.speed_table(matches, runs.name),
        "errors": backends.errors_table(matches, runs.name),
        "launching": backends.throughput_table(rows, runs.name),
        "race_figures": contests,
        "races": backends.races_table(races),
    }
    return values if values["speed"] or values["races"] or values["launching"] else {}


def _machine(lines: Sequence[Series], shown: pd.DataFrame, runs: Runs) -> dict[str, Any]:
    ceilings = shown[(shown["role"] == "ceiling") & (shown["status"] == "ok")]
    points, choices = predicted.points(shown), predicted.choices(shown)
    return {
        "runs": runs.facts,
        "spent": summary.where_time_goes(lines) if backends.panels(lines) else [],
        "rooflines": machine.rooflines(lines, ceilings, runs),
        "ceilings": digest.values(ceilings, runs.name),
        "limits": digest.limits(lines, runs.name),
        "predictions": machine.predictions(points, runs),
        "errors": predicted.errors_table(points, runs.name),
        "chosen": predicted.choices_sentence(choices),
        "choices": predicted.choices_table(choices, runs.name),
    }


def _elsewhere(own: pd.DataFrame, runs: Runs) -> dict[str, Any]:
    """What published figures of a GPU promise; none where one was measured, or nothing states its cost."""
    measured = (own["status"] == "ok") & ~own["device"].isin(("cpu", ""))
    name, gpu = next(iter(GPUS.items()))
    points = elsewhere.predict_machine(own, gpu)
    points = points[points["here"] > 0]
    if measured.any() or points.empty:
        return {}
    faster, bound = int((points["speedup"] > 1).sum()), int(points["launch_bound"].sum())
    title = (
        f"Predicted, not measured: {name} would be faster in {faster} of {len(points)} cases, and bound by launches "
        f"in {bound}"
    )
    alt = "Log-log plot of predicted speed-up against the time measured here, a marker for each family."
    drawn = [Figure("predicted-gpu.svg", figures.elsewhere(points, title), title, alt)]
    series = digest.elsewhere(elsewhere.predict_series(points), runs.name)
    return {"gpu": name, "limits": gpu, "figures": drawn, "series": series}


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
    values = {page.file: page.values for page in found}
    shared = {
        "mark": Markup(MARK),
        "pages": [page for page in found if page.template != "family.html"],
        "families": [page for page in found if page.template == "family.html"],
        "runs": values["machine.html"]["runs"],
    }
    drawn = [figure for page in found for figure in page.figures]
    files = {f"figures/{figure.name}": figure.svg for figure in drawn}
    files |= {f"figures/{figure.narrow_name}": figure.narrow for figure in drawn if figure.narrow}
    contests = values.get("peers.html", {}).get("tables", [])
    files["summary.md"] = environment().get_template("summary.md").render(**shared, **found[0].values, peers=contests)
    for page in [*found[1:], found[0]]:
        files[page.file] = environment().get_template(page.template).render({**shared, **page.values, "page": page})
    return files
