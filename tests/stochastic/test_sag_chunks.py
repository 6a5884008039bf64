"""Stochastic average gradient on samples in a file: a step for each chunk, and answers that converge linearly."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import rows
from xpsolve.solution import Status
from xpsolve.testing import assert_close

N, P, ROWS = 403, 4, 50


def samples(rng, n=N, p=P):
    A = rng.standard_normal((n, p)) + 0.5
    return A, np.where(A @ np.ones(p) + rng.standard_normal(n) > 1, 1.0, -1.0)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_steps_are_those_of_a_plain_loop(rng):
    A, y = samples(rng)
    lam, tau, chunks = 0.05, 0.3, -(-N // ROWS)
    x, alpha, seen = np.zeros(P), np.zeros(N), np.zeros(N, dtype=bool)
    for c in np.random.default_rng(3).integers(chunks, size=4 * chunks):
        part = slice(c * ROWS, (c + 1) * ROWS)
        alpha[part] = -y[part] / (1 + np.exp(y[part] * (A[part] @ x)))
        seen[part] = True
        x = (1 - tau * lam) * x - tau * (A.T @ alpha) / seen.sum()
    found = xs.sag(xs.Logistic(xs.Rows(A, block=ROWS), y, lam), epochs=4, step=tau, seed=3, tol=0)
    assert_close(found.x, x, rtol=1e-10)
    assert (found.n_iter, found.method) == (4 * chunks, "sag")
    assert_close(found.stats["memory"].alpha, alpha, rtol=1e-9)
    np.testing.assert_array_equal(found.stats["memory"].seen, seen)


def hard(rng, kind, n=3000, p=8):
    """Rows for which a step may be too long: of many sizes, sorted, or those of each chunk along a direction."""
    A = rng.standard_normal((n, p))
    if kind == "ill-conditioned":
        A = A * np.geomspace(1, 30, p)
    if kind == "sorted":
        A = A[np.argsort(A[:, 0])]
    if kind == "one direction a chunk":
        A = 0.05 * A + 3 * np.eye(p)[np.arange(n) * p // n] * rng.standard_normal((n, 1))
    if kind == "a few long rows":
        A[:5] = 40 * A[:5]
    return A, np.where(A @ rng.standard_normal(p) + rng.standard_normal(n) > 0, 1.0, -1.0)


@pytest.mark.parametrize("chunks", [1, 2, 7, 60])
@pytest.mark.parametrize("kind", ["plain", "ill-conditioned", "sorted", "one direction a chunk", "a few long rows"])
@pytest.mark.parametrize("loss", ["Logistic", "LeastSquares"])
def test_it_converges_whatever_the_chunks_are(rng, loss, kind, chunks):
    A, y = hard(rng, kind)
    make = getattr(xs, loss)
    L = float(make(A, y, 0.0).lipschitz())
    lam = 0.02 * L  # a condition of 50
    found = xs.sag(make(xs.Rows(A, block=-(-len(A) // chunks)), y, lam), epochs=3000, tol=1e-8)
    assert found.converged
    assert_close(found.x, xs.newton(make(A, y, lam), tol=1e-12).x, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"intercept": True}, {"weights": np.linspace(0.5, 1.5, N)}])
@pytest.mark.parametrize("loss", ["Logistic", "LeastSquares", "Huber", "Multinomial"])
def test_answers(rng, loss, options):
    A, y = samples(rng)
    y = np.eye(2)[1 * (y > 0)] if loss == "Multinomial" else y

    def make(A):
        return getattr(xs, loss)(A, y, 0.1, **options)

    found = xs.sag(make(xs.Rows(A, block=ROWS)), epochs=2000, tol=1e-8)
    best = xs.gradient_descent(make(A), tol=1e-10, max_iter=100_000)
    assert found.converged
    assert_close(found.x, best.x, rtol=1e-5)
    if found.intercept is not None:
        assert_close(found.intercept, best.intercept, rtol=1e-5)


def test_a_run_continues_from_its_memory(rng):
    A, y = samples(rng)
    f = xs.LeastSquares(xs.Rows(A, block=ROWS), 1e3 * y, 0.1)
    with pytest.warns(xs.ConvergenceWarning):
        first = xs.sag(f, epochs=5, tol=1e-9)
    again = xs.sag(f, first.x, memory=first.stats["memory"], seed=1, epochs=500, tol=1e-9)
    assert again.converged
    assert_close(again.x, xs.ridge(A, 1e3 * y, 0.1 * N).x, rtol=1e-6)


def test_records_and_callbacks(rng):
    A, y = samples(rng)
    f, seen = xs.Logistic(xs.Rows(A, block=ROWS), y, 0.05), []
    found = xs.sag(f, epochs=3, record_every=9, tol=1.0, callback=lambda k, progress: seen.append(k))
    assert seen == list(range(1, found.n_iter + 1))
    assert found.history["step"][0] == 0
    assert found.history["step"][-1] == found.n_iter
    plain = xs.Logistic(A, y, 0.05)
    for x, value in zip(found.history["x"], found.history["objective"], strict=True):
        assert_close(plain.value(x), value, rtol=1e-12)
    stopped = xs.sag(f, callback=lambda k, progress: k >= 11)
    assert (stopped.status, stopped.n_iter) == (Status.STOPPED, 11)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_a_step_that_is_too_long_is_reported(rng):
    A, y = samples(rng)
    found = xs.sag(xs.LeastSquares(xs.Rows(A, block=ROWS), y, 0.1), step=1e6, epochs=100)
    assert found.status is Status.DIVERGED


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
def test_scales(rng, scale):
    A, y = samples(rng)
    options = {"epochs": 40, "tol": 1.0}
    found = xs.sag(xs.Logistic(xs.Rows(scale * A, block=ROWS), y, 0.1 * scale**2), **options)
    plain = xs.sag(xs.Logistic(xs.Rows(A, block=ROWS), y, 0.1), **options)
    assert_close(scale * found.x, plain.x, rtol=1e-9)


def test_a_long_file_goes_by_chunks(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK", 100 * P * 8)
    monkeypatch.setattr("xpsolve.stochastic.sag_chunks._BYTES", 50 * P * 8)
    A, y = samples(rng)
    np.save(tmp_path / "A.npy", A)
    on_disk = np.load(tmp_path / "A.npy", mmap_mode="r")
    found = xs.sag(xs.Logistic(on_disk, y, 0.1), epochs=300, tol=1e-8)
    assert found.converged
    assert found.stats["block"] == 50
    assert_close(found.x, xs.newton(xs.Logistic(A, y, 0.1)).x, atol=1e-6)
