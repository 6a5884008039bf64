"""Dictionary learning  min over D, Z of ½‖X − ZDᵀ‖² + λ‖Z‖₁ with ‖D_j‖ = 1 (Olshausen & Field 1996).

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
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    MOST,
    Array,
    Namespace,
    check_count,
    check_iteration,
    check_ndim,
    device_of,
    enter,
    gram,
    holds,
    is_concrete,
    is_scalar,
    iterate,
    namespace_of,
    power_of_two,
    regularisation,
    take_columns,
    thin_svd,
)
from xpsolve.arrays import check_finite as _check_finite
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear._l1 import Penalty
from xpsolve.linear._problem import lost_in_units
from xpsolve.operators import eigenvalue_bound
from xpsolve.penalties.shrink import shrink
from xpsolve.proximal.proximal_gradient import extrapolate
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by

_CERTIFICATE = "what codes alone and atoms alone can still gain, relative to half of ‖X‖²"
_ADVICE = {Status.MAX_ITER: "Raise max_iter, or start from a better x0.", Status.INACCURATE: "Loosen tol."}


@dataclass(frozen=True, repr=False, eq=False)
class DictionarySolution(Solution):
    """A dictionary and the codes of the samples in it.

    Parameters
    ----------
    x, method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`; x is the dictionary D, (p, m).
    codes : array, shape (n, m)
        Z, one sample per row.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> X = np.asarray([[3.0, 0.0], [0.0, 4.0], [2.0, 0.0], [0.0, 1.0]])
    >>> xs.dictionary_learning(X, 2, 0.5, seed=1)
    DictionarySolution(x: 2×2, method='alternating', n_iter=0, status=CONVERGED)
    """

    codes: Any = None


class _State(NamedTuple):
    D: Array  # unit columns, (p, m)
    C: Array  # codes, one sample per column, (m, n)
    error: Array  # the certificate at the last check, 0-d


@capabilities(backends=EAGER, batch="rows of X", syncs=2)
def dictionary_learning(
    X: Array,
    n_atoms: int,
    lam: Any,
    *,
    seed: int = 0,
    code_steps: int = costs.CODE_STEPS,
    tol: float = 1e-6,
    max_iter: int = 1000,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> DictionarySolution:
    """Minimise ½‖X − ZDᵀ‖² + λ‖Z‖₁ over codes Z and dictionaries D with columns of length 1.

    Parameters
    ----------
    X : array, shape (n, p)
        Samples as rows.
    n_atoms : int
        Columns m of D; there may be more than features.
    lam : float or 0-d array
        λ ≥ 0.  From the length of the longest row on, all codes are 0.  The number 0 gives the best D of rank m,
        which the singular value decomposition gives.
    seed : int
        Of the draw of a first dictionary, made on the host so that backends agree.
    code_steps : int
        Steps of FISTA in one iteration.
    tol : float
        The certificate to reach.
    max_iter : int
        Most iterations, each an update of the atoms and one of the codes.
    x0 : array, shape (p, m), optional
        The first dictionary, whose columns are scaled to length 1.  None draws m samples.
    check_every : int
        Iterations between two convergence checks, each one host read.
    record : bool
        Whether to keep objective and certificate after every iteration, at the price of three products each.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check with x = D in a `Progress`; a true answer stops.
    check_finite : bool
        Whether to check for NaN and infinities in X, and for zero columns in `x0`, first, which costs a host read each;
        for λ = 0 also whether to check the certificate in the end.

    Returns
    -------
    DictionarySolution
        ``.x`` is D (p, m) and ``.codes`` is Z (n, m).  The certificate, from both, is the lasso's duality gap of Z, a
        bound of what codes can still gain with this D, and what every atom can gain alone, summed, over ½‖X‖².  The
        problem is not convex: 0 means that neither Z nor any one atom can do better, not that no other pair can.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative or a path, x0 has a zero column, devices are mixed, a number is not finite or
        an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    lasso : The codes of other samples in the same dictionary, ``lasso(D, X_new.T, lam).x.T``.

    Notes
    -----
    An atom that no sample uses is replaced, at a check, by the residual of the sample that is represented worst: this
    changes no product ZDᵀ, and the next codes gain from it where that residual is longer than λ.  Atoms that start
    alike, as two drawn samples that are multiples of one another, stay alike: another seed helps.

    References
    ----------
    J. Mairal, F. Bach, J. Ponce and G. Sapiro, J. Mach. Learn. Res. 11 (2010).
    K. Lange, MM Optimization Algorithms (2016).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> X = np.asarray([[3.0, 0.0], [0.0, 4.0], [2.0, 0.0], [0.0, 1.0]])
    >>> learnt = xs.dictionary_learning(X, 2, 0.5, seed=1)
    >>> np.abs(learnt.codes).sum(axis=1).round(6)  # each row is one atom, and λ less
    array([2.5, 3.5, 1.5, 0.5])
    >>> codes = xs.lasso(learnt.x, np.asarray([[2.0, 1.0]]).T, 0.5).x.T  # of a new sample
    >>> np.sort(np.abs(codes)).round(4)
    array([[0.5, 1.5]])
    """
    check_count(n_atoms, "n_atoms", 1, MOST)
    tol = check_iteration(
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        callback=callback,
        check_finite=check_finite,
        record=record,
    )
    check_count(seed, "seed", 0)
    check_count(code_steps, "code_steps", 1, MOST)
    xp, (X, *given) = enter(X=X, **({} if x0 is None else {"x0": x0}))
    check_ndim(X, "X", 2, shape="(n, p)")
    weight = regularisation(xp, lam, "lam", like=X, check_values=check_finite)
    if weight.ndim:
        message = f"lam: expected one number, got {weight.shape[0]}. Solve for one λ after another."
        raise ValueError(message)
    if given:
        _check_start(xp, given[0], (X.shape[1], n_atoms), read=check_finite)
    unit = power_of_two(X)  # so that no square of X overflows or underflows; codes and λ are scaled alike
    X, weight = X / unit, weight / unit
    D = _first(xp, X, n_atoms, seed, *(x / power_of_two(x, axis=0) for x in given))
    if check_finite:
        _check_finite(xp, lambda: D.T @ X.T, X=X, **({"x0": given[0]} if given else {}))

    problem = _Factorisation(xp, X, weight, int(code_steps))
    if is_scalar(lam) and lam == 0:
        return _without_penalty(problem, n_atoms, unit, tol, read=check_finite)
    C = problem.code(D, xp.zeros((n_atoms, X.shape[0]), dtype=X.dtype, device=device_of(X)))
    run = iterate(
        problem.step,
        problem.refresh(_State(D, C, xp.zeros_like(weight))),
        measure=lambda s: s.error,
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=problem.refresh,
        record=(lambda s: problem.recorded(s, unit)) if record else None,
        callback=seen_by(callback, lambda s: s.D, lambda s: s.error),
    )
    D, C = run.state.D, run.state.C
    return finish(
        "dictionary_learning",
        D,
        method="alternating",
        certificate=Certificate(_CERTIFICATE, run.state.error + xp.max(lost_in_units(C, unit)), tol),
        reason=run.reason,
        measure=None if run.reason == "traced" else run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        advice=_ADVICE,
        cls=DictionarySolution,
        codes=C.T * unit,
    )


def _without_penalty(
    problem: _Factorisation, n_atoms: int, unit: Array, tol: float, *, read: bool
) -> DictionarySolution:
    """The case λ = 0: the principal components."""
    xp, X = problem.xp, problem.X
    D, C = _principal(xp, X, n_atoms)
    error = problem.certify(D, C, X.T - D @ C, orthonormal=True) + xp.max(lost_in_units(C, unit))
    return finish(
        "dictionary_learning",
        D,
        method="svd",
        certificate=Certificate(_CERTIFICATE, error, tol),
        measure=float(error) if read and is_concrete(error) else None,
        advice=_ADVICE,
        cls=DictionarySolution,
        codes=C.T * unit,
    )


@dataclass(frozen=True)
class _Factorisation:
    """X ≈ (DC)ᵀ with ½‖Xᵀ − DC‖² + λ‖C‖₁, and the two steps that lower it."""

    xp: Namespace
    X: Array
    lam: Array
    code_steps: int

    def step(self, s: _State) -> _State:
        """Better atoms for these codes, then better codes for those atoms."""
        D = self.atoms(s.D, s.C)
        return s._replace(D=D, C=self.code(D, s.C))

    def atoms(self, D: Array, C: Array) -> Array:
        """D after a few minimisations of the diagonal bound: S and B are small, and computed once for all."""
        xp = self.xp
        S, B = gram(C.T), self.X.T @ C.T
        s = xp.sqrt(xp.linalg.diagonal(S))
        L = (xp.abs(S) @ s) * _inverse(s)
        for _ in range(costs.ATOM_STEPS):
            D = _unit(B - D @ S + D * L, D)
        return D

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

    def refresh(self, s: _State) -> _State:
        """Replace unused atoms, and compute the certificate."""
        R = self.X.T - s.D @ s.C
        D = self.replace(s.D, s.C, R)
        return _State(D, s.C, self.certify(D, s.C, R))

    def replace(self, D: Array, C: Array, R: Array) -> Array:
        """D with the k-th unused atom, if any, along the k-th longest residual where that is longer than λ."""
        xp = self.xp
        lengths = xp.linalg.vector_norm(R, axis=0)
        order = xp.argsort(lengths, descending=True)[: min(C.shape)]
        unused = xp.all(C == 0, axis=1)
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
        if orthonormal:  # least squares, which miss their minimum by ½‖DDᵀr‖²
            gap = 0.5 * xp.sum(correlation * correlation)
        else:
            gap = xp.sum(Penalty(self.lam).gap(C, correlation, xp.sum(R * R, axis=0)))
        U = R @ C.T + D * xp.sum(C * C, axis=1)
        turn = _unit(U, D) - D
        gain = 0.5 * xp.sum(xp.linalg.vector_norm(U, axis=0) * xp.sum(turn * turn, axis=0))
        half = 0.5 * xp.sum(self.X * self.X)
        return (gap + gain) / xp.where(half > 0, half, xp.ones_like(half))

    def recorded(self, s: _State, unit: Array) -> dict[str, Array]:
        """½‖X − ZDᵀ‖² + λ‖Z‖₁ for X in the unit of the caller, and the certificate."""
        R = self.X.T - s.D @ s.C
        objective = 0.5 * self.xp.sum(R * R) + self.lam * self.xp.sum(self.xp.abs(s.C))
        return {"objective": objective * unit * unit, "certificate": self.certify(s.D, s.C, R)}


def _inverse(x: Array) -> Array:
    """1/x, and 0 where x is 0."""
    xp = namespace_of(x)
    return xp.where(x != 0, 1 / xp.where(x != 0, x, xp.ones_like(x)), xp.zeros_like(x))


def _unit(U: Array, otherwise: Array) -> Array:
    """Columns of U over their lengths, those of `otherwise` where that is 0."""
    xp = namespace_of(U)
    length = xp.linalg.vector_norm(U, axis=0)
    return xp.where(length != 0, U / xp.where(length != 0, length, xp.ones_like(length)), otherwise)


def _first(xp: Namespace, X: Array, m: int, seed: int, x0: Array | None = None) -> Array:
    """Unit columns: of x0, or m different samples; drawn on the sphere where a column is 0 or samples are too few."""
    (n, p), rng = X.shape, np.random.default_rng(seed)
    index, drawn = rng.permutation(n)[:m], rng.standard_normal((p, m))
    drawn = xp.asarray(drawn / np.linalg.norm(drawn, axis=0), dtype=X.dtype, device=device_of(X))
    if x0 is None:
        x0 = xp.take(X, xp.asarray(index, device=device_of(X)), axis=0).T
        x0 = xp.concat([x0, drawn[:, n:]], axis=1) if m > n else x0
    return _unit(x0, drawn)


def _principal(xp: Namespace, X: Array, m: int) -> tuple[Array, Array]:
    """D and C of the best ZDᵀ of rank m; with more atoms than that takes, they repeat, with codes 0."""
    _, _, Vh = thin_svd(X)
    q = Vh.shape[0]
    if m <= q:
        return Vh[:m, :].T, Vh[:m, :] @ X.T
    C = Vh @ X.T
    return (
        xp.concat([Vh] * -(-m // q), axis=0)[:m, :].T,
        xp.concat([C, xp.zeros((m - q, X.shape[0]), dtype=X.dtype, device=device_of(X))], axis=0),
    )


def _check_start(xp: Namespace, x0: Array, shape: tuple[int, int], *, read: bool) -> None:
    if tuple(x0.shape) != shape:
        message = f"x0: expected shape (features, n_atoms) = {shape}, got {tuple(x0.shape)}."
        raise ValueError(message)
    if read and not holds(~xp.any(xp.all(x0 == 0, axis=0))):
        message = "x0: expected columns that can be scaled to length 1, got one of zeros. Leave it out, or draw it."
        raise ValueError(message)
