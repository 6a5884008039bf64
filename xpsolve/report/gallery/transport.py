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
from xpsolve.report.style import COLOURS, INK, MARKERS, panels, scale

EPS = (1e-1, 1e-2, 1e-3)
ERROR = "‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁"


@picture("transport", seconds=0.2)
def sinkhorn_plans(backend: Backend, *, n: int = 120) -> Any:
    """As ε falls, the plan sharpens from a product to a graph

    Three square panels of the plan between one bump, drawn at the left side, and two bumps, drawn below. For
    ε = 0.1 the plan is two broad blots, nearly a product, for 0.01 they lean and stretch, for 0.001 they are one
    thin rising curve.

    Two histograms on 120 points of [0, 1], cost (x − y)²; xs.sinkhorn on an xs.Grid to marginal errors of 1e-6,
    plans by .plan(). The optimal plan without entropy is the graph of the monotone map. After MFDS, §14.3.7.
    """
    x = np.linspace(0, 1, n)

    def bump(centre: float, width: float) -> Any:
        return np.exp(-((x - centre) ** 2) / (2 * width**2))

    a, b = (z / z.sum() for z in (bump(0.35, 0.12), 0.6 * bump(0.25, 0.06) + bump(0.7, 0.08)))
    blue, orange, *_ = COLOURS
    figure, row = panels(3, height=2.9, sharex=True, sharey=True)
    for axes, eps in zip(row, EPS, strict=True):
        axes.grid(visible=False)
        grid = xs.Grid(backend.asarray(x))
        plan = backend.to_numpy(xs.sinkhorn(backend.asarray(a), backend.asarray(b), grid, eps, tol=1e-6).plan())
        levels = np.max(plan) * np.asarray([0.02, 0.1, 0.3, 0.6, 1.0])
        axes.contourf(x, x, plan, levels=levels, colors=[blue] * 4, alpha=0.25)
        for low in levels[:-1]:
            axes.contourf(x, x, plan, levels=[low, levels[-1]], colors=[blue], alpha=0.25)
        axes.plot(x, 0.15 * b / b.max(), color=orange)
        axes.plot(0.15 * a / a.max(), x, color=blue)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1), aspect="equal", xlabel=f"ε = {eps:g}")
    return figure


def squares(backend: Backend, n: int) -> tuple[Any, Any]:
    """Equal weights, and squared distances between n and n points of the unit square over the largest."""
    rng = np.random.default_rng(0)
    x, y = rng.random((n, 2)), rng.random((n, 2))
    M = np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)
    return backend.asarray(np.full(n, 1 / n)), backend.asarray(M / np.max(M))


@picture("transport", seconds=0.8)
def sinkhorn_convergence(backend: Backend, *, n: int = 200, max_iter: int = 1000) -> Any:
    """Sinkhorn needs some 1/ε iterations, over-relaxed far fewer

    Two log-log panels of the marginal error against iterations, a line each for ε = 0.1, 0.01 and 0.001 of the
    largest cost. Plain, at the left, the two larger reach 1e-9 after some tens and hundreds of iterations and the
    smallest is far from it after 1000; over-relaxed, at the right, all three reach it within a few hundred.

    200 points against 200 in the unit square, squared distances divided by the largest. xs.sinkhorn with
    record=True; dots: method='log', on top of 'stabilized', whose iterates are the same. A line jumps where
    ε-scaling continues with a smaller ε. After MFDS, §14.3.7.
    """
    a, M = squares(backend, n)
    figure, pair = panels(2, height=3.6, sharey=True)
    for axes, relaxation, name in zip(pair, (1.0, "auto"), ("plain", "over-relaxed"), strict=True):
        for eps, colour in zip(EPS, COLOURS, strict=False):
            lines = (("stabilized", colour, (None, None), f"ε = {eps:g}"), ("log", INK, (1, 3), None))
            for method, ink, dashes, label in lines:
                options: dict[str, Any] = {
                    "method": method,
                    "relaxation": relaxation,
                    "max_iter": max_iter,
                    "record": True,
                }
                error = backend.to_numpy(xs.sinkhorn(a, a, M, eps, **options).history["certificate"])
                axes.plot(np.arange(1, error.size), error[1:], color=ink, dashes=dashes, linewidth=1.6, label=label)
        scale(axes, x="powers", y="powers")
        axes.set(xlabel=f"iteration, {name}", xlim=(1, max_iter), ylim=(1e-9, 2))
    pair[0].set_ylabel(ERROR)
    pair[0].legend(loc="lower left")
    return figure


METHODS = {
    "scaling, plain": ("scaling", 1.0),
    "scaling": ("scaling", "auto"),
    "stabilized": ("stabilized", "auto"),
    "log": ("log", "auto"),
}


def timed(a: Any, M: Any, eps: float, method: str, relaxation: Any, seconds: float) -> tuple[Any, Any]:
    """Seconds since the call at each check, and the marginal error there."""
    checks: list[tuple[int, float]] = []
    start = perf_counter()

    def look(k: int, progress: xs.Progress) -> bool:
        checks.append((k, perf_counter() - start))
        return checks[-1][1] > seconds

    run = xs.sinkhorn(a, a, M, eps, method=method, relaxation=relaxation, callback=look, record=True)
    k, t = np.asarray(checks).T
    return t, np.asarray([float(run.history["certificate"][int(i)]) for i in k])


@picture("transport", seconds=0.9, timed=True)
def sinkhorn_seconds(backend: Backend, *, n: int = 400, seconds: float = 0.6) -> Any:
    """Products with a kernel take a fraction of the time of logarithms

    Three log-log panels of the marginal error against seconds, for ε = 0.1, 0.01 and 0.001 of the largest cost. In
    the first two, over-relaxed scaling is the first to reach 1e-9, as fast as plain scaling for 0.1 and faster for
    0.01; the log domain is the last, some ten times later. For 0.001 stabilized is the first of the two left.

    400 points against 400 in the unit square, squared distances divided by the largest. xs.sinkhorn with
    record=True, a time at every tenth iteration, at most 0.6 seconds per run; all but 'plain' are over-relaxed. The
    kernel of scaling would be out of range for ε = 0.001. After MFDS, §14.3.7.
    """
    a, M = squares(backend, n)
    figure, row = panels(3, height=3.4, sharey=True, sharex=True)
    timed(a, M, EPS[0], "scaling", 1.0, seconds)  # threads, caches and kernels are awake
    for axes, eps in zip(row, EPS, strict=True):
        for (label, (method, relaxation)), colour, marker in zip(METHODS.items(), COLOURS, MARKERS, strict=False):
            if method == "scaling" and eps < 1 / 650:  # exp(−M/ε) is out of range
                continue
            t, error = timed(a, M, eps, method, relaxation, seconds)
            axes.plot(t, error, color=colour, label=label, marker=marker, markersize=4, markevery=max(1, t.size // 6))
        scale(axes, x="powers", y="powers")
        axes.set(xlabel=f"seconds, ε = {eps:g}", ylim=(3e-11, 3))
    row[0].set_ylabel(ERROR)
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
    return figure


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@picture("transport", seconds=0.3)
def barycenters(backend: Backend, *, n: int = 48, eps: float = 3.2e-3) -> Any:
    """Barycentres move mass from one shape to another

    Two rows of five pictures, from a ring at the left to two discs at the right. Above, barycentres: the ring opens
    and gathers into the discs. Below, mixtures: the ring fades while the discs appear in their place.

    A ring and two discs on 48 × 48 pixels; above, xs.barycenter on an xs.Grid with ε = 0.0032 and the weights 1 − t
    and t, to a certificate of 1e-4; below, (1 − t)a₁ + ta₂. The number is t. After MFDS, §14.3.7, and J.-D. Benamou
    et al. (2015).
    """
    x = np.linspace(0, 1, n)
    from_middle = np.hypot(x[:, None] - 0.5, x - 0.5)
    ring = (from_middle < 0.38) & (from_middle > 0.24)
    discs = (np.hypot(x[:, None] - 0.28, x - 0.28) < 0.17) | (np.hypot(x[:, None] - 0.72, x - 0.72) < 0.17)
    A = np.stack([shape.reshape(-1) / shape.sum() for shape in (ring, discs)])
    axis, there = backend.asarray(x), backend.asarray(A)
    figure, rows = panels(len(SHARES), rows=2, height=3.1, images=True)
    colour = next(iter(COLOURS))
    for k, share in enumerate(SHARES):
        weights = np.asarray([1 - share, share])
        b = xs.barycenter(there, xs.Grid(axis, axis), eps, backend.asarray(weights), tol=1e-4).x
        for axes, mass in zip(rows[:, k], (backend.to_numpy(b), weights @ A), strict=True):
            axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1))
            for part in (0.15, 0.35, 0.55, 0.75):
                levels = [part * mass.max(), 2 * mass.max()]
                axes.contourf(x, x, mass.reshape(n, n), levels=levels, colors=[colour], alpha=0.35)
        rows[1, k].set_xlabel(f"{share:g}")
    rows[0, 0].set_ylabel("barycentre")
    rows[1, 0].set_ylabel("mixture")
    return figure


def photographs(every: int) -> list[Any]:
    """Two photographs, (rows, columns, 3) in [0, 1], each `every` pixels square averaged to one."""
    from sklearn.datasets import load_sample_image

    found = []
    for name in ("china.jpg", "flower.jpg"):
        z = load_sample_image(name) / 255.0
        rows, columns = (length // every for length in z.shape[:2])
        z = z[: rows * every, : columns * every].reshape(rows, every, columns, every, 3)
        found.append(z.mean(axis=(1, 3)))
    return found


def recoloured(backend: Backend, images: list[Any], *, n: int, eps: float) -> list[Any]:
    """Each picture with the colours of the other: T(x) = Σ_j y_j exp((g_j − ‖x − y_j‖²)/ε) / Σ_j exp(…)."""
    rng = np.random.default_rng(0)
    pixels = [z.reshape(-1, 3) for z in images]
    x, y = (z[rng.choice(len(z), n, replace=False)] for z in pixels)
    weights = backend.asarray(np.full(n, 1 / n))
    f, g = xs.sinkhorn(weights, weights, xs.PointCloud(backend.asarray(x), backend.asarray(y)), eps, tol=1e-6).x
    moved = []
    for z, targets, potential, image in zip(pixels, (y, x), (g, f), images, strict=True):
        distances = np.sum(z**2, axis=1)[:, None] - 2 * z @ targets.T + np.sum(targets**2, axis=1)
        shares = xs.softmax(potential - backend.asarray(distances), eps=eps)
        moved.append(backend.to_numpy(shares @ backend.asarray(targets)).reshape(image.shape))
    return moved


@picture("transport", seconds=1.9)
def colour_transfer(backend: Backend, *, every: int = 4, n: int = 800, eps: float = 0.01) -> Any:
    """A plan between pixels gives one photograph the colours of another

    Four pictures. Above, the photographs: a red and green temple before a pale sky, and an orange flower on dark
    green leaves. Below, the same temple in greens and reds before an orange sky, and the same flower white on pale
    and brown leaves; shapes and shading stay.

    800 pixels of each photograph as points in the colour cube with equal weights, squared distances, xs.sinkhorn on
    an xs.PointCloud with ε = 0.01; every pixel then goes to the mean colour that the potentials give it, a softmax.
    After MFDS, §14.3.7; photographs of scikit-learn.
    """
    images = photographs(every)
    words = ("a temple", "a flower", "the temple in the flower's colours", "the flower in the temple's colours")
    figure, grid = panels(2, rows=2, height=4.9, images=True)
    moved = recoloured(backend, images, n=n, eps=eps)
    for axes, image, label in zip(grid.flat, [*images, *moved], words, strict=True):
        axes.imshow(np.clip(image, 0, 1), interpolation="none")
        axes.set_xlabel(label)
        axes.spines[:].set_visible(False)
    return figure
