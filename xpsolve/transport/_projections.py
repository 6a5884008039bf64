"""The iterations of barycentres: Bregman projections on products with K, and on logarithms.

    scaling   u_k ← a_k/(Kv_k),   b ← Π_k (v_k·Kᵀu_k)^{w_k},   v_k ← b/(Kᵀu_k)
    log       the same of log u, log v and log b, with soft minima in place of products
    debiased  b ← d·Π_k (Kᵀu_k)^{w_k},   d ← (d·b/(Kd))^{1/2}     (Janati, Cuturi & Gramfort 2020)

All k move together; each plan has its first marginal a_k, and the iteration makes their second marginals one.  "log"
begins with a large ε, and divides it by 4 each time that they nearly are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve.arrays import Array
from xpsolve.transport._kernels import NOTHING, relaxed
from xpsolve.transport._problem import Problem

_BEGIN, _NEXT = 50.0, 0.03  # ε-scaling begins where costs span this many ε, and continues at this error


class _State(NamedTuple):
    u: Array  # (k, n), for "log" its logarithm
    v: Array
    q: Array  # Kᵀu, (k, n)
    eps: Array  # 0-d
    d: Any = ()  # (1, n), where it is debiased, for "log" its logarithm
    Kd: Any = ()


class Scaling:
    """The iteration on products with K."""

    def __init__(self, problem: Problem, w: Array, debiased: bool) -> None:
        self.problem, self.xp, self.w, self.kernel, self.debiased = problem, problem.xp, w, problem.kernel, debiased
        zero = self.xp.zeros_like(problem.a[:1, :])
        self.absorbed = zero, zero + problem.range[0]  # the smallest cost, so that K has entries near 1
        self.eps = problem.scalar(problem.eps)
        self.K = self.kernel.hold(*self.absorbed, self.eps)
        self.unit = self.xp.ones_like(w)
        self.some = self.xp.astype(problem.a > 0, problem.a.dtype)
        self.mass = self.xp.sum(problem.a[0, :])
        self.least = self.xp.full_like(problem.a[:1, :1], self.xp.finfo(problem.a.dtype).smallest_normal)

    def _swept(self, v: Array, d: Any) -> _State:
        a = self.problem.a

        def update(p: Array, i: int, j: int) -> Array:
            return relaxed(self.some[:, i:j], a[:, i:j], p, self.unit)

        return self._with_d(v, d, self.eps, update, functools.partial(self.kernel.sweep, self.K, *self.absorbed))

    def _with_d(self, v: Array, d: Any, eps: Array, update: Callable[..., Array], sweep: Callable[..., Any]) -> _State:
        """A state from v; Kd comes from the same pass, in which d has a row of its own."""
        if not self.debiased:
            _, u, q = sweep(eps, v, update)
            return _State(u, v, q, eps)
        concat, k = self.xp.concat, v.shape[0]

        def both(p: Array, i: int, j: int) -> Array:
            return concat([update(p[:k, :], i, j), d[:, i:j]], axis=0)

        _, u, q = sweep(eps, concat([v, d], axis=0), both)
        return _State(u[:k, :], v, q[:k, :], eps, d, q[k:, :])

    def start(self) -> _State:
        """From v = 1 and d = 1."""
        one = self.xp.ones_like(self.problem.a)
        return self._swept(one, one[:1, :] if self.debiased else ())

    def step(self, s: _State) -> _State:
        """b, then v and u of every plan."""
        xp = self.xp
        if self.debiased:
            logarithms = xp.log(xp.maximum(s.q, self.least))
            b = xp.exp(xp.log(xp.maximum(s.d, self.least)) + xp.sum(self.w * logarithms, axis=0, keepdims=True))
            return self._swept(b / xp.maximum(s.q, self.least), xp.sqrt(s.d * b / xp.maximum(s.Kd, self.least)))
        logarithms = xp.log(xp.maximum(s.v * s.q, self.least))  # where no mass arrives
        b = xp.exp(xp.sum(self.w * logarithms, axis=0, keepdims=True))
        return self._swept(b / xp.maximum(s.q, self.least), ())

    def columns(self, s: _State) -> Array:
        """P_kᵀ1, (k, n)."""
        return s.v * s.q

    def own(self, s: _State) -> Array:
        """The marginal of the plan of b onto itself, (1, n)."""
        return s.d * s.Kd

    def mean(self, columns: Array) -> Array:
        """Σ_k w_k P_kᵀ1, (1, n)."""
        return self.xp.sum(self.w * columns, axis=0, keepdims=True)

    def answer(self, s: _State) -> Array:
        """The barycentre, (n,)."""
        return self.mean(self.columns(s))[0, :]

    def disagreement(self, s: _State) -> Array:
        """The largest ‖P_kᵀ1 − b‖₁/Σb."""
        columns = self.columns(s)
        b = self.mean(columns)
        if self.debiased:
            columns = self.xp.concat([columns, self.own(s)], axis=0)
        return self.xp.max(self.xp.sum(self.xp.abs(columns - b), axis=1)) / self.mass

    measure = disagreement


class Log(Scaling):
    """The same on logarithms, with soft minima."""

    def __init__(self, problem: Problem, w: Array, debiased: bool) -> None:
        self.problem, self.xp, self.w, self.kernel, self.debiased = problem, problem.xp, w, problem.kernel, debiased
        xp, a = self.xp, problem.a
        self.eps = problem.scalar(problem.eps)
        self.mass = xp.sum(a[0, :])
        some = a > 0
        self.log_a = xp.where(some, xp.log(xp.where(some, a, xp.ones_like(a))), xp.full_like(a, NOTHING))
        low, high = problem.range
        self.begin = xp.maximum(self.eps, (high - low) / _BEGIN)

    def _at(self, V: Array, D: Any, eps: Array) -> _State:
        return self._with_d(V, D, eps, lambda P, i, j: self.log_a[:, i:j] - P, self.kernel.soft_sweep)

    def start(self) -> _State:
        """From log v = 0 and a large ε."""
        zero = self.xp.zeros_like(self.log_a)
        return self._at(zero, zero[:1, :] if self.debiased else (), self.begin)

    def step(self, s: _State) -> _State:
        """log b, then log v and log u of every plan."""
        if self.debiased:
            B = s.d + self.xp.sum(self.w * s.q, axis=0, keepdims=True)
            return self._at(B - s.q, (s.d + B - s.Kd) / 2, s.eps)
        B = self.xp.sum(self.w * (s.v + s.q), axis=0, keepdims=True)
        return self._at(B - s.q, (), s.eps)

    def own(self, s: _State) -> Array:
        """The marginal of the plan of b onto itself, (1, n)."""
        return self.xp.exp(s.d + s.Kd)

    def columns(self, s: _State) -> Array:
        """P_kᵀ1, (k, n)."""
        return self.xp.exp(s.v + s.q)

    def measure(self, s: _State) -> Array:
        """The disagreement; −1 asks for `renew`."""
        found = self.disagreement(s)
        return self.xp.where((s.eps > self.eps) & (found <= _NEXT), -self.xp.ones_like(found), found)

    def renew(self, s: _State) -> _State:
        """The same potentials for a smaller ε."""
        eps = self.xp.maximum(s.eps / 4, self.eps)
        return self._at(s.v * (s.eps / eps), s.d * (s.eps / eps) if self.debiased else (), eps)
