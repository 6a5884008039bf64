"""What is remembered of a run."""

import pytest

from xpsolve.bench import PROFILES
from xpsolve.bench.ledger import Ledger, durations, write_text
from xpsolve.bench.suite import Point

POINT = Point("m.A.time_x", 0, {"n": 1}, "m.A.time_x(1)", "1")
COMMIT = "0123456789"


def open_(folder, tree="tree"):
    return Ledger.open(folder, COMMIT, tree)


def test_a_point_is_done_at_its_rank_and_below(tmp_path):
    ledger = open_(tmp_path)
    ledger.record(POINT, PROFILES["quick"], 1.5)
    ledger.save()
    again = open_(tmp_path)
    assert again.done(POINT, PROFILES["smoke"])
    assert again.done(POINT, PROFILES["quick"])
    assert not again.done(POINT, PROFILES["full"])


def test_changed_sources_or_version_are_measured_again(tmp_path):
    ledger = open_(tmp_path)
    ledger.record(POINT, PROFILES["quick"], 1.5)
    ledger.save()
    assert not open_(tmp_path, "other").done(POINT, PROFILES["quick"])
    newer = Point(POINT.benchmark, 0, POINT.params, POINT.text, "2")
    assert not open_(tmp_path).done(newer, PROFILES["quick"])


def test_sessions_are_kept_apart(tmp_path):
    ledger, full = open_(tmp_path), PROFILES["full"]
    ledger.record(POINT, PROFILES["quick"], 1.5, [9.0])  # sampled otherwise, and replaced
    ledger.record(POINT, full, 1.5, [1.0, 2.0])
    ledger.record(POINT, full, 1.5, [5.0])
    ledger.record(POINT, full, 1.5, [3.0], instead=True)
    ledger.save()
    again = open_(tmp_path)
    assert again.samples(POINT, full) == [[1.0, 2.0], [3.0]]
    assert again.done(POINT, full, 2)
    assert not again.done(POINT, full, 3)


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_broken_file_is_named_and_skipped(tmp_path, content):
    (tmp_path / "01234567.ledger").write_text(content)
    with pytest.warns(UserWarning, match="01234567.ledger"):
        assert not open_(tmp_path).done(POINT, PROFILES["smoke"])


def test_durations_are_those_of_the_same_profile(tmp_path):
    ledger = open_(tmp_path)
    ledger.record(POINT, PROFILES["quick"], 1.5)
    ledger.save()
    assert durations(tmp_path, PROFILES["quick"]) == {POINT.text: 1.5}
    assert durations(tmp_path, PROFILES["full"]) == {}


def test_writing_leaves_no_scratch_file(tmp_path):
    write_text(tmp_path / "a" / "file.txt", "one")
    write_text(tmp_path / "a" / "file.txt", "two")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["file.txt"]
    assert (tmp_path / "a" / "file.txt").read_text() == "two"
