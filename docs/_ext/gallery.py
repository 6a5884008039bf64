"""The gallery: a page for each figure of `xpsolve.report.gallery`, with its code, and the directive ``picture``.

Before the pages are read, figures are drawn into ``docs/gallery/``, which git ignores, where the code of xpsolve has
changed since they were drawn.  `{picture} NAME` in a page shows one with its description and a link to its page.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
from functools import cache
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

import xpsolve
from xpsolve.report.gallery import PICTURES, Picture, draw_all

PACKAGE = Path(xpsolve.__file__).parent
IDLE = {"bench", "cli.py", "estimators", "testing.py"}  # draw nothing
STAMP = "drawn-by.txt"
WORDS = {word: word.upper() for word in ("bgd", "lista", "mlp", "sag", "sga", "sgd")} | {"lambda": "λ"}
# Families of the benchmarks are finer than a page of cards should be.
HEADINGS = {
    **dict.fromkeys(("ridge", "lasso"), "Inverse problems"),
    **dict.fromkeys(("chain", "autodiff"), "Derivatives"),
    **dict.fromkeys(("stochastic", "softmax"), "Descent and classification"),
    **dict.fromkeys(("convolution", "networks"), "Networks"),
}
log = logging.getLogger(__name__)


def module_of(picture: Picture) -> Path:
    """The file whose code draws it."""
    return Path(inspect.getsourcefile(inspect.unwrap(picture.draw)) or "")


def code_of(picture: Picture) -> str:
    """What of that file draws it: imports, constants, functions and classes, in the order of the file.

    Without the words of the picture, which stand on its page already, and what puts it into the gallery.
    """
    text = module_of(picture).read_text("utf-8")
    statements = ast.parse(text).body
    binding = {name: node for node in statements for name in bound_by(node)}
    drawing = binding[inspect.unwrap(picture.draw).__name__]
    drawing.decorator_list.clear()  # it returns a figure where it is run alone
    used, left = set(), [drawing.name]
    while left:
        name = left.pop()
        if name in binding and name not in used:
            used.add(name)
            left += [part.id for part in ast.walk(binding[name]) if isinstance(part, ast.Name)]
    lines = text.splitlines()
    parts = []
    for node in statements:
        if not used.isdisjoint(bound_by(node)):
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            own = lines[first - 1 : node.end_lineno]
            if isinstance(node, ast.ImportFrom):
                node.names = [one for one in node.names if (one.asname or one.name) in used]
                own = [ast.unparse(node)]
            if node is drawing:
                words = node.body[0]
                del own[words.lineno - first : words.end_lineno - first + 1]
            gap = "\n\n" if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
            parts.append(gap + "\n".join(own) + gap)
    return re.sub("\n{4,}", "\n\n\n", "\n".join(parts)).strip()


def bound_by(node: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a meaning."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [one.asname or one.name for one in node.names]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def name_in_words(picture: Picture) -> str:
    """A heading of a few words; the title of the picture is a sentence, and stands in the figure."""
    words = [WORDS.get(word, word) for word in picture.name.split("-")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def with_code(text: str) -> str:
    """Names of the library in code font, which makes them links."""
    return re.sub(r"\bxs(?:\.\w+)+", r"`\g<0>`", text)


def page(picture: Picture, root: Path) -> str:
    """One figure, what it shows, and the code."""
    source = module_of(picture).relative_to(root)
    return f"""# {name_in_words(picture)}

```{{picture}} {picture.name}
:here:
```

{with_code(picture.caption)}

To draw it yourself, also on another backend: `xpsolve figures --only {picture.name} --backend numpy`.

The code, from [{source}](../../{source}):

```python
{code_of(picture)}
```
"""


def index() -> str:
    """All figures as cards, by subject."""
    parts = [
        "# Gallery\n\nFigures of the course and others, from live runs of the library.  "
        "Each page has the code that draws its figure; `xpsolve figures` draws them all.\n"
    ]
    headings: dict[str, list[Picture]] = {}
    for picture in PICTURES.values():
        headings.setdefault(HEADINGS.get(picture.family, picture.family.capitalize()), []).append(picture)
    for heading, pictures in headings.items():
        parts.append(f"## {heading}\n\n::::{{grid}} 1 2 2 3\n:gutter: 3\n")
        parts += [
            f":::{{grid-item-card}} {name_in_words(picture)}\n:link: {picture.name}\n:link-type: doc\n"
            f":img-top: {picture.name}.svg\n:img-alt: {picture.title}\n:::\n"
            for picture in pictures
        ]
        parts.append("::::\n")
    listed = "\n".join(f"{name_in_words(picture)} <{picture.name}>" for picture in PICTURES.values())
    return "\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n"])


def write(path: Path, text: str) -> None:
    """Write it where it is not there yet, so that Sphinx reads only what has changed."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def digest() -> str:
    """Of all code that a figure may use; words in docstrings change no figure."""
    total = hashlib.sha256(sys.version.encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.relative_to(PACKAGE).parts[0] not in IDLE:
            tree = ast.parse(file.read_bytes())
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                    and ast.get_docstring(node) is not None
                ):
                    node.body = node.body[1:]
            total.update(ast.dump(tree).encode())
    return total.hexdigest()


def make(app: Sphinx) -> None:
    """Draw what is to be drawn, and write the pages."""
    folder, root = Path(app.srcdir) / "gallery", Path(app.srcdir).parent
    folder.mkdir(exist_ok=True)
    stamp, now = folder / STAMP, digest()
    fresh = stamp.exists() and stamp.read_text("utf-8") == now
    wanted = [name for name in PICTURES if not fresh or not (folder / f"{name}.svg").exists()]
    if wanted:
        log.info("drawing %d figures of the gallery", len(wanted))
        for picture, outcome in draw_all(PICTURES, "numpy", folder, only=wanted):
            if isinstance(outcome, Exception):
                raise ExtensionError(f"gallery: {picture.name} cannot be drawn", outcome)
        stamp.write_text(now, "utf-8")
    write(folder / "index.md", index())
    for picture in PICTURES.values():
        write(folder / f"{picture.name}.md", page(picture, root))
    for old in folder.glob("*.md"):
        if old.stem != "index" and old.stem not in PICTURES:
            old.unlink()


@cache
def uses() -> dict[str, list[Picture]]:
    """The figures whose code has xs.NAME, by the full name."""
    found: dict[str, list[Picture]] = {}
    for picture in PICTURES.values():
        for name in sorted(set(re.findall(r"\bxs((?:\.\w+)+)", code_of(picture)))):
            found.setdefault(f"xpsolve{name}", []).append(picture)
    return found


def add_uses(app, what, name, thing, options, lines: list[str]) -> None:
    """Below the docstring of a function or class, links to the figures that are drawn with it."""
    if pictures := uses().get(name):
        links = ", ".join(f":doc:`{name_in_words(picture)} </gallery/{picture.name}>`" for picture in pictures)
        lines += ["", ".. rubric:: In the gallery", "", links, ""]


class PictureDirective(Directive):
    """A figure of the gallery, by its name: ``{picture} lq-balls``."""

    required_arguments = 1
    option_spec = {"here": lambda _: True}  # noqa: RUF012  (docutils reads it from the class)

    def run(self) -> list[nodes.Node]:
        """The image with its description; below it, a link to its page unless this is that page."""
        name = self.arguments[0]
        if name not in PICTURES:
            raise self.error(f"picture: expected a name of the gallery, got {name!r}; see xpsolve/report/gallery")
        picture = PICTURES[name]
        figure = nodes.figure()
        figure += nodes.image(uri=f"/gallery/{name}.svg", alt=picture.alt, classes=["figure-of-report", "dark-light"])
        if "here" not in self.options:
            holder = nodes.Element()
            self.state.nested_parse([f"[What is shown, and the code](/gallery/{name}.md)"], self.content_offset, holder)
            figure += nodes.caption("", "", *holder[0].children)
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("picture", PictureDirective)
    app.connect("builder-inited", make)
    app.connect("autodoc-process-docstring", add_uses, priority=900)  # when numpydoc has made its sections
    return {"parallel_read_safe": True, "parallel_write_safe": True}
