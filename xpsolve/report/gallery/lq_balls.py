"""The unit balls {x : Σ|x_i|^q ≤ 1} in the plane, and where each first meets a line ⟨a, x⟩ = c.

The point of contact is the smallest x in ℓ^q that explains one observation c of two unknowns: sparse for q ≤ 1, and
for q = 1 found by a convex problem.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.3, figure 14.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, INK, panels

EXPONENTS = (0.5, 0.75, 1.0, 1.5, 2.0)
SLOPE = (0.6, 1.0)


def boundary(backend: Backend, q: float) -> Any:
    """Points (2, k) with Σ|x_i|^q = 1: directions of all angles, each divided by its own length."""
    xp = backend.namespace
    angles = backend.asarray(np.linspace(0.0, 2 * np.pi, 721))  # every half degree, the corners among them
    directions = xp.stack([xp.cos(angles), xp.sin(angles)])
    return directions / xp.sum(xp.abs(directions) ** q, axis=0) ** (1 / q)


def contact(backend: Backend, q: float) -> Any:
    """The first x (2,) of a growing ball on a line ⟨a, x⟩ = c, where c is such that its length is 1."""
    a = backend.asarray([SLOPE])
    one = backend.asarray([1.0])
    if q == 1:
        x = xs.basis_pursuit(a, one).x
    elif q == 2:
        x = xs.lstsq(a, one).x
    else:  # no solver: the best of the points on the boundary
        xp, points = backend.namespace, boundary(backend, q)
        x = points[:, int(xp.argmax((a @ points)[0, :]))]
    x = backend.to_numpy(x)
    return x / np.sum(np.abs(x) ** q) ** (1 / q)


def draw(backend: Backend) -> Any:
    """A panel for each q."""
    blue, orange, *_ = COLOURS
    figure, row = panels(len(EXPONENTS), height=2.15, sharey=True)
    for axes, q in zip(row, EXPONENTS, strict=True):
        x1, x2 = backend.to_numpy(boundary(backend, q))
        axes.grid(visible=False)
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.axvline(0, color=FAINT, linewidth=0.6)
        axes.fill(x1, x2, facecolor=blue, alpha=0.15, linewidth=0)
        axes.plot(x1, x2, color=blue, linewidth=1.5)
        x = contact(backend, q)
        along = np.asarray([-1.5, 1.5])
        axes.plot(along, (np.dot(SLOPE, x) - SLOPE[0] * along) / SLOPE[1], color=INK, linewidth=0.9)
        axes.plot(*x, "o", color=orange, markersize=5.5)
        axes.set(xlim=(-1.35, 1.35), ylim=(-1.25, 1.6), aspect="equal", xticks=[], yticks=[])
        axes.set_xlabel(f"q = {q:g}")
        axes.spines[:].set_visible(False)
    return figure


PICTURE = Picture(
    name="lq-balls",
    family="lasso",
    title="Of the balls Σ|x_i|^q ≤ 1 only that of q = 1 is convex and pointed",
    alt="Five unit balls of the plane with the line each touches first. For q = 0.5 and 0.75 they are stars drawn"
    " in towards 0, for q = 1 a square on its corner: the line touches a corner, on the vertical axis. For q "
    "= 1.5 a swollen square and for q = 2 a disc: the line touches them off the axes.",
    caption="The dot is the smallest x in ℓ^q with ⟨a, x⟩ = c, a = (0.6, 1): by xs.basis_pursuit for q = 1, by "
    "xs.lstsq for q = 2, the best of 721 points of the boundary for the others. For q ≤ 1 it has a single "
    "coordinate other than 0. After G. Peyré, Mathematical Foundations of Data Sciences, figure 14.1.",
    draw=draw,
    seconds=0.2,
)
