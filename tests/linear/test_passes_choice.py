"""λ chosen from rows that are not in memory: the answers of data in memory, and how often rows are read."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from sklearn.model_selection import KFold, ShuffleSplit

import xpsolve as xs
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")

N, P, ROWS = 400, 6, 50
LAMS = [0.03, 0.3, 3.0, 30.0, 300.0]


class Given:
    """A and y in memory, as arrays of Dask and as `Rows`, whose passes are counted."""

    def __init__(self, dtype="float64", scale=1.0, columns=1, noise=0.3):
        rng = np.random.default_rng(5)
        A = rng.standard_normal((N, P)) + 3
        y = A @ np.asarray([3.0, 0.0, -2.0, 0.0, 0.0, 1.0]) + noise * rng.standard_normal(N) + 2
        self.weights = rng.uniform(0, 2, N) * (np.arange(N) % 7 > 0)
        self.A = (scale * A).astype(dtype)
        self.y = (y if columns == 1 else np.stack([y, 5 * y[::-1]], axis=1)).astype(dtype)
        self.both = np.column_stack([self.A, self.y])
        self.passes = self.chunks = 0

    def blocks(self):
        self.passes += 1
        return (self.A[i : i + 70] for i in range(0, N, 70))

    def chunk(self, index):
        self.chunks += 1
        return self.both[index]

    def on(self, kind):
        """A and y."""
        if kind == "rows":
            return xs.Rows(self.blocks, shape=(N, P), dtype=self.A.dtype), self.y
        if kind == "dask":
            index = da.from_array(np.arange(N), chunks=ROWS)
            shape = {"new_axis": 1, "chunks": (index.chunks[0], (self.both.shape[1],)), "meta": self.both[:0]}
            both = index.map_blocks(self.chunk, **shape)
            return both[:, :P], (both[:, P] if self.y.ndim == 1 else both[:, P:])
        return self.A, self.y

    def read(self, kind):
        """Passes so far."""
        return self.passes if kind == "rows" else self.chunks * ROWS / N


CALLS = {
    "gcv": (lambda A, y, **o: xs.ridge_cv(A, y, LAMS, **o), 2),
    "loo": (lambda A, y, **o: xs.ridge_cv(A, y, LAMS, method="loo", **o), 3),
    "kfold": (lambda A, y, **o: xs.ridge_cv(A, y, LAMS, method="kfold", folds=7, **o), 2),
    "lasso": (lambda A, y, **o: xs.lasso_cv(A, y, folds=5, n_lams=15, tol=1e-9, **o), 2),
    "elastic net": (lambda A, y, **o: xs.elastic_net_cv(A, y, thetas=[0.1, 0.8], folds=3, n_lams=8, tol=1e-9, **o), 2),
}
MODELS = {"plain": {}, "intercept": {"intercept": True}}


def same(found, wanted, rtol):
    """Whether λ, the curve and the answer are the same."""
    assert found.method == wanted.method
    assert found.status.name == wanted.status.name == "CONVERGED"
    for name in ("lam", "lams", "scores", "spread", "x", "intercept"):
        values, expected = getattr(found, name), getattr(wanted, name)
        assert (values is None) == (expected is None), name
        if expected is not None:
            assert str(values.dtype) == str(expected.dtype), name
            assert tuple(values.shape) == tuple(expected.shape), name
            size = max(float(np.max(np.abs(expected))), 1e-300)
            np.testing.assert_allclose(np.asarray(values), expected, rtol=rtol, atol=rtol * size, err_msg=name)
    assert found.theta == wanted.theta


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", CALLS)
def test_answers_and_passes(name, model, kind):
    (call, passes), given = CALLS[name], Given()
    found = call(*given.on(kind), **MODELS[model])
    assert given.read(kind) == passes
    same(found, call(given.A, given.y, **MODELS[model]), 1e-6)
    assert found.stats["sums"] == "cholesky"
    assert repr(found)
    assert given.read(kind) == passes  # what is asked of the answer reads nothing
    assert isinstance(found.x, da.Array) == (kind == "dask")
    assert isinstance(found.scores, da.Array) == (kind == "dask")


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_weights(name, intercept, kind):
    (call, passes), given = CALLS[name], Given()
    weights = da.from_array(given.weights, chunks=ROWS) if kind == "dask" else given.weights
    found = call(*given.on(kind), weights=weights, intercept=intercept)
    assert given.read(kind) == passes
    same(found, call(given.A, given.y, weights=given.weights, intercept=intercept), 1e-6)


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("name", ["gcv", "loo", "kfold"])
def test_columns_of_y(name, per_target, kind):
    (call, passes), given = CALLS[name], Given(columns=2)
    found = call(*given.on(kind), per_target=per_target, intercept=True)
    assert given.read(kind) == passes
    same(found, call(given.A, given.y, per_target=per_target, intercept=True), 1e-8)


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("name", CALLS)
def test_float32(name, kind):
    (call, passes), given = CALLS[name], Given("float32")
    options = {"tol": 1e-5} if name in ("lasso", "elastic net") else {}
    if options:
        call = {
            "lasso": lambda A, y: xs.lasso_cv(A, y, folds=5, n_lams=15, **options),
            "elastic net": lambda A, y: xs.elastic_net_cv(A, y, thetas=[0.1, 0.8], folds=3, n_lams=8, **options),
        }[name]
    found = call(*given.on(kind))
    assert given.read(kind) <= passes + 1  # the gap of an answer that is rounded
    assert str(found.x.dtype) == str(found.scores.dtype) == "float32"
    wide = call(given.A.astype("float64"), given.y.astype("float64"))
    assert_close(np.asarray(found.scores), wide.scores.astype("float32"), rtol=1e-2)
    assert_close(np.asarray(found.x), wide.x.astype("float32"), rtol=1e-3)


FOLDS = {
    "shuffled": list(KFold(4, shuffle=True, random_state=0).split(np.zeros(N))),
    "some rows in neither part": list(
        ShuffleSplit(3, test_size=0.3, train_size=0.5, random_state=0).split(np.zeros(N))
    ),
    "a row that comes twice": [([*range(200), 3, 3], [*range(300, 400), 399]), (list(range(100, 400)), [0, 1, 2])],
}


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("folds", FOLDS)
@pytest.mark.parametrize("name", ["ridge", "lasso"])
def test_folds_of_any_rows(name, folds, kind):
    options, given = {"intercept": True, "folds": FOLDS[folds]}, Given()
    if name == "ridge":
        call = lambda A, y: xs.ridge_cv(A, y, LAMS, method="kfold", **options)  # noqa: E731
    else:
        call = lambda A, y: xs.lasso_cv(A, y, n_lams=10, tol=1e-9, **options)  # noqa: E731
    found = call(*given.on(kind))
    assert given.read(kind) == 2
    same(found, call(given.A, given.y), 1e-6)


def test_folds_that_divide_the_rows_into_too_many_parts():
    folds = list(ShuffleSplit(12, test_size=0.5, random_state=0).split(np.zeros(N)))
    with pytest.raises(ValueError, match=r"^folds: expected folds that divide the rows into at most 256 parts"):
        xs.lasso_cv(*Given().on("rows"), folds=folds)


@pytest.mark.parametrize("name", CALLS)
def test_small_errors_keep_their_digits(name):
    (call, passes), given = CALLS[name], Given(noise=1e-9)
    options = {"intercept": True}
    if name in ("lasso", "elastic net"):
        options["lams"] = [1e-4, 1e-3]
        call = xs.lasso_cv if name == "lasso" else xs.elastic_net_cv
    else:
        call = lambda A, y, **o: xs.ridge_cv(  # noqa: E731
            A, y, [1e-12, 1e-8], method=name, folds=4, **o
        )
    found, wanted = call(*given.on("rows"), **options), call(given.A, given.y, **options)
    assert found.stats["sums"] == "cholesky->qr"
    assert given.passes == passes + 1
    ratio = np.asarray(found.scores) / wanted.scores
    assert np.all(np.abs(ratio - 1) < (1e-2 if name in ("lasso", "elastic net") else 1e-4)), ratio
    if name not in ("lasso", "elastic net"):
        assert np.min(wanted.scores) < 1e-16


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("name", ["gcv", "kfold", "lasso"])
def test_squares_out_of_range(name, scale):
    given, plain = Given(scale=scale), Given()
    lams = {"gcv": LAMS, "kfold": LAMS, "lasso": [20.0 * scale, 200.0 * scale]}[name]
    if name != "lasso":
        lams = [0.0, 1.0]
    calls = {
        "gcv": lambda A, y: xs.ridge_cv(A, y, lams),
        "kfold": lambda A, y: xs.ridge_cv(A, y, lams, method="kfold"),
        "lasso": lambda A, y: xs.lasso_cv(A, y, lams),
    }
    found, wanted = calls[name](*given.on("rows")), calls[name](given.A, given.y)
    assert found.status.name == wanted.status.name
    assert float(found.lam) == float(wanted.lam)
    assert_close(found.x * scale, wanted.x * scale, rtol=1e-6)
    assert given.read("rows") <= 7
    assert plain.passes == 0


def test_an_ill_conditioned_matrix_is_factored_by_its_singular_values():
    given = Given()
    given.A[:, 1] = given.A[:, 0] * (1 + 1e-7 * np.arange(N))
    for method in ("gcv", "loo"):
        found = xs.ridge_cv(*given.on("rows"), [1e-9, 1e-3], method=method)
        wanted = xs.ridge_cv(given.A, given.y, [1e-9, 1e-3], method=method)
        assert found.method.startswith("normal->svd")
        assert_close(found.scores, wanted.scores, rtol=1e-6)


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("name", CALLS)
def test_no_more_rows_than_columns_are_loaded(name, kind):
    given = Given()
    A = given.A[:60, :].T.copy()
    y = A @ np.ones(60)
    there = (da.from_array(A, chunks=(3, 60)), da.from_array(y, chunks=3))
    if kind == "rows":
        there = xs.Rows(A, block=2), y
    call = {
        "gcv": lambda A, y: xs.ridge_cv(A, y, LAMS),
        "loo": lambda A, y: xs.ridge_cv(A, y, LAMS, method="loo"),
        "kfold": lambda A, y: xs.ridge_cv(A, y, LAMS, method="kfold", folds=2),
        "lasso": lambda A, y: xs.lasso_cv(A, y, folds=2, n_lams=4),
        "elastic net": lambda A, y: xs.elastic_net_cv(A, y, folds=2, n_lams=4),
    }[name]
    found, wanted = call(*there), call(A, y)
    assert isinstance(found.x, da.Array) == (kind == "dask")
    for part in ("scores", "lam", "x"):
        assert_close(np.asarray(getattr(found, part)), np.asarray(getattr(wanted, part)), rtol=1e-9)


@pytest.mark.parametrize("kind", ["dask", "rows"])
@pytest.mark.parametrize("place", [(7, 2), (390, P)])
@pytest.mark.parametrize("name", CALLS)
def test_numbers_that_are_not_finite(name, place, kind):
    given = Given()
    given.both[place] = np.nan
    given.A, given.y = given.both[:, :P], given.both[:, P]
    with pytest.raises(ValueError, match=r"^A: expected finite" if place[1] < P else r"^y: expected finite"):
        CALLS[name][0](*given.on(kind))


def test_what_is_wrong_is_said_before_rows_are_read():
    given = Given()
    A, y = given.on("rows")
    for call, error, words in (
        (lambda: xs.ridge_cv(A, y, [-1.0]), ValueError, "lams: expected a finite number >= 0"),
        (lambda: xs.ridge_cv(A, y, LAMS, method="kfold", folds=1), ValueError, "folds: expected an integer"),
        (lambda: xs.ridge_cv(A, y[:-1], LAMS), ValueError, "y: expected 400 rows"),
        (lambda: xs.lasso_cv(A, y[:, None]), ValueError, r"y: expected shape \(n,\)"),
        (lambda: xs.lasso_cv(A, y, folds=[([0], [999])]), ValueError, r"folds\[0\]"),
        (lambda: xs.lasso_cv(A, y, n_lams=0), ValueError, "n_lams: "),
        (lambda: xs.lasso_cv(A, y, tol=-1.0), ValueError, "tol: "),
        (lambda: xs.lasso_cv(A, y, max_iter=-1), ValueError, "max_iter: "),
        (lambda: xs.lasso_cv(A, y, weights=-np.ones(N)), ValueError, "weights: "),
        (lambda: xs.lasso_cv(A, 1j * y), TypeError, "y: "),
    ):
        with pytest.raises(error, match=words):
            call()
    assert given.passes == 0


def test_a_file_is_never_in_memory_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("xpsolve.arrays.row_blocks._BLOCK", 2**16)
    rng = np.random.default_rng(3)
    values = rng.standard_normal((8000, 32))
    np.save(tmp_path / "A.npy", values)
    y = values @ np.where(np.arange(32) % 3 == 0, 2.0, 0.0) + rng.standard_normal(8000) + 5
    A = np.load(tmp_path / "A.npy", mmap_mode="r")
    for call in (
        lambda A, y: xs.ridge_cv(A, y, LAMS, intercept=True),
        lambda A, y: xs.ridge_cv(A, y, LAMS, intercept=True, method="loo"),
        lambda A, y: xs.ridge_cv(A, y, LAMS, intercept=True, method="kfold", folds=5),
        lambda A, y: xs.lasso_cv(A, y, intercept=True, folds=5, n_lams=20),
    ):
        call(A[:300], y[:300])  # what is imported and made once
        tracemalloc.start()
        found = call(A, y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.75 * A.nbytes
        assert type(found.x) is np.ndarray
        wanted = call(values, y)
        assert_close(found.scores, wanted.scores, rtol=1e-3)
        assert_close(found.x, wanted.x, rtol=1e-4)


def test_data_sets_of_other_packages(tmp_path):
    h5py = pytest.importorskip("h5py")
    given = Given()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        A = file.create_dataset("A", data=given.A, chunks=(30, P))
        same(xs.lasso_cv(A, given.y, folds=4, tol=1e-9), xs.lasso_cv(given.A, given.y, folds=4, tol=1e-9), 1e-6)


@pytest.mark.parametrize("name", ["ridge_cv", "lasso_cv"])
def test_a_sparse_matrix_is_not_read_by_rows(name):
    A = scipy.sparse.eye_array(50, 5, format="csr")
    with pytest.raises(TypeError, match="A: expected an array"):
        getattr(xs, name)(A, np.ones(50), lams=np.ones(2))
