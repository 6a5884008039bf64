"""Docstrings on their way into the reference: formulas are no markup, and each names what stands beside it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sphinx.application import Sphinx

# what is in backticks, or else a bar, or a star at the beginning of a word
MARKUP = re.compile(r"(``.+?``|`.+?`)|(\||(?<![\w*])\*(?=\w))")
INITIAL = re.compile(r"^(\s*[A-Z])\. (?=\S)")  # of a name that begins a reference, not a numbered list
MOST = 6  # names in a section See Also that is made


def escape(app, what, name, thing, options, lines: list[str]) -> None:
    """Escape |x|, a modulus, (N, C, *space), a shape, and an initial at the start, outside of code and examples."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = INITIAL.sub(r"\1\\. ", MARKUP.sub(lambda found: found[1] or f"\\{found[2]}", line))


@cache
def neighbours(folder: Path) -> dict[str, list[str]]:
    """For each name in the pages of the reference, those that are in the same list."""
    found: dict[str, list[str]] = {}
    for page in folder.glob("*.rst"):
        module = ""
        for part in re.split(r"^\.\. autosummary::$", page.read_text("utf-8"), flags=re.MULTILINE):
            names = re.findall(r"^   ([A-Za-z]\w*)$", part, re.MULTILINE)
            found |= {f"{module}.{name}": [other for other in names if other != name] for name in names}
            module = [module, *re.findall(r"^\.\. (?:current)?module:: ([\w.]+)$", part, re.MULTILINE)][-1]
    return found


def add_neighbours(app, what, name, thing, options, lines: list[str]) -> None:
    """A section See Also, where the docstring has none."""
    beside = neighbours(Path(app.srcdir) / "reference").get(name)
    if beside and "See Also" not in lines:
        lines += ["", "See Also", "--------", *beside[:MOST]]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    for priority, change in enumerate((escape, add_neighbours)):  # both before numpydoc
        app.connect("autodoc-process-docstring", change, priority=priority)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
