"""One law for all sweeps of a method: what made the times is found again."""

import math

import numpy as np
import pytest

from xpsolve import costs
from xpsolve.report.asv import read
from xpsolve.report.findings import series
from xpsolve.report.joint import joint_fits
from xpsolve.report.table import tidy

N = [1000, 2000, 4000, 8000, 16000]
P = [100, 200, 400, 800, 1600]


def fits(suite):
    frame = tidy(read(suite.write()))
    found = joint_fits(frame)
    assert found.equals(joint_fits(frame, series(frame)))
    return found.set_index("length")


def sweep(suite, name, x, sizes, seconds, *, method="cg", cost=None, **fixed):
    meta = suite.meta(name, "time", "seconds", x, cost, fixed={**fixed, "method": method})
    grid = {"backend": ["numpy"], x: sizes}
    return suite.add(f"r.{name}.time_solve", grid, lambda backend, **lengths: seconds(**fixed, **lengths), meta)


def test_three_exponents_from_three_sweeps(suite):
    noise = np.random.default_rng(0)

    def seconds(n, p, depth):
        return 1e-9 * n * p**2 * depth**0.5 * math.exp(0.03 * noise.standard_normal())

    sweep(suite, "A", "n", N, seconds, p=100, depth=8)
    sweep(suite, "B", "p", P, lambda **k: 7 * seconds(**k), n=1000, depth=8)  # more iterations: a level of its own
    sweep(suite, "C", "depth", [4, 8, 16, 32, 64], seconds, n=1000, p=100)
    found = fits(suite)
    assert list(found.index) == ["n", "p", "depth"]
    for name, exponent in (("n", 1.0), ("p", 2.0), ("depth", 0.5)):
        row = found.loc[name]
        assert row["low"] < exponent < row["high"]
        assert row["exponent"] == pytest.approx(exponent, abs=0.05)
        assert (row["points"], row["sweeps"], row["kind"]) == (15, 3, "no theory")
    assert found.loc["n", "rms"] == pytest.approx(0.03, rel=0.5)


def test_intervals_cover_the_truth(suite):
    noise, inside = np.random.default_rng(1), 0
    for trial in range(25):
        for name, x, sizes, fixed in (("A", "n", N, {"p": 100}), ("B", "p", P, {"n": 1000})):
            sweep(
                suite, name, x, sizes, lambda n, p: 1e-9 * n * p * math.exp(0.05 * noise.standard_normal()),
                method=f"m{trial}", **fixed,
            )  # fmt: skip
        frame = tidy(read(suite.write()))
        rows = joint_fits(frame, [])
        inside += int(((rows["low"] < 1.0) & (rows["high"] > 1.0)).sum())
    assert inside >= 0.9 * 50


def test_the_theory_is_the_cost_at_the_same_points(suite):
    def seconds(n, p):
        return costs.ridge(n, p).flops / 1e10

    sweep(suite, "A", "n", N, seconds, method="normal", cost="ridge", p=100)
    sweep(suite, "B", "p", P, seconds, method="normal", cost="ridge", n=4000)
    found = fits(suite)
    assert found["theory"].to_numpy() == pytest.approx(found["exponent"].to_numpy())
    assert 1.9 < found.loc["p", "theory"] < 2.3
    assert (found["kind"] == "agrees").all()
    sweep(suite, "A", "n", N, lambda n, p: seconds(n, p) * n**0.5, method="normal", cost="ridge", p=100)
    found = fits(suite)
    assert found.loc["n", "kind"] == "differs"
    assert found.loc["n", "exponent"] - found.loc["n", "theory"] == pytest.approx(0.5)


def test_a_sweep_that_a_constant_rules_is_left_out(suite):
    def seconds(n, p):
        return costs.ridge(n, p).flops / 1e10

    sweep(suite, "A", "n", N, seconds, method="normal", cost="ridge", p=100)
    sweep(suite, "B", "p", P, seconds, method="normal", cost="ridge", n=4000)
    sweep(suite, "C", "n", [20, 60, 200, 600], lambda n, p: 1e-4 + seconds(n, p), method="normal", cost="ridge", p=20)
    assert set(fits(suite)["sweeps"]) == {2}


def test_what_cannot_be_told_apart_is_left_out(suite):
    meta = suite.meta("A", "time", "seconds", "n", derived={"p": 10**6}, fixed={"method": "m"})
    suite.add("r.A.time_solve", {"backend": ["numpy"], "n": N}, lambda n, **_: 1e-6 * n, meta)
    assert fits(suite).empty
    sweep(suite, "B", "n", N, lambda n, p: 1e-6 * n, p=3)
    assert fits(suite).empty
