"""Folds on an accelerator are solved side by side: as many launches for all of them as for a few."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.testing import assert_close

cupy = pytest.importorskip("cupy")
pytest.importorskip("cupy.emulator", reason="counted on the processor")


def launches(f, *args, **options):
    out, tally = xs.count(f, *args, check_finite=False, **options)
    return out, tally.launches


@pytest.mark.parametrize("intercept", [False, True])
def test_all_folds_together_start_about_as_much_as_one(rng, intercept):
    A = rng.standard_normal((40, 60))
    y = A[:, :3] @ np.ones(3) + 0.3 * rng.standard_normal(40) + 2 * intercept
    lams = list(np.geomspace(0.9, 0.1, 10) * np.max(np.abs(A.T @ y)))
    there, right, options = cupy.asarray(A), cupy.asarray(y), {"intercept": intercept}
    found, total = launches(xs.lasso_cv, there, right, lams, folds=10, **options)
    _, last = launches(xs.lasso, there, right, found.lam, **options)
    _, one = launches(xs.lasso_path, there[4:, :], right[4:], lams, **options)
    assert total - last < 3 * one  # and not 10
    wanted = xs.lasso_cv(A, y, lams, folds=10, **options)
    assert_close(found.scores, wanted.scores, rtol=1e-3)
    assert float(found.lam) == float(wanted.lam)


def test_the_elastic_net_too(rng):
    A = rng.standard_normal((30, 20))
    y = A[:, :3] @ np.ones(3) + 0.3 * rng.standard_normal(30)
    options = {"thetas": [0.2, 0.8], "n_lams": 8, "ratio": 0.05, "folds": 6}
    weights = 0.5 + rng.random(30)
    found = xs.elastic_net_cv(cupy.asarray(A), cupy.asarray(y), weights=cupy.asarray(weights), **options)
    wanted = xs.elastic_net_cv(A, y, weights=weights, **options)
    assert_close(found.scores, wanted.scores, rtol=1e-2)
    assert found.theta == wanted.theta
