"""What the programs of the stages share: which CuPy it is, the clock, and the file of their figures."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EMULATED = os.environ.get("XPSOLVE_EMULATED") == "1"
"""Whether a rehearsal is asked for."""


def cupy() -> Any:
    """CuPy: the real one, unless a rehearsal is asked for."""
    import cupy

    if hasattr(cupy, "emulator") != EMULATED:
        raise SystemExit(f"expected the {'emulated' if EMULATED else 'real'} CuPy, got {cupy.__file__}")
    return cupy


def sized(real: Any, rehearsed: Any) -> Any:
    """A size on a GPU, and the one with which it is rehearsed."""
    return rehearsed if EMULATED else real


def seconds(call: Callable[[], Any], wait: Callable[[], Any], samples: int = 5) -> float:
    """Median time of a call, from an idle device until it is idle again; two calls before do not count."""
    for _ in range(2):
        call()
    found = []
    for _ in range(samples):
        wait()
        start = time.perf_counter()
        call()
        wait()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def finish(figures: dict[str, Any], summary: str, wrong: list[str]) -> None:
    """Write the figures to the file named on the command line, and exit with 1 where something is wrong."""
    path = Path(sys.argv[1])
    path.write_text(json.dumps({"emulated": EMULATED, **figures, "wrong": wrong}, indent=2) + "\n", "utf-8")
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"SUMMARY: {summary}" + (f"; {len(wrong)} wrong: {wrong[0]}" if wrong else ""))
    sys.exit(int(bool(wrong)))
