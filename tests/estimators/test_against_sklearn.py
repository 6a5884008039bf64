"""The same coefficients and predictions as scikit-learn's own estimators, on its data sets."""

import numpy as np
import pandas
import pytest
import scipy.sparse
import sklearn
from sklearn import decomposition, linear_model
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold

from xpsolve import estimators

DIABETES = load_diabetes(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
RNG = np.random.default_rng(0)


def scaled(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def same(ours, theirs, X, *, rtol=1e-6):
    size = np.max(np.abs(theirs.coef_))
    assert np.allclose(ours.coef_, theirs.coef_, rtol=0, atol=rtol * size)
    assert np.allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol * size)
    assert np.allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=rtol * np.max(np.abs(theirs.predict(X))))


PAIRS = [
    (estimators.Ridge(0.1), linear_model.Ridge(0.1, solver="svd")),
    (estimators.Ridge(10, solver="woodbury"), linear_model.Ridge(10, solver="svd")),
    (estimators.Lasso(0.1, tol=1e-12), linear_model.Lasso(0.1, tol=1e-12, max_iter=100_000)),
    (
        estimators.ElasticNet(0.01, l1_ratio=0.7, tol=1e-12),
        linear_model.ElasticNet(0.01, l1_ratio=0.7, tol=1e-12, max_iter=100_000),
    ),
]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("fit_intercept", [False, True], ids=["", "intercept"])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda model: str(model)[:30])
def test_regressors(ours, theirs, fit_intercept, weighted):
    X, y = DIABETES
    w = RNG.uniform(size=len(y)) if weighted else None
    models = [
        sklearn.clone(m).set_params(fit_intercept=fit_intercept).fit(X, y, sample_weight=w) for m in (ours, theirs)
    ]
    same(*models, X)
    assert models[0].score(X, y, w) == pytest.approx(models[1].score(X, y, w), rel=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda model: str(model)[:30])
def test_many_targets(ours, theirs):
    X, y = DIABETES
    Y = np.stack([y, y**2 / 100, RNG.standard_normal(len(y))], axis=1)
    ours, theirs = (sklearn.clone(m).fit(X, Y) for m in (ours, theirs))
    same(ours, theirs, X, rtol=1e-5)
    assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y), rel=1e-6)


def test_a_penalty_for_each_target():
    X, y = DIABETES
    Y, alphas = np.stack([y, -y[::-1]], axis=1), [0.1, 10.0]
    same(
        estimators.Ridge(alphas).fit(X, Y), linear_model.Ridge(np.asarray(alphas), solver="svd").fit(X, Y), X, rtol=1e-8
    )
    for alphas, y in (([0.1, 1.0], DIABETES[1]), ([0.1], Y)):
        with pytest.raises(ValueError, match=r"^alpha: expected a number or one for each target"):
            estimators.Ridge(alphas).fit(X, y)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda model: str(model)[:30])
@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_data(ours, theirs, form):
    if getattr(ours, "solver", "") == "woodbury":
        ours = sklearn.clone(ours).set_params(solver="auto")
    X, y = DIABETES
    X = np.where(np.abs(X) > 0.05, X, 0)
    same(sklearn.clone(ours).fit(form(X), y), sklearn.clone(theirs).fit(X, y), form(X), rtol=1e-5)


def test_regressors_of_other_units():
    """Data of very different size, where coefficients are of any size."""
    X, y = CANCER
    same(estimators.Ridge(1.0).fit(X, y), linear_model.Ridge(1.0, solver="svd").fit(X, y), X, rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_codes(alpha):
    X = scaled(CANCER[0])[:20]
    D = RNG.standard_normal((12, X.shape[1]))
    theirs = decomposition.sparse_encode(X, D, algorithm="lasso_lars", alpha=alpha, max_iter=10_000)
    ours = estimators.SparseCoder(D, transform_alpha=alpha, transform_tol=1e-12).fit(X)
    assert np.allclose(ours.transform(X), theirs, rtol=0, atol=1e-5)
    assert np.allclose(ours.inverse_transform(theirs), theirs @ D)


def test_a_dictionary_is_no_worse_than_that_of_scikit_learn():
    X = scaled(CANCER[0])[:60]

    def objective(model):
        Z = decomposition.sparse_encode(X, model.components_, algorithm="lasso_cd", alpha=1.0, max_iter=10_000)
        return 0.5 * np.sum((X - Z @ model.components_) ** 2) + np.sum(np.abs(Z))

    start = X[:8] / np.linalg.norm(X[:8], axis=1, keepdims=True)
    ours = estimators.DictionaryLearning(8, alpha=1.0, dict_init=start, tol=1e-4).fit(X)
    with sklearn.config_context(assume_finite=True):
        theirs = decomposition.DictionaryLearning(
            8, alpha=1.0, dict_init=start, code_init=np.zeros((60, 8)), fit_algorithm="cd", max_iter=200, random_state=0
        ).fit(X)
    assert np.allclose(np.linalg.norm(ours.components_, axis=1), 1)
    assert objective(ours) <= 1.01 * objective(theirs)


# --- the choice of a parameter -----------------------------------------------------------------------

ALPHAS = np.geomspace(1e-3, 10, 20)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("cv", [5, 10, KFold(4, shuffle=True, random_state=1)], ids=str)
@pytest.mark.parametrize("fit_intercept", [False, True], ids=["", "intercept"])
def test_lasso_cv(weighted, cv, fit_intercept):
    (X, y), options = DIABETES, {"cv": cv, "fit_intercept": fit_intercept}
    w = RNG.uniform(size=len(y)) if weighted else None
    ours = estimators.LassoCV(tol=1e-10, alphas=50, **options).fit(X, y, sample_weight=w)
    largest = linear_model.LassoCV(tol=1.0, **options).fit(X, y, sample_weight=w).alphas_[0]
    assert np.allclose(ours.alphas_, np.geomspace(largest, 1e-3 * largest, 50), rtol=1e-10)
    theirs = linear_model.LassoCV(tol=1e-8, alphas=ours.alphas_, max_iter=100_000, **options).fit(X, y, sample_weight=w)
    assert np.allclose(ours.solution_.scores, np.mean(theirs.mse_path_, axis=1), rtol=1e-3)
    assert ours.alpha_ == pytest.approx(theirs.alpha_, rel=1e-10)
    same(ours, theirs, X, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_ridge_cv(weighted):
    X, y = DIABETES
    w = RNG.uniform(size=len(y)) if weighted else None
    ours = estimators.RidgeCV(ALPHAS).fit(X, y, sample_weight=w)
    theirs = linear_model.RidgeCV(ALPHAS).fit(X, y, sample_weight=w)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    same(ours, theirs, X, rtol=1e-8)


def test_ridge_cv_of_each_target():
    X, y = DIABETES
    Y = np.stack([y, RNG.standard_normal(len(y)), X[:, 0]], axis=1)
    ours = estimators.RidgeCV(ALPHAS, alpha_per_target=True).fit(X, Y)
    theirs = linear_model.RidgeCV(ALPHAS, alpha_per_target=True).fit(X, Y)
    assert np.allclose(ours.alpha_, theirs.alpha_)
    same(ours, theirs, X, rtol=1e-8)


def test_elastic_net_cv():
    (X, y), options = DIABETES, {"l1_ratio": [0.3, 0.9], "alphas": np.geomspace(1e-4, 1, 12), "cv": 5}
    ours = estimators.ElasticNetCV(tol=1e-10, **options).fit(X, y)
    theirs = linear_model.ElasticNetCV(tol=1e-8, max_iter=100_000, **options).fit(X, y)
    assert ours.l1_ratio_ == pytest.approx(theirs.l1_ratio_)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    same(ours, theirs, X, rtol=1e-4)


# --- conventions -----------------------------------------------------------------------------------


def test_names_of_a_data_frame_are_kept():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = estimators.Lasso(0.1).fit(X, y, sample_weight=pandas.Series(np.ones(len(y))))
    assert list(model.feature_names_in_) == list(X.columns)
    assert model.predict(X).shape == (len(y),)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[list(X.columns[::-1])])
    coder = estimators.DictionaryLearning(3, alpha=0.01, tol=1e-3).set_output(transform="pandas").fit(X)
    assert list(coder.transform(X[:2]).columns) == ["dictionarylearning0", "dictionarylearning1", "dictionarylearning2"]


def test_an_answer_that_is_not_certified_warns_as_scikit_learn_does():
    X, y = DIABETES
    with pytest.warns(ConvergenceWarning, match=r"Lasso: Stopped at .* lam is alpha times") as caught:
        model = estimators.Lasso(1e-3, max_iter=1, solver="ista").fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert not model.solution_.converged


def test_certificates_are_kept():
    model = estimators.Lasso(0.1).fit(*DIABETES)
    assert model.solution_.converged
    assert model.solution_.certificate.value <= 1e-6


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (estimators.Ridge(-1.0), "alpha"),
        (estimators.Ridge("1"), "alpha"),
        (estimators.Ridge(solver="cholesky"), "solver"),
        (estimators.Ridge(fit_intercept=1), "intercept"),
        (estimators.Lasso(float("nan")), "alpha"),
        (estimators.Lasso(solver="lars"), "solver"),
        (estimators.Lasso(tol=-1.0), "tol"),
        (estimators.ElasticNet(l1_ratio=1.5), "l1_ratio"),
        (estimators.DictionaryLearning(0), "n_atoms|n_components"),
        (estimators.DictionaryLearning(alpha=-1.0), "alpha"),
        (estimators.SparseCoder(np.ones((2, 3))), "dictionary"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_are_named(model, name):
    with pytest.raises((ValueError, TypeError), match=name):
        model.fit(*DIABETES)
