"""Points measured in child processes, one for each backend; and what went wrong there."""

from __future__ import annotations

import contextlib
import json
import math
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from xpsolve.bench import child
from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import Point, Suite, child_environment

TIMED_OUT = 124  # as the command `timeout` says it
GIVEN_UP = 125  # the time of the run was over, not that of the benchmark
_NO_MEMORY = ("memoryerror", "out of memory", "outofmemory", "resource_exhausted", "unable to allocate")
_UNQUIET = 1.3  # median over shortest sample: on an idle machine it stays below 1.1


@dataclass(frozen=True)
class Measured:
    """What a child process returned."""

    asv: tuple[Any, Any, Any]  # result, samples and number, as asv stores them
    code: int  # 0, or why there is no value
    output: str  # what the process printed
    started: datetime
    seconds: float  # how long it took
    opened: bool = False  # whether the process of its backend was started for it

    @property
    def last_line(self) -> str:
        """The last that the process printed."""
        return self.output.splitlines()[-1].strip() if self.output else "no message"

    @property
    def reason(self) -> str:
        """Why there is no value: "failed", "timed out" or "out of memory"."""
        if self.code == TIMED_OUT:
            return "timed out"
        # A process that takes all the memory is killed by the system, without a message.
        killed = hasattr(signal, "SIGKILL") and self.code == -signal.SIGKILL
        said = self.last_line.lower()
        return "out of memory" if killed or any(word in said for word in _NO_MEMORY) else "failed"

    @property
    def median(self) -> float:
        """Of the samples, NaN where there are none."""
        return median(self.asv[1]) if self.asv[1] else math.nan

    @property
    def disturbed(self) -> bool:
        """Whether the samples scatter so much that the machine must have been busy."""
        return bool(self.asv[1]) and self.median > _UNQUIET * min(self.asv[1])


class Children:
    """The processes that measure: one for each backend, which stay open during the run.

    Another library has one of its own for a slice, and a benchmark of memory one for each point.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._open: dict[tuple[str, str], _Child] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._open.values():
            process.stop()

    def end_slice(self) -> None:
        """Stop the processes that measured other libraries."""
        for key in [key for key in self._open if key[1]]:
            self._open.pop(key).stop()

    def measure(self, point: Point, profile: Profile, patience: float) -> Measured:
        """Measure one point, which has so many seconds besides the benchmark's own limit."""
        started, before = datetime.now(UTC), time.monotonic()
        benchmark = self._suite.benchmarks[point.benchmark]
        name = f"{point.benchmark}-{point.index}" if benchmark["params"] else point.benchmark  # as asv has it
        allowed = float(benchmark.get("timeout") or self._suite.conf.get("default_benchmark_timeout", 60.0))
        timeout = max(min(allowed, patience), 0.1)
        key = (point.backend, str(point.params.get("library", "")))
        # The largest memory of a process is that of all it ever did.
        alone = benchmark.get("type") == "peakmemory"
        known = None if alone else self._open.pop(key, None)
        process = known or _Child(self._suite)
        value, kept = None, False
        try:
            value, code, output = process.ask(name, profile.attributes, timeout)
            kept = not alone
        except TimeoutError:
            code, output = TIMED_OUT if timeout == allowed else GIVEN_UP, f"took longer than {timeout:g} s"
        except EOFError:
            code, output = process.ended()
        finally:
            if kept:
                self._open[key] = process
            else:
                process.stop()
        timed = value if isinstance(value, dict) and {"samples", "number"} <= value.keys() else None
        asv = (value, None, None) if timed is None else (True, timed["samples"], timed["number"])
        return Measured(asv, code, output, started, time.monotonic() - before, not (known or alone or key[1]))


class _Child:
    """One process, its answers, and its other output."""

    def __init__(self, suite: Suite) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._said = (Path(self._folder.name) / "said").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-P", child.__file__, str(suite.folder)],
            cwd=self._folder.name,
            # what it leaves there goes with the folder, also when it is killed
            env={**child_environment(suite.root), "TMPDIR": self._folder.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")

    def _printed(self, since: int = 0) -> str:
        self._said.seek(since)
        return self._said.read().decode(errors="replace").strip()

    def ask(self, name: str, attributes: dict[str, Any], timeout: float) -> tuple[Any, int, str]:
        """Value, code and output of a point; `TimeoutError` where none comes, `EOFError` if the process has ended."""
        assert self._process.stdin is not None
        before = self._said.seek(0, 2)
        try:
            self._process.stdin.write(json.dumps({"name": name, "attributes": attributes}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        except OSError:
            raise EOFError from None
        if not line:
            raise EOFError
        answer, said = json.loads(line), self._printed(before)
        if "error" in answer:
            return None, 1, "\n".join(filter(None, (said, answer["error"].strip())))
        return answer["value"], 0, said

    def ended(self) -> tuple[int, str]:
        """Exit code and output of a process that has ended; one that ends with 0 amid a benchmark has failed too."""
        return self._process.wait() or 1, self._printed()

    def stop(self) -> None:
        """End it in any case."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(OSError):  # it may be closed at the other end
                None if stream is None else stream.close()
        self._folder.cleanup()
