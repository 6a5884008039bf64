"""Objectives with a penalty on samples of Dask: how often they are read, and that the answer is the same."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
from benchmarks._problems import CountedRows  # noqa: E402

N, P, ROWS = 300, 4, 150
pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.solution.ConvergenceWarning")


@pytest.fixture
def source(rng):
    A = rng.standard_normal((N, P)) * np.asarray([1.0, 0.1, 1.0, 3.0]) + np.asarray([0.0, 0.0, 2.0, 0.0])
    y = A @ np.asarray([1.0, 0.0, -1.0, 0.2]) + rng.standard_normal(N)
    return CountedRows(np.column_stack([A, y]), ROWS)


def least_squares(A, y, **options):
    return xs.LeastSquares(A, y, **options)


def huber(A, y, **options):
    return xs.Huber(A, y, 1e-2, delta=0.5, **options)


def logistic(A, y, **options):
    return xs.Logistic(A, 2.0 * (y > 0) - 1, **options)


def multinomial(A, y, **options):
    stack = da.stack if isinstance(y, da.Array) else np.stack
    return xs.Multinomial(A, stack([y > 0, y <= 0], axis=1) * 1.0, 1e-2, **options)


def several(A, y, **options):
    stack = da.stack if isinstance(y, da.Array) else np.stack
    return xs.LeastSquares(A, stack([y, 2 * y], axis=1), 1e-2, **options)


PENALTIES = {
    "none": lambda: None,
    "l1": lambda: xs.penalties.L1(0.05),
    "weights": lambda: xs.penalties.L1(0.05, weights=da.from_array(np.asarray([1.0, 2.0, 1.0, 0.0]))),
    "bounds": lambda: xs.penalties.NonNegative(),
    "total variation": lambda: xs.penalties.TotalVariation(0.1, (P,)),
}


def compared(solve, source, rtol):
    """The solution on Dask, like that in memory, and passes over the samples."""
    A, y = source.values[:, :P], source.values[:, P]
    expected = solve(A, y)
    source.read = 0
    found = solve(source.array[:, :P], source.array[:, P])
    passes = source.passes
    assert isinstance(found.x, da.Array)
    assert (found.status, found.method, found.n_iter) == (expected.status, expected.method, expected.n_iter)
    assert_close(found.x.compute(), expected.x, rtol=rtol)
    assert repr(found)
    assert source.passes == passes  # what is asked of the answer reads nothing
    return found, passes


def in_memory(name):
    """A penalty without arrays of Dask."""
    return xs.penalties.L1(0.05, weights=np.asarray([1.0, 2.0, 1.0, 0.0])) if name == "weights" else PENALTIES[name]()


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("model", [least_squares, logistic])
def test_a_pass_for_a_gradient_and_one_or_two_for_a_check(source, model, name):
    steps = 20

    def solve(A, y):
        penalty = PENALTIES[name]() if isinstance(A, da.Array) else in_memory(name)
        return xs.minimize(model(A, y, check_finite=False), penalty, max_iter=steps)

    found, passes = compared(solve, source, 1e-9)
    checks = found.n_iter // 10 + 1
    if model is least_squares:  # steps are taken on AᵀA; before the first pass the unit of y is found
        assert passes <= 2 + checks
    else:
        assert passes <= found.n_iter + 2 + 2 * checks


@pytest.mark.parametrize("model", [least_squares, huber, logistic, multinomial, several])
@pytest.mark.parametrize("name", ["l1", "bounds"])
def test_weights_and_an_intercept(source, model, name):
    compared(
        lambda A, y: xs.minimize(
            model(A, y, weights=1 + y * y, intercept=True), PENALTIES[name](), method="fista", max_iter=10
        ),
        source,
        1e-8,
    )


def test_nnls(source):
    found, passes = compared(xs.nnls, source, 1e-9)
    assert found.converged
    assert passes <= 4  # the check of A and y, the first pass, and two checks


def test_features_are_never_copied_from_chunks_of_rows(rng):
    A = rng.standard_normal((300, 130))
    source = CountedRows(np.column_stack([A, A[:, 0] + rng.standard_normal(300)]), 150)
    f = xs.Logistic(source.array[:, :130], np.sign(source.array[:, 130]))
    assert xs.minimize(f, xs.penalties.L1(0.2)).method == "fista"


def test_a_callback_a_record_and_where_to_start(source):
    seen = []
    f = logistic(source.array[:, :P], source.array[:, P])
    penalty, x0 = xs.penalties.L1(0.05), da.ones(P)
    options = {"record": True, "max_iter": 10}
    found = xs.minimize(f, penalty, x0=x0, callback=lambda k, progress: seen.append(progress.x), **options)
    assert all(isinstance(x, da.Array) for x in seen)
    plain = xs.minimize(logistic(source.values[:, :P], source.values[:, P]), penalty, x0=np.ones(P), **options)
    assert_close(found.history["objective"].compute(), plain.history["objective"], rtol=1e-12)


def test_what_carries_a_derivative_is_followed_as_before(source):
    A, y = source.array[:, :P], source.array[:, P]

    def first(c):
        f = xs.LeastSquares(A, c * y, check_finite=False)
        return xs.minimize(f, xs.penalties.SquaredL2(0.1), method="fista", max_iter=2, tol=0.0).x[0]

    slope = xs.autodiff.grad(first)(da.asarray(1.0))
    assert_close(np.asarray(slope), np.asarray(first(da.asarray(1.0))), rtol=1e-9)  # x is linear in y
