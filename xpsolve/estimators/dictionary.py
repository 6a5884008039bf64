"""Sparse codes in a dictionary, given or learnt, as estimators."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from xpsolve.arrays import Array, backends, check_number, enter, is_array
from xpsolve.estimators._base import Estimator, follow
from xpsolve.linear import dictionary_learning, lasso


def _atoms(given: Any, X: Any) -> Array:
    """A given dictionary, checked, where the samples are."""
    return follow(check_array(backends.to_numpy(given) if is_array(given) else given), X)


class _Coder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):  # type: ignore[misc]
    """Codes of samples in the rows of `components_`."""

    _alpha: tuple[str, ...]  # parameters with the α of the codes, the first that is given

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def transform(self, X: Any) -> Array:
        """The sparse codes of samples: argmin ½‖x − zD‖² + α‖z‖₁ for every row x of `X`.

        Parameters
        ----------
        X : array or data frame, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_components)
            One code per row.
        """
        X, D = self._entered(X, "components_", "transform")
        name = next(name for name in self._alpha if getattr(self, name) is not None)
        lam = check_number(getattr(self, name), name, minimum=0)
        options = {"tol": self.transform_tol, "max_iter": self.transform_max_iter, "method": "fista"}  # row by row
        return self._solved(lasso, D.T, X.T, lam, **options).x.T

    def inverse_transform(self, X: Any) -> Array:
        """The samples that have these codes.

        Parameters
        ----------
        X : array or data frame, shape (n_samples, n_components)
            One code per row.

        Returns
        -------
        array, shape (n_samples, n_features)
            X D.
        """
        check_is_fitted(self)
        _, (X, D) = enter(X=check_array(X), components_=self.components_)
        return X @ D


class DictionaryLearning(_Coder):
    """Dictionary learning  min ½‖X − ZD‖² + α‖Z‖₁ with rows of D of length 1,  by `xpsolve.dictionary_learning`.

    D is the transpose of the dictionary of the solver, and λ = α.

    Parameters
    ----------
    n_components : int, optional
        Rows of D; None takes as many as there are features.
    alpha : float
        α ≥ 0, as in ``sklearn.decomposition.DictionaryLearning``.
    max_iter : int
        Most iterations of the fit.
    tol : float
        The certificate of the fit.
    transform_alpha : float, optional
        α of the codes of `transform`; None is `alpha`.
    transform_max_iter : int
        Most iterations for the codes.
    transform_tol : float
        The certificate of the codes: the duality gap relative to ½‖x‖².
    dict_init : array, shape (n_components, n_features), optional
        The first dictionary; None draws samples.
    random_state : int, RandomState or None
        Of the draw.

    Attributes
    ----------
    components_ : array, shape (n_components, n_features)
        The dictionary D.
    n_iter_ : int
        Iterations, at least 1.
    solution_ : DictionarySolution
        What the solver returned, with its certificate and the codes of the samples of the fit.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, where `X` is a data frame.

    See Also
    --------
    xpsolve.dictionary_learning : The solver.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from xpsolve.estimators import DictionaryLearning
    >>> X = load_digits().data[:200] / 16
    >>> model = DictionaryLearning(20, alpha=0.5, tol=1e-3, random_state=0).fit(X)
    >>> model.components_.shape, model.transform(X[:3]).shape
    ((20, 64), (3, 20))
    """

    _alpha = ("transform_alpha", "alpha")

    def __init__(
        self,
        n_components: int | None = None,
        *,
        alpha: float = 1.0,
        max_iter: int = 1000,
        tol: float = 1e-6,
        transform_alpha: float | None = None,
        transform_max_iter: int = 10_000,
        transform_tol: float = 1e-6,
        dict_init: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.transform_alpha = transform_alpha
        self.transform_max_iter = transform_max_iter
        self.transform_tol = transform_tol
        self.dict_init = dict_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn a dictionary.

        Parameters
        ----------
        X : array or data frame, shape (n_samples, n_features)
            Samples.
        y : ignored
            For pipelines.

        Returns
        -------
        DictionaryLearning
            The same object, fitted.
        """
        X = self._checked(X)
        atoms = X.shape[1] if self.n_components is None else self.n_components
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        start = None if self.dict_init is None else _atoms(self.dict_init, X).T
        lam = check_number(self.alpha, "alpha", minimum=0)
        options = {"tol": self.tol, "max_iter": self.max_iter}
        solution = self._solved(dictionary_learning, X, atoms, lam, seed=seed, x0=start, **options)
        self._keep(solution)
        self.components_ = solution.x.T
        return self


class SparseCoder(_Coder):
    """Sparse codes  argmin ½‖x − zD‖² + α‖z‖₁  of samples x in a given dictionary,  by `xpsolve.lasso` with λ = α.

    Parameters
    ----------
    dictionary : array, shape (n_components, n_features)
        The dictionary D, which is moved to the library and device of `X`.
    transform_alpha : float
        α ≥ 0, as in ``sklearn.decomposition.SparseCoder`` with the lasso.
    transform_max_iter : int
        Most iterations.
    transform_tol : float
        The certificate to reach: the duality gap relative to ½‖x‖².

    Attributes
    ----------
    n_components_ : int
        Rows of the dictionary.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, where `X` is a data frame.

    See Also
    --------
    xpsolve.lasso : The solver.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.estimators import SparseCoder
    >>> SparseCoder(np.eye(2), transform_alpha=0.5).fit_transform([[2.0, -0.25], [1.0, 1.0]]).round(6)
    array([[1.5, 0. ],
           [0.5, 0.5]])
    """

    _alpha = ("transform_alpha",)

    def __init__(
        self,
        dictionary: Any,
        *,
        transform_alpha: float = 1.0,
        transform_max_iter: int = 10_000,
        transform_tol: float = 1e-6,
    ) -> None:
        self.dictionary = dictionary
        self.transform_alpha = transform_alpha
        self.transform_max_iter = transform_max_iter
        self.transform_tol = transform_tol

    def fit(self, X: Any, y: Any = None) -> Any:
        """Check that the dictionary fits the samples, and move it to where they are.

        Parameters
        ----------
        X : array or data frame, shape (n_samples, n_features)
            Samples.
        y : ignored
            For pipelines.

        Returns
        -------
        SparseCoder
            The same object, fitted.
        """
        X = self._checked(X)
        D = _atoms(self.dictionary, X)
        if D.shape[1] != X.shape[1]:
            message = f"dictionary: expected {X.shape[1]} columns, as X has features, got shape {tuple(D.shape)}."
            raise ValueError(message)
        self.components_, self.n_components_ = D, D.shape[0]
        return self
