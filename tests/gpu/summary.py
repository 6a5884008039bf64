"""The page of a run: a table of its stages, and the figures of those that have some."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages import STAGES, Run, Stage
from state import State

FIGURES = ("environment", "first_kernel", "cholesky", "launches", "peers")


def table(state: State, stages: Sequence[Stage]) -> Iterator[str]:
    """Lines of the table of stages."""
    mark = "EMULATED, no GPU: " if state.emulated else ""
    yield f"{mark}{'stage':15} {'result':10} {'seconds':>7}  what it said"
    for stage in stages:
        kept = state.stages.get(stage.name, {"seconds": 0.0})
        said = state.said(stage) + (" (by other sources than are here now)" if state.other(stage) else "")
        yield f"{mark}{stage.name:15} {state.status(stage):10} {kept['seconds']:7.1f}  {said}"


def write(run: Run, state: State, arguments: list[str]) -> Path:
    """Write ``gpu.md``, and beside the report's pages the figures as they are."""
    lines = ["# CuPy EMULATED on the processor: no GPU ran this" if run.emulated else "# A GPU, stage by stage", ""]
    if run.emulated:
        lines += ["EMULATED: this is a rehearsal, and none of its figures is that of a GPU.", ""]
    lines += [f"Written by `make gpu`, sources `{state.sources}`, arguments `{' '.join(arguments) or 'none'}`.", ""]
    lines += ["| stage | what it shows | result | seconds | what it said |", "|---|---|---|--:|---|"]
    for stage in STAGES:
        seconds = state.stages.get(stage.name, {"seconds": 0})["seconds"]
        said = state.said(stage).replace("|", "\\|")
        lines.append(f"| {stage.name} | {stage.title} | {state.status(stage)} | {seconds} | {said} |")
    kept = [name for name in FIGURES if (run.out / f"{name}.json").exists()]
    for name in kept:
        found = json.loads((run.out / f"{name}.json").read_text("utf-8"))
        found.pop("installed", None)
        lines += ["", f"## {name}" + (" (EMULATED)" if run.emulated else ""), "", *_items(found)]
    page = run.out / "gpu.md"
    page.write_text("\n".join(lines) + "\n", "utf-8")
    if run.pages.exists():  # the report's folder, which is what a person commits
        for file in (page, state.path, *(run.out / f"{name}.json" for name in kept)):
            shutil.copy(file, run.pages / file.name)
        page = run.pages / page.name
    return page


def _items(found: dict[str, Any]) -> Iterator[str]:
    """Figures as a table where all are of one kind, else as a list."""
    for name, value in found.items():
        rows = isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values())
        if not rows:
            yield f"- {name}: {_shown(value)}"
            continue
        columns = list(next(iter(value.values())))
        yield from ("", f"{name}:", "", "| |" + "|".join(columns) + "|", "|---|" + "--:|" * len(columns))
        for row, figures in value.items():
            yield f"| {row} |" + "|".join(_shown(figures.get(c)) for c in columns) + "|"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_shown(v)}" for k, v in value.items()) or "none"
    return ", ".join(map(_shown, value)) or "none" if isinstance(value, list) else str(value)
