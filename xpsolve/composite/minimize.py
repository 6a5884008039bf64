"""min_x f(x) + R(x) for any objective and penalty: the public function, and the choice of a method (equation 14.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Run,
    check_iteration,
    check_option,
    common_namespace,
    enter,
    is_scalar,
    lift,
    namespace_of,
)
from xpsolve.arrays import check_finite as check_values
from xpsolve.capabilities import capabilities
from xpsolve.composite._backtracking import backtracking
from xpsolve.composite._newton_jump import newton_jump
from xpsolve.composite._parts import parts_of
from xpsolve.composite._problem import Composite
from xpsolve.composite._working_set import no_working_set, working_set
from xpsolve.guides import guide
from xpsolve.penalties import Penalty
from xpsolve.penalties.separable import Separable
from xpsolve.proximal.primal_dual import primal_dual
from xpsolve.proximal.proximal_gradient import proximal_gradient
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by
from xpsolve.stochastic import LinearModel, Logistic
from xpsolve.stochastic._row_model import row_model
from xpsolve.stochastic._run import begin, check_objective, first_x
from xpsolve.stochastic._units import Units, rescaled
from xpsolve.trace import arrays_in, map_arrays

METHODS = ("auto", "ista", "fista", "working_set", "primal_dual")
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter, loosen tol, or start from a better x0.",
    Status.INACCURATE: "Loosen tol, or work in float64.",
    Status.DIVERGED: "Check that lipschitz() of the objective is not too small.",
}


class _State(NamedTuple):
    x: Array
    measure: Array


@capabilities(grad="forward, reverse", syncs=2, numbers=("tol",))
def minimize(
    f: Any,
    penalty: Penalty | None = None,
    *,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """Minimise f(x) + R(x).

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> f, R = xs.LeastSquares(A, y), xs.penalties.L1(0.1) + xs.penalties.NonNegative()
    >>> solution = xs.minimize(f, R)
    >>> solution.method, solution.converged
    ('fista', True)

    Parameters
    ----------
    f : LeastSquares, Huber, Logistic, Multinomial or object
        The objective.  An object of your own needs ``.value(x)`` and ``.gradient(x)``; without ``.lipschitz()`` the
        steps are found by backtracking.
    penalty : Penalty, optional
        R, from `xpsolve.penalties`, and sums of them by ``+``.  None is 0.
    method : str
        "ista" is proximal gradient, "fista" the same with momentum, for R with a proximal map.  "primal_dual" (Condat
        and Vũ) takes sums of penalties, and `Analysis` or `TotalVariation`.  "working_set" takes proximal Newton steps
        on a set of features that grows, for Logistic and LeastSquares with L1 or ElasticNet and a dense or sparse A;
        where it makes no more progress "fista" continues.  Its set is chosen on the host, so that it is neither for
        ``jax.jit`` nor differentiated.  "auto" is "working_set" for Logistic with at least 128 features where it can
        be, "primal_dual" for penalties that need it, otherwise "fista", also with JAX arrays, whose solve is compiled.
    tol : float
        The certificate to reach.

    Returns
    -------
    Solution
        ``.x`` has the shape of the answer of f; the intercept is apart, in ``.intercept``, also of what a callback
        sees.  The certificate is the duality gap relative to the loss at the first x for x0=None, an upper bound of
        what the objective can still fall, where a dual point is known: for L1, ElasticNet, GroupL1,
        Nuclear, L1Ball, Simplex, Box with finite bounds, and any penalty where λ or l2 is above 0.  Otherwise it is
        the norm of the smallest element of ∇f(x) + ∂R(x) relative to ‖∇f(0)‖, with features at equal size, or to
        ‖∇f(x0)‖ for an objective of your own.  ``.stats["dual"]`` has the dual variables of "primal_dual",
        ``.stats["sizes"]`` the number of features in each set of "working_set".

    Other Parameters
    ----------------
    max_iter : int
        Most iterations, each of them one gradient; with backtracking also those that only try a step.  One of
        "working_set" is a Newton step.
    x0 : array, shape of the answer, optional
        Where to start, for a model with an intercept with it as one more entry or row, the last.  None is 0, and an
        intercept that fits the samples, for the objectives of xpsolve.
    check_every : int
        Iterations between two convergence checks, each one host read; "working_set" checks after every step.
    record : bool
        Whether to keep objective and certificate after every iteration, at the price of some products with A each.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`; a true answer stops.
    check_finite : bool
        Whether to check for NaN and infinities in x0, which costs one host read.

    Raises
    ------
    TypeError
        If f is no objective, the penalty is none, or the method cannot take them.
    ValueError
        If x0 has the wrong shape, or an option is unknown or out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    lasso, elastic_net, nnls : Special cases, with faster methods.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.
    L. Condat, J. Optim. Theory Appl. 158 (2013).
    J. D. Lee, Y. Sun & M. A. Saunders, SIAM J. Optim. 24 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, -2.0])
    >>> solution = xs.minimize(xs.LeastSquares(A, y), xs.penalties.NonNegative() + xs.penalties.L1(0.1))
    >>> solution.x.round(4), solution.converged
    (array([0.  , 0.34]), True)
    """
    check_objective(f)
    check_option(method, "method", METHODS)
    given: Any = penalty
    if given is not None and not isinstance(given, Penalty):
        message = (
            f"penalty: expected one of xpsolve.penalties, one of your own or None, got {type(penalty).__qualname__}. "
            f"{guide('penalty')}"
        )
        raise TypeError(message)
    tol = check_iteration(
        tol=tol, max_iter=max_iter, check_every=check_every, record=record, callback=callback, check_finite=check_finite
    )
    if x0 is not None:
        _, (x0,) = enter(x0=x0)
        if check_finite:
            check_values(namespace_of(x0), lambda: x0, x0=x0)
    if isinstance(f, LinearModel):
        f = f.centred()
        x0 = None if x0 is None else first_x(f, x0)
    f, penalty, x0, followed = _followed(f, penalty, x0)
    if isinstance(f, LinearModel):
        if method != "working_set" and not followed:
            f = row_model(f)
        if f.by_rows:
            penalty, x0 = map_arrays(f.small, (penalty, x0))
    options = {"tol": tol, "max_iter": max_iter, "check_every": check_every}
    problem = _enter(f, penalty, x0)
    chosen = _choose(problem, method)
    name, run, found = _solve(problem, chosen, options, record, callback)
    if run.reason == "not finite" and run.n_iter == 0 and problem.is_model:
        units = rescaled(f, columns=False)
        if units is not None:
            problem = _enter(f, penalty, x0, units)
            name, run, found = _solve(problem, chosen, options, record, callback)
    return _finish(problem, name, run, found, tol)


def _followed(f: Any, penalty: Penalty | None, x0: Array | None) -> tuple[Any, Penalty | None, Array | None, bool]:
    """The same, all of it followed by a derivative or a count where the penalty or x0 is; and whether they are."""
    outer = [a for a in arrays_in((penalty, x0)) if hasattr(namespace_of(a), "inside")]
    if not outer:
        return f, penalty, x0, False
    beside = {"y": f.y} if isinstance(f, LinearModel) else {}
    xp = common_namespace(**beside, **{f"penalty_{k}": a for k, a in enumerate(outer)})
    model = f if isinstance(f, LinearModel) else None
    model, penalty, x0 = map_arrays(lambda a: lift(xp, a), (model, penalty, x0))
    return f if model is None else model, penalty, x0, True


def _enter(f: Any, penalty: Penalty | None, x0: Array | None, units: Units | None = None) -> Composite:
    """The problem in units in which y is near 1, and A too where `units` are given."""
    start = begin(f, x0, units)
    units = start.units
    alone = start.x[:-1, ...] if isinstance(f, LinearModel) and f.intercept else start.x
    penalty = Separable() if penalty is None else penalty.meeting(alone)
    l2, _, coupled = parts_of(penalty)
    for L, _ in coupled:
        if L is not None and L.shape[1] != alone.shape[0]:
            message = f"penalty: expected an operator with {alone.shape[0]} columns, as x has entries, got {L!r}."
            raise ValueError(message)
    curved = isinstance(f, LinearModel) and (f.strongly_convex or (is_scalar(l2) and l2 > 0))
    if units is not None and not units.trivial:
        D, b = units.D, units.b
        steps = [] if D is None else [(D, 1.0)]
        steps += [] if b is None else [(b, b), (1.0, b)]  # R(bDx)/b², without a product that overflows
        scaled: Penalty | None = penalty
        for unit, size in steps:
            scaled = None if scaled is None else scaled.scaled(unit, size)
        if scaled is None:  # a penalty without `scaled`: the units stay as they are
            return Composite(begin(f, x0, Units(f)), penalty, curved)
        penalty = scaled
    return Composite(start, penalty, curved)


def _choose(problem: Composite, method: str) -> str:
    """The method asked for, where the parts of the problem allow it."""
    coupled = problem.parts.coupled
    if method in ("ista", "fista") and coupled:
        message = (
            f"method: expected 'primal_dual' or 'auto' for the penalty {problem.penalty!r}, which has no proximal map "
            f"in closed form, got {method!r}."
        )
        raise TypeError(message)
    if method == "working_set":
        why_not = no_working_set(problem)
        if why_not:
            message = f"method: 'working_set' cannot be used here: {why_not}. Use method='auto'."
            raise TypeError(message)
    if method == "auto":
        wide = isinstance(problem.f, Logistic) and problem.f.operator.shape[1] >= costs.WORKING_SET_FEATURES
        method = "primal_dual" if coupled else "working_set" if wide and not no_working_set(problem) else "fista"
    if method == "primal_dual" and not callable(getattr(problem.f, "lipschitz", None)):
        message = f"method: 'primal_dual' expects an objective with .lipschitz(), got {type(problem.f).__qualname__}."
        raise TypeError(message)
    return method


def _solve(
    problem: Composite, method: str, options: dict[str, Any], record: bool, callback: Any
) -> tuple[str, Run[Any], dict[str, Any]]:
    """Run the method; returns its name, its run, and what goes into `.stats`."""
    if method == "primal_dual":
        return method, *_primal_dual(problem, options, record, callback)
    if method == "working_set":
        return _working_set(problem, options, record, callback)
    return method, *_proximal(problem, method == "fista", options, record, callback)


def _working_set(
    problem: Composite, options: dict[str, Any], record: bool, callback: Any
) -> tuple[str, Run[Any], dict[str, Any]]:
    """Steps on a set, and where they make no more progress, or the set becomes too large, FISTA from their x."""
    method, tol, most = "working_set", options["tol"], options["max_iter"]
    seen = _seen(problem, lambda s: s.x, record, callback)
    run, stats = working_set(problem, tol=tol, max_iter=most, **seen)
    if run.reason != "stalled":
        return method, run, stats
    x, used = run.state.x, run.n_iter
    problem = replace(problem, start=replace(problem.start, x=x, g=problem.f.gradient(x)))
    later = callback and (lambda k, progress: k and callback(used + k, progress))  # the first was seen
    more, _ = _proximal(problem, True, {**options, "max_iter": most - used}, record, later)
    history = run.history
    if history is not None:
        xp, parts = problem.xp, more.history or {}
        history = {name: xp.concat([history[name], parts[name][1:, ...]]) for name in history}
    best = more if more.measure < run.measure else replace(run, reason=more.reason)
    best = replace(best, n_iter=used + more.n_iter, reads=run.reads + more.reads, history=history)
    return f"{method}->fista", best, stats


class _Columns:
    """A penalty of x for an iteration on the one column that has all its entries."""

    def __init__(self, penalty: Penalty, shape: tuple[int, ...]) -> None:
        self.penalty, self.shape = penalty, shape

    def x(self, X: Array) -> Array:
        """x of the column."""
        return namespace_of(X).reshape(X, self.shape)

    def steps(self, tau: Array) -> tuple[Array, ...]:
        """τ alone."""
        return (tau,)

    def advance(self, V: Array, steps: tuple[Array, ...]) -> Array:
        """prox_{τR}."""
        x = self.penalty.prox(self.x(V), namespace_of(V).reshape(steps[0], ()))
        return namespace_of(x).reshape(x, (-1, 1))


def _proximal(
    problem: Composite, momentum: bool, options: dict[str, Any], record: bool, callback: Any
) -> tuple[Run[Any], dict[str, Any]]:
    xp, start, g = problem.xp, problem.start, problem.parts.g
    if not callable(getattr(problem.f, "lipschitz", None)):
        return backtracking(problem, momentum, **options, **_seen(problem, lambda s: s.x, record, callback)), {}
    columns = _Columns(g, tuple(start.x.shape))

    def column(x: Array) -> Array:
        return xp.reshape(x, (-1, 1))

    def check(X: Array) -> tuple[Array, Array]:
        down, *shares = problem.look(columns.x(X))
        return column(down), xp.reshape(problem.joined(shares), (1,))

    tau, gradient = 1 / problem.lipschitz, problem.gradient
    x = g.prox(start.x - tau * (start.g + problem.l2 * start.x), tau)  # within the domain of R; a solution stays
    run = proximal_gradient(
        lambda Z: -column(gradient(columns.x(Z))),
        columns,
        column(x),
        tau=xp.reshape(tau, (1,)),
        check=check,
        gap=xp.reshape(problem.certificate(x), (1,)),
        momentum=momentum,
        improve=newton_jump(problem) if momentum else None,
        **options,
        **_seen(problem, lambda s: columns.x(s.X), record, callback),
    )
    last: Any = _State(columns.x(run.state.X), xp.reshape(run.state.gap, ()))
    return replace(run, state=last), {}


def _primal_dual(
    problem: Composite, options: dict[str, Any], record: bool, callback: Any
) -> tuple[Run[Any], dict[str, Any]]:
    start, xp = problem.start, problem.xp
    g = problem.parts.g
    tau = 1 / problem.lipschitz
    x = g.prox(start.x - tau * (start.g + problem.l2 * start.x), tau)
    norms = sum((term.norm for term in problem.coupled), problem.start.number(0.0))
    omega = problem.lipschitz / xp.where(norms > 0, norms, xp.ones_like(norms))
    run = primal_dual(
        problem.gradient,
        problem.lipschitz,
        g,
        problem.coupled,
        x,
        shares=lambda x, z: problem.look(x, z)[1:],
        joined=problem.joined,
        omega=omega,
        **options,
        **_seen(problem, lambda s: s.x, record, callback),
    )
    units = start.units  # Lᵀz is a gradient, and is scaled like one
    return run, {"dual": run.state.z if units is None else tuple(map(units.gradient_outside, run.state.z))}


def _seen(problem: Composite, x_of: Callable[[Any], Array], record: bool, callback: Any) -> dict[str, Any]:
    """`record` and `callback` of a loop, in the units of the caller."""
    start = problem.start

    def recorded(s: Any) -> dict[str, Array]:
        x, z = x_of(s), getattr(s, "z", ())
        return {"objective": start.value_outside(problem.value(x)), "certificate": problem.certificate(x, z)}

    def measure(s: Any) -> Array:
        return s.gap if hasattr(s, "gap") else s.measure

    x, intercept = (lambda s: start.shown(x_of(s))[0]), (lambda s: start.shown(x_of(s))[1])
    seen = seen_by(callback, x, measure, intercept)
    return {"record": recorded if record else None, "callback": seen}


def _finish(problem: Composite, method: str, run: Run[Any], stats: dict[str, Any], tol: float) -> Solution:
    """The answer in the units of the caller."""
    x, intercept = problem.start.shown(run.state.x)
    solution: Solution = finish(
        "minimize",
        x,
        method=method,
        certificate=Certificate(problem.certificate_name, run.state.measure, tol),
        reason=run.reason,
        measure=None if run.reason == "traced" else run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads, **stats},
        ended=Status.DIVERGED if run.reason == "not finite" and run.n_iter and not problem.is_model else None,
        advice=_ADVICE,
        operator=problem.start.f.operator if problem.is_model else None,
        intercept=intercept,
    )
    if problem.is_model:
        solution = problem.f.delivered(solution)
    return solution
