"""Whole solves of JAX arrays run as compiled programs, and nobody sees a difference but time."""

import inspect
import re
import warnings

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import jitted
from xpsolve.capabilities import TABLE
from xpsolve.linear.ridge import ridge  # xs.ridge of the tests reads its answers
from xpsolve.solution import ConvergenceWarning

jax = pytest.importorskip("jax")
jnp = jax.numpy
counted = pytest.mark.usefixtures("fresh")

rng = np.random.default_rng(3)
A = rng.standard_normal((30, 6))
Y = A @ np.asarray([1.0, -2.0, 0.0, 0.0, 3.0, 0.0]) + 0.1 * rng.standard_normal(30)
CLASSES = np.where(Y + rng.standard_normal(30) > 0, 1.0, -1.0)
P, Q = rng.dirichlet(np.ones(6), size=2)
COST = (np.arange(6.0)[:, None] - np.arange(6.0)) ** 2
W, Z = rng.standard_normal((3, 3)), rng.standard_normal(64)

SOLVES = {
    "lasso": lambda to: xs.lasso(to(A), to(Y), 5.0),
    "elastic_net": lambda to: xs.elastic_net(to(A), to(Y), 5.0, 0.5),
    "ridge": lambda to: xs.ridge(to(A), to(Y), 5.0),
    "lstsq": lambda to: xs.lstsq(to(A), to(Y)),
    "lasso_path": lambda to: xs.lasso_path(to(A), to(Y), n_lams=4),
    "nnls": lambda to: xs.nnls(to(A), to(Y)),
    "basis_pursuit": lambda to: xs.basis_pursuit(to(A[:4, :]), to(Y[:4])),
    "gradient_descent": lambda to: xs.gradient_descent(xs.LeastSquares(to(A), to(Y), 0.1)),
    "newton": lambda to: xs.newton(xs.Logistic(to(A), to(CLASSES), 0.1)),
    "coordinate_descent": lambda to: xs.coordinate_descent(xs.LeastSquares(to(A), to(Y), 0.1)),
    "minimize": lambda to: xs.minimize(xs.LeastSquares(to(A), to(Y)), xs.penalties.L1(0.1)),
    "sinkhorn": lambda to: xs.sinkhorn(to(P), to(Q), to(COST), 0.5),
    "barycenter": lambda to: xs.barycenter(to(np.stack([P, Q])), to(COST), 0.5),
    "dictionary_learning": lambda to: xs.dictionary_learning(to(A), 2, 0.5, tol=1e-3),
}


@pytest.fixture
def fresh():
    """No programs of other tests, and none for them: the others share what is compiled."""
    jitted._programs.clear()
    yield
    jitted._programs.clear()


def programs(*, objectives=False):
    """Those of solvers or of objectives that are there, with how many shapes each was compiled for."""
    found = [program for program in jitted._programs.values() if (program._function.__name__ == "made") is objectives]
    return [program._jitted._cache_size() for program in found]


def compiled():
    return sum(programs())


def parts(x):
    return [np.asarray(v) for v in (x if isinstance(x, tuple) else (x,))]


@counted
@pytest.mark.parametrize("name", SOLVES)
def test_a_solve_is_one_program_and_its_answer_that_of_numpy(name):
    wanted = SOLVES[name](np.asarray)
    for _ in range(2):
        found = SOLVES[name](jnp.asarray)
        assert programs() == [1]
    assert type(found) is type(wanted)
    assert found.status is wanted.status is xs.Status.CONVERGED
    assert found.certificate.name == wanted.certificate.name
    assert found.certificate.value <= found.certificate.tol == wanted.certificate.tol
    assert isinstance(found.n_iter, int)
    assert (found.n_iter > 0) == (wanted.n_iter > 0)
    assert found.message == wanted.message
    for x in jax.tree_util.tree_leaves(found):
        assert isinstance(x, jax.Array)
        assert not isinstance(x, jax.core.Tracer)
    if name != "dictionary_learning":  # which has many answers
        for mine, theirs in zip(parts(found.x), parts(wanted.x), strict=True):
            np.testing.assert_allclose(mine - mine.mean(), theirs - theirs.mean(), atol=2e-3)


def test_all_solvers_that_trace_are_here():
    solvers = {"sinkhorn_divergence", "sinkhorn_gradient"}  # values, not solutions
    iterative = {name for name, c in TABLE.items() if c.jit and c.syncs > 1}
    missing = iterative - solvers - {"scan_gradient"} - set(SOLVES)
    assert not missing, f"add a call to SOLVES in {__file__}: {sorted(missing)}"


@counted
@pytest.mark.parametrize(
    "solve",
    [
        lambda A, y, lam: xs.lasso(A, y, lam),
        lambda A, y, lam: xs.elastic_net(A, y, lam=lam, theta=0.3),
        lambda A, y, lam: xs.ridge(A, y, lam),
        lambda A, y, lam: xs.lasso(A, y, 5.0, method="ista", step=1e-3 * lam),
        lambda A, y, lam: xs.newton(xs.LeastSquares(A, y, lam)),
    ],
)
def test_a_new_number_compiles_nothing(solve):
    inputs = jnp.asarray(A), jnp.asarray(Y)
    for lam in (1.0, 2.5, 7, np.float64(3.0)):
        x = solve(*inputs, lam).x
        np.testing.assert_allclose(x, solve(A, Y, lam).x, atol=2e-3)
    assert programs() == [1]


OBJECTIVES = {
    "squares": lambda to, lam: xs.LeastSquares(to(A), to(Y), lam),
    "weights": lambda to, lam: xs.LeastSquares(to(A), to(Y), lam, weights=to(np.arange(1.0, 31))),
    "intercept": lambda to, lam: xs.LeastSquares(to(A), to(Y), lam=lam, intercept=True),
    "huber": lambda to, lam: xs.Huber(to(A), to(Y), lam, delta=2 * lam),
    "classes": lambda to, lam: xs.Logistic(to(A), to(CLASSES), lam, class_weights="balanced"),
    "many classes": lambda to, lam: xs.Multinomial(to(A), to(np.eye(2)[(CLASSES > 0).astype(int)]), lam),
}


@counted
@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_made_by_one_program(name):
    x = np.linspace(-1, 1, 16)
    for lam in (0.1, 0.3):
        wanted, found = (OBJECTIVES[name](to, lam) for to in (np.asarray, jnp.asarray))
        assert type(found) is type(wanted)
        assert found.strongly_convex is wanted.strongly_convex is True
        assert found.unpenalised is wanted.unpenalised is False
        assert {*vars(found)} == {*vars(wanted)}
        start = np.resize(x, wanted.shape)
        np.testing.assert_allclose(found.value(jnp.asarray(start)), wanted.value(start), rtol=1e-12)
        np.testing.assert_allclose(found.gradient(jnp.asarray(start)), wanted.gradient(start), atol=1e-12)
    assert programs(objectives=True) == [1]
    given = jnp.asarray(A)
    assert xs.LeastSquares(given, jnp.asarray(Y), 0.1).operator.A is given  # no copy
    zero = OBJECTIVES[name](jnp.asarray, 0.0) if name != "huber" else xs.Huber(jnp.asarray(A), jnp.asarray(Y))
    assert zero.unpenalised
    assert not zero.strongly_convex


@counted
def test_a_class_of_the_user_is_made_step_by_step():
    class Mine(xs.LeastSquares):
        pass

    assert type(Mine(jnp.asarray(A), jnp.asarray(Y))) is Mine
    assert programs(objectives=True) == []
    with pytest.raises(ValueError, match="A: expected finite numbers"):
        xs.LeastSquares(jnp.asarray(with_nan(A)), jnp.asarray(Y))
    with pytest.raises(TypeError, match="multiple values"):
        xs.LeastSquares(jnp.asarray(A), jnp.asarray(Y), 1.0, lam=2.0)


def test_numbers_take_the_dtype_of_the_arrays():
    for dtype in ("float32", "float64"):
        x = xs.lasso(jnp.asarray(A, dtype), jnp.asarray(Y, dtype), 5.0).x
        assert x.dtype == dtype
    with jax.enable_x64(False):
        x = xs.lasso(jnp.asarray(A), jnp.asarray(Y), 5.0).x
        assert x.dtype == "float32"
    np.testing.assert_allclose(x, xs.lasso(A, Y, 5.0).x, atol=2e-3)


def test_zero_is_not_a_number_like_others():
    solution = xs.lasso(jnp.asarray(A), jnp.asarray(Y), 0)
    np.testing.assert_allclose(solution.x, np.linalg.lstsq(A, Y)[0], atol=1e-8)
    assert solution.method == "svd"


def seen(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        solution = call()
    return solution, found


@counted
@pytest.mark.parametrize(
    "solve",
    [
        lambda to: xs.lasso(to(A), to(Y), 0.1, method="fista", max_iter=2, check_every=1),
        lambda to: xs.ridge(to(A), to(Y), 0.1, method="cg", max_iter=1, check_every=1),
        lambda to: xs.gradient_descent(xs.LeastSquares(to(A), to(Y)), max_iter=3, check_every=1),
        lambda to: xs.sinkhorn(to(P), to(Q), to(COST), 0.5, method="log", max_iter=2, check_every=1),
    ],
)
def test_a_solve_that_stops_early_says_so_where_it_was_called(solve):
    wanted, before = seen(lambda: solve(np.asarray))
    for _ in range(2):
        found, after = seen(lambda: solve(jnp.asarray))
        assert compiled() == 1
        assert found.status is wanted.status is xs.Status.MAX_ITER
        assert found.n_iter == wanted.n_iter
        assert [w.category for w in after] == [ConvergenceWarning]
        assert after[0].filename == __file__ == before[0].filename
        assert after[0].lineno == before[0].lineno
        told = str(after[0].message)
        assert told.split(": ")[0] == str(before[0].message).split(": ")[0]
        assert found.advice[xs.Status.MAX_ITER] in told
        assert f"after {found.n_iter} iterations" in told


def with_nan(x):
    x = np.array(x)
    x.flat[3] = np.nan
    return x


@pytest.mark.parametrize(
    "call",
    [
        lambda to: xs.lasso(to(with_nan(A)), to(Y), 1.0),
        lambda to: xs.lasso(to(A), to(with_nan(Y)), 1.0),
        lambda to: xs.lasso(to(A), to(Y), -1.0),
        lambda to: xs.lasso(to(A), to(Y), to(np.asarray(-1.0))),
        lambda to: xs.lasso(to(A), to(Y), float("inf")),
        lambda to: xs.lasso(to(A), to(Y), 1.0, weights=to(-np.ones(30))),
        lambda to: xs.lasso(to(A), to(Y), 1.0, x0=to(np.full(6, np.inf))),
        lambda to: xs.lasso(to(A), to(Y), 1.0, step=to(np.asarray(0.0))),
        lambda to: xs.lasso(to(A), to(Y[:-1]), 1.0),
        lambda to: xs.lasso(to(A), to(Y), "1"),
        lambda to: xs.lasso(to(A), to(Y), 1.0, method="newton"),
        lambda to: xs.lasso(to(A), to(Y), 1.0, tol=-1.0),
        lambda to: xs.lasso(to(A), to(Y), 1.0, nonsense=1),
        lambda to: xs.ridge(to(with_nan(A)), to(Y), 1.0),
        lambda to: xs.sinkhorn(to(-P), to(Q), to(COST), 0.5),
        lambda to: xs.sinkhorn(to(2 * P), to(Q), to(COST), 0.5),
        lambda to: xs.sinkhorn(to(P), to(Q), to(with_nan(COST)), 0.5),
        lambda to: xs.barycenter(to(np.stack([P, Q])), to(COST), 0.5, weights=to(np.asarray([-1.0, 2.0]))),
        lambda to: xs.gradient_descent(xs.LeastSquares(to(A), to(Y)), step=to(np.asarray(-1.0))),
        lambda to: xs.one_hot(to(np.asarray([0, 5])), 3),
    ],
)
def test_bad_input_is_refused_in_the_same_words(call):
    with pytest.raises((ValueError, TypeError)) as wanted:
        call(np.asarray)
    for _ in range(2):
        with pytest.raises(type(wanted.value)) as found:
            call(jnp.asarray)
        assert str(found.value) == str(wanted.value)
        assert found.value.__context__ is None


@counted
def test_bad_values_are_worth_no_step():
    bad = [jnp.asarray(with_nan(A)), jnp.asarray(Y)]
    with pytest.raises(ValueError, match="A: expected finite numbers"):
        xs.lasso(*bad, 1.0)
    (program,) = jitted._programs.values()
    sound, _, n_iter, *_ = np.asarray(program._jitted(bad, [1.0]).read)
    assert not sound
    assert n_iter == 0


def test_answers_without_a_certificate_are_looked_for_step_by_step():
    repeated = np.concatenate([A, A], axis=1)  # AᵀA is singular
    wanted, found = (xs.ridge(to(repeated), to(Y), 0.0) for to in (np.asarray, jnp.asarray))
    assert found.method == wanted.method == "normal->svd"
    np.testing.assert_allclose(found.x, wanted.x, atol=1e-8)
    signs = np.sign(A[:, 0])
    for to in (np.asarray, jnp.asarray):
        solution, told = seen(lambda to=to: xs.newton(xs.Logistic(to(A), to(signs))))
        assert solution.status is xs.Status.UNBOUNDED
        assert len(told) == 1
        solution, told = seen(lambda to=to: xs.gradient_descent(xs.LeastSquares(to(A), to(Y)), step=100.0))
        assert solution.status is xs.Status.DIVERGED
        assert len(told) == 1
    forbidden = np.where(np.arange(6) < 3, np.inf, COST)
    for to in (np.asarray, jnp.asarray):
        solution, told = seen(lambda to=to: xs.sinkhorn(to(P), to(Q), to(forbidden), 0.5, max_iter=300))
        assert solution.status is xs.Status.INFEASIBLE
        assert len(told) == 1


@counted
def test_what_cannot_be_traced_runs_step_by_step():
    steps = []
    solution = xs.lasso(jnp.asarray(A), jnp.asarray(Y), 1.0, callback=lambda k, _: steps.append(k))
    assert solution.method == "working_set"
    assert steps
    assert compiled() == 0
    for _ in range(2):
        solution = xs.lasso(jnp.asarray(A), jnp.asarray(Y), 1.0, record=True)
        assert solution.history["objective"].shape[0] > 1
        solution = xs.lasso(jnp.asarray(A), jnp.asarray(Y), 1.0, method="working_set")
        assert solution.method == "working_set"
        assert solution.converged
    assert all(list(program._possible.values()) == [False] for program in jitted._programs.values())


@counted
def test_code_of_the_user_runs_at_every_call():
    class Mine:
        factor = 1.0

        def value(self, x):
            return 0.5 * jnp.sum((self.factor * x - 1) ** 2)

        def gradient(self, x):
            return self.factor * (self.factor * x - 1)

    f, x0 = Mine(), jnp.zeros(2)
    for factor in (1.0, 2.0):
        f.factor = factor
        np.testing.assert_allclose(xs.gradient_descent(f, x0, step=0.2).x, 1 / factor, atol=1e-4)
    assert programs() == []


@counted
def test_objects_that_change_are_seen():
    f = xs.LeastSquares(jnp.asarray(A), jnp.asarray(Y), 0.1)
    xs.newton(f)
    f.y = 2 * f.y
    np.testing.assert_allclose(xs.newton(f).x, xs.newton(xs.LeastSquares(A, 2 * Y, 0.1)).x, atol=1e-6)
    assert programs() == [1]


@counted
def test_operators_and_penalties_are_arguments():
    w, z = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 64))
    for i in (0, 1):
        mine, theirs = (
            xs.ridge(xs.operators.Convolution(to(w[i]), (8, 8)), to(z[i]), 0.1).x for to in (jnp.asarray, np.asarray)
        )
        np.testing.assert_allclose(mine, theirs, atol=1e-8)
    weights = rng.uniform(0.01, 0.2, (2, 6))
    for i in (0, 1):
        mine, theirs = (
            xs.minimize(xs.LeastSquares(to(A), to(Y)), xs.penalties.L1(1.0, to(weights[i]))).x
            for to in (jnp.asarray, np.asarray)
        )
        np.testing.assert_allclose(mine, theirs, atol=1e-3)
    assert programs() == [1, 1]


@counted
def test_one_array_in_two_places_stays_one():
    a, M = jnp.asarray(P), jnp.asarray(COST)
    same, other = xs.sinkhorn(a, a, M, 0.5), xs.sinkhorn(a, jnp.asarray(P), M, 0.5)
    np.testing.assert_allclose(same.value, other.value, atol=1e-8)
    assert programs() == [1, 1]


@counted
def test_loops_that_are_unrolled_are_not_compiled(monkeypatch):
    monkeypatch.setattr(jitted, "MOST_OPERATIONS", 10)
    for _ in range(2):
        solution = xs.ridge(jnp.asarray(A), jnp.asarray(Y), 1.0)
    np.testing.assert_allclose(solution.x, xs.ridge(A, Y, 1.0).x, atol=1e-10)
    assert compiled() == 0


@counted
def test_programs_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(jitted, "PROGRAMS", 3)
    for k in range(6):
        xs.softmax(jnp.ones((1,) * 6), axis=k)
    assert programs() == [1, 1, 1]


def test_transformations_around_a_solve():
    Aj, Yj = jnp.asarray(A), jnp.asarray(Y)
    wanted = ridge(A, Y, 1.0).x
    np.testing.assert_allclose(jax.jit(lambda A, y: ridge(A, y, 1.0))(Aj, Yj).x, wanted, atol=1e-10)
    np.testing.assert_allclose(jax.jit(lambda c: c * ridge(Aj, Yj, 1.0).x)(1.0), wanted, atol=1e-10)
    many = jax.vmap(lambda y: ridge(Aj, y, 1.0).x)(jnp.stack([Yj, 2 * Yj]))
    np.testing.assert_allclose(many, np.stack([wanted, 2 * wanted]), atol=1e-10)
    slope = jax.grad(lambda y: jnp.sum(ridge(Aj, y, 1.0).x))(Yj)
    np.testing.assert_allclose(slope, A @ np.linalg.solve(A.T @ A + np.eye(6), np.ones(6)), atol=1e-8)
    ours = xs.autodiff.grad(lambda y: ridge(Aj, y, 1.0).x[0])
    np.testing.assert_allclose(ours(Yj), A @ np.linalg.solve(A.T @ A + np.eye(6), np.eye(6)[0]), atol=1e-8)


def test_answers_stay_on_the_device_of_the_arrays():
    device = jax.devices()[-1]
    solution = xs.lasso(jax.device_put(jnp.asarray(A), device), jax.device_put(jnp.asarray(Y), device), 5.0)
    assert solution.x.devices() == {device}


@pytest.mark.parametrize("function", [xs.sinkhorn_gradient, xs.sinkhorn_divergence])
def test_values_of_a_solve_that_stops_early_come_with_its_warning(function):
    costs = COST if function is xs.sinkhorn_gradient else (COST, COST, COST)
    for options, warned in (({"max_iter": 1}, 1), ({}, 0)):
        for to in (np.asarray, jnp.asarray):
            given = tuple(map(to, costs)) if isinstance(costs, tuple) else to(costs)
            _, told = seen(lambda to=to, given=given, options=options: function(to(P), to(Q), given, 0.5, **options))
            assert [w.category for w in told] == [ConvergenceWarning] * warned


def grid(to):
    return xs.Grid(to(np.arange(6.0)))


def points(to):
    return xs.PointCloud(to(np.arange(6.0)[:, None]), to(np.arange(6.0)[:, None] + 0.5), cost="euclidean")


@counted
@pytest.mark.parametrize(
    "solve",
    [
        lambda to, eps: xs.sinkhorn(to(P), to(Q), to(COST), eps).plan(),
        lambda to, eps: xs.sinkhorn(to(P), to(Q), to(COST), eps=eps, marginal=2.0).value,
        lambda to, eps: xs.sinkhorn(to(np.stack([P, Q])), to(Q), to(COST), eps).x[0],
        lambda to, eps: xs.sinkhorn(to(P), to(Q), grid(to), eps).cost,
        lambda to, eps: xs.sinkhorn(to(P), to(Q), points(to), eps).value,
        lambda to, eps: xs.barycenter(to(np.stack([P, Q])), to(COST), eps).x,
        lambda to, eps: xs.sinkhorn_gradient(to(P), to(Q), to(COST), eps)[2],
        lambda to, eps: xs.sinkhorn_divergence(to(P), to(Q), grid(to), eps),
    ],
)
def test_a_new_eps_compiles_nothing(solve):
    for eps in (0.5, 2, np.float64(4.0)):
        found, wanted = solve(jnp.asarray, eps), solve(np.asarray, eps)
        if found.ndim and found.shape == (2, 6):  # potentials, up to constants
            found, wanted = (x - x.mean(axis=1, keepdims=True) for x in (found, wanted))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert programs() == [1]


def test_a_small_price_of_marginals_is_decided_for_every_eps():
    for eps in (0.5, 1.0):
        for to in (np.asarray, jnp.asarray):
            assert xs.sinkhorn(to(P), to(Q), to(COST), eps, marginal=1e-4).method == "log"
    with pytest.raises(ValueError, match="marginal: expected inf, or a number between"):
        xs.sinkhorn(jnp.asarray(P), jnp.asarray(Q), jnp.asarray(COST), 0.5, marginal=1e-40, method="log")


@counted
@pytest.mark.parametrize(
    "solve",
    [
        lambda to, tol: xs.lasso(to(A), to(Y), 5.0, tol=tol),
        lambda to, tol: xs.elastic_net(to(A), to(Y), 5.0, 0.5, method="ista", tol=tol),
        lambda to, tol: xs.gradient_descent(xs.LeastSquares(to(A), to(Y), 0.1), tol=tol),
        lambda to, tol: xs.newton(xs.Logistic(to(A), to(CLASSES), 0.1), tol=tol),
        lambda to, tol: xs.sinkhorn(to(P), to(Q), to(COST), 0.5, tol=tol),
        lambda to, tol: xs.sinkhorn(to(P), to(Q), to(COST), 0.5, marginal=2.0, tol=tol),
        lambda to, tol: xs.barycenter(to(np.stack([P, Q])), to(COST), 0.5, tol=tol),
        lambda to, tol: xs.minimize(xs.LeastSquares(to(A), to(Y)), xs.penalties.L1(0.1), tol=tol),
        lambda to, tol: xs.minimize(xs.LeastSquares(to(A), to(Y)), xs.penalties.TotalVariation(0.1, (6,)), tol=tol),
        lambda to, tol: xs.nnls(to(A), to(Y), tol=tol),
        lambda to, tol: xs.ridge(to(A), to(Y), 5.0, method="cg", tol=tol),
        lambda to, tol: xs.lstsq(xs.operators.Convolution(to(W), (8, 8)), to(Z), tol=tol),
        lambda to, tol: xs.basis_pursuit(to(A[:4, :]), to(Y[:4]), tol=tol),
        lambda to, tol: xs.lasso_path(to(A), to(Y), n_lams=4, tol=tol),
        lambda to, tol: xs.coordinate_descent(xs.LeastSquares(to(A), to(Y), 0.1), tol=tol),
        lambda to, tol: xs.dictionary_learning(to(A), 2, 0.5, tol=tol),
    ],
)
def test_a_new_tolerance_compiles_nothing(solve):
    for tol in (1e-2, 1e-4, 1e-5):
        found = solve(jnp.asarray, tol)
        assert type(found.certificate.tol) is float
        assert found.certificate.tol == tol
        assert found.converged
        assert found.certificate.value <= tol
    assert programs() == [1]
    with pytest.raises(ValueError, match="tol: expected a finite number >= 0"):
        solve(jnp.asarray, -1.0)
    with pytest.raises(TypeError, match="tol: expected a finite number >= 0"):
        solve(jnp.asarray, jnp.asarray(1e-3))


def test_a_tolerance_inside_a_program_of_the_user():
    program = jax.jit(lambda tol: xs.lasso(jnp.asarray(A), jnp.asarray(Y), 5.0, tol=tol))
    for tol in (1e-2, 1e-5):
        found = program(tol)
        assert found.converged
        assert float(found.certificate.tol) == pytest.approx(tol)
        assert "tol=" in repr(found.certificate)
    assert program._cache_size() == 1


@counted
@pytest.mark.parametrize(
    "call",
    [
        lambda to, t: xs.softmax(to(Y), eps=t),
        lambda to, t: xs.logsumexp(to(A), eps=t, axis=0),
        lambda to, t: xs.soft_threshold(to(A), t),
        lambda to, t: xs.networks.project_simplex(to(Y), total=t),
        lambda to, t: xs.operators.operator_norm(to(A), tol=1e-12 * t),
        lambda to, t: xs.dictionary_learning(to(A), 6, t, tol=10.0).codes,
    ],
)
def test_a_new_number_of_other_functions_compiles_nothing(call):
    for t in (0.5, 1, np.float64(1.5)):
        for dtype in ("float32", "float64"):
            found = call(lambda x, dtype=dtype: jnp.asarray(x, dtype), t)
            assert found.dtype == dtype
            np.testing.assert_allclose(found, call(lambda x: x, t), rtol=1e-3, atol=1e-3)
    assert programs() == [2]
    with pytest.raises((ValueError, TypeError)):
        call(jnp.asarray, -1.0)


@counted
def test_a_number_that_is_asked_for_is_no_array():
    for to in (np.asarray, jnp.asarray):
        for call in (
            lambda to: xs.softmax(to(Y), eps=to(2.0)),
            lambda to: xs.networks.project_simplex(to(Y), total=to(2.0)),
            lambda to: xs.operators.operator_norm(to(A), tol=to(1e-3)),
            lambda to: xs.sinkhorn_gradient(to(P), to(Q), to(COST), 0.5, tol=to(1e-3)),
        ):
            with pytest.raises(TypeError, match=r"(eps|total|tol): expected a (finite|positive) number"):
                call(to)


@counted
@pytest.mark.parametrize(
    "penalty",
    [
        lambda lam: xs.penalties.L1(lam),
        lambda lam: xs.penalties.L1(lam) + xs.penalties.NonNegative(),
        lambda lam: xs.penalties.GroupL1(lam, 2),
        lambda lam: xs.penalties.GroupL1(lam, 3) + xs.penalties.L1(lam),
        lambda lam: xs.penalties.TotalVariation(lam, (6,)),
        lambda lam: xs.penalties.Analysis(lam, xs.operators.Gradient((6,))),
    ],
)
def test_a_new_number_in_a_penalty_compiles_nothing(penalty):
    for dtype in ("float32", "float64"):
        a, y = A.astype(dtype), Y.astype(dtype)
        for lam in (0.1, 0.3, 2):
            found = xs.minimize(xs.LeastSquares(jnp.asarray(a), jnp.asarray(y)), penalty(lam), tol=1e-4)
            wanted = xs.minimize(xs.LeastSquares(a, y), penalty(lam), tol=1e-4)
            assert found.x.dtype == wanted.x.dtype == dtype
            assert found.converged
            assert found.certificate.name == wanted.certificate.name
            np.testing.assert_allclose(found.x, wanted.x, atol=0.1)
    assert programs() == [2]


def test_a_number_in_a_penalty_is_shown_as_it_was_given():
    f = xs.LeastSquares(jnp.asarray(A), jnp.asarray(Y))
    with pytest.raises(ValueError, match="penalty: expected an operator with 6 columns"):
        xs.minimize(f, xs.penalties.TotalVariation(0.5, (7,)))
    with pytest.raises(TypeError, match=r"the penalty TotalVariation\(lam=0.5"):
        xs.minimize(f, xs.penalties.TotalVariation(0.5, (6,)), method="fista")


@pytest.mark.parametrize("penalty", [xs.penalties.L1(0), xs.penalties.GroupL1(0, 2)])
def test_zero_in_a_penalty_stays_a_number(penalty):
    found, wanted = (xs.minimize(xs.LeastSquares(to(A), to(1e3 * Y)), penalty) for to in (jnp.asarray, np.asarray))
    assert found.certificate.name == wanted.certificate.name
    assert found.converged
    np.testing.assert_allclose(found.x, wanted.x, atol=1e-2)


COMPILES_AGAIN = {  # numbers that decide more than a value
    ("elastic_net", "theta"),  # 1 is ridge regression
    ("invert", "step"),  # f is code of the user, which is not compiled
    ("lasso_path", "lams"),  # a list; an array compiles nothing
    ("lasso_path", "ratio"),  # of a grid that is made on the host
    ("lstsq", "rtol"),  # the tolerance of the certificate depends on it
    ("sinkhorn", "marginal"),  # method and units
    ("sinkhorn", "relaxation"),  # or a word
}


def test_each_number_is_known_to_compile_nothing_or_to_decide_more():
    found = set()
    for name, c in TABLE.items():
        if c.jit:
            places = (xs, xs.networks, xs.operators, xs.autodiff)
            function = next((getattr(place, name) for place in places if hasattr(place, name)), None)
            assert function, f"make {name} public in xpsolve/__init__.py, or in that of a public folder"
            rows = re.findall(r"^    ([\w, ]+) : (.*)$", inspect.getdoc(function).replace("\n", "\n    "), re.MULTILINE)
            floats = {part for names, kind in rows if re.search(r"\bfloats?\b", kind) for part in names.split(", ")}
            parameters = inspect.signature(inspect.unwrap(function)).parameters
            numbers = {n for n, p in parameters.items() if str(p.annotation).startswith("float")} | floats
            found |= {(name, n) for n in numbers & set(parameters)} - {(name, n) for n in c.numbers}
    found -= {("lstsq", "max_iter")}
    advice = "name it in numbers= of @capabilities, or, with the reason, in COMPILES_AGAIN"
    assert found <= COMPILES_AGAIN, f"{advice}: {sorted(found - COMPILES_AGAIN)}"
    assert found >= COMPILES_AGAIN, f"no longer so, take out of COMPILES_AGAIN: {sorted(COMPILES_AGAIN - found)}"
