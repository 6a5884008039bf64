"""Logistic regression: equal to scikit-learn's, two and more classes, every penalty, weights, on every library."""

import os

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from xpsolve.estimators import LogisticRegression
from xpsolve.testing import assert_close

X2, Y2 = load_breast_cancer(return_X_y=True)
X3, Y3 = load_iris(return_X_y=True)
X2, X3 = scale(X2), scale(X3)
DATA = {"two classes": (X2, Y2), "three classes": (X3, Y3)}
RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.integers(0, 4, len(y)).astype(float) for name, (_, y) in DATA.items()}

NAMES_NORMS = linear_model.LogisticRegression().penalty != "deprecated"
as_scikit_learn = pytest.mark.skipif(NAMES_NORMS, reason="before scikit-learn 1.8 other parameters choose the norm")


def theirs(l1_ratio, C, **options):
    """scikit-learn's; for the ℓ¹ norm and for both norms the only one of its solvers that does not penalise c."""
    if l1_ratio == 0:
        return linear_model.LogisticRegression(C=C, solver="newton-cg", tol=1e-12, max_iter=10_000, **options)
    slow = {"solver": "saga", "tol": 1e-9, "max_iter": 100_000, "random_state": 0}
    return linear_model.LogisticRegression(C=C, l1_ratio=l1_ratio, **slow, **options)


@as_scikit_learn
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}, {"fit_intercept": False}], ids=str)
def test_as_scikit_learn(name, l1_ratio, options):
    (X, y), w = DATA[name], WEIGHTS[name]
    ours = LogisticRegression(C=0.1, l1_ratio=l1_ratio, tol=1e-10, **options).fit(X, y, sample_weight=w)
    wanted = theirs(l1_ratio, 0.1, **options).fit(X, y, sample_weight=w)
    assert ours.solution_.converged
    close = {"rtol": 0, "atol": 1e-6 if l1_ratio == 0 else 1e-4}
    assert np.allclose(ours.coef_, wanted.coef_, **close)
    assert np.allclose(ours.predict_proba(X), wanted.predict_proba(X), **close)
    assert ours.score(X, y) == pytest.approx(wanted.score(X, y), abs=1 / len(y))
    if len(ours.classes_) == 2:
        assert np.allclose(ours.decision_function(X), wanted.decision_function(X), rtol=0, atol=10 * close["atol"])
    else:
        assert abs(np.sum(ours.intercept_)) < 1e-12


@as_scikit_learn
def test_weighted_lasso_as_liblinear():
    """liblinear penalises c, so that there is none here."""
    w = WEIGHTS["two classes"]
    options = {"C": 0.5, "l1_ratio": 1.0, "fit_intercept": False}
    ours = LogisticRegression(tol=1e-12, **options).fit(X2, Y2, sample_weight=w)
    model = linear_model.LogisticRegression(solver="liblinear", tol=1e-10, max_iter=100_000, **options)
    wanted = model.fit(X2, Y2, sample_weight=w)
    assert np.allclose(ours.coef_, wanted.coef_, rtol=0, atol=1e-5)
    assert np.array_equal(ours.coef_ != 0, np.abs(wanted.coef_) > 1e-8)


@pytest.mark.parametrize("name", DATA)
def test_weights_of_classes_by_label(name):
    X, y = DATA[name]
    labels = np.asarray(["malignant", "benign", "other"])[y]
    given = {"malignant": 3.0, "other": 0.5}
    ours = LogisticRegression(class_weight=given).fit(X, labels)
    w = np.asarray([given.get(label, 1.0) for label in labels])
    wanted = LogisticRegression().fit(X, labels, sample_weight=w)
    assert np.allclose(ours.coef_, wanted.coef_, rtol=1e-7)
    assert set(ours.predict(X)) <= set(labels)


def test_probabilities_of_far_samples():
    model = LogisticRegression().fit(X2, Y2)
    far = 1e4 * X2[:5]
    logs = model.predict_log_proba(far)
    assert np.all(np.isfinite(logs))
    assert np.allclose(np.min(logs, axis=1), -np.abs(model.decision_function(far)))
    assert np.allclose(np.exp(logs), model.predict_proba(far))


def test_sparse_data_stay_sparse():
    X = np.where(np.abs(X2) > 0.5, X2, 0)
    for l1_ratio in (0.0, 1.0):
        dense = LogisticRegression(C=0.1, l1_ratio=l1_ratio, tol=1e-10).fit(X, Y2)
        sparse = LogisticRegression(C=0.1, l1_ratio=l1_ratio, tol=1e-10).fit(scipy.sparse.csr_array(X), Y2)
        assert np.allclose(sparse.coef_, dense.coef_, rtol=0, atol=1e-5)
        assert np.allclose(sparse.predict_proba(scipy.sparse.csc_array(X)), dense.predict_proba(X), rtol=0, atol=1e-5)


def test_without_penalty_separated_classes_have_no_answer():
    X, y = np.asarray([[-2.0], [-1.0], [1.0], [2.0]]), np.asarray([0, 0, 1, 1])
    with pytest.warns(ConvergenceWarning, match=r"no minimiser.*lam is 1/C"):
        LogisticRegression(C=float("inf")).fit(X, y)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"C": 0.0}, "C"),
        ({"C": "1"}, "C"),
        ({"l1_ratio": 2.0}, "l1_ratio"),
        ({"solver": "lbfgs"}, "solver"),
        ({"solver": "cg", "l1_ratio": 1.0}, "solver"),
        ({"class_weight": "even"}, "class_weight"),
        ({"tol": -1.0}, "tol"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_are_named(options, name):
    with pytest.raises((ValueError, TypeError), match=name):
        LogisticRegression(**options).fit(X3, Y3)


@pytest.mark.of("dictionary_learning")
@pytest.mark.skipif("SCIPY_ARRAY_API" not in os.environ, reason="scikit-learn before 1.9, or SciPy before 1.14")
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("balanced", [None, "balanced"])
def test_it_stays_where_the_data_is(xp, name, l1_ratio, balanced):
    (X, y), w = DATA[name], WEIGHTS[name]
    if xp.flags:
        pytest.skip("scikit-learn finds the classes by unique_inverse, whose shape depends on the data")
    model = LogisticRegression(C=0.1, l1_ratio=l1_ratio, class_weight=balanced)
    wanted = sklearn.clone(model).fit(X, y, sample_weight=w)
    with sklearn.config_context(array_api_dispatch=True):
        A, labels = xp(X), xp(y, dtype="int64")
        found = sklearn.clone(model).fit(A, labels, sample_weight=xp(w))
        rtol = 1e-4 if xp.dtype == "float64" else 1e-2
        assert_close(found.coef_, wanted.coef_, rtol=5 * rtol, like=A)
        assert_close(found.intercept_, wanted.intercept_, rtol=5 * rtol, like=A)
        assert_close(found.predict_proba(A), wanted.predict_proba(X), rtol=rtol, like=A)
        assert_close(found.predict_log_proba(A), wanted.predict_log_proba(X), rtol=rtol, like=A)
        assert_close(found.predict(A), wanted.predict(X), rtol=0, like=labels)
        assert found.score(A, labels) == pytest.approx(wanted.score(X, y), abs=1e-6)


@pytest.mark.of("dictionary_learning")
@pytest.mark.skipif("SCIPY_ARRAY_API" not in os.environ, reason="scikit-learn before 1.9, or SciPy before 1.14")
def test_labels_may_be_strings_where_the_data_is_not_of_numpy(xp):
    labels = np.asarray(["no", "yes"])[Y2]
    with sklearn.config_context(array_api_dispatch=True):
        model = LogisticRegression().fit(xp(X2), labels)
        assert_close(model.coef_, LogisticRegression().fit(X2, Y2).coef_, rtol=1e-2, like=xp(X2))
        assert np.mean(model.predict(xp(X2)) == labels) > 0.98
        assert model.score(xp(X2), labels) > 0.98
