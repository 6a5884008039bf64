"""The choice of λ by how well held-out observations are predicted (Golub, Heath & Wahba 1979; Peyré 2020, §14.1).

For ridge regression with A = U diag(s) Vᵀ the fitted values are H y, H = U diag(f) Uᵀ, f = s²/(s² + λ), so that all λ
follow from one factorisation, of whichever side is smaller:

    leave one out    1/n Σ (r_i/(1 − H_ii))²          the error in y_i of the fit without it, r = y − Hy
    generalised      n‖r‖²/(n − Σ f)²                 the same with the mean of all H_ii

k folds solve the problem without one part of the rows after another.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from typing import Any

from xpsolve.arrays import (
    Array,
    check_count,
    check_ndim,
    check_option,
    check_rows,
    eigh,
    enter,
    gram,
    is_array,
    limits_of,
    namespace_of,
    power_of_two,
    regularisation,
    thin_svd,
)
from xpsolve.arrays import check_finite as check_values
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear.lasso import lasso
from xpsolve.linear.lasso_path import lasso_path
from xpsolve.linear.ridge import ridge
from xpsolve.solution import Solution, inner_solve

_FOLD_TOL = 1e-5  # of the paths of the folds, whose scores need no more


@dataclass(frozen=True, repr=False, eq=False)
class ChosenSolution(Solution):
    """The solution at a λ that was chosen, with what it was chosen from.

    Parameters
    ----------
    x, method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`.
    lam : array, 0-d
        The chosen λ.
    lams : array, shape (m,)
        All λ that were tried.
    scores : array, shape (m,)
        The mean squared error of prediction of each, or what estimates it.
    spread : array, shape (m,), or None
        The standard error of each score, over samples or folds; None for "gcv" and `discrepancy`.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> data = xs.problems.diabetes()
    >>> found = xs.ridge_cv(data.A, data.y, [0.01, 0.1, 1.0, 10.0])
    >>> float(found.lam), found.scores.shape
    (10.0, (4,))
    """

    lam: Any = None
    lams: Any = None
    scores: Any = None
    spread: Any = None


def chosen(solution: Solution, **more: Any) -> ChosenSolution:
    """A solution with what its λ was chosen from."""
    return ChosenSolution(**{f.name: getattr(solution, f.name) for f in fields(Solution)}, **more)


@capabilities(batch="values of lams", jit=False, syncs=3)
def ridge_cv(
    A: Array,
    y: Array,
    lams: Any,
    *,
    folds: int = 10,
    intercept: bool = False,
    method: str = "gcv",
    check_finite: bool = True,
) -> ChosenSolution:
    """Ridge regression with the λ that predicts best.

    Parameters
    ----------
    A : array, shape (n, p)
        One sample per row.
    y : array, shape (n,) or (n, k)
        Observations; with k columns one λ is chosen for all of them, by the mean score.
    lams : list of float or 1-D array
        The λ > 0 to choose from, as in `ridge`: of ½‖Ax − y‖² + ½λ‖x‖².
    folds : int
        For "kfold": parts, between 2 and n.  A fold of m samples is solved with λ·m/n, so that the weight of the
        penalty against a sample stays.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    method : {"gcv", "loo", "kfold"}
        Generalised cross-validation; leave one out; or `folds` parts of the rows that follow one another.  The first
        two take one singular value decomposition for all λ.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Returns
    -------
    ChosenSolution
        ``.x`` and its certificate are those of `ridge` at ``.lam``; ``.lams``, ``.scores`` and ``.spread`` are the
        curve, which ``plt.errorbar(found.lams, found.scores, found.spread)`` draws.

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
    check_option(method, "method", ("gcv", "loo", "kfold"))
    A, Y, lams = _entered(A, y, lams, check_finite)
    xp = namespace_of(A)
    if method == "kfold":
        check_count(folds, "folds", 2, max(2, A.shape[0]))
        errors = []
        for test, train in _folds(A.shape[0], folds):
            part = _rows(A, train)
            with inner_solve():
                shares = lams * (part.shape[0] / A.shape[0])
                path = ridge(part, _rows(Y, train), shares, intercept=intercept, check_finite=False)
            X = xp.permute_dims(path.x, (1, 0, 2))
            errors.append(_errors(_rows(A, test), _rows(Y, test), X, path.intercept))
        scores, spread = _over_folds(errors)
    else:
        scores, spread = _from_one_factor(A, Y, lams, method, intercept)
    lam = xp.asarray(xp.take(lams, _best(scores))[0])
    found = ridge(A, y, lam, intercept=intercept, check_finite=False)
    return chosen(found, lam=lam, lams=lams, scores=scores, spread=spread)


@capabilities(batch="values of lams", jit=False, backends=EAGER, syncs=50)
def lasso_cv(
    A: Array,
    y: Array,
    lams: Any = None,
    *,
    folds: int = 10,
    n_lams: int = 100,
    ratio: float = 1e-3,
    rule: str = "best",
    intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_finite: bool = True,
) -> ChosenSolution:
    """The lasso with the λ that predicts best in k-fold cross-validation.

    Parameters
    ----------
    A : array, shape (n, p)
        One sample per row.
    y : array, shape (n,)
        Observations.
    lams : list of float or 1-D array, optional
        The λ to choose from, as in `lasso`.  None takes the grid of `lasso_path` on all samples.
    folds : int
        Parts of the rows that follow one another, between 2 and n.  A fold of m samples is solved with λ·m/n, so that
        the weight of the penalty against a sample stays.
    n_lams, ratio
        As in `lasso_path`, if `lams` is not given.
    rule : {"best", "one standard error"}
        The λ with the least score, or the largest whose score is within one standard error of it.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    tol, max_iter
        As in `lasso`, for the chosen λ.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Returns
    -------
    ChosenSolution
        ``.x`` and its certificate are those of `lasso` at ``.lam``; ``.lams``, ``.scores`` and ``.spread`` are the
        curve.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, a λ is negative, or an option is unknown or out of range.

    Warns
    -----
    ConvergenceWarning
        As `lasso`, for the chosen λ.

    See Also
    --------
    lasso_path, ridge_cv

    References
    ----------
    T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning (2009), §7.10.

    Examples
    --------
    >>> import xpsolve as xs
    >>> data = xs.problems.diabetes()
    >>> found = xs.lasso_cv(data.A, data.y, n_lams=30)
    >>> found.converged, int((found.x != 0).sum())
    (True, 7)
    """
    check_option(rule, "rule", ("best", "one standard error"))
    if lams is None:
        check_ndim(enter(A=A, y=y)[1][1], "y", 1, shape="(n,)")
        with inner_solve():
            grid: dict[str, Any] = {"n_lams": n_lams, "ratio": ratio, "intercept": intercept}
            lams = lasso_path(A, y, **grid, tol=_FOLD_TOL, check_finite=check_finite).lams
    A, Y, lams = _entered(A, y, lams, check_finite)
    xp = namespace_of(A)
    check_count(folds, "folds", 2, max(2, A.shape[0]))
    check_ndim(y, "y", 1, shape="(n,)")
    errors = []
    for test, train in _folds(A.shape[0], folds):
        part = _rows(A, train)
        share = lams * (part.shape[0] / A.shape[0])
        with inner_solve():
            options: dict[str, Any] = {"tol": max(tol, _FOLD_TOL), "intercept": intercept, "check_finite": False}
            path = lasso_path(part, _rows(Y, train)[:, 0], share, **options)
        shift = None if path.intercept is None else path.intercept[:, None]
        errors.append(_errors(_rows(A, test), _rows(Y, test), path.x.T[:, :, None], shift))
    scores, spread = _over_folds(errors)
    best = _best(scores)
    lam = xp.asarray(xp.take(lams, best)[0])
    if rule == "one standard error":
        near = scores <= xp.take(scores, best) + xp.take(spread, best)
        lam = xp.asarray(xp.max(xp.where(near, lams, lam)))
    found = lasso(A, y, lam, intercept=intercept, tol=tol, max_iter=max_iter, check_finite=False)
    return chosen(found, lam=lam, lams=lams, scores=scores, spread=spread)


def _entered(A: Array, y: Array, lams: Any, check_finite: bool) -> tuple[Array, Array, Array]:
    """A (n, p), y as columns (n, k) and λ (m,), checked."""
    if not is_array(A):
        message = f"A: expected an array (n, p), whose rows can be left out, got {type(A).__qualname__}."
        raise TypeError(message)
    xp, (A, y) = enter(A=A, y=y)
    check_ndim(A, "A", 2, shape="(n, p)")
    check_ndim(y, "y", 1, 2, shape="(n,) or (n, k)")
    check_rows(y, "y", A.shape[0], "A")
    lams = regularisation(xp, lams, "lams", like=y, check_values=check_finite)
    if lams.ndim != 1:
        message = f"lams: expected a list or 1-D array of λ to choose from, got {lams!r}."
        raise ValueError(message)
    if check_finite:
        check_values(xp, lambda: A.T @ y, A=A, y=y)
    return A, y if y.ndim == 2 else y[:, None], lams


def _from_one_factor(A: Array, Y: Array, lams: Array, method: str, intercept: bool) -> tuple[Array, Array | None]:
    """Scores and their standard errors from A = U diag(s) Vᵀ; an intercept adds 1/n to every H_ii."""
    xp, (n, k) = namespace_of(A), Y.shape
    if intercept:
        A, Y = A - xp.mean(A, axis=0), Y - xp.mean(Y, axis=0)
    unit = power_of_two(Y)
    Y = Y / unit
    U, s = _left_factor(A, lams)
    B = U.T @ Y  # (q, k)
    rest = Y - U @ B  # the part of y that no x reaches
    rest = rest - U @ (U.T @ rest)
    t = xp.sqrt(lams)[None, :] / s[:, None]  # where s and λ are 0, NaN, which is no choice
    damped = 1 / (1 + 1 / (t * t))  # 1 − f, (q, m)
    if method == "gcv":
        squares = xp.sum(rest * rest) + xp.sum((damped * damped) * xp.sum(B * B, axis=1)[:, None], axis=0)
        free = n - s.shape[0] + xp.sum(damped, axis=0) - int(intercept)  # n − Σ f
        return n * squares / (free * free) / k * (unit * unit), None
    left = 1 - int(intercept) / n - xp.sum(U * U, axis=1)[:, None] + (U * U) @ damped  # 1 − H_ii, (n, m)
    total = square = xp.zeros_like(lams)
    for j in range(k):
        r = (rest[:, j : j + 1] + U @ (damped * B[:, j : j + 1])) / left
        total, square = total + xp.sum(r * r, axis=0), square + xp.sum(r * r * r * r, axis=0)
    mean = total / (n * k)
    variance = xp.maximum(square / (n * k) - mean * mean, xp.zeros_like(mean))
    return mean * (unit * unit), xp.sqrt(variance / (n * k)) * (unit * unit)


def _left_factor(A: Array, lams: Array) -> tuple[Array, Array]:
    """U and s of A = U diag(s) Vᵀ; of a wide A from AAᵀ, where no λ is so small that its rounding would matter."""
    xp, (n, p) = namespace_of(A), A.shape
    if n < p:
        w, U = eigh(gram(A.T))
        if bool(xp.min(lams) >= limits_of(A).eps ** 0.5 * w[-1]):  # a NaN, where squares overflow, is not
            return U, xp.sqrt(xp.maximum(w, xp.zeros_like(w)))
    U, s, _ = thin_svd(A)
    return U, s


def _best(scores: Array) -> Array:
    """The place of the least score, (1,); a NaN, where λ = 0 and columns depend on one another, is none."""
    xp = namespace_of(scores)
    return xp.argmin(xp.where(xp.isnan(scores), xp.full_like(scores, xp.inf), scores))[None]


def _folds(n: int, folds: int) -> list[tuple[slice, tuple[slice, slice]]]:
    """The rows of each fold, and those of all others."""
    ends = [i * (n // folds) + min(i, n % folds) for i in range(folds + 1)]
    return [(slice(a, b), (slice(0, a), slice(b, n))) for a, b in itertools.pairwise(ends)]


def _rows(X: Array, rows: slice | tuple[slice, slice]) -> Array:
    parts = [X[part, ...] for part in (rows if isinstance(rows, tuple) else (rows,)) if part.start != part.stop]
    return parts[0] if len(parts) == 1 else namespace_of(X).concat(parts, axis=0)


def _errors(A: Array, Y: Array, X: Array, intercept: Array | None) -> Array:
    """The mean squared error of each column of X (p, m, k) with its intercept (m, k), (m,)."""
    xp, (p, m, k) = namespace_of(A), X.shape
    R = xp.reshape(A @ xp.reshape(X, (p, m * k)), (A.shape[0], m, k)) - Y[:, None, :]
    R = R if intercept is None else R + intercept
    return xp.mean(R * R, axis=(0, 2))


def _over_folds(errors: list[Array]) -> tuple[Array, Array]:
    """The mean over folds, and its standard error."""
    xp = namespace_of(errors[0])
    E, count = xp.stack(errors), len(errors)
    mean = xp.mean(E, axis=0)
    deviation = xp.sqrt(xp.sum((E - mean) ** 2, axis=0) / (count - 1))
    return mean, deviation / count**0.5
