"""Cholesky, QR, eigenvalues and singular values (Giles 2008; Murray 2016; Walter & Lehmann 2010; Townsend 2016).

Cholesky factors, eigenvalues and eigenvectors depend on the triangle that is read: the lower one.

Eigenvectors and singular vectors have derivatives where the values differ.  Of values that are equal, to rounding, the
quotient 1/(λ_j − λ_i) is NaN, and so are derivatives that need it: those through vectors that a function uses.  A
function that does not depend on the choice of a basis, f(A) = V f(λ) Vᴴ, has a derivative there all the same, but none
that could be found from the vectors: see `xpsolve.autodiff.symmetric_function`.  Vectors that are not used, as those
that a low rank leaves out, do no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace, adjoint, device_of, is_complex, real_part, solve_triangular
from xpsolve.autodiff.rules.linalg import transpose
from xpsolve.autodiff.rules.table import Map, hermitian, passed, rule


def symmetric(xp: Namespace, A: Array) -> Array:
    """The symmetric or Hermitian part."""
    return 0.5 * (A + adjoint(A))


def _from_lower(xp: Namespace, A: Array) -> Array:
    """The symmetric or Hermitian matrix with the lower triangle of A."""
    below = xp.tril(A, k=-1)
    return below + adjoint(below) + real_part(xp.linalg.diagonal(A))[..., None, :] * _eye(xp, A)


def _to_lower(xp: Namespace, S: Array) -> Array:
    """Its transpose, of a symmetric or Hermitian S."""
    return xp.tril(S) + xp.tril(S, k=-1)


def _eye(xp: Namespace, like: Array) -> Array:
    return xp.eye(like.shape[-1], dtype=like.dtype, device=device_of(like))


def _half_lower(xp: Namespace, A: Array) -> Array:
    """Φ(A): the lower triangle with half of the diagonal."""
    return 0.5 * (xp.tril(A) + xp.tril(A, k=-1))


def _cholesky_map(xp: Namespace, L: Array) -> Map:
    """L̇ = L Φ(L⁻¹ĠL⁻ᴴ);   Ḡ = L⁻ᴴΦ(LᴴL̄)L⁻¹."""
    inverse = solve_triangular(L, _eye(xp, L)) if L.ndim == 2 and L.shape[0] else xp.linalg.inv(L)
    inverse_t = adjoint(inverse)

    def push(t: Array) -> Array:
        return L @ _half_lower(xp, inverse @ _from_lower(xp, t) @ inverse_t)

    def pull(g: Array) -> Array:
        return _to_lower(xp, symmetric(xp, inverse_t @ _half_lower(xp, adjoint(L) @ xp.tril(g)) @ inverse))

    return Map(push, hermitian(xp, pull))


@rule("linalg.cholesky")
def _cholesky(xp: Namespace, L: Array, G: Array, upper: bool = False) -> list[Map]:
    if not upper:
        return [_cholesky_map(xp, L)]
    lower = _cholesky_map(xp, adjoint(L))  # of Gᴴ, whose lower triangle is the upper one of G

    def flipped(part: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda t: adjoint(part(adjoint(t)))

    return [Map(flipped(lower.push), flipped(lower.pull))]


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
    Qt, Rt = adjoint(Q), transpose(xp, R)

    def over_R(M: Array) -> Array:
        """M R⁻¹."""
        return transpose(xp, xp.linalg.solve(*_stacked(xp, Rt, transpose(xp, M))))

    def over_Rh(M: Array) -> Array:
        """M R⁻ᴴ."""
        return adjoint(xp.linalg.solve(*_stacked(xp, R, adjoint(M))))

    def push(t: Array) -> tuple[Array, Array]:
        tR = over_R(t)
        C = Qt @ tR
        turn = xp.tril(C, k=-1)
        turn = turn - adjoint(turn)
        if is_complex(C):  # the diagonal of R is real
            turn = turn + 1j * xp.imag(xp.linalg.diagonal(C))[..., None, :] * _eye(xp, R)
        return Q @ turn + tR - Q @ C, (C - turn) @ R

    def pull(gs: Any) -> Array:
        gQ, gR = gs
        M = 0 if gR is None else R @ adjoint(gR)
        M = M if gQ is None else M - adjoint(gQ) @ Q
        G = Q @ _from_lower(xp, M)
        return over_Rh(G if gQ is None else G + gQ)

    return [Map(push, hermitian(xp, pull))]


def _stacked(xp: Namespace, A: Array, B: Array) -> tuple[Array, Array]:
    """A as often as B has seeds."""
    return (A if A.ndim == B.ndim else xp.broadcast_to(A, (*B.shape[: B.ndim - A.ndim], *A.shape))), B


def _inverse_gaps(xp: Namespace, w: Array) -> Array:
    """1/(w_j − w_i), 0 on the diagonal, NaN where two values are equal to rounding."""
    gap = w[..., None, :] - w[..., :, None]
    size = xp.sum(xp.abs(w), axis=-1)[..., None, None]
    equal = xp.abs(gap) <= xp.finfo(w.dtype).eps * size
    k = xp.arange(w.shape[-1], device=device_of(w))
    unknown = xp.where(k[:, None] == k, xp.asarray(0.0, dtype=w.dtype, device=device_of(w)), math.nan)
    return xp.where(equal, unknown, 1 / xp.where(equal, 1.0, gap))


def _eigh_maps(xp: Namespace, w: Array, V: Array) -> Map:
    """ẇ = diag C, V̇ = V(F∘C) with C = VᴴȦV and F_ij = 1/(w_j − w_i);   Ā = V(diag w̄ + F∘VᴴV̄)Vᴴ."""
    Vt = adjoint(V)
    F = _inverse_gaps(xp, w)
    eye = _eye(xp, V)

    def push(t: Array) -> tuple[Array, Array]:
        C = Vt @ _from_lower(xp, t) @ V
        return real_part(xp.linalg.diagonal(C)), V @ passed(xp, C, F)

    def pull(gs: Any) -> Array:
        gw, gV = gs
        inner = 0 if gw is None else gw[..., None, :] * eye
        inner = inner if gV is None else inner + passed(xp, Vt @ gV, F)
        return _to_lower(xp, symmetric(xp, V @ inner @ Vt))

    return Map(push, hermitian(xp, pull))


@rule("linalg.eigh", "eigh")
def _eigh(xp: Namespace, out: Any, A: Array) -> list[Map]:
    return [_eigh_maps(xp, out[0], out[1])]


@rule("linalg.eigvalsh")
def _eigvalsh(xp: Namespace, w: Array, A: Array) -> list[Map]:
    w, V = xp.linalg.eigh(A)
    both = _eigh_maps(xp, w, V)
    return [Map(lambda t: both.push(t)[0], lambda g: both.pull((g, None)))]


def _svd_map(xp: Namespace, U: Array, s: Array, Vh: Array) -> Map:
    """With P = UᴴȦV, E_ij = 1/(s_j² − s_i²) and S = diag s:

    ṡ = Re diag P,  U̇ = U(E∘(PS + SPᴴ)) + (ȦV − UP)S⁻¹,  V̇ = V(E∘(SP + PᴴS)) + (ȦᴴU − VPᴴ)S⁻¹,

    and i Im diag P S⁻¹ beside E∘… in U̇, for the free phases of complex vectors.
    """
    Ut, V = adjoint(U), adjoint(Vh)
    row, column = s[..., None, :], s[..., :, None]  # M·row is MS, column·M is SM
    eye = xp.eye(s.shape[-1], dtype=s.dtype, device=device_of(s))
    inverse = 1 / row
    E = passed(xp, _inverse_gaps(xp, s), 1 / (row + column))
    turns = is_complex(U)

    def push(t: Array) -> tuple[Array, Array, Array]:
        P = Ut @ t @ V
        Pt = adjoint(P)
        inner = passed(xp, P * row + column * Pt, E)
        if turns:
            inner = inner + 1j * passed(xp, xp.imag(xp.linalg.diagonal(P)), 1 / s)[..., None, :] * eye
        dU = U @ inner + passed(xp, t @ V - U @ P, inverse)
        dV = V @ passed(xp, column * P + Pt * row, E) + passed(xp, adjoint(t) @ U - V @ Pt, inverse)
        return dU, real_part(xp.linalg.diagonal(P)), adjoint(dV)

    def pull(gs: Any) -> Array:
        gU, gs_, gVh = gs
        inner = 0 if gs_ is None else gs_[..., None, :] * eye
        outer: Any = 0
        if gU is not None:
            H = Ut @ gU
            EH = passed(xp, H, E)
            inner = inner + (EH + adjoint(EH)) * row - passed(xp, H, inverse)
            if turns:
                inner = inner + 1j * passed(xp, xp.imag(xp.linalg.diagonal(H)), 1 / s)[..., None, :] * eye
            outer = outer + passed(xp, gU, inverse) @ Vh
        if gVh is not None:
            gV = adjoint(gVh)
            K = Vh @ gV
            EK = passed(xp, K, E)
            inner = inner + column * (EK + adjoint(EK)) - adjoint(passed(xp, K, inverse))
            outer = outer + U @ adjoint(passed(xp, gV, inverse))
        return U @ inner @ Vh + outer

    return Map(push, hermitian(xp, pull))


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
    Ut, V = adjoint(U), adjoint(Vh)
    pull = hermitian(xp, lambda g: (U * g[..., None, :]) @ Vh)
    return [Map(lambda t: real_part(xp.linalg.diagonal(Ut @ t @ V)), pull)]
