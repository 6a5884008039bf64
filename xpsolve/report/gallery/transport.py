"""Optimal transport: plans, how fast Sinkhorn's iterations converge, barycentres, and colours moved.

Sources: MFDS §14.3.7; J.-D. Benamou et al., Iterative Bregman projections for regularized transportation problems
(2015).  The photographs are those that scikit-learn ships.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import COLOURS, INK, panels, set_axes

EPS = (1e-1, 1e-2, 1e-3)
ERROR = "‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁"


def shade(axes: Any, x: Any, mass: Any, levels: tuple[float, ...], alpha: float) -> None:
    """Fill the areas where the mass is above some shares of its maximum, one over the other."""
    for level in levels:
        axes.contourf(x, x, mass / mass.max(), levels=[level, 2.0], colors=["C0"], alpha=alpha)


@picture("transport", seconds=0.2)
def sinkhorn_plans(backend: Backend, *, n: int = 120) -> Any:
    """As ε falls, the plan sharpens from a product to a graph

    Three square panels of the plan between one bump, drawn at the left side, and two bumps, drawn below. For ε = 0.1
    the plan is two broad blots, nearly a product; for 0.01 they lean and stretch; for 0.001 they are a thin curve.

    Two histograms on 120 points of [0, 1], cost (x − y)²; xs.sinkhorn on an xs.Grid to marginal errors of 1e-6. The
    optimal plan without entropy is the graph of the monotone map. After MFDS, §14.3.7.
    """
    x = np.linspace(0, 1, n)

    def bump(centre: float, width: float) -> Any:
        return np.exp(-((x - centre) ** 2) / (2 * width**2))

    a, b = (z / z.sum() for z in (bump(0.35, 0.12), 0.6 * bump(0.25, 0.06) + bump(0.7, 0.08)))
    figure, row = panels(3, height=2.9, sharex=True, sharey=True)
    for axes, eps in zip(row, EPS, strict=True):
        plan = xs.sinkhorn(backend.asarray(a), backend.asarray(b), xs.Grid(backend.asarray(x)), eps, tol=1e-6).plan()
        shade(axes, x, backend.to_numpy(plan), (0.02, 0.1, 0.3, 0.6), 0.3)
        axes.plot(x, 0.15 * b / b.max(), color="C1")
        axes.plot(0.15 * a / a.max(), x, color="C0")
        axes.grid(visible=False)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1), aspect="equal", xlabel=f"ε = {eps:g}")
    return figure


def squares(backend: Backend, n: int) -> tuple[Any, Any]:
    """Equal weights, and squared distances between n and n points of the unit square over the largest."""
    x, y = (backend.asarray(points) for points in np.random.default_rng(0).random((2, n, 2)))
    M = xs.PointCloud(x, y).between(x, y)
    return backend.asarray(np.full(n, 1 / n)), M / backend.namespace.max(M)


@picture("transport", seconds=0.8)
def sinkhorn_convergence(backend: Backend, *, n: int = 200, max_iter: int = 1000) -> Any:
    """Sinkhorn needs some 1/ε iterations, over-relaxed far fewer

    Two log-log panels of the marginal error against iterations, for ε = 0.1, 0.01 and 0.001 of the largest cost.
    Plain, at the left, the two larger reach 1e-9 after some tens and hundreds of iterations, the smallest is far from
    it after 1000; over-relaxed, at the right, all three reach it within a few hundred.

    200 points against 200 in the unit square, squared distances; xs.sinkhorn. Dots: method='log', whose iterates are
    those of 'stabilized'. A line jumps where ε-scaling continues with a smaller ε. After MFDS, §14.3.7.
    """
    a, M = squares(backend, n)
    figure, pair = panels(2, height=3.6, sharey=True)
    for axes, relaxation, name in zip(pair, (1.0, "auto"), ("plain", "over-relaxed"), strict=True):
        for eps, colour in zip(EPS, COLOURS, strict=False):
            for method, ink, dashes in (("stabilized", colour, (None, None)), ("log", INK, (1, 3))):
                run = xs.sinkhorn(a, a, M, eps, method=method, relaxation=relaxation, max_iter=max_iter, record=True)
                error = backend.to_numpy(run.history["certificate"])[1:]
                label = f"ε = {eps:g}" if method == "stabilized" else None
                axes.plot(np.arange(1, error.size + 1), error, color=ink, dashes=dashes, linewidth=1.6, label=label)
        set_axes(axes, x="powers", y="powers", xlabel=f"iteration, {name}", xlim=(1, max_iter), ylim=(1e-9, 2))
    set_axes(pair[0], ylabel=ERROR, legend="upper right")
    return figure


METHODS = {
    "scaling, plain": ("scaling", 1.0),
    "scaling": ("scaling", "auto"),
    "stabilized": ("stabilized", "auto"),
    "log": ("log", "auto"),
}


def timed(a: Any, M: Any, eps: float, method: str, relaxation: Any, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds since the call at each check, and the marginal error there."""
    at, errors = [], []
    start = perf_counter()

    def look(_: int, progress: xs.Progress) -> bool:
        at.append(perf_counter() - start)
        errors.append(float(progress.measure))
        return at[-1] > seconds

    xs.sinkhorn(a, a, M, eps, method=method, relaxation=relaxation, callback=look)
    return at, errors


@picture("transport", seconds=0.9, timed=True)
def sinkhorn_seconds(backend: Backend, *, n: int = 400, seconds: float = 0.6) -> Any:
    """Products with a kernel take a fraction of the time of logarithms

    Three log-log panels of the marginal error against seconds, for ε = 0.1, 0.01 and 0.001 of the largest cost. In
    the first two, over-relaxed scaling is the first to reach 1e-9, as fast as plain scaling for 0.1 and faster for
    0.01; the log domain is the last, some ten times later. For 0.001 stabilized is the first of the two left.

    400 points against 400 in the unit square, squared distances; xs.sinkhorn, at most 0.6 seconds per run; all but
    'plain' are over-relaxed. The kernel of scaling would be out of range for ε = 0.001. After MFDS, §14.3.7.
    """
    a, M = squares(backend, n)
    figure, row = panels(3, height=3.4, sharey=True, sharex=True, marked=True)
    timed(a, M, EPS[0], "scaling", 1.0, seconds)  # threads, caches and kernels are awake
    for axes, eps in zip(row, EPS, strict=True):
        for label, (method, relaxation) in METHODS.items():
            in_range = method != "scaling" or eps > 1 / 650  # exp(−M/ε)
            at, error = timed(a, M, eps, method, relaxation, seconds) if in_range else ([], [])
            axes.plot(at, error, label=label, markersize=4, markevery=max(1, len(at) // 6))
        set_axes(axes, x="powers", y="powers", xlabel=f"seconds, ε = {eps:g}", ylim=(3e-11, 3))
    row[0].set_ylabel(ERROR)
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
    return figure


@picture("transport", seconds=0.3)
def barycenters(backend: Backend, *, n: int = 48, eps: float = 3.2e-3) -> Any:
    """Barycentres move mass from one shape to another

    Two rows of five pictures, from a ring at the left to two discs at the right. Above, barycentres: the ring opens
    and gathers into the discs. Below, mixtures: the ring fades while the discs appear in their place.

    A ring and two discs on 48 × 48 pixels; above, xs.barycenter on an xs.Grid with ε = 0.0032 and the weights 1 − t
    and t; below, (1 − t)a₁ + ta₂. The number is t. After MFDS, §14.3.7, and J.-D. Benamou et al. (2015).
    """
    x = np.linspace(0, 1, n)

    def away(centre: float) -> Any:
        return np.hypot(x[:, None] - centre, x - centre)

    shapes = ((away(0.5) < 0.38) & (away(0.5) > 0.24), (away(0.28) < 0.17) | (away(0.72) < 0.17))
    A = np.stack([shape.reshape(-1) / shape.sum() for shape in shapes])
    axis, there = backend.asarray(x), backend.asarray(A)
    figure, rows = panels(5, rows=2, height=3.1, images=True)
    for column, t in zip(rows.T, (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
        weights = np.asarray([1 - t, t])
        b = xs.barycenter(there, xs.Grid(axis, axis), eps, backend.asarray(weights), tol=1e-4).x
        for axes, mass in zip(column, (backend.to_numpy(b), weights @ A), strict=True):
            shade(axes, x, mass.reshape(n, n), (0.15, 0.35, 0.55, 0.75), 0.35)
            axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1))
        column[1].set_xlabel(f"{t:g}")
    rows[0, 0].set_ylabel("barycentre")
    rows[1, 0].set_ylabel("mixture")
    return figure


def photograph(name: str, every: int) -> Any:
    """A photograph, (rows, columns, 3) in [0, 1], with squares of `every` by `every` pixels averaged to one."""
    from sklearn.datasets import load_sample_image

    z = load_sample_image(name) / 255.0
    rows, columns = (length // every for length in z.shape[:2])
    return z[: rows * every, : columns * every].reshape(rows, every, columns, every, 3).mean(axis=(1, 3))


@picture("transport", seconds=1.2)
def colour_transfer(backend: Backend, *, every: int = 4, n: int = 500, eps: float = 0.01) -> Any:
    """A plan between pixels gives one photograph the colours of another

    Four pictures. Above, the photographs: a red and green temple before a pale sky, and an orange flower on dark green
    leaves. Below, the temple in greens and reds before an orange sky, and the flower white on pale and brown leaves;
    shapes and shading stay.

    500 pixels of each photograph as points in the colour cube, xs.sinkhorn on an xs.PointCloud with ε = 0.01; every
    pixel goes to the mean colour by the potentials, an xs.softmax. After MFDS, §14.3.7; photographs of scikit-learn.
    """
    rng, images = np.random.default_rng(0), [photograph(name, every) for name in ("china.jpg", "flower.jpg")]
    pixels = [z.reshape(-1, 3) for z in images]
    x, y = (backend.asarray(z[rng.choice(len(z), n, replace=False)]) for z in pixels)
    weights = backend.asarray(np.full(n, 1 / n))
    f, g = xs.sinkhorn(weights, weights, xs.PointCloud(x, y), eps, tol=1e-6).x
    for z, colours, potential, image in zip(pixels, (y, x), (g, f), tuple(images), strict=True):
        there = backend.asarray(z)
        shares = xs.softmax(potential - xs.PointCloud(there, colours).between(there, colours), eps=eps)
        images.append(backend.to_numpy(shares @ colours).reshape(image.shape))
    words = ("a temple", "a flower", "the temple in the flower's colours", "the flower in the temple's colours")
    figure, grid = panels(2, rows=2, height=4.9, images=True)
    for axes, image, label in zip(grid.flat, images, words, strict=True):
        axes.imshow(np.clip(image, 0, 1), interpolation="none")
        axes.set_xlabel(label)
        axes.spines[:].set_visible(False)
    return figure
