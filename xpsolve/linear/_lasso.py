"""One lasso or elastic net on its way: what all methods share, from the first x to the `Solution`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Run,
    cast,
    check_iteration,
    check_option,
    check_positive,
    is_array,
    products,
    real_dtype,
    wide_dtype,
)
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._problem import (
    Problem,
    descent,
    from_columns,
    half_of,
    is_ordinary,
    lost_in_units,
    scaled,
    squared_norms,
)
from xpsolve.linear.working_set import has_columns, no_working_set, solve_working_set
from xpsolve.proximal.proximal_gradient import proximal_gradient, safe_step
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by

CERTIFICATE = "duality gap, relative to half of ‖y‖²"
_CROWDED = 100  # entries of x0 that are never too many; some minimiser has at most n
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter, or start from a better x0.",
    Status.INACCURATE: "Raise lam, or loosen tol.",
    Status.DIVERGED: "Use a smaller step: step=None is a safe one.",
}


@dataclass(frozen=True)
class Options:
    name: str
    method: str
    tol: float
    max_iter: int
    x0: Array | None
    step: Any
    check_every: int
    record: bool
    callback: Callback
    check_finite: bool

    def __post_init__(self) -> None:
        check_option(self.method, "method", ("auto", *costs.LASSO_METHODS))
        tol = check_iteration(
            tol=self.tol,
            max_iter=self.max_iter,
            check_every=self.check_every,
            callback=self.callback,
            check_finite=self.check_finite,
            record=self.record,
        )
        object.__setattr__(self, "tol", tol)
        if self.step is not None and not is_array(self.step):
            check_positive(self.step, "step")


@dataclass(frozen=True)
class Solver:
    """One problem during the solve: what all methods share."""

    problem: Problem
    theta: float
    options: Options
    x0: Array | None  # (p, k), in the units of the answer
    tau: Array | None

    @cached_property
    def penalty(self) -> Penalty:
        """λ(1 − θ)‖x‖₁ + ½λθ‖x‖² for A and y as they are scaled."""
        problem, lams = self.problem, self.problem.lams
        lam = lams if problem.paired else lams[0]
        l1 = problem.l1_weights(lam * (1 - self.theta))
        l1 = l1[0] if l1.ndim and problem.Y.shape[1] == 1 else l1
        return Penalty(l1, problem.l2_weight(lam * self.theta) if self.theta else None)

    def certify(self, X: Array, C: Array, rr: Array) -> Array:
        """The relative gap of each column, from C = Aᵀ(Y − AX) and rr = ‖Y − AX‖²."""
        return self.penalty.gap(X, C, rr) / self.half

    @cached_property
    def yy(self) -> Array:
        """‖y‖² of each column."""
        return cast(squared_norms(self.problem.like_Y), real_dtype(self.problem.Y))

    @cached_property
    def half(self) -> Array:
        """½‖y‖² of each column."""
        return half_of(self.yy)

    def look(self, X: Array) -> tuple[Array, Array, Array]:
        """Aᵀ(Y − AX), its gap and objective: two products with A."""
        R, C = self.problem.residual(X)
        rr = squared_norms(R)
        return C, self.certify(X, C, rr), rr

    def record(self, state: Any) -> dict[str, Array]:
        """Objective and gap of each column, for y as it was given: an objective is of the size of ‖y‖²."""
        _, gap, rr = self.look(state.X)
        objective, unit = 0.5 * rr + self.penalty.value(state.X), self.problem.y_unit
        objective = objective if unit is None else objective * unit * unit
        return {"objective": self._of_columns(objective), "certificate": self._of_columns(gap)}

    def _of_columns(self, values: Array) -> Array:
        return values[0] if self.problem.single_y else values

    def start(self) -> tuple[Array, Array, Array]:
        """The first X, its Aᵀ(Y − AX) and its gap."""
        xp, problem = self.problem.xp, self.problem
        if self.x0 is not None:
            X = self.x0 if self._unit is None else self.x0 / self._unit
            C, gap, rr = self.look(X)
            crowded = xp.sum(xp.astype(X != 0, xp.int32), axis=0) > max(problem.shape[0], _CROWDED)
            worse = 0.5 * rr + self.penalty.value(X) > 0.5 * self.yy
            fresh = (gap > self.options.tol) & (worse | crowded)  # 0 is the better start
            if problem.A_unit is not None:  # l1 may be capped, where the answer is 0
                fresh = fresh | (self.penalty.l1 >= xp.max(xp.abs(problem.Aty), axis=0))
            X, C = xp.where(fresh, xp.zeros_like(X), X), xp.where(fresh, problem.Aty, C)
            return X, C, xp.where(fresh, self.certify(X, C, self.yy), gap)
        X = xp.zeros_like(problem.Aty)
        return X, problem.Aty, self.certify(X, problem.Aty, self.yy)

    def solve(self, method: str) -> Solution:
        """Run a method and say how it ended; where the first host read finds that A and y are to be scaled, again."""
        problem, o = self.problem, self.options
        if problem.ordinary is False and problem.A_unit is None:
            return replace(self, problem=scaled(problem)).solve(method)
        X, C, gap = self.start()
        if problem.ordinary is None:
            gap = problem.xp.where(is_ordinary(problem), gap, problem.xp.full_like(gap, problem.xp.nan))
        run, stats = self._run(method, X, (C, gap), o.max_iter)
        if run.reason == "not finite" and problem.ordinary is None and run.reads == 1:
            return replace(self, problem=problem.knowing(ordinary=False)).solve(method)
        if self._was_rounded(method, run):
            run = replace(run, state=run.state._replace(gap=self._wide_gap(run.state.X)))
        if run.reason in ("tolerance", "stalled"):
            method, run, stats = self._carried_on(method, run, stats)
        return self._solution(method, run, stats)

    def _run(self, method: str, X: Array, start: tuple[Array, Array], max_iter: int) -> tuple[Run[Any], dict[str, Any]]:
        """A method from X; `start` is (Aᵀ(Y − AX), relative gap)."""
        problem, o = self.problem, self.options
        record = self.record if o.record else None
        if method == "working_set":
            return solve_working_set(
                problem,
                self.penalty,
                X,
                self.half,
                start,
                tol=o.tol,
                max_iter=max_iter,
                record=record,
                callback=self.callback,
            )
        gradient, product = descent(problem)
        run = proximal_gradient(
            gradient,
            self.penalty,
            X,
            tau=self._step(product),
            check=self._looked_at if problem.by_rows else lambda X: self.look(X)[:2],
            gap=start[1],
            momentum=method == "fista",
            tol=o.tol,
            max_iter=max_iter,
            check_every=o.check_every,
            record=record,
            callback=self.callback,
        )
        return run, {}

    def _looked_at(self, X: Array) -> tuple[Array, Array]:
        """Aᵀ(Y − AX) and the gap of X in memory from AᵀA, and where that is within the tolerance from A itself."""
        problem, xp = self.problem, self.problem.xp
        C = problem.Aty - problem.gram() @ X
        rr = self.yy - xp.sum(products(X, problem.Aty + C), axis=0)
        gap = self.certify(X, C, xp.maximum(rr, xp.zeros_like(rr)))
        return self.look(X)[:2] if float(xp.max(gap)) <= self.options.tol else (C, gap)

    def _was_rounded(self, method: str, run: Run[Any]) -> bool:
        """Whether the gap of the answer was computed in float32 where it can be in float64."""
        if wide_dtype(self.problem.Y) == self.problem.Y.dtype or not has_columns(self.problem):
            return False
        return method != "working_set" or run.n_iter == 0 or run.reason == "max_iter"

    def _wide_gap(self, X: Array) -> Array:
        """The relative gap of each column in float64: of the same A, Y and X."""
        problem, wide = self.problem, wide_dtype(self.problem.Y)
        Y, X = cast(problem.Y, wide), cast(X, wide)
        R, C = problem.residual(X) if problem.by_rows else problem.operator.residual(X, Y)
        gap = self.penalty.astype(real_dtype(Y)).gap(X, C, squared_norms(R))
        return gap / half_of(squared_norms(problem.like_Y if problem.by_rows else Y))

    def _carried_on(self, method: str, run: Run[Any], stats: dict[str, Any]) -> tuple[str, Run[Any], dict[str, Any]]:
        """Where a method made no more progress, the next one continues from its iterate, column by column."""
        problem, xp, tol = self.problem, self.problem.xp, self.options.tol
        rounded = wide_dtype(problem.Y) != problem.Y.dtype
        read = not self._was_rounded(method, run) and run.reason == "tolerance" and run.measure > 0
        known = run.measure if read else None
        worst = float(xp.max(run.state.gap)) if known is None else known
        run = run if read else replace(run, measure=worst)
        following = "fista" if method == "working_set" else "working_set"
        used = run.n_iter
        if worst <= tol or tol == 0 or used >= self.options.max_iter or (following == "fista" and rounded):
            return method, run, stats
        if following == "working_set" and no_working_set(problem, columns=True):
            return method, run, stats
        rounds = stats.get("rounds", 0)
        columns, gaps, steps, reads = [], [], [0], run.reads
        for j in range(problem.Y.shape[1]):
            X, gap = run.state.X[:, j : j + 1], run.state.gap[j : j + 1]
            reads += 1
            if float(gap[0]) > tol:
                one = self._column(j)
                new, more = one._run(following, X, (one.look(X)[0], gap), self.options.max_iter - used)
                better = new.state.gap < gap
                X, gap = xp.where(better, new.state.X, X), xp.where(better, cast(new.state.gap, gap.dtype), gap)
                steps.append(new.n_iter)
                reads += new.reads
                rounds += more.get("rounds", 0)
            columns.append(X)
            gaps.append(gap)
        gap = xp.concat(gaps)
        state = run.state._replace(X=xp.concat(columns, axis=1), gap=gap)
        n_iter = used + max(steps)  # columns go on side by side
        run = replace(run, state=state, n_iter=n_iter, reads=reads, measure=float(xp.max(gap)), reason="stalled")
        return f"{method}->{following}", run, {**stats, f"{following}_steps": sum(steps), "rounds": rounds}

    def _column(self, j: int) -> Solver:
        """The problem of one column of Y, without a record."""
        options = replace(self.options, record=False, callback=None)
        return Solver(self.problem.column(j), self.theta, options, None, self.tau)

    @property
    def callback(self) -> Callable[[int, Any], Any] | None:
        """The callback as loops call it."""
        return seen_by(self.options.callback, lambda state: self.answer(state.X), lambda state: state.gap)

    def answer(self, X: Array) -> Array:
        """X in the units and the shape of the answer."""
        return self.problem.delivered(from_columns(self.problem, X if self._unit is None else X * self._unit))

    @property
    def _unit(self) -> Array | None:
        return self.problem.l1_unit

    def _step(self, product: Callable[[Array], Array]) -> Array:
        problem, tau = self.problem, self.tau
        if tau is None:
            return safe_step(product, problem.Aty)
        return tau if problem.A_unit is None else tau * problem.A_unit * problem.A_unit

    def _solution(self, method: str, run: Run[Any], stats: dict[str, Any]) -> Solution:
        o, unit = self.options, self._unit
        X, gap = run.state.X, run.state.gap
        if unit is not None:
            gap = gap + lost_in_units(X, unit)
        certificate = Certificate(CERTIFICATE, gap, o.tol)
        measure = run.measure if isinstance(run.measure, float) else None
        if measure is not None and unit is not None:
            measure = certificate.value
        solution: Solution = finish(
            o.name,
            self.answer(X),
            method=method,
            certificate=certificate,
            reason=run.reason,
            measure=measure,
            n_iter=run.n_iter,
            history=run.history,
            stats={"host_reads": run.reads, **stats},
            ended=Status.DIVERGED if run.reason == "not finite" and o.step is not None else None,
            advice=_ADVICE,
            operator=self.problem.operator,
        )
        return self.problem.delivered(solution)
