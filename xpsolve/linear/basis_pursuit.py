"""Basis pursuit  min ‖x‖₁ subject to Ax = y, the limit λ → 0 of the lasso (Peyré 2020, §14.1.3).

The problem is that of Chen, Donoho & Saunders (1998).  Douglas–Rachford splitting alternates the two steps that are
easy (Combettes & Pesquet 2007): the soft threshold of γ‖·‖₁ and the projection onto {x : Ax = y}, from one singular
value decomposition:

    x = S_γ(z),   w = P(2x − z),   z⁺ = z + w − x,        P(v) = v − A⁺(Av − y)

At each check the support of x is tried as the final one: least squares on it gives x exactly once it is right, and the
shortest ν with A_Sᵀν = sign(x_S) then proves it: ⟨y, ν⟩ ≤ min ‖x‖₁ for every ν with ‖Aᵀν‖∞ ≤ 1.  For complex numbers
Aᵀ is Aᴴ, the sign of x is x/|x|, and ⟨y, ν⟩ the real part of Σ ȳν.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Namespace,
    abs_or_one,
    adjoint_product,
    check_iteration,
    cholesky,
    cholesky_solve,
    gram,
    inner,
    is_array,
    is_complex,
    iterate,
    largest,
    limits_of,
    real_dtype,
    real_part,
    scatter,
    shifted,
    take_columns,
    thin_svd,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear._entry import enter_problem
from xpsolve.linear._problem import Problem, lost_in_units, rank_cut, scaled
from xpsolve.operators.sparse import is_sparse
from xpsolve.penalties.shrink import soft
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by

_CERTIFICATE = "duality gap relative to ‖x‖₁, or distance from Ax = y relative to ‖y‖"
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter.",
    Status.INFEASIBLE: "No x satisfies Ax = y. Use lasso, which allows for noise in y, or lstsq. If it is noise "
    "alone, raise tol above it.",
}


class _State(NamedTuple):
    Z: Array  # (p,)
    x: Array  # the best feasible point so far, (p,)
    error: Array  # its certificate, 0-d


@capabilities(backends=EAGER, syncs=2, complex=True, numbers=("tol",))
def basis_pursuit(
    A: Array,
    y: Array,
    *,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_every: int = 2 * costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """Minimise ‖x‖₁ subject to Ax = y.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> solution = xs.basis_pursuit(np.asarray([[1.0, 2.0]]), np.asarray([2.0]))
    >>> solution.x.round(6), solution.converged
    (array([0., 1.]), True)

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
        The matrix, real or complex; its rows may depend on one another.  A sparse one is made dense, since its
        singular value decomposition is.
    y : array, shape (n,)
        Observations, which must lie in the range of A.  Where A or y is complex, x is, and ‖x‖₁ sums the moduli |x_j|.
    tol : float
        The certificate to reach.

    Returns
    -------
    Solution
        ``.x`` is (p,).  The certificate is the duality gap relative to ‖x‖₁ or the distance ‖Ax − y‖ relative to ‖y‖,
        whichever is larger, from the returned x.

    Other Parameters
    ----------------
    max_iter : int
        Most iterations, each a product with A⁺ and one with A.
    check_every : int
        Iterations between two convergence checks, each one host read, or a tenth of those so far where that is more.
    record : bool
        Whether to keep objective and certificate after every iteration: of the best x so far, found at checks.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`; a true answer stops.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Raises
    ------
    TypeError
        If A is not an array or a sparse matrix, y is not an array, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, a number is not finite or an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    lasso : For observations with noise.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.3.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> xs.basis_pursuit(A, np.asarray([1.0, 1.0])).x.round(6)  # the shortest in ‖·‖₂ has no zero
    array([0., 1., 0.])
    """
    tol = check_iteration(
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        callback=callback,
        check_finite=check_finite,
        record=record,
    )
    problem = _enter(A, y, check_finite)
    extreme = problem.ordinary is False
    if problem.ordinary is not True:
        problem = scaled(problem)
    xp, unit = problem.xp, problem.l1_unit
    work = _DouglasRachford.of(problem)
    rounding = limits_of(problem.Y).eps ** 0.75
    least = xp.maximum(tol, xp.full_like(tol, rounding)) if is_array(tol) else max(tol, rounding)
    infeasible = work.distance > least  # no x satisfies Ax = y

    def outside(x: Array) -> Array:
        return x if unit is None else x * unit

    def recorded(state: _State) -> dict[str, Array]:
        return {"objective": xp.sum(xp.abs(outside(state.x))), "certificate": state.error}

    run = iterate(
        work.step,
        work.start(),
        measure=lambda state: xp.where(infeasible, xp.full_like(state.error, xp.nan), state.error),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=work.refresh,
        record=recorded if record else None,
        callback=seen_by(callback, lambda state: outside(state.x), lambda state: state.error),
        late=costs.LATE,
    )
    x, error = run.state.x, run.state.error
    if unit is not None:
        error = error + lost_in_units(x, unit[0])
    certificate = Certificate(_CERTIFICATE, error, tol)
    return finish(
        "basis_pursuit",
        outside(x),
        method="douglas_rachford",
        certificate=certificate,
        reason=run.reason,
        measure=None if run.reason == "traced" else certificate.value if extreme else run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        ended=Status.INFEASIBLE if run.reason == "not finite" and bool(infeasible) else None,
        advice=_ADVICE,
    )


def _enter(A: Array, y: Array, check_finite: bool) -> Problem:
    """The problem of A as a dense array and one right-hand side."""
    A = A.toarray() if is_sparse(A) else A
    problem: Problem = enter_problem(A, y, 0.0, check_finite=check_finite, complex_too=True)
    if not problem.dense:
        message = (
            f"A: expected an array or a sparse matrix, got {problem.operator!r}. Its singular values are needed: pass "
            f"A @ numpy.eye(p), or use lasso with a small lam."
        )
        raise TypeError(message)
    if not problem.single_y:
        message = f"y: expected shape (n,), got {tuple(problem.Y.shape)}. Solve for one column after another."
        raise ValueError(message)
    return problem


@dataclass(frozen=True)
class _DouglasRachford:
    """The iteration, and the candidates that every check tries."""

    xp: Namespace
    A: Array
    y: Array
    U: Array
    inverse: Array  # 1/s, 0 where s counts as 0
    Vh: Array
    shortest: Array  # A⁺y
    gamma: Array  # the step, 0-d
    size: int  # features that a vertex may have: half of them, and a copy of each

    @classmethod
    def of(cls, problem: Problem) -> _DouglasRachford:
        """With A = U diag(s) Vᵀ."""
        xp, A, y = problem.xp, problem.A, problem.Y[:, 0]
        U, s, Vh = thin_svd(A)
        kept = s > rank_cut(problem) * xp.max(s)
        inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
        size = min(2 * min(problem.shape), problem.shape[1])
        shortest = adjoint_product(Vh, inverse * adjoint_product(U, y))
        gamma = 3 * xp.mean(xp.abs(shortest))  # a large part of the entries of the answer lie below
        return cls(xp, A, y, U, inverse, Vh, shortest, gamma, size)

    def pseudo_inverse(self, r: Array) -> Array:
        """A⁺r."""
        return adjoint_product(self.Vh, self.inverse * adjoint_product(self.U, r))

    @cached_property
    def distance(self) -> Array:
        """‖Ax − y‖/‖y‖ of the best x: more than rounding where no x satisfies Ax = y."""
        norm = self.xp.linalg.vector_norm
        return self.ratio(norm(self.A @ self.shortest - self.y), norm(self.y))

    def ratio(self, a: Array, b: Array) -> Array:
        """a/b; where b is 0, so is a."""
        return a / self.xp.where(b > 0, b, self.xp.ones_like(b))

    def error(self, x: Array, nu: Array) -> Array:
        """The certificate of x against the dual point ν, made feasible."""
        xp, norm = self.xp, self.xp.linalg.vector_norm
        highest = xp.max(xp.abs(adjoint_product(self.A, nu)))
        bound = xp.maximum(highest, xp.ones_like(highest))
        length = xp.sum(xp.abs(x))
        gap = xp.abs(self.ratio(length - inner(self.y, nu) / bound, length))
        return xp.maximum(gap, self.ratio(norm(self.A @ x - self.y), norm(self.y)))

    def vertex(self, x: Array) -> tuple[Array, Array]:
        """Least squares on the support of x, at most `size` features, and the shortest ν with A_Sᵀν = sign x_S."""
        xp, y = self.xp, self.y
        index = largest(xp.abs(x), self.size)
        kept = xp.take(x, index)
        on = xp.astype(kept != 0, real_dtype(x))
        columns = take_columns(self.A, index).T * on
        G = gram(columns)
        # a little more on the diagonal keeps the system of dependent columns solvable; a second solve corrects for it
        shift = 1 - on + on * (8 * self.size * limits_of(on).eps * xp.max(real_part(xp.linalg.diagonal(G))))
        L, _ = cholesky(shifted(G, shift))
        fitted = cholesky_solve(L, adjoint_product(columns, y))
        fitted = fitted + cholesky_solve(L, adjoint_product(columns, y - columns @ fitted))
        signs = kept / abs_or_one(kept) if is_complex(kept) else xp.where(kept > 0, on, -on)
        weights = cholesky_solve(L, signs)
        weights = weights + cholesky_solve(L, signs - adjoint_product(columns, columns @ weights))
        return scatter(fitted, index, x.shape[0]), columns @ weights

    def start(self) -> _State:
        """The shortest x, checked."""
        return self.refresh(_State(self.shortest, self.shortest, self.xp.full_like(self.distance, self.xp.inf)))

    def step(self, state: _State) -> _State:
        """x = S_γ(z), and z reflected in both sets."""
        x = soft(state.Z, self.gamma)
        v = 2 * x - state.Z
        return state._replace(Z=state.Z - x + v - self.pseudo_inverse(self.A @ v - self.y))

    def refresh(self, state: _State) -> _State:
        """The best of the last x made feasible, and of the vertex with its support."""
        xp = self.xp
        x = soft(state.Z, self.gamma)
        feasible = x - self.pseudo_inverse(self.A @ x - self.y)
        nu = self.U @ (self.inverse * (self.Vh @ self.ratio(state.Z - x, self.gamma)))
        fitted, exact = self.vertex(x)
        best, least = state.x, state.error
        for candidate, dual in ((feasible, nu), (fitted, nu), (fitted, exact)):
            found = self.error(candidate, dual)
            better = found < least  # a NaN is not
            best, least = xp.where(better, candidate, best), xp.where(better, found, least)
        return _State(state.Z, best, least)
