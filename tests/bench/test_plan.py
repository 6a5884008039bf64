"""In which order, and what fits."""

import pytest

from xpsolve.bench import PROFILES, plan
from xpsolve.bench.suite import Point, Suite


def point(group, function, backend, n):
    text = f"{group}.{function}({backend!r}, {n})"
    return Point(f"{group}.{function}", n, {"backend": backend, "n": n}, text, "1")


@pytest.fixture
def points():
    grid = [("numpy", 1), ("numpy", 9), ("torch", 1), ("torch", 9)]
    return [point(g, f, b, n) for g in ("r.Big", "r.Small") for f in ("time_x", "track_e") for b, n in grid]


@pytest.fixture
def seconds(points):
    return {p.text: (4.0 if p.group == "r.Big" else 1.0) * (2.0 if p.backend == "torch" else 1.0) for p in points}


def test_cheapest_slice_first(points, seconds):
    made = plan.slices(points, seconds)
    assert [s.name for s in made] == ["r.Small", "r.Big"]
    assert made[0].predicted == 12.0


def test_backends_take_turns_at_each_size(points, seconds):
    small = plan.slices(points, seconds)[0]
    assert [(p.params["n"], p.benchmark[-6:], p.backend) for p in small.points] == [
        (n, f, b) for n in (1, 9) for f in ("time_x", "rack_e") for b in ("numpy", "torch")
    ]


def test_without_a_budget_everything_is_kept(points, seconds):
    kept, left = plan.fit(plan.slices(points, seconds), None)
    assert sum(len(s.points) for s in kept) == len(points)
    assert left == []


def test_budget_goes_to_numpy_first_then_to_the_cheapest(points, seconds):
    # NumPy costs 4 + 16, torch's small slice 8, its big one 32.
    kept, left = plan.fit(plan.slices(points, seconds), 30.0)
    assert {(s.name, b) for s in kept for b in s.by_backend()} == {
        ("r.Small", "numpy"),
        ("r.Small", "torch"),
        ("r.Big", "numpy"),
    }
    assert [(s.name, s.by_backend()) for s in left] == [("r.Big", {"torch": 32.0})]


def test_a_budget_that_is_not_firm_limits_only_what_stands_beside_numpy(points, seconds):
    kept, left = plan.fit(plan.slices(points, seconds), 1.0, firm=False)
    assert {b for s in kept for b in s.by_backend()} == {"numpy"}
    assert {b for s in left for b in s.by_backend()} == {"torch"}


def test_ceilings_come_before_solvers_of_the_same_backend():
    cheap, ceiling = point("ridge.A", "time_x", "torch", 1), point("ceilings.Gemm", "track_rate", "torch", 1)
    made = plan.slices([cheap, ceiling], {cheap.text: 1.0, ceiling.text: 5.0})
    kept, _ = plan.fit(made, 5.5)
    assert [s.name for s in kept] == ["ceilings.Gemm"]


def test_prediction_grows_with_the_cost_and_with_the_import(tmp_path):
    meta = {"role": "time", "x": "n", "cost": "ridge", "fixed": {"p": 100}, "derived": {}}
    suite = Suite(tmp_path, {}, {"r.A.time_x": {"meta": meta}})
    small, large = point("r.A", "time_x", "numpy", 1000), point("r.A", "time_x", "numpy", 10**6)
    quick, startup = PROFILES["quick"], {"numpy": 0.0, "torch": 2.0}
    assert plan.predict(suite, large, quick, startup) > plan.predict(suite, small, quick, startup)
    there = point("r.A", "time_x", "torch", 1000)
    gain = plan.predict(suite, there, quick, startup) - plan.predict(suite, small, quick, startup)
    assert gain == pytest.approx(2.0)


def test_derived_argument_follows_the_abscissa(tmp_path):
    meta = {"role": "error", "x": "n", "cost": "ridge", "fixed": {"method": "normal"}, "derived": {"p": 10**6}}
    suite = Suite(tmp_path, {}, {"r.A.time_x": {"meta": meta}})
    wide, tall = point("r.A", "time_x", "numpy", 100), point("r.A", "time_x", "numpy", 10**5)
    startup = {"numpy": 0.0}
    assert plan.predict(suite, wide, PROFILES["full"], startup) > plan.predict(suite, tall, PROFILES["full"], startup)


def test_counts_of_all_classes_on_numpy_are_one_slice():
    def counted(group, backend, **params):
        params = {"backend": backend, **params}
        return Point(f"{group}.track_flops", 0, params, f"{group}{params}", "1", "count")

    points = [
        counted("r.A", "numpy", n=3, method="cg"),
        counted("r.B", "numpy", loss="huber"),
        counted("r.A", "torch", n=3, method="cg"),
    ]
    made = plan.slices(points, {p.text: 1.0 for p in points})
    assert {s.name: len(s.points) for s in made} == {"counts": 2, "r.A": 1}


def test_without_a_cost_the_samples_still_take_their_time(tmp_path):
    def seconds(role, **entry):
        suite = Suite(tmp_path, {}, {"r.A.time_x": {"meta": {"role": role}, **entry}})
        return plan.predict(suite, point("r.A", "time_x", "numpy", 1), PROFILES["full"], {})

    assert seconds("time") > seconds("error")
    assert seconds("time", repeat=[30, 40, 0.1]) > seconds("time", repeat=[3, 5, 0.1])
