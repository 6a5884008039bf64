"""A figure of the gallery: its text, and the function that draws it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from xpsolve.arrays.backends import Backend
from xpsolve.report.style import STYLE, TITLE, svg


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

    Examples
    --------
    >>> from xpsolve.arrays import backends
    >>> from xpsolve.report.gallery import PICTURES
    >>> PICTURES["soft-threshold"].svg(backends.get("numpy")).startswith("<?xml")
    True
    """

    name: str
    family: str
    title: str
    alt: str
    caption: str
    draw: Callable[[Backend], Any]
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
