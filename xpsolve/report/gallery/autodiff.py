"""Automatic differentiation: the cost of a chain, what a tape holds, what a gradient costs and what it keeps.

Sources: MFDS §14.3; W. Baur & V. Strassen, The complexity of partial derivatives (1983); A. Griewank &
A. Walther, Algorithm 799: revolve (2000).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays import namespace_of
from xpsolve.arrays.backends import Backend
from xpsolve.costs import CHAIN_ORDERS, SCAN_MEMORIES
from xpsolve.report.gallery._clock import times
from xpsolve.report.gallery._picture import GUIDE, name_ends, picture
from xpsolve.report.style import COLOURS, FAINT, note, panels, set_axes
from xpsolve.trace import peak_bytes

INPUTS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)


@picture("chain", seconds=1.2, timed=True)
def chain_cost(backend: Backend, *, inner: int = 512, outputs: int = 64, inputs: tuple[int, ...] = INPUTS) -> Any:
    """Forward mode for few inputs, reverse for few outputs: n₀ = n_t divides

    Two log-log panels against 4 to 1024 inputs. Left, multiply-adds: the forward line rises in proportion, the
    reverse line is flat at first, and they cross at the 64 outputs; counted markers lie on both lines, hollow ones
    of the optimal order on the lower of the two. Right, times of the calls, which cross near the same place.

    Four Gaussian factors, dims n₀, 512, 512, 512, 64, by xs.autodiff.chain_jacobian; lines by xs.autodiff.chain_cost,
    markers by xs.count; times on the machine that drew it. Reverse grows too once n₀ is large, as A_1 has n₀ columns.
    After MFDS, §14.3.5, figure 14.12.
    """
    rng, counts, seconds = np.random.default_rng(0), [], []
    for n in inputs:
        dims = (n, inner, inner, inner, outputs)
        factors = [backend.asarray(rng.standard_normal((k, m)) / np.sqrt(m)) for m, k in pairwise(dims)]
        tallies = [xs.count(xs.autodiff.chain_jacobian, factors, order)[1] for order in CHAIN_ORDERS]
        counts.append([tally.product_flops / 2 for tally in tallies])
        calls = {order: partial(xs.autodiff.chain_jacobian, factors, order) for order in CHAIN_ORDERS}
        seconds.append(list(times(backend, calls, rounds=4).values()))

    figure, (left, right) = panels(2, height=3.6, marked=True)
    between = range(inputs[0], inputs[-1] + 1, inputs[0])
    for i, (order, colour) in enumerate(zip(CHAIN_ORDERS, COLOURS, strict=False)):
        hollow = {"markersize": 8.5, "markerfacecolor": "none"} if order == "optimal" else {}
        left.plot(inputs, [row[i] for row in counts], linestyle="none", **hollow)
        right.plot(inputs, [row[i] for row in seconds], linewidth=1.0, label=order, **hollow)
        if order != "optimal":
            law = [xs.autodiff.chain_cost((n, inner, inner, inner, outputs), order) for n in between]
            left.plot(between, law, color=colour, marker="", linewidth=1.2, label=order)
    for axes, unit, name in ((left, "powers", "multiply-adds"), (right, "seconds", "time of a call")):
        axes.axvline(outputs, **GUIDE)
        set_axes(axes, x=inputs[::2], y=unit, xlabel="inputs n₀", ylabel=name)
    words = f"n₀ = n_t = {outputs}"
    note(left, words, (outputs, 0.02), (-4, 0), xycoords=("data", "axes fraction"), ha="right", color=FAINT)
    right.legend(loc="upper left")
    name_ends(left, room=0.06)
    return figure


# Nodes in the order of the tape: where each is drawn, what it is called, its operation and the nodes that enter it.
NODES: dict[str, tuple[tuple[float, float], str, Any, tuple[str, ...]]] = {
    "x": ((0.0, 0.0), "x", None, ()),
    "y": ((0.0, 1.0), "y", None, ()),
    "a": ((1.15, 0.0), "a = log x", lambda x: namespace_of(x).log(x), ("x",)),
    "b": ((2.3, 0.5), "b = y·a", lambda y, a: y * a, ("y", "a")),
    "c": ((3.45, 0.5), "c = √b", lambda b: namespace_of(b).sqrt(b), ("b",)),
    "f": ((4.6, 0.5), "f = b + c", lambda b, c: b + c, ("b", "c")),
}
WIDE, HIGH = 0.37, 0.33  # half of a box


def sweeps(x: Any, y: Any) -> tuple[dict[str, Any], dict[str, Any], dict[tuple[str, str], Any]]:
    """The value of each node, ∂f/∂node, and ∂node/∂parent by (parent, node), from a sweep forward and one back."""
    xp, values, pullbacks = namespace_of(x), {"x": x, "y": y}, {}
    for name, (_, _, operation, parents) in NODES.items():
        if operation:
            values[name], pullbacks[name] = xs.autodiff.vjp(operation, *(values[parent] for parent in parents))
    adjoints, slopes = dict.fromkeys(NODES, xp.zeros_like(x)) | {"f": xp.ones_like(x)}, {}
    for name in reversed(pullbacks):
        for parent, slope in zip(NODES[name][3], pullbacks[name](xp.ones_like(x)), strict=True):
            slopes[parent, name] = slope
            adjoints[parent] = adjoints[parent] + adjoints[name] * slope
    return values, adjoints, slopes


@picture("autodiff", seconds=0.1)
def computational_graph(backend: Backend) -> Any:
    """What a tape holds: values going forward, derivatives going back

    Six boxes from left to right: x and y, a = log x, b = y·a, c = √b, f = b + c. Each has its value, and below it the
    derivative of f in it: 1 at f, at the right, multiplied and added up along the edges to 2.020 at x and 0.933 at y.
    Each edge has the derivative of its head in its tail.

    f(x, y) = y log x + √(y log x) at x = 2, y = 3, each operation by xs.autodiff.vjp. Bold: value; below: gradient;
    in italics: local derivatives. b has two children, so its gradient is 1 + 1·∂c/∂b. After MFDS, §14.3.2 and ch. 16.
    """
    from matplotlib.patches import FancyBboxPatch

    values, adjoints, slopes = sweeps(backend.asarray(2.0), backend.asarray(3.0))
    figure, axes = panels(height=3.0)
    axes.set_axis_off()
    axes.set(xlim=(-WIDE - 0.05, 4.6 + WIDE + 0.05), ylim=(-0.45, 1.45))
    middle = {"ha": "center", "va": "center"}
    line: dict[str, Any] = {"color": FAINT, "linewidth": 1.1}
    for name, ((x, y), words, *_) in NODES.items():
        style = "round,pad=0.02,rounding_size=0.06"
        axes.add_patch(FancyBboxPatch((x - WIDE, y - HIGH), 2 * WIDE, 2 * HIGH, style, fill=False, **line))
        axes.text(x, y + 0.2, words, **middle)
        axes.text(x, y, f"{float(values[name]):.3f}", color="C0", fontweight="bold", **middle)
        axes.text(x, y - 0.2, f"∂f/∂{name} {float(adjoints[name]):.3f}", color="C1", fontsize=9, **middle)
    for (parent, name), slope in slopes.items():
        (u, v), (x, y) = NODES[parent][0], NODES[name][0]
        over = x - u > 1.5 and v == y  # an edge that passes over the node between
        tail, head = ((u, v + HIGH), (x, y + HIGH)) if over else ((u + WIDE, v), (x - WIDE, y + 0.3 * (v - y)))
        arrow = {"arrowstyle": "-|>", "shrinkA": 2, "shrinkB": 2, "connectionstyle": f"arc3,rad={-0.3 * over}"}
        axes.annotate("", head, tail, arrowprops=arrow | line)
        height = (v + y) / 2 + (HIGH + 0.36 if over else 0.06 if v == y else 0.1)
        axes.text((u + x) / 2, height, f"{float(slope):.3g}", fontsize=9, ha="center", va="bottom", style="italic")
    return figure


def loss(x: Any, A: Any) -> Any:
    """Mean of log(1 + exp(−⟨a_i, x⟩)) + ½‖x‖²."""
    xp = namespace_of(x)
    s = A @ x
    return xp.mean(xp.logaddexp(-s, xp.zeros_like(s))) + 0.5 * xp.sum(x * x)


WAYS = {
    "finite differences": lambda x, A: xs.autodiff.finite_difference(lambda x: loss(x, A), x),
    "forward": xs.autodiff.jacfwd(loss),
    "reverse": xs.autodiff.grad(loss),
}


def ratios(backend: Backend, p: int, *, samples: int = 1000, rounds: int = 5) -> dict[str, tuple[float, float]]:
    """For each way the flops of a gradient over those of the function, and the same of times."""
    rng = np.random.default_rng(0)
    x, A = backend.asarray(rng.standard_normal(p) / p), backend.asarray(rng.standard_normal((samples, p)))
    flops = {f: xs.count(f, x, A)[1].flops for f in (loss, *WAYS.values())}
    seconds = times(backend, {f: partial(f, x, A) for f in flops}, rounds=rounds)
    return {name: (flops[f] / flops[loss], seconds[f] / seconds[loss]) for name, f in WAYS.items()}


@picture("autodiff", seconds=0.9, timed=True)
def gradient_cost(backend: Backend, *, sizes: tuple[int, ...] = (4, 16, 64, 256)) -> Any:
    """A gradient in reverse costs a few evaluations, however many variables

    Two log-log panels of the cost of a gradient over that of the function, against 4 to 256 variables p. Left, counted
    flops: finite differences and forward mode rise together in proportion to p, to 257 for 256; reverse mode is flat
    below the dashed line at 5. Right, times: the same shape, with reverse mode flat at a few.

    Logistic loss of 1000 Gaussian samples with ½‖x‖²; flops by xs.count; times on the machine that drew it. Dashed:
    the bound of 5 of Baur and Strassen (1983). Forward mode takes p tangents in one sweep. After MFDS, §14.3.4.
    """
    found = [ratios(backend, p) for p in sizes]
    figure, pair = panels(2, height=3.6, sharey=True, marked=True)
    for i, (axes, what) in enumerate(zip(pair, ("counted flops", "time"), strict=True)):
        for name in found[0]:
            hollow = {"markersize": 9, "markerfacecolor": "none"} if name == "finite differences" else {}
            axes.plot(sizes, [one[name][i] for one in found], linewidth=1.2, label=name, **hollow)
        axes.axhline(5, **GUIDE)
        set_axes(axes, x=sizes, y=(1, 10, 100, 1000), xlabel=f"variables p, {what}")
    note(pair[0], "5", (1, 5), (-3, 3), xycoords=("axes fraction", "data"), ha="right", color=FAINT)
    pair[0].set_ylabel("gradient / function")
    pair[0].legend(loc="upper left")
    return figure


def recurrence(x0: Any, W: Any, depth: int, memory: str) -> Any:
    """The gradient in W of ‖r‖² after `depth` steps r ← r + tanh(Ws), s ← s − tanh(Wᵀr)."""
    step = xs.autodiff.leapfrog(lambda s, W: namespace_of(s).tanh(W @ s), lambda r, W: -namespace_of(r).tanh(W.T @ r))

    def energy(x: Any) -> Any:
        return namespace_of(x[0]).sum(x[0] * x[0])

    return xs.autodiff.scan_gradient(step, x0, W, energy, n_steps=depth, memory=memory)[2]


@picture("autodiff", seconds=1.5, timed=True)
def recurrence_memory(backend: Backend, *, depths: tuple[int, ...] = (4, 16, 64, 256), width: int = 16) -> Any:
    """Gradients through many steps: states are kept, made again, or taken back

    Two log-log panels against 4 to 256 steps. Left, bytes alive at once: with all states kept they rise in
    proportion; with checkpoints they hardly rise; with reversible steps they are flat. Right, the time of a gradient:
    all three rise in proportion to the steps, and differ little.

    r ← r + tanh(Ws), s ← s − tanh(Wᵀr), 256 states of 16 + 16 numbers at once, by xs.autodiff.scan_gradient with
    memory='store', 'checkpoint' (log₂ t states) and 'reversible'. Bytes by xpsolve.trace.peak_bytes; times of a second
    call on the machine that drew it. After MFDS, §14.3.7.
    """
    rng = np.random.default_rng(0)
    r, s, W = (backend.asarray(rng.standard_normal((width, n))) for n in (256, 256, width))
    runs = [((r, s), W / width, t, memory) for memory in SCAN_MEMORIES for t in depths]
    seconds = times(backend, {run[2:]: partial(recurrence, *run) for run in runs}, rounds=1)
    size = {run[2:]: peak_bytes(recurrence, *run)[1] for run in runs}
    figure, (left, right) = panels(2, height=3.6, marked=True)
    for memory in SCAN_MEMORIES:
        for axes, found in ((left, size), (right, seconds)):
            axes.plot(depths, [found[t, memory] for t in depths], markersize=5, linewidth=1.2, label=memory)
    for axes, unit, name in ((left, "bytes", "bytes alive at once"), (right, "seconds", "time of a gradient")):
        set_axes(axes, x=depths, y=unit, xlabel="steps t", ylabel=name)
    left.legend(loc="upper left")
    return figure
