"""A solve by Sinkhorn's iterations: the method that fits, the loop, and how it ended."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Run,
    check_flag,
    check_iteration,
    check_option,
    holds,
    is_array,
    is_concrete,
    is_goal,
    is_scalar,
    iterate,
)
from xpsolve.solution import Callback, Certificate, Status, certified, finish, seen_by
from xpsolve.transport._feasible import forbidden, infeasible
from xpsolve.transport._iterations import Iteration
from xpsolve.transport._marginals import LEAST
from xpsolve.transport._problem import Problem, widest
from xpsolve.transport._rows import Rows
from xpsolve.transport.answer import TransportSolution
from xpsolve.transport.geometry import Grid

ADVICE = {
    Status.MAX_ITER: "Or take a larger eps. Where costs are huge, there may be no plan.",
    Status.INACCURATE: "Potentials carry about (span of M)/eps rounding units into the plan: take a larger eps.",
    Status.NOT_FINITE: "Take a larger eps. Where costs are huge, there may be no plan.",
    Status.INFEASIBLE: "There is no plan: some points hold more mass than all points that they may reach. Allow more "
    "pairs, or set marginal, which gives up the mass that cannot be moved.",
    Status.UNDERFLOW: "Or use method='log', or 'stabilized' if M is no Grid. Where costs are huge, there may be "
    "no plan.",
}
_SOFT = 2.0**-10  # of ε: for a smaller ρ the powers of "scaling" and "stabilized" lose digits


@dataclass(frozen=True)
class Options:
    """The options of `sinkhorn` that do not change the problem."""

    relaxation: Any
    mixed: bool | None
    keep_kernel: bool
    method: str
    tol: float
    max_iter: int
    check_every: int
    record: bool
    callback: Callback
    check_finite: bool

    def checked(self) -> Options:
        """The same; raises for values that cannot be."""
        check_option(self.method, "method", ("auto", *costs.SINKHORN_METHODS))
        tol = check_iteration(
            tol=self.tol,
            max_iter=self.max_iter,
            check_every=self.check_every,
            callback=self.callback,
            check_finite=self.check_finite,
            record=self.record,
        )
        if self.mixed is not None:
            check_flag(self.mixed, "mixed")
        check_flag(self.keep_kernel, "keep_kernel")
        _check_relaxation(self.relaxation)
        return replace(self, tol=tol)


def _check_relaxation(relaxation: Any) -> None:
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


def solve(given: Problem, options: Options) -> TransportSolution:
    """The solution of a problem without derivatives."""
    problem, unit = given.divided()
    span, averages = problem.check(options.check_finite, decide=options.method == "auto")
    problem = problem.levelled()
    solver = _iteration(problem, options, span, averages)
    marginals = solver.marginals

    def of_problems(values: Array) -> Array:
        return values[0, ...] if problem.single else values

    def outside(f: Array) -> Array:
        return of_problems(problem.outside(f) if unit == 1 else f * unit)

    def certificate(state: Any) -> dict[str, Array]:
        return {"certificate": of_problems(marginals.measured(solver.error(state))[:, 0])}

    run = iterate(
        solver.step,
        solver.start(),
        measure=solver.measure,
        tol=solver.goal,
        max_iter=options.max_iter,
        check_every=options.check_every,
        refresh=solver.refresh,
        renew=solver.renew if solver.renews else None,
        several=solver.several,
        record=certificate if options.record else None,
        callback=seen_by(
            options.callback,
            lambda s: tuple(map(outside, solver.answer(s))),
            lambda s: marginals.measured(s.error),
        ),
    )
    f, g, error, value = solver.finish(run.state)
    measure, ended = _ended(solver, run, error, options.check_finite)
    if options.check_finite and is_goal(options.tol) and _without_plan(problem, run, error, options.tol, ended):
        ended = Status.INFEASIBLE
    return finish(
        "sinkhorn",
        (outside(f), outside(g)),
        method=solver.method,
        certificate=Certificate(marginals.certificate_name, of_problems(error), options.tol),
        reason=run.reason,
        measure=measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        ended=ended,
        advice=ADVICE,
        cls=TransportSolution,
        value=outside(value),
        geometry=given.geometry if given.source is None else given.source,
        eps=given.given_eps,
        marginal=given.marginal,
        factors=_factors(solver, run, f, g) if options.keep_kernel else None,
    )


def _iteration(problem: Problem, options: Options, span: float | None, averages: bool) -> Iteration:
    """The iteration by the method that fits."""
    chosen = _choose(problem, options.method, span)
    return Iteration(
        problem,
        chosen,
        options.tol,
        options.relaxation,
        options.check_every,
        _mixed(problem, chosen, options.mixed, span),
        span,
        averages and isinstance(options.relaxation, str),
    )


def _factors(solver: Iteration, run: Run[Any], f: Array, g: Array) -> tuple[Array, Array, Array] | None:
    """u, K and v of the plan, where K is one matrix or one for each problem."""
    at_eps = solver.method == "scaling" or run.reason == "tolerance"  # K is not that of a larger ε
    if not (at_eps and isinstance(solver.problem.kernel, Rows) and run.state.K is not None):
        return None
    u, v = solver.scalings(run.state, f, g)
    return u, run.state.K, v


def _ended(solver: Iteration, run: Run[Any], error: Array, check_finite: bool) -> tuple[float | None, Status | None]:
    """The certificate where it is read, and a status that overrules what the loop says."""
    if run.reason == "traced":
        return None, None
    marginals, tol = solver.marginals, solver.tol
    seen = marginals.measured(run.measure)
    if run.reason == "not finite" and solver.method == "scaling":
        return seen, Status.UNDERFLOW
    if run.reason != "tolerance":
        return seen, None
    # by rounding, the marginals may miss it, or differ from those of the potentials: only then a check
    rounds = not solver.problem.balanced or marginals.rounding(solver.span or 0.0) > (1 - LEAST) * tol
    if not (check_finite or run.measure > 0 or rounds):
        return None, None
    measure = float(solver.problem.xp.max(error))
    status = certified(measure, tol)
    return measure, None if status is Status.CONVERGED else status


def _without_plan(problem: Problem, run: Run[Any], error: Array, tol: float, ended: Status | None) -> bool:
    """Whether there is no plan, where the certificate is missed; for a traced solve it is said when it has run."""
    if run.reason != "traced":
        return (run.reason in ("max_iter", "not finite") or ended is not None) and infeasible(problem)
    reached = problem.xp.max(error) <= tol
    for pairs in forbidden(problem):
        holds(reached | ~pairs)
    return False


def _choose(problem: Problem, method: str, span: float | None) -> str:
    grid = isinstance(problem.geometry, Grid)
    if method == "stabilized" and grid:
        message = "method: expected 'scaling', 'log' or 'auto' for a Grid, got 'stabilized': "
        raise ValueError(message + "potentials in the kernel would end its product form.")
    if method != "auto":
        return method
    for rho in problem.rho:
        if is_array(rho):  # in units of ε
            if not is_concrete(rho):
                holds(problem.xp.all(rho >= _SOFT))
        elif rho < _SOFT * problem.eps:
            return "log"
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
