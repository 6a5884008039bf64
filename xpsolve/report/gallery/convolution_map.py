"""Which method of convolution wins where, over the sides of picture and kernel, and what the costs would choose.

Patches cost k² products per pixel, transforms nothing more for a larger kernel.

Source: the convolution theorem, G. Peyré, Mathematical Foundations of Data Sciences (2020), ch. 2.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.costs import CONVOLUTION_METHODS
from xpsolve.report.gallery._clock import times
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, INK, MARKERS, panels

SIDES, KERNELS = (16, 32, 64, 128, 256), (1, 3, 5, 7, 9, 13, 21)
LAYERS = {"one channel": (1, 1, 1), "8 channels to 8": (1, 8, 8)}  # batch, channels, kernels
NEAR = 1.15  # a choice this close to the best counts as right
LARGEST = 5e7  # multiply-adds of one call, for the sake of time


def contest(backend: Backend, n: int, k: int, batch: int, c: int, o: int) -> tuple[dict[str, float], str]:
    """Seconds by each method, and the one of least cost."""
    rng = np.random.default_rng(0)
    z, w = (backend.asarray(rng.standard_normal(s), dtype="float32") for s in ((batch, c, n, n), (o, c, k, k)))
    rounds = 5 if c * o * (n * k) ** 2 < 1e7 else 3
    calls = {m: partial(xs.convolve, z, w, mode="same", method=m) for m in CONVOLUTION_METHODS}
    seconds = times(backend, calls, rounds=rounds)
    sizes: dict[str, Any] = {"batch": batch, "c": c, "o": o, "mode": "same", "itemsize": 4}
    return seconds, xs.costs.cheapest({m: xs.costs.convolve(n, k, method=m, **sizes) for m in CONVOLUTION_METHODS})


def draw(backend: Backend, *, sides: tuple[int, ...] = SIDES, kernels: tuple[int, ...] = KERNELS) -> Any:
    """One channel on the left, a layer of a network on the right."""
    figure, panes = panels(2, height=3.9, sharey=True)
    style = dict(zip(CONVOLUTION_METHODS, zip(COLOURS, MARKERS, strict=False), strict=False))
    for axes, (name, (batch, c, o)) in zip(panes, LAYERS.items(), strict=True):
        for i, n in enumerate(sides):
            for j, k in enumerate(kernels):
                if k > n or batch * c * o * (n * k) ** 2 > LARGEST:
                    continue
                seconds, chosen = contest(backend, n, k, batch, c, o)
                best = min(seconds, key=seconds.__getitem__)
                colour, marker = style[best]
                axes.plot(i, j, color=colour, marker=marker, markersize=8, linestyle="none")
                if seconds[chosen] > NEAR * seconds[best]:
                    ratio = f"{seconds[chosen] / seconds[best]:.1f}×"
                    axes.annotate(ratio, (i, j), (0, 6), textcoords="offset points", ha="center", color=INK, fontsize=8)
        axes.set(xlabel="side of the picture", xlim=(-0.6, len(sides) - 0.4), ylim=(-0.6, len(kernels) - 0.3))
        axes.set_title(name, fontsize=10, loc="left")
        axes.set_xticks(range(len(sides)), [str(n) for n in sides])
    panes[0].set_yticks(range(len(kernels)), [str(k) for k in kernels])
    panes[0].set_ylabel("side of the kernel")
    handles = [
        panes[0].plot([], [], color=colour, marker=marker, markersize=7, linestyle="none", label=name)[0]
        for name, (colour, marker) in style.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


PICTURE = Picture(
    name="convolution-map",
    family="convolution",
    title="Patches win for small kernels, transforms for large ones",
    alt="Two maps over the side of the picture, 16 to 256, and that of the kernel, 1 to 21; each point has the marker "
    "of the fastest method. Left, one channel; right, eight channels to eight. Circles, im2col, fill the rows of small "
    "kernels, diamonds, fft, those of large ones; squares, shift, lie at kernels of one pixel and near the border.",
    caption='xs.convolve in float32, mode "same", by each method on the machine that drew it: shortest of three or '
    'five calls. A number says how much longer the choice of method="auto" takes than the fastest, where that is more '
    "than 15 %. The largest layers are left out. After the convolution theorem in G. Peyré, Mathematical Foundations "
    "of Data Sciences.",
    draw=draw,
    seconds=2.7,
    timed=True,
)
