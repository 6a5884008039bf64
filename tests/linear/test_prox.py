"""Proximal maps: Moreau's identity, optimality of what they return, and brute force in one dimension."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.linear.prox import L1, Box, ElasticNet, GroupL12, L1Ball, NonNegative, SquaredL2, shrink
from xpsolve.testing import assert_close

EAGER = pytest.mark.of("soft_threshold")
PENALTIES = [
    L1(0.7),
    SquaredL2(0.7),
    ElasticNet(0.7, 0.3),
    L1Ball(1.5),
    L1Ball(100.0),
    Box(-0.5, 0.8),
    NonNegative(),
    GroupL12(3, 0.7),
]


def tolerance(xp):
    return 1e-12 if xp.dtype == "float64" else 1e-5


def skip_without_sort(xp, h):
    if isinstance(h, L1Ball) and xp.name == "dask":
        pytest.skip("dask.array cannot sort")


@EAGER
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


@EAGER
@pytest.mark.parametrize("h", PENALTIES, ids=repr)
@pytest.mark.parametrize("columns", [(), (2,)])
def test_the_prox_satisfies_its_optimality_condition(xp, rng, h, columns):
    """z = prox_{th}(x) exactly if (x − z)/t is a subgradient of h at z."""
    skip_without_sort(xp, h)
    x, t = xp(2 * rng.standard_normal((6, *columns))), 0.6
    z = h.prox(x, t)
    distance = xp.xp.asarray(h.distance(z, (x - z) / -t))  # NumPy makes a scalar of it
    assert_close(distance, np.zeros(columns), like=x, atol=tolerance(xp))
    assert np.all(np.isfinite(np.asarray(xp.backend.to_numpy(h.value(z)))))


@pytest.mark.parametrize("h", PENALTIES, ids=repr)
def test_no_point_does_better(rng, h):
    x, t = 2 * rng.standard_normal(6), 0.6
    z = h.prox(x, t)
    best = 0.5 * np.sum((z - x) ** 2) + t * h.value(z)
    for scale in (1e-3, 0.1, 1.0):
        for _ in range(20):
            other = h.prox(z + scale * rng.standard_normal(6), 1e-12)  # feasible
            assert 0.5 * np.sum((other - x) ** 2) + t * h.value(other) >= best - 1e-9


@pytest.mark.parametrize("h", [L1(0.7), SquaredL2(0.7), ElasticNet(0.7, 0.3), Box(-0.5, 0.8), NonNegative()], ids=repr)
@pytest.mark.parametrize("x", [-2.0, -0.3, 0.0, 0.4, 3.0])
def test_brute_force_in_one_dimension(h, x):
    grid = np.linspace(-4, 4, 80_001)[None, :]
    objective = 0.5 * (grid[0] - x) ** 2 + 0.6 * h.value(grid)
    assert h.prox(np.asarray([x]), 0.6)[0] == pytest.approx(grid[0, np.argmin(objective)], abs=1e-4)


def test_moreau_ties_the_ball_to_the_maximum_norm(rng):
    """x = prox_{t‖·‖∞}(x) + projection on the ℓ¹ ball of radius t; the first by its own definition."""
    x, t = 2 * rng.standard_normal(7), 1.3
    z = x - L1Ball(t).prox(x, 1.0)
    levels = np.linspace(0, np.abs(x).max(), 20_001)
    clipped = np.clip(x[:, None], -levels, levels)
    best = clipped[:, np.argmin(0.5 * np.sum((clipped - x[:, None]) ** 2, axis=0) + t * levels)]
    assert_close(z, best, atol=1e-3)
    assert np.abs(L1Ball(t).prox(x, 1.0)).sum() == pytest.approx(t)


def test_moreau_ties_the_l1_norm_to_the_box(rng):
    x = rng.standard_normal(9)
    assert_close(L1(0.7).prox(x, 1.0) + Box(-0.7, 0.7).prox(x, 1.0), x)


@pytest.mark.parametrize(
    ("h", "x", "g", "wanted"),
    [
        (L1(1.0), [1.0, 0.0], [-1.0, 0.5], 0.0),
        (L1(1.0), [1.0, 0.0], [-0.5, 1.5], np.hypot(0.5, 0.5)),
        (L1Ball(1.0), [0.1, 0.1], [3.0, 4.0], 5.0),
        (L1Ball(1.0), [1.0, 0.0], [-2.0, 1.0], 0.0),
        (L1Ball(1.0), [1.0, 0.0], [2.0, 0.0], 2.0),
        (L1Ball(1.0), [2.0, 0.0], [0.0, 0.0], np.inf),
        (Box(0.0, 1.0), [0.0, 1.0], [1.0, -1.0], 0.0),
        (Box(0.0, 1.0), [0.0, 1.0], [-3.0, 4.0], 5.0),
        (Box(0.0, 0.0), [0.0, 0.0], [-3.0, 4.0], 0.0),
        (GroupL12(2), [0.0, 0.0], [3.0, 4.0], 4.0),
    ],
)
def test_distances_by_hand(h, x, g, wanted):
    assert float(h.distance(np.asarray(x), np.asarray(g))) == pytest.approx(wanted)


def test_groups_must_divide():
    with pytest.raises(ValueError, match="size = 4 divides"):
        GroupL12(4).value(np.ones(6))


@pytest.mark.parametrize("h", PENALTIES, ids=repr)
def test_nothing_is_read_from_the_device(rng, h):
    x = rng.standard_normal(6)
    for f in (h.value, lambda x: h.prox(x, 0.5), lambda x: h.distance(x, x)):
        assert xs.count(f, x)[1].syncs == 0
