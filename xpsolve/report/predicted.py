"""Predicted against measured: the times that the machine's model gives, and how well costs choose a method.

The prediction is that of `xpsolve.report.model`, from the run's own ceilings and nothing else.  Its error is given as a
factor, exp of the median of |log(measured/predicted)|.  A choice is measured by its loss, the time of the method chosen
over that of the fastest one; a loss under 1.05 is within run-to-run noise and counts as right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from xpsolve.report import peers
from xpsolve.report.digest import LEVEL, Cell, RunName, Table, measure, table
from xpsolve.report.formats import number, readable, times
from xpsolve.report.words import said

NEAR = 1.5  # factor within which a prediction is a good one
BY_COST, BY_AUTO = "least predicted time", 'method="auto"'
_RUN = ["machine", "environment", "family"]


@dataclass(frozen=True)
class Error:
    """How far predictions are from times.

    >>> Error(12, 1.6, 1.4, 30.0, "ridge, n = 20", 0.4).sentence
    'Of 12 times, half are within a factor 1.6 of what costs and ceilings predict; the worst takes 30 times as long.'
    """

    count: int
    factor: float  # between the two, whichever is larger: the median
    bias: float  # median of measured over predicted
    worst: float  # measured over predicted where they differ most
    where: str
    within: float  # the part of the times that are within a factor 1.5 of the prediction

    @property
    def sentence(self) -> str:
        """The error in words."""
        return said("predicted.txt", one=self)[0]


def _times(frame: pd.DataFrame) -> pd.DataFrame:
    sound = frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & frame["valid"] & frame["steady"]
    return frame[sound & (frame["value"] > 0) & ~peers.takes_part(frame)]


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """Current times of right answers that the model predicts, with ``ratio`` = measured over predicted."""
    if frame.empty:
        return frame
    usable = _times(frame)
    usable = usable[usable["predicted"] > 0]
    return usable.assign(ratio=usable["value"] / usable["predicted"])


def error(found: pd.DataFrame) -> Error | None:
    """The error of predictions, a part of `points`; None where nothing was predicted.

    >>> rows = pd.DataFrame({"ratio": [1.0, 2.0, 0.5], "title": "a", "params": '{"n": 5}'})
    >>> error(rows).factor, error(rows).bias
    (2.0, 1.0)
    """
    if found.empty:
        return None
    distance = np.abs(np.log(found["ratio"].to_numpy(dtype=np.float64)))
    worst = found.iloc[int(np.argmax(distance))]
    return Error(
        count=len(found),
        factor=float(np.exp(np.median(distance))),
        bias=float(found["ratio"].median()),
        worst=float(worst["ratio"]),
        where=f"{worst['title']}: {readable(worst['params'])}",
        within=float(np.mean(distance <= math.log(NEAR))),
    )


def errors_table(found: pd.DataFrame, run: RunName) -> Table:
    """The error of each family in each run."""
    groups = found.groupby(_RUN) if len(found) else ()
    columns = {
        "family": "family",
        "times": ("count", str),
        "median factor": ("factor", times),
        "measured / predicted": ("bias", number),
        "worst": ("worst", number),
        "where": "where",
    }
    return table([dict(zip(_RUN, key, strict=True)) | vars(error(part)) for key, part in groups], columns, run)


def choices(frame: pd.DataFrame) -> pd.DataFrame:
    """Compare the method that cost picks, and the one that ``"auto"`` took, with the fastest one measured.

    A row for each size with two methods or more and for each way to choose, which is in ``by``: `BY_COST`, where all
    methods there have a prediction, or `BY_AUTO`.  ``chosen`` is the method, ``fastest`` the best one, ``loss`` the
    time of the one over that of the other; ``right`` says whether that is within run-to-run noise.
    """
    if frame.empty:
        return frame
    rivals = _times(frame)
    params = rivals["params"].map(json.loads)
    rivals = rivals.assign(
        method=params.map(lambda given: given.get("method")),
        case=params.map(lambda given: readable(given, without=["method"])),
    ).dropna(subset="method")
    rivals = rivals.assign(place=rivals.groupby([*_RUN, "title", "case", "benchmark"], sort=False).ngroup())
    auto = rivals["method"] == "auto"
    methods = rivals[~auto]
    methods = methods[methods.groupby("place")["method"].transform("size") > 1]
    priced = methods[(methods["predicted"] > 0).groupby(methods["place"]).transform("all").astype(bool)]
    cheapest, best = (
        rows.sort_values(name, kind="stable").drop_duplicates("place")
        for rows, name in ((priced, "predicted"), (methods, "value"))
    )
    taken = pd.concat([cheapest.assign(by=BY_COST), rivals[auto].assign(by=BY_AUTO)])
    found = taken.merge(best[["place", "method", "value"]], on="place", suffixes=("", "_best"))
    found = found.rename(columns={"method": "chosen", "method_best": "fastest"}).sort_values("place", kind="stable")
    return found.assign(loss=found["value"] / found["value_best"]).assign(right=lambda rows: rows["loss"] < LEVEL)


def choices_sentence(found: pd.DataFrame) -> str:
    """How often choices were right, and how much the wrong ones lose; empty where nothing could be compared."""
    ways = [
        {
            "by": by,
            "right": members["right"].sum(),
            "of": len(members),
            "worst": members.loc[members["loss"].idxmax()],
            "lost": 100 * (stats.gmean(members["loss"].clip(lower=1.0)) - 1),
        }
        for by, members in (found.groupby("by") if len(found) else ())
    ]
    return " ".join(said("choices.txt", ways=ways))


def choices_table(found: pd.DataFrame, run: RunName) -> Table:
    """Right and wrong choices of each benchmark, and the worst of them."""
    if found.empty:
        return Table()
    groups = found.groupby(["machine", "environment", "title", "by"], sort=False)
    worst = found.loc[groups["loss"].idxmax()]
    worst = worst.assign(rights=groups["right"].sum().to_numpy(), of=groups.size().to_numpy())

    def right(row: Mapping[str, Any]) -> Cell:
        words = f"{row['rights']} of {row['of']}"
        return Cell(words, row["rights"] / row["of"], "" if row["rights"] == row["of"] else "not-measurable")

    columns = {
        "benchmark": "title",
        "chosen by": "by",
        "right": right,
        "worst loss": lambda row: measure(max(row["loss"], 1.0), times),
        "where": lambda row: "–" if row["right"] else f"{row['case']}: {row['chosen']} chosen, {row['fastest']} faster",
    }
    return table(worst, columns, run)
