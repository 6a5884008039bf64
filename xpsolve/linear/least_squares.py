"""Minimum-norm least squares x = A⁺y (Peyré 2020, §14.1.2, pseudo-inverse; Golub & Van Loan 2013, §5.5).

What is not dense is solved by conjugate gradients on AᵀAx = Aᵀy: from 0 they stay among the Aᵀv, where the shortest
solution is (Björck 1996, §7.4).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    adjoint_product,
    cast,
    check_iteration,
    check_number,
    eigh,
    is_concrete,
    limits_of,
    power_of_two,
    real_dtype,
)
from xpsolve.capabilities import capabilities
from xpsolve.linear._entry import enter_problem
from xpsolve.linear._normal_equations import NORMAL_EQUATIONS, normal_equations_error
from xpsolve.linear._problem import Problem, along, from_columns, in_units_of, rank_cut, scaled
from xpsolve.linear._row_problem import by_rows
from xpsolve.linear.conjugate_gradient import RISEN, solve_cg
from xpsolve.operators.entry import is_operator
from xpsolve.solution import Certificate, Solution, Status, finish

_WELL = 2.0**-24  # 1/κ² of the A that are solved by AᵀA, in float64
_VERY_WELL = 2.0**-14  # 1/κ² of those that need no refinement
_ADVICE = {Status.INACCURATE: "Raise rtol, or use ridge.", Status.NOT_FINITE: "Scale A or y."}
_ADVICE_OF_CG = {
    Status.MAX_ITER: "Raise max_iter, loosen tol, or use ridge with some lam.",
    Status.INACCURATE: "Loosen tol, or use ridge with some lam.",
    Status.NOT_FINITE: "Scale A or y.",
    Status.DIVERGED: RISEN,
}


@capabilities(batch="columns of y", grad="forward, reverse", syncs=0, complex=True, numbers=("tol",))
def lstsq(
    A: Any,
    y: Array,
    *,
    rtol: float | None = None,
    tol: float | None = None,
    max_iter: int | None = None,
    check_finite: bool = True,
) -> Solution:
    """The shortest x among those that minimise ‖Ax − y‖: x = A⁺y.

    A may be over-determined, under-determined or rank-deficient: singular values up to ``rtol`` times
    the largest count as zero.  Sparse matrices and operators are solved by conjugate gradients, whose error grows with
    the square of the condition of A.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> solution = xs.lstsq(A, y)
    >>> solution.x.round(6), solution.converged
    (array([1., 1.]), True)

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or operator
        The matrix, real or complex.
    y : array, shape (n,) or (n, k)
        Observations.  Where A or y is complex, x is, and Aᵀ stands for Aᴴ.
    rtol : float, optional
        Where singular values count as zero, relative to the largest.  None is 8·min(n, p)·eps.  For a dense A
        alone.
    tol, max_iter : float, int, optional
        The certificate to reach and most iterations, for what is not dense; None is as in `ridge`.
    check_finite : bool
        Whether to check for NaN and infinities first, and for a dense A the certificate in the end: two host reads.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k); for a dense A ``.stats`` holds the singular values and the
        rank, a 0-d array on the device.
        The certificate is the relative backward error of AᵀAx = Aᵀy, as in `ridge`.
        ``.method`` is "svd", "cg" for what is not dense, and for rows of Dask or in a file "normal", or "normal->svd"
        where AᵀA was not enough.

    Raises
    ------
    TypeError
        If an argument is no array of numbers, or A none of these, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, a number is not finite, or an option is out of range or does not fit A.

    Warns
    -----
    ConvergenceWarning
        If ``check_finite=True`` finds that the answer is not certified.

    See Also
    --------
    ridge : The regularised problem.

    Notes
    -----
    Derivatives through what is not dense hold where the columns of A are independent.

    Rows of Dask or in a file are read twice: for AᵀA and Aᵀy, where the condition κ of A is at most 128, and for the
    certificate; up to κ = 4096 in float64 a third time between the two, for a step of refinement.  Beyond, or where the
    answer is not certified, a triangular factor of A takes the place of AᵀA.

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
    tol = check_iteration(
        tol=tol, max_iter=max_iter, check_every=1, callback=None, check_finite=check_finite, defaults=True
    )
    if rtol is not None:
        check_number(rtol, "rtol", minimum=0)
    direct = not is_operator(A)
    problem = enter_problem(A, y, 0.0, check_finite=check_finite, direct=direct, complex_too=True, seen=by_rows)
    if problem.dense:
        for name, value in (("tol", tol), ("max_iter", max_iter)):
            if value is not None:
                message = f"{name}: expected None for a dense A, which is solved in one step, got {value!r}."
                raise ValueError(message)
        return _direct(problem, rtol, look=check_finite)
    if rtol is not None:
        message = f"rtol: expected None for {problem.operator!r}, whose singular values are not known, got {rtol!r}."
        raise ValueError(message)
    return along(
        problem,
        lambda problem: solve_cg(problem, tol, max_iter, None, costs.CHECK_EVERY, False, None, _ADVICE_OF_CG, "lstsq"),
        lambda X, lams: lams * X,
    )


class _Found(NamedTuple):
    problem: Problem  # as it was scaled
    X: Array  # (p, k)
    s: Array  # the singular values, descending
    kept: Array  # which of them count
    error: Array  # the certificate of each column


def _direct(problem: Problem, rtol: float | None, *, look: bool) -> Solution:
    if problem.ordinary is False:
        problem = scaled(problem)
    if problem.ordinary is None:
        problem = problem.with_scaled_columns()
    xp, cut = problem.xp, rank_cut(problem) if rtol is None else float(rtol)
    tol = max(limits_of(problem.Y).eps ** 0.75, cut)  # what was cut may be missing from x
    normal = _by_gram(problem, cut, tol) if problem.by_rows else None
    problem, X, s, kept, error = normal or _by_svd(problem, cut)
    stats = {
        "singular_values": s if problem.A_unit is None else s * problem.A_unit,
        "rank": xp.sum(xp.astype(kept, xp.int32)),
        "factorisations": 2 if problem.by_rows and normal is None else 1,
    }
    unit = problem.x_unit
    solution: Solution = finish(
        "lstsq",
        from_columns(problem, X if unit is None else X * unit),
        method="normal" if normal else "normal->svd" if problem.by_rows else "svd",
        certificate=Certificate(NORMAL_EQUATIONS, error, tol),
        measure=float(xp.max(error)) if look and is_concrete(error) else None,
        stats=stats,
        advice=_ADVICE,
    )
    return problem.delivered(solution)


def _by_svd(problem: Problem, cut: float) -> _Found:
    (U, s, Vh), Y = problem.svd()
    if problem.ordinary is None:
        unit = power_of_two(s)
        problem, s = in_units_of(problem, unit), s / unit
    xp = problem.xp
    kept = s > cut * xp.max(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    X = adjoint_product(Vh, inverse[:, None] * adjoint_product(U, Y))
    return _Found(problem, X, s, kept, normal_equations_error(problem, X, xp.max(s)))


def _by_gram(problem: Problem, cut: float, tol: float) -> _Found | None:
    """The same from AᵀA = V diag(s²) Vᵀ, of rows that are read block by block: half the work of QR, and no copy.

    None where squares have lost digits that are needed, or the answer is not certified.  s has a relative error of
    about eps·κ², which for x one step of refinement, with one more pass, makes that of QR (Björck 1996, §2.9).
    """
    w, V = eigh(problem.wide_gram)
    most = 2.0 ** (limits_of(problem.Y).exponents // 2)
    if not (1 / most <= w[-1] <= most and w[0] >= _WELL * w[-1]):  # nor where a number is NaN
        return None
    xp = problem.xp
    s, V = xp.sqrt(xp.flip(w)), xp.flip(V, axis=1)
    kept = s > cut * s[0]
    inverse = xp.where(kept, 1 / (s * s), xp.zeros_like(s))[:, None]

    def solved(right: Array) -> Array:
        return V @ (inverse * adjoint_product(V, right))

    X = cast(solved(problem.wide_Aty), problem.Y.dtype)
    if X.dtype == V.dtype and w[0] < _VERY_WELL * w[-1]:
        X = X + solved(problem.residual(X)[1])
    s = cast(s, real_dtype(X))
    error = normal_equations_error(problem, X, s[0])
    return _Found(problem, X, s, kept, error) if xp.max(error) <= tol else None
