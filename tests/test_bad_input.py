"""What bad input gets: a clear error that names the argument, before any work, and inputs as they were."""

import numpy as np
import pytest
import scipy.sparse

import xpsolve as xs
from xpsolve.arrays import backends

A = np.arange(12.0).reshape(4, 3) + np.eye(4, 3)
Y = np.arange(4.0)
Z = np.arange(10.0).reshape(1, 2, 5)
W = np.arange(12.0).reshape(2, 2, 3)


def with_value(x, value):
    x = x.copy()
    x.flat[1] = value
    return x


# what is wrong, a call, the error, and words that the message must have
TABLE = {
    "A is a list": (lambda: xs.ridge(A.tolist(), Y, 1.0), TypeError, r"A: expected an array .*got builtins\.list"),
    "y is a list": (lambda: xs.ridge(A, Y.tolist(), 1.0), TypeError, r"y: expected an array"),
    "A is None": (lambda: xs.ridge(None, Y, 1.0), TypeError, r"A: expected an array .*NoneType"),
    "A is a masked array": (lambda: xs.ridge(np.ma.array(A), Y, 1.0), TypeError, r"A: .*MaskedArray"),
    "A is a numpy.matrix": (lambda: xs.lstsq(_matrix(), Y), TypeError, r"A: .*matrix"),
    "A is complex": (lambda: xs.lasso_path(A + 0j, Y), TypeError, r"A: expected a real array .*complex128.*imaginary"),
    "y is complex": (lambda: xs.nnls(A, Y * 1j), TypeError, r"y: expected a real array"),
    "a complex operator": (lambda: xs.LeastSquares(xs.operators.Dense(A + 0j), Y), TypeError, r"A: .*RealForm\(A\)"),
    "a complex operator in a penalty": (
        lambda: xs.penalties.Analysis(1.0, xs.operators.Fourier(4)),
        TypeError,
        r"L: expected a real operator",
    ),
    "a complex operator in a chain": (
        lambda: xs.autodiff.chain_jacobian([np.eye(4), xs.operators.Fourier(4)]),
        TypeError,
        r"jacobians\[1\]: expected a real operator",
    ),
    "lam is complex": (lambda: xs.ridge(A + 0j, Y, 1j), TypeError, r"lam: expected a number"),
    "lam is a complex array": (lambda: xs.ridge(A + 0j, Y, Y[:2] * 1j), TypeError, r"lam: expected a real array"),
    "a set of features for complex A": (
        lambda: xs.lasso(A * 1j, Y, 1.0, method="working_set"),
        ValueError,
        r"method: .*complex",
    ),
    "x0 is complex": (lambda: xs.lasso(A, Y, 1.0, x0=1j * Y[:3]), TypeError, r"x0: expected a real array"),
    "weights are complex": (lambda: xs.ridge(A, Y * 1j, 1.0, weights=Y * 1j), TypeError, r"weights: expected a real"),
    "a complex threshold": (lambda: xs.soft_threshold(Y * 1j, Y * 1j), TypeError, r"t: expected a real array"),
    "complex x for a real form": (
        lambda: xs.operators.RealForm(A + 0j) @ (1j * Y[:3]),
        TypeError,
        r"x: expected a real array",
    ),
    "complex data for a real form": (
        lambda: xs.lasso(xs.operators.RealForm(A + 0j), np.ones(8) * 1j, 1.0),
        TypeError,
        r"y: .*stacked",
    ),
    "A is half precision": (lambda: xs.ridge(A.astype(np.float16), Y, 1.0), TypeError, r"A: .*float16"),
    "A is text": (lambda: xs.ridge(A.astype(str), Y, 1.0), TypeError, r"A: expected an array of"),
    "A is objects": (lambda: xs.ridge(A.astype(object), Y, 1.0), TypeError, r"A: expected an array of .*object"),
    "A is objects, where it must be real": (
        lambda: xs.nnls(A.astype(object), Y),
        TypeError,
        r"A: expected a real array .*object. Convert it first.$",
    ),
    "A is a vector": (lambda: xs.ridge(Y, Y, 1.0), ValueError, r"A: expected shape \(n, p\), got 1 dim"),
    "A has three axes": (lambda: xs.lstsq(A[None], Y), ValueError, r"A: .*\(1, 4, 3\)"),
    "y has three axes": (lambda: xs.ridge(A, Y[:, None, None], 1.0), ValueError, r"y: expected shape"),
    "y is a number": (lambda: xs.ridge(A, np.asarray(1.0), 1.0), ValueError, r"y: expected shape"),
    "A has no rows": (lambda: xs.ridge(A[:0], Y[:0], 1.0), ValueError, r"A: .*no empty axis"),
    "A has no columns": (lambda: xs.ridge(A[:, :0], Y, 1.0), ValueError, r"A: .*no empty axis"),
    "y has other rows": (lambda: xs.ridge(A, Y[:3], 1.0), ValueError, r"y: expected 4 rows, .*\(3,\)"),
    "y has other rows, sparse A": (lambda: xs.ridge(scipy.sparse.csr_array(A), Y[:3], 1.0), ValueError, r"y: .*4 rows"),
    "lam is negative": (lambda: xs.ridge(A, Y, -1.0), ValueError, r"lam: expected a finite number >= 0, got -1"),
    "lam is NaN": (lambda: xs.ridge(A, Y, float("nan")), ValueError, r"lam: .*got nan"),
    "lam is infinite": (lambda: xs.ridge(A, Y, float("inf")), ValueError, r"lam: .*got inf"),
    "lam is text": (lambda: xs.ridge(A, Y, "1"), TypeError, r"lam: expected a number"),
    "lam is a boolean": (lambda: xs.ridge(A, Y, True), TypeError, r"lam: expected a number"),
    "lam is empty": (lambda: xs.ridge(A, Y, []), TypeError, r"lam: expected a number"),
    "lam is an empty array": (lambda: xs.ridge(A, Y, Y[:0]), ValueError, r"lam: .*\(0,\)"),
    "lam is a matrix": (lambda: xs.ridge(A, Y, A), ValueError, r"lam: .*\(4, 3\)"),
    "lam has a negative entry": (lambda: xs.ridge(A, Y, np.asarray([1.0, -1.0])), ValueError, r"lam: .*>= 0"),
    "A has a NaN": (lambda: xs.ridge(with_value(A, np.nan), Y, 1.0), ValueError, r"A: expected finite .*1 NaN .*of 12"),
    "A has both infinities": (
        lambda: xs.ridge(with_value(with_value(A, np.inf).T, -np.inf).T, Y, 1.0),
        ValueError,
        r"A: expected finite .*2 NaN or infinite",
    ),
    "y has an infinity": (lambda: xs.lstsq(A, with_value(Y, np.inf)), ValueError, r"y: expected finite"),
    "unknown method": (
        lambda: xs.ridge(A, Y, 1.0, method="qr"),
        ValueError,
        r"'normal', 'woodbury', 'cg', 'svd', got 'qr'",
    ),
    "direct method on an operator": (
        lambda: xs.ridge(xs.operators.Sparse(scipy.sparse.csr_array(A)), Y, 1.0, method="svd"),
        ValueError,
        r"Only 'cg' works on <Sparse 4×3>",
    ),
    "rtol of an operator": (
        lambda: xs.lstsq(scipy.sparse.csr_array(A), Y, rtol=0.1),
        ValueError,
        "rtol: expected None",
    ),
    "tol of a matrix": (lambda: xs.lstsq(A, Y, tol=0.1), ValueError, "tol: expected None for a dense A"),
    "a complex sparse matrix": (
        lambda: xs.nnls(scipy.sparse.csr_array(A + 0j), Y),
        TypeError,
        r"A: expected a real op",
    ),
    "tol is negative": (lambda: xs.ridge(A, Y, 1.0, method="cg", tol=-1.0), ValueError, r"tol: expected a finite"),
    "tol is text": (lambda: xs.ridge(A, Y, 1.0, method="cg", tol="tight"), TypeError, r"tol: expected a finite"),
    "max_iter is negative": (lambda: xs.ridge(A, Y, 1.0, method="cg", max_iter=-1), ValueError, r"max_iter: .*-1"),
    "max_iter is a float": (lambda: xs.ridge(A, Y, 1.0, method="cg", max_iter=1.5), TypeError, r"max_iter: .*1\.5"),
    "check_every is zero": (lambda: xs.ridge(A, Y, 1.0, method="cg", check_every=0), ValueError, r"check_every"),
    "x0 has another shape": (lambda: xs.ridge(A, Y, 1.0, method="cg", x0=Y), ValueError, r"x0: .*\(3,\), got \(4,\)"),
    "rtol is negative": (lambda: xs.lstsq(A, Y, rtol=-1.0), ValueError, r"rtol: .*-1"),
    "an operator meets a wrong vector": (lambda: xs.operators.Dense(A) @ Y, ValueError, r"x: expected shape \(3,\)"),
    "operators that do not chain": (
        lambda: xs.operators.Dense(A) @ xs.operators.Dense(A),
        ValueError,
        r"@: expected inner lengths that agree",
    ),
    "operators that do not add": (
        lambda: xs.operators.Dense(A) + xs.operators.Dense(A.T),
        ValueError,
        r"\+: expected operators of the same shape",
    ),
    "an operator times text": (lambda: xs.operators.Dense(A) * "2", TypeError, r"expected a number times"),
    "a vector as an operator": (lambda: xs.operators.aslinearoperator(Y), ValueError, r"A: expected a matrix"),
    "a wrong adjoint": (lambda: xs.dot_test(_Wrong((4, 4)), like=Y), AssertionError, r"rmatvec is the adjoint"),
    "a matrix for a batch of pictures": (lambda: xs.convolve(A, W), ValueError, r"z: expected shape \(N, C, \*space\)"),
    "kernels for other channels": (
        lambda: xs.convolve(Z[:, :1], W),
        ValueError,
        r"w: expected shape \(O, 1, \*kernel\)",
    ),
    "kernels of another dimension": (lambda: xs.convolve(Z, W[..., None]), ValueError, r"w: .*with 3 axes"),
    "a kernel larger than the picture": (lambda: xs.convolve(Z[..., :2], W), ValueError, r"reach over at most \(2,\)"),
    "an unknown mode": (lambda: xs.convolve(Z, W, mode="half"), ValueError, r"mode: .*'valid', 'same', 'full'"),
    "an unknown boundary": (lambda: xs.convolve(Z, W, boundary="odd"), ValueError, r"boundary: .*'zero', 'periodic'"),
    "an unknown method of convolution": (
        lambda: xs.convolve(Z, W, method="x"),
        ValueError,
        r"method: .*'im2col', 'shift'",
    ),
    "a stride of zero": (lambda: xs.convolve(Z, W, stride=0), ValueError, r"stride: .*at least 1.*got 0"),
    "a stride that is no integer": (lambda: xs.convolve(Z, W, stride=1.5), TypeError, r"stride: .*1\.5"),
    "a dilation for two axes": (lambda: xs.convolve(Z, W, dilation=(1, 1)), ValueError, r"dilation: .*or 1 of them"),
    "a bias of another length": (lambda: xs.convolve(Z, W, np.ones(3)), ValueError, r"b: expected shape \(2,\)"),
    "residuals of another shape": (lambda: xs.convolve_adjoint(Z, Z, W), ValueError, r"e: expected shape \(1, 2, 3\)"),
    "complex pictures": (lambda: xs.convolve(Z + 0j, W), TypeError, r"z: expected a real array"),
    "an operator on another picture": (lambda: xs.Convolution(W, (4, 4)) @ Y, ValueError, r"w: expected 2 axes"),
    "count without arrays": (lambda: xs.count(lambda: 1), TypeError, r"args: expected at least one array"),
    "an unknown backend": (lambda: backends.get("tensorflow"), ValueError, r"backend: expected one of numpy, cupy"),
}


def _matrix():
    with pytest.warns(PendingDeprecationWarning):
        return np.matrix(A)


class _Wrong(xs.LinearOperator):
    def _matvec(self, x):
        return 2.0 * x

    def _rmatvec(self, y):
        return 3.0 * y


@pytest.mark.parametrize("kind", TABLE)
def test_bad_input_gets_a_clear_error_and_stays_as_it_was(kind):
    call, error, words = TABLE[kind]
    before = A.copy(), Y.copy()
    with pytest.raises(error, match=words):
        call()
    assert np.array_equal(A, before[0])
    assert np.array_equal(Y, before[1])


def test_mixed_libraries_raise_and_name_both():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"y: expected an array of the same library as A \(numpy\), got one of torch"):
        xs.ridge(A, torch.ones(4), 1.0)
    with pytest.raises(TypeError, match=r"lam: .*same library"):
        xs.ridge(A, Y, torch.ones(2))


def test_mixed_devices_raise_and_name_both():
    strict = pytest.importorskip("array_api_strict")
    there = strict.Device("device1")
    with pytest.raises(ValueError, match=r"y: expected an array on the device of A .*CPU_DEVICE.*device1"):
        xs.ridge(strict.asarray(A), strict.asarray(Y, device=there), 1.0)
    with pytest.raises(ValueError, match=r"lam: expected an array on the device"):
        xs.ridge(strict.asarray(A), strict.asarray(Y), strict.asarray(1.0, device=there))


def test_large_finite_numbers_are_not_called_infinite():
    huge = np.full((3, 2), 1e308)
    with np.errstate(all="ignore"), pytest.warns(xs.ConvergenceWarning):  # 1/A is subnormal
        assert xs.ridge(huge, np.ones(3), 1.0, method="svd").method  # the fast check overflows, the slow one knows


def test_check_finite_false_lets_nan_through_but_never_calls_it_converged():
    with pytest.warns(xs.ConvergenceWarning, match="NaN or an infinity"):
        solution = xs.ridge(with_value(A, np.nan), Y, 1.0, method="cg", check_finite=False)
    assert solution.status is xs.Status.NOT_FINITE
    assert not solution.converged
    assert "check_finite" in solution.status.message


@pytest.mark.of("ridge")
def test_inputs_are_never_written(xp, rng):
    host_A, host_y = rng.standard_normal((6, 4)), rng.standard_normal(6)
    for method in xs.costs.RIDGE_METHODS:
        A, y = xp(host_A), xp(host_y)
        xs.ridge(A, y, 0.1, method=method)
        assert np.array_equal(xp.backend.to_numpy(A), host_A.astype(xp.dtype))
        assert np.array_equal(xp.backend.to_numpy(y), host_y.astype(xp.dtype))


@pytest.mark.of("ridge")
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(3, 2), (70, 40), (40, 300)])
def test_no_zero_hides_a_value_that_is_not_finite(xp, rng, value, shape):
    A = rng.standard_normal(shape)
    A[shape[0] // 2, 1] = value
    with pytest.raises(ValueError, match="A: expected finite numbers"), np.errstate(invalid="ignore"):
        xs.ridge(xp(A), xp(np.zeros(shape[0])), 1.0)


SPARSE = {
    "ridge": lambda A, y: xs.ridge(A, y, 1.0),
    "ridge cg": lambda A, y: xs.ridge(A, y, 1.0, method="cg"),
    "ridge with an intercept": lambda A, y: xs.ridge(A, y, 1.0, intercept=True, weights=np.ones(8)),
    "lstsq": xs.lstsq,
    "lasso": lambda A, y: xs.lasso(A, y, 1.0),
    "elastic_net": lambda A, y: xs.elastic_net(A, y, 1.0, 0.5),
    "lasso_path": xs.lasso_path,
    "lasso_sure": lambda A, y: xs.lasso_sure(A, y, 0.1),
    "nnls": xs.nnls,
    "minimize": lambda A, y: xs.minimize(xs.LeastSquares(A, y), xs.penalties.L1(0.1)),
    "Logistic": lambda A, y: xs.Logistic(A, np.sign(y)),
}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("call", SPARSE.values(), ids=SPARSE.keys())
def test_stored_numbers_of_a_sparse_matrix_are_checked(rng, call, value):
    sparse = pytest.importorskip("scipy.sparse")
    A = np.where(rng.random((8, 5)) < 0.7, rng.standard_normal((8, 5)), 0.0)
    A[3, 2] = value
    with (
        pytest.raises(ValueError, match=r"A: expected finite numbers, got 1 NaN or infinite"),
        np.errstate(all="ignore"),
    ):
        call(sparse.csr_array(A), rng.standard_normal(8))
