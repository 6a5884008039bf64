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

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    check_flag,
    check_option,
    device_of,
    eigh,
    gram,
    largest_pivot,
    limits_of,
    namespace_of,
    power_of_two,
    shifted,
    thin_svd,
)
from xpsolve.capabilities import capabilities
from xpsolve.linear._folds import Folds, over_folds
from xpsolve.linear._normal_equations import NORMAL_EQUATIONS, normal_equations_error
from xpsolve.linear._problem import enter_problem, from_columns
from xpsolve.linear._samples import Samples
from xpsolve.linear.chosen import ChosenSolution, best, candidates, chosen, entered
from xpsolve.linear.ridge import ridge
from xpsolve.solution import Certificate, Solution, finish, inner_solve

_METHODS = ("gcv", "loo", "kfold")
_SAFE = 0.25  # of the digits, that the condition of a Gram matrix with λ may take


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
    A : array, shape (n, p)
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
    A, y = entered(A, y, check_finite)
    lams = candidates(lams, y, check_finite)
    if isinstance(A, np.memmap) and method != "kfold":
        A = A.view(np.ndarray)  # it is factorised as a whole
    samples = Samples.of(A, y, weights, intercept, check_finite=check_finite)
    pooled, xp = not per_target or y.ndim == 1, namespace_of(A)
    factor: _Rows | _Columns | None = None
    unit = power_of_two(y, axis=None if pooled else 0)  # so that no square of y/unit overflows
    if method == "kfold":
        parts = Folds(A, y if y.ndim == 2 else y[:, None], weights, folds, unit)
        scores, spread = _by_folds(parts, lams, intercept, pooled)
    else:
        factor = _factor(samples, lams)
        scores, spread = _by_factor(factor, samples, unit, lams, method, pooled)
    lam = xp.take(lams, xp.reshape(best(scores), (-1,)))
    each = xp.asarray(lam[0]) if pooled else lam[None, :]
    found = None if factor is None else _answer(factor, samples, each)
    found = ridge(samples.A, samples.y, each, check_finite=check_finite) if found is None else found
    scores, spread = (None if values is None else values * (unit * unit) for values in (scores, spread))
    return chosen(samples.finished(found), lam=each if pooled else lam, lams=lams, scores=scores, spread=spread)


@dataclass(frozen=True)
class _Columns:
    """AᵀA = V diag(w) Vᵀ."""

    A: Array
    V: Array
    w: Array
    norm: Array  # at most ‖A‖, 0-d
    apart: Array | None  # the direction of an intercept, (n,): of length 1, with Aᵀd = 0 and ⟨y, d⟩ = 0
    method: str
    absent: Array | None = None  # 1 for a row of weight 0, (n,)

    def free(self, lams: Array) -> Array:
        """n − tr H, (m,)."""
        return _rest(self) + namespace_of(lams).sum(_damped(self.w, lams), axis=0)

    def left(self, lams: Array) -> Array:
        """1 − H_ii, (n, m)."""
        Z = self.A @ self.V
        left = 1 - (Z * Z) @ (1 / (self.w[:, None] + lams))
        return left if self.apart is None else left - (self.apart * self.apart)[:, None]

    def residuals(self, y: Array, lams: Array) -> Array:
        """y (n, 1) minus its fitted values for every λ, (n, m)."""
        return y - self.A @ self.solve(y, lams)

    def squared_residuals(self, Y: Array, lams: Array) -> Array:
        """‖y − Hy‖² of every column of Y, (m, k).

        With the residual r₀ and answer x₀ of the least λ₀ it is ‖r₀‖² + 2λ₀⟨x₀, d⟩ + ‖Ad‖², d = x₀ − x: no digit
        is lost, since none of these is below 0.
        """
        xp, w = namespace_of(Y), self.w[:, None]
        least = xp.min(lams)
        Z = (self.V.T @ (self.A.T @ Y)) / (w + least)  # x₀ = VZ
        R = Y - self.A @ (self.V @ Z)
        share = (lams - least) / (w + lams)  # of Z that is d, (q, m)
        return xp.sum(R * R, axis=0) + 2 * least * (share.T @ (Z * Z)) + (share * share).T @ (w * Z * Z)

    def solve(self, Y: Array, lam: Array) -> Array:
        """The answers for the columns of Y (n, k), with one λ or one for each."""
        return self.V @ ((self.V.T @ (self.A.T @ Y)) / (self.w[:, None] + lam))


@dataclass(frozen=True)
class _Rows:
    """AAᵀ = U diag(w) Uᵀ; where V is known A = U diag(√w) Vᵀ, and otherwise U is square."""

    A: Array
    U: Array
    w: Array
    norm: Array
    apart: Array | None
    method: str
    absent: Array | None = None  # 1 for a row of weight 0, (n,)
    Vh: Array | None = None

    @property
    def square(self) -> bool:
        """Whether U is square: then 1 − f of the directions that are neither apart nor absent is all there is."""
        return bool(self.U.shape[0] == self.U.shape[1])

    @property
    def squares(self) -> Array:
        """U_ij², where U is square without the part of directions that are apart or absent."""
        U, d = self.U, self.apart
        if not self.square:
            return U * U
        U = U if d is None else U - d[:, None] * (d @ U)
        return U * U if self.absent is None else U * U * (1 - self.absent)[:, None]

    def free(self, lams: Array) -> Array:
        """n − tr H, (m,)."""
        xp, damped = namespace_of(lams), _damped(self.w, lams)
        if self.square:
            return xp.sum(self.squares, axis=0) @ damped
        return _rest(self) + xp.sum(damped, axis=0)

    def left(self, lams: Array) -> Array:
        """1 − H_ii, (n, m)."""
        squares, d = self.squares, self.apart
        left = squares @ _damped(self.w, lams)
        if self.square:
            return left
        outside = 1 - namespace_of(lams).sum(squares, axis=1)
        return left + (outside if d is None else outside - d * d)[:, None]

    def residuals(self, y: Array, lams: Array) -> Array:
        """y (n, 1) minus its fitted values for every λ, (n, m)."""
        b, rest = self._parts(y)
        inside = self.U @ (_damped(self.w, lams) * b)
        return inside if rest is None else inside + rest

    def squared_residuals(self, Y: Array, lams: Array) -> Array:
        """‖y − Hy‖² of every column of Y, (m, k)."""
        xp, damped, (b, rest) = namespace_of(Y), _damped(self.w, lams), self._parts(Y)
        inside = (damped * damped).T @ (b * b)
        return inside if rest is None else inside + xp.sum(rest * rest, axis=0)

    def _parts(self, Y: Array) -> tuple[Array, Array | None]:
        """UᵀY, and what of Y no x reaches, None where there is no such part."""
        b = self.U.T @ Y
        if self.square:
            return b, None
        rest = Y - self.U @ b
        return b, rest - self.U @ (self.U.T @ rest)

    def solve(self, Y: Array, lam: Array) -> Array:
        """The answers for the columns of Y (n, k), with one λ or one for each."""
        b, xp = self.U.T @ Y, namespace_of(Y)
        if self.Vh is None:
            return self.A.T @ (self.U @ (b / (self.w[:, None] + lam)))
        return self.Vh.T @ (b * (xp.sqrt(self.w)[:, None] / (self.w[:, None] + lam)))


def _damped(w: Array, lams: Array) -> Array:
    """λ/(s² + λ), (q, m): NaN where both are 0, which is no choice."""
    return lams / (w[:, None] + lams)


def _rest(factor: _Rows | _Columns) -> Any:
    """How many directions no x reaches, but for those that are apart or absent."""
    n, absent = factor.A.shape[0], factor.absent
    rest = n - factor.w.shape[0] - (factor.apart is not None)
    return rest if absent is None else rest - namespace_of(absent).sum(absent)


def _apart(samples: Samples) -> Array:
    """√w/‖√w‖, (n,): what an intercept takes of y."""
    xp, y, roots = namespace_of(samples.y), samples.y, samples.roots
    ones = xp.ones(y.shape[0], dtype=y.dtype, device=device_of(y)) if roots is None else roots
    return ones / xp.linalg.vector_norm(ones)


def _factor(samples: Samples, lams: Array) -> _Rows | _Columns:
    """That of the smaller Gram matrix, where its rounding does not matter to any λ, or the SVD."""
    A, roots = samples.A, samples.roots
    xp, (n, p) = namespace_of(A), A.shape
    apart = None if samples.means is None else _apart(samples)
    absent = None if roots is None else xp.astype(roots == 0, A.dtype)
    wide, method = n <= p, "woodbury" if n <= p else "normal"
    G = gram(A.T) if wide else gram(A)
    largest = largest_pivot(G)
    if wide and apart is not None:  # so that it does not count as a small singular value
        G = G + largest * (apart[:, None] * apart)
    if wide and absent is not None:
        G = shifted(G, largest * absent)
    w, Q = eigh(G)
    good = w[0] + xp.min(lams) >= limits_of(A).eps ** _SAFE * w[-1]  # a NaN, where squares overflow, is not
    if bool(good):
        factor = _Rows if wide else _Columns
        return factor(A, Q, xp.maximum(w, xp.zeros_like(w)), xp.sqrt(largest), apart, method, absent)
    U, s, Vh = thin_svd(A)
    return _Rows(A, U, s * s, xp.max(s), apart, f"{method}->svd", absent, Vh)


def _by_factor(
    factor: _Rows | _Columns, samples: Samples, unit: Array, lams: Array, method: str, pooled: bool
) -> tuple[Array, Array | None]:
    """Scores (m,), or (m, k) where they are not pooled, and their standard errors, as of y/unit."""
    Y = (samples.y if samples.y.ndim == 2 else samples.y[:, None]) / unit
    xp, (n, k), roots = namespace_of(Y), Y.shape, samples.roots
    weights = None if roots is None else roots * roots
    total = n if weights is None else xp.sum(weights)
    if method == "gcv":
        rows = n if factor.absent is None else n - xp.sum(factor.absent)
        free = factor.free(lams) / rows
        scores = factor.squared_residuals(Y, lams) / total / (free * free)[:, None]
        return (xp.mean(scores, axis=1) if pooled else scores), None
    left = factor.left(lams)
    left = left if factor.absent is None else left + factor.absent[:, None]  # these have no error
    residuals = (factor.residuals(Y[:, j : j + 1], lams) for j in range(k))
    errors = [(R / left) ** 2 for R in residuals]  # w_i times the squared error in y_i, (n, m)
    first = xp.stack([xp.sum(E, axis=0) for E in errors], axis=1)
    second = xp.stack([xp.sum(E * E, axis=0) for E in errors], axis=1)
    cross = first if weights is None else xp.stack([weights @ E for E in errors], axis=1)
    if pooled:
        first, second, cross, total = *(xp.sum(part, axis=1) for part in (first, second, cross)), total * k
    mean = first / total
    squares = (n if weights is None else xp.sum(weights * weights)) * (k if pooled else 1)
    variance = xp.maximum(second - 2 * mean * cross + mean * mean * squares, xp.zeros_like(mean))
    return mean, xp.sqrt(variance) / total


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


def _answer(factor: _Rows | _Columns, samples: Samples, lam: Array) -> Solution | None:
    """The answer for λ, 0-d or (1, k), None where it is not certified."""
    problem = enter_problem(samples.A, samples.y, lam, targets=True, check_finite=False)
    X, tol = factor.solve(problem.Y, problem.lams), limits_of(problem.Y).eps ** 0.75
    error = normal_equations_error(problem, X, factor.norm)
    measure = float(problem.xp.max(error))
    if not measure <= tol:
        return None
    certificate = Certificate(NORMAL_EQUATIONS, error, tol)
    return finish("ridge_cv", from_columns(problem, X), method=factor.method, certificate=certificate, measure=measure)
