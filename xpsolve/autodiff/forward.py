"""Forward mode: dual numbers x + εẋ with ε² = 0, where x and ẋ are arrays (Griewank & Walther 2008, ch. 3).

A tangent may have a first axis for many seeds, so that a whole Jacobian is one sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, device_of, lift
from xpsolve.autodiff.arguments import (
    Function,
    check_function,
    floating_arrays,
    rebuilt,
    result_arrays,
    same_arrays,
    seeds_of,
    single,
    with_numbers,
)
from xpsolve.autodiff.levels import (
    Level,
    Tracked,
    checked_map,
    following,
    innermost_common,
)
from xpsolve.autodiff.rules import ELEMENTWISE
from xpsolve.autodiff.rules.table import Choice, Joint, Pole, aligned, fitted_dtype
from xpsolve.trace import arrays_in, lift_all, map_arrays


class Forward(Level):
    """A sweep of dual arrays; ``lead`` is the number of axes for seeds."""

    def __init__(self, inside: Namespace, lead: int = 0) -> None:
        super().__init__(inside)
        self.lead = lead

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation on values and tangents."""
        partials = ELEMENTWISE.get(name)
        if partials is None or kwargs:
            return self.general(name, function, args, kwargs)
        values: list[Any] = []
        tangents: list[Any] = []
        followed = False
        for x in args:
            if x.__class__ is Tracked and x._interpreter is self:
                values.append(x.__xpsolve_value__)
                t = x._mark
                tangents.append(t)
                if t is not None:
                    followed = True
            else:
                values.append(self.opened(x))
                tangents.append(None)
        out = function(*values)
        if isinstance(out, np.generic):
            out = np.asarray(out)
        if not followed:
            return Tracked(out, self)
        xp, ndim = self.inside, out.ndim
        total: Any = None
        for i, t in enumerate(tangents):
            if t is None:
                continue
            partial = partials[i]
            t = aligned(xp, t, values[i].ndim, ndim) if self.lead else t
            if partial.__class__ is int:
                t = t if partial == 1 else -t if partial else xp.zeros_like(t)
            elif partial.__class__ is Pole or partial.__class__ is Choice:
                t = partial.times(xp, t, out, *values)
            else:
                t = t * partial(xp, out, *values)  # type: ignore[operator]
            total = t if total is None else total + t
        return Tracked(out, self, self._complete(total, out))

    def _complete(self, t: Array, out: Array) -> Array:
        """A tangent with all of the shape and in the dtype of its array."""
        if t.dtype != out.dtype:
            t = fitted_dtype(self.inside, t, out.dtype)
        if t.ndim - self.lead != out.ndim or tuple(t.shape[self.lead :]) != tuple(out.shape):
            shape = (*t.shape[: self.lead], *out.shape)
            t = self.inside.broadcast_to(t, shape)
        return t

    def derive(
        self,
        name: str,
        rule: Any,
        out: Any,
        values: tuple[Any, ...],
        options: dict[str, Any],
        followed: list[tuple[int, Tracked]],
    ) -> Any:
        """Tangents of the results, by the maps of the arguments that have one."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # an infinite derivative is a valid result
            return self._derived(name, rule(self.inside, out, *values, **options), out, followed)

    def _derived(self, name: str, maps: Any, out: Any, followed: list[tuple[int, Tracked]]) -> Any:
        if isinstance(maps, Joint):
            return Tracked(out, self, self._complete(maps.push({i: x._mark for i, x in followed}), out))
        pushed = [t for t in (checked_map(maps, name, i).push(x._mark) for i, x in followed) if t is not None]
        if not pushed:
            return self.wrap_all(out)
        if hasattr(out, "dtype"):
            total = pushed[0]
            for t in pushed[1:]:
                total = total + t
            return Tracked(out, self, self._complete(total, out))
        results = []
        for j, x in enumerate(out):
            parts = [t[j] for t in pushed if t[j] is not None]
            if not parts or not self.follows(x.dtype):
                results.append(Tracked(x, self))
                continue
            total = parts[0]
            for t in parts[1:]:
                total = total + t
            results.append(Tracked(x, self, self._complete(total, x)))
        return rebuilt(out, results)

    def tangent(self, x: Any, lead: tuple[int, ...] = ()) -> Array:
        """The tangent of a result; zeros where it does not depend on the arguments."""
        if isinstance(x, Tracked) and x._interpreter is self:
            if x._mark is not None:
                return np.asarray(x._mark) if isinstance(x._mark, np.generic) else x._mark
            x = x.__xpsolve_value__
        return self.inside.zeros((*lead, *x.shape), dtype=x.dtype, device=device_of(x))


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of f and its derivative in one direction, f′(x)·ẋ, in one sweep.

    Parameters
    ----------
    f : callable
        Array-API code; it may take and return arrays in tuples, lists, dicts and dataclasses.
    primals : sequence
        The arguments of f.
    tangents : sequence
        A direction for each of them, with the same structure and shapes.

    Returns
    -------
    out : object
        f(*primals).
    tangent : object
        The directional derivative, of the structure of `out`; integers and booleans have zeros.

    Raises
    ------
    TypeError
        If an argument is not a floating array, or f returns none.
    ValueError
        If the shapes of tangents and arguments differ.
    NoRuleError
        If f calls a function that has no derivative rule.

    See Also
    --------
    vjp : The transpose.

    References
    ----------
    A. Griewank and A. Walther, Evaluating Derivatives (2008), ch. 3.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.jvp(lambda x: x * x, (np.asarray([1.0, 2.0]),), (np.asarray([1.0, 1.0]),))
    (array([1., 4.]), array([2., 4.]))
    """
    check_function(f)
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            message = f"{name}: expected a tuple with one entry for each argument of f, got {type(value).__qualname__}."
            raise TypeError(message)
    primals = with_numbers(primals, range(len(primals)))
    tangents = with_numbers(tangents, range(len(tangents)), primals)
    xs = floating_arrays(primals, "primals")
    ts = same_arrays(tangents, xs, "tangents", "primals")
    inside = innermost_common(
        **{f"primal {i}": x for i, x in enumerate(xs)}, **{f"tangent {i}": t for i, t in enumerate(ts)}
    )
    level = Forward(inside)
    duals = [Tracked(lift(inside, x), level, _cast(inside, t, x)) for x, t in zip(xs, ts, strict=True)]
    with following(level):
        out = f(*rebuilt(primals, duals))
    result_arrays(out)
    return level.unwrap_all(out), map_arrays(level.tangent, out)


def _cast(inside: Namespace, t: Array, x: Array) -> Array:
    t = lift(inside, t)
    return t if t.dtype == x.dtype else inside.astype(t, x.dtype)


def jacfwd(f: Function) -> Function:
    """The Jacobian of f in its first argument, column by column, in one sweep of dual arrays.

    Parameters
    ----------
    f : callable
        Array to array, of real numbers; further arguments are constants.

    Returns
    -------
    callable
        Takes the arguments of f, returns the Jacobian: the shape of the result, then that of the argument.

    See Also
    --------
    jacrev : Row by row: cheaper where f returns fewer numbers than it takes.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.jacfwd(lambda x: x[:1] * x)(np.asarray([1.0, 2.0]))
    array([[2., 0.],
           [2., 1.]])
    """

    check_function(f)

    def jacobian(x: Array, *args: Any, **kwargs: Any) -> Any:
        (x,) = with_numbers([x], (0,), [list(args), kwargs])
        floating_arrays(single(x, "argument 0"), "argument 0", real=True)
        others = {f"array {i}": a for i, a in enumerate(arrays_in([list(args), kwargs]))}
        inside = innermost_common(**{"argument 0": x}, **others)
        level = Forward(inside, lead=1)
        x = lift(inside, x)
        seeds = seeds_of(inside, x)
        rest, named = lift_all(level, list(args)), lift_all(level, kwargs)
        with following(level):
            out = f(Tracked(x, level, seeds), *rest, **named)
        result_arrays(out)

        def matrix(y: Array) -> Array:
            t = level.tangent(y, (seeds.shape[0],))
            return inside.reshape(inside.moveaxis(t, 0, -1), (*y.shape, *x.shape))

        return map_arrays(matrix, out)

    return jacobian
