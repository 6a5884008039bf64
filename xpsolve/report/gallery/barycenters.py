"""From one shape to another through barycentres, and, for comparison, their mixture, which only fades.

Sources: J.-D. Benamou et al., Iterative Bregman projections for regularized transportation problems (2015); the
iterations are those of G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, panels

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def shapes(n: int) -> tuple[Any, Any]:
    """Coordinates in [0, 1], and a ring and two discs as rows of n² pixels."""
    x = np.linspace(0, 1, n)
    from_middle = np.hypot(x[:, None] - 0.5, x - 0.5)
    ring = (from_middle < 0.38) & (from_middle > 0.24)
    discs = (np.hypot(x[:, None] - 0.28, x - 0.28) < 0.17) | (np.hypot(x[:, None] - 0.72, x - 0.72) < 0.17)
    A = np.stack([ring.reshape(-1), discs.reshape(-1)]).astype(float)
    return x, A / A.sum(axis=1, keepdims=True)


def draw(backend: Backend, *, n: int = 48, eps: float = 3.2e-3) -> Any:
    """Barycentres above, mixtures below."""
    x, A = shapes(n)
    axis, there = backend.asarray(x), backend.asarray(A)
    figure, _ = panels(1, height=3.1)
    figure.clear()
    rows = figure.subplots(2, len(SHARES))
    colour = next(iter(COLOURS))
    for k, share in enumerate(SHARES):
        weights = np.asarray([1 - share, share])
        b = xs.barycenter(there, xs.Grid(axis, axis), eps, backend.asarray(weights), tol=1e-4).x
        for axes, picture in zip(rows[:, k], (backend.to_numpy(b), weights @ A), strict=True):
            axes.set_facecolor("none")
            axes.set(xticks=(), yticks=(), aspect="equal", xlim=(0, 1), ylim=(0, 1))
            picture = picture.reshape(n, n)
            for part in (0.15, 0.35, 0.55, 0.75):
                axes.contourf(
                    x, x, picture, levels=[part * picture.max(), 2 * picture.max()], colors=[colour], alpha=0.35
                )
        rows[1, k].set_xlabel(f"{share:g}")
    rows[0, 0].set_ylabel("barycentre")
    rows[1, 0].set_ylabel("mixture")
    return figure


PICTURE = Picture(
    name="barycenters",
    family="transport",
    title="Barycentres move mass from one shape to another",
    alt="Two rows of five pictures, from a ring at the left to two discs at the right. Above, barycentres: the ring "
    "opens and gathers into the discs. Below, mixtures: the ring fades while the discs appear in their place.",
    caption="A ring and two discs on 48 × 48 pixels; above, xs.barycenter on an xs.Grid with ε = 0.0032 and the "
    "weights 1 − t and t, to a certificate of 1e-4; below, (1 − t)a₁ + ta₂. The number is t. After G. Peyré, "
    "Mathematical Foundations of Data Sciences, §14.3.7, and J.-D. Benamou et al. (2015).",
    draw=draw,
    seconds=0.3,
)
