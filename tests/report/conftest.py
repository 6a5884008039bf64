"""Results as asv 0.6 writes them: format 2, repr'd parameters, trailing nulls dropped, NaN for skipped points."""

import itertools
import json
import math

import numpy as np
import pytest

from xpsolve import costs

COLUMNS = [
    "result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b", "stats_q_25",
    "stats_q_75", "stats_number", "stats_repeat", "samples", "profile",
]  # fmt: skip
ENVIRONMENT = "existing-py_usr_bin_python3.11"
FACTS = {
    "cpu": "Example CPU",
    "cores": 2,
    "memory_bytes": 2**33,
    "os": "Linux 6",
    "python": "3.11.9",
    "blas": [{"library": "openblas", "version": "0.3.30", "threads": 2}],
    "backends": {
        "numpy": {"available": True, "reason": "", "version": "2.3.0", "device": "cpu"},
        "cupy": {"available": False, "reason": "no CUDA device", "version": None, "device": None},
    },
    "dirty": False,
    "profile": "quick",
    "date": "2025-01-02T03:04:05+00:00",
}


class Suite:
    """A results folder in the making."""

    COMMIT = "eacdf32a301920f219ad44ae773f26a3eaffdde8"
    RATE, STREAM, LAUNCH = 5e10, 2e10, 1e-6
    COLUMNS, FACTS = COLUMNS, FACTS

    def __init__(self, folder, seed=0):
        self.folder, self.described = folder, {"version": 2}
        self.results, self.noise, self.ledgers = {}, np.random.default_rng(seed), {}

    def add(self, name, grid, value, meta=None, machine="box", commit=COMMIT, started=1_795_309_237_117):
        """Measure ``value(**params)`` over a grid; None fails, NaN is skipped."""
        tuples = [dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())]
        found = [value(**point) for point in tuples]
        params = [[repr(v) for v in values] for values in grid.values()]
        timed = name.rpartition(".")[2].startswith("time_")
        interval = [[None if v is None or math.isnan(v) else v * f for v in found] for f in (0.97, 1.04)]
        row = [found, params, "1", started, 1.0]
        if timed:
            row += [*interval, *interval, [1] * len(found), [7] * len(found)]
        # asv stores a benchmark that failed everywhere as a bare null.
        row[0] = None if all(v is None for v in found) else found
        self.results.setdefault((machine, commit), {})[name] = row
        entry = {"name": name, "param_names": list(grid), "params": params, "unit": "seconds", "version": "1"}
        self.described[name] = entry if meta is None else {**entry, "meta": meta}
        return self

    @staticmethod
    def meta(title, role, quantity, x=None, cost=None, family="ridge", **more):
        tol = 1e-8 if role == "error" else None
        mode = "latency" if role == "time" else None
        given = {"family": family, "title": title, "role": role, "quantity": quantity, "x": x, "cost": cost}
        return {**given, "fixed": {}, "mode": mode, "tol": tol, **more}

    def note(self, text, machine="box", commit=COMMIT, *, missed=None, **entry):
        """Say in the ledger that a point was measured, or why it was not."""
        ledger = self.ledgers.setdefault((machine, commit), {"tree": "t", "facts": {}, "entries": {}, "missed": {}})
        if missed is None:
            ledger["entries"][text] = {"version": "1", "rank": 1, "profile": "quick", "seconds": 1.0, **entry}
        else:
            ledger["missed"][text] = dict(zip(("reason", "detail"), missed, strict=True))
        return ledger

    def jitter(self, scale=0.03):
        return float(np.exp(scale * self.noise.standard_normal()))

    def write(self, facts=FACTS):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "benchmarks.json").write_text(json.dumps(self.described))
        for (machine, commit), results in self.results.items():
            there = self.folder / machine
            there.mkdir(exist_ok=True)
            (there / "machine.json").write_text(json.dumps({"machine": machine, "cpu": "asv's", "version": 1}))
            if facts is not None:
                (there / "facts.json").write_text(json.dumps({"machine": machine, "commit": commit, **facts}))
            content = {
                "commit_hash": commit,
                "env_name": ENVIRONMENT,
                "date": 1_795_309_223_000,
                "params": {"machine": machine, "python": "/usr/bin/python3.11"},
                "python": "/usr/bin/python3.11",
                "requirements": {},
                "env_vars": {},
                "result_columns": COLUMNS,
                "results": results,
                "durations": {},
                "version": 2,
            }
            (there / f"{commit[:8]}-{ENVIRONMENT}.json").write_text(json.dumps(content))
            if (machine, commit) in self.ledgers:
                (there / f"{commit[:8]}.ledger").write_text(json.dumps(self.ledgers[machine, commit]))
        return self.folder


SPEED = {"numpy": 1.0, "torch": 0.9, "jax": 0.7}


@pytest.fixture
def suite(tmp_path):
    """An empty results folder."""
    return Suite(tmp_path / "results")


@pytest.fixture
def small_suite(suite):
    """One benchmark, for what does not depend on what was measured."""
    return suite.add(
        "a.A.time_it", {"n": [1, 10, 100, 1000]}, lambda n: 1e-3 * n, suite.meta("A", "time", "seconds", "n")
    )


@pytest.fixture
def ridge_suite(suite):
    """A machine that follows the costs at 80 % of its ceilings, with a floor of 50 µs."""

    def solve(backend, n, p, method="normal", **sizes):
        if backend not in SPEED:
            return math.nan
        cost = costs.ridge(n, p, method=method, **sizes)
        work = cost.flops / suite.RATE + cost.bytes / suite.STREAM
        return (5e-5 + work / (0.8 * SPEED[backend])) * suite.jitter()

    def wrong(method="normal", n=0, **_):
        return 1e-3 if method == "svd" and n == 4000 else 1e-13

    backends = ["numpy", "torch", "jax", "cupy"]
    tall = {"backend": backends, "method": ["normal", "svd"], "n": [2000, 4000, 8000, 16000, 32000]}
    for name, grid, title, x, given, time in (
        ("InSamples", tall, "Tall ridge in samples", "n", {"fixed": {"p": 200}}, lambda **k: solve(p=200, **k)),
        (
            "InFeatures",
            {"backend": backends, "p": [100, 200, 400, 800, 1600]},
            "Tall ridge in features",
            "p",
            {"fixed": {"n": 16000, "method": "normal"}},
            lambda **k: solve(n=16000, **k),
        ),
        (
            "Aspect",
            {"backend": backends, "method": ["normal", "woodbury"], "n": [250, 400, 630, 1000, 1600, 2500, 4000]},
            "Ridge along n·p = 10⁶",
            "n",
            {"derived": {"p": 1_000_000}},
            lambda n, **k: solve(n=n, p=1_000_000 // n, **k),
        ),
        (
            "Latency",
            {"backend": backends, "n": [20, 60, 200, 600, 2000]},
            "Small ridge",
            "n",
            {"fixed": {"p": 20, "method": "normal"}},
            lambda **k: solve(p=20, **k),
        ),
    ):
        suite.add(f"ridge.{name}.time_solve", grid, time, suite.meta(title, "time", "seconds", x, "ridge", **given))
        suite.add(f"ridge.{name}.track_error", grid, wrong, suite.meta(title, "error", "relative error", x, **given))
    suite.add(
        "ridge.RealData.time_solve",
        {"backend": ["numpy"], "dataset": ["diabetes", "digits"]},
        lambda **_: 3e-4,
        suite.meta("Ridge on real data", "time", "seconds"),
    )
    counted = {"backend": ["numpy"], "method": ["normal", "woodbury"], "n": [20, 200]}
    given = {"x": "n", "cost": "ridge", "fixed": {"p": 60}}
    suite.add(
        "ridge.Counts.track_flops",
        counted,
        lambda n, method, **_: costs.ridge(n, 60, method=method).flops,
        suite.meta("Operations", "count", "flops", **given),
    )
    suite.add("ridge.Counts.track_syncs", counted, lambda **_: 2, suite.meta("Operations", "count", "syncs", **given))
    held = {"backend": ["numpy"], "method": ["normal"], "n": [2000, 8000]}
    memory = suite.meta("Peak memory", "memory", "bytes", **given)
    suite.add("ridge.Memory.peakmem_solve", held, lambda n, **_: 9e7 + 1000 * n, memory)
    suite.add("ridge.Memory.peakmem_baseline", held, lambda **_: 9e7, memory)
    rates = {"backend": backends, "dtype": ["float64"], "n": [512, 1024]}
    for name, quantity, rate in (
        ("Gemm.track_rate", "flop/s", suite.RATE),
        ("Stream.track_rate", "byte/s", suite.STREAM),
        ("Launch.track_latency", "seconds per launch", suite.LAUNCH),
    ):
        suite.add(
            f"ceilings.{name}",
            rates,
            lambda backend, n, rate=rate, **_: rate * SPEED.get(backend, math.nan) * (1 if n == 1024 else 0.9),
            suite.meta(name.split(".")[0], "ceiling", quantity, "n", family="ceilings"),
        )
    return suite
