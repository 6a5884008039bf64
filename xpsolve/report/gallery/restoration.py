"""Noisy and blurred pictures restored by several methods, each at the weight λ that is best for it.

    ridge            min ½‖Ax − y‖² + ½λ‖x‖²
    lasso            x = Ψc,  min ½‖AΨc − y‖² + λ‖c‖₁,  Ψ orthonormal: cosines of blocks, or Haar wavelets
    total variation  min ½‖Ax − y‖² + λ Σ_i ‖(∇x)_i‖  subject to  x ≥ 0

Sources: L. Rudin, S. Osher & E. Fatemi, Physica D 60 (1992); MFDS §14.1, and its slides on inverse problems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import panels


class Setting(NamedTuple):
    """How the picture was spoiled, and the values of λ that each method tries."""

    label: str
    observed: str
    blur: str
    width: float
    noise: float
    lams: dict[str, Any]


COSINES = {"ridge": np.geomspace(1e-3, 1e-1, 5), "cosine lasso": np.geomspace(1e-4, 1e-2, 5)}
NOISY = {"ridge": (0.03, 0.05, 0.1), "Haar lasso": (0.05, 0.1, 0.2), "total variation": (0.04, 0.06, 0.1)}
BLURRED = {"ridge": (3e-3, 8e-3, 2e-2), "Haar lasso": (4e-4, 9e-4, 2e-3), "total variation": (3e-4, 5e-4, 1e-3)}
DEBLURRED = (
    Setting("Gaussian, 1.5 pixels", "blurred", "gaussian", 1.5, 0.01, COSINES),
    Setting("motion, 9 pixels", "blurred", "motion", 9.0, 0.01, COSINES),
)
RESTORED = (
    Setting("noise", "noisy", "gaussian", 0.05, 0.1, NOISY),  # a kernel of one pixel: A is the identity
    Setting("Gaussian blur", "blurred", "gaussian", 1.5, 0.01, BLURRED),
    Setting("motion blur", "blurred", "motion", 9.0, 0.01, BLURRED),
)


def restored(backend: Backend, setting: Setting, size: int) -> tuple[Any, dict[str, tuple[float, Any]]]:
    """The problem, and for each method λ and the picture, where the picture is closest to the truth."""
    blur: dict[str, Any] = {"blur": setting.blur, "width": setting.width, "noise": setting.noise}
    problem = xs.problems.blurred_picture(shape=(size, size), backend=backend.name, **blur)
    A, y = problem.A, problem.y
    C, f = xs.operators.cosine_basis(size, block=8, like=y), xs.LeastSquares(A, y)
    step = 1 / float(xs.operator_norm(A)) ** 2  # Ψ is orthonormal: ‖AΨ‖ = ‖A‖, which the transform gives

    def lasso_in(basis: Any) -> Callable[[float], Any]:
        return lambda lam: basis @ xs.lasso(A @ basis, y, lam, method="fista", step=step, tol=1e-4).x

    smooth = partial(xs.penalties.TotalVariation, shape=problem.shape)  # of a mean over f.n samples
    solvers: dict[str, Callable[[float], Any]] = {
        "ridge": lambda lam: xs.ridge(A, y, lam, method="cg", tol=1e-4).x,
        "cosine lasso": lasso_in(xs.Kronecker(C, C)),
        "Haar lasso": lasso_in(xs.operators.Wavelet(problem.shape).T),
        "total variation": lambda lam: xs.minimize(f, smooth(lam / f.n) + xs.penalties.NonNegative(), tol=1e-4).x,
    }
    found = {}
    for name, lams in setting.lams.items():
        tried = [(float(lam), solvers[name](float(lam))) for lam in lams]
        found[name] = max(tried, key=lambda one: problem.psnr(one[1]))
    return problem, found


def portraits(backend: Backend, settings: Sequence[Setting], size: int, height: float) -> Any:
    """Rows of the truth, of what was observed, and of what each method finds, with its PSNR and λ."""
    figure, rows = panels(2 + len(settings[0].lams), rows=len(settings), height=height, images=True)
    for row, setting in zip(rows, settings, strict=True):
        problem, found = restored(backend, setting, size)
        shown = {"truth": problem.x_true, setting.observed: problem.y} | {name: x for name, (_, x) in found.items()}
        for axes, (name, x) in zip(row, shown.items(), strict=True):
            pixels = backend.to_numpy(x).reshape(problem.shape)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(name if name == "truth" else f"{name}\n{problem.psnr(x):.1f} dB")
        for axes, (lam, _) in zip(row[2:], found.values(), strict=True):
            axes.set_xlabel(f"λ = {lam:.1e}".replace("e-0", "e-"), fontsize=9)
        row[0].set_ylabel(setting.label)
    return figure


@picture("lasso", seconds=2.0)
def deblurring(backend: Backend, *, size: int = 96) -> Any:
    """Pictures deblurred: ridge regression, and the lasso in cosines of blocks

    Two rows of four grey portraits: the truth, the blurred picture, and what ridge and the lasso restore, with the
    peak signal-to-noise ratio. Gaussian blur, above: ridge is closer to the truth by a decibel. Motion, below:
    ridge leaves ripples along it, and the lasso is closer by a decibel.

    Grace Hopper on 96 × 96 pixels, in [0, 1], blurred by a periodic xs.Convolution, with white noise of 0.01. xs.ridge
    by conjugate gradients; xs.lasso by FISTA on cosines in blocks of 8 × 8, an xs.Kronecker product. λ is the best of
    five for the truth, known here only. Setting of MFDS, §14.1.
    """
    return portraits(backend, DEBLURRED, size, 4.5)


@picture("lasso", seconds=4.0)
def total_variation(backend: Backend, *, size: int = 96) -> Any:
    """Noisy and blurred pictures restored by total variation

    Three rows of five grey portraits: the truth, the noisy or blurred picture, and what ridge, the lasso in Haar
    wavelets and total variation restore, with the peak signal-to-noise ratio. Total variation is closest to the
    truth, by one to three decibels: smooth areas and sharp edges, where ridge keeps noise and the lasso shows squares.

    Grace Hopper on 96 × 96 pixels, with white noise of 0.1, or blurred by xs.Convolution with noise of 0.01. xs.ridge
    by conjugate gradients; xs.lasso by FISTA on xs.operators.Wavelet; total variation with x ≥ 0 by the primal–dual
    method of xs.minimize. λ is the best of three for the truth, known here only. Setting of MFDS, §14.1.
    """
    return portraits(backend, RESTORED, size, 5.9)
