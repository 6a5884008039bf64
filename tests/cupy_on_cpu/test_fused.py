"""Programs as fused kernels on CuPy: what they compute, and how few they are."""

import importlib
import itertools

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import namespace_of
from xpsolve.trace import cuda, repeat
from xpsolve.trace.fuse import Kernel, fused, place_in
from xpsolve.trace.program import values_in
from xpsolve.trace.record import record
from xpsolve.trace.replay import reduced
from xpsolve.trace.replay_cupy import CupyWriter, expanded
from xpsolve.trace.wrapper import arrays_in

cupy = pytest.importorskip("cupy")
emulator = pytest.importorskip("cupy.emulator", reason="a real CuPy does not say what it starts")
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, -1e30, np.inf, -np.inf, np.nan]


def programmed(f, *args):
    _, program = record(f, *args)
    return reduced(program)


def units(f, *args):
    program = programmed(f, *args)
    return fused(program.operations, values_in(program.outputs))


def replayed(f, *args):
    """What the kernels make of the arguments, and how many launches they were."""
    run = CupyWriter(programmed(f, *args)).once()
    flat = arrays_in(list(args))
    run(*flat)
    with emulator.counting() as seen:
        found = run(*flat)
    assert seen.uploads == 0
    return arrays_in(list(found)), seen.launches


def agree(found, expected, ulps=0):
    found, expected = found.get(), expected.get()
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if ulps == 0 or found.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, expected)
    else:
        info = np.finfo(found.dtype)
        np.testing.assert_allclose(found, expected, rtol=ulps * info.eps, atol=info.tiny)


def drawn(dtype, shape, rng):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return cupy.asarray(rng.choice(EDGES, shape).astype(dtype))
    if dtype.kind == "c":
        return cupy.asarray((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype))
    if dtype.kind == "b":
        return cupy.asarray(rng.random(shape) < 0.5)
    return cupy.asarray(rng.integers(0 if dtype.kind == "u" else -5, 6, shape).astype(dtype))


# --- every function, alone

ROUNDED = set(
    """exp expm1 log log1p log2 log10 sin cos tan sinh cosh tanh asinh acosh atanh asin acos atan atan2 hypot pow
    logaddexp""".split()
)
ONLY = {
    "bitwise_and": "bool",
    "bitwise_or": "bool",
    "bitwise_xor": "bool",
    "bitwise_invert": "bool",
    "conj": "complex128",
}
PAIRS = [
    ("float64", "float64"), ("float32", "float32"), ("float32", "float64"), ("int64", "int64"), ("int32", "int64"),
    ("uint8", "uint8"), ("uint8", "int32"), ("bool", "bool"), ("int32", "float32"), ("bool", "float64"),
    ("complex128", "complex128"), ("complex128", "complex64"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtypes", PAIRS)
def test_functions_are_those_of_the_library(dtypes):
    """The edges of the range are among the numbers; what C cannot do alike is left to the library."""
    rng = np.random.default_rng(0)
    args = [drawn("bool", (60,), rng), *(drawn(dtype, (60,), rng) for dtype in dtypes)]

    def of(name, c, x, y):
        function = getattr(namespace_of(x), name)
        count = cuda.operand_count(name)
        return function(c, x, y) if name == "where" else function(*(x, y)[:count])

    known = []
    for name in sorted(cuda.FUNCTIONS):
        try:
            of(name, *args)
        except (TypeError, AttributeError, ValueError):  # the library has no such function of them
            continue
        known.append(name)

    def f(*args):
        return [of(name, *args) for name in known]

    program = programmed(f, *args)
    assert (
        cuda.FUNCTIONS.keys() - known <= {"conj", *(name for name in ONLY if dtypes[0] != "bool")}
        or dtypes[0] != "float64"
    )
    done = {op.name for op in program.operations if cuda.is_elementwise(op)}
    assert done >= {
        name for name in known if ONLY.get(name, dtypes[0]) == dtypes[0] and dtypes[0] in ("float64", "float32")
    }
    found, launches = replayed(f, *args)
    for name, a, b in zip(known, found, f(*args), strict=True):
        agree(a, b, 8 if name in ROUNDED or "complex" in dtypes[0] else 0)
    if dtypes[0].startswith("float"):
        assert launches == 1 + -(-(len(known) - 1) // 16)  # conj of real numbers is the library's


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_of_python_are_weak(dtype):
    x, n = drawn(dtype, (30,), np.random.default_rng(0)), cupy.arange(5)

    def f(x, n):
        xp = namespace_of(x)
        return (
            0.1 * x, x + 1, 1 - x, x / 3, x**2, x > 0.1, x == 1, n + 1, n * 2, n > 0.5, xp.where(x > 0, 0.1, x),
            xp.where(x > 0, x, 1), x * float("inf"), x * float("nan"), x - 1e300, xp.astype(n, x.dtype) * 0.1, n / 2,
            xp.astype(x, xp.float64) * 0.1, xp.maximum(x, xp.zeros_like(x)), -n, abs(n), ~(x > 0),
            xp.full_like(x, 0.1) + x,
        )  # fmt: skip

    found, launches = replayed(f, x, n)
    for a, b in zip(found, f(x, n), strict=True):
        agree(a, b)
    assert launches == 2  # one for each shape


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool", "complex128"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), (-1, 0)])
@pytest.mark.parametrize("shape", [(5, 3, 7), (2, 3, 1), (40, 1, 2)])
def test_reductions(dtype, axis, shape):
    rng = np.random.default_rng(1)
    x = drawn(dtype, shape, rng)
    rows = drawn(dtype, shape[-1:], rng)

    def f(x, rows):
        xp, found = namespace_of(x), []
        for name in ("sum", "prod", "max", "min", "any", "all", "mean", "count_nonzero"):
            if np.dtype(dtype).kind == "c" and name not in ("sum", "prod"):
                continue
            if name == "mean" and np.dtype(dtype).kind != "f":
                continue
            for keepdims in (False, True):
                found.append(getattr(xp, name)(x, axis=axis, keepdims=keepdims))
                if name in ("max", "min") and dtype != "bool":
                    found.append(getattr(xp, name)(xp.where(rows != 0, rows - x, x), axis=axis))
        if dtype == "float64":
            found += [xp.linalg.vector_norm(x, axis=axis, ord=order) for order in (1, 2, np.inf)]
        return tuple(found)

    if dtype == "bool":

        def f(x, rows):
            xp = namespace_of(x)
            return (
                xp.any(x, axis=axis), xp.all(x & rows, axis=axis, keepdims=True),
                xp.sum(xp.astype(x, xp.int64), axis=axis), xp.count_nonzero(x | rows, axis=axis),
            )  # fmt: skip

    with np.errstate(all="ignore"):
        expected = f(x, rows)
    found, launches = replayed(f, x, rows)
    for a, b in zip(found, expected, strict=True):
        agree(a, b, 64)
    kinds = sum(isinstance(unit, Kernel) for unit in units(f, x, rows))
    assert launches == kinds <= 5, launches


# --- random programs, whose arithmetic is exact or done in the same order


def random_function(seed):
    """Random operations on (6, 4), (4,), (6, 1), (4, 6) and a number; sums are of small integers."""

    def f(*inputs):
        xp, rng = namespace_of(inputs[0]), np.random.default_rng(seed)
        values = list(inputs)

        def pick(shape=None):
            fitting = [x for x in values if shape is None or fits(x.shape, shape)]
            return fitting[int(rng.integers(len(fitting)))]

        def fits(a, b):
            try:
                return len(np.broadcast_shapes(a, b)) <= 2
            except ValueError:
                return False

        def small(x):
            x = xp.where(xp.isfinite(x), x, xp.zeros_like(x))
            return xp.round(xp.minimum(xp.maximum(x, xp.zeros_like(x) - 8), xp.zeros_like(x) + 8))

        for _ in range(int(rng.integers(3, 30))):
            a = pick()
            b = pick(a.shape)
            kind = int(rng.integers(11))
            if kind <= 3:
                x = (a + b, a - b, a * b, xp.maximum(a, b), xp.minimum(b, a), a / (1 + abs(b)))[int(rng.integers(6))]
            elif kind == 4:
                x = xp.where(a > b, a, b) if rng.integers(2) else xp.where((a == b) | (a < 0), xp.ones_like(b), b)
            elif kind == 5:
                x = (abs(a), -a, 2 * a - 1, xp.sqrt(abs(a)), a**2, xp.trunc(a), xp.floor(a))[int(rng.integers(7))]
            elif kind == 6 and a.ndim:
                axis = int(rng.integers(-a.ndim, a.ndim))
                x = (xp.sum(small(a), axis=axis), xp.max(a, axis=axis, keepdims=True), xp.min(a, axis=axis))[
                    int(rng.integers(3))
                ]
            elif kind == 7:
                x = (xp.sum(small(a)), xp.max(a), xp.sum(small(a), keepdims=True), xp.sum(small(a) * small(a)))[
                    int(rng.integers(4))
                ]
            elif kind == 8 and a.ndim == 2:
                x = (
                    a.T,
                    xp.reshape(a, (-1,)),
                    a[1:, ...],
                    a[:, 0],
                    a[-1, :],
                    a[:, :, None][..., 0],
                    small(a).T @ small(a),
                )[int(rng.integers(7))]
            elif kind == 9 and a.ndim == 1:
                x = (a[:, None], a[None, :], a[0], a[::-1], xp.concat([a, a]), xp.reshape(a, (1, -1)))[
                    int(rng.integers(6))
                ]
            elif kind == 10 and a.shape and a.shape[0] % 2 == 0:
                x = xp.reshape(a, (2, -1))
            else:
                x = xp.astype(xp.astype(a, xp.float32), a.dtype)
            values.append(x)
        chosen = [values[int(i)] for i in rng.integers(0, len(values), int(rng.integers(1, 5)))]
        return (*chosen, values[-1])

    return f


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(60))
def test_random_programs_have_the_same_bits(monkeypatch, seed, dtype):
    monkeypatch.delenv("CUPY_ON_CPU_RECORD", raising=False)  # NVRTC sees their functions in the tests above
    rng = np.random.default_rng(seed)
    args = [drawn(dtype, shape, rng) for shape in ((6, 4), (4,), (6, 1), (4, 6), ())]
    f = random_function(seed)
    with emulator.counting() as plain:
        expected = f(*args)
    found, launches = replayed(f, *args)
    assert launches <= plain.launches
    for a, b in zip(found, expected, strict=True):
        agree(a, b)


# --- launches of a step, plain and replayed

rng = np.random.default_rng(0)
A, y = cupy.asarray(rng.standard_normal((50, 200))), cupy.asarray(rng.standard_normal(50))
TALL, Y = cupy.asarray(rng.standard_normal((200, 50))), cupy.asarray(rng.standard_normal(200))
SIGNS = cupy.asarray(np.where(rng.random(200) < 0.5, 1.0, -1.0))
a, b = (cupy.asarray(np.full(n, 1 / n)) for n in (40, 50))
M = cupy.asarray((rng.random((40, 1)) - rng.random((1, 50))) ** 2)
SHORT = {"max_iter": 120, "tol": 0.0}
TV = xs.penalties.TotalVariation

LOOPS = {
    "ista": (lambda A, y: xs.lasso(A, y, 0.3, method="ista", **SHORT), (A, y), 6, 3),
    "fista": (lambda A, y: xs.lasso(A, y, 0.3, method="fista", **SHORT), (A, y), 8, 3),
    "fista, Gram matrix": (lambda A, y: xs.lasso(A, y, 0.3, method="fista", **SHORT), (TALL, Y), 7, 2),
    "elastic net": (lambda A, y: xs.elastic_net(A, y, 0.3, 0.5, method="fista", **SHORT), (A, y), 9, 3),
    "sinkhorn scaling": (lambda *x: xs.sinkhorn(*x, 0.05, method="scaling", **SHORT), (a, b, M), 4, 4),
    "sinkhorn log": (lambda *x: xs.sinkhorn(*x, 0.05, method="log", **SHORT), (a, b, M), 10, 4),
    "primal-dual": (lambda A, y: xs.minimize(xs.LeastSquares(A, y), TV(0.1, (50,)), **SHORT), (TALL, Y), 32, 5),
    "primal-dual of a picture": (
        lambda A, y: xs.minimize(xs.LeastSquares(A, y), TV(0.1, (5, 10)), **SHORT), (TALL, Y), 32, 5
    ),
    "nesterov": (
        lambda A, y: xs.gradient_descent(xs.Logistic(A, y, 1e-2), momentum="nesterov", **SHORT), (TALL, SIGNS), 32, 4
    ),
    "conjugate gradients": (lambda A, y: xs.ridge(A, y, 1.0, method="cg", **SHORT), (TALL, Y), 31, 7),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("name", LOOPS)
def test_a_step_of_a_loop_starts_few_kernels(name):
    solve, args, plain, few = LOOPS[name]
    repeat._unused.clear()  # other tests have made recordings of the same steps in vain
    _, tally = xs.count(solve, *args)
    assert (plain, few) in tally.steps.values(), tally.steps
    solve(*args)
    with emulator.counting() as seen:
        found = solve(*args)
    assert seen.launches + seen.uploads == tally.replayed
    expected = solve(*(x.get() for x in args))
    for x, wanted in zip(arrays_in(found.x), arrays_in(expected.x), strict=True):
        np.testing.assert_allclose(x.get(), wanted, rtol=1e-9, atol=1e-9 * np.max(abs(wanted)))


LAYERS = [20, 10, 15, 5]
WEIGHTS = [cupy.asarray(rng.standard_normal((n, m))) for m, n in itertools.pairwise(LAYERS)]
BIASES = [cupy.asarray(rng.standard_normal(n)) for n in LAYERS[1:]]
SAMPLES = cupy.asarray(rng.standard_normal((20, 64)))


@pytest.mark.parametrize("rho", ["tanh", "relu", "sigmoid", "softplus", "leaky_relu"])
def test_a_layer_starts_few_kernels(rho):
    """Forward a product and its activation; backward two products, the derivative, and the sum for the bias."""
    X = xs.mlp_forward(WEIGHTS, BIASES, SAMPLES, rho)
    found, launches = replayed(lambda W, b, Z: xs.mlp_forward(W, b, Z, rho), WEIGHTS, BIASES, SAMPLES)
    assert launches == 2 * len(WEIGHTS)
    for x, wanted in zip(found, X, strict=True):
        close(x, wanted)
    g = X[-1] * 2.0
    expected = arrays_in(list(xs.mlp_backward(WEIGHTS, BIASES, X, g * 1, rho)))
    found, launches = replayed(lambda W, b, X, g: xs.mlp_backward(W, b, X, g, rho), WEIGHTS, BIASES, X, g)
    assert launches <= 4 * len(WEIGHTS) - 1
    for x, wanted in zip(found, expected, strict=True):
        close(x, wanted)


def close(found, expected):
    found, expected = found.get(), expected.get()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.max(abs(expected)))


@pytest.mark.parametrize(("objective", "most"), [(xs.LeastSquares, 10), (xs.Logistic, 27)])
def test_a_block_of_sgd_starts_few_kernels(objective, most, monkeypatch):
    module = importlib.import_module("xpsolve.stochastic.sgd")  # not the function of that name

    class Taken(Exception):
        pass

    block = module._Descent.block

    def first(*args):
        raise Taken(*args)

    monkeypatch.setattr(module._Descent, "block", first)
    with pytest.raises(Taken) as taken:
        xs.sgd(objective(TALL, SIGNS, 1e-2), block=100, epochs=1)
    descent, state, index, part, sweeps = taken.value.args
    f = _block(block, descent, sweeps)
    (expected, _), ((found, *_), launches) = f(state, index, part), replayed(f, state, index, part)
    assert launches <= most
    close(found, expected.X)


def _block(block, descent, sweeps):
    return lambda state, index, part: block(descent, state, index, part, sweeps)


# --- what holds them together


def test_a_constant_is_taken_out_of_a_product_where_no_digits_are_lost():
    L, x = TALL, Y[:50]
    _, program = record(lambda x: (L.T @ (Y - L @ x), L.T @ (Y[:200] - (L @ x) * 2)), x)
    names = [op.name for op in expanded(program, []).operations]
    assert names == ["matmul", "matmul", "matmul", "subtract", "matmul", "multiply", "subtract", "matmul"]


def test_long_chains_are_cut():
    """A chain of sums, each of what the others made: no kernel computes all of it anew, nor has too many arguments."""

    def f(x):
        xp = namespace_of(x)
        t = xp.sum(x) * 0
        for k in range(100):
            t = t + xp.sum(x * t) / (k + 1.0) + 1.0
        return t

    x = cupy.asarray(np.full(30, 1e-3))
    (found,), launches = replayed(lambda x: (f(x),), x)
    agree(found, f(x), 1e3)
    assert launches <= 201
    for unit in units(f, x):
        assert not isinstance(unit, Kernel) or (len(unit.arguments) <= 33 and len(unit.steps) <= 150)


def test_long_sums_are_those_of_the_library_which_uses_the_whole_device():
    x = cupy.asarray(np.ones(1 << 16))
    (found,), launches = replayed(lambda x: (namespace_of(x).sum(x * x),), x)
    assert float(found) == 1 << 16
    assert launches == 2
    assert [isinstance(unit, Kernel) for unit in units(lambda x: namespace_of(x).sum(x * x), x)] == [True, False]


def test_places_of_smaller_results():
    assert place_in((4, 3), (3, 1)) is None
    assert place_in((2, 4, 3), (4, 1)) is None
    assert place_in((2, 4, 3), (1, 4, 3)) == ("first", 12)
    assert place_in((2, 4, 3), (2, 4, 1)) == ("every", 3)
    assert place_in((1, 1), ()) == ("all", 1)


# --- reshapes between operations


def to_rows_and_back(xp, z, x):
    Z = xp.reshape(2.0 * z + x, (2, -1))
    scaled = Z / xp.maximum(xp.sqrt(xp.sum(Z * Z, axis=0, keepdims=True)), 1.0)
    return (z - xp.reshape(scaled, (-1,)),)


def a_chain_of_shapes(xp, z, x):
    return (xp.reshape(xp.reshape(z + x, (4, 6)) * 2.0, (3, 8)) - 1.0,)


def two_shapes_are_returned(xp, z, x):
    return z + x, xp.reshape(z + x, (4, 6)) * 2.0


def columns_and_rows(xp, z, x):  # no one shape for both
    y = z * x
    return (
        xp.reshape(y, (4, 6)) + xp.reshape(x, (4, 6))[:, :1],
        xp.reshape(y, (8, 3)) + xp.reshape(x, (8, 3))[:1, :],
    )


@pytest.mark.parametrize(
    ("f", "launches"),
    [(to_rows_and_back, 1), (a_chain_of_shapes, 1), (two_shapes_are_returned, 1), (columns_and_rows, 3)],
)
@pytest.mark.parametrize("every", [1, 2])
def test_operations_on_both_sides_of_a_reshape_share_a_kernel(rng, f, launches, every):
    z, x = (cupy.asarray(rng.standard_normal(24 * every))[::every] for _ in range(2))
    found, counted = replayed(lambda z, x: f(namespace_of(z), z, x), z, x)
    assert counted <= launches + 4 * (every - 1)  # such arrays must be copied into another shape
    for a, b in zip(found, f(namespace_of(z), z, x), strict=True):
        agree(a, b, ulps=2)
