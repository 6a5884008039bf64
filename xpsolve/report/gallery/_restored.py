"""Pictures restored by several methods, each at the weight λ that is best for it: a row of the figures on blur."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from xpsolve.arrays.backends import Backend


class Found(NamedTuple):
    """What a method found."""

    lam: float
    x: Any


def best(problem: Any, solve: Callable[[float], Any], lams: Iterable[float]) -> Found:
    """λ and the picture with the best PSNR."""
    tried = [Found(float(lam), solve(float(lam))) for lam in lams]
    return max(tried, key=lambda one: problem.psnr(one.x))


def show(row: Any, backend: Backend, problem: Any, observed: str, found: dict[str, Found], *, between: str) -> None:
    """The truth, what was observed, and what each method found, with the PSNR and λ beside; `between` the name and
    the number."""
    shown = {"truth": problem.x_true, observed: problem.y, **{name: one.x for name, one in found.items()}}
    for axes, (name, x) in zip(row, shown.items(), strict=True):
        picture = backend.to_numpy(x).reshape(problem.shape)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(xticks=(), yticks=())
        axes.set_title(name if name == "truth" else f"{name}{between}{problem.psnr(x):.1f} dB", fontsize=10)
        if name in found:
            axes.set_xlabel(f"λ = {found[name].lam:.1e}".replace("e-0", "e-"), fontsize=9)
