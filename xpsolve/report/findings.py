"""What a table says: a fit per series, a crossing per pair of competitors, a nearest limit, a count against its cost.

A series is a line: all parameters fixed but the abscissa. Series that differ only in `method`, or only in `backend`,
compete.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from xpsolve.report.crossover import Crossover, crossover
from xpsolve.report.fit import PowerLaw, Scatter, constant, expected, fit_power_law, local_slopes
from xpsolve.report.formats import interval, readable
from xpsolve.report.reasons import explain
from xpsolve.report.sessions import RUN, Z99, Spread, spreads
from xpsolve.report.verdict import MIN_POINTS, Kind, Obstacle, Verdict, judge

RIVALS = ("method", "backend")
UNSURE = 5.0  # how many times as large as predicted a constant can be
BENT = 0.5  # a cost whose local exponents differ by more has no single exponent
LEAST_SCATTER = 0.02  # runs of one process agree better than runs of two


@dataclass(frozen=True)
class Series:
    """One line of a figure: its points, its fit and the verdict on it."""

    key: tuple[str, str, str, str]  # machine, environment, benchmark, the other parameters
    points: pd.DataFrame  # status ok, increasing x
    law: PowerLaw | None
    verdict: Verdict
    variable: str  # what the exponent is of: the abscissa, or "work" where the cost bends along it
    constant: tuple[float, float] = (math.nan, math.nan)  # of t = c + d·cost: c in seconds, and its part of the time
    spread: Spread | None = None  # what differs between sessions; None where there was one

    @property
    def head(self) -> pd.Series:
        """The first row: everything that is the same along the line."""
        return self.points.iloc[0]

    @property
    def params(self) -> dict[str, Any]:
        """Parameters that are fixed along the line."""
        fixed: dict[str, Any] = json.loads(self.key[3])
        return fixed

    @property
    def label(self) -> str:
        """The fixed parameters in words, such as ``normal, numpy``; the title where there are none."""
        return readable(self.params) or str(self.head["title"])

    @property
    def valid(self) -> pd.DataFrame:
        """The points that may be fitted."""
        sound = self.points["valid"] & self.points["steady"]
        return self.points[sound & (self.points["value"] > 0) & np.isfinite(self.points["value"])]


@dataclass(frozen=True)
class Pair:
    """Two series that do the same thing in two ways, and where they cross."""

    first: Series
    second: Series
    rival: str  # "method" or "backend"
    crossing: Crossover

    @property
    def shared(self) -> str:
        """What they have in common, in words."""
        return readable(self.first.params, without=[self.rival])

    @property
    def sentence(self) -> str:
        """The finding."""
        names = str(self.first.params[self.rival]), str(self.second.params[self.rival])
        return self.crossing.sentence(names, str(self.first.head["x_name"]))


def series(frame: pd.DataFrame) -> list[Series]:
    """Group the current times of the tidy table by line and fit each; lines with a single size are left out."""
    if frame.empty:
        return []
    rows = frame[frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & (frame["x_name"] != "")]
    spread, found = spreads(rows), []
    for _, run in rows.groupby(["machine", "environment"], sort=False):
        bare = []
        for key, group in run.groupby(["machine", "environment", "benchmark", "series"], sort=False):
            points = group.sort_values("x", kind="stable").drop_duplicates("x").reset_index(drop=True)
            if len(points) > 1:
                known = spread.get(tuple(points.loc[0, list(RUN)])) if spread else None
                name = str(points["x_name"].iloc[0])
                bare.append(Series(key, points, None, Verdict(Kind.NO_THEORY), name, spread=known))
        scatter = Scatter.pooled(
            fit_power_law(*_line(one)[1:], floor=True, draws=0) for one in bare if len(one.valid) >= MIN_POINTS
        )
        found += [_fitted(one, scatter) for one in bare]
    return found


def _line(one: Series) -> tuple[str, Any, Any]:
    """What the time is held against, by name and values, and the times: the cost where no power of x describes it."""
    x, t, work = (one.valid[column].to_numpy(dtype=np.float64) for column in ("x", "value", "work"))
    bent = np.all(work > 0) and np.ptp(local_slopes(x, work)) > BENT
    return ("work", work, t) if bent else (one.variable, x, t)


def _fitted(bare: Series, scatter: Scatter) -> Series:
    points, valid = bare.points, bare.valid
    lost = {
        Obstacle.TOLERANCE: int((~points["valid"]).sum()),
        Obstacle.NOISE: int((points["valid"] & ~points["steady"]).sum()),
    }
    if len(valid) < 2:
        stated = bool((points["work"] > 0).all())
        few = judge(math.nan, (math.nan, math.nan), math.nan, points=len(valid), span=1.0, lost=lost, stated=stated)
        return replace(bare, verdict=few)
    name, x, t = _line(bare)
    law = fit_power_law(x, t, spread=bare.spread, scatter=scatter, most=_constant(valid, x))
    work = np.sort(x) if name == "work" else valid["work"].to_numpy(dtype=np.float64)
    said, of_cost = against(law, work if np.all(work > 0) else None, lost)
    return replace(bare, law=law, verdict=explain(valid, said), variable=name, constant=of_cost)


def _constant(valid: pd.DataFrame, x: Any) -> float:
    """How large the constant of t = a + b·x^α can be: so many times the part of the prediction that does not grow."""
    calling, work = (valid[column].to_numpy(dtype=np.float64) for column in ("calling", "work"))
    if not (np.all(calling > 0) and np.all(work > 0)):
        return math.inf
    return UNSURE * float(np.min(calling) + fit_power_law(x, work, floor=True, draws=0).a)


def against(
    law: PowerLaw, cost: npt.ArrayLike | None, lost: Mapping[Obstacle, int] | None = None
) -> tuple[Verdict, tuple[float, float]]:
    """Compare a fit with the theoretical cost at ``law.x``, in any unit; None where there is none.

    Beside the verdict, without the cause of a difference: the constant in t = c + d·cost, in seconds, and its part of
    the time at the median size.

    >>> n = [100, 300, 1000, 3000, 10000]
    >>> against(fit_power_law(n, [1.0, 3.1, 9.8, 30.0, 101.0]), n)[0].kind.value
    'agrees'
    """
    seconds, part, rules = (math.nan, math.nan, False) if cost is None else constant(law, cost)
    slopes = local_slopes(law.x, law.t)
    said = judge(
        law.alpha,
        (law.low, law.high),
        math.nan if cost is None else expected(law, cost),
        points=law.x.size,
        span=float(law.x[-1] / law.x[0]),
        lost=lost,
        constant=part if rules else 0.0,
        evidence={"scatter": law.rms, "flattest": float(slopes.min()), "steepest": float(slopes.max())},
    )
    return said, (seconds, part)


def crossings(lines: list[Series]) -> list[Pair]:
    """Compare every two series that differ in their method or backend alone and have two valid sizes in common."""
    found = []
    for one, two in itertools.combinations(lines, 2):
        differing = [name for name in one.params if one.params[name] != two.params.get(name)]
        if one.key[:3] != two.key[:3] or len(differing) != 1 or differing[0] not in RIVALS:
            continue
        both = one.valid.merge(two.valid, on="x", suffixes=("_1", "_2"))
        # "auto" is one of the others at each size, and crosses nothing
        if len(both) > 1 and "auto" not in (one.params[differing[0]], two.params[differing[0]]):
            scatter = np.hypot(_scatter(both, "_1"), _scatter(both, "_2"))
            crossing = crossover(both["x"], both["value_1"], both["value_2"], scatter=scatter, spread=one.spread)
            found.append(Pair(one, two, differing[0], crossing))
    return found


def _scatter(both: pd.DataFrame, suffix: str) -> Any:
    """Standard deviation of log t, from asv's interval where it has one."""
    lower, upper = both["lower" + suffix].astype(float), both["upper" + suffix].astype(float)
    variance = (np.log(upper.where((lower > 0) & (upper >= lower)) / lower) / (2 * Z99)).fillna(0.05) ** 2
    if "between" + suffix in both:  # which moves a curve as a whole
        variance -= both["between" + suffix].astype(float) ** 2
    return np.sqrt(variance.clip(lower=LEAST_SCATTER**2)).to_numpy()


def scaling_table(lines: list[Series]) -> pd.DataFrame:
    """One row per fitted series: what ``scaling.csv`` holds.

    Exponent with its interval, the theory's, the kind of the verdict, its cause and the evidence; constant and factor
    of t = a + b·x^α; of t = c + d·cost the constant c, and its part of the time at the median size.
    """
    columns = (
        "machine environment benchmark family title mode params x points invalid x_min x_max of sessions alpha low "
        "high interval theory kind cause evidence a b rms constant constant_share local_slopes"
    ).split()
    rows = []
    for line in lines:
        head, law, cause = line.head, line.law, line.verdict.cause
        evidence = {} if cause is None else {k: float(f"{v:.4g}") for k, v in cause.numbers.items()}
        slopes = [] if law is None else local_slopes(law.x, law.t).tolist()
        rows.append(
            {
                **{name: head[name] for name in columns[:6]},
                **{name: getattr(law, name, math.nan) for name in ("alpha", "low", "high", "a", "b", "rms")},
                "params": line.key[3],
                "x": head["x_name"],
                "points": len(line.valid),
                "invalid": len(line.points) - len(line.valid),
                "x_min": line.points["x"].min(),
                "x_max": line.points["x"].max(),
                "of": line.variable,
                "sessions": 1 if line.spread is None else line.spread.count,
                "interval": interval(*line.verdict.interval),
                "theory": line.verdict.theory,
                "kind": line.verdict.kind.value,
                "cause": "" if cause is None else cause.kind,
                "evidence": json.dumps(evidence),
                "constant": line.constant[0],
                "constant_share": line.constant[1],
                "local_slopes": json.dumps([round(slope, 3) for slope in slopes]),
            }
        )
    return pd.DataFrame(rows, columns=columns)
