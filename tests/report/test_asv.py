import json
import math

import pytest

from xpsolve.report.asv import NoResultsError, read


def test_values_follow_the_product_of_parameters(suite):
    suite.add(
        "ridge.InSamples.time_solve",
        {"backend": ["numpy", "cupy"], "n": [10, 20]},
        lambda backend, n: math.nan if backend == "cupy" else n * 1e-3 if n == 10 else None,
        suite.meta("In samples", "time", "seconds", "n"),
    )
    points = read(suite.write()).points
    assert [(p.params["backend"], p.params["n"], p.status) for p in points] == [
        ("numpy", 10, "ok"),
        ("numpy", 20, "failed"),
        ("cupy", 10, "skipped"),
        ("cupy", 20, "skipped"),
    ]
    assert points[0].value == 0.01
    assert points[0].lower == pytest.approx(0.0097)
    assert points[0].commit == suite.COMMIT
    assert points[0].meta.x == "n"


def test_a_benchmark_that_failed_everywhere_is_a_bare_null(suite):
    suite.add("a.time_broken", {"n": [1, 2]}, lambda n: None).add("b.track_one", {}, lambda: 1.0)
    points = read(suite.write()).points
    assert [p.status for p in points] == ["failed", "failed", "ok"]
    assert points[-1].params == {}


def test_infinity_is_a_value_and_an_unknown_interval_is_none(suite):
    suite.add("a.track_error", {"n": [1]}, lambda n: math.inf)
    suite.add("a.time_one", {"n": [1]}, lambda n: 1.0)
    suite.results["box", suite.COMMIT]["a.time_one"][5:7] = [[-math.inf], [math.inf]]
    error, time = read(suite.write()).points
    assert error.value == math.inf
    assert math.isnan(time.lower)
    assert math.isnan(time.upper)


def test_corrupt_and_foreign_files_are_named_and_skipped(suite):
    folder = suite.add("a.time_one", {"n": [1]}, lambda n: 1.0).write() / "box"
    (folder / "torn.json").write_text('{"results": {')
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "foreign.json").write_text('{"name": "something else"}')
    found = read(suite.folder)
    assert len(found.points) == 1
    for name in ("torn", "binary", "list", "foreign"):
        assert any(f"box/{name}.json" in line for line in found.warnings)


def test_one_bad_benchmark_does_not_take_the_file_with_it(suite):
    suite.add("a.time_one", {"n": [1]}, lambda n: 1.0).add("a.time_two", {"n": [1, 2]}, lambda n: 1.0)
    suite.results["box", suite.COMMIT]["a.time_two"][0] = [1.0]
    suite.add("a.time_three", {"n": [1]}, lambda n: 1.0)
    suite.results["box", suite.COMMIT]["a.time_three"][1] = [["__import__('os')"]]
    found = read(suite.write())
    assert [p.benchmark for p in found.points] == ["a.time_one"]
    assert any("a.time_two" in line for line in found.warnings)
    assert any("a.time_three" in line for line in found.warnings)


def test_old_versions_and_removed_benchmarks_are_left_out_by_name(suite):
    suite.add("a.time_one", {}, lambda: 1.0).add("a.time_old", {}, lambda: 1.0).add("a.time_gone", {}, lambda: 1.0)
    suite.described["a.time_old"]["version"] = "2"
    del suite.described["a.time_gone"]
    found = read(suite.write())
    assert [p.benchmark for p in found.points] == ["a.time_one"]
    assert any("earlier version" in line and "a.time_old" in line for line in found.warnings)
    assert any("no longer" in line and "a.time_gone" in line for line in found.warnings)


def test_without_descriptions_parameters_are_numbered(suite):
    folder = suite.add("a.time_one", {"n": [7]}, lambda n: 1.0).write()
    (folder / "benchmarks.json").unlink()
    found = read(folder)
    assert found.points[0].params == {"param1": 7}
    assert any("benchmarks.json" in line for line in found.warnings)


def test_machines_can_be_chosen(suite):
    for machine in ("one", "two"):
        suite.add("a.time_one", {}, lambda: 1.0, machine=machine)
    suite.write()
    assert {p.machine for p in read(suite.folder).points} == {"one", "two"}
    assert set(read(suite.folder, ["two"]).facts) == {"two"}
    with pytest.raises(ValueError, match=r"machines: expected names among \['one', 'two'\], got \['three'\]"):
        read(suite.folder, ["three"])


def test_nothing_to_report_says_how_to_measure(tmp_path):
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(NoResultsError, match="xpsolve bench"):
            read(folder)
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "torn.json").write_text("{")
    (tmp_path / "benchmarks.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(NoResultsError, match=r"box/torn\.json"):
        read(tmp_path)


def test_every_point_without_a_value_has_a_reason(suite):
    grid = {"backend": ["numpy", "cupy"], "n": [1, 2, 3, 4, 5]}
    found = {1: 1.0, 2: None, 3: math.nan, 4: math.nan, 5: None}
    suite.add("r.A.time_solve", grid, lambda backend, n: math.nan if backend == "cupy" else found[n])
    suite.add("r.Never.time_solve", {"n": [1, 2]}, lambda n: 1.0)
    del suite.results["box", suite.COMMIT]["r.Never.time_solve"]
    suite.add("peers.Ridge.time_solve", {"library": ["celer", "skglm"]}, lambda library: math.nan)
    suite.note("r.A.time_solve('numpy', 1)")
    suite.note("r.A.time_solve('numpy', 2)", missed=("out of memory", "MemoryError: 8 TiB"))
    suite.note("r.A.time_solve('numpy', 3)", missed=("over budget", "quick in 30 s"))
    suite.note("r.Never.time_solve(2)", missed=("over budget", "quick in 30 s"))
    ledger = suite.note("peers.Ridge.time_solve('skglm')")
    backends = {
        "numpy": {"available": True, "version": "2.3.0"},
        "cupy": {"available": False, "reason": "no CUDA device", "version": None},
    }
    ledger["facts"] = {"backends": backends, "libraries": {"celer": None, "skglm": "0.5"}}
    points = read(suite.write()).points
    told = {
        (p.benchmark.split(".")[1], *p.params.values()): (p.status, p.reason, p.detail, p.suite, p.versions)
        for p in points
        if p.params.get("backend") != "cupy"
    }
    assert told == {
        ("A", "numpy", 1): ("ok", "", "", "quick", "numpy 2.3.0"),
        ("A", "numpy", 2): ("failed", "out of memory", "MemoryError: 8 TiB", "", "numpy 2.3.0"),
        ("A", "numpy", 3): ("skipped", "over budget", "quick in 30 s", "", "numpy 2.3.0"),
        ("A", "numpy", 4): ("skipped", "not selected", "", "", "numpy 2.3.0"),
        ("A", "numpy", 5): ("failed", "failed", "", "", "numpy 2.3.0"),
        ("Ridge", "celer"): ("skipped", "missing library", "celer is not installed", "", ""),
        ("Ridge", "skglm"): ("skipped", "does not apply", "", "quick", "skglm 0.5"),
        ("Never", 1): ("skipped", "not selected", "", "", "numpy 2.3.0"),
        ("Never", 2): ("skipped", "over budget", "quick in 30 s", "", "numpy 2.3.0"),
    }
    absent = {(p.status, p.reason, p.detail) for p in points if p.params.get("backend") == "cupy"}
    assert absent == {("skipped", "missing backend", "no CUDA device")}


@pytest.mark.parametrize("content", ["{", "[]", '{"entries": 1, "missed": [], "facts": 2}', '{"missed": {"a": 1}}'])
def test_a_broken_or_foreign_ledger_takes_nothing_with_it(suite, content):
    folder = suite.add("a.time_one", {"n": [1, 2]}, lambda n: 1.0 if n == 1 else math.nan).write() / "box"
    (folder / f"{suite.COMMIT[:8]}.ledger").write_text(content)
    found = read(suite.folder)
    assert [(p.status, p.reason) for p in found.points] == [("ok", ""), ("skipped", "not selected")]
    if len(content) < 3:
        assert any(f"{suite.COMMIT[:8]}.ledger" in line for line in found.warnings)


def test_folders_are_read_at_once_and_the_latest_of_a_point_counts(suite, tmp_path):
    other = type(suite)(tmp_path / "other")
    suite.add("a.time_one", {"n": [1, 2]}, lambda n: 1.0 if n == 1 else math.nan, started=2)
    other.add("a.time_one", {"n": [1, 2]}, lambda n: 7.0, started=1)
    other.add("a.time_one", {"n": [1]}, lambda n: 3.0, machine="gpu", commit="f" * 40)
    found = read([suite.write(), other.write()])
    assert {(p.machine, p.commit[:1], p.params["n"]): p.value for p in found.points} == {
        ("box", "e", 1): 1.0,
        ("box", "e", 2): 7.0,
        ("gpu", "f", 1): 3.0,
    }
    assert set(found.facts) == {"box", "gpu"}
    assert set(read([suite.folder, other.folder], ["gpu"]).facts) == {"gpu"}
