"""The short versions for NumPy give what the standard functions give, also for special values and more columns."""

import importlib
import itertools
import pkgutil

import numpy as np
import pytest

import xpsolve
import xpsolve.linear
import xpsolve.stochastic
import xpsolve.transport
from xpsolve import autodiff, trace
from xpsolve.arrays import composed, residual
from xpsolve.linear._l1 import Penalty
from xpsolve.linear.semismooth_newton import GramProblem

rng = np.random.default_rng(0)
NAN, INF = np.nan, np.inf
NUMBERS = [np.asarray(x) for x in (0.0, 1e-12, 0.5, 1.0, 1e9, INF, NAN)]
ONE, TWO = rng.standard_normal((6, 1)), rng.standard_normal((6, 2))
X1, X2 = rng.standard_normal((4, 1)), rng.standard_normal((4, 2))
G = np.cov(rng.standard_normal((4, 9)))
A, B = rng.random((1, 5)) + 0.1, rng.random((2, 5)) + 0.1
SINGULAR = np.diag([1.0, 0.0, 1e-9, 7.0])
HOLES = np.asarray([[0.0, 1.0, 0.5, 0.0, 2.0]])


YES, NO = np.asarray([True]), np.asarray([False])
WITHOUT = np.asarray([[1.0], [0.0], [-0.5], [0.0]])  # an x with zeros


def gram_problem(G, b=X1):
    return GramProblem.of(G, b, np.asarray([2.0]), np.asarray([1.0]))


def spoilt(x, value):
    x = x.copy()
    x.reshape(-1)[1] = value
    return x


def of_columns(*arrays):
    """The arguments, and the same with a 0, a NaN, an infinity, or numbers whose squares leave the range."""
    yield arrays
    for i, value in itertools.product(range(len(arrays)), (0.0, NAN, INF)):
        yield (*arrays[:i], spoilt(arrays[i], value), *arrays[i + 1 :])
    for scale in (0.0, 1e-200, 1e200):
        yield tuple(x * scale for x in arrays)


BOUNDS = (2.0**-128, 2.0**192)
CASES = {
    "either": [(c, (X1, A), (2 * X1, 2 * A)) for c in (np.asarray(True), np.asarray([[False]]))]
    + [(np.asarray([[True], [False], [True], [False]]), (X1, X2), (2 * X1, 2 * X2))],
    "largest_pivot": [(G,), (spoilt(G, NAN),), (np.diag([1.0, NAN]),)],
    "_conjugated": [(X1 + 1j * ONE[:4],), (X2 * 1j,)],
    "power_of_two": [
        (x * c, axis)
        for x in (X1, X2, np.zeros((2, 3)), spoilt(X2, NAN), spoilt(X2, INF), X2 * 1e-300 * 1e-20, X2 * 1e270)
        for c in (1.0, 3e30, 1e-36)
        for axis in (None, 0, 1)
    ],
    "_unless_above": [(np.asarray(1.0), x) for x in NUMBERS] + [(np.asarray(1.0), np.stack(NUMBERS))],
    "inner": list(of_columns(X2, X2)),
    "squared_rows": [(X,) for X in (X2, X2.T, np.asfortranarray(X2), spoilt(X2, NAN), spoilt(X2, INF), 1e200 * X2)],
    "raised": [(G,), (np.diag([0.0, 1.0, NAN]),), (G.T.copy(order="F"),)],
    "accepted": list(itertools.product(NUMBERS[1:], repeat=4)),
    "_all_between": [(Y, X, np.ones(1), *BOUNDS) for Y, X in (*of_columns(ONE, X1), *of_columns(TWO, X2))],
    "_relative": [
        (*four, np.asarray(2.0), np.ones(four[0].shape[1]))
        for four in (*of_columns(X1, ONE, X1, X1), *of_columns(X2, TWO, X2, X2))
    ],
    "_on_the_residual": [
        (*two, np.asarray([rr] * two[0].shape[1]), l1)
        for two in (*of_columns(X1, X1), *of_columns(X2, X2))
        for rr in (0.0, 2.0, NAN)
        for l1 in (np.asarray(0.3), np.asarray([0.3] * two[0].shape[1]))
    ],
    "_like_lengths": [(H,) for H in (G, 1e8 * G, 0 * G, np.diag([1.0, 0.0, 1e-9, 7.0]), spoilt(G, NAN))]
    + [(np.diag([1.0, value, 2.0]),) for value in (INF, NAN)],
    "_squared_residual": [
        (*three, yy) for three in of_columns(X1, X1, X1) for yy in map(np.atleast_1d, (*NUMBERS, np.asarray(99.0)))
    ],
    "_left": [
        (gap, halved, missed, stuck, 0.1)
        for gap in map(np.atleast_1d, NUMBERS)
        for halved, stuck in itertools.product((YES, NO), repeat=2)
        for missed in (np.asarray([0.0]), np.asarray([9.0]))
    ],
    "_support": [
        (X[:, 0], C[:, 0], cautious, 1 + A[0, :4], np.asarray(0.3))
        for X, C in (*of_columns(X1, X1[::-1]), (WITHOUT, X1))
        for cautious in (YES, NO)
    ],
    "_newton_step": [
        (X, b - H @ X, cautious, gram_problem(H, b), Penalty(np.asarray(l1), l2))
        for H in (G, np.diag([1.0, 4.0, 0.2, 1.0]) + 0.1)
        for X, b in ((0 * X1, X1), (X1, X1[::-1]), (WITHOUT, X1))
        for l1 in (0.01, 0.5, 9.0)
        for l2 in (None, np.asarray(0.1))
        for cautious in (YES, NO)
    ],
    "sweep": [
        (H, b, x, q, lam, ridge, 3, tol, active)
        for H, given in ((G, list(of_columns(X1[:, 0], WITHOUT[:, 0]))[:-1]), (SINGULAR, [(X1[:, 0], WITHOUT[:, 0])]))
        for b, x in given  # with larger numbers q is nothing but rounding
        for q in (None, X2[:, 1])
        for lam, ridge in ((0.3, 0.0), (np.asarray(0.0), 0.5))
        for tol, active in ((-1.0, 0), (1e-2, 2))
    ],
    "_bordered": [(G, X2, G[:2, :2]), (G, X1, G[:1, :1])],
    "how_many": [(x > 0,) for x in (X1, X2, X2 * NAN, HOLES)],
    "squared_norms": [(x,) for x in (X1, X2, X1 * 0, spoilt(X1, NAN))],
    "half_of": [(np.atleast_1d(x),) for x in NUMBERS] + [(np.asarray([0.0, 2.0, NAN]),)],
    "_known_of": [
        (np.linalg.cholesky(G) * c, np.asarray(c), np.asarray(ok)) for c in (1.0, NAN, 1e200) for ok in (0 < 1, 1 < 0)
    ],
    "_verdict": [(np.asarray([e]), p, np.asarray(ok)) for e in NUMBERS for p in NUMBERS[:3] for ok in (True, False)]
    + [(np.asarray([1e-16, 1e-3]), np.asarray(0.5), np.asarray(True))],
    "_in_one_number": [
        (span, mirrored, sound)
        for span in NUMBERS
        for mirrored in (None, np.asarray([[True]]), np.asarray([[False], [True]]))
        for sound in (None, np.asarray(True), np.asarray(False))
    ],
    "_sound": [(a, b, 1e-12) for a, b in (*of_columns(A, A), (B, B), (A, -A), (B, A + 0 * B), (-A, -A))],
    "_worst": [(x,) for x in (*A.T[:, :, None], B[:, :1], np.asarray([[1.0], [NAN]]))],
    "deviation": [*of_columns(A, A, A), (B, B, B)],
    "scaling_steps": [
        (K, a, b, 1 + a, 1 + b, q, np.asarray([[omega]]), 3)
        for K in (np.exp(-G[:, :3]), spoilt(np.exp(-G[:, :3]), 0.0))
        for a in (A[:, :4], HOLES[:, :4], spoilt(A[:, :4], NAN))
        for b in (A[:, 2:], HOLES[:, 1:4])
        for q in (B[:1, :3], spoilt(B[:1, :3], 0.0), spoilt(B[:1, :3], INF))
        for omega in (1.0, 1.3)
    ],
    "pairing": [*of_columns(A, A), (B, B)],
    "logarithm": [(x,) for x in (A, B, HOLES, spoilt(A, NAN), spoilt(A, INF))],
}
# Those that do more than the standard version, have their own test below, or are in a docstring.
OTHERWISE = {"_by_blocks", "known_positive", "replayed", "residual", "size", "weighted_gram"}


def delegates():
    """All composed delegates of the package by name."""
    found = {}
    for part in pkgutil.walk_packages(xpsolve.__path__, "xpsolve."):
        if part.name.split(".")[1] in ("arrays", "linear", "stochastic", "transport", "operators", "autodiff"):
            module = importlib.import_module(part.name)
            found |= {n: f for n, f in vars(module).items() if getattr(f, "whole", None) is False}
    return found


def test_all_of_them_are_tested():
    assert set(delegates()) - OTHERWISE == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_numpy_agrees_with_the_standard_functions(name):
    delegate = delegates()[name]
    with np.errstate(all="ignore"):
        for arguments in CASES[name]:
            for dtype in (np.float64, np.float32):
                given = trace.map_arrays(lambda x, d=dtype: x.astype(d) if x.dtype == np.float64 else x, arguments)
                mine, standard = (
                    trace.arrays_in([trace.map_arrays(np.asarray, f(*_copies(given), **_options(name)), leaf=_numbers)])
                    for f in (delegate, delegate.standard)
                )
                assert len(mine) == len(standard) > 0
                for x, y in zip(mine, standard, strict=True):
                    np.testing.assert_allclose(x, y, rtol=1e-5 if dtype == np.float32 else 1e-13, err_msg=str(given))
                    assert np.shape(x) == np.shape(y)


def _numbers(x):
    return isinstance(x, np.generic | int)


def _copies(arguments):
    return trace.map_arrays(np.copy, arguments)  # some may be written to


def _options(name):
    return {"part": 0.25} if name == "accepted" else {}


@pytest.mark.parametrize("columns", [(), (2,)])
@pytest.mark.parametrize("shape", [(30_001, 40), (40, 30_001)])
def test_a_residual_in_one_pass(shape, columns):
    A, x, y = rng.random(shape), rng.random((shape[1], *columns)), 1e5 + rng.random((shape[0], *columns))
    s, c = residual(A, x, y)
    np.testing.assert_allclose(s, y - A @ x, rtol=1e-11)
    np.testing.assert_allclose(c, A.T @ s, rtol=1e-11)
    assert (s.shape, c.shape) == (y.shape, x.shape)


def test_wrapped_arrays_go_through_the_standard_functions():
    @composed
    def doubled(x):
        return x + x

    @doubled.register("numpy")
    def _(x):
        raise AssertionError("not for wrapped arrays")

    _, tally = trace.count(doubled, np.ones(3))
    assert tally.launches == 1
    assert np.all(autodiff.grad(lambda x: doubled(x) @ x)(np.ones(3)) == 4)
