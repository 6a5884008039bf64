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

__all__ = ["LENGTHS", "joint_fits"]

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
    """Exponents of every method in all of its lengths together.

    Parameters
    ----------
    frame : pandas.DataFrame
        Result of `xpsolve.report.table.tidy`.
    lines : sequence of Series, optional
        Result of `xpsolve.report.findings.series`, if it is there already.

    Returns
    -------
    pandas.DataFrame
        A row per machine, environment, family, method, backend, dtype, mode and length, for methods of which at least
        two lengths are swept: ``exponent`` with its 95 % interval ``low``, ``high``; ``theory``, that of the cost at
        the same points; the ``kind`` of the verdict and its ``cause``, as in `xpsolve.report.verdict`; ``smallest`` and
        ``largest`` length; ``points``, ``sweeps``, and ``rms``, the scatter of log t about the law.

    Examples
    --------
    >>> from xpsolve.report.asv import Measurements
    >>> from xpsolve.report.joint import joint_fits
    >>> from xpsolve.report.table import tidy
    >>> list(joint_fits(tidy(Measurements())).columns[7:10])
    ['length', 'smallest', 'largest']
    """
    if frame.empty:
        return pd.DataFrame(columns=COLUMNS)
    found = series(frame) if lines is None else lines
    constant = {line.key for line in found if line.verdict.kind == Kind.FLOOR_BOUND}
    points = frame[(frame["role"] == "time") & frame["current"] & (frame["status"] == "ok")]
    points = points[points["valid"] & points["steady"] & (points["value"] > 0) & points["x_name"].isin(LENGTHS)]
    points = points[points["bound"] != "launches"]
    key = ["machine", "environment", *_SWEEP]
    kept = [tuple(row) not in constant for row in points[key].itertuples(index=False, name=None)]
    points = points[np.asarray(kept, dtype=bool)]
    rows = [row for group, of in points.groupby(_GROUP, sort=False) for row in _fit(group, of)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _fit(group: Any, points: pd.DataFrame) -> list[list[Any]]:
    """The rows of one method; none where fewer than two of its lengths are swept."""
    swept = [name for name in LENGTHS if points.groupby(_SWEEP)[name].nunique().gt(1).any()]
    points = points.dropna(subset=swept)
    design = _centred(points, points[swept])
    freedom = len(points) - len(swept) - points.groupby(_SWEEP).ngroups
    # Along n·p = const alone, the two exponents cannot be distinguished.
    if len(swept) < 2 or freedom < 1 or np.linalg.cond(design) > ALIKE:
        return []
    measured = _centred(points, points[["value"]])[:, 0]
    slopes = np.linalg.lstsq(design, measured)[0]
    rss = float(np.sum((measured - design @ slopes) ** 2))
    covariance = np.linalg.inv(design.T @ design) * rss / freedom
    half = float(stats.t.ppf(0.975, freedom)) * np.sqrt(np.diag(covariance))
    theory = _theory(points, design)
    rms = math.sqrt(rss / len(points))
    rows = []
    for i, name in enumerate(swept):
        span = points[name].min(), points[name].max()
        ends = slopes[i] - half[i], slopes[i] + half[i]
        judged = judge(slopes[i], ends, theory[i], points=points[name].nunique(), span=span[1] / span[0])
        counted = len(points), points.groupby(_SWEEP).ngroups
        said = judged.kind.value, judged.cause.kind if judged.cause else ""
        rows.append([*group, name, *span, *counted, slopes[i], *ends, theory[i], *said, rms])
    return rows


def _centred(points: pd.DataFrame, columns: pd.DataFrame) -> Matrix:
    """Logarithms, less their mean over each sweep."""
    logs = np.log(columns.astype(np.float64))
    return np.asarray(logs - logs.groupby([points[name] for name in _SWEEP]).transform("mean"), dtype=np.float64)


def _theory(points: pd.DataFrame, design: Matrix) -> Matrix:
    """Exponents of the cost at the same points: of the time that it predicts, else of its flops."""
    for name in ("work", "flops"):
        if name in points and (points[name] > 0).all():
            return np.asarray(np.linalg.lstsq(design, _centred(points, points[[name]])[:, 0])[0], dtype=np.float64)
    return np.full(design.shape[1], math.nan)
