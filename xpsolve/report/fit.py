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
- Where costs say how large the constant can be at `most`, it is no larger, unless its support is firm.
- Four sizes leave one degree of freedom, which alone would allow nearly any exponent.  What the residuals of all series
  of a run say of their variances is added to what those of one say: see `Scatter`.
- Where there were several sessions, every draw is tilted as sessions tilt series: see `xpsolve.report.sessions`.
- The theory is fitted over the same sizes in the same form: the flops n p² + p³/3 have no single exponent, and
  over p = 200…2000 at n = 8000 they rise as p^2.03, not as p².
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import leastsq, minimize

from xpsolve.report.sessions import Spread, Vector
from xpsolve.report.verdict import MIN_POINTS, spans_enough

SUPPORT = 0.2  # a floor is kept when the F-test against none gives less than this
FIRM = 0.01  # and taken as certain below this
STIFF = 10.0  # how a constant above what it can be weighs, beside log t
ENOUGH = 10  # series, without which nothing is known of a run
EXACT = 1e-10  # residuals of what was not timed


@dataclass(frozen=True)
class PowerLaw:
    """A fitted t = a + b·x^α.

    >>> law = fit_power_law([1, 10, 100, 1000], [2, 20, 200, 2000])
    >>> law(50).round(6).item(), law.resolved
    (100.0, True)
    """

    a: float  # the floor; 0 when the data do not support one
    b: float
    alpha: float
    low: float  # the 95 % interval of `alpha`; NaN when no draws were asked for or too few points are there
    high: float
    rms: float  # root mean square of the log residuals, about the relative scatter
    x: Vector  # the points that were fitted, in increasing x
    t: Vector

    def __call__(self, x: npt.ArrayLike) -> Vector:
        """The fitted curve at `x`."""
        return np.asarray(self.a + self.b * np.asarray(x, dtype=np.float64) ** self.alpha, dtype=np.float64)

    @property
    def resolved(self) -> bool:
        """Whether there are enough points, over a wide enough range, for a meaningful exponent."""
        return self.x.size >= MIN_POINTS and spans_enough(self.x[-1] / self.x[0])

    @property
    def vague(self) -> bool:
        """Whether the exponent is known to no better than ±1.5, so that its digits are not shown."""
        return self.high - self.low > 3


@dataclass(frozen=True)
class Scatter:
    """What the variances of many fits say of that of one, as s₀² and ν₀ degrees of freedom (Smyth 2004).

    The more alike the variances are, the larger is ν₀; a fit with ν degrees of freedom of its own then has ν + ν₀.

    >>> rng, x = np.random.default_rng(0), np.geomspace(100, 10_000, 6)
    >>> noisy = [x * np.exp(0.1 * rng.standard_normal(6)) for _ in range(200)]
    >>> found = Scatter.pooled(fit_power_law(x, t, floor=True, draws=0) for t in noisy)
    >>> round(found.variance**0.5, 1), found.freedom > 20
    (0.1, True)
    """

    variance: float = 0.0
    freedom: float = 0.0  # 0 where nothing is known

    @classmethod
    def pooled(cls, laws: Iterable[PowerLaw]) -> Scatter:
        """The most likely, where s² of a fit is s₀² times an F variable of ν and ν₀ degrees of freedom."""
        timed = [(law.rms**2 * law.x.size, law.x.size - 3) for law in laws if law.x.size > 3 and law.rms > EXACT]
        if len(timed) < ENOUGH:
            return cls()
        rss, freedom = np.array(timed, dtype=np.float64).T
        s2 = rss / freedom

        def surprise(q: Vector) -> float:
            return -float(np.sum(stats.f.logpdf(s2 / np.exp(q[0]), freedom, np.exp(q[1])) - q[0]))

        best = minimize(surprise, (np.log(np.median(s2)), 1.0), method="L-BFGS-B", bounds=((None, None), (-3.0, 6.0)))
        return cls(*np.exp(best.x).tolist())


def fit_power_law(
    x: npt.ArrayLike,  # sizes, positive, in any order; at least two different ones
    t: npt.ArrayLike,  # times (or any positive quantity) at those sizes
    *,
    floor: bool | None = None,  # whether the model has the floor a; left out, an F-test decides
    draws: int = 200,  # of the bootstrap for the interval of α; 0 for none
    spread: Spread | None = None,  # between sessions, which tilts every draw; without it the interval is of one run
    scatter: Scatter = Scatter(),  # of the fits of a run, beside which the residuals of this one are seen
    most: float = np.inf,  # that a can be, in the unit of `t`, where it has no firm support
) -> PowerLaw:
    """Fit t = a + b·x^α, a ≥ 0, on log residuals; ValueError where `x` and `t` are not as they must be.

    >>> from xpsolve.report.fit import fit_power_law
    >>> law = fit_power_law([100, 300, 1000, 3000, 10000], [1.1, 1.3, 2.0, 4.0, 11.0])
    >>> round(law.alpha, 2), round(law.a, 2)
    (1.0, 1.0)
    """
    size, time = _checked(x, t)
    log_x, log_t, k = np.log(size), np.log(time), size.size
    centred = log_x - log_x.mean()
    straight = float(centred @ log_t / (centred @ centred))
    line = log_t.mean() + straight * centred
    log_rho, bent, curve = -np.inf, straight, line
    rss_line = rss_curve = float(np.sum((log_t - line) ** 2))
    p_value, cap = 1.0, np.inf
    if k >= 3 and floor is not False:
        for cap in dict.fromkeys((np.inf, np.log(most))):
            log_rho, bent, curve = _bend(centred, log_t, _starts(centred, straight), cap)
            rss_curve = float(np.sum((log_t - curve) ** 2))
            p_value = _no_floor(rss_line, rss_curve, k, scatter)
            if p_value < FIRM:
                break
    keep = k >= 3 and (p_value < SUPPORT if floor is None else floor)
    alpha, fitted, rss = (bent, curve, rss_curve) if keep else (straight, line, rss_line)
    low = high = np.nan
    if draws > 0 and k >= MIN_POINTS:
        rng = np.random.default_rng(0)
        firm = keep and p_value < FIRM
        left, freedom = (rss_curve, k - 3) if firm else (rss_line, k - 2)
        left += scatter.freedom * scatter.variance
        sigma = np.sqrt(left / rng.chisquare(freedom + scatter.freedom, draws))
        noise = sigma[:, None] * rng.standard_normal((draws, k))
        if spread is not None:
            noise += spread.draw(rng, draws)[1][:, None] * centred / np.ptp(centred)
        low, high = _interval(centred, fitted, noise, cap, lines=not firm)
        low, high = min(low, alpha), max(high, alpha)
    log_rho = log_rho if keep else -np.inf
    log_b = float(np.mean(log_t - np.logaddexp(log_rho, alpha * centred)))
    a, b = float(np.exp(log_b + log_rho)), float(np.exp(log_b - alpha * log_x.mean()))
    return PowerLaw(a, b, float(alpha), float(low), float(high), float(np.sqrt(rss / k)), size, time)


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


def _starts(centred: Vector, slope: float) -> list[tuple[float, float]]:
    """Where to begin: a constant well below the first point, near the early ones, and above most of them."""
    steep = slope if abs(slope) > 0.1 else 0.1
    first = float(np.min(steep * centred))
    return [(first - 1.0, steep), (first + 1.5, 1.5 * steep), (first + 4.0, 2.0 * steep)]


def _bend(
    centred: Vector, log_t: Vector, starts: Sequence[tuple[float, float]], cap: float
) -> tuple[float, float, Vector]:
    """Best (log ρ, α) of log t = c + log(ρ + x^α), and the fitted curve; log a = c + log ρ is hardly above `cap`."""

    def residual(q: Vector) -> Vector:
        floor, power = np.clip(q, -500, 500)  # a trial step may be far away
        r = log_t - np.logaddexp(floor, power * centred)
        above = max(r.mean() + floor - cap, 0.0)
        return np.append(r - r.mean(), STIFF * above)

    def jacobian(q: Vector) -> Vector:
        floor, power = np.clip(q, -500, 500)
        bent = np.logaddexp(floor, power * centred)
        weight = np.exp(floor - bent)
        j = -np.column_stack((weight, (1.0 - weight) * centred))
        mean = j.mean(axis=0)
        above = np.mean(log_t - bent) + floor > cap
        return np.vstack((j - mean, STIFF * above * (mean + np.array([1.0, 0.0]))))

    (log_rho, alpha), misses = _least(residual, starts, jacobian, most=60)
    return float(log_rho), float(alpha), log_t - misses[:-1]


def _least(
    residual: Callable[[Vector], Vector],
    starts: Sequence[tuple[float, ...]],
    jacobian: Callable[[Vector], Vector] | None = None,
    *,
    most: int,
) -> tuple[Vector, Vector]:
    """The best point where Levenberg and Marquardt's method ends from several starts, and the residuals there.

    `leastsq` calls MINPACK as `least_squares` does, at a quarter of the time for a small fit.
    """
    options = {"ftol": 1e-8, "xtol": 1e-8, "gtol": 1e-8, "maxfev": most, "diag": np.ones(len(starts[0]))}
    with np.errstate(all="ignore"):  # a covariance that it computes too, of a singular Jacobian
        ends = [leastsq(residual, start, Dfun=jacobian, full_output=True, **options) for start in starts]
    found = [(np.asarray(q), np.asarray(said["fvec"])) for q, _, said, *_ in ends]
    return min(found, key=lambda fit: fit[1] @ fit[1])


def _no_floor(rss_line: float, rss_curve: float, k: int, scatter: Scatter) -> float:
    """The p-value of the F-test of the straight line against the bent one."""
    if k < MIN_POINTS or rss_line <= 1e-20 * k:  # the line is exact: a floor cannot improve it
        return 1.0
    freedom = k - 3 + scatter.freedom
    variance = (rss_curve + scatter.freedom * scatter.variance) / freedom
    return float(stats.f.sf((rss_line - rss_curve) / max(variance, 1e-300), 1, freedom))


def _interval(centred: Vector, fitted: Vector, noise: Vector, cap: float, *, lines: bool) -> tuple[float, float]:
    """Refit every noisy copy of the fitted curve; `lines` lets the interval cover the straight-line fits too."""
    sample = fitted + noise
    slopes = sample @ centred / (centred @ centred)
    # One start near the minimum of the noiseless curve, one at a very small floor.
    starts = _starts(centred, float(np.median(slopes)))
    starts = [_bend(centred, fitted, starts, cap)[:2], *starts[: int(lines)]]
    bent = [_bend(centred, y, starts, cap)[1] for y in sample]
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

    starts = [(np.log(scaled.min()) - 3.0,), (0.0,), (np.log(scaled.max()) + 3.0,)]
    best, misses = _least(residual, starts, most=100)
    rho = float(np.exp(best[0]))
    shares = rho / (rho + scaled)
    fits = float(np.sqrt(np.mean(misses**2))) <= max(1.5 * law.rms, 0.1)
    level = float(np.exp(np.mean(log_t - np.log(rho + scaled))))
    return rho * level, float(np.median(shares)), bool(fits and 2 * np.count_nonzero(shares > 0.5) > law.x.size)
