"""One case for each rule: a function of an array namespace and arrays, and what it is tried on."""

import array_api_extra as xpx
import numpy as np

from xpsolve.arrays import (
    accumulate,
    cholesky,
    cholesky_solve,
    device_of,
    eigh,
    gram,
    put,
    scatter,
    settled,
    shifted,
    solve_positive,
    solve_triangular,
    take_columns,
    thin_svd,
)
from xpsolve.autodiff import symmetric_function
from xpsolve.autodiff.rules.elementwise import sech_squared
from xpsolve.autodiff.rules.table import quotient_or_zero
from xpsolve.penalties.shrink import shrink
from xpsolve.proximal.proximal_gradient import extrapolate


def normal(*shape):
    return lambda rng: rng.standard_normal(shape)


def positive(*shape, low=0.3, high=2.0):
    return lambda rng: rng.uniform(low, high, shape)


def within(*shape):
    return lambda rng: rng.uniform(-0.9, 0.9, shape)


def definite(p):
    def make(rng):
        M = rng.standard_normal((p, p))
        return M @ M.T + p * np.eye(p)

    return make


def invertible(*shape):
    return lambda rng: rng.standard_normal(shape) + 3 * np.eye(shape[-1])


def distinct(*shape):
    """Numbers that stay in order when they are moved a little."""
    return lambda rng: rng.permutation(np.prod(shape)).reshape(shape) / 2.0 - 1.3


M34, V4 = normal(3, 4), normal(4)


def both(xp, z):
    """A complex array as two real ones."""
    return xp.stack([xp.real(z), xp.imag(z)])


def ints(xp, x, values):
    return xp.asarray(np.asarray(values, dtype=np.int64), device=device_of(x))


def setitem(x, key, value):
    x = namespace_copy(x)
    x[key] = value
    return x


def namespace_copy(x):
    return x.__array_namespace__().asarray(x, copy=True) if hasattr(x, "_interpreter") else x


def in_place(xp, x, y):
    x = x * 1
    x += y
    x *= y
    x -= 2.0
    x /= y
    return x


def at_updates(xp, x, y):
    x = xpx.at(x)[0, ...].set(y, copy=True)
    x = xpx.at(x)[1, 1:].add(y[1:], copy=True)
    return xpx.at(x)[:, 0].multiply(y[1], copy=True)


def symmetric(x):
    return x + x.T


ELEMENTWISE = {
    "add": (lambda xp, x, y: x + y, [M34, V4]),
    "add number": (lambda xp, x: 1.5 + x + 2, [M34]),
    "subtract": (lambda xp, x, y: x - y, [M34, normal(3, 1)]),
    "subtract from number": (lambda xp, x: 1.0 - x, [M34]),
    "multiply": (lambda xp, x, y: x * y, [M34, V4]),
    "divide": (lambda xp, x, y: x / y, [V4, positive(3, 4)]),
    "divide number": (lambda xp, x: 2.0 / x, [positive(4)]),
    "pow": (lambda xp, x, y: x**y, [positive(3, 4), V4]),
    "pow number": (lambda xp, x: x**2 + x**3 + x**-1 + x**0.5 + x**1 + x**0, [positive(4)]),
    "number pow": (lambda xp, x: 2.0**x, [V4]),
    "negative": (lambda xp, x: -x, [V4]),
    "positive": (lambda xp, x: +x, [V4]),
    "square": (lambda xp, x: xp.square(x), [V4]),
    "reciprocal": (lambda xp, x: xp.reciprocal(x), [positive(4)]),
    "remainder": (
        lambda xp, x, y: x % y,
        [lambda r: np.asarray([5.3, 2.2, -1.4]), lambda r: np.asarray([2.0, 1.5, 1.0])],
    ),
    "hypot": (lambda xp, x, y: xp.hypot(x, y), [V4, V4]),
    "copysign": (lambda xp, x: xp.copysign(x, -xp.ones_like(x)), [V4]),
    "logaddexp": (lambda xp, x, y: xp.logaddexp(x, y), [M34, V4]),
    "atan2": (lambda xp, x, y: xp.atan2(x, y), [V4, V4]),
    "maximum": (lambda xp, x, y: xp.maximum(x, y), [distinct(3, 4), V4]),
    "minimum": (lambda xp, x, y: xp.minimum(x, y), [distinct(3, 4), V4]),
    "where": (lambda xp, x, y: xp.where(x > 0, x, y) + xp.where(y > 0, 2.0, y), [M34, V4]),
    "clip": (lambda xp, x: xp.clip(x, -0.5, 0.5) + xp.clip(x, min=0.1), [distinct(4)]),
    "clip bounds": (
        lambda xp, x, a, b: xp.clip(x, min=a, max=b),
        [distinct(4), lambda r: np.full(4, -0.4), lambda r: np.full(4, 0.1)],
    ),
    "abs": (lambda xp, x: abs(x), [V4]),
    "sech_squared": (lambda xp, x: sech_squared(x), [V4]),
    "quotient_or_zero": (lambda xp, x, y: quotient_or_zero(x, y), [V4, positive(4)]),
    "sign": (lambda xp, x: xp.sign(x) * x**2, [V4]),
    "shrink": (lambda xp, x, t: shrink(x, t), [distinct(3, 4), positive(4, low=0.2, high=0.3)]),
    "extrapolate": (lambda xp, x, y, j: extrapolate(x, y, j), [M34, M34, positive(4)]),
    **{
        name: (lambda xp, x, name=name: getattr(xp, name)(x), [V4])
        for name in "exp expm1 sin cos tan atan sinh cosh tanh asinh".split()
    },
    **{
        name: (lambda xp, x, name=name: getattr(xp, name)(x), [positive(4)])
        for name in "sqrt log log1p log2 log10".split()
    },
    **{name: (lambda xp, x, name=name: getattr(xp, name)(x), [within(4)]) for name in "asin acos atanh".split()},
    "acosh": (lambda xp, x: xp.acosh(x), [positive(4, low=1.5, high=3.0)]),
}

REDUCTIONS = {
    **{
        name: (lambda xp, x, name=name: getattr(xp, name)(x), [distinct(3, 4)])
        for name in "sum mean prod max min var std".split()
    },
    **{
        f"{name} along axes": (
            lambda xp, x, name=name: getattr(xp, name)(x, axis=(0, -1)) + getattr(xp, name)(x, axis=1)[0, 0],
            [distinct(2, 3, 2)],
        )
        for name in "sum mean prod max min var std".split()
    },
    **{
        f"{name} keepdims": (lambda xp, x, name=name: x * getattr(xp, name)(x, axis=1, keepdims=True), [distinct(3, 4)])
        for name in "sum mean prod max min var std".split()
    },
    "var correction": (lambda xp, x: xp.var(x, axis=0, correction=1) + xp.std(x, axis=0, correction=1), [M34]),
    "prod with zeros": (lambda xp, x: xp.prod(x, axis=1), [lambda r: np.asarray([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]])]),
    "cumulative_sum": (lambda xp, x: xp.cumulative_sum(x, axis=0), [M34]),
    "cumulative_sum initial": (lambda xp, x: xp.cumulative_sum(x, include_initial=True), [V4]),
    "cumulative_prod": (lambda xp, x: xp.cumulative_prod(x, axis=0), [M34]),
    "diff": (lambda xp, x: xp.diff(x, axis=0, n=2), [normal(5, 2)]),
    **{
        f"vector_norm {p}": (lambda xp, x, p=p: xp.linalg.vector_norm(x, axis=1, ord=p), [distinct(3, 4)])
        for p in (1, 2, 3, float("inf"), -float("inf"))
    },
    "vector_norm all": (lambda xp, x: xp.linalg.vector_norm(x), [M34]),
    **{
        f"matrix_norm {p}": (lambda xp, x, p=p: xp.linalg.matrix_norm(x, ord=p, keepdims=True), [normal(2, 4, 3)])
        for p in ("fro", "nuc", 1, 2, -2, float("inf"))
    },
}

PRODUCTS = {
    "matrix vector": (lambda xp, A, x: A @ x, [M34, V4]),
    "vector matrix": (lambda xp, x, A: x @ A, [normal(3), M34]),
    "vector vector": (lambda xp, x, y: x @ y, [V4, V4]),
    "matrix matrix": (lambda xp, A, B: A @ B, [M34, normal(4, 2)]),
    "stacks": (lambda xp, A, B: A @ B, [normal(2, 1, 3, 4), normal(3, 4, 2)]),
    "stack and matrix": (lambda xp, A, B: xp.matmul(A, B), [normal(2, 3, 4), normal(4, 2)]),
    "matrix and stack": (lambda xp, A, B: A @ B, [M34, normal(2, 4, 2)]),
    "stack and vector": (lambda xp, A, x: A @ x, [normal(2, 3, 4), V4]),
    "vector and stack": (lambda xp, x, A: x @ A, [normal(3), normal(2, 3, 4)]),
    "a matrix and itself": (lambda xp, A: A @ A + A.T @ A, [normal(3, 3)]),
    "vecdot": (lambda xp, x, y: xp.vecdot(x, y), [M34, V4]),
    "tensordot": (lambda xp, x, y: xp.tensordot(x, y, axes=((0, 2), (1, 0))), [normal(2, 3, 4), normal(4, 2, 2)]),
    "tensordot number": (lambda xp, x, y: xp.tensordot(x, y, axes=1), [M34, normal(4, 2)]),
    "outer": (lambda xp, x, y: xp.linalg.outer(x, y), [V4, normal(3)]),
    "cross": (lambda xp, x, y: xp.linalg.cross(x, y), [normal(2, 3), normal(2, 3)]),
    "matrix_power": (lambda xp, A: xp.linalg.matrix_power(A, 3), [normal(3, 3)]),
    "matrix_power negative": (lambda xp, A: xp.linalg.matrix_power(A, -2), [invertible(3, 3)]),
    "of linalg": (
        lambda xp, A, x, y: (
            xp.linalg.matmul(A, xp.linalg.matrix_transpose(A))[0, :]
            * xp.linalg.tensordot(A, x, axes=1)
            * xp.linalg.vecdot(A, x - y)
        ),
        [M34, V4, V4],
    ),
    "gram": (lambda xp, A: gram(A), [M34]),
}

SHAPES = {
    "reshape": (lambda xp, x: xp.reshape(x, (2, 6)), [M34]),
    "permute_dims": (lambda xp, x: xp.permute_dims(x, (1, 2, 0)), [normal(2, 3, 4)]),
    "matrix_transpose": (lambda xp, x: x.mT * 2, [normal(2, 3, 2)]),
    "moveaxis": (lambda xp, x: xp.moveaxis(x, (0, 1), (2, 0)), [normal(2, 3, 4)]),
    "expand_dims": (lambda xp, x: xp.expand_dims(x, axis=1), [V4]),
    "squeeze": (lambda xp, x: xp.squeeze(x, axis=1), [normal(3, 1, 2)]),
    "broadcast_to": (lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), [normal(3, 1)]),
    "broadcast_arrays": (lambda xp, x, y: xp.broadcast_arrays(x, y)[0] * xp.broadcast_arrays(x, y)[1], [M34, V4]),
    "meshgrid": (lambda xp, x, y: xp.meshgrid(x, y)[0] ** 2 * xp.meshgrid(x, y, indexing="xy")[1], [V4, normal(3)]),
    "flip": (lambda xp, x: xp.flip(x, axis=1) + xp.flip(x), [M34]),
    "roll": (lambda xp, x: xp.roll(x, 2, axis=1) + xp.roll(x, 1) * xp.roll(x, (1, 2), axis=(0, 1)), [M34]),
    "tile": (lambda xp, x: xp.tile(x, (2, 1, 2)), [normal(2, 3)]),
    "repeat": (lambda xp, x: xp.repeat(x, 2, axis=1), [M34]),
    "repeat all": (lambda xp, x: xp.repeat(x, 2), [normal(2, 2)]),
    "tril": (lambda xp, x: xp.tril(x) + xp.triu(x, k=1) ** 2, [normal(3, 3)]),
    "concat": (lambda xp, x, y: xp.concat([x, x * x, y], axis=1), [M34, normal(3, 2)]),
    "concat flat": (lambda xp, x, y: xp.concat([x, y], axis=None), [M34, V4]),
    "stack": (lambda xp, x, y: xp.stack([x, y, x * y], axis=-1), [V4, V4]),
    "unstack": (lambda xp, x: xp.unstack(x, axis=1)[0] * xp.unstack(x, axis=1)[2], [M34]),
    "astype": (lambda xp, x: xp.astype(x, x.dtype, copy=True) * 2, [V4]),
    "asarray": (lambda xp, x: xp.asarray(x, copy=True) * 2, [V4]),
    "to_device": (lambda xp, x: x.to_device(device_of(x)) * 2 if hasattr(x, "to_device") else x * 2, [V4]),
    "settled": (lambda xp, x, y: settled(x, y)[0] * settled(x, y)[1], [V4, V4]),
    "iteration": (lambda xp, x: sum(row * (i + 1) for i, row in enumerate(xp.unstack(x))), [M34]),
}

INDEXING = {
    "getitem": (lambda xp, x: x[1:, ::2] * x[0, 1], [M34]),
    "getitem ellipsis": (lambda xp, x: x[..., None, 0] + x[-1, ...], [normal(2, 2, 2)]),
    "getitem steps": (lambda xp, x: x[::2, None, 1:4:2], [M34]),
    "getitem integers": (lambda xp, x: x[ints(xp, x, [0, 2, 0]), ints(xp, x, [1, 1, 1])], [M34]),
    "setitem": (
        lambda xp, x, y: (
            setitem(x, (slice(None, 2), 0), y) if hasattr(x, "_interpreter") else xpx.at(x)[:2, 0].set(y, copy=True)
        ),
        [M34, normal(2)],
    ),
    "setitem broadcast": (lambda xp, x, y: xpx.at(x)[1:, :].set(y, copy=True), [M34, V4]),
    "in place": (in_place, [V4, positive(4)]),
    "at": (at_updates, [M34, V4]),
    "take": (lambda xp, x: xp.take(x, ints(xp, x, [2, 0, 2]), axis=0), [M34]),
    "take last": (lambda xp, x: xp.take(x, ints(xp, x, [3, 1]), axis=-1), [M34]),
    "take_along_axis": (lambda xp, x: xp.take_along_axis(x, ints(xp, x, [[0, 2, 1, 0], [1, 1, 1, 0]]), axis=0), [M34]),
    "sort": (lambda xp, x: xp.sort(x, axis=0) * xp.sort(x, axis=1, descending=True), [distinct(3, 4)]),
    "full_like": (lambda xp, x: xp.full_like(x, 2.0) * x, [V4]),
    "scatter": (lambda xp, x: scatter(x, ints(xp, x, [4, 0, 2, 3]), 6), [V4]),
    "accumulate": (lambda xp, x: accumulate(x, ints(xp, x, [4, 0, 4, 3]), 6), [M34]),
    "put": (lambda xp, x, y: put(x * 1, ints(xp, x, [2, 0]), y * y) ** 2, [M34, normal(2, 4)]),
    "put twice": (
        lambda xp, x, y: put(x * 1, ints(xp, x, [3, 1, 3]), xp.take(y, ints(xp, x, [0, 1, 0]))),
        [V4, normal(2)],
    ),
    "take_columns": (lambda xp, x: take_columns(x, ints(xp, x, [2, 0])), [M34]),
}

LINALG = {
    "solve": (lambda xp, A, b: xp.linalg.solve(A, b), [invertible(3, 3), normal(3, 2)]),
    "solve vector": (lambda xp, A, b: xp.linalg.solve(A, b), [invertible(3, 3), normal(3)]),
    "solve stack": (lambda xp, A, b: xp.linalg.solve(A, b), [invertible(2, 3, 3), normal(2, 3, 2)]),
    "solve_triangular": (lambda xp, L, b: solve_triangular(xp.tril(L), b), [invertible(3, 3), normal(3, 2)]),
    "solve_triangular transposed": (
        lambda xp, L, b: solve_triangular(xp.tril(L), b, transposed=True),
        [invertible(3, 3), normal(3)],
    ),
    "cholesky_solve": (lambda xp, G, b: cholesky_solve(cholesky(symmetric(G))[0], b), [definite(3), normal(3)]),
    "solve_positive": (lambda xp, G, B: solve_positive(symmetric(G), B), [definite(3), normal(3, 2)]),
    "inv": (lambda xp, A: xp.linalg.inv(A), [invertible(2, 3, 3)]),
    "det": (lambda xp, A: xp.linalg.det(A), [invertible(2, 3, 3)]),
    "slogdet": (lambda xp, A: xp.linalg.slogdet(A)[1] * xp.linalg.slogdet(A)[0], [invertible(3, 3)]),
    "pinv": (lambda xp, A: xp.linalg.pinv(A), [normal(4, 2)]),
    "trace": (lambda xp, A: xp.linalg.trace(A) + xp.linalg.trace(A, offset=1), [M34]),
    "diagonal": (
        lambda xp, A: xp.linalg.diagonal(A)[:2] * xp.linalg.diagonal(A, offset=-1) + xp.linalg.diagonal(A, offset=2),
        [M34],
    ),
    "shifted": (lambda xp, G, s: shifted(G * 1, s), [normal(3, 3), positive()]),
    "linalg.cholesky": (lambda xp, G: xp.linalg.cholesky(symmetric(G)), [definite(3)]),
    "cholesky": (lambda xp, G: cholesky(symmetric(G))[0], [definite(3)]),
    "qr": (lambda xp, A: xp.concat([*xp.linalg.qr(A)]), [normal(4, 3)]),
    "qr Q": (lambda xp, A: xp.linalg.qr(A)[0], [normal(3, 3)]),
    "qr R": (lambda xp, A: xp.linalg.qr(A)[1], [normal(2, 4, 3)]),
    "linalg.eigh": (
        lambda xp, A: xp.linalg.eigh(symmetric(A))[0] * xp.linalg.eigh(symmetric(A))[1] ** 2,
        [normal(3, 3)],
    ),
    "eigh values": (lambda xp, A: eigh(symmetric(A))[0], [normal(3, 3)]),
    "eigh vectors": (lambda xp, A: eigh(symmetric(A))[1] ** 2, [normal(3, 3)]),
    "eigvalsh": (lambda xp, A: xp.linalg.eigvalsh(symmetric(A)), [normal(3, 3)]),
    "svd": (lambda xp, A: _usv(xp, *xp.linalg.svd(A, full_matrices=False)), [normal(4, 3)]),
    "svd square": (lambda xp, A: _usv(xp, *xp.linalg.svd(A)), [normal(3, 3)]),
    "svdvals": (lambda xp, A: xp.linalg.svdvals(A), [M34]),
    "thin_svd": (lambda xp, A: _usv(xp, *thin_svd(A)), [M34]),
    "symmetric_function": (lambda xp, A: symmetric_function(lambda w: w * w * w, symmetric(A)), [normal(3, 3)]),
    "thin_svd U": (lambda xp, A: thin_svd(A)[0] ** 2, [normal(6, 2)]),
}


def _usv(xp, U, s, Vh):
    """Every part, blind to the signs of the vectors."""
    return (U**2) @ (s[:, None] * Vh**2) + (U * s**2) @ Vh


FOURIER = {
    **{
        f"{name} {norm}": (
            lambda xp, x, name=name, norm=norm: both(xp, transform(xp, name, x, norm=norm)),
            [normal(2, 5)],
        )
        for name in "fft ifft rfft ihfft".split()
        for norm in ("backward", "ortho")
    },
    **{
        f"{name} n={n}": (
            lambda xp, x, y, name=name, n=n: getattr(xp.fft, name)(_complex(xp, x, y), n=n, norm="forward"),
            [normal(4, 2), normal(4, 2)],
        )
        for name in ("irfft", "hfft")
        for n in (3, 4)
    },
    **{
        name: (
            lambda xp, x, y, name=name: getattr(xp.fft, name)(_complex(xp, x, y), axis=0),
            [normal(4, 2), normal(4, 2)],
        )
        for name in ("irfft", "hfft")
    },
    **{
        f"{name} n={n}": (lambda xp, x, name=name, n=n: both(xp, transform(xp, name, x, n=n, axis=0)), [normal(5, 2)])
        for name in ("fft", "ifft", "rfft", "ihfft")
        for n in (3, 8)
    },
    **{
        name: (lambda xp, x, name=name: both(xp, transform(xp, name, x)), [normal(3, 4)])
        for name in "fftn ifftn rfftn".split()
    },
    "fftn sizes": (lambda xp, x: both(xp, transform(xp, "fftn", x, s=(4, 3), axes=(0, 2))), [normal(3, 2, 4)]),
    "rfftn sizes": (lambda xp, x: both(xp, xp.fft.rfftn(x, s=(4, 3), axes=(0, 1))), [normal(3, 4)]),
    "irfftn": (lambda xp, x, y: xp.fft.irfftn(_complex(xp, x, y)), [normal(3, 4), normal(3, 4)]),
    "shifts": (lambda xp, x: xp.fft.fftshift(x) * xp.fft.ifftshift(x, axes=1), [normal(3, 5)]),
    "power": (
        lambda xp, x: xp.abs(transform(xp, "fft", x)) ** 2 + xp.real(xp.conj(xp.fft.rfft(x)) * xp.fft.rfft(x**2))[0],
        [V4],
    ),
    "complex products": (
        lambda xp, x, y: xp.imag(
            xp.fft.ifft(transform(xp, "fft", x) * _complex(xp, y, x) / (9 + transform(xp, "fft", y)))
        ),
        [V4, V4],
    ),
}


def _complex(xp, x, y):
    """A complex array from two real ones, by functions with rules."""
    return xp.astype(x, xp.complex128) + 1j * xp.astype(y, xp.complex128)


def transform(xp, name, x, **options):
    """The standard has `fft` of complex arrays only."""
    z = x if name[0] in "ri" and name[:2] in ("rf", "ih") else xp.astype(x, xp.complex128)
    return getattr(xp.fft, name)(z, **options)


FAMILIES = {
    "elementwise": ELEMENTWISE,
    "reductions": REDUCTIONS,
    "products": PRODUCTS,
    "shapes": SHAPES,
    "indexing": INDEXING,
    "linalg": LINALG,
    "fourier": FOURIER,
}
CASES = {f"{family}: {name}": case for family, cases in FAMILIES.items() for name, case in cases.items()}
