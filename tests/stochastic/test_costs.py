"""What is counted is what the costs say: products, launches and host reads of the descent methods."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import costs
from xpsolve.capabilities import TABLE
from xpsolve.testing import check_cost

LOSSES = costs.LOSSES
pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")


def objective(rng, loss, n, p, m=3, **samples):
    A, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    options = {"check_finite": False, **samples}
    if loss == "least_squares":
        return xs.LeastSquares(A, y, 0.1, **options)
    if loss == "logistic":
        return xs.Logistic(A, np.where(y > 0, 1.0, -1.0), 0.1, **options)
    return xs.Multinomial(A, np.eye(m)[rng.integers(0, m, n)], 0.1, **options)


def counted(solve, f, n_iter, **options):
    """The tally of exactly so many iterations."""
    solution, tally = xs.count(solve, f, max_iter=n_iter, tol=0.0, **options)
    assert solution.n_iter == n_iter
    return tally


VARIANTS = {
    "plain": {},
    "heavy_ball": {"momentum": "heavy_ball"},
    "nesterov": {"momentum": "nesterov"},
    "armijo": {"line_search": True},
    "exact": {"line_search": "exact"},
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_iter", [0, 7, 20])
def test_gradient_descent(rng, loss, variant, n_iter):
    if variant == "exact" and loss != "least_squares":
        pytest.skip("for least squares only")
    f = objective(rng, loss, 20, 5)
    cost = costs.gradient_descent(20, 5, loss=loss, m=3, variant=variant, n_iter=n_iter)
    check_cost(counted(xs.gradient_descent, f, n_iter, **VARIANTS[variant]), cost)
    assert cost.syncs <= -(-n_iter // costs.CHECK_EVERY) + TABLE["gradient_descent"].syncs


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_products_with_weights_and_an_intercept(rng, loss, intercept):
    n, p, m = 30, 5, 3 if loss == "multinomial" else 1
    f = objective(rng, loss, n, p, weights=rng.random(n), intercept=intercept)
    more = costs.intercept(n, p, m=m) if intercept else costs.Cost()
    features = p + intercept
    given = {"loss": loss, "m": m}
    solves = [
        (
            xs.gradient_descent,
            {"momentum": "nesterov"},
            costs.gradient_descent(n, features, variant="nesterov", **given),
        ),
        (xs.coordinate_descent, {"block": 2}, costs.coordinate_descent(n, features, block=2, **given)),
        (xs.minimize, {"penalty": xs.penalties.L1(0.01)}, costs.minimize(n, features, n_iter=100, **given)),
    ]
    if loss != "multinomial":
        solves.append((xs.newton, {}, costs.newton(n, features, loss=loss, n_iter=100)))
    for solve, options, cost in solves:
        tally = counted(solve, f, 100, **options)
        assert tally.product_flops == (cost + more).flops
        assert tally.syncs == cost.syncs


@pytest.mark.parametrize("block", [1, 16])
def test_products_of_sgd_with_weights_and_an_intercept(rng, block):
    n, p = 60, 5
    f = objective(rng, "least_squares", n, p, weights=rng.random(n), intercept=True)
    _, tally = xs.count(xs.sgd, f, indices=rng.permutation(n).tolist(), block=block, step0=0.1)
    cost = costs.sgd_solve(n, p + 1, loss="least_squares", block=block)
    assert tally.product_flops == (cost + costs.intercept(n, p)).flops
    assert tally.syncs == cost.syncs


@pytest.mark.parametrize("variant", ["plain", "heavy_ball", "nesterov"])
def test_a_given_step_saves_the_norm_of_A(rng, variant):
    f = objective(rng, "logistic", 20, 5)
    cost = costs.gradient_descent(20, 5, loss="logistic", variant=variant, step=True, n_iter=5)
    check_cost(counted(xs.gradient_descent, f, 5, step=0.1, **VARIANTS[variant]), cost)


@pytest.mark.parametrize(("n", "p"), [(20, 5), (5, 20), (300, 260)])
def test_lipschitz(rng, n, p):
    _, tally = xs.count(lambda f: f.lipschitz(), objective(rng, "logistic", n, p))
    check_cost(tally, costs.lipschitz(n, p))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("block", [1, 2, 5])
@pytest.mark.parametrize("n_iter", [0, 12])
def test_coordinate_descent(rng, loss, block, n_iter):
    f = objective(rng, loss, 20, 5)
    cost = costs.coordinate_descent(20, 5, loss=loss, m=3, block=block, n_iter=n_iter)
    check_cost(counted(xs.coordinate_descent, f, n_iter, block=block), cost)


@pytest.mark.parametrize("loss", LOSSES[:2])
@pytest.mark.parametrize("n_iter", [0, 1, 3])
def test_newton_by_cholesky(rng, loss, n_iter):
    f = objective(rng, loss, 20, 5)
    cost = costs.newton(20, 5, loss=loss, n_iter=n_iter)
    check_cost(counted(xs.newton, f, n_iter), cost)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_iter", [0, 1])
def test_newton_by_conjugate_gradients(rng, loss, n_iter):
    f = objective(rng, loss, 30, 8)  # the first gradient deserves half its length, which three iterations give
    cost = costs.newton(30, 8, loss=loss, m=3, method="cg", n_iter=n_iter, cg_iter=3)
    check_cost(counted(xs.newton, f, n_iter, method="cg"), cost)


def test_a_smaller_gradient_deserves_more(rng):
    f = objective(rng, "logistic", 60, 40)
    tallies = [counted(xs.newton, f, k, method="cg") for k in range(6)]
    further = np.diff([(t.launches, t.product_flops, t.syncs) for t in tallies], axis=0)
    iterations = [round((flops / (2 * 60 * 40) - 3) / 2) for _, flops, _ in further]  # of conjugate gradients
    assert iterations == sorted(iterations)
    assert iterations[-1] > iterations[0] == 3
    start = costs.newton(60, 40, method="cg", n_iter=0)
    for (launches, flops, syncs), cg_iter in zip(further, iterations, strict=True):
        once = costs.newton(60, 40, method="cg", n_iter=1, cg_iter=cg_iter) + -1 * start
        assert (flops, syncs) == (once.flops, once.syncs)
        assert 0.8 * once.launches <= launches <= once.launches


@pytest.mark.parametrize(
    ("loss", "n", "block", "step", "retries"),
    [
        ("least_squares", 60, 1, 0.1, 0),
        ("least_squares", 61, 16, 0.1, 0),
        ("least_squares", 13000, 1024, 0.01, 0),  # chunks as long as they become
        ("logistic", 60, 1, 0.1, 0),
        ("logistic", 61, 16, 0.5, 1),
        ("logistic", 80, 16, 0.2, 0),
        ("logistic", 5000, 512, 0.1, 0),  # Newton's method
        ("multinomial", 60, 1, 0.1, 0),
        ("multinomial", 80, 16, 0.1, 0),
    ],
)
def test_a_call_of_sgd_whose_blocks_need_as_many_sweeps_as_the_first(loss, n, block, step, retries):
    rng = np.random.default_rng(0)
    f = objective(rng, loss, n, 5)
    _, tally = xs.count(xs.sgd, f, indices=rng.permutation(n).tolist(), block=block, step0=step)
    cost = costs.sgd_solve(n, 5, loss=loss, m=3, block=block, retries=retries)
    check_cost(tally, cost)


def test_logsumexp_and_softmax(rng):
    x = rng.standard_normal((4, 6))
    for function, cost in ((xs.logsumexp, costs.logsumexp(4, 6)), (xs.softmax, costs.softmax(4, 6))):
        _, tally = xs.count(function, x)
        check_cost(tally, cost)
