"""Log-log figures of measured times: scaling with its fit and theory, and the roofline.

Measured points carry asv's 99 % interval, wrong ones are hollow; the fit is a solid line, the theoretical cost a thin
dashed one through the largest valid size.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import exponent, number, quantity
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, STYLE, TITLE, label_ends, svg

__all__ = ["log_axes", "roofline", "scaling", "styles"]


def scaling(lines: Sequence[Series], pairs: Sequence[Pair], title: str) -> str:
    """Draw time against size for up to six series, with fits, theory and crossings.

    Parameters
    ----------
    lines : sequence of Series
        Lines over the same abscissa, at most six.
    pairs : sequence of Pair
        Crossings among them; finite ones are shaded over their interval.
    title : str
        The finding.

    Returns
    -------
    str
        The figure as SVG.

    Raises
    ------
    ValueError
        If there are more lines than markers.

    Examples
    --------
    >>> from xpsolve.report.figures import scaling
    >>> "an empty figure" in scaling([], [], "an empty figure")
    True
    """
    if len(lines) > len(MARKERS):
        raise ValueError(f"lines: expected at most {len(MARKERS)}, got {len(lines)}; split them over figures")
    with _figure(title) as (axes, out):
        ends: list[tuple[float, float, str, str]] = []
        common = _common_words(lines)
        for line, colour, marker in zip(lines, COLOURS, MARKERS, strict=False):
            # What a single line shows is in the title.
            label = textwrap.fill(_short(line, common), 15) if len(lines) > 1 else ""
            ends.append(_draw_line(axes, line, colour, marker, label))
        log_axes(axes, [x for line in lines for x in line.points["x"]], "seconds")
        axes.set_xlabel(str(lines[0].head["x_name"]) if lines else "")
        axes.set_ylabel("time")
        for pair in pairs:
            _draw_crossing(axes, pair)
        label_ends(axes, ends, room=0.052 * max((text.count("\n") + 1 for _, _, text, _ in ends), default=1))
    return out.getvalue()


def roofline(points: pd.DataFrame, flops_per_s: float, bytes_per_s: float, title: str) -> str:
    """Draw attained flop/s against arithmetic intensity below the two measured ceilings.

    Parameters
    ----------
    points : pandas.DataFrame
        Rows of the tidy table with ``flops``, ``bytes``, ``value`` and ``family``; ``line`` tells series apart.
    flops_per_s, bytes_per_s : float
        The ceilings; inf where one was not measured.
    title : str
        The finding.

    Returns
    -------
    str
        The figure as SVG.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.figures import roofline
    >>> one = pd.DataFrame({"flops": [1e9], "bytes": [1e8], "value": [0.1], "family": ["ridge"], "line": [0]})
    >>> roofline(one, 5e10, 2e10, "below the roof").startswith("<?xml")
    True
    """
    with _figure(title, left=0.13, right=0.78) as (axes, out):
        intensity = points["flops"] / points["bytes"]
        for (family, group), (colour, marker, filled) in zip(points.groupby("family"), styles(), strict=False):
            for i, (_, one) in enumerate(group.groupby("line")):
                axes.plot(
                    intensity[one.index],
                    one["flops"] / one["value"],
                    marker=marker,
                    markersize=5,
                    color=colour,
                    markerfacecolor=colour if filled else "none",
                    linewidth=0.7,
                    label=None if i else family,
                )
        low, high = intensity.min() / 2, intensity.max() * 2
        if math.isfinite(flops_per_s) and math.isfinite(bytes_per_s):
            low, high = min(low, flops_per_s / bytes_per_s / 4), max(high, flops_per_s / bytes_per_s * 4)
        reach = np.geomspace(low, high, 200)
        roof = np.minimum(flops_per_s, bytes_per_s * reach)
        axes.plot(reach, roof, color=INK, linewidth=1.4)
        if math.isfinite(flops_per_s):
            axes.annotate(
                quantity(flops_per_s, "flop/s"), (high, flops_per_s), (0, 4), textcoords="offset points", ha="right"
            )
        if math.isfinite(bytes_per_s):
            axes.annotate(
                quantity(bytes_per_s, "byte/s"), (low, roof[0]), (6, -2), textcoords="offset points", va="top"
            )
        log_axes(axes, [], "flop/s")
        axes.set_xlabel("arithmetic intensity, flop/byte")
        axes.set_ylabel("attained rate")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, handlelength=1.4)
    return out.getvalue()


@contextmanager
def _figure(
    title: str, *, left: float = 0.13, right: float = 0.8, height: float = 3.7, bottom: float = 0.55
) -> Iterator[tuple[Any, io.StringIO]]:
    """Yield axes and the buffer that holds the SVG once the block has ended."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    wrapped = textwrap.fill(title, TITLE)
    lines = wrapped.count("\n") + 1
    height += 0.2 * lines
    # Figure and canvas by hand: pyplot would keep state and choose a window system.
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.6, height))
        FigureCanvasSVG(figure)
        top = 1 - (0.2 * lines + 0.25) / height
        axes = figure.add_axes((left, bottom / height, right - left, top - bottom / height))
        figure.text(0.004, 1 - 0.06 / height, wrapped, va="top", fontsize=11)
        axes.set_facecolor("none")
        axes.tick_params(which="both", color=FAINT)
        yield axes, buffer
        buffer.write(svg(figure))


def _draw_line(axes: Any, line: Series, colour: str, marker: str, label: str) -> tuple[float, float, str, str]:
    points = line.points
    x, t = points["x"].to_numpy(float), points["value"].to_numpy(float)
    # On a logarithmic axis a bar to zero would have no end.
    below = np.nan_to_num(t - points["lower"].to_numpy(float).clip(t / 5)).clip(0)
    above = np.nan_to_num(points["upper"].to_numpy(float) - t).clip(0)
    axes.errorbar(x, t, (below, above), fmt="none", ecolor=colour, elinewidth=1.0, capsize=2)
    valid, steady = points["valid"].to_numpy(bool), points["steady"].to_numpy(bool)
    for chosen, shape, face in (
        (valid & steady, marker, colour),
        (~valid, marker, "none"),
        (valid & ~steady, "x", colour),
    ):
        axes.plot(x[chosen], t[chosen], shape, color=colour, markerfacecolor=face, markersize=5.5)
    if line.law is None:
        return float(x[-1]), float(t[-1]), label, colour
    x, t, theory = (line.valid[column].to_numpy(float) for column in ("x", "value", "work"))
    grid = np.geomspace(x[0], x[-1], 100)
    known = bool(np.all(theory > 0))
    along = np.exp(np.interp(np.log(grid), np.log(x), np.log(theory))) if line.variable == "work" else grid
    if line.law.resolved:
        axes.plot(grid, line.law(along), color=colour, linewidth=1.3)
        label = label if line.law.vague else f"{label}\n{line.variable}^{exponent(line.law.alpha)}".strip()
    else:
        axes.plot(x, t, color=colour, linewidth=0.6)
    if known:
        # Through the largest size, or through the most work where the work falls with the size.
        anchor = int(np.argmax(theory))
        axes.plot(x, theory * (t[anchor] / theory[anchor]), color=colour, linewidth=0.9, dashes=(4, 3))
    return float(x[-1]), float(t[-1]), label, colour


def _draw_crossing(axes: Any, pair: Pair) -> None:
    crossing = pair.crossing
    if not math.isfinite(crossing.at):
        return
    low, high = max(crossing.low, crossing.first), min(crossing.high, crossing.last)
    axes.axvspan(low, high, color=FAINT, alpha=0.25, linewidth=0)
    axes.axvline(crossing.at, color=INK, linewidth=0.8)
    axes.annotate(
        f"{pair.first.head['x_name']} = {number(crossing.at)}",
        (crossing.at, 0.02),
        (5, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=9,
    )


def log_axes(axes: Any, sizes: Sequence[float], ordinate: str, *, both: bool = False) -> None:
    """Two logarithmic axes whose ticks are the measured sizes and powers of ten with their unit.

    Parameters
    ----------
    axes : Axes
        With what is drawn in them.
    sizes : sequence of float
        The abscissae that were measured; none for powers of ten.
    ordinate : str
        The quantity of the ordinate.
    both : bool
        Whether the abscissa is of the same quantity.

    Examples
    --------
    >>> from xpsolve.report.figures import log_axes
    >>> from xpsolve.report.style import panels
    >>> axes = panels()[1]
    >>> log_axes(axes, [100, 200], "seconds")
    >>> axes.get_xscale()
    'log'
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    # Powers of ten alone may leave a short axis without a single number.
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, ordinate)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    # The measured sizes are the best ticks, as long as their names do not touch.
    ticks: list[float] = []
    for size in sorted(set(sizes)):
        if not ticks or math.log(size / ticks[-1]) > 0.09 * math.log(max(sizes) / min(sizes)):
            ticks.append(size)
    if ticks:
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FixedFormatter([number(tick) for tick in ticks]))
        axes.xaxis.set_minor_locator(NullLocator())
    if both:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, ordinate)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color=FAINT, alpha=0.25, linewidth=0.6)


def _common_words(lines: Sequence[Series]) -> set[tuple[str, Any]]:
    if len(lines) < 2:
        return set()
    return set.intersection(*({(k, str(v)) for k, v in line.params.items()} for line in lines))


def _short(line: Series, common: set[tuple[str, Any]]) -> str:
    """The label without what all lines of the figure share."""
    return line.named({k: v for k, v in line.params.items() if (k, str(v)) not in common})


def styles() -> Iterator[tuple[str, str, bool]]:
    """Colour, marker and filled or not: enough for two dozen lines before any looks like another.

    Yields
    ------
    tuple
        A colour, a marker, and whether the marker is filled.

    Examples
    --------
    >>> from xpsolve.report.figures import styles
    >>> next(styles())
    ('#0072b2', 'o', True)
    """
    while True:
        for filled in (True, False):
            for shift in range(len(MARKERS)):
                for i, colour in enumerate(COLOURS):
                    yield colour, MARKERS[(i + shift) % len(MARKERS)], filled
