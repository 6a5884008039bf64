"""Ridge regression as an estimator."""

from __future__ import annotations

from typing import Any

from sklearn.base import MultiOutputMixin

from xpsolve import costs
from xpsolve.arrays import Array, check_number, check_option
from xpsolve.estimators._linear import LinearRegressor
from xpsolve.linear import ridge
from xpsolve.solution import Solution


class Ridge(MultiOutputMixin, LinearRegressor):  # type: ignore[misc]
    """Ridge regression  min Σ w_i(⟨x_i, w⟩ + c − y_i)² + α‖w‖²,  by `xpsolve.ridge` with λ = α.

    Parameters
    ----------
    alpha : float
        α ≥ 0, as in ``sklearn.linear_model.Ridge``.
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
    intercept_ : float or array, shape (n_targets,)
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
        alpha: float = 1.0,
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
        lam = check_number(self.alpha, "alpha", minimum=0)
        return self._solved(ridge, X, y, lam, weights=weights, intercept=self.fit_intercept, **options)
