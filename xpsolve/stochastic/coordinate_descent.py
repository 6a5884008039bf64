"""Coordinate descent: exact minimisation of a bound of f, block after block (Wright 2015; Beck & Tetruashvili 2013).

For a block B of coordinates the Hessian is at most M_B = sup ℓ″·A_BᵀA_B/n + λI, whatever x, so that

    x_B ← x_B − M_B⁻¹∇_B f(x)

never increases f.  One coordinate a block gives the step 1/L_j with the Lipschitz constant of ∂f/∂x_j.  For least
squares M_B is the Hessian itself and every block is minimised exactly; with blocks of one coordinate that is the
Gauss–Seidel iteration on Hx = Aᵀy/n, H = D + L + Lᵀ, and a whole sweep is one triangular solve:

    x ← x − (D + L)⁻¹∇f(x)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_count,
    check_iteration,
    cholesky_solve,
    device_of,
    gram,
    is_array,
    iterate,
    namespace_of,
    on_accelerator,
    shifted,
    solve_triangular,
    weighted_gram,
)
from xpsolve.arrays.numba_loop import can_compile, fixed, numba_loop
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.operators import Dense, Sparse
from xpsolve.operators.centred import Centred
from xpsolve.solution import Callback, Solution, Status
from xpsolve.stochastic._intercept import WithIntercept
from xpsolve.stochastic._run import Descent, Start, along, raised_factor
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.objectives import LeastSquares, check_one_column


class _State(NamedTuple):
    x: Array
    g: Array  # ∇f(x); of the last check where sweeps need none
    s: Array  # margins Ax


_Step = Callable[[_State], _State]
_EXPECTED = 50  # sweeps, for the choice of a compiled loop
_MOST_IN_GRAM = 4096  # columns of a sparse A
_ADVICE = {Status.MAX_ITER: "Raise max_iter, use larger blocks or newton."}


@capabilities(backends=EAGER, grad="forward, reverse, implicit", syncs=2, numbers=("tol",))
def coordinate_descent(
    f: Any,
    x0: Array | None = None,
    *,
    block: int | None = None,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
) -> Solution:
    """Minimise f over one block of coordinates after another, in cycles.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> solution = xs.coordinate_descent(xs.LeastSquares(A, y))
    >>> solution.x.round(2), solution.converged
    (array([1., 1.]), True)

    Parameters
    ----------
    f : LeastSquares, Logistic or Multinomial
        The objective, of a dense or sparse A.
    x0 : array, shape of the answer, optional
        Where to start, for a model with an intercept with it as one more entry or row, the last.  None is 0, and an
        intercept that fits the samples.
    block : int, optional
        Coordinates in a block (rows of x for `Multinomial`); None is 1 for `LeastSquares`, where a sweep is one
        triangular solve with AᵀA, or on NumPy, where Numba is installed and p is some hundreds, a compiled loop of the
        same steps (``.stats["compiled"]``), and 32 otherwise, also for a sparse A of more than 4096 columns, whose AᵀA
        is dense.
    tol : float
        The certificate to reach.

    Returns
    -------
    Solution
        ``.x`` has the shape of the answer, and ``.intercept`` what was asked for.  The certificate is ‖D∇f(x)‖ relative
        to that at the first x for x0=None, with D_j =
        1/max_i |A_ij|, from the returned x, so that scaling a column changes nothing.  Classes that
        x separates, with λ = 0, end as UNBOUNDED.

    Other Parameters
    ----------------
    max_iter : int
        Most sweeps over all coordinates.
    check_every : int
        Sweeps between two convergence checks, each one host read.
    record : bool
        Whether to keep objective and certificate after every sweep, at the price of two products with A each.
    callback : callable, optional
        Called as ``callback(iteration, state)`` at every check; a true answer stops.

    Raises
    ------
    TypeError
        If f is no such objective, or its A is an operator.
    ValueError
        If x0 has the wrong shape, or an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not converged, unless the callback stopped it.

    See Also
    --------
    gradient_descent : All coordinates at once.

    References
    ----------
    S. Wright, Coordinate descent algorithms, Mathematical Programming 151 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.LeastSquares(np.asarray([[2.0, 1.0], [0.0, 1.0]]), np.asarray([3.0, 1.0]))
    >>> solution = xs.coordinate_descent(f)
    >>> solution.converged, solution.x.round(4)
    (True, array([1., 1.]))
    """
    if not isinstance(f, LinearModel):
        message = (
            f"f: expected LeastSquares, Huber, Logistic or Multinomial, got {type(f).__qualname__}. "
            "Use gradient_descent."
        )
        raise TypeError(message)
    check_one_column(f)
    if not isinstance(f.matrix, Dense | Sparse):
        message = f"f: expected an objective of a dense or sparse A, got {f!r}. Use gradient_descent."
        raise TypeError(message)
    if block is None:
        small = isinstance(f.matrix, Dense) or f.shape[0] <= _MOST_IN_GRAM
        block = 1 if isinstance(f, LeastSquares) and small else 32
    check_count(block, "block", 1)
    tol = check_iteration(tol=tol, max_iter=max_iter, check_every=check_every, record=record, callback=callback)

    def solve(start: Start) -> Descent:
        f = start.f
        in_loop = False
        if block == 1 and isinstance(f, LeastSquares):
            H = shifted(_gram(f, _columns(f, 0, f.shape[0])) / f.n, f.lam)
            in_loop = _worth_compiling(H)
            sweep = _one_by_one(H) if in_loop else _triangular(H)
        else:
            sweep = _blocks(f, block)

        def refresh(s: _State) -> _State:
            margins = f.margins(s.x)
            return _State(s.x, f._gradient(s.x, margins), margins)

        run = iterate(
            sweep,
            _State(start.x, start.g, f.margins(start.x)),
            measure=start.measure,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            refresh=refresh,
            **start.watched(record, callback),
        )
        return Descent(run, "coordinate_descent", {"block": block, "compiled": in_loop})

    return along("coordinate_descent", f, solve, x0, tol=tol, advice=_ADVICE, columns=True)


def _triangular(H: Array) -> _Step:
    """Gauss–Seidel on Hx = Aᵀy/n; from each check on gradients follow x by H."""
    lower = namespace_of(H).tril(_without_zeros(namespace_of(H), H))

    def sweep(s: _State) -> _State:
        move = -solve_triangular(lower, s.g)
        return s._replace(x=s.x + move, g=s.g + H @ move)

    return sweep


def _worth_compiling(H: Array) -> bool:
    """Whether a compiled loop over coordinates saves more than its start takes; Numba is loaded only then."""
    if type(H) is not np.ndarray:
        return False
    sweep = costs.gemm(H.shape[0], 1, H.shape[0]) + costs.cholesky_solve(H.shape[0])
    return _EXPECTED * sweep.time(costs.TYPICAL["cpu"]) >= costs.WORTH_COMPILING and can_compile()


def _one_by_one(H: Array) -> _Step:
    """The same, one coordinate after another in a compiled loop."""
    rows = fixed(np.ascontiguousarray(H))

    def sweep(s: _State) -> _State:
        x, g = np.array(s.x), np.array(s.g)
        _sweep(rows, x, g)
        return s._replace(x=x, g=g)

    return sweep


@numba_loop()
def _sweep(H: Any, x: Any, g: Any) -> None:
    """x_j ← x_j − g_j/H_jj and g ← g + (change of x_j)·H_j for all j, in place."""
    for j in range(x.shape[0]):
        if H[j, j] > 0:
            move = g[j] / H[j, j]
            x[j] -= move
            for k in range(g.shape[0]):
                g[k] -= move * H[j, k]


def _without_zeros(xp: Any, H: Array) -> Array:
    """H with 1 where its diagonal is 0: such a column of A is 0, and so is its part of the gradient."""
    diagonal = xp.linalg.diagonal(H)
    missing = xp.where(diagonal > 0, xp.zeros_like(diagonal), xp.ones_like(diagonal))
    return H + missing[:, None] * xp.eye(H.shape[0], dtype=H.dtype, device=device_of(H))


def _blocks(f: LinearModel, block: int) -> _Step:
    """A sweep over blocks; margins follow x, and gradients are only those of the block."""
    xp, p = f.xp, f.shape[0]
    parts = []
    for i in range(0, p, block):
        columns = _columns(f, i, min(i + block, p))
        lam = f.lam[i : i + columns.shape[1], ...] if f.lam.ndim else f.lam
        M = shifted(_gram(f, columns) * (f.curvature / f.n), xp.reshape(lam, (-1,)) if lam.ndim else lam)
        parts.append((i, columns, lam, raised_factor(M)))

    def sweep(s: _State) -> _State:
        moved, margins = [], s.s
        for i, columns, lam, L in parts:
            x = s.x[i : i + columns.shape[1], ...]
            g = columns.T @ f._slopes(margins) / f.n + lam * x
            move = -cholesky_solve(L, g)
            margins = margins + columns @ move
            moved.append(x + move)
        return s._replace(x=xp.concat(moved, axis=0), s=margins)

    return sweep


def _columns(f: LinearModel, first: int, end: int) -> Any:
    """Some columns of A: an array, or an operator where A is sparse."""
    operator: Any = f.operator
    whole = end - first == operator.shape[1]
    if not isinstance(operator, Dense):
        return operator if whole else _some(operator, first, end)
    columns = operator.A[:, first:end]
    if on_accelerator(columns) and not whole:  # CuPy would copy them for every product
        columns = f.xp.asarray(columns, copy=True)
    return operator.A if whole else columns


def _some(operator: Any, first: int, end: int) -> Any:
    """Some columns of a sparse matrix, with means or a constant column beside it."""
    if isinstance(operator, Sparse):
        return Sparse(operator.S[:, first:end])
    if isinstance(operator, Centred):
        assert operator.mean is not None
        return Centred(_some(operator.operator, first, end), operator.mean[first:end])
    assert isinstance(operator, WithIntercept)
    p = operator.shape[1] - 1
    if end <= p:
        return _some(operator.operator, first, end)
    if first < p:
        return WithIntercept(_some(operator.operator, first, p), operator.size)
    size: Any = operator.size
    xp = namespace_of(size)
    return size * xp.ones((operator.shape[0], 1), dtype=size.dtype, device=device_of(size))


def _gram(f: LinearModel, columns: Any) -> Array:
    """Their dense Gram matrix, with the weights of the samples."""
    if is_array(columns):
        return gram(f.rooted(columns))
    xp, p = f.xp, columns.shape[1]
    if isinstance(columns, WithIntercept):  # whose column is orthogonal to the centred ones
        size: Any = columns.size
        G = _gram(f, columns.operator)
        last = xp.reshape(f.n * size * size, (1, 1))
        side = xp.zeros((p - 1, 1), dtype=G.dtype, device=device_of(G))
        return xp.concat([xp.concat([G, side], axis=1), xp.concat([side.T, last], axis=1)], axis=0)
    if isinstance(columns, Centred):
        mean: Any = columns.mean
        if isinstance(columns.operator, Dense):
            return weighted_gram(columns.operator.A, xp.sqrt(f.n * f._shares()), lambda A: A - mean)
        return _gram(f, columns.operator) - f.n * mean[:, None] * mean[None, :]
    index = xp.arange(p, device=device_of(f.y))
    return columns.gram(index, f.y.dtype, f.weights)
