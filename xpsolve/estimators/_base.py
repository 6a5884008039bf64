"""What all estimators share: data checked by scikit-learn, a call of a solver, its answer as fitted attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from xpsolve.arrays import Array, backends, check_number, device_of, enter, is_array, library, namespace_of
from xpsolve.solution import AnySolution, Solution, Status, inner_solve, warn_outside


class Estimator(BaseEstimator):  # type: ignore[misc]
    """An estimator whose fitted attributes are of the library, device and dtype of X."""

    _lam = "alpha"  # what lam of the solver is, in messages
    _sparse = False  # whether sparse data are taken

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = self._sparse
        return tags

    def _checked(self, X: Any, y: Any = "no_validation", **checks: Any) -> Any:
        """X, and y where it is given, as scikit-learn checks them."""
        return validate_data(self, X, y, accept_sparse=self._sparse, dtype=_floats(X), **checks)

    def _weights(self, sample_weight: Any, X: Any) -> Array | None:
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        return follow(weights, X)

    def _solved(self, solve: Callable[..., AnySolution], *arguments: Any, **options: Any) -> AnySolution:
        """What a solver answers, with the warning that users of scikit-learn know."""
        with inner_solve():
            solution = solve(*arguments, **options)
        status = solution.status
        if status not in (Status.CONVERGED, Status.STOPPED):
            message = f"{type(self).__name__}: {solution.message} Here lam is {self._lam}."
            warn_outside(message, ConvergenceWarning)
        return solution

    def _keep(self, solution: Solution) -> None:
        self.solution_ = solution
        self.n_iter_ = max(1, int(solution.n_iter))  # scikit-learn counts a direct solve as one

    def _entered(self, X: Any, attribute: str, method: str) -> tuple[Any, Array]:
        """X for a method of the fitted estimator and the attribute that it meets, in one dtype."""
        check_is_fitted(self)
        X, fitted = self._checked(X, reset=False), getattr(self, attribute)
        like = _like(X)
        if namespace_of(like) is not namespace_of(fitted) or device_of(like) != device_of(fitted):
            message = (
                f"{type(self).__name__}.{method}() must use the same namespace and the same device as fit(): "
                f"expected {_place(fitted)}, got {_place(like)}."
            )
            raise ValueError(message)
        if not is_array(X):
            return X, fitted
        _, (X, fitted) = enter(X=X, **{attribute: fitted})
        return X, fitted


def check_ratio(value: Any) -> float:
    """ρ of an elastic net as a float."""
    ratio: float = check_number(value, "l1_ratio", minimum=0)
    if ratio > 1:
        message = f"l1_ratio: expected a number between 0 (squares alone) and 1 (the lasso), got {value!r}."
        raise ValueError(message)
    return ratio


def moved(x: Array, like: Array, dtype: str | None = None) -> Array:
    """`x` in the library and on the device of `like`."""
    xp, device = namespace_of(like), device_of(like)
    if namespace_of(x) is xp and device_of(x) == device:
        return x
    backend = backends.get(library(xp).replace("_", "-"))
    return backend.asarray(backends.to_numpy(x), dtype=dtype, device=device)


def follow(x: Array, X: Any) -> Array:
    """`x` in the library, on the device and in the dtype of X: everything follows the data."""
    like = _like(X)
    x = moved(x, like, dtype=str(like.dtype).rpartition(".")[2])
    return x if x.dtype == like.dtype else namespace_of(x).astype(x, like.dtype)


def _like(X: Any) -> Array:
    """X, or for a sparse matrix an array of its kind."""
    return X if is_array(X) else np.empty(0, X.dtype)


def _place(x: Array) -> str:
    return f"{library(namespace_of(x))} on {device_of(x)}"


def _floats(X: Any) -> list[Any]:
    """The dtypes that data keep; others become the first."""
    if not (sklearn.get_config()["array_api_dispatch"] and is_array(X)):
        return [np.float64, np.float32]
    known = namespace_of(X).__array_namespace_info__().dtypes(device=device_of(X), kind="real floating")
    return [known[name] for name in ("float64", "float32") if name in known]
