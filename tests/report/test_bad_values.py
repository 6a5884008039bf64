"""One bad value in one file of results: it is named and skipped, and everything else is reported."""

import math

import pytest

from xpsolve import report
from xpsolve.report.asv import read
from xpsolve.report.table import tidy

typer = pytest.importorskip("typer")
from typer.testing import CliRunner  # noqa: E402  (where typer is missing there is no command)

from xpsolve import cli  # noqa: E402

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def two(suite):
    """A benchmark that is right, and one whose entry a test spoils."""
    for name in ("good", "bad"):
        suite.add(f"a.{name}.time_solve", {"n": [1, 2, 3]}, lambda n: 1.0 * n, suite.meta(name, "time", "seconds", "n"))
    return suite


def row(suite):
    return suite.results["box", suite.COMMIT]["a.bad.time_solve"]


def spoil_value(value):
    def spoil(suite):
        row(suite)[0][1] = value

    return spoil


def spoil_row(column, value):
    def spoil(suite):
        row(suite)[suite.COLUMNS.index(column)] = value

    return spoil


def spoil_meta(**fields):
    def spoil(suite):
        suite.described["a.bad.time_solve"]["meta"].update(fields)

    return spoil


def huge(suite):
    values = [[repr(i) for i in range(3000)] for _ in range(3)]
    row(suite)[1] = values
    suite.described["a.bad.time_solve"].update(params=values, param_names=["n", "p", "q"])
    suite.note("a.bad.time_solve(1, 1, 1)", missed=("over budget", ""))


SPOILED = {
    "zero": spoil_value(0.0),
    "negative": spoil_value(-1.0),
    "infinite": spoil_value(math.inf),
    "words for a value": spoil_value("fast"),
    "a list for a value": spoil_value([1.0]),
    "too large for a float": spoil_value(10**400),
    "short interval": spoil_row("stats_ci_99_a", [0.5]),
    "interval of words": spoil_row("stats_ci_99_b", ["a", "b", "c"]),
    "short samples": spoil_row("stats_repeat", [7]),
    "date of the measurement": spoil_row("started_at", 1e400),
    "params of a list": spoil_row("params", [["[1]", "[2]", "[3]"]]),
    "params nested deeply": spoil_row("params", [["1", "2", "(" * 5000 + "3" + ")" * 5000]]),
    "params that are no list": spoil_row("params", 7),
    "a parameter without end": spoil_row("params", [["1", "2", "1" + "0" * 400]]),
    "meta: x": spoil_meta(x=["n"]),
    "meta: fixed": spoil_meta(fixed=[1]),
    "meta: derived": spoil_meta(derived={"p": "a"}),
    "meta: tol": spoil_meta(tol={}),
    "meta: title": spoil_meta(title=[["deep"]]),
    "meta: cost": spoil_meta(cost={"a": 1}),
    "a huge grid": huge,
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_bad_value_is_named_with_its_file_and_the_rest_is_reported(two, tmp_path, what):
    SPOILED[what](two)
    found = read(two.write())
    frame = tidy(found)
    assert frame.loc[frame["group"] == "a.good", "value"].tolist() == [1.0, 2.0, 3.0]
    named = [line for line in found.warnings if "a.bad.time_solve" in line]
    assert named
    assert ("benchmarks.json" if what.startswith("meta") else f"box/{two.COMMIT[:8]}-") in "".join(named)
    page = report.build(two.folder, tmp_path / "report")
    assert "a.bad.time_solve" in (page.parent / "methods.html").read_text()


@pytest.mark.parametrize("content", [DEEP, '{"version": 2, "results": {}, "result_columns": [], "date": 1e300}'])
def test_a_file_that_is_no_result_is_named(two, content):
    folder = two.write()
    (folder / "box" / "0123abcd-odd.json").write_text(content)
    found = read(folder)
    assert any("box/0123abcd-odd.json" in line for line in found.warnings)
    assert len(tidy(found)) == 6


def test_absurd_facts_are_no_reason_to_fail(two, tmp_path):
    facts = {"blas": 7, "caches": [1], "backends": [1], "libraries": "x", "memory_bytes": "much", "date": 7}
    folder = two.write(facts=facts)
    (folder / "box" / f"{two.COMMIT[:8]}.ledger").write_text(DEEP)
    assert report.build(folder, tmp_path / "report").is_file()


@pytest.mark.parametrize("content", [DEEP, "[]", "{", '{"a.good.time_solve": {"params": 3}}'])
def test_the_gate_never_says_worse_where_something_broke(two, tmp_path, content):
    folder = two.write()
    (folder / "benchmarks.json").write_text(content)
    asked = CliRunner().invoke(cli.app, ["gate", str(folder), str(folder)])
    assert asked.exit_code in (0, 2)


def test_a_crash_of_the_gate_is_one_line_and_no_alarm(two, monkeypatch):
    from xpsolve.report import gate

    def crash(*_, **__):
        raise RecursionError("deeper than anybody thought")

    monkeypatch.setattr(gate, "compare", crash)
    asked = CliRunner().invoke(cli.app, ["gate", str(two.write()), str(two.folder)])
    assert asked.exit_code == 2
    assert "RecursionError: deeper than anybody thought" in " ".join(asked.output.split())


def test_a_full_disk_is_one_line_and_leaves_the_old_report(two, tmp_path, monkeypatch):
    from pathlib import Path

    out = tmp_path / "report"
    index = report.build(two.write(), out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    write, written = Path.write_bytes, []

    def full(self, content):
        written.append(self)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    arguments = ["report", "--results", str(two.folder), "--out", str(out)]
    asked = CliRunner().invoke(cli.app, arguments)
    assert asked.exit_code == 1
    assert "No space left on device" in " ".join(asked.output.split())
    assert "Traceback" not in asked.output
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert index.is_file()
    written.clear()
    fresh = tmp_path / "fresh"
    assert CliRunner().invoke(cli.app, [*arguments[:-1], str(fresh)]).exit_code == 1
    assert not fresh.exists()


@pytest.mark.parametrize("command", ["report", "bench"])
def test_a_folder_that_cannot_be_written_is_one_line(two, tmp_path, command):
    (tmp_path / "file").write_text("no folder")
    arguments = ["--results", str(two.write()), "--out", str(tmp_path / "file" / "report")]
    asked = CliRunner().invoke(cli.app, [command, *arguments, *(["--report"] if command == "bench" else [])])
    assert asked.exit_code == 1
    output = "".join(asked.output.split())
    assert "file/report" in output
    assert "Notadirectory" in output
    assert "Traceback" not in output
