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
PAGES = ("new-penalty.md", "new-algorithm.md")
TEXT = "\n".join((ROOT / "docs" / "howto" / page).read_text("utf-8") for page in PAGES)
BLOCKS = re.findall(r"^`([\w./]+)`\n\n```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


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
    for path, language, block in BLOCKS:
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


def test_every_block_has_a_file():
    one = 1  # the penalty of a program of its own, which tests/test_docs.py runs
    assert len(BLOCKS) + one == len(re.findall(r"^```(?:python|diff)$", TEXT, re.MULTILINE))


def test_a_penalty_takes_one_short_file_and_a_line(copy):
    (lines,) = (block.count("\n") for path, _, block in BLOCKS if path.startswith("xpsolve/penalties/l2"))
    assert lines <= 60
    (registration,) = (block for path, _, block in BLOCKS if path == "xpsolve/penalties/__init__.py")
    assert registration.count("\n+") == 1


def test_the_examples_pass_their_tests(copy):
    """On NumPy and PyTorch: the other libraries are those of the whole suite."""
    files = [
        "tests/penalties",
        "tests/linear/test_landweber.py",
        "tests/bench/test_counts.py",
        "tests/test_launch_table.py",
        "tests/test_docstrings.py",
    ]
    chosen = "(L2Ball or landweber or grown) and not (jax or jit or dask or strict or cupy)"
    said = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files, "-k", chosen)
    passed = re.search(r"(\d+) passed", said)
    assert passed
    assert int(passed[1]) >= 20


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_the_examples_are_in_style(copy):
    new = [path for path, language, _ in BLOCKS if language == "python"]
    run(copy, "ruff", "check", "--no-cache", *new)
    run(copy, "ruff", "format", "--check", "--no-cache", *new)
