"""Blurred pictures with noise, whose truth is known, and the operator that blurred them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.arrays import backends
from xpsolve.operators import Convolution
from xpsolve.problems._problem import check_level, check_size, placer
from xpsolve.problems.real import photograph

BLURS = ("gaussian", "motion")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BlurredPicture:
    """y = A x + w: a picture x, a blur A and white noise w, pictures flattened row after row.

    Parameters
    ----------
    name : str
        What it is called.
    A : Convolution
        The blur.
    y : array, shape (n,)
        What is observed.
    x_true : array, shape (n,)
        The picture, with values in [0, 1].
    noise : array, shape (n,)
        w.
    shape : tuple of int
        Rows and columns.
    backend : str
        Name of the backend that the arrays are on.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import problems
    >>> problem = problems.blurred_picture(shape=(32, 32), picture=np.eye(32))
    >>> problem
    BlurredPicture('gaussian blur', shape=(32, 32), backend='numpy')
    >>> problem.psnr(problem.y) < problem.psnr(problem.x_true + 0.001)
    True
    """

    name: str
    A: Convolution
    y: Any
    x_true: Any
    noise: Any
    shape: tuple[int, int]
    backend: str = "numpy"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, shape={self.shape}, backend={self.backend!r})"

    def psnr(self, x: Any) -> float:
        """The peak signal-to-noise ratio of x in decibels, −10 log₁₀ of its mean squared error for a peak of 1."""
        return float(-10 * np.log10(np.mean((backends.to_numpy(x) - backends.to_numpy(self.x_true)) ** 2)))


def blurred_picture(
    *,
    shape: tuple[int, int] = (64, 64),
    blur: str = "gaussian",
    width: float = 1.5,
    angle: float = 30.0,
    noise: float = 0.01,
    boundary: str = "periodic",
    picture: Any = None,
    seed: int = 0,
    backend: str = "numpy",
    dtype: str = "float64",
) -> BlurredPicture:
    """A photograph out of focus or in motion, with white noise.

    Parameters
    ----------
    shape : tuple of two int
        Rows and columns.
    blur : str
        "gaussian", or "motion" along a line.
    width : float
        Standard deviation of the Gaussian, or length of the line, in pixels.
    angle : float
        Of the line, in degrees from the rows upwards.
    noise : float
        Standard deviation of the noise; the picture has values in [0, 1].
    boundary : str
        "zero" or "periodic": what lies around the picture.
    picture : array, shape `shape`, optional
        The truth, on the host, in place of the photograph.
    seed : int
        Of the noise.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    BlurredPicture
        With the truth, and the blur as an operator.

    Raises
    ------
    ImportError
        If matplotlib, which carries the photograph, is not installed.
    ValueError
        If an option is out of range, the kernel is larger than the picture, or the picture has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import problems
    >>> problem = problems.blurred_picture(shape=(32, 32), blur="motion", width=7, picture=np.eye(32))
    >>> problem.A.shape, problem.y.shape
    ((1024, 1024), (1024,))
    """
    place = placer(backend, dtype)
    if blur not in BLURS:
        message = f"blur: expected one of {', '.join(BLURS)}, got {blur!r}."
        raise ValueError(message)
    kernel = _gaussian(check_level("width", width)) if blur == "gaussian" else _line(check_level("width", width), angle)
    rows, columns = (check_size("shape", length) for length in shape)
    if max(kernel.shape) > min(rows, columns):
        message = f"width: expected a kernel within the picture, got {kernel.shape} for {(rows, columns)}."
        raise ValueError(message)
    truth = photograph(shape=(rows, columns)) if picture is None else np.asarray(picture, dtype="float64")
    if truth.shape != (rows, columns):
        message = f"picture: expected shape {(rows, columns)}, got {truth.shape}."
        raise ValueError(message)
    w = check_level("noise", noise) * np.random.default_rng(seed).standard_normal(rows * columns)
    A = Convolution(place(kernel), (rows, columns), boundary=boundary, flip=True)
    x = place(truth.reshape(-1))
    return BlurredPicture(
        name=f"{blur} blur",
        A=A,
        y=A @ x + place(w),
        x_true=x,
        noise=place(w),
        shape=(rows, columns),
        backend=backend,
    )


def _gaussian(width: float) -> Any:
    """exp(−r²/2σ²) to three deviations, of sum 1."""
    reach = int(np.ceil(3 * width))
    profile = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * max(width, 1e-3) ** 2))
    return np.outer(profile, profile) / profile.sum() ** 2


def _line(length: float, angle: float) -> Any:
    """A segment through the middle, its mass shared between the four pixels around each of its points; of sum 1."""
    reach = int(np.ceil(length / 2))
    t = np.linspace(-length / 2, length / 2, 64 * (reach + 1) + 1)
    row, column = reach - t * np.sin(np.deg2rad(angle)), reach + t * np.cos(np.deg2rad(angle))
    pixel = np.arange(2 * reach + 1)[:, None]
    up, across = (np.maximum(1 - np.abs(pixel - place), 0) for place in (row, column))
    return up @ across.T / t.size
