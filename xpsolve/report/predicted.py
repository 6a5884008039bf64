"""Predicted against measured: the times from costs and ceilings alone, and how well they choose a method.

The prediction is that of `xpsolve.report.model`, from the run's own ceilings and nothing else.  Its error is
given as a factor, exp of the median of |log(measured/predicted)|.  A choice is measured by its loss, the time of the
method chosen over that of the fastest one; a loss under 1.05 is within run-to-run noise and counts as right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report import peers
from xpsolve.report.digest import LEVEL, Cell, RunName, Table, readable, text, with_run
from xpsolve.report.formats import number

__all__ = ["Choice", "Error", "choices", "choices_sentence", "choices_table", "error", "errors_table", "points"]

NEAR = 1.5  # factor within which a prediction is a good one
BY_COST, BY_AUTO = "least predicted time", 'method="auto"'


@dataclass(frozen=True)
class Error:
    """How far predictions are from times.

    Parameters
    ----------
    count : int
        How many times were predicted.
    factor : float
        Median factor between the two, whichever is larger.
    bias : float
        Median of measured over predicted.
    worst : float
        Measured over predicted where they differ most.
    where : str
        Where that was.
    within : float
        The part of the times that are within a factor 1.5 of the prediction.

    Examples
    --------
    >>> from xpsolve.report.predicted import Error
    >>> Error(12, 1.6, 1.4, 30.0, "ridge, n = 20").sentence
    'Of 12 times, half are within a factor 1.6 of what costs and ceilings predict; the worst takes 30 times as long.'
    """

    count: int
    factor: float
    bias: float
    worst: float
    where: str
    within: float = math.nan

    @property
    def sentence(self) -> str:
        """The error in words."""
        half = (
            f"Of {self.count} times, half are within a factor {number(self.factor)} of what costs and ceilings predict"
        )
        if self.worst >= 1:
            return f"{half}; the worst takes {number(self.worst)} times as long."
        return f"{half}; the worst takes {number(self.worst)} of the time."


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


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """The times that costs and ceilings predict.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.

    Returns
    -------
    pandas.DataFrame
        Current times of right answers, with ``ratio`` = measured over predicted.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.predicted import points
    >>> from xpsolve.report.table import tidy
    >>> points(tidy(Measurements())).empty
    True
    """
    if frame.empty:
        return frame
    usable = _times(frame)
    usable = usable[usable["predicted"] > 0]
    return usable.assign(ratio=usable["value"] / usable["predicted"])


def _times(frame: pd.DataFrame) -> pd.DataFrame:
    sound = frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & frame["valid"] & frame["steady"]
    return frame[sound & (frame["value"] > 0) & ~peers.takes_part(frame)]


def error(found: pd.DataFrame) -> Error | None:
    """Sum up predictions.

    Parameters
    ----------
    found : pandas.DataFrame
        Result of `points`, or a part of it.

    Returns
    -------
    Error or None
        None where nothing was predicted.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.predicted import error
    >>> rows = pd.DataFrame({"ratio": [1.0, 2.0, 0.5], "title": "a", "params": '{"n": 5}'})
    >>> error(rows).factor, error(rows).bias
    (2.0, 1.0)
    """
    if found.empty:
        return None
    distance = np.abs(np.log(found["ratio"].to_numpy(dtype=np.float64)))
    worst = found.iloc[int(np.argmax(distance))]
    return Error(
        len(found),
        float(np.exp(np.median(distance))),
        float(found["ratio"].median()),
        float(worst["ratio"]),
        f"{worst['title']}: {readable(worst['params'])}",
        float(np.mean(distance <= math.log(NEAR))),
    )


def errors_table(found: pd.DataFrame, run: RunName) -> Table:
    """The error of each family in each run.

    Parameters
    ----------
    found : pandas.DataFrame
        Result of `points`.
    run : callable
        Names the run of a machine and environment.

    Returns
    -------
    Table
        One row per family.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.predicted import errors_table
    >>> bool(errors_table(pd.DataFrame(), lambda *_: ""))
    False
    """
    columns = ["family", "times", "median factor", "measured / predicted", "worst", "where"]
    rows = []
    if not found.empty:
        for (machine, environment, family), part in found.groupby(["machine", "environment", "family"], sort=True):
            one = error(part)
            if one is not None:
                cells = [
                    text(family),
                    Cell(str(one.count), float(one.count)),
                    Cell(f"{number(one.factor)} ×", one.factor),
                    Cell(number(one.bias), one.bias),
                    Cell(number(one.worst), one.worst),
                    text(one.where),
                ]
                rows.append((run(str(machine), str(environment)), cells))
    return with_run(columns, rows)


def choices(frame: pd.DataFrame) -> list[Choice]:
    """Compare the method that cost picks, and the one that ``"auto"`` took, with the fastest one measured.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.

    Returns
    -------
    list of Choice
        One for each size with two methods or more.  A choice by cost needs a prediction for each of them.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.predicted import choices
    >>> from xpsolve.report.table import tidy
    >>> choices(tidy(Measurements()))
    []
    """
    if frame.empty:
        return []
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for _, row in _times(frame).iterrows():
        params = json.loads(row["params"])
        if "method" not in params:
            continue
        case = readable({k: v for k, v in params.items() if k != "method"})
        where = tuple(str(row[c]) for c in ("machine", "environment", "family", "title", "benchmark"))
        groups.setdefault((*where, case), {})[str(params["method"])] = row
    found = []
    for (machine, environment, family, title, _, case), methods in groups.items():
        auto = methods.pop("auto", None)
        if len(methods) < 2:
            continue
        fastest = min(methods, key=lambda method: float(methods[method]["value"]))
        least = float(methods[fastest]["value"])
        predicted = {method: float(row["predicted"]) for method, row in methods.items()}
        if all(time > 0 for time in predicted.values()):
            chosen = min(predicted, key=lambda method: predicted[method])
            loss = float(methods[chosen]["value"]) / least
            found.append(Choice(machine, environment, family, title, case, BY_COST, chosen, fastest, loss))
        if auto is not None:
            loss = float(auto["value"]) / least
            found.append(Choice(machine, environment, family, title, case, BY_AUTO, "auto", fastest, loss))
    return found


def choices_sentence(found: Sequence[Choice]) -> str:
    """How often choices were right, and how much the wrong ones lose.

    Parameters
    ----------
    found : sequence of Choice
        Result of `choices`.

    Returns
    -------
    str
        One sentence for each way to choose; empty where nothing could be compared.

    Examples
    --------
    >>> from xpsolve.report.predicted import choices_sentence
    >>> choices_sentence([])
    ''
    """
    said = []
    for by in (BY_COST, BY_AUTO):
        members = [one for one in found if one.by == by]
        if members:
            right = sum(one.right for one in members)
            worst = max(members, key=lambda one: one.loss)
            lost = math.exp(sum(math.log(max(one.loss, 1.0)) for one in members) / len(members)) - 1
            lossy = f"; on average it loses {100 * lost:.2g} %, at worst a factor {number(worst.loss)} ({worst.title})"
            what = f"The method with the {by}" if by == BY_COST else by
            loss = lossy if right < len(members) else ""
            said.append(f"{what} was the fastest measured in {right} of {len(members)} cases{loss}.")
    return " ".join(said)


def choices_table(found: Sequence[Choice], run: RunName) -> Table:
    """Right and wrong choices of each benchmark, and the worst of them.

    Parameters
    ----------
    found : sequence of Choice
        Result of `choices`.
    run : callable
        Names the run of a machine and environment.

    Returns
    -------
    Table
        One row for each benchmark and way to choose.

    Examples
    --------
    >>> from xpsolve.report.predicted import choices_table
    >>> bool(choices_table([], lambda *_: ""))
    False
    """
    groups: dict[tuple[str, str, str, str], list[Choice]] = {}
    for one in found:
        groups.setdefault((one.machine, one.environment, one.title, one.by), []).append(one)
    rows = []
    for (machine, environment, title, by), members in groups.items():
        worst = max(members, key=lambda one: one.loss)
        right = sum(one.right for one in members)
        where = "–" if worst.right else f"{worst.case}: {worst.chosen} chosen, {worst.fastest} faster"
        cells = [
            text(title),
            text(by),
            Cell(f"{right} of {len(members)}", right / len(members), "" if right == len(members) else "unresolved"),
            Cell(f"{number(max(worst.loss, 1.0))} ×", max(worst.loss, 1.0)),
            text(where),
        ]
        rows.append((run(machine, environment), cells))
    return with_run(["benchmark", "chosen by", "right", "worst loss", "where"], rows)
