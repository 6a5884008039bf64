"""Under scikit-learn's array-API dispatch arrays stay in their library and on their device, with NumPy's values."""

import os

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

from xpsolve import estimators
from xpsolve.testing import assert_close

pytestmark = [
    pytest.mark.of("dictionary_learning"),  # where scikit-learn can check values
    pytest.mark.skipif("SCIPY_ARRAY_API" not in os.environ, reason="scikit-learn before 1.9, or SciPy before 1.14"),
]

X, Y = (v[:438] for v in load_diabetes(return_X_y=True))  # three folds of one length, which JAX compiles once
TWO = np.stack([Y, Y[::-1]], axis=1)
WEIGHTS = np.random.default_rng(0).uniform(size=len(Y))
REGRESSORS = [estimators.Ridge(0.1), estimators.Lasso(0.1), estimators.ElasticNet(0.01, l1_ratio=0.9, tol=1e-12)]
SEARCHES = [
    estimators.RidgeCV([0.01, 0.1, 1.0]),
    estimators.RidgeCV([0.01, 0.1, 1.0], cv=3),
    estimators.LassoCV(alphas=8, cv=KFold(3, shuffle=True, random_state=0)),
    estimators.ElasticNetCV(alphas=[0.001, 0.01], l1_ratio=[0.5, 1.0], cv=3, tol=1e-12),
]
CODERS = [
    estimators.DictionaryLearning(4, alpha=0.01, tol=1e-4, random_state=0),
    estimators.SparseCoder(np.random.default_rng(1).standard_normal((6, 10)), transform_alpha=0.01),
]
NAME = {"ids": lambda model: type(model).__name__}


@pytest.fixture(autouse=True)
def dispatch():
    """For the whole test."""
    with sklearn.config_context(array_api_dispatch=True):
        yield


def like(xp, *hosts):
    return [xp(host) for host in hosts]


def rtol(xp):
    if xp.name == "jax":
        return 1e-5  # there FISTA ends at the tolerance, elsewhere Newton's steps beyond it
    return 1e-8 if xp.dtype == "float64" else 1e-3


def fresh(model, xp):
    """A copy with a tolerance that the dtype can reach, whatever the order of sums."""
    wide = xp.dtype == "float64" or "tol" not in model.get_params()
    return sklearn.clone(model) if wide else sklearn.clone(model).set_params(tol=1e-6)


@pytest.mark.parametrize("model", REGRESSORS, **NAME)
@pytest.mark.parametrize("y", [Y, TWO], ids=["one target", "two targets"])
def test_regressors_stay_where_the_data_is(xp, model, y):
    wanted = sklearn.clone(model).fit(X, y, sample_weight=WEIGHTS)
    A, b, w = like(xp, X, y, WEIGHTS)
    found = fresh(model, xp).fit(A, b, sample_weight=w)
    assert_close(found.coef_, wanted.coef_, rtol=rtol(xp), like=A)
    assert_close(found.intercept_, wanted.intercept_, rtol=rtol(xp), like=A)
    assert_close(found.predict(A), wanted.predict(X), rtol=rtol(xp), like=A)
    assert found.score(A, b, w) == pytest.approx(wanted.score(X, y, WEIGHTS), rel=rtol(xp))


@pytest.mark.parametrize("model", SEARCHES, **NAME)
def test_searches_stay_where_the_data_is(xp, model):
    wanted = sklearn.clone(model).fit(X, Y, sample_weight=WEIGHTS)
    A, b, w = like(xp, X, Y, WEIGHTS)
    found = fresh(model, xp).fit(A, b, sample_weight=w)
    assert found.alpha_ == pytest.approx(wanted.alpha_, rel=1e-5)
    assert_close(found.coef_, wanted.coef_, rtol=max(rtol(xp), 1e-4), like=A)
    assert_close(found.predict(A), wanted.predict(X), rtol=rtol(xp) * 100, like=A)
    assert_close(found.solution_.scores, wanted.solution_.scores, rtol=max(rtol(xp), 1e-3), like=A)


@pytest.mark.parametrize("model", CODERS, **NAME)
def test_codes_stay_where_the_data_is(xp, model):
    wanted = sklearn.clone(model).fit(X)
    (A,) = like(xp, X)
    found = sklearn.clone(model).fit(A)
    codes = found.transform(A)
    assert_close(found.components_, wanted.components_, rtol=2e-3, like=A)
    assert_close(codes, wanted.transform(X), rtol=2e-3, like=A)
    assert_close(found.inverse_transform(codes), wanted.inverse_transform(wanted.transform(X)), rtol=2e-3, like=A)


@pytest.mark.parametrize("model", REGRESSORS, **NAME)
def test_targets_and_weights_follow_the_data(xp, model):
    (A,) = like(xp, X)
    wanted = sklearn.clone(model).fit(X, Y, sample_weight=WEIGHTS)
    found = sklearn.clone(model).fit(A, Y, sample_weight=WEIGHTS)
    assert_close(found.coef_, wanted.coef_, rtol=rtol(xp), like=A)
    back = sklearn.clone(model).fit(X, *like(xp, Y, WEIGHTS))
    assert_close(back.coef_, wanted.coef_, rtol=rtol(xp))


def test_data_of_another_place_is_refused(xp):
    model = estimators.Ridge().fit(X, Y)
    if xp.name in ("numpy", "numpy-readonly"):
        assert model.predict(xp(X)).shape == Y.shape
        return
    with pytest.raises(ValueError, match=r"Ridge\.predict\(\) must use the same namespace"):
        model.predict(xp(X))
