"""scikit-learn's own checks of estimators, those of arrays of other libraries included, without exceptions of ours."""

import numpy as np
import pytest
import sklearn.decomposition
from sklearn.utils._test_common.instance_generator import PER_ESTIMATOR_CHECK_PARAMS
from sklearn.utils.estimator_checks import parametrize_with_checks

from xpsolve import estimators

RNG = np.random.default_rng(0)


def _dictionaries():
    """For each check a dictionary with as many columns as its data has, as scikit-learn gives to its own coder.

    They are lists, since the checks want arrays among an estimator's attributes to be of the library of X.
    """
    given = {
        check: {"dictionary": np.asarray(parameters["dictionary"]).tolist()}
        for check, parameters in PER_ESTIMATOR_CHECK_PARAMS[sklearn.decomposition.SparseCoder].items()
    }
    of_ten = {"dictionary": RNG.standard_normal((5, 10)).tolist()}
    return {**given, "check_array_api_mixed_inputs": of_ten, "check_array_api_same_namespace": of_ten}


PER_ESTIMATOR_CHECK_PARAMS[estimators.SparseCoder] = _dictionaries()

NEEDED = {"SparseCoder": {"dictionary": RNG.standard_normal((4, 3)).tolist()}}
CHECKED = [getattr(estimators, name)(**NEEDED.get(name, {})) for name in estimators.__all__]


@parametrize_with_checks(CHECKED)
@pytest.mark.filterwarnings("default")
def test_scikit_learns_checks(estimator, check):
    check(estimator)
