"""The lasso and the elastic net as estimators."""

from __future__ import annotations

from typing import Any

from sklearn.base import MultiOutputMixin

from xpsolve import costs
from xpsolve.arrays import Array, check_number, check_option
from xpsolve.estimators._base import check_ratio
from xpsolve.estimators._linear import LinearRegressor, total
from xpsolve.linear import elastic_net, lasso
from xpsolve.solution import Solution


class Lasso(MultiOutputMixin, LinearRegressor):  # type: ignore[misc]
    """The lasso  min 1/(2Σw_i) Σ w_i(⟨x_i, w⟩ + c − y_i)² + α‖w‖₁,  by `xpsolve.lasso` with λ = α·Σw_i.

    Without weights Σw_i is the number of samples: scikit-learn divides the squares by it, the solver does not.

    Parameters
    ----------
    alpha : float
        α ≥ 0, as in ``sklearn.linear_model.Lasso``.
    fit_intercept : bool
        Whether the model has a constant c, which is not penalised.
    max_iter : int
        Most iterations.
    tol : float
        The certificate to reach: the duality gap relative to ½‖y‖².
    solver : str
        The method of `xpsolve.lasso`: "auto", "working_set", "fista" or "ista".

    Attributes
    ----------
    coef_ : array, shape (n_features,) or (n_targets, n_features)
        The weights w.
    intercept_ : float or array, shape (n_targets,)
        The constant c.
    n_iter_ : int
        Iterations, at least 1.
    solution_ : Solution
        What the solver returned, with its certificate.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, where `X` is a data frame.

    See Also
    --------
    xpsolve.lasso : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpsolve.estimators import Lasso
    >>> X, y = load_diabetes(return_X_y=True)
    >>> Lasso(alpha=0.5).fit(X, y).coef_.round()
    array([  0.,   0., 471., 137.,   0.,   0., -58.,   0., 408.,   0.])
    """

    _lam = "alpha times the sum of the weights"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: int = 10_000,
        tol: float = 1e-6,
        solver: str = "auto",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        lam = check_number(self.alpha, "alpha", minimum=0) * total(X, weights)
        return self._solved(lasso, X, y, lam, **self._options(weights))

    def _options(self, weights: Array | None) -> dict[str, Any]:
        check_option(self.solver, "solver", ("auto", *costs.LASSO_METHODS))
        stop = {"tol": self.tol, "max_iter": self.max_iter}
        return {"weights": weights, "intercept": self.fit_intercept, "method": self.solver, **stop}


class ElasticNet(Lasso):
    """The elastic net  min 1/(2Σw_i) Σ w_i(⟨x_i, w⟩ + c − y_i)² + αρ‖w‖₁ + ½α(1 − ρ)‖w‖².

    It is solved by `xpsolve.elastic_net` with λ = α·Σw_i and θ = 1 − ρ.

    Parameters
    ----------
    alpha : float
        α ≥ 0, as in ``sklearn.linear_model.ElasticNet``.
    l1_ratio : float
        0 ≤ ρ ≤ 1: 1 is the lasso, 0 ridge regression.
    fit_intercept, max_iter, tol, solver
        As in `Lasso`.

    Attributes
    ----------
    coef_, intercept_, n_iter_, solution_, n_features_in_, feature_names_in_
        As in `Lasso`.

    See Also
    --------
    xpsolve.elastic_net : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpsolve.estimators import ElasticNet
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(ElasticNet(alpha=0.01, l1_ratio=0.9).fit(X, y).score(X, y), 3)
    0.491
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        max_iter: int = 10_000,
        tol: float = 1e-6,
        solver: str = "auto",
    ) -> None:
        super().__init__(alpha, fit_intercept=fit_intercept, max_iter=max_iter, tol=tol, solver=solver)
        self.l1_ratio = l1_ratio

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        lam = check_number(self.alpha, "alpha", minimum=0) * total(X, weights)
        theta = 1 - check_ratio(self.l1_ratio)
        return self._solved(elastic_net, X, y, lam, theta, **self._options(weights))
