"""The cause of a verdict: each one that is planted is named, with its evidence."""

import numpy as np
import pandas as pd
import pytest

from xpsolve.report.findings import series
from xpsolve.report.verdict import Tally, sentence

X = np.array([100.0, 300.0, 1000.0, 3000.0, 10_000.0])


def why(value, work, launching=0.0, bound="arithmetic", growing=True, **columns):
    """The verdict on points whose limit is their work, and its words."""
    points = pd.DataFrame({"x": X, "value": value, "work": work, "valid": True, "steady": True, "launches": 10.0})
    points["launching"], points["calling"] = launching, np.nan
    points["share"] = points["work"] / points["value"]
    points["bound"], points["flops"] = bound, X if growing else 1.0
    given = {"current": True, "role": "time", "status": "ok", "x_name": "n", "series": "{}", "benchmark": "a.A.time_it"}
    (line,) = series(points.assign(machine="box", environment="py", **given, **columns))
    return line.verdict, sentence(line.verdict)


def test_a_floor_says_what_it_is_made_of():
    verdict, said = why(1.0 + 1e-6 * X, 1e-6 * X, launching=0.9)
    assert (verdict.kind, verdict.cause.kind) == ("floor-bound", "launches")
    assert "launch-bound: launching its 10 array calls alone takes 90 % of the smallest time" in said
    verdict, said = why(1.0 + 1e-6 * X, 1e-6 * X, launching=0.01)
    assert verdict.cause.kind == "calls"
    assert "takes 1 % of the smallest time, Python around them the rest" in said


def test_data_that_outgrow_the_cache_are_named():
    verdict, said = why(1e-6 * X**1.5, 2e-4 * X, bound="memory")
    assert (verdict.kind, verdict.cause.kind) == ("differs", "cache")
    assert "cache: the share of the limit falls from 2000 % to 200 %, since small data are read from cache" in said
    verdict, said = why(1e-6 * X**1.5, 1e-6 * X, bound="memory")
    assert verdict.cause.kind == "outgrown"
    assert said.startswith("0.50 above the theory; cache: ")


@pytest.mark.parametrize(
    ("growing", "kind", "words"),
    [(True, "threads", "small products keep the cores less busy"), (False, "calls", "matters less")],
)
def test_small_sizes_that_use_the_machine_badly_are_named(growing, kind, words):
    verdict, said = why(1e-3 * X**0.7, 1e-5 * X, growing=growing)
    assert (verdict.kind, verdict.cause.kind) == ("differs", kind)
    assert "of the limit, the largest" in said
    assert words in said


def test_launches_that_bend_a_line_are_named():
    verdict, said = why(1e-3 * X**0.7, 1e-5 * X, launching=0.01)
    assert (verdict.kind, verdict.cause.kind) == ("differs", "launches")
    assert "0.30 below the theory; launch-bound at small sizes" in said


def test_scatter_is_named_where_the_interval_is_wide():
    scatter = np.array([3.0, 0.3, 3.0, 0.3, 3.0])
    verdict, said = why(scatter * X, np.nan * X, bound="")
    assert (verdict.kind, verdict.cause) == ("no theory", None)
    assert said == "the benchmark states no cost to compare with"
    verdict, said = why(scatter * X, X, share=np.nan)
    assert (verdict.kind, verdict.cause.kind) == ("not measurable", "noise")
    assert "local exponents run from −" in said


@pytest.mark.parametrize(
    ("valid", "steady", "kind", "words"),
    [
        ([1, 0, 1, 0, 1], [1, 1, 1, 1, 1], "tolerance", "at 2 the answer misses its tolerance"),
        ([0, 0, 1, 0, 0], [1, 1, 1, 1, 1], "tolerance", "at 4 the answer misses its tolerance"),
        ([0, 0, 0, 0, 0], [1, 1, 1, 1, 1], "tolerance", "0 sizes can be used"),
        ([1, 1, 1, 1, 1], [1, 0, 1, 0, 1], "noise", "at 2 the time is too unsteady"),
    ],
)
def test_points_that_were_lost_are_counted(valid, steady, kind, words):
    verdict, said = why(X, X, valid=np.array(valid, bool), steady=np.array(steady, bool))
    assert (verdict.kind, verdict.cause.kind) == ("not measurable", kind)
    assert words in said
    assert Tally.of([verdict]).obstacles[kind] == 1
