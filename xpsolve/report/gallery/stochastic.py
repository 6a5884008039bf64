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
from xpsolve.report.formats import share
from xpsolve.report.gallery._picture import GUIDE, name_ends, picture
from xpsolve.report.style import FAINT, INK, note, panels, set_axes

LAM = 1e-2


def tumours(backend: Backend) -> tuple[xs.Logistic, Any, float]:
    """f, where it is least to rounding, by Newton's method, and its value there."""
    data = xs.problems.breast_cancer(backend=backend.name)
    f = xs.Logistic(data.A, data.y, LAM)
    best = xs.newton(f, tol=tight(f)).x
    return f, best, float(f.value(best))


def tight(f: Any) -> float:
    """A tolerance near rounding."""
    return 1e3 * float(f.xp.finfo(f.y.dtype).eps)


STEPS = {0.02: ":", 0.2: "-.", 1.0: "-", 1.9: "--"}  # τL, where τ < 2/L descends


@picture("stochastic", seconds=0.5)
def bgd_logistic(backend: Backend, *, max_iter: int = 500) -> Any:
    """Batch gradient descent: the longer the step below 2/L, the faster

    Log-log plot of f(x_k) − f* against iterations 1 to 500. Four falling curves for the steps 0.02/L, 0.2/L, 1/L and
    1.9/L; a longer step lies below a shorter one throughout. The bound, a dashed straight line, stays above 1/L.

    Logistic regression on 569 tumours, 30 measurements of mean 0 and variance 1, λ = 0.01: xs.gradient_descent from
    x = 0, f* by xs.newton. Grey: the bound L‖x*‖²/(2k) of τ = 1/L. After MFDS, §14.2.2, figure 14.3.
    """
    f, best, least = tumours(backend)
    L, k = float(f.lipschitz()), np.arange(1, max_iter + 1)
    figure, axes = panels(height=4.1)
    for step, kind in STEPS.items():
        run = xs.gradient_descent(f, step=step / L, tol=tight(f), max_iter=max_iter, record=True)
        excess = backend.to_numpy(run.history["objective"])[1:] - least
        axes.plot(k[: excess.size], excess, linewidth=1.8, linestyle=kind, label=f"τ = {step:g}/L")
    axes.plot(k, L * float(best @ best) / 2 / k, label="bound, 1/L", **GUIDE)
    words = {"xlabel": "iteration k", "ylabel": "f(x_k) − f*"}
    set_axes(axes, x="powers", y="powers", xlim=(1, max_iter), ylim=(1e-7, 10), **words)
    name_ends(axes, room=0.055)
    return figure


STEP0, WIDTH = 0.2, 2.0  # runs start between −2 and 2
WARMUPS = {"constant step": 1e300, "decaying step": 20.0}


def cloud(backend: Backend, warmup: float, *, runs: int, steps: int) -> Any:
    """x_k of every run at every step, (steps + 1, runs)."""
    rng = np.random.default_rng(0)
    f = xs.LeastSquares(backend.asarray(np.ones((2, 1))), backend.asarray([1.0, -1.0]))
    x0, samples = backend.asarray(rng.uniform(-WIDTH, WIDTH, (runs, 1))), rng.integers(2, size=(runs, steps))
    run = xs.sgd(f, x0, indices=samples, step0=STEP0, warmup=warmup, record_every=1, block=1)
    return backend.to_numpy(run.history["x"])[..., 0]


def spread(warmup: float, steps: int) -> Any:
    """√v_k, (steps + 1,): a step x ← (1 − τ_k) x ± τ_k with a fair sign gives v_{k+1} = (1 − τ_k)² v_k + τ_k²."""
    v = [WIDTH**2 / 3]
    for tau in STEP0 / (1 + np.arange(steps) / warmup):
        v.append((1 - tau) ** 2 * v[-1] + tau**2)
    return np.sqrt(v)


@picture("stochastic", seconds=0.4)
def sgd_cloud(backend: Backend, *, runs: int = 2000, steps: int = 200, shown: int = 20) -> Any:
    """Runs of SGD gather at the minimum only where the step goes to 0

    Four panels of x against the step k from 0 to 200. Above, twenty ragged runs from between −2 and 2; below, bands
    of all runs, dashed lines at one standard deviation. With a constant step, left, the runs come together to a band
    of one width, about ±0.33, that stays; with a decaying step, right, the band continues to narrow to about ±0.1.

    f(x) = ½·((x − 1)² + (x + 1)²)/2 as xs.LeastSquares, 2000 runs of xs.sgd side by side, τ₀ = 0.2, with τ constant
    (left) and τ_k = τ₀/(1 + k/20) (right). Below, darker to lighter, between which values 20, 50, 80 and 98 % of the
    runs lie; dashed, the standard deviation in theory. After MFDS, §14.2.3, figure 14.6.
    """
    figure, rows = panels(2, rows=2, height=5.0, sharex=True, sharey=True)
    k = np.arange(steps + 1)
    for (name, warmup), (top, bottom) in zip(WARMUPS.items(), rows.T, strict=True):
        x = cloud(backend, warmup, runs=runs, steps=steps)
        top.plot(k, x[:, :shown], color="C0", linewidth=0.7, alpha=0.6)
        top.set_title(name, loc="left")
        for part in (0.98, 0.8, 0.5, 0.2):
            low, high = np.quantile(x, [(1 - part) / 2, (1 + part) / 2], axis=1)
            bottom.fill_between(k, low, high, color="C0", alpha=0.22, linewidth=0)
        deviation = spread(warmup, steps)
        bottom.plot(k, np.stack([-deviation, deviation], axis=1), color="C1", dashes=(4, 2))
        note(bottom, "dashed: ± standard deviation", (0.97, 0.9), (0, 0), xycoords="axes fraction", ha="right")
        bottom.set(xlabel="step k", xlim=(0, steps), ylim=(-WIDTH, WIDTH))
    rows[0, 0].set_ylabel(f"{shown} runs")
    rows[1, 0].set_ylabel(f"all {runs}")
    return figure


@picture("stochastic", seconds=0.8)
def sgd_against_bgd(backend: Backend, *, epochs: int = 150, runs: int = 5) -> Any:
    """For the same gradients SGD leads first, and batch descent in the end

    Log-log plot of f(x) − f* against epochs from 0.25 to 150. Five thin runs of SGD, close around their bold mean, are
    far down after one epoch and continue more and more slowly; batch gradient descent, with square markers, starts
    at one epoch above them, falls ever more steeply and crosses them near 80 epochs.

    Logistic regression on 569 tumours, 30 measurements, λ = 0.01: xs.sgd with τ_k = τ₀/(1 + k/n); xs.gradient_descent,
    one iteration an epoch: n steps of the one cost as much. f* by xs.newton. After MFDS, §14.2.3, figure 14.7.
    """
    f, _, least = tumours(backend)
    run = xs.sgd(f, f.xp.stack([f.zeros()] * runs), epochs=epochs, record_every=f.n // 4)
    passes = run.history["step"][1:] / f.n
    stochastic = backend.to_numpy(run.history["objective"])[1:] - least
    run = xs.gradient_descent(f, tol=tight(f), max_iter=epochs, record=True)
    batch = backend.to_numpy(run.history["objective"])[1:] - least
    figure, axes = panels(height=4.0)
    axes.plot(passes, stochastic, color="C0", linewidth=0.6, alpha=0.5)
    axes.plot(passes, np.mean(stochastic, axis=1), color="C0", linewidth=2.0, label="SGD")
    epoch = np.arange(1, batch.size + 1)
    axes.plot(epoch, batch, color="C1", marker="s", markersize=3.5, markevery=0.08, label="BGD")
    words = {"xlabel": "epochs: gradients of single samples / n", "ylabel": "f(x) − f*"}
    set_axes(axes, x="powers", y="powers", xlim=(passes[0], epochs), **words)
    name_ends(axes, room=0.06)
    return figure


METHODS: dict[str, tuple[Any, str]] = {"SGD": (xs.sgd, ":"), "SGA": (xs.sga, "--"), "SAG": (xs.sag, "-")}
FLOOR = 1e-11  # smaller differences of two objectives are rounding


@picture("stochastic", seconds=0.6)
def sgd_sga_sag(backend: Backend, *, epochs: int = 120) -> Any:
    """Averaged iterates fall as a power, averaged gradients geometrically

    f(x) − f* on a logarithmic axis against epochs. SGD, dotted, and SGA, dashed, flatten out between 0.01 and
    0.001, SGA ending below SGD; SAG, solid, falls along a straight line to about 1e-10.

    Logistic regression on 569 tumours, λ = 0.01: xs.sgd, xs.sga and xs.sag on the same random samples with their own
    steps; SGA at the mean of the iterates. SAG remembers n numbers, a derivative per sample. f* by xs.newton. After
    MFDS, §14.2.5, figure 14.8.
    """
    f, _, least = tumours(backend)
    figure, axes = panels(height=4.0)
    for name, (method, kind) in METHODS.items():
        history = method(f, epochs=epochs, record_every=f.n, tol=0).history
        excess = (backend.to_numpy(history["objective"]) - least).clip(FLOOR / 10)
        axes.plot(history["step"] / f.n, excess, linewidth=1.8, linestyle=kind, label=name)
    set_axes(axes, y="powers", xlim=(0, epochs), ylim=(FLOOR, 1), xlabel="epochs", ylabel="f(x) − f*")
    name_ends(axes, room=0.055)
    return figure


MOMENTA = {"gradient descent": (None, "-"), "Nesterov": ("nesterov", "--")}


def halves(backend: Backend) -> tuple[xs.Multinomial, xs.Multinomial]:
    """The objective on half of the images, drawn at random, and on the other half."""
    data = xs.problems.digits()
    rows = np.random.default_rng(0).permutation(data.A.shape[0])
    parts = np.split(rows, [rows.size // 2])
    first, second = (xs.Multinomial(backend.asarray(data.A[i]), backend.asarray(data.y[i]), LAM) for i in parts)
    return first, second


def accuracy(f: Any, x: Any) -> float:
    """Share of the images of f whose largest margin is that of their digit."""
    xp = f.xp
    named = xp.argmax(f.margins(x), axis=1) == xp.argmax(f.y, axis=1)
    return float(xp.mean(xp.astype(named, f.y.dtype)))


def descent(f: Any, held_out: Any, momentum: str | None, max_iter: int) -> tuple[Any, list[float]]:
    """The objective after 0, 1, … iterations from 0, and the accuracy on what was held out."""
    shares: list[float] = []

    def look(_: int, progress: xs.Progress) -> None:
        shares.append(accuracy(held_out, progress.x))

    options: dict[str, Any] = {"max_iter": max_iter, "check_every": 1, "record": True, "callback": look}
    run = xs.gradient_descent(f, momentum=momentum, tol=tight(f), **options)
    return run.history["objective"], shares


@picture("stochastic", seconds=0.6)
def digits_multinomial(backend: Backend, *, max_iter: int = 200) -> Any:
    """Digits: near the minimum, more descent gains no accuracy

    Two panels against iterations 1 to 200, gradient descent solid, Nesterov's acceleration dashed. Left, f − f* on
    logarithmic axes: Nesterov's falls below 1e-9, the other to 0.005. Right, accuracy on held-out images rises from
    87 %: by Nesterov to that of the minimum, 96 %, within 50 iterations; by gradient descent to just below it in 200.

    Half of the 1797 images of 8 × 8 pixels, at random, are fitted by xs.Multinomial, λ = 0.01, with
    xs.gradient_descent; the other half is named by the largest margin. The minimum is by xs.newton. After MFDS, ch. 12.
    """
    f, held_out = halves(backend)
    best = xs.newton(f, tol=max(1e-9, tight(f))).x
    least, reached = float(f.value(best)), accuracy(held_out, best)
    figure, (left, right) = panels(2, height=3.7)
    for name, (momentum, kind) in MOMENTA.items():
        objective, shares = descent(f, held_out, momentum, max_iter)
        style: dict[str, Any] = {"linewidth": 1.8, "linestyle": kind, "label": name}
        left.plot(range(1, len(shares)), backend.to_numpy(objective)[1:] - least, **style)
        right.plot(range(1, len(shares)), shares[1:], **style)
    right.axhline(reached, color=FAINT, linewidth=1.0)
    right.text(1.15, reached, "at the minimum", color=INK, va="bottom", fontsize=9)
    iterations: dict[str, Any] = {"x": "powers", "xlim": (1, max_iter), "xlabel": "iteration k"}
    set_axes(left, y="powers", ylabel="f(X_k) − f* on the first half", legend="lower left", **iterations)
    set_axes(right, ylabel="accuracy on the other half", ylim=(None, 0.98), **iterations)
    right.yaxis.set_major_formatter(lambda value, _: share(value))
    return figure
