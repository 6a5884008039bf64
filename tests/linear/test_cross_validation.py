"""The choice of λ: against brute force, scikit-learn, and the size of the noise."""

import numpy as np
import pytest
import sklearn.linear_model

import xpsolve as xs
from xpsolve.linear._folds import Folds
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


def solved_exactly(M, B):
    """M⁻¹B for a definite M, by elimination in the precision of both."""
    T = np.concatenate([M, B], axis=1)
    for i in range(len(M)):
        row = T[i] / T[i, i]
        T -= np.outer(T[:, i], row)
        T[i] = row
    return T[:, len(M) :]


def weighted(rng, n):
    weights = rng.uniform(0.2, 3.0, n)
    weights[n // 3] = 0.0
    return weights


@pytest.mark.parametrize(("n", "p", "k"), [(20, 6, 0), (12, 30, 0), (15, 15, 0), (14, 13, 0), (20, 6, 3), (9, 30, 2)])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("decay", [0.0, 4.0])  # of the singular values, in powers of ten
@pytest.mark.parametrize("per_target", [False, True])
def test_weights_and_an_intercept_as_brute_force_has_them(rng, n, p, k, intercept, decay, per_target):
    A, y = data(rng, n, p, k)
    A = A * np.logspace(0, -decay, p)
    Y, w = y if k else y[:, None], weighted(rng, n)
    options = {"weights": w, "intercept": intercept, "method": "svd"}
    rows = np.flatnonzero(w > 0)
    squares, generalised = np.zeros((len(LAMS), n, Y.shape[1])), []
    B = np.hstack([A, np.ones((n, int(intercept)))]).astype(np.longdouble)
    for i, lam in enumerate(LAMS):
        for j in rows:
            kept = np.arange(n) != j
            fit = xs.ridge(A[kept], Y[kept], lam, **{**options, "weights": w[kept]})
            squares[i, j] = (Y[j] - A[j] @ fit.x - (fit.intercept if intercept else 0)) ** 2
        penalty = lam * np.eye(B.shape[1])
        if intercept:
            penalty[p, p] = 0
        H = B @ solved_exactly(B.T @ (w[:, None] * B) + penalty, B.T * w)
        r = w @ (Y - H @ Y) ** 2 / w.sum()
        generalised.append(r / (1 - np.trace(H) / len(rows)) ** 2)
    single = per_target and k
    left_out = np.sum(squares * w[:, None], axis=1) / w.sum()
    loo, gcv = (
        xs.ridge_cv(A, y, LAMS, weights=w, intercept=intercept, per_target=per_target, method=method)
        for method in ("loo", "gcv")
    )
    assert_close(loo.scores, left_out if single else left_out.mean(axis=1), rtol=1e-10)
    assert_close(gcv.scores, generalised if single else np.mean(generalised, axis=1), rtol=1e-10)
    deviation = squares - (left_out[:, None, :] if single else left_out.mean(axis=1)[:, None, None])
    variance = np.sum((w[:, None] * deviation) ** 2, axis=1) / w.sum() ** 2
    assert_close(loo.spread, np.sqrt(variance if single else variance.sum(axis=1) / Y.shape[1] ** 2), rtol=1e-8)
    for found in (loo, gcv):
        assert_close(found.lam, LAMS[np.argmin(found.scores, axis=0)])
        lam = found.lam[None, :] if single else found.lam
        again = xs.ridge(A, y, lam, weights=w, intercept=intercept)
        assert_close(found.x, again.x, rtol=1e-7)
        assert not intercept or np.allclose(found.intercept, again.intercept)
        assert found.converged


@pytest.mark.parametrize("method", ["gcv", "loo", "kfold"])
@pytest.mark.parametrize(("n", "p"), [(30, 6), (12, 30)])
def test_equal_weights_are_none_and_a_row_without_weight_is_not_there(rng, n, p, method):
    A, y = data(rng, n, p)
    plain = xs.ridge_cv(A, y, LAMS, method=method, folds=3)
    assert_close(xs.ridge_cv(A, y, LAMS, weights=np.ones(n), method=method, folds=3).scores, plain.scores)
    if method != "kfold":
        B, z = np.vstack([A, 1e3 * A[:2]]), np.concatenate([y, [1e6, -1e6]])
        w = np.concatenate([np.ones(n), np.zeros(2)])
        found = xs.ridge_cv(B, z, LAMS, weights=w, method=method)
        assert_close(found.scores, plain.scores, rtol=1e-9)
        assert_close(found.x, plain.x, rtol=1e-9)


def test_the_factorisation_follows_the_smallest_lam(rng):
    A, y = data(rng, 30, 8)
    A = A * np.logspace(0, -7, 8)
    assert xs.ridge_cv(A, y, [1e-8, 1.0]).method == "normal->svd"
    assert xs.ridge_cv(A, y, [1e-1, 1.0]).method == "normal"
    assert xs.ridge_cv(A.T, y[:8], [1e-8, 1.0]).method == "woodbury->svd"
    centred = xs.ridge_cv(rng.standard_normal((8, 30)), y[:8], [1e-8, 1.0], intercept=True)
    assert centred.method == "woodbury"  # the direction of the mean has no part in it


def test_each_target_as_scikit_learn_chooses(rng):
    A, Y = data(rng, 40, 6, 4)
    Y = Y * np.asarray([0.1, 1.0, 10.0, 100.0]) + np.arange(4) * rng.standard_normal((40, 4)) * 30
    w = weighted(rng, 40)
    found = xs.ridge_cv(A, Y, LAMS, weights=w, intercept=True, per_target=True, method="loo")
    model = sklearn.linear_model.RidgeCV(LAMS, alpha_per_target=True).fit(A, Y, sample_weight=w)
    assert_close(found.lam, model.alpha_)
    assert len(set(model.alpha_)) > 1
    assert_close(found.x, model.coef_.T)
    assert_close(found.intercept, model.intercept_)


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize(("n", "p"), [(40, 15), (23, 50)])
def test_elastic_net_cv_is_that_of_scikit_learn(rng, monkeypatch, side_by_side, n, p):
    if side_by_side:
        monkeypatch.setattr("xpsolve.linear.cross_validation.on_accelerator", lambda x: True)
    A = rng.standard_normal((n, p)) + 1
    y = A[:, :3] @ np.ones(3) + 0.5 * rng.standard_normal(n) + 3
    w, thetas = weighted(rng, n), [0.1, 0.5]
    found = xs.elastic_net_cv(A, y, thetas=thetas, weights=w, intercept=True, folds=5, n_lams=12, ratio=1e-2)
    for i, theta in enumerate(thetas):
        model = sklearn.linear_model.ElasticNetCV(
            l1_ratio=1 - theta, alphas=found.lams[i] / w.sum(), cv=5, tol=1e-10, max_iter=100_000
        ).fit(A, y, sample_weight=w)
        assert_close(found.scores[i], model.mse_path_.mean(axis=1), rtol=1e-2)
        if theta == found.theta:
            assert float(found.lam) / w.sum() == pytest.approx(model.alpha_)
            assert_close(found.x, model.coef_, atol=2e-3)
            assert float(found.intercept) == pytest.approx(model.intercept_, rel=1e-3)
    one = xs.elastic_net_cv(A, y, thetas=found.theta, weights=w, intercept=True, folds=5, n_lams=12, ratio=1e-2)
    i = thetas.index(found.theta)
    assert_close(one.scores, found.scores[i])
    assert float(found.stats["fold_gap"]) <= 1e-5


@pytest.mark.parametrize(("correlation", "noise"), [(0.0, 1.0), (0.9, 0.1), (0.0, 1e-3)])
@pytest.mark.parametrize("compile_sweeps", [True, False])
def test_large_folds_choose_what_exact_ones_choose(rng, monkeypatch, correlation, noise, compile_sweeps):
    if not compile_sweeps:
        monkeypatch.setattr("xpsolve.linear.semismooth_newton.is_compiled", lambda x: False)
    A = rng.standard_normal((270, 300))
    for j in range(1, 300):
        A[:, j] = correlation * A[:, j - 1] + (1 - correlation**2) ** 0.5 * A[:, j]
    y = A[:, ::20] @ rng.standard_normal(15)
    y = y + noise * np.std(y) * rng.standard_normal(270)
    options = {"folds": 3, "n_lams": 25}
    found = xs.lasso_cv(A, y, **options)
    monkeypatch.setattr("xpsolve.linear.cross_validation._TOL_LARGE", 1e-7)
    exact = xs.lasso_cv(A, y, tol=1e-7, **options)
    assert float(found.lam) == float(exact.lam)
    assert_close(found.scores / exact.scores, np.ones(25), rtol=2e-2)
    allowed = min(1e-4, max(1e-6, 0.02 * float(np.min(exact.scores)) / np.mean(y**2)))
    assert float(found.stats["fold_gap"]) <= allowed


def test_elastic_net_cv_without_a_squared_norm_is_lasso_cv(rng):
    A, y = data(rng, 30, 8)
    one, other = xs.elastic_net_cv(A, y, thetas=0.0, n_lams=7), xs.lasso_cv(A, y, n_lams=7)
    assert_close(one.scores, other.scores)
    assert_close(one.lams, other.lams)
    assert_close(one.x, other.x)


@pytest.mark.parametrize("intercept", [False, True])
def test_folds_side_by_side_are_one_operator(rng, intercept):
    A, y = data(rng, 11, 4)
    blocks, _, _ = Folds(A, y[:, None], weighted(rng, 11), 3, np.ones(())).side_by_side(intercept)
    assert blocks.shape == (33, 12)
    assert xs.dot_test(blocks) < 1e-13
    assert_close(blocks @ np.eye(12)[:, :2], np.stack([blocks @ row for row in np.eye(12)[:2]], axis=1))


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
