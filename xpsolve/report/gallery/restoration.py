"""Noisy and blurred pictures restored by several methods, each at the weight λ that is best for it.

    ridge            min ½‖Ax − y‖² + ½λ‖x‖²
    lasso            x = Ψc,  min ½‖AΨc − y‖² + λ‖c‖₁,  Ψ orthonormal: cosines of blocks, or Haar wavelets
    total variation  min ½‖Ax − y‖² + λ Σ_i ‖(∇x)_i‖  subject to  x ≥ 0

Sources: L. Rudin, S. Osher & E. Fatemi, Physica D 60 (1992); MFDS §14.1, and its slides on inverse problems.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.operators import cosine_basis
from xpsolve.penalties import NonNegative, TotalVariation
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import panels
from xpsolve.solution import inner_solve


class Found(NamedTuple):
    """What a method found."""

    lam: float
    x: Any


def best(problem: Any, solvers: Mapping[str, Callable[[float], Any]], lams: Mapping[str, Any]) -> dict[str, Found]:
    """λ and the picture with the best PSNR by each solver."""
    tried = {name: [Found(float(lam), solve(float(lam))) for lam in lams[name]] for name, solve in solvers.items()}
    return {name: max(found, key=lambda one: problem.psnr(one.x)) for name, found in tried.items()}


def show(row: Any, backend: Backend, problem: Any, observed: str, found: Mapping[str, Found], between: str) -> None:
    """The truth, what was observed, and what each method found, with λ and the PSNR, `between` it and the name."""
    shown = {"truth": problem.x_true, observed: problem.y, **{name: one.x for name, one in found.items()}}
    for axes, (name, x) in zip(row, shown.items(), strict=True):
        pixels = backend.to_numpy(x).reshape(problem.shape)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(name if name == "truth" else f"{name}{between}{problem.psnr(x):.1f} dB")
        if name in found:
            axes.set_xlabel(f"λ = {found[name].lam:.1e}".replace("e-0", "e-"), fontsize=9)


BLURS = {"gaussian": 1.5, "motion": 9.0}
LAMS = {"ridge": np.geomspace(1e-3, 1e-1, 7), "lasso": np.geomspace(1e-4, 1e-2, 7)}


def deblurred(backend: Backend, blur: str, size: int, block: int = 8) -> tuple[Any, dict[str, Found]]:
    """The problem, and λ and the picture with the best PSNR by ridge and by the lasso in cosines."""
    problem = xs.problems.blurred_picture(shape=(size, size), blur=blur, width=BLURS[blur], backend=backend.name)
    A, y = problem.A, problem.y
    C = cosine_basis(size, block=block, like=y)
    cosines = xs.Kronecker(C, C)
    step = 1 / float(xs.operator_norm(A)) ** 2  # Ψ is orthonormal: ‖AΨ‖ = ‖A‖, which the transform gives
    solvers = {
        "ridge": lambda lam: xs.ridge(A, y, lam, method="cg", tol=1e-4).x,
        "lasso": lambda lam: cosines @ xs.lasso(A @ cosines, y, lam, method="fista", step=step, tol=1e-4).x,
    }
    return problem, best(problem, solvers, LAMS)


@picture("lasso", seconds=3.8)
def deblurring(backend: Backend, *, size: int = 96) -> Any:
    """Pictures deblurred: ridge regression, and the lasso in cosines of blocks

    Two rows of four grey portraits: the truth, the blurred picture, and what ridge and the lasso restore, each with
    its peak signal-to-noise ratio. Above the blur is Gaussian, and ridge is closer to the truth by a decibel; below
    it is that of motion, where ridge leaves ripples along it and the lasso is closer by a decibel.

    The portrait of Grace Hopper on 96 × 96 pixels, in [0, 1], blurred by a periodic xs.Convolution, with white
    noise of deviation 0.01 (xs.problems.blurred_picture). Ridge by conjugate gradients on the pixels; the lasso by
    FISTA on the coefficients of orthonormal cosines in blocks of 8 × 8, an xs.Kronecker product. λ is that of seven
    with which the picture is closest to the truth, which is known here and would not be elsewhere. Setting of MFDS,
    §14.1.
    """
    figure, rows = panels(4, rows=len(BLURS), height=4.3, images=True)
    for row, (blur, width) in zip(rows, BLURS.items(), strict=True):
        problem, found = deblurred(backend, blur, size)
        row[0].set_ylabel(f"{blur}, {width:g} pixels")
        show(row, backend, problem, "blurred", found, ", ")
    return figure


class Setting(NamedTuple):
    """How the picture was spoiled, and the values of λ that are tried."""

    label: str
    observed: str
    blur: str
    width: float
    noise: float
    lams: dict[str, Any]


def _four(**ends: tuple[float, float]) -> dict[str, Any]:
    return {name.replace("_", " "): np.geomspace(low, high, 4) for name, (low, high) in ends.items()}


_BLURRED = _four(ridge=(3e-3, 2e-2), Haar_lasso=(4e-4, 2e-3), total_variation=(3e-4, 1e-3))
_NOISY = _four(ridge=(3e-2, 1e-1), Haar_lasso=(5e-2, 2e-1), total_variation=(4e-2, 1e-1))
SETTINGS = (
    Setting("noise", "noisy", "gaussian", 0.05, 0.1, _NOISY),  # a kernel of one pixel: A is the identity
    Setting("Gaussian blur", "blurred", "gaussian", 1.5, 0.01, _BLURRED),
    Setting("motion blur", "blurred", "motion", 9.0, 0.01, _BLURRED),
)


@inner_solve()
def restored(backend: Backend, setting: Setting, size: int) -> tuple[Any, dict[str, Found]]:
    """The problem, and what each method finds at its best λ."""
    shape = (size, size)
    options: dict[str, Any] = {"blur": setting.blur, "width": setting.width, "noise": setting.noise}
    problem = xs.problems.blurred_picture(shape=shape, backend=backend.name, **options)
    A, y = problem.A, problem.y
    waves = xs.operators.Wavelet(shape).T
    step = 1 / float(xs.operator_norm(A)) ** 2  # W is orthogonal: ‖AWᵀ‖ = ‖A‖, which the transform gives
    f = xs.LeastSquares(A, y)  # the mean over the samples, so that λ is divided by their number
    solvers = {
        "ridge": lambda lam: xs.ridge(A, y, lam, method="cg", tol=1e-4).x,
        "Haar lasso": lambda lam: waves @ xs.lasso(A @ waves, y, lam, method="fista", step=step, tol=1e-4).x,
        "total variation": lambda lam: xs.minimize(f, TotalVariation(lam / f.n, shape) + NonNegative(), tol=5e-5).x,
    }
    return problem, best(problem, solvers, setting.lams)


@picture("lasso", seconds=7.0)
def total_variation(backend: Backend, *, size: int = 96) -> Any:
    """Noisy and blurred pictures restored by total variation

    Three rows of five grey portraits: the truth, the noisy or blurred picture, and what ridge, the lasso in Haar
    wavelets and total variation restore, each with its peak signal-to-noise ratio. Total variation is the closest
    to the truth in every row, by one to three decibels: its areas are smooth and its edges sharp, where ridge keeps
    the noise or leaves ripples and the lasso shows squares.

    The portrait of Grace Hopper on 96 × 96 pixels, in [0, 1], with white noise of deviation 0.1, or blurred by a
    periodic xs.Convolution with noise of deviation 0.01. Ridge by conjugate gradients on the pixels, which can only
    shrink them where there is no blur; the lasso by FISTA on the coefficients of xs.operators.Wavelet; total
    variation with x ≥ 0 by the primal–dual method of xs.minimize. λ multiplies the penalty beside ½‖Ax − y‖², and
    is that of four with which the picture is closest to the truth, which is known here and would not be elsewhere.
    Setting of MFDS, §14.1.
    """
    figure, rows = panels(5, rows=len(SETTINGS), height=5.9, images=True)
    for row, setting in zip(rows, SETTINGS, strict=True):
        problem, found = restored(backend, setting, size)
        row[0].set_ylabel(setting.label)
        show(row, backend, problem, setting.observed, found, "\n")
    return figure
