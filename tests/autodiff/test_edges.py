"""Where derivatives are easily refused, lost or wrong: repeated entries, singular matrices, infinities, extremes."""

import math
import threading

import array_api_extra as xpx
import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve.arrays import namespace_of, thin_svd
from xpsolve.autodiff import grad, hvp, jacfwd, jacrev, jvp, vjp
from xpsolve.testing import assert_close


def total(f):
    """The sum of f."""
    return lambda *a: namespace_of(a[0]).sum(f(namespace_of(a[0]), *a))


def weighted(f):
    """A number out of an array, with all of it in different weights."""

    def s(x, *others):
        y = f(namespace_of(x), x, *others)
        xp = namespace_of(y)
        flat = xp.reshape(y, (-1,))
        return xp.sum(flat * xp.cos(xp.arange(1, flat.shape[0] + 1, dtype=y.dtype, device=y.device)))

    return s


def differences(f, x, h=1e-6):
    """Central differences of a function to a number."""
    g = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        g[i] = (float(f(x + e)) - float(f(x - e))) / (2 * h)
    return g


def check(f, x, rtol=1e-6, atol=1e-7):
    """Both modes against differences."""
    expected = differences(f, x)
    assert_close(grad(f)(x), expected, rtol=rtol, atol=atol)
    assert_close(jacfwd(f)(x), expected, rtol=rtol, atol=atol)


# --- keys that name an entry many times

I = np.asarray([0, 2, 0])
KEYS = {
    "a list": [0, 2, 0],
    "a list of negative numbers": [-1, 0, -1],
    "a tuple of lists": ([0, 0, 1], [1, 1, 2]),
    "a tuple of tuples": ((0, 0), (1, 1)),
    "nested lists": [[0, 0], [1, 0]],
    "an empty list": [],
    "a list of booleans": [True, False, True],
    "an array": I,
    "an array behind a slice": (slice(None), I),
    "a list behind a slice": (slice(None), [1, 1]),
    "a list before a slice": ([1, 1], slice(1, None)),
    "a list and a number": ([1, 1], 2),
    "a number, a slice and an array": (0, slice(None), I),
    "arrays around a slice": (I, slice(None), I),
    "an array behind dots": (..., I),
    "an array and a new axis": (None, I, slice(None, 2)),
    "an array of two axes": np.asarray([[0, 0], [1, 2]]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_entries_that_are_taken_many_times_are_added(kind):
    key = KEYS[kind]
    x = np.random.default_rng(0).standard_normal((3, 3, 3) if "around" in kind or "number, a" in kind else (3, 3))
    check(weighted(lambda xp, x: x[key] ** 2), x)
    out = x[key]
    assert_close(jacrev(lambda x: x[key] * 2)(x), jacfwd(lambda x: x[key] * 2)(x))
    assert jacfwd(lambda x: x[key])(x).shape == (*out.shape, *x.shape)


@pytest.mark.parametrize("kind", [k for k in KEYS if k != "an array and a new axis"])
def test_of_values_for_one_entry_one_stays(kind):
    key = KEYS[kind]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 3, 3) if "around" in kind or "number, a" in kind else (3, 3))
    v = rng.standard_normal(x[key].shape)

    def put(xp, x, v):
        y = x * 1
        y[key] = v * v
        return y * y

    check(weighted(lambda xp, x: put(xp, x, xp.asarray(v))), x)
    check(weighted(lambda xp, v: put(xp, xp.asarray(x), v)), v)
    if v.size:
        check(weighted(lambda xp, c: put(xp, xp.asarray(x), c)), np.asarray(1.3))  # broadcast
    assert_close(
        jacrev(lambda v: put(None, namespace_of(v).asarray(x), v))(v),
        jacfwd(lambda v: put(None, namespace_of(v).asarray(x), v))(v),
        atol=1e-14,
    )


def test_taken_and_put_on_every_backend(xp):
    if xp.name == "dask" or xp.name.startswith("strict"):
        pytest.skip("Dask assigns to no such keys, and the standard has no lists as keys")
    x, index = xp([[1.0, 2.0], [3.0, 4.0]]), xp([1, 1], dtype="int64")
    found = grad(total(lambda xp, x: x[:, index] ** 2 + x[index, 0]))(x)
    assert_close(found, [[0.0, 8.0], [4.0, 16.0]], like=x)
    if xp.name.startswith("jax"):  # which takes no lists
        return
    assert_close(grad(total(lambda xp, x: x[:, [0, 0]]))(x), [[2.0, 0.0], [2.0, 0.0]], like=x)
    if xp.name.startswith("cupy"):  # where it is not defined which value stays
        return

    def put(xp, v):
        y = 0 * v
        y[index] = v
        return y

    assert_close(grad(total(put))(xp([3.0, 4.0])), [0.0, 1.0])


def test_a_key_of_numpy_for_an_array_of_torch():
    torch = pytest.importorskip("torch")
    x = torch.ones(2)
    for derivative in (grad, jacfwd):
        assert_close(derivative(total(lambda xp, x: x[np.asarray([0, 0])]))(x), [2.0, 0.0], like=x)


def test_lists_as_keys_are_no_views():
    x = np.ones((4, 3))
    for key, launches in (([0, 0], 1), (([0, 1], [1, 1]), 1), ((slice(None), [0, 0]), 1), ((1, slice(2)), 0)):
        _, tally = xs.count(lambda x, key=key: x[key], x)
        assert tally.launches == launches, key
        assert (tally.bytes > 0) == bool(launches)


# --- determinants


def _regular(p):
    return np.random.default_rng(p).standard_normal((p, p))


def _lacking(p, ranks):
    A = _regular(p)
    A[:, p - ranks :] = 0.0
    return A


SINGULAR = {
    "two by two": np.asarray([[1.0, 2.0], [2.0, 4.0]]),
    "zero": np.zeros((1, 1)),
    "a zero column": _lacking(4, 1),
    "two zero columns": _lacking(4, 2),
    "all zero": np.zeros((3, 3)),
    "regular": _regular(4),
    "tiny": 1e-120 * np.eye(3),
    "in a batch": np.stack([_regular(3), _lacking(3, 1), np.eye(3), _lacking(3, 2)]),
}


def cofactors(A):
    """By minors, one by one."""
    if A.ndim > 2:
        return np.stack([cofactors(M) for M in A])
    p = A.shape[0]
    minor = lambda i, j: np.delete(np.delete(A, i, 0), j, 1)  # noqa: E731
    return np.asarray([[(-1) ** (i + j) * np.linalg.det(minor(i, j)) for j in range(p)] for i in range(p)])


@pytest.mark.parametrize("kind", SINGULAR)
@pytest.mark.parametrize("scale", [1.0, 2.0**-60, 2.0**60])
def test_det_has_its_cofactors(kind, scale):
    A = SINGULAR[kind] * scale
    f = total(lambda xp, A: xp.linalg.det(A))
    expected = cofactors(A)
    for found in (grad(f)(A), jacfwd(f)(A)):
        assert_close(found, expected, rtol=1e-12, atol=1e-13 * scale ** (A.shape[-1] - 1))


def test_det_has_second_derivatives_where_it_is_singular():
    A = np.asarray([[1.0, 2.0, 0.0], [2.0, 4.0, 1.0], [0.0, 0.0, 3.0]])
    V = _regular(3)
    f = lambda A: namespace_of(A).linalg.det(A)  # noqa: E731
    h = 1e-5
    expected = (cofactors(A + h * V) - cofactors(A - h * V)) / (2 * h)
    assert_close(hvp(f, A, V), expected, rtol=1e-8)


def test_slogdet_of_one_singular_matrix_in_a_batch():
    A = np.stack([_regular(3), np.zeros((3, 3)), np.eye(3)])
    f = total(lambda xp, A: xp.linalg.slogdet(A)[1])
    found = grad(f)(A)
    assert_close(found[[0, 2]], np.linalg.inv(A[[0, 2]]).mT, rtol=1e-12)
    assert np.isnan(found[1]).all()
    chosen = total(lambda xp, A: xp.where(xp.linalg.slogdet(A)[0] == 0, 0.0, xp.linalg.slogdet(A)[1]))
    assert_close(grad(chosen)(A)[1], np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [(0, 0), (0, 2, 2), (2, 0, 0)])
@pytest.mark.parametrize("name", ["det", "inv", "cholesky", "eigvalsh", "svdvals", "qr", "eigh", "svd", "slogdet"])
def test_empty_matrices(shape, name):
    A = np.zeros(shape)

    def f(xp, A):
        out = getattr(xp.linalg, name)(A)
        parts = tuple(out) if isinstance(out, tuple) else (out,)
        return sum((xp.sum(p) for p in parts[1:]), xp.sum(parts[0]))

    assert grad(total(f))(A).shape == shape
    assert jacfwd(total(f))(A).shape == shape


# --- equal eigenvalues and singular values

QUARTER_TURNS = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))[0]
SPECTRA = {
    "different": [1.0, 2.0, 3.0, 4.0],
    "two pairs": [4.0, 4.0, 1.0, 1.0],
    "all equal": [4.0] * 4,
    "almost equal": [1.0, 1 + 1e-9, 1 + 1e-4, 1 + 1e-2],
    "small": [1e-6, 1e-6, 1.0, 2.0],
}
FUNCTIONS = {name: lambda w, name=name: getattr(namespace_of(w), name)(w) for name in ("sqrt", "exp", "log")}
FUNCTIONS["kinked"] = lambda w: namespace_of(w).maximum(w, 0 * w + 1.5)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_symmetric_matrices(spectrum, name):
    """The identities X² = A, and the derivative along directions that commute with A, against differences of f."""
    f, w, Q = FUNCTIONS[name], np.asarray(SPECTRA[spectrum]), QUARTER_TURNS
    A = (Q * w) @ Q.T
    s = lambda A: autodiff.symmetric_function(f, A)  # noqa: E731
    assert_close(s(A), (Q * f(w)) @ Q.T, rtol=1e-9)
    J, Jr = jacfwd(s)(A), jacrev(s)(A)
    assert_close(J, Jr, rtol=1e-11)
    v = np.asarray([1.0, -2.0, 0.5, 3.0])
    tangent = np.tensordot(J, (Q * v) @ Q.T, 2)  # of eigenvalues alone
    slope = jvp(f, (w,), (v,))[1]
    assert_close(tangent, (Q * slope) @ Q.T, rtol=1e-7)
    if name == "sqrt":  # XẊ + ẊX = Ȧ
        V = np.random.default_rng(1).standard_normal((4, 4))
        V, X, dX = V + V.T, s(A), np.tensordot(J, V + V.T, 2)
        assert_close(X @ dX + dX @ X, V, rtol=1e-9)
    elif name != "kinked":
        V = np.random.default_rng(1).standard_normal((4, 4))
        V, h = V + V.T, 1e-5
        if min(w) > h:
            assert_close(np.tensordot(J, V, 2), (s(A + h * V) - s(A - h * V)) / (2 * h), rtol=1e-6)


def test_functions_of_symmetric_matrices_on_every_backend(xp):
    if xp.name == "dask":
        pytest.skip("Dask has no eigh in its namespace")
    A = xp([[[2.0, 1.0], [1.0, 2.0]], [[4.0, 0.0], [0.0, 4.0]]])
    f = total(lambda _, A: autodiff.symmetric_function(lambda w: namespace_of(w).sqrt(w), A)[:, 0, 1])
    expected = grad(f)(np.asarray([[[2.0, 1.0], [1.0, 2.0]], [[4.0, 0.0], [0.0, 4.0]]]))
    assert_close(expected[1], [[0.0, 0.125], [0.125, 0.0]])
    assert_close(grad(f)(A), expected, rtol=100 * xp.eps, like=A)
    assert_close(jvp(f, (A,), (A,))[1], np.sum(expected * xp.backend.to_numpy(A)), rtol=100 * xp.eps)


def test_second_derivatives_of_functions_of_symmetric_matrices():
    A = (QUARTER_TURNS * [1.0, 2.0, 3.0, 4.0]) @ QUARTER_TURNS.T
    f = weighted(lambda xp, A: autodiff.symmetric_function(lambda w: namespace_of(w).log(w), A))
    V, h = np.random.default_rng(1).standard_normal((4, 4)), 1e-5
    assert_close(hvp(f, A, V), (grad(f)(A + h * V) - grad(f)(A - h * V)) / (2 * h), rtol=1e-7)
    assert np.isnan(hvp(f, np.eye(4), V)).all()  # not a wrong number


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: autodiff.symmetric_function(2.0, np.eye(2)), TypeError, "^f: expected a function"),
        (lambda: autodiff.symmetric_function(np.exp, [[1.0]]), TypeError, "^A: expected an array"),
        (lambda: autodiff.symmetric_function(np.exp, np.eye(2, dtype=int)), TypeError, "^A: .*floating"),
        (lambda: autodiff.symmetric_function(np.exp, np.ones((2, 3))), ValueError, r"^A: .*\(…, n, n\), got"),
        (lambda: autodiff.symmetric_function(lambda w: w[:1], np.eye(2)), ValueError, "^f: .*keeps the shape"),
        (
            lambda: grad(lambda t: autodiff.symmetric_function(lambda w: w * t, np.eye(2))[0, 0])(np.asarray(1.0)),
            TypeError,
            "^f: .*closes over no array that carries a derivative",
        ),
    ],
)
def test_symmetric_function_says_what_it_needs(call, error, words):
    with pytest.raises(error, match=words):
        call()


def root(xp, A):
    w, V = xp.linalg.eigh(A)
    return (V * xp.sqrt(w)) @ xp.matrix_transpose(V)


def rebuilt(xp, A):
    U, s, Vh = xp.linalg.svd(A, full_matrices=False)
    return (U * s) @ Vh


@pytest.mark.parametrize("f", [root, rebuilt])
@pytest.mark.parametrize("turned", [False, True])
def test_vectors_of_equal_values_give_nan_and_no_wrong_number(f, turned):
    """With a turned basis the values are equal to rounding."""
    A = np.diag([4.0, 4.0, 1.0, 9.0])
    A = QUARTER_TURNS @ A @ QUARTER_TURNS.T if turned else A
    assert np.isnan(grad(weighted(f))(A)).any()
    assert np.isnan(jacfwd(weighted(f))(A)).any()
    different = (QUARTER_TURNS * [1.0, 2.0, 3.0, 4.0]) @ QUARTER_TURNS.T
    assert np.isfinite(grad(weighted(f))(different)).all()


def best(xp, A, svd=None, rank=1):
    U, s, Vh = xp.linalg.svd(A, full_matrices=False) if svd is None else svd(A)
    return (U[:, :rank] * s[:rank]) @ Vh[:rank, :]


@pytest.mark.parametrize("svd", [None, thin_svd])
@pytest.mark.parametrize("shape", [(5, 5), (4, 6), (9, 3)])
def test_low_rank_needs_no_singular_values_that_it_leaves_out(svd, shape):
    """Of ones all but σ₁ are zero; PȦ + ȦQ − PȦQ with the projections P and Q on the two vectors."""
    n, p = shape
    P, Q = np.full((n, n), 1 / n), np.full((p, p), 1 / p)
    V = np.random.default_rng(0).standard_normal(shape)
    expected = P @ V + V @ Q - P @ V @ Q
    f = lambda A: best(namespace_of(A), A, svd)  # noqa: E731
    assert_close(jvp(f, (np.ones(shape),), (V,))[1], expected, rtol=1e-12)
    assert_close(vjp(f, np.ones(shape))[1](V)[0], expected, rtol=1e-12)


def test_exactly_zero_singular_values():
    A = np.diag([3.0, 2.0, 0.0, 0.0])
    V = np.random.default_rng(0).standard_normal((4, 4))
    f = lambda A: best(namespace_of(A), A, rank=2)  # noqa: E731
    P = np.diag([1.0, 1.0, 0.0, 0.0])
    expected = P @ V + V @ P - P @ V @ P
    assert_close(jvp(f, (A,), (V,))[1], expected, rtol=1e-12)
    assert_close(vjp(f, A)[1](V)[0], expected, rtol=1e-12)


# --- norms at 0


NORMS = {
    "vector": lambda xp, x: xp.linalg.vector_norm(x) ** 2,
    "rows": lambda xp, x: xp.linalg.vector_norm(x, axis=-1, keepdims=True) ** 2,
    "matrix": lambda xp, x: xp.linalg.matrix_norm(x) ** 2,
    "absolute": lambda xp, x: xp.abs(x) ** 2,
}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_the_square_of_a_norm_is_smooth(kind, at):
    x, v = np.full((2, 3), at), np.arange(6.0).reshape(2, 3)
    f = total(NORMS[kind])
    assert_close(grad(f)(x), 2 * x)
    assert_close(hvp(f, x, v), 2 * v)
    assert_close(jacfwd(jacrev(f))(x).reshape(6, 6), 2 * np.eye(6))


def test_a_norm_has_no_second_derivative_at_0():
    f = lambda x: namespace_of(x).linalg.vector_norm(x)  # noqa: E731
    assert not np.any(grad(f)(np.zeros(2)))
    assert not np.isfinite(hvp(f, np.zeros(2), np.ones(2))).any()
    assert not np.isfinite(hvp(lambda x: f(x) * f(x), np.zeros(2), np.ones(2))).any()  # rather than 0
    assert_close(grad(lambda x: f(x) ** 3)(np.ones(4)), 6 * np.ones(4))


# --- 0·∞ = 0

HIDDEN = {  # finite, with a derivative that is infinite or NaN where it is not used
    "sqrt": lambda xp, x: xp.where(x < 1, x, xp.sqrt(x)),
    "log": lambda xp, x: xp.where(x > 0, xp.log(x), x),
    "entropy": lambda xp, x: xp.where(x > 0, x * xp.log(x), x),
    "divide": lambda xp, x: xp.where(x > 0, 1 / x, x),
    "power": lambda xp, x: xp.where(x > 0, x**0.3, x),
    "softplus": lambda xp, x: xp.where(x > -1, x, xp.log1p(xp.exp(1000 * x - 2000))),
    "exp": lambda xp, x: xp.where(x < 9, x, xp.exp(1e4 * x)),
    "maximum": lambda xp, x: xp.maximum(xp.log(x), -1 + 0 * x),
    "clip": lambda xp, x: xp.clip(xp.sqrt(x), 0.5, 3.0),
    "index": lambda xp, x: xp.sqrt(x)[1:],
    "take": lambda xp, x: xp.take(xp.sqrt(x), xp.asarray(np.asarray([1, 1]))),
    "largest": lambda xp, x: xp.max(xp.sqrt(x)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the values; derivatives give none
@pytest.mark.parametrize("kind", HIDDEN)
def test_what_is_not_chosen_does_no_harm(kind):
    x = np.asarray([0.0, 4.0])
    f = total(HIDDEN[kind])
    reverse, forward = grad(f)(x), jacfwd(f)(x)
    assert np.isfinite(reverse).all()
    assert_close(forward, reverse, rtol=1e-14)
    assert_close(reverse[1:], differences(f, np.asarray([1.0, 4.0]))[1:], rtol=1e-7)


def test_jacobians_have_zeros_beside_infinities():
    x = np.asarray([0.0, 4.0])
    for jacobian in (jacfwd, jacrev):
        J = jacobian(lambda x: namespace_of(x).sqrt(x))(x)
        assert np.array_equal(J, [[np.inf, 0.0], [0.0, 0.25]])


def test_a_derivative_that_is_not_known_is_nan():
    """√x² = x, but not from 2√x · 1/(2√x) at 0."""
    f = lambda x: namespace_of(x).square(namespace_of(x).sqrt(x))  # noqa: E731
    assert np.isnan(grad(f)(np.asarray(0.0)))


def test_division_by_the_number_0():
    with np.errstate(all="ignore"):
        assert grad(total(lambda xp, x: x / 0.0))(np.asarray([1.0])) == np.inf
        assert grad(total(lambda xp, x: x / -0.0))(np.asarray([1.0])) == -np.inf
        assert jacfwd(total(lambda xp, x: x / 0))(np.asarray([1.0])) == np.inf
        assert_close(grad(total(lambda xp, x: xp.where(x > 2, x / 0.0, x)))(np.asarray([1.0])), [1.0])


# --- empty, short and long axes


@pytest.mark.parametrize(("length", "n"), [(1, 1), (1, 2), (2, 3), (0, 1), (5, 2)])
def test_differences_of_short_axes(length, n):
    x = np.arange(float(length)) ** 2
    f = weighted(lambda xp, x: xp.diff(x, n=n))
    assert_close(grad(f)(x), differences(f, x) if length == 5 else np.zeros(length), atol=1e-7)
    assert jacfwd(f)(x).shape == x.shape


def test_reductions_of_nothing():
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="empty"):
        assert grad(lambda x: namespace_of(x).mean(x))(np.zeros(0)).shape == (0,)
    for name in ("sum", "prod"):
        assert grad(lambda x, name=name: getattr(namespace_of(x), name)(x))(np.zeros(0)).shape == (0,)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees"):
        assert np.isnan(grad(lambda x: namespace_of(x).var(x, correction=1))(np.ones(1))).all()


CUMULATIVE = {
    "plain": np.asarray([1.5, -0.5, 2.0, 3.0, 0.7]),
    "a zero": np.asarray([1.5, 0.0, 2.0, 3.0, 0.7]),
    "zeros": np.asarray([0.0, 2.0, 0.0, 3.0, 0.0]),
    "one": np.asarray([2.0]),
    "a matrix": np.arange(12.0).reshape(4, 3) - 4,
}


@pytest.mark.parametrize("kind", CUMULATIVE)
@pytest.mark.parametrize("initial", [False, True])
def test_cumulative_products(kind, initial):
    x = CUMULATIVE[kind]
    f = weighted(lambda xp, x: xp.cumulative_prod(x, axis=0, include_initial=initial))
    check(f, x)
    v, h = np.cos(np.arange(x.size)).reshape(x.shape), 1e-5
    expected = (grad(f)(x + h * v) - grad(f)(x - h * v)) / (2 * h)
    assert_close(hvp(f, x, v), expected, rtol=1e-6, atol=1e-6)


def test_a_long_cumulative_product_takes_little():
    n = 1024
    f = lambda x: namespace_of(x).sum(namespace_of(x).cumulative_prod(x))  # noqa: E731
    _, tally = xs.count(grad(f), np.full(n, 0.999))
    assert tally.flops < 60 * n * math.log2(n)
    assert tally.bytes < 500 * n * math.log2(n)


# --- extreme arguments

EXTREMES = {  # name, arguments, derivative in the first of them
    "atan2 large": ("atan2", (1e170, 1e170), 5e-171),
    "atan2 small": ("atan2", (1e-170, 1e-170), 5e169),
    "hypot large": ("hypot", (1e170, 1e170), math.sqrt(0.5)),
    "tanh": ("tanh", (20.0,), 4 * math.exp(-40.0)),
    "tanh negative": ("tanh", (-30.0,), 4 * math.exp(-60.0)),
    "tanh far": ("tanh", (1e5,), 0.0),
    "asinh large": ("asinh", (1e200,), 1e-200),
    "acosh large": ("acosh", (1e200,), 1e-200),
    "atan large": ("atan", (1e150,), 1e-300),
    "logaddexp equal": ("logaddexp", (-math.inf, -math.inf), 0.5),
    "logaddexp infinite": ("logaddexp", (math.inf, math.inf), 0.5),
    "logaddexp one": ("logaddexp", (-math.inf, 1.0), 0.0),
    "logaddexp other": ("logaddexp", (1.0, -math.inf), 1.0),
    "logaddexp far": ("logaddexp", (1e5, -1e5), 1.0),
}


@pytest.mark.parametrize("kind", EXTREMES)
def test_extreme_arguments(kind):
    name, at, expected = EXTREMES[kind]
    f = lambda *a: getattr(namespace_of(a[0]), name)(*a)  # noqa: E731
    arrays = [np.asarray(a) for a in at]
    tangents = [np.asarray(float(i == 0)) for i in range(len(at))]
    for found in (grad(f)(*arrays), jvp(f, arrays, tangents)[1]):
        assert float(found) == pytest.approx(expected, rel=1e-14, abs=0)


def test_extreme_arguments_in_single_precision():
    f = lambda name: lambda x: getattr(namespace_of(x), name)(x)  # noqa: E731
    one = lambda x: np.asarray(x, dtype=np.float32)  # noqa: E731
    assert float(grad(f("asinh"))(one(1e25))) == pytest.approx(1e-25, rel=1e-6)
    assert float(grad(f("tanh"))(one(20.0))) == pytest.approx(4 * math.exp(-40), rel=1e-5)
    assert float(hvp(f("tanh"), one(100.0), one(1.0))) == 0


def test_derivatives_of_tanh_of_any_order():
    f = lambda x: namespace_of(x).tanh(x)  # noqa: E731
    for x in (0.0, 0.4, -2.0):
        t = math.tanh(x)
        third = grad(grad(grad(f)))(np.asarray(x))
        assert float(third) == pytest.approx((1 - t * t) * (6 * t * t - 2), rel=1e-12)


def test_one_convention_for_infinite_entries():
    a = np.asarray([-np.inf, -np.inf])
    half = [0.5, 0.5]
    assert_close(grad(lambda x: namespace_of(x).logaddexp(x[0], x[1]))(a), half)
    assert_close(grad(xs.logsumexp)(a), half)
    assert_close(grad(xs.logsumexp)(np.asarray([-np.inf, 0.0, -1e4])), [0.0, 1.0, 0.0])
    assert float(xs.logsumexp(a)) == -np.inf


# --- matrices of which one triangle is read


@pytest.mark.parametrize("name", ["eigvalsh", "cholesky"])
def test_the_triangle_that_is_read(name):
    A = np.random.default_rng(2).standard_normal((3, 3)) + 5 * np.eye(3)
    check(weighted(lambda xp, A: getattr(xp.linalg, name)(A)), A)


# --- floats, and contexts


def test_floats_are_arguments(xp):
    if xp.name == "dask":
        pytest.skip("Dask is tested on a solver")
    assert_close(grad(lambda x: x * x)(2.0), 4.0, like=np.asarray(0.0))
    y = xp([1.0, 2.0])
    found = grad(lambda c, y: namespace_of(y).sum(c * c * y))(3.0, y)
    assert_close(found, 18.0, like=y)
    _, tangent = jvp(lambda c, y: c * y, (3.0, y), (1.0, y))
    assert_close(tangent, [4.0, 8.0], like=y)
    assert_close(hvp(lambda c: c**3, 2.0, 1.0), 12.0)
    assert_close(vjp(lambda x: x * x, 2.0)[1](1.0)[0], 4.0)
    assert_close(jacfwd(lambda x: x * x)(2.0), 4.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: grad(3), TypeError, "^f: expected a function, got int"),
        (lambda: jacfwd(None), TypeError, "^f: expected"),
        (lambda: jacrev(None), TypeError, "^f: expected"),
        (lambda: vjp(None, 1.0), TypeError, "^f: expected"),
        (lambda: jvp(None, (1.0,), (1.0,)), TypeError, "^f: expected"),
        (lambda: hvp(None, 1.0, 1.0), TypeError, "^f: expected"),
        (lambda: autodiff.finite_difference(None, 1.0), TypeError, "^f: expected"),
        (lambda: grad(abs, "0"), TypeError, "^argnums: expected an integer"),
        (lambda: grad(abs, True), TypeError, "^argnums: expected an integer"),
        (lambda: grad(abs, 1.0), TypeError, "^argnums: expected an integer"),
        (lambda: grad(abs, ()), ValueError, "^argnums: expected one position or more"),
        (lambda: grad(abs, (0, 0)), ValueError, "^argnums: .*all different"),
        (lambda: grad(lambda x, y: x, (0, -2))(1.0, 2.0), ValueError, "^argnums: expected different"),
        (lambda: grad(abs)(2), TypeError, "^argument 0: expected an array, a float .*got int"),
        (lambda: grad(abs)("x"), TypeError, "^argument 0: .*got str"),
        (lambda: jvp(abs, (1.0,), ("x",)), ValueError, "^tangents: "),
        (lambda: hvp(lambda x: x, np.ones(2), np.ones(3)), ValueError, r"^v: .*\[\(2,\)\], got \[\(3,\)\]"),
        (lambda: autodiff.scan_gradient(1, 1.0, 1.0, abs), TypeError, "^step: expected"),
        (lambda: autodiff.scan_gradient(abs, 1.0, 1.0, 1), TypeError, "^loss: expected"),
        (lambda: xs.count(1, np.ones(2)), TypeError, "^f: expected a function"),
        (lambda: xs.count(abs, 1), TypeError, "^args: expected at least one array"),
        (lambda: xs.trace.peak_bytes(abs, 1), TypeError, "^args: expected at least one array"),
        (lambda: autodiff.implicit_gradient(abs, energy=1), TypeError, "^energy: expected"),
        (lambda: autodiff.implicit_gradient(1, energy=abs), TypeError, "^solve: expected"),
        (lambda: autodiff.implicit_gradient(abs, energy=abs, tol="x"), TypeError, "^tol: expected"),
        (lambda: autodiff.implicit_gradient(abs, energy=abs, max_iter=0.5), TypeError, "^max_iter: expected"),
        (lambda: autodiff.chain_cost(3), TypeError, "^dims: expected"),
        (lambda: autodiff.leapfrog(1, abs), TypeError, "^F: expected"),
        (lambda: autodiff.Reversible(abs, 1), TypeError, "^inverse: expected"),
    ],
)
def test_messages_begin_with_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()


def _is_unrolled():
    from xpsolve.autodiff import implicit

    return bool(implicit._UNROLLED.get())


def test_unrolled_cannot_stay_on():
    first, second = autodiff.unrolled(), autodiff.unrolled()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert _is_unrolled()
    second.__exit__(None, None, None)
    assert not _is_unrolled()
    seen = []
    with autodiff.unrolled():
        thread = threading.Thread(target=lambda: seen.append(_is_unrolled()))
        thread.start()
        thread.join()
    assert seen == [False]

    def fails():
        with autodiff.unrolled():
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fails()
    assert not _is_unrolled()


def test_a_shared_parameter_may_be_a_number():
    loss = lambda x: namespace_of(x).sum(x)  # noqa: E731
    for theta in (np.asarray(1.1), {"a": np.asarray(1.1)}):
        step = (lambda x, p: p["a"] * x) if isinstance(theta, dict) else (lambda x, p: p * x)
        found = autodiff.scan_gradient(step, np.ones(2), theta, loss, n_steps=3)[2]
        found = found["a"] if isinstance(theta, dict) else found
        assert float(found) == pytest.approx(2 * 3 * 1.1**2)


def test_iterations_with_one_unknown():
    """A Krylov space of one dimension is used up at once: its next vector is 0."""
    A, y = np.asarray([[0.844], [0.531]]), np.asarray([-0.842, -0.917])
    for method in ("ista", "fista", "working_set"):
        f = lambda A, method=method: (lambda x: x @ x)(xs.lasso(A, y, 0.3, method=method).x)  # noqa: E731
        expected = grad(f)(A)
        with autodiff.unrolled():
            assert_close(grad(f)(A), expected, rtol=1e-5)
            assert_close(jacfwd(f)(A), expected, rtol=1e-5)


def test_an_update_that_lists_its_places():
    check(weighted(lambda xp, x: xpx.at(x * 1)[[0, 2]].set(x[:2] ** 2, copy=True)), np.asarray([1.0, 2.0, 3.0]))
