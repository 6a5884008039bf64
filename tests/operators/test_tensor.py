"""A tensor as an operator: the sums of Einstein's notation, its adjoint, and solvers on data with axes."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.operators import Tensor
from xpsolve.testing import assert_close


@pytest.mark.of("dot_test")
def test_sums_over_the_indices_that_appear_twice(xp, rng):
    G, y, x = rng.standard_normal((3, 4, 2, 5)), rng.standard_normal((2, 5, 6)), rng.standard_normal((3, 4, 6))
    operator = Tensor(xp(G), 2)
    forth, back = np.einsum("abij,ijk->abk", G, y), np.einsum("abij,abk->ijk", G, x)
    tight = {"like": xp(G), "rtol": 64 * xp.eps}
    assert_close(operator.apply(xp(y)), forth, **tight)
    assert_close(operator.apply(xp(y[..., 0])), forth[..., 0], **tight)
    assert_close(operator.adjoint(xp(x)), back, **tight)
    assert_close(operator.adjoint(xp(x[..., 0])), back[..., 0], **tight)
    assert_close(operator @ xp(y.reshape(10, 6)), forth.reshape(12, 6), **tight)
    assert_close(operator.T @ xp(x.reshape(12, 6)[:, 0]), back.reshape(10, 6)[:, 0], **tight)
    if xp.name != "strict-no_float64":
        assert xs.dot_test(operator) < 64 * xp.eps


def test_outputs_and_inputs_of_any_number_of_axes(rng):
    G = rng.standard_normal((4, 3, 2, 5))
    for outputs in (1, 2, 3):
        operator = Tensor(G, outputs)
        y = rng.standard_normal(G.shape[outputs:])
        np.testing.assert_allclose(operator.apply(y), np.tensordot(G, y, axes=y.ndim), rtol=1e-12)
        assert xs.dot_test(operator) < 1e-13


def test_solvers_take_it_unchanged(rng):
    G, y = rng.standard_normal((3, 4, 2, 3)), rng.standard_normal(12)
    found, wanted = xs.ridge(Tensor(G, 2), y, 0.1, method="cg"), xs.ridge(G.reshape(12, 6), y, 0.1)
    np.testing.assert_allclose(found.x, wanted.x, rtol=1e-4)
    _, tally = xs.count(lambda G, y: Tensor(G, 2).apply(y), G, rng.standard_normal((2, 3)))
    assert tally.product_flops == 2 * 12 * 6


def test_bad_input(rng):
    G = rng.standard_normal((3, 2))
    with pytest.raises(ValueError, match=r"G: expected 2 axes for the output"):
        Tensor(G, 2)
    with pytest.raises(ValueError, match=r"y: expected shape \(2,\)"):
        Tensor(G, 1).apply(np.ones(3))
    with pytest.raises(ValueError, match=r"x: expected shape \(3,\)"):
        Tensor(G, 1).adjoint(np.ones(2))
    with pytest.raises(TypeError, match="G: expected an array of"):
        Tensor(G.astype(object), 1)
