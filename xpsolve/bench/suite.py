"""What the suite can measure: asv's configuration, its benchmarks, and the points of their grids."""

from __future__ import annotations

import ast
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from xpsolve.bench.meta import BenchmarkMeta

COUNTS = "counts"
"""The first word of slices that are counted on NumPy, one for each module, all in one process, as nothing is timed."""


class BenchError(Exception):
    """An error that the user can correct; the message says how."""


@dataclass(frozen=True)
class Point:
    """One benchmark function at one tuple of parameters: what one process measures."""

    benchmark: str  # asv's name, as ``ridge.InSamples.time_solve``
    index: int  # place of the tuple in the product of the parameters, the last one fastest
    params: Mapping[str, Any]
    text: str  # name and tuple as asv matches them with ``--bench``
    version: str  # asv's version of the benchmark; another version is another measurement
    role: str = ""  # what it measures, as the benchmark declares it: "time", "error", "count", …

    @property
    def group(self) -> str:
        """The benchmark class: its functions share a grid and are measured together."""
        return self.benchmark.rpartition(".")[0]

    @property
    def backend(self) -> str:
        """The backend it runs on; a benchmark without that parameter runs on NumPy."""
        return str(self.params.get("backend", "numpy"))

    @property
    def slice(self) -> str:
        """With what it is measured and saved: its class, or all of its module that is counted on NumPy."""
        counted = self.role == "count" and self.backend == "numpy"
        return f"{COUNTS} {self.benchmark.partition('.')[0]}" if counted else self.group


def points(benchmark: Mapping[str, Any]) -> Iterator[Point]:
    """Every point of an entry of asv's ``benchmarks.json``, in asv's order.

    >>> grid = {"params": [["'numpy'"], ["1", "2"]], "param_names": ["backend", "n"]}
    >>> [p.text for p in points({"name": "m.C.time_x", "version": "1", **grid})]
    ["m.C.time_x('numpy', 1)", "m.C.time_x('numpy', 2)"]
    """
    name, version = benchmark["name"], str(benchmark["version"])
    role = BenchmarkMeta.read(benchmark.get("meta")).role
    for index, reprs in enumerate(itertools.product(*benchmark["params"])):
        values = (ast.literal_eval(text) for text in reprs)
        params = dict(zip(benchmark["param_names"], values, strict=True))
        text = f"{name}({', '.join(reprs)})" if reprs else name
        yield Point(name, index, params, text, version, role)


@dataclass(frozen=True)
class Suite:
    """The benchmarks found beside an ``asv.conf.json``."""

    root: Path  # the folder of that file
    conf: Mapping[str, Any]  # its content
    benchmarks: Mapping[str, dict[str, Any]]  # what asv discovered, by name

    @property
    def folder(self) -> Path:
        """Where the benchmark modules are."""
        return self.root / str(self.conf.get("benchmark_dir", "benchmarks"))

    @property
    def results(self) -> Path:
        """Where asv keeps its results."""
        return self.root / str(self.conf.get("results_dir", "results"))

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Every point of every benchmark."""
        return tuple(p for b in self.benchmarks.values() for p in points(b))

    @property
    def libraries(self) -> list[str]:
        """Distributions that are compared with each other: values of every parameter ``library``."""
        return sorted({str(p.params["library"]) for p in self.points if "library" in p.params})

    def meta(self, benchmark: str) -> BenchmarkMeta:
        """What a benchmark declares about itself, nothing for a foreign one."""
        return BenchmarkMeta.read(self.benchmarks[benchmark].get("meta"))


def child_environment(root: Path) -> dict[str, str]:
    """Environment of every child: the xpsolve of the tree at `root`, else the one that runs here; the whole grid."""
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (str(root), here, os.environ.get("PYTHONPATH"))))
    # asv's children use the second path only; the suite's own points are the same on all machines
    return {**os.environ, "PYTHONPATH": path, "ASV_PYTHONPATH": path, "XPSOLVE_GRID": "everywhere"}


def load(root: Path) -> Suite:
    """Read the configuration in a folder and let asv discover the benchmarks, in a process of its own.

    Raises `BenchError` if there is no configuration, or the benchmarks cannot be imported.
    """
    from asv import util
    from asv.runner import BENCHMARK_RUN_SCRIPT

    root = root.resolve()
    path = root / "asv.conf.json"
    if not path.is_file():
        raise BenchError(
            f"no asv.conf.json in {root}. The benchmarks are in the repository, not in the installed "
            "package: run this from a clone of xpsolve, or name one with --root."
        )
    try:
        suite = Suite(root, util.load_json(str(path), js_comments=True), {})
    except (util.UserError, ValueError) as error:
        raise BenchError(f"{path} is not readable: {error}") from error
    if not (suite.folder / "__init__.py").is_file():
        raise BenchError(f"{suite.folder}: no benchmark package there (an __init__.py is missing).")
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch) / "benchmarks.json"
        done = subprocess.run(
            [sys.executable, str(BENCHMARK_RUN_SCRIPT), "discover", str(suite.folder), str(found)],
            cwd=scratch,
            env=child_environment(root),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip()
            raise BenchError(f"the benchmarks in {suite.folder} cannot be imported:\n{reason}")
        entries = sorted(json.loads(found.read_text(encoding="utf-8")), key=lambda entry: str(entry["name"]))
    return replace(suite, benchmarks={entry["name"]: entry for entry in entries})
