"""Checks of arguments: every message names the argument, what was expected, what was given and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays.assumptions import holds, is_traced_number
from xpsolve.arrays.complex import real_dtype
from xpsolve.arrays.namespace import (
    Array,
    Namespace,
    common_device,
    common_dtype,
    common_namespace,
    device_of,
    is_array,
    is_concrete,
    is_scalar,
    lift,
    namespace_of,
)
from xpsolve.arrays.precision import cast
from xpsolve.arrays.row_blocks import row_sums


def check_ndim(x: Array, name: str, *allowed: int, shape: str) -> None:
    """Raise ValueError unless ``x.ndim`` is one of `allowed` and no axis is empty."""
    if x.ndim not in allowed:
        message = f"{name}: expected shape {shape}, got {x.ndim} dimensions with shape {tuple(x.shape)}."
        raise ValueError(message)
    check_not_empty(tuple(x.shape), name, shape)


def check_not_empty(shape: tuple[int, ...], name: str, expected: str) -> None:
    """Raise ValueError where an operator has no rows or no columns."""
    if 0 in shape:
        message = f"{name}: expected shape {expected} with no empty axis, got shape {tuple(shape)}."
        raise ValueError(message)


def check_rows(x: Array, name: str, n: int, owner: str) -> None:
    """Raise ValueError unless `x` has n rows, as `owner` has."""
    if x.shape[0] != n:
        message = (
            f"{name}: expected {n} rows, as many as {owner} has, got shape {tuple(x.shape)}. "
            f"Samples go along the first axis."
        )
        raise ValueError(message)


def check_option(value: Any, name: str, allowed: tuple[str, ...]) -> None:
    """Raise unless `value` is one of the `allowed` words."""
    if isinstance(value, str) and value in allowed:
        return
    expected = f"{name}: expected one of {', '.join(map(repr, allowed))}"
    if not isinstance(value, str):
        message = f"{expected}, got {_shown(value)}."
        raise TypeError(message)
    message = f"{expected}, got {value!r}."
    raise ValueError(message)


def check_number(value: Any, name: str, *, minimum: float = -math.inf, dtype: Any = None, traced: bool = False) -> Any:
    """`value` as a float: a finite real number of at least `minimum`, also in `dtype` if one is given.

    Where `traced` allows it, a number that ``jax.jit`` traces is returned as a 0-d array, of the `dtype` that is given.
    """
    if traced and is_traced_number(value):
        return value if dtype is None else cast(value, dtype)
    expected = "a finite number" if minimum == -math.inf else f"a finite number >= {minimum:g}"
    number = _real(value, name, expected, dtype)
    if not (number >= minimum and math.isfinite(number)):
        message = f"{name}: expected {expected}{_within(value, dtype)}, got {_shown(value)}."
        raise ValueError(message)
    return number


def check_positive(value: Any, name: str, *, dtype: Any = None, traced: bool = False) -> Any:
    """`value` as a float: a finite real number above zero, also in `dtype` if one is given; `traced` as above."""
    if traced and is_traced_number(value):
        return value if dtype is None else cast(value, dtype)
    number = _real(value, name, "a positive number", dtype)
    if not (number > 0 and math.isfinite(number)):
        message = f"{name}: expected a positive number{_within(value, dtype)}, got {_shown(value)}."
        raise ValueError(message)
    return number


def _real(value: Any, name: str, expected: str, dtype: Any) -> float:
    if not is_scalar(value):
        message = f"{name}: expected {expected}, got {_shown(value)}."
        raise TypeError(message)
    try:
        number = float(value)
    except OverflowError:  # an integer such as 10**400
        return math.inf if value > 0 else -math.inf
    if not _is_single(dtype):
        return number
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(number))


def _within(value: Any, dtype: Any) -> str:
    return " that float32 can hold" if _is_single(dtype) else ""


_SINGLE: dict[tuple[type, Any], bool] = {}


def _is_single(dtype: Any) -> bool:
    if dtype is None:
        return False
    key = (dtype.__class__, dtype)  # dtypes of two libraries cannot always be compared
    found = _SINGLE.get(key)
    if found is None:
        found = _SINGLE[key] = "64" not in str(dtype)
    return found


def _shown(value: Any) -> str:
    """A value in a message: short, and nothing is read from a device."""
    kind = type(value).__qualname__
    if is_array(value):
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value) if isinstance(value, str | bytes | bool | float | int | complex | np.generic | None) else ""
    return f"{text} of type {kind}" if text and len(text) <= 60 else f"an object of type {kind}"


MOST = 2**31 - 1
"""The largest length of an axis that an option accepts."""


def check_count(value: Any, name: str, minimum: int, most: int | None = None) -> int:
    """`value` as an int: an integer of at least `minimum`, and at most `most` if that is given."""
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, int | np.integer)):
        message = f"{name}: expected an integer, got {_shown(value)}."
        raise TypeError(message)
    if value < minimum:
        message = f"{name}: expected an integer of at least {minimum}, got {_shown(value)}."
        raise ValueError(message)
    if most is not None and value > most:
        message = f"{name}: expected an integer of at most {most}, got {_shown(value)}."
        raise ValueError(message)
    return int(value)


def check_axis(value: Any, name: str, x: Array, owner: str) -> int:
    """`value` as an int: an axis of `x`, the argument called `owner`, that is not empty."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        message = f"{name}: expected an integer, got {_shown(value)}."
        raise TypeError(message)
    if not -x.ndim <= value < x.ndim or x.shape[value] == 0:
        shape = tuple(x.shape)
        message = f"{name}: expected an axis that {owner} has and that is not empty, got {value} for shape {shape}."
        raise ValueError(message)
    return int(value)


def check_flag(value: Any, name: str) -> bool:
    """`value` as a bool: True or False."""
    if type(value) is not bool and not isinstance(value, np.bool_):
        message = f"{name}: expected True or False, got {_shown(value)}."
        raise TypeError(message)
    return bool(value)


def check_callable(value: Any, name: str) -> None:
    """Raise TypeError unless `value` is None or can be called."""
    if value is not None and not callable(value):
        message = f"{name}: expected a function or None, got {_shown(value)}."
        raise TypeError(message)


def check_function(value: Any, name: str) -> None:
    """Raise TypeError unless `value` can be called."""
    if not callable(value):
        message = f"{name}: expected a function, got {_shown(value)}."
        raise TypeError(message)


def check_iteration(
    *,
    tol: Any,
    max_iter: Any,
    check_every: Any,
    callback: Any,
    check_finite: Any = True,
    record: Any = False,
    defaults: bool = False,
) -> Any:
    """Check the options that all iterative solvers share, and return `tol` as a float.

    With `defaults` a tol or max_iter of None is left to the solver.  A tol that ``jax.jit`` traces is left as it is.
    """
    if not (tol is None and defaults):
        tol = check_number(tol, "tol", minimum=0, traced=True)
    if max_iter is not None or not defaults:
        check_count(max_iter, "max_iter", 0)
    check_count(check_every, "check_every", 1)
    check_callable(callback, "callback")
    check_flag(check_finite, "check_finite")
    check_flag(record, "record")
    return tol


def check_finite(xp: Namespace, product: Callable[[], Array], **arrays: Array) -> None:
    """Raise ValueError where an argument has a NaN or an infinity; one host read for all of them.

    `product` is one that the solver needs anyway and that every entry of the arguments goes into, such as Aᵀy: neither
    a NaN nor an infinity can cancel in it (0·∞ is NaN), so that the check reads no argument a second time.  A product
    of finite numbers that overflows is recognised on the slow path.
    """
    if not is_concrete(*arrays.values()):
        holds(xp.all(xp.isfinite(product())))
        return
    with np.errstate(over="ignore", invalid="ignore"):
        found = product()
        if bool(namespace_of(found).all(namespace_of(found).isfinite(found))):
            return
        for name, x in arrays.items():
            (total,) = row_sums(_not_finite, x) if len(x.shape) == 2 else _not_finite(x)
            count = int(total)
            if count:
                message = (
                    f"{name}: expected finite numbers, got {count} NaN or infinite of {math.prod(x.shape)}. "
                    f"Remove or impute them first; check_finite=False skips this check, not its consequences."
                )
                raise ValueError(message)


def _not_finite(x: Array) -> tuple[Array]:
    """How many entries are NaN or infinite."""
    xp = namespace_of(x)
    return (xp.sum(xp.astype(~xp.isfinite(x), xp.int64)),)


def regularisation(xp: Namespace, lam: Any, name: str, *, like: Array, check_values: bool = True) -> Array:
    """λ ≥ 0 as an array of the real dtype and the device of `like`: 0-d for a number, 1-D for a path.

    Numbers and lists are checked on the host, where they are.  The values of an array on a device cost one
    host read, which ``check_values=False`` saves.
    """
    dtype = real_dtype(like)
    if is_array(lam):
        common_namespace(A=like, **{name: lam})
        common_device(A=like, **{name: lam})
        if lam.ndim > 1 or 0 in lam.shape:
            message = f"{name}: expected a number or a 1-D array, got shape {tuple(lam.shape)}."
            raise ValueError(message)
        lam = lift(xp, lam)
        common_dtype(xp, device_of(lam), **{name: lam})
        if lam.dtype != dtype:
            lam = xp.astype(lam, dtype)
        if check_values and not holds(xp.all((lam >= 0) & xp.isfinite(lam))):
            message = f"{name}: expected finite numbers >= 0, got an array with negative or non-finite entries."
            raise ValueError(message)
        return lam
    values = list(lam) if isinstance(lam, list | tuple) else [lam]
    if not values or not all(is_scalar(value) for value in values):
        message = f"{name}: expected a number, a list of numbers or a 1-D array, got {lam!r}."
        raise TypeError(message)
    numbers = [check_number(value, name, minimum=0, dtype=dtype) for value in values]
    host = numbers if isinstance(lam, list | tuple) else numbers[0]
    return xp.asarray(host, dtype=dtype, device=device_of(like))
