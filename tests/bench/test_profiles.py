"""Which points a run takes."""

import pytest

from xpsolve.bench import PROFILES, BenchError, profiles
from xpsolve.bench.suite import Suite


def entry(name, params, names, **meta):
    return {"name": name, "version": "1", "params": params, "param_names": names, "meta": meta}


@pytest.fixture
def suite(tmp_path):
    grid = [["'numpy'", "'torch'"], ["10", "20", "200"]]
    declared = {"smoke": {"backend": ["numpy"], "n": [10]}, "quick": {"n": [10, 200]}}
    entries = [
        entry("m.A.time_solve", grid, ["backend", "n"], profiles=declared),
        entry("m.A.track_error", grid, ["backend", "n"], profiles=declared),
        entry("m.B.track_all", [], []),
    ]
    return Suite(tmp_path, {}, {e["name"]: e for e in entries})


def texts(points):
    return [p.text for p in points]


def test_smoke_takes_what_is_declared(suite):
    chosen = profiles.select(suite, PROFILES["smoke"], ["numpy", "torch"])
    assert texts(chosen) == ["m.A.time_solve('numpy', 10)", "m.A.track_error('numpy', 10)"]


def test_quick_leaves_a_parameter_it_does_not_name_whole(suite):
    chosen = profiles.select(suite, PROFILES["quick"], ["numpy", "torch"])
    assert {(p.backend, p.params["n"]) for p in chosen} == {(b, n) for b in ("numpy", "torch") for n in (10, 200)}


def test_full_takes_everything_even_without_meta(suite):
    assert len(profiles.select(suite, PROFILES["full"], ["numpy", "torch"])) == 13


def test_backends_not_asked_for_are_left_out(suite):
    assert {p.backend for p in profiles.select(suite, PROFILES["full"], ["torch"])} == {"torch"}


def test_only_is_searched_in_name_and_tuple(suite):
    chosen = profiles.select(suite, PROFILES["full"], ["numpy", "torch"], r"time_solve\('torch', 20\)")
    assert texts(chosen) == ["m.A.time_solve('torch', 20)"]


def test_index_is_the_place_in_the_full_product_whatever_the_profile(suite):
    chosen = profiles.select(suite, PROFILES["quick"], ["torch"], "time_solve")
    assert [p.index for p in chosen] == [3, 5]


@pytest.mark.parametrize(("only", "said"), [("(", "regular expression"), ("nowhere", "matches 'nowhere'")])
def test_only_that_selects_nothing_says_so(suite, only, said):
    with pytest.raises(BenchError, match=said):
        profiles.select(suite, PROFILES["full"], ["numpy"], only)


def test_unknown_profile_lists_the_known():
    with pytest.raises(BenchError, match="smoke, quick, full"):
        profiles.get("slow")


def test_warm_up_is_never_switched_off():
    assert all(p.warmup_time is None or p.warmup_time > 0 for p in PROFILES.values())
