"""A run that is killed again and again, at any moment, ends with what one that is left alone has."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from xpsolve.report import asv

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="processes are killed in groups")
SAVED_BEFORE_A_KILL = (0, 1, 2, 1, 2)

SUITE = """
class _Sizes:
    version = "1"
    params = (("numpy", "cupy"), (1, 2))
    param_names = ("backend", "n")
    warmup_time = 0.001
    repeat = (2, 3, 0.01)
    number = 1


def _declare(role):
    return {"family": "toy", "title": "Toy", "role": role, "x": "n", "cost": None, "profiles": {}}


def _made(name):
    def time_sum(self, backend, n):
        sum(range(n))

    def track_count(self, backend, n):
        return n

    time_sum.meta, track_count.meta = _declare("time"), _declare("count")
    return type(name, (_Sizes,), {"time_sum": time_sum, "track_count": track_count, "__module__": __name__})


A, B, C, D = (_made(name) for name in "ABCD")
"""

# Imports and the list of benchmarks are made once; each run is a fork of that, in a session of its own.
RUNS = """
import os, sys, traceback
from pathlib import Path
from xpsolve.bench import machine, run, runner

there = {"available": True, "reason": "", "version": "2", "device": "cpu", "startup": 0.0}
machine.look = lambda root: {
    "backends": {"numpy": there, "cupy": {**there, "available": False, "reason": "no device"}},
    "blas": [],
}
suite = runner.load(Path(sys.argv[1]))
runner.load = lambda root: suite
for results in sys.stdin:
    child = os.fork()
    if child == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        try:
            run(suite.root, "full", machine="box", results=Path(results.strip()))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Run:
    """A run under way, in a process of its own."""

    def __init__(self, runs, results):
        self._said, self._status = runs.stdout, None
        runs.stdin.write(f"{results}\n".encode())
        self.pid = int(self._said.readline())

    def poll(self):
        return self.wait() if self._status is not None or select.select([self._said], [], [], 0)[0] else None

    def wait(self):
        if self._status is None:
            self._status = int(self._said.readline())
        return self._status


@pytest.fixture
def start(toy):
    """Start a run of the suite into a folder."""
    (toy / "benchmarks" / "toy.py").write_text(textwrap.dedent(SUITE))
    path = os.pathsep.join([str(Path(asv.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with (
        (toy / "said").open("w") as said,
        subprocess.Popen(
            [sys.executable, "-c", RUNS, str(toy)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            bufsize=0,
        ) as runs,
    ):
        yield lambda results: Run(runs, results)
        runs.stdin.close()


def coverage(results):
    return {(p.benchmark, *p.params.values(), p.status, p.reason, p.suite) for p in asv.read(results).points}


def entries(results):
    files = list(results.glob("box/*.ledger"))
    return {text for path in files for text in json.loads(path.read_text())["entries"]}


def test_kills_change_nothing_but_the_time(start, tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    assert start(alone).wait() == 0
    chance, had = random.Random(7), set()
    for saved in SAVED_BEFORE_A_KILL:
        run = start(killed)
        while run.poll() is None and len(entries(killed)) < len(had) + saved:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.05))  # at any moment of what it does next
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        now = entries(killed)
        assert had <= now  # what was saved once stays
        had = now
    assert had  # it came on meanwhile
    last = start(killed)
    assert last.wait() == 0
    assert not (tmp_path / "toy" / "said").read_text()
    assert coverage(killed) == coverage(alone)
    assert entries(killed) == entries(alone)
    assert {p.name for p in (killed / "box").iterdir()} == {p.name for p in (alone / "box").iterdir()}
