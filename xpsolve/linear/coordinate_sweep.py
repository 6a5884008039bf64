"""Sweeps over the coordinates of a lasso or elastic net with a given Gram matrix, G = AᵀA and b = Aᵀy.

    min  ½xᵀGx − bᵀx + λ‖x‖₁ + ½ρ‖x‖²

is minimised exactly over one coordinate after another, with S_λ the soft threshold and q = Gx − b up to date:

    x_j ← S_λ(G_jj x_j − q_j)/(G_jj + ρ),      q ← q + (change of x_j)·G_j

(covariance updates, Friedman, Hastie & Tibshirani 2010).  A step is a few operations on numbers and one on a row of G,
so that sweeps are worth their while where they are compiled, for a few thousand features at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays import Array, composed, device_of, namespace_of
from xpsolve.arrays.numba_loop import can_compile, fixed, numba_loop


@composed
def sweep(
    G: Array, b: Array, x: Array, q: Array | None, lam: Any, ridge: Any, n_sweeps: int, tol: float, active: int = 0
) -> tuple[Array, Array, int]:
    """Some sweeps over all coordinates, compiled for NumPy where Numba is installed (`is_compiled`).

    Parameters
    ----------
    G : array, shape (p, p)
        The Gram matrix, symmetric.
    b : array, shape (p,)
        Aᵀy, which is read where q is None.
    x : array, shape (p,)
        Where to start.
    q : array, shape (p,), or None
        Gx − b; None computes it.  It follows x by additions, and so gathers rounding: give None now and then.
    lam, ridge : float or 0-d array
        λ ≥ 0 and ρ ≥ 0.
    n_sweeps : int
        Most sweeps over all coordinates.
    tol : float
        When to stop: after a sweep in which no coordinate broke its optimality condition by more, in the units of b
        and λ.
    active : int
        Most passes over the coordinates that are not 0 after each sweep over all.

    Returns
    -------
    x, q : array, shape (p,)
        The new ones; those given are not written to.
    n : int
        Sweeps over all coordinates that were taken.

    Notes
    -----
    A coordinate with G_jj + ρ = 0 stays where it is.  Other libraries, and NumPy without Numba, take about ten
    operations a coordinate, and one host read a sweep.

    References
    ----------
    J. Friedman, T. Hastie and R. Tibshirani, Regularization paths for generalized linear models via coordinate
    descent, J. Stat. Softw. 33 (2010), §2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.linear.coordinate_sweep import sweep
    >>> G, b = np.asarray([[2.0, 1.0], [1.0, 2.0]]), np.asarray([3.0, 0.0])
    >>> x, q, n = sweep(G, b, np.zeros(2), None, 1.0, 0.0, 100, 1e-9)
    >>> x, q, n
    (array([1., 0.]), array([-1.,  1.]), 2)
    """
    xp = namespace_of(G)
    q = G @ x - b if q is None else q
    device = device_of(x)
    l1, l2 = (xp.asarray(value, dtype=x.dtype, device=device) for value in (lam, ridge))
    diagonal = xp.linalg.diagonal(G)
    heights = diagonal + l2
    fixed_ones = heights <= 0
    heights = xp.where(fixed_ones, xp.ones_like(heights), heights)
    places = xp.eye(G.shape[0], dtype=G.dtype, device=device)

    def over(x: Array, q: Array, only: Array | None) -> tuple[Array, Array, float]:
        worst = 0 * l1
        for j in range(G.shape[0]):
            z = diagonal[j] * x[j] - q[j]
            move = (z - xp.minimum(xp.maximum(z, -l1), l1)) / heights[j] - x[j]
            still = fixed_ones[j] if only is None else fixed_ones[j] | ~only[j]
            move = xp.where(still, xp.zeros_like(move), move)
            x, q = x + move * places[j, :], q + move * G[j, :]
            worst = xp.maximum(worst, xp.abs(move) * heights[j])
        return x, q, float(worst)

    for n in range(1, n_sweeps + 1):
        x, q, worst = over(x, q, None)
        if worst <= tol:
            return x, q, n
        for _ in range(active):
            x, q, worst = over(x, q, x != 0)
            if worst <= tol:
                break
    return x, q, n_sweeps


@sweep.register("numpy")
def _sweep_numpy(
    G: Array, b: Array, x: Array, q: Array | None, lam: Any, ridge: Any, n_sweeps: int, tol: float, active: int = 0
) -> tuple[Array, Array, int]:
    if not can_compile():
        return sweep.standard(G, b, x, q, lam, ridge, n_sweeps, tol, active)  # type: ignore[no-any-return]
    q = G @ x - b if q is None else np.array(q)
    x = np.array(x)
    number = x.dtype.type
    rows = fixed(np.ascontiguousarray(G.T if G.flags.f_contiguous else G))
    n = _loop(rows, x, q, number(lam), number(ridge), n_sweeps, number(tol), active)
    return x, q, n


@numba_loop()
def _loop(G: Any, x: Any, q: Any, lam: Any, ridge: Any, n_sweeps: Any, tol: Any, active: Any) -> int:
    """The sweeps, in place; the number of those over all coordinates."""
    p = x.shape[0]
    zero = lam * 0
    n = 0
    while n < n_sweeps:
        n += 1
        for passed in range(active + 1):
            worst = zero
            for j in range(p):
                before, height = x[j], G[j, j] + ridge
                if height <= zero or (passed > 0 and before == zero):
                    continue
                z = G[j, j] * before - q[j]
                if z > lam:
                    z -= lam
                elif z < -lam:
                    z += lam
                elif z == z:  # a NaN stays one
                    z = zero
                move = z / height - before
                if move == zero:
                    continue
                x[j] += move
                for k in range(p):
                    q[k] += move * G[j, k]
                missed = abs(move) * height
                if not missed <= worst and worst == worst:
                    worst = missed
            if worst <= tol:
                break
        if passed == 0 and worst <= tol:
            break
    return n


def is_compiled(x: Array) -> bool:
    """Whether `sweep` is compiled for arrays of this kind."""
    return type(x) is np.ndarray and can_compile()
