"""All figures of a report but the gallery: times with fits and theory, limits, backends, peers, history, convergence.

Measured points carry asv's 99 % interval, wrong ones are hollow; a fit is a solid line, the theoretical cost a thin
dashed one through the largest valid size.  Lines differ by marker as well as by colour.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import exponent, number, quantity, share
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, drawing, label_ends, note, set_axes


def styles() -> Iterator[dict[str, Any]]:
    """Colour, marker and filled or not: enough for six dozen lines before any looks like another."""
    for filled, shift, (i, colour) in itertools.product((True, False), range(len(MARKERS)), enumerate(COLOURS)):
        marker = MARKERS[(i + shift) % len(MARKERS)]
        yield {"color": colour, "marker": marker, "markerfacecolor": colour if filled else "none"}


@contextmanager
def multiples(
    title: str, count: int, columns: int, *, above: float, each: float, **options: Any
) -> Iterator[tuple[Any, Any, list[str]]]:
    """Small multiples: yield the figure, as many axes, and the list of `drawing`; heights are in inches."""
    rows, columns = -(-count // columns), min(columns, count)
    options |= {"rows": rows, "height": above + each * rows, "squeeze": False}
    with drawing(title, columns, **options) as (figure, axes, out):
        for unused in axes.flat[count:]:
            unused.set_visible(False)
        yield figure, list(axes.flat[:count]), out


def scaling(lines: Sequence[Series], names: Sequence[str], pairs: Sequence[Pair], title: str) -> str:
    """Time against size for up to six series, with fits, theory, and crossings shaded over their interval."""
    with drawing(title, height=3.9) as (_, axes, out):
        named = [textwrap.fill(name, 15) for name in names]
        ends = [_line(axes, *one) for one in zip(lines, COLOURS, MARKERS, named, strict=False)]
        size = str(lines[0].head["x_name"])
        set_axes(axes, x=_sizes(line.points for line in lines), y="seconds", xlabel=size, ylabel="time")
        for i, crossing in enumerate(pair.crossing for pair in pairs):
            low, high = max(crossing.low, crossing.first), min(crossing.high, crossing.last)
            axes.axvspan(low, high, color=FAINT, alpha=0.25, linewidth=0)
            axes.axvline(crossing.at, color=INK, linewidth=0.8)
            where = (crossing.at, 0.02 + 0.06 * i)
            note(axes, f"{size} = {number(crossing.at)}", where, (5, 0), xycoords=("data", "axes fraction"))
        label_ends(axes, ends, room=0.062 * max(words.count("\n") + 1 for _, _, words, _ in ends))
    return out[0]


def _sizes(found: Iterable[pd.DataFrame]) -> list[float]:
    """Of the measured sizes, which are the best ticks, those whose names do not touch."""
    sizes = sorted({float(x) for points in found for x in points["x"]})
    ticks = sizes[:1]
    for size in sizes:
        if math.log(size / ticks[-1]) > 0.09 * math.log(sizes[-1] / sizes[0]):
            ticks.append(size)
    return ticks


def _points(axes: Any, points: pd.DataFrame, colour: str, marker: str) -> None:
    """Times with their intervals; hollow where the answer is wrong, a cross where the time is uncertain."""
    t, valid, steady = points["value"], points["valid"], points["steady"]
    # On a logarithmic axis a bar to zero would have no end.
    bars = [(t - points["lower"].clip(lower=t / 5)).fillna(0).clip(0), (points["upper"] - t).fillna(0).clip(0)]
    axes.errorbar(points["x"], t, bars, fmt="none", ecolor=colour, elinewidth=1.0, capsize=2)
    looks = ((valid & steady, marker, colour), (~valid, marker, "none"), (valid & ~steady, "x", colour))
    for chosen, shape, face in looks:
        axes.plot(points["x"][chosen], t[chosen], shape, color=colour, markerfacecolor=face, markersize=5.5)


def _line(axes: Any, line: Series, colour: str, marker: str, label: str) -> tuple[float, float, str, str]:
    """A series with its fit and theory; where its name belongs, and the name."""
    _points(axes, line.points, colour, marker)
    if line.law is None:
        last = line.points.iloc[-1]
        return float(last["x"]), float(last["value"]), label, colour
    x, t, theory = (line.valid[column].to_numpy(float) for column in ("x", "value", "work"))
    if line.law.resolved:
        grid = np.geomspace(x[0], x[-1], 100)
        along = np.exp(np.interp(np.log(grid), np.log(x), np.log(theory))) if line.variable == "work" else grid
        axes.plot(grid, line.law(along), color=colour, linewidth=1.3)
        label = label if line.law.vague else f"{label}\n{line.variable}^{exponent(line.law.alpha)}".strip()
    else:
        axes.plot(x, t, color=colour, linewidth=0.6)
    if np.all(theory > 0):
        # Through the largest size, or through the most work where the work falls with the size.
        anchor = int(np.argmax(theory))
        axes.plot(x, theory * (t[anchor] / theory[anchor]), color=colour, linewidth=0.9, dashes=(4, 3))
    return float(x[-1]), float(t[-1]), label, colour


def backends(panels: Mapping[str, Mapping[str, Series]], title: str, columns: int) -> str:
    """One solver of each family on every backend: a panel for each family, a line for each backend."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    look = dict(zip(names, zip(COLOURS, MARKERS, strict=False), strict=False))
    given = {"above": 0.9, "each": 2.25, "width": 2.45 * columns}
    with multiples(title, len(panels), columns, **given) as (figure, axes, out):
        for (family, lines), one in zip(panels.items(), axes, strict=True):
            for name, line in lines.items():
                _points(one, line.points, *look[name])
                one.plot(line.valid["x"], line.valid["value"], color=look[name][0], linewidth=1.0)
            head = next(iter(lines.values())).head
            sizes = _sizes(line.points for line in lines.values())
            set_axes(one, x=sizes[:: -(-len(sizes) // 4)], y="seconds")
            one.set_title(family, loc="left", fontweight="bold")
            one.set_xlabel(textwrap.fill(f"{head['title']}, {head['x_name']}", 30), fontsize=8.5)
        for name, (colour, marker) in look.items():
            axes[0].plot([], [], color=colour, marker=marker, label=name)
        figure.legend(loc="outside lower left", ncols=len(names))
    return out[0]


def parts(shares: pd.DataFrame, title: str) -> str:
    """Where time goes: of each row the parts of a time, as bars that add up to 1, the last of them faint."""
    with drawing(title, height=1.35 + 0.27 * len(shares)) as (figure, axes, out):
        names = [textwrap.fill(row, 48) for row in shares.index]
        left = shares.cumsum(axis=1) - shares
        for name, colour in zip(shares, [*list(COLOURS)[: len(shares.columns) - 1], FAINT], strict=True):
            alpha = 0.35 if colour == FAINT else 0.9
            axes.barh(names, shares[name], left=left[name], color=colour, alpha=alpha, height=0.66, label=name)
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75, 1))
        axes.xaxis.set_major_formatter(lambda value, _: share(value))
        figure.legend(loc="outside lower left", ncols=4)
    return out[0]


def _by_family(figure: Any, axes: Any, points: pd.DataFrame, x: str, y: str, **options: Any) -> None:
    """A marker for each family, hollow where a row is, with a line through rows of one ``line``."""
    for (family, rows), look in zip(points.groupby("family"), styles(), strict=False):
        axes.plot([], [], label=family, **look, **options)
        for (_, hollow), part in rows.groupby(["line", "hollow"]):
            axes.plot(part[x], part[y], **{**look, **({"markerfacecolor": "none"} if hollow else {})}, **options)
    figure.legend(loc="outside right center", handlelength=1.2)


def roofline(points: pd.DataFrame, flops_per_s: float, bytes_per_s: float, title: str) -> str:
    """Attained flop/s against arithmetic intensity below the two measured ceilings, inf where one is not known."""
    with drawing(title, height=4.0) as (figure, axes, out):
        intensity = points["flops"] / points["bytes"]
        placed = points.assign(intensity=intensity, rate=points["flops"] / points["value"], hollow=False)
        _by_family(figure, axes, placed, "intensity", "rate", linewidth=0.7)
        low, high = intensity.min() / 2, intensity.max() * 2
        if math.isfinite(flops_per_s) and math.isfinite(bytes_per_s):
            low, high = min(low, flops_per_s / bytes_per_s / 4), max(high, flops_per_s / bytes_per_s * 4)
        reach = np.geomspace(low, high, 200)
        roof = np.minimum(flops_per_s, bytes_per_s * reach)
        axes.plot(reach, roof, color=INK)
        if math.isfinite(flops_per_s):
            note(axes, quantity(flops_per_s, "flop/s"), (high, flops_per_s), (0, 4), ha="right")
        if math.isfinite(bytes_per_s):
            note(axes, quantity(bytes_per_s, "byte/s"), (low, roof[0]), (6, -2), va="top")
        set_axes(axes, x="ratio", y="flop/s", xlabel="arithmetic intensity, flop/byte", ylabel="attained rate")
    return out[0]


def prediction(points: pd.DataFrame, title: str) -> str:
    """Measured against predicted time, with a line where they are equal and a band of a factor two."""
    with drawing(title, height=4.6) as (figure, axes, out):
        _by_family(figure, axes, points.assign(line=0, hollow=False), "predicted", "value", linestyle="none")
        both = points[["predicted", "value"]]
        ends = np.array([both.min().min() / 2, both.max().max() * 2])
        axes.fill_between(ends, ends / 2, ends * 2, color=FAINT, alpha=0.2, linewidth=0)
        axes.plot(ends, ends, color=INK, linewidth=0.9)
        words = {"xlabel": "predicted from costs and ceilings", "ylabel": "measured"}
        set_axes(axes, x="seconds", y="seconds", xlim=ends, ylim=ends, **words)
        note(axes, "equal, and a factor 2", (ends[1], ends[1]), (-24, -4), ha="right")
    return out[0]


def elsewhere(points: pd.DataFrame, title: str) -> str:
    """Predicted speed-up of another machine against the time measured here; hollow where launches would bound it."""
    with drawing(title, height=4.2) as (figure, axes, out):
        marked = points.assign(line=0, hollow=points["launch_bound"])
        _by_family(figure, axes, marked, "here", "speedup", linestyle="none")
        axes.axhline(1.0, color=INK, linewidth=0.9)
        set_axes(axes, x="seconds", y="ratio", xlabel="time measured here", ylabel="predicted speed-up")
    return out[0]


def ratios(points: pd.DataFrame, title: str, abscissa: str) -> str:
    """Ratios in rows under the heading of their group, a marker for each name, with a line at 1.

    Each row of `points` is a ratio: its ``group``, ``row`` and ``name``, ``value``, ``low`` and ``high``, and whether
    it is ``hollow``, that of a doubtful answer.
    """
    from matplotlib.transforms import blended_transform_factory

    places: dict[tuple[str, str], int] = {}
    for headings, (group, within) in enumerate(points.groupby("group", sort=False), start=1):
        for row in within["row"].unique():
            places[group, row] = headings + len(places)
    line = np.array([places[where] for where in zip(points["group"], points["row"], strict=True)])
    # Names of one row are a little apart, otherwise equal ratios would hide each other.
    rows = points.groupby(["group", "row"], sort=False)
    apart = (rows.cumcount() + 0.5) / rows["name"].transform("size") - 0.5
    placed, last = points.assign(line=line, y=line + 0.6 * apart), line.max()
    with drawing(title, height=1.4 + 0.215 * last) as (figure, axes, out):
        for (name, part), look in zip(placed.groupby("name", sort=False), styles(), strict=False):
            bars = [part["value"] - part["low"], part["high"] - part["value"]]
            axes.errorbar(part["value"], part["y"], xerr=bars, fmt="none", ecolor=look["color"], elinewidth=1.0)
            axes.plot([], [], linestyle="none", label=name, **look)
            for hollow, some in part.groupby("hollow"):
                face = "none" if hollow else look["markerfacecolor"]
                axes.plot(some["value"], some["y"], linestyle="none", **{**look, "markerfacecolor": face})
        limits = min(points["low"].min() / 1.2, 0.8), max(points["high"].max() * 1.2, 1.25)
        set_axes(axes, x="ratio", xlim=limits, ylim=(last + 0.6, -0.6), xlabel=abscissa)
        names = [textwrap.shorten(row or "–", 44, placeholder=" …") for _, row in places]
        axes.set_yticks(list(places.values()), names, fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        ticks = [tick for tick in axes.get_xticks() if limits[0] < tick < limits[1]]
        for group, within in placed.groupby("group", sort=False):
            # Headings begin left of the axes and may be longer than what is there: no line crosses them.
            top, bottom = within["line"].min() - 0.5, within["line"].max() + 0.5
            axes.vlines(ticks, top, bottom, color=FAINT, alpha=0.25, linewidth=0.6)
            axes.vlines(1.0, top, bottom, color=INK, linewidth=0.9)
            where = {"transform": blended_transform_factory(figure.transFigure, axes.transData), "va": "center"}
            heading = textwrap.shorten(group, 64, placeholder=" …")
            axes.text(0.008, top - 0.5, heading, fontsize=9, fontweight="bold", **where).set_in_layout(False)
        figure.legend(loc="outside lower left", ncols=5, handlelength=1.2)
    return out[0]


def races(points: pd.DataFrame, title: str) -> str:
    """Times on a processor and an accelerator over the sizes that both were measured at, each race in its own axes."""
    found = list(points.groupby("race", sort=False))
    with multiples(title, len(found), 2, above=0.8, each=2.6) as (_, axes, out):
        for (race, rows), one in zip(found, axes, strict=True):
            last = rows.iloc[-1]
            for suffix, colour, marker in zip(("", "_accelerator"), COLOURS, MARKERS, strict=False):
                look = {"color": colour, "marker": marker, "linewidth": 1.1, "label": last["who" + suffix]}
                one.plot(rows["x"], rows["value" + suffix], **look)
            if math.isfinite(last["at"]):
                one.axvline(last["at"], color=INK, linewidth=0.8)
            set_axes(one, x=_sizes([rows]), y="seconds", xlabel=last["x_name"])
            one.set_title(textwrap.fill(race, 38), fontsize=9.5, loc="left")
            one.legend(loc="upper left", fontsize=8.5)
    return out[0]


def convergence(lines: Mapping[str, pd.DataFrame], title: str) -> str:
    """The error reached against the seconds that it took, a line for each solver, a marker for each stop."""
    with drawing(title, height=3.9) as (figure, axes, out):
        for (name, points), colour, marker in zip(lines.items(), COLOURS, MARKERS, strict=False):
            ordered = points.sort_values("value")
            axes.plot(ordered["value"], ordered["reached"], color=colour, marker=marker, linewidth=1.0, label=name)
        set_axes(axes, x="seconds", y="powers", xlabel="time of a whole call", ylabel="error")
        figure.legend(loc="outside lower left", ncols=3)
    return out[0]


def history(families: Mapping[str, pd.DataFrame], title: str) -> str:
    """Times over commits as multiples of the first, a panel for each family: thin lines of series, and their median.

    Each frame has a row for each commit and a column for each time.
    """
    given = {"above": 0.9, "each": 1.35, "sharex": True, "sharey": True}
    with multiples(title, len(families), 3, **given) as (figure, axes, out):
        for (family, times), one in zip(families.items(), axes, strict=True):
            one.axhline(1.0, color=FAINT, linewidth=0.8)
            one.plot(range(len(times)), times, color=FAINT, linewidth=0.5, alpha=0.6)
            look = {"color": next(iter(COLOURS)), "linewidth": 1.8, "marker": "o", "markersize": 3}
            one.plot(range(len(times)), times.median(axis=1), **look)
            one.set_title(family, loc="left", fontsize=9)
        low, high = np.nanquantile(pd.concat(families.values(), axis=1).to_numpy(float), (0.02, 0.98))
        set_axes(axes[0], y="ratio", ylim=(min(0.8, low), max(1.25, high)))
        axes[0].set_xticks([0, len(times) - 1], [times.index[0][:7], times.index[-1][:7]], fontsize=8)
        figure.supylabel("time / time at the first commit", fontsize=9)
    return out[0]
