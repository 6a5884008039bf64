"""The primal–dual method of Condat and Vũ for  min_x f(x) + g(x) + Σ_i h_i(L_i x).

f is smooth, g and the h_i have proximal maps.

    x⁺   = prox_{τg}(x − τ(∇f(x) + Σ L_iᵀz_i))
    z_i⁺ = prox_{σ_i h_i*}(z_i + σ_i L_i(2x⁺ − x)),        1/τ ≥ L/2 + Σ σ_i‖L_i‖²        (Condat 2013; Vũ 2013)

It is Chambolle–Pock where f = 0.  Each operator has its own step σ_i = ω/‖L_i‖.  The one number ω that is left is
changed at the checks, so that the shares of x and of z in the certificate fall at the same pace, as residuals do in
Goldstein, Li & Yuan (2015); its changes die out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from xpsolve.arrays import Array, Run, iterate, namespace_of
from xpsolve.operators import LinearOperator
from xpsolve.penalties import Penalty

_FAVOUR = 5.0  # by which a share of z is made smaller than that of x, which falls more slowly near the end
_MOST = 10.0  # a ratio of the shares beyond it counts as this
_GAIN, _SETTLED = 0.15, 5.0  # the power of the ratio by which ω changes, and after how many checks it is half of that


class Coupled(NamedTuple):
    """One term h(Lx); an operator of None is the identity."""

    L: LinearOperator | None
    h: Penalty
    norm: Array  # ‖L‖ or a little more, 0-d

    def forward(self, x: Array) -> Array:
        """Lx."""
        return x if self.L is None else self.L.matvec(x)

    def adjoint(self, z: Array) -> Array:
        """Lᵀz."""
        return z if self.L is None else self.L.rmatvec(z)

    def dual_prox(self, v: Array, sigma: Array) -> Array:
        """prox_{σh*}(v), by Moreau's identity."""
        if self.h.homogeneous:
            return v - self.h.prox(v, 1.0)
        return v - sigma * self.h.prox(v / sigma, 1 / sigma)


class State(NamedTuple):
    """The state of the iteration."""

    x: Array
    z: tuple[Array, ...]  # one for every coupled term
    omega: Array  # 0-d
    checks: Array  # how many there were, 0-d
    measure: Array  # the certificate at the last check, 0-d


def primal_dual(
    gradient: Callable[[Array], Array],
    lipschitz: Array,
    g: Penalty,
    coupled: Sequence[Coupled],
    x: Array,
    *,
    shares: Callable[[Array, tuple[Array, ...]], Sequence[Array]],
    joined: Callable[[Sequence[Array]], Array],
    omega: Array,
    tol: float,
    max_iter: int,
    check_every: int,
    record: Callable[[Any], dict[str, Array]] | None = None,
    callback: Callable[[int, Any], Any] | None = None,
) -> Run[State]:
    """Iterate from x and z = 0 until ``joined(shares(x, z))`` is at most `tol`.

    The shares of the certificate are that of x, which falls faster the smaller ω is, and that of z; `omega` is the
    first ω, in units of z/x.
    """
    xp = namespace_of(x)

    def sizes(omega: Array) -> tuple[Array, tuple[Array, ...]]:
        """τ and σ_i, for σ_i‖L_i‖ = ω."""
        spread = omega * sum(term.norm for term in coupled)
        return 1 / (0.5 * lipschitz + spread), tuple(omega / term.norm for term in coupled)

    def step(s: State) -> State:
        tau, sigmas = sizes(s.omega)
        down = gradient(s.x)
        for term, z in zip(coupled, s.z, strict=True):
            down = down + term.adjoint(z)
        x = g.prox(s.x - tau * down, tau)
        ahead = x + (x - s.x)
        z = tuple(
            term.dual_prox(z + sigma * term.forward(ahead), sigma)
            for term, z, sigma in zip(coupled, s.z, sigmas, strict=True)
        )
        return s._replace(x=x, z=z)

    def refresh(s: State) -> State:
        first, second = shares(s.x, s.z)
        one = xp.ones_like(first)
        ratio = _FAVOUR * second / xp.where(first > 0, first, one)
        ratio = xp.minimum(xp.maximum(ratio, one / _MOST), _MOST * one)
        omega = s.omega * xp.exp(xp.log(ratio) * (_GAIN / (1 + s.checks / _SETTLED)))
        return s._replace(omega=omega, checks=s.checks + 1, measure=joined((first, second)))

    z = tuple(xp.zeros_like(term.forward(x)) for term in coupled)
    first = State(x, z, omega, xp.zeros_like(omega), joined(shares(x, z)))
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
