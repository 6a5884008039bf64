"""The plain words for a verdict: each planted cause is named, with its evidence."""

import numpy as np
import pandas as pd
import pytest

from xpsolve.report.fit import fit_power_law, verdict
from xpsolve.report.reasons import explain

X = np.array([100.0, 300.0, 1000.0, 3000.0, 10_000.0])


def why(value, work, launching=0.0, bound="arithmetic", growing=True, **columns):
    """The reason for points whose limit is their work."""
    points = pd.DataFrame({"x": X, "value": value, "work": work, "valid": True, "steady": True, "launches": 10.0})
    points["predicted"] = points["work"] + launching
    points["share"] = points["work"] / points["value"]
    points["bound"], points["flops"] = bound, X if growing else 1.0
    points = points.assign(**columns)
    usable = points[points["valid"] & points["steady"]]
    law = fit_power_law(usable["x"], usable["value"])
    word, _, reason = verdict(law, usable["work"].to_numpy())
    return word, explain(points, law, word, reason)


def test_a_floor_says_what_it_is_made_of():
    word, said = why(1.0 + 1e-6 * X, 1e-6 * X, launching=0.9)
    assert word == "floor-bound"
    assert "launch-bound: launching its 10 array calls alone takes 90 % of the smallest time" in said
    word, said = why(1.0 + 1e-6 * X, 1e-6 * X, launching=0.01)
    assert "takes 1 % of the smallest time, Python around them the rest" in said


def test_data_that_outgrow_the_cache_are_named():
    word, said = why(1e-6 * X**1.5, 2e-4 * X, bound="memory")
    assert word == "differs"
    assert "cache: the share of the limit falls from 2000 % to 200 %, since small data are read from cache" in said
    _, said = why(1e-6 * X**1.5, 1e-6 * X, bound="memory")
    assert "as where data outgrow a cache" in said


@pytest.mark.parametrize(
    ("growing", "cause"), [(True, "small products keep the cores less busy"), (False, "matters less")]
)
def test_small_sizes_that_use_the_machine_badly_are_named(growing, cause):
    word, said = why(1e-3 * X**0.7, 1e-5 * X, growing=growing)
    assert word == "differs"
    assert "of the limit, the largest" in said
    assert cause in said


def test_scatter_is_named_where_nothing_else_is_known():
    scatter = np.array([3.0, 0.3, 3.0, 0.3, 3.0])
    word, said = why(scatter * X, np.nan * X, bound="")
    assert word == "unresolved"
    assert said == "the benchmark states no cost to compare with"
    word, said = why(scatter * X, X, share=np.nan)
    assert word == "unresolved"
    assert "local exponents run from −" in said


def test_points_that_were_lost_are_counted():
    word, said = why(X, X, valid=[True, False, True, False, True], steady=[True, True, False, True, True])
    assert word == "unresolved"
    assert said.endswith("2 of the 5 measured miss their tolerance and 1 of the 5 measured is too unsteady")
