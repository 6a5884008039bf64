"""A machine that one does not have: times predicted from its published figures, beside those measured here.

Which methods would be bound by launches there, and from which size on it would overtake this machine.  Nothing of this
is measured there, and what the data sheet promises is hardly reached: sizes are least sizes, speed-ups greatest ones.
"""

from __future__ import annotations

import math

import pandas as pd

from xpsolve.report.crossover import crossover
from xpsolve.report.model import THEORY, Model
from xpsolve.report.peers import takes_part

LAUNCHING = 0.5  # of the time, beyond which launches and host reads are what bounds a method
_SERIES = ["machine", "environment", "family", "title", "benchmark", "series"]


def predict_machine(frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    """What the current times would be on another machine, such as one of `xpsolve.report.model.GPUS`.

    Of the tidy table or of ``results.csv``, a row per point of a right answer on NumPy in float64 that states its cost:
    ``here``, the seconds measured; ``here_predicted``, what this machine's own model says; ``there``, the seconds
    predicted; ``speedup`` = here / there; ``bound``, what takes most of ``there``; ``launching``, the part of it that
    launches and host reads take, and ``launch_bound`` where that is more than half.

    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.model import GPUS
    >>> from xpsolve.report.table import tidy
    >>> predict_machine(tidy(Measurements()), GPUS["NVIDIA H100 SXM"]).empty
    True
    """
    columns = [*_SERIES, "method", "params", "x_name", "x", "here", "here_predicted", "there", "speedup", "bound"]
    columns += ["launching", "launch_bound"]
    if frame.empty:
        return pd.DataFrame(columns=columns)
    sound = frame["current"] & frame["role"].eq("time") & frame["status"].eq("ok") & frame["valid"] & frame["steady"]
    ours = frame["backend"].eq("numpy") & frame["dtype"].eq("float64") & ~takes_part(frame)
    found = frame[sound & ours & frame["flops"].notna() & (frame["launches"] > 0)].reset_index(drop=True)
    stated = found.reindex(columns=THEORY, fill_value=0.0).astype(float)
    parts = pd.DataFrame(model.parts(**{name: stated[name].to_numpy() for name in THEORY}), index=found.index)
    there = parts.sum(axis=1)
    launching = parts[["launches", "host reads"]].sum(axis=1) / there
    return found.assign(
        here=found["value"],
        here_predicted=found["predicted"],
        there=there,
        speedup=found["value"] / there,
        bound=parts.idxmax(axis=1),
        launching=launching,
        launch_bound=launching > LAUNCHING,
    )[columns]


def predict_series(points: pd.DataFrame) -> pd.DataFrame:
    """From which size on the other machine would be faster, and up to which size its launches would bound it.

    Of the rows of `predict_machine`, one per series of two sizes or more: ``overtakes``, the size from which on the
    other machine is faster (−inf where it is so throughout, +inf where it is nowhere); ``launch_bound_to``, the largest
    size at which launches take more than half of the time there (NaN where they never do); ``smallest``, ``largest``,
    and ``speedup`` at the largest.
    """
    rows = []
    for key, series in points[points["x"] > 0].groupby(_SERIES, sort=False):
        line = series.sort_values("x").drop_duplicates("x")
        if len(line) > 1:
            met = crossover(line["x"], line["here"], line["there"], draws=1)
            # `met` is where the curves cross, whichever is ahead afterwards.
            ahead = math.inf if met.right == 0 else met.at if met.left == 0 else -math.inf
            bound = line.loc[line["launch_bound"], "x"].max()
            ends = line["x"].iloc[0], line["x"].iloc[-1]
            rows.append([*key, line["x_name"].iloc[0], ahead, bound, *ends, line["speedup"].iloc[-1]])
    return pd.DataFrame(
        rows, columns=[*_SERIES, "x_name", "overtakes", "launch_bound_to", "smallest", "largest", "speedup"]
    )
