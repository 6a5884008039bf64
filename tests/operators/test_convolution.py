"""Convolution against torch, against its own dense matrix, and its adjoints by the dot test."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
import scipy.signal

import xpsolve as xs
from xpsolve import costs
from xpsolve.operators import _spectral
from xpsolve.testing import assert_close

METHODS = costs.CONVOLUTION_METHODS
MODES, BOUNDARIES = ("valid", "same", "full"), ("zero", "periodic")


def dense(w, n, **options):
    """The matrix of the convolution, column by column, for tests alone."""
    p = w.shape[1] * math.prod(n)
    pictures = np.eye(p).reshape(p, w.shape[1], *n)
    return xs.convolve(pictures, w, method="shift", **options).reshape(p, -1).T


def by_definition(z, w, mode, boundary, stride, dilation):
    """The sum over taps, pixel by pixel, on a picture that continues as far as anyone asks."""
    dim = z.ndim - 2
    reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
    middle = [d * ((k - 1) // 2) for d, k in zip(dilation, w.shape[2:], strict=True)]
    left = {"valid": [0] * dim, "same": middle, "full": reach}[mode]
    right = [{"valid": 0, "same": r - a, "full": r}[mode] for r, a in zip(reach, middle, strict=True)]
    sides = [(0, 0), (0, 0), *zip(left, right, strict=True)]
    z = np.pad(z, sides, mode="wrap" if boundary == "periodic" else "constant")
    out = [(m - r - 1) // s + 1 for m, r, s in zip(z.shape[2:], reach, stride, strict=True)]
    y = np.zeros((z.shape[0], w.shape[0], *out))
    for i in np.ndindex(*out):
        window = [slice(a * s, a * s + r + 1, d) for a, s, r, d in zip(i, stride, reach, dilation, strict=True)]
        axes = [1, *range(2, z.ndim)]
        y[(..., *i)] = np.tensordot(z[(..., *window)], w, (axes, axes))
    return y


def torch_gradients(torch, z, w, b, e, mode, boundary, stride, dilation):
    """The result and the three gradients, by torch on a picture that it pads by index."""
    Z, W, B = (torch.tensor(x, requires_grad=True) for x in (z, w, b))
    P = Z
    for axis, (k, d) in enumerate(zip(w.shape[2:], dilation, strict=True), 2):
        reach, n = d * (k - 1), z.shape[axis]
        left = {"valid": 0, "same": d * ((k - 1) // 2), "full": reach}[mode]
        right = {"valid": 0, "same": reach - left, "full": reach}[mode]
        where = torch.arange(-left, n + right)
        P = torch.index_select(P, axis, where % n)
        if boundary == "zero":
            inside = ((where >= 0) & (where < n)).to(P.dtype)
            P = P * inside.reshape(-1, *(1,) * (z.ndim - 1 - axis))
    y = getattr(torch.nn.functional, f"conv{z.ndim - 2}d")(P, W, B, stride=stride, dilation=dilation)
    return y.detach().numpy(), [g.numpy() for g in torch.autograd.grad(y, (Z, W, B), torch.tensor(e(tuple(y.shape))))]


def test_the_definition_and_the_gradients_of_torch_at_random_configurations(rng):
    torch = pytest.importorskip("torch")
    for trial in range(200):
        dim = 1 + trial % 3
        N, C, O = (int(i) for i in rng.integers(1, 4, 3))
        k, stride, dilation = (tuple(int(i) for i in rng.integers(1, m, dim)) for m in (5, 4, 3))
        n = tuple(d * (m - 1) + 1 + int(rng.integers(0, 5)) for d, m in zip(dilation, k, strict=True))
        mode, boundary = MODES[rng.integers(3)], BOUNDARIES[rng.integers(2)]
        z, w, b = rng.standard_normal((N, C, *n)), rng.standard_normal((O, C, *k)), rng.standard_normal(O)
        seed = np.random.default_rng(trial)
        e = seed.standard_normal(
            xs.convolve(z, w, mode=mode, boundary=boundary, stride=stride, dilation=dilation).shape
        )
        y, gradients = torch_gradients(torch, z, w, b, lambda shape, e=e: e, mode, boundary, stride, dilation)
        options = {"mode": mode, "boundary": boundary, "stride": stride, "dilation": dilation}
        options["method"] = (*METHODS, "auto")[trial % 4]
        assert_close(xs.convolve(z, w, b, **options), y, rtol=1e-10)
        for found, wanted in zip(xs.convolve_adjoint(e, z, w, **options), gradients, strict=True):
            assert_close(found, wanted, rtol=1e-10)
        if trial < 20:
            assert_close(
                y - b.reshape(-1, *(1,) * dim), by_definition(z, w, mode, boundary, stride, dilation), rtol=1e-10
            )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_dot_test_in_every_mode(rng, method, dim):
    z, w = rng.standard_normal((2, 2, *(7, 6, 5)[:dim])), rng.standard_normal((3, 2, *(3, 4, 2)[:dim]))
    norm = np.linalg.norm
    for dtype, mode, boundary, stride, flip in itertools.product(
        (np.float32, np.float64), MODES, BOUNDARIES, (1, 2), (False, True)
    ):
        options = {"mode": mode, "boundary": boundary, "stride": stride, "flip": flip, "method": method}
        x, v = z.astype(dtype), w.astype(dtype)
        y = xs.convolve(x, v, **options)
        e = rng.standard_normal(y.shape).astype(dtype)
        delta, g_w, g_b = xs.convolve_adjoint(e, x, v, **options)
        assert {a.dtype for a in (y, delta, g_w, g_b)} == {np.dtype(dtype)}
        size = norm(y.ravel()) * norm(e.ravel()) + norm(x.ravel()) * norm(delta.ravel())
        allowed = 4 * math.sqrt(y.size) * np.finfo(dtype).eps * size
        product = np.sum(y.astype(float) * e)
        assert abs(product - np.sum(x.astype(float) * delta)) <= allowed
        assert abs(product - np.sum(v.astype(float) * g_w)) <= allowed
        assert_close(g_b, e.sum(axis=(0, *range(2, e.ndim))), rtol=1e-5)


@pytest.mark.of("convolve")
@pytest.mark.parametrize("method", METHODS)
def test_everywhere(xp, rng, method):
    z, w, b = rng.standard_normal((2, 2, 6, 5)), rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(3)
    rtol = 1e-10 if xp.dtype == "float64" else 1e-4
    for options in (
        {"mode": "same", "boundary": "periodic", "flip": True},
        {"mode": "full", "stride": (2, 1)},
    ):
        y = xs.convolve(z, w, b, method="shift", **options)
        e = rng.standard_normal(y.shape)
        wanted = xs.convolve_adjoint(e, z, w, method="shift", **options)
        found, tally = xs.count(lambda *a: xs.convolve(*a, method=method, **options), xp(z), xp(w), xp(b))  # noqa: B023
        assert_close(found, y, like=xp(z), rtol=rtol)
        assert tally.syncs == 0
        there = xs.convolve_adjoint(xp(e), xp(z), xp(w), method=method, **options)
        for a, b_ in zip(there, wanted, strict=True):
            assert_close(a, b_, like=xp(z), rtol=rtol)


def test_a_library_without_transforms_multiplies(rng):
    strict = pytest.importorskip("array_api_strict")
    z, w = strict.asarray(rng.standard_normal((1, 1, 40))), strict.asarray(rng.standard_normal((1, 1, 30)))
    wanted = np.asarray(xs.convolve(z, w, method="fft"))
    with strict.ArrayAPIStrictFlags(enabled_extensions=("linalg",)):
        for method in ("fft", "auto"):
            assert_close(xs.convolve(z, w, method=method), wanted, rtol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("kernel", [(3, 4), (9, 2)])
def test_flip_is_the_convolution_of_scipy(rng, boundary, kernel):
    z, w = rng.standard_normal((8, 7)), rng.standard_normal(kernel)
    for mode in ("same", "full"):
        y = xs.convolve(z[None, None], w[None, None], mode=mode, boundary=boundary, flip=True)[0, 0]
        fill = "wrap" if boundary == "periodic" else "fill"
        if boundary == "zero" and max(kernel) <= 7:  # SciPy swaps a kernel larger than the picture
            assert_close(y, scipy.signal.convolve2d(z, w, mode=mode, boundary=fill), rtol=1e-12)
    A = dense(w[None, None], (8, 7), mode="same", boundary=boundary)
    flipped = dense(w[None, None], (8, 7), mode="same", boundary=boundary, flip=True)
    assert_close(A.T, flipped, rtol=1e-12)  # with one origin for both, each is the adjoint of the other


def test_a_kernel_larger_than_the_picture_goes_round_it_more_than_once(rng):
    z, w = rng.standard_normal((1, 1, 3)), rng.standard_normal((1, 1, 11))
    for mode, method in itertools.product(("same", "full"), METHODS):
        y = xs.convolve(z, w, mode=mode, boundary="periodic", method=method)
        assert_close(y, by_definition(z, w, mode, "periodic", (1,), (1,)), rtol=1e-12)


def test_blocks_of_the_cache_change_nothing(rng, monkeypatch):
    from xpsolve.operators import _correlation

    z, w = rng.standard_normal((3, 2, 9, 8)), rng.standard_normal((4, 2, 3, 3))
    e = rng.standard_normal((3, 4, 7, 6))
    whole = xs.convolve(z, w, method="im2col"), *xs.convolve_adjoint(e, z, w, method="im2col")
    for size in (1, 5000, 20_000):
        monkeypatch.setattr(_correlation, "_CACHE", size)
        parts = xs.convolve(z, w, method="im2col"), *xs.convolve_adjoint(e, z, w, method="im2col")
        for a, b in zip(parts, whole, strict=True):
            assert_close(a, b, rtol=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("batch", "c", "o", "dim"), [(2, 3, 4, 2), (1, 1, 1, 2), (1, 2, 1, 1), (2, 1, 2, 3)])
def test_counted_products_are_the_costs(rng, method, batch, c, o, dim):
    n, k = 7, 3
    z, w = rng.standard_normal((batch, c, *(n,) * dim)), rng.standard_normal((o, c, *(k,) * dim))
    for mode in MODES:
        sizes = {"dim": dim, "batch": batch, "c": c, "o": o, "mode": mode, "method": method}
        y, tally = xs.count(xs.convolve, z, w, mode=mode, method=method)
        assert tally.product_flops == costs.convolve(n, k, **sizes).flops
        assert tally.syncs == 0
        _, tally = xs.count(xs.convolve_adjoint, y, z, w, mode=mode, method=method)
        assert tally.product_flops == costs.convolve_adjoint(n, k, **sizes).flops


@pytest.mark.parametrize("adjoint", [False, True])
def test_each_array_is_transformed_once(rng, adjoint):
    z, w, e = rng.standard_normal((2, 2, 9)), rng.standard_normal((3, 2, 4)), rng.standard_normal((2, 3, 6))
    call = (xs.convolve_adjoint, e, z, w) if adjoint else (xs.convolve, z, w)
    _, tally = xs.count(*call, method="fft")
    names = {name: entry for name, entry in tally.by_op.items() if "fft" in name}
    assert sum(entry.calls for name, entry in names.items() if "irfftn" in name) == (2 if adjoint else 1)
    assert sum(entry.calls for name, entry in names.items() if "irfftn" not in name) == (3 if adjoint else 2)


@pytest.mark.parametrize(("batch", "c", "o"), [(2, 40, 44), (1, 30, 60), (3, 2, 700)])
def test_kernels_are_transformed_some_at_a_time(rng, batch, c, o):
    n, k = 16, 3
    z, w = rng.standard_normal((batch, c, n, n)), rng.standard_normal((o, c, k, k))
    y, tally = xs.count(xs.convolve, z, w, method="fft")
    assert len(costs.spectral_blocks(o, c, (n, n))) > 1
    assert_close(y, xs.convolve(z, w, method="shift"), rtol=1e-10)
    sizes = {"batch": batch, "c": c, "o": o, "method": "fft"}
    assert tally.product_flops == costs.convolve(n, k, **sizes).flops
    wanted = xs.convolve_adjoint(y, z, w, method="shift")
    found, tally = xs.count(xs.convolve_adjoint, y, z, w, method="fft")
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b, rtol=1e-10)
    assert tally.product_flops == costs.convolve_adjoint(n, k, **sizes).flops


def test_large_products_at_each_frequency_are_matrix_products():
    assert costs.spectral_products(16, 32, 32, 1000)
    assert not costs.spectral_products(1, 64, 64, 1000)  # matrix times vector: BLAS has no batch of them
    assert not costs.spectral_products(2, 8, 8, 1000)
    assert costs.spectral_products(2, 8, 8, 10)  # sums along ten frequencies are calls and little else
    assert not costs.spectral_products(8, 1, 8, 10)


def test_the_choice_takes_transforms_for_large_kernels():
    typical = costs.TYPICAL["cpu"]

    def best(n, k, call=costs.convolve, **sizes):
        return costs.cheapest({m: call(n, k, itemsize=4, method=m, **sizes) for m in METHODS}, typical)

    assert best(512, 25) == "fft"
    assert best(512, 25, call=costs.convolve_adjoint) == "fft"
    assert best(64, 3, batch=8, c=16, o=32) != "fft"
    with pytest.raises(ValueError, match="im2col, shift, fft"):
        costs.convolve(8, 3, method="winograd")


def test_lengths_of_transforms():
    assert [_spectral.fast_length(n) for n in (1, 7, 11, 16, 131, 536)] == [1, 8, 12, 16, 135, 540]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("mode", MODES)
def test_the_operator_is_its_matrix(rng, boundary, mode):
    for w, shape in (
        (rng.standard_normal((3, 2)), (5, 4)),
        (rng.standard_normal(4), 9),
        (rng.standard_normal((3, 2, 2, 3)), (4, 5)),
    ):
        operator = xs.Convolution(w, shape, boundary=boundary, mode=mode)
        sides = (shape,) if isinstance(shape, int) else shape
        kernels = w.reshape(1, 1, *w.shape) if w.ndim == len(sides) else w
        A = dense(kernels, sides, boundary=boundary, mode=mode)
        assert operator.shape == A.shape
        X, Y = rng.standard_normal((A.shape[1], 3)), rng.standard_normal((A.shape[0], 3))
        assert_close(operator @ X, A @ X, rtol=1e-12)
        assert_close(operator @ X[:, 0], A @ X[:, 0], rtol=1e-12)
        assert_close(operator.T @ Y, A.T @ Y, rtol=1e-12)
        assert_close(operator.rmatvec(Y[:, 0]), A.T @ Y[:, 0], rtol=1e-12)
        exact = boundary == "periodic" and mode == "same"
        norm = np.asarray(np.linalg.norm(A, 2))
        assert (operator.exact_norm() is not None) == exact
        assert_close(xs.operator_norm(operator), norm, rtol=1e-12 if exact else 1e-3)
        assert xs.dot_test(operator) < 1e-14


@pytest.mark.of("convolve_adjoint")
def test_solvers_deblur_a_picture_unchanged(xp, rng):
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    picture = np.zeros((6, 6))
    picture[1:3, 2:5] = 1.0
    blur = xs.Convolution(xp(kernel), (6, 6), boundary="periodic")
    y = blur @ xp(picture.ravel())
    A = dense(kernel[None, None], (6, 6), mode="same", boundary="periodic")
    assert_close(blur.T @ y, A.T @ (A @ picture.ravel()), like=xp(kernel), rtol=1e-5)
    if xp.name == "dask":
        return  # a hundred graphs of an iteration each are slow to schedule, and say nothing more
    rtol = 1e-4 if xp.dtype == "float64" else 1e-2
    wanted = np.linalg.solve(A.T @ A + 0.1 * np.eye(36), A.T @ (A @ picture.ravel()))
    assert_close(xs.ridge(blur, y, 0.1, method="cg").x, wanted, like=xp(kernel), rtol=rtol)


def test_sparse_solvers_deblur_a_picture_unchanged():
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    picture = np.zeros((6, 6))
    picture[1, 2] = picture[4, 4] = 1.0
    blur = xs.Convolution(kernel, (6, 6))
    A = dense(kernel[None, None], (6, 6), mode="same")
    y = A @ picture.ravel()
    for solve in (xs.lasso, lambda B, y, lam, **o: xs.elastic_net(B, y, lam, 0.5, **o)):
        found, wanted = solve(blur, y, 0.01, method="fista"), solve(A, y, 0.01, method="fista")
        assert found.converged
        assert_close(found.x, wanted.x, rtol=2e-2)


def test_under_jit(rng):
    jax = pytest.importorskip("jax")
    z, w = rng.standard_normal((1, 2, 6, 6)), rng.standard_normal((2, 2, 3, 3))
    y = jax.jit(lambda z, w: xs.convolve(z, w, boundary="periodic", mode="same"))(z, w)
    assert_close(y, xs.convolve(z, w, boundary="periodic", mode="same"), rtol=1e-10)
    e = rng.standard_normal(y.shape)
    for a, b in zip(
        jax.jit(lambda e, z, w: xs.convolve_adjoint(e, z, w, boundary="periodic", mode="same"))(e, z, w),
        xs.convolve_adjoint(e, z, w, boundary="periodic", mode="same"),
        strict=True,
    ):
        assert_close(a, b, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 128, 5), (4, 8, 16, 32, 3), (4, 16, 8, 32, 3), (8, 16, 32, 64, 3)])
def test_peak_memory_is_that_of_the_costs(rng, method, sizes):
    batch, c, o, n, k = sizes
    z, w = (rng.standard_normal(s).astype("f4") for s in ((batch, c, n, n), (o, c, k, k)))
    e = xs.convolve(z, w)
    calls = (
        (lambda: xs.convolve(z, w, method=method), costs.convolve),
        (lambda: xs.convolve_adjoint(e, z, w, method=method), costs.convolve_adjoint),
    )
    for call, cost in calls:
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        said = cost(n, k, batch=batch, c=c, o=o, method=method, itemsize=4).memory
        assert 0.6 * said < peak < 1.25 * said
