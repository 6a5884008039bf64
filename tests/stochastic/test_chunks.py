"""Stochastic descent on samples in a file: every sample once in an epoch, chunk by chunk, and the answer of all."""

import functools

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import rows
from xpsolve.operators.rows import Rows
from xpsolve.solution import Status
from xpsolve.testing import assert_close

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")

N, P = 403, 4


def samples(rng):
    A = rng.standard_normal((N, P)) + 0.5
    return A, np.where(A @ np.ones(P) + rng.standard_normal(N) > 1, 1.0, -1.0)


def made(A, kind):
    if kind == "function":
        return Rows(lambda: (A[i : i + 50] for i in range(0, N, 50)), shape=A.shape)
    return Rows(A, block=50)


@pytest.mark.parametrize("kind", ["function", "slices"])
@pytest.mark.parametrize("name", ["sgd", "sga"])
def test_steps_are_those_of_the_order_that_is_taken(rng, name, kind):
    A, y = samples(rng)
    solve = functools.partial(getattr(xs, name), step0=0.1, warmup=30.0, tol=1e-9)
    order = []
    for epoch in range(3):
        draw = np.random.default_rng((7, epoch))
        parts = np.split(np.arange(N), range(50, N, 50))
        if kind == "slices":
            parts = [parts[i] for i in draw.permutation(len(parts))]
        order += [part[draw.permutation(len(part))] for part in parts]
    expected = solve(xs.Logistic(A, y, 0.05), indices=np.concatenate(order))
    found = solve(xs.Logistic(made(A, kind), y, 0.05), epochs=3, seed=7)
    assert_close(found.x, expected.x, rtol=1e-9)
    assert_close(found.certificate.value, expected.certificate.value, rtol=1e-6)
    assert (found.n_iter, found.method, found.status) == (3 * N, name, expected.status)


@pytest.mark.parametrize("options", [{}, {"intercept": True}, {"weights": np.linspace(0.5, 1.5, N)}])
@pytest.mark.parametrize("loss", ["Logistic", "LeastSquares", "Huber", "Multinomial"])
def test_answers(rng, loss, options):
    A, y = samples(rng)
    y = np.eye(2)[1 * (y > 0)] if loss == "Multinomial" else y

    def make(A):
        return getattr(xs, loss)(A, y, 0.1, **options)

    found, best = xs.sga(make(made(A, "slices")), epochs=80, tol=0.05), xs.newton(make(A))
    assert found.converged
    x, z = (s.x if s.intercept is None else np.concatenate([s.x, s.intercept[None]]) for s in (found, best))
    assert make(A).value(x) < make(A).value(z) + 2e-3
    assert found.x.shape == best.x.shape


def test_steps_of_many_samples_records_and_callbacks(rng):
    A, y = samples(rng)
    f, seen = xs.Logistic(made(A, "slices"), y, 0.05), []
    solution = xs.sgd(f, epochs=2, batch=8, record_every=20, callback=lambda k, progress: seen.append(k))
    an_epoch = 8 * 7 + 1  # of 50 rows six steps of eight and one of two; the last chunk has three
    assert solution.n_iter == seen[-1] == 2 * an_epoch
    assert len(seen) == 18
    assert solution.history["step"][0] == 0
    assert solution.history["step"][-1] == solution.n_iter
    plain = xs.Logistic(A, y, 0.05)
    for x, value in zip(solution.history["x"], solution.history["objective"], strict=True):
        assert_close(plain.value(x), value, rtol=1e-12)
    stopped = xs.sgd(f, callback=lambda k, progress: k >= 100)
    assert stopped.status is Status.STOPPED
    assert 100 <= stopped.n_iter < 150


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
def test_scales(rng, scale):
    A, y = samples(rng)
    found = xs.sgd(xs.Logistic(made(scale * A, "slices"), y, 0.1 * scale**2), epochs=5)
    plain = xs.sgd(xs.Logistic(made(A, "slices"), y, 0.1), epochs=5)
    assert_close(scale * found.x, plain.x, rtol=1e-9)
    assert found.certificate.value == pytest.approx(plain.certificate.value, rel=1e-6)


def test_a_long_file_goes_by_chunks(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK", 50 * P * 8)
    A, y = samples(rng)
    np.save(tmp_path / "A.npy", A)
    on_disk = np.load(tmp_path / "A.npy", mmap_mode="r")
    given = {"epochs": 2, "step0": 0.1}
    assert_close(
        xs.sgd(xs.Logistic(on_disk, y), **given).x, xs.sgd(xs.Logistic(made(A, "slices"), y), **given).x, rtol=1e-12
    )
    indices = rng.integers(N, size=100)
    one, other = (xs.sgd(xs.Logistic(M, y), indices=indices, step0=0.1) for M in (on_disk, A))
    assert_close(one.x, other.x, rtol=1e-12)


def test_what_cannot_be_is_said(rng):
    A, y = samples(rng)
    f = xs.Logistic(made(A, "slices"), y)
    with pytest.raises(ValueError, match="indices: expected None for an A in a file or of Dask"):
        xs.sgd(f, indices=[0, 1])
    with pytest.raises(ValueError, match=r"x0: expected shape \(4,\) for an A in a file, got 2 runs"):
        xs.sgd(f, np.zeros((2, P)))
    with pytest.raises(
        ValueError, match="block: expected none for an A in a file or of Dask, where a step is on a chunk"
    ):
        xs.sag(f, block=8)
    with pytest.raises(
        ValueError, match="indices: expected none for an A in a file or of Dask, whose chunks are drawn"
    ):
        xs.sag(f, indices=[0, 1])
    with pytest.raises(TypeError, match="f: expected an A with slices of rows, since chunks are drawn at random"):
        xs.sag(xs.Logistic(made(A, "function"), y))


def test_batches_of_rows(rng):
    A, y = samples(rng)
    source = made(A, "slices")
    found = list(source.batches(y, np.arange(N), size=20, epochs=2, seed=1))
    assert all(len(block) <= 20 for block, *_ in found)
    for epoch in range(2):
        some = found[epoch * len(found) // 2 : (epoch + 1) * len(found) // 2]
        numbers = np.concatenate([i for *_, i in some])
        np.testing.assert_array_equal(np.sort(numbers), np.arange(N))
        assert not np.array_equal(numbers, np.sort(numbers))
        for block, targets, i in some:
            np.testing.assert_array_equal(block, A[i])
            np.testing.assert_array_equal(targets, y[i])
    assert not np.array_equal(found[0][0], found[len(found) // 2][0])
    again = list(source.batches(y, size=20, epochs=2, seed=1))
    np.testing.assert_array_equal(again[3][0], found[3][0])
    for options, words in [({"size": 0}, "size: "), ({"epochs": -1}, "epochs: "), ({"seed": -1}, "seed: ")]:
        with pytest.raises(ValueError, match=words):
            source.batches(y, **options)
    with pytest.raises(ValueError, match=r"others\[0\]: expected 403 rows"):
        source.batches(y[:-1])
