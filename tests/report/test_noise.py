"""Times of two runs: reruns of one commit raise no alarm, and what is planted is found and named."""

import math

import numpy as np
import pandas as pd
import pytest

from xpsolve.report.noise import LEAST, compare

SIZES = np.array([1000.0, 2000.0, 4000.0, 8000.0, 16000.0])
COLUMNS = ("value", "lower", "upper")


def run(rng, series=150, noise=0.02):
    """A run of a suite: a drift, a noise of each series (one in twenty is wild), and one of each point."""
    drift = 0.1 * rng.standard_normal()
    frames = []
    for i in range(series):
        own = noise * rng.standard_normal() * (3.0 if rng.random() < 0.05 else 1.0)
        t = 1e-4 + 1e-7 * (1 + i % 7) * SIZES ** (1 + i % 3 / 2)
        t *= np.exp(drift + own + 0.02 * rng.standard_normal(SIZES.size))
        spread = 0.01 + 0.03 * rng.random(SIZES.size)
        frames.append({"name": f"s{i}", "x": SIZES, "value": t, "lower": t * (1 - spread), "upper": t * (1 + spread)})
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)


def pair(base, new):
    return base.merge(new, on=["name", "x"], suffixes=("_base", "_new"))


def planted(frame, name, factor):
    chosen = frame["name"] == name
    there = frame.loc[chosen, "x"].to_numpy()
    for column in COLUMNS:
        frame.loc[chosen, column] *= factor(there)
    return frame


@pytest.mark.parametrize("series", [3, 12, 150])
def test_ten_reruns_of_one_commit_raise_no_alarm(series):
    rng = np.random.default_rng(series)
    first = run(rng, series)
    for _ in range(10):
        found = compare(pair(first, run(rng, series)), ["name"])
        assert not found.slowdowns
        assert not found.steeper
        assert len(found.shifts) == series
        assert found.few == (series < 8)


@pytest.mark.parametrize("series", [12, 150])
def test_a_slowdown_is_found_and_named(series):
    rng = np.random.default_rng(100 + series)
    for _ in range(5):
        base = run(rng, series)
        new = planted(run(rng, series), "s5", lambda x: 1.5)
        found = compare(pair(base, new), ["name"])
        assert [s.key for s in found.slowdowns] == [("s5",)]
        assert not found.steeper
        assert [s.key for s in compare(pair(new, base), ["name"]).speedups] == [("s5",)]


def test_a_rising_exponent_is_found_and_named():
    rng = np.random.default_rng(7)
    for _ in range(3):
        base = run(rng)
        new = planted(run(rng), "s4", lambda x: (x / SIZES[0]) ** 0.5)
        assert [s.key for s in compare(pair(base, new), ["name"]).steeper] == [("s4",)]
        # Faster at small sizes and as fast at large ones: steeper, and no harm.
        better = planted(run(rng), "s4", lambda x: (x / SIZES[-1]) ** 0.5)
        assert not compare(pair(base, better), ["name"]).steeper


def test_a_third_of_all_series_may_slow_down_together():
    rng = np.random.default_rng(8)
    base, new = run(rng), run(rng)
    slow = {f"s{i}" for i in range(0, 150, 3)}
    for name in slow:
        planted(new, name, lambda x: 2.0)
    assert {s.key[0] for s in compare(pair(base, new), ["name"]).slowdowns} == slow


def test_drift_is_divided_out():
    rng = np.random.default_rng(9)
    base, new = run(rng), run(rng)
    for column in COLUMNS:
        new[column] *= 3.0
    found = compare(pair(base, new), ["name"])
    assert found.drift == pytest.approx(3.0, rel=0.5)
    assert not found.slowdowns


def test_more_noise_hides_more():
    rng = np.random.default_rng(10)
    quiet, loud = (compare(pair(run(rng, noise=s), run(rng, noise=s)), ["name"]) for s in (0.01, 0.2))
    assert quiet.limit == pytest.approx(math.log(LEAST))
    assert loud.limit > math.log(1.5)
    assert loud.noise == pytest.approx(0.2 * math.sqrt(2), rel=0.5)


def test_one_or_two_slow_sizes_are_no_slowdown():
    rng = np.random.default_rng(11)
    new = planted(run(rng), "s5", lambda x: np.where(x < 3000, 3.0, 1.0))
    assert not compare(pair(run(rng), new), ["name"]).slowdowns


def test_intervals_that_overlap_are_no_slowdown():
    rng = np.random.default_rng(12)
    new = planted(run(rng), "s5", lambda x: 1.5)
    new.loc[new["name"] == "s5", "lower"] *= 0.5
    assert not compare(pair(run(rng), new), ["name"]).slowdowns


def test_lines_of_two_sizes_are_left_out():
    few = run(np.random.default_rng(13), 3)
    few = few[few["x"] < 3000]
    assert not compare(pair(few, few), ["name"]).shifts
