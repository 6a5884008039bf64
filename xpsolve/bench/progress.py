"""A run as the user sees it: what is measured, how far it is, and about how long it still takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from xpsolve.bench.clock import human
from xpsolve.bench.plan import Slice
from xpsolve.bench.runner import Observer, Outcome
from xpsolve.bench.suite import Point

_BUSY = 0.5  # load at the start, as a share of the cores, from which times cannot be trusted


def _points(slices: Sequence[Slice]) -> int:
    return sum(len(s.points) for s in slices)


def _length(slices: Sequence[Slice], later: float = 0.0) -> str:
    return human(sum(s.predicted for s in slices) + later)


class Bar(Observer):
    """A progress bar on a terminal, a line for each slice where output goes to a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("about {task.fields[left]} left"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _update(self, more: int | None = None, **fields: Any) -> None:
        """Change the bar, if there is one; `more` points are to be measured than so far."""
        if self._task is not None:
            if more is not None:
                fields["total"] = self._progress.tasks[0].completed + more
            self._progress.update(self._task, **fields)

    def planned(self, slices: Sequence[Slice], outcome: Outcome) -> None:
        """Say what is going to happen."""
        say, length = self._console.print, _length(slices, outcome.later)
        if outcome.busy > _BUSY:
            say(f"[yellow]This machine is busy[/yellow] (load {outcome.busy:.0%} of its cores): times will scatter.")
        if outcome.resumed:
            say(f"{outcome.resumed} points were measured before and are kept.")
        if not slices:
            say("Nothing is left to measure, or there is no time for it.")
            return
        where = f"in {len(slices)} slices on" if len(slices) > 1 else "on"
        say(f"Measuring {_points(slices)} points {where} [bold]{outcome.machine}[/bold], about {length}.")
        self._task = self._progress.add_task("", total=_points(slices), left=length)

    def again(self, slices: Sequence[Slice]) -> None:
        """Say that times are measured once more."""
        self._console.print(f"{_points(slices)} times once more, in new processes, about {_length(slices)}.")
        self._update(more=_points(slices))

    def corrected(self, slices: Sequence[Slice]) -> None:
        """Say how long it takes at this machine's pace."""
        self._console.print(f"At this machine's pace: {_points(slices)} more points, about {_length(slices)}.")
        self._update(more=_points(slices))

    def began(self, part: Slice, left: float) -> None:
        """Name the slice."""
        self._update(description=part.name, left=human(left))

    def measured(self, point: Point, left: float) -> None:
        """Move the bar."""
        self._update(advance=1, left=human(left))

    def ended(self, part: Slice, seconds: float, left: float) -> None:
        """Without a bar, say that a slice is done."""
        if not self._console.is_terminal:
            self._console.print(
                f"  {part.name:<28} {len(part.points):>3} points  {human(seconds):>10}   about {human(left)} left"
            )
