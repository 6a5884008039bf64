"""What solvers return, and the assertions that users get."""

import copy
import dataclasses
import pickle
import warnings

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status, finish, inner_solve
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
    assert tally.syncs == 1  # the check


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


# --- the one ending --------------------------------------------------------------------------------


ADVICE = {Status.MAX_ITER: "Use another method.", Status.INACCURATE: "Raise lam."}


def end(reason="", measure=None, ended=None):
    certificate = Certificate("error", np.asarray(0.0 if measure is None else measure), 1e-3)
    return finish(
        "solver", np.ones(2), method="some", certificate=certificate, reason=reason, measure=measure, n_iter=7,
        ended=ended, advice=ADVICE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "measure", "ended", "status"),
    [
        ("max_iter", 0.5, None, Status.MAX_ITER),
        ("not finite", np.nan, None, Status.NOT_FINITE),
        ("", 0.5, None, Status.INACCURATE),
        ("tolerance", np.inf, None, Status.NOT_FINITE),
        ("max_iter", 0.5, Status.DIVERGED, Status.DIVERGED),
    ],
)
def test_what_is_not_converged_warns_once_at_the_line_of_the_caller(reason, measure, ended, status):
    with pytest.warns(ConvergenceWarning) as caught:
        solution = end(reason, measure, ended)
    (warning,) = caught
    assert warning.filename == __file__
    assert solution.status is status
    assert str(warning.message).startswith("solver(method='some'): ")
    assert ADVICE.get(status, "") in str(warning.message)
    assert solution.message.endswith(ADVICE.get(status, ""))


@pytest.mark.parametrize(("reason", "measure"), [("tolerance", 1e-4), ("callback", 0.5), ("", None), ("", 1e-4)])
def test_what_is_converged_or_was_stopped_does_not_warn(reason, measure):
    assert end(reason, measure).status in (Status.CONVERGED, Status.STOPPED)


def test_solves_inside_a_solve_do_not_warn():
    with inner_solve():
        assert end("max_iter", 0.5).status is Status.MAX_ITER
    with pytest.warns(ConvergenceWarning):
        end("max_iter", 0.5)


def transport():
    return xs.sinkhorn(np.full(2, 0.5), np.full(2, 0.5), np.eye(2), 0.1)


@pytest.mark.parametrize("make", [lambda: xs.ridge(np.eye(2), np.ones(2), 1.0), transport])
@pytest.mark.parametrize("copied", [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy])
def test_solutions_can_be_copied_and_compare_by_identity(make, copied):
    solution = make()
    again = copied(solution)
    assert again is not solution
    assert again != solution
    assert solution == solution
    assert again.status is solution.status
    assert again.certificate.value == solution.certificate.value
    assert np.array_equal(np.asarray(again.x), np.asarray(solution.x))


@pytest.mark.parametrize(
    "solve",
    [
        lambda A, y: xs.ridge(A, y, 1.0),
        lambda A, y: xs.lasso(A, y, 0.1, method="fista"),
        lambda A, y: xs.sinkhorn(y**2 / (y**2).sum(), y**2 / (y**2).sum(), A.T @ A, 1.0),
    ],
)
def test_jit_returns_solutions(solve, rng):
    jax = pytest.importorskip("jax")
    A, y = (jax.numpy.asarray(v) for v in (rng.standard_normal((4, 4)), rng.standard_normal(4)))
    solution = jax.jit(solve)(A, y)
    assert isinstance(solution, Solution)
    assert solution.converged
    doubled = jax.tree_util.tree_map(lambda v: 2 * v, solution)
    for twice, once in zip(jax.tree_util.tree_leaves(doubled), jax.tree_util.tree_leaves(solution), strict=True):
        assert np.array_equal(np.asarray(twice), 2 * np.asarray(once))


def test_overflow_inside_a_solver_is_told_by_the_status_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = xs.softmax(np.asarray([1e308, -1e308]))  # the difference of the two is beyond float64
    assert np.array_equal(weights, [1.0, 0.0])
