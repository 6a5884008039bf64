"""B steps of stochastic descent, one sample each, as one step with matrix products: the same iterates.

A step subtracts a multiple of a row a_t, so that the margin s_t = ⟨a_t, x_t⟩ at which its derivative d_t = ℓ′(s_t, y_t)
is taken depends on the steps before it through the Gram matrix of the block alone:

    s = base − M d,      d = ℓ′(s, y),      M strictly lower triangular

For least squares, d = s − y, that is a unit triangular system.  For any loss it is a fixed point that Picard's sweeps
s ← base − M ℓ′(s) reach after B of them at the latest, and to rounding after a dozen; Newton's method, one triangular
system per step, takes three or four (Benesty & Duhamel 1992 for least squares; Devarakonda & Demmel 2020 for s steps).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from operator import add as operator_add
from typing import Any

from xpsolve import costs
from xpsolve.arrays import Array, device_of, namespace_of, solve, solve_triangular
from xpsolve.operators import Dense, LinearOperator, Sparse
from xpsolve.operators.centred import Centred
from xpsolve.operators.sparse import dense_rows, sparse_gram, sparse_product, sparse_rows
from xpsolve.stochastic._intercept import WithIntercept
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.objectives import LeastSquares


@dataclass(frozen=True)
class DenseRows:
    """Some rows of A, (…, B, p)."""

    R: Array

    def product(self, X: Array) -> Array:
        """R X for X (…, p, m)."""
        return self.R @ X

    def adjoint(self, D: Array) -> Array:
        """Rᵀ D for D (…, B, m)."""
        return self.R.mT @ D

    def gram(self) -> Array:
        """R Rᵀ."""
        return self.R @ self.R.mT


@dataclass(frozen=True)
class SparseRows:
    """Some rows of a sparse A."""

    R: Any
    S: Any
    index: Array

    def product(self, X: Array) -> Array:
        """R X for X (p, m)."""
        return sparse_product(X, self.R)

    def adjoint(self, D: Array) -> Array:
        """Rᵀ D for D (B, m)."""
        return sparse_product(D, self.R.T)

    def gram(self) -> Array:
        """R Rᵀ, dense."""
        return sparse_gram(self.index, self.S, self.S.dtype)


@dataclass(frozen=True)
class CentredRows:
    """Some rows of A − 1āᵀ for a sparse A."""

    rows: SparseRows
    mean: Array

    def product(self, X: Array) -> Array:
        """R X for X (p, m)."""
        return self.rows.product(X) - self.mean @ X

    def adjoint(self, D: Array) -> Array:
        """Rᵀ D for D (B, m)."""
        return self.rows.adjoint(D) - self.mean[:, None] * namespace_of(D).sum(D, axis=0)

    def gram(self) -> Array:
        """R Rᵀ, dense; means far above the spread of their columns cost it digits."""
        along = self.rows.product(self.mean[:, None])
        return self.rows.gram() - along - along.mT + self.mean @ self.mean


@dataclass(frozen=True)
class BothRows:
    """Some rows of (A − 1āᵀ, s·1)."""

    rows: DenseRows | SparseRows | CentredRows
    ones: DenseRows

    def product(self, X: Array) -> Array:
        """R X for X (p + 1, m)."""
        return self.rows.product(X[..., :-1, :]) + self.ones.product(X[..., -1:, :])

    def adjoint(self, D: Array) -> Array:
        """Rᵀ D for D (B, m)."""
        return namespace_of(D).concat([self.rows.adjoint(D), self.ones.adjoint(D)], axis=-2)

    def gram(self) -> Array:
        """R Rᵀ, dense."""
        return self.rows.gram() + self.ones.gram()


Rows = DenseRows | SparseRows | CentredRows | BothRows


def rows_of(operator: LinearOperator, index: Array) -> Rows:
    """The rows with these indices (…, B); dense where sparse ones would make the host wait for their shape."""
    if isinstance(operator, WithIntercept):
        xp, size = namespace_of(index), operator.size
        assert size is not None
        ones = xp.ones((index.shape[0], 1), dtype=size.dtype, device=device_of(size))
        return BothRows(rows_of(operator.operator, index), DenseRows(size * ones))  # type: ignore[arg-type]
    if isinstance(operator, Centred):
        rows, mean = rows_of(operator.operator, index), operator.mean
        assert mean is not None
        return DenseRows(rows.R - mean) if isinstance(rows, DenseRows) else CentredRows(rows, mean)  # type: ignore[arg-type]
    if isinstance(operator, Sparse):
        if operator.rows.longest is not None:
            return DenseRows(dense_rows(index, operator.rows))
        return SparseRows(sparse_rows(index, operator.S), operator.S, index)
    assert isinstance(operator, Dense)
    xp = namespace_of(index)
    R = xp.take(operator.A, xp.reshape(index, (-1,)), axis=0)
    return DenseRows(R if index.ndim == 1 else xp.reshape(R, (*index.shape, R.shape[1])))


def added(parts: Iterable[Array]) -> Array:
    """Their sum."""
    return functools.reduce(operator_add, parts)


def apart(rows: Rows) -> tuple[Rows, DenseRows]:
    """The rows in the features, and in the intercept."""
    if isinstance(rows, BothRows):
        return rows.rows, rows.ones
    assert isinstance(rows, DenseRows)
    return DenseRows(rows.R[..., :-1]), DenseRows(rows.R[..., -1:])


def derivatives(
    model: LinearModel, base: Array, M: Array | None, samples: tuple[Array, Array | None], sweeps: int
) -> tuple[Array, Array | None]:
    """d with d = w·ℓ′(base − M d, y), and what the last sweep still changed in s; None where that is not iterated.

    `base` and the samples y are (…, B, m), their weights w (…, B, 1) or None for 1, and M is (…, B, B), or None for a
    block of one.
    """
    y, w = samples
    if w is not None:
        d, change = derivatives(model, base, None if M is None else M * w.mT, (y, None), sweeps)
        return w * d, change
    if M is None:
        return model.derivative(base, y), None
    identity = namespace_of(M).eye(M.shape[-1], dtype=M.dtype, device=device_of(M))
    if isinstance(model, LeastSquares):
        return _solve(identity + M, base - y), None
    s = before = base
    newton = by_newton(model, base.shape[-2])
    for _ in range(sweeps):
        before, d = s, model.derivative(s, y)
        target = base - M @ d
        s = s + _solve(identity + M * model.curvature_at(d, y).mT, target - s) if newton else target
    return model.derivative(s, y), s - before


def by_newton(model: LinearModel, size: int) -> bool:
    """Whether Newton's method solves a block of this size: from where on its few launches are worth the systems."""
    return size >= costs.NEWTON_FROM and len(model.shape) == 1


def _solve(L: Array, B: Array) -> Array:
    return solve_triangular(L, B) if L.ndim == 2 else solve(L, B)
