"""Implicit differentiation: derivatives of the solution of an equation, without those of the iterations.

    F(x*, θ) = 0    ⇒    ẋ = −(∂_x F)⁻¹ ∂_θ F θ̇,    θ̄ = −(∂_θ F)ᵀ w  with  (∂_x F)ᵀ w = x̄

The system is solved by conjugate gradients on products alone: as it is where ∂_x F is symmetric, as for F = ∇E, and on
the normal equations for F = x − h(x, θ), which also works where h does not contract.  The solution w is differentiated
in the same way, so that higher-order derivatives work.  A minimum has ∇ min_x E(x, θ) = ∂_θ E(x*, θ) (Danskin 1967).

Source: A. Griewank and A. Walther, Evaluating Derivatives (2008), ch. 15; M. Blondel et al., NeurIPS (2022).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from xpsolve.arrays import (
    Array,
    Namespace,
    check_callable,
    check_count,
    check_positive,
    common_namespace,
    is_array,
    is_complex,
    lift,
    namespace_of,
)
from xpsolve.autodiff.arguments import Function, rebuilt, without_scalars
from xpsolve.autodiff.forward import jvp
from xpsolve.autodiff.levels import Level, inside_of
from xpsolve.autodiff.linear_system import conjugate_gradient
from xpsolve.autodiff.reverse import grad, vjp
from xpsolve.autodiff.rules.table import Joint, NoRuleError
from xpsolve.trace import arrays_in, is_plain, map_arrays

_UNROLLED: ContextVar[frozenset[object]] = ContextVar("unrolled", default=frozenset())  # the open contexts

Inverse = Callable[..., Array]
"""(v, x, *args) to (∂_x F)⁻¹v; with ``transposed=True`` to that of the transpose."""


@contextmanager
def unrolled() -> Iterator[None]:
    """While it is open, derivatives go through the iterations of a solver instead of its equation.

    Yields
    ------
    None
        The function to be differentiated must be called, or run under `grad`, inside.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> from xpsolve import autodiff
    >>> f = autodiff.grad(lambda lam: xs.ridge(np.eye(2), np.ones(2), lam).x @ np.ones(2))
    >>> with autodiff.unrolled():
    ...     steps = f(np.asarray(1.0))
    >>> bool(abs(steps - f(np.asarray(1.0))) < 1e-15)
    True
    """
    key = object()  # contexts may be left in any order: each removes only itself
    _UNROLLED.set(_UNROLLED.get() | {key})
    try:
        yield
    finally:
        _UNROLLED.set(_UNROLLED.get() - {key})


def implicitly(
    solve: Callable[..., tuple[Array, Any]],
    condition: Function,
    args: tuple[Any, ...],
    *,
    inverse: Inverse | None = None,
) -> tuple[Array, Any]:
    """(x, rest) = solve(*args), where the derivative of x is that of condition(x, *args) = 0; rest is constant.

    ``inverse`` solves the linear system; None is conjugate gradients, for a symmetric and positive ∂_x condition.
    Solvers in the layers above call this: x may be anything between their public function and their answer.
    """
    level = _outermost(args)
    if level is None:
        return solve(*args)
    inside = map_arrays(level.opened, args)
    with inside_of(level):
        x, rest = implicitly(solve, condition, inside, inverse=inverse)
    found = inverse or functools.partial(symmetric_inverse, condition)
    joint = functools.partial(_condition_joint, condition, found, inside)
    return _attached(level, args, x, joint), level.wrap_all(rest)


def enveloped(solve: Function, energy: Function, args: tuple[Any, ...]) -> Array:
    """energy(x, *args) at its extremum x = solve(*args) in x, where its derivative is that in the args alone."""
    level = _outermost(args)
    if level is None:
        value: Array = energy(solve(*args), *args)
        return value
    inside = map_arrays(level.opened, args)
    with inside_of(level):
        x = solve(*inside)
        value = without_scalars(energy(x, *inside))

    def joint(out: Array, positions: tuple[int, ...]) -> Joint:
        f, values = _as_function(energy, (x, *inside), [i + 1 for i in positions])
        return _joint(out, positions, lambda ts: jvp(f, values, ts)[1], vjp(f, *values)[1], values)

    return _attached(level, args, value, joint)


def without_levels(args: Any) -> Any:
    """The same without the levels that are differentiated implicitly."""
    level = _outermost(args)
    while level is not None:
        args = map_arrays(level.opened, args)
        level = _outermost(args)
    return args


def followed(args: Any) -> bool:
    """Whether there are such levels."""
    return _outermost(args) is not None


def _outermost(args: Any) -> Level | None:
    """The level of the outermost arrays, where it is to be differentiated implicitly."""
    if is_plain(args) or _UNROLLED.get():
        return None
    found = arrays_in(args)
    if not found:
        return None
    xp = common_namespace(**{f"array {i}": x for i, x in enumerate(found)})
    level = getattr(xp, "_interpreter", None)
    return level if isinstance(level, Level) else None


def _attached(level: Level, args: Any, x: Array, joint: Callable[[Array, tuple[int, ...]], Joint]) -> Any:
    """x one level further out, with a derivative in those of the arguments that are followed."""
    followed = [(i, a) for i, a in enumerate(arrays_in(args)) if level._is_followed(a)]
    x = without_scalars(x)
    if not followed:
        return level.wrap(x)
    if any(is_complex(v) for v in (x, *(a for _, a in followed))):
        message = "implicit differentiation: not available for complex numbers; use real and imaginary parts."
        raise NoRuleError(message)
    positions = tuple(i for i, _ in followed)

    def rule(xp: Namespace, out: Array) -> Joint:
        with inside_of(level):
            return _enclosed(level, joint(out, positions))

    return level.derive("implicit", rule, x, (), {}, followed)


def _enclosed(level: Level, joint: Joint) -> Joint:
    """The same, run on the level inside: forward mode calls it while this one is being followed."""

    def push(tangents: dict[int, Array]) -> Array:
        with inside_of(level):
            return joint.push(tangents)

    def pull(i: int, g: Array) -> Array:
        with inside_of(level):
            return joint.pull(i, g)

    return Joint(push, pull)


def _as_function(f: Function, args: Any, positions: Sequence[int]) -> tuple[Function, list[Array]]:
    """f(args) as a function of the arrays at these positions, and those arrays."""
    leaves = arrays_in(args)

    def chosen(*new: Array) -> Any:
        xp = namespace_of(new[0])
        whole = [lift(xp, x) for x in leaves]
        for i, x in zip(positions, new, strict=True):
            whole[i] = x
        return f(*rebuilt(args, whole))

    return chosen, [leaves[i] for i in positions]


def _condition_joint(
    condition: Function, inverse: Inverse, args: tuple[Any, ...], x: Array, positions: tuple[int, ...]
) -> Joint:
    f, values = _as_function(condition, (x, *args), [i + 1 for i in positions])

    def push(tangents: Any) -> Array:
        _, b = jvp(f, values, tangents)
        return -inverse(b, x, *args, transposed=False)

    def pull(g: Array) -> tuple[Array, ...]:
        w = inverse(g, x, *args, transposed=True)
        return tuple(-part for part in vjp(f, *values)[1](w))

    return _joint(x, positions, push, pull, values)


def _joint(x: Array, positions: tuple[int, ...], push: Function, pull: Function, values: list[Array]) -> Joint:
    """A rule for all arguments from one for single seeds, with one pullback for all of them."""
    last: list[Any] = [None, None]

    def push_all(tangents: dict[int, Array]) -> Array:
        (found,) = _each_seed(lambda *ts: (push(ts),), [tangents[i] for i in positions], values)
        return found

    def pull_one(i: int, g: Array) -> Array:
        if last[0] is not g:
            last[:] = [g, _each_seed(pull, [g], [x])]
        return last[1][positions.index(i)]

    return Joint(push_all, pull_one)


def _each_seed(f: Function, ts: list[Array], like: list[Array]) -> tuple[Array, ...]:
    """f of tangents or gradients for every seed on their leading axes, stacked."""
    lead = tuple(ts[0].shape[: ts[0].ndim - like[0].ndim])
    if not lead:
        return tuple(f(*ts))
    xp = namespace_of(ts[0])
    flat = [xp.reshape(t, (-1, *x.shape)) for t, x in zip(ts, like, strict=True)]
    each = [f(*(t[k, ...] for t in flat)) for k in range(flat[0].shape[0])]
    return tuple(xp.reshape(xp.stack(list(part)), (*lead, *part[0].shape)) for part in zip(*each, strict=True))


# --- the linear system -----------------------------------------------------------------------------


def symmetric_inverse(
    condition: Function, v: Array, x: Array, *args: Any, transposed: bool = False, **options: Any
) -> Array:
    """(∂_x condition)⁻¹v where it is symmetric and positive, by conjugate gradients."""

    def product(w: Array, x: Array, *args: Any) -> Array:
        return _linear(condition, x, args)[1](w)

    def solve(v: Array, x: Array, *args: Any) -> tuple[Array, None]:
        _, H = _linear(condition, x, args)  # one tape for all products
        return conjugate_gradient(H, v, **options), None

    def again(u: Array, w: Array, v: Array, x: Array, *args: Any, transposed: bool) -> Array:
        return symmetric_inverse(condition, u, x, *args, **options)

    found, _ = implicitly(solve, lambda w, v, x, *args: product(w, x, *args) - v, (v, x, *args), inverse=again)
    return found


def normal_inverse(condition: Function, v: Array, x: Array, *args: Any, transposed: bool, **options: Any) -> Array:
    """M⁻¹v or M⁻ᵀv for any regular M = ∂_x condition: M⁻ᵀv = M(MᵀM)⁻¹v, M⁻¹v = Mᵀ(MMᵀ)⁻¹v."""

    def product(w: Array, x: Array, *args: Any) -> Array:
        return _linear(condition, x, args)[transposed](w)

    def solve(v: Array, x: Array, *args: Any) -> tuple[Array, None]:
        M, Mt = _linear(condition, x, args)
        first, then = (M, Mt) if transposed else (Mt, M)
        return first(conjugate_gradient(lambda u: then(first(u)), v, **options)), None

    def again(u: Array, w: Array, v: Array, x: Array, *args: Any, transposed: bool) -> Array:
        return normal_inverse(condition, u, x, *args, transposed=transposed != outer, **options)

    outer = transposed
    found, _ = implicitly(solve, lambda w, v, x, *args: product(w, x, *args) - v, (v, x, *args), inverse=again)
    return found


def _linear(condition: Function, x: Array, args: tuple[Any, ...]) -> tuple[Function, Function]:
    """u ↦ Mu and w ↦ Mᵀw for M = ∂_x condition(x, *args)."""
    f, values = _as_function(condition, (x, *args), [0])
    _, pullback = vjp(f, *values)
    return lambda u: jvp(f, values, [u])[1], lambda w: pullback(w)[0]


# --- for functions of the user ---------------------------------------------------------------------


class ImplicitSolver:
    """The result of `implicit_gradient`: its value, with the derivative of the equation that it solves.

    Parameters
    ----------
    solve : callable
        θ, … to x*.
    condition : callable
        F(x, θ, …).
    inverse : callable
        Solves systems with ∂_x F.
    energy : callable, optional
        E(x, θ, …), of which x* is the minimiser.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> mean = autodiff.implicit_gradient(np.mean, energy=lambda x, y: ((x - y) @ (x - y)))
    >>> autodiff.grad(mean.minimum)(np.asarray([1.0, 3.0]))
    array([-2.,  2.])
    """

    def __init__(self, solve: Function, condition: Function, inverse: Inverse, energy: Function | None) -> None:
        functools.update_wrapper(self, solve)
        self._solve, self._condition, self._inverse, self._energy = solve, condition, inverse, energy

    def __call__(self, *args: Any) -> Array:
        """x*(θ, …)."""
        args = without_scalars(args)
        inverse = functools.partial(self._inverse, self._condition)
        x, _ = implicitly(lambda *args: (_one(self._solve(*args)), None), self._condition, args, inverse=inverse)
        return x

    def minimum(self, *args: Any) -> Array:
        """E(x*, θ, …), whose derivative is that of E in θ alone: no system is solved (Danskin 1967)."""
        if self._energy is None:
            message = "energy: minimum requires energy=, got None. Give implicit_gradient(energy=…)."
            raise TypeError(message)
        return enveloped(self, self._energy, without_scalars(args))


def _one(x: Any) -> Array:
    x = without_scalars(x)
    if not is_array(x):
        message = f"solve: expected a function that returns one array, got {type(x).__qualname__}."
        raise TypeError(message)
    return x


def implicit_gradient(
    solve: Function | None = None,
    *,
    fixed_point: Function | None = None,
    stationary: Function | None = None,
    energy: Function | None = None,
    tol: float | None = None,
    max_iter: int | None = None,
) -> Any:
    """Give a solver θ ↦ x* the derivative of the equation that x* solves; usable as a decorator.

    Parameters
    ----------
    solve : callable, optional
        θ, … to x*, one array, in any way, as long as it uses its arguments: array-API code, and its iterations are
        not followed.  None returns a decorator.
    fixed_point : callable
        h(x, θ, …), where x* = h(x*, θ, …).  Systems (I − ∂_x h)ᵀ w = v are solved by conjugate gradients on the normal
        equations, so that h need not contract.
    stationary : callable
        F(x, θ, …) = ∇_x E, where F(x*, θ, …) = 0 and ∂_x F is symmetric and positive.  Systems are solved by conjugate
        gradients.
    energy : callable
        E(x, θ, …), of which x* is the minimiser, in place of its gradient.  The result then has ``.minimum(θ, …)``, the
        least energy, whose gradient is ∂_θ E at x* and needs no system.
    tol : float, optional
        Relative residual of the system.  None is 10·eps of the dtype.  A residual that only consists of the rounding
        errors of the products also ends the iteration.
    max_iter : int, optional
        Most conjugate gradient steps.  None is 10 times the size of x, and 100.

    Returns
    -------
    ImplicitSolver or callable
        A function of the same arguments.  Its derivatives of any order, forward and in reverse, are implicit; inside
        ``with autodiff.unrolled()`` they go through `solve`.

    Raises
    ------
    TypeError
        If not exactly one of the three equations is given; when called, if `solve` returns no single array.

    Warns
    -----
    ConvergenceWarning
        When a derivative is taken, if conjugate gradients stop at `max_iter`.

    See Also
    --------
    unrolled : The derivative of the iterations.

    Notes
    -----
    The error of the derivative is about that of x*, times the derivative of the equation: solve accurately.

    References
    ----------
    A. Griewank and A. Walther, Evaluating Derivatives (2008), ch. 15; J. M. Danskin, The theory of max-min (1967).

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> @autodiff.implicit_gradient(fixed_point=lambda x, a: (x + a / x) / 2)
    ... def root(a):
    ...     x = a
    ...     for _ in range(20):
    ...         x = (x + a / x) / 2
    ...     return x
    >>> round(float(autodiff.grad(root)(np.asarray(4.0))), 12)
    0.25
    """
    given = [f for f in (fixed_point, stationary, energy) if f is not None]
    if len(given) != 1:
        message = f"energy: expected one of fixed_point, stationary and energy, got {len(given)} of them."
        raise TypeError(message)
    names = ("solve", "fixed_point", "stationary", "energy")
    for name, f in zip(names, (solve, fixed_point, stationary, energy), strict=True):
        check_callable(f, name)
    if tol is not None:
        check_positive(tol, "tol")
    if max_iter is not None:
        check_count(max_iter, "max_iter", 1)
    if solve is None:
        return functools.partial(
            implicit_gradient, fixed_point=fixed_point, stationary=stationary, energy=energy, tol=tol, max_iter=max_iter
        )
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter}
    inverse = functools.partial(normal_inverse if fixed_point is not None else symmetric_inverse, **options)
    if fixed_point is not None:
        return ImplicitSolver(solve, lambda x, *args: x - fixed_point(x, *args), inverse, None)
    condition = stationary if energy is None else grad(energy)
    return ImplicitSolver(solve, condition, inverse, energy)  # type: ignore[arg-type]
