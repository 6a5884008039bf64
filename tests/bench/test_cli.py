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
    """`bench.run` replaced by one that ends at once, with the result that the test gives."""
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
    assert "The same command continues from here" in " ".join(result.output.split())


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


def test_bench_and_report_share_one_budget(finished, monkeypatch, tmp_path):
    from xpsolve.report import gallery

    now, order = [0.0], []
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(cli, "_process_began", lambda: -4.0)

    def draw_all(pictures, backend, out, *, only, seconds):
        order.append(("figures", seconds, out))
        now[0] += 20.0
        first, second, *_ = pictures.values()
        words = {key: getattr(first, key) for key in ("name", "family", "title", "alt", "caption")}
        yield first, gallery.Drawn(**words, backend=backend, ran="", seconds=2 * first.seconds)
        yield second, None

    def build(results, out):
        order.append(("report", results, out))
        return out / "index.html"

    monkeypatch.setattr(gallery, "draw_all", draw_all)
    monkeypatch.setattr(report, "build", build)
    results, out = tmp_path / "here" / "results", tmp_path / "out"
    asked = finished[1]
    said = invoke("bench", "--report", "--budget", "300", "--results", str(results), "--out", str(out))
    assert said.exit_code == 0, said.output
    assert order == [("figures", 45.0, results.with_name("gallery")), ("report", [finished[0].results], out)]
    # 24 s have passed, and this machine takes twice the usual time.
    base, each = report.TYPICAL_SECONDS
    assert (asked["budget"], asked["later"]) == pytest.approx((300 - 24 - 2 * base, 2 * each))
    assert "within 5 min" in said.output
    assert "left out for lack of time: soft-threshold" in " ".join(said.output.split())
    assert str(out / "index.html") in said.output


def test_without_a_limit_bench_and_report_have_none(finished, monkeypatch, tmp_path):
    from xpsolve.report import gallery

    monkeypatch.setattr(gallery, "draw_all", lambda *_, **options: iter(()))
    monkeypatch.setattr(report, "build", lambda results, out: out / "index.html")
    assert invoke("bench", "--report", "--profile", "full", "--out", str(tmp_path / "out")).exit_code == 0
    assert finished[1]["budget"] == float("inf")
