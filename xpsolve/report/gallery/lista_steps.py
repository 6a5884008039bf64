"""Steps that an unrolled ISTA learns, beside 1/L for all codes and 1/L_S for codes with supports in S.

Source: P. Ablin, T. Moreau, M. Massias & A. Gramfort, Learning step sizes for unfolded sparse coding (2019), §4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._sparse_codes import first_layers, trained
from xpsolve.report.style import COLOURS, FAINT, INK, panels

LAMS = (0.1, 0.5)
SHOWN = 50  # samples whose supports are compared


def curvatures(D: Any, Z: Any) -> Any:
    """‖D_S‖² with the support S of each row of Z, on the host."""
    return np.asarray([np.linalg.norm(D[:, z != 0], 2) ** 2 if np.any(z) else np.nan for z in Z])


def draw(backend: Backend, *, n_layers: int = 20, m: int = 256, train: int = 300) -> Any:
    """A panel for each λ."""
    problem = xs.problems.sparse_coding(m=m, samples=train + SHOWN, backend=backend.name)
    D, seen, unseen = problem.D, problem.X[:train, :], problem.X[train:, :]
    host = backend.to_numpy(D)
    layers = np.arange(1, n_layers + 1)
    figure, row = panels(2, height=3.6)
    for axes, lam in zip(row, LAMS, strict=True):
        network = trained(D, lam, n_layers, seen, layer_iter=12, max_iter=10)
        L = 1 / float(network.inverse_lipschitz)
        codes = [backend.to_numpy(first_layers(network, int(t)).predict(unseen)) for t in layers]
        inverse = np.asarray([L / curvatures(host, Z) for Z in codes])
        support = [100 * np.mean(Z != 0) for Z in codes]
        low, middle, high = np.nanpercentile(inverse, (5, 50, 95), axis=1)
        blue, orange = list(COLOURS)[:2]
        axes.fill_between(layers, low, high, color=blue, alpha=0.18, linewidth=0)
        axes.plot(layers, middle, color=blue, dashes=(5, 2), linewidth=1.4, label="1/L_S")
        axes.plot(
            layers,
            backend.to_numpy(network.steps) * L,
            color=orange,
            marker="s",
            markersize=4,
            linewidth=1.2,
            label="learned",
        )
        axes.axhline(1.0, color=FAINT, linewidth=1.0)
        axes.annotate("1/L", (n_layers, 1.0), (0, 3), textcoords="offset points", color=INK, fontsize=9, ha="right")
        axes.set_title(f"λ = {lam:g} λ_max: {support[0]:.0f} % → {support[-1]:.0f} % not 0", fontsize=10)
        axes.set(xlabel="layer", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
    row[0].set_ylabel("step · L")
    row[0].legend(loc="upper left", fontsize=9, handlelength=2.4)
    return figure


PICTURE = Picture(
    name="lista-steps",
    family="networks",
    title="Learned steps are longer than 1/L, since codes are sparse",
    alt="Two panels of the step of each of 20 layers over 1/L. Left, for λ a tenth of λ_max: learned steps, squares, "
    "rise from 1.6 to 2.5 while 1/L_S, dashed with a band, rises below them from 1.2 to 2. Right, for half of λ_max, "
    "where codes are sparser: learned steps rise from 2.7 to 4.4 and settle at 4.2, where 1/L_S is too.",
    caption="step-LISTA of 20 layers, D of 64 × 256 with normal entries (xs.problems.sparse_coding), trained "
    "unsupervised on 300 samples, layer by layer and then all together. Dashed, the median of 1/L_S = 1/‖D_S‖² "
    "over 50 unseen samples with S the support of their codes after the layer, and the band from 5 % to 95 %; "
    "above, the share of entries that are not 0 after the first layer and after the last. Left, steps lie at "
    "the bound of fit, 1.5 over the largest L_S of the samples: from 2/L_S on they diverge. After P. Ablin et "
    "al. (2019); ISTA with the step 1/L as in G. Peyré, Mathematical Foundations of Data Sciences, §14.1.4.",
    draw=draw,
    seconds=2.9,
)
