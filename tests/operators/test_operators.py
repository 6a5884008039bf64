"""Operators: algebra against dense matrices, adjoints by the dot test, norms against the SVD."""

import numpy as np
import pytest
import scipy.sparse

import xpsolve as xs
from xpsolve import costs
from xpsolve.operators import Dense, LinearOperator, Sparse, aslinearoperator, eigenvalue_bound
from xpsolve.testing import assert_close


def tolerance(xp):
    return 1e-12 if xp.dtype == "float64" else 1e-5


def test_the_algebra_is_that_of_matrices(xp, rng):
    A, B = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    a, b = Dense(xp(A)), Dense(xp(B))
    expressions = {
        "sum": (a + b, A + B),
        "difference": (a - b, A - B),
        "multiple": (2.0 * a * 3.0, 6 * A),
        "quotient": (a / 4.0, A / 4),
        "negative": (-a, -A),
        "transpose": (a.T, A.T),
        "twice transposed": (a.T.T, A),
        "product": (a.T @ b, A.T @ B),
        "all": ((a + 2.0 * b).T @ (a - b) - 3.0 * (a.T @ a), (A + 2 * B).T @ (A - B) - 3 * A.T @ A),
    }
    for name, (operator, matrix) in expressions.items():
        assert operator.shape == matrix.shape, name
        for shape in ((matrix.shape[1],), (matrix.shape[1], 2)):
            x = rng.standard_normal(shape)
            assert_close(operator @ xp(x), matrix @ x, like=xp(x), rtol=tolerance(xp))
        y = rng.standard_normal(matrix.shape[0])
        assert_close(operator.rmatvec(xp(y)), matrix.T @ y, rtol=tolerance(xp))
        xs.dot_test(operator)
    assert repr(a + b) == "<Sum 5×3>"


@pytest.mark.parametrize("layout", ["csr_array", "csc_array", "coo_array", "csr_matrix", "dia_array", "lil_array"])
def test_every_sparse_format(rng, layout):
    dense = rng.standard_normal((6, 4)) * (rng.random((6, 4)) < 0.4)
    S = aslinearoperator(getattr(scipy.sparse, layout)(dense))
    assert isinstance(S, Sparse)
    x = rng.standard_normal((4, 2))
    assert_close(S @ x, dense @ x)
    xs.dot_test(S)
    assert S.astype(np.float64) is S
    assert S.astype(np.float32).like.dtype == np.float32


def test_sparse_integers_become_real():
    assert Sparse(scipy.sparse.eye_array(3, dtype=np.int64)).like.dtype == np.float64


@pytest.mark.of("operator_norm")
@pytest.mark.parametrize(("n", "p"), [(8, 5), (5, 8), (1, 4)])
def test_the_norm_is_the_largest_singular_value(xp, rng, n, p):
    A = rng.standard_normal((n, p))
    norm = xs.operator_norm(xp(A))
    assert_close(norm, np.asarray(np.linalg.norm(A, 2)), like=xp(A), rtol=1e-5)


def test_norm_of_zero_of_sparse_of_functions_and_under_jit():
    assert float(xs.operator_norm(np.zeros((3, 2)))) == 0.0
    assert_close(xs.operator_norm(scipy.sparse.diags_array([1.0, 5.0, 2.0])), np.asarray(5.0), rtol=1e-6)

    class Double(LinearOperator):
        def _matvec(self, x):
            return 2.0 * x

        _rmatvec = _matvec

    assert float(xs.operator_norm(Double((3, 3)), like=np.ones(1))) == pytest.approx(2.0)
    assert float(xs.operator_norm(1.25 * Double((3, 3)), like=np.ones(1, dtype=int))) == pytest.approx(2.5)
    with pytest.raises(TypeError, match="like: expected an array"):
        xs.operator_norm(Double((3, 3)))
    jax = pytest.importorskip("jax")
    assert float(jax.jit(xs.operator_norm)(np.diag([3.0, 1.0]))) == pytest.approx(3.0)


def test_an_exact_norm_survives_transposes_and_multiples(xp, rng):
    matrices = [rng.standard_normal((3, 2)), rng.standard_normal((2, 4))]
    operator = xs.Kronecker(*map(xp, matrices))
    scaled = -2.0 * operator.T * xp(np.asarray(-0.25))
    expected = np.asarray(0.5 * np.linalg.norm(np.kron(*matrices), 2))
    assert_close(scaled.exact_norm(), expected, rtol=tolerance(xp))
    assert_close(xs.operator_norm(scaled), expected, like=xp(matrices[0]), rtol=tolerance(xp))
    assert (operator + operator).exact_norm() is None


def test_the_norm_reads_once_a_check(rng):
    from xpsolve.capabilities import TABLE

    _, tally = xs.count(xs.operator_norm, rng.standard_normal((6, 4)), max_iter=10)
    assert tally.syncs <= TABLE["operator_norm"].syncs + 2


@pytest.mark.parametrize(("n", "p"), [(30, 12), (12, 30)])
def test_counts_are_the_costs(rng, n, p):
    A = rng.standard_normal((n, p))
    for n_iter in (10, 25):
        _, tally = xs.count(xs.operator_norm, A, max_iter=n_iter, tol=1e-300)
        cost = costs.operator_norm(n, p, n_iter=n_iter)
        assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)
    _, tally = xs.count(xs.dot_test, A, trials=2)
    cost = costs.dot_test(n, p, trials=2)
    assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)


@pytest.mark.of("dot_test")
def test_the_dot_test_accepts_an_adjoint_and_rejects_another(xp, rng):
    A = xp(rng.standard_normal((7, 4)))
    assert xs.dot_test(A) < 10 * 3 * xp.eps

    class Wrong(Dense):
        def _rmatvec(self, y):
            return self.A.T @ y * (1 + 1e-3)

    with pytest.raises(AssertionError, match="differ by"):
        xs.dot_test(Wrong(A))


@pytest.mark.parametrize("factor", [0.0, 1.0, 1e-150, 1e150])
def test_the_eigenvalue_bound_of_a_matrix_is_one(rng, factor):
    for A in (np.eye(7), rng.standard_normal((9, 4)), np.ones((3, 3)), rng.random((40, 60)), np.ones((1, 1))):
        G = A.T @ A * factor
        bound, largest = eigenvalue_bound(G), np.linalg.norm(G, 2)
        assert largest * (1 - 1e-14) <= bound <= largest * G.shape[0] ** (1 / 16) * (1 + 1e-14)


def test_the_eigenvalue_bound_of_a_map_needs_a_length():
    with pytest.raises(TypeError, match="like: expected an array"):
        eigenvalue_bound(lambda v: v)


@pytest.mark.parametrize("kind", ["gaussian", "correlated", "one large", "rank one", "decaying", "zero"])
@pytest.mark.parametrize("shape", [(20, 60), (60, 20), (1, 5)])
def test_the_eigenvalue_bound_lies_above_but_not_far(xp, rng, kind, shape):
    A = rng.standard_normal(shape)
    A = {
        "gaussian": A,
        "correlated": np.cumsum(A, axis=1),
        "one large": A + 3,
        "rank one": A[:, :1] * A[:1],
        "decaying": A / np.arange(1, shape[1] + 1) ** 2,
        "zero": 0 * A,
    }[kind]
    G = A.T @ A
    there, largest = xp(G), np.linalg.eigvalsh(G)[-1]
    bound, tally = xs.count(lambda G: eigenvalue_bound(lambda v: G @ v, G), there)
    assert tally.syncs == 0
    assert 0.99 * largest <= float(bound) <= 1.5 * largest
