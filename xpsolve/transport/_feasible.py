"""Whether pairs that are forbidden, by costs ∞, leave no plan: a proof by a set of points that cannot send its mass.

A plan exists exactly if a(S) ≤ b(N(S)) for every set S of points, where N(S) are those that S may reach (Hall 1935).
Sets that break this are found where the same pairs are open at no cost and marginals have a high price: rows that must
give up mass have large potentials f, and f + g ≤ 0 for every pair that is open, nearly; so S is among {i : f_i ≥ f_k}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from xpsolve.arrays import Array, iterate, namespace_of
from xpsolve.transport._iterations import Iteration
from xpsolve.transport._problem import Problem
from xpsolve.transport._rows import Rows

_PRICE, _STEPS = 2.0**12, 2000  # ρ/ε, and the most iterations


def infeasible(problem: Problem) -> bool:
    """Whether a balanced problem is proved to have no plan: two host reads or more, for problems that failed."""
    kernel, xp = problem.kernel, problem.xp
    if not any(map(bool, forbidden(problem))):
        return False
    assert isinstance(kernel, Rows)
    pattern: Any = Pattern(Rows(_Open(kernel.cost), kernel.shape, kernel.block), problem.geometry.shape)
    price = _PRICE, _PRICE
    relaxed = replace(problem, geometry=pattern, eps=1.0, rho=price, marginal=price, x0=None, same=False).levelled()
    solver = Iteration(relaxed, "log", 1e-6, "auto", 20, False, None, False)
    run = iterate(
        solver.step,
        solver.start(),
        measure=solver.measure,
        tol=solver.goal,
        max_iter=_STEPS,
        check_every=20,
        refresh=solver.refresh,
        renew=solver.renew,
    )
    return bool(xp.any(_excess(problem, kernel, solver.potentials(run.state)[0]) > 2 * problem.allowed))


def forbidden(problem: Problem) -> Iterator[Array]:
    """Whether costs of ∞ forbid pairs, 0-d for some rows after others; nothing where that leaves a plan anyway."""
    kernel, xp = problem.kernel, problem.xp
    if problem.balanced and isinstance(kernel, Rows) and problem.geometry.bounds() is None:
        for i, j in kernel.blocks():
            yield xp.any(xp.isinf(kernel.cost(i, j)))


def _excess(problem: Problem, kernel: Rows, f: Array) -> Array:
    """The largest (a(S) − b(N(S)))/Σa over the sets S = {i : f_i ≥ f_k}, (B,)."""
    xp, a, b = problem.xp, problem.a, problem.b
    f = xp.where(a > 0, f, xp.full_like(f, -xp.inf))
    reached = [
        xp.max(xp.where(xp.isfinite(kernel.cost(i, j)), f[:, i:j, None], xp.full_like(f[:, :1, None], -xp.inf)), axis=1)
        for i, j in kernel.blocks()
    ]
    reach = xp.max(xp.stack(reached), axis=0)  # (B, m): the largest f that may come here
    worst = []
    for i, j in kernel.blocks():
        least = f[:, i:j, None]
        held = xp.sum(xp.where(f[:, None, :] >= least, a[:, None, :], xp.zeros_like(a[:, None, :])), axis=2)
        room = xp.sum(xp.where(reach[:, None, :] >= least, b[:, None, :], xp.zeros_like(b[:, None, :])), axis=2)
        worst.append(xp.max(xp.where(f[:, i:j] > -xp.inf, held - room, xp.zeros_like(held)), axis=1))
    return xp.max(xp.stack(worst), axis=0) / xp.sum(a, axis=1)


@dataclass(frozen=True, eq=False)
class Pattern:
    """A cost that is 0 or ∞."""

    rows: Rows
    shape: tuple[int, ...]
    one_set = False

    def kernel(self) -> Rows:
        """Blocks of it."""
        return self.rows

    def bounds(self) -> None:
        """The costs have to be looked at."""


@dataclass(frozen=True, eq=False)
class _Open:
    """0 where a cost is finite, else ∞."""

    cost: Callable[[int, int], Array]

    def __call__(self, start: int, stop: int) -> Array:
        M = self.cost(start, stop)
        xp = namespace_of(M)
        return xp.where(xp.isfinite(M), xp.zeros_like(M), xp.full_like(M, xp.inf))
