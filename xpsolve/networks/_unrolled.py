"""The layers of an unrolled ISTA and their gradient (Ablin, Moreau, Massias & Gramfort 2019).

    u_t = W₁ z_t + W₂ x,   z_{t+1} = S_β(u_t)

    "full"     W₁, W₂ and β ≥ 0 are free
    "coupled"  W₁ = I − W₂D; W₂ and β ≥ 0 are free
    "step"     W₁ = I − τDᵀD, W₂ = τDᵀ, β = λτ with one τ ≥ 0: the threshold is never without its step

Samples are rows.  Backwards, with M_t = δ_{t+1} ⊙ [z_{t+1} ≠ 0], the sign s of z_{t+1}, and r_t = x − Dz_t,

    δ_t = W₁ᵀM_t,    ∂/∂W₁ = M_t z_tᵀ,    ∂/∂W₂ = M_t xᵀ or M_t r_tᵀ,    ∂/∂β = −⟨M_t, s⟩,    ∂/∂τ = ⟨M_t, Dᵀr_t − λs⟩

Gradients of all layers come from the stacked M_t: a batched product, or for weights that the layers share ("tied") one
product over layers and samples together.
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, device_of, namespace_of
from xpsolve.penalties.shrink import shrink

Parameters = tuple[Array, ...]  # each with the layers along its first axis, which has length 1 where they are tied
_POWER_STEPS = 20


def ista(kind: str, D: Array, lam: float, step: Array) -> Parameters:
    """One layer of ISTA with this step."""
    xp = namespace_of(D)
    tau = xp.reshape(step, (1,))
    if kind == "step":
        return (tau,)
    W2 = tau[:, None, None] * D.T
    if kind == "coupled":
        return W2, lam * tau
    return xp.eye(D.shape[1], dtype=D.dtype, device=device_of(D)) - W2 @ D, W2, lam * tau


def forward(
    kind: str, D: Array, lam: float, parameters: Parameters, X: Array, Z: Array, n_layers: int
) -> tuple[list[Array], list[Array]]:
    """[z_0, …, z_T] of samples that start with codes Z; and Dᵀr_t for "step", r_t for "coupled", nothing for "full"."""
    states, kept = [Z], []
    last = parameters[0].shape[0] - 1
    for t in range(n_layers):
        Z, layer = states[-1], tuple(p[min(t, last), ...] for p in parameters)
        if kind == "full":
            W1, W2, beta = layer
            states.append(shrink(Z @ W1.T + X @ W2.T, beta))
            continue
        R = X - Z @ D.T
        if kind == "coupled":
            W2, beta = layer
            kept.append(R)
            states.append(shrink(Z + R @ W2.T, beta))
        else:
            (tau,) = layer
            kept.append(R @ D)
            states.append(shrink(Z + tau * kept[-1], tau * lam))
    return states, kept


def backward(
    kind: str,
    D: Array,
    lam: float,
    parameters: Parameters,
    X: Array,
    states: list[Array],
    kept: list[Array],
    delta: Array,
) -> Parameters:
    """The gradient in the parameters of a loss whose gradient in z_T is delta."""
    xp, last = namespace_of(X), parameters[0].shape[0] - 1
    n_layers = len(states) - 1
    masked = []
    for t in reversed(range(n_layers)):
        M = xp.where(states[t + 1] != 0, delta, xp.zeros_like(delta))
        masked.append(M)
        if t == 0:
            break
        layer = tuple(p[min(t, last), ...] for p in parameters)
        if kind == "full":
            delta = M @ layer[0]
        elif kind == "coupled":
            delta = M - (M @ layer[0]) @ D
        else:
            delta = M - layer[0] * ((M @ D.T) @ D)
    tied = last == 0

    def stack(arrays: list[Array]) -> Array:
        """(layers, N, ·), or (1, layers·N, ·) where the layers share what is to be found."""
        stacked = xp.stack(arrays)
        return xp.reshape(stacked, (1, -1, stacked.shape[2])) if tied else stacked

    M = stack(masked[::-1])
    s = signs(xp, stack(states[1:]))
    if kind == "step":
        return (xp.sum(M * (stack(kept) - lam * s), axis=(1, 2)),)
    Mt, in_beta = xp.matrix_transpose(M), -xp.sum(M * s, axis=(1, 2))
    if kind == "coupled":
        return xp.matmul(Mt, stack(kept)), in_beta
    return xp.matmul(Mt, stack(states[:-1])), xp.matmul(Mt, stack([X] * n_layers)), in_beta


def signs(xp: Any, x: Array) -> Array:
    """±1, and 0 where x is; `sign` of CuPy's compatible namespace would read from the device."""
    return xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)


def support_curvature(D: Array, lam: float, X: Array, Z: Array) -> Array:
    """L_S = max ‖D_S‖² over the samples, 0-d, by the power method on all of them at once.

    S holds the entries of z that are nonzero, or may become nonzero in the next layer, |Dᵀ(x − Dz)| > λ: for every step
    the next code has its support there.
    """
    xp = namespace_of(D)
    inside = xp.astype((Z != 0) | (xp.abs((X - Z @ D.T) @ D) > lam), D.dtype)
    j = xp.arange(D.shape[1], dtype=D.dtype, device=device_of(D))
    V = inside * xp.cos(j * j)  # a vector that is hardly orthogonal to any structured one
    for _ in range(_POWER_STEPS):
        length = xp.sqrt(xp.sum(V * V, axis=1, keepdims=True))
        V = inside * ((V / xp.where(length > 0, length, xp.ones_like(length)) @ D.T) @ D)
        curvature = xp.sqrt(xp.sum(V * V, axis=1))
    return xp.max(curvature)
