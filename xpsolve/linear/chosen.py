"""What functions that choose λ return, and what they share: checked arrays, and the place of the least score."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from xpsolve.arrays import Array, check_flag, check_ndim, check_rows, enter, is_array, namespace_of, regularisation
from xpsolve.arrays import check_finite as check_values
from xpsolve.solution import Solution
from xpsolve.trace import shapes_in


@dataclass(frozen=True, repr=False, eq=False)
class ChosenSolution(Solution):
    """The solution at a λ that was chosen, with what it was chosen from.

    Parameters
    ----------
    x, method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`.
    lam : array, 0-d or (k,)
        The chosen λ; one for every column of y where they were chosen one by one.
    lams : array, shape (m,) or (t, m)
        All λ that were tried, for `elastic_net_cv` with t values of θ a row for each.
    scores : array, shape (m,), (m, k) or (t, m)
        The mean squared error of prediction of each, or what estimates it.
    spread : array of the shape of scores, or None
        The standard error of each score, over samples or folds; None where there is no estimate of it.
    theta : float or None
        The chosen θ of `elastic_net_cv`.
    thetas : tuple of float or None
        All θ that were tried.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> data = xs.problems.diabetes()
    >>> found = xs.ridge_cv(data.A, data.y, [0.01, 0.1, 1.0, 10.0])
    >>> found
    ChosenSolution(x: 10, lam=10, method='normal', n_iter=0, status=CONVERGED)
    >>> float(found.lam), found.scores.shape
    (10.0, (4,))
    """

    lam: Any = None
    lams: Any = None
    scores: Any = None
    spread: Any = None
    theta: Any = None
    thetas: Any = None

    @property
    def _beside(self) -> str:
        on_host = isinstance(self.lam, np.ndarray | np.generic) and self.lam.ndim == 0
        return f", lam={float(self.lam):.4g}" if on_host else f", lam: {shapes_in(self.lam)}"


def chosen(solution: Solution, **more: Any) -> ChosenSolution:
    """A solution with what its λ was chosen from."""
    return ChosenSolution(**{f.name: getattr(solution, f.name) for f in fields(Solution)}, **more)


def entered(A: Array, y: Array, check_finite: bool) -> tuple[Array, Array]:
    """A (n, p), whose rows can be left out, and y (n,) or (n, k), checked."""
    check_flag(check_finite, "check_finite")
    if not is_array(A):
        message = (
            f"A: expected an array (n, p), whose rows can be left out, got {type(A).__qualname__}. Make it a plain "
            f"array first: A.toarray() where it is sparse, A @ numpy.eye(p) of an operator, else numpy.asarray(A)."
        )
        raise TypeError(message)
    xp, (A, y) = enter(A=A, y=y)
    check_ndim(A, "A", 2, shape="(n, p)")
    check_ndim(y, "y", 1, 2, shape="(n,) or (n, k)")
    check_rows(y, "y", A.shape[0], "A")
    if check_finite:
        check_values(xp, lambda: A.T @ y, A=A, y=y)
    return A, y


def candidates(lams: Any, y: Array, check_finite: bool) -> Array:
    """λ to choose from, (m,), checked."""
    lams = regularisation(namespace_of(y), lams, "lams", like=y, check_values=check_finite)
    if lams.ndim != 1:
        message = f"lams: expected a list or 1-D array of λ to choose from, got {lams!r}."
        raise ValueError(message)
    return lams


def best(scores: Array) -> Array:
    """The place of the least score along the first axis."""
    return namespace_of(scores).argmin(without_nan(scores), axis=0)


def without_nan(scores: Array) -> Array:
    """∞ where a score is NaN, as where λ = 0 and columns depend on one another: that is no candidate."""
    xp = namespace_of(scores)
    return xp.where(xp.isnan(scores), xp.full_like(scores, xp.inf), scores)
