"""Tables made from the code and from the committed report: the directives ``capabilities`` and ``measured``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from links import link_to
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from xpsolve.capabilities import markdown
from xpsolve.report.sections import slug

REPORT = Path("reports/two-cores")


@cache
def series(root: Path) -> list[dict[str, str]]:
    """Every fitted series of the report."""
    with (root / REPORT / "scaling.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class CapabilityTable(SphinxDirective):
    """What each public function can do, in a page in Markdown."""

    def run(self) -> list[nodes.Node]:
        """The table, whose names are links."""
        holder = nodes.container(classes=["wide-table"])
        self.state.nested_parse(markdown().splitlines(), self.content_offset, holder)
        for literal in list(holder.findall(nodes.literal)):
            link_to(literal, literal.astext(), self.env.docname)
        return [holder]


class MeasuredTable(SphinxDirective):
    """How time grows in some benchmarks, on NumPy: ``{measured} ridge.InFeatures ridge.Aspect``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """A row for each method, and links to the pages with the curves."""
        root, families = Path(self.env.srcdir).parent, {}
        self.env.note_dependency(str(root / REPORT / "scaling.csv"))
        table = [
            "| what is timed | method | time grows as | 95 % interval | theory | verdict |",
            "|---|---|---|---|---|---|",
        ]
        for name in self.arguments[0].split():
            rows = [row for row in series(root) if row["benchmark"].removesuffix(".time_solve") == name]
            families |= dict.fromkeys(row["family"] for row in rows)
            table += shown(rows)
        if not families:
            names = self.arguments[0]
            raise self.error(f"measured: expected at least one benchmark of the committed report, got {names!r}")
        up = "../" * (self.env.docname.count("/") + 1)
        pages = " and ".join(f"[{family}]({up}{REPORT}/{slug(family)}.html)" for family in families)
        said = f"Curves, other libraries and the machine are in the report on two cores: {pages}."
        holder = nodes.container(classes=["wide-table"])
        self.state.nested_parse([*table, "", said], self.content_offset, holder)
        return [holder]


def shown(rows: list[dict[str, str]]) -> Iterator[str]:
    """The lines of one benchmark."""
    for row in rows:
        params = json.loads(row["params"])
        if params.pop("backend", "numpy") == "numpy":
            method = ", ".join(
                str(value) if isinstance(value, str) else f"{key} = {value}" for key, value in params.items()
            )
            power = f"{row['of'] or row['x']}{{sup}}`{float(row['alpha']):.2f}`" if row["alpha"] else "–"
            interval = f"{float(row['low']):.2f} to {float(row['high']):.2f}" if row["low"] else "–"
            theory = f"{float(row['theory']):.2f}" if row["theory"] else "–"
            verdict = row.get("kind") or row["verdict"]
            yield f"| {row['title']} | {method or '–'} | {power} | {interval} | {theory} | {verdict} |"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("capabilities", CapabilityTable)
    app.add_directive("measured", MeasuredTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
