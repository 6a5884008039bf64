"""The L-curve: how large x_λ is against how well it fits y, for ridge regression with every λ, and where rules stop.

Source: P. C. Hansen, Analysis of discrete ill-posed problems by means of the L-curve (1992); G. Peyré, Mathematical
Foundations of Data Sciences (2020), §14.1.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, MARKERS, panels, power_of_ten

N, SIGMA = 200, 0.05


def blurred() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A Gaussian blur of N numbers, its noisy y, and the x that it is of."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, N)
    A = np.exp(-0.5 * ((t[:, None] - t) / 0.03) ** 2)
    A /= A.sum(axis=1, keepdims=True)
    x = np.sin(2 * np.pi * t) + np.where((t > 0.35) & (t < 0.6), 1.0, 0.0)
    return A, A @ x + SIGMA * rng.standard_normal(N), x


def rules(A: Any, y: Any, lams: Any) -> dict[str, Any]:
    """The solutions that each rule chooses."""
    return {
        "generalised cross-validation": xs.ridge_cv(A, y, lams),
        "discrepancy": xs.discrepancy(A, y, SIGMA * N**0.5),
    }


def draw(backend: Backend) -> Any:
    """‖x‖ against ‖Ax − y‖ on the left, the error of x against λ on the right."""
    A, y, truth = blurred()
    there, right_side = backend.asarray(A), backend.asarray(y)
    lams = np.geomspace(1e-8, 10, 120)
    X = backend.to_numpy(xs.ridge(there, right_side, backend.asarray(lams)).x)
    residual, size = (np.linalg.norm(V, axis=1) for V in (X @ A.T - y, X))
    error = np.linalg.norm(X - truth, axis=1) / np.linalg.norm(truth)

    figure, (left, right) = panels(2, height=3.9)
    first, *others = COLOURS
    left.plot(residual, size, color=first, linewidth=1.6)
    right.plot(lams, error, color=first, linewidth=1.6)
    for lam in (1e-6, 1e-4, 1.0):
        i = int(np.argmin(np.abs(np.log(lams / lam))))
        left.plot(residual[i], size[i], ".", color=FAINT, zorder=3)
        left.annotate(
            f"λ = {power_of_ten(lam)}", (residual[i], size[i]), (5, 4), textcoords="offset points", fontsize=9
        )
    for (name, found), colour, marker in zip(rules(there, right_side, lams).items(), others, MARKERS, strict=False):
        x, lam = backend.to_numpy(found.x), float(found.lam)
        style = {"color": colour, "marker": marker, "markersize": 6.5, "linestyle": "none", "zorder": 4}
        left.plot(np.linalg.norm(A @ x - y), np.linalg.norm(x), **style)
        right.plot(lam, np.linalg.norm(x - truth) / np.linalg.norm(truth), label=name, **style)
    left.set(xscale="log", yscale="log", xlabel="‖Ax − y‖", ylabel="‖x‖")
    right.set(xscale="log", yscale="log", xlabel="λ", ylabel="error of x, relative")
    for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):
        axis.set_major_formatter(power_of_ten)
    right.legend(loc="upper center", fontsize=9, handlelength=1.2)
    return figure


PICTURE = Picture(
    name="l-curve",
    family="ridge",
    title="L-curve: the rules choose a λ near the corner",
    alt="Left, a curve in the shape of an L: the norm of x falls steeply while the residual stays, and beyond a corner"
    " the residual grows while the norm stays. Right, the error of x against λ falls and rises again. The markers of"
    " generalised cross-validation and of the discrepancy principle lie near the corner and near the least error.",
    caption="A signal of 200 numbers, blurred by a Gaussian, with normal noise of the standard deviation 0.05: xs.ridge"
    " with 120 values of λ from one factorisation, and the choices of xs.ridge_cv and, for known noise, of"
    " xs.discrepancy. After P. C. Hansen, SIAM Review 34 (1992); ridge regression as in G. Peyré, Mathematical"
    " Foundations of Data Sciences, §14.1.2.",
    draw=draw,
    seconds=1.0,
)
