"""The compiled loop over samples takes the steps that blocks take, and is chosen where that is worth its start."""

import importlib

import numpy as np
import pytest
import scipy.sparse
from samples import METHODS, data, loop, solve

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays.numba_loop import can_compile
from xpsolve.solution import Status
from xpsolve.stochastic import compiled_descent, compiled_steps, steps
from xpsolve.testing import assert_close, check_solution

needs_numba = pytest.mark.skipif(not can_compile(), reason="Numba is not installed, or switched off")
pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")

LOSSES = ["LeastSquares", "Huber", "Logistic", "Multinomial"]


def objective(rng, loss, dtype="float64", **options):
    A, y = data(rng, "LeastSquares" if loss == "Huber" else loss)
    weights = rng.random(103).astype(dtype) if options.pop("weights", False) else None
    more = {"delta": 0.5} if loss == "Huber" else {}
    return getattr(xs, loss)(A.astype(dtype), y.astype(dtype), 0.05, weights=weights, **more, **options)


@needs_numba
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["LeastSquares", "Logistic", "Multinomial"])
def test_it_is_the_loop_of_the_textbook(rng, method, loss):
    A, y = data(rng, loss)
    indices = rng.integers(0, 103, 309)
    x0 = rng.standard_normal((17, 3) if loss == "Multinomial" else 17)
    expected = loop(method, loss, A, y, 0.05, indices, x0, 0.03, 50.0)
    kept = x0.copy()
    solution = solve(method, getattr(xs, loss)(A, y, 0.05), x0, tau0=0.03, k0=50.0, indices=indices, block="compiled")
    assert_close(solution.x, expected, rtol=1e-10)
    assert (solution.stats["compiled"], solution.stats["block"], solution.n_iter) == (True, 1, 309)
    np.testing.assert_array_equal(x0, kept)


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"weights": True}, {"intercept": True}, {"weights": True, "intercept": True}])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", METHODS)
def test_weights_and_an_intercept(rng, method, loss, options, dtype):
    f = objective(rng, loss, dtype, **options)
    given = {"tau0": 0.03, "k0": 50.0, "indices": rng.integers(0, 103, 250)}
    one = solve(method, f, block=1, **given)
    mine = solve(method, f, block="compiled", **given)
    check_solution(mine, like=f.y, shape=one.x.shape)
    tolerance = {"rtol": 2e-4 if dtype == "float32" else 1e-10}
    assert_close(mine.x, one.x, like=one.x, **tolerance)
    if options.get("intercept"):
        assert_close(mine.intercept, one.intercept, like=one.intercept, atol=tolerance["rtol"], **tolerance)
    assert_close(mine.certificate.value, one.certificate.value, rtol=100 * tolerance["rtol"])


@needs_numba
@pytest.mark.parametrize("lam", [0.0, 0.05, 2.0, 50.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", METHODS)
def test_sparse_samples(rng, method, loss, lam):
    """Also where a step shrinks x much, or to 0: 1 − τλ is 1, 0.99, 0.96 and 0 at first."""
    A, y = data(rng, "LeastSquares" if loss == "Huber" else loss)
    A[rng.random(A.shape) < 0.7] = 0
    A[5] = 0  # a sample without features
    model, weights = getattr(xs, loss), rng.random(103)
    dense, sparse = (model(S, y, lam, weights=weights) for S in (A, scipy.sparse.csr_array(A)))
    given = {"tau0": 0.02, "k0": 50.0, "indices": rng.integers(0, 103, 250), "record_every": 50}
    one, mine = solve(method, dense, block=1, **given), solve(method, sparse, block="compiled", **given)
    assert mine.stats["compiled"]
    assert_close(mine.x, one.x, rtol=1e-9)
    assert_close(mine.history["x"], one.history["x"], rtol=1e-9)
    if method != "sag":
        indices = rng.integers(0, 103, 240)
        batches = {"tau0": 0.02, "k0": 50.0, "indices": indices, "batch": 6}
        assert_close(
            solve(method, sparse, block="compiled", **batches).x, solve(method, dense, block=1, **batches).x, rtol=1e-9
        )


@needs_numba
@pytest.mark.parametrize("scale", [2.0**200, 2.0**-200])
def test_numbers_far_from_one(rng, scale):
    """Units are scaled by powers of two, in which the loop has the same steps."""
    A, y = data(rng, "LeastSquares")
    indices = rng.integers(0, 103, 250)
    one = xs.sag(xs.LeastSquares(A, y), step=0.02, indices=indices, block="compiled").x
    other = xs.sag(xs.LeastSquares(scale * A, y), step=0.02 / scale**2, indices=indices, block="compiled").x
    np.testing.assert_allclose(other * scale, one, rtol=1e-12)


@needs_numba
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["Logistic", "Multinomial"])
def test_runs_and_batches(rng, method, loss):
    f = objective(rng, loss, intercept=True)
    x0, indices = rng.standard_normal((3, *f.shape)), rng.integers(0, 103, (3, 60))
    given = {"tau0": 0.05, "k0": 20.0, "indices": indices, **({} if method == "sag" else {"batch": 4})}
    together = solve(method, f, x0, block="compiled", **given)
    assert_close(together.x, solve(method, f, x0, block=1, **given).x, rtol=1e-10)


@needs_numba
@pytest.mark.parametrize("layout", ["F", "rows", "columns", "read-only"])
def test_any_layout_of_the_data(rng, layout):
    A, y = data(rng, "Logistic")
    moved = {
        "F": np.asarray(A, order="F"),
        "rows": np.repeat(A, 2, axis=0)[::2],
        "columns": np.repeat(A, 2, axis=1)[:, ::2],
        "read-only": A.copy(),
    }[layout]
    moved.flags.writeable = False
    labels = np.repeat(y, 2)[::2]
    labels.flags.writeable = False
    given = {"step": 0.1, "epochs": 3, "block": "compiled"}
    expected = xs.sag(xs.Logistic(A, y), **given).x
    np.testing.assert_array_equal(xs.sag(xs.Logistic(moved, labels), **given).x, expected)


@needs_numba
@pytest.mark.parametrize("method", METHODS)
def test_history_memory_and_the_end(rng, method):
    f = objective(rng, "Logistic")
    given = {"tau0": 0.05, "k0": 20.0, "indices": rng.integers(0, 103, 500), "record_every": 100}
    mine, one = (solve(method, f, block=block, **given) for block in ("compiled", 1))
    for name, values in one.history.items():
        assert_close(mine.history[name], values, rtol=1e-9, atol=1e-12)
    if method == "sag":
        assert_close(mine.stats["memory"].alpha, one.stats["memory"].alpha, rtol=1e-9)
        options = {"indices": rng.integers(0, 103, 100), "step": 0.05, "memory": mine.stats["memory"]}
        assert_close(*(xs.sag(f, mine.x, block=block, **options).x for block in ("compiled", 1)), rtol=1e-9)
        ended = xs.sag(f, epochs=400, tol=1e-6, block="compiled")
        assert ended.converged
        assert ended.n_iter < 400 * 103


@needs_numba
@pytest.mark.parametrize("method", METHODS)
def test_a_step_far_too_large_is_said_to_diverge(rng, method):
    A, y = data(rng, "LeastSquares")
    solution = solve(method, xs.LeastSquares(A, y), tau0=1e6, k0=1e9, epochs=20, block="compiled")
    assert solution.status is Status.DIVERGED


@needs_numba
def test_it_is_chosen_where_blocks_would_take_longer_than_its_start(rng, monkeypatch):
    f = objective(rng, "Logistic")
    assert not xs.sgd(f, epochs=1).stats["compiled"]
    monkeypatch.setattr(costs, "WORTH_COMPILING", 1e-6)
    assert xs.sgd(f, epochs=1).stats["compiled"]
    assert not xs.sgd(f, epochs=1, block=16).stats["compiled"]
    A, y = data(rng, "Logistic")
    assert xs.sgd(xs.Logistic(scipy.sparse.csr_array(A), y), epochs=1).stats["compiled"]
    assert not xs.sgd(xs.Logistic(scipy.sparse.csr_array(A), y, intercept=True), epochs=1).stats["compiled"]
    _, tally = xs.count(xs.sgd, f, epochs=1)
    assert tally.launches > 100  # wrapped arrays meet the blocks
    gradient = autodiff.grad(lambda v: xs.sgd(xs.LeastSquares(A, v), epochs=1, step0=0.1).x @ np.ones(17))(y)
    assert np.all(np.isfinite(gradient))


@needs_numba
@pytest.mark.parametrize(
    ("options", "compiled"),
    [
        ({}, True),
        ({"record_every": 1}, True),  # blocks would have one step
        ({"batch": 103}, False),  # they start little, for much work
        ({"runs": 50, "epochs": 1}, False),  # runs share what is started
    ],
)
def test_what_blocks_would_really_start_decides(rng, monkeypatch, options, compiled):
    monkeypatch.setattr(costs, "WORTH_COMPILING", 1e-3)
    A, y = data(rng, "LeastSquares")
    runs, given = options.pop("runs", None), {"epochs": 20, "step0": 0.01, **options}
    x0 = None if runs is None else np.zeros((runs, 17))
    assert xs.sgd(xs.LeastSquares(A, y), x0, **given).stats["compiled"] is compiled
    monkeypatch.setattr(steps, "why_not", lambda _: "needs Numba")
    assert xs.sgd(xs.LeastSquares(A, y), x0, **given).stats["block"] <= options.get("record_every", 256)


@needs_numba
@pytest.mark.parametrize("method", METHODS)
def test_many_runs_are_one_call_of_the_loop(rng, monkeypatch, method):
    f = xs.LeastSquares(*data(rng, "LeastSquares"))
    taken, calls = compiled_steps.Loop.taken, []
    monkeypatch.setattr(compiled_steps.Loop, "taken", lambda *args: calls.append(1) or taken(*args))
    for runs in (1, 100):
        solve(method, f, np.zeros((runs, 17)), tau0=0.01, k0=10.0, epochs=10, block="compiled")
    assert len(calls) == 2 * len(bin(1030)[2:])  # chunks of 1, 2, 4, … steps, of all runs


def test_without_numba_blocks_are_what_auto_takes(rng, monkeypatch):
    f = objective(rng, "Logistic")
    monkeypatch.setattr(costs, "WORTH_COMPILING", 1e-6)
    monkeypatch.setattr(steps, "why_not", lambda _: "needs Numba")
    assert not xs.sgd(f, epochs=1).stats["compiled"]
    with pytest.raises(ValueError, match=r'block: expected "auto" or an integer >= 1, .* needs Numba'):
        xs.sgd(f, epochs=1, block="compiled")


class _Own(xs.Logistic):
    pass


@needs_numba
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda A, y: xs.Logistic(scipy.sparse.csr_array(A), y, intercept=True), "without intercept"),
        (_Own, "the derivative of _Own"),
    ],
)
def test_where_it_cannot_be_taken(rng, change, why):
    with pytest.raises(ValueError, match=f"block: expected .*{why}"):
        xs.sgd(change(*data(rng, "Logistic")), block="compiled")


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lam", [0.0, 0.05])
@pytest.mark.parametrize("intercept", [False, True])
def test_sweeps_over_coordinates_are_those_of_triangular_systems(rng, monkeypatch, dtype, lam, intercept):
    A, y = (x.astype(dtype) for x in data(rng, "LeastSquares"))
    A[:, 3] = 0
    f = xs.LeastSquares(A, y, lam, intercept=intercept)
    one = xs.coordinate_descent(f, max_iter=7, tol=1e-30)
    monkeypatch.setattr(costs, "WORTH_COMPILING", 0.0)
    mine = xs.coordinate_descent(f, max_iter=7, tol=1e-30)
    assert (one.stats["compiled"], mine.stats["compiled"], mine.method) == (False, True, "coordinate_descent")
    check_solution(mine, like=f.y, shape=(17,))
    assert_close(mine.x, one.x, like=one.x, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert xs.coordinate_descent(f, tol=1e-4).converged
    assert not xs.coordinate_descent(f, block=4, max_iter=7).stats["compiled"]


@pytest.fixture
def descents(monkeypatch):
    """How many steps of gradient descent each call of the loop took; `descents.off()` leaves them to single calls."""

    class Taken(list):
        def off(self):
            monkeypatch.setattr(module, "several_descents", lambda *_: None)

    module = importlib.import_module("xpsolve.stochastic.gradient_descent")  # whose name is that of the function
    found, make = Taken(), compiled_descent.several_descents

    def noted(*args):
        several = make(*args)
        return several and (lambda s, n: found.append(n) or several(s, n))

    monkeypatch.setattr(module, "several_descents", noted)
    return found


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"weights": True}])
@pytest.mark.parametrize("momentum", [None, "heavy_ball", "nesterov"])
@pytest.mark.parametrize("loss", ["LeastSquares", "Huber", "Logistic"])
def test_gradient_descent(rng, descents, loss, momentum, options, dtype):
    f = objective(rng, loss, dtype, **options)
    given = {"momentum": momentum, "max_iter": 45, "tol": 1e-14, "record": True}
    mine = xs.gradient_descent(f, **given)
    assert sum(descents) == 45
    descents.off()
    one = xs.gradient_descent(f, **given)
    check_solution(mine, like=f.y, shape=(17,))
    close = {"rtol": 1e-4 if dtype == "float32" else 1e-11}
    assert_close(mine.x, one.x, like=one.x, **close)
    for name, values in one.history.items():
        assert_close(mine.history[name], values, like=values, atol=1e-5 if dtype == "float32" else 1e-13, **close)
    assert (mine.status, mine.n_iter, mine.method) == (one.status, one.n_iter, one.method)


@needs_numba
@pytest.mark.parametrize("momentum", [None, "heavy_ball", "nesterov"])
def test_gradient_descent_ends_as_by_single_calls(rng, descents, momentum):
    f = objective(rng, "Logistic")
    far, x0 = xs.LeastSquares(2.0**-40 * f.operator.A, f.y), np.ones(17)
    calls = [
        lambda: xs.gradient_descent(f, x0, momentum=momentum),
        lambda: xs.gradient_descent(f, momentum=momentum, step=0.3, tol=1e-3, check_every=7),
        lambda: xs.gradient_descent(xs.LeastSquares(f.operator.A, f.y), momentum=momentum, step=50.0),
        lambda: xs.gradient_descent(far, momentum=momentum, max_iter=100),
    ]
    found = [call() for call in calls]
    assert sum(descents) == sum(solution.n_iter for solution in found)
    descents.off()
    for mine, call in zip(found, calls, strict=True):
        one = call()
        assert (mine.status, mine.n_iter) == (one.status, one.n_iter)
        assert_close(mine.x, one.x, rtol=1e-8, atol=1e-12 * float(np.max(np.abs(one.x))))


@needs_numba
def test_gradient_descent_on_other_problems_takes_single_calls(rng, descents, monkeypatch):
    A, y = data(rng, "LeastSquares")
    f, x0 = xs.LeastSquares(A, y, 0.05), np.ones(17)
    for other in (
        xs.LeastSquares(A, y, intercept=True),
        xs.LeastSquares(A, np.stack([y, y], axis=1)),
        xs.LeastSquares(A[:9], y[:9]),
        xs.LeastSquares(scipy.sparse.csr_array(A), y),
        objective(rng, "Multinomial"),
        _Own(A, np.sign(y)),
    ):
        xs.gradient_descent(other, max_iter=30, tol=1e-9)
    xs.gradient_descent(f, line_search=True, max_iter=30)
    _, tally = xs.count(xs.gradient_descent, f, max_iter=30, tol=1e-9)
    assert tally.launches > 30 * 4
    with autodiff.unrolled():
        g = autodiff.grad(lambda v: xs.gradient_descent(xs.LeastSquares(A, v, 0.05), max_iter=30, tol=1e-9).x @ x0)(y)
    assert np.all(np.isfinite(g))
    monkeypatch.setattr(compiled_descent, "_MOST", 100)
    xs.gradient_descent(f, max_iter=30)
    assert descents == []


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"weights": True}, {"far": True}, {"x0": 30.0}])
@pytest.mark.parametrize("loss", ["LeastSquares", "Huber", "Logistic"])
def test_newton(rng, monkeypatch, loss, options, dtype):
    f = objective(rng, loss, dtype, weights=options.get("weights", False))
    if "far" in options:
        unit = 2.0 ** (6 if dtype == "float32" else 40)
        f = type(f)(f.operator.A * unit, f.y, 0.05 * unit * unit, **({"delta": 0.5} if loss == "Huber" else {}))
    x0 = np.full(17, options["x0"], dtype) if "x0" in options else None
    given = {"record": True, "tol": 1e-5 if dtype == "float32" else 1e-9}
    module, taken, make = importlib.import_module("xpsolve.stochastic.newton"), [], compiled_descent.several_newtons

    def noted(*args):
        several = make(*args)
        return several and (lambda s, n: taken.append(n) or several(s, n))

    monkeypatch.setattr(module, "several_newtons", noted)
    mine = xs.newton(f, x0, **given)
    assert sum(taken) >= mine.n_iter > 0
    monkeypatch.setattr(module, "several_newtons", lambda *_: None)
    one = xs.newton(f, x0, **given)
    check_solution(mine, like=f.y, shape=(17,))
    assert (mine.status, mine.method) == (one.status, one.method)
    assert abs(mine.n_iter - one.n_iter) <= (2 if dtype == "float32" else 0)
    size = float(np.max(np.abs(one.x)))
    assert_close(mine.x, one.x, like=one.x, rtol=0, atol=size * (1e-3 if dtype == "float32" else 1e-9))
    for name, values in one.history.items() if dtype == "float64" else ():
        assert_close(mine.history[name], values, rtol=1e-6, atol=1e-10 * float(np.max(values)))


@needs_numba
def test_newton_where_a_step_fails_or_no_loop_is(rng, monkeypatch):
    A, y = data(rng, "Logistic")
    A[:, 4] = A[:, 3]
    module = importlib.import_module("xpsolve.stochastic.newton")
    calls = [
        lambda: xs.newton(xs.Logistic(A, y)),
        lambda: xs.newton(xs.Logistic(A, np.sign(A[:, 0]))),
        lambda: xs.newton(xs.LeastSquares(0 * A, y)),
        lambda: xs.newton(xs.Logistic(A, y, 0.1, intercept=True)),
        lambda: xs.newton(xs.Logistic(A, y, 0.1), method="cg"),
        lambda: xs.newton(xs.Logistic(np.tile(A, (40, 1)), np.tile(y, 40), 0.1)),
    ]
    found = [call() for call in calls]
    monkeypatch.setattr(module, "several_newtons", lambda *_: None)
    for mine, call in zip(found, calls, strict=True):
        one = call()
        assert mine.status is one.status
        if one.status is Status.CONVERGED:
            assert_close(A @ mine.x[:17], A @ one.x[:17], rtol=0, atol=1e-4)
    _, tally = xs.count(xs.newton, xs.Logistic(A, y, 0.1))
    assert tally.launches > 50


@needs_numba
def test_a_memory_that_was_given_is_not_written_to(rng):
    f = objective(rng, "Logistic")
    first = xs.sag(f, epochs=2, block="compiled", tol=0)
    kept = first.stats["memory"].alpha.copy()
    xs.sag(f, first.x, epochs=2, block="compiled", memory=first.stats["memory"], tol=0)
    np.testing.assert_array_equal(first.stats["memory"].alpha, kept)
