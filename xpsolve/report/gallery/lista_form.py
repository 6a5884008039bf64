"""What the layers of a network with free matrices learn: the deep ones no more than a step of ISTA.

Source: P. Ablin, T. Moreau, M. Massias & A. Gramfort, Learning step sizes for unfolded sparse coding (2019), Theorem 3:
where layers converge, they do so to W₁ = I − αDᵀD, W₂ = αDᵀ, β = αλ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._sparse_codes import trained
from xpsolve.report.style import COLOURS, FAINT, MARKERS, panels

LAM = 0.2
KINDS = ("full", "coupled")


def draw(backend: Backend, *, n_layers: int = 20, train: int = 1000, iterations: int = 200) -> Any:
    """The distance from ISTA on the left, the threshold against that of ISTA on the right."""
    problem = xs.problems.sparse_coding(m=16, size=3, samples=train, backend=backend.name)
    layers = np.arange(1, n_layers + 1)
    figure, (left, right) = panels(2, height=3.6)
    for kind, colour, marker, dashes in zip(KINDS, COLOURS, MARKERS, ((6, 0), (4, 2)), strict=False):
        network = trained(problem.D, LAM, n_layers, problem.X, kind=kind, layer_iter=50, max_iter=iterations)
        alpha, distance = map(backend.to_numpy, network.ista_form())
        beta = backend.to_numpy(network.parameters[-1])
        style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.3, "dashes": dashes, "label": kind}
        left.plot(layers, distance, **style)
        right.plot(layers, beta / (LAM * alpha), **style)
    left.set(xlabel="layer", ylabel="distance from ISTA with the best step α", ylim=(0, None))
    right.set(xlabel="layer", ylabel="threshold β / αλ", ylim=(0, None))
    right.axhline(1.0, color=FAINT, linewidth=1.0)
    left.legend(loc="upper right", fontsize=9, handlelength=2.6)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


PICTURE = Picture(
    name="lista-form",
    family="networks",
    title="Deep layers of LISTA stay those of ISTA; the first learn something else",
    alt="Two panels against the layers 1 to 20, for full layers, circles, and coupled ones, squares. Left, the "
    "distance of the learned weights from the form of ISTA: 0.2 to 0.3 in the first layer, falling to a few "
    "hundredths in the last. Right, the learned threshold over that of ISTA: up to 1.9 in the first layers, 1 "
    "in the last.",
    caption="LISTA of 20 layers, D of 9 × 16 with normal entries, λ = 0.2 λ_max, unsupervised on 1000 samples, from "
    "ISTA with 1/L: 50 steps of gradient descent a layer, then 200 together. The distance is the sine of the "
    "angle between (I − W₁, W₂, β) and (DᵀD, Dᵀ, λ), or for coupled layers between (W₂, β) and (Dᵀ, λ): "
    "ista_form() of the network. The theorem of P. Ablin et al. (2019) says what deep layers tend to where they "
    "are minimal; ISTA as in G. Peyré, Mathematical Foundations of Data Sciences, §14.1.4.",
    draw=draw,
    seconds=3.3,
)
