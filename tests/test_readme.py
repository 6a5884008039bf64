"""The README and the pages of docs with commands are run: Python in order in one namespace, shell in a scratch clone.

The clone has a tiny suite.  What takes longer than seconds (it builds environments, or measures) runs with
``XPSOLVE_TEST_README=1``, which ``make test-readme`` sets.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path: pages.blocks(path.read_text("utf-8")) for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")}
PAGES |= {path: pages.blocks(path.read_text("utf-8")) for path in (ROOT / "docs").rglob("*.md")}


def code(language, *where):
    """The blocks in one language, of some pages or of all."""
    return [
        b.code for path, found in PAGES.items() if not where or path in where for b in found if b.language == language
    ]


def commands(*where):
    """The lines of all shell blocks, without their comments."""
    return [line for block in code("sh", *where) for line in lines(block)]


def lines(block):
    """The commands of a block, without its comments."""
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


README, ASV, GATE = ROOT / "README.md", ROOT / "docs" / "howto" / "asv.md", ROOT / "docs" / "howto" / "gate.md"
(CI,) = code("yaml", GATE)

# The suite of the scratch clone: these classes, of the modules that are there.
KEPT = {"ridge": ["Latency", "RealData"], "peers": ["Ridge"]}

slow = pytest.mark.skipif(
    not os.environ.get("XPSOLVE_TEST_README"), reason="measures for a minute or more: make test-readme runs it"
)


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 120
    assert {block.language for block in PAGES[README]} == {"python", "sh"}


def test_python_blocks_run_in_order_in_one_namespace():
    namespace = pages.run(README)
    assert namespace["solution"].converged
    assert namespace["path"].x.shape == (50, 300)
    assert namespace["tally"].launches > 0


# --- shell -------------------------------------------------------------------------------------------


def git(root, *arguments):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def shrink(module):
    """Drop all public benchmark classes of a module but those kept."""
    source = module.read_text("utf-8")
    lines = source.splitlines(keepends=True)
    kept = KEPT.get(module.stem, [])
    for node in reversed(ast.parse(source).body):
        public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if public and node.bases and node.name not in kept:
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            del lines[start - 1 : node.end_lineno]
    module.write_text("".join(lines), "utf-8")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A shell in a scratch clone."""
    return scratch(tmp_path_factory.mktemp("readme"))


def scratch(top):
    """A clone with a history of three commits and a tiny suite; returns what runs a script there."""
    root, bin_, home = top / "clone", top / "bin", top / "home"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "reports", "tests")
    shutil.copytree(ROOT, root, ignore=skipped)
    for module in (root / "benchmarks").glob("[a-z]*.py"):
        shrink(module)
    git(root, "init")
    for number in range(3):
        (root / "NOTES").write_text(f"commit {number}\n")
        git(root, "add", ".")
        git(root, "commit", "-m", f"commit {number}")
    bin_.mkdir()
    home.mkdir()
    for name, module in (("xpsolve", "xpsolve"), ("asv", "asv")):
        (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
    (bin_ / "pip").write_text('#!/bin/sh\necho "pip $*"\n')  # the extras are there; they are tested for being declared
    for script in bin_.iterdir():
        script.chmod(0o755)
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": os.pathsep.join([str(bin_), os.environ["PATH"]]),
        "PYTHONPATH": str(root),
        "GITHUB_STEP_SUMMARY": str(top / "summary.md"),
        "COLUMNS": "120",
    }

    def shell(script, timeout=600):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    return shell


def test_every_command_has_a_test():
    """What the README shows is on the pages that are run below; elsewhere there is what those tests know."""
    run = {line for path in (ASV, GATE) for line in commands(path)} | set(
        re.findall(r"xpsolve gate [\w/ -]+?--counts-only", CI)
    )
    for command in commands():
        program = command.split()[0]
        assert program in {"make", "pip", "git"} or program == ".venv/bin/python" or command in run, command
    assert {line.split()[0] for line in commands(README)} == {"make", "pip", "xpsolve", "asv"}
    assert {line.split()[0] for line in commands(ASV)} == {"xpsolve", "asv"}


def test_make_knows_its_targets(clone):
    found = {command for command in commands() if command.startswith("make")}
    assert {"make bench", "make test", "make docs"} <= found
    for command in sorted(found):
        done = clone(command.replace("make", "make --dry-run"))
        assert done.returncode == 0, done.stdout
        assert "xpsolve" in done.stdout or "pytest" in done.stdout


def test_commands_of_the_environment_name_files_that_are_there():
    new = set(re.findall(r"^`([\w./]+)`$", "".join(path.read_text("utf-8") for path in PAGES), re.MULTILINE))
    found = [c for c in commands() if c.startswith(".venv/bin/python")]
    assert len(found) >= 4
    for name in {word for command in found for word in command.split()[1:] if "/" in word}:
        assert (ROOT / name).exists() or name in new, name


def test_extras_that_are_installed_are_declared(clone):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = "".join(path.read_text("utf-8") for path in PAGES)
    named = set(",".join(re.findall(r'"(?:xpsolve|\.)\[([\w,]+)\]"', text)).split(","))
    assert named >= {"bench", "cuda12", "cuda13", "dask", "docs", "jax", "numba", "peers", "sklearn", "torch"}
    assert named <= project["optional-dependencies"].keys()
    (block,) = (block for block in code("sh", README) if block.startswith("pip"))
    assert clone(block).stdout.startswith("pip install .[")


@pytest.mark.parametrize("command", ["xpsolve backends", "xpsolve figures"])
def test_the_cheap_commands_of_measuring(clone, command):
    (line,) = (line for line in commands(ASV) if line.startswith(command))
    done = clone(line)
    assert done.returncode == 0, done.stdout


@slow
def test_measuring(clone):
    (block,) = (block for block in code("sh", ASV) if block.startswith("xpsolve"))
    done = clone(block)
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("index.html")


@slow
def test_ci(clone):
    steps = re.findall(r"^- run: (?:\|.*?\n((?:    .*\n)+)|(.*)\n)", CI, re.MULTILINE)
    script = "\n".join(more or one for more, one in steps)
    assert script.count("xpsolve") == 3
    for expression in set(re.findall(r"\$\{\{.*?\}\}", script)):
        assert "base.sha" in expression
        script = script.replace(expression, "HEAD~1")
    done = clone(re.sub("^    ", "", script, flags=re.MULTILINE))
    assert done.returncode == 0, done.stdout
    first = next(line for line in done.stdout.splitlines() if "compared" in line)
    found = re.match(r"no alarm; compared: (\d+) of (\d+) counts, 0 of 0 errors", first)
    assert found
    assert int(found[1]) == int(found[2]) > 0


@slow
def test_asv(tmp_path):
    clone = scratch(tmp_path)
    (block,) = (block for block in code("sh", ASV) if block.startswith("asv"))
    said = {}
    for command in lines(block):
        done = clone(command)
        said[" ".join(command.split()[:2])] = done.stdout
        # two commits with the same code; but on a busy machine one may seem slower
        allowed = (0, 1) if command.startswith("asv continuous") else (0,)
        assert done.returncode in allowed, f"{command}\n{done.stdout}"
        assert command.startswith("asv machine") or "No information stored" not in done.stdout
    assert "ridge.RealData.time_solve" in said["asv run"]
    assert "| Change " in said["asv compare"]
    assert "Writing index" in said["asv publish"]
    assert "warning" not in said["asv publish"].lower()
