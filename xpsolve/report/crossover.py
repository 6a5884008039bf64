"""Where one curve overtakes another: the zero of log t₁ − log t₂ between measured sizes.

Along n·p = const a cost bends, so no power law is assumed: the two curves are joined by straight lines in log-log.
The interval comes from redrawing every time within its own uncertainty, and both curves within that between sessions.
If there is no crossing among the measured sizes, the answer is a bound, with its side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xpsolve.report.formats import number
from xpsolve.report.sessions import Spread, Vector


@dataclass(frozen=True)
class Crossover:
    """Where the first curve stops being the faster one, or starts to be."""

    at: float  # the crossing; −inf for "below the smallest size", +inf for "not reached up to the largest"
    low: float  # its 95 % interval, which may end at these too
    high: float
    first: float  # smallest and largest size measured on both curves
    last: float
    left: int  # which curve (0 or 1) is faster at the smallest and at the largest sizes
    right: int
    ratio: float  # time of the slower over the faster at the size where they differ most

    @property
    def clear(self) -> bool:
        """Whether the crossing and both ends of its interval lie among the sizes, of curves that differ."""
        return bool(np.isfinite([self.at, self.low, self.high]).all()) and self.ratio >= 1.2

    def sentence(self, names: tuple[str, str], symbol: str) -> str:
        """The crossing in words, without a full stop, from the names of both curves and of the abscissa."""
        left, right = names[self.left], names[self.right]
        if np.isfinite(self.at):
            low = f"below {number(self.first)}" if self.low == -np.inf else number(self.low)
            high = f"beyond {number(self.last)}" if self.high == np.inf else number(self.high)
            return f"{right} overtakes {left} at {symbol} ≈ {number(self.at)} ({low} to {high})"
        other = names[1 - self.left]
        if self.at == np.inf:
            return f"{left} is faster throughout; {other} does not catch up by {symbol} = {number(self.last)}"
        return f"{right} is faster throughout; any crossing lies below {symbol} = {number(self.first)}"


def crossover(
    x: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    scatter: npt.ArrayLike = 0.05,
    draws: int = 1000,
    spread: Spread | None = None,
) -> Crossover:
    """Find where the times of two curves, measured at the same increasing sizes, cross, or on which side they must.

    `scatter` is the standard deviation of log first − log second, at each size or everywhere; in each of `draws`
    redraws, `spread` between sessions moves and tilts both curves.  Raises ValueError if there are under two sizes,
    they do not increase, or a value is not positive.

    >>> c = crossover([1, 2, 4, 8], [1, 2, 4, 8], [3, 3, 3, 3])
    >>> round(c.at, 3), c.left, c.right
    (3.0, 0, 1)
    >>> c.sentence(("linear", "constant"), "n")
    'constant overtakes linear at n ≈ 3 (2.79 to 3.24)'
    """
    size, one, two = (np.asarray(v, dtype=np.float64) for v in (x, first, second))
    if size.ndim != 1 or size.size < 2 or not (size.shape == one.shape == two.shape):
        raise ValueError(
            f"x, first, second: expected three vectors of one length ≥ 2, got {size.shape}, {one.shape}, {two.shape}"
        )
    if np.any(np.diff(size) <= 0):
        raise ValueError(f"x: expected increasing sizes, got {size.tolist()}")
    if not all(np.all(np.isfinite(v)) and np.all(v > 0) for v in (size, one, two)):
        raise ValueError("x, first, second: expected positive finite numbers; leave other points out")
    log_x, gap = np.log(size), np.log(one) - np.log(two)
    noise = np.random.default_rng(0).standard_normal((draws, size.size)) * np.broadcast_to(scatter, size.shape)
    if spread is not None:
        rng, place = np.random.default_rng(1), (log_x - log_x.mean()) / np.ptp(log_x)
        for level, tilt in (spread.draw(rng, draws), spread.draw(rng, draws)):
            noise += level[:, None] + tilt[:, None] * place
    left_first, zero = _zero(log_x, gap)
    found, left = not np.isnan(zero), 0 if left_first else 1
    # Converging curves that have not crossed yet cross later; diverging ones crossed before.
    side = np.inf if abs(gap[-1]) < abs(gap[0]) else -np.inf
    zeros = np.array([_zero(log_x, gap + e)[1] for e in noise])
    ends = np.quantile(np.where(np.isnan(zeros), side, zeros), [0.025, 0.975], method="nearest")
    at, low, high = (float(np.exp(v)) if np.isfinite(v) else float(v) for v in (zero if found else side, *ends))
    return Crossover(
        at=at,
        low=low,
        high=high,
        first=float(size[0]),
        last=float(size[-1]),
        left=left,
        right=1 - left if found else left,
        ratio=float(np.exp(np.max(np.abs(gap)))),
    )


def _zero(log_x: Vector, gap: Vector) -> tuple[bool, float]:
    """Which curve is faster at the left, and log of the crossing (NaN: none).

    Noise can make the gap change sign more than once. The cut is put where the two sides disagree least with a single
    change, weighed by the gap itself; at such a cut the neighbours have opposite signs, so the zero lies between them.
    """
    before = np.concatenate(([0.0], np.cumsum(gap)))
    score = gap.sum() - 2.0 * before  # first is faster (gap < 0) left of the cut
    cut = int(np.argmax(np.abs(score)))
    first_at_left = bool(score[cut] > 0)
    if cut in (0, gap.size):
        return bool(gap.sum() < 0), float("nan")
    g0, g1 = gap[cut - 1], gap[cut]
    step = g0 / (g0 - g1)
    return first_at_left, float(log_x[cut - 1] + step * (log_x[cut] - log_x[cut - 1]))
