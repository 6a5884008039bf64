"""Costs between points, made block by block from their coordinates: squared distances, distances, or any function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from xpsolve.arrays import (
    Array,
    Namespace,
    check_callable,
    check_count,
    check_ndim,
    check_option,
    is_array,
    namespace_of,
)
from xpsolve.trace import shapes_in
from xpsolve.transport._rows import OfMatrix, Rows

_HELD, BLOCK = 1 << 22, 1 << 20  # entries of K that are kept, and of a block where it is not

Cost = Callable[[Namespace, Array, Array], Array]


@dataclass(frozen=True, eq=False, repr=False)
class PointCloud:
    """The cost between two sets of points, which is made block by block and never stored where it is large.

    Parameters
    ----------
    x : array, shape (n, d) or (batch, n, d)
        Points that mass leaves, the same for all problems or some for each.
    y : array, shape (m, d) or (batch, m, d)
        Points where it arrives.
    block : int, optional
        Rows of M made at a time.  None keeps M up to 4 million entries, and beyond takes blocks of a million.
    cost : str or callable
        "sqeuclidean" is M_ij = ‖x_i − y_j‖², "euclidean" is ‖x_i − y_j‖.  A function is called as ``cost(xp, x, y)``
        with the array namespace, some rows of x (k, d) and all of y (m, d), and returns their costs (k, m); for
        batched points each has the axis of the batch in front.  It may return ∞ for pairs that are forbidden.  With
        functions of `xp` it works on every library, and is differentiated like the others.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> x, y = np.asarray([[0.0], [1.0]]), np.asarray([[0.0], [1.0], [2.0]])
    >>> xs.sinkhorn(np.ones(2) / 2, np.ones(3) / 3, xs.PointCloud(x, y), 0.1).plan().round(3)
    array([[0.333, 0.167, 0.   ],
           [0.   , 0.167, 0.333]])
    >>> cube = xs.PointCloud(x, y, cost=lambda xp, x, y: xp.abs(x - y.T) ** 3)
    >>> round(float(xs.sinkhorn(np.ones(2) / 2, np.ones(3) / 3, cube, 0.1).cost), 3)
    0.5
    """

    x: Array
    y: Array
    block: int | None = None
    cost: Any = "sqeuclidean"

    def __repr__(self) -> str:
        kind = "" if self.cost == "sqeuclidean" else f", cost={self.cost!r}" if isinstance(self.cost, str) else ", cost"
        return f"PointCloud(x: {shapes_in(self.x)}, y: {shapes_in(self.y)}{kind})"

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> PointCloud:
        cost = self.cost.mapped(function) if isinstance(self.cost, _Divided) else self.cost
        return replace(self, x=function(self.x), y=function(self.y), cost=cost)

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that it is made of, by the names that messages use."""
        return {"M.x": self.x, "M.y": self.y}

    def entered(self, x: Array, y: Array) -> PointCloud:
        """The same of arrays that have been checked; one set of points for a batch is one set for all."""
        check_ndim(x, "M.x", 2, 3, shape="(n, d) or (batch, n, d)")
        check_ndim(y, "M.y", 2, 3, shape="(m, d) or (batch, m, d)")
        if x.shape[-1] != y.shape[-1]:
            message = f"M: expected points x and y of one dimension, got {x.shape[-1]} and {y.shape[-1]}."
            raise ValueError(message)
        if self.block is not None:
            check_count(self.block, "M.block", 1)
        if isinstance(self.cost, str):
            check_option(self.cost, "M.cost", ("sqeuclidean", "euclidean"))
        elif not isinstance(self.cost, _Divided):
            check_callable(self.cost, "M.cost")
        x, y = (z[0, ...] if z.ndim == 3 and z.shape[0] == 1 else z for z in (x, y))
        if x.ndim == y.ndim == 3 and x.shape[0] != y.shape[0]:
            message = f"M: expected one number of problems, got {x.shape[0]} sets x and {y.shape[0]} sets y."
            raise ValueError(message)
        return replace(self, x=x, y=y)

    def divided(self, unit: Any) -> PointCloud:
        """The points whose costs are those of these, divided by a number or by one for each problem, (B, 1)."""
        if not isinstance(self.cost, str):
            return replace(self, cost=_Divided(self.cost, unit))
        scale = beside_costs(unit**-0.5 if self.cost == "sqeuclidean" else 1 / unit)
        same = self.x is self.y
        x = self.x * scale
        return replace(self, x=x, y=x if same else self.y * scale)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the matrix of costs."""
        units = (self.cost.unit,) if isinstance(self.cost, _Divided) and is_array(self.cost.unit) else ()
        batch = next((z.shape[:1] for z in (self.x, self.y) if z.ndim == 3), units[0].shape[:1] if units else ())
        return (*batch, self.x.shape[-2], self.y.shape[-2])

    @property
    def one_set(self) -> bool:
        """Whether x and y are one array with a cost that is symmetric then."""
        return self.x is self.y and isinstance(self.cost, str)

    def between(self, x: Array, y: Array) -> Array:
        """The costs between some points, which are differentiable in both."""
        xp = namespace_of(x)
        if isinstance(self.cost, str):
            total = sum((x[..., :, None, k] - y[..., None, :, k]) ** 2 for k in range(x.shape[-1]))
            return total if self.cost == "sqeuclidean" else _root(total)
        if isinstance(self.cost, _Divided):
            return replace(self, cost=self.cost.cost).between(x, y) / beside_costs(self.cost.unit)
        M = self.cost(xp, x, y)
        expected = (*(x.shape[:-2] or y.shape[:-2]), x.shape[-2], y.shape[-2])
        if not is_array(M) or namespace_of(M) is not xp or tuple(M.shape) != expected:
            got = f"an array of shape {tuple(M.shape)}" if is_array(M) else type(M).__qualname__
            message = f"M.cost: expected a function that returns an array of `xp` of shape {expected}, got {got}."
            raise ValueError(message)
        return M if M.dtype == x.dtype else xp.astype(M, x.dtype)

    def kernel(self) -> Rows:
        """Blocks of the cost; where one block is all, the cost is made here unless it is a single product."""
        *batch, n, m = self.shape
        entries = n * m * (batch[0] if batch else 1)
        block = min(self.block or (n if entries <= _HELD else max(1, BLOCK * n // entries)), n)
        if self.cost == "sqeuclidean":
            centre = namespace_of(self.x).mean(self.y, axis=-2, keepdims=True)  # far from 0 the squares would cancel
            return squared_distances(self.x - centre, self.y - centre, block)
        if block >= n:
            return Rows(OfMatrix(self.between(self.x, self.y)), (n, m), n)
        return Rows(_OfCloud(self), (n, m), block)

    def bounds(self) -> tuple[Array, Array] | None:
        """Bounds of the smallest and largest cost, from the box around all points; None for functions."""
        if not isinstance(self.cost, str):
            return None
        xp = namespace_of(self.x)
        axes = [tuple(range(z.ndim - 1)) for z in (self.x, self.y)]
        high = xp.maximum(xp.max(self.x, axis=axes[0]), xp.max(self.y, axis=axes[1]))
        low = xp.minimum(xp.min(self.x, axis=axes[0]), xp.min(self.y, axis=axes[1]))
        top = xp.sum((high - low) ** 2)
        return xp.zeros_like(top), top if self.cost == "sqeuclidean" else xp.sqrt(top)


def beside_costs(unit: Any) -> Any:
    """A number, or one for each problem (B, 1), such that costs (n, m) or (B, n, m) can be divided by it."""
    return unit[:, :, None] if is_array(unit) and unit.ndim else unit


def squared_distances(x: Array, y: Array, block: int) -> Rows:
    """‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2⟨x_i, y_j⟩ in blocks of rows, each one product."""
    xp = namespace_of(x)
    xx, yy = xp.sum(x * x, axis=-1, keepdims=True), xp.sum(y * y, axis=-1, keepdims=True)
    left = xp.concat([-2 * x, xx, xp.ones_like(xx)], axis=-1)
    right = xp.matrix_transpose(xp.concat([y, xp.ones_like(yy), yy], axis=-1))
    return Rows(_OfPoints(left, right), (x.shape[-2], y.shape[-2]), block)


def _root(x: Array) -> Array:
    """√x, with the derivative 0 at 0."""
    xp = namespace_of(x)
    some = x > 0
    return xp.where(some, xp.sqrt(xp.where(some, x, xp.ones_like(x))), xp.zeros_like(x))


@dataclass(frozen=True, eq=False)
class _Divided:
    """A function of costs divided by a number, or by one for each problem."""

    cost: Cost
    unit: Any

    def mapped(self, function: Callable[[Array], Any]) -> _Divided:
        """The same with another array of units."""
        return replace(self, unit=function(self.unit)) if is_array(self.unit) else self


@dataclass(frozen=True, eq=False)
class _OfCloud:
    """Rows of a cost that is made from coordinates."""

    cloud: PointCloud

    def __call__(self, start: int, stop: int) -> Array:
        return self.cloud.between(self.cloud.x[..., start:stop, :], self.cloud.y)


@dataclass(frozen=True, eq=False)
class _OfPoints:
    """Rows of squared distances, from (−2x, ‖x‖², 1) and (y, 1, ‖y‖²)ᵀ."""

    left: Array
    right: Array

    def __call__(self, start: int, stop: int) -> Array:
        M = self.left[..., start:stop, :] @ self.right
        return namespace_of(M).maximum(M, namespace_of(M).zeros_like(self.left[..., :1, :1]))
