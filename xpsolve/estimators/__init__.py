"""Estimators for scikit-learn: linear models and sparse coding, thin around the solvers.

They follow scikit-learn's conventions: data frames, `sample_weight`, `clone`, pipelines and searches work, and
parameters have scikit-learn's names and scale.  Under ``sklearn.config_context(array_api_dispatch=True)`` arrays of
other libraries stay what and where they are.  That needs scikit-learn 1.9, SciPy 1.14 and ``SCIPY_ARRAY_API=1`` in the
environment; everything else needs scikit-learn 1.6.

An answer that is not certified warns with ``sklearn.exceptions.ConvergenceWarning``, as its users expect.
"""

try:
    from sklearn.utils.validation import validate_data as _  # noqa: F401  # there from 1.6 on
except ImportError as error:
    message = "xpsolve.estimators needs scikit-learn 1.6 or newer: pip install 'xpsolve[sklearn]'."
    raise ImportError(message) from error

from xpsolve.estimators.dictionary import DictionaryLearning, SparseCoder
from xpsolve.estimators.lasso import ElasticNet, ElasticNetCV, Lasso, LassoCV
from xpsolve.estimators.logistic import LogisticRegression
from xpsolve.estimators.ridge import Ridge, RidgeCV

__all__ = [
    "DictionaryLearning",
    "ElasticNet",
    "ElasticNetCV",
    "Lasso",
    "LassoCV",
    "LogisticRegression",
    "Ridge",
    "RidgeCV",
    "SparseCoder",
]
