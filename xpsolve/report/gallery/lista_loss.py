"""The loss of the lasso on samples that were not trained on, layer by layer: ISTA, FISTA, and networks that learn.

Sources: K. Gregor & Y. LeCun, Learning fast approximations of sparse coding (2010); P. Ablin, T. Moreau, M. Massias &
A. Gramfort, Learning step sizes for unfolded sparse coding (2019).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._sparse_codes import first_layers, trained
from xpsolve.report.style import COLOURS, MARKERS, panels, power_of_ten

LAM = 0.1
SETTINGS = {"gaussian": "normal numbers", "digits": "digits"}
CURVES = ("ISTA", "FISTA", "LISTA, full", "step-LISTA")


def losses(backend: Backend, data: str, n_layers: int, m: int, train: int) -> dict[str, list[float]]:
    """Mean F_x − F_x* of unseen samples after 1, 2, … layers."""
    problem = xs.problems.sparse_coding(data, m=m, samples=train + 300, backend=backend.name)
    D, seen, unseen = problem.D, problem.X[:train, :], problem.X[train:, :]
    least = _mean(xs.lasso(D, unseen.T, LAM, tol=1e-8).x.T, D, unseen)
    layers = range(1, n_layers + 1)
    full = trained(D, LAM, n_layers, seen, kind="full", layer_iter=40, max_iter=0)
    step = trained(D, LAM, n_layers, seen, layer_iter=12, max_iter=0)
    untrained = xs.lista(D, LAM, n_layers)
    found = {
        name: [float(first_layers(net, t).loss(unseen)) for t in layers]
        for name, net in (("ISTA", untrained), ("LISTA, full", full), ("step-LISTA", step))
    }
    L = 1 / float(untrained.inverse_lipschitz)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        found["FISTA"] = [
            _mean(xs.lasso(D, unseen.T, LAM, method="fista", step=1 / L, max_iter=t, tol=1e-12).x.T, D, unseen)
            for t in layers
        ]
    return {name: [value - least for value in found[name]] for name in CURVES}


def _mean(Z: Any, D: Any, X: Any) -> float:
    R = X - Z @ D.T
    return float((R * R).sum() / 2 + LAM * abs(Z).sum()) / int(X.shape[0])


def draw(backend: Backend, *, n_layers: int = 16, m: int = 128, train: int = 400) -> Any:
    """A panel for each kind of data."""
    figure, row = panels(2, height=3.7, sharey=True)
    layers = np.arange(1, n_layers + 1)
    for axes, (data, words) in zip(row, SETTINGS.items(), strict=True):
        found = losses(backend, data, n_layers, m, train)
        for (name, values), colour, marker, dashes in zip(
            found.items(), COLOURS, MARKERS, ((), (5, 2), (1, 1), ()), strict=False
        ):
            style = {"color": colour, "marker": marker, "markersize": 3.5, "linewidth": 1.3, "label": name}
            axes.plot(layers, values, **style, **({"dashes": dashes} if dashes else {}))
        axes.set(yscale="log", xlabel=f"layers, or iterations: {words}", xlim=(0.5, n_layers + 0.5))
        axes.yaxis.set_major_formatter(power_of_ten)
    row[0].set_ylabel("mean F(z) − F* of unseen samples")
    row[0].legend(loc="lower left", fontsize=9, handlelength=2.4)
    return figure


PICTURE = Picture(
    name="lista-loss",
    family="networks",
    title="Layers that learned lower the loss of unseen samples faster than ISTA",
    alt="Two panels of the mean excess of the lasso loss over its minimum against 1 to 16 layers, on a logarithmic "
    "ordinate, for normal numbers at the left and digits at the right. ISTA falls slowest. LISTA with full layers "
    "leads for three to five layers and then stays just below ISTA; step-LISTA is below ISTA throughout; FISTA "
    "overtakes all at the seventh.",
    caption="Mean over 300 unseen samples of F(z) = ½‖x − Dz‖² + λ‖z‖₁ less its minimum, λ = 0.1 λ_max, D of 64 × 128 "
    "(xs.problems.sparse_coding). Both networks are trained unsupervised on 400 samples, each layer after those "
    "before it and not all together, so that the first T layers are a network of T: 12 steps of gradient "
    "descent a layer for steps, 40 for full layers, which more samples and steps would still improve. FISTA is "
    "xs.lasso from 0. After P. Ablin et al. (2019); ISTA as in G. Peyré, Mathematical Foundations of Data "
    "Sciences, §14.1.4.",
    draw=draw,
    seconds=6.3,
)
