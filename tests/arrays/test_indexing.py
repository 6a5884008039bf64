"""Delegates that choose entries, against their version in standard functions."""

import numpy as np
import pytest

from xpsolve.arrays import accumulate
from xpsolve.testing import assert_close


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_accumulate_adds_what_has_the_same_index(xp, rng, shape):
    values = rng.standard_normal(shape)
    index = np.asarray([4, 0, 4, 2, 4])
    expected = np.zeros((*shape[:-1], 6))
    for k, j in enumerate(index):
        expected[..., j] += values[..., k]
    there = xp(values)
    for function in (accumulate, accumulate.standard):
        assert_close(function(there, xp(index, dtype="int64"), 6), expected, rtol=4 * xp.eps, like=there)
