"""Dask on two workers of their own: the answer of one process, rows read as seldom, and a worker that is killed."""

import os
import signal
import threading

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.testing import assert_close

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

N, P, ROWS = 400, 4, 50
# tornado and distributed, when a worker goes away
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def rows(index):
    """[A y] of some rows, made anew at each call, which the worker counts."""
    if not len(index):
        return np.empty((0, P + 1))
    worker = distributed.get_worker()
    worker.made = getattr(worker, "made", 0) + len(index)
    A = np.random.default_rng(int(index[0])).standard_normal((len(index), P))
    return np.column_stack([A, A @ np.arange(1.0, P + 1) + np.cos(index)])


def made(dask_worker):
    """Rows that were made since the last call."""
    found, dask_worker.made = getattr(dask_worker, "made", 0), 0
    return found


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "1GB", "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def samples():
    """A and y on the workers."""
    index = da.arange(N, chunks=ROWS)
    both = index.map_blocks(rows, new_axis=1, chunks=((ROWS,) * (N // ROWS), (P + 1,)), dtype=float)
    return both[:, :P], both[:, P]


CALLS = {
    "ridge": (lambda A, y: xs.ridge(A, y, 1.0), lambda n: 2),
    "lstsq": (xs.lstsq, lambda n: 2),
    # the check of the arguments, the first pass, and one for a step
    "gradient_descent": (lambda A, y: xs.gradient_descent(xs.LeastSquares(A, y, 0.1)), lambda n: n + 2),
    "newton": (lambda A, y: xs.newton(xs.Huber(A, y, 0.1)), lambda n: n + 2),
    "minimize": (lambda A, y: xs.minimize(xs.LeastSquares(A, y), xs.penalties.L1(0.1)), lambda n: 4),
}


@pytest.mark.parametrize("name", CALLS)
def test_two_workers(client, samples, name):
    call, passes = CALLS[name]
    client.run(made)
    solution = call(*samples)
    assert sum(client.run(made).values()) <= passes(solution.n_iter) * N
    assert solution.converged
    x = solution.x.compute()
    assert repr(solution)
    assert sum(client.run(made).values()) == 0  # the answer was settled
    plain = np.concatenate(client.gather(client.map(rows, np.split(np.arange(N), N // ROWS))))
    assert_close(x, call(plain[:, :P], plain[:, P]).x, rtol=1e-9)


def test_a_worker_that_is_killed(client, samples):
    f = xs.Logistic(samples[0], da.sign(samples[1]), 1e-2)
    expected, killed = xs.newton(f), []

    def kill(iteration, progress):
        if iteration == 1:
            victim = min(client.run(os.getpid).values())
            killed.append(victim)
            threading.Timer(0.02, os.kill, (victim, signal.SIGKILL)).start()  # in the middle of the next pass

    found = xs.newton(f, callback=kill)
    client.wait_for_workers(2)
    assert killed
    assert killed[0] not in client.run(os.getpid).values()
    assert (found.status, found.n_iter) == (expected.status, expected.n_iter)
    assert_close(found.x.compute(), expected.x.compute(), rtol=1e-14)
    assert found.certificate.value == pytest.approx(expected.certificate.value, rel=1e-6)
