"""Sinkhorn's iterations on one problem, or on many at once.

The plan is P = diag(u) K diag(v), K = exp(−M/ε), and the potentials are f = ε log u, g = ε log v:

    scaling      v ← b/(Kᵀu),  u ← a/(Kv)
    stabilized   the same with K = exp((f ⊕ g − M)/ε): where u or v grows it moves into f and g (Schmitzer 2019)
    log          log u ← log a − log Σ_j exp(log v_j − M_ij/ε), and so log v

p = Kv and q = Kᵀu are kept with u and v, so that both marginals u·p and v·q are known after every iteration.

*Over-relaxation* takes u ← u^(1−ω) (a/p)^ω (Thibault et al. 2021; Lehmann et al. 2022), ω from the contraction that is
observed.  Where the error grows, the last good point comes back with plain steps.  *ε-scaling*: "stabilized" and "log"
begin with an ε that is large enough to be easy, and divide it by 4 each time that the marginals are nearly right.
*Averages*: where a histogram is taken onto itself at a symmetric cost, f and g are equal up to a constant, but plain
steps are slow to make them so.  There g is the mean of f and of the step from f (Knight, Ruiz & Uçar 2014; Feydy et al.
2019), and an error of the eigenvalue λ of the plan shrinks to λ(1 − λ)/2 of itself.
*Increments*: where K is large its products are taken in float32 on a base in float64, see `_increments`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from xpsolve.arrays import Array, composed, either, namespace_of
from xpsolve.transport._compiled import pays, scaling_steps
from xpsolve.transport._increments import Increments, increments, increments_at_one, sweep
from xpsolve.transport._kernels import NOTHING, known_positive, logarithm
from xpsolve.transport._marginals import Balanced, Unbalanced, marginals_of
from xpsolve.transport._problem import Problem, widest
from xpsolve.transport._relaxation import control
from xpsolve.transport._rows import Rows

_BEGIN = 50.0  # ε-scaling begins where the costs span this many ε
_NEXT = 0.03  # the error at which it continues with the next ε


class _State(NamedTuple):
    u: Array  # (B, n), for "log" its logarithm
    v: Array  # (B, m)
    p: Array  # Kv, (B, n)
    q: Array  # Kᵀu, (B, m)
    f: Array  # in K, (B, n) or (1, n)
    g: Array
    K: Any  # where it is kept
    eps: Array  # 0-d
    omega: Array  # (B, 1): 0 for a frozen problem, 1 for a plain step
    trust: Array  # (B, 1): part of ω − 1 that is taken
    age: Array  # (B, 1): iterations since it went back
    error: Array  # of the marginals, (B, 1)
    watched: Array  # the same; for a frozen problem 0, or half of the goal if rounding keeps it above
    floor: Array  # error that is rounding, 0-d
    good: Any  # u, v, p, q at the last check that was no worse than the one before
    low: Increments | None = None  # K in float32, where products are increments
    base: Any = ()  # the same at the last exact products, 0 before the first
    late: bool | None = None  # True where they were left out at the last check
    weights: Any = ()  # a and b in the units of u and v, where they are not those of the problem


@composed
def _worst(errors: Array) -> Array:
    return namespace_of(errors).max(errors)


@_worst.register("numpy")
def _worst_numpy(errors: Array) -> Array:
    return errors.max() if errors.size > 1 else errors[0, 0]


@dataclass(frozen=True)
class Iteration:
    """The iteration on one problem, or on many at once."""

    problem: Problem
    method: str
    tol: float
    relaxation: Any
    check_every: int
    mixed: bool
    span: float | None  # of the costs, where it is known
    averages: bool  # whether some problem takes a histogram onto itself

    @property
    def log(self) -> bool:
        """Whether u and v are logarithms."""
        return self.method == "log"

    @cached_property
    def marginals(self) -> Balanced:
        """What the marginals of the plan must be, and how steps lead there."""
        return marginals_of(self.problem, self.log)

    @cached_property
    def goal(self) -> float:
        """The error at which the loop stops."""
        return self.marginals.goal(self.tol)

    @cached_property
    def mirrored(self) -> Array | None:
        """Which problems take averages, (B, 1)."""
        return self.problem.mirrored if self.averages else None

    @cached_property
    def weights(self) -> tuple[Array, Array]:
        """a and b, or their logarithms."""
        if not self.log:
            return self.problem.a, self.problem.b
        return logarithm(self.problem.a), logarithm(self.problem.b)

    @cached_property
    def positive(self) -> tuple[bool, bool]:
        """Whether a and b are known to have no 0."""
        return (False, False) if self.log else (known_positive(self.problem.a), known_positive(self.problem.b))

    # --- the loop

    def step(self, s: _State) -> _State:
        """v, then u with one pass over K."""
        (a, b), (all_a, all_b), update = s.weights or self.weights, self.positive, self.marginals.update
        if self.mirrored is None:
            v = update(1, s.v, b, s.q, s.omega, s.eps, all_b)
        else:
            xp = self.problem.xp
            mean = self.mirrored & (s.omega > 0)
            v = update(1, xp.where(mean, s.u, s.v), b, s.q, xp.where(mean, s.omega / 2, s.omega), s.eps, all_b)
        p, u, q = self._swept(s, v, lambda p, i, j: update(0, s.u[:, i:j], a[:, i:j], p, s.omega, s.eps, all_a))
        return _State(u, v, p, q, *s[4:])

    @property
    def several(self) -> Callable[[_State, int], _State] | None:
        """Some steps at once, where a compiled loop takes them."""
        problem, kernel = self.problem, self.problem.kernel
        known = isinstance(kernel, Rows) and kernel.holds and problem.shares and problem.balanced
        if self.log or self.mixed or not known or self.mirrored is not None or not pays(problem.a, problem.b):
            return None

        def several(s: _State, steps: int) -> _State:
            u, v, p, q = scaling_steps(s.K, problem.a, problem.b, s.u, s.v, s.q, s.omega, steps)
            return _State(u, v, p, q, *s[4:])

        return several

    def _swept(self, s: _State, v: Array, update: Callable[[Array, int, int], Array]) -> tuple[Array, Array, Array]:
        kernel = self.problem.kernel
        if self.log:
            return kernel.soft_sweep(s.eps, v, update)
        if s.low is not None:
            return sweep(s.low, s.base, v, update)
        return kernel.sweep(s.K, s.f, s.g, s.eps, v, update)

    def error(self, s: _State) -> Array:
        """How far the marginals are from right, (B, 1)."""
        return self.marginals.error(s.u, s.v, s.p, s.q, s.weights or self.weights, s.eps)

    def measure(self, s: _State) -> Array:
        """The largest error of those that are not frozen; −1 asks for `renew`."""
        xp = self.problem.xp
        worst = _worst(s.watched)
        if not self.renews:
            return worst
        again = worst <= _NEXT
        if self.method != "scaling":
            again = again & (s.eps > self.problem.eps)
            if self.method == "stabilized":
                again = again | self._grown(s)
        elif s.low is not None:
            again = self._grown(s)
        else:
            again = again & (worst > self.goal)
        return xp.where(again, -xp.ones_like(worst), worst)

    @property
    def renews(self) -> bool:
        """Whether the kernel changes on the way: under "scaling" only that in float32, which is made at a point."""
        return self.method != "scaling" or (self.mixed and not self._shared)

    @property
    def _shared(self) -> bool:
        """Whether "scaling" has one kernel for many problems."""
        return self.problem.a.shape[0] > 1 and self.problem.shares

    def _grown(self, s: _State) -> Array:
        """Whether some u or v has grown or shrunk so much that it should move into the kernel."""
        xp = self.problem.xp
        limit = 1e8 if s.u.dtype != xp.float64 else 1e12 if s.low is not None else 1e30
        u, v = (s.u, s.v) if s.low is None else (s.u * s.low.to_u, s.v * s.low.to_v)
        largest = [
            xp.max(xp.where(x > 0, xp.maximum(x, a / x), a)) for x, a in ((u, self.problem.a), (v, self.problem.b))
        ]
        return (xp.maximum(*largest) > limit) & xp.any(s.watched > self.goal)

    def refresh(self, s: _State) -> _State:
        """Check the error: freeze where it is small, go back where it has grown, and choose ω."""
        xp = self.problem.xp
        exact = s.late is True  # every second time: until then little is left out
        if exact:
            p, _, q = self.problem.kernel.sweep(s.K, s.f, s.g, s.eps, s.v, lambda p, i, j: s.u[:, i:j])
            s = s._replace(p=p, q=q)
        s = self._centred(s)
        fixed = 0.0 if self.relaxation == "auto" else float(self.relaxation)
        omega, trust, age, error, watched, back = control(
            self.error(s),
            s.error,
            s.omega,
            s.trust,
            s.age,
            s.floor,
            s.eps <= self.problem.eps,
            self.goal,
            float(min(self.check_every, 10**6)),
            fixed,
        )
        if self.mirrored is not None:
            omega = xp.where(self.mirrored, xp.minimum(omega, xp.ones_like(omega)), omega)
        u, v, p, q = good = either(back, s.good, (s.u, s.v, s.p, s.q))
        return s._replace(
            u=u,
            v=v,
            p=p,
            q=q,
            omega=omega,
            trust=trust,
            age=age,
            error=error,
            watched=watched,
            good=good,
            base=good if exact else s.base,
            late=None if exact or s.low is None else True,
        )

    def _centred(self, s: _State) -> _State:
        """The same plan with the best constant between f and g, where it matters."""
        if not isinstance(self.marginals, Unbalanced):
            return s
        weights = s.weights or self.weights
        u, v, p, q = self.marginals.centred(s.u, s.v, s.p, s.q, weights, s.eps, s.omega)
        return s._replace(u=u, v=v, p=p, q=q)

    def _floor(self) -> Array:
        """What rounding of the potentials does to the marginals."""
        low, high = self.problem.range
        return self.marginals.rounding(high - low)

    # --- where it starts, changes and ends

    def start(self) -> _State:
        """From u = 1, or from potentials that were given."""
        problem, xp = self.problem, self.problem.xp
        a, b = problem.a, problem.b
        low, high = problem.range  # kept, as the weights: what is first made while JAX traces the loop would not be
        _ = self.weights, self.marginals.mass, self.mirrored
        eps = problem.scalar(problem.eps)
        if self.method == "scaling":
            # the smallest cost goes into g, so that K has entries near 1; f and g stay the same for all problems
            zero = xp.zeros_like(a[:1, :]), xp.zeros_like(b[:1, :]) + low
            if not problem.balanced:  # where f and g may be equal, K should have absorbed equal parts
                zero = zero[0] + low / 2, zero[1] - low / 2
            u, v = xp.ones_like(a), xp.ones_like(b)
            if problem.x0 is not None:
                f, g = problem.x0
                top = xp.max(xp.where(a > 0, f, xp.full_like(f, -xp.inf)), axis=1, keepdims=True)
                u, v = xp.exp((f - top) / eps), xp.exp((g + (top - low)) / eps)  # the constant between them is free
            K = problem.kernel.hold(*zero, eps)
            narrow = self.span is not None and self.span <= widest(xp, xp.float32) * problem.eps
            u, v = self._with_mass(u, v, 0.0)
            return self._fresh(u, v, zero, K, eps, lower=narrow)
        f, _ = problem.x0 or (xp.zeros_like(a), None)
        if problem.x0 is None:
            eps = xp.maximum(eps, (high - low) / _BEGIN)
        F = xp.where(a > 0, f / eps, xp.full_like(a, NOTHING))
        return self._log_start(F, eps)

    def _fresh(
        self, u: Array, v: Array, absorbed: tuple[Array, Array], K: Any, eps: Array, *, lower: bool = True
    ) -> _State:
        """A state with p and q for u and v, and nothing learnt yet."""
        xp = self.problem.xp
        one = xp.ones_like(u[:, :1])
        blank = _State(u, v, u, v, *absorbed, K, eps, one, one, one, one, one, eps, ())
        blank = blank._replace(weights=self.marginals.absorbed(*absorbed))
        p, _, q = self._swept(blank, v, lambda p, i, j: u[:, i:j])
        begun = self._begun(blank._replace(p=p, q=q))
        if not (self.mixed and lower):
            return begun
        i = slice(0, 1 if self._shared else None)
        low = increments_at_one(K, u[i, :], v[i, :])
        return begun._replace(low=low, base=tuple(xp.zeros_like(x) for x in begun.good))

    def _begun(self, s: _State) -> _State:
        s = self._centred(s)
        error, one = self.error(s), s.trust
        rests = (error <= self.goal) & (s.eps <= self.problem.eps)
        zero = 0 * one
        omega, watched = either(rests, (zero, zero), (one, error))
        return s._replace(
            omega=omega,
            trust=one,
            age=zero,
            error=error,
            watched=watched,
            floor=self._floor(),
            good=(s.u, s.v, s.p, s.q),
        )

    def _log_start(self, F: Array, eps: Array) -> _State:
        """Two soft minima from F = f/ε: the potentials are then right for ε up to a plain iteration."""
        xp, (la, lb) = self.problem.xp, (logarithm(self.problem.a), logarithm(self.problem.b))
        kernel = self.problem.kernel
        V = self.marginals.soft(1, lb, kernel.soft_columns(eps, F), eps)
        if self.mirrored is not None:
            V = xp.where(self.mirrored, (F + V) / 2, V)
        P = kernel.soft_rows(eps, V)
        U = self.marginals.soft(0, la, P, eps)
        if self.mirrored is not None:
            U = xp.where(self.mirrored, V, U)  # equal, also in the kernel that absorbs them
        if not self.log:
            return self._absorbed(U * eps, V * eps, eps)
        Q = kernel.soft_columns(eps, U)
        one = xp.ones_like(U[:, :1])
        return self._begun(_State(U, V, P, Q, U, V, None, eps, one, one, one, one, one, eps, ()))

    def _absorbed(self, f: Array, g: Array, eps: Array) -> _State:
        xp, problem = self.problem.xp, self.problem
        f = xp.where(problem.a > 0, f, xp.zeros_like(f) + NOTHING)
        g = xp.where(problem.b > 0, g, xp.zeros_like(g) + NOTHING)
        u, v = (xp.astype(x > 0, x.dtype) for x in (problem.a, problem.b))
        return self._fresh(u, v, (f, g), problem.kernel.hold(f, g, eps), eps)

    def renew(self, s: _State) -> _State:
        """Potentials into the kernel, with a smaller ε while there is one to come."""
        xp, problem = self.problem.xp, self.problem  # what was learnt of ω stays
        if self.method == "scaling":
            unit = xp.mean(problem.a, axis=1, keepdims=True)
            return s._replace(low=increments(s.K, s.u, s.v, unit), base=s.good, late=None)
        smaller = xp.maximum(s.eps / 4, problem.scalar(problem.eps))
        f, _ = self.potentials(s)
        new = self._log_start(f / smaller, smaller)
        return new._replace(omega=s.omega, trust=s.trust, age=s.age, watched=s.watched)

    def potentials(self, s: _State) -> tuple[Array, Array]:
        """f and g, with what the kernel has absorbed."""
        potential = self.marginals.potential
        return potential(0, s.f, s.u, s.eps), potential(1, s.g, s.v, s.eps)

    def answer(self, s: _State) -> tuple[Array, Array]:
        """The same for the weights that were given, −∞ where there is no mass."""
        (f, g), shift = self.potentials(s), self.problem.shift
        if shift is not None:
            f, g = f + shift, g - shift
        return self._with_mass(f, g, -self.problem.xp.inf)

    def scalings(self, s: _State, f: Array, g: Array) -> tuple[Array, Array]:
        """u and v with the plan diag(u) K diag(v) for potentials f and g."""
        if not self.problem.balanced:
            return s.u, s.v  # f may stand for a row that is empty
        xp, eps = self.problem.xp, self.problem.eps
        return xp.exp((f - s.f) / eps), xp.exp((g - s.g) / eps)

    def _with_mass(self, u: Array, v: Array, value: float) -> tuple[Array, Array]:
        """u and v, and this value at points without mass."""
        xp, (a, b), (all_a, all_b) = self.problem.xp, (self.problem.a, self.problem.b), self.positive
        if all_a and all_b:
            return u, v
        nothing = xp.full_like(a[:1, :1], value)
        return u if all_a else xp.where(a > 0, u, nothing), v if all_b else xp.where(b > 0, v, nothing)

    def finish(self, s: _State) -> tuple[Array, Array, Array, Array]:
        """Potentials, their certificate, (B,), and the dual value."""
        problem = self.problem
        f, g = self.answer(s)
        if self.method == "scaling" and problem.balanced:  # K is known, and so are exp(f/ε) and exp(g/ε)
            u, v = self.scalings(s, f, g)
            p, _, q = problem.kernel.sweep(s.K, s.f, s.g, s.eps, v, lambda p, i, j: u[:, i:j])
            rows, columns = u * p, v * q
        else:
            rows, columns = problem.kernel.marginals(f, g, problem.scalar(problem.eps))
        certificate = self.marginals.certificate(f, g, rows, columns)
        return f, g, certificate, self.marginals.value(*self._with_mass(f, g, 0.0), rows)
