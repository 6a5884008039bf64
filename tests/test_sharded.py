"""Arrays of JAX that are spread over eight devices: the answers of NumPy, and no matrix is gathered on one device."""

import math
import re

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.testing import assert_close

jax = pytest.importorskip("jax")
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

DEVICES = 8
pytestmark = [
    pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning"),  # two epochs are enough to compare
    pytest.mark.skipif(jax.device_count() < DEVICES, reason="needs XLA_FLAGS=--xla_force_host_platform_device_count=8"),
]
RNG = np.random.default_rng(0)


def problem(n, p):
    A = RNG.standard_normal((n, p))
    return A, A[:, :5] @ np.arange(1.0, 6.0) + 0.1 * RNG.standard_normal(n)


def labels(y):
    return np.where(y > 0, 1.0, -1.0)


TALL, UNEVEN, WIDE = problem(320, 24), problem(320, 21), problem(20, 320)
X, Z, MASS = RNG.random((32, 2)), RNG.random((32, 2)), np.full(32, 1 / 32)
COST = np.sum((X[:, None, :] - Z[None, :, :]) ** 2, axis=2)
LAM = 30.0

# name: function of the arrays, the arrays, and how each of them is spread; every answer is an array
ROWS, COLUMNS, ONE = ("i", None), (None, "i"), ("i",)
CASES = {
    "ridge": (lambda A, y: xs.ridge(A, y, 1.0).x, TALL, (ROWS, ONE)),
    "ridge, p not divisible": (lambda A, y: xs.ridge(A, y, 1.0).x, UNEVEN, (ROWS, ONE)),
    "ridge, columns": (lambda A, y: xs.ridge(A, y, 1.0).x, WIDE, (COLUMNS, ())),
    "ridge_cv": (lambda A, y: xs.ridge_cv(A, y, [0.1, 1.0, 10.0]).x, TALL, (ROWS, ONE)),
    "lstsq": (lambda A, y: xs.lstsq(A, y).x, TALL, (ROWS, ONE)),
    "lasso": (lambda A, y: xs.lasso(A, y, LAM, tol=1e-10).x, TALL, (ROWS, ONE)),
    "lasso, fista": (lambda A, y: xs.lasso(A, y, LAM, tol=1e-10, method="fista").x, UNEVEN, (ROWS, ONE)),
    "lasso, columns": (lambda A, y: xs.lasso(A, y, 5.0, tol=1e-10).x, WIDE, (COLUMNS, ())),
    "elastic_net": (lambda A, y: xs.elastic_net(A, y, LAM, 1.0, tol=1e-10).x, TALL, (ROWS, ONE)),
    "nnls": (lambda A, y: xs.nnls(A, y, tol=1e-10).x, TALL, (ROWS, ONE)),
    "newton": (lambda A, y: xs.newton(xs.Logistic(A, y, 0.1)).x, (TALL[0], labels(TALL[1])), (ROWS, ONE)),
    "gradient_descent": (
        lambda A, y: xs.gradient_descent(xs.Logistic(A, y, 0.1), tol=1e-9).x,
        (TALL[0], labels(TALL[1])),
        (ROWS, ONE),
    ),
    "sgd": (lambda A, y: xs.sgd(xs.Logistic(A, y, 0.1), epochs=2).x, (TALL[0], labels(TALL[1])), (ROWS, ONE)),
    "sag": (lambda A, y: xs.sag(xs.LeastSquares(A, y, 0.1), epochs=2).x, UNEVEN, (ROWS, ONE)),
    "sinkhorn": (lambda a, M: xs.sinkhorn(a, a, M, 0.1, tol=1e-11).x[0], (MASS, COST), (ONE, ROWS)),
    "point cloud": (
        lambda a, X, Z: xs.sinkhorn(a, a, xs.PointCloud(X, Z), 0.1, tol=1e-11).x[0],
        (MASS, X, Z),
        (ONE, ROWS, ROWS),
    ),
    "derivative": (autodiff.grad(lambda A: xs.ridge(A, A[:, 0], 1.0).x[1]), TALL[:1], (ROWS,)),
}
ON_THE_HOST = {"ridge_cv", "sgd", "sag"}  # they read values, or plan their steps: not under the user's jax.jit


def spread(arrays, specs):
    mesh = Mesh(np.asarray(jax.devices()[:DEVICES]), ("i",))
    return [jax.device_put(x, NamedSharding(mesh, PartitionSpec(*s))) for x, s in zip(arrays, specs, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_a_call_has_the_answer_of_numpy_on_all_devices(name):
    solve, arrays, specs = CASES[name]
    found = solve(*spread(arrays, specs))
    assert_close(np.asarray(found), solve(*arrays), rtol=1e-5, atol=1e-7)
    assert len(found.sharding.device_set) == DEVICES


@pytest.mark.parametrize("name", [name for name in CASES if name not in ON_THE_HOST])
def test_under_jit_no_matrix_is_gathered(name):
    solve, arrays, specs = CASES[name]
    program = jax.jit(solve).lower(*spread(arrays, specs)).compile()
    assert_close(np.asarray(program(*spread(arrays, specs))), solve(*arrays), rtol=1e-5, atol=1e-7)
    gathered = re.findall(r"= \w+\[([\d,]*)\]\S* all-gather\(", program.as_text())
    sizes = [math.prod(map(int, shape.split(","))) for shape in gathered if shape]
    assert max(sizes, default=0) < 0.7 * (COST.size if name == "point cloud" else max(x.size for x in arrays))


def test_arrays_on_different_devices_are_still_refused():
    A, _ = spread(TALL, (ROWS, ONE))
    with pytest.raises(ValueError, match="expected an array on the device of A"):
        xs.ridge(A, jax.device_put(TALL[1], jax.devices()[0]), 1.0)
    mesh = Mesh(np.asarray(jax.devices()[:4]), ("i",))
    with pytest.raises(ValueError, match="expected an array on the device of A"):
        xs.ridge(A, jax.device_put(TALL[1], NamedSharding(mesh, PartitionSpec("i"))), 1.0)
