"""Stochastic gradient descent and its running average, exactly one sample a step, in blocks or in a loop.

With τ_k the steps, i(k) the samples and c_k = 1 − τ_kλ,

    x_{k+1} = x_k − τ_k (ℓ′(⟨a_i(k), x_k⟩, y_i(k)) a_i(k) + λ x_k)                  (Robbins & Monro 1951)

so that after t steps of a block, with P_t = c_0⋯c_{t−1},

    x_t = P_t (x_0 − Σ_{s<t} τ_s/P_{s+1} d_s a_s),     ⟨a_t, x_t⟩ = P_t ⟨a_t, x_0⟩ − Σ_{s<t} (P_t τ_s/P_{s+1}) ⟨a_t, a_s⟩ d_s

which is the system of `xpsolve.stochastic.block`.  SGA returns the mean of all x_k (Polyak & Juditsky 1992), whose sum over
a block needs the same d and other weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import Array, check_count, namespace_of
from xpsolve.capabilities import capabilities
from xpsolve.solution import Certificate, Solution, Status
from xpsolve.stochastic._run import begin
from xpsolve.stochastic.block import derivatives, rows_of, strictly_lower
from xpsolve.stochastic.objectives import LinearModel
from xpsolve.stochastic.stream import Chunk, Record, Stream, check_step, check_stream, run


class Iterate(NamedTuple):
    """Where a descent is, and the sum of where it has been (x itself where nobody asks for it)."""

    X: Array  # (…, p, m)
    total: Array


_OPTIONS = """"""


class _Descent:
    """The blocks of SGD, and of SGA where the sum of the iterates is asked for."""

    def __init__(self, stream: Stream, *, average: bool) -> None:
        self.stream, self.average = stream, average

    def prepare(self, chunk: Chunk) -> dict[str, Array]:
        """Powers P_t, and what they make of the steps."""
        decay = np.cumprod(1 - self.stream.lam * chunk.steps, axis=-1)  # P_1 … P_B
        left = np.concatenate([np.ones_like(decay[..., :1]), decay[..., :-1]], axis=-1)
        right = chunk.steps / decay
        host = {"left": left, "push": decay[..., -1:] * right, "end": decay[..., -1:]}
        if self.average:
            after = np.flip(np.cumsum(np.flip(decay, -1), axis=-1), -1)  # P_{s+1} + … + P_B
            host |= {"sum_push": after * right, "sum_end": after[..., :1]}
        parts = {name: self.stream.moved(values)[..., None] for name, values in host.items()}
        if chunk.size > 1:
            parts["weights"] = below(parts["left"], self.stream.moved(right))
        return parts

    def block(self, state: Iterate, index: Array, part: dict[str, Array], sweeps: int) -> tuple[Iterate, Array | None]:
        """The system for d, and the steps with it."""
        model = self.stream.model
        rows, y = rows_of(model.operator, index), self.stream.targets(index)
        base = rows.product(state.X)
        M = None
        if "weights" in part:
            M, base = rows.gram() * part["weights"], part["left"] * base
        d, change = derivatives(model, base, M, y, sweeps)
        X = part["end"] * state.X - rows.adjoint(part["push"] * d)
        total = X
        if self.average:
            total = state.total + part["sum_end"] * state.X - rows.adjoint(part["sum_push"] * d)
        return Iterate(X, total), change
