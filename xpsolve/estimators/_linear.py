"""Linear regression as an estimator: the fit that all share, and predictions."""

from __future__ import annotations

from typing import Any

from sklearn.base import RegressorMixin
from sklearn.utils import check_array, check_consistent_length, get_tags

from xpsolve.arrays import Array, namespace_of
from xpsolve.estimators._base import Estimator, follow
from xpsolve.solution import Solution


class LinearRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """⟨x, w⟩ + c, with w in `coef_` and c in `intercept_`."""

    _sparse = True
    _least = 1  # sample of a fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.
        y : array, shape (n_samples,) or, where the estimator takes many targets, (n_samples, n_targets)
            Targets, which are moved to the library and device of `X`.
        sample_weight : array, shape (n_samples,), optional
            Weights w_i ≥ 0 of the samples; 1 where none are given.

        Returns
        -------
        estimator
            The same object, fitted.
        """
        several = get_tags(self).target_tags.multi_output
        X, y = self._checked(X, y, multi_output=several, y_numeric=True, ensure_min_samples=self._least)
        solution = self._solve(X, follow(y, X), self._weights(sample_weight, X))
        self._keep(solution)
        self.coef_ = solution.x.T if solution.x.ndim == 2 else solution.x
        self.intercept_ = 0.0 if solution.intercept is None else solution.intercept
        return self

    def _solve(self, X: Any, y: Array, weights: Array | None) -> Solution:
        raise NotImplementedError

    def predict(self, X: Any) -> Array:
        """Predict ⟨x, w⟩ + c.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_targets)
            In the library of `X`.
        """
        X, coef = self._entered(X, "coef_", "predict")
        return X @ (coef.T if coef.ndim == 2 else coef) + self.intercept_

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² = 1 − Σ w_i(ŷ_i − y_i)² / Σ w_i(y_i − ȳ)², the mean over targets.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.
        y : array, shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array, shape (n_samples,), optional
            Weights w_i ≥ 0; 1 where none are given.

        Returns
        -------
        float
            1 for perfect predictions, 0 for those of the mean.  Of targets that are all alike it is 1 or 0.
        """
        predicted = self.predict(X)
        y = follow(check_array(y, ensure_2d=False), predicted)
        check_consistent_length(predicted, y)
        xp = namespace_of(y)
        y = xp.reshape(y, predicted.shape)  # one target may be a column
        weights = self._weights(sample_weight, predicted)
        weights = xp.ones_like(y) if weights is None else (weights if y.ndim == 1 else weights[:, None])
        center = xp.sum(weights * y, axis=0) / xp.sum(weights, axis=0)
        missed = xp.sum(weights * (predicted - y) ** 2, axis=0)
        spread = xp.sum(weights * (y - center) ** 2, axis=0)
        known = spread > 0
        alike = xp.astype(missed == 0, y.dtype)
        return float(xp.mean(xp.where(known, 1 - missed / xp.where(known, spread, xp.ones_like(spread)), alike)))


def total(X: Any, weights: Array | None) -> float:
    """The sum of the weights: what scikit-learn divides the squares by."""
    return float(X.shape[0] if weights is None else namespace_of(weights).sum(weights))
