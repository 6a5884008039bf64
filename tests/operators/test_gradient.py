"""The gradient against differences of NumPy, its own matrix, and the eigenvalues of cosines."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import Gradient
from xpsolve.operators.gradient import differences, differences_adjoint
from xpsolve.testing import assert_close

SHAPES = [7, (1,), (4, 5), (1, 6), (3, 1), (2, 2), (4, 3, 2), (2, 1, 3, 2)]


def differences_of(X, dim):
    """np.diff with a zero at the end, stacked."""
    return np.stack([np.diff(X, axis=a, append=np.take(X, [-1], axis=a)) for a in range(dim)])


@pytest.mark.parametrize("shape", SHAPES)
def test_it_takes_differences_and_its_adjoint_is_one(xp, rng, shape):
    D = Gradient(shape)
    space = (shape,) if isinstance(shape, int) else shape
    n, p = D.shape
    assert (n, p) == (len(space) * np.prod(space), np.prod(space))
    for many in ((), (3,)):
        x, y = rng.standard_normal((p, *many)), rng.standard_normal((n, *many))
        wanted = differences_of(x.reshape(*space, *many), len(space)).reshape(n, *many)
        assert_close(D @ xp(x), wanted, like=xp(x), rtol=4 * xp.eps)
        A = differences_of(np.eye(p).reshape(*space, p), len(space)).reshape(n, p)
        assert_close(D.T @ xp(y), A.T @ y, like=xp(x), rtol=20 * xp.eps)
    assert xs.dot_test(D, like=xp([0.0])) <= 20 * np.sqrt(n) * xp.eps


@pytest.mark.parametrize("shape", SHAPES)
def test_its_norm_is_exact_and_takes_no_iteration(xp, rng, shape):
    D = Gradient(shape)
    A = D @ np.eye(D.shape[1])
    norm = np.asarray(np.linalg.norm(A, 2))
    assert D.exact_norm() == pytest.approx(float(norm), rel=1e-14, abs=1e-15)
    assert_close(xs.operator_norm(D, like=xp([0.0])), norm, like=xp([0.0]), rtol=4 * xp.eps)
    assert_close(xs.operator_norm(3.0 * D.T, like=xp([0.0])), 3 * norm, rtol=4 * xp.eps)
    _, tally = xs.count(lambda x: xs.operator_norm(D, like=x), np.zeros(1))
    assert (tally.launches, tally.syncs) == (1, 0)  # the number, made an array


def test_absolute_values_add_up_to_two_and_to_the_neighbours(rng):
    A = np.abs(Gradient((3, 4)) @ np.eye(12))
    assert set(A.sum(axis=1)) == {0.0, 2.0}
    np.testing.assert_array_equal(A.sum(axis=0).reshape(3, 4), [[2, 3, 3, 2], [3, 4, 4, 3], [2, 3, 3, 2]])


def test_constants_have_no_gradient_and_the_divergence_no_mean(xp, rng):
    D = Gradient((5, 4))
    assert_close(D @ xp(np.full(20, 3.0)), np.zeros(40), rtol=0)
    total = np.sum(np.asarray(xp.backend.to_numpy(D.T @ xp(rng.standard_normal(40))), dtype=np.float64))
    assert abs(total) < 100 * xp.eps


@pytest.mark.parametrize("shape", [(6,), (4, 5), (1, 3, 2)])
def test_the_versions_of_libraries_are_the_standard_one(xp, rng, shape):
    X, Y = rng.standard_normal((*shape, 2)), rng.standard_normal((len(shape), *shape, 2))
    assert_close(differences(xp(X), len(shape)), differences.standard(xp(X), len(shape)), rtol=0)
    assert_close(differences_adjoint(xp(Y)), differences_adjoint.standard(xp(Y)), rtol=8 * xp.eps)


def test_integers_are_real_numbers(xp):
    x = xp([3, 1, 2], dtype="uint8")
    assert_close(Gradient(3) @ x, np.asarray([-2.0, 1.0, 0.0]), rtol=0)
    assert_close(Gradient(3).T @ x, np.asarray([-3.0, 2.0, 1.0]), rtol=0)


def test_infinities_stay_where_they_are():
    found = Gradient(4) @ np.asarray([0.0, np.inf, 1.0, 1.0])
    np.testing.assert_array_equal(found, [np.inf, -np.inf, 0.0, 0.0])


def test_derivatives_and_jit(rng):
    D, x = Gradient((3, 4)), rng.standard_normal(12)
    energy = lambda x: 0.5 * ((D @ x) @ (D @ x))  # noqa: E731
    assert_close(xs.autodiff.grad(energy)(x), D.T @ (D @ x), rtol=1e-13)
    assert_close(xs.autodiff.jvp(lambda x: D @ x, (x,), (x,))[1], D @ x, rtol=1e-14)
    assert_close(xs.autodiff.hvp(energy, x, x), D.T @ (D @ x), rtol=1e-13)
    jax = pytest.importorskip("jax")
    assert_close(jax.jit(lambda x: D.T @ (D @ x))(x), D.T @ (D @ x), rtol=1e-13)
    assert_close(jax.grad(energy)(x), D.T @ (D @ x), rtol=1e-13)
    torch = pytest.importorskip("torch")
    there = torch.asarray(x, requires_grad=True)
    energy(there).backward()
    assert_close(there.grad, D.T @ (D @ x), rtol=1e-13)


def test_solvers_take_it(xp, rng):
    """½‖∇x − y‖² + ½λ‖x‖², and denoising as least squares with A = (I; ∇) in one operator."""
    D, y = Gradient((3, 4)), rng.standard_normal(24)
    A = D @ np.eye(12)
    wanted = np.linalg.solve(A.T @ A + 0.5 * np.eye(12), A.T @ y)
    if xp.name == "dask":
        return  # slow to schedule, and the products were tested above
    found = xs.ridge(D, xp(y), 0.5, method="cg")
    assert_close(found.x, wanted, like=xp(y), rtol=1e-4 if xp.dtype == "float32" else 1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 3])
def test_its_cost_is_counted(rng, shape, k):
    D = Gradient(shape)
    for adjoint, product in ((False, D.matvec), (True, D.rmatvec)):
        x = rng.standard_normal((D.shape[0 if adjoint else 1], k)[: 1 + (k > 1)])
        _, tally = xs.count(product, x)
        cost = xs.costs.differences(shape, k=k, adjoint=adjoint)
        assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)


BAD = {
    "no side": (lambda: Gradient(()), ValueError, "shape: expected 1 to"),
    "a side of 0": (lambda: Gradient((3, 0)), ValueError, "shape: expected an integer of at least 1"),
    "a side of 1.5": (lambda: Gradient(1.5), TypeError, "shape: expected an integer"),
    "another length": (lambda: Gradient((2, 2)) @ np.ones(3), ValueError, r"x: expected shape \(4,\)"),
    "half precision": (
        lambda: Gradient(2).T @ np.ones(2, dtype=np.float16),
        TypeError,
        "y: expected an array of",
    ),
    "objects": (lambda: Gradient(2) @ np.ones(2, dtype=object), TypeError, "x: expected"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
