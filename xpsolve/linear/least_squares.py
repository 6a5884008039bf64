"""Minimum-norm least squares x = A⁺y (Peyré 2020, §14.1.2, pseudo-inverse; Golub & Van Loan 2013, §5.5)."""

from __future__ import annotations

import math
from typing import Any

from xpsolve.arrays import Array, is_scalar, thin_svd
from xpsolve.capabilities import capabilities
from xpsolve.linear._problem import enter_problem, from_columns, normal_equations_error
from xpsolve.solution import Certificate, Solution


@capabilities(batch="columns of y", grad="forward, reverse", syncs=0)
def lstsq(A: Any, y: Array, *, rtol: float | None = None, check_finite: bool = True) -> Solution:
    """The shortest x among those that minimise ‖Ax − y‖: x = A⁺y.

    Over-determined, under-determined and rank-deficient A are all served: singular values up to ``rtol`` times
    the largest count as zero.

    Parameters
    ----------
    A : array, shape (n, p)
        The matrix.
    y : array, shape (n,) or (n, k)
        Observations.
    rtol : float, optional
        Where singular values count as zero, relative to the largest.  None is max(n, p)·eps.
    check_finite : bool
        Whether to look for NaN and infinities first, which costs one host read.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k); ``.stats`` holds the singular values and the rank, a 0-d array on the device.
        The certificate is the relative backward error of AᵀAx = Aᵀy.

    Raises
    ------
    TypeError
        If A or y is not a dense array, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, a number is not finite or rtol is out of range.

    See Also
    --------
    ridge : The regularised problem, also for sparse matrices and operators.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.2.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 1.0], [1.0, 1.0]])  # rank 1: of all x with x₁ + x₂ = 3 the shortest
    >>> xs.lstsq(A, np.asarray([3.0, 3.0])).x
    array([1.5, 1.5])
    """
    problem = enter_problem(A, y, 0.0, check_finite=check_finite)
    if not problem.dense:
        message = (
            f"A: expected a dense array, got {problem.operator!r}. Use ridge(A, y, lam, method='cg') for operators."
        )
        raise TypeError(message)
    if rtol is not None and not (is_scalar(rtol) and math.isfinite(rtol) and rtol >= 0):
        message = f"rtol: expected a finite number >= 0, got {rtol!r}."
        raise ValueError(message)
    xp = problem.xp
    eps = float(xp.finfo(problem.Y.dtype).eps)
    cut = max(problem.shape) * eps if rtol is None else float(rtol)
    U, s, Vh = thin_svd(problem.A)
    kept = s > cut * xp.max(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    X = Vh.T @ (inverse[:, None] * (U.T @ problem.Y))
    error = normal_equations_error(problem, X, xp.max(s) ** 2)
    tol = max(eps**0.75, cut)  # what was cut may be missing from x
    certificate = Certificate("relative backward error of the normal equations", error, tol)
    stats = {"singular_values": s, "rank": xp.sum(xp.astype(kept, xp.int32)), "factorisations": 1}
    return Solution(from_columns(problem, X), "svd", certificate, stats=stats)
