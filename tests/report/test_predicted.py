"""Predictions from costs and ceilings alone, and the methods that cost chooses."""

import math

import pytest

from xpsolve import costs
from xpsolve.report import asv, predicted, table
from xpsolve.report.model import GPUS, Model, models

GRID = {"backend": ["numpy"], "method": ["normal", "woodbury"], "n": [100, 1000, 10_000]}
MODEL = Model(costs.Ceilings(5e10, 2e10, 1e-6), 5e10, 2e10, 1e-6, 1e-6)


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
    assert list(zip(found["chosen"], found["fastest"], strict=True)) == [
        ("woodbury", "normal"),
        ("normal", "normal"),
        ("normal", "normal"),
    ]
    assert found["right"].tolist() == [False, True, True]
    assert found["loss"].iloc[0] == pytest.approx(40 * truth(100, "woodbury") / truth(100, "normal"))
    assert "2 of 3 cases" in predicted.choices_sentence(found)
    (row,) = predicted.choices_table(found, lambda *_: "").rows
    assert row[2].text == "2 of 3"
    assert "n = 100: woodbury chosen, normal faster" in row[4].text


def test_auto_is_judged_by_its_own_time(suite):
    grid = {**GRID, "method": ["normal", "woodbury", "auto"], "n": [1000]}

    def time(n, method, **_):
        return 1.5 * truth(n, "normal") if method == "auto" else truth(n, method)

    found = predicted.choices(planted(suite, time, grid))
    auto = found.iloc[-1]
    assert auto["by"] == predicted.BY_AUTO
    assert not auto["right"]
    assert auto.loss == pytest.approx(1.5)
    assert auto.fastest == "normal"
    assert 'method="auto" was the fastest measured in 0 of 1 cases' in predicted.choices_sentence(found)


def test_one_method_is_no_choice(suite):
    assert predicted.choices(planted(suite, lambda **_: 1.0, {**GRID, "method": ["normal"]})).empty


def ceilings(suite, *, call=None, factored=None):
    """Of a machine with two caches, where a gradient of 11 launches and a softmax of 7 take 110 and 24 µs."""
    given = {"backend": ["numpy"], "dtype": ["float64"]}
    copies = {30_000: 1e11, 1_000_000: 5e10, 20_000_000: 1e10}
    calls = {"ridge": 1e-6, "lasso": 4e-6, "softmax": 24e-6 / 7, "grad": 10e-6} if call is None else call
    for name, quantity, grid, value in (
        ("Gemm.track_rate", "flop/s", {"n": [256, 1024]}, lambda n: {256: 3e10, 1024: 6e10}[n]),
        ("Thin.track_rate", "flop/s", {"n": [512]}, lambda n: 2e10),
        *([("Factorisation.track_rate", "factored flop/s", {"n": [*factored]}, factored.get)] if factored else ()),
        ("Stream.track_rate", "byte/s", {"n": [200, 20000]}, lambda n: 6e10 if n == 200 else 2e10),
        ("Copy.track_rate", "byte/s", {"n": list(copies)}, copies.get),
        ("Launch.track_latency", "seconds per launch", {"n": [200]}, lambda n: 3e-7),
        ("Call.track_latency", "seconds per call", {"solver": list(calls)}, lambda solver: calls[solver]),
    ):
        meta = suite.meta(name, "ceiling", quantity, "n", family="ceilings")
        suite.add(
            f"ceilings.{name}", {**given, **grid}, lambda *, v=value, backend, dtype, **one: v(*one.values()), meta
        )
    (found,) = models(table.tidy(asv.read(suite.write()))).values()
    return found


def seconds(model, **cost):
    return model.parts(**vars(costs.Cost(**cost)))


def test_the_model_is_made_of_typical_ceilings_and_the_limits_of_the_best(suite):
    found = ceilings(suite)
    assert found.limits == costs.Ceilings(6e10, 1e11, 3e-7)
    assert found.flops_per_s == pytest.approx(3e10)  # as much work in each of the three shapes
    assert found.bytes_per_s == 2e10
    # A softmax takes 10 µs beyond its launches, and so much of a gradient is no launch on a tape.
    assert (found.launch_s, found.call_s, found.tape_s) == pytest.approx((2e-6, 10e-6, 100e-6 / 11))
    launches = seconds(found, launches=10, taped=4)["launches"]
    assert launches == pytest.approx(10e-6 + 6 * 2e-6 + 4 * 100e-6 / 11)


@pytest.mark.parametrize(("factored", "rate"), [(None, 3e10), ({100: 5e9, 400: 1e10}, 2e10 / 3), ({400: 9e10}, 3e10)])
def test_factorisations_have_a_rate_of_their_own_that_is_at_most_that_of_products(suite, factored, rate):
    found = ceilings(suite, factored=factored)
    assert found.limits.flops_per_s == 6e10
    assert seconds(found, flops=6e10, factored=2e10)["arithmetic"] == pytest.approx(4e10 / 3e10 + 2e10 / rate)
    svd, products = (costs.ridge(500, 100, method=method) for method in ("svd", "normal"))
    assert svd.factored == costs.thin_svd(500, 100).flops
    assert products.factored == 0


def test_a_matrix_that_fits_a_cache_streams_faster(suite):
    found = ceilings(suite)
    once = {"bytes": 6e9, "launches": 1, "products": 1}
    inside, between, outside = (seconds(found, **once, operand=size)["memory"] for size in (1e6, 1.6e7, 1e9))
    assert (inside, outside) == pytest.approx((0.1, 0.3))
    assert inside < between < outside


def test_elementwise_work_is_on_arrays_as_large_as_what_products_give(suite):
    found, w = ceilings(suite), 3 / (1 / 1e11 + 1 / 5e10 + 1 / 1e10)
    # Eight launches that are no products read two arrays of 1000 bytes and write one; two such are kept.
    small = seconds(found, launches=10, products=2, results=2000, memory=2000)["elementwise"]
    assert small == pytest.approx((2 * 2000 + 8 * 3 * 1000) / w)
    large = seconds(found, launches=10, products=2, results=2e9, memory=0)["elementwise"]
    assert large == pytest.approx(8 * 3e9 / 1e10)
    # What has no products states all that it moves, its temporaries once more.
    alone = seconds(found, launches=5, bytes=1e9, memory=1e9)
    assert (alone["memory"], alone["elementwise"]) == pytest.approx((0, 3e9 / 1e10))


def test_where_launching_takes_the_time_a_rate_says_little(suite):
    # 1.6 ms for the small matrix, of which a launch is one: its rate tells of launching.
    given = {"backend": ["dask"], "dtype": ["float64"]}
    for name, quantity, grid, value in (
        ("Stream.track_rate", "byte/s", {"n": [200, 20000]}, lambda n: 1e9 if n == 200 else 2e10),
        ("Launch.track_latency", "seconds per launch", {"n": [200]}, lambda n: 1e-3),
    ):
        meta = suite.meta(name, "ceiling", quantity, "n", family="ceilings")
        suite.add(f"ceilings.{name}", {**given, **grid}, lambda n, v=value, **_: v(n), meta)
    (found,) = models(table.tidy(asv.read(suite.write()))).values()
    assert found.matrices == ((1.6e8, 2e10),)


@pytest.mark.parametrize("call", [{}, {"ridge": 2e-6}, {"softmax": 1e-6, "ridge": 2e-6}])
def test_calls_that_were_not_measured_take_their_launches_alone(suite, call):
    found = ceilings(suite, call=call)
    launch = 2e-6 if call else 3e-7
    assert (found.launch_s, found.call_s, found.tape_s) == pytest.approx((launch, 0, launch))


def test_a_limit_is_never_beaten_by_its_own_prediction(suite):
    frame = planted(suite, lambda n, method, **_: truth(n, method))
    timed = frame[frame["role"] == "time"]
    assert (timed["floor"] <= timed["predicted"]).all()
    assert (timed["share"] <= 1).all()
    assert all(sum(gpu.parts(**vars(costs.ridge(1000, 300))).values()) > 0 for gpu in GPUS.values())
