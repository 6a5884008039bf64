"""Derivatives of the value of `sinkhorn` by the envelope theorem (Peyré 2020, §14.3.7, eq. 14.32).

The value is a maximum over potentials, so that its derivative holds them fixed: nothing is differentiated through
the iterations.

    ∂a = f, or ρ(1 − e^{−f/ρ}) where the marginal has the price ρ,   ∂b likewise,   ∂M = P,   and for M_ij = ‖x_i − y_j‖²   ∂x = 2(x·(P1) − Py),   ∂y = 2(y·(Pᵀ1) − Pᵀx)
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, namespace_of
from xpsolve.capabilities import capabilities
from xpsolve.transport._kernels import gibbs
from xpsolve.transport._marginals import is_hard, paid
from xpsolve.transport.answer import TransportSolution
from xpsolve.transport.geometry import Grid, PointCloud
from xpsolve.transport.sinkhorn import sinkhorn


@capabilities(batch="rows of a and b, costs M", grad="is one", syncs=2)
def sinkhorn_gradient(a: Array, b: Array, M: Any, eps: float, **options: Any) -> tuple[Array, Array, Any]:
    """Gradient of the value of `sinkhorn` in its weights and costs.

    Parameters
    ----------
    a, b, M, eps
        As in `sinkhorn`; M is no Grid.
    **options : Any
        Those of `sinkhorn`.

    Returns
    -------
    g_a : array, shape of a
        The potential f less its mean: the gradient among histograms of the same mass.  −∞ where a is 0.  With a
        `marginal`, the gradient among all histograms.
    g_b : array, shape of b
        The same of g.
    g_M : array (n, m) or (batch, n, m), or two arrays
        The plan P; for a PointCloud the gradients in its points x (n, d) and y (m, d), without a plan.

    Raises
    ------
    TypeError, ValueError
        As `sinkhorn`, and if M is a Grid.

    See Also
    --------
    sinkhorn : The value.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> x, y = np.asarray([[0.0], [1.0]]), np.asarray([[2.0], [3.0]])
    >>> half = np.asarray([0.5, 0.5])
    >>> xs.sinkhorn_gradient(half, half, xs.PointCloud(x, y), 0.1)[2][0].round(3)  # each point is drawn to the right
    array([[-2.],
           [-2.]])
    """
    if isinstance(M, Grid):
        message = "M: expected an array or a PointCloud, got a Grid, whose costs do not change one by one."
        raise TypeError(message)
    solution = sinkhorn(a, b, M, eps, **({"keep_kernel": True} | options))
    f, g = _in_weights(solution)
    return f, g, _of_points(solution) if isinstance(M, PointCloud) else solution.plan()


def _in_weights(solution: TransportSolution) -> tuple[Array, Array]:
    """The derivatives in a and b."""
    (f, g), rho = solution.x, solution.marginal
    if all(map(is_hard, rho)):
        return _centred(f), _centred(g)
    return paid(f, rho[0]), paid(g, rho[1])


def _centred(f: Array) -> Array:
    """f less its mean over the points that have mass."""
    xp = namespace_of(f)
    some = xp.isfinite(f)
    total = xp.sum(xp.where(some, f, xp.zeros_like(f)), axis=-1, keepdims=True)
    return f - total / xp.sum(xp.astype(some, f.dtype), axis=-1, keepdims=True)


def _of_points(solution: Any) -> tuple[Array, Array]:
    """2(x·(P1) − Py) and 2(y·(Pᵀ1) − Pᵀx), block by block."""
    f, g, kernel, eps, _ = solution._parts
    xp = namespace_of(f)
    x, y = solution.geometry.x, solution.geometry.y
    # a column of ones beside the points: one product gives Py and P1
    beside_x, beside_y = (xp.concat([z, xp.ones_like(z[:, :1])], axis=1) for z in (x, y))
    if solution.factors is not None:
        u, K, v = solution.factors
        single = solution.x[0].ndim == 1
        u, v = (z[0, :, None] if single else z[:, :, None] for z in (u, v))
        return _pull(x, u * (K @ (v * beside_y))), _pull(y, v * (xp.matrix_transpose(K) @ (u * beside_x)))
    to_y: list[Array] = []
    to_x: Any = 0
    for start, stop in kernel.blocks():
        P = gibbs(kernel.cost(start, stop), f[:, start:stop], g, eps)
        to_y.append(P @ beside_y)
        to_x = to_x + xp.matrix_transpose(P) @ beside_x[start:stop, :]
    found = to_y[0] if len(to_y) == 1 else xp.concat(to_y, axis=-2)
    return _pull(x, found), _pull(y, to_x)


def _pull(x: Array, to_y: Array) -> Array:
    """2(x·(P1) − Py) of P beside (y, 1)."""
    return 2 * (x * to_y[..., -1:] - to_y[..., :-1])
