"""Forward and backward through a perceptron: time against depth, and what its products alone take.

A layer of width w costs three products on N samples, A X forward, Aᵀ M and M Xᵀ backward, 6w²N flops; the first has no
AᵀM.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.5, equation 14.24.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.formats import quantity
from xpsolve.report.gallery._clock import times
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, MARKERS, panels

WIDTHS, DEPTHS, BATCH = (64, 128, 256), (1, 2, 4, 8, 16, 32), 128


def contest(backend: Backend, width: int, depth: int) -> dict[str, Callable[[], Any]]:
    """The gradient of a perceptron of one width, and its 3R − 1 products without what is between them."""
    rng = np.random.default_rng(0)
    A = [backend.asarray(rng.standard_normal((width, width)) / np.sqrt(width), dtype="float32") for _ in range(depth)]
    b = [backend.asarray(np.zeros(width), dtype="float32") for _ in range(depth)]
    Z, g = (backend.asarray(rng.standard_normal((width, BATCH)), dtype="float32") for _ in range(2))

    def gradient() -> Any:
        return xs.mlp_backward(A, b, xs.mlp_forward(A, b, Z), g)[0][0]

    def products() -> Any:
        last = Z
        for r in range(depth):
            last = A[r] @ Z
            last = g @ Z.T
            if r:
                last = A[r].T @ g
        return last

    return {"gradient": gradient, "products": products}


def draw(backend: Backend, *, widths: tuple[int, ...] = WIDTHS, depths: tuple[int, ...] = DEPTHS) -> Any:
    """Times on the left, their ratio on the right."""
    figure, (left, right) = panels(2, height=3.7)
    for width, colour, marker in zip(widths, COLOURS, MARKERS, strict=False):
        runs = [times(backend, contest(backend, width, depth)) for depth in depths]
        gradient, products = (np.asarray([run[name] for run in runs]) for name in ("gradient", "products"))
        a_product = np.median(products / (3 * np.asarray(depths) - 1))
        left.plot(depths, gradient, color=colour, marker=marker, linestyle="none", markersize=5, label=f"w = {width}")
        left.plot(depths, a_product * (3 * np.asarray(depths) - 1), color=colour, linewidth=1.1, dashes=(4, 2))
        right.plot(depths, gradient / products, color=colour, marker=marker, markersize=5, linewidth=1.0)
    right.axhline(1.0, color=FAINT, linewidth=0.9, dashes=(4, 2))
    for axes in (left, right):
        axes.set(xscale="log", xlabel="layers R")
        axes.set_xticks(depths, [str(depth) for depth in depths])
        axes.minorticks_off()
    left.set(yscale="log", ylabel="forward and backward")
    left.yaxis.set_major_formatter(lambda value, _: quantity(value, "seconds"))
    left.legend(loc="upper left", fontsize=9, handlelength=1.2)
    right.set(ylabel="time over that of the products", ylim=(0, None))
    return figure


PICTURE = Picture(
    name="mlp-depth",
    family="networks",
    title="A perceptron: time grows with depth as its products do",
    alt="Two panels against the number of layers, 1 to 32, for widths 64, 128 and 256. Left, log-log: the times of "
    "forward and backward lie above dashed lines of 3R − 1 products, with the same slope of 1. Right: the ratio of the "
    "two, above 1, hardly changes with depth and is smaller for wide layers.",
    caption="xs.mlp_forward and xs.mlp_backward with tanh in float32 on 128 samples; weights are Gaussian. Dashed: "
    "3R − 1 products of the same shapes, A X, AᵀM and M Xᵀ, timed alone on the machine that drew it. Shortest of "
    "five calls. After G. Peyré, Mathematical Foundations of Data Sciences, §14.3.5.",
    draw=draw,
    seconds=1.4,
    timed=True,
)
