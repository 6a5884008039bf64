"""Logistic regression as an estimator, for two or more classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from xpsolve.arrays import Array, backends, check_option, check_positive, device_of, limits_of, namespace_of
from xpsolve.composite import minimize
from xpsolve.estimators._base import Estimator, check_ratio, follow, moved
from xpsolve.penalties import ElasticNet
from xpsolve.smooth_max import logsumexp, softmax
from xpsolve.solution import Solution
from xpsolve.stochastic import Logistic, Multinomial, newton


class LogisticRegression(ClassifierMixin, Estimator):  # type: ignore[misc]
    """Logistic regression  min C Σ w_i ℓ(⟨x_i, w⟩ + c, y_i) + ρ‖w‖₁ + ½(1 − ρ)‖w‖².

    Divided by CΣw_i it is f(w) + λ(ρ‖w‖₁ + ½(1 − ρ)‖w‖²) with λ = 1/(CΣw_i), and f an `xpsolve.Logistic` for two
    classes, an `xpsolve.Multinomial` for more.  `xpsolve.newton` solves it for ρ = 0, else `xpsolve.minimize`.

    Parameters
    ----------
    C : float
        C > 0, the inverse of the strength of the penalty, as in ``sklearn.linear_model.LogisticRegression``.
        ``float("inf")`` means none.
    l1_ratio : float
        0 ≤ ρ ≤ 1: 0 is the squared norm alone, 1 the ℓ¹ norm alone.
    tol : float, optional
        The certificate to reach.  None is 10⁻¹⁰ for ρ = 0, where a Newton step doubles the digits, 10⁻⁶ otherwise, and
        10⁻⁵ in float32.
    fit_intercept : bool
        Whether the model has a constant c, which is not penalised.
    class_weight : "balanced", dict or None
        Factors of the weights of all samples of a class, by its label, 1 where a class is not there.  "balanced" gives
        all classes the same total weight.
    solver : str
        The method: of `xpsolve.newton` ("auto", "cholesky", "cg") for ρ = 0, else of `xpsolve.minimize` ("auto",
        "fista", "ista").
    max_iter : int, optional
        Most iterations; None is the default of the solver.

    Attributes
    ----------
    classes_ : array, shape (n_classes,)
        The labels.
    coef_ : array, shape (1, n_features) or (n_classes, n_features)
        The weights w; one row for two classes.
    intercept_ : array, shape (1,) or (n_classes,)
        The constants c.
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
    xpsolve.Logistic, xpsolve.Multinomial : The objectives.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpsolve.estimators import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression().fit(X, y)
    >>> round(model.score(X, y), 3), model.predict_proba(X[:1]).round(2)
    (0.973, array([[0.98, 0.02, 0.  ]]))
    """

    _lam = "1/C over the sum of the weights"
    _sparse = True

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        tol: float | None = None,
        fit_intercept: bool = True,
        class_weight: Any = None,
        solver: str = "auto",
        max_iter: int | None = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.
        y : array, shape (n_samples,)
            Labels, numbers or strings.
        sample_weight : array, shape (n_samples,), optional
            Weights w_i ≥ 0 of the samples; 1 where none are given.

        Returns
        -------
        LogisticRegression
            The same object, fitted.
        """
        X, y = self._checked(X, y)
        check_classification_targets(y)
        encoder = LabelEncoder()
        labels = follow(encoder.fit_transform(y), X)
        self.classes_ = encoder.classes_
        if self.classes_.shape[0] < 2:
            message = f"y: expected at least two classes, got one class: {self.classes_[0]}."
            raise ValueError(message)
        solution = self._solve(X, labels, self._weights(sample_weight, X))
        self._keep(solution)
        x, xp = solution.x, namespace_of(solution.x)
        self.coef_ = x[None, :] if x.ndim == 1 else x.T
        c = xp.zeros_like(self.coef_[:, 0]) if solution.intercept is None else solution.intercept
        c = xp.reshape(c, (-1,))
        self.intercept_ = c - xp.mean(c) if x.ndim == 2 else c  # of the many that are as good, that of the sum 0
        return self

    def _solve(self, X: Any, labels: Array, weights: Array | None) -> Solution:
        ratio = check_ratio(self.l1_ratio)
        check_option(self.solver, "solver", ("auto", "cholesky", "cg") if ratio == 0 else ("auto", "fista", "ista"))
        f = self._objective(X, labels, weights)
        strength = self.C
        lam = 0.0 if strength == math.inf else 1 / (check_positive(strength, "C") * float(f().total_weight))
        fine = limits_of(labels).eps < 1e-10
        tol = (1e-5 if not fine else 1e-10 if ratio == 0 else 1e-6) if self.tol is None else self.tol
        options = {"method": self.solver, "tol": tol}
        options |= {} if self.max_iter is None else {"max_iter": self.max_iter}
        if ratio == 0:
            return self._solved(newton, f(lam), **options)
        return self._solved(minimize, f(), ElasticNet(lam, 1 - ratio), **options)

    def _objective(self, X: Any, labels: Array, weights: Array | None) -> Callable[..., Any]:
        """λ to the objective, of the labels 0, 1, …."""
        xp, several = namespace_of(labels), self.classes_.shape[0] > 2
        y = xp.astype(labels, xp.int64) if several else 2 * labels - 1
        factors = self.class_weight
        if isinstance(factors, Mapping):
            known = [float(factors.get(label, 1.0)) for label in backends.to_numpy(self.classes_).tolist()]
            factors = xp.asarray(known, dtype=labels.dtype, device=device_of(labels))
        options = {"weights": weights, "class_weights": factors, "intercept": self.fit_intercept}
        return lambda lam=0.0: (Multinomial if several else Logistic)(X, y, lam, **options)

    def decision_function(self, X: Any) -> Array:
        """⟨x, w⟩ + c, the logarithm of the odds of the second of two classes, or up to a constant of each class.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_classes)
            In the library of `X`.
        """
        return self._margins(X, "decision_function")

    def predict(self, X: Any) -> Array:
        """The most probable classes.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples,)
            Labels, in the library of `X` unless they are strings.
        """
        margins = self._margins(X, "predict")
        xp, classes = namespace_of(margins), self.classes_
        place = xp.argmax(_logits(margins), axis=1)
        labels = namespace_of(classes).take(classes, moved(place, classes))
        return moved(labels, margins) if namespace_of(classes).isdtype(classes.dtype, ("bool", "numeric")) else labels

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of the classes.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the library of `X`; each row has the sum 1.
        """
        return softmax(_logits(self._margins(X, "predict_proba")))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of the probabilities of the classes, accurate also where these are 0 to rounding.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the library of `X`.
        """
        logits = _logits(self._margins(X, "predict_log_proba"))
        return logits - logsumexp(logits)[:, None]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The weighted share of samples whose class is predicted.

        Parameters
        ----------
        X : array, sparse matrix or data frame, shape (n_samples, n_features)
            Samples.
        y : array, shape (n_samples,)
            Labels.
        sample_weight : array, shape (n_samples,), optional
            Weights w_i ≥ 0; 1 where none are given.

        Returns
        -------
        float
            Between 0 and 1.
        """
        predicted = self.predict(X)
        y = column_or_1d(y)
        check_consistent_length(predicted, y)
        right = follow(predicted == moved(y, predicted), self.coef_)
        xp, weights = namespace_of(right), self._weights(sample_weight, right)
        return float(xp.mean(right) if weights is None else xp.sum(weights * right) / xp.sum(weights))

    def _margins(self, X: Any, method: str) -> Array:
        X, coef = self._entered(X, "coef_", method)
        margins = X @ coef.T + self.intercept_
        return margins[:, 0] if margins.shape[1] == 1 else margins


def _logits(margins: Array) -> Array:
    """One column for each class."""
    xp = namespace_of(margins)
    return margins if margins.ndim == 2 else xp.stack([xp.zeros_like(margins), margins], axis=1)
