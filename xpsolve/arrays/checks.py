"""Checks at the public door: every message names the argument, what was expected, what came, what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

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
)


def check_ndim(x: Array, name: str, *allowed: int, shape: str) -> None:
    """Raise ValueError unless ``x.ndim`` is one of `allowed` and no axis is empty."""
    if x.ndim not in allowed:
        message = f"{name}: expected shape {shape}, got {x.ndim} dimensions with shape {tuple(x.shape)}."
        raise ValueError(message)
    if 0 in x.shape:
        message = f"{name}: expected shape {shape} with no empty axis, got shape {tuple(x.shape)}."
        raise ValueError(message)


def check_rows(x: Array, name: str, n: int, owner: str) -> None:
    """Raise ValueError unless `x` has n rows, as `owner` has."""
    if x.shape[0] != n:
        message = (
            f"{name}: expected {n} rows, as many as {owner} has, got shape {tuple(x.shape)}. "
            f"Samples go along the first axis."
        )
        raise ValueError(message)


def check_option(value: str, name: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of the `allowed` words."""
    if value not in allowed:
        message = f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}."
        raise ValueError(message)


def check_positive(value: Any, name: str) -> None:
    """Raise unless `value` is a finite real number above zero."""
    if not is_scalar(value):
        message = f"{name}: expected a positive number, got {type(value).__qualname__}."
        raise TypeError(message)
    if not (value > 0 and math.isfinite(value)):
        message = f"{name}: expected a positive number, got {value!r}."
        raise ValueError(message)


def check_count(value: Any, name: str, minimum: int) -> None:
    """Raise unless `value` is an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        message = f"{name}: expected an integer, got {value!r} of type {type(value).__qualname__}."
        raise TypeError(message)
    if value < minimum:
        message = f"{name}: expected an integer of at least {minimum}, got {value}."
        raise ValueError(message)


def check_finite(xp: Namespace, product: Callable[[], Array], **arrays: Array) -> None:
    """Raise ValueError where an argument has a NaN or an infinity; one host read for all of them.

    `product` is one that the solver needs anyway and that every entry of the arguments goes into, such as Aᵀy: neither
    a NaN nor an infinity can cancel in it (0·∞ is NaN), so that the check reads no argument a second time.  A product
    of finite numbers that overflows is told apart on the slow path.
    """
    if not is_concrete(*arrays.values()):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if bool(xp.all(xp.isfinite(product()))):
            return
        for name, x in arrays.items():
            if not bool(xp.all(xp.isfinite(x))):
                count = int(xp.sum(xp.astype(~xp.isfinite(x), x.dtype)))
                message = (
                    f"{name}: expected finite numbers, got {count} NaN or infinite of {math.prod(x.shape)}. "
                    f"Remove or impute them first; check_finite=False skips this check, not its consequences."
                )
                raise ValueError(message)


def regularisation(xp: Namespace, lam: Any, name: str, *, like: Array, check_values: bool = True) -> Array:
    """λ ≥ 0 as an array of the dtype and device of `like`: 0-d for a number, 1-D for a path.

    Numbers and lists are checked on the host, where they are.  The values of an array on a device cost one
    host read, which ``check_values=False`` saves.
    """
    if is_array(lam):
        common_namespace(A=like, **{name: lam})
        common_device(A=like, **{name: lam})
        if lam.ndim > 1 or 0 in lam.shape:
            message = f"{name}: expected a number or a 1-D array, got shape {tuple(lam.shape)}."
            raise ValueError(message)
        lam = lift(xp, lam)
        common_dtype(xp, device_of(lam), **{name: lam})
        if lam.dtype != like.dtype:
            lam = xp.astype(lam, like.dtype)
        if check_values and is_concrete(lam) and not bool(xp.all((lam >= 0) & xp.isfinite(lam))):
            message = f"{name}: expected finite numbers >= 0, got an array with others."
            raise ValueError(message)
        return lam
    values = list(lam) if isinstance(lam, list | tuple) else [lam]
    if not values or not all(is_scalar(value) for value in values):
        message = f"{name}: expected a number, a list of numbers or a 1-D array, got {lam!r}."
        raise TypeError(message)
    for value in values:
        if not (value >= 0 and math.isfinite(value)):
            message = f"{name}: expected a finite number >= 0, got {value!r}. It weighs a norm in the objective."
            raise ValueError(message)
    numbers = [float(value) for value in values]
    host = numbers if isinstance(lam, list | tuple) else numbers[0]
    return xp.asarray(host, dtype=like.dtype, device=device_of(like))
