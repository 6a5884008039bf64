"""Recorded programs do what the functions do, to the last bit."""

import numpy as np
import pytest

from xpsolve.arrays import namespace_of
from xpsolve.trace.record import record
from xpsolve.trace.replay import reduced
from xpsolve.trace.replay_numpy import NumpyWriter


def replayed(f, *args):
    _, program = record(f, *args)
    return NumpyWriter(reduced(program)).once()


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


UNARY = ["exp", "abs", "sqrt", "square", "negative", "isfinite", "tanh", "log1p"]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "equal"]


def random_function(seed):
    """A function of a vector (6,), a matrix (6, 4), one (4, 6) and a number, of random operations on random values."""

    def f(*inputs):
        xp = namespace_of(inputs[0])
        rng = np.random.default_rng(seed)
        values = list(inputs)

        def pick(ok=lambda x: True):
            fitting = [x for x in values if ok(x)]
            return fitting[int(rng.integers(len(fitting)))]

        def real(x, floats=(xp.float32, xp.float64)):
            return x.dtype in floats

        for _ in range(int(rng.integers(4, 25))):
            kind = int(rng.integers(13))
            a = pick(real)
            if kind == 0:
                x = getattr(xp, UNARY[int(rng.integers(len(UNARY)))])(a)
            elif kind in (1, 2):
                b = pick(lambda x, a=a: real(x) and (x.shape == a.shape or x.ndim == 0))
                x = getattr(xp, BINARY[int(rng.integers(len(BINARY)))])(a, b)
            elif kind == 3:
                x = (a * 2.0, 1 - a, a / 3, a**2, -a, a > 0, 3 * a + 1)[int(rng.integers(7))]
            elif kind == 4 and a.ndim:
                x = xp.sum(a, axis=int(rng.integers(a.ndim)), keepdims=bool(rng.integers(2)))
            elif kind == 5:
                x = (xp.max(a), xp.sum(a), xp.mean(a), xp.min(a, keepdims=True))[int(rng.integers(4))]
            elif kind == 6 and a.ndim == 2:
                x = (a.T, xp.reshape(a, (-1,)), a[1:, ...], a[:, 0], xp.flip(a, axis=0))[int(rng.integers(5))]
            elif kind == 7 and a.ndim == 1:
                x = (a[:, None], a[::-1], a[0], xp.reshape(a, (-1, 1)))[int(rng.integers(4))]
            elif kind == 8 and a.ndim:
                b = pick(lambda x, a=a: real(x) and x.ndim and x.shape[-2 if x.ndim > 1 else 0] == a.shape[-1])
                x = a @ b if any(b is v for v in values) else a
            elif kind == 9:
                c = pick(lambda x, a=a: x.shape == a.shape)
                c = c if xp.isdtype(c.dtype, "bool") else c > 0
                x = (xp.where(c, a, xp.zeros_like(a)), xp.where(c, 0.0, a), xp.where(c, a, 2 * a))[int(rng.integers(3))]
            elif kind == 10:
                x = xp.stack([a, a]) if a.ndim == 1 else xp.asarray(a, copy=bool(rng.integers(2)))
            elif kind == 11 and a.ndim == 1:
                x = xp.asarray(a, copy=True)
                x[0] = 1.5
            else:
                x = xp.astype(a, xp.float32) if rng.integers(2) else xp.zeros_like(a) + a
            values.append(x)
        count = int(rng.integers(1, 4))
        return (*(values[int(i)] for i in rng.integers(0, len(values), count)), values[-1])

    return f


def inputs(rng):
    A = rng.standard_normal((6, 4))
    return (
        rng.standard_normal(6),
        A if rng.integers(2) else np.asfortranarray(A),
        rng.standard_normal((6, 4)).T,
        np.asarray(rng.standard_normal()),
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("seed", range(400))
def test_random_programs_give_the_same_bits(monkeypatch, seed, blocks):
    """Also when called again with other numbers, and without touching what was returned or given before."""
    if blocks:
        monkeypatch.setattr("xpsolve.trace.blocks._LARGE", 0)
        monkeypatch.setattr("xpsolve.trace.blocks._BYTES", 40)
    rng = np.random.default_rng(seed)
    f = random_function(seed)
    layout = rng.integers(2**31)
    first = inputs(np.random.default_rng(layout))
    try:
        f(*first)
    except ValueError:
        pytest.skip("two values that cannot be multiplied")
    run = replayed(f, *first)
    kept = []
    for _ in range(3):
        given = [x * rng.standard_normal() for x in first]
        given = [np.asarray(x) if not isinstance(x, np.ndarray) else x for x in given]
        before = [x.copy() for x in given]
        found, expected = run(*given), f(*given)
        assert all(type(x) is np.ndarray for x in found)
        assert all(map(same, found, expected))
        kept.append((found, [x.copy() for x in expected], given, before))
    for found, expected, given, before in kept:
        assert all(map(same, found, expected))
        assert all(map(same, given, before))


def test_long_chains_on_large_arrays_go_in_blocks():
    def f(x, y, t):
        xp = namespace_of(x)
        z = xp.maximum(x * y + x, 0.0)
        inside = (z > 0.25) & (z < 1.5)
        z = xp.where(inside, z * t, -y) - y
        return z, xp.sum(z * z), xp.exp(z)[::2]

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 400, 411))
    given = (x, y, np.asarray(0.3))
    run = replayed(f, *given)
    _, program = record(f, *given)
    names = [op.name for op in NumpyWriter(reduced(program)).begin((), reduced(program).operations)]
    assert names.count("block") == 1
    for _ in range(2):
        assert all(map(same, run(*given), f(*given)))
    assert all(map(same, run(x.T.copy().T, y[::-1], given[2]), f(x, y[::-1], given[2])))
