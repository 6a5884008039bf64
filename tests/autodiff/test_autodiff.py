"""Derivatives of whole functions: the interface, nesting, cost, memory, and solvers."""

import gc
import weakref
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of
from xpsolve.autodiff import finite_difference, grad, hvp, jacfwd, jacrev, jvp, value_and_grad, vjp
from xpsolve.testing import assert_close

X, V = np.asarray([0.5, 1.5, 2.5]), np.asarray([1.0, -2.0, 0.5])
ONE = np.asarray(1.0)


def xp_of(x):
    return namespace_of(x)


# --- the example of the course


def course(x, y):
    """f(x, y) = y log x + √(y log x), and its nodes log x, y log x and √(y log x)."""
    xp = xp_of(x)
    a = xp.log(x)
    b = y * a
    c = xp.sqrt(b)
    return b + c, (a, b, c)


@pytest.mark.parametrize(("x", "y"), [(2.0, 3.0), (1.5, 0.4)])
def test_the_example_of_the_course(xp, x, y):
    if xp.name == "dask":
        pytest.skip("Dask is tested on a solver")
    point = (xp(x), xp(y))
    b = y * np.log(x)
    by_x, by_y = (1 + 0.5 / np.sqrt(b)) * y / x, (1 + 0.5 / np.sqrt(b)) * np.log(x)
    (value, nodes), (dx, node_dx) = jvp(course, point, (xp(1.0), xp(0.0)))
    for found, expected in zip((value, *nodes), (b + np.sqrt(b), np.log(x), b, np.sqrt(b)), strict=True):
        assert_close(found, expected, rtol=4 * xp.eps, like=point[0])
    for found, expected in zip(node_dx, (1 / x, y / x, 0.5 / np.sqrt(b) * y / x), strict=True):
        assert_close(found, expected, rtol=8 * xp.eps, like=point[0])
    _, (dy, _) = jvp(course, point, (xp(0.0), xp(1.0)))
    gx, gy = grad(lambda x, y: course(x, y)[0], (0, 1))(*point)
    for found, expected in ((dx, by_x), (dy, by_y), (gx, by_x), (gy, by_y)):
        assert_close(found, expected, rtol=8 * xp.eps, like=point[0])


# --- the interface


class Pair(NamedTuple):
    u: Any
    v: Any


@dataclass(frozen=True)
class Model:
    weights: Any
    bias: Any
    name: str = "linear"


def test_structures_come_back_as_they_went_in():
    def f(tree):
        model, pair, (c,) = tree["model"], tree["pair"], tree["rest"]
        return xp_of(c).sum(model.weights * pair.u) * model.bias + xp_of(c).sum(pair.v**2) * c

    tree = {"model": Model(X, ONE * 2), "pair": Pair(V, X), "rest": [ONE * 3], "n": 5}
    g = grad(f)(tree)
    assert isinstance(g["model"], Model)
    assert isinstance(g["pair"], Pair)
    assert (g["n"], g["model"].name) == (5, "linear")
    assert_close(g["model"].weights, 2 * V)
    assert_close(g["model"].bias, np.sum(X * V))
    assert_close(g["pair"].v, 6 * X)
    assert_close(g["rest"][0], np.sum(X**2))
    out, tangent = jvp(f, (tree,), (tree,))
    assert_close(out, f(tree))
    assert_close(tangent, 3 * f(tree))  # homogeneous of degree 3
    assert_close(hvp(f, tree, tree)["pair"].u, 2 * g["pair"].u)


def test_several_arguments_and_constants():
    f = lambda x, n, y, *, shift: xp_of(x).sum(x**n * y) + xp_of(x).sum(shift * x)  # noqa: E731
    value, (gx, gy) = value_and_grad(f, (0, -1))(X, 2, V, shift=V)
    assert_close(value, np.sum(X**2 * V + V * X))
    assert_close(gx, 2 * X * V + V)
    assert_close(gy, X**2)
    assert_close(grad(f, 2)(X, 2, V, shift=V), X**2)


def test_vjp_of_several_results_can_be_called_again():
    out, pullback = vjp(lambda x, y: {"a": x * y, "b": xp_of(x).sum(x)}, X, V)
    assert_close(out["a"], X * V)
    for scale in (1.0, 2.0):
        gx, gy = pullback({"a": scale * V, "b": np.asarray(scale)})
        assert_close(gx, scale * (V * V + 1))
        assert_close(gy, scale * V * X)


def test_a_jacobian_is_one_sweep():
    calls = []

    def f(x, A):
        calls.append(1)
        return xp_of(x).tanh(A @ x)

    A = np.arange(12.0).reshape(4, 3) / 10
    expected = (1 - np.tanh(A @ X) ** 2)[:, None] * A
    assert_close(jacfwd(f)(X, A), expected, rtol=1e-14)
    assert_close(jacrev(f)(X, A), expected, rtol=1e-14)
    assert len(calls) == 2


def test_results_that_do_not_depend_on_the_argument_have_zeros():
    assert_close(grad(lambda x: xp_of(x).sum(xp_of(x).ones_like(x)))(X), np.zeros(3))
    assert_close(jacfwd(lambda x: V)(X), np.zeros((3, 3)))
    assert_close(jacrev(lambda x: xp_of(x).ones_like(x))(X), np.zeros((3, 3)))
    out, tangent = jvp(lambda x: (x > 1, xp_of(x).argmax(x), xp_of(x).floor(x)), (X,), (V,))
    assert out[0].dtype == bool
    assert not any(np.any(t) for t in tangent)


def test_values_steer_but_carry_nothing():
    def f(x):
        steps = 0
        while float(xp_of(x).sum(x)) < 20:
            x, steps = 2 * x, steps + 1
        return xp_of(x).sum(x[int(x[0] > 1) :]) * steps

    assert_close(grad(f)(X), 3 * 8 * np.asarray([0.0, 1.0, 1.0]))


def test_inputs_are_never_written_and_in_place_operators_are_followed(rng):
    x = rng.standard_normal(4)
    before = x.copy()

    def f(x):
        y = x
        y += 1
        y[1:3] = y[0] * y[2]
        y[0] *= 3
        return xp_of(y).sum(y * y)

    found = grad(f)(x)
    assert np.array_equal(x, before)
    assert_close(found, finite_difference(lambda x: f(x.copy()), x, scheme="central"), rtol=1e-8)


def test_dtypes_stay(xp):
    if xp.name == "dask":
        pytest.skip("Dask is tested on a solver")
    x = xp([0.5, 1.5, 2.5])
    f = lambda x: xp_of(x).sum(xp_of(x).exp(x) * 2 / (1 + x**2))  # noqa: E731
    for found in (grad(f)(x), jacfwd(f)(x), jacrev(f)(x), hvp(f, x, x), finite_difference(f, x)):
        assert_close(found, xp.backend.to_numpy(found), like=x)
    assert_close(finite_difference(f, x), xp.backend.to_numpy(grad(f)(x)), rtol=20 * np.sqrt(xp.eps))


def test_mixed_precision_gives_each_argument_its_own():
    f = lambda x, y: xp_of(x).sum((x @ y) * x[0, 0])  # noqa: E731
    gx, gy = grad(f, (0, 1))(np.ones((2, 3), dtype=np.float32), np.ones((3, 2)))
    assert (gx.dtype, gy.dtype) == (np.float32, np.float64)


def test_finite_differences_count_their_evaluations():
    calls = []

    def f(x):
        calls.append(1)
        return np.sum(np.sin(x))

    for scheme, n, tol in (("forward", 4, 1e-7), ("central", 6, 1e-9)):
        calls.clear()
        assert_close(finite_difference(f, X, scheme=scheme), np.cos(X), rtol=tol)
        assert len(calls) == n
    assert finite_difference(lambda x: x[:, None] * x, X).shape == (3, 3, 3)


# --- errors


BAD = {
    "not a number": (lambda: grad(lambda x: x * 2)(X), ValueError, r"^f: .*0-d array, got shape \(3,\).*vjp.*jacrev"),
    "integers": (lambda: grad(lambda x: x)(np.arange(3)), TypeError, r"^argument 0: .*floating dtype, got int64"),
    "no number": (lambda: grad(lambda x: x)("2.0"), TypeError, r"^argument 0: expected an array, a float.*got str"),
    "float returned": (
        lambda: grad(lambda x: float(x[0]))(X),
        TypeError,
        r"^f: expected a function that returns an array, got float.*float\(\)",
    ),
    "a tuple returned": (lambda: grad(lambda x: (x[0], x[1]))(X), TypeError, r"the result of f: expected one array"),
    "no such argument": (lambda: grad(lambda x: x, 1)(X), ValueError, r"argnums: .*among 1 arguments, got 1"),
    "other tangents": (lambda: jvp(lambda x: x, (X,), (V[:2],)), ValueError, r"tangents: .*\[\(3,\)\], got \[\(2,\)\]"),
    "bare tangents": (lambda: jvp(lambda x: x, X, V), TypeError, r"^primals: expected a tuple"),
    "other gradient": (lambda: vjp(lambda x: x, X)[1](V[:2]), ValueError, r"^gradient: .*got \[\(2,\)\]"),
    "nothing to vjp": (lambda: vjp(lambda: X), TypeError, r"^primals: expected at least one"),
    "no rule": (
        lambda: grad(lambda x: xp_of(x).sum(xp_of(x).nextafter(x, x + 1)))(X),
        autodiff.NoRuleError,
        r"nextafter: has no derivative rule.*rule\('nextafter'\)",
    ),
    "no rule forward": (
        lambda: jvp(lambda x: xp_of(x).nextafter(x, x + 1), (X,), (V,)),
        autodiff.NoRuleError,
        r"nextafter: has no derivative rule",
    ),
    "no rule for that argument": (
        lambda: grad(lambda x: xp_of(x).sum(xp_of(x).interp(V, xp=x, fp=V)))(X),
        autodiff.NoRuleError,
        r"interp: has no derivative rule",
    ),
    "a shape that values decide": (
        lambda: grad(lambda x: xp_of(x).sum(xp_of(x).unique_values(x)))(X),
        autodiff.NoRuleError,
        r"unique_values: has no derivative rule",
    ),
    "bounds of a range": (
        lambda: grad(lambda x: xp_of(x).sum(xp_of(x).linspace(x[0], x[1], 3)))(X),
        autodiff.NoRuleError,
        r"linspace: has no derivative rule",
    ),
    "a list": (lambda: grad(lambda x: xp_of(x).asarray([x[0], x[1]])[0])(X), NotImplementedError, r"use stack"),
    "to NumPy": (lambda: grad(lambda x: np.asarray(x).sum())(X), TypeError, r"cannot track it \(by __array__\)"),
    "a wide qr": (
        lambda: jacfwd(lambda x: xp_of(x).linalg.qr(x)[1])(np.ones((2, 3))),
        NotImplementedError,
        r"linalg.qr: mode='reduced' of a matrix \(2, 3\)",
    ),
    "full svd": (
        lambda: jacfwd(lambda x: xp_of(x).linalg.svd(x)[0])(np.ones((2, 3))),
        NotImplementedError,
        r"full_matrices=False",
    ),
    "scheme": (lambda: finite_difference(np.sum, X, scheme="upwind"), ValueError, r"scheme: .*'central', got 'upwind'"),
    "eps": (lambda: finite_difference(np.sum, X, eps=0.0), ValueError, r"eps: expected a positive"),
}


@pytest.mark.parametrize("kind", BAD)
def test_errors_say_what_to_do(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()


def test_an_error_leaves_no_level_open():
    with pytest.raises(autodiff.NoRuleError):
        grad(lambda x: xp_of(x).sum(xp_of(x).nextafter(x, x)))(X)
    assert isinstance(grad(lambda x: xp_of(x).sum(x))(X), np.ndarray)


# --- conventions where there is no derivative


def test_subgradients():
    xp = xp_of(X)
    zero = np.zeros(2)
    total = lambda f: lambda *a: xp_of(a[0]).sum(f(xp_of(a[0]), *a))  # noqa: E731
    assert not np.any(grad(total(lambda xp, x: xp.abs(x)))(zero))
    assert not np.any(grad(lambda x: xp_of(x).linalg.vector_norm(x))(zero))
    assert not np.any(grad(lambda x: xp_of(x).std(x))(zero + 1))
    assert not np.any(grad(lambda x: xp_of(x).hypot(x, x)[0])(zero))
    for name in ("maximum", "minimum"):
        for i in (0, 1):
            assert_close(grad(total(lambda xp, x, y, name=name: getattr(xp, name)(x, y)), i)(zero, zero), [0.5, 0.5])
    for name in ("max", "min"):
        assert_close(grad(lambda x, name=name: getattr(xp_of(x), name)(x))(zero), [0.5, 0.5])
    assert_close(grad(total(lambda xp, x: xp.clip(x, 0.0, 1.0)))(np.asarray([0.0, 2.0])), [1.0, 0.0])
    assert_close(grad(total(lambda xp, x, y: x**y), (0, 1))(zero, zero + 2)[1], zero)
    assert_close(grad(total(lambda xp, x: x**0))(zero), zero)
    shrunk = grad(lambda x, t: xp_of(x).sum(xs.soft_threshold(x, t)))
    assert_close(shrunk(np.asarray([1.0, 0.5, -2.0]), ONE), [0.0, 0.0, 1.0])
    assert xp.isfinite(grad(total(lambda xp, x: xp.where(x > 0, xp.log(xp.where(x > 0, x, 1 + x)), x)))(zero)).all()


# --- derivatives of derivatives


def direct(f):
    """Derivative of a function of one number, forward."""
    return lambda x: jvp(f, (x,), (xp_of(x).ones_like(x),))[1]


@pytest.mark.parametrize("outer", [grad, direct, jacfwd, jacrev])
@pytest.mark.parametrize("inner", [grad, direct, jacfwd, jacrev])
def test_perturbations_are_not_confused(outer, inner):
    at_one = np.asarray(1.0)
    # d/dx [x · d/dy (x + y)] at y = 1: the inner derivative is 1, not 2 (Siskind & Pearlmutter 2005)
    assert float(outer(lambda x: x * inner(lambda y: x + y)(at_one))(at_one)) == 1
    # d/dx [x · d/dy (x·y²)] at y = 1 is d/dx 2x² = 4x
    assert float(outer(lambda x: x * inner(lambda y: x * y * y)(at_one))(at_one * 3)) == 12
    # the inner point depends on x too: d/dx [x · 2x·x] = 6x²
    assert float(outer(lambda x: x * inner(lambda y: x * y * y)(x))(at_one * 2)) == 24
    # a closure that does not meet the inner variable
    assert float(outer(lambda x: inner(lambda y: x * x)(at_one) + x)(at_one)) == 1


def test_third_derivatives():
    f = lambda x: xp_of(x).exp(2 * x) + x**4  # noqa: E731
    expected = 8 * np.exp(1.0) + 24 * 0.5
    for a in (grad, direct):
        for b in (grad, direct):
            for c in (grad, direct):
                assert float(a(b(c(f)))(np.asarray(0.5))) == pytest.approx(expected, rel=1e-13)


def test_counts_lie_outside_and_inside():
    f = lambda x: xp_of(x).sum(xp_of(x).sin(x) * x)  # noqa: E731
    plain = grad(f)(X)
    counted, tally = xs.count(grad(f), X)
    assert_close(counted, plain)
    assert tally.launches > 4
    inside = grad(lambda x: xs.count(f, x)[0])(X)
    assert_close(inside, plain)


# --- cost and memory


def _mlp(x, W):
    xp = xp_of(x)
    return xp.sum(xp.tanh(W @ xp.tanh(W @ x)) ** 2)


SUITE = {
    "linear": lambda x, W: xp_of(x).sum(3.0 * x + 1.0),
    "quadratic form": lambda x, W: xp_of(x).sum(x * (W @ x)),
    "least squares": lambda x, W: 0.5 * xp_of(x).sum((W @ x - 1.0) ** 2),
    "network": _mlp,
    "logistic": lambda x, W: xp_of(x).sum(xp_of(x).logaddexp(W @ x, xp_of(x).zeros_like(x))),
    "softmax": lambda x, W: xp_of(x).log(xp_of(x).sum(xp_of(x).exp(x - xp_of(x).max(x)))) + x[0],
    "Rosenbrock": lambda x, W: xp_of(x).sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    "product": lambda x, W: xp_of(x).exp(xp_of(x).sum(xp_of(x).log(x))),
    "solve": lambda x, W: xp_of(x).sum(x * xp_of(x).linalg.solve(W, x)),
    "norms": lambda x, W: xp_of(x).linalg.vector_norm(x) * xp_of(x).sqrt(xp_of(x).sum(x / (1 + x * x))),
}


@pytest.mark.parametrize("name", SUITE)
def test_a_gradient_costs_a_few_times_the_function(name, rng):
    """Baur & Strassen (1983): at most 5 times, whatever the number of variables."""
    ratios = []
    for p in (20, 200):
        x, W = rng.uniform(0.5, 1.5, p), rng.standard_normal((p, p)) / p + np.eye(p)
        _, of_f = xs.count(SUITE[name], x, W)
        _, of_gradient = xs.count(grad(SUITE[name]), x, W)
        ratios.append(of_gradient.flops / of_f.flops)
    assert max(ratios) <= 5
    assert ratios[1] <= ratios[0] * 1.05


@pytest.mark.parametrize(("n", "p"), [(7, 3), (5, 11)])
def test_costs_of_a_gradient_are_those_counted(n, p):
    def f(x, A, y):
        r = A @ x - y
        return 0.5 * xp_of(r).sum(r * r)

    ways = {
        "finite_difference": lambda x, A, y: finite_difference(lambda x: f(x, A, y), x),
        "forward": jacfwd(f),
        "reverse": grad(f),
    }
    for method, way in ways.items():
        _, tally = xs.count(way, np.ones(p), np.ones((n, p)), np.ones(n))
        cost = xs.costs.gradient(n, p, method=method)
        assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs), method
    with pytest.raises(ValueError, match="expected one of finite_difference, forward, reverse"):
        xs.costs.gradient(2, 2, method="backward")


def test_nothing_is_left_behind():
    """Without the collector: the tape holds no cycles, goes while the sweep passes, and keeps no dead ends."""
    seen, alive_in_f = [], []

    def note(x):
        seen.append(weakref.ref(x.__xpsolve_value__))
        return x

    def f(x):
        xp = xp_of(x)
        dead_end = note(xp.exp(x) * 2)
        del dead_end
        alive_in_f.append(seen[-1]() is not None)
        for _ in range(5):
            x = note(xp.sin(x) * x)
        return xp.sum(x)

    gc.collect()
    gc.disable()
    try:
        for derivative in (grad(f), jacrev(f), jacfwd(f), lambda x: jvp(f, (x,), (x,))):
            derivative(X)
            assert not any(r() is not None for r in seen)
        _, pullback = vjp(f, X)
        assert any(r() is not None for r in seen)
        del pullback, _
        assert not any(r() is not None for r in seen)
    finally:
        gc.enable()
    assert not any(alive_in_f)


def test_memory_falls_while_the_sweep_passes():
    import tracemalloc

    n, steps = 50_000, 40
    x = np.linspace(0.0, 1.0, n)

    def f(x):
        xp = xp_of(x)
        for _ in range(steps):
            x = xp.sin(x)
        return xp.sum(x)

    tracemalloc.start()
    grad(f)(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (steps + 5) * 8 * n  # the tape, and not the gradients of all nodes beside it


def test_a_long_tape_needs_no_deep_stack():
    def f(x):
        for _ in range(20_000):
            x = x * 1.0
        return x

    assert float(grad(f)(ONE)) == 1


# --- solvers, unmodified


def _norm(x):
    return xp_of(x).sum(x * x)


SOLVERS = {
    "ridge normal": lambda A, y, lam: xs.ridge(A, y, lam, method="normal").x,
    "ridge woodbury": lambda A, y, lam: xs.ridge(A, y, lam, method="woodbury").x,
    "ridge svd": lambda A, y, lam: xs.ridge(A, y, lam, method="svd").x,
    "ridge cg": lambda A, y, lam: xs.ridge(A, y, lam, method="cg").x,
    "ridge path": lambda A, y, lam: xs.ridge(A, y, xp_of(lam).stack([lam, 2 * lam])).x,
    "lstsq": lambda A, y, lam: xs.lstsq(A, y).x * lam,
    "lasso ista": lambda A, y, lam: xs.lasso(A, y, lam, method="ista", tol=1e-13).x,
    "lasso fista": lambda A, y, lam: xs.lasso(A, y, lam, method="fista", tol=1e-13).x,
    "lasso working_set": lambda A, y, lam: xs.lasso(A, y, lam, method="working_set", tol=1e-13).x,
    "elastic_net": lambda A, y, lam: xs.elastic_net(A, y, lam, 0.5, method="fista", tol=1e-16).x,
}


def data(n=12, p=5):
    rng = np.random.default_rng(4)
    return rng.standard_normal((n, p)), rng.standard_normal(n), np.asarray(0.8)


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_are_differentiated_as_they_are(name):
    arrays = data()
    solve = SOLVERS[name]
    f = lambda *a: _norm(solve(*a))  # noqa: E731
    gradients = grad(f, (0, 1, 2))(*arrays)
    for i, g in enumerate(gradients):
        at = lambda x, i=i: f(*arrays[:i], x, *arrays[i + 1 :])  # noqa: E731
        differences = finite_difference(at, arrays[i], scheme="central", eps=1e-4)  # above the noise of a tolerance
        assert_close(g, differences, rtol=3e-5, atol=1e-7)
    tangents = tuple(np.cos(np.arange(a.size)).reshape(a.shape) for a in arrays)
    _, tangent = jvp(f, arrays, tangents)
    assert float(tangent) == pytest.approx(sum(float(np.sum(g * t)) for g, t in zip(gradients, tangents, strict=True)))


@pytest.mark.parametrize("name", ["ridge normal", "lasso ista"])
def test_solvers_on_every_backend(xp, name):
    if xp.name == "dask" and name.startswith("lasso"):
        pytest.skip("right, but Dask takes 20 seconds")
    arrays = data()
    solve = SOLVERS[name]
    if xp.dtype == "float32" and name == "lasso ista":
        solve = lambda A, y, lam: xs.lasso(A, y, lam, method="ista", tol=1e-6).x  # noqa: E731
    expected = grad(lambda *a: _norm(SOLVERS[name](*a)), (0, 1, 2))(*arrays)
    there = [xp(a) for a in arrays]
    for g, e, x in zip(grad(lambda *a: _norm(solve(*a)), (0, 1, 2))(*there), expected, there, strict=True):
        assert_close(g, e, rtol=1e-3 if xp.dtype == "float32" else 1e-7, like=x)


def test_only_lam_or_only_y_carries_a_derivative():
    A, y, lam = data()
    f = lambda A, y, lam: _norm(xs.ridge(A, y, lam).x)  # noqa: E731
    gradients = grad(f, (0, 1, 2))(A, y, lam)
    assert_close(grad(lambda lam: f(A, y, lam))(lam), gradients[2], rtol=1e-12)
    assert_close(grad(lambda y: f(A, y, lam))(y), gradients[1], rtol=1e-12)
    assert_close(grad(lambda A: f(A, y, lam))(A), gradients[0], rtol=1e-12)
    path = np.asarray([0.1, 1.0, 3.0])
    single = [float(grad(lambda lam: f(A, y, lam))(np.asarray(v))) for v in path]
    assert_close(grad(lambda lams: _norm(xs.ridge(A, y, lams).x))(path), single, rtol=1e-10)


def test_sparse_operators():
    import scipy.sparse

    A, y, lam = data()
    S = scipy.sparse.csr_array(A)
    f = lambda A, y: _norm(xs.ridge(A, y, lam, method="cg").x)  # noqa: E731
    assert_close(grad(lambda y: f(S, y))(y), grad(lambda y: f(A, y))(y), rtol=1e-10)
    operator = xs.operators.Sparse(S)
    v = np.ones((5, 2))
    assert_close(jacfwd(lambda v: operator @ v)(v), jacrev(lambda v: operator @ v)(v), rtol=1e-14)
    assert_close(jacfwd(lambda v: operator @ v)(v[:, 0]), A, rtol=1e-14)
