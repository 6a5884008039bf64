"""The lasso and the elastic net as estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin

from xpsolve import costs
from xpsolve.arrays import Array, check_count, check_number, check_option, check_positive, is_scalar
from xpsolve.estimators._base import check_ratio
from xpsolve.estimators._linear import LinearRegressor, total
from xpsolve.estimators._search import folds_of
from xpsolve.linear import elastic_net, elastic_net_cv, lasso, lasso_cv
from xpsolve.linear.chosen import ChosenSolution
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
    intercept_ : array, 0-d or (n_targets,), or 0.0
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


class LassoCV(LinearRegressor):
    """The lasso with the α that predicts best in cross-validation,  by `xpsolve.lasso_cv` with λ = α·Σw_i.

    Parameters
    ----------
    eps : float
        The smallest α over the largest, where `alphas` is a number.
    alphas : int or sequence of float
        How many α, from the smallest at which all coefficients are 0 down, or the α > 0 to choose from.
    fit_intercept : bool
        Whether the model has a constant c, which is not penalised.
    max_iter, tol
        As in `Lasso`, for the chosen α.
    cv : int, splitter, iterable of pairs of indices, or None
        The folds; a number k takes k parts of samples that follow one another, None five.

    Attributes
    ----------
    alpha_ : float
        The chosen α.
    alphas_ : array, shape (n_alphas,)
        All α.
    coef_, intercept_, n_iter_, n_features_in_, feature_names_in_
        As in `Lasso`.
    solution_ : ChosenSolution
        What the solver returned: with its certificate, and the scores of all α in ``.scores``.

    See Also
    --------
    xpsolve.lasso_cv : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpsolve.estimators import LassoCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(LassoCV(cv=10).fit(X, y).alpha_, 4)
    0.0571
    """

    _lam = Lasso._lam
    _sparse = False
    _least = 2

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        max_iter: int = 10_000,
        tol: float = 1e-6,
        cv: Any = None,
    ) -> None:
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.cv = cv

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        lams, options = self._search(X, y, weights)
        return self._chosen(self._solved(lasso_cv, X, y, lams, **options), X, weights)

    def _search(self, X: Any, y: Array, weights: Array | None) -> tuple[list[float] | None, dict[str, Any]]:
        """λ to choose from, and the options of the solver."""
        lams, options = None, {"weights": weights, "intercept": self.fit_intercept, "folds": folds_of(self.cv, y)}
        if isinstance(self.alphas, int | np.integer):
            options |= {"n_lams": check_count(self.alphas, "alphas", 1), "ratio": check_positive(self.eps, "eps")}
        else:
            lams = [check_positive(alpha, "alphas") * total(X, weights) for alpha in self.alphas]
        return lams, {**options, "tol": self.tol, "max_iter": self.max_iter}

    def _chosen(self, solution: ChosenSolution, X: Any, weights: Array | None) -> Solution:
        whole = total(X, weights)
        self.alpha_, self.alphas_ = float(solution.lam) / whole, solution.lams / whole
        return solution


class ElasticNetCV(LassoCV):
    """The elastic net with the α and the ρ that predict best in cross-validation,  by `xpsolve.elastic_net_cv`.

    λ = α·Σw_i and θ = 1 − ρ, as in `ElasticNet`.

    Parameters
    ----------
    l1_ratio : float or sequence of float
        ρ, or all ρ to choose from, 0 < ρ ≤ 1.
    eps, alphas, fit_intercept, max_iter, tol, cv
        As in `LassoCV`.

    Attributes
    ----------
    alpha_ : float
        The chosen α.
    l1_ratio_ : float
        The chosen ρ.
    alphas_ : array, shape (n_alphas,) or (n_l1_ratio, n_alphas)
        All α, where there are many ρ a row for each.
    coef_, intercept_, n_iter_, solution_, n_features_in_, feature_names_in_
        As in `LassoCV`.

    See Also
    --------
    xpsolve.elastic_net_cv : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpsolve.estimators import ElasticNetCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ElasticNetCV(l1_ratio=[0.5, 0.9, 1.0], alphas=20, cv=5).fit(X, y).l1_ratio_
    1.0
    """

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        max_iter: int = 10_000,
        tol: float = 1e-6,
        cv: Any = None,
    ) -> None:
        super().__init__(eps=eps, alphas=alphas, fit_intercept=fit_intercept, max_iter=max_iter, tol=tol, cv=cv)
        self.l1_ratio = l1_ratio

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        lams, options = self._search(X, y, weights)
        ratios = self.l1_ratio
        thetas = 1 - check_ratio(ratios) if is_scalar(ratios) else [1 - check_ratio(ratio) for ratio in ratios]
        solution = self._solved(elastic_net_cv, X, y, lams, thetas, **options)
        self.l1_ratio_ = 1 - float(solution.theta)
        return self._chosen(solution, X, weights)
