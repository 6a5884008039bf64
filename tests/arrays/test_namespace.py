"""Where public functions start: namespaces, devices, dtypes, and wrappers that nest."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.arrays import common_namespace, depth, enter, innermost, is_array, is_scalar, lift, namespace_of
from xpsolve.trace import Interpreter


@pytest.mark.parametrize(
    ("dtypes", "wanted"),
    [
        (("float32", "float32"), "float32"),
        (("float32", "int64"), "float32"),
        (("float64", "float32"), "float64"),
        (("bool", "int32"), "float64"),
    ],
)
def test_dtypes_meet(dtypes, wanted):
    _, arrays = enter(**{f"a{i}": np.ones(2, dtype=dtype) for i, dtype in enumerate(dtypes)})
    assert {str(x.dtype) for x in arrays} == {wanted}


def test_an_array_of_the_right_kind_is_passed_on_not_copied(xp):
    x = xp(np.ones(3))
    _, (same,) = enter(x=x)
    assert same is x


def test_what_is_an_array_and_what_a_number():
    arrays, others = [np.ones(()), np.ones(2)], [np.float64(1), np.int32, [1.0], None]
    assert [is_array(x) for x in arrays + others] == [True] * 2 + [False] * 4
    assert [is_scalar(x) for x in (1, 2.0, np.float32(1), True, np.ones(()))] == [True, True, True, False, False]


def test_the_outermost_wrapper_wins(xp):
    x = xp(np.ones(3))
    inner = Interpreter(namespace_of(x))
    outer = Interpreter(inner.namespace)
    once, twice = inner.wrap(x), outer.wrap(inner.wrap(x))
    assert common_namespace(x=x, once=once, twice=twice) is outer.namespace
    assert [depth(namespace_of(a)) for a in (x, once, twice)] == [0, 1, 2]
    assert innermost(lift(outer.namespace, x)) is x
    _, arrays = enter(x=x, once=once, twice=twice)
    assert all(namespace_of(a) is outer.namespace for a in arrays)


def test_wrappers_that_do_not_nest_do_not_mix():
    one, other = (Interpreter(namespace_of(np.ones(1))) for _ in range(2))
    with pytest.raises(TypeError, match="same library"):
        common_namespace(a=one.wrap(np.ones(1)), b=other.wrap(np.ones(1)))


def test_the_first_argument_owns_the_message():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"b: .*as a \(torch\), got one of numpy"):
        common_namespace(a=torch.ones(1), b=np.ones(1))
    assert xs.Status.CONVERGED.message
