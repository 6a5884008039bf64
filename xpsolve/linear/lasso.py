"""The lasso  min_x ½‖Ax − y‖² + λ‖x‖₁  and the elastic net: the public functions, and the choice of a method."""

from __future__ import annotations

import functools
from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    is_scalar,
    namespace_of,
)
from xpsolve.autodiff.implicit import followed
from xpsolve.capabilities import capabilities
from xpsolve.linear._entry import enter_problem, given_step, start_columns
from xpsolve.linear._lasso import Options, Solver
from xpsolve.linear._problem import Problem, along
from xpsolve.linear._row_problem import by_rows
from xpsolve.linear._samples import Samples
from xpsolve.linear.least_squares import lstsq
from xpsolve.linear.ridge import ridge
from xpsolve.linear.working_set import no_working_set
from xpsolve.solution import Callback, Solution


@capabilities(
    batch="columns of y", grad="forward, reverse, implicit", syncs=2, complex=True, numbers=("lam", "step", "tol")
)
def lasso(
    A: Any,
    y: Array,
    lam: Any,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    step: Any = None,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """Minimise ½‖Ax − y‖² + λ‖x‖₁.

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> solution = xs.lasso(A, y, 4.0)
    >>> solution.x.round(6), solution.converged
    (array([0. , 0.4]), True)

    Parameters
    ----------
    A : array (n, p), sparse matrix (n, p) or LinearOperator
        The operator, real or complex.  Sparse matrices and operators are never made dense.
    y : array, shape (n,) or (n, k)
        Observations.  Where A or y is complex, x is: ‖x‖₁ is the sum of the moduli |x_j|, and Aᵀ stands for Aᴴ.  Many
        columns are solved together; a column that is solved is not changed again.
    lam : float, 0-d array or array (1, k)
        λ ≥ 0, or λ > 0 for each of the k columns of y.  From max |Aᵀy| on the answer is 0.  The number 0 means least
        squares, which `lstsq` solves, or `ridge` by conjugate gradients where A is not dense.
    weights : array, shape (n,), optional
        w_i ≥ 0 of the squared residuals; 1 where none are given.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with c free of penalty, in ``.intercept``.
    step : float or 0-d array, optional
        Step of "ista" and "fista", at most 1/‖A‖² (below 2/‖A‖² for "ista").  None estimates ‖A‖² by Lanczos.
    method : str
        "ista" is proximal gradient, "fista" the same with momentum; both take the Gram matrix where A is dense and
        n > p.  "working_set" solves small problems on a growing set of features, for a dense or sparse real A and one
        right-hand side.  "auto" is "working_set" where it can be, else "fista"; with JAX arrays
        of less than a million entries it is "fista", as one compiled program.
    tol : float
        The certificate to reach.

    Returns
    -------
    Solution
        ``.x`` is (p,) or (p, k).  The certificate is the duality gap over ½‖y‖², computed with A from the returned
        x: an upper bound of what the objective can still fall.  ``.n_iter`` counts what `max_iter` limits;
        ``.stats`` has the rounds of "working_set" and the sizes of its sets.

    Other Parameters
    ----------------
    max_iter : int
        Most iterations; for "working_set" of all its small problems together.
    x0 : array, shape of the answer, optional
        Where to start.
    check_every : int
        Iterations of "ista" and "fista" between two convergence checks, each one host read.
    record : bool
        Whether to keep objective and certificate after every iteration, for "working_set" after every round, at the
        price of two products with A each.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`; a true answer stops.
    check_finite : bool
        Whether to check for NaN and infinities first, which costs one host read.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative or a path, devices are mixed, a number is not finite, or the method is
        unknown or cannot be used for this A and y.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    elastic_net : With a squared norm added.

    Notes
    -----
    Complex A, y and x of complex64 or complex128 are not differentiated implicitly: that raises an error.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.4.

    Examples
    --------
    Two columns of y, each with its own λ, and a constant that is not penalised:

    >>> Y, lams = np.stack([y, 10 * y + 1], axis=1), np.asarray([[1.0, 2.0]])
    >>> solution = xs.lasso(A, Y, lams, intercept=True)
    >>> solution.x.shape, solution.intercept.shape, solution.converged
    ((2, 2), (2,), True)
    """
    options = Options("lasso", method, tol, max_iter, x0, step, check_every, record, callback, check_finite)
    return _with_samples(A, y, lam, 0.0, options, weights, intercept)


@capabilities(
    batch="columns of y", grad="forward, reverse, implicit", syncs=2, complex=True, numbers=("lam", "step", "tol")
)
def elastic_net(
    A: Any,
    y: Array,
    lam: Any,
    theta: float,
    *,
    weights: Array | None = None,
    intercept: bool = False,
    step: Any = None,
    method: str = "auto",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> Solution:
    """Minimise ½‖Ax − y‖² + λ(1 − θ)‖x‖₁ + ½λθ‖x‖².

    Parameters
    ----------
    A, y, lam
        As in `lasso`.
    theta : float
        0 ≤ θ ≤ 1: 0 is the lasso; 1 is ridge regression, which `ridge` solves.
    weights, intercept, step, method, tol, max_iter, x0, check_every, record, callback, check_finite
        As in `lasso`.

    Returns
    -------
    Solution
        As from `lasso`.

    Raises
    ------
    TypeError, ValueError
        As `lasso`, and if θ is not a number between 0 and 1.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    lasso, ridge : The cases θ = 0 and θ = 1.

    References
    ----------
    H. Zou and T. Hastie, J. R. Stat. Soc. B 67 (2005).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> xs.elastic_net(A, np.asarray([1.0, 2.0, 2.0]), 2.0, 0.5).x.round(6)
    array([0.411765, 0.764706])
    """
    if not is_scalar(theta):
        message = f"theta: expected a number between 0 and 1, got {type(theta).__qualname__}."
        raise TypeError(message)
    if not 0 <= theta <= 1:
        message = f"theta: expected a number between 0 (lasso) and 1 (ridge), got {theta!r}."
        raise ValueError(message)
    options = Options("elastic_net", method, tol, max_iter, x0, step, check_every, record, callback, check_finite)
    return _with_samples(A, y, lam, float(theta), options, weights, intercept)


def _with_samples(
    A: Any, y: Array, lam: Any, theta: float, options: Options, weights: Array | None, intercept: bool
) -> Solution:
    if weights is None and intercept is False:
        return _solve(A, y, lam, theta, options)
    samples = Samples.of(A, y, weights, intercept, check_finite=options.check_finite)
    return samples.finished(_solve(samples.A, samples.y, lam, theta, options))  # type: ignore[no-any-return]


def _solve(A: Any, y: Array, lam: Any, theta: float, options: Options) -> Solution:
    problem = enter_problem(A, y, lam, targets=True, check_finite=options.check_finite, complex_too=True, seen=by_rows)
    if not problem.single_lam:
        message = (
            f"lam: expected one number, got {problem.lams.shape[0]}. Use `lasso_path`, or shape (1, k) for columns."
        )
        raise ValueError(message)
    method = _choose(problem, options.method)
    start = None if options.x0 is None else start_columns(problem, options.x0, check_finite=options.check_finite)
    tau = None if options.step is None else given_step(problem, options.step, check_finite=options.check_finite)
    if is_scalar(lam) and lam == 0:
        least_squares = lstsq if problem.dense else functools.partial(ridge, lam=0.0)
        return least_squares(A, y, check_finite=options.check_finite)
    if theta == 1:
        return ridge(A, y, lam, check_finite=options.check_finite)

    if problem.by_rows or not followed((problem.operator, problem.Y, problem.lams, start, tau)):
        return Solver(problem, theta, options, start, tau).solve(method)

    def solve(problem: Problem, start: Array | None, tau: Array | None) -> Solution:
        return Solver(problem, theta, options, start, tau).solve(method)

    def slope(X: Array, lams: Array) -> Array:
        ones = namespace_of(X).ones_like(X)
        signs = namespace_of(X).where(X > 0, ones, -ones)
        return lams * ((1 - theta) * signs + theta * X)

    return along(problem, solve, slope, start, tau, sparse=True)


def _choose(problem: Problem, method: str) -> str:
    """The method asked for, or the one that reads A least often, where A and y allow it."""
    if method in ("ista", "fista"):
        return method
    why = no_working_set(problem)
    if method == "working_set" and why:
        message = f"method: expected 'ista', 'fista' or 'auto', got 'working_set', but {why}."
        raise ValueError(message)
    return "fista" if why else "working_set"
