"""What is new or worse than at the commit before: planted changes are reported, noise and a common drift are not."""

import math

import pytest

from xpsolve import report
from xpsolve.report import asv, table
from xpsolve.report.news import changes_table, news, sentences

OLD, OTHER = "0" * 40, "1" * 40
SIZES = list(range(1, 26))


def nobody(*_):
    return ""


def compared(suite, now, before=lambda n: 1.0 * n, counts=(5, 5), errors=(0.0, 0.0)):
    for i, (commit, time) in enumerate(((OLD, before), (suite.COMMIT, now))):
        given = {"commit": commit, "started": 1_795_309_237_117 + i * 1000}
        suite.add("a.A.time_it", {"n": SIZES}, time, suite.meta("A", "time", "seconds", "n"), **given)
        error = suite.meta("A", "error", "relative error", "n")
        suite.add("a.A.track_error", {"n": SIZES}, lambda n, i=i: errors[i] if n == 3 else 0.0, error, **given)
        count = suite.meta("Operations", "count", "launches", "n")
        suite.add("a.C.track_launches", {"n": [7]}, lambda n, i=i: counts[i], count, **given)
    suite.add("a.N.time_it", {"n": [1, 2]}, lambda n: 1.0, suite.meta("A new one", "time", "seconds", "n"))
    return table.tidy(asv.read(suite.write()))


def test_the_same_times_are_no_news_but_what_was_not_there_before_is(suite):
    (one,) = news(compared(suite, lambda n: 1.01 * n))
    assert one.commit == OLD
    assert not one.changes
    assert sentences([one], nobody) == [
        "Against commit 0000000000 of 2026-11-22: none of 25 times changed beyond noise.",
        "New: A new one.",
    ]


@pytest.mark.parametrize(("factor", "kind"), [(1.5, "slower"), (0.6, "faster")])
def test_a_time_that_changed_is_told(suite, factor, kind):
    (one,) = news(compared(suite, lambda n: n * (factor if n == 20 else 1.0)))
    assert [(change.kind, change.row["n"]) for change in one.changes] == [(kind, 20)]
    assert f"of 25 times, 1 {kind}" in sentences([one], nobody)[0]
    (row,) = changes_table([one], nobody, lambda _: "a.html").rows
    assert [cell.text for cell in row[:3]] == ["A", "n = 20", kind]
    assert row[0].link == "a.html"


def test_a_drift_that_all_times_share_is_taken_off(suite):
    (one,) = news(compared(suite, lambda n: 1.4 * n * (1.5 if n == 20 else 1.0)))
    assert [change.row["n"] for change in one.changes] == [20]
    assert "a common drift of 1.4 ×" in sentences([one], nobody)[0]


def test_failures_wrong_answers_and_counts_are_told_first(suite):
    (one,) = news(
        compared(suite, lambda n: {2: None}.get(n, 3.0 * n if n == 9 else n), counts=(5, 6), errors=(0.0, 1.0))
    )
    assert [change.kind for change in one.changes] == ["failed", "wrong", "counts", "slower"]
    said = " ".join(sentences([one], nobody))
    assert "1 no longer run: A." in said
    assert "1 now miss their tolerance: A." in said
    assert "1 counts of operations differ: Operations." in said


def test_only_the_commit_before_counts_and_a_first_one_has_no_news(suite, tmp_path):
    assert not news(table.tidy(asv.read(suite.add("a.A.time_it", {"n": [1, 2]}, lambda n: 1.0).write())))
    frame = compared(suite, lambda n: 1.0 * n)
    assert len(news(frame)) == 1
    assert "last time" in report.build(suite.folder, tmp_path / "out").read_text()


def test_points_that_were_not_measured_are_not_compared(suite):
    (one,) = news(compared(suite, lambda n: 1.0 * n, before=lambda n: math.nan if n > 10 else n))
    assert one.compared == 10
