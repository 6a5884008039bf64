"""The computational graph of f(x, y) = y log x + √(y log x): what the tape of reverse mode holds.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import Array, namespace_of
from xpsolve.arrays.backends import Backend
from xpsolve.autodiff.levels import Tracked
from xpsolve.autodiff.rules import ELEMENTWISE
from xpsolve.autodiff.tape import Node, Reverse, sweep
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, INK, panels

POINT = (2.0, 3.0)
# where each node is drawn, in the order in which the tape gets them, and what it is called
PLACES = ((0.0, 0.0), (0.0, 1.0), (1.15, 0.0), (2.3, 0.5), (3.45, 0.5), (4.6, 0.5))
NAMES = (("x", "x"), ("y", "y"), ("a", "a = log x"), ("b", "b = y·a"), ("c", "c = √b"), ("f", "f = b + c"))
WIDE, HIGH = 0.37, 0.33  # half of a box
ARROW = {"arrowstyle": "-|>", "color": FAINT, "shrinkA": 2, "shrinkB": 2, "linewidth": 1.1}


def course(x: Array, y: Array) -> Array:
    """f, one operation per line."""
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
                partial = ELEMENTWISE[name][k]
                partial = getattr(partial, "partial", partial)
                slope = partial if isinstance(partial, int) else partial(xp, node.saved[0], *node.saved[1])
                parents.append((number[id(parent)], float(slope)))
        rule, node.rule = node.rule, None  # the sweep stops at a node without a rule, and returns its gradient
        adjoint = sweep(xp, [(last, xp.ones_like(value))])[node.order]
        node.rule = rule
        found.append(Vertex(float(value), float(adjoint), tuple(parents)))
    return found


def draw(backend: Backend) -> Any:
    """Nodes from left to right in the order of the calls, local derivatives on the edges."""
    from matplotlib.patches import FancyBboxPatch

    figure, axes = panels(height=3.0)
    axes.grid(visible=False)
    axes.set_axis_off()
    blue, orange = list(COLOURS)[:2]
    nodes = graph(course, *(backend.asarray(value) for value in POINT))
    for node, (x, y), (name, formula) in zip(nodes, PLACES, NAMES, strict=True):
        corner, style = (x - WIDE, y - HIGH), "round,pad=0.02,rounding_size=0.06"
        box = FancyBboxPatch(corner, 2 * WIDE, 2 * HIGH, style, facecolor="none", edgecolor=FAINT, linewidth=1.1)
        axes.add_patch(box)
        axes.text(x, y + 0.2, formula, ha="center", va="center", fontsize=10)
        axes.text(x, y, f"{node.value:.3f}", ha="center", va="center", fontsize=10, color=blue, fontweight="bold")
        axes.text(x, y - 0.2, f"∂f/∂{name} {node.adjoint:.3f}", ha="center", va="center", fontsize=9, color=orange)
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


PICTURE = Picture(
    name="computational-graph",
    family="autodiff",
    title="What a tape holds: values going forward, derivatives going back",
    alt="A graph of six boxes from left to right: x and y, a = log x, b = y·a, c = √b, f = b + c. Each box has its "
    "value, and below it the derivative of f in it, which is 1 at f at the right and is multiplied and added up "
    "along the edges to 2.020 at x and 0.933 at y, at the left. Each edge has the derivative of its head in its "
    "tail.",
    caption="f(x, y) = y log x + √(y log x) at x = 2, y = 3. Boxes and edges are the nodes of the tape that "
    "autodiff.grad writes; bold: value; below: gradient when the sweep back has come there; in italics: the "
    "local derivatives. b has two children, and its gradient is 1 + 1·∂c/∂b. After G. Peyré, Mathematical "
    "Foundations of Data Sciences, ch. 16.",
    draw=draw,
    seconds=0.1,
)
