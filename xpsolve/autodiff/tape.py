"""The tape of reverse mode: what was called, read backwards (Griewank & Walther 2008, ch. 3; Peyré 2020, §14.3.4).

Every array that depends on an argument has a node: what made it, and from which nodes.  The nodes form a graph without
cycles whose order is that of the calls.  The sweep takes the latest node first; by then the gradients of all that was
made from it have been added up.  A node without references is freed, so that memory falls while the sweep passes,
and what does not lead to the result is not kept at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, device_of
from xpsolve.autodiff.arguments import rebuilt
from xpsolve.autodiff.levels import Level, Tracked, checked_map
from xpsolve.autodiff.rules import BY_SHAPE, ELEMENTWISE
from xpsolve.autodiff.rules.table import MASKS, Choice, Joint, fitted_dtype, passed, stopped, unbroadcast

_clock = itertools.count()


class Node:
    """One result on the tape.

    ``rule`` gives the pullback: a tuple of partial derivatives, a rule of the table with its name, the number of this
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
    """What is kept of an array for a rule that uses shapes only."""

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
        """Run one operation and note its pullback."""
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
        """Nodes for the results; the rule is called in the reverse sweep."""
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


def sweep(xp: Namespace, starts: list[tuple[Node, Array]], masked: bool = False) -> dict[int, Array]:
    """Gradients of the arguments by their order, from gradients of results.  Empties `starts`.

    ``masked`` says that a gradient may be 0 for entries that the result does not depend on: see `passed`.
    """
    pending: dict[int, list[Any]] = {}
    heap: list[int] = []
    found: dict[int, Array] = {}
    safely = passed if _is_followed(xp) else stopped

    def add(node: Any, g: Array, masked: bool) -> None:
        entry = pending.get(node.order)
        if entry is None:
            pending[node.order] = [node, g, masked]
            heappush(heap, node.order)
        else:
            entry[1] = entry[1] + g
            entry[2] = entry[2] or masked

    while starts:
        add(*starts.pop(), masked)
    while heap:
        node, g, masked = pending.pop(heappop(heap))
        rule = node.rule
        if rule.__class__ is tuple:
            partials, saved, hides = rule, node.saved, masked
            for i, parent in enumerate(node.parents):
                if parent is not None:
                    d = partials[i]
                    if d.__class__ is int:
                        c = g if d == 1 else -g if d else xp.zeros_like(g)
                    elif d.__class__ is Choice:
                        c, hides = d.times(xp, g, saved[0], *saved[1]), True
                    elif masked:
                        c = safely(xp, g, d(xp, saved[0], *saved[1]))
                    else:
                        c = g * d(xp, saved[0], *saved[1])
                    if c.shape != parent.shape or c.dtype != parent.dtype:
                        c = _fitted(xp, c, parent, len(g.shape) - len(node.shape))
                    order = parent.order
                    entry = pending.get(order)
                    if entry is None:
                        pending[order] = [parent, c, hides]
                        heappush(heap, order)
                    else:
                        entry[1] = entry[1] + c
                        entry[2] = entry[2] or hides
        elif rule is None:
            found[node.order] = g
        elif rule.__class__ is int:
            joint = node.parents
            if joint.order not in pending:
                pending[joint.order] = [joint, [None] * joint.shape, masked]
                heappush(heap, joint.order)
            entry = pending[joint.order]
            entry[1][rule] = g
            entry[2] = entry[2] or masked
        else:
            for parent, c, hides in _pulled(xp, node, g):
                add(parent, c, masked or hides)
        del node
    return found


def _pulled(xp: Namespace, node: Any, g: Array) -> Iterator[tuple[Any, Array, bool]]:
    """What an operation with a rule for all its arguments adds to each parent, and whether it hides entries."""
    name, out, values, options = node.saved
    maps = node.rule(xp, out, *values, **options)
    for i, parent in node.parents:
        c = maps.pull(i, g) if isinstance(maps, Joint) else checked_map(maps, name, i).pull(g)
        if c is not None:
            yield parent, c if c.dtype == parent.dtype else fitted_dtype(xp, c, parent.dtype), name in MASKS


def _is_followed(xp: Namespace) -> bool:
    """Whether arrays of this namespace may carry derivatives themselves."""
    while hasattr(xp, "inside"):
        if isinstance(xp._interpreter, Level):
            return True
        xp = xp.inside
    return False


def _fitted(xp: Namespace, c: Array, parent: Node, lead: int) -> Array:
    """A contribution in the shape and dtype of the gradient that it is added to."""
    return fitted_dtype(xp, unbroadcast(xp, c, tuple(parent.shape), lead), parent.dtype)
