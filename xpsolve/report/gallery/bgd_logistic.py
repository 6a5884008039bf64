"""Batch gradient descent on f(x) = 1/n Σ log(1 + exp(−y_i⟨a_i, x⟩)) + λ/2‖x‖²: how far f(x_k) is from f*.

With L the Lipschitz constant of ∇f every step τ < 2/L descends, and the longer it is the faster; for τ = 1/L,

    f(x_k) − f* ≤ L‖x*‖² / (2k)

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.2.2, figure 14.3.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._classes import tight, tumours
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, label_ends, panels, power_of_ten

STEPS = (0.02, 0.2, 1.0, 1.9)  # times 1/L
DASHES = ((1, 1.2), (5, 1.5, 1, 1.5), (None, None), (4, 1.5))


def draw(backend: Backend, *, max_iter: int = 500) -> Any:
    """A line for each step, and the bound of 1/L."""
    f, least = tumours(backend)
    L = float(f.lipschitz())
    x_star = xs.newton(f, tol=tight(f)).x
    bound = L * float(f.xp.sum(x_star * x_star)) / 2

    figure, axes = panels(height=4.1)
    axes.set(xscale="log", yscale="log", xlim=(1, max_iter), ylim=(1e-7, 10))
    axes.yaxis.set_major_formatter(power_of_ten)
    axes.xaxis.set_major_formatter(power_of_ten)
    axes.set(xlabel="iteration k", ylabel="f(x_k) − f*")
    ends = []
    for step, colour, dashes in zip(STEPS, COLOURS, DASHES, strict=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xs.ConvergenceWarning)  # the figure shows that it has not converged
            run = xs.gradient_descent(f, step=step / L, tol=tight(f), max_iter=max_iter, record=True)
        excess = backend.to_numpy(run.history["objective"]) - least
        axes.plot(np.arange(1, excess.size), excess[1:], color=colour, linewidth=1.8, dashes=dashes)
        ends.append((max_iter, excess[-1], f"τ = {step:g}/L", colour))
    k = np.arange(1, max_iter + 1)
    axes.plot(k, bound / k, color=FAINT, linewidth=1.0, dashes=(4, 3))
    ends.append((max_iter, bound / max_iter, "bound, 1/L", FAINT))
    label_ends(axes, ends, room=0.055)
    return figure


PICTURE = Picture(
    name="bgd-logistic",
    family="stochastic",
    title="Batch gradient descent: the longer the step below 2/L, the faster",
    alt="Log-log plot of f(x_k) − f* against iterations 1 to 500. Four falling curves for the steps 0.02/L, "
    "0.2/L, 1/L and 1.9/L; that of the longer step lies below that of the shorter throughout. A dashed "
    "straight line, the bound, stays above that of 1/L.",
    caption="Logistic regression on 569 tumours with 30 measurements of mean 0 and variance 1, λ = 0.01; "
    "xs.gradient_descent(f, step=τ, record=True) from x = 0, f* by xs.newton. Grey: the bound L‖x*‖²/(2k) of τ = 1/L. "
    "After G. Peyré, Mathematical Foundations of Data Sciences, §14.2.2, figure 14.3.",
    draw=draw,
    seconds=0.5,
)
