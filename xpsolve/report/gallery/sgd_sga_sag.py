"""SGD, its average SGA and the averaged gradients SAG: log₁₀(f(x_k) − f*) over epochs.

SGD and SGA fall as a power of k whatever the steps; SAG remembers the last derivative of every sample and converges
linearly, at the price of n numbers.

Sources: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.2.5, figure 14.8; M. Schmidt,
N. Le Roux and F. Bach, Minimizing finite sums with the stochastic average gradient (2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._classes import tumours
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, label_ends, panels, power_of_ten
from xpsolve.solution import inner_solve

METHODS: dict[str, tuple[Callable[..., xs.Solution], Any]] = {
    "SGD": (xs.sgd, (1, 1.2)),
    "SGA": (xs.sga, (5, 2)),
    "SAG": (xs.sag, (None, None)),
}
FLOOR = 1e-11  # smaller differences of two objectives are rounding


def draw(backend: Backend, *, epochs: int = 120) -> Any:
    """A line for each method."""
    f, least = tumours(backend)
    figure, axes = panels(height=4.0)
    axes.set(yscale="log", xlim=(0, epochs), ylim=(FLOOR, 1))
    ends = []
    for (name, (method, dashes)), colour in zip(METHODS.items(), COLOURS, strict=False):
        with inner_solve():  # the whole run is shown, to its end
            run = method(f, epochs=epochs, record_every=f.n, tol=0)
        excess = backend.to_numpy(run.history["objective"]) - least
        excess = excess.clip(FLOOR / 10)
        axes.plot(run.history["step"] / f.n, excess, color=colour, linewidth=1.8, dashes=dashes)
        ends.append((epochs, max(excess[-1], FLOOR), name, colour))
    axes.yaxis.set_major_formatter(power_of_ten)
    axes.set(xlabel="epochs", ylabel="f(x) − f*")
    label_ends(axes, ends, room=0.055)
    return figure


PICTURE = Picture(
    name="sgd-sga-sag",
    family="stochastic",
    title="Averaged iterates fall as a power, averaged gradients geometrically",
    alt="f(x) − f* on a logarithmic axis against epochs. SGD, dotted, and SGA, dashed, flatten out between 0.01 "
    "and 0.001, SGA ending below SGD; SAG, solid, falls along a straight line to about 1e-10.",
    caption="Logistic regression on 569 tumours with 30 measurements, λ = 0.01: xs.sgd, xs.sga and xs.sag on the same "
    "random samples with their own steps, f after every epoch; for SGA at the mean of the iterates. f* by xs.newton. "
    "After G. Peyré, Mathematical Foundations of Data Sciences, §14.2.5, figure 14.8.",
    draw=draw,
    seconds=0.6,
)
