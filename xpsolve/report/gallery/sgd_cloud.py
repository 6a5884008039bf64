"""Many runs of stochastic gradient descent on f(x) = ½·((x − 1)² + (x + 1)²)/2, whose two samples pull to +1 and −1.

A step is x_{k+1} = (1 − τ_k) x_k ± τ_k with a fair sign, so that x_k has the variance

    v_{k+1} = (1 − τ_k)² v_k + τ_k²

which tends to τ/(2 − τ) for a constant step, and to 0 for τ_k = τ₀/(1 + k/k₀).

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.2.3, figure 14.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, INK, panels
from xpsolve.solution import inner_solve

STEP0 = 0.2
WARMUPS = {"constant step": 1e300, "decaying step": 20.0}
WIDTH = 2.0  # runs start between −2 and 2
SHOWN = 20


def cloud(backend: Backend, warmup: float, *, runs: int, steps: int) -> Any:
    """x_k of every run at every step, (steps + 1, runs)."""
    rng = np.random.default_rng(0)
    f = xs.LeastSquares(backend.asarray(np.ones((2, 1))), backend.asarray([1.0, -1.0]))
    x0 = backend.asarray(rng.uniform(-WIDTH, WIDTH, (runs, 1)))
    samples = rng.integers(2, size=(runs, steps))
    with inner_solve():  # the whole run is shown, to its end
        run = xs.sgd(f, x0, indices=samples, step0=STEP0, warmup=warmup, record_every=1)
    return backend.to_numpy(run.history["x"])[..., 0]


def spread(warmup: float, steps: int) -> Any:
    """√v_k, (steps + 1,)."""
    v = [WIDTH**2 / 3]
    for k in range(steps):
        tau = STEP0 / (1 + k / warmup)
        v.append((1 - tau) ** 2 * v[-1] + tau**2)
    return np.sqrt(v)


def draw(backend: Backend, *, runs: int = 2000, steps: int = 200) -> Any:
    """A column for each rule: some runs above, and below between which values how many of all lie."""
    blue, orange, *_ = COLOURS
    figure, rows = panels(2, rows=2, height=5.0, sharex=True, sharey=True)
    k = np.arange(steps + 1)
    for (name, warmup), (top, bottom) in zip(WARMUPS.items(), rows.T, strict=True):
        x = cloud(backend, warmup, runs=runs, steps=steps)
        top.plot(k, x[:, :SHOWN], color=blue, linewidth=0.7, alpha=0.6)
        top.set_title(name, loc="left", fontsize=10)
        for share in (0.98, 0.8, 0.5, 0.2):
            low, high = np.quantile(x, [(1 - share) / 2, (1 + share) / 2], axis=1)
            bottom.fill_between(k, low, high, color=blue, alpha=0.22, linewidth=0)
        for sign in (-1, 1):
            bottom.plot(k, sign * spread(warmup, steps), color=orange, linewidth=1.4, dashes=(4, 2))
        bottom.text(
            0.97,
            0.93,
            "dashed: ± standard deviation",
            color=INK,
            transform=bottom.transAxes,
            ha="right",
            va="top",
            fontsize=9,
        )
        bottom.set(xlabel="step k", xlim=(0, steps), ylim=(-WIDTH, WIDTH))
    rows[0, 0].set_ylabel(f"{SHOWN} runs")
    rows[1, 0].set_ylabel(f"all {runs}")
    return figure


PICTURE = Picture(
    name="sgd-cloud",
    family="stochastic",
    title="Runs of SGD gather at the minimum only where the step goes to 0",
    alt="Four panels of x against the step k from 0 to 200. Above, twenty ragged runs from between −2 and 2; "
    "below, bands of all runs around 0, with dashed lines at one standard deviation. With a constant step, "
    "left, the runs come together to a band of one width, about ±0.33, that stays; with a decaying step, "
    "right, the band continues to narrow to about ±0.1.",
    caption="f(x) = ½·((x − 1)² + (x + 1)²)/2 as xs.LeastSquares with a = 1 and y = ±1, its minimum at 0; 2000 runs of "
    "xs.sgd side by side from x₀ of shape (2000, 1), τ₀ = 0.2, recorded at every step, with τ constant (left) and "
    "τ_k = τ₀/(1 + k/20) (right). Below, darker to lighter, between which values 20, 50, 80 and 98 % of the runs lie; "
    "dashed, the standard deviation in theory. After G. Peyré, Mathematical Foundations of Data Sciences, "
    "§14.2.3, figure 14.6.",
    draw=draw,
    seconds=0.4,
)
