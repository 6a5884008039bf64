"""Group penalties  R(x) = λ Σ_g w_g‖x_g‖:  whole groups of entries are zero together (Yuan & Lin 2006).

Each way of grouping is a way to bring x into an array with one axis inside the groups; norms are taken along it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, check_count, device_of, is_array, namespace_of
from xpsolve.penalties.base import Penalty, shown, times, total, weight


class GroupL1(Penalty):
    """R(x) = λ Σ_g w_g‖x_g‖.

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.
    groups : "rows", int, or sequence of int (p,)
        "rows" takes the rows of x (p, m), as in the multi-task lasso; a number s the groups of s entries that follow
        one another; a sequence of labels 0, 1, … those of equal label.
    weights : sequence of float, optional
        w_g ≥ 0, one per group; 1 where none is given.  √(size of the group) is common.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.penalties.GroupL1(5.0, 2).prox(np.asarray([6.0, 8.0, 0.3, 0.4]), 1.0)
    array([3., 4., 0., 0.])
    """

    homogeneous = True
    finite = True
    numbers = ("lam",)

    def __init__(self, lam: Any, groups: Any = "rows", weights: Sequence[float] | None = None) -> None:
        self.lam = weight(lam, "lam")
        self.layout = _layout(groups)
        self.weights: Any = None if weights is None else [float(weight(w, "weights")) for w in weights]
        self._bounded = self.weights is None or min(self.weights) > 0

    def value(self, x: Array) -> Array:
        """R(x)."""
        xp = namespace_of(x)
        return total(self._radii(xp, x) * self.layout.lengths(self.layout.grouped(x)))

    def prox(self, v: Array, t: Any) -> Array:
        """Each group shortened by t·λw_g, or 0."""
        xp = namespace_of(v)
        groups = self.layout.grouped(v)
        return self.layout.entries(self.layout.shortened(groups, t * self._radii(xp, v)), v)

    def residual(self, x: Array, g: Array) -> Array:
        """g_g + λw_g·x_g/‖x_g‖, or g_g shortened by λw_g where x_g = 0."""
        xp = namespace_of(x)
        groups, gradients, radii = self.layout.grouped(x), self.layout.grouped(g), self._radii(xp, x)
        lengths = self.layout.lengths(groups)
        away = gradients + radii * groups / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
        return self.layout.entries(xp.where(lengths > 0, away, self.layout.shortened(gradients, radii)), x)

    def dual_range(self, c: Array) -> Array | None:
        """The least λw_g/‖c_g‖."""
        if not self._bounded or (not is_array(self.lam) and self.lam == 0):
            return None
        xp = namespace_of(c)
        lengths = self.layout.lengths(self.layout.grouped(c))
        some = lengths > 0
        ratio = self._radii(xp, c) / xp.where(some, lengths, xp.ones_like(lengths))
        return xp.asarray(xp.min(xp.where(some, ratio, xp.full_like(ratio, xp.inf))))

    def young(self, x: Array, c: Array) -> Array:
        """Σ λw_g‖x_g‖ − ⟨c_g, x_g⟩."""
        xp = namespace_of(x)
        groups, duals = self.layout.grouped(x), self.layout.grouped(c)
        axis = self.layout.axis
        terms = self._radii(xp, x) * self.layout.lengths(groups) - xp.sum(groups * duals, axis=axis, keepdims=True)
        return total(xp.maximum(terms, xp.zeros_like(terms)))

    def scaled(self, unit: Any, size: Any) -> GroupL1:
        """With λ·unit/size."""
        return self.replaced(lam=times(self.lam, unit / size))

    def meeting(self, x: Array) -> GroupL1:
        """The same with its arrays in the namespace of x, and numbers that are needed again and again as arrays."""
        other: GroupL1 = super().meeting(x)
        xp, other = namespace_of(x), copy.copy(other)
        other.layout = other.layout.meeting(x)
        if other.weights is not None:
            other.weights = _numbers(xp, other.weights, x, x.dtype)
        return other

    def _radii(self, xp: Namespace, x: Array) -> Any:
        """λw_g, beside the lengths."""
        if self.weights is None:
            return self.lam
        return self.lam * xp.expand_dims(_numbers(xp, self.weights, x, x.dtype), axis=self.layout.axis)

    def __repr__(self) -> str:
        return f"GroupL1(lam={shown(self.lam)}, groups={self.layout!r})"


class Rows:
    """The rows of x (p, m)."""

    axis = 1

    def grouped(self, x: Array) -> Array:
        """x itself; a vector is a matrix of one column."""
        return x if x.ndim == 2 else x[:, None]

    def entries(self, groups: Array, like: Array) -> Array:
        """The opposite."""
        return namespace_of(like).reshape(groups, like.shape)

    def meeting(self, x: Array) -> Rows:
        """The same with its indices beside x."""
        return self

    def lengths(self, groups: Array) -> Array:
        """‖x_g‖, with the axis kept."""
        xp = namespace_of(groups)
        return xp.sqrt(xp.sum(groups * groups, axis=self.axis, keepdims=True))

    def shortened(self, groups: Array, by: Any) -> Array:
        """Every group with its length less `by`, or 0."""
        xp, lengths = namespace_of(groups), self.lengths(groups)
        some = lengths > 0
        kept = xp.maximum(lengths - by, xp.zeros_like(lengths)) / xp.where(some, lengths, xp.ones_like(lengths))
        return kept * groups

    def __repr__(self) -> str:
        return "'rows'"


class Runs(Rows):
    """Groups of `size` entries that follow one another."""

    def __init__(self, size: int) -> None:
        self.size = size

    def grouped(self, x: Array) -> Array:
        """(p/size, size)."""
        if x.ndim != 1 or x.shape[0] % self.size:
            message = f"x: expected shape (p,) with p a multiple of groups={self.size}, got {tuple(x.shape)}."
            raise ValueError(message)
        return namespace_of(x).reshape(x, (-1, self.size))

    def __repr__(self) -> str:
        return str(self.size)


class Blocks(Rows):
    """Groups across `count` blocks of x that follow one another: the first entries, the second entries, …."""

    axis = 0

    def __init__(self, count: int) -> None:
        self.count = count

    def grouped(self, x: Array) -> Array:
        """(count, p/count)."""
        return namespace_of(x).reshape(x, (self.count, -1))

    def __repr__(self) -> str:
        return f"across {self.count} blocks"


class Labels(Rows):
    """Groups of like label, as rows filled up with zeros."""

    def __init__(self, labels: Any) -> None:
        self.length = len(labels)
        sizes = np.bincount(labels)
        order = np.argsort(labels, kind="stable")
        rank = np.arange(self.length) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        index = np.full((sizes.shape[0], max(1, int(sizes.max()))), self.length)
        index[np.asarray(labels)[order], rank] = order
        back = np.empty(self.length, dtype=np.int64)
        back[order] = np.asarray(labels)[order] * index.shape[1] + rank
        self.shape: tuple[int, int] = index.shape
        self.places: Any = index.reshape(-1).tolist()
        self.back: Any = back.tolist()

    def grouped(self, x: Array) -> Array:
        """(groups, size of the largest)."""
        xp = namespace_of(x)
        if tuple(x.shape) != (self.length,):
            message = f"x: expected shape ({self.length},), as groups has labels, got {tuple(x.shape)}."
            raise ValueError(message)
        padded = xp.concat([x, xp.zeros_like(x[:1])])
        taken = xp.take(padded, _numbers(xp, self.places, x, xp.int64))
        return xp.reshape(taken, self.shape)

    def entries(self, groups: Array, like: Array) -> Array:
        """The opposite."""
        xp = namespace_of(like)
        return xp.take(xp.reshape(groups, (-1,)), _numbers(xp, self.back, like, xp.int64))

    def meeting(self, x: Array) -> Labels:
        """The same with its indices beside x."""
        xp, other = namespace_of(x), copy.copy(self)
        other.places = _numbers(xp, self.places, x, xp.int64)
        other.back = _numbers(xp, self.back, x, xp.int64)
        return other

    def __repr__(self) -> str:
        return f"{self.shape[0]} labels"


def _layout(groups: Any) -> Rows:
    if isinstance(groups, Rows):
        return groups
    if isinstance(groups, str):
        if groups != "rows":
            message = f"groups: expected 'rows', a size or labels (p,), got {groups!r}."
            raise ValueError(message)
        return Rows()
    if isinstance(groups, int | np.integer) and not isinstance(groups, bool):
        return Runs(check_count(groups, "groups", 1))
    labels = np.asarray(groups) if isinstance(groups, list | tuple | range | np.ndarray) else np.zeros(0)
    if labels.ndim != 1 or labels.shape[0] == 0 or labels.dtype.kind not in "iu" or labels.min() < 0:
        message = "groups: expected 'rows', a size, or labels 0, 1, … (p,) as a sequence of integers on the host."
        raise TypeError(message)
    return Labels(labels)


def _numbers(xp: Namespace, values: Any, like: Array, dtype: Any) -> Array:
    """Values of the host as an array beside `like`; an array stays as it is."""
    return values if is_array(values) else xp.asarray(values, dtype=dtype, device=device_of(like))
