"""Operators of other packages, objects with products and functions: the same answers as with their matrix."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import xpsolve as xs
from xpsolve.operators import LinearOperator, aslinearoperator
from xpsolve.testing import assert_close

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
rng = np.random.default_rng(7)
A = rng.standard_normal((12, 8))
A[rng.random((12, 8)) < 0.3] = 0
Y = rng.standard_normal((12, 3))


class Vectors:
    """Products with single vectors alone."""

    def __init__(self, A):
        self.A, self.shape = A, tuple(A.shape)

    def matvec(self, x):
        assert x.ndim == 1
        return self.A @ x

    def rmatvec(self, y):
        assert y.ndim == 1
        return self.A.T @ y


class Columns(Vectors):
    """And with many at once, which is noted."""

    calls = 0

    def matmat(self, X):
        Columns.calls += 1
        return self.A @ X

    def rmatmat(self, Y):
        return self.A.T @ Y


def from_functions(A, **options):
    product = Vectors(A) if options else Dense(A)
    return LinearOperator.from_functions(tuple(A.shape), product.matvec, product.rmatvec, **options)


class Dense:
    """Products with whatever comes."""

    def __init__(self, A):
        self.A = A

    def matvec(self, x):
        return self.A @ x

    def rmatvec(self, y):
        return self.A.T @ y


def pylops(A):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUPY_PYLOPS", "0")  # it would look for parts of CuPy that the emulation has not
        return pytest.importorskip("pylops").MatrixMult(A)


HOST = {
    "scipy": scipy.sparse.linalg.aslinearoperator,
    "scipy of functions": lambda A: scipy.sparse.linalg.LinearOperator(
        A.shape, matvec=lambda x: A @ x, rmatvec=lambda y: A.T @ y, dtype=A.dtype
    ),
    "pylops": pylops,
    "vectors": Vectors,
    "columns": Columns,
    "functions": from_functions,
    "functions of vectors": lambda A: from_functions(A, columns=False),
    **{f"{name} array": lambda A, name=name: scipy.sparse.csr_array(A).asformat(name) for name in FORMATS},
    **{f"{name} matrix": lambda A, name=name: scipy.sparse.csr_matrix(A).asformat(name) for name in FORMATS},
}


@pytest.mark.parametrize("kind", HOST)
def test_solvers_take_it_like_its_matrix(kind):
    operator, y = HOST[kind](A), Y[:, 0]
    assert_close(xs.ridge(operator, y, 0.5).x, xs.ridge(A, y, 0.5).x, rtol=1e-7)
    assert_close(xs.ridge(operator, Y, 0.5).x, xs.ridge(A, Y, 0.5).x, rtol=1e-7)
    assert_close(xs.lasso(operator, y, 1.0, tol=1e-12).x, xs.lasso(A, y, 1.0, tol=1e-12).x, rtol=1e-4, atol=1e-5)
    penalty = xs.penalties.NonNegative()
    f, g = xs.LeastSquares(operator, y), xs.LeastSquares(A, y)
    assert_close(xs.minimize(f, penalty, tol=1e-10).x, xs.minimize(g, penalty, tol=1e-10).x, rtol=1e-4, atol=1e-5)
    assert_close(xs.lstsq(operator, y).x, np.linalg.lstsq(A, y)[0], rtol=1e-7)
    descent = xs.gradient_descent(xs.LeastSquares(operator, y, 0.1), tol=1e-8)
    assert_close(descent.x, xs.newton(xs.LeastSquares(A, y, 0.1)).x, rtol=1e-5)
    assert xs.dot_test(operator, like=y) < 1e-14
    found = xs.operator_norm(operator, like=y, max_iter=10_000, tol=1e-12)
    assert_close(found, np.asarray(np.linalg.norm(A, 2)), rtol=1e-6)


def test_many_columns_are_one_product_where_there_is_one():
    Columns.calls = 0
    operator = aslinearoperator(Columns(A))
    X = np.ones((8, 5))
    assert_close(operator @ X, A @ X)
    assert Columns.calls == 1
    assert_close(operator @ X[:, :1], A @ X[:, :1])
    assert Columns.calls == 1
    assert (operator @ X[:, :0]).shape == (12, 0)
    assert (aslinearoperator(Vectors(A)) @ X[:, :0]).shape == (12, 0)


@pytest.mark.parametrize("kind", ["vectors", "functions", "functions of vectors"])
def test_functions_get_the_arrays_of_the_solver(xp, kind):
    operator, y = aslinearoperator(HOST[kind](xp(A))), xp(Y[:, 0])
    tolerance = 1e-6 if xp.dtype == "float64" else 1e-3
    assert_close(operator @ xp(np.eye(8)), A, like=y, rtol=10 * xp.eps)
    assert_close(operator.T @ y, A.T @ Y[:, 0], like=y, rtol=100 * xp.eps)
    if xp.name != "dask":  # many small tasks
        assert_close(xs.ridge(operator, y, 0.5).x, xs.ridge(A, Y[:, 0], 0.5).x, like=y, rtol=tolerance)


def test_operators_of_cupy_work_on_its_arrays(xp):
    names = {"__module__": "cupyx.scipy.sparse.linalg._interface", "dtype": np.dtype(xp.dtype)}
    operator, y = type("LinearOperator", (Vectors,), names)(xp(A)), xp(Y[:, 0])
    if xp.backend.name == "cupy":
        assert_close(xs.ridge(operator, y, 0.5).x, xs.ridge(A, Y[:, 0], 0.5).x, like=y, rtol=1e4 * xp.eps**0.75)
        assert xs.dot_test(operator) < 100 * xp.eps
    elif xp.name == "numpy":
        with pytest.raises(
            TypeError, match=r"A: expected an array of the same library as y \(numpy\), got one of cupy"
        ):
            xs.ridge(operator, y, 0.5)


@pytest.mark.parametrize(("of_A", "of_y", "wanted"), [("f4", "f4", "f4"), ("f8", "f4", "f8"), ("f4", "f8", "f8")])
def test_dtypes_are_promoted_as_for_arrays(of_A, of_y, wanted):
    operator = scipy.sparse.linalg.aslinearoperator(A.astype(of_A))
    for product in (operator, scipy.sparse.csr_array(A.astype(of_A)), A.astype(of_A)):
        assert xs.ridge(product, Y[:, 0].astype(of_y), 1.0).x.dtype == np.dtype(wanted)
    assert (aslinearoperator(operator) @ np.ones(8, "f4")).dtype == np.float32


def test_derivatives_and_counts_see_one_operation():
    y, w = Y[:, 0], np.linspace(-1.0, 1.0, 8)
    operator = aslinearoperator(scipy.sparse.linalg.aslinearoperator(A))
    through = lambda A: lambda y: xs.ridge(A, y, 0.5).x @ w  # noqa: E731
    assert_close(xs.autodiff.grad(through(operator))(y), xs.autodiff.grad(through(A))(y), rtol=1e-6, atol=1e-9)
    assert_close(xs.autodiff.jacfwd(lambda x: operator @ x)(w), A, rtol=1e-14)
    assert_close(xs.autodiff.jacrev(lambda x: operator @ x)(w), A, rtol=1e-14)
    assert_close(xs.autodiff.jvp(lambda y: operator.T @ y, (y,), (y,))[1], A.T @ y, rtol=1e-14)
    _, tally = xs.count(lambda x: operator @ x, w)
    assert tally.by_op["foreign_product"].calls == tally.launches == 1


def test_functions_work_under_jit():
    jax = pytest.importorskip("jax")
    B = jax.numpy.asarray(A)
    operator = LinearOperator.from_functions((12, 8), lambda x: B @ x, lambda y: B.T @ y)
    solve = jax.jit(lambda y: xs.ridge(operator, y, 0.5).x)
    assert_close(solve(jax.numpy.asarray(Y[:, 0])), xs.ridge(A, Y[:, 0], 0.5).x, rtol=1e-6)


@pytest.mark.parametrize(
    "operator", [xs.operators.Gradient(4), xs.operators.Dense(A), xs.operators.Sparse(scipy.sparse.csr_array(A))]
)
def test_there_and_back(operator):
    there = operator.to_scipy()
    assert isinstance(there, scipy.sparse.linalg.LinearOperator)
    matrix = operator @ np.eye(operator.shape[1])
    assert_close(there @ np.eye(operator.shape[1]), matrix)
    assert_close(there.H @ np.eye(operator.shape[0]), matrix.T)
    assert_close(there.rmatvec(np.arange(operator.shape[0])), matrix.T @ np.arange(operator.shape[0]), rtol=1e-14)
    assert_close(aslinearoperator(there) @ np.eye(operator.shape[1]), matrix)
    y = np.linspace(0.0, 1.0, operator.shape[0])
    x = scipy.sparse.linalg.lsqr(there, y, damp=1.0)[0]
    assert_close(x, xs.ridge(matrix, y, 1.0).x, rtol=1e-5, atol=1e-6)


WRONG = {
    "functions": lambda B: LinearOperator.from_functions((8, 8), lambda x: B @ x, lambda y: B @ y),
    "scipy": lambda B: scipy.sparse.linalg.LinearOperator(
        (8, 8), matvec=lambda x: B @ x, rmatvec=lambda y: B @ y, dtype=B.dtype
    ),
    "a subclass": lambda B: _Wrong(B),
    "in a sum": lambda B: 2.0 * (WRONG["functions"](B) + xs.operators.Dense(0 * B)).T,
}


class _Wrong(LinearOperator):
    def __init__(self, B):
        super().__init__(B.shape)
        self._matvec = self._rmatvec = lambda x: B @ x


SOLVERS = {
    "lasso": lambda A, y: xs.lasso(A, y, 0.01),
    "elastic_net": lambda A, y: xs.elastic_net(A, y, 0.01, 0.01),
    "lasso_path": lambda A, y: xs.lasso_path(A, y, [0.1, 0.01]),
    "ridge": lambda A, y: xs.ridge(A, y, 0.01),
    "lstsq": lambda A, y: xs.lstsq(A, y),
    "minimize": lambda A, y: xs.minimize(xs.LeastSquares(A, y), xs.penalties.L1(0.001)),
    "gradient_descent": lambda A, y: xs.gradient_descent(xs.LeastSquares(A, y)),
    "newton": lambda A, y: xs.newton(xs.LeastSquares(A, y), max_iter=20),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_wrong_adjoint_is_named(solver, kind):
    operator, y = WRONG[kind](A[:8]), Y[:8, 0]
    with pytest.warns(xs.ConvergenceWarning, match=r"wrong adjoint: xs\.dot_test\(A.* difference of \d\.\de-0[12]"):
        solution = SOLVERS[solver](operator, y)
    assert not solution.converged
    assert "wrong adjoint" in solution.message
    with pytest.raises(AssertionError, match="adjoint"):
        xs.dot_test(operator, like=y)


@pytest.mark.parametrize("lam", [0.0, 0.01])
def test_conjugate_gradients_stop_where_a_wrong_adjoint_raises_the_objective(lam, rng):
    A, y = rng.standard_normal((400, 400)), rng.standard_normal(400)
    operator = LinearOperator.from_functions((400, 400), lambda x: A @ x, lambda y: np.roll(A.T @ y, 1))
    with pytest.warns(xs.ConvergenceWarning, match=r"The objective has risen.*wrong adjoint: xs\.dot_test\(A"):
        solution = xs.ridge(operator, y, lam)
    assert solution.status is xs.Status.DIVERGED
    assert solution.n_iter < 100


def test_a_correct_adjoint_is_said_to_be_and_success_costs_nothing():
    calls = []

    def matvec(x):
        calls.append(x.shape)
        return A @ x

    operator = LinearOperator.from_functions((12, 8), matvec, lambda y: A.T @ y)
    with pytest.warns(
        xs.ConvergenceWarning, match=r"The adjoint of the operator is correct: xs\.dot_test\(A, like=y\)"
    ):
        xs.lasso(operator, Y[:, 0], 0.1, max_iter=1)
    with pytest.warns(xs.ConvergenceWarning) as caught:
        xs.lasso(A, Y[:, 0], 0.1, max_iter=1, method="fista")
    assert "adjoint" not in str(caught[0].message)
    dense = xs.lasso(aslinearoperator(A), Y[:, 0], 0.1, method="fista")
    calls.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xs.lasso(operator, Y[:, 0], 0.1, method="fista").converged
    assert dense.converged
    assert (8,) not in calls  # the test of the adjoint takes vectors, the solver columns


class Complex(Vectors):
    dtype = np.dtype("complex128")


class Shapes(Vectors):
    def __init__(self, *shape):
        super().__init__(A)
        self.shape = shape


class NoAdjoint:
    shape = (12, 8)

    def matvec(self, x):
        return A @ x


def odd(matvec, **options):
    return LinearOperator.from_functions((12, 8), matvec, lambda y: A.T @ y, **options)


y = Y[:, 0]
BAD = {
    "complex": (lambda: xs.nnls(Complex(A), y), TypeError, "A: expected a real operator, got <Foreign Complex 12×8>"),
    "complex, of SciPy": (lambda: xs.nnls(HOST["scipy"](A + 0j), y), TypeError, "A: expected a real operator"),
    "complex products": (lambda: xs.ridge(odd(lambda x: 1j * A @ x), y, 1.0), TypeError, "A: expected real products"),
    "three axes": (lambda: xs.ridge(Shapes(2, 3, 4), y, 1.0), ValueError, r"A: .* \(n, p\), got shape \(2, 3, 4\)"),
    "one axis": (lambda: xs.ridge(scipy.sparse.coo_array(np.ones(3)), y, 1.0), ValueError, r"got shape \(3,\)"),
    "other rows": (lambda: xs.ridge(Vectors(A), y[:5], 1.0), ValueError, "y: expected 12 rows, as many as A"),
    "no adjoint": (lambda: xs.lasso(NoAdjoint(), y, 1.0), TypeError, "A: expected an operator with matvec and rmatvec"),
    "no adjoint, of SciPy": (
        lambda: xs.lasso(scipy.sparse.linalg.LinearOperator((12, 8), matvec=lambda x: A @ x), y, 1.0),
        TypeError,
        "A: expected _CustomLinearOperator to have a rmatvec",
    ),
    "a list": (lambda: odd(lambda x: list(A @ x)) @ np.ones(8), TypeError, "A: .*returns arrays of numpy.*list"),
    "another shape": (lambda: odd(lambda x: x) @ np.ones(8), ValueError, r"A: .*to \(12,\), got \(8,\)"),
    "vectors alone": (
        lambda: odd(lambda x: A @ x.ravel()[:8]) @ np.ones((8, 2)),
        ValueError,
        "single vectors alone need columns=False",
    ),
    "no function": (lambda: odd(A), TypeError, "matvec: expected a function, got ndarray"),
    "columns of text": (lambda: odd(abs, columns="no"), TypeError, "columns: expected"),
    "like of text": (lambda: odd(abs, like="no"), TypeError, "like: expected an array"),
    "a class": (lambda: xs.ridge(NoAdjoint, y, 1.0), TypeError, "A: expected an array"),
    "a method without operators": (lambda: xs.ridge(Vectors(A), y, 1.0, method="svd"), ValueError, "method: expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, error, match = BAD[case]
    with pytest.raises(error, match=match):
        call()


def test_what_works_on_numpy_alone_says_so():
    torch = pytest.importorskip("torch")
    there = torch.asarray(y)
    with pytest.raises(TypeError, match=r"A: expected an array of the same library as y \(torch\), got one of numpy"):
        xs.ridge(HOST["scipy"](A), there, 1.0)
    with pytest.raises(TypeError, match="A: expected a rmatvec of Vectors that takes arrays of torch; it raised"):
        xs.ridge(Vectors(A), there, 1.0)
    with pytest.raises(TypeError, match=r"A: expected a matvec .* that returns arrays of torch as it gets, got numpy"):
        odd(lambda x: A @ x.numpy()) @ torch.ones(8, dtype=torch.float64)
    with pytest.raises(TypeError, match="to_scipy: expected an operator on NumPy arrays, got one on arrays of torch"):
        xs.operators.Dense(torch.ones(2, 2)).to_scipy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_right_adjoint_never_diverges_however_ill_conditioned(dtype):
    i = np.arange(1.0, 13.0)
    hilbert = (1 / (i[:, None] + i - 1)).astype(dtype)
    operator = LinearOperator.from_functions((12, 12), lambda x: hilbert @ x, lambda y: hilbert.T @ y)
    for y in (np.ones(12), i, 1e-30 * np.cos(i), np.zeros(12)):
        for x0 in (None, 1e6 * np.sin(i)):
            start = None if x0 is None else x0.astype(dtype)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                solution = xs.ridge(operator, y.astype(dtype), 0.0, x0=start, max_iter=2000)
            assert solution.status is not xs.Status.DIVERGED
