import numpy as np
import pytest

from xpsolve.report.findings import against
from xpsolve.report.fit import Scatter, fit_power_law, local_slopes
from xpsolve.report.verdict import judge, sentence

TWO_DECADES = np.geomspace(100, 10_000, 6)


@pytest.mark.parametrize("alpha", [-1.5, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 3.0])
def test_recovers_an_exact_law(alpha, share):
    x = np.geomspace(100, 10_000, 7)
    t = 1e-6 * (share * np.median(x**alpha) + x**alpha)
    law = fit_power_law(x, t, draws=50)
    assert law.alpha == pytest.approx(alpha, abs=1e-4)
    assert law.a == pytest.approx(1e-6 * share * np.median(x**alpha), rel=1e-3, abs=1e-12)
    assert law.low - 1e-4 <= alpha <= law.high + 1e-4
    np.testing.assert_allclose(law(x), t, rtol=1e-4)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_interval_covers_the_truth(seed):
    """Sizes of the suite, floors from 10 to 100 µs, first times from 10 µs to 10 ms, and 5 % of noise."""
    grids = [
        (4000, 7000, 12500, 22500, 40000),
        (400, 710, 1260, 2250, 4000),
        (20, 60, 200, 600, 2000),
        (1000, 2000, 4000, 8000, 16000, 32000),
    ]
    rng, trials, inside, widths = np.random.default_rng(seed), 80, 0, []
    for _ in range(trials):
        x = np.asarray(grids[rng.integers(len(grids))], dtype=np.float64)
        alpha, a, first = rng.uniform(0.5, 3.0), 10 ** rng.uniform(-5, -4), 10 ** rng.uniform(-5, -2)
        t = (a + first * (x / x[0]) ** alpha) * np.exp(0.05 * rng.standard_normal(x.size))
        law = fit_power_law(x, t, draws=60)
        inside += law.low <= alpha <= law.high
        widths.append(law.high - law.low)
    assert inside >= 0.9 * trials
    assert np.median(widths) < 0.4  # an interval that holds everything is useless


def test_variances_of_many_series_narrow_the_interval_of_one():
    """Four or five sizes, and noise from a hundredth to half, as different series of one run have it."""
    rng, series = np.random.default_rng(0), []
    for i in range(80):
        x, alpha = np.geomspace(100, 3000, 4 + i % 2), rng.uniform(0.5, 2.5)
        sigma = 0.05 / np.sqrt(rng.chisquare(2) / 2)
        series.append((x, alpha, x**alpha * np.exp(sigma * rng.standard_normal(x.size))))
    scatter = Scatter.pooled(fit_power_law(x, t, floor=True, draws=0) for x, _, t in series)
    assert scatter.variance**0.5 == pytest.approx(0.05, rel=0.5)
    inside, narrower = 0, []
    for x, alpha, t in series:
        law, alone = (fit_power_law(x, t, draws=60, scatter=given) for given in (scatter, Scatter()))
        inside += law.low <= alpha <= law.high
        narrower.append((law.high - law.low) / (alone.high - alone.low))
    assert 0.9 <= inside / len(series) <= 0.99
    assert np.median(narrower) < 0.9


def test_a_known_constant_narrows_the_interval():
    """Four sizes, constants of half to five times what is predicted, and first times of up to a hundred times that."""
    rng, trials, inside, narrower = np.random.default_rng(0), 120, 0, []
    for _ in range(trials):
        x, alpha, predicted = np.geomspace(100, 2000, 4), rng.uniform(0.5, 2.5), 10 ** rng.uniform(-5, -4)
        a, first = predicted * 5 ** rng.uniform(-0.43, 1), predicted * 10 ** rng.uniform(0, 2)
        t = (a + first * (x / x[0]) ** alpha) * np.exp(0.05 * rng.standard_normal(x.size))
        law, free = (fit_power_law(x, t, draws=60, most=most) for most in (5 * predicted, np.inf))
        inside += law.low <= alpha <= law.high
        narrower.append((law.high - law.low) / (free.high - free.low))
    assert inside / trials >= 0.9
    assert np.median(narrower) < 0.8


def test_a_constant_with_firm_support_may_be_larger_than_predicted():
    x = TWO_DECADES
    t = noisy(x, 1e-3 + 1e-6 * x)
    assert fit_power_law(x, t, most=1e-6).a == pytest.approx(fit_power_law(x, t).a) == pytest.approx(1e-3, rel=0.1)
    slight = noisy(x, 1e-5 + 1e-6 * x)  # a tenth of the first time
    assert fit_power_law(x, slight, floor=True, most=1e-6).a < 1.1e-6


@pytest.mark.parametrize("exact", [True, False])
def test_what_was_not_timed_says_nothing_of_noise(exact):
    laws = [fit_power_law(TWO_DECADES, noisy(TWO_DECADES, TWO_DECADES, i), draws=0) for i in range(9)]
    laws += [fit_power_law(TWO_DECADES, TWO_DECADES, draws=0)] * 5 if exact else []
    assert Scatter.pooled(laws) == Scatter()


def test_one_seed_one_interval_and_any_order():
    x, rng = TWO_DECADES, np.random.default_rng(1)
    t = x * np.exp(0.05 * rng.standard_normal(x.size))
    first, again = fit_power_law(x, t), fit_power_law(x[::-1], t[::-1])
    assert (first.alpha, first.low, first.high) == (again.alpha, again.low, again.high)


def noisy(x, t, seed=0):
    return np.asarray(t) * np.exp(0.02 * np.random.default_rng(seed).standard_normal(len(x)))


def verdict(x, t, theory):
    return against(fit_power_law(x, t), theory)[0]


def test_verdicts():
    x = TWO_DECADES
    cases = {
        "agrees": (noisy(x, 1e-6 * x), x),
        "differs": (noisy(x, 1e-6 * x**1.5), x),
        "floor-bound": (noisy(x, 1e-3 + 1e-9 * x), x),
        "no theory": (noisy(x, 1e-6 * x), None),
    }
    for expected, (t, theory) in cases.items():
        said = verdict(x, t, theory)
        assert said.kind == expected, sentence(said)
        assert said.judged == (theory is not None)


def test_a_flat_time_is_floor_bound():
    x = TWO_DECADES
    said, (seconds, part) = against(fit_power_law(x, noisy(x, np.full(x.size, 1e-4))), x)
    assert said.kind == "floor-bound"
    assert seconds == pytest.approx(1e-4, rel=0.05)
    assert said.cause.numbers["constant"] == part == pytest.approx(1, abs=0.05)


def test_a_small_floor_still_agrees():
    x = TWO_DECADES
    assert verdict(x, noisy(x, 2e-4 + 1e-6 * x), x).kind == "agrees"


def test_few_points_or_a_narrow_range_are_not_measurable():
    three = np.array([100.0, 1000.0, 10_000.0])
    said = verdict(three, three, three)
    assert (said.kind, said.cause.kind, round(said.theory, 6)) == ("not measurable", "points", 1.0)
    assert sentence(said) == "3 sizes were measured, and 4 are needed"
    narrow = np.array([100.0, 200.0, 400.0, 800.0])
    said = verdict(narrow, narrow, narrow)
    assert (said.kind, said.cause.kind, said.cause.numbers["span"]) == ("not measurable", "range", 8.0)


@pytest.mark.parametrize(
    ("value", "ends", "kind"),
    [
        (1.0, (0.6, 1.4), "agrees"),
        (1.3, (0.78, 1.74), "not measurable"),  # the theory lies in it, but also what is nearer to 2
        (1.4, (0.9, 2.0), "not measurable"),
        (0.5, (-0.05, 1.1), "not measurable"),
        (1.07, (1.06, 1.1), "agrees"),  # within 0.1 of the theory, however narrow
        (1.2, (1.15, 1.3), "differs"),
        (2.0, (1.2, 3.0), "differs"),  # wide, but the theory is outside of it
    ],
)
def test_an_interval_that_agrees_tells_neighbouring_integers_apart(value, ends, kind):
    said = judge(value, ends, 0.98, points=5, span=16.0)
    assert said.kind == kind
    if kind == "not measurable":
        assert said.cause.kind == "noise"
        assert said.cause.numbers["width"] == pytest.approx(ends[1] - ends[0])


def test_theory_is_taken_over_the_same_sizes():
    # n p² + p³/3 at n = 1000: between 2 and 3, and so is a machine that follows it exactly.
    p = np.geomspace(100, 4000, 6)
    flops = 1000 * p**2 + p**3 / 3
    said = verdict(p, noisy(p, 1e-10 * flops), flops)
    assert said.kind == "agrees"
    assert 2.1 < said.theory < 3.0


def test_local_slopes():
    np.testing.assert_allclose(local_slopes([1, 2, 4], [1, 2, 8]), [1.0, 2.0])


@pytest.mark.parametrize(
    ("x", "t", "message"),
    [
        ([1, 2], [1], "one length"),
        ([1, 2, 0], [1, 1, 1], "x: expected positive"),
        ([1, 2, 3], [1, np.nan, 1], "t: expected positive"),
        ([5, 5], [1, 2], "two different sizes"),
    ],
)
def test_bad_input_names_the_argument(x, t, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(x, t)
