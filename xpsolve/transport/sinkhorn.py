"""Entropic optimal transport by Sinkhorn's iterations (Peyré 2020, §14.3.7; Cuturi 2013).

    min ⟨P, M⟩ + ε Σ P_ij (log P_ij − 1)  over  P ≥ 0,  P1 = a,  Pᵀ1 = b

Here is the public function.  `_problem` checks the input, `_iterations` has the methods, `_kernels` the products,
`_relaxation` chooses ω, and `answer` is what is returned.
"""

from __future__ import annotations

import functools
from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Run,
    check_flag,
    check_iteration,
    check_option,
    is_concrete,
    is_scalar,
    iterate,
    limits_of,
)
from xpsolve.autodiff.implicit import followed
from xpsolve.capabilities import capabilities
from xpsolve.solution import Callback, Certificate, Status, certified, finish, seen_by
from xpsolve.transport._derivatives import along
from xpsolve.transport._iterations import LEAST, Iteration
from xpsolve.transport._kernels import Rows
from xpsolve.transport._problem import Problem, enter_problem, widest
from xpsolve.transport.answer import TransportSolution
from xpsolve.transport.geometry import Grid

CERTIFICATE = "(‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁)/Σa"
ADVICE = {
    Status.MAX_ITER: "Or take a larger eps. Where costs are infinite or huge, there may be no plan.",
    Status.INACCURATE: "Potentials carry about (span of M)/eps rounding units into the plan: take a larger eps.",
    Status.NOT_FINITE: "Take a larger eps. Where costs are infinite, there may be no plan.",
    Status.UNDERFLOW: "Or use method='log', or 'stabilized' if M is no Grid. Where costs are infinite, there may be "
    "no plan.",
}


@capabilities(batch="rows of a and b, costs M", grad="forward, reverse, implicit", syncs=2)
def sinkhorn(
    a: Array,
    b: Array,
    M: Any,
    eps: float,
    *,
    relaxation: Any = "auto",
    mixed: bool | None = None,
    keep_kernel: bool = False,
    method: str = "auto",
    tol: float = 1e-9,
    max_iter: int = 10_000,
    x0: tuple[Array, Array] | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> TransportSolution:
    """Move the histogram a onto b at least cost with entropy: min ⟨P, M⟩ + ε Σ P (log P − 1).

    Parameters
    ----------
    a : array, shape (n,) or (batch, n)
        Weights ≥ 0; points with the weight 0 take no part.
    b : array, shape (m,) or (batch, m)
        Weights with the same sum, up to rounding in the lower of their dtypes.
    M : array (n, m) or (batch, n, m), PointCloud or Grid
        The cost, one for all problems or one for each.  Squared distances of points and grids need no matrix.  An
        entry ∞ forbids a pair.
    eps : float
        ε > 0, in the units of M.
    relaxation : str or float
        "auto" finds ω from the observed contraction, and takes averages where a is b and the cost symmetric, which need
        some ten iterations; a number 0 < ω < 2 is taken as it is, 1 for plain steps.
    mixed : bool, optional
        Whether products with a K in float64 are taken in float32 between two checks, as increments on exact ones, which
        gives the same digits from half of the memory traffic.  None takes them where K is stored and has 2¹⁷ entries or
        more, and not under ``jax.jit`` and for "log".
    keep_kernel : bool
        Whether the solution keeps K, as large as M, from which its plan and gradients are made without an exponential.
    method : str
        "scaling" iterates on u and v and is fastest, where the costs span at most some 650 ε in float64, 60 in float32.
        "stabilized" does the same on kernels that have absorbed the potentials, for any ε.  "log" takes soft minima
        and is slow: the reference, and the choice of a Grid for small ε.  "auto" takes the cheapest that is safe, for
        which it reads the span of the costs; under ``jax.jit``, where it cannot, "stabilized".
    tol : float
        The certificate to reach.  Rounding of the potentials allows no less than some (span of M)/ε rounding units.  0
        takes exactly `max_iter` iterations.
    max_iter : int
        Most iterations, each a product with K and one with Kᵀ.
    x0 : tuple of two arrays, optional
        Potentials f and g to start from; ε-scaling is then left out.
    check_every : int
        Iterations between two convergence checks, each one host read.
    record : bool
        Whether to keep the marginal error after every iteration, as "certificate".
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`, whose x is (f, g) and whose
        measure is that of the larger ε while there is one; a true answer stops.
    check_finite : bool
        Whether to check the values first, for NaN, infinities, negative weights and sums that differ, and the
        certificate in the end, which rounding may have raised: two host reads.

    Returns
    -------
    TransportSolution
        ``.x`` is (f, g) with P_ij = exp((f_i + g_j − M_ij)/ε); also ``.plan()``, ``.value`` and ``.cost``.  The
        certificate is (‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁)/Σa of the returned potentials.

    Raises
    ------
    TypeError
        If an argument is not of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, weights are negative or do not sum alike, a number is not finite, ε is
        not positive, an option is out of range, or the method is unknown or cannot be used for this M.

    Warns
    -----
    ConvergenceWarning
        If it ends without its tolerance: at `max_iter`, by rounding, or by overflow.

    See Also
    --------
    sinkhorn_gradient : Derivatives of the value.
    sinkhorn_divergence : Without the bias of the entropy.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7; M. Cuturi, Sinkhorn distances (2013);
    B. Schmitzer, Stabilized sparse scaling algorithms for entropy regularized transport problems (2019);
    A. Thibault et al., Overrelaxed Sinkhorn–Knopp algorithm for regularized optimal transport (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> M = np.asarray([[0.0, 1.0, 4.0], [1.0, 0.0, 1.0]])
    >>> solution = xs.sinkhorn(np.asarray([0.6, 0.4]), np.asarray([0.25, 0.25, 0.5]), M, 0.05)
    >>> solution.plan().round(3)
    array([[0.25, 0.25, 0.1 ],
           [0.  , 0.  , 0.4 ]])
    >>> solution.method, solution.converged
    ('scaling', True)
    """
    tol = _check_options(
        method, tol, max_iter, relaxation, check_every, record, mixed, keep_kernel, callback, check_finite
    )
    problem = enter_problem(a, b, M, eps, x0)
    if followed((problem.a, problem.b, problem.geometry)):
        again = functools.partial(
            sinkhorn,
            eps=problem.eps,
            method=method,
            tol=tol,
            max_iter=max_iter,
            relaxation=relaxation,
            check_every=check_every,
            record=record,
            mixed=mixed,
            callback=callback,
            check_finite=check_finite,
        )
        return along(problem, again)  # keep_kernel stays False: a kept kernel would carry no derivative
    given = problem
    problem, unit = given.divided()
    span, averages = problem.check(check_finite, decide=method == "auto")
    chosen = _choose(problem, method, span)
    solver = Iteration(
        problem,
        chosen,
        tol,
        relaxation,
        check_every,
        _mixed(problem, chosen, mixed, span),
        span,
        averages and isinstance(relaxation, str),
    )

    def of_problems(values: Array) -> Array:
        return values[0, ...] if problem.single else values

    def outside(f: Array) -> Array:
        return of_problems(f if unit == 1 else f * unit)

    run = iterate(
        solver.step,
        solver.start(),
        measure=solver.measure,
        tol=solver.goal,
        max_iter=max_iter,
        check_every=check_every,
        refresh=solver.refresh,
        renew=solver.renew if solver.renews else None,
        record=(lambda state: {"certificate": of_problems(solver.error(state)[:, 0])}) if record else None,
        callback=seen_by(callback, lambda state: tuple(map(outside, solver.answer(state))), lambda state: state.error),
    )
    f, g, error, value = solver.finish(run.state)
    at_eps = chosen == "scaling" or run.reason == "tolerance"  # K is not that of a larger ε
    holds = keep_kernel and at_eps and isinstance(problem.kernel, Rows) and run.state.K is not None
    u, v = solver.scalings(run.state, f, g) if holds else (None, None)
    measure, ended = _ended(problem, run, chosen, error, tol, check_finite, span)
    return finish(
        "sinkhorn",
        (outside(f), outside(g)),
        method=chosen,
        certificate=Certificate(CERTIFICATE, of_problems(error), tol),
        reason=run.reason,
        measure=measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        ended=ended,
        advice=ADVICE,
        cls=TransportSolution,
        value=outside(value),
        geometry=given.geometry,
        eps=given.eps,
        factors=(u, run.state.K, v) if holds else None,
    )


def _ended(
    problem: Problem, run: Run[Any], chosen: str, error: Array, tol: float, check_finite: bool, span: float | None
) -> tuple[float | None, Status | None]:
    """The certificate where it is read, and a status that overrules what the loop says."""
    if run.reason == "traced":
        return None, None
    if run.reason == "not finite" and chosen == "scaling":
        return run.measure, Status.UNDERFLOW
    if run.reason != "tolerance":
        return run.measure, None
    # by rounding, the marginals may miss it, or differ from those of the potentials: only then a check
    rounds = 8 * limits_of(problem.a).eps * (4 + (span or 0.0) / problem.eps)
    if not (check_finite or run.measure > 0 or rounds > (1 - LEAST) * tol):
        return None, None
    measure = float(problem.xp.max(error))
    status = certified(measure, tol)
    return measure, None if status is Status.CONVERGED else status


def _check_options(
    method: Any,
    tol: Any,
    max_iter: Any,
    relaxation: Any,
    check_every: Any,
    record: Any,
    mixed: Any,
    keep_kernel: Any,
    callback: Any,
    check_finite: Any,
) -> float:
    check_option(method, "method", ("auto", *costs.SINKHORN_METHODS))
    number: float = check_iteration(
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        callback=callback,
        check_finite=check_finite,
        record=record,
    )
    if mixed is not None:
        check_flag(mixed, "mixed")
    check_flag(keep_kernel, "keep_kernel")
    if isinstance(relaxation, str):
        if relaxation != "auto":
            message = f"relaxation: expected 'auto' or a number between 0 and 2, got {relaxation!r}."
            raise ValueError(message)
    elif not is_scalar(relaxation):
        message = f"relaxation: expected 'auto' or a number between 0 and 2, got {type(relaxation).__qualname__}."
        raise TypeError(message)
    elif not 0 < relaxation < 2:
        message = f"relaxation: expected 'auto' or a number between 0 and 2, got {relaxation!r}."
        raise ValueError(message)
    return number


def _choose(problem: Problem, method: str, span: float | None) -> str:
    grid = isinstance(problem.geometry, Grid)
    if method == "stabilized" and grid:
        message = "method: expected 'scaling', 'log' or 'auto' for a Grid, got 'stabilized': "
        raise ValueError(message + "potentials in the kernel would end its product form.")
    if method != "auto":
        return method
    safe = span is not None and span <= widest(problem.xp, problem.a.dtype) * problem.eps
    options = (*(["scaling"] if safe else []), *([] if grid else ["stabilized"]), "log")
    return _cheapest(*problem.kernel.shape, problem.a.shape[0], options)


@functools.lru_cache(maxsize=256)
def _cheapest(n: int, m: int, batch: int, options: tuple[str, ...]) -> str:
    return costs.cheapest(
        {o: costs.sinkhorn(n, m, batch=batch, method=o) for o in costs.SINKHORN_METHODS if o in options}
    )


def _mixed(problem: Problem, method: str, mixed: bool | None, span: float | None) -> bool:
    """Whether products can be increments in float32, and whether that pays."""
    xp, a, kernel = problem.xp, problem.a, problem.kernel
    able = method != "log" and a.dtype == xp.float64 and isinstance(kernel, Rows) and kernel.holds
    if not (able and is_concrete(a, problem.b, *problem.geometry.arrays.values())):
        return False
    shared = method == "scaling" and problem.shares
    if shared and a.shape[0] > 1 and not (span is not None and span <= widest(xp, xp.float32) * problem.eps):
        return False  # each problem would need a kernel of its own
    n, m = kernel.shape
    entries = n * m * (1 if shared else a.shape[0])
    return entries >= costs.INCREMENTS if mixed is None else mixed
