"""Reverse mode: gradients, pullbacks, Jacobians from a tape (Griewank & Walther 2008, ch. 3; Peyré 2020, §14.3.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, common_namespace, device_of, is_array, is_complex, lift, namespace_of
from xpsolve.autodiff.arguments import (
    Function,
    check_argnums,
    check_function,
    floating_arrays,
    indices,
    rebuilt,
    result_arrays,
    same_arrays,
    seeds_of,
    single,
    with_numbers,
)
from xpsolve.autodiff.levels import following, innermost_common
from xpsolve.autodiff.tape import Node, Reverse, sweep
from xpsolve.trace import arrays_in, lift_all, map_arrays


class _Record:
    """A function run under a tape: its arguments' nodes, its result, and its pullback."""

    def __init__(self, f: Function, args: Sequence[Any], kwargs: dict[str, Any], argnums: tuple[int, ...]) -> None:
        args = with_numbers(args, argnums, kwargs)
        trees = [args[i] for i in argnums]
        found = [floating_arrays(tree, f"argument {i}") for i, tree in zip(argnums, trees, strict=True)]
        xs = [x for part in found for x in part]
        constants = [a for i, a in enumerate(args) if i not in argnums]
        others = arrays_in([constants, kwargs]) if constants or kwargs else []
        named = {f"argument {i}": x for i, x in enumerate(xs)} | {f"array {i}": x for i, x in enumerate(others)}
        self.inside = innermost_common(**named)
        level = Reverse(self.inside)
        variables = [level.variable(lift(self.inside, x)) for x in xs]
        self.trees = trees
        self.leaves = [v._mark for v in variables]
        self.like = [v.__xpsolve_value__ for v in variables]
        rest = iter(variables)
        lifted = [
            rebuilt(a, [next(rest) for _ in arrays_in(a)]) if i in argnums else lift_all(level, a)
            for i, a in enumerate(args)
        ]
        del variables, rest
        with following(level):
            out = f(*lifted, **(lift_all(level, kwargs) if kwargs else {}))
        results = result_arrays(out)
        self.nodes = [x._mark if level.owns(x) else None for x in results]
        self.out = level.unwrap_all(out)

    def back(self, gradients: Sequence[Array], *, once: bool) -> list[Any]:
        """Gradients of all arguments, of their structure; ``once`` frees the tape during the sweep."""
        starts = [(n, g) for n, g in zip(self.nodes, gradients, strict=True) if n is not None]
        lead = gradients[0].ndim - arrays_in(self.out)[0].ndim
        first = tuple(gradients[0].shape[:lead])
        xp = namespace_of(self.like[0])
        if any(namespace_of(g) is not xp for g in gradients):
            xp = common_namespace(value=self.like[0], **{f"gradient {i}": g for i, g in enumerate(gradients)})
        if once:
            self.nodes = []
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # an infinite derivative is a valid result
            found = sweep(xp, starts, masked=lead > 0)

        def gradient(node: Node, x: Array) -> Array:
            g = found.get(node.order)
            if g is None:
                return xp.zeros((*first, *x.shape), dtype=x.dtype, device=device_of(x))
            return g if is_array(g) else xp.asarray(g)

        rest = iter([gradient(n, x) for n, x in zip(self.leaves, self.like, strict=True)])
        return [map_arrays(lambda x: next(rest), tree) for tree in self.trees]


def taped(f: Function, args: tuple[Any, ...]) -> tuple[Any, Callable[[Sequence[Array]], list[Any]]]:
    """f(*args), and its pullback to its first two arguments, which can be used once: it consumes the tape."""
    record = _Record(f, args, {}, (0, 1))
    return record.out, lambda gradients: record.back(gradients, once=True)


def vjp(f: Function, *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of f and the transpose of its derivative, ȳ ↦ f′(x)ᵀȳ, which costs a few times f.

    Parameters
    ----------
    f : callable
        Array-API code; it may take and return arrays in tuples, lists, dicts and dataclasses.
    *primals : object
        The arguments of f.

    Returns
    -------
    out : object
        f(*primals).
    pullback : callable
        Takes a gradient of the structure of `out`, returns a tuple of gradients, one for each argument.  It may be
        called many times, and keeps the tape as long as it exists.

    Raises
    ------
    TypeError
        If an argument is not a floating array, or f returns none.
    NoRuleError
        If f calls a function that has no derivative rule.

    See Also
    --------
    jvp : The transpose.

    References
    ----------
    A. Griewank and A. Walther, Evaluating Derivatives (2008), ch. 3.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> out, pullback = autodiff.vjp(lambda x: x * x, np.asarray([1.0, 2.0]))
    >>> pullback(np.asarray([1.0, 1.0]))
    (array([2., 4.]),)
    """
    check_function(f)
    if not primals:
        message = "primals: expected at least one argument of f after f."
        raise TypeError(message)
    record = _Record(f, primals, {}, tuple(range(len(primals))))
    shapes = arrays_in(record.out)

    def pullback(gradient: Any) -> tuple[Any, ...]:
        (gradient,) = with_numbers([gradient], (0,), shapes)
        gs = same_arrays(gradient, shapes, "gradient", "the result of f")
        return tuple(record.back(gs, once=False))

    return record.out, pullback


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that returns f(…) and its gradient, from one forward and one reverse sweep.

    Parameters
    ----------
    f : callable
        Array-API code that returns a real 0-d array.
    argnums : int or sequence of int
        Which arguments to differentiate by; each may be an array, real or complex, a structure of arrays, or a float.

    Returns
    -------
    callable
        Takes the arguments of f; returns the value, and the gradient with the structure of the argument, or a tuple of
        them if `argnums` is a sequence.

    Raises
    ------
    TypeError, ValueError
        When called: as `grad`.

    See Also
    --------
    grad : Only the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> value, gradient = autodiff.value_and_grad(lambda x: x @ x)(np.asarray([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    check_function(f)
    chosen, single_one = check_argnums(argnums), not isinstance(argnums, list | tuple)

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        record = _Record(f, args, kwargs, indices(chosen, len(args)))
        value = _scalar(record.out)
        gradients = record.back([record.inside.ones_like(value)], once=True)
        return value, gradients[0] if single_one else tuple(gradients)

    return both


def _scalar(out: Any) -> Array:
    """The result of f, which must be one real number."""
    out = single(out, "the result of f")
    if out.ndim:
        message = (
            f"f: expected a function that returns a 0-d array, got shape {tuple(out.shape)}. "
            f"Sum it up, or use vjp for one direction, jacrev or jacfwd for the Jacobian."
        )
        raise ValueError(message)
    _check_real(out)
    return out


def _check_real(out: Array) -> None:
    if is_complex(out):
        message = (
            f"f: expected a function that returns real numbers, got {out.dtype}. Take its real and imaginary parts, or "
            f"its absolute value, or use jvp and vjp, which take complex directions."
        )
        raise TypeError(message)


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The gradient of f, as a function of the same arguments.

    Its operations are at most about five times those of f, whatever the number of variables (Baur & Strassen 1983).

    Parameters
    ----------
    f : callable
        Array-API code that returns a real 0-d array.
    argnums : int or sequence of int
        Which arguments to differentiate by; each may be an array, real or complex, a structure of arrays, or a float.

    Returns
    -------
    callable
        Takes the arguments of f; returns the gradient with the structure of the argument, or a tuple of them if
        `argnums` is a sequence.

    Raises
    ------
    TypeError
        If f cannot be called or `argnums` is no integer; when called: if an argument to differentiate by is not a
        floating array or a float, or f returns no array or a complex one.
    ValueError
        If `argnums` repeats a position; when called: if f returns more than one number, or `argnums` names no argument.
    NoRuleError
        When called: if f calls a function that has no derivative rule.

    See Also
    --------
    value_and_grad, jacrev, jacfwd, hvp : Other derivatives.

    Notes
    -----
    By a complex z = x + iy the gradient is ∂f/∂x − i ∂f/∂y, as in JAX: df = Re Σ g dz.  Its conjugate is the direction
    of steepest ascent.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.grad(lambda x: x @ x)(np.asarray([1.0, 2.0]))
    array([2., 4.])
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def jacrev(f: Function) -> Function:
    """The Jacobian of f in its first argument, row by row, in one reverse sweep with a seed for each entry of f.

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
    jacfwd : Column by column: cheaper where f takes fewer numbers than it returns.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.jacrev(lambda x: x[:1] * x)(np.asarray([1.0, 2.0]))
    array([[2., 0.],
           [2., 1.]])
    """

    check_function(f)

    def jacobian(x: Array, *args: Any, **kwargs: Any) -> Any:
        (x,) = with_numbers([x], (0,), [list(args), kwargs])
        record = _Record(f, (single(x, "argument 0"), *args), kwargs, (0,))
        out = single(record.out, "the result of f")
        _check_real(out)
        seeds = seeds_of(record.inside, out)
        (rows,) = record.back([seeds], once=True)
        return record.inside.reshape(rows, (*out.shape, *x.shape))

    return jacobian
