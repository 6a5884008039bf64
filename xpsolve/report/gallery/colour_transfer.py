"""The colours of one photograph moved onto those of another, and back.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7; the photographs are those that scikit-learn
ships.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import panels


def photographs(every: int) -> list[Any]:
    """Two photographs, (rows, columns, 3) in [0, 1], each `every` pixels square averaged to one."""
    from sklearn.datasets import load_sample_image

    pictures = []
    for name in ("china.jpg", "flower.jpg"):
        z = load_sample_image(name) / 255.0
        rows, columns = (length // every for length in z.shape[:2])
        z = z[: rows * every, : columns * every].reshape(rows, every, columns, every, 3)
        pictures.append(z.mean(axis=(1, 3)))
    return pictures


def recoloured(backend: Backend, pictures: list[Any], *, n: int, eps: float) -> list[Any]:
    """Each picture with the colours of the other: T(x) = Σ_j y_j exp((g_j − ‖x − y_j‖²)/ε) / Σ_j exp(…)."""
    rng = np.random.default_rng(0)
    pixels = [z.reshape(-1, 3) for z in pictures]
    x, y = (z[rng.choice(len(z), n, replace=False)] for z in pixels)
    weights = backend.asarray(np.full(n, 1 / n))
    f, g = xs.sinkhorn(weights, weights, xs.PointCloud(backend.asarray(x), backend.asarray(y)), eps, tol=1e-6).x
    moved = []
    for z, targets, potential, picture in zip(pixels, (y, x), (g, f), pictures, strict=True):
        distances = np.sum(z**2, axis=1)[:, None] - 2 * z @ targets.T + np.sum(targets**2, axis=1)
        shares = xs.softmax(potential - backend.asarray(distances), eps=eps)
        moved.append(backend.to_numpy(shares @ backend.asarray(targets)).reshape(picture.shape))
    return moved


def draw(backend: Backend, *, every: int = 4, n: int = 800, eps: float = 0.01) -> Any:
    """Above the photographs, below each in the colours of the other."""
    pictures = photographs(every)
    figure, grid = panels(2, rows=2, height=4.9)
    moved = recoloured(backend, pictures, n=n, eps=eps)
    words = (("a temple", "a flower"), ("the temple in the flower's colours", "the flower in the temple's colours"))
    for axes, picture, label in zip(grid.flat, [*pictures, *moved], sum(words, ()), strict=True):
        axes.grid(visible=False)
        axes.imshow(np.clip(picture, 0, 1), interpolation="none")
        axes.set(xticks=(), yticks=(), xlabel=label)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


PICTURE = Picture(
    name="colour-transfer",
    family="transport",
    title="A plan between pixels gives one photograph the colours of another",
    alt="Four pictures. Above, the photographs: a red and green temple before a pale sky, and an orange flower on dark "
    "green leaves. Below, the same temple in greens and reds before an orange sky, and the same flower white on pale "
    "and brown leaves; shapes and shading stay.",
    caption="800 pixels of each photograph as points in the colour cube with equal weights, squared distances, "
    "xs.sinkhorn on an xs.PointCloud with ε = 0.01; every pixel then goes to the mean colour that the potentials give "
    "it, a softmax. After G. Peyré, Mathematical Foundations of Data Sciences, §14.3.7; photographs of scikit-learn.",
    draw=draw,
    seconds=1.9,
)
