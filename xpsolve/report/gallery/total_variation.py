"""Noisy and blurred pictures restored by total variation, beside ridge regression and the lasso in Haar wavelets.

    ridge            min ½‖Ax − y‖² + ½λ‖x‖²
    Haar lasso       x = Wᵀc,  min ½‖AWᵀc − y‖² + λ‖c‖₁,  W orthogonal
    total variation  min ½‖Ax − y‖² + λ Σ_i ‖(∇x)_i‖  subject to  x ≥ 0

Source: L. Rudin, S. Osher & E. Fatemi, Physica D 60 (1992); G. Peyré, Mathematical Foundations of Data Sciences (2020),
§14.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.penalties import NonNegative, TotalVariation
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._restored import Found, best, show
from xpsolve.report.style import panels


@dataclass(frozen=True)
class Setting:
    """How the picture was spoiled, and the values of λ that are tried."""

    label: str
    observed: str
    blur: str
    width: float
    noise: float
    lams: dict[str, Any]


_BLURRED = {
    "ridge": np.geomspace(3e-3, 2e-2, 4),
    "Haar lasso": np.geomspace(4e-4, 2e-3, 4),
    "total variation": np.geomspace(3e-4, 1e-3, 4),
}
_NOISY = {
    "ridge": np.geomspace(3e-2, 1e-1, 4),
    "Haar lasso": np.geomspace(5e-2, 2e-1, 4),
    "total variation": np.geomspace(4e-2, 1e-1, 4),
}
SETTINGS = (
    Setting("noise", "noisy", "gaussian", 0.05, 0.1, _NOISY),  # a kernel of one pixel: A is the identity
    Setting("Gaussian blur", "blurred", "gaussian", 1.5, 0.01, _BLURRED),
    Setting("motion blur", "blurred", "motion", 9.0, 0.01, _BLURRED),
)


def restored(backend: Backend, setting: Setting, size: int) -> tuple[Any, dict[str, Found]]:
    """The problem, and what each method finds at its best λ."""
    shape = (size, size)
    problem = xs.problems.blurred_picture(
        shape=shape, blur=setting.blur, width=setting.width, noise=setting.noise, backend=backend.name
    )
    A, y = problem.A, problem.y
    synthesis = xs.operators.Wavelet(shape).T
    step = 1 / float(xs.operator_norm(A)) ** 2  # W is orthogonal: ‖AWᵀ‖ = ‖A‖, which the transform gives
    f = xs.LeastSquares(A, y)  # the mean over the samples, so that λ is divided by their number

    def by_ridge(lam: float) -> Any:
        return xs.ridge(A, y, lam, method="cg", tol=1e-4).x

    def by_lasso(lam: float) -> Any:
        return synthesis @ xs.lasso(A @ synthesis, y, lam, method="fista", step=step, tol=1e-4).x

    def by_total_variation(lam: float) -> Any:
        return xs.minimize(f, TotalVariation(lam / f.n, shape) + NonNegative(), tol=5e-5).x

    solvers = {"ridge": by_ridge, "Haar lasso": by_lasso, "total variation": by_total_variation}
    return problem, {name: best(problem, solve, setting.lams[name]) for name, solve in solvers.items()}


def draw(backend: Backend, *, size: int = 96) -> Any:
    """A row for each setting."""
    figure, _ = panels(1, height=5.9)
    figure.clear()
    rows = figure.subplots(len(SETTINGS), 5)
    for row, setting in zip(rows, SETTINGS, strict=True):
        problem, found = restored(backend, setting, size)
        row[0].set_ylabel(setting.label)
        show(row, backend, problem, setting.observed, found, between="\n")
    return figure


PICTURE = Picture(
    name="total-variation",
    family="lasso",
    title="Noisy and blurred pictures restored by total variation",
    alt="Three rows of five grey portraits: the truth, the noisy or blurred picture, and what ridge, the lasso in Haar "
    "wavelets and total variation restore, each with its peak signal-to-noise ratio. Total variation is the "
    "closest to the truth in every row, by one to three decibels: its areas are smooth and its edges sharp, where "
    "ridge keeps the noise or leaves ripples and the lasso shows squares.",
    caption="The portrait of Grace Hopper on 96 × 96 pixels, in [0, 1], with white noise of deviation 0.1, or blurred "
    "by a periodic xs.Convolution with noise of deviation 0.01. Ridge by conjugate gradients on the pixels, which "
    "can only shrink them where there is no blur; the lasso by FISTA on the coefficients of xs.operators.Wavelet; "
    "total variation with x ≥ 0 by the primal–dual method of xs.minimize. λ multiplies the penalty beside "
    "½‖Ax − y‖², and is that of four with which the picture is closest to the truth, which is known here and would "
    "not be elsewhere. Setting of G. Peyré, Mathematical Foundations of Data Sciences, §14.1.",
    draw=draw,
    seconds=7.0,
)
