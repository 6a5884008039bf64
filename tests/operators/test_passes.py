"""The norm of a matrix of Dask: how often it is read, and that it is the same."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import norms
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
from benchmarks._problems import CountedRows  # noqa: E402


@pytest.fixture(params=["float64", "float32", "complex128"])
def dtype(request):
    return request.param


@pytest.mark.parametrize("few", [1024, 0])
@pytest.mark.parametrize("shape", [(300, 5), (300, 1), (6, 40)])
@pytest.mark.parametrize("scale", [1.0, 0.0, "large", "small"])
def test_norm(rng, dtype, shape, scale, few, monkeypatch):
    monkeypatch.setattr(norms, "_FEW", few)
    n, p = shape
    A = rng.standard_normal(shape) * (1 + np.arange(n))[:, None] + 3
    if dtype == "complex128":
        A = A + 1j * rng.standard_normal(shape)
    power = 2.0 ** (80 if dtype == "float32" else 600)
    A = (A * {"large": power, "small": 1 / power}.get(scale, scale)).astype(dtype)
    source = CountedRows(A, n // 3)
    found, expected = xs.operators.operator_norm(source.array), xs.operators.operator_norm(A)
    assert isinstance(found, da.Array)
    assert found.dtype == expected.dtype
    if n >= p <= few or scale == 0.0:
        assert source.passes == 1
    else:
        assert source.passes % 10 == 1  # a pass for a step
    assert_close(found.compute(), expected, rtol=1e-4 if dtype == "float32" else 1e-7)


@pytest.mark.parametrize(
    "scales", [(0.0, 1.0, 3.0), (0.0, 0.0, 2.0**-700), (2.0**700, 0.0, 1.0), (2.0**-300, 2.0**-600, 0.0)]
)
def test_norm_of_chunks_of_unlike_size(rng, scales):
    A = rng.standard_normal((30, 4)) * np.repeat(scales, 10)[:, None]
    source = CountedRows(A, 10)
    size = max(scales)
    assert_close(xs.operators.operator_norm(source.array).compute() / size, np.linalg.norm(A / size, 2), rtol=1e-14)
    assert source.passes == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_norm_of_what_is_not_finite(rng, value):
    A = rng.standard_normal((30, 4))
    A[17, 2] = value
    assert not np.isfinite(xs.operators.operator_norm(CountedRows(A, 10).array).compute())


def test_norm_of_integers_whose_squares_are_none():
    A = np.full((30, 2), 2**31)
    found = xs.operators.operator_norm(da.from_array(A, chunks=(10, 2)))
    assert_close(found.compute(), 2.0**31 * 60**0.5, rtol=1e-14)
