"""A complex operator as a real one, for problems whose x is real.

    RealForm(A) x = [Re Ax; Im Ax],      its adjoint at [u; v] is Re Aᴴ(u + iv)

so that ½‖Ax − y‖² over real x is a real least-squares problem of 2n observations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, cast, check_ndim, check_rows, complex_dtype, enter_numbers, is_complex, namespace_of
from xpsolve.operators.base import LinearOperator, as_floating
from xpsolve.operators.entry import aslinearoperator
from xpsolve.trace import map_arrays


class RealForm(LinearOperator):
    """A complex operator for real x: the real parts of A x, then its imaginary parts.

    It is a real operator (2n, p) for every function of the library: `minimize` with total variation, `nnls`,
    gradient descent.  Data y are given to them as ``stacked(y)``.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        Complex, or real, whose imaginary parts are 0.

    Raises
    ------
    TypeError
        If A is no operator.

    See Also
    --------
    Fourier : A complex operator without a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> R = xs.operators.RealForm(np.asarray([[1.0 + 2.0j, 1j]]))
    >>> R, R @ np.asarray([1.0, 1.0])
    (<RealForm 2×2>, array([1., 3.]))
    >>> xs.nnls(R, R.stacked(np.asarray([2.0 + 5.0j])), tol=1e-12).x.round(4)
    array([2., 1.])
    """

    complex = False

    def __init__(self, A: Any) -> None:
        self.operator = aslinearoperator(A)
        n, p = self.operator.shape
        super().__init__((2 * n, p))

    @property
    def like(self) -> Array | None:
        """A real array like that of the operator inside."""
        like = self.operator.like
        return namespace_of(like).real(like) if like is not None and is_complex(like) else like

    @property
    def foreign(self) -> bool:
        """That of the operator inside."""
        return self.operator.foreign

    def exact_norm(self) -> Array | float | None:
        """Where the operator inside has a formula for real x, as `Fourier`."""
        formula = getattr(self.operator, "real_norm", None)
        return None if formula is None else formula()

    def stacked(self, y: Array) -> Array:
        """The real parts of complex data (n,) or (n, k), then their imaginary parts: (2n,) or (2n, k)."""
        _, (y,) = enter_numbers(y=y)
        check_ndim(y, "y", 1, 2, shape="(n,) or (n, k)")
        check_rows(y, "y", self.operator.shape[0], "A")
        return _parts(y)

    def _matvec(self, x: Array) -> Array:
        x = as_floating(x, "x")
        if is_complex(x):
            message = f"x: expected a real array for {self!r}, got dtype {x.dtype}. For a complex x take A itself."
            raise TypeError(message)
        return _parts(self.operator._matvec(cast(x, complex_dtype(x))))

    def _rmatvec(self, y: Array) -> Array:
        y = as_floating(y, "y")
        if is_complex(y):
            message = f"y: expected real data for {self!r}, got dtype {y.dtype}. Give them as A.stacked(y)."
            raise TypeError(message)
        n, dtype = self.operator.shape[0], complex_dtype(y)
        back = self.operator._rmatvec(cast(y[:n, ...], dtype) + 1j * cast(y[n:, ...], dtype))
        return namespace_of(back).real(back)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> RealForm:
        return RealForm(map_arrays(function, self.operator))


def _parts(y: Array) -> Array:
    xp = namespace_of(y)
    y = cast(y, complex_dtype(y))
    return xp.concat([xp.real(y), xp.imag(y)], axis=0)
