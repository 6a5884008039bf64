"""Predictions from costs and ceilings alone, and the methods that cost chooses."""

import math

import pytest

from xpsolve import costs
from xpsolve.report import asv, predicted, table

GRID = {"backend": ["numpy"], "method": ["normal", "woodbury"], "n": [100, 1000, 10_000]}
CEILINGS = costs.Ceilings(5e10, 2e10, 1e-6)


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
    return costs.ridge(n, 300, method=method).time(CEILINGS)


def test_a_machine_that_follows_its_costs_is_predicted_exactly(suite):
    found = predicted.points(planted(suite, lambda n, method, **_: truth(n, method)))
    assert len(found) == 6
    one = predicted.error(found)
    assert (one.factor, one.bias, one.worst) == pytest.approx((1, 1, 1))


def test_the_error_is_a_median_factor_and_names_the_worst(suite):
    slow = {100: 30.0, 1000: 2.0, 10_000: 0.5}
    found = predicted.points(planted(suite, lambda n, method, **_: slow[n] * truth(n, method)))
    one = predicted.error(found)
    assert one.factor == pytest.approx(2.0)
    assert one.bias == pytest.approx(2.0)
    assert one.worst == pytest.approx(30.0)
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
