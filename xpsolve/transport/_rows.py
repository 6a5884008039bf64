"""Products with the kernel K_ij = exp((f_i + g_j − M_ij)/ε), for three kinds of cost.

Costs are read in blocks of rows.  One block that holds everything is a matrix and keeps its K; many are a point cloud
whose K is made anew at each pass, in memory O(n + m + block).  A pass makes p = Kv, the solver changes u, and it adds
up q = Kᵀu while the block is in memory.  On a grid K is a product of one small kernel per axis.  Batches: u and v are
(B, ·).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import Array, namespace_of
from xpsolve.transport._kernels import cost_range, gibbs, soft_columns, soft_rows

Update = Callable[[Array, int, int], Array]
"""From p = (Kv)[start:stop], start and stop to the new u[start:stop]."""


def times(K: Array, v: Array) -> Array:
    """Kv for each v of (B, m), with one K for all or one for each."""
    return v @ K.T if K.ndim == 2 else (K @ v[:, :, None])[:, :, 0]


def times_transposed(K: Array, u: Array) -> Array:
    """Kᵀu for each u of (B, n)."""
    return u @ K if K.ndim == 2 else (u[:, None, :] @ K)[:, 0, :]


@dataclass(frozen=True)
class Rows:
    """A cost in blocks of rows: ``cost(start, stop)`` is (rows, m) or, for a batch of costs, (B, rows, m)."""

    cost: Callable[[int, int], Array]
    shape: tuple[int, int]
    block: int

    @property
    def holds(self) -> bool:
        """Whether one block is all: then K is kept, else it is made at every pass."""
        return self.block >= self.shape[0]

    def blocks(self) -> list[tuple[int, int]]:
        """Where blocks start and stop."""
        n = self.shape[0]
        return [(i, min(i + self.block, n)) for i in range(0, n, self.block)]

    def range(self, most: float) -> tuple[Array, Array]:
        """The smallest cost and the largest one that is at most `most` above it."""
        if self.holds:
            low, high = cost_range(self.cost(0, self.shape[0]), most)
            return low, high
        xp = namespace_of(self.cost(0, 1))
        lowest = xp.min(xp.stack([xp.min(self.cost(i, j)) for i, j in self.blocks()]))
        highs = []
        for i, j in self.blocks():
            M = self.cost(i, j)
            highs.append(xp.max(xp.where(M - lowest <= most, M, xp.zeros_like(M) + lowest)))
        return lowest, xp.max(xp.stack(highs))

    def hold(self, f: Array, g: Array, eps: Array) -> Array | None:
        """K, where it is kept."""
        return gibbs(self.cost(0, self.shape[0]), f, g, eps) if self.holds else None

    def _kernels(self, f: Array, g: Array, eps: Array) -> Any:
        for start, stop in self.blocks():
            yield start, stop, gibbs(self.cost(start, stop), f[:, start:stop], g, eps)

    def sweep(
        self, K: Array | None, f: Array, g: Array, eps: Array, v: Array, update: Update
    ) -> tuple[Array, Array, Array]:
        """p = Kv, u = update(p) and q = Kᵀu in one pass."""
        if K is not None:
            p = times(K, v)
            u = update(p, 0, self.shape[0])
            return p, u, times_transposed(K, u)
        P, U, q = [], [], None
        for start, stop, kernel in self._kernels(f, g, eps):
            p = times(kernel, v)
            u = update(p, start, stop)
            part = times_transposed(kernel, u)
            q = part if q is None else q + part
            P.append(p)
            U.append(u)
        return _joined(P), _joined(U), q

    def soft_sweep(self, eps: Array, V: Array, update: Update) -> tuple[Array, Array, Array]:
        """The same in logarithms."""
        P, U, Q = [], [], None
        for start, stop in self.blocks():
            M = self.cost(start, stop)
            p = soft_rows(M, V, eps)
            u = update(p, start, stop)
            Q = _added(Q, soft_columns(M, u, eps))
            P.append(p)
            U.append(u)
        return _joined(P), _joined(U), Q

    def soft_columns(self, eps: Array, U: Array) -> Array:
        """Q = log Kᵀexp(U)."""
        Q = None
        for start, stop in self.blocks():
            Q = _added(Q, soft_columns(self.cost(start, stop), U[:, start:stop], eps))
        return Q

    def soft_rows(self, eps: Array, V: Array) -> Array:
        """P = log K exp(V)."""
        return _joined([soft_rows(self.cost(start, stop), V, eps) for start, stop in self.blocks()])

    def marginals(self, f: Array, g: Array, eps: Array) -> tuple[Array, Array]:
        """P1 and Pᵀ1 of the plan P = exp((f ⊕ g − M)/ε), in one pass."""
        xp = namespace_of(f)
        rows, columns = [], None
        for _, _, P in self._kernels(f, g, eps):
            P = P[None, ...] if P.ndim == 2 else P
            rows.append(xp.sum(P, axis=-1))
            part = xp.sum(P, axis=-2)
            columns = part if columns is None else columns + part
        return _joined(rows), columns

    def spent(self, f: Array, g: Array, eps: Array) -> Array:
        """⟨P, M⟩, (B,)."""
        xp = namespace_of(f)
        total: Any = 0
        for start, stop in self.blocks():
            M = self.cost(start, stop)
            P = gibbs(M, f[:, start:stop], g, eps)
            used = xp.where(P > 0, M, xp.zeros_like(P))  # a cost that is infinite is not paid
            total = total + xp.sum(P * used, axis=(-2, -1))
        return total if total.ndim else total[None]


@dataclass(frozen=True, eq=False)
class OfMatrix:
    """Rows of a matrix of costs."""

    M: Array

    def __call__(self, start: int, stop: int) -> Array:
        return self.M if stop - start == self.M.shape[-2] else self.M[..., start:stop, :]


@dataclass(frozen=True)
class Axes:
    """A cost M = Σ_k C_k on a grid, C_k (n_k, n_k) symmetric: K is the product of the kernels exp(−C_k/ε).

    It cannot absorb potentials, which are no products of functions of one coordinate.
    """

    costs: tuple[Array, ...]
    rows: Rows  # the same cost, for what needs single entries

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n), the number of points squared."""
        return self.rows.shape

    def hold(self, f: Array, g: Array, eps: Array) -> tuple[Array, ...]:
        """The small kernels."""
        return tuple(namespace_of(C).exp(-C / eps) for C in self.costs)

    def _along(self, v: Array, contract: Callable[[int, Array], Array]) -> Array:
        """Axis after axis: each contraction takes the first axis of the grid and puts it last."""
        xp = namespace_of(v)
        x = xp.reshape(v, (v.shape[0], *(C.shape[0] for C in self.costs)))
        for k in range(len(self.costs)):
            x = contract(k, x)
        return xp.reshape(x, v.shape)

    def _times(self, kernels: tuple[Array, ...], v: Array) -> Array:
        xp = namespace_of(v)
        return self._along(v, lambda k, x: xp.tensordot(x, kernels[k], axes=((1,), (0,))))

    def _soft(self, V: Array, eps: Array) -> Array:
        xp = namespace_of(V)

        def contract(k: int, x: Array) -> Array:
            x = xp.permute_dims(x, (0, *range(2, x.ndim), 1))
            return xp.reshape(soft_rows(self.costs[k], xp.reshape(x, (-1, x.shape[-1])), eps), x.shape)

        return self._along(V, contract)

    def sweep(self, K: Any, f: Array, g: Array, eps: Array, v: Array, update: Update) -> tuple[Array, Array, Array]:
        """p = Kv, u = update(p) and q = Ku."""
        p = self._times(K, v)
        u = update(p, 0, self.shape[0])
        return p, u, self._times(K, u)

    def soft_sweep(self, eps: Array, V: Array, update: Update) -> tuple[Array, Array, Array]:
        """The same in logarithms."""
        P = self._soft(V, eps)
        U = update(P, 0, self.shape[0])
        return P, U, self._soft(U, eps)

    def soft_columns(self, eps: Array, U: Array) -> Array:
        """Q = log Kᵀexp(U)."""
        return self._soft(U, eps)

    soft_rows = soft_columns  # K is symmetric

    def marginals(self, f: Array, g: Array, eps: Array) -> tuple[Array, Array]:
        """P1 and Pᵀ1 of the plan, which is never made."""
        xp = namespace_of(f)
        F, G = f / eps, g / eps
        return xp.exp(F + self._soft(G, eps)), xp.exp(G + self._soft(F, eps))

    def spent(self, f: Array, g: Array, eps: Array) -> Array:
        """⟨P, M⟩, (B,)."""
        return self.rows.spent(f, g, eps)


def _added(Q: Array | None, part: Array) -> Array:
    return part if Q is None else namespace_of(Q).logaddexp(Q, part)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concat(parts, axis=1)
