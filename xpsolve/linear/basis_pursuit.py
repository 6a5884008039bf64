"""Basis pursuit  min ‖x‖₁ subject to Ax = y, the limit λ → 0 of the lasso (Peyré 2020, §14.1.3).

The problem is that of Chen, Donoho & Saunders (1998).  Douglas–Rachford splitting alternates the two steps that are
easy (Combettes & Pesquet 2007): the soft threshold of γ‖·‖₁ and the projection onto {x : Ax = y}, from one singular
value decomposition:

    x = S_γ(z),   w = P(2x − z),   z⁺ = z + w − x,        P(v) = v − A⁺(Av − y)

At each check the support of x is tried as the final one: least squares on it gives x exactly once it is right, and the
shortest ν with A_Sᵀν = sign(x_S) then proves it: ⟨y, ν⟩ ≤ min ‖x‖₁ for every ν with ‖Aᵀν‖∞ ≤ 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_count,
    check_positive,
    cholesky,
    cholesky_solve,
    device_of,
    gram,
    iterate,
    largest,
    namespace_of,
    scatter,
    shifted,
    take_columns,
    thin_svd,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear._problem import enter_problem
from xpsolve.linear.prox import soft_threshold
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status


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
    callback: Callable[[int, Any], Any] | None = None,
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
        Iterations between two looks at convergence, each one host read.
    callback : callable, optional
        Called as ``callback(iteration, state)`` at every check; a true answer stops.
    check_finite : bool
        Whether to look for NaN and infinities first, which costs one host read.

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
        If it stops at `max_iter`.

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
    problem = enter_problem(A, y, 0.0, check_finite=check_finite)
    if not problem.dense:
        message = f"A: expected a dense array, got {problem.operator!r}."
        raise TypeError(message)
    if not problem.single_y:
        message = f"y: expected shape (n,), got {tuple(problem.Y.shape)}. Solve for one column after another."
        raise ValueError(message)
    check_positive(tol, "tol")
    check_count(max_iter, "max_iter", 0)
    check_count(check_every, "check_every", 1)

    xp, A, y = problem.xp, problem.A, problem.Y[:, 0]
    norm, zero = xp.linalg.vector_norm, xp.zeros_like(y[0])
    U, s, Vh = thin_svd(A)
    kept = s > max(problem.shape) * xp.finfo(s.dtype).eps * xp.max(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))

    def pseudo_inverse(r: Array) -> Array:
        return Vh.T @ (inverse * (U.T @ r))

    def ratio(a: Array, b: Array) -> Array:
        return a / xp.where(b > 0, b, xp.ones_like(b))  # what is divided by 0 here is 0 itself

    shortest = pseudo_inverse(y)
    distance = ratio(norm(A @ shortest - y), norm(y))  # where it is more than rounding, no x satisfies Ax = y
    allowed = max(tol, float(xp.finfo(y.dtype).eps) ** 0.75)
    gamma = 3 * xp.mean(xp.abs(shortest))  # a large part of the entries of the answer lie below
    size = min(*problem.shape)  # features that a vertex of {x : Ax = y} needs at most

    repeated = _repeated(A, y)

    def error(x: Array, nu: Array) -> Array:
        """The certificate of x against the dual point ν, made feasible."""
        bound = xp.maximum(xp.max(xp.abs(A.T @ nu)), xp.ones_like(zero))
        length = xp.sum(xp.abs(x))
        return xp.maximum(xp.abs(ratio(length - xp.sum(y * nu) / bound, length)), ratio(norm(A @ x - y), norm(y)))

    def vertex(x: Array) -> tuple[Array, Array]:
        """Least squares on the support of x, at most `size` features, and the shortest ν with A_Sᵀν = sign.

        Of equal columns one is taken.  Features that depend on one another are solvable by a small shift, whose effect
        a second solve takes away.
        """
        x = xp.where(repeated, zero, x)
        index = largest(xp.abs(x), size)
        on = xp.astype(xp.take(x, index) != 0, x.dtype)
        columns = take_columns(A, index).T * on
        G = gram(columns)
        nearby = xp.finfo(x.dtype).eps ** 0.75 * xp.max(xp.linalg.diagonal(G))
        L, _ = cholesky(shifted(G, xp.where(on > 0, nearby, xp.ones_like(on))))
        fitted, w = xp.zeros_like(on), xp.zeros_like(on)
        signs = xp.where(xp.take(x, index) > 0, on, -on)
        for _ in range(2):
            fitted = fitted + cholesky_solve(L, columns.T @ (y - columns @ fitted))
            w = w + cholesky_solve(L, signs - columns.T @ (columns @ w))
        return scatter(fitted, index, x.shape[0]), columns @ w

    def step(state: _State) -> _State:
        x = soft_threshold(state.Z, gamma)
        v = 2 * x - state.Z
        return state._replace(Z=state.Z - x + v - pseudo_inverse(A @ v - y))

    def refresh(state: _State) -> _State:
        x = soft_threshold(state.Z, gamma)
        feasible = x - pseudo_inverse(A @ x - y)
        nu = U @ (inverse * (Vh @ ratio(state.Z - x, gamma)))
        fitted, exact = vertex(x)
        best, least = state.x, state.error
        for candidate, dual in ((feasible, nu), (fitted, nu), (fitted, exact)):
            found = error(candidate, dual)
            better = found < least  # a NaN is not
            best, least = xp.where(better, candidate, best), xp.where(better, found, least)
        return _State(state.Z, best, least)

    start = refresh(_State(shortest, shortest, xp.full_like(zero, xp.inf)))
    run = iterate(
        step,
        start,
        measure=lambda state: xp.where(distance > allowed, xp.full_like(zero, xp.nan), state.error),
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=refresh,
        callback=callback,
    )
    ended = {"callback": Status.STOPPED, "max_iter": Status.MAX_ITER, "not finite": Status.NOT_FINITE}.get(run.reason)
    if ended is Status.NOT_FINITE and float(distance) > allowed:
        ended = Status.INFEASIBLE
    if ended is Status.MAX_ITER:
        reached = f"basis_pursuit stopped after {run.n_iter} iterations at {run.measure:.1e} > tol = {tol:.1e}."
        warnings.warn(f"{reached} {ended.message}", ConvergenceWarning, stacklevel=2)
    name = "duality gap relative to ‖x‖₁, or distance from Ax = y relative to ‖y‖"
    return Solution(
        run.state.x, "douglas_rachford", Certificate(name, run.state.error, tol), n_iter=run.n_iter, ended=ended
    )


def _repeated(A: Array, y: Array) -> Array:
    """Whether a column of A is that of another feature, or its negative, by two products with it; (p,)."""
    xp = namespace_of(A)
    rows = xp.arange(A.shape[0], dtype=y.dtype, device=device_of(A))
    first, second = xp.abs(A.T @ xp.cos(rows * rows)), xp.abs(A.T @ y)
    order = xp.argsort(first)
    slack = 8 * xp.finfo(y.dtype).eps

    def close(v: Array) -> Array:
        v = xp.take(v, order)
        return xp.abs(v[1:] - v[:-1]) <= slack * v[1:]

    both = xp.astype(close(first) & close(second), y.dtype)
    return scatter(xp.concat([xp.zeros_like(first[:1]), both]), order, A.shape[1]) > 0
