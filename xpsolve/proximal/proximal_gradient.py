"""Proximal gradient for f + R: ISTA and, with Nesterov's extrapolation, FISTA (Peyré 2020, §14.1.4, Prop. 47).

    ISTA    x⁺ = prox_{τR}(x − τ∇f(x))                                      O(1/k) for τ ≤ 1/L, L that of ∇f
    FISTA   x⁺ = prox_{τR}(z − τ∇f(z)),  z⁺ = x⁺ + j/(j+3)·(x⁺ − x)         O(1/k²) (Beck & Teboulle 2009)

FISTA resets its momentum where it points uphill (O'Donoghue & Candès 2015), tested once per check.  All columns move
together; a converged one gets the step 0, so that it stays as it is, which costs no launch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from xpsolve.arrays import Array, Run, inner, is_complex, is_goal, iterate, limits_of, namespace_of, native
from xpsolve.autodiff.rules import define_elementwise
from xpsolve.operators import eigenvalue_bound

_PATIENCE = 300  # iterations without progress of the gap
_NEAR_ROUNDING = 2**14  # times eps: only below this is a gap without progress taken for the limit of the dtype


class Proximal(Protocol):
    """What the iteration needs of R, for columns side by side."""

    def steps(self, tau: Array) -> tuple[Array, ...]:
        """τ, and what else the proximal map of τR needs, computed once for many iterations."""

    def advance(self, V: Array, steps: tuple[Array, ...]) -> Array:
        """prox_{τR}(V)."""


class State(NamedTuple):
    """Where the iteration is; one column each for the problems solved together."""

    X: Array  # (p, k)
    Z: Array  # extrapolated, (p, k)
    steps: tuple[Array, ...]  # τ, 0 for a solved column, (k,) or (p, k), and what else R needs
    j: Array  # iterations since the momentum was forgotten, (k,)
    gap: Array  # the certificate at the last check, (k,)


@native
def extrapolate(X: Array, before: Array, j: Array) -> Array:
    """X + j/(j+3)·(X − before)."""
    return X + (j / (j + 3)) * (X - before)


define_elementwise(
    "extrapolate",
    lambda xp, z, X, before, j: 1 + j / (j + 3),
    lambda xp, z, X, before, j: -j / (j + 3),
    lambda xp, z, X, before, j: 3 * (X - before) / (j + 3) ** 2,
)


@extrapolate.register("cupy")
def _extrapolate_cupy(X: Array, before: Array, j: Array) -> Array:
    import cupy

    if is_complex(X):
        return extrapolate.standard(X, before, j)
    source = "z = x + j / (j + 3) * (x - b)"
    return cupy.ElementwiseKernel("T x, T b, T j", "T z", source, "xpsolve_extrapolate")(X, before, j)


def proximal_gradient(
    gradient: Callable[[Array], Array],
    penalty: Proximal,
    X: Array,
    *,
    tau: Array,
    check: Callable[[Array], tuple[Array, Array]],
    momentum: bool,
    tol: float,
    max_iter: int,
    check_every: int,
    gap: Array,
    improve: Callable[[Array, Array], Array] | None = None,
    record: Callable[[Any], dict[str, Array]] | None = None,
    callback: Callable[[int, Any], Any] | None = None,
    late: float = 0.0,
) -> Run[State]:
    """Iterate until ``check(X) = (−∇f(X), certificate)`` has no certificate above `tol`.

    `gradient` is the direction −∇f(Z), `gap` the certificate of the first X; `improve` may return a better X at a
    check, from X and −∇f(X).  `tau` is one step for all entries, or (p, 1): the same method for columns of A with
    other units.  `late` is that of `iterate`.
    """
    xp = namespace_of(X)

    def ista(s: State) -> State:
        return s._replace(X=penalty.advance(s.X + s.steps[0] * gradient(s.X), s.steps))

    def fista(s: State) -> State:
        X = penalty.advance(s.Z + s.steps[0] * gradient(s.Z), s.steps)
        return s._replace(X=X, Z=extrapolate(X, s.X, s.j), j=s.j + 1)

    def refresh(s: State) -> State:
        X = s.X if improve is None else improve(s.X, gradient(s.X))
        C, gap = check(X)
        zero, active = xp.zeros_like(gap), gap > tol
        steps = penalty.steps(xp.where(active, tau, zero))
        if not momentum:
            return State(X, X, steps, s.j, gap)
        downhill = penalty.advance(X + tau * C, penalty.steps(tau)) - X  # 0 at a minimiser
        ahead = s.Z - s.X if tau.ndim < 2 else (s.Z - s.X) / tau  # the inner product in which tau is one number
        uphill = inner(downhill, ahead, axis=0) <= 0
        forget = ~active | uphill if improve is None else ~active | uphill | xp.any(X != s.X, axis=0)
        return State(X, xp.where(forget, X, s.Z), steps, xp.where(forget, zero, s.j), gap)

    zero = xp.zeros_like(gap)
    first = State(X, X, penalty.steps(xp.where(gap > tol, tau, zero)), zero, gap)
    return iterate(
        fista if momentum else ista,
        first,
        measure=lambda s: xp.max(s.gap),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=refresh,
        record=record,
        callback=callback,
        late=late,
        between=refresh if late else None,
        stalled=_Standstill(limits_of(X).eps) if is_goal(tol) else None,  # 0 takes exactly max_iter iterations
    )


class _Standstill:
    """Whether the gap, near the rounding of the dtype, has not fallen by a tenth in half of all iterations so far."""

    def __init__(self, eps: float) -> None:
        self.near, self.least, self.since = _NEAR_ROUNDING * eps, math.inf, 0

    def __call__(self, k: int, gap: float) -> bool:
        if gap < 0.9 * self.least:
            self.least, self.since = gap, k
        return gap <= self.near and k - self.since > max(_PATIENCE, k // 2)


def safe_step(product: Callable[[Array], Array], like: Array) -> Array:
    """1/‖AᵀA‖, a little less for safety, from ``product(v) = AᵀA v``; `like` is (p, k)."""
    xp = namespace_of(like)
    bound = 1.02 * eigenvalue_bound(product, like)
    return 1 / xp.where(bound > 0, bound, xp.ones_like(bound))
