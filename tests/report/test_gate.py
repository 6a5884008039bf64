"""The gate: planted changes are found and named, nothing else is, and what cannot be compared is reported."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from xpsolve import cli
from xpsolve.report import build, gate
from xpsolve.report.asv import read
from xpsolve.report.table import results, tidy

NAMES = [f"m.C{i}" for i in range(10)]
SIZES = [1000, 2000, 4000, 8000, 16000]


class Run:
    """A results folder of ten classes on two backends, with a noise of its own, in which something may be planted."""

    def __init__(self, suite, seed, **options):
        self.suite, self.rng, self.options = suite, np.random.default_rng(seed), options
        self.own = {}

    def time(self, name, backend, n, plant=None):
        if (name, backend) not in self.own:
            self.own[name, backend] = 0.02 * self.rng.standard_normal()
        noise = self.own[name, backend] + 0.02 * self.rng.standard_normal()
        return (plant(n) if plant else 1.0) * 1e-6 * n * math.exp(noise)

    def write(self, *, slow=None, factor=None, counts=None, errors=None, without=(), facts=None):
        for name in NAMES:
            if name in without:
                continue
            grid = {"backend": ["numpy", "torch"], "n": SIZES}
            plant = factor if name == slow else None
            meta, error = self.suite.meta(name, "time", "seconds", "n"), (errors or {}).get(name, 1e-12)
            self.suite.add(
                f"{name}.time_solve", grid, lambda backend, n, m=name, p=plant: self.time(m, backend, n, p), meta,
                **self.options,
            )  # fmt: skip
            meta = self.suite.meta(name, "error", "relative error", "n")
            self.suite.add(f"{name}.track_error", grid, lambda e=error, **_: e, meta, **self.options)
            for quantity, value in {"launches": 7, "syncs": 1, "flops": 4000, **(counts or {}).get(name, {})}.items():
                meta = self.suite.meta(name, "count", quantity, "n")
                small = {"backend": ["numpy"], "n": [1000]}
                self.suite.add(f"{name}.track_{quantity}", small, lambda v=value, **_: v, meta, **self.options)
        return str(self.suite.write({**self.suite.FACTS, **(facts or {})}))


@pytest.fixture
def make(suite, tmp_path):
    """Results folders by name, each with the noise of its seed."""
    return lambda name, seed, **options: Run(type(suite)(tmp_path / name, seed), seed, **options)


@pytest.fixture
def before(make):
    return make("before", 0).write()


@pytest.fixture
def after(make):
    return lambda seed=1, **planted: make("after", seed).write(**planted)


def compare(base, new, **options):
    return gate.compare(gate.load(base, None), gate.load(new, None), **options)


def alarms(verdict):
    return [(c.kind, c.benchmark) for c in verdict.alarms]


def run(*arguments):
    return CliRunner().invoke(cli.app, ["gate", *map(str, arguments)], env={"COLUMNS": "200"})


def test_ten_reruns_of_one_commit_raise_no_alarm(before, make):
    for seed in range(1, 11):
        verdict = compare(before, make(str(seed), seed).write())
        assert not verdict.alarms
        assert verdict.compared == {"counts": (30, 30), "errors": (100, 100), "series of times": (20, 20)}


@pytest.mark.parametrize(
    ("planted", "kind", "benchmark"),
    [
        ({"slow": "m.C3", "factor": lambda n: 1.5}, "slower", "m.C3.time_solve"),
        ({"counts": {"m.C4": {"syncs": 2}}}, "syncs", "m.C4.track_syncs"),
        ({"counts": {"m.C5": {"launches": 8}}}, "launches", "m.C5.track_launches"),
        ({"counts": {"m.C5": {"flops": 4001}}}, "flops", "m.C5.track_flops"),
        ({"errors": {"m.C6": 2e-8}}, "error", "m.C6.track_error"),
        ({"errors": {"m.C6": 2e-10}}, "error", "m.C6.track_error"),
        ({"without": ["m.C7"]}, "vanished", "m.C7.time_solve"),
    ],
)
def test_what_is_planted_is_caught_and_named(before, after, planted, kind, benchmark):
    verdict = compare(before, after(**planted))
    assert (kind, benchmark) in alarms(verdict)
    assert {name.rpartition(".")[0] for _, name in alarms(verdict)} == {benchmark.rpartition(".")[0]}
    result = run(before, after(**planted))
    assert result.exit_code == 1
    assert benchmark in result.output
    assert kind in result.output


def test_a_planted_exponent_is_caught_and_named(before, after):
    verdict = compare(before, after(slow="m.C2", factor=lambda n: (n / 1000) ** 0.5))
    assert {c.benchmark for c in verdict.alarms} == {"m.C2.time_solve"}
    (numpy, _) = (c for c in verdict.alarms if c.kind == "exponent")
    assert re.match(r"(0\.9|1\.0).*1\.[45]", f"{numpy.base} {numpy.new}")


def test_improvements_are_reported_and_pass(before, after):
    verdict = compare(before, after(slow="m.C3", factor=lambda n: 0.5, counts={"m.C4": {"syncs": 0}}))
    assert not verdict.alarms
    assert {c.kind for c in verdict.changes} == {"faster", "syncs"}
    assert run(before, after(counts={"m.C4": {"syncs": 0}})).exit_code == 0


def test_small_errors_may_grow(before, after):
    assert not compare(before, after(errors={"m.C6": 9e-11})).changes


def test_a_benchmark_that_fails_is_caught(before, make):
    new = make("after", 1)
    new.time = lambda name, backend, n, plant=None: None if name == "m.C1" and backend == "torch" else 1e-6 * n
    verdict = compare(before, new.write())
    assert [(c.kind, c.benchmark, c.where) for c in verdict.alarms] == [
        ("failed", "m.C1.time_solve", "torch, n = 1000")
    ]


def test_a_missing_backend_is_no_benchmark_that_vanished(before, make):
    new = make("after", 1)
    time = new.time
    new.time = lambda name, backend, n, plant=None: math.nan if backend == "torch" else time(name, backend, n, plant)
    verdict = compare(before, new.write())
    assert not verdict.alarms
    assert any("50 of 230 points of BASE were not measured" in note for note in verdict.notes)


def test_counts_only_looks_at_no_time(before, after):
    verdict = compare(before, after(slow="m.C3", factor=lambda n: 9.0), counts_only=True)
    assert not verdict.changes
    assert "series of times" not in verdict.compared
    planted = after(counts={"m.C4": {"syncs": 2}})
    assert alarms(compare(before, planted, counts_only=True)) == [("syncs", "m.C4.track_syncs")]
    assert run(before, planted, "--counts-only", "--only", "C5").exit_code == 0


def test_counts_are_compared_across_machines_and_times_are_not(before, make):
    other = make("after", 1, machine="laptop")
    verdict = compare(before, other.write(slow="m.C3", factor=lambda n: 9.0, counts={"m.C4": {"syncs": 2}}))
    assert alarms(verdict) == [("syncs", "m.C4.track_syncs")]
    assert any("times are not compared" in note and "laptop" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"cores": 64}, "cores"),
        ({"backends": {"numpy": {"version": "2.4.0", "available": True}}}, "numpy 2.3.0 became numpy 2.4.0"),
    ],
)
def test_other_versions_are_not_compared(before, after, changed, word):
    verdict = compare(before, after(slow="m.C3", factor=lambda n: 9.0, facts=changed))
    assert not [c for c in verdict.alarms if c.where.startswith("numpy")]
    assert any(word in note for note in verdict.notes)


def test_two_commits_of_one_folder_and_reports(suite, tmp_path):
    old, now = "a" * 40, "ab" + "c" * 38
    for commit, syncs, started in ((old, 1, 1), (now, 3, 2)):
        meta = suite.meta("C", "count", "syncs", "n")
        suite.add("m.C.track_syncs", {"n": [10, 20]}, lambda n, s=syncs: s, meta, commit=commit, started=started)
    place = suite.write()
    result = run("aaaa", "abcc", "--results", place)
    assert (result.exit_code, result.output.count("alarm")) == (1, 2)
    assert run("abcc", "aaaa", "--results", place).exit_code == 0
    # The folder itself, and a report made from it, are the commit measured last.
    build(place, tmp_path / "report")
    assert run("aaaa", tmp_path / "report", "--results", place).exit_code == 1
    assert run(place, tmp_path / "report" / "results.csv").exit_code == 0


def test_a_failure_is_seen_in_a_report_too(before, make, tmp_path):
    new = make("after", 1)
    new.time = lambda name, backend, n, plant=None: None if name == "m.C1" else 1e-6 * n
    tables = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for path, folder in zip(tables, (before, new.write()), strict=True):
        results(tidy(read(Path(folder)))).to_csv(path, index=False)
    verdict = compare(*map(str, tables))
    assert ("failed", "m.C1.time_solve") in alarms(verdict)


def test_of_several_runs_the_fastest_time_counts(before, make):
    """Each run is disturbed somewhere else; what is slow in all of them is slow."""
    runs = [make(f"run{i}", i).write(slow=f"m.C{i}", factor=lambda n: 2.0) for i in (1, 2)]
    assert {b for _, b in alarms(compare(before, runs[0]))} == {"m.C1.time_solve"}
    assert not compare(before, ",".join(runs)).alarms
    again = [make(f"again{i}", i).write(slow="m.C3", factor=lambda n: 2.0) for i in (1, 2)]
    assert {b for _, b in alarms(compare(before, ",".join(again)))} == {"m.C3.time_solve"}
    other = make("other", 3, commit="b" * 40).write()
    with pytest.raises(ValueError, match="runs of one commit"):
        compare(before, f"{runs[0]},{other}")


def test_the_comment_for_a_change(before, after, tmp_path):
    note = tmp_path / "note.md"
    assert run(before, after(counts={"m.C4": {"syncs": 2}}), "--counts-only", "--markdown", note).exit_code == 1
    lines = note.read_text().splitlines()
    assert lines[0] == "**1 alarm; compared: 30 of 30 counts, 100 of 100 errors**"
    assert lines[4].startswith("| alarm | syncs | `m.C4.track_syncs` | numpy, n = 1000 | 1 | 2 |")


def test_what_cannot_be_compared_exits_with_2(before, suite, tmp_path):
    suite.add("z.Z.track_syncs", {"n": [1]}, lambda n: 1, suite.meta("Z", "count", "syncs", "n"))
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    for new, words in (
        (tmp_path / "nowhere", "found none"),
        ("fffffff", "no results of commit fffffff"),
        (tmp_path / "wrong.csv", "is not a report's results.csv"),
    ):
        result = run(before, new, "--results", before)
        assert result.exit_code == 2
        assert words in " ".join(result.output.split())
    assert run(before, suite.write(), "--only", "track_flops").exit_code == 2
    assert run(before, before, "--only", "(").exit_code == 2
    assert run(before, before, "--least", "0.9").exit_code == 2


def test_the_first_line_says_how_much_was_compared(before, after, make):
    first = run(before, after()).output.splitlines()[0]
    assert first == "no alarm; compared: 30 of 30 counts, 100 of 100 errors, 20 of 20 series of times"
    other = run(before, make("laptop", 1, machine="laptop").write(without=NAMES[:5]), "--only", "C[4-9]")
    assert other.output.splitlines()[0].endswith("15 of 18 counts, 50 of 60 errors, 0 of 12 series of times")


def test_next_to_nothing_compared_is_no_pass(make):
    both = make("base", 0, machine="laptop")
    both.write()
    both.options = {"machine": "box"}
    base = both.write(without=NAMES[1:])
    new = make("new", 1, machine="box")
    result = run(base, new.write(without=NAMES[1:]))
    assert result.exit_code == 2
    assert result.output.startswith("next to nothing in common; no alarm; compared: 3 of 33 counts, 10 of 110 errors")
    assert "--only" in result.output
    # An alarm is one all the same, and a part that was asked for is compared whole.
    assert run(base, new.write(without=NAMES[1:], counts={"m.C0": {"syncs": 9}})).exit_code == 1
    assert run(new.suite.folder, new.suite.folder, "--only", "C0.track_syncs").exit_code == 0


def test_what_measures_something_new_is_not_compared(before, after):
    folder = Path(after(counts={"m.C4": {"syncs": 9}}))
    name = "m.C4.track_syncs"
    described = json.loads((folder / "benchmarks.json").read_text())
    described[name]["version"] = "2"
    (folder / "benchmarks.json").write_text(json.dumps(described))
    (path,) = (folder / "box").glob("*-*.json")
    content = json.loads(path.read_text())
    content["results"][name][content["result_columns"].index("version")] = "2"
    path.write_text(json.dumps(content))
    verdict = compare(before, str(folder))
    assert not verdict.alarms
    assert any(name in note and "version" in note for note in verdict.notes)
