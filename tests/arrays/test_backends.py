"""The registry of backends, and that importing the package imports none of them."""

import subprocess
import sys

import numpy as np
import pytest

from xpsolve.arrays import backends


@pytest.mark.parametrize("name", backends.NAMES)
def test_each_backend_says_what_it_is(name):
    backend = backends.get(name)
    if not backend.available:
        assert backend.reason
        with pytest.raises(RuntimeError, match="not available"):
            backend.devices()
        return
    assert backend.version
    assert backend.devices()
    assert (backend.memory() is None) == (backend.kind == "cpu")
    host = np.arange(6.0).reshape(2, 3)
    x = backend.asarray(host, dtype="float32")
    assert np.array_equal(backend.to_numpy(x), host)
    assert backend.to_numpy(x).dtype == np.float32
    backend.synchronize(x)
    backend.synchronize()


def test_numpy_is_always_there():
    assert backends.available()[0] == "numpy"


def test_importing_the_package_imports_no_array_library():
    code = (
        "import sys, xpsolve, xpsolve.problems, xpsolve.testing, xpsolve.arrays.backends as b; "
        "print([m for m in ('cupy', 'torch', 'jax', 'dask', 'array_api_strict', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
