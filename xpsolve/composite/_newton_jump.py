"""A Newton step for least squares with a separable penalty, from where proximal gradient is.

With the entries that are at a bound, and at 0 where there is an l1, held there, and the signs of the others, the
objective is quadratic: its minimiser is x + d with

    (G + μI)_FF d_F = −(∇f(x) + l1·sign x)_F,      F the free entries, G = AᵀA/n.

The step is taken where no free entry leaves its bounds or changes its sign, and the objective falls.  Once the
iteration has found the right free entries this is the answer to all digits (a projected Newton method, Bertsekas 1982).
"""

from __future__ import annotations

from collections.abc import Callable

from xpsolve import costs
from xpsolve.arrays import Array, namespace_of, shifted, solve_positive
from xpsolve.composite._problem import Composite
from xpsolve.operators import Dense
from xpsolve.penalties.separable import Separable
from xpsolve.stochastic import LeastSquares


def newton_jump(problem: Composite) -> Callable[[Array, Array], Array] | None:
    """(x, −∇f(x) − μx) ↦ a better x or x itself, of columns (p, 1); None where it cannot be used for the problem."""
    f, g, mu = problem.f, problem.parts.g, problem.mu if problem.is_model else None
    if not (isinstance(f, LeastSquares) and (f.by_rows or isinstance(f.operator, Dense)) and isinstance(g, Separable)):
        return None
    if f.y.ndim > 1 or f.operator.shape[1] > costs.NEWTON_FEATURES:
        return None
    G = problem.gram

    def improve(X: Array, down: Array) -> Array:
        xp, x, c = namespace_of(X), X[:, 0], down[:, 0]
        free, slope = g.free(x)
        on = xp.astype(free, x.dtype)
        system = shifted(G * (on[:, None] * on[None, :]), xp.where(free, mu, xp.ones_like(x)))
        d = solve_positive(system, (on * (c - slope))[:, None])[:, 0]
        new = x + d
        still, same = g.free(new)
        change = g.value(new) - g.value(x) - xp.sum(c * d) + 0.5 * xp.sum(d * (G @ d + mu * d))
        return xp.where(xp.all(~free | (still & (same == slope))) & (change < 0), new, x)[:, None]

    return improve
