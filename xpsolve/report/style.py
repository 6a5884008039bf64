"""One plain style for every figure: SVG whose text stays text and which follows the reader's light or dark mode.

Colours are Okabe and Ito's, and markers or dashes differ too, so that a figure can be read in black and white.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xpsolve.report.formats import number, quantity

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
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xpsolve",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": f"cycler(color={list(COLOURS)})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 2,
    "ytick.minor.width": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 1.8,
}


def panels(
    columns: int = 1,
    *,
    rows: int = 1,
    height: float = 3.7,  # in inches
    width: float = 6.6,
    images: bool = False,  # without ticks and grid
    marked: bool = False,  # whether lines have a marker each, as they have a colour of the palette
    **options: Any,
) -> Any:
    """A figure and its axes: one, or an array of them."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # By hand: pyplot would keep state and choose a window system.
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, **options)
    for one in figure.axes:
        one.set_facecolor("none")
        one.set_prop_cycle(color=list(COLOURS), **({"marker": list(MARKERS)} if marked else {}))
        if images:
            one.set(xticks=(), yticks=())
        else:
            one.tick_params(which="both", color=FAINT)
            one.grid(which="major", color=FAINT, alpha=0.25, linewidth=0.6)
    return figure, axes


@contextmanager
def drawing(title: str, *args: Any, width: float = 5.8, **options: Any) -> Iterator[tuple[Any, Any, list[str]]]:
    """Yield a figure under its title, its axes, and a list that receives the SVG once the block has ended."""
    import matplotlib as mpl

    out: list[str] = []
    with mpl.rc_context(STYLE):
        figure, axes = panels(*args, width=width, **options)
        figure.suptitle(textwrap.fill(title, int(10.5 * width)), x=0.004, ha="left", fontsize=11)
        yield figure, axes, out
        out.append(svg(figure))


def svg(figure: Any) -> str:
    """The SVG of a figure, the same for the same figure, in the reader's font and with a dark shade for each colour.

    The light colours stay in the drawing, so that a viewer without style sheets still shows it.
    """
    raw = io.StringIO()
    figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    sheet = f"<style>text{{font-family:{FONT} !important}}@media(prefers-color-scheme:dark){{{rules}}}</style>"
    return raw.getvalue().replace("<defs>", f"{sheet}<defs>", 1)


def set_axes(axes: Any, *, x: Any = None, y: Any = None, legend: str | None = None, **properties: Any) -> None:
    """Set properties of axes that are drawn, make x and y logarithmic where their ticks are given, and add a legend.

    Ticks are "powers" of ten, plain "ratios", values of a quantity such as "seconds", or the numbers that are given.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    axes.set(**properties)
    for name, axis, kind in (("x", axes.xaxis, x), ("y", axes.yaxis, y)):
        if kind is None:
            continue
        axes.set(**{f"{name}scale": "log"})
        if not isinstance(kind, str):
            axis.set_ticks(kind, [number(tick) for tick in kind])
            axis.set_minor_locator(NullLocator())
        elif kind == "powers":
            axis.set_major_formatter(power_of_ten)
        else:
            low, high = axis.get_view_interval()
            # Powers of ten alone would leave a short axis with one number or none.
            spans = {4: (1, 1.2, 1.5, 2, 3, 5, 8), 60: (1, 2, 5), 1000: (1, 3), math.inf: (1,)}
            steps = next(steps for span, steps in spans.items() if high < span * low)
            axis.set_major_locator(LogLocator(subs=steps, numticks=12))
            axis.set_major_formatter(lambda value, _, kind=kind: quantity(value, kind))
        axis.set_minor_formatter(NullFormatter())
    if legend:
        axes.legend(loc=legend, handlelength=2.4)


def note(axes: Any, words: str, at: tuple[float, float], shift: tuple[float, float] = (4, 4), **options: Any) -> None:
    """Write a few words near a point, `shift` in points."""
    axes.annotate(words, at, shift, textcoords="offset points", **{"fontsize": 9, **options})


def label_ends(axes: Any, ends: Iterable[tuple[float, float, str, str]], *, room: float, leaders: bool = False) -> None:
    """Write each line's name at its right end, pushed apart where names would touch.

    `ends` are x, y, name and colour of the last point of each line, in axes whose limits are settled; `room` is the
    height of a name as a part of the axes'; `leaders` draws a thin line from each end to its name.
    """
    to_axes = axes.transScale + axes.transLimits
    wanted = sorted((float(to_axes.transform((x, y))[1]), text, colour) for x, y, text, colour in ends)
    step = room * np.arange(len(wanted))
    places = np.maximum.accumulate(np.maximum([height for height, *_ in wanted] - step, 0.03)) + step
    for place, (end, text, colour) in zip(np.minimum(places, 1 - step[::-1]), wanted, strict=True):
        if leaders:
            axes.plot((1, 1.03), (end, place), color=colour, linewidth=0.7, transform=axes.transAxes, clip_on=False)
        where = {"transform": axes.transAxes, "va": "center", "linespacing": 1.15}
        axes.text(1.04 if leaders else 1.02, place, text, color=colour, fontsize=9, **where)


def power_of_ten(value: float, _: Any = None) -> str:
    """Name a tick of a logarithmic axis, in plain text since mathematics would need another font.

    >>> power_of_ten(0.001), power_of_ten(1.0)
    ('10⁻³', '1')
    """
    exponent = round(math.log10(value))
    return f"10{str(exponent).translate(_RAISED)}" if exponent not in (0, 1) else f"{10**exponent}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
