"""What `xpsolve.count` says that a call starts is what the emulator sees: operation by operation, and in whole solves.

Steps of loops are replayed from the 40th on, and counted as they are and as that.

A copy from the host is a launch too: it takes its turn in the same queue.
"""

from weakref import WeakKeyDictionary

import numpy as np
import pytest
import scipy.sparse

import xpsolve as xs
from xpsolve.arrays import indexing, linalg, namespace_of, scaling
from xpsolve.autodiff.rules.elementwise import sech_squared
from xpsolve.autodiff.rules.table import quotient_or_zero
from xpsolve.autodiff.symmetric import spectral
from xpsolve.operators import Fourier, RealForm, Wavelet, _correlation, _spectral, gradient
from xpsolve.penalties.shrink import shrink
from xpsolve.proximal.proximal_gradient import extrapolate
from xpsolve.trace import repeat
from xpsolve.transport import _increments, _kernels

cupy = pytest.importorskip("cupy")
emulator = pytest.importorskip("cupy.emulator", reason="a real CuPy does not say what it starts")


@pytest.fixture(autouse=True)
def unused(monkeypatch):
    """No recordings of other tests that found no use, which would put off those of these."""
    monkeypatch.setattr(repeat, "_unused", WeakKeyDictionary())


def counted(f, *args):
    """Launches as the emulator sees them, and as `count` does."""
    f(*args)  # one-time work is done first
    with emulator.counting() as seen:
        f(*args)
    _, tally = xs.count(f, *args)
    assert tally.replayed <= tally.launches
    return seen.launches + seen.uploads, tally.replayed


def array(*shape, seed=0):
    return cupy.asarray(np.random.default_rng(seed).standard_normal(shape))


def positive(*shape):
    return abs(array(*shape)) + 0.1


def definite(n):
    A = array(2 * n, n)
    return A.T @ A


A, B, T = array(6, 5), array(5, 4), array(3, 6, 5)
x, many, index = array(5), array(10, 5), cupy.asarray(np.asarray([3, 0, 2]))
G, L = definite(5), cupy.linalg.cholesky(definite(5))


def of(name, **options):
    """The function of the namespace with this name."""

    def call(*args):
        function = namespace_of(args[0])
        for part in name.split("."):
            function = getattr(function, part)
        return function(*args, **options)

    return call


OPERATIONS = {
    "A @ B": (lambda A, B: A @ B, A, B),
    "Aᵀ @ A": (lambda A: A.T @ A, A),
    "A @ x": (lambda A, x: A @ x, A, x),
    "a slice @ x": (lambda A, x: A[:, 1:] @ x[1:], A, x),
    "rows @ x": (lambda A, x: A[1:, :] @ x, A, x),
    "many @ many": (lambda S, T: S @ T, array(3, 4, 6), T),
    "many @ turned": (lambda T: T @ namespace_of(T).matrix_transpose(T), T),
    "one @ many": (lambda S, T: S @ T, array(4, 6), T),
    "cholesky": (of("linalg.cholesky"), G),
    "solve": (of("linalg.solve"), G, x),
    "inv": (of("linalg.inv"), G),
    "eigh": (of("linalg.eigh"), G),
    "qr": (of("linalg.qr"), A),
    "svd": (of("linalg.svd", full_matrices=False), A),
    "svdvals": (of("linalg.svdvals"), A),
    "svdvals of many": (of("linalg.svdvals"), T),
    "svdvals of many large": (of("linalg.svdvals"), array(3, 40, 33)),
    "vector_norm": (of("linalg.vector_norm", axis=0), A),
    "vector_norm 1": (of("linalg.vector_norm", axis=0, ord=1), A),
    "vector_norm ∞": (of("linalg.vector_norm", axis=0, ord=float("inf")), A),
    "matrix_norm": (of("linalg.matrix_norm"), A),
    "eye": (lambda x: namespace_of(x).eye(4, dtype=x.dtype), x),
    "tril": (of("tril"), G),
    "sort": (of("sort"), x),
    "sort down": (of("sort", descending=True), x),
    "argsort": (of("argsort"), x),
    "argsort down": (of("argsort", descending=True), x),
    "reshape": (of("reshape", shape=(30,)), A),
    "reshape of the transpose": (lambda A: namespace_of(A).reshape(A.T, (30,)), A),
    "reshape of the transpose, an axis split": (lambda A: namespace_of(A).reshape(A.T, (5, 3, 2)), A),
    "reshape of columns": (lambda A: namespace_of(A).reshape(A[:, 1:], (24,)), A),
    "reshape of rows": (lambda A: namespace_of(A).reshape(A[1:, :], (25,)), A),
    "reshape of many turned": (lambda T: namespace_of(T).reshape(_turned(T), (6, 15)), T),
    "take": (of("take", axis=0), x, index),
    "concat of 3": (lambda x: namespace_of(x).concat([x, x, x]), x),
    "concat of 9": (lambda x: namespace_of(x).concat([x] * 9), x),
    "stack of 3": (lambda x: namespace_of(x).stack([x, x, x]), x),
    "std": (of("std"), x),
    "var": (of("var"), x),
    "mean": (of("mean"), x),
    "where": (lambda x: namespace_of(x).where(x > 0, x, -x), x),
    "roll": (of("roll", shift=1), x),
    "rfft": (lambda A: namespace_of(A).fft.rfft(A, n=8, axis=1), A),
    "rfft of an axis": (lambda A: namespace_of(A).fft.rfft(A, axis=0), A),
    "rfftn": (lambda T: namespace_of(T).fft.rfftn(T, s=(8, 5), axes=(1, 2)), T),
    "ifft": (lambda A: namespace_of(A).fft.ifft(namespace_of(A).fft.rfft(A, axis=1), axis=0), A),
    "irfft": (lambda A: namespace_of(A).fft.irfft(namespace_of(A).fft.rfft(A, axis=1), axis=1), A),
    "a row assigned": (lambda A, x: _assigned(A, x), A, x),
    # delegates
    "differences": (lambda T: gradient.differences(T, 3), T),
    "differences of columns": (lambda T: gradient.differences(T, 2), T),
    "differences_adjoint": (lambda T: gradient.differences_adjoint(T), array(2, 6, 5)),
    "eigvalsh": (linalg.eigvalsh, G),
    "linalg.gram": (linalg.gram, A),
    "linalg.cholesky": (linalg.cholesky, G),
    "linalg.trustworthy": (linalg.trustworthy, L, G),
    "linalg.solve_triangular": (linalg.solve_triangular, L, B),
    "linalg.solve_triangular, transposed": (lambda L, B: linalg.solve_triangular(L, B, transposed=True), L, B),
    "linalg.solve_positive": (linalg.solve_positive, G, x),
    "linalg.eigh": (linalg.eigh, G),
    "linalg.thin_svd": (linalg.thin_svd, A),
    "linalg.thin_svd, tall": (linalg.thin_svd, many),
    "linalg.thin_svd, wide": (linalg.thin_svd, many.T),
    "linalg.shifted": (lambda G, x: linalg.shifted(G * 1, x), G, x),
    "scaling.two_to_the": (scaling.two_to_the, cupy.asarray(np.asarray([1.0, 2.0]))),
    "indexing.largest": (lambda x: indexing.largest(x, 2), x),
    "indexing.scatter": (lambda x, i: indexing.scatter(x[:3], i, 7), x, index),
    "indexing.accumulate": (lambda x, i: indexing.accumulate(x[:3], i, 7), x, index),
    "indexing.take_columns": (indexing.take_columns, A, index),
    "indexing.put": (lambda x, i: indexing.put(x * 1, i, x[:3]), x, index),
    "sech_squared": (sech_squared, x),
    "quotient_or_zero": (quotient_or_zero, x, x),
    "spectral": (lambda G: spectral(G, lambda w: w * w), G),
    "shrink": (shrink, x, positive(5)),
    "extrapolate": (extrapolate, A, A, x),
    "surrounded": (lambda T: _correlation.surrounded(T, (1,), (2,)), T),
    "surrounded, two axes": (lambda T: _correlation.surrounded(T, (1, 0), (0, 2)), array(2, 3, 4, 5)),
    "_spectral.rfftn": (lambda T: _spectral.rfftn(T, (8, 6)), array(2, 3, 7, 6)),
    "_spectral.irfftn": (lambda T: _inverse(T), array(2, 3, 8, 6)),
    "gibbs": (_kernels.gibbs, A, array(1, 6), array(1, 5), cupy.asarray(0.5)),
    "soft_rows": (_kernels.soft_rows, A, array(2, 5), cupy.asarray(0.5)),
    "soft_columns": (_kernels.soft_columns, A, array(2, 6), cupy.asarray(0.5)),
    "relaxed": (_kernels.relaxed, x, x, x, x),
    "scaled": (_kernels.scaled, A, array(1, 6), array(1, 5)),
    "cost_range": (lambda A: _kernels.cost_range(A, 1.0), A),
    "mirrored": (lambda G, x, e: _kernels.mirrored(x[None, :], x[None, :], G, e, 0.5), G, x, cupy.asarray(0.1)),
    "mirrored, without costs": (lambda x: _kernels.mirrored(x[None, :], x[None, :], None, None, 0.5), x),
    "lowered": (_increments.lowered, x, x, x),
    "raised": (lambda x: _increments.raised(x, namespace_of(x).astype(x, namespace_of(x).float32), x, x), x),
    "lowered_kernel": (_increments.lowered_kernel, A),
    "lowered_kernel between": (_increments.lowered_kernel, A, array(1, 6), array(1, 5)),
}


def _assigned(A, x):
    A = A * 1
    A[0, :] = x
    return A


def _turned(T):
    return namespace_of(T).permute_dims(T, (1, 0, 2))


def _inverse(T):
    return _spectral.irfftn(_spectral.rfftn(T, (8, 6)), (8, 6), (slice(3), slice(4)))


@pytest.mark.parametrize("what", OPERATIONS)
def test_an_operation(what):
    f, *args = OPERATIONS[what]
    seen, said = counted(f, *args)
    assert said == seen


rng = np.random.default_rng(0)
DATA = rng.standard_normal((200, 50))
Y = DATA @ (rng.standard_normal(50) * (rng.random(50) < 0.2)) + 0.1 * rng.standard_normal(200)
WIDE = rng.standard_normal((60, 300))
Z = WIDE @ (rng.standard_normal(300) * (rng.random(300) < 0.05)) + 0.1 * rng.standard_normal(60)
LAM = 0.1 * np.max(np.abs(WIDE.T @ Z))
a, b = rng.random(40), rng.random(50)
a, b = a / a.sum(), b / b.sum()
M = (rng.random((40, 1)) - rng.random((1, 50))) ** 2
PICTURES, KERNELS = rng.standard_normal((2, 3, 32, 32)), rng.standard_normal((4, 3, 5, 5))
WEIGHTS = [rng.standard_normal((20, 10)), rng.standard_normal((5, 20))]
BIASES = [rng.standard_normal(20), rng.standard_normal(5)]
SAMPLES = rng.standard_normal((10, 64))
LAYERS = xs.mlp_forward(WEIGHTS, BIASES, SAMPLES)
S = scipy.sparse.random(400, 600, density=0.05, random_state=rng, format="csr")
YS = S @ (rng.standard_normal(600) * (rng.random(600) < 0.05))
LS = 0.1 * np.max(np.abs(S.T @ YS))


def _descent(solver, objective, **options):
    return lambda A, y: solver(objective(A, y, 1e-2), **options)


SOLVES = {
    "ridge normal": (lambda A, y: xs.ridge(A, y, 1.0, method="normal"), DATA, Y),
    "ridge woodbury": (lambda A, y: xs.ridge(A, y, 1.0, method="woodbury"), WIDE, Z),
    "ridge path of 8": (lambda A, y: xs.ridge(A, y, [10.0**-k for k in range(8)], method="normal"), DATA, Y),
    "ridge svd": (lambda A, y: xs.ridge(A, y, 1.0, method="svd"), DATA, Y),
    "ridge cg": (lambda A, y: xs.ridge(A, y, 1.0, method="cg"), DATA, Y),
    "lasso fista": (lambda A, y: xs.lasso(A, y, LAM, method="fista"), WIDE, Z),
    "lasso working_set": (lambda A, y: xs.lasso(A, y, LAM, method="working_set"), WIDE, Z),
    "lasso_path": (lambda A, y: xs.lasso_path(A, y, n_lams=3), WIDE, Z),
    "sgd block 32": (_descent(xs.sgd, xs.LeastSquares, epochs=2, block=32), DATA, Y),
    "sgd block 32 logistic": (_descent(xs.sgd, xs.Logistic, epochs=2, block=32), DATA, np.sign(Y)),
    "sag block 32": (_descent(xs.sag, xs.Logistic, epochs=2, block=32), DATA, np.sign(Y)),
    "basis_pursuit": (lambda A, y: xs.basis_pursuit(A, y, max_iter=300), WIDE, Z),
    "dictionary_learning": (lambda X: xs.dictionary_learning(X, 8, 0.5, max_iter=5), SAMPLES.T),
    "coordinate_descent": (_descent(xs.coordinate_descent, xs.Logistic, block=16, max_iter=20), DATA, np.sign(Y)),
    "coordinate_descent, least squares": (_descent(xs.coordinate_descent, xs.LeastSquares, block=16), DATA, Y),
    "gradient_descent": (_descent(xs.gradient_descent, xs.LeastSquares, momentum="nesterov"), DATA, Y),
    "newton": (_descent(xs.newton, xs.Logistic), DATA, np.sign(Y)),
    **{
        f"sinkhorn {method}": (lambda a, b, M, method=method: xs.sinkhorn(a, b, M, 0.05, method=method), a, b, M)
        for method in ("scaling", "stabilized", "log")
    },
    "mlp_backward": (
        lambda *w: xs.mlp_backward(list(w[:2]), list(w[2:4]), list(w[4:7]), w[7]),
        *WEIGHTS, *BIASES, *LAYERS, LAYERS[-1],
    ),
    **{
        f"convolve {method}": (lambda z, w, method=method: xs.convolve(z, w, method=method), PICTURES, KERNELS)
        for method in ("fft", "im2col", "shift")
    },
    **{
        f"convolve_adjoint {method}": (
            lambda e, z, w, method=method: xs.convolve_adjoint(e, z, w, method=method),
            xs.convolve(PICTURES, KERNELS), PICTURES, KERNELS,
        )
        for method in ("fft", "im2col", "shift")
    },
    "soft_threshold": (lambda x: xs.soft_threshold(x, 0.5), SAMPLES),
    "project_simplex": (lambda x: xs.networks.project_simplex(x), SAMPLES),
    "grad": (xs.autodiff.grad(lambda x: namespace_of(x).sum(x**2)), SAMPLES),
    "wavelet": (Wavelet((8, 16), 3).matvec, rng.standard_normal(128)),
    "sparse ridge": (lambda S, y: xs.ridge(S, y, 1.0), S, YS),
    "sparse sgd block 1": (_descent(xs.sgd, xs.LeastSquares, epochs=2, block=1, step0=0.1), S[:60, :], YS[:60]),
    "sparse sgd block 32": (_descent(xs.sgd, xs.LeastSquares, epochs=2, block=32, step0=0.1), S, YS),
    "sparse lasso fista": (lambda S, y: xs.lasso(S, y, LS, method="fista"), S, YS),
    "sparse lasso working_set": (lambda S, y: xs.lasso(S, y, LS, method="working_set"), S, YS),
    **{
        f"complex {name}": (call, *(x * np.exp(1j * np.arange(len(x)))[(...,) + (None,) * (x.ndim - 1)] for x in args))
        for name, call, *args in (
            *((m, lambda A, y, m=m: xs.ridge(A, y, 1.0, method=m), DATA, Y) for m in ("normal", "svd", "cg")),
            ("woodbury", lambda A, y: xs.ridge(A, y, 1.0, method="woodbury"), WIDE, Z),
            ("path", lambda A, y: xs.ridge(A, y, [0.1, 1.0]), DATA, Y),
            ("lstsq", xs.lstsq, DATA, Y),
            ("lasso", lambda A, y: xs.lasso(A, y, LAM), WIDE, Z),
            ("elastic_net", lambda A, y: xs.elastic_net(A, y, LAM, 0.5), DATA, Y),
            ("basis_pursuit", lambda A, y: xs.basis_pursuit(A, y, max_iter=300), WIDE, Z),
            ("soft_threshold", lambda x: xs.soft_threshold(x, 0.5), SAMPLES),
            ("fourier", Fourier((8, 16), mask=[3, 5]).matvec, np.ones(128)),
            ("adjoint fourier", Fourier((8, 16), mask=[3, 5]).rmatvec, np.ones(2)),
        )
    },
    "real form": (RealForm(Fourier((8, 16))).matvec, rng.standard_normal(128)),
    "adjoint real form": (RealForm(Fourier((8, 16))).rmatvec, rng.standard_normal(256)),
    "sparse complex ridge": (lambda S, y: xs.ridge(S, y, 1.0), S * (1 + 1j), YS),
}  # fmt: skip


def on_device(x):
    if scipy.sparse.issparse(x):
        return pytest.importorskip("cupyx.scipy.sparse").csr_matrix(x)
    return cupy.asarray(x)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("what", SOLVES)
def test_a_solve(what):
    f, *args = SOLVES[what]
    seen, said = counted(f, *map(on_device, args))
    assert abs(said - seen) <= max(1, 0.1 * seen if seen > 10 else 0), (said, seen)


@pytest.mark.parametrize(("outputs", "channels"), [(3, 2), (4, 40), (40, 36)])
def test_the_norm_of_a_convolution_takes_no_matrix_alone(outputs, channels):
    w = rng.standard_normal((outputs, channels, 3, 3))
    blur = xs.Convolution(cupy.asarray(w), (9, 8), boundary="periodic")
    wanted = float(xs.Convolution(w, (9, 8), boundary="periodic").exact_norm())
    with emulator.counting() as seen:
        found = blur.exact_norm()
    assert seen.launches < 9 * 5  # frequencies
    assert abs(float(found) - wanted) <= 1e-13 * wanted
