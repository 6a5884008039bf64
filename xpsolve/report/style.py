"""One plain style for every figure: SVG whose text stays text and which follows the reader's light or dark mode.

Colours are Okabe and Ito's, and markers or dashes differ too, so that a figure can be read in black and white.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import Any

__all__ = ["COLOURS", "FAINT", "INK", "MARKERS", "STYLE", "TITLE", "label_ends", "panels", "power_of_ten", "svg"]

INK, FAINT = "#24292f", "#8c959f"
# Okabe and Ito's palette without its yellow, each with the shade that replaces it on a dark page.
COLOURS = {
    "#0072b2": "#56b4e9",
    "#d55e00": "#ff8c42",
    "#009e73": "#2fcf9f",
    "#b0538f": "#e39bc8",
    "#8a6d00": "#e6b422",
    "#4a4e69": "#b8bce0",
}
DARK = {INK: "#e6edf3", FAINT: "#7d8590", **COLOURS}
MARKERS = "osD^vP"
TITLE = 58  # characters a line, which a phone shows without scrolling
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xpsolve",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 2,
    "ytick.minor.width": 0.5,
    "legend.frameon": False,
}


def panels(columns: int = 1, *, rows: int = 1, height: float = 3.7, **options: Any) -> tuple[Any, Any]:
    """A figure of the page's width with axes in rows and columns, with automatic space for their labels.

    Parameters
    ----------
    columns : int
        Axes side by side.
    rows : int
        Axes one above the other.
    height : float
        Of the figure, in inches.
    **options : Any
        Passed to matplotlib's ``Figure.subplots``.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Free of pyplot, which would keep state and choose a window system.
    axes : Axes, or array of them where there is more than one
        With a grid and faint ticks.

    Examples
    --------
    >>> from xpsolve.report.style import panels
    >>> panels(2)[1].shape
    (2,)
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, **options)
    for one in figure.axes:
        one.set_facecolor("none")
        one.tick_params(which="both", color=FAINT)
        one.grid(which="major", color=FAINT, alpha=0.25, linewidth=0.6)
    return figure, axes


def svg(figure: Any) -> str:
    """Save a figure as text, the same for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn with `STYLE` set.

    Returns
    -------
    str
        The SVG, with a dark shade for every light colour.

    Examples
    --------
    >>> from xpsolve.report.style import panels, svg
    >>> "prefers-color-scheme" in svg(panels()[0])
    True
    """
    raw = io.StringIO()
    figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(raw.getvalue())


def _themed(text: str) -> str:
    """Use the reader's own font, and give each colour its dark shade by a style sheet.

    The light colours stay in the drawing, so that a viewer without style sheets still shows it.
    """
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    sheet = f"<style>text{{font-family:{FONT} !important}}@media(prefers-color-scheme:dark){{{rules}}}</style>"
    head, tag, rest = text.partition("<defs>")
    return f"{head}{sheet}{tag}{rest}"


def label_ends(axes: Any, ends: Iterable[tuple[float, float, str, str]], *, room: float, leaders: bool = False) -> None:
    """Write each line's name at its right end, pushed apart where names would touch.

    Parameters
    ----------
    axes : Axes
        With its scales and limits settled.
    ends : iterable of (x, y, text, colour)
        The last point of each line.
    room : float
        Height of one name, as a part of the axes'.
    leaders : bool
        Whether a thin line leads from each end to its name.

    Examples
    --------
    >>> from xpsolve.report.style import label_ends, panels
    >>> figure, axes = panels()
    >>> label_ends(axes, [(1.0, 0.5, "one", "#0072b2"), (1.0, 0.5, "two", "#d55e00")], room=0.1)
    >>> [text.get_position()[1] for text in axes.texts]
    [0.5, 0.6]
    """
    to_axes = axes.transScale + axes.transLimits
    wanted = sorted((float(to_axes.transform((x, y))[1]), text, colour) for x, y, text, colour in ends)
    places: list[float] = []
    for place, *_ in wanted:
        places.append(max(place, places[-1] + room if places else 0.03))
    if places and places[-1] > 1.0:
        places[-1] = 1.0
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - room)
    for place, (end, text, colour) in zip(places, wanted, strict=True):
        if leaders:
            line = {"color": colour, "linewidth": 0.7, "transform": axes.transAxes, "clip_on": False}
            axes.plot((1.0, 1.03), (end, place), **line)
        axes.text(
            1.04 if leaders else 1.02,
            place,
            text,
            color=colour,
            transform=axes.transAxes,
            va="center",
            fontsize=9,
            linespacing=1.15,
        )


def power_of_ten(value: float, _: Any = None) -> str:
    """Name a tick of a logarithmic axis, in plain text since mathematics would need another font.

    Parameters
    ----------
    value : float
        A power of ten.
    _ : Any
        Its place on the axis, which matplotlib gives.

    Returns
    -------
    str
        The power.

    Examples
    --------
    >>> from xpsolve.report.style import power_of_ten
    >>> power_of_ten(0.001), power_of_ten(1.0)
    ('10⁻³', '1')
    """
    exponent = round(math.log10(value))
    return f"10{str(exponent).translate(_RAISED)}" if exponent not in (0, 1) else f"{10**exponent}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
