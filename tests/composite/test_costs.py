"""What is counted is what the costs say of `minimize` and `nnls`: products, host reads, and launches at most."""

import math

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import costs
from xpsolve import penalties as P

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
M = 3
METHODS = [("ista", "l1"), ("fista", "l1"), ("fista", "nonnegative"), ("fista", "group"), ("primal_dual", "tv")]


def objective(rng, loss, n, p):
    A, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    if loss == "least_squares":
        return xs.LeastSquares(A, y, check_finite=False)
    if loss == "logistic":
        return xs.Logistic(A, np.where(y > 0, 1.0, -1.0), check_finite=False)
    return xs.Multinomial(A, np.eye(M)[rng.integers(0, M, n)], check_finite=False)


def made(name, p, m):
    """A penalty of x (p,) or (p, m)."""
    square = math.isqrt(p)
    return {
        "l1": lambda: P.L1(0.01),
        "nonnegative": P.NonNegative,
        "group": lambda: P.GroupL1(0.01, 2 if m == 1 else "rows"),
        "tv": lambda: P.TotalVariation(0.01, (square, square)),
    }[name]()


def counted(f, penalty, method, n_iter):
    """Launches, product flops and syncs of exactly so many iterations."""
    solution, tally = xs.count(xs.minimize, f, penalty, method=method, max_iter=n_iter, tol=0.0, check_finite=False)
    assert solution.n_iter == n_iter
    return np.asarray([tally.launches, tally.product_flops, tally.syncs])


@pytest.mark.parametrize("loss", costs.LOSSES)
@pytest.mark.parametrize(("method", "name"), METHODS)
@pytest.mark.parametrize(("n", "p"), [(40, 16), (10, 16)])
def test_minimize(rng, loss, method, name, n, p):
    m = M if loss == "multinomial" else 1
    f, penalty = objective(rng, loss, n, p), made(name, p, m)
    options = {"method": method, "penalty": "total_variation" if name == "tv" else name, "loss": loss, "m": m}
    found = {k: counted(f, penalty, method, k) for k in (5, 7, 20)}
    for k, (_, flops, syncs) in found.items():
        cost = costs.minimize(n, p, n_iter=k, **options)
        assert (flops, syncs) == (cost.flops, cost.syncs)
    stated = costs.minimize(n, p, n_iter=7, **options) + -1 * costs.minimize(n, p, n_iter=5, **options)
    launches = found[7][0] - found[5][0]  # of two iterations without a check
    assert stated.launches / 2 <= launches <= stated.launches


def test_steps_on_a_set(rng):
    """With many samples what is done on the Gram matrix is little beside the products."""
    n, p = 20_000, 60
    A = rng.standard_normal((n, p))
    f = xs.Logistic(A, np.where(A[:, 0] + rng.standard_normal(n) > 0, 1.0, -1.0), check_finite=False)
    for k in (1, 3):
        options = {"method": "working_set", "max_iter": k, "tol": 0.0, "check_finite": False}
        solution, tally = xs.count(xs.minimize, f, P.L1(0.02), **options)
        assert solution.stats["sizes"] == (p,) * k
        stated = costs.minimize(n, p, loss="logistic", method="working_set", n_iter=k, size=p).flops
        assert stated <= tally.product_flops <= 1.1 * stated
    with pytest.raises(ValueError, match="expected one of ista, fista, got"):
        costs.minimize(n, p, method="working_set", penalty="group")


@pytest.mark.parametrize(("n", "p", "k"), [(40, 16, 1), (10, 16, 1), (40, 6, 3)])
def test_nnls(rng, n, p, k):
    A, Y = rng.standard_normal((n, p)), rng.standard_normal((n, k))
    y = Y[:, 0] if k == 1 else Y
    for n_iter in (1, 13):
        _, tally = xs.count(xs.nnls, A, y, max_iter=n_iter, tol=0.0, check_finite=False)
        cost = costs.nnls(n, p, k=k, n_iter=n_iter)
        assert (tally.product_flops, tally.syncs) == (cost.flops, cost.syncs)


class Identity(xs.LinearOperator):
    """The operator of denoising."""

    def _matvec(self, x):
        return x

    def _rmatvec(self, y):
        return y


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_denoising(rng, dim):
    shape = (4,) * dim
    f = xs.LeastSquares(Identity((4**dim, 4**dim)), rng.standard_normal(4**dim), check_finite=False)
    found = {k: counted(f, P.TotalVariation(0.01, shape), "primal_dual", k) for k in (5, 7)}
    stated = {k: costs.denoising(4**dim, dim=dim, n_iter=k) for k in (5, 7)}
    assert all((found[k][1], found[k][2]) == (0, stated[k].syncs) for k in found)
    launches = found[7][0] - found[5][0]
    assert (stated[7].launches - stated[5].launches) / 2 <= launches <= stated[7].launches - stated[5].launches


def test_the_formulas_grow_as_the_text_book_says():
    def exponent(f, size):
        return math.log2(f(2 * size) / f(size))

    def once(n, p, **options):
        return (costs.minimize(n, p, n_iter=2, **options) + -1 * costs.minimize(n, p, n_iter=1, **options)).flops

    assert once(10, 1000, loss="logistic") == 4 * 10 * 1000
    assert once(1000, 10) == 2 * 10 * 10  # the Gram matrix
    assert exponent(lambda n: costs.denoising(n * n).bytes, 1000) == pytest.approx(2)
    assert costs.minimize(1000, 10, itemsize=4).bytes * 2 == costs.minimize(1000, 10).bytes


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"loss": "hinge"}, "loss: expected one of least_squares"),
        ({"penalty": "l0"}, "penalty: expected one of l1"),
        ({"method": "primal_dual"}, "method: expected one of ista, fista"),
        ({"penalty": "total_variation"}, "method: expected one of primal_dual"),
    ],
)
def test_an_unknown_option_raises(option, words):
    with pytest.raises(ValueError, match=words):
        costs.minimize(2, 2, **option)
