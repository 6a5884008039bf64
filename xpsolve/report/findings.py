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
from xpsolve.report.fit import PowerLaw, constant, expected, fit_power_law, local_slopes
from xpsolve.report.formats import interval
from xpsolve.report.reasons import explain
from xpsolve.report.sessions import RUN, Z99, Spread, spreads
from xpsolve.report.verdict import Kind, Obstacle, Verdict, judge, sentence

__all__ = ["Pair", "Series", "against", "crossings", "scaling_table", "series"]

RIVALS = ("method", "backend")
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
    def theory(self) -> float:
        """The exponent of the theory; NaN without one."""
        return self.verdict.theory

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, in words."""
        return sentence(self.verdict)

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
        """The fixed parameters in words, such as ``normal, numpy``."""
        return self.named(self.params)

    def named(self, params: dict[str, Any]) -> str:
        """Some of the fixed parameters in words; the title where there are none."""
        order = {"method": 0, "backend": 1, "dtype": 2}
        ordered = sorted(params.items(), key=lambda item: (order.get(item[0], 3), item[0]))
        words = (value if isinstance(value, str) else f"{name} = {value}" for name, value in ordered)
        return ", ".join(words) or str(self.head["title"])

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
    def names(self) -> tuple[str, str]:
        """What distinguishes the two."""
        return str(self.first.params[self.rival]), str(self.second.params[self.rival])

    @property
    def shared(self) -> str:
        """What they have in common, in words."""
        common = {k: v for k, v in self.first.params.items() if k != self.rival}
        return ", ".join(str(v) if isinstance(v, str) else f"{k} = {v}" for k, v in common.items())

    @property
    def sentence(self) -> str:
        """The finding."""
        return self.crossing.sentence(self.names, str(self.first.head["x_name"]))


def series(frame: pd.DataFrame) -> list[Series]:
    """Group the current times of the tidy table by line and fit each; lines with a single size are left out."""
    if frame.empty:
        return []
    rows = frame[frame["current"] & (frame["role"] == "time") & (frame["status"] == "ok") & (frame["x_name"] != "")]
    known, found = spreads(rows), []
    for key, group in rows.groupby(["machine", "environment", "benchmark", "series"], sort=False):
        points = group.sort_values("x", kind="stable").drop_duplicates("x").reset_index(drop=True)
        if len(points) > 1:
            run = points.loc[0, list(RUN)] if known else ()
            found.append(_fitted(key, points, known.get(tuple(run))))
    return found


def _fitted(key: tuple[str, str, str, str], points: pd.DataFrame, spread: Spread | None) -> Series:
    bare = Series(key, points, None, Verdict(Kind.NO_THEORY), str(points["x_name"].iloc[0]))
    valid = bare.valid
    lost = {
        Obstacle.TOLERANCE: int((~points["valid"]).sum()),
        Obstacle.NOISE: int((points["valid"] & ~points["steady"]).sum()),
    }
    x, t, work = (valid[column].to_numpy(dtype=np.float64) for column in ("x", "value", "work"))
    if len(valid) < 2:
        stated = bool((points["work"] > 0).all())
        few = judge(math.nan, (math.nan, math.nan), math.nan, points=len(valid), span=1.0, lost=lost, stated=stated)
        return replace(bare, verdict=few)
    known = bool(np.all(work > 0))
    # Where no power of x describes the cost, the time is held against the cost itself.
    name = "work" if known and _bends(x, work) else bare.variable
    law = fit_power_law(work if name == "work" else x, t, spread=spread)
    said, of_cost = against(law, (np.sort(work) if name == "work" else work) if known else None, lost)
    return Series(key, points, law, explain(valid, said), name, of_cost, spread)


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


def _bends(x: Any, work: Any) -> bool:
    """Whether no power of x describes a cost: along n·p = const, or where a constant is much of it."""
    return bool(np.ptp(local_slopes(x, work)) > BENT)


def crossings(lines: list[Series]) -> list[Pair]:
    """Compare every two series that differ in their method or backend alone and have two valid sizes in common."""
    found = []
    for one, two in itertools.combinations(lines, 2):
        if one.key[:3] != two.key[:3]:
            continue
        differing = [name for name in one.params if one.params[name] != two.params.get(name)]
        # "auto" is one of the others at each size, and crosses nothing
        if (
            len(differing) == 1
            and differing[0] in RIVALS
            and "auto" not in (one.params[differing[0]], two.params[differing[0]])
        ):
            both = one.valid.merge(two.valid, on="x", suffixes=("_1", "_2"))
            if len(both) > 1:
                scatter = np.hypot(_scatter(both, "_1"), _scatter(both, "_2"))
                crossing = crossover(both["x"], both["value_1"], both["value_2"], scatter=scatter, spread=one.spread)
                found.append(Pair(one, two, differing[0], crossing))
    return found


def _scatter(both: pd.DataFrame, suffix: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Standard deviation of log t, from asv's interval where it has one."""
    lower, upper = both["lower" + suffix].to_numpy(float), both["upper" + suffix].to_numpy(float)
    known = (lower > 0) & (upper >= lower)
    ratio = np.divide(upper, lower, out=np.ones_like(upper), where=known)
    spread: np.ndarray[Any, np.dtype[np.float64]] = np.where(known, np.log(ratio) / (2 * Z99), 0.05)
    if "between" + suffix in both:  # which moves a curve as a whole
        spread = np.sqrt(np.maximum(spread**2 - both["between" + suffix].to_numpy(float) ** 2, 0.0))
    widened: np.ndarray[Any, np.dtype[np.float64]] = np.maximum(spread, LEAST_SCATTER)
    return widened


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
        law, head, cause = line.law, line.head, line.verdict.cause
        slopes: list[float] = [] if law is None else local_slopes(law.x, law.t).tolist()
        fitted = [] if law is None else [law.alpha, law.low, law.high]
        rows.append(
            [
                *line.key[:3],
                *(head[name] for name in ("family", "title", "mode")),
                line.key[3],
                head["x_name"],
                len(line.valid),
                len(line.points) - len(line.valid),
                line.points["x"].min(),
                line.points["x"].max(),
                line.variable,
                1 if line.spread is None else line.spread.count,
                *(fitted or [math.nan] * 3),
                interval(line.verdict.interval[0], line.verdict.interval[1]),
                line.theory,
                line.verdict.kind.value,
                "" if cause is None else cause.kind,
                "{}" if cause is None else json.dumps({k: float(f"{v:.4g}") for k, v in cause.numbers.items()}),
                *([math.nan] * 3 if law is None else [law.a, law.b, law.rms]),
                *line.constant,
                json.dumps([round(slope, 3) for slope in slopes]),
            ]
        )
    return pd.DataFrame(rows, columns=columns)
