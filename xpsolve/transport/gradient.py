"""Derivatives of the value of `sinkhorn` by the envelope theorem (Peyré 2020, §14.3.7, eq. 14.32).

The value is a maximum over potentials, so that its derivative holds them fixed: nothing is differentiated through
the iterations.

    ∂a = f,   ∂b = g,   ∂M = P,   and for M_ij = ‖x_i − y_j‖²   ∂x = 2(x·(P1) − Py),   ∂y = 2(y·(Pᵀ1) − Pᵀx)

and where a marginal has the price ρ, ∂a = ρ(1 − e^{−f/ρ}).  Other costs of points are differentiated on a tape.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from xpsolve.arrays import Array, namespace_of
from xpsolve.autodiff import vjp
from xpsolve.capabilities import capabilities
from xpsolve.transport._kernels import gibbs
from xpsolve.transport._marginals import is_hard, paid
from xpsolve.transport.answer import TransportSolution
from xpsolve.transport.geometry import Grid
from xpsolve.transport.points import PointCloud
from xpsolve.transport.sinkhorn import sinkhorn


@capabilities(batch="rows of a and b, costs M, points, ε", grad="is one", syncs=2, numbers=("eps", "tol"))
def sinkhorn_gradient(a: Array, b: Array, M: Any, eps: Any, **options: Any) -> tuple[Array, Array, Any]:
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
        The plan P; for a PointCloud the gradients in its points x (n, d) and y (m, d), without a plan, or those of each
        problem (batch, n, d) and (batch, m, d).

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


def _of_points(solution: TransportSolution) -> tuple[Array, Array]:
    """The derivatives of ⟨P, M⟩ in the points, block by block."""
    cloud = solution.geometry
    pull = _squared if cloud.cost == "sqeuclidean" else _along_costs
    if solution.factors is not None:
        found = [pull(cloud.x, cloud.y, solution.plan(), cloud)]
    else:
        f, g, kernel, eps, _ = solution._parts
        found = [
            pull(cloud.x[..., i:j, :], cloud.y, gibbs(kernel.cost(i, j), f[:, i:j], g, eps), cloud)
            for i, j in kernel.blocks()
        ]
    xp = namespace_of(cloud.x)
    of_x = found[0][0] if len(found) == 1 else xp.concat([part for part, _ in found], axis=-2)
    of_y = functools.reduce(operator.add, [part for _, part in found])
    if solution.x[0].ndim > 1 and of_x.ndim == 2:  # a batch of one
        return of_x[None, ...], of_y[None, ...]
    return of_x, of_y


def _squared(x: Array, y: Array, P: Array, _: PointCloud) -> tuple[Array, Array]:
    """2(x·(P1) − Py) and 2(y·(Pᵀ1) − Pᵀx)."""
    xp = namespace_of(x)
    # a column of ones beside the points: one product gives Py and P1
    beside_x, beside_y = (xp.concat([z, xp.ones_like(z[..., :1])], axis=-1) for z in (x, y))
    return _pull(x, P @ beside_y), _pull(y, xp.matrix_transpose(P) @ beside_x)


def _pull(x: Array, to_y: Array) -> Array:
    """2(x·(P1) − Py) of P beside (y, 1)."""
    return 2 * (x * to_y[..., -1:] - to_y[..., :-1])


def _along_costs(x: Array, y: Array, P: Array, cloud: PointCloud) -> tuple[Array, Array]:
    """By the derivative of the function of the costs, which is made anew on a tape."""
    if P.ndim == 3:  # one for each problem
        xp = namespace_of(x)
        x, y = (xp.broadcast_to(z, (P.shape[0], *z.shape[-2:])) for z in (x, y))
    _, pullback = vjp(cloud.between, x, y)
    g_x, g_y = pullback(P)
    return g_x, g_y
