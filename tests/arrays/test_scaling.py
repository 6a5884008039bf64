"""Powers of two for scaling: exact, within a factor of two of the largest entry, never read from the device."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import innermost, power_of_two
from xpsolve.arrays.backends import to_numpy


def host(x):
    return np.asarray(to_numpy(innermost(x)))


@pytest.mark.parametrize("exponent", [-300, -160, -37, -5, 0, 3, 37, 160, 300])
def test_it_lies_within_a_factor_of_two_and_is_exact(xp, exponent, rng):
    if abs(exponent) > 37 and xp.dtype == "float32":
        exponent //= 10
    x = rng.standard_normal((4, 3)) * 10.0**exponent
    found = host(power_of_two(xp(x)))
    size = np.max(np.abs(host(xp(x))))
    assert found <= size * (1 + 8 * xp.eps) < 4 * found
    assert np.frexp(found)[0] == 0.5  # one bit
    each = host(power_of_two(xp(x), axis=0, keepdims=True))
    assert each.shape == (1, 3)
    assert np.all(np.frexp(each)[0] == 0.5)


@pytest.mark.parametrize("x", [[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0], [-np.inf, 2.0]])
def test_nothing_to_scale_by_is_one(xp, x):
    with np.errstate(all="ignore"):
        assert host(power_of_two(xp(x))) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_power_and_its_inverse_are_normal_at_both_ends(dtype):
    info = np.finfo(dtype)
    for x in (info.max, info.smallest_normal, info.smallest_subnormal):
        found = power_of_two(np.full(2, x, dtype=dtype))
        assert found.dtype == dtype
        for size in (found, 1 / found):
            assert info.smallest_normal <= size <= info.max


def test_no_host_reads():
    assert xs.count(power_of_two, np.ones((5, 2)))[1].syncs == 0
