"""Descents on samples of Dask in chunks of rows: how often they read them, and that they find the same."""

import functools

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
from benchmarks._problems import CountedRows  # noqa: E402

N, P, ROWS = 300, 4, 50


class Source(CountedRows):
    """[A y] in chunks of rows."""

    def __init__(self):
        rng = np.random.default_rng(1)
        A = rng.standard_normal((N, P)) * np.asarray([1.0, 0.1, 1.0, 3.0]) + np.asarray([0.0, 0.0, 2.0, 0.0])
        y = A @ np.asarray([1.0, 0.0, -1.0, 0.2]) + rng.standard_normal(N)
        super().__init__(np.column_stack([A, y]), ROWS)

    def since(self):
        """Passes since the last question."""
        found, self.read = self.passes, 0
        return found


MODELS = {
    "least squares": lambda A, y, **options: xs.LeastSquares(A, y, 1e-2, **options),
    "huber": lambda A, y, **options: xs.Huber(A, y, 1e-2, delta=0.5, **options),
    "logistic": lambda A, y, **options: xs.Logistic(A, 2.0 * (y > 0) - 1, 1e-2, **options),
}


@pytest.fixture(params=MODELS)
def models(request):
    """Models of the same samples on Dask and in memory, and how often the former are read."""
    source = Source()
    make = MODELS[request.param]
    f, g = (make(values[:, :P], values[:, P]) for values in (source.array, source.values))
    assert source.since() == 1  # the checks of A and y, and the unit of y
    return f, g, source


def compared(found, expected, rtol):
    assert isinstance(found.x, da.Array)
    assert found.status is expected.status
    assert (found.method, found.n_iter) == (expected.method, expected.n_iter)
    assert_close(found.x.compute(), expected.x, rtol=rtol)


def test_newton_reads_once_for_a_step(models):
    f, g, source = models
    solution, plain = xs.newton(f), xs.newton(g)
    assert source.since() <= plain.n_iter + 1
    compared(solution, plain, 1e-12)
    assert repr(solution)
    assert source.since() == 0


def test_newton_by_cg_reads_once_for_a_product(models):
    f, g, source = models
    compared(xs.newton(f, method="cg"), xs.newton(g, method="cg"), 1e-8)
    assert source.since() > 0


@pytest.mark.filterwarnings("ignore::xpsolve.solution.ConvergenceWarning")
@pytest.mark.parametrize("options", [{}, {"momentum": "heavy_ball"}, {"line_search": True}, {"step": 0.05}])
def test_gradient_descent_reads_once_for_a_step(models, options):
    f, g, source = models
    solution = xs.gradient_descent(f, max_iter=30, **options)
    assert source.since() == solution.n_iter + 1
    # rounding decides whether a trial step is accepted where f is flat
    compared(solution, xs.gradient_descent(g, max_iter=30, **options), 1e-2 if "line_search" in options else 1e-9)
    assert source.since() == 0


@pytest.mark.parametrize("name", MODELS)
def test_unchecked_samples_are_read_for_the_unit_of_y_alone(name):
    source = Source()
    f = MODELS[name](source.array[:, :P], source.array[:, P], check_finite=False)
    assert source.since() == 0
    solution = xs.newton(f)
    assert solution.converged
    assert source.since() == solution.n_iter + 1 + f.has_units


@pytest.mark.filterwarnings("ignore::xpsolve.solution.ConvergenceWarning")
@pytest.mark.parametrize("solve", [xs.newton, functools.partial(xs.gradient_descent, max_iter=20)])
def test_whether_classes_are_separated_is_seen_in_the_same_passes(solve):
    source = Source()
    f = xs.Logistic(source.array[:, :P], 2.0 * (source.array[:, P] > 0) - 1)
    assert source.since() == 1
    solution = solve(f)
    assert solution.status.name != "UNBOUNDED"
    assert source.since() == solution.n_iter + 1


@pytest.mark.parametrize(("column", "argument"), [(2, "A"), (P, "y")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, N - 1])
def test_numbers_that_are_not_finite_are_named(column, argument, value, row):
    source = Source()
    source.values[row, column] = value
    with pytest.raises(ValueError, match=f"^{argument}: expected finite numbers, got 1 NaN or infinite"):
        xs.LeastSquares(source.array[:, :P], source.array[:, P])


def test_observations_of_another_loss_are_named():
    source = Source()
    A, y = source.array[:, :P], source.array[:, P]
    with pytest.raises(ValueError, match=r"^y: expected the classes -1 and \+1"):
        xs.Logistic(A, 1.0 * (y > 0))
    with pytest.raises(ValueError, match=r"^Y: expected rows of probabilities"):
        xs.Multinomial(A, da.stack([y, 1 - y], axis=1))


def test_where_to_start_a_record_and_a_callback(models):
    f, g, _ = models
    x0, seen = xs.newton(f).x, []
    solution = xs.gradient_descent(f, x0=x0, record=True, callback=lambda k, progress: seen.append(progress.x))
    assert solution.n_iter == 0
    assert isinstance(seen[0], da.Array)
    assert_close(solution.history["objective"].compute(), [g.value(x0.compute())], rtol=1e-12)


def some_steps(f):
    return xs.gradient_descent(f, max_iter=20, momentum="nesterov")


@pytest.mark.filterwarnings("ignore::xpsolve.solution.ConvergenceWarning")
@pytest.mark.parametrize("name", [*MODELS, "multinomial"])
@pytest.mark.parametrize("solve", [xs.newton, some_steps])
def test_weights_and_an_intercept(name, solve):
    def model(values):
        A, y = values[:, :P], values[:, P]
        options = {"weights": 1 + y * y, "intercept": True}
        if name == "multinomial":
            stack = da.stack if isinstance(y, da.Array) else np.stack
            return xs.Multinomial(A, stack([y > 0, y <= 0], axis=1) * 1.0, 1e-2, **options)
        return MODELS[name](A, y, **options)

    source = Source()
    solution, plain = solve(model(source.array)), solve(model(source.values))
    compared(solution, plain, 1e-4 if name == "multinomial" else 1e-8)
    assert_close(np.asarray(solution.intercept), np.asarray(plain.intercept), rtol=1e-4)


@pytest.mark.filterwarnings("ignore::xpsolve.solution.ConvergenceWarning")
@pytest.mark.parametrize("solve", [xs.newton, some_steps])
def test_squares_out_of_range_and_separated_classes(solve):
    source = Source()
    A, y = source.values[:, :P], source.values[:, P]
    lazy, lazy_y = (da.from_array(x, chunks=(ROWS, *x.shape[1:])) for x in (A, y))
    found, plain = (solve(xs.LeastSquares(a * 1e-200, b)) for a, b in ((lazy, lazy_y), (A, y)))
    compared(found, plain, 1e-8)
    with pytest.warns(xs.ConvergenceWarning, match="separates"):
        solution = xs.newton(xs.Logistic(lazy, 2.0 * (lazy[:, 3] > 0) - 1))
    assert solution.status.name == "UNBOUNDED"
