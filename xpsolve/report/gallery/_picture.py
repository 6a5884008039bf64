"""A figure of the gallery: a function that draws it, its words, which are the function's docstring, and their look."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from xpsolve.arrays.backends import Backend
from xpsolve.report import style
from xpsolve.report.style import COLOURS, FAINT
from xpsolve.solution import inner_solve

BOOK = "G. Peyré, Mathematical Foundations of Data Sciences"  # MFDS in docstrings
GUIDE: dict[str, Any] = {"color": FAINT, "linewidth": 0.9, "dashes": (4, 3), "marker": ""}  # a line to compare with


@dataclass(frozen=True)
class Picture:
    """One figure of the gallery; `picture` makes it of a function."""

    name: str  # of its file, in small letters, digits and hyphens
    family: str  # the heading above it
    title: str  # the finding, in one sentence; drawn above the figure
    alt: str  # a description, for readers who cannot see it
    caption: str  # what was run, with which data, and where the figure comes from
    draw: Callable[..., Any]  # from the backend to run on to a matplotlib figure without its title
    seconds: float = 1.0  # about what it takes on one core of a usual machine
    timed: bool = False  # whether it shows times, so that nothing else may run at the same time

    def svg(self, backend: Backend) -> str:
        """Run it on `backend` and return the SVG, with its description inside, for a file opened alone."""
        import matplotlib as mpl

        with mpl.rc_context(style.STYLE):
            figure = self.draw(backend)
            figure.suptitle(self.title, x=0.004, ha="left", fontsize=11)
            text = style.svg(figure)
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


def name_ends(axes: Any, *, room: float, **options: Any) -> None:
    """Write the label of each line at its right end, in its colour, in place of a legend; see `label_ends`."""
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    ends = [(*line.get_xydata()[-1], line.get_label(), line.get_color()) for line in named]
    axes.set_prop_cycle(color=list(COLOURS))  # leaders are plain lines
    style.label_ends(axes, ends, room=room, **options)
