"""Entropic optimal transport by Sinkhorn's iterations (Peyré 2020, §14.3.7; Cuturi 2013).

    min ⟨P, M⟩ + ε Σ P_ij (log P_ij − 1)  over  P ≥ 0,  P1 = a,  Pᵀ1 = b

The plan is P = diag(u) K diag(v), K = exp(−M/ε), and the potentials are f = ε log u, g = ε log v:

    scaling      v ← b/(Kᵀu),  u ← a/(Kv)
    stabilized   the same with K = exp((f ⊕ g − M)/ε): where u or v grows it moves into f and g (Schmitzer 2019)
    log          log u ← log a − log Σ_j exp(log v_j − M_ij/ε), and so log v

p = Kv and q = Kᵀu are kept with u and v, so that both marginals u·p and v·q are known after every iteration.

*Over-relaxation* takes u ← u^(1−ω) (a/p)^ω (Thibault et al. 2021; Lehmann et al. 2022), ω from the contraction that is
observed.  Where the error grows, the last good point comes back with plain steps.  *ε-scaling*: "stabilized" and "log"
begin with an ε that is large enough to be easy, and divide it by 4 each time that the marginals are nearly right.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    Namespace,
    check_count,
    check_ndim,
    check_option,
    check_positive,
    device_of,
    enter,
    is_concrete,
    is_scalar,
    iterate,
)
from xpsolve.autodiff.implicit import followed
from xpsolve.capabilities import capabilities
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status
from xpsolve.transport._derivatives import along
from xpsolve.transport._kernels import NOTHING, Axes, Rows, gibbs, relaxed
from xpsolve.transport._relaxation import control
from xpsolve.transport.geometry import Geometry, Grid, Matrix, PointCloud

CERTIFICATE = "‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁"
_ENDED = {"callback": Status.STOPPED, "max_iter": Status.MAX_ITER, "not finite": Status.NOT_FINITE}
_BEGIN = 50.0  # ε-scaling begins where the costs span this many ε
_NEXT = 0.03  # the error at which it goes on to the next ε
_LEAST = 0.9  # part of tol at which the loop stops: rounding must not carry the certificate above


@dataclass(frozen=True, repr=False)
class TransportSolution(Solution):
    """The answer of `sinkhorn`.

    Parameters
    ----------
    x : tuple of two arrays
        The dual potentials f and g, −∞ where there is no mass.
    method, certificate, n_iter, history, stats, ended
        As in `Solution`.
    value : array
        The dual value ⟨a, f⟩ + ⟨b, g⟩ − ε ΣP, 0-d or one for each problem; at convergence ⟨P, M⟩ + ε Σ P (log P − 1).
    geometry : object
        The cost.
    eps : float
        ε.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> M = np.asarray([[0.0, 1.0], [1.0, 0.0]])
    >>> solution = xs.sinkhorn(np.asarray([0.5, 0.5]), np.asarray([0.25, 0.75]), M, 0.1)
    >>> solution.plan().round(4), round(float(solution.cost), 4)
    (array([[0.25, 0.25], [0.  , 0.5 ]]), 0.25)
    """

    value: Any = None
    geometry: Any = field(default=None)
    eps: float = 0.0

    def plan(self) -> Array:
        """P_ij = exp((f_i + g_j − M_ij)/ε), (n, m) or (batch, n, m): made here, from the potentials."""
        f, g, kernel = self._parts
        rows = kernel.rows if isinstance(kernel, Axes) else kernel
        P = gibbs(rows.cost(0, rows.shape[0]), f, g, self.eps)
        return P[0, ...] if P.ndim == 3 and self.x[0].ndim == 1 else P

    @property
    def cost(self) -> Array:
        """⟨P, M⟩, 0-d or one for each problem."""
        f, g, kernel = self._parts
        total = kernel.spent(f, g, self.eps)
        return total[0, ...] if self.x[0].ndim == 1 else total

    @cached_property
    def _parts(self) -> tuple[Array, Array, Any]:
        f, g = (x if x.ndim == 2 else x[None, :] for x in self.x)
        return f, g, self.geometry.kernel()

    def __repr__(self) -> str:
        shapes = " and ".join("×".join(map(str, x.shape)) for x in self.x)
        return f"TransportSolution(f, g: {shapes}, method={self.method!r}, n_iter={self.n_iter}, {self.status.name})"


class _State(NamedTuple):
    u: Array  # (B, n), for "log" its logarithm
    v: Array  # (B, m)
    p: Array  # Kv, (B, n)
    q: Array  # Kᵀu, (B, m)
    f: Array  # in K, (B, n) or (1, n)
    g: Array
    K: Any  # where it is kept
    eps: Array  # 0-d
    omega: Array  # (B, 1): 0 for a problem that rests, 1 for a plain step
    trust: Array  # (B, 1): part of ω − 1 that is taken
    age: Array  # (B, 1): iterations since it went back
    error: Array  # of the marginals, (B, 1)
    watched: Array  # the same, 0 for a problem that rests
    floor: Array  # error that is rounding, 0-d
    good: tuple[Array, ...]  # u, v, p, q at the last check that was no worse than the one before


@capabilities(batch="rows of a and b, costs M", grad="forward, reverse, implicit", syncs=2)
def sinkhorn(
    a: Array,
    b: Array,
    M: Any,
    eps: float,
    *,
    method: str = "auto",
    tol: float = 1e-9,
    max_iter: int = 10_000,
    relaxation: Any = "auto",
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    init: tuple[Array, Array] | None = None,
    callback: Callable[[int, Any], Any] | None = None,
    check_finite: bool = True,
) -> TransportSolution:
    """Move the histogram a onto b at least cost with entropy: min ⟨P, M⟩ + ε Σ P (log P − 1).

    Parameters
    ----------
    a : array, shape (n,) or (batch, n)
        Weights ≥ 0; points with the weight 0 take no part.
    b : array, shape (m,) or (batch, m)
        Weights with the same sum.
    M : array (n, m) or (batch, n, m), PointCloud or Grid
        The cost, one for all problems or one for each.  Squared distances of points and grids need no matrix.
    eps : float
        ε > 0, in the units of M.
    method : str
        "scaling" iterates on u and v and is fastest, where the costs span at most some 650 ε in float64, 60 in float32.
        "stabilized" does the same on kernels that have absorbed the potentials, for any ε.  "log" takes soft minima
        and is slow: the reference, and what a Grid has for small ε.  "auto" takes the cheapest that is safe, for which
        it reads the span of the costs; under ``jax.jit``, where it cannot, "stabilized".
    tol : float
        The certificate to reach.  Rounding of the potentials allows no less than some (span of M)/ε rounding units.
    max_iter : int
        Most iterations, each a product with K and one with Kᵀ.
    relaxation : str or float
        "auto" finds ω from the observed contraction; a number 0 < ω < 2 is taken as it is, 1 for plain steps.
    check_every : int
        Iterations between two looks at convergence, each one host read.
    record : bool
        Whether to keep the marginal error after every iteration.
    init : tuple of two arrays, optional
        Potentials f and g to start from; ε-scaling is then left out.
    callback : callable, optional
        Called as ``callback(iteration, state)`` at every check; a true answer stops.
    check_finite : bool
        Whether to look at the values first: for NaN, infinities, negative weights and sums that differ.  One host read.

    Returns
    -------
    TransportSolution
        ``.x`` is (f, g) with P_ij = exp((f_i + g_j − M_ij)/ε); also ``.plan()``, ``.value`` and ``.cost``.  The
        certificate is ‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁ of the returned potentials.  ``.history``, if recorded, is the error from
        before the first iteration on.

    Raises
    ------
    TypeError
        If an argument is not of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, devices are mixed, weights are negative or do not sum alike, a number is not finite, ε is
        not positive, an option is out of range, or the method is unknown or cannot serve this M.

    Warns
    -----
    ConvergenceWarning
        If it stops at `max_iter`.

    See Also
    --------
    sinkhorn_gradient : Derivatives of the value, without the plan in memory for a PointCloud.
    sinkhorn_divergence : Without the bias of the entropy.

    Notes
    -----
    `autodiff` follows the equation of the potentials and not the iterations, with the plan in memory: the value by the
    envelope theorem, f and g by a linear system, up to the constant between them.  Derivatives in weights are those
    among histograms of equal mass; none goes through points without mass.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.3.7; M. Cuturi, Sinkhorn distances (2013);
    B. Schmitzer, Stabilized sparse scaling algorithms for entropy regularized transport problems (2019);
    A. Thibault et al., Overrelaxed Sinkhorn–Knopp algorithm for regularized optimal transport (2021).

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
    _check_options(eps, method, tol, max_iter, relaxation, check_every)
    problem = enter_problem(a, b, M, eps, init)
    if followed((problem.a, problem.b, problem.geometry)):
        return along(
            problem,
            functools.partial(
                sinkhorn,
                eps=eps,
                method=method,
                tol=tol,
                max_iter=max_iter,
                relaxation=relaxation,
                check_every=check_every,
                record=record,
                callback=callback,
                check_finite=check_finite,
            ),
        )
    span = problem.check(check_finite, decide=method == "auto")
    chosen = _choose(problem, method, span, max_iter)
    solver = _Solver(problem, chosen, tol, relaxation, check_every)
    with np.errstate(all="ignore"):  # the last good point comes back after an overflow, and the certificate judges
        run = iterate(
            solver.step,
            solver.start(),
            measure=solver.measure,
            tol=_LEAST * tol,
            max_iter=max_iter,
            check_every=check_every,
            refresh=solver.refresh,
            renew=None if chosen == "scaling" else solver.renew,
            record=(lambda state: problem.xp.squeeze(solver.error(state), axis=1)) if record else None,
            callback=callback,
        )
        f, g, error, value = solver.finish(run.state)
    ended = _ENDED.get(run.reason)
    if ended is Status.NOT_FINITE and chosen == "scaling":
        ended = Status.UNDERFLOW
    if ended is Status.MAX_ITER:
        reached = f"sinkhorn(method={chosen!r}) stopped after {run.n_iter} iterations at {run.measure:.1e}"
        warnings.warn(f"{reached} > tol = {tol:.1e}. {ended.message}", ConvergenceWarning, stacklevel=2)
    history = run.history
    if problem.single:
        f, g, error, value = f[0, :], g[0, :], error[0, ...], value[0, ...]
        history = None if history is None else history[:, 0]
    return TransportSolution(
        (f, g),
        chosen,
        Certificate(CERTIFICATE, error, tol),
        n_iter=run.n_iter,
        history=history,
        stats=MappingProxyType({"host_reads": run.reads}),
        ended=ended,
        value=value,
        geometry=problem.geometry,
        eps=problem.eps,
    )


def _check_options(eps: Any, method: str, tol: float, max_iter: int, relaxation: Any, check_every: int) -> None:
    check_positive(eps, "eps")
    check_option(method, "method", ("auto", *costs.SINKHORN_METHODS))
    check_positive(tol, "tol")
    check_count(max_iter, "max_iter", 0)
    check_count(check_every, "check_every", 1)
    if relaxation != "auto" and not (is_scalar(relaxation) and 0 < relaxation < 2):
        message = f"relaxation: expected 'auto' or a number between 0 and 2, got {relaxation!r}."
        raise ValueError(message)


@dataclass(frozen=True)
class Problem:
    """Histograms and costs inside the door."""

    xp: Namespace
    a: Array  # (B, n)
    b: Array  # (B, m)
    geometry: Geometry
    eps: float
    single: bool
    init: tuple[Array, Array] | None

    @cached_property
    def kernel(self) -> Rows | Axes:
        """The cost in the form that iterations take."""
        return self.geometry.kernel()

    @cached_property
    def range(self) -> tuple[Array, Array]:
        """Smallest and largest cost."""
        return self.geometry.range()

    def scalar(self, value: float) -> Array:
        """A 0-d array of the problem's dtype and device."""
        return self.xp.asarray(value, dtype=self.a.dtype, device=device_of(self.a))

    def check(self, values: bool, *, decide: bool) -> float | None:
        """Raise for values that cannot be; the span of the costs, where the method depends on it.  One host read."""
        xp = self.xp
        if not is_concrete(self.a, self.b, *self.geometry.arrays.values()) or not (values or decide):
            return None
        low, high = self.range
        span = high - low
        if values:
            sums = xp.sum(self.a, axis=1), xp.sum(self.b, axis=1)
            balanced = xp.abs(sums[0] - sums[1]) <= self._allowed * sums[0]  # False for a NaN
            signs = xp.minimum(xp.min(self.a), xp.min(self.b)) >= 0
            sound = xp.all(balanced & (sums[0] > 0) & xp.isfinite(sums[0])) & signs & xp.isfinite(span)
            span = xp.where(sound, span, xp.full_like(span, xp.nan))
        found = float(span)
        if values and not found >= 0:
            self._complain()
        return found

    @property
    def _allowed(self) -> float:
        return max(1e-12, 100 * float(self.xp.finfo(self.a.dtype).eps))

    def _complain(self) -> None:
        """Say what is wrong: the slow path, with reads of its own."""
        xp = self.xp
        weights = {"a": self.a, "b": self.b}
        for name, x in (weights | self.geometry.arrays).items():
            if not bool(xp.all(xp.isfinite(x))):
                count = int(xp.sum(xp.astype(~xp.isfinite(x), x.dtype)))
                message = f"{name}: expected finite numbers, got {count} NaN or infinite. Remove or replace them first."
                raise ValueError(message)
        for name, x in weights.items():
            if float(xp.min(x)) < 0:
                message = (
                    f"{name}: expected weights >= 0, got {float(xp.min(x)):.3g}. A histogram has no negative mass."
                )
                raise ValueError(message)
        for k in range(self.a.shape[0]):
            left, right = float(xp.sum(self.a[k, :])), float(xp.sum(self.b[k, :]))
            where = "" if self.single else f" in problem {k}"
            if left == 0 or right == 0:
                message = f"{'a' if left == 0 else 'b'}: expected some mass, got weights that are all 0{where}."
                raise ValueError(message)
            if not abs(left - right) <= self._allowed * left:
                message = (
                    f"a and b: expected the same sum, got {left:.10g} and {right:.10g}{where}, a difference of "
                    f"{left - right:.3g}. Divide each by its sum."
                )
                raise ValueError(message)
        message = "M: expected costs whose span can be represented in their dtype. Scale M and eps down."
        raise ValueError(message)


def geometry_of(M: Any) -> Geometry:
    """A cost as what can make its kernel."""
    return M if isinstance(M, PointCloud | Grid) else Matrix(M)


def enter_problem(a: Array, b: Array, M: Any, eps: float, init: tuple[Array, Array] | None = None) -> Problem:
    """The public door of the family."""
    geometry = geometry_of(M)
    start = {} if init is None else {"init[0]": init[0], "init[1]": init[1]}
    xp, arrays = enter(a=a, b=b, **geometry.arrays, **start)
    a, b, *rest = arrays
    check_ndim(a, "a", 1, 2, shape="(n,) or (batch, n)")
    check_ndim(b, "b", 1, 2, shape="(m,) or (batch, m)")
    geometry = geometry.entered(*rest[: len(geometry.arrays)])
    shape = tuple(geometry.M.shape) if isinstance(geometry, Matrix) else geometry.kernel().shape
    for name, x, length in (("a", a, shape[-2]), ("b", b, shape[-1])):
        if x.shape[-1] != length:
            message = f"{name}: expected {length} weights, as many as M has {'rows' if name == 'a' else 'columns'}, "
            raise ValueError(message + f"got shape {tuple(x.shape)} beside M of shape {shape}.")
    batches = {x.shape[0] for x in (a, b) if x.ndim == 2} | ({shape[0]} if len(shape) == 3 else set())
    batches -= {1} if len(batches) > 1 else set()
    if len(batches) > 1:
        message = f"a, b and M: expected one number of problems, got {', '.join(map(str, sorted(batches)))}."
        raise ValueError(message)
    batch = batches.pop() if batches else 1
    single = a.ndim == 1 and b.ndim == 1 and len(shape) == 2
    a, b = (xp.broadcast_to(x, (batch, x.shape[-1])) for x in (a, b))
    if init is not None:
        f, g = rest[-2:]
        expected = [(x.shape[-1],) if single else tuple(x.shape) for x in (a, b)]
        if [tuple(f.shape), tuple(g.shape)] != expected:
            message = f"init: expected potentials of shapes {expected[0]} and {expected[1]}, "
            raise ValueError(message + f"got {tuple(f.shape)} and {tuple(g.shape)}.")
        init = (f[None, :], g[None, :]) if single else (f, g)
    return Problem(xp, a, b, geometry, float(eps), single, init)


def widest(xp: Namespace, dtype: Any) -> float:
    """How many ε the costs may span for "scaling": u and v must hold exp of it."""
    return 650.0 if dtype == xp.float64 else 60.0


def _choose(problem: Problem, method: str, span: float | None, max_iter: int) -> str:
    grid = isinstance(problem.geometry, Grid)
    if method == "stabilized" and grid:
        message = "method: expected 'scaling', 'log' or 'auto' for a Grid, got 'stabilized': "
        raise ValueError(message + "potentials in the kernel would end its product form.")
    if method != "auto":
        return method
    safe = span is not None and span <= widest(problem.xp, problem.a.dtype) * problem.eps
    n, m = problem.kernel.shape
    options = [*(["scaling"] if safe else []), *([] if grid else ["stabilized"]), "log"]
    batch = problem.a.shape[0]
    return costs.cheapest(
        {o: costs.sinkhorn(n, m, batch=batch, method=o) for o in costs.SINKHORN_METHODS if o in options}
    )


@dataclass(frozen=True)
class _Solver:
    """The iteration on one problem, or on many at once."""

    problem: Problem
    method: str
    tol: float
    relaxation: Any
    check_every: int

    @property
    def log(self) -> bool:
        """Whether u and v are logarithms."""
        return self.method == "log"

    @cached_property
    def weights(self) -> tuple[Array, Array]:
        """a and b, or their logarithms."""
        if not self.log:
            return self.problem.a, self.problem.b
        return self._logarithm(self.problem.a), self._logarithm(self.problem.b)

    def _logarithm(self, x: Array) -> Array:
        xp = self.problem.xp
        some = x > 0
        return xp.where(some, xp.log(xp.where(some, x, xp.ones_like(x))), xp.full_like(x, NOTHING))

    def _relax(self, u: Array, a: Array, p: Array, omega: Array) -> Array:
        return u + omega * (a - p - u) if self.log else relaxed(u, a, p, omega)

    def _mass(self, u: Array, p: Array) -> Array:
        return self.problem.xp.exp(u + p) if self.log else u * p

    # --- the loop

    def step(self, s: _State) -> _State:
        """v, then u with one pass over K."""
        a, b = self.weights
        v = self._relax(s.v, b, s.q, s.omega)
        return s._replace(v=v, **self._swept(s, v, lambda p, i, j: self._relax(s.u[:, i:j], a[:, i:j], p, s.omega)))

    def _swept(self, s: _State, v: Array, update: Callable[[Array, int, int], Array]) -> dict[str, Array]:
        kernel = self.problem.kernel
        if self.log:
            p, u, q = kernel.soft_sweep(s.eps, v, update)
        else:
            p, u, q = kernel.sweep(s.K, s.f, s.g, s.eps, v, update)
        return {"p": p, "u": u, "q": q}

    def error(self, s: _State) -> Array:
        """‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁, (B, 1)."""
        problem, norm = self.problem, self.problem.xp.linalg.vector_norm
        rows = norm(self._mass(s.u, s.p) - problem.a, ord=1, axis=1, keepdims=True)
        return rows + norm(self._mass(s.v, s.q) - problem.b, ord=1, axis=1, keepdims=True)

    def measure(self, s: _State) -> Array:
        """The largest error of those that do not rest; −1 asks for `renew`."""
        xp = self.problem.xp
        worst = xp.max(s.watched)
        if self.method == "scaling":
            return worst
        again = (s.eps > self.problem.eps) & (worst <= _NEXT)
        if self.method == "stabilized":
            again = again | self._grown(s)
        return xp.where(again, -xp.ones_like(worst), worst)

    def _grown(self, s: _State) -> Array:
        """Whether some u or v has grown or shrunk so much that it should move into the kernel."""
        xp = self.problem.xp
        limit = 1e30 if s.u.dtype == xp.float64 else 1e8
        largest = [
            xp.max(xp.where(x > 0, xp.maximum(x, a / x), a)) for x, a in ((s.u, self.problem.a), (s.v, self.problem.b))
        ]
        return (xp.maximum(*largest) > limit) & xp.any(s.watched > 0)

    def refresh(self, s: _State) -> _State:
        """Look at the error: rest where it is small, go back where it has grown, and choose ω."""
        xp = self.problem.xp
        fixed = 0.0 if self.relaxation == "auto" else float(self.relaxation)
        omega, trust, age, error, watched, back = control(
            self.error(s),
            s.error,
            s.omega,
            s.trust,
            s.age,
            s.floor,
            s.eps <= self.problem.eps,
            _LEAST * self.tol,
            float(self.check_every),
            fixed,
        )
        u, v, p, q = (xp.where(back, old, new) for old, new in zip(s.good, (s.u, s.v, s.p, s.q), strict=True))
        return s._replace(
            u=u, v=v, p=p, q=q, omega=omega, trust=trust, age=age, error=error, watched=watched, good=(u, v, p, q)
        )

    def _floor(self) -> Array:
        """What rounding of the potentials does to the marginals."""
        low, high = self.problem.range
        unit = float(self.problem.xp.finfo(self.problem.a.dtype).eps)
        return 8 * unit * (4 + (high - low) / self.problem.eps)

    # --- where it starts, changes and ends

    def start(self) -> _State:
        """From u = 1, or from potentials that were given."""
        problem, xp = self.problem, self.problem.xp
        a, b = problem.a, problem.b
        low, high = (
            problem.range
        )  # this and the weights are kept: a value first made while JAX traces the loop would not be
        _ = self.weights
        eps = problem.scalar(problem.eps)
        f, g = problem.init or (xp.zeros_like(a), xp.zeros_like(b))
        if self.method == "scaling":
            # the smallest cost goes into g, so that K has entries near 1; f and g stay the same for all problems
            zero = xp.zeros_like(a[:1, :]), xp.zeros_like(b[:1, :]) + low
            u = xp.exp(f / eps)
            v = xp.exp((g - low) / eps) if problem.init else xp.ones_like(b)
            K = problem.kernel.hold(*zero, eps)
            return self._fresh(xp.where(a > 0, u, 0 * a), xp.where(b > 0, v, 0 * b), zero, K, eps)
        if problem.init is None:
            eps = xp.maximum(eps, (high - low) / _BEGIN)
        F = xp.where(a > 0, f / eps, xp.full_like(a, NOTHING))
        return self._log_start(F, eps)

    def _fresh(self, u: Array, v: Array, absorbed: tuple[Array, Array], K: Any, eps: Array) -> _State:
        """A state with p and q for u and v, and nothing learnt yet."""
        xp = self.problem.xp
        one = xp.ones_like(u[:, :1])
        blank = _State(u, v, u, v, *absorbed, K, eps, one, one, one, one, one, eps, ())
        return self._begun(blank._replace(**self._swept(blank, v, lambda p, i, j: u[:, i:j])))

    def _begun(self, s: _State) -> _State:
        xp = self.problem.xp
        error = self.error(s)
        one = xp.ones_like(error)
        rests = (error <= _LEAST * self.tol) & (s.eps <= self.problem.eps)
        omega, watched = xp.where(rests, 0 * one, one), xp.where(rests, 0 * one, error)
        return s._replace(
            omega=omega,
            trust=one,
            age=0 * one,
            error=error,
            watched=watched,
            floor=self._floor(),
            good=(s.u, s.v, s.p, s.q),
        )

    def _log_start(self, F: Array, eps: Array) -> _State:
        """Two soft minima from F = f/ε: the potentials are then right for ε up to a plain iteration."""
        xp, (la, lb) = self.problem.xp, (self._logarithm(self.problem.a), self._logarithm(self.problem.b))
        kernel = self.problem.kernel
        V = lb - kernel.soft_columns(eps, F)
        P = kernel.soft_rows(eps, V)
        U = la - P
        if not self.log:
            return self._absorbed(U * eps, V * eps, eps)
        Q = kernel.soft_columns(eps, U)
        one = xp.ones_like(U[:, :1])
        return self._begun(_State(U, V, P, Q, U, V, None, eps, one, one, one, one, one, eps, ()))

    def _absorbed(self, f: Array, g: Array, eps: Array) -> _State:
        xp, problem = self.problem.xp, self.problem
        f = xp.where(problem.a > 0, f, xp.zeros_like(f) + NOTHING)
        g = xp.where(problem.b > 0, g, xp.zeros_like(g) + NOTHING)
        u, v = (xp.astype(x > 0, x.dtype) for x in (problem.a, problem.b))
        return self._fresh(u, v, (f, g), problem.kernel.hold(f, g, eps), eps)

    def renew(self, s: _State) -> _State:
        """Potentials into the kernel, with a smaller ε while there is one to come."""
        xp, problem = self.problem.xp, self.problem  # what was learnt of ω stays
        smaller = xp.maximum(s.eps / 4, problem.scalar(problem.eps))
        f, _ = self.potentials(s)
        new = self._log_start(f / smaller, smaller)
        return new._replace(omega=s.omega, trust=s.trust, age=s.age, watched=s.watched)

    def potentials(self, s: _State) -> tuple[Array, Array]:
        """f and g, with what the kernel has absorbed."""
        if self.log:
            return s.u * s.eps, s.v * s.eps
        return s.f + s.eps * self._logarithm(s.u), s.g + s.eps * self._logarithm(s.v)

    def finish(self, s: _State) -> tuple[Array, Array, Array, Array]:
        """Potentials, the error of their marginals, (B,), and the dual value."""
        problem, xp, eps = self.problem, self.problem.xp, self.problem.eps
        a, b = problem.a, problem.b
        nothing = xp.asarray(-xp.inf, dtype=a.dtype, device=device_of(a))
        f, g = self.potentials(s)
        f, g = xp.where(a > 0, f, nothing), xp.where(b > 0, g, nothing)
        if self.method == "scaling":  # K is at hand, and so are exp(f/ε) and exp(g/ε)
            u, v = xp.exp((f - s.f) / eps), xp.exp((g - s.g) / eps)
            p, _, q = problem.kernel.sweep(s.K, s.f, s.g, s.eps, v, lambda p, i, j: u[:, i:j])
            rows, columns = u * p, v * q
        else:
            rows, columns = problem.kernel.marginals(f, g, problem.scalar(eps))
        error = xp.sum(xp.abs(rows - a), axis=1) + xp.sum(xp.abs(columns - b), axis=1)
        zero = xp.zeros_like(a[:, :1])
        value = xp.sum(a * xp.where(a > 0, f, zero), axis=1) + xp.sum(b * xp.where(b > 0, g, zero), axis=1)
        return f, g, error, value - eps * xp.sum(rows, axis=1)
