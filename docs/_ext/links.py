"""Links of pages to what is not a page: to code in the text, to source files, and to the committed report.

In a page, `xs.ridge` and `xs.ridge(A, y, lam)` in code font become links to the reference.  Relative links to files of
the repository, which work where the repository is browsed, lead to what the site has instead: those to
``xpsolve/….py`` to the source, those into ``reports/`` to a copy of the report beside the pages.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

import xpsolve

SPACES = ("xpsolve", *(f"xpsolve.{name}" for name in ("networks", "operators", "autodiff", "penalties", "problems")))
NAME = re.compile(r"(?:xs|xpsolve)\.([A-Za-z][\w.]*)(?:\(.*\))?$")


class NamesInCode(SphinxTransform):
    """`xs.name` in the code font of a page is a link, where the reference has the name."""

    default_priority = 200

    def apply(self) -> None:
        """Put a reference around each; where nothing is found, `quiet` lets the text stand."""
        if Path(self.env.doc2path(self.env.docname)).suffix != ".md":
            return
        for literal in list(self.document.findall(nodes.literal)):
            found = NAME.fullmatch(literal.astext())
            if not found or isinstance(literal.parent, nodes.reference | addnodes.pending_xref | nodes.title):
                continue
            link_to(literal, f"xpsolve.{found[1]}", self.env.docname)


def link_to(literal: nodes.literal, target: str, docname: str) -> None:
    """Put a reference around it; where nothing is found, it stays as it is."""
    options = {"refdomain": "py", "reftype": "obj", "reftarget": target, "refexplicit": True, "quiet": True}
    reference = addnodes.pending_xref("", refdoc=docname, **options)
    literal.replace_self(reference)
    reference += literal


def lookup(name: str) -> Any:
    """What `name`, such as xpsolve.penalties.L1.prox, is; None where there is no such thing."""
    first, *rest = name.split(".")
    thing: Any = xpsolve if first == "xpsolve" else None
    for i, part in enumerate(rest):
        if inspect.ismodule(thing) and not hasattr(thing, part):
            with suppress(ImportError):
                importlib.import_module(f"xpsolve.{'.'.join(rest[: i + 1])}")
        thing = getattr(thing, part, None)
    return thing


@cache
def documented(env: BuildEnvironment) -> dict[int, str]:
    """The name under which the reference has each object."""
    return {id(thing): name for name in env.domains["py"].objects if callable(thing := lookup(name))}


def other_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node
) -> nodes.Node | None:
    """Find what the reference has under another name: xpsolve.lasso is xpsolve.linear.lasso.

    A name in the code font of a page that the reference has not stays code.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    names = documented(env)
    for name in (target, f"{node.get('py:module')}.{target}", *(f"{space}.{target}" for space in SPACES)):
        if known := names.get(id(lookup(name))):
            return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", known, node, content)
    return content if "quiet" in node else None


class RepositoryFiles(SphinxTransform):
    """Relative links into the committed report."""

    default_priority = 5  # before Sphinx takes them for files to be copied

    def apply(self) -> None:
        """Turn each into a link within the site."""
        root, here = Path(self.app.srcdir).parent.resolve(), Path(self.env.doc2path(self.env.docname)).parent
        for download in list(self.document.findall(addnodes.download_reference)):
            target, _, anchor = download["reftarget"].partition("#")
            path = (here / target).resolve()
            if path.is_relative_to(root / "reports"):
                uri = "../" * self.env.docname.count("/") + path.relative_to(root).as_posix()
                link = nodes.reference("", "", *download.children, refuri=f"{uri}#{anchor}" if anchor else uri)
                download.replace_self(link)


class SourceFiles(SphinxPostTransform):
    """Relative links to source files, of which Sphinx copies those that have no highlighted page."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        """Lead to the highlighted page where there is one, which is known when all pages are read."""
        highlighted = getattr(self.env, "_viewcode_modules", {})
        for download in list(self.document.findall(addnodes.download_reference)):
            _, inside, rest = download["reftarget"].rpartition("../xpsolve/")
            module = f"xpsolve/{rest.removesuffix('.py').removesuffix('/__init__')}"
            if inside and highlighted.get(module.replace("/", ".")):
                uri = "../" * self.env.docname.count("/") + f"_modules/{module}.html"
                download.replace_self(nodes.reference("", "", *download.children, refuri=uri, internal=True))


def repair_back_links(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """In a page of source, links back to the reference have the anchor that its page has.

    Sphinx takes one prefix for all of a file, and here one may be documented under two: xpsolve.softmax_jacobian and
    xpsolve.networks.softmax_vjp.
    """
    if pagename.startswith("_modules/"):

        def repaired(found: re.Match[str]) -> str:
            page, anchor = found[1], found[2]
            last = page[page.rindex(".") :]
            if f"{anchor}.".startswith(f"{page}."):
                return found[0]
            return f'{page}.html#{page}{anchor[anchor.index(last) + len(last) :]}"' if last in anchor else found[0]

        context["body"] = re.sub(r'(?<=generated/)([\w.]+)\.html#([\w.]+)"', repaired, context["body"])


def copy_reports(app: Sphinx, exception: Exception | None) -> None:
    """Put the committed report beside the pages."""
    if exception is None and app.builder.format == "html":
        reports = Path(app.srcdir).parent / "reports"
        shutil.copytree(reports / "two-cores", Path(app.outdir) / "reports" / "two-cores", dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(NamesInCode)
    app.add_transform(RepositoryFiles)
    app.add_post_transform(SourceFiles)
    app.connect("missing-reference", other_name)
    app.connect("html-page-context", repair_back_links)
    app.connect("build-finished", copy_reports)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
