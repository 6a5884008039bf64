"""What a call needs is freed when it returns: a cycle would keep A and its factors until Python's collector runs."""

import gc

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of

rng = np.random.default_rng(0)
A = rng.standard_normal((12, 4))
y = np.sign(A @ rng.standard_normal(4) + rng.standard_normal(12))
a, M = np.full(12, 1 / 12), rng.random((12, 12))


def log_sum(x):
    xp = namespace_of(x)
    return xp.log(xp.sum(xp.exp(x)))


CALLS = {
    "ridge normal": lambda: xs.ridge(A, y, 1.0, method="normal"),
    "ridge woodbury": lambda: xs.ridge(A.T, y[:4], 1.0, method="woodbury"),
    "newton": lambda: xs.newton(xs.Logistic(A, y, 0.1)),
    "sinkhorn": lambda: xs.sinkhorn(a, a, M, 0.1),
    "grad": lambda: autodiff.grad(lambda x: x @ x)(a),
    "grad with a namespace": lambda: autodiff.grad(log_sum)(a),
    "jvp": lambda: autodiff.jvp(log_sum, [a], [a]),
    "vjp": lambda: autodiff.vjp(log_sum, a)[1](np.asarray(1.0)),
    "hvp": lambda: autodiff.hvp(log_sum, a, a),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_nothing_for_the_collector(name):
    CALLS[name]()  # one-time work is done first
    while gc.collect():  # what earlier tests left may leave more when it goes
        pass
    gc.disable()
    try:
        CALLS[name]()
        assert gc.collect() == 0
    finally:
        gc.enable()
