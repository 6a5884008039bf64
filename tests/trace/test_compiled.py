"""`xs.compiled`: the same results on every library, the caller's own, and a reason where nothing was recorded."""

import copy
import pickle
import threading
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.testing import assert_close
from xpsolve.trace import arrays_in
from xpsolve.trace.leaves import split

RNG = np.random.default_rng(0)
A, B, X, Y = (RNG.standard_normal(shape) for shape in ((6, 4), (3, 6), (4, 5), (3, 5)))


def loss(weights, X, Y, scale=1.0):
    xp = namespace_of(X)
    for W in weights:
        X = xp.tanh(W @ X)
    R = X - Y
    return scale * xp.sum(R * R)


def test_a_gradient_on_every_library(xp):
    weights, X_, Y_ = [xp(A), xp(B)], xp(X), xp(Y)
    expected = autodiff.value_and_grad(loss)(weights, X_, Y_)
    f = xs.compiled(autodiff.value_and_grad(loss))
    for _ in range(3):
        found = f(weights, X_, Y_)
        assert isinstance(found[1], list)
        for a, b in zip(arrays_in(found), arrays_in(expected), strict=True):
            assert_close(a, b, rtol=100 * xp.eps)
    if xp.backend.name in ("numpy", "torch", "jax"):
        assert "1 recording" in repr(f)
    assert not f.reasons


def test_no_tape_at_replay():
    f = xs.compiled(autodiff.grad(loss))
    f([A, B], X, Y)
    (way,) = f._ways.values()
    names = [operation.name for operation in way.__closure__[0].cell_contents.program.operations]
    assert names.count("matmul") == 5  # two forward, three backward: the gradient of X is not needed
    assert len(names) < 30


def test_one_recording_for_each_set_of_shapes_and_options():
    calls = []

    def f(x, n, *, scale):
        calls.append(n)
        return scale * x**n

    g = xs.compiled(f)
    for x, n, scale in (
        (X, 2, 1.0),
        (Y, 2, 1.0),
        (X, 3, 1.0),
        (X, 2, 2.0),
        (X.T, 2, 1.0),
        (X.astype("float32"), 2, 1.0),
    ):
        for _ in range(2):
            np.testing.assert_array_equal(g(x, n, scale=scale), f(x, n, scale=scale))
    assert len(calls) == 6 * (1 + 2)
    assert "6 recordings" in repr(g)


def test_results_are_the_callers_own():
    zero = np.zeros(4)

    def f(x):
        xp = namespace_of(x)
        y = x + 1
        return y, y[::2], xp.ones_like(x), zero, x, xp.reshape(y * 2, (2, 2)).T, {"sum": xp.asarray(xp.sum(y))}

    g = xs.compiled(f)
    kept = []
    for k in range(4):
        x = np.arange(4.0) + k
        found = g(x)
        kept.append((found, f(x)))
        assert found[4] is x
        found[2][...] = 7  # a constant of the recording
        kept[-1][1][2][...] = 7
    for found, expected in kept:
        for a, b in zip(arrays_in(found), arrays_in(expected), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(zero, 0)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x * float(x[0]), "a value goes to the host"),
        (lambda x: x[x > 0], "the shape of what getitem returns"),
        (lambda x: np.exp(x), "TypeError"),
        (lambda x: xs.ridge(np.eye(4), x, 1.0).x, "a value goes to the host"),
    ],
)
def test_what_cannot_be_recorded_is_called_and_said(f, words):
    g, x = xs.compiled(f), np.asarray([1.0, -2.0, 3.0, 0.5])
    for _ in range(2):
        np.testing.assert_array_equal(g(x), f(x))
    assert len(g.reasons) == 1
    assert words in g.reasons[0]
    assert "0 recordings; not recorded: " in repr(g)


def test_an_error_of_the_function_is_the_callers():
    with pytest.raises(ValueError, match="matmul"):
        xs.compiled(lambda x: A @ x)(np.ones(3))
    with pytest.raises(TypeError, match="f: expected a function, got ndarray"):
        xs.compiled(A)


def test_counts_and_derivatives_go_through():
    def f(x):
        return x @ x

    g = xs.compiled(f)
    x = np.arange(3.0)
    g(x)
    np.testing.assert_array_equal(autodiff.grad(g)(x), 2 * x)
    assert xs.count(g, x)[1].flops == xs.count(f, x)[1].flops
    outer = autodiff.grad(lambda y: xs.compiled(lambda x: x @ y)(x))  # it closes over a variable
    np.testing.assert_array_equal(outer(x + 1), x)
    np.testing.assert_array_equal(outer(x + 2), x)


def test_a_gradient_of_a_gradient():
    f = xs.compiled(autodiff.grad(lambda x: namespace_of(x).sum(autodiff.grad(lambda z: z @ z * z[0])(x))))
    for k in range(3):
        z = np.arange(3.0) + k
        expected = 2 * z[0] + 2 * z  # of 2z₀Σz + ‖z‖², which is the sum of the gradient of ‖z‖²z₀
        expected[0] += 2 * z.sum()
        np.testing.assert_allclose(f(z), expected)


def test_threads_do_not_meet():
    def f(x):
        xp = namespace_of(x)
        for _ in range(20):
            x = xp.sin(x) + 0.5 * xp.cos(x)
        return x

    g = xs.compiled(f)
    inputs = [np.full(50_000, float(k)) for k in range(6)]
    expected = [f(x) for x in inputs]
    g(inputs[0])
    wrong = []

    def work(k):
        wrong.extend(k for _ in range(5) if not np.array_equal(g(inputs[k]), expected[k]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_memory_is_not_more_than_that_of_the_function():
    x = np.ones(200_000)

    def f(x):
        xp = namespace_of(x)
        for _ in range(6):
            x = xp.exp(-x) * x + xp.sin(x) / (1 + x * x)
        return x

    def peak(f):
        tracemalloc.start()
        f(x)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    g = xs.compiled(f)
    f(x)
    most = peak(f) + 100_000  # the recording itself
    assert peak(g) <= most + x.nbytes  # while it is recorded, NumPy writes no result over an argument that goes
    assert peak(g) <= most  # with the memory that is kept
    assert peak(g) <= x.nbytes + 10_000  # the result


class Scale:
    def __init__(self, value):
        self.value = value


def test_objects_that_change_are_seen():
    f, by = xs.compiled(lambda scale, x: scale.value * x), Scale(2.0)
    for by.value in (2.0, 3.0):
        np.testing.assert_array_equal(f(by, X), by.value * X)
    assert "Scale can change unnoticed" in repr(f)
    g = xs.compiled(lambda operator, x: operator.rmatvec(2 * operator.matvec(x)))
    for A_ in (A, 2 * A, A[:3]):
        operator = xs.operators.Dense(A_.copy())
        for _ in range(2):
            operator.A[0, 0] += 1
            np.testing.assert_array_equal(g(operator, X), operator.rmatvec(2 * operator.matvec(X)))
    assert "2 recordings" in repr(g)
    h = xs.compiled(lambda penalty, nothing, x: penalty.prox(x, 1.0))
    for penalty in 2 * [xs.penalties.L1(0.1), xs.penalties.L1(0.2), xs.penalties.Box(-1.0, 1.0)]:
        np.testing.assert_array_equal(h(penalty, None, X), penalty.prox(X, 1.0))
    assert "3 recordings" in repr(h)


@dataclass(frozen=True)
class Line:
    """A loss with parameters of its own."""

    slope: np.ndarray

    @xs.compiled
    def residual(self, x, y):
        return self.slope * x - y

    @xs.compiled
    def recorded_of_none(self):
        return self.slope + 1


def test_methods():
    one, two = Line(np.full((), 2.0)), Line(np.full((), 3.0))
    for _ in range(2):
        np.testing.assert_array_equal(one.residual(X, 1.0), 2 * X - 1)
        np.testing.assert_array_equal(two.residual(X, y=1.0), 3 * X - 1)
        assert one.recorded_of_none() == 3
    assert Line.residual is vars(Line)["residual"]
    np.testing.assert_array_equal(Line.residual(one, X, 1.0), one.residual(X, 1.0))
    assert repr(Line.residual).startswith("compiled(Line.residual): 2 recordings")
    changes = Scale(2.0)
    bound = vars(type("Bound", (Scale,), {"times": xs.compiled(lambda self, x: self.value * x)}))["times"]
    for changes.value in (2.0, 5.0):
        np.testing.assert_array_equal(bound.__get__(changes)(X), changes.value * X)


def test_arrays_with_an_arithmetic_of_their_own_are_passed_on():
    x = np.ma.masked_array(A, A > 0)
    f = xs.compiled(lambda x: 2 * x - 1)
    for _ in range(2):
        np.testing.assert_array_equal(f(x).mask, x.mask)
    assert "MaskedArray" in f.reasons[0]


def test_recordings_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setitem(xs.compiled.__globals__, "_KEPT", 4)
    f = xs.compiled(lambda x, scale: scale * x)
    for scale in range(20):
        f(X, float(scale))
        f(X, -1.0)
    assert "4 recordings" in repr(f)
    before = dict(f._ways)
    np.testing.assert_array_equal(f(X, -1.0), -X)
    assert dict(f._ways) == before  # what is used often stays
    assert split(complex(0.0, -0.0))[1] != split(0j)[1]
    assert split(complex("nan"))[1] == split(complex("nan"))[1]


def double(x):
    return 2 * x


def test_a_copy_makes_its_own_recordings():
    f = xs.compiled(double)
    f(X)
    for other in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f)):
        assert "0 recordings" in repr(other)
        np.testing.assert_array_equal(other(X), 2 * X)
        assert "1 recording" in repr(other)
