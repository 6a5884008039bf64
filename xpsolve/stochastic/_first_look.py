"""What a pass over blocks of rows finds of samples before a method begins: whether they can be used, and their means.

A model with an intercept is solved without the means of its columns (`xpsolve.stochastic._intercept`).  These, and a
direction by which its second pass finds the size of the columns, come from the pass that checks the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array, adjoint_product, joined_means, power_of_two, row_means, row_reduce, safe_norm

_Of = Callable[[Array], Array | None]


class Means(NamedTuple):
    """Weighted means, and what goes with them."""

    mean: Array  # ā, (p,)
    center: Array  # ȳ, 0-d or (m,)
    along: Array  # Σ w(a − ā)(y − ȳ)ᵀ times a number, (p,) or (p, m)
    low: Array  # min y and max y, 0-d or (m,)
    high: Array
    counts: Array  # the weight of each class times a number, (classes,), empty where there are none


class Look(NamedTuple):
    """What the pass finds of A, y and weights."""

    finite: Array  # numbers that are finite where all of A and y are
    size: Array  # max|y|, 0-d
    allowed: Array  # whether the observations are those of the loss
    weighed: Array  # whether the weights are finite, and none is below 0
    largest: Array  # the largest weight, 0-d
    total: Array  # Σ w over it, 0-d
    means: Means | None  # where they were asked for


def look_at(A: Any, y: Array, weights: Array | None, *, allowed: _Of, members: _Of, means: bool) -> Look:
    """One pass; `members` makes the share (n_i, classes) of samples in each class, or None."""
    others = (y,) if weights is None else (y, weights)
    first, size, good, weighed, largest, total, *rest = row_reduce(
        partial(_of_block, allowed, members, means), partial(_joined, means), A, *others
    )
    found = Means(*rest[:2], *rest[3:]) if means else None  # without the unit of `along`
    return Look(first, size, good, weighed, largest, total, found)


def column_scale(A: Any, means: Means) -> Array:
    """The power of two just below ‖(A − 1ā)u‖/√n for the direction u of `means.along`, 0-d, by one pass."""
    length = safe_norm(means.along)
    u = means.along / np.where(length > 0, length, np.ones_like(length))
    (norm,) = row_reduce(_length, _of_lengths, A, small=(u, means.mean @ u))
    return np.asarray(power_of_two(norm / A.shape[0] ** 0.5))


def _of_block(
    allowed: _Of, members: _Of, means: bool, A: Array, y: Array, weights: Array | None = None
) -> tuple[Array, ...]:
    good, one = allowed(y), np.ones((), y.dtype)
    size = np.max(np.abs(y))
    weighed: Array = np.ones((), bool)
    largest, w = one, weights
    if weights is None:
        total = np.asarray(len(y), y.dtype)
    else:
        weighed, largest = np.all((weights >= 0) & np.isfinite(weights)), np.max(weights)
        w = weights / (largest if largest > 0 else one)
        total = np.sum(w)
    good = np.ones((), bool) if good is None else np.asarray(good)
    if not means:
        return adjoint_product(A, y), size, good, weighed, largest, total
    total, mean, center = row_means(w, A, y)
    d = y - center
    d = d if w is None else d * (w if y.ndim == 1 else w[:, None])
    unit = power_of_two(d)
    d = d / unit
    away = np.sum(d, axis=0)  # 0 up to rounding, which large means make larger
    along = adjoint_product(A, d) - (mean * away if y.ndim == 1 else mean[:, None] * away)
    groups = members(y)
    counts = np.zeros(0, y.dtype) if groups is None else np.sum(groups if w is None else groups * w[:, None], axis=0)
    finite = np.concatenate([np.reshape(x, -1) for x in (mean, center)])
    low, high = np.min(y, axis=0), np.max(y, axis=0)
    return finite, size, good, weighed, largest, total, mean, center, unit, along, low, high, counts


def _joined(means: bool, parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    finite, size, good, weighed, largest, total, *rest = zip(*parts, strict=True)
    top = np.max(np.stack(largest))
    shares = [np.asarray(each / top if top > 0 else each) for each in largest]
    basic = (
        sum(finite[1:], finite[0]),
        np.max(np.stack(size)),
        np.all(np.stack(good)),
        np.all(np.stack(weighed)),
        top,
        np.asarray(sum(share * each for share, each in zip(shares, total, strict=True))),
    )
    if not means:
        return basic
    mean, center, units, along, low, high, counts = rest
    weights = [share * each for share, each in zip(shares, total, strict=True)]
    (_, a, c), (A, C), _ = joined_means(list(zip(weights, mean, center, strict=True)))
    unit = np.max(np.stack(units))
    within = sum(share * (each / unit) * part for share, each, part in zip(shares, units, along, strict=True))
    between = np.reshape(adjoint_product(A, C / unit), np.shape(within))
    return (
        *basic,
        a,
        c,
        unit,
        within + between,
        np.min(np.stack(low), axis=0),
        np.max(np.stack(high), axis=0),
        np.asarray(sum(share * each for share, each in zip(shares, counts, strict=True))),
    )


def _length(A: Array, u: Array, center: Array) -> tuple[Array, ...]:
    return (np.asarray(safe_norm(A @ u - center)),)


def _of_lengths(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    return (np.asarray(safe_norm(np.stack([x for (x,) in parts]))),)
