"""Predictions from costs and ceilings alone, and the methods that cost chooses."""

import math

import pytest

from xpsolve import costs
from xpsolve.report import asv, predicted, table
from xpsolve.report.model import GPUS, Model, models

GRID = {"backend": ["numpy"], "method": ["normal", "woodbury"], "n": [100, 1000, 10_000]}
MODEL = Model(costs.Ceilings(5e10, 2e10, 1e-6), 5e10, 2e10, 1e-6)


def planted(suite, time, grid=GRID, error=None):
    """Ridge with 300 features on a machine whose ceilings are known."""
    given = {"fixed": {"p": 300}}
    suite.add("r.A.time_solve", grid, time, suite.meta("Ridge", "time", "seconds", "n", "ridge", **given))
    if error is not None:
        suite.add("r.A.track_error", grid, error, suite.meta("Ridge", "error", "relative error", "n", **given))
    ceilings = (("flop/s", 5e10), ("byte/s", 2e10), ("seconds per launch", 1e-6))
    for name, (quantity, value) in zip("abc", ceilings, strict=True):
        meta = suite.meta(name, "ceiling", quantity, "n", family="ceilings")
        suite.add(f"c.{name}.track_rate", {"backend": ["numpy"], "n": [1]}, lambda value=value, **_: value, meta)
    return table.tidy(asv.read(suite.write()))


def truth(n, method):
    return sum(MODEL.parts(**vars(costs.ridge(n, 300, method=method))).values())


def test_a_machine_that_follows_its_costs_is_predicted_exactly(suite):
    found = predicted.points(planted(suite, lambda n, method, **_: truth(n, method)))
    assert len(found) == 6
    one = predicted.error(found)
    assert (one.factor, one.bias, one.worst, one.within) == pytest.approx((1, 1, 1, 1))


def test_the_error_is_a_median_factor_and_names_the_worst(suite):
    slow = {100: 30.0, 1000: 2.0, 10_000: 0.5}
    found = predicted.points(planted(suite, lambda n, method, **_: slow[n] * truth(n, method)))
    one = predicted.error(found)
    assert one.factor == pytest.approx(2.0)
    assert one.bias == pytest.approx(2.0)
    assert one.worst == pytest.approx(30.0)
    assert one.within == 0
    assert one.where.startswith("Ridge: ")
    assert "n = 100" in one.where
    (row,) = predicted.errors_table(found, lambda *_: "").rows
    assert [cell.text for cell in row[:3]] == ["ridge", "6", "2 ×"]


def test_wrong_answers_and_missing_ceilings_are_not_predicted(suite):
    wrong = planted(suite, lambda n, method, **_: truth(n, method), error=lambda n, **_: 1.0 if n == 100 else 0.0)
    assert len(predicted.points(wrong)) == 4
    assert predicted.points(wrong[wrong["role"] != "ceiling"].assign(predicted=math.nan)).empty
    assert predicted.error(predicted.points(wrong.iloc[:0])) is None


def test_the_method_of_least_cost_is_judged_by_what_was_measured(suite):
    # Woodbury takes four times as long as its cost says: the choice at n = 100 then is wrong.
    frame = planted(suite, lambda n, method, **_: truth(n, method) * (40 if (method, n) == ("woodbury", 100) else 1))
    found = predicted.choices(frame)
    assert [(one.chosen, one.fastest) for one in found] == [
        ("woodbury", "normal"),
        ("normal", "normal"),
        ("normal", "normal"),
    ]
    assert [one.right for one in found] == [False, True, True]
    assert found[0].loss == pytest.approx(40 * truth(100, "woodbury") / truth(100, "normal"))
    assert "2 of 3 cases" in predicted.choices_sentence(found)
    (row,) = predicted.choices_table(found, lambda *_: "").rows
    assert row[2].text == "2 of 3"
    assert "n = 100: woodbury chosen, normal faster" in row[4].text


def test_auto_is_judged_by_its_own_time(suite):
    grid = {**GRID, "method": ["normal", "woodbury", "auto"], "n": [1000]}

    def time(n, method, **_):
        return 1.5 * truth(n, "normal") if method == "auto" else truth(n, method)

    found = predicted.choices(planted(suite, time, grid))
    assert [(one.by, one.right) for one in found][-1] == (predicted.BY_AUTO, False)
    auto = next(one for one in found if one.by == predicted.BY_AUTO)
    assert auto.loss == pytest.approx(1.5)
    assert auto.fastest == "normal"
    assert 'method="auto" was the fastest measured in 0 of 1 cases' in predicted.choices_sentence(found)


def test_one_method_is_no_choice(suite):
    assert not predicted.choices(planted(suite, lambda **_: 1.0, {**GRID, "method": ["normal"]}))


def test_the_model_is_made_of_typical_ceilings_and_the_limits_of_the_best(suite):
    given = {"backend": ["numpy"], "dtype": ["float64"]}
    sizes = {30_000: 1e11, 1_000_000: 5e10, 20_000_000: 1.5e10}
    for name, quantity, grid, value in (
        ("Gemm.track_rate", "flop/s", {"n": [256, 1024, 2048]}, lambda n: {256: 3e10, 1024: 5e10, 2048: 4e10}[n]),
        ("Stream.track_rate", "byte/s", {"n": [200, 20000]}, lambda n: 6e10 if n == 200 else 2e10),
        ("Copy.track_rate", "byte/s", {"n": list(sizes)}, sizes.get),
        ("Launch.track_latency", "seconds per launch", {"n": [200]}, lambda n: 3e-7),
        ("Call.track_latency", "seconds per call", {"n": [1, 2]}, lambda n: {1: 1e-6, 2: 4e-6}[n]),
    ):
        meta = suite.meta(name, "ceiling", quantity, "n", family="ceilings")
        suite.add(f"ceilings.{name}", {**given, **grid}, lambda n, v=value, **_: v(n), meta)
    (found,) = models(table.tidy(asv.read(suite.write()))).values()
    assert found.limits == costs.Ceilings(5e10, 1e11, 3e-7)
    assert (found.flops_per_s, found.bytes_per_s, found.call_s) == pytest.approx((4e10, 2e10, 2e-6))
    assert [size for size, _ in found.copies] == [480_000, 16_000_000, 320_000_000]
    # Temporaries that fit the cache are fast, those that do not are slow.
    small, large = (found.parts(0, 0, 1, 0, memory)["temporaries"] for memory in (1000, 4e8))
    assert (small, large) == pytest.approx((2000 / 1e11, 8e8 / 1.5e10))


def test_a_limit_is_never_beaten_by_its_own_prediction(suite):
    frame = planted(suite, lambda n, method, **_: truth(n, method))
    timed = frame[frame["role"] == "time"]
    assert (timed["floor"] <= timed["predicted"]).all()
    assert (timed["share"] <= 1).all()
    assert all(sum(gpu.parts(**vars(costs.ridge(1000, 300))).values()) > 0 for gpu in GPUS.values())
