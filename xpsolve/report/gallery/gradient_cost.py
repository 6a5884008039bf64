"""What a gradient costs, in evaluations of its function: by differences, forward, and in reverse (Baur & Strassen).

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.4.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays import namespace_of
from xpsolve.arrays.backends import Backend
from xpsolve.autodiff import finite_difference, grad, jacfwd
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, MARKERS, panels

SAMPLES = 1000
SIZES = (4, 16, 64, 256)
BLOCKS = 7


def loss(x: Any, A: Any) -> Any:
    """Mean of log(1 + exp(−⟨a_i, x⟩)) + ½‖x‖²."""
    xp = namespace_of(x)
    s = A @ x
    return xp.mean(xp.logaddexp(-s, xp.zeros_like(s))) + 0.5 * xp.sum(x * x)


WAYS = {
    "finite differences": lambda x, A: finite_difference(lambda x: loss(x, A), x),
    "forward": jacfwd(loss),
    "reverse": grad(loss),
}


def ratios(backend: Backend, p: int, *, samples: int = SAMPLES, blocks: int = BLOCKS) -> dict[str, tuple[float, float]]:
    """For each way the flops of a gradient over those of the function, and the same of times, taken in turns."""
    rng = np.random.default_rng(0)
    x, A = backend.asarray(rng.standard_normal(p) / p), backend.asarray(rng.standard_normal((samples, p)))
    _, once = xs.count(loss, x, A)

    def seconds(call: Any, repeat: int) -> float:
        begin = perf_counter()
        for _ in range(repeat):
            out = call(x, A)
        backend.synchronize(out)
        return (perf_counter() - begin) / repeat

    found = {}
    for name, way in WAYS.items():
        _, tally = xs.count(way, x, A)
        turns = [(seconds(way, 2), seconds(loss, 20)) for _ in range(blocks)]
        gradient, function = (min(times) for times in zip(*turns, strict=True))
        found[name] = (tally.flops / once.flops, gradient / function)
    return found


def draw(backend: Backend, *, sizes: tuple[int, ...] = SIZES, samples: int = SAMPLES, blocks: int = BLOCKS) -> Any:
    """Counted on the left, timed on the right."""
    rows = [ratios(backend, p, samples=samples, blocks=blocks) for p in sizes]
    figure, pair = panels(2, height=3.6, sharey=True)
    for axes, column, what in zip(pair, (0, 1), ("counted flops", "time"), strict=True):
        for name, colour, marker in zip(WAYS, COLOURS, MARKERS, strict=False):
            values = [row[name][column] for row in rows]
            hollow = {"markersize": 9, "markerfacecolor": "none"} if marker == MARKERS[0] else {"markersize": 4.5}
            axes.plot(sizes, values, color=colour, marker=marker, linewidth=1.2, label=name, **hollow)
        axes.axhline(5, color=FAINT, linewidth=0.9, dashes=(4, 3))
        axes.set(xscale="log", yscale="log", xlabel=f"variables p, {what}")
        axes.set_xticks(sizes, [str(p) for p in sizes])
        axes.set_yticks((1, 10, 100, 1000), ["1", "10", "100", "1000"])
        axes.minorticks_off()
    pair[0].annotate("5", (1, 5), (-3, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                     ha="right", color=FAINT, fontsize=9)  # fmt: skip
    pair[0].set_ylabel("gradient / function")
    pair[0].legend(loc="upper left", fontsize=9, handlelength=1.8)
    return figure


PICTURE = Picture(
    name="gradient-cost",
    family="autodiff",
    title="A gradient in reverse costs a few evaluations, however many variables",
    alt="Two log-log panels of the cost of a gradient over that of the function, against the number of variables p "
    "from 4 to 256. Left, counted flops: finite differences and forward mode rise together in proportion to p, to"
    " 257 for 256; reverse mode is flat below the dashed line at 5. Right, times: the same shape, with reverse "
    "mode flat at a few.",
    caption="Logistic loss of 1000 Gaussian samples with ½‖x‖². Left: flops found by xs.count; right: shortest of "
    "seven times of the gradient over the shortest of the function, taken in turns, on the machine that drew "
    "it. Dashed: the bound of 5 of Baur and Strassen (1983). Forward mode takes p tangents in one sweep. "
    "After G. Peyré, Mathematical Foundations of Data Sciences, §14.3.4.",
    draw=draw,
    seconds=0.9,
    timed=True,
)
