"""What the machine can do and how near each benchmark comes: rooflines and predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from xpsolve.report import figures, predicted
from xpsolve.report.findings import Series
from xpsolve.report.formats import number, readable, share
from xpsolve.report.runs import Runs
from xpsolve.report.sections import Figure, figure_of


def predictions(points: pd.DataFrame, runs: Runs) -> list[Figure]:
    """Predicted against measured time, one figure per run with the error as its title."""
    found = []
    for (machine, environment), part in points.groupby(["machine", "environment"], sort=False):
        one = predicted.error(part)
        if one is not None:
            svg = figures.prediction(part, one.sentence.removesuffix("."))
            alt = f"Measured against predicted time, a marker for each family. The worst is {one.where}."
            found.append(figure_of(runs.name(str(machine), str(environment)), ["predicted"], svg, one.sentence, alt))
    return found


def rooflines(lines: Sequence[Series], ceilings: pd.DataFrame, runs: Runs) -> list[Figure]:
    """Attained rates under the measured ceilings, one figure per run, backend and dtype."""
    placed: dict[tuple[str, str, str, str], list[pd.DataFrame]] = {}
    for line in lines:
        usable = line.valid[(line.valid["flops"] > 0) & (line.valid["bytes"] > 0) & line.valid["floor"].notna()]
        if len(usable):
            dtype = str(line.params.get("dtype", "float64"))
            rest = readable(line.params, without=("backend", "dtype"))
            label = f"{line.head['title']} ({rest})" if rest else str(line.head["title"])
            parts = placed.setdefault((*line.key[:2], str(line.params.get("backend", "")), dtype), [])
            parts.append(usable.assign(label=label, line=len(parts)))
    found = []
    for key, parts in placed.items():
        machine, environment, backend, dtype = key
        points = pd.concat(parts, ignore_index=True)
        own = (ceilings[["machine", "environment", "backend", "dtype"]] == list(key)).all(axis=1)
        peaks = ceilings[own].groupby("quantity")["value"].max()
        best = points.loc[points["share"].idxmax()]
        title = (
            f"{backend}, {dtype}: nearest to the machine's limits is {best['label']} "
            f"at {best['x_name']} = {number(best['x'])}, {share(best['share'])}"
        )
        flops, moved = (float(peaks.get(quantity, math.inf)) for quantity in ("flop/s", "byte/s"))
        svg = figures.roofline(points, flops, moved, title)
        alt = f"Attained flop/s against arithmetic intensity under the measured ceilings. {title}."
        found.append(figure_of(runs.name(machine, environment), ["roofline", backend, dtype], svg, title, alt))
    return found
