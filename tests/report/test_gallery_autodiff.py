"""Figures of automatic differentiation: what they draw is what derivatives, the counter and the account say."""

import numpy as np

from xpsolve import autodiff
from xpsolve.arrays import backends
from xpsolve.report.gallery import autodiff as figures
from xpsolve.trace import peak_bytes

NUMPY = backends.get("numpy")


def test_the_graph_is_the_one_of_the_course():
    x, y = 2.0, 3.0
    values, adjoints, slopes = figures.sweeps(np.asarray(x), np.asarray(y))
    a, b = np.log(x), y * np.log(x)
    by_b = 1 + 0.5 / np.sqrt(b)
    np.testing.assert_allclose(list(values.values()), [x, y, a, b, np.sqrt(b), b + np.sqrt(b)])
    np.testing.assert_allclose(list(adjoints.values()), [by_b * y / x, by_b * a, by_b * y, by_b, 1, 1])
    expected = {"xa": 1 / x, "yb": a, "ab": y, "bc": 0.5 / np.sqrt(b), "bf": 1, "cf": 1}
    assert {"".join(edge) for edge in slopes} == set(expected)
    for edge, slope in slopes.items():
        np.testing.assert_allclose(slope, expected["".join(edge)])
    found = autodiff.grad(lambda x, y: y * np.log(2.0) + (y * np.log(2.0)) ** 0.5, 1)(np.asarray(x), np.asarray(y))
    np.testing.assert_allclose(adjoints["y"], found)


def test_counted_cost_of_a_gradient():
    found = {p: figures.ratios(NUMPY, p, samples=50, rounds=1) for p in (10, 100)}
    for p in found:
        assert abs(found[p]["finite differences"][0] / (p + 1) - 1) < 0.1
        assert found[p]["reverse"][0] <= 5
    assert found[100]["forward"][0] > 8 * found[10]["forward"][0]


def test_memory_grows_as_the_states_that_are_kept():
    rng = np.random.default_rng(0)
    r, s, W = (rng.standard_normal((16, n)) for n in (256, 256, 16))
    state = r.nbytes + s.nbytes
    peaks = {
        memory: [peak_bytes(figures.recurrence, (r, s), W / 16, t, memory)[1] for t in (16, 64)]
        for memory in ("store", "checkpoint", "reversible")
    }
    assert peaks["store"][1] - peaks["store"][0] == 48 * state
    assert 0 <= peaks["checkpoint"][1] - peaks["checkpoint"][0] <= 3 * state
    assert peaks["reversible"][1] == peaks["reversible"][0]
