"""The choice of λ of the lasso by Stein's unbiased estimate of its risk, where the noise in y is known.

For y = μ + noise of the variance σ² the fitted values ŷ = Ax_λ have, by Stein's lemma,

    E ‖ŷ − μ‖² = E [‖y − ŷ‖² − nσ² + 2σ² df],      df = Σ ∂ŷ_i/∂y_i,

and for the lasso df is the number of features that are not 0, where their columns are independent.

Source: C. Stein, Ann. Statist. 9 (1981); H. Zou, T. Hastie and R. Tibshirani, Ann. Statist. 35 (2007).
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, check_positive, device_of, namespace_of, power_of_two
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear._samples import Samples
from xpsolve.linear.chosen import ChosenSolution, best, chosen
from xpsolve.linear.lasso import lasso
from xpsolve.linear.lasso_path import path_of
from xpsolve.operators import aslinearoperator
from xpsolve.solution import inner_solve


@capabilities(batch="values of lams", jit=False, backends=EAGER, syncs=50)
def lasso_sure(
    A: Any,
    y: Array,
    sigma: float,
    lams: Any = None,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    n_lams: int = 100,
    ratio: float = 1e-3,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_finite: bool = True,
) -> ChosenSolution:
    """The lasso with the λ of the least estimated risk, for noise of known size.

    One path of λ is solved, where cross-validation solves one for every fold, and no sample is left out.

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        The operator.
    y : array, shape (n,)
        Observations.
    sigma : float
        The standard deviation σ > 0 of the independent normal noise in y, in the units of y.
    lams : list of float or 1-D array, optional
        The λ to choose from, as in `lasso`.  None takes the grid of `lasso_path`.
    weights : array, shape (n,), optional
        w_i ≥ 0 of the squared residuals, where the variance of the noise in y_i is σ²/w_i; 1 where none are given.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    n_lams, ratio
        As in `lasso_path`, if `lams` is not given.
    tol, max_iter
        As in `lasso_path`, for every λ.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Returns
    -------
    ChosenSolution
        ``.x`` and its certificate are those of `lasso` at ``.lam``; ``.lams`` and ``.scores`` are the curve:
        (‖y − Ax‖² + σ²(2 df − n))/n, an unbiased estimate of the mean squared error of Ax, which may be below 0.  df
        is the number of nonzeros of x, and 1 more for an intercept.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, σ is not positive, a λ is negative, or an option is out of range.

    Warns
    -----
    ConvergenceWarning
        As `lasso`, for the chosen λ.

    See Also
    --------
    discrepancy : The λ whose residual is as large as the noise, which is a larger λ.
    lasso_cv : Where the size of the noise is not known.

    References
    ----------
    H. Zou, T. Hastie and R. Tibshirani, Ann. Statist. 35 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> y = np.asarray([5.0, 4.0, 0.3, -0.2])
    >>> found = xs.lasso_sure(np.eye(4), y, 0.5, [1.0, 0.5, 0.1])
    >>> float(found.lam), found.x
    (0.5, array([4.5, 3.5, 0. , 0. ]))
    """
    check_positive(sigma, "sigma")
    samples = Samples.of(A, y, weights, intercept, check_finite=check_finite)
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter}
    with inner_solve():
        path = path_of(samples.A, samples.y, lams, n_lams=n_lams, ratio=ratio, **options, check_finite=check_finite)
    xp, y = namespace_of(samples.y), samples.y
    n = y.shape[0] if weights is None else xp.sum(xp.astype(weights > 0, y.dtype))
    unit = power_of_two(y)  # so that no square of y/unit overflows
    R = (y[:, None] - aslinearoperator(samples.A).matvec(path.x.T)) / unit
    df = xp.sum(xp.astype(path.x != 0, y.dtype), axis=1) + int(intercept)
    level = xp.asarray(sigma, dtype=y.dtype, device=device_of(y)) / unit
    scores = risk(xp.sum(R * R, axis=0), df, level, n)
    place = best(scores)[None]
    lam, x0 = xp.asarray(xp.take(path.lams, place)[0]), xp.take(path.x, place, axis=0)[0, :]
    found = lasso(samples.A, samples.y, lam, x0=x0, **options, check_finite=False)
    return chosen(samples.finished(found), lam=lam, lams=path.lams, scores=scores * (unit * unit))


def risk(squares: Array, df: Array, sigma: Any, n: Any) -> Array:
    """‖ŷ − μ‖²/n without bias, from ‖y − ŷ‖²."""
    return (squares + sigma * sigma * (2 * df - n)) / n
