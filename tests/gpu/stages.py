"""The stages of ``make gpu``, in their order: what is cheap and tells most comes first.

The seconds are guesses for one H100 or H200 with 16 cores, until a run has measured them; together they are below
twelve minutes.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
EMULATOR = ROOT / "tests" / "cupy_on_cpu"
SOLVERS = ("linear", "stochastic", "transport")
ELSEWHERE = ("bench", "report", "gpu", "helpers", "cupy_on_cpu", "__pycache__", *SOLVERS)


@dataclass(frozen=True)
class Run:
    """What a stage is started with.

    Parameters
    ----------
    out : pathlib.Path
        The folder of all results.
    emulated : bool
        Whether CuPy is the emulation on the processor.
    seconds : float
        How long the stage may take.
    machine : str
        Name of the machine in results and report.
    pages : pathlib.Path
        The folder of the report.
    """

    out: Path
    emulated: bool
    seconds: float
    machine: str
    pages: Path


@dataclass(frozen=True)
class Stage:
    """One part of the run, in a process of its own.

    Parameters
    ----------
    name : str
        What it is called in files and on the command line.
    title : str
        What it shows.
    command : callable
        From a `Run` to the arguments of Python.
    seconds : float
        It is started only where so much time is left.
    limit : float
        Seconds after which it is stopped.
    tests : bool
        Whether pytest runs it, which finds the emulation by itself.
    follows : tuple of str
        Stages whose results it uses: it runs again after them.
    """

    name: str
    title: str
    command: Callable[[Run], list[str]]
    seconds: float
    limit: float
    tests: bool = False
    follows: tuple[str, ...] = ()


def _script(name: str) -> Callable[[Run], list[str]]:
    return lambda run: [str(HERE / f"{name}.py"), str(run.out / f"{name}.json")]


def _pytest(name: str, *paths: Path) -> Callable[[Run], list[str]]:
    def command(run: Run) -> list[str]:
        workers = min(8, os.cpu_count() or 1)
        spread = ["-p", "xdist", "-n", str(workers), "--dist", "worksteal"] if importlib.util.find_spec("xdist") else []
        chosen = "cupy" if run.emulated else "cupy and not emulated"
        report = f"--junitxml={run.out / name}.xml"
        return ["-m", "pytest", "-q", "-p", "no:cacheprovider", *spread, report, "-k", chosen, *map(str, paths)]

    return command


def _bench(run: Run) -> list[str]:
    profile = "smoke" if run.emulated else "quick"
    backends = ["--backend", "numpy", "--backend", "cupy"]
    budget = ["--budget", f"{run.seconds:.0f}", "--machine", run.machine, "--results", str(run.out / "results")]
    return ["-m", "xpsolve", "bench", "--profile", profile, *backends, *budget]


def _rest() -> list[Path]:
    """Tests of all other folders, and those beside them."""
    tests = ROOT / "tests"
    folders = [p for p in sorted(tests.iterdir()) if p.is_dir() and p.name not in ELSEWHERE]
    return [*folders, *sorted(tests.glob("test_*.py")), EMULATOR / "test_examples.py"]


STAGES = (
    Stage("environment", "driver, toolkit, libraries, and what is missing", _script("environment"), 15, 60),
    Stage("first_kernel", "a first kernel, a matrix product, memory", _script("first_kernel"), 20, 90),
    Stage("cholesky", "whether a factor that cannot be trusted is recognised", _script("cholesky"), 20, 90),
    Stage(
        "kernels",
        "our kernels against their versions in standard functions",
        _pytest("kernels", EMULATOR / "test_kernels.py"),
        30,
        120,
        tests=True,
    ),
    Stage("launches", "launches and waits, measured and counted", _script("launches"), 45, 120),
    Stage(
        "suite_solvers",
        "tests of the solvers on CuPy, float64 and float32",
        _pytest("suite_solvers", *(ROOT / "tests" / name for name in SOLVERS)),
        110,
        240,
        tests=True,
    ),
    Stage(
        "suite_rest",
        "all other tests on CuPy, float64 and float32",
        _pytest("suite_rest", *_rest()),
        110,
        240,
        tests=True,
    ),
    Stage("peers", "other libraries on the same problems", _script("peers"), 45, 120),
    Stage("bench", "the benchmarks, on the processor and on the accelerator", _bench, 60, 210),
    Stage(
        "pages",
        "the report: processor against accelerator",
        lambda run: ["-m", "xpsolve", "report", "--results", str(run.out / "results"), "--out", str(run.pages)],
        30,
        90,
        follows=("bench",),
    ),
)


def environment(run: Run, stage: Stage) -> dict[str, str]:
    """Environment of a stage's process: this tree, and the emulation where it is asked for."""
    path = [str(ROOT), *([str(EMULATOR)] if run.emulated and not stage.tests else []), os.environ.get("PYTHONPATH")]
    found = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
        "XPSOLVE_EMULATED": str(int(run.emulated)),
        "CUPY_CACHE_DIR": str(run.out / "cupy-cache"),  # compiled once for all stages and calls
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # with what is installed there
        "COLUMNS": "120",
    }
    if run.emulated:  # asv keeps machines' names there, and this is none
        home = run.out / "home"
        home.mkdir(parents=True, exist_ok=True)
        found["HOME"] = str(home)
        found["OPENBLAS_NUM_THREADS"] = "1"  # many small problems
    return found


def python() -> str:
    """The interpreter of all stages."""
    return sys.executable
