"""The directive ``capabilities``: what each public function can do, from the declarations in the code."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from xpsolve.capabilities import markdown


class CapabilityTable(Directive):
    """The table of README, in a page in Markdown."""

    def run(self) -> list[nodes.Node]:
        """The table; names in it become links by themselves."""
        holder = nodes.container(classes=["wide-table"])
        self.state.nested_parse(markdown().splitlines(), self.content_offset, holder)
        return [holder]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("capabilities", CapabilityTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
