"""Figures that compare: predicted with measured time, ratios of times with their intervals, processor with accelerator.

All axes of time and of ratios are logarithmic.  Families, libraries and backends differ by marker as well as by colour.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.figures import log_axes, styles
from xpsolve.report.formats import number
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, STYLE, TITLE, panels, svg

__all__ = ["Dot", "Race", "prediction", "races", "ratios"]


@dataclass(frozen=True)
class Dot:
    """One ratio in a row of a figure, with its interval; a hollow one belongs to a doubtful answer."""

    row: str
    name: str
    value: float
    low: float
    high: float
    hollow: bool = False


@dataclass(frozen=True)
class Race:
    """Times of two devices over the sizes that both were measured at."""

    title: str
    x_name: str
    x: Sequence[float]
    times: tuple[Sequence[float], Sequence[float]]
    names: tuple[str, str]
    at: float  # where the second overtakes the first; not finite where it does not


@contextmanager
def _panels(title: str, *args: Any, **options: Any) -> Iterator[tuple[Any, Any, list[str]]]:
    """Yield a figure with its axes, and a list that receives the SVG once the block has ended."""
    import matplotlib as mpl

    out: list[str] = []
    with mpl.rc_context(STYLE):
        figure, axes = panels(*args, **options)
        figure.suptitle(textwrap.fill(title, TITLE), x=0.004, ha="left", fontsize=11)
        yield figure, axes, out
        out.append(svg(figure))


def prediction(points: pd.DataFrame, title: str) -> str:
    """Draw measured against predicted time, with a line where they are equal and a band of a factor two.

    Parameters
    ----------
    points : pandas.DataFrame
        ``predicted``, ``value`` and ``family``.
    title : str
        The finding.

    Returns
    -------
    str
        The figure as SVG.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.comparisons import prediction
    >>> one = pd.DataFrame({"predicted": [0.1], "value": [0.2], "family": ["ridge"]})
    >>> "within a factor two" in prediction(one, "within a factor two")
    True
    """
    with _panels(title, height=4.9) as (figure, axes, out):
        for (family, group), (colour, marker, filled) in zip(points.groupby("family"), styles(), strict=False):
            face = colour if filled else "none"
            axes.plot(
                group["predicted"],
                group["value"],
                marker,
                color=colour,
                markerfacecolor=face,
                markersize=5.5,
                label=family,
            )
        ends = np.array(
            [points[["predicted", "value"]].min().min() / 2, points[["predicted", "value"]].max().max() * 2]
        )
        axes.fill_between(ends, ends / 2, ends * 2, color=FAINT, alpha=0.2, linewidth=0)
        axes.plot(ends, ends, color=INK, linewidth=0.9)
        log_axes(axes, [], "seconds", both=True)
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_xlabel("predicted from costs and ceilings")
        axes.set_ylabel("measured")
        axes.annotate(
            "equal, and a factor 2", (ends[1], ends[1]), (-24, -4), textcoords="offset points", ha="right", fontsize=9
        )
        figure.legend(loc="outside right upper", fontsize=9, handlelength=1.2)
    return out[0]


def ratios(dots: Sequence[Dot], title: str, abscissa: str) -> str:
    """Draw ratios in rows, a marker for each name, with a line at 1.

    Parameters
    ----------
    dots : sequence of Dot
        In the order of rows and of names.
    title : str
        The finding.
    abscissa : str
        What the ratios are.

    Returns
    -------
    str
        The figure as SVG.

    Examples
    --------
    >>> from xpsolve.report.comparisons import Dot, ratios
    >>> "<svg" in ratios([Dot("ridge", "torch", 2.0, 1.8, 2.2)], "slower", "time over that of numpy")
    True
    """
    rows = list(dict.fromkeys(dot.row for dot in dots))
    names = list(dict.fromkeys(dot.name for dot in dots))
    labels = [textwrap.fill(row, 42) for row in rows]
    tall = sum(0.2 + 0.16 * label.count("\n") for label in labels)
    with _panels(title, height=1.5 + 0.1 * len(rows) + tall) as (figure, axes, out):
        places = {row: len(rows) - 1 - i for i, row in enumerate(rows)}
        within = {row: [name for name in names if any(d.row == row and d.name == name for d in dots)] for row in rows}
        for name, (colour, marker, filled) in zip(names, styles(), strict=False):
            members = [dot for dot in dots if dot.name == name]
            # Names of one row are a little apart, otherwise equal ratios would hide each other.
            y = [
                places[dot.row] - 0.6 * ((within[dot.row].index(name) + 0.5) / len(within[dot.row]) - 0.5)
                for dot in members
            ]
            x = [dot.value for dot in members]
            bars = [[d.value - d.low for d in members], [d.high - d.value for d in members]]
            axes.errorbar(x, y, xerr=bars, fmt="none", ecolor=colour, elinewidth=1.0)
            for hollow in (False, True):
                chosen = [j for j, dot in enumerate(members) if dot.hollow == hollow]
                face = colour if filled and not hollow else "none"
                axes.plot(
                    [x[j] for j in chosen],
                    [y[j] for j in chosen],
                    marker,
                    color=colour,
                    markerfacecolor=face,
                    markersize=5.5,
                    label=None if hollow else name,
                )
        axes.axvline(1.0, color=INK, linewidth=0.9)
        axes.set_xscale("log")
        low, high = min(dot.low for dot in dots), max(dot.high for dot in dots)
        axes.set_xlim(min(low / 1.2, 0.8), max(high * 1.2, 1.25))
        _ratio_ticks(axes)
        axes.set_yticks([places[row] for row in rows], labels)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(abscissa)
        figure.legend(loc="outside lower left", ncols=6, fontsize=9, handlelength=1.2)
    return out[0]


def _ratio_ticks(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 60 * low else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def races(found: Sequence[Race], title: str) -> str:
    """Draw up to six races of two devices, each in its own axes.

    Parameters
    ----------
    found : sequence of Race
        One to six of them.
    title : str
        The finding.

    Returns
    -------
    str
        The figure as SVG.

    Examples
    --------
    >>> from xpsolve.report.comparisons import Race, races
    >>> one = Race("ridge", "n", [1, 10], ([1.0, 10.0], [3.0, 4.0]), ("numpy", "cupy"), 3.6)
    >>> "cupy" in races([one], "cupy overtakes")
    True
    """
    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    with _panels(title, columns, rows=rows, height=0.8 + 2.6 * rows, squeeze=False) as (_, axes, out):
        for one, each in zip(found, axes.flat, strict=False):
            for time, name, colour, marker in zip(one.times, one.names, COLOURS, MARKERS, strict=False):
                each.plot(one.x, time, marker=marker, color=colour, markersize=5, linewidth=1.1, label=name)
            if np.isfinite(one.at):
                each.axvline(one.at, color=INK, linewidth=0.8)
            log_axes(each, one.x, "seconds")
            each.set_title(textwrap.fill(one.title, 38), fontsize=9.5, loc="left")
            each.set_xlabel(one.x_name)
            each.legend(fontsize=8.5, loc="upper left")
        for each in axes.flat[len(found) :]:
            each.set_visible(False)
    return out[0]
