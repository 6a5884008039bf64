"""Every rule: forward = reverse = central differences, Taylor, second derivatives, all backends."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from xpsolve import autodiff
from xpsolve.arrays import lift, namespace_of
from xpsolve.testing import assert_close, slope_test

_spec = importlib.util.spec_from_file_location("autodiff_cases", Path(__file__).with_name("cases.py"))
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)
CASES = cases.CASES


def made(name, seed=3):
    f, makers = CASES[name]
    rng = np.random.default_rng(seed)
    return f, [np.asarray(make(rng)) for make in makers]


def in_argument(f, arrays, i):
    """f as a function of argument i, the others after it."""

    def g(x, *others):
        full = [*others[:i], x, *others[i:]]
        return f(namespace_of(x), *full)

    return g, arrays[i], [*arrays[:i], *arrays[i + 1 :]]


def closed(g, others):
    """g of its first argument; the others are lifted to its level, as a public solver does."""

    def h(x):
        return g(x, *(lift(namespace_of(x), o) for o in others))

    return h


def weighted(g):
    """A number out of an array, with all of it in different weights."""

    def s(x, *others):
        y = g(x, *others)
        xp = namespace_of(y)
        flat = xp.reshape(y, (-1,))
        weights = xp.cos(xp.arange(1, flat.shape[0] + 1, dtype=y.dtype, device=y.device))
        return xp.sum(flat * weights + 0.1 * flat * flat)

    return s


@pytest.mark.parametrize("name", CASES)
def test_forward_is_reverse_is_differences(name):
    f, arrays = made(name)
    for i in range(len(arrays)):
        g, x, others = in_argument(f, arrays, i)
        forward = autodiff.jacfwd(g)(x, *others)
        reverse = autodiff.jacrev(g)(x, *others)
        differences = autodiff.finite_difference(lambda x, g=g, others=others: g(x, *others), x, scheme="central")
        assert_close(forward, differences, rtol=1e-7, atol=1e-8, like=x)
        assert_close(reverse, forward, rtol=1e-13, atol=1e-13, like=x)
        assert np.any(differences != 0)

        v = np.random.default_rng(1).standard_normal(x.shape)
        rest = [np.zeros_like(a) for a in others]
        out, tangent = autodiff.jvp(lambda x, *o, g=g: g(x, *o), (x, *others), (v, *rest))
        assert_close(out, g(x, *others), rtol=1e-14)
        w = np.random.default_rng(2).standard_normal(out.shape)
        _, pullback = autodiff.vjp(lambda x, *o, g=g: g(x, *o), x, *others)
        assert float(np.sum(w * tangent)) == pytest.approx(float(np.sum(pullback(w)[0] * v)), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_taylor(name):
    f, arrays = made(name, seed=5)
    g, x, others = in_argument(f, arrays, 0)
    along = closed(g, others)

    def derivative(v):
        return autodiff.jvp(along, (x,), (1e-2 * v,))[1]

    slope_test(lambda z: along(x + 1e-2 * (z - x)), derivative, x)


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives(name):
    f, arrays = made(name)
    for i in range(len(arrays)):
        g, x, others = in_argument(f, arrays, i)
        s = closed(weighted(g), others)
        v = np.random.default_rng(1).standard_normal(x.shape)
        gradient = autodiff.grad(s)
        h = 1e-5
        differences = (gradient(np.asarray(x + h * v)) - gradient(np.asarray(x - h * v))) / (2 * h)
        scale = 1 + float(np.max(np.abs(differences)))
        over_reverse = autodiff.hvp(s, x, v)
        assert_close(over_reverse, differences, atol=1e-6 * scale)
        twice = autodiff.grad(lambda x, gradient=gradient, v=v: namespace_of(x).sum(gradient(x) * v))(x)
        assert_close(twice, over_reverse, rtol=1e-10, atol=1e-11 * scale)
        reverse_over_forward = autodiff.grad(lambda x, s=s, v=v: autodiff.jvp(s, (x,), (v,))[1])(x)
        assert_close(reverse_over_forward, over_reverse, rtol=1e-10, atol=1e-11 * scale)


ON_JAX = (  # what has code of its own there; each takes a while to compile
    "elementwise: where", "reductions: max along axes", "products: matrix vector", "indexing: getitem integers",
    "indexing: setitem", "indexing: take", "indexing: scatter", "linalg: solve_triangular transposed",
    "linalg: cholesky", "linalg: eigh values", "fourier: rfft ortho",
)  # fmt: skip


def test_every_backend(xp):
    if xp.name in ("numpy", "dask"):
        pytest.skip("NumPy has tests of its own; Dask has few of these functions")
    single, eager = xp.dtype == "float32", not xp.name.startswith("jax")
    names = [n for n in CASES if not (single and (n.startswith("fourier") or "remainder" in n))] if eager else ON_JAX
    functions, expected, arguments = [], [], []
    for name in names:
        f, arrays = made(name)
        g, a, others = in_argument(f, arrays, 0)
        v = np.cos(np.arange(a.size)).reshape(a.shape)
        gradient = autodiff.grad(weighted(g))(a, *others)
        expected.append((gradient, np.sum(gradient * v)))
        functions.append(weighted(g))
        arguments.append(([xp(x) for x in (a, *others)], [xp(x) for x in (v, *map(np.zeros_like, others))]))

    def everything(arguments):
        return [
            (autodiff.grad(s)(*xs), autodiff.jvp(s, xs, ts)[1])
            for s, (xs, ts) in zip(functions, arguments, strict=True)
        ]

    if not eager:
        import jax

        everything = jax.jit(everything)  # one program, and proof that derivatives trace
    for name, found, wanted in zip(names, everything(arguments), expected, strict=True):
        like = arguments[0][0][0]
        rtol = 2e-3 if single else 1e-9
        for x, y in zip(found, wanted, strict=True):
            try:
                assert_close(x, y, rtol=rtol, atol=rtol, like=like)
            except AssertionError as error:
                error.add_note(name)
                raise


def test_steps_backwards():
    """PyTorch has no negative steps."""
    x = np.arange(12.0).reshape(3, 4)
    found = autodiff.grad(lambda x: (x[::-1, None, 3:0:-2] ** 2).__array_namespace__().sum(x[::-1, None, 3:0:-2] ** 3))(
        x
    )
    expected = np.zeros((3, 4))
    expected[:, [1, 3]] = 3 * x[:, [1, 3]] ** 2
    assert_close(found, expected)


# to be called with numbers, or about no arrays; of a shape that values decide; and one that has a derivative in
# neither argument.  With an argument that carries a derivative each is an error that names it.
WITHOUT = set(
    "from_dlpack full arange linspace unique_all unique_counts unique_inverse unique_values nextafter"
    " __array_namespace_info__ can_cast finfo iinfo isdtype result_type broadcast_shapes get_array_api_strict_flags"
    " set_array_api_strict_flags reset_array_api_strict_flags ArrayAPIStrictFlags Device"
    " fft.fftfreq fft.rfftfreq".split()
)


def test_the_whole_standard_has_rules():
    strict = pytest.importorskip("array_api_strict")
    names = {n for n in strict.__all__ if callable(getattr(strict, n)) and not isinstance(getattr(strict, n), type)}
    names |= {f"linalg.{n}" for n in strict.linalg.__all__} | {f"fft.{n}" for n in strict.fft.__all__}
    names -= {n for n in names if hasattr(getattr(strict, n, None), "_np_dtype")}
    known = autodiff.rules.ELEMENTWISE.keys() | autodiff.rules.RULES.keys() | autodiff.rules.CONSTANT | WITHOUT
    assert sorted(names - known) == []
