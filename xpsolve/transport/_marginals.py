"""What the marginals of the plan must be: equal to a and b, or near them at a price (Chizat et al. 2018).

    balanced     P1 = a                                    u ← a/p,  p = Kv
    unbalanced   ρ KL(P1 | a) in the objective:
                 P1 = a e^{−f/ρ} = a u^{−ε/ρ}              u ← (a/p)^{ρ/(ρ+ε)}

and so for b.  KL(r | a) = Σ r log(r/a) − r + a.  Both are u ← u (t/(u p))^λ for the marginal t that u asks for; t = a
and λ = 1 where ρ = ∞.  For P = exp((f ⊕ g − M)/ε) primal less dual value is the gap

    ρ₁ KL(P1 | a e^{−f/ρ₁}) + ρ₂ KL(Pᵀ1 | b e^{−g/ρ₂}) ≥ 0,    ε KL in place of ρ KL where ρ = ∞

and gap/(ε ΣP) ≥ KL(P | P*)/ΣP, since the primal objective is strongly convex: it says how far P is from the best plan.
Before a solve, a and b are multiplied so that their masses agree, which moves f and g by constants; during it the best
such constants are taken at every check, since plain steps are slow to find them (Séjourné, Vialard & Peyré 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xpsolve.arrays import (
    Array,
    check_positive,
    holds,
    is_array,
    is_concrete,
    is_goal,
    limits_of,
    namespace_of,
    native,
)
from xpsolve.transport._kernels import deviation, logarithm, pairing, relaxed

if TYPE_CHECKING:
    from xpsolve.transport._problem import Problem

LEAST = 0.9  # part of tol at which the loop stops: rounding must not carry the certificate above


@dataclass(frozen=True)
class Balanced:
    """Marginals that are a and b; u and v are logarithms where `log`."""

    problem: Problem
    log: bool

    certificate_name = "(‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁)/Σa"

    @cached_property
    def mass(self) -> Array:
        """Σ a, (B, 1): the unit of every error."""
        return self.problem.xp.sum(self.problem.a, axis=1, keepdims=True)

    def measured(self, error: Any) -> Any:
        """The certificate, of the error that falls linearly."""
        return error

    def goal(self, tol: float) -> float:
        """The error at which the loop stops: never where tol is 0, which takes exactly max_iter iterations."""
        return LEAST * tol if is_goal(tol) else -1.0

    def rounding(self, span: Any) -> Any:
        """What rounding of the potentials does to the error."""
        return 8 * limits_of(self.problem.a).eps * (4 + span / self.problem.eps)

    def absorbed(self, f: Array, g: Array) -> tuple[Array, ...]:
        """a and b in the units of a kernel that has absorbed f and g, where they differ from a and b."""
        return ()

    def soft(self, side: int, weight: Array, p: Array, eps: Array) -> Array:
        """log u, of the logarithms of a weight and of p."""
        return weight - p

    def update(
        self, side: int, u: Array, weight: Array, p: Array, omega: Array, eps: Array, positive: bool = False
    ) -> Array:
        """The next u by a step ω; `positive` says that the weights are known to be."""
        if self.log:
            return u + omega * (weight - p - u)
        return relaxed(u, weight, p, omega, positive)

    def error(self, u: Array, v: Array, p: Array, q: Array, weights: tuple[Array, ...], eps: Array) -> Array:
        """How far the marginals u·p and v·q are from right, (B, 1)."""
        a, b = self.problem.a, self.problem.b
        if not self.log:
            return (deviation(u, p, a) + deviation(v, q, b)) / self.mass
        exp = self.problem.xp.exp
        return self._off(exp(u + p), exp(v + q))

    def _off(self, rows: Array, columns: Array) -> Array:
        norm = self.problem.xp.linalg.vector_norm
        off = [
            norm(x - a, ord=1, axis=1, keepdims=True) for x, a in ((rows, self.problem.a), (columns, self.problem.b))
        ]
        return (off[0] + off[1]) / self.mass

    def potential(self, side: int, absorbed: Array, u: Array, eps: Array) -> Array:
        """f, of what the kernel has absorbed and of u."""
        return u * eps if self.log else absorbed + eps * logarithm(u)

    def certificate(self, f: Array, g: Array, rows: Array, columns: Array) -> Array:
        """The certificate of potentials whose plan has these marginals, (B,)."""
        xp, a, b = self.problem.xp, self.problem.a, self.problem.b
        return (xp.sum(xp.abs(rows - a), axis=1) + xp.sum(xp.abs(columns - b), axis=1)) / self.mass[:, 0]

    def value(self, f: Array, g: Array, rows: Array) -> Array:
        """The dual value, (B,)."""
        problem = self.problem
        value = pairing(problem.a, f) + pairing(problem.b, g)
        return value - problem.eps * problem.xp.sum(rows, axis=1)


@dataclass(frozen=True)
class Unbalanced(Balanced):
    """Marginals that are near a and b in the sense of KL, at the price ρ."""

    certificate_name = "duality gap/(ε ΣP)"

    @cached_property
    def inverse(self) -> tuple[Any, Any]:
        """1/ρ of each side, 0 where it is ∞."""
        return tuple(0.0 if is_hard(rho) else 1 / rho for rho in self.problem.rho)  # type: ignore[return-value]

    @property
    def least(self) -> Array:
        """The smallest mass of a plan that errors are relative to: a rounding unit of what there is, (B, 1)."""
        return limits_of(self.problem.a).eps * self.mass

    def measured(self, error: Any) -> Any:
        """The gap, which falls quadratically."""
        return error * error

    def goal(self, tol: float) -> float:
        """The square root of the gap at which the loop stops."""
        return (LEAST * tol) ** 0.5 if is_goal(tol) else -1.0

    def rounding(self, span: Any) -> Any:
        """What rounding of the potentials does to the square root of the gap."""
        sizes = [(rho / self.problem.eps) ** 0.5 for rho in self.problem.rho if not is_hard(rho)]
        return super().rounding(span) * (2 + sum(size + 1 / size for size in sizes))

    def absorbed(self, f: Array, g: Array) -> tuple[Array, ...]:
        """a e^{−f/ρ₁} and b e^{−g/ρ₂}."""
        sides = zip((self.problem.a, self.problem.b), (f, g), self.inverse, strict=True)
        return tuple(reweighted(a, z, inverse) for a, z, inverse in sides)

    def soft(self, side: int, weight: Array, p: Array, eps: Array) -> Array:
        """log u, of the logarithms of a weight and of p."""
        return (weight - p) / (1 + eps * self.inverse[side])

    def update(
        self, side: int, u: Array, weight: Array, p: Array, omega: Array, eps: Array, positive: bool = False
    ) -> Array:
        """The next u by a step ω; 0 where no mass can be moved at all."""
        power = eps * self.inverse[side]
        step = omega / (1 + power)
        if self.log:
            return u + step * (weight - power * u - p - u)
        if is_hard(self.problem.rho[side]):
            return relaxed(u, weight, p, omega)
        return relaxed(u, sought(u, weight, p, power), p, step)

    def error(self, u: Array, v: Array, p: Array, q: Array, weights: tuple[Array, ...], eps: Array) -> Array:
        """The square root of the relative gap, (B, 1)."""
        a, b = weights
        powers = [eps * inverse for inverse in self.inverse]
        if self.log:
            exp = self.problem.xp.exp
            t = exp(a - powers[0] * u), exp(b - powers[1] * v)
            return self._gap((exp(u + p), exp(v + q)), t, powers)
        one = self.problem.xp.ones_like(eps)
        return self._gap((u * p, v * q), (sought(u, a, one, powers[0]), sought(v, b, one, powers[1])), powers)

    def _gap(self, marginals: tuple[Array, Array], wanted: tuple[Array, Array], powers: list[Any]) -> Array:
        xp = self.problem.xp
        hard = [is_hard(rho) for rho in self.problem.rho]
        gap = sum(
            divergence(r, t) / (1.0 if exact else power)
            for r, t, power, exact in zip(marginals, wanted, powers, hard, strict=True)
        )
        moved = xp.sum(marginals[0], axis=1, keepdims=True)
        return xp.sqrt(gap / xp.maximum(moved, self.least))

    def centred(
        self, u: Array, v: Array, p: Array, q: Array, weights: tuple[Array, ...], eps: Array, omega: Array
    ) -> tuple[Array, Array, Array, Array]:
        """The best constant between f and g: that of equal masses of the marginals that u and v ask for."""
        xp, (a, b) = self.problem.xp, weights
        k, l = (eps * inverse for inverse in self.inverse)
        if self.log:
            t, s = xp.exp(a - k * u), xp.exp(b - l * v)
        else:
            one = xp.ones_like(eps)
            t, s = sought(u, a, one, k), sought(v, b, one, l)
        ratio = xp.sum(t, axis=1, keepdims=True) / xp.sum(s, axis=1, keepdims=True)
        sound = (omega > 0) & (ratio > 0) & xp.isfinite(ratio)
        shift = xp.log(xp.where(sound, ratio, xp.ones_like(ratio))) / (k + l)
        if self.log:
            return u + shift, v - shift, p - shift, q + shift
        factor = xp.exp(shift)
        return u * factor, v / factor, p / factor, q * factor

    def potential(self, side: int, absorbed: Array, u: Array, eps: Array) -> Array:
        """f; where no mass can be moved, so large that none is asked for."""
        f = super().potential(side, absorbed, u, eps)
        rho = self.problem.rho[side]
        if self.log or is_hard(rho):
            return f
        xp, weight = self.problem.xp, (self.problem.a, self.problem.b)[side]
        top = xp.maximum(absorbed, xp.zeros_like(f) + _emptied(f) * rho)
        return xp.where((u > 0) | (weight == 0), f, top)

    def certificate(self, f: Array, g: Array, rows: Array, columns: Array) -> Array:
        """The relative gap, (B,)."""
        powers = [self.problem.eps * inverse for inverse in self.inverse]
        sides = zip(self.problem.given, (f, g), self.inverse, strict=True)
        error = self._gap((rows, columns), tuple(reweighted(a, z, inverse) for a, z, inverse in sides), powers)
        return (error * error)[:, 0]

    def value(self, f: Array, g: Array, rows: Array) -> Array:
        """ρ₁⟨a, 1 − e^{−f/ρ₁}⟩ + ρ₂⟨b, 1 − e^{−g/ρ₂}⟩ − ε ΣP for the weights that were given, (B,)."""
        problem = self.problem
        parts = [pairing(a, paid(z, rho)) for a, z, rho in zip(problem.given, (f, g), problem.rho, strict=True)]
        return parts[0] + parts[1] - problem.eps * problem.xp.sum(rows, axis=1)


def marginals_of(problem: Problem, log: bool) -> Balanced:
    """What the marginals of a problem must be."""
    return (Balanced if problem.balanced else Unbalanced)(problem, log)


def check_marginal(marginal: Any, eps: Any, dtype: Any) -> tuple[float, float]:
    """ρ of both sides, checked; beside an ε that is an array as far as no value has to be read."""
    pair = isinstance(marginal, tuple | list)
    if pair and len(marginal) != 2:
        message = f"marginal: expected a number or a pair of them, got {len(marginal)} numbers."
        raise ValueError(message)
    found = []
    for k in range(2):
        value, name = (marginal[k], f"marginal[{k}]") if pair else (marginal, "marginal")
        if isinstance(value, float) and value == math.inf:
            found.append(math.inf)
            continue
        rho = check_positive(value, name, dtype=dtype)
        if is_array(eps):
            if not is_concrete(eps):
                holds(namespace_of(eps).all((rho / eps >= 2.0**-100) & (rho / eps <= 2.0**100)))
        elif not 2.0**-100 <= rho / eps <= 2.0**100:
            message = f"{name}: expected inf, or a number between 2⁻¹⁰⁰ and 2¹⁰⁰ times eps, got {rho:.3g}."
            raise ValueError(message)
        found.append(rho)
    return found[0], found[1]


def is_hard(rho: Any) -> bool:
    """Whether a marginal is held exactly."""
    return isinstance(rho, float) and math.isinf(rho)


def paid(f: Array, rho: Any) -> Array:
    """What a potential adds to the dual value for each unit of weight: ρ(1 − e^{−f/ρ}), and f where ρ = ∞."""
    return f if is_hard(rho) else -rho * namespace_of(f).expm1(-f / rho)


def levelled(a: Array, b: Array, rho: tuple[Any, Any]) -> tuple[Array, Array, Array]:
    """a e^{−c/ρ₁} and b e^{c/ρ₂}, whose masses agree, and c, (B, 1): their potentials are f − c and g + c."""
    xp = namespace_of(a)
    k, l = (0.0 if is_hard(r) else 1 / r for r in rho)
    ratio = xp.log(xp.sum(a, axis=1, keepdims=True) / xp.sum(b, axis=1, keepdims=True))
    c = ratio / (k + l)
    return a * xp.exp(-k * c), b * xp.exp(l * c), c


def _emptied(like: Array) -> float:
    """The x from which e^{−x} is no mass."""
    return -math.log(limits_of(like).smallest_normal)


@native
def reweighted(a: Array, f: Array, inverse: Any) -> Array:
    """a e^{−f/ρ} for 1/ρ; 0 where there is no weight."""
    xp = namespace_of(a)
    return xp.where(a > 0, a * xp.exp(-xp.where(a > 0, f, xp.zeros_like(f)) * inverse), xp.zeros_like(a))


@native
def sought(u: Array, a: Array, p: Array, power: Array) -> Array:
    """a u^{−k}, the marginal that u asks for; 0 where a, u or p is."""
    xp = namespace_of(u)
    some = (a > 0) & (u > 0) & (p > 0)
    return xp.where(some, a * xp.where(some, u, xp.ones_like(u)) ** (-power), xp.zeros_like(a))


@sought.register("cupy")
def _sought_cupy(u: Array, a: Array, p: Array, power: Array) -> Array:
    import cupy

    source = "z = a > 0 && u > 0 && p > 0 ? a * pow(u, -k) : T(0)"
    return cupy.ElementwiseKernel("T u, T a, T p, T k", "T z", source, "xpsolve_sought")(u, a, p, power)


def divergence(r: Array, t: Array) -> Array:
    """KL(r | t) = Σ r log(r/t) − r + t, (B, 1), to full accuracy also where r is nearly t."""
    xp, limits = namespace_of(r), limits_of(r)
    unit = xp.maximum(t, xp.full_like(t, limits.smallest_normal))
    d = xp.maximum((r - t) / unit, xp.full_like(t, limits.eps - 1))
    terms = unit * xp.maximum((1 + d) * xp.log1p(d) - d, xp.zeros_like(d))
    return xp.sum(terms, axis=1, keepdims=True)
