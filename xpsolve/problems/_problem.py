"""What a problem is: the data on its backend, the truth behind them, and their exact ridge solutions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from xpsolve.arrays import backends

DTYPES = ("float32", "float64")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Problem:
    """A linear model y = A x + w, with all that is known about it.

    Parameters
    ----------
    name : str
        What it is called.
    A : array, shape (n, p)
        The operator or design, one sample per row.
    y : array, shape (n,) or (n, k)
        The observations, one target a column.
    x_true : array, shape (p,) or (p, k), optional
        The truth; None for measured data.
    noise : array, shape of `y`, optional
        The noise w = y − A x_true; None for measured data.
    backend : str
        Name of the backend that the arrays are on.
    source : str
        Where the data come from.
    feature_names : tuple of str
        Names of the columns of `A`, where they have any.
    target_names : tuple of str
        Names of the targets, where they have any.
    factors : tuple, optional
        U, s and V with A = U diag(s) Vᵀ on the host, where the construction knows them.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problems.least_squares(100, 20)
    Problem('least squares', n=100, p=20, backend='numpy', dtype='float64')
    """

    name: str
    A: Any
    y: Any
    x_true: Any = None
    noise: Any = None
    backend: str = "numpy"
    source: str = ""
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    factors: tuple[Any, Any, Any] | None = None

    def __repr__(self) -> str:
        n, p = self.shape
        return f"{type(self).__name__}({self.name!r}, n={n}, p={p}, backend={self.backend!r}, dtype={self.dtype!r})"

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and features, (n, p)."""
        n, p = self.A.shape
        return int(n), int(p)

    @property
    def dtype(self) -> str:
        """Name of the dtype of `A`, without its library."""
        return str(self.A.dtype).rpartition(".")[-1]

    @cached_property
    def svd(self) -> tuple[Any, Any, Any]:
        """U, s and V on the host with A = U diag(s) Vᵀ, in float64.

        U and V answer to ``@`` and ``.T``, as matrices do.  They are those of the construction where it
        knows them; otherwise A is factored, and singular values within rounding of zero are set to zero.
        """
        if self.factors is not None:
            return self.factors
        U, s, Vt = np.linalg.svd(_host(self.A), full_matrices=False)
        s[s <= s[0] * max(self.shape) * np.finfo(self.dtype).eps] = 0.0
        return U, s, Vt.T

    @property
    def spectrum(self) -> Any:
        """The singular values of A on the host, shape (min(n, p),)."""
        return self.svd[1]

    def solution(self, lam: Any = 0.0) -> Any:
        """The exact ridge solution (AᵀA + λI)⁻¹Aᵀy, by the singular value decomposition.

        Where the construction knows the factors it is free of the conditioning of A, and A is that before
        rounding to the dtype.

        Parameters
        ----------
        lam : float or 1-D array, shape (m,)
            λ ≥ 0; at 0 the solution is A⁺y, that of minimum norm.

        Returns
        -------
        numpy.ndarray, shape (p,) or (p, k), with `m` in front where `lam` is 1-D
            On the host and in float64, as the reference for others.

        Raises
        ------
        ValueError
            If a λ is negative or not finite, or `lam` has more than one dimension.

        Examples
        --------
        >>> from xpsolve import problems
        >>> problem = problems.least_squares(100, 20)
        >>> problem.solution([0.1, 1.0]).shape
        (2, 20)
        """
        lams = np.asarray(lam, dtype="float64")
        if lams.ndim > 1 or not np.all(np.isfinite(lams) & (lams >= 0)):
            message = f"lam: expected a finite number ≥ 0 or a 1-D sequence of them, got {lam!r}."
            raise ValueError(message)
        U, s, V = self.svd
        y = _host(self.y)
        gain = np.zeros((s.size, lams.size))
        np.divide(s[:, None], s[:, None] ** 2 + lams.ravel(), out=gain, where=s[:, None] > 0)
        coefficients = (U.T @ y).reshape(s.size, 1, -1) * gain[:, :, None]
        x = (V @ coefficients.reshape(s.size, -1)).reshape(-1, lams.size, *y.shape[1:])
        return np.moveaxis(x, 1, 0) if lams.ndim else x[:, 0]


def placer(backend: str, dtype: str) -> Callable[[Any], Any]:
    """The function that moves a host array to `backend` in `dtype`; both are checked before any work."""
    if dtype not in DTYPES:
        message = f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}."
        raise ValueError(message)
    target = backends.get(backend)
    if not target.available:
        message = f"backend: {backend!r} is not available here ({target.reason})."
        raise RuntimeError(message)
    # row after row, as users' arrays are, whatever order the construction left
    return lambda host: target.asarray(np.ascontiguousarray(host), dtype)


def check_size(name: str, value: Any) -> int:
    """The value as an int, at least 1; errors name the argument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        message = f"{name}: expected an integer ≥ 1, got {value!r}."
        raise ValueError(message)
    return int(value)


def check_level(name: str, value: Any) -> float:
    """The value as a float, finite and not negative; errors name the argument."""
    if not isinstance(value, Real) or not 0 <= float(value) < np.inf:
        message = f"{name}: expected a finite number ≥ 0, got {value!r}."
        raise ValueError(message)
    return float(value)


def _host(x: Any) -> Any:
    return np.asarray(backends.to_numpy(x), dtype="float64")
