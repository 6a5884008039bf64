"""What a recording holds, and what it cannot."""

import numpy as np
import pytest

from xpsolve.arrays import namespace_of
from xpsolve.arrays.indexing import put
from xpsolve.trace.closures import Signature
from xpsolve.trace.record import CannotRecord, record, record_leaves

x, A = np.arange(4.0), np.arange(12.0).reshape(3, 4)


def names(program):
    return [operation.name for operation in program.operations]


def test_operations_in_order_with_constants_apart():
    def f(x):
        xp = namespace_of(x)
        return xp.exp(A @ x) * xp.sum(xp.square(A))

    result, program = record(f, x)
    np.testing.assert_array_equal(result, np.exp(A @ x) * np.sum(A * A))
    assert names(program) == ["matmul", "exp", "multiply"]  # ΣA² is known
    assert [value.shape for value in program.constants] == [(3, 4), ()]
    assert str(program).splitlines()[1] == "%1 = matmul(%2, %0)"
    assert program.outputs is program.operations[-1].outputs


def test_a_function_closes_over_a_namespace_arrays_objects_and_itself():
    class Model:
        def __init__(self, A):
            self.A = A

        def product(self, x):
            return self.A @ x

    model, xp = Model(A), namespace_of(A)

    def repeated(x, n):
        return x if n == 0 else repeated(xp.maximum(x, 0.0), n - 1)

    result, program = record(lambda x: repeated(model.product(x), 2), x)
    assert names(program) == ["matmul", "maximum", "maximum"]
    np.testing.assert_array_equal(result, A @ x)
    assert type(model.A) is np.ndarray


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x * float(x[0]), "a value goes to the host (by float)"),
        (lambda x: x if x[0] > 1 else -x, "by bool"),
        (lambda x: np.asarray(x) + 1, "by __array__"),
        (lambda x: x[x > 1], "the shape of what getitem returns"),
        (lambda x: namespace_of(x).nonzero(x), "the shape of what nonzero returns"),
    ],
)
def test_what_cannot_be_recorded_is_said(f, words):
    with pytest.raises(CannotRecord, match=words.replace("(", r"\(").replace(")", r"\)")):
        record(f, x)


def test_a_constant_may_be_read():
    _, program = record(lambda x: x * float(A[1, 1]), x)
    assert names(program) == ["multiply"]


def test_what_a_delegate_writes_to_is_copied():
    """The given array is the caller's, and a constant is used again."""
    zero = np.zeros(4)
    index = np.asarray([1])

    def f(x):
        return put(zero, index, x[:1]) + zero

    result, _ = record(f, x + 7)
    np.testing.assert_array_equal(result, [0, 7, 0, 0])
    np.testing.assert_array_equal(zero, 0)


def test_closed_arrays_as_inputs():
    matrix, scale = A, np.float64(2.0)

    def step(x):
        return (scale * (matrix.T @ (matrix @ x)),)

    signature = Signature(step)
    assert [type(x) for x in signature.arrays] == [np.ndarray, np.float64]
    (result,), program = record_leaves(step, (x,), [x], signature.arrays)
    np.testing.assert_array_equal(result, 2 * (A.T @ (A @ x)))
    assert len(program.inputs) == 3
    assert not program.constants


def test_signatures_tell_functions_apart():
    def made(A, scale, n=1):
        return lambda x: scale * (A @ x) + n

    key = Signature(made(A, 2.0)).key
    assert key == Signature(made(A + 1, 2.0)).key
    others = [
        made(A, 3.0),
        made(A, -2.0),
        made(A, 2),
        made(A[:2], 2.0),
        made(np.asfortranarray(A), 2.0),
        made(A, 2.0, 2),
    ]
    others += [made(A.astype(np.float32), 2.0), lambda x: 2.0 * (A @ x) + 1]
    keys = [key, *(Signature(f).key for f in others)]
    assert len(set(keys)) == len(keys)
    assert Signature(made(A, 0.0)).key != Signature(made(A, -0.0)).key


def test_a_signature_has_each_array_once_and_sees_which_are_the_same():
    def made(a, b):
        return lambda x: a * x + b

    assert len(Signature(made(x, x)).arrays) == 1
    assert Signature(made(x, x)).key != Signature(made(x, x + 0)).key


def test_a_signature_needs_to_look_into_all_objects():
    rng = np.random.default_rng(0)
    with pytest.raises(CannotRecord, match="Generator cannot be looked into"):
        Signature(lambda x: x * rng.random())


def test_with_closed_arrays_nothing_else_comes_in():
    """An array that the signature does not see would be that of the first call for ever."""

    def step(x):
        return (A @ x,)  # of this module, which no cell holds

    with pytest.raises(CannotRecord, match="neither an input nor made here"):
        record_leaves(step, (x,), [x], Signature(step).arrays)
    (result,), _ = record_leaves(lambda x: (namespace_of(x).ones_like(x) + x,), (x,), [x], [])
    np.testing.assert_array_equal(result, x + 1)
