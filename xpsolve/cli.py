"""The ``xpsolve`` command: backends, measuring the suite, the gallery, the report of both, and the gate."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import xpsolve
from xpsolve.guides import guide

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
except ModuleNotFoundError as missing:
    needs = f'the xpsolve command needs {missing.name}: pip install "xpsolve[bench]". {guide("extras")}'
    if sys.argv[1:] not in (["--help"], ["--version"]):
        raise SystemExit(needs) from None
    print(f"xpsolve {xpsolve.__version__}. Commands: backends, bench, figures, report, gate; {needs}")
    raise SystemExit(0) from None

from xpsolve.arrays import backends as known_backends
from xpsolve.files import write_text

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich", help=xpsolve.__doc__)

_EXTRA = ("asv", "asv_runner", "jinja2", "matplotlib", "pandas", "psutil", "scipy", "sklearn", "threadpoolctl")
_RESULTS = Path(".asv/results")
_GALLERY = _RESULTS.with_name("gallery")  # where a report of those results looks for it
_LATEST = Path("reports/latest")
_FIGURES = 0.15  # share of the budget that figures may take at most
_SLOWEST = 6.0  # times the usual time of a report, which is kept for it at most
_INTERRUPTED = 130  # what a shell reports for a command stopped by ctrl-C
_NOT_COMPARED = 2  # of the gate, which says 1 for an alarm


@contextmanager
def _plain_errors(code: int = 1, *expected: type[Exception]) -> Iterator[None]:
    """Turn an error that the user can correct into one line without a traceback, and exit with `code`."""
    from xpsolve.bench import BenchError

    caught: tuple[type[Exception], ...] = (OSError, *expected)
    try:
        yield
    except typer.Exit:
        raise
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _EXTRA:
            raise
        reason = f'this needs {error.name}: pip install "xpsolve[bench]". {guide("extras")}'
    except (BenchError, LookupError, ValueError) as error:
        reason = str(error)
    except caught as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {error.strerror}"
    else:
        return
    Console(stderr=True, highlight=False).print(f"[red]error:[/red] {escape(reason)}")
    raise typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"xpsolve {xpsolve.__version__}")
        raise typer.Exit


@app.callback()
def _xpsolve(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Inverse problems and small models on any array you pass."""


@app.command()
def backends() -> None:
    """List the array libraries: which can be used here, in which version, on which device, or why not."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("backend", "usable", "version", "device", "note"):
        table.add_column(column, overflow="fold")
    for name in known_backends.NAMES:
        backend = known_backends.get(name)
        usable = "[green]yes[/green]" if backend.available else "[dim]no[/dim]"
        devices = backend.devices() if backend.available else []
        device = backend.device_info().get("device", devices[0]) if devices else ""
        if len(devices) > 1:
            device += f" and {len(devices) - 1} more"
        table.add_row(name, usable, backend.version or "", escape(device), escape(backend.reason))
    Console(highlight=False).print(table)


@app.command()
def bench(
    profile: Annotated[
        str, typer.Option(help="smoke (a minute at most), quick (five minutes) or full (see above).")
    ] = "quick",
    backend: Annotated[
        list[str] | None, typer.Option(help="Measure on this backend only; may be given more than once.")
    ] = None,
    only: Annotated[str, typer.Option(help="Regular expression that name(parameters) must contain.")] = "",
    budget: Annotated[
        float | None, typer.Option(help="Seconds that the run may take; it uses them, and names what does not fit.")
    ] = None,
    machine: Annotated[str | None, typer.Option(help="Name of this machine among the results.")] = None,
    results: Annotated[Path | None, typer.Option(help="Where results are kept.", show_default=".asv/results")] = None,
    root: Annotated[Path, typer.Option(help="A clone of xpsolve, which holds the benchmarks.")] = Path(),
    report: Annotated[
        bool, typer.Option("--report", help="Also draw the gallery and write a report, all within the budget.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The folder that --report writes.")] = _LATEST,
) -> None:
    """Measure the benchmark suite in this environment.  Run it again to continue where it was stopped.

    The full profile takes about half an hour on two cores for NumPy alone, and two and a half hours with PyTorch, JAX
    and Dask beside it; each run says first how long it will take.
    """
    console = Console(highlight=False)
    with _plain_errors():
        from xpsolve.bench import PROFILES, run
        from xpsolve.bench.clock import human
        from xpsolve.bench.progress import Bar

        began = _process_began() if report else time.monotonic()
        place, later = results or root / _RESULTS, 0.0
        if report:
            from xpsolve import report as reports
            from xpsolve.files import check_writable

            check_writable(out)
            whole = budget or (PROFILES[profile].budget if profile in PROFILES else None) or math.inf
            console.print(f"Figures, measurements and a report{_within(whole)}: first the figures.")
            pace = _draw(console, "numpy", place.with_name("gallery"), (), _FIGURES * whole)
            kept, later = (seconds * min(pace, _SLOWEST) for seconds in reports.TYPICAL_SECONDS)
            budget = max(whole - (time.monotonic() - began) - kept, 1.0)
        console.print("Looking at benchmarks, backends and machine …")
        with Bar(console) as bar:
            outcome = run(
                root,
                profile,
                backends=backend or (),
                only=only or None,
                budget=budget,
                later=later,
                machine=machine,
                results=results,
                observer=bar,
            )
    for name, reason in outcome.failed:
        console.print(f"[yellow]failed:[/yellow] {escape(name)}: {escape(reason)}", soft_wrap=True)
    if outcome.repeated:
        console.print(f"{outcome.repeated} points scattered and were measured again: the machine has other work to do.")
    if outcome.left_out:
        console.print("[yellow]left out[/yellow] for lack of time; a larger --budget, or the same command again:")
        for part in outcome.left_out:
            costs = ", ".join(f"{name} ({human(seconds)})" for name, seconds in part.by_backend().items())
            console.print(f"  {part.name}: {costs}")
    if outcome.interrupted:
        console.print(
            f"Stopped after {human(outcome.seconds)}: {outcome.measured} points are measured and saved. "
            "The same command continues from here."
        )
        raise typer.Exit(_INTERRUPTED)
    console.print(f"Measured {outcome.measured} points in {human(outcome.seconds)}: {outcome.results}")
    if report:
        with _plain_errors():
            console.print("Writing the report …")
            index = reports.build([outcome.results], out)
        console.print(f"All in {human(time.monotonic() - began)}.  Open {index}", soft_wrap=True, markup=False)
    if outcome.failed and len(outcome.failed) == outcome.measured:
        raise typer.Exit(1)


def _process_began() -> float:
    """When this process began, by the monotonic clock: a budget includes all the time that the user waits."""
    import psutil

    return time.monotonic() - (time.time() - float(psutil.Process().create_time()))


def _within(seconds: float) -> str:
    from xpsolve.bench.clock import human

    return "" if math.isinf(seconds) else f" within {human(seconds)}"


@app.command()
def figures(
    backend: Annotated[str, typer.Option(help="Run on this backend.")] = "numpy",
    out: Annotated[Path, typer.Option(help="The folder to write; `report` searches beside the results.")] = _GALLERY,
    only: Annotated[list[str] | None, typer.Option(help="Draw this figure only; may be given more than once.")] = None,
) -> None:
    """Draw the gallery: figures of the course from live runs, as NAME.svg with gallery.json beside them."""
    console = Console(highlight=False)
    with _plain_errors():
        from xpsolve.report import gallery

        where = known_backends.get(backend)
        if not where.available:
            raise ValueError(f"backend: {backend!r} is not available here ({where.reason})")
        unknown = sorted(set(only or ()) - set(gallery.PICTURES))
        if unknown:
            raise ValueError(f"only: expected names among {', '.join(gallery.PICTURES)}, got {', '.join(unknown)}")
        wanted = len(only or gallery.PICTURES)
        failed: list[str] = []
        _draw(console, backend, out, only or (), math.inf, failed)
    if len(failed) == wanted:
        raise typer.Exit(1)


def _draw(
    console: Console,
    backend: str,
    out: Path,
    only: Collection[str],
    seconds: float,
    failed: list[str] | None = None,
) -> float:
    """Draw figures with a line for each; return how many times their usual time they took."""
    from xpsolve.report import gallery

    spent = typical = 0.0
    late = []
    for picture, drawn in gallery.draw_all(gallery.PICTURES, backend, out, only=only, seconds=seconds):
        if drawn is None:
            late.append(picture.name)
        elif isinstance(drawn, Exception):
            reason = f"{type(drawn).__name__}: {drawn}"
            console.print(f"[yellow]failed:[/yellow] {picture.name}: {escape(reason)}", soft_wrap=True)
            if failed is not None:
                failed.append(picture.name)
        else:
            spent, typical = spent + drawn.seconds, typical + picture.seconds
            console.print(f"{out / drawn.name}.svg  {drawn.seconds:.1f} s", soft_wrap=True, markup=False)
    if late:
        console.print(f"[yellow]left out[/yellow] for lack of time: {', '.join(late)}", soft_wrap=True)
    return spent / typical if typical else 1.0


@app.command()
def report(
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Where results are kept; may be given more than once.", show_default=str(_RESULTS)),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write.")] = _LATEST,
    machine: Annotated[
        list[str] | None, typer.Option(help="Report on this machine only; may be given more than once.")
    ] = None,
) -> None:
    """Turn results into pages: fitted exponents, crossovers, distance to the machine's limits."""
    with _plain_errors():
        from xpsolve.report import build

        index = build(results or [_RESULTS], out, machines=machine)
    print(index)


@app.command()
def gate(
    base: Annotated[
        str,
        typer.Argument(
            help="The old side: a results folder, a report or the hash of a commit; or several, with commas between."
        ),
    ],
    new: Annotated[str, typer.Argument(help="The new side: the same.")],
    results: Annotated[Path, typer.Option(help="The folder of results in which commits are searched.")] = _RESULTS,
    counts_only: Annotated[
        bool, typer.Option("--counts-only", help="Compare counts and errors; needs no quiet machine.")
    ] = False,
    only: Annotated[str, typer.Option(help="Regular expression that name(parameters) must contain.")] = "",
    least: Annotated[float, typer.Option(help="The least factor by which a slowdown is an alarm.")] = 1.25,
    markdown: Annotated[Path | None, typer.Option(help="Write the findings to this file too, for a comment.")] = None,
) -> None:
    """Compare two sets of results; exit with 1 if NEW is worse, 2 if too little can be compared.

    The first line says how much was compared, of how much there is.
    """
    console = Console(highlight=False)
    with _plain_errors(_NOT_COMPARED, Exception):  # 1 means that NEW is worse, never that an error occurred
        from xpsolve.report import gate as gates

        sides = [gates.load(side, results) for side in (base, new)]
        verdict = gates.compare(*sides, counts_only=counts_only, least=least, only=only)
        if markdown is not None:
            write_text(markdown, gates.markdown(verdict))
    console.print(verdict.summary, markup=False, soft_wrap=True)
    if verdict.changes:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("", "what", "benchmark", "where", "base", "new", "why"):
            table.add_column(column, overflow="fold")
        for c in verdict.changes:
            mark = "[red]alarm[/red]" if c.alarm else ""
            table.add_row(mark, *map(escape, (c.kind, c.benchmark, c.where, c.base, c.new, c.why)))
        console.print(table)
    for note in verdict.notes:
        console.print(f"[dim]note:[/dim] {escape(note)}", soft_wrap=True)
    if verdict.alarms:
        raise typer.Exit(1)
    if verdict.thin:
        advice = f"measure the same profile and backends on both sides, or compare a part with --only. {guide('gate')}"
        Console(stderr=True, highlight=False).print(f"[red]error:[/red] too little was compared: {advice}")
        raise typer.Exit(_NOT_COMPARED)


def main() -> None:
    """Run the command."""
    app()
