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
Run = tuple[str, float]  # what `run` returns


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
    start, spent, typical, left = perf_counter(), 1.0, 1.0, list[str]()
    wanted = sorted((p for name, p in pictures.items() if not only or name in only), key=lambda p: p.seconds)
    quiet, timed = [p for p in wanted if not p.timed], [p for p in wanted if p.timed]

    def fits(picture: Picture) -> bool:
        return perf_counter() - start + picture.seconds * spent / typical <= seconds

    for results in (_side_by_side(quiet, backend, fits), _one_by_one(timed, backend, fits)):
        for picture, found in results:
            if isinstance(found, tuple):
                spent, typical = spent + found[1], typical + picture.seconds
                yield picture, note(picture, backends.get(backend), out, *found, list(pictures))
            else:
                if found is None:
                    left.append(picture.name)
                yield picture, found
    (out / LEFT_OUT).unlink(missing_ok=True)
    if left:
        write_text(out / LEFT_OUT, "".join(f"{name}\n" for name in left))


def left_out(folder: Path) -> list[str]:
    """Names of the figures for which the last `draw_all` into a folder had no time."""
    path = folder / LEFT_OUT
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _one_by_one(
    pictures: Sequence[Picture], backend: str, fits: Callable[[Picture], bool]
) -> Iterator[tuple[Picture, Run | Exception | None]]:
    for picture in pictures:
        try:
            found: Run | Exception | None = run(picture, backends.get(backend)) if fits(picture) else None
        except Exception as error:  # a library may raise anything; the other figures do not depend on it
            found = error
        yield picture, found


def _side_by_side(
    pictures: Sequence[Picture], backend: str, fits: Callable[[Picture], bool]
) -> Iterator[tuple[Picture, Run | Exception | None]]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers, waiting, running = min(cores, len(pictures) // 2), list(pictures), dict[Future[Run], Picture]()
    if workers < 2:
        yield from _one_by_one(pictures, backend, fits)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit the threads of BLAS in whatever state they are
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_alone) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                picture = waiting.pop(0)
                if fits(picture):
                    running[pool.submit(_run_named, picture.name, backend)] = picture
                else:
                    yield picture, None
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                error = future.exception()
                yield running.pop(future), error if isinstance(error, Exception) else future.result()


def _alone() -> None:
    """One thread for each process, as there are as many processes as cores; and imports before any time is taken."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401

    threadpool_limits(1)


def _run_named(name: str, backend: str) -> Run:
    from xpsolve.report import gallery  # which imports this file

    return run(gallery.PICTURES[name], backends.get(backend))
