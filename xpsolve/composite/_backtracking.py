"""Proximal gradient without a Lipschitz constant: steps found on the device (Beck & Teboulle 2009, §4).

x⁺ = prox_{τR}(z − τ∇f(z)),  taken where  f(x⁺) ≤ f(z) + ⟨∇f(z), x⁺ − z⟩ + ‖x⁺ − z‖²/(2τ),  else τ is halved
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve.arrays import Array, Run, iterate
from xpsolve.composite._problem import Composite
from xpsolve.stochastic._run import value_and_gradient


class State(NamedTuple):
    """The state of the iteration."""

    x: Array
    z: Array  # extrapolated
    tau: Array  # 0-d
    j: Array  # iterations since the momentum was reset, 0-d
    measure: Array  # the certificate at the last check, 0-d


def backtracking(
    problem: Composite,
    momentum: bool,
    *,
    tol: float,
    max_iter: int,
    check_every: int,
    record: Callable[[Any], dict[str, Array]] | None = None,
    callback: Callable[[int, Any], Any] | None = None,
) -> Run[State]:
    """ISTA or FISTA on f + R; an iteration tries one step."""
    xp, start, g, l2 = problem.xp, problem.start, problem.parts.g, problem.l2
    eps = float(xp.finfo(start.x.dtype).eps)

    def smooth(x: Array) -> tuple[Array, Array]:
        value, gradient = value_and_gradient(problem.f, x)
        return start.number(value) + 0.5 * l2 * xp.sum(x * x), gradient + l2 * x

    def step(s: State) -> State:
        value, down = smooth(s.z)
        x = g.prox(s.z - s.tau * down, s.tau)
        away = x - s.z
        after, squared = smooth(x)[0], xp.sum(away * away)
        room = 10 * eps * (xp.abs(value) + xp.abs(after))
        good = after <= value + xp.sum(down * away) + squared / (2 * s.tau) + room
        z = x + (s.j / (s.j + 3)) * (x - s.x) if momentum else x
        return s._replace(
            x=xp.where(good, x, s.x),
            z=xp.where(good, z, s.z),
            tau=xp.where(good, s.tau, 0.5 * s.tau),
            j=xp.where(good, s.j + 1, s.j),
        )

    def refresh(s: State) -> State:
        down, *shares = problem.look(s.x)
        ahead = g.prox(s.x + s.tau * down, s.tau) - s.x
        uphill = xp.sum(ahead * (s.z - s.x)) <= 0
        return s._replace(
            z=xp.where(uphill, s.x, s.z), j=xp.where(uphill, xp.zeros_like(s.j), s.j), measure=problem.joined(shares)
        )

    tau = _first_step(problem, smooth)
    x = g.prox(start.x - tau * (start.g + l2 * start.x), tau)
    first = State(x, x, tau, xp.zeros_like(tau), problem.certificate(x))
    return iterate(
        step,
        first,
        measure=lambda s: s.measure,
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=refresh,
        record=record,
        callback=callback,
    )


def _first_step(problem: Composite, smooth: Callable[[Array], tuple[Array, Array]]) -> Array:
    """Four times the inverse of the curvature of f along its first gradient: halving finds the rest."""
    xp, x = problem.xp, problem.start.x
    g = smooth(x)[1]
    size = xp.sqrt(xp.sum(g * g))
    one = xp.ones_like(size)
    length = xp.maximum(xp.sqrt(xp.sum(x * x)), one) * float(xp.finfo(x.dtype).eps) ** 0.5
    h = length / xp.where(size > 0, size, one)
    change = smooth(x + h * g)[1] - g
    L = xp.sqrt(xp.sum(change * change)) / length
    return 4 / xp.where((L > 0) & xp.isfinite(L), L, one)
