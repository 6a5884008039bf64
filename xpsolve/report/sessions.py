"""How much runs differ: what a session changes in a whole series, pooled over all series of a machine.

A session measures every time in new processes: where memory lies, the clock of the processor and other work on the
machine change from one to the next, and not from sample to sample.  Two or three sessions of one series say little of
that; those of all series together say it well.  With d = log t, less its mean over the sessions and less the session's
median over all series (which is the machine's drift, and alike in whatever is compared):

- a *block* is one session of one series, as a level (mean of d) and a tilt (d from the smallest size to the largest);
- a draw is the mean of as many random blocks as there are sessions: a bootstrap over sessions, not over samples;
- what the scatter of single times explains of the tilts is taken out, because fits already have it in their residuals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Vector = npt.NDArray[np.float64]

RUN = ["machine", "environment", "commit"]
ENOUGH = 8  # blocks, without which nothing is known
Z99 = 2.576  # half-width of a 99 % interval in standard deviations


@dataclass(frozen=True)
class Spread:
    """Blocks of all series of a run.

    >>> level, tilt = Spread(np.array([-0.1, 0.1]), np.array([0.2, -0.2]), 0.1, 2).draw(np.random.default_rng(0), 1000)
    >>> round(float(level.std()), 2), round(float(tilt.std()), 2)
    (0.07, 0.14)
    """

    levels: Vector  # by how much log t of a session differs, at all sizes
    tilts: Vector  # and from the smallest to the largest
    single: float  # standard deviation of log t of one time from session to session
    count: int  # sessions that a series has

    def draw(self, rng: np.random.Generator, draws: int) -> tuple[Vector, Vector]:
        """Mean level and tilt of `count` random blocks, so often."""
        chosen = rng.integers(self.levels.size, size=(draws, self.count))
        return self.levels[chosen].mean(axis=1), self.tilts[chosen].mean(axis=1)


def spreads(frame: pd.DataFrame) -> dict[tuple[str, str, str], Spread]:
    """The spread of each run, by machine, environment and commit, whose times have ``sessions`` in the tidy table."""
    if frame.empty or "sessions" not in frame:
        return {}
    timed = frame[(frame["role"] == "time") & frame["sessions"].str.contains(",", na=False) & (frame["x"] > 0)]
    found = {}
    for run, rows in timed.groupby(RUN, sort=False):
        series = [_logs(points) for _, points in rows.groupby(["benchmark", "series"], sort=False)]
        usable = [one for one in series if one is not None]
        if sum(len(d) for _, d in usable) >= ENOUGH:
            found[run] = _pooled(usable)
    return found


def _logs(points: pd.DataFrame) -> tuple[Vector, Vector] | None:
    """Places of the sizes about their mean, in a range of 1; log t (sessions, sizes) less its mean over sessions."""
    points = points.sort_values("x")
    values = [json.loads(text) for text in points["sessions"]]
    count = min(map(len, values))
    t = np.log(np.array([one[:count] for one in values], dtype=np.float64).T)
    x = np.log(points["x"].to_numpy(dtype=np.float64))
    if len(points) < 3 or np.ptp(x) == 0 or not np.all(np.isfinite(t)):
        return None
    return (x - x.mean()) / np.ptp(x), t - t.mean(axis=0)


def _pooled(series: list[tuple[Vector, Vector]]) -> Spread:
    count = max(len(d) for _, d in series)
    drift = np.array([np.median([d[s].mean() for _, d in series if len(d) > s]) for s in range(count)])
    levels, tilts, scatter, single = [], [], [], []
    for place, d in series:
        freed = d - drift[: len(d), None]
        lost = np.sqrt(len(d) / (len(d) - 1))  # of a deviation from a mean of few
        level, weight = freed.mean(axis=1), float(place @ place)
        tilt = freed @ place / weight
        rest = freed - level[:, None] - tilt[:, None] * place
        levels.extend(lost * level)
        tilts.extend(lost * tilt)
        single.append(lost**2 * np.mean(freed**2))
        scatter.append(lost**2 * np.sum(rest**2) / (len(d) * max(place.size - 2, 1) * weight))
    explained = np.mean(scatter) / max(np.mean(np.square(tilts)), 1e-300)
    left = np.sqrt(max(1.0 - explained, 0.0))
    return Spread(np.array(levels), left * np.array(tilts), float(np.sqrt(np.mean(single))), count)


def widen(frame: pd.DataFrame, found: Mapping[tuple[str, str, str], Spread]) -> pd.DataFrame:
    """Let asv's 99 % intervals, which are of the samples alone, cover what differs between sessions too.

    ``between`` is the standard deviation of log t that was added; 0 where there was one session.

    >>> widen(pd.DataFrame({"role": ["time"], "lower": 1.0, "upper": 2.0}), {})["between"].tolist()
    [0.0]
    """
    if not found:
        return frame.assign(between=0.0)
    runs = frame[RUN].itertuples(index=False, name=None)
    added = [found[run].single / np.sqrt(found[run].count) if run in found else 0.0 for run in runs]
    between = pd.Series(added, index=frame.index).where(frame["role"] == "time", 0.0)
    wider = {}
    for name, sign in (("lower", -1), ("upper", 1)):
        half = np.log((frame[name] / frame["value"]).where(lambda ratio: ratio > 0))
        end = frame["value"] * np.exp(sign * np.hypot(half, Z99 * between))
        wider[name] = frame[name].where(between.eq(0) | half.isna(), end)
    return frame.assign(between=between, **wider)
