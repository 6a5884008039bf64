"""The suite as asv discovers it: every function keeps the contract that the report reads."""

import ast
import dataclasses
import importlib.util
import inspect
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xpsolve.arrays import backends
from xpsolve.bench import PROFILES, BenchError, profiles, suite
from xpsolve.bench.meta import BenchmarkMeta

ROOT = Path(__file__).parents[2]
ROLES = {
    "time": {"seconds"},
    "error": {"relative error"},
    "count": {"launches", "syncs", "flops", "bytes", "passes", "states"},
    "memory": {"bytes"},
    "ceiling": {"flop/s", "factored flop/s", "byte/s", "seconds per launch", "seconds per call"},
}


@pytest.fixture(scope="module")
def found():
    return suite.load(ROOT)


def each(found):
    return [(name, entry, entry["meta"]) for name, entry in found.benchmarks.items()]


def test_benchmarks_are_discovered(found):
    assert {"ridge.InSamples.time_solve", "ridge.InSamples.track_error", "ceilings.Gemm.track_rate"} <= set(
        found.benchmarks
    )


def test_every_function_says_what_it_measures(found):
    for name, entry, meta in each(found):
        assert meta["quantity"] in ROLES[meta["role"]], name
        assert entry["unit"] in (meta["quantity"], "bytes"), name
        assert meta["title"], name
        assert meta["family"], name
        assert (meta["mode"] in ("latency", "throughput")) == (meta["role"] == "time"), name
        assert (meta["tol"] is not None) == (meta["role"] == "error"), name


def test_the_abscissa_is_a_parameter(found):
    for name, entry, meta in each(found):
        assert meta["x"] is None or meta["x"] in entry["param_names"], name


def test_parameters_are_plain_numbers_and_words(found):
    assert all(type(value) in (int, str) for p in found.points for value in p.params.values())


def test_backends_exist(found):
    assert {p.backend for p in found.points} <= set(backends.NAMES)


def test_each_contest_is_open_to_ours_and_another(found):
    contests = {}
    for point in found.points:
        if "library" in point.params:
            contests.setdefault(point.group, set()).add(point.params["library"])
    assert contests
    assert all("xpsolve" in libraries and len(libraries) > 1 for libraries in contests.values())
    assert found.libraries == sorted(set().union(*contests.values()))


def test_costs_accept_every_point(found):
    for point in found.points:
        meta = found.meta(point.benchmark)
        if meta.cost is not None:
            required = {n for n, q in inspect.signature(meta.function).parameters.items() if q.default is q.empty}
            assert required <= meta.arguments(point.params).keys(), point.text
            cost = meta.theory(point.params)
            assert cost.flops + cost.bytes > 0


def test_every_declaration_is_read_whole(found):
    names = {field.name for field in dataclasses.fields(BenchmarkMeta)}
    assert all(entry["meta"].keys() == names for entry in found.benchmarks.values())


def test_each_class_has_meta_of_its_own(found):
    titles = {}
    for point in found.points:
        titles.setdefault(found.meta(point.benchmark).title, set()).add(point.group)
    assert all(len(groups) == 1 for groups in titles.values())


def test_an_error_stands_beside_every_time(found):
    for name, entry, meta in each(found):
        if meta["role"] == "time":
            beside = found.benchmarks[name.rpartition(".")[0] + ".track_error"]
            assert beside["params"] == entry["params"]


def test_short_profiles_name_parameters_and_values_that_exist(found):
    for name, entry, meta in each(found):
        values = {n: {p.params[n] for p in suite.points(entry)} for n in entry["param_names"]}
        for profile, wanted in meta["profiles"].items():
            assert profile in PROFILES, name
            assert all(set(chosen) <= values[n] for n, chosen in wanted.items()), name


def test_quick_series_can_be_fitted(found):
    chosen = profiles.select(found, PROFILES["quick"], ["numpy"], r"In(Samples|Features)\.time")
    for group in {p.group for p in chosen}:
        x = found.meta(group + ".time_solve").x
        sizes = sorted({p.params[x] for p in chosen if p.group == group})
        assert len(sizes) >= 5, group
        assert sizes[-1] >= 10 * sizes[0], group


def test_sweeps_with_a_theory_have_enough_sizes_for_an_exponent(found):
    for name, entry, meta in each(found):
        if meta["role"] == "time" and meta["cost"] and meta["x"]:
            sizes = sorted({p.params[meta["x"]] for p in suite.points(entry)})
            assert 4 <= len(sizes) <= 7, name
            assert sizes[-1] >= 16 * sizes[0], name


def test_no_setup_hooks(found):
    assert all(entry.get("setup_cache_key") is None for entry in found.benchmarks.values())


def test_each_throughput_names_the_latency_of_the_same_calls(found):
    many = [(name, entry) for name, entry, meta in each(found) if meta["mode"] == "throughput"]
    assert many
    for name, entry in many:
        alone = found.benchmarks[f"{entry['meta']['pair']}.{name.rpartition('.')[2]}"]
        assert alone["meta"]["mode"] == "latency"
        assert alone["params"] == entry["params"]


SEEN = """
import json, sys
from asv_runner.discovery import disc_benchmarks
seen = {b.name: b.params for b in disc_benchmarks("benchmarks")}
heavy = ("torch", "jax", "cupy", "dask", "scipy", "sklearn", "matplotlib")
print(json.dumps([seen, [m for m in heavy if m in sys.modules]]))
"""


def asv(code, **environment):
    """A process in which asv imports the benchmarks."""
    inherited = {name: value for name, value in os.environ.items() if name != "XPSOLVE_GRID"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bare():
    """The grids that asv sees by default, and what else its fork server holds."""
    done = asv(SEEN)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_asv_by_itself_sees_a_part_of_every_benchmark_and_only_what_is_here(found, bare):
    own, _ = bare
    assert own.keys() == found.benchmarks.keys()
    here = [name for name in backends.NAMES if importlib.util.find_spec(backends.get(name).library)]
    whole = 0
    for name, params in own.items():
        entry = found.benchmarks[name]
        assert all(set(part) <= set(values) for part, values in zip(params, entry["params"], strict=True)), name
        assert all(params), name  # asv would not run it
        for values, parameter in zip(params, entry["param_names"], strict=True):
            assert parameter != "backend" or {ast.literal_eval(value) for value in values} <= set(here)
        whole += math.prod(map(len, params))
    assert whole < len(found.points) / 5


def test_the_whole_grid_on_what_is_here(found):
    own, _ = json.loads(asv(SEEN, XPSOLVE_GRID="full").stdout)
    for name, entry in found.benchmarks.items():
        for part, values, parameter in zip(own[name], entry["params"], entry["param_names"], strict=True):
            assert part == values or parameter in ("backend", "library"), name


def test_a_grid_that_does_not_exist_is_named():
    said = asv("import benchmarks._grid; benchmarks._grid.grid()", XPSOLVE_GRID="huge").stderr
    assert "XPSOLVE_GRID: expected one of quick, full, everywhere, got 'huge'" in said


def test_the_fork_server_holds_no_library_that_does_not_survive_a_fork(bare):
    _, heavy = bare
    assert heavy == []


def test_points_follow_asvs_order():
    entry = {
        "name": "m.A.time_x",
        "version": 1,
        "params": [["'numpy'", "'torch'"], ["1", "2"]],
        "param_names": ["backend", "n"],
    }
    assert [(p.index, p.text) for p in suite.points(entry)] == [
        (0, "m.A.time_x('numpy', 1)"),
        (1, "m.A.time_x('numpy', 2)"),
        (2, "m.A.time_x('torch', 1)"),
        (3, "m.A.time_x('torch', 2)"),
    ]


def test_a_benchmark_without_parameters_is_one_point():
    entry = {"name": "m.time_x", "version": 1, "params": [], "param_names": []}
    (point,) = suite.points(entry)
    assert (point.text, point.backend, point.group) == ("m.time_x", "numpy", "m")


def test_outside_a_clone_the_message_says_where_to_go(tmp_path):
    with pytest.raises(BenchError, match="clone of xpsolve"):
        suite.load(tmp_path)


def test_a_broken_configuration_is_named(tmp_path):
    (tmp_path / "asv.conf.json").write_text("{")
    with pytest.raises(BenchError, match=r"asv\.conf\.json is not readable"):
        suite.load(tmp_path)


def test_benchmarks_that_do_not_import_say_why(toy):
    (toy / "benchmarks" / "toy.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(BenchError, match="nowhere_to_be_found"):
        suite.load(toy)
