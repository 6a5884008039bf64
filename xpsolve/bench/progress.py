"""A run as the user sees it: what is measured, how far it is, and about how long it still takes."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from xpsolve.bench.plan import Slice
from xpsolve.bench.runner import Observer, Outcome
from xpsolve.bench.suite import Point

_BUSY = 0.5  # load at the start, as a share of the cores, from which times cannot be trusted


def human(seconds: float) -> str:
    """A duration to the precision at which it is known.

    Parameters
    ----------
    seconds : float
        How long.

    Returns
    -------
    str
        As "8 s", "2 min 10 s" or "1 h 5 min".

    Examples
    --------
    >>> from xpsolve.bench.progress import human
    >>> human(130.4), human(3900)
    ('2 min 10 s', '1 h 5 min')
    """
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class Bar(Observer):
    """A progress bar on a terminal, a line for each slice where output goes to a file.

    Parameters
    ----------
    console : rich.console.Console
        Where to write.
    """

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def planned(self, slices: Sequence[Slice], outcome: Outcome) -> None:
        """Say what is going to happen."""
        count = sum(len(s.points) for s in slices)
        length = human(sum(s.predicted for s in slices) + outcome.later)
        if outcome.busy > _BUSY:
            self._console.print(
                f"[yellow]This machine is busy[/yellow] (load {outcome.busy:.0%} of its cores): times will scatter."
            )
        if outcome.resumed:
            self._console.print(f"{outcome.resumed} points were measured before and are kept.")
        if not slices:
            self._console.print("Nothing is left to measure, or there is no time for it.")
            return
        where = f"in {len(slices)} slices on" if len(slices) > 1 else "on"
        self._console.print(f"Measuring {count} points {where} [bold]{outcome.machine}[/bold], about {length}.")
        self._task = self._progress.add_task("", total=count, left=length)

    def again(self, slices: Sequence[Slice]) -> None:
        """Say that times are measured once more."""
        count = sum(len(s.points) for s in slices)
        self._console.print(
            f"{count} times once more, in new processes, about {human(sum(s.predicted for s in slices))}."
        )
        if self._task is not None:
            self._progress.update(self._task, total=self._progress.tasks[0].completed + count)

    def corrected(self, slices: Sequence[Slice]) -> None:
        """Say how long it takes at this machine's pace."""
        count = sum(len(s.points) for s in slices)
        self._console.print(
            f"At this machine's pace: {count} more points, about {human(sum(s.predicted for s in slices))}."
        )
        if self._task is not None:
            done = self._progress.tasks[0].completed
            self._progress.update(self._task, total=done + count)

    def began(self, part: Slice, left: float) -> None:
        """Name the slice."""
        if self._task is not None:
            self._progress.update(self._task, description=part.name, left=human(left))

    def measured(self, point: Point, left: float) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, left=human(left))

    def ended(self, part: Slice, seconds: float, left: float) -> None:
        """Without a bar, say that a slice is done."""
        if not self._console.is_terminal:
            self._console.print(
                f"  {part.name:<28} {len(part.points):>3} points  {human(seconds):>10}   about {human(left)} left"
            )
