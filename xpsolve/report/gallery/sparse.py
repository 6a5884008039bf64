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
from xpsolve.report.gallery._clock import times
from xpsolve.report.gallery._picture import GUIDE, name_ends, picture
from xpsolve.report.style import COLOURS, FAINT, INK, note, panels, power_of_ten, set_axes

SLOPE = (0.6, 1.0)


def ball(backend: Backend, q: float) -> tuple[Any, Any]:
    """Points (2, k) with Σ|x_i|^q = 1, and the first x (2,) of the growing ball on a line ⟨a, x⟩ = c, scaled alike."""
    xp, a, one = backend.namespace, backend.asarray([SLOPE]), backend.asarray([1.0])
    angles = backend.asarray(np.linspace(0.0, 2 * np.pi, 361))  # the corners among them
    points = xp.stack([xp.cos(angles), xp.sin(angles)])
    points = points / xp.sum(xp.abs(points) ** q, axis=0) ** (1 / q)
    if q == 1:
        x = xs.basis_pursuit(a, one).x
    elif q == 2:
        x = xs.lstsq(a, one).x
    else:  # no solver: the best of the points
        x = points[:, int(xp.argmax((a @ points)[0, :]))]
    return backend.to_numpy(points), backend.to_numpy(x / xp.sum(xp.abs(x) ** q) ** (1 / q))


@picture("lasso", seconds=0.2)
def lq_balls(backend: Backend) -> Any:
    """Of the balls Σ|x_i|^q ≤ 1 only that of q = 1 is convex and pointed

    Five unit balls of the plane with the line each touches first. For q = 0.5 and 0.75 they are stars, for q = 1 a
    square on its corner: the line touches a corner, on the vertical axis. For q = 1.5 a swollen square and for q = 2
    a disc: the line touches them off the axes.

    The dot is the smallest x in ℓ^q with ⟨a, x⟩ = c, a = (0.6, 1): by xs.basis_pursuit for q = 1, by xs.lstsq for
    q = 2, else the best point of the boundary. For q ≤ 1 one coordinate is 0. After MFDS, figure 14.1.
    """
    figure, row = panels(5, height=2.15, images=True, sharey=True)
    for axes, q in zip(row, (0.5, 0.75, 1.0, 1.5, 2.0), strict=True):
        points, x = ball(backend, q)
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.axvline(0, color=FAINT, linewidth=0.6)
        axes.fill(*points, facecolor=("C0", 0.15), edgecolor="C0", linewidth=1.4)
        axes.axline(x, slope=-SLOPE[0] / SLOPE[1], color=INK, linewidth=0.9)
        axes.plot(*x, "o", color="C1", markersize=5.5)
        axes.set(xlim=(-1.35, 1.35), ylim=(-1.25, 1.6), aspect="equal", xlabel=f"q = {q:g}")
        axes.spines[:].set_visible(False)
    return figure


@picture("lasso", seconds=0.1)
def soft_threshold(backend: Backend) -> Any:
    """Soft thresholding moves what it keeps towards 0; hard thresholding jumps

    Two curves against x between −3 and 3 with λ = 1, both 0 between −λ and λ. Beyond, the soft threshold is a line at
    distance λ from the diagonal, without a jump; the hard threshold jumps to the diagonal.

    xs.soft_threshold(x, 1) = sign(x)·max(|x| − 1, 0), the proximal map of λ|x|, is continuous; hard thresholding is
    that of ½λ²·1_{x ≠ 0}. After MFDS, §14.1.4, equation 14.7.
    """
    x = np.linspace(-3.0, 3.0, 61)
    soft = backend.to_numpy(xs.soft_threshold(backend.asarray(x), 1.0))
    figure, axes = panels(height=3.9)
    axes.axline((0, 0), slope=1, color=FAINT, linewidth=0.8)
    axes.plot(x, soft, linewidth=2.4)
    # Three pieces: the hard threshold jumps, and a line across the jump would be no value of it.
    for ends, values in (((-3, -1), (-3, -1)), ((-1, 1), (0, 0)), ((1, 3), (1, 3))):
        axes.plot(ends, values, color="C1", dashes=(5, 3))
    axes.plot([-1, 1], [-1, 1], "o", color="C1", markerfacecolor="none", markersize=5)
    note(axes, "x", (0.45, 0.5), color=FAINT, fontsize=10, ha="right")
    note(axes, "soft", (2.0, 1.0), (4, -16), color="C0", fontsize=10)
    note(axes, "hard", (1.6, 1.6), (-6, 5), color="C1", fontsize=10, ha="right")
    axes.set_xticks([-2, -1, 0, 1, 2], ["−2", "−λ", "0", "λ = 1", "2"])
    axes.set_yticks([-2, -1, 0, 1, 2], ["−2", "−1", "0", "1", "2"])
    axes.set(xlim=(-3, 3), ylim=(-3, 3), xlabel="x", ylabel="threshold of x")
    return figure


@picture("lasso", seconds=0.2)
def lasso_path(backend: Backend) -> Any:
    """Diabetes data: as λ falls, the lasso selects features one by one

    Ten coefficients against λ / max |Aᵀy|, from 1 at the left to 0.001 at the right. All start at 0; bmi and s5 enter
    first and grow to about 25 and 35, then bp, s3 and sex; at small λ the correlated s1 and s2 run apart.

    442 patients, 10 features of mean 0 and variance 1; xs.lasso_path at 100 values of λ, each certified to a duality
    gap of 1e-6·½‖y‖². Coefficients are of a feature's standard deviation. After MFDS, §14.1.3.
    """
    data = xs.problems.diabetes(backend=backend.name)
    path = xs.lasso_path(data.A, data.y)
    lams, x = backend.to_numpy(path.lams), backend.to_numpy(path.x)
    figure, axes = panels(height=4.4)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_prop_cycle(color=[*COLOURS] * 2, linestyle=["-"] * len(COLOURS) + ["--"] * len(COLOURS))
    axes.plot(lams / lams[0], x, linewidth=1.6, label=data.feature_names)
    # From the largest λ down: lines end where there is space for names.
    set_axes(axes, x="powers", xlim=(1, lams[-1] / lams[0]), xlabel="λ / max |Aᵀy|", ylabel="coefficient")
    name_ends(axes, room=0.058, leaders=True)
    return figure


FLOOR = 1e-12  # smaller differences of two objectives are rounding


def spikes(backend: Backend, p: int, width: float = 4.0) -> tuple[Any, Any, float]:
    """Ten spikes of ±1 blurred by a periodic Gaussian, with 1 % of noise, ½‖y‖² = 1: A, y and λ = max |Aᵀy| / 100."""
    rng, away = np.random.default_rng(0), np.arange(p)[:, None] - np.arange(p)
    A = np.exp(-(np.minimum(away % p, -away % p) ** 2) / (2 * width**2))
    x = np.zeros(p)
    x[rng.permutation(p)[:10]] = rng.choice([-1.0, 1.0], 10)
    y = A @ x
    y += 0.01 * np.linalg.norm(y) / np.sqrt(p) * rng.standard_normal(p)
    y *= np.sqrt(2) / np.linalg.norm(y)
    return backend.asarray(A), backend.asarray(y), 0.01 * float(np.max(np.abs(A.T @ y)))


@picture("lasso", seconds=4.0, timed=True)
def lasso_convergence(backend: Backend, *, p: int = 500, max_iter: int = 3000) -> Any:
    """ISTA and FISTA below their bounds, and working sets against time

    Two log-log panels of the excess of the objective over its minimum. Left, against iterations: ISTA falls about
    as 1/k, FISTA faster and in the end steeply, each with its dashed bound, 1/k and 1/k², above. Right, against the
    seconds of a call: ISTA, FISTA and working sets, a marker for each tolerance.

    Ten spikes blurred by a Gaussian: A is 500 × 500, 1 % of noise, λ = max |Aᵀy| / 100. Bounds: ‖x*‖²/(2τk), and for
    FISTA without restarts 2‖x*‖²/(τ(k + 1)²). Right: calls of xs.lasso to gaps of 1e-1, 1e-2, … of ½‖y‖² in at most
    3000 iterations, on the machine that drew it. P* is the best value of all runs. After MFDS, §14.1.4.
    """
    A, y, lam = spikes(backend, p)
    tight, step = 1e3 * float(backend.namespace.finfo(y.dtype).eps), 1 / float(xs.operator_norm(A)) ** 2
    solve = partial(xs.lasso, A, y, lam, max_iter=max_iter)

    def objective(run: Any) -> Any:
        return backend.to_numpy(run.history["objective"])

    best = solve(method="working_set", tol=tight, record=True)
    steps = {m: objective(solve(method=m, step=step, tol=tight, record=True))[1:] for m in ("ista", "fista")}
    least = min(objective(best)[-1], *(values.min() for values in steps.values()))
    k, size = np.arange(1, max_iter + 1), float(best.x @ best.x) / step  # ‖x*‖²/τ
    bounds = ((size / 2 / k, "1/k"), (2 * size / (k + 1) ** 2, "1/k²"))
    figure, (left, right) = panels(2, height=3.9, sharey=True)
    for colour, values, (bound, law) in zip(COLOURS, steps.values(), bounds, strict=False):
        left.plot(k[: values.size], values - least, color=colour, linewidth=1.6)
        left.plot(k, bound, **GUIDE | {"color": colour})
        note(left, law, (max_iter // 4, bound[max_iter // 4]), (3, 3), color=colour)
    for method, marker in {"ista": "o", "fista": "s", "working_set": "D"}.items():
        calls = []
        for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10):
            run = solve(method=method, tol=max(tol, tight), record=True)
            seconds = times(backend, {"": partial(solve, method=method, tol=max(tol, tight))}, rounds=1)[""]
            calls.append((seconds, max(objective(run)[-1] - least, FLOOR / 100)))
            if not run.converged or tol < tight:
                break
        right.plot(*np.transpose(calls), marker=marker, linewidth=1.0, label=method)
    left.set(xlim=(1, max_iter), ylim=(FLOOR, 100))
    set_axes(left, x="powers", y="powers", xlabel="iteration k", ylabel="(P(x) − P*) / ½‖y‖²")
    set_axes(right, x="seconds", y="powers", xlabel="time of a whole call", legend="lower left")
    return figure


@picture("lasso", seconds=0.4)
def choice_of_lambda(backend: Backend) -> Any:
    """Held-out error against λ: one standard error keeps 4 of 10 features

    Two panels of the mean squared error of prediction against λ, with standard errors as bars: ridge by leave one
    out, and the lasso by ten folds. Both are flat for small λ and rise steeply for large λ. Dashed lines mark the
    least error and, for the lasso, the larger λ within one standard error of it, with fewer features.

    442 patients, 10 features: xs.ridge_cv(A, y, lams, method='loo') and xs.lasso_cv(A, y, rule='one standard error')
    have the curve as lams, scores and spread. After T. Hastie, R. Tibshirani and J. Friedman, The Elements of
    Statistical Learning, Figure 3.8; the penalties as in MFDS, §14.1.
    """
    data = xs.problems.diabetes(backend=backend.name)
    ridge = xs.ridge_cv(data.A, data.y, backend.asarray(np.geomspace(1e-2, 1e3, 60)), method="loo")
    lasso = xs.lasso_cv(data.A, data.y, n_lams=60, rule="one standard error")
    figure, (left, right) = panels(2, height=3.9, sharey=True)
    for axes, found in ((left, ridge), (right, lasso)):
        lams, scores, spread = (backend.to_numpy(v) for v in (found.lams, found.scores, found.spread))
        axes.errorbar(lams, scores, spread, ecolor=FAINT, elinewidth=0.8, linewidth=1.6)
    best = float(lams[np.argmin(scores)])  # of the lasso
    for axes, lam, x, name, colour in (
        (left, float(ridge.lam), ridge.x, "best", "C0"),
        (right, best, xs.lasso(data.A, data.y, best).x, "best", "C0"),
        (right, float(lasso.lam), lasso.x, "one standard error", "C2"),
    ):
        label = f"{name}, {np.count_nonzero(backend.to_numpy(x))} features"
        axes.axvline(lam, ymax=0.76, label=label, color=colour, linewidth=1.0, dashes=(4, 3))
    error = "mean squared error of prediction"
    set_axes(left, x="powers", xlabel="λ", ylabel=error, title="ridge, leave one out", legend="upper left")
    set_axes(right, x="powers", xlabel="λ", title="lasso, ten folds", legend="upper left")
    return figure


@picture("ridge", seconds=0.3)
def l_curve(backend: Backend, *, n: int = 200, sigma: float = 0.05) -> Any:
    """L-curve: the rules choose a λ near the corner

    Left, an L: the norm of x falls steeply while the residual stays, and beyond a corner the residual grows while the
    norm stays. Right, the error of x against λ falls and rises again. The markers of generalised cross-validation and
    of the discrepancy principle lie near the corner and near the least error.

    200 numbers, blurred by a Gaussian, with normal noise of deviation 0.05: xs.ridge with 109 values of λ from one
    factorisation, and the choices of xs.ridge_cv and, for known noise, xs.discrepancy. After P. C. Hansen, SIAM
    Review 34 (1992); ridge regression as in MFDS, §14.1.2.
    """
    t, lams = np.linspace(0, 1, n), np.geomspace(1e-8, 10, 9 * 12 + 1)
    A = np.exp(-0.5 * ((t[:, None] - t) / 0.03) ** 2)
    A /= A.sum(axis=1, keepdims=True)
    truth = np.sin(2 * np.pi * t) + np.where((t > 0.35) & (t < 0.6), 1.0, 0.0)
    y = A @ truth + sigma * np.random.default_rng(0).standard_normal(n)
    there, data = backend.asarray(A), backend.asarray(y)
    figure, (left, right) = panels(2, height=3.9)

    def show(lam: Any, x: Any, **style: Any) -> tuple[Any, Any]:
        x = backend.to_numpy(x)
        residual, size, error = (np.linalg.norm(v, axis=-1) for v in (x @ A.T - y, x, x - truth))
        left.plot(residual, size, **style)
        right.plot(lam, error / np.linalg.norm(truth), **style)
        return residual, size

    residual, size = show(lams, xs.ridge(there, data, backend.asarray(lams)).x, linewidth=1.6)
    for i in (24, 48, 96):
        place = residual[i], size[i]
        left.plot(*place, ".", color=FAINT, zorder=3)
        note(left, f"λ = {power_of_ten(lams[i])}", place, (5, 4))
    for name, marker, rule in (
        ("generalised cross-validation", "o", xs.ridge_cv(there, data, lams)),
        ("discrepancy", "s", xs.discrepancy(there, data, sigma * n**0.5)),
    ):
        show(float(rule.lam), rule.x, label=name, marker=marker, markersize=6.5, linestyle="none", zorder=4)
    set_axes(left, x="powers", y="powers", xlabel="‖Ax − y‖", ylabel="‖x‖")
    set_axes(right, x="powers", y="powers", xlabel="λ", ylabel="error of x, relative", legend="upper center")
    return figure
