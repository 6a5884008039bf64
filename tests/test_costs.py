"""Costs: exponents of their formulas, and the choice that follows from them."""

import math

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import costs


def exponent(f, size):
    return math.log2(f(2 * size).flops / f(size).flops)


def test_exponents_of_ridge():
    assert exponent(lambda n: costs.ridge(n, 100), 10**6) == pytest.approx(1, abs=0.01)
    assert exponent(lambda p: costs.ridge(10**7, p), 1000) == pytest.approx(2, abs=0.01)
    assert exponent(lambda n: costs.ridge(n, 10**7, method="woodbury"), 1000) == pytest.approx(2, abs=0.01)
    assert exponent(lambda p: costs.ridge(100, p, method="woodbury"), 10**6) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("n", "p", "k"), [(60, 20, 1), (20, 60, 1), (200, 100, 1), (60, 20, 3), (20, 60, 3)])
@pytest.mark.parametrize("method", ["gcv", "loo", "kfold"])
def test_the_choice_of_lam_of_ridge_costs_what_is_counted(rng, n, p, k, method):
    A, Y = rng.standard_normal((n, p)), rng.standard_normal((n, k) if k > 1 else n)
    lams = np.geomspace(1, 100, 30)
    found, tally = xs.count(xs.ridge_cv, A, Y, lams, method=method, folds=5, check_finite=False)
    cost = costs.ridge_cv(n, p, n_lams=30, method=method, k=k, folds=5)
    assert "svd" not in found.method
    assert cost.flops <= tally.flops <= 1.15 * cost.flops  # the rest are entries of small arrays
    assert tally.launches <= cost.launches <= 1.25 * tally.launches


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize(("n", "p", "m"), [(60, 20, 10), (40, 10, 15)])
def test_a_stream_of_samples_costs_what_is_counted(rng, n, p, m):
    for batches in (1, 4):
        X = list(rng.standard_normal((batches, n, p)))
        _, tally = xs.count(xs.dictionary_learning, X, m, 0.1, tol=1e9, check_finite=False)
        cost = costs.dictionary_stream(n, p, m, batches=batches)
        assert (tally.launches, tally.syncs, tally.product_flops) == (cost.launches, cost.syncs, cost.flops)


def test_training_on_a_stream_costs_what_is_counted(rng):
    def loss(parameters, Z, Y):
        X = xs.mlp_forward(*parameters, Z.T)
        E = (X[-1] - Y.T) / Z.shape[0]
        return 0.5 * E.__array_namespace__().sum(E * E) * Z.shape[0], xs.mlp_backward(*parameters, X, E)

    depth, width, batch = 3, 8, 20
    theta = [rng.standard_normal((width, width)) for _ in range(depth)], [np.zeros(width) for _ in range(depth)]
    for batches in (1, 7, costs.STREAM_LOOK + 1):
        pairs = [tuple(rng.standard_normal((2, batch, width))) for _ in range(batches)]
        _, tally = xs.count(xs.networks.train, loss, theta, batches=pairs, step=0.01, tol=1e9)
        cost = costs.train(depth, width, batch, batches=batches)
        assert (tally.launches, tally.syncs, tally.product_flops) == (cost.launches, cost.syncs, cost.flops)


def test_normal_and_woodbury_cost_alike_where_n_is_p():
    normal, woodbury = (costs.ridge(1000, 1000, method=m) for m in ("normal", "woodbury"))
    assert woodbury.flops / normal.flops == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("n", "p", "best"), [(5000, 100, "normal"), (100, 5000, "woodbury")])
def test_the_cheapest(n, p, best):
    assert costs.cheapest({m: costs.ridge(n, p, method=m) for m in ("normal", "woodbury", "svd")}) == best


def test_costs_add_and_repeat():
    one = costs.gemm(2, 3, 4)
    assert (one + one).flops == (2 * one).flops == 96
    assert (one + one).memory == one.memory  # one after the other


def test_the_floor_is_the_slowest_of_three_limits():
    machine = costs.Ceilings(1e9, 1e9, 1e-3)
    assert costs.Cost(flops=10**9).floor(machine) == 1
    assert costs.Cost(bytes=2 * 10**9).floor(machine) == 2
    assert costs.Cost(flops=10**9, launches=5000).floor(machine) == 5
    assert costs.Cost(flops=10**9, bytes=10**9, launches=1000).time(machine) == pytest.approx(3)


def test_a_long_matrix_is_reduced_first():
    assert costs.thin_svd(10_000, 10).flops < 14 * 10_000 * 100
    assert costs.thin_svd(10, 10_000) == costs.thin_svd(10_000, 10)


def test_an_unknown_method_raises():
    with pytest.raises(ValueError, match=r"normal, woodbury, cg, svd"):
        costs.ridge(2, 2, method="qr")
