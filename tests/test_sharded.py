"""Arrays of JAX that are spread over eight devices: the answers of NumPy, and no matrix is gathered on one device."""

import math
import re

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
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


def half_squares(x, A, y):
    """The mean of ½(⟨a, x⟩ − y)² and its gradient, of some samples."""
    r = A @ x - y
    return 0.5 * (r @ r) / len(y), A.T @ r / len(y)


def two_of(a):
    """a and the same in the other order, as two histograms."""
    return namespace_of(a).stack([a, a[::-1]])


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
    "ridge, svd": (lambda A, y: xs.ridge(A, y, 1.0, method="svd").x, UNEVEN, (ROWS, ONE)),
    "ridge, cg": (lambda A, y: xs.ridge(A, y, 1.0, method="cg").x, TALL, (ROWS, ONE)),
    "ridge, intercept": (lambda A, y: xs.ridge(A, y, 1.0, intercept=True).x, UNEVEN, (ROWS, ONE)),
    "lstsq": (lambda A, y: xs.lstsq(A, y).x, TALL, (ROWS, ONE)),
    "lstsq, p not divisible": (lambda A, y: xs.lstsq(A, y).x, UNEVEN, (ROWS, ONE)),
    "operator_norm": (lambda A: xs.operators.operator_norm(A), TALL[:1], (ROWS,)),
    "lasso": (lambda A, y: xs.lasso(A, y, LAM, tol=1e-10).x, TALL, (ROWS, ONE)),
    "lasso, fista": (lambda A, y: xs.lasso(A, y, LAM, tol=1e-10, method="fista").x, UNEVEN, (ROWS, ONE)),
    "lasso, columns": (lambda A, y: xs.lasso(A, y, 5.0, tol=1e-10).x, WIDE, (COLUMNS, ())),
    "lasso_path": (lambda A, y: xs.lasso_path(A, y, [30.0, 3.0], tol=1e-10).x, TALL, (ROWS, ONE)),
    "elastic_net": (lambda A, y: xs.elastic_net(A, y, LAM, 1.0, tol=1e-10).x, TALL, (ROWS, ONE)),
    "nnls": (lambda A, y: xs.nnls(A, y, tol=1e-10).x, TALL, (ROWS, ONE)),
    "minimize, l1": (
        lambda A, y: xs.minimize(xs.Logistic(A, y), xs.penalties.L1(0.02), tol=1e-9).x,
        (UNEVEN[0], labels(UNEVEN[1])),
        (ROWS, ONE),
    ),
    "minimize, total variation": (
        lambda A, y: xs.minimize(xs.LeastSquares(A, y), xs.penalties.TotalVariation(0.1, (24,)), tol=1e-8).x,
        TALL,
        (ROWS, ONE),
    ),
    "basis_pursuit": (lambda A, y: xs.basis_pursuit(A, y, tol=1e-8).x, WIDE, (COLUMNS, ())),
    "coordinate_descent": (lambda A, y: xs.coordinate_descent(xs.LeastSquares(A, y, 0.1)).x, TALL, (ROWS, ONE)),
    "multinomial": (
        lambda A, Y: xs.newton(xs.Multinomial(A, Y, 0.1)).x,
        (TALL[0], np.stack([TALL[1] > 0, TALL[1] <= 0], axis=1) * 1.0),
        (ROWS, ROWS),
    ),
    "huber": (lambda A, y: xs.gradient_descent(xs.Huber(A, y, 0.1), tol=1e-9).x, UNEVEN, (ROWS, ONE)),
    "newton": (lambda A, y: xs.newton(xs.Logistic(A, y, 0.1)).x, (TALL[0], labels(TALL[1])), (ROWS, ONE)),
    "gradient_descent": (
        lambda A, y: xs.gradient_descent(xs.Logistic(A, y, 0.1), tol=1e-9).x,
        (TALL[0], labels(TALL[1])),
        (ROWS, ONE),
    ),
    "sgd": (lambda A, y: xs.sgd(xs.Logistic(A, y, 0.1), epochs=2).x, (TALL[0], labels(TALL[1])), (ROWS, ONE)),
    "sga": (lambda A, y: xs.sga(xs.Logistic(A, y, 0.1), epochs=2).x, (TALL[0], labels(TALL[1])), (ROWS, ONE)),
    "train": (
        lambda A, y: xs.networks.train(half_squares, 0 * A[0, :], A, y, step=1e-2, epochs=2, tol=0.0).x,
        TALL,
        (ROWS, ONE),
    ),
    "sag": (lambda A, y: xs.sag(xs.LeastSquares(A, y, 0.1), epochs=2).x, UNEVEN, (ROWS, ONE)),
    "sinkhorn": (lambda a, M: xs.sinkhorn(a, a, M, 0.1, tol=1e-11).x[0], (MASS, COST), (ONE, ROWS)),
    "point cloud": (
        lambda a, X, Z: xs.sinkhorn(a, a, xs.PointCloud(X, Z), 0.1, tol=1e-11).x[0],
        (MASS, X, Z),
        (ONE, ROWS, ROWS),
    ),
    "divergence": (
        lambda a, X, Z: xs.sinkhorn_divergence(a, a, xs.PointCloud(X, Z), 0.1, tol=1e-11),
        (MASS, X, Z),
        (ONE, ROWS, ROWS),
    ),
    "unbalanced": (
        lambda a, M: xs.sinkhorn(a, 2 * a, M, 0.1, marginal=1.0, tol=1e-11).x[0],
        (MASS, COST),
        (ONE, ROWS),
    ),
    "barycenter": (
        lambda a, M: xs.barycenter(two_of(a), M, 0.1, tol=1e-11).x,
        (MASS, COST),
        (ONE, ROWS),
    ),
    "derivative": (autodiff.grad(lambda A: xs.ridge(A, A[:, 0], 1.0).x[1]), TALL[:1], (ROWS,)),
}
ON_THE_HOST = {"ridge_cv", "sgd", "sga", "sag", "train"}  # they read values, or plan steps: not under the user's jit


def sizes_sent(text):
    """Entries of each array that devices send one another in a compiled program."""
    sent = re.findall(r"= (.*?) (?:all-gather|all-reduce|all-to-all|collective-permute)(?:-start)?\(", text)
    shapes = [shape for result in sent for shape in re.findall(r"\w+\[([\d,]*)\]", result)]
    return [math.prod(map(int, filter(None, shape.split(",")))) for shape in shapes]


def test_what_is_sent_is_found():
    text = """
  %a = f64[320,24]{1,0} all-gather(f64[40,24]{1,0} %x), replica_groups={{0,1}}
  %b = (f64[24,24]{1,0}, f64[]) all-reduce(%y, %z), to_apply=%add
  %c = f64[7]{0} add(%a, %b)
"""
    assert sizes_sent(text) == [320 * 24, 24 * 24, 1]


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
    sent = max(sizes_sent(program.as_text()), default=0)
    assert sent < 0.7 * (COST.size if "X" in solve.__code__.co_varnames else max(x.size for x in arrays))


def test_arrays_on_different_devices_are_still_refused():
    A, _ = spread(TALL, (ROWS, ONE))
    with pytest.raises(ValueError, match="expected an array on the device of A"):
        xs.ridge(A, jax.device_put(TALL[1], jax.devices()[0]), 1.0)
    mesh = Mesh(np.asarray(jax.devices()[:4]), ("i",))
    with pytest.raises(ValueError, match="expected an array on the device of A"):
        xs.ridge(A, jax.device_put(TALL[1], NamedSharding(mesh, PartitionSpec("i"))), 1.0)
