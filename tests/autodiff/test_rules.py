"""Every rule: forward = reverse = central differences, Taylor, second derivatives, all backends."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from xpsolve import autodiff
from xpsolve.arrays import namespace_of
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
    x = x.astype(np.float64)

    def along(x):
        return g(x, *others)

    def derivative(v):
        return autodiff.jvp(along, (x,), (1e-2 * v,))[1]

    slope_test(lambda z: along(x + 1e-2 * (z - x)), derivative, x)


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives(name):
    f, arrays = made(name)
    for i in range(len(arrays)):
        g, x, others = in_argument(f, arrays, i)
        s = weighted(g)
        v = np.random.default_rng(1).standard_normal(x.shape)
        gradient = lambda x, s=s, others=others: autodiff.grad(s)(x, *others)  # noqa: E731
        h = 1e-5
        differences = (gradient(x + h * v) - gradient(x - h * v)) / (2 * h)
        scale = 1 + float(np.max(np.abs(differences)))
        over_reverse = autodiff.hvp(lambda x, s=s, others=others: s(x, *others), x, v)
        assert_close(over_reverse, differences, atol=1e-6 * scale)
        twice = autodiff.grad(lambda x, gradient=gradient, v=v: namespace_of(x).sum(gradient(x) * v))(x)
        assert_close(twice, over_reverse, rtol=1e-10, atol=1e-11 * scale)
        reverse_over_forward = autodiff.grad(
            lambda x, s=s, others=others, v=v: autodiff.jvp(lambda x: s(x, *others), (x,), (v,))[1]
        )(x)
        assert_close(reverse_over_forward, over_reverse, rtol=1e-10, atol=1e-11 * scale)


@pytest.mark.parametrize("family", cases.FAMILIES)
def test_every_backend(xp, family):
    if xp.name in ("numpy", "dask"):
        pytest.skip("NumPy has its own test; Dask has few of these functions")
    single = xp.dtype == "float32"
    for name in cases.FAMILIES[family]:
        if single and (family == "fourier" or name == "remainder"):
            continue
        f, arrays = made(f"{family}: {name}")
        there = [xp(a) for a in arrays]
        g, x, others = in_argument(f, there, 0)
        on_numpy, a, rest = in_argument(f, arrays, 0)
        expected = autodiff.grad(weighted(on_numpy))(a, *rest)
        found = autodiff.grad(weighted(g))(x, *others)
        rtol = 2e-3 if single else 1e-9
        assert_close(found, expected, rtol=rtol, atol=rtol, like=x)
        if not single:
            v = xp(np.cos(np.arange(a.size)).reshape(a.shape))
            ts = [xp(np.zeros(o.shape)) for o in rest]
            _, tangent = autodiff.jvp(weighted(g), (x, *others), (v, *ts))
            product = np.sum(expected * np.cos(np.arange(a.size)).reshape(a.shape))
            assert_close(tangent, product, rtol=1e-8, atol=1e-8, like=x)
