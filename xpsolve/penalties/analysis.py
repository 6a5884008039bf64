"""Analysis penalties  R(x) = λ‖Lx‖₁  or  λ‖Lx‖₂,₁  for a linear operator L, and total variation among them.

They have no proximal map in closed form.  `minimize` treats L and the norm separately, by a primal–dual method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, check_flag, check_option, namespace_of
from xpsolve.operators import Gradient, LinearOperator, aslinearoperator
from xpsolve.operators.entry import check_real
from xpsolve.penalties.base import Penalty, shown
from xpsolve.penalties.groups import Blocks, GroupL1
from xpsolve.penalties.separable import L1
from xpsolve.trace import map_arrays


class Analysis(Penalty):
    """R(x) = λ‖Lx‖₁, or λ‖Lx‖₂,₁ = λ Σ_i √(Σ_b (Lx)_{bi}²) over blocks b of p rows.

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.
    L : array (m, p), sparse matrix (m, p) or LinearOperator
        The operator; for "l21" m is a multiple of p.
    norm : {"l1", "l21"}
        "l21" takes the rows i, p + i, 2p + i, … together, which are the directions of a `Gradient` at one point.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or L is complex.
    ValueError
        If λ is negative, the norm is unknown or the shape of L does not suit it.

    See Also
    --------
    TotalVariation : With the gradient of a picture.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> jumps = xs.penalties.Analysis(1.0, xs.operators.Gradient((4,)))
    >>> float(jumps.value(np.asarray([0.0, 0.0, 2.0, 2.0])))
    2.0
    """

    def __init__(self, lam: Any, L: Any, norm: str = "l1") -> None:
        check_option(norm, "norm", ("l1", "l21"))
        self.L: LinearOperator = aslinearoperator(L)
        check_real(self.L, "L")
        rows, columns = self.L.shape
        if norm == "l21" and (columns == 0 or rows % columns):
            message = f"norm: 'l21' expects L with a multiple of {columns} rows, as it has columns, got {self.L!r}."
            raise ValueError(message)
        self.outer: Penalty = L1(lam) if norm == "l1" else GroupL1(lam, Blocks(rows // columns))
        self._shown = f"{type(self).__name__}(lam={shown(lam)}, L={self.L!r}, norm={norm!r})"

    def value(self, x: Array) -> Array:
        """R(x)."""
        return self.outer.value(self.L.matvec(x))

    def prox(self, v: Array, t: Any) -> Array:
        """Not known in closed form."""
        message = f"{self!r}: expected a penalty with a proximal map. minimize solves it by 'primal_dual'."
        raise TypeError(message)

    def scaled(self, unit: Any, size: Any) -> Analysis:
        """With λ·unit/size."""
        return self.replaced(outer=self.outer.scaled(unit, size))

    def without_last(self, x: Array) -> Analysis:
        """With a column of zeros in L."""
        return self.replaced(L=_WithoutLast(self.L))

    def __repr__(self) -> str:
        return self._shown


class _WithoutLast(LinearOperator):
    """(L, 0) of an operator."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__((operator.shape[0], operator.shape[1] + 1))
        self.operator = operator

    @property
    def like(self) -> Array | None:
        """That of the operator inside."""
        return self.operator.like

    @property
    def foreign(self) -> bool:
        """That of the operator inside."""
        return self.operator.foreign

    def exact_norm(self) -> Array | float | None:
        """That of the operator inside."""
        return self.operator.exact_norm()

    def _matvec(self, x: Array) -> Array:
        return self.operator.matvec(x[:-1, ...])

    def _rmatvec(self, y: Array) -> Array:
        x = self.operator.rmatvec(y)
        return namespace_of(x).concat([x, namespace_of(x).zeros_like(x[:1, ...])], axis=0)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        return _WithoutLast(map_arrays(function, self.operator))


class TotalVariation(Analysis):
    """R(x) = λ Σ_i ‖(∇x)_i‖₂, or with ‖·‖₁: the total variation of a signal, picture or volume.

    Parameters
    ----------
    lam : float or 0-d array
        λ ≥ 0.
    shape : tuple of int
        The shape of the picture, whose entries x (p,) has row by row.
    isotropic : bool
        Whether the differences along all axes at a point are taken together, by ‖·‖₂.

    Raises
    ------
    TypeError, ValueError
        If λ or the shape is of the wrong kind or out of range.

    References
    ----------
    L. Rudin, S. Osher & E. Fatemi, Physica D 60 (1992).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> step = np.asarray([[0.0, 1.0], [0.0, 1.0]])
    >>> float(xs.penalties.TotalVariation(0.5, (2, 2)).value(step.ravel()))
    1.0
    """

    def __init__(self, lam: Any, shape: tuple[int, ...], isotropic: bool = True) -> None:
        check_flag(isotropic, "isotropic")
        super().__init__(lam, Gradient(shape), "l21" if isotropic else "l1")
        self._shown = f"TotalVariation(lam={shown(lam)}, shape={tuple(shape)}, isotropic={isotropic})"
