"""What is wrong with the arguments of transport, once a read has shown that something is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from xpsolve.transport._problem import Problem


def complain(problem: Problem) -> NoReturn:
    """Raise for what is wrong: the slow path, with further host reads."""
    xp = problem.xp
    if problem.each is not None and bool(xp.any(problem.bad_eps)):
        message = "eps: expected positive numbers, got some that are not."
        raise ValueError(message)
    weights = dict(zip(problem.names, (problem.a, problem.b), strict=True))
    weights[problem.names[0]] = problem.a  # the second may be a part of it
    costs = problem.geometry.arrays
    for name, x in (weights | costs).items():
        bad = ~xp.isfinite(x)
        forbidden = name == "M"
        if forbidden:
            bad = bad & ~(x == xp.inf)  # no mass may go there
        if bool(xp.any(bad)):
            count = int(xp.sum(xp.astype(bad, x.dtype)))
            kind = "NaN or −∞" if forbidden else "NaN or infinite"
            message = f"{name}: expected finite numbers, got {count} {kind}. Remove or replace them first."
            raise ValueError(message)
    if "M" in costs and not bool(xp.any(xp.isfinite(costs["M"]))):
        message = "M: expected some finite costs, got infinite ones alone. No mass can be moved."
        raise ValueError(message)
    for name, x in weights.items():
        if float(xp.min(x)) < 0:
            message = f"{name}: expected weights >= 0, got {float(xp.min(x)):.3g}. A histogram has no negative mass."
            raise ValueError(message)
    for k in range(problem.a.shape[0]):
        left, right = float(xp.sum(problem.a[k, :])), float(xp.sum(problem.b[k, :]))
        where = "" if problem.single else f" in problem {k}"
        for name, total in zip(problem.names, (left, right), strict=True):
            if not 0 < total < math.inf:
                what = "weights that are all 0" if total == 0 else "weights whose sum overflows"
                message = f"{name}: expected some mass, got {what}{where}."
                raise ValueError(message)
        if not abs(left - right) <= problem.allowed * left:
            names = " and ".join(dict.fromkeys(problem.names))
            message = (
                f"{names}: expected the same sum, got {left:.10g} and {right:.10g}{where}, a difference of "
                f"{left - right:.3g}. Divide each by its sum."
            )
            raise ValueError(message)
    for name, bad in zip(("x0[0]", "x0[1]"), problem.bad_starts(), strict=False):
        if bool(xp.any(bad)):
            message = f"{name}: expected potentials that are finite where there is mass, got NaN or infinite ones."
            raise ValueError(message)
    if problem.geometry.bounds() is None and bool(xp.isnan(problem.range[0])):
        message = "M.cost: expected a function whose values are numbers, got NaN."
        raise ValueError(message)
    message = "M: expected costs whose span can be represented in their dtype. Scale M and eps down."
    raise ValueError(message)
