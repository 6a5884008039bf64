"""How long things take, by what was observed."""

import math

import pytest

from xpsolve.bench import clock as clocks
from xpsolve.bench.clock import Clock
from xpsolve.bench.measure import UTC, Measured, datetime
from xpsolve.bench.suite import Point


def point(group="r.A", backend="numpy"):
    return Point(f"{group}.time_x", 0, {"backend": backend}, f"{group}{backend}", "1", "time")


def took(seconds, *, opened=False):
    return Measured((1.0, None, None), 0, "", datetime.now(UTC), seconds, opened)


@pytest.fixture
def clock():
    known = {point(g, b).text: 1.0 for g in ("r.A", "r.B", "s.A") for b in ("numpy", "torch")}
    return Clock(300.0, {"numpy": 1.0, "torch": 3.0}, known)


def test_a_slow_machine_is_slow_everywhere_and_a_slow_class_on_every_backend(clock):
    for _ in range(20):
        clock.add(point("r.A"), took(2.0))
    assert clock.work(point("r.A")) == pytest.approx(2.0, rel=0.1)
    assert clock.work(point("r.B")) == pytest.approx(2.0, rel=0.2)
    for _ in range(20):
        clock.add(point("r.B"), took(8.0))
    assert clock.work(point("r.B", "torch")) > 2.5 * clock.work(point("s.A", "torch"))


def test_a_process_is_opened_once_and_others_take_as_much_longer(clock):
    assert (clock.opening("numpy"), clock.opening("torch")) == (1.0, 3.0)
    work = clock.add(point(), took(20.0, opened=True))
    assert 0 < work < 20.0
    assert clock.opening("numpy") == 0.0
    assert clock.opening("torch") > 3.0


def test_one_point_taken_for_far_too_short_says_little_of_the_others(clock):
    clock.add(point("r.A"), took(100.0))
    assert clock.work(point("s.A")) < 2.0
    assert clock.work(point("r.A")) > 10.0


def test_time_runs_out_and_a_point_may_not_take_it_all(clock, monkeypatch):
    assert clock.room <= 300.0
    assert clock.patience(point(), clock.room) == pytest.approx(30.0)
    assert clock.patience(point(), 20.0) == pytest.approx(26.0)  # the rest is for others
    monkeypatch.setattr(clocks.time, "monotonic", lambda: clock.start + 299.0)
    assert clock.room == pytest.approx(1.0)
    assert clock.patience(point(), clock.room) == pytest.approx(7.0)
    unlimited = Clock(None, {}, {point().text: 1.0})
    assert unlimited.room == unlimited.patience(point(), unlimited.room) == math.inf


def test_time_is_kept_for_what_is_done_with_each_point(clock):
    clock.later = 2.0
    assert clock.work(point()) == pytest.approx(3.0)
    room = clock.room
    assert clock.add(point(), took(1.0)) == pytest.approx(1.0)
    assert clock.room == pytest.approx(room - 2.0, abs=0.5)
