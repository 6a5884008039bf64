"""Complex numbers, as arguments and in the middle: differences, both modes, JAX, all backends."""

import numpy as np
import pytest

from xpsolve import autodiff
from xpsolve.arrays import cholesky, device_of, eigh, namespace_of, thin_svd
from xpsolve.testing import assert_close


def normal(*shape):
    return lambda rng: rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def hermitian(xp, Z):
    return Z @ xp.conj(xp.matrix_transpose(Z))


def positive(xp, Z):
    return hermitian(xp, Z) + xp.eye(Z.shape[0], dtype=Z.dtype, device=device_of(Z))


def low_rank(xp, U, s, Vh):
    return (U[:, :1] * xp.astype(s[:1], U.dtype)) @ Vh[:1, :]


Z3, Z33, Z43 = normal(3), normal(3, 3), normal(4, 3)
ELEMENTWISE = "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan sinh cosh tanh conj real imag sign abs"

CASES = {
    **{name: (lambda xp, z, name=name: getattr(xp, name)(z), [Z3]) for name in ELEMENTWISE.split()},
    **{
        name: (lambda xp, z, name=name: getattr(xp, name)(z), [Z3])
        for name in "asin acos atan asinh acosh atanh".split()
    },
    "arithmetic": (lambda xp, z, w: z * w + z / w - 2 * w + 1j * z - (1 - z) / 3j, [Z3, Z3]),
    "pow": (lambda xp, z, w: z**w + z**2.5 + z**3 + (2 + 1j) ** w + 2.0**w, [Z3, Z3]),
    "where": (lambda xp, z, w: xp.where(xp.real(z) > 0, z * w, xp.conj(w)), [Z3, Z3]),
    **{
        name: (lambda xp, z, name=name: getattr(xp, name)(z, axis=0), [Z43])
        for name in "sum mean prod var std cumulative_sum cumulative_prod".split()
    },
    "diff": (lambda xp, z: xp.diff(z, axis=0), [Z43]),
    **{
        f"vector_norm {p}": (lambda xp, z, p=p: xp.linalg.vector_norm(z, axis=1, ord=p), [Z43])
        for p in (1, 2, 3, float("inf"), -float("inf"))
    },
    **{
        f"matrix_norm {p}": (lambda xp, z, p=p: xp.linalg.matrix_norm(z, ord=p), [normal(2, 4, 3)])
        for p in ("fro", "nuc", 1, -1, 2, -2, float("inf"))
    },
    "norm squared": (lambda xp, z: xp.linalg.vector_norm(z) ** 2 + xp.linalg.matrix_norm(z) ** 2, [Z43]),
    "matmul": (lambda xp, A, B: A @ B + xp.conj(xp.matrix_transpose(B)) @ A, [Z33, Z33]),
    "matrix vector": (lambda xp, A, x: A @ x, [Z43, Z3]),
    "vecdot": (lambda xp, x, y: xp.vecdot(x, y), [Z43, Z3]),
    "tensordot": (lambda xp, x, y: xp.tensordot(x, y, axes=1), [Z43, Z33]),
    "outer": (lambda xp, x, y: xp.linalg.outer(x, y), [Z3, normal(2)]),
    "cross": (lambda xp, x, y: xp.linalg.cross(x, y), [Z3, Z3]),
    "matrix_power": (lambda xp, A: xp.linalg.matrix_power(A, 3), [Z33]),
    "moves": (lambda xp, z: xp.concat([xp.flip(z, axis=0), xp.roll(z, 1, axis=1)[1:, :]]) * z[0, :], [Z43]),
    "setitem": (lambda xp, z, w: _set(xp, z, w), [Z43, Z3]),
    "solve": (lambda xp, A, b: xp.linalg.solve(A, b), [Z33, Z3]),
    "inv": (lambda xp, A: xp.linalg.inv(A), [Z33]),
    "pinv": (lambda xp, A: xp.linalg.pinv(A), [Z43]),
    "det": (lambda xp, A: xp.linalg.det(A), [normal(2, 3, 3)]),
    "slogdet": (lambda xp, A: xp.linalg.slogdet(A)[0] * xp.linalg.slogdet(A)[1], [Z33]),
    "trace": (lambda xp, A: xp.linalg.trace(A) * xp.linalg.diagonal(A), [Z33]),
    "linalg.cholesky": (lambda xp, Z: xp.linalg.cholesky(positive(xp, Z)), [Z33]),
    "qr Q": (lambda xp, Z: xp.linalg.qr(Z)[0], [Z43]),
    "qr R": (lambda xp, Z: xp.linalg.qr(Z)[1], [Z43]),
    "eigvalsh": (lambda xp, Z: xp.linalg.eigvalsh(hermitian(xp, Z)), [Z33]),
    "eigh values": (lambda xp, Z: xp.linalg.eigh(hermitian(xp, Z))[0], [Z33]),
    "eigh vectors": (lambda xp, Z: xp.abs(xp.linalg.eigh(hermitian(xp, Z))[1]) ** 2, [Z33]),
    "svdvals": (lambda xp, Z: xp.linalg.svdvals(Z), [Z43]),
    "svd values": (lambda xp, Z: xp.linalg.svd(Z, full_matrices=False)[1], [Z43]),
    "svd low rank": (lambda xp, Z: low_rank(xp, *xp.linalg.svd(Z, full_matrices=False)), [Z43]),
    "svd low rank of a wide matrix": (
        lambda xp, Z: low_rank(xp, *xp.linalg.svd(Z, full_matrices=False)),
        [normal(2, 4)],
    ),
    "svd vectors": (lambda xp, Z: xp.abs(xp.linalg.svd(Z, full_matrices=False)[0]) ** 2, [Z43]),
    "fft": (lambda xp, z: xp.fft.ifft(xp.fft.fft(z) * z), [Z3]),
    "irfft": (lambda xp, z: xp.fft.irfft(z, n=4) + xp.fft.hfft(z, n=4), [Z3]),
    "symmetric_function": (
        lambda xp, Z: autodiff.symmetric_function(lambda w: namespace_of(w).exp(w / 9), hermitian(xp, Z)),
        [Z33],
    ),
}
OURS = {  # where JAX 0.10 has no derivative, or another than differences
    "symmetric_function",
    "sign",  # 0
    "acosh",  # the other branch for Re z < 0
}


def _set(xp, z, w):
    if hasattr(z, "at"):
        return z.at[1, :].set(w * w)
    z = xp.asarray(z, copy=True)
    z[1, :] = w * w
    return z


def made(name):
    f, makers = CASES[name]
    rng = np.random.default_rng(7)
    return f, [np.asarray(make(rng)) for make in makers]


def number(f):
    """A real number out of complex arrays, with all of them in different weights."""

    def s(*zs):
        y = f(namespace_of(zs[0]), *zs)
        xp = namespace_of(y)
        flat = xp.reshape(y, (-1,))
        real = xp.real(flat) if xp.isdtype(flat.dtype, "complex floating") else flat
        k = xp.arange(1, flat.shape[0] + 1, dtype=real.dtype, device=device_of(y))
        total = xp.sum(xp.cos(k) * real + 0.1 * real * real)
        if real is not flat:
            total = total + xp.sum(xp.sin(k) * xp.imag(flat))
        return total

    return s


@pytest.mark.parametrize("name", CASES)
def test_both_modes_are_differences(name):
    f, zs = made(name)
    s, h = number(f), 1e-6
    gradients = autodiff.grad(s, tuple(range(len(zs))))(*zs)
    for i, (z, g) in enumerate(zip(zs, gradients, strict=True)):
        at = lambda w, i=i: s(*zs[:i], w, *zs[i + 1 :])  # noqa: E731
        for unit in (1.0, 1j):  # df = Re Σ g dz
            v = unit * np.cos(np.arange(z.size)).reshape(z.shape)
            difference = (at(z + h * v) - at(z - h * v)) / (2 * h)
            zeros = [np.zeros_like(w) for w in zs]
            tangent = autodiff.jvp(s, zs, [*zeros[:i], v.astype(z.dtype), *zeros[i + 1 :]])[1]
            assert float(tangent) == pytest.approx(float(difference), rel=1e-6, abs=1e-7)
            assert float(np.sum(np.real(g * v))) == pytest.approx(float(tangent), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_pull_is_the_transpose_of_push(name):
    """Of complex results too: Re Σ w f′(z)v = Re Σ (f′(z)ᵀw) v, with no conjugate."""
    f, zs = made(name)
    rng = np.random.default_rng(1)
    g = lambda *zs: f(namespace_of(zs[0]), *zs)  # noqa: E731
    vs = [rng.standard_normal(z.shape) + 1j * rng.standard_normal(z.shape) for z in zs]
    out, tangent = autodiff.jvp(g, zs, vs)
    w = rng.standard_normal(out.shape) + (1j * rng.standard_normal(out.shape) if np.iscomplexobj(out) else 0)
    pulled = autodiff.vjp(g, *zs)[1](w)
    left, right = np.sum(w * tangent).real, sum(np.sum(p * v) for p, v in zip(pulled, vs, strict=True)).real
    assert float(left) == pytest.approx(float(right), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", ["vector_norm 2", "var", "svd low rank", "eigh vectors", "tanh", "solve", "acosh"])
def test_second_derivatives(name):
    f, zs = made(name)
    z, rest = zs[0], zs[1:]
    s = number(f)
    gradient = autodiff.grad(lambda w: s(w, *_lifted(w, rest)))
    v, h = np.cos(np.arange(z.size)).reshape(z.shape) * (1 + 0.5j), 1e-5
    differences = (gradient(z + h * v) - gradient(z - h * v)) / (2 * h)
    found = autodiff.jvp(gradient, (z,), (v,))[1]
    assert_close(found, differences, rtol=1e-6, atol=1e-6 * (1 + np.max(np.abs(differences))))


def _lifted(w, rest):
    from xpsolve.arrays import lift

    return [lift(namespace_of(w), z) for z in rest]


def test_jax_finds_the_same():
    jax = pytest.importorskip("jax")
    todo = {name: made(name) for name in CASES if name not in OURS}

    def gradients(arguments):
        return {n: jax.grad(number(f), tuple(range(len(zs))))(*arguments[n]) for n, (f, zs) in todo.items()}

    quickly = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    there = {name: [jax.numpy.asarray(z) for z in zs] for name, (_, zs) in todo.items()}
    theirs = jax.jit(gradients, compiler_options=quickly)(there)
    for name, (f, zs) in todo.items():
        for found, expected in zip(autodiff.grad(number(f), tuple(range(len(zs))))(*zs), theirs[name], strict=True):
            try:
                assert_close(found, expected, rtol=1e-9, atol=1e-9)
            except AssertionError as error:
                error.add_note(name)
                raise


def test_every_backend(xp):
    if xp.name == "dask" or xp.dtype == "float32":
        pytest.skip("Dask has few of these functions; in float32 the rules are the same")
    names = "vector_norm 2", "matrix_norm nuc", "svd low rank", "eigh vectors", "slogdet", "qr R", "tanh"
    for name in names:
        f, zs = made(name)
        expected = autodiff.grad(number(f))(*zs)
        there = [xp(z, dtype="complex128") for z in zs]
        assert_close(autodiff.grad(number(f))(*there), expected, rtol=1e-9, atol=1e-9, like=there[0])


def test_delegates_take_complex_matrices():
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((5, 3)) + 1j * rng.standard_normal((5, 3))
    for f in (
        lambda xp, Z: low_rank(xp, *thin_svd(Z)),
        lambda xp, Z: cholesky(positive(xp, Z))[0],
        lambda xp, Z: eigh(hermitian(xp, Z[:3, :]))[0],
    ):
        g, v, h = autodiff.grad(number(f))(Z), np.exp(1j * np.arange(15.0)).reshape(5, 3), 1e-6
        s = number(f)
        difference = (s(namespace_of(Z).asarray(Z + h * v)) - s(Z - h * v)) / (2 * h)
        assert float(np.sum(np.real(g * v))) == pytest.approx(float(difference), rel=1e-6)


def test_complex_parameters_of_a_recurrence():
    a = np.asarray(0.9 + 0.3j)
    loss = lambda x: namespace_of(x).sum(namespace_of(x).abs(x - 1) ** 2)  # noqa: E731
    x0 = np.asarray([1.0 + 1j, 0.5j])
    value, _, gradient = autodiff.scan_gradient(lambda x, a: a * x, x0, a, loss, n_steps=3)
    expected, by_power = autodiff.value_and_grad(lambda a: loss(a**3 * x0))(a)
    assert float(value) == pytest.approx(float(expected))
    assert complex(gradient) == pytest.approx(complex(by_power))


Z = np.asarray([1.0 + 1j, 2.0])
BAD = {
    "a complex result": (lambda: autodiff.grad(lambda z: z[0])(Z), r"^f: expected a function that returns real.*vjp"),
    "rows of one": (lambda: autodiff.jacrev(lambda x: 1j * x)(np.ones(2)), r"^f: .*real numbers, got complex128"),
    "columns": (lambda: autodiff.jacfwd(lambda z: z)(Z), r"^argument 0: .*real floating dtype, got complex128"),
    "differences": (lambda: autodiff.finite_difference(lambda z: z, Z), r"^x: .*real floating dtype"),
    "a complex direction": (lambda: autodiff.jvp(lambda x: x, (Z.real,), (Z,)), r"^tangents: expected real numbers"),
    "an equation": (
        lambda: autodiff.grad(lambda z: abs(autodiff.implicit_gradient(lambda z: z, stationary=lambda x, z: x - z)(z)))(
            np.asarray(1j)
        ),
        r"complex numbers",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_has_no_one_derivative_raises(kind):
    call, words = BAD[kind]
    with pytest.raises((TypeError, NotImplementedError), match=words):
        call()
