"""The nuclear norm  R(x) = λ Σ σ_i(x)  of a matrix: an x of low rank (Cai, Candès & Shen 2010)."""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, is_array, namespace_of, thin_svd
from xpsolve.penalties.base import Penalty, times, total, weight


class Nuclear(Penalty):
    """R(x) = λ Σ σ_i(x), the sum of the singular values of x (p, m).

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.

    Raises
    ------
    TypeError, ValueError
        If λ is no number, negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> abs(xs.penalties.Nuclear(1.0).prox(np.asarray([[3.0, 0.0], [0.0, 0.5]]), 1.0).round(6))
    array([[2., 0.],
           [0., 0.]])
    """

    homogeneous = True
    finite = True
    numbers = ("lam",)

    def __init__(self, lam: Any) -> None:
        self.lam = weight(lam, "lam")

    def value(self, x: Array) -> Array:
        """R(x)."""
        return self.lam * total(thin_svd(_matrix(x))[1])

    def prox(self, v: Array, t: Any) -> Array:
        """The singular values less t·λ, or 0."""
        U, s, Vh = thin_svd(_matrix(v))
        kept = namespace_of(s).maximum(s - t * self.lam, namespace_of(s).zeros_like(s))
        return (U * kept) @ Vh

    def residual(self, x: Array, g: Array) -> Array:
        """Of g and λ{UVᵀ + W: UᵀW = 0, WV = 0, ‖W‖ ≤ 1}, with x = U diag(σ) Vᵀ."""
        xp = namespace_of(x)
        U, s, Vh = thin_svd(_matrix(x))
        on = xp.astype(s > xp.max(s) * (8 * max(x.shape) * float(xp.finfo(x.dtype).eps)), x.dtype)
        U, V = U * on, Vh.T * on
        right = g - (g @ V) @ V.T
        outside = right - U @ (U.T @ right)
        P, t, Qh = thin_svd(outside)
        shortened = (P * xp.maximum(t - self.lam, xp.zeros_like(t))) @ Qh
        return (g - outside) + self.lam * (U @ V.T) + shortened

    def dual_range(self, c: Array) -> Array | None:
        """λ/‖c‖, by the largest singular value."""
        if not is_array(self.lam) and self.lam == 0:
            return None
        xp, largest = namespace_of(c), thin_svd(_matrix(c))[1][0]
        ratio = self.lam / xp.where(largest > 0, largest, xp.ones_like(largest))
        return xp.asarray(xp.where(largest > 0, ratio, xp.full_like(ratio, xp.inf)))

    def young(self, x: Array, c: Array) -> Array:
        """R(x) − ⟨c, x⟩."""
        left = self.value(x) - total(c * x)
        return namespace_of(x).maximum(left, namespace_of(x).zeros_like(left))

    def scaled(self, unit: Any, size: Any) -> Nuclear:
        """With λ·unit/size."""
        return self.replaced(lam=times(self.lam, unit / size))


def _matrix(x: Array) -> Array:
    if x.ndim != 2:
        message = f"x: expected a matrix (p, m) for the nuclear norm, got shape {tuple(x.shape)}."
        raise ValueError(message)
    return x
