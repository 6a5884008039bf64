"""A run that is killed again and again, at any moment, ends with what one that is left alone has."""

import json
import os
import random
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

RUN = """
import sys
from pathlib import Path
from xpsolve.bench import machine, run

there = {"available": True, "reason": "", "version": "2", "device": "cpu", "startup": 0.0}
machine.look = lambda root: {
    "backends": {"numpy": there, "cupy": {**there, "available": False, "reason": "no device"}},
    "blas": [],
}
run(Path(sys.argv[1]), "full", machine="box", results=Path(sys.argv[2]))
"""


@pytest.fixture
def start(toy):
    """Start a run of the suite into a folder, in a process of its own."""
    (toy / "benchmarks" / "toy.py").write_text(textwrap.dedent(SUITE))
    here = str(Path(asv.__file__).parents[2])

    def started(results):
        with (toy / "said").open("w") as said:
            return subprocess.Popen(
                [sys.executable, "-c", RUN, str(toy), str(results)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])},
                start_new_session=True,
                stderr=said,
            )

    return started


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
