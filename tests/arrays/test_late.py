"""Checks that come later and later: as many as the costs say, and few steps more."""

import numpy as np
import pytest

from xpsolve.arrays.loops import iterate
from xpsolve.costs.model import checks


def halving(x, **options):
    return iterate(lambda s: (s[0] * 0.99,), (x,), measure=lambda s: s[0], max_iter=10**5, **options)


@pytest.mark.parametrize("every", [1, 7, 20])
@pytest.mark.parametrize("tol", [0.5, 1e-4, 1e-40])
def test_few_checks_and_few_steps_more(every, tol):
    often, seldom = (halving(np.asarray(1.0), tol=tol, check_every=every, late=late) for late in (0.0, 0.1))
    assert often.reason == seldom.reason == "tolerance"
    assert often.n_iter <= seldom.n_iter <= 1.1 * often.n_iter + every
    assert seldom.reads == checks(seldom.n_iter, every, 0.1) + 1 <= often.reads
    assert often.reads == checks(often.n_iter, every) + 1


def test_a_late_check_never_passes_the_last_step():
    run = iterate(
        lambda s: (s[0] + 1,), (np.asarray(0.0),), measure=lambda s: s[0] * 0 + 1, tol=0, max_iter=1003, late=0.5
    )
    assert (run.reason, run.n_iter, float(run.state[0])) == ("max_iter", 1003, 1003.0)


@pytest.mark.parametrize("late", [0.0, 0.1, 0.5])
def test_what_comes_between_comes_in_time_also_under_jit(late):
    jax = pytest.importorskip("jax")

    def counted(x):
        """Steps, and how often a refresh or what comes in its place was there."""
        run = iterate(
            lambda s: (s[0] + 1, s[1]),
            (x, x),
            measure=lambda s: 500 - s[0],
            tol=0.0,
            max_iter=10**4,
            check_every=10,
            refresh=lambda s: (s[0], s[1] + 1),
            between=lambda s: (s[0], s[1] + 1),
            late=late,
        )
        return run.state

    steps, renewals = counted(np.asarray(0.0))
    assert renewals == steps // 10
    assert [float(x) for x in jax.jit(counted)(0.0)] == [steps, renewals]
