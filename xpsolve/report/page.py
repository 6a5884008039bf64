"""From findings to files: which pages a report has, what is on each, and the templates that lay them out.

``index.html`` is the summary.  A page for each family follows, then exponents, peers, backends, the machine, the
gallery and the methods, each only where there is something to show.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xpsolve.report import backends, comparisons, digest, machine, news, peers, predicted, sections, summary
from xpsolve.report.asv import Measurements
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import number, share
from xpsolve.report.gallery import Drawn
from xpsolve.report.runs import Runs
from xpsolve.report.sections import Figure, Section
from xpsolve.report.table import UNSTEADY
from xpsolve.report.verdict import AGREEMENT, Tally

__all__ = ["MARK", "Page", "pages", "render"]

MARK = '<meta name="generator" content="xpsolve report">'
"""In the head of every page: by which pages of an earlier report are distinguished from the reader's own files."""

RACES = 6
DOTS = 60  # more ratios in one figure cannot be read
_OWN = ("index", "exponents", "peers", "backends", "machine", "gallery", "methods")


@dataclass(frozen=True)
class Page:
    """One file: its name, the text of links to it, its template, and the names that the template uses."""

    file: str
    label: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    family: bool = False

    @property
    def figures(self) -> list[Figure]:
        """All figures on the page."""
        found: list[Figure] = []
        for value in self.values.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Figure):
                    found.append(one)
                elif isinstance(one, Section):
                    found += one.figures
        return found


def pages(
    frame: pd.DataFrame,
    lines: list[Series],
    pairs: list[Pair],
    joined: pd.DataFrame,
    found: Measurements,
    drawn: Mapping[Drawn, str],
    undrawn: Sequence[str] = (),
) -> list[Page]:
    """The pages of a report.

    Parameters
    ----------
    frame : pandas.DataFrame
        The tidy table.
    lines : list of Series
        Fitted series.
    pairs : list of Pair
        Crossings.
    joined : pandas.DataFrame
        Result of `xpsolve.report.joint.joint_fits`.
    found : Measurements
        Facts and warnings.
    drawn : mapping
        Figures of the gallery and their SVG.
    undrawn : sequence of str
        Names of those for which there was no time.

    Returns
    -------
    list of Page
        In the order of the navigation, the summary first.

    Examples
    --------
    >>> from xpsolve.report.page import pages
    >>> pages.__name__
    'pages'
    """
    now = frame[frame["current"]]
    runs = Runs(now, found.facts)
    shown = now[now["status"] != "skipped"]
    own = shown[~peers.takes_part(shown)]
    families = sections.families(own, lines, pairs, joined, runs)
    link = _links(families)
    made: list[Page | None] = [_index(frame, own, lines, pairs, found, runs, link, undrawn)]
    made += [
        Page(link(section.name), section.heading, "family.html", {"section": section}, family=True)
        for section in families
    ]
    made += [
        _exponents(lines, joined, runs, link),
        _peers(now, found, runs),
        _backends(now, runs),
        _machine(shown, lines, runs),
        Page("gallery.html", "Gallery", "gallery.html", {"sections": sections.gallery(drawn)}) if drawn else None,
        _methods(frame, own, found, runs),
    ]
    return [page for page in made if page is not None]


def _links(found: list[Section]) -> Callable[[str], str]:
    """The page of each family; nothing for one that has none."""
    files: dict[str, str] = {}
    for section in found:
        name = sections.slug(section.name).lower() or "family"
        name = f"family-{name}" if name in _OWN else name
        while f"{name}.html" in files.values():
            name += "-2"
        files[section.name] = f"{name}.html"
    return lambda family: files.get(family, "")


def _index(
    frame: pd.DataFrame,
    own: pd.DataFrame,
    lines: list[Series],
    pairs: list[Pair],
    found: Measurements,
    runs: Runs,
    link: Callable[[str], str],
    undrawn: Sequence[str],
) -> Page:
    now = frame[frame["current"]]
    failed = own[own["status"] == "failed"]
    times = own[(own["role"] == "time") & (own["status"] == "ok")]
    changes = news.news(frame)
    held = peers.lead(peers.contests(now, found.facts))
    compared = backends.lead(backends.matches(own))
    error = predicted.error(predicted.points(own))
    chosen = predicted.choices_sentence(predicted.choices(own))
    said = summary.lead(lines, pairs, times, failed, link)
    said += [
        (sentence, page)
        for sentence, page in (
            (held, "peers.html"),
            (compared, "backends.html"),
            (error.sentence if error else "", "machine.html#predicted"),
            (chosen, "machine.html#choices"),
            (summary.unmeasured(now, found.facts), "machine.html"),
            *((line, "methods.html#left-out") for line in summary.left_out(now, undrawn)),
        )
        if sentence
    ]
    return Page(
        "index.html",
        "Summary",
        "index.html",
        {
            "lead": said,
            "scaling": summary.scaling(lines, runs.name, link),
            "winners": digest.winners(lines, runs.name, link),
            "news": news.sentences(changes, runs.name),
            "changes": news.changes_table(changes, runs.name, link),
        },
    )


def _exponents(lines: list[Series], joined: pd.DataFrame, runs: Runs, link: Callable[[str], str]) -> Page | None:
    if not lines:
        return None
    tally = Tally.of(line.verdict for line in lines)
    values = {
        "agreeing": tally.kinds["agrees"],
        "all": len(lines),
        "resolved": tally.judged,
        "share": share(tally.kinds["agrees"] / max(tally.judged, 1)),
        "disagreements": digest.disagreements(lines, runs.name, link),
        "exponents": digest.exponents(lines, runs.name),
        "joint": digest.joint(joined, runs.name),
        "joint_words": sections.JOINT,
    }
    return Page("exponents.html", "Exponents", "exponents.html", values)


def _peers(now: pd.DataFrame, found: Measurements, runs: Runs) -> Page | None:
    held = peers.contests(now, found.facts)
    if not held:
        return None
    figures = []
    dots = peers.dots(held, runs.name)
    if dots:
        ahead, behind = sum(dot.low > 1 for dot in dots), sum(dot.high < 1 for dot in dots)
        title = (
            f"At equal measured accuracy {peers.OURS} is faster in {ahead} of {len(dots)} comparisons with another "
            f"library, slower in {behind}, level in {len(dots) - ahead - behind}"
        )
        alt = "; ".join(f"{dot.row}, {dot.name}: {number(dot.value)}" for dot in dots)
        svg = comparisons.ratios(dots, title, f"time / time of {peers.OURS}")
        figures.append(Figure("peers.svg", svg, title, f"{alt}."))
    values = {"lead": peers.lead(held), "figures": figures, "tables": peers.tables(held, runs.name)}
    return Page("peers.html", "Peers", "peers.html", values)


def _backends(now: pd.DataFrame, runs: Runs) -> Page | None:
    rows = now[now["status"] == "ok"]
    matches = backends.matches(rows)
    races = backends.races(rows)
    launching = backends.throughput_table(rows, runs.name)
    if not matches and not races and not launching:
        return None
    figures = []
    for (run, family), dots in _by_family(matches, runs).items():
        title = f"{family[:1].upper()}{family[1:]}: time as a multiple of NumPy's, smallest and largest sizes"
        title = f"{run}: {title}" if run else title
        alt = "; ".join(f"{dot.row}, {dot.name}: {number(dot.value)}" for dot in dots)
        svg = comparisons.ratios(dots[:DOTS], title, "time / time on NumPy")
        figures.append(Figure(f"{sections.slug(f'{run}-backends-{family}')}.svg", svg, title, f"{alt}."))
    contests = []
    if races:
        overtaken = sum(race.times[1][-1] < race.times[0][-1] for race in races)
        title = (
            f"Processor and accelerator: the accelerator is faster at the largest size in {overtaken} of {len(races)}"
        )
        alt = "; ".join(" ".join(cell.text for cell in row[:4]) for row in backends.races_table(races).rows)
        contests = [Figure("devices.svg", comparisons.races(races[:RACES], title), title, f"{alt}.")]
    values = {
        "lead": backends.lead(matches),
        "figures": figures,
        "speed": backends.speed_table(matches, runs.name),
        "errors": backends.errors_table(matches, runs.name),
        "launching": launching,
        "race_figures": contests,
        "races": backends.races_table(races),
    }
    return Page("backends.html", "Backends", "backends.html", values)


def _by_family(matches: list[backends.Match], runs: Runs) -> dict[tuple[str, str], list[comparisons.Dot]]:
    groups: dict[tuple[str, str], list[backends.Match]] = {}
    for one in matches:
        groups.setdefault((runs.name(one.machine, one.environment), one.family), []).append(one)
    dots = {group: backends.dots(members) for group, members in groups.items()}
    return {group: found for group, found in dots.items() if found}


def _machine(shown: pd.DataFrame, lines: list[Series], runs: Runs) -> Page:
    ceilings = shown[(shown["role"] == "ceiling") & (shown["status"] == "ok")]
    points = predicted.points(shown)
    choices = predicted.choices(shown)
    values = {
        "runs": runs.facts,
        "rooflines": machine.rooflines(lines, ceilings, runs),
        "ceilings": digest.values(ceilings, runs.name),
        "limits": digest.limits(lines, runs.name),
        "limits_words": sections.LIMITS,
        "predictions": machine.predictions(points, runs),
        "errors": predicted.errors_table(points, runs.name),
        "chosen": predicted.choices_sentence(choices),
        "choices": predicted.choices_table(choices, runs.name),
    }
    return Page("machine.html", "Machine", "machine.html", values)


def _methods(frame: pd.DataFrame, own: pd.DataFrame, found: Measurements, runs: Runs) -> Page:
    times = own[(own["role"] == "time") & (own["status"] == "ok")]
    values = {
        "missing": digest.missing(frame[frame["current"]], runs.name),
        "warnings": found.warnings,
        "unchecked": int((~times["checked"]).sum()),
        "older": sorted(set(frame["commit"]) - set(frame.loc[frame["current"], "commit"])),
        "agreement": AGREEMENT,
        "unsteady": UNSTEADY,
    }
    return Page("methods.html", "Methods", "methods.html", values)


def render(found: list[Page]) -> dict[str, str]:
    """Lay out pages.

    Parameters
    ----------
    found : list of Page
        Result of `pages`.

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
    # Autoescape by name: a machine may have any name, and Markdown shows raw HTML.
    environment = Environment(
        loader=PackageLoader("xpsolve.report"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = _markdown
    by_name = {page.file: page for page in found}
    shared = {
        "mark": Markup(MARK),
        "pages": [page for page in found if not page.family],
        "families": [page for page in found if page.family],
        "runs": by_name["machine.html"].values["runs"],
    }
    files = {f"figures/{figure.name}": figure.svg for page in found for figure in page.figures}
    files["summary.md"] = environment.get_template("summary.md").render(
        **shared,
        **by_name["index.html"].values,
        peers=by_name["peers.html"].values["tables"] if "peers.html" in by_name else [],
    )
    for page in sorted(found, key=lambda page: page.file == "index.html"):
        files[page.file] = environment.get_template(page.template).render({**shared, **page.values, "page": page})
    return files


def _markdown(text: Any) -> str:
    return html.escape(str(text), quote=False).replace("|", "\\|").replace("\n", " ")
