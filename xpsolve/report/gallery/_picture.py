"""A figure of the gallery: a function that draws it, and its words, which are the function's docstring."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from xpsolve.arrays.backends import Backend
from xpsolve.report.style import STYLE, TITLE, svg
from xpsolve.solution import inner_solve

BOOK = "G. Peyré, Mathematical Foundations of Data Sciences"  # MFDS in docstrings


@dataclass(frozen=True)
class Picture:
    """One figure of the gallery.

    Parameters
    ----------
    name : str
        Of its file, in small letters, digits and hyphens.
    family : str
        The heading above it.
    title : str
        The finding, in one sentence; drawn above the figure.
    alt : str
        A description of the figure, for readers who cannot see it.
    caption : str
        What was run, with which data, and where the figure comes from.
    draw : callable
        From the backend to run on to a matplotlib figure without its title.
    seconds : float
        About what it takes on one core of a usual machine.
    timed : bool
        Whether it shows times, so that nothing else may run at the same time.
    """

    name: str
    family: str
    title: str
    alt: str
    caption: str
    draw: Callable[..., Any]
    seconds: float = 1.0
    timed: bool = False

    def svg(self, backend: Backend) -> str:
        """Run it on `backend` and return the SVG, with its description inside, for a file opened alone."""
        import matplotlib as mpl

        with mpl.rc_context(STYLE):
            figure = self.draw(backend)
            figure.suptitle(textwrap.fill(self.title, TITLE), x=0.004, ha="left", fontsize=11)
            text = svg(figure)
        start = text.index(">", text.index("<svg")) + 1
        words = f"<title>{escape(self.title)}</title><desc>{escape(self.alt)}</desc>"
        return f"{text[:start]}{words}{text[start:]}"


def picture(family: str, *, seconds: float, timed: bool = False) -> Callable[[Callable[..., Any]], Picture]:
    """Make a `Picture` of a function whose docstring has three paragraphs: title, description and caption.

    Its runs may end early without a warning: several do on purpose.
    """

    def made(draw: Callable[..., Any]) -> Picture:
        paragraphs = (inspect.getdoc(draw) or "").replace("MFDS", BOOK).split("\n\n")
        title, alt, caption = (" ".join(words.split()) for words in paragraphs)
        name = draw.__name__.replace("_", "-")
        return Picture(name, family, title, alt, caption, inner_solve()(draw), seconds, timed)

    return made
