"""The lasso and the elastic net with the λ, and the θ, that predict best in k-fold cross-validation.

On an accelerator the folds are one problem with a block for each, so that a product is one launch for all folds and
all λ.  Elsewhere the path of one fold follows that of another, each on a set of features of its own.

Source: T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning (2009), §7.10.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from xpsolve.arrays import (
    Array,
    check_iteration,
    check_option,
    is_scalar,
    namespace_of,
    on_accelerator,
    power_of_two,
)
from xpsolve.capabilities import capabilities
from xpsolve.linear._choice_data import Given
from xpsolve.linear._folds import Folds, over_folds
from xpsolve.linear._samples import Samples
from xpsolve.linear.chosen import ChosenSolution, best, chosen, without_nan
from xpsolve.linear.lasso import elastic_net, lasso
from xpsolve.linear.lasso_path import check_grid, grid_of, path_of
from xpsolve.solution import inner_solve

_TOL = 1e-5  # of the path of a fold
_TOL_LARGE = 1e-4  # the same where steps cost much
_LARGE = 256  # features that x may have
_PART = 0.01  # of the least score, by which a gap may change the fits in the mean square
_TOL_TOGETHER = 1e-6  # the tolerance for the sum of all folds, by steps that end close to it
_RULES = ("best", "one standard error")


@capabilities(batch="values of lams", jit=False, syncs=50)
def lasso_cv(
    A: Array,
    y: Array,
    lams: Any = None,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    folds: Any = 10,
    n_lams: int = 100,
    ratio: float = 1e-3,
    rule: str = "best",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_finite: bool = True,
) -> ChosenSolution:
    """The lasso with the λ that predicts best in k-fold cross-validation.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> found = xs.lasso_cv(A, A[:, 0] + 0.1)
    >>> found.lam.shape, found.scores.shape, int(np.argmax(np.abs(found.x)))
    ((), (100,), 0)

    Parameters
    ----------
    A : array, shape (n, p), `Rows` or data set in a file
        One sample per row.
    y : array, shape (n,)
        Observations.
    lams : list of float or 1-D array, optional
        The λ to choose from, as in `lasso`.  None takes the grid of `lasso_path` on all samples.
    weights : array, shape (n,), optional
        w_i ≥ 0 of the squared residuals, and of the squared errors in the scores; 1 where none are given.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    folds : int or list of pairs of rows
        How many parts of the rows that follow one another, between 2 and n; or for each fold the numbers of the rows to
        keep and of those to leave out, on the host.  A fold of m samples is solved with λ·m/n, so that the weight of
        the penalty against a sample stays.
    n_lams, ratio
        As in `lasso_path`, if `lams` is not given.
    rule : {"best", "one standard error"}
        The λ with the least score, or the largest whose score is within one standard error of it.
    tol, max_iter
        As in `lasso`, for the chosen λ.

    Returns
    -------
    ChosenSolution
        ``.x`` and its certificate are those of `lasso` at ``.lam``; ``.lams``, ``.scores`` and ``.spread`` are the
        curve.  ``.stats["fold_gap"]`` is the largest duality gap of a fold, 0-d.

    Other Parameters
    ----------------
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

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
    elastic_net_cv : With a squared norm added.
    lasso_path, ridge_cv

    Notes
    -----
    The paths of the folds need not be as exact as the answer: they are solved to a gap of 10⁻⁵·½‖y‖², with more than
    256 rows and features 10⁻⁴, or `tol` where that is larger.  A fold whose gap allows its fits to change by more
    than 1 % of its least score in the mean square is solved again to a smaller gap, `tol` at the least.  On an
    accelerator all folds are one problem with a gap of 10⁻⁶.

    An A with more rows than columns of Dask, in a file or of `Rows` is read twice, for any number of folds and of λ:
    for AᵀA and Aᵀy of every fold, and for the certificate.  Where rounding of AᵀA may matter to a score, a pass between
    the two finds triangular factors; ``.stats["sums"]`` says so.  Nothing of the size of A is made.

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
    options = _Options(rule, n_lams, ratio, tol, max_iter)
    search = _Search(Given(A, y, lams, weights, intercept, folds, check_finite, single=True), options)
    curve = search.curve(0.0)
    lam = search.lam(*curve)
    found = lasso(*search.problem(lam), tol=tol, max_iter=max_iter, check_finite=False)
    return search.chosen(found, lam, *curve)


@capabilities(batch="values of lams", jit=False, syncs=50)
def elastic_net_cv(
    A: Array,
    y: Array,
    lams: Any = None,
    thetas: Any = 0.5,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    folds: Any = 10,
    n_lams: int = 100,
    ratio: float = 1e-3,
    rule: str = "best",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_finite: bool = True,
) -> ChosenSolution:
    """The elastic net with the λ and the θ that predict best in k-fold cross-validation.

    Parameters
    ----------
    A, y
        As in `lasso_cv`.
    lams : list of float or 1-D array, optional
        The λ to choose from, as in `elastic_net`, for every θ.  None takes for each θ `n_lams` values from the least
        λ with the answer 0, max |Aᵀy|/(1 − θ), down to `ratio` times that, equally spaced in log λ.
    thetas : float, or list of t floats
        θ, or those to choose from, as in `elastic_net`: 0 ≤ θ < 1.  For θ = 1 take `ridge_cv`.
    weights, intercept, folds, n_lams, ratio, rule, tol, max_iter, check_finite
        As in `lasso_cv`; the rule chooses among the λ of the θ that has the least score.

    Returns
    -------
    ChosenSolution
        ``.x`` and its certificate are those of `elastic_net` at ``.lam`` and ``.theta``; ``.lams``, ``.scores`` and
        ``.spread`` are the curve, (m,), or for a list of θ one curve per row, (t, m), of ``.thetas``.

    Raises
    ------
    TypeError, ValueError
        As `lasso_cv`, and if a θ is not a number from 0 to below 1.

    Warns
    -----
    ConvergenceWarning
        As `elastic_net`, for the chosen λ and θ.

    See Also
    --------
    lasso_cv : The case θ = 0.
    ridge_cv : The case θ = 1.

    References
    ----------
    H. Zou and T. Hastie, J. R. Stat. Soc. B 67 (2005).

    Examples
    --------
    >>> import xpsolve as xs
    >>> data = xs.problems.diabetes()
    >>> found = xs.elastic_net_cv(data.A, data.y, thetas=[0.0, 0.5, 0.9], n_lams=20, folds=5)
    >>> found.theta, found.scores.shape
    (0.0, (3, 20))
    """
    values = tuple(thetas) if isinstance(thetas, list | tuple) else (thetas,)
    if not values or not all(is_scalar(theta) for theta in values):
        message = f"thetas: expected a number or a list of numbers from 0 to below 1, got {thetas!r}."
        raise TypeError(message)
    if not all(0 <= theta < 1 for theta in values):
        message = f"thetas: expected numbers from 0 (lasso) to below 1, got {thetas!r}. Use `ridge_cv` for 1."
        raise ValueError(message)
    values = tuple(float(theta) for theta in values)
    options = _Options(rule, n_lams, ratio, tol, max_iter)
    search = _Search(Given(A, y, lams, weights, intercept, folds, check_finite, single=True), options)
    xp = namespace_of(search.data.y)
    curves = [search.curve(theta) for theta in values]
    least = xp.stack([xp.min(without_nan(scores)) for _, scores, _ in curves])
    place = int(xp.argmin(least)) if len(values) > 1 else 0
    lam, theta = search.lam(*curves[place]), values[place]
    found = elastic_net(*search.problem(lam), theta, tol=tol, max_iter=max_iter, check_finite=False)
    if isinstance(thetas, list | tuple):
        curve = tuple(xp.stack(list(rows)) for rows in zip(*curves, strict=True))
    else:
        (curve,) = curves
    return search.chosen(found, lam, *curve, theta=theta, thetas=values)


class _Options(NamedTuple):
    """How λ is chosen."""

    rule: str
    n_lams: int
    ratio: float
    tol: float
    max_iter: int


class _Search:
    """The curve of λ for every θ on the same folds, and what to choose from it."""

    def __init__(self, given: Given, options: _Options) -> None:
        check_option(options.rule, "rule", _RULES)
        check_grid(options.n_lams, options.ratio)
        limits: dict[str, Any] = {"tol": options.tol, "max_iter": options.max_iter, "check_finite": given.check_finite}
        self.tol: float = check_iteration(**limits, check_every=1, callback=None)
        data, self.options, self.intercept = given.data(), options, given.intercept
        xp, y, weights = namespace_of(data.y), data.y, data.weights
        self.data, self.whole, self.unit = data, data.samples, power_of_two(y)
        self.power = xp.sum((self.whole.y / self.unit) ** 2) / (y.shape[0] if weights is None else xp.sum(weights))
        self.folds = Folds(data.A, y[:, None], weights, data.folds, self.unit)
        self.gaps = list[Array]()

    def curve(self, theta: float) -> tuple[Array, Array, Array]:
        """λ, scores and spread for one θ, as of y/unit."""
        o, lams = self.options, self.data.lams
        if lams is None:
            sizes: dict[str, Any] = {"n_lams": o.n_lams, "ratio": o.ratio}
            lams = grid_of(self.whole.A, self.whole.y, theta, **sizes, check_finite=False)
        with inner_solve():
            errors = (self._together if on_accelerator(self.data.y) else self._one_by_one)(lams, theta)
        return lams, *over_folds(errors)

    def _one_by_one(self, lams: Array, theta: float) -> list[Array]:
        xp, errors = namespace_of(lams), []
        tol = max(self.tol, _TOL_LARGE if min(self.whole.A.shape) > _LARGE else _TOL)
        for fold in self.folds:
            part = Samples.of(fold.A, fold.y[:, 0], fold.weights, self.intercept, check_finite=False)
            while True:
                path = part.finished(path_of(part.A, part.y, lams * fold.share, theta, tol=tol, check_finite=False))
                found = self.folds.errors(fold.rows, path.x.T, path.intercept)[:, 0]
                enough = self._enough(found)
                if tol <= enough:
                    break
                tol = max(self.tol, min(enough, 0.1 * tol))
            self.gaps.append(xp.max(path.gaps))
            errors.append(found)
        return errors

    def _enough(self, errors: Array) -> float:
        """A relative gap that is small enough for these errors.

        ‖A(x − x*)‖² is at most twice the gap: with a gap of tol·½‖y‖² its mean over samples is at most tol·‖y‖²/n.
        """
        xp = namespace_of(errors)
        share = xp.min(without_nan(errors)) / xp.where(self.power > 0, self.power, xp.ones_like(self.power))
        return max(self.tol, _PART * float(share))

    def _together(self, lams: Array, theta: float) -> list[Array]:
        xp, count = namespace_of(lams), len(self.folds.rows)
        blocks, y, intercepts = self.folds.side_by_side(self.intercept)
        path = path_of(blocks, y, lams, theta, tol=max(self.tol, _TOL_TOGETHER), check_finite=False)
        X = xp.reshape(path.x.T, (count, self.whole.A.shape[1], -1))
        C = intercepts(X)
        self.gaps.append(xp.max(path.gaps))
        return [
            self.folds.errors(rows, X[f, ...], None if C is None else C[f, :])[:, 0]
            for f, rows in enumerate(self.folds.rows)
        ]

    def lam(self, lams: Array, scores: Array, spread: Array) -> Array:
        """The λ that the rule takes, 0-d."""
        xp, place = namespace_of(lams), best(scores)[None]
        lam = xp.take(lams, place)[0]
        if self.options.rule == "one standard error":
            near = scores <= xp.take(scores, place) + xp.take(spread, place)
            lam = xp.max(xp.where(near, lams, lam))
        return xp.asarray(lam)

    def problem(self, lam: Array) -> tuple[Any, Array, Array]:
        """A, y and λ of the answer."""
        final = self.data.final
        return final.A, final.y, self.data.argument(lam)

    def chosen(self, found: Any, lam: Array, lams: Array, scores: Array, spread: Array, **more: Any) -> ChosenSolution:
        """A solution with the curve."""
        data, square = self.data, self.unit * self.unit
        found = data.finished(found)
        gap = data.delivered(namespace_of(lams).max(namespace_of(lams).stack(self.gaps)))
        found = replace(found, stats={**found.stats, "fold_gap": gap})
        curve = {"lam": lam, "lams": lams, "scores": scores * square, "spread": spread * square}
        return chosen(found, **{name: data.delivered(values) for name, values in curve.items()}, **more)
