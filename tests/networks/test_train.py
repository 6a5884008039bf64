"""Training in small batches: the steps of the formula, what is kept, and how it ends."""

import math

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import networks
from xpsolve.testing import assert_close

# few of these runs are long enough to reach their tolerance, which is not what they are about
pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")


def least_squares(x, A, y):
    r = A @ x - y
    return r @ r / (2 * r.shape[0]), A.T @ r / r.shape[0]


@pytest.mark.of("train")
def test_the_steps_of_the_formula(xp, rng):
    A, y = rng.standard_normal((7, 3)), rng.standard_normal(7)
    x, v, k = np.zeros(3), np.zeros(3), 0
    for epoch in range(3):
        order = np.random.default_rng((5, epoch)).permutation(7)
        for part in (order[:3], order[3:6], order[6:]):
            v = 0.8 * v - 0.1 / (1 + k / 4) * least_squares(x, A[part], y[part])[1]
            x, k = x + v, k + 1
    options = {"step": 0.1, "momentum": 0.8, "warmup": 4, "batch": 3, "epochs": 3, "seed": 5}
    run = networks.train(least_squares, xp(np.zeros(3)), xp(A), xp(y), **options)
    assert_close(run.x, x, like=xp(A), rtol=64 * xp.eps)
    assert run.certificate.value == pytest.approx(float(least_squares(x, A, y)[0]), rel=1e3 * xp.eps)
    assert (run.n_iter, run.status, run.method) == (3, xs.Status.MAX_ITER, "heavy_ball")


def test_parameters_keep_their_structure_and_are_not_written(rng):
    A, y = rng.standard_normal((9, 2)), np.arange(9)  # targets may be integers
    params = {"x": np.zeros(2), "offset": [np.zeros(())]}

    def loss(p, A, y):
        assert y.dtype.kind == "i"
        value, g = least_squares(p["x"], A, y - p["offset"][0])
        return value, {"x": g, "offset": [np.mean(A @ p["x"] + p["offset"][0] - y)]}

    run = networks.train(loss, params, A, y, step=0.1, epochs=300, batch=9)
    with_ones = np.column_stack([A, np.ones(9)])
    best = np.linalg.lstsq(with_ones, y, rcond=None)[0]
    np.testing.assert_allclose([*run.x["x"], run.x["offset"][0]], best, rtol=1e-3)
    assert not params["x"].any()


def test_it_stops_at_its_tolerance_and_reads_once_an_epoch(rng):
    A = rng.standard_normal((20, 3))
    y = A @ np.ones(3)
    seen = []
    options = {"step": 0.1, "batch": 5, "epochs": 200, "record": True}
    run = networks.train(
        least_squares, np.zeros(3), A, y, tol=1e-6, callback=lambda k, progress: seen.append((k, progress)), **options
    )
    assert run.converged
    assert run.certificate.value <= 1e-6
    assert run.n_iter < 200
    assert [k for k, _ in seen] == list(range(run.n_iter + 1))
    assert set(run.history) == {"objective"}
    assert run.history["objective"].shape == (run.n_iter + 1,)
    assert [float(progress.measure) for _, progress in seen] == list(run.history["objective"])
    assert np.array_equal(seen[-1][1].x, run.x)
    assert run.history["objective"][0] == pytest.approx(least_squares(np.zeros(3), A, y)[0])
    assert run.stats["steps"] == 4 * run.n_iter
    for epochs in (2, 5):
        _, tally = xs.count(
            lambda A, y, epochs=epochs: networks.train(
                least_squares, 0 * A[0], A, y, step=0.1, tol=1e-9, epochs=epochs
            ),
            A,
            y,
        )
        assert tally.syncs == epochs + 2


def test_a_callback_stops_it_and_a_long_step_is_a_status(rng):
    A, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    run = networks.train(least_squares, np.zeros(3), A, y, step=0.1, callback=lambda k, _: k == 2)
    assert (run.n_iter, run.status) == (2, xs.Status.STOPPED)
    with np.errstate(all="ignore"):
        run = networks.train(least_squares, np.zeros(3), A, y, step=1e3, epochs=200)
    assert run.status is xs.Status.DIVERGED
    assert not math.isfinite(run.certificate.value)


def test_what_is_not_finished_says_so_with_a_remedy_that_it_has(rng):
    A, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    with pytest.warns(xs.ConvergenceWarning, match="^train.*Raise epochs") as caught:
        run = networks.train(least_squares, np.zeros(3), A, y, step=0.1, epochs=1, tol=1e-9)
    assert run.status is xs.Status.MAX_ITER
    assert [w.filename for w in caught] == [__file__]
    assert "max_iter" not in run.message
    assert "x0" not in run.message


@pytest.mark.parametrize("momentum", [np.longdouble(0.5), 0.5])
def test_options_of_wider_dtypes_do_not_leak(rng, momentum):
    A, y = rng.standard_normal((20, 3)).astype("f"), rng.standard_normal(20).astype("f")
    run = networks.train(least_squares, np.zeros(3, "f"), A, y, step=np.longdouble(0.1), momentum=momentum)
    assert run.x.dtype == np.float32


ONE = np.ones(2)
BAD = {
    "the function": (lambda: networks.train(5, ONE, ONE, step=1.0), TypeError, "^value_and_gradient: expected a func"),
    "seed": (lambda: networks.train(least_squares, ONE, np.eye(2), ONE, step=1.0, seed="x"), TypeError, "^seed"),
    "record": (lambda: networks.train(least_squares, ONE, np.eye(2), ONE, step=1.0, record=5), TypeError, "^record"),
    "a huge step": (lambda: networks.train(least_squares, ONE, np.eye(2), ONE, step=10**400), ValueError, "^step"),
    "callback": (lambda: networks.train(least_squares, ONE, np.eye(2), ONE, step=1.0, callback=5), TypeError, "^callb"),
    "params are numbers": (lambda: networks.train(least_squares, 1.0, ONE, step=1.0), TypeError, r"params, samples"),
    "no samples": (lambda: networks.train(least_squares, ONE, step=1.0), TypeError, r"params, samples"),
    "samples disagree": (
        lambda: networks.train(least_squares, ONE, ONE, np.ones(3), step=1.0),
        ValueError,
        r"samples\[1\]: .*2, as samples\[0\]",
    ),
    "momentum of 1": (
        lambda: networks.train(least_squares, ONE, ONE, step=1.0, momentum=1),
        ValueError,
        r"momentum: .*\[0, 1\), got 1",
    ),
    "a step of 0": (lambda: networks.train(least_squares, ONE, ONE, step=0.0), ValueError, r"step: expected a pos"),
    "no batch": (lambda: networks.train(least_squares, ONE, ONE, step=1.0, batch=0), ValueError, r"batch"),
    "a gradient of another shape": (
        lambda: networks.train(lambda p, a: (a[0], a[:1]), ONE, ONE, step=1.0),
        ValueError,
        r"value_and_gradient: .*\[\(2,\)\], got \[\(1,\)\]",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()


# --- streams of batches -----------------------------------------------------------------------------


@pytest.mark.of("train")
def test_each_batch_of_a_stream_is_a_step(xp, rng):
    A, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    x, v = np.zeros(3), np.zeros(3)
    parts, losses = [A[:3], A[3:20], A[20:21], A[21:]], []
    targets = np.split(y, [3, 20, 21])
    for k, (some, b) in enumerate(zip(parts, targets, strict=True)):
        value, g = least_squares(x, some, b)
        losses.append(value)
        v = 0.8 * v - 0.1 / (1 + k / 4) * g
        x = x + v
    batches = [(xp(some), xp(b)) for some, b in zip(parts, targets, strict=True)]
    options = {"step": 0.1, "momentum": 0.8, "warmup": 4}
    run = networks.train(least_squares, xp(np.zeros(3)), batches=iter(batches), record=True, **options)
    assert_close(run.x, x, like=batches[0][0], rtol=64 * xp.eps)
    assert_close(run.objective, np.mean(losses), rtol=1e3 * xp.eps)
    assert_close(run.history["objective"], np.asarray(losses), rtol=1e3 * xp.eps)
    assert run.certificate.value == pytest.approx(np.mean(losses), rel=1e3 * xp.eps)
    assert (run.n_iter, run.status, run.method) == (4, xs.Status.MAX_ITER, "heavy_ball")
    half = networks.train(least_squares, xp(np.zeros(3)), batches=batches[:2], **options)
    later = networks.train(least_squares, half, batches=batches[2:], **options)
    assert_close(later.x, run.x, rtol=64 * xp.eps)
    assert_close(later.objective, run.objective, rtol=1e3 * xp.eps)
    assert later.n_iter == 4


def test_a_stream_without_an_end_learns_and_is_stopped(rng):
    def samples():
        while True:
            A = rng.standard_normal((16, 3))
            yield A, A @ np.ones(3)

    seen = []

    def callback(steps, progress):
        seen.append(float(progress.objective))
        return progress.objective < 1e-8

    run = networks.train(least_squares, np.zeros(3), batches=samples(), step=0.1, callback=callback)
    assert run.status is xs.Status.STOPPED
    assert run.n_iter == len(seen)
    assert_close(run.x, np.ones(3), rtol=1e-3)
    assert seen[0] > 0.1
    converged = networks.train(least_squares, run, batches=[next(samples())], step=0.1)
    assert converged.converged


def test_rows_of_one_array_and_parameters_of_any_structure(rng):
    A = xs.Rows(rng.standard_normal((300, 2)) + 3, block=50)

    def loss(p, X):
        r = X - p["mean"]
        return np.mean(np.sum(r * r, axis=1)) / 2, {"mean": -np.mean(r, axis=0)}

    run = networks.train(loss, {"mean": np.zeros(2)}, batches=A.batches(size=10, epochs=20), step=0.02, tol=2.0)
    assert run.converged
    assert_close(run.x["mean"], A.source.mean(axis=0), atol=0.2)


def test_a_step_that_is_too_long_ends_the_stream(rng):
    def samples():
        while True:
            A = rng.standard_normal((16, 3))
            yield A, A @ np.ones(3)

    with np.errstate(all="ignore"):
        run = networks.train(least_squares, np.zeros(3), batches=samples(), step=100.0)
    assert run.status is xs.Status.DIVERGED


PAIR = (np.ones((2, 3)), np.ones(2))


@pytest.mark.parametrize(
    ("samples", "options", "error", "words"),
    [
        ([], {"batches": []}, ValueError, "batches: expected at least one batch"),
        ([], {"batches": 3}, TypeError, "batches: expected an iterable of arrays or tuples of arrays, got int"),
        ([], {"batches": [PAIR, ([1.0], 2)]}, TypeError, "batches: expected arrays .*got list, int as number 2"),
        ([], {"batches": [(PAIR[0], np.ones(3))]}, ValueError, r"batches: number 1: samples\[1\]"),
        (PAIR, {"batches": [PAIR]}, ValueError, "samples: expected none with batches"),
        ([], {"batches": [PAIR], "epochs": 3}, ValueError, "epochs: expected none with batches"),
        ([], {"batches": [PAIR], "seed": 3}, ValueError, "seed: expected none with batches"),
        ([], {"batches": [PAIR], "step": -1.0}, ValueError, "step: expected a positive"),
        ([], {"batches": [PAIR], "tol": "x"}, TypeError, "tol: "),
    ],
)
def test_what_is_no_stream_is_said(samples, options, error, words):
    with pytest.raises(error, match=words):
        networks.train(least_squares, np.zeros(3), *samples, **{"step": 0.1, **options})
    with pytest.raises(ValueError, match="params: expected a solution of train"):
        networks.train(least_squares, xs.sgd(xs.LeastSquares, batches=[PAIR]), batches=[PAIR], step=0.1)
