"""The general linear transform of n-dimensional data, a tensor as an operator.

    x^{i₁ i₂ …} = G^{i₁ i₂ …}_{j₁ j₂ …} y^{j₁ j₂ …},      its adjoint   y_{j₁ j₂ …} = Ḡ^{i₁ i₂ …}_{j₁ j₂ …} x_{i₁ i₂ …}

with sums over the indices that appear twice (Einstein): of y forward, of x backward.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from xpsolve.arrays import Array, cast, check_count, conjugate, enter_numbers, is_complex, namespace_of
from xpsolve.operators.base import LinearOperator


class Tensor(LinearOperator):
    """A tensor G that takes data with several axes to data with several axes, contracted by ``tensordot``.

    As an operator it takes flat data, so that solvers work on it unchanged; `apply` and `adjoint` keep the axes.

    Parameters
    ----------
    G : array, shape (*out, *inner)
        The tensor, outputs first; it is not copied.
    outputs : int
        How many of its axes are those of the output, i₁, i₂, …; the rest are those of the input.

    Raises
    ------
    TypeError
        If G is not an array, or `outputs` not an integer.
    ValueError
        If G has no axis for inputs, or an empty one.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import Tensor
    >>> rotate = Tensor(np.einsum("ij,kl->ikjl", [[0.0, 1.0], [1.0, 0.0]], np.eye(2)), 2)
    >>> rotate.apply(np.asarray([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [1., 2.]])
    >>> rotate, rotate @ np.asarray([1.0, 2.0, 3.0, 4.0])
    (<Tensor 4×4>, array([3., 4., 1., 2.]))
    """

    def __init__(self, G: Array, outputs: int) -> None:
        _, (G,) = enter_numbers(G=G)
        check_count(outputs, "outputs", 1)
        if outputs >= G.ndim or 0 in G.shape:
            message = (
                f"G: expected {outputs} axes for the output and at least one for the input, none empty, got shape "
                f"{tuple(G.shape)}."
            )
            raise ValueError(message)
        self.G = G
        self.out, self.inner = tuple(G.shape[:outputs]), tuple(G.shape[outputs:])
        super().__init__((math.prod(self.out), math.prod(self.inner)))

    @property
    def like(self) -> Array:
        """The tensor."""
        return self.G

    def apply(self, y: Array) -> Array:
        """x^{i…} = G^{i…}_{j…} y^{j…}, for y (*inner) or for many at once, (*inner, k)."""
        self._check_axes(y, "y", self.inner)
        return self._apply(y)

    def adjoint(self, x: Array) -> Array:
        """y_{j…} = Ḡ^{i…}_{j…} x_{i…}, for x (*out) or for many at once, (*out, k)."""
        self._check_axes(x, "x", self.out)
        return self._adjoint(x)

    def _apply(self, y: Array) -> Array:
        summed = len(self.inner)
        axes = tuple(range(len(self.out), self.G.ndim)), tuple(range(summed))
        return self._contracted(y, axes)

    def _adjoint(self, x: Array) -> Array:
        axes = (tuple(range(len(self.out))),) * 2
        return conjugate(self._contracted(conjugate(x), axes))

    def _contracted(self, data: Array, axes: tuple[tuple[int, ...], tuple[int, ...]]) -> Array:
        xp, G = namespace_of(self.G), self.G
        if is_complex(G) != is_complex(data):
            dtype = xp.result_type(G.dtype, data.dtype)
            G, data = cast(G, dtype), cast(data, dtype)
        return xp.tensordot(G, data, axes=axes)

    def _matvec(self, x: Array) -> Array:
        xp, many = namespace_of(x), tuple(x.shape[1:])
        return xp.reshape(self._apply(xp.reshape(x, (*self.inner, *many))), (self.shape[0], *many))

    def _rmatvec(self, y: Array) -> Array:
        xp, many = namespace_of(y), tuple(y.shape[1:])
        return xp.reshape(self._adjoint(xp.reshape(y, (*self.out, *many))), (self.shape[1], *many))

    def _check_axes(self, data: Array, name: str, sides: tuple[int, ...]) -> None:
        if data.ndim not in (len(sides), len(sides) + 1) or tuple(data.shape[: len(sides)]) != sides:
            message = f"{name}: expected shape {sides} or (*{sides}, k) for {self!r}, got {tuple(data.shape)}."
            raise ValueError(message)

    def __xpsolve_map__(self, function: Callable[[Array], Array]) -> Tensor:
        return Tensor(function(self.G), len(self.out))
