import numpy as np
import pytest

from xpsolve.report.fit import fit_power_law, local_slopes, verdict

SIZES = {
    "decade": np.geomspace(1000, 20_000, 5),
    "two decades": np.geomspace(100, 10_000, 6),
}


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


@pytest.mark.parametrize(
    ("sizes", "floor", "alpha"),
    [("decade", 0.0, 1.0), ("two decades", 10.0, 1.0)],
)
def test_the_interval_covers_the_truth(sizes, floor, alpha):
    x, rng, trials = SIZES[sizes], np.random.default_rng(20), 200
    clean = floor * x[1] ** alpha * 0.3 + x**alpha
    inside = 0
    for _ in range(trials):
        law = fit_power_law(x, clean * np.exp(0.05 * rng.standard_normal(x.size)), draws=100)
        inside += law.low <= alpha <= law.high
    assert inside >= 0.9 * trials


def test_one_seed_one_interval_and_any_order():
    x, rng = SIZES["two decades"], np.random.default_rng(1)
    t = x * np.exp(0.05 * rng.standard_normal(x.size))
    first, again = fit_power_law(x, t), fit_power_law(x[::-1], t[::-1])
    assert (first.alpha, first.low, first.high) == (again.alpha, again.low, again.high)


def noisy(x, t, seed=0):
    return np.asarray(t) * np.exp(0.02 * np.random.default_rng(seed).standard_normal(len(x)))


def test_verdicts():
    x = SIZES["two decades"]
    cases = {
        "agrees": (noisy(x, 1e-6 * x), x),
        "differs": (noisy(x, 1e-6 * x**1.5), x),
        "floor-bound": (noisy(x, 1e-3 + 1e-9 * x), x),
        "unresolved": (noisy(x, 1e-6 * x), None),
    }
    for expected, (t, theory) in cases.items():
        word, _, reason = verdict(fit_power_law(x, t), theory)
        assert word == expected, reason


def test_a_flat_time_is_floor_bound():
    x = SIZES["two decades"]
    assert verdict(fit_power_law(x, noisy(x, np.full(x.size, 1e-4))), x)[0] == "floor-bound"


def test_a_small_floor_still_agrees():
    x = SIZES["two decades"]
    assert verdict(fit_power_law(x, noisy(x, 2e-4 + 1e-6 * x)), x)[0] == "agrees"


def test_few_points_or_a_narrow_range_are_unresolved():
    three = np.array([100.0, 1000.0, 10_000.0])
    word, expected, reason = verdict(fit_power_law(three, three), three)
    assert (word, round(expected, 6)) == ("unresolved", 1.0)
    assert "3 usable points" in reason
    narrow = np.array([100.0, 200.0, 400.0, 800.0])
    assert verdict(fit_power_law(narrow, narrow), narrow)[0] == "unresolved"


def test_theory_is_taken_over_the_same_sizes():
    # n p² + p³/3 at n = 1000: between 2 and 3, and so is a machine that follows it exactly.
    p = np.geomspace(100, 4000, 6)
    flops = 1000 * p**2 + p**3 / 3
    word, expected, _ = verdict(fit_power_law(p, noisy(p, 1e-10 * flops)), flops)
    assert word == "agrees"
    assert 2.1 < expected < 3.0


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
