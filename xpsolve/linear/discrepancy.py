"""Morozov's discrepancy principle: the λ whose residual ‖Ax_λ − y‖ is as large as the noise in y.

The residual grows with λ.  For ridge regression with A = U diag(s) Vᵀ, b = Uᵀy,

    ‖Ax_λ − y‖² = ‖y − Ub‖² + Σ (b_j λ/(s_j² + λ))²                                  (the secular equation)

which Newton's method solves in 1/λ, in which its square root is convex: from the left it never goes too far.  For the
lasso the squared residual is a + cλ² between the λ where the support changes, so that secant steps in λ² end there.

Source: V. A. Morozov, Soviet Math. Dokl. 7 (1966); Å. Björck, Numerical Methods for Least Squares Problems (1996).
"""

from __future__ import annotations

import math

from xpsolve.arrays import (
    Array,
    backends,
    check_ndim,
    check_option,
    check_positive,
    device_of,
    innermost,
    namespace_of,
    safe_norm,
    thin_svd,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear.chosen import ChosenSolution, chosen, entered
from xpsolve.linear.lasso import lasso
from xpsolve.linear.ridge import ridge
from xpsolve.solution import inner_solve
from xpsolve.trace import host_read

_STEPS = 200
_CLOSE = 1e-9  # relative to the noise


@capabilities(jit=False, syncs=60, backends=EAGER)
def discrepancy(
    A: Array, y: Array, noise: float, *, penalty: str = "ridge", check_finite: bool = True
) -> ChosenSolution:
    """The regularised solution whose residual ‖Ax − y‖ equals the norm of the noise.

    Parameters
    ----------
    A : array, shape (n, p)
        The operator.
    y : array, shape (n,)
        Observations.
    noise : float
        ‖y − Ax‖ of the true x, as √n·σ for independent noise of the standard deviation σ.  It lies between the residual
        of least squares and ‖y‖.
    penalty : {"ridge", "lasso"}
        ½λ‖x‖² or λ‖x‖₁.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Returns
    -------
    ChosenSolution
        ``.lam`` is the λ; ``.x`` and its certificate are those of `ridge` or `lasso` there.  ``.lams`` and ``.scores``
        are the λ that were tried and their residuals.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, a number is not finite, or the noise is not between both ends.

    Warns
    -----
    ConvergenceWarning
        As `ridge` or `lasso`.

    See Also
    --------
    ridge_cv, lasso_cv : Where the noise is not known.

    References
    ----------
    V. A. Morozov, Soviet Math. Dokl. 7 (1966).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.eye(3), np.asarray([1.0, 2.0, 2.0])
    >>> found = xs.discrepancy(A, y, 1.5)  # x = y/(1 + λ)
    >>> round(float(found.lam), 6), found.x.round(6)
    (1.0, array([0.5, 1. , 1. ]))
    """
    check_option(penalty, "penalty", ("ridge", "lasso"))
    noise = check_positive(noise, "noise")
    A, y = entered(A, y, check_finite)
    check_ndim(y, "y", 1, shape="(n,)")
    xp, solve = namespace_of(y), ridge if penalty == "ridge" else lasso
    lam, tried = (_for_ridge if penalty == "ridge" else _for_lasso)(A, y, noise)
    lams, residuals = (
        xp.asarray(list(column), dtype=y.dtype, device=device_of(y)) for column in zip(*tried, strict=True)
    )
    found = solve(A, y, lam, check_finite=False)
    return chosen(found, lam=xp.asarray(lam, dtype=y.dtype, device=device_of(y)), lams=lams, scores=residuals)


def _between(noise: float, least: float, most: float) -> None:
    if not least < noise < most:
        message = (
            f"noise: expected a number between {least:.6g}, the residual of least squares, and {most:.6g}, which is "
            f"‖y‖, got {noise:.6g}."
        )
        raise ValueError(message)


def _for_ridge(A: Array, y: Array, noise: float) -> tuple[float, list[tuple[float, float]]]:
    """λ by Newton's method on the numbers s and b, which are read once."""
    xp = namespace_of(A)
    U, s, _ = thin_svd(A)
    b = U.T @ y
    rest = y - U @ b
    numbers = xp.concat([s, b, safe_norm(rest)[None]])
    values = backends.to_numpy(innermost(numbers)).tolist()  # one transfer
    host_read("singular values")
    q = s.shape[0]
    top = values[0]
    pairs = [(v / top, c) for v, c in zip(values[:q], values[q : 2 * q], strict=True) if v > 0]
    lost = math.hypot(values[-1], *(c for v, c in zip(values[:q], values[q : 2 * q], strict=True) if v == 0))
    _between(noise, lost, math.hypot(lost, *(c for _, c in pairs)))

    def residual(mu: float) -> tuple[float, float]:
        """‖Ax − y‖ at μ = 1/λ, in units of A, and its derivative there."""
        terms = [(c / (1 + v * v * mu), v) for v, c in pairs]
        size = math.hypot(lost, *(r for r, _ in terms))
        return size, -sum(r * r * v * v / (1 + v * v * mu) for r, v in terms) / size

    mu, tried = 0.0, []
    for _ in range(_STEPS):
        size, slope = residual(mu)
        if mu > 0:
            tried.append((top * top / mu, size))
        if abs(size - noise) <= 1e-15 * noise or slope == 0:
            break
        following = mu + (noise - size) / slope * (size / noise)  # on 1/size, which is nearly straight
        if following == mu:
            break
        mu = following
    return top * top / mu, tried


def _for_lasso(A: Array, y: Array, noise: float) -> tuple[float, list[tuple[float, float]]]:
    """λ by secant steps on ‖Ax − y‖² as a function of λ², kept between two λ that enclose it.

    Both are relative to their largest values, so that no square overflows.
    """
    xp = namespace_of(A)
    most, size = float(xp.max(xp.abs(A.T @ y))), float(safe_norm(y))
    _between(noise, 0.0 if most > 0 else size, size)
    target, tol = noise / size, max(1e-12, 64 * float(xp.finfo(y.dtype).eps) ** 2)
    tried, x = [], None
    low, high, level = 0.0, 1.0, 0.5
    ends = [(1.0, 1.0)]
    for _ in range(_STEPS):
        with inner_solve():
            x = lasso(A, y, level * most, tol=tol, x0=x, check_finite=False).x
        r = float(safe_norm(A @ x - y))
        share = r / size
        tried.append((level * most, r))
        if abs(share - target) <= _CLOSE * target:
            break
        low, high = (level, high) if share < target else (low, level)
        if high - low <= 1e-14 * high:
            break
        ends = [*ends[-1:], (level, share)]
        (l0, r0), (l1, r1) = ends
        rise = (r1 - r0) * (r1 + r0) / ((l1 - l0) * (l1 + l0)) if l1 != l0 else 0.0
        square = l1 * l1 + (target - r1) * (target + r1) / rise if rise > 0 else -1.0
        inside = low * low < square < high * high
        level = math.sqrt(square) if inside else 0.1 * high if low == 0 else math.sqrt(low * high)
        if low == 0 and level < 1e-12:
            _between(noise, r, size)
    return tried[-1][0], tried
