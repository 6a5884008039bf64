import numpy as np
import pytest

from xpsolve.report.crossover import crossover

N = np.array([250.0, 400, 630, 1000, 1600, 2500, 4000])
P = 1e6 / N
NORMAL, WOODBURY = N * P**2 + P**3 / 3, N**2 * P + N**3 / 3


def test_normal_and_woodbury_cross_at_the_square():
    c = crossover(N, NORMAL, WOODBURY)
    assert c.at == pytest.approx(1000, rel=1e-6)
    assert c.low < 1000 < c.high
    assert c.low / c.high > 0.9
    assert (c.left, c.right) == (1, 0)
    assert c.sentence(("normal", "woodbury"), "n").startswith("normal overtakes woodbury at n ≈ 1000")


def test_the_interval_covers_the_truth():
    rng, inside = np.random.default_rng(3), 0
    for _ in range(200):
        one = NORMAL * np.exp(0.05 * rng.standard_normal(N.size))
        two = WOODBURY * np.exp(0.05 * rng.standard_normal(N.size))
        c = crossover(N, one, two, scatter=0.05 * np.sqrt(2))
        inside += c.low <= 1000 <= c.high
    assert inside >= 180


def test_order_of_the_contestants_does_not_matter():
    a, b = crossover(N, NORMAL, WOODBURY), crossover(N, WOODBURY, NORMAL)
    assert a.at == pytest.approx(b.at)
    assert (a.left, a.right) == (1 - b.left, 1 - b.right)


def test_curves_that_have_not_met_are_censored():
    x = np.array([10.0, 100.0, 1000.0])
    ahead = crossover(x, x, 50 * x**0.5)
    assert ahead.at == ahead.high == np.inf
    assert "does not catch up by n = 1000" in ahead.sentence(("cpu", "gpu"), "n")
    passed = crossover(x, x**2, x)
    assert passed.at == -np.inf
    assert "lies below n = 10" in passed.sentence(("slow", "fast"), "n")


def test_a_crossing_at_the_edge_has_an_open_interval():
    x = np.array([1.0, 2.0, 4.0])
    c = crossover(x, [1.0, 2.0, 4.0], [3.8, 3.8, 3.8], scatter=0.1)
    assert c.at < 4
    assert c.high == np.inf
    assert "beyond 4" in c.sentence(("a", "b"), "n")


def test_one_wrong_sign_does_not_split_the_answer():
    x = np.array([1.0, 2, 4, 8, 16, 32])
    gap = np.array([-2.0, -1.0, 0.05, -0.3, 1.0, 2.0])
    assert 8 < crossover(x, np.exp(gap), np.ones(6)).at < 16


@pytest.mark.parametrize(
    ("x", "a", "b", "message"),
    [
        ([1], [1], [1], "one length"),
        ([2, 1], [1, 1], [1, 1], "increasing"),
        ([1, 2], [1, np.nan], [1, 1], "positive finite"),
    ],
)
def test_bad_input(x, a, b, message):
    with pytest.raises(ValueError, match=message):
        crossover(x, a, b)
