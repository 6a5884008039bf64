"""The Fourier operator against numpy.fft, its own matrix, and pictures from a part of their frequencies."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import Fourier, RealForm
from xpsolve.operators.fourier import unitary_transform
from xpsolve.testing import assert_close, check_solution

SHAPES = [1, 5, (8,), (4, 6), (1, 3), (3, 4, 2)]


def matrix_of(shape, kept=None):
    """The transform of the unit vectors."""
    space = (shape,) if isinstance(shape, int) else shape
    p = int(np.prod(space))
    Z = np.fft.fftn(np.eye(p).reshape(*space, p), axes=range(len(space)), norm="ortho").reshape(p, p)
    return Z if kept is None else Z[kept]


def stacked(y):
    """Real parts over imaginary parts."""
    return np.concatenate([y.real, y.imag])


def numbers(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def placed(xp, x):
    """Complex numbers on a backend, in its precision."""
    return xp(x, dtype="complex64" if xp.dtype == "float32" else "complex128")


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_transform_of_numpy_and_unitary(xp, rng, shape):
    F, A = Fourier(shape), matrix_of(shape)
    n, p = F.shape
    assert (n, p) == A.shape
    close = {"rtol": 40 * xp.eps, "atol": 40 * xp.eps}
    for many in ((), (3,)):
        x, y = numbers(rng, p, *many), numbers(rng, n, *many)
        like = placed(xp, x)
        assert_close(F @ placed(xp, x), A @ x, like=like, **close)
        assert_close(F @ xp(x.real), A @ x.real, like=like, **close)
        assert_close(F.H @ placed(xp, y), A.conj().T @ y, like=like, **close)
        assert_close(F.T @ (F @ placed(xp, x)), x, like=like, **close)
    assert xs.dot_test(F, like=xp([0.0])) <= 20 * np.sqrt(n) * xp.eps
    assert_close(xs.operator_norm(F, like=xp([0.0])), np.asarray(1.0), like=xp([0.0]), rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_real_form_has_the_parts_apart(xp, rng, shape):
    R, A = RealForm(Fourier(shape)), stacked(matrix_of(shape))
    n, p = R.shape
    assert (n, p) == A.shape
    close = {"like": xp([0.0]), "rtol": 40 * xp.eps, "atol": 40 * xp.eps}
    for many in ((), (3,)):
        x, y = rng.standard_normal((p, *many)), rng.standard_normal((n, *many))
        assert_close(R @ xp(x), A @ x, **close)
        assert_close(R.T @ xp(y), A.T @ y, **close)
        assert_close(R.T @ (R @ xp(x)), x, **close)
        assert_close(R.stacked(Fourier(shape) @ xp(x)), A @ x, **close)
    assert xs.dot_test(R, like=xp([0.0])) <= 20 * np.sqrt(n) * xp.eps
    assert_close(xs.operator_norm(R, like=xp([0.0])), np.asarray(1.0), like=xp([0.0]), rtol=0)


@pytest.mark.parametrize("kept", [[0], [1], [5, 1, 0], [7, 1, 23, 4], list(range(24))])
def test_some_frequencies(xp, rng, kept):
    F, A = Fourier((4, 6), mask=kept), matrix_of((4, 6), kept)
    x, y = numbers(rng, 24, 2), numbers(rng, len(kept), 2)
    for _ in range(2):  # the second time with indices that are there
        assert_close(F @ placed(xp, x), A @ x, like=placed(xp, x), rtol=40 * xp.eps, atol=40 * xp.eps)
        assert_close(F.T @ placed(xp, y), A.conj().T @ y, like=placed(xp, x), rtol=40 * xp.eps, atol=40 * xp.eps)
    assert_close(F @ (F.H @ placed(xp, y)), y, rtol=40 * xp.eps, atol=40 * xp.eps)
    R, B = RealForm(F), stacked(A)
    assert_close(R @ xp(x.real), B @ x.real, like=xp(x.real), rtol=40 * xp.eps, atol=40 * xp.eps)
    assert_close(R.T @ xp(stacked(y)), B.T @ stacked(y), like=xp(x.real), rtol=40 * xp.eps, atol=40 * xp.eps)
    assert F.exact_norm() == pytest.approx(np.linalg.norm(A, 2), rel=1e-14)
    assert R.exact_norm() == pytest.approx(np.linalg.norm(B, 2), rel=1e-14)


def test_a_mask_of_booleans_is_one_of_indices_in_any_library(xp, rng):
    mask = rng.random((4, 6)) < 0.5
    x = rng.standard_normal(24)
    wanted = Fourier((4, 6), mask=np.flatnonzero(mask)) @ x
    np.testing.assert_array_equal(Fourier((4, 6), mask=xp(mask, dtype="bool")) @ x, wanted)


def test_the_norm_of_single_frequencies_of_real_pictures():
    assert RealForm(Fourier(8, mask=[1])).exact_norm() == pytest.approx(0.5**0.5)
    assert RealForm(Fourier(8, mask=[1, 7])).exact_norm() == RealForm(Fourier(8, mask=[4])).exact_norm() == 1.0


def test_total_variation_recovers_a_picture_from_a_third_of_its_frequencies(rng):
    n = 24
    picture = np.zeros((n, n))
    picture[4:15, 6:18], picture[9:21, 3:9] = 1.0, 0.5
    mask = rng.random((n, n)) < 0.35
    mask[:2], mask[:, :2] = True, True  # the low ones
    F = Fourier((n, n), mask=mask)
    y, R = F @ picture.ravel(), RealForm(F)
    f = xs.LeastSquares(R, R.stacked(y))
    solution = xs.minimize(f, xs.penalties.TotalVariation(1e-3 / f.n, (n, n)), tol=1e-6, max_iter=20_000)
    error = lambda x: np.linalg.norm(x - picture.ravel()) / np.linalg.norm(picture)  # noqa: E731
    assert solution.converged
    assert error(solution.x) < 2e-3 < 0.1 < error(F.H @ y)


def test_a_complex_picture_of_few_entries_from_a_part_of_its_frequencies(xp, rng):
    x = np.zeros(64, complex)
    x[[3, 20, 41]] = [1.0, -1j, 0.5 + 0.5j]
    F = Fourier((8, 8), mask=rng.permutation(64)[:40])
    y = placed(xp, F @ x)
    solution = xs.lasso(F, y, 1e-3, tol=1e-6 if xp.exact else 1e-4)
    check_solution(solution, like=y, shape=(64,))
    assert solution.converged
    assert_close(solution.x, x, rtol=2e-2)


def test_derivatives_and_jit(rng):
    R, x = RealForm(Fourier((4, 6), mask=[3, 5, 0, 11])), rng.standard_normal(24)
    size = lambda x: (R @ x) ** 4 @ np.ones(8)  # noqa: E731
    wanted = R.T @ (4 * (R @ x) ** 3)
    assert_close(xs.autodiff.grad(size)(x), wanted, rtol=1e-12, atol=1e-14)
    assert_close(xs.autodiff.jvp(lambda x: R @ x, (x,), (x,))[1], R @ x, rtol=1e-12, atol=1e-14)
    jax = pytest.importorskip("jax")
    assert_close(jax.jit(lambda x: R.T @ (R @ x))(x), R.T @ (R @ x), rtol=1e-12, atol=1e-14)
    assert_close(jax.jit(jax.grad(size))(x), wanted, rtol=1e-12, atol=1e-14)
    assert_close(R @ jax.numpy.asarray(x), R @ x, rtol=1e-12, atol=1e-14)  # after the trace


@pytest.mark.parametrize("inverse", [False, True])
def test_the_versions_of_libraries_are_the_standard_one(rng, inverse):
    dask = pytest.importorskip("dask.array")
    Z = rng.standard_normal((4, 6, 2)) + 1j * rng.standard_normal((4, 6, 2))
    wanted = unitary_transform.standard(Z, 2, inverse)
    found = unitary_transform(dask.asarray(Z, chunks=(2, 3, 1)), 2, inverse)
    np.testing.assert_allclose(found.compute(), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [16, (8, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_launches_are_those_of_the_cost(shape, masked):
    F = Fourier(shape, mask=[0, 3] if masked else None)
    for adjoint, operator in ((False, F), (True, F.T)):
        _, tally = xs.count(lambda x, A=operator: A @ x, np.ones(operator.shape[1], dtype=complex))
        assert tally.launches == xs.costs.fourier(shape, adjoint=adjoint, masked=masked).launches


BAD = {
    "a side of 0": (lambda: Fourier((3, 0)), ValueError, "shape: expected an integer of at least 1"),
    "a mask of another shape": (lambda: Fourier((2, 2), np.ones(4, bool)), ValueError, r"mask: .* shape \(2, 2\)"),
    "an index too large": (lambda: Fourier(4, [4]), ValueError, "mask: expected 1 to 4 different integers from 0 to 3"),
    "a negative index": (lambda: Fourier(4, [-1]), ValueError, "mask: expected"),
    "an index twice": (lambda: Fourier(4, [1, 1]), ValueError, "mask: expected"),
    "nothing kept": (lambda: Fourier(4, []), ValueError, "mask: expected"),
    "a mask of numbers": (lambda: Fourier(4, [0.5]), TypeError, "mask: expected"),
    "half precision": (lambda: Fourier(2) @ np.ones(2, dtype="float16"), TypeError, "x: expected"),
    "other rows": (lambda: RealForm(Fourier(2)).stacked(np.ones(3)), ValueError, "y: expected 2 rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, error, match = BAD[case]
    with pytest.raises(error, match=match):
        call()
