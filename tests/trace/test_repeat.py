"""Loops whose steps are recorded: the same bits as step by step, in all that is returned, kept and shown."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import namespace_of
from xpsolve.arrays.loops import iterate, plainly
from xpsolve.trace import closures, repeat


@pytest.fixture
def eager(monkeypatch):
    """Record as soon as a step was taken, also one of this file."""
    monkeypatch.setattr(closures, "_PURE", ("xpsolve.", __name__))
    monkeypatch.setattr("xpsolve.arrays.loops._FEW", 0)
    monkeypatch.setattr(repeat, "SOON", 1)
    monkeypatch.setattr(repeat, "_LONG", 1)
    for memory in ("_recordings", "_unused"):
        monkeypatch.setattr(repeat, memory, type(getattr(repeat, memory))())


class State(NamedTuple):
    x: Any
    before: Any
    t: Any
    fixed: Any
    nothing: Any = None
    number: int = 3


def made(n=5, seed=0):
    rng = np.random.default_rng(seed)
    A, y = rng.standard_normal((n, n)) / n, rng.standard_normal(n)
    xp = namespace_of(A)

    def step(s):
        x = s.x - 0.1 * (A.T @ (A @ s.x - y)) + 0.01 * (s.x - s.before) / s.t
        x = xp.where(s.fixed > 0, x, s.x)
        return s._replace(x=x, before=s.x, t=s.t + 1)

    first = State(np.zeros(n), np.zeros(n), np.asarray(1.0), rng.standard_normal(n))
    return step, first


def run(step, first, **options):
    kept = []
    found = iterate(
        step,
        first,
        measure=lambda s: np.max(np.abs(s.x - s.before)) + 1e-3,
        tol=1e-9,
        max_iter=57,
        check_every=7,
        callback=lambda k, s: kept.append((k, s)),
        **options,
    )
    return found, [(k, *(x.copy() for x in s[:4])) for k, s in kept]


@pytest.mark.parametrize("options", [{}, {"between": lambda s: s._replace(before=s.x), "late": 0.5}])
@pytest.mark.parametrize("record", [None, lambda s: {"x": s.x, "t": s.t}])
def test_the_same_bits(eager, monkeypatch, options, record):
    step, first = made()
    found, shown = run(step, first, record=record, **options)
    again, shown_again = run(*made(), record=record, **options)
    monkeypatch.setattr(repeat, "SOON", 10**9)
    expected, shown_expected = run(step, first, record=record, **options)
    for a, b in ((found, expected), (again, expected)):
        assert (a.n_iter, a.measure, a.reason, a.reads) == (b.n_iter, b.measure, b.reason, b.reads)
        assert type(a.state) is State
        for u, v in zip(a.state[:4], b.state[:4], strict=True):
            np.testing.assert_array_equal(u, v)
        if record is not None:
            np.testing.assert_array_equal(a.history["x"], b.history["x"])
            np.testing.assert_array_equal(a.history["t"], b.history["t"])
    for a in (shown, shown_again):
        for u, v in zip(a, shown_expected, strict=True):
            assert u[0] == v[0]
            assert all(map(np.array_equal, u[1:], v[1:]))


def descent(seed, n=8, momentum="nesterov", kind=xs.Logistic):
    rng = np.random.default_rng(seed)
    A, y = rng.standard_normal((5, n)), np.where(rng.random(5) > 0.5, 1.0, -1.0)  # too wide for a compiled loop
    return xs.gradient_descent(kind(A, y, 0.1), momentum=momentum, max_iter=40, tol=1e-12).x


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_a_recording_serves_other_data_of_the_same_shapes(eager, monkeypatch):
    counts = []
    for _ in range(3):
        found = (
            [descent(seed) for seed in range(3)] + [descent(0, n) for n in (7, 6)] + [descent(0, kind=xs.LeastSquares)]
        )
        counts.append(sum(map(len, repeat._recordings.values())))
    assert 4 <= counts[0] <= 8  # steps of four kinds, and checks
    assert counts[0] == counts[1] == counts[2]
    monkeypatch.setattr(repeat, "SOON", 10**9)
    expected = (
        [descent(seed) for seed in range(3)] + [descent(0, n) for n in (7, 6)] + [descent(0, kind=xs.LeastSquares)]
    )
    assert all(map(np.array_equal, found, expected))


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_code_of_others_is_never_recorded(eager, monkeypatch):
    """It may depend on names of its module, or on chance."""
    monkeypatch.setattr(closures, "_PURE", ("xpsolve.",))
    calls = []

    class Own:
        lam, shape = 0.0, (4,)

        def value(self, x):
            return x @ x

        def gradient(self, x):
            calls.append(x)
            return 2 * x - 1

    xs.gradient_descent(Own(), np.ones(4), step=0.01, max_iter=100, tol=1e-12, check_every=50)
    assert len(calls) >= 100
    assert not repeat._recordings


@pytest.mark.parametrize(
    "step",
    [
        lambda s: (s[0], s[1]),  # unchanged
        lambda s: (s[1], s[0]),  # exchanged
        lambda s: (s[0][::-1], s[1].T),  # views
        lambda s: (s[0], s[1] * 0 + 1),
        lambda s: (namespace_of(s[0]).zeros_like(s[0]), s[1] + 1),
        lambda s: (s[0] * 2, s[0] * 2),
        lambda s: (s[0] * s[1][0, 0], s[1] / 2),
    ],
)
def test_steps_of_all_kinds(eager, step):
    first = (np.arange(9.0).reshape(3, 3), np.eye(3) + 2)
    kept = [x.copy() for x in first]
    states = []
    found = iterate(
        step, first, measure=lambda s: np.asarray(1.0), tol=0.0, max_iter=9, check_every=3,
        callback=lambda k, s: states.append(s),
    )  # fmt: skip
    expected = [plainly(step)(first, k, k) for k in (0, 3, 6, 9)]
    for a, b in zip([*states, found.state], [*expected, expected[-1]], strict=True):
        assert all(map(np.array_equal, a, b))
    assert all(map(np.array_equal, first, kept))


def test_a_state_that_is_more_than_arrays_takes_plain_steps(eager):
    found = iterate(
        lambda s: (s[0] + s[1], s[1] + 1), (np.zeros(2), 1), measure=lambda s: np.asarray(1.0), tol=0, max_iter=20,
        check_every=5,
    )  # fmt: skip
    np.testing.assert_array_equal(found.state[0], 210.0)
    assert found.state[1] == 21
    assert [*next(iter(repeat._recordings.values())).values()] == [None]


def test_a_step_that_reads_takes_plain_steps(eager):
    def step(s):
        return (s[0] / 2 if float(s[0][0]) > 1e-3 else s[0] + 1,)

    found = iterate(step, (np.ones(2),), measure=lambda s: np.asarray(1.0), tol=0, max_iter=30, check_every=5)
    np.testing.assert_array_equal(found.state[0], plainly(step)((np.ones(2),), 30, 30)[0])
    assert [*next(iter(repeat._recordings.values())).values()] == [None]


def test_short_runs_are_not_recorded():
    before = sum(map(len, repeat._recordings.values()))
    step, first = made()
    iterate(step, first, measure=lambda s: np.asarray(1.0), tol=0, max_iter=30, check_every=5)
    assert sum(map(len, repeat._recordings.values())) == before


def solvers():
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((30, 8)), rng.standard_normal(30)
    c = np.where(y > 0, 1.0, -1.0)
    M, a = rng.random((9, 9)), np.full(9, 1 / 9)
    for momentum in (None, "nesterov", "heavy_ball"):
        yield f"descent {momentum}", lambda m=momentum: xs.gradient_descent(xs.Logistic(A, c, 0.01), momentum=m).x
    yield "armijo", lambda: xs.gradient_descent(xs.Logistic(A, c, 0.01), line_search=True, max_iter=50).x
    yield "newton", lambda: xs.newton(xs.Logistic(A, c, 0.01)).x
    yield "newton cg", lambda: xs.newton(xs.Logistic(A, c, 0.01), method="cg").x
    for method in ("fista", "ista", "working_set"):
        yield method, lambda m=method: xs.lasso(A, y, 0.5, method=m).x
    yield "fista many", lambda: xs.lasso(A, np.stack([y, c], axis=1), 0.5, method="fista").x
    yield "nnls", lambda: xs.nnls(A, y).x
    for method in ("scaling", "log"):
        yield f"sinkhorn {method}", lambda m=method: xs.sinkhorn(a, a, M, 0.05, method=m).x[0]
    yield "barycenter", lambda: xs.barycenter(np.stack([a, M[0] / M[0].sum()]), M, 0.1).x
    yield "basis pursuit", lambda: xs.basis_pursuit(A.T, np.ones(8)).x
    yield (
        "primal dual",
        lambda: xs.minimize(xs.LeastSquares(A, y), xs.penalties.TotalVariation(0.1, (2, 4)), max_iter=200).x,
    )
    yield "conjugate gradients", lambda: xs.ridge(A, y, 0.1, method="cg").x
    yield "norm", lambda: xs.operator_norm(A)
    yield "inverse", lambda: xs.gradient_descent(xs.LeastSquares(A, y, 0.1), line_search="exact").x


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("name", [name for name, _ in solvers()])
def test_solvers_give_the_same_bits(eager, monkeypatch, name):
    solve = dict(solvers())[name]
    found, again = solve(), solve()
    monkeypatch.setattr(repeat, "SOON", 10**9)
    expected = solve()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(again, expected)


def others(seed):
    """Solves whose steps hold numbers of the data in operators, penalties and units."""
    rng = np.random.default_rng(seed)
    A, y = rng.standard_normal((40, 12)), rng.standard_normal(40)
    c, w = np.where(y > 0, 1.0, -1.0), rng.random(40) + 0.1
    total = xs.penalties.TotalVariation(0.05 + seed, (3, 4))
    yield xs.minimize(xs.LeastSquares(A, y), total, max_iter=60).x
    yield xs.lasso(A, y, 0.3 + seed, method="fista", weights=w).x
    yield xs.lasso(xs.Kronecker(A[:6, :3], A[:5, 3:5]), y[:30], 0.3, method="fista").x
    yield xs.gradient_descent(xs.Logistic(A, c, 0.1 + seed, intercept=True, weights=w), max_iter=60).x
    yield xs.gradient_descent(xs.Huber(A, y, lam=0.1 * (seed + 1)), max_iter=60).x
    points = xs.PointCloud(rng.random((9, 2)), rng.random((9, 2)))
    yield xs.sinkhorn(w[:9] / w[:9].sum(), w[9:18] / w[9:18].sum(), points, 0.05).x[0]
    yield xs.sinkhorn(w[:9], w[9:18], rng.random((9, 9)), 0.05, marginal=1.0 + seed).x[0]


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_nothing_of_an_earlier_call_stays(eager, monkeypatch):
    found = [list(others(seed)) for seed in (0, 1, 2, 1)]
    monkeypatch.setattr(repeat, "SOON", 10**9)
    for seed, answers in zip((0, 1, 2, 1), found, strict=True):
        for a, b in zip(answers, others(seed), strict=True):
            np.testing.assert_array_equal(a, b)
