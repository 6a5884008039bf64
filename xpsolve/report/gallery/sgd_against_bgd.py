"""Stochastic against batch gradient descent with the cost of both as abscissa: gradients of single samples.

n steps of SGD cost as much as one of BGD.  SGD has come far before BGD has taken its second step, and its noise
slows it down later: f(x_k) − f* falls as 1/k at best, where that of BGD falls as a power.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.2.3, figure 14.7.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._classes import tight, tumours
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, label_ends, panels, power_of_ten
from xpsolve.solution import inner_solve

PART = 4  # records an epoch


def draw(backend: Backend, *, epochs: int = 150, runs: int = 5) -> Any:
    """Runs of SGD, their mean, and BGD."""
    f, least = tumours(backend)
    xp = f.xp
    every = f.n // PART
    with inner_solve():  # the whole run is shown, to its end
        run = xs.sgd(f, xp.stack([f.zeros()] * runs), epochs=epochs, record_every=every)
    passes = run.history["step"] / f.n
    stochastic = backend.to_numpy(run.history["objective"]) - least
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)  # it has as many passes as SGD
        batch = xs.gradient_descent(f, tol=tight(f), max_iter=epochs, record=True).history
    batch = backend.to_numpy(batch["objective"]) - least

    blue, orange, *_ = COLOURS
    figure, axes = panels(height=4.0)
    axes.plot(passes[1:], stochastic[1:], color=blue, linewidth=0.6, alpha=0.5)
    mean = np.mean(stochastic, axis=1)
    axes.plot(passes[1:], mean[1:], color=blue, linewidth=2.0)
    k = np.arange(1, batch.size)
    axes.plot(k, batch[1:], color=orange, linewidth=1.6, marker="s", markersize=3.5, markevery=0.08)
    axes.set(xscale="log", yscale="log", xlim=(passes[1], epochs))
    axes.xaxis.set_major_formatter(power_of_ten)
    axes.yaxis.set_major_formatter(power_of_ten)
    axes.set(xlabel="epochs: gradients of single samples / n", ylabel="f(x) − f*")
    label_ends(axes, [(epochs, mean[-1], "SGD", blue), (epochs, batch[-1], "BGD", orange)], room=0.06)
    return figure


PICTURE = Picture(
    name="sgd-against-bgd",
    family="stochastic",
    title="For the same gradients SGD leads first, and batch descent in the end",
    alt="Log-log plot of f(x) − f* against epochs from 0.25 to 150. Five thin runs of SGD, close around their "
    "bold mean, are far down after one epoch and continue more and more slowly; batch gradient descent, a line "
    "with square markers, starts at one epoch above them, falls ever more steeply and crosses them near 80 "
    "epochs.",
    caption="Logistic regression on 569 tumours with 30 measurements, λ = 0.01: xs.sgd with five runs side by "
    "side, τ_k = τ₀/(1 + k/n), four times an epoch, thin, and their mean, bold; xs.gradient_descent with "
    "its own step, one iteration an epoch. f* by xs.newton. After G. Peyré, Mathematical Foundations of "
    "Data Sciences, §14.2.3, figure 14.7.",
    draw=draw,
    seconds=0.8,
)
