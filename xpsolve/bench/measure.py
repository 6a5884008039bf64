"""One point measured in a process of its own by asv's child, or many counted in one; and what went wrong there."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from xpsolve.bench import batch
from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import Point, Suite, child_environment, script

TIMED_OUT = 124  # as the command `timeout` says it
GIVEN_UP = 125  # the run's time was over, not the benchmark's
_NO_MEMORY = ("memoryerror", "out of memory", "outofmemory", "resource_exhausted", "unable to allocate")
_UNQUIET = 1.3  # median over shortest sample: on an idle machine it stays below 1.1


@dataclass(frozen=True)
class Measured:
    """What a child process brought back."""

    asv: tuple[Any, Any, Any]  # result, samples, number, as asv stores them
    code: int
    output: str
    started: datetime
    seconds: float

    @property
    def reason(self) -> str:
        """Why there is no value: "failed", "timed out" or "out of memory"."""
        if self.code == TIMED_OUT:
            return "timed out"
        # A process that takes all the memory is killed by the system, without a word.
        last = last_line(self.output).lower()
        killed = self.code == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False
        return "out of memory" if killed or any(word in last for word in _NO_MEMORY) else "failed"

    @property
    def median(self) -> float:
        """Of the samples, NaN where there are none."""
        return median(self.asv[1]) if self.asv[1] else math.nan

    @property
    def disturbed(self) -> bool:
        """Whether the samples scatter as they only do when the machine has something else to do."""
        return bool(self.asv[1]) and self.median > _UNQUIET * min(self.asv[1])


def measure(suite: Suite, point: Point, profile: Profile, patience: float) -> Measured:
    """One point, in a process of its own, which has so many seconds besides the benchmark's own limit."""
    allowed = _timeout(suite, point)
    timeout = max(min(allowed, patience), 0.1)
    started, before = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "result.json"
        command = [script(), "run", str(suite.folder), _asv_name(suite, point), json.dumps(profile.attributes)]
        try:
            code, output = _child(suite, [*command, "None", str(answer)], scratch, timeout)
            value = json.loads(answer.read_text(encoding="utf-8")) if code == 0 else None
        except subprocess.TimeoutExpired:
            code, value = TIMED_OUT if timeout == allowed else GIVEN_UP, None
            output = f"took longer than {timeout:g} s"
        except (OSError, ValueError) as error:
            code, output, value = 1, f"brought back no result: {error}", None
    timed = value if isinstance(value, dict) and {"samples", "number"} <= value.keys() else None
    kept = (value, None, None) if timed is None else (True, timed["samples"], timed["number"])
    return Measured(kept, code, output, started, time.monotonic() - before)


def count(suite: Suite, points: Sequence[Point], patience: float) -> list[Measured | None]:
    """Several points in one process; None for one to which it brought back no answer."""
    started, before = datetime.now(UTC), time.monotonic()
    found: list[tuple[Any, int, str] | None] = []
    with tempfile.TemporaryDirectory() as scratch:
        names = [_asv_name(suite, point) for point in points]
        with contextlib.suppress(subprocess.TimeoutExpired):
            longest = max(_timeout(suite, point) for point in points)
            command = ["-P", batch.__file__, str(suite.folder), scratch, *names]
            _child(suite, command, scratch, max(min(longest, patience), 0.1))
        for i in range(len(points)):
            answer, reason = (Path(scratch) / f"{i}.{suffix}" for suffix in ("json", "txt"))
            try:
                if reason.is_file():
                    found.append((None, 1, reason.read_text(encoding="utf-8").strip()))
                else:
                    found.append((json.loads(answer.read_text(encoding="utf-8")), 0, ""))
            except (OSError, ValueError):
                found.append(None)
    each = (time.monotonic() - before) / len(points)
    return [f and Measured((f[0], None, None), f[1], f[2], started, each) for f in found]


def _child(suite: Suite, arguments: Sequence[str], where: str, timeout: float) -> tuple[int, str]:
    """Run Python, and bring back its code and what it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env=child_environment(suite.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def _asv_name(suite: Suite, point: Point) -> str:
    return f"{point.benchmark}-{point.index}" if suite.benchmarks[point.benchmark]["params"] else point.benchmark


def _timeout(suite: Suite, point: Point) -> float:
    declared = suite.benchmarks[point.benchmark].get("timeout")
    return float(declared or suite.conf.get("default_benchmark_timeout", 60.0))


def last_line(output: str) -> str:
    """What a process said at last."""
    return output.splitlines()[-1].strip() if output else "no message"
