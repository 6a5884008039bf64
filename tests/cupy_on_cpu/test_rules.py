"""The emulator refuses what CuPy refuses, and counts what CuPy would start and wait for."""

import numpy as np
import pytest

cupy = pytest.importorskip("cupy")
emulator = pytest.importorskip("cupy.emulator", reason="a real CuPy is here")

x = cupy.asarray(np.arange(6.0).reshape(2, 3))

REFUSED = {
    "an array of NumPy in an operator": (lambda: x + np.ones(3), TypeError),
    "an array of NumPy in a function": (lambda: cupy.concatenate([x, np.ones((1, 3))]), TypeError),
    "a list": (lambda: x * [1, 2, 3], TypeError),
    "conversion to NumPy": (lambda: np.asarray(x), TypeError),
    "an argument that CuPy does not have": (lambda: cupy.sum(x, where=x > 0), TypeError),
    "a function that CuPy does not have": (lambda: cupy.spacing(x), AttributeError),
    "an array as a Python index": (lambda: range(5)[cupy.asarray(2)], TypeError),
    "two dtypes for one letter of a kernel": (
        lambda: cupy.ElementwiseKernel("T a, T b", "T c", "c = a + b")(x, x.astype("f")),
        TypeError,
    ),
    "complex add.at": (lambda: cupy.add.at(x.astype("D"), cupy.asarray([0]), 1.0), TypeError),
    "a device as a key": (lambda: {x.device: 1}, TypeError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    function, error = REFUSED[what]
    with pytest.raises(error):
        function()


def test_what_differs_from_numpy_without_an_error():
    assert isinstance(cupy.sum(x), cupy.ndarray)
    assert isinstance(x[0, 0], cupy.ndarray)
    assert float(x[cupy.asarray([7]), 0][0]) == 3  # wraps around
    assert np.isnan(cupy.linalg.cholesky(-cupy.eye(2)).get()).any()
    assert np.isnan(cupy.linalg.solve(cupy.zeros((2, 2)), cupy.ones(2)).get()).all()
    smallest = cupy.ElementwiseKernel("T x, T t", "T z", "z = min(x, t)")
    assert float(smallest(cupy.asarray(np.nan), 1.0)) == 1.0  # as CUDA's, not NumPy's


def test_counts():
    with emulator.counting() as counts:
        y = x * 2 + 1
        assert bool(cupy.all(y > 0))
        y[y > 3]
    assert (counts.launches, counts.syncs) == (2 + 2 + 1 + 3, 2)
    assert any("test_rules.py" in site for site in counts.sites)


@pytest.mark.parametrize("fused", [False, True])
def test_a_product_and_a_sum_with_one_rounding(fused, monkeypatch):
    monkeypatch.setattr(emulator, "FUSED", fused)
    a = 1 + 2.0**-30
    rest = cupy.ElementwiseKernel("T a, T b", "T z", "z = a * a - b")(cupy.asarray(a), a * a)
    assert float(rest) == (2.0**-60 if fused else 0)
