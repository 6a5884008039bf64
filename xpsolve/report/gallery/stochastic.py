"""Descent: batch and stochastic gradients, their averages, and what accuracy they gain on digits.

The objective of most figures is f(x) = 1/n Σ log(1 + exp(−y_i⟨a_i, x⟩)) + λ/2‖x‖² on 30 measurements of 569 tumours,
benign or not.

Sources: MFDS §14.2 and ch. 12; M. Schmidt, N. Le Roux & F. Bach, Minimizing finite sums with the stochastic average
gradient (2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import COLOURS, FAINT, INK, label_ends, note, panels, scale
from xpsolve.solution import inner_solve

LAM = 1e-2


def tumours(backend: Backend) -> tuple[xs.Logistic, float]:
    """f, and its minimum to rounding, by Newton's method."""
    data = xs.problems.breast_cancer(backend=backend.name)
    f = xs.Logistic(data.A, data.y, LAM)
    return f, float(f.value(xs.newton(f, tol=tight(f)).x))


def tight(f: Any) -> float:
    """A tolerance near rounding."""
    return 1e3 * float(f.xp.finfo(f.y.dtype).eps)


STEPS = (0.02, 0.2, 1.0, 1.9)  # times 1/L; every step τ < 2/L descends
DASHES = ((1, 1.2), (5, 1.5, 1, 1.5), (None, None), (4, 1.5))


@picture("stochastic", seconds=0.5)
def bgd_logistic(backend: Backend, *, max_iter: int = 500) -> Any:
    """Batch gradient descent: the longer the step below 2/L, the faster

    Log-log plot of f(x_k) − f* against iterations 1 to 500. Four falling curves for the steps 0.02/L, 0.2/L, 1/L
    and 1.9/L; that of the longer step lies below that of the shorter throughout. A dashed straight line, the bound,
    stays above that of 1/L.

    Logistic regression on 569 tumours with 30 measurements of mean 0 and variance 1, λ = 0.01;
    xs.gradient_descent(f, step=τ, record=True) from x = 0, f* by xs.newton. Grey: the bound L‖x*‖²/(2k) of τ = 1/L.
    After MFDS, §14.2.2, figure 14.3.
    """
    f, least = tumours(backend)
    L = float(f.lipschitz())
    x_star = xs.newton(f, tol=tight(f)).x
    bound = L * float(f.xp.sum(x_star * x_star)) / 2
    figure, axes = panels(height=4.1)
    scale(axes, x="powers", y="powers")
    axes.set(xlim=(1, max_iter), ylim=(1e-7, 10), xlabel="iteration k", ylabel="f(x_k) − f*")
    ends = [(max_iter, bound / max_iter, "bound, 1/L", FAINT)]
    for step, colour, dashes in zip(STEPS, COLOURS, DASHES, strict=False):
        run = xs.gradient_descent(f, step=step / L, tol=tight(f), max_iter=max_iter, record=True)
        excess = backend.to_numpy(run.history["objective"]) - least
        axes.plot(np.arange(1, excess.size), excess[1:], color=colour, linewidth=1.8, dashes=dashes)
        ends.append((max_iter, excess[-1], f"τ = {step:g}/L", colour))
    k = np.arange(1, max_iter + 1)
    axes.plot(k, bound / k, color=FAINT, linewidth=1.0, dashes=(4, 3))
    label_ends(axes, ends, room=0.055)
    return figure


STEP0, WIDTH = 0.2, 2.0  # runs start between −2 and 2
WARMUPS = {"constant step": 1e300, "decaying step": 20.0}


@inner_solve()
def cloud(backend: Backend, warmup: float, *, runs: int, steps: int) -> Any:
    """x_k of every run at every step, (steps + 1, runs)."""
    rng = np.random.default_rng(0)
    f = xs.LeastSquares(backend.asarray(np.ones((2, 1))), backend.asarray([1.0, -1.0]))
    x0 = backend.asarray(rng.uniform(-WIDTH, WIDTH, (runs, 1)))
    samples = rng.integers(2, size=(runs, steps))
    run = xs.sgd(f, x0, indices=samples, step0=STEP0, warmup=warmup, record_every=1)
    return backend.to_numpy(run.history["x"])[..., 0]


def spread(warmup: float, steps: int) -> Any:
    """√v_k, (steps + 1,): a step x ← (1 − τ_k) x ± τ_k with a fair sign gives v_{k+1} = (1 − τ_k)² v_k + τ_k².

    It tends to τ/(2 − τ) for a constant step, and to 0 for τ_k = τ₀/(1 + k/k₀).
    """
    v = [WIDTH**2 / 3]
    for k in range(steps):
        tau = STEP0 / (1 + k / warmup)
        v.append((1 - tau) ** 2 * v[-1] + tau**2)
    return np.sqrt(v)


@picture("stochastic", seconds=0.4)
def sgd_cloud(backend: Backend, *, runs: int = 2000, steps: int = 200, shown: int = 20) -> Any:
    """Runs of SGD gather at the minimum only where the step goes to 0

    Four panels of x against the step k from 0 to 200. Above, twenty ragged runs from between −2 and 2; below, bands
    of all runs around 0, with dashed lines at one standard deviation. With a constant step, left, the runs come
    together to a band of one width, about ±0.33, that stays; with a decaying step, right, the band continues to
    narrow to about ±0.1.

    f(x) = ½·((x − 1)² + (x + 1)²)/2 as xs.LeastSquares with a = 1 and y = ±1, its minimum at 0; 2000 runs of xs.sgd
    side by side from x₀ of shape (2000, 1), τ₀ = 0.2, recorded at every step, with τ constant (left) and
    τ_k = τ₀/(1 + k/20) (right). Below, darker to lighter, between which values 20, 50, 80 and 98 % of the runs lie;
    dashed, the standard deviation in theory. After MFDS, §14.2.3, figure 14.6.
    """
    blue, orange, *_ = COLOURS
    figure, rows = panels(2, rows=2, height=5.0, sharex=True, sharey=True)
    k = np.arange(steps + 1)
    for (name, warmup), (top, bottom) in zip(WARMUPS.items(), rows.T, strict=True):
        x = cloud(backend, warmup, runs=runs, steps=steps)
        top.plot(k, x[:, :shown], color=blue, linewidth=0.7, alpha=0.6)
        top.set_title(name, loc="left")
        for share in (0.98, 0.8, 0.5, 0.2):
            low, high = np.quantile(x, [(1 - share) / 2, (1 + share) / 2], axis=1)
            bottom.fill_between(k, low, high, color=blue, alpha=0.22, linewidth=0)
        for sign in (-1, 1):
            bottom.plot(k, sign * spread(warmup, steps), color=orange, dashes=(4, 2))
        note(bottom, "dashed: ± standard deviation", (0.97, 0.9), (0, 0), xycoords="axes fraction", ha="right")
        bottom.set(xlabel="step k", xlim=(0, steps), ylim=(-WIDTH, WIDTH))
    rows[0, 0].set_ylabel(f"{shown} runs")
    rows[1, 0].set_ylabel(f"all {runs}")
    return figure


@picture("stochastic", seconds=0.8)
def sgd_against_bgd(backend: Backend, *, epochs: int = 150, runs: int = 5) -> Any:
    """For the same gradients SGD leads first, and batch descent in the end

    Log-log plot of f(x) − f* against epochs from 0.25 to 150. Five thin runs of SGD, close around their bold mean,
    are far down after one epoch and continue more and more slowly; batch gradient descent, a line with square
    markers, starts at one epoch above them, falls ever more steeply and crosses them near 80 epochs.

    Logistic regression on 569 tumours with 30 measurements, λ = 0.01: xs.sgd with five runs side by side,
    τ_k = τ₀/(1 + k/n), four times an epoch, thin, and their mean, bold; xs.gradient_descent with its own step, one
    iteration an epoch: n steps of the one cost as much as one of the other. f* by xs.newton. After MFDS, §14.2.3,
    figure 14.7.
    """
    f, least = tumours(backend)
    run = xs.sgd(f, f.xp.stack([f.zeros()] * runs), epochs=epochs, record_every=f.n // 4)
    passes = run.history["step"] / f.n
    stochastic = backend.to_numpy(run.history["objective"]) - least
    history = xs.gradient_descent(f, tol=tight(f), max_iter=epochs, record=True).history
    batch, mean = backend.to_numpy(history["objective"]) - least, np.mean(stochastic, axis=1)
    blue, orange, *_ = COLOURS
    figure, axes = panels(height=4.0)
    axes.plot(passes[1:], stochastic[1:], color=blue, linewidth=0.6, alpha=0.5)
    axes.plot(passes[1:], mean[1:], color=blue, linewidth=2.0)
    axes.plot(np.arange(1, batch.size), batch[1:], color=orange, marker="s", markersize=3.5, markevery=0.08)
    scale(axes, x="powers", y="powers")
    axes.set(xlim=(passes[1], epochs), xlabel="epochs: gradients of single samples / n", ylabel="f(x) − f*")
    label_ends(axes, [(epochs, mean[-1], "SGD", blue), (epochs, batch[-1], "BGD", orange)], room=0.06)
    return figure


METHODS: dict[str, tuple[Any, Any]] = {
    "SGD": (xs.sgd, (1, 1.2)),
    "SGA": (xs.sga, (5, 2)),
    "SAG": (xs.sag, (None, None)),
}
FLOOR = 1e-11  # smaller differences of two objectives are rounding


@picture("stochastic", seconds=0.6)
def sgd_sga_sag(backend: Backend, *, epochs: int = 120) -> Any:
    """Averaged iterates fall as a power, averaged gradients geometrically

    f(x) − f* on a logarithmic axis against epochs. SGD, dotted, and SGA, dashed, flatten out between 0.01 and
    0.001, SGA ending below SGD; SAG, solid, falls along a straight line to about 1e-10.

    Logistic regression on 569 tumours with 30 measurements, λ = 0.01: xs.sgd, xs.sga and xs.sag on the same random
    samples with their own steps, f after every epoch; for SGA at the mean of the iterates. SAG remembers the last
    derivative of every sample, n numbers. f* by xs.newton. After MFDS, §14.2.5, figure 14.8.
    """
    f, least = tumours(backend)
    figure, axes = panels(height=4.0)
    scale(axes, y="powers")
    axes.set(xlim=(0, epochs), ylim=(FLOOR, 1), xlabel="epochs", ylabel="f(x) − f*")
    ends = []
    for (name, (method, dashes)), colour in zip(METHODS.items(), COLOURS, strict=False):
        run = method(f, epochs=epochs, record_every=f.n, tol=0)
        excess = (backend.to_numpy(run.history["objective"]) - least).clip(FLOOR / 10)
        axes.plot(run.history["step"] / f.n, excess, color=colour, linewidth=1.8, dashes=dashes)
        ends.append((epochs, max(excess[-1], FLOOR), name, colour))
    label_ends(axes, ends, room=0.055)
    return figure


MOMENTA = {"gradient descent": (None, (None, None)), "Nesterov": ("nesterov", (5, 2))}


def halves(backend: Backend) -> tuple[Any, Any, Any, Any]:
    """A and y of half the images, drawn at random, and of the other half."""
    data = xs.problems.digits()
    order = np.random.default_rng(0).permutation(data.A.shape[0])
    half = order.size // 2
    parts = (values[rows] for rows in (order[:half], order[half:]) for values in (data.A, data.y))
    A, y, A_out, y_out = (backend.asarray(np.ascontiguousarray(part)) for part in parts)
    return A, y, A_out, y_out


def accuracy(f: Any, x: Any) -> float:
    """Share of the images of f whose largest margin is that of their digit."""
    xp = f.xp
    named = xp.argmax(f.margins(x), axis=1) == xp.argmax(f.y, axis=1)
    return float(xp.mean(xp.astype(named, f.y.dtype)))


@picture("stochastic", seconds=0.6)
def digits_multinomial(backend: Backend, *, max_iter: int = 200) -> Any:
    """Digits: near the minimum, more descent gains no accuracy

    Two panels against iterations 1 to 200, for gradient descent, solid, and Nesterov's acceleration, dashed. Left,
    f − f* on logarithmic axes: Nesterov's falls below 1e-9, the other to 0.005. Right, the accuracy on held-out
    images rises from 87 %: by Nesterov to that of the minimum, 96 %, within 50 iterations, where it stays; by
    gradient descent to just below it in 200.

    Half of the 1797 images of 8 × 8 pixels, at random, are fitted by xs.Multinomial with λ = 0.01 and
    xs.gradient_descent, momentum None and "nesterov", from X = 0; the other half is named by the largest of the
    margins ⟨a, x_j⟩, f* and the thin line are by xs.newton. After MFDS, ch. 12.
    """
    A, y, A_out, y_out = halves(backend)
    f, held_out = xs.Multinomial(A, y, LAM), xs.Multinomial(A_out, y_out, LAM)
    best = xs.newton(f, tol=max(1e-9, tight(f))).x
    least, reached = float(f.value(best)), accuracy(held_out, best)
    figure, (left, right) = panels(2, height=3.7)
    for (name, (momentum, dashes)), colour in zip(MOMENTA.items(), COLOURS, strict=False):
        seen: dict[int, float] = {}

        def look(k: int, progress: xs.Progress, seen: dict[int, float] = seen) -> None:
            seen[k] = accuracy(held_out, progress.x)

        options: dict[str, Any] = {"tol": tight(f), "max_iter": max_iter, "check_every": 1, "record": True}
        run = xs.gradient_descent(f, momentum=momentum, callback=look, **options)
        excess = backend.to_numpy(run.history["objective"]) - least
        style = {"color": colour, "linewidth": 1.8, "dashes": dashes, "label": name}
        left.plot(np.arange(1, excess.size), excess[1:], **style)
        right.plot(*np.transpose([one for one in seen.items() if one[0] > 0]), **style)
    right.axhline(reached, color=FAINT, linewidth=1.0)
    right.text(1.15, reached, "at the minimum", color=INK, va="bottom", fontsize=9)
    left.legend(loc="lower left", handlelength=2.4)
    left.set(ylabel="f(X_k) − f* on the first half")
    scale(left, x="powers", y="powers")
    scale(right, x="powers")
    right.set(ylabel="accuracy on the other half", ylim=(None, 0.98))
    right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    for axes in (left, right):
        axes.set(xlim=(1, max_iter), xlabel="iteration k")
    return figure
