"""Folds that are given as rows to keep and to leave out."""

import numpy as np
import pytest
from sklearn.model_selection import KFold, ShuffleSplit

import xpsolve as xs
from xpsolve.testing import assert_close

DATA = xs.problems.diabetes()
A, Y = DATA.A, DATA.y
W = np.random.default_rng(0).uniform(size=len(Y))
FUNCTIONS = {
    "ridge_cv": lambda A, y, **options: xs.ridge_cv(A, y, [0.01, 0.1, 1.0, 10.0], method="kfold", **options),
    "lasso_cv": lambda A, y, **options: xs.lasso_cv(A, y, n_lams=8, **options),
    "elastic_net_cv": lambda A, y, **options: xs.elastic_net_cv(A, y, thetas=[0.2, 0.8], n_lams=5, **options),
}


@pytest.mark.of("lasso_cv")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_parts_that_follow_one_another_are_the_folds_of_a_number(xp, name):
    n = 440 if xp.name == "jax" and name != "ridge_cv" else len(Y)  # there folds of one length, compiled once
    X, y, options = xp(A[:n]), xp(Y[:n]), {"weights": xp(W[:n]), "intercept": True}
    wanted = FUNCTIONS[name](X, y, folds=4, **options)
    found = FUNCTIONS[name](X, y, folds=list(KFold(4).split(A[:n])), **options)
    rtol = 1e-4 if xp.dtype == "float64" else 1e-2
    assert_close(found.scores, wanted.scores, rtol=rtol, like=X)
    assert_close(found.spread, wanted.spread, rtol=10 * rtol, like=X)
    assert_close(found.x, wanted.x, rtol=rtol, like=X)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_may_be_in_any_order_and_in_neither_part(name):
    folds = list(ShuffleSplit(3, test_size=0.2, train_size=0.5, random_state=0).split(A))
    order = np.random.default_rng(1).permutation(len(Y))
    place = np.argsort(order)
    moved = [(place[kept].tolist(), place[left].tolist()) for kept, left in folds]
    wanted = FUNCTIONS[name](A, Y, folds=folds)
    found = FUNCTIONS[name](A[order], Y[order], folds=moved)
    assert_close(found.scores, wanted.scores, rtol=1e-4)
    assert float(found.lam) == pytest.approx(float(wanted.lam))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_weight_is_a_row_that_comes_as_often(name):
    rng = np.random.default_rng(2)
    times = rng.integers(0, 3, 150)
    rows = np.repeat(np.arange(150), times)
    half = np.arange(150) < 80

    def two(half):
        return [(np.flatnonzero(part), np.flatnonzero(~part)) for part in (half, ~half)]

    wanted = FUNCTIONS[name](A[rows], Y[rows], folds=two(half[rows]))
    found = FUNCTIONS[name](A[:150], Y[:150], weights=times.astype(float), folds=two(half))
    assert_close(found.scores, wanted.scores, rtol=1e-4)


@pytest.mark.parametrize(
    "folds",
    [[], [([0, 1], [])], [([0, 1], [-1])], [([0, 1], [10_000])], [([0.5], [1])], [[0, 1, 2]], [3, 4], "ten", 2.5],
    ids=str,
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_folds_that_are_none_are_named(name, folds):
    with pytest.raises((ValueError, TypeError), match=r"^folds"):
        FUNCTIONS[name](A, Y, folds=folds)
