"""One law for all sizes of a method: log t = c + α log n + β log p + γ log L, over all its benchmarks together.

A sweep gives one exponent with all else fixed.  Here every sweep of a method counts at once, with a level c of its own
for each, since one may do fifty iterations and another go to a tolerance: least squares on the logarithms, less their
means over each sweep.  The theory is the cost at the same points, fitted in the same way.  Sweeps that a constant
dominates, and launch-bound points, have no power law and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from xpsolve.report.findings import Series, series
from xpsolve.report.verdict import Kind, judge

Matrix = npt.NDArray[np.float64]

LENGTHS = ("n", "p", "depth")
"""Columns of the table that are lengths of a problem: samples, features, layers or steps."""

ALIKE = 100.0
"""Lengths whose design is worse conditioned than this vary together: their exponents cannot be distinguished."""

_GROUP = ["machine", "environment", "family", "method", "backend", "dtype", "mode"]
_SWEEP = ["benchmark", "series"]
COLUMNS = [*_GROUP, "length", "smallest", "largest", "points", "sweeps", "exponent", "low", "high", "theory"]
COLUMNS += ["kind", "cause", "rms"]


def joint_fits(frame: pd.DataFrame, lines: Sequence[Series] | None = None) -> pd.DataFrame:
    """Exponents of every method in all of its lengths together, of the tidy table and its fitted series.

    A row per machine, environment, family, method, backend, dtype, mode and length, for methods of which at least two
    lengths are swept: ``exponent`` with its 95 % interval ``low``, ``high``; ``theory``, that of the cost at the same
    points; the ``kind`` of the verdict and its ``cause``, as in `xpsolve.report.verdict`; ``smallest`` and ``largest``
    length; ``points``, ``sweeps``, and ``rms``, the scatter of log t about the law.
    """
    if frame.empty:
        return pd.DataFrame(columns=COLUMNS)
    found = series(frame) if lines is None else lines
    constant = {line.key for line in found if line.verdict.kind == Kind.FLOOR_BOUND}
    points = frame[(frame["role"] == "time") & frame["current"] & (frame["status"] == "ok")]
    points = points[points["valid"] & points["steady"] & (points["value"] > 0) & points["x_name"].isin(LENGTHS)]
    points = points[points["bound"] != "launches"]
    keys = points[["machine", "environment", *_SWEEP]].itertuples(index=False, name=None)
    points = points[np.array([key not in constant for key in keys], dtype=bool)]
    rows = [row for group, of in points.groupby(_GROUP, sort=False) for row in _fit(group, of)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _fit(group: Any, points: pd.DataFrame) -> list[list[Any]]:
    """The rows of one method; none where fewer than two of its lengths are swept."""
    swept = [name for name in LENGTHS if points.groupby(_SWEEP)[name].nunique().gt(1).any()]
    points = points.dropna(subset=swept)
    design, sweeps = _centred(points, swept), points.groupby(_SWEEP).ngroups
    freedom = len(points) - len(swept) - sweeps
    # Along n·p = const alone, the two exponents cannot be distinguished.
    if len(swept) < 2 or freedom < 1 or np.linalg.cond(design) > ALIKE:
        return []
    measured = _centred(points, ["value"])[:, 0]
    slopes = np.linalg.lstsq(design, measured)[0]
    rss = float(np.sum((measured - design @ slopes) ** 2))
    covariance = np.linalg.inv(design.T @ design) * rss / freedom
    half = float(stats.t.ppf(0.975, freedom)) * np.sqrt(np.diag(covariance))
    theory = np.full(len(swept), math.nan)
    # The exponents of the time that the cost predicts at the same points, else of its flops.
    stated = [name for name in ("work", "flops") if name in points and (points[name] > 0).all()]
    if stated:
        theory = np.linalg.lstsq(design, _centred(points, stated[:1])[:, 0])[0]
    rows = []
    for i, name in enumerate(swept):
        span = points[name].min(), points[name].max()
        ends = slopes[i] - half[i], slopes[i] + half[i]
        judged = judge(slopes[i], ends, theory[i], points=points[name].nunique(), span=span[1] / span[0])
        said = judged.kind.value, judged.cause.kind if judged.cause else ""
        fitted = slopes[i], *ends, theory[i], *said, math.sqrt(rss / len(points))
        rows.append([*group, name, *span, len(points), sweeps, *fitted])
    return rows


def _centred(points: pd.DataFrame, columns: Sequence[str]) -> Matrix:
    """Logarithms, less their mean over each sweep."""
    logs = np.log(points[list(columns)].astype(np.float64))
    return np.asarray(logs - logs.groupby([points[name] for name in _SWEEP]).transform("mean"), dtype=np.float64)
