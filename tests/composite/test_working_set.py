"""Proximal Newton on a working set: against solvers that are not ours, on every library, and at its limits."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn.linear_model

import xpsolve as xs
from xpsolve import autodiff
from xpsolve import penalties as P
from xpsolve.testing import assert_close, check_solution

EVERYWHERE = pytest.mark.of("minimize")
N, WIDTH = 60, 200


def classes(rng, n=N, p=WIDTH):
    A = rng.standard_normal((n, p))
    x = np.zeros(p)
    x[:: max(p // 5, 1)] = 1.0
    return A, np.where(A @ x + rng.standard_normal(n) > 0, 1.0, -1.0)


def highest(A, y):
    """The λ from which on x is 0."""
    return float(np.max(np.abs(A.T @ y))) / (2 * len(y))


def objective(A, y, lam, x):
    return np.mean(np.logaddexp(0, -y * (A @ x))) + lam * np.sum(np.abs(x))


def by_fista(f, penalty, tol=1e-11):
    return xs.minimize(f, penalty, method="fista", tol=tol, max_iter=200_000)


@pytest.mark.parametrize("part", [0.3, 0.03])
@pytest.mark.parametrize(("n", "p"), [(N, WIDTH), (200, 30), (40, 900)])
def test_logistic_regression_as_liblinear(rng, n, p, part):
    A, y = classes(rng, n, p)
    lam = part * highest(A, y)
    model = sklearn.linear_model.LogisticRegression(
        l1_ratio=1, C=1 / (n * lam), solver="liblinear", fit_intercept=False, tol=1e-9, max_iter=100_000
    )
    x = model.fit(A, y).coef_[0]
    solution = xs.minimize(xs.Logistic(A, y), P.L1(lam), method="working_set", tol=1e-10)
    check_solution(solution, like=A)
    assert solution.converged
    assert solution.method == "working_set"
    assert solution.n_iter == len(solution.stats["sizes"]) < 30
    assert objective(A, y, lam, solution.x) <= objective(A, y, lam, x) * (1 + 1e-9)
    assert_close(solution.x, x, atol=1e-4)


@EVERYWHERE
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [xs.Logistic, xs.LeastSquares])
def test_everywhere(xp, rng, kind, weighted, intercept):
    A, y = classes(rng, p=90)  # a set of 64, then all
    A, w = A + 0.3, rng.uniform(0.5, 2.0, N) if weighted else None
    f = kind(xp(A), xp(y), 1e-3, weights=None if w is None else xp(w), intercept=intercept)
    penalty = P.ElasticNet(0.03, 0.1)
    solution = xs.minimize(f, penalty, method="working_set", tol=1e-9 if xp.exact else 1e-5)
    check_solution(solution, like=xp(y))
    assert solution.converged
    assert min(solution.stats["sizes"]) < 90
    wanted = by_fista(kind(A, y, 1e-3, weights=w, intercept=intercept), penalty)
    atol = 1e-4 if xp.exact else 5e-3
    assert_close(solution.x, wanted.x, like=xp(y), atol=atol)
    if intercept:
        assert_close(solution.intercept, wanted.intercept, like=xp(y), atol=atol)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_file(rng, tmp_path, intercept):
    A, y = classes(rng)
    np.save(tmp_path / "A.npy", A + 1)
    on_disk = np.load(tmp_path / "A.npy", mmap_mode="r")
    found, plain = (
        xs.minimize(xs.Logistic(M, y, intercept=intercept), P.L1(0.02), method="working_set", tol=1e-9)
        for M in (on_disk, A + 1)
    )
    assert found.converged
    assert_close(found.x, plain.x, atol=1e-6)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sparse(rng, dtype, intercept):
    A, y = classes(rng)
    A = np.where(rng.random(A.shape) < 0.3, A + 0.5, 0)
    S, A, y = scipy.sparse.csr_array(A.astype(dtype)), A.astype(dtype), y.astype(dtype)
    solution = xs.minimize(xs.Logistic(S, y, intercept=intercept), P.L1(0.02), tol=1e-6)
    assert (solution.method, solution.converged, solution.x.dtype) == ("working_set", True, dtype)
    wanted = by_fista(xs.Logistic(A.astype(float), y.astype(float), intercept=intercept), P.L1(0.02))
    assert_close(solution.x, wanted.x.astype(dtype), atol=3e-3)


def test_float32(rng):
    A, y = classes(rng)
    lam = 0.05 * highest(A, y)
    solution = xs.minimize(xs.Logistic(A.astype(np.float32), y.astype(np.float32)), P.L1(lam), tol=1e-5)
    assert (solution.method, solution.converged, solution.x.dtype) == ("working_set", True, np.float32)
    wide = xs.minimize(xs.Logistic(A, y), P.L1(lam), tol=1e-12)
    assert_close(solution.x, wide.x.astype(np.float32), atol=1e-2)


def test_the_choice(rng):
    A, y = classes(rng)
    f, l1 = xs.Logistic(A, y), P.L1(0.02)
    assert xs.minimize(f, l1).method == "working_set"
    assert xs.minimize(f, P.ElasticNet(0.02, 0.5)).method == "working_set"
    assert xs.minimize(xs.Logistic(A[:, :20], y), l1).method == "fista"
    assert xs.minimize(xs.Logistic(A[:, :20], y), l1, method="working_set").method == "working_set"
    for g, penalty, words in (
        (f, P.L1(0.02, np.ones(WIDTH)), "L1 with one weight"),
        (f, P.L1(0.02) + P.NonNegative(), "the penalty is"),
        (f, P.SquaredL2(0.02), "the penalty is"),
        (f, P.L1(0.0), "above 0"),
        (f, None, "the penalty is"),
        (xs.Huber(A, y), l1, "f is Huber"),
        (xs.Multinomial(A, np.eye(2)[(y > 0).astype(int)]), l1, "f is Multinomial"),
        (xs.LeastSquares(A, np.stack([y, y], axis=1)), l1, "y has 2 columns"),
        (xs.Logistic(xs.operators.Tensor(A, 1), y), l1, "single columns"),
    ):
        with pytest.raises(TypeError, match=f"^method: 'working_set' cannot be used here: .*{words}"):
            xs.minimize(g, penalty, method="working_set")


def test_it_is_not_differentiated(rng):
    A, y = classes(rng, 20, 130)
    w = rng.standard_normal(130)

    def solve(c, method):
        return w @ xs.minimize(xs.Logistic(A * c, y), P.L1(0.1), method=method, tol=1e-10, max_iter=50_000).x

    c, h = np.asarray(1.0), 1e-5
    wanted = (solve(c + h, "auto") - solve(c - h, "auto")) / (2 * h)
    for derivative in (autodiff.jacrev, autodiff.jacfwd):
        assert float(derivative(lambda c: solve(c, "auto"))(c)) == pytest.approx(wanted, rel=1e-3)
    with pytest.raises(TypeError, match="not differentiated"):
        autodiff.jacfwd(lambda c: solve(c, "working_set"))(c)


def test_under_jit(rng):
    jax = pytest.importorskip("jax")
    A, y = map(jax.numpy.asarray, classes(rng, 20, 130))

    def solve(A, y, method="auto"):
        f = xs.Logistic(A, y, check_finite=False)
        return xs.minimize(f, P.L1(0.1), method=method, check_finite=False, tol=1e-9).x

    assert_close(np.asarray(jax.jit(solve)(A, y)), np.asarray(solve(A, y)), atol=1e-3)
    with pytest.raises(TypeError, match="jit"):
        jax.jit(lambda A, y: solve(A, y, "working_set"))(A, y)


@pytest.mark.parametrize("intercept", [False, True])
def test_from_the_largest_lambda_on_x_is_zero(rng, intercept):
    A, y = classes(rng)
    f = xs.Logistic(A, y, intercept=intercept)
    centred = A - np.mean(A, axis=0) if intercept else A
    lam = (1 + 1e-9) * max(highest(centred, y), highest(A, y - intercept * np.mean(y)))
    solution = xs.minimize(f, P.L1(lam), method="working_set")
    assert solution.converged
    assert np.all(solution.x == 0)
    if intercept:
        assert float(solution.intercept) == pytest.approx(np.log(np.sum(y > 0) / np.sum(y < 0)))


def repeated(A):
    return np.hstack([A, A, np.zeros((len(A), 1)), 2 * A[:, :3] - A[:, 3:6]])


def constant(A):
    return np.hstack([A, np.ones((len(A), 2))])


@pytest.mark.parametrize("change", [repeated, constant, lambda A: A[:, :1], lambda A: A + 3.0])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kind", [xs.Logistic, xs.LeastSquares])
def test_columns_that_are_hard(rng, kind, change, intercept):
    A, y = classes(rng)
    A = change(A)
    f = kind(A, y, intercept=intercept)
    solution = xs.minimize(f, P.L1(0.02), method="working_set", tol=1e-9)
    assert solution.converged
    wanted = by_fista(f, P.L1(0.02), tol=1e-8)
    whole = [s.x if not intercept else np.append(s.x, s.intercept) for s in (solution, wanted)]
    values = [float(f.value(x)) + 0.02 * np.sum(np.abs(s.x)) for x, s in zip(whole, (solution, wanted), strict=True)]
    assert values[0] <= values[1] + 1e-8


@pytest.mark.parametrize("lam", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("intercept", [False, True])
def test_separable_classes(rng, lam, intercept):
    A, y = classes(rng, 30, 300)
    solution = xs.minimize(xs.Logistic(A, y, intercept=intercept), P.L1(lam), method="working_set", max_iter=500)
    assert solution.converged
    assert np.count_nonzero(solution.x) <= 30
    assert np.all(y * (A @ solution.x + (solution.intercept if intercept else 0)) > 0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples(rng, n):
    A, _ = classes(rng, n)
    y = np.asarray([1.0, -1.0, 1.0])[:n]
    solution = xs.minimize(xs.Logistic(A, y), P.L1(0.1), tol=1e-10)
    assert (solution.method, solution.converged) == ("working_set", True)
    assert_close(solution.x, by_fista(xs.Logistic(A, y), P.L1(0.1)).x, atol=1e-4)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_sample_of_weight_zero_is_not_there(rng, intercept):
    A, y = classes(rng)
    w = np.ones(N)
    w[:5] = 0
    A[:5] *= 1e6
    options = {"intercept": intercept, "check_finite": False}
    solution = xs.minimize(xs.Logistic(A, y, weights=w, **options), P.L1(0.02), tol=1e-10)
    wanted = xs.minimize(xs.Logistic(A[5:], y[5:], **options), P.L1(0.02), tol=1e-10)
    assert (solution.method, solution.converged) == ("working_set", True)
    assert_close(solution.x, wanted.x, atol=1e-6)


@pytest.mark.parametrize("size", [2.0**-300, 2.0**-12, 2.0**12, 2.0**300])
def test_units_that_are_powers_of_two(rng, size):
    A, y = classes(rng)
    lam = 0.05 * highest(A, y)
    one, other = (xs.minimize(xs.Logistic(c * A, y), P.L1(c * lam), tol=1e-9) for c in (1.0, size))
    assert (other.method, other.converged) == ("working_set", True)
    assert_close(other.x * size, one.x, atol=1e-6)


def test_starts(rng):
    A, y = classes(rng)
    f, lam = xs.Logistic(A, y), 0.05 * highest(A, y)
    cold = xs.minimize(f, P.L1(lam), tol=1e-10)
    again = xs.minimize(f, P.L1(lam), x0=cold.x, tol=1e-9)
    assert again.n_iter == 0
    assert np.array_equal(again.x, cold.x)
    near = xs.minimize(f, P.L1(0.9 * lam), x0=cold.x, tol=1e-10)
    assert near.n_iter <= cold.n_iter
    for x0 in (100 * rng.standard_normal(WIDTH), -50 * cold.x):
        far = xs.minimize(f, P.L1(lam), x0=x0, tol=1e-10)
        assert far.converged
        assert_close(far.x, cold.x, atol=1e-5)


def test_how_it_ends(rng):
    A, y = classes(rng)
    f, l1, seen = xs.Logistic(A, y), P.L1(0.01), []
    whole = xs.minimize(f, l1, tol=1e-10, record=True, callback=lambda k, s: seen.append((k, s.x.shape)))
    assert seen == [(k, (WIDTH,)) for k in range(whole.n_iter + 1)]
    for name in ("objective", "certificate"):
        assert whole.history[name].shape == (whole.n_iter + 1,)
    assert whole.history["objective"][-1] == pytest.approx(objective(A, y, 0.01, whole.x))
    assert float(whole.history["certificate"][-1]) == pytest.approx(whole.certificate.value, rel=0.1, abs=1e-14)
    with pytest.warns(xs.ConvergenceWarning, match="max_iter"):
        short = xs.minimize(f, l1, tol=1e-10, max_iter=2)
    assert (short.status, short.n_iter) == (xs.Status.MAX_ITER, 2)
    stopped = xs.minimize(f, l1, tol=0.0, callback=lambda k, s: k >= 3)
    assert (stopped.status, stopped.n_iter) == (xs.Status.STOPPED, 3)


def test_where_steps_do_not_help_fista_continues(rng):
    """A tolerance that rounding does not allow."""
    A, y = classes(rng)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        solution = xs.minimize(
            xs.Logistic(A, y), P.L1(0.02), tol=1e-40, max_iter=1500, record=True, callback=lambda k, s: seen.append(k)
        )
    assert solution.method == "working_set->fista"
    assert solution.certificate.value < 1e-13
    assert not solution.converged
    assert seen == sorted(set(seen))
    assert seen[-1] == solution.n_iter
    assert solution.history["certificate"].shape == (solution.n_iter + 1,)


def test_sets_that_become_too_large(rng, monkeypatch):
    from xpsolve.composite import _working_set

    monkeypatch.setattr(_working_set, "_MOST", 64)
    A, y = classes(rng, 150, 300)
    solution = xs.minimize(xs.Logistic(A, y), P.ElasticNet(0.01, 0.5), tol=1e-9)
    assert (solution.method, solution.converged) == ("working_set->fista", True)
    assert max(solution.stats["sizes"]) == 64
