"""What `sinkhorn` returns: potentials, and the plan and its cost made from them when they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from xpsolve.arrays import Array, is_array
from xpsolve.solution import Solution
from xpsolve.transport._kernels import gibbs, scaled
from xpsolve.transport._rows import Axes
from xpsolve.transport.geometry import ordinary


@dataclass(frozen=True, repr=False, eq=False)
class TransportSolution(Solution):
    """The answer of `sinkhorn`.

    Parameters
    ----------
    x : tuple of two arrays
        The dual potentials f and g, −∞ where there is no mass.
    method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`.
    value : array
        The dual value ⟨a, f⟩ + ⟨b, g⟩ − ε ΣP, 0-d or one for each problem; at convergence ⟨P, M⟩ + ε Σ P (log P − 1).
        Of a side with the price ρ, ρ⟨a, 1 − e^{−f/ρ}⟩ stands for ⟨a, f⟩, and ρ KL(P1 | a) is in the value.
    geometry : object
        The cost.
    eps : float, or array, 0-d or of shape (batch,)
        ε; 0-d from JAX arrays.
    marginal : tuple of two floats
        ρ of both sides, ∞ where a marginal is held exactly.
    factors : tuple of three arrays, optional
        u, K and v with P = diag(u) K diag(v), for one problem as for a batch of one: kept where `keep_kernel`.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> M = np.asarray([[0.0, 1.0], [1.0, 0.0]])
    >>> solution = xs.sinkhorn(np.asarray([0.5, 0.5]), np.asarray([0.25, 0.75]), M, 0.1)
    >>> solution.plan().round(4), round(float(solution.cost), 4)
    (array([[0.25, 0.25], [0.  , 0.5 ]]), 0.25)
    """

    value: Any = None
    geometry: Any = field(default=None)
    eps: Any = 0.0
    marginal: tuple[Any, Any] = (math.inf, math.inf)
    factors: Any = None

    def plan(self) -> Array:
        """P_ij = exp((f_i + g_j − M_ij)/ε), (n, m) or (batch, n, m): made here, from the potentials or ``factors``."""
        with np.errstate(all="ignore"):  # the status reports an overflow
            if self.factors is None:
                f, g, kernel, eps, _ = self._parts
                rows = kernel.rows if isinstance(kernel, Axes) else kernel
                P = gibbs(rows.cost(0, rows.shape[0]), f, g, eps)
            else:
                u, K, v = self.factors
                P = scaled(K, u, v)
        if P.ndim == 3:
            return P[0, ...] if self.x[0].ndim == 1 else P
        return P if self.x[0].ndim == 1 else P[None, ...]

    @property
    def cost(self) -> Array:
        """⟨P, M⟩, 0-d or one for each problem."""
        f, g, kernel, eps, unit = self._parts
        with np.errstate(all="ignore"):
            total = kernel.spent(f, g, eps)
            total = total * unit if is_array(unit) or unit != 1 else total
        return total[0, ...] if self.x[0].ndim == 1 else total

    @cached_property
    def _parts(self) -> tuple[Array, Array, Any, float, Any]:
        """f and g as rows, the kernel and ε, all in the unit that comes last."""
        f, g = (x if x.ndim == 2 else x[None, :] for x in self.x)
        if is_array(self.eps):
            each = self.eps[:, None] if self.eps.ndim else self.eps
            return f / each, g / each, self.geometry.divided(each).kernel(), 1.0, self.eps
        unit = ordinary(self.eps, f)
        if unit == 1:
            return f, g, self.geometry.kernel(), self.eps, unit
        return f / unit, g / unit, self.geometry.divided(unit).kernel(), self.eps / unit, unit
