"""Basis pursuit  min ‖x‖₁ subject to Ax = y, the limit λ → 0 of the lasso (Peyré 2020, §14.1.3).

The problem is that of Chen, Donoho & Saunders (1998).  Douglas–Rachford splitting alternates the two steps that are
easy (Combettes & Pesquet 2007): the soft threshold of γ‖·‖₁ and the projection onto {x : Ax = y}, from one singular
value decomposition:

    x = S_γ(z),   w = P(2x − z),   z⁺ = z + w − x,        P(v) = v − A⁺(Av − y)

At each check the support of x is tried as the final one: least squares on it gives x exactly once it is right, and the
shortest ν with A_Sᵀν = sign(x_S) then proves it: ⟨y, ν⟩ ≤ min ‖x‖₁ for every ν with ‖Aᵀν‖∞ ≤ 1.
"""

from __future__ import annotations

from typing import NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_iteration,
    cholesky,
    cholesky_solve,
    gram,
    iterate,
    largest,
    scatter,
    shifted,
    take_columns,
    thin_svd,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear._problem import enter_problem, lost_in_units, rank_cut, scaled
from xpsolve.penalties.shrink import shrink
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, seen_by

_CERTIFICATE = "duality gap relative to ‖x‖₁, or distance from Ax = y relative to ‖y‖"
_ADVICE = {
    Status.MAX_ITER: "Raise max_iter.",
    Status.INFEASIBLE: "If that is only noise in y, raise tol above it.",
}


class _State(NamedTuple):
    Z: Array  # (p,)
    x: Array  # the best feasible point so far, (p,)
    error: Array  # its certificate, 0-d


@capabilities(backends=EAGER, syncs=2)
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

    Parameters
    ----------
    A : array, shape (n, p)
        The matrix; its rows may depend on one another.
    y : array, shape (n,)
        Observations, which must lie in the range of A.
    tol : float
        The certificate to reach.
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

    Returns
    -------
    Solution
        ``.x`` is (p,).  The certificate is the duality gap relative to ‖x‖₁ or the distance ‖Ax − y‖ relative to ‖y‖,
        whichever is larger, from the returned x.

    Raises
    ------
    TypeError
        If A or y is not a dense array, or libraries are mixed.
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
    problem = enter_problem(A, y, 0.0, check_finite=check_finite)
    if not problem.dense:
        message = (
            f"A: expected a dense array, got {problem.operator!r}. Its singular values are needed: pass a sparse A as "
            f"A.toarray(), or use lasso with a small lam."
        )
        raise TypeError(message)
    if not problem.single_y:
        message = f"y: expected shape (n,), got {tuple(problem.Y.shape)}. Solve for one column after another."
        raise ValueError(message)
    extreme = problem.ordinary is False
    if problem.ordinary is not True:
        problem = scaled(problem)

    xp, A, y = problem.xp, problem.A, problem.Y[:, 0]
    norm, zero = xp.linalg.vector_norm, xp.zeros_like(y[0])
    U, s, Vh = thin_svd(A)
    kept = s > rank_cut(problem) * xp.max(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))

    def pseudo_inverse(r: Array) -> Array:
        return Vh.T @ (inverse * (U.T @ r))

    def ratio(a: Array, b: Array) -> Array:
        return a / xp.where(b > 0, b, xp.ones_like(b))  # where the divisor is 0, so is the numerator

    shortest = pseudo_inverse(y)
    distance = ratio(norm(A @ shortest - y), norm(y))  # where it is more than rounding, no x satisfies Ax = y
    allowed = max(tol, float(xp.finfo(y.dtype).eps) ** 0.75)
    gamma = 3 * xp.mean(xp.abs(shortest))  # a large part of the entries of the answer lie below
    size = min(2 * min(problem.shape), problem.shape[1])  # a vertex needs half, and a copy of each may be there

    def error(x: Array, nu: Array) -> Array:
        """The certificate of x against the dual point ν, made feasible."""
        bound = xp.maximum(xp.max(xp.abs(A.T @ nu)), xp.ones_like(zero))
        length = xp.sum(xp.abs(x))
        return xp.maximum(xp.abs(ratio(length - xp.sum(y * nu) / bound, length)), ratio(norm(A @ x - y), norm(y)))

    def vertex(x: Array) -> tuple[Array, Array]:
        """Least squares on the support of x, at most `size` features, and the shortest ν with A_Sᵀν = sign."""
        index = largest(xp.abs(x), size)
        on = xp.astype(xp.take(x, index) != 0, x.dtype)
        columns = take_columns(A, index).T * on
        G = gram(columns)
        # a little more on the diagonal keeps the system of dependent columns solvable; a second solve corrects for it
        shift = 1 - on + on * (8 * size * xp.finfo(on.dtype).eps * xp.max(xp.linalg.diagonal(G)))
        L, _ = cholesky(shifted(G, shift))
        fitted = cholesky_solve(L, columns.T @ y)
        fitted = fitted + cholesky_solve(L, columns.T @ (y - columns @ fitted))
        signs = xp.where(xp.take(x, index) > 0, on, -on)
        weights = cholesky_solve(L, signs)
        weights = weights + cholesky_solve(L, signs - columns.T @ (columns @ weights))
        return scatter(fitted, index, x.shape[0]), columns @ weights

    def step(state: _State) -> _State:
        x = shrink(state.Z, gamma)
        v = 2 * x - state.Z
        return state._replace(Z=state.Z - x + v - pseudo_inverse(A @ v - y))

    def refresh(state: _State) -> _State:
        x = shrink(state.Z, gamma)
        feasible = x - pseudo_inverse(A @ x - y)
        nu = U @ (inverse * (Vh @ ratio(state.Z - x, gamma)))
        fitted, exact = vertex(x)
        best, least = state.x, state.error
        for candidate, dual in ((feasible, nu), (fitted, nu), (fitted, exact)):
            found = error(candidate, dual)
            better = found < least  # a NaN is not
            best, least = xp.where(better, candidate, best), xp.where(better, found, least)
        return _State(state.Z, best, least)

    unit = problem.l1_unit

    def outside(x: Array) -> Array:
        return x if unit is None else x * unit

    def recorded(state: _State) -> dict[str, Array]:
        return {"objective": xp.sum(xp.abs(outside(state.x))), "certificate": state.error}

    start = refresh(_State(shortest, shortest, xp.full_like(zero, xp.inf)))
    run = iterate(
        step,
        start,
        measure=lambda state: xp.where(distance > allowed, xp.full_like(zero, xp.nan), state.error),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=refresh,
        record=recorded if record else None,
        callback=seen_by(callback, lambda state: outside(state.x), lambda state: state.error),
        late=costs.LATE,
    )
    infeasible = run.reason == "not finite" and float(distance) > allowed
    x, error_of_x = run.state.x, run.state.error
    if unit is not None:
        error_of_x = error_of_x + lost_in_units(x, unit[0])
    certificate = Certificate(_CERTIFICATE, error_of_x, tol)
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
        ended=Status.INFEASIBLE if infeasible else None,
        advice=_ADVICE,
    )
