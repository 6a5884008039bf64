"""The pages for contributors are true: their files and lines, put into a copy of the repository, pass its tests."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PENALTY = (ROOT / "docs" / "howto" / "new-penalty.md").read_text("utf-8")
TEXT = PENALTY + (ROOT / "docs" / "howto" / "new-algorithm.md").read_text("utf-8")


def files(text):
    """Path, language and code of the blocks that are files, or changes of one."""
    return re.findall(r"^`([\w./]+)`\n\n```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def insert(text, diff):
    """`text` with the lines of `diff` that begin with +, each after the line before it, in order."""
    lines, at = text.splitlines(), 0
    for line in diff.splitlines():
        if line.startswith("+"):
            lines.insert(at, line[1:])
            at += 1
        else:
            at = lines.index(line[1:], at) + 1
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("contributor") / "xpsolve"
    skipped = shutil.ignore_patterns("__pycache__", "*_cache", ".*", "reports", "build", "dist")
    shutil.copytree(ROOT, root, ignore=skipped)
    for path, language, block in files(TEXT):
        if language == "python":
            assert not (root / path).exists()
            (root / path).write_text(block, "utf-8")
        else:
            (root / path).write_text(insert((root / path).read_text("utf-8"), block), "utf-8")
    return root


def run(root, *arguments):
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(root, tests, chosen):
    """How many of these tests pass, when none fails."""
    said = run(root, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests, "-k", chosen)
    return int(re.search(r"(\d+) passed", said)[1])


def test_every_block_has_a_file():
    one = 1  # the penalty of a program of its own, which tests/test_docs.py runs
    assert len(files(TEXT)) + one == len(re.findall(r"^```(?:python|diff)$", TEXT, re.MULTILINE))


def test_a_penalty_takes_one_short_file_and_a_line_in_each_of_three_others():
    (code,) = (block for _, language, block in files(PENALTY) if language == "python")
    changes = [block for _, language, block in files(PENALTY) if language == "diff"]
    assert f"has {code.count(chr(10))} lines" in PENALTY
    assert [change.count("\n+") for change in changes] == [1, 1, 1]


def test_the_examples_pass_their_tests(copy):
    """On NumPy and PyTorch: the other libraries are those of the whole suite."""
    tests = [
        "tests/penalties",
        "tests/linear/test_landweber.py",
        "tests/bench/test_counts.py",
        "tests/test_launch_table.py",
        "tests/test_docstrings.py",
        "tests/test_interface.py",
        "tests/test_capabilities.py",
        "tests/test_docs.py",
    ]
    of_these = "L2Ball or landweber or grown or declaration or every_public"
    assert passed(copy, tests, f"({of_these}) and not (jax or jit or dask or strict or cupy)") >= 20


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_the_solver_is_one_program_with_jax(copy):
    assert passed(copy, ["tests/test_jitted.py"], "landweber or all_solvers or each_number") == 3


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_the_examples_are_in_style(copy):
    changed = sorted({path for path, _, _ in files(TEXT) if path.endswith(".py")})
    run(copy, "ruff", "check", "--no-cache", *changed)
    run(copy, "ruff", "format", "--check", "--no-cache", *changed)
