"""Small problems on arrays of lazy libraries: computed once, solved in memory, given back as they came."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import in_memory, namespace_of
from xpsolve.testing import assert_close


def halves(G, b, nothing=None):
    """All halves of b that are at least 1, as a loop of many steps: their number, b again and 0-d sums."""
    xp, steps = namespace_of(b), 0
    while bool(xp.max(xp.abs(b)) >= 1):
        b, steps = 0.5 * (G @ b), steps + 1
    assert nothing is None
    return b, xp.sum(b), xp.max(b) - 1, steps


def test_the_answer_is_that_of_the_plain_call(xp, rng):
    b = rng.standard_normal(5)
    there = xp(8 * b)
    found, total, other, steps = in_memory(halves, xp(np.eye(5)), there, None)
    expected = halves(np.eye(5), 8 * b)
    assert_close(found, expected[0], rtol=4 * xp.eps, like=there)
    for number, wanted in zip((total, other), expected[1:3], strict=True):
        assert float(number) == pytest.approx(wanted, rel=40 * xp.eps)
    assert type(steps) is int
    assert steps == expected[3]


def test_every_operation_is_counted(xp):
    x = xp(np.ones(3))
    _, tally = xs.count(lambda x: in_memory(lambda x, y: (x + y, x * y), x, x), x)
    assert (tally.launches, tally.flops) == (2, 6)


def test_derivatives_go_through(xp):
    x = xp(np.asarray([1.0, 2.0]))

    def f(x):
        (found,) = in_memory(lambda x: (namespace_of(x).sum(x**3),), x)
        return found

    assert_close(autodiff.grad(f)(x), np.asarray([3.0, 12.0]), rtol=8 * xp.eps, like=x)


def test_jit_goes_through():
    jax = pytest.importorskip("jax")
    x = jax.numpy.arange(3.0)
    assert_close(jax.jit(lambda x: in_memory(lambda x: (2 * x, 1), x)[0])(x), 2 * np.arange(3.0), like=x)


# --- on Dask --------------------------------------------------------------------------------------


class Disk:
    """An array that counts how often it is read."""

    def __init__(self, values):
        self.values, self.reads = values, 0
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key):
        self.reads += 1
        return self.values[key]

    def array(self):
        """As an array of Dask, in one chunk."""
        dask = pytest.importorskip("dask.array")
        return dask.from_array(self, chunks=-1, name=False)


def test_what_all_arrays_need_is_computed_once():
    calls = []
    x = Disk(np.arange(6.0)).array().map_blocks(lambda x: calls.append(x) or x + 1, dtype=float, meta=np.empty(0))
    first, second = in_memory(lambda x, y: (type(x).__name__, type(y).__name__), x * 2, x.sum())
    assert (first, second) == ("ndarray", "ndarray")
    assert len(calls) == 1


@pytest.fixture
def by_fista(monkeypatch):
    """Without compiled sweeps, which need few steps."""
    monkeypatch.setattr("xpsolve.linear.semismooth_newton.is_compiled", lambda x: False)


@pytest.fixture
def scheduled():
    """How often Dask has computed something."""
    callbacks = pytest.importorskip("dask.callbacks")

    class Runs(callbacks.Callback):
        count = 0

        def _start(self, dsk):
            self.count += 1

    with Runs() as runs:
        yield runs


def wide(rng):
    A = rng.standard_normal((60, 300))
    y = A @ (rng.standard_normal(300) * (rng.random(300) < 0.1)) + 0.1 * rng.standard_normal(60)
    return A, y, 0.02 * np.max(np.abs(A.T @ y))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_steps_of_a_working_set_compute_nothing(rng, scheduled, by_fista, dtype):
    A, y, lam = wide(rng)
    disk, Y = Disk(A.astype(dtype)), Disk(y.astype(dtype))
    solution = xs.lasso(disk.array(), Y.array(), lam, method="working_set", tol=1e-9 if dtype == "float64" else 1e-5)
    assert solution.converged
    assert solution.n_iter > 50
    assert scheduled.count <= 8 + 9 * solution.stats["rounds"]
    assert disk.reads <= 4 + 3 * solution.stats["rounds"]  # new columns, Aᵀr, and that in float64


def test_the_steps_of_a_path_compute_nothing(rng, scheduled, by_fista):
    A, y, _ = wide(rng)
    disk = Disk(A)
    path = xs.lasso_path(disk.array(), Disk(y).array(), n_lams=10)
    assert path.converged
    assert path.stats["steps"] > path.n_iter > 100
    assert scheduled.count <= 10 + 6 * path.stats["looks"]
    assert disk.reads <= 4 + 3 * path.stats["looks"]


def test_a_newton_step_computes_its_system_and_its_state(rng, scheduled):
    A = wide(rng)[0]
    solution = xs.newton(xs.Logistic(Disk(A.T).array(), Disk(np.sign(A[0])).array(), 1e-3))
    assert solution.converged
    assert solution.n_iter > 3
    assert scheduled.count <= 12 + 4 * solution.n_iter
