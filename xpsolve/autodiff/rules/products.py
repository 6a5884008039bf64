"""Products of vectors, matrices and tensors: linear in each factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace, adjoint, conjugate
from xpsolve.autodiff.rules.table import Map, aligned, hermitian, negative, rule, same, seeds, unbroadcast


@rule("matmul", "linalg.matmul")
def _matmul(xp: Namespace, out: Array, x: Array, y: Array) -> list[Map]:
    if x.ndim == 2 and y.ndim == 1:
        return [
            Map(lambda t: t @ y, lambda g: g[..., :, None] * y),
            Map(lambda t: t @ xp.matrix_transpose(x), lambda g: g @ x),
        ]
    if x.ndim == 1 and y.ndim == 1:
        return [Map(lambda t: t @ y, lambda g: g[..., None] * y), Map(lambda t: t @ x, lambda g: g[..., None] * x)]
    X = x[None, :] if x.ndim == 1 else x
    Y = y[:, None] if y.ndim == 1 else y
    ndim = max(X.ndim, Y.ndim)
    stack = (*out.shape[: ndim - 2], X.shape[-2], Y.shape[-1])

    def matrices(t: Array, v: Array, V: Array) -> Array:
        """A tangent of `v` as one of the matrices `V`, so that it broadcasts as they do."""
        t = xp.reshape(t, (*seeds(t, v), *V.shape)) if v.ndim < V.ndim else t
        return aligned(xp, t, V.ndim, ndim)

    def shaped(M: Array, lead: tuple[int, ...]) -> Array:
        return M if tuple(M.shape) == (*lead, *out.shape) else xp.reshape(M, (*lead, *out.shape))

    def gradient(product: Callable[[Array], Array], g: Array, v: Array, V: Array) -> Array:
        lead = seeds(g, out)
        M = product(xp.reshape(g, (*lead, *stack)) if v is not V or out.ndim < ndim else g)
        M = unbroadcast(xp, M, tuple(V.shape), len(lead))
        return M if v is V else xp.reshape(M, (*lead, *v.shape))

    return [
        Map(
            lambda t: shaped(matrices(t, x, X) @ Y, seeds(t, x)),
            lambda g: gradient(lambda G: G @ xp.matrix_transpose(Y), g, x, X),
        ),
        Map(
            lambda t: shaped(X @ matrices(t, y, Y), seeds(t, y)),
            lambda g: gradient(lambda G: xp.matrix_transpose(X) @ G, g, y, Y),
        ),
    ]


@rule("vecdot", "linalg.vecdot")
def _vecdot(xp: Namespace, out: Array, x: Array, y: Array, axis: int = -1) -> list[Map]:
    """Σ x̄y: the first factor is conjugated."""
    ndim = max(x.ndim, y.ndim)

    def part(v: Array, other: Array, first: bool) -> Map:
        turned = conjugate if first else same

        def push(t: Array) -> Array:
            return xp.sum(turned(aligned(xp, t, v.ndim, ndim)) * other, axis=axis)

        def pull(g: Array) -> Array:
            return turned(unbroadcast(xp, xp.expand_dims(g, axis=axis) * other, tuple(v.shape), g.ndim - out.ndim))

        return Map(push, pull)

    return [part(x, y, True), part(y, conjugate(x), False)]


@rule("tensordot", "linalg.tensordot")
def _tensordot(xp: Namespace, out: Array, x: Array, y: Array, axes: Any = 2) -> list[Map]:
    if isinstance(axes, int):
        over_x, over_y = tuple(range(-axes, 0)), tuple(range(-y.ndim, axes - y.ndim))
    else:
        over_x, over_y = negative(axes[0], x.ndim), negative(axes[1], y.ndim)
    free_x = [a for a in range(-x.ndim, 0) if a not in over_x]
    free_y = [a for a in range(-y.ndim, 0) if a not in over_y]

    # as matrices (free x, over) and (over, free y), seeds first
    def matrix(t: Array, v: Array, first: Any, second: Any) -> Array:
        lead = seeds(t, v)
        order = (*range(len(lead)), *(a + t.ndim for a in (*first, *second)))
        sizes = [math.prod(v.shape[a] for a in part) for part in (first, second)]
        return xp.reshape(xp.permute_dims(t, order), (*lead, *sizes))

    def back(M: Array, v: Array, first: Any, second: Any, lead: tuple[int, ...]) -> Array:
        order = [*first, *second]
        shaped = xp.reshape(M, (*lead, *(v.shape[a] for a in order)))
        places = [len(lead) + order.index(a) for a in range(-v.ndim, 0)]
        return xp.permute_dims(shaped, (*range(len(lead)), *places))

    rows, columns = math.prod(x.shape[a] for a in free_x), math.prod(y.shape[a] for a in free_y)

    def shaped(M: Array, lead: tuple[int, ...]) -> Array:
        return xp.reshape(M, (*lead, *out.shape))

    def full(g: Array) -> tuple[Array, tuple[int, ...]]:
        return xp.reshape(g, (*seeds(g, out), rows, columns)), seeds(g, out)

    X, Y = matrix(x, x, free_x, over_x), matrix(y, y, over_y, free_y)

    def pull_x(g: Array) -> Array:
        G, lead = full(g)
        return back(G @ xp.matrix_transpose(Y), x, free_x, over_x, lead)

    def pull_y(g: Array) -> Array:
        G, lead = full(g)
        return back(xp.matrix_transpose(X) @ G, y, over_y, free_y, lead)

    return [
        Map(lambda t: shaped(matrix(t, x, free_x, over_x) @ Y, seeds(t, x)), pull_x),
        Map(lambda t: shaped(X @ matrix(t, y, over_y, free_y), seeds(t, y)), pull_y),
    ]


@rule("linalg.outer")
def _outer(xp: Namespace, out: Array, x: Array, y: Array) -> list[Map]:
    return [
        Map(lambda t: t[..., :, None] * y, lambda g: g @ y),
        Map(lambda t: x[:, None] * t[..., None, :], lambda g: xp.matrix_transpose(g) @ x),
    ]


@rule("linalg.cross")
def _cross(xp: Namespace, out: Array, x: Array, y: Array, axis: int = -1) -> list[Map]:
    if tuple(x.shape) != tuple(y.shape):
        message = "linalg.cross: broadcasting has no derivative rule; use broadcast_to first."
        raise NotImplementedError(message)
    (axis,) = negative(axis, x.ndim)

    def cross(a: Array, b: Array) -> Array:
        a, b = xp.broadcast_arrays(a, b)
        return xp.linalg.cross(a, b, axis=axis)

    return [Map(lambda t: cross(t, y), lambda g: cross(y, g)), Map(lambda t: cross(x, t), lambda g: cross(g, x))]


@rule("linalg.matrix_power")
def _matrix_power(xp: Namespace, out: Array, A: Array, n: int) -> list[Map]:
    """Σ Aⁱ t Aⁿ⁻¹⁻ⁱ; for n < 0 of the inverse B, with −B t B."""
    base = A if n >= 0 else xp.linalg.inv(A)
    powers = [xp.linalg.matrix_power(base, i) for i in range(abs(n))]

    def sum_of(t: Array, left: list[Array], right: list[Array]) -> Array:
        terms = [L @ t @ R for L, R in zip(left, right, strict=True)]
        return sum(terms[1:], terms[0]) if terms else xp.zeros_like(t)

    transposed = [xp.matrix_transpose(P) for P in powers]

    def push(t: Array) -> Array:
        return sum_of(t if n >= 0 else -(base @ t @ base), powers, powers[::-1])

    def pull(g: Array) -> Array:
        g = sum_of(g, transposed, transposed[::-1])
        B = xp.matrix_transpose(base)
        return g if n >= 0 else -(B @ g @ B)

    return [Map(push, pull)]


@rule("gram")
def _gram(xp: Namespace, out: Array, A: Array) -> list[Map]:
    def push(t: Array) -> Array:
        half = adjoint(A) @ t
        return half + adjoint(half)

    return [Map(push, hermitian(xp, lambda g: A @ (g + adjoint(g))))]
