"""Costs of transport: a matrix, points, or the points of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import Array, check_ndim, is_array, namespace_of
from xpsolve.trace import shapes_in
from xpsolve.transport._rows import Axes, OfMatrix, Rows
from xpsolve.transport.points import BLOCK, PointCloud, beside_costs, squared_distances


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

    def divided(self, unit: Any) -> Grid:
        """The geometry whose costs are those of this one, divided by a number."""
        return Grid(*(x * unit**-0.5 for x in self.axes))

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the matrix of costs."""
        n = math.prod(x.shape[0] for x in self.axes)
        return n, n

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
        rows = squared_distances(points, points, max(1, BLOCK // points.shape[0]))
        return Axes(tuple((x[:, None] - x[None, :]) ** 2 for x in self.axes), rows)

    def bounds(self) -> tuple[Array, Array]:
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

    def divided(self, unit: Any) -> Matrix:
        """The costs divided by a number, which may be an array, or by one for each problem, (B, 1)."""
        return Matrix(self.M / beside_costs(unit) if is_array(unit) else self.M * unit**-1)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the costs."""
        return tuple(self.M.shape)

    @property
    def one_set(self) -> bool:
        """Whether the cost is symmetric by its kind."""
        return False

    def kernel(self) -> Rows:
        """One block."""
        n, m = self.M.shape[-2:]
        return Rows(OfMatrix(self.M), (n, m), n)

    def bounds(self) -> None:
        """The costs have to be looked at."""


Geometry = Matrix | PointCloud | Grid


def ordinary(eps: float, like: Array) -> float:
    """A unit in which ε is an ordinary number: a power of 4, which is exact and has an exact root; 1 where it is one.

    The unit and its inverse are normal numbers of the dtype of `like`.
    """
    if 2.0**-32 <= eps <= 2.0**32:
        return 1.0
    most = 510 if "64" in str(like.dtype) else 62
    return 4.0 ** min(max(math.frexp(eps)[1] // 2, -most), most)
