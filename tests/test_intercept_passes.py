"""An intercept on rows that are not in memory: hardly a pass more, and no digit less where means are large."""

import itertools

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import joined_means, row_means
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
from benchmarks._problems import CountedRows  # noqa: E402

N, P, ROWS = 400, 5, 100
pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")


class Source(CountedRows):
    """[A y w] in chunks of rows; the columns of A have this mean, and the spread 1."""

    def __init__(self, mean=0.0, dtype="float64", sort=False):
        rng = np.random.default_rng(4)
        A = rng.standard_normal((N, P)) @ (np.eye(P) + 0.3)
        A = A[np.argsort(A[:, 0])] if sort else A
        y = A @ np.asarray([2.0, 0.0, -1.0, 0.5, 0.0]) + rng.standard_normal(N) + 3
        w = rng.uniform(0.5, 1.5, N)
        w[:ROWS] = 0.0  # a whole chunk
        w[::7] = 0.0
        shift = mean * np.linspace(-1.0, 1.0, P)
        super().__init__(np.column_stack([A + shift, y, w]).astype(dtype), ROWS)

    def data(self, kind):
        """A, y and weights."""
        if kind == "dask":
            return self.array[:, :P], self.array[:, P], self.array[:, P + 1]
        A, y, w = self.values[:, :P], self.values[:, P], self.values[:, P + 1]
        if kind == "rows":
            return xs.Rows(lambda: self._parts(A), shape=A.shape, dtype=A.dtype), y, w
        return A, y, w

    def _parts(self, A):
        for i in range(0, N, ROWS):
            self.read += ROWS
            yield A[i : i + ROWS]


def sign(y):
    return 2.0 * (y > 3) - 1


def classes(y):
    return (da if isinstance(y, da.Array) else np).stack([y > 3, y <= 3], axis=1) * 1.0


LEAST_SQUARES = {
    "ridge": lambda A, y, **o: xs.ridge(A, y, 1.0, **o),
    "ridge, svd": lambda A, y, **o: xs.ridge(A, y, 1.0, method="svd", **o),
    "ridge, cg": lambda A, y, **o: xs.ridge(A, y, 1.0, method="cg", **o),
    "lasso": lambda A, y, **o: xs.lasso(A, y, 20.0, tol=1e-9, **o),
    "elastic_net": lambda A, y, **o: xs.elastic_net(A, y, 20.0, 0.5, tol=1e-9, **o),
    "lasso_path": lambda A, y, **o: xs.lasso_path(A, y, n_lams=5, tol=1e-9, **o),
}
DESCENTS = {
    "gradient_descent": lambda A, y, **o: xs.gradient_descent(
        xs.LeastSquares(A, y, 0.01, **o), momentum="nesterov", tol=1e-8
    ),
    "newton": lambda A, y, **o: xs.newton(xs.Logistic(A, sign(y), 0.01, **o), tol=1e-10),
    "newton, multinomial": lambda A, y, **o: xs.newton(xs.Multinomial(A, classes(y), 0.01, **o), tol=1e-10),
    "newton, huber": lambda A, y, **o: xs.newton(xs.Huber(A, y, 0.01, delta=0.7, **o), tol=1e-10),
    "minimize": lambda A, y, **o: xs.minimize(xs.LeastSquares(A, y, **o), xs.penalties.L1(0.1), tol=1e-10),
    "minimize, logistic": lambda A, y, **o: xs.minimize(xs.Logistic(A, sign(y), **o), xs.penalties.L1(0.01), tol=1e-8),
    "minimize, multinomial": lambda A, y, **o: xs.minimize(
        xs.Multinomial(A, classes(y), 0.01, **o), xs.penalties.L1(0.01), tol=1e-8
    ),
    "minimize, columns": lambda A, y, **o: xs.minimize(
        xs.LeastSquares(A, (da if isinstance(y, da.Array) else np).stack([y, -2 * y], axis=1), 0.01, **o),
        xs.penalties.L1(0.1),
        tol=1e-10,
    ),
}
CALLS = LEAST_SQUARES | DESCENTS


@pytest.mark.parametrize(
    ("kind", "mean", "weighted"),
    [("dask", 0.0, False), ("dask", 1e6, True), ("rows", 0.0, True), ("rows", 1e6, False), ("rows", 1e6, True)],
)
@pytest.mark.parametrize("name", CALLS)
def test_answers_are_those_in_memory(name, mean, kind, weighted):
    source = Source(mean)
    A, y, w = source.data(kind)
    options = {"intercept": True, **({"weights": w} if weighted else {})}
    found = CALLS[name](A, y, **options)
    plain, y, w = Source(0.0).data("memory")  # with means 0, where nothing cancels
    expected = CALLS[name](plain, y, **options | ({"weights": w} if weighted else {}))
    assert found.converged
    x, c = np.asarray(found.x), np.asarray(found.intercept)
    rtol = 1e-4 if mean else 1e-5
    assert_close(x, np.asarray(expected.x), rtol=rtol, atol=rtol * np.max(np.abs(expected.x)))
    # at the mean of A, which is far from 0
    shift = mean * np.linspace(-1.0, 1.0, P)
    at = x @ shift if name == "lasso_path" else np.tensordot(shift, x, axes=1)
    assert_close(c + at, np.asarray(expected.intercept), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LEAST_SQUARES)
def test_least_squares_need_no_pass_more(name, weighted):
    reads = []
    for intercept in (False, True):
        source = Source()
        A, y, w = source.data("dask")
        w = da.from_array(source.values[:, P + 1], chunks=ROWS)
        found = LEAST_SQUARES[name](A, y, intercept=intercept, **({"weights": w} if weighted else {}))
        reads.append(source.passes - (found.n_iter if name == "ridge, cg" else 0))
    assert reads[1] - reads[0] <= (name in ("ridge, svd", "ridge, cg"))


STEPS = {
    "gradient_descent": lambda f: xs.gradient_descent(f, tol=0.0, max_iter=4),
    "line search": lambda f: xs.gradient_descent(f, line_search=True, tol=0.0, max_iter=4),
    "newton": lambda f: xs.newton(f, tol=0.0, max_iter=4),
    "minimize": lambda f: xs.minimize(f, xs.penalties.L1(0.01), tol=0.0, max_iter=10),
}
MODELS = {
    "LeastSquares": lambda A, y, **o: xs.LeastSquares(A, y, 0.01, **o),
    "Logistic": lambda A, y, **o: xs.Logistic(A, sign(y), 0.01, **o),
    "Multinomial": lambda A, y, **o: xs.Multinomial(A, classes(y), 0.01, **o),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("steps", STEPS)
def test_descents_need_one_pass_more(steps, model, weighted):
    if (steps, model) == ("newton", "Multinomial"):
        pytest.skip("its steps are solved by conjugate gradients, a pass each")
    reads = []
    for intercept in (False, True):
        source = Source()
        A, y, w = source.data("dask")
        found = STEPS[steps](MODELS[model](A, y, intercept=intercept, **({"weights": w} if weighted else {})))
        assert found.n_iter >= 4
        reads.append(source.passes)
    checks = 2 if steps == "minimize" else 0  # a gap whose dual point has the sum 0 may need one more
    assert reads[1] - reads[0] <= 1 + (checks if model != "LeastSquares" else 0)


def test_weights_cost_no_pass():
    reads = []
    for weighted in (False, True):
        source = Source()
        A, y, w = source.data("dask")
        xs.newton(xs.Logistic(A, sign(y), 0.01, **({"weights": w} if weighted else {})), tol=0.0, max_iter=3)
        reads.append(source.passes)
    assert reads[0] == reads[1]


@pytest.mark.parametrize("kind", ["dask", "rows"])
def test_sorted_rows_and_class_weights(kind):
    source, plain = Source(10.0, sort=True), Source(10.0, sort=True)
    options = {"intercept": True, "class_weights": "balanced"}
    (A, y, w), (B, z, v) = source.data(kind), plain.data("memory")
    found = xs.newton(xs.Logistic(A, sign(y), 0.01, weights=w, **options), tol=1e-10)
    expected = xs.newton(xs.Logistic(B, sign(z), 0.01, weights=v, **options), tol=1e-10)
    assert_close(np.asarray(found.x), expected.x, rtol=1e-6)
    assert_close(np.asarray(found.intercept), np.asarray(expected.intercept), rtol=1e-6)


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
@pytest.mark.parametrize("name", ["ridge", "lasso", "gradient_descent"])
def test_scales(name, scale):
    calls = {
        "ridge": lambda A, y, c: xs.ridge(A, y, c * c, intercept=True),
        "lasso": lambda A, y, c: xs.lasso(A, y, 20 * c, intercept=True, tol=1e-9),
        "gradient_descent": lambda A, y, c: xs.gradient_descent(
            xs.LeastSquares(A, y, 0.01 * c * c, intercept=True), tol=1e-9, max_iter=10_000
        ),
    }
    A, y, _ = Source(1.0).data("dask")
    plain, z, _ = Source(1.0).data("memory")
    found, expected = calls[name](scale * A, y, scale), calls[name](plain, z, 1.0)
    assert found.converged
    assert_close(scale * np.asarray(found.x), expected.x, rtol=1e-6)
    assert_close(np.asarray(found.intercept), np.asarray(expected.intercept), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("weighted", [False, True])
def test_means_of_parts(rng, weighted, dtype):
    A = (rng.standard_normal((60, 3)) + 1e6).astype(dtype)
    A = A * (1 + 2j) if dtype == "complex128" else A
    w = rng.uniform(0, 2, 60).astype("float32" if dtype == "float32" else "float64")
    w[:20] = 0
    cuts = [0, 7, 20, 21, 60]
    parts = [row_means(w[i:j] if weighted else None, A[i:j]) for i, j in itertools.pairwise(cuts)]
    (total, mean), (away,), _ = joined_means(parts)
    w = w if weighted else np.ones(60)
    exact = np.average(A.astype("complex128"), axis=0, weights=w)
    eps = np.finfo(dtype).eps
    assert abs(float(total) - w.sum()) <= 100 * eps * w.sum()
    assert np.max(np.abs(mean - exact)) <= 100 * eps * 1e6
    squares = [
        np.sum(w[i:j, None] * np.abs(A[i:j] - m) ** 2)
        for (i, j), (_, m) in zip(itertools.pairwise(cuts), parts, strict=True)
    ]
    if dtype != "float32":
        assert_close(sum(squares) + np.sum(np.abs(away) ** 2), np.sum(w[:, None] * np.abs(A - exact) ** 2), rtol=1e-7)
