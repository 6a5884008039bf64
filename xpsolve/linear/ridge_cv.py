"""Ridge regression with the λ that predicts best (Golub, Heath & Wahba 1979; Peyré 2020, §14.1.2).

With A = U diag(s) Vᵀ the fitted values are Hy, H = U diag(f) Uᵀ, f = s²/(s² + λ), so that all λ follow from one
factorisation:

    leave one out    1/n Σ (r_i/(1 − H_ii))²          the error in y_i of the fit without it, r = y − Hy
    generalised      n‖r‖²/(n − Σ f)²                 the same with the mean of all H_ii

That of the smaller Gram matrix is several times faster than that of A.  It squares the condition number, and is taken
where the rounding of s² is small beside s² + λ for every s and λ.  With weights w all of it holds for W^½A and W^½y;
an intercept adds w_i/Σw to H_ii.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    cast,
    check_flag,
    check_option,
    limits_of,
    namespace_of,
    power_of_two,
)
from xpsolve.capabilities import capabilities
from xpsolve.linear._choice_data import Data, Given
from xpsolve.linear._entry import enter_problem
from xpsolve.linear._folds import Folds, over_folds
from xpsolve.linear._normal_equations import NORMAL_EQUATIONS, normal_equations_error
from xpsolve.linear._problem import from_columns
from xpsolve.linear._ridge_factor import ColumnFactor, RowFactor, factor_of
from xpsolve.linear._row_problem import RowProblem, by_rows
from xpsolve.linear.chosen import ChosenSolution, best, chosen
from xpsolve.linear.ridge import ridge
from xpsolve.solution import Certificate, Solution, finish, inner_solve

_METHODS = ("gcv", "loo", "kfold")
_ENTRIES = 2**18  # of the errors for all λ that a block of rows has at once


@capabilities(batch="values of lams, columns of y", jit=False, syncs=3)
def ridge_cv(
    A: Array,
    y: Array,
    lams: Any,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    per_target: bool = False,
    folds: Any = 10,
    method: str = "gcv",
    check_finite: bool = True,
) -> ChosenSolution:
    """Ridge regression with the λ that predicts best.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> found = xs.ridge_cv(A, A[:, 0] + 0.1, [0.01, 0.1, 1.0, 10.0, 100.0])
    >>> found.lam.shape, found.scores.shape
    ((), (5,))

    Parameters
    ----------
    A : array, shape (n, p), `Rows` or data set in a file
        One sample per row.
    y : array, shape (n,) or (n, k)
        Observations.
    lams : list of float or 1-D array
        The λ > 0 to choose from, as in `ridge`: of ½‖Ax − y‖² + ½λ‖x‖².
    weights : array, shape (n,), optional
        w_i ≥ 0 of the squared residuals, and of the squared errors in the scores; 1 where none are given.  A row of
        weight 0 is as if it were not there.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    per_target : bool
        Whether each of the k columns of y gets the λ that predicts it best.  Otherwise one λ is chosen for all of them,
        by the mean score.
    folds : int or list of pairs of rows
        For "kfold": how many parts, between 2 and n; or for each fold the numbers of the rows to keep and of those to
        leave out, on the host.  A fold of m samples is solved with λ·m/n, so that the weight of the penalty against a
        sample stays.
    method : {"gcv", "loo", "kfold"}
        Generalised cross-validation; leave one out; or `folds` parts of the rows that follow one another.  The first
        two take one factorisation for all λ, which then also gives the answer.

    Returns
    -------
    ChosenSolution
        ``.x`` and its certificate are those of `ridge` at ``.lam``, which is (k,) for `per_target`.  ``.lams`` (m,),
        ``.scores`` and ``.spread`` (m,), or (m, k) for `per_target`, are the curve, which
        ``plt.errorbar(found.lams, found.scores, found.spread)`` draws; "gcv" has no spread.  ``.method`` says which
        factorisation it was: "normal" of AᵀA, "woodbury" of AAᵀ, and for example "normal->svd" where the Gram matrix
        is too ill-conditioned for the smallest λ.

    Other Parameters
    ----------------
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, a λ is negative, the method is unknown, or folds is out of range.

    Warns
    -----
    ConvergenceWarning
        As `ridge`, for the chosen λ.

    See Also
    --------
    discrepancy : Where the size of the noise is known.
    lasso_cv : For sparse x.

    Notes
    -----
    An A with more rows than columns of Dask, in a file or of `Rows` is read twice, three times for "loo": first for AᵀA
    and Aᵀy, of every fold for "kfold", and last for the certificate.  Where rounding of AᵀA may matter to a score, one
    more pass finds triangular factors; ``.stats["sums"]`` says so.  Nothing of the size of A is made.

    References
    ----------
    G. Golub, M. Heath and G. Wahba, Technometrics 21 (1979).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> data = xs.problems.diabetes()
    >>> lams = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    >>> [round(float(xs.ridge_cv(data.A, data.y, lams, method=m).lam), 3) for m in ("gcv", "loo")]
    [5.0, 2.0]
    """
    check_option(method, "method", _METHODS)
    check_flag(per_target, "per_target")
    given = Given(A, y, lams, weights, intercept, folds if method == "kfold" else None, check_finite)
    data = given.data()
    y, lams, pooled, xp = data.y, data.lams, not per_target or data.y.ndim == 1, namespace_of(data.y)
    factor: RowFactor | ColumnFactor | None = None
    unit = power_of_two(y, axis=None if pooled else 0)  # so that no square of y/unit overflows
    if method == "kfold":
        parts = Folds(data.A, y if y.ndim == 2 else y[:, None], data.weights, data.folds, unit)
        scores, spread = _by_folds(parts, lams, intercept, pooled)
    else:
        factor = factor_of(data.samples, data.n, lams)
        scores, spread = _by_factor(factor, data, unit, lams, method, pooled)
    lam = xp.take(lams, xp.reshape(best(scores), (-1,)))
    each = xp.asarray(lam[0]) if pooled else lam[None, :]
    found = None if factor is None else _answer(factor, data, each)
    if found is None:
        found = ridge(data.final.A, data.final.y, data.argument(each), check_finite=check_finite)
    scores, spread = (None if values is None else values * (unit * unit) for values in (scores, spread))
    curve = {"lam": each if pooled else lam, "lams": lams, "scores": scores, "spread": spread}
    found = data.finished(found)
    return chosen(found, **{name: data.delivered(values) for name, values in curve.items()})


def _by_factor(
    factor: RowFactor | ColumnFactor, data: Data, unit: Array, lams: Array, method: str, pooled: bool
) -> tuple[Array, Array | None]:
    """Scores (m,), or (m, k) where they are not pooled, and their standard errors, as of y/unit."""
    samples = data.samples
    Y = _columns(samples.y) / unit
    xp, k, roots = namespace_of(Y), Y.shape[1], samples.roots
    weights = None if roots is None else roots * roots
    total = data.n if weights is None else xp.sum(weights)
    if method == "gcv":
        rows = data.n if factor.absent is None else data.n - xp.sum(factor.absent)
        free = factor.free(lams) / rows
        scores = factor.squared_residuals(Y, lams) / total / (free * free)[:, None]
        return (xp.mean(scores, axis=1) if pooled else scores), None
    if data.condensed:
        first, second, cross, squares = _left_out_by_rows(factor, data, Y, unit, lams, total)
    else:
        residuals = (factor.residuals(Y[:, j : j + 1], lams) for j in range(k))
        first, second, cross = _left_out(factor.left(lams), factor.absent, residuals, weights)
        squares = data.n if weights is None else xp.sum(weights * weights)
    if pooled:
        first, second, cross, total = *(xp.sum(part, axis=1) for part in (first, second, cross)), total * k
    mean = first / total
    squares = squares * (k if pooled else 1)
    variance = xp.maximum(second - 2 * mean * cross + mean * mean * squares, xp.zeros_like(mean))
    return mean, xp.sqrt(variance) / total


def _left_out(
    left: Array, absent: Array | None, residuals: Iterable[Array], weights: Array | None
) -> tuple[Array, Array, Array]:
    """Σ e, Σ e² and Σ w e over samples, (m, k) each, of w_i times the squared error in y_i, from 1 − H_ii (n, m)."""
    left = left if absent is None else left + absent[:, None]  # these have no error
    errors = [(R / left) ** 2 for R in residuals]
    xp = namespace_of(left)
    first = xp.stack([xp.sum(E, axis=0) for E in errors], axis=1)
    second = xp.stack([xp.sum(E * E, axis=0) for E in errors], axis=1)
    return first, second, first if weights is None else xp.stack([weights @ E for E in errors], axis=1)


def _left_out_by_rows(
    factor: RowFactor | ColumnFactor, data: Data, Y: Array, unit: Array, lams: Array, total: Any
) -> tuple[Array, ...]:
    """The same of the rows that are not in memory, by one pass, and Σ w²."""
    final = data.final
    problem = enter_problem(final.A, final.y, 0.0, check_finite=False, seen=by_rows)
    assert isinstance(problem, RowProblem)
    rows = problem.Y / unit
    if final.roots is not None:
        rows = namespace_of(rows).concat([rows, final.roots[:, None]], axis=1)
    X = np.concatenate([factor.solve(Y[:, j : j + 1], lams) for j in range(Y.shape[1])], axis=1)
    V = factor.V if isinstance(factor, ColumnFactor) else factor.Vh.T  # type: ignore[union-attr]
    block = partial(_left_out_of_block, final.roots is not None, None if final.means is None else float(total))
    return replace(problem, Y=rows).summed(block, X.dtype, V, factor.w, X, lams)


def _left_out_of_block(
    weighted: bool, total: float | None, A: Array, Y: Array, V: Array, w: Array, X: Array, lams: Array
) -> tuple[Array, ...]:
    """Of a block, some rows at a time; where there is an intercept `total` is Σ w, and √w may be the last of Y."""
    m, k = lams.shape[0], Y.shape[1] - weighted
    sums: list[tuple[Array, ...]] = []
    step = max(_ENTRIES // m, 1)
    for i in range(0, A.shape[0], step):
        B, Z = A[i : i + step, :], Y[i : i + step, :k]
        roots = Y[i : i + step, k] if weighted else np.ones(B.shape[0], A.dtype)
        part = ColumnFactor(B, V, w, w[-1], None if total is None else roots / total**0.5, "", 0)
        residuals = (Z[:, j : j + 1] - B @ X[:, j * m : (j + 1) * m] for j in range(k))
        found = _left_out(part.left(lams), 1.0 * (roots == 0), residuals, roots * roots)
        sums.append((*found, np.sum(roots**4)))
    return tuple(np.sum(np.stack(terms), axis=0) for terms in zip(*sums, strict=True))


def _columns(y: Array) -> Array:
    return y if y.ndim == 2 else y[:, None]


def _by_folds(folds: Folds, lams: Array, intercept: bool, pooled: bool) -> tuple[Array, Array]:
    """The same by solving without one part of the rows after another."""
    xp, errors = namespace_of(lams), []
    for fold in folds:
        with inner_solve():
            options: dict[str, Any] = {"weights": fold.weights, "intercept": intercept, "check_finite": False}
            path = ridge(fold.A, fold.y, lams * fold.share, **options)
        E = folds.errors(fold.rows, xp.permute_dims(path.x, (1, 0, 2)), path.intercept)
        errors.append(xp.mean(E, axis=1) if pooled else E)
    return over_folds(errors)


def _answer(factor: RowFactor | ColumnFactor, data: Data, lam: Array) -> Solution | None:
    """The answer for λ, 0-d or (1, k), None where it is not certified."""
    final = data.final
    options: dict[str, Any] = {"seen": by_rows} if data.condensed else {}
    problem = enter_problem(final.A, final.y, data.argument(lam), targets=True, check_finite=False, **options)
    X = factor.solve(_columns(data.samples.y) if data.condensed else problem.Y, problem.lams)
    X, tol = cast(X, problem.Y.dtype), limits_of(problem.Y).eps ** 0.75
    error = normal_equations_error(problem, X, factor.norm)
    measure = float(problem.xp.max(error))
    if not measure <= tol:
        return None
    certificate = Certificate(NORMAL_EQUATIONS, error, tol)
    x = from_columns(problem, X)
    return problem.delivered(finish("ridge_cv", x, method=factor.method, certificate=certificate, measure=measure))
