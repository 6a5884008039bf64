"""A small suite to run: one benchmark class on NumPy, in a folder of its own, with no git."""

import json
import textwrap

import pytest

pytest.importorskip("asv")

TOY = """
import os

from asv_runner.benchmarks.mark import SkipNotImplemented


class Sizes:
    version = "1"
    params = (("numpy", "torch"), (1, 10, 100))
    param_names = ("backend", "n")
    warmup_time = 0.001
    number = 1

    def time_sum(self, backend, n):
        sum(range(n))

    def track_error(self, backend, n):
        if n == 100:
            raise RuntimeError("no answer for a hundred")
        return 0.0

    def track_skipped(self, backend, n):
        raise SkipNotImplemented("not here")


for name, role in (("time_sum", "time"), ("track_error", "error"), ("track_skipped", "count")):
    getattr(Sizes, name).meta = {
        "family": "toy", "title": "Toy", "role": role, "quantity": "seconds", "x": "n", "cost": None,
        "fixed": {}, "derived": {}, "mode": None, "tol": 1e-8,
        "profiles": {"smoke": {"n": [1]}, "quick": {"n": [1, 10]}},
    }
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Root of a toy repository; asv's machine file is kept out of the home directory."""
    root = tmp_path / "toy"
    (root / "benchmarks").mkdir(parents=True)
    (root / "benchmarks" / "__init__.py").touch()
    (root / "benchmarks" / "toy.py").write_text(textwrap.dedent(TOY))
    conf = {"version": 1, "project": "toy", "repo": ".", "results_dir": ".asv/results"}
    (root / "asv.conf.json").write_text("// a comment, which asv allows\n" + json.dumps(conf))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return root


@pytest.fixture
def quick_look(monkeypatch):
    """NumPy alone, without a child process that imports torch and JAX."""
    from xpsolve.bench import machine

    found = {
        "backends": {
            "numpy": {"available": True, "reason": "", "version": "2", "device": "cpu", "startup": 0.0},
            "torch": {"available": False, "reason": "not here", "version": None, "device": "cpu", "startup": 0.0},
        },
        "blas": [{"library": "openblas", "version": "0.3", "threads": 2}],
    }
    monkeypatch.setattr(machine, "look", lambda root: found)
    return found
