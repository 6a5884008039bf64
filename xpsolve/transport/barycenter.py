"""Barycentres  argmin_b Σ_k w_k W(a_k, b)  of histograms, by iterative Bregman projections (Benamou et al. 2015).

    u_k ← a_k/(Kv_k),   b ← Π_k (v_k·Kᵀu_k)^{w_k},   v_k ← b/(Kᵀu_k)

All k move together; each plan has its first marginal a_k, and the iteration makes their second marginals one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import Array, check_count, check_positive, enter, is_array, is_concrete, iterate
from xpsolve.capabilities import capabilities
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status
from xpsolve.transport._kernels import relaxed
from xpsolve.transport._problem import enter_problem, widest


class _State(NamedTuple):
    u: Array  # (k, n)
    v: Array
    q: Array  # Kᵀu, (k, n)


@capabilities(batch="histograms", syncs=2)
def barycenter(
    A: Array,
    M: Any,
    eps: float,
    weights: Array | None = None,
    *,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_every: int = costs.CHECK_EVERY,
    callback: Callable[[int, Any], Any] | None = None,
    check_finite: bool = True,
) -> Solution:
    """The histogram between histograms: argmin_b Σ_k w_k W(a_k, b), W being the value of `sinkhorn`.

    Parameters
    ----------
    A : array, shape (k, n)
        One histogram a row, all with the same sum.
    M : array (n, n), PointCloud or Grid
        The cost between their points.
    eps : float
        ε > 0, in the units of M, which may span 650 ε in float64 and 60 in float32.
    weights : array, shape (k,), optional
        w ≥ 0, divided by their sum; None weighs all alike.
    tol : float
        The certificate to reach.
    max_iter : int
        Most iterations, each a product with K and one with Kᵀ for every histogram.
    check_every : int
        Iterations between two looks at convergence, each one host read.
    callback : callable, optional
        Called as ``callback(iteration, state)`` at every check; a true answer stops.
    check_finite : bool
        Whether to look at values first: NaN, negative weights, sums that differ, an ε that is too small.  It costs one
        host read.

    Returns
    -------
    Solution
        ``.x`` is the barycentre b, (n,), the weighted mean of the second marginals.  The certificate is the largest
        ‖P_kᵀ1 − b‖₁ of the plans P_k, whose first marginals are a_k.

    Raises
    ------
    TypeError, ValueError
        As `sinkhorn`, and if the weights do not fit or ε is too small for the span of M.

    Warns
    -----
    ConvergenceWarning
        If it stops at `max_iter`.

    See Also
    --------
    sinkhorn : The plans between two histograms.

    References
    ----------
    J.-D. Benamou et al., Iterative Bregman projections for regularized transportation problems (2015).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> xs.barycenter(A, xs.Grid(np.asarray([0.0, 1.0, 2.0])), 0.1).x.round(3)  # in the middle
    array([0., 1., 0.])
    """
    check_positive(eps, "eps")
    check_positive(tol, "tol")
    check_count(max_iter, "max_iter", 0)
    check_count(check_every, "check_every", 1)
    if not is_array(A) or A.ndim != 2:
        message = (
            f"A: expected an array of shape (k, n), got {tuple(A.shape) if is_array(A) else type(A).__qualname__}."
        )
        raise (ValueError if is_array(A) else TypeError)(message)
    problem = enter_problem(A, A[:1, :], M, eps)  # all must have the sum of the first
    xp, a, kernel = problem.xp, problem.a, problem.kernel
    w = xp.ones_like(a[:, :1]) if weights is None else _weights(problem, weights)
    span = problem.check(check_finite, decide=False)
    if span is not None and span > widest(xp, a.dtype) * eps:
        message = (
            f"eps: expected at least {span / widest(xp, a.dtype):.3g} for costs that span {span:.3g}, got {eps!r}: "
        )
        raise ValueError(message + "the kernel exp(−M/ε) would underflow.")
    w = w / xp.sum(w)
    zero, unit = (xp.zeros_like(a[:1, :]), xp.zeros_like(a[:1, :]) + problem.range[0]), xp.ones_like(w)
    scale = problem.scalar(problem.eps)
    K = kernel.hold(*zero, scale)

    def swept(u: Array, v: Array) -> _State:
        _, u, q = kernel.sweep(K, *zero, scale, v, lambda p, i, j: relaxed(u[:, i:j], a[:, i:j], p, unit))
        return _State(u, v, q)

    def step(s: _State) -> _State:
        b = xp.exp(xp.sum(w * xp.log(s.v * s.q), axis=0, keepdims=True))
        return swept(s.u, b / s.q)

    def disagreement(s: _State) -> Array:
        columns = s.v * s.q
        return xp.max(xp.sum(xp.abs(columns - xp.sum(w * columns, axis=0, keepdims=True)), axis=1))

    with np.errstate(all="ignore"):
        run = iterate(
            step,
            swept(xp.astype(a > 0, a.dtype), xp.ones_like(a)),
            measure=disagreement,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            callback=callback,
        )
    ended = {"callback": Status.STOPPED, "max_iter": Status.MAX_ITER, "not finite": Status.UNDERFLOW}.get(run.reason)
    if ended is Status.MAX_ITER:
        reached = f"barycenter stopped after {run.n_iter} iterations at {run.measure:.1e} > tol = {tol:.1e}."
        warnings.warn(f"{reached} {ended.message}", ConvergenceWarning, stacklevel=2)
    s = run.state
    name = "largest ‖P_kᵀ1 − b‖₁ over the histograms"
    return Solution(
        xp.sum(w * (s.v * s.q), axis=0),
        "bregman_projections",
        Certificate(name, disagreement(s), tol),
        n_iter=run.n_iter,
        stats={"host_reads": run.reads},
        ended=ended,
    )


def _weights(problem: Any, weights: Array) -> Array:
    """The weights as a column, checked."""
    xp, (w, a) = enter(weights=weights, A=problem.a)
    k = a.shape[0]
    if tuple(w.shape) != (k,):
        message = f"weights: expected shape ({k},), one for each row of A, got {tuple(w.shape)}."
        raise ValueError(message)
    if is_concrete(w) and not bool(xp.all(w >= 0) & (xp.sum(w) > 0)):
        message = "weights: expected numbers >= 0 that are not all 0, got others."
        raise ValueError(message)
    return w[:, None]
