"""The plan between two histograms on a line: blurred for large ε, a graph as ε → 0.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, panels

EPS = (1e-1, 1e-2, 1e-3)
_BLUE, _ORANGE = list(COLOURS)[:2]


def histograms(n: int) -> tuple[Any, Any, Any]:
    """Points in [0, 1], one bump, and two."""
    x = np.linspace(0, 1, n)

    def bump(centre: float, width: float) -> Any:
        return np.exp(-((x - centre) ** 2) / (2 * width**2))

    a, b = bump(0.35, 0.12), 0.6 * bump(0.25, 0.06) + bump(0.7, 0.08)
    return x, a / a.sum(), b / b.sum()


def draw(backend: Backend, *, n: int = 120) -> Any:
    """A panel for each ε, the histograms at its sides."""
    x, a, b = histograms(n)
    axis = backend.asarray(x)
    figure, row = panels(3, height=2.9, sharex=True, sharey=True)
    for axes, eps in zip(row, EPS, strict=True):
        solution = xs.sinkhorn(backend.asarray(a), backend.asarray(b), xs.Grid(axis), eps, tol=1e-6)
        plan = backend.to_numpy(solution.plan())
        axes.grid(visible=False)
        levels = np.max(plan) * np.asarray([0.02, 0.1, 0.3, 0.6, 1.0])
        axes.contourf(x, x, plan, levels=levels, colors=[_BLUE] * 4, alpha=0.25)
        for low in levels[:-1]:
            axes.contourf(x, x, plan, levels=[low, levels[-1]], colors=[_BLUE], alpha=0.25)
        axes.plot(x, 0.15 * b / b.max(), color=_ORANGE, linewidth=1.4)
        axes.plot(0.15 * a / a.max(), x, color=_BLUE, linewidth=1.4)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1), aspect="equal", xlabel=f"ε = {eps:g}")
    return figure


PICTURE = Picture(
    name="sinkhorn-plans",
    family="transport",
    title="As ε falls, the plan sharpens from a product to a graph",
    alt="Three square panels of the plan between one bump, drawn at the left side, and two bumps, drawn below. For "
    "ε = 0.1 the plan is two broad blots, nearly a product, for 0.01 they lean and stretch, for 0.001 they are one "
    "thin rising curve.",
    caption="Two histograms on 120 points of [0, 1], cost (x − y)²; xs.sinkhorn on an xs.Grid to marginal errors of "
    "1e-6, plans by .plan(). The optimal plan without entropy is the graph of the monotone map. After G. Peyré, "
    "Mathematical Foundations of Data Sciences, §14.3.7.",
    draw=draw,
    seconds=0.2,
)
