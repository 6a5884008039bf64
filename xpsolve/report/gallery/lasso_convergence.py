"""How fast ISTA, FISTA and working sets reduce P(x) = ½‖Ax − y‖² + λ‖x‖₁ to its minimum P*.

With the step τ ≤ 1/‖A‖² and from x₀ = 0 the theory promises, for every problem,

    ISTA   P(x_k) − P* ≤ ‖x*‖² / (2τk)           FISTA   P(x_k) − P* ≤ 2‖x*‖² / (τ(k + 1)²)

Sources: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.4; A. Beck and M. Teboulle, A fast iterative
shrinkage-thresholding algorithm (2009).
"""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.formats import quantity
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, MARKERS, panels, power_of_ten

METHODS = {
    method: (colour, marker)
    for method, colour, marker in zip(("ista", "fista", "working_set"), COLOURS, MARKERS, strict=False)
}
REPEAT = 3
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


def draw(backend: Backend, *, p: int = 500, max_iter: int = 3000) -> Any:
    """Against iterations on the left, against seconds on the right."""
    A, y, lam = spikes(backend, p)
    xp = backend.namespace
    tight = 1e3 * float(xp.finfo(y.dtype).eps)
    half = 0.5 * float(y @ y)
    step = 1 / float(xs.operator_norm(A)) ** 2
    x_star = xs.lasso(A, y, lam, method="working_set", tol=tight).x
    scale = float(x_star @ x_star) / step / half  # ‖x*‖²/τ over ½‖y‖²

    def objective(x: Any) -> float:
        r = A @ x - y
        return 0.5 * float(r @ r) + lam * float(xp.sum(xp.abs(x)))

    def timed(method: str, tol: float) -> tuple[float, Any]:
        seconds = []
        for _ in range(REPEAT):
            begin = perf_counter()
            solution = xs.lasso(A, y, lam, method=method, tol=tol, max_iter=max_iter)
            backend.synchronize(solution.x)
            seconds.append(perf_counter() - begin)
        return min(seconds), solution

    steps: dict[str, Any] = {}
    calls: dict[str, list[tuple[float, float]]] = {}
    with warnings.catch_warnings():
        # ISTA stops at max_iter far from the minimum: that is what the figure shows.
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        for method in ("ista", "fista"):
            run = xs.lasso(A, y, lam, method=method, step=step, tol=tight, max_iter=max_iter, record=True)
            steps[method] = backend.to_numpy(run.history["objective"])[1:]
        for method in METHODS:
            calls[method] = []
            for tol in 10.0 ** -np.arange(1, 11):
                seconds, solution = timed(method, max(float(tol), tight))
                calls[method].append((seconds, objective(solution.x)))
                if not solution.converged or tol < tight:
                    break

    least = min(objective(x_star), *(values.min() for values in steps.values()))
    figure, (left, right) = panels(2, height=3.9, sharey=True)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", ylim=(FLOOR, 100))
        axes.yaxis.set_major_formatter(power_of_ten)
    k = np.arange(1, max_iter + 1)
    for method, bound, law in (("ista", scale / 2 / k, "1/k"), ("fista", 2 * scale / (k + 1) ** 2, "1/k²")):
        colour = METHODS[method][0]
        excess = (steps[method] - least) / half
        left.plot(k[: excess.size], excess, color=colour, linewidth=1.6)
        left.plot(k, bound, color=colour, linewidth=0.9, dashes=(4, 3))
        place = max_iter // 4
        left.annotate(law, (place, bound[place]), (3, 3), textcoords="offset points", color=colour, fontsize=9)
    for method, (colour, marker) in METHODS.items():
        seconds, values = np.transpose(calls[method])
        excess = np.maximum((values - least) / half, FLOOR / 100)
        right.plot(seconds, excess, color=colour, marker=marker, markersize=4.5, linewidth=1.0, label=method)
    left.xaxis.set_major_formatter(power_of_ten)
    right.xaxis.set_major_formatter(lambda value, _: quantity(value, "seconds"))
    left.set(xlabel="iteration k", ylabel="(P(x) − P*) / ½‖y‖²", xlim=(1, max_iter))
    right.set(xlabel="time of a whole call")
    right.legend(loc="lower left", fontsize=9, handlelength=1.6)
    return figure


PICTURE = Picture(
    name="lasso-convergence",
    family="lasso",
    title="ISTA and FISTA below their bounds, and working sets against time",
    alt="Two log-log panels of the excess of the objective over its minimum. Left, against iterations: ISTA falls"
    " about as 1/k, FISTA faster and in the end steeply, each with its dashed bound, 1/k and 1/k², above. "
    "Right, against the seconds of a call: ISTA, FISTA and working sets, a marker for each tolerance.",
    caption="Ten spikes blurred by a Gaussian: A is 500 × 500, 1 % of noise, λ = max |Aᵀy| / 100. Left: the objective"
    " after every iteration, by record=True; dashed, the bounds ‖x*‖²/(2τk) and 2‖x*‖²/(τ(k + 1)²), that of "
    "FISTA without its restarts. Right: each marker is one whole call of xs.lasso, nothing recorded, its step"
    " found anew, to a duality gap of 1e-1, 1e-2, … of ½‖y‖² in at most 3000 iterations: shortest of three on"
    " the machine that drew it, and the objective of the x returned. P* is the best value that any of the "
    "runs found; values within 1e-12 of it are below the axes. After G. Peyré, Mathematical Foundations of "
    "Data Sciences, §14.1.4.",
    draw=draw,
    seconds=8.1,
    timed=True,
)
