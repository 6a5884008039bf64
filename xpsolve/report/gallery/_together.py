"""Many figures of the gallery, on all cores, in the time there is."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from time import perf_counter

from threadpoolctl import threadpool_limits

from xpsolve.arrays import backends
from xpsolve.files import write_text
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._record import Drawn, note, run

LEFT_OUT = "left-out.txt"  # names of the figures for which there was no time, one per line


def draw_all(
    pictures: Mapping[str, Picture],
    backend: str,
    out: Path,
    *,
    only: Collection[str] = (),
    seconds: float = math.inf,
) -> Iterator[tuple[Picture, Drawn | Exception | None]]:
    """Draw figures into a folder, cheapest first, and note them there.

    Figures that show no times are drawn side by side, one per core; those that do, one after another and alone.
    Only those named in `only` if there are any, and none that at the pace of those before it would end after so many
    `seconds`.  Yields each as it is finished, with what was drawn, why it could not be, or None for lack of time.
    """
    start, place = perf_counter(), list(pictures)
    wanted = sorted((p for name, p in pictures.items() if not only or name in only), key=lambda p: p.seconds)
    spent = typical = 1.0
    left: list[str] = []
    quiet, timed = [p for p in wanted if not p.timed], [p for p in wanted if p.timed]
    workers = min(_cores(), len(quiet) // 2)

    def fits(picture: Picture) -> bool:
        return perf_counter() - start + picture.seconds * spent / typical <= seconds

    done = _side_by_side(quiet, backend, workers, fits) if workers > 1 else _one_by_one(quiet, backend, fits)
    for results in (done, _one_by_one(timed, backend, fits)):
        for picture, found in results:
            if found is None:
                left.append(picture.name)
                yield picture, None
            elif isinstance(found, Exception):
                yield picture, found
            else:
                text, took = found
                spent, typical = spent + took, typical + picture.seconds
                yield picture, note(picture, backends.get(backend), out, text, took, place)
    if left:
        write_text(out / LEFT_OUT, "".join(f"{name}\n" for name in left))
    else:
        (out / LEFT_OUT).unlink(missing_ok=True)


def left_out(folder: Path) -> list[str]:
    """Names of the figures for which the last `draw_all` into a folder had no time."""
    path = folder / LEFT_OUT
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


Result = tuple[Picture, tuple[str, float] | Exception | None]


def _one_by_one(pictures: Sequence[Picture], backend: str, fits: Callable[[Picture], bool]) -> Iterator[Result]:
    for picture in pictures:
        if not fits(picture):
            yield picture, None
            continue
        try:
            yield picture, run(picture, backends.get(backend))
        except Exception as error:  # a library may raise anything; the other figures do not depend on it
            yield picture, error


def _side_by_side(
    pictures: Sequence[Picture], backend: str, workers: int, fits: Callable[[Picture], bool]
) -> Iterator[Result]:
    waiting, running = list(pictures), dict[Future[tuple[str, float]], Picture]()
    # A fork would inherit the threads of BLAS in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_alone) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                picture = waiting.pop(0)
                if fits(picture):
                    running[pool.submit(_run_named, picture.name, backend)] = picture
                else:
                    yield picture, None
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                picture, error = running.pop(future), future.exception()
                if isinstance(error, Exception):
                    yield picture, error
                elif error is None:
                    yield picture, future.result()
                else:
                    raise error


def _alone() -> None:
    """One thread for each process, as there are as many processes as cores; and imports before any time is taken."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401

    threadpool_limits(1)


def _run_named(name: str, backend: str) -> tuple[str, float]:
    from xpsolve.report import gallery  # which imports this file

    return run(gallery.PICTURES[name], backends.get(backend))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
