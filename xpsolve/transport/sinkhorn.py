"""Entropic optimal transport by Sinkhorn's iterations (Peyré 2020, §14.3.7; Cuturi 2013).

    min ⟨P, M⟩ + ε Σ P_ij (log P_ij − 1)  over  P ≥ 0,  P1 = a,  Pᵀ1 = b

with one marginal or both only near to a and b, if a price is set.  Here is the public function.  `_problem` checks
the input, `_solve` runs the loop, `_iterations` has the methods, `_marginals` what is asked of P1 and Pᵀ1, `_kernels`
the products, `_relaxation` chooses ω, and `answer` is what is returned.
"""

from __future__ import annotations

import math
from typing import Any

from xpsolve import costs
from xpsolve.arrays import Array
from xpsolve.autodiff.implicit import followed
from xpsolve.capabilities import capabilities
from xpsolve.solution import Callback
from xpsolve.transport._derivatives import along
from xpsolve.transport._problem import enter_problem
from xpsolve.transport._solve import Options, solve
from xpsolve.transport.answer import TransportSolution


@capabilities(
    batch="rows of a and b, costs M, points, ε", grad="forward, reverse, implicit", syncs=2, numbers=("eps", "tol")
)
def sinkhorn(
    a: Array,
    b: Array,
    M: Any,
    eps: Any,
    *,
    marginal: Any = math.inf,
    relaxation: Any = "auto",
    mixed: bool | None = None,
    keep_kernel: bool = False,
    method: str = "auto",
    tol: float = 1e-9,
    max_iter: int = 10_000,
    x0: tuple[Array, Array] | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> TransportSolution:
    """Move the histogram a onto b at least cost with entropy: min ⟨P, M⟩ + ε Σ P (log P − 1).

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> M = np.asarray([[0.0, 1.0], [1.0, 0.0]])
    >>> solution = xs.sinkhorn(np.asarray([0.7, 0.3]), np.asarray([0.5, 0.5]), M, 0.05)
    >>> solution.plan().round(2), solution.converged
    (array([[0.5, 0.2],
           [0. , 0.3]]), True)

    Parameters
    ----------
    a : array, shape (n,) or (batch, n)
        Weights ≥ 0; points with the weight 0 take no part.
    b : array, shape (m,) or (batch, m)
        Weights with the same sum, up to rounding in the lower of their dtypes; with any, where `marginal` is finite.
    M : array (n, m) or (batch, n, m), PointCloud or Grid
        The cost, one for all problems or one for each.  Squared distances of points and grids need no matrix.  An
        entry ∞ forbids a pair.
    eps : float, or array, 0-d or of shape (batch,)
        ε > 0, in the units of M, one for all problems or one for each, which a Grid has not.
    marginal : float or tuple of two floats
        ρ > 0, in the units of M: the price of marginals that are not a and b, ρ KL(P1 | a) + ρ KL(Pᵀ1 | b), one for
        both sides or one for each.  ∞ holds a side exactly.  Where both are finite, the masses of a and b may differ.

    Returns
    -------
    TransportSolution
        ``.x`` is (f, g) with P_ij = exp((f_i + g_j − M_ij)/ε); also ``.plan()``, ``.value`` and ``.cost``.  The
        certificate is (‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁)/Σa of the returned potentials; with a `marginal` it is the duality gap
        over ε ΣP, which is at least KL(P | P*)/ΣP, with KL(P1 | a)/ΣP in it for a side that is held exactly.

    Other Parameters
    ----------------
    relaxation : str or float
        "auto" finds ω from the observed contraction, and takes averages where a is b and the cost symmetric, which need
        some ten iterations; a number 0 < ω < 2 is taken as it is, 1 for plain steps.
    mixed : bool, optional
        Whether products with a K in float64 are taken in float32 between two checks, as increments on exact ones, which
        gives the same digits from half of the memory traffic.  None takes them where K is stored and has 2¹⁷ entries or
        more, and not with JAX arrays and for "log".
    keep_kernel : bool
        Whether the solution keeps K, as large as M, from which its plan and gradients are made without an exponential.
    method : str
        "scaling" iterates on u and v and is fastest, where the costs span at most some 650 ε in float64, 60 in float32.
        "stabilized" does the same on kernels that have absorbed the potentials, for any ε.  "log" takes soft minima
        and is slow: the reference, and the choice of a Grid for small ε.  "auto" takes the cheapest that is safe, for
        which it reads the span of the costs; with JAX arrays, whose solve is compiled, "stabilized".
    tol : float
        The certificate to reach.  Rounding of the potentials allows no less than some (span of M)/ε rounding units.  0
        takes exactly `max_iter` iterations.
    max_iter : int
        Most iterations, each a product with K and one with Kᵀ.
    x0 : tuple of two arrays, optional
        Potentials f and g to start from; ε-scaling is then left out.
    check_every : int
        Iterations between two convergence checks, each one host read.
    record : bool
        Whether to keep the marginal error after every iteration, as "certificate".
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check, with a `Progress`, whose x is (f, g) and whose
        measure is that of the larger ε while there is one; a true answer stops.
    check_finite : bool
        Whether to check the values first, for NaN, infinities, negative weights and sums that differ, and the
        certificate in the end, which rounding may have raised: two host reads.

    Raises
    ------
    TypeError
        If an argument is not of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, weights are negative or do not sum alike, a number is not finite, ε is
        not positive, an option is out of range, or the method is unknown or cannot be used for this M.

    Warns
    -----
    ConvergenceWarning
        If it ends without its tolerance: at `max_iter`, by rounding, or by overflow.

    See Also
    --------
    sinkhorn_gradient : Derivatives of the value.
    sinkhorn_divergence : Without the bias of the entropy.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7; M. Cuturi, Sinkhorn distances (2013);
    B. Schmitzer, Stabilized sparse scaling algorithms for entropy regularized transport problems (2019);
    A. Thibault et al., Overrelaxed Sinkhorn–Knopp algorithm for regularized optimal transport (2021);
    L. Chizat et al., Scaling algorithms for unbalanced optimal transport problems (2018).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> M = np.asarray([[0.0, 1.0, 4.0], [1.0, 0.0, 1.0]])
    >>> solution = xs.sinkhorn(np.asarray([0.6, 0.4]), np.asarray([0.25, 0.25, 0.5]), M, 0.05)
    >>> solution.plan().round(3)
    array([[0.25, 0.25, 0.1 ],
           [0.  , 0.  , 0.4 ]])
    >>> solution.method, solution.converged
    ('scaling', True)
    """
    options = Options(
        relaxation=relaxation,
        mixed=mixed,
        keep_kernel=keep_kernel,
        method=method,
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        record=record,
        callback=callback,
        check_finite=check_finite,
    ).checked()
    problem = enter_problem(a, b, M, eps, x0, marginal=marginal)
    if followed((problem.a, problem.b, problem.geometry)):
        return along(problem, options)
    return solve(problem, options)
