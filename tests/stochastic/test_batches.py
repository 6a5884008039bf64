"""A stream of batches: the steps of the textbook, row after row, wherever it is cut, continued or ended."""

import functools
import gc
import itertools
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from samples import data, in_memory, loop
from sklearn.linear_model import SGDClassifier

import xpsolve as xs
from xpsolve.arrays.numba_loop import can_compile
from xpsolve.solution import Status
from xpsolve.testing import assert_close, check_solution

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")

SOLVERS = ["sgd", "sga"]
GIVEN = {"step0": 0.03, "warmup": 50.0}


def cut(A, y, *lengths):
    """Batches of these lengths, again and again."""
    start = 0
    for n in itertools.cycle(lengths):
        if start >= y.shape[0]:
            return
        end = min(start + n, y.shape[0])
        yield A[start:end, ...], y[start:end, ...]
        start = end


def factory(loss="LeastSquares", lam=0.05):
    return functools.partial(getattr(xs, loss), lam=lam)


@pytest.mark.of("sgd")
@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("loss", ["LeastSquares", "Logistic", "Multinomial"])
def test_steps_are_those_of_the_textbook_on_every_library(xp, name, loss):
    in_memory(xp)
    A, y = data(np.random.default_rng(3), loss)
    expected = loop(name, loss, A, y, 0.05, np.arange(103), np.zeros((17, *y.shape[1:])), 0.03, 50.0)
    A, y = xp(A), xp(y)
    solution = getattr(xs, name)(factory(loss), batches=cut(A, y, 1, 40, 13), **GIVEN)
    check_solution(solution, like=y, shape=expected.shape)
    assert_close(solution.x, expected, like=y, rtol=2e-5 if "32" in str(y.dtype) else 1e-10)
    assert (solution.n_iter, solution.method, solution.stats["batches"]) == (103, name, 6)


@pytest.mark.parametrize("block", ["auto", 1, 7, 64])
@pytest.mark.parametrize("name", SOLVERS)
def test_where_the_stream_is_cut_does_not_matter(rng, name, block):
    A, y = data(rng, "Logistic")
    solve = functools.partial(getattr(xs, name), factory("Logistic"), block=block, **GIVEN)
    whole = solve(batches=[(A, y)])
    for lengths in [(1,), (50, 53), (9, 1, 30)]:
        assert_close(solve(batches=cut(A, y, *lengths)).x, whole.x, rtol=1e-10)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("given", [GIVEN, {}])
def test_a_solution_continues_its_stream(rng, name, given):
    A, y = data(rng, "Logistic")
    solve = functools.partial(getattr(xs, name), factory("Logistic"))
    batches = list(cut(A, y, 20, 7))
    whole = solve(batches=batches, **given)
    part = solve(batches=batches[:3], **given)
    kept = part.x.copy()
    later = solve(pickle.loads(pickle.dumps(part)), batches=batches[3:])  # steps go on as they were
    assert_close(later.x, whole.x, rtol=1e-12)
    assert later.n_iter == whole.n_iter == 103
    for mine, theirs in ((later.objective, whole.objective), (later.certificate.value, whole.certificate.value)):
        assert_close(mine, theirs, rtol=1e-10)
    np.testing.assert_array_equal(part.x, kept)
    one_by_one = None
    for pair in batches:
        one_by_one = solve(one_by_one, batches=[pair], **given)
    assert_close(one_by_one.x, whole.x, rtol=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("block", ["auto", 5])
def test_samples_of_a_step_are_averaged_and_the_last_step_has_the_rest(rng, name, block):
    A, y = data(rng, "LeastSquares", n=23)
    x, total, k = np.zeros(17), np.zeros(17), 0
    for rows in [*np.split(np.arange(10), [4, 8]), *np.split(np.arange(10, 23), [4, 8, 12])]:
        tau = 0.03 / (1 + (k / 5.0 if name == "sgd" else np.sqrt(k / 5.0)))
        x = x - tau * (A[rows].T @ (A[rows] @ x - y[rows]) / len(rows) + 0.05 * x)
        total, k = total + x, k + 1
    given = {"step0": 0.03, "warmup": 5.0, "batch": 4, "block": block}
    solution = getattr(xs, name)(factory(), batches=cut(A, y, 10, 13), **given)
    assert_close(solution.x, x if name == "sgd" else total / k, rtol=1e-10)
    assert solution.n_iter == k == 7


@pytest.mark.parametrize("name", SOLVERS)
def test_sparse_rows(rng, name):
    A, y = data(rng, "Logistic")
    A[np.abs(A) < 1] = 0
    solve = functools.partial(getattr(xs, name), factory("Logistic"), **GIVEN)
    sparse = solve(batches=((scipy.sparse.csr_array(a), b) for a, b in cut(A, y, 30)))
    assert_close(sparse.x, solve(batches=cut(A, y, 30)).x, rtol=1e-10)


def test_the_running_objective_is_of_samples_before_their_steps(rng):
    A, y = data(rng, "Logistic", n=2500, p=3)
    f, seen, x = factory("Logistic"), [], []

    def callback(steps, progress):
        seen.append((steps, float(progress.objective), float(progress.measure)))
        x.append(progress.x.copy())

    batches = list(cut(A, y, 100))
    solution = xs.sgd(f, batches=batches, callback=callback, record_every=1000, **GIVEN)
    means = np.zeros(3)
    for j, (pair, before) in enumerate(zip(batches, [np.zeros(3), *x], strict=False)):
        model, first = f(*pair), np.max(np.abs(batches[0][0]), axis=0)
        new = [model.value(before), *(np.linalg.norm(model.gradient(z) / first) for z in (before, np.zeros(3)))]
        means += (np.asarray(new) - means) / min(j + 1, 20)
        assert seen[j][0] == 100 * (j + 1)
        assert_close(np.asarray(seen[j][1:]), np.asarray([means[0], means[1] / means[2]]), rtol=1e-10)
    assert_close(solution.objective, means[0], rtol=1e-10)
    assert solution.history["step"].tolist() == [0, 1000, 2000, 2500]
    assert_close(solution.history["objective"][1], seen[10][1], rtol=1e-2)
    np.testing.assert_array_equal(solution.history["x"], [np.zeros(3), x[9], x[19], x[24]])


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("loss", ["LeastSquares", "Huber", "Logistic", "Multinomial"])
def test_an_intercept_is_one_more_variable_centred_as_the_first_batch(rng, name, loss):
    A, y = data(rng, "Logistic" if loss == "Huber" else loss, n=600, p=4)
    A = A + 2
    f = functools.partial(getattr(xs, loss), lam=0.05, intercept=True)
    solve = functools.partial(getattr(xs, name), f, **GIVEN)
    found, cuts = solve(batches=cut(A, y, 50)), solve(batches=cut(A, y, 50, 1, 13))
    assert_close(found.x, cuts.x, rtol=1e-9)
    assert_close(found.intercept, cuts.intercept, rtol=1e-9)
    mean = A[:50].mean(axis=0)
    start = xs.sgd(f(A[:50], y[:50]), epochs=0)  # an intercept that fits the first batch
    offset = y[:50].mean() if loss == "LeastSquares" else 0.0
    size = float(found.state.frame.size)
    whole = np.column_stack([A - mean, size * np.ones(len(A))]), y - offset
    x, total, k = np.zeros((5, *y.shape[1:])), 0.0, 0
    x[-1] = (start.intercept - offset) / size
    for i in range(600):
        tau = 0.03 / (1 + (k / 50.0 if name == "sgd" else np.sqrt(k / 50.0)))
        model = getattr(xs, loss)(whole[0][i : i + 1], whole[1][i : i + 1])
        x = x - tau * (model.gradient(x) + 0.05 * np.concatenate([x[:-1], 0 * x[-1:]]))
        total, k = total + x, k + 1
    x = x if name == "sgd" else total / k
    assert_close(found.x, x[:-1], rtol=1e-6, atol=1e-9)
    assert_close(found.intercept, size * x[-1] - mean @ x[:-1] + offset, rtol=1e-6, atol=1e-9)
    part = solve(batches=list(cut(A, y, 50))[:5])
    later = solve(pickle.loads(pickle.dumps(part)), batches=list(cut(A, y, 50))[5:])
    assert_close(later.x, found.x, rtol=1e-10)
    assert_close(later.intercept, found.intercept, rtol=1e-10)
    assert found.x.shape == (4, *y.shape[1:])


def test_an_intercept_and_batches_of_one_class(rng):
    A = rng.standard_normal((4000, 3)) + 1
    y = np.where(A.sum(axis=1) - 4 + rng.standard_normal(4000) > 0, 1.0, -1.0)
    f, seen = functools.partial(xs.Logistic, lam=0.01, intercept=True), []
    first = y[:8].copy()
    first[:] = 1.0
    found = xs.sga(
        f,
        batches=[(A[:8], first), *cut(A[8:], y[8:], 1, 30)],
        record_every=1000,
        callback=lambda k, progress: seen.append((progress.x, progress.intercept)),
    )
    best = xs.newton(f(A, y))
    assert np.all(np.isfinite(found.x))
    assert f(A, y).value(np.append(found.x, found.intercept)) < f(A, y).value(np.append(best.x, best.intercept)) + 0.01
    assert found.intercept == pytest.approx(seen[-1][1])
    assert found.history["intercept"].shape == found.history["step"].shape
    np.testing.assert_array_equal(found.history["x"][-1], found.x)
    with pytest.raises(ValueError, match="batches: expected arrays like those of x0"):
        xs.sga(functools.partial(xs.Logistic, lam=0.01), found, batches=[(np.ones((2, 4)), np.ones(2))])


@pytest.mark.of("sgd")
def test_an_intercept_on_every_library(xp, rng):
    in_memory(xp)
    A, y = data(rng, "LeastSquares", n=300, p=3)
    f = functools.partial(xs.LeastSquares, intercept=True)
    expected = xs.sgd(f, batches=cut(A, y + 3, 60), **GIVEN)
    found = xs.sgd(f, batches=cut(xp(A), xp(y + 3), 60), **GIVEN)
    rtol = 2e-4 if "32" in str(found.x.dtype) else 1e-9
    assert_close(found.x, expected.x, like=found.x, rtol=rtol)
    assert_close(found.intercept, expected.intercept, rtol=rtol)


def test_an_intercept_of_sparse_rows(rng):
    A, y = data(rng, "Logistic", n=200)
    A[np.abs(A) < 1] = 0
    solve = functools.partial(xs.sgd, functools.partial(xs.Logistic, lam=0.05, intercept=True), block=16, **GIVEN)
    sparse = solve(batches=((scipy.sparse.csr_array(a), b) for a, b in cut(A, y, 40)))
    dense = solve(batches=cut(A, y, 40))
    assert_close(dense.state.frame.size, sparse.state.frame.size)
    assert_close(sparse.x, dense.x, rtol=1e-8)
    assert_close(sparse.intercept, dense.intercept, rtol=1e-8)


def endless(rng, p, n=200, dtype=np.float64, noise=0.0):
    while True:
        A = rng.standard_normal((n, p)).astype(dtype)
        yield A, (A @ np.ones(p) + noise * rng.standard_normal(n)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stream_without_an_end_is_stopped_and_not_stored(rng, dtype):
    sizes = []

    def callback(steps, progress):
        if steps % 10_000 == 0:  # every 50 batches
            gc.collect()  # what waits for it is not stored
            sizes.append(tracemalloc.get_traced_memory()[0])
        return steps >= 60_000

    tracemalloc.start()
    solution = xs.sgd(factory(lam=0.0), batches=endless(rng, 5, dtype=dtype), callback=callback)
    tracemalloc.stop()
    assert solution.status is Status.STOPPED
    assert max(sizes[2:]) < max(sizes[:2]) + 100_000  # 200 batches more would be 1.9 MB
    assert_close(solution.x, np.ones(5), like=solution.x, rtol=1e-5)


def test_converged_is_proved_by_samples_not_seen_before(rng):
    exact = xs.sgd(factory(lam=0.0), batches=itertools.islice(endless(rng, 5), 100))
    assert exact.converged
    assert_close(exact.x, np.ones(5), rtol=1e-10)
    noisy = xs.sgd(factory(lam=0.0), batches=itertools.islice(endless(rng, 5, noise=1.0), 100))
    assert noisy.status is Status.MAX_ITER  # a batch of 200 shows no gradient below 1/√200 of its noise
    loose = xs.sgd(factory(lam=0.0), batches=itertools.islice(endless(rng, 5, noise=1.0), 100), tol=0.2)
    assert loose.converged


@pytest.mark.parametrize("n", [1, 50])
def test_samples_that_say_nothing_do_not_converge(n):
    assert xs.sgd(xs.LeastSquares, batches=[(np.ones((n, 2)), np.zeros(n))]).status is Status.MAX_ITER
    assert xs.sgd(xs.LeastSquares, batches=[(np.ones((n, 2)), np.ones(n))]).status is Status.MAX_ITER


@pytest.mark.parametrize("name", SOLVERS)
def test_steps_that_are_too_long_diverge(rng, name):
    batches = itertools.islice(endless(rng, 5), 100)
    assert getattr(xs, name)(factory(), batches=batches, step0=1e3).status is Status.DIVERGED


@pytest.mark.parametrize("name", SOLVERS)
def test_the_step_is_safe_for_the_worst_sample_so_far(rng, name):
    quiet = (np.zeros((3, 5)), np.zeros(3))
    batches = ((20.0**j * A, y) for j, (A, y) in enumerate(itertools.islice(endless(rng, 5), 6)))
    solution = getattr(xs, name)(factory(lam=0.0), batches=itertools.chain([quiet], batches))
    assert solution.status is Status.MAX_ITER
    assert np.max(np.abs(solution.x)) < 2


def test_separated_classes_without_a_penalty_do_not_converge(rng):
    A = rng.standard_normal((20_000, 3)) * 30
    y = np.sign(A[:, 0])
    solve = functools.partial(xs.sgd, batches=cut(A, y, 500), tol=0.5)
    separated = solve(xs.Logistic)
    assert separated.certificate.value < 0.5
    assert separated.status is Status.MAX_ITER
    assert solve(factory("Logistic", 1e-3), batches=cut(A, y, 500)).converged


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("power", [-90, 40, 100])
def test_every_scale(rng, name, power):
    A, y = data(rng, "LeastSquares")
    scale = 2.0**power
    solve = functools.partial(getattr(xs, name), factory(), tol=1e9)
    one, scaled = solve(batches=cut(A, y, 20)), solve(batches=cut(A, scale * y, 20))
    assert_close(scaled.x / scale, one.x, rtol=1e-12)
    assert_close(scaled.certificate.value, one.certificate.value, rtol=1e-12)
    other = getattr(xs, name)(factory(lam=0.05 * scale**2), batches=cut(scale * A, y, 20), tol=1e9)
    assert_close(other.x * scale, one.x, rtol=1e-12)


def test_as_good_as_partial_fit():
    rng = np.random.default_rng(0)
    w, peer, lam = rng.standard_normal(20) / 2, SGDClassifier(loss="log_loss", alpha=1e-3, fit_intercept=False), 1e-3

    def stream():
        rng = np.random.default_rng(1)
        for _ in range(100):
            A = rng.standard_normal((1000, 20))
            yield A, np.where(rng.random(1000) < 1 / (1 + np.exp(-A @ w)), 1.0, -1.0)

    mine = {name: getattr(xs, name)(factory("Logistic", lam), batches=stream()) for name in SOLVERS}
    for A, y in stream():
        peer.partial_fit(A, y, classes=[-1, 1])
    f = xs.Logistic(*(np.concatenate(part) for part in zip(*stream(), strict=True)), lam)
    for solution in mine.values():
        assert f.value(solution.x) < 1.01 * f.value(peer.coef_[0])
        assert f.value(solution.x) < 1.02 * f.value(xs.newton(f).x)
        assert abs(solution.objective - f.value(solution.x)) < 0.05 * f.value(solution.x)
        assert solution.stats["compiled"] == can_compile()


ONE = (np.ones((4, 2)), np.ones(4))
BAD = {
    "no iterable": (3, TypeError, "batches: expected an iterable"),
    "empty": ([], ValueError, "batches: expected at least one"),
    "no pair": ([ONE, 3], TypeError, "batches: .* int as number 2"),
    "three": ([ONE, (*ONE, 1)], TypeError, "batches: .* 3 things as number 2"),
    "rows": ([ONE, (np.ones((3, 2)), np.ones(4))], ValueError, "batches: number 2: "),
    "no rows": ([ONE, (np.ones((0, 2)), np.ones(0))], ValueError, "batches: number 2: "),
    "features": ([ONE, ONE, (np.ones((4, 3)), np.ones(4))], ValueError, "batches: .* as number 3"),
    "dtype": ([ONE, tuple(x.astype(np.float32) for x in ONE)], ValueError, "batches: .*float64.* as number 2.*float32"),
    "complex": ([(1j * ONE[0], ONE[1])], TypeError, "batches: number 1: "),
    "NaN": ([ONE, (np.nan * ONE[0], ONE[1])], ValueError, "batches: number 2: "),
    "lists": ([([[1.0]], [1.0])], TypeError, "batches: number 1: "),
    "sparse after dense": ([ONE, (scipy.sparse.csr_array(ONE[0]), ONE[1])], ValueError, "batches: .* as number 2"),
}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("case", BAD)
def test_bad_batches_are_named_with_their_number(name, case):
    batches, error, message = BAD[case]
    with pytest.raises(error, match=message):
        getattr(xs, name)(xs.LeastSquares, batches=batches)


def test_another_library_is_named(xp):
    A, y = xp(ONE[0]), xp(ONE[1])
    if type(A) is np.ndarray:
        pytest.skip("the same library")
    with pytest.raises((TypeError, ValueError), match=r"batches: .*number 2"):
        xs.sgd(xs.LeastSquares, batches=[ONE, (A, y)])
    half = xs.sgd(xs.LeastSquares, batches=[ONE])
    words = "batches: (expected arrays like those of x0|number 1: f: expected arrays in memory, got those of Dask)"
    with pytest.raises((TypeError, ValueError), match=words):
        xs.sgd(xs.LeastSquares, half, batches=[(A, y)])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"f": xs.LeastSquares(*ONE)}, TypeError, "f: with batches"),
        ({"f": lambda A, y: 3}, TypeError, "f: with batches"),
        ({"indices": [0, 1]}, ValueError, "indices: expected none with batches"),
        ({"epochs": 2}, ValueError, "epochs: expected none with batches"),
        ({"seed": 1}, ValueError, "seed: expected none with batches"),
        ({"x0": np.ones(3)}, ValueError, "x0: "),
        ({"x0": np.ones((2, 2))}, ValueError, "x0: "),
        ({"step0": [0.1, 0.2]}, ValueError, "step0: "),
        ({"block": "compiled", "f": type("Mine", (xs.LeastSquares,), {})}, ValueError, "block: "),
    ],
)
def test_options_that_do_not_go_with_batches(options, error, message):
    with pytest.raises(error, match=message):
        xs.sgd(**{"f": xs.LeastSquares, "batches": [ONE], **options})


def test_a_solution_of_another_method_does_not_continue():
    with pytest.raises(ValueError, match="x0: expected a solution of sga"):
        xs.sga(xs.LeastSquares, xs.sgd(xs.LeastSquares, batches=[ONE]), batches=[ONE])
