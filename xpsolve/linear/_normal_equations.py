"""How far x is from solving (AᵀA + λ)x = Aᵀy: the certificate of ridge and of least squares."""

from __future__ import annotations

import math

import numpy as np

from xpsolve.arrays import Array, composed, limits_of, namespace_of
from xpsolve.linear._problem import Problem, column_lams, in_range

NORMAL_EQUATIONS = "relative backward error of the normal equations"


def normal_equations_error(problem: Problem, X: Array, norm: Array) -> Array:
    """‖Aᵀr − λx‖ / ((‖A‖² + λ)‖x‖ + max(‖A‖‖r‖, ‖Aᵀy‖)), r = y − Ax, a number per column; `norm` is at most ‖A‖.

    X is taken as it can be returned, where it may overflow or underflow.
    """
    lam, unit = column_lams(problem), problem.x_unit
    if unit is not None:
        X = (X * unit) / unit
    S, C = problem.residual(X)
    return relative_to_normal_equations(problem, S, C - lam * X, X, norm, lam)


def relative_to_normal_equations(problem: Problem, S: Array, R: Array, X: Array, norm: Array, lam: Array) -> Array:
    """The same from S = Y − AX and R = AᵀS − λX: relative to what rounding of A and y makes unavoidable.

    It is NaN where squares of what is not 0 have overflowed, or may have underflowed.
    """
    return _relative(R, S, X, problem.Aty, norm, lam)


@composed
def _relative(R: Array, S: Array, X: Array, Aty: Array, norm: Array, lam: Array) -> Array:
    xp, k = namespace_of(R), Aty.shape[1]
    x, s, r, right = (xp.linalg.vector_norm(V, axis=0) for V in (X, S, R, Aty))
    if R.shape[1] > k:  # many λ
        right = xp.reshape(xp.broadcast_to(right[None, :], (R.shape[1] // k, k)), (-1,))
    size = norm * (norm * x) + lam * x + xp.maximum(norm * s, right)
    solved = xp.max(xp.abs(R), axis=0) == 0
    nan, zero = xp.full_like(size, xp.nan), xp.zeros_like(size)
    return xp.where(solved, zero, r / xp.where(in_range(size, -10, 31), size, nan))


@_relative.register("numpy")
def _relative_numpy(R: Array, S: Array, X: Array, Aty: Array, norm: Array, lam: Array) -> Array:
    if R.shape[1] > 1 or R.dtype.kind == "c":
        return _relative.standard(R, S, X, Aty, norm, lam)
    x, s, r, right = [math.sqrt(v @ v) for v in (X[:, 0], S[:, 0], R[:, 0], Aty[:, 0])]
    norm, exponents = float(norm), limits_of(R).exponents
    size = norm * (norm * x) + float(lam[0]) * x + max(right, norm * s)
    if r == 0 and not R.any():
        return np.zeros(1, R.dtype)
    usable = 2.0 ** (exponents * -10 // 32) <= size <= 2.0 ** (exponents * 31 // 32) and s >= 0  # `max` may lose a NaN
    return np.asarray([r / size if usable else np.nan], R.dtype)
