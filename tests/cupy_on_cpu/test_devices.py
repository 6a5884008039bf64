"""The results of a function are on the device of its arguments, also where another is the current one."""

import numpy as np
import pytest

import xpsolve as xs

cupy = pytest.importorskip("cupy")
emulator = pytest.importorskip("cupy.emulator", reason="a real CuPy has the devices that it has")

rng = np.random.default_rng(0)
A, y = rng.standard_normal((12, 4)), rng.standard_normal(12)
a, M = np.full(5, 0.2), rng.random((5, 5))

CALLS = {
    "ridge": lambda to: xs.ridge(to(A), to(y), 1.0).x,
    "ridge of a path": lambda to: xs.ridge(to(A), to(y), [1.0, 2.0]).x,
    "lasso": lambda to: xs.lasso(to(A), to(y), 0.1).x,
    "by keyword": lambda to: xs.lstsq(A=to(A), y=to(y)).x,
    "an objective": lambda to: xs.newton(xs.LeastSquares(to(A), to(y), 0.1)).x,
    "an operator": lambda to: xs.operator_norm(xs.operators.Dense(to(A))),
    "in a tuple": lambda to: xs.mlp_forward([to(A)], [to(y)], to(A.T))[-1],
    "counted": lambda to: xs.count(xs.ridge, to(A), to(y), 1.0)[0].x,
    "sinkhorn": lambda to: xs.sinkhorn(to(a), to(a), to(M), 0.1).value,
}


@pytest.mark.parametrize("what", CALLS)
def test_the_answer_lies_beside_the_arguments(what, monkeypatch):
    monkeypatch.setattr(emulator, "device_count", 2)

    def moved(x):
        with cupy.cuda.Device(1):
            return cupy.asarray(x)

    assert CALLS[what](cupy.asarray).device == cupy.cuda.Device(0)
    assert CALLS[what](moved).device == cupy.cuda.Device(1)
    assert cupy.cuda.Device() == cupy.cuda.Device(0)
