"""A penalty taken apart: what goes into the gradient, what has a proximal map, and what is coupled by an operator.

R(x) = ½l2‖x‖² + g(x) + Σ_i h_i(L_i x)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from xpsolve.arrays import Array, is_array, namespace_of
from xpsolve.operators import LinearOperator, eigenvalue_bound
from xpsolve.penalties import Analysis, Penalty
from xpsolve.penalties.base import Sum
from xpsolve.penalties.separable import Separable
from xpsolve.proximal.primal_dual import Coupled


class Parts(NamedTuple):
    """What a penalty consists of."""

    l2: Any  # a number, a 0-d array or None
    g: Penalty
    coupled: tuple[tuple[LinearOperator | None, Penalty], ...]


def parts_of(penalty: Penalty | None) -> Parts:
    """The parts; one with a proximal map is g, and more of them are coupled by the identity."""
    terms = () if penalty is None else penalty.parts if isinstance(penalty, Sum) else (penalty,)
    coupled = [(term.L, term.outer) for term in terms if isinstance(term, Analysis)]
    l2, simple = None, []
    for term in terms:
        if isinstance(term, Separable):
            one_number = not is_array(term.l2) or term.l2.ndim == 0
            if term.l2 is not None and one_number:
                l2, term = term.l2, Separable(term.l1, None, term.lower, term.upper)
            if all(value is None for value in vars(term).values()):
                continue
        if not isinstance(term, Analysis):
            simple.append(term)
    simple.sort(key=lambda term: isinstance(term, Separable))  # the most expensive first, since it is g
    g = simple[0] if simple else Separable()
    return Parts(l2, g, (*coupled, *((None, h) for h in simple[1:])))


def with_norms(parts: Parts, x: Array) -> tuple[Coupled, ...]:
    """The coupled terms with ‖L‖, by a formula where there is one."""
    return tuple(Coupled(L, h, _norm(L, x)) for L, h in parts.coupled)


def _norm(L: LinearOperator | None, x: Array) -> Array:
    xp = namespace_of(x)
    one = xp.ones_like(xp.sum(x))
    if L is None:
        return xp.asarray(one)
    exact = L.exact_norm()
    if exact is not None:
        norm = xp.asarray(exact * one)
        return xp.where(norm > 0, norm, one)  # L = 0 is coupled to nothing
    bound = 1.02 * eigenvalue_bound(lambda v: L.rmatvec(L.matvec(v)), x[:, None] if x.ndim == 1 else x)
    return xp.sqrt(xp.where(bound > 0, bound, xp.ones_like(bound)))
