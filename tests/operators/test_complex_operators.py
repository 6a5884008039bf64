"""Complex operators: their matrix, their adjoint, which is the conjugate transpose, and their norm."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import xpsolve as xs
from xpsolve import operators
from xpsolve.operators import (
    Convolution,
    Dense,
    Fourier,
    Gradient,
    Kronecker,
    LinearOperator,
    RealForm,
    Tensor,
    Wavelet,
)
from xpsolve.testing import assert_close

rng = np.random.default_rng(5)


def numbers(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


A, B, C = numbers(6, 4), numbers(4, 3), numbers(6, 4)
G, W, K = numbers(2, 3, 4), numbers(3, 2), numbers(2, 3, 3, 2)


def convolution(w, **options):
    return lambda put: Convolution(put(w), (5, 4), **options)


# an operator of arrays that `put` moves to a backend, complex or real
HELD = {
    "dense": lambda put: Dense(put(A)),
    "real dense": lambda put: Dense(put(A.real)),
    "sum": lambda put: Dense(put(A)) + Dense(put(C)),
    "sum with real": lambda put: Dense(put(A.real)) - Dense(put(C)),
    "product": lambda put: Dense(put(A)) @ Dense(put(B)),
    "product with real": lambda put: Dense(put(A)) @ Dense(put(B.real)),
    "multiple": lambda put: (2 - 1j) * Dense(put(A)),
    "complex multiple of real": lambda put: 1j * Dense(put(A.real)) / (1 + 1j),
    "multiple by an array": lambda put: Dense(put(A)) * put(np.asarray(2j)),
    "negative": lambda put: -Dense(put(A)),
    "adjoint": lambda put: Dense(put(A)).T,
    "adjoint of an adjoint": lambda put: Dense(put(A)).H.H,
    "kronecker": lambda put: Kronecker(put(A), put(B)),
    "real kronecker": lambda put: Kronecker(put(A.real), put(B.real)),
    "tensor": lambda put: Tensor(put(G), 2),
    "real tensor": lambda put: Tensor(put(G.real), 2),
    "convolution": convolution(W, boundary="periodic"),
    "convolution, zeros around": convolution(W, mode="full", method="im2col"),
    "channels": convolution(K, mode="valid", method="shift"),
    "channels by transforms": convolution(K, boundary="periodic", method="fft"),
    "flipped": convolution(K, flip=True),
    "real convolution": convolution(W.real, boundary="periodic"),
    "from functions": lambda put: _of_functions(put(A)),
}
FREE = {
    "gradient": lambda: Gradient((3, 4)),
    "wavelet": lambda: Wavelet((4, 8), order=2),
    "fourier": lambda: Fourier((4, 6)),
    "some frequencies": lambda: Fourier((4, 6), mask=[5, 0, 7]),
    "frequencies of a wavelet": lambda: Fourier((4, 8)) @ Wavelet((4, 8)).T,
}


def _of_functions(A):
    adjoint = Dense(A).rmatvec
    return LinearOperator.from_functions(tuple(A.shape), lambda x: A @ x, adjoint, like=A)


def pylops_without_cupy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUPY_PYLOPS", "0")  # it would look for parts of CuPy that the emulation has not
        return pytest.importorskip("pylops")


def placed(xp, x):
    x = np.asarray(x)
    single = xp.dtype == "float32"
    name = ("complex64" if single else "complex128") if np.iscomplexobj(x) else xp.dtype
    return xp(x, dtype=name)


def matrix_of(make, *put):
    """By products of the same operator of NumPy with unit vectors."""
    operator = make(*put)
    return operator @ np.eye(operator.shape[1], dtype=complex)


@pytest.mark.parametrize("name", HELD)
def test_products_adjoint_and_norm(xp, name):
    operator, M = HELD[name](lambda x: placed(xp, x)), matrix_of(HELD[name], np.asarray)
    check(xp, operator, M)


@pytest.mark.parametrize("name", FREE)
def test_those_without_arrays(xp, name):
    check(xp, FREE[name](), matrix_of(FREE[name]))


def check(xp, operator, M):
    n, p = M.shape
    close = {"rtol": 200 * xp.eps, "atol": 20 * xp.eps}
    for many in ((), (2,)):
        x, y = numbers(p, *many), numbers(n, *many)
        assert_close(operator @ placed(xp, x), M @ x, like=placed(xp, x), **close)
        assert_close(operator.rmatvec(placed(xp, y)), M.conj().T @ y, like=placed(xp, y), **close)
        assert_close(operator.H @ placed(xp, y), M.conj().T @ y, like=placed(xp, y), **close)
        real = operator @ placed(xp, x.real)
        assert_close(real, M @ x.real, **close)
        assert ("complex" in str(real.dtype)) == operator.complex == bool(np.any(M.imag))
    x, y = numbers(p), numbers(n)
    s, back = operator.residual(placed(xp, x), placed(xp, y))
    assert_close(s, y - M @ x, **close)
    assert_close(back, M.conj().T @ (y - M @ x), **close)
    assert xs.dot_test(operator, like=placed(xp, [0j])) <= 50 * xp.eps
    assert xs.dot_test(RealForm(operator), like=placed(xp, [0.0])) <= 50 * xp.eps
    norm = xs.operator_norm(operator, like=placed(xp, [0j]), max_iter=3000)
    assert_close(norm, np.linalg.norm(M, 2), like=placed(xp, [0.0]), rtol=1e-3)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dia"])
def test_sparse_matrices(dtype, format):
    S = scipy.sparse.csr_array(A * (rng.random(A.shape) < 0.5)).asformat(format).astype(dtype)
    operator, M = operators.Sparse(S), S.toarray()
    x, y = numbers(4, 2).astype(dtype), numbers(6, 2).astype(dtype)
    assert_close(operator @ x, M @ x, like=x, rtol=1e-6)
    assert_close(operator.T @ y, M.conj().T @ y, like=x, rtol=1e-6)
    xs.dot_test(S)
    assert_close(operator.scaled(np.asarray(2.0, x.real.dtype)) @ x, 2 * M @ x, like=x, rtol=1e-6)
    solution, wanted = xs.ridge(S, y, 0.3), np.linalg.solve(M.conj().T @ M + 0.3 * np.eye(4), M.conj().T @ y)
    assert solution.converged
    assert_close(solution.x, wanted, like=x, rtol=1e-4 if dtype == "complex64" else 1e-10)
    assert_close(xs.ridge(S.real, y, 0.3).x, xs.ridge(M.real, y, 0.3).x, rtol=1e-4)  # a real A with complex y


def test_operators_of_other_packages():
    pylops = pylops_without_cupy()
    y = numbers(6)
    for foreign in (pylops.MatrixMult(A, dtype=A.dtype), scipy.sparse.linalg.aslinearoperator(A)):
        assert xs.dot_test(operators.aslinearoperator(foreign), like=y) < 1e-14
        for data in (y, y.real):
            assert_close(xs.ridge(foreign, data, 0.1).x, xs.ridge(A, data, 0.1).x, rtol=1e-9)
    F = Fourier(8)
    x = numbers(8)
    np.testing.assert_allclose(F.to_scipy() @ x, np.fft.fft(x, norm="ortho"))
    np.testing.assert_allclose(F.to_scipy().H @ x, np.fft.ifft(x, norm="ortho"))
    assert F.to_scipy().dtype == np.complex128
    assert xs.dot_test(pylops.signalprocessing.FFT(8, dtype="complex128"), like=x) < 1e-14


def test_a_real_operator_of_another_package_gets_the_parts_one_by_one():
    pylops = pylops_without_cupy()
    D, x = pylops.FirstDerivative(8, dtype="float64"), numbers(8, 2)
    M = D @ np.eye(8)
    assert_close(operators.aslinearoperator(D) @ x, M @ x, rtol=1e-12)
    assert_close(operators.aslinearoperator(D).T @ x, M.T @ x, rtol=1e-12)


def test_a_wrong_adjoint_is_found():
    class Transposed(LinearOperator):  # the transpose in place of its conjugate
        def _matvec(self, x):
            return A @ x

        def _rmatvec(self, y):
            return A.T @ y

    with pytest.raises(AssertionError, match="rmatvec is the adjoint"):
        xs.dot_test(Transposed((6, 4)), like=np.zeros(1, complex))


def test_an_operator_with_complex_products_must_say_so():
    like = LinearOperator.from_functions((6, 4), lambda x: A @ x, lambda y: A.conj().T @ y, like=A)
    unknown = LinearOperator.from_functions((6, 4), lambda x: A @ x, lambda y: A.conj().T @ y)
    y = numbers(6)
    assert_close(xs.ridge(like, y.real, 0.1).x, xs.ridge(A, y.real, 0.1).x, rtol=1e-9)
    assert_close(xs.ridge(unknown, y, 0.1).x, xs.ridge(A, y, 0.1).x, rtol=1e-9)
    with pytest.raises(TypeError, match="complex like="):
        xs.ridge(unknown, y.real, 0.1)


def test_a_real_form_in_problems_with_real_x(xp):
    y = numbers(6)
    R = RealForm(placed(xp, A))
    data = R.stacked(placed(xp, y))
    M, stacked = np.concatenate([A.real, A.imag]), np.concatenate([y.real, y.imag])
    assert_close(data, stacked, like=placed(xp, [0.0]))
    assert_close(xs.ridge(R, data, 0.2).x, np.linalg.solve(M.T @ M + 0.2 * np.eye(4), M.T @ stacked), rtol=1e-3)
    small = xs.ridge(RealForm(A.astype("complex64")), stacked.astype("float32"), 0.2)
    assert small.x.dtype == np.float32
    assert xs.ridge(RealForm(A.astype("complex64")), stacked, 0.2).x.dtype == np.float64


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
def test_norm_and_adjoint_at_any_scale(scale):
    assert_close(xs.operator_norm(Dense(A * scale)) / scale, np.linalg.norm(A, 2), rtol=1e-6)
    assert xs.dot_test(Dense(A * scale)) < 1e-14


def test_complex_products_count_four_times():
    x = numbers(4, 2)
    _, real = xs.count(lambda A, x: A @ x, A.real.copy(), x.real.copy())
    _, tally = xs.count(lambda A, x: A @ x, A, x)
    assert tally.flops == tally.product_flops == 4 * real.flops
    assert tally.bytes == 2 * real.bytes
    _, gram = xs.count(xs.arrays.gram, A)
    assert gram.flops >= 4 * 6 * 4 * 4
