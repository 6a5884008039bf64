"""Ridge regression as an estimator."""

from __future__ import annotations

from typing import Any

from sklearn.base import MultiOutputMixin
from sklearn.utils import check_array

from xpsolve import costs
from xpsolve.arrays import Array, check_number, check_option, check_positive, is_scalar
from xpsolve.estimators._base import follow
from xpsolve.estimators._linear import LinearRegressor
from xpsolve.estimators._search import folds_of
from xpsolve.linear import ridge, ridge_cv
from xpsolve.solution import Solution


class Ridge(MultiOutputMixin, LinearRegressor):  # type: ignore[misc]
    """Ridge regression  min Σ w_i(⟨x_i, w⟩ + c − y_i)² + α‖w‖²,  by `xpsolve.ridge` with λ = α.

    Parameters
    ----------
    alpha : float or array, shape (n_targets,)
        α ≥ 0, or one for each target, as in ``sklearn.linear_model.Ridge``.
    fit_intercept : bool
        Whether the model has a constant c, which is not penalised.
    max_iter : int, optional
        For "cg": most iterations.
    tol : float, optional
        For "cg": the certificate to reach.
    solver : str
        The method of `xpsolve.ridge`: "auto", "normal", "woodbury", "svd" or "cg".

    Attributes
    ----------
    coef_ : array, shape (n_features,) or (n_targets, n_features)
        The weights w.
    intercept_ : array, 0-d or (n_targets,), or 0.0
        The constant c.
    n_iter_ : int
        Iterations, 1 for a direct method.
    solution_ : Solution
        What the solver returned, with its certificate.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, where `X` is a data frame.

    See Also
    --------
    xpsolve.ridge : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpsolve.estimators import Ridge
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = Ridge(alpha=0.1).fit(X, y)
    >>> round(model.score(X, y), 3), model.solution_.converged
    (0.513, True)
    """

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: int | None = None,
        tol: float | None = None,
        solver: str = "auto",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        check_option(self.solver, "solver", ("auto", *costs.RIDGE_METHODS))
        options = {"method": self.solver, "tol": self.tol, "max_iter": self.max_iter}
        one = is_scalar(self.alpha) or isinstance(self.alpha, str)
        lam = check_number(self.alpha, "alpha", minimum=0) if one else self._of_targets(X, y)
        return self._solved(ridge, X, y, lam, weights=weights, intercept=self.fit_intercept, **options)

    def _of_targets(self, X: Any, y: Array) -> Array:
        """α of every column of y as λ, (1, k)."""
        alphas = follow(check_array(self.alpha, ensure_2d=False, input_name="alpha"), X)
        if tuple(alphas.shape) != tuple(y.shape[1:]):
            message = f"alpha: expected a number or one for each target, got shape {alphas.shape} for y {y.shape}."
            raise ValueError(message)
        return alphas[None, :]


class RidgeCV(MultiOutputMixin, LinearRegressor):  # type: ignore[misc]
    """Ridge regression with the α that predicts best,  by `xpsolve.ridge_cv` with λ = α.

    Parameters
    ----------
    alphas : sequence of float
        The α > 0 to choose from.
    fit_intercept : bool
        Whether the model has a constant c, which is not penalised.
    cv : int, splitter, iterable of pairs of indices, or None
        None leaves out one sample after another, for all α at once in closed form.  The folds of others are solved with
        α·m/n for m of n samples, so that the weight of the penalty against a sample stays, where scikit-learn keeps α.
    alpha_per_target : bool
        Whether each target gets an α of its own, for ``cv=None``.

    Attributes
    ----------
    alpha_ : float or array, shape (n_targets,)
        The chosen α.
    coef_ : array, shape (n_features,) or (n_targets, n_features)
        The weights w.
    intercept_ : array, 0-d or (n_targets,), or 0.0
        The constant c.
    n_iter_ : int
        1.
    solution_ : ChosenSolution
        What the solver returned: with its certificate, and the scores of all α in ``.scores``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, where `X` is a data frame.

    See Also
    --------
    xpsolve.ridge_cv : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpsolve.estimators import RidgeCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> RidgeCV([0.001, 0.01, 0.1, 1.0]).fit(X, y).alpha_
    0.01
    """

    _sparse = False

    def __init__(
        self,
        alphas: Any = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        cv: Any = None,
        alpha_per_target: bool = False,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.alpha_per_target = alpha_per_target

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        alphas = [check_positive(alpha, "alphas") for alpha in self.alphas]
        how = {"method": "loo"} if self.cv is None else {"method": "kfold", "folds": folds_of(self.cv, y)}
        options = {"weights": weights, "intercept": self.fit_intercept, "per_target": self.alpha_per_target}
        solution = self._solved(ridge_cv, X, y, alphas, **how, **options)
        self.alpha_ = solution.lam if solution.lam.ndim else float(solution.lam)
        return solution
