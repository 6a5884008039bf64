"""Scaling exponents: t = a + b·x^α fitted to a handful of times, with an interval.

The fit is least squares on log t, so that a relative error counts the same at every size. With
t = b·(ρ + x^α), ρ = a/b, the level log b drops out by centring and two numbers are searched, log ρ and α.

With five sizes and three unknowns, the fit must be cautious:

- The constant a (the "floor") is kept only if an F-test supports it (p < 0.2); otherwise α is the slope of a straight
  line in log-log.
- The interval is a parametric bootstrap whose noise level is itself drawn, σ² ν/χ²_ν with ν degrees of freedom left: a
  resampling of five residuals would give far too short intervals. Every draw is refitted *with* a floor, supported or
  not, because a floor too small to be seen still bends the line; unless the support is firm (p < 0.01) the interval
  also covers the straight-line fits, because an accident of noise can look like a floor.
- Where there were several sessions, every draw is tilted as sessions tilt series: see `xpsolve.report.sessions`.
- The theory is fitted over the same sizes in the same form: the flops n p² + p³/3 have no single exponent, and
  over p = 200…2000 at n = 8000 they rise as p^2.03, not as p².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import leastsq

from xpsolve.report.sessions import Spread
from xpsolve.report.verdict import MIN_DECADES, MIN_POINTS

__all__ = ["PowerLaw", "constant", "expected", "fit_power_law", "local_slopes"]

Vector = npt.NDArray[np.float64]

SUPPORT = 0.2  # a floor is kept when the F-test against none gives less than this
FIRM = 0.01  # and taken as certain below this


@dataclass(frozen=True)
class PowerLaw:
    """A fitted t = a + b·x^α.

    Parameters
    ----------
    a, b, alpha : float
        The floor (zero when the data do not support one), the factor and the exponent.
    low, high : float
        The 95 % interval of `alpha`; NaN when no draws were asked for or too few points are there.
    rms : float
        Root mean square of the log residuals, about the relative scatter.
    x, t : ndarray
        The points that were fitted, in increasing x.

    Examples
    --------
    >>> from xpsolve.report.fit import fit_power_law
    >>> law = fit_power_law([1, 10, 100, 1000], [2, 20, 200, 2000])
    >>> law(50).round(6).item(), law.resolved
    (100.0, True)
    """

    a: float
    b: float
    alpha: float
    low: float
    high: float
    rms: float
    x: Vector
    t: Vector

    def __call__(self, x: npt.ArrayLike) -> Vector:
        """The fitted curve at `x`."""
        return np.asarray(self.a + self.b * np.asarray(x, dtype=np.float64) ** self.alpha, dtype=np.float64)

    @property
    def decades(self) -> float:
        """How many powers of ten the abscissa spans."""
        return float(np.log10(self.x[-1] / self.x[0]))

    @property
    def resolved(self) -> bool:
        """Whether there are enough points, over a wide enough range, for a meaningful exponent."""
        # The slack admits a nominal decade such as 200…2000 despite rounding in the logarithm.
        return self.x.size >= MIN_POINTS and self.decades >= MIN_DECADES - 1e-9

    @property
    def vague(self) -> bool:
        """Whether the exponent is known to no better than ±1.5, so that its digits are not shown."""
        return self.high - self.low > 3


def fit_power_law(
    x: npt.ArrayLike,
    t: npt.ArrayLike,
    *,
    floor: bool | None = None,
    draws: int = 200,
    seed: int = 0,
    spread: Spread | None = None,
) -> PowerLaw:
    """Fit t = a + b·x^α, a ≥ 0, on log residuals.

    Parameters
    ----------
    x : array_like, shape (k,)
        Sizes, positive, at least two different ones; any order.
    t : array_like, shape (k,)
        Times (or any positive quantity) at those sizes.
    floor : bool, optional
        Whether the model has the floor a. Left out, an F-test decides.
    draws : int, optional
        Bootstrap draws for the interval of α; 0 for none.
    seed : int, optional
        Seed of the draws.
    spread : Spread, optional
        What differs between sessions; every draw is tilted by it. Without it the interval holds for one run.

    Returns
    -------
    PowerLaw
        The fitted curve, its exponent and the exponent's 95 % interval.

    Raises
    ------
    ValueError
        If the shapes differ, a value is not positive and finite, or all sizes are the same.

    Examples
    --------
    >>> from xpsolve.report.fit import fit_power_law
    >>> law = fit_power_law([100, 300, 1000, 3000, 10000], [1.1, 1.3, 2.0, 4.0, 11.0])
    >>> round(law.alpha, 2), round(law.a, 2)
    (1.0, 1.0)
    """
    size, time = _checked(x, t)
    centred = np.log(size) - np.log(size).mean()
    log_t = np.log(time)
    k = size.size

    straight = _line(centred, log_t)
    line = log_t.mean() + straight * centred
    bent, curve = (straight, line) if k < 3 or floor is False else _bend(centred, log_t, _starts(centred, straight))[1:]
    rss_line, rss_curve = float(np.sum((log_t - line) ** 2)), float(np.sum((log_t - curve) ** 2))
    p_value = _no_floor(rss_line, rss_curve, k)
    keep = p_value < SUPPORT if floor is None else floor and k >= 3
    alpha = bent if keep else straight
    level = np.log(size).mean()
    low = high = np.nan
    if draws > 0 and k >= MIN_POINTS:
        rng = np.random.default_rng(seed)
        firm = keep and p_value < FIRM
        noise = _noise(rng, rss_curve, k - 3, draws, k) if firm else _noise(rng, rss_line, k - 2, draws, k)
        if spread is not None:
            noise += spread.draw(rng, draws)[1][:, None] * centred / np.ptp(centred)
        low, high = _interval(centred, curve if keep else line, noise, lines=not firm)
        low, high = min(low, alpha), max(high, alpha)
    if keep:
        log_rho, alpha, _ = _bend(centred, log_t, _starts(centred, straight))
        log_b = float(np.mean(log_t - np.logaddexp(log_rho, alpha * centred)))
        a, b = float(np.exp(log_b + log_rho)), float(np.exp(log_b - alpha * level))
    else:
        a, b = 0.0, float(np.exp(log_t.mean() - alpha * level))
    rms = float(np.sqrt((rss_curve if keep else rss_line) / k))
    return PowerLaw(a, b, float(alpha), float(low), float(high), rms, size, time)


def local_slopes(x: npt.ArrayLike, t: npt.ArrayLike) -> Vector:
    """The exponent between neighbours, d log t / d log x, of k sizes: shape (k − 1,).

    >>> local_slopes([1, 10, 100], [1, 10, 1000]).round(6).tolist()
    [1.0, 2.0]
    """
    size, time = _checked(x, t)
    return np.asarray(np.diff(np.log(time)) / np.diff(np.log(size)), dtype=np.float64)


def expected(law: PowerLaw, cost: npt.ArrayLike) -> float:
    """The exponent of a cost, in any unit at ``law.x``, fitted in the same form; NaN where one is not known.

    >>> round(expected(fit_power_law([1, 10, 100, 1000], [2, 21, 190, 2000]), [3, 30, 300, 3000]), 6)
    1.0
    """
    known = np.asarray(cost, dtype=np.float64)
    if known.size < 2 or not np.all(np.isfinite(known) & (known > 0)):
        return np.nan
    return fit_power_law(law.x, known, floor=law.a > 0, draws=0).alpha


def _checked(x: npt.ArrayLike, t: npt.ArrayLike) -> tuple[Vector, Vector]:
    size, time = np.asarray(x, dtype=np.float64), np.asarray(t, dtype=np.float64)
    if size.ndim != 1 or size.shape != time.shape:
        raise ValueError(f"x and t: expected two vectors of one length, got shapes {size.shape} and {time.shape}")
    for name, values in (("x", size), ("t", time)):
        if not (np.all(np.isfinite(values)) and np.all(values > 0)):
            raise ValueError(f"{name}: expected positive finite numbers, got {values.tolist()}; leave other points out")
    if np.unique(size).size < 2:
        raise ValueError(f"x: expected at least two different sizes, got {size.tolist()}")
    order = np.argsort(size, kind="stable")
    return size[order], time[order]


def _line(centred: Vector, log_t: Vector) -> float:
    return float(centred @ log_t / (centred @ centred))


def _starts(centred: Vector, slope: float) -> list[tuple[float, float]]:
    """Where to begin: a constant well below the first point, near the early ones, and above most of them."""
    steep = slope if abs(slope) > 0.1 else 0.1
    first = float(np.min(steep * centred))
    return [(first - 1.0, steep), (first + 1.5, 1.5 * steep), (first + 4.0, 2.0 * steep)]


def _bend(centred: Vector, log_t: Vector, starts: Sequence[tuple[float, float]]) -> tuple[float, float, Vector]:
    """Best (log ρ, α) of log t = c + log(ρ + x^α), and the fitted curve."""

    def residual(q: Vector) -> Vector:
        floor, power = np.clip(q, -500, 500)  # a trial step may be far away
        r = log_t - np.logaddexp(floor, power * centred)
        return np.asarray(r - r.mean())

    def jacobian(q: Vector) -> Vector:
        floor, power = np.clip(q, -500, 500)
        weight = np.exp(floor - np.logaddexp(floor, power * centred))
        j = -np.column_stack((weight, (1.0 - weight) * centred))
        return np.asarray(j - j.mean(axis=0))

    best, misses = min(
        (_least(residual, start, jacobian, most=60) for start in starts), key=lambda fit: fit[1] @ fit[1]
    )
    return float(best[0]), float(best[1]), log_t - misses


def _least(
    residual: Callable[[Vector], Vector],
    start: tuple[float, ...],
    jacobian: Callable[[Vector], Vector] | None = None,
    *,
    most: int,
) -> tuple[Vector, Vector]:
    """Where Levenberg and Marquardt's method ends from a start, and the residuals there.

    `leastsq` calls MINPACK as `least_squares` does, at a quarter of the time for a small fit.
    """
    options = {"ftol": 1e-8, "xtol": 1e-8, "gtol": 1e-8, "maxfev": most, "diag": np.ones(len(start))}
    with np.errstate(all="ignore"):  # a covariance that it computes too, of a singular Jacobian
        q, _, said, *_ = leastsq(residual, start, Dfun=jacobian, full_output=True, **options)
    return np.asarray(q), np.asarray(said["fvec"])


def _no_floor(rss_line: float, rss_curve: float, k: int) -> float:
    """The p-value of the F-test of the straight line against the bent one."""
    if k < MIN_POINTS or rss_line <= 1e-20 * k:  # the line is exact: a floor cannot improve it
        return 1.0
    statistic = (rss_line - rss_curve) / max(rss_curve / (k - 3), 1e-300)
    return float(stats.f.sf(statistic, 1, k - 3))


def _noise(rng: np.random.Generator, rss: float, freedom: int, draws: int, k: int) -> Vector:
    sigma = np.sqrt(rss / rng.chisquare(freedom, draws))
    return np.asarray(sigma[:, None] * rng.standard_normal((draws, k)), dtype=np.float64)


def _interval(centred: Vector, fitted: Vector, noise: Vector, *, lines: bool) -> tuple[float, float]:
    """Refit every noisy copy of the fitted curve; `lines` lets the interval cover the straight-line fits too."""
    sample = fitted + noise
    slopes = sample @ centred / (centred @ centred)
    # One start near the minimum of the noiseless curve, one at a very small floor.
    starts = _starts(centred, float(np.median(slopes)))
    starts = [_bend(centred, fitted, starts)[:2], *starts[: int(lines)]]
    bent = [_bend(centred, y, starts)[1] for y in sample]
    low, high = np.percentile(bent, [2.5, 97.5])
    if lines:
        low, high = np.minimum(low, np.percentile(slopes, 2.5)), np.maximum(high, np.percentile(slopes, 97.5))
    return float(low), float(high)


def constant(law: PowerLaw, cost: npt.ArrayLike) -> tuple[float, float, bool]:
    """The constant c in t = c + d·cost, in seconds; its part of the time at the median size; whether it rules.

    It rules where it is the greater part at most sizes, of times that this form describes as well as the power law.

    >>> law = fit_power_law([1, 10, 100, 1000], [3.0, 3.0, 3.1, 4.0])
    >>> seconds, part, rules = constant(law, [1, 10, 100, 1000])
    >>> round(seconds, 2), rules
    (3.0, True)
    """
    known, log_t = np.asarray(cost, dtype=np.float64), np.log(law.t)
    scaled = known / np.exp(np.mean(np.log(known)))

    def residual(q: Vector) -> Vector:
        r = log_t - np.log(np.exp(q[0]) + scaled)
        return np.asarray(r - r.mean())

    starts = (np.log(scaled.min()) - 3.0, 0.0, np.log(scaled.max()) + 3.0)
    best, misses = min((_least(residual, (start,), most=100) for start in starts), key=lambda fit: fit[1] @ fit[1])
    rho = float(np.exp(best[0]))
    shares = rho / (rho + scaled)
    fits = float(np.sqrt(np.mean(misses**2))) <= max(1.5 * law.rms, 0.1)
    level = float(np.exp(np.mean(log_t - np.log(rho + scaled))))
    return rho * level, float(np.median(shares)), bool(fits and 2 * np.count_nonzero(shares > 0.5) > law.x.size)
