"""What solvers return, and the assertions that users get."""

import dataclasses

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.solution import Certificate, Solution, Status
from xpsolve.testing import assert_close, assert_like, check_solution, slope_test


def solution(value, ended=None):
    return Solution(np.ones(2), "some", Certificate("error", np.asarray([0.0, value]), 1e-3), ended=ended)


@pytest.mark.parametrize(
    ("value", "ended", "status"),
    [
        (1e-4, None, Status.CONVERGED),
        (1e-2, None, Status.INACCURATE),
        (np.nan, None, Status.NOT_FINITE),
        (np.inf, None, Status.NOT_FINITE),
        (1e-4, Status.MAX_ITER, Status.MAX_ITER),
    ],
)
def test_the_status_follows_the_certificate(value, ended, status):
    assert solution(value, ended).status is status
    assert solution(value, ended).converged == (status is Status.CONVERGED)


@pytest.mark.parametrize("status", Status)
def test_every_status_says_what_to_do(status):
    assert len(status.message) > 20
    assert status.message.endswith(".")


def test_solutions_are_frozen_and_short_to_read():
    with pytest.raises(dataclasses.FrozenInstanceError):
        solution(0.0).x = 1
    assert repr(solution(0.0)) == "Solution(x: 2, method='some', n_iter=0, status=CONVERGED)"


def test_the_certificate_stays_on_the_device_until_it_is_looked_at(rng):
    A, y = rng.standard_normal((6, 3)), rng.standard_normal(6)

    def solve(A, y):
        found = xs.ridge(A, y, 1.0, method="svd", check_finite=False)
        return found, found.certificate.value

    _, tally = xs.count(solve, A, y)
    assert tally.syncs == 1  # the look


def test_assertions_reject_what_they_should():
    x = np.ones(3)
    with pytest.raises(AssertionError, match="dtype"):
        assert_like(x.astype(np.float32), x)
    with pytest.raises(AssertionError, match="expected an array"):
        assert_like(np.float64(1.0), x)
    with pytest.raises(AssertionError, match="largest difference"):
        assert_close(x, x + 1e-3)
    with pytest.raises(AssertionError, match="shape"):
        assert_close(x, np.ones((3, 1)))
    with pytest.raises(AssertionError, match="finite"):
        assert_close(x, np.full(3, np.nan))
    assert_close(np.full(2, np.inf), np.full(2, np.inf))
    with pytest.raises(AssertionError, match="expected x of shape"):
        check_solution(solution(0.0), like=x, shape=(3,))
    with pytest.raises(AssertionError, match="check the derivative"):
        slope_test(np.exp, lambda v: 1.01 * np.exp(x) * v, x)
    assert slope_test(lambda x: 3 * x, lambda v: 3 * v, x) == np.inf
