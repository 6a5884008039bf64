"""Matrices that are read by blocks of rows: every source gives the same answers, in few passes, and is never copied."""

import functools
import tracemalloc

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import row_sums
from xpsolve.operators import rows
from xpsolve.operators.rows import Rows
from xpsolve.testing import assert_close

N, P = 700, 5


def samples(rng, n=N, p=P):
    A = rng.standard_normal((n, p)) + np.linspace(0.0, 1.0, p)
    return A, A @ np.linspace(-1.0, 1.0, p) + rng.standard_normal(n)


class Slices:
    """The least that a data set has, and how many rows were read."""

    def __init__(self, values, chunks=None):
        self.values, self.shape, self.dtype, self.read = values, values.shape, values.dtype, 0
        self.chunks = chunks

    def __getitem__(self, part):
        block = self.values[part]
        self.read += len(block)
        return block


def hdf5(A, path):
    h5py = pytest.importorskip("h5py")
    return h5py.File(path / "A.h5", "w").create_dataset("A", data=A, chunks=(100, A.shape[1]))


def zarr(A, path):
    module = pytest.importorskip("zarr")
    return module.array(A, chunks=(90, A.shape[1]))


def memmap(A, path):
    np.save(path / "A.npy", A)
    return Rows(np.load(path / "A.npy", mmap_mode="r"), block=64)


def function(A, path):
    return Rows(lambda: (A[i : i + 33] for i in range(0, len(A), 33)), shape=A.shape, dtype=A.dtype)


SOURCES = {"hdf5": hdf5, "zarr": zarr, "memmap": memmap, "function": function, "slices": lambda A, path: Slices(A)}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES.keys())
def source(request, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK", 100 * P * 8)
    return functools.partial(request.param, path=tmp_path)


def logistic(A, y, **options):
    return xs.Logistic(A, np.where(y > 0, 1.0, -1.0), 0.01, **options)


WEIGHTS = np.linspace(0.5, 1.5, N)
CALLS = {
    "ridge": lambda A, y: xs.ridge(A, y, 1.0),
    "ridge, cg": lambda A, y: xs.ridge(A, y, 1.0, method="cg"),
    "ridge, svd": lambda A, y: xs.ridge(A, y, [1.0, 10.0], method="svd"),
    "ridge, samples": lambda A, y: xs.ridge(A, y, 1.0, weights=WEIGHTS, intercept=True),
    "lstsq": xs.lstsq,
    "lasso": lambda A, y: xs.lasso(A, y, 40.0),
    "lasso, fista": lambda A, y: xs.lasso(A, y, 40.0, method="fista", intercept=True),
    "elastic_net": lambda A, y: xs.elastic_net(A, y, 40.0, 0.5),
    "lasso_path": lambda A, y: xs.lasso_path(A, y, n_lams=5),
    "nnls": xs.nnls,
    "minimize": lambda A, y: xs.minimize(logistic(A, y), xs.penalties.L1(0.01), tol=1e-9),
    "gradient_descent": lambda A, y: xs.gradient_descent(logistic(A, y, intercept=True), tol=1e-9),
    "newton": lambda A, y: xs.newton(logistic(A, y, weights=WEIGHTS, intercept=True)),
    "newton, cg": lambda A, y: xs.newton(logistic(A, y), method="cg"),
    "newton, Multinomial": lambda A, y: xs.newton(xs.Multinomial(A, np.eye(2)[1 * (y > 0)], 0.01)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_solvers_find_what_they_find_in_memory(rng, source, call, dtype):
    A, y = samples(rng)
    A = A.astype(dtype)
    found, expected = call(source(A), y), call(A.astype("float64"), y)
    assert found.status is expected.status
    assert type(found.x) is np.ndarray
    assert found.x.dtype == y.dtype
    assert_close(found.x, expected.x, rtol=1e-4)
    if expected.intercept is not None:
        assert_close(found.intercept, expected.intercept, rtol=1e-4)


def test_norm_and_adjoint(rng, source):
    A, y = samples(rng)
    assert_close(xs.operator_norm(source(A)), np.linalg.norm(A, 2), rtol=1e-7)
    xs.dot_test(source(A))
    operator = xs.operators.aslinearoperator(source(A))
    x = rng.standard_normal((P, 2))
    s, c = operator.residual(x, np.stack([y, -y], axis=1))
    assert_close(s, np.stack([y, -y], axis=1) - A @ x, rtol=1e-12)
    assert_close(c, A.T @ s, rtol=1e-12)
    assert_close((operator.T @ operator) @ x, A.T @ (A @ x), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize(
    ("call", "passes"),
    [
        (CALLS["ridge"], 2),
        (CALLS["lasso"], 2),
        (CALLS["elastic_net"], 2),
        (CALLS["lstsq"], 2),
        (lambda A, y: xs.newton(logistic(A, y), tol=0.5, max_iter=3), 1 + 3),
    ],
)
def test_passes(rng, call, passes):
    A, y = samples(rng)
    source = Slices(A)
    call(source, y)
    assert source.read <= passes * N + N  # the check of an objective reads once more


def test_complex_rows(rng, tmp_path):
    A = rng.standard_normal((40, 3)) + 1j * rng.standard_normal((40, 3))
    y = rng.standard_normal(40)
    for source in (Slices(A), function(A, tmp_path)):
        assert_close(xs.ridge(source, y, 1.0).x, xs.ridge(A, y, 1.0).x, rtol=1e-12)


def test_integers_become_what_y_is(rng):
    A = rng.integers(-3, 4, (60, 4))
    y = rng.standard_normal(60)
    assert_close(xs.ridge(Slices(A), y, 1.0).x, xs.ridge(A, y, 1.0).x, rtol=1e-12)
    assert xs.dot_test(Slices(A)) < 1e-14
    assert_close(xs.operator_norm(Slices(A)), np.linalg.norm(A, 2), rtol=1e-6)


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
@pytest.mark.parametrize("name", ["ridge", "lasso", "newton", "gradient_descent"])
def test_scales(rng, scale, name):
    A, y = samples(rng)
    calls = {
        "ridge": lambda A, c: xs.ridge(A, y, c * c),
        "lasso": lambda A, c: xs.lasso(A, y, 40 * c),
        "newton": lambda A, c: xs.newton(xs.LeastSquares(A, y, c * c)),
        "gradient_descent": lambda A, c: xs.gradient_descent(xs.Huber(A, y, c * c)),
    }
    found, plain = calls[name](Slices(scale * A), scale), calls[name](A, 1.0)
    assert found.converged
    assert_close(scale * found.x, plain.x, rtol=1e-6)


def test_wide_rows_are_an_operator(rng):
    A, y = rng.standard_normal((8, 30)), rng.standard_normal(8)
    assert_close(xs.ridge(Slices(A), y, 1.0).x, xs.ridge(A, y, 1.0).x, rtol=1e-6)
    assert_close(xs.lasso(Slices(A), y, 1.0).x, xs.lasso(A, y, 1.0).x, atol=1e-4)


def test_blocks_are_whole_chunks(monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK", 10 * P * 8)
    for chunk, step in ((3, 9), (10, 10), (11, 11), (1, 10)):
        assert Rows(Slices(np.zeros((50, P)), chunks=(chunk, P))).step == step
    assert Rows(Slices(np.zeros((50, P))), block=7).step == 7
    assert Rows(Slices(np.zeros((4, P)))).step == 4


def test_another_dtype_of_a_file_makes_no_copy(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK", 2**16)
    A = rng.standard_normal((200_000, 8)).astype("float32")  # 6 MB
    np.save(tmp_path / "A.npy", A)
    A, y = np.load(tmp_path / "A.npy", mmap_mode="r"), rng.standard_normal(len(A))
    calls = [
        lambda: xs.ridge(A, y, 1.0),
        lambda: xs.ridge(A, y, 1.0, intercept=True, weights=1 + np.abs(y)),
        lambda: xs.lasso(A, y, 1e3),
        lambda: xs.nnls(A, y),
        lambda: xs.newton(xs.LeastSquares(A, y, 0.1, intercept=True)),
        lambda: xs.sga(xs.LeastSquares(A, y, 0.1), epochs=1, tol=9.0, block=64),
        lambda: xs.gradient_descent(xs.LeastSquares(A, y), tol=0.1),
        lambda: xs.newton(xs.Logistic(A, np.sign(y), 0.1)),
    ]
    for call in calls:
        tracemalloc.start()
        solution = call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert solution.converged
        assert solution.x.dtype == np.float64
        assert peak < 10_000_000  # of y and its like, 1.6 MB each; a copy of A has 12.8 MB


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda A: Rows(iter([A])), TypeError, "source: .*An iterator can be gone through once"),
        (lambda A: Rows([1, 2]), TypeError, "source: expected an object with shape.* got list"),
        (lambda A: Rows(lambda: iter([A])), ValueError, r"shape: expected \(n, p\) beside a function"),
        (lambda A: Rows(lambda: iter([A]), shape=A.shape, block=3), ValueError, "block: expected None"),
        (lambda A: Rows(A, shape=(3, 2)), ValueError, r"shape: expected that of the source, \(700, 5\)"),
        (lambda A: Rows(A, dtype="number"), TypeError, "dtype: expected a dtype of NumPy"),
        (lambda A: Rows(A, block=0), ValueError, "block: expected an integer of at least 1"),
        (lambda A: Rows(A[:, 0]), TypeError, r"source: expected an object with shape \(n, p\)"),
    ],
)
def test_what_is_no_source_is_refused(rng, make, kind, words):
    A, _ = samples(rng)
    with pytest.raises(kind, match=words):
        make(A)


@pytest.mark.parametrize(
    ("blocks", "kind", "words"),
    [
        (lambda A: lambda: [A[:-1]], ValueError, "A: expected 700 rows in each pass, got 699. .* a new iterator"),
        (lambda A: lambda: [A, A], ValueError, "A: expected 700 rows in each pass, got at least 1400"),
        (
            lambda A: lambda: [A[:300], A[300:, :4]],
            ValueError,
            r"A: expected blocks of shape \(n_i, 5\), got \(400, 4\) ",
        ),
        (lambda A: lambda: [A[:, 0]], ValueError, r"got \(700,\) as number 1"),
        (lambda A: lambda: 3, TypeError, "A: expected a function that makes an iterator .* returns int"),
        (lambda A: lambda: [1j * A], TypeError, "A: expected numbers that float64 can hold, got complex128 in block 1"),
        (lambda A: lambda: [A[:9], A[9:].astype(str)], TypeError, "A: expected numbers .* got <U32 in block 2"),
        (lambda A: (lambda once: lambda: once)(iter([A])), ValueError, "in each pass, got 0. The function has to make"),
    ],
)
def test_wrong_rows_of_a_function_are_said(rng, blocks, kind, words):
    A, y = samples(rng)
    with pytest.raises(kind, match=words):
        xs.ridge(Rows(blocks(A), shape=A.shape), y, 1.0)


def test_a_source_with_fewer_rows_than_its_shape_says(rng):
    A, _ = samples(rng)
    source = Slices(A)
    source.shape = (N + 1, P)
    with pytest.raises(ValueError, match=r"A: expected 701 rows from row 0 on, as its shape says, got 700"):
        xs.operator_norm(source)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(rng, source, value):
    A, y = samples(rng)
    A[650, 2] = value
    for call in (
        lambda A: xs.ridge(A, y, 1.0),
        lambda A: xs.lasso(A, y, 1.0, intercept=True),
        lambda A: logistic(A, y),
    ):
        with pytest.raises(ValueError, match="A: expected finite numbers, got 1 NaN"), np.errstate(all="ignore"):
            call(source(A))


def test_sums_over_rows(rng):
    A, y = samples(rng)
    (G, c) = row_sums(lambda A, y: (A.T @ A, A.T @ y), function(A, None), y)
    assert_close(G, A.T @ A, rtol=1e-12)
    assert_close(c, A.T @ y, rtol=1e-12)
