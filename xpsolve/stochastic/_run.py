"""What the descent methods share: where they start, what they are judged by, and how they end.

The certificate is ‖∇f(x)‖ at the returned x relative to ‖∇f(0)‖, and for an objective of the user's own to ‖∇f(x0)‖.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from xpsolve.arrays import Array, Namespace, Run, device_of, enter, is_concrete
from xpsolve.autodiff.implicit import implicitly
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status
from xpsolve.stochastic.linear_model import LinearModel

_EXPLODED = 1e8  # a convex f with a step that suits it has no gradient that grows, but for what momentum does


@dataclass(frozen=True)
class Start:
    """Where a descent begins."""

    xp: Namespace
    x: Array
    g: Array  # ∇f(x)
    scale: Array  # what the norm of a gradient is compared with
    model: LinearModel | None  # the objective where it is one of ours

    def relative(self, g: Array) -> Array:
        """The norm of a gradient as the certificate states it."""
        return _norm(self.xp, g) / self.scale

    def measure(self, g: Array) -> Array:
        """The same; NaN where the gradient has exploded."""
        ratio = self.relative(g)
        limit = _EXPLODED * self.xp.maximum(self.relative(self.g), self.xp.ones_like(ratio))
        return self.xp.where(ratio <= limit, ratio, self.xp.full_like(ratio, self.xp.nan))

    def number(self, value: Any) -> Array:
        """A number as a 0-d array beside x."""
        return self.xp.asarray(value, dtype=self.x.dtype, device=device_of(self.x))


def check_objective(f: Any) -> None:
    """Raise unless f has values and gradients."""
    if not (callable(getattr(f, "value", None)) and callable(getattr(f, "gradient", None))):
        message = (
            f"f: expected LeastSquares, Logistic, Multinomial or an object with .value(x) and .gradient(x), "
            f"got {type(f).__qualname__}."
        )
        raise TypeError(message)


def along(f: Any, solve: Callable[..., Solution], *starts: Any) -> Solution:
    """solve(f, *starts), with the derivative of its equation ∇f(x) = 0 for an objective of ours.

    Where the descent starts and with which step does not matter to where it ends.
    """
    if not isinstance(f, LinearModel):
        return solve(f, *starts)

    def run(f: LinearModel, *starts: Any) -> tuple[Array, Solution]:
        solution = solve(f, *starts)
        return solution.x, solution

    solution: Solution
    x, solution = implicitly(run, lambda x, f, *_: f.gradient(x), (f, *starts))
    return replace(solution, x=x)


def begin(f: Any, x0: Array | None) -> Start:
    """Check x0, and look at the first gradient."""
    if isinstance(f, LinearModel):
        return _begin_model(f, x0)
    if x0 is None:
        message = "x0: expected a first x for an objective of your own, got None."
        raise ValueError(message)
    xp, (x,) = enter(x0=x0)
    g = f.gradient(x)
    return Start(xp, x, g, _positive(xp, _norm(xp, g)), None)


def _begin_model(f: LinearModel, x0: Array | None) -> Start:
    xp, x = f.xp, f.zeros()
    s = f._margins(x)
    g = f._gradient(x, s)
    # where ∇f(0) is nothing but rounding, the size of the terms that cancel in it
    terms = _norm(xp, f.derivative(s, f.y)) / f.n
    size = terms if f.operator.like is None else terms * _norm(xp, f.operator.like)
    length = _norm(xp, g)
    scale = _positive(xp, xp.where(length <= 4 * xp.finfo(x.dtype).eps * size, size, length))
    if x0 is not None:
        _, (x0, _) = enter(x0=x0, y=f.y)
        if tuple(x0.shape) != f.shape:
            message = f"x0: expected the shape of the answer {f.shape}, got {tuple(x0.shape)}."
            raise ValueError(message)
        x = xp.astype(x0, f.y.dtype) if x0.dtype != f.y.dtype else x0
        g = f.gradient(x)
    return Start(xp, x, g, scale, f)


def value_and_gradient(f: Any, x: Array) -> tuple[Array, Array]:
    """Both, from one set of margins where the objective has them."""
    if hasattr(f, "value_and_gradient"):
        both: tuple[Array, Array] = f.value_and_gradient(x)
        return both
    return f.value(x), f.gradient(x)


def inner(xp: Namespace, u: Array, v: Array) -> Array:
    """⟨u, v⟩ of arrays of any shape."""
    return xp.sum(u * v)


def accepted(xp: Namespace, before: Array, after: Array, promised: Array, slope_after: Array, *, part: float) -> Array:
    """Whether a trial step is good, 0-d: f fell by `part` of what the slope promised (Armijo 1966).

    Where f is flat to rounding its slope decides, which is the same to first order (Hager & Zhang 2005).  A NaN is no
    good step.
    """
    falls = after <= before - part * promised
    flat = xp.abs(after - before) <= 8 * xp.finfo(before.dtype).eps * xp.abs(before)
    return falls | (flat & (slope_after <= 0.5 * promised))


def finish(
    f: Any,
    start: Start,
    run: Run[Any],
    method: str,
    tol: float,
    *,
    user_step: bool = False,
    stats: dict[str, Any] | None = None,
) -> Solution:
    """The answer: a certificate from the returned x, and a status that says how it ended."""
    x = run.state.x
    # what exploded is not what is returned
    g = f.gradient(x) if run.reason == "not finite" else run.state.g
    origin = "0" if start.model is not None else "x0"
    certificate = Certificate(f"gradient norm relative to that at {origin}", start.relative(g), tol)
    ended = _ended(f, start, run, x, user_step)
    if run.reason == "max_iter" and ended is not None:
        reached = f"{method} stopped after {run.n_iter} iterations at {run.measure:.1e} > tol = {tol:.1e}."
        deep = 5 if start.model is None else 7  # of the caller of the method: `along` lies between
        warnings.warn(f"{reached} {ended.message}", ConvergenceWarning, stacklevel=deep)
    notes = {"host_reads": run.reads, **(stats or {})}
    return Solution(x, method, certificate, n_iter=run.n_iter, history=run.history, stats=notes, ended=ended)


def _ended(f: Any, start: Start, run: Run[Any], x: Array, user_step: bool) -> Status | None:
    if run.reason in ("callback", "traced"):
        return Status.STOPPED if run.reason == "callback" else None
    if run.reason == "not finite":
        return Status.NOT_FINITE if run.n_iter == 0 else Status.DIVERGED
    if no_minimiser(start, x):
        return Status.UNBOUNDED
    if run.reason != "max_iter":
        return None
    if user_step and bool(f.value(x) > f.value(start.x)):
        return Status.DIVERGED
    return Status.MAX_ITER


def no_minimiser(start: Start, x: Array) -> bool:
    """λ = 0 and x separates the classes: one read, and none where λ > 0 is known here."""
    model = start.model
    if model is None or not model.unpenalised or not is_concrete(x):
        return False
    separated = model.separated(x)
    return separated is not None and bool(separated)


def _norm(xp: Namespace, x: Array) -> Array:
    return xp.sqrt(xp.sum(x * x))


def _positive(xp: Namespace, x: Array) -> Array:
    return xp.where(x == 0, xp.ones_like(x), x)  # a NaN stays one
