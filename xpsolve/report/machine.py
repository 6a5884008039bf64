"""What the machine can do and how near each benchmark comes: rooflines, ceilings, predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from xpsolve.report import figures, predicted
from xpsolve.report.findings import Series
from xpsolve.report.formats import number, readable, share
from xpsolve.report.runs import Runs
from xpsolve.report.sections import Figure, slug

__all__ = ["predictions", "rooflines"]


def predictions(points: pd.DataFrame, runs: Runs) -> list[Figure]:
    """Predicted against measured time, one figure per run with the error as its title."""
    found = []
    if points.empty:
        return []
    for (machine, environment), part in points.groupby(["machine", "environment"], sort=False):
        one = predicted.error(part)
        if one is None:
            continue
        run = runs.name(str(machine), str(environment))
        found.append(
            Figure(
                name=f"{slug('-'.join(word for word in (run, 'predicted') if word))}.svg",
                svg=figures.prediction(part, one.sentence.removesuffix(".")),
                title=f"{run}: {one.sentence}" if run else one.sentence,
                alt=f"Measured against predicted time, a marker for each family. The worst is {one.where}.",
            )
        )
    return found


def rooflines(lines: Sequence[Series], ceilings: pd.DataFrame, runs: Runs) -> list[Figure]:
    """Attained rates under the measured ceilings, one figure per run, backend and dtype."""
    found = []
    placed: dict[tuple[str, str, str, str], list[pd.DataFrame]] = {}
    for line in lines:
        usable = line.valid[(line.valid["flops"] > 0) & (line.valid["bytes"] > 0) & line.valid["floor"].notna()]
        if len(usable):
            dtype = str(line.params.get("dtype", "float64"))
            rest = {k: v for k, v in line.params.items() if k not in ("backend", "dtype")}
            label = f"{line.head['title']} ({readable(rest)})" if rest else str(line.head["title"])
            key = (*line.key[:2], str(line.params.get("backend", "")), dtype)
            placed.setdefault(key, []).append(usable.assign(label=label, line=len(placed.get(key, []))))
    for (machine, environment, backend, dtype), parts in placed.items():
        points = pd.concat(parts, ignore_index=True)
        here = ceilings[
            (ceilings["machine"] == machine)
            & (ceilings["environment"] == environment)
            & (ceilings["backend"] == backend)
            & ((ceilings["dtype"] == dtype) if "dtype" in ceilings else True)
        ]
        rate = here.loc[here["quantity"] == "flop/s", "value"].max()
        stream = here.loc[here["quantity"] == "byte/s", "value"].max()
        best = points.loc[points["share"].idxmax()]
        title = (
            f"{backend}, {dtype}: nearest to the machine's limits is {best['label']} "
            f"at {best['x_name']} = {number(best['x'])}, {share(best['share'])}"
        )
        run = runs.name(machine, environment)
        found.append(
            Figure(
                name=f"{slug('-'.join(w for w in (run, 'roofline', backend, dtype) if w))}.svg",
                svg=figures.roofline(
                    points,
                    math.inf if pd.isna(rate) else float(rate),
                    math.inf if pd.isna(stream) else float(stream),
                    title,
                ),
                title=f"{run}: {title}" if run else title,
                alt=f"Attained flop/s against arithmetic intensity under the measured ceilings. {title}.",
            )
        )
    return found
