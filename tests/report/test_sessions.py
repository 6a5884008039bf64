"""Intervals cover what differs between sessions: drift of a whole run, levels and tilts of single series."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from xpsolve.report.asv import read
from xpsolve.report.crossover import crossover
from xpsolve.report.findings import crossings, series
from xpsolve.report.fit import fit_power_law
from xpsolve.report.sessions import spreads
from xpsolve.report.table import tidy

GRIDS = [(4000, 7000, 12500, 22500, 40000), (20, 60, 200, 600, 2000), (1000, 2000, 4000, 8000, 16000, 32000)]
LEVEL, TILT, SINGLE = 0.06, 0.15, 0.02


def differing(rng, x, sessions, drift):
    """Log of the factor of each session at each size."""
    place = (np.log(x) - np.log(x).mean()) / np.ptp(np.log(x))
    level, tilt = LEVEL * rng.standard_normal((sessions, 1)), TILT * rng.standard_normal((sessions, 1))
    return drift + level + tilt * place + SINGLE * rng.standard_normal((sessions, x.size))


def measured(rng, many, sessions, law):
    """The rows of so many series that all follow `law`, with the drift that a session has in all of them."""
    drift, rows = 0.1 * rng.standard_normal((sessions, 1)), []
    for i in range(many):
        x = np.array(GRIDS[i % len(GRIDS)], dtype=np.float64)
        t = law(x) * np.exp(differing(rng, x, sessions, drift))
        rows.append(
            pd.DataFrame(
                {"x": x, "value": np.exp(np.log(t).mean(axis=0)), "sessions": list(map(json.dumps, t.T.tolist()))}
            ).assign(benchmark=f"b{i}")
        )
    given = {"role": "time", "machine": "box", "environment": "py", "commit": "c", "series": "{}"}
    return pd.concat(rows, ignore_index=True).assign(**given)


@pytest.mark.parametrize("sessions", [2, 4])
def test_exponents_are_covered_across_sessions(sessions):
    rng, inside, alone, trials = np.random.default_rng(sessions), 0, 0, 0
    for _ in range(2):
        frame = measured(rng, 60, sessions, lambda x: 1e-6 * x**1.5)
        (spread,) = spreads(frame).values()
        assert spread.tilts.std() == pytest.approx(TILT, rel=0.2)
        assert spread.levels.std() == pytest.approx(LEVEL, rel=0.2)
        for _, points in frame.groupby("benchmark"):
            both = (fit_power_law(points["x"], points["value"], draws=60, spread=given) for given in (spread, None))
            covered = [law.low <= 1.5 <= law.high for law in both]
            inside, alone, trials = inside + covered[0], alone + covered[1], trials + 1
    assert 0.9 <= inside / trials <= 0.97
    assert alone / trials < 0.9  # which is why sessions are needed


@pytest.mark.parametrize("sessions", [2, 4])
def test_crossings_are_covered_across_sessions(sessions):
    rng, inside, alone, trials = np.random.default_rng(sessions), 0, 0, 0
    x = np.geomspace(100, 6400, 7)
    for _ in range(8):
        (spread,) = spreads(measured(rng, 60, sessions, lambda x: x)).values()
        for _ in range(25):
            drift = 0.1 * rng.standard_normal((sessions, 1))
            one, two = (t * np.exp(differing(rng, x, sessions, drift).mean(axis=0)) for t in (x**2 / 800, x))
            scatter = SINGLE * math.sqrt(2 / sessions)
            both = (crossover(x, one, two, scatter=scatter, draws=200, spread=given) for given in (spread, None))
            covered = [c.low <= 800 <= c.high for c in both]
            inside, alone, trials = inside + covered[0], alone + covered[1], trials + 1
    assert 0.9 <= inside / trials <= 0.97
    assert alone / trials < 0.75


def noted(suite, name, sessions, seed):
    """Two curves that cross near 10⁴, with the samples of their sessions in the ledger."""
    rng, n = np.random.default_rng(seed), GRIDS[0]
    curves = {"one": lambda n: 1e-6 * n, "two": lambda n: 1e-2}
    grid = {"method": list(curves), "n": list(n)}
    meta = suite.meta(name, "time", "seconds", "n")
    suite.add(f"{name}.time_solve", grid, lambda n, method: curves[method](n), meta)
    for method, curve in curves.items():
        for size, factors in zip(n, np.exp(differing(rng, np.array(n, float), sessions, 0.0)).T.tolist(), strict=True):
            found = [{"at": "", "samples": [curve(size) * factor] * 3} for factor in factors]
            suite.note(f"{name}.time_solve('{method}', {size})", sessions=found)


def test_sessions_of_the_ledger_reach_every_interval(suite):
    for i in range(6):
        noted(suite, f"m.C{i}", 2, i)
    frame = tidy(read(suite.write()))
    assert frame["sessions"].map(lambda text: len(json.loads(text))).eq(2).all()
    assert frame["between"].gt(0.02).all()
    assert (frame["upper"] / frame["value"]).min() > 1.04 * 1.01  # wider than asv's own
    lines = series(frame)
    assert {line.spread.count for line in lines} == {2}
    for pair in crossings(lines):
        assert 7000 < pair.crossing.at < 14000
        assert pair.crossing.high / pair.crossing.low > 1.1


def test_one_session_widens_nothing(suite):
    noted(suite, "m.C", 1, 0)
    frame = tidy(read(suite.write()))
    assert frame["between"].eq(0).all()
    assert (frame["upper"] / frame["value"]).tolist() == pytest.approx([1.04] * len(frame))
    assert not spreads(frame)


@pytest.mark.parametrize("known", [7, [3], [{}], [{"samples": []}], [{"samples": ["a"]}, {"samples": [1.0]}]])
def test_malformed_sessions_are_none(suite, known):
    suite.add("m.C.time_solve", {"n": [1, 2]}, lambda n: 1.0, suite.meta("C", "time", "seconds", "n"))
    suite.note("m.C.time_solve(1)", sessions=known)
    assert tidy(read(suite.write()))["sessions"].eq("").all()
