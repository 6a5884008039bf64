"""The kernel K_ij = exp((f_i + g_j − M_ij)/ε) and what a step does with it, on each library by its own means."""

from __future__ import annotations

import numpy as np

from xpsolve.arrays import Array, composed, namespace_of, native

NOTHING = -1e30
"""The logarithm of no mass: finite, so that no difference of two is a NaN, and exp of it is 0 in every dtype."""
_CACHED = 1 << 15  # entries that numpy works on while they are in the cache


@native
def gibbs(M: Array, f: Array, g: Array, eps: Array) -> Array:
    """exp((f_i + g_j − M_ij)/ε): (n, m) for one M and f (1, n), g (1, m), else (B, n, m)."""
    f, g = _beside(M, f, g)
    return namespace_of(M).exp((f + (g - M)) / eps)


@gibbs.register("numpy")
def _gibbs_numpy(M: Array, f: Array, g: Array, eps: Array) -> Array:
    f, g = _beside(M, f, g)
    K = np.empty(M.shape if f.ndim == 2 else np.broadcast_shapes(M.shape, f.shape, g.shape), M.dtype)
    if K.ndim == 3:
        for k in range(K.shape[0]):
            cost, column, row = (x[k if x.shape[0] > 1 else 0] if x.ndim == 3 else x for x in (M, f, g))
            _gibbs_rows(cost, column, row, eps, K[k])
    else:
        _gibbs_rows(M, f, g, eps, K)
    return K


def _gibbs_rows(M: Array, f: Array, g: Array, eps: Array, K: Array) -> None:
    rows = max(1, _CACHED // M.shape[1])
    moved = f.any()
    if (g == g[0, 0]).all():  # as where nothing was absorbed: a number takes no loop for each row
        g = g[0, 0]
    for i in range(0, M.shape[0], rows):
        part = K[i : i + rows]
        np.subtract(g, M[i : i + rows], out=part)
        if moved:
            part += f[i : i + rows]
        part *= 1 / eps
        np.exp(part, out=part)


@gibbs.register("cupy")
def _gibbs_cupy(M: Array, f: Array, g: Array, eps: Array) -> Array:
    import cupy

    f, g = _beside(M, f, g)
    source = "z = exp((f + (g - m)) / e)"
    return cupy.ElementwiseKernel("T m, T f, T g, T e", "T z", source, "xpsolve_gibbs")(M, f, g, eps)


def _beside(M: Array, f: Array, g: Array) -> tuple[Array, Array]:
    """f as a column and g as a row, with the axis of the batch where there is one."""
    if M.ndim == 2 and f.shape[0] == 1 and g.shape[0] == 1:
        return f[0, :, None], g[0, None, :]
    return f[:, :, None], g[:, None, :]


@native
def soft_rows(M: Array, G: Array, eps: Array) -> Array:
    """P_i = log Σ_j exp(G_j − M_ij/ε), (B, n) of G (B, m); NOTHING where every cost is infinite."""
    return _soft(G[:, None, :] - M / eps, -1)[:, :, 0]


def _soft(z: Array, axis: int) -> Array:
    """log Σ exp(z) along an axis, which is kept."""
    xp = namespace_of(z)
    top = xp.maximum(xp.max(z, axis=axis, keepdims=True), xp.full_like(z[:, :1, :1], NOTHING))
    total = xp.sum(xp.exp(z - top), axis=axis, keepdims=True)
    return xp.log(xp.where(total > 0, total, xp.ones_like(total))) + top


@native
def soft_columns(M: Array, F: Array, eps: Array) -> Array:
    """Q_j = log Σ_i exp(F_i − M_ij/ε), (B, m) of F (B, n)."""
    return _soft(F[:, :, None] - M / eps, -2)[:, 0, :]


@soft_columns.register("numpy")
def _soft_columns_numpy(M: Array, F: Array, eps: Array) -> Array:
    n, m = M.shape[-2:]
    Q = np.empty((F.shape[0], m), M.dtype)
    rows = max(1, _CACHED // m)
    for k in range(F.shape[0]):
        cost = M if M.ndim == 2 else M[k]
        top, total = np.full(m, NOTHING, M.dtype), np.zeros(m, M.dtype)
        for i in range(0, n, rows):
            z = cost[i : i + rows] * (-1 / eps)
            z += F[k, i : i + rows, None]
            higher = np.maximum(top, z.max(axis=0))
            z -= higher
            np.exp(z, out=z)
            total *= np.exp(top - higher)
            total += z.sum(axis=0)
            top = higher
        Q[k] = np.log(np.where(total > 0, total, 1)) + top
    return Q


@soft_rows.register("numpy")
def _soft_rows_numpy(M: Array, G: Array, eps: Array) -> Array:
    n, m = M.shape[-2:]
    P = np.empty((G.shape[0], n), M.dtype)
    rows = max(1, _CACHED // m)
    for k in range(G.shape[0]):
        cost = M if M.ndim == 2 else M[k]
        for i in range(0, n, rows):
            z = cost[i : i + rows] * (-1 / eps)
            z += G[k]
            top = np.maximum(z.max(axis=1, keepdims=True), NOTHING)
            z -= top
            np.exp(z, out=z)
            total = z.sum(axis=1)
            P[k, i : i + rows] = np.log(np.where(total > 0, total, 1)) + top[:, 0]
    return P


@soft_rows.register("cupy")
def _soft_rows_cupy(M: Array, G: Array, eps: Array) -> Array:
    return _soft_cupy(M, G[:, None, :], eps, 2)


@soft_columns.register("cupy")
def _soft_columns_cupy(M: Array, F: Array, eps: Array) -> Array:
    return _soft_cupy(M, F[:, :, None], eps, 1)


def _soft_cupy(M: Array, f: Array, eps: Array, axis: int) -> Array:
    """log Σ exp(f − M/ε) along an axis, in one pass: the sum is kept in units of exp of the largest so far."""
    import cupy

    preamble = f"""
    template <typename X> struct xpsolve_soft {{
        X top, total;
        __device__ xpsolve_soft() : top(X({NOTHING})), total(0) {{}}
        __device__ xpsolve_soft(X z) : top(z), total(1) {{}}
    }};
    template <typename X> __device__ xpsolve_soft<X> joined(const xpsolve_soft<X>& a, const xpsolve_soft<X>& b) {{
        X less = a.top == b.top ? X(1) : exp(-abs(a.top - b.top));
        xpsolve_soft<X> c = a.top < b.top ? b : a;
        c.total += less * (a.top < b.top ? a.total : b.total);
        return c;
    }}
    """
    total = "p = a.total > 0 || a.total != a.total ? log(a.total) + a.top : a.top"
    return cupy.ReductionKernel(
        "T m, T f, T e",
        "T p",
        "xpsolve_soft<T>(f - m / e)",
        "joined(a, b)",
        total,
        "xpsolve_soft<T>()",
        "xpsolve_soft_minimum",
        reduce_type="xpsolve_soft<T>",
        preamble=preamble,
    )(M, f, eps, axis=axis)


@native
def relaxed(u: Array, a: Array, p: Array, omega: Array, positive: bool = False) -> Array:
    """u·(a/(u p))^ω; 0 where a is 0, infinite where only p is.  `positive` says that a is known to be 0 nowhere."""
    xp = namespace_of(u)
    mass = u * p
    return u * (a / xp.where((mass > 0) | (a > 0), mass, xp.ones_like(mass))) ** omega


@relaxed.register("numpy")
def _relaxed_numpy(u: Array, a: Array, p: Array, omega: Array, positive: bool = False) -> Array:
    if omega.size == 1:
        omega = omega.item()
        plain = omega == 1
    else:
        plain = omega.min() == 1 == omega.max()
    if plain:  # no power
        return a / p if positive else np.where(a > 0, a / p, 0)
    mass = u * p
    ratio = a / (mass if positive else np.where((mass > 0) | (a > 0), mass, 1))
    ratio **= omega
    ratio *= u
    return ratio


@composed
def known_positive(a: Array) -> bool:
    """Whether a is known to be positive everywhere, where to look costs nothing."""
    return False


@known_positive.register("numpy")
def _known_positive_numpy(a: Array) -> bool:
    return bool(a.min() > 0)


@composed
def deviation(u: Array, p: Array, a: Array) -> Array:
    """‖u·p − a‖₁ of every problem, (B, 1)."""
    return namespace_of(u).linalg.vector_norm(u * p - a, ord=1, axis=1, keepdims=True)


@deviation.register("numpy")
def _deviation_numpy(u: Array, p: Array, a: Array) -> Array:
    off = u * p
    off -= a
    return np.add.reduce(np.abs(off, out=off), axis=1, keepdims=True)


@composed
def pairing(a: Array, f: Array) -> Array:
    """⟨a, f⟩ of every problem, (B,)."""
    return namespace_of(a).sum(a * f, axis=1)


@pairing.register("numpy")
def _pairing_numpy(a: Array, f: Array) -> Array:
    return np.vecdot(a, f)


@composed
def logarithm(x: Array) -> Array:
    """log x, and NOTHING where x is 0."""
    xp = namespace_of(x)
    some = x > 0
    return xp.where(some, xp.log(xp.where(some, x, xp.ones_like(x))), xp.full_like(x, NOTHING))


@logarithm.register("numpy")
def _logarithm_numpy(x: Array) -> Array:
    return np.log(x) if x.min() > 0 else logarithm.standard(x)


@relaxed.register("cupy")
def _relaxed_cupy(u: Array, a: Array, p: Array, omega: Array, positive: bool = False) -> Array:
    import cupy

    source = "T s = u * p; z = u * pow(a / (s > 0 || a > 0 ? s : T(1)), w)"
    return cupy.ElementwiseKernel("T u, T a, T p, T w", "T z", source, "xpsolve_relaxed")(u, a, p, omega)


@native
def scaled(K: Array, u: Array, v: Array) -> Array:
    """diag(u) K diag(v): (n, m) for one K and u (1, n), v (1, m), else (B, n, m)."""
    u, v = _beside(K, u, v)
    return K * u * v


@scaled.register("numpy")
def _scaled_numpy(K: Array, u: Array, v: Array) -> Array:
    u, v = _beside(K, u, v)
    P = np.empty(np.broadcast_shapes(K.shape, u.shape, v.shape), K.dtype)
    K, u, v = (np.broadcast_to(x, P.shape) for x in (K, u, v))
    rows = max(1, _CACHED // P.shape[-1])
    for k in np.ndindex(P.shape[:-2]):
        for i in range(0, P.shape[-2], rows):
            part = np.multiply(K[k][i : i + rows], u[k][i : i + rows], out=P[k][i : i + rows])
            part *= v[k][i : i + rows]
    return P


@scaled.register("cupy")
def _scaled_cupy(K: Array, u: Array, v: Array) -> Array:
    import cupy

    u, v = _beside(K, u, v)
    return cupy.ElementwiseKernel("T k, T u, T v", "T z", "z = k * u * v", "xpsolve_scaled")(K, u, v)


@native
def cost_range(M: Array, most: float) -> tuple[Array, Array]:
    """The smallest cost, and the largest of those at most `most` above it: larger costs are not used."""
    xp = namespace_of(M)
    low = xp.min(M)
    return low, xp.max(xp.where(M - low <= most, M, xp.zeros_like(M) + low))


@cost_range.register("numpy")
def _cost_range_numpy(M: Array, most: float) -> tuple[Array, Array]:
    low, high = M.min(), M.max()
    if high - low > most:
        high = np.max(M, where=M - low <= most, initial=low)
    return np.asarray(low), np.asarray(high)


@native
def mirrored(a: Array, b: Array, M: Array | None, slack: Array | None, eps: float) -> Array:
    """Which problems take a histogram onto itself at a symmetric cost that is least on the diagonal: (B, 1).

    Symmetric is up to `slack`, and least up to ε, so that rounding of the costs is allowed for.
    """
    xp = namespace_of(a)
    same = xp.all(a == b, axis=1, keepdims=True)
    if M is None:
        return same
    other = xp.matrix_transpose(M)
    symmetric = xp.all((other == M) | (xp.abs(M - other) <= slack), axis=(-2, -1))
    least = xp.all(xp.linalg.diagonal(M) <= xp.min(M) + eps, axis=-1)
    return same & xp.reshape(symmetric & least, (-1, 1))


@mirrored.register("numpy")
def _mirrored_numpy(a: Array, b: Array, M: Array | None, slack: Array | None, eps: float) -> Array:
    same = (a == b).all(axis=1, keepdims=True)
    if M is None or not same.any():
        return same
    row, column = M[..., 0, :], M[..., :, 0]
    if M.ndim == 2 and not ((row == column) | (np.abs(row - column) <= slack)).all():
        return np.zeros_like(same)  # as nearly every cost that is not symmetric
    return mirrored.standard(a, b, M, slack, eps)
