"""Linear systems, inverses, determinants, traces and diagonals (Giles 2008, NA-08-01).

X = A⁻¹B:   Ẋ = A⁻¹(Ḃ − ȦX)        B̄ = A⁻ᵀX̄,  Ā = −B̄Xᵀ
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace, adjoint, conjugate, device_of, is_complex, solve_positive, solve_triangular
from xpsolve.autodiff.rules.table import Map, hermitian, passed, rule, seeds, unbroadcast


def transpose(xp: Namespace, A: Array) -> Array:
    """Aᵀ of each matrix."""
    return xp.matrix_transpose(A)


def _columns(xp: Namespace, solve: Callable[[Array], Array], B: Array) -> Array:
    """Solve for seeds (k, n, m) of one system as (n, k·m): one factorisation for all."""
    if B.ndim != 3:
        return solve(B)
    k, n, m = B.shape
    X = solve(xp.reshape(xp.permute_dims(B, (1, 0, 2)), (n, k * m)))
    return xp.permute_dims(xp.reshape(X, (n, k, m)), (1, 0, 2))


def _once(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Keep the last result: both arguments of a solve need the same one."""
    last: list[Array] = []

    def kept(g: Array) -> Array:
        if not last or last[0] is not g:
            last[:] = [g, function(g)]
        return last[1]

    return kept


def _system(
    xp: Namespace,
    x: Array,
    b: Array,
    A_shape: tuple[int, ...],
    forth: Callable[[Array], Array],
    back: Callable[[Array], Array],
    mask: Callable[[Array], Array],
    flipped: bool,
) -> list[Map]:
    """X = A⁻¹B with `forth` for A⁻¹ and `back` for A⁻ᵀ; `mask` keeps what is read of A, `flipped` if that is Aᴴ."""
    vector = b.ndim == 1
    X = x[..., None] if vector else x
    B_shape = (*b.shape, 1) if vector else tuple(b.shape)

    def opened(t: Array) -> Array:
        return t[..., None] if vector else t

    def closed(t: Array) -> Array:
        return t[..., 0] if vector else t

    @_once
    def gradient_b(g: Array) -> Array:
        return back(opened(g))

    def push_A(t: Array) -> Array:
        t = mask(t)
        return closed(-forth((adjoint(t) if flipped else t) @ X))

    def pull_A(g: Array) -> Array:
        G = gradient_b(g)
        outer = conjugate(X @ transpose(xp, G)) if flipped else G @ transpose(xp, X)
        return mask(-unbroadcast(xp, outer, A_shape, g.ndim - x.ndim))

    def pull_b(g: Array) -> Array:
        return closed(unbroadcast(xp, gradient_b(g), B_shape, g.ndim - x.ndim))

    return [Map(push_A, pull_A), Map(lambda t: closed(forth(opened(t))), pull_b)]


@rule("linalg.solve")
def _solve(xp: Namespace, x: Array, A: Array, b: Array) -> list[Map]:
    def by(M: Array) -> Callable[[Array], Array]:
        if A.ndim > 2:
            return lambda B: xp.linalg.solve(M, B)
        return lambda B: _columns(xp, lambda C: xp.linalg.solve(M, C), B)

    if b.ndim > 1 and A.ndim != b.ndim and max(A.ndim, b.ndim) > 2:
        message = "linalg.solve: broadcasting has no derivative rule; use broadcast_to first."
        raise NotImplementedError(message)
    return _system(xp, x, b, tuple(A.shape), by(A), by(transpose(xp, A)), lambda t: t, flipped=False)


@rule("solve_triangular")
def _solve_triangular(xp: Namespace, x: Array, L: Array, b: Array, transposed: bool = False) -> list[Map]:
    def by(transposed: bool) -> Callable[[Array], Array]:
        return lambda B: _columns(xp, lambda C: solve_triangular(L, C, transposed=transposed), B)

    def back(g: Array) -> Array:
        return conjugate(by(not transposed)(conjugate(g)))

    return _system(xp, x, b, tuple(L.shape), by(transposed), back, xp.tril, flipped=transposed)


@rule("solve_positive")
def _solve_positive(xp: Namespace, x: Array, G: Array, b: Array) -> list[Map]:
    def by(B: Array) -> Array:
        return _columns(xp, lambda C: solve_positive(G, C), B)

    return _system(xp, x, b, tuple(G.shape), by, lambda g: conjugate(by(conjugate(g))), lambda t: t, flipped=False)


@rule("linalg.inv")
def _inv(xp: Namespace, Z: Array, A: Array) -> list[Map]:
    Zt = transpose(xp, Z)
    return [Map(lambda t: -(Z @ t @ Z), lambda g: -(Zt @ g @ Zt))]


@rule("linalg.det")
def _det(xp: Namespace, out: Array, A: Array) -> list[Map]:
    """The matrix of cofactors adj(A)ᵀ, which is det(A)·A⁻ᵀ where there is an inverse."""
    d = transpose(xp, _adjugate(xp, A, out))
    return [Map(lambda t: xp.sum(t * d, axis=(-2, -1)), lambda g: g[..., None, None] * d)]


def _adjugate(xp: Namespace, A: Array, det: Array) -> Array:
    """det(A)·A⁻¹, and of a singular A, with any b and c, by the inverse of the same matrix with a border:

    M = [[A, b], [cᵀ, 0]],  M⁻¹ = [[P, v], [uᵀ, μ]]    ⇒    adj(A) = det(M)·(μP − vuᵀ),

    as det A = μ det M and A⁻¹ = P − vuᵀ/μ.  M is singular where A lacks two ranks: then adj(A) is 0.
    """
    n = A.shape[-1]
    if not n:
        return A
    eye = xp.broadcast_to(xp.eye(n, dtype=A.dtype, device=device_of(A)), tuple(A.shape))
    singular = (det == 0)[..., None, None]
    regular = det[..., None, None] * xp.linalg.inv(xp.where(singular, eye, A))
    scale = xp.max(xp.abs(A), axis=(-2, -1), keepdims=True)
    scale = xp.where(scale > 0, scale, 1.0)
    k = xp.arange(1, n + 1, dtype=scale.dtype, device=device_of(A))  # generic b and c
    b = eye[..., :1] * 0 + xp.astype(xp.cos(k * k), A.dtype)[:, None]
    c = eye[..., :1, :] * 0 + xp.astype(xp.sin(k * k), A.dtype)
    top = xp.concat([xp.where(singular, A / scale, eye), b], axis=-1)
    M = xp.concat([top, xp.concat([c, c[..., :1] * 0], axis=-1)], axis=-2)
    det_M = xp.linalg.det(M)[..., None, None]
    found = xp.abs(det_M) > 0
    inverse = xp.linalg.inv(xp.where(found, M, xp.eye(n + 1, dtype=A.dtype, device=device_of(A))))
    P, v = inverse[..., :n, :n], inverse[..., :n, n:]
    u, mu = inverse[..., n:, :n], inverse[..., n:, n:]
    bordered = xp.where(found, det_M, 0.0) * (mu * P - v @ u) * scale ** (n - 1)
    return xp.where(singular, bordered, regular)


@rule("linalg.slogdet")
def _slogdet(xp: Namespace, out: Any, A: Array) -> list[Map]:
    """With w = tr(A⁻¹Ȧ): Re w of log|det A|, and i s Im w of the sign s, which is constant for real matrices.

    A singular matrix has no derivative, and NaN.
    """
    sign, _ = out
    singular = (xp.abs(sign) == 0)[..., None, None]
    eye = xp.eye(A.shape[-1], dtype=A.dtype, device=device_of(A))
    d = transpose(xp, xp.where(singular, math.nan, xp.linalg.inv(xp.where(singular, eye, A))))

    def push(t: Array) -> tuple[Array | None, Array]:
        w = xp.sum(t * d, axis=(-2, -1))
        return (1j * sign * xp.imag(w), xp.real(w)) if is_complex(w) else (None, w)

    def pull(gs: Any) -> Array | None:
        g_sign, g = [None if part is None else part[..., None, None] for part in gs]
        if is_complex(A) and g_sign is not None:
            turn = 1j * xp.imag(g_sign * sign[..., None, None])
            g = turn if g is None else turn + g
        return None if g is None else passed(xp, g, d)

    return [Map(push, pull)]


@rule("linalg.pinv")
def _pinv(xp: Namespace, P: Array, A: Array, **options: Any) -> list[Map]:
    """Ṗ = −PȦP + PPᴴȦᴴ(I − AP) + (I − PA)ȦᴴPᴴP, where the rank does not change (Golub & Pereyra 1973)."""
    Pt = adjoint(P)
    n, p = A.shape[-2:]
    left = xp.eye(n, dtype=A.dtype, device=device_of(A)) - A @ P
    right = xp.eye(p, dtype=A.dtype, device=device_of(A)) - P @ A

    def push(t: Array) -> Array:
        tt = adjoint(t)
        return -(P @ t @ P) + P @ (Pt @ tt) @ left + right @ (tt @ Pt) @ P

    def pull(g: Array) -> Array:
        gt = adjoint(g)
        return -(Pt @ g @ Pt) + left @ (gt @ P) @ Pt + Pt @ (P @ gt) @ right

    return [Map(push, hermitian(xp, pull))]


@rule("linalg.trace", by_shape=True)
def _trace(xp: Namespace, out: Array, A: Array, offset: int = 0, **_: Any) -> list[Map]:
    n, p = A.shape[-2:]

    def pull(g: Array) -> Array:
        return g[..., None, None] * xp.eye(n, p, k=offset, dtype=g.dtype, device=device_of(A))

    return [Map(lambda t: xp.linalg.trace(t, offset=offset), pull)]


@rule("linalg.diagonal", by_shape=True)
def _diagonal(xp: Namespace, out: Array, A: Array, offset: int = 0) -> list[Map]:
    n, p = A.shape[-2:]

    def pull(g: Array) -> Array:
        """Each entry in the row (or, below the diagonal, the column) of its number."""
        missing = (n if offset >= 0 else p) - g.shape[-1]
        if missing:
            zeros = xp.zeros((*g.shape[:-1], missing), dtype=g.dtype, device=device_of(A))
            g = xp.concat([g, zeros], axis=-1)
        place = xp.eye(n, p, k=offset, dtype=g.dtype, device=device_of(A))
        return (g[..., :, None] if offset >= 0 else g[..., None, :]) * place

    return [Map(lambda t: xp.linalg.diagonal(t, offset=offset), pull)]


@rule("shifted", by_shape=True)
def _shifted(xp: Namespace, out: Array, G: Array, shift: Array) -> list[Map | None]:
    """The shift is one number, or one for each entry of the diagonal."""
    eye = xp.eye(G.shape[-1], dtype=out.dtype, device=device_of(out))
    single = getattr(shift, "ndim", 0) == 0

    def push(t: Array) -> Array:
        return (t[..., None, None] if single else t[..., None]) * eye

    def pull(g: Array) -> Array:
        return xp.reshape(xp.linalg.trace(g), seeds(g, out)) if single else xp.linalg.diagonal(g)

    return [Map(lambda t: t, lambda g: g), Map(push, pull) if hasattr(shift, "ndim") else None]
