"""Each pass alone, on programs recorded from small functions."""

import numpy as np

from xpsolve.arrays import namespace_of
from xpsolve.trace.passes import grouped, hoisted, last_reads, without_dead, without_repeats, without_spreading
from xpsolve.trace.program import Group, Value, values_in
from xpsolve.trace.record import record

x, A = np.arange(4.0), np.arange(12.0).reshape(3, 4)


def names(operations):
    return [operation.name for operation in operations]


def recorded(f, *args):
    return record(f, *args)[1]


def test_dead_operations_and_their_constants_go():
    def f(x):
        A @ x
        return x + 1

    program = without_dead(recorded(f, x))
    assert names(program.operations) == ["add"]
    assert not program.constants


def test_repeats_go_but_results_stay_two_arrays():
    def f(x):
        xp = namespace_of(x)
        a, b = xp.exp(x) + 1, xp.exp(x) + 1
        return a, b, xp.sum(a * b)

    program = without_repeats(recorded(f, x))
    assert names(program.operations) == ["exp", "add", "add", "multiply", "sum"]
    assert len(set(values_in(program.outputs))) == 3


def test_repeats_are_told_apart_by_type_and_sign():
    def f(x):
        return (x / 0.0) * (x / -0.0) * (x / 0) * (x + 1) * (x + 1.0) * (x + True)

    with np.errstate(all="ignore"):
        program = recorded(f, x)
    assert len(without_repeats(program).operations) == len(program.operations)


def test_numbers_in_place_of_arrays_that_repeat_them():
    def f(x):
        xp = namespace_of(x)
        relu = xp.where(x > 0, x, xp.zeros_like(x))
        return relu * xp.broadcast_to(xp.sum(x), x.shape), xp.zeros_like(x) + xp.ones_like(x)

    program = without_dead(without_spreading(recorded(f, x)))
    assert names(program.operations) == ["greater", "where", "sum", "multiply", "ones_like", "add"]
    where, add = program.operations[1], program.operations[-1]
    assert where.args[2] == 0.0
    assert sum(isinstance(arg, Value) for arg in add.args) == 1  # one of them gives the shape


def test_a_number_that_had_more_axes_stays_reshaped():
    def f(x, t):
        return x * namespace_of(x).reshape(t, ())

    program = without_dead(without_spreading(recorded(f, np.asarray(2.0), np.ones(1))))
    assert names(program.operations) == ["reshape", "multiply"]


def test_what_a_loop_does_not_change_goes_before_it():
    def step(x, t):
        return A @ x * (2 * t), t

    program = recorded(step, np.ones(4), np.asarray(0.5))
    before, within = hoisted(program, {program.inputs[1]})
    assert names(before) == ["multiply"]
    assert names(within) == ["matmul", "multiply"]


def test_last_reads():
    program = recorded(lambda x: (x + 1) * x + (x + 2), x)
    assert [last_reads(program.operations)[operation.outputs] for operation in program.operations[:3]] == [1, 3, 3]


def shown(units):
    return [
        [names(unit.operations), unit.reduction and unit.reduction.name] if isinstance(unit, Group) else unit.name
        for unit in units
    ]


def test_chains_in_one_group_with_the_reduction_that_ends_them():
    def f(x):
        xp = namespace_of(x)
        return xp.sum(xp.exp(x) * 2 + x)

    assert shown(grouped(recorded(f, x))) == [[["exp", "multiply", "add"], "sum"]]


def test_no_group_spans_an_operation_between():
    def f(x):
        xp = namespace_of(x)
        y = xp.exp(x)
        return y * xp.sum(xp.flip(y)), y - xp.max(y)

    units = grouped(recorded(f, x))
    done = set()
    program = recorded(f, x)
    assert sum(len(list(unit)) if isinstance(unit, Group) else 1 for unit in units) == len(program.operations)
    for unit in units:
        for operation in unit if isinstance(unit, Group) else (unit,):
            made_here = set(values_in([o.outputs for o in unit])) if isinstance(unit, Group) else set()
            made = {v for v in operation.reads() if v.number > 0}
            assert made <= done | made_here
        done |= set(values_in([o.outputs for o in (unit if isinstance(unit, Group) else (unit,))]))


def test_two_branches_meet_in_one_group():
    assert shown(grouped(recorded(lambda x: (x + 1) * (x - 2), x))) == [[["add", "subtract", "multiply"], None]]


def test_small_numbers_are_computed_where_they_are_read():
    def f(x, t):
        return x + (t / (t + 3)) * x

    (group,) = grouped(recorded(f, x, np.asarray(1.0)))
    assert names(group.operations) == ["add", "divide", "multiply", "add"]
