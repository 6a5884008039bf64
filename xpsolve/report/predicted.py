"""Predicted against measured: the times that the machine's model gives, and how well costs choose a method.

The prediction is that of `xpsolve.report.model`, from the run's own ceilings and nothing else.  Its error is given as a
factor, exp of the median of |log(measured/predicted)|.  A choice is measured by its loss, the time of the method chosen
over that of the fastest one; a loss under 1.05 is within run-to-run noise and counts as right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from xpsolve.report import peers
from xpsolve.report.digest import LEVEL, Cell, RunName, Table, text, with_run
from xpsolve.report.formats import number, readable
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


@dataclass(frozen=True)
class Choice:
    """One size at which methods compete, and what was chosen there."""

    machine: str
    environment: str
    family: str
    title: str
    case: str
    by: str  # BY_COST or BY_AUTO
    chosen: str
    fastest: str
    loss: float  # its time over the least

    @property
    def right(self) -> bool:
        """Whether the choice is as fast as any, up to run-to-run noise."""
        return self.loss < LEVEL


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
    rows = []
    for (machine, environment, family), part in found.groupby(_RUN, sort=True) if len(found) else ():
        one = error(part)
        assert one is not None
        cells = [
            text(family),
            Cell(str(one.count), float(one.count)),
            Cell(f"{number(one.factor)} ×", one.factor),
            *(Cell(number(value), value) for value in (one.bias, one.worst)),
            text(one.where),
        ]
        rows.append((run(str(machine), str(environment)), cells))
    return with_run(["family", "times", "median factor", "measured / predicted", "worst", "where"], rows)


def choices(frame: pd.DataFrame) -> list[Choice]:
    """Compare the method that cost picks, and the one that ``"auto"`` took, with the fastest one measured.

    One choice for each size with two methods or more; a choice by cost needs a prediction for each of them.
    """
    if frame.empty:
        return []
    rivals = _times(frame)
    params = rivals["params"].map(json.loads)
    rivals = rivals.assign(
        method=params.map(lambda given: given.get("method")),
        case=params.map(lambda given: readable({k: v for k, v in given.items() if k != "method"})),
    ).dropna(subset="method")
    found = []
    for key, same in rivals.groupby([*_RUN, "title", "case", "benchmark"], sort=False):
        methods = same[same["method"] != "auto"]
        if len(methods) < 2:
            continue
        best = methods.loc[methods["value"].idxmin()]
        taken = [(BY_AUTO, row) for _, row in same[same["method"] == "auto"].iterrows()]
        if (methods["predicted"] > 0).all():
            taken.insert(0, (BY_COST, methods.loc[methods["predicted"].idxmin()]))
        for by, row in taken:
            loss = float(row["value"] / best["value"])
            where = dict(zip(("machine", "environment", "family", "title", "case"), key, strict=False))
            found.append(Choice(**where, by=by, chosen=row["method"], fastest=best["method"], loss=loss))
    return found


def choices_sentence(found: Sequence[Choice]) -> str:
    """How often choices were right, and how much the wrong ones lose; empty where nothing could be compared."""
    kinds = [members for by in (BY_COST, BY_AUTO) if (members := [one for one in found if one.by == by])]
    told = [
        {
            "by": members[0].by,
            "right": sum(one.right for one in members),
            "of": len(members),
            "worst": max(members, key=lambda one: one.loss),
            "lost": 100 * (stats.gmean([max(one.loss, 1.0) for one in members]) - 1),
        }
        for members in kinds
    ]
    return " ".join(said("choices.txt", told=told))


def choices_table(found: Sequence[Choice], run: RunName) -> Table:
    """Right and wrong choices of each benchmark, and the worst of them."""
    groups: dict[tuple[str, str, str, str], list[Choice]] = {}
    for one in found:
        groups.setdefault((one.machine, one.environment, one.title, one.by), []).append(one)
    rows = []
    for (machine, environment, title, by), members in groups.items():
        worst = max(members, key=lambda one: one.loss)
        right = sum(one.right for one in members)
        where = "–" if worst.right else f"{worst.case}: {worst.chosen} chosen, {worst.fastest} faster"
        cells = [
            *map(text, (title, by)),
            Cell(f"{right} of {len(members)}", right / len(members), "" if right == len(members) else "not-measurable"),
            Cell(f"{number(max(worst.loss, 1.0))} ×", max(worst.loss, 1.0)),
            text(where),
        ]
        rows.append((run(machine, environment), cells))
    return with_run(["benchmark", "chosen by", "right", "worst loss", "where"], rows)
