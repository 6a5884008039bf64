"""The arguments of the least-squares family, checked: A, y and λ as a `Problem`, a first answer, and a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpsolve.arrays import (
    Array,
    cast,
    check_positive,
    common_namespace,
    device_of,
    enter,
    enter_numbers,
    holds,
    is_array,
    is_complex,
    is_concrete,
    lift,
    real_dtype,
    regularisation,
)
from xpsolve.arrays import (
    check_finite as _check_finite,
)
from xpsolve.linear._problem import Problem, entries_in, is_ordinary, to_columns
from xpsolve.operators.entry import enter_operator


def enter_problem(
    A: Any,
    y: Array,
    lam: Any,
    *,
    name: str = "lam",
    targets: bool = False,
    check_finite: bool,
    direct: bool = False,
    complex_too: bool = False,
    seen: Callable[[Problem], Problem] = lambda problem: problem,
) -> Problem:
    """The first step of all public functions of the least-squares family; `direct` as for `is_ordinary`.

    With `targets` λ may be (1, k), one for every column of y.  Some functions take complex numbers, too.  `seen` makes
    of the problem another kind of it, before anything is computed.
    """
    if is_array(y) and is_array(lam):
        y = lift(common_namespace(y=y, lam=lam), y)  # λ alone may carry a derivative
    xp, operator, y = enter_operator(A, y, complex_too=complex_too)
    entries = entries_in(operator)
    checked = {"y": y} if entries is None else {"A": entries, "y": y}
    row = _row(lam, name, y) if targets else None
    lams = regularisation(xp, lam if row is None else row, name, like=y, check_values=check_finite)
    problem = Problem(
        xp,
        operator,
        y if y.ndim == 2 else y[:, None],
        lams if lams.ndim else lams[None],
        y.ndim == 1,
        lams.ndim == 0 or row is not None,
        paired=row is not None,
    )
    problem = seen(problem)
    if not is_concrete(*checked.values(), lams):
        if check_finite:
            holds(xp.all(xp.isfinite(problem.Aty)))
        return problem.knowing(ordinary=False)  # nothing can be read
    if not check_finite:
        return problem
    ordinary = bool(is_ordinary(problem, direct=direct))
    if not ordinary:
        _check_finite(xp, lambda: problem.Aty, **checked)
    return problem.knowing(ordinary=ordinary)


def _row(lam: Any, name: str, y: Array) -> Any:
    """The λ of every column of y, (k,), from an array (1, k) or a list in a list; None of anything else."""
    if is_array(lam):
        given = tuple(lam.shape)
        if len(given) != 2:
            return None
    elif isinstance(lam, list | tuple) and lam and isinstance(lam[0], list | tuple):
        given = (len(lam), len(lam[0]))
    else:
        return None
    if y.ndim != 2 or given != (1, y.shape[1]):
        message = (
            f"{name}: expected a number, m numbers for a path, or shape (1, k) with one λ for each of the k columns of "
            f"y, got shape {given} for y of shape {tuple(y.shape)}."
        )
        raise ValueError(message)
    return lam[0, :] if is_array(lam) else lam[0]


def start_columns(problem: Problem, x0: Array, *, check_finite: bool = True) -> Array:
    """A first answer, checked, as columns; one more host read checks it for NaN and infinities."""
    if is_complex(problem.Y):
        xp, (x0, _) = enter_numbers(x0=x0, y=problem.Y)
    else:
        xp, (x0, _) = enter(x0=x0, y=problem.Y)
    m, p, k = problem.n_lams, problem.shape[1], problem.Y.shape[1]
    expected = (*(() if problem.single_lam else (m,)), p, *(() if problem.single_y else (k,)))
    if tuple(x0.shape) != expected:
        message = f"x0: expected the shape of the answer {expected}, got {tuple(x0.shape)}."
        raise ValueError(message)
    if check_finite:
        _check_finite(xp, lambda: x0, x0=x0)
    return to_columns(problem, cast(problem.small(x0), problem.Y.dtype))


def given_step(problem: Problem, step: Any, *, check_finite: bool) -> Array:
    """The step, checked, as a 0-d array; one more host read checks the value of an array."""
    dtype = real_dtype(problem.Y)
    if not is_array(step):
        check_positive(step, "step", dtype=dtype)
        return problem.xp.asarray(float(step), dtype=dtype, device=device_of(problem.Y))
    common_namespace(y=problem.Y, step=step)
    xp, (step, _) = enter(step=problem.small(step), lam=problem.lams)
    if step.ndim:
        message = f"step: expected a number or a 0-d array, got shape {tuple(step.shape)}."
        raise ValueError(message)
    if check_finite and not holds((step > 0) & xp.isfinite(step)):
        message = "step: expected a positive number, got an array with a number that is not."
        raise ValueError(message)
    return step
