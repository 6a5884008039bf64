"""The tests under other kernels of the processor, one run each, as a table: `make test-kernels`.

OpenBLAS and NumPy pick their code by the processor, and round differently in each.  OPENBLAS_CORETYPE takes the code
of an older processor, NPY_DISABLE_CPU_FEATURES that of NumPy; both are read when NumPy is loaded.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time

# OpenBLAS's name of a processor, the flag of /proc/cpuinfo that it needs, and what NumPy may use beside its baseline.
KERNELS = {
    "SkylakeX": ("avx512vl", r"."),
    "Haswell": ("avx2", r"(?!AVX512|X86_V4)"),
    "Zen": ("avx2", r"(?!AVX512|X86_V4)"),
    "Prescott": ("sse3", r"(?!.)"),
}
LOOK = """
import numpy as np, threadpoolctl
found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
blas = [i for i in threadpoolctl.threadpool_info() if i["internal_api"] == "openblas"]
print(blas[0]["architecture"] if blas else "none", *found)
"""


def _look(**environment: str) -> tuple[str, list[str]]:
    """The kernel that NumPy's OpenBLAS takes, and the extensions that NumPy uses."""
    said = subprocess.run(
        [sys.executable, "-c", LOOK], env={**os.environ, **environment}, check=True, capture_output=True, text=True
    ).stdout.split()
    return said[0], said[1:]


def _flags() -> set[str]:
    """What this processor can do."""
    try:
        with open("/proc/cpuinfo") as file:
            found = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    except OSError:
        return set()
    flags = set(found[1].split()) if found else set()
    return flags | ({"sse3"} if "pni" in flags else set())


def _environment(kernel: str, threads: int, extensions: list[str]) -> dict[str, str]:
    allowed = KERNELS[kernel][1]
    unused = [name for name in extensions if not re.match(allowed, name)]
    chosen = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(threads)}
    return {**chosen, "NPY_DISABLE_CPU_FEATURES": " ".join(unused)} if unused else chosen


def _run(environment: dict[str, str], arguments: list[str]) -> tuple[dict[str, int], float, str]:
    """Numbers of tests by how they ended, seconds, and what pytest said."""
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    last = done.stdout.rstrip().rpartition("\n")[2]
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (passed|failed|error)", last)}
    if done.returncode and not counts.get("failed"):
        counts["error"] = counts.get("error") or 1  # pytest itself did not get to its end
    return counts, time.monotonic() - before, done.stdout


def main() -> int:
    """Run, print the table, and return 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kernels", default=",".join(KERNELS), help="names, separated by commas")
    parser.add_argument("--threads", default="1,2", help="numbers of BLAS threads")
    parser.add_argument("--all", action="store_true", help="all tests, not only those marked numeric")
    parser.add_argument("pytest", nargs="*", help="more arguments for pytest, after --")
    options = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"):
        os.environ.pop(name, None)  # what a machine sets is not what is asked for here

    own, extensions = _look()
    if own == "none":
        parser.exit(2, "NumPy has no OpenBLAS here: there is no kernel to choose.\n")
    print(f"{'kernel':>10} {'threads':>7} {'passed':>7} {'failed':>7} {'seconds':>8}", flush=True)
    bad, ran = 0, set()
    for kernel in options.kernels.split(","):
        if kernel not in KERNELS:
            parser.error(f"kernels: expected some of {', '.join(KERNELS)}, got {kernel!r}.")
        if KERNELS[kernel][0] not in _flags():
            print(f"{kernel:>10} not run: this processor has no {KERNELS[kernel][0]}")
            continue
        taken, _ = _look(**_environment(kernel, 1, extensions))
        if taken != kernel and (taken == own or taken in ran):
            print(f"{kernel:>10} not run: this OpenBLAS takes {taken} for it")
            continue
        ran.add(taken)
        for threads in map(int, options.threads.split(",")):
            selected = options.pytest if options.all else ["-m", "numeric", *options.pytest]
            counts, seconds, said = _run(_environment(kernel, threads, extensions), selected)
            failed = counts.get("failed", 0) + counts.get("error", 0)
            print(f"{taken:>10} {threads:>7} {counts.get('passed', 0):>7} {failed:>7} {seconds:>8.0f}", flush=True)
            if failed:
                print(said)
            bad += failed
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
