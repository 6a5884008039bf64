"""The cheap stages of ``make gpu``, rehearsed on the emulated CuPy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHEAP = ("environment", "first_kernel", "cholesky")


def rehearse(out, *arguments):
    command = [sys.executable, str(HERE / "run.py"), "--emulated", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)


def test_cheap_stages_pass_and_a_second_call_has_nothing_to_do(tmp_path):
    first = rehearse(tmp_path, "--only", *CHEAP)
    assert first.returncode == 0, first.stdout + first.stderr
    assert all("EMULATED" in line for line in first.stdout.splitlines())
    before = json.loads((tmp_path / "stages.json").read_text())
    assert {name: stage["status"] for name, stage in before["stages"].items()} == dict.fromkeys(CHEAP, "passed")
    rehearse(tmp_path, "--only", *CHEAP)
    assert json.loads((tmp_path / "stages.json").read_text()) == before
    assert "EMULATED" in (tmp_path / "gpu.md").read_text().splitlines()[0]


@pytest.mark.parametrize(("budget", "code"), [("1", 2)])
def test_what_has_no_time_is_left_for_the_next_call(tmp_path, budget, code):
    assert rehearse(tmp_path, "--budget", budget, "--only", "cholesky").returncode == code


def test_an_emulated_run_is_never_a_report():
    assert rehearse(HERE.parents[1] / "reports" / "x", "--only", "cholesky").returncode != 0
