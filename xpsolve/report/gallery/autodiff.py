"""Automatic differentiation: the cost of a chain, what a tape holds, what a gradient costs and what it keeps.

Sources: MFDS §14.3; W. Baur & V. Strassen, The complexity of partial derivatives (1983); A. Griewank &
A. Walther, Algorithm 799: revolve (2000).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays import Array, namespace_of
from xpsolve.arrays.backends import Backend
from xpsolve.autodiff import finite_difference, grad, jacfwd, leapfrog, scan_gradient
from xpsolve.autodiff.levels import Tracked
from xpsolve.autodiff.rules import ELEMENTWISE
from xpsolve.autodiff.tape import Node, Reverse, sweep
from xpsolve.costs import CHAIN_ORDERS, SCAN_MEMORIES
from xpsolve.report.gallery._clock import shortest
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, label_ends, note, panels, scale
from xpsolve.trace import peak_bytes

INNER, OUTPUTS = (512, 512, 512), 64
INPUTS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)


def formula(dims: Sequence[int], order: str) -> int:
    """Multiply-adds: forward n_0 Σ_{k=1}^{t−1} n_k n_{k+1}, reverse n_t Σ_{k=0}^{t−2} n_k n_{k+1}."""
    pairs = [n * m for n, m in pairwise(dims)]
    return dims[0] * sum(pairs[1:]) if order == "forward" else dims[-1] * sum(pairs[:-1])


def measured_chain(backend: Backend, dims: Sequence[int], order: str) -> tuple[float, float]:
    """Multiply-adds that `xs.count` finds, and the shortest time of a call in seconds."""
    rng = np.random.default_rng(0)
    factors = [backend.asarray(rng.standard_normal((n, m)) / np.sqrt(m)) for m, n in pairwise(dims)]
    _, tally = xs.count(xs.autodiff.chain_jacobian, factors, order)
    return tally.product_flops / 2, shortest(backend, lambda: xs.autodiff.chain_jacobian(factors, order), 7)[0]


@picture("chain", seconds=1.2, timed=True)
def chain_cost(backend: Backend, *, inner: tuple[int, ...] = INNER, inputs: tuple[int, ...] = INPUTS) -> Any:
    """Forward mode for few inputs, reverse for few outputs: n₀ = n_t divides

    Two log-log panels against the number of inputs, from 4 to 1024. Left, multiply-adds: the forward line rises in
    proportion, the reverse line is flat at first, and they cross where the inputs are as many as the 64 outputs;
    counted markers lie on both lines, and hollow ones for the optimal order on the lower of the two. Right, the
    times of the calls, which cross near the same place.

    Four Gaussian factors, dims n₀, 512, 512, 512, 64, by xs.autodiff.chain_jacobian. Left: lines are n₀ Σ n_k
    n_{k+1} and n_t Σ n_k n_{k+1} over the products of each mode, markers what xs.count found. Right: shortest of
    seven calls on the machine that drew it. Reverse grows too once n₀ is large, as A_1 has n₀ columns. After MFDS,
    §14.3.5, figure 14.12.
    """
    figure, (left, right) = panels(2, height=3.6)
    between, ends = np.geomspace(inputs[0], inputs[-1], 200), []
    for order, colour, marker in zip(CHAIN_ORDERS, COLOURS, MARKERS, strict=False):
        counts, seconds = np.transpose([measured_chain(backend, [n, *inner, OUTPUTS], order) for n in inputs])
        if order != "optimal":
            law = [formula([n, *inner, OUTPUTS], order) for n in between]
            left.plot(between, law, color=colour, linewidth=1.2)
            ends.append((between[-1], law[-1], order, colour))
        hollow = {"markersize": 8.5, "markerfacecolor": "none"} if order == "optimal" else {}
        left.plot(inputs, counts, color=colour, marker=marker, linestyle="none", **hollow)
        right.plot(inputs, seconds, color=colour, marker=marker, linewidth=1.0, label=order, **hollow)
    for axes, unit, name in ((left, "powers", "multiply-adds"), (right, "seconds", "time of a call")):
        axes.axvline(OUTPUTS, color=FAINT, linewidth=0.9, dashes=(4, 3))
        axes.set(xlabel="inputs n₀", ylabel=name)
        scale(axes, x=inputs[::2], y=unit)
    words = f"n₀ = n_t = {OUTPUTS}"
    note(left, words, (OUTPUTS, 0.02), (-4, 0), xycoords=("data", "axes fraction"), ha="right", color=FAINT)
    right.legend(loc="upper left")
    label_ends(left, ends, room=0.06)
    return figure


POINT = (2.0, 3.0)
# where each node is drawn, in the order in which the tape gets them, and what it is called
PLACES = ((0.0, 0.0), (0.0, 1.0), (1.15, 0.0), (2.3, 0.5), (3.45, 0.5), (4.6, 0.5))
NAMES = (("x", "x"), ("y", "y"), ("a", "a = log x"), ("b", "b = y·a"), ("c", "c = √b"), ("f", "f = b + c"))
WIDE, HIGH = 0.37, 0.33  # half of a box
ARROW = {"arrowstyle": "-|>", "color": FAINT, "shrinkA": 2, "shrinkB": 2, "linewidth": 1.1}


def course(x: Array, y: Array) -> Array:
    """f(x, y) = y log x + √(y log x), one operation per line."""
    xp = namespace_of(x)
    a = xp.log(x)
    b = y * a
    c = xp.sqrt(b)
    return b + c


@dataclass(frozen=True)
class Vertex:
    """One node of the tape: its value, ∂f/∂node, and ∂node/∂parent with the number of each parent."""

    value: float
    adjoint: float
    parents: tuple[tuple[int, float], ...]


class _Watched(Reverse):
    """A tape that remembers its nodes in order."""

    def __init__(self, inside: Any) -> None:
        super().__init__(inside)
        self.made: list[tuple[str, Array, Node]] = []

    def variable(self, value: Array) -> Tracked:
        x = super().variable(value)
        self.made.append(("", value, x._mark))
        return x

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = super().apply(name, function, args, kwargs)
        self.made.append((name, out.__xpsolve_value__, out._mark))
        return out


def graph(f: Callable[..., Array], *point: Array) -> list[Vertex]:
    """The nodes of f at a point, arguments first, read from the tape that f writes."""
    xp = namespace_of(point[0])
    tape = _Watched(xp)
    last = f(*(tape.variable(x) for x in point))._mark
    number = {id(node): i for i, (_, _, node) in enumerate(tape.made)}
    found = []
    for name, value, node in tape.made:
        parents = []
        for k, parent in enumerate(node.parents):
            if parent is not None:
                local = ELEMENTWISE[name][k]
                local = getattr(local, "partial", local)
                slope = local if isinstance(local, int) else local(xp, node.saved[0], *node.saved[1])
                parents.append((number[id(parent)], float(slope)))
        rule, node.rule = node.rule, None  # the sweep stops at a node without a rule, and returns its gradient
        adjoint = sweep(xp, [(last, xp.ones_like(value))])[node.order]
        node.rule = rule
        found.append(Vertex(float(value), float(adjoint), tuple(parents)))
    return found


@picture("autodiff", seconds=0.1)
def computational_graph(backend: Backend) -> Any:
    """What a tape holds: values going forward, derivatives going back

    A graph of six boxes from left to right: x and y, a = log x, b = y·a, c = √b, f = b + c. Each box has its value,
    and below it the derivative of f in it, which is 1 at f at the right and is multiplied and added up along the
    edges to 2.020 at x and 0.933 at y, at the left. Each edge has the derivative of its head in its tail.

    f(x, y) = y log x + √(y log x) at x = 2, y = 3. Boxes and edges are the nodes of the tape that autodiff.grad
    writes; bold: value; below: gradient when the sweep back has come there; in italics: the local derivatives. b
    has two children, and its gradient is 1 + 1·∂c/∂b. After MFDS, §14.3.2 and ch. 16.
    """
    from matplotlib.patches import FancyBboxPatch

    figure, axes = panels(height=3.0)
    axes.set_axis_off()
    axes.grid(visible=False)
    blue, orange, *_ = COLOURS
    nodes = graph(course, *(backend.asarray(value) for value in POINT))
    middle = {"ha": "center", "va": "center"}
    for node, (x, y), (name, words) in zip(nodes, PLACES, NAMES, strict=True):
        corner, style = (x - WIDE, y - HIGH), "round,pad=0.02,rounding_size=0.06"
        box = FancyBboxPatch(corner, 2 * WIDE, 2 * HIGH, style, facecolor="none", edgecolor=FAINT, linewidth=1.1)
        axes.add_patch(box)
        axes.text(x, y + 0.2, words, **middle)
        axes.text(x, y, f"{node.value:.3f}", color=blue, fontweight="bold", **middle)
        axes.text(x, y - 0.2, f"∂f/∂{name} {node.adjoint:.3f}", color=orange, fontsize=9, **middle)
        for parent, slope in node.parents:
            u, v = PLACES[parent]
            over = x - u > 1.5 and v == y  # an edge that passes over the node between
            ends = ((u, v + HIGH), (x, y + HIGH)) if over else ((u + WIDE, v), (x - WIDE, y + 0.3 * (v - y)))
            bend = "arc3,rad=-0.3" if over else "arc3,rad=0"
            axes.annotate("", ends[1], ends[0], arrowprops=ARROW | {"connectionstyle": bend})
            where = (u + x) / 2, (v + y) / 2 + (HIGH + 0.36 if over else 0.06 if v == y else 0.1)
            axes.text(*where, f"{slope:.3g}", fontsize=9, color=INK, ha="center", va="bottom", style="italic")
    axes.set(xlim=(-WIDE - 0.05, PLACES[-1][0] + WIDE + 0.05), ylim=(-0.45, 1.45))
    return figure


def loss(x: Any, A: Any) -> Any:
    """Mean of log(1 + exp(−⟨a_i, x⟩)) + ½‖x‖²."""
    xp = namespace_of(x)
    s = A @ x
    return xp.mean(xp.logaddexp(-s, xp.zeros_like(s))) + 0.5 * xp.sum(x * x)


WAYS = {
    "finite differences": lambda x, A: finite_difference(lambda x: loss(x, A), x),
    "forward": jacfwd(loss),
    "reverse": grad(loss),
}


def ratios(backend: Backend, p: int, *, samples: int = 1000, blocks: int = 7) -> dict[str, tuple[float, float]]:
    """For each way the flops of a gradient over those of the function, and the same of times, taken in turns."""
    rng = np.random.default_rng(0)
    x, A = backend.asarray(rng.standard_normal(p) / p), backend.asarray(rng.standard_normal((samples, p)))
    _, once = xs.count(loss, x, A)

    def seconds(call: Any, repeat: int) -> float:
        begin = perf_counter()
        for _ in range(repeat):
            out = call(x, A)
        backend.synchronize(out)
        return (perf_counter() - begin) / repeat

    found = {}
    for name, way in WAYS.items():
        _, tally = xs.count(way, x, A)
        turns = [(seconds(way, 2), seconds(loss, 20)) for _ in range(blocks)]
        gradient, function = (min(times) for times in zip(*turns, strict=True))
        found[name] = (tally.flops / once.flops, gradient / function)
    return found


@picture("autodiff", seconds=0.9, timed=True)
def gradient_cost(backend: Backend, *, sizes: tuple[int, ...] = (4, 16, 64, 256)) -> Any:
    """A gradient in reverse costs a few evaluations, however many variables

    Two log-log panels of the cost of a gradient over that of the function, against the number of variables p from 4
    to 256. Left, counted flops: finite differences and forward mode rise together in proportion to p, to 257 for
    256; reverse mode is flat below the dashed line at 5. Right, times: the same shape, with reverse mode flat at a
    few.

    Logistic loss of 1000 Gaussian samples with ½‖x‖². Left: flops found by xs.count; right: shortest of seven times
    of the gradient over the shortest of the function, taken in turns, on the machine that drew it. Dashed: the
    bound of 5 of Baur and Strassen (1983). Forward mode takes p tangents in one sweep. After MFDS, §14.3.4.
    """
    found = [ratios(backend, p) for p in sizes]
    figure, pair = panels(2, height=3.6, sharey=True)
    for axes, column, what in zip(pair, (0, 1), ("counted flops", "time"), strict=True):
        for name, colour, marker in zip(WAYS, COLOURS, MARKERS, strict=False):
            hollow = {"markersize": 9, "markerfacecolor": "none"} if marker == MARKERS[0] else {}
            values = [one[name][column] for one in found]
            axes.plot(sizes, values, color=colour, marker=marker, linewidth=1.2, label=name, **hollow)
        axes.axhline(5, color=FAINT, linewidth=0.9, dashes=(4, 3))
        axes.set(xlabel=f"variables p, {what}")
        scale(axes, x=sizes, y=(1, 10, 100, 1000))
    note(pair[0], "5", (1, 5), (-3, 3), xycoords=("axes fraction", "data"), ha="right", color=FAINT)
    pair[0].set_ylabel("gradient / function")
    pair[0].legend(loc="upper left")
    return figure


def recurrence(x0: Any, W: Any, depth: int, memory: str) -> Any:
    """The gradient in W through `depth` steps r ← r + tanh(Ws), s ← s − tanh(Wᵀr)."""
    step = leapfrog(lambda s, W: namespace_of(s).tanh(W @ s), lambda r, W: -namespace_of(r).tanh(W.T @ r))
    return scan_gradient(step, x0, W, lambda x: namespace_of(x[0]).sum(x[0] * x[0]), n_steps=depth, memory=memory)[2]


def states(backend: Backend, width: int = 16, batch: int = 256) -> tuple[Any, Any]:
    """The first state, two arrays (width, batch), and the weights."""
    rng = np.random.default_rng(0)
    r, s = (backend.asarray(rng.standard_normal((width, batch))) for _ in range(2))
    return (r, s), backend.asarray(rng.standard_normal((width, width)) / width)


@picture("autodiff", seconds=3.2, timed=True)
def recurrence_memory(backend: Backend, *, depths: tuple[int, ...] = (8, 32, 128, 512)) -> Any:
    """Gradients through many steps: states are kept, made again, or taken back

    Two log-log panels against the number of steps from 8 to 512. Left, bytes alive at once: with all states kept
    they rise in proportion; with checkpoints they hardly rise; with reversible steps they are flat. Right, the time
    of a gradient: all three rise in proportion to the steps, and differ little.

    r ← r + tanh(Ws), s ← s − tanh(Wᵀr), 256 states of 16 + 16 numbers at once, by xs.autodiff.scan_gradient with
    memory='store', 'checkpoint' (log₂ t states) and 'reversible'. Left: bytes of all arrays alive at once, counted
    by xpsolve.trace.peak_bytes; right: the shorter of two runs on the machine that drew it. After MFDS, §14.3.7.
    """
    x0, W = states(backend)
    figure, (left, right) = panels(2, height=3.6)
    for memory, colour, marker in zip(SCAN_MEMORIES, COLOURS, MARKERS, strict=False):
        calls = [partial(recurrence, depth=depth, memory=memory) for depth in depths]
        style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.2, "label": memory}
        left.plot(depths, [peak_bytes(call, x0, W)[1] for call in calls], **style)
        right.plot(depths, [shortest(backend, partial(call, x0, W), 2)[0] for call in calls], **style)
    for axes, unit, name in ((left, "bytes", "bytes alive at once"), (right, "seconds", "time of a gradient")):
        axes.set(xlabel="steps t", ylabel=name)
        scale(axes, x=depths, y=unit)
    left.legend(loc="upper left")
    return figure
