"""The table of peers: who wins at equal accuracy, by how much, and who takes no part."""

import math

import pytest

from xpsolve import report
from xpsolve.report import asv, peers, table

LIBRARIES = ["xpsolve", "celer", "skglm", "scikit-learn"]
VERSIONS = {"xpsolve": "0.1.0", "celer": "0.7.4", "skglm": None, "scikit-learn": "1.9.1"}
FACTS = {"libraries": VERSIONS, "cpu": "Example CPU"}


def race(suite, times, errors=None, title="Lasso", checked=True, cases=("wide",)):
    """One contest; a time that is missing is of a library that was skipped."""
    grid = {"library": LIBRARIES, "case": list(cases)}
    name = f"peers.{title}"
    suite.add(
        f"{name}.time_solve",
        grid,
        lambda library, case: times.get(library, math.nan),
        suite.meta(title, "time", "seconds"),
    )
    if checked:
        found = dict.fromkeys(times, 1e-9) | (errors or {})
        suite.add(
            f"{name}.track_error",
            grid,
            lambda library, case: found.get(library, math.nan),
            suite.meta(title, "error", "relative error"),
        )
    return suite


def held(suite):
    found = asv.read(suite.write(FACTS))
    return peers.contests(table.tidy(found), found.facts)


def outcomes(found):
    return dict(zip(found["library"], found["outcome"], strict=True))


def against(found):
    """What the table says of ours beside each library, without the interval."""
    ((_, shown),) = peers.tables(found, lambda *_: "")
    at = {name: shown.columns.index(name) for name in ("library", "xpsolve is")}
    return {row[at["library"]].text: row[at["xpsolve is"]].text.split(" [")[0] for row in shown.rows}


def test_the_winner_is_said_to_win_whoever_it_is(suite):
    found = held(race(suite, {"xpsolve": 2.0, "celer": 1.0, "scikit-learn": 5.0}))
    assert found["library"].tolist() == ["celer", "xpsolve", "scikit-learn", "skglm"]
    assert outcomes(found) == {"celer": "fastest", "xpsolve": "", "scikit-learn": "", "skglm": "not installed"}
    said = against(found)
    assert said == {"celer": "2× slower", "xpsolve": "–", "scikit-learn": "2.5× faster", "skglm": "–"}
    assert found["version"].tolist() == ["0.7.4", "0.1.0", "1.9.1", "–"]


def test_times_that_cannot_be_told_apart_are_level(suite):
    found = held(race(suite, {"xpsolve": 1.03, "celer": 1.0}))
    assert outcomes(found)["xpsolve"] == outcomes(found)["celer"] == "among the fastest"
    celer = found.set_index("library").loc["celer"]
    assert celer["low"] < 1 < celer["high"]
    assert against(found)["celer"] == "level"


def test_an_answer_that_missed_its_accuracy_is_shown_and_compared_with_nothing(suite):
    found = held(race(suite, {"xpsolve": 2.0, "celer": 0.1, "scikit-learn": 3.0}, {"celer": 1e-3}))
    assert outcomes(found)["celer"] == "not at equal accuracy"
    assert outcomes(found)["xpsolve"] == "fastest"
    assert against(found)["celer"] == "–"
    ((_, shown),) = peers.tables(found, lambda *_: "")
    cells = next(row for row in shown.rows if row[1].text == "celer")
    assert cells[2].mark == "invalid"
    assert cells[3].text.startswith("○ ")
    assert cells[4].text == "–"


def test_where_ours_missed_there_is_no_ratio_and_yet_a_winner(suite):
    found = held(race(suite, {"xpsolve": 0.1, "celer": 1.0, "scikit-learn": 2.0}, {"xpsolve": 1.0}))
    assert outcomes(found)["celer"] == "fastest"
    assert found["times"].isna().all()


def test_a_time_without_an_error_takes_no_part(suite):
    found = held(race(suite, {"xpsolve": 1.0, "celer": 2.0}, checked=False))
    assert set(outcomes(found).values()) == {"accuracy not measured", "not installed"}
    found = peers.standing(found)
    assert (found["cases"], found["decided"], found["wins"]) == (1, 0, {})
    assert found["undecided"][0][0] == "Lasso (wide)"
    assert "xpsolve: accuracy not measured" in found["undecided"][0][1]


def test_a_failure_is_named(suite):
    found = held(race(suite, {"xpsolve": 1.0, "celer": None}))
    assert outcomes(found)["celer"] == "failed"
    assert outcomes(found)["xpsolve"] == ""  # with one library there is no winner


def test_a_library_that_is_there_and_was_not_asked_for_is_left_out(suite):
    found = held(race(suite, {"xpsolve": 1.0, "celer": 2.0}))
    assert "scikit-learn" not in outcomes(found)


def test_before_ours_is_measured_nobody_has_won(suite):
    found = held(race(suite, {"celer": 1.0, "scikit-learn": 5.0}))
    assert set(outcomes(found).values()) == {"", "not installed"}
    assert peers.standing(found)["undecided"][0][1].endswith("xpsolve: not measured yet")


def test_the_lead_counts_wins(suite):
    race(suite, {"xpsolve": 2.0, "celer": 1.0}, title="One", cases=("wide", "tall"))
    race(suite, {"xpsolve": 1.0, "celer": 3.0}, title="Two")
    found = peers.standing(held(suite))
    assert (found["cases"], found["decided"], found["wins"]) == (3, 3, {"celer": 2, "xpsolve": 1})


@pytest.mark.parametrize(("spread", "ends"), [(1.3, (2 / 1.3**2**0.5, 2 * 1.3**2**0.5)), (1.0, None)])
def test_the_interval_of_a_ratio_adds_in_squares(spread, ends):
    two, one = ({"value": t, "lower": t / spread, "upper": t * spread} for t in (2.0, 1.0))
    found = peers.ratio(two, one)
    assert found.value == 2.0
    if ends is None:  # one process cannot know better than the next would say
        assert found.low < 1.9
        assert found.high > 2.1
    else:
        assert (found.low, found.high) == pytest.approx(ends)
    back = peers.ratio(one, two)
    assert (back.low, back.high) == pytest.approx((1 / found.high, 1 / found.low))


def test_the_page_shows_peers_once_and_escaped(suite, tmp_path):
    race(suite, {"xpsolve": 2.0, "celer": 1.0}, title="<b>Lasso | path")
    facts = {"libraries": VERSIONS | {"celer": "<i>0"}}
    path = report.build(suite.write(facts), tmp_path / "out")
    page, summary = ((path.parent / name).read_text() for name in ("peers.html", "summary.md"))
    assert page.count("<h2>&lt;b&gt;Lasso | path</h2>") == 1
    assert "<b>Lasso" not in page
    assert "slower in 1, level in 0" in page
    assert '<img src="figures/peers.svg"' in page
    assert "&lt;i&gt;0" in page
    assert 'href="peers.html"' in path.read_text()
    assert "not installed" in page
    assert "## Peers" in summary
    assert "<" not in summary
    assert "2× slower" in summary


def test_without_peers_there_is_no_such_page(small_suite, tmp_path):
    path = report.build(small_suite.write(), tmp_path / "out")
    assert not (path.parent / "peers.html").exists()
    assert "peers.html" not in path.read_text()
