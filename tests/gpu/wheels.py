"""Which wheels to carry to a machine that reaches no package index, and fetch them.

    python tests/gpu/wheels.py environment.json [--to FOLDER] [--with REQUIREMENT …]

``environment.json`` is what the stage "environment" of ``make gpu`` wrote there.  pip resolves what is missing for that
machine's Python and C library; what is installed there stays as it is, and the rest is named.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def target(there: dict[str, Any]) -> list[str]:
    """pip's options for another machine."""
    version = ".".join(there["python"].split(".")[:2])
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", version]
    architecture = there["architecture"]
    last = re.search(r"glibc-2\.(\d+)", there["libc"])
    for minor in range(int(last[1]) if last else 28, 16, -1):
        options += ["--platform", f"manylinux_2_{minor}_{architecture}"]
    return [*options, "--platform", f"manylinux2014_{architecture}", "--platform", f"linux_{architecture}"]


def normal(name: str) -> str:
    """A distribution's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(there: dict[str, Any], wanted: list[str]) -> list[tuple[str, str]]:
    """Names and versions of all that `wanted` needs and `there` lacks."""
    lacking = {normal(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in wanted}
    with tempfile.TemporaryDirectory() as folder:
        installed = {normal(name) for name in there["installed"]}
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--dry-run"]
        report = ["--ignore-installed", "--report", f"{folder}/report.json", "--target", folder]
        subprocess.run([*pip, *report, *target(there), *wanted], check=True)
        items = json.loads(Path(folder, "report.json").read_text("utf-8"))["install"]
    found = {normal(item["metadata"]["name"]): item["metadata"]["version"] for item in items}
    return sorted((n, v) for n, v in found.items() if n not in installed or n in lacking)


def main() -> None:
    """Print what to carry, and fetch it where a folder is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", type=Path)
    parser.add_argument("--to", type=Path, help="fetch the wheels into this folder")
    parser.add_argument("--with", nargs="*", default=[], dest="more", help="further requirements, such as POT")
    asked = parser.parse_args()
    there = json.loads(asked.environment.read_text("utf-8"))
    carried = resolve(there, [*there["missing"], *asked.more])
    for name, version in carried:
        print(f"{name}=={version}")
    if asked.to and carried:
        fetch = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"]
        names = [f"{name}=={version}" for name, version in carried]
        subprocess.run([*fetch, *target(there), "--dest", str(asked.to), *names], check=True)
        size = sum(path.stat().st_size for path in asked.to.glob("*.whl")) / 2**20
        print(f"{len(carried)} wheels, {size:.1f} MiB, in {asked.to}")


if __name__ == "__main__":
    main()
