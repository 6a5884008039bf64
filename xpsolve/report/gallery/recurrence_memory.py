"""Memory and time of a gradient through t steps: all states kept, log₂ t of them, or one.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7; A. Griewank & A. Walther (2000).
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from xpsolve.arrays import namespace_of
from xpsolve.arrays.backends import Backend
from xpsolve.autodiff import leapfrog, scan_gradient
from xpsolve.costs import SCAN_MEMORIES
from xpsolve.report.formats import quantity
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, MARKERS, panels
from xpsolve.trace import peak_bytes

DEPTHS = (8, 32, 128, 512)
WIDTH, BATCH = 16, 256


def run(x0: Any, W: Any, depth: int, memory: str) -> Any:
    """Gradients through `depth` steps r ← r + tanh(Ws), s ← s − tanh(Wᵀr)."""
    step = leapfrog(lambda s, W: namespace_of(s).tanh(W @ s), lambda r, W: -namespace_of(r).tanh(W.T @ r))
    return scan_gradient(step, x0, W, lambda x: namespace_of(x[0]).sum(x[0] * x[0]), n_steps=depth, memory=memory)


def data(backend: Backend, width: int = WIDTH, batch: int = BATCH) -> tuple[Any, Any]:
    """The first state, two arrays (width, batch), and the weights."""
    rng = np.random.default_rng(0)
    r, s = (backend.asarray(rng.standard_normal((width, batch))) for _ in range(2))
    return (r, s), backend.asarray(rng.standard_normal((width, width)) / width)


def measured(backend: Backend, depth: int, memory: str) -> tuple[int, float]:
    """Bytes alive at once, counted, and the shorter of two times in seconds."""
    x0, W = data(backend)
    _, peak = peak_bytes(lambda x0, W: run(x0, W, depth, memory), x0, W)
    times = []
    for _ in range(2):
        begin = perf_counter()
        backend.synchronize(run(x0, W, depth, memory)[2])
        times.append(perf_counter() - begin)
    return peak, min(times)


def draw(backend: Backend, *, depths: tuple[int, ...] = DEPTHS) -> Any:
    """Bytes on the left, times on the right."""
    figure, pair = panels(2, height=3.6)
    for memory, colour, marker in zip(SCAN_MEMORIES, COLOURS, MARKERS, strict=False):
        points = [measured(backend, depth, memory) for depth in depths]
        for axes, values in zip(pair, zip(*points, strict=True), strict=True):
            axes.plot(depths, values, color=colour, marker=marker, markersize=5, linewidth=1.2, label=memory)
    for axes, unit, name in zip(pair, ("bytes", "seconds"), ("bytes alive at once", "time of a gradient"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="steps t", ylabel=name)
        axes.set_xticks(depths, [str(depth) for depth in depths])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _, unit=unit: quantity(value, unit))
    pair[0].legend(loc="upper left", fontsize=9, handlelength=1.8)
    return figure


PICTURE = Picture(
    name="recurrence-memory",
    family="autodiff",
    title="Gradients through many steps: states are kept, made again, or taken back",
    alt="Two log-log panels against the number of steps from 8 to 512. Left, bytes alive at once: with all states "
    "kept they rise in proportion; with checkpoints they hardly rise; with reversible steps they are flat. Right,"
    " the time of a gradient: all three rise in proportion to the steps, and differ little.",
    caption="r ← r + tanh(Ws), s ← s − tanh(Wᵀr), 256 states of 16 + 16 numbers at once, by xs.autodiff.scan_gradient "
    "with memory='store', 'checkpoint' (log₂ t states) and 'reversible'. Left: bytes of all arrays alive at once,"
    " counted by xpsolve.trace.peak_bytes; right: the shorter of two runs on the machine that drew it. After G. "
    "Peyré, Mathematical Foundations of Data Sciences, §14.3.7.",
    draw=draw,
    seconds=3.2,
    timed=True,
)
