"""Digits read by a perceptron and by a convolutional network: accuracy on unseen images while they are trained.

Both minimise the cross entropy by stochastic gradient descent with momentum on batches of 32 images.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.6 and §15.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, panels
from xpsolve.solution import inner_solve

SEEN, EPOCHS, STEP = 1297, 10, 0.05
LAST: dict[str, Any] = {"activation": "relu", "last_activation": "identity"}


@dataclass(frozen=True)
class Network:
    """A network for digits: shapes of its weights, its input, and its two functions."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    pictures: tuple[int, ...]  # how a sample is shaped
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def states(self, parameters: Any, Z: Any) -> Any:
        """[X_0, …, X_R] of images along the first axis."""
        return self.forward(*parameters, Z.T if self.pictures == (64,) else Z)

    def loss(self, parameters: Any, Z: Any, Y: Any) -> tuple[Any, Any]:
        """The cross entropy and its gradient, for `train`."""
        X = self.states(parameters, Z)
        value, g = xs.networks.cross_entropy(X[-1], Y.T)
        return value, self.backward(*parameters, X, g)


def _with(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda *args: function(*args, **LAST, **options)


CONVOLUTIONS: dict[str, Any] = {"stride": (1, 2), "mode": "same"}
NETWORKS = (
    Network("perceptron", ((256, 64), (10, 256)), (64,), _with(xs.mlp_forward), _with(xs.mlp_backward)),
    Network(
        "convolutional",
        ((16, 1, 3, 3), (32, 16, 3, 3), (10, 512)),
        (1, 8, 8),
        _with(xs.networks.cnn_forward, **CONVOLUTIONS),
        _with(xs.networks.cnn_backward, **CONVOLUTIONS),
    ),
)


def accuracies(backend: Backend, network: Network, epochs: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Seconds of training after each epoch, and the share of unseen images that are read right then."""
    data, rng = xs.problems.digits(standardise=False), np.random.default_rng(seed)
    order = rng.permutation(data.A.shape[0])
    images = (data.A / 16 - 0.3).reshape(-1, *network.pictures)[order]
    start = [rng.standard_normal(s) * np.sqrt(2 / np.prod(s[1:])) for s in network.shapes]
    parameters = tuple(
        [backend.asarray(x, dtype="float32") for x in part] for part in (start, [np.zeros(len(w)) for w in start])
    )
    Z, Y, unseen = (
        backend.asarray(np.ascontiguousarray(x), dtype="float32")
        for x in (images[:SEEN], data.y[order[:SEEN]], images[SEEN:])
    )
    truth = np.argmax(data.y[order[SEEN:]], axis=1)
    seconds, shares, paused = [], [], 0.0
    begin = perf_counter()

    def look(_: int, progress: xs.Progress) -> None:
        nonlocal paused
        now = perf_counter()
        margins = backend.to_numpy(network.states(progress.x, unseen)[-1])
        seconds.append(now - begin - paused)
        shares.append(float(np.mean(np.argmax(margins, axis=0) == truth)))
        paused += perf_counter() - now

    options: dict[str, Any] = {"step": STEP, "warmup": 600, "epochs": epochs, "tol": 1e-4, "callback": look}
    with inner_solve():  # the whole run is shown, to its end
        xs.networks.train(network.loss, parameters, Z, Y, **options)
    return seconds, shares


def draw(backend: Backend, *, epochs: int = EPOCHS) -> Any:
    """Against epochs on the left, against seconds on the right."""
    figure, (left, right) = panels(2, height=3.7, sharey=True)
    for network, colour, marker in zip(NETWORKS, COLOURS, MARKERS, strict=False):
        seconds, shares = accuracies(backend, network, epochs)
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.2}
        left.plot(range(1, len(shares)), shares[1:], label=network.name, **style)
        right.plot(np.asarray(seconds[1:]) - seconds[0], shares[1:], **style)
    for axes in (left, right):
        axes.axhline(0.97, color=FAINT, linewidth=0.9, dashes=(4, 3))
    left.text(0.3, 0.9705, "97 %", color=INK, fontsize=9, va="bottom")
    left.set(xlabel="epoch", ylabel="accuracy on unseen images", xlim=(0, epochs + 0.5), ylim=(0.9, 1.0))
    left.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    left.legend(loc="lower right", fontsize=9, handlelength=2.2)
    right.set(xlabel="seconds of training", xscale="log")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure


PICTURE = Picture(
    name="digits-networks",
    family="networks",
    title="Digits: two small networks read 97 % of unseen images in seconds",
    alt="Two panels with the accuracy on unseen images, from 90 to 100 %, of a perceptron, circles, and a "
    "convolutional network, squares. Left, against epochs 1 to 10: both rise above a dashed line at 97 %, the "
    "convolutional network highest. Right, against seconds on a logarithmic axis: the perceptron is several times "
    "faster.",
    caption="1297 of the 1797 images of 8 × 8 pixels, drawn at random, are learned; 500 are left to read. "
    "Perceptron: 64, 256, 10. Convolutional: 16 and 32 kernels of 3 × 3, the second with stride 2, and a dense layer. "
    "ReLU, float32, xs.networks.train with steps of 0.05/(1 + k/600) and momentum 0.9. After G. Peyré, Mathematical "
    "Foundations of Data Sciences, ch. 14 and 15.",
    draw=draw,
    seconds=3.4,
    timed=True,
)
