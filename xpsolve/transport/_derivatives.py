"""Derivatives of `sinkhorn` by what its potentials solve, and not by its iterations (Peyré 2020, §14.3.7, eq. 14.32).

    V(a, b, M) = max_{f,g} ⟨a, f⟩ + ⟨b, g⟩ − ε ΣP,  P = exp((f ⊕ g − M)/ε):    ∂V at fixed f, g  (Danskin 1967)

    P1 = a,  Pᵀ1 = b:    J (ḟ, ġ) = (ȧ, ḃ) + ((P∘Ṁ)1, (P∘Ṁ)ᵀ1)/ε,    J = 1/ε [diag(P1)  P; Pᵀ  diag(Pᵀ1)]

J is symmetric and takes k = (1, −1) to 0, since (f + c, g − c) is the same plan.  Of all derivatives of the potentials
the one orthogonal to k is taken; what leads out of equal masses, along k, is left out.  Where marginals have a price ρ,
P1 = a e^{−f/ρ} =: t adds t/ρ to the diagonal of J, and J is definite.  With D the diagonal of J,
D^−½ J D^−½ has no eigenvalue above 2, and conjugate gradients on it converge like over-relaxed iterations; its only
eigenvalue 0, along D^½k, is made 1, so that rounding errors do not add up along it.  Points without mass have
potentials −∞: that is the derivative of the value in their weights, and no other derivative goes through them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xpsolve.arrays import Array, lift, namespace_of, native
from xpsolve.autodiff.implicit import enveloped, implicitly, without_levels
from xpsolve.autodiff.linear_system import conjugate_gradient
from xpsolve.autodiff.rules import Map, rule
from xpsolve.trace import map_arrays
from xpsolve.transport._kernels import NOTHING
from xpsolve.transport._marginals import is_hard, paid, reweighted
from xpsolve.transport._problem import Problem
from xpsolve.transport._rows import Axes
from xpsolve.transport._solve import Options, solve
from xpsolve.transport.answer import TransportSolution
from xpsolve.transport.geometry import Geometry


def along(problem: Problem, options: Options) -> TransportSolution:
    """The solution of a problem that carries derivatives, from that of the plain one."""
    parts = {name: getattr(problem, name) for name in ("a", "b", "geometry", "x0", "rho", "each", "source")}
    parts = without_levels(parts)
    plain = replace(problem, xp=namespace_of(parts["a"]), **parts)
    solution = solve(plain, replace(options, keep_kernel=False))  # a kept kernel would carry no derivative
    n, xp = problem.a.shape[1], problem.xp
    f, g = (x[None, :] if problem.single else x for x in solution.x)
    if plain.each is not None:
        f, g = f / plain.each, g / plain.each
    equations = _Equations(problem.eps, not problem.balanced)
    z0 = equations.finite(f, g)
    args = (problem.a, problem.b, problem.geometry, problem.rho)

    def potentials(*args: Any) -> Array:
        z, _ = implicitly(lambda *_: (z0, None), equations.residual, args, inverse=equations.inverse)
        return z

    z, value = potentials(*args), enveloped(potentials, equations.value, args)
    x = (_without_mass(z[:, :n], problem.a), _without_mass(z[:, n:], problem.b))
    rest = map_arrays(lambda x: lift(xp, x), (solution.certificate, solution.history))
    x, value = tuple(map(problem.outside, x)), problem.outside(value)
    if problem.single:
        x, value = tuple(part[0, :] for part in x), value[0, ...]
    parts = {"geometry": problem.geometry if problem.source is None else problem.source, "eps": problem.given_eps}
    return replace(solution, x=x, value=value, certificate=rest[0], history=rest[1], **parts)


def _without_mass(f: Array, a: Array) -> Array:
    xp = namespace_of(f)
    return xp.where(a > 0, f, xp.full_like(a, -xp.inf))


_Prices = tuple[Any, Any]


class _Equations:
    """What z = (f, g), (B, n + m), solves; 0 stands in where there is no mass."""

    def __init__(self, eps: float, soft: bool) -> None:
        self.eps, self.soft = eps, soft  # soft: whether a marginal has a price

    def wanted(self, z: Array, a: Array, b: Array, rho: _Prices) -> Array:
        """The marginals that the plan of z should have."""
        xp, n = namespace_of(z), a.shape[1]
        if not self.soft:
            return xp.concat([a, b], axis=1)
        sides = zip((a, b), (z[:, :n], z[:, n:]), rho, strict=True)
        return xp.concat([x if is_hard(r) else reweighted(x, f, 1 / r) for x, f, r in sides], axis=1)

    @staticmethod
    def finite(f: Array, g: Array) -> Array:
        """Potentials as z."""
        z = namespace_of(f).concat([f, g], axis=1)
        xp = namespace_of(z)
        return xp.where(xp.isfinite(z), z, xp.zeros_like(z))

    def plan(self, z: Array, a: Array, b: Array, geometry: Geometry) -> Array:
        """P, (B, n, m)."""
        xp, n = namespace_of(z), a.shape[1]
        f = xp.where(a > 0, z[:, :n], xp.full_like(a, NOTHING))
        g = xp.where(b > 0, z[:, n:], xp.full_like(b, NOTHING))
        kernel = geometry.kernel()
        M = (kernel.rows if isinstance(kernel, Axes) else kernel).cost(0, n)
        return xp.exp((f[:, :, None] + (g[:, None, :] - M)) / self.eps)

    def value(self, z: Array, a: Array, b: Array, geometry: Geometry, rho: _Prices) -> Array:
        """⟨a, f⟩ + ⟨b, g⟩ − ε ΣP, or with ρ(1 − e^{−f/ρ}) in place of f, (B,)."""
        xp, n = namespace_of(z), a.shape[1]
        P = self.plan(z, a, b, geometry)
        weights = xp.concat([a, b], axis=1)
        if self.soft:
            z = xp.concat([paid(z[:, :n], rho[0]), paid(z[:, n:], rho[1])], axis=1)
        return xp.sum(weighted(weights, z), axis=1) - self.eps * xp.sum(P, axis=(1, 2))

    def residual(self, z: Array, a: Array, b: Array, geometry: Geometry, rho: _Prices) -> Array:
        """(P1 − t, Pᵀ1 − s) for the marginals t and s that there should be, and z where there is no mass."""
        xp = namespace_of(z)
        P = self.plan(z, a, b, geometry)
        weights = xp.concat([a, b], axis=1)
        return xp.where(weights > 0, _marginals(P) - self.wanted(z, a, b, rho), z)

    def inverse(
        self, v: Array, z: Array, a: Array, b: Array, geometry: Geometry, rho: _Prices, *, transposed: bool = False
    ) -> Array:
        """J⁺v in the metric of the potentials, differentiable itself."""

        def diagonal(P: Array, z: Array, a: Array, b: Array, rho: _Prices) -> Array:
            xp = namespace_of(P)
            weights = xp.concat([a, b], axis=1)
            found = _marginals(P) / self.eps + xp.astype(weights <= 0, P.dtype)
            if not self.soft:
                return found
            inverse = [xp.zeros_like(x) + (0.0 if is_hard(r) else 1 / r) for x, r in zip((a, b), rho, strict=True)]
            return found + self.wanted(z, a, b, rho) * xp.concat(inverse, axis=1)

        def crossed(w: Array, P: Array) -> Array:
            n = P.shape[1]
            f, g = w[:, :n], w[:, n:]
            Pg, Pf = (P @ g[:, :, None])[:, :, 0], (f[:, None, :] @ P)[:, 0, :]
            return namespace_of(w).concat([Pg, Pf], axis=1) / self.eps

        def directions(a: Array, b: Array) -> Array:
            xp = namespace_of(a)
            return xp.concat([xp.astype(a > 0, a.dtype), -xp.astype(b > 0, b.dtype)], axis=1)

        def beside(v: Array, k: Array) -> Array:
            return v if self.soft else _beside(v, k)

        def solve(v: Array, z: Array, a: Array, b: Array, geometry: Geometry, rho: _Prices) -> tuple[Array, None]:
            P, k = self.plan(z, a, b, geometry), directions(a, b)
            root = namespace_of(P).sqrt(diagonal(P, z, a, b, rho))
            null = root * k / namespace_of(P).sqrt(_along(root * k, root * k))

            def regular(u: Array) -> Array:
                u, w = u + crossed(u / root, P) / root, u
                return u if self.soft else u + null * _along(null, w)

            u = conjugate_gradient(regular, beside(v, k) / root, axis=1)
            return beside(u / root, k), None

        def condition(w: Array, v: Array, z: Array, a: Array, b: Array, geometry: Geometry, rho: _Prices) -> Array:
            P, k = self.plan(z, a, b, geometry), directions(a, b)
            return diagonal(P, z, a, b, rho) * w + crossed(w, P) - beside(v, k)

        def again(u: Array, w: Array, v: Array, *args: Any, transposed: bool) -> Array:
            return self.inverse(u, *args)

        found, _ = implicitly(solve, condition, (v, z, a, b, geometry, rho), inverse=again)
        return found


@native
def weighted(weights: Array, z: Array) -> Array:
    """weights·z, where z stands for −∞ and the product for 0 where there is no weight."""
    return weights * z


@rule("weighted")
def _(xp: Any, out: Array, weights: Array, z: Array) -> list[Map]:
    potentials = _without_mass(z, weights)

    def by_weight(t: Array) -> Array:
        return xp.where(t == 0, xp.zeros_like(t), t * potentials)  # 0·∞ = 0: who leaves the weight alone

    def by_potential(t: Array) -> Array:
        return weights * t

    return [Map(by_weight, by_weight), Map(by_potential, by_potential)]


def _marginals(P: Array) -> Array:
    """(P1, Pᵀ1)."""
    xp = namespace_of(P)
    return xp.concat([xp.sum(P, axis=2), xp.sum(P, axis=1)], axis=1)


def _beside(v: Array, k: Array) -> Array:
    """v less its part along k."""
    return v - k * (_along(k, v) / _along(k, k))


def _along(u: Array, v: Array) -> Array:
    """⟨u, v⟩ of every problem, (B, 1)."""
    return namespace_of(u).sum(u * v, axis=1, keepdims=True)
