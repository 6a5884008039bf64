"""Jacobian chains: every order against NumPy, counts against the formulas, the optimum against brute force."""

import itertools
import math

import numpy as np
import pytest
import scipy.sparse

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.autodiff import chain
from xpsolve.capabilities import TABLE
from xpsolve.operators import Dense, LinearOperator, Sparse
from xpsolve.testing import assert_close

ORDERS = costs.CHAIN_ORDERS


def jacobians(rng, dims, batch=()):
    return [rng.standard_normal((*batch, n, m)) for n, m in zip(dims[1:], dims, strict=False)]


def product(factors):
    """A_t⋯A_1 by NumPy, diagonals and operators made dense."""
    found = None
    for A in factors:
        if isinstance(A, LinearOperator):
            A = A @ np.eye(A.shape[1])
        elif scipy.sparse.issparse(A):
            A = A.toarray()
        elif A.ndim == 1:
            A = np.diag(A)
        found = A if found is None else A @ found
    return found


def brackets(first, last):
    """All bracketings of the factors first … last, as nested pairs."""
    if first == last:
        yield first
    for s in range(first, last):
        yield from itertools.product(brackets(first, s), brackets(s + 1, last))


class Blur(LinearOperator):
    """Differences of neighbours, and a column dropped: an operator without arrays, (n, n + 1)."""

    def __init__(self, n):
        super().__init__((n, n + 1))

    def _matvec(self, x):
        return x[1:, ...] - 0.5 * x[:-1, ...]

    def _rmatvec(self, y):
        from xpsolve.arrays import namespace_of

        xp = namespace_of(y)
        zero = xp.zeros_like(y[:1, ...])
        return xp.concat([zero, y]) - 0.5 * xp.concat([y, zero])


@pytest.mark.of("chain_jacobian")
def test_every_order_is_the_product(xp, rng):
    host = jacobians(rng, [5, 3, 6, 2, 4])
    there = [xp(A) for A in host]
    for order in ORDERS:
        assert_close(autodiff.chain_jacobian(there, order), product(host), like=there[0], rtol=20 * xp.eps**0.9)


@pytest.mark.of("chain_jacobian")
def test_diagonals_batches_and_both(xp, rng):
    A, C = jacobians(rng, [3, 4]), jacobians(rng, [4, 2])
    B = jacobians(rng, [4, 4], batch=(2, 3))
    chains = {
        "between": [*A, rng.standard_normal(4), *C],
        "at the ends": [rng.standard_normal(3), rng.standard_normal(3), *A, rng.standard_normal(4)],
        "nothing else": [rng.standard_normal(4), rng.standard_normal(4)],
        "one": [rng.standard_normal(4)],
        "a batch in the middle": [*A, *B, *C],
        "a batch first": [*B, rng.standard_normal(4), *C],
        "a batch last": [*A, rng.standard_normal(4), *B],
    }
    for name, host in chains.items():
        there = [xp(A) for A in host]
        for order in ORDERS:
            found = autodiff.chain_jacobian(there, order)
            assert found.shape == product(host).shape, (name, order)
            assert_close(found, product(host), like=there[0], rtol=20 * xp.eps**0.9)


@pytest.mark.parametrize("n", [1, 4])
def test_operators_of_every_kind_anywhere(rng, n):
    dense = lambda rows, columns: rng.standard_normal((rows, columns))  # noqa: E731
    sparse = scipy.sparse.csr_array(
        rng.standard_normal((n, n + 1)) * (rng.random((n, n + 1)) < 0.5)
    ) + scipy.sparse.eye_array(n, n + 1)
    kinds = {
        "functions": Blur(n),
        "dense": Dense(dense(n, n + 1)),
        "sparse": Sparse(sparse),
        "as SciPy has it": sparse,
        "transposed": Dense(dense(n + 1, n)).T,
        "a sum": 2.0 * Dense(dense(n, n + 1)) + Blur(n),
    }
    for op in kinds.values():
        chains = (
            [op, dense(5, n)],
            [dense(n + 1, 3), op],
            [dense(n + 1, 3), op, dense(2, n)],
            [rng.standard_normal(n + 1), op],
            [op, rng.standard_normal(n)],
            [rng.standard_normal(n + 1), op, rng.standard_normal(n), Blur(n).T],
            [Blur(n + 1), op, rng.standard_normal(n)],
            [rng.standard_normal((2, 3, n + 1, 2)), op],
            [op, rng.standard_normal((2, 3, 2, n))],
        )
        for factors, order in itertools.product(chains, ORDERS):
            found = autodiff.chain_jacobian(factors, order)
            assert_close(found, product(factors), atol=1e-13)


@pytest.mark.of("chain_jacobian")
def test_operators_live_where_the_arrays_do(xp, rng):
    host = [rng.standard_normal((4, 2)), Blur(3), rng.standard_normal((5, 3))]
    there = [A if isinstance(A, LinearOperator) else xp(A) for A in host]
    inside = [there[0], 3.0 * Dense(xp(rng.standard_normal((3, 4)))), there[2]]
    for order in ORDERS:
        assert_close(autodiff.chain_jacobian(there, order), product(host), like=there[0], rtol=20 * xp.eps**0.9)
        _, tally = xs.count(autodiff.chain_jacobian, inside, order)
        assert tally.product_flops == 2 * autodiff.chain_cost([2, 4, 3, 5], order)


def test_counts_are_the_costs_for_200_random_lists_and_all_orders(rng):
    for _ in range(200):
        dims = [int(n) for n in rng.integers(1, 24, size=rng.integers(2, 10))]
        factors = jacobians(rng, dims)
        depth = len(factors)
        for order in ORDERS:
            found, tally = xs.count(autodiff.chain_jacobian, factors, order)
            assert tally.product_flops == 2 * autodiff.chain_cost(dims, order)
            assert (tally.launches, tally.syncs) == (depth - 1, TABLE["chain_jacobian"].syncs)
            reference = factors[0] if depth == 1 else np.linalg.multi_dot(factors[::-1])
            assert_close(found, reference, rtol=1e-10)


def test_the_formulas_of_the_two_modes(rng):
    for _ in range(50):
        n = [int(m) for m in rng.integers(1, 50, size=7)]
        t = len(n) - 1
        assert autodiff.chain_cost(n, "forward") == n[0] * sum(n[k - 1] * n[k] for k in range(2, t + 1))
        assert autodiff.chain_cost(n, "reverse") == n[t] * sum(n[k - 1] * n[k] for k in range(1, t))
        assert autodiff.chain_cost(n[::-1], "forward") == autodiff.chain_cost(n, "reverse")
        assert autodiff.chain_cost(n) == autodiff.chain_cost(n[::-1])


@pytest.mark.parametrize("t", range(1, 9))
def test_the_optimum_is_the_least_of_all_bracketings(rng, t):
    trees = list(brackets(0, t - 1))
    assert len(trees) == math.comb(2 * t - 2, t - 1) // t  # Catalan

    def price(tree, dims):
        """(rows, columns, multiply-adds)"""
        if isinstance(tree, int):
            return dims[tree + 1], dims[tree], 0
        (inner, columns, before), (rows, inner_too, after) = price(tree[0], dims), price(tree[1], dims)
        assert inner == inner_too
        return rows, columns, before + after + rows * inner * columns

    for _ in range(4):
        dims = [int(n) for n in rng.integers(1, 30, size=t + 1)]
        assert autodiff.chain_cost(dims) == min(price(tree, dims)[2] for tree in trees)


def test_the_optimum_with_diagonals_operators_and_batches_is_the_least_of_all_bracketings(rng):
    """The same brute force over prices of structured factors: scale, apply to columns or rows, form, or multiply."""

    def forms(value):
        kind, rows, columns, _, spent = value
        yield value
        if kind == "operator":
            yield "matrix", rows, columns, 1, spent + rows * columns * min(rows, columns)
        elif kind == "diagonal":
            yield "matrix", rows, columns, 1, spent

    def prices(tree, leaves):
        if isinstance(tree, int):
            yield from forms(leaves[tree])
            return
        for b, a in itertools.product(prices(tree[0], leaves), prices(tree[1], leaves)):
            items, spent = max(a[3], b[3]), a[4] + b[4]
            if {a[0], b[0]} <= {"operator", "diagonal"} and "operator" in (a[0], b[0]):
                continue
            if a[0] == b[0] == "diagonal":
                yield from forms(("diagonal", a[1], a[1], 1, spent + a[1]))
            elif "diagonal" in (a[0], b[0]):
                yield "matrix", a[1], b[2], items, spent + items * a[1] * b[2]
            else:
                yield "matrix", a[1], b[2], items, spent + items * a[1] * a[2] * b[2]

    for _ in range(60):
        leaves, n = [], int(rng.integers(1, 9))
        for kind in rng.choice(["matrix", "diagonal", "operator"], size=5):
            m = n if kind == "diagonal" else int(rng.integers(1, 9))
            leaves.append((str(kind), m, n, int(rng.choice([1, 3])) if kind == "matrix" else 1, 0))
            n = m
        every = (value for tree in brackets(0, 4) for value in prices(tree, leaves) if value[0] == "matrix")
        least = min(value[4] for value in every)
        described = tuple(chain._Factor(*leaf[:4], leaf[1] * leaf[2] * (leaf[0] == "operator")) for leaf in leaves)
        plans = {order: chain._plan(described, order).multiply_adds for order in ORDERS}
        assert plans["optimal"] == least, leaves
        assert least <= min(plans.values())


def test_structure_is_used(rng):
    wide, narrow, d = rng.standard_normal((40, 40)), rng.standard_normal((2, 40)), rng.standard_normal(40)
    _, tally = xs.count(autodiff.chain_jacobian, [wide, d, narrow])
    assert tally.product_flops == 2 * 2 * 40 * 40
    assert tally.by_op["multiply"].flops == 2 * 40  # the narrow neighbour is scaled, not the wide one
    _, tally = xs.count(autodiff.chain_jacobian, [d, d, d, narrow])
    assert tally.flops == 2 * 40 + 2 * 40  # the diagonals among themselves, then once the matrix
    stored = Sparse(scipy.sparse.eye_array(40))
    _, tally = xs.count(autodiff.chain_jacobian, [wide, stored, narrow])
    assert tally.by_op["sparse_product"].flops == 2 * 40 * 2  # two rows through the adjoint, not forty columns
    _, tally = xs.count(autodiff.chain_jacobian, [rng.standard_normal((3, 4, 5)), rng.standard_normal((2, 4))])
    assert tally.product_flops == 2 * 3 * 2 * 4 * 5


def test_the_hourglass_is_far_below_both_modes():
    forward, reverse, optimal = (autodiff.chain_cost([512, 512, 8, 512, 512, 8, 512], order) for order in ORDERS)
    assert min(forward, reverse) > 20 * optimal


@pytest.mark.parametrize(("n_in", "n_out"), [(5, 90), (90, 5), (90, 70), (20, 20), (30, 7)])
def test_costs_of_a_network_of_one_width(rng, n_in, n_out):
    for depth, order in itertools.product((1, 2, 3, 6), ORDERS):
        dims = [n_in, *[20] * (depth - 1), n_out]
        cost = costs.chain(depth, 20, n_in, n_out, order=order)
        assert cost.flops == 2 * autodiff.chain_cost(dims, order)
        _, tally = xs.count(autodiff.chain_jacobian, jacobians(rng, dims), order)
        assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)


def test_of_equals_the_one_closest_to_forward():
    square = (chain._Factor("matrix", 7, 7, 1, 0),) * 6
    assert chain._plan(square, "optimal") == chain._plan(square, "forward")


def test_shapes_are_planned_once(rng):
    factors = jacobians(rng, [3, 17, 5, 13])
    autodiff.chain_jacobian(factors)
    before = chain._plan.cache_info()
    autodiff.chain_jacobian([2 * A for A in factors])
    assert chain._plan.cache_info().misses == before.misses
    assert chain._plan.cache_info().hits == before.hits + 1


def test_a_long_chain_in_a_straight_order(rng):
    """Neither the plan nor its steps recurse."""
    turns = [np.asarray([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in rng.standard_normal(2000)]
    for order in ("forward", "reverse"):
        assert autodiff.chain_cost([2] * 2001, order) == 1999 * 8
        found = autodiff.chain_jacobian(turns, order)
        assert_close(found @ found.T, np.eye(2), atol=1e-12)


def test_dtypes_promote_and_inputs_stay(rng):
    A, B = rng.standard_normal((3, 2)).astype(np.float32), rng.standard_normal((4, 3))
    kept = A.copy(), B.copy()
    assert autodiff.chain_jacobian([A, B]).dtype == np.float64
    assert autodiff.chain_jacobian([A, np.ones(3, dtype=np.int64)]).dtype == np.float32
    assert autodiff.chain_jacobian([A, scipy.sparse.eye_array(3)]).dtype == np.float64
    assert autodiff.chain_jacobian([np.ones((2, 2), dtype=np.int64)] * 2).dtype == np.float64
    assert autodiff.chain_jacobian([B]) is B
    assert np.array_equal(A, kept[0])
    assert np.array_equal(B, kept[1])


def test_it_traces_under_jit_and_counts_inside_count(rng):
    factors = jacobians(rng, [3, 2, 4])
    (found, inner), outer = xs.count(lambda f: xs.count(autodiff.chain_jacobian, f), factors)
    assert inner.product_flops == outer.product_flops == 2 * 3 * 2 * 4
    assert_close(found, product(factors))
    jax = pytest.importorskip("jax")
    assert_close(jax.jit(autodiff.chain_jacobian)([*factors, np.ones(4)]), product(factors))


A, D = np.ones((3, 2)), np.ones(3)
BAD = {
    "an empty list": (lambda: autodiff.chain_jacobian([]), ValueError, r"jacobians: .*at least one factor"),
    "one array": (lambda: autodiff.chain_jacobian(A), TypeError, r"jacobians: expected a list .*got ndarray"),
    "a list inside": (lambda: autodiff.chain_jacobian([A, [1.0]]), TypeError, r"jacobians\[1\]: .*builtins\.list"),
    "complex": (lambda: autodiff.chain_jacobian([A, 1j * D]), TypeError, r"jacobians\[1\]: .*complex128"),
    "a number": (lambda: autodiff.chain_jacobian([np.asarray(1.0)]), ValueError, r"jacobians\[0\]: .*\(\)"),
    "an empty axis": (lambda: autodiff.chain_jacobian([A[:0]]), ValueError, r"jacobians\[0\]: .*no empty axis"),
    "shapes": (
        lambda: autodiff.chain_jacobian([A, D, A]),
        ValueError,
        r"jacobians\[2\]: expected 3 columns, .*jacobians\[1\] has rows, got shape \(3, 2\)",
    ),
    "a diagonal's length": (lambda: autodiff.chain_jacobian([A, D[:2]]), ValueError, r"jacobians\[1\]: .*3 columns"),
    "an operator's shape": (lambda: autodiff.chain_jacobian([A, Blur(3)]), ValueError, r"jacobians\[1\]: .*\(3, 4\)"),
    "batches": (
        lambda: autodiff.chain_jacobian([np.ones((2, 3, 2)), D, np.ones((4, 3, 3))]),
        ValueError,
        r"jacobians\[2\]: expected the leading axes \(2,\) of jacobians\[0\], got shape \(4, 3, 3\)",
    ),
    "no library": (lambda: autodiff.chain_jacobian([Blur(2)]), TypeError, r"jacobians: .*which library"),
    "order": (lambda: autodiff.chain_jacobian([A], "best"), ValueError, r"'forward', 'reverse', 'optimal', got 'best'"),
    "order of a cost": (lambda: autodiff.chain_cost([1, 2], "best"), ValueError, r"order: .*'best'"),
    "order of costs": (lambda: costs.chain(2, 2, 2, 2, order="best"), ValueError, r"order: .*'best'"),
    "one length": (lambda: autodiff.chain_cost([3]), ValueError, r"dims: .*\[3\]"),
    "a length of 0": (lambda: autodiff.chain_cost([3, 0]), ValueError, r"dims\[1\]: .*got 0"),
    "half a length": (lambda: autodiff.chain_cost([3, 0.5]), TypeError, r"dims\[1\]: .*0\.5"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()


def test_mixed_libraries_and_devices_are_named(rng):
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"jacobians\[1\]: .*same library as jacobians\[0\]"):
        autodiff.chain_jacobian([A, strict.asarray(D)])
    with pytest.raises(ValueError, match=r"jacobians\[1\]: expected an array on the device of jacobians\[0\]"):
        autodiff.chain_jacobian([strict.asarray(A), strict.asarray(D, device=strict.Device("device1"))])
