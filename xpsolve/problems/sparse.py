"""Problems whose answers are sparse: dictionaries with samples, and currents in the brain seen by few sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.problems._problem import Problem, check_level, check_size, placer
from xpsolve.problems.real import digits, patches

DATA = ("gaussian", "digits", "patches")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SparseCoding:
    """Samples x to be coded by few atoms each: min ½‖x − Dz‖² + λ‖z‖₁.

    Parameters
    ----------
    name : str
        What it is called.
    D : array, shape (n, m)
        The dictionary, atoms of length 1 in its columns.
    X : array, shape (N, n)
        Samples in rows, scaled to max |Dᵀx| = 1: every code is 0 from λ = 1 on.
    backend : str
        Name of the backend that the arrays are on.
    source : str
        Where the data come from.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problems.sparse_coding("gaussian", m=100, samples=50)
    SparseCoding('gaussian', n=64, m=100, samples=50, backend='numpy')
    """

    name: str
    D: Any
    X: Any
    backend: str = "numpy"
    source: str = ""

    def __repr__(self) -> str:
        (n, m), samples = self.D.shape, self.X.shape[0]
        return f"{type(self).__name__}({self.name!r}, n={n}, m={m}, samples={samples}, backend={self.backend!r})"


def sparse_coding(
    data: str = "gaussian",
    *,
    m: int = 256,
    samples: int = 1000,
    size: int = 8,
    seed: int = 0,
    backend: str = "numpy",
    dtype: str = "float64",
) -> SparseCoding:
    """A dictionary drawn from data, and other samples of the same data.

    Parameters
    ----------
    data : str
        "gaussian", independent normal numbers; "digits", images of 8 × 8 pixels; or "patches" of the photograph.
        Images are taken less their means.
    m : int
        Atoms.
    samples : int
        Samples, none of them an atom; of digits there are 1797 in all.
    size : int
        Side of a patch, or of what normal numbers fill: n = size².  Digits are of size 8.
    seed : int
        Settles which are atoms.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    SparseCoding
        Dictionary and samples.

    Raises
    ------
    ImportError
        If the package that carries the data is not installed.
    ValueError
        If there are no such data, not so many of them, or not of that size.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.sparse_coding("digits", m=128, samples=500)
    >>> problem.D.shape, problem.X.shape
    ((64, 128), (500, 64))
    """
    place = placer(backend, dtype)
    m, samples, size = check_size("m", m), check_size("samples", samples), check_size("size", size)
    rng = np.random.default_rng(seed)
    if data == "gaussian":
        rows, source = rng.standard_normal((m + samples, size**2)), f"synthetic, seed {seed}"
    elif data == "digits":
        problem = digits(standardise=False)
        rows, source = problem.A, problem.source
        if size != 8 or m + samples > rows.shape[0]:
            message = f"data: digits are {rows.shape[0]} of size 8, got m + samples = {m + samples} of size {size}."
            raise ValueError(message)
        rows = rng.permutation(rows)[: m + samples]
        rows = rows - rows.mean(axis=1, keepdims=True)
    elif data == "patches":
        rows, source = patches(size=size, count=m + samples, seed=seed), "the photograph that matplotlib carries"
        flat = np.linalg.norm(rows, axis=1) < 1e-3 * size  # nothing to code: what is there is rounding
        rows = np.where(flat[:, None], rng.standard_normal(rows.shape) * 1e-3, rows)
    else:
        message = f"data: expected one of {', '.join(DATA)}, got {data!r}."
        raise ValueError(message)
    D = rows[:m].T / np.linalg.norm(rows[:m], axis=1)
    X = rows[m:]
    return SparseCoding(
        name=data, D=place(D), X=place(X / np.max(np.abs(X @ D), axis=1, keepdims=True)), backend=backend, source=source
    )


def meg(
    *,
    sensors: int = 64,
    sources: int = 1024,
    active: int = 4,
    noise: float = 0.05,
    seed: int = 0,
    backend: str = "numpy",
    dtype: str = "float64",
) -> Problem:
    """Few currents among many in the brain, seen from outside by few sensors: a magnetoencephalogram in a sphere.

    The head is a sphere with sensors 1.3 radii from its middle, sources lie 0.7 radii from it over the upper half and
    are tangential, of random orientation.  What a current q at r leaves in a radial magnetometer at s is free of the
    currents that it drives in a sphere (Sarvas, Phys. Med. Biol. 32, 1987):

        B = ⟨q × r, s/‖s‖⟩ / ‖s − r‖³,  up to a factor

    Neighbouring sources are hard to distinguish.

    Parameters
    ----------
    sensors, sources : int
        n and p; few and many.
    active : int
        Sources that carry a current, of ±1.
    noise : float
        ‖w‖ / ‖A x‖.
    seed : int
        Settles orientations, active sources and noise.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    Problem
        A (sensors, sources) with columns of length 1, y, `x_true` and `noise`.

    Raises
    ------
    ValueError
        If a size or level is out of range, or more sources are active than there are.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.meg()
    >>> problem
    Problem('meg', n=64, p=1024, backend='numpy', dtype='float64')
    >>> int((problem.x_true != 0).sum())
    4
    """
    place = placer(backend, dtype)
    n, p, k = check_size("sensors", sensors), check_size("sources", sources), check_size("active", active)
    level = check_level("noise", noise)
    if k > p:
        message = f"active: expected at most {p}, the number of sources, got {active}."
        raise ValueError(message)
    rng = np.random.default_rng(seed)
    s, r = 1.3 * _half_sphere(n), 0.7 * _half_sphere(p)
    q = np.cross(rng.standard_normal((p, 3)), r)  # tangential
    away = np.linalg.norm(s[:, None, :] - r, axis=2)
    A = (s / np.linalg.norm(s, axis=1, keepdims=True)) @ np.cross(q, r).T / away**3
    A = A / np.linalg.norm(A, axis=0)
    x = np.zeros(p)
    x[rng.permutation(p)[:k]] = rng.choice([-1.0, 1.0], k)
    w = rng.standard_normal(n)
    w *= level * np.linalg.norm(A @ x) / np.linalg.norm(w)
    return Problem(
        name="meg",
        A=place(A),
        y=place(A @ x + w),
        x_true=place(x),
        noise=place(w),
        backend=backend,
        source=f"synthetic, dipoles in a sphere, seed {seed}",
    )


def _half_sphere(count: int) -> Any:
    """Points on a spiral, evenly spread over the upper half of the unit sphere."""
    i = np.arange(count)
    z = 1 - (i + 0.5) / count
    angle = i * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
