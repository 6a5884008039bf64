"""Sinkhorn's steps on one small problem in a compiled loop, for NumPy arrays.

A step is a few operations on a row of K: with p_i = K_i v also u_i is known, and u_i K_i is added to q = Kᵀu while the
row is at hand.  For small K calls on whole arrays cost more than what they compute; products with a large one are left
to BLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpsolve.arrays import Array, composed
from xpsolve.arrays.numba_loop import can_compile, can_compile_small, fixed, numba_loop
from xpsolve.transport._kernels import relaxed
from xpsolve.transport._rows import times, times_transposed

_MOST = 1 << 14  # entries of K up to which the loop is faster


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


@numba_loop()
def _loop(K: Any, a: Any, b: Any, u: Any, v: Any, p: Any, q: Any, omega: Any, steps: Any) -> None:
    """The steps, in place.  A plain one, ω = 1, takes no power."""
    n, m = K.shape
    zero = omega * 0
    plain = omega == 1
    for _ in range(steps):
        for j in range(m):
            if plain:
                v[j] = b[j] / q[j] if b[j] > zero else zero
            else:
                mass = v[j] * q[j]
                ratio = b[j] / mass if mass > zero or b[j] > zero else b[j]
                v[j] *= ratio**omega
            q[j] = zero
        for i in range(n):
            total = zero
            for j in range(m):
                total += K[i, j] * v[j]
            p[i] = total
            if plain:
                u[i] = a[i] / total if a[i] > zero else zero
            else:
                mass = u[i] * total
                ratio = a[i] / mass if mass > zero or a[i] > zero else a[i]
                u[i] *= ratio**omega
            for j in range(m):
                q[j] += u[i] * K[i, j]
