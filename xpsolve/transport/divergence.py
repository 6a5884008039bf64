"""The Sinkhorn divergence  S(a, b) = W(a, b) − ½W(a, a) − ½W(b, b)  (Genevay et al. 2018; Feydy et al. 2019).

W is the value of `sinkhorn`.  The entropy blurs it: min over b of W(a, b) is not at a.  The two other terms remove the
bias: S ≥ 0, and S = 0 exactly for equal histograms.
"""

from __future__ import annotations

import math
from typing import Any

from xpsolve.arrays import Array, namespace_of
from xpsolve.capabilities import capabilities
from xpsolve.solution import Status, finish, inner_solve
from xpsolve.transport.geometry import Grid, PointCloud
from xpsolve.transport._solve import ADVICE
from xpsolve.transport.sinkhorn import sinkhorn


@capabilities(batch="rows of a and b", grad="forward, reverse, implicit", syncs=6)
def sinkhorn_divergence(a: Array, b: Array, M: Any, eps: float, **options: Any) -> Array:
    """How far the histogram a is from b, by transport without the bias of the entropy.

    Parameters
    ----------
    a, b
        As in `sinkhorn`.
    M : PointCloud or Grid
        Where the points are: a matrix of costs from x to y does not contain those from x to x.
    eps : float
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
        As `sinkhorn`, and if M is an array.

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
    at_a: PointCloud | Grid
    at_b: PointCloud | Grid
    if isinstance(M, Grid):
        at_a, at_b = M, M
    elif isinstance(M, PointCloud):
        at_a, at_b = PointCloud(M.x, M.x, M.block), PointCloud(M.y, M.y, M.block)
    else:
        message = f"M: expected a PointCloud or a Grid, got {type(M).__qualname__}."
        raise TypeError(message)
    with inner_solve():
        solves = [sinkhorn(p, q, C, eps, **options) for p, q, C in ((a, b, M), (a, a, at_a), (b, b, at_b))]
    across, *own = (solution.value for solution in solves)
    value = namespace_of(across).asarray(across - (own[0] + own[1]) / 2)  # of NumPy's 0-d arrays it would be a scalar
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
