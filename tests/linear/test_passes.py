"""Tall matrices of Dask and in files: how often each function reads them, and that the answer is the same."""

import tracemalloc

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import row_blocks
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
from benchmarks._problems import CountedRows  # noqa: E402

N, P, ROWS = 400, 6, 50


class Source(CountedRows):
    """[A y] in chunks of rows."""

    def __init__(self, dtype="float64", scale=1.0):
        rng = np.random.default_rng(5)
        A = rng.standard_normal((N, P))
        y = A @ np.asarray([3.0, 0.0, -2.0, 0.0, 0.0, 1.0]) + 0.3 * rng.standard_normal(N) + 2
        super().__init__(np.column_stack([scale * A, y]).astype(dtype), ROWS)

    def data(self, columns=1):
        """A and y, as arrays of Dask and in memory."""
        pairs = []
        for values in (self.array, self.values):
            y = values[:, P]
            pairs.append((values[:, :P], y if columns == 1 else np.stack([y, 2 * y], axis=1)))
        return pairs


LAM = 40.0
CALLS = {
    "ridge": (lambda A, y: xs.ridge(A, y, 1.0), 2),
    "ridge, a path": (lambda A, y: xs.ridge(A, y, [1.0, 10.0, 100.0]), 2),
    "ridge, svd": (lambda A, y: xs.ridge(A, y, 1.0, method="svd"), 2),
    "ridge, unchecked": (lambda A, y: xs.ridge(A, y, 1.0, check_finite=False), 2),
    "ridge, intercept": (lambda A, y: xs.ridge(A, y, 1.0, intercept=True), 2),
    "ridge, cg": (lambda A, y: xs.ridge(A, y, 1.0, method="cg"), 13),  # ten steps, the first look, a check and the end
    "lstsq": (xs.lstsq, 2),
    "lasso": (lambda A, y: xs.lasso(A, y, LAM), 2),
    "lasso, fista": (lambda A, y: xs.lasso(A, y, LAM, method="fista", tol=1e-5), 2),
    "elastic net": (lambda A, y: xs.elastic_net(A, y, LAM, 0.5), 2),
    "elastic net, intercept": (lambda A, y: xs.elastic_net(A, y, LAM, 0.5, intercept=True), 2),
    "lasso_path": (xs.lasso_path, 2),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLS)
def test_passes(name, dtype):
    call, passes = CALLS[name]
    source = Source(dtype)
    lazy, plain = source.data()
    solution = call(*lazy)
    if (name, dtype) == ("lasso, fista", "float32"):
        passes += 1  # the gap of the rounded answer
    assert source.passes == passes
    assert solution.status.name == "CONVERGED"
    assert str(solution.x.dtype) == dtype
    assert isinstance(solution.x, da.Array)
    x = solution.x.compute()
    assert repr(solution)
    if solution.intercept is not None:
        assert float(solution.intercept)
    assert source.passes == passes  # what is asked of the answer reads nothing
    expected = call(*plain)
    assert solution.method == ("normal" if name == "lstsq" else expected.method)
    assert_close(x, np.asarray(expected.x), rtol=1e-5 if dtype == "float64" else 1e-3)


def test_conjugate_gradients_on_rows_that_are_wider_than_long():
    source = Source()
    plain, y = source.values[:, :P].T.copy(), np.ones(P)
    wide = CountedRows(np.column_stack([plain, y]), 3)
    solution = xs.ridge(wide.array[:, :-1], wide.array[:, -1], [1.0, 10.0], method="cg")
    assert wide.passes == solution.n_iter + solution.n_iter // 10 + 2
    assert solution.converged
    assert_close(solution.x.compute(), xs.ridge(plain, y, [1.0, 10.0], method="woodbury").x, rtol=1e-10)


def test_many_steps_of_conjugate_gradients_are_not_recorded(rng):
    A = rng.standard_normal((300, 60)) * np.geomspace(1, 100, 60)
    source = CountedRows(np.column_stack([A, A @ np.ones(60) + rng.standard_normal(300)]), 150)
    lazy, plain = (xs.ridge(x[:, :60], x[:, 60], 1.0, method="cg", record=True) for x in (source.array, source.values))
    assert min(lazy.n_iter, plain.n_iter) > 60
    assert_close(lazy.x.compute(), plain.x, rtol=1e-9)
    assert_close(lazy.history["objective"][-1].compute(), plain.history["objective"][-1], rtol=1e-12)


def test_columns_of_y_and_a_warm_start():
    source = Source()
    (A, Y), (plain, _) = source.data(columns=2)
    solution = xs.ridge(A, Y, da.asarray([[1.0, 2.0]]))
    assert source.passes == 2
    assert_close(solution.x.compute()[:, 1], xs.ridge(plain, 2 * source.values[:, P], 2.0).x, rtol=1e-12)
    source.read = 0
    warm = xs.lasso(A, Y[:, 0], LAM, x0=xs.lasso(A, Y[:, 0], LAM, tol=1e-9).x)
    assert (warm.n_iter, warm.status.name) == (0, "CONVERGED")


def test_an_ill_conditioned_problem_falls_back_to_the_triangle():
    source = Source()
    source.values[:, 1] = source.values[:, 0] * (1 + 1e-10)
    lazy, plain = source.data()
    solution, expected = xs.ridge(*lazy, 0.0), xs.ridge(*plain, 0.0)
    assert solution.method == expected.method == "normal->svd"
    assert source.passes <= 4  # the Gram matrix and its certificate, the triangle and its own
    assert solution.converged
    residual = plain[1] - plain[0] @ solution.x.compute()
    best = plain[1] - plain[0] @ expected.x
    assert residual @ residual <= (1 + 1e-9) * (best @ best)


# 1/κ of A, the passes that lstsq takes, and what it does: AᵀA is enough, needs a step of refinement, or R in its place
CONDITIONS = {
    "good": (1e-1, 2, "normal"),
    "fair": (1e-3, 3, "normal"),
    "bad": (1e-6, 3, "normal->svd"),
    "singular": (0.0, 3, "normal->svd"),
}


def conditioned(least, dtype="float64", scale=1.0):
    """A with singular values from `scale` to `least` times it, and y with a part that A does not reach."""
    rng = np.random.default_rng(2)
    U, V = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((N, P), (P, P)))
    s = np.concatenate([np.geomspace(1, max(least, 1e-2), P - 1), [least]])
    if dtype == "complex128":
        U = U * np.exp(1j * np.arange(N))[:, None]
    A = (U * s) @ V
    y = A @ np.ones(P) + rng.standard_normal(N)
    return (scale * A).astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("name", CONDITIONS)
def test_least_squares_of_any_condition(name, checked, dtype):
    least, passes, method = CONDITIONS[name]
    A, y = conditioned(least, dtype)
    source = CountedRows(np.column_stack([A, y]), ROWS)
    solution = xs.lstsq(source.array[:, :P], source.array[:, P], check_finite=checked)
    expected = xs.lstsq(A, y)
    if dtype == "float32" and name == "fair":
        passes = 2  # sums in float64 are enough
    assert (solution.method, source.passes) == (method, passes)
    assert solution.converged
    assert int(solution.stats["rank"]) == int(expected.stats["rank"])
    x, s = (np.asarray(part) for part in (solution.x, solution.stats["singular_values"]))
    assert x.dtype == dtype
    eps = np.finfo(dtype).eps
    assert_close(s, np.asarray(expected.stats["singular_values"]), atol=1e-9 if eps < 1e-10 else 1e-6)
    # as far from the exact answer as that in memory may be
    error = 20 * eps * (1 / least**2 if least else 1e4) * np.linalg.norm(y)
    assert_close(x, expected.x, atol=min(error, 1.0))


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e150])
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("name", CONDITIONS)
def test_least_squares_out_of_range(name, checked, scale):
    A, y = conditioned(CONDITIONS[name][0], scale=scale)
    source = CountedRows(np.column_stack([A, y]), ROWS)
    solution = xs.lstsq(source.array[:, :P], source.array[:, P], check_finite=checked)
    assert solution.converged
    assert source.passes <= 6
    expected = xs.lstsq(A / scale, y)
    assert int(solution.stats["rank"]) == int(expected.stats["rank"])
    if name in ("good", "fair"):
        assert_close(solution.x.compute() * scale, expected.x, rtol=1e-8)


def test_refinement_gains_the_digits_that_squares_have_lost():
    A, _ = conditioned(1e-3)
    source = CountedRows(np.column_stack([A, A @ np.ones(P)]), ROWS)
    solution = xs.lstsq(source.array[:, :P], source.array[:, P])
    assert (solution.method, source.passes) == ("normal", 3)
    assert_close(solution.x.compute(), np.ones(P), rtol=1e-12)


def test_a_cut_between_singular_values():
    A, y = conditioned(1e-2)
    source = CountedRows(np.column_stack([A, y]), ROWS)
    solution, expected = (xs.lstsq(*data, rtol=0.05) for data in ((source.array[:, :P], source.array[:, P]), (A, y)))
    assert solution.method == "normal"
    assert 0 < int(solution.stats["rank"]) == int(expected.stats["rank"]) < P
    assert_close(solution.x.compute(), expected.x, rtol=1e-11)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
@pytest.mark.parametrize("name", ["ridge", "lstsq", "lasso", "lasso_path"])
def test_squares_out_of_range(name, scale):
    calls = {
        "ridge": lambda A, y: xs.ridge(A, y, 0.0),
        "lstsq": xs.lstsq,
        "lasso": lambda A, y: xs.lasso(A, y, LAM * scale),
        "lasso_path": lambda A, y: xs.lasso_path(A, y, n_lams=5),
    }
    source = Source(scale=scale)
    lazy, plain = source.data()
    solution = calls[name](*lazy)
    assert solution.converged
    assert source.passes <= 6
    assert_close(solution.x.compute() * scale, calls[name](*plain).x * scale, rtol=1e-5)


@pytest.mark.parametrize("name", ["ridge", "lstsq", "lasso", "lasso_path"])
@pytest.mark.parametrize("place", [(7, 2), (390, P)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(name, place, value):
    calls = {
        "ridge": lambda A, y: xs.ridge(A, y, 1.0),
        "lstsq": xs.lstsq,
        "lasso": lambda A, y: xs.lasso(A, y, LAM),
        "lasso_path": xs.lasso_path,
    }
    source = Source()
    source.values[place] = value
    lazy, _ = source.data()
    with pytest.raises(ValueError, match=r"^A: expected finite" if place[1] < P else r"^y: expected finite"):
        calls[name](*lazy)


def test_callbacks_and_records_have_arrays_of_dask():
    lazy, plain = Source().data()
    seen = []
    solution = xs.lasso(*lazy, LAM, method="ista", record=True, callback=lambda k, progress: seen.append(progress))
    expected = xs.lasso(*plain, LAM, method="ista", record=True)
    assert all(isinstance(progress.x, da.Array) for progress in seen)
    assert float(seen[-1].measure) <= 1e-6
    objective = solution.history["objective"]
    assert isinstance(objective, da.Array)
    assert_close(objective.compute(), expected.history["objective"], rtol=1e-10)


def test_short_problems_of_dask_are_settled_too():
    source = Source()
    lazy, _ = source.data()
    A = lazy[0][:ROWS, :].T
    solution = xs.ridge(A, lazy[1][:P], 1.0)
    source.read = 0
    assert solution.converged
    assert solution.x.compute().shape == (ROWS,)
    assert source.read == 0


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(params=["float64", "float32"])
def file(request, tmp_path, monkeypatch):
    """A of 2 MB in a file and y, in blocks of 64 kB."""
    monkeypatch.setattr(row_blocks, "_BLOCK", 2**16)
    rng = np.random.default_rng(3)
    values = rng.standard_normal((8000, 32)).astype(request.param)
    path = tmp_path / "A.npy"
    np.save(path, values)
    y = values @ np.where(np.arange(32) % 3 == 0, 2.0, 0.0) + rng.standard_normal(8000) + 5
    return np.load(path, mmap_mode="r"), values, y.astype(request.param)


ON_FILES = {
    **{name: call for name, (call, _) in CALLS.items()},
    "lasso, weights": lambda A, y: xs.lasso(A, y, 1000.0, weights=1 + y * y, intercept=True),
    "lasso_path, λ = 0": lambda A, y: xs.lasso_path(A, y, [300.0, 0.0]),
    "gradient_descent": lambda A, y: xs.gradient_descent(xs.LeastSquares(A, y)),
    "newton": lambda A, y: xs.newton(xs.Logistic(A, np.sign(y - 5), 1e-3)),
    "newton, cg": lambda A, y: xs.newton(xs.Logistic(A, np.sign(y - 5), 1e-3), method="cg"),
}


@pytest.mark.parametrize("name", ON_FILES)
def test_a_file_is_never_in_memory_as_a_whole(name, file):
    A, values, y = file
    ON_FILES[name](A[:300], y[:300])  # what is imported and made once
    tracemalloc.start()
    solution = ON_FILES[name](A, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.7 * A.nbytes
    assert type(solution.x) is np.ndarray
    assert solution.converged
    assert_close(np.asarray(solution.x), ON_FILES[name](values, y).x, rtol=1e-4 if A.dtype == "float64" else 5e-3)
