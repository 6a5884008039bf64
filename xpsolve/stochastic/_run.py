"""What the descent methods share: where they start, their certificate, and how they end.

The certificate is ‖D∇f(x)‖ relative to ‖D∇f(0)‖, where D_j is 1/max_i |A_ij|, so that it sees features of every size
alike: it does not change when a column of A is scaled.  For an operator whose entries are not accessible D = I, and for
an objective of the user's own it is ‖∇f(x)‖ relative to ‖∇f(x0)‖.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    Run,
    cholesky,
    composed,
    device_of,
    enter,
    holds,
    limits_of,
    namespace_of,
    overwriting,
    safe_norm,
    shifted,
)
from xpsolve.autodiff.implicit import followed, implicitly
from xpsolve.solution import Callback, Certificate, Solution, Status, seen_by
from xpsolve.solution import finish as finish_solution
from xpsolve.stochastic._units import Units, in_units, largest_ordinary, rescaled
from xpsolve.stochastic.linear_model import LinearModel

WITHOUT_FEATURES = "with an intercept alone"
_EXPLODED = 1e8  # with a suitable step the gradient of a convex f does not grow, except by momentum


@dataclass(frozen=True)
class Start:
    """Where a descent begins, in the units of `f`."""

    xp: Namespace
    f: Any  # the objective
    x: Array
    g: Array  # ∇f(x)
    weights: Array | None  # D of the certificate
    scale: Array  # what ‖D∇f‖ is compared with, 0-d; NaN where numbers of f are out of range
    limit: Array  # above this a gradient has exploded, 0-d
    units: Units | None  # of an objective of xpsolve

    def size(self, g: Array, axis: tuple[int, ...] | None = None) -> Array:
        """‖Dg‖, along some axes."""
        if self.weights is None:
            return safe_norm(g, axis=axis)
        u = g * self.weights
        if axis is None:
            return self.xp.sqrt(inner(u, u))
        return self.xp.sqrt(self.xp.sum(u * u, axis=axis))

    def relative(self, g: Array) -> Array:
        """The certificate of a gradient."""
        return self.size(g) / self.scale

    def certificate_of(self, x: Array, g: Array) -> Array:
        """The same; NaN where x is not representable in the units of the caller."""
        ratio = self.relative(g)
        if self.units is None or self.units.D is None:  # A and y have sizes for which x is in range
            return ratio
        return self.xp.where(self.units.representable(x), ratio, self.xp.full_like(ratio, self.xp.nan))

    def measure(self, s: Any) -> Array:
        """The certificate of a state with x and g; NaN where the gradient has exploded."""
        return _unless_above(self.limit, self.certificate_of(s.x, s.g))

    def number(self, value: Any) -> Array:
        """A number as a 0-d array beside x."""
        return self.xp.asarray(value, dtype=self.x.dtype, device=device_of(self.x))

    def step(self, value: Any) -> Array:
        """A step that was given in the units of the caller."""
        tau = self.number(value)
        return tau if self.units is None else self.units.step_inside(tau)

    def outside(self, x: Array) -> Array:
        """x in the units of the caller."""
        return x if self.units is None else self.units.outside(x)

    def shown(self, x: Array) -> tuple[Array, Array | None]:
        """x and the intercept as the caller knows them."""
        return (x, None) if self.units is None else self.f.split(self.units.outside(x))

    def value_outside(self, value: Array) -> Array:
        """A value of f in the units of the caller."""
        return value if self.units is None else self.units.value_outside(value)

    def watched(self, record: bool, callback: Callback) -> dict[str, Any]:
        """`record` and `callback` of a loop whose states have an x and the last gradient g."""

        def recorded(s: Any) -> dict[str, Array]:
            value, g = value_and_gradient(self.f, s.x)
            return {"objective": self.value_outside(self.number(value)), "certificate": self.certificate_of(s.x, g)}

        x, intercept = (lambda s: self.shown(s.x)[0]), (lambda s: self.shown(s.x)[1])
        seen = seen_by(callback, x, lambda s: self.certificate_of(s.x, s.g), intercept)
        return {"record": recorded if record else None, "callback": seen}


@composed
def _unless_above(limit: Array, ratio: Array) -> Array:
    """The ratio, or NaN where it is above the limit."""
    xp = namespace_of(limit)
    return xp.where(ratio <= limit, ratio, xp.full_like(ratio, xp.nan))


@_unless_above.register("numpy")
def _unless_above_numpy(limit: Array, ratio: Array) -> Array:
    if ratio.ndim:
        return _unless_above.standard(limit, ratio)
    return ratio if ratio <= limit else np.full_like(ratio, np.nan)


class Descent(NamedTuple):
    """What a method found."""

    run: Run[Any]
    method: str
    stats: dict[str, Any]


def check_objective(f: Any) -> None:
    """Raise unless f has values and gradients."""
    if not (callable(getattr(f, "value", None)) and callable(getattr(f, "gradient", None))):
        message = (
            f"f: expected LeastSquares, Logistic, Multinomial or an object with .value(x) and .gradient(x), "
            f"got {type(f).__qualname__}."
        )
        raise TypeError(message)


def along(
    name: str,
    f: Any,
    solve: Callable[..., Descent],
    x0: Array | None,
    *others: Any,
    tol: float,
    advice: Mapping[Status, str],
    columns: bool = False,
    user_step: bool = False,
    seen: Callable[[LinearModel], LinearModel] = lambda f: f,
) -> Solution:
    """solve(start, *others) as a `Solution`, with the derivative of its equation ∇f(x) = 0 for an objective of xpsolve.

    Where the descent starts and with which step does not matter to where it ends.  Where the numbers of f are beyond
    the range of their dtype, the descent is taken in units of A; `columns` says whether each column may have its own.
    `seen` makes another kind of model of that of the caller, which is not followed by derivatives.
    """

    def run(f: Any, x0: Array | None, *others: Any) -> tuple[Array, Solution]:
        start = begin(f, x0)
        found = solve(start, *others)
        if found.run.reason == "not finite" and found.run.n_iter == 0 and start.units is not None:
            units = rescaled(f, columns=columns)
            if units is not None:
                start = begin(f, x0, units)
                found = solve(start, *others)
        solution = _finish(name, start, found, tol, advice, user_step)
        return solution.x, solution

    if not isinstance(f, LinearModel):
        return run(f, x0, *others)[1]
    f = f.centred()
    if x0 is not None:
        x0 = first_x(f, x0)
    solution: Solution
    args = (f, x0, *others)
    if followed(args):
        x, solution = implicitly(run, lambda x, f, *_: f.gradient(x), args)
    else:
        f = seen(f)
        x, solution = run(f, None if x0 is None else f.small(x0), *others)
        solution = f.delivered(solution)
    x, intercept = f.split(x)
    return replace(solution, x=x, intercept=intercept)


def begin(f: Any, x0: Array | None, units: Units | None = None) -> Start:
    """The first gradient, at x0 in the variables of f, or where f begins."""
    if isinstance(f, LinearModel):
        return _begin_model(f, x0, in_units(f) if units is None else units)
    if x0 is None:
        message = "x0: expected a first x for an objective of your own, got None."
        raise ValueError(message)
    xp, (x,) = enter(x0=x0)
    g = f.gradient(x)
    scale = _positive(xp, safe_norm(g))
    return Start(xp, f, x, g, None, scale, xp.full_like(scale, _EXPLODED), None)


def _begin_model(f: LinearModel, x0: Array | None, units: Units) -> Start:
    model, xp = units.model, f.xp
    x, g, terms = model.first_gradient()
    weights, ordinary = _weights(units, g)
    # where ∇f(0) is nothing but rounding, `terms` show the size of those that cancel in it
    if weights is not None:  # no entry of AD is above 1
        u = g * weights
        length, size = xp.sqrt(xp.sum(u * u)), terms * (f.operator.shape[1] / f.n) ** 0.5
    else:
        like = None if f.operator.foreign else f.operator.like  # of the size of A
        length, size = safe_norm(g), terms / f.n * (1 if like is None else safe_norm(like))
    scale = _positive(xp, xp.where(length <= 4 * limits_of(x).eps * size, size, length))
    scale = xp.where(ordinary & xp.isfinite(scale), scale, xp.full_like(scale, xp.nan))
    start = Start(xp, model, x, g, weights, scale, xp.full_like(scale, _EXPLODED), units)
    if x0 is None:
        return start
    x = units.inside(x0)
    g = model.gradient(x)
    limit = _EXPLODED * xp.maximum(start.relative(g), xp.ones_like(scale))
    return replace(start, x=x, g=g, limit=limit)


def _weights(units: Units, g: Array) -> tuple[Array | None, Array]:
    """D of the certificate, and whether A, y and λ are within the range in which nothing overflows or underflows."""
    f = units.model
    xp, most = f.xp, largest_ordinary(f)
    sizes = f.column_sizes()
    if sizes is None:  # then only the gradient shows it
        there = xp.abs(g)
        there = xp.where(there == 0, xp.ones_like(there), there)  # a NaN stays a NaN
    else:
        top = xp.max(sizes)
        there = xp.where(sizes == 0, xp.where(top > 0, top, xp.ones_like(top)), sizes)
    ordinary = (xp.max(there) < most) & (xp.min(there) > 1 / most) & (xp.max(f.lam) < most)
    if units.b is not None and units.D is None:
        ordinary = ordinary & (units.b < most) & (units.b > 1 / most)
    if sizes is None:
        return None, ordinary
    D = 1 / there
    return (D if len(f.shape) == 1 else D[:, None]), ordinary


def first_x(f: LinearModel, x0: Array) -> Array:
    """The x0 of the caller, checked, in the variables of f."""
    xp, (x0, _) = enter(x0=x0, y=f.y)
    if tuple(x0.shape) != f.shape:
        extra = ", the intercept last" if f.intercept else ""
        message = f"x0: expected the shape of the answer {f.shape}{extra}, got {tuple(x0.shape)}."
        raise ValueError(message)
    return f.inside(xp.astype(x0, f.y.dtype) if x0.dtype != f.y.dtype else x0)


def value_and_gradient(f: Any, x: Array) -> tuple[Array, Array]:
    """Both, from one set of margins where the objective has them."""
    if hasattr(f, "value_and_gradient"):
        both: tuple[Array, Array] = f.value_and_gradient(x)
        return both
    return f.value(x), f.gradient(x)


@composed
def inner(u: Array, v: Array) -> Array:
    """⟨u, v⟩ of arrays of any shape."""
    return namespace_of(u).sum(u * v)


@inner.register("numpy")
def _inner_numpy(u: Array, v: Array) -> Array:
    return np.vdot(u, v)


@overwriting
@composed
def raised(H: Array) -> Array:
    """H with every diagonal entry raised at rounding level, or to 1 where it is 0; the caller gives H away.

    That costs no iteration, and allows λ = 0 and linearly dependent columns.
    """
    xp = namespace_of(H)
    diagonal = xp.linalg.diagonal(H)
    return shifted(H, xp.where(diagonal > 0, _raise(H) * diagonal, xp.ones_like(diagonal)))


@raised.register("numpy")
def _raised_numpy(H: Array) -> Array:
    diagonal = H.diagonal()
    return shifted(H, np.where(diagonal > 0, _raise(H) * diagonal, 1))


def _raise(H: Array) -> float:
    rounding: float = 10 * H.shape[0] * limits_of(H).eps
    return rounding


def raised_factor(H: Array) -> Array:
    """A Cholesky factor of it."""
    return cholesky(raised(H))[0]


@composed
def accepted(before: Array, after: Array, promised: Array, slope_after: Array, *, part: float) -> Array:
    """Whether a trial step is good, 0-d: f fell by `part` of what the slope promised (Armijo 1966).

    Where f is flat to rounding its slope decides, which is the same to first order (Hager & Zhang 2005).  A NaN is no
    good step.
    """
    xp = namespace_of(before)
    falls = after <= before - part * promised
    flat = xp.abs(after - before) <= 8 * limits_of(before).eps * xp.abs(before)
    return falls | (flat & (slope_after <= 0.5 * promised))


@accepted.register("numpy")
def _accepted_numpy(before: Array, after: Array, promised: Array, slope_after: Array, *, part: float) -> Array:
    if after <= before - part * promised:
        return np.asarray(True)
    f, new = float(before), float(after)
    flat = abs(new - f) <= 8 * limits_of(before).eps * abs(f)
    return np.asarray(flat and float(slope_after) <= 0.5 * float(promised))


def _finish(
    name: str, start: Start, found: Descent, tol: float, advice: Mapping[Status, str], user_step: bool
) -> Solution:
    """The answer: a certificate from the returned x, and a status that says how it ended."""
    run, x = found.run, found.run.state.x
    # the returned x is not the one that exploded
    g = start.f.gradient(x) if run.reason == "not finite" else run.state.g
    ended = _ended(start, run, x, user_step, Status.DIVERGED in advice)
    measures = start.certificate_of(x, g)
    return finish_solution(
        name,
        start.outside(x),
        method=found.method,
        certificate=Certificate(certificate_name(start), measures, tol),
        reason=run.reason,
        measure=None if run.reason == "traced" else run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads, **found.stats},
        ended=ended,
        advice=advice,
        operator=None if start.units is None else start.f.operator,
    )


def certificate_name(start: Start) -> str:
    """What the certificate measures."""
    if start.units is None:
        return "gradient norm relative to that at x0"
    sizes = "" if start.weights is None else ", columns of A at equal size,"
    return f"gradient norm{sizes} relative to that {'at 0' if start.f.frame is None else WITHOUT_FEATURES}"


def _ended(start: Start, run: Run[Any], x: Array, user_step: bool, can_diverge: bool) -> Status | None:
    """A status that overrules what the loop says."""
    if run.reason == "callback":
        return None
    if run.reason == "not finite":
        beyond = run.n_iter == 0 or not can_diverge
        return Status.NOT_FINITE if beyond else Status.DIVERGED
    if no_minimiser(start, x):
        return Status.UNBOUNDED
    if run.reason == "traced":
        if user_step:
            holds(run.measure <= 1)
        return None
    grew = run.reason == "max_iter" and user_step and run.measure > 1  # f is computed only where ∇f has grown
    if grew and bool(start.f.value(x) > start.f.value(start.x)):
        return Status.DIVERGED
    return None


def no_minimiser(start: Start, x: Array) -> bool:
    """λ = 0 and x separates the classes: one read, and none where λ > 0 is known here."""
    model = start.f
    if start.units is None or not model.unpenalised:
        return False
    separated = model.separated(x)
    return separated is not None and not holds(~separated)


def _positive(xp: Namespace, x: Array) -> Array:
    return xp.where(x == 0, xp.ones_like(x), x)  # a NaN stays a NaN
