"""A dictionary and codes of samples, X ≈ ZDᵀ, and the steps of dictionary learning.

Two steps alternate, and neither can increase the objective.  *Codes*: FISTA on all samples together, with the Gram
matrix DᵀD, from the last codes.  A sample whose objective momentum has left above that after the first step, a plain
proximal gradient step, keeps the code of that step.  *Atoms*: with S = ZᵀZ and B = XᵀZ the fit is ½⟨D, DS⟩ − ⟨D, B⟩ +
const, and S lies below a diagonal matrix, since 2|x_i x_j| ≤ x_i² s_j/s_i + x_j² s_i/s_j:

    S ⪯ diag(L),   L_j = Σ_i |S_ij| s_i/s_j,  s_j = √S_jj;      D_j⁺ = U_j/‖U_j‖,   U = B − DS + D diag(L)

On unit spheres ‖D_j‖² is constant, so that this bound of the fit is linear in D and D⁺ its exact minimiser (majorise
and minimise, Lange 2016): all atoms at once, where the updates of Mairal et al. (2010) go one by one.  With L_j = S_jj
it is the exact minimiser over atom j alone, and ½‖U_j‖·‖U_j/‖U_j‖ − D_j‖² is what that gains: part of the certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Namespace,
    device_of,
    gram,
    holds,
    namespace_of,
    take_columns,
)
from xpsolve.linear._l1 import Penalty
from xpsolve.operators import eigenvalue_bound
from xpsolve.penalties.shrink import shrink
from xpsolve.proximal.proximal_gradient import extrapolate


class State(NamedTuple):
    D: Array  # unit columns, (p, m)
    C: Array  # codes, one sample per column, (m, n)
    error: Array  # the certificate at the last check, 0-d


@dataclass(frozen=True)
class Factorisation:
    """X ≈ (DC)ᵀ with ½‖Xᵀ − DC‖² + λ‖C‖₁, and the two steps that lower it."""

    xp: Namespace
    X: Array
    lam: Array
    code_steps: int

    def step(self, s: State) -> State:
        """Better atoms for these codes, then better codes for those atoms."""
        D = self.atoms(s.D, s.C)
        return s._replace(D=D, C=self.code(D, s.C))

    def atoms(self, D: Array, C: Array) -> Array:
        """Better atoms for these codes."""
        return better_atoms(D, *self.sums(C))

    def sums(self, C: Array) -> tuple[Array, Array]:
        """S = ZᵀZ and B = XᵀZ, which are all that the fit of D needs of samples and codes."""
        return gram(C.T), self.X.T @ C.T

    def code(self, D: Array, C: Array) -> Array:
        """FISTA from C; samples whose objective rose keep the first step, which cannot raise it."""
        xp = self.xp
        G, right = gram(D), D.T @ self.X.T
        tau = 1 / eigenvalue_bound(G)
        threshold = tau * self.lam
        first = C = shrink(C + tau * (right - G @ C), threshold)
        Z = C  # as j/(j+3) is 0 for j = 0
        for j in range(1, self.code_steps):
            before, C = C, shrink(Z + tau * (right - G @ Z), threshold)
            Z = extrapolate(C, before, xp.full_like(tau, float(j)))
        # the difference of two objectives, of each sample: one product, and no cancellation of what they share
        fit = (C - first) * (0.5 * (G @ (C + first)) - right)
        rise = xp.sum(fit + self.lam * (xp.abs(C) - xp.abs(first)), axis=0)
        return xp.where(rise <= 0, C, first)

    def refresh(self, s: State) -> State:
        """Replace unused atoms, and compute the certificate."""
        R = self.X.T - s.D @ s.C
        D = self.replace(s.D, self.xp.all(s.C == 0, axis=1), R)
        return State(D, s.C, self.certify(D, s.C, R))

    def replace(self, D: Array, unused: Array, R: Array) -> Array:
        """D with the k-th `unused` atom, if any, along the k-th longest residual where that is longer than λ."""
        xp = self.xp
        lengths = xp.linalg.vector_norm(R, axis=0)
        order = xp.argsort(lengths, descending=True)[: min(D.shape[1], R.shape[1])]
        rank = xp.cumulative_sum(xp.astype(unused, order.dtype)) - 1
        rank = xp.minimum(xp.maximum(rank, xp.zeros_like(rank)), xp.full_like(rank, order.shape[0] - 1))
        chosen = xp.take(order, rank)
        length = xp.take(lengths, chosen)
        # for shorter ones the next codes would be 0 again
        return xp.where(unused & (length > self.lam), take_columns(R, chosen).T * _inverse(length), D)

    def certify(self, D: Array, C: Array, R: Array, *, orthonormal: bool = False) -> Array:
        """The gap of the codes and the gains of the atoms, from R = Xᵀ − DC, over ½‖X‖²."""
        xp = self.xp
        correlation = D.T @ R
        # of least squares codes miss their minimum by ½‖DDᵀr‖²
        gap = 0.5 * xp.sum(correlation * correlation) if orthonormal else self.code_gap(C, correlation, R)
        gain = atom_gain(D, R @ C.T + D * xp.sum(C * C, axis=1))
        half = 0.5 * xp.sum(self.X * self.X)
        return (gap + gain) / xp.where(half > 0, half, xp.ones_like(half))

    def code_gap(self, C: Array, correlation: Array, R: Array) -> Array:
        """The duality gap of the codes of all samples, from DᵀR and R."""
        return self.xp.sum(Penalty(self.lam).gap(C, correlation, self.xp.sum(R * R, axis=0)))

    def objective(self, C: Array, R: Array) -> Array:
        """½‖R‖² + λ‖C‖₁."""
        return 0.5 * self.xp.sum(R * R) + self.lam * self.xp.sum(self.xp.abs(C))

    def recorded(self, s: State, unit: Array) -> dict[str, Array]:
        """½‖X − ZDᵀ‖² + λ‖Z‖₁ for X in the unit of the caller, and the certificate."""
        R = self.X.T - s.D @ s.C
        return {"objective": self.objective(s.C, R) * unit * unit, "certificate": self.certify(s.D, s.C, R)}


def better_atoms(D: Array, S: Array, B: Array) -> Array:
    """D after a few minimisations of the diagonal bound of ½⟨D, DS⟩ − ⟨D, B⟩."""
    xp = namespace_of(D)
    s = xp.sqrt(xp.linalg.diagonal(S))
    L = (xp.abs(S) @ s) * _inverse(s)
    for _ in range(costs.ATOM_STEPS):
        D = _unit(B - D @ S + D * L, D)
    return D


def atom_gain(D: Array, U: Array) -> Array:
    """What every atom can gain alone, summed, from U = B − DS + D diag(S)."""
    xp = namespace_of(D)
    turn = _unit(U, D) - D
    return 0.5 * xp.sum(xp.linalg.vector_norm(U, axis=0) * xp.sum(turn * turn, axis=0))


def _inverse(x: Array) -> Array:
    """1/x, and 0 where x is 0."""
    xp = namespace_of(x)
    return xp.where(x != 0, 1 / xp.where(x != 0, x, xp.ones_like(x)), xp.zeros_like(x))


def _unit(U: Array, otherwise: Array) -> Array:
    """Columns of U over their lengths, those of `otherwise` where that is 0."""
    xp = namespace_of(U)
    length = xp.linalg.vector_norm(U, axis=0)
    return xp.where(length != 0, U / xp.where(length != 0, length, xp.ones_like(length)), otherwise)


def first_atoms(xp: Namespace, X: Array, m: int, seed: int, x0: Array | None = None) -> Array:
    """Unit columns: of x0, or m different samples; drawn on the sphere where a column is 0 or samples are too few."""
    (n, p), rng = X.shape, np.random.default_rng(seed)
    index, drawn = rng.permutation(n)[:m], rng.standard_normal((p, m))
    drawn = xp.asarray(drawn / np.linalg.norm(drawn, axis=0), dtype=X.dtype, device=device_of(X))
    if x0 is None:
        x0 = xp.take(X, xp.asarray(index, device=device_of(X)), axis=0).T
        x0 = xp.concat([x0, drawn[:, n:]], axis=1) if m > n else x0
    return _unit(x0, drawn)


def check_start(xp: Namespace, x0: Array, shape: tuple[int, int], *, read: bool) -> None:
    if tuple(x0.shape) != shape:
        message = f"x0: expected shape (features, n_atoms) = {shape}, got {tuple(x0.shape)}."
        raise ValueError(message)
    if read and not holds(~xp.any(xp.all(x0 == 0, axis=0))):
        message = "x0: expected columns that can be scaled to length 1, got one of zeros. Leave it out, or draw it."
        raise ValueError(message)
