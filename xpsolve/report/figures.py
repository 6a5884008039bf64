"""All figures of a report but the gallery: times with fits and theory, limits, backends, peers, history, convergence.

Measured points carry asv's 99 % interval, wrong ones are hollow; a fit is a solid line, the theoretical cost a thin
dashed one through the largest valid size.  Lines differ by marker as well as by colour.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import exponent, number, quantity
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, drawing, label_ends, note, scale
from xpsolve.report.verdict import Verdict

__all__ = [
    "Dot",
    "Race",
    "backends",
    "convergence",
    "elsewhere",
    "history",
    "parts",
    "prediction",
    "races",
    "ratios",
    "roofline",
]
__all__ += ["scaling", "strip"]


@dataclass(frozen=True)
class Dot:
    """One ratio with its interval, in a row of a group of a figure; a hollow one belongs to a doubtful answer."""

    group: str
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


def styles() -> Iterator[dict[str, Any]]:
    """Colour, marker and filled or not: enough for two dozen lines before any looks like another."""
    while True:
        for filled in (True, False):
            for shift in range(len(MARKERS)):
                for i, colour in enumerate(COLOURS):
                    face = colour if filled else "none"
                    yield {"color": colour, "marker": MARKERS[(i + shift) % len(MARKERS)], "markerfacecolor": face}


def scaling(lines: Sequence[Series], pairs: Sequence[Pair], title: str) -> str:
    """Time against size for up to six series, with fits, theory, and crossings shaded over their interval."""
    if len(lines) > len(MARKERS):
        raise ValueError(f"lines: expected at most {len(MARKERS)}, got {len(lines)}; split them over figures")
    shared = [{(k, str(v)) for k, v in line.params.items()} for line in lines]
    common = set.intersection(*shared) if len(lines) > 1 else set()
    with drawing(title, height=3.9) as (_, axes, out):
        ends = []
        for line, colour, marker in zip(lines, COLOURS, MARKERS, strict=False):
            own = line.named({k: v for k, v in line.params.items() if (k, str(v)) not in common})
            # What a single line shows is in the title.
            ends.append(_line(axes, line, colour, marker, textwrap.fill(own, 15) if len(lines) > 1 else ""))
        scale(axes, x=_apart([x for line in lines for x in line.points["x"]]), y="seconds")
        axes.set(xlabel=str(lines[0].head["x_name"]) if lines else "", ylabel="time")
        for i, pair in enumerate(pairs):
            crossing = pair.crossing
            if math.isfinite(crossing.at):
                low, high = max(crossing.low, crossing.first), min(crossing.high, crossing.last)
                axes.axvspan(low, high, color=FAINT, alpha=0.25, linewidth=0)
                axes.axvline(crossing.at, color=INK, linewidth=0.8)
                words = f"{pair.first.head['x_name']} = {number(crossing.at)}"
                note(axes, words, (crossing.at, 0.02 + 0.06 * i), (5, 0), xycoords=("data", "axes fraction"))
        label_ends(axes, ends, room=0.062 * max((words.count("\n") + 1 for _, _, words, _ in ends), default=1))
    return out[0]


def _apart(sizes: Sequence[float]) -> list[float]:
    """Of the measured sizes, which are the best ticks, those whose names do not touch."""
    ticks: list[float] = []
    for size in sorted(set(sizes)):
        if not ticks or math.log(size / ticks[-1]) > 0.09 * math.log(max(sizes) / min(sizes)):
            ticks.append(size)
    return ticks or [1.0]


def _points(axes: Any, points: pd.DataFrame, x: str, colour: str, marker: str) -> None:
    """Times with their intervals; hollow where the answer is wrong, a cross where the time is uncertain."""
    t = points["value"].to_numpy(float)
    # On a logarithmic axis a bar to zero would have no end.
    below = np.nan_to_num(t - points["lower"].to_numpy(float).clip(t / 5)).clip(0)
    above = np.nan_to_num(points["upper"].to_numpy(float) - t).clip(0)
    axes.errorbar(points[x], t, (below, above), fmt="none", ecolor=colour, elinewidth=1.0, capsize=2)
    valid, steady = points["valid"], points["steady"]
    for chosen, shape, face in (
        (valid & steady, marker, colour),
        (~valid, marker, "none"),
        (valid & ~steady, "x", colour),
    ):
        here = points[chosen]
        axes.plot(here[x], here["value"], shape, color=colour, markerfacecolor=face, markersize=5.5)


def _line(axes: Any, line: Series, colour: str, marker: str, label: str) -> tuple[float, float, str, str]:
    _points(axes, line.points, "x", colour, marker)
    last = line.points.iloc[-1]
    if line.law is None:
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


def strip(found: Verdict) -> str:
    """A measured exponent (dot) with its interval (line) and the theory (tick) from 0 to 3, as inline SVG."""

    def x(value: float) -> str:
        return f"{4 + 38 * min(max(value, -0.05), 3.05):.1f}"

    low, high = found.interval
    drawn = "".join(f'<path class="grid" d="M{x(one)} 2V16"/>' for one in range(4))
    if found.measured and high - low <= 3:
        drawn += f'<path class="bar" d="M{x(low)} 9H{x(high)}"/><circle cx="{x(found.value)}" cy="9" r="3.2"/>'
    if math.isfinite(found.theory):
        drawn += f'<path class="theory" d="M{x(found.theory)} 2V16"/>'
    kind = found.kind.replace(" ", "-")
    return f'<svg class="strip {kind}" viewBox="0 0 124 18" width="124" height="18" aria-hidden="true">{drawn}</svg>'


def backends(panels: Mapping[str, Mapping[str, Series]], title: str, columns: int) -> str:
    """One solver of each family on every backend: a panel for each family, a line for each backend."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    look = dict(zip(names, zip(COLOURS, MARKERS, strict=False), strict=False))
    width, columns = 2.45 * columns, min(columns, len(panels))
    rows = -(-len(panels) // columns)
    options = {"rows": rows, "height": 0.9 + 2.25 * rows, "squeeze": False, "width": width}
    with drawing(title, columns, **options) as (figure, axes, out):
        for (family, lines), one in zip(panels.items(), axes.flat, strict=False):
            for name, line in lines.items():
                colour, marker = look[name]
                _points(one, line.points, "x", colour, marker)
                one.plot(line.valid["x"], line.valid["value"], color=colour, linewidth=1.0)
            head = next(iter(lines.values())).head
            sizes = _apart([x for line in lines.values() for x in line.points["x"]])
            scale(one, x=sizes[:: max(1, -(-len(sizes) // 4))], y="seconds")
            one.set_title(family, loc="left", fontweight="bold")
            one.set_xlabel(textwrap.fill(f"{head['title']}, {head['x_name']}", 34), fontsize=8.5)
        for name, (colour, marker) in look.items():
            axes.flat[0].plot([], [], color=colour, marker=marker, label=name)
        for unused in axes.flat[len(panels) :]:
            unused.set_visible(False)
        figure.legend(loc="outside lower left", ncols=len(names))
    return out[0]


def parts(shares: pd.DataFrame, title: str) -> str:
    """Where time goes: of each row the parts of a time, as bars that add up to 1.

    The index are the rows' names, the columns those of the parts; the last part is drawn faint.
    """
    with drawing(title, height=1.35 + 0.27 * len(shares)) as (figure, axes, out):
        left = np.zeros(len(shares))
        for name, colour in zip(shares, [*list(COLOURS)[: len(shares.columns) - 1], FAINT], strict=True):
            alpha = 0.35 if colour == FAINT else 0.9
            axes.barh(range(len(shares)), shares[name], left=left, color=colour, alpha=alpha, height=0.66, label=name)
            left += shares[name].to_numpy(float)
        axes.set_yticks(range(len(shares)), [textwrap.fill(str(row), 48) for row in shares.index], fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75, 1))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        figure.legend(loc="outside lower left", ncols=4)
    return out[0]


def roofline(points: pd.DataFrame, flops_per_s: float, bytes_per_s: float, title: str) -> str:
    """Attained flop/s against arithmetic intensity below the two measured ceilings, inf where one is not known."""
    with drawing(title, height=4.0) as (figure, axes, out):
        intensity = points["flops"] / points["bytes"]
        for (family, group), look in zip(points.groupby("family"), styles(), strict=False):
            for i, (_, one) in enumerate(group.groupby("line")):
                label = None if i else family
                axes.plot(intensity[one.index], one["flops"] / one["value"], linewidth=0.7, label=label, **look)
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
        scale(axes, x="ratio", y="flop/s")
        axes.set(xlabel="arithmetic intensity, flop/byte", ylabel="attained rate")
        figure.legend(loc="outside right center")
    return out[0]


def prediction(points: pd.DataFrame, title: str) -> str:
    """Measured against predicted time, with a line where they are equal and a band of a factor two."""
    with drawing(title, height=4.6) as (figure, axes, out):
        for (family, group), look in zip(points.groupby("family"), styles(), strict=False):
            axes.plot(group["predicted"], group["value"], linestyle="none", label=family, **look)
        both = points[["predicted", "value"]]
        ends = np.array([both.min().min() / 2, both.max().max() * 2])
        axes.fill_between(ends, ends / 2, ends * 2, color=FAINT, alpha=0.2, linewidth=0)
        axes.plot(ends, ends, color=INK, linewidth=0.9)
        axes.set(xlim=ends, ylim=ends, xlabel="predicted from costs and ceilings", ylabel="measured")
        scale(axes, x="seconds", y="seconds")
        note(axes, "equal, and a factor 2", (ends[1], ends[1]), (-24, -4), ha="right")
        figure.legend(loc="outside right center", handlelength=1.2)
    return out[0]


def ratios(dots: Sequence[Dot], title: str, abscissa: str) -> str:
    """Ratios in rows under the heading of their group, a marker for each name, with a line at 1."""
    from matplotlib.transforms import blended_transform_factory

    names = list(dict.fromkeys(dot.name for dot in dots))
    places: dict[tuple[str, str], float] = {}
    headings: dict[str, float] = {}
    down = 0.0
    for dot in sorted(dots, key=lambda dot: list(dict.fromkeys(one.group for one in dots)).index(dot.group)):
        if dot.group not in headings:
            headings[dot.group], down = down, down + 1.0
        if (dot.group, dot.row) not in places:
            places[dot.group, dot.row], down = down, down + 1.0
    with drawing(title, height=1.2 + 0.215 * down) as (figure, axes, out):
        within = {place: [dot.name for dot in dots if (dot.group, dot.row) == place] for place in places}
        for name, look in zip(names, styles(), strict=False):
            axes.plot([], [], linestyle="none", label=name, **look)
            for dot in (dot for dot in dots if dot.name == name):
                # Names of one row are a little apart, otherwise equal ratios would hide each other.
                place = (dot.group, dot.row)
                y = places[place] + 0.6 * ((within[place].index(name) + 0.5) / len(within[place]) - 0.5)
                bar = [[dot.value - dot.low], [dot.high - dot.value]]
                axes.errorbar([dot.value], [y], xerr=bar, fmt="none", ecolor=look["color"], elinewidth=1.0)
                axes.plot([dot.value], [y], **{**look, **({"markerfacecolor": "none"} if dot.hollow else {})})
        axes.axvline(1.0, color=INK, linewidth=0.9)
        low, high = min(dot.low for dot in dots), max(dot.high for dot in dots)
        axes.set_xlim(min(low / 1.2, 0.8), max(high * 1.2, 1.25))
        scale(axes, x="ratio")
        axes.grid(visible=False, axis="y")
        across = blended_transform_factory(figure.transFigure, axes.transData)
        rows = [textwrap.shorten(row or "–", 44, placeholder=" …") for _, row in places]
        axes.set_yticks(list(places.values()), rows, fontsize=9)
        for group, y in headings.items():
            words = axes.text(
                0.008,
                y,
                textwrap.shorten(group, 64, placeholder=" …"),
                transform=across,
                fontsize=9,
                fontweight="bold",
                va="center",
            )
            words.set_in_layout(False)  # it may go over the axes
        axes.tick_params(axis="y", length=0)
        axes.set(ylim=(down - 0.4, -0.6), xlabel=abscissa)
        figure.legend(loc="outside lower left", ncols=5, handlelength=1.2)
    return out[0]


def races(found: Sequence[Race], title: str) -> str:
    """Up to six races of two devices, each in its own axes."""
    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    with drawing(title, columns, rows=rows, height=0.8 + 2.6 * rows, squeeze=False) as (_, axes, out):
        for one, each in zip(found, axes.flat, strict=False):
            for time, name, colour, marker in zip(one.times, one.names, COLOURS, MARKERS, strict=False):
                each.plot(one.x, time, marker=marker, color=colour, linewidth=1.1, label=name)
            if np.isfinite(one.at):
                each.axvline(one.at, color=INK, linewidth=0.8)
            scale(each, x=_apart(one.x), y="seconds")
            each.set_title(textwrap.fill(one.title, 38), fontsize=9.5, loc="left")
            each.set_xlabel(one.x_name)
            each.legend(loc="upper left", fontsize=8.5)
        for each in axes.flat[len(found) :]:
            each.set_visible(False)
    return out[0]


def convergence(lines: Sequence[pd.DataFrame], names: Sequence[str], what: str, title: str) -> str:
    """What an answer has reached against the seconds that it took, a line for each solver, a marker for each stop."""
    with drawing(title, height=3.9) as (figure, axes, out):
        for points, name, colour, marker in zip(lines, names, COLOURS, MARKERS, strict=False):
            points = points.sort_values("value")
            axes.plot(points["value"], points["reached"], color=colour, marker=marker, linewidth=1.0, label=name)
        scale(axes, x="seconds", y="powers")
        axes.set(xlabel="time of a whole call", ylabel=what)
        figure.legend(loc="outside lower left", ncols=3)
    return out[0]


def elsewhere(points: pd.DataFrame, title: str) -> str:
    """Predicted speed-up of another machine against the time measured here; hollow where launches would bound it."""
    with drawing(title, height=4.2) as (figure, axes, out):
        for (family, group), look in zip(points.groupby("family"), styles(), strict=False):
            axes.plot([], [], linestyle="none", label=family, **look)
            for bound, part in group.groupby("launch_bound"):
                face = {"markerfacecolor": "none"} if bound else {}
                axes.plot(part["here"], part["speedup"], linestyle="none", **{**look, **face})
        axes.axhline(1.0, color=INK, linewidth=0.9)
        scale(axes, x="seconds", y="ratio")
        axes.set(xlabel="time measured here", ylabel="predicted speed-up")
        figure.legend(loc="outside right center", handlelength=1.2)
    return out[0]


def history(families: Mapping[str, pd.DataFrame], commits: Sequence[str], title: str) -> str:
    """Times over commits as multiples of the first, a panel for each family: thin lines of series, and their median.

    Each frame has a row for each commit and a column for each time.
    """
    columns = min(3, len(families))
    rows = -(-len(families) // columns)
    options = {"rows": rows, "height": 0.9 + 1.35 * rows, "squeeze": False, "sharex": True, "sharey": True}
    with drawing(title, columns, **options) as (figure, axes, out):
        blue = next(iter(COLOURS))
        for (family, times), one in zip(families.items(), axes.flat, strict=False):
            one.axhline(1.0, color=FAINT, linewidth=0.8)
            one.plot(range(len(commits)), times, color=FAINT, linewidth=0.5, alpha=0.6)
            one.plot(range(len(commits)), times.median(axis=1), color=blue, linewidth=1.8, marker="o", markersize=3)
            one.set_title(family, loc="left", fontsize=9)
        whole = pd.concat(families.values(), axis=1).to_numpy(float)
        axes.flat[0].set_ylim(min(0.8, np.nanquantile(whole, 0.02)), max(1.25, np.nanquantile(whole, 0.98)))
        scale(axes.flat[0], y="ratio")
        axes.flat[0].set_xticks([0, len(commits) - 1], [commits[0], commits[-1]], fontsize=8)
        for unused in axes.flat[len(families) :]:
            unused.set_visible(False)
        figure.supylabel("time / time at the first commit", fontsize=9)
    return out[0]
