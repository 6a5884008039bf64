"""Docstrings are written as text with formulas: |x| is a modulus and (N, C, *space) a shape, not markup."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

# what is in backticks, or else a bar, or a star at the beginning of a word
MARKUP = re.compile(r"(``.+?``|`.+?`)|(\||(?<![\w*])\*(?=\w))")


def escape(app, what, name, thing, options, lines: list[str]) -> None:
    """Escape both outside of code and examples; before numpydoc, which may set the first line in a list."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = MARKUP.sub(lambda found: found[1] or f"\\{found[2]}", line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
