"""The choice of λ: against brute force, scikit-learn, and the size of the noise."""

import numpy as np
import pytest
import sklearn.linear_model

import xpsolve as xs
from xpsolve.testing import assert_close, check_solution

LAMS = np.logspace(-2, 2, 7)


def data(rng, n, p, k=0):
    A = rng.standard_normal((n, p))
    X = rng.standard_normal((p, k) if k else p)
    return A, A @ X + rng.standard_normal((n, k) if k else n)


@pytest.mark.parametrize(("n", "p", "k"), [(20, 6, 0), (12, 30, 0), (15, 15, 0), (20, 6, 3), (9, 30, 2)])
def test_one_factor_gives_what_brute_force_gives(rng, n, p, k):
    A, y = data(rng, n, p, k)
    Y = y if k else y[:, None]
    left_out, generalised = [], []
    for lam in LAMS:
        kept = [np.arange(n) != i for i in range(n)]
        errors = [Y[i] - A[i] @ xs.ridge(A[rows], Y[rows], lam).x for i, rows in enumerate(kept)]
        left_out.append(np.mean(np.square(errors)))
        H = A @ np.linalg.solve(A.T @ A + lam * np.eye(p), A.T)
        generalised.append(n * np.mean(np.sum((Y - H @ Y) ** 2, axis=0)) / (n - np.trace(H)) ** 2)
    loo, gcv = (xs.ridge_cv(A, y, LAMS, method=method) for method in ("loo", "gcv"))
    assert_close(loo.scores, left_out, rtol=1e-10)
    assert_close(gcv.scores, generalised, rtol=1e-10)
    for found in (loo, gcv):
        assert float(found.lam) == LAMS[np.argmin(np.asarray(found.scores))]
        assert_close(found.x, xs.ridge(A, y, float(found.lam)).x)
        assert found.converged


@pytest.mark.parametrize("method", ["gcv", "loo"])
def test_no_lam_is_a_candidate_where_it_has_no_score(rng, method):
    A, y = data(rng, 10, 4)
    A[:, 3] = 0
    found = xs.ridge_cv(A, y, [0.0, 1.0, 2.0], method=method)
    assert float(found.lam) in (1.0, 2.0)


def test_folds_are_those_of_scikit_learn(rng):
    A, y = data(rng, 23, 5)
    found = xs.ridge_cv(A, y, LAMS, method="kfold", folds=4)
    scores = []
    for lam in LAMS:
        errors = []
        for test in np.array_split(np.arange(23), 4):
            train = np.setdiff1d(np.arange(23), test)
            x = xs.ridge(A[train], y[train], lam * len(train) / 23).x
            errors.append(np.mean((y[test] - A[test] @ x) ** 2))
        scores.append(np.mean(errors))
    assert_close(found.scores, scores)
    chosen = sklearn.linear_model.RidgeCV(LAMS, fit_intercept=False).fit(A, y).alpha_
    assert float(xs.ridge_cv(A, y, LAMS, method="loo").lam) == chosen


def test_lasso_cv_is_that_of_scikit_learn(rng):
    A = rng.standard_normal((40, 15))
    y = A[:, :3] @ np.ones(3) + 0.5 * rng.standard_normal(40)
    found = xs.lasso_cv(A, y, folds=5, n_lams=30)
    model = sklearn.linear_model.LassoCV(
        alphas=np.asarray(found.lams) / 40, fit_intercept=False, cv=5, tol=1e-9, max_iter=100_000
    ).fit(A, y)
    assert float(found.lam) / 40 == pytest.approx(model.alpha_)
    assert_close(found.scores, model.mse_path_.mean(axis=1), rtol=1e-3)
    assert_close(found.x, model.coef_, atol=1e-3)
    simpler = xs.lasso_cv(A, y, folds=5, n_lams=30, rule="one standard error")
    assert float(simpler.lam) > float(found.lam)
    assert np.sum(np.asarray(simpler.x) != 0) <= np.sum(np.asarray(found.x) != 0)


@pytest.mark.parametrize("penalty", ["ridge", "lasso"])
@pytest.mark.parametrize(("n", "p"), [(30, 10), (10, 30)])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("unit", [1.0, 1e-100, 1e100])
def test_the_residual_is_the_noise(rng, penalty, n, p, part, unit):
    A, y = data(rng, n, p)
    least = np.linalg.norm(y - A @ np.linalg.lstsq(A, y, rcond=None)[0])
    noise = least + part * (np.linalg.norm(y) - least)
    found = xs.discrepancy(A, y * unit, noise * unit, penalty=penalty)
    assert np.linalg.norm(A @ found.x - y * unit) == pytest.approx(noise * unit, rel=1e-8)
    assert found.converged
    assert len(found.lams) == len(found.scores) <= 40


@pytest.mark.parametrize("penalty", ["ridge", "lasso"])
def test_noise_that_no_lam_has(rng, penalty):
    A, y = data(rng, 30, 5)
    for noise in (1e-3, 2 * float(np.linalg.norm(y))):
        with pytest.raises(ValueError, match="noise: expected a number between"):
            xs.discrepancy(A, y, noise, penalty=penalty)


@pytest.mark.of("ridge_cv")
@pytest.mark.parametrize("method", ["gcv", "loo", "kfold"])
def test_ridge_cv_everywhere(xp, rng, method):
    A, y = data(rng, 12, 4)
    found = xs.ridge_cv(xp(A), xp(y), xp(LAMS), method=method, folds=3)
    wanted = xs.ridge_cv(A, y, LAMS, method=method, folds=3)
    check_solution(found, like=xp(y))
    rtol = 1e-3 if xp.dtype == "float32" else 1e-9
    assert_close(found.scores, wanted.scores, like=xp(y), rtol=rtol)
    assert_close(found.lam, wanted.lam, like=xp(y), rtol=1e-6)


@pytest.mark.of("lasso_cv")
def test_the_lasso_everywhere(xp, rng):
    A, y = data(rng, 12, 4)
    found, wanted = (xs.lasso_cv(a, b, folds=3, n_lams=5) for a, b in ((xp(A), xp(y)), (A, y)))
    assert_close(found.scores, wanted.scores, like=xp(y), rtol=1e-2)
    noise = 0.5 * float(np.linalg.norm(y))
    near = [xs.discrepancy(a, b, noise, penalty="lasso").lam for a, b in ((xp(A), xp(y)), (A, y))]
    assert_close(near[0], near[1], like=xp(y), rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda A, y: xs.ridge_cv(A, y, 1.0), ValueError, "lams: expected a list or 1-D array"),
        (lambda A, y: xs.ridge_cv(A, y, [1.0, -1.0]), ValueError, "lams: expected a finite number >= 0"),
        (lambda A, y: xs.ridge_cv(A, y, [1.0], method="cp"), ValueError, "method: expected one of"),
        (lambda A, y: xs.ridge_cv(A, y, [1.0], method="kfold", folds=1), ValueError, "folds: expected an integer"),
        (lambda A, y: xs.ridge_cv(A, y[:3], [1.0]), ValueError, "y: expected 10 rows"),
        (lambda A, y: xs.ridge_cv(A * np.nan, y, [1.0]), ValueError, "A: expected finite numbers"),
        (lambda A, y: xs.lasso_cv(A, y[:, None]), ValueError, r"y: expected shape \(n,\)"),
        (lambda A, y: xs.lasso_cv(A, y, rule="two"), ValueError, "rule: expected one of"),
        (lambda A, y: xs.discrepancy(A, y, -1.0), ValueError, "noise: expected a positive number"),
        (lambda A, y: xs.discrepancy(A, y, 1.0, penalty="l0"), ValueError, "penalty: expected one of"),
        (lambda A, y: xs.discrepancy(A.tolist(), y, 1.0), TypeError, "A: expected an array"),
    ],
)
def test_bad_input(rng, call, error, words):
    with pytest.raises(error, match=words):
        call(*data(rng, 10, 3))
