"""Small problems take their steps in a compiled loop: the same steps, to rounding, and only where it is faster."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays.numba_loop import can_compile
from xpsolve.testing import assert_close
from xpsolve.transport import _compiled, _iterations

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
needs_numba = pytest.mark.skipif(not can_compile(), reason="Numba is not installed, or switched off")


def problem(rng, n=14, m=9, dtype="float64"):
    a, b = rng.random(n) + 0.1, rng.random(m) + 0.1
    M = np.sum((rng.random((n, 1, 2)) - rng.random((1, m, 2))) ** 2, axis=-1)
    return [x.astype(dtype) for x in (a / a.sum(), b / b.sum(), M)]


@pytest.fixture
def steps(monkeypatch):
    """How many steps were taken by each call of the loop; `steps.off()` leaves them to single calls."""

    class Steps(list):
        def off(self):
            monkeypatch.setattr(_iterations, "pays", lambda a, b: False)

    found, run = Steps(), _compiled.scaling_steps

    def noted(*args):
        found.append(args[-1])
        return run(*args)

    monkeypatch.setattr(_iterations, "scaling_steps", noted)
    return found


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"relaxation": 1.0},
        {"relaxation": 1.4, "max_iter": 57},
        {"method": "stabilized"},
        {"method": "stabilized", "eps": 0.002},
        {"record": True},
        {"keep_kernel": True},
        {"tol": 0.0, "max_iter": 25},
    ],
)
def test_its_steps_are_those_of_single_calls(rng, steps, dtype, options):
    a, b, M = problem(rng, dtype=dtype)
    a[:2], b[3], M[4, 1] = 0, 0, np.inf
    a, b = a / a.sum(), b / b.sum()
    options = {"eps": 0.05, "tol": 1e-9 if dtype == "float64" else 1e-5} | options
    mine = xs.sinkhorn(a, b, M, **options)
    assert len(steps) > 0
    assert sum(steps) == mine.n_iter
    taken = len(steps)
    steps.off()
    one = xs.sinkhorn(a, b, M, **options)
    assert len(steps) == taken
    assert (mine.n_iter, mine.status, mine.method) == (one.n_iter, one.status, one.method)
    assert mine.x[0].dtype == dtype
    assert_close(mine.plan(), one.plan(), rtol=0, atol=1e-12 if dtype == "float64" else 1e-5)
    assert abs(mine.certificate.value - one.certificate.value) <= (1e-12 if dtype == "float64" else 1e-5)


@needs_numba
def test_any_layout_of_the_weights(rng, steps):
    a, b, M = problem(rng)
    plain = xs.sinkhorn(a, b, M, 0.1).plan()
    twice, columns = np.repeat(a, 2)[::2], np.asarray(M, order="F")
    twice.flags.writeable = columns.flags.writeable = False
    np.testing.assert_array_equal(xs.sinkhorn(twice, b[::-1][::-1], columns, 0.1).plan(), plain)
    assert len(steps) > 0


@needs_numba
def test_where_it_is_not_taken(rng, steps, monkeypatch):
    a, b, M = problem(rng)
    xs.sinkhorn(np.stack([a, a]), b, M, 0.1)
    xs.sinkhorn(a, b, M, 0.1, marginal=1.0)
    xs.sinkhorn(a, b, M, 0.1, method="log")
    xs.sinkhorn(a, a, xs.Grid(np.linspace(0, 1, 14)), 0.1)
    xs.sinkhorn(a, a, (a[:, None] - a) ** 2, 0.01)  # takes averages
    _, tally = xs.count(xs.sinkhorn, a, b, M, 0.1)
    assert tally.launches > 100
    with autodiff.unrolled():
        autodiff.grad(lambda M: xs.sinkhorn(a, b, M, 0.1).value)(M)
    monkeypatch.setattr(_compiled, "_MOST", 100)
    xs.sinkhorn(a, b, M, 0.1)
    assert steps == []


def test_without_numba_single_calls_are_taken(rng, steps, monkeypatch):
    monkeypatch.setattr(_compiled, "can_compile_small", lambda: False)
    a, b, M = problem(rng)
    assert xs.sinkhorn(a, b, M, 0.1).converged
    assert steps == []
