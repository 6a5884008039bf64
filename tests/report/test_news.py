"""What is new or worse than at the commit before: a view of the gate, whose tests plant what it must find."""

import math

import numpy as np
import pytest

from xpsolve import report
from xpsolve.report import asv, gate, table
from xpsolve.report.news import changes_table, news, sentences

OLD = "0" * 40
SIZES, SERIES = [1000, 2000, 4000, 8000, 16000], range(10)


def nobody(*_):
    return ""


def compared(suite, plant=lambda name, n: 1.0, drift=1.0, counts=(5, 5), errors=(1e-12, 1e-12), before=lambda n: 1.0):
    """Two commits of ten series, in the later of which something may be planted."""
    for i, commit in enumerate((OLD, suite.COMMIT)):
        given = {"commit": commit, "started": 1_795_309_237_117 + i * 1000}
        for name in map("A{}".format, SERIES):
            factor = (lambda n, name=name: drift * plant(name, n)) if i else before
            own = math.exp(0.02 * suite.noise.standard_normal())

            def time(n, factor=factor, own=own):
                found = 1e-6 * n * factor(n) * own * suite.jitter(0.02)
                return None if math.isinf(found) else found  # it failed

            meta = suite.meta(name, "time", "seconds", "n")
            suite.add(f"a.{name}.time_it", {"n": SIZES}, time, meta, **given)
            error = suite.meta(name, "error", "relative error", "n")
            suite.add(
                f"a.{name}.track_error", {"n": SIZES}, lambda i=i, name=name, **_: errors[i] if name == "A3" else 1e-12,
                error, **given,
            )  # fmt: skip
        count = suite.meta("Operations", "count", "launches", "n")
        suite.add("a.C.track_launches", {"n": [7]}, lambda n, i=i: counts[i], count, **given)
    suite.add("a.N.time_it", {"n": [1, 2]}, lambda n: 1.0, suite.meta("A new one", "time", "seconds", "n"))
    return table.tidy(asv.read(suite.write()))


def test_the_same_times_are_no_news_but_what_was_not_there_before_is(suite):
    (one,) = news(compared(suite))
    assert one.commit == OLD
    assert not one.verdict.changes
    assert sentences([one], nobody) == [
        "Against commit 0000000000 of 2026-11-22: of 10 series of times, none changed beyond noise.",
        "New: A new one.",
    ]


@pytest.mark.parametrize(("factor", "kind"), [(1.6, "slower"), (0.5, "faster")])
def test_a_series_that_changed_is_named(suite, factor, kind):
    found = news(compared(suite, lambda name, n: factor if name == "A4" else 1.0))
    assert [(c.kind, c.benchmark) for c in found[0].verdict.changes] == [(kind, "a.A4.time_it")]
    assert f"1 {kind}" in sentences(found, nobody)[0]
    shown = changes_table(found, nobody, lambda family: f"{family}.html")
    (row,), columns = shown.rows, shown.columns
    assert (row[0].text, row[0].link, row[columns.index("what")].text) == ("A4", "ridge.html", kind)


def test_the_gate_says_the_same_of_the_same_two_commits(suite):
    frame = compared(suite, lambda name, n: 2.0 if name == "A4" else 1.0, counts=(5, 6))
    found = gate.compare(*(gate.load(commit, suite.folder) for commit in (OLD, suite.COMMIT)))
    assert news(frame)[0].verdict.changes == found.changes


def test_a_drift_that_all_times_share_is_no_news(suite):
    (one,) = news(compared(suite, drift=1.4))
    assert not one.kinds["slower"]


def test_failures_errors_and_counts_are_named(suite):
    planted = compared(
        suite, lambda name, n: math.inf if name == "A2" and n == 2000 else 1.0, counts=(5, 6), errors=(1e-12, 1.0)
    )
    said = sentences(news(planted), nobody)
    assert "1 no longer run: A2." in said
    assert "1 have larger errors: A3." in said
    assert "1 count other operations: Operations." in said


def test_only_the_commit_before_counts_and_a_first_one_has_no_news(suite, tmp_path):
    assert not news(table.tidy(asv.read(suite.add("a.A.time_it", {"n": [1, 2]}, lambda n: 1.0).write())))
    frame = compared(suite)
    assert len(news(frame)) == 1
    assert "last time" in report.build(suite.folder, tmp_path / "out").read_text()


def test_points_that_were_not_measured_are_not_compared(suite):
    (one,) = news(compared(suite, before=lambda n: np.nan if n > 2000 else 1.0))
    assert one.verdict.compared["series of times"][0] == 0
    assert not one.verdict.changes
