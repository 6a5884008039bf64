"""What stochastic average gradient remembers between two runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array, enter
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.trace import shapes_in


class SagMemory(NamedTuple):
    """What a run of `sag` remembers, for the next one to continue from: ``.stats["memory"]``.

    Parameters
    ----------
    alpha : array, shape (n,) or (n, m), with (runs, …) before it for many runs
        The last derivative ℓ′ of each sample times its weight, 0 where it was never seen.
    seen : numpy.ndarray of bool, shape (n,) or (runs, n)
        Which samples have been seen; on the host.
    """

    alpha: Array
    seen: np.ndarray[Any, Any]

    def __repr__(self) -> str:
        return f"SagMemory(alpha: {shapes_in(self.alpha)}, seen: {shapes_in(self.seen)})"


def check_memory(f: Any, x0: Array | None, memory: Any) -> tuple[Array, np.ndarray[Any, Any]]:
    """What is in the memory, with shapes that fit x0."""
    if not isinstance(memory, SagMemory):
        message = (
            f"memory: expected .stats['memory'] of a run of sag, got an object of type {type(memory).__qualname__}."
        )
        raise TypeError(message)
    if not isinstance(f, LinearModel) or x0 is None:
        message = "memory: expected x0 with it, the .x of the run that it is from, got None."
        raise ValueError(message)
    _, (alpha, _) = enter(memory=memory.alpha, y=f.y)
    runs = tuple(x0.shape[: x0.ndim - len(f.shape)]) if hasattr(x0, "shape") else ()
    if tuple(alpha.shape) != (*runs, *f.y.shape) or memory.seen.shape != (*runs, f.n):
        message = f"memory: expected shape {(*runs, *f.y.shape)} for this f and x0, got {tuple(alpha.shape)}."
        raise ValueError(message)
    return alpha, memory.seen
