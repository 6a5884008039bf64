"""How the marginal error of Sinkhorn's iterations falls: plain and over-relaxed, for three values of ε.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, INK, panels, power_of_ten

EPS = (1e-1, 1e-2, 1e-3)


def draw(backend: Backend, *, n: int = 200, max_iter: int = 1000) -> Any:
    """One panel each for plain and for over-relaxed steps, a line for each ε."""
    rng = np.random.default_rng(0)
    x, y = rng.random((n, 2)), rng.random((n, 2))
    M = np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)
    M, a = backend.asarray(M / np.max(M)), backend.asarray(np.full(n, 1 / n))
    figure, pair = panels(2, height=3.6, sharey=True)
    for axes, relaxation, name in zip(pair, (1.0, "auto"), ("plain", "over-relaxed"), strict=True):
        for eps, colour in zip(EPS, COLOURS, strict=False):
            for method, dashes in (("stabilized", (None, None)), ("log", (1, 3))):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", xs.ConvergenceWarning)  # plain steps need more for the smallest ε
                    run = xs.sinkhorn(
                        a, a, M, eps, method=method, relaxation=relaxation, max_iter=max_iter, record=True
                    )
                error = backend.to_numpy(run.history["certificate"])
                label = f"ε = {eps:g}" if method == "stabilized" else None
                ink = colour if method == "stabilized" else INK
                axes.plot(np.arange(1, error.size), error[1:], color=ink, dashes=dashes, linewidth=1.6, label=label)
        axes.set(xscale="log", yscale="log", xlabel=f"iteration, {name}", xlim=(1, max_iter), ylim=(1e-9, 2))
        axes.xaxis.set_major_formatter(power_of_ten)
        axes.yaxis.set_major_formatter(power_of_ten)
    pair[0].set_ylabel("‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁")
    pair[0].legend(loc="lower left", fontsize=9, handlelength=1.6)
    return figure


PICTURE = Picture(
    name="sinkhorn-convergence",
    family="transport",
    title="Sinkhorn needs some 1/ε iterations, over-relaxed far fewer",
    alt="Two log-log panels of the marginal error against iterations, a line each for ε = 0.1, 0.01 and 0.001 of the "
    "largest cost. Plain, at the left, the two larger reach 1e-9 after some tens and hundreds of iterations and the "
    "smallest is far from it after 1000; over-relaxed, at the right, all three reach it within a few hundred.",
    caption="200 points against 200 in the unit square, squared distances divided by the largest. xs.sinkhorn with "
    "record=True; dots: method='log', on top of 'stabilized', whose iterates are the same. A line jumps where "
    "ε-scaling continues with a smaller ε. After G. Peyré, Mathematical Foundations of Data Sciences, §14.3.7.",
    draw=draw,
    seconds=0.8,
)
