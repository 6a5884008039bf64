"""``make gpu``: everything that is to be known of a GPU, stage by stage, in twelve minutes at most.

    python tests/gpu/run.py [--budget SECONDS] [--emulated] [--only STAGE …] [--again STAGE …] [--out FOLDER]

Each stage runs in a process of its own, and its result is on disk as soon as it has ended; one that fails stops no
other.  A second call continues with the stages that have no result, and with those that failed if the sources have
changed since.  Returns 1 where a stage failed, 2 where some had no time.  ``--emulated`` rehearses all of it on a
machine without a GPU: CuPy is then the emulation in tests/cupy_on_cpu,
everything says EMULATED, and nothing goes to reports/.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import summary
from stages import ROOT, STAGES, Run, Stage, environment, python
from state import State, digest

BUDGET = 720.0
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
LEAST = 20.0  # seconds that the benchmarks and the rest leave for the stages after them
SHORT = re.compile(r"^(=+ )?(\d+ (passed|failed|error)|Measured \d+ points|SUMMARY: |no tests ran)")


def main() -> int:
    """Run what is asked for and print what came of it."""
    began = time.monotonic()
    asked = _arguments()
    run, state = _place(asked)
    _say(run, f"{len(STAGES)} stages, results in {run.out}, {asked.budget:.0f} s at most for this call")
    state.sources = digest(ROOT)
    state.forget(asked.again)
    late = []
    for stage in STAGES:
        if (asked.only and stage.name not in asked.only) or state.done(stage):
            continue
        left = asked.budget - (time.monotonic() - began) - _reserved(stage, state, asked.only)
        if left < stage.seconds:
            late.append(stage.name)
            _say(run, f"{stage.name}: left for the next call ({stage.seconds:.0f} s needed, {max(left, 0):.0f} s left)")
            continue
        now = replace(run, seconds=min(stage.limit, left), machine=_machine(run))
        if not run.emulated:
            now = replace(now, pages=ROOT / "reports" / now.machine)
        _run(stage, now, state)
        run = now
    page = summary.write(run, state, sys.argv[1:])
    for line in summary.table(state, STAGES):
        print(line)
    failed = [stage.name for stage in STAGES if state.status(stage) == "failed"]
    _say(run, f"{page}; {time.monotonic() - began:.0f} s" + (f"; FAILED: {', '.join(failed)}" if failed else ""))
    if late:
        _say(run, f"no time for {', '.join(late)}: run the same command again to continue with them")
    return 1 if failed else 2 if late else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [stage.name for stage in STAGES]
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds that this call may take")
    parser.add_argument("--emulated", action="store_true", help="rehearse on a machine without a GPU")
    parser.add_argument("--only", nargs="*", choices=names, default=(), metavar="STAGE", help="these stages only")
    parser.add_argument("--again", nargs="*", choices=names, default=(), metavar="STAGE", help="although done")
    parser.add_argument("--out", type=Path, help="folder of the results (build/gpu, build/gpu-EMULATED)")
    return parser.parse_args()


def _place(asked: argparse.Namespace) -> tuple[Run, State]:
    """Where results go, and those that are there."""
    out = (asked.out or ROOT / "build" / ("gpu-EMULATED" if asked.emulated else "gpu")).resolve()
    if asked.emulated and out.is_relative_to(ROOT / "reports"):
        raise SystemExit("--out: what is emulated is no report; expected a folder outside reports/")
    out.mkdir(parents=True, exist_ok=True)
    state = State(out / "stages.json", asked.emulated)
    return Run(out, asked.emulated, 0.0, "EMULATED-no-GPU", out / "report"), state


def _machine(run: Run) -> str:
    """Name of the machine: that of its GPU, once a stage has seen it."""
    if run.emulated:
        return run.machine
    try:
        device = json.loads((run.out / "environment.json").read_text("utf-8"))["device"]
    except (OSError, KeyError, ValueError):
        device = "unknown"
    return "gpu-" + (re.sub(r"[^a-z0-9]+", "-", str(device).lower()).strip("-") or "unknown")


def _reserved(stage: Stage, state: State, only: Collection[str]) -> float:
    """Seconds that are kept for what uses the results of this stage."""
    return sum(s.seconds for s in STAGES if stage.name in s.follows and (not only or s.name in only))


def _run(stage: Stage, run: Run, state: State) -> None:
    """Run a stage, and write down what came of it."""
    log = run.out / f"{stage.name}.log"
    _say(run, f"{stage.name}: {stage.title} …")
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        if run.emulated:
            stream.write("EMULATED: CuPy on the processor, no GPU\n")
            stream.flush()
        child = subprocess.Popen(
            [python(), *stage.command(run)],
            cwd=ROOT,
            env=environment(run, stage),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        # the benchmarks stop by themselves at the time they are given
        code = _wait(child, run.seconds + (LEAST if stage.name == "bench" else 0))
    seconds = time.monotonic() - start
    said = _last_words(log)
    if code is None and run.seconds < stage.limit:
        state.note(stage, "unfinished", seconds, "stopped, since the time of this call was over")
    elif code is None:
        state.note(stage, "failed", seconds, f"stopped after {stage.limit:.0f} s: {said}")
    else:
        state.note(stage, "failed" if code else "passed", seconds, said)
    _say(run, f"{stage.name}: {state.status(stage)} in {seconds:.1f} s: {state.said(stage)}")


def _end_with_parent() -> None:
    """Let a stage end with this process even where that is killed: it would compete with the next call's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _wait(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Its exit status, None where it had to be stopped with all that it started."""
    try:
        return child.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as stopped:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if isinstance(stopped, KeyboardInterrupt):
            raise
        return None


def _last_words(log: Path) -> str:
    """The line of a log that says most: a summary, else the last."""
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if SHORT.match(line)]
    line = (telling or lines or ["nothing"])[-1]
    return re.sub(r"^=+ | =+$|^SUMMARY: ", "", line)[:200]


def _say(run: Run, what: str) -> None:
    print(f"{'EMULATED ' if run.emulated else ''}gpu: {what}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("gpu: stopped; run the same command again to continue with the stage that was running")
