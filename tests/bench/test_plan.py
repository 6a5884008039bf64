"""In which order, and what fits."""

import math
from dataclasses import dataclass, field

import pytest

from xpsolve.bench import PROFILES, plan
from xpsolve.bench.suite import Point, Suite

SIZES = (1, 2, 4, 8, 16)


@dataclass
class Known:
    """Seconds of a point by its class and size, and of a process."""

    classes: dict = field(default_factory=dict)
    process: float = 1.0

    def work(self, point):
        return self.classes.get(point.group, 1.0) * point.params["n"]

    def opening(self, backend):
        return self.process


def point(group, function, backend, n, role="time"):
    text = f"{group}.{function}({backend!r}, {n})"
    return Point(f"{group}.{function}", n, {"backend": backend, "n": n}, text, "1", role)


def meta(family, role):
    return {"meta": {"family": family, "role": role, "x": "n"}}


@pytest.fixture
def suite(tmp_path):
    """Five families of two classes each, one much cheaper than the other, and ceilings."""
    families = {f"{f}.{c}.{name}": meta(f, role) for f in "abcde" for c in ("Cheap", "Dear") for name, role in WHAT}
    return Suite(tmp_path, {}, {**families, "ceilings.Gemm.track_rate": meta("ceilings", "ceiling")})


WHAT = (("time_x", "time"), ("track_e", "error"))
COSTS = Known({f"{f}.Dear": 20.0 for f in "abcde"} | {f"{f}.Cheap": 0.1 for f in "abcde"} | {"ceilings.Gemm": 0.5})


@pytest.fixture
def points(suite):
    found = [
        point(f"{f}.{c}", name, backend, n, role)
        for f in "abcde"
        for c in ("Cheap", "Dear")
        for name, role in WHAT
        for backend in ("numpy", "torch", "jax")
        for n in SIZES
    ]
    return [*found, *(point("ceilings.Gemm", "track_rate", b, 1, "ceiling") for b in ("numpy", "torch", "jax"))]


def chosen(suite, points, room, estimate=COSTS, done=()):
    lines = plan.sweeps(suite, points)
    pending = {p.text for p in points} - set(done)
    return plan.choose(lines, plan.essential(lines, estimate, room), pending, estimate, room)


def covered(made):
    """Sizes by class and backend."""
    found = {}
    for part in made:
        for p in part.points:
            found.setdefault((p.group, p.backend), set()).add(p.params["n"])
    return found


def test_a_sweep_holds_times_and_errors_of_each_size(suite, points):
    line = plan.sweeps(suite, points)[0]
    assert [[p.benchmark[-6:] for p in size] for size in line.sizes] == [["time_x", "rack_e"]] * 5
    assert [size[0].params["n"] for size in line.spread] == [1, 2, 8, 16]


def test_cheapest_slice_first_and_backends_take_turns_at_each_size(points):
    made = plan.slices([p for p in points if p.group[0] == "a" and p.backend != "jax" and p.params["n"] < 4], COSTS)
    assert [s.name for s in made] == ["a.Cheap", "a.Dear"]
    assert [(p.params["n"], p.benchmark[-6:], p.backend) for p in made[0].points] == [
        (n, f, b) for n in (1, 2) for f in ("time_x", "rack_e") for b in ("numpy", "torch")
    ]
    assert made[0].seconds == pytest.approx((1.1, 1.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2))  # each backend is opened once
    assert made[1].seconds[0] == pytest.approx(20.0)


def test_without_a_budget_everything_is_kept(suite, points):
    assert sum(len(s.points) for s in chosen(suite, points, math.inf)) == len(points)


@pytest.mark.parametrize("room", [60.0, 100.0, 300.0])
def test_every_family_keeps_four_sizes_and_every_backend_three_families(suite, points, room):
    made = chosen(suite, points, room)
    found = covered(made)
    assert sum(s.predicted for s in made) <= room
    assert all(len(found[f"{f}.Cheap", "numpy"]) >= 4 for f in "abcde")
    for backend in ("torch", "jax"):
        compared = [group for (group, b), sizes in found.items() if b == backend and len(sizes) >= 4]
        assert len({group[0] for group in compared}) >= 3
    assert ("ceilings.Gemm", "numpy") in found


def test_a_larger_budget_adds_points_and_takes_none_away(suite, points):
    small, large = (covered(chosen(suite, points, room)) for room in (100.0, 2000.0))
    assert all(sizes <= large[key] for key, sizes in small.items())
    assert len(large) > len(small)


def test_where_the_ends_are_too_far_apart_the_smallest_sizes_are_measured(suite, points):
    few = [p for p in points if p.group == "a.Dear" and p.backend == "numpy"]
    assert covered(chosen(suite, few, 2000.0)) == {("a.Dear", "numpy"): set(SIZES)}
    # 1, 2, 8, 16 take 1080 s, 1, 2, 4, 8 take 600.
    assert covered(chosen(suite, few, 700.0)) == {("a.Dear", "numpy"): {1, 2, 4, 8}}
    assert covered(chosen(suite, few, 200.0)) == {("a.Dear", "numpy"): {1, 2}}


def test_what_was_measured_before_costs_nothing(suite, points):
    few = [p for p in points if p.group == "a.Dear" and p.backend == "numpy"]
    done = [p.text for p in few if p.params["n"] == 16]
    assert covered(chosen(suite, few, 700.0, done=done)) == {("a.Dear", "numpy"): {1, 2, 4, 8}}


def test_a_sweep_that_has_four_sizes_needs_no_more(suite, points):
    few = [p for p in points if p.group in ("a.Cheap", "b.Dear") and p.backend == "numpy"]
    done = [p.text for p in few if p.group == "a.Cheap" and p.params["n"] != 4]
    essential = [s for s in chosen(suite, few, 650.0, done=done) if s.essential]
    assert covered(essential) == {("b.Dear", "numpy"): {1, 2, 4, 8}}


def test_what_is_needed_runs_first_with_the_backends_side_by_side(suite, points):
    made = chosen(suite, points, 300.0)
    essential = [s for s in made if s.essential]
    assert made[: len(essential)] == essential
    beside = [s for s in essential if set(s.by_backend()) == {"numpy", "torch", "jax"}]
    assert len(beside) == 3
    assert essential[:3] == beside
    assert all(set(s.by_backend()) == {"numpy"} for s in essential if s not in beside)
    for part in beside:  # at each size in turn
        sizes = [p.params["n"] for p in part.points]
        assert sizes == sorted(sizes)


def test_four_sizes_of_every_sweep_of_numpy_come_before_more_of_the_others(suite, points):
    made = [s for s in chosen(suite, points, 1e5) if not s.essential]
    assert {p.backend for s in made[:1] for p in s.points if p.group == "ceilings.Gemm"} == {"torch", "jax"}
    made = [s for s in made if s.name != "ceilings.Gemm"]
    alone = [set(s.by_backend()) == {"numpy"} for s in made]
    first = made[: alone.index(False)]
    assert first
    found = covered(chosen(suite, points, 1e5)[: -len(made)] + first)
    groups = [f"{f}.{c}" for f in "abcde" for c in ("Cheap", "Dear")]
    assert all(len(found[group, "numpy"]) >= 4 for group in groups)


def test_what_other_backends_are_compared_with_is_needed_too(suite):
    few = [point("a.Cheap", "time_x", "numpy", n) for n in SIZES]
    few += [point("a.Dear", "time_x", backend, 1) for backend in ("numpy", "torch")]
    lines = plan.sweeps(suite, few)
    assert {(line.slice, line.backend) for line in plan.essential(lines, COSTS, 100.0)} == {
        ("a.Cheap", "numpy"),
        ("a.Dear", "torch"),
        ("a.Dear", "numpy"),
    }


@pytest.mark.parametrize(("room", "families"), [(100.0, plan.FAMILIES), (plan.LONG, 5)])
def test_a_long_run_compares_backends_in_more_families(suite, points, room, families):
    found = plan.essential(plan.sweeps(suite, points), COSTS, room)
    for backend in ("torch", "jax"):
        assert len({line.family for line in found if line.backend == backend}) == families


def test_a_sweep_with_a_theory_is_needed_before_a_cheaper_one_without(tmp_path):
    entry = {"family": "a", "role": "time", "x": "n", "fixed": {"p": 1}}
    suite = Suite(
        tmp_path, {}, {"a.Cheap.time_x": {"meta": entry}, "a.Dear.time_x": {"meta": {**entry, "cost": "ridge"}}}
    )
    few = [point(group, "time_x", "numpy", n) for group in ("a.Cheap", "a.Dear") for n in SIZES]
    (line,) = plan.essential(plan.sweeps(suite, few), COSTS, 100.0)
    assert (line.slice, line.theory) == ("a.Dear", True)


def test_all_sizes_of_a_theory_come_before_sweeps_without(tmp_path):
    known = {"family": "a", "role": "time", "x": "n", "fixed": {"p": 1}, "cost": "ridge"}
    benchmarks = {f"a.{name}.time_x": {"meta": known} for name in ("First", "Second")}
    benchmarks |= {f"b.{name}.time_x": {"meta": {**known, "family": "b", "cost": ""}} for name in ("First", "Second")}
    suite = Suite(tmp_path, {}, benchmarks)
    few = [point(name.rpartition(".")[0], "time_x", "numpy", n) for name in benchmarks for n in SIZES]
    room = 4 * (1 + 2 + 8 + 16)  # for four sizes of each sweep
    found = covered(chosen(suite, few, COSTS.process + room))
    assert found["a.Second", "numpy"] == found["a.First", "numpy"] == set(SIZES)
    assert found.get(("b.Second", "numpy"), set()) < set(SIZES)


def test_words_are_sizes_too_and_none_is_one(suite):
    few = [Point("a.Dear.time_x", i, {"backend": "numpy", "n": n}, str(n), "1") for i, n in enumerate(("b", "a"))]
    (line,) = plan.sweeps(suite, few)
    assert [size[0].text for size in line.sizes] == ["a", "b"]
    alone = Point("a.Dear.time_x", 0, {"backend": "numpy"}, "alone", "1")
    assert plan.sweeps(suite, [alone])[0].spread == [(alone,)]


def test_prediction_grows_with_the_cost(tmp_path):
    entry = {"role": "time", "x": "n", "cost": "ridge", "fixed": {"p": 100}, "derived": {}}
    suite = Suite(tmp_path, {}, {"r.A.time_x": {"meta": entry}})
    small, large = point("r.A", "time_x", "numpy", 1000), point("r.A", "time_x", "numpy", 10**6)
    assert plan.predict(suite, large, PROFILES["quick"]) > plan.predict(suite, small, PROFILES["quick"])


def test_prediction_knows_what_an_operation_costs_on_each_backend(tmp_path):
    entry = {"role": "time", "x": "depth", "cost": "mlp", "fixed": {"batch": 10, "width": 4}, "derived": {}}
    suite = Suite(tmp_path, {}, {"m.A.time_x": {"meta": entry}})
    numpy, torch, dask = (
        plan.predict(suite, Point("m.A.time_x", 0, {"backend": b, "depth": 100}, b, "1", "time"), PROFILES["quick"])
        for b in ("numpy", "torch", "dask")
    )
    assert numpy < torch < dask


def test_derived_argument_follows_the_abscissa(tmp_path):
    entry = {"role": "error", "x": "n", "cost": "ridge", "fixed": {"method": "normal"}, "derived": {"p": 10**6}}
    suite = Suite(tmp_path, {}, {"r.A.time_x": {"meta": entry}})
    wide, tall = (point("r.A", "time_x", "numpy", n, "error") for n in (100, 10**5))
    assert plan.predict(suite, wide, PROFILES["full"]) > plan.predict(suite, tall, PROFILES["full"])


def test_counts_on_numpy_are_a_slice_for_each_module():
    def counted(group, backend, **params):
        params = {"backend": backend, "n": 1, **params}
        return Point(f"{group}.track_flops", 0, params, f"{group}{params}", "1", "count")

    points = [
        counted("r.A", "numpy", method="cg"),
        counted("r.B", "numpy", loss="huber"),
        counted("s.A", "numpy"),
        counted("r.A", "torch", method="cg"),
    ]
    made = plan.slices(points, Known())
    assert {s.name: len(s.points) for s in made} == {"counts r": 2, "counts s": 1, "r.A": 1}


def test_without_a_cost_the_samples_still_take_their_time(tmp_path):
    def seconds(role, **entry):
        suite = Suite(tmp_path, {}, {"r.A.time_x": {"meta": {"role": role}, **entry}})
        return plan.predict(suite, point("r.A", "time_x", "numpy", 1, role), PROFILES["full"])

    assert seconds("time") > seconds("error")
    assert seconds("time", repeat=[30, 40, 0.1]) > seconds("time", repeat=[3, 5, 0.1])
