"""f + R as the methods see it: gradients, steps, and how far x can be from a minimiser.

For a linear model f(x) = 1/n Σ ℓ(⟨a_i, x⟩, y_i) + μ/2‖x‖² and every t in [0, 1], weak duality holds

    P(x) − min P  ≤  1/n Σ [ℓ(s_i) + ℓ*(tℓ′_i) − t s_i ℓ′_i] + ½μ(1 − t)²‖x‖² + [R(x) + R*(tc) − ⟨tc, x⟩],
    s = Ax,  c = −Aᵀℓ′/n − μx,

a sum of terms that are each ≥ 0, finite where tc is in the domain of R*; and for μ > 0 with t = 1

    [R(x) − R(x̂)] + ½μ(‖x‖² − ‖x̂‖²) − ⟨c, x − x̂⟩,   c = −Aᵀℓ′/n,  x̂ = prox_{R/μ}(c/μ).

A term h(Lx) with the dual variable z adds h(Lx) + h*(z) − ⟨z, Lx⟩ and −Lᵀz to c.  Where R* is known to neither form,
the certificate is the smallest element of ∇f(x) + Lᵀz + ∂R(x), relative to ∇f(0) as in the descent methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xpsolve.arrays import Array, Namespace
from xpsolve.composite._parts import Parts, parts_of, with_norms
from xpsolve.operators import Dense
from xpsolve.penalties import Penalty
from xpsolve.proximal.primal_dual import Coupled
from xpsolve.stochastic import LeastSquares
from xpsolve.stochastic._run import WITHOUT_FEATURES, Start, certificate_name
from xpsolve.stochastic.linear_model import Dual

_SAFETY = 1.02  # by which an estimated Lipschitz constant is raised

Duals = tuple[Array, ...]


@dataclass(frozen=True)
class Composite:
    """One problem, in the units of its `start`."""

    start: Start
    alone: Penalty  # of x without an intercept
    curved: bool  # whether μ of a linear model is known to be above 0

    @property
    def xp(self) -> Namespace:
        """The namespace of x."""
        return self.start.xp

    @property
    def f(self) -> Any:
        """The objective."""
        return self.start.f

    @property
    def is_model(self) -> bool:
        """Whether f is a linear model of xpsolve, which has a dual."""
        return self.start.units is not None

    @cached_property
    def penalty(self) -> Penalty:
        """The penalty of all variables."""
        return self.alone if self._features is None else self.alone.without_last(self.start.x)

    @cached_property
    def parts(self) -> Parts:
        """The penalty taken apart."""
        return parts_of(self.penalty)

    @cached_property
    def inside(self) -> Parts:
        """That of x without an intercept."""
        return self.parts if self._features is None else parts_of(self.alone)

    @property
    def _features(self) -> Any:
        """Which variables the penalty is of: all but the last where that is an intercept; None for all."""
        return (slice(None, -1), ...) if self.is_model and self.f.frame is not None else None

    @cached_property
    def coupled(self) -> tuple[Coupled, ...]:
        """The terms h(Lx)."""
        return with_norms(self.parts, self.start.x)

    @cached_property
    def l2(self) -> Array:
        """The weight of ½‖x‖² in the penalty, 0-d."""
        return self.start.number(0.0 if self.parts.l2 is None else self.parts.l2)

    @cached_property
    def mu(self) -> Array:
        """The weight of ½‖x‖² in all, 0-d."""
        return self.f.lam + self.l2

    @cached_property
    def lipschitz(self) -> Array:
        """That of the gradient of f and ½l2‖x‖², 0-d, a little raised; 1 where f is constant."""
        L = _SAFETY * self.start.number(self.f.lipschitz()) + self.l2
        return self.xp.where(L > 0, L, self.xp.ones_like(L))

    @cached_property
    def gram(self) -> Array:
        """AᵀW̃A/n of a dense A."""
        G: Array = self.f.mean_gram()
        return G

    @cached_property
    def gradient(self) -> Callable[[Array], Array]:
        """x ↦ ∇f(x) + l2·x; with the Gram matrix of a least-squares problem where it is smaller than A."""
        f = self.f
        if isinstance(f, LeastSquares) and (f.by_rows or isinstance(f.operator, Dense)) and f.n > f.operator.shape[1]:
            G, right = self.gram, f.mean_product()
            return lambda x: (G @ x - right) + self.mu * x
        if self.parts.l2 is None:
            return f.gradient  # type: ignore[no-any-return]
        return lambda x: f.gradient(x) + self.l2 * x

    def value(self, x: Array) -> Array:
        """f(x) + R(x)."""
        return self.f.value(x) + self.penalty.value(x)

    # --- certificates -----------------------------------------------------------------------------

    @cached_property
    def has_gap(self) -> bool:
        """Whether the certificate is a duality gap."""
        return self.is_model and (self.curved or self.inside.g.dual_range(self._of_features(self.start.g)) is not None)

    def _of_features(self, x: Array) -> Array:
        return x if self._features is None else x[self._features]

    @property
    def certificate_name(self) -> str:
        """What the certificate measures."""
        scale = "f(0)" if self._features is None else f"the loss {WITHOUT_FEATURES}"
        name = f"duality gap, relative to {scale}"
        if not self.has_gap:
            name = certificate_name(self.start).replace("gradient norm", "smallest subgradient")
            name += f" or gap of the penalty relative to {scale}" if self.coupled else ""
        constrained = any(not term.h.finite for term in self.coupled)
        return name + (", with the relative distance to a constraint" if constrained else "")

    @cached_property
    def _out_of_range(self) -> Array:
        """0, or NaN where the numbers of f are beyond the range in which they are computed with as they are."""
        return 0 * self.start.scale

    @cached_property
    def zero_loss(self) -> Array:
        """The mean loss where descents start, 1 where that is 0."""
        xp = self.xp
        loss = self.f.first_loss()
        return xp.where(loss > 0, loss, xp.ones_like(loss))

    def certificate(self, x: Array, z: Duals = ()) -> Array:
        """The certificate of x and the dual variables of coupled terms, 0-d."""
        return self.joined(self.look(x, z)[1:])

    def joined(self, shares: Sequence[Array]) -> Array:
        """The certificate from its shares: a gap is a sum, a residual and a gap are not added."""
        return shares[0] + shares[1] if self.has_gap else self.xp.maximum(shares[0], shares[1])

    def look(self, x: Array, z: Duals = (), s: Array | None = None) -> tuple[Array, Array, Array]:
        """−∇f(x) − l2·x, and two shares of the certificate: of x, and of x with z in the coupled terms.

        Where margins `s` of x are known, and the certificate is a gap, they cost no product.
        """
        xp = self.xp
        scale = self.zero_loss if self.is_model else self.start.number(1.0)
        coupled = self._coupled_gap(x, z, scale)
        if not self.has_gap:
            g = self.f.gradient(x) + self.l2 * x
            smallest = self.parts.g.residual(x, g + self._pulled(z, x))
            return -g, self.start.certificate_of(x, smallest), coupled
        dual = self.f.dual(x, s)
        gap = self._gap(x, dual, dual.down - self._pulled(z, x)) / scale + self._out_of_range
        units = self.start.units
        if units is not None and units.D is not None:
            gap = xp.where(units.representable(x), gap, xp.full_like(gap, xp.nan))
        return dual.down - self.mu * x, gap, coupled

    def _gap(self, x: Array, dual: Dual, down: Array) -> Array:
        """The bound of P(x) − min P without coupled terms, from what f is at x, and −Aᵀθ/n − Σ Lᵀz.

        An intercept has no part in it, since the sum of θ is 0.
        """
        xp, f, g = self.xp, self.f, self.inside.g
        mu = self.mu
        if self._features is not None:
            x, down = x[self._features], down[self._features]
            mu = f.largest_lam() + (0.0 if self.inside.l2 is None else self.inside.l2)
        bounds = []
        c = down - mu * x
        limit = g.dual_range(c)
        if limit is not None:
            one = xp.ones_like(limit)
            t = xp.minimum(limit, one)
            if isinstance(f, LeastSquares) and g.homogeneous:  # the dual objective is largest on the line at
                rr = dual.squares() + mu * xp.sum(x * x)
                best = 1 + xp.sum(x * c) / xp.where(rr > 0, rr, one)
                t = xp.minimum(limit, xp.maximum(best, xp.zeros_like(one)))
            losses = dual.excess(t) + 0.5 * mu * (1 - t) ** 2 * xp.sum(x * x)
            bounds.append(losses + g.young(x, t * c))
        if self.curved:
            inside = g.prox(down / mu, 1 / mu)
            away = x - inside
            terms = [g.value(x), -g.value(inside), 0.5 * mu * xp.sum(away * (x + inside)), -xp.sum(down * away)]
            if self._features is not None:
                terms.append(dual.excess(xp.ones_like(terms[0])))
            rounding = float(xp.finfo(x.dtype).eps) * sum(xp.abs(term) for term in terms)
            bounds.append(xp.maximum(sum(terms), xp.zeros_like(terms[0])) + rounding)
        return xp.minimum(*bounds) if len(bounds) == 2 else bounds[0]

    def _pulled(self, z: Duals, like: Array) -> Array:
        """Σ Lᵀz."""
        total = self.xp.zeros_like(like)
        for term, dual in zip(self.coupled if z else (), z, strict=True):
            total = total + term.adjoint(dual)
        return total

    def _coupled_gap(self, x: Array, z: Duals, scale: Array) -> Array:
        """Σ h(u) + h*(z) − ⟨z, u⟩ over `scale`, with u = Lx; where that may lie outside of the domain of h, u is the
        nearest point of it, and the relative distance is added."""
        xp, total = self.xp, self.start.number(0.0)
        for term, dual in zip(self.coupled if z else (), z, strict=True):
            v = u = term.forward(x)
            if not term.h.finite:
                u = term.h.prox(v, float(xp.finfo(x.dtype).eps))
                size = xp.sqrt(xp.sum(v * v))
                total = total + xp.sqrt(xp.sum((v - u) ** 2)) / xp.where(size > 0, size, xp.ones_like(size))
            total = total + term.h.young(u, dual) / scale
        return total
