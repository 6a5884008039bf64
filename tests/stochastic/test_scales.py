"""Scaled problems have scaled answers, features of every size count, and what is not solved has another status."""

import inspect
import warnings

import numpy as np
import pytest
import scipy.sparse
from samples import in_memory

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close

SOLVERS = {
    "newton": lambda f: xs.newton(f),
    "newton cg": lambda f: xs.newton(f, method="cg"),
    "plain": lambda f: xs.gradient_descent(f),
    "nesterov": lambda f: xs.gradient_descent(f, momentum="nesterov"),
    "heavy_ball": lambda f: xs.gradient_descent(f, momentum="heavy_ball"),
    "armijo": lambda f: xs.gradient_descent(f, line_search=True),
    "exact": lambda f: xs.gradient_descent(f, line_search="exact"),
    "coordinates": lambda f: xs.coordinate_descent(f),
    "blocks": lambda f: xs.coordinate_descent(f, block=2),
    "sgd": lambda f: xs.sgd(f, epochs=60, tol=0.1),
    "sga": lambda f: xs.sga(f, epochs=60, tol=0.1),
    "sag": lambda f: xs.sag(f, epochs=60, tol=1e-4),
}
LOSSES = ("LeastSquares", "Logistic", "Multinomial")
RANGE = {"float64": (-300, -150, 0, 80, 300), "float32": (-34, -17, 0, 9, 34)}


def data(n=40, p=4):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, p))
    return A, A @ np.asarray([1.0, -1.0, 0.5, 2.0])[:p] + 0.3 * rng.standard_normal(n)


def objective(loss, A, y, lam, xp=np.asarray):
    if loss == "LeastSquares":
        return xs.LeastSquares(A, y, lam)
    if loss == "Logistic":
        return xs.Logistic(A, xp(np.where(data()[1] > 0, 1.0, -1.0)), lam)
    labels = np.argmax(data()[0][:, :3] + 0.7 * data()[0][::-1, :3], axis=1)
    return xs.Multinomial(A, xp(np.eye(3)[labels]), lam)


def power(exponent):
    """The power of two near a power of ten."""
    return 2.0 ** round(exponent * np.log2(10))


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("dtype", RANGE)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", SOLVERS)
def test_scaled_problems_have_scaled_answers(name, loss, dtype):
    if name == "exact" and loss != "LeastSquares":
        pytest.skip("for least squares only")
    A, y = (v.astype(dtype) for v in data())
    smallest, largest = float(np.finfo(dtype).smallest_normal), float(np.finfo(dtype).max)
    for lam in (0.0, 0.05) if loss == "LeastSquares" else (0.05,):
        wanted = SOLVERS[name](objective(loss, A, y, lam, lambda v: np.asarray(v, dtype)))
        assert wanted.converged
        for a in map(power, RANGE[dtype]):
            for b in map(power, RANGE[dtype] if loss == "LeastSquares" else (0,)):
                scaled = lam * a * a
                if lam and not smallest <= scaled <= largest:
                    continue
                f = objective(loss, A * A.dtype.type(a), y * A.dtype.type(b), scaled, lambda v: np.asarray(v, dtype))
                solution = SOLVERS[name](f)
                x, unit = np.asarray(solution.x, np.longdouble), np.longdouble(b) / np.longdouble(a)
                sizes = np.abs(np.asarray(wanted.x, np.longdouble)) * unit
                if smallest <= np.min(sizes) and np.max(sizes) <= largest:
                    assert solution.converged, (a, b, lam)
                if solution.converged:
                    assert_close(np.asarray(x / unit, float), wanted.x, rtol=1e-4), (a, b, lam)


@pytest.mark.of("gradient_descent")
@pytest.mark.parametrize("name", ["newton", "nesterov"])
def test_scaled_problems_on_every_library(xp, name):
    A, y = data()
    unit = power(24)
    wanted = np.linalg.solve(A.T @ A / 40 + 0.05 * np.eye(4), A.T @ y / 40)
    for a, b in ((1.0, 1 / unit), (power(12), power(-12)), (power(-16), power(8))):
        f = xs.LeastSquares(xp(A * a), xp(y * b), 0.05 * a * a)
        solution = SOLVERS[name](f)
        assert solution.converged
        assert_close(solution.x * (a / b), wanted, like=xp(A), rtol=1e-3)


@pytest.mark.parametrize("dtype", RANGE)
@pytest.mark.parametrize("name", ["newton", "newton cg", "coordinates", "blocks"])
@pytest.mark.parametrize("loss", LOSSES[:2])
def test_features_of_very_different_sizes(name, loss, dtype):
    A, y = data(500)
    classes = np.where(y + np.random.default_rng(1).logistic(size=500) > 0, 1.0, -1.0)
    make = (lambda A: xs.LeastSquares(A, y.astype(dtype))) if loss == "LeastSquares" else (
        lambda A: xs.Logistic(A, classes.astype(dtype))
    )  # fmt: skip
    wanted = xs.newton(xs.LeastSquares(A, y) if loss == "LeastSquares" else xs.Logistic(A, classes), tol=1e-12).x
    for c in (1e3, 1e6, 1e-8, 1e15) + ((1e100, 1e-200) if dtype == "float64" else ()):
        sizes = np.asarray([1.0, 1.0, 1.0, c])
        solution = SOLVERS[name](make((A * sizes).astype(dtype)))
        assert solution.converged, (c, solution.status)
        assert_close(solution.x.astype(float) * sizes, wanted, rtol=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_no_feature_is_overlooked(name):
    A, y = data(500)
    wanted = np.linalg.lstsq(A, y, rcond=None)[0]
    for c in (1e4, 1e8):
        sizes = np.asarray([1.0, 1.0, 1.0, c])
        f = xs.LeastSquares(A * sizes, y)
        solution = SOLVERS[name](f)
        if solution.converged:
            assert_close(solution.x * sizes, wanted, rtol=0.2)
        else:
            assert solution.status is Status.MAX_ITER


def test_sparse_matrices_of_other_scales():
    A, y = data()
    A[np.abs(A) < 0.5] = 0
    wanted = xs.newton(xs.LeastSquares(A, y), tol=1e-12).x
    for a in (1e-150, 1.0, 1e160):
        f = xs.LeastSquares(scipy.sparse.csr_array(A * a), y)
        for solution in (xs.newton(f), xs.gradient_descent(f), xs.sag(f, epochs=300, tol=1e-6)):
            assert solution.converged
            assert_close(solution.x * a, wanted, rtol=1e-4)


@pytest.mark.parametrize("dtype", RANGE)
def test_answers_beyond_the_range_are_never_converged(dtype):
    A, y = (v.astype(dtype) for v in data())
    low, high = (A.dtype.type(power(k)) for k in (RANGE[dtype][0], RANGE[dtype][-1]))
    for a, b in ((low, high), (high, low)):
        for name, solve in SOLVERS.items():
            with pytest.warns(ConvergenceWarning):
                assert not solve(xs.LeastSquares(A * a, y * b)).converged, name


def test_recorded_values_and_what_callbacks_see_are_in_the_units_of_the_caller():
    A, y = data()
    for a, b in ((1.0, 1e3), (1e-120, 1e-20)):
        f, seen = xs.LeastSquares(A * a, y * b), []
        solution = xs.gradient_descent(f, record=True, callback=lambda k, s: seen.append(s))  # noqa: B023
        assert solution.history["objective"][0] == pytest.approx(float(f.value(f.zeros())))
        assert solution.history["certificate"][-1] == pytest.approx(solution.certificate.value)
        assert solution.history["objective"][-1] == pytest.approx(float(f.value(solution.x)))
        assert_close(seen[-1].x, solution.x)
        assert seen[-1].measure == pytest.approx(solution.certificate.value)
        run = xs.sgd(f, epochs=20, record_every=100, tol=0.5)
        assert run.history["objective"][-1] == pytest.approx(float(f.value(run.x)))
        assert run.history["certificate"][-1] == pytest.approx(run.certificate.value)


def test_a_given_step_and_start_are_in_the_units_of_the_caller():
    A, y = data()
    x0 = np.asarray([1.0, 2.0, 3.0, 4.0])
    options = {"max_iter": 7, "tol": 0.0}
    with pytest.warns(ConvergenceWarning):
        wanted = xs.gradient_descent(xs.LeastSquares(A, y), x0, step=0.1, **options).x
    a, b = power(-120), power(30)
    with pytest.warns(ConvergenceWarning):
        x = xs.gradient_descent(xs.LeastSquares(A * a, y * b), x0 * b / a, step=0.1 / a / a, **options).x
    assert np.all(x == wanted * b / a)  # to the last bit
    numbers = np.arange(40)
    one = xs.sgd(xs.LeastSquares(A, y), x0, indices=numbers, step0=0.1, tol=10.0).x
    two = xs.sgd(xs.LeastSquares(A * a, y * b), x0 * b / a, indices=numbers, step0=0.1 / a / a, tol=10.0).x
    assert np.all(two == one * b / a)


# --- statuses and remedies -------------------------------------------------------------------------


UNFINISHED = {
    "gradient_descent": lambda f: xs.gradient_descent(f, max_iter=1),
    "coordinate_descent": lambda f: xs.coordinate_descent(f, max_iter=1),
    "newton": lambda f: xs.newton(f, max_iter=0),
    "sgd": lambda f: xs.sgd(f, epochs=0),
    "sga": lambda f: xs.sga(f, epochs=0),
    "sag": lambda f: xs.sag(f, epochs=0),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_is_not_finished_says_so_once_and_where(name):
    A, y = data()
    f = xs.LeastSquares(A, y)
    calls = [lambda: UNFINISHED[name](f), lambda: xs.count(UNFINISHED[name], f)[0]]
    if name in ("gradient_descent", "coordinate_descent", "newton"):
        calls.append(lambda: autodiff.grad(lambda y: UNFINISHED[name](xs.LeastSquares(A, y)).x @ np.ones(4))(y))
    with pytest.warns(ConvergenceWarning) as caught:
        solution, *_ = [call() for call in calls]
    assert solution.status is Status.MAX_ITER
    assert len(caught) == len(calls)
    parameters = inspect.signature(getattr(xs, name)).parameters
    for warning in caught:
        assert warning.filename == __file__
        words = str(warning.message)
        assert words.startswith(name)
        assert "rounding" not in words
        advised = words.rpartition("Raise ")[2].split(",")[0].split(" ")[0].strip(".")
        assert advised in parameters


def test_overflow_warns_of_nothing_else():
    A, y = data()
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        for solve in SOLVERS.values():
            solve(xs.LeastSquares(A * 1e200, y * 1e-200))
        assert xs.gradient_descent(xs.LeastSquares(A, y), step=1e200).status is Status.DIVERGED


# --- the stopping rule and the memory of SAG ----------------------------------------------------------


def test_sag_stops_at_its_tolerance():
    A, y = data()
    f = xs.LeastSquares(A, y, 0.01)
    short, long = (xs.sag(f, epochs=1000, tol=tol) for tol in (1e-2, 1e-8))
    assert short.converged
    assert long.converged
    assert short.n_iter < long.n_iter < 40 * 1000
    assert long.certificate.value <= 1e-8


@pytest.mark.of("sag")
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_sag_goes_on_where_it_was(xp):
    in_memory(xp)
    A, y = data()
    numbers = np.random.default_rng(1).integers(0, 40, 90)
    f = xs.LeastSquares(xp(A), xp(y * 1e3), 0.01)
    whole = xs.sag(f, indices=numbers, tol=0)
    first = xs.sag(f, indices=numbers[:45], tol=0)
    second = xs.sag(f, first.x, indices=numbers[45:], memory=first.stats["memory"], tol=0)
    assert_close(second.x, whole.x, like=xp(A), rtol=1e-5 if xp.dtype == "float32" else 1e-12)
    assert np.array_equal(second.stats["memory"].seen, whole.stats["memory"].seen)


def test_the_memory_of_sag_is_checked():
    f = xs.LeastSquares(*data())
    memory = xs.sag(f, tol=1.0).stats["memory"]
    with pytest.raises(TypeError, match="memory: expected"):
        xs.sag(f, np.zeros(4), memory=np.zeros(40))
    with pytest.raises(ValueError, match="memory: expected x0"):
        xs.sag(f, memory=memory)
    with pytest.raises(ValueError, match="memory: expected shape"):
        xs.sag(xs.LeastSquares(*data(30)), np.zeros(4), memory=memory)
