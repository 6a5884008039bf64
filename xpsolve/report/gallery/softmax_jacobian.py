"""The gradient matrix of softmax is dense, that of a pointwise activation diagonal: what a product with it takes.

    dense  (diag(p) − ppᵀ) g, built        matrix-free  p ⊙ (g − ⟨p, g⟩)        diagonal  s ⊙ (1 − s) ⊙ g

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §12.4 and §14.3.
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
from xpsolve.report.style import COLOURS, FAINT, MARKERS, label_ends, panels

CLASSES, ROWS = (10, 30, 100, 300, 1000), 10
NAMES = {"dense": "softmax,\ndense", "matrix-free": "softmax,\nmatrix-free", "diagonal": "sigmoid,\ndiagonal"}


def products(backend: Backend, classes: int) -> dict[str, Callable[[], Any]]:
    """The product of some gradient matrices with a vector each, in three ways."""
    rng = np.random.default_rng(0)
    x, g = (backend.asarray(rng.standard_normal((ROWS, classes))) for _ in range(2))
    return {
        "dense": lambda: (xs.softmax_jacobian(x) @ g[..., None])[..., 0],
        "matrix-free": lambda: xs.networks.softmax_vjp(x, g),
        "diagonal": lambda: _sigmoid_product(x, g),
    }


def _sigmoid_product(x: Any, g: Any) -> Any:
    s = xs.networks.sigmoid(x)
    return s * (1 - s) * g


def draw(backend: Backend, *, classes: tuple[int, ...] = CLASSES) -> Any:
    """Times against the number of classes."""
    figure, axes = panels(height=3.6)
    runs = [times(backend, products(backend, m)) for m in classes]
    ends = []
    for (name, label), colour, marker in zip(NAMES.items(), COLOURS, MARKERS, strict=False):
        seconds = [run[name] for run in runs]
        axes.plot(classes, seconds, color=colour, marker=marker, markersize=5, linewidth=1.2)
        ends.append((classes[-1], seconds[-1], label, colour))
    dense = runs[-1]["dense"]
    axes.plot(classes[-2:], [dense * (m / classes[-1]) ** 2 / 2 for m in classes[-2:]], color=FAINT, dashes=(4, 3))
    axes.annotate("slope 2", (classes[-2], dense * (classes[-2] / classes[-1]) ** 2 / 2), (6, -10),
                  textcoords="offset points", color=FAINT, fontsize=9)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="classes m", ylabel=f"time for {ROWS} samples")
    axes.set_xticks(classes, [str(m) for m in classes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: quantity(value, "seconds"))
    label_ends(axes, ends, room=0.13)
    return figure


PICTURE = Picture(
    name="softmax-jacobian",
    family="softmax",
    title="The dense gradient of softmax costs m²; without its matrix, m",
    alt="Times on log-log axes against 10 to 1000 classes. The line of the dense matrix, circles, rises with slope 2 "
    "to hundreds of times the others; those of the matrix-free product with the same matrix, squares, and of the "
    "diagonal matrix of a sigmoid, diamonds, rise slowly towards slope 1.",
    caption="A product with the gradient matrix of an activation for ten Gaussian samples, from its argument: "
    "xs.softmax_jacobian and a product, xs.networks.softmax_vjp, and s(1 − s)g for s = xs.networks.sigmoid(x). "
    "Shortest of five calls on the machine that drew it. After G. Peyré, Mathematical Foundations of Data "
    "Sciences, ch. 12.",
    draw=draw,
    seconds=0.6,
    timed=True,
)
