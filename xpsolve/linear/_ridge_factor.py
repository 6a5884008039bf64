"""One factorisation of A by which ridge regression is solved, and its fit measured, for all λ.

With A = U diag(s) Vᵀ the fitted values are Hy, H = U diag(f) Uᵀ, f = s²/(s² + λ).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import (
    Array,
    device_of,
    eigh,
    gram,
    largest_pivot,
    limits_of,
    namespace_of,
    shifted,
    thin_svd,
)
from xpsolve.linear._samples import Samples

_SAFE = 0.25  # of the digits, that the condition of a Gram matrix with λ may take


@dataclass(frozen=True)
class ColumnFactor:
    """AᵀA = V diag(w) Vᵀ."""

    A: Array
    V: Array
    w: Array
    norm: Array  # at most ‖A‖, 0-d
    apart: Array | None  # the direction of an intercept, (n,): of length 1, with Aᵀd = 0 and ⟨y, d⟩ = 0
    method: str
    n: int  # of A, or of what its rows stand for
    absent: Array | None = None  # 1 for a row of weight 0, (n,)

    def free(self, lams: Array) -> Array:
        """n − tr H, (m,)."""
        return _rest(self) + namespace_of(lams).sum(_damped(self.w, lams), axis=0)

    def left(self, lams: Array) -> Array:
        """1 − H_ii, (n, m)."""
        Z = self.A @ self.V
        left = 1 - (Z * Z) @ (1 / (self.w[:, None] + lams))
        return left if self.apart is None else left - (self.apart * self.apart)[:, None]

    def residuals(self, y: Array, lams: Array) -> Array:
        """y (n, 1) minus its fitted values for every λ, (n, m)."""
        return y - self.A @ self.solve(y, lams)

    def squared_residuals(self, Y: Array, lams: Array) -> Array:
        """‖y − Hy‖² of every column of Y, (m, k).

        With the residual r₀ and answer x₀ of the least λ₀ it is ‖r₀‖² + 2λ₀⟨x₀, d⟩ + ‖Ad‖², d = x₀ − x: no digit
        is lost, since none of these is below 0.
        """
        xp, w = namespace_of(Y), self.w[:, None]
        least = xp.min(lams)
        Z = (self.V.T @ (self.A.T @ Y)) / (w + least)  # x₀ = VZ
        R = Y - self.A @ (self.V @ Z)
        share = (lams - least) / (w + lams)  # of Z that is d, (q, m)
        return xp.sum(R * R, axis=0) + 2 * least * (share.T @ (Z * Z)) + (share * share).T @ (w * Z * Z)

    def solve(self, Y: Array, lam: Array) -> Array:
        """The answers for the columns of Y (n, k), with one λ or one for each."""
        return self.V @ ((self.V.T @ (self.A.T @ Y)) / (self.w[:, None] + lam))


@dataclass(frozen=True)
class RowFactor:
    """AAᵀ = U diag(w) Uᵀ; where V is known A = U diag(√w) Vᵀ, and otherwise U is square."""

    A: Array
    U: Array
    w: Array
    norm: Array
    apart: Array | None
    method: str
    n: int
    absent: Array | None = None  # 1 for a row of weight 0, (n,)
    Vh: Array | None = None

    @property
    def square(self) -> bool:
        """Whether U is square: then 1 − f of the directions that are neither apart nor absent is all there is."""
        return bool(self.U.shape[0] == self.U.shape[1])

    @property
    def squares(self) -> Array:
        """U_ij², where U is square without the part of directions that are apart or absent."""
        U, d = self.U, self.apart
        if not self.square:
            return U * U
        U = U if d is None else U - d[:, None] * (d @ U)
        return U * U if self.absent is None else U * U * (1 - self.absent)[:, None]

    def free(self, lams: Array) -> Array:
        """n − tr H, (m,)."""
        xp, damped = namespace_of(lams), _damped(self.w, lams)
        if self.square:
            return xp.sum(self.squares, axis=0) @ damped
        return _rest(self) + xp.sum(damped, axis=0)

    def left(self, lams: Array) -> Array:
        """1 − H_ii, (n, m)."""
        squares, d = self.squares, self.apart
        left = squares @ _damped(self.w, lams)
        if self.square:
            return left
        outside = 1 - namespace_of(lams).sum(squares, axis=1)
        return left + (outside if d is None else outside - d * d)[:, None]

    def residuals(self, y: Array, lams: Array) -> Array:
        """y (n, 1) minus its fitted values for every λ, (n, m)."""
        b, rest = self._parts(y)
        inside = self.U @ (_damped(self.w, lams) * b)
        return inside if rest is None else inside + rest

    def squared_residuals(self, Y: Array, lams: Array) -> Array:
        """‖y − Hy‖² of every column of Y, (m, k)."""
        xp, damped, (b, rest) = namespace_of(Y), _damped(self.w, lams), self._parts(Y)
        inside = (damped * damped).T @ (b * b)
        return inside if rest is None else inside + xp.sum(rest * rest, axis=0)

    def _parts(self, Y: Array) -> tuple[Array, Array | None]:
        """UᵀY, and what of Y no x reaches, None where there is no such part."""
        b = self.U.T @ Y
        if self.square:
            return b, None
        rest = Y - self.U @ b
        return b, rest - self.U @ (self.U.T @ rest)

    def solve(self, Y: Array, lam: Array) -> Array:
        """The answers for the columns of Y (n, k), with one λ or one for each."""
        b, xp = self.U.T @ Y, namespace_of(Y)
        if self.Vh is None:
            return self.A.T @ (self.U @ (b / (self.w[:, None] + lam)))
        return self.Vh.T @ (b * (xp.sqrt(self.w)[:, None] / (self.w[:, None] + lam)))


def _damped(w: Array, lams: Array) -> Array:
    """λ/(s² + λ), (q, m): NaN where both are 0, which is no choice."""
    return lams / (w[:, None] + lams)


def _rest(factor: RowFactor | ColumnFactor) -> Any:
    """How many directions no x reaches, but for those that are apart or absent."""
    absent = factor.absent
    rest = factor.n - factor.w.shape[0] - (factor.apart is not None)
    return rest if absent is None else rest - namespace_of(absent).sum(absent)


def _apart(samples: Samples) -> Array:
    """√w/‖√w‖, (n,): what an intercept takes of y."""
    xp, y, roots = namespace_of(samples.y), samples.y, samples.roots
    ones = xp.ones(y.shape[0], dtype=y.dtype, device=device_of(y)) if roots is None else roots
    return ones / xp.linalg.vector_norm(ones)


def factor_of(samples: Samples, count: int, lams: Array) -> RowFactor | ColumnFactor:
    """That of the smaller Gram matrix, where its rounding does not matter to any λ, or the SVD; n is `count`."""
    A, roots = samples.A, samples.roots
    xp, (n, p) = namespace_of(A), A.shape
    apart = None if samples.means is None else _apart(samples)
    absent = None if roots is None else xp.astype(roots == 0, A.dtype)
    wide, method = n <= p, "woodbury" if n <= p else "normal"
    G = gram(A.T) if wide else gram(A)
    largest = largest_pivot(G)
    if wide and apart is not None:  # so that it does not count as a small singular value
        G = G + largest * (apart[:, None] * apart)
    if wide and absent is not None:
        G = shifted(G, largest * absent)
    w, Q = eigh(G)
    good = w[0] + xp.min(lams) >= limits_of(A).eps ** _SAFE * w[-1]  # a NaN, where squares overflow, is not
    if bool(good):
        factor = RowFactor if wide else ColumnFactor
        return factor(A, Q, xp.maximum(w, xp.zeros_like(w)), xp.sqrt(largest), apart, method, count, absent)
    U, s, Vh = thin_svd(A)
    return RowFactor(A, U, s * s, xp.max(s), apart, f"{method}->svd", count, absent, Vh)
