"""Sparse and regularised solutions: balls, thresholds, paths, convergence, and how λ is chosen.

Sources: MFDS §14.1; B. Efron et al., Least angle regression (2004); A. Beck & M. Teboulle, A fast iterative
shrinkage-thresholding algorithm (2009); P. C. Hansen, SIAM Review 34 (1992).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._clock import shortest
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, label_ends, note, panels, power_of_ten, scale

BALLS, SLOPE = (0.5, 0.75, 1.0, 1.5, 2.0), (0.6, 1.0)


def boundary(backend: Backend, q: float) -> Any:
    """Points (2, k) with Σ|x_i|^q = 1: directions of all angles, each divided by its own length."""
    xp = backend.namespace
    angles = backend.asarray(np.linspace(0.0, 2 * np.pi, 721))  # every half degree, the corners among them
    directions = xp.stack([xp.cos(angles), xp.sin(angles)])
    return directions / xp.sum(xp.abs(directions) ** q, axis=0) ** (1 / q)


def contact(backend: Backend, q: float) -> Any:
    """The first x (2,) of a growing ball on a line ⟨a, x⟩ = c, where c is such that its length is 1."""
    a, one = backend.asarray([SLOPE]), backend.asarray([1.0])
    if q == 1:
        x = xs.basis_pursuit(a, one).x
    elif q == 2:
        x = xs.lstsq(a, one).x
    else:  # no solver: the best of the points on the boundary
        xp, points = backend.namespace, boundary(backend, q)
        x = points[:, int(xp.argmax((a @ points)[0, :]))]
    x = backend.to_numpy(x)
    return x / np.sum(np.abs(x) ** q) ** (1 / q)


@picture("lasso", seconds=0.2)
def lq_balls(backend: Backend) -> Any:
    """Of the balls Σ|x_i|^q ≤ 1 only that of q = 1 is convex and pointed

    Five unit balls of the plane with the line each touches first. For q = 0.5 and 0.75 they are stars drawn in
    towards 0, for q = 1 a square on its corner: the line touches a corner, on the vertical axis. For q = 1.5 a
    swollen square and for q = 2 a disc: the line touches them off the axes.

    The dot is the smallest x in ℓ^q with ⟨a, x⟩ = c, a = (0.6, 1): by xs.basis_pursuit for q = 1, by xs.lstsq for
    q = 2, the best of 721 points of the boundary for the others. For q ≤ 1 it has a single coordinate other than 0.
    After MFDS, figure 14.1.
    """
    blue, orange, *_ = COLOURS
    figure, row = panels(len(BALLS), height=2.15, images=True, sharey=True)
    for axes, q in zip(row, BALLS, strict=True):
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.axvline(0, color=FAINT, linewidth=0.6)
        x1, x2 = backend.to_numpy(boundary(backend, q))
        axes.fill(x1, x2, facecolor=blue, alpha=0.15, linewidth=0)
        axes.plot(x1, x2, color=blue)
        x, along = contact(backend, q), np.asarray([-1.5, 1.5])
        axes.plot(along, (np.dot(SLOPE, x) - SLOPE[0] * along) / SLOPE[1], color=INK, linewidth=0.9)
        axes.plot(*x, "o", color=orange, markersize=5.5)
        axes.set(xlim=(-1.35, 1.35), ylim=(-1.25, 1.6), aspect="equal", xlabel=f"q = {q:g}")
        axes.spines[:].set_visible(False)
    return figure


@picture("lasso", seconds=0.1)
def soft_threshold(backend: Backend) -> Any:
    """Soft thresholding moves what it keeps towards 0; hard thresholding jumps

    Two curves against x between −3 and 3 with λ = 1. Both are 0 between −λ and λ. Beyond, the soft threshold is a
    line at distance λ from the diagonal, without a jump; the hard threshold jumps to the diagonal.

    xs.soft_threshold(x, 1) = sign(x)·max(|x| − 1, 0) at 601 points. It is the proximal map of λ|x|, and continuous;
    hard thresholding is that of ½λ²·1_{x ≠ 0}. After MFDS, §14.1.4, equation 14.7.
    """
    xp = backend.namespace
    x = backend.asarray(np.linspace(-3.0, 3.0, 601))
    soft, hard = xs.soft_threshold(x, 1.0), xp.where(xp.abs(x) > 1, x, xp.zeros_like(x))
    x, soft, hard = (backend.to_numpy(values) for values in (x, soft, hard))
    blue, orange, *_ = COLOURS
    figure, axes = panels(height=3.9)
    axes.plot(x, x, color=FAINT, linewidth=0.8)
    axes.text(0.42, 0.52, "x", color=FAINT, ha="right", va="bottom")
    axes.plot(x, soft, color=blue, linewidth=2.4)
    # Three pieces: the hard threshold jumps, and a line across the jump would be no value of it.
    for piece in (x < -1, abs(x) <= 1, x > 1):
        axes.plot(x[piece], hard[piece], color=orange, dashes=(5, 3))
    axes.plot([-1, 1], [-1, 1], "o", color=orange, markerfacecolor="none", markersize=5)
    axes.text(1.95, 0.7, "soft", color=blue, ha="left", va="top")
    axes.text(1.55, 1.75, "hard", color=orange, ha="right", va="bottom")
    axes.set_xticks([-2, -1, 0, 1, 2], ["−2", "−λ", "0", "λ = 1", "2"])
    axes.set_yticks([-2, -1, 0, 1, 2], ["−2", "−1", "0", "1", "2"])
    axes.set(xlim=(-3, 3), ylim=(-3, 3), xlabel="x", ylabel="threshold of x")
    return figure


@picture("lasso", seconds=1.4)
def lasso_path(backend: Backend) -> Any:
    """Diabetes data: as λ falls, the lasso selects features one by one

    The ten coefficients against λ / max |Aᵀy|, from 1 at the left to 0.001 at the right. All start at 0; bmi and s5
    enter first and grow to about 25 and 35, then bp, s3 and sex; at small λ the correlated s1 and s2 run apart.

    442 patients, 10 features of mean 0 and variance 1; xs.lasso_path at 100 values of λ, each certified to a duality
    gap of 1e-6·½‖y‖². Coefficients are of a feature's standard deviation. After MFDS, §14.1.3.
    """
    data = xs.problems.diabetes(backend=backend.name)
    path = xs.lasso_path(data.A, data.y)
    lams, x = backend.to_numpy(path.lams), backend.to_numpy(path.x)
    shares = lams / lams[0]
    figure, axes = panels(height=4.4)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    styles = [(colour, dashes) for dashes in ((None, None), (4, 1.5)) for colour in COLOURS]
    ends = []
    for values, name, (colour, dashes) in zip(x.T, data.feature_names, styles, strict=False):
        axes.plot(shares, values, color=colour, linewidth=1.6, dashes=dashes)
        ends.append((shares[-1], values[-1], name, colour))
    scale(axes, x="powers")
    # From the largest λ down: lines end where there is space for names.
    axes.set(xlim=(shares[0], shares[-1]), xlabel="λ / max |Aᵀy|", ylabel="coefficient")
    label_ends(axes, ends, room=0.058, leaders=True)
    return figure


METHODS = dict(zip(("ista", "fista", "working_set"), zip(COLOURS, MARKERS, strict=False), strict=False))
FLOOR = 1e-12  # smaller differences of two objectives are rounding


def spikes(backend: Backend, p: int = 500, width: float = 4.0) -> tuple[Any, Any, float]:
    """Ten spikes of ±1 blurred by a periodic Gaussian, with 1 % of noise: A, y and λ = ‖Aᵀy‖_∞ / 100."""
    rng = np.random.default_rng(0)
    away = np.arange(p)[:, None] - np.arange(p)
    A = np.exp(-(np.minimum(away % p, -away % p) ** 2) / (2 * width**2))
    x = np.zeros(p)
    x[rng.permutation(p)[:10]] = rng.choice([-1.0, 1.0], 10)
    y = A @ x
    y += 0.01 * np.linalg.norm(y) / np.sqrt(p) * rng.standard_normal(p)
    return backend.asarray(A), backend.asarray(y), 0.01 * float(np.max(np.abs(A.T @ y)))


@picture("lasso", seconds=8.1, timed=True)
def lasso_convergence(backend: Backend, *, p: int = 500, max_iter: int = 3000) -> Any:
    """ISTA and FISTA below their bounds, and working sets against time

    Two log-log panels of the excess of the objective over its minimum. Left, against iterations: ISTA falls about
    as 1/k, FISTA faster and in the end steeply, each with its dashed bound, 1/k and 1/k², above. Right, against the
    seconds of a call: ISTA, FISTA and working sets, a marker for each tolerance.

    Ten spikes blurred by a Gaussian: A is 500 × 500, 1 % of noise, λ = max |Aᵀy| / 100. Left: the objective after
    every iteration, by record=True; dashed, the bounds ‖x*‖²/(2τk) and 2‖x*‖²/(τ(k + 1)²), that of FISTA without
    its restarts. Right: each marker is one whole call of xs.lasso, nothing recorded, its step found anew, to a
    duality gap of 1e-1, 1e-2, … of ½‖y‖² in at most 3000 iterations: shortest of three on the machine that drew it,
    and the objective of the x returned. P* is the best value that any of the runs found; values within 1e-12 of it
    are below the axes. After MFDS, §14.1.4.
    """
    A, y, lam = spikes(backend, p)
    xp = backend.namespace
    tight, half = 1e3 * float(xp.finfo(y.dtype).eps), 0.5 * float(y @ y)
    step = 1 / float(xs.operator_norm(A)) ** 2

    def objective(x: Any) -> float:
        r = A @ x - y
        return 0.5 * float(r @ r) + lam * float(xp.sum(xp.abs(x)))

    x_star = xs.lasso(A, y, lam, method="working_set", tol=tight).x
    steps: dict[str, Any] = {}
    calls: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for method in ("ista", "fista"):
        run = xs.lasso(A, y, lam, method=method, step=step, tol=tight, max_iter=max_iter, record=True)
        steps[method] = backend.to_numpy(run.history["objective"])[1:]
    for method, found in calls.items():
        for tol in 10.0 ** -np.arange(1, 11):
            options: dict[str, Any] = {"method": method, "tol": max(float(tol), tight), "max_iter": max_iter}
            seconds, solution = shortest(backend, partial(xs.lasso, A, y, lam, **options), 3)
            found.append((seconds, objective(solution.x)))
            if not solution.converged or tol < tight:
                break

    least = min(objective(x_star), *(values.min() for values in steps.values()))
    size = float(x_star @ x_star) / step / half  # ‖x*‖²/τ over ½‖y‖²
    figure, (left, right) = panels(2, height=3.9, sharey=True)
    k = np.arange(1, max_iter + 1)
    for method, bound, law in (("ista", size / 2 / k, "1/k"), ("fista", 2 * size / (k + 1) ** 2, "1/k²")):
        colour, place = METHODS[method][0], max_iter // 4
        excess = (steps[method] - least) / half
        left.plot(k[: excess.size], excess, color=colour, linewidth=1.6)
        left.plot(k, bound, color=colour, linewidth=0.9, dashes=(4, 3))
        note(left, law, (place, bound[place]), (3, 3), color=colour)
    for method, (colour, marker) in METHODS.items():
        seconds, values = np.transpose(calls[method])
        excess = np.maximum((values - least) / half, FLOOR / 100)
        right.plot(seconds, excess, color=colour, marker=marker, linewidth=1.0, label=method)
    scale(left, x="powers", y="powers")
    scale(right, x="seconds", y="powers")
    left.set(xlabel="iteration k", ylabel="(P(x) − P*) / ½‖y‖²", xlim=(1, max_iter), ylim=(FLOOR, 100))
    right.set(xlabel="time of a whole call")
    right.legend(loc="lower left")
    return figure


@picture("lasso", seconds=2.0)
def choice_of_lambda(backend: Backend) -> Any:
    """Held-out error against λ: one standard error keeps 4 of 10 features

    Two panels of the mean squared error of prediction against λ, with standard errors as bars. Left, ridge by leave
    one out; right, the lasso by ten folds. Both are flat for small λ and rise steeply for large λ. Dashed lines
    mark the least error and, for the lasso, the larger λ within one standard error of it, with fewer features.

    442 patients, 10 features. found = xs.lasso_cv(A, y), or found = xs.ridge_cv(A, y, lams, method='loo'), holds
    the curve, which two lines draw: plt.errorbar(found.lams, found.scores, found.spread) and
    plt.axvline(found.lam). After T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning,
    Figure 3.8; the penalties as in MFDS, §14.1.
    """
    data = xs.problems.diabetes(backend=backend.name)
    colour, _, other, *_ = COLOURS
    ridge = xs.ridge_cv(data.A, data.y, backend.asarray(np.geomspace(1e-2, 1e3, 60)), method="loo")
    simple = xs.lasso_cv(data.A, data.y, n_lams=60, rule="one standard error")
    best = xs.lasso_cv(data.A, data.y, backend.asarray(backend.to_numpy(simple.lams)))
    figure, (left, right) = panels(2, height=3.9, sharey=True)
    for axes, found in ((left, ridge), (right, best)):
        lams, scores, spread = (backend.to_numpy(v) for v in (found.lams, found.scores, found.spread))
        axes.errorbar(lams, scores, spread, color=colour, ecolor=FAINT, elinewidth=0.8, linewidth=1.6)
        axes.set(xlabel="λ")
        scale(axes, x="powers")
    dashed: dict[str, Any] = {"linewidth": 1.0, "dashes": (4, 3)}
    left.axvline(float(ridge.lam), color=colour, **dashed)
    for found, name, shade in ((best, "best", colour), (simple, "one standard error", other)):
        count = int(np.count_nonzero(backend.to_numpy(found.x)))
        right.axvline(float(found.lam), label=f"{name}, {count} features", color=shade, **dashed)
    right.legend(loc="upper left")
    left.set(ylabel="mean squared error of prediction", title="ridge, leave one out")
    right.set(title="lasso, ten folds")
    return figure


@picture("ridge", seconds=1.0)
def l_curve(backend: Backend, *, n: int = 200, sigma: float = 0.05) -> Any:
    """L-curve: the rules choose a λ near the corner

    Left, a curve in the shape of an L: the norm of x falls steeply while the residual stays, and beyond a corner
    the residual grows while the norm stays. Right, the error of x against λ falls and rises again. The markers of
    generalised cross-validation and of the discrepancy principle lie near the corner and near the least error.

    A signal of 200 numbers, blurred by a Gaussian, with normal noise of the standard deviation 0.05: xs.ridge with
    120 values of λ from one factorisation, and the choices of xs.ridge_cv and, for known noise, of xs.discrepancy.
    After P. C. Hansen, SIAM Review 34 (1992); ridge regression as in MFDS, §14.1.2.
    """
    t = np.linspace(0, 1, n)
    A = np.exp(-0.5 * ((t[:, None] - t) / 0.03) ** 2)
    A /= A.sum(axis=1, keepdims=True)
    truth = np.sin(2 * np.pi * t) + np.where((t > 0.35) & (t < 0.6), 1.0, 0.0)
    y = A @ truth + sigma * np.random.default_rng(0).standard_normal(n)
    there, data, lams = backend.asarray(A), backend.asarray(y), np.geomspace(1e-8, 10, 120)
    X = backend.to_numpy(xs.ridge(there, data, backend.asarray(lams)).x)
    residual, size = (np.linalg.norm(V, axis=1) for V in (X @ A.T - y, X))
    rules = {
        "generalised cross-validation": xs.ridge_cv(there, data, lams),
        "discrepancy": xs.discrepancy(there, data, sigma * n**0.5),
    }
    figure, (left, right) = panels(2, height=3.9)
    first, *others = COLOURS
    left.plot(residual, size, color=first, linewidth=1.6)
    right.plot(lams, np.linalg.norm(X - truth, axis=1) / np.linalg.norm(truth), color=first, linewidth=1.6)
    for lam in (1e-6, 1e-4, 1.0):
        i = int(np.argmin(np.abs(np.log(lams / lam))))
        left.plot(residual[i], size[i], ".", color=FAINT, zorder=3)
        note(left, f"λ = {power_of_ten(lam)}", (residual[i], size[i]), (5, 4))
    for (name, found), colour, marker in zip(rules.items(), others, MARKERS, strict=False):
        x = backend.to_numpy(found.x)
        style = {"color": colour, "marker": marker, "markersize": 6.5, "linestyle": "none", "zorder": 4}
        left.plot(np.linalg.norm(A @ x - y), np.linalg.norm(x), **style)
        right.plot(float(found.lam), np.linalg.norm(x - truth) / np.linalg.norm(truth), label=name, **style)
    left.set(xlabel="‖Ax − y‖", ylabel="‖x‖")
    right.set(xlabel="λ", ylabel="error of x, relative")
    for axes in (left, right):
        scale(axes, x="powers", y="powers")
    right.legend(loc="upper center")
    return figure
