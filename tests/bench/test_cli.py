"""The command."""

import subprocess
import sys

import pytest

typer = pytest.importorskip("typer")
from typer.testing import CliRunner  # noqa: E402  (where typer is missing there is no command)

import xpsolve  # noqa: E402
from xpsolve import bench, cli, report  # noqa: E402
from xpsolve.arrays import backends  # noqa: E402
from xpsolve.bench.plan import Slice  # noqa: E402
from xpsolve.bench.suite import Point  # noqa: E402

POINT = Point("m.A.time_x", 0, {"backend": "torch"}, "m.A.time_x('torch')", "1")


def invoke(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def finished(monkeypatch, tmp_path):
    """`bench.run` replaced by one that ends at once, as the test says."""
    outcome, asked = bench.Outcome("box", tmp_path, measured=3, seconds=70.0), {}

    def run(root, profile, **options):
        asked.update(root=root, profile=profile, **options)
        return outcome

    monkeypatch.setattr(bench, "run", run)
    return outcome, asked


def test_version():
    assert invoke("--version").output.strip() == f"xpsolve {xpsolve.__version__}"


def test_backends_lists_all_with_the_reason_where_one_is_missing():
    result = invoke("backends")
    assert result.exit_code == 0
    assert all(name in result.output for name in backends.NAMES)
    assert "yes" in result.output


def test_bench_hands_on_what_was_asked(finished):
    _, asked = finished
    result = invoke(
        "bench", "--profile", "smoke", "--backend", "numpy", "--backend", "jax", "--only", "ridge", "--budget", "9"
    )
    assert result.exit_code == 0
    assert "Measured 3 points in 1 min 10 s" in result.output
    assert (asked["profile"], asked["backends"], asked["only"], asked["budget"]) == (
        "smoke",
        ["numpy", "jax"],
        "ridge",
        9.0,
    )


def test_bench_says_what_was_left_out(finished):
    finished[0].left_out = [Slice("m.A", (POINT,), (130.0,))]
    output = invoke("bench").output
    assert "left out" in output
    assert "m.A: torch (2 min 10 s)" in output


def test_bench_says_what_failed_and_why(finished):
    finished[0].failed = [(POINT.text, "ValueError: [odd] message")]
    result = invoke("bench")
    assert "m.A.time_x('torch'): ValueError: [odd] message" in result.output
    assert result.exit_code == 0


def test_bench_where_everything_failed_ends_in_an_error(finished):
    finished[0].failed = [(POINT.text, "no")] * 3
    assert invoke("bench").exit_code == 1


def test_an_interrupted_bench_says_how_to_go_on(finished):
    finished[0].interrupted = True
    result = invoke("bench")
    assert result.exit_code == 130
    assert "The same command goes on from here" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profile", "slow"), "smoke, quick, full"),
        (("--backend", "nump"), "numpy, cupy"),
        (("--root", "nowhere"), "clone of xpsolve"),
    ],
)
def test_bad_requests_are_one_line_without_a_traceback(arguments, said):
    result = invoke("bench", *arguments)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_missing_extra_is_named(monkeypatch):
    def run(*_, **__):
        raise ModuleNotFoundError("No module named 'asv'", name="asv")

    monkeypatch.setattr(bench, "run", run)
    result = invoke("bench")
    assert result.exit_code == 1
    assert 'pip install "xpsolve[bench]"' in result.output


def test_a_command_without_typer_names_the_extra():
    code = "import sys; sys.modules['typer'] = None; import xpsolve.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "xpsolve[bench]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_report_prints_where_the_page_is(monkeypatch, tmp_path):
    asked = []

    def build(results, out, *, machines=None):
        asked.append(([r.name for r in results], out, machines))
        return out / "index.html"

    monkeypatch.setattr(report, "build", build, raising=False)
    result = invoke("report", "--out", str(tmp_path))
    assert result.output.strip() == str(tmp_path / "index.html")
    assert asked == [(["results"], tmp_path, None)]


def test_report_without_results_says_what_to_do(tmp_path):
    result = invoke("report", "--results", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "xpsolve bench" in " ".join(result.output.split())
