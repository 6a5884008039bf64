"""Reverse mode: a tape of what was called, read backwards (Griewank & Walther 2008, ch. 3; Peyré 2020, §16).

Every array that depends on an argument has a node: what made it, and from which nodes.  The nodes form a graph without
cycles whose order is that of the calls.  The sweep takes the latest node first; by then the gradients of all that was
made from it have been added up.  A node that nothing refers to is gone, so that memory falls while the sweep passes,
and what does not lead to the result is not kept at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, common_namespace, device_of, is_array, lift
from xpsolve.autodiff.arguments import (
    Function,
    floating_arrays,
    indices,
    rebuilt,
    result_arrays,
    same_arrays,
    seeds_of,
    single,
    without_scalars,
)
from xpsolve.autodiff.levels import (
    Level,
    Tracked,
    checked_map,
    fitted_dtype,
    following,
    innermost_common,
)
from xpsolve.autodiff.rules import BY_SHAPE, ELEMENTWISE
from xpsolve.autodiff.rules.table import Joint, unbroadcast
from xpsolve.trace import arrays_in, lift_all, map_arrays

_clock = itertools.count()


class Node:
    """One result on the tape.

    ``rule`` says how to go back: a tuple of partial derivatives, a rule of the table with its name, the number of this
    result among several of one call, or None for an argument.  ``saved`` is what it needs.
    """

    __slots__ = ("dtype", "order", "parents", "rule", "saved", "shape")

    def __init__(self, out: Any, parents: Any, rule: Any, saved: Any) -> None:
        self.order = -next(_clock)
        self.shape = out.shape
        self.dtype = out.dtype
        self.parents = parents
        self.rule = rule
        self.saved = saved


class _Several:
    """The common node of a call with several results."""

    __slots__ = ("order", "parents", "rule", "saved", "shape")

    def __init__(self, count: int, parents: Any, rule: Any, saved: Any) -> None:
        self.order = -next(_clock)
        self.shape = count
        self.parents = parents
        self.rule = rule
        self.saved = saved


class _Like:
    """What is left of an array for a rule that asks for shapes only."""

    __slots__ = ("device", "dtype", "ndim", "shape")

    def __init__(self, x: Array) -> None:
        self.shape, self.ndim, self.dtype, self.device = tuple(x.shape), x.ndim, x.dtype, device_of(x)


def _light(x: Any) -> Any:
    if isinstance(x, tuple | list):
        return tuple([_light(item) for item in x])
    return _Like(x) if hasattr(x, "dtype") and not isinstance(x, type) and hasattr(x, "ndim") else x


class Reverse(Level):
    """A tape being written."""

    def variable(self, value: Array) -> Tracked:
        """An argument to differentiate by."""
        return Tracked(value, self, Node(value, (), None, None))

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation and note how to go back."""
        partials = ELEMENTWISE.get(name)
        if partials is None or kwargs:
            return self.general(name, function, args, kwargs)
        values: list[Any] = []
        parents: list[Any] = []
        followed = False
        for x in args:
            if x.__class__ is Tracked and x._interpreter is self:
                values.append(x.__xpsolve_value__)
                node = x._mark
                parents.append(node)
                if node is not None:
                    followed = True
            else:
                values.append(x if x.__class__ is float or not self.nested else self.opened(x))
                parents.append(None)
        out = function(*values)
        if isinstance(out, np.generic):
            out = np.asarray(out)
        if not followed:
            return Tracked(out, self)
        saved = None if name in _SIGNS else (out, values)
        return Tracked(out, self, Node(out, parents, partials, saved))

    def derive(
        self,
        name: str,
        rule: Any,
        out: Any,
        values: tuple[Any, ...],
        options: dict[str, Any],
        followed: list[tuple[int, Tracked]],
    ) -> Any:
        """Nodes for the results; the rule is asked on the way back."""
        parents = [(i, x._mark) for i, x in followed]
        kept, kept_out = values, out
        if name in BY_SHAPE:
            kept, kept_out = _light(values), _light(out)
        saved = (name, kept_out, kept, options)
        if hasattr(out, "dtype"):
            return Tracked(out, self, Node(out, parents, rule, saved))
        joint = _Several(len(out), parents, rule, saved)
        results = [
            Tracked(x, self, Node(x, joint, j, None) if self.follows(x.dtype) else None) for j, x in enumerate(out)
        ]
        return rebuilt(out, results)


_SIGNS = frozenset(name for name, ds in ELEMENTWISE.items() if all(d.__class__ is int for d in ds))
"""Linear with coefficients ±1: nothing to keep."""


def sweep(xp: Namespace, starts: list[tuple[Node, Array]]) -> dict[int, Array]:
    """Gradients of the arguments by their order, from gradients of results.  Empties `starts`."""
    pending: dict[int, list[Any]] = {}
    heap: list[int] = []
    found: dict[int, Array] = {}

    def add(node: Any, g: Array) -> None:
        entry = pending.get(node.order)
        if entry is None:
            pending[node.order] = [node, g]
            heappush(heap, node.order)
        else:
            entry[1] = entry[1] + g

    while starts:
        add(*starts.pop())
    while heap:
        node, g = pending.pop(heappop(heap))
        rule = node.rule
        if rule.__class__ is tuple:
            partials, saved = rule, node.saved
            for i, parent in enumerate(node.parents):
                if parent is not None:
                    d = partials[i]
                    if d.__class__ is int:
                        c = g if d == 1 else -g if d else xp.zeros_like(g)
                    else:
                        c = g * d(xp, saved[0], *saved[1])
                    if c.shape != parent.shape or c.dtype != parent.dtype:
                        c = _fitted(xp, c, parent, len(g.shape) - len(node.shape))
                    order = parent.order
                    entry = pending.get(order)
                    if entry is None:
                        pending[order] = [parent, c]
                        heappush(heap, order)
                    else:
                        entry[1] = entry[1] + c
        elif rule is None:
            found[node.order] = g
        elif rule.__class__ is int:
            joint = node.parents
            if joint.order not in pending:
                pending[joint.order] = [joint, [None] * joint.shape]
                heappush(heap, joint.order)
            pending[joint.order][1][rule] = g
        else:
            name, out, values, options = node.saved
            maps = rule(xp, out, *values, **options)
            for i, parent in node.parents:
                c = maps.pull(i, g) if isinstance(maps, Joint) else checked_map(maps, name, i).pull(g)
                if c is not None:
                    add(parent, c if c.dtype == parent.dtype else fitted_dtype(xp, c, parent.dtype))
            del maps, out, values
        del node
    return found


def _fitted(xp: Namespace, c: Array, parent: Node, lead: int) -> Array:
    """A contribution in the shape and dtype of what it goes to."""
    return fitted_dtype(xp, unbroadcast(xp, c, tuple(parent.shape), lead), parent.dtype)


class _Record:
    """A function run under a tape: its arguments' nodes, its result, and the way back."""

    def __init__(
        self, owner: str, f: Function, args: Sequence[Any], kwargs: dict[str, Any], argnums: tuple[int, ...]
    ) -> None:
        args = without_scalars(list(args))
        trees = [args[i] for i in argnums]
        found = [floating_arrays(tree, owner, f"argument {i}") for i, tree in zip(argnums, trees, strict=True)]
        xs = [x for part in found for x in part]
        others = arrays_in([[a for i, a in enumerate(args) if i not in argnums], kwargs])
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
            out = f(*lifted, **lift_all(level, kwargs))
        results = result_arrays(out, owner)
        self.nodes = [x._mark if level.owns(x) else None for x in results]
        self.out = level.unwrap_all(out)

    def back(self, gradients: Sequence[Array], *, once: bool) -> list[Any]:
        """Gradients of all arguments, of their structure; ``once`` lets the tape go as the sweep passes."""
        starts = [(n, g) for n, g in zip(self.nodes, gradients, strict=True) if n is not None]
        lead = gradients[0].ndim - arrays_in(self.out)[0].ndim
        first = tuple(gradients[0].shape[:lead])
        xp = common_namespace(value=self.like[0], **{f"gradient {i}": g for i, g in enumerate(gradients)})
        if once:
            self.nodes = []
        found = sweep(xp, starts)

        def gradient(node: Node, x: Array) -> Array:
            g = found.get(node.order)
            if g is None:
                return xp.zeros((*first, *x.shape), dtype=x.dtype, device=device_of(x))
            return g if is_array(g) else xp.asarray(g)

        rest = iter([gradient(n, x) for n, x in zip(self.leaves, self.like, strict=True)])
        return [map_arrays(lambda x: next(rest), tree) for tree in self.trees]


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
        called many times, and keeps the tape as long as it lives.

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
    if not primals:
        message = "vjp: expected at least one argument of f after f."
        raise TypeError(message)
    record = _Record("vjp", f, primals, {}, tuple(range(len(primals))))
    shapes = arrays_in(record.out)

    def pullback(gradient: Any) -> tuple[Any, ...]:
        gs = same_arrays(without_scalars(gradient), shapes, "pullback", "gradient", "the result of f")
        return tuple(record.back(gs, once=False))

    return record.out, pullback


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that returns f(…) and its gradient, from one sweep forth and one back.

    Parameters
    ----------
    f : callable
        Array-API code that returns a 0-d array.
    argnums : int or sequence of int
        Which arguments to differentiate by; each may be an array or a structure of arrays.

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
    return _value_and_grad("value_and_grad", f, argnums)


def _value_and_grad(owner: str, f: Function, argnums: int | Sequence[int]) -> Function:
    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        record = _Record(owner, f, args, kwargs, indices(argnums, len(args), owner))
        value = _scalar(record.out, owner)
        one = record.inside.ones_like(value)
        gradients = record.back([one], once=True)
        return value, gradients[0] if isinstance(argnums, int) else tuple(gradients)

    return both


def _scalar(out: Any, owner: str) -> Array:
    out = single(out, owner, "the result of f")
    if out.ndim:
        message = (
            f"{owner}: expected f to return a 0-d array, got shape {tuple(out.shape)}. "
            f"Sum it up, or use vjp for one direction, jacrev or jacfwd for the Jacobian."
        )
        raise ValueError(message)
    return out


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The gradient of f, as a function of the same arguments.

    Its operations are at most about five times those of f, whatever the number of variables (Baur & Strassen 1983).

    Parameters
    ----------
    f : callable
        Array-API code that returns a 0-d array.
    argnums : int or sequence of int
        Which arguments to differentiate by; each may be an array or a structure of arrays.

    Returns
    -------
    callable
        Takes the arguments of f; returns the gradient with the structure of the argument, or a tuple of them if
        `argnums` is a sequence.

    Raises
    ------
    TypeError
        When called: if an argument to differentiate by is not a floating array, or f returns no array.
    ValueError
        When called: if f returns more than one number, or `argnums` names no argument.
    NoRuleError
        When called: if f calls a function that has no derivative rule.

    See Also
    --------
    value_and_grad, jacrev, jacfwd, hvp : Other derivatives.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), ch. 16.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.grad(lambda x: x @ x)(np.asarray([1.0, 2.0]))
    array([2., 4.])
    """
    both = _value_and_grad("grad", f, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def jacrev(f: Function) -> Function:
    """The Jacobian of f in its first argument, row by row, in one sweep back with a seed for each number of the result.

    Parameters
    ----------
    f : callable
        Array to array; further arguments are constants.

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

    def jacobian(x: Array, *args: Any, **kwargs: Any) -> Any:
        x = single(without_scalars(x), "jacrev", "argument 0")
        record = _Record("jacrev", f, (x, *args), kwargs, (0,))
        out = single(record.out, "jacrev", "the result of f")
        seeds = seeds_of(record.inside, out)
        (rows,) = record.back([seeds], once=True)
        return record.inside.reshape(rows, (*out.shape, *x.shape))

    return jacobian
