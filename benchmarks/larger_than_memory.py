"""Time and memory of solvers on a matrix in a file that is larger than the memory that they may use.

``python benchmarks/larger_than_memory.py --gigabytes 4`` writes a file of float64 rows, solves in one process for each
solver, with at most a gigabyte of private memory (``RLIMIT_DATA``: the pages of a mapped file do not count, since the
system drops them when it needs the room), and deletes the file.  The peak is that of anonymous pages beyond those of
the process with its imports and y, looked at every millisecond, which takes some of the CPU's time itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

P = 250
CAP = 2**30
_ROWS = 2**14


def written(folder: Path, n: int) -> None:
    """A.npy, (n, p), and y.npy: a linear model with five features and noise."""
    A = np.lib.format.open_memmap(folder / "A.npy", mode="w+", dtype=np.float64, shape=(n, P))
    y, rng = np.empty(n), np.random.default_rng(0)
    x = np.zeros(P)
    x[:5] = 1.0
    for i in range(0, n, _ROWS):
        rows = rng.standard_normal((min(_ROWS, n - i), P), dtype=np.float32).astype(np.float64)
        A[i : i + len(rows)] = rows
        y[i : i + len(rows)] = rows @ x + rng.standard_normal(len(rows))
    A.flush()
    np.save(folder / "y.npy", y)


def solvers() -> dict[str, Any]:
    """What is measured: functions of A and y."""
    import xpsolve as xs

    def logistic(A: Any, y: Any) -> Any:
        return xs.Logistic(A, np.where(y > 0, 1.0, -1.0), 1e-3)

    return {
        "ridge": lambda A, y: xs.ridge(A, y, 1.0),
        "ridge, float32 y": lambda A, y: xs.ridge(A, y.astype(np.float32), 1.0),
        "ridge, cg": lambda A, y: xs.ridge(A, y, 1.0, method="cg"),
        "lstsq": xs.lstsq,
        "lasso, fista": lambda A, y: xs.lasso(A, y, 0.01 * len(y), method="fista"),
        "elastic_net": lambda A, y: xs.elastic_net(A, y, 0.01 * len(y), 0.5),
        "ridge_cv": lambda A, y: xs.ridge_cv(A, y, [1e2, 1e3, 1e4]),
        "lasso_cv": lambda A, y: xs.lasso_cv(A, y, folds=5, n_lams=20),
        "nnls": xs.nnls,
        "minimize": lambda A, y: xs.minimize(logistic(A, y), xs.penalties.L1(1e-3), tol=1e-2),
        "gradient_descent": lambda A, y: xs.gradient_descent(logistic(A, y), tol=1e-2),
        "newton": lambda A, y: xs.newton(logistic(A, y)),
        "sgd": lambda A, y: xs.sgd(logistic(A, y), epochs=1, tol=0.2),
        "sag": lambda A, y: xs.sag(logistic(A, y), tol=1e-2),
        "operator_norm": lambda A, y: xs.operator_norm(A, tol=1e-3, check_every=1),
    }


def anonymous() -> int:
    """Bytes of anonymous pages of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def measured(name: str, folder: Path) -> dict[str, Any]:
    """One solver, in this process."""
    solve = solvers()[name]
    A, y = np.load(folder / "A.npy", mmap_mode="r"), np.load(folder / "y.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solve(A[:1000], y[:1000])  # what is imported or compiled at the first call
    resource.setrlimit(resource.RLIMIT_DATA, (CAP, CAP))
    before = peak = anonymous()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, used = time.perf_counter(), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = solve(A, y)
    finally:
        done.set()
        watcher.join()
    status = getattr(getattr(answer, "status", None), "name", "")
    seconds, used = time.perf_counter() - start, time.process_time() - used
    return {"name": name, "status": status, "peak": peak - before, "seconds": seconds, "cpu": used}


def main() -> None:
    """Write the file, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--only", nargs="*", help="names of solvers")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one[0], Path(options.one[1]))))
        return
    n = int(options.gigabytes * 1e9 / (8 * P))
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), n)
        print(f"{n} rows, {P} columns, {8 * n * P / 1e9:.1f} GB; at most {CAP / 1e9:.1f} GB of private memory")
        print(f"{'solver':20} {'status':10} {'peak, MB':>9} {'seconds':>8} {'of CPU':>8}")
        for name in options.only or solvers():
            command = [sys.executable, os.path.abspath(__file__), "--one", name, folder]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{name:20} {run.stderr.strip().splitlines()[-1]}")
                continue
            found = json.loads(run.stdout.splitlines()[-1])
            numbers = f"{found['peak'] / 1e6:9.0f} {found['seconds']:8.1f} {found['cpu']:8.1f}"
            print(f"{name:20} {found['status']:10} {numbers}", flush=True)


if __name__ == "__main__":
    main()
