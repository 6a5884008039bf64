"""What is kept of a run: asv's results of one machine and commit, and the ledger beside them."""

from __future__ import annotations

import json
import math
import platform
import tempfile
import warnings
from pathlib import Path
from typing import Any

from xpsolve.bench import ledger as ledgers
from xpsolve.bench import machine as machines
from xpsolve.bench.measure import Measured
from xpsolve.bench.profiles import Profile
from xpsolve.bench.suite import Point, Suite
from xpsolve.files import write_text


class Store:
    """asv's results of one machine and commit, and the ledger beside them."""

    def __init__(self, suite: Suite, folder: Path, described: dict[str, str], source: machines.Sources) -> None:
        self.suite, self.folder = suite, folder
        python = ".".join(platform.python_version_tuple()[:2])
        # asv would name the environment after the path of its Python: another checkout, another series.
        environment = f"existing-py{python}"
        run = {**described, "python": python}
        self._made_of: tuple[Any, ...] = (run, {}, source.commit, source.date, python, environment, {})
        self._added: list[dict[str, Any]] = []
        self._load()
        self.ledger = ledgers.Ledger.open(folder, source.commit, source.tree)
        if not self.path.is_file():
            self.ledger.entries.clear()

    @property
    def path(self) -> Path:
        """asv's result file."""
        return self.folder.parent / str(self.results._filename)

    def _stamp(self) -> tuple[int, int] | None:
        """A number that changes when another process writes asv's file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    def _load(self) -> None:
        """Read asv's file; one that is no result file is set aside."""
        from asv import util
        from asv.results import Results

        self.results = Results(*self._made_of)
        try:
            self.results.load_data(str(self.folder.parent))
        except (util.UserError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            aside = ledgers.set_aside(self.path)
            message = f"{self.path} is no result file of asv and was set aside as {aside.name}: {error}"
            warnings.warn(message, stacklevel=2)
        self._seen = self._stamp()

    def add(self, point: Point, profile: Profile, found: Measured, seconds: float, *, instead: bool = False) -> None:
        """Merge one measured point and the seconds of its work, `instead` of its last session or after those before.

        asv's value is that of the samples of all sessions.  A failure is kept as asv does, and tried again; one of a
        later session takes nothing away.
        """
        from asv.runner import BenchmarkResult

        result, samples, number = found.asv
        before = self.ledger.samples(point, profile)
        if found.code != 0 and before:
            return
        pooled = samples
        if samples is not None:
            pooled = [value for session in (before[:-1] if instead else before) for value in session] + list(samples)
        benchmark = self.suite.benchmarks[point.benchmark]
        size = math.prod(len(values) for values in benchmark["params"])
        columns: list[list[Any]] = [[math.nan] * size, [None] * size, [None] * size]
        for column, value in zip(columns, (result, pooled, number), strict=True):
            column[point.index] = value
        self._added.append(
            {
                "benchmark": benchmark,
                "result": BenchmarkResult(*columns, found.code, found.output, None),
                "started_at": found.started,
                "duration": found.seconds,
                "selected_idx": [point.index],
            }
        )
        self._put(self._added[-1])
        if found.code == 0:
            self.ledger.record(point, profile, seconds, samples, instead=instead)
        else:
            self.ledger.entries.pop(point.text, None)  # asv has just put the failure over the value
            self.ledger.miss(point, found.reason, found.last_line)

    def _put(self, added: dict[str, Any]) -> None:
        before = self.results.duration.get(added["benchmark"]["name"]) or 0.0
        self.results.add_result(**{**added, "duration": before + added["duration"]}, record_samples=True)

    def save(self) -> None:
        """Write asv's file and the ledger, in this order: a point is done only once it is kept."""
        if self._stamp() != self._seen:  # asv itself wrote to it meanwhile: what we measured is added to that
            self._load()
            for added in self._added:
                self._put(added)
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / self.folder.name).mkdir()
            self.results.save(scratch)
            write_text(self.path, (Path(scratch) / str(self.results._filename)).read_text(encoding="utf-8"))
        self._seen = self._stamp()
        self.ledger.save()


def write_benchmarks(suite: Suite, results: Path) -> None:
    """asv's ``benchmarks.json``, which says what the numbers in its result files are."""
    from asv.benchmarks import Benchmarks

    content = {**suite.benchmarks, "version": Benchmarks.api_version}
    write_text(results / "benchmarks.json", json.dumps(content, indent=4, sort_keys=True) + "\n")
