"""The loop: when it checks, when it stops, what it keeps, and that it traces."""

from typing import NamedTuple

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import iterate, namespace_of
from xpsolve.testing import assert_close


class State(NamedTuple):
    x: object


class Pair(NamedTuple):
    x: object
    y: object


def halve(s):
    return State(s.x / 2)


def run(xp, **options):
    settings = {"tol": 0.01, "max_iter": 100, "check_every": 5, "measure": lambda s: xp.xp.max(s.x)} | options
    return iterate(halve, State(xp(np.ones(3))), **settings)


def test_it_stops_at_the_first_check_that_passes(xp):
    found = run(xp)
    assert (found.n_iter, found.reason, found.reads) == (10, "tolerance", 3)
    assert_close(found.state.x, np.full(3, 2.0**-10), like=xp(np.ones(1)))


def test_max_iter_is_met_exactly(xp):
    assert run(xp, max_iter=3).n_iter == 3
    assert run(xp, max_iter=0).reason == "max_iter"


def test_a_solved_problem_costs_no_step(xp):
    assert run(xp, tol=1.0).n_iter == 0


def test_a_nan_ends_it(xp):
    found = run(xp, measure=lambda s: xp.xp.max(s.x) * float("nan"))
    assert (found.n_iter, found.reason) == (0, "not finite")


def test_the_callback_sees_every_check_and_may_stop(xp):
    seen = []
    found = run(xp, callback=lambda k, s: seen.append(k) or k == 5)
    assert (seen, found.reason, found.n_iter) == ([0, 5], "callback", 5)


def test_history_has_the_start_and_every_step_on_the_device(xp):
    found = run(xp, record=lambda s: {"largest": xp.xp.max(s.x)})
    assert_close(found.history["largest"], 2.0 ** -np.arange(11), like=xp(np.ones(1)))


def test_refresh_runs_before_each_check():
    found = iterate(
        halve, State(np.ones(1)), measure=lambda s: s.x[0], tol=0.01, max_iter=20, check_every=5,
        refresh=lambda s: State(s.x * 32),
    )  # fmt: skip
    assert (found.reason, found.measure) == ("max_iter", 1.0)


def test_several_steps_at_once():
    asked = []

    def several(s, n):
        asked.append(n)
        return State(s.x / 2.0**n)

    found = iterate(
        halve, State(np.ones(1)), measure=lambda s: s.x[0], tol=0.0, max_iter=23, check_every=10, several=several
    )
    assert (found.n_iter, asked) == (23, [10, 10, 3])
    assert found.state.x == 2.0**-23


def test_one_read_a_check():
    def solve(x):
        return iterate(halve, State(x), measure=lambda s: s.x[0], tol=1e-9, max_iter=100, check_every=10).n_iter

    n_iter, tally = xs.count(solve, np.ones(1))
    assert tally.syncs == n_iter // 10 + 1 == 4


def test_the_traced_loop_is_the_eager_loop():
    jax = pytest.importorskip("jax")

    def solve(x):
        found = iterate(halve, State(x), measure=lambda s: s.x.max(), tol=0.01, max_iter=23, check_every=5)
        return found.state.x, found.n_iter

    x, n_iter = jax.jit(solve)(np.ones(3))
    assert int(n_iter) == 10
    assert_close(x, np.full(3, 2.0**-10))
    with pytest.raises(ValueError, match=r"jax\.jit"):
        jax.jit(lambda x: iterate(halve, State(x), measure=lambda s: s.x[0], tol=1, max_iter=1, record=lambda s: 0))(
            np.ones(3)
        )


@pytest.mark.parametrize("options", [{"check_every": 0}, {"max_iter": -1}])
def test_senseless_numbers_raise(options):
    with pytest.raises(ValueError, match="expected check_every >= 1 and max_iter >= 0"):
        iterate(halve, State(np.ones(1)), **({"measure": lambda s: 0, "tol": 1, "max_iter": 1} | options))


def test_a_negative_measure_asks_for_renewal(rng):
    jax = pytest.importorskip("jax")

    def solve(x):
        # below 0.1 it is lifted once, from 2⁻⁵ to 3, and then halves on
        return iterate(
            lambda s: Pair(s.x / 2, s.y),
            Pair(x, 0 * x),
            measure=lambda s: namespace_of(x).where((s.x < 0.1) & (s.y == 0), -1.0 + 0 * x, s.x),
            renew=lambda s: Pair(3.0 + 0 * x, s.y + 1),
            tol=0.01,
            max_iter=100,
            check_every=5,
        )

    run = solve(np.asarray(1.0))
    assert (run.n_iter, run.reason, run.reads) == (15, "tolerance", 4)
    assert float(jax.jit(lambda x: solve(x).state.x)(jax.numpy.asarray(1.0))) == float(run.state.x) == 3 * 2.0**-10
