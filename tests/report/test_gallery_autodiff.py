"""Figures of automatic differentiation: what they draw is what the tape, the counter and the account say."""

import numpy as np

from xpsolve import autodiff
from xpsolve.arrays import backends
from xpsolve.report.gallery import autodiff as figures
from xpsolve.trace import peak_bytes

NUMPY = backends.get("numpy")


def test_the_graph_is_the_one_of_the_course():
    x, y = figures.POINT
    nodes = figures.graph(figures.course, np.asarray(x), np.asarray(y))
    a, b = np.log(x), y * np.log(x)
    by_b = 1 + 0.5 / np.sqrt(b)
    np.testing.assert_allclose([n.value for n in nodes], [x, y, a, b, np.sqrt(b), b + np.sqrt(b)])
    np.testing.assert_allclose([n.adjoint for n in nodes], [by_b * y / x, by_b * a, by_b * y, by_b, 1, 1])
    assert [tuple(p for p, _ in n.parents) for n in nodes] == [(), (), (0,), (1, 2), (3,), (3, 4)]
    np.testing.assert_allclose([s for n in nodes for _, s in n.parents], [1 / x, a, y, 0.5 / np.sqrt(b), 1, 1])
    for node in range(5):  # adjoints add up over the children
        assert nodes[node].adjoint == sum(s * child.adjoint for child in nodes for p, s in child.parents if p == node)
    found = autodiff.grad(figures.course, (0, 1))(np.asarray(x), np.asarray(y))
    np.testing.assert_allclose(found, [nodes[0].adjoint, nodes[1].adjoint])


def test_counted_cost_of_a_gradient():
    found = {p: figures.ratios(NUMPY, p, samples=50, blocks=1) for p in (10, 100)}
    for p in found:
        assert abs(found[p]["finite differences"][0] / (p + 1) - 1) < 0.1
        assert found[p]["reverse"][0] <= 5
    assert found[100]["forward"][0] > 8 * found[10]["forward"][0]


def test_memory_grows_as_the_states_that_are_kept():
    x0, W = figures.states(NUMPY)
    state = 2 * x0[0].nbytes
    peaks = {
        memory: [peak_bytes(lambda x0, W, t=t, m=memory: figures.recurrence(x0, W, t, m), x0, W)[1] for t in (16, 64)]
        for memory in ("store", "checkpoint", "reversible")
    }
    assert peaks["store"][1] - peaks["store"][0] == 48 * state
    assert 0 <= peaks["checkpoint"][1] - peaks["checkpoint"][0] <= 3 * state
    assert peaks["reversible"][1] == peaks["reversible"][0]
