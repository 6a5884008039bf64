"""Blurred pictures restored by ridge regression, and by the lasso in cosines of blocks.

    ridge  min ½‖Ax − y‖² + ½λ‖x‖²          lasso  x = Ψc,  min ½‖AΨc − y‖² + λ‖c‖₁,  Ψ orthonormal

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1; its slides on inverse problems.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.operators import cosine_basis
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._restored import Found, best, show
from xpsolve.report.style import panels

BLURS = {"gaussian": 1.5, "motion": 9.0}
BLOCK = 8
LAMS = {"ridge": np.geomspace(1e-3, 1e-1, 7), "lasso": np.geomspace(1e-4, 1e-2, 7)}


def restored(backend: Backend, blur: str, size: int) -> tuple[Any, dict[str, Found]]:
    """The problem, and λ and the picture with the best PSNR by either."""
    problem = xs.problems.blurred_picture(shape=(size, size), blur=blur, width=BLURS[blur], backend=backend.name)
    C = cosine_basis(size, block=BLOCK, like=problem.y)
    cosines = xs.Kronecker(C, C)
    step = 1 / float(xs.operator_norm(problem.A)) ** 2  # Ψ is orthonormal: ‖AΨ‖ = ‖A‖, which the transform gives
    A, y = problem.A, problem.y

    def by_ridge(lam: float) -> Any:
        return xs.ridge(A, y, lam, method="cg", tol=1e-4).x

    def by_lasso(lam: float) -> Any:
        return cosines @ xs.lasso(A @ cosines, y, lam, method="fista", step=step, tol=1e-4).x

    solvers = {"ridge": by_ridge, "lasso": by_lasso}
    return problem, {name: best(problem, solve, LAMS[name]) for name, solve in solvers.items()}


def draw(backend: Backend, *, size: int = 96) -> Any:
    """A row for each blur."""
    figure, _ = panels(1, height=4.3)
    figure.clear()
    rows = figure.subplots(len(BLURS), 4)
    for row, (blur, width) in zip(rows, BLURS.items(), strict=True):
        problem, found = restored(backend, blur, size)
        row[0].set_ylabel(f"{blur}, {width:g} pixels")
        show(row, backend, problem, "blurred", found, between=", ")
    return figure


PICTURE = Picture(
    name="deblurring",
    family="lasso",
    title="Pictures deblurred: ridge regression, and the lasso in cosines of blocks",
    alt="Two rows of four grey portraits: the truth, the blurred picture, and what ridge and the lasso restore, "
    "each with its peak signal-to-noise ratio. Above the blur is Gaussian, and ridge is closer to the truth by "
    "a decibel; below it is that of motion, where ridge leaves ripples along it and the lasso is closer by a "
    "decibel.",
    caption="The portrait of Grace Hopper on 96 × 96 pixels, in [0, 1], blurred by a periodic xs.Convolution, with "
    "white noise of deviation 0.01 (xs.problems.blurred_picture). Ridge by conjugate gradients on the pixels; "
    "the lasso by FISTA on the coefficients of orthonormal cosines in blocks of 8 × 8, an xs.Kronecker product. "
    "λ is that of seven with which the picture is closest to the truth, which is known here and would not be "
    "elsewhere. Setting of G. Peyré, Mathematical Foundations of Data Sciences, §14.1.",
    draw=draw,
    seconds=3.8,
)
