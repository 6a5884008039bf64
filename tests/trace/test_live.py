"""Bytes alive at once: by hand, beside what NumPy allocates, and through derivatives."""

import tracemalloc

import numpy as np
import pytest

from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.testing import assert_close
from xpsolve.trace import peak_bytes

V = np.ones(1000)


def several(x):
    xp = namespace_of(x)
    return xp.exp(x), xp.sin(x), xp.sum(x)


def reuse(x):
    for _ in range(10):
        x = x * 2.0
    return x


def through_views(x):
    y = x + 1.0
    z = y[::2]
    del y
    return z, namespace_of(z).reshape(z, (10, 50)) * 2.0


def assigned(x):
    y = x * 1.0
    y[3] = 5.0  # a new array, as NumPy's own may belong to the caller, and then the old one is freed
    return y


BY_HAND = {
    "results that are kept": (several, 2 * 8000 + 8),
    "an old one and a new one": (reuse, 2 * 8000),
    "a view keeps the whole array alive": (through_views, 8000 + 4000),
    "an assignment": (assigned, 2 * 8000),
    "nothing": (lambda x: x, 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(xp, name):
    if xp.dtype == "float32":
        pytest.skip("sizes are those of float64")
    f, expected = BY_HAND[name]
    assert peak_bytes(f, xp(V))[1] == expected


def test_a_reshape_that_copies_has_its_own_bytes():
    x = np.ones((20, 50))
    assert peak_bytes(lambda x: namespace_of(x).reshape(x, (50, 20)), x)[1] == 0
    assert peak_bytes(lambda x: namespace_of(x).reshape(x.T, (20, 50)), x)[1] == 8000


def test_the_result_is_that_without_an_account():
    out, _ = peak_bytes(lambda x: {"a": x * 2}, V)
    assert type(out["a"]) is np.ndarray
    assert_close(out["a"], 2 * V)


def test_it_is_what_numpy_allocates():
    def f(x):
        xp = namespace_of(x)
        for _ in range(20):
            x = xp.sin(x) * x
        return xp.sum(x)

    x = np.linspace(0.0, 1.0, 20_000)
    gradient = autodiff.grad(f)
    found, counted = peak_bytes(gradient, x)
    tracemalloc.start()
    expected = gradient(x)
    _, allocated = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_close(found, expected)
    assert abs(counted - allocated) < 3 * x.nbytes  # what a product needs while it runs


def test_without_arrays():
    with pytest.raises(TypeError, match=r"^args: expected at least one array"):
        peak_bytes(lambda: 1)
