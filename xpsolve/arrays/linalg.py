"""Factorisations and triangular solves, one small function each (Golub & Van Loan 2013, ch. 3, 4, 5).

The standard has Cholesky but neither a triangular solve nor a word about failure: NumPy and PyTorch raise, CuPy and
JAX return NaN or worse.  Here failure is NaN, or a flag that stays on the device until it is read.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from typing import Any

import array_api_extra as xpx
import numpy as np

from xpsolve.arrays.complex import adjoint, conjugate, is_complex, real_part
from xpsolve.arrays.namespace import Array, device_of, namespace_of
from xpsolve.arrays.native import composed, native, overwriting
from xpsolve.arrays.precision import limits_of
from xpsolve.arrays.scaling import power_of_two

_PANEL = 64  # rows per panel in blocked substitution: where a small LU solve and a matrix product cost alike


@native
def gram(A: Array) -> Array:
    """The Gram matrix AᴴA, (p, p).  NumPy sees the symmetry of a real one and computes one triangle."""
    return adjoint(A) @ A


@gram.register("torch")
def _gram_by_panels(A: Array) -> Array:
    """Four column panels, each against those not before it: 5/8 of the products of the full GEMM."""
    p = A.shape[1]
    if p < 512:  # below this size, the copies cost more than the products they save
        return adjoint(A) @ A
    xp = namespace_of(A)
    edges = [p * i // 4 for i in range(5)]
    spans = list(itertools.pairwise(edges))
    lower = [adjoint(A[:, i:]) @ A[:, i:j] for i, j in spans]  # block column from the diagonal down
    columns = []
    for b, (i, j) in enumerate(spans):
        above = [adjoint(lower[c][i - edges[c] : j - edges[c], :]) for c in range(b)]
        columns.append(xp.concat([*above, lower[b]], axis=0))
    return xp.concat(columns, axis=1)


@overwriting
@native
def shifted(G: Array, shift: Array) -> Array:
    """G + shift·I, or G + diag(shift) for a vector.  It may overwrite G, which the caller must not use again."""
    return G + shift * namespace_of(G).eye(G.shape[0], dtype=G.dtype, device=device_of(G))


@shifted.register("numpy")
def _shifted_numpy(G: Array, shift: Array) -> Array:
    diagonal = G.diagonal()  # a view, in any memory order
    diagonal.setflags(write=True)
    diagonal += shift
    return G


@shifted.register("cupy", "torch")
def _shifted_on_the_device(G: Array, shift: Array) -> Array:
    diagonal = G.diagonal()  # a view here too
    diagonal += shift
    return G


@composed
def largest_pivot(G: Array) -> Array:
    """The largest entry on the diagonal, 0-d: of a positive definite G it is the largest of all."""
    xp = namespace_of(G)
    return xp.max(real_part(xp.linalg.diagonal(G)))


@largest_pivot.register("numpy")
def _largest_pivot_numpy(G: Array) -> Array:
    return np.asarray(G.diagonal().real.max())


@native
def cholesky(G: Array) -> tuple[Array, Array]:
    """Lower factor L with G = LLᴴ, and a 0-d boolean: whether it can be trusted.

    The flag stays on the device.  It is False where a pivot is not finite, or so small compared with the
    diagonal of G that it is only rounding: L_ii² ≤ p·eps·max G_jj.
    """
    xp = namespace_of(G)
    try:
        L = xp.linalg.cholesky(G)
    except np.linalg.LinAlgError:
        L = G * xp.nan
    return L, trustworthy(L, G)


@cholesky.register("numpy")
def _cholesky_numpy(G: Array) -> tuple[Array, Array]:
    """By LAPACK itself where SciPy is there: without NumPy's copies into the other order of memory."""
    factor = _lapack("potrf", G)
    if factor is None:
        return cholesky.standard(G)  # type: ignore[no-any-return]
    # G.T lies as LAPACK wants it, and so does the transpose of its factor: Ḡ = UᴴU is G = LLᴴ with L = Uᵀ
    U, info = factor(G.T, lower=0, clean=1)
    L = U.T if info == 0 else np.full_like(G, np.nan)
    return L, trustworthy(L, G)


def _lapack(name: str, G: Array) -> Callable[..., Any] | None:
    """SciPy's function of this name for one matrix; None where it is not there, or NumPy is faster.

    SciPy brings a BLAS of its own.  With several threads those of the two get into each other's way: a thread that has
    nothing to do spins for some milliseconds.  Small matrices are left to one thread by both.
    """
    if G.ndim != 2 or G.shape[0] == 0 or (G.shape[0] > _PANEL and _threads() > 1):
        return None
    return _found(name, G.dtype)


@functools.cache
def _found(name: str, dtype: Any) -> Callable[..., Any] | None:
    try:
        from scipy.linalg import lapack
    except ImportError:
        return None
    letter = {"float64": "d", "float32": "s", "complex128": "z", "complex64": "c"}.get(str(dtype), "no ")
    return getattr(lapack, letter + name, None)


@functools.cache
def _threads() -> int:
    """With how many threads a BLAS works, as it was asked for before it was loaded."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        asked = os.environ.get(name, "")
        if asked.isdecimal() and int(asked) > 0:
            return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cholesky.register("torch")
def _cholesky_torch(G: Array) -> tuple[Array, Array]:
    import torch

    L, info = torch.linalg.cholesky_ex(G)  # the plain one raises, and reads from the device to know
    return L, trustworthy(L, G) & (info == 0)


@cholesky.register("dask")
def _cholesky_dask(G: Array) -> tuple[Array, Array]:
    L = xpx.lazy_apply(_cholesky_or_nan, G, shape=G.shape, dtype=G.dtype, as_numpy=True)
    return L, trustworthy(L, G)


def _cholesky_or_nan(G: Any) -> Any:
    try:
        return np.linalg.cholesky(G)
    except np.linalg.LinAlgError:
        return np.full_like(G, np.nan)


@native
def trustworthy(L: Array, G: Array) -> Array:
    """Whether all pivots are above rounding: a NaN is not, and no number below 0 that a library left there."""
    xp = namespace_of(L)
    pivots = real_part(xp.linalg.diagonal(L))
    smallest = limits_of(G).eps * G.shape[0] * largest_pivot(G)
    return xp.all((pivots > 0) & (pivots * pivots > smallest))


@trustworthy.register("numpy")
def _trustworthy_numpy(L: Array, G: Array) -> Array:
    least = L.diagonal().real.min()  # a NaN if there is one
    smallest = limits_of(G).eps * G.shape[0] * G.diagonal().real.max()
    return np.asarray(least > 0 and least * least > smallest)


@trustworthy.register("cupy")
def _trustworthy_cupy(L: Array, G: Array) -> Array:
    import cupy

    above = cupy.ReductionKernel(
        "T p, T top, T least",
        "bool ok",
        "p > 0 && p * p > least * top",
        "a && b",
        "ok = a",
        "true",
        "xpsolve_trustworthy",
        reduce_type="bool",
    )
    pivots, largest = real_part(L.diagonal()), real_part(G.diagonal()).max()
    return above(pivots, largest, float(cupy.finfo(G.dtype).eps) * G.shape[0])


def solve(A: Array, B: Array) -> Array:
    """X with AX = B for square A (…, p, p) and B (…, p, k); NaN where some libraries would raise."""
    linalg = np.linalg if type(A) is np.ndarray and B.ndim == A.ndim else namespace_of(A).linalg  # a layer less
    try:
        return linalg.solve(A, B)
    except Exception as error:
        if "LinAlgError" not in type(error).__name__:  # each library has its own
            raise
        return B * np.nan


@native
def solve_triangular(L: Array, B: Array, *, transposed: bool = False) -> Array:
    """X with LX = B, or LᴴX = B, for a lower triangular L (p, p) and B (p,) or (p, k).

    Blocked substitution: panels on the diagonal by `linalg.solve`, all else by matrix products.
    """
    xp = namespace_of(L)
    p = L.shape[0]
    starts = range(0, p, _PANEL)
    solved: list[Array] = []
    for i in reversed(starts) if transposed else starts:
        j = min(i + _PANEL, p)
        rhs = B[i:j, ...]
        if solved:
            known = xp.concat(solved[::-1] if transposed else solved, axis=0)
            rhs = rhs - (adjoint(L[j:, i:j]) @ known if transposed else L[i:j, :i] @ known)
        block = L[i:j, i:j]
        solved.append(solve(adjoint(block) if transposed else block, rhs))
    return xp.concat(solved[::-1] if transposed else solved, axis=0)


@solve_triangular.register("numpy")
def _solve_triangular_numpy(L: Array, B: Array, *, transposed: bool = False) -> Array:
    if L.shape[0] > _PANEL:
        return solve_triangular.standard(L, B, transposed=transposed)
    try:
        return np.linalg.solve(adjoint(L) if transposed else L, B)
    except np.linalg.LinAlgError:
        return B * np.nan


@solve_triangular.register("torch")
def _solve_triangular_torch(L: Array, B: Array, *, transposed: bool = False) -> Array:
    import torch

    columns = B if B.ndim == 2 else B[:, None]
    X = torch.linalg.solve_triangular(L.mH if transposed else L, columns, upper=transposed)
    return X if B.ndim == 2 else X[:, 0]


@solve_triangular.register("jax")
def _solve_triangular_jax(L: Array, B: Array, *, transposed: bool = False) -> Array:
    from jax.scipy.linalg import solve_triangular

    return solve_triangular(L, B, lower=True, trans=2 * int(transposed))


@solve_triangular.register("cupy")
def _solve_triangular_cupy(L: Array, B: Array, *, transposed: bool = False) -> Array:
    from cupyx.scipy.linalg import solve_triangular

    conjugated = transposed and is_complex(L)
    if L.flags.c_contiguous and not conjugated:  # its transpose has the layout that cuBLAS needs, and is not copied
        return solve_triangular(L.T, B, lower=False, trans=int(not transposed), check_finite=False)
    return solve_triangular(L, B, lower=True, trans=transposed + conjugated, check_finite=False)


@solve_triangular.register("dask")
def _solve_triangular_dask(L: Array, B: Array, *, transposed: bool = False) -> Array:
    def solve(L: Any, B: Any) -> Any:
        return solve_triangular.standard(L, B, transposed=transposed)

    return xpx.lazy_apply(solve, L, B, shape=B.shape, dtype=B.dtype, as_numpy=True)


def cholesky_solve(L: Array, B: Array) -> Array:
    """X with LLᴴX = B: two triangular solves."""
    return solve_triangular(L, solve_triangular(L, B), transposed=True)


@native
def solve_positive(G: Array, B: Array) -> Array:
    """X with GX = B for a Hermitian positive definite G of modest size; NaN or a wrong X where it is not."""
    return cholesky_solve(cholesky(G)[0], B)


@solve_positive.register("numpy")
def _solve_positive_numpy(G: Array, B: Array) -> Array:
    solve = _lapack("posv", G)
    if solve is not None:
        _, X, info = solve(G.T, conjugate(B), lower=1)  # G.T is the conjugate of G, and lies as LAPACK wants it
        return conjugate(X) if info == 0 else np.full_like(B, np.nan)
    try:
        return np.linalg.solve(G, B)  # up to some hundred rows, LU in one call beats NumPy's slow Cholesky
    except np.linalg.LinAlgError:
        return np.full_like(B, np.nan)


def _or_nan(decompose: Callable[..., Any], A: Array, **options: Any) -> Any:
    """decompose(A), or NaN in the same shapes where the library raises: of NaN, infinities, or no convergence."""
    try:
        return decompose(A, **options)
    except (np.linalg.LinAlgError, RuntimeError) as error:
        if not type(error).__name__.endswith("LinAlgError"):  # PyTorch has its own
            raise
        return [x * namespace_of(x).nan for x in decompose(namespace_of(A).ones_like(A), **options)]


@native
def eigh(G: Array) -> tuple[Array, Array]:
    """Eigenvalues in ascending order and eigenvectors of a Hermitian matrix: G = V diag(w) Vᴴ."""
    w, V = _or_nan(namespace_of(G).linalg.eigh, G)
    return w, V


@eigh.register("dask")
def _eigh_dask(G: Array) -> tuple[Array, Array]:
    w, V = _planned(eigh.standard, G, G.shape[:1], G.shape)
    return real_part(w), V


def _planned(decompose: Callable[..., Any], A: Array, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    """Several results of a matrix of Dask, once it is computed; all in its dtype, which Dask takes for theirs."""

    def decomposed(A: Any) -> tuple[Any, ...]:
        return tuple(np.astype(x, A.dtype) for x in decompose(A))

    return xpx.lazy_apply(decomposed, A, shape=shapes, dtype=(A.dtype,) * len(shapes), as_numpy=True)  # type: ignore[no-any-return]


@native
def thin_svd(A: Array) -> tuple[Array, Array, Array]:
    """A = U diag(s) Vᴴ with min(n, p) columns in U and V, and s descending; returns (U, s, Vᴴ).

    A long matrix is first reduced to its triangular factor (Chan 1982), which has the same singular values.
    """
    xp = namespace_of(A)
    n, p = A.shape
    if n < p:
        V, s, Uh = thin_svd.standard(A.T)  # without conjugates: Aᵀ = V diag(s) Uᴴ has A = (Uᴴ)ᵀ diag(s) Vᵀ
        return Uh.T, s, V.T
    if 3 * n < 5 * p:  # Chan's crossover: below 5/3 the reduction costs more than it saves
        U, s, Vh = _or_nan(xp.linalg.svd, A, full_matrices=False)
        return U, s, Vh
    Q, R = xp.linalg.qr(A)
    U, s, Vh = _or_nan(xp.linalg.svd, R, full_matrices=False)
    return Q @ U, s, Vh


@thin_svd.register("jax")
def _thin_svd_jax(A: Array) -> tuple[Array, Array, Array]:
    """The same of a long matrix by blocks of rows, one for each device: where rows are spread over devices each of them
    reduces its own, and only triangular factors travel (Demmel, Grigori, Hoemmen & Langou 2012)."""
    import jax

    (n, p), blocks = A.shape, jax.device_count()
    if n < p:
        V, s, Uh = thin_svd(A.T)
        return Uh.T, s, V.T
    if blocks == 1 or n % blocks or 3 * n < 5 * p * blocks:
        return thin_svd.standard(A)  # type: ignore[no-any-return]
    xp = namespace_of(A)
    Q, R = xp.linalg.qr(xp.reshape(A, (blocks, n // blocks, p)))
    Q_of_R, R = xp.linalg.qr(xp.reshape(R, (blocks * p, p)))
    U, s, Vh = xp.linalg.svd(R, full_matrices=False)
    return xp.reshape(Q @ (xp.reshape(Q_of_R, (blocks, p, p)) @ U), (n, p)), s, Vh


@thin_svd.register("dask")
def _thin_svd_dask(A: Array) -> tuple[Array, Array, Array]:
    (n, p), q = A.shape, min(A.shape)
    U, s, Vh = _planned(thin_svd.standard, A, (n, q), (q,), (q, p))
    return U, real_part(s), Vh


@native
def eigvalsh(G: Array) -> Array:
    """Eigenvalues of symmetric or Hermitian matrices (…, p, p) in ascending order."""
    return _or_nan(lambda G: [namespace_of(G).linalg.eigvalsh(G)], G)[0]


@eigvalsh.register("dask")
def _eigvalsh_dask(G: Array) -> Array:
    (w,) = _planned(lambda G: (eigvalsh.standard(G),), G, G.shape[:-1])
    return real_part(w)


def largest_singular_value(A: Array) -> Array:
    """The largest singular value of all matrices in A (…, m, n), real or complex, exact to rounding; 0-d.

    It comes from the eigenvalues of AAᴴ or AᴴA, whichever is smaller, of A over a power of two.  Squares lose half of
    the digits of small singular values, but none of the largest.
    """
    xp, (m, n) = namespace_of(A), A.shape[-2:]
    sizes = xp.abs(A)
    if m == n == 1:
        return xp.max(sizes)
    unit = power_of_two(sizes)
    if min(m, n) == 1:
        return unit * xp.max(xp.linalg.vector_norm(sizes / unit, axis=(-2, -1)))
    A = A / unit
    G = A @ adjoint(A) if m <= n else adjoint(A) @ A
    return unit * xp.sqrt(xp.max(eigvalsh(G)))
