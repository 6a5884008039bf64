"""Cholesky, QR, eigenvalues and singular values (Giles 2008; Murray 2016; Walter & Lehmann 2010; Townsend 2016).

Eigenvectors and singular vectors have derivatives where the values differ.  Where two are equal their quotient
1/(λ_j − λ_i) is taken as 0, which is right for functions that do not depend on the choice of a basis in that space.
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, Namespace, device_of, solve_triangular
from xpsolve.autodiff.rules.linalg import transpose
from xpsolve.autodiff.rules.table import Map, inverse_or_zero, rule


def _symmetric(xp: Namespace, A: Array) -> Array:
    return 0.5 * (A + transpose(xp, A))


def _eye(xp: Namespace, like: Array) -> Array:
    return xp.eye(like.shape[-1], dtype=like.dtype, device=device_of(like))


def _half_lower(xp: Namespace, A: Array) -> Array:
    """Φ(A): the lower triangle with half of the diagonal."""
    return 0.5 * (xp.tril(A) + xp.tril(A, k=-1))


def _cholesky_map(xp: Namespace, L: Array) -> Map:
    """L̇ = L Φ(L⁻¹ĠL⁻ᵀ);   Ḡ = L⁻ᵀΦ(LᵀL̄)L⁻¹, symmetric as G is."""
    eye = _eye(xp, L)
    inverse = solve_triangular(L, eye) if L.ndim == 2 else xp.linalg.inv(L)
    inverse_t = transpose(xp, inverse)

    def push(t: Array) -> Array:
        return L @ _half_lower(xp, inverse @ _symmetric(xp, t) @ inverse_t)

    def pull(g: Array) -> Array:
        return _symmetric(xp, inverse_t @ _half_lower(xp, transpose(xp, L) @ xp.tril(g)) @ inverse)

    return Map(push, pull)


@rule("linalg.cholesky")
def _cholesky(xp: Namespace, L: Array, G: Array, upper: bool = False) -> list[Map]:
    if not upper:
        return [_cholesky_map(xp, L)]
    lower = _cholesky_map(xp, transpose(xp, L))
    return [Map(lambda t: transpose(xp, lower.push(t)), lambda g: lower.pull(transpose(xp, g)))]


@rule("cholesky")
def _cholesky_with_flag(xp: Namespace, out: Any, G: Array) -> list[Map]:
    lower = _cholesky_map(xp, out[0])
    return [Map(lambda t: (lower.push(t), None), lambda gs: lower.pull(gs[0]))]


@rule("linalg.qr")
def _qr(xp: Namespace, out: Any, A: Array, mode: str = "reduced") -> list[Map]:
    n, p = A.shape[-2:]
    if mode != "reduced" or n < p:
        message = (
            f"linalg.qr: mode={mode!r} of a matrix ({n}, {p}) has no derivative rule; use mode='reduced' of a long "
            f"matrix with independent columns."
        )
        raise NotImplementedError(message)
    Q, R = out
    Qt, Rt = transpose(xp, Q), transpose(xp, R)

    def over_R(M: Array) -> Array:
        """M R⁻¹."""
        return transpose(xp, xp.linalg.solve(*_stacked(xp, Rt, transpose(xp, M))))

    def over_Rt(M: Array) -> Array:
        """M R⁻ᵀ."""
        return transpose(xp, xp.linalg.solve(*_stacked(xp, R, transpose(xp, M))))

    def push(t: Array) -> tuple[Array, Array]:
        tR = over_R(t)
        C = Qt @ tR
        low = xp.tril(C, k=-1)
        turn = low - transpose(xp, low)
        return Q @ turn + tR - Q @ C, (C - turn) @ R

    def pull(gs: Any) -> Array:
        gQ, gR = gs
        M = 0 if gR is None else R @ transpose(xp, gR)
        M = M if gQ is None else M - transpose(xp, gQ) @ Q
        G = Q @ (xp.tril(M) + transpose(xp, xp.tril(M, k=-1)))
        return over_Rt(G if gQ is None else G + gQ)

    return [Map(push, pull)]


def _stacked(xp: Namespace, A: Array, B: Array) -> tuple[Array, Array]:
    """A as often as B has seeds."""
    return (A if A.ndim == B.ndim else xp.broadcast_to(A, (*B.shape[: B.ndim - A.ndim], *A.shape))), B


def _eigh_maps(xp: Namespace, w: Array, V: Array) -> Map:
    """ẇ = diag C, V̇ = V(F∘C) with C = VᵀȦV and F_ij = 1/(w_j − w_i);   Ā = V(diag w̄ + F∘VᵀV̄)Vᵀ."""
    Vt = transpose(xp, V)
    F = inverse_or_zero(xp, w[..., None, :] - w[..., :, None])
    eye = _eye(xp, V)

    def push(t: Array) -> tuple[Array, Array]:
        C = Vt @ _symmetric(xp, t) @ V
        return xp.linalg.diagonal(C), V @ (F * C)

    def pull(gs: Any) -> Array:
        gw, gV = gs
        inner = 0 if gw is None else gw[..., None, :] * eye
        inner = inner if gV is None else inner + F * (Vt @ gV)
        return _symmetric(xp, V @ inner @ Vt)

    return Map(push, pull)


@rule("linalg.eigh", "eigh")
def _eigh(xp: Namespace, out: Any, A: Array) -> list[Map]:
    return [_eigh_maps(xp, out[0], out[1])]


@rule("linalg.eigvalsh")
def _eigvalsh(xp: Namespace, w: Array, A: Array) -> list[Map]:
    w, V = xp.linalg.eigh(A)
    both = _eigh_maps(xp, w, V)
    return [Map(lambda t: both.push(t)[0], lambda g: both.pull((g, None)))]


def _svd_map(xp: Namespace, U: Array, s: Array, Vh: Array) -> Map:
    """With P = UᵀȦV, E_ij = 1/(s_j² − s_i²) and S = diag s:

    ṡ = diag P,  U̇ = U(E∘(PS + SPᵀ)) + (ȦV − UP)S⁻¹,  V̇ = V(E∘(SP + PᵀS)) + (ȦᵀU − VPᵀ)S⁻¹.
    """
    Ut, V = transpose(xp, U), transpose(xp, Vh)
    E = inverse_or_zero(xp, (s[..., None, :] - s[..., :, None]) * (s[..., None, :] + s[..., :, None]))
    row, column = s[..., None, :], s[..., :, None]  # M·row is MS, column·M is SM
    eye = _eye(xp, Vh @ V)

    def push(t: Array) -> tuple[Array, Array, Array]:
        P = Ut @ t @ V
        Pt = transpose(xp, P)
        dU = U @ (E * (P * row + column * Pt)) + (t @ V - U @ P) / row
        dV = V @ (E * (column * P + Pt * row)) + (transpose(xp, t) @ U - V @ Pt) / row
        return dU, xp.linalg.diagonal(P), transpose(xp, dV)

    def pull(gs: Any) -> Array:
        gU, gs_, gVh = gs
        inner = 0 if gs_ is None else gs_[..., None, :] * eye
        outer: Any = 0
        if gU is not None:
            H = Ut @ gU
            EH = E * H
            inner = inner + (EH + transpose(xp, EH)) * row - H / row
            outer = outer + (gU / row) @ Vh
        if gVh is not None:
            gV = transpose(xp, gVh)
            K = Vh @ gV
            EK = E * K
            inner = inner + column * (EK + transpose(xp, EK)) - transpose(xp, K / row)
            outer = outer + (U / row) @ gVh
        return U @ inner @ Vh + outer

    return Map(push, pull)


@rule("linalg.svd")
def _svd(xp: Namespace, out: Any, A: Array, full_matrices: bool = True) -> list[Map]:
    if full_matrices and A.shape[-2] != A.shape[-1]:
        message = "linalg.svd: the full matrices of a rectangle have no derivative rule; use full_matrices=False."
        raise NotImplementedError(message)
    return [_svd_map(xp, *out)]


@rule("thin_svd")
def _thin_svd(xp: Namespace, out: Any, A: Array) -> list[Map]:
    return [_svd_map(xp, *out)]


@rule("linalg.svdvals")
def _svdvals(xp: Namespace, s: Array, A: Array) -> list[Map]:
    U, _, Vh = xp.linalg.svd(A, full_matrices=False)
    Ut, V = transpose(xp, U), transpose(xp, Vh)
    return [Map(lambda t: xp.linalg.diagonal(Ut @ t @ V), lambda g: (U * g[..., None, :]) @ Vh)]
