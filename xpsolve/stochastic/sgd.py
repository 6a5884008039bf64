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
