"""Weights and an intercept: against scikit-learn, repeated samples, a column of ones, and sparse matrices."""

import numpy as np
import pytest
import scipy.sparse
import sklearn.linear_model

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.testing import assert_close

SOLVERS = {
    "ridge": lambda A, y, **options: xs.ridge(A, y, 2.0, **options),
    "cg": lambda A, y, **options: xs.ridge(A, y, 2.0, method="cg", **options),
    "path": lambda A, y, **options: xs.ridge(A, y, [0.5, 2.0], **options),
    "lasso": lambda A, y, **options: xs.lasso(A, y, 2.0, tol=1e-12, **options),
    "elastic_net": lambda A, y, **options: xs.elastic_net(A, y, 2.0, 0.3, tol=1e-12, **options),
    "lasso_path": lambda A, y, **options: xs.lasso_path(A, y, [4.0, 2.0], tol=1e-12, **options),
}


def data(rng, n=30, p=5):
    A = rng.standard_normal((n, p)) + 3
    return A, A[:, 0] + 5 + rng.standard_normal(n), rng.random(n) + 0.1


def test_scikit_learn(rng):
    A, y, w = data(rng)
    total = w.sum()
    for mine, model in (
        (xs.ridge(A, y, 2.0, weights=w, intercept=True), sklearn.linear_model.Ridge(2.0)),
        (
            xs.lasso(A, y, 0.1 * total, weights=w, intercept=True, tol=1e-13),
            sklearn.linear_model.Lasso(0.1, tol=1e-12, max_iter=100_000),
        ),
        (
            xs.elastic_net(A, y, 0.1 * total, 0.5, weights=w, intercept=True, tol=1e-13),
            sklearn.linear_model.ElasticNet(0.1, l1_ratio=0.5, tol=1e-12, max_iter=100_000),
        ),
    ):
        model.fit(A, y, sample_weight=w)
        assert_close(mine.x, model.coef_, atol=1e-6)
        assert float(mine.intercept) == pytest.approx(model.intercept_, rel=1e-6)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_weight_repeats_a_sample(rng, name):
    A, y, _ = data(rng)
    w = np.asarray([1.0, 2.0, 0.0] * 10)
    rows = np.repeat(np.arange(30), w.astype(int))
    for intercept in (False, True):
        weighted = SOLVERS[name](A, y, weights=w, intercept=intercept)
        repeated = SOLVERS[name](A[rows], y[rows], intercept=intercept)
        assert_close(weighted.x, repeated.x, atol=1e-7)
        assert (weighted.intercept is None) == (not intercept)
        if intercept:
            assert_close(weighted.intercept, repeated.intercept, atol=1e-6)


@pytest.mark.parametrize("name", SOLVERS)
def test_an_intercept_moves_with_y(rng, name):
    A, y, w = data(rng)
    one, two = (SOLVERS[name](A, z, weights=w, intercept=True) for z in (y, y + 7))
    assert_close(one.x, two.x, atol=1e-8)
    assert_close(two.intercept - one.intercept, np.full(np.shape(one.intercept), 7.0), rtol=1e-8)


@pytest.mark.parametrize("name", ["cg", "lasso", "elastic_net", "lasso_path"])
def test_sparse_matrices_and_operators_stay_what_they_are(rng, name):
    A, y, w = data(rng)
    A = A * (rng.random(A.shape) < 0.5)
    wanted = SOLVERS[name](A, y, weights=w, intercept=True)
    for B in (scipy.sparse.csr_array(A), xs.operators.Dense(A) * 1.0):
        found = SOLVERS[name](B, y, weights=w, intercept=True)
        assert_close(found.x, wanted.x, atol=1e-6)
        assert_close(found.intercept, wanted.intercept, atol=1e-6)


def test_many_columns(rng):
    A, y, w = data(rng)
    Y = np.stack([y, 2 * y + 1], axis=1)
    for lam in (2.0, [0.5, 2.0]):
        both = xs.ridge(A, Y, lam, weights=w, intercept=True)
        for j in range(2):
            one = xs.ridge(A, Y[:, j], lam, weights=w, intercept=True)
            assert_close(both.x[..., j], one.x)
            assert_close(both.intercept[..., j], one.intercept)


def test_derivatives(rng):
    A, y, w = data(rng, 12, 3)
    d, h = rng.standard_normal(12), 1e-6

    def prediction(w):
        solution = xs.ridge(A, y, 2.0, weights=w, intercept=True)
        return solution.x @ A[0] + solution.intercept

    wanted = (prediction(w + h * d) - prediction(w - h * d)) / (2 * h)
    assert float(autodiff.grad(prediction)(w) @ d) == pytest.approx(float(wanted), rel=1e-6)


@pytest.mark.of("ridge")
def test_everywhere(xp, rng):
    A, y, w = data(rng, 12, 3)
    for solve in (SOLVERS["ridge"], lambda A, y, **options: xs.lasso(A, y, 2.0, tol=1e-6, **options)):
        found = solve(xp(A), xp(y), weights=xp(w), intercept=True)
        wanted = solve(A, y, weights=w, intercept=True)
        assert_close(found.x, wanted.x, like=xp(y), atol=1e-2 if xp.dtype == "float32" else 1e-4)
        assert_close(found.intercept, wanted.intercept, like=xp(y), atol=1e-1 if xp.dtype == "float32" else 1e-3)


def test_choices_are_those_of_scikit_learn():
    data = xs.problems.diabetes()
    lams = np.logspace(-3, 3, 25)
    model = sklearn.linear_model.RidgeCV(lams).fit(data.A, data.y)
    found = xs.ridge_cv(data.A, data.y, lams, method="loo", intercept=True)
    assert float(found.lam) == pytest.approx(model.alpha_)
    assert float(found.intercept) == pytest.approx(model.intercept_)
    found = xs.lasso_cv(data.A, data.y, intercept=True, n_lams=30)
    grid = np.asarray(found.lams) / 442
    model = sklearn.linear_model.LassoCV(alphas=grid, cv=10, tol=1e-7, max_iter=100_000).fit(data.A, data.y)
    assert float(found.lam) / 442 == pytest.approx(model.alpha_)
    assert_close(found.x, model.coef_, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"weights": np.ones(3)}, ValueError, "weights: expected 30 rows"),
        ({"weights": -np.ones(30)}, ValueError, "weights: expected finite numbers >= 0"),
        ({"weights": np.zeros(30)}, ValueError, "some above 0"),
        ({"weights": np.ones((30, 1))}, ValueError, r"weights: expected shape \(n,\)"),
        ({"intercept": 1.0}, TypeError, "intercept: expected True or False"),
    ],
)
def test_bad_input(rng, change, error, words):
    A, y, _ = data(rng)
    for solve in SOLVERS.values():
        with pytest.raises(error, match=words):
            solve(A, y, **change)


@pytest.mark.parametrize("options", [{}, {"intercept": True}, {"weights": np.linspace(0.5, 1.5, 30)}])
def test_files(rng, tmp_path, options):
    A, y, _ = data(rng)
    calls = {**SOLVERS, "ridge_cv": lambda A, y, **options: xs.ridge_cv(A, y, [0.1, 1.0, 10.0], **options)}
    calls["folds"] = lambda A, y, **options: xs.ridge_cv(A, y, [0.1, 1.0, 10.0], method="kfold", folds=3, **options)
    bad = A.copy()
    bad[3, 2] = np.nan
    for name, X in (("good", A), ("bad", bad)):
        np.save(tmp_path / f"{name}.npy", X)
    good, bad = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("good", "bad"))
    for solve in calls.values():
        assert_close(solve(good, y, **options).x, solve(A, y, **options).x, rtol=1e-9)
        with pytest.raises(ValueError, match=r"A: expected finite numbers, got \d+ NaN"):
            solve(bad, y, **options)


@pytest.mark.parametrize("intercept", [False, True])
def test_unknown_lengths_are_said(rng, intercept):
    dask_array = pytest.importorskip("dask.array")
    A, y, _ = data(rng)
    A_ = dask_array.from_array(A, chunks=(7, 5))
    A_ = A_[A_[:, 0] > -100]
    for solve in SOLVERS.values():
        with pytest.raises(ValueError, match=r"^A: .* known shape.*compute_chunk_sizes"):
            solve(A_, dask_array.from_array(y), intercept=intercept)
    assert_close(
        xs.ridge(A_.compute_chunk_sizes(), dask_array.from_array(y), 2.0, intercept=intercept).x.compute(),
        xs.ridge(A, y, 2.0, intercept=intercept).x,
        rtol=1e-9,
    )
