"""The package as users install it: one version, and files that are in the archives and work in an empty environment."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest

import xpsolve

ROOT = Path(__file__).parents[1]
SOLVE = (
    "import numpy as np, xpsolve as xs; A = np.random.default_rng(0).standard_normal((50, 20));"
    "s = xs.lasso(A, A @ np.ones(20), 1.0); print(s.converged, xs.__version__)"
)


def test_the_version_is_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text("utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE) == [xpsolve.__version__]


def test_the_citation_is_of_this_package():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    facts = dict(re.findall(r"^([\w-]+): (.+)$", citation, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert facts["version"] == xpsolve.__version__
    assert facts["license"] == project["license"]
    assert facts["cff-version"] == "1.2.0"
    assert f"name: {project['authors'][0]['name']}" in citation


@pytest.mark.skipif(not os.environ.get("XPSOLVE_TEST_PACKAGE"), reason="builds and installs: XPSOLVE_TEST_PACKAGE=1")
def test_the_archives_work_in_an_empty_environment(tmp_path):
    """Needs the package `build`, and a package index."""

    def run(*command):
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
        return said.stdout

    run(sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT))
    (wheel,), (source,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "docs/conf.py", ".ci/run"} <= names
    for archive in (wheel, source):
        home = tmp_path / archive.suffix[1:]
        venv.create(home, with_pip=True)
        run(str(home / "bin" / "pip"), "install", "--quiet", str(archive))
        assert run(str(home / "bin" / "python"), "-c", SOLVE).split() == ["True", xpsolve.__version__]
        assert "backends, bench" in run(str(home / "bin" / "xpsolve"), "--help")
