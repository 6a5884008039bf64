"""Scaled problems have scaled answers, over the range of exponents, or a status that is not CONVERGED."""

import warnings

import numpy as np
import pytest
import scipy.sparse

import xpsolve as xs
from xpsolve.arrays.backends import to_numpy
from xpsolve.operators import operator_norm
from xpsolve.solution import ConvergenceWarning, Status
from xpsolve.testing import assert_close

EXPONENTS = {"float64": (-300, -160, -90, 0, 80, 155, 300), "float32": (-36, -23, -15, 0, 10, 19, 36)}
RANGE = {"float64": 300, "float32": 37}
LAM = 0.5


def planted(n, p):
    rng = np.random.default_rng(3)
    A = rng.standard_normal((n, p))
    return A, A[:, 0] - 0.5 * A[:, 1] + 0.1 * rng.standard_normal(n)


# what is solved for A, y, λ·(scale of A)²: its keywords, and how λ scales with (A, y)
SOLVERS = {
    "ridge": (lambda A, y, lam, **o: xs.ridge(A, y, lam, **o), (2, 0)),
    "ridge by svd": (lambda A, y, lam, **o: xs.ridge(A, y, lam, method="svd", **o), (2, 0)),
    "ridge by cg": (lambda A, y, lam, **o: xs.ridge(A, y, lam, method="cg", **o), (2, 0)),
    "lstsq": (lambda A, y, lam, **o: xs.lstsq(A, y, **o), (0, 0)),
    "lasso": (lambda A, y, lam, **o: xs.lasso(A, y, lam, tol=1e-5, **o), (1, 1)),
    "lasso by fista": (lambda A, y, lam, **o: xs.lasso(A, y, lam, tol=1e-5, method="fista", **o), (1, 1)),
    "lasso_path": (lambda A, y, lam, **o: xs.lasso_path(A, y, [lam], tol=1e-5, **o), (1, 1)),
}
NOT_ON = {"lasso_path": ("dask",)}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("dtype", EXPONENTS)
@pytest.mark.parametrize("shape", [(12, 5), (5, 8)])
def test_scaled_data_have_the_scaled_answer(name, dtype, shape):
    solve, power = SOLVERS[name]
    A, y = planted(*shape)
    wanted = solve(A, y, LAM).x
    limit = RANGE[dtype]
    for a in EXPONENTS[dtype]:
        for b in EXPONENTS[dtype]:
            if abs(b - a) > limit or abs(power[0] * a + power[1] * b) > limit:
                continue  # the answer, or λ, is out of range
            scaled = (A * 10.0**a).astype(dtype), (y * 10.0**b).astype(dtype)
            solution = solve(*scaled, LAM * 10.0 ** (power[0] * a + power[1] * b))
            assert solution.converged, (a, b)
            x = np.asarray(solution.x, dtype=float) * 10.0 ** (a - b)
            assert_close(x, wanted, rtol=1e-4 if dtype == "float64" else 2e-2)


@pytest.mark.parametrize("name", ["ridge", "ridge by svd", "ridge by cg", "lasso", "lasso_path"])
@pytest.mark.parametrize("exponents", [(-22, 0), (19, 0), (0, -22), (18, 18)])
def test_scales_on_every_library(xp, name, exponents):
    if xp.backend.name in NOT_ON.get(name, ()):
        pytest.skip("a path needs values")
    solve, power = SOLVERS[name]
    (a, b), (A, y) = exponents, planted(8, 4)
    if abs(power[0] * a) > 37:
        a = int(np.sign(a)) * 16
    lam = LAM * 10.0 ** (power[0] * a + power[1] * b)
    solution = solve(xp(A * 10.0**a, dtype="float32"), xp(y * 10.0**b, dtype="float32"), lam)
    assert solution.converged
    assert_close(np.asarray(to_numpy(solution.x), dtype=float) * 10.0 ** (a - b), solve(A, y, LAM).x, rtol=1e-2)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in ("lasso", "lasso_path")])
def test_scales_under_jax_jit(name):
    jax = pytest.importorskip("jax")
    solve, power = SOLVERS[name]
    A, y = planted(12, 5)
    answer = jax.jit(lambda A, y, lam: solve(A, y, lam).x)
    for a, b in ((-90, 0), (80, 10), (100, 155)):
        x = answer(A * 10.0**a, y * 10.0**b, LAM * 10.0 ** (power[0] * a + power[1] * b))
        assert_close(np.asarray(x) * 10.0 ** (a - b), solve(A, y, LAM).x, rtol=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("dtype", EXPONENTS)
def test_without_a_look_no_answer_is_falsely_converged(name, dtype):
    solve, power = SOLVERS[name]
    A, y = planted(12, 5)
    wanted = solve(A, y, LAM).x
    for a in EXPONENTS[dtype]:
        for b in (EXPONENTS[dtype][1], 0, EXPONENTS[dtype][-2]):
            if abs(power[0] * a + power[1] * b) > RANGE[dtype]:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                lam = LAM * 10.0 ** (power[0] * a + power[1] * b)
                solution = solve((A * 10.0**a).astype(dtype), (y * 10.0**b).astype(dtype), lam, check_finite=False)
            if solution.converged:
                x = np.asarray(solution.x, dtype=float) * 10.0**a * 10.0**-b
                assert_close(x, wanted, rtol=1e-4 if dtype == "float64" else 2e-2)


def test_a_first_read_that_is_made_anyway_finds_what_is_to_be_scaled():
    A, y = planted(12, 5)
    for name in ("ridge", "ridge by svd", "ridge by cg", "lasso", "lasso by fista"):
        solve, power = SOLVERS[name]
        solution = solve(A * 1e-130, y, LAM * 1e-130 ** power[0], check_finite=False)
        assert solution.converged, name
        assert_close(solution.x * 1e-130, solve(A, y, LAM).x, rtol=1e-4)


def test_columns_of_y_and_values_of_lam_of_any_size_are_solved_together():
    A, y = planted(12, 5)
    Y = np.stack([y, y * 1e-170, 0 * y, y * 1e200], axis=1)
    for method in ("normal", "svd", "cg"):
        solution = xs.ridge(A, Y, 0.3, method=method)
        assert solution.converged
        assert_close(solution.x / np.asarray([1, 1e-170, 1, 1e200]), xs.ridge(A, Y / [1, 1e-170, 1, 1e200], 0.3).x)
        huge = xs.ridge(A, y, [1.0, 1e250], method=method)
        assert huge.converged
        assert_close(huge.x[1, :] * 1e250, A.T @ y, rtol=1e-12)
    lam = xs.lasso(A, np.stack([y, y * 1e-170], axis=1), 0.0)
    assert lam.converged


def test_sparse_matrices_and_operators_are_scaled_too():
    D = np.diag(np.asarray([1e10, 2e10, 3e10], dtype=np.float32))
    ones = np.ones(3, dtype=np.float32)
    wanted = 1e-10 / np.asarray([1.0, 2.0, 3.0])
    for A in (D, scipy.sparse.csr_matrix(D), 2.0 * xs.operators.Dense(0.5 * D)):
        for solution in (xs.ridge(A, ones, 1.0, method="cg"), xs.lasso(A, ones, 0), xs.lasso(A, ones, 1e-3)):
            assert solution.converged
            assert_close(solution.x, wanted, rtol=2e-3)


def test_the_callback_and_the_history_see_the_units_of_the_answer():
    A, y = planted(12, 5)
    seen, near = [], xs.lasso(A, y, LAM, tol=1e-3).x
    solution = xs.lasso(
        A * 1e-120,
        y,
        LAM * 1e-120,
        method="fista",
        record=True,
        callback=lambda k, progress: seen.append(np.max(np.abs(progress.x)) * 1e-120) and None,
        x0=near * 1e120,
    )
    assert seen[0] == pytest.approx(np.max(np.abs(near)))
    x = solution.x * 1e-120
    assert solution.history["objective"][-1] == pytest.approx(0.5 * np.sum((y - A @ x) ** 2) + LAM * np.sum(np.abs(x)))


def test_an_answer_that_the_dtype_cannot_hold_is_not_converged():
    A, y = planted(12, 5)
    with pytest.warns(ConvergenceWarning):
        assert not xs.ridge(A * 1e-200, y * 1e200, 0.0).converged
    with pytest.warns(ConvergenceWarning):
        assert not xs.lasso(A * 1e200, y * 1e-200, 1e-3).converged


def test_basis_pursuit_and_dictionaries_at_every_scale():
    A, b = np.asarray([[1.0, 1, 0], [0, 1, 1]]), np.ones(2)
    for scale in (1e-170, 1e-300, 1e200):
        for a in (1.0, 1e-100, 1e100):
            if 1e-300 <= scale / a <= 1e300:
                solution = xs.basis_pursuit(A * a, b * scale)
                assert solution.converged
                assert_close(solution.x * a / scale, [0.0, 1.0, 0.0], atol=1e-6)
    X = np.random.default_rng(0).standard_normal((20, 4))
    plain = xs.dictionary_learning(X, 3, 0.3, seed=1)
    for scale in (2.0**-900, 2.0**800):
        scaled = xs.dictionary_learning(X * scale, 3, 0.3 * scale, seed=1)
        assert np.array_equal(scaled.x, plain.x)
        assert np.array_equal(scaled.codes, plain.codes * scale)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_operator_norms_at_every_scale(scale):
    A, _ = planted(12, 5)
    assert_close(operator_norm(A * scale) / scale, np.asarray(np.linalg.norm(A, 2)), rtol=1e-6)
    assert xs.dot_test(A * scale) < 1e-14


def test_derivatives_of_scaled_problems():
    A, y = planted(12, 5)

    def total(scale, solve):
        return lambda y: xs.autodiff.grad(lambda y: (solve(A * scale, y, 0.3).x * scale) @ np.ones(5))(y)

    for solve in (
        lambda A, y, lam: xs.ridge(A, y, lam * np.max(np.abs(A)) ** 2),
        lambda A, y, lam: xs.ridge(A, y, lam * np.max(np.abs(A)) ** 2, method="svd"),
        lambda A, y, lam: xs.ridge(A, y, lam * np.max(np.abs(A)) ** 2, method="cg"),
    ):
        assert_close(total(2.0**-120, solve)(y), total(1.0, solve)(y), rtol=1e-8)


# --- rank, conditioning, and numbers that are none ----------------------------------------------------


def test_the_rank_does_not_depend_on_the_number_of_rows():
    rng, n = np.random.default_rng(0), 100_000
    A = rng.standard_normal((n, 3))
    A[:, 1] = A[:, 0] + 0.02 * A[:, 1]
    A = np.c_[A, np.full(n, 100.0)].astype(np.float32)
    y = (A @ np.asarray([1, 2, 3, 0.5]) + 0.1 * rng.standard_normal(n)).astype(np.float32)
    solution = xs.lstsq(A, y)
    assert int(solution.stats["rank"]) == 4
    assert np.mean((y - A.astype(float) @ solution.x) ** 2) < 0.0101
    assert_close(xs.ridge(A, y, 1e-3).x, [1.0, 2.0, 3.0, 0.5], atol=0.1)
    assert int(xs.lstsq(np.c_[A, A[:, :1]], y).stats["rank"]) == 4


@pytest.mark.parametrize("method", ["auto", "normal", "woodbury", "svd"])
@pytest.mark.parametrize("shape", [(40, 50), (50, 40), (45, 45)])
def test_a_small_lam_in_float32_is_answered_to_what_the_problem_allows(method, shape):
    rng = np.random.default_rng(1)
    A, y = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(shape[0]).astype(np.float32)
    D = A.astype(float)
    wanted = D.T @ np.linalg.solve(D @ D.T + 1e-4 * np.eye(shape[0]), y.astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = xs.ridge(A, y, 1e-4, method=method)
    if solution.converged:
        assert np.linalg.norm(solution.x - wanted) < 1e-5 * np.linalg.cond(D) * np.linalg.norm(wanted)
    assert solution.converged or method != "auto"


def test_refinement_gives_back_the_digits_of_an_ill_conditioned_factor():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((60, 6)) @ np.diag(10.0 ** -np.arange(6.0))
    y = A @ np.ones(6)
    solution = xs.ridge(A, y, 0.0, method="normal")
    assert solution.method == "normal"
    assert solution.stats["refinements"] == 2
    assert_close(solution.x, np.ones(6), rtol=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_what_is_not_finite_is_a_status_and_no_exception(value, library):
    make = np.asarray if library == "numpy" else pytest.importorskip("torch").asarray
    A, y = make(np.full((3, 2), value)), make(np.ones(3))
    calls = [lambda m=m: xs.ridge(A, y, 1.0, method=m, check_finite=False) for m in xs.costs.RIDGE_METHODS]
    calls += [
        lambda: xs.ridge(A, y, [1.0, 2.0], check_finite=False),
        lambda: xs.lstsq(A, y, check_finite=False),
        lambda: xs.lasso(A, y, 0.1, check_finite=False),
        lambda: xs.lasso(A, y, 0.1, method="fista", check_finite=False),
        lambda: xs.lasso_path(A, y, [0.1], check_finite=False),
        lambda: xs.basis_pursuit(A, y, check_finite=False),
    ]
    for call in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("error", RuntimeWarning)
            assert call().status is Status.NOT_FINITE


def test_conjugate_gradients_reach_their_tolerance_where_y_is_far_from_the_range():
    rng = np.random.default_rng(5)
    A = rng.standard_normal((400, 6))
    A -= A.mean(axis=0)
    y = 1e7 + A @ np.ones(6)  # the residual is far longer than A^T y
    assert xs.ridge(A, y, 1e-3, method="cg").converged
    assert xs.ridge(A.astype(np.float32), y.astype(np.float32), 1e-3, method="cg").converged


def test_basis_pursuit_with_every_column_twice():
    rng = np.random.default_rng(3)
    A, x = rng.standard_normal((40, 100)), np.zeros(100)
    x[rng.choice(100, 15, replace=False)] = rng.standard_normal(15)
    once, twice = xs.basis_pursuit(A, A @ x), xs.basis_pursuit(np.c_[A, A], A @ x)
    assert once.converged
    assert twice.converged
    assert np.sum(np.abs(twice.x)) == pytest.approx(np.sum(np.abs(once.x)), rel=1e-6)


# --- arguments and warnings -------------------------------------------------------------------------

BAD = {
    "tol": ["x", -1.0, float("nan"), 10**400],
    "max_iter": ["x", -1, 1.5, True],
    "check_every": ["x", 0, None],
    "callback": [5],
    "check_finite": [1, "yes"],
    "record": [1, None],
    "method": [np.asarray(["svd", "cg"]), 3, "qr"],
    "x0": ["y", np.ones(7), np.asarray([np.nan, 0.0])],
    "step": [-1.0, "x", np.asarray(-1.0), np.ones(3)],
    "lam": [-1.0, 10**400, "x", None, True],
    "rtol": ["x", -1.0],
    "n_lams": [0, "x"],
    "ratio": [0.0, 1.0, "x"],
    "lams": [[-1.0], "x"],
    "seed": ["x", -1],
    "code_steps": [0],
    "n_atoms": [0, "x"],
    "theta": ["x", 2.0],
}
EYE, ONES = np.eye(2), np.ones(2)
CALLS = {
    "ridge": (
        xs.ridge,
        {"A": EYE, "y": ONES, "lam": 1.0},
        "method tol max_iter x0 check_every record callback check_finite",
    ),
    "lstsq": (xs.lstsq, {"A": EYE, "y": ONES}, "rtol check_finite"),
    "lasso": (
        xs.lasso,
        {"A": EYE, "y": ONES, "lam": 0.1},
        "method tol max_iter x0 step check_every record callback check_finite",
    ),
    "elastic_net": (xs.elastic_net, {"A": EYE, "y": ONES, "lam": 0.1, "theta": 0.5}, "theta tol step callback"),
    "lasso_path": (xs.lasso_path, {"A": EYE, "y": ONES}, "lams n_lams ratio tol method max_iter check_finite"),
    "basis_pursuit": (xs.basis_pursuit, {"A": EYE, "y": ONES}, "tol max_iter check_every record callback check_finite"),
    "dictionary_learning": (
        xs.dictionary_learning,
        {"X": EYE, "n_atoms": 1, "lam": 0.1},
        "tol max_iter seed code_steps check_every record callback check_finite n_atoms",
    ),
}
CASES = [
    (name, argument, i)
    for name, (_, good, more) in CALLS.items()
    for argument in [*more.split(), *(["lam"] if "lam" in good else [])]
    for i in range(len(BAD[argument]))
]


@pytest.mark.parametrize(("name", "argument", "i"), CASES)
def test_every_argument_is_checked_before_any_work(name, argument, i):
    function, good, _ = CALLS[name]
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}: "):
        function(**{**good, argument: BAD[argument][i]})


def test_lam_is_checked_in_the_dtype_of_the_data():
    A, y = EYE.astype(np.float32), ONES.astype(np.float32)
    for call in (xs.ridge, xs.lasso):
        with pytest.raises(ValueError, match=r"^lam: "):
            call(A, y, 1e39)


def test_what_is_not_converged_warns_once_at_the_line_of_the_caller():
    A, y = planted(12, 5)
    calls = {
        "ridge": lambda: xs.ridge(A, y, 1e-3, method="cg", max_iter=1),
        "lasso": lambda: xs.lasso(A, y, 0.1, method="fista", max_iter=1),
        "lasso_path": lambda: xs.lasso_path(A, y, method="fista", max_iter=1),
        "basis_pursuit": lambda: xs.basis_pursuit(A[:4, :], y[:4], max_iter=0, tol=0.0),
        "dictionary_learning": lambda: xs.dictionary_learning(A, 2, 0.1, max_iter=1),
    }
    for name, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert not call().converged
        assert [w.category for w in caught] == [ConvergenceWarning], name
        assert caught[0].filename == __file__
        assert str(caught[0].message).startswith(name)
