"""Soft and hard thresholding of a number, S_λ(x) = sign(x)·max(|x| − λ, 0) and x·1_{|x| > λ}.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.4, equation 14.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, panels

LAM = 1.0


def draw(backend: Backend) -> Any:
    """Both thresholds against x."""
    xp = backend.namespace
    x = backend.asarray(np.linspace(-3.0, 3.0, 601))
    soft = xs.soft_threshold(x, LAM)
    hard = xp.where(xp.abs(x) > LAM, x, xp.zeros_like(x))

    x, soft, hard = (backend.to_numpy(values) for values in (x, soft, hard))
    blue, orange, *_ = COLOURS
    figure, axes = panels(height=3.9)
    axes.plot(x, x, color=FAINT, linewidth=0.8)
    axes.text(0.42, 0.52, "x", color=FAINT, ha="right", va="bottom")
    axes.plot(x, soft, color=blue, linewidth=2.4)
    # Three pieces: the hard threshold jumps, and a line across the jump would be no value of it.
    for piece in (x < -LAM, abs(x) <= LAM, x > LAM):
        axes.plot(x[piece], hard[piece], color=orange, linewidth=1.3, dashes=(5, 3))
    axes.plot([-LAM, LAM], [-LAM, LAM], "o", color=orange, markerfacecolor="none", markersize=5)
    axes.text(1.95, 0.7, "soft", color=blue, ha="left", va="top")
    axes.text(1.55, 1.75, "hard", color=orange, ha="right", va="bottom")
    axes.set_xticks([-2, -LAM, 0, LAM, 2], ["−2", "−λ", "0", "λ = 1", "2"])
    axes.set_yticks([-2, -1, 0, 1, 2], ["−2", "−1", "0", "1", "2"])
    axes.set(xlim=(-3, 3), ylim=(-3, 3), xlabel="x", ylabel="threshold of x")
    return figure


PICTURE = Picture(
    name="soft-threshold",
    family="lasso",
    title="Soft thresholding moves what it keeps towards 0; hard thresholding jumps",
    alt="Two curves against x between −3 and 3 with λ = 1. Both are 0 between −λ and λ. Beyond, the soft "
    "threshold is a line at distance λ from the diagonal, without a jump; the hard threshold jumps to the "
    "diagonal.",
    caption="xs.soft_threshold(x, 1) at 601 points. It is the proximal map of λ|x|, and continuous; hard thresholding"
    " is that of ½λ²·1_{x ≠ 0}. After G. Peyré, Mathematical Foundations of Data Sciences, §14.1.4.",
    draw=draw,
    seconds=0.1,
)
