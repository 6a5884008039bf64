"""What a chain of Jacobians A_t⋯A_1 costs in forward and in reverse mode, counted and timed.

    forward  n_0 Σ_{k=1}^{t−1} n_k n_{k+1}          reverse  n_t Σ_{k=0}^{t−2} n_k n_{k+1}

With inner lengths that all are w the two cross where n_0 = n_t.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.5, figure 14.12.
"""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.costs import CHAIN_ORDERS
from xpsolve.report.formats import quantity
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, MARKERS, label_ends, panels, power_of_ten

INNER, OUTPUTS = (512, 512, 512), 64
INPUTS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
REPEAT = 7


def formula(dims: list[int], order: str) -> int:
    """Multiply-adds of either mode."""
    pairs = [n * m for n, m in pairwise(dims)]
    return dims[0] * sum(pairs[1:]) if order == "forward" else dims[-1] * sum(pairs[:-1])


def measured(backend: Backend, dims: list[int], order: str) -> tuple[float, float]:
    """Multiply-adds that `xs.count` finds, and the shortest time of a call in seconds."""
    rng = np.random.default_rng(0)
    factors = [backend.asarray(rng.standard_normal((n, m)) / np.sqrt(m)) for m, n in pairwise(dims)]
    _, tally = xs.count(xs.autodiff.chain_jacobian, factors, order)
    seconds = []
    for _ in range(REPEAT):
        begin = perf_counter()
        backend.synchronize(xs.autodiff.chain_jacobian(factors, order))
        seconds.append(perf_counter() - begin)
    return tally.product_flops / 2, min(seconds)


def draw(backend: Backend, *, inner: tuple[int, ...] = INNER, inputs: tuple[int, ...] = INPUTS) -> Any:
    """Counts under their formulas on the left, times on the right."""
    figure, (left, right) = panels(2, height=3.6)
    between = np.geomspace(inputs[0], inputs[-1], 200)
    ends = []
    for order, colour, marker in zip(CHAIN_ORDERS, COLOURS, MARKERS, strict=False):
        runs = [measured(backend, [n, *inner, OUTPUTS], order) for n in inputs]
        counts, seconds = np.transpose(runs)
        if order != "optimal":
            law = [formula([n, *inner, OUTPUTS], order) for n in between]
            left.plot(between, law, color=colour, linewidth=1.2)
            ends.append((between[-1], law[-1], order, colour))
        hollow = {"markersize": 8.5, "markerfacecolor": "none"} if order == "optimal" else {"markersize": 4.5}
        left.plot(inputs, counts, color=colour, marker=marker, linestyle="none", **hollow)
        right.plot(inputs, seconds, color=colour, marker=marker, linewidth=1.0, label=order, **hollow)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="inputs n₀")
        axes.axvline(OUTPUTS, color=FAINT, linewidth=0.9, dashes=(4, 3))
        axes.set_xticks(inputs[::2], [str(n) for n in inputs[::2]])
        axes.minorticks_off()
    left.annotate(f"n₀ = n_t = {OUTPUTS}", (OUTPUTS, 0.02), (-4, 0), xycoords=("data", "axes fraction"),
                  textcoords="offset points", ha="right", color=FAINT, fontsize=9)  # fmt: skip
    left.yaxis.set_major_formatter(power_of_ten)
    left.set_ylabel("multiply-adds")
    right.yaxis.set_major_formatter(lambda value, _: quantity(value, "seconds"))
    right.set_ylabel("time of a call")
    right.legend(loc="upper left", fontsize=9, handlelength=1.6)
    label_ends(left, ends, room=0.06)
    return figure


PICTURE = Picture(
    name="chain-cost",
    family="chain",
    title="Forward mode for few inputs, reverse for few outputs: n₀ = n_t divides",
    alt="Two log-log panels against the number of inputs, from 4 to 1024. Left, multiply-adds: the forward line rises "
    "in proportion, the reverse line is flat at first, and they cross where the inputs are as many as the 64 outputs; "
    "counted markers lie on both lines, and hollow ones for the optimal order on the lower of the two. Right, the "
    "times of the calls, which cross near the same place.",
    caption="Four Gaussian factors, dims n₀, 512, 512, 512, 64, by xs.autodiff.chain_jacobian. Left: lines are "
    "n₀ Σ n_k n_{k+1} and n_t Σ n_k n_{k+1} over the products of each mode, markers what xs.count found. Right: "
    "shortest of seven calls on the machine that drew it. Reverse grows too once n₀ is large, as A_1 has n₀ columns. "
    "After G. Peyré, Mathematical Foundations of Data Sciences, §14.3.5.",
    draw=draw,
    seconds=1.2,
    timed=True,
)
