"""Dictionary learning: descent, what the certificate says, planted dictionaries, scikit-learn, and digits."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import DictionaryLearning

import xpsolve as xs
from xpsolve import costs, problems
from xpsolve.capabilities import TABLE
from xpsolve.linear import _factorisation
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close, assert_like, check_cost, check_solution


def planted(rng, n, p, m, nonzeros=2, noise=0.0):
    """Samples of a few atoms each."""
    D = rng.standard_normal((p, m))
    D /= np.linalg.norm(D, axis=0)
    Z = np.zeros((n, m))
    for z in Z:
        z[rng.choice(m, nonzeros, replace=False)] = rng.choice([-1, 1], nonzeros) * (1 + rng.random(nonzeros))
    return Z @ D.T + noise * rng.standard_normal((n, p)), D


def objective(X, D, Z, lam):
    return 0.5 * np.sum((X - Z @ D.T) ** 2) + lam * np.sum(np.abs(Z))


def stopped(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return xs.dictionary_learning(*args, **kwargs)


def assert_never_increases(history, eps=2.0**-52):
    assert np.all(np.diff(history) <= 100 * eps * history[0])


@pytest.mark.of("dictionary_learning")
def test_on_every_backend(xp, rng):
    X, _ = planted(rng, 60, 8, 5)
    there = xp(X)
    tol = 1e-6 if xp.dtype == "float64" else 1e-4
    solution = xs.dictionary_learning(there, 5, 0.1, tol=tol, record=True)
    check_solution(solution, like=there, shape=(8, 5))
    assert_like(solution.codes, there)
    assert solution.converged
    D, Z = (np.asarray(xp.backend.to_numpy(x), dtype=np.float64) for x in (solution.x, solution.codes))
    assert_close(np.linalg.norm(D, axis=0), np.ones(5), rtol=8 * xp.eps)
    history = np.asarray(xp.backend.to_numpy(solution.history["objective"]), dtype=np.float64)
    assert history.shape == (solution.n_iter + 1,)
    assert_never_increases(history, xp.eps)
    assert objective(X, D, Z, 0.1) == pytest.approx(history[-1], rel=100 * xp.eps)
    # the same draw leads to the same dictionary
    assert_close(D, xs.dictionary_learning(X.astype(xp.dtype), 5, 0.1, tol=tol).x, atol=xp.eps**0.5)
    assert np.array_equal(xp.backend.to_numpy(there), X.astype(xp.dtype))


@pytest.mark.parametrize(("n", "p", "m"), [(40, 6, 4), (40, 6, 15), (5, 12, 8), (1, 3, 2), (30, 1, 2), (30, 4, 1)])
@pytest.mark.parametrize("lam", [1e-3, 0.3, 5.0])
@pytest.mark.parametrize("code_steps", [1, 10])
def test_the_objective_never_increases(rng, n, p, m, lam, code_steps):
    X = rng.standard_normal((n, p)) @ np.diag(np.geomspace(1, 10, p))
    solution = stopped(X, m, lam, max_iter=60, tol=1e-12, code_steps=code_steps, record=True)
    assert_never_increases(solution.history["objective"])
    assert solution.history["objective"][0] <= 0.5 * np.sum(X * X) * (1 + 1e-12)  # that of codes 0
    assert np.all(np.isfinite(solution.x))
    assert_close(np.linalg.norm(solution.x, axis=0), np.ones(m))


def test_the_certificate_bounds_what_codes_and_atoms_can_gain(rng):
    X, _ = planted(rng, 50, 8, 6, noise=0.1)
    solution = stopped(X, 6, 0.3, max_iter=3)
    D, Z = solution.x, solution.codes
    half, now = 0.5 * np.sum(X * X), objective(X, D, Z, 0.3)
    codes_gain = now - objective(X, D, xs.lasso(D, X.T, 0.3, tol=1e-12).x.T, 0.3)
    atoms_gain = 0.0
    for j in range(6):
        better = D.copy()
        better[:, j] = (X - Z @ D.T + np.outer(Z[:, j], D[:, j])).T @ Z[:, j]
        better[:, j] /= np.linalg.norm(better[:, j])
        atoms_gain += now - objective(X, better, Z, 0.3)
    assert codes_gain > 0
    assert atoms_gain > 0
    assert codes_gain + atoms_gain <= half * solution.certificate.value
    with pytest.warns(ConvergenceWarning):
        gaps = xs.lasso(D, X.T, 0.3, x0=Z.T, max_iter=0).certificate.measures * 0.5 * np.sum(X * X, axis=1)
    assert half * solution.certificate.value == pytest.approx(np.sum(gaps) + atoms_gain, rel=1e-9)


def test_codes_of_the_solution_are_those_of_the_lasso(rng):
    X, _ = planted(rng, 60, 8, 5, noise=0.05)
    solution = xs.dictionary_learning(X, 5, 0.2, tol=1e-9)
    assert_close(xs.lasso(solution.x, X.T, 0.2, tol=1e-10).x.T, solution.codes, atol=1e-3)
    assert xs.dictionary_learning(X, 5, 0.2, x0=7 * solution.x).n_iter <= 10  # x0 is scaled, and all but solved


def test_a_planted_dictionary_is_found(rng):
    X, truth = planted(rng, 1000, 16, 16)
    D = xs.dictionary_learning(X, 16, 0.05, tol=1e-7, max_iter=3000, seed=3).x
    assert np.sum(np.max(np.abs(truth.T @ D), axis=1) > 0.99) >= 15


def test_momentum_that_goes_too_far_is_taken_back(rng, monkeypatch):
    monkeypatch.setattr(_factorisation, "extrapolate", lambda X, before, j: X + 3 * (X - before))
    X, _ = planted(rng, 50, 8, 6, noise=0.1)
    assert_never_increases(stopped(X, 6, 0.1, max_iter=30, record=True).history["objective"])


@pytest.mark.parametrize(("m", "lam"), [(8, 1.0), (20, 0.3)])
def test_as_good_as_scikit_learn_on_digits_from_the_same_start(m, lam):
    X = problems.digits(standardise=False).A[:300] / 16
    X = X - X.mean(axis=0)
    start = X[:m] / np.linalg.norm(X[:m], axis=1, keepdims=True)
    theirs = DictionaryLearning(
        m, alpha=lam, fit_algorithm="cd", max_iter=100, tol=1e-6, dict_init=start, code_init=np.zeros((300, m))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Z = theirs.fit_transform(X)
    D = theirs.components_.T
    ours = xs.dictionary_learning(X, m, lam, x0=start.T)
    assert ours.converged
    least = objective(X, D, xs.lasso(D, X.T, lam, tol=1e-8).x.T, lam)  # of its dictionary, with the best codes
    assert Z.shape == ours.codes.shape
    # different roads through a problem that is not convex: as good, to one percent
    assert objective(X, ours.x, ours.codes, lam) <= 1.01 * least


def test_patches_of_a_photograph_have_sparser_codes_than_in_drawn_atoms():
    X = problems.patches(size=6, count=500)
    solution = stopped(X, 48, 0.1, max_iter=20, record=True)
    history = solution.history["objective"]
    assert_never_increases(history)
    assert history[-1] < 0.8 * history[0]


def test_atoms_that_nobody_uses_are_replaced(rng):
    X, _ = planted(rng, 80, 10, 4)
    X[:, 9] = 0
    start = np.eye(10)[:, [0, 1, 2, 9]]  # the last is orthogonal to every sample
    solution = xs.dictionary_learning(X, 4, 0.1, x0=start, record=True)
    assert solution.converged
    assert np.all(np.any(solution.codes != 0, axis=0))
    assert_never_increases(solution.history["objective"])
    # worth nothing where no residual is longer than λ: kept
    high = xs.dictionary_learning(X, 4, 1.01 * np.max(np.linalg.norm(X, axis=1)), x0=start)
    assert high.converged
    assert np.array_equal(high.x, start)
    assert np.all(high.codes == 0)


def test_zero_samples_and_too_few_give_unit_atoms():
    for X in (np.zeros((3, 4)), np.eye(2, 4)):
        solution = xs.dictionary_learning(X, 6, 0.1)
        assert solution.converged
        assert_close(np.linalg.norm(solution.x, axis=0), np.ones(6))


@pytest.mark.of("dictionary_learning")
@pytest.mark.parametrize("m", [3, 9])
def test_without_a_penalty_it_is_the_best_of_that_rank(xp, rng, m):
    X = rng.standard_normal((12, 6))
    solution = xs.dictionary_learning(xp(X), m, 0)
    check_solution(solution, like=xp(X), shape=(6, m))
    assert solution.method == "svd"
    assert solution.converged
    D, Z = (np.asarray(xp.backend.to_numpy(x), dtype=np.float64) for x in (solution.x, solution.codes))
    assert Z.shape == (12, m)
    least = 0.5 * np.sum(np.linalg.svd(X)[1][m:] ** 2)
    assert objective(X, D, Z, 0) == pytest.approx(least, abs=1e3 * xp.eps)


def test_it_stops_when_it_is_told(rng):
    X, _ = planted(rng, 40, 6, 4, noise=0.1)
    with pytest.warns(ConvergenceWarning, match="dictionary_learning.*after 2 iterations"):
        assert xs.dictionary_learning(X, 4, 0.1, max_iter=2).status is Status.MAX_ITER
    assert xs.dictionary_learning(X, 4, 0.1, tol=1e-15, callback=lambda k, s: k >= 20).status is Status.STOPPED
    with pytest.warns(ConvergenceWarning, match="NaN or an infinity"):
        assert not xs.dictionary_learning(np.full((3, 2), np.inf), 2, 0.1, check_finite=False).converged


def test_seeds_settle_the_start(rng):
    X, _ = planted(rng, 40, 6, 4)
    one, again, other = (stopped(X, 4, 0.1, seed=seed, max_iter=0).x for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"X": [[1.0]]}, TypeError, "X: expected an array"),
        ({"X": np.ones(3)}, ValueError, r"X: expected shape \(n, p\), got 1 dim"),
        ({"X": np.asarray([[1.0, np.nan]])}, ValueError, "X: expected finite numbers, got 1 NaN"),
        ({"n_atoms": 0}, ValueError, "n_atoms: expected an integer of at least 1, got 0"),
        ({"n_atoms": 2.0}, TypeError, "n_atoms: expected an integer"),
        ({"lam": -1.0}, ValueError, "lam: expected a finite number >= 0, got -1"),
        ({"lam": [1.0, 2.0]}, ValueError, "lam: expected one number, got 2"),
        ({"x0": np.ones((2, 3))}, ValueError, r"x0: expected shape \(features, n_atoms\) = \(3, 2\), got \(2, 3\)"),
        ({"x0": np.eye(3)[:, :2] * [1, 0]}, ValueError, "x0: expected columns that can be scaled"),
        ({"x0": np.asarray([[1, 1], [1, np.inf], [0, 0]])}, ValueError, "x0: expected finite numbers"),
        ({"tol": -1.0}, ValueError, "tol: expected a finite number >= 0"),
        ({"max_iter": -1}, ValueError, "max_iter: expected"),
        ({"seed": -1}, ValueError, "seed: expected"),
        ({"code_steps": 0}, ValueError, "code_steps: expected"),
        ({"check_every": 0}, ValueError, "check_every: expected"),
    ],
)
def test_bad_input(rng, change, error, words):
    arguments = {"X": rng.standard_normal((5, 3)), "n_atoms": 2, "lam": 0.1} | change
    with pytest.raises(error, match=words), np.errstate(invalid="ignore"):
        xs.dictionary_learning(**arguments)


@pytest.mark.parametrize(("n", "p", "m"), [(20, 6, 4), (30, 5, 8), (4, 3, 8)])
@pytest.mark.parametrize(("n_iter", "code_steps"), [(0, 10), (1, 1), (13, 10)])
def test_counted_products_and_reads_are_the_costs(rng, n, p, m, n_iter, code_steps):
    X = rng.standard_normal((n, p))
    options = {"tol": 1e-300, "max_iter": n_iter, "code_steps": code_steps, "check_finite": False}
    _, tally = xs.count(stopped, X, m, 0.1, **options)
    cost = costs.dictionary_learning(n, p, m, n_iter=n_iter, code_steps=code_steps)
    check_cost(tally, cost)
    assert cost.syncs <= n_iter // 10 + TABLE["dictionary_learning"].syncs


def test_traces_under_jax_jit(rng):
    jax = pytest.importorskip("jax")
    X, _ = planted(rng, 40, 6, 4)
    D, Z = jax.jit(lambda X: [(s := xs.dictionary_learning(X, 4, 0.1)).x, s.codes])(X)
    wanted = xs.dictionary_learning(X, 4, 0.1)
    assert_close(D, wanted.x, atol=1e-6)
    assert_close(Z, wanted.codes, atol=1e-6)
