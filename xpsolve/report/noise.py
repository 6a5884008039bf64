"""Which changes of time are more than noise: two runs of one machine, compared series by series.

asv's interval holds the scatter *within* one process.  From one run to the next more changes – where memory lies, the
clock of the processor, other work on the machine – and hundreds of series are compared at once.  So the noise is taken
from the comparison itself.  With d = log(t_new/t_base) at each size:

- The *drift* is the median of d over all series and is divided out: a machine that is slower today is not a regression.
- The *change* of a series is the k-th largest d, k = max(3, half of its sizes): at k sizes it is as slow, or slower.
- Noise makes as many series faster as slower.  Its law is therefore estimated from those that became *faster*, where no
  slowdown can hide it: its scale, for Student's law, and how fast its upper quarter falls, for tails heavier than that.
- A slowdown is an alarm if k sizes have intervals that do not overlap, and the change exceeds both the least that
  matters and what such noise exceeds in one of a hundred comparisons, all series together.

The same holds for exponents: the slope of d over log x, against those of all other series, and intervals that do not
overlap at the two largest sizes.  What bends both curves alike, such as a cache, cancels in d, but not in
two fits, which are shown too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from xpsolve.report.findings import LEAST_SCATTER
from xpsolve.report.fit import PowerLaw, fit_power_law
from xpsolve.report.sessions import Vector
from xpsolve.report.verdict import MIN_POINTS, spans_enough

LEAST = 1.25
"""A change of time by less than this factor is no alarm, even if certain."""

LEAST_SLOPE = 0.2
"""A smaller rise of an exponent is no alarm either: caches and clocks bend curves that much from day to day."""

LEVEL = 0.01  # chance of one false alarm among all series of a comparison
SIZES = 3  # sizes that must agree
ENOUGH = 8  # series from which drift and noise can be estimated
GUESS = 0.05  # noise of a series where there are fewer
_QUANTILES = (0.75, 0.9, 0.95)


@dataclass(frozen=True)
class Shift:
    """How one series changed."""

    key: tuple[str, ...]  # what the frame was grouped by
    points: pd.DataFrame  # the sizes that both runs measured, in increasing order
    slower: float  # log of the factor by which k sizes became slower; drift divided out
    faster: float  # or faster
    separate: bool  # whether at k sizes the intervals do not overlap, in the direction of the change
    slope: float  # growth of log(t_new/t_base) with log x; NaN under 4 sizes or a decade
    laws: tuple[PowerLaw, ...] = ()  # both fits, where the slope is in doubt


@dataclass(frozen=True)
class Comparison:
    """All series of two runs, and what can be seen through their noise."""

    shifts: list[Shift]  # one for each series of three sizes or more
    drift: float  # factor by which the median series changed
    noise: float  # standard deviation of log t from run to run, for a series
    limit: float  # log of the least slowdown that raises an alarm
    slope_limit: float  # and the least change of an exponent
    few: bool  # whether there were too few series to estimate drift and noise, so that they are a guess

    @property
    def slowdowns(self) -> list[Shift]:
        """Series that became slower, beyond noise."""
        return [s for s in self.shifts if s.slower > self.limit and s.separate]

    @property
    def speedups(self) -> list[Shift]:
        """Series that became faster, beyond noise."""
        return [s for s in self.shifts if s.faster > self.limit and s.separate]

    @property
    def steeper(self) -> list[Shift]:
        """Series whose exponent rose beyond noise, and whose largest sizes are slower for it."""
        return [s for s in self.shifts if s.laws and s.laws[1].alpha > s.laws[0].alpha]


def compare(pairs: pd.DataFrame, by: Sequence[str], *, least: float = LEAST) -> Comparison:
    """Compare the times of two runs of one machine.

    `pairs` has a row per point: the columns `by`, which make a series, the abscissa ``x``, and for both runs time and
    interval, ``value_base``, ``lower_base``, ``upper_base``, ``value_new``, ``lower_new``, ``upper_new``.  Slowdowns by
    factors below `least` raise no alarm.

    >>> x = [100.0, 1000.0, 10000.0] * 10
    >>> name = [str(i // 3) for i in range(30)]
    >>> pairs = pd.DataFrame({"name": name, "x": x, "value_base": x, "lower_base": x, "upper_base": x})
    >>> for column in ("value", "lower", "upper"):
    ...     pairs[column + "_new"] = [t * (1.5 if i == "4" else 1.01) for i, t in zip(name, x)]
    >>> found = compare(pairs, ["name"])
    >>> round(found.drift, 2), [shift.key for shift in found.slowdowns]
    (1.01, [('4',)])
    """
    lines = [
        (key if isinstance(key, tuple) else (key,), points.sort_values("x", kind="stable"))
        for key, points in pairs.groupby(list(by), sort=False)
        if len(points) >= SIZES
    ]
    changes = [np.asarray(np.log(points["value_new"] / points["value_base"]), dtype=np.float64) for _, points in lines]
    few = len(lines) < ENOUGH
    drift = 0.0 if few else float(np.median([np.median(d) for d in changes]))
    shifts = [_shift(key, points, d - drift, drift) for (key, points), d in zip(lines, changes, strict=True)]
    within = [float(np.std(d)) for d in changes]  # where a few series are all there is
    faster = [s.faster for s in shifts]
    noise = max(GUESS, *within, 0.0) if few else max(LEAST_SCATTER, _scale(faster))
    limit = max(math.log(least), _quantile(len(shifts)) * noise, _tail(faster))
    bent = [-s.slope for s in shifts if not math.isnan(s.slope)]
    spread = GUESS if len(bent) < ENOUGH else _scale(bent)
    slope_limit = max(LEAST_SLOPE, _quantile(len(bent)) * spread, _tail(bent))
    shifts = [_fitted(s) if s.slope > slope_limit and _ends_slower(s, drift) else s for s in shifts]
    return Comparison(shifts, math.exp(drift), noise, limit, slope_limit, few)


def _shift(key: tuple[str, ...], points: pd.DataFrame, change: Vector, drift: float) -> Shift:
    k = max(SIZES, math.ceil(len(points) / 2))
    slower, faster = float(np.sort(change)[-k]), float(-np.sort(change)[k - 1])
    gap = _gap(points, "base", "new") - drift if slower > faster else _gap(points, "new", "base") + drift
    slope, x = math.nan, points["x"].to_numpy(dtype=np.float64)
    if x.size >= MIN_POINTS and np.all(x > 0) and spans_enough(x.max() / x.min()):
        slope = float(stats.theilslopes(change, np.log(x)).slope)  # one disturbed size does not change it
    return Shift(key, points, slower, faster, bool(np.count_nonzero(gap > 0) >= k), slope)


def _gap(points: pd.DataFrame, below: str, above: str) -> Vector:
    """log of the room between two intervals; one that is not known is taken for `LEAST_SCATTER`."""
    upper = points["upper_" + below].fillna(points["value_" + below] * (1 + LEAST_SCATTER))
    lower = points["lower_" + above].fillna(points["value_" + above] * (1 - LEAST_SCATTER))
    # asv's model for very few samples may reach below zero
    return np.asarray(np.log(np.maximum(lower, 1e-300)) - np.log(upper), dtype=np.float64)


def _scale(changes: Sequence[float]) -> float:
    """Standard deviation of the noise: from upper quantiles of changes that noise alone makes, and from the middle."""
    usable = [q for q in _QUANTILES if len(changes) * (1 - q) >= 2] or _QUANTILES[:1]
    middle = stats.median_abs_deviation(changes, scale="normal")  # fewer than half of the series changed
    return float(max(middle, *(np.quantile(changes, q) / stats.norm.ppf(q) for q in usable)))


def _tail(changes: Sequence[float]) -> float:
    """What noise alone exceeds with the chance `LEVEL`: the upper quarter continued exponentially.

    Its median excess, not its mean, says how fast it falls: a few series that really became faster have no influence.
    """
    if len(changes) < ENOUGH:
        return 0.0
    high = float(np.quantile(changes, 0.75))
    excess = float(np.median([c - high for c in changes if c > high] or [0.0])) / math.log(2)
    return high + excess * math.log(0.25 * len(changes) / LEVEL)


def _quantile(series: int) -> float:
    """How many standard deviations are beyond chance among so many series, their scale being estimated from them."""
    return float(stats.t.isf(LEVEL / max(series, 1), max(3.0, series / 2)))


def _ends_slower(shift: Shift, log_drift: float) -> bool:
    """Whether the two largest sizes lost time beyond their intervals: exponents also rise where small sizes gained."""
    last = shift.points.iloc[-2:]
    change = np.log(last["value_new"] / last["value_base"]) - log_drift
    return bool(np.all(_gap(last, "base", "new") > log_drift)) and float(change.mean()) > 0.5 * math.log(LEAST)


def _fitted(shift: Shift) -> Shift:
    points = shift.points
    return replace(shift, laws=tuple(fit_power_law(points["x"], points["value_" + side]) for side in ("base", "new")))
