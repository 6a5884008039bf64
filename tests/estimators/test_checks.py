"""scikit-learn's own checks of estimators, those of arrays of other libraries included, without exceptions of ours."""

import os

import numpy as np
import pytest
from sklearn.utils._test_common.instance_generator import PER_ESTIMATOR_CHECK_PARAMS
from sklearn.utils.estimator_checks import parametrize_with_checks

from xpsolve import estimators

FEATURES = {  # of the data of a check, where it is not 3
    1: "fit2d_1feature",
    2: "fit_idempotent estimators_overwrite_params estimators_fit_returns_self readonly_memmap_input "
    "fit_check_is_fitted n_features_in",
    4: "n_features_in_after_fitting positive_only_tag_during_fit",
    5: "estimators_dtypes",
    10: "array_api_input array_api_mixed_inputs array_api_same_namespace dtype_object fit2d_1sample",
}


def dictionary(features):
    """A list, since the checks want arrays among an estimator's attributes to be of the library of X."""
    return {"dictionary": np.random.default_rng(0).standard_normal((4, features)).tolist()}


# A coder's dictionary has as many columns as the data of a check, as scikit-learn has it for its own coder.
PER_ESTIMATOR_CHECK_PARAMS[estimators.SparseCoder] = {
    f"check_{name}": dictionary(features) for features, names in FEATURES.items() for name in names.split()
}
# of a search, ten strengths and not a hundred: the checks fit it hundreds of times
NEEDED = {"SparseCoder": dictionary(3), "LassoCV": {"alphas": 10}, "ElasticNetCV": {"alphas": 10}}


@parametrize_with_checks([getattr(estimators, name)(**NEEDED.get(name, {})) for name in estimators.__all__])
@pytest.mark.filterwarnings("default")
def test_scikit_learns_checks(estimator, check):
    if "array_api" in str(check) and "SCIPY_ARRAY_API" not in os.environ:
        pytest.skip("scikit-learn before 1.9, or SciPy before 1.14")
    check(estimator)
