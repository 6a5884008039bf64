"""Each kernel in CUDA C against its version in standard functions, on ordinary numbers and at the edges.

A compiler for GPUs computes a·b + c with one rounding, functions one after another with two: they may differ by the
rounding of the terms, which is more than that of a sum in which terms cancel.  The emulation tries both.
"""

import numpy as np
import pytest
import scipy.sparse

from xpsolve.arrays.linalg import cholesky, trustworthy
from xpsolve.operators.sparse import Sparse, dense_rows
from xpsolve.penalties.shrink import shrink
from xpsolve.proximal.proximal_gradient import extrapolate
from xpsolve.transport._increments import lowered, lowered_kernel, raised
from xpsolve.transport._kernels import gibbs, relaxed, scaled, soft_columns, soft_rows
from xpsolve.transport._marginals import sought
from xpsolve.transport._relaxation import control

cupy = pytest.importorskip("cupy")
emulator = getattr(cupy, "emulator", None)  # a real CuPy has none
N = 4000


class Draw:
    """Random device arrays; `edges` puts zeros, infinities, NaN and the ends of the range among them."""

    def __init__(self, dtype, edges):
        self.dtype, self.edges, self.rng = np.dtype(dtype), edges, np.random.default_rng(1)
        info = np.finfo(dtype)
        ends = [0, -0.0, np.nan, np.inf, -np.inf, 1, -1, 1e-30, 1e30, info.tiny, info.max]
        self.special = np.array(ends, dtype)

    def __call__(self, *shape, positive=False):
        x = self.rng.standard_normal(shape)
        special = self.special
        if positive:
            x, special = np.abs(x), np.abs(special)
        if self.edges:
            x = np.where(self.rng.random(shape) < 0.4, self.rng.choice(special, shape), x)
        return self.device(x)

    def among(self, values, *shape):
        return self.device(self.rng.choice(values, shape))

    def device(self, x):
        with np.errstate(all="ignore"):
            return cupy.asarray(np.asarray(x, self.dtype))


def _shrink(d):
    return shrink, (d(N, 3), d(3, positive=True))


def _shrink_with_nan_thresholds(d):
    return shrink, (d(N), d.among([np.nan, 0.5, np.inf], N))


def _extrapolate(d):
    return extrapolate, (d(N, 3), d(N, 3), d.device([0, 1, 5]))


def _relaxed(d):
    omega = d.device(1.9 * d.rng.random((N, 1)))
    return relaxed, (d(N, 3, positive=True), d(N, 3, positive=True), d(N, 3, positive=True), omega)


def _sought(d):
    power = d.device(2.0 * d.rng.random((N, 1)))
    return sought, (d(N, 3, positive=True), d(N, 3, positive=True), d(N, 3, positive=True), power)


def _control(final, fixed):
    def make(d):
        errors = d(N, 1, positive=True), d(N, 1, positive=True)
        omega, trust, age = d.among([0, 1, 1.3, 1.9], N, 1), d.device(d.rng.random((N, 1))), d.among([0, 10, 40], N, 1)
        flag = cupy.asarray(np.asarray(final))
        return control, (*errors, omega, trust, age, d.device(1e-6), flag, 1e-3, 10.0, fixed)

    return make


def _costs(d, *shape):
    """Ordinary costs, or those that an optimal transport may have: infinite where no mass may go."""
    costs = abs(d.rng.standard_normal(shape))
    if d.edges:
        costs = np.where(
            d.rng.random(shape) < 0.3, d.rng.choice([0, np.inf, np.nan, 1e30], shape, p=[0.4, 0.5, 0.02, 0.08]), costs
        )
        costs[..., 0, :] = np.inf  # a row, and then a column, to which nothing goes
        costs[..., :, 1] = np.inf
    return d.device(costs)


def _potentials(d, *shape):
    potentials = 3 * d.rng.standard_normal(shape)
    if d.edges:
        potentials = np.where(d.rng.random(shape) < 0.2, d.rng.choice([0, -1e30, 700, -700], shape), potentials)
    return d.device(potentials)


def _gibbs(batch, each):
    def make(d):
        M = _costs(d, batch, 30, 40) if each else _costs(d, 30, 40)
        return gibbs, (M, _potentials(d, batch, 30), _potentials(d, batch, 40), d.device(0.5))

    return make


def _soft(function, batch, each, *, turned=False):
    def make(d):
        M = _costs(d, batch, 30, 40) if each else _costs(d, 30, 40)
        M = _costs(d, 40, 30).T if turned else M
        return function, (M, _potentials(d, batch, 40 if function is soft_rows else 30), d.device(0.5))

    return make


def _between(function, batch, each):
    def make(d):
        K = d(batch, 30, 40, positive=True) if each else d(30, 40, positive=True)
        return function, (K, d(batch, 30, positive=True), d(batch, 40, positive=True))

    return make


def _lowered_kernel_alone(d):
    return lowered_kernel, (d(30, 40, positive=True),)


def _lowered(d):
    return lowered, (d(3, N), d(3, N), d(3, N))


def _raised(d):
    part = cupy.asarray(d.rng.standard_normal((3, N)).astype(np.float32))
    return raised, (d(3, N), part, d(3, N), d(3, 1))


def _trustworthy(sign):
    def make(d):
        L = d(40, 40)
        L.diagonal()[...] = d.device([sign] + 39 * [1])
        return trustworthy, (L, d(40, 40, positive=True))

    return make


def _dense_rows(columns):
    def make(d):
        S = scipy.sparse.random(50, 300, density=0.1, random_state=d.rng, format="lil")
        S[7], S[8] = 0, d.rng.standard_normal(300)  # an empty row and a full one
        S = Sparse(pytest.importorskip("cupyx.scipy.sparse").csr_matrix(S.tocsr().astype(d.dtype)))
        S = S._entrywise(lambda numbers: d(numbers.shape[0]))
        return dense_rows, (cupy.asarray(d.rng.integers(0, 50, 30)), S.rows, columns)

    return make


KERNELS = {
    **{f"trustworthy {sign}": _trustworthy(sign) for sign in (1, 0, -1, 1e-9, np.nan, np.inf)},
    **{f"gibbs {batch} {each}": _gibbs(batch, each) for batch, each in ((1, False), (3, False), (3, True))},
    **{
        f"{f.__name__} {batch} {each}": _soft(f, batch, each)
        for f in (soft_rows, soft_columns)
        for batch, each in ((1, False), (3, False), (3, True))
    },
    **{f"{f.__name__} turned": _soft(f, 2, False, turned=True) for f in (soft_rows, soft_columns)},
    **{
        f"{f.__name__} {batch} {each}": _between(f, batch, each)
        for f in (scaled, lowered_kernel)
        for batch, each in ((1, False), (3, True))
    },
    "lowered_kernel alone": _lowered_kernel_alone,
    "lowered": _lowered,
    **{f"dense_rows {columns}": _dense_rows(columns) for columns in (None, range(100, 250))},
    "raised": _raised,
    "shrink": _shrink,
    "shrink, NaN as threshold": _shrink_with_nan_thresholds,
    "extrapolate": _extrapolate,
    "relaxed": _relaxed,
    "sought": _sought,
    **{f"control, final={a}, fixed={b}": _control(a, b) for a in (True, False) for b in (0.0, 1.5)},
}


def _extrapolated_terms(X, before, j):
    return abs(X) + abs(j / (j + 3)) * (abs(X) + abs(before))


def _raised_terms(p0, part, to_u, unit):
    return abs(p0) + abs(part * to_u * unit)


def _soft_terms(*_):
    return 100  # a logarithm, whose rounding is that of its largest term


TERMS = {
    "extrapolate": _extrapolated_terms,
    "raised": _raised_terms,
    "soft_rows": _soft_terms,
    "soft_columns": _soft_terms,
}
"""By function: the sum of its terms in absolute value, where they may cancel."""


def _differ(found, expected, terms):
    """Where they are further apart than the rounding of so large terms; where one overflows, anything may come out."""
    info = np.finfo(found.dtype)
    overflows = np.isfinite(terms) & (terms > info.max)
    bound = 16 * (info.eps * np.maximum(terms, abs(expected)) + info.tiny)
    close = (abs(found - expected) <= bound) & np.isfinite(found) & np.isfinite(expected)
    return ~(close | (found == expected) | (np.isnan(found) & np.isnan(expected)) | overflows)


@pytest.fixture(params=[False, True] if emulator else [None], ids=lambda fused: "fused" if fused else "as written")
def fused(request, monkeypatch):
    """Whether the emulated compiler fuses multiplications and additions; None for that of a real CuPy, which does."""
    if emulator:
        monkeypatch.setattr(emulator, "FUSED", request.param)
    return request.param


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("edges", [False, True], ids=["ordinary", "edges"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", KERNELS)
def test_the_kernel_equals_the_standard_version(name, dtype, edges):
    function, arguments = KERNELS[name](Draw(dtype, edges))
    with np.errstate(all="ignore"):
        found, expected = function(*arguments), function.standard(*arguments)
        wide = [x.get().astype(np.longdouble) if isinstance(x, cupy.ndarray) else x for x in arguments]
        terms = TERMS.get(name.split()[0], lambda *_: 0)(*wide)
    found, expected = (x if isinstance(x, tuple) else (x,) for x in (found, expected))
    for x, y in zip(found, expected, strict=True):
        x, y = x.get(), y.get()
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if x.dtype.kind == "f":
            with np.errstate(all="ignore"):
                wrong = _differ(x, y, terms)
            assert not np.any(wrong), (x[wrong], y[wrong])
        else:
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("pessimist", [False, True])
@pytest.mark.parametrize("n", [1, 6, 600])
def test_a_matrix_that_is_not_definite_is_seen_whatever_is_left_in_its_factor(n, pessimist, monkeypatch):
    emulator = pytest.importorskip("cupy.emulator", reason="a real CuPy leaves what it does")
    monkeypatch.setattr(emulator, "PESSIMIST", pessimist)
    rng = np.random.default_rng(n)
    A = rng.standard_normal((2 * n, n))
    G = A.T @ A
    least, most = np.linalg.eigvalsh(G)[[0, -1]]
    for shift, definite in ((0, True), (-(least + most) / 2, False), (-2 * most, False)):
        _, flag = cholesky(cupy.asarray(G + shift * np.eye(n)))
        assert bool(flag) is definite
