"""Barycentres  argmin_b Σ_k w_k W(a_k, b)  of histograms, by iterative Bregman projections (Benamou et al. 2015).

Here is the public function; `_projections` has the iterations.
"""

from __future__ import annotations

from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_flag,
    check_iteration,
    check_ndim,
    check_option,
    check_positive,
    enter,
    holds,
    is_array,
    is_goal,
    iterate,
    limits_of,
)
from xpsolve.capabilities import capabilities
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by
from xpsolve.transport._problem import Problem, enter_problem, widest
from xpsolve.transport._projections import Log, Scaling
from xpsolve.transport._rows import Rows

_METHODS = ("scaling", "log")
_ADVICE = {
    Status.MAX_ITER: "Or take a larger eps.",
    Status.NOT_FINITE: "Take a larger eps. Where costs are infinite, there may be no barycentre.",
    Status.UNDERFLOW: "Or use method='log'.",
}
_CERTIFICATE = "largest ‖P_kᵀ1 − b‖₁/Σb over the histograms"


@capabilities(batch="histograms", grad="forward, reverse", syncs=2, numbers=("eps", "tol"))
def barycenter(
    A: Array,
    M: Any,
    eps: Any,
    weights: Array | None = None,
    *,
    debiased: bool = False,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """The histogram between histograms: argmin_b Σ_k w_k W(a_k, b), W being the value of `sinkhorn`.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, M = np.eye(3)[:2], np.asarray([[0.0, 1.0, 4.0], [1.0, 0.0, 1.0], [4.0, 1.0, 0.0]])
    >>> solution = xs.barycenter(A, M, 0.1)
    >>> solution.x.round(2), solution.converged
    (array([0.5, 0.5, 0. ]), True)

    Parameters
    ----------
    A : array, shape (k, n)
        One histogram per row, all with the same sum.
    M : array (n, n), PointCloud or Grid
        The cost between their points.
    eps : float or 0-d array
        ε > 0, in the units of M.
    weights : array, shape (k,), optional
        w ≥ 0, divided by their sum; None gives all the same weight.
    debiased : bool
        Whether to take the barycentre of `sinkhorn_divergence`, which the entropy does not blur: Σ w_k S(a_k, b) is
        least at b.  The cost must be symmetric.
    method : str
        "scaling" iterates on products with K, and is safe where the costs span at most 650 ε in float64, 60 in float32;
        beyond that, it still works for histograms that have mass everywhere.  "log" takes soft minima, for any ε, and
        more time.  "auto" takes "scaling" where it is safe, for which it reads the span of the costs; with
        JAX arrays, whose solve is compiled, "log".
    tol : float
        The certificate to reach; 0 takes exactly `max_iter` iterations.

    Returns
    -------
    Solution
        ``.x`` is the barycentre b, (n,), the weighted mean of the second marginals.  The certificate is the largest
        ‖P_kᵀ1 − b‖₁/Σb of the plans P_k, whose first marginals are a_k, and for one that is debiased also of the plan
        of b onto itself.

    Other Parameters
    ----------------
    max_iter : int
        Most iterations, each a product with K and one with Kᵀ for every histogram.
    check_every : int
        Iterations between two convergence checks, each one host read.
    record : bool
        Whether to keep the certificate after every iteration.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`; a true answer stops.
    check_finite : bool
        Whether to check values first: NaN, negative weights, sums that differ.  It costs one host read, the same that
        "auto" takes.

    Raises
    ------
    TypeError, ValueError
        As `sinkhorn`, and if the weights do not fit, or M is not symmetric for `debiased`.

    Warns
    -----
    ConvergenceWarning
        If it ends without its tolerance.

    See Also
    --------
    sinkhorn : The plans between two histograms.

    References
    ----------
    J.-D. Benamou et al., Iterative Bregman projections for regularized transportation problems (2015); H. Janati,
    M. Cuturi & A. Gramfort, Debiased Sinkhorn barycenters (2020).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> xs.barycenter(A, xs.Grid(np.asarray([0.0, 1.0, 2.0])), 0.1).x.round(3)  # in the middle
    array([0., 1., 0.])
    >>> blurred, sharp = (xs.barycenter(A, xs.Grid(np.arange(3.0)), 2.0, debiased=yes) for yes in (False, True))
    >>> blurred.x.round(2), sharp.x.round(2)
    (array([0.27, 0.45, 0.27]), array([0., 1., 0.]))
    """
    check_option(method, "method", ("auto", *_METHODS))
    check_flag(debiased, "debiased")
    tol = check_iteration(
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        callback=callback,
        check_finite=check_finite,
        record=record,
    )
    _, (A,) = enter(A=A)
    check_ndim(A, "A", 2, shape="(k, n)")
    if not (is_array(eps) and eps.ndim == 0):
        check_positive(eps, "eps", dtype=A.dtype)
    problem, _ = enter_problem(A, A[:1, :], M, eps, names=("A", "A")).divided()  # all must have the sum of the first
    xp, a = problem.xp, problem.a
    w = xp.ones_like(a[:, :1]) if weights is None else _weights(problem, weights)
    span, _ = problem.check(check_finite, decide=method == "auto")
    safe = span is not None and span <= widest(xp, a.dtype) * problem.eps
    if debiased and check_finite:
        _check_symmetric(problem)
    chosen = method if method != "auto" else "scaling" if safe else "log"
    solver = (Scaling if chosen == "scaling" else Log)(problem, w / xp.sum(w), debiased)
    run = iterate(
        solver.step,
        solver.start(),
        measure=solver.measure,
        tol=tol if is_goal(tol) else -1.0,  # a measure is never as low
        max_iter=max_iter,
        check_every=check_every,
        renew=solver.renew if isinstance(solver, Log) else None,
        record=(lambda s: {"certificate": solver.disagreement(s)}) if record else None,
        callback=seen_by(callback, solver.answer, solver.disagreement),
    )
    s = run.state
    return finish(
        "barycenter",
        solver.answer(s),
        method=chosen,
        certificate=Certificate(_CERTIFICATE + (" and b" if debiased else ""), solver.disagreement(s), tol),
        reason=run.reason,
        measure=None if run.reason == "traced" else run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        ended=Status.UNDERFLOW if chosen == "scaling" and run.reason == "not finite" else None,
        advice=_ADVICE,
    )


def _check_symmetric(problem: Problem) -> None:
    """Raise where costs are not symmetric: one host read, none where points and grids say so."""
    geometry, xp = problem.geometry, problem.xp
    if geometry.one_set:
        return
    if geometry.bounds() is not None:
        symmetric = xp.all(geometry.x == geometry.y)  # type: ignore[union-attr]
    elif isinstance(problem.kernel, Rows) and problem.kernel.holds:
        M, (low, high) = problem.kernel.cost(0, problem.kernel.shape[0]), problem.range
        slack = limits_of(M).eps * (4 * (high - low) + 64 * problem.eps)
        symmetric = xp.all((M == M.T) | (xp.abs(M - M.T) <= slack))
    else:
        return
    if not holds(symmetric):
        message = "M: expected a symmetric cost between one set of points for debiased=True, got one that is not."
        raise ValueError(message)


def _weights(problem: Any, weights: Array) -> Array:
    """The weights as a column, checked."""
    xp, (w, a) = enter(weights=weights, A=problem.a)
    k = a.shape[0]
    if tuple(w.shape) != (k,):
        message = f"weights: expected shape ({k},), one for each row of A, got {tuple(w.shape)}."
        raise ValueError(message)
    if not holds(xp.all(w >= 0) & (xp.sum(w) > 0) & xp.isfinite(xp.sum(w))):
        message = "weights: expected finite numbers >= 0 that are not all 0."
        raise ValueError(message)
    return w[:, None]
