"""The Sinkhorn divergence  S(a, b) = W(a, b) − ½W(a, a) − ½W(b, b)  (Genevay et al. 2018; Feydy et al. 2019).

W is the value of `sinkhorn`.  The entropy blurs it: min over b of W(a, b) is not at a.  The two other terms remove the
bias: S ≥ 0, and S = 0 exactly for equal histograms.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from xpsolve.arrays import Array, namespace_of
from xpsolve.capabilities import capabilities
from xpsolve.solution import Status, finish, inner_solve
from xpsolve.transport._solve import ADVICE
from xpsolve.transport.geometry import Grid
from xpsolve.transport.points import PointCloud
from xpsolve.transport.sinkhorn import sinkhorn


@capabilities(
    batch="rows of a and b, costs M, points, ε", grad="forward, reverse, implicit", syncs=6, numbers=("eps", "tol")
)
def sinkhorn_divergence(a: Array, b: Array, M: Any, eps: Any, **options: Any) -> Array:
    """How far the histogram a is from b, by transport without the bias of the entropy.

    Parameters
    ----------
    a, b
        As in `sinkhorn`.
    M : PointCloud, Grid or tuple of three arrays
        Where the points are, or the costs from x to y (n, m), from x to x (n, n) and from y to y (m, m), each as in
        `sinkhorn`: the first alone does not contain the others.  S ≥ 0 where exp(−M/ε) is a positive definite kernel.
    eps : float, or array, 0-d or of shape (batch,)
        ε > 0, in the units of M.
    **options : Any
        Those of `sinkhorn`, but for a finite `marginal`: the bias of its entropy is another one.

    Returns
    -------
    array
        0-d, or one for each problem.

    Raises
    ------
    TypeError, ValueError
        As `sinkhorn`, and if M is one array.

    Warns
    -----
    ConvergenceWarning
        Once, if one of the three solves ends without its tolerance.

    See Also
    --------
    sinkhorn : The value with the bias.

    References
    ----------
    J. Feydy et al., Interpolating between optimal transport and MMD using Sinkhorn divergences (2019).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> x = np.asarray([[0.0], [1.0], [2.0]])
    >>> third = np.ones(3) / 3
    >>> round(float(xs.sinkhorn_divergence(third, third, xs.PointCloud(x, x + 1), 0.5)), 6)  # moved by 1
    1.0
    """
    if options.get("marginal", math.inf) not in (math.inf, (math.inf, math.inf)):
        message = f"marginal: expected inf, got {options['marginal']!r}: the divergence is one of balanced transport."
        raise ValueError(message)
    across, at_a, at_b = _three(M)
    with inner_solve():
        solves = [sinkhorn(p, q, C, eps, **options) for p, q, C in ((a, b, across), (a, a, at_a), (b, b, at_b))]
    between, *own = (solution.value for solution in solves)
    value = namespace_of(between).asarray(between - (own[0] + own[1]) / 2)  # of NumPy's 0-d arrays it would be a scalar
    ended = [solution for solution in solves if solution.ended not in (None, Status.STOPPED)]
    if ended:
        worst = ended[0]
        finish(
            "sinkhorn_divergence",
            value,
            method=worst.method,
            certificate=worst.certificate,
            n_iter=worst.n_iter,
            ended=worst.ended,
            advice=ADVICE,
        )
    return value


def _three(M: Any) -> tuple[Any, Any, Any]:
    """The costs from x to y, from x to x and from y to y."""
    if isinstance(M, Grid):
        return M, M, M
    if isinstance(M, PointCloud):
        return M, replace(M, y=M.x), replace(M, x=M.y)
    if isinstance(M, tuple | list) and len(M) == 3:
        return M[0], M[1], M[2]
    got = f"{len(M)} of them" if isinstance(M, tuple | list) else type(M).__qualname__
    message = f"M: expected a PointCloud, a Grid or three costs (from x to y, from x to x, from y to y), got {got}."
    raise TypeError(message)
