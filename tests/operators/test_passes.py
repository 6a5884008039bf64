"""The norm of a matrix of Dask: how often it is read, and that it is the same."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import norms
from xpsolve.testing import assert_close

da = pytest.importorskip("dask.array")
import rows_read  # noqa: E402


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
    source = rows_read.Source(A, n // 3)
    found, expected = xs.operators.operator_norm(source.array), xs.operators.operator_norm(A)
    assert isinstance(found, da.Array)
    assert found.dtype == expected.dtype
    if n >= p <= few or scale == 0.0:
        assert source.passes == 1
    else:
        assert source.passes % 10 == 1  # a pass for a step
    assert_close(found.compute(), expected, rtol=1e-4 if dtype == "float32" else 1e-7)
