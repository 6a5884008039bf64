"""Folds for the estimators that choose a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from xpsolve.arrays import Array, backends


def folds_of(cv: Any, y: Array) -> Any:
    """`cv` of scikit-learn as folds of our functions: a number, or rows to keep and to leave out of each."""
    if cv is None or isinstance(cv, int | np.integer):
        return 5 if cv is None else cv
    return list(check_cv(cv).split(np.empty((y.shape[0], 0)), backends.to_numpy(y)))
