"""Sinkhorn's steps on one problem of moderate size in a compiled loop, for NumPy arrays.

A step is a few operations on a row of K: with p_i = K_i v also u_i is known, and u_i K_i is added to q = Kᵀu while the
row is at hand, so that K is read once and not twice.  Four rows at a time share what is read of v and q.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays import Array, composed
from xpsolve.arrays.numba_loop import can_compile, can_compile_small, fixed, numba_loop
from xpsolve.transport._kernels import relaxed
from xpsolve.transport._rows import times, times_transposed

_MOST = 1 << 17  # entries of K up to which the loop is faster


def pays(a: Array, b: Array) -> bool:
    """Whether `scaling_steps` is compiled and faster than single steps for one problem with these weights."""
    if type(a) is not np.ndarray or a.shape[0] != 1 or a.shape[1] * b.shape[1] > _MOST:
        return False
    return can_compile_small()


@composed
def scaling_steps(
    K: Array, a: Array, b: Array, u: Array, v: Array, q: Array, omega: Array, steps: int
) -> tuple[Array, Array, Array, Array]:
    """(u, v, p, q) after some steps  v ← v(b/(vq))^ω,  p = Kv,  u ← u(a/(up))^ω,  q = Kᵀu.

    K is (n, m), ω (1, 1), all else (1, n) or (1, m); nothing is written to.
    """
    p = u
    for _ in range(steps):
        v = relaxed(v, b, q, omega)
        p = times(K, v)
        u = relaxed(u, a, p, omega)
        q = times_transposed(K, u)
    return u, v, p, q


@scaling_steps.register("numpy")
def _scaling_steps_numpy(
    K: Array, a: Array, b: Array, u: Array, v: Array, q: Array, omega: Array, steps: int
) -> tuple[Array, Array, Array, Array]:
    if not can_compile():
        return scaling_steps.standard(K, a, b, u, v, q, omega, steps)  # type: ignore[no-any-return]
    given = (fixed(np.ascontiguousarray(x)) for x in (K, a[0], b[0]))
    u, v, q = (np.array(x[0]) for x in (u, v, q))
    p = np.empty_like(u)
    _loop(*given, u, v, p, q, omega[0, 0], steps)
    return u[None], v[None], p[None], q[None]


def _next(u: Any, a: Any, p: Any, omega: Any) -> Any:
    """u(a/(up))^ω, 0 where a is.  A plain step, ω = 1, takes no power."""
    zero = omega * 0
    if omega == 1:
        return a / p if a > zero else zero
    mass = u * p
    return u * (a / mass if mass > zero or a > zero else a) ** omega


@numba_loop(_next)
def _loop(K: Any, a: Any, b: Any, u: Any, v: Any, p: Any, q: Any, omega: Any, steps: Any) -> None:
    """The steps, in place."""
    n, m = K.shape
    zero = omega * 0
    fours = n - n % 4
    for _ in range(steps):
        for j in range(m):
            v[j] = _next(v[j], b[j], q[j], omega)
            q[j] = zero
        for i in range(0, fours, 4):
            c, d, e, f = K[i], K[i + 1], K[i + 2], K[i + 3]
            r = s = t = w = zero
            for j in range(m):
                r += c[j] * v[j]
                s += d[j] * v[j]
                t += e[j] * v[j]
                w += f[j] * v[j]
            p[i], p[i + 1], p[i + 2], p[i + 3] = r, s, t, w
            for k in range(i, i + 4):
                u[k] = _next(u[k], a[k], p[k], omega)
            r, s, t, w = u[i], u[i + 1], u[i + 2], u[i + 3]
            for j in range(m):
                q[j] += r * c[j] + s * d[j] + t * e[j] + w * f[j]
        for i in range(fours, n):
            r = zero
            for j in range(m):
                r += K[i, j] * v[j]
            p[i] = r
            u[i] = r = _next(u[i], a[i], r, omega)
            for j in range(m):
                q[j] += r * K[i, j]
