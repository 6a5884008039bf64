"""Weights and an intercept of the objectives: against scikit-learn, repeated samples, and every solver."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from sklearn.linear_model import LogisticRegression

import xpsolve as xs
from xpsolve import autodiff
from xpsolve import penalties as P
from xpsolve.operators import LinearOperator
from xpsolve.solution import Status
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.testing import assert_close, check_solution

LOSSES = ("LeastSquares", "Huber", "Logistic", "Multinomial")


def data(rng, loss="Logistic", n=60, p=4):
    """Columns with means and of different size, observations of the loss, and weights of which some are 0."""
    A = (rng.standard_normal((n, p)) + 3) * np.asarray([1.0, 0.2, 2.0, 1.0])[:p]
    s = (A - A.mean(axis=0)) @ np.asarray([1.0, -2.0, 0.3, 0.5])[:p] + rng.standard_normal(n)
    weights = rng.integers(0, 4, n).astype(float)
    if loss == "Multinomial":
        return A, np.digitize(s, [-0.7, 0.8]), weights
    return A, (np.where(s > 0.4, 1.0, -1.0) if loss == "Logistic" else s + 20), weights


def least(f):
    """The minimiser (x, c) by SciPy, from values and gradients alone."""
    size = int(np.prod(f.shape))

    def both(z):
        value, gradient = f.value_and_gradient(z.reshape(f.shape))
        return float(value), gradient.ravel()

    options = {"maxiter": 20_000, "ftol": 1e-15, "gtol": 1e-11, "maxfun": 100_000}
    found = scipy.optimize.minimize(both, np.zeros(size), jac=True, method="L-BFGS-B", options=options)
    x = found.x.reshape(f.shape)
    return x[:-1], x[-1]


def joined(solution):
    return np.concatenate([solution.x, np.asarray(solution.intercept)[None]])


SMOOTH = {
    "newton": lambda f, **k: xs.newton(f, **k),
    "newton cg": lambda f, **k: xs.newton(f, method="cg", **k),
    "plain": lambda f, **k: xs.gradient_descent(f, max_iter=50_000, **k),
    "heavy_ball": lambda f, **k: xs.gradient_descent(f, momentum="heavy_ball", **k),
    "nesterov": lambda f, **k: xs.gradient_descent(f, momentum="nesterov", **k),
    "armijo": lambda f, **k: xs.gradient_descent(f, line_search=True, **k),
    "coordinates": lambda f, **k: xs.coordinate_descent(f, **k),
    "blocks": lambda f, **k: xs.coordinate_descent(f, block=2, **k),
    "sag": lambda f, **k: xs.sag(f, epochs=3000, **k),
    "fista": lambda f, **k: xs.minimize(f, **k),
    "ista": lambda f, **k: xs.minimize(f, method="ista", max_iter=50_000, **k),
    "primal_dual": lambda f, **k: xs.minimize(f, P.Analysis(0.0, np.eye(f.shape[0] - 1)), max_iter=50_000, **k),
}


# --- the answer, by every solver -------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_solver_finds_the_minimiser(rng, loss, name):
    if loss == "Multinomial" and name == "primal_dual":
        name = "fista"
    A, y, weights = data(rng, loss)
    f = getattr(xs, loss)(A, y, 0.05, weights=weights, intercept=True)
    gap = name in ("fista", "ista", "primal_dual")  # of the objective, which is flat at its minimum
    found = SMOOTH[name](f, tol=1e-12 if gap else 1e-10)
    x, c = least(f)
    assert found.converged, found
    assert_close(found.x, x, atol=2e-5)
    assert_close(found.intercept, c, atol=2e-4)
    check_solution(found, like=A, shape=x.shape)


def test_steepest_descent(rng):
    A, y, weights = data(rng, "LeastSquares")
    f = xs.LeastSquares(A, y, 0.5, weights=weights, intercept=True)
    found = xs.gradient_descent(f, line_search="exact", tol=1e-10)
    assert found.n_iter < 1000
    x, c = least(f)
    assert_close(found.x, x, atol=1e-5)
    assert_close(found.intercept, c, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_repeats_a_sample_and_zero_removes_it(rng, loss):
    A, y, weights = data(rng, loss)
    rows = np.repeat(np.arange(60), weights.astype(int))
    model = getattr(xs, loss)
    for intercept in (False, True):
        weighted = model(A, y, 0.1, weights=weights, intercept=intercept)
        repeated = model(A[rows], y[rows], 0.1, intercept=intercept)
        z = rng.standard_normal(weighted.shape)
        assert_close(weighted.value(z), repeated.value(z), rtol=1e-12)
        assert_close(weighted.gradient(z), repeated.gradient(z), rtol=1e-11, atol=1e-12)
        assert_close(weighted.hessian_vector(z, z), repeated.hessian_vector(z, z), rtol=1e-11, atol=1e-12)
        assert_close(weighted.lipschitz(), repeated.lipschitz(), rtol=1e-6)
        one, other = xs.newton(weighted, method="cg", tol=1e-11), xs.newton(repeated, method="cg", tol=1e-11)
        assert_close(one.x, other.x, atol=1e-7)
        assert (one.intercept is None) == (not intercept)
        if intercept:
            assert_close(one.intercept, other.intercept, atol=1e-6)


@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs", "saga"])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0, 1: 0.5}])
def test_scikit_learn_logistic(rng, solver, class_weight):
    A, y, weights = data(rng)
    A = A - 3
    labels = (y > 0).astype(int)
    mine = {-1: 2.0, 1: 0.5} if isinstance(class_weight, dict) else class_weight
    for intercept in (False, True):
        f = xs.Logistic(A, y, 0.02, weights=weights, class_weights=mine, intercept=intercept)
        peer = LogisticRegression(
            C=1 / (0.02 * float(f.total_weight)),
            solver=solver,
            class_weight=class_weight,
            fit_intercept=intercept,
            tol=1e-10,
            max_iter=200_000,
        ).fit(A, labels, sample_weight=weights)
        found = xs.newton(f, tol=1e-11)
        assert_close(found.x, peer.coef_[0], atol=1e-5)
        if intercept:
            assert_close(found.intercept, peer.intercept_[0], atol=1e-5)


@pytest.mark.parametrize("class_weight", [None, "balanced", {2: 5.0}])
def test_scikit_learn_multinomial(rng, class_weight):
    A, labels, weights = data(rng, "Multinomial")
    A = A - 3
    f = xs.Multinomial(A, labels, 0.05, weights=weights, class_weights=class_weight, intercept=True)
    peer = LogisticRegression(
        C=1 / (0.05 * float(f.total_weight)), class_weight=class_weight, tol=1e-10, max_iter=10_000
    )
    peer.fit(A, labels, sample_weight=weights)
    found = xs.newton(f, tol=1e-10)
    assert abs(float(found.intercept.sum())) < 1e-12  # of the many that are as good
    assert_close(found.x, peer.coef_.T, atol=1e-5)
    assert_close(found.intercept, peer.intercept_, atol=1e-4)


def test_scikit_learn_l1(rng):
    A, y, weights = data(rng)
    f = xs.Logistic(A, y, weights=weights, intercept=True)
    found = xs.minimize(f, P.L1(0.05), tol=1e-11)
    peer = LogisticRegression(
        C=1 / (0.05 * weights.sum()), l1_ratio=1, solver="liblinear", intercept_scaling=1e4, tol=1e-12, max_iter=100_000
    ).fit(A, y, sample_weight=weights)
    at_peer = f.value(np.append(peer.coef_[0], peer.intercept_)) + 0.05 * np.abs(peer.coef_).sum()
    at_mine = f.value(joined(found)) + 0.05 * np.abs(found.x).sum()
    assert at_mine <= at_peer + 1e-10
    assert at_peer - at_mine < 1e-5
    assert_close(found.x, peer.coef_[0], atol=1e-2)


@pytest.mark.parametrize(("name", "size"), [("newton", 1e9), ("nesterov", 1e9), ("fista", 500.0)])
def test_huber_does_not_start_at_the_outliers(rng, name, size):
    A, y, weights = data(rng, "Huber")
    weights += 1
    far = y.copy()
    y[:3] += 50
    far[:3] += size
    near, f = (xs.Huber(A, b, 0.02, delta=1.0, weights=weights, intercept=True) for b in (y, far))
    x, c = least(near)
    found = SMOOTH[name](f, tol=1e-12 if name == "fista" else 1e-10)
    assert_close(found.x, x, atol=1e-5)
    assert_close(found.intercept, c, atol=1e-4)


def test_least_squares_is_the_lasso_with_samples(rng):
    A, y, weights = data(rng, "LeastSquares")
    f = xs.LeastSquares(A, y, weights=weights, intercept=True)
    found = xs.minimize(f, P.L1(0.1), tol=1e-13)
    other = xs.lasso(A, y, 0.1 * weights.sum(), weights=weights, intercept=True, tol=1e-14)
    assert_close(found.x, other.x, atol=1e-6)
    assert_close(found.intercept, other.intercept, rtol=1e-6)
    k = xs.LeastSquares(A, np.stack([y, -2 * y], axis=1), 0.1, weights=weights, intercept=True)
    both = xs.gradient_descent(k, momentum="nesterov", tol=1e-12)
    one = xs.newton(xs.LeastSquares(A, y, 0.1, weights=weights, intercept=True), tol=1e-12)
    assert_close(both.x, np.stack([one.x, -2 * one.x], axis=1), atol=1e-7)
    assert_close(both.intercept, np.stack([one.intercept, -2 * one.intercept]), rtol=1e-7)


# --- penalties ---------------------------------------------------------------------------------------

PENALTIES = {
    "L1": P.L1(0.05),
    "weighted L1": lambda p: P.L1(0.05, np.asarray([0.0, 1.0, 2.0, 1.0])),
    "ElasticNet": P.ElasticNet(0.05, 0.5),
    "SquaredL2": P.SquaredL2(0.1),
    "NonNegative": P.NonNegative(),
    "Box": P.Box(-0.1, 0.2),
    "L1Ball": P.L1Ball(0.5),
    "Simplex": P.Simplex(),
    "GroupL1": P.GroupL1(0.05, 2),
    "labels": P.GroupL1(0.05, [0, 1, 0, 2]),
    "TotalVariation": P.TotalVariation(0.05, (4,)),
    "sum": P.TotalVariation(0.05, (4,)) + P.NonNegative(),
}


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("loss", ["LeastSquares", "Logistic"])
def test_a_penalty_leaves_the_intercept_alone(rng, loss, name):
    """The answer is a minimiser in (x, c), which does not change where constants are added to the columns of A."""
    A, y, weights = data(rng, loss)
    penalty = PENALTIES[name]
    penalty = penalty(4) if callable(penalty) else penalty
    options = {"tol": 1e-9, "max_iter": 200_000}
    f = getattr(xs, loss)(A, y, weights=weights, intercept=True)
    found = xs.minimize(f, penalty, **options)
    assert found.converged
    c = found.intercept
    slope = f.gradient(joined(found))[-1]
    assert abs(slope) < 1e-5 * max(1.0, abs(float(c)))
    shift = np.asarray([5.0, -20.0, 3.0, 0.0])
    other = xs.minimize(getattr(xs, loss)(A + shift, y, weights=weights, intercept=True), penalty, **options)
    assert_close(other.x, found.x, atol=1e-4)
    assert_close(other.intercept, c - shift @ found.x, atol=5e-3)

    def objective(z):
        return float(f.value(z) + penalty.value(z[:-1]))

    least = objective(joined(found))
    for _ in range(20):
        move = 1e-2 * rng.standard_normal(5)
        assert objective(joined(found) + move) >= least - 1e-7 * abs(least)


@pytest.mark.parametrize("name", ["L1", "ElasticNet", "SquaredL2", "Box", "L1Ball", "GroupL1", "TotalVariation"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gap_bounds_what_is_left(rng, loss, name):
    A, y, weights = data(rng, loss)
    if loss == "Multinomial" and name in ("GroupL1", "TotalVariation", "L1Ball"):
        penalty = P.GroupL1(0.05, "rows") if name == "GroupL1" else P.Nuclear(0.05)
    else:
        penalty = PENALTIES[name]
    lam = 0.1 if name == "TotalVariation" else 0.0  # the dual of a sum is known where f is strongly convex
    f = getattr(xs, loss)(A, y, lam, weights=weights, intercept=True)
    found = xs.minimize(f, penalty, tol=1e-9, max_iter=100_000, record=True, check_every=1)
    assert "duality gap" in found.certificate.name
    assert found.converged
    start = f.centred().first()[1]
    scale = f._mean_loss(start)
    objective, gap = found.history["objective"], found.history["certificate"] * scale
    assert np.all(objective - objective[-1] <= gap * (1 + 1e-9) + 1e-8 * scale)


# --- what the solvers share --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["newton", "nesterov", "sag", "fista"])
def test_x0_and_what_is_seen_on_the_way(rng, name):
    A, y, weights = data(rng)
    f = xs.Logistic(A, y, 0.1, weights=weights, intercept=True)
    seen = []

    def look(k, progress):
        seen.append(progress)

    found = SMOOTH[name](f, tol=1e-9, callback=look)
    assert seen[-1].x.shape == (4,)
    assert_close(seen[-1].x, found.x, atol=1e-7)
    assert_close(seen[-1].intercept, found.intercept, atol=1e-6)
    again = SMOOTH[name](f, x0=joined(found), tol=1e-7)
    assert again.converged
    assert name == "sag" or again.n_iter <= 2  # whose memory begins empty
    with pytest.raises(ValueError, match=r"x0: expected .*\(5,\), the intercept last"):
        SMOOTH[name](f, x0=found.x)


@pytest.mark.parametrize("lam", [0.0, 0.1])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("method", ["sgd", "sga", "sag"])
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_blocks_are_the_loop(rng, method, sparse, loss, lam):
    A, y, weights = data(rng, loss)
    matrix = scipy.sparse.csr_array(np.where(rng.random(A.shape) < 0.5, A, 0)) if sparse else A
    f = getattr(xs, loss)(matrix, y, lam, weights=weights, intercept=True)
    indices = rng.integers(0, 60, 200)
    solve = getattr(xs, method)
    loop = solve(f, indices=indices, block=1, record_every=50)
    block = solve(f, indices=indices, block=64, record_every=50)
    assert_close(block.x, loop.x, atol=1e-7)
    assert_close(block.intercept, loop.intercept, atol=1e-7)
    assert loop.history["x"].shape == (5, *loop.x.shape)
    assert_close(loop.history["intercept"][-1], loop.intercept)
    explicit = getattr(xs, loss)(matrix.toarray(), y, lam, weights=weights, intercept=True) if sparse else f
    same = solve(explicit, indices=indices, block=64)
    assert_close(same.x, loop.x, atol=1e-7)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_the_steps_of_sgd_with_weights_are_those_of_the_loop(rng):
    A, y, weights = data(rng)
    f = xs.Logistic(A, y, 0.1, weights=weights)
    indices, x, w = rng.integers(0, 60, 100), np.zeros(4), weights / weights.mean()
    for k, i in enumerate(indices):
        d = -w[i] * y[i] / (1 + np.exp(y[i] * (A[i] @ x)))
        x = x - 0.05 / (1 + k / 60) * (d * A[i] + 0.1 * x)
    for block in (1, 16):
        assert_close(xs.sgd(f, indices=indices, step0=0.05, warmup=60, block=block).x, x, rtol=1e-9)


def test_many_runs_and_memory(rng):
    A, y, weights = data(rng)
    f = xs.Logistic(A, y, 0.1, weights=weights, intercept=True)
    starts = rng.standard_normal((3, 5))
    runs = xs.sag(f, starts, epochs=500, tol=1e-8)
    assert runs.x.shape == (3, 4)
    assert runs.intercept.shape == (3,)
    one = xs.newton(f, tol=1e-11)
    assert_close(runs.x, np.stack([one.x] * 3), atol=1e-5)
    assert_close(runs.intercept, np.stack([one.intercept] * 3), atol=1e-4)
    with pytest.warns(xs.ConvergenceWarning):
        first = xs.sag(f, epochs=2, tol=0)
    more = xs.sag(f, joined(first), memory=first.stats["memory"], epochs=500, tol=1e-8, seed=1)
    assert_close(more.x, one.x, atol=1e-5)


class Hidden(LinearOperator):
    """A matrix whose entries nobody sees."""

    def __init__(self, A):
        super().__init__(A.shape)
        self.A = A

    def _matvec(self, x):
        return self.A @ x

    def _rmatvec(self, y):
        return self.A.T @ y


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, Hidden])
@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_and_operators(rng, loss, kind):
    A, y, weights = data(rng, loss)
    A = np.where(rng.random(A.shape) < 0.7, A, 0)
    dense = xs.newton(getattr(xs, loss)(A, y, 0.05, weights=weights, intercept=True), method="cg", tol=1e-11)
    f = getattr(xs, loss)(kind(A), y, 0.05, weights=weights, intercept=True)
    solvers = ["newton cg", "nesterov", "fista"] + (["coordinates", "blocks", "sag"] if kind is not Hidden else [])
    for name in solvers:
        found = SMOOTH[name](f, tol=1e-12 if name == "fista" else 1e-9)
        assert_close(found.x, dense.x, atol=1e-5)
        assert_close(found.intercept, dense.intercept, atol=1e-4)
    z = rng.standard_normal(f.shape)
    assert_close(f.value(z), getattr(xs, loss)(A, y, 0.05, weights=weights, intercept=True).value(z))


def test_large_means_do_not_slow_first_order_methods(rng):
    A, y, weights = data(rng)
    near, far = (xs.Logistic(A + shift, y, 0.05, weights=weights, intercept=True) for shift in (0.0, 1000.0))
    counts = [xs.minimize(f, P.L1(0.01), tol=1e-6).n_iter for f in (near, far)]
    assert counts[1] <= counts[0] + 20


@pytest.mark.parametrize("loss", ["LeastSquares", "Huber"])
@pytest.mark.parametrize("name", ["newton", "nesterov", "fista", "sag"])
def test_a_large_mean_of_y_is_the_intercept(rng, loss, name):
    A, y, weights = data(rng, loss)
    near, far = (getattr(xs, loss)(A, y + shift, 0.1, weights=weights, intercept=True) for shift in (0.0, 2.0**27))
    one, other = (SMOOTH[name](f, tol=1e-11) for f in (near, far))
    assert other.converged
    assert_close(other.x, one.x, atol=1e-5)
    assert_close(other.intercept - 2.0**27, one.intercept, atol=1e-4)


# --- classes ----------------------------------------------------------------------------------------


def test_weights_of_classes_are_weights(rng):
    A, y, weights = data(rng)
    z = rng.standard_normal(4)
    factors = np.where(y > 0, 3.0, 0.5)
    wanted = xs.Logistic(A, y, weights=weights * factors)
    for given in ({1: 3.0, -1: 0.5}, np.asarray([0.5, 3.0])):
        f = xs.Logistic(A, y, weights=weights, class_weights=given)
        assert_close(f.value(z), wanted.value(z), rtol=1e-13)
        assert_close(f.total_weight, (weights * factors).sum(), rtol=1e-13)
    balanced = xs.Logistic(A, y, weights=weights, class_weights="balanced")
    assert balanced.weights[y > 0].sum() == pytest.approx(balanced.weights[y < 0].sum())
    assert balanced.total_weight == pytest.approx(weights.sum())
    labels = rng.integers(0, 3, 60)
    f = xs.Multinomial(A, labels, weights=weights, class_weights=np.asarray([1.0, 2.0, 3.0]))
    other = xs.Multinomial(A, labels, weights=weights * (1.0 + labels))
    x = rng.standard_normal((4, 3))
    assert_close(f.gradient(x), other.gradient(x), rtol=1e-12)
    assert isinstance(f, LinearModel)


@pytest.mark.parametrize("loss", ["Logistic", "Multinomial"])
def test_a_class_without_samples_has_no_intercept(rng, loss):
    A, y, weights = data(rng, loss)
    weights[y == y.max()] = 0
    getattr(xs, loss)(A, y, 0.1, weights=weights)
    with pytest.raises(ValueError, match="of weight above 0 in every class"):
        getattr(xs, loss)(A, y, 0.1, weights=weights, intercept=True)


def test_separated_classes_have_no_minimiser(rng):
    A, y, _ = data(rng)
    y = np.where(A[:, 0] > np.median(A[:, 0]), 1.0, -1.0)
    with pytest.warns(xs.ConvergenceWarning, match="separates"):
        found = xs.newton(xs.Logistic(A, y, intercept=True))
    assert found.status is Status.UNBOUNDED
    weights = np.ones(60)
    y[np.argmax(A[:, 0])] = -1.0  # of weight 0 it does not matter
    weights[np.argmax(A[:, 0])] = 0
    with pytest.warns(xs.ConvergenceWarning, match="separates"):
        assert xs.newton(xs.Logistic(A, y, weights=weights, intercept=True)).status is Status.UNBOUNDED


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"weights": [1.0] * 60}, TypeError, "weights: expected an array"),
        ({"weights": np.ones(59)}, ValueError, "weights"),
        ({"weights": np.ones((60, 1))}, ValueError, "weights"),
        ({"weights": -np.ones(60)}, ValueError, "weights: expected finite numbers >= 0"),
        ({"weights": np.zeros(60)}, ValueError, "weights: expected finite numbers >= 0 with some above 0"),
        ({"weights": np.full(60, np.nan)}, ValueError, "weights: expected finite"),
        ({"intercept": 1}, TypeError, "intercept"),
        ({"class_weights": "uniform"}, ValueError, "class_weights: expected 'balanced', an array or a mapping"),
        ({"class_weights": {0: 1.0}}, ValueError, r"class_weights: .*classes \[-1, 1\]"),
        ({"class_weights": {1: "much"}}, ValueError, "class_weights: expected numbers"),
        ({"class_weights": [1.0, 2.0]}, TypeError, "class_weights: expected"),
        ({"class_weights": np.ones(3)}, ValueError, "class_weights: expected one number for each of 2"),
        ({"class_weights": np.asarray([1.0, -1.0])}, ValueError, "class_weights: expected finite numbers >= 0"),
        ({"class_weights": {1: -1.0}}, ValueError, "class_weights: expected finite numbers >= 0"),
    ],
)
def test_bad_input(rng, given, error, words):
    A, y, _ = data(rng)
    with pytest.raises(error, match=words):
        xs.Logistic(A, y, **given)


# --- libraries, scales, derivatives ------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_on_every_library(xp, rng, loss):
    A, y, weights = data(rng, loss)
    model = getattr(xs, loss)
    reference = xs.newton(model(A, y, 0.1, weights=weights, intercept=True), method="cg", tol=1e-11)
    there = xp(np.eye(3)[y]) if loss == "Multinomial" else xp(y)
    f = model(xp(A), there, 0.1, weights=xp(weights), intercept=True)
    names = ["newton", "nesterov", "fista"] + ([] if xp.name == "dask" else ["blocks", "sag"])
    if xp.name == "dask":
        names = ["newton"]
    for name in names:
        exact = xp.exact and (xp.name, name) != ("jax", "sag")  # hundreds of epochs, one operation after the other
        tol, rough = (1e-9, 1e-5) if exact else (1e-5, 5e-3)
        found = SMOOTH[name](f, tol=tol / 100 if name == "fista" and exact else tol)
        check_solution(found, like=xp(A), shape=reference.x.shape)
        assert found.converged
        assert_close(found.x, reference.x, atol=rough)
        assert_close(found.intercept, reference.intercept, atol=10 * rough, rtol=rough)
    found = xs.minimize(f, P.L1(0.05), tol=tol) if xp.name != "dask" else found
    assert found.converged


@pytest.mark.parametrize("loss", ["LeastSquares", "Logistic", "Multinomial"])
@pytest.mark.parametrize("exponent", [-300, -40, 40, 300])
def test_scales(rng, loss, exponent):
    """A in other units gives x in other units, and the same intercept."""
    A, y, weights = data(rng, loss)
    size = 2.0**exponent
    model = getattr(xs, loss)
    one = xs.newton(model(A, y, weights=weights, intercept=True), tol=1e-9)
    other = xs.newton(model(A * size, y, weights=weights, intercept=True), tol=1e-9)
    assert other.converged
    if loss != "Multinomial":  # whose minimiser is not unique
        assert_close(other.x * size, one.x, rtol=1e-5)
        assert_close(other.intercept, one.intercept, rtol=1e-5)
    heavy = xs.newton(model(A, y, weights=weights * size, intercept=True), tol=1e-9)
    assert_close(heavy.x, one.x, rtol=1e-12)


@pytest.mark.parametrize("solve", ["newton", "nesterov", "coordinates"])
@pytest.mark.parametrize("loss", ["LeastSquares", "Logistic"])
def test_derivatives(rng, loss, solve):
    A, y, weights = data(rng, loss)
    weights += 0.5
    direction = rng.standard_normal(4)

    def error(lam, weights, A):
        f = getattr(xs, loss)(A, y, lam, weights=weights, intercept=True)
        found = SMOOTH[solve](f, tol=1e-12)
        return found.x @ direction + 2 * found.intercept

    args = (np.asarray(0.1), weights, A)
    found = autodiff.grad(error, argnums=(0, 1, 2))(*args)
    for i, (argument, g) in enumerate(zip(args, found, strict=True)):
        along, h = rng.standard_normal(argument.shape), 1e-5
        moved = [error(*(a + e * along if j == i else a for j, a in enumerate(args))) for e in (h, -h)]
        assert float(np.sum(g * along)) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-4, abs=1e-6)


def test_derivatives_of_the_objective(rng):
    A, y, weights = data(rng)
    z = rng.standard_normal(5)
    for loss in ("LeastSquares", "Huber", "Logistic"):
        f = getattr(xs, loss)(A, y, 0.3, weights=weights, intercept=True)
        assert_close(f.gradient(z), autodiff.finite_difference(f.value, z, scheme="central"), rtol=1e-5, atol=1e-6)
        H = autodiff.finite_difference(f.gradient, z, scheme="central")
        if loss != "Huber":
            assert_close(f.hessian(z), H, rtol=1e-5, atol=1e-5)
        many = f.value(np.stack([z, 2 * z]))
        assert_close(many, [f.value(z), f.value(2 * z)])


def test_under_jit(rng):
    jax = pytest.importorskip("jax")
    A, y, weights = map(jax.numpy.asarray, data(rng))

    @jax.jit
    def fitted(A, y, weights):
        f = xs.Logistic(A, y, 0.1, weights=weights, class_weights="balanced", intercept=True)
        return xs.newton(f, tol=1e-10), xs.minimize(f, P.L1(0.02), tol=1e-10)

    smooth, sparse = fitted(A, y, weights)
    f = xs.Logistic(A, y, 0.1, weights=weights, class_weights="balanced", intercept=True)
    assert_close(smooth.intercept, xs.newton(f, tol=1e-10).intercept, rtol=1e-6)
    assert_close(sparse.x, xs.minimize(f, P.L1(0.02), tol=1e-10).x, atol=1e-6)


# --- a matrix in a file, which is centred at every product -----------------------------------------


@pytest.fixture
def in_a_file(tmp_path, rng):
    """A with large means, as an array and as a file."""
    A = rng.standard_normal((300, 5)) + np.asarray([3.0, 0.0, -1.0, 10.0, 0.0])
    np.save(tmp_path / "A.npy", A)
    return A, np.load(tmp_path / "A.npy", mmap_mode="r")


@pytest.mark.parametrize("loss", ["least squares", "huber", "logistic", "multinomial"])
@pytest.mark.parametrize("solve", [xs.newton, xs.gradient_descent, xs.coordinate_descent, xs.minimize])
def test_an_intercept_beside_a_file(in_a_file, rng, loss, solve):
    y = in_a_file[0] @ np.asarray([1.0, -1.0, 0.0, 0.5, 0.0]) + rng.standard_normal(300) - 5
    weights = rng.random(300)

    def model(A):
        options = {"weights": weights, "intercept": True}
        return {
            "least squares": lambda: xs.LeastSquares(A, y, 1e-2, **options),
            "huber": lambda: xs.Huber(A, y, 1e-2, **options),
            "logistic": lambda: xs.Logistic(A, np.sign(y), 1e-2, **options),
            "multinomial": lambda: xs.Multinomial(A, (y > 0).astype(int), 1e-2, **options),
        }[loss]()

    plain, mapped = (solve(model(A)) for A in in_a_file)
    assert mapped.method == plain.method
    assert plain.converged
    assert mapped.converged
    tol = 1e-6 if solve is xs.newton else 1e-2
    assert_close(mapped.x, np.asarray(plain.x), rtol=tol)
