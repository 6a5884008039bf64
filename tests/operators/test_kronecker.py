"""Kronecker products are their matrices; the bases are orthonormal, and SciPy's cosines."""

from functools import reduce

import numpy as np
import pytest
import scipy.fft

import xpsolve as xs
from xpsolve.operators import cosine_basis, haar_basis
from xpsolve.testing import assert_close


@pytest.mark.parametrize("shapes", [[(3, 2)], [(3, 2), (2, 4)], [(2, 2), (1, 3), (4, 2)]])
def test_it_is_its_matrix(xp, rng, shapes):
    matrices = [rng.standard_normal(shape) for shape in shapes]
    A = reduce(np.kron, matrices)
    operator = xs.Kronecker(*map(xp, matrices))
    assert operator.shape == A.shape
    X, Y = rng.standard_normal((A.shape[1], 3)), rng.standard_normal((A.shape[0], 3))
    rtol = 1e3 * xp.eps
    assert_close(operator @ xp(X), A @ X, rtol=rtol, like=xp(X))
    assert_close(operator @ xp(X[:, 1]), A @ X[:, 1], rtol=rtol, like=xp(X))
    assert_close(operator.T @ xp(Y), A.T @ Y, rtol=rtol, like=xp(X))
    assert_close(operator.rmatvec(xp(Y[:, 0])), A.T @ Y[:, 0], rtol=rtol, like=xp(X))
    assert_close(operator.exact_norm(), np.asarray(np.linalg.norm(A, 2)), rtol=rtol)


def test_its_norm_is_exact(rng):
    A, B = rng.standard_normal((4, 3)), rng.standard_normal((2, 5))
    assert float(xs.operator_norm(xs.Kronecker(A, B))) == pytest.approx(np.linalg.norm(np.kron(A, B), 2), rel=1e-12)
    assert xs.dot_test(xs.Kronecker(A, B)) < 1e-14


@pytest.mark.parametrize("shapes", [((3, 2),), ((3, 2), (2, 4), (5, 3))])
@pytest.mark.parametrize("k", [1, 3])
def test_its_cost_is_counted(rng, shapes, k):
    matrices = [rng.standard_normal(shape) for shape in shapes]
    x = rng.standard_normal((np.prod([p for _, p in shapes]), k)[: 1 + (k > 1)])
    _, tally = xs.count(lambda x, *matrices: xs.Kronecker(*matrices).matvec(x), x, *matrices)
    cost = xs.costs.kronecker(shapes, k)
    assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_cosines_are_those_of_scipy(xp, rng, n):
    C, x = cosine_basis(n, like=xp([0.0])), rng.standard_normal(n)
    assert_close(C.T @ xp(x), scipy.fft.dct(x, norm="ortho"), rtol=1e2 * xp.eps, like=xp(x))


@pytest.mark.parametrize("basis", [cosine_basis, haar_basis])
def test_bases_need_no_array(xp, basis):
    found = basis(4)
    assert (type(found), found.dtype) == (np.ndarray, np.float64)
    assert_close(basis(4, like=xp([0.0])), found, like=xp([0.0]), rtol=2 * xp.eps)


def test_blocks_have_cosines_of_their_own(rng):
    x = rng.standard_normal(12)
    blocks = [scipy.fft.dct(part, norm="ortho") for part in x.reshape(3, 4)]
    assert_close(cosine_basis(12, block=4, like=x).T @ x, np.concatenate(blocks), rtol=1e-13)


@pytest.mark.parametrize(("n", "levels"), [(1, None), (8, None), (8, 1), (12, None), (12, 0)])
def test_wavelets_are_orthonormal_and_constants_are_means(n, levels):
    W = haar_basis(n, levels=levels, like=np.zeros(1))
    np.testing.assert_allclose(W.T @ W, np.eye(n), atol=1e-14)
    means = (n & -n) if levels is None else 2**levels
    coefficients = W.T @ np.ones(n)
    np.testing.assert_allclose(coefficients[n // means :], 0, atol=1e-14)
    np.testing.assert_allclose(coefficients[: n // means], np.sqrt(means))


L = np.zeros(1)
BAD = {
    "nothing": (lambda: xs.Kronecker(), ValueError, "matrices: expected at least one"),
    "a vector": (lambda: xs.Kronecker(np.eye(2), L), ValueError, r"matrices\[1\]: expected a matrix"),
    "blocks that do not fill": (
        lambda: cosine_basis(8, block=3, like=L),
        ValueError,
        "block: .*divisor of n = 8, got 3",
    ),
    "no length": (lambda: cosine_basis(0, like=L), ValueError, "n: .*at least 1"),
    "too many levels": (lambda: haar_basis(12, levels=3, like=L), ValueError, "levels: expected at most 2"),
    "like is a number": (lambda: haar_basis(4, like=1.0), TypeError, "like: expected an array"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
