"""What a measured exponent says about the theory, as data; words only in `sentence`.

A verdict is one of five kinds.  "agrees" needs an interval that stays within a half of the theory: a wider one may hold
the next integer too, and proves nothing.  "differs" needs one that excludes the theory.  "floor-bound" is a time whose
greater part is a constant.  "not measurable" has one of four causes, each with its remedy: a wider range, more points,
less noise, a solve that meets its tolerance.  Without a cost there is "no theory" to compare with.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xpsolve.report.words import said

AGREEMENT = 0.1  # two exponents closer than this agree, whatever their intervals
HALF = 0.5  # no end of an interval that agrees is this far from the theory: neighbouring integers are distinguished
MIN_POINTS = 4
MIN_SPAN = 10.0  # of the sizes


class Kind(StrEnum):
    """What a verdict says."""

    AGREES = "agrees"
    DIFFERS = "differs"
    FLOOR_BOUND = "floor-bound"
    NO_THEORY = "no theory"
    NOT_MEASURABLE = "not measurable"


JUDGED = (Kind.AGREES, Kind.DIFFERS, Kind.FLOOR_BOUND)  # the measurement says something about the theory


class Obstacle(StrEnum):
    """Why an exponent cannot be judged."""

    RANGE = "range"
    POINTS = "points"
    NOISE = "noise"
    TOLERANCE = "tolerance"


@dataclass(frozen=True)
class Cause:
    """Why a verdict is what it is, with the evidence.

    One of `Obstacle` where an exponent is not measurable; "launches" or "calls" of what is floor-bound; "launches",
    "calls", "threads", "cache", "outgrown" (data that leave a cache), "rates" or "unexplained" of what differs.
    """

    kind: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """A measured exponent against that of the theory.

    >>> one = judge(1.62, (1.4, 1.8), 2.0, points=5, span=16.0)
    >>> one.kind.value, one.judged, sentence(one)
    ('differs', True, '0.38 below the theory; neither launches nor the share of the limit explain it')
    """

    kind: Kind
    value: float = math.nan  # the measured exponent; NaN where there are too few points
    interval: tuple[float, float] = (math.nan, math.nan)  # of 95 %
    theory: float = math.nan  # the exponent of the cost over the same sizes
    cause: Cause | None = None  # None where there is nothing to explain

    @property
    def judged(self) -> bool:
        """Whether the measurement says something about the theory."""
        return self.kind in JUDGED

    @property
    def measured(self) -> bool:
        """Whether the exponent itself may be shown, with or without a theory."""
        few = self.cause is not None and self.cause.kind in (Obstacle.RANGE, Obstacle.POINTS, Obstacle.TOLERANCE)
        return math.isfinite(self.value) and math.isfinite(sum(self.interval)) and not few


@dataclass(frozen=True)
class Tally:
    """How many verdicts there are of each kind, and of each obstacle.

    >>> one = Tally.of([Verdict(Kind.AGREES), Verdict(Kind.DIFFERS), Verdict(Kind.NO_THEORY)])
    >>> one.kinds["agrees"], one.judged
    (1, 2)
    """

    kinds: Mapping[str, int]
    obstacles: Mapping[str, int]

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Tally:
        """Count."""
        found = list(verdicts)
        kinds = Counter(verdict.kind.value for verdict in found)
        unmeasured = Counter(v.cause.kind for v in found if v.kind == Kind.NOT_MEASURABLE and v.cause is not None)
        return cls({kind.value: kinds[kind] for kind in Kind}, {str(why.value): unmeasured[why] for why in Obstacle})

    @property
    def judged(self) -> int:
        """Of those that could be judged."""
        return sum(self.kinds[kind] for kind in JUDGED)


def spans_enough(span: float) -> bool:
    """Whether the largest size is so many times the smallest that an exponent can be measured."""
    return bool(span >= MIN_SPAN * (1 - 1e-9))  # a nominal decade such as 200…2000 may be rounded


def judge(
    value: float,
    ends: tuple[float, float],
    theory: float,
    *,
    points: int,
    span: float,
    lost: Mapping[Obstacle, int] | None = None,
    constant: float = 0.0,
    evidence: Mapping[str, float] | None = None,
    stated: bool = False,
) -> Verdict:
    """Compare an exponent with the theory; `xpsolve.report.reasons.explain` finds the cause of a difference.

    The exponent `value` has the 95 % interval `ends` and comes from `points` sizes, the largest `span` times the
    smallest.  That of the `theory` over the same sizes is NaN without one, or where too few points are left to fit one
    that is `stated`.  `lost` counts sizes that cannot be used: `Obstacle.TOLERANCE` for wrong answers, `Obstacle.NOISE`
    for unsteady times.  `constant` is the part of the time at the median size that is a constant, where one is the
    greater part at most sizes.  `evidence` is what is known of the scatter, kept where noise is the obstacle.
    """
    verdict = functools.partial(Verdict, value=value, interval=ends, theory=theory)

    def obstructed(why: Obstacle, **numbers: float) -> Verdict:
        return verdict(Kind.NOT_MEASURABLE, cause=Cause(why.value, numbers))

    if not (stated or math.isfinite(theory)):
        return verdict(Kind.NO_THEORY)
    if points < MIN_POINTS:
        lost = {why: count for why, count in (lost or {}).items() if count}
        enough = points + sum(lost.values()) >= MIN_POINTS
        why = max(lost, key=lambda obstacle: lost[obstacle]) if lost and enough else Obstacle.POINTS
        return obstructed(why, points=points, needed=MIN_POINTS, lost=lost.get(why, 0))
    if not spans_enough(span):
        return obstructed(Obstacle.RANGE, span=span, needed=MIN_SPAN)
    if constant > 0:
        return verdict(Kind.FLOOR_BOUND, cause=Cause("calls", {"constant": constant}))
    low, high = ends
    if abs(value - theory) > AGREEMENT and not low <= theory <= high:
        return verdict(Kind.DIFFERS, cause=Cause("unexplained"))
    if theory - HALF < low and high < theory + HALF:
        return verdict(Kind.AGREES)
    return obstructed(Obstacle.NOISE, width=high - low, **(evidence or {}))


def sentence(verdict: Verdict) -> str:
    """A verdict in one clause: its reason and the evidence, without a full stop.

    >>> sentence(judge(1.0, (0.9, 1.1), 1.04, points=5, span=20.0))
    'the theory lies in the interval'
    >>> sentence(judge(1.0, (0.9, 1.1), 1.04, points=5, span=8.0))
    'the sizes span a factor 8, and 10 is needed'
    """
    cause = verdict.cause or Cause("")
    return " ".join(said("verdict.txt", v=verdict, cause=cause.kind, at=cause.numbers))
