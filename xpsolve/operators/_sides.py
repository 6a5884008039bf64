"""Sides of signals, pictures and volumes, as arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays import MOST

Lengths = tuple[int, ...]


def sides(shape: Any, most: int = 30) -> Lengths:
    """`shape`, an integer or one for each axis, as a tuple of at most so many: libraries have up to 32 axes."""
    given = shape if isinstance(shape, tuple | list) else (shape,)
    if not 1 <= len(given) <= most:
        message = f"shape: expected 1 to {most} sides of the picture, got {shape!r}."
        raise ValueError(message)
    return each(given, "shape", len(given))


def each(value: Any, name: str, count: int) -> Lengths:
    """One integer for each axis."""
    values = value if isinstance(value, tuple | list) else (value,) * count
    if not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values):
        message = f"{name}: expected an integer or {count} of them, got {value!r}."
        raise TypeError(message)
    if len(values) != count or min(values) < 1 or max(values) > MOST:
        expected = f"an integer of at least 1 and at most {MOST}, or {count} of them, one for each axis"
        message = f"{name}: expected {expected}, got {value!r}."
        raise ValueError(message)
    return tuple(int(v) for v in values)
