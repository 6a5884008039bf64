"""What every penalty keeps: its proximal map is optimal, its residual and conjugate agree with it, units do not matter.

A new penalty joins by one line in `PENALTIES`, and one in `MATRICES` if it takes matrices or in `SORTS` if it sorts:
see docs/howto/new-penalty.md.
"""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff
from xpsolve import penalties as P
from xpsolve.penalties.shrink import shrink
from xpsolve.testing import assert_close

EVERYWHERE = pytest.mark.of("soft_threshold")
LABELS = [0, 2, 1, 0, 0, 1]
PENALTIES = [
    P.L1(0.7),
    P.SquaredL2(0.7),
    P.ElasticNet(1.0, 0.3),
    P.L1(0.7) + P.NonNegative(),
    P.ElasticNet(1.0, 0.3) + P.Box(-0.5, 0.8),
    P.NonNegative(),
    P.Box(-0.5, 0.8),
    P.Box(-0.5, float("inf")),
    P.L1Ball(1.5),
    P.L1Ball(100.0),
    P.Simplex(),
    P.Simplex(2.5),
    P.GroupL1(0.7, 3),
    P.GroupL1(0.7, LABELS, weights=[1.0, 2.0, 0.5]),
]
MATRICES = [P.L1(0.7), P.Box(-0.5, 0.8), P.Simplex(), P.GroupL1(0.7), P.Nuclear(0.7)]
SORTS = (P.L1Ball, P.Simplex)  # dask.array cannot
# R and (v, s) ↦ prox_{sR*}(v): where the proximal map of the conjugate is known by itself
CONJUGATES = [
    (P.L1(0.7), lambda v, s: np.clip(v, -0.7, 0.7)),
    (P.SquaredL2(0.7), lambda v, s: v / (1 + s / 0.7)),
    (P.NonNegative(), lambda v, s: np.minimum(v, 0)),
    (P.Box(-0.5, 0.8), lambda v, s: np.maximum(v - 0.8 * s, 0) + np.minimum(v + 0.5 * s, 0)),
    (P.GroupL1(0.7, 3), lambda v, s: _shortened(v.reshape(2, 3), 0.7).reshape(6)),
    (P.Nuclear(0.7), lambda v, s: _with_singular_values(v, lambda a: np.minimum(a, 0.7))),
]
CASES = [(h, (6,)) for h in PENALTIES] + [(h, (6, 3)) for h in MATRICES]
each = pytest.mark.parametrize(("h", "shape"), CASES, ids=lambda v: repr(v) if isinstance(v, P.Penalty) else str(v))


def tolerance(xp):
    return 1e-12 if xp.dtype == "float64" else 2e-5


def skip_without_sort(xp, h):
    if isinstance(h, SORTS) and xp.name == "dask":
        pytest.skip("dask.array cannot sort")


def in_units(h, unit, size):
    other = h.scaled(unit, size)
    if other is None:
        pytest.skip("without `scaled`, minimize leaves the units as they are")
    return other


def _shortened(rows, most):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows * np.minimum(1, most / lengths)


def _with_singular_values(v, change):
    U, s, Vh = np.linalg.svd(v, full_matrices=False)
    return (U * change(s)) @ Vh


def norm(x):
    return float(np.sqrt(np.sum(np.asarray(x) ** 2)))


@EVERYWHERE
@each
def test_the_prox_satisfies_its_optimality_condition(xp, rng, h, shape):
    """z = prox_{tR}(x) exactly if (x − z)/t is a subgradient of R at z."""
    skip_without_sort(xp, h)
    x, t = xp(2 * rng.standard_normal(shape)), 0.6
    z = h.prox(x, t)
    assert_close(h.residual(z, (z - x) / t), np.zeros(shape), like=x, atol=tolerance(xp))
    value = h.value(z)
    assert value.shape == ()
    assert value.dtype == x.dtype
    assert np.isfinite(float(value))


@each
def test_the_prox_is_firmly_nonexpansive(rng, h, shape):
    """‖p − q‖² ≤ ⟨p − q, x − y⟩ for p = prox(x), q = prox(y), as for the proximal map of any convex function."""
    for size in (0.1, 1.0, 10.0):
        x, y = size * rng.standard_normal((2, *shape))
        p, q = h.prox(x, 0.6), h.prox(y, 0.6)
        assert np.sum((p - q) ** 2) <= np.sum((p - q) * (x - y)) + 1e-12 * size**2


@pytest.mark.parametrize(("h", "conjugate"), CONJUGATES, ids=[repr(h) for h, _ in CONJUGATES])
@pytest.mark.parametrize("t", [0.1, 1.0, 3.0])
def test_moreau(rng, h, conjugate, t):
    """x = prox_{tR}(x) + t·prox_{R*/t}(x/t)."""
    x = 2 * rng.standard_normal((6, 3) if isinstance(h, P.Nuclear) else 6)
    assert_close(h.prox(x, t) + t * conjugate(x / t, 1 / t), x, rtol=1e-12)


@each
def test_limits(rng, h, shape):
    """As t → 0 the prox keeps every point of the domain; as t → ∞ it goes to a minimiser of R."""
    x = 2 * rng.standard_normal(shape)
    inside = h.prox(x, 0.6)
    assert_close(h.prox(inside, 1e-14), inside, atol=1e-12)
    if h.finite:
        assert_close(h.prox(x, 1e-14), x, atol=1e-12)
    z = h.prox(x, 1e12)
    assert norm(h.residual(z, np.zeros(shape))) <= 1e-9
    assert float(h.value(z)) <= float(h.value(inside)) + 1e-9
    if h.homogeneous:
        assert float(h.value(np.zeros(shape))) == 0


@pytest.mark.parametrize("make", [P.L1, P.SquaredL2, P.GroupL1, P.Nuclear, lambda lam: P.ElasticNet(lam, 0.3)])
def test_without_weight_a_penalty_does_nothing(rng, make):
    x, h = rng.standard_normal((6, 3)), make(0.0)
    assert_close(h.prox(x, 0.6), x, rtol=1e-14)
    assert_close(h.residual(x, x), x, rtol=1e-12)
    assert float(h.value(x)) == 0


@each
def test_under_jit(rng, h, shape):
    jax = pytest.importorskip("jax")
    x, g = rng.standard_normal((2, *shape))

    def everything(x, g):
        z = h.prox(x, 0.6)
        gap = () if h.dual_range(g) is None else (h.dual_range(g), h.young(z, 0.1 * g))
        return (z, h.value(z), h.residual(z, g), *gap)

    for traced, plain in zip(jax.jit(everything)(x, g), everything(x, g), strict=True):
        assert_close(np.asarray(traced), plain, rtol=1e-12, atol=1e-12)


@EVERYWHERE
@each
def test_fenchel_and_young_agree_with_the_prox(xp, rng, h, shape):
    """R(z) + R*(c) = ⟨c, z⟩ exactly for subgradients c at z, and more for others."""
    skip_without_sort(xp, h)
    x, t = xp(2 * rng.standard_normal(shape)), 0.6
    z = h.prox(x, t)
    c = (x - z) / t
    if h.dual_range(c) is None:
        return
    assert float(h.dual_range(c)) >= 1 - 1e-5
    assert abs(float(h.young(z, c))) <= 20 * tolerance(xp)
    other = 0.5 * h.prox(xp(rng.standard_normal(shape)), 0.1) + 0.5 * z
    assert float(h.young(other, c)) >= -tolerance(xp)


@each
def test_the_conjugate_is_a_supremum(rng, h, shape):
    """No point makes ⟨c, x⟩ − R(x) larger than R*(c), where that is finite."""
    c = rng.standard_normal(shape)
    s = h.dual_range(c)
    if s is None:
        return
    c = c * min(1.0, 0.999 * float(s))
    z = h.prox(rng.standard_normal(shape), 0.3)
    conjugate = float(h.young(z, c)) + np.sum(c * z) - float(h.value(z))
    for _ in range(50):
        x = h.prox(3 * rng.standard_normal(shape), 0.3)
        assert np.sum(c * x) - float(h.value(x)) <= conjugate + 1e-9


@each
def test_no_point_does_better(rng, h, shape):
    x, t = 2 * rng.standard_normal(shape), 0.6
    z = h.prox(x, t)
    best = 0.5 * np.sum((z - x) ** 2) + t * float(h.value(z))
    for scale in (1e-3, 0.1, 1.0):
        for _ in range(10):
            other = h.prox(z + scale * rng.standard_normal(shape), 1e-12)  # feasible
            assert 0.5 * np.sum((other - x) ** 2) + t * float(h.value(other)) >= best - 1e-9


@each
def test_the_residual_is_the_smallest_subgradient(rng, h, shape):
    """No step from x lowers ⟨g, ·⟩ + R faster than the length of the smallest element of g + ∂R(x)."""
    if type(h).residual is P.Penalty.residual:
        pytest.skip("the default is 0 at the same points, and has another length elsewhere")
    x = h.prox(2 * rng.standard_normal(shape), 0.6)
    g = rng.standard_normal(shape)
    smallest = h.residual(x, g)
    length = norm(smallest)
    step = 1e-7
    for direction in [-smallest, *(rng.standard_normal(shape) for _ in range(20))]:
        unit = direction / max(norm(direction), 1e-300)
        moved = h.prox(x + step * unit, 1e-15)
        far = norm(moved - x)
        if far < 0.1 * step:
            continue
        fell = -(np.sum(g * (moved - x)) + float(h.value(moved)) - float(h.value(x)))
        assert fell / far <= length + 1e-5


@EVERYWHERE
@each
def test_units(xp, rng, h, shape):
    """x ↦ R(ux)/s has the proximal map prox_{tR·u²/s}(u·)/u, for numbers u and s and for 0-d arrays."""
    skip_without_sort(xp, h)
    x, u, s, t = xp(rng.standard_normal(shape)), 4.0, 0.5, 0.3
    for unit, size in ((u, s), (xp(u), xp(s))):
        other = in_units(h, unit, size)
        z = other.prox(x, t)
        assert_close(z, h.prox(u * x, t * u * u / s) / u, like=x, atol=tolerance(xp))
        assert float(other.value(z)) == pytest.approx(float(h.value(u * z)) / s, rel=1e-5)


@each
def test_units_may_leave_the_range_of_numbers(h, shape):
    """Then no answer can be represented, which is a status of `minimize` and no error of the penalty."""
    with np.errstate(all="ignore"):
        for unit in (np.float64(1e300), np.float64(1e-300)):
            in_units(in_units(h, unit, 1.0), unit, 1.0)


@pytest.mark.of("minimize")
@pytest.mark.parametrize("h", PENALTIES, ids=repr)
def test_observations_of_any_size(xp, rng, h):
    """c·y and c²R(x/c) have the answer c·x.  `minimize` changes units, and gives `scaled` 0-d arrays."""
    skip_without_sort(xp, h)
    c = 1e25 if xp.dtype == "float32" else 1e200
    large = in_units(in_units(h, 1 / c, 1 / c), 1.0, 1 / c)
    A, y = rng.standard_normal((12, 6)), rng.standard_normal(12)
    solution = xs.minimize(xs.LeastSquares(xp(A), xp(c * y)), large, tol=1e-4)
    assert solution.converged
    assert_close(solution.x / c, xs.minimize(xs.LeastSquares(A, y), h, tol=1e-10).x, like=xp(y), atol=1e-2)


@each
def test_nothing_is_read_from_the_device(rng, h, shape):
    x = rng.standard_normal(shape)
    functions = [h.value, lambda x: h.prox(x, 0.5), lambda x: h.residual(x, x)]
    if h.dual_range(x) is not None:
        functions += [h.dual_range, lambda x: h.young(x, x)]
    for f in functions:
        assert xs.count(f, x)[1].syncs == 0


@pytest.mark.parametrize("h", PENALTIES, ids=repr)
def test_derivatives_of_the_prox(rng, h):
    x, d = 2 * rng.standard_normal(6), rng.standard_normal(6)
    step = 1e-6
    wanted = (h.prox(x + step * d, 0.6) - h.prox(x - step * d, 0.6)) / (2 * step)
    _, tangent = autodiff.jvp(lambda x: h.prox(x, 0.6), (x,), (d,))
    assert_close(tangent, wanted, atol=1e-7)
    w = rng.standard_normal(6)
    _, pull = autodiff.vjp(lambda x: h.prox(x, 0.6), x)
    assert float(pull(w)[0] @ d) == pytest.approx(float(w @ wanted), abs=1e-6)


# --- single penalties -------------------------------------------------------------------------------


@EVERYWHERE
def test_soft_threshold(xp):
    x = xp([3.0, 1.0, 0.5, 0.0, -1.0, -2.5])
    assert_close(xs.soft_threshold(x, 1.0), [2.0, 0, 0, 0, 0, -1.5], like=x)
    assert_close(xs.soft_threshold(x, xp([0.0, 1, 1, 1, 2, 2])), [3.0, 0, 0, 0, 0, -0.5], like=x)
    assert_close(shrink(x, xp(1.0)), shrink.standard(x, xp(1.0)))
    _, tally = xs.count(xs.soft_threshold, x, xp(1.0))
    assert (tally.launches, tally.syncs) == (1, 0)


def test_soft_threshold_takes_no_nonsense():
    with pytest.raises(ValueError, match="t: expected a finite number >= 0, got -1"):
        xs.soft_threshold(np.ones(2), -1)
    with pytest.raises(TypeError, match="t: expected a finite number"):
        xs.soft_threshold(np.ones(2), "1")


def test_moreau_ties_the_ball_to_the_maximum_norm(rng):
    """x = prox_{t‖·‖∞}(x) + projection on the ℓ¹ ball of radius t; the first by its own definition."""
    x, t = 2 * rng.standard_normal(7), 1.3
    z = x - P.L1Ball(t).prox(x, 1.0)
    levels = np.linspace(0, np.abs(x).max(), 20_001)
    clipped = np.clip(x[:, None], -levels, levels)
    best = clipped[:, np.argmin(0.5 * np.sum((clipped - x[:, None]) ** 2, axis=0) + t * levels)]
    assert_close(z, best, atol=1e-3)
    assert np.abs(P.L1Ball(t).prox(x, 1.0)).sum() == pytest.approx(t)


def test_moreau_ties_the_l1_norm_to_the_box(rng):
    x = rng.standard_normal(9)
    assert_close(P.L1(0.7).prox(x, 1.0) + P.Box(-0.7, 0.7).prox(x, 1.0), x)


@pytest.mark.parametrize("h", [P.L1(0.7), P.SquaredL2(0.7), P.ElasticNet(1.0, 0.3), P.Box(-0.5, 0.8)], ids=repr)
@pytest.mark.parametrize("x", [-2.0, -0.3, 0.0, 0.4, 3.0])
def test_brute_force_in_one_dimension(h, x):
    grid = np.linspace(-4, 4, 20_001)
    values = np.asarray([float(h.value(np.asarray([point]))) for point in grid])
    best = grid[np.argmin(0.5 * (grid - x) ** 2 + 0.6 * values)]
    assert h.prox(np.asarray([x]), 0.6)[0] == pytest.approx(best, abs=4e-4)


@pytest.mark.parametrize(
    ("h", "x", "g", "wanted"),
    [
        (P.L1(1.0), [1.0, 0.0], [-1.0, 0.5], 0.0),
        (P.L1(1.0), [1.0, 0.0], [-0.5, 1.5], np.hypot(0.5, 0.5)),
        (P.L1Ball(1.0), [0.1, 0.1], [3.0, 4.0], 5.0),
        (P.L1Ball(1.0), [1.0, 0.0], [-2.0, 1.0], 0.0),
        (P.L1Ball(1.0), [1.0, 0.0], [2.0, 0.0], 2.0),
        (P.L1Ball(1.0), [2.0, 0.0], [0.0, 0.0], np.inf),
        (P.Box(0.0, 1.0), [0.0, 1.0], [1.0, -1.0], 0.0),
        (P.Box(0.0, 1.0), [0.0, 1.0], [-3.0, 4.0], 5.0),
        (P.Box(0.0, 0.0), [0.0, 0.0], [-3.0, 4.0], 0.0),
        (P.GroupL1(1.0, 2), [0.0, 0.0], [3.0, 4.0], 4.0),
        (P.Simplex(), [1.0, 0.0], [-2.0, 1.0], 0.0),
        (P.Simplex(), [0.5, 0.5], [1.0, -1.0], np.sqrt(2)),
    ],
)
def test_residuals_by_hand(h, x, g, wanted):
    assert norm(h.residual(np.asarray(x), np.asarray(g))) == pytest.approx(wanted)


def test_sums(rng):
    x = rng.standard_normal(6)
    total = P.L1(0.5) + P.NonNegative() + P.SquaredL2(0.1)
    assert_close(total.prox(x, 1.0), np.maximum(np.maximum(x - 0.5, 0) / 1.1, 0))
    mixed = P.Simplex() + P.L1(0.5) + P.GroupL1(1.0, 2)
    z = P.Simplex().prox(x, 1.0)
    assert float(mixed.value(z)) == pytest.approx(0.5 + float(P.GroupL1(1.0, 2).value(z)))
    with pytest.raises(TypeError, match="expected a penalty with a proximal map"):
        mixed.prox(x, 1.0)


def test_labels_are_groups(rng):
    x = rng.standard_normal(6)
    by_hand = sum(np.linalg.norm(x[np.asarray(LABELS) == g]) for g in range(3))
    assert float(P.GroupL1(1.0, LABELS).value(x)) == pytest.approx(by_hand)


def test_weights(rng):
    x, w = rng.standard_normal(6), np.asarray([0.0, 1, 2, 3, 4, 5])
    assert_close(P.L1(0.1, w).prox(x, 2.0), xs.soft_threshold(x, 0.2 * w))
    assert P.L1(0.1, w).dual_range(x) is None  # a free entry has no scaled dual point


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: P.L1(-1.0), ValueError, "lam: expected a finite number >= 0"),
        (lambda: P.L1(1.0, [1.0]), TypeError, "weights: expected an array"),
        (lambda: P.L1(1.0, np.asarray([-1.0])), ValueError, "weights: expected finite numbers >= 0"),
        (lambda: P.ElasticNet(1.0, 2.0), ValueError, "theta: expected a number between"),
        (lambda: P.Box(1.0, 0.0), ValueError, "lower: expected bounds"),
        (lambda: P.L1Ball(0.0), ValueError, "radius: expected a positive number"),
        (lambda: P.Simplex("a"), TypeError, "total: expected a positive number"),
        (lambda: P.GroupL1(1.0, "cols"), ValueError, "groups: expected 'rows'"),
        (lambda: P.GroupL1(1.0, [0.5]), TypeError, "groups: expected 'rows'"),
        (lambda: P.GroupL1(1.0, 4).value(np.ones(6)), ValueError, "a multiple of groups=4"),
        (lambda: P.Nuclear(1.0).value(np.ones(6)), ValueError, "expected a matrix"),
        (lambda: P.Analysis(1.0, np.ones((3, 2)), "l21"), ValueError, "norm: 'l21' expects L"),
        (lambda: P.L1(1.0) + 1, TypeError, "unsupported operand"),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make()
