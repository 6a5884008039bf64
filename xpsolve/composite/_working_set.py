"""Proximal Newton steps on a set of features, for a linear model with λ‖x‖₁ (Lee, Sun & Saunders 2014).

A step chooses the features S in which x is not 0, and those with the largest |∇_j f|, and minimises on S

    ½dᵀGd + ⟨g, d⟩ + R(x + d),      G = A_SᵀDA_S/n,  g = A_Sᵀℓ′/n,      D = diag ℓ″(s),  s = Ax

by the method of the lasso on a Gram matrix.  Along d the objective is searched on the margins, s + αA_S d.  One product
with Aᵀ a step shows the duality gap of the whole.  While many features break the optimality conditions, λ is replaced
by a larger one, at which few of them would, as in the lasso.

An intercept is eliminated: with the columns of A less their means under the weights D, it takes no part in G and g.
In float32 the steps are computed in float64, and x is rounded.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from xpsolve.arrays import (
    Array,
    Run,
    cast,
    device_of,
    gram,
    in_memory,
    is_array,
    is_concrete,
    iterate,
    largest,
    limits_of,
    namespace_of,
    scatter,
    settled,
    take_columns,
    undecided,
    wide_dtype,
)
from xpsolve.autodiff.levels import Tracked
from xpsolve.composite._problem import Composite
from xpsolve.linear._l1 import Penalty
from xpsolve.linear.feature_set import how_many
from xpsolve.linear.semismooth_newton import GramProblem, solve_on_gram
from xpsolve.operators import Dense, LinearOperator, Sparse
from xpsolve.operators.centred import Centred
from xpsolve.penalties.separable import Separable
from xpsolve.stochastic import LeastSquares, Logistic
from xpsolve.stochastic._intercept import WithIntercept
from xpsolve.trace import map_arrays

_FIRST = 64  # features in the first set, at least
_ADDED = 50  # features that a step adds, at least
_SMALL = 128  # features for which Newton steps cost no more than those that prepare the ground
_IDLE = 32  # features without a part in x that a set has at least
_PANEL = 32  # sizes of sets are multiples of this: libraries that compile for each shape compile few
_MOST = 4096  # features of a set; with more the other methods are no slower
_CAUTION = 0.5  # of the least |∇_j f| of a set: λ meanwhile
_SHARE, _LEAST_SHARE = 0.03, 1e-7  # of the gap of the whole, to which the model is solved, at first and at most
_CLOSER = 0.01  # the next share over the last, where that is not small enough
_STEPS = 300  # of its solver
_FLAT = 1e-6  # of the largest ℓ″: smaller ones count as this
_SEARCHED = tuple(0.25**i for i in range(8))  # steps along a direction
_PATIENCE = 20  # steps that need not make the gap smaller by a tenth


def no_working_set(problem: Composite) -> str:
    """Why a set of features cannot be used for this problem, "" where it can."""
    f, g = problem.f, problem.inside.g
    if getattr(f, "by_rows", False):
        return "A is read in blocks of rows, and a set needs single columns"
    if type(f) not in (Logistic, LeastSquares):
        return f"f is {type(f).__qualname__}, and it takes Logistic and LeastSquares"
    if f.y.ndim > 1:
        return f"y has {f.y.shape[1]} columns"
    if problem.coupled or not (isinstance(g, Separable) and _is_one_l1(g)):
        return f"the penalty is {problem.alone!r}, and it takes L1 with one weight above 0, and ElasticNet"
    if not isinstance(_matrix(f.operator), Dense | Sparse):
        return f"A is {f.matrix!r}, and a set needs single columns"
    given = (f.y, f.lam, f.weights, f.operator.like, problem.start.x, g.l1, problem.inside.l2)
    arrays = [value for value in given if is_array(value)]
    if not is_concrete(*arrays):
        undecided()
        return "sets grow by decisions on the host, which is not possible under jax.jit"
    if any(map(_is_tracked, arrays)):
        return "its steps are not differentiated"
    return ""


def _is_one_l1(g: Separable) -> bool:
    """Whether it is λ‖x‖₁ with one number λ > 0; a 0-d array is taken to be."""
    if g.l1 is None or not g.homogeneous:
        return False
    return bool(g.l1.ndim == 0 if is_array(g.l1) else g.l1 > 0)


def _is_tracked(x: Any) -> bool:
    while hasattr(x, "__xpsolve_value__"):
        if isinstance(x, Tracked):
            return True
        x = x.__xpsolve_value__
    return False


def _matrix(operator: LinearOperator) -> LinearOperator:
    """What stores the columns."""
    operator = operator.operator if isinstance(operator, WithIntercept) else operator
    return operator.operator if isinstance(operator, Centred) else operator


class State(NamedTuple):
    """What is known after a step; the counts are on the host, since they are shapes of the next."""

    x: Array  # with an intercept as the last entry
    s: Array  # its margins, (n,), in float64
    down: Array  # −Aᵀθ/n of the dual point, (p,)
    measure: Array  # the certificate, 0-d
    nonzeros: int
    violated: int  # features that break the optimality conditions where x is 0


def working_set(
    problem: Composite,
    *,
    tol: float,
    max_iter: int,
    record: Callable[[Any], dict[str, Array]] | None = None,
    callback: Callable[[int, Any], Any] | None = None,
) -> tuple[Run[State], dict[str, Any]]:
    """Steps until the certificate is at most `tol`; beside the run the sizes of the sets."""
    work = _Steps(problem)
    first = work.measured(problem.start.x, cast(problem.f._margins(problem.start.x), work.wide))
    if first.nonzeros > min(max(problem.f.n, _FIRST), _MOST // 2) and float(first.measure) > tol:  # 0 is nearer
        x, s = problem.f.first()
        first = work.measured(x, cast(s, work.wide))
    run = iterate(
        work.step,
        first,
        measure=lambda s: s.measure,
        tol=tol,
        max_iter=max_iter,
        check_every=1,
        record=record,
        callback=callback,
        stalled=work.stalled,
    )
    return run, {"sizes": tuple(work.sizes)}


class _Steps:
    """One step after the other: what they share, and what they count on the host."""

    def __init__(self, problem: Composite) -> None:
        f, xp, start = problem.f, problem.xp, problem.start
        g: Any = problem.inside.g
        ridge = problem.inside.l2
        self.problem, self.f, self.xp = problem, f, xp
        self.wide = wide_dtype(f.y)
        losses = copy.copy(f)
        losses.operator = None
        self.loss: Any = map_arrays(lambda a: cast(a, self.wide), losses)
        self.shares = 1 / f.n if f.weights is None else self.loss.weights / f.n  # w/Σw
        self.intercept = f.frame is not None
        self.p = f.operator.shape[1] - int(self.intercept)
        l1, l2 = start.number(g.l1), start.number(f.largest_lam() + (0.0 if ridge is None else ridge))
        known = f.unpenalised and ridge is None  # that it is 0
        strong = problem.curved or (not known and float(l2) > 0)
        self.penalty = Penalty(l1, l2 if strong else None).astype(self.wide)
        self.half = xp.reshape(cast(problem.zero_loss, self.wide), (1,))
        self.noise: Array | None = None
        self.sizes: list[int] = []
        self.share = _SHARE
        self.least, self.since, self.last = math.inf, 0, math.nan

    def measured(self, x: Array, s: Array) -> State:
        """The state of x with its margins: one product with Aᵀ."""
        xp, problem = self.xp, self.problem
        down, *shares = problem.look(x, s=cast(s, x.dtype))
        down = (down + problem.mu * x)[: self.p]
        down, s, measure = settled(down, s, problem.joined(shares))
        if self.noise is None:
            self.noise = 16 * limits_of(x).eps * xp.max(xp.abs(down))
        on = x[: self.p] != 0
        violated = ~on & (xp.abs(down) > cast(self.penalty.l1, x.dtype) + self.noise)
        return State(x, s, down, measure, how_many(on), how_many(violated))

    def stalled(self, k: int, gap: float) -> bool:
        """Whether the last steps did not help; where one was none, the next model is solved to more digits."""
        if gap < 0.9 * self.least:
            self.least, self.since = gap, k
        none, self.last = gap == self.last, gap
        if none:
            self.share *= _CLOSER
        return self.share < _LEAST_SHARE or k - self.since > _PATIENCE or max(self.sizes, default=0) >= _MOST < self.p

    def step(self, s: State) -> State:
        """The next x."""
        xp, wide, penalty = self.xp, self.wide, self.penalty
        index, level = self._chosen(s)
        self.sizes.append(index.shape[0])
        near = index.shape[0] <= _SMALL or 8 * s.violated <= s.nonzeros
        here = _Columns.of(self.f.operator, index, self.p, wide)
        x = cast(xp.take(s.x, index), wide)
        slopes, curves = self._derivatives(s.s)
        model, means, ahead = _model(here, x, slopes, curves, self.shares, self.intercept)
        slopes = self.shares * slopes
        solve = partial(_solve, tol=self.share * float(s.measure), near=near)
        (new,) = in_memory(solve, *model, self.half, x[:, None], level, penalty.l2)
        d = new[:, 0] - x
        t = here.product(d) + ahead
        if means is not None:
            shift = means @ d
            t = t - shift
        weights = Penalty(level, penalty.l2)
        alpha = self._searched(weights, s.s, t, xp.sum(slopes * t), x, d)
        x = cast(x + alpha * d, s.x.dtype)
        full = scatter(x, index, self.p)
        if means is not None:
            c = s.x[-1:] + cast(alpha * (ahead - shift) / here.size, s.x.dtype)
            full = xp.concat([full, xp.reshape(c, (1,))])
        return self.measured(full, here.margins(x, full))

    def _chosen(self, s: State) -> tuple[Array, Array]:
        """The set of the next step, and its λ."""
        xp, p, level = self.xp, self.p, self.penalty.l1
        first = not self.sizes
        wanted = max(_FIRST, math.isqrt(2 * p)) if first else min(max(_ADDED, s.nonzeros), s.violated)
        count = s.nonzeros + max(wanted, _IDLE)
        count = min(-(-count // _PANEL) * _PANEL, _MOST)
        if count >= p:
            return xp.arange(p, device=device_of(s.x)), level
        score = xp.where(s.x[:p] != 0, xp.full_like(s.down, xp.inf), xp.abs(s.down))
        index = largest(score, count)
        if s.violated > count - s.nonzeros:
            level = xp.maximum(level, _CAUTION * cast(xp.min(xp.take(score, index)), level.dtype))
        return index, level

    def _derivatives(self, s: Array) -> tuple[Array, Array]:
        """ℓ′ and ℓ″ of every sample, the second above 0."""
        loss, xp = self.loss, self.xp
        curves = loss.second_derivative(s, loss.y)
        top = xp.max(curves)
        curves = xp.maximum(curves, xp.where(top > 0, _FLAT * top, xp.ones_like(top)))
        return loss.derivative(s, loss.y), curves

    def _searched(self, penalty: Penalty, s: Array, t: Array, slope: Array, x: Array, d: Array) -> Array:
        """The largest α of some, with which the objective falls by a part of what the model says; 0 for none."""
        xp, loss = self.xp, self.loss
        alphas = xp.asarray([*_SEARCHED, 0.0], dtype=s.dtype, device=device_of(s))
        trials = alphas[:, None]
        losses = xp.sum(self.shares * loss.loss(s + trials * t, loss.y), axis=-1)
        penalties = penalty.value((x + trials * d).T)
        values = losses + penalties
        before = values[-1]
        promised = slope + penalties[0] - penalties[-1]
        room = 8 * limits_of(s).eps * xp.abs(before)
        good = values <= before + 1e-4 * alphas * xp.minimum(promised, xp.zeros_like(promised)) + room
        return xp.max(xp.where(good, alphas, xp.zeros_like(alphas)))


@dataclass(frozen=True)
class _Columns:
    """Some columns of A: a copy of those of a dense one, and products with the whole of a sparse one."""

    operator: LinearOperator  # with a column for the intercept, if there is one
    index: Array
    p: int
    rows: Array | None  # (k, n)
    size: Any  # of the column of the intercept

    @classmethod
    def of(cls, operator: LinearOperator, index: Array, p: int, dtype: Any) -> _Columns:
        rows, size, matrix = None, None, _matrix(operator)
        if isinstance(matrix, Dense):
            rows = take_columns(matrix.A, index)
            inside = operator.operator if isinstance(operator, WithIntercept) else operator
            if isinstance(inside, Centred) and inside.mean is not None:
                rows = rows - namespace_of(index).take(inside.mean, index)[:, None]
            (rows,) = settled(cast(rows, dtype))
        if isinstance(operator, WithIntercept):
            size = operator.size
        elif isinstance(operator, Dense) and p < operator.shape[1]:
            size = operator.A[0, -1]
        return cls(operator, index, p, rows, size)

    def product(self, x: Array) -> Array:
        """A_S x."""
        if self.rows is not None:
            return x @ self.rows
        xp = namespace_of(x)
        full = scatter(x, self.index, self.p)
        rest = self.operator.shape[1] - self.p
        full = full if not rest else xp.concat([full, xp.zeros_like(full[:1])])
        return self.operator.matvec(full)

    def adjoint(self, v: Array) -> Array:
        """A_Sᵀv."""
        if self.rows is not None:
            return self.rows @ v
        return namespace_of(v).take(self.operator.rmatvec(v), self.index)

    def margins(self, x: Array, full: Array) -> Array:
        """A_S x, with the intercept among all entries of x added."""
        if self.rows is None:
            return self.operator.matvec(cast(full, wide_dtype(full)))
        s = self.product(cast(x, self.rows.dtype))
        return s if self.size is None else s + cast(self.size * full[-1], s.dtype)

    def gram(self, weights: Array, means: Array | None) -> Array:
        """A_SᵀDA_S of the columns less their `means`, which are those with the weights D."""
        xp = namespace_of(weights)
        if self.rows is not None:
            rows = self.rows if means is None else self.rows - means[:, None]
            return gram((rows * xp.sqrt(weights)).T)
        matrix: Any = _matrix(self.operator)
        G: Array = matrix.gram(self.index, weights.dtype, weights)
        if means is None:
            return G
        centred: Any = self.operator.operator  # type: ignore[attr-defined]
        means = means + cast(xp.take(centred.mean, self.index), means.dtype)
        return G - xp.sum(weights) * means[:, None] * means[None, :]


def _model(
    here: _Columns, x: Array, slopes: Array, curves: Array, shares: Any, intercept: bool
) -> tuple[tuple[Array, Array, Array, Array], Array | None, Any]:
    """G, b, C = −g and the constant of the model; the means of the columns, and how far the best intercept is."""
    xp = namespace_of(x)
    forces, weights = shares * slopes, shares * curves
    g, s, means, ahead = here.adjoint(forces), here.product(x), None, 0.0
    if intercept:
        total, pull = xp.sum(weights), xp.sum(forces)
        means = here.adjoint(weights) / total
        g, s, ahead = g - means * pull, s - means @ x, -pull / total
    G = here.gram(weights, means)
    target = s - slopes / curves - ahead
    yy = xp.reshape(xp.sum(weights * target * target), (1,))
    return (G, (G @ x - g)[:, None], -g[:, None], yy), means, ahead


def _solve(
    G: Array, b: Array, C: Array, yy: Array, half: Array, X: Array, l1: Array, l2: Array | None, **options: Any
) -> tuple[Array]:
    """The minimiser of the model, (k, 1)."""
    problem = GramProblem.of(G, b, yy, half)
    return (solve_on_gram(problem, Penalty(l1, l2), X, C, max_iter=_STEPS, **options)[0],)
