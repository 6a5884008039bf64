"""Predictions for a machine that nobody measured: they follow its figures, and crossings lie where the curves meet."""

import math

import numpy as np
import pytest

from xpsolve import costs
from xpsolve.report.asv import read
from xpsolve.report.elsewhere import predict_machine, predict_series
from xpsolve.report.model import GPUS, Model
from xpsolve.report.table import tidy

SIZES = [100, 1000, 10_000, 100_000, 1_000_000]


def there(n, model):
    return sum(model.parts(**vars(costs.ridge(n, 100))).values())


@pytest.fixture
def points(suite):
    """Ridge with a hundred features on a slow machine."""
    grid = {"backend": ["numpy", "torch"], "n": SIZES}
    meta = suite.meta("Ridge", "time", "seconds", "n", "ridge", fixed={"p": 100})
    suite.add("r.A.time_solve", grid, lambda n, **_: costs.ridge(n, 100).flops / 1e10, meta)
    suite.add("r.B.time_solve", {"backend": ["numpy"], "n": SIZES}, lambda **_: 1.0, suite.meta("B", "time", "s", "n"))
    return lambda model: predict_machine(tidy(read(suite.write())), model)


def test_points_follow_the_figures_of_the_machine(points):
    model = GPUS["NVIDIA H100 SXM"]
    found = points(model)
    assert found["x"].tolist() == SIZES  # NumPy alone, and only where a cost is stated
    assert found["there"].tolist() == pytest.approx([there(n, model) for n in SIZES])
    assert (found["speedup"] * found["there"]).tolist() == pytest.approx(found["here"].tolist())
    assert found["launch_bound"].tolist()[0]
    assert found["bound"].iloc[0] == "launches"
    assert not found["launch_bound"].tolist()[-1]


def test_it_overtakes_where_the_two_times_are_equal(points):
    model = GPUS["NVIDIA H100 SXM"]
    (row,) = predict_series(points(model)).to_dict("records")
    at = row["overtakes"]
    assert 100 < at < 10_000
    assert costs.ridge(round(at), 100).flops / 1e10 == pytest.approx(there(round(at), model), rel=0.5)
    assert row["launch_bound_to"] in SIZES[:-1]
    assert row["speedup"] > 10


@pytest.mark.parametrize(("launch", "expected"), [(1e6, math.inf), (0.0, -math.inf)])
def test_a_machine_may_be_slower_or_faster_throughout(points, launch, expected):
    model = Model(costs.Ceilings(1e18, 1e18, launch), 1e18, 1e18, launch, launch)
    (row,) = predict_series(points(model)).to_dict("records")
    assert row["overtakes"] == expected
    assert np.isnan(row["launch_bound_to"]) == (launch == 0)
