"""Costs of transport that are not a matrix: squared distances of points, and of the points of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import Array, check_count, check_ndim, namespace_of
from xpsolve.trace import shapes_in
from xpsolve.transport._kernels import Axes, Rows, cost_range

_HELD, _BLOCK = 1 << 22, 1 << 20  # entries of K that are kept, and of a block where it is not


@dataclass(frozen=True, eq=False, repr=False)
class PointCloud:
    """The cost M_ij = ‖x_i − y_j‖², which is made block by block and never stored where it is large.

    Parameters
    ----------
    x : array, shape (n, d)
        Points that mass leaves.
    y : array, shape (m, d)
        Points where it arrives.
    block : int, optional
        Rows of M made at a time.  None keeps M up to 4 million entries, and beyond takes blocks of a million.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> x, y = np.asarray([[0.0], [1.0]]), np.asarray([[0.0], [1.0], [2.0]])
    >>> xs.sinkhorn(np.ones(2) / 2, np.ones(3) / 3, xs.PointCloud(x, y), 0.1).plan().round(3)
    array([[0.333, 0.167, 0.   ],
           [0.   , 0.167, 0.333]])
    """

    x: Array
    y: Array
    block: int | None = None

    def __repr__(self) -> str:
        return f"PointCloud(x: {shapes_in(self.x)}, y: {shapes_in(self.y)})"

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> PointCloud:
        return PointCloud(function(self.x), function(self.y), self.block)

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that it is made of, by the names that messages use."""
        return {"M.x": self.x, "M.y": self.y}

    def entered(self, x: Array, y: Array) -> PointCloud:
        """The same of arrays that have been checked."""
        check_ndim(x, "M.x", 2, shape="(n, d)")
        check_ndim(y, "M.y", 2, shape="(m, d)")
        if x.shape[1] != y.shape[1]:
            message = f"M: expected points x and y of one dimension, got {x.shape[1]} and {y.shape[1]}."
            raise ValueError(message)
        if self.block is not None:
            check_count(self.block, "M.block", 1)
        return PointCloud(x, y, self.block)

    def divided(self, unit: float) -> PointCloud:
        """The geometry whose costs are those of this one, divided by a power of 4."""
        return PointCloud(self.x * unit**-0.5, self.y * unit**-0.5, self.block)

    @property
    def one_set(self) -> bool:
        """Whether x and y are one array, which makes the cost symmetric whatever its values are."""
        return self.x is self.y

    def kernel(self) -> Rows:
        """Blocks of the cost."""
        n, m = self.x.shape[0], self.y.shape[0]
        block = self.block or (n if n * m <= _HELD else max(1, _BLOCK // m))
        centre = namespace_of(self.x).mean(self.y, axis=0)  # far from 0 the squares would cancel
        return squared_distances(self.x - centre, self.y - centre, min(block, n))

    def range(self, most: float) -> tuple[Array, Array]:
        """Bounds of the smallest and largest cost, from the box around all points."""
        xp = namespace_of(self.x)
        high = xp.maximum(xp.max(self.x, axis=0), xp.max(self.y, axis=0))
        low = xp.minimum(xp.min(self.x, axis=0), xp.min(self.y, axis=0))
        top = xp.sum((high - low) ** 2)
        return xp.zeros_like(top), top


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Grid:
    """The cost ‖x_i − x_j‖² between the points of a grid, as between the pixels of two pictures.

    The kernel is a product of one small kernel for each axis: an iteration on n = n₁·n₂ pixels costs 4n(n₁ + n₂) flops,
    not 4n².  Histograms are flattened, last axis first: ``picture.reshape(-1)``.

    Parameters
    ----------
    *axes : array, shape (n_k,)
        Coordinates along each axis.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> rows, columns = np.linspace(0, 1, 4), np.linspace(0, 1, 3)
    >>> a, b = np.zeros((4, 3)), np.zeros((4, 3))
    >>> a[0, 0] = b[3, 2] = 1.0
    >>> round(float(xs.sinkhorn(a.reshape(-1), b.reshape(-1), xs.Grid(rows, columns), 0.1).cost), 6)
    2.0
    """

    axes: tuple[Array, ...]

    def __init__(self, *axes: Array) -> None:
        if not axes:
            message = "axes: expected at least one array of coordinates, got none."
            raise ValueError(message)
        object.__setattr__(self, "axes", axes)

    def __repr__(self) -> str:
        return f"Grid({' × '.join(str(x.shape[0]) for x in self.axes)} points)"

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Grid:
        return Grid(*(function(x) for x in self.axes))

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that it is made of, by the names that messages use."""
        return {f"M.axes[{k}]": x for k, x in enumerate(self.axes)}

    def entered(self, *axes: Array) -> Grid:
        """The same of arrays that have been checked."""
        for k, x in enumerate(axes):
            check_ndim(x, f"M.axes[{k}]", 1, shape="(n_k,)")
        return Grid(*axes)

    def divided(self, unit: float) -> Grid:
        """The geometry whose costs are those of this one, divided by a power of 4."""
        return Grid(*(x * unit**-0.5 for x in self.axes))

    @property
    def one_set(self) -> bool:
        """Whether mass leaves and arrives at the same points."""
        return True

    def points(self) -> Array:
        """The points, (n, d)."""
        xp = namespace_of(self.axes[0])
        return xp.stack([xp.reshape(x, (-1,)) for x in xp.meshgrid(*self.axes, indexing="ij")], axis=-1)

    def kernel(self) -> Axes:
        """One small cost for each axis."""
        points = self.points()
        rows = squared_distances(points, points, max(1, _BLOCK // points.shape[0]))
        return Axes(tuple((x[:, None] - x[None, :]) ** 2 for x in self.axes), rows)

    def range(self, most: float) -> tuple[Array, Array]:
        """The smallest and the largest cost."""
        xp = namespace_of(self.axes[0])
        top = sum((xp.max(x) - xp.min(x)) ** 2 for x in self.axes)
        return xp.zeros_like(top), top


@dataclass(frozen=True, eq=False, repr=False)
class Matrix:
    """Any cost, (n, m) or one for each problem, (B, n, m)."""

    M: Array

    def __repr__(self) -> str:
        return f"Matrix({shapes_in(self.M)})"

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Matrix:
        return Matrix(function(self.M))

    @property
    def arrays(self) -> dict[str, Array]:
        """The array that it is made of."""
        return {"M": self.M}

    def entered(self, M: Array) -> Matrix:
        """The same of an array that has passed the checks; one cost for a batch is one cost for all."""
        check_ndim(M, "M", 2, 3, shape="(n, m) or (batch, n, m)")
        return Matrix(M[0, ...] if M.ndim == 3 and M.shape[0] == 1 else M)

    def divided(self, unit: float) -> Matrix:
        """The costs divided by a power of 4."""
        return Matrix(self.M * unit**-1)

    @property
    def one_set(self) -> bool:
        """Whether the cost is symmetric by its kind."""
        return False

    def kernel(self) -> Rows:
        """One block."""
        n, m = self.M.shape[-2:]
        return Rows(_OfMatrix(self.M), (n, m), n)

    def range(self, most: float) -> tuple[Array, Array]:
        """The smallest cost and the largest one that is at most `most` above it."""
        low, high = cost_range(self.M, most)
        return low, high


Geometry = Matrix | PointCloud | Grid


def ordinary(eps: float, like: Array) -> float:
    """A unit in which ε is an ordinary number: a power of 4, which is exact and has an exact root; 1 where it is one.

    The unit and its inverse are normal numbers of the dtype of `like`.
    """
    if 2.0**-32 <= eps <= 2.0**32:
        return 1.0
    most = 510 if "64" in str(like.dtype) else 62
    return 4.0 ** min(max(math.frexp(eps)[1] // 2, -most), most)


def squared_distances(x: Array, y: Array, block: int) -> Rows:
    """‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2⟨x_i, y_j⟩ in blocks of rows, each one product."""
    xp = namespace_of(x)
    xx, yy = xp.sum(x * x, axis=1, keepdims=True), xp.sum(y * y, axis=1, keepdims=True)
    left = xp.concat([-2 * x, xx, xp.ones_like(xx)], axis=1)
    right = xp.concat([y, xp.ones_like(yy), yy], axis=1).T
    return Rows(_OfPoints(left, right), (x.shape[0], y.shape[0]), block)


@dataclass(frozen=True, eq=False)
class _OfMatrix:
    """Rows of a matrix of costs."""

    M: Array

    def __call__(self, start: int, stop: int) -> Array:
        return self.M if stop - start == self.M.shape[-2] else self.M[..., start:stop, :]


@dataclass(frozen=True, eq=False)
class _OfPoints:
    """Rows of squared distances, from (−2x, ‖x‖², 1) and (y, 1, ‖y‖²)ᵀ."""

    left: Array
    right: Array

    def __call__(self, start: int, stop: int) -> Array:
        M = self.left[start:stop, :] @ self.right
        return namespace_of(M).maximum(M, namespace_of(M).zeros_like(self.left[:1, :1]))
