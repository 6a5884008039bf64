"""Non-negative least squares  min ½‖Ax − y‖²  subject to  x ≥ 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xpsolve import costs
from xpsolve.arrays import Array
from xpsolve.capabilities import capabilities
from xpsolve.composite.minimize import minimize
from xpsolve.penalties import NonNegative
from xpsolve.solution import Callback, Solution
from xpsolve.stochastic import LeastSquares


@capabilities(batch="columns of y", grad="forward, reverse", syncs=2, numbers=("tol",))
def nnls(
    A: Any,
    y: Array,
    *,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """Minimise ½‖Ax − y‖² subject to x ≥ 0.

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        The operator.
    y : array, shape (n,) or (n, k)
        Observations; many columns are solved together.
    tol, max_iter, x0, check_every, record, callback, check_finite
        As in `minimize`.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k), with exact zeros.  The certificate is the norm of Aᵀ(Ax − y) where x > 0, and of its
        negative part where x = 0, relative to ‖Aᵀy‖, with the columns of A at equal size.

    Raises
    ------
    TypeError
        If A or y is not a real array, or libraries are mixed.
    ValueError
        If shapes disagree, a number is not finite or an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    minimize : With other penalties and losses.

    References
    ----------
    C. L. Lawson & R. J. Hanson, Solving Least Squares Problems (1974), ch. 23.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> xs.nnls(A, np.asarray([2.0, 1.0, -1.0])).x.round(4)
    array([1.5, 0. ])
    """
    f = LeastSquares(A, y, check_finite=check_finite)
    solution = minimize(
        f,
        NonNegative(),
        tol=tol,
        max_iter=max_iter,
        x0=x0,
        check_every=check_every,
        record=record,
        callback=callback,
        check_finite=check_finite,
    )
    return _of_all_samples(solution, f.n)


def _of_all_samples(solution: Solution, n: int) -> Solution:
    """With objectives of ½‖Ax − y‖² instead of its mean."""
    if solution.history is None:
        return solution
    return replace(solution, history={**solution.history, "objective": n * solution.history["objective"]})
