"""Minimum-norm least squares x = A⁺y (Peyré 2020, §14.1.2, pseudo-inverse; Golub & Van Loan 2013, §5.5)."""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, check_flag, check_number, is_concrete, power_of_two, thin_svd
from xpsolve.capabilities import capabilities
from xpsolve.linear._problem import (
    NORMAL_EQUATIONS,
    enter_problem,
    from_columns,
    in_units_of,
    normal_equations_error,
    rank_cut,
    scaled,
    with_scaled_columns,
)
from xpsolve.solution import Certificate, Solution, Status, finish

_ADVICE = {Status.INACCURATE: "Raise rtol, or use ridge.", Status.NOT_FINITE: "Scale A or y."}


@capabilities(batch="columns of y", grad="forward, reverse", syncs=0)
def lstsq(A: Any, y: Array, *, rtol: float | None = None, check_finite: bool = True) -> Solution:
    """The shortest x among those that minimise ‖Ax − y‖: x = A⁺y.

    A may be over-determined, under-determined or rank-deficient: singular values up to ``rtol`` times
    the largest count as zero.

    Parameters
    ----------
    A : array, shape (n, p)
        The matrix.
    y : array, shape (n,) or (n, k)
        Observations.
    rtol : float, optional
        Where singular values count as zero, relative to the largest.  None is 8·min(n, p)·eps.
    check_finite : bool
        Whether to check for NaN and infinities first, and the certificate in the end: two host reads.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k); ``.stats`` holds the singular values and the rank, a 0-d array on the device.
        The certificate is the relative backward error of AᵀAx = Aᵀy, as in `ridge`.

    Raises
    ------
    TypeError
        If A or y is not a dense array, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, a number is not finite or rtol is out of range.

    Warns
    -----
    ConvergenceWarning
        If ``check_finite=True`` finds that the answer is not certified.

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
    check_flag(check_finite, "check_finite")
    if rtol is not None:
        check_number(rtol, "rtol", minimum=0)
    problem = enter_problem(A, y, 0.0, check_finite=check_finite, direct=True)
    if not problem.dense:
        message = (
            f"A: expected a dense array, got {problem.operator!r}. Use ridge(A, y, lam, method='cg') for operators."
        )
        raise TypeError(message)
    if problem.ordinary is False:
        problem = scaled(problem)
    U, s, Vh = thin_svd(problem.A)
    if problem.ordinary is None:
        unit = power_of_two(s)
        problem, s = in_units_of(with_scaled_columns(problem), unit), s / unit
    xp = problem.xp
    cut = rank_cut(problem) if rtol is None else float(rtol)
    kept = s > cut * xp.max(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    X = Vh.T @ (inverse[:, None] * (U.T @ problem.Y))
    error = normal_equations_error(problem, X, xp.max(s))
    tol = max(float(xp.finfo(s.dtype).eps) ** 0.75, cut)  # what was cut may be missing from x
    stats = {
        "singular_values": s if problem.A_unit is None else s * problem.A_unit,
        "rank": xp.sum(xp.astype(kept, xp.int32)),
        "factorisations": 1,
    }
    unit = problem.x_unit
    return finish(
        "lstsq",
        from_columns(problem, X if unit is None else X * unit),
        method="svd",
        certificate=Certificate(NORMAL_EQUATIONS, error, tol),
        measure=float(xp.max(error)) if check_finite and is_concrete(error) else None,
        stats=stats,
        advice=_ADVICE,
    )
